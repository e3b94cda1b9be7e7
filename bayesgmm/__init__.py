"""Bayesian Gaussian mixtures with honest uncertainty: one declaration, every estimator, one result.

>>> import bayesgmm as bg
>>> bg.MixtureModel(n_components=2).weights
Dirichlet(concentration=1.0, prior='dirichlet')
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
