"""Covariance families for tests: those that other engines than EM fit, and those that scikit-learn has."""

from bayesgmm.families.structures import COVARIANCES

CHARTED = [name for name, family in COVARIANCES.items() if family.chart is not None]
SKLEARN = ["full", "tied", "diag", "spherical"]
