"""Tied mixtures with several numbers of components, and the score that is the lowest density among them."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal
from sklearn.metrics import roc_auc_score

import bayesgmm as bg
from bayesgmm.data.points import as_points
from bayesgmm.estimators.structures import best_count, fit_structures, left_out_scores
from bayesgmm.predictions.tied_mixtures import TiedMixtures

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


def test_a_point_is_left_out_of_one_gaussian_exactly():
    """Oracle: mean and covariance of the others."""
    x = RNG.normal(size=(30, 3)) @ RNG.normal(size=(3, 3)) + 5
    mixtures = TiedMixtures(np.ones((1, 1)), x.mean(axis=0)[None, None], np.cov(x.T, bias=True)[None])
    others = [np.delete(x, i, axis=0) for i in range(30)]
    without = [multivariate_normal(y.mean(axis=0), np.cov(y.T, bias=True)) for y in others]
    expected = [one.logpdf(row) for one, row in zip(without, x, strict=True)]
    np.testing.assert_allclose(mixtures.left_out_log_density(x, np.ones(30), 30)[0], expected)


def test_a_point_is_left_out_of_clear_groups_and_does_not_keep_a_component_of_its_own():
    """Oracle: the groups' means and the common covariance of the others; a lone point is improbable without itself."""
    x = np.concatenate([X, [[90.0, 90.0]]])
    group = np.append(((X[:, None] - CENTRES) ** 2).sum(axis=2).argmin(axis=1), 4)
    weight, mean, covariance = one_step(x, group, 5)
    found = TiedMixtures(weight[None], mean[None], covariance[None]).left_out_log_density(x, np.ones(301), 301)[0]
    for row in (0, 7, 300):
        w, m, c = one_step(np.delete(x, row, axis=0), np.delete(group, row), 5)
        parts = [np.log(w[k]) + multivariate_normal(m[k], c).logpdf(x[row]) for k in range(5) if w[k] > 0]
        assert found[row] == pytest.approx(np.logaddexp.reduce(parts), rel=1e-6)
    assert found[300] < -1000


def one_step(x, group, count):
    held = np.bincount(group, minlength=count)
    mean = np.stack([x[group == k].mean(axis=0) if held[k] else np.zeros(2) for k in range(count)])
    rest = x - mean[group]
    return held / len(x), mean, rest.T @ rest / len(x)


def test_mixtures_with_too_many_components_for_the_points_are_not_used():
    """60 points of one Gaussian in four columns; the four groups need four. False alarm: deterministic."""
    assert max(fit_structures(as_points(np.random.default_rng(1).normal(size=(60, 4)))).counts) <= 2
    assert {1, 4} <= set(fit_structures(as_points(X[:60])).counts)


def test_each_component_has_as_many_points_as_columns():
    x = np.random.default_rng(2).normal(size=(100, 15))
    assert max(fit_structures(as_points(x)).counts) <= 5


@pytest.mark.parametrize("constant", [0.0, 3e5, 1e12])
@pytest.mark.parametrize("n_components", ["auto", 1])
def test_a_constant_column_does_not_matter_however_far_from_zero(constant, n_components):
    beside = np.column_stack([X, np.full(300, constant)])
    found, plain = bg.AnomalyDetector(n_components).fit(beside).predict(beside), bg.AnomalyDetector(n_components).fit(X)
    assert (found == plain.predict(X)).mean() > 0.9  # the prior of all covariances depends on the number of columns


def test_points_have_lower_densities_under_mixtures_without_them():
    points = as_points(X[:60])
    assert left_out_scores(points, [1, 2, 4]).mean() < fit_structures(points).lowest_log_density(points.values).mean()


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
