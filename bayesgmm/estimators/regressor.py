"""Gaussian mixture regression: a mixture of X and y together, and the distribution of y given X."""

import math
from typing import TYPE_CHECKING, Any, Self, override

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.metrics import r2_score
from sklearn.utils import Tags, check_array
from sklearn.utils.validation import check_consistent_length, check_is_fitted

from bayesgmm.data.points import DataLike, Points, as_points
from bayesgmm.declared import whole
from bayesgmm.errors import DataError
from bayesgmm.estimators import arguments, fits, tables
from bayesgmm.estimators.arguments import RandomState
from bayesgmm.families.family import Family
from bayesgmm.families.structures import COVARIANCES
from bayesgmm.keywords import checks_keywords
from bayesgmm.model import MixtureModel
from bayesgmm.posterior.schema import Posterior, points_for, unpack
from bayesgmm.predictions.densities import DRAWS
from bayesgmm.predictions.imputations import latent_draws, latent_moments
from bayesgmm.predictions.predictive import log_mean_density
from bayesgmm.priors.covariances import CovariancesPrior, DecomposedCovariance, WishartPrecision
from bayesgmm.priors.multiplicative_gamma import MultiplicativeGamma, has_loadings
from bayesgmm.sweep.stats import Array

if TYPE_CHECKING:
    import xarray as xr

OF_CLASSES = "For classes use MixtureClassifier; give dates and durations as numbers."
MAX_COMPARED = 10_000  # maximum number of rows among which distinct rows are counted


@checks_keywords
class MixtureRegressor(MultiOutputMixin, RegressorMixin, BaseEstimator):
    r"""Gaussian mixture regression: a mixture of X and y together, and the distribution of y given X.

    .. math:: p(y \mid x) = \sum_k w_k(x) \, \mathrm{Normal}(y \mid m_k(x), C_k), \qquad
              w_k(x) \propto w_k \, \mathrm{Normal}(x \mid \mu_{k,x}, \Sigma_{k,xx})

    with :math:`m_k(x)` linear in x. So the mean is a smooth passage from one line to the next, and the standard
    deviation depends on x; y given x may have several modes. With one component this is linear regression. Missing
    values (NaN) in X and in y are used as missing at random, at ``fit`` and at ``predict``.

    Parameters
    ----------
    n_components : int
        With fewer distinct rows, one component for each of them.
    covariance_type : {'full', 'tied', 'diag', 'spherical', 'EII', 'VEV', ...}
        scikit-learn's words, one of mclust's fourteen structures, or 'factors:q', as in ``MixtureModel``.
        Covariance structure of the components of X and y. With 'tied' all lines have the same slope; with 'diag' and
        'spherical' they have none, and the mean is a weighted mean of the components.
    method : str
        Any method of ``bayesgmm.fit``, under a prior of the covariances whose scale is that of all rows, with their
        correlations; for 'factors:q' the default prior, without these. 'em' finds the mode under that prior. A method
        with draws averages predictions over them.
    random_state : int, RandomState or None
    settings : dict, optional
        Settings of the method, as in ``bayesgmm.fit``.

    Attributes
    ----------
    posterior_ : DataTree
        The fit of X and y, the columns of y last: an input of ``conditional_density``, ``impute``, ``diagnose``,
        ``save`` and the plots.
    n_outputs_ : int
        Number of columns of y.
    n_features_in_, feature_names_in_ : int, (D,) str

    References
    ----------
    .. [1] Ghahramani & Jordan (1994), Advances in Neural Information Processing Systems 6: regression from mixtures.
    .. [2] Sung (2004), Gaussian mixture regression and classification, PhD thesis, Rice University.

    Examples
    --------
    Two lines that meet at 0: y is the absolute value of x.

    >>> x = np.linspace(-3, 3, 61)
    >>> regressor = MixtureRegressor(2, random_state=0).fit(x[:, None], np.abs(x))
    >>> regressor.predict([[-2.0], [2.0]]).round(1)
    array([1.9, 1.9])
    """

    def __init__(
        self,
        n_components: int = 5,
        *,
        covariance_type: str = "full",
        method: str = "em",
        random_state: RandomState = None,
        settings: dict[str, Any] | None = None,
    ) -> None:
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.method = method
        self.random_state = random_state
        self.settings = settings

    @override
    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def fit(self, X: DataLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit the mixture of X and y.

        Parameters
        ----------
        X : (N, D) array or DataFrame
            NaN where a value is missing.
        y : (N,) or (N, M) array or DataFrame
            NaN where a value is missing.
        sample_weight : (N,) float, optional
            Number of points that each row represents.

        Raises
        ------
        DataError, DeclarationError
            If the data or a parameter are not valid. Both are ValueErrors.
        """
        family = arguments.family_of(self.covariance_type)
        whole("n_components", self.n_components)
        points = arguments.points_of(self, X, fitting=True, sample_weight=sample_weight)
        targets = _targets_of(self, y, len(points.values))
        arguments.require_values(targets, " of y", "Give y for some rows.")
        self.n_outputs_, self._is_flat = len(targets.columns), np.asarray(y).ndim == 1
        self.posterior_ = self._fitted(self._joint(points, targets.values), family)
        return self

    def _fitted(self, joint: Points, family: Family) -> "xr.DataTree":
        different = len(np.unique(joint.counted[:MAX_COMPARED], axis=0))
        n_components = min(self.n_components, different)
        prior = _prior(joint, family, n_components ** (-2 / self.n_features_in_), self.method)
        model = MixtureModel(n_components, family.name, covariances=prior)
        model = fits.proper(model, joint, joint.summary.variance)
        return fits.fit(model, joint, self.method, self.random_state, self.settings)

    def _joint(self, points: Points, targets: Array) -> Points:
        """Return points whose last columns are those of y."""
        names = ["y"] if targets.shape[1] == 1 else [f"y{j}" for j in range(targets.shape[1])]
        while set(names) & set(points.columns):
            names = [f"{name}_" for name in names]
        values = np.column_stack([points.values, targets])
        return Points(values, (*points.columns, *names), points.index, points.weights)

    def _conditioned(self, X: DataLike) -> tuple[Posterior, Points]:
        """Return the draws of the fit, and points of which X is given and y is missing."""
        check_is_fitted(self)
        points = arguments.points_of(self, X, fitting=False)
        joint = self._joint(points, np.full((len(points.values), self.n_outputs_), np.nan))
        return unpack(self.posterior_).thin(DRAWS), points_for(self.posterior_, joint)

    def _of_targets(self, values: Array) -> Array:
        """Return the columns of y (..., N, M), or (..., N) if y had one dimension."""
        own = values[..., -self.n_outputs_ :]
        return own[..., 0] if self._is_flat else own

    def predict(self, X: DataLike, return_std: bool = False) -> Array | tuple[Array, Array]:
        """Compute the mean of y given what is observed of X, and its standard deviation.

        Parameters
        ----------
        X : (N, D) array or DataFrame
            NaN where a value is missing.
        return_std : bool
            Return the standard deviation as well: of a new y, by the law of total variance.

        Returns
        -------
        mean : (N,) or (N, M) float
            In the shape of the y of ``fit``.
        std : (N,) or (N, M) float
            If ``return_std``.

        Raises
        ------
        DataError
            If the data are not valid.

        Examples
        --------
        Linear regression with one component: the second value is measured, the first one is not.

        >>> X = [[0.0, 1.0], [1.0, 0.0], [2.0, 3.0], [3.0, 1.0], [4.0, 2.0], [5.0, 1.0]]
        >>> regressor = MixtureRegressor(1).fit(X, np.sum(X, axis=1))
        >>> mean, std = regressor.predict([[2.0, 2.0], [np.nan, 2.0]], return_std=True)
        >>> mean.round(2), std.round(1)
        (array([4.  , 4.75]), array([0. , 1.8]))
        """
        posterior, points = self._conditioned(X)
        mean, variance = latent_moments(posterior, points)
        if not arguments.flag("return_std", return_std):
            return self._of_targets(mean)
        return self._of_targets(mean), np.sqrt(np.maximum(self._of_targets(variance), 0.0))

    @override
    def score(self, X: DataLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Compute R2, the share of the variance of y that is predicted; rows in which a y is missing are left out.

        Parameters
        ----------
        X : (N, D) array or DataFrame
        y : (N,) or (N, M) array or DataFrame
        sample_weight : (N,) float, optional

        Raises
        ------
        DataError
            If the data are not valid, or y is missing in each row.
        """
        predicted = np.asarray(self.predict(X))
        targets = _targets_of(self, y, len(predicted)).values
        known = ~np.isnan(targets).any(axis=1)
        if not known.any():
            raise DataError("a y is missing in each row, so that there is no score")
        weight = None if sample_weight is None else np.asarray(sample_weight)[known]
        return float(r2_score(targets[known], predicted.reshape(targets.shape)[known], sample_weight=weight))

    def sample_y(self, X: DataLike, n_samples: int = 1, random_state: RandomState = 0) -> Array:
        """Draw y given what is observed of X; quantiles of the draws are those of the predictive distribution.

        Parameters
        ----------
        X : (N, D) array or DataFrame
        n_samples : int
            Number of draws of each row.
        random_state : int, RandomState or None

        Returns
        -------
        (N, n_samples) or (N, M, n_samples) float

        Raises
        ------
        DataError
            If the data are not valid.
        DeclarationError
            If ``n_samples`` is not a whole number of at least 1.
        """
        posterior, points = self._conditioned(X)
        drawn = latent_draws(posterior, points, whole("n_samples", n_samples), arguments.seed_of(random_state))
        return np.moveaxis(self._of_targets(drawn), 0, -1)

    def log_density(self, X: DataLike, y: ArrayLike) -> Array:
        """Compute the log density of y given what is observed of X (N,), in nats; the unit is the inverse of y's.

        Parameters
        ----------
        X : (N, D) array or DataFrame
        y : (N,) or (N, M) array or DataFrame
            NaN where a value is missing: the density is that of the others.

        Raises
        ------
        DataError
            If the data are not valid.
        """
        _, given = self._conditioned(X)
        targets = _targets_of(self, y, len(given.values)).values
        if targets.shape[1] != self.n_outputs_:
            raise DataError(f"y has {targets.shape[1]} columns; that of fit had {self.n_outputs_}")
        values = given.values.copy()
        values[:, -self.n_outputs_ :] = targets
        both = Points(values, given.columns, given.index)
        return log_mean_density(self.posterior_, both) - log_mean_density(self.posterior_, given)


def _targets_of(estimator: BaseEstimator, y: ArrayLike, n_rows: int) -> Points:
    """Validate the y of a regression (N,) or (N, M), which may have missing values.

    Raises
    ------
    DataError
        If y is None or not numeric, or a column is too large or has no value.
    ValueError
        From scikit-learn, if y is infinite, or does not have a value for each row of X.
    """
    if y is None:
        name = type(estimator).__name__
        raise DataError(f"This {name} estimator requires y to be passed, but the target y is None.")
    try:
        checked = tables.checked(y)
    except DataError as error:
        reason = str(error).partition("\n")[0]
        raise DataError(f"y must be numbers, NaN where a value is missing: {reason}\n  {OF_CLASSES}") from None
    values = check_array(checked, dtype=np.float64, ensure_all_finite="allow-nan", ensure_2d=False, input_name="y")
    check_consistent_length(np.empty(n_rows), values)
    table = np.asarray(values).reshape(n_rows, -1)
    return as_points(table, ["y"] if table.shape[1] == 1 else [f"y{j}" for j in range(table.shape[1])], gaps=True)


def _prior(points: Points, family: Family, shrink: float, method: str) -> CovariancesPrior:
    """Return the prior of the covariances: its mode for 'em', else its mean, is that of all points times ``shrink``.

    Its correlations are those of all points, so that one component is the regression of all points by least squares,
    with the standard deviation of its residuals. Families without conjugate prior have their default prior for other
    methods than 'em', factor analysers for each method.

    References
    ----------
    .. [1] Fraley & Raftery (2007), J. Classification 24, 155-181: K components divide d columns; each is about
       :math:`K^{-1/d}` as wide as all points.
    """
    if has_loadings(family):
        return MultiplicativeGamma()
    if method != "em" and not family.is_conjugate:
        return DecomposedCovariance()
    n_columns = len(points.columns)
    width = family.form.block_size(n_columns)
    dof, at_mode = width + 2.0, 2 * width + 3.0
    variance = points.summary.variance
    floor = fits.positive_variances(variance, variance)
    scale = arguments.spread(points, COVARIANCES["full"], 0.0) + np.diag(floor * (1 + _ridge(n_columns)) - variance)
    return WishartPrecision(dof, (scale * shrink * (at_mode if method == "em" else 1.0)).tolist())


def _ridge(n_columns: int) -> float:
    """Return what is added to the correlations in the scale of the prior: columns may depend on each other exactly.

    It changes predictions by as much. The correlations have rounding errors of ``n_columns`` times the machine epsilon,
    which change predictions by as much divided by it. Here both are equal.
    """
    return math.sqrt(n_columns * np.finfo(np.float64).eps)
