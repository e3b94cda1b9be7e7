"""Covariance family: how components share covariances, their form, the M step, and a chart for other engines."""

from abc import ABC
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Protocol

import numpy as np
from numpy.typing import ArrayLike

from bayesgmm.errors import DegenerateComponent, EmptyComponent
from bayesgmm.families.charts import Chart, RootChart
from bayesgmm.families.forms import Form
from bayesgmm.families.sharing import Sharing
from bayesgmm.sweep.stats import Array, Stats, Table

if TYPE_CHECKING:
    from pytensor.tensor.variable import TensorVariable

VANISHING = 1e-14  # variances below this count as zero; the variance of the data is about one
SINGULAR = 1e-10  # minimum share of a column's variance that earlier columns must not explain
CLEAR = 1e-6  # variance from which a singular component would be regular under a simpler family
FREE = ("full", "diag", "spherical")  # families in which components share nothing, by their forms
ROUNDING = 1e-9  # by which a number of points may fall short


class Changes(Protocol):
    """Unconstrained coordinates (size,) of a change of roots, for quasi-Newton steps. A ``RootChart`` has them."""

    def size(self, n_components: int, n_features: int) -> int:
        """Number of coordinates."""

    def information(self, n: Array, n_features: int) -> Array:
        """Compute the Fisher information (size,) of points whose components are known, at no change."""

    def changed(self, v: Array, base: Array, n_components: int, n_features: int) -> Array:
        """Compute roots in core shape from coordinates of a change of ``base``."""

    def gradient(self, stats: Stats, core_roots: Array, base: Array) -> Array:
        """Compute the gradient (size,) of the log likelihood in the coordinates of a change from ``base``."""

    def most(self, base: Array) -> Array | None:
        """Return the largest allowed values (size,) of the coordinates; None if they have no limits."""


class Family(ABC):
    """Covariance family: the restriction on the components' covariances.

    A subclass names its parts. One with further restrictions overrides ``size``, ``points_needed`` and ``restrict``.

    Parameters
    ----------
    name : str
        Name in the registry.
    mclust : str
        Name in R's mclust: letters for volume, shape and orientation.
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
    search_factor : int
        Factor of the budget of the search for maxima: more than 1 where EM takes more sweeps.
    is_conjugate : bool
        True if precisions of this family have Wishart distributions given the points, under a Wishart prior.
    """

    name: ClassVar[str]
    mclust: ClassVar[str] = ""
    sharing: ClassVar[Sharing]
    form: ClassVar[Form]
    words: ClassVar[str] = ""
    chart: ClassVar[Chart | None] = None
    needs_common_scale: ClassVar[bool] = False
    search_factor: ClassVar[int] = 1
    is_conjugate: ClassVar[bool] = True

    @property
    def has_conditionals(self) -> bool:
        """True if Gibbs sampling can draw the covariances."""
        return self.is_conjugate

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

    @property
    def formula(self) -> str:
        """Formula of the restrictions, for reports; empty if the covariances that are not shared are free."""
        return ""

    def size(self, n_components: int, n_features: int) -> int:
        """Number of free parameters of the covariances."""
        return self.sharing.count(n_components) * self.form.size(n_features)

    @property
    def free(self) -> str:
        """Name of the family of this form in which components share nothing: for one component the same family."""
        return FREE[self._form_number]

    @property
    def _form_number(self) -> int:
        """Number of the form among those of ``FREE``, which have ever fewer numbers."""
        return 4 - self.form.block_size(2) - self.form.n_scales(2)

    def signature(self, n_components: int, n_features: int) -> str:
        """Return a text that families share which are the same model of K components and D features.

        One component shares nothing; in one column there are only volumes.

        Examples
        --------
        >>> from bayesgmm.families.structures import COVARIANCES
        >>> [COVARIANCES[name].signature(1, 4) for name in ("tied", "VEV", "EVI")]
        ['full', 'full', 'diag']
        >>> [COVARIANCES[name].signature(3, 1) for name in ("tied", "VEV", "EVI")]
        ['E', 'V', 'E']
        """
        if n_components == 1:
            return self.free if n_features > 1 else FREE[0]
        return self.name if n_features > 1 else self.mclust[:1] or self.name

    def size_per_component(self, n_features: int) -> int:
        """Number of free parameters that one more component adds to the covariances."""
        return self.size(2, n_features) - self.size(1, n_features)

    def points_needed(self, n_features: int) -> int:
        """Minimum number of points that each component must hold for its covariance."""
        return self.sharing.points_needed(self.form.block_size(n_features) + 1)

    @property
    def needs_all_directions(self) -> bool:
        """True if a covariance is singular unless its points vary in all directions of space, columns apart."""
        return self.form.block_size(2) > 1

    @property
    def changes(self) -> Changes | None:
        """Coordinates for quasi-Newton steps: those of a chart of roots; None if there are none."""
        return self.chart if isinstance(self.chart, RootChart) else None

    def require_columns(self, n_features: int) -> None:
        """Check that data of D columns determine the family's covariances: a family without limits checks nothing."""
        return

    @property
    def maximises_many(self) -> bool:
        """True if ``maximise`` is that of this class, which takes the statistics of several mixtures at once."""
        return type(self).maximise is Family.maximise and type(self)._pooled is Family._pooled

    # -- maximisation --

    def maximise(
        self,
        stats: Stats,
        dof: float = 0.0,
        scale: Array | None = None,
        n_mixtures: int = 1,
        floor: Array | None = None,
        before: Array | None = None,
    ) -> Array:
        """Compute the covariances (core) that maximise the expected log likelihood, or with a prior the log posterior.

        Parameters
        ----------
        stats : Stats
            From a fold over a table of this family.
        dof, scale : float, array of one component's core shape, optional
            Parameters of an inverse Wishart prior; the result is the posterior mode (Fraley & Raftery 2007).
        n_mixtures : int
            Number of mixtures, under a prior, whose components follow each other in ``stats``.
        floor : (D,) float, optional
            Added to the variances of the components, before the restrictions of the family.
        before : roots in core shape, or several (S, M, ...), optional
            Those of the mixtures that made the statistics, for a family whose maximum is found by iteration from there.

        Raises
        ------
        EmptyComponent
            When a component holds too few points for its covariance, and there is neither a prior nor a floor.
        """
        n_features = stats.s1.shape[1]
        if scale is None and floor is None:
            self._require_points(stats.n, n_features)
        scatter, n = self._pooled(stats, n_mixtures)
        if scale is not None:
            repeats, block = self.form.repeats(n_features), self.form.block_size(n_features)
            scatter, n = repeats * scatter + scale, repeats * n + dof + block + 1
        core = scatter / _columns(n, scatter)
        return self.restrict(core if floor is None else self.form.widen(core, floor), n, n_mixtures, before)

    def restrict(self, core: Array, n: Array, n_mixtures: int = 1, before: Array | None = None) -> Array:
        r"""Compute the covariances of the family that are closest to unrestricted ones.

        They maximise the likelihood of Gaussians, :math:`-\tfrac12 \sum_k n_k \,
        (\log |\Sigma_k| + \mathrm{tr} \, \Sigma_k^{-1} C_k)`, whose points have the unrestricted covariances C.

        Parameters
        ----------
        core : covariances (S M, ...) in core shape, of several mixtures that follow each other
        n : (S M,) float
            Number of points of each.
        n_mixtures : int
            S.
        before : roots, optional
            As for ``maximise``.
        """
        return core

    def _pooled(self, stats: Stats, n_mixtures: int = 1) -> tuple[Array, Array]:
        """Return the scatter in core shape, averaged over features that share a number, and numbers of points (M,)."""
        scatter = self.sharing.pool(stats.scatter(), n_mixtures)
        return self.form.mean_scatter(scatter), self.sharing.pool(stats.n, n_mixtures)

    def _require_points(self, n: Array, n_features: int) -> None:
        """Check that each component holds the points that it needs, and all together those for one covariance.

        Raises
        ------
        EmptyComponent
        """
        k, block = int(np.argmin(n)), self.form.block_size(n_features)
        few = n[k] < self.points_needed(n_features) - ROUNDING
        if few or not n[k] > 0 or n.sum() < block + 1 - ROUNDING:
            raise EmptyComponent(
                f"component {k} holds {n[k]:.1f} points; a {self.name!r} covariance in {block} "
                f"{'dimension' if block == 1 else 'dimensions'} needs "
                f"{self.points_needed(n_features) if few else block + 1}.",
                [*self._shared(), *self._simpler()],
            )

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
            [*(self._shared() if regular.any() else ()), *(name for name in self._simpler() if held[name])],
        )

    def _shared(self) -> list[str]:
        """Return the name of the family with one covariance for all components, if this one has several."""
        return ["tied"] if self.sharing.count(2) == 2 else []

    def _simpler(self) -> list[str]:
        """Return the names of the families of simpler forms: without correlations, and without different variances."""
        return [*FREE[self._form_number + 1 :]]

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
        >>> from bayesgmm.families.structures import COVARIANCES
        >>> COVARIANCES["tied"].cores(np.stack([np.eye(2), np.eye(2)])).shape
        (1, 2, 2)
        """
        return self.form.from_matrices(self.sharing.distinct(covariance))

    def roots_near(self, covariance: Array) -> Array:
        """Compute roots (M, ...) of covariances (K, D, D), or where these are not of the family, of similar ones."""
        return self.roots(self.cores(covariance), vanishing=0.0, singular=0.0)

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

    def table(self, log_weight: Array, mean: Array, core_roots: Array) -> Table:
        """Make the table that scores points, or a stack of tables, from log weights, means and roots."""
        return Table.from_parameters(log_weight, mean, self.expand(core_roots, *mean.shape[-2:]))

    def spherical(self, n_components: int, n_features: int, variance: float) -> Array:
        """Return roots of equal spherical components, in core shape, from which EM can start."""
        return self.identity(n_components, n_features) / np.sqrt(variance)

    def dense(self, core_roots: Array) -> Array:
        """Convert roots in core shape to the shape of the form."""
        return core_roots

    def zero_moments(self, n_components: int, n_features: int) -> Array:
        """Return second moments of no points, in the form of ``Stats``: (K, D, D), or their diagonals (K, D)."""
        return np.zeros((n_components, *self.form.table_shape(n_features)))

    # -- roots and points --

    def log_inverse_wishart(self, core_roots: Array, scale: Array, powers: Array) -> Array:
        """Compute the log density (S,) of roots (S, M, ...) under an inverse Wishart prior, up to a constant.

        Parameters
        ----------
        core_roots : (S, M, ...) float
        scale : covariance in core shape
        powers : (B,) float
            Exponents of the diagonal of a root.
        """
        if core_roots.ndim == scale.ndim + 2 and scale.ndim == 2:  # square matrices
            diagonal = np.diagonal(core_roots, axis1=-2, axis2=-1)
            cost = ((core_roots @ scale) * core_roots).sum(axis=(1, 2, 3))
        else:
            diagonal, cost = core_roots, (core_roots**2 * scale).sum(axis=(-2, -1))
        return np.asarray((powers * np.log(diagonal)).sum(axis=(-2, -1)) - 0.5 * cost)

    def stretch(self, core_roots: Array, steps: Array) -> Array:
        """Convert steps in standard deviations, ``root x``, to steps x (K, D)."""
        return self.form.solve(self.expand(core_roots, *steps.shape), steps)

    def stretch_transposed(self, core_roots: Array, slopes: Array) -> Array:
        """Convert gradients in x (K, D) to gradients in ``root x``."""
        return self.form.solve_transposed(self.expand(core_roots, *slopes.shape), slopes)

    def precision_times(self, core_roots: Array, vectors: Array) -> Array:
        """Multiply vectors (K, D) by the precisions of the roots, ``root' root``."""
        return self.form.precision_times(self.expand(core_roots, *vectors.shape), vectors)


def _columns(n: Array, like: Array) -> Array:
    return n.reshape(-1, *[1] * (like.ndim - 1))
