"""What both mixtures do alike, whatever they were fitted by: everything that reads a density and its components."""

from abc import abstractmethod
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, DensityMixin
from sklearn.utils.validation import check_is_fitted

from bayesgmm.data.points import DataLike, Points
from bayesgmm.declared import whole
from bayesgmm.estimators import arguments
from bayesgmm.sweep.stats import Array

Labels = NDArray[np.intp]


class MixtureEstimator(DensityMixin, BaseEstimator):
    """A mixture that is fitted to points and scores others."""

    def fit(self, X: DataLike, y: object = None, sample_weight: ArrayLike | None = None) -> Self:
        """Fit the mixture.

        Parameters
        ----------
        X : (N, D) array or DataFrame
        y : ignored
        sample_weight : (N,) float, optional
            How many points each row stands for: a row of weight 3 is the row three times, one of weight 0 none.

        Raises
        ------
        DataError, DeclarationError, ComponentError
            All are ValueErrors, and say what was given, what is allowed and what to try.

        Warns
        -----
        ConvergenceWarning
            scikit-learn's, when the best fit stopped before it converged.
        """
        self._learn(X, sample_weight)
        return self

    def fit_predict(self, X: DataLike, y: object = None, sample_weight: ArrayLike | None = None) -> Labels:
        """(N,) the most probable component of each point, after a fit to them; parameters as for ``fit``."""
        return self.fit(X, y, sample_weight).predict(X)

    @abstractmethod
    def _learn(self, X: DataLike, sample_weight: ArrayLike | None) -> None:
        """Fit, and set the attributes that end in an underscore."""

    @abstractmethod
    def _log_density(self, points: Points) -> Array:
        """(N,) log density, in data units."""

    @abstractmethod
    def _probability(self, points: Points) -> Array:
        """(N, K) probability of each component."""

    @abstractmethod
    def _draw(self, size: int, random: np.random.RandomState) -> tuple[Array, Labels]:
        """Points (size, D) and the component (size,) of each."""

    def score_samples(self, X: DataLike) -> Array:
        """(N,) log density of each point, in one over the product of the features' units."""
        return self._log_density(self._new_points(X))

    def score(self, X: DataLike, y: object = None, sample_weight: ArrayLike | None = None) -> float:
        """Mean log density of the points, each counted as often as its weight says; higher is better."""
        points = self._new_points(X).weighed(sample_weight)
        return float(np.average(self._log_density(points), weights=points.weights))

    def predict_proba(self, X: DataLike) -> Array:
        """(N, K) probability that each point came from each component; rows sum to one."""
        return self._probability(self._new_points(X))

    def predict(self, X: DataLike) -> Labels:
        """(N,) the most probable component of each point."""
        return self.predict_proba(X).argmax(axis=1)

    def sample(self, n_samples: int = 1) -> tuple[Array, Labels]:
        """Draw points.

        Returns
        -------
        X : (n_samples, D) float
        y : (n_samples,) int
            The component of each, in increasing order.

        Raises
        ------
        DeclarationError
            When ``n_samples`` is not a whole number of at least 1.
        """
        from sklearn.utils import check_random_state

        check_is_fitted(self)
        return self._draw(whole("n_samples", n_samples), check_random_state(self.random_state))

    def _new_points(self, X: DataLike) -> Points:
        check_is_fitted(self)
        return arguments.points_of(self, X, fitting=False)
