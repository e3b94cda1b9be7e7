"""Transforms of one column: increasing functions with an inverse and a slope, defined for every number."""

from abc import abstractmethod
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, SerializeAsAny

from bayesgmm.declared import Declared, Positive, by_name
from bayesgmm.sweep.stats import Array

FARTHEST = 600.0  # largest argument of sinh and exp, where the inverse is cut off


class Curve(Declared):
    """Increasing transform of a column."""

    @property
    @abstractmethod
    def n_parameters(self) -> int:
        """Number of parameters that are estimated from the data."""

    @property
    def lowest(self) -> float:
        """Smallest value, in data units, for which the formula is made; the curve goes on below it."""
        return -np.inf

    @abstractmethod
    def forward(self, x: Array) -> Array:
        """Transform values (N,) in data units."""

    @abstractmethod
    def inverse(self, z: Array) -> Array:
        """Return transformed values (N,) to data units."""

    @abstractmethod
    def log_slope(self, x: Array) -> Array:
        """Logarithm of the derivative at values (N,) in data units."""

    @abstractmethod
    def named(self, column: str) -> str:
        """Name of the transformed column."""


class Power(Curve):
    r"""Box-Cox power of a shifted column; the logarithm for power 0.

    .. math:: z = ((x + c)^p - 1) / p, \qquad z = \log(x + c) \text{ for } p = 0

    where :math:`x + c` is at least ``start``; below it the tangent at ``start`` continues the curve, so that every
    number has a value.

    Parameters
    ----------
    power : float
    start : float
        Positive, in data units: the smallest shifted value that is transformed by the formula.
    shift : float
        In data units.

    References
    ----------
    .. [1] Box & Cox (1964), J. R. Stat. Soc. B 26(2), 211-252.

    Examples
    --------
    >>> Power(0, start=0.1).forward(np.array([1.0, np.e])).tolist()
    [0.0, 1.0]
    """

    power: Annotated[float, Field(ge=-5, le=5)]
    start: Positive
    shift: float = 0.0
    transform: Literal["power"] = "power"

    @property
    def n_parameters(self) -> int:  # noqa: D102
        return int(self.power != 0)

    @property
    def lowest(self) -> float:  # noqa: D102
        return self.start - self.shift

    def forward(self, x: Array) -> Array:  # noqa: D102
        u = np.asarray(x, np.float64) + self.shift
        return self._curve(np.maximum(u, self.start)) + np.minimum(u - self.start, 0) * self.start ** (self.power - 1)

    def inverse(self, z: Array) -> Array:  # noqa: D102
        below = np.minimum(np.asarray(z, np.float64) - self._curve(np.array(self.start)), 0)
        inside = self._inverse_curve(np.asarray(z, np.float64) - below)
        return inside + below * self.start ** (1 - self.power) - self.shift

    def log_slope(self, x: Array) -> Array:  # noqa: D102
        return (self.power - 1) * np.log(np.maximum(np.asarray(x, np.float64) + self.shift, self.start))

    def named(self, column: str) -> str:  # noqa: D102
        inner = f"{column} {'+' if self.shift > 0 else '-'} {abs(self.shift):.4g}" if self.shift else column
        return f"log({inner})" if self.power == 0 else f"power({inner}, {self.power:g})"

    def _curve(self, u: Array) -> Array:
        return np.log(u) if self.power == 0 else np.expm1(self.power * np.log(u)) / self.power

    def _inverse_curve(self, z: Array) -> Array:
        if self.power == 0:
            return np.exp(np.minimum(z, FARTHEST))
        with np.errstate(divide="ignore"):  # a negative power has an upper bound
            return np.exp(np.minimum(np.log(np.maximum(1 + self.power * z, 0.0)) / self.power, FARTHEST))


class Arcsinh(Curve):
    r"""Inverse hyperbolic sine: nearly linear around the centre, logarithmic far from it on both sides.

    .. math:: z = \operatorname{arsinh}((x - c) / s)

    If z is Gaussian, then x has Johnson's SU distribution.

    Parameters
    ----------
    centre, scale : float
        In data units.

    References
    ----------
    .. [1] Johnson (1949), Biometrika 36(1/2), 149-176.

    Examples
    --------
    >>> Arcsinh(centre=5.0, scale=2.0).forward(np.array([5.0, 7.0])).round(3).tolist()
    [0.0, 0.881]
    """

    centre: float
    scale: Positive
    transform: Literal["arcsinh"] = "arcsinh"

    @property
    def n_parameters(self) -> int:  # noqa: D102
        return 2

    def forward(self, x: Array) -> Array:  # noqa: D102
        return np.arcsinh((np.asarray(x, np.float64) - self.centre) / self.scale)

    def inverse(self, z: Array) -> Array:  # noqa: D102
        return self.centre + self.scale * np.sinh(np.clip(z, -FARTHEST, FARTHEST))

    def log_slope(self, x: Array) -> Array:  # noqa: D102
        return -np.log(self.scale) - 0.5 * np.log1p(((np.asarray(x, np.float64) - self.centre) / self.scale) ** 2)

    def named(self, column: str) -> str:  # noqa: D102
        return f"arcsinh({column})"


CURVES: dict[str, type[Curve]] = {"power": Power, "arcsinh": Arcsinh}
AnyCurve = Annotated[SerializeAsAny[Curve], by_name(CURVES, "transform")]
