"""Model selection: number of components, bootstrap test, comparison of fits, standard errors."""
