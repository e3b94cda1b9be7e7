"""Reading tables from files as people bring them: separators, decimal commas, encodings, titles, totals, Excel."""
