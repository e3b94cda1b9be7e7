"""The form of one covariance: a square matrix, a diagonal, or one number times the identity; and its linear algebra.

A *core* is an array of covariances or of roots in that form, any leading axes. Whether each component has one of its
own is another question (``sharing``), and so is what restricts them further (``structures``).
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
]  # raises an error unless all of an array of truth values, one a covariance, are true


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

    def pooled(self, values: Array) -> Array | float:
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
    def to_matrices(self, core: "Array | TensorVariable", n_features: int) -> "Array | TensorVariable":
        """(..., D, D) matrices of a core, a NumPy array or a PyTensor variable."""

    def to_table(self, core: Array, n_components: int, n_features: int) -> Array:
        """(..., K, D, D) or (..., K, D) as a table of components takes it, repeated over what shares a number."""
        shape = (n_components, *self.table_shape(n_features))
        return np.broadcast_to(core, (*core.shape[: -len(shape)], *shape))

    def squeezed(self, core: Array) -> Array:
        """Without an axis that holds one entry."""
        return core

    def unsqueezed(self, values: "Array | TensorVariable") -> "Array | TensorVariable":
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
    def either(self, variances: Array, covariance: Callable[[], Array]) -> Array | float:
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
            Takes a truth value for each covariance, and raises an error if one is not regular.
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
