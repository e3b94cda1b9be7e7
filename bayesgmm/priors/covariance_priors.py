"""Base class of priors of the covariances."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar, Self

import numpy as np

from bayesgmm.data.standards import Standard
from bayesgmm.data.summaries import Summary
from bayesgmm.declared import Declared
from bayesgmm.errors import DeclarationError
from bayesgmm.families.family import Family
from bayesgmm.priors.native_calls import PriorDensity
from bayesgmm.sweep.stats import Array


class CovariancesPrior(Declared):
    """Base class of priors of the covariances."""

    cites: ClassVar[str] = ""  # the key of the work that introduced it, in ``references``
    positive_extras: ClassVar[tuple[str, ...]] = ()
    """Names of ``extras`` that are positive numbers; their coordinates are logarithms."""

    @property
    def keeps_regular(self) -> bool:
        """True if the density falls to 0 faster than any likelihood rises as a covariance becomes singular."""
        return False

    @property
    @abstractmethod
    def density(self) -> PriorDensity:
        """Native log density, made by ``prior_density``."""

    @abstractmethod
    def require_family(self, family: Family) -> None:
        """Check that this is a prior of covariances of a family.

        Raises
        ------
        DeclarationError
        """

    @abstractmethod
    def resolve(self, data: Summary, family: Family, n_clusters: float) -> Self:
        """Return the same prior with all parameters explicit, in the shape that the family needs.

        Parameters
        ----------
        data : Summary
        family : Family
        n_clusters : float
            Number of clusters that the prior of the weights expects.

        Raises
        ------
        DeclarationError
            When it does not fit the family or the columns.
        DataError
            When a default can't be computed, because a column is constant.
        """

    @property
    def n_extra(self) -> int:
        """Number of coordinates beyond those of the roots; the prior must be resolved."""
        return 0

    @abstractmethod
    def params(self, standard: Standard, family: Family) -> Array:
        """Return what the native density reads, in standardised coordinates; the prior must be resolved."""

    def metric(self, standard: Standard, family: Family) -> Array | None:
        """Return what columns are multiplied by before covariances are decomposed (D,); None for nothing."""
        return None

    def start(self, core_roots: Array) -> Array:
        """Return starting values of the extra coordinates (n_extra,), given standardised roots in core shape."""
        return np.empty(0)

    def extras(self, q: Array, standard: Standard) -> dict[str, Array]:
        """Return what the prior learns beyond the covariances, in data units, from its coordinates (..., n_extra)."""
        return {}

    def from_extras(self, extras: Mapping[str, Array], standard: Standard) -> Array:
        """Compute the extra coordinates (..., n_extra) of learned values in data units: the inverse of ``extras``."""
        raise NotImplementedError

    def require_distribution(self, family: Family) -> None:
        """Check that the prior is a distribution of covariances of a family, of which draws can be made.

        Raises
        ------
        DeclarationError
            When only its mode is known.
        """
        if what := self.only_mode(family):
            raise DeclarationError(
                f"{what} is not a distribution that can be drawn from: only its mode is known, for method='map'\n"
                "  Use covariances=DecomposedCovariance(), the default of this covariance."
            )

    def only_mode(self, family: Family) -> str:
        """Return the prior with its family in words, if its density has no known constant there; empty otherwise."""
        return ""

    @abstractmethod
    def draw(
        self, rng: np.random.Generator, family: Family, shape: tuple[int, int, int]
    ) -> tuple[Array, dict[str, Array]]:
        """Draw covariances from the resolved prior.

        Parameters
        ----------
        rng : Generator
        family : Family
        shape : (int, int, int)
            size, K, D.

        Returns
        -------
        covariance : (size, K, D, D) float
            In data units.
        extras : dict of str to array
            Other parameters that were drawn.
        """

    @abstractmethod
    def typical_sd(self) -> Array:
        """Return typical standard deviations of a component under the resolved prior, (D,) or (1,), in data units."""
