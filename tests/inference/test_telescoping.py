"""The telescoping sampler: mixtures whose number of components is unknown."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import gammaln

import bayesgmm as bg
from bayesgmm.data.points import as_points
from bayesgmm.engines import ENGINES
from bayesgmm.errors import DeclarationError
from bayesgmm.inference import gibbs_chains as gibbs
from bayesgmm.inference import gibbs_starts
from bayesgmm.inference.conditionals import law_of
from bayesgmm.inference.engine import Silent
from bayesgmm.inference.extension import Drawn
from bayesgmm.inference.gibbs_state_kernels import Schedule
from bayesgmm.inference.interruptions import trim
from bayesgmm.inference.telescoping_kernels import telescoping_sweeps
from bayesgmm.posterior.log_posterior import LogPosterior
from bayesgmm.posterior.parameters import Parameters

POINTS = np.array([-1.5, -0.9, 0.4, 2.1, 2.6])
KEYS = np.random.SeedSequence(7).generate_state(2).astype(np.int64)
PRIORS = {
    "static": bg.FiniteMixture(bg.Uniform(1, 4), concentration=0.7),
    "dynamic": bg.FiniteMixture(bg.Poisson(1.5), concentration=1.3, dynamic=True),
    "learned": bg.FiniteMixture(bg.BetaNegativeBinomial(1, 4, 3), concentration=bg.Gamma(2.0, 3.0)),
    "both": bg.FiniteMixture(bg.Geometric(0.3), concentration=bg.Gamma(2.0, 1.0), dynamic=True),
}


def sampled(density, draws, chains=4):
    """Numbers of components and occupied components (chains, draws) of long chains."""
    q = gibbs.sample(density, 3, 1, Silent(), draws=draws, tune=200, chains=chains, thin=1).q
    drawn = density.parameters(q)
    return q, drawn.extras["n_components"], drawn


def partitions(n):
    """Every partition of n points, as labels."""
    labels = [(0,)]
    for _ in range(n - 1):
        labels = [(*one, k) for one in labels for k in range(max(one) + 2)]
    return np.array(labels)


def log_partition(count, concentration, sizes):
    """Log probability of a partition given each number of components (M,) and its concentration (M,)."""
    orders = gammaln(count + 1) - gammaln(np.maximum(count - len(sizes), 0) + 1)
    total = concentration * count
    each = gammaln(sizes[:, None] + concentration) - gammaln(concentration)
    value = orders + gammaln(total) - gammaln(total + sizes.sum()) + each.sum(axis=0)
    return np.where(count >= len(sizes), value, -np.inf)


def log_marginal(x, location, strength, dof, scale):
    """Log density of points of one component, normal-inverse-Gamma: precision Gamma(dof / 2, scale / 2)."""
    n, mean = len(x), x.mean()
    rate = scale + ((x - mean) ** 2).sum() + strength * n / (strength + n) * (mean - location) ** 2
    value = gammaln((dof + n) / 2) - gammaln(dof / 2) + 0.5 * math.log(strength / (strength + n))
    return value + dof / 2 * math.log(scale) - (dof + n) / 2 * math.log(rate) - n / 2 * math.log(math.pi)


def exact(prior, most):
    """Posterior p(K, K+) by adding up all partitions; a learned concentration by its quantiles."""
    given, count = prior.concentration, np.arange(1.0, most + 1)
    learned = not isinstance(given, float)
    alphas = given.quantile((np.arange(60) + 0.5) / 60) if learned else np.array([given])
    joint = np.zeros((most, most))
    for label in partitions(len(POINTS)):
        sizes = np.bincount(label).astype(float)
        if len(sizes) > most:
            continue
        like = sum(log_marginal(POINTS[label == k], 0.3, 0.5, 3.0, 1.2) for k in range(len(sizes)))
        chance = np.mean([np.exp(log_partition(count, prior.given(a, count), sizes)) for a in alphas], axis=0)
        joint[:, len(sizes) - 1] += np.exp(like + prior.components.truncated(most)) * chance
    return joint / joint.sum()


@pytest.mark.parametrize("prior", PRIORS.values(), ids=PRIORS)
def test_numbers_of_components_and_of_clusters_have_the_exact_posterior(prior):
    """Enumeration of all partitions of five points, 4 components at most.  4.5 standard errors, by 40 batches."""
    means, precisions = bg.ConjugateMeans(0.3, 0.5), bg.WishartPrecision(3.0, 1.2)
    density = LogPosterior.of(bg.MixtureModel(4, "diag", prior, means, precisions), as_points(POINTS))
    _, number, drawn = sampled(density, 2_500)
    occupied = counted(drawn, density)
    right = exact(prior, 4)
    for values, wanted in ((number, right.sum(axis=1)), (occupied, right.sum(axis=0))):
        hits = (values[..., None] == np.arange(1, 5)).reshape(40, -1, 4).mean(axis=1)
        error = hits.std(axis=0) / math.sqrt(40) + 1e-9
        assert (abs(hits.mean(axis=0) - wanted) < 4.5 * error).all(), (hits.mean(axis=0), wanted, error)


def counted(drawn, density):
    """Numbers of components that hold points, by labels drawn from each draw."""
    flat = drawn.flat()
    rng = np.random.default_rng(1)
    with np.errstate(divide="ignore"):
        log_w = np.log(flat.weight)[:, None]
    z = POINTS[None, :, None] - flat.mean[:, None, :, 0]
    score = log_w - 0.5 * z**2 / flat.covariance[:, None, :, 0, 0] - 0.5 * np.log(flat.covariance[:, None, :, 0, 0])
    label = (score + rng.gumbel(size=score.shape)).argmax(axis=-1)
    return np.array([len(set(row)) for row in label]).reshape(drawn.weight.shape[:2])


def test_the_enumeration_can_fail(monkeypatch):
    """A sampler under another prior of the number of components than that of the enumeration."""
    original = exact
    monkeypatch.setattr("tests.inference.test_telescoping.exact", lambda prior, most: original(PRIORS["dynamic"], most))
    with pytest.raises(AssertionError):
        test_numbers_of_components_and_of_clusters_have_the_exact_posterior(PRIORS["static"])


def declarations():
    """Each family with each prior of the means, fixed and learned scales; the priors of the weights take turns."""
    scales = itertools.cycle([bg.WishartPrecision(), bg.WishartPrecision(scale=bg.Gamma(0.7, 0.5))])
    weights = itertools.cycle(PRIORS.values())
    for family, means in itertools.product(("full", "tied", "diag", "spherical"), MEANS):
        yield bg.MixtureModel(4, family, next(weights), means, next(scales))
    yield bg.MixtureModel(4, "diag", PRIORS["both"], background=bg.Background(share=0.6))


MEANS = [
    bg.NormalMeans((0.0, 1.0), (1.0, 2.0)),
    bg.ConjugateMeans(0.5, 0.3),
    bg.HierarchicalMeans(1.0, 2.0, bg.InverseGamma(2.0, (3.0, 4.0))),
]
CLOUD = as_points(np.random.default_rng(3).normal(size=(50, 2)) * 3)


class Joint:
    """Draws of mixtures and points from the joint distribution of a declaration, as coordinates of a density."""

    def __init__(self, model, n_points):
        self.density = LogPosterior.of(model, CLOUD)
        self.model, self.standard, self.n_points = self.density.model, self.density.standard, n_points
        self.rng = np.random.default_rng(11)

    def draw(self):
        model, rng, d = self.model, self.rng, 2
        weight, w = model.weights.draw(rng, 4, 1)
        covariance, c = model.covariances.draw(rng, model.family, (1, 4, d))
        mean, m = model.means.draw(rng, 4, 1, covariance)
        parts = (weight, mean, covariance)
        if model.background is not None:
            parts = model.background.append_to(*parts)
        cumulated = parts[0][0].cumsum()
        label = np.searchsorted(cumulated, rng.uniform(size=self.n_points) * cumulated[-1])
        chol = np.linalg.cholesky(parts[2][0])
        x = parts[1][0][label] + np.einsum("nij,nj->ni", chol[label], rng.normal(size=(self.n_points, d)))
        blocks = replace(self.standard.blocks(x), background=self.density.blocks.background)
        density = replace(self.density, blocks=blocks)
        back = np.s_[:, ::-1]  # the components of a draw come last
        with np.errstate(divide="ignore"):
            log_weight = np.log(weight[0, ::-1])
        of_draw = Parameters(np.full((1, 4), 0.25), mean[back], covariance[back], w | c | m)
        q = density.positions(of_draw)[0]
        q[:3] = log_weight[:3] - log_weight[3]
        return density, q, x

    def sweeps(self, density, q, count, chain):
        """Coordinates after some sweeps."""
        now, drawn, loglik = q.copy(), np.empty((2, q.size)), np.empty(2)
        names = np.array([chain, *KEYS])
        native, schedule = density.blocks.native, Schedule(0, count, True, 1)
        telescoping_sweeps(native, law_of(density), schedule, names, now, 0, count + 1, drawn, loglik)
        return drawn[1]


def features(density, q, x):
    """Functions of mixture and points that do not depend on the order of the components."""
    drawn = density.parameters(q[None])
    w, mean, cov = drawn.weight[0], drawn.mean[0], drawn.covariance[0]
    spread = np.log(np.diagonal(cov, axis1=1, axis2=2))
    hyper = [np.ravel(value if name == "mean_centre" else np.log(value)) for name, value in drawn.extras.items()]
    unused = np.concatenate([mean, spread, mean**2], axis=1)[w == 0].sum(axis=0)
    away = np.linalg.solve(np.linalg.cholesky(cov)[:, None], (x - mean[:, None])[..., None])[..., 0]
    density_of = w @ np.exp(-0.5 * (away**2).sum(axis=-1)) + 1e-3
    own = [(w**2).sum(), *(w @ mean), *(w @ spread), *(w @ mean**2), np.log(density_of).sum()]
    return np.concatenate([own, unused, *hyper])


DECLARATIONS = list(declarations())


@pytest.mark.parametrize("model", DECLARATIONS, ids=[f"{m.covariance}-{m.means.prior}" for m in DECLARATIONS])
def test_sweeps_leave_the_joint_distribution_of_mixture_and_points_as_it_is(model):
    check_joint(model, 150)


def check_joint(model, replicates):
    """As for blocked Gibbs sampling (Geweke 2004).  4.8 standard errors: 2e-6 a function, 3e-3 for all."""
    joint = Joint(model, 7)
    pairs = []
    for chain in range(replicates):
        density, q, x = joint.draw()
        pairs.append([features(density, at, x) for at in (q, joint.sweeps(density, q, 5, chain))])
    before, after = np.array(pairs).transpose(1, 0, 2)
    middle = np.median(before, axis=0)
    width = np.subtract(*np.quantile(before, [0.8, 0.2], axis=0)) + 1e-12
    first, last = (np.tanh((values - middle) / width) for values in (before, after))
    i, j = np.triu_indices(first.shape[1])
    difference = np.concatenate([last - first, last[:, i] * last[:, j] - first[:, i] * first[:, j]], axis=1)
    error = difference.std(axis=0) / math.sqrt(replicates)
    z = difference.mean(axis=0)[error > 1e-9] / error[error > 1e-9]
    assert abs(z).max() < 4.8, abs(z).max()


def test_the_joint_test_can_fail(monkeypatch):
    """Sweeps under another prior of the precisions than that of the draws."""
    model = DECLARATIONS[6]
    other = model.model_copy(update={"covariances": bg.WishartPrecision(9.0, 1.0)})
    original = law_of
    monkeypatch.setattr(
        "tests.inference.test_telescoping.law_of",
        lambda density: original(replace(density, model=other.resolve(CLOUD))),
    )
    with pytest.raises(AssertionError):
        check_joint(model, 150)


def test_one_point_says_nothing_about_the_number_of_components():
    """Its posterior is the prior, also where few components are improbable.  4.5 standard errors, by 40 batches."""
    weights = bg.FiniteMixture(bg.Poisson(6.0), concentration=bg.Gamma(2.0, 1.0), dynamic=True)
    model = bg.MixtureModel(12, "diag", weights, bg.NormalMeans(0.0, 1.0), bg.WishartPrecision(3.0, 1.0))
    density = LogPosterior.of(model, CLOUD)
    density = replace(density, blocks=density.standard.blocks(np.zeros((1, 2))))
    _, number, _ = sampled(density, 2_000, chains=2)
    hits = (number[..., None] == np.arange(1, 13)).reshape(40, -1, 12).mean(axis=1)
    error = hits.std(axis=0) / math.sqrt(40) + 1e-9
    assert (abs(hits.mean(axis=0) - np.exp(weights.components.truncated(12))) < 4.5 * error).all()


def test_chains_that_start_with_one_component_find_clusters_in_five_columns(monkeypatch):
    """Without split-merge moves, an empty component must by chance come from the prior to where a cluster is."""
    monkeypatch.setattr(gibbs_starts, "MAX_AT_START", 1)
    x = np.random.default_rng(5).normal(size=(60, 5)) + np.repeat([0.0, 8.0, 16.0], 20)[:, None]
    density = LogPosterior.of(bg.MixtureModel(6, weights=bg.FiniteMixture()), as_points(x))
    q = gibbs.sample(density, 2, 1, Silent(), draws=20, tune=200, chains=3, thin=1).q
    third = np.sort(density.parameters(q).weight, axis=-1)[..., -3]
    assert (third > 0.15).all()


def test_the_same_seed_gives_the_same_draws_for_any_number_of_threads_and_chunks(monkeypatch):
    density = LogPosterior.of(bg.MixtureModel(6, weights=bg.FiniteMixture()), CLOUD)
    settings = {"draws": 30, "tune": 20, "chains": 3, "thin": 2}
    one = gibbs.sample(density, 5, 1, Silent(), **settings)
    monkeypatch.setattr(gibbs, "CHUNK", 0.0)
    other = gibbs.sample(density, 5, 2, Silent(), **settings)
    np.testing.assert_array_equal(one.q, other.q)
    np.testing.assert_array_equal(one.loglik, other.loglik)


@pytest.mark.parametrize("method", [name for name in ENGINES if name != "gibbs"])
def test_engines_with_a_fixed_number_of_components_refuse(method):
    with pytest.raises(DeclarationError, match="can't take FiniteMixture: it needs a fixed number of components"):
        bg.fit(bg.MixtureModel(3, weights=bg.FiniteMixture()), [[0.0], [1.0], [5.0]], method)


@pytest.mark.parametrize("prior", PRIORS.values(), ids=PRIORS)
def test_the_default_scale_expects_the_mean_number_of_clusters_among_twenty_points(prior):
    """By simulation, 4.5 standard errors."""
    rng = np.random.default_rng(0)
    found = (rng.multinomial(20, prior.draw(rng, 9, 4000)[0]) > 0).sum(axis=1)
    assert abs(found.mean() - prior.expected_clusters(9)) < 4.5 * found.std() / math.sqrt(4000)


def test_tempering_is_refused():
    model = bg.MixtureModel(3, weights=bg.FiniteMixture())
    with pytest.raises(DeclarationError, match="tempering='parallel' needs a fixed number of components"):
        bg.fit(model, [[0.0], [1.0], [5.0]], "gibbs", tempering="parallel", progress=False)


def test_components_without_weight_do_not_end_a_chain():
    """Their coordinates are minus infinity; NaN is a draw that Ctrl-C prevented."""
    q = np.array([[[-np.inf, 1.0], [-np.inf, 2.0]], [[-np.inf, 3.0], [np.nan, np.nan]]])
    assert trim(q, {})[0].shape == (1, 2, 2)
    first, more = Drawn(q[:, :1], {"lp": np.zeros((2, 1))}), Drawn(q[:1, 1:], {"lp": np.zeros((1, 1))})
    assert replace(first, q=q[:1, :1], stats={"lp": np.zeros((1, 1))}).followed_by(more).draws == 2
