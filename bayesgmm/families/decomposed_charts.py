"""Charts of families by volume, shape and orientation: each part shared by all components, or one for each."""

import math
from dataclasses import dataclass, field, replace
from typing import ClassVar, NamedTuple, Self

import numpy as np

from bayesgmm.families import rotations
from bayesgmm.families.charts import Chart, Logarithms, Triangles
from bayesgmm.families.forms import Form
from bayesgmm.families.sharing import OneEach
from bayesgmm.sweep.stats import Array

SMALLEST = 1e-8  # smallest difference of logarithms of standard deviations, as a coordinate


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
    contrasts of their logarithms or the logarithms of their differences (``shape_coordinates``), and rotations
    (``rotations``).

    Parameters
    ----------
    inner : Triangles or Logarithms
        Chart of the roots without the restrictions.
    letters : str
        Of volume, shape and orientation, as in mclust.
    metric : tuple of float
        Diagonal of M: columns are multiplied by it before the covariances are decomposed. Its product is 1.
    turned : (M, D, D) float, optional
        Axes, in columns, that the coordinates of orientations turn. Default: the columns of the data.
    """

    inner: Triangles | Logarithms
    letters: str
    metric: tuple[float, ...] = ()
    turned: Array | None = field(default=None, compare=False, repr=False)
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
    def ordered(self) -> bool:
        """True if the standard deviations along the axes decrease: where each shape has orientations of its own.

        Where shapes share an orientation, they may have different orders.
        """
        return self.letters[2] == "V" or self.letters[1:] == "EE"

    def _sizes(self, n_components: int, n_features: int) -> list[int]:
        """Return the numbers of coordinates of volumes, of shapes and of orientations."""
        each = 1, n_features - 1, n_features * (n_features - 1) // 2
        return [count * size for count, size in zip(self.parts(n_components), each, strict=True)]

    def size(self, n_components: int, n_features: int) -> int:  # noqa: D102
        return sum(self._sizes(n_components, n_features))

    def plan(self, n_components: int, n_features: int) -> dict[str, int]:  # noqa: D102
        volumes, shapes, orientations = self.parts(n_components)
        counts = {"volumes": volumes, "shapes": shapes, "orientations": orientations, "ordered_shapes": self.ordered}
        own = {"coordinates_size": self.size(n_components, n_features)}  # "inner_size" is that of the inner chart
        return self.inner.plan(n_components, n_features) | counts | own

    def relative_to(self, metric: Array | None) -> Self:  # noqa: D102
        return self if metric is None else replace(self, metric=tuple(metric.tolist()))

    def metric_of(self, n_features: int) -> Array:  # noqa: D102
        return np.array(self.metric) if self.metric else np.ones(n_features)

    @property
    def reference(self) -> Array:  # noqa: D102
        return np.empty((0, 0, 0)) if self.turned is None else self.turned

    def about(self, axes: Array) -> Self:  # noqa: D102
        return replace(self, turned=np.ascontiguousarray(axes)) if len(axes) else self

    def axes_at(self, v: Array, n_components: int, n_features: int) -> Array:  # noqa: D102
        rotation, count = self.axes(v, n_components, n_features).rotation, self.parts(n_components)[2]
        return np.empty((0, n_features, n_features)) if rotation is None else rotation[:count].copy()

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
        log_sd = volume + (steps_down(np.exp(shape)) if self.ordered else shape @ contrasts(n_features))
        log_sd = np.broadcast_to(log_sd, (*v.shape[:-1], n_components, n_features))
        if not parts[2]:
            return Axes(log_sd, None)
        rotation = rotations.rotations(turn, n_features)
        if self.turned is not None:
            rotation = self.turned @ rotation
        return Axes(log_sd, np.broadcast_to(rotation, (*log_sd.shape, n_features)))

    def coordinates(self, core_roots: Array) -> Array:  # noqa: D102
        roots = core_roots / self.metric_of(core_roots.shape[-1])
        if self.letters[2] == "I":
            return self._joined(Axes(-np.log(roots), None))
        return self._joined(self._decomposed(roots))

    def _decomposed(self, roots: Array) -> Axes:
        """Return the axes of precisions with roots (..., K, D, D), as small turns of the columns or reference."""
        if self.letters[2] == "E":
            axes = common_axes(roots.reshape(-1, *roots.shape[-3:])).reshape(*roots.shape[:-3], 1, *roots.shape[-2:])
        else:
            axes = np.linalg.svd(roots)[2]
            axes = np.swapaxes(axes[..., ::-1, :], -1, -2)  # the largest standard deviation comes first
        if self.turned is not None:
            roots = roots @ self.turned
            axes = np.swapaxes(self.turned, -1, -2) @ axes
        if not self.ordered:
            axes = np.take_along_axis(axes, rotations.order_of_axes(axes**2)[..., None, :], axis=-1)
        axes = np.broadcast_to(rotations.turned_least(axes), roots.shape)
        log_sd = -0.5 * np.log(((roots @ axes) ** 2).sum(axis=-2))
        return Axes(log_sd, axes)

    def _joined(self, axes: Axes) -> Array:
        """Return the coordinates (..., size) of covariances; where parts are shared, of their means."""
        log_sd, rotation = axes
        lead = log_sd.ndim - 2
        volume = log_sd.mean(axis=-1, keepdims=True)
        shape = log_sd - volume
        volume, shape = (
            part.mean(axis=lead, keepdims=True) if letter == "E" else part
            for letter, part in zip(self.letters, (volume, shape), strict=False)
        )
        pieces = [volume, self._of_shapes(shape)]
        if rotation is not None:
            pieces.append(rotations.turns(rotation[..., :1, :, :] if self.letters[2] == "E" else rotation))
        return np.concatenate([one.reshape(*log_sd.shape[:lead], -1) for one in pieces], axis=-1)

    def _of_shapes(self, shape: Array) -> Array:
        """Return the coordinates (..., D - 1) of logarithms of standard deviations about their mean (..., D)."""
        if not self.ordered:
            return shape @ contrasts(shape.shape[-1]).T
        return np.log(np.maximum(-np.diff(shape, axis=-1), SMALLEST))

    def has_copies(self, n_features: int) -> bool:  # noqa: D102
        return self.letters[2] != "I" and n_features > 1

    def log_copies(self, v: Array, n_components: int, n_features: int) -> Array:
        """Compute the log (...) of the density of orientations, summed over rotations that give the same covariances.

        An axis may be turned to its opposite, together with another one; where they are not ordered, axes may change
        places, in all components alike.
        """
        turn = self._turns(v, n_components, n_features)
        signs = turn.shape[-2] * (n_features - 1) * math.log(2)
        orders = 0.0 if self.ordered else turn.shape[-2] * math.lgamma(n_features + 1)
        return orders + signs - rotations.log_preference(turn, n_features).sum(axis=-1)

    def _turns(self, v: Array, n_components: int, n_features: int) -> Array:
        """Return the coordinates of the different orientations (..., M, D (D - 1) / 2)."""
        count, size = self.parts(n_components)[2], n_features * (n_features - 1) // 2
        return v[..., v.shape[-1] - count * size :].reshape(*v.shape[:-1], count, size)

    def log_volume(self, v: Array, n_components: int, n_features: int) -> Array:
        """Compute the log volume element (...) at coordinates (..., size), up to a constant.

        It is that of geometric means of standard deviations, of logarithms of their ratios, and of rotations.
        """
        volumes, shapes, _ = self._sizes(n_components, n_features)
        turn = self._turns(v, n_components, n_features)
        total = v[..., :volumes].sum(axis=-1) + rotations.log_uniform(turn, n_features).sum(axis=-1)
        return total + v[..., volumes : volumes + shapes].sum(axis=-1) if self.ordered else total

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


def steps_down(differences: Array) -> Array:
    """Return decreasing numbers (..., D) of mean 0 with these differences (..., D - 1).

    Examples
    --------
    >>> steps_down(np.array([1.0, 2.0])).round(3)
    array([ 1.333,  0.333, -1.667])
    """
    down = np.concatenate([np.zeros((*differences.shape[:-1], 1)), -differences.cumsum(axis=-1)], axis=-1)
    return np.asarray(down - down.mean(axis=-1, keepdims=True))


def common_axes(roots: Array) -> Array:
    """Return the axes (S, D, D) that precisions have in common: those of a sum with unequal weights."""
    precisions = np.swapaxes(roots, -1, -2) @ roots
    weight = np.exp(-np.arange(roots.shape[1])) / np.trace(precisions, axis1=2, axis2=3)
    return np.linalg.eigh((weight[:, :, None, None] * precisions).sum(axis=1))[1]
