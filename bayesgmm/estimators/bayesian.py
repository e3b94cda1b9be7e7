"""BayesianGaussianMixture: the scikit-learn estimator, fitted by any method of this package."""

import os
import time
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Self

from numpy.typing import ArrayLike
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state

from bayesgmm import inference
from bayesgmm.blas import one_blas_thread
from bayesgmm.data.points import DataLike, Points
from bayesgmm.engines import ENGINES, engine_named
from bayesgmm.errors import PACKAGE, DeclarationError, warn
from bayesgmm.estimators import arguments, continuation, online, shapes
from bayesgmm.estimators.arguments import RandomState, declared
from bayesgmm.estimators.posteriors import PosteriorEstimator
from bayesgmm.estimators.row_sources import batch_by_batch
from bayesgmm.estimators.truncation import truncated_early
from bayesgmm.estimators.variational_search import Approximation, Start, carried_over, search
from bayesgmm.families.family import Family
from bayesgmm.inference.coordinate_ascent import Ascent
from bayesgmm.inference.engine import Run
from bayesgmm.keywords import checks_keywords
from bayesgmm.model import MixtureModel, as_model
from bayesgmm.posterior.info import info
from bayesgmm.posterior.log_posterior import LogPosterior
from bayesgmm.posterior.schema import unpack

if TYPE_CHECKING:
    import xarray as xr

TINY = 1e-300  # replaces a tol of zero
TOLERANCES: dict[str, Callable[[float, float], float]] = {
    "vb": lambda tol, total: tol / total,  # gain per point; scikit-learn's is the total gain
    "em": lambda tol, total: tol,
}
"""Tolerance of an engine, from scikit-learn's ``tol`` and the total weight."""


@checks_keywords
class BayesianGaussianMixture(PosteriorEstimator):
    """Bayesian Gaussian mixture with scikit-learn's parameters, any method of ``bayesgmm.fit``, and the full posterior.

    Parameters
    ----------
    n_components : int
    covariance_type : {'full', 'tied', 'diag', 'spherical', 'EII', 'EEI'} or 'factors:q'
        Factor analysers ('factors:2') need another method than 'vb', and have the default prior of ``MixtureModel``.
    tol, max_iter, n_init : float, int, int
        Settings of ``method='vb'`` and ``'em'``. The fit has converged when the lower bound ('em': the mean log
        likelihood) changes by less than ``tol``, in nats, from one iteration to the next. ``max_iter`` is the maximum
        number of iterations, ``n_init`` the number of starts. The other methods have other ``settings``.
    reg_covar : float
        Added to the diagonal of the default ``covariance_prior``, so that it is positive definite, in squared data
        units. Nothing is added to the covariances themselves, because the prior regularises them.
    init_params : {'kmeans', 'k-means++', 'random', 'random_from_data'}
        Initialisation of ``method='vb'``, with the same random numbers as scikit-learn. The other methods have other
        initialisations.
    weight_concentration_prior_type : {'dirichlet_process', 'dirichlet_distribution'}
    weight_concentration_prior : float, optional
        Default: ``1 / n_components``.
    mean_precision_prior : float, optional
        Equivalent number of points of the prior of a mean. Default: 1.
    mean_prior : (D,) float, optional
        Default: the mean of X.
    degrees_of_freedom_prior : float, optional
        More than D - 1 for 'full' and 'tied'. Default: D.
    covariance_prior : float array, optional
        (D, D) for 'full' and 'tied', (D,) for 'diag', a number for 'spherical', in squared data units. Default: the
        covariance of X.
    random_state : int, RandomState or None
    warm_start : bool
        If True, ``method='vb'`` continues from the last fit. If ``n_components``, ``covariance_type``, the type of the
        priors or the columns have changed since, it starts again, with a FitWarning. Must be False for other methods.
    verbose : int
        1 shows progress.
    verbose_interval : int
        Validated, but not used.
    method : str
        Any method of ``bayesgmm.fit``: 'vb', 'nuts', 'advi', 'fullrank_advi', ...
    model : MixtureModel, optional
        Replaces all parameters above that describe the mixture and its priors.
    settings : dict, optional
        Settings of the method, as in ``bayesgmm.fit``: ``{'draws': 500}``.
    total_samples : float, optional
        For ``partial_fit``: total number of points in the stream, which determines how narrow the posterior is.
        Default: the number of points seen so far. Set it if batches repeat the same points.
    learning_offset, learning_decay : float
        For ``partial_fit``: step t has the size ``(t + learning_offset) ** -learning_decay``. The decay is more than
        0.5 and at most 1.

    Attributes
    ----------
    posterior_ : DataTree
        The fit, components sorted by weight, largest first: an input of ``assignments``, ``density``,
        ``anomaly_scores``, ``save``, ArviZ and the plots. For ``method='vb'`` it is made at first access, with draws
        from the factors, corrected by importance resampling where they are too narrow, and a FitWarning if the
        approximation is not reliable.
    weights_, means_, covariances_ : float arrays
        Posterior means, with the shapes of ``GaussianMixture``. For ``method='vb'`` they are exact expectations of the
        factors, except that ``covariances_`` are the inverses of the expected precisions, as in scikit-learn.
    precisions_, precisions_cholesky_ : float arrays
        Inverses of ``covariances_``, and their upper triangular factors.
    weight_concentration_, mean_precision_, degrees_of_freedom_
        Parameters of the factors, for ``method='vb'``. With a Dirichlet process ``weight_concentration_`` has both
        parameters of each stick, (K,) and (K,); the last stick is fixed at one: Beta(1, 0). ``mean_precision_`` (K,)
        exists for ``ConjugateMeans``, the prior that scikit-learn's parameters describe.
    converged_ : bool
        False after ``partial_fit``, which has no convergence criterion.
    n_iter_ : int
        Number of iterations; of batches after ``partial_fit``; of draws per chain for a sampler.
    lower_bound_, lower_bounds_ : float, list of float
        Lower bound of the log evidence (ELBO), in nats, at the end and after each iteration, for methods that have
        one. After ``partial_fit``, the estimate by each batch before its step.
    weight_concentration_prior_, mean_precision_prior_, mean_prior_, degrees_of_freedom_prior_, covariance_prior_
        Priors as numbers, unless ``model`` was given.
    n_features_in_, feature_names_in_ : int, (D,) str

    Notes
    -----
    To choose a model, compare fits of the same data by what their method has:

    - 'vb', 'advi', 'fullrank_advi': ``lower_bound_``, the ELBO; higher is better. It compares models and priors. A fit
      covers one of the K! equal labellings: to compare numbers of components with equal priors, add log K!.
    - 'em', 'mle': ``bic`` and ``aic``; lower is better. Other methods don't maximise the likelihood, so these methods
      raise DeclarationError.
    - all methods: ``posterior_``, an input of ``bayesgmm.compare`` (leave-one-out densities, and all of the above in
      one table) and, for methods with draws, of ``bayesgmm.evidence``.

    A Dirichlet process is truncated at ``n_components``: the last stick represents all further components. With
    ``method='vb'``, ``fit`` gives a FitWarning if their expected weight is 1 % or more. It gives none if the last stick
    only has a cluster of its own, because scikit-learn's parameters declare a process by default; ``bayesgmm.fit`` and
    ``diagnose`` report this, too.

    Differences from scikit-learn:

    - With ``method='vb'`` predictions are scikit-learn's: ``predict_proba`` is the factor of the assignments, and
      ``score_samples`` is the logarithm of its normaliser, which is not a normalised density. With all other methods
      predictions are averaged over the posterior: the posterior mean of the assignment probabilities, and the
      logarithm of the posterior mean density. ``bayesgmm.density(posterior_, X)`` returns the latter for every method.
    - ``sample`` draws from the posterior predictive distribution.
    - ``lower_bound_`` is a lower bound of the log evidence with all constants, so that it can compare models. It is the
      bound of the returned attributes; scikit-learn's is from before its last E step.
    - After 10 iterations coordinate ascent is accelerated by extrapolation, and the bound does not decrease.
      ``n_iter_`` may therefore be smaller. The fit may also converge to another local maximum.
    - 'tied' and 'spherical' use every point with its full weight. scikit-learn divides the number of points of a tied
      covariance by the number of components, and counts a point of a spherical covariance once, not once per feature.
    - The last stick of a Dirichlet process is one, so that the weights sum to one; scikit-learn divides by their sum.
      Sticks are sorted so that the bound increases, largest weight first. With other methods, and in ``posterior_``,
      components are always sorted by weight, largest first.
    - 'diag' and 'spherical' precisions have one Gamma factor for each number; scikit-learn uses the expected log
      determinant of a full Wishart.
    - ``fit`` takes ``sample_weight``.

    References
    ----------
    .. [1] Bishop (2006), Pattern Recognition and Machine Learning, chapter 10.2.
    .. [2] Blei & Jordan (2006), Bayesian Analysis 1(1), 121-143.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.concatenate([np.linspace(0, 1, 40), np.linspace(9, 10, 20)])[:, None]
    >>> finite = {"weight_concentration_prior_type": "dirichlet_distribution", "covariance_prior": [[0.1]]}
    >>> mixture = BayesianGaussianMixture(2, method="advi", random_state=1, **finite).fit(X)
    >>> mixture.predict([[0.3], [9.2]])
    array([0, 1])
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
        weight_concentration_prior_type: str = "dirichlet_process",
        weight_concentration_prior: float | None = None,
        mean_precision_prior: float | None = None,
        mean_prior: ArrayLike | None = None,
        degrees_of_freedom_prior: float | None = None,
        covariance_prior: ArrayLike | None = None,
        random_state: RandomState = None,
        warm_start: bool = False,
        verbose: int = 0,
        verbose_interval: int = 10,
        method: str = "vb",
        model: MixtureModel | None = None,
        settings: dict[str, Any] | None = None,
        total_samples: float | None = None,
        learning_offset: float = 10.0,
        learning_decay: float = 0.7,
    ) -> None:
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.tol = tol
        self.reg_covar = reg_covar
        self.max_iter = max_iter
        self.n_init = n_init
        self.init_params = init_params
        self.weight_concentration_prior_type = weight_concentration_prior_type
        self.weight_concentration_prior = weight_concentration_prior
        self.mean_precision_prior = mean_precision_prior
        self.mean_prior = mean_prior
        self.degrees_of_freedom_prior = degrees_of_freedom_prior
        self.covariance_prior = covariance_prior
        self.random_state = random_state
        self.warm_start = warm_start
        self.verbose = verbose
        self.verbose_interval = verbose_interval
        self.method = method
        self.model = model
        self.settings = settings
        self.total_samples = total_samples
        self.learning_offset = learning_offset
        self.learning_decay = learning_decay

    # -- fitting --

    @batch_by_batch
    def partial_fit(self, X: DataLike, y: object = None, sample_weight: ArrayLike | None = None) -> Self:
        """Update the fit with one batch of a stream by ``method='vb'``; the batch is not kept.

        The first batch is fitted by coordinate ascent. It also fixes the coordinates and the default priors. Each later
        batch takes one natural-gradient step (Hoffman, Blei, Wang & Paisley 2013, J. Mach. Learn. Res. 14, 1303-1347).
        After ``fit``, the batches continue from that fit. If a parameter that describes the mixture or its priors has
        changed since, the batch is the first of a new fit, with a FitWarning. Batches must be random parts of one data
        set, because later batches have more weight than earlier ones. The posterior does not include the noise of the
        steps, about ``sqrt(total / batch * step / 2)`` posterior standard deviations. With ``learning_decay=1,
        learning_offset=0`` all batches have equal weight.

        Parameters
        ----------
        X : (N, D) array or DataFrame; source or Dask collection, whose parts are batches
        y : ignored
        sample_weight : (N,) float, optional
            As for ``fit``.

        Raises
        ------
        DataError, DeclarationError
            If the data or a parameter are not valid, or ``method`` is not 'vb'.

        Notes
        -----
        ``posterior_`` raises ForgottenData after this method, because it needs all points.

        Examples
        --------
        >>> import numpy as np
        >>> stream = np.random.default_rng(0).normal(size=(400, 1)) + np.repeat([0.0, 50.0], 200)[:, None]
        >>> np.random.default_rng(1).shuffle(stream)
        >>> estimator = BayesianGaussianMixture(2, random_state=0)
        >>> for batch in stream.reshape(4, 100, 1):
        ...     _ = estimator.partial_fit(batch)
        >>> np.sort(estimator.means_.ravel()).round()
        array([ 0., 50.])
        """
        arguments.check_search(self)
        steps, last = online.Steps.of(self), self._continued_stream()
        first = last is None
        points = arguments.points_of(self, X, fitting=first, sample_weight=sample_weight, min_samples=2 if first else 1)
        with one_blas_thread():
            self._keep_factors(online.follow(self, last, points, steps))
        return self

    def _learn(self, X: DataLike, sample_weight: ArrayLike | None) -> None:
        arguments.check_search(self)
        if self.warm_start and self.method != "vb":
            raise DeclarationError(
                f"warm_start=True: method={self.method!r} can't continue from an earlier fit; use False, or method='vb'"
            )
        engine_named(self.method)
        named, n_features = continuation.names_of(self), getattr(self, "n_features_in_", 0)
        points = arguments.points_of(self, X, fitting=True, sample_weight=sample_weight, min_samples=2)
        model = declared(self, points) if self.model is None else as_model(self.model)
        arguments.require_rows(points, model.n_components)
        with arguments.in_own_words() if self.model is None else nullcontext():
            if self.method == "vb":
                columns = continuation.columns_changed(self, n_features, named, points)
                self._keep_factors(self._approximated(model, points, self._continued(columns)))
                self._warn_unless_converged()
                return
            tree = inference.fit(
                model,
                points,
                self.method,
                seed=arguments.seed_of(self.random_state),
                progress=bool(arguments.verbosity(self.verbose)),
                **self._settings(points.total_weight),
            )
        self._keep(tree, model.family)

    def _continued(self, columns: str) -> Approximation | None:
        """Return the factors that ``warm_start`` continues from; None, with a remark, if their shape has changed."""
        told = getattr(self, "_declared", None)
        if not self.warm_start or told is None:
            return None
        last, now = continuation.kind_of(told), continuation.kind_of(continuation.declared_by(self))
        changed = continuation.remark_changes("warm_start=True", last, [*now.values()], columns)
        return None if changed else self._last()

    def _continued_stream(self) -> Approximation | None:
        """Return the factors that ``partial_fit`` continues from; None, with a remark, if the declaration differs."""
        told, now = getattr(self, "_declared", None), continuation.declared_by(self)
        if told is None:
            return None
        if told.keys() != now.keys():
            told, now = ({"model": one.get("model")} for one in (told, now))
        changed = continuation.remark_changes("partial_fit, which forgets the earlier batches", told, [*now.values()])
        return None if changed else self._last()

    def _approximated(self, model: MixtureModel, points: Points, last: Approximation | None) -> Approximation:
        """Fit by variational Bayes, without draws."""
        engine = ENGINES["vb"]
        engine.require(model)
        chosen = engine.checked(self._settings(points.total_weight))
        density = LogPosterior.of(model, points)
        conflicts = density.model.contradictions(points.summary)
        warn(conflicts)
        began, ascent = time.perf_counter(), Ascent(density, os.cpu_count() or 1)
        random = check_random_state(self.random_state)
        visible = bool(arguments.verbosity(self.verbose))
        with inference.shown(visible) as progress, one_blas_thread():
            start = Start(self.init_params, random, carried_over(last, ascent))
            result = search(ascent, points, chosen, start, progress)
        seed = arguments.seed_of(self.random_state)
        run = Run("vb", chosen | {"init_params": self.init_params}, seed, time.perf_counter() - began, conflicts)
        return Approximation(points, density.model, density.standard, result, run)

    def _last(self) -> Approximation | None:
        """Return the factors of the last fit, if there are any."""
        return getattr(self, "_approximation", None)

    def _settings(self, total: float) -> dict[str, Any]:
        """Return the settings of the method; they override scikit-learn's parameters of the same meaning."""
        shared: dict[str, Any] = {}
        if self.method in TOLERANCES:
            tol = TOLERANCES[self.method](max(self.tol, TINY), total)
            shared = {"n_init": self.n_init, "max_iter": self.max_iter, "tol": tol}
        return shared | arguments.settings_named(self.settings)

    def _keep(self, tree: "xr.DataTree", family: Family) -> None:
        stored, draws = info(tree), unpack(tree).parameters
        self._set(tree, None)
        self.weights_, self.means_ = draws.weight.mean(axis=0), draws.mean.mean(axis=0)
        self.covariances_ = shapes.covariances_from_matrices(draws.covariance.mean(axis=0), family)
        self.precisions_cholesky_ = shapes.factors_of_covariances(self.covariances_, family)
        self.precisions_ = shapes.precisions(self.precisions_cholesky_, family)
        self.converged_ = not stored.warnings if stored.notes.converged is None else stored.notes.converged
        self.n_iter_ = _iterations(tree)
        if "optimisation" in tree.children:
            self.lower_bounds_ = [float(elbo) for elbo in tree["optimisation"].to_dataset()["elbo"]]
            self.lower_bound_ = stored.notes.elbo
        if stored.notes.converged is not None:
            self._warn_unless_converged()

    def _keep_factors(self, approximation: Approximation) -> None:
        family, result = approximation.model.family, approximation.result
        self._set(None, approximation)
        self.weights_, self.means_ = approximation.weights, approximation.means
        self.precisions_cholesky_ = approximation.precisions_cholesky
        self.precisions_ = shapes.precisions(self.precisions_cholesky_, family)
        self.covariances_ = shapes.covariances(self.precisions_cholesky_, family)
        self.weight_concentration_ = approximation.weight_concentration
        self.degrees_of_freedom_ = approximation.degrees_of_freedom
        if approximation.mean_precision is not None:
            self.mean_precision_ = approximation.mean_precision
        self.converged_ = result.converged
        self.lower_bounds_ = approximation.lower_bounds
        self.lower_bound_ = result.elbo
        self.n_iter_ = len(self.lower_bounds_)
        warn(truncated_early(approximation, self.model is not None))

    def _warn_unless_converged(self) -> None:
        if not self.converged_:
            warnings.warn(
                f"method={self.method!r} stopped after {self.n_iter_} iterations before it converged. Try a larger "
                "max_iter or tol, or fewer components.",
                ConvergenceWarning,
                skip_file_prefixes=(PACKAGE,),
            )


def _iterations(tree: "xr.DataTree") -> int:
    """Number of iterations of an optimiser, or of draws per chain of a sampler."""
    n_iter = info(tree).notes.n_iter
    if n_iter is not None:
        return n_iter
    if "n_iter" in tree["sample_stats"]:
        return int(tree["sample_stats"]["n_iter"].max())
    if "optimisation" in tree.children:
        return tree["optimisation"].sizes["iteration"]
    return tree["posterior"].sizes["draw"]
