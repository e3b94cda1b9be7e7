"""The factors of variational Bayes: draws, divergences and updates."""

import numpy as np
import pytest
from scipy.linalg import block_diag
from scipy.special import gammaln, log_softmax
from scipy.stats import beta, dirichlet, gamma, multivariate_normal

import bayesgmm as bg
from bayesgmm.data.points import as_points
from bayesgmm.inference import ascent_runs
from bayesgmm.inference.conjugate import Concentration, Layout, WeightsFactor
from bayesgmm.inference.weight_shares import weight_shares
from bayesgmm.posterior.log_posterior import LogPosterior
from bayesgmm.sweep.blocks import Blocks
from tests.ascents import FAMILIES, SAMPLE, every_component, every_declaration, make_ascent, start_of
from tests.declarations import SDS, weight_priors


@pytest.mark.parametrize("family", FAMILIES)
def test_precisions_are_pooled_over_what_shares_them(family):
    layout = Layout.of(bg.MixtureModel(3, family).family, 3, 2)
    each = np.arange(6.0).reshape(3, 2)[:, : layout.n_groups]
    assert layout.pool(each).shape == layout.own
    assert layout.pool(each).sum() == each.sum()


@every_declaration
def test_the_divergence_is_that_of_the_draws_from_the_prior_s_own_density(family, means, weights):
    """Native code against closed forms, and draws against their density. 5 standard errors: 6e-7 each, 56 of them."""
    ascent = make_ascent(family, means, weights, x=SAMPLE.X[:40])
    factors = ascent_runs.ascend(ascent, start_of(ascent), 5, 0.0).factors
    q, log_q = ascent.draw(np.random.default_rng(1), factors, 4000)
    gap = log_q - np.array([ascent.density.log_prior(row) for row in q])
    assert gap.mean() == pytest.approx(ascent.divergence(factors), abs=5 * gap.std() / np.sqrt(len(gap)))
    assert gap.std() < 20


@pytest.mark.parametrize("declared", weight_priors(4), ids=repr)
def test_every_prior_of_weights_is_made_of_its_shares(declared):
    """Against its own draws, at a concentration of 1.7 where it is learned. 5 standard errors: 6e-7, 4 each."""
    prior = declared.resolve(4, 9)
    alpha = np.full(4, 1.7) if prior.n_extra else prior.concentrations(4)
    shares = weight_shares(prior, 4)
    log_weight = np.log(prior.draw_given(np.random.default_rng(0), np.broadcast_to(alpha, (20_000, 4))))
    exact = WeightsFactor(shares, None).log_weight(shares.base + shares.slope * 1.7)
    assert (abs(log_weight.mean(axis=0) - exact) < 5 * log_weight.std(axis=0) / np.sqrt(20_000)).all()


@pytest.mark.parametrize(
    ("prior", "parameters"),
    [
        (bg.Dirichlet(1.0), np.array([[0.3, 1.5, 4.0]])),
        (bg.DirichletProcess(2.0), np.array([[0.4, 3.0], [2.0, 0.7]])),
    ],
    ids=["dirichlet", "sticks"],
)
def test_drawn_weights_are_those_of_their_shares(prior, parameters):
    """Weights, their logarithms, and the density of the logits. 5 standard errors: 6e-7 each, 12 of them."""
    factor = WeightsFactor.of(prior, 3)
    logits, log_q = factor.draw(np.random.default_rng(0), 20_000, parameters, np.empty(0))
    log_weight = log_softmax(np.column_stack([logits, np.zeros(len(logits))]), axis=1)
    share = np.log(parameters / parameters.sum(axis=1, keepdims=True))
    expected = np.exp(np.einsum("kmj,mj->k", factor.shares.path, share))
    for drawn, exact in ((np.exp(log_weight), expected), (log_weight, factor.log_weight(parameters))):
        assert (abs(drawn.mean(axis=0) - exact) < 5 * drawn.std(axis=0) / np.sqrt(len(drawn))).all()
    weight = np.exp(log_weight)
    if len(parameters) == 1:
        density = dirichlet(parameters[0]).logpdf(weight.T)
    else:
        left = 1 - weight[:, 0]
        density = beta(*parameters[0]).logpdf(weight[:, 0]) + beta(*parameters[1]).logpdf(weight[:, 1] / left)
        density -= np.log(left)
    middle = (weight.min(axis=1) > 1e-6) & (weight.max(axis=1) < 1 - 1e-6)  # scipy's own rounding elsewhere
    np.testing.assert_allclose(log_q[middle], (density + log_weight.sum(axis=1))[middle], atol=1e-6)
    assert middle.mean() > 0.5


@every_component
def test_drawn_means_have_the_returned_density(family, means):
    ascent = make_ascent(family, means)
    now, layout = start_of(ascent).components, ascent.layout
    root = now.precision.draw(np.random.default_rng(0), 5)[0]
    drawn, log_q = ascent.means.draw(np.random.default_rng(1), now, root)
    for s in range(5):
        own = layout.spread(np.swapaxes(root[s], -1, -2) @ root[s])
        precision = now.spread if now.spread.ndim > 1 else now.spread[:, None, None, None] * own
        covariance = [block_diag(*np.linalg.inv(blocks)) for blocks in precision]
        terms = [multivariate_normal(now.mean[k], covariance[k]).logpdf(drawn[s, k]) for k in range(3)]
        assert log_q[s] == pytest.approx(sum(terms), abs=1e-9)


def test_a_learned_concentration_of_a_process_is_a_gamma():
    """Blei & Jordan (2006): Gamma(a + K - 1, b - t) given the sticks. Draws by their quantiles: 5 binomial errors."""
    k, tilt = 8, -5.0
    prior = bg.DirichletProcess(bg.Gamma(2.0, 4.0))
    factor = Concentration.of(prior.concentration, weight_shares(prior, k))
    log_normaliser, mean = factor.solve(tilt)
    a, b = 2.0 + k - 1, 4.0 - tilt
    assert mean == pytest.approx(a / b, rel=1e-9)
    exact = 2 * np.log(4.0) - gammaln(2.0) + gammaln(a) - a * np.log(b)
    assert log_normaliser == pytest.approx(exact, abs=1e-9)
    drawn, log_q = factor.draw(np.random.default_rng(0), 20_000, tilt)
    reference = gamma(a, scale=1 / b)
    np.testing.assert_allclose(log_q, reference.logpdf(np.exp(drawn)) + drawn, atol=0.02)
    for p in (0.05, 0.5, 0.95):
        assert np.mean(np.exp(drawn) < reference.ppf(p)) == pytest.approx(p, abs=5 * np.sqrt(p * (1 - p) / 20_000))


@pytest.mark.parametrize("prior", [*SDS, bg.LogNormal(0.0, 1e-3), bg.LogNormal(0.0, 8.0)], ids=repr)
def test_the_grid_of_a_concentration_holds_its_prior(prior):
    """For narrow and wide priors: without data, the factor is the prior."""
    factor = Concentration.of(prior, weight_shares(bg.DirichletProcess(prior), 1))
    assert factor.solve(0.0)[0] == pytest.approx(0, abs=1e-8)
    drawn = factor.draw(np.random.default_rng(0), 20_000, 0.0)[0]
    for p in (0.05, 0.5, 0.95):
        below = np.mean(np.exp(drawn) < prior.quantile(p))
        assert below == pytest.approx(p, abs=5 * np.sqrt(p * (1 - p) / 20_000))


@every_declaration
def test_the_table_holds_expected_log_densities(family, means, weights):
    """Of points that lie anywhere, over draws. 5 standard errors: 6e-7 each, 12 points and components, 56 times."""
    ascent = make_ascent(family, means, weights, x=SAMPLE.X[:40])
    factors = ascent_runs.ascend(ascent, start_of(ascent), 5, 0.0).factors
    q = ascent.draw(np.random.default_rng(2), factors, 4000)[0]
    density = ascent.density
    weight, mean, core = density.mixture(q)
    root = density.model.family.expand(core, 3, 2)
    root = root[..., None] * np.eye(2) if root.ndim == 3 else root
    x = np.array([[0.0, 0.0], [1.0, -0.5], [-1.0, 2.0], [3.0, 3.0]])
    deviation = np.einsum("skij,sknj->skni", root, x - mean[:, :, None])
    log_det = np.log(np.diagonal(root, axis1=-2, axis2=-1)).sum(axis=-1)
    scores = (np.log(weight) + log_det)[..., None] - 0.5 * (deviation**2).sum(axis=-1) - np.log(2 * np.pi)
    table = ascent.table(factors)
    square = table.root if table.root.ndim == 3 else table.root[..., None] * np.eye(2)
    told = table.offset[:, None] - 0.5 * (np.einsum("kij,knj->kni", square, x - table.mean[:, None]) ** 2).sum(axis=-1)
    assert (abs(scores.mean(axis=0) - told) < 5 * scores.std(axis=0) / np.sqrt(len(q))).all()


@every_declaration
def test_factors_convert_to_unconstrained_numbers_and_back(family, means, weights):
    ascent = make_ascent(family, means, weights)
    factors = start_of(ascent)
    numbers = ascent.flatten(factors)
    assert numbers.ndim == 1
    again = ascent.unflatten(numbers)
    np.testing.assert_allclose(ascent.flatten(again), numbers, atol=1e-9)
    assert ascent.step(again)[0] == pytest.approx(ascent.step(factors)[0], abs=1e-8)
    anywhere = ascent.unflatten(np.random.default_rng(0).normal(size=numbers.size))
    assert np.isfinite(ascent.step(anywhere)[0])


def natural(factors, layout):
    """Natural parameters of all factors but the tilt, of a joint normal-Wishart or of the factors apart."""
    now = factors.components
    grouped = layout.vectors(now.mean)
    if now.spread.ndim == 1:
        pull = now.spread[:, None] * now.mean
        own = now.spread[:, None, None, None] * grouped[..., :, None] * grouped[..., None, :]
        return [factors.shares, now.spread, pull, now.precision.dof, now.precision.scale + layout.pool(own)]
    return [factors.shares, now.spread, (now.spread @ grouped[..., None])[..., 0], now.precision.dof]


@every_component
@pytest.mark.parametrize("weights", ["dirichlet", "process"])
def test_a_step_is_one_in_the_natural_parameters(family, means, weights):
    ascent = make_ascent(family, means, weights)
    factors = start_of(ascent)
    stats = ascent.fold(factors)
    part, whole = (natural(ascent.update(factors, stats, rate), ascent.layout) for rate in (0.3, 1.0))
    for before, after, best in zip(natural(factors, ascent.layout), part, whole, strict=True):
        np.testing.assert_allclose(after, 0.7 * before + 0.3 * best, rtol=1e-8)


def test_a_batch_stands_for_all_points():
    """Its weights sum to N, and each block occurs once per pass."""
    from bayesgmm.inference.minibatches import one_pass

    blocks = Blocks.from_rows(np.arange(64 * 32.0)[:, None])
    passed = list(one_pass(blocks, 200, np.random.default_rng(0)))
    assert [batch.total_weight for batch in passed] == pytest.approx([64 * 32.0] * len(passed))
    assert sorted(np.concatenate([batch.rows().ravel() for batch in passed])) == list(range(64 * 32))
    assert len(passed) == 10
    assert not np.array_equal(passed[0].rows().ravel(), np.arange(224))


def test_a_sample_stands_for_all_points():
    """For the starts of minibatches, and for the comparison of two results."""
    from bayesgmm.inference.minibatches import subsample

    x = np.random.default_rng(0).normal(size=(40 * 32, 1))
    part = subsample(LogPosterior.of(bg.MixtureModel(2), as_points(x)), 300, 0).blocks
    assert (part.n_blocks, part.total_weight) == (10, pytest.approx(40 * 32))


def test_degrees_of_freedom_at_their_limit_are_rejected():
    """An extrapolation may lead there: it is then rejected, and the fit continues."""
    ascent = make_ascent()
    numbers = ascent.flatten(start_of(ascent))
    assert ascent.unflatten(numbers).components.precision.dof.min() > 1
    with pytest.raises(FloatingPointError, match="no valid factors"):
        ascent.unflatten(numbers - 1e4)
