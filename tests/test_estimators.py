import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks
import bayesgmm as bg
from bayesgmm.inference import ENGINES
VB = "vb" if "vb" in ENGINES else "advi"
@pytest.mark.filterwarnings("ignore::bayesgmm.FitWarning")
@parametrize_with_checks([bg.GaussianMixture(), bg.BayesianGaussianMixture(method=VB), bg.AnomalyDetector(), bg.AnomalyDetector(contamination="auto"), bg.MixtureClassifier()])
def test_every_check_of_scikit_learn_passes(estimator, check):
    check(estimator)
