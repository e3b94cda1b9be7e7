"""Coordinates of a change of loadings and noise, for quasi-Newton steps."""

from dataclasses import dataclass

import numpy as np

from bayesgmm.families.factor_steps import MIN_NOISE, Restriction
from bayesgmm.sweep.factor_tables import inner, projection
from bayesgmm.sweep.stats import Array, Stats

WEAKEST = 1e-3  # smallest share of a noise's precision that is known where the factors are not


@dataclass(frozen=True)
class FactorChanges:
    """Changes of the loadings, and of the logarithms of the noise's precisions.

    Parameters
    ----------
    restriction : Restriction
    """

    restriction: Restriction

    def _shapes(self, n_components: int, n_features: int) -> tuple[tuple[int, int, int], tuple[int, int]]:
        """Shapes of the loadings and of the precisions that differ."""
        own = self.restriction
        loadings = 1 if own.ties_loadings else n_components, n_features, own.n_factors
        return loadings, (1 if own.ties_noise else n_components, 1 if own.isotropic else n_features)

    def size(self, n_components: int, n_features: int) -> int:  # noqa: D102
        return sum(int(np.prod(shape)) for shape in self._shapes(n_components, n_features))

    def information(self, n: Array, n_features: int) -> Array:
        """Compute the information (size,) of points whose components and factors are known."""
        loadings, noise = self._shapes(len(n), n_features)
        columns = n_features // noise[1]
        by_loadings = np.broadcast_to(self._pooled(n, loadings[0])[:, None, None], loadings)
        by_noise = np.broadcast_to(2 * columns * self._pooled(n, noise[0])[:, None], noise)
        return np.concatenate([by_loadings.ravel(), by_noise.ravel()])

    @staticmethod
    def _pooled(each: Array, count: int) -> Array:
        """Sum numbers of the components (K, ...), if they share one."""
        return each if count == len(each) else each.sum(axis=0, keepdims=True)

    def _units(self, base: Array) -> tuple[Array, Array]:
        """Return the units of changes: of loadings (K, D), in the units of the points, and of logarithms (K, D).

        A change of one unit changes the likelihood of a point whose factors are not known by about one.
        """
        loadings, precision = base[..., :-1], base[..., -1]
        known = 1 - (loadings @ np.linalg.inv(inner(loadings)) * loadings).sum(axis=-1)  # share of the precision
        known = np.clip(known, WEAKEST, 1.0)
        for_noise = self.restriction.pooled_noise(known[None], np.ones((1, len(base))))[0]
        unit = 1 / (precision * np.sqrt(known))
        return np.broadcast_to(unit[:1], unit.shape) if self.restriction.ties_loadings else unit, 1 / for_noise

    def changed(self, v: Array, base: Array, n_components: int, n_features: int) -> Array:
        """Compute roots (K, D, q + 1) from coordinates of a change of ``base``."""
        shapes = self._shapes(n_components, n_features)
        loadings, noise = np.split(v, [int(np.prod(shapes[0]))])
        unit, unit_of_noise = self._units(base)
        precision = base[..., -1] * np.exp(noise.reshape(shapes[1]) * unit_of_noise)
        moved = base[..., :-1] / base[..., -1:] + loadings.reshape(shapes[0]) * unit[..., None]
        return np.concatenate([moved * precision[..., None], precision[..., None]], axis=-1)

    def most(self, base: Array) -> Array:
        """Return the largest values: the noise keeps a share of each column's variance."""
        loadings, noise = self._shapes(*base.shape[:2])
        variance = (1 + (base[..., :-1] ** 2).sum(axis=-1)) / base[..., -1] ** 2
        least = MIN_NOISE * self.restriction.pooled_noise(variance[None], np.ones((1, len(base))))[0]
        room = np.maximum(0.0, -0.5 * np.log(least) - np.log(base[..., -1])) / self._units(base)[1]
        return np.concatenate([np.full(int(np.prod(loadings)), np.inf), room[: noise[0], : noise[1]].ravel()])

    def gradient(self, stats: Stats, core_roots: Array, base: Array) -> Array:
        """Compute the gradient (size,) of the log likelihood, from matrices or from the sums of a low-rank sweep."""
        n, onto = stats.n[:, None, None], projection(core_roots)
        scaled, precision = core_roots[..., :-1] * core_roots[..., -1:], core_roots[..., -1]
        if stats.s2.shape[-1] == core_roots.shape[-1]:
            product, square = stats.s2[..., :-1], stats.s2[..., -1]
        else:
            product, square = stats.s2 @ onto, np.diagonal(stats.s2, axis1=1, axis2=2)
        across = np.swapaxes(scaled, 1, 2) @ product
        by_loadings = precision[..., None] ** 2 * product - onto @ across - n * onto
        mixed = (product * scaled).sum(axis=-1)
        both = precision**4 * square - 2 * precision**2 * mixed + ((onto @ across) * scaled).sum(axis=-1)
        inverse = precision**2 - (onto * scaled).sum(axis=-1)
        unit, unit_of_noise = self._units(base)
        by_noise = -(both - stats.n[:, None] * inverse) / precision**2 * unit_of_noise
        loadings, noise = self._shapes(*base.shape[:2])
        by_loadings = self._pooled(by_loadings * unit[..., None], loadings[0])
        by_noise = self._pooled(by_noise, noise[0])
        if noise[1] == 1:
            by_noise = by_noise.sum(axis=1)
        return np.concatenate([by_loadings.ravel(), by_noise.ravel()])
