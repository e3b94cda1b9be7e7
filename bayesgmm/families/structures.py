"""Covariance families. No other file but this and ``covariances`` asks which family it has in hand.

A family stores its own roots (``core``): one matrix a component (full), one for all (tied), one row of
diagonals a component (diag), one number a component (spherical). ``expand`` turns them into what a table needs.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from bayesgmm.errors import DegenerateComponent, EmptyComponent
from bayesgmm.sweep.stats import Array, Stats

VANISHING = 1e-14  # a variance that is smaller than this, where the data's is of order one, is none
SINGULAR = 1e-10  # a column of which the columns before it leave less than this share of its variance is none


@dataclass(frozen=True)
class Family:
    """How the covariances of the components are restricted.

    Parameters
    ----------
    name : str
        scikit-learn's word for it.
    diagonal, tied, isotropic : bool
        Are roots diagonal; is there one for all components; is there one number for all features?
    """

    name: str
    diagonal: bool = False
    tied: bool = False
    isotropic: bool = False

    def core_shape(self, n_components: int, n_features: int) -> tuple[int, ...]:
        """Shape of the family's own covariances or roots."""
        count = 1 if self.tied else n_components
        if self.diagonal:
            return (count, 1 if self.isotropic else n_features)
        return (count, n_features, n_features)

    @property
    def dims(self) -> tuple[str, ...]:
        """Names of the axes of the family's own covariances."""
        each = () if self.isotropic else ("feature",) if self.diagonal else ("feature", "feature_bis")
        return each if self.tied else ("component", *each)

    def size(self, n_components: int, n_features: int) -> int:
        """How many free numbers the covariances have: also how many unconstrained coordinates."""
        count, rows, *columns = self.core_shape(n_components, n_features)
        return count * (rows * (rows + 1) // 2 if columns else rows)

    def maximise(self, stats: Stats, dof: float = 0.0, scale: Array | None = None) -> Array:
        """Covariances (core) that maximise the expected log likelihood, or the posterior's given a prior.

        Parameters
        ----------
        stats : Stats
            From a fold over a table of this family.
        dof, scale : float, array of one component's core shape, optional
            Of an inverse Wishart prior; its mode is taken (Fraley & Raftery 2007).

        Raises
        ------
        EmptyComponent
            When a component holds too few points for its covariance and no prior helps.
        """
        scatter, n = self._pooled(stats)
        free = 1 if self.diagonal else scatter.shape[-1]
        if scale is None:
            self._require_points(stats.n, n, free)
            return scatter / _columns(n, scatter)
        features = stats.s1.shape[1] if self.isotropic else 1
        return (features * scatter + scale) / _columns(features * n + dof + free + 1, scatter)

    def moments(self, stats: Stats) -> Array:
        """The same covariances however few points there are; singular where there are too few."""
        scatter, n = self._pooled(stats)
        return scatter / _columns(n, scatter)

    def widen(self, core: Array, floor: Array) -> Array:
        """Covariances in core shape, with floor (D,) added to their variances."""
        if self.isotropic:
            return core + floor.mean()
        return core + (floor if self.diagonal else np.diag(floor))

    def _pooled(self, stats: Stats) -> tuple[Array, Array]:
        """Scatter, and how many points it is of, in core shape."""
        scatter, n = stats.scatter(), stats.n
        if self.tied:
            scatter, n = scatter.sum(0, keepdims=True), n.sum(keepdims=True)
        return (scatter.mean(-1, keepdims=True) if self.isotropic else scatter), n

    def _require_points(self, each: Array, pooled: Array, free: int) -> None:
        k = int(np.argmin(each))
        if not each[k] > 0 or not pooled.min() >= free + 1 - 1e-9:
            raise EmptyComponent(
                f"component {k} holds {each[k]:.1f} points; a {self.name!r} covariance in {free} "
                f"{'dimension' if free == 1 else 'dimensions'} needs {free + 1}.\n"
                "  Try fewer components, covariance='diag' or 'spherical', or a stronger prior."
            )

    def squeezed(self, core: Array) -> Array:
        """Covariances or roots in scikit-learn's shape, from core shape: without the axes that hold one entry."""
        return core[0] if self.tied else core[:, 0] if self.isotropic else core

    def unsqueezed(self, values: Array) -> Array:
        """Covariances or roots in core shape, from scikit-learn's."""
        return values[None] if self.tied else values[:, None] if self.isotropic else values

    def roots(self, core: Array, vanishing: float = VANISHING, singular: float = SINGULAR) -> Array:
        """Precision roots of covariances, both in core shape, standardised.

        Parameters
        ----------
        core : covariances in core shape
        vanishing, singular : float
            What a variance, and the share of a column's variance that the columns before it leave, must exceed.

        Raises
        ------
        DegenerateComponent
            When a covariance is not positive definite to working precision.
        """
        if self.diagonal:
            self._require_regular(core.min(-1) > vanishing)
            return 1 / np.sqrt(core)
        variance = np.diagonal(core, axis1=-2, axis2=-1)
        self._require_regular((variance > vanishing).all(-1) & np.isfinite(core).all((-1, -2)))
        try:
            chol = np.linalg.cholesky(core)
        except np.linalg.LinAlgError:
            self._require_regular([is_positive_definite(one) for one in core])
            raise
        pivots = np.diagonal(chol, axis1=-2, axis2=-1) ** 2  # what each column adds to those before it
        self._require_regular((pivots > singular * variance).all(-1))
        return np.tril(np.linalg.inv(chol))

    def _require_regular(self, regular: Any) -> None:
        bad = np.argwhere(~np.atleast_1d(regular))
        if len(bad):
            which = "the tied covariance" if self.tied else f"the covariance of component {bad[0][-1]}"
            raise DegenerateComponent(
                f"{which} is singular: its points lie on a lower-dimensional set.\n"
                "  Try fewer components, covariance='diag' or 'spherical', a stronger prior, or drop columns that "
                "are constant or copies of others."
            )

    def expand(self, core: Array, n_components: int, n_features: int) -> Array:
        """Roots for a table, (..., K, D, D) or (..., K, D), from the family's own."""
        shape = (n_components, n_features) if self.diagonal else (n_components, n_features, n_features)
        return np.broadcast_to(core, (*core.shape[: -len(shape)], *shape))

    def matrices(self, core_roots: Array, n_components: int, n_features: int) -> Array:
        """(..., K, D, D) the covariances of roots in core shape."""
        if self.diagonal:
            variance = self.expand(core_roots**-2.0, n_components, n_features)
            return variance[..., None] * np.eye(n_features)
        chol = np.linalg.solve(core_roots, np.broadcast_to(np.eye(n_features), core_roots.shape))
        covariance = chol @ np.swapaxes(chol, -1, -2)
        return self.expand(covariance, n_components, n_features).copy()

    def compose(self, change: Array, core_roots: Array) -> Array:
        """Roots ``change root``, all in core shape: a change of what a root makes of a point."""
        return change * core_roots if self.diagonal else change @ core_roots

    def information(self, n: Array, n_features: int) -> Array:
        """(size,) what points of known component, n (K,) of each, tell about a change's coordinates at none."""
        count = n.sum(keepdims=True) if self.tied else n
        if self.diagonal:
            return np.repeat(2 * count * (n_features if self.isotropic else 1), 1 if self.isotropic else n_features)
        rows, columns = np.tril_indices(n_features)
        return np.outer(count, np.where(rows == columns, 2.0, 1.0)).reshape(-1)

    def gradient(self, stats: Stats, core_roots: Array, base: Array) -> Array:
        """(size,) slope of the log likelihood in the coordinates of a change that made these roots of ``base``."""
        root = self.expand(core_roots, *stats.s1.shape)
        if self.diagonal:
            slope = stats.n[:, None] - root**2 * stats.s2
            return (slope.sum(axis=1) if self.isotropic else slope).reshape(-1)
        slope = -root @ stats.s2 @ np.swapaxes(self.expand(base, *stats.s1.shape), 1, 2)
        n = stats.n
        if self.tied:
            slope, n = slope.sum(axis=0, keepdims=True), n.sum(keepdims=True)
        rows, columns = np.tril_indices(root.shape[-1])
        d = np.arange(root.shape[-1])
        slope[:, d, d] = slope[:, d, d] * (core_roots[:, d, d] / base[:, d, d]) + n[:, None]
        return slope[:, rows, columns].reshape(-1)

    def stretch(self, core_roots: Array, steps: Array) -> Array:
        """(K, D) steps in standard deviations, ``root x``, as steps x."""
        root = self.expand(core_roots, *steps.shape)
        return steps / root if self.diagonal else np.linalg.solve(root, steps[:, :, None])[:, :, 0]

    def stretch_transposed(self, core_roots: Array, slopes: Array) -> Array:
        """(K, D) slopes in x as slopes in ``root x``."""
        root = self.expand(core_roots, *slopes.shape)
        return slopes / root if self.diagonal else np.linalg.solve(np.swapaxes(root, 1, 2), slopes[:, :, None])[:, :, 0]

    def precision_times(self, core_roots: Array, vectors: Array) -> Array:
        """(K, D) the precisions of the roots, ``root' root``, times vectors (K, D)."""
        root = self.expand(core_roots, *vectors.shape)
        return root**2 * vectors if self.diagonal else np.einsum("kij,kil,kl->kj", root, root, vectors)

    def cores(self, covariance: Array) -> Array:
        """Covariances in core shape from those of every component (K, D, D): ``matrices`` undone.

        Examples
        --------
        >>> COVARIANCES["tied"].cores(np.stack([np.eye(2), np.eye(2)])).shape
        (1, 2, 2)
        """
        own = covariance[:1] if self.tied else covariance
        if not self.diagonal:
            return own
        variance = np.diagonal(own, axis1=-2, axis2=-1)
        return variance.mean(axis=-1, keepdims=True) if self.isotropic else variance

    def coordinates(self, core_roots: Array) -> Array:
        """(size,) unconstrained coordinates of roots in core shape."""
        if self.diagonal:
            return np.log(core_roots).reshape(-1)
        n_features = core_roots.shape[-1]
        v = core_roots.copy()
        d = np.arange(n_features)
        v[:, d, d] = np.log(v[:, d, d])
        return v[:, *np.tril_indices(n_features)].reshape(-1)

    def core_roots(self, v: Array, n_components: int, n_features: int) -> Array:
        """Roots in core shape from coordinates (..., size)."""
        shape = self.core_shape(n_components, n_features)
        if self.diagonal:
            return np.exp(v).reshape(*v.shape[:-1], *shape)
        root = np.zeros((*v.shape[:-1], *shape))
        rows, columns = np.tril_indices(n_features)
        root[..., rows, columns] = v.reshape(*v.shape[:-1], shape[0], -1)
        d = np.arange(n_features)
        root[..., d, d] = np.exp(root[..., d, d])
        return root


def _columns(n: Array, like: Array) -> Array:
    return n.reshape(-1, *[1] * (like.ndim - 1))


COVARIANCES = {
    "full": Family("full"),
    "tied": Family("tied", tied=True),
    "diag": Family("diag", diagonal=True),
    "spherical": Family("spherical", diagonal=True, isotropic=True),
}


def is_positive_definite(matrix: Array) -> bool:
    """Whether it has a Cholesky factor."""
    try:
        np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        return False
    return True
