r"""Covariance families: a structure, which restricts the covariances, and a chart, which gives them coordinates.

A structure defines how covariances are shared (``sharing``), their form (``forms``) and further restrictions. EM needs
only the structure. Engines that work in unconstrained coordinates also need a chart (``charts``). A family may have no
chart; these engines then refuse it by name.

A family stores its covariances and roots in *core shape*: one per component or one for all, each a matrix, a diagonal
or a number. ``expand`` converts roots to the form that a table of components needs.

In the names of [1]_ a covariance is :math:`\Sigma_k = \lambda_k D_k A_k D_k^\top`: volume, orientation, shape. The four
families here leave each part free (V), make it equal for all components (E), or the identity (I).

References
----------
.. [1] Celeux & Govaert (1995), Pattern Recognition 28(5), 781-793.
.. [2] Fraley & Raftery (2002), J. Am. Stat. Assoc. 97(458), 611-631.
"""

from abc import ABC
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from bayesgmm.errors import DeclarationError, DegenerateComponent, EmptyComponent
from bayesgmm.families.charts import Chart, Logarithms, Triangles
from bayesgmm.families.diagonals import Diagonals, Multiples
from bayesgmm.families.forms import Form
from bayesgmm.families.sharing import OneEach, OneForAll, Sharing
from bayesgmm.families.squares import Squares
from bayesgmm.sweep.stats import Array, Stats

if TYPE_CHECKING:
    from pytensor.tensor.variable import TensorVariable

VANISHING = 1e-14  # variances below this count as zero; the variance of the data is about one
SINGULAR = 1e-10  # minimum share of a column's variance that earlier columns must not explain
CLEAR = 1e-6  # variance from which a singular component would be regular under a simpler family


class Family(ABC):
    """Covariance family: the restriction on the components' covariances.

    A subclass names its parts. One with further restrictions overrides ``size``, ``moments``, and ``maximise`` if its
    prior has another mode.

    Parameters
    ----------
    name : str
        Name in the registry.
    sharing : Sharing
        How components share covariances.
    form : Form
        Form of one covariance.
    words : str
        Description for reports: a clause, with the shape of the components' contours.
    chart : Chart, optional
        Unconstrained coordinates. None: only engines that need none can fit the family.
    needs_common_scale : bool
        True if all columns must have the same scale, because rescaling one column leads out of the family.
    """

    name: ClassVar[str]
    sharing: ClassVar[Sharing]
    form: ClassVar[Form]
    words: ClassVar[str] = ""
    chart: ClassVar[Chart | None] = None
    needs_common_scale: ClassVar[bool] = False

    # -- sizes and names --

    def core_shape(self, n_components: int, n_features: int) -> tuple[int, ...]:
        """Shape of the family's covariances or roots."""
        return (self.sharing.count(n_components), *self.form.shape(n_features))

    @property
    def dims(self) -> tuple[str, ...]:
        """Names of the axes of the family's own covariances, squeezed."""
        return (*self.sharing.axes, *self.form.axes)

    @property
    def variable(self) -> str:
        """Name of the family's own covariances in a PyMC model."""
        return f"{self.sharing.prefix}{self.form.variable}"

    def size(self, n_components: int, n_features: int) -> int:
        """Number of free parameters of the covariances."""
        return self.sharing.count(n_components) * self.form.size(n_features)

    def size_per_component(self, n_features: int) -> int:
        """Number of free parameters that one more component adds to the covariances."""
        return self.size(2, n_features) - self.size(1, n_features)

    def points_needed(self, n_features: int) -> int:
        """Minimum number of points that each component must hold for its covariance."""
        return self.sharing.points_needed(self.form.block_size(n_features) + 1)

    @property
    def maximises_many(self) -> bool:
        """True if ``maximise`` is that of this class, which takes the statistics of several mixtures at once."""
        return type(self).maximise is Family.maximise and type(self)._pooled is Family._pooled

    # -- maximisation --

    def maximise(self, stats: Stats, dof: float = 0.0, scale: Array | None = None, n_mixtures: int = 1) -> Array:
        """Compute the covariances (core) that maximise the expected log likelihood, or with a prior the log posterior.

        Parameters
        ----------
        stats : Stats
            From a fold over a table of this family.
        dof, scale : float, array of one component's core shape, optional
            Parameters of an inverse Wishart prior; the result is the posterior mode (Fraley & Raftery 2007).
        n_mixtures : int
            Number of mixtures, under a prior, whose components follow each other in ``stats``.

        Raises
        ------
        EmptyComponent
            When a component holds too few points for its covariance, and there is no prior.
        """
        n_features = stats.s1.shape[1]
        block = self.form.block_size(n_features)
        if scale is None:
            self._require_points(stats.n, self.sharing.pool(stats.n), block)
            return self.moments(stats)
        scatter, n = self._pooled(stats, n_mixtures)
        repeats = self.form.repeats(n_features)
        return (repeats * scatter + scale) / _columns(repeats * n + dof + block + 1, scatter)

    def moments(self, stats: Stats) -> Array:
        """Compute the covariances of maximum likelihood for any number of points; singular if there are too few."""
        scatter, n = self._pooled(stats)
        return scatter / _columns(n, scatter)

    def _pooled(self, stats: Stats, n_mixtures: int = 1) -> tuple[Array, Array]:
        """Return the scatter in core shape, averaged over features that share a number, and numbers of points (M,)."""
        scatter = self.sharing.pool(stats.scatter(), n_mixtures)
        return self.form.mean_scatter(scatter), self.sharing.pool(stats.n, n_mixtures)

    def _require_points(self, each: Array, pooled: Array, block: int) -> None:
        k = int(np.argmin(each))
        if not each[k] > 0 or not pooled.min() >= block + 1 - 1e-9:
            raise EmptyComponent(
                f"component {k} holds {each[k]:.1f} points; a {self.name!r} covariance in {block} "
                f"{'dimension' if block == 1 else 'dimensions'} needs {block + 1}.",
                [*self._shared(), *_simpler(self)],
            )

    def widen(self, core: Array, floor: Array) -> Array:
        """Add floor (D,) to the variances of covariances in core shape."""
        return self.form.widen(core, floor)

    def roots(self, core: Array, vanishing: float = VANISHING, singular: float = SINGULAR) -> Array:
        """Compute precision roots from covariances, both in core shape and standardised.

        Parameters
        ----------
        core : covariances in core shape
        vanishing, singular : float
            Minimum of a variance, and of the share of a column's variance that the columns before it leave.

        Raises
        ------
        DegenerateComponent
            When a covariance is not positive definite to working precision.
        """
        return self.form.roots(core, partial(self._require_regular, core), vanishing, singular)

    def _require_regular(self, core: Array, regular: ArrayLike) -> None:
        """Raise an error for the first covariance that is not regular, with the families that hold its points."""
        regular = np.atleast_1d(regular)
        bad = np.argwhere(~regular)
        if not len(bad):
            return
        own = core[tuple(bad[0])]
        variance = np.diagonal(own) if own.ndim == 2 else own
        held = {"diag": variance.min() > CLEAR, "spherical": variance.mean() > CLEAR}
        raise DegenerateComponent(
            f"{self.sharing.name(bad[0][-1])} is singular: its points lie on a lower-dimensional set.",
            [*(self._shared() if regular.any() else ()), *(name for name in _simpler(self) if held[name])],
        )

    def _shared(self) -> list[str]:
        """Return the name of the family with one covariance for all components, if this one has several."""
        return ["tied"] if self.sharing.count(2) == 2 else []

    # -- shapes --

    def squeezed(self, core: Array) -> Array:
        """Convert covariances or roots from core shape to scikit-learn's shape, without axes of length one."""
        return self.sharing.squeezed(self.form.squeezed(core))

    def unsqueezed(self, values: "Array | TensorVariable") -> "Array | TensorVariable":
        """Convert covariances or roots from scikit-learn's shape to core shape."""
        return self.sharing.unsqueezed(self.form.unsqueezed(values))

    def identity(self, n_components: int, n_features: int) -> Array:
        """Return identity covariances or roots in core shape."""
        return np.broadcast_to(self.form.identity(n_features), self.core_shape(n_components, n_features)).copy()

    def cores(self, covariance: Array) -> Array:
        """Convert covariances of every component (..., K, D, D) to core shape: the inverse of ``as_matrices``.

        Examples
        --------
        >>> COVARIANCES["tied"].cores(np.stack([np.eye(2), np.eye(2)])).shape
        (1, 2, 2)
        """
        return self.form.from_matrices(self.sharing.distinct(covariance))

    def as_matrices(self, core: Array, n_components: int, n_features: int) -> Array:
        """Convert covariances in core shape to those of every component (..., K, D, D)."""
        matrices = self.form.to_matrices(core, n_features)
        return np.broadcast_to(matrices, (*matrices.shape[:-3], n_components, n_features, n_features))

    def matrices(self, core_roots: Array, n_components: int, n_features: int) -> Array:
        """Compute covariances of every component (..., K, D, D) from roots in core shape."""
        return self.as_matrices(self.form.covariance(core_roots), n_components, n_features).copy()

    def expand(self, core: Array, n_components: int, n_features: int) -> Array:
        """Convert the family's roots to those of a table: (..., K, D, D) or (..., K, D)."""
        return self.form.to_table(core, n_components, n_features)

    def zero_moments(self, n_components: int, n_features: int) -> Array:
        """Return second moments of no points, in the form of ``Stats``: (K, D, D), or their diagonals (K, D)."""
        return np.zeros((n_components, *self.form.table_shape(n_features)))

    # -- roots and points --

    def stretch(self, core_roots: Array, steps: Array) -> Array:
        """Convert steps in standard deviations, ``root x``, to steps x (K, D)."""
        return self.form.solve(self.expand(core_roots, *steps.shape), steps)

    def stretch_transposed(self, core_roots: Array, slopes: Array) -> Array:
        """Convert gradients in x (K, D) to gradients in ``root x``."""
        return self.form.solve_transposed(self.expand(core_roots, *slopes.shape), slopes)

    def precision_times(self, core_roots: Array, vectors: Array) -> Array:
        """Multiply vectors (K, D) by the precisions of the roots, ``root' root``."""
        return self.form.precision_times(self.expand(core_roots, *vectors.shape), vectors)


def _simpler(family: Family) -> list[str]:
    """Return the names of the families without correlations, or without different variances, that are not this one."""
    names = [*COVARIANCES]
    return names[max(names.index(family.name), 1) + 1 :] if family.name in names else []


def _columns(n: Array, like: Array) -> Array:
    return n.reshape(-1, *[1] * (like.ndim - 1))


@dataclass(frozen=True)
class Full(Family):
    r"""Each component has its own covariance: any volume, shape and orientation (VVV in [1]_).

    .. math:: \Sigma_k, \qquad K D (D + 1) / 2 \text{ free parameters}

    References
    ----------
    .. [1] Celeux & Govaert (1995), Pattern Recognition 28(5), 781-793.

    Examples
    --------
    >>> Full().size(n_components=3, n_features=2)
    9
    """

    name: ClassVar = "full"
    words: ClassVar = "each component has its own covariance matrix: an ellipse of any size, shape and direction"
    sharing: ClassVar = OneEach()
    form: ClassVar = Squares()
    chart: ClassVar = Triangles(OneEach())


@dataclass(frozen=True)
class Tied(Family):
    r"""One covariance for all components: equal volume, shape and orientation (EEE in [1]_).

    .. math:: \Sigma_k = \Sigma, \qquad D (D + 1) / 2 \text{ free parameters}

    References
    ----------
    .. [1] Celeux & Govaert (1995), Pattern Recognition 28(5), 781-793.

    Examples
    --------
    >>> Tied().size(n_components=3, n_features=2)
    3
    """

    name: ClassVar = "tied"
    words: ClassVar = "all components share one covariance matrix: ellipses of the same size, shape and direction"
    sharing: ClassVar = OneForAll()
    form: ClassVar = Squares()
    chart: ClassVar = Triangles(OneForAll())


@dataclass(frozen=True)
class Diagonal(Family):
    r"""Each component has its own variance in each column, and no correlations (VVI in [1]_).

    .. math:: \Sigma_k = \mathrm{diag}(\sigma_{k1}^2, \dots, \sigma_{kD}^2), \qquad K D \text{ free parameters}

    References
    ----------
    .. [1] Celeux & Govaert (1995), Pattern Recognition 28(5), 781-793.

    Examples
    --------
    >>> Diagonal().size(n_components=3, n_features=2)
    6
    """

    name: ClassVar = "diag"
    words: ClassVar = "each component has its own variance in each column and no correlations: ellipses along the axes"
    sharing: ClassVar = OneEach()
    form: ClassVar = Diagonals()
    chart: ClassVar = Logarithms(OneEach(), Diagonals())


@dataclass(frozen=True)
class Spherical(Family):
    r"""A variance for each component, the same in all columns: only the volume varies (VII in [1]_).

    .. math:: \Sigma_k = \sigma_k^2 I, \qquad K \text{ free parameters}

    References
    ----------
    .. [1] Celeux & Govaert (1995), Pattern Recognition 28(5), 781-793.

    Examples
    --------
    >>> Spherical().size(n_components=3, n_features=2)
    3
    """

    name: ClassVar = "spherical"
    words: ClassVar = "each component has its own variance, the same in all columns: circles"
    sharing: ClassVar = OneEach()
    form: ClassVar = Multiples()
    chart: ClassVar = Logarithms(OneEach(), Multiples())
    needs_common_scale: ClassVar = True


COVARIANCES: dict[str, Family] = {family.name: family for family in (Full(), Tied(), Diagonal(), Spherical())}


def without_chart(family: Family) -> dict[str, str]:
    """Return the part of a family that has no unconstrained coordinates, with an alternative to declare.

    Empty if the family has a chart, as the four families here do.

    Examples
    --------
    >>> without_chart(COVARIANCES["tied"])
    {}
    """
    if family.chart is not None:
        return {}
    charted = (repr(name) for name, other in COVARIANCES.items() if other.chart is not None)
    return {f"covariance={family.name!r}": f"covariance={' or '.join(charted)}"}


def chart_of(family: Family) -> Chart:
    """Return the chart of a family.

    Raises
    ------
    DeclarationError
        When it has none.
    """
    if family.chart is None:
        what, instead = next(iter(without_chart(family).items()))
        raise DeclarationError(f"{what} has no unconstrained coordinates\n  Use method='em', or declare {instead}.")
    return family.chart
