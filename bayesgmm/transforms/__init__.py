"""Transforms of columns to scales on which Gaussians fit: logarithms, powers, and arcsinh."""
