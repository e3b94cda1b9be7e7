"""How many components, and which fit: selection, bootstrap test, comparison, standard errors."""
