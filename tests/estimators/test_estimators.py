"""The estimators follow scikit-learn's conventions, and their predictions are those of the posterior."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
import sklearn
from scipy.stats import kstest, multivariate_t
from sklearn import mixture
from sklearn.base import clone, is_classifier, is_outlier_detector, is_regressor
from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import bayesgmm as bg
from bayesgmm.datasets import make_mixture
from bayesgmm.inference import ENGINES
from bayesgmm.posterior.info import declaration, info

FAMILIES = ["full", "tied", "diag", "spherical"]
QUICK = {"advi": {"draws": 200}, "fullrank_advi": {"draws": 200}}
QUICK |= {"gibbs": {"draws": 100, "chains": 2}, "nuts": {"draws": 100, "tune": 100, "chains": 2}}
APPROXIMATE = "vb" if "vb" in ENGINES else "advi"
SAMPLE = make_mixture(n_points=300, n_features=2, n_components=3, overlap=0.02, seed=1)
X = SAMPLE.X
ESTIMATORS = [
    bg.GaussianMixture(),
    bg.BayesianGaussianMixture(method=APPROXIMATE),
    bg.AnomalyDetector(),
    bg.MixtureClassifier(),
    bg.MixtureClassifier("1-2", covariance_type=["EEI", "EII"]),
    bg.MixtureRegressor(),
]
FINITE = {"weight_concentration_prior_type": "dirichlet_distribution"}


def quiet(estimator, *args, **kwargs):
    """Fitted, without a word about draws that are too few for a use that no test makes of them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bg.FitWarning)
        warnings.simplefilter("ignore", ConvergenceWarning)
        return estimator.fit(*args, **kwargs)


def posterior_of(fitted):
    """Its draws, without a word about how good they are."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bg.FitWarning)
        return fitted.posterior_


def bayes(n_components=3, method=APPROXIMATE, **settings):
    return bg.BayesianGaussianMixture(
        n_components, method=method, random_state=0, **({"settings": QUICK.get(method)} | settings)
    )


@pytest.mark.filterwarnings("ignore::bayesgmm.FitWarning")
@parametrize_with_checks(ESTIMATORS)
def test_every_check_of_scikit_learn_passes(estimator, check):
    check(estimator)


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda e: type(e).__name__)
def test_estimators_live_in_scikit_learn(estimator):
    frame = pd.DataFrame(X, columns=["a", "b"])
    labels = (X[:, 0] > X[:, 0].mean()).astype(int)
    fitted = quiet(clone(estimator), frame, labels)
    assert list(fitted.feature_names_in_) == ["a", "b"]
    with pytest.raises(ValueError, match="feature names"):
        fitted.predict(frame[["b", "a"]])
    assert type(estimator).__name__ in fitted._repr_html_()
    assert clone(fitted).get_params().keys() == estimator.get_params().keys()
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(fitted)).predict(frame), fitted.predict(frame))
    tree = fitted.posteriors_[0] if is_classifier(fitted) else posterior_of(fitted)
    assert list(tree["posterior"].coords["feature"].values) == ["a", "b", *(["y"] if is_regressor(fitted) else [])]


def test_their_kinds_are_known():
    assert is_classifier(bg.MixtureClassifier())
    assert is_regressor(bg.MixtureRegressor())
    assert is_outlier_detector(bg.AnomalyDetector())
    assert bg.GaussianMixture().__sklearn_tags__().estimator_type == "density_estimator"


def test_row_weights_are_routed_through_a_search():
    """Half of the rows are noise of weight zero, which would change the fit."""
    weight = np.repeat([1.0, 0.0], len(X))
    data = np.concatenate([X, X[:, ::-1] * 7 + 30])
    order = np.random.default_rng(0).permutation(len(data))
    with sklearn.config_context(enable_metadata_routing=True):
        asked = bg.GaussianMixture(random_state=0).set_score_request(sample_weight=True)
        kinds = {
            "asked": clone(asked).set_fit_request(sample_weight=True),
            "plain": clone(asked).set_fit_request(sample_weight=False),
        }
        found = {}
        for name, one in kinds.items():
            pipe = make_pipeline(StandardScaler().set_fit_request(sample_weight=True), one)
            pipe.set_score_request(sample_weight=True)  # early versions of scikit-learn ask for it (issue 30937)
            search = GridSearchCV(pipe, {"gaussianmixture__n_components": [1, 3]}, cv=3)
            found[name] = search.fit(data[order], sample_weight=weight[order]).best_estimator_[-1]
    scaled = StandardScaler().fit(X).transform(X)
    assert found["asked"].n_components == 3
    np.testing.assert_allclose(
        found["asked"].score(scaled), bg.GaussianMixture(3, random_state=0).fit(scaled).score(scaled), atol=0.05
    )
    assert found["plain"].score(scaled) < found["asked"].score(scaled) - 0.1


def test_a_script_that_changes_its_import_runs():
    for kinds in (mixture, bg):
        one = kinds.GaussianMixture(n_components=3, covariance_type="tied", n_init=2, random_state=0).fit(X)
        keywords = {} if kinds is mixture else {"method": APPROXIMATE}
        two = quiet(
            kinds.BayesianGaussianMixture(
                n_components=3,
                covariance_type="diag",
                weight_concentration_prior=0.5,
                mean_prior=[0.0, 0.0],
                max_iter=500,
                random_state=0,
                **keywords,
            ),
            X,
        )
        for model, shape in [(one, (2, 2)), (two, (3, 2))]:
            assert model.covariances_.shape == model.precisions_.shape == model.precisions_cholesky_.shape == shape
            assert model.weights_.shape == (3,)
            assert model.means_.shape == (3, 2)
            assert model.predict_proba(X).shape == (300, 3)
            assert model.sample(5)[0].shape == (5, 2)
            assert isinstance(model.score(X), float)
            assert model.n_iter_ >= 1
            assert isinstance(model.converged_, bool)


# -- BayesianGaussianMixture --


@pytest.mark.parametrize("covariance_type", FAMILIES)
def test_the_declaration_is_what_the_parameters_say(covariance_type):
    fitted = quiet(bayes(covariance_type=covariance_type), X)
    theirs = mixture.BayesianGaussianMixture(n_components=3, covariance_type=covariance_type).fit(X)
    declared = declaration(posterior_of(fitted))
    assert declared.covariance == covariance_type
    assert declared.weights == bg.DirichletProcess(1 / 3)
    assert declared.means.strength == theirs.mean_precision_prior_
    np.testing.assert_allclose(declared.means.location, theirs.mean_prior_)
    assert declared.covariances.dof == theirs.degrees_of_freedom_prior_
    np.testing.assert_allclose(declared.covariances.scale, theirs.covariance_prior_, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(fitted.covariance_prior_, theirs.covariance_prior_, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("covariance_type", "prior"),
    [("full", [[2.0, 0.5], [0.5, 1.0]]), ("tied", np.eye(2)), ("diag", [1.0, 2.0]), ("spherical", 1.5)],
)
def test_priors_that_are_given_are_declared(covariance_type, prior):
    given = {"weight_concentration_prior": 2.0, "mean_precision_prior": 0.1, "mean_prior": [1.0, 2.0]}
    given |= {"degrees_of_freedom_prior": 5.0, "covariance_prior": prior, "covariance_type": covariance_type}
    declared = declaration(posterior_of(quiet(bayes(**given, **FINITE), X)))
    assert declared.weights == bg.Dirichlet(2.0)
    assert declared.means == bg.ConjugateMeans((1.0, 2.0), 0.1)
    assert declared.covariances == bg.WishartPrecision(5.0, prior)


def test_a_row_of_weight_three_sets_the_same_priors_as_the_row_three_times():
    weight = np.random.default_rng(0).integers(0, 4, size=len(X))
    one, other = quiet(bayes(), X, sample_weight=weight), quiet(bayes(), X.repeat(weight, axis=0))
    np.testing.assert_allclose(one.covariance_prior_, other.covariance_prior_)
    np.testing.assert_allclose(one.mean_prior_, other.mean_prior_)
    np.testing.assert_allclose(one.means_, other.means_, atol=1e-3)


def test_the_density_of_one_component_is_student_s_t():
    """The posterior predictive of the conjugate prior in closed form; 200 draws, 12 points: 6 sd of a mean of them."""
    data, new = X[:25], X[25:37] * 1.5
    n, (strength, dof) = 25, (1.0, 4.0)
    fitted = quiet(
        bayes(
            1, "nuts", settings={"draws": 500, "tune": 300}, degrees_of_freedom_prior=dof, covariance_prior=np.eye(2)
        ),
        data,
    )
    mean = data.mean(axis=0)
    scatter = np.eye(2) + (data - mean).T @ (data - mean)  # the prior of the mean is at the mean
    free = dof + n - 2 + 1
    exact = multivariate_t(mean, scatter * (n + strength + 1) / ((n + strength) * free), df=free).logpdf(new)
    draws = bg.density(fitted.posterior_, new, ci_prob=0.68, draws=None)["band"]
    error = (np.log(draws[:, 1] / draws[:, 0]) / 2 / np.sqrt(500)).values
    assert (np.abs(fitted.score_samples(new) - exact) < 6 * error).all()


@pytest.mark.parametrize("method", sorted(set(ENGINES) - {"vb"}))
def test_every_method_answers_from_its_posterior(method):
    fitted = quiet(bayes(method=method, **FINITE), X)
    assert info(fitted.posterior_).method == method
    np.testing.assert_allclose(fitted.predict_proba(X), bg.assignments(fitted.posterior_)["probability"])
    np.testing.assert_allclose(fitted.score_samples(X), bg.density(fitted.posterior_, draws=1000)["log_density"])
    assert fitted.score(X) == pytest.approx(bg.density(fitted.posterior_)["log_density"].mean().item())
    np.testing.assert_allclose(fitted.weights_, fitted.posterior_["posterior"]["weight"].mean(["chain", "draw"]))
    np.testing.assert_allclose(np.linalg.inv(fitted.precisions_), fitted.covariances_)
    np.testing.assert_allclose(fitted.weights_, np.sort(SAMPLE.weight)[::-1], atol=0.1)
    if method in {"advi", "fullrank_advi"}:
        assert len(fitted.lower_bounds_) >= fitted.n_iter_ > 0
        assert np.isfinite(fitted.lower_bound_)


@pytest.mark.parametrize("covariance_type", FAMILIES)
def test_attributes_are_those_of_the_family(covariance_type):
    fitted = quiet(bayes(method="advi", covariance_type=covariance_type), X)
    theirs = mixture.GaussianMixture(3, covariance_type=covariance_type).fit(X)
    for name in ("covariances_", "precisions_", "precisions_cholesky_"):
        assert getattr(fitted, name).shape == getattr(theirs, name).shape
    per_component = fitted.posterior_["posterior"]["covariance"].mean(["chain", "draw"]).values
    expected = {"full": per_component, "tied": per_component[0]}.get(covariance_type)
    diagonal = np.diagonal(per_component, axis1=1, axis2=2)
    expected = {"diag": diagonal, "spherical": diagonal[:, 0]}.get(covariance_type, expected)
    np.testing.assert_allclose(fitted.covariances_, expected)


def test_samples_are_the_posterior_predictive():
    """The mean of 20,000 points against that of the draws, and the share of each component: 5 sd, 5 numbers."""
    fitted = quiet(bayes(), X)
    drawn, label = fitted.sample(20_000)
    expected = fitted.weights_ @ fitted.means_
    assert (np.abs(drawn.mean(axis=0) - expected) < 5 * drawn.std(axis=0) / np.sqrt(20_000)).all()
    for k in range(3):  # clusters that lie apart: a point belongs to the component that it came from
        assert np.abs(drawn[label == k].mean(axis=0) - fitted.means_[k]).max() < 0.5
    share = np.bincount(label, minlength=3) / 20_000
    assert (np.abs(share - fitted.weights_) < 5 * np.sqrt(0.25 / 20_000)).all()
    assert (np.diff(label) >= 0).all()


def test_a_whole_declaration_can_be_given():
    model = bg.MixtureModel(2, "diag", means=bg.NormalMeans(0.0, 10.0))
    fitted = quiet(bayes(7, model=model), X)
    assert declaration(posterior_of(fitted)).means == bg.NormalMeans((0.0, 0.0), (10.0, 10.0))
    assert fitted.covariances_.shape == (2, 2)
    assert not hasattr(fitted, "mean_prior_")
    assert not hasattr(fitted, "mean_precision_")


@pytest.mark.parametrize(("method", "tol"), [("vb", 0.5 / 300), ("em", 0.5)])
def test_scikit_learn_s_stops_reach_the_engines_that_have_them(method, tol):
    """Variational Bayes stops by the gain in its mean bound, scikit-learn's by that in the total."""
    given = bayes(method=method, tol=0.5, max_iter=7, n_init=4, settings={"max_iter": 9})._settings(300.0)
    assert given == {"tol": tol, "max_iter": 9, "n_init": 4}
    assert bayes(method="nuts", settings=None)._settings(300.0) == {}


def test_a_fit_that_stops_early_warns_as_scikit_learn_s_do():
    estimator = bayes(6, "em", max_iter=2, tol=1e-9)
    with pytest.warns((ConvergenceWarning, bg.FitWarning)) as seen:
        fitted = estimator.fit(X)
    (own,) = [one for one in seen if one.category is ConvergenceWarning]
    assert "method='em' stopped after 2 iterations before it converged" in str(own.message)
    assert not fitted.converged_
    assert own.filename == __file__


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"method": "nutz"}, "method='nutz' is not one of .* did you mean 'nuts'"),
        ({"weight_concentration_prior_type": "dirichlet"}, "weight_concentration_prior_type='dirichlet' is not one of"),
        ({"weight_concentration_prior": 0}, "weight_concentration_prior=0: must be a positive number"),
        ({"mean_precision_prior": -1}, "mean_precision_prior=-1: must be a positive number"),
        ({"mean_prior": [1.0]}, r"mean_prior has shape \(1,\); it must be \(2,\)"),
        ({"degrees_of_freedom_prior": 0.5}, "dof=0.5 is too small"),
        ({"covariance_prior": [1.0, 1.0]}, r"covariance_prior has shape \(2,\); it must be \(2, 2\)"),
        ({"covariance_prior": -np.eye(2)}, "must be a symmetric, positive definite matrix"),
        ({"covariance_prior": [1, 1], "covariance_type": "spherical"}, "covariance_prior=.*must be a positive number"),
        ({"warm_start": True, "method": "advi"}, "warm_start=True: method='advi' can't continue from an earlier fit"),
        ({"model": bg.MixtureModel(3, covariances=bg.LKJCovariance())}, "method 'vb' can't take LKJCovariance"),
        ({"settings": {"drawz": 3}}, "has no setting 'drawz'"),
        ({"settings": 3}, "settings=3: give a dict"),
        ({"model": "iris"}, "model='iris': must be a MixtureModel"),
        ({"n_components": 301}, "n_components=301 for n_samples = 300"),
        ({"tol": -1}, "tol=-1"),
    ],
)
def test_bayesian_parameters_that_can_t_be_are_refused_in_words(settings, message):
    with pytest.raises(ValueError, match=message):
        bayes(**settings).fit(X)


# -- AnomalyDetector --


def test_p_values_of_new_points_are_uniform():
    """Two components, 2,000 points to learn from, 400 new ones; Kolmogorov-Smirnov, false alarm 1e-4."""
    truth = make_mixture(n_points=2_400, n_features=2, n_components=2, overlap=0.05, seed=5)
    detector = bg.AnomalyDetector(2, contamination="auto", random_state=0).fit(truth.X[:2_000])
    assert kstest(detector.p_value(truth.X[2_000:]), "uniform").pvalue > 1e-4


def test_few_training_points_raise_the_p_values_of_new_points():
    """50 points, 20 free numbers, 12 tables of 300 new points: share with a p-value of at most 0.1.

    The share in one table has a standard deviation of about 0.05: false alarm 3e-5 (4 standard errors).
    """
    shares = []
    for seed in range(12):
        x = np.random.default_rng(seed).normal(size=(350, 5))
        detector = bg.AnomalyDetector(contamination="auto", alpha=0.1, random_state=0).fit(x[:50])
        shares.append((detector.p_value(x[50:]) <= 0.1).mean())
        np.testing.assert_array_equal(detector.predict(x[50:]) == -1, detector.p_value(x[50:]) <= 0.1)
    assert 0.03 < np.mean(shares) < 0.1 + 4 * 0.05 / np.sqrt(12)


@pytest.mark.parametrize("alpha", [0.005, 0.05, 0.3])
def test_auto_calls_anomalies_what_has_a_small_p_value(alpha):
    detector = bg.AnomalyDetector(3, contamination="auto", alpha=alpha, random_state=0).fit(X)
    new = np.random.default_rng(0).normal(scale=X.std(), size=(500, 2)) + X.mean(axis=0)
    np.testing.assert_array_equal(detector.predict(new) == -1, detector.p_value(new) <= alpha)
    assert 0 < (detector.predict(new) == -1).mean() < 1


@pytest.mark.parametrize("contamination", [0.01, 0.1, 0.5])
def test_contamination_is_the_share_of_anomalies(contamination):
    detector = bg.AnomalyDetector(1, contamination=contamination, random_state=0).fit(X)
    assert (detector.predict(X) == -1).sum() == contamination * 300
    np.testing.assert_allclose(detector.decision_function(X), detector.score_samples(X) - detector.offset_)
    np.testing.assert_allclose(detector.score_samples(X), bg.anomaly_scores(detector.posterior_)["log_density"])
    np.testing.assert_array_equal(detector.fit_predict(X), detector.predict(X))


@pytest.mark.parametrize(("method", "n_components"), [("em", 1), (APPROXIMATE, 3), ("nuts", 3)])
def test_what_is_planted_is_found(method, n_components):
    """EM with a spare component gives it to a single distant point: the posterior does not."""
    planted = np.vstack([X, X.mean(axis=0) + np.diag([40.0, -40.0])])
    settings = {"contamination": 0.01, "method": method, "random_state": 0, "settings": QUICK.get(method)}
    found = quiet(bg.AnomalyDetector(n_components, **settings), planted).predict(planted) == -1
    assert found[-2:].all()


def test_no_component_collapses_onto_copies():
    """Maximum likelihood would: a spike makes the copies, and nothing else, probable."""
    copies = np.concatenate([X, np.repeat(X[:1] + 60, 3, axis=0), np.full((5, 2), 7.0)])
    detector = bg.AnomalyDetector(5, random_state=0).fit(np.column_stack([copies, np.ones(len(copies))]))
    sizes = np.sqrt(np.diagonal(detector.posterior_["posterior"]["covariance"].values[0, 0], axis1=1, axis2=2))
    assert sizes[:, :2].min() > 0.01


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"contamination": 0}, "contamination=0: must be 'auto', or more than 0 and at most 0.5"),
        ({"contamination": 0.6}, "contamination=0.6"),
        ({"contamination": "some"}, "contamination='some'"),
        ({"alpha": 1}, "alpha=1: must be between 0 and 1"),
        ({"covariance_type": "round"}, "covariance_type='round' is not one of"),
        ({"n_components": 0}, "n_components: must be greater than 0"),
        ({"n_components": 400}, "n_components=400 for n_samples = 300"),
        ({"method": "emm"}, "method='emm' is not one of"),
        ({"settings": {"n_int": 3}}, "method 'em' has no setting 'n_int'.*did you mean 'n_init'"),
    ],
)
def test_a_detector_s_parameters_that_can_t_be_are_refused_in_words(settings, message):
    with pytest.raises(ValueError, match=message):
        bg.AnomalyDetector(**settings).fit(X)


# -- MixtureClassifier --


def test_one_component_is_quadratic_discriminant_analysis(iris):
    data, species = iris.drop(columns="species"), iris["species"]
    ours, theirs = (one.fit(data, species) for one in (bg.MixtureClassifier(), QuadraticDiscriminantAnalysis()))
    assert (ours.predict(data) == theirs.predict(data)).mean() > 0.98
    np.testing.assert_array_equal(ours.classes_, theirs.classes_)
    np.testing.assert_allclose(ours.priors_, theirs.priors_)
    assert cross_val_score(bg.MixtureClassifier(), data, species, cv=5).mean() > 0.95


@pytest.mark.parametrize("method", ["em", APPROXIMATE, "nuts"])
def test_classes_that_one_gaussian_cannot_separate(method):
    """A class on both sides of another, with the same mean and spread: two components see it."""
    rng = np.random.default_rng(0)
    sides = np.concatenate([rng.normal(-2, 0.5, 150), rng.normal(2, 0.5, 150)])
    middle = rng.normal(0, sides.std(), 300)
    data, label = np.concatenate([sides, middle])[:, None], np.repeat(["sides", "middle"], 300)
    scores = [
        quiet(bg.MixtureClassifier(k, method=method, random_state=0, settings=QUICK.get(method)), data, label).score(
            data, label
        )
        for k in (1, 2)
    ]
    assert scores[1] > scores[0] + 0.1


@pytest.mark.parametrize("method", ["em", APPROXIMATE, "nuts"])
def test_a_class_of_one_row_is_a_class(method):
    """Also with a constant column, and with one that differs only between the classes."""
    data = np.column_stack([X, np.ones(300), np.where(np.arange(300) == 7, 0.05, 0.0)])
    label = np.arange(300) == 7
    classifier = bg.MixtureClassifier(
        3, method=method, covariance_type="diag", random_state=0, settings=QUICK.get(method)
    )
    classifier = quiet(classifier, data, label)
    np.testing.assert_array_equal(classifier.predict(data), label)
    assert [fit["posterior"].sizes["component"] for fit in classifier.posteriors_] == [3, 1]


def test_bayes_rule_is_what_it_says():
    label = np.where(X[:, 0] > np.median(X[:, 0]), "b", np.where(X[:, 1] > np.median(X[:, 1]), "a", "c"))
    classifier = bg.MixtureClassifier(2, priors=[0.2, 0.5, 0.3], random_state=0).fit(X, label)
    joint = np.column_stack([bg.density(fit, X)["log_density"] for fit in classifier.posteriors_]) + np.log(
        [0.2, 0.5, 0.3]
    )
    np.testing.assert_allclose(classifier.decision_function(X), joint)
    share = np.exp(joint) / np.exp(joint).sum(axis=1)[:, None]
    np.testing.assert_allclose(classifier.predict_proba(X), share, atol=1e-12)
    np.testing.assert_allclose(np.exp(classifier.predict_log_proba(X)), share, atol=1e-12)
    np.testing.assert_array_equal(classifier.predict(X), classifier.classes_[joint.argmax(axis=1)])


def test_weights_of_rows_are_counts_of_them_in_every_class():
    weight = np.random.default_rng(0).integers(0, 4, size=len(X))
    label = np.where(weight == 0, "none", np.where(X[:, 0] > np.median(X[:, 0]), "b", "a"))
    one = bg.MixtureClassifier(2, random_state=0).fit(X, label, sample_weight=weight)
    other = bg.MixtureClassifier(2, random_state=0).fit(X.repeat(weight, axis=0), label.repeat(weight))
    assert list(one.classes_) == ["a", "b"]
    np.testing.assert_allclose(one.priors_, other.priors_)
    np.testing.assert_allclose(one.predict_log_proba(X), other.predict_log_proba(X), atol=1e-5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"priors": [0.5, 0.6]}, "priors=.*must be at least 0 and sum to 1; they sum to 1.1"),
        ({"priors": [1.5, -0.5]}, "must be at least 0"),
        ({"priors": [1.0]}, r"priors has shape \(1,\); it must be \(2,\)"),
        ({"n_components": 0}, "n_components: must be greater than 0"),
        ({"covariance_type": "round"}, "covariance_type='round' is not one of"),
        ({"method": "emm"}, "method='emm' is not one of"),
    ],
)
def test_a_classifier_s_parameters_that_can_t_be_are_refused_in_words(settings, message):
    with pytest.raises(ValueError, match=message):
        bg.MixtureClassifier(**settings).fit(X, X[:, 0] > 0)
