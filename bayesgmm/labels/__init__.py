"""Label switching: detected and undone."""
