"""Gibbs sampling of factor analysers: its conditional distributions, its random numbers, and the posterior."""

import itertools
import math
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from sklearn.datasets import load_digits

import bayesgmm as bg
from bayesgmm.data.points import as_points
from bayesgmm.errors import DataError, DeclarationError, FitWarning
from bayesgmm.inference import em, gibbs_starts
from bayesgmm.inference.conditionals import law_of
from bayesgmm.inference.conjugate_sweeps import Chains
from bayesgmm.inference.exploration import KINDS
from bayesgmm.inference.factor_gibbs_kernels import factor_sweeps
from bayesgmm.inference.gibbs_starts import RUN_IN, _mean_value, _positive, _run_longer, starting_points
from bayesgmm.inference.gibbs_state_kernels import Schedule
from bayesgmm.inference.laplace import SEARCHES, local_modes
from bayesgmm.posterior.log_posterior import LogPosterior
from tests.declarations import mean_priors, weight_priors
from tests.inference.test_gibbs import KEYS, Prior

D, N = 5, 9
FAMILIES = [
    bg.FactorAnalysers(2, loadings=loadings, noise=noise, isotropic=isotropic)
    for loadings, noise, isotropic in itertools.product(("free", "tied"), ("free", "tied"), (False, True))
]


def declarations():
    """Every restriction with every prior of the means; weights and shapes of the process take turns."""
    for turn, (family, means) in enumerate(itertools.product(FAMILIES, mean_priors(D))):
        noise = bg.InverseGamma(3.0, 4.0)
        prior = bg.MultiplicativeGamma((2.5, 3.0), df=3.0 + turn % 2, scale=2.0, noise=noise)
        yield bg.MixtureModel(2, family, weight_priors(2)[turn % 6], means, prior)


DECLARATIONS = list(declarations())


class FactorPrior(Prior):
    """Draws of mixtures of factor analysers and points from their joint distribution."""

    def draw(self, n_features=D):
        model, k, rng = self.model, self.model.n_components, self.rng
        weight, w = model.weights.draw(rng, k, 1)
        loadings, noise, shrinkage = model.covariances.draw_parts(rng, model.family, (1, k, n_features))
        covariance = loadings @ np.swapaxes(loadings, -1, -2) + noise[..., None] * np.eye(n_features)
        covariance = np.broadcast_to(covariance, (1, k, n_features, n_features))
        mean, m = model.means.draw(rng, k, 1, covariance)
        label = np.searchsorted(weight[0].cumsum(), rng.uniform(size=self.n_points) * weight[0].sum())
        chol = np.linalg.cholesky(covariance[0])
        x = mean[0][label] + np.einsum("nij,nj->ni", chol[label], rng.normal(size=(self.n_points, n_features)))
        density, scale = self.density(x), self.standard.scale
        chart = density.chart
        log_weight, log_root = np.log(np.maximum(weight[0], 1e-300)), np.log(scale) - 0.5 * np.log(noise[0])
        own = chart.joined(loadings[0] / scale[:, None], log_root[:, : chart.shapes(k, n_features)[1][1]])
        parts = [
            log_weight[:-1] - log_weight[-1],
            self._extra("weights", w),
            ((mean[0] - self.standard.shift) / scale).ravel(),
            self._extra("means", m),
            own,
            model.covariances.from_extras({"factor_shrinkage": shrinkage[0]}, self.standard),
        ]
        return density, np.concatenate([np.asarray(part, dtype=float).ravel() for part in parts])


def sweeps(density, q, count, chain=0, single=True):
    now, drawn, loglik = q.copy(), np.empty((1, q.size)), np.empty(1)
    names = np.array([chain, *KEYS])
    law, schedule = law_of(density), Schedule(0, 1, single, 0)
    factor_sweeps(density.blocks.native, law, schedule, names, now, 0, count, drawn, loglik)
    return now, loglik[0]


def functions_of(density, q):
    """What does not change when factors are rotated: all but the loadings, and the covariances; and the density."""
    p, roots = density.parameters(q), density.roots
    chart, k = density.chart, density.n_components
    loadings, noise = chart.parts(q[roots], k, D)
    covariance = p.covariance[:, *np.triu_indices(D)].ravel()
    return [
        *q[: roots.start],
        *noise.ravel(),
        *q[roots.stop :],
        *covariance,
        *(loadings**2).sum(axis=1).ravel(),
        density.value(q),
    ]


def joint_z(model, count=600, n_sweeps=5, seed=11):
    """z scores of changes of functions of mixture and points by sweeps: none, if they leave the joint distribution."""
    prior, before, after = FactorPrior(model, D, N, seed), [], []
    for chain in range(count):
        density, q = prior.draw()
        moved, _ = sweeps(density, q, n_sweeps, chain)
        before.append(functions_of(density, q))
        after.append(functions_of(density, moved))
    before, after = np.array(before), np.array(after)
    middle, width = np.median(before, axis=0), np.subtract(*np.quantile(before, [0.8, 0.2], axis=0)) + 1e-12
    first, last = (np.tanh((values - middle) / width) for values in (before, after))
    difference = np.concatenate([last - first, last**2 - first**2], axis=1)
    varied = difference.std(axis=0) > 1e-9
    return difference.mean(axis=0)[varied] / (difference.std(axis=0)[varied] / math.sqrt(count))


@pytest.mark.parametrize("model", DECLARATIONS, ids=[f"{m.covariance}-{m.means.prior}" for m in DECLARATIONS])
def test_sweeps_leave_the_joint_distribution_of_mixture_and_points_as_it_is(model):
    """Geweke (2004), with independent replicates.  5.5 standard errors: 4e-8 a function, 1e-4 for all declarations."""
    z = joint_z(model)
    assert abs(z).max() < 5.5, abs(z).max()


def test_the_joint_test_can_fail(monkeypatch):
    """Sweeps under a prior with another noise than that of the draws."""
    model, original = DECLARATIONS[0], law_of

    def changed(density):
        law = original(density)
        params = law.covariances_params.copy()
        params[-1::-3] *= 2.0  # scales of the inverse gamma priors
        return law._replace(covariances_params=params)

    monkeypatch.setattr("tests.inference.test_factor_gibbs.law_of", changed)
    assert abs(joint_z(model)).max() > 5.5


def test_every_restriction_is_declared_with_every_prior():
    assert {model.covariance for model in DECLARATIONS} == {family.name for family in FAMILIES}
    assert {type(model.means) for model in DECLARATIONS} == {bg.NormalMeans, bg.ConjugateMeans, bg.HierarchicalMeans}
    assert {model.weights for model in DECLARATIONS} == set(weight_priors(2))


@pytest.mark.parametrize("model", DECLARATIONS, ids=[f"{m.covariance}-{m.means.prior}" for m in DECLARATIONS])
def test_the_gradient_is_that_of_the_density(model):
    density, q = FactorPrior(model, D, N, 3).draw()
    value, gradient = density(q)
    step = 1e-6
    slopes = [(density(q + e)[0] - density(q - e)[0]) / (2 * step) for e in step * np.eye(q.size)]
    assert density.value(q) == pytest.approx(value, abs=1e-8)
    np.testing.assert_allclose(gradient, slopes, rtol=1e-4, atol=1e-4 * (1 + abs(gradient).max()))


def test_a_row_of_weight_three_is_three_points():
    """The likelihood is the same, and so is what is drawn on average: counts of 400 sweeps, 5 standard errors."""
    density, q = FactorPrior(DECLARATIONS[0], D, N, 5).draw()
    x = density.standard.shift + density.standard.scale * density.blocks.rows()
    prior = FactorPrior(DECLARATIONS[0], D, N, 5)
    heavy, repeated = prior.density(x, np.full(N, 3.0)), prior.density(np.repeat(x, 3, axis=0))
    (one, value), (other, same) = sweeps(heavy, q, 1, single=False), sweeps(repeated, q, 1)
    assert value == pytest.approx(same)
    many = [
        [sweeps(d, q, 1, chain, single)[0] for chain in range(400)] for d, single in ((heavy, False), (repeated, True))
    ]
    many = np.array(many)
    error = np.sqrt(many.var(axis=1).sum(axis=0) / 400)
    assert (abs(many[0].mean(axis=0) - many[1].mean(axis=0)) < 5 * error).all()
    assert not np.array_equal(one, other)


@pytest.fixture(scope="module")
def x():
    """Two clusters, each with two factors of eight columns, and their covariances."""
    rng = np.random.default_rng(0)
    loadings, label = rng.normal(size=(2, 8, 2)), np.repeat([0, 1], [250, 150])
    x = 4.0 * label[:, None] + np.einsum("ndq,nq->nd", loadings[label], rng.normal(size=(400, 2)))
    return x + 0.5 * rng.normal(size=x.shape), loadings @ np.swapaxes(loadings, 1, 2) + 0.25 * np.eye(8)


def fitted(x, method="gibbs", family=None, **settings):
    model = bg.MixtureModel(2, family or bg.FactorAnalysers(2), **settings.pop("model", {}))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        return bg.fit(model, x, method, seed=1, progress=False, **settings)


@pytest.fixture(scope="module")
def fit(x):
    return fitted(x[0], draws=250, chains=2, tune=200, thin=4, log_likelihood=True)


def test_draws_are_the_same_for_any_number_of_threads(x, fit):
    again = fitted(x[0], draws=250, chains=2, tune=200, thin=4, cores=1)
    np.testing.assert_array_equal(again["posterior"]["covariance"], fit["posterior"]["covariance"])
    np.testing.assert_array_equal(again["factors"]["loadings"], fit["factors"]["loadings"])


def test_covariances_are_those_of_loadings_and_noise_and_near_the_truth(x, fit):
    loadings, noise = fit["factors"]["loadings"].values, fit["factors"]["noise"].values
    made = loadings @ np.swapaxes(loadings, -1, -2) + noise[..., None] * np.eye(8)
    covariance = fit["posterior"]["covariance"].values
    np.testing.assert_allclose(made, covariance, rtol=1e-6, atol=1e-8)
    mean, sd = covariance.mean(axis=(0, 1)), covariance.std(axis=(0, 1))
    assert (abs(mean - x[1]) < 4.5 * sd).all()


def test_gibbs_and_nuts_draw_from_the_same_posterior(x, fit):
    """Means of 500 and 400 draws or more: 0.35 standard deviations are 4 standard errors of 260 independent draws."""
    other = fitted(x[0], "nuts", draws=200, chains=2)
    for name in ("mean", "covariance"):
        one, two = (each["posterior"][name].values for each in (fit, other))
        sd = one.std(axis=(0, 1))
        assert (abs(one.mean(axis=(0, 1)) - two.mean(axis=(0, 1))) < 0.35 * sd).all()
        np.testing.assert_allclose(two.std(axis=(0, 1)), sd, rtol=0.35)


def test_with_plenty_of_points_the_covariances_are_those_of_full(x):
    """5,000 points of one component: posterior means and standard deviations agree where the family holds."""
    rng = np.random.default_rng(2)
    many = rng.multivariate_normal(np.zeros(8), x[1][0], 5000)
    one, full = (
        bg.fit(bg.MixtureModel(1, family), many, "gibbs", seed=1, draws=250, chains=2, progress=False)
        for family in (bg.FactorAnalysers(2), "full")
    )
    near, far = (each["posterior"]["covariance"].values for each in (one, full))
    sd = far.std(axis=(0, 1))
    assert (abs(near.mean(axis=(0, 1)) - far.mean(axis=(0, 1))) < 4 * sd).all()
    assert near.std(axis=(0, 1)).mean() < 1.1 * sd.mean()  # fewer parameters, no more uncertainty


def test_surplus_factors_are_shrunk(x):
    """Of four factors where the truth has two, two have small loadings."""
    model = bg.MixtureModel(1, bg.FactorAnalysers(4))
    four = bg.fit(model, x[0][:250], "gibbs", seed=1, draws=200, chains=2, progress=False, max_draws=1)
    squares = np.sort((four["factors"]["loadings"].values[:, :, 0] ** 2).sum(axis=-2).mean(axis=(0, 1)))
    assert squares[1] < 0.25 * squares[2], squares


def test_answers_read_the_draws(x, fit):
    answer = bg.factor_loadings(fit)
    assert answer["loadings_band"].shape == (2, 8, 2, 2)
    assert (answer["loadings_band"][..., 0] < answer["loadings"]).all()
    assert (answer["loadings"] < answer["loadings_band"][..., 1]).all()
    assert bg.assignments(fit)["probability"].max("component").mean() > 0.9
    assert np.isfinite(bg.density(fit, x[0][:5], progress=False)["density"]).all()
    assert bg.partition(fit, progress=False)["label"].shape == (400,)
    assert bg.anomaly_scores(fit).sizes["point"] == 400
    assert fit["log_likelihood"]["x"].shape == (*fit["posterior"]["weight"].shape[:2], 400)


@pytest.mark.parametrize("method", ["mle", "vb"])
def test_methods_without_a_form_for_factors_refuse_them_by_name(method, x):
    with pytest.raises(DeclarationError, match="covariance='factors:2'.*(\n.*)?gibbs"):
        fitted(x[0], method)


def test_what_gibbs_can_not_draw_for_factors_is_refused_by_name(x, fit):
    holed = x[0].copy()
    holed[0, 0] = np.nan
    with pytest.raises(DataError, match="missing values"):
        fitted(holed)
    with pytest.raises(DataError, match="a background"):
        fitted(x[0], model={"background": bg.Background()})
    with pytest.raises(DeclarationError, match="FiniteMixture with factor analysers"):
        fitted(x[0], model={"weights": bg.FiniteMixture()})
    with pytest.raises(DeclarationError, match="tempering='parallel' needs conjugate priors"):
        fitted(x[0], tempering="parallel")
    with pytest.raises(DeclarationError, match="the evidence of covariance='factors:2' can't be estimated"):
        bg.evidence(fit)
    for prior in (bg.WishartPrecision(), bg.LKJCovariance()):
        with pytest.raises(DeclarationError, match="covariances=MultiplicativeGamma"):
            fitted(x[0], model={"covariances": prior})
    with pytest.raises(DeclarationError, match="MultiplicativeGamma is a prior of loadings and noise"):
        bg.MixtureModel(2, covariances=bg.MultiplicativeGamma())


def searches_of(monkeypatch, density, sweeps):
    """The maxima that are returned, those of each search, and the kinds of its starts."""
    made, kinds, original = [], [], em.local_maxima

    def recorded(*args, **settings):
        found = original(*args, **settings)
        made.append(found.optima)
        kinds.append(settings["kinds"])
        return found

    monkeypatch.setattr(em, "local_maxima", recorded)
    return local_modes(density, 1, 1, sweeps), made, kinds


def test_modes_among_many_columns_come_from_several_searches_of_the_likelihood(monkeypatch):
    """The inverse Wishart prior that EM knows counts as more points here than a component holds: it ends far below."""
    x = load_digits().data[:600]
    x = x[:, x.std(axis=0) > 0]
    density = LogPosterior.of(bg.MixtureModel(10, bg.FactorAnalysers(4, isotropic=True)), as_points(x))
    modes, made, kinds = searches_of(monkeypatch, density, 20)
    assert len(made) == SEARCHES
    for own in kinds:  # every other start is Ward's; the columns have one scale where the noise is isotropic
        assert own[::2] == ["ward on one scale"] * 8
        assert own[1::2] == list(KINDS)
    best = max((one for optima in made for one in optima), key=lambda one: (-one.fault, one.value))
    assert modes[0] is best.mixture
    for optima in made:
        assert any(one is optima[0].mixture for one in modes)
    value = [density.value(density.coordinates(_positive(one.weight), one.mean, one.core_roots)) for one in modes]
    assert min(value) > max(value) - 0.1 * abs(max(value)), value


def test_searches_end_when_two_agree(monkeypatch, x):
    density = LogPosterior.of(bg.MixtureModel(2, bg.FactorAnalysers(2)), as_points(x[0]))
    modes, made, kinds = searches_of(monkeypatch, density, 400)
    assert len(made) == 2
    assert kinds[0][:2] == ["ward", "spread"]
    assert made[0][0].value == pytest.approx(made[1][0].value, abs=0.2)
    assert 0 < len(modes) <= 16


def test_a_longer_run_returns_the_ends_of_its_last_parts(x):
    density = LogPosterior.of(bg.MixtureModel(2, bg.FactorAnalysers(2)), as_points(x[0]))
    chain = Chains.of(density, seed=1, tune=0, thin=1)
    start = starting_points(chain, 1, np.random.default_rng(1), ThreadPoolExecutor(1))[0]
    ends, now = [], start.copy()
    for first in range(RUN_IN, 9 * RUN_IN, RUN_IN):
        chain.advance(7, now, (first, first + RUN_IN))
        ends.append(now.copy())
    found = _run_longer(chain, start, 7)
    np.testing.assert_array_equal(found, ends[-4:])
    mean, error = _mean_value(density, found[:, None])
    values = [density.value(q) for q in ends[-4:]]
    assert mean == pytest.approx([np.mean(values)])
    assert error == pytest.approx(np.std(values, ddof=1) / 2)


def test_chains_start_where_longer_runs_end_highest(monkeypatch, x):
    """A region far below by the averages has no chain, however high a short run came there."""
    density = LogPosterior.of(bg.MixtureModel(2, bg.FactorAnalysers(2)), as_points(x[0]))
    chain, numbers = Chains.of(density, seed=1, tune=0, thin=1), []

    def longer(chain, q, number):
        numbers.append(number)
        return np.full((4, q.size), float(number))

    def values(density, ends):
        assert (ends[-1, :, 0] == numbers).all()
        return np.where(np.arange(len(numbers)) == 0, 1000.0, 0.0), 1.0

    monkeypatch.setattr(gibbs_starts, "_run_longer", longer)
    monkeypatch.setattr(gibbs_starts, "_mean_value", values)
    starts = starting_points(chain, 4, np.random.default_rng(1), ThreadPoolExecutor(1))
    assert len(numbers) > 1
    assert (starts == numbers[0]).all()
