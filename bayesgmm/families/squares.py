"""Covariances that are square matrices: with correlations."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from bayesgmm.families.forms import Form, Require
from bayesgmm.sweep.stats import Array

if TYPE_CHECKING:
    from pytensor.tensor.variable import TensorVariable


@cache
def _lower_triangle(side: int) -> NDArray[np.bool_]:
    return np.tri(side, dtype=bool)


@dataclass(frozen=True)
class Squares(Form):
    """Matrices (D, D), which may have correlations; roots are lower triangular.

    Examples
    --------
    >>> Squares().shape(3), Squares().size(3)
    ((3, 3), 6)
    """

    axes: ClassVar = ("feature", "feature_bis")
    variable: ClassVar = "covariance"

    def shape(self, n_features: int) -> tuple[int, ...]:  # noqa: D102
        return (n_features, n_features)

    def table_shape(self, n_features: int) -> tuple[int, ...]:  # noqa: D102
        return (n_features, n_features)

    def size(self, n_features: int) -> int:  # noqa: D102
        return n_features * (n_features + 1) // 2

    def block_size(self, n_features: int) -> int:  # noqa: D102
        return n_features

    def identity(self, n_features: int) -> Array:  # noqa: D102
        return np.eye(n_features)

    def from_matrices(self, matrices: Array) -> Array:  # noqa: D102
        return matrices

    def from_variances(self, variances: Array) -> Array:  # noqa: D102
        return np.asarray(variances[..., None] * np.eye(variances.shape[-1]))

    def to_matrices(self, core: "Array | TensorVariable", n_features: int) -> "Array | TensorVariable":  # noqa: D102
        return core

    def second_moments(self, deviations: Array, weight: Array) -> Array:  # noqa: D102
        return (deviations * weight[:, None]).T @ deviations

    def either(self, variances: Array, covariance: Callable[[], Array]) -> Array | float:  # noqa: D102
        return covariance()

    def draw(self, random: np.random.RandomState, mean: Array, covariance: Array, count: int) -> Array:  # noqa: D102
        return random.multivariate_normal(mean, covariance, count)

    def product(self, a: Array, b: Array) -> Array:  # noqa: D102
        return a @ b

    def transposed(self, a: Array) -> Array:  # noqa: D102
        return np.swapaxes(a, -1, -2)

    def scale_columns(self, a: Array, scale: Array) -> Array:  # noqa: D102
        return a * scale

    def roots(self, core: Array, require: Require, vanishing: float, singular: float) -> Array:  # noqa: D102
        variance = np.diagonal(core, axis1=-2, axis2=-1)
        if not (variance.min() > vanishing and np.isfinite(core).all()):  # which ones takes longer to find out
            require((variance > vanishing).all(-1) & np.isfinite(core).all((-1, -2)))
        if core.shape[-1] == 1:  # the same numbers, without the factors of many small matrices
            return 1 / np.sqrt(core)
        try:
            chol = np.linalg.cholesky(core)
        except np.linalg.LinAlgError:
            require([is_positive_definite(one) for one in core])
            raise
        pivots = np.diagonal(chol, axis1=-2, axis2=-1) ** 2  # variance that earlier columns do not explain
        regular = pivots > singular * variance
        if not regular.all():
            require(regular.all(-1))
        return np.where(_lower_triangle(core.shape[-1]), np.linalg.inv(chol), 0.0)

    def covariance(self, roots: Array) -> Array:  # noqa: D102
        chol = np.linalg.solve(roots, np.broadcast_to(np.eye(roots.shape[-1]), roots.shape))
        return chol @ np.swapaxes(chol, -1, -2)

    def widen(self, core: Array, floor: Array) -> Array:  # noqa: D102
        return core + np.diag(floor)

    def solve(self, root: Array, rows: Array) -> Array:  # noqa: D102
        return np.linalg.solve(root, rows[:, :, None])[:, :, 0]

    def solve_transposed(self, root: Array, rows: Array) -> Array:  # noqa: D102
        return np.linalg.solve(np.swapaxes(root, 1, 2), rows[:, :, None])[:, :, 0]

    def precision_times(self, root: Array, rows: Array) -> Array:  # noqa: D102
        return np.einsum("kij,kil,kl->kj", root, root, rows)

    def upper_factors(self, precisions: Array) -> Array:
        """Compute Cholesky factors of matrices with reversed rows and columns, and reverse them again."""
        return np.linalg.cholesky(precisions[..., ::-1, ::-1])[..., ::-1, ::-1]

    def outer_products(self, factors: Array) -> Array:  # noqa: D102
        return factors @ np.swapaxes(factors, -1, -2)

    def inverse_outer_products(self, factors: Array) -> Array:  # noqa: D102
        inverse = np.linalg.inv(factors)
        return np.swapaxes(inverse, -1, -2) @ inverse

    def upper_factors_of_inverses(self, covariances: Array) -> Array:  # noqa: D102
        return np.swapaxes(np.linalg.inv(np.linalg.cholesky(covariances)), -1, -2)

    def problem(self, name: str, core: Array, item: Callable[[str, int], str]) -> str:  # noqa: D102
        for k, matrix in enumerate(core):
            if not (np.allclose(matrix, matrix.T) and is_positive_definite(matrix)):
                return (
                    f"{item(name, k)} must be symmetric, positive-definite; it is not\n"
                    "  Give the inverse of a covariance matrix, for example numpy.linalg.inv(covariance)."
                )
        return ""

    def draw_inverse_wishart(
        self, rng: np.random.Generator, dof: float, scale: Array, shape: tuple[int, int, int]
    ) -> Array:
        """Draw covariances by Bartlett's decomposition of the precision."""
        d = shape[-1]
        chol = np.linalg.cholesky(scale) if scale.ndim == 2 else np.sqrt(scale)[..., None] * np.eye(d)
        bartlett = np.tril(rng.normal(size=(*shape, d)), -1)
        bartlett[..., range(d), range(d)] = np.sqrt(rng.chisquare(dof - np.arange(d), size=shape))
        half = chol @ np.swapaxes(np.linalg.inv(bartlett), -1, -2)
        return half @ np.swapaxes(half, -1, -2)

    def from_sd(self, sd: Array, correlation_factors: Callable[[], Array]) -> Array:  # noqa: D102
        chol = sd[..., None] * correlation_factors()
        return chol @ np.swapaxes(chol, -1, -2)

    def by_sd(self, variable: str, core: Array) -> tuple[str, Array]:  # noqa: D102
        return variable, core


def is_positive_definite(matrix: Array) -> bool:
    """Return True if a matrix has a Cholesky factor."""
    try:
        np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        return False
    return True
