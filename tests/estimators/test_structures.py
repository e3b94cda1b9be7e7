"""Tied mixtures with several numbers of components, and the score that is the lowest density among them."""

import numpy as np
from scipy.stats import multivariate_normal
from sklearn.metrics import roc_auc_score

import bayesgmm as bg
from bayesgmm.data.points import as_points
from bayesgmm.estimators.structures import best_count, fit_structures, left_out_scores

RNG = np.random.default_rng(0)
CENTRES = np.array([[0.0, 0.0], [8.0, 0.0], [0.0, 8.0], [8.0, 8.0]])
X = CENTRES[RNG.integers(4, size=300)] + RNG.normal(size=(300, 2))


def test_the_score_is_the_lowest_density_of_the_mixtures():
    """Oracle: scipy."""
    mixtures = fit_structures(as_points(X))
    assert [(w > 0).sum() for w in mixtures.weight] == [1, 2, 4, 10, 20]
    density = [
        sum(w * multivariate_normal(m, c).pdf(X) for w, m in zip(weight, mean, strict=True) if w > 0)
        for weight, mean, c in zip(mixtures.weight, mixtures.mean, mixtures.covariance, strict=True)
    ]
    np.testing.assert_allclose(mixtures.lowest_log_density(X), np.log(np.min(density, axis=0)), rtol=1e-8)


def test_the_order_of_rows_does_not_matter_and_copies_are_weights():
    plain, reversed_ = fit_structures(as_points(X)), fit_structures(as_points(X[::-1]))
    np.testing.assert_array_equal(plain.mean, reversed_.mean)
    copied = fit_structures(as_points(np.concatenate([X[::-1], X])))
    weighed = fit_structures(as_points(X).weighed(np.full(300, 2.0)))
    np.testing.assert_allclose(weighed.mean, copied.mean)
    np.testing.assert_allclose(weighed.covariance, copied.covariance)


def test_the_lowest_bic_finds_the_number_of_groups():
    points = as_points(X)
    assert best_count(fit_structures(points), points) == 4


def test_points_have_lower_densities_under_mixtures_without_them():
    points = as_points(X[:60])
    assert left_out_scores(points).mean() < fit_structures(points).lowest_log_density(points.values).mean()


def test_anomalies_between_groups_and_in_groups_of_their_own_have_low_scores():
    """One Gaussian misses the first kind, ten components the second. False alarm: deterministic."""
    between, alike = np.full((6, 2), 4.0) + 0.3 * RNG.normal(size=(6, 2)), np.full((6, 2), 40.0)
    rows, wrong = np.concatenate([X, between, alike]), np.arange(312) >= 300
    auc = {k: roc_auc_score(wrong, -bg.AnomalyDetector(k).fit(rows).score_samples(rows)) for k in ("auto", 1)}
    assert auc["auto"] > 0.97
    assert auc[1] < 0.9


def test_p_values_of_new_points_are_uniform_enough_when_points_are_few():
    """Share of p-values of at most 0.1 among 400 new points. False alarm: 1e-3, at a rate of 0.1."""
    new = CENTRES[RNG.integers(4, size=400)] + RNG.normal(size=(400, 2))
    p_value = bg.AnomalyDetector(contamination="auto", alpha=0.1).fit(X[:80]).p_value(new)
    assert (p_value <= 0.1).mean() < 0.16
