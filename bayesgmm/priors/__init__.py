"""Priors of weights, means and covariances, and of the numbers that these learn."""
