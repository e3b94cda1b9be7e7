"""Charts: unconstrained coordinates of the roots of a covariance family.

Engines that work on a flat vector of unconstrained numbers (quasi-Newton steps, NUTS, ADVI) use a chart. ``code`` is
the number of a chart of roots in ``chart_kernels``, which has the compiled functions. ``decomposed_charts`` has the
charts of volume, shape and orientation, whose compiled functions lead to those of roots.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from bayesgmm.families.chart_kernels import LOGARITHMS, TRIANGLES
from bayesgmm.families.diagonals import Diagonals
from bayesgmm.families.forms import Form
from bayesgmm.families.sharing import Sharing
from bayesgmm.families.squares import Squares
from bayesgmm.sweep.matrices import cholesky
from bayesgmm.sweep.stats import Array, Stats


@dataclass(frozen=True)
class Chart(ABC):
    """Unconstrained coordinates v (size,) of roots in core shape (M, ...).

    Parameters
    ----------
    has_rotations : bool
        True if the coordinates of given covariances are a continuum, so that a maximum is no point.
    """

    has_rotations: ClassVar[bool] = False

    @property
    @abstractmethod
    def form(self) -> Form:
        """Form of the covariances."""

    @abstractmethod
    def size(self, n_components: int, n_features: int) -> int:
        """Number of coordinates."""

    @abstractmethod
    def plan(self, n_components: int, n_features: int) -> dict[str, int]:
        """Return the integers by which compiled code identifies these coordinates."""

    @abstractmethod
    def coordinates(self, core_roots: Array) -> Array:
        """Compute the coordinates (..., size) of roots in core shape (..., M, ...)."""

    @abstractmethod
    def core_roots(self, v: Array, n_components: int, n_features: int) -> Array:
        """Compute roots in core shape from coordinates (..., size): the inverse of ``coordinates``."""

    def relative_to(self, metric: Array | None) -> Self:
        """Return the chart of roots whose columns are multiplied by ``metric`` (D,), where this makes a difference."""
        return self

    def metric_of(self, n_features: int) -> Array:
        """Return what compiled code multiplies the columns of roots by: nothing, or (D,) numbers."""
        return np.empty(0)

    @abstractmethod
    def log_volume(self, v: Array, n_components: int, n_features: int) -> Array:
        """Compute the log volume element (...) of covariances by the coordinates (..., size), up to a constant."""

    def axes_at(self, v: Array, n_components: int, n_features: int) -> Array:
        """Return the different axes (M, D, D) of covariances at coordinates v (size,); none if it has no orientations.

        They are the columns of matrices.
        """
        return np.empty((0, n_features, n_features))

    def about(self, axes: Array) -> Self:
        """Return the chart of the same roots whose orientations are turns of axes (M, D, D), if there are any."""
        return self

    @property
    def reference(self) -> Array:
        """Axes that are turned (M, D, D); none if they are the columns."""
        return np.empty((0, 0, 0))

    def has_copies(self, n_features: int) -> bool:
        """Return True if several coordinates give the same covariances."""
        return False

    def log_copies(self, v: Array, n_components: int, n_features: int) -> Array:
        """Compute the log (...) of the prior density summed over all coordinates of the same covariances.

        It is relative to that at coordinates (..., size), and in units of the volume there.
        """
        return np.zeros(v.shape[:-1])

    @abstractmethod
    def own(self, v: Array, n_components: int, n_features: int) -> Array:
        """Return the coordinates (..., K, V) of which each component has its own, from all (..., size)."""

    @abstractmethod
    def with_own(self, v: Array, own: Array, n_features: int) -> Array:
        """Return coordinates (..., size) with those of each component replaced."""


@dataclass(frozen=True)
class RootChart(Chart):
    """Coordinates of roots without restrictions beside their form, of which changes can be composed.

    Parameters
    ----------
    sharing : Sharing
    """

    sharing: Sharing
    code: ClassVar[int]

    def size(self, n_components: int, n_features: int) -> int:  # noqa: D102
        return self.sharing.count(n_components) * self.form.size(n_features)

    def plan(self, n_components: int, n_features: int) -> dict[str, int]:  # noqa: D102
        count = self.sharing.count(n_components)
        core_size = count * int(np.prod(self.form.shape(n_features)))
        size = self.size(n_components, n_features)
        names = "chart", "n_cores", "core_size", "coordinates_size", "inner_size"
        return dict(zip(names, (self.code, count, core_size, size, size), strict=True))

    def own(self, v: Array, n_components: int, n_features: int) -> Array:  # noqa: D102
        each = self.sharing.count(n_components) == n_components
        return v.reshape(*v.shape[:-1], n_components, -1) if each else np.empty((*v.shape[:-1], n_components, 0))

    def with_own(self, v: Array, own: Array, n_features: int) -> Array:  # noqa: D102
        return own.reshape(v.shape) if own.shape[-1] else v

    @abstractmethod
    def log_root_volume(self, core: Array) -> Array:
        """Compute the log volume element (...) of covariances (..., M, ...) by the coordinates, up to a constant."""

    def log_volume(self, v: Array, n_components: int, n_features: int) -> Array:  # noqa: D102
        return self.log_root_volume(self.form.covariance(self.core_roots(v, n_components, n_features)))

    def compose(self, change: Array, core_roots: Array) -> Array:
        """Compute roots ``change root``, all in core shape: ``change`` transforms points that ``root`` has whitened."""
        return self.form.product(change, core_roots)

    def changed(self, v: Array, base: Array, n_components: int, n_features: int) -> Array:
        """Compute roots from coordinates (size,) of a change of the roots ``base``."""
        return self.compose(self.core_roots(v, n_components, n_features), base)

    def most(self, base: Array) -> Array | None:
        """Return the largest allowed values of the coordinates: they have no limits."""
        return None

    @abstractmethod
    def information(self, n: Array, n_features: int) -> Array:
        """Compute the Fisher information (size,) on the coordinates of a change, at no change.

        Each component has n (K,) points, whose components are known.
        """

    @abstractmethod
    def gradient(self, stats: Stats, core_roots: Array, base: Array) -> Array:
        """Compute the gradient (size,) of the log likelihood in the coordinates of a change from ``base``."""


@dataclass(frozen=True)
class Triangles(RootChart):
    """Rows of a lower triangle, with the logarithms of its diagonal: the log-Cholesky coordinates.

    References
    ----------
    .. [1] Pinheiro & Bates (1996), Statistics and Computing 6, 289-296.
    """

    code: ClassVar = TRIANGLES

    @property
    def form(self) -> Form:  # noqa: D102
        return Squares()

    def coordinates(self, core_roots: Array) -> Array:  # noqa: D102
        n_features = core_roots.shape[-1]
        v = core_roots.copy()
        d = np.arange(n_features)
        v[..., d, d] = np.log(v[..., d, d])
        return v[..., *np.tril_indices(n_features)].reshape(*v.shape[:-3], -1)

    def core_roots(self, v: Array, n_components: int, n_features: int) -> Array:  # noqa: D102
        count = self.sharing.count(n_components)
        root = np.zeros((*v.shape[:-1], count, n_features, n_features))
        rows, columns = np.tril_indices(n_features)
        root[..., rows, columns] = v.reshape(*v.shape[:-1], count, -1)
        d = np.arange(n_features)
        root[..., d, d] = np.exp(root[..., d, d])
        return root

    def log_root_volume(self, core: Array) -> Array:  # noqa: D102
        d = core.shape[-1]
        log_root = -np.log(np.diagonal(cholesky(core), axis1=-2, axis2=-1))
        return (log_root * (np.arange(1, d + 1) + 1 - 2 * (d + 1))).sum(axis=(-1, -2))

    def information(self, n: Array, n_features: int) -> Array:  # noqa: D102
        rows, columns = np.tril_indices(n_features)
        return np.outer(self.sharing.pool(n), np.where(rows == columns, 2.0, 1.0)).reshape(-1)

    def gradient(self, stats: Stats, core_roots: Array, base: Array) -> Array:  # noqa: D102
        root, before = (self.form.to_table(core, *stats.s1.shape) for core in (core_roots, base))
        slope = self.sharing.pool(-root @ stats.s2 @ np.swapaxes(before, 1, 2))
        rows, columns = np.tril_indices(root.shape[-1])
        d = np.arange(root.shape[-1])
        ratio = core_roots[:, d, d] / base[:, d, d]
        slope[:, d, d] = slope[:, d, d] * ratio + self.sharing.pool(stats.n)[:, None]
        return slope[:, rows, columns].reshape(-1)


@dataclass(frozen=True)
class Logarithms(RootChart):
    """Logarithms of diagonal roots.

    Parameters
    ----------
    sharing : Sharing
    diagonals : Diagonals
        Form of the covariances: diagonals, or multiples of the identity.
    """

    diagonals: Diagonals
    code: ClassVar = LOGARITHMS

    @property
    def form(self) -> Form:  # noqa: D102
        return self.diagonals

    def coordinates(self, core_roots: Array) -> Array:  # noqa: D102
        return np.log(core_roots).reshape(*core_roots.shape[:-2], -1)

    def core_roots(self, v: Array, n_components: int, n_features: int) -> Array:  # noqa: D102
        shape = (self.sharing.count(n_components), *self.form.shape(n_features))
        return np.exp(v).reshape(*v.shape[:-1], *shape)

    def log_root_volume(self, core: Array) -> Array:  # noqa: D102
        return np.log(core).sum(axis=(-1, -2))

    def information(self, n: Array, n_features: int) -> Array:  # noqa: D102
        form = self.form
        return np.repeat(2 * self.sharing.pool(n) * form.repeats(n_features), form.n_scales(n_features))

    def gradient(self, stats: Stats, core_roots: Array, base: Array) -> Array:  # noqa: D102
        root = self.form.to_table(core_roots, *stats.s1.shape)
        slope = self.sharing.pool(stats.n[:, None] - root**2 * stats.s2)
        return slope.reshape(*core_roots.shape, -1).sum(axis=-1).reshape(-1)
