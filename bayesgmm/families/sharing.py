"""Sharing: each component has its own covariance, or all components have the same one."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from bayesgmm.sweep.stats import Array

if TYPE_CHECKING:
    from pytensor.tensor.variable import TensorVariable


class Sharing(ABC):
    """Sharing of covariances between components. M is the number of covariances, K that of components.

    Parameters
    ----------
    axes : tuple of str
        Names of the axes that count covariances.
    subscript : str
        Of a covariance in a formula.
    prefix : str
        Of a covariance's variable in a PyMC model.
    """

    axes: ClassVar[tuple[str, ...]]
    subscript: ClassVar[str]
    prefix: ClassVar[str]

    @abstractmethod
    def count(self, n_components: int) -> int:
        """Number of covariances of K components: M."""

    @abstractmethod
    def pool(self, each: Array, n_mixtures: int = 1) -> Array:
        """Sum numbers of each component (K, ...) over the components that share a covariance: (M, ...).

        With S mixtures, (S K, ...) gives (S M, ...).
        """

    @abstractmethod
    def distinct(self, matrices: Array) -> Array:
        """Select the different covariances (..., M, D, D) from those of each component (..., K, D, D)."""

    @abstractmethod
    def reordered(self, core: Array, order: NDArray[np.intp]) -> Array:
        """Reorder covariances or roots (M, ...) by an order (K,) of the components."""

    @abstractmethod
    def squeezed(self, core: Array) -> Array:
        """Remove an axis of length one from covariances or roots (M, ...)."""

    @abstractmethod
    def unsqueezed(self, values: "Array | TensorVariable") -> "Array | TensorVariable":
        """Add the axis that ``squeezed`` removes."""

    @abstractmethod
    def points_needed(self, size: int) -> int:
        """Return the number of points that each component must hold if a covariance must be estimated from ``size``."""

    @abstractmethod
    def name(self, k: int) -> str:
        """Return the name of the covariance with index k, for a message."""

    @abstractmethod
    def item(self, array: str, k: int) -> str:
        """Return the expression that reads the covariance with index k from a squeezed array of a name."""


@dataclass(frozen=True)
class OneEach(Sharing):
    """Each component has its own covariance."""

    axes: ClassVar = ("component",)
    subscript: ClassVar = "_k"
    prefix: ClassVar = ""

    def count(self, n_components: int) -> int:  # noqa: D102
        return n_components

    def pool(self, each: Array, n_mixtures: int = 1) -> Array:  # noqa: D102
        return each

    def distinct(self, matrices: Array) -> Array:  # noqa: D102
        return matrices

    def reordered(self, core: Array, order: NDArray[np.intp]) -> Array:  # noqa: D102
        return core[order]

    def squeezed(self, core: Array) -> Array:  # noqa: D102
        return core

    def unsqueezed(self, values: "Array | TensorVariable") -> "Array | TensorVariable":  # noqa: D102
        return values

    def points_needed(self, size: int) -> int:  # noqa: D102
        return size

    def name(self, k: int) -> str:  # noqa: D102
        return f"the covariance of component {k}"

    def item(self, array: str, k: int) -> str:  # noqa: D102
        return f"{array}[{k}]"


@dataclass(frozen=True)
class OneForAll(Sharing):
    """All components have the same covariance."""

    axes: ClassVar = ()
    subscript: ClassVar = ""
    prefix: ClassVar = "tied_"

    def count(self, n_components: int) -> int:  # noqa: D102
        return 1

    def pool(self, each: Array, n_mixtures: int = 1) -> Array:  # noqa: D102
        return each.reshape(n_mixtures, -1, *each.shape[1:]).sum(1)

    def distinct(self, matrices: Array) -> Array:  # noqa: D102
        return matrices[..., :1, :, :]

    def reordered(self, core: Array, order: NDArray[np.intp]) -> Array:  # noqa: D102
        return core

    def squeezed(self, core: Array) -> Array:  # noqa: D102
        return core[0]

    def unsqueezed(self, values: "Array | TensorVariable") -> "Array | TensorVariable":  # noqa: D102
        return values[None]

    def points_needed(self, size: int) -> int:  # noqa: D102
        return 0

    def name(self, k: int) -> str:  # noqa: D102
        return "the tied covariance"

    def item(self, array: str, k: int) -> str:  # noqa: D102
        return array
