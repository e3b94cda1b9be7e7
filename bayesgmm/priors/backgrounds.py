"""Background: a broad Gaussian for outliers, so that they do not distort the components of a mixture."""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Self

import numpy as np
from pydantic import BeforeValidator, Field

from bayesgmm.data.points import Points, per_column
from bayesgmm.data.standards import Standard
from bayesgmm.data.streams import Stream
from bayesgmm.declared import Declared, Numbers, Positive, PositiveNumbers, no_boolean
from bayesgmm.errors import DataError
from bayesgmm.sweep.blocks import BackgroundRow
from bayesgmm.sweep.stats import LOG_2PI, Array
from bayesgmm.wording import listing

if TYPE_CHECKING:
    from pytensor.tensor.variable import TensorVariable

QUARTILES_APART = 1.3489795003921634  # of a standard normal distribution


Share = Annotated[float, BeforeValidator(no_boolean), Field(gt=0, lt=1)]


class Background(Declared):
    r"""Broad Gaussian with a fixed share of the density, beside the components that are learned.

    .. math:: p(x) = (1 - \epsilon) \sum_k w_k \, \mathrm{Normal}(x \mid \mu_k, \Sigma_k)
              + \epsilon \prod_j \mathrm{Normal}(x_j \mid m_j, b_j^2)

    A point far from all components is then assigned to the background, and has no influence on them. Data without
    outliers lose a little: the background takes its share of the components' tails, so that their estimated covariances
    are slightly too small.

    Parameters
    ----------
    share : float
        :math:`\epsilon`, between 0 and 1: the expected share of outliers.
    spread : float
        Width of the background: :math:`b_j` is at least ``spread`` times the column's interquartile range divided by
        1.349 (which is the standard deviation of a normal column), and large enough that every point lies within
        ``spread`` times :math:`b_j` of :math:`m_j`. A background that is too broad costs little; if it is too narrow, a
        component may fit far outliers.
    location, scale : float or tuple of float, optional
        :math:`m_j` and :math:`b_j` in data units; by default from the data, the location from the medians.

    Raises
    ------
    DeclarationError
        All mistakes at once.

    References
    ----------
    .. [1] Banfield & Raftery (1993), Biometrics 49(3), 803-821.
    .. [2] Hennig (2004), Ann. Stat. 32(4), 1313-1340: a fixed background makes a mixture robust.

    Examples
    --------
    >>> from bayesgmm.data.points import as_points
    >>> Background(share=0.1).resolve(as_points([0.0, 1.0, 2.0, 3.0, 1e6])).location
    (2.0,)
    """

    share: Share = 0.05
    spread: Positive = 3.0
    location: Numbers | None = None
    scale: PositiveNumbers | None = None

    def resolve(self, points: Points | Stream) -> Self:
        """Return the same background with its location and scale explicit.

        Raises
        ------
        DataError
            When a column is constant, so that it can't set a scale.
        DeclarationError
            When location or scale has another number of columns.
        """
        columns = points.columns
        middle = _quantiles(points, [0.5])[0]
        location = middle if self.location is None else per_column(self.location, columns, "background.location")
        if self.scale is None:
            far = np.nanmax(np.abs(points.counted - location), axis=0)
            scale = np.maximum(self.spread * _widths(points), far / self.spread)
        else:
            scale = per_column(self.scale, columns, "background.scale")
        return self.model_copy(update={"location": tuple(location.tolist()), "scale": tuple(scale.tolist())})

    def numbers(self) -> tuple[Array, Array]:
        """Return location (D,) and scale (D,), in data units, of a resolved background."""
        return np.asarray(self.location, dtype=np.float64), np.asarray(self.scale, dtype=np.float64)

    def row(self, standard: Standard) -> BackgroundRow:
        """Return the background as a row of a table, in standardised coordinates."""
        location, scale = self.numbers()
        root = standard.scale / scale
        offset = math.log(self.share) + float(np.log(root).sum()) - 0.5 * root.size * LOG_2PI
        return BackgroundRow(math.log1p(-self.share), offset, (location - standard.shift) / standard.scale, root)

    def append_to(
        self,
        weight: "Array | TensorVariable",
        mean: "Array | TensorVariable",
        covariance: "Array | TensorVariable",
        concatenate: "Callable[..., Array | TensorVariable]" = np.concatenate,
    ) -> "tuple[Array | TensorVariable, Array | TensorVariable, Array | TensorVariable]":
        """Return weights, means and covariances with those of the background as component K + 1.

        Parameters
        ----------
        weight, mean, covariance : (..., K), (..., K, D) and (..., K, D, D) arrays, or tensors without leading axes
            In data units.
        concatenate : callable
            ``numpy.concatenate``, or ``pytensor.tensor.concatenate`` for tensors.

        Examples
        --------
        >>> from bayesgmm.data.points import as_points
        >>> far = Background(share=0.1, location=0.0, scale=9.0).resolve(as_points([0.0, 1.0]))
        >>> far.append_to(np.ones(1), np.ones((1, 1)), np.ones((1, 1, 1)))[0]
        array([0.9, 0.1])
        """
        location, scale = self.numbers()
        lead = tuple(weight.shape[:-1]) if weight.ndim > 1 else ()
        learned = ((1 - self.share) * weight, mean, covariance)
        row = (np.array([self.share]), location[None], np.diag(np.square(scale))[None])
        weight, mean, covariance = (
            concatenate([of, np.broadcast_to(own, (*lead, *own.shape))], axis=len(lead))
            for of, own in zip(learned, row, strict=True)
        )
        return weight, mean, covariance


def _quantiles(points: Points | Stream, at: list[float]) -> Array:
    """Compute quantiles of what is observed of each column (len(at), D)."""
    if points.weights is None:
        return np.nanquantile(points.values, at, axis=0)
    weights = np.broadcast_to(points.weights[:, None], points.values.shape)
    return np.nanquantile(points.values, at, axis=0, weights=weights, method="inverted_cdf")


def _widths(points: Points | Stream) -> Array:
    """Compute robust standard deviations (D,) from the quartiles; the usual ones where the quartiles coincide."""
    low, high = _quantiles(points, [0.25, 0.75])
    width = np.where(high > low, (high - low) / QUARTILES_APART, points.centre_and_sd[1])
    if constant := [name for name, w in zip(points.columns, width, strict=True) if not w > 0]:
        raise DataError(
            f"{listing(constant)} has one value throughout, so the data can't set the background's scale.\n"
            "  Drop constant columns, or give Background(scale=...)."
        )
    return width
