"""Assignments, densities, simulations, anomaly scores and leave-one-out cross-validation from a fit."""
