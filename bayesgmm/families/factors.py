r"""Factor analysers: covariances of a few factors and of noise, for columns by the hundred.

.. math:: \Sigma_k = \Lambda_k \Lambda_k^\top + \Psi_k

A family has one of eight restrictions [1]_: loadings and noise may be equal for all components, and the noise may have
the same variance in all columns. Its roots in core shape are (K, D, q + 1), so that no matrix of D x D numbers is made
(``sweep.factor_tables``); roots (K, D, D) of the same covariances are accepted, too, and scored as those of ``full``.

References
----------
.. [1] McNicholas & Murphy (2008), Parsimonious Gaussian mixture models, Stat. Comput. 18, 285-296.
.. [2] McLachlan & Peel (2000), Mixtures of factor analyzers, Proc. 17th Int. Conf. Machine Learning, 599-606.
"""

import re
from dataclasses import KW_ONLY, dataclass, replace
from functools import cached_property
from typing import ClassVar, Literal

import numpy as np

from bayesgmm.errors import DeclarationError, DegenerateComponent, EmptyComponent
from bayesgmm.families import factor_steps
from bayesgmm.families.factor_changes import FactorChanges
from bayesgmm.families.factor_charts import FactorChart
from bayesgmm.families.factor_steps import Moments, Restriction
from bayesgmm.families.family import ROUNDING, SINGULAR, VANISHING, Family
from bayesgmm.families.sharing import OneEach
from bayesgmm.families.squares import Squares
from bayesgmm.keywords import checks_keywords
from bayesgmm.sweep.factor_tables import FactorTable, covariances, dense_roots, inner, projection
from bayesgmm.sweep.stats import Array, Stats, Table
from bayesgmm.wording import plural

PREFIX = "factors"
SHARED = ("free", "tied")
SPELLING = re.compile(rf"{PREFIX}:(?P<count>\d+)(?::(?P<letters>[UC]{{3}}))?")
EXAMPLES = "'factors:2', 'factors:2:UCU'"  # spelled as SPELLING
START = 0.5  # loadings of a spherical start, in standard deviations of the noise


@checks_keywords
@dataclass(frozen=True)
class FactorAnalysers(Family):
    r"""Each covariance is that of a few factors and of noise: the correlations of many columns by few numbers.

    .. math:: \Sigma_k = \Lambda_k \Lambda_k^\top + \Psi_k

    The loadings :math:`\Lambda_k` are (D, q), the noise :math:`\Psi_k` is diagonal. Up to the rotation of the factors,
    a component has :math:`D q - q (q - 1) / 2` loadings and D variances, in place of :math:`D (D + 1) / 2` numbers.

    Parameters
    ----------
    n_factors : int
        q, at least 1. The data must have enough columns: :math:`(D - q)^2 \ge D + q`.
    loadings, noise : 'free' or 'tied'
        Whether each component has its own, or all have the same.
    isotropic : bool
        True if the noise has the same variance in all columns: probabilistic principal components.

    Raises
    ------
    DeclarationError
        If a value is not allowed.

    Notes
    -----
    Wherever a name of a covariance family is expected, ``'factors:2'`` is that of ``FactorAnalysers(2)``. For the other
    seven members of the family, three letters of [1]_ follow: C (constrained) or U for tied loadings, tied noise and
    isotropic noise, for example ``'factors:2:UCU'`` for free loadings and tied noise.

    References
    ----------
    .. [1] McNicholas & Murphy (2008), Parsimonious Gaussian mixture models, Stat. Comput. 18, 285-296.
    .. [2] Tipping & Bishop (1999), Mixtures of probabilistic principal component analysers, Neural Computation 11(2),
       443-482.

    Examples
    --------
    >>> FactorAnalysers(2, noise="tied").name
    'factors:2:UCU'
    >>> FactorAnalysers(2).size(n_components=10, n_features=64)
    1910
    """

    n_factors: int
    _: KW_ONLY
    loadings: Literal["free", "tied"] = "free"
    noise: Literal["free", "tied"] = "free"
    isotropic: bool = False

    sharing: ClassVar = OneEach()
    form: ClassVar = Squares()
    needs_all_directions: ClassVar = False
    maximises_many: ClassVar = True
    is_conjugate: ClassVar = False
    has_conditionals: ClassVar = True  # those of loadings and noise, given the factors
    search_factor: ClassVar = 5

    def __post_init__(self) -> None:
        count = self.n_factors
        shared = ((name, getattr(self, name)) for name in ("loadings", "noise"))
        problems = [f"{name}={value!r}: must be 'free' or 'tied'" for name, value in shared if value not in SHARED]
        if isinstance(count, bool) or not isinstance(count, int | np.integer) or count < 1:
            problems.insert(0, f"n_factors={count!r}: must be a whole number, at least 1")
        if not isinstance(self.isotropic, bool | np.bool_):
            problems.append(f"isotropic={self.isotropic!r}: must be True or False")
        if problems:
            raise DeclarationError("FactorAnalysers: " + "; ".join(problems))
        object.__setattr__(self, "n_factors", int(count))
        object.__setattr__(self, "isotropic", bool(self.isotropic))

    def signature(self, n_components: int, n_features: int) -> str:
        """Return a text that families share which are the same model: one component shares nothing with others.

        Examples
        --------
        >>> FactorAnalysers(2, noise="tied").signature(1, 9)
        'factors:2'
        """
        return replace(self, loadings="free", noise="free").name if n_components == 1 else self.name

    @classmethod
    def named(cls, name: object) -> "FactorAnalysers | None":
        """Return the family of a name, or None for a name of another kind.

        Raises
        ------
        DeclarationError
            If it begins like such a name, but is none.

        Examples
        --------
        >>> FactorAnalysers.named("factors:3:CCU")
        FactorAnalysers(n_factors=3, loadings='tied', noise='tied', isotropic=False)
        """
        if isinstance(name, cls):
            return name
        if not isinstance(name, str) or not name.startswith(PREFIX):
            return None
        found = SPELLING.fullmatch(name)
        if not found:
            raise DeclarationError(
                f"covariance={name!r}: give the number of factors, for example {EXAMPLES} (three letters, each C or U, "
                "for tied loadings, tied noise and isotropic noise)"
            )
        loadings, noise, isotropic = (letter == "C" for letter in found["letters"] or "UUU")
        return cls(int(found["count"]), loadings=_shared(loadings), noise=_shared(noise), isotropic=isotropic)

    # -- names and sizes --

    @property
    def letters(self) -> str:
        """Name of the restriction in McNicholas & Murphy (2008): C or U for loadings, noise, and isotropic noise."""
        return "".join("UC"[tied] for tied in (self._ties_loadings, self._ties_noise, self.isotropic))

    @property
    def name(self) -> str:  # type: ignore[override]
        """Name, as ``FactorAnalysers.named`` reads it."""
        own = "" if self.letters == "UUU" else f":{self.letters}"
        return f"{PREFIX}:{self.n_factors}{own}"

    @property
    def words(self) -> str:  # type: ignore[override]
        """Description for reports."""
        factors = plural(self.n_factors, "factor")
        owner = "the same loadings for all components" if self._ties_loadings else "its own loadings"
        noise = "noise of one variance" if self.isotropic else "noise with a variance for each column"
        shared = ", the same for all components" if self._ties_noise else ""
        return f"each covariance is that of {factors}, with {owner}, and of {noise}{shared}"

    @property
    def needs_common_scale(self) -> bool:  # type: ignore[override]
        """True if all columns must have the same scale: if the noise has."""
        return self.isotropic

    @property
    def formula(self) -> str:
        """Formula of the restrictions, for reports.

        Examples
        --------
        >>> FactorAnalysers(2, noise="tied", isotropic=True).formula
        'Σ_k = Λ_k Λ_k^⊤ + ψ I'
        """
        loadings = "Λ Λ^⊤" if self._ties_loadings else "Λ_k Λ_k^⊤"
        noise = ("ψ" if self.isotropic else "Ψ") + ("" if self._ties_noise else "_k")
        return f"Σ_k = {loadings} + {noise}{' I' if self.isotropic else ''}"

    @property
    def _ties_loadings(self) -> bool:
        return self.loadings == "tied"

    @property
    def _ties_noise(self) -> bool:
        return self.noise == "tied"

    @cached_property
    def _restriction(self) -> Restriction:
        return Restriction(self.n_factors, self._ties_loadings, self._ties_noise, self.isotropic)

    @cached_property
    def chart(self) -> FactorChart:  # type: ignore[override]
        """Coordinates: loadings, and logarithms of the noise's precision roots."""
        return FactorChart(self._restriction)

    def size(self, n_components: int, n_features: int) -> int:  # noqa: D102
        q = self.n_factors
        loadings = n_features * q - q * (q - 1) // 2
        noise = 1 if self.isotropic else n_features
        return loadings * (1 if self._ties_loadings else n_components) + noise * (
            1 if self._ties_noise else n_components
        )

    def points_needed(self, n_features: int) -> int:
        """Minimum number of points of each component: more than its factors pass through, if it has its own noise."""
        if self._ties_noise:
            return 1
        return 2 if self._ties_loadings else self.n_factors + 2

    def require_columns(self, n_features: int) -> None:
        """Check that the covariances have no fewer numbers than loadings and noise, so that these are determined.

        Raises
        ------
        DeclarationError

        References
        ----------
        .. [1] Lawley & Maxwell (1971), Factor Analysis as a Statistical Method, chapter 2.
        """
        if is_determined(self.n_factors, n_features, self.isotropic):
            return
        are = "is" if n_features == 1 else "are"
        most = max(q for q in range(n_features + 1) if q == 0 or is_determined(q, n_features, self.isotropic))
        allowed = f"can have at most {plural(most, 'factor')}" if most else f"{are} too few for factors"
        condition = "q <= D - 2" if self.isotropic else "(D - q)^2 >= D + q"
        raise DeclarationError(
            f"covariance={self.name!r}: {plural(n_features, 'column')} {allowed}: loadings and noise are determined "
            f"only if {condition}\n  Try {self._instead(most)}."
        )

    def _instead(self, most: int) -> str:
        fewer = [f"covariance={self.name.replace(str(self.n_factors), str(most), 1)!r}"] if most else []
        return " or ".join([*fewer, "covariance='full'"])

    # -- maximisation --

    @property
    def changes(self) -> FactorChanges:
        """Coordinates for quasi-Newton steps."""
        return FactorChanges(self._restriction)

    def maximise(
        self,
        stats: Stats,
        dof: float = 0.0,
        scale: Array | None = None,
        n_mixtures: int = 1,
        floor: Array | None = None,
        before: Array | None = None,
    ) -> Array:
        """Compute roots (K, D, q + 1) whose expected log likelihood, or posterior, is no lower than before.

        One step of EM for the factors, or several if ``stats`` hold matrices. Without roots before, the maximum for the
        scatters, or under a prior a start: their principal axes.

        Parameters
        ----------
        stats : Stats
            From a fold over a table of this family, or of ``full``.
        dof, scale : float, (D, D) float, optional
            Parameters of an inverse Wishart prior.
        n_mixtures, floor, before
            As for ``Family.maximise``.

        Raises
        ------
        EmptyComponent
            When a component holds too few points, and there is neither a prior nor a floor.
        """
        d = stats.s1.shape[1]
        if scale is None and floor is None:
            self._require_points(stats.n, d)
        added = np.zeros((d, d)) if scale is None else scale
        extra = 0.0 if scale is None else dof + d + 1
        n = stats.n.reshape(n_mixtures, -1)
        ridge = 0.0 if floor is None else floor
        if before is not None and not _is_dense(before):
            before = before.reshape(*n.shape, d, -1)
            if stats.s2.shape[-1] != d:
                return self._from_products(stats, n, added, extra, ridge, before).reshape(-1, *before.shape[2:])
        scatter = (stats.scatter() + stats.n[:, None, None] * ridge * np.eye(d)).reshape(*n.shape, d, d) + added
        return self._from_scatters(scatter, n + extra, before, is_start=scale is not None)

    def _from_products(
        self, stats: Stats, n: Array, added: Array, extra: float, ridge: Array | float, before: Array
    ) -> Array:
        """Take one step from the statistics of a low-rank sweep; return roots (S, K, D, q + 1)."""
        onto = projection(before)
        shape = n.shape
        s1, s2 = (part.reshape(*shape, *part.shape[1:]) for part in (stats.s1, stats.s2))
        shift = s1 / n[..., None]
        factors = (s1[..., None, :] @ onto)[..., 0, :]
        ridged = n[..., None] * ridge
        product = s2[..., :-1] - shift[..., None] * factors[..., None, :] + ridged[..., None] * onto + added @ onto
        square = s2[..., -1] - shift * s1 + ridged + np.diagonal(added)
        return factor_steps.improved(Moments(n + extra, product, square), before, self._restriction)

    def _from_scatters(self, scatter: Array, n: Array, before: Array | None, is_start: bool) -> Array:
        """Compute roots (S K, D, q + 1) from matrices (S, K, D, D)."""
        own = self._restriction
        if before is None or _is_dense(before):
            roots = (factor_steps.principal if is_start else factor_steps.maximum)(scatter, n, own)
        else:
            roots, square = before, np.diagonal(scatter, axis1=-2, axis2=-1)
            for _ in range(STEPS):
                roots = factor_steps.improved(Moments(n, scatter @ projection(roots), square), roots, own)
        return roots.reshape(-1, *roots.shape[2:])

    def _require_points(self, n: Array, n_features: int) -> None:
        k, needed = int(np.argmin(n)), self.points_needed(n_features)
        if n[k] < needed - ROUNDING or not n[k] > 0:
            raise EmptyComponent(
                f"component {k} holds {n[k]:.1f} points; a {self.name!r} covariance needs {needed}.", self._simpler()
            )

    def restrict(self, core: Array, n: Array, n_mixtures: int = 1, before: Array | None = None) -> Array:
        """Compute the roots (S K, D, q + 1) closest to unrestricted covariances (S K, D, D)."""
        count = n.reshape(n_mixtures, -1)
        scatter = core.reshape(*count.shape, *core.shape[1:]) * count[..., None, None]
        roots = factor_steps.maximum(scatter, count, self._restriction, MORE_STARTS)
        return roots.reshape(-1, *roots.shape[2:])

    def roots(self, core: Array, vanishing: float = VANISHING, singular: float = SINGULAR) -> Array:
        """Check roots (..., D, q + 1): they are the family's core, too.

        Raises
        ------
        DegenerateComponent
            When more columns than factors have no noise, or a column does not vary.
        """
        if not vanishing and not singular:
            return core
        variance = (1 + (core[..., :-1] ** 2).sum(axis=-1)) / core[..., -1] ** 2
        none = factor_steps.columns_without_noise(core, self._restriction) > self.n_factors
        flat = ~((variance > vanishing).all(axis=-1) & np.isfinite(core).all(axis=(-2, -1)))
        bad = np.argwhere(none | flat)
        if len(bad):
            k, vary = bad[0][-1], variance[tuple(bad[0])].min() > vanishing
            raise DegenerateComponent(
                f"{self.sharing.name(k)} is singular: its points lie on a lower-dimensional set.",
                [
                    *([] if self.isotropic else [replace(self, isotropic=True).name]),
                    *(["diag"] if vary else []),
                    "spherical",
                ],
            )
        return core

    # -- shapes --

    def table(self, log_weight: Array, mean: Array, core_roots: Array) -> Table:  # noqa: D102
        kind = Table if _is_dense(core_roots) else FactorTable
        return kind.from_parameters(log_weight, mean, core_roots)

    def spherical(self, n_components: int, n_features: int, variance: float) -> Array:
        """Return roots from which EM can start: small loadings, because EM would leave loadings of zero at zero."""
        row, column = np.arange(n_features)[:, None] + 0.5, np.arange(1, self.n_factors + 1)
        loadings = START * np.cos(np.pi * row * column / n_features)
        precision = np.full((n_features, 1), 1 / np.sqrt(variance))
        one = np.concatenate([loadings, precision], axis=1)
        return np.broadcast_to(one, (n_components, *one.shape)).copy()

    def cores(self, covariance: Array) -> Array:
        """Compute the roots (..., K, D, q + 1) closest to covariances (..., K, D, D)."""
        many = covariance.reshape(-1, *covariance.shape[-3:])
        ones = np.ones(many.shape[:2])
        found = factor_steps.maximum(many, ones, self._restriction)
        return found.reshape(*covariance.shape[:-2], *found.shape[-2:])

    def roots_near(self, covariance: Array) -> Array:  # noqa: D102
        return factor_steps.principal(covariance[None], np.ones((1, len(covariance))), self._restriction)[0]

    def rotated(self, core_roots: Array) -> Array:
        """Rotate the factors of roots (K, D, q + 1): uncorrelated given the points, the best known first."""
        loadings = core_roots[..., :-1]
        known = np.swapaxes(loadings, -1, -2) @ loadings
        if self._ties_loadings:
            known = np.broadcast_to(known.mean(axis=-3, keepdims=True), known.shape)
        turned = loadings @ np.linalg.eigh(known)[1][..., ::-1]
        compared = turned / np.sqrt(1 + (turned**2).sum(axis=-1, keepdims=True))
        largest = np.abs(compared).argmax(axis=-2, keepdims=True)
        if self._ties_loadings:
            largest = np.broadcast_to(largest[:1], largest.shape)
        sign = np.sign(np.take_along_axis(turned, largest, axis=-2))
        return np.concatenate([turned * sign, core_roots[..., -1:]], axis=-1)

    def dense(self, core_roots: Array) -> Array:  # noqa: D102
        return core_roots if _is_dense(core_roots) else dense_roots(core_roots)

    def as_matrices(self, core: Array, n_components: int, n_features: int) -> Array:  # noqa: D102
        return core if _is_dense(core) else covariances(core)

    def matrices(self, core_roots: Array, n_components: int, n_features: int) -> Array:  # noqa: D102
        if _is_dense(core_roots):
            return super().matrices(core_roots, n_components, n_features)
        return covariances(core_roots)

    # -- roots and points --

    def log_inverse_wishart(self, core_roots: Array, scale: Array, powers: Array) -> Array:  # noqa: D102
        loadings, precision = core_roots[..., :-1], core_roots[..., -1]
        half = np.log(precision).sum(axis=-1) - 0.5 * np.linalg.slogdet(inner(loadings))[1]
        explained = ((scale @ projection(core_roots)) * (loadings * precision[..., None])).sum(axis=(-2, -1))
        cost = (precision**2 * np.diagonal(scale)).sum(axis=-1) - explained
        return np.asarray((float(np.mean(powers)) * half - 0.5 * cost).sum(axis=-1))

    def stretch(self, core_roots: Array, steps: Array) -> Array:
        """Convert steps in standard deviations to steps x (K, D), by symmetric roots of I + W W'."""
        return _symmetric_root_times(core_roots, steps) / core_roots[..., -1]

    def stretch_transposed(self, core_roots: Array, slopes: Array) -> Array:  # noqa: D102
        return _symmetric_root_times(core_roots, slopes / core_roots[..., -1])

    def precision_times(self, core_roots: Array, vectors: Array) -> Array:  # noqa: D102
        scaled = core_roots[..., -1] * vectors
        left = (
            scaled - (core_roots[..., :-1] @ (vectors[..., None, :] @ projection(core_roots))[..., 0, :, None])[..., 0]
        )
        return np.asarray(core_roots[..., -1] * left)


MORE_STARTS = 7  # random starts of a maximum for given scatters: from principal axes alone it is often missed
STEPS = 5  # EM steps for the factors where the scatters are known: each takes less time than the sweep


def is_determined(n_factors: int, n_features: int, isotropic: bool = False) -> bool:
    """Return True if covariances of D columns have at least as many numbers as q loadings of each column and noise.

    Examples
    --------
    >>> is_determined(1, 3), is_determined(2, 4), is_determined(2, 5)
    (True, False, True)
    """
    if isotropic:  # with D - 1 factors any covariance
        return n_factors <= n_features - 2
    return n_factors < n_features and (n_features - n_factors) ** 2 >= n_features + n_factors


def _shared(is_tied: bool) -> Literal["free", "tied"]:
    return "tied" if is_tied else "free"


def _is_dense(roots: Array) -> bool:
    """Return True for matrices (..., D, D): the number of factors is never D - 1."""
    return roots.shape[-1] == roots.shape[-2]


def _symmetric_root_times(core_roots: Array, vectors: Array) -> Array:
    """Multiply vectors (K, D) by the symmetric roots of I + W W'."""
    axes, length, _ = np.linalg.svd(core_roots[..., :-1], full_matrices=False)
    along = (vectors[..., None, :] @ axes)[..., 0, :]
    more = (np.sqrt(1 + length**2) - 1) * along
    return np.asarray(vectors + (axes @ more[..., None])[..., 0])
