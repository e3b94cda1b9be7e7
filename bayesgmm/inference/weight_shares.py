"""Priors of the weights as products of shares, which makes them conjugate."""

from dataclasses import dataclass

import numpy as np

from bayesgmm.dispatch import by_class
from bayesgmm.errors import NotConjugate
from bayesgmm.priors.scalars import Scalar
from bayesgmm.priors.weights import Dirichlet, FiniteMixture, SparseDirichlet, StickBreaking, WeightsPrior
from bayesgmm.sweep.stats import Array


@dataclass(frozen=True)
class Shares:
    """Weights as products of shares, each share from one of M independent Dirichlet distributions of J shares.

    Parameters
    ----------
    path : (K, M, J) float
        One where a log share is part of a component's log weight, zero elsewhere.
    base, slope : (M, J) float
        The Dirichlet distributions have the parameters ``base + slope * concentration``.
    """

    path: Array
    base: Array
    slope: Array


@by_class
def weight_shares(prior: WeightsPrior, n_components: int) -> Shares:
    """Write a resolved prior of K weights as products of shares.

    Raises
    ------
    NotConjugate
        If the prior has no such form.

    Examples
    --------
    The second of three sticks: the remainder of the first, times its own share.

    >>> from bayesgmm.priors.weights import DirichletProcess
    >>> weight_shares(DirichletProcess(2.0), 3).path[1]
    array([[0., 1.],
           [1., 0.]])
    """
    raise NotImplementedError


@weight_shares.register
def _dirichlet(prior: Dirichlet | SparseDirichlet, n_components: int) -> Shares:
    """One Dirichlet distribution; a weight is one share."""
    path = np.eye(n_components)[:, None]
    if isinstance(prior.concentration, Scalar):
        return Shares(path, np.zeros((1, n_components)), np.ones((1, n_components)))
    return Shares(path, prior.concentrations(n_components)[None], np.zeros((1, n_components)))


@weight_shares.register
def _sticks(prior: StickBreaking, n_components: int) -> Shares:
    """One Beta distribution per stick. A weight is its stick's share times the remainders of all earlier sticks."""
    path = np.zeros((n_components, n_components - 1, 2))
    path[:-1, :, 0] = np.eye(n_components - 1)
    path[..., 1] = np.tri(n_components, n_components - 1, -1)
    a, b = prior.sticks(np.zeros(1), n_components)
    base = np.column_stack([np.full_like(b, a), b])
    slope = np.zeros_like(base)
    slope[:, 1] = 1.0
    if isinstance(prior.concentration, Scalar):
        return Shares(path, base, slope)
    return Shares(path, base + slope * np.asarray(prior.concentration), np.zeros_like(base))


@weight_shares.register
def _finite(prior: FiniteMixture, n_components: int) -> Shares:
    raise NotConjugate("FiniteMixture", "weights=SparseDirichlet()")
