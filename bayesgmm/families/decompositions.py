r"""Covariances by volume, shape and orientation, each of which is free, equal for all components, or the identity.

.. math:: \Sigma_k = \lambda_k D_k A_k D_k^\top, \qquad |A_k| = 1

Three letters name a family [1]_: for volume :math:`\lambda`, shape A and orientation D, ``V`` if it is free, ``E`` if
it is equal for all components, ``I`` if it is the identity. Here are the eight whose covariances are neither free nor
one for all; ``structures`` has the others.

The M step has two parts: axes, and the variances along them (``SPECTRA``). The axes are the columns, those of each
covariance, or common ones (``axes_kernels``). Only for VEE, whose axes and shape are one matrix, the two are one.

References
----------
.. [1] Celeux & Govaert (1995), Pattern Recognition 28(5), 781-793.
.. [2] Browne & McNicholas (2014), Stat. Comput. 24, 203-210.
.. [3] Fraley & Raftery (2007), J. Classification 24, 155-181.
"""

from abc import abstractmethod
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from bayesgmm.families.axes_kernels import ROUNDS, rotate_to_common_axes
from bayesgmm.families.charts import Logarithms, Triangles
from bayesgmm.families.decomposed_charts import Decomposition, common_axes
from bayesgmm.families.diagonals import Diagonals
from bayesgmm.families.family import Family
from bayesgmm.families.sharing import OneEach
from bayesgmm.families.squares import Squares
from bayesgmm.sweep.stats import Array

SETTLED = 1e-12  # relative change of the volumes at which an iteration has converged
STEPS = 500  # maximum number of steps of such an iteration
FIRST_ROUNDS = 3  # towards common axes from each start, before the best of these is continued
TINY = np.finfo(float).tiny
TURNED, ALONG_COLUMNS = Triangles(OneEach()), Logarithms(OneEach(), Diagonals())  # charts without the restrictions


class Decomposed(Family):
    """Family of which some parts of the covariances are equal for all components, and others free."""

    sharing: ClassVar = OneEach()
    is_conjugate: ClassVar = False

    @property
    def formula(self) -> str:
        """Formula of the restrictions, for reports.

        Examples
        --------
        >>> VEV().formula
        'Σ_k = λ_k D_k A D_k^⊤, |A| = 1'
        """
        letters = zip("λAD", self.name, strict=True)
        volume, shape, axes = (f"{symbol}_k" if letter == "V" else symbol for symbol, letter in letters)
        turned = shape if self.name[2] == "I" else f"{axes} {shape} {axes}^⊤"
        return f"Σ_k = {volume} {turned}, |{shape}| = 1"

    def size(self, n_components: int, n_features: int) -> int:  # noqa: D102
        times = {"E": 1, "V": n_components, "I": 0}
        sizes = 1, n_features - 1, n_features * (n_features - 1) // 2
        return sum(times[letter] * size for letter, size in zip(self.name, sizes, strict=True))

    def points_needed(self, n_features: int) -> int:
        """Minimum number of points of each component: for a shape, a volume, or only an orientation of its own."""
        own = {"VE": 2, "EE": 1}
        return own.get(self.name[:2], self.form.block_size(n_features) + 1)

    def restrict(self, core: Array, n: Array, n_mixtures: int = 1, before: Array | None = None) -> Array:  # noqa: D102
        parts = core.reshape(n_mixtures, -1, *core.shape[1:]), n.reshape(n_mixtures, -1)
        if before is not None:
            before = before.reshape(parts[0].shape)
        with np.errstate(all="ignore"):  # a singular covariance is found by its root
            return self._restricted(*parts, before).reshape(core.shape)

    @abstractmethod
    def _restricted(self, core: Array, n: Array, before: Array | None) -> Array:
        """Compute the covariances (S, K, ...) of S mixtures that are closest to unrestricted ones."""

    def _spectra(self, variances: Array, n: Array) -> Array:
        """Restrict the variances (S, K, D) along the axes."""
        return SPECTRA[self.name[:2]](variances, n)


# -- variances along given axes --


def _free(variances: Array, n: Array) -> Array:
    return variances


def _pooled(variances: Array, n: Array) -> Array:
    share = n / n.sum(axis=1, keepdims=True)
    return np.broadcast_to((share[:, :, None] * variances).sum(axis=1, keepdims=True), variances.shape)


def _with_equal_volumes(variances: Array, n: Array) -> Array:
    """Scale the variances (S, K, D) of each component so that all have the same product."""
    volume = np.exp(np.log(np.maximum(variances, TINY)).mean(axis=2, keepdims=True))
    return variances / volume * _pooled(volume, n)


def _with_equal_shapes(variances: Array, n: Array) -> Array:
    """Compute variances that are proportional to each other; their logarithms are the only minimum of a convex sum.

    Volumes and shape are computed from each other in turn, as matrices are balanced (Sinkhorn's algorithm).
    """
    volume = variances.mean(axis=2, keepdims=True)
    for _ in range(STEPS):
        shape = _unit(_pooled(variances / volume, n)[:, :1])
        volume, last = (variances / shape).mean(axis=2, keepdims=True), volume
        if not (np.abs(volume - last) > SETTLED * volume).any():
            break
    return volume * shape


def _unit(shape: Array) -> Array:
    """Scale numbers (..., D) so that their product is one."""
    return shape / np.exp(np.log(np.maximum(shape, TINY)).mean(axis=-1, keepdims=True))


SPECTRA: dict[str, Callable[[Array, Array], Array]] = {
    "EE": _pooled,
    "VE": _with_equal_shapes,
    "EV": _with_equal_volumes,
    "VV": _free,
}


# -- families --


class AlongColumns(Decomposed):
    """The axes are the columns: diagonal covariances."""

    form: ClassVar = Diagonals()

    def _restricted(self, core: Array, n: Array, before: Array | None) -> Array:
        return self._spectra(core, n)


class OwnAxes(Decomposed):
    """Each component has its own axes: those of its unrestricted covariance."""

    form: ClassVar = Squares()

    def _restricted(self, core: Array, n: Array, before: Array | None) -> Array:
        variances, axes = np.linalg.eigh(core)
        return _along(axes, self._spectra(variances, n))


class CommonAxes(Decomposed):
    """All components have the same axes, which are found by iteration."""

    form: ClassVar = Squares()
    needs_common_scale: ClassVar = True

    def _restricted(self, core: Array, n: Array, before: Array | None) -> Array:
        axes = self._best_start(core, n) if before is None else common_axes(before)
        axes, variances = self._climbed(core, n, axes, ROUNDS)
        return _along(axes[:, None], variances)

    def _best_start(self, core: Array, n: Array) -> Array:
        """Return axes (S, D, D) from which to search: after a few rounds from each start, those that fit best."""
        tried = [self._climbed(core, n, axes, FIRST_ROUNDS) for axes in _starts(core, n)]
        cost = np.array([_log_volume(variances, n) for _, variances in tried])
        best = np.argmin(np.nan_to_num(cost, nan=np.inf), axis=0)
        return np.array([axes for axes, _ in tried])[best, np.arange(len(core))]

    def _climbed(self, core: Array, n: Array, axes: Array, rounds: int) -> tuple[Array, Array]:
        """Return axes (S, D, D) that fit better than those given, and the variances (S, K, D) along them."""
        turned = np.swapaxes(axes, 1, 2)[:, None] @ core @ axes[:, None]
        rotate_to_common_axes(turned, np.ascontiguousarray(n), self.name[0] == "E", axes, rounds)
        return axes, self._spectra(np.diagonal(turned, axis1=2, axis2=3), n)


def _starts(core: Array, n: Array) -> list[Array]:
    """Return the axes (S, D, D) of the mean covariance, and of each one: the search has local maxima."""
    mean = _pooled(core.reshape(*n.shape, -1), n)[:, :1].reshape(-1, 1, *core.shape[2:])
    axes = np.linalg.eigh(np.concatenate([mean, core], axis=1))[1]
    return [one.copy() for one in np.moveaxis(axes, 1, 0)]


def _along(axes: Array, variances: Array) -> Array:
    """Make covariances from axes (..., D, D), columns, and variances (..., D)."""
    return (axes * variances[..., None, :]) @ np.swapaxes(axes, -1, -2)


def _log_volume(variances: Array, n: Array) -> Array:
    """Sum over components of n times the log volume (S,): lower for a higher likelihood."""
    return (n * np.log(np.maximum(variances, TINY)).sum(axis=2)).sum(axis=1)


@dataclass(frozen=True)
class VEI(AlongColumns):
    r"""Diagonal covariances of equal shape, each with its own volume.

    .. math:: \Sigma_k = \lambda_k A, \qquad K + D - 1 \text{ free parameters}

    Examples
    --------
    >>> VEI().size(n_components=3, n_features=2)
    4
    """

    name: ClassVar = "VEI"
    mclust: ClassVar = "VEI"
    chart: ClassVar = Decomposition(ALONG_COLUMNS, "VEI")
    words: ClassVar = "no correlations: ellipses along the axes, of the same shape but different sizes"


@dataclass(frozen=True)
class EVI(AlongColumns):
    r"""Diagonal covariances of equal volume, each with its own shape.

    .. math:: \Sigma_k = \lambda A_k, \qquad 1 + K (D - 1) \text{ free parameters}

    Examples
    --------
    >>> EVI().size(n_components=3, n_features=2)
    4
    """

    name: ClassVar = "EVI"
    mclust: ClassVar = "EVI"
    chart: ClassVar = Decomposition(ALONG_COLUMNS, "EVI")
    words: ClassVar = "no correlations: ellipses along the axes, of the same size but different shapes"


@dataclass(frozen=True)
class VEE(Decomposed):
    r"""Covariances that are proportional to each other: equal shape and orientation.

    .. math:: \Sigma_k = \lambda_k C, \qquad K + D (D + 1) / 2 - 1 \text{ free parameters}

    Examples
    --------
    >>> VEE().size(n_components=3, n_features=2)
    5
    """

    name: ClassVar = "VEE"
    mclust: ClassVar = "VEE"
    chart: ClassVar = Decomposition(TURNED, "VEE")
    words: ClassVar = "covariances are proportional: ellipses of the same shape and direction but different sizes"
    form: ClassVar = Squares()

    def _restricted(self, core: Array, n: Array, before: Array | None) -> Array:
        """Compute volumes and the common matrix from each other in turn; the maximum is the only one."""
        n_features = core.shape[-1]
        volume = np.trace(core, axis1=2, axis2=3)[:, :, None, None] / n_features
        flat = core.reshape(*n.shape, -1)
        common = core[:, :1]
        with suppress(np.linalg.LinAlgError):  # a singular matrix, which its root will find
            for _ in range(STEPS):
                common = _pooled(flat / volume[:, :, :, 0], n)[:, :1].reshape(-1, 1, n_features, n_features)
                precision = np.linalg.inv(common)
                volume, last = (core * precision).sum(axis=(2, 3), keepdims=True) / n_features, volume
                if not (np.abs(volume - last) > SETTLED * volume).any():
                    break
        return volume * common


@dataclass(frozen=True)
class EVE(CommonAxes):
    r"""Covariances of equal volume and orientation, each with its own shape.

    .. math:: \Sigma_k = \lambda D A_k D^\top, \qquad 1 + K (D - 1) + D (D - 1) / 2 \text{ free parameters}

    Examples
    --------
    >>> EVE().size(n_components=3, n_features=2)
    5
    """

    name: ClassVar = "EVE"
    mclust: ClassVar = "EVE"
    chart: ClassVar = Decomposition(TURNED, "EVE")
    words: ClassVar = "covariances have the same axes: ellipses of the same size and directions but different shapes"


@dataclass(frozen=True)
class VVE(CommonAxes):
    r"""Covariances of equal orientation, each with its own volume and shape: common principal components.

    .. math:: \Sigma_k = \lambda_k D A_k D^\top, \qquad K D + D (D - 1) / 2 \text{ free parameters}

    Examples
    --------
    >>> VVE().size(n_components=3, n_features=2)
    7
    """

    name: ClassVar = "VVE"
    mclust: ClassVar = "VVE"
    chart: ClassVar = Decomposition(TURNED, "VVE")
    words: ClassVar = "covariances have the same axes: ellipses of any size and shape along common directions"


@dataclass(frozen=True)
class EEV(OwnAxes):
    r"""Covariances of equal volume and shape, each with its own orientation.

    .. math:: \Sigma_k = \lambda D_k A D_k^\top, \qquad D + K D (D - 1) / 2 \text{ free parameters}

    Examples
    --------
    >>> EEV().size(n_components=3, n_features=2)
    5
    """

    name: ClassVar = "EEV"
    mclust: ClassVar = "EEV"
    chart: ClassVar = Decomposition(TURNED, "EEV")
    words: ClassVar = "ellipses of the same size and shape but different directions"
    needs_common_scale: ClassVar = True


@dataclass(frozen=True)
class VEV(OwnAxes):
    r"""Covariances of equal shape, each with its own volume and orientation.

    .. math:: \Sigma_k = \lambda_k D_k A D_k^\top, \qquad K + D - 1 + K D (D - 1) / 2 \text{ free parameters}

    Examples
    --------
    >>> VEV().size(n_components=3, n_features=2)
    7
    """

    name: ClassVar = "VEV"
    mclust: ClassVar = "VEV"
    chart: ClassVar = Decomposition(TURNED, "VEV")
    words: ClassVar = "ellipses of the same shape but different sizes and directions"
    needs_common_scale: ClassVar = True


@dataclass(frozen=True)
class EVV(OwnAxes):
    r"""Covariances of equal volume, each with its own shape and orientation.

    .. math:: \Sigma_k = \lambda D_k A_k D_k^\top, \qquad 1 + K (D - 1) (D + 2) / 2 \text{ free parameters}

    Examples
    --------
    >>> EVV().size(n_components=3, n_features=2)
    7
    """

    name: ClassVar = "EVV"
    mclust: ClassVar = "EVV"
    chart: ClassVar = Decomposition(TURNED, "EVV")
    words: ClassVar = "ellipses of the same size but different shapes and directions"


FAMILIES = (VEI(), EVI(), VEE(), EVE(), VVE(), EEV(), VEV(), EVV())
