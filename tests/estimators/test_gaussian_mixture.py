"""GaussianMixture agrees with scikit-learn: the same numbers, printed progress and kinds of errors."""

import pickle
import warnings

import numpy as np
import pytest
from sklearn import mixture
from sklearn.exceptions import ConvergenceWarning, NotFittedError

import bayesgmm as bg
from bayesgmm.datasets import make_mixture
from bayesgmm.estimators import gaussian, initialisation
from bayesgmm.posterior.info import info

FAMILIES = ["full", "tied", "diag", "spherical"]
ATTRIBUTES = ["weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_"]
SAMPLE = make_mixture(n_points=400, n_features=3, n_components=3, overlap=0.05, seed=3)
X = SAMPLE.X


def both(data=X, **settings):
    """Ours and scikit-learn's, fitted alike."""
    kinds = bg.GaussianMixture, mixture.GaussianMixture
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return [kind(**({"n_components": 3, "random_state": 0} | settings)).fit(data) for kind in kinds]


def assert_alike(ours, theirs, rtol=1e-7):
    for name in ATTRIBUTES:
        assert getattr(ours, name).shape == getattr(theirs, name).shape, name
        atol = rtol * np.abs(getattr(theirs, name)).max()
        np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), rtol=rtol, atol=atol, err_msg=name)
    assert (ours.n_iter_, ours.converged_) == (theirs.n_iter_, theirs.converged_)
    assert ours.lower_bound_ == pytest.approx(theirs.lower_bound_, abs=1e-8)


@pytest.mark.parametrize("covariance_type", FAMILIES)
@pytest.mark.parametrize(("tol", "max_iter"), [(1e-3, 2000), (1e-10, 50)])
def test_it_is_scikit_learn_s_fit(covariance_type, tol, max_iter):
    ours, theirs = both(covariance_type=covariance_type, tol=tol, max_iter=max_iter)
    assert_alike(ours, theirs)
    assert ours.score(X) == pytest.approx(theirs.score(X), abs=1e-8)
    np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=1e-8)
    np.testing.assert_allclose(ours.score_samples(X), theirs.score_samples(X), atol=1e-7)
    assert (ours.bic(X), ours.aic(X)) == (pytest.approx(theirs.bic(X)), pytest.approx(theirs.aic(X)))
    np.testing.assert_allclose(ours.lower_bounds_, theirs.lower_bounds_, atol=1e-8)


@pytest.mark.parametrize("covariance_type", FAMILIES)
def test_where_em_is_slow_it_ends_no_lower_and_sooner(covariance_type):
    """Of a small problem the steps are compiled extrapolation: more than quasi-Newton steps, and each much quicker."""
    steps = []
    for seed in range(5, 9):  # the last bits of a start change the number of steps, so several are counted together
        data = make_mixture(2000, 2, 3, overlap=0.5, seed=seed).X
        ours, theirs = both(data, covariance_type=covariance_type, tol=1e-10, max_iter=20_000, random_state=1)
        assert ours.converged_
        assert theirs.converged_
        assert ours.score(data) > theirs.score(data) - 1e-8
        steps.append((ours.n_iter_, theirs.n_iter_))
    own, peer = np.sum(steps, axis=0)
    assert own < 0.9 * peer, steps


@pytest.mark.parametrize("covariance_type", FAMILIES)
@pytest.mark.parametrize("init_params", ["kmeans", "random"])
@pytest.mark.parametrize("units", [1e-6, 1e5])
def test_it_is_scikit_learn_s_in_other_units_and_from_other_starts(covariance_type, init_params, units):
    settings = {"covariance_type": covariance_type, "init_params": init_params, "reg_covar": 1e-6 * units**2}
    assert_alike(*both(X * units, **settings), rtol=1e-5)


@pytest.mark.parametrize("covariance_type", ["full", "spherical"])
@pytest.mark.parametrize("init_params", ["k-means++", "random_from_data"])
def test_starts_of_single_points_are_scikit_learn_s(covariance_type, init_params):
    ours, theirs = both(covariance_type=covariance_type, init_params=init_params)
    assert_alike(ours, theirs, rtol=1e-5)


def test_starts_of_single_points_do_not_depend_on_the_origin():
    """scikit-learn's tied start does, by its sums of squares about zero: why ours differs there."""
    settings = {"n_components": 3, "covariance_type": "tied", "init_params": "k-means++", "random_state": 0}
    here, there = (bg.GaussianMixture(**settings).fit(X + move) for move in (0.0, 64.0))
    np.testing.assert_allclose(here.means_ + 64, there.means_)
    assert here.score(X) > mixture.GaussianMixture(**settings).fit(X).score(X) + 0.1


def test_points_far_from_the_origin_keep_their_digits():
    far = X + 2.0**26
    near, away = (bg.GaussianMixture(3, covariance_type="diag", random_state=0).fit(data) for data in (X, far))
    np.testing.assert_allclose(away.covariances_, near.covariances_, rtol=1e-6)


@pytest.mark.parametrize("covariance_type", FAMILIES)
@pytest.mark.parametrize("given", [("weights",), ("means",), ("precisions",), ("weights", "means", "precisions")])
def test_a_start_that_is_given_is_scikit_learn_s(covariance_type, given):
    theirs = mixture.GaussianMixture(3, covariance_type=covariance_type, random_state=1, max_iter=2, tol=1).fit(X)
    start = {f"{name}_init": getattr(theirs, f"{name}_") for name in given}
    assert_alike(*both(covariance_type=covariance_type, **start))


def test_a_start_that_is_given_whole_needs_no_other(monkeypatch):
    done = bg.GaussianMixture(3, random_state=0).fit(X)
    start = {"weights_init": done.weights_, "means_init": done.means_, "precisions_init": done.precisions_}
    monkeypatch.setattr(initialisation, "ASSIGN", {})
    bg.GaussianMixture(3, **start).fit(X)
    with pytest.raises(KeyError):
        bg.GaussianMixture(3, **(start | {"means_init": None})).fit(X)


def test_max_iter_zero_keeps_the_start():
    means = X[:3]
    fitted = bg.GaussianMixture(3, means_init=means, max_iter=0, random_state=0).fit(X)
    np.testing.assert_allclose(fitted.means_, means)
    assert (fitted.n_iter_, fitted.lower_bound_, fitted.lower_bounds_) == (0, -np.inf, [])


def test_the_best_of_several_starts_is_kept():
    settings = {"init_params": "random", "max_iter": 30, "n_components": 4}
    ours, theirs = both(n_init=5, **settings)
    assert_alike(ours, theirs)
    assert ours.lower_bound_ > both(n_init=1, **settings)[0].lower_bound_


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_warm_start_continues():
    pair = [
        kind(3, random_state=0, warm_start=True, max_iter=1) for kind in (bg.GaussianMixture, mixture.GaussianMixture)
    ]
    for _ in range(40):
        ours, theirs = (one.fit(X) for one in pair)
        assert_alike(ours, theirs)
        if theirs.converged_:
            break
    assert ours.converged_


def test_it_warns_as_scikit_learn_does_when_it_stops_early():
    with pytest.warns(
        ConvergenceWarning, match="Best performing initialization did not converge. Try different init"
    ) as seen:
        bg.GaussianMixture(3, max_iter=1).fit(X)
    assert seen[0].filename == __file__


def test_verbose_prints_what_scikit_learn_prints(capsys):
    told = []
    for one in (bg.GaussianMixture, mixture.GaussianMixture):
        one(3, random_state=0, verbose=1, verbose_interval=2, n_init=2).fit(X)
        told.append(capsys.readouterr().out)
    assert told[0] == told[1]
    bg.GaussianMixture(3, random_state=0, verbose=2, verbose_interval=2).fit(X)
    assert "time lapse" in (out := capsys.readouterr().out)
    assert "lower bound" in out
    assert "ll change" in out


# -- weights of rows --


@pytest.mark.parametrize("covariance_type", FAMILIES)
def test_a_row_of_weight_three_is_the_row_three_times(covariance_type):
    weight = np.random.default_rng(0).integers(0, 4, size=len(X))
    repeated = X.repeat(weight, axis=0)
    start = bg.GaussianMixture(3, covariance_type=covariance_type, random_state=0).fit(repeated)
    given = {"weights_init": start.weights_, "means_init": start.means_ + 0.1, "precisions_init": start.precisions_}
    one = bg.GaussianMixture(3, covariance_type=covariance_type, tol=1e-10, max_iter=2000, **given).fit(repeated)
    other = bg.GaussianMixture(3, covariance_type=covariance_type, tol=1e-10, max_iter=2000, **given)
    other.fit(X, sample_weight=weight)
    for name in ATTRIBUTES:
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=1e-6, atol=1e-9)
    assert other.score(X, sample_weight=weight) == pytest.approx(one.score(repeated))
    assert other.bic(X, sample_weight=weight) == pytest.approx(one.bic(repeated))
    assert other.aic(X, sample_weight=weight) == pytest.approx(one.aic(repeated))


@pytest.mark.parametrize("init_params", ["kmeans", "k-means++", "random", "random_from_data"])
def test_weights_of_one_are_no_weights_and_rows_of_weight_zero_no_rows(init_params):
    settings = {"n_components": 3, "init_params": init_params, "random_state": 0}
    plain = bg.GaussianMixture(**settings).fit(X)
    ones = bg.GaussianMixture(**settings).fit(X, sample_weight=np.ones(len(X)))
    more = np.concatenate([X, X[:50] + 20])
    zeros = bg.GaussianMixture(**settings).fit(more, sample_weight=np.arange(len(more)) < len(X))
    if init_params == "random_from_data":  # numpy draws otherwise from unequal shares
        assert abs(ones.score(X) - plain.score(X)) < 0.1
        return
    np.testing.assert_allclose(ones.means_, plain.means_)
    np.testing.assert_allclose(zeros.means_, plain.means_)


# -- what can't be --


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_components": 0}, "n_components=0: must be a whole number, at least 1"),
        ({"n_components": 2.5}, "n_components=2.5: must be a whole number"),
        ({"covariance_type": "fulll"}, "covariance_type='fulll' is not one of .* did you mean 'full'"),
        ({"covariance_type": ["full"]}, "is not one of"),
        ({"tol": -1}, "tol=-1: must be a number, 0 or more"),
        ({"tol": "small"}, "tol='small': must be a number"),
        ({"reg_covar": np.nan}, "reg_covar=nan: must be a number"),
        ({"max_iter": -1}, "max_iter=-1: must be a whole number, at least 0"),
        ({"n_init": 0}, "n_init=0: must be a whole number, at least 1"),
        ({"init_params": "kmean"}, "init_params='kmean' is not one of .* did you mean 'kmeans'"),
        ({"warm_start": "yes"}, "warm_start='yes': must be True or False"),
        ({"verbose": -1}, "verbose=-1"),
        ({"verbose_interval": 0}, "verbose_interval=0"),
        ({"random_state": "seed"}, "seed"),
        (
            {"weights_init": [[0.5], [0.5]]},
            r"weights_init has shape \(2, 1\); it must be \(2,\): one number per component",
        ),
        ({"weights_init": [1.5, -0.5]}, r"weights_init must lie in \[0, 1\]; it goes from -0.5 to 1.5"),
        ({"weights_init": [0.5, 0.4]}, "weights_init must be normalized: it sums to 0.9, not 1"),
        ({"weights_init": ["a", "b"]}, "give numbers of shape"),
        ({"means_init": np.ones((3, 3))}, r"means_init has shape \(3, 3\); it must be \(2, 3\)"),
        ({"means_init": np.full((2, 3), np.inf)}, "means_init holds missing or infinite values"),
        ({"precisions_init": np.ones((3, 3, 3))}, r"precisions_init has shape \(3, 3, 3\); it must be \(2, 3, 3\)"),
        ({"precisions_init": [np.eye(3), -np.eye(3)]}, r"precisions_init\[1\] must be symmetric, positive-definite"),
        ({"precisions_init": [np.tri(3), np.eye(3)]}, r"precisions_init\[0\] must be symmetric"),
        ({"precisions_init": -np.eye(3), "covariance_type": "tied"}, "precisions_init must be symmetric"),
        ({"precisions_init": np.ones((2, 2)), "covariance_type": "diag"}, r"must be \(2, 3\)"),
        (
            {"precisions_init": -np.ones((2, 3)), "covariance_type": "diag"},
            "must be positive; its smallest number is -1",
        ),
        ({"precisions_init": np.zeros(2), "covariance_type": "spherical"}, "must be positive"),
    ],
)
def test_parameters_that_can_t_be_are_refused_in_words(settings, message):
    with pytest.raises(ValueError, match=message):
        bg.GaussianMixture(**({"n_components": 2} | settings)).fit(X)


@pytest.mark.parametrize(
    ("data", "weight", "message"),
    [
        (X[:2], None, "n_components=3 for n_samples = 2"),
        (X[:1], None, "1 sample"),
        (X[0], None, "Expected 2D array"),
        (
            np.where(X[5, 1] == X, np.inf, X),
            None,
            "NaN or infinity: 1 value is missing or infinite: row 5, column 'x1'",
        ),
        (X, np.arange(4), r"sample_weight has shape \(4,\) for 400 rows"),
        (X, np.full(400, -1.0), "400 rows have weights that are not allowed: row 0 has -1"),
        (X, np.zeros(400), "all rows have weight zero"),
        (X, np.arange(400) < 2, "n_components=3 for n_samples = 2"),
    ],
)
def test_data_that_can_t_be_are_refused_in_words(data, weight, message):
    with pytest.raises(ValueError, match=message):
        bg.GaussianMixture(3).fit(data, sample_weight=weight)


@pytest.mark.parametrize("covariance_type", FAMILIES)
@pytest.mark.filterwarnings("ignore:Number of distinct clusters:sklearn.exceptions.ConvergenceWarning")
def test_degenerate_components_are_refused_without_a_floor(covariance_type):
    two = np.repeat([[0.0, 0.0, 0.0], [1e6, 1e6, 1e6]], 5, axis=0)  # the floor is 1e-18 of the variance
    settings = {"n_components": 4, "covariance_type": covariance_type, "random_state": 0}
    with pytest.raises(ValueError, match=r"singular(.|\n)*Try .*reg_covar=3e\+05") as error:
        bg.GaussianMixture(reg_covar=0, **settings).fit(two)
    assert ("fewer components" in str(error.value)) == (covariance_type in {"diag", "spherical"})
    assert bg.GaussianMixture(reg_covar=3e5, init_params="random_from_data", **settings).fit(two).converged_
    with pytest.warns(bg.FitWarning, match="2 of 4 components are empty"):
        held = bg.GaussianMixture(**settings).fit(two)
    assert len(set(held.predict(two))) == 2
    np.testing.assert_allclose(np.sort(held.means_[held.weights_ > 0.1], axis=0)[[0, -1]], two[[0, -1]], atol=1e-3)


def test_a_start_that_fails_is_ignored_if_others_succeed(monkeypatch):
    calls = []

    def first_fails(points, *args):
        calls.append(len(calls))
        if len(calls) == 1:
            raise bg.errors.DegenerateComponent("broken on purpose")
        return original(points, *args)

    original = gaussian.from_assignment
    monkeypatch.setattr(gaussian, "from_assignment", first_fails)
    assert bg.GaussianMixture(3, n_init=2, random_state=0).fit(X).converged_
    calls.clear()
    with pytest.raises(ValueError, match="broken on purpose"):
        bg.GaussianMixture(3, random_state=0).fit(X)


# -- answers --


@pytest.mark.parametrize("covariance_type", FAMILIES)
def test_samples_are_scikit_learn_s(covariance_type):
    ours, theirs = both(covariance_type=covariance_type)
    for one, other in zip(ours.sample(50), theirs.sample(50), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


@pytest.mark.parametrize("covariance_type", FAMILIES)
def test_samples_have_the_mixture_s_moments(covariance_type):
    """Means and shares of the components in 20,000 points, 5 sd each, 12 numbers: false alarm 7e-6."""
    fitted = bg.GaussianMixture(3, covariance_type=covariance_type, random_state=1).fit(X)
    drawn, label = fitted.sample(20_000)
    share = np.bincount(label) / len(label)
    assert (np.abs(share - fitted.weights_) < 5 * np.sqrt(fitted.weights_ / 20_000)).all()
    for k in range(3):
        own = drawn[label == k]
        assert (np.abs(own.mean(axis=0) - fitted.means_[k]) < 5 * own.std(axis=0) / np.sqrt(len(own))).all()
    assert (np.diff(label) >= 0).all()
    with pytest.raises(ValueError, match="n_samples=0: must be a whole number, at least 1"):
        fitted.sample(0)


def test_attributes_that_were_set_by_hand_are_a_mixture():
    theirs = mixture.GaussianMixture(3, random_state=0).fit(X)
    ours = bg.GaussianMixture(3)
    for name in ATTRIBUTES:
        setattr(ours, name, getattr(theirs, name))
    np.testing.assert_allclose(ours.score_samples(X), theirs.score_samples(X))
    np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))


@pytest.mark.parametrize("covariance_type", FAMILIES)
def test_all_answers_work_on_the_posterior(covariance_type, tmp_path):
    fitted = bg.GaussianMixture(3, covariance_type=covariance_type, random_state=0).fit(X)
    fit = bg.load(bg.save(fitted.posterior_, tmp_path / "fit.nc"))
    answer = bg.assignments(fit)
    np.testing.assert_allclose(answer["probability"], fitted.predict_proba(X), atol=1e-9)
    np.testing.assert_array_equal(answer["label"], fitted.predict(X))
    np.testing.assert_allclose(bg.density(fit)["log_density"], fitted.score_samples(X))
    np.testing.assert_allclose(fit["sample_stats"]["loglik"], fitted.score(X) * len(X), rtol=1e-10)
    assert (info(fit).method, info(fit).notes.converged) == ("em", True)
    assert fitted.posterior_ is fitted.posterior_


def test_a_posterior_of_weighted_rows_knows_their_weights():
    weight = np.arange(len(X)) % 3
    fitted = bg.GaussianMixture(3, random_state=0).fit(X, sample_weight=weight)
    np.testing.assert_array_equal(fitted.posterior_["observed_data"]["sample_weight"], weight)
    total = fitted.posterior_["sample_stats"]["loglik"].item()
    assert total == pytest.approx(fitted.score(X, sample_weight=weight) * weight.sum())


def test_a_pickle_holds_the_mixture_and_not_the_data():
    many = np.tile(X, (50, 1))
    fitted = bg.GaussianMixture(3, random_state=0).fit(many)
    early = pickle.loads(pickle.dumps(fitted))  # before its log likelihood was needed
    assert early.posterior_["sample_stats"]["loglik"].item() == fitted.posterior_["sample_stats"]["loglik"].item()
    stored = pickle.dumps(fitted)
    assert len(stored) < 20_000
    again = pickle.loads(stored)
    np.testing.assert_array_equal(again.predict(X), fitted.predict(X))
    np.testing.assert_allclose(bg.density(again.posterior_, X)["log_density"], fitted.score_samples(X))
    with pytest.raises(bg.BayesGMMError, match="has no observed data"):
        bg.assignments(again.posterior_)


def test_nothing_is_answered_before_a_fit():
    new = bg.GaussianMixture(3)
    for ask in (lambda: new.predict(X), lambda: new.score(X), lambda: new.sample(), lambda: new.posterior_):
        with pytest.raises(NotFittedError, match="This GaussianMixture instance is not fitted yet"):
            ask()
    assert not hasattr(new, "posterior_")


def test_few_rows_and_one_component_are_enough():
    fitted = bg.GaussianMixture().fit(X[:3])
    np.testing.assert_allclose(fitted.means_[0], X[:3].mean(axis=0))
    assert fitted.sample()[0].shape == (1, 3)
