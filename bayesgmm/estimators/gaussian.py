"""GaussianMixture: the scikit-learn estimator, with its parameters, initialisation and results, on a faster EM."""

import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from bayesgmm.data.points import DataLike, Points
from bayesgmm.data.standards import Standard
from bayesgmm.data.streams import Stream
from bayesgmm.errors import PACKAGE, ComponentError, warn
from bayesgmm.estimators import arguments, continuation, shapes
from bayesgmm.estimators.arguments import RandomState
from bayesgmm.estimators.density import Labels, MixtureEstimator
from bayesgmm.estimators.em_iterations import EMRun, Report, run_em
from bayesgmm.estimators.fits import Fitted, one_draw
from bayesgmm.estimators.initialisation import assign, from_assignment, without_weightless
from bayesgmm.estimators.row_sources import rows_of
from bayesgmm.estimators.tables import is_read_in_parts
from bayesgmm.families.family import Family
from bayesgmm.inference import em_steps
from bayesgmm.inference.mixtures import Mixture
from bayesgmm.inference.remedies import Remedies
from bayesgmm.keywords import checks_keywords
from bayesgmm.model import MixtureModel
from bayesgmm.posterior.criteria import n_parameters
from bayesgmm.posterior.info import FitInfo
from bayesgmm.posterior.notes import EngineNotes, SourceInfo
from bayesgmm.sweep.blocks import Blocks
from bayesgmm.sweep.stats import Array, Table, log_densities, responsibilities
from bayesgmm.wording import alternatives

if TYPE_CHECKING:
    import xarray as xr

SETTINGS = ("n_init", "max_iter", "tol", "reg_covar", "init_params")
TYPICAL_FLOOR = 1e-6  # share of the variance of the data: a reg_covar under which no component is singular
NOT_CONVERGED = (
    "Best performing initialization did not converge. Try different init parameters, or increase max_iter, tol, or "
    "check for degenerate data."
)


@checks_keywords
class GaussianMixture(MixtureEstimator):
    """Gaussian mixture by maximum likelihood: scikit-learn's estimator, several times as fast, with row weights.

    Parameters, attributes and their shapes are those of ``sklearn.mixture.GaussianMixture``. The initialisation is the
    same, too: for its covariance types the same ``random_state`` leads to the same optimum by the same iterations.

    Parameters
    ----------
    n_components : int
    covariance_type : {'full', 'tied', 'diag', 'spherical', 'EII', 'VEV', ...}
        scikit-learn's words, or one of mclust's fourteen structures, as in ``MixtureModel``.
    tol : float
        Converged when an iteration gains less than this in mean log likelihood, in nats.
    reg_covar : float
        Added to the variances, in squared data units. With 0, a component on a single point or on equal rows is a
        DegenerateComponent error.
    max_iter : int
        Maximum number of iterations; 0 keeps the start.
    n_init : int
        Number of starts; the best fit is kept. A start from which some component can't be estimated is ignored if
        others succeed.
    init_params : {'kmeans', 'k-means++', 'random', 'random_from_data'}
        Initialisation. Distances between points are in data units for scikit-learn's four covariance types. For the
        other ones they are in the coordinates of the fit, in which columns are standardised if the structure is the
        same model in any units: 'factors:2', 'EEI', 'VEI', 'EVI'. The others (EII, VEV, ...) keep the data's units.
    weights_init : (K,) float, optional
    means_init : (K, D) float, optional
    precisions_init : float array, optional
        Same shape as ``precisions_``. If all three are given, they are the start, and ``init_params`` is not used.
    random_state : int, RandomState or None
    warm_start : bool
        If True, continue from the last fit. If ``n_components``, ``covariance_type`` or the columns have changed since,
        start again from the beginning, with a FitWarning.
    verbose : int
        1 prints starts and iterations, 2 also their times and gains.
    verbose_interval : int

    Attributes
    ----------
    weights_ : (K,) float
    means_ : (K, D) float
    covariances_, precisions_, precisions_cholesky_ : float arrays
        (K, D, D) for 'full', (D, D) for 'tied', (K, D) for 'diag', (K,) for 'spherical'; for a structure those of each
        component, if it is not EII or EEI. Factors are upper triangular:
        ``precisions_[k] = precisions_cholesky_[k] @ precisions_cholesky_[k].T``.
    converged_ : bool
    n_iter_ : int
        Number of iterations of the best fit.
    lower_bound_ : float
        Mean log likelihood before its last M step, in nats.
    lower_bounds_ : list of float
        The same for each iteration.
    n_features_in_, feature_names_in_ : int, (D,) str
    posterior_ : DataTree
        The fit as a posterior of one draw, made at first access: an input of ``assignments``, ``density``,
        ``anomaly_scores``, ``save`` and the plots. It contains X (not a copy); a pickle of the estimator does not.

    Notes
    -----
    Differences from scikit-learn:

    - Where EM is slow (after 50 iterations, if as many more are expected), quasi-Newton steps replace it. ``n_iter_``,
      the number of passes over the data, is then smaller, and the likelihood no lower.
    - ``fit``, ``score``, ``bic`` and ``aic`` take ``sample_weight``.
    - Covariance types that scikit-learn does not have start from other distances, see ``init_params``. With columns in
      different units, as in its wine data, 'factors:2' then reaches a higher likelihood. ``tol=1e-8`` gains more, and
      ``bayesgmm.fit`` with ``method='em'``, which compares many starts, most.
    - All computations are in double precision; scikit-learn's results for float32 are float32.
    - 'k-means++' and 'random_from_data' start from K single points. scikit-learn then computes the tied covariance from
      sums of squares about the origin; here they are about the points, so that the origin does not matter.
    - Data are centred before they are squared, so that data far from the origin keep their precision.
    - A component that holds no point (more components than distinct rows, a mean in ``means_init`` far from all data)
      has weight 0, and a FitWarning says so. Its mean and covariance have no meaning. In scikit-learn it has a weight
      of about 1e-18 and its mean at the origin, where the density can then be much too high.
    - With ``reg_covar=0``, a component whose variance is below 1e-14 of the data's raises DegenerateComponent: the
      likelihood is infinite there, and the variance that is computed is rounding. scikit-learn may finish, with
      variances such as 4e-16 (for example for the start of its issue 18216).
    - After ``set_params(covariance_type=...)`` predictions are those of the last fit until the next one.
    - The array API is not supported: X is converted to a NumPy array.

    To choose a model, ``bic`` and ``aic`` are lower for a better one, as in scikit-learn. R's mclust has the opposite
    sign: its BIC is minus this one, and higher is better. ``bayesgmm.select`` also has ICL.

    References
    ----------
    .. [1] Dempster, Laird & Rubin (1977), J. R. Stat. Soc. B 39(1), 1-38.

    Examples
    --------
    >>> X = np.array([[1, 2], [1, 4], [1, 0], [10, 2], [10, 4], [10, 0]])
    >>> mixture = GaussianMixture(n_components=2, random_state=0).fit(X)
    >>> mixture.means_.round(6)
    array([[10.,  2.],
           [ 1.,  2.]])
    >>> mixture.predict([[0, 0], [12, 3]])
    array([1, 0])
    """

    def __init__(
        self,
        n_components: int = 1,
        *,
        covariance_type: str = "full",
        tol: float = 1e-3,
        reg_covar: float = 1e-6,
        max_iter: int = 100,
        n_init: int = 1,
        init_params: str = "kmeans",
        weights_init: ArrayLike | None = None,
        means_init: ArrayLike | None = None,
        precisions_init: ArrayLike | None = None,
        random_state: RandomState = None,
        warm_start: bool = False,
        verbose: int = 0,
        verbose_interval: int = 10,
    ) -> None:
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.tol = tol
        self.reg_covar = reg_covar
        self.max_iter = max_iter
        self.n_init = n_init
        self.init_params = init_params
        self.weights_init = weights_init
        self.means_init = means_init
        self.precisions_init = precisions_init
        self.random_state = random_state
        self.warm_start = warm_start
        self.verbose = verbose
        self.verbose_interval = verbose_interval

    @property
    def _declared_family(self) -> Family:
        return arguments.family_of(self.covariance_type)

    @property
    def _family(self) -> Family:
        """Family of the fit, which ``set_params`` does not change."""
        return arguments.family_of(getattr(self, "_fitted_type", self.covariance_type))

    # -- fitting --

    def _learn(self, X: DataLike, sample_weight: ArrayLike | None) -> None:
        arguments.check_search(self)
        family, named = self._declared_family, continuation.names_of(self)
        points: Points | Stream
        if is_read_in_parts(X):
            points = rows_of(self, X, sample_weight, self.random_state)
        else:
            points = arguments.points_of(self, X, fitting=True, sample_weight=sample_weight, min_samples=2)
        arguments.require_rows(points.sample, self.n_components)
        given = self._given(points.values.shape[1])
        continued = self._continues(points, named)
        standard = Standard.of(points, common=family.needs_common_scale)
        floor = self.reg_covar / standard.scale**2
        blocks = standard.blocks(points, points.weights)
        with arguments.in_own_words():
            sweep = em_steps.Sweep(blocks, family, floor=floor, threads=os.cpu_count() or 1)
        log_scale = standard.log_units(blocks) / blocks.total_weight
        with self._advising(points, family):
            if continued:
                last = self._mixture(self.weights_, self.means_, self.precisions_cholesky_, standard)
                best = self._best(sweep, lambda: last, 1, log_scale, self.lower_bound_)
            else:
                random = check_random_state(self.random_state)
                start = partial(self._start, points.sample, standard, floor, given, random)
                best = self._best(sweep, start, self.n_init, log_scale)
        self._keep(points, standard, blocks, best)

    def _continues(self, points: Points | Stream, named: tuple[str, ...]) -> bool:
        """True if the last fit is continued; a remark if it can't be, because its shape is another."""
        if not self.warm_start or not hasattr(self, "converged_"):
            return False
        k, d = self.means_.shape
        last = {"n_components": k, "covariance_type": self._family.name}
        now = (self.n_components, self._declared_family.name)
        columns = continuation.columns_changed(self, d, named, points.sample)
        return not continuation.remark_changes("warm_start=True", last, now, columns)

    @contextmanager
    def _advising(self, points: Points | Stream, family: Family) -> Iterator[None]:
        """Add to a ComponentError what can be tried with this estimator."""
        try:
            yield
        except ComponentError as error:
            found = Remedies(points, family, self.n_components, "covariance_type").of(error)
            larger = max(TYPICAL_FLOOR * float(points.summary.variance.max()), 10 * self.reg_covar)
            found.append(f"reg_covar={larger:.0e}")
            raise error.advised(alternatives(found)) from None

    def _best(
        self, sweep: em_steps.Sweep, start: Callable[[], Mixture], n_init: int, log_scale: float, last: float = -np.inf
    ) -> EMRun:
        """Return the EM run with the highest likelihood; ignore runs in which a component can't be estimated."""
        report = Report(arguments.verbosity(self.verbose), self.verbose_interval)
        best: EMRun | None = None
        failure: ComponentError | None = None
        for number in range(n_init):
            report.start(number)
            try:
                result = run_em(
                    sweep, start(), self.max_iter, self.tol, log_scale=log_scale, last=last, report=report.iteration
                )
            except ComponentError as error:
                failure = error
                continue
            report.end(result)
            best = result if best is None or result.bound > best.bound else best
        if best is None:
            assert failure is not None  # there is at least one start
            raise failure
        return best

    def _given(self, n_features: int) -> dict[str, Array]:
        """Check the parts of the start that the user gave."""
        given = {}
        if self.weights_init is not None:
            given["weight"] = arguments.check_weights(self.weights_init, self.n_components)
        if self.means_init is not None:
            given["mean"] = arguments.check_means(self.means_init, self.n_components, n_features)
        if self.precisions_init is not None:
            precisions = arguments.check_precisions(
                self.precisions_init, self._declared_family, self.n_components, n_features
            )
            given["factors"] = shapes.factors_of_precisions(precisions, self._declared_family)
        return given

    def _start(
        self, points: Points, standard: Standard, floor: Array, given: dict[str, Array], random: np.random.RandomState
    ) -> Mixture:
        """Return the initial mixture, in the coordinates of the blocks."""
        if len(given) == 3:
            return self._mixture(given["weight"], given["mean"], given["factors"], standard)
        counted = standard.filled(without_weightless(points))
        family = self._declared_family
        assigned = assign(self.init_params, counted, self.n_components, random, standard, family)
        initial = from_assignment(counted, assigned, self.n_components, standard, family, floor)
        return self._mixture(
            given.get("weight", initial.weight),
            given.get("mean", initial.mean * standard.scale + standard.shift),
            given.get("factors", shapes.precisions_cholesky(initial.core_roots, self._declared_family, standard)),
            standard,
        )

    def _mixture(self, weight: Array, mean: Array, factors: Array, standard: Standard) -> Mixture:
        core_roots = shapes.core_roots(factors, self._declared_family, standard)
        return Mixture(weight, (mean - standard.shift) / standard.scale, core_roots)

    def _keep(self, points: Points | Stream, standard: Standard, blocks: Blocks, best: EMRun) -> None:
        family, mixture = self._declared_family, best.mixture.without_empty(blocks.total_weight)
        self._fitted_type = family.name
        self.weights_ = mixture.weight
        self.means_ = mixture.mean * standard.scale + standard.shift
        self.precisions_cholesky_ = shapes.precisions_cholesky(mixture.core_roots, family, standard)
        self.precisions_ = shapes.precisions(self.precisions_cholesky_, family)
        self.covariances_ = shapes.covariances(self.precisions_cholesky_, family)
        self.converged_ = best.converged
        self.n_iter_ = len(best.bounds)
        self.lower_bound_ = best.bound
        self.lower_bounds_ = list(best.bounds)
        self._fitted = Fitted.of(points, standard, blocks, mixture.table(family))
        self._posterior: xr.DataTree | None = None
        empty = _empty(mixture.weight)
        self._info = FitInfo(
            method="em",
            settings={name: getattr(self, name) for name in SETTINGS},
            seed=self.random_state if isinstance(self.random_state, int) else None,
            source=SourceInfo.of(points) if isinstance(points, Stream) else None,
            notes=EngineNotes(converged=self.converged_),
            warnings=(*empty, *(() if self.converged_ else (NOT_CONVERGED,))),
        )
        warn(empty)
        if not best.converged and self.max_iter > 0:
            warnings.warn(NOT_CONVERGED, ConvergenceWarning, skip_file_prefixes=(PACKAGE,))

    # -- predictions --

    def _table(self) -> tuple[Table, Array]:
        """Make the table that scores points, and their shift (D,), from the public attributes."""
        shift = np.asarray(self.weights_) @ np.asarray(self.means_)
        return shapes.table(self.weights_, self.means_, self.precisions_cholesky_, self._family, shift), shift

    def _log_density(self, points: Points) -> Array:
        table, shift = self._table()
        return log_densities(Blocks.from_rows(points.values, None, shift), table, os.cpu_count() or 1)[0]

    def _probability(self, points: Points) -> Array:
        table, shift = self._table()
        return responsibilities(Blocks.from_rows(points.values, None, shift), table, os.cpu_count() or 1)

    def _draw(self, size: int, random: np.random.RandomState) -> tuple[Array, Labels]:
        """Draw with scikit-learn's order of random numbers, so that the same seed gives the same points."""
        n_features = self.means_.shape[1]
        counts = random.multinomial(size, self.weights_)
        core = self._family.unsqueezed(self.covariances_)
        each = self._family.expand(core, len(counts), n_features)
        parts = [
            self._family.form.draw(random, mean, covariance, int(count))
            for mean, covariance, count in zip(self.means_, each, counts, strict=True)
        ]
        return np.vstack(parts), np.repeat(np.arange(len(counts)), counts)

    def _n_parameters(self, criterion: str) -> int:
        return n_parameters(self._family, *self.means_.shape)

    @property
    def posterior_(self) -> "xr.DataTree":
        """Fit as a posterior of one draw; its components are in the order of the attributes."""
        check_is_fitted(self)
        if self._posterior is None:
            self._posterior = self._as_posterior()
        return self._posterior

    def _as_posterior(self) -> "xr.DataTree":
        return one_draw(
            self._fitted,
            MixtureModel(len(self.means_), self._family.name),
            (self.weights_, self.means_, shapes.matrices(self.precisions_cholesky_, self._family, *self.means_.shape)),
            self._info,
        )

    def __getstate__(self) -> dict[str, object]:
        """Return the state without the data, so that a pickle does not contain them."""
        state = dict(super().__getstate__())
        if "_fitted" in state:
            state["_fitted"], state["_posterior"] = state["_fitted"].forgotten(), None
        return state


def _empty(weight: Array) -> tuple[str, ...]:
    """Return a warning if components are empty."""
    full, total = int(np.count_nonzero(weight)), len(weight)
    if full == total:
        return ()
    one = total - full == 1
    return (
        f"{total - full} of {total} components {'is' if one else 'are'} empty: no point belongs to "
        f"{'it' if one else 'them'}, and {'its weight is' if one else 'their weights are'} 0. "
        f"Try n_components={full}, or another start.",
    )
