"""Bayesian Gaussian mixtures with honest uncertainty: one declaration, every estimator, one result.

>>> import bayesgmm as bg
>>> bg.MixtureModel(n_components=2).weights
Dirichlet(concentration=1.0)
"""

import logging

import lazy_loader

from bayesgmm.renamed import old_names

_public, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

logging.getLogger(__name__).addHandler(logging.NullHandler())  # silent until a program configures logging


def _named(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import version

        return version(__name__)
    return _public(name)


__getattr__ = old_names(__name__, _named)
