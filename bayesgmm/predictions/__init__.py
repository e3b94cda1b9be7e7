"""Densities, assignments, anomaly scores and cross-validation from a fit."""
