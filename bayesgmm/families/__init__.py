"""Covariance families."""
