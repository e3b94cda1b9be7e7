"""Anomaly detection: a scikit-learn outlier detector with p-values."""

from functools import cached_property
from typing import Any, Self, override

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from bayesgmm.data.points import DataLike, Points
from bayesgmm.declared import probability
from bayesgmm.errors import ComponentError, DataError, DeclarationError, SamplingError
from bayesgmm.estimators import arguments, fits
from bayesgmm.estimators.arguments import RandomState
from bayesgmm.estimators.structures import best_count, fit_structures, left_out_scores, with_shape
from bayesgmm.keywords import checks_keywords
from bayesgmm.model import MixtureModel
from bayesgmm.posterior.schema import observed, unpack
from bayesgmm.predictions import cross_conformal
from bayesgmm.predictions.densities import DRAWS
from bayesgmm.predictions.predictive import mean_log_density
from bayesgmm.predictions.ranks import comparable_scores, rank_p_values
from bayesgmm.predictions.replication import simulate
from bayesgmm.sweep.stats import Array

SIMULATED = 10_000  # number of simulated points for p-values
AUTO = "auto"
SEED = 0  # seed of the simulation


@checks_keywords
class AnomalyDetector(OutlierMixin, BaseEstimator):
    r"""Anomaly detector: anomalies are points of low density under a mixture.

    The score of a point is its log density, averaged over the posterior. A point is an anomaly if its score is below
    ``offset_``. By default the score is the lowest log density under tied mixtures with 1, 2, 4, 10 and 20 components,
    without those that have too many for the points: with many components an anomaly can have one of its own, with few,
    points between groups are dense. Missing values
    (NaN) are used as missing at random: the score of a point with missing values is that of a complete point which is
    as improbable.

    Parameters
    ----------
    n_components : int or 'auto'
        With 'auto', several tied mixtures are fitted; ``posterior_`` is the one with the lowest BIC, from which
        p-values are computed.
    covariance_type : {'full', 'tied', 'diag', 'spherical', 'EII', 'VEV', ...}
        scikit-learn's words, or one of mclust's fourteen structures, as in ``MixtureModel``.
        With ``n_components='auto'``, that of ``posterior_`` is always 'tied'.
    contamination : float or 'auto'
        Fraction of the training points that are anomalies, in (0, 0.5]. With 'auto', anomalies are points whose
        p-value is at most ``alpha``.
    alpha : float
        False positive rate for ``contamination='auto'``: the fraction of new, normal points that are flagged. If there
        are fewer than 1 / alpha training points, up to about one in N is flagged.
    method : str
        Any method of ``bayesgmm.fit``. 'em' finds the mode under a prior of the covariances, so that no component
        collapses onto a few points.
    random_state : int, RandomState or None
    settings : dict, optional
        Settings of the method, as in ``bayesgmm.fit``.

    Attributes
    ----------
    offset_ : float
        ``decision_function`` is ``score_samples`` minus this, in nats.
    posterior_ : DataTree
        The fit.
    n_features_in_, feature_names_in_ : int, (D,) str

    Notes
    -----
    With ``method='em'`` and a given number of components that is too large, an anomaly far from all other points can
    get a component of its own, and is then not flagged. Use ``n_components='auto'``, or train on normal data.

    References
    ----------
    .. [1] Box (1980), J. R. Stat. Soc. A 143(4), 383-430: predictive p-values.

    Examples
    --------
    >>> X = np.concatenate([np.linspace(-1, 1, 40), [9.0]])[:, None]
    >>> detector = AnomalyDetector(contamination=1 / 41).fit(X)
    >>> detector.predict([[0.5], [9.0]])
    array([ 1, -1])
    """

    def __init__(
        self,
        n_components: int | str = AUTO,
        *,
        covariance_type: str = "full",
        contamination: float | str = 0.1,
        alpha: float = 0.01,
        method: str = "em",
        random_state: RandomState = None,
        settings: dict[str, Any] | None = None,
    ) -> None:
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.contamination = contamination
        self.alpha = alpha
        self.method = method
        self.random_state = random_state
        self.settings = settings

    @override
    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def fit(self, X: DataLike, y: object = None, sample_weight: ArrayLike | None = None) -> Self:
        """Fit the mixture and compute the threshold ``offset_``.

        Parameters
        ----------
        X : (N, D) array or DataFrame
        y : ignored
        sample_weight : (N,) float, optional
            Number of points that each row represents.

        Raises
        ------
        DataError, DeclarationError
            If the data or a parameter are not valid. Both are ValueErrors.
        """
        share = _share(self.contamination)
        arguments.family_of(self.covariance_type)
        alpha = probability("alpha", self.alpha)
        points = arguments.points_of(self, X, fitting=True, sample_weight=sample_weight, min_samples=2)
        model = self._declared(points)
        arguments.require_rows(points, model.n_components)
        model = fits.proper(model, points, points.summary.variance)
        self.posterior_ = fits.fit(model, points, self.method, self.random_state, self.settings)
        self.__dict__.pop("_left_out", None)  # of an earlier fit
        self.offset_ = self._improbable(alpha) if share is None else self._lowest_inlier(points, share)
        return self

    def _declared(self, points: Points) -> MixtureModel:
        """Declare the mixture; with 'auto', fit those of the score, and choose among them."""
        self._mixtures = None
        if not isinstance(self.n_components, str):
            return fits.declared(self.n_components, self.covariance_type, self.method)
        if self.n_components != AUTO:
            raise DeclarationError(f"n_components={self.n_components!r}: must be a positive integer or 'auto'")
        self._mixtures = fit_structures(points, SEED)
        return with_shape(MixtureModel(best_count(self._mixtures, points), "tied"), points)

    def _scores(self, values: Array) -> Array:
        """Compute the scores (N,) of points (N, D)."""
        return comparable_scores(self._lowest, values, self._points_of_fit)

    def _lowest(self, values: Array) -> Array:
        score = mean_log_density(self.posterior_, values)
        return score if self._mixtures is None else np.minimum(score, self._mixtures.lowest_log_density(values))

    def _points_of_fit(self) -> Array:
        """Points simulated from the fit."""
        return simulate(unpack(self.posterior_).thin(DRAWS), SIMULATED, np.random.default_rng(SEED))

    def _simulated(self) -> Array:
        """Scores of points simulated from the fit."""
        return self._scores(self._points_of_fit())

    def _improbable(self, alpha: float) -> float:
        """Compute the lowest score whose p-value, (1 + number of scores at most this) / (1 + M), is above alpha.

        If the training points are few, it is also at most this quantile of their scores under fits without them.
        """
        lowest = _quantile(self._simulated(), np.ones(SIMULATED), alpha)
        return lowest if self._left_out is None else min(lowest, _quantile(*self._left_out, alpha))

    @cached_property
    def _left_out(self) -> tuple[Array, Array] | None:
        """Scores and weights of the training points under fits without them, if they are few; else None.

        None as well if values are missing, or an engine fails on a part of the points.
        """
        if not (cross_conformal.few_points(self.posterior_) and observed(self.posterior_).is_exact):
            return None
        try:
            rows = cross_conformal.references(self.posterior_, DRAWS)
        except (ComponentError, DataError, SamplingError):
            return None
        if self._mixtures is None:
            return rows.own, rows.weight
        of_mixtures = left_out_scores(observed(self.posterior_), self._mixtures.counts, SEED)
        return np.minimum(rows.own, of_mixtures), rows.weight

    def _lowest_inlier(self, points: Points, share: float) -> float:
        """Compute the lowest score of a training point outside the given share of lowest scores."""
        score = self._scores(points.values)
        weight = np.ones(len(score)) if points.weights is None else points.weights
        order = np.argsort(score, kind="stable")
        below = weight[order].cumsum()
        first = int(np.searchsorted(below, share * below[-1] * (1 + 1e-12), side="right"))
        return float(score[order[min(first, len(order) - 1)]])

    def score_samples(self, X: DataLike) -> Array:
        """Compute the log density of each point, averaged over the posterior; lower is more anomalous.

        Parameters
        ----------
        X : (N, D) array or DataFrame

        Returns
        -------
        (N,) float

        Raises
        ------
        DataError
            If the data are not valid.
        """
        points = self._new_points(X)
        return self._scores(points.values)

    def decision_function(self, X: DataLike) -> Array:
        """Compute ``score_samples(X) - offset_``: negative for anomalies.

        Parameters
        ----------
        X : (N, D) array or DataFrame

        Returns
        -------
        (N,) float
            In nats.

        Raises
        ------
        DataError
            If the data are not valid.
        """
        score = self.score_samples(X)
        return score - self.offset_

    def predict(self, X: DataLike) -> NDArray[np.int64]:
        """Return -1 for anomalies and 1 for other points.

        Parameters
        ----------
        X : (N, D) array or DataFrame

        Returns
        -------
        (N,) int

        Raises
        ------
        DataError
            If the data are not valid.
        """
        return np.where(self.decision_function(X) < 0, -1, 1)

    def p_value(self, X: DataLike) -> Array:
        """Compute the p-value of each point, which is about uniform for new points of the same distribution.

        It is the rank of the score among those of simulated points. If the training points are few, it is at least the
        rank among their scores under fits without them, unless it is lower than all of these. So the fraction of new
        points with a p-value of at most alpha is about alpha or less, or one in N where alpha is less than that.

        Parameters
        ----------
        X : (N, D) array or DataFrame

        Returns
        -------
        (N,) float
            From 0 to 1.

        Raises
        ------
        DataError
            If the data are not valid.

        Examples
        --------
        >>> X = np.linspace(-1, 1, 40)[:, None]
        >>> AnomalyDetector(random_state=0).fit(X).p_value([[0.0], [9.0]]).round(2)
        array([1., 0.])
        """
        points = self._new_points(X)
        score = self._scores(points.values)
        p_value = rank_p_values(score, np.sort(self._simulated()))
        if self._left_out is None:
            return p_value
        own, weight = self._left_out
        order = np.argsort(own)
        below = np.concatenate([[0.0], np.cumsum(weight[order])])
        below = below[np.searchsorted(own[order], score, side="right")]
        return np.where(below > 0, np.maximum(p_value, (1 + below) / (1 + weight.sum())), p_value)

    def _new_points(self, X: DataLike) -> Points:
        check_is_fitted(self)
        return arguments.points_of(self, X, fitting=False)


def _quantile(score: Array, weight: Array, alpha: float) -> float:
    """Compute the lowest score at which (1 + weight of the scores at most this) / (1 + total weight) reaches alpha."""
    order = np.argsort(score, kind="stable")
    rank = np.searchsorted(np.cumsum(weight[order]), int(alpha * (1 + weight.sum())) - 1e-9)
    return float(score[order[min(int(rank), len(order) - 1)]])


def _share(contamination: float | str) -> float | None:
    if isinstance(contamination, str) and contamination == "auto":
        return None
    is_number = isinstance(contamination, float | int | np.number) and not isinstance(contamination, bool)
    if isinstance(contamination, str) or not is_number or not 0 < contamination <= 0.5:
        raise DeclarationError(f"contamination={contamination!r}: must be 'auto', or more than 0 and at most 0.5")
    return float(contamination)
