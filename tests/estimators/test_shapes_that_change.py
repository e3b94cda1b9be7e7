"""What estimators do when a component is empty, when what was declared has changed, and what they then advise."""

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import ConvergenceWarning

import bayesgmm as bg

RANDOM = np.random.default_rng(0)
X = np.concatenate([RANDOM.normal(centre, 1, size=(60, 2)) for centre in ((0, 0), (9, 9), (0, 9))])
TWO = np.repeat([[100.0, 100.0], [110.0, 110.0]], 50, axis=0)
SPIKE = np.concatenate([np.zeros((50, 2)), RANDOM.normal(3, 1, size=(50, 2))])
COLLINEAR = np.column_stack([X, X.sum(axis=1)])


def gaussian(n_components, **settings):
    return bg.GaussianMixture(n_components, random_state=0, **settings)


def bayes(n_components, **settings):
    return bg.BayesianGaussianMixture(n_components, random_state=0, **settings)


def quietly(call, *args):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return call(*args)


@pytest.mark.parametrize("kind", [gaussian, bayes])
@pytest.mark.parametrize(
    ("changed", "data", "message"),
    [
        ({"n_components": 3}, X, "n_components was 2 and is 3"),
        ({"covariance_type": "diag"}, X, "covariance_type was 'full' and is 'diag'"),
        ({}, COLLINEAR, "there were 2 columns and now 3 columns"),
        ({}, pd.DataFrame(X[:, ::-1], columns=["b", "a"]), r"the columns were 'a', 'b' and are 'b', 'a'"),
    ],
)
def test_a_warm_start_starts_again_where_the_shape_has_changed(kind, changed, data, message):
    first = pd.DataFrame(X, columns=["a", "b"]) if isinstance(data, pd.DataFrame) else X
    estimator = kind(2, warm_start=True).fit(first).set_params(**changed)
    with pytest.warns(bg.FitWarning, match=message):
        estimator.fit(data)
    fresh = kind(**({"n_components": 2} | changed)).fit(data)
    np.testing.assert_array_equal(estimator.means_, fresh.means_)
    assert estimator.fit(data).n_iter_ <= fresh.n_iter_  # it continues again, without a remark


@pytest.mark.parametrize("changed", [{"n_components": 3}, {"mean_precision_prior": 5.0}])
def test_a_stream_starts_again_where_the_declaration_has_changed(changed):
    estimator = bayes(2).partial_fit(X).set_params(**changed)
    with pytest.warns(bg.FitWarning, match="partial_fit, which forgets"):
        estimator.partial_fit(X)
    np.testing.assert_array_equal(estimator.means_, bayes(**({"n_components": 2} | changed)).partial_fit(X).means_)


def test_predictions_are_those_of_the_fit_after_set_params():
    fitted = gaussian(2).fit(X)
    wanted = fitted.score_samples(X), fitted.bic(X), fitted.sample(3)[0]
    fitted.set_params(covariance_type="tied", n_components=5)
    for value, same in zip((fitted.score_samples(X), fitted.bic(X), fitted.sample(3)[0]), wanted, strict=True):
        np.testing.assert_array_equal(value, same)
    assert bg.info(fitted.posterior_).model.covariance == "full"


@pytest.mark.filterwarnings("ignore:Number of distinct clusters:sklearn.exceptions.ConvergenceWarning")
def test_a_component_without_points_has_no_density():
    """The density between two points that are repeated is that of two components, whatever the number declared."""
    wanted = gaussian(2).fit(TWO).score_samples([[105.0, 105.0]])
    with pytest.warns(bg.FitWarning, match="1 of 3 components is empty(.|\n)*Try n_components=2"):
        three = gaussian(3).fit(TWO)
    np.testing.assert_allclose(three.score_samples([[105.0, 105.0]]), wanted)
    np.testing.assert_array_equal(np.sort(three.weights_), [0, 0.5, 0.5])
    with pytest.warns(bg.FitWarning, match="1 of 2 components is empty"):
        far = gaussian(2, means_init=[[0.0, 0.0], [1e3, 1e3]]).fit(X)
    assert far.score_samples([[1e3, 1e3]]) < -1000
    assert bg.AnomalyDetector(3).fit(TWO).score_samples([[105.0, 105.0]]) < -100


def test_row_weights_of_any_scale_give_the_same_fit():
    tiny = gaussian(2).fit(X, sample_weight=np.full(len(X), 1e-200))
    np.testing.assert_allclose(tiny.means_, gaussian(2).fit(X).means_)


def test_anomaly_scores_take_the_posterior_of_an_estimator_of_few_points():
    assert bg.anomaly_scores(gaussian(1).fit(X[:40]).posterior_, [[50.0, 50.0]])["p_value"].item() < 0.05


def test_a_process_that_is_cut_off_too_early_is_reported():
    with pytest.warns(bg.FitWarning, match=r"The last of 10 sticks(.|\n)*smaller weight_concentration_prior: under"):
        bayes(10, weight_concentration_prior=1000).fit(X)
    with pytest.warns(bg.FitWarning, match=r"The last of 3 sticks(.|\n)*a smaller concentration"):
        bayes(1, model=bg.MixtureModel(3, weights=bg.DirichletProcess())).fit(X)
    for n_components in (1, 3, 6):  # the last stick has a cluster of its own, or none
        bayes(n_components).fit(X)


def test_criteria_of_the_likelihood_need_its_maximum():
    fitted = quietly(bayes(2, method="em", covariance_type="tied").fit, X)
    table = bg.compare({"em": fitted.posterior_})
    assert (fitted.bic(X), fitted.aic(X)) == (pytest.approx(table["bic"]["em"]), pytest.approx(table["aic"]["em"]))
    with pytest.raises(bg.errors.DeclarationError, match="bic needs the maximum(.|\n)*lower_bound_"):
        bayes(2).fit(X).bic(X)
    with pytest.raises(bg.errors.DeclarationError, match="aic needs the maximum"):
        quietly(bayes(2, method="map").fit, X).aic(X)


# -- advice --


CASES = [(data, name, k) for data in ("TWO", "SPIKE", "COLLINEAR") for name in ("full", "spherical") for k in (1, 2)]


def advice(call, *args):
    """The advice of the error of a call; empty if there is none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.simplefilter("ignore", bg.FitWarning)
        try:
            call(*args)
        except bg.errors.ComponentError as error:
            return str(error).split("\n  Try ")[1]
    return ""


def em(data, covariance, n_components, method="em"):
    bg.fit(bg.MixtureModel(n_components, covariance), data, method, seed=0, progress=False)


@pytest.mark.parametrize(("data", "covariance", "n_components"), CASES)
def test_what_is_advised_can_be_fitted(data, covariance, n_components):
    rows = globals()[data]
    text = advice(em, rows, covariance, n_components)
    if not text:
        return
    assert ("fewer components" in text) <= (n_components > 1)
    assert repr(covariance) not in text
    if "fewer components" in text:
        em(rows, covariance, 1)
    for family in (name for name in ("tied", "diag", "spherical") if repr(name) in text):
        em(rows, family, n_components)
    if "fewer columns" in text:
        em(rows[:, :-1], covariance, n_components)
    assert "method='map'" in text
    quietly(em, rows, covariance, n_components, "map")


def test_some_cases_do_fail():
    assert sum(bool(advice(em, globals()[data], name, k)) for data, name, k in CASES[:4]) == 3


def test_the_estimators_advise_their_own_parameters():
    own = gaussian(2, reg_covar=0).fit
    assert "reg_covar=" in (text := advice(own, COLLINEAR))
    assert "covariance_type='diag'" in text
    assert gaussian(2, reg_covar=float(text.split("reg_covar=")[1].rstrip("."))).fit(COLLINEAR).converged_
    text = advice(bg.AnomalyDetector(method="mle").fit, COLLINEAR)
    assert "covariance_type='diag' or 'spherical'" in text


@pytest.mark.parametrize("kind", [bg.GaussianMixture, bg.BayesianGaussianMixture, bg.AnomalyDetector])
@pytest.mark.parametrize(
    "data",
    [
        np.arange(60).reshape(30, 2).astype("datetime64[D]"),
        np.ones((30, 2), "timedelta64[s]"),
        [[pd.Timestamp("2020"), 1.0]] * 30,
        np.array([["1", "2"]] * 30),
        [["1", "2"]] * 30,
    ],
    ids=["dates", "durations", "list of dates", "text", "list of text"],
)
def test_what_is_no_number_is_refused_as_by_fit(kind, data):
    """Numpy and scikit-learn would convert it."""
    for call in (kind().fit, kind().fit(X).predict):
        with pytest.raises(bg.errors.DataError, match="the data are not a table of numbers"):
            call(data)
