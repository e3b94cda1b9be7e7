"""BayesianGaussianMixture by variational Bayes: scikit-learn's numbers, and draws only at first access."""

import itertools
import pickle
import warnings

import numpy as np
import pytest
from sklearn import mixture
from sklearn.exceptions import ConvergenceWarning

import bayesgmm as bg
from bayesgmm.data.points import as_points
from bayesgmm.datasets import make_mixture
from bayesgmm.errors import DataError
from bayesgmm.estimators.variational_search import PLAIN, Approximation, carried_over
from bayesgmm.inference.coordinate_ascent import Ascent
from bayesgmm.posterior.info import info
from bayesgmm.posterior.log_posterior import LogPosterior

FAMILIES = ["full", "tied", "diag", "spherical"]
KINDS = ["dirichlet_distribution", "dirichlet_process"]
FINITE = {"weight_concentration_prior_type": "dirichlet_distribution"}
FACTORS = ["weight_concentration_", "mean_precision_", "degrees_of_freedom_"]
MIXTURE = ["weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_"]
X = make_mixture(n_points=400, n_features=2, n_components=3, overlap=0.1, seed=1).X * [1.0, 30.0] + [5.0, 1000.0]
PRIORS = {"weight_concentration_prior": 0.7, "mean_precision_prior": 0.3, "degrees_of_freedom_prior": 5.0}


def fit(kind=bg.BayesianGaussianMixture, data=X, sample_weight=None, **settings):
    estimator = kind(**({"n_components": 3, "random_state": 0} | settings))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return estimator.fit(data) if sample_weight is None else estimator.fit(data, sample_weight=sample_weight)


def posterior_of(fitted):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bg.FitWarning)
        return fitted.posterior_


def assert_same(one, other, rtol, names=(*FACTORS, *MIXTURE)):
    for name in names:
        ours, theirs = np.asarray(getattr(one, name)), np.asarray(getattr(other, name))
        assert ours.shape == theirs.shape, name
        np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=rtol * np.abs(theirs).max(), err_msg=name)


# -- scikit-learn's numbers --


@pytest.mark.parametrize("seed", [0, 1])
def test_the_optimum_is_scikit_learn_s(seed):
    """The one model that is the same in both: full covariances, a Dirichlet, nothing added to the covariances."""
    settings = {"tol": 1e-11, "max_iter": 5000, "reg_covar": 0, "random_state": seed, **FINITE, **PRIORS}
    ours, theirs = fit(**settings), fit(mixture.BayesianGaussianMixture, **settings)
    assert ours.converged_
    assert ours.n_iter_ <= theirs.n_iter_
    assert_same(ours, theirs, 1e-5)
    np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=1e-5)
    np.testing.assert_allclose(ours.score_samples(X), theirs.score_samples(X), rtol=1e-5)


@pytest.mark.parametrize("init_params", ["kmeans", "k-means++", "random", "random_from_data"])
@pytest.mark.parametrize("max_iter", [1, 7])
def test_starts_and_iterations_are_scikit_learn_s(init_params, max_iter):
    settings = {"tol": 0, "max_iter": max_iter, "reg_covar": 0, "init_params": init_params, **FINITE, **PRIORS}
    ours, theirs = fit(**settings), fit(mixture.BayesianGaussianMixture, **settings)
    assert ours.n_iter_ == theirs.n_iter_ == max_iter
    assert_same(ours, theirs, 1e-7)


def test_of_several_starts_the_best_is_kept():
    settings = {"init_params": "random_from_data", "n_components": 6, "tol": 1e-6, "max_iter": 2000, **FINITE}
    one, best = (fit(n_init=n_init, **settings) for n_init in (1, 8))
    assert best.lower_bound_ > one.lower_bound_ + 0.1


@pytest.mark.parametrize("kind", KINDS)
def test_scikit_learn_reads_our_attributes_as_we_do(kind):
    """Its formulas over our numbers, the last stick of a process included: it plays no part in them."""
    ours = fit(weight_concentration_prior_type=kind)
    theirs = fit(mixture.BayesianGaussianMixture, weight_concentration_prior_type=kind)
    theirs._set_parameters(
        [getattr(ours, name) for name in ("weight_concentration_", "mean_precision_", "means_")]
        + [ours.degrees_of_freedom_, ours.covariances_, ours.precisions_cholesky_]
    )
    np.testing.assert_allclose(theirs.weights_, ours.weights_)
    np.testing.assert_allclose(theirs.precisions_, ours.precisions_)
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=1e-9)
    np.testing.assert_allclose(ours.score_samples(X), theirs.score_samples(X), rtol=1e-9)


# -- exact numbers --


@pytest.mark.parametrize(("family", "kind"), list(itertools.product(FAMILIES, KINDS)))
def test_attributes_are_the_means_of_the_factors(family, kind):
    """Against 4,000 draws: 7 Monte Carlo errors; up to 24 numbers in 8 cases: false alarm 5e-10."""
    fitted = fit(covariance_type=family, weight_concentration_prior_type=kind, n_components=2)
    draws = fitted._approximation.draw(np.random.default_rng(0), 4000)
    precision = np.linalg.inv(draws.covariance)
    expected = {"full": lambda: fitted.precisions_, "tied": lambda: np.stack([fitted.precisions_] * 2)}
    expected |= {"diag": lambda: np.stack([np.diag(one) for one in fitted.precisions_])}
    expected |= {"spherical": lambda: fitted.precisions_[:, None, None] * np.eye(2)}
    pairs = [(draws.weight, fitted.weights_), (draws.mean, fitted.means_), (precision, expected[family]())]
    for drawn, exact in pairs:
        error = drawn.std(axis=0) / np.sqrt(len(drawn))
        assert (np.abs(drawn.mean(axis=0) - exact) <= 7 * error + 1e-9 * np.abs(exact).max()).all()
    settings = {"weight_concentration_prior_type": kind, "n_components": 2}
    theirs = fit(mixture.BayesianGaussianMixture, covariance_type=family, **settings)
    for name in MIXTURE:
        assert getattr(fitted, name).shape == getattr(theirs, name).shape
    for name in FACTORS:
        assert np.shape(getattr(fitted, name)) == np.shape(getattr(theirs, name))


@pytest.mark.parametrize(("family", "kind"), list(itertools.product(FAMILIES, KINDS)))
def test_the_bound_is_that_of_the_attributes_and_never_falls(family, kind):
    fitted = fit(covariance_type=family, weight_concentration_prior_type=kind, tol=1e-2, max_iter=500)
    found = fitted._approximation
    ascent = found.over_points(1)
    assert fitted.lower_bound_ == fitted.lower_bounds_[-1]
    assert fitted.lower_bound_ == pytest.approx(ascent.step(found.factors)[0], rel=1e-12)
    assert len(fitted.lower_bounds_) == fitted.n_iter_
    assert np.diff(fitted.lower_bounds_).min() > -1e-9
    assert info(posterior_of(fitted)).notes.elbo == fitted.lower_bound_


def test_it_stops_where_the_total_bound_changes_by_less_than_tol():
    gains = np.diff(fit(tol=1e-3, max_iter=500, **FINITE).lower_bounds_)
    assert gains[-1] < 1e-3 <= gains[:-1].min()
    weighed = fit(tol=1e-3, max_iter=500, sample_weight=np.full(len(X), 4), **FINITE)
    repeated = fit(tol=1e-3, max_iter=500, data=np.repeat(X, 4, axis=0), **FINITE)
    assert weighed.n_iter_ == repeated.n_iter_
    assert_same(weighed, repeated, 1e-7)


def test_stopping_early_is_reported():
    estimator = bg.BayesianGaussianMixture(3, max_iter=2, tol=1e-9, random_state=0)
    with pytest.warns(ConvergenceWarning, match="method='vb' stopped after 2 iterations") as seen:
        fitted = estimator.fit(X)
    assert len(seen) == 1
    assert seen[0].filename == __file__
    assert not fitted.converged_
    with pytest.warns(bg.FitWarning) as warned:
        assert not info(fitted.posterior_).notes.converged
    assert any("before it converged" in str(one.message) for one in warned)


# -- going on --


@pytest.mark.parametrize("kind", KINDS)
def test_a_warm_start_continues(kind):
    """Plain iterations, so that four and four are eight; sticks start in order, and stay so while it lasts."""
    settings = {"tol": 0, "weight_concentration_prior_type": kind}
    assert PLAIN > 8
    through = fit(max_iter=8, **settings)
    estimator = fit(max_iter=4, warm_start=True, **settings)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        halfway = estimator.lower_bound_
        estimator.fit(X)
    assert estimator.lower_bound_ > halfway
    np.testing.assert_allclose(estimator.lower_bounds_, through.lower_bounds_[4:])
    assert_same(estimator, through, 1e-9)


@pytest.mark.parametrize(("family", "means"), list(itertools.product(FAMILIES, ["normal", "conjugate"])))
def test_factors_keep_their_meaning_in_other_coordinates(family, means):
    declared = {"normal": bg.NormalMeans((5.0, 1000.0), (10.0, 300.0)), "conjugate": bg.ConjugateMeans(0.5, 0.3)}
    model = bg.MixtureModel(3, family, means=declared[means])
    found = fit(model=model)._approximation
    density = LogPosterior.of(model, as_points(X[:200] * [9.0, 0.2] - 4))
    other = Ascent(density)
    result = type(found.result)(carried_over(found, other))
    moved = Approximation(found.points, found.model, density.standard, result, found.run)
    for name in ("weights", "means", "precisions_cholesky", "degrees_of_freedom"):
        np.testing.assert_allclose(getattr(moved, name), getattr(found, name), rtol=1e-9)
    seeds = (np.random.default_rng(3) for _ in range(2))
    one, two = (approximation.draw(rng, 50) for approximation, rng in zip((moved, found), seeds, strict=True))
    np.testing.assert_allclose(one.mean, two.mean, rtol=1e-7)


def test_another_shape_starts_anew():
    estimator = fit(warm_start=True)
    estimator.set_params(covariance_type="diag", n_components=2)
    with pytest.warns(bg.FitWarning, match="The fit starts again"):
        estimator.fit(X)
    assert_same(estimator, fit(covariance_type="diag", n_components=2), 1e-12)


# -- the posterior --


def test_draws_are_made_when_they_are_asked_for(monkeypatch):
    """A fit and its answers make none; so no warning about them comes before them."""
    from bayesgmm.estimators import posteriors

    made = []
    draw = posteriors.estimate
    monkeypatch.setattr(posteriors, "estimate", lambda *args: made.append(args) or draw(*args))
    fitted = fit(settings={"draws": 300})
    fitted.predict(X), fitted.score(X), fitted.sample(10), fitted._repr_html_()
    assert "posterior_" not in dir(fitted)
    assert not made
    with pytest.warns(bg.FitWarning):
        tree = fitted.posterior_
    assert fitted.posterior_ is tree
    assert "posterior_" in dir(fitted)
    assert len(made) == 1
    assert tree["posterior"].sizes["draw"] == 300


def test_the_posterior_is_that_of_the_factors_corrected():
    """Heaviest first; means of the draws within one standard deviation of those of the factors."""
    fitted = fit(settings={"draws": 4000}, **FINITE)
    tree, order = posterior_of(fitted), np.argsort(-fitted.weights_)
    for name, exact in [("weight", fitted.weights_), ("mean", fitted.means_)]:
        draws = tree["posterior"][name].values[0]
        assert (np.abs(draws.mean(axis=0) - exact[order]) < draws.std(axis=0)).all()
    told = info(tree)
    assert told.method == "vb"
    assert told.settings["init_params"] == "kmeans"
    assert None not in (told.notes.pareto_khat, told.fingerprint, told.seconds)
    assert told.notes.marginal_elbo >= told.notes.elbo


def test_a_pickle_has_its_posterior_too():
    fitted = fit()
    loaded = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(loaded.predict_proba(X), fitted.predict_proba(X))
    np.testing.assert_array_equal(
        posterior_of(loaded)["posterior"]["mean"].values, posterior_of(fitted)["posterior"]["mean"].values
    )


def test_an_array_that_has_changed_since_is_no_posterior():
    data = X.copy()
    fitted = fit(data=data)
    data[7] += 1
    with pytest.raises(DataError, match="has changed since"):
        fitted.posterior_  # noqa: B018


def test_another_method_forgets_the_factors():
    estimator = fit()
    estimator.set_params(method="em")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bg.FitWarning)
        estimator.fit(X)
    assert not any(hasattr(estimator, name) for name in FACTORS)
    np.testing.assert_allclose(estimator.predict_proba(X), bg.assignments(estimator.posterior_)["probability"])


def test_minibatches_reach_the_same_place():
    """Within 0.1 nats per point of the bound of all points, on 20,000 points."""
    data = make_mixture(n_points=20_000, n_features=2, n_components=3, overlap=0.02, seed=1).X
    whole, parts = fit(data=data, **FINITE), fit(data=data, settings={"batch_size": 1000}, **FINITE)
    assert parts._approximation.result.batches[0] == 20
    assert parts.lower_bound_ == pytest.approx(whole.lower_bound_, abs=2000)
    assert len(parts.lower_bounds_) == parts.n_iter_
