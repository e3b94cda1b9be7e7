"""Data that are read part by part: files of any size, arrays and tables, all behind one interface."""
