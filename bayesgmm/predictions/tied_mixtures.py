"""Tied mixtures with several numbers of components, and the lowest density of a point among them."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import ArrayLike

from bayesgmm.data.standards import Standard
from bayesgmm.posterior.parameters import Parameters
from bayesgmm.posterior.schema import Posterior
from bayesgmm.predictions.densities import spread
from bayesgmm.sweep.stats import Array

if TYPE_CHECKING:
    import xarray as xr

NAMES = ("weight", "mean", "covariance")
DIMENSIONS = (("member", "part"), ("member", "part", "column"), ("member", "column", "column_of"))
PREFIX = "member_"
CHUNK = 2_000_000  # numbers in memory
ALONE = 1e-3  # number of other points from which a component exists without a point
CLOSE_TO_ONE = 0.999  # maximum share of a direction's variance that a point takes with it


@dataclass(frozen=True)
class TiedMixtures:
    r"""Mixtures of Gaussians, each with one covariance for all its components.

    Parameters
    ----------
    weight : (M, K) float
        Zero where a mixture has fewer than K components.
    mean : (M, K, D) float
    covariance : (M, D, D) float

    Examples
    --------
    One component at 0 with variance 4, or two at -2 and 2 with variance 1: a point at 0 is between the two.

    >>> weight, mean = np.array([[1, 0], [0.5, 0.5]]), np.array([[[0.0], [0.0]], [[-2.0], [2.0]]])
    >>> mixtures = TiedMixtures(weight, mean, np.array([[[4.0]], [[1.0]]]))
    >>> mixtures.lowest_log_density(np.array([[0.0], [9.0]])).round(2)
    array([ -2.92, -26.11])
    """

    weight: Array
    mean: Array
    covariance: Array

    def lowest_log_density(self, x: Array) -> Array:
        """Compute the lowest log density (N,) of points (N, D) among the mixtures: of what is observed of each."""
        gaps = np.isnan(x).any(axis=1)
        if not gaps.any():
            return self._of_complete(x)
        lowest = np.empty(len(x))
        lowest[~gaps], lowest[gaps] = self._of_complete(x[~gaps]), self._of_observed(x[gaps])
        return lowest

    def _of_complete(self, x: Array) -> Array:
        lowest = np.full(len(x), np.inf)
        chunk = max(1, CHUNK // (self.weight.shape[1] + x.shape[1]))
        for weight, mean, covariance in zip(self.weight, self.mean, self.covariance, strict=True):
            whiten, size = _whitening(covariance)
            centres, log_weight = mean[weight > 0], np.log(weight[weight > 0])
            for start in range(0, len(x), chunk):
                rows = slice(start, start + chunk)
                own = size + _log_density((x[rows] - mean[0]) @ whiten, (centres - mean[0]) @ whiten, log_weight)
                lowest[rows] = np.minimum(lowest[rows], own)
        return lowest

    def left_out_log_density(self, x: Array, unit: Array, total: float) -> Array:
        r"""Compute log densities (M, N) of the complete points that were fitted, each under mixtures without it.

        The mixtures are not fitted again: a point's share is taken from the sums behind means and covariance, as in one
        M step. With responsibility r of its most probable component, which holds n points,

        .. math:: \mu_{-} = \mu - \frac{r}{n - r} (x - \mu), \qquad
                  N \Sigma - \frac{r n}{n - r} (x - \mu)(x - \mu)' = (N - 1) \Sigma_{-}

        A component that holds no other point is left out.

        Parameters
        ----------
        x : (N, D) float
        unit : (N,) float
            Weight of each point that is left out.
        total : float
            Weight of all points that were fitted.

        References
        ----------
        .. [1] Fukunaga & Kessell (1971), IEEE Trans. Comput. C-20(12), 1521-1527: one Gaussian without a point.
        """
        chunk = max(1, CHUNK // (self.weight.shape[1] + x.shape[1]))
        log = np.empty((len(self.weight), len(x)))
        for own, weight, mean, covariance in zip(log, self.weight, self.mean, self.covariance, strict=True):
            whiten, size = _whitening(covariance)
            centres, held = (mean[weight > 0] - mean[0]) @ whiten, weight[weight > 0] * total
            for start in range(0, len(x), chunk):
                rows = slice(start, start + chunk)
                z = (x[rows] - mean[0]) @ whiten
                own[rows] = size + _log_left_out(z, centres, held, unit[rows])
        return log

    def _of_observed(self, x: Array) -> Array:
        shape = (1, *self.mean.shape[1:], self.mean.shape[-1])
        log = [
            spread(
                Posterior(
                    Parameters(weight[None], mean[None], np.broadcast_to(covariance, shape)),
                    (),
                    Standard(mean[0], np.sqrt(np.diagonal(covariance))),
                ),
                x,
                progress=False,
            ).mean_log
            for weight, mean, covariance in zip(self.weight, self.mean, self.covariance, strict=True)
        ]
        return np.min(log, axis=0)

    def each(self) -> "list[TiedMixtures]":
        """Return the mixtures one by one."""
        return [self.some([i]) for i in range(len(self.weight))]

    def some(self, chosen: ArrayLike) -> "TiedMixtures":
        """Return some of the mixtures, by numbers or by M booleans."""
        return TiedMixtures(*(getattr(self, name)[chosen] for name in NAMES))

    @property
    def counts(self) -> list[int]:
        """Numbers of components."""
        return [int(count) for count in (self.weight > 0).sum(axis=1)]

    def variables(self) -> "dict[str, tuple[tuple[str, ...], Array]]":
        """Return the arrays with their dimensions, for a dataset."""
        return {PREFIX + name: (dims, getattr(self, name)) for name, dims in zip(NAMES, DIMENSIONS, strict=True)}

    @classmethod
    def of(cls, stored: "Mapping[Hashable, xr.DataArray]") -> Self | None:
        """Read the mixtures from the variables of a dataset; None if it holds none."""
        if PREFIX + NAMES[0] not in stored:
            return None
        return cls(*(stored[PREFIX + name].values for name in NAMES))


def _whitening(covariance: Array) -> tuple[Array, float]:
    """Matrix (D, D) after which a Gaussian has unit covariance, and the log of its density's maximum."""
    whiten = np.linalg.inv(np.linalg.cholesky(covariance)).T
    return whiten, float(np.log(np.abs(np.diagonal(whiten))).sum()) - len(whiten) * np.log(2 * np.pi) / 2


def _log_density(x: Array, centres: Array, log_weight: Array) -> Array:
    """Log density (N,) of whitened points under a mixture of standard Gaussians, without their constant."""
    score = np.stack([c - ((x - centre) ** 2).sum(axis=1) / 2 for centre, c in zip(centres, log_weight, strict=True)])
    highest = score.max(axis=0)
    return np.asarray(highest + np.log(np.exp(score - highest).sum(axis=0)))


def _log_left_out(x: Array, centres: Array, held: Array, unit: Array) -> Array:
    """Log density (N,) of whitened points under the mixture without them, without its constant.

    Parameters
    ----------
    x : (N, D) float
    centres : (K, D) float
    held : (K,) float
        Number of points that each component holds.
    unit : (N,) float
        Weight that is left out.
    """
    rows, total = np.arange(len(x)), held.sum()
    along = (x**2).sum(axis=1)[:, None] - x @ centres.T  # (N, K): x'(x - centre)
    products = centres @ centres.T
    distance = along - x @ centres.T + np.diagonal(products)
    score = np.log(held) - distance / 2
    share = np.exp(score - score.max(axis=1, keepdims=True))
    share *= unit[:, None] / share.sum(axis=1, keepdims=True)
    others = np.maximum(held - share, 0.0)
    stays = others > ALONE
    stretched = np.where(stays, held / np.where(stays, others, 1.0), 0.0)  # of x - centre, as the centre moves away
    near = score.argmax(axis=1)
    removed = np.minimum(share[rows, near] * stretched[rows, near] * distance[rows, near] / total, CLOSE_TO_ONE)
    product = stretched * (along - (x @ centres.T)[rows, near][:, None] + products[near])
    longer = share[rows, near] * stretched[rows, near] / total / (1 - removed)
    rest = total - unit
    quadratic = (rest / total)[:, None] * (stretched**2 * distance + longer[:, None] * product**2)
    log = np.where(stays, np.log(np.where(stays, others, 1.0)) - quadratic / 2, -np.inf)
    highest = log.max(axis=1)
    mixture = highest + np.log(np.exp(log - highest[:, None]).sum(axis=1)) - np.log(rest)
    return np.asarray(mixture - (np.log1p(-removed) + x.shape[1] * np.log(total / rest)) / 2)
