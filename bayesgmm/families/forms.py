"""The form of one covariance: a square matrix, a diagonal, or one number times the identity; and its linear algebra.

A *core* is an array of covariances or of roots in that form, any leading axes. Whether each component has one of its
own is another question (``sharing``), and so is what restricts them further (``structures``).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from bayesgmm.sweep.stats import Array

Require = Callable[[Any], None]  # raises an error unless all of an array of truth values, one a covariance, are true


class Form(ABC):
    """The form of one covariance.

    Parameters
    ----------
    axes : tuple of str
        Names of the axes of one covariance.
    scale_axes : tuple of str
        Names of the axes of its standard deviations.
    variable : str
        Name of the variable in a PyMC model.
    """

    axes: ClassVar[tuple[str, ...]]
    scale_axes: ClassVar[tuple[str, ...]] = ("feature",)
    variable: ClassVar[str] = "variance"

    # -- sizes --

    @abstractmethod
    def shape(self, n_features: int) -> tuple[int, ...]:
        """Shape of one covariance in core shape: (D, D), (D,) or (1,)."""

    @abstractmethod
    def table_shape(self, n_features: int) -> tuple[int, ...]:
        """Shape of one root as a table of components takes it: (D, D) or (D,)."""

    @abstractmethod
    def size(self, n_features: int) -> int:
        """Number of free parameters of one covariance."""

    @abstractmethod
    def block_size(self, n_features: int) -> int:
        """Rows of the independent square blocks that a covariance consists of: D, or 1 for diagonal forms."""

    def n_scales(self, n_features: int) -> int:
        """Number of standard deviations that may differ: D, or 1."""
        return self.shape(n_features)[0]

    def columns_apart(self, columns: Sequence[str]) -> tuple[str, ...]:
        """Names of the columns that have a standard deviation of their own; none where all share one."""
        return tuple(columns)

    def pooled(self, values: Array) -> Any:
        """Numbers of the columns (D,) as numbers of the standard deviations that may differ: (D,), or their mean ()."""
        return values

    def repeats(self, n_features: int) -> int:
        """Number of features that share one number of a core."""
        return n_features // self.n_scales(n_features)

    # -- to and from matrices --

    @abstractmethod
    def identity(self, n_features: int) -> Array:
        """One covariance, the identity, in core shape."""

    @abstractmethod
    def from_matrices(self, matrices: Array) -> Array:
        """Core of matrices (..., D, D) that have this form."""

    @abstractmethod
    def from_variances(self, variances: Array) -> Array:
        """Core without correlations of variances (..., n_scales)."""

    @abstractmethod
    def to_matrices(self, core: Any, n_features: int) -> Any:
        """(..., D, D) matrices of a core, a NumPy array or a PyTensor variable."""

    def to_table(self, core: Array, n_components: int, n_features: int) -> Array:
        """(..., K, D, D) or (..., K, D) as a table of components takes it, repeated over what shares a number."""
        shape = (n_components, *self.table_shape(n_features))
        return np.broadcast_to(core, (*core.shape[: -len(shape)], *shape))

    def squeezed(self, core: Array) -> Array:
        """Without an axis that holds one entry."""
        return core

    def unsqueezed(self, values: Any) -> Any:
        """Inverse of ``squeezed``."""
        return values

    # -- statistics of points --

    @abstractmethod
    def second_moments(self, deviations: Array, weight: Array) -> Array:
        """Weighted sum of squares of deviations (M, D), as statistics keep it: (D, D), or its diagonal (D,)."""

    def mean_scatter(self, scatter: Array) -> Array:
        """Scatter as statistics keep it, averaged over the features that share a number."""
        return scatter

    @abstractmethod
    def either(self, variances: Array, covariance: Callable[[], Array]) -> Any:
        """One covariance from the variances (D,), or from the whole matrix (D, D), computed only if it is needed."""

    @abstractmethod
    def draw(self, random: np.random.RandomState, mean: Array, covariance: Array, count: int) -> Array:
        """(count, D) Gaussian points, by the random numbers that scikit-learn draws; covariance as a table takes it."""

    # -- algebra --

    @abstractmethod
    def product(self, a: Array, b: Array) -> Array:
        """Matrix product of two cores."""

    @abstractmethod
    def transposed(self, a: Array) -> Array:
        """Transpose."""

    @abstractmethod
    def scale_columns(self, a: Array, scale: Array) -> Array:
        """Columns times a number each (D,)."""

    @abstractmethod
    def roots(self, core: Array, require: Require, vanishing: float, singular: float) -> Array:
        """Lower-triangular roots of the precisions, the inverses of the covariances' Cholesky factors.

        Parameters
        ----------
        core : covariances
        require : function
            Is told which covariances are regular, and raises an error if one is not.
        vanishing, singular : float
            Minimum of a variance, and of the share of a column's variance that the columns before it leave.
        """

    @abstractmethod
    def covariance(self, roots: Array) -> Array:
        """Covariances of precision roots: inverse of ``roots``."""

    @abstractmethod
    def widen(self, core: Array, floor: Array) -> Array:
        """Covariances with floor (D,) added to their variances."""

    @abstractmethod
    def solve(self, root: Array, rows: Array) -> Array:
        """(K, D) inverse of roots times rows (K, D); the roots as a table takes them."""

    @abstractmethod
    def solve_transposed(self, root: Array, rows: Array) -> Array:
        """(K, D) inverse of transposed roots times rows (K, D); the roots as a table takes them."""

    @abstractmethod
    def precision_times(self, root: Array, rows: Array) -> Array:
        """(K, D) precisions, ``root' root``, times rows (K, D); the roots as a table takes them."""

    # -- scikit-learn's upper factors: a precision is U U' --

    @abstractmethod
    def upper_factors(self, precisions: Array) -> Array:
        """Upper-triangular U of precisions U U'."""

    @abstractmethod
    def outer_products(self, factors: Array) -> Array:
        """Precisions U U'."""

    @abstractmethod
    def inverse_outer_products(self, factors: Array) -> Array:
        """Covariances, the inverses of U U'."""

    @abstractmethod
    def upper_factors_of_inverses(self, covariances: Array) -> Array:
        """Upper-triangular U of the precisions of covariances."""

    @abstractmethod
    def problem(self, name: str, core: Array, item: Callable[[str, int], str]) -> str:
        """Sentence on precisions that are not positive definite; empty if all are.

        Parameters
        ----------
        name : str
            Of the array that holds them.
        core : precisions
        item : function
            Expression that reads one of them from the array.
        """

    # -- distributions --

    @abstractmethod
    def draw_inverse_wishart(
        self, rng: np.random.Generator, dof: float, scale: Array, shape: tuple[int, int, int]
    ) -> Array:
        """(size, count, ...) covariances, shape being (size, count, D), each block of them inverse Wishart.

        Parameters
        ----------
        rng, dof
        scale : one covariance in core shape, or draws (size, 1, n_scales) of its diagonal
        """

    @abstractmethod
    def from_sd(self, sd: Array, correlation_factors: Callable[[], Array]) -> Array:
        """Covariances of standard deviations (..., n_scales) and, where there are correlations, of their factors."""

    @abstractmethod
    def by_sd(self, variable: str, core: Array) -> tuple[str, Array]:
        """Name and values of the PyMC variable under a prior of the standard deviations, given ``variable``'s."""


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

    def to_matrices(self, core: Any, n_features: int) -> Any:  # noqa: D102
        return core

    def second_moments(self, deviations: Array, weight: Array) -> Array:  # noqa: D102
        return (deviations * weight[:, None]).T @ deviations

    def either(self, variances: Array, covariance: Callable[[], Array]) -> Any:  # noqa: D102
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
        require((variance > vanishing).all(-1) & np.isfinite(core).all((-1, -2)))
        try:
            chol = np.linalg.cholesky(core)
        except np.linalg.LinAlgError:
            require([is_positive_definite(one) for one in core])
            raise
        pivots = np.diagonal(chol, axis1=-2, axis2=-1) ** 2  # what each column adds to those before it
        require((pivots > singular * variance).all(-1))
        return np.tril(np.linalg.inv(chol))

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
        """Cholesky factors of matrices whose rows and columns are reversed, reversed again."""
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
        """By Bartlett's decomposition of the precision."""
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

    def to_matrices(self, core: Any, n_features: int) -> Any:  # noqa: D102
        return core[..., None] * np.eye(n_features)

    def second_moments(self, deviations: Array, weight: Array) -> Array:  # noqa: D102
        return weight @ deviations**2

    def either(self, variances: Array, covariance: Callable[[], Array]) -> Any:  # noqa: D102
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
        """An inverse gamma for each number: what the distribution is in one dimension."""
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

    def pooled(self, values: Array) -> Any:  # noqa: D102
        return values.mean()

    def from_matrices(self, matrices: Array) -> Array:  # noqa: D102
        return np.diagonal(matrices, axis1=-2, axis2=-1).mean(axis=-1, keepdims=True)

    def squeezed(self, core: Array) -> Array:  # noqa: D102
        return core[..., 0]

    def unsqueezed(self, values: Any) -> Any:  # noqa: D102
        return values[..., None]

    def mean_scatter(self, scatter: Array) -> Array:  # noqa: D102
        return scatter.mean(-1, keepdims=True)

    def either(self, variances: Array, covariance: Callable[[], Array]) -> Any:  # noqa: D102
        return float(variances.mean())

    def widen(self, core: Array, floor: Array) -> Array:  # noqa: D102
        return core + floor.mean()


def is_positive_definite(matrix: Array) -> bool:
    """Whether a matrix has a Cholesky factor."""
    try:
        np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        return False
    return True
