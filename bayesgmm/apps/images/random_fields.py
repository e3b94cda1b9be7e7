r"""Markov random field of the labels of an image: neighbours agree unless there is an edge between them.

.. math:: p(z) \propto \prod_n r_{n z_n} \; \exp\Big(\beta \sum_{n \sim m} w_{nm} [z_n = z_m]\Big)

The responsibilities r of the mixture treat pixels as independent; the field couples each pixel with its eight
neighbours.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayesgmm.sweep.compilation import jit, kernel

Plane = NDArray[np.float32]
MIN_PROBABILITY = np.float32(1e-30)  # smaller probabilities are set to this before the logarithm
# Four of the eight neighbours; the pairs with the other four are the same, seen from the other pixel.
STEPS = ((0, 1), (1, 0), (1, 1), (1, -1))
ROWS_PER_SWEEP = 2  # distance that information travels in one sweep


def edge_weights(lab: Plane, spread: float) -> Plane:
    r"""Compute edge weights between neighbours, which decrease with colour difference and distance.

    .. math:: w_{nm} = \exp(-\lVert c_n - c_m \rVert^2 / 2 s) / |n - m|

    Parameters
    ----------
    lab : (H, W, 3) float32
        CIELAB colours.
    spread : float
        s, the mean squared difference between neighbours.

    Returns
    -------
    (H + 2, W + 2, 4) float32
        Weights of the neighbours right, below, below right and below left; with a border of zeros.

    References
    ----------
    .. [1] Boykov & Jolly (2001), Proc. IEEE Int. Conf. Computer Vision 1, 105-112.

    Examples
    --------
    >>> edge_weights(np.zeros((1, 2, 3), dtype=np.float32), 1.0)[1, :, 0]
    array([0., 1., 0., 0.], dtype=float32)
    """
    height, width = lab.shape[:2]
    out = np.zeros((height + 2, width + 2, len(STEPS)), dtype=np.float32)
    for i, (down, right) in enumerate(STEPS):
        here, there = _pair(lab, down, right)
        alike = np.exp(((here - there) ** 2).sum(axis=2) * np.float32(-0.5 / spread))
        weight = alike / np.float32(np.hypot(down, right))
        left = max(0, -right)
        out[1 : 1 + weight.shape[0], 1 + left : 1 + left + weight.shape[1], i] = weight
    return out


def _pair(plane: NDArray[Any], down: int, right: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return all pairs of neighbours in one direction."""
    height, width = plane.shape[:2]
    left, end = max(0, -right), width - max(0, right)
    return plane[: height - down, left:end], plane[down:, left + right : end + right]


def smooth(probability: Plane, weights: Plane, strength: float, sweeps: int, first: int = 0) -> Plane:
    r"""Compute the label probabilities of the random field by mean-field approximation.

    .. math:: q_{nk} \propto r_{nk} \exp\Big(\beta \sum_{m \sim n} w_{nm} q_{mk}\Big)

    Pixels are updated in four groups, by odd or even row and column, so that no two neighbours change at the same
    time. Each update then raises the variational lower bound.

    Parameters
    ----------
    probability : (H, W, K) float32
        r. Pixels with only zeros are transparent and stay zero.
    weights : (H + 2, W + 2, 4) float32
        w, from ``edge_weights``.
    strength : float
        β; 0 changes nothing.
    sweeps : int
        Number of sweeps. Each carries information two rows further.
    first : int
        Index of the first row in the image, so that a strip is updated in the same order as the whole image.

    Returns
    -------
    (H, W, K) float32

    References
    ----------
    .. [1] Zhang, Brady & Smith (2001), IEEE Trans. Med. Imaging 20(1), 45-57.
    .. [2] Celeux, Forbes & Peyrard (2003), Pattern Recognition 36(1), 131-144.

    Examples
    --------
    An uncertain pixel between two certain ones becomes more certain.

    >>> certain, uncertain = [0.99, 0.01], [0.5, 0.5]
    >>> row = np.array([[certain, uncertain, certain]], dtype=np.float32)
    >>> smooth(row, edge_weights(np.zeros((1, 3, 3), dtype=np.float32), 1.0), 1.0, 5)[0, 1].round(2)
    array([0.88, 0.12], dtype=float32)
    """
    if strength == 0 or sweeps == 0:
        return probability
    height, width, n_labels = probability.shape
    own = np.log(np.maximum(probability, MIN_PROBABILITY))
    q = np.zeros((height + 2, width + 2, n_labels), dtype=np.float32)
    q[1:-1, 1:-1] = probability
    visible = probability.any(axis=2)
    for _ in range(sweeps):
        _sweep(own, visible, weights, np.float32(strength), first, q)
    return np.ascontiguousarray(q[1:-1, 1:-1])


@kernel
def _sweep(own: Plane, visible: NDArray[np.bool_], weights: Plane, strength: np.float32, first: int, q: Plane) -> None:
    height, width, n_labels = own.shape
    pull = np.empty(n_labels, dtype=np.float32)
    for turn in range(4):
        for i in range((turn // 2 + first) % 2, height, 2):
            for j in range(turn % 2, width, 2):
                if visible[i, j]:
                    _pull(q, weights, i + 1, j + 1, pull)
                    _update(own, strength, i, j, pull, q)


@jit
def _pull(q: Plane, w: Plane, i: int, j: int, pull: Plane) -> None:
    """Compute pull[k], the sum of w q[k] over the eight neighbours."""
    right, left, down, up = w[i, j, 0], w[i, j - 1, 0], w[i, j, 1], w[i - 1, j, 1]
    down_right, up_left, down_left, up_right = w[i, j, 2], w[i - 1, j - 1, 2], w[i, j, 3], w[i - 1, j + 1, 3]
    for k in range(pull.size):
        beside = right * q[i, j + 1, k] + left * q[i, j - 1, k] + down * q[i + 1, j, k] + up * q[i - 1, j, k]
        across = down_right * q[i + 1, j + 1, k] + up_left * q[i - 1, j - 1, k]
        pull[k] = beside + across + down_left * q[i + 1, j - 1, k] + up_right * q[i - 1, j + 1, k]


@jit
def _update(own: Plane, strength: np.float32, i: int, j: int, pull: Plane, q: Plane) -> None:
    """Update a pixel's probabilities from its own and the neighbours' pull."""
    top = np.float32(-np.inf)
    for k in range(pull.size):
        pull[k] = own[i, j, k] + strength * pull[k]
        top = max(top, pull[k])
    total = np.float32(0)
    for k in range(pull.size):
        pull[k] = np.exp(pull[k] - top)
        total += pull[k]
    for k in range(pull.size):
        q[i + 1, j + 1, k] = pull[k] / total
