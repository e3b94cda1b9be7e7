"""scikit-learn's BayesianGaussianMixture over any of our engines: one declaration, and its posterior."""

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from bayesgmm import inference
from bayesgmm._declared import positive
from bayesgmm.covariances import WishartPrecision
from bayesgmm.data import Points
from bayesgmm.errors import PACKAGE, DeclarationError, choose
from bayesgmm.estimators import arguments, shapes
from bayesgmm.estimators.density import Labels, MixtureEstimator
from bayesgmm.families import Family
from bayesgmm.means import ConjugateMeans
from bayesgmm.model import MixtureModel
from bayesgmm.posterior import info, unpack
from bayesgmm.predictive import assignments, log_mean_density, simulate_labelled
from bayesgmm.stats import Array
from bayesgmm.weights import Dirichlet, DirichletProcess, WeightsPrior

if TYPE_CHECKING:
    import xarray as xr

WEIGHTS: dict[str, type[WeightsPrior]] = {
    "dirichlet_process": DirichletProcess,
    "dirichlet_distribution": Dirichlet,
}
TINY = 1e-300  # a tol of zero is never reached
CLIMBS: dict[str, Callable[[float, float], float]] = {  # engines that climb as scikit-learn's do, and their own tol
    "vb": lambda tol, total: tol / total,  # a gain in the mean over the points; scikit-learn's is of the total
    "em": lambda tol, total: tol,
}


class BayesianGaussianMixture(MixtureEstimator):
    """Bayesian Gaussian mixture: scikit-learn's parameters, any of our engines, and the whole posterior.

    Parameters
    ----------
    n_components : int
    covariance_type : {'full', 'tied', 'diag', 'spherical'}
    tol, max_iter, n_init : float, int, int
        For ``method='vb'``: stop when an iteration gains less than this in the lower bound; iterations, at most; starts
        ('em': the same, of the mean log likelihood). The other methods have settings of their own: see ``settings``.
    reg_covar : float
        Added to the diagonal of the ``covariance_prior`` that is taken from the data, so that it is a proper one. The
        prior keeps every covariance from collapsing; nothing is added to them.
    init_params : str
        Checked, and not used: our engines start from k-means++.
    weight_concentration_prior_type : {'dirichlet_process', 'dirichlet_distribution'}
    weight_concentration_prior : float, optional
        1 / n_components unless told.
    mean_precision_prior : float, optional
        How many points the prior of a mean is worth; 1 unless told.
    mean_prior : (D,) float, optional
        The mean of X unless told.
    degrees_of_freedom_prior : float, optional
        D unless told; more than D - 1 for 'full' and 'tied'.
    covariance_prior : float array, optional
        In squared data units: (D, D) for 'full' and 'tied', (D,) for 'diag', a number for 'spherical'; the covariance
        of X unless told.
    random_state : int, RandomState or None
    warm_start : bool
        Must be False: a posterior is found anew each time.
    verbose : int
        1 shows how far a method is.
    verbose_interval : int
        Checked, and not used.
    method : str
        Any of ``bayesgmm.fit``: 'vb', 'nuts', 'advi', 'fullrank_advi', ...
    model : MixtureModel, optional
        A whole declaration, in place of all the parameters above that describe the mixture and its priors.
    settings : dict, optional
        Settings of the method, by the names that ``bayesgmm.fit`` has for them: ``{'draws': 500}``.

    Attributes
    ----------
    posterior_ : DataTree
        The fit, heaviest component first: ``assignments``, ``density``, ``anomaly_scores``, ``save``, ArviZ and the
        plots take it.
    weights_, means_, covariances_ : float arrays
        Posterior means; shapes as for ``GaussianMixture``.
    precisions_, precisions_cholesky_ : float arrays
        Of ``covariances_``: their inverses, and the upper triangular factors of those.
    converged_ : bool
    n_iter_ : int
        Iterations; draws of a chain for a method that draws.
    lower_bound_, lower_bounds_ : float, list of float
        Of the log evidence, for methods that have one: in the end, and at every iteration.
    weight_concentration_prior_, mean_precision_prior_, mean_prior_, degrees_of_freedom_prior_, covariance_prior_
        The priors as numbers, unless ``model`` was given.
    n_features_in_, feature_names_in_ : int, (D,) str

    Notes
    -----
    What differs from scikit-learn, and why:

    - Answers are averaged over the posterior: ``predict_proba`` is the posterior mean of the assignment probabilities,
      ``score_samples`` the logarithm of the posterior mean density. scikit-learn plugs expected parameters in; its
      ``score_samples`` is not the log of a density that integrates to one.
    - ``sample`` draws from the posterior predictive, each point from a draw of its own.
    - ``lower_bound_`` is a lower bound of the log evidence with every constant, so that it compares models.
    - 'tied' and 'spherical' count every point: scikit-learn's update divides the points of a tied covariance by the
      number of components, and counts a point of a spherical one once, not once a feature.
    - ``weight_concentration_``, ``mean_precision_`` and ``degrees_of_freedom_`` do not exist: the posterior is there as
      draws.
    - Components come heaviest first.
    - ``fit`` takes ``sample_weight``.

    References
    ----------
    .. [1] Bishop (2006), Pattern Recognition and Machine Learning, chapter 10.2.
    .. [2] Blei & Jordan (2006), Bayesian Analysis 1(1), 121-143.

    Examples
    --------
    >>> X = np.concatenate([np.linspace(0, 1, 40), np.linspace(9, 10, 20)])[:, None]
    >>> finite = {"weight_concentration_prior_type": "dirichlet_distribution", "covariance_prior": [[0.1]]}
    >>> mixture = BayesianGaussianMixture(2, method="advi", random_state=0, **finite).fit(X)
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
        mean_prior: Any = None,
        degrees_of_freedom_prior: float | None = None,
        covariance_prior: Any = None,
        random_state: Any = None,
        warm_start: bool = False,
        verbose: int = 0,
        verbose_interval: int = 10,
        method: str = "vb",
        model: MixtureModel | None = None,
        settings: dict[str, Any] | None = None,
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

    # -- fitting --

    def _learn(self, X: Any, sample_weight: Any) -> None:
        arguments.check_search(self)
        if self.warm_start:
            raise DeclarationError(
                "warm_start=True: a posterior is found anew each time; leave it False, or use GaussianMixture"
            )
        inference.settings_of(self.method)
        points = arguments.points_of(self, X, fitting=True, sample_weight=sample_weight, least=2)
        model = self._declared(points) if self.model is None else self.model
        if isinstance(model, MixtureModel):
            arguments.require_rows(points, model.n_components)
        tree = inference.fit(
            model,
            points,
            self.method,
            seed=arguments.seed_of(self.random_state),
            progress=bool(arguments.verbosity(self.verbose)),
            **self._settings(points.total_weight),
        )
        self._keep(tree, model.family)

    def _settings(self, total: float) -> dict[str, Any]:
        """What the method gets: its own settings, over scikit-learn's where they mean the same."""
        shared: dict[str, Any] = {}
        if self.method in CLIMBS:
            tol = CLIMBS[self.method](max(self.tol, TINY), total)
            shared = {"n_init": self.n_init, "max_iter": self.max_iter, "tol": tol}
        return shared | arguments.settings_named(self.settings)

    def _declared(self, points: Points) -> MixtureModel:
        """The declaration that scikit-learn's parameters stand for."""
        family, n_features = arguments.family_of(self.covariance_type), points.values.shape[1]
        kind = choose(self.weight_concentration_prior_type, WEIGHTS, "weight_concentration_prior_type")
        self.weight_concentration_prior_ = _number(self, "weight_concentration_prior", 1.0 / self.n_components)
        self.mean_precision_prior_ = _number(self, "mean_precision_prior", 1.0)
        self.degrees_of_freedom_prior_ = _number(self, "degrees_of_freedom_prior", float(n_features))
        self.mean_prior_ = points.centre_and_sd[0]
        if self.mean_prior is not None:
            self.mean_prior_ = arguments.numbers("mean_prior", self.mean_prior, (n_features,), "one number a feature")
        self.covariance_prior_ = self._covariance_prior(points, family)
        return MixtureModel(
            self.n_components,
            family.name,
            kind(self.weight_concentration_prior_),
            ConjugateMeans(tuple(self.mean_prior_), self.mean_precision_prior_),
            WishartPrecision(self.degrees_of_freedom_prior_, self.covariance_prior_),
        )

    def _covariance_prior(self, points: Points, family: Family) -> Any:
        if self.covariance_prior is None:
            return _spread(points, family, self.reg_covar)
        if family.isotropic:
            return positive("covariance_prior", self.covariance_prior)
        n_features = points.values.shape[1]
        shape = family.core_shape(1, n_features)[1:]
        meaning = f"what one of {family.name!r} covariances has"
        return arguments.numbers("covariance_prior", self.covariance_prior, shape, meaning)

    def _keep(self, tree: "xr.DataTree", family: Family) -> None:
        told, draws = info(tree), unpack(tree).parameters
        self.posterior_ = tree
        self.weights_, self.means_ = draws.weight.mean(axis=0), draws.mean.mean(axis=0)
        self.covariances_ = shapes.covariances_from_matrices(draws.covariance.mean(axis=0), family)
        self.precisions_cholesky_ = shapes.factors_of_covariances(self.covariances_, family)
        self.precisions_ = shapes.precisions(self.precisions_cholesky_, family)
        self.converged_ = bool(told.get("converged", not told["warnings"]))
        self.n_iter_ = _iterations(tree)
        if "optimisation" in tree.children:
            self.lower_bounds_ = [float(elbo) for elbo in tree["optimisation"].to_dataset()["elbo"]]
            self.lower_bound_ = told["elbo"]
        if not self.converged_ and told.get("converged") is not None:
            warnings.warn(
                f"method={self.method!r} stopped after {self.n_iter_} iterations before it converged. Try a larger "
                "max_iter or tol, or fewer components.",
                ConvergenceWarning,
                skip_file_prefixes=(PACKAGE,),
            )

    # -- answers --

    def _log_density(self, points: Points) -> Array:
        return log_mean_density(self.posterior_, points.values)

    def _probability(self, points: Points) -> Array:
        return assignments(self.posterior_, points.values)["probability"].values

    def _draw(self, size: int, random: np.random.RandomState) -> tuple[Array, Labels]:
        seeded = np.random.default_rng(random.randint(2**31 - 1))
        x, labels = simulate_labelled(unpack(self.posterior_), size, seeded)
        order = np.argsort(labels, kind="stable")
        return x[order], labels[order]


def _number(estimator: Any, name: str, default: float) -> float:
    value = getattr(estimator, name)
    return default if value is None else positive(name, value)


def _spread(points: Points, family: Family, reg_covar: float) -> Any:
    """The covariance of the points, in the shape of one component's, each row counted as often as its weight says."""
    about, total = points.centre_and_sd[0], points.total_weight
    free = total - 1 if total >= 2 else total  # weights may be shares that sum to one
    if family.diagonal:
        variance = points.summary.variance + reg_covar
        return float(variance.mean()) if family.isotropic else variance
    deviation = points.values - about
    weighted = deviation if points.weights is None else deviation * points.weights[:, None]
    return weighted.T @ deviation / free + reg_covar * np.eye(about.size)


def _iterations(tree: "xr.DataTree") -> int:
    """Of the optimiser that a method is; else draws of a chain."""
    told = info(tree)
    if "n_iter" in told:
        return int(told["n_iter"])
    if "n_iter" in tree["sample_stats"]:
        return int(tree["sample_stats"]["n_iter"].max())
    if "optimisation" in tree.children:
        return tree["optimisation"].sizes["iteration"]
    return tree["posterior"].sizes["draw"]
