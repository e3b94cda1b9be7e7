"""Common methods of both mixture estimators: those that use the density and the components."""

from abc import abstractmethod
from typing import Self, override

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, DensityMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from bayesgmm.data.points import DataLike, Points
from bayesgmm.declared import whole
from bayesgmm.errors import DeclarationError
from bayesgmm.estimators import arguments
from bayesgmm.estimators.row_sources import by_block
from bayesgmm.keywords import checks_keywords
from bayesgmm.posterior.criteria import information_criteria
from bayesgmm.sources.dask_collections import is_dask
from bayesgmm.sweep.stats import Array

Labels = NDArray[np.intp]


@checks_keywords
class MixtureEstimator(DensityMixin, BaseEstimator):
    """Mixture estimator: ``fit``, ``score``, ``predict`` and ``sample``.

    Missing values (NaN) are used as missing at random: what is observed of a row counts.
    """

    @override
    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def fit(self, X: DataLike, y: object = None, sample_weight: ArrayLike | None = None) -> Self:
        """Fit the mixture.

        Parameters
        ----------
        X : (N, D) array or DataFrame
            NaN where a value is missing. For ``GaussianMixture`` also a Dask array or DataFrame, whose rows stay on
            the workers of the Dask client in use, or a ``source``, which is read part by part.
        y : ignored
        sample_weight : (N,) float, optional
            Number of points that each row represents. Default: 1. A row of weight 3 counts as three equal rows, a row
            of weight 0 is ignored.

        Raises
        ------
        DataError, DeclarationError, ComponentError
            If the data or a parameter are not valid, or a component can't be estimated. All are ValueErrors.

        Warns
        -----
        ConvergenceWarning
            scikit-learn's, if the best fit stopped before it converged.
        FitWarning
            If the fit can't be used as it is: the message gives the reason, and what to try. Also if ``warm_start``
            can't continue from the last fit.
        """
        self._learn(X, sample_weight)
        return self

    def fit_predict(self, X: DataLike, y: object = None, sample_weight: ArrayLike | None = None) -> Labels:
        """Fit the mixture and return the most probable component of each point (N,).

        Parameters
        ----------
        X, y, sample_weight
            As for ``fit``.

        Raises
        ------
        DataError, DeclarationError, ComponentError
            As for ``fit``.
        """
        return self.fit(X, y, sample_weight).predict(X)

    @abstractmethod
    def _learn(self, X: DataLike, sample_weight: ArrayLike | None) -> None:
        """Fit, and set the attributes whose names end in an underscore."""

    @abstractmethod
    def _log_density(self, points: Points) -> Array:
        """Compute the log density (N,), in data units."""

    @abstractmethod
    def _probability(self, points: Points) -> Array:
        """Compute the probability (N, K) of each component."""

    @abstractmethod
    def _n_parameters(self, criterion: str) -> int:
        """Count the free parameters of the mixture; raise DeclarationError if it has no such criterion."""

    @abstractmethod
    def _draw(self, size: int, random: np.random.RandomState) -> tuple[Array, Labels]:
        """Draw points (size, D), with the component (size,) of each."""

    @by_block
    def score_samples(self, X: DataLike) -> Array:
        """Compute the log density of each point (N,), in nats; the unit of the density is the inverse of the features'.

        Parameters
        ----------
        X : (N, D) array or DataFrame

        Raises
        ------
        DataError
            If the data are not valid.
        """
        return self._log_density(self._new_points(X))

    def score(self, X: DataLike, y: object = None, sample_weight: ArrayLike | None = None) -> float:
        """Compute the weighted mean log density of the points, in nats per point; higher is better.

        Parameters
        ----------
        X : (N, D) array or DataFrame
        y : ignored
        sample_weight : (N,) float, optional
            Number of points that each row represents.

        Raises
        ------
        DataError
            If the data or the weights are not valid.
        """
        total, loglik = self._total(X, sample_weight)
        return loglik / total

    def bic(self, X: DataLike, sample_weight: ArrayLike | None = None) -> float:
        """Compute the Bayesian information criterion (BIC) on X; lower is better. In R's mclust it has the other sign.

        Parameters
        ----------
        X : (N, D) array or DataFrame
        sample_weight : (N,) float, optional
            Number of points that each row represents.

        Raises
        ------
        DataError, DeclarationError
            If the data or the weights are not valid, or the fit is not the maximum of the likelihood: that of
            ``BayesianGaussianMixture`` with another method than 'em' or 'mle'.

        References
        ----------
        .. [1] Schwarz (1978), Ann. Stat. 6(2), 461-464.

        Examples
        --------
        Two groups that are far apart: two components are better than one.

        >>> from bayesgmm import GaussianMixture
        >>> X = np.array([[0.0], [1.0], [2.0], [50.0], [51.0], [53.0]])
        >>> one, two = (GaussianMixture(k, random_state=0).fit(X).bic(X) for k in (1, 2))
        >>> two < one
        True
        """
        return self._criterion("bic", X, sample_weight)

    def aic(self, X: DataLike, sample_weight: ArrayLike | None = None) -> float:
        """Compute the Akaike information criterion (AIC) on X; lower is better.

        Parameters
        ----------
        X, sample_weight
            As for ``bic``.

        Raises
        ------
        DataError, DeclarationError
            As for ``bic``.

        References
        ----------
        .. [1] Akaike (1974), IEEE Trans. Autom. Control 19(6), 716-723.
        """
        return self._criterion("aic", X, sample_weight)

    def _criterion(self, name: str, X: DataLike, sample_weight: ArrayLike | None) -> float:
        check_is_fitted(self)
        size = self._n_parameters(name)
        total, loglik = self._total(X, sample_weight)
        return information_criteria(loglik, size, total, 0.0)[name]

    @by_block
    def predict_proba(self, X: DataLike) -> Array:
        """Compute the probability that each point came from each component (N, K); rows sum to one.

        Parameters
        ----------
        X : (N, D) array or DataFrame

        Raises
        ------
        DataError
            If the data are not valid.
        """
        return self._probability(self._new_points(X))

    def predict(self, X: DataLike) -> Labels:
        """Return the most probable component of each point (N,).

        Parameters
        ----------
        X : (N, D) array or DataFrame

        Raises
        ------
        DataError
            If the data are not valid.
        """
        return self.predict_proba(X).argmax(axis=1)

    def sample(self, n_samples: int = 1) -> tuple[Array, Labels]:
        """Draw points from the mixture.

        Parameters
        ----------
        n_samples : int

        Returns
        -------
        X : (n_samples, D) float
        y : (n_samples,) int
            Component of each point, in increasing order.

        Raises
        ------
        DeclarationError
            If ``n_samples`` is not a whole number of at least 1.
        """
        from sklearn.utils import check_random_state

        check_is_fitted(self)
        return self._draw(whole("n_samples", n_samples), check_random_state(self.random_state))

    def _total(self, X: DataLike, sample_weight: ArrayLike | None) -> tuple[float, float]:
        """Return the total weight of the points, and their log likelihood."""
        if is_dask(X):
            if sample_weight is not None:
                raise DeclarationError("sample_weight can't be used with a Dask collection")
            log = np.asarray(self.score_samples(X))  # computed block by block: a number for each row comes back
            return float(len(log)), float(log.sum())
        points = self._new_points(X).weighed(sample_weight)
        log = self._log_density(points)
        return points.total_weight, float(log.sum() if points.weights is None else log @ points.weights)

    def _new_points(self, X: DataLike) -> Points:
        check_is_fitted(self)
        return arguments.points_of(self, X, fitting=False)
