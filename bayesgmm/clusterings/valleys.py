"""Valleys between components: how far the density of the points falls between two groups of them.

The points of two components are projected on the direction that separates them best (Fisher's discriminant). Their
smoothed histogram has a valley if it falls and rises again between the two means. The saddle is the height of the
valley as a share of the lower of the two peaks: 1 without a valley, 0 for an empty gap.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
import scipy  # its parts are imported when they are used

from bayesgmm.sweep.stats import Array

BINS = 200
WIDTH = 0.35  # of the smoothing, in standard deviations of a component
ERRORS = 1.5, 1.0  # standard errors of a valley and of a peak: they count only as far as chance does not explain them
BEYOND = 2.0  # standard deviations of a component that the histogram covers beyond the means
FLATTEST = 1e-6  # variance that is added, relative to the squared distance of the means: points may be equal
FEW = 15.0  # with fewer points in a component, the saddle is that of the two fitted Gaussians
BRIDGE = 3.0  # a component connects two clusters fully if it has a third of the points of their largest components


@dataclass(frozen=True)
class Moments:
    """Expected number of points, mean and covariance of each component.

    Parameters
    ----------
    x : (N, D) float
        Points, in units in which their standard deviations are about one.
    share : (N, K) float
        Weight of each point in each component.
    """

    x: Array
    share: Array

    @classmethod
    def of(cls, x: Array, share: Array) -> Self:
        """Standardise the columns."""
        sd = x.std(axis=0)
        return cls((x - x.mean(axis=0)) / np.where(sd > 0, sd, 1.0), share)

    @cached_property
    def size(self) -> Array:
        """(K,) expected number of points."""
        return self.share.sum(axis=0)

    @cached_property
    def mean(self) -> Array:
        """(K, D) means."""
        return (self.share.T @ self.x) / self.size[:, None]

    @cached_property
    def covariance(self) -> Array:
        """(K, D, D) covariances, each with D + 1 points of the pooled one added: a component may hold few points."""
        own = np.stack([self._squares(k) for k in range(len(self.size))])
        pooled, extra = own.sum(axis=0) / self.size.sum(), self.x.shape[1] + 1
        return (own + extra * pooled) / (self.size + extra)[:, None, None]

    def _squares(self, k: int) -> Array:
        centred = self.x - self.mean[k]
        return (centred * self.share[:, k, None]).T @ centred


def saddles(x: Array, share: Array) -> Array:
    """Compute the saddle between each pair of components.

    Parameters
    ----------
    x : (N, D) float
        Points.
    share : (N, K) float
        Probability of each component for each point, times the number of points that a row represents.

    Returns
    -------
    (K, K) float
        From 0 (nothing between the two) to 1 (no valley); 1 on the diagonal.

    Examples
    --------
    Two groups with nothing between them, the second of which is divided without reason.

    >>> x = np.concatenate([np.linspace(0, 1, 60), np.linspace(8, 9, 120)])[:, None]
    >>> part = np.repeat(np.eye(3), 60, axis=0)
    >>> saddles(x, part).round(1)[0, 1] < 0.5, saddles(x, part)[1, 2] == 1
    (np.True_, np.True_)
    """
    moments = Moments.of(x, share)
    out = np.eye(len(moments.size))
    for a in range(len(out)):
        for b in range(a):
            out[a, b] = out[b, a] = _saddle(moments, a, b)
    return out


def _saddle(moments: Moments, a: int, b: int) -> float:
    apart = moments.mean[b] - moments.mean[a]
    size, least = moments.size[[a, b]], FLATTEST * (apart @ apart) * np.eye(len(apart))
    cov = moments.covariance[[a, b]] + least
    pooled = np.tensordot(size / size.sum(), cov, 1)
    direction = np.linalg.lstsq(pooled, apart)[0]
    if not direction @ apart > 0:
        return 1.0
    ends, sd = moments.mean[[a, b]] @ direction, np.sqrt(direction @ pooled @ direction)
    edges = np.linspace(ends[0] - BEYOND * sd, ends[1] + BEYOND * sd, BINS + 1)
    if size.min() < FEW:
        spread = np.sqrt(np.einsum("d,kde,e->k", direction, cov, direction))
        return _lowest(scipy.stats.norm.pdf(edges[:, None], ends, spread) @ size, edges, ends)
    count = np.histogram(moments.x @ direction, edges, weights=moments.share[:, a] + moments.share[:, b])[0]
    middle, step = (edges[1:] + edges[:-1]) / 2, edges[1] - edges[0]
    return _lowest(_smooth(count, WIDTH * sd / step), middle, ends, *ERRORS)


def _smooth(count: Array, width: float) -> Array:
    """Estimate the number of points in a window about each bin."""
    smoothed = scipy.ndimage.gaussian_filter1d(count.astype(np.float64), width, mode="constant")
    return smoothed * 2 * np.sqrt(np.pi) * width


def _lowest(height: Array, at: Array, ends: Array, below: float = 0.0, above: float = 0.0) -> float:
    """Return the lowest height between the ends as a share of the lower peak, with a margin for the noise of counts."""
    left = np.maximum.accumulate(np.where(at <= ends[1], height, 0.0))
    right = np.maximum.accumulate(height[::-1])[::-1]
    peak = np.minimum(left, right)
    share = (height + below * np.sqrt(height + 1)) / np.maximum(peak - above * np.sqrt(peak), 1e-9 * height.max())
    return float(min(1.0, share[(at > ends[0]) & (at < ends[1])].min(initial=1.0)))


@dataclass(frozen=True)
class Connections:
    """Saddles between components, and what follows for clusters of them.

    Two clusters are as connected as the closest pair of their components, one of each. A component with few points
    compared with the largest of its cluster connects less: a few stray points make no bridge.

    Parameters
    ----------
    saddle : (K, K) float
    size : (K,) float
        Expected number of points.
    """

    saddle: Array
    size: Array

    def between(self, one: list[int], other: list[int]) -> float:
        """Return the saddle between two clusters."""
        largest = min(self.size[one].max(), self.size[other].max())
        smaller = np.minimum.outer(self.size[one], self.size[other])
        return float((self.saddle[np.ix_(one, other)] * np.minimum(1.0, BRIDGE * smaller / largest)).max())

    def next_merger(self, groups: list[list[int]], minimum: float) -> tuple[int, int, float]:
        """Return the two clusters to merge next, and their saddle.

        Connected ones come first, the highest saddle before all others. Then those by whose merger fewest points lose a
        cluster of their own, so that clusters of a few points go before any two large ones are merged.
        """
        options = [(a, b, self.between(groups[a], groups[b])) for b in range(len(groups)) for a in range(b)]
        return max(options, key=lambda option: self._priority(groups, option, minimum))

    def _priority(self, groups: list[list[int]], option: tuple[int, int, float], minimum: float) -> tuple[bool, float]:
        a, b, saddle = option
        if saddle >= minimum:
            return True, saddle
        return False, -min(self.size[groups[a]].sum(), self.size[groups[b]].sum()) * (1 - saddle)
