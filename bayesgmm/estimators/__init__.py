"""The mixtures as scikit-learn estimators: changing the import is the whole migration."""

from bayesgmm.estimators.gaussian import GaussianMixture

__all__ = ["GaussianMixture"]
