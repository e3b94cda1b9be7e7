"""Charts of roots: coordinates, volume, slopes and information; compiled and not, over the registry."""

import numpy as np
import pytest

from bayesgmm.families.chart_kernels import pull_back, unpack_roots
from bayesgmm.families.structures import COVARIANCES
from bayesgmm.inference.mixtures import Mixture
from bayesgmm.sweep.blocks import Blocks
from bayesgmm.sweep.stats import Stats, fold
from tests.families.registry import CHARTED

K, D = 3, 2
FAMILIES = {name: COVARIANCES[name] for name in CHARTED}


def drawn(name, n_features=D, seed=0):
    family, rng = FAMILIES[name], np.random.default_rng(seed)
    return family, rng.normal(scale=0.3, size=family.chart.size(K, n_features)), rng


def differences(function, v, step=1e-6):
    return np.array([(function(v + e) - function(v - e)) / (2 * step) for e in step * np.eye(v.size)])


@pytest.mark.parametrize("name", FAMILIES)
def test_a_chart_has_as_many_coordinates_as_the_family_has_free_parameters(name):
    family, v, _ = drawn(name)
    assert v.size == family.size(K, D)
    roots = family.chart.core_roots(v, K, D)
    assert roots.shape == family.core_shape(K, D)
    np.testing.assert_allclose(family.chart.coordinates(roots), v, atol=1e-14)
    stacked = family.chart.core_roots(np.stack([v, v]), K, D)
    np.testing.assert_array_equal(stacked, np.stack([roots, roots]))


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("n_features", [1, 2, 4])
def test_compiled_code_unpacks_the_same_roots(name, n_features):
    family, v, _ = drawn(name, n_features)
    plan = family.chart.plan(K, n_features)
    expected = family.chart.core_roots(v, K, n_features)
    table = family.expand(expected, K, n_features)
    core, root, log_det = np.empty(plan["core_size"]), np.empty(table.size), np.empty(K)
    assert plan["coordinates_size"] == v.size
    unpack_roots(v, n_features, plan["chart"], plan["n_cores"], core, root, log_det)
    np.testing.assert_allclose(core, expected.ravel(), rtol=1e-15)
    np.testing.assert_allclose(root, table.ravel(), rtol=1e-15)
    covariance = family.matrices(expected, K, n_features)
    np.testing.assert_allclose(log_det, -0.5 * np.linalg.slogdet(covariance)[1], atol=1e-12)


def problem(name, seed=0):
    """Points, and a mixture as a function of its coordinates and means."""
    family, v, rng = drawn(name, seed=seed)
    blocks, mean = Blocks.from_rows(rng.normal(size=(50, D))), rng.normal(size=(K, D))

    def mixture(v, mean=mean):
        return Mixture(np.full(K, 1 / K), mean, family.chart.core_roots(v, K, D))

    return family, blocks, v, mean, mixture


@pytest.mark.parametrize("name", FAMILIES)
def test_compiled_gradients_are_slopes(name):
    family, blocks, v, mean, mixture = problem(name)
    plan, table = family.chart.plan(K, D), mixture(v).table(family)
    stats = fold(blocks, table)
    sums = np.concatenate([row_of(stats, k) for k in range(K)])
    n, grad_mean, grad_v = np.empty(K), np.zeros(K * D), np.zeros(v.size)
    pull_back(sums, table.root.reshape(-1), v, D, plan["chart"], plan["n_cores"], n, grad_mean, grad_v)
    np.testing.assert_array_equal(n, stats.n)
    np.testing.assert_allclose(
        grad_v, differences(lambda v: fold(blocks, mixture(v).table(family)).loglik, v), rtol=1e-6, atol=1e-6
    )
    slope = differences(lambda m: fold(blocks, mixture(v, m.reshape(K, D)).table(family)).loglik, mean.ravel())
    np.testing.assert_allclose(grad_mean, slope, rtol=1e-6, atol=1e-6)


def row_of(stats, k):
    """Statistics of one component as a sweep writes them: the count, then for each feature s1 and its row of s2."""
    s2 = stats.s2[k]
    rows = [[s2[j]] if s2.ndim == 1 else s2[j, : j + 1] for j in range(D)]
    return np.concatenate([[stats.n[k]], *([stats.s1[k, j], *rows[j]] for j in range(D))])


@pytest.mark.parametrize("name", FAMILIES)
def test_the_slope_of_a_change_is_that_of_the_likelihood(name):
    family, blocks, v, mean, mixture = problem(name)
    chart, base = family.chart, mixture(v).core_roots

    def changed(u):
        return Mixture(np.full(K, 1 / K), mean, chart.compose(chart.core_roots(u, K, D), base))

    u = np.random.default_rng(1).normal(scale=0.2, size=v.size)
    stats = fold(blocks, changed(u).table(family))
    slope = differences(lambda u: fold(blocks, changed(u).table(family)).loglik, u)
    np.testing.assert_allclose(chart.gradient(stats, changed(u).core_roots, base), slope, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", FAMILIES)
def test_information_is_the_variance_of_the_slope(name):
    """Of a change at none, by 2,000 times 6 points of known component. 6 standard errors: 2e-9 each, 170 entries."""
    family, v, rng = drawn(name)
    base = family.chart.core_roots(v, K, D)
    covariance, n = family.matrices(base, K, D), np.array([1.0, 2.0, 3.0])
    slopes = []
    for _ in range(2000):
        s1, s2 = np.zeros((K, D)), family.zero_moments(K, D)
        for k in range(K):
            x = rng.multivariate_normal(np.zeros(D), covariance[k], int(n[k]))
            s1[k], s2[k] = x.sum(axis=0), family.form.second_moments(x, np.ones(len(x)))
        slopes.append(family.chart.gradient(Stats(n, s1, s2, 0.0, np.zeros((K, D))), base, base))
    slopes = np.array(slopes)
    expected = np.diag(family.chart.information(n, D))
    products = slopes[:, :, None] * slopes[:, None, :]
    error = products.std(axis=0) / np.sqrt(len(slopes))
    assert (abs(products.mean(axis=0) - expected) < 6 * error).all()


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("n_features", [1, 2, 3])
def test_the_volume_is_the_determinant_of_the_jacobian(name, n_features):
    family, v, _ = drawn(name, n_features)
    chart, rows = family.chart, np.tril_indices(n_features)

    def cores(v):
        return family.form.covariance(chart.core_roots(v, K, n_features))

    def flat(v):
        core = cores(v)
        return (core[:, *rows] if core.ndim == 3 else core).ravel()

    places = v, v + np.linspace(-0.3, 0.5, v.size)
    found = chart.log_volume(np.stack(places), K, n_features)
    expected = [np.linalg.slogdet(differences(flat, v))[1] for v in places]
    np.testing.assert_allclose(np.diff(found), np.diff(expected), rtol=1e-6, atol=1e-6)
