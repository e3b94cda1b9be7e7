"""Online variational Bayes (``partial_fit``): batches lead to the posterior of all points."""

import itertools
import pickle

import numpy as np
import pytest

import bayesgmm as bg
from bayesgmm.datasets import make_mixture
from bayesgmm.errors import DataError, DeclarationError, ForgottenData
from tests.ascents import FAMILIES, WEIGHTS, make_ascent, start_of

FINITE = {"weight_concentration_prior_type": "dirichlet_distribution"}
KINDS = ["dirichlet_distribution", "dirichlet_process"]
NUMBERS = ["weights_", "means_", "covariances_", "weight_concentration_", "mean_precision_", "degrees_of_freedom_"]
ALIKE = {"learning_decay": 1.0, "learning_offset": 0.0}  # all batches count alike
X = make_mixture(n_points=600, n_features=2, n_components=3, overlap=0.02, seed=1).X * [1.0, 30.0] + [5.0, 1000.0]
BATCHES = np.split(X, 4)


def mixture(**settings):
    return bg.BayesianGaussianMixture(**({"n_components": 3, "random_state": 0} | settings))


def streamed(batches=BATCHES, sample_weights=None, **settings):
    estimator = mixture(**settings)
    for batch, weight in zip(batches, sample_weights or [None] * len(batches), strict=True):
        assert estimator.partial_fit(batch, sample_weight=weight) is estimator
    return estimator


def assert_same(one, other, rtol=1e-9):
    for name in NUMBERS:
        ours, theirs = np.asarray(getattr(one, name)), np.asarray(getattr(other, name))
        np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=rtol * np.abs(theirs).max(), err_msg=name)


# -- where it ends --


@pytest.mark.parametrize("total", [None, 600])
@pytest.mark.parametrize("family", FAMILIES)
def test_one_component_is_the_posterior_of_all_points(family, total):
    """With one component the statistics are exact, so batches of equal weight add up to the data."""
    priors = {"mean_prior": [1.0, 900.0], "covariance_prior": {"diag": [1.0, 90.0], "spherical": 2.0}.get(family)}
    if priors["covariance_prior"] is None:
        priors["covariance_prior"] = [[1.0, 2.0], [2.0, 90.0]]
    settings = {"n_components": 1, "covariance_type": family, **priors}
    assert_same(streamed(total_samples=total, **ALIKE, **settings), mixture(**settings).fit(X))


@pytest.mark.parametrize("kind", KINDS)
def test_a_stream_ends_near_the_fit_of_all_its_points(kind):
    """40 batches of 500: all means and variances within 4 of the posterior's standard deviations of the fit's.

    The steps' noise is 0.7 of them (in 20 shuffles 0.7, and 1.0 in the worst of 12 numbers): false alarm below 1e-3 a
    shuffle, and this one is fixed.
    """
    data = make_mixture(n_points=20_000, n_features=2, n_components=3, overlap=0.02, seed=1).X
    shuffled = np.random.default_rng(0).permutation(data)
    settings = {"weight_concentration_prior_type": kind}
    whole = mixture(**settings).fit(shuffled)
    stream = streamed(np.split(shuffled, 40), total_samples=20_000, **settings)
    assert distance(stream, whole) < 4
    assert stream.n_iter_ == len(stream.lower_bounds_) == 40
    assert stream.lower_bound_ == pytest.approx(whole.lower_bound_, abs=0.1 * 20_000)


def distance(stream, whole):
    """The largest, in standard deviations of the posterior, over means and variances; components in one order."""
    one, two = (np.argsort(fitted.means_[:, 0]) for fitted in (stream, whole))
    variance = np.diagonal(whole.covariances_[two], axis1=1, axis2=2)
    mean_sd = np.sqrt(variance / whole.mean_precision_[two, None])
    variance_sd = variance * np.sqrt(2 / whole.degrees_of_freedom_[two, None])
    gaps = np.diagonal(stream.covariances_[one], axis1=1, axis2=2) - variance
    return max(np.abs((stream.means_[one] - whole.means_[two]) / mean_sd).max(), np.abs(gaps / variance_sd).max())


@pytest.mark.parametrize(("total", "expected"), [(None, 600), (5_000, 5_000)])
def test_the_posterior_is_as_wide_as_its_points_make_it(total, expected):
    stream = streamed(total_samples=total, **FINITE)
    assert (stream.mean_precision_ - 1).sum() == pytest.approx(expected)
    assert (stream.degrees_of_freedom_ - 2).sum() == pytest.approx(expected)
    assert (stream.weight_concentration_ - 1 / 3).sum() == pytest.approx(expected)


@pytest.mark.parametrize(("family", "weights"), list(itertools.product(FAMILIES, WEIGHTS)))
def test_rescaled_factors_are_those_of_rescaled_statistics(family, weights):
    ascent = make_ascent(family, "conjugate", weights)
    factors = start_of(ascent)
    stats = ascent.fold(factors)
    more = type(stats)(3.5 * stats.n, 3.5 * stats.s1, 3.5 * stats.s2, 0.0, stats.about)
    found, expected = ascent.rescaled(ascent.update(factors, stats), 3.5), ascent.update(factors, more)
    for name in ("mean", "spread"):
        np.testing.assert_allclose(getattr(found.components, name), getattr(expected.components, name))
    for name in ("dof", "scale"):
        one, two = (getattr(b.components.precision, name) for b in (found, expected))
        np.testing.assert_allclose(one, two, rtol=1e-9, atol=1e-9)
    if "learned" not in weights and weights != "sparse":  # a concentration that is learned has moved in between
        np.testing.assert_allclose(found.shares, expected.shares)


# -- batches --


@pytest.mark.parametrize("total", [None, 5_000])
def test_a_row_of_weight_three_is_the_row_three_times(total):
    weight = np.random.default_rng(0).integers(0, 4, size=150)
    settings = {"total_samples": total, **FINITE}
    weighed = streamed(BATCHES[:2], [None, weight], **settings)
    repeated = streamed([BATCHES[0], BATCHES[1].repeat(weight, axis=0)], **settings)
    assert_same(weighed, repeated)
    assert weighed.lower_bound_ == pytest.approx(repeated.lower_bound_)
    assert np.abs(weighed.means_ - streamed(BATCHES[:2], **settings).means_).max() > 1e-3


def test_a_batch_of_weight_two_is_the_batch_twice():
    """Also the first, where k-means numbers the components differently."""
    settings = {"mean_prior": [5.0, 1000.0], "covariance_prior": np.diag([1.0, 900.0]), **FINITE}
    for batches, weights in [(BATCHES[:1], [np.full(150, 2.0)]), (BATCHES[:2], [None, np.full(150, 2.0)])]:
        twice = [b if w is None else np.concatenate([b, b]) for b, w in zip(batches, weights, strict=True)]
        one, other = streamed(batches, weights, **settings), streamed(twice, **settings)
        for name in NUMBERS:
            numbers = (np.sort(getattr(fitted, name), axis=0) for fitted in (one, other))
            np.testing.assert_allclose(*numbers, rtol=1e-4)


def test_priors_stay_those_of_the_first_batch():
    first, later = streamed(BATCHES[:1]), streamed([BATCHES[0], BATCHES[1] * 2 + 7])
    np.testing.assert_allclose(first.mean_prior_, BATCHES[0].mean(axis=0))
    np.testing.assert_array_equal(first.mean_prior_, later.mean_prior_)
    np.testing.assert_array_equal(first.covariance_prior_, later.covariance_prior_)


def test_a_batch_of_one_point_is_a_step():
    stream = streamed([BATCHES[0], BATCHES[1][:1]], learning_offset=0.0)
    assert stream.n_iter_ == 2
    assert (stream.mean_precision_ - 1).sum() == pytest.approx(151)


@pytest.mark.filterwarnings("ignore:The last of 3 sticks:bayesgmm.FitWarning")
@pytest.mark.parametrize("weights", WEIGHTS.values(), ids=WEIGHTS)
def test_every_conjugate_model_can_be_fitted_online(weights):
    for means in (bg.NormalMeans(), bg.ConjugateMeans()):
        stream = streamed(model=bg.MixtureModel(3, weights=weights, means=means))
        assert np.isfinite(stream.lower_bounds_).all()
        assert stream.weights_.sum() == pytest.approx(1)
        assert np.bincount(stream.predict(X)).max() < 0.6 * len(X)


# -- before and after --


def test_answers_come_after_one_batch():
    stream = streamed(BATCHES[:1])
    assert stream.predict_proba(X).shape == (600, 3)
    assert stream.sample(5)[0].shape == (5, 2)
    assert np.isfinite(stream.score(X))
    assert not stream.converged_
    assert stream.n_iter_ == 1
    loaded = pickle.loads(pickle.dumps(stream))
    assert_same(loaded.partial_fit(BATCHES[1]), stream.partial_fit(BATCHES[1]))


def test_a_stream_has_no_posterior_and_says_why():
    stream = streamed()
    assert not hasattr(stream, "posterior_")
    assert "posterior_" not in dir(stream)
    assert "BayesianGaussianMixture" in stream._repr_html_()
    assert stream._approximation.points.values.size == 0
    with pytest.raises(ForgottenData, match="partial_fit does not keep them"):
        stream.posterior_  # noqa: B018
    assert issubclass(ForgottenData, DataError)


def test_a_fit_after_a_stream_starts_anew():
    estimator = streamed().fit(X)
    assert_same(estimator, mixture().fit(X), 1e-12)
    assert estimator.converged_


def test_a_stream_after_a_fit_continues():
    estimator = mixture(**FINITE).fit(X)
    before = estimator.lower_bound_
    estimator.partial_fit(BATCHES[0])
    assert (estimator.mean_precision_ - 1).sum() == pytest.approx(750)
    assert estimator.n_iter_ == 2
    assert estimator.lower_bounds_[0] == before


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"method": "nuts"}, "method='nuts' can't learn from a part"),
        ({"total_samples": 0}, "total_samples=0: must be a positive number"),
        ({"learning_offset": -1}, "learning_offset=-1: must be a number, 0 or more"),
        ({"learning_decay": 0.5}, "learning_decay=0.5: must be more than 0.5"),
        ({"learning_decay": 1.1}, "learning_decay=1.1: must be more than 0.5"),
        ({"learning_decay": "slow"}, "learning_decay='slow': must be"),
        ({"n_components": 151}, "n_components=151 for n_samples = 150"),
        ({"model": bg.MixtureModel(3, covariances=bg.LKJCovariance())}, "method 'vb' can't take LKJCovariance"),
    ],
)
def test_models_that_cannot_be_fitted_online_are_refused(settings, message):
    with pytest.raises(DeclarationError if "n_components" not in settings else DataError, match=message):
        mixture(**settings).partial_fit(BATCHES[0])


def test_later_batches_have_the_same_features():
    with pytest.raises(ValueError, match="X has 1 features"):
        streamed([BATCHES[0], BATCHES[1][:, :1]])
