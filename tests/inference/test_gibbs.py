"""Blocked Gibbs sampling: its conditional distributions, its random numbers, and the posterior that it draws from."""

import math
import warnings
from dataclasses import replace
from types import SimpleNamespace

import numba as nb
import numpy as np
import pytest
from scipy import stats
from scipy.special import gammaln

import bayesgmm as bg
from bayesgmm.data.points import as_points
from bayesgmm.engines import ENGINES
from bayesgmm.errors import DataError, DeclarationError, FitWarning
from bayesgmm.inference import conjugate_sweeps, draw_kernels, gibbs_kernels, gibbs_state_kernels, mean_orders
from bayesgmm.inference import gibbs_chains as gibbs
from bayesgmm.inference.conditionals import law_of, without_conditionals
from bayesgmm.inference.draw_kernels import DIRICHLET, STICKS, log_concentration_density, log_gamma, normal
from bayesgmm.inference.engine import Silent
from bayesgmm.inference.gibbs_kernels import gibbs_sweeps
from bayesgmm.inference.gibbs_move_kernels import split_merge_sweeps
from bayesgmm.inference.gibbs_state_kernels import Schedule
from bayesgmm.posterior.log_posterior import LogPosterior
from bayesgmm.sweep import random_numbers, simd
from bayesgmm.sweep.stats import responsibilities
from tests.declarations import covariance_priors, mean_priors, weight_priors

KEYS = np.random.SeedSequence(7).generate_state(2).astype(np.int64)


def declarations():
    """Every conjugate prior with every other kind, in each family; the weights take turns."""
    turn = 0
    for family in ("full", "tied", "diag", "spherical"):
        for d in (1, 2):
            chosen = mean_priors(d) if d == 2 or family == "full" else mean_priors(d)[3:]
            for means in chosen:
                for covariances in covariance_priors(d)[:2]:
                    if family == "spherical" and np.ndim(covariances.scale) == 2:
                        covariances = bg.WishartPrecision(2.5, 1.3)  # one dimension
                    for _ in range(1 + (d == 2 and family in ("full", "diag"))):
                        weights = weight_priors(3)[turn % 6]
                        turn += 1
                        if means.is_ordered and turn % 2:
                            weights = bg.Dirichlet(bg.Gamma(2.0, 4.0))
                        model = bg.MixtureModel(3, family, weights, means, covariances)
                        if turn % 5 == 0:
                            model = model.model_copy(update={"background": bg.Background(share=0.1)})
                        if not without_conditionals(model):
                            yield d, model


DECLARATIONS = list(declarations())


def test_every_conjugate_prior_is_declared():
    """In every family: each prior of the means and of the precisions, and all of the weights."""
    for family in ("full", "tied", "diag", "spherical"):
        own = [model for _, model in DECLARATIONS if model.covariance == family]
        assert {type(model.means) for model in own} == {bg.NormalMeans, bg.ConjugateMeans, bg.HierarchicalMeans}
        assert {model.weights for model in own} == set(weight_priors(3))
        assert len({model.covariances for model in own}) > 1
    assert any(model.background for _, model in DECLARATIONS)


class Prior:
    """Draws of mixtures and points from the joint distribution of a declaration, as coordinates of its posterior."""

    def __init__(self, model, d, n_points, seed):
        self.rng = np.random.default_rng(seed)
        x = as_points(np.random.default_rng(3).normal(size=(50, d)) * 3)
        self.model, self.d, self.n_points = model.resolve(x), d, n_points
        whole = LogPosterior.of(self.model, x)
        self.standard, self.background = whole.standard, whole.blocks.background
        means = self.model.means
        if means.is_ordered:
            self.model = self.model.model_copy(update={"means": means.model_copy(update={"ordered": False})})

    def density(self, x, weight=None):
        blocks = self.standard.blocks(x, weight)
        return LogPosterior(self.model, replace(blocks, background=self.background), self.standard)

    def draw(self):
        """Return a density whose points were drawn from the mixture at the coordinates, and these."""
        model, k, d, rng = self.model, self.model.n_components, self.d, self.rng
        weight, w = model.weights.draw(rng, k, 1)
        covariance, c = model.covariances.draw(rng, model.family, (1, k, d))
        mean, m = model.means.draw(rng, k, 1, covariance)
        parts = [weight, mean, covariance]
        if model.background is not None:
            parts = model.background.append_to(*parts)
        cumulated = parts[0][0].cumsum()
        label = np.searchsorted(cumulated, rng.uniform(size=self.n_points) * cumulated[-1])
        chol = np.linalg.cholesky(parts[2][0])
        x = parts[1][0][label] + np.einsum("nij,nj->ni", chol[label], rng.normal(size=(self.n_points, d)))
        density, scale = self.density(x), self.standard.scale
        covariance = model.family.cores(covariance[0] / np.outer(scale, scale))
        tiny = np.maximum(weight[0], 1e-300)
        order = model.order(weight[0], mean[0])
        plain = self._unsorted(density, tiny, (mean[0] - self.standard.shift) / scale, covariance)
        assert order.size == k
        for name, values in (("weights", w), ("means", m), ("covariances", c)):
            plain[density.extra(name)] = self._extra(name, values)
        return density, plain

    @staticmethod
    def _unsorted(density, weight, mean, covariance):
        """Coordinates without the order in which a prior expects components."""
        roots = density.model.family.roots(covariance, 1e-300, 0.0)
        log_weight = np.log(weight)
        q = density.coordinates(weight, mean, roots)
        k = weight.size
        q[: k - 1] = log_weight[:-1] - log_weight[-1]
        at = k - 1 + density.model.weights.n_extra
        q[at : at + mean.size] = mean.reshape(-1)
        at += mean.size + density.model.means.n_extra
        own = density.chart.coordinates(roots)
        q[at : at + own.size] = own
        return q

    def _extra(self, name, values):
        scale, shift = self.standard.scale, self.standard.shift
        if name == "weights":
            return [math.log(v[0]) for v in values.values()]
        if name == "means" and values:
            centre, spread = values["mean_centre"][0], values["mean_spread"][0]
            return np.concatenate([(centre - shift) / scale, np.log(spread / scale)])
        if name == "covariances" and values:
            g = np.atleast_1d(values["covariance_scale"][0])
            return np.log(g / scale[: g.size] ** 2)
        return []


def sweeps(density, q, count, chain=0, single=True, moves=True):
    """Coordinates after some sweeps from q, and the log likelihood at q."""
    now, drawn, loglik = q.copy(), np.empty((1, q.size)), np.empty(1)
    names = np.array([chain, *KEYS])
    period = conjugate_sweeps.split_merge_period(density) if moves else 0
    make = split_merge_sweeps if period else gibbs_sweeps
    make(density.blocks.native, law_of(density), Schedule(0, 1, single, period), names, now, 0, count, drawn, loglik)
    return now, loglik[0]


@pytest.mark.parametrize(
    ("d", "model"), DECLARATIONS, ids=[f"{d}-{m.covariance}-{i}" for i, (d, m) in enumerate(DECLARATIONS)]
)
def test_sweeps_leave_the_joint_distribution_of_mixture_and_points_as_it_is(d, model):
    """Successive-conditional test (Geweke 2004) with independent replicates (Gandy & Scott 2020).

    A mixture and its points from the prior, then sweeps: the pair has the same distribution as before. The mean
    difference of a function of it is zero. 5.2 standard errors: 2e-7 for each of about 60 functions, 7e-4 for all
    declarations.
    """
    before, after = replicates(d, model, 250, 6)
    middle = np.median(before, axis=0)
    width = np.subtract(*np.quantile(before, [0.8, 0.2], axis=0)) + 1e-12
    first, last = (np.tanh((values - middle) / width) for values in (before, after))
    size = first.shape[1]
    i, j = np.triu_indices(size)
    difference = np.concatenate([last - first, last[:, i] * last[:, j] - first[:, i] * first[:, j]], axis=1)
    varied = difference.std(axis=0) > 1e-9
    error = difference.std(axis=0)[varied] / math.sqrt(len(difference))
    z = difference.mean(axis=0)[varied] / error
    assert abs(z).max() < 5.2 + 0.3 * (size > 12), abs(z).max()


def replicates(d, model, count, n_sweeps):
    """Coordinates and log likelihoods of draws from the joint distribution, before and after sweeps."""
    prior = Prior(model, d, 8, 11)
    before, after = [], []
    for chain in range(count):
        density, q = prior.draw()
        moved, _ = sweeps(density, q, n_sweeps, chain)
        before.append([*q, density.value(q)])
        after.append([*moved, density.value(moved)])
    return np.array(before), np.array(after)


def test_the_joint_test_can_fail(monkeypatch):
    """Sweeps under another prior than that of the draws: three in place of one degree of freedom more."""
    d, model = DECLARATIONS[0]
    prior = model.covariances
    other = replace_prior(model, covariances=bg.WishartPrecision(prior.dof + 3.0, prior.scale))
    original = law_of
    monkeypatch.setattr(
        "tests.inference.test_gibbs.law_of", lambda density: original(replace(density, model=other.resolve(CLOUD)))
    )
    with pytest.raises(AssertionError):
        test_sweeps_leave_the_joint_distribution_of_mixture_and_points_as_it_is(d, model)


CLOUD = as_points(np.random.default_rng(3).normal(size=(50, 1)) * 3)


def replace_prior(model, **priors):
    return model.model_copy(update=priors)


def separated(d, model):
    """A density of three clusters so far apart that the assignments are certain, and coordinates near its mode."""
    rng = np.random.default_rng(4)
    label = np.repeat(np.arange(3), (4, 7, 5))
    x = rng.normal(size=(16, d)) + 400.0 * label[:, None]
    density = Prior(model, d, 16, 0).density(x)
    mean = np.array([x[label == k].mean(axis=0) for k in range(3)])
    scale = density.standard.scale
    roots = density.model.family.roots(density.model.family.cores(np.stack([np.eye(d)] * 3) / np.outer(scale, scale)))
    return density, density.coordinates(np.full(3, 1 / 3), (mean - density.standard.shift) / scale, roots)


def steps(density):
    """Coordinates in the order in which a sweep draws them: (block that is exact or not, indices)."""
    sizes = np.diff([0, *density._cuts])
    logits, alpha, mean, extra, roots, scales = np.split(np.arange(sizes.sum()), np.cumsum(sizes)[:-1])
    centre, spread = np.split(extra, 2)
    blocks = [(False, alpha), (True, logits)]
    if density.model.means.prior == "conjugate":
        blocks += [(True, np.concatenate([mean, roots]))]
    else:
        blocks += [(True, mean), (True, roots)]
    return [*blocks, (True, centre), (False, spread), (False, scales)]


WIDE = [
    bg.NormalMeans(0.0, 500.0),
    bg.ConjugateMeans(0.3, 1e-7),
    bg.HierarchicalMeans(1.0, 500.0, bg.InverseGamma(2.0, 300.0)),
]


@pytest.mark.parametrize("means", WIDE, ids=lambda means: means.prior)
@pytest.mark.parametrize("family", ["full", "tied", "diag", "spherical"])
def test_every_block_is_drawn_from_its_conditional_under_the_log_posterior(family, means):
    """Stein's identities of the exact density: E g = 0 and E q g' = -1, where g is its gradient in the block.

    With certain assignments the log posterior, up to a constant, is the log density of a block given the others: those
    drawn before it in the sweep are new, the others old. 5.5 standard errors: 4e-8 for each of some 100 numbers.
    """
    scale = bg.Gamma(2.0, 1.0) if family in {"full", "spherical"} else 1.7
    covariances = bg.WishartPrecision(scale=scale)
    density, old = separated(2, bg.MixtureModel(3, family, bg.Dirichlet(bg.Gamma(2.0, 4.0)), means, covariances))
    new = np.array([sweeps(density, old, 1, chain)[0] for chain in range(1500)])
    at = np.tile(old, (len(new), 1))
    for exact, block in steps(density):
        at[:, block] = new[:, block]
        if not exact or not block.size:
            continue
        slope = np.array([density(q)[1][block] for q in at])
        centred = at[:, block] - at[:, block].mean(axis=0)
        products = centred[:, :, None] * slope[:, None, :] + np.eye(block.size)
        values = np.concatenate([slope, products.reshape(len(new), -1)], axis=1)
        z = values.mean(axis=0) / values.std(axis=0) * math.sqrt(len(new))
        assert abs(z).max() < 5.5, (block, abs(z).max())


# -- random numbers --


@pytest.mark.parametrize(("d", "model"), DECLARATIONS, ids=str)
def test_every_index_is_within_its_array(d, model, monkeypatch):
    """Run by Python, which checks what compiled code does not: an index beyond the end destroyed memory."""
    rng = np.random.default_rng(0)
    uniform_pair = SimpleNamespace(uniform_pair=lambda *counters: tuple(1 - rng.random(2)))
    monkeypatch.setattr(draw_kernels, "random_numbers", uniform_pair)
    density = mean_orders.unordered(LogPosterior.of(model, as_points(rng.normal(size=(40, d)))))
    law, q = law_of(density), 0.1 * rng.normal(size=density.size)
    first = law.n_components - 1 + law.weights_extra
    starts = first, first + law.n_components * d + law.means_extra, q.size - law.scale_extra
    memory = gibbs_state_kernels.scratch_memory(law, starts[2] - starts[1])
    gibbs_state_kernels.read(law, q, starts, memory)
    memory.sums[:: memory.sums.size // law.n_components] = 5.0  # points of each component, all at its mean
    gibbs_kernels.draw_parameters(np.zeros(draw_kernels.STREAM_SIZE, dtype=np.int64), law, q, starts, memory)
    assert np.isfinite(q).all()


def test_uniform_numbers_are_those_of_philox():
    """The known answers of Salmon et al. (2011), as the 52 highest bits of 64."""
    known = {
        (0, 0, 0, 0, 0, 0): (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8),
        (0xFFFFFFFF,) * 6: (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD),
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344, 0xA4093822, 0x299F31D0): (
            0xD16CFE09,
            0x94FDCCEB,
            0x5001E420,
            0x24126EA1,
        ),
    }
    for counters, words in known.items():
        out = np.empty(2)
        one_pair(np.array(counters), out)
        expected = [((a << 32 | b) >> 12) / 2**52 for a, b in (words[:2], words[2:])]
        np.testing.assert_array_equal(1 - out, expected)


def test_lanes_have_the_numbers_of_their_counters():
    counters = np.array([3, 5, 7, 0, 11, 13])
    lanes, pair = np.empty(16), np.empty(2)
    both_lanes(counters, lanes)
    for i in range(8):
        one_pair(counters * [8, 1, 1, 1, 1, 1] + [i, 0, 0, 0, 0, 0], pair)
        np.testing.assert_array_equal(1 - pair, lanes[[i, 8 + i]])


def draws_of(draw, *arguments, count=20_000):
    out = np.empty(count)
    draw(out, np.array([0, 1, 2, *KEYS]), *arguments)
    return out


@pytest.mark.parametrize("shape", [0.05, 0.7, 1.0, 3.5, 400.0])
def test_gamma_numbers_have_their_distribution(shape):
    """Kolmogorov-Smirnov test of logarithms; false alarm: 1e-6 each."""
    log_draws = draws_of(many_log_gammas, shape)
    assert stats.kstest(log_draws, lambda v: stats.gamma.cdf(np.exp(v), shape)).pvalue > 1e-6


def test_normal_numbers_have_their_distribution():
    assert stats.kstest(draws_of(many_normals), "norm").pvalue > 1e-6


@pytest.mark.parametrize("kind", [DIRICHLET, STICKS])
def test_counts_have_the_probability_of_all_ways_to_draw_them(kind):
    """Oracle: Polya's urn, point by point, and the Beta-binomial sticks."""
    counts, alpha, discount = np.array([4.0, 0.0, 3.0]), 0.7, 0.2

    def log_probability(alpha):
        if kind == DIRICHLET:
            urn, value = np.full(3, alpha), 0.0
            for k in np.repeat(np.arange(3), counts.astype(int)):
                value += math.log(urn[k] / urn.sum())
                urn[k] += 1
            return value
        value, left = 0.0, counts.sum()
        for k in range(2):
            a, b = 1 - discount, alpha + (k + 1) * discount
            value += stats.betabinom.logpmf(counts[k], left, a, b) - log_choose(left, counts[k])
            left -= counts[k]
        return value

    values = [log_concentration_density(kind, a, discount, counts) - log_probability(a) for a in (alpha, 0.1, 5.0)]
    np.testing.assert_allclose(values, values[0], atol=1e-12)


def log_choose(n, k):
    return gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)


# -- the sweep --


def small(model=None, n=70, d=2, weight=None, seed=0):
    x = np.random.default_rng(seed).normal(size=(n, d)) + 4 * (np.arange(n) % 2)[:, None]
    points = as_points(x).weighed(weight)
    density = LogPosterior.of(bg.MixtureModel(3) if model is None else model, points)
    return density, density.coordinates(np.array([0.5, 0.3, 0.2]), x[:3], np.stack([np.eye(d)] * 3))


def test_the_log_likelihood_is_that_of_the_posterior():
    for weight in (None, np.arange(70) % 4):
        density, q = small(bg.MixtureModel(3, background=bg.Background()), weight=weight)
        units = density.blocks.total_weight * density.standard.log_scale
        _, loglik = sweeps(density, q, 1, single=weight is None)
        assert loglik - units + density.log_prior(q) == pytest.approx(density.value(q), abs=1e-9)


@pytest.mark.parametrize("weight", [None, np.arange(70) % 4], ids=["single", "copies"])
def test_components_are_drawn_with_their_responsibilities(weight):
    """Mean counts of 4,000 sweeps from one place; the weights given counts show them. 5 standard errors."""
    density, q = small(bg.MixtureModel(3, weights=bg.Dirichlet(1e6)), weight=weight)
    _, table = density._prior(q, 0.0)
    r = responsibilities(density.blocks, table, 1)
    row = np.ones(70) if weight is None else weight
    means = []
    for chain in range(2000):
        moved, _ = sweeps(density, q, 1, chain, weight is None, moves=False)
        means.append(density.mixture(moved)[1])
    means = np.array(means)
    rows = density.blocks.rows()
    expected = (r * row[:, None]).T @ rows / (r * row[:, None]).sum(axis=0)[:, None]
    heavy = (r * row[:, None]).sum(axis=0) > 5
    assert heavy.any()
    error = means.std(axis=0) / math.sqrt(len(means))
    assert (abs(means.mean(axis=0) - expected)[heavy] < 5 * error[heavy] + 0.05).all()


@pytest.mark.parametrize("copies", [1, 2])
def test_components_of_different_points_are_independent(copies):
    """64 equal points and two equal components: binomial counts, seen in the variance of the weights. 5 errors."""
    x = np.zeros((64 // copies, 1))
    model = bg.MixtureModel(2, means=bg.NormalMeans(0.0, 1.0), covariances=bg.WishartPrecision(3.0, 1.0))
    standard = Prior(model, 1, 1, 0).standard
    density = LogPosterior(model.resolve(CLOUD), standard.blocks(x, np.full(len(x), float(copies))), standard)
    q = density.coordinates(np.full(2, 0.5), np.zeros((2, 1)), np.ones((2, 1, 1)))
    weight = [density.mixture(sweeps(density, q, 1, c, copies == 1, moves=False)[0])[0][0] for c in range(4000)]
    count = np.arange(65)
    probability, mean = stats.binom.pmf(count, 64, 0.5), (1 + count) / 66
    variance = probability @ (mean * (1 - mean) / 67 + (mean - 0.5) ** 2)
    assert np.var(weight) == pytest.approx(variance, rel=5 * math.sqrt(2 / 4000))


def test_rows_of_whole_weights_are_repeated_rows():
    """The posterior means of both, within 5 Monte Carlo errors."""
    weight = np.arange(40) % 4
    x = np.random.default_rng(2).normal(size=(40, 1)) + 5 * (np.arange(40) % 2)[:, None]
    model = bg.MixtureModel(2).resolve(as_points(x).weighed(weight))
    both = []
    for values, weights in ((x, weight), (np.repeat(x, weight, axis=0), None)):
        density = LogPosterior.of(model, as_points(values).weighed(weights))
        q = gibbs.run(density, 3, 1, draws=4000, tune=200, chains=2, thin=3)
        both.append(np.sort(density.parameters(q.reshape(-1, density.size)).mean[..., 0], axis=1))
    error = both[0].std(axis=0) * math.sqrt(2 * 4 / len(both[0]))
    assert (abs(both[0].mean(axis=0) - both[1].mean(axis=0)) < 5 * error).all()


def test_fractional_weights_are_refused_with_a_way_out():
    with pytest.raises(DataError, match=r"not whole.*\n.*method='nuts'"):
        bg.fit(bg.MixtureModel(1), [[0.0], [1.0], [2.0]], "gibbs", sample_weight=[0.5, 1, 1], progress=False)


def test_chunks_and_threads_change_no_draw(monkeypatch):
    density, _ = small(n=200)
    one = gibbs.run(density, 5, 1, draws=40, tune=20, chains=3, thin=2)
    monkeypatch.setattr(gibbs, "CHUNK", 0.0)  # one sweep at a time
    np.testing.assert_array_equal(gibbs.run(density, 5, 2, draws=40, tune=20, chains=3, thin=2), one)


def test_thinned_draws_are_draws_of_the_whole_chain():
    density, _ = small()
    whole = gibbs.run(density, 5, 1, draws=31, tune=4, chains=2)
    np.testing.assert_array_equal(gibbs.run(density, 5, 1, draws=11, tune=4, chains=2, thin=3), whole[:, ::3])


def test_chains_start_in_both_modes_of_a_symmetrical_posterior():
    """Two clusters apart in x or in y, as likely: the chains of one fit are in both, for most seeds."""
    around = np.random.default_rng(1).normal(size=(2, 2))
    around = np.concatenate([around * sign for sign in ([1, 1], [-1, 1], [1, -1], [-1, -1])])
    around = np.concatenate([around, around[:, ::-1]])
    x = np.concatenate([np.array(m) + around for m in ((-1.7, -1.7), (-1.7, 1.7), (1.7, -1.7), (1.7, 1.7))])
    density = LogPosterior.of(bg.MixtureModel(2, covariance="tied"), as_points(x))
    both = 0
    for seed in range(6):
        mean = density.mixture(gibbs.run(density, seed, 1, draws=1, tune=0, chains=4))[1]
        across = abs(mean[:, 0, 0, 0] - mean[:, 0, 1, 0]) > abs(mean[:, 0, 0, 1] - mean[:, 0, 1, 1])
        both += 0 < across.sum() < 4
    assert both >= 4


def test_chains_move_between_two_and_three_clusters():
    """Iris: without split-merge moves, the four chains had two clusters in .58, .00, .33 and .99 of their draws."""
    density = LogPosterior.of(bg.MixtureModel(3), as_points(bg.datasets.iris().iloc[:, :4]))
    weight = density.parameters(gibbs.run(density, 0, 1, draws=1500, tune=500, chains=4, thin=5)).weight
    two = (weight.min(axis=-1) < 0.03).mean(axis=1)
    assert two.min() > 0.1
    assert two.max() < 0.6


@pytest.mark.parametrize(
    ("declared", "period"),
    [
        ({}, conjugate_sweeps.PERIOD),
        ({"weights": bg.Dirichlet(bg.Gamma(2.0, 1.0))}, conjugate_sweeps.PERIOD),
        ({"weights": bg.Dirichlet((1.0, 2.0))}, 0),
        ({"weights": bg.SparseDirichlet()}, 1),
        ({"covariance": "tied"}, 0),
    ],
)
def test_split_merge_moves_are_made_where_they_are_defined(declared, period):
    x = as_points(np.random.default_rng(0).normal(size=(20, 2)))
    assert conjugate_sweeps.split_merge_period(LogPosterior.of(bg.MixtureModel(2, **declared), x)) == period


# -- the engine --


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({"covariances": bg.LKJCovariance()}, r"can't take LKJCovariance: .*WishartPrecision"),
        (
            {"weights": bg.DirichletProcess(), "means": bg.NormalMeans(ordered=True)},
            r"can't take ordered means with DirichletProcess: .*Dirichlet\(1.0\)",
        ),
    ],
)
def test_what_has_no_conditional_distribution_is_refused_with_a_way_out(declared, message):
    with pytest.raises(DeclarationError, match=f"(?s)method 'gibbs' {message}") as error:
        bg.fit(bg.MixtureModel(2, **declared), None, "gibbs")
    assert "'nuts'" in str(error.value).split("Methods that can")[1]
    assert "gibbs" in ENGINES


def test_ctrl_c_keeps_what_was_drawn():
    class Interrupts(Silent):
        def chains(self, states):
            if all(s.finished_draws > s.total_draws // 8 for s in states):
                raise KeyboardInterrupt

    x = np.random.default_rng(0).normal(size=(3000, 2))
    with pytest.warns(FitWarning, match=r"Interrupted: kept \d+ of 100000 draws of \d of 2 chains"):
        fit = bg.fit(
            bg.MixtureModel(1), x, "gibbs", seed=1, draws=100_000, tune=1, thin=1, chains=2, progress=Interrupts()
        )
    assert 0 < fit["posterior"].sizes["draw"] < 100_000
    assert np.isfinite(fit["sample_stats"]["lp"]).all()


def fitted(model, x, method, **settings):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        return bg.fit(model, x, method, seed=1, progress=False, **settings)


@pytest.mark.parametrize(
    "declared",
    [
        {"weights": bg.Dirichlet((1.0, 2.0)), "means": bg.HierarchicalMeans()},
        {"means": bg.NormalMeans(ordered=True), "covariances": bg.WishartPrecision(scale=bg.Gamma(2.0, 1.0))},
        {"means": bg.ConjugateMeans(), "background": bg.Background()},
        {"weights": bg.PitmanYor(), "covariance": "spherical"},
    ],
    ids=["hierarchical", "ordered", "conjugate", "sticks"],
)
def test_draws_agree_with_those_of_nuts(declared):
    """Two clusters apart: means of all parameters, and of lp, within 5 Monte Carlo errors of both."""
    x = np.random.default_rng(5).normal(size=(60, 1)) + 7 * (np.arange(60) % 3 == 0)[:, None]
    model = bg.MixtureModel(2, **declared)
    a, b = fitted(model, x, "gibbs", draws=2000, thin=3), fitted(model, x, "nuts", draws=1000)
    for group, names in (("posterior", None), ("sample_stats", ["lp", "loglik"])):
        for name in names or b[group].data_vars:
            one, two = (t[group][name].values.reshape(-1, *t[group][name].shape[2:]) for t in (a, b))
            effective = 1000  # of 8,000 and 4,000 draws
            error = np.sqrt((one.var(axis=0) + two.var(axis=0)) / effective)
            assert (abs(one.mean(axis=0) - two.mean(axis=0)) <= 5 * error + 1e-12).all(), name


@nb.njit
def one_pair(counters, out):
    c = counters
    out[0], out[1] = random_numbers.uniform_pair(c[0], c[1], c[2], c[3], c[4], c[5])


@nb.njit
def both_lanes(counters, out):
    c = counters
    u, v = random_numbers.uniform_lanes(c[0], c[1], c[2], c[3], c[4], c[5])
    simd.store(out, 0, u)
    simd.store(out, 8, v)


@nb.njit
def many_log_gammas(out, stream, shape):
    for i in range(out.size):
        out[i] = log_gamma(stream, shape)


@nb.njit
def many_normals(out, stream):
    for i in range(out.size):
        out[i] = normal(stream)


@pytest.mark.parametrize("n_components", [10, 30])
def test_chains_start_with_few_components_where_their_number_is_a_bound(n_components):
    """From starts with all components, chains kept 4 to 8 of 10, and 8 to 20 of 30, for thousands of sweeps."""
    wine = as_points(bg.datasets.wine().iloc[:, [0, 6, 9, 10, 11, 12]])
    density = LogPosterior.of(bg.MixtureModel(n_components, weights=bg.SparseDirichlet()), wine)
    weight = density.parameters(gibbs.run(density, 0, 1, draws=50, tune=200, chains=4)).weight
    assert 2 <= np.median((weight * 178 > 1).sum(axis=-1)) <= 3
