"""Orders of components of which only those in a group may exchange places: labels of rows treat the others apart."""

import numpy as np
from numpy.typing import NDArray

from bayesgmm.sweep.stats import Array

FORBIDDEN = 1e6  # cost of a place in another group, relative to the largest cost

type Groups = NDArray[np.int64] | None


def restrained(cost: Array, groups: Groups) -> Array:
    """Return costs (S, K, K) at which no component gets the place of one in another group.

    Examples
    --------
    >>> restrained(np.array([[[5.0, 0.0], [0.0, 5.0]]]), np.array([0, 1]))[0].round()
    array([[5.e+00, 6.e+06],
           [6.e+06, 5.e+00]])
    """
    if groups is None:
        return cost
    return np.where(groups[:, None] == groups, cost, cost + FORBIDDEN * (1.0 + np.abs(cost).max()))


def sort_within(keys: Array | NDArray[np.integer], groups: Groups) -> NDArray[np.int64]:
    """Return orders (..., K) by increasing keys (..., K), in which components of a group have the places of that group.

    Examples
    --------
    >>> sort_within(np.array([3.0, 2.0, 1.0]), None), sort_within(np.array([3.0, 2.0, 1.0]), np.array([0, 1, 0]))
    (array([2, 1, 0]), array([2, 1, 0]))
    >>> sort_within(np.array([3.0, 1.0, 2.0]), np.array([0, 1, 0]))
    array([2, 1, 0])
    """
    if groups is None:
        return np.argsort(keys, axis=-1, kind="stable")
    order = np.broadcast_to(np.arange(keys.shape[-1]), keys.shape).copy()
    for group in np.unique(groups):
        own = np.flatnonzero(groups == group)
        order[..., own] = own[np.argsort(keys[..., own], axis=-1, kind="stable")]
    return order


def order_of_means(mean: Array, groups: Groups) -> NDArray[np.int64]:
    """Return the order (K,) of components by their means (K, D): the first column, then the second where it is equal.

    Examples
    --------
    >>> order_of_means(np.array([[2.0, 0.0], [1.0, 5.0], [1.0, 4.0]]), None)
    array([2, 1, 0])
    """
    return sort_within(np.argsort(np.lexsort(mean.T[::-1])), groups)
