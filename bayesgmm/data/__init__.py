"""Input validation: arrays, DataFrames and files are converted to checked points."""
