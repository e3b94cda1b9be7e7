"""The log posterior, compared with a direct implementation by SciPy, and its gradient with finite differences."""

import itertools
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import dirichlet, gamma, multivariate_normal, norm, wishart

import bayesgmm as bg
from bayesgmm.data.points import as_points
from bayesgmm.data.standards import Standard
from bayesgmm.families.structures import COVARIANCES
from bayesgmm.posterior import native
from bayesgmm.posterior.log_posterior import LogPosterior
from bayesgmm.priors.covariances import COVARIANCE_PRIORS
from bayesgmm.priors.means import MEANS
from bayesgmm.priors.scalars import SCALARS
from tests.declarations import (
    FIXED,
    SDS,
    covariance_priors,
    decomposed_priors,
    factor_priors,
    mean_priors,
    weight_priors,
)
from tests.families.registry import CHARTED


def make(family, n_features, n_components, weights=None, means=None, covariances=None, n_points=40):
    rng = np.random.default_rng(n_features * 10 + n_components)
    x = rng.normal(size=(n_points, n_features)) * (1 + np.arange(n_features)) + 10
    points = as_points(x)
    model = bg.MixtureModel(
        n_components,
        family,
        weights or weight_priors(n_components)[0],
        means or mean_priors(n_features)[0],
        covariances or covariance_priors(n_features)[0],
    ).resolve(points)
    standard = Standard.of(points, model.family.needs_common_scale)
    density = LogPosterior(model, standard.blocks(x), standard)
    return density, x, rng.normal(scale=0.4, size=density.size)


@pytest.mark.parametrize(("family", "needed"), [("full", False), ("diag", False), ("VVE", True), ("factors:1", True)])
def test_code_of_coordinates_that_few_families_have_is_in_their_plans_alone(family, needed):
    """Asking for its address compiles it."""
    x = np.random.default_rng(0).normal(size=(40, 4))
    plan = LogPosterior.of(bg.MixtureModel(2, family), as_points(x)).plan
    assert [plan[native.Plan.UNPACK] != 0, plan[native.Plan.PULL_BACK] != 0] == [needed, needed]


def test_every_prior_is_tested():
    for registry, declared in [
        (FIXED, weight_priors(2)),
        (MEANS, mean_priors(1)),
        (COVARIANCE_PRIORS, [*covariance_priors(2), *decomposed_priors(), *factor_priors()]),
        (SCALARS, SDS),
    ]:
        assert {type(prior) for prior in declared} == set(registry.values())
        assert {prior.prior for prior in declared} == set(registry)


def combinations(d, k):
    return itertools.product(weight_priors(k), mean_priors(d), covariance_priors(d))


SIZES = {(1, 1), (1, 2), (2, 4), (3, 1), (4, 3)}  # each number of columns and of components


@pytest.mark.parametrize("family", CHARTED)
@pytest.mark.parametrize("d", range(1, 5))
@pytest.mark.parametrize("k", range(1, 5))
def test_gradient_is_the_slope_under_every_combination_of_priors(family, d, k, request):
    if (d, k) not in SIZES and not request.config.getoption("--every-combination"):
        pytest.skip("run with --every-combination")
    for priors in combinations(d, k):
        density, _, q = make(family, d, k, *priors)
        _, grad = density(q)
        slopes = [(density(q + e)[0] - density(q - e)[0]) / 2e-5 for e in 1e-5 * np.eye(q.size)]
        np.testing.assert_allclose(grad, slopes, rtol=1e-6, atol=1e-5, err_msg=str(priors))


def test_threads_that_ask_at_once_share_one_plan(monkeypatch):
    density, _, _ = make("full", 2, 2)
    params = type(density.model.weights).params

    def slow(self, n_components):
        time.sleep(0.05)  # long enough for the other threads to ask
        return params(self, n_components)

    monkeypatch.setattr(type(density.model.weights), "params", slow)
    with ThreadPoolExecutor(4) as pool:
        plans = list(pool.map(lambda _: density.plan, range(4)))
    assert all(plan is plans[0] for plan in plans)


@pytest.mark.parametrize("background", [None, bg.Background()])
@pytest.mark.parametrize("family", CHARTED)
def test_the_value_alone_is_the_value_to_the_last_bit(family, background):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20_000, 2)) + 5 * rng.integers(2, size=(20_000, 1))  # several chunks
    density = LogPosterior.of(bg.MixtureModel(2, family, background=background), as_points(x))
    q = 0.3 * rng.normal(size=density.size)
    assert density.value(q) == density(q)[0]


@pytest.mark.parametrize("family", CHARTED)
@pytest.mark.parametrize("d", [5, 6])
def test_gradient_is_the_slope_in_more_dimensions(family, d):
    for priors in combinations(d, 5):
        density, _, q = make(family, d, 5, *priors)
        step = np.random.default_rng(0).normal(scale=1e-5, size=q.size)
        slope = density(q + step)[0] - density(q - step)[0]
        np.testing.assert_allclose(2 * density(q)[1] @ step, slope, rtol=1e-5, atol=1e-9, err_msg=str(priors))


def slope_of_covariances(density, q, family):
    """log |d covariances / d v| of the core covariances, standardised, by differences."""
    k, d = density.n_components, density.n_features
    a = density.size - family.size(k, d)

    def flat(v):
        core = family.chart.core_roots(v, k, d)
        if core.ndim == 2:
            return (core**-2.0).ravel()
        rows, columns = np.tril_indices(d)
        return np.concatenate([np.linalg.inv(r.T @ r)[rows, columns] for r in core])

    v = q[a:]
    jacobian = np.array([(flat(v + e) - flat(v - e)) / 2e-6 for e in 1e-6 * np.eye(v.size)])
    return np.linalg.slogdet(jacobian)[1]


def log_inverse_wishart(core, dof, scale):
    """Density of covariances in core shape, from the density of their precisions."""
    total = 0.0
    for c in core:
        if core.ndim == 3:
            d = len(c)
            precision = np.linalg.inv(c)
            total += wishart(dof, np.linalg.inv(scale)).logpdf(precision) + (d + 1) * np.linalg.slogdet(precision)[1]
        else:
            rate = np.broadcast_to(scale / 2, c.shape)
            total += (gamma(dof / 2, scale=1 / rate).logpdf(1 / c) - 2 * np.log(c)).sum()
    return total


@pytest.mark.parametrize("family", CHARTED)
@pytest.mark.parametrize("d", range(1, 7))
@pytest.mark.parametrize("k", range(1, 6))
def test_density_is_what_scipy_says(family, d, k):
    density, x, q = make(family, d, k)
    model, standard, kind = density.model, density.standard, COVARIANCES[family]
    p = density.parameters(q)
    scores = [
        np.log(w) + multivariate_normal(m, c).logpdf(x) for w, m, c in zip(p.weight, p.mean, p.covariance, strict=True)
    ]
    loglik = logsumexp(scores, axis=0).sum()
    alpha = model.weights.concentrations(k)
    log_weights = dirichlet(alpha).logpdf(p.weight) + np.log(p.weight).sum() if k > 1 else 0.0
    z = (p.mean - standard.shift) / standard.scale
    location = (np.asarray(model.means.location) - standard.shift) / standard.scale
    log_means = norm(location, np.asarray(model.means.scale) / standard.scale).logpdf(z).sum()
    core_roots = kind.chart.core_roots(q[-kind.size(k, d) :], k, d)
    core = core_roots**-2.0 if core_roots.ndim == 2 else np.stack([np.linalg.inv(r.T @ r) for r in core_roots])
    scale = model.covariances.core_scale(standard)
    log_covariances = log_inverse_wishart(core, model.covariances.dof, scale) + slope_of_covariances(density, q, kind)
    value, _ = density(q)
    np.testing.assert_allclose(value, loglik + log_weights + log_means + log_covariances, rtol=1e-6)
    np.testing.assert_allclose(value - density.log_prior(q), loglik, rtol=1e-10)


@pytest.mark.parametrize("family", CHARTED)
def test_coordinates_and_parameters_agree(family):
    density, _, q = make(family, 2, 3)
    k, d, kind = 3, 2, COVARIANCES[family]
    p, standard = density.parameters(q), density.standard
    core = kind.chart.core_roots(q[-kind.size(k, d) :], k, d)
    np.testing.assert_allclose(
        density.coordinates(p.weight, (p.mean - standard.shift) / standard.scale, core), q, atol=1e-12
    )
    assert np.isclose(p.weight.sum(), 1)


@pytest.mark.parametrize("family", CHARTED)
def test_units_do_not_matter(family):
    """A change of units shifts the density by a constant, and moves nothing else."""
    x = np.random.default_rng(3).normal(size=(50, 2)) @ [[1, 0.5], [0, 1]]
    values = []
    for unit in (1.0, 1024.0):
        points = as_points(x * unit)
        model = bg.MixtureModel(2, family).resolve(points)
        standard = Standard.of(points, model.family.needs_common_scale)
        density = LogPosterior(model, standard.blocks(points.values), standard)
        qs = np.random.default_rng(4).normal(size=(2, density.size))
        values.append([density(q) for q in qs])
    (one, grad), (two, _) = values[0]
    (one_, grad_), (two_, _) = values[1]
    np.testing.assert_allclose(one - two, one_ - two_, rtol=1e-9)
    np.testing.assert_allclose(grad, grad_, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("family", CHARTED)
def test_a_wishart_draw_has_the_declared_mean(family):
    """Mean of 4,000 draws of the first variance within 6 standard errors: false alarm 2e-9."""
    points = as_points(np.random.default_rng(0).normal(size=(50, 2)))
    model = bg.MixtureModel(2, family, covariances=bg.WishartPrecision(9.0, [[2.0, 0.5], [0.5, 1.0]])).resolve(points)
    rng = np.random.default_rng(1)
    draws = model.covariances.draw(rng, model.family, (4000, 2, 2))[0][:, 0, 0, 0]
    scale = np.atleast_1d(np.asarray(model.covariances.scale)).ravel()[0]
    wanted = scale / (9 - model.family.form.block_size(2) - 1)
    assert abs(draws.mean() - wanted) < 6 * draws.std() / np.sqrt(4000)
