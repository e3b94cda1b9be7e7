"""Arrays, DataFrames and files become checked points."""
