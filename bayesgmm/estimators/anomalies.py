"""Anomalies, as scikit-learn's outlier detectors have them, with p-values."""

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.utils.validation import check_is_fitted

from bayesgmm.data.points import DataLike, Points
from bayesgmm.declared import probability
from bayesgmm.errors import DeclarationError
from bayesgmm.estimators import arguments, fits
from bayesgmm.estimators.arguments import RandomState
from bayesgmm.model import MixtureModel
from bayesgmm.posterior.schema import unpack
from bayesgmm.predictions.anomalies import anomaly_scores
from bayesgmm.predictions.predictive import mean_log_density
from bayesgmm.predictions.replication import simulate
from bayesgmm.sweep.stats import Array

SIMULATED = 10_000  # points that p-values are read from
SEED = 0  # of their simulation


class AnomalyDetector(OutlierMixin, BaseEstimator):
    r"""Points that a mixture finds improbable.

    The score of a point is its log density, averaged over the posterior; a point is an anomaly where that is below
    ``offset_``.

    Parameters
    ----------
    n_components : int
    covariance_type : {'full', 'tied', 'diag', 'spherical'}
    contamination : float or 'auto'
        The share of the training points that are anomalies, in (0, 0.5]. 'auto' leaves the share open: anomalies are
        points whose p-value is at most ``alpha``.
    alpha : float
        For ``contamination='auto'``: the share of new, good points that may be taken for anomalies.
    method : str
        'em': the mode under a prior of the covariances, so that no component collapses onto a few points; or any
        method of ``bayesgmm.fit``.
    random_state : int, RandomState or None
    settings : dict, optional
        Settings of the method, by the names that ``bayesgmm.fit`` has for them.

    Attributes
    ----------
    offset_ : float
        ``decision_function`` is ``score_samples`` less this.
    posterior_ : DataTree
        The fit.
    n_features_in_, feature_names_in_ : int, (D,) str

    Notes
    -----
    With ``method='em'`` and components to spare, an anomaly far from all else gets one for itself, and is none then:
    learn with few components, from data that are known to be good, or by another method.

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
        n_components: int = 1,
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

    def fit(self, X: DataLike, y: object = None, sample_weight: ArrayLike | None = None) -> Self:
        """Fit the mixture, and find where anomalies begin.

        Parameters
        ----------
        X : (N, D) array or DataFrame
        y : ignored
        sample_weight : (N,) float, optional
            How many points each row stands for.

        Raises
        ------
        DataError, DeclarationError
            All are ValueErrors, and say what was given, what is allowed and what to try.
        """
        share = _share(self.contamination)
        arguments.family_of(self.covariance_type)
        alpha = probability("alpha", self.alpha)
        points = arguments.points_of(self, X, fitting=True, sample_weight=sample_weight, min_samples=2)
        model = MixtureModel(self.n_components, self.covariance_type)
        arguments.require_rows(points, model.n_components)
        model = fits.proper(model, points, points.summary.variance)
        self.posterior_ = fits.fit(model, points, self.method, self.random_state, self.settings)
        self.offset_ = self._improbable(alpha) if share is None else self._least_inlier(points, share)
        return self

    def _improbable(self, alpha: float) -> float:
        """The lowest score whose p-value, (1 + simulated points at least as strange) / (1 + M), is more than alpha."""
        posterior = unpack(self.posterior_).thin(1000)
        drawn = simulate(posterior, SIMULATED, np.random.default_rng(SEED))
        reference = np.sort(mean_log_density(self.posterior_, drawn))
        return float(reference[max(int(alpha * (1 + SIMULATED)) - 1, 0)])

    def _least_inlier(self, points: Points, share: float) -> float:
        """The lowest score of a training point that is not among the share of the strangest."""
        score = mean_log_density(self.posterior_, points.values)
        weight = np.ones(len(score)) if points.weights is None else points.weights
        order = np.argsort(score, kind="stable")
        below = weight[order].cumsum()
        first = int(np.searchsorted(below, share * below[-1] * (1 + 1e-12), side="right"))
        return float(score[order[min(first, len(order) - 1)]])

    def score_samples(self, X: DataLike) -> Array:
        """(N,) log density of each point, averaged over the posterior; lower is stranger."""
        points = self._new_points(X)
        return mean_log_density(self.posterior_, points.values)

    def decision_function(self, X: DataLike) -> Array:
        """(N,) how far each score is above ``offset_``; negative for anomalies."""
        score = self.score_samples(X)
        return score - self.offset_

    def predict(self, X: DataLike) -> NDArray[np.int64]:
        """(N,) -1 for anomalies, 1 for the others."""
        return np.where(self.decision_function(X) < 0, -1, 1)

    def p_value(self, X: DataLike) -> Array:
        """(N,) posterior predictive probability of a point at least as strange: uniform for new, good points."""
        points = self._new_points(X)
        scores = anomaly_scores(self.posterior_, points.values, simulated=SIMULATED, seed=SEED)
        return scores["p_value"].values

    def _new_points(self, X: DataLike) -> Points:
        check_is_fitted(self)
        return arguments.points_of(self, X, fitting=False)


def _share(contamination: float | str) -> float | None:
    if isinstance(contamination, str) and contamination == "auto":
        return None
    is_number = isinstance(contamination, float | int | np.number) and not isinstance(contamination, bool)
    if isinstance(contamination, str) or not is_number or not 0 < contamination <= 0.5:
        raise DeclarationError(f"contamination={contamination!r}: must be 'auto', or more than 0 and at most 0.5")
    return float(contamination)
