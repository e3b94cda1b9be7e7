"""The form of one covariance: a square matrix, a diagonal, or one number times the identity; and its linear algebra.

A *core* is an array of covariances or of roots in that form, with any leading axes. Whether components share
covariances is defined in ``sharing``, and further restrictions in ``structures``.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from bayesgmm.sweep.stats import Array

if TYPE_CHECKING:
    from pytensor.tensor.variable import TensorVariable

Require = Callable[
    [ArrayLike], None
]  # raises an error unless an array of truth values, one per covariance, is all true


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
        """Shape of one root in a table of components: (D, D) or (D,)."""

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
        """Names of the columns that have their own standard deviation; none if all share one."""
        return tuple(columns)

    def pooled(self, values: Array) -> Array | float:
        """Convert numbers of columns (D,) to numbers of standard deviations: the same (D,), or their mean ()."""
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
        """Convert matrices (..., D, D) of this form to a core."""

    @abstractmethod
    def from_variances(self, variances: Array) -> Array:
        """Make a core without correlations from variances (..., n_scales)."""

    @abstractmethod
    def to_matrices(self, core: "Array | TensorVariable", n_features: int) -> "Array | TensorVariable":
        """Convert a core, a NumPy array or a PyTensor variable, to matrices (..., D, D)."""

    def to_table(self, core: Array, n_components: int, n_features: int) -> Array:
        """Convert to the form of a table of components, (..., K, D, D) or (..., K, D): shared numbers are repeated."""
        shape = (n_components, *self.table_shape(n_features))
        return np.broadcast_to(core, (*core.shape[: -len(shape)], *shape))

    def squeezed(self, core: Array) -> Array:
        """Remove an axis of length one."""
        return core

    def unsqueezed(self, values: "Array | TensorVariable") -> "Array | TensorVariable":
        """Add the axis that ``squeezed`` removes."""
        return values

    # -- statistics of points --

    @abstractmethod
    def second_moments(self, deviations: Array, weight: Array) -> Array:
        """Compute the weighted sum of squares of deviations (M, D), as in ``Stats``: (D, D), or its diagonal (D,)."""

    def mean_scatter(self, scatter: Array) -> Array:
        """Average the scatter, in the form of ``Stats``, over the features that share a number."""
        return scatter

    @abstractmethod
    def either(self, variances: Array, covariance: Callable[[], Array]) -> Array | float:
        """Make one covariance from the variances (D,), or from the matrix (D, D), which is computed only if needed."""

    @abstractmethod
    def draw(self, random: np.random.RandomState, mean: Array, covariance: Array, count: int) -> Array:
        """Draw Gaussian points (count, D) from the random numbers that scikit-learn draws."""

    # -- algebra --

    @abstractmethod
    def product(self, a: Array, b: Array) -> Array:
        """Compute the matrix product of two cores."""

    @abstractmethod
    def transposed(self, a: Array) -> Array:
        """Transpose a core."""

    @abstractmethod
    def scale_columns(self, a: Array, scale: Array) -> Array:
        """Multiply each column by a number (D,)."""

    @abstractmethod
    def roots(self, core: Array, require: Require, vanishing: float, singular: float) -> Array:
        """Compute lower-triangular roots of the precisions: the inverses of the covariances' Cholesky factors.

        Parameters
        ----------
        core : covariances
        require : function
            Takes a truth value for each covariance, and raises an error if one is not regular.
        vanishing, singular : float
            Minimum of a variance, and of the share of a column's variance that the columns before it leave.
        """

    @abstractmethod
    def covariance(self, roots: Array) -> Array:
        """Compute covariances from precision roots: the inverse of ``roots``."""

    @abstractmethod
    def widen(self, core: Array, floor: Array) -> Array:
        """Add floor (D,) to the variances of covariances."""

    @abstractmethod
    def solve(self, root: Array, rows: Array) -> Array:
        """Multiply rows (K, D) by inverses of roots in the form of a table."""

    @abstractmethod
    def solve_transposed(self, root: Array, rows: Array) -> Array:
        """Multiply rows (K, D) by inverses of transposed roots in the form of a table."""

    @abstractmethod
    def precision_times(self, root: Array, rows: Array) -> Array:
        """Multiply rows (K, D) by precisions, ``root' root``, of roots in the form of a table."""

    # -- scikit-learn's upper factors: a precision is U U' --

    @abstractmethod
    def upper_factors(self, precisions: Array) -> Array:
        """Compute the upper-triangular U of precisions U U'."""

    @abstractmethod
    def outer_products(self, factors: Array) -> Array:
        """Compute precisions U U'."""

    @abstractmethod
    def inverse_outer_products(self, factors: Array) -> Array:
        """Compute covariances, the inverses of U U'."""

    @abstractmethod
    def upper_factors_of_inverses(self, covariances: Array) -> Array:
        """Compute the upper-triangular U of the precisions of covariances."""

    @abstractmethod
    def problem(self, name: str, core: Array, item: Callable[[str, int], str]) -> str:
        """Return a sentence about precisions that are not positive definite; empty if all are.

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
        """Draw covariances (size, count, ...) of which each block is inverse Wishart; ``shape`` is (size, count, D).

        Parameters
        ----------
        rng, dof
        scale : one covariance in core shape, or draws (size, 1, n_scales) of its diagonal
        """

    @abstractmethod
    def from_sd(self, sd: Array, correlation_factors: Callable[[], Array]) -> Array:
        """Make covariances from standard deviations (..., n_scales) and, if there are correlations, their factors."""

    @abstractmethod
    def by_sd(self, variable: str, core: Array) -> tuple[str, Array]:
        """Return name and values of the PyMC variable under a prior of the standard deviations."""
