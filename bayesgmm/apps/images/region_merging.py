r"""Connected regions of an image: the pieces of a label map, merged where a border explains too little.

Pixels of one region have the same mean, and the covariance that the mixture's components have on average. A border
between two regions is kept while the log likelihood that it adds, per pixel of its length, is large enough:

.. math:: \frac{1}{\ell_{ab}} \frac{n_a n_b}{n_a + n_b} \lVert m_a - m_b \rVert^2 \ge \text{detail} \sqrt{N}

where n are numbers of pixels, m are mean features in coordinates in which the total variance is 1, l is the length of
the common border, and N is the number of pixels of the image. So the regions do not depend on the units of the features
nor, where borders are smooth, on the resolution of the image. This is the piecewise constant model of Mumford and
Shah [1]_, by merging [2]_.

References
----------
.. [1] Mumford & Shah (1989), Commun. Pure Appl. Math. 42(5), 577-685.
.. [2] Koepfler, Lopez & Morel (1994), SIAM J. Numer. Anal. 31(1), 282-299.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayesgmm.apps.extras import extra
from bayesgmm.posterior.schema import Posterior
from bayesgmm.sweep.stats import Array

Regions = NDArray[np.int32]
Index = NDArray[np.int64]
LEVELS = 2.0 ** np.arange(-10, 1)  # fractions of the limit: borders that explain little are removed first


@dataclass(frozen=True)
class Borders:
    """Borders between adjacent regions.

    Parameters
    ----------
    one, other : (B,) int
        Indices of the regions; ``one`` is less than ``other``.
    length : (B,) float
        Number of pairs of adjacent pixels along rows and columns.
    """

    one: Index
    other: Index
    length: Array

    @classmethod
    def summed(cls, one: Index, other: Index, length: Array, n_regions: int) -> "Borders":
        """Sum the lengths of borders between the same regions, in any order; leave out those within a region."""
        apart = one != other
        low, high = np.minimum(one, other)[apart], np.maximum(one, other)[apart]
        pairs, place = np.unique(low * n_regions + high, return_inverse=True)
        total = np.bincount(place, length[apart], len(pairs)).astype(float)
        return cls(pairs // n_regions, pairs % n_regions, total)

    @classmethod
    def between(cls, region: Regions) -> "Borders":
        """Find the borders of a map of regions (H, W); -1 is no region.

        Examples
        --------
        >>> Borders.between(np.array([[0, 1], [0, 2], [-1, 2]], dtype=np.int32))
        Borders(one=array([0, 0, 1]), other=array([1, 2, 2]), length=array([1., 1., 1.]))
        """
        sides = [
            np.stack([here[cut], there[cut]])
            for here, there in ((region[:, :-1], region[:, 1:]), (region[:-1], region[1:]))
            for cut in [(here != there) & (here >= 0) & (there >= 0)]
        ]
        one, other = np.concatenate(sides, axis=1).astype(np.int64)
        return cls.summed(one, other, np.ones(len(one)), int(region.max()) + 1)

    def merged(self, target: Index) -> "Borders":
        """Borders after each region became a part of its target."""
        return Borders.summed(target[self.one], target[self.other], self.length, len(target))


def unit_scale(posterior: Posterior) -> Array:
    """Matrix (D, D) that multiplies features, as rows: the mean covariance becomes spherical, the total variance 1.

    The mean covariance is the mean over draws and components, weighted by the weights of the components.
    """
    p = posterior.parameters
    weight = p.weight[..., None] / len(p.weight)
    within = np.einsum("sk,skij->ij", weight[..., 0], p.covariance)
    centred = p.mean - (weight * p.mean).sum(axis=(0, 1))
    between = np.einsum("sk,ski,skj->ij", weight[..., 0], centred, centred)
    root = np.linalg.inv(np.linalg.cholesky(within)).T
    return root / np.sqrt(np.trace(root.T @ (within + between) @ root))


def pieces_of(label: NDArray[np.integer]) -> Regions:
    """Number the connected pieces of a label map (H, W), along rows and columns; -1 is no label.

    Examples
    --------
    >>> pieces_of(np.array([[0, 1, 0], [-1, 0, 0]]))
    array([[ 0,  1,  2],
           [-1,  2,  2]], dtype=int32)
    """
    measure = extra("skimage.measure", "scikit-image")
    return measure.label(label, background=-1, connectivity=1).astype(np.int32) - 1


def merge_pieces(piece: Regions, sums: Array, limit: float) -> Index:
    """Merge adjacent pieces until all borders explain at least ``limit`` per pixel of their length.

    Parameters
    ----------
    piece : (H, W) int32
        Pieces; -1 is no piece.
    sums : (P, 1 + D) float
        Number of pixels of each piece, and sums of their features in coordinates of total variance 1.
    limit : float
        Smallest gain in explained variance, in pixels, per pixel of border.

    Returns
    -------
    (P,) int
        The region of each piece, from 0, the largest region first.

    Examples
    --------
    A bright stripe in a dark image, with one pixel that is a little brighter.

    >>> piece = np.array([[0, 1, 2], [0, 1, 3], [0, 1, 3]], dtype=np.int32)
    >>> sums = np.array([[3, 0.0], [3, 6.0], [1, 0.1], [2, 0.0]])
    >>> merge_pieces(piece, sums, limit=0.5)
    array([0, 1, 2, 2])
    """
    sums, borders, found = sums.copy(), Borders.between(piece), np.arange(len(sums))
    for level in limit * LEVELS:
        while len(moving := np.flatnonzero((target := _targets(borders, sums, level)) != np.arange(len(sums)))):
            np.add.at(sums, target[moving], sums[moving])
            found, borders = target[found], borders.merged(target)
    return _by_size(found, sums[:, 0])


def _targets(borders: Borders, sums: Array, level: float) -> Index:
    """Return the region that each region becomes a part of now, which may be itself.

    A region moves across its weakest border, if that explains less than ``level`` and the region on the other side is
    larger and does not move itself. So many small pieces merge into a large region at once.
    """
    own = np.arange(len(sums))
    gain = explained(sums[borders.one], sums[borders.other]) / borders.length
    weak = np.flatnonzero(gain < level)
    order = weak[np.argsort(gain[weak], kind="stable")]
    ends = np.concatenate([borders.one[order], borders.other[order]])
    rank = np.tile(np.arange(len(order)), 2)
    best = np.full(len(sums), len(order))
    np.minimum.at(best, ends, rank)
    chosen = np.flatnonzero(best < len(order))
    other = (borders.one + borders.other)[order[best[chosen]]] - chosen
    size = sums[:, 0]
    smaller = (size[chosen] < size[other]) | ((size[chosen] == size[other]) & (chosen > other))
    target = own.copy()
    target[chosen[smaller]] = other[smaller]
    return np.where(target[target] == target, target, own)


def explained(one: Array, other: Array) -> Array:
    r"""Variance, times the number of pixels, that separate means explain: :math:`\frac{n m}{n + m} \lVert d \rVert^2`.

    Examples
    --------
    >>> explained(np.array([[2, 0.0]]), np.array([[2, 6.0]]))
    array([9.])
    """
    difference = one[:, 1:] / one[:, :1] - other[:, 1:] / other[:, :1]
    return one[:, 0] * other[:, 0] / (one[:, 0] + other[:, 0]) * (difference**2).sum(axis=1)


def _by_size(found: Index, size: Array) -> Index:
    """Number the regions by decreasing size."""
    kept = np.unique(found)
    place = np.empty(len(size), dtype=np.int64)
    place[kept[np.argsort(-size[kept], kind="stable")]] = np.arange(len(kept))
    return place[found]
