"""Mixtures as scikit-learn estimators; ``GaussianMixture`` and ``BayesianGaussianMixture`` replace scikit-learn's."""

from bayesgmm.estimators.anomalies import AnomalyDetector
from bayesgmm.estimators.bayesian import BayesianGaussianMixture
from bayesgmm.estimators.classifier import MixtureClassifier
from bayesgmm.estimators.gaussian import GaussianMixture
from bayesgmm.estimators.regressor import MixtureRegressor

__all__ = ["AnomalyDetector", "BayesianGaussianMixture", "GaussianMixture", "MixtureClassifier", "MixtureRegressor"]
