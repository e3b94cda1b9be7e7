"""Prior of volume, shape and orientation: density, draws, units, and what is refused."""

import math

import numpy as np
import pytest
from scipy import integrate, stats

import bayesgmm as bg
from bayesgmm.data.points import as_points
from bayesgmm.diagnosis import priors as sensitivity
from bayesgmm.errors import DeclarationError
from bayesgmm.families import rotations
from bayesgmm.families.structures import COVARIANCES
from bayesgmm.inference import em_steps
from bayesgmm.inference.mixtures import Mixture, closest_wishart
from bayesgmm.posterior.log_posterior import LogPosterior
from bayesgmm.priors.shapes import draw_shapes, log_constant
from tests.declarations import SDS, mean_priors, weight_priors
from tests.families.registry import CHARTED, DECOMPOSED

PRIORS = [bg.DecomposedCovariance(), *(bg.DecomposedCovariance(sd, 0.8) for sd in SDS)]


def made(name, d, k, covariances=None, means=None, weights=None, unit=1.0, n_points=40):
    rng = np.random.default_rng(10 * d + k)
    x = (rng.normal(size=(n_points, d)) @ rng.normal(size=(d, d)) + 10) * unit
    parts = {"covariances": covariances, "means": means, "weights": weights}
    model = bg.MixtureModel(k, name, **{part: prior for part, prior in parts.items() if prior is not None})
    density = LogPosterior.of(model, as_points(x))
    return density, x, rng.normal(scale=0.4, size=density.size)


def slopes(density, q, step=1e-5):
    return np.array([(density(q + e)[0] - density(q - e)[0]) / (2 * step) for e in step * np.eye(q.size)])


@pytest.mark.parametrize("covariances", [*PRIORS, bg.WishartPrecision(), bg.WishartPrecision(scale=bg.Gamma(0.7, 0.5))])
@pytest.mark.parametrize(("d", "k"), [(1, 2), (2, 3), (4, 2)])
@pytest.mark.parametrize("name", DECOMPOSED)
def test_the_gradient_is_the_slope(name, d, k, covariances):
    means, weights = mean_priors(d)[k % 3], weight_priors(k)[0]
    density, _, q = made(name, d, k, covariances, means, weights)
    np.testing.assert_allclose(density(q)[1], slopes(density, q), rtol=1e-6, atol=1e-4)
    assert density.value(q) == density(q)[0]


@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize("name", DECOMPOSED)
def test_the_density_is_that_of_its_formula(name, d):
    """Log-normal volumes, shapes by the eigenvalues of normal matrices or by normal numbers, uniform rotations."""
    k = 2
    density, _, q = made(name, d, k, bg.DecomposedCovariance(bg.LogNormal(0.3, 0.8), 0.6), bg.NormalMeans(0.0, 1.0))
    chart, standard = density.chart, density.standard
    v = q[density.roots]
    changed = v + np.linspace(-0.2, 0.3, v.size)

    def formula(v):
        log_sd = chart.axes(v, k, d).log_sd
        volumes, shapes, _ = chart.parts(k)
        centre = log_sd.mean(axis=1)
        unit = np.log(standard.scale).mean()
        total = stats.norm(0.3, 0.8).logpdf(centre[:volumes] + unit).sum()
        a = (log_sd - centre[:, None])[:shapes]
        total -= 0.5 * (a**2).sum() / 0.36
        if chart.ordered:
            rows, columns = np.triu_indices(d, 1)
            total += np.log(a[:, rows] - a[:, columns]).sum() + np.log(-np.diff(a, axis=1)).sum()
        turn = v[v.size - chart.parts(k)[2] * d * (d - 1) // 2 :].reshape(chart.parts(k)[2], d * (d - 1) // 2)
        constants = shapes * log_constant(0.6, d, chart.ordered) - chart.parts(k)[2] * rotations.log_volume(d)
        return total + rotations.log_uniform(turn, d).sum() + constants

    other = q.copy()
    other[density.roots] = changed
    found = density.log_prior(other) - density.log_prior(q)
    np.testing.assert_allclose(found, formula(changed) - formula(v), rtol=1e-9)
    weight, mean, _ = density.mixture(q)
    location, scale = (0.0 - standard.shift) / standard.scale, 1.0 / standard.scale
    rest = np.log(weight).sum() + math.lgamma(k) + stats.norm(location, scale).logpdf(mean).sum()
    np.testing.assert_allclose(density.log_prior(q), rest + formula(v), rtol=1e-9)


def test_densities_of_shapes_integrate_to_one():
    """Two axes, by their difference; three, by two differences."""
    two, _ = integrate.quad(lambda g: np.exp(log_constant(0.6, 2, ordered=True) - g**2 / 4 / 0.36) * g, 0, 20)
    np.testing.assert_allclose(two, 1, rtol=1e-8)

    def three(h, g):
        a = np.array([0, -g, -g - h])
        a -= a.mean()
        return np.exp(log_constant(0.6, 3, ordered=True) - (a**2).sum() / 2 / 0.36) * g * h * (g + h)

    np.testing.assert_allclose(integrate.dblquad(three, 0, 6, 0, 6)[0], 1, rtol=1e-6)
    normal, _ = integrate.quad(lambda c: np.exp(log_constant(0.6, 2, ordered=False) - c**2 / 2 / 0.36), -20, 20)
    np.testing.assert_allclose(normal, 1, rtol=1e-8)


def test_drawn_shapes_have_their_density():
    """Differences of two and of three axes. Kolmogorov-Smirnov: false alarm 1e-6 each, 3 tests."""
    rng = np.random.default_rng(0)
    difference = np.ptp(draw_shapes(rng, 0.6, (5000,), 2, ordered=True), axis=1)
    assert stats.kstest(difference, stats.rayleigh(scale=0.6 * np.sqrt(2)).cdf).pvalue > 1e-6
    contrast = draw_shapes(rng, 0.6, (5000,), 2, ordered=False) @ [np.sqrt(0.5), -np.sqrt(0.5)]
    assert stats.kstest(contrast, stats.norm(0, 0.6).cdf).pvalue > 1e-6
    ends = np.ptp(draw_shapes(rng, 0.6, (5000,), 3, ordered=True), axis=1)

    def of_ends(end):  # density of the largest minus the smallest
        def inner(g):
            a = np.array([0, -g, -end])
            return np.exp(log_constant(0.6, 3, ordered=True) - a.var() * 3 / 2 / 0.36) * g * (end - g) * end

        return integrate.quad(inner, 0, end)[0]

    grid = np.linspace(0, 8, 400)
    cumulative = integrate.cumulative_trapezoid([of_ends(end) for end in grid], grid, initial=0)
    assert stats.kstest(ends, lambda x: np.interp(x, grid, cumulative)).pvalue > 1e-6


@pytest.mark.parametrize("name", DECOMPOSED)
def test_draws_agree_with_the_density(name):
    """Under a density the mean of the slopes is 0, of volumes and shapes. Six standard errors: 2e-9 each, 9 slopes."""
    density, _, _ = made(name, 3, 2)
    model, chart = density.model, density.chart
    covariance, _ = model.covariances.draw(np.random.default_rng(1), model.family, (2000, 2, 3))
    core = covariance / np.outer(density.standard.scale, density.standard.scale)
    root = np.linalg.inv(np.linalg.cholesky(core))
    v = chart.coordinates(model.family.cores(root))
    straight = np.zeros((len(v), density.size))
    straight[:, density.roots] = v
    volumes, shapes, _ = chart.parts(2)
    size, first = volumes + 2 * shapes, density.roots.start
    found = []
    for one in straight:  # the slope of the prior alone
        e = 1e-4 * np.eye(density.size)[first : first + size]
        found.append([(density.log_prior(one + s) - density.log_prior(one - s)) / 2e-4 for s in e])
    slope = np.array(found)
    assert (abs(slope.mean(axis=0)) < 6 * slope.std(axis=0) / np.sqrt(len(slope))).all()


@pytest.mark.parametrize("name", DECOMPOSED)
def test_the_prior_does_not_depend_on_units(name):
    """Units of all columns together; and for VEI, EVI, VEE and EVV, of each column."""
    units = [1.0, 1000.0] if COVARIANCES[name].needs_common_scale else [np.ones(3), np.array([1.0, 1000.0, 0.01])]
    values = []
    for unit in units:
        density, _, _ = made(name, 3, 2, unit=unit)
        rng = np.random.default_rng(5)
        covariance, _ = density.model.covariances.draw(rng, density.model.family, (2, 2, 3))
        draws = [draw / np.outer(np.broadcast_to(unit, 3), np.broadcast_to(unit, 3)) for draw in covariance]
        values.append(draws)
    np.testing.assert_allclose(values[0], values[1], rtol=1e-8)


@pytest.mark.parametrize("name", DECOMPOSED)
def test_the_posterior_does_not_depend_on_units(name):
    units = [1.0, 1000.0] if COVARIANCES[name].needs_common_scale else [np.ones(3), np.array([1.0, 1000.0, 0.01])]
    values = []
    for unit in units:
        density, x, _ = made(name, 3, 2, unit=unit)
        own = np.random.default_rng(6).dirichlet([1.0, 1.0]), np.random.default_rng(7).normal(size=(2, 2, 3)), x
        weight, steps, x = own
        mean = x.mean(axis=0) + steps * x.std(axis=0)
        covariance, _ = density.model.covariances.draw(np.random.default_rng(5), density.model.family, (2, 2, 3))
        roots = [np.linalg.inv(np.linalg.cholesky(c / np.outer(*[density.standard.scale] * 2))) for c in covariance]
        placed = (mean - density.standard.shift) / density.standard.scale
        q = [density.coordinates(weight, m, density.model.family.cores(r)) for m, r in zip(placed, roots, strict=True)]
        values.append([density(one)[0] for one in q])
    np.testing.assert_allclose(np.diff(values[0]), np.diff(values[1]), rtol=1e-6)


@pytest.mark.parametrize("name", DECOMPOSED)
def test_map_under_a_wishart_prior_is_a_fixed_point_of_em(name):
    """Closed forms of Celeux & Govaert (1995) for scatter plus the prior's scale, as in Fraley & Raftery (2007)."""
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(size=(60, 3)) @ rng.normal(size=(3, 3)) + m for m in (0.0, 8.0)])
    model = bg.MixtureModel(2, name, means=bg.NormalMeans(5.0, 300.0), covariances=bg.WishartPrecision())
    fit = bg.fit(model, x, "map", seed=1, progress=False)
    density = LogPosterior.of(model, as_points(x))
    posterior = fit["posterior"]
    mean, scale = posterior["mean"].values[0, 0], density.standard.scale
    covariance = posterior["covariance"].values[0, 0] / np.outer(scale, scale)
    family = density.model.family
    found = Mixture(
        posterior["weight"].values[0, 0],
        (mean - density.standard.shift) / scale,
        family.roots(family.cores(covariance)),
    )
    prior = closest_wishart(density.model.covariances, density.standard, family)
    _, after = em_steps.Sweep(density.blocks, family, prior)(found)
    np.testing.assert_allclose(after.core_roots, found.core_roots, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(after.mean, found.mean, atol=1e-5)


def test_each_structure_has_its_own_default_prior():
    for name in DECOMPOSED:
        assert bg.MixtureModel(2, name).covariances == bg.DecomposedCovariance()
        assert (
            bg.MixtureModel(2, COVARIANCES[name].mclust, covariances=bg.WishartPrecision()).covariances.prior
            == "wishart"
        )
    for name in CHARTED:
        assert bg.MixtureModel(2, name).covariances == bg.WishartPrecision()


def test_priors_that_do_not_fit_a_structure_are_refused_by_name():
    x = np.random.default_rng(0).normal(size=(30, 2))
    with pytest.raises(DeclarationError, match="LKJCovariance has no restrictions.*covariance='VEV'"):
        bg.MixtureModel(2, "VEV", covariances=bg.LKJCovariance())
    with pytest.raises(DeclarationError, match="'full' covariances are not made of them"):
        bg.MixtureModel(2, covariances=bg.DecomposedCovariance())
    with pytest.raises(DeclarationError, match="depend on the units"):
        bg.fit(bg.MixtureModel(2, "VEV", covariances=bg.DecomposedCovariance(scale=(1.0, 2.0))), x, progress=False)
    wishart = bg.MixtureModel(2, "VEV", covariances=bg.WishartPrecision())
    for method in ("nuts", "advi"):
        with pytest.raises(DeclarationError, match="WishartPrecision of covariance='VEV'.*only the mode") as error:
            bg.fit(wishart, x, method, progress=False)
        assert "covariances=DecomposedCovariance()" in str(error.value)
        assert "'map'" in str(error.value)
    for call in (bg.build_model, bg.prior_predictive):
        with pytest.raises(DeclarationError, match="WishartPrecision of covariance='VEV' is not a distribution"):
            call(wishart, x)


@pytest.mark.filterwarnings("ignore::bayesgmm.errors.FitWarning")  # one short chain
@pytest.mark.parametrize("name", DECOMPOSED)
def test_the_prior_of_a_fit_can_be_scaled(name):
    """The prior density that the sensitivity check reads is that of the coordinates, without their volume."""
    x = np.random.default_rng(0).normal(size=(60, 2)) + 6.0 * (np.arange(60) % 2)[:, None]
    model = bg.MixtureModel(2, name, bg.Dirichlet(1.0), bg.NormalMeans(0.0, 5.0))
    fit = bg.fit(model, x, "nuts", draws=50, tune=200, chains=1, seed=1, progress=False)
    found = sensitivity.log_prior(fit).ravel()
    posterior = fit["posterior"]
    p = {key: values.values[0] for key, values in posterior.data_vars.items()}
    prior, family = LogPosterior.of(model, as_points(x)).model.covariances, COVARIANCES[name]
    chart = family.chart
    relative = p["covariance"] / np.outer(*[np.broadcast_to(prior.ratios(), 2)] * 2)
    log_sd = 0.5 * np.log(np.linalg.eigvalsh(relative))[..., ::-1]
    if family.form.block_size(2) == 1:
        log_sd = 0.5 * np.log(np.diagonal(relative, axis1=-2, axis2=-1))
    volumes, shapes, _ = chart.parts(2)
    centre, half = log_sd.mean(axis=-1), (log_sd[..., 0] - log_sd[..., 1]) / 2
    expected = (stats.norm(prior.sd.mu, prior.sd.sigma).logpdf(centre) - centre)[:, :volumes].sum(axis=1)
    expected -= (half**2 / prior.shape**2)[:, :shapes].sum(axis=1)
    if chart.ordered:
        expected += np.log(2 * half)[:, :shapes].sum(axis=1)
    expected += stats.norm(0.0, 5.0).logpdf(p["mean"]).sum(axis=(1, 2))
    np.testing.assert_allclose(found - found[0], expected - expected[0], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("n_columns", "interval"), [(2, (1.2, 5.6)), (4, (3.3, 15.0))])
def test_standard_deviations_along_the_axes_have_the_ratios_that_the_documentation_says(n_columns, interval):
    x = np.random.default_rng(0).normal(size=(60, n_columns))
    drawn = bg.prior_predictive(bg.MixtureModel(1, "EEV"), x, draws=20_000, seed=1)["prior"]["covariance"].values
    sd = np.sqrt(np.linalg.eigvalsh(drawn.reshape(-1, n_columns, n_columns)))
    np.testing.assert_allclose(np.quantile(sd[:, -1] / sd[:, 0], [0.05, 0.95]), interval, rtol=0.05)
