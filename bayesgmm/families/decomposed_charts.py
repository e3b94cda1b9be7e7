"""Charts of families by volume, shape and orientation: each part shared by all components, or one for each."""

import math
from dataclasses import dataclass, replace
from typing import ClassVar, NamedTuple, Self

import numpy as np

from bayesgmm.families import rotations
from bayesgmm.families.charts import Chart, Logarithms, Triangles
from bayesgmm.families.forms import Form
from bayesgmm.families.sharing import OneEach
from bayesgmm.sweep.stats import Array


class Axes(NamedTuple):
    """Covariances by their axes.

    Parameters
    ----------
    log_sd : (..., K, D) float
        Logarithms of the standard deviations along the axes.
    rotation : (..., K, D, D) float, optional
        The axes are its columns; None: they are the columns of the data.
    """

    log_sd: Array
    rotation: Array | None


@dataclass(frozen=True)
class Decomposition(Chart):
    r"""Volumes, shapes and orientations, each with its own coordinates.

    .. math:: \Sigma_k = M^{-1} R_k \, \mathrm{diag}(e^{2 (\nu_k + a_k)}) \, R_k^\top M^{-1}, \qquad \sum_j a_{kj} = 0

    The coordinates are the logarithms :math:`\nu` of the geometric means of the standard deviations along the axes,
    contrasts of their logarithms (``contrasts``), and rotations (``rotations``).

    Parameters
    ----------
    inner : Triangles or Logarithms
        Chart of the roots without the restrictions.
    letters : str
        Of volume, shape and orientation, as in mclust.
    metric : tuple of float
        Diagonal of M: columns are multiplied by it before the covariances are decomposed. Its product is 1.
    """

    inner: Triangles | Logarithms
    letters: str
    metric: tuple[float, ...] = ()
    sharing: ClassVar = OneEach()

    @property
    def form(self) -> Form:  # noqa: D102
        return self.inner.form

    def parts(self, n_components: int) -> tuple[int, int, int]:
        """Return the numbers of different volumes, shapes and orientations."""
        counts = {"E": 1, "V": n_components, "I": 0}
        volumes, shapes, orientations = (counts[letter] for letter in self.letters)
        return volumes, shapes, orientations

    @property
    def turns_shapes(self) -> bool:
        """True if each shape has an orientation of its own, or several; False if shapes share one, or have none."""
        return self.letters[2] == "V" or self.letters[1:] == "EE"

    def _sizes(self, n_components: int, n_features: int) -> list[int]:
        """Return the numbers of coordinates of volumes, of shapes and of orientations."""
        each = 1, n_features - 1, n_features * (n_features - 1) // 2
        return [count * size for count, size in zip(self.parts(n_components), each, strict=True)]

    def size(self, n_components: int, n_features: int) -> int:  # noqa: D102
        return sum(self._sizes(n_components, n_features))

    def plan(self, n_components: int, n_features: int) -> dict[str, int]:  # noqa: D102
        volumes, shapes, orientations = self.parts(n_components)
        counts = {"volumes": volumes, "shapes": shapes, "orientations": orientations}
        own = {"coordinates_size": self.size(n_components, n_features)}  # "inner_size" is that of the inner chart
        return self.inner.plan(n_components, n_features) | counts | own

    def relative_to(self, metric: Array | None) -> Self:  # noqa: D102
        return self if metric is None else replace(self, metric=tuple(metric.tolist()))

    def metric_of(self, n_features: int) -> Array:  # noqa: D102
        return np.array(self.metric) if self.metric else np.ones(n_features)

    # -- coordinates and roots --

    def core_roots(self, v: Array, n_components: int, n_features: int) -> Array:  # noqa: D102
        log_sd, rotation = self.axes(v, n_components, n_features)
        precision, metric = np.exp(-log_sd), self.metric_of(n_features)
        if rotation is None:
            return precision * metric
        reversed_ = np.linalg.qr((precision[..., None] * np.swapaxes(rotation, -1, -2))[..., ::-1], mode="r")
        root = reversed_[..., ::-1, ::-1]
        return np.tril(root * np.sign(np.diagonal(root, axis1=-2, axis2=-1))[..., None]) * metric

    def axes(self, v: Array, n_components: int, n_features: int) -> Axes:
        """Return the axes of the covariances of all components, and the standard deviations along them."""
        parts, sizes = self.parts(n_components), self._sizes(n_components, n_features)
        pieces = np.split(v, np.cumsum(sizes)[:-1], axis=-1)
        volume, shape, turn = (
            piece.reshape(*v.shape[:-1], count, size // max(count, 1))
            for piece, count, size in zip(pieces, parts, sizes, strict=True)
        )
        log_sd = volume + shape @ contrasts(n_features)
        log_sd = np.broadcast_to(log_sd, (*v.shape[:-1], n_components, n_features))
        if not parts[2]:
            return Axes(log_sd, None)
        rotation = rotations.rotations(turn, n_features)
        return Axes(log_sd, np.broadcast_to(rotation, (*log_sd.shape, n_features)))

    def coordinates(self, core_roots: Array) -> Array:  # noqa: D102
        roots = core_roots / self.metric_of(core_roots.shape[-1])
        if self.letters[2] == "I":
            return self._joined(Axes(-np.log(roots), None))
        return self._joined(self._decomposed(roots))

    def _decomposed(self, roots: Array) -> Axes:
        """Return the axes of precisions with roots (..., K, D, D): those that are turned least from the columns."""
        if self.letters[2] == "E":
            axes = common_axes(roots.reshape(-1, *roots.shape[-3:])).reshape(*roots.shape[:-3], 1, *roots.shape[-2:])
        else:
            axes = np.swapaxes(np.linalg.svd(roots)[2], -1, -2)  # ordered by standard deviations: shapes agree
        near = axes**2
        if self.letters[1] == "E":  # axes change places in all components alike
            near = near.sum(axis=-3, keepdims=True)
        axes = np.take_along_axis(axes, rotations.order_of_axes(near)[..., None, :], axis=-1)
        axes = np.broadcast_to(rotations.turned_least(axes), roots.shape)
        log_sd = -0.5 * np.log(((roots @ axes) ** 2).sum(axis=-2))
        return Axes(log_sd, axes)

    def _joined(self, axes: Axes) -> Array:
        """Return the coordinates (..., size) of covariances; where parts are shared, of their means."""
        log_sd, rotation = axes
        volume = log_sd.mean(axis=-1)
        shape = log_sd @ contrasts(log_sd.shape[-1]).T
        pieces = [volume, shape] if rotation is None else [volume, shape, rotations.turns(rotation)]
        lead = log_sd.ndim - 2
        for number, letter in enumerate(self.letters[: len(pieces)]):
            if letter == "E":  # orientations are equal already
                one = pieces[number]
                pieces[number] = one.mean(axis=lead, keepdims=True) if number < 2 else one[..., :1, :]
        return np.concatenate([one.reshape(*log_sd.shape[:lead], -1) for one in pieces], axis=-1)

    def log_copies(self, n_components: int, n_features: int) -> float:
        """Return the logarithm of the number of rotations, with their shapes, that give the same covariances.

        An axis may be turned to its opposite, together with another one; axes may change places, in all components
        alike where these share orientation or shape. Haar's measure is the same around each copy.
        """
        orientations = self.parts(n_components)[2]
        orders = n_components if self.letters[1:] == "VV" else min(orientations, 1)
        signs = orientations * (n_features - 1) * math.log(2)
        return orders * math.lgamma(n_features + 1) + signs

    def log_volume(self, v: Array, n_components: int, n_features: int) -> Array:
        """Compute the log volume element (...) at coordinates (..., size), up to a constant.

        It is that of geometric means of standard deviations, of logarithms of their ratios, and of rotations.
        """
        volumes, shapes, _ = self._sizes(n_components, n_features)
        each = (*v.shape[:-1], self.parts(n_components)[2], n_features * (n_features - 1) // 2)
        turn = v[..., volumes + shapes :].reshape(each)
        return v[..., :volumes].sum(axis=-1) + rotations.log_uniform(turn, n_features).sum(axis=-1)

    # -- components --

    def own(self, v: Array, n_components: int, n_features: int) -> Array:  # noqa: D102
        lead = (*v.shape[:-1], n_components)
        pieces = [v[..., at].reshape(*lead, -1) for at in self._own_pieces(n_components, n_features)]
        return np.concatenate([np.empty((*lead, 0)), *pieces], axis=-1)

    def with_own(self, v: Array, own: Array, n_features: int) -> Array:  # noqa: D102
        changed, first, n_components = v.copy(), 0, own.shape[-2]
        for at in self._own_pieces(n_components, n_features):
            width = (at.stop - at.start) // n_components
            changed[..., at] = own[..., first : first + width].reshape(*v.shape[:-1], -1)
            first += width
        return changed

    def _own_pieces(self, n_components: int, n_features: int) -> list[slice]:
        """Return the places of the coordinates of which each component has its own."""
        ends = np.cumsum([0, *self._sizes(n_components, n_features)]).tolist()
        return [slice(*ends[i : i + 2]) for i, letter in enumerate(self.letters) if letter == "V"]


def contrasts(n_features: int) -> Array:
    """Return orthonormal contrasts (D - 1, D), by Helmert: the mean of the first ones, minus the next.

    Examples
    --------
    >>> contrasts(2).round(3)
    array([[ 0.707, -0.707]])
    """
    i = np.arange(1, n_features)[:, None]
    j = np.arange(n_features)
    steps = np.where(j < i, 1.0, np.where(j == i, -1.0 * i, 0.0))
    return np.asarray(steps / np.sqrt(i * (i + 1.0)))


def common_axes(roots: Array) -> Array:
    """Return the axes (S, D, D) that precisions have in common: those of a sum with unequal weights."""
    precisions = np.swapaxes(roots, -1, -2) @ roots
    weight = np.exp(-np.arange(roots.shape[1])) / np.trace(precisions, axis1=2, axis2=3)
    return np.linalg.eigh((weight[:, :, None, None] * precisions).sum(axis=1))[1]
