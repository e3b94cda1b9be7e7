r"""Rotations of loadings over draws, undone: each draw in its simple structure, with columns and signs matched.

The likelihood does not change when factors are rotated, so that loadings of different draws can't be averaged. Each
draw is rotated by varimax, which leaves the order and the signs of the factors open; these are matched with those of
one of the draws [1]_.

References
----------
.. [1] Poworoznek, Anceschi, Ferrari & Dunson (2021), Efficiently resolving rotational ambiguity in Bayesian matrix
   sampling with matching, arXiv:2107.13783.
.. [2] Kaiser (1958), Psychometrika 23, 187-200: varimax.
"""

from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from bayesgmm.sweep.stats import Array

MAX_ROTATIONS = 200
CONVERGED = 1e-8  # relative change of the criterion at which varimax ends
MAX_ENUMERATED = 5  # factors of which all orders are compared


def varimax(loadings: Array) -> Array:
    """Rotate loadings (S, D, q) so that the variance of the squares in each column is largest: (S, D, q).

    Examples
    --------
    >>> turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    >>> rotated = varimax(np.array([[[1.0, 0.0], [2.0, 0.0], [0.0, 1.0], [0.0, 3.0]]]) @ turn)[0]
    >>> np.sort(np.abs(rotated), axis=1).round(3)[:, 0].tolist()
    [0.0, 0.0, 0.0, 0.0]
    """
    rotated = loadings.copy()
    active, before = np.arange(len(loadings)), np.zeros(len(loadings))
    if loadings.shape[-1] == 1:
        return rotated
    for _ in range(MAX_ROTATIONS):
        now = rotated[active]
        cubes = now**3 - now * (now**2).mean(axis=1, keepdims=True)
        left, length, right = np.linalg.svd(np.swapaxes(now, 1, 2) @ cubes)
        rotated[active] = now @ (left @ right)
        value = length.sum(axis=1)
        moves = np.abs(value - before[active]) > CONVERGED * value
        before[active] = value
        active = active[moves]
        if not len(active):
            break
    return rotated


def aligned(loadings: Array, spread: Array) -> Array:
    """Undo rotations, orders and signs of the factors in draws of the loadings of one component.

    Parameters
    ----------
    loadings : (S, D, q) float
    spread : (D,) float
        Typical standard deviations of the columns within the component: they are compared in these units.

    Returns
    -------
    (S, D, q) float
        Factors by decreasing sums of squares, averaged over the draws; the largest mean loading of each is positive.

    Examples
    --------
    Two draws, the second with the factors in the other order and one sign changed.

    >>> one = np.array([[3.0, 0.0], [2.0, 0.0], [0.0, 1.0]])
    >>> draws = aligned(np.stack([one, one[:, ::-1] * [1, -1]]), np.ones(3))
    >>> bool(np.allclose(draws, one))
    True
    """
    scaled = loadings / spread[:, None]
    pivot = _middle(scaled)
    start = varimax(scaled[pivot : pivot + 1])
    left, _, right = np.linalg.svd(np.swapaxes(scaled, 1, 2) @ start)
    rotated = varimax(scaled @ (left @ right))
    matched = _matched(rotated, start[0])
    mean = matched.mean(axis=0)
    matched = matched[..., np.argsort(-(matched**2).sum(axis=1).mean(axis=0), kind="stable")]
    mean = matched.mean(axis=0)
    largest = np.take_along_axis(mean, np.abs(mean).argmax(axis=0)[None], axis=0)
    return np.asarray(matched * np.where(largest < 0, -1.0, 1.0) * spread[:, None])


def _middle(loadings: Array) -> int:
    """Return the draw (of S, D, q) whose largest singular value is the median: the pivot of [1]."""
    largest = np.linalg.norm(loadings, ord=2, axis=(1, 2))
    return int(np.argsort(largest, kind="stable")[len(largest) // 2])


def _matched(loadings: Array, pivot: Array) -> Array:
    """Choose order and signs of the factors of each draw (S, D, q) that are closest to those of the pivot (D, q)."""
    product = np.einsum("sda,db->sba", loadings, pivot)  # row b: factor a of a draw with factor b of the pivot
    order = _best_orders(np.abs(product))
    sign = np.sign(np.take_along_axis(product, order[:, :, None], axis=2))[..., 0]
    moved = np.take_along_axis(loadings, order[:, None, :], axis=2)
    return np.asarray(moved * np.where(sign < 0, -1.0, 1.0)[:, None, :])


def _best_orders(gain: Array) -> NDArray[np.intp]:
    """Return the orders (S, q) that maximise the sum of gains (S, q, q)."""
    q = gain.shape[-1]
    if q <= MAX_ENUMERATED:
        orders = np.array([*permutations(range(q))])
        totals = gain[:, np.arange(q), orders].sum(axis=-1)
        return orders[totals.argmax(axis=1)]
    from scipy.optimize import linear_sum_assignment

    return np.array([linear_sum_assignment(one, maximize=True)[1] for one in gain])
