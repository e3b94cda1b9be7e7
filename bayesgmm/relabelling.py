"""Label switching undone: component k means the same in every draw of every chain."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from bayesgmm.data import Points, Standard
from bayesgmm.log_posterior import Parameters
from bayesgmm.posterior import Posterior, holds_points, info, observed, unpack
from bayesgmm.stats import Array, Blocks, Table, draw_responsibilities

if TYPE_CHECKING:
    import xarray as xr

Order = NDArray[np.int64]
WITNESSES = 200  # points that vote on which component is which: labels need no more
LEAST = 1e-12  # a responsibility below this says no more than "not here"


def stephens(shares: Array, start: Array, max_iter: int = 50) -> Order:
    r"""Permutations that make the draws' responsibilities agree with their common mean.

    .. math:: \min_{\pi_1 \dots \pi_S} \sum_{s,n,k} p^{(s)}_{n \pi_s(k)} \log \frac{p^{(s)}_{n \pi_s(k)}}{q_{nk}},
              \qquad q_{nk} = \frac1S \sum_s p^{(s)}_{n \pi_s(k)}

    Parameters
    ----------
    shares : (S, N, K) float
        Responsibilities of every draw.
    start : (N, K) float
        Responsibilities that name the components at first.

    Returns
    -------
    (S, K) int
        ``order[s, k]``: which component of draw s is component k.

    References
    ----------
    .. [1] Stephens (2000), J. R. Stat. Soc. B 62(4), 795-809, algorithm 2.

    Examples
    --------
    Two draws that name two clusters the other way round.

    >>> one = np.array([[0.9, 0.1], [0.2, 0.8]])
    >>> stephens(np.stack([one, one[:, ::-1]]), one)
    array([[0, 1],
           [1, 0]])
    """
    n_draws, _, n_components = shares.shape
    order = np.tile(np.arange(n_components), (n_draws, 1))
    centre = start
    for _ in range(max_iter):
        cost = np.matmul(-np.log(np.maximum(centre, LEAST)).T, shares)
        new = np.array([linear_sum_assignment(one)[1] for one in cost])
        if np.array_equal(new, order) and centre is not start:
            break
        order = new
        moved = (order != np.arange(n_components)).any(axis=1)
        centre = shares.sum(axis=0)
        if moved.any():
            switched = shares[moved]
            centre += np.take_along_axis(switched, order[moved][:, None, :], axis=2).sum(axis=0) - switched.sum(axis=0)
        centre /= n_draws
    return order


def align(witnesses: Blocks, tables: Table, lp: Array, threads: int = 1) -> Order:
    """(S, K) the order that undoes label switching in S draws.

    Parameters
    ----------
    witnesses : Blocks
        Points that vote on which component is which.
    tables : Table
        S tables.
    lp : (S,) float
        Log posterior: the best draw names the components at first.
    """
    n_draws, n_components = tables.offset.shape
    if n_components == 1 or n_draws == 1:
        return np.tile(np.arange(n_components), (n_draws, 1))
    shares = draw_responsibilities(witnesses, tables, threads)
    return stephens(shares, shares[int(np.argmax(lp))])


def witnesses(points: Points, standard: Standard) -> Blocks:
    """A fixed, evenly spaced part of the data, enough to tell components apart."""
    n_points = len(points.values)
    chosen = np.linspace(0, n_points - 1, min(n_points, WITNESSES)).astype(int)
    return standard.blocks(points.values[chosen])


def aligned(fit: "xr.DataTree", draws: int | None = None) -> Posterior:
    """The draws of a fit, at most so many, with label switching undone: also those that PyMC made, which has not."""
    posterior = unpack(fit).thin(draws)
    if "relabelled" in info(fit) or not holds_points(fit):
        return posterior
    points = observed(fit)
    order = align(witnesses(points, posterior.standard), posterior.tables(), np.zeros(posterior.n_draws))
    return Posterior(reorder(posterior.parameters, order), posterior.columns, posterior.standard)


def reorder(parameters: Parameters, order: Order) -> Parameters:
    """Apply an order (S, K) to draws with leading axes that make up S; the heaviest component comes first."""
    lead = parameters.weight.shape[:-1]
    order = order.reshape(*lead, -1)
    weight = np.take_along_axis(parameters.weight, order, axis=-1)
    by_size = np.argsort(-weight.reshape(-1, weight.shape[-1]).mean(axis=0), kind="stable")
    order = order[..., by_size]
    return Parameters(
        np.take_along_axis(parameters.weight, order, axis=-1),
        np.take_along_axis(parameters.mean, order[..., None], axis=-2),
        np.take_along_axis(parameters.covariance, order[..., None, None], axis=-3),
        parameters.extras,
    )
