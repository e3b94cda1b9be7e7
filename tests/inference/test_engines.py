"""Tests of all engines: the same model and schema, the same draws for the same seed. Then tests of single engines."""

import functools
import os
import signal
import threading
import warnings

import arviz as az
import numpy as np
import pytest
from scipy.stats import chisquare, norm
from sklearn.metrics import adjusted_rand_score

import bayesgmm as bg
from bayesgmm.data.points import as_points
from bayesgmm.data.standards import Standard
from bayesgmm.datasets import make_mixture
from bayesgmm.engines import ENGINES
from bayesgmm.errors import ComponentError, DeclarationError, FitWarning, SamplingError, UnknownName
from bayesgmm.inference import em, em_steps, laplace
from bayesgmm.inference.engine import Silent
from bayesgmm.posterior.info import info
from bayesgmm.posterior.log_posterior import LogPosterior
from bayesgmm.posterior.parameters import Parameters
from bayesgmm.posterior.schema import Posterior, unpack
from bayesgmm.predictions.elicitation import draw, simulate

SAMPLE = make_mixture(n_points=300, n_features=2, n_components=3, overlap=0.05, seed=1)
MODEL = bg.MixtureModel(3)
QUICK = {
    "nuts": {"draws": 100, "max_draws": 100, "tune": 100, "chains": 2},
    "gibbs": {"draws": 100, "max_draws": 100, "tune": 100, "chains": 2},
    "advi": {"draws": 100},
    "fullrank_advi": {"draws": 100},
    "vb": {"draws": 100},
}
MAXIMA = {
    name for name, engine in ENGINES.items() if engine.kind == "point estimate"
}  # every seed may lead to the same one


def quick_fit(method, model=MODEL, data=SAMPLE.X, **settings):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        return bg.fit(model, data, method, progress=False, **({"seed": 1} | QUICK.get(method, {}) | settings))


@functools.cache
def default_fit(method):
    """A fit that several tests read."""
    return quick_fit(method)


def make_density(model, x):
    return LogPosterior.of(model, as_points(x))


@pytest.mark.parametrize("method", ENGINES)
def test_every_engine_finds_the_truth(method):
    """Posterior means within 6 posterior standard errors of a clear truth."""
    fit = default_fit(method)
    p = unpack(fit).parameters
    order = np.argsort(-SAMPLE.weight)
    count = SAMPLE.weight[order] * len(SAMPLE.X)
    error = np.sqrt(np.diagonal(SAMPLE.covariance[order], axis1=1, axis2=2) / count[:, None])
    assert (np.abs(p.mean.mean(axis=0) - SAMPLE.mean[order]) < 6 * error).all()


@pytest.mark.parametrize("method", ENGINES)
@pytest.mark.parametrize("covariance", ["full", "tied", "diag", "spherical"])
def test_every_engine_takes_every_family(method, covariance):
    fit = quick_fit(method, bg.MixtureModel(2, covariance))
    draws = unpack(fit).parameters
    assert (np.linalg.eigvalsh(draws.covariance) > 0).all()
    np.testing.assert_allclose(draws.weight.sum(axis=-1), 1)
    assert ("lp" in fit["sample_stats"], "loglik" in fit["sample_stats"]) == (method != "em", True)  # EM has no prior


@pytest.mark.parametrize("method", ENGINES)
def test_the_same_seed_gives_the_same_draws_on_any_number_of_cores(method):
    one, two, other = (quick_fit(method, cores=c, seed=s)["posterior"] for c, s in [(1, 7), (2, 7), (1, 8)])
    np.testing.assert_array_equal(one["mean"].values, two["mean"].values)
    if method not in MAXIMA:
        assert not np.array_equal(one["mean"].values, other["mean"].values)


@pytest.mark.parametrize("method", ENGINES)
def test_a_fit_says_how_it_was_made(method):
    told = info(default_fit(method))
    assert told.method == method
    assert told.seed == 1
    assert told.settings.keys() == ENGINES[method].defaults.keys()
    assert told.fingerprint == as_points(SAMPLE.X).fingerprint
    assert told.model.means.scale is not None


@pytest.mark.parametrize("method", ENGINES)
@pytest.mark.parametrize("n_features", [1, 2])
def test_every_engine_takes_one_component_and_one_column(method, n_features):
    fit = quick_fit(method, bg.MixtureModel(1), SAMPLE.X[:, :n_features])
    np.testing.assert_allclose(fit["posterior"]["weight"], 1)


@pytest.mark.parametrize("method", ENGINES)
@pytest.mark.parametrize("power", [-150, 150])
def test_every_engine_works_in_extreme_units(method, power):
    unit = 10.0**power
    scaled = unpack(quick_fit(method, data=SAMPLE.X * unit)).parameters.mean / unit
    np.testing.assert_allclose(scaled.mean(axis=0), unpack(default_fit(method)).parameters.mean.mean(axis=0), atol=0.2)


def test_loglik_is_the_total_of_the_points():
    fit = default_fit("nuts")
    p = unpack(fit).parameters
    k = SAMPLE.weight.size
    scores = [np.log(p.weight[7, j]) + bg_logpdf(SAMPLE.X, p.mean[7, j], p.covariance[7, j]) for j in range(k)]
    np.testing.assert_allclose(fit["sample_stats"]["loglik"].values.ravel()[7], np.logaddexp.reduce(scores).sum())


def bg_logpdf(x, mean, covariance):
    from scipy.stats import multivariate_normal

    return multivariate_normal(mean, covariance).logpdf(x)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"drawz": 10}, "no setting 'drawz'.*did you mean 'draws'"),
        ({"draws": 0}, "draws=0: must be a whole number, at least 1"),
        ({"draws": 10.5}, "draws=10.5: must be a whole number"),
        ({"draws": "many"}, "must be a whole number"),
        ({"draws": float("inf")}, "must be a whole number"),
        ({"cores": -1}, "cores=-1: must be a whole number, at least 1"),
        ({"seed": -1}, "seed=-1: must be a whole number, at least 0"),
        ({"seed": 2**70}, "must be a whole number"),
        ({"target_accept": 0}, "must be a positive number"),
        ({"chains": True}, "must be a whole number"),
        ({"target_accept": 1.5}, "target_accept=1.5: must be below 1"),
    ],
)
def test_settings_are_checked_before_the_work(settings, message):
    with pytest.raises(DeclarationError, match=message):
        bg.fit(MODEL, SAMPLE.X, "nuts", **settings)


def test_numpy_s_numbers_are_numbers():
    model = bg.MixtureModel(np.int64(2))
    fit = quick_fit("nuts", model, draws=np.int32(50), chains=2.0, seed=np.int64(3))
    assert fit["posterior"].sizes["draw"] == 50
    assert info(fit).seed == 3


def test_a_model_is_a_declaration():
    with pytest.raises(DeclarationError, match="must be a MixtureModel"):
        bg.fit(3, SAMPLE.X)


def test_an_unknown_engine_gets_a_suggestion():
    with pytest.raises(
        UnknownName,
        match="method='nutz' is not one of 'advi', 'em', 'fullrank_advi', 'gibbs', 'map', 'mle', 'nuts', 'vb'; did",
    ):
        bg.fit(MODEL, SAMPLE.X, "nutz")


CLIMBERS = [name for name, engine in ENGINES.items() if engine.takes_start]


@pytest.mark.parametrize("method", CLIMBERS)
def test_an_engine_that_takes_a_start_continues_from_a_fit(method):
    there = default_fit(method)
    again = quick_fit(method, start=there)
    objective = "loglik" if method == "em" else "lp"
    reached, before = (fit["sample_stats"][objective].item() for fit in (again, there))
    assert reached == pytest.approx(before, abs=1e-3)
    np.testing.assert_allclose(again["posterior"]["mean"], there["posterior"]["mean"], atol=1e-3)
    if method == "em":
        assert again["sample_stats"]["n_iter"].item() < there["sample_stats"]["n_iter"].item()


def test_a_start_that_does_not_fit_is_refused():
    two = quick_fit("em", bg.MixtureModel(2))
    with pytest.raises(DeclarationError, match="start is a fit of 2 components .* needed are 3"):
        quick_fit("em", start=two)
    with pytest.raises(DeclarationError, match="method 'nuts' takes no start; those that do are 'em'"):
        quick_fit("nuts", start=two)


# -- EM --


@pytest.mark.parametrize("covariance", ["full", "tied", "diag", "spherical"])
def test_em_never_lowers_the_likelihood(covariance):
    density = make_density(bg.MixtureModel(4, covariance), SAMPLE.X)
    blocks, family = density.blocks, density.model.family
    sweep = em_steps.Sweep(blocks, family)
    start = em.short_runs(sweep, 4, seed=0, n_init=1, max_iter=2)[0].mixture
    values = []
    for _ in range(40):
        result = em_steps.run(sweep, start, max_iter=1)
        values.append(result.loglik)
        start = result.mixture
    assert (np.diff(values) > -1e-9).all()


def test_em_reports_a_component_that_cannot_be_estimated():
    x = np.column_stack([SAMPLE.X, SAMPLE.X.sum(axis=1)])  # collinear
    with pytest.raises(ComponentError, match="singular"):
        bg.fit(MODEL, x, "em", progress=False)


@pytest.mark.parametrize("covariance", ["full", "tied", "diag", "spherical"])
def test_em_does_not_end_on_a_spike(covariance):
    """Half of the points are one value: the likelihood has no maximum unless the variance is shared."""
    x = np.concatenate([np.zeros(50), np.random.default_rng(0).normal(3, 1, size=50)])
    model = bg.MixtureModel(2, covariance)
    if covariance == "tied":
        assert np.isfinite(quick_fit("em", model, x)["sample_stats"]["loglik"]).all()
    else:
        with pytest.raises(ComponentError, match="component . is singular"):
            bg.fit(model, x, "em", seed=1, progress=False)
    assert np.isfinite(quick_fit("nuts", model, x)["posterior"]["covariance"]).all()


def test_em_that_stops_early_warns():
    with pytest.warns(FitWarning, match="EM stopped after 3 iterations"):
        bg.fit(bg.MixtureModel(5), SAMPLE.X, "em", max_iter=3, seed=1, progress=False)


def test_short_runs_come_best_first():
    density = make_density(bg.MixtureModel(4), SAMPLE.X)
    sweep = em_steps.Sweep(density.blocks, density.model.family)
    values = [run.loglik for run in em.short_runs(sweep, 4, seed=0, n_init=6)]
    assert values == sorted(values, reverse=True)
    assert values[0] > values[-1]


def test_em_does_not_report_hyperparameters_as_learned():
    fit = quick_fit("em", bg.MixtureModel(3, weights=bg.DirichletProcess(), means=bg.HierarchicalMeans()))
    assert set(fit["posterior"].data_vars) == {"weight", "mean", "covariance"}


@pytest.mark.parametrize("init", ["k-means++", "kmeans", "random", "random_from_data"])
def test_em_uses_the_requested_initialisation(init):
    best = quick_fit("em", init=init, n_init=20)["sample_stats"]["loglik"].item()
    assert best == pytest.approx(default_fit("em")["sample_stats"]["loglik"].item(), abs=1e-4)


def test_an_unknown_start_gets_a_suggestion():
    with pytest.raises(UnknownName, match="init='kmean' is not one of .*did you mean 'kmeans'"):
        quick_fit("em", init="kmean")


# -- NUTS --


def test_nuts_agrees_with_the_exact_posterior_of_one_gaussian():
    """One Gaussian in one dimension, against quadrature. 5 Monte Carlo errors, 4 numbers: false alarm 2e-6."""
    x = np.random.default_rng(5).normal(3.0, 2.0, size=25)
    model = bg.MixtureModel(1, means=bg.NormalMeans(0.0, 2.0), covariances=bg.WishartPrecision(4.0, 3.0))
    fit = bg.fit(model, x, seed=3, progress=False)
    mean, variance = np.meshgrid(np.linspace(-2, 7, 600), np.exp(np.linspace(-1.5, 4, 600)), indexing="ij")
    log = norm(0, 2).logpdf(mean) - (4 / 2 + 1) * np.log(variance) - 3 / (2 * variance) + np.log(variance)  # d log v
    log = log + norm(mean[..., None], np.sqrt(variance)[..., None]).logpdf(x).sum(axis=-1)
    share = np.exp(log - log.max())
    share /= share.sum()
    for name, grid in [("mean", mean), ("covariance", variance)]:
        draws = fit["posterior"][name].values.reshape(4, -1)
        exact = (share * grid).sum()
        spread = np.sqrt((share * (grid - exact) ** 2).sum())
        assert abs(draws.mean() - exact) < 5 * spread / np.sqrt(float(az.ess(draws)))
        assert abs(draws.std() / spread - 1) < 5 / np.sqrt(float(az.ess(draws, method="sd")))


CALIBRATED = {
    "dirichlet, normal, wishart": bg.MixtureModel(
        2, "full", bg.Dirichlet(2.0), bg.NormalMeans(0.0, 0.7), bg.WishartPrecision(5.0, 3.0)
    ),
    "process, hierarchical, lkj": bg.MixtureModel(
        3,
        "full",
        bg.DirichletProcess(bg.Gamma(2.0, 2.0)),
        bg.HierarchicalMeans(0.0, 2.0, bg.InverseGamma(3.0, 4.0)),
        bg.LKJCovariance(1.0, bg.LogNormal(0.0, 0.4)),
    ),
    "sparse, conjugate, learned scale": bg.MixtureModel(
        2, "diag", bg.SparseDirichlet(0.4), bg.ConjugateMeans(0.0, 0.5), bg.WishartPrecision(5.0, bg.Gamma(3.0, 1.0))
    ),
}


@pytest.mark.parametrize("name", CALIBRATED)
def test_nuts_is_calibrated(name):
    """Simulation-based calibration (Talts et al. 2018) of label-free quantities: false alarm 1e-4 each.

    40 data sets of 3 points from the prior; the rank of the truth among the draws is uniform. So few points that
    the prior counts: one of the means that is three times as wide fails it.
    """
    ranks = {"mean": [], "spread": [], "loglik": [], "range": []}
    for seed in range(40):
        ranks_of_one(CALIBRATED[name], seed, ranks)
    for quantity, values in ranks.items():
        counts = np.histogram(values, bins=5, range=(0, 1))[0]
        assert chisquare(counts).pvalue > 1e-4, (quantity, counts)
        assert abs(np.mean(values) - 0.5) < 3.9 / np.sqrt(12 * 40), (quantity, np.mean(values))


def ranks_of_one(model, seed, ranks):
    rng = np.random.default_rng(1000 + seed)
    drawn = draw(model, rng, 1, n_features=1)
    weight, mean, variance = drawn.weight[0], drawn.mean[0, :, 0], drawn.covariance[0, :, 0, 0]
    x = simulate(drawn, rng, 3)[0, :, 0]
    density, settings = make_density(model, x), {"chains": 2, "draws": 150, "tune": 150, "sweeps": 200}
    engine = ENGINES["nuts"]  # without what ``fit`` does with the draws: relabelling, diagnosis
    q = engine(density, seed, 2, Silent(), **(engine.defaults | settings)).q
    p = density.parameters(q.reshape(-1, density.size))
    m, v = p.mean[..., 0], p.covariance[..., 0, 0]

    def spread(w, m, v):
        return (w * (v + m**2)).sum(-1) - (w * m).sum(-1) ** 2

    def loglik(w, m, v):
        bells = norm.pdf(x[:, None], m[..., None, :], np.sqrt(v)[..., None, :])
        return np.log((w[..., None, :] * bells).sum(-1)).sum(-1)

    ranks["mean"].append(((p.weight * m).sum(-1) < weight @ mean).mean())
    ranks["spread"].append((spread(p.weight, m, v) < spread(weight, mean, variance)).mean())
    ranks["loglik"].append((loglik(p.weight, m, v) < loglik(weight, mean, variance)).mean())
    ranks["range"].append((np.ptp(m, axis=-1) < np.ptp(mean)).mean())


def test_the_default_scale_keeps_the_species_of_iris_apart(iris):
    """The default is not the covariance of the data, because that has the correlations between the clusters."""
    x = iris.drop(columns="species")
    correlated = bg.WishartPrecision(6.0, np.cov(x.to_numpy().T) / 3**0.5)
    agreement = [
        adjusted_rand_score(iris["species"], bg.assignments(quick_fit("nuts", model, x))["label"].values)
        for model in (MODEL, bg.MixtureModel(3, covariances=correlated))
    ]
    assert agreement[0] > 0.85
    assert agreement[1] < 0.7


@pytest.mark.parametrize("covariance", ["full", "tied", "diag", "spherical"])
def test_whitening_makes_the_posterior_round_at_its_mode(covariance):
    density = make_density(bg.MixtureModel(3, covariance), SAMPLE.X)
    whitening = laplace.heaviest_mode(density, laplace.starting_points(density, 0, 1))
    assert whitening.repaired == 0
    assert np.abs(density(whitening.mode)[1]).max() < 1
    white = whitening.spread.T @ laplace.hessian(density, whitening.mode) @ whitening.spread
    np.testing.assert_allclose(white, -np.eye(density.size), atol=1e-3)


def test_a_hessian_that_is_not_positive_definite_is_repaired():
    density = make_density(bg.MixtureModel(3), SAMPLE.X)
    anywhere = np.random.default_rng(0).normal(size=density.size)
    whitening = laplace.whiten(density, anywhere)
    assert whitening.repaired > 0
    assert np.linalg.matrix_rank(whitening.spread) == density.size


def test_the_heaviest_mode_is_taken_not_the_highest(monkeypatch):
    monkeypatch.setattr(laplace, "is_same_mixture", lambda density, q, other: abs(q[0] - other[0]) < 1)

    class Hills:
        """A high narrow mode at -5, a lower wide one at 5."""

        size = 1

        def __call__(self, q):
            narrow, wide = 2 - 0.5 * 400 * (q[0] + 5) ** 2, -0.5 * (q[0] - 5) ** 2
            return (narrow, -400 * (q + 5)) if q[0] < 0 else (wide, -(q - 5))

    starts = [np.array([-4.9]), np.array([4.0])]
    assert laplace.heaviest_mode(Hills(), starts).mode[0] == pytest.approx(5)


def test_where_k_is_a_bound_chains_start_where_few_components_hold_points():
    """The density is highest where most do."""
    density = make_density(bg.MixtureModel(12, weights=bg.SparseDirichlet()), SAMPLE.X)
    modes = laplace.whiten_at_modes(density, 0, 1, Silent(), near=np.inf)
    used = [(density.parameters(mode.mode[None]).weight[0] > 0.02).sum() for mode in modes]
    assert used[0] < 6
    assert used[np.argmax([density.value(mode.mode) for mode in modes])] >= 8


def test_collinear_and_duplicate_columns_work_because_the_prior_is_proper():
    x = np.column_stack([SAMPLE.X, SAMPLE.X[:, 0]])
    fit = quick_fit("nuts", bg.MixtureModel(2), x)
    assert np.isfinite(fit["posterior"]["mean"]).all()


def test_a_constant_column_works_when_priors_are_declared():
    model = bg.MixtureModel(1, means=bg.NormalMeans(0.0, 10.0), covariances=bg.WishartPrecision(scale=1.0))
    fit = quick_fit("nuts", model, np.full((20, 1), 3.0))
    assert abs(float(fit["posterior"]["mean"].mean()) - 3.0) < 0.2


@pytest.mark.parametrize(
    ("covariance", "able"), [("full", "method='gibbs', method='vb', method='map'"), ("VVE", "method='map'")]
)
def test_too_many_coordinates_for_a_hessian_name_the_methods_that_need_none(covariance, able):
    model = bg.MixtureModel(4, covariance=covariance)
    with pytest.raises(SamplingError, match=f"too many for a Hessian.*\n  Try {able}, fewer columns, or fewer comp"):
        bg.fit(model, np.random.default_rng(0).normal(size=(400, 95)), progress=False)


class Interrupts(Silent):
    """Sends Ctrl-C as soon as the shares of draws of all chains are as wanted."""

    def __init__(self, wanted):
        self.wanted, self.sent = wanted, False

    def chains(self, states):
        if not self.sent and self.wanted([s.finished_draws / s.total_draws for s in states]):
            self.sent = True
            os.kill(os.getpid(), signal.SIGINT)


def test_ctrl_c_stops_chains_in_all_modes():
    """Chains in two modes run at the same time."""
    corner = np.random.default_rng(1).normal(size=(2, 2))
    corner = np.concatenate([corner * sign for sign in ([1, 1], [-1, 1], [1, -1], [-1, -1])])
    corner = np.concatenate([corner, corner[:, ::-1]])
    x = np.concatenate([corner + np.array([a, b]) for a in (-1.7, 1.7) for b in (-1.7, 1.7)])
    model = bg.MixtureModel(2, covariance="tied")
    # a chain that is less than half as long as the other is left out, and on a busy machine one may start late
    both = Interrupts(lambda done: min(done) > max(0.01, 0.6 * max(done)))
    with pytest.warns(FitWarning) as said:
        fit = bg.fit(model, x, draws=200_000, tune=100, chains=2, cores=2, seed=1, progress=both)
    assert str(said[0].message).startswith("Interrupted: kept ")
    assert "of 200000 draws of 2 of 2 chains" in str(said[0].message)
    assert 0 < fit["posterior"].sizes["draw"] < 200_000
    assert np.isfinite(fit["posterior"]["mean"]).all()


def test_ctrl_c_keeps_what_was_drawn():
    assert threading.current_thread() is threading.main_thread()
    with pytest.warns(FitWarning, match=r"Interrupted: kept \d+ of 40000 draws of \d of 4 chains"):
        fit = bg.fit(
            MODEL, SAMPLE.X, draws=40_000, tune=100, seed=1, progress=Interrupts(lambda done: max(done) > 0.25)
        )
    assert 0 < fit["posterior"].sizes["draw"] < 40_000
    assert np.isfinite(fit["posterior"]["mean"]).all()
    assert info(fit).notes.interrupted


def test_chains_start_where_the_posterior_is():
    """The posterior of empty components is nearly flat in some coordinates, and a distant chain does not return."""
    model = bg.MixtureModel(6, weights=bg.SparseDirichlet(), covariances=bg.LKJCovariance(1.0, bg.HalfCauchy(1.0)))
    x = bg.datasets.iris().drop(columns="species")
    fit = quick_fit("nuts", model, x, draws=50, tune=100)
    assert np.ptp(fit["sample_stats"]["lp"].mean("draw").values) < 40


def test_a_singular_draw_does_not_affect_the_others():
    covariance = np.broadcast_to(np.eye(2), (3, 1, 2, 2)).copy()
    covariance[1] = [[1.0, 1.0], [1.0, 1.0]]
    tables = Posterior(
        Parameters(np.ones((3, 1)), np.zeros((3, 1, 2)), covariance), ("a", "b"), Standard(np.zeros(2), np.ones(2))
    ).tables()
    assert np.isfinite(tables.root).all()
    np.testing.assert_allclose(tables.root[0, 0], np.eye(2))


def test_chains_that_disagree_are_reported_in_words():
    x = np.random.default_rng(0).normal(size=40)
    with pytest.warns(FitWarning, match="The chains have not mixed well|diverged"):
        bg.fit(bg.MixtureModel(5), x, draws=20, tune=20, seed=1, progress=False)


def test_chains_of_nuts_are_shown_to_their_end():
    class Shown(Silent):
        """Keeps the last state of each chain that is shown when the sampler, which has its own thread, is silent."""

        last = ()

        def chains(self, states):
            if threading.current_thread() is threading.main_thread():
                self.last = [(state.finished_draws, state.total_draws, state.tuning) for state in states]

    settings = QUICK["nuts"] | {"draws": 40, "tune": 60, "chains": 3, "disagreement": "report"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        bg.fit(bg.MixtureModel(2), bg.datasets.galaxies(), seed=1, progress=(shown := Shown()), **settings)
    assert shown.last == [(100, 100, False)] * 3
