"""Covariance families for tests: by the kind of their chart, and those that scikit-learn has."""

from bayesgmm.families.charts import RootChart
from bayesgmm.families.structures import COVARIANCES

CHARTED = [name for name, family in COVARIANCES.items() if isinstance(family.chart, RootChart)]
DECOMPOSED = [name for name, family in COVARIANCES.items() if not isinstance(family.chart, RootChart)]
SKLEARN = ["full", "tied", "diag", "spherical"]
