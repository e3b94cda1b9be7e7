"""Label switching: relabelling, and label diagnostics."""
