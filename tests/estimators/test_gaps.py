"""Estimators of scikit-learn's interface use rows with missing values: what is observed of each."""

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import kstest, multivariate_normal
from sklearn.utils import get_tags

import bayesgmm as bg
from bayesgmm.data.points import as_points
from bayesgmm.datasets import make_mixture
from bayesgmm.estimators.structures import fit_structures
from bayesgmm.families.structures import COVARIANCES

SAMPLE = make_mixture(n_points=300, n_features=3, n_components=2, overlap=0.01, seed=3)
HOLED = np.where(np.random.default_rng(0).random(SAMPLE.X.shape) < 0.15, np.nan, SAMPLE.X * [1.0, 10.0, 0.1])


def log_density(x: np.ndarray, weight: np.ndarray, mean: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """Log densities of what is observed, by scipy."""
    out = np.zeros(len(x))
    for i, row in enumerate(x):
        seen = ~np.isnan(row)
        parts = [
            multivariate_normal(m[seen], c[np.ix_(seen, seen)]).logpdf(row[seen]) if seen.any() else 0.0
            for m, c in zip(mean, covariance, strict=True)
        ]
        out[i] = logsumexp(np.log(weight) + parts)
    return out


@pytest.mark.parametrize("covariance_type", COVARIANCES)
def test_the_bound_is_the_mean_log_density_of_what_is_observed(covariance_type: str) -> None:
    mixture = bg.GaussianMixture(2, covariance_type=covariance_type, tol=1e-8, max_iter=500, random_state=0).fit(HOLED)
    p = mixture.posterior_["posterior"].isel(chain=0, draw=0)
    right = log_density(HOLED, p["weight"].values, p["mean"].values, p["covariance"].values)
    np.testing.assert_allclose(mixture.score_samples(HOLED), right, rtol=1e-8)
    assert mixture.score(HOLED) == pytest.approx(right.mean(), rel=1e-10)
    assert mixture.lower_bound_ == pytest.approx(right.mean(), abs=1e-6)
    best = bg.fit(bg.MixtureModel(2, covariance_type), HOLED, "em", seed=0, progress=False)
    assert float(best["sample_stats"]["loglik"].item()) == pytest.approx(right.sum(), abs=0.5)


@pytest.mark.parametrize("init_params", ["kmeans", "k-means++", "random", "random_from_data"])
def test_every_start_finds_the_groups(init_params: str) -> None:
    mixture = bg.GaussianMixture(2, init_params=init_params, n_init=5, random_state=1).fit(HOLED)
    label = mixture.predict(HOLED)
    assert max((label == SAMPLE.label).mean(), (label != SAMPLE.label).mean()) > 0.95


@pytest.mark.parametrize("method", ["vb", "em", "gibbs"])
def test_bayesian_mixtures_agree_with_fit(method: str) -> None:
    settings = {"draws": 200, "tune": 100, "max_draws": 200} if method == "gibbs" else None
    weights = "dirichlet_distribution"
    mixture = bg.BayesianGaussianMixture(
        2, weight_concentration_prior_type=weights, method=method, settings=settings, random_state=0
    ).fit(HOLED)
    mean = np.sort(mixture.means_, axis=0) / [1.0, 10.0, 0.1]
    np.testing.assert_allclose(mean, np.sort(SAMPLE.mean, axis=0), atol=0.4)
    assert np.isfinite(mixture.score_samples(HOLED)).all()
    assert mixture.predict_proba(HOLED).shape == (300, 2)


def test_a_class_is_found_from_what_was_measured() -> None:
    classifier = bg.MixtureClassifier(n_components=1).fit(HOLED, SAMPLE.label)
    assert classifier.score(HOLED, SAMPLE.label) > 0.9
    nothing = classifier.predict_proba(np.full((1, 3), np.nan))
    np.testing.assert_allclose(nothing[0], np.bincount(SAMPLE.label) / 300, rtol=1e-6)


def test_a_column_without_values_is_named() -> None:
    empty = HOLED.copy()
    empty[:, 1] = np.nan
    for estimator in (bg.GaussianMixture(2), bg.BayesianGaussianMixture(2)):
        with pytest.raises(ValueError, match="1 column has no values: 'x1'\n  Fit the other columns"):
            estimator.fit(empty)
    of_one_class = np.where((SAMPLE.label == 1)[:, None] & (np.arange(3) == 2), np.nan, HOLED)
    with pytest.raises(ValueError, match="1 column has no values in class .*1.*: 'x2'"):
        bg.MixtureClassifier().fit(of_one_class, SAMPLE.label)


def test_tags_say_so_and_infinite_values_are_refused() -> None:
    for estimator in (bg.GaussianMixture(), bg.BayesianGaussianMixture(), bg.MixtureClassifier(), bg.AnomalyDetector()):
        assert get_tags(estimator).input_tags.allow_nan
    wrong = HOLED.copy()
    wrong[5, 1] = np.inf
    with pytest.raises(ValueError, match="NaN or infinity: .* row 5, column 'x1'"):
        bg.GaussianMixture(2).fit(wrong)


@pytest.mark.parametrize("n_components", ["auto", 2])
def test_gaps_alone_make_no_anomaly_and_do_not_hide_one(n_components: int | str) -> None:
    """P-values of new rows with gaps are uniform; Kolmogorov-Smirnov, false alarm 1e-4."""
    truth = make_mixture(n_points=1500, n_features=3, n_components=2, overlap=0.05, seed=5)
    holed = np.where(np.random.default_rng(2).random(truth.X.shape) < 0.2, np.nan, truth.X)
    detector = bg.AnomalyDetector(n_components, contamination="auto", random_state=0).fit(holed[:1000])
    new = holed[1000:]
    gaps = np.isnan(new).any(axis=1) & ~np.isnan(new).all(axis=1)
    assert kstest(detector.p_value(new[gaps]), "uniform").pvalue > 1e-4
    far = [[60.0, np.nan, 0.0], [np.nan, np.nan, -60.0], [np.nan, np.nan, np.nan]]
    assert detector.predict(far).tolist() == [-1, -1, 1]
    share = bg.AnomalyDetector(n_components, contamination=0.1, random_state=0).fit(holed).predict(holed) < 0
    assert share.mean() == pytest.approx(0.1, abs=0.001)
    assert 0.05 < share[np.isnan(holed).any(axis=1)].mean() < 0.15


def test_the_lowest_density_of_what_is_observed_is_scipy_s() -> None:
    mixtures = fit_structures(as_points(HOLED, gaps=True), counts=[1, 2])
    each = [
        log_density(
            HOLED, weight[weight > 0], mean[weight > 0], np.repeat(covariance[None], (weight > 0).sum(), axis=0)
        )
        for weight, mean, covariance in zip(mixtures.weight, mixtures.mean, mixtures.covariance, strict=True)
    ]
    np.testing.assert_allclose(mixtures.lowest_log_density(HOLED), np.min(each, axis=0), rtol=1e-8)


def test_the_order_of_rows_with_gaps_changes_nothing() -> None:
    order = np.random.default_rng(0).permutation(len(HOLED))
    one, other = (fit_structures(as_points(x, gaps=True), counts=[2]) for x in (HOLED, HOLED[order]))
    np.testing.assert_array_equal(one.mean, other.mean)
