"""Coordinates of loadings and noise."""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from bayesgmm.families.charts import Chart
from bayesgmm.families.factor_chart_kernels import FACTORS, ISOTROPIC, TIED_LOADINGS, TIED_NOISE
from bayesgmm.families.factor_steps import Restriction
from bayesgmm.families.forms import Form
from bayesgmm.families.squares import Squares
from bayesgmm.sweep.stats import Array


@dataclass(frozen=True)
class FactorChart(Chart):
    r"""Loadings, in units of the points, and logarithms of the noise's precision roots.

    A rotation of the factors changes the coordinates, and not the covariances: these have no volume element by them.

    Parameters
    ----------
    restriction : Restriction
    """

    restriction: Restriction
    has_rotations: ClassVar = True

    @property
    def form(self) -> Form:  # noqa: D102
        return Squares()

    @property
    def code(self) -> int:
        """Number by which compiled code identifies these coordinates."""
        own = self.restriction
        tied = TIED_LOADINGS * own.ties_loadings + TIED_NOISE * own.ties_noise
        return int(FACTORS + tied + ISOTROPIC * own.isotropic)

    def shapes(self, n_components: int, n_features: int) -> tuple[tuple[int, int, int], tuple[int, int]]:
        """Return the shapes of the loadings (L, D, q) and of the noise (M, D) or (M, 1)."""
        own = self.restriction
        loadings = 1 if own.ties_loadings else n_components
        noises = 1 if own.ties_noise else n_components
        return (loadings, n_features, own.n_factors), (noises, 1 if own.isotropic else n_features)

    def size(self, n_components: int, n_features: int) -> int:  # noqa: D102
        return sum(math.prod(shape) for shape in self.shapes(n_components, n_features))

    def plan(self, n_components: int, n_features: int) -> dict[str, int]:  # noqa: D102
        size = self.size(n_components, n_features)
        core = n_components * n_features * (self.restriction.n_factors + 1)
        names = "chart", "n_cores", "core_size", "coordinates_size", "inner_size"
        return dict(zip(names, (self.code, n_components, core, size, size), strict=True))

    def parts(self, v: Array, n_components: int, n_features: int) -> tuple[Array, Array]:
        """Split coordinates (..., size) in loadings (..., L, D, q) and log precision roots of the noise (..., M, D)."""
        loadings, noise = self.shapes(n_components, n_features)
        one, other = np.split(v, [math.prod(loadings)], axis=-1)
        return one.reshape(*v.shape[:-1], *loadings), other.reshape(*v.shape[:-1], *noise)

    def joined(self, loadings: Array, noise: Array) -> Array:
        """Return the coordinates (..., size) of what ``parts`` returns."""
        lead = loadings.shape[:-3]
        return np.concatenate([loadings.reshape(*lead, -1), noise.reshape(*lead, -1)], axis=-1)

    def core_roots(self, v: Array, n_components: int, n_features: int) -> Array:  # noqa: D102
        loadings, noise = self.parts(v, n_components, n_features)
        precision = np.broadcast_to(np.exp(noise)[..., None], (*v.shape[:-1], n_components, n_features, 1))
        return np.concatenate([loadings * precision, precision], axis=-1)

    def coordinates(self, core_roots: Array) -> Array:
        """Compute coordinates (..., size) of roots (..., K, D, q + 1); where parts are tied, of those of the first."""
        own = self.restriction
        loadings, noise = core_roots[..., :-1] / core_roots[..., -1:], np.log(core_roots[..., -1])
        loadings = loadings[..., :1, :, :] if own.ties_loadings else loadings
        noise = noise[..., :1, :] if own.ties_noise else noise
        return self.joined(loadings, noise[..., :1] if own.isotropic else noise)

    def log_volume(self, v: Array, n_components: int, n_features: int) -> Array:
        """Return the log volume element of the noise: rotated factors have the same covariances."""
        return -2.0 * self.parts(v, n_components, n_features)[1].sum(axis=(-1, -2))

    def own(self, v: Array, n_components: int, n_features: int) -> Array:  # noqa: D102
        lead = (*v.shape[:-1], n_components)
        own = [part.reshape(*lead, -1) for part, tied in self._pieces(v, n_components, n_features) if not tied]
        return np.concatenate([np.empty((*lead, 0)), *own], axis=-1)

    def with_own(self, v: Array, own: Array, n_features: int) -> Array:  # noqa: D102
        changed, first, pieces = [], 0, self._pieces(v, own.shape[-2], n_features)
        for part, tied in pieces:
            width = 0 if tied else math.prod(part.shape[v.ndim :])
            changed.append(part if tied else own[..., first : first + width].reshape(part.shape))
            first += width
        return self.joined(*changed)

    def _pieces(self, v: Array, n_components: int, n_features: int) -> list[tuple[Array, bool]]:
        """Return loadings and noise, each with True if it is tied."""
        own = self.restriction
        tied = own.ties_loadings, own.ties_noise
        return [*zip(self.parts(v, n_components, n_features), tied, strict=True)]
