"""Covariances without correlations: diagonals, and multiples of the identity."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from bayesgmm.families.forms import Form, Require
from bayesgmm.sweep.stats import Array

if TYPE_CHECKING:
    from pytensor.tensor.variable import TensorVariable


@dataclass(frozen=True)
class Diagonals(Form):
    """Diagonal matrices, kept as their diagonals (D,): no correlations.

    Examples
    --------
    >>> Diagonals().shape(3), Diagonals().size(3)
    ((3,), 3)
    """

    axes: ClassVar[tuple[str, ...]] = ("feature",)

    def shape(self, n_features: int) -> tuple[int, ...]:  # noqa: D102
        return (n_features,)

    def table_shape(self, n_features: int) -> tuple[int, ...]:  # noqa: D102
        return (n_features,)

    def size(self, n_features: int) -> int:  # noqa: D102
        return self.n_scales(n_features)

    def block_size(self, n_features: int) -> int:  # noqa: D102
        return 1

    def identity(self, n_features: int) -> Array:  # noqa: D102
        return np.ones(self.shape(n_features))

    def from_matrices(self, matrices: Array) -> Array:  # noqa: D102
        return np.diagonal(matrices, axis1=-2, axis2=-1)

    def from_variances(self, variances: Array) -> Array:  # noqa: D102
        return variances

    def to_matrices(self, core: "Array | TensorVariable", n_features: int) -> "Array | TensorVariable":  # noqa: D102
        return core[..., None] * np.eye(n_features)

    def second_moments(self, deviations: Array, weight: Array) -> Array:  # noqa: D102
        return weight @ deviations**2

    def either(self, variances: Array, covariance: Callable[[], Array]) -> Array | float:  # noqa: D102
        return variances

    def draw(self, random: np.random.RandomState, mean: Array, covariance: Array, count: int) -> Array:  # noqa: D102
        return mean + random.standard_normal(size=(count, len(mean))) * np.sqrt(covariance)

    def product(self, a: Array, b: Array) -> Array:  # noqa: D102
        return a * b

    def transposed(self, a: Array) -> Array:  # noqa: D102
        return a

    def scale_columns(self, a: Array, scale: Array) -> Array:  # noqa: D102
        return a * scale[: a.shape[-1]]

    def roots(self, core: Array, require: Require, vanishing: float, singular: float) -> Array:  # noqa: D102
        require(core.min(-1) > vanishing)
        return 1 / np.sqrt(core)

    def covariance(self, roots: Array) -> Array:  # noqa: D102
        return roots**-2.0

    def widen(self, core: Array, floor: Array) -> Array:  # noqa: D102
        return core + floor

    def solve(self, root: Array, rows: Array) -> Array:  # noqa: D102
        return rows / root

    def solve_transposed(self, root: Array, rows: Array) -> Array:  # noqa: D102
        return rows / root

    def precision_times(self, root: Array, rows: Array) -> Array:  # noqa: D102
        return root**2 * rows

    def upper_factors(self, precisions: Array) -> Array:  # noqa: D102
        return np.sqrt(precisions)

    def outer_products(self, factors: Array) -> Array:  # noqa: D102
        return np.square(factors)

    def inverse_outer_products(self, factors: Array) -> Array:  # noqa: D102
        return 1 / np.square(factors)

    def upper_factors_of_inverses(self, covariances: Array) -> Array:  # noqa: D102
        return 1 / np.sqrt(covariances)

    def problem(self, name: str, core: Array, item: Callable[[str, int], str]) -> str:  # noqa: D102
        if (core > 0).all():
            return ""
        return f"{name} must be positive; its smallest number is {core.min():g}"

    def draw_inverse_wishart(
        self, rng: np.random.Generator, dof: float, scale: Array, shape: tuple[int, int, int]
    ) -> Array:
        """Draw an inverse gamma number for each variance: the distribution in one dimension."""
        size, count, d = shape
        return scale / rng.chisquare(dof, size=(size, count, *self.shape(d)))

    def from_sd(self, sd: Array, correlation_factors: Callable[[], Array]) -> Array:  # noqa: D102
        return sd**2

    def by_sd(self, variable: str, core: Array) -> tuple[str, Array]:  # noqa: D102
        return "sd", np.sqrt(core)


@dataclass(frozen=True)
class Multiples(Diagonals):
    """Multiples of the identity, kept as one number (1,).

    Examples
    --------
    >>> Multiples().shape(3), Multiples().size(3)
    ((1,), 1)
    """

    axes: ClassVar[tuple[str, ...]] = ()
    scale_axes: ClassVar[tuple[str, ...]] = ()

    def shape(self, n_features: int) -> tuple[int, ...]:  # noqa: D102
        return (1,)

    def columns_apart(self, columns: Sequence[str]) -> tuple[str, ...]:  # noqa: D102
        return ()

    def pooled(self, values: Array) -> Array | float:  # noqa: D102
        return values.mean()

    def from_matrices(self, matrices: Array) -> Array:  # noqa: D102
        return np.diagonal(matrices, axis1=-2, axis2=-1).mean(axis=-1, keepdims=True)

    def squeezed(self, core: Array) -> Array:  # noqa: D102
        return core[..., 0]

    def unsqueezed(self, values: "Array | TensorVariable") -> "Array | TensorVariable":  # noqa: D102
        return values[..., None]

    def mean_scatter(self, scatter: Array) -> Array:  # noqa: D102
        return scatter.mean(-1, keepdims=True)

    def either(self, variances: Array, covariance: Callable[[], Array]) -> Array | float:  # noqa: D102
        return float(variances.mean())

    def widen(self, core: Array, floor: Array) -> Array:  # noqa: D102
        return core + floor.mean()
