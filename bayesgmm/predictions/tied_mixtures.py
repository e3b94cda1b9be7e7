"""Tied mixtures with several numbers of components, and the lowest density of a point among them."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

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
            whiten = np.linalg.inv(np.linalg.cholesky(covariance)).T
            size = float(np.log(np.abs(np.diagonal(whiten))).sum()) - x.shape[1] * np.log(2 * np.pi) / 2
            centres, log_weight = mean[weight > 0], np.log(weight[weight > 0])
            for start in range(0, len(x), chunk):
                rows = slice(start, start + chunk)
                own = size + _log_density((x[rows] - mean[0]) @ whiten, (centres - mean[0]) @ whiten, log_weight)
                lowest[rows] = np.minimum(lowest[rows], own)
        return lowest

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
        return [TiedMixtures(*(getattr(self, name)[i : i + 1] for name in NAMES)) for i in range(len(self.weight))]

    def variables(self) -> "dict[str, tuple[tuple[str, ...], Array]]":
        """Return the arrays with their dimensions, for a dataset."""
        return {PREFIX + name: (dims, getattr(self, name)) for name, dims in zip(NAMES, DIMENSIONS, strict=True)}

    @classmethod
    def of(cls, stored: "Mapping[Hashable, xr.DataArray]") -> Self | None:
        """Read the mixtures from the variables of a dataset; None if it holds none."""
        if PREFIX + NAMES[0] not in stored:
            return None
        return cls(*(stored[PREFIX + name].values for name in NAMES))


def _log_density(x: Array, centres: Array, log_weight: Array) -> Array:
    """Log density (N,) of whitened points under a mixture of standard Gaussians, without their constant."""
    score = np.stack([c - ((x - centre) ** 2).sum(axis=1) / 2 for centre, c in zip(centres, log_weight, strict=True)])
    highest = score.max(axis=0)
    return np.asarray(highest + np.log(np.exp(score - highest).sum(axis=0)))
