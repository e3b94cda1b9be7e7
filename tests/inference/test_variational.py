"""Variational Bayes: a true bound that never falls, exact where possible, with warnings where it is not reliable."""

import itertools
import warnings
from dataclasses import replace

import matplotlib as mpl
import numpy as np
import pytest
from scipy.special import betaln, logsumexp
from scipy.stats import multivariate_t
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import BayesianGaussianMixture

import bayesgmm as bg
from bayesgmm.data.points import as_points
from bayesgmm.datasets import make_mixture
from bayesgmm.diagnosis.summary import convergence_line
from bayesgmm.engines import ENGINES
from bayesgmm.errors import DeclarationError, DegenerateComponent, FitWarning
from bayesgmm.inference import ascent_runs, gibbs_judge, variational
from bayesgmm.inference.acceleration import squarem
from bayesgmm.inference.coordinate_ascent import Ascent
from bayesgmm.inference.engine import Silent
from bayesgmm.inference.minibatches import subsample
from bayesgmm.inference.stochastic import Minibatches, elbo_difference
from bayesgmm.posterior.info import info
from bayesgmm.posterior.log_posterior import LogPosterior
from tests.ascents import (
    FAMILIES,
    MEANS,
    SAMPLE,
    SCALE,
    converged,
    every_component,
    every_declaration,
    make_ascent,
    start_of,
)

mpl.use("Agg")
import matplotlib.pyplot as plt


def vb(model, x, **settings):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        return bg.fit(model, x, "vb", **({"seed": 1, "progress": False, "draws": 100} | settings))


def bound(model, x, sample_weight=None, **settings):
    """The ELBO of a fit, without its draws."""
    density = LogPosterior.of(model, as_points(x).weighed(sample_weight))
    return variational.highest_elbo(density, 1, ENGINES["vb"].defaults | settings)


# -- the bound --


@every_declaration
def test_the_bound_never_falls(family, means, weights):
    ascent = make_ascent(family, means, weights)
    history = ascent_runs.ascend(ascent, start_of(ascent), 30, 0.0).history
    assert np.diff(history).max() > 1e-6
    assert np.diff(history).min() > -1e-9


def test_an_extrapolation_to_an_invalid_state_is_rejected():
    """Each step covers a tenth of the distance, so that an extrapolation of ten steps would end at 1."""
    landed = []

    def step(state):
        if state > 0.9999:
            landed.append(state)
            raise DegenerateComponent("singular")
        return state, state + (1 - state) / 10

    iterations = squarem(step, 0.0, lambda state: np.array([state]), lambda numbers: float(numbers[0]))
    values = [value for value, _ in itertools.islice(iterations, 9)]
    assert landed
    assert (np.diff(values) > 0).all()
    assert 1 - 0.9**9 < values[-1] < 0.9999


@every_declaration
def test_every_number_of_the_optimum_beats_its_neighbours(family, means, weights):
    """Every factor, coordinate by coordinate: each is the best given the others."""
    ascent = make_ascent(family, means, weights)
    reached = converged(ascent)
    numbers = ascent.flatten(reached.factors)
    for i, step in itertools.product(range(numbers.size), (-0.02, 0.02)):
        moved = numbers.copy()
        moved[i] += step
        assert ascent.step(ascent.unflatten(moved))[0] < reached.elbo, i


def log_predictive(family, x, location, strength, dof, scale):
    """Log evidence of one component under a conjugate prior, point after point: each is a Student t."""
    total, d = 0.0, x.shape[1]
    for point in x:
        deviation, grown = point - location, (1 + strength) / strength
        if family in ("full", "tied"):
            free = dof - d + 1
            total += multivariate_t(location, grown * scale / free, df=free).logpdf(point)
            scale, dof = scale + strength / (1 + strength) * np.outer(deviation, deviation), dof + 1
        elif family == "diag":
            total += sum(
                multivariate_t(m, grown * s / dof, df=dof).logpdf(p)
                for p, m, s in zip(point, location, scale, strict=True)
            )
            scale, dof = scale + strength / (1 + strength) * deviation**2, dof + 1
        else:
            total += multivariate_t(location, grown * scale / dof * np.eye(d), df=dof).logpdf(point)
            scale, dof = scale + strength / (1 + strength) * deviation @ deviation, dof + d
        location, strength = (strength * location + point) / (1 + strength), strength + 1
    return float(total)


SCALES = {"full": np.eye(2) + 0.3, "tied": np.eye(2) + 0.3, "diag": np.array([1.3, 0.4]), "spherical": 0.7}


@pytest.mark.parametrize("family", FAMILIES)
def test_one_conjugate_component_is_exact(family):
    """The bound is the log evidence, and so is every importance ratio."""
    model = bg.MixtureModel(1, family, bg.Dirichlet(1.0), MEANS["conjugate"], bg.WishartPrecision(4.5, SCALES[family]))
    x = 3 * SAMPLE.X[:30]
    exact = log_predictive(family, x, np.full(2, 0.5), 0.3, 4.5, SCALES[family])
    fit = bg.fit(model, x, "vb", seed=1, progress=False, draws=300)
    assert info(fit).notes.elbo == pytest.approx(exact, abs=1e-8)
    assert info(fit).notes.n_iter == 2
    ratio = (fit["sample_stats"]["lp"] - fit["sample_stats"]["log_q"]).values
    np.testing.assert_allclose(ratio, exact, atol=1e-8)


def exact_evidence(weights, x, location, strength, dof, scale):
    """Log evidence of two components in one dimension, by summing over all assignments."""
    terms = []
    for z in itertools.product([0, 1], repeat=len(x)):
        n = np.bincount(z, minlength=2)
        a, b = (1.0, 2.0) if isinstance(weights, bg.DirichletProcess) else (1.5, 1.5)
        groups = [x[np.array(z) == k] for k in (0, 1)]
        parts = [log_predictive("full", g, location, strength, dof, scale) for g in groups]
        terms.append(betaln(a + n[0], b + n[1]) - betaln(a, b) + sum(parts))
    return float(logsumexp(terms))


@pytest.mark.parametrize("weights", [bg.Dirichlet(1.5), bg.DirichletProcess(2.0)], ids=["dirichlet", "process"])
def test_the_bound_is_below_the_exact_log_evidence(weights):
    """7 points, all 128 assignments; the marginal bound lies between the two. 5 standard errors: 3e-7."""
    x = np.array([-2.2, -1.9, -1.0, 0.4, 1.8, 2.4, 2.9])[:, None]
    means, covariances = bg.ConjugateMeans(0.0, 0.2), bg.WishartPrecision(4.0, 1.5)
    exact = exact_evidence(weights, x, np.zeros(1), 0.2, 4.0, np.array([[1.5]]))
    told = info(vb(bg.MixtureModel(2, "full", weights, means, covariances), x, draws=4000))
    assert exact - 3 < told.notes.elbo < exact
    assert told.notes.elbo < told.notes.marginal_elbo + 5 * told.notes.marginal_elbo_se
    assert told.notes.marginal_elbo < exact + 5 * told.notes.marginal_elbo_se


@pytest.mark.parametrize("family", FAMILIES)
def test_the_bound_is_in_data_units(family):
    """Default priors go with the data, so in other units the density of each point is that much smaller."""
    model = bg.MixtureModel(3, family)
    one, other = (bound(model, unit * SAMPLE.X, n_init=2) for unit in (1.0, 1000.0))
    assert one - other == pytest.approx(SAMPLE.X.size * np.log(1000), rel=1e-9)


@every_component
def test_a_row_of_weight_two_is_the_row_twice(family, means):
    model = bg.MixtureModel(3, family, means=MEANS[means], covariances=SCALE)
    few = {"n_init": 2, "tol": 1e-12}
    twice = bound(model, np.repeat(SAMPLE.X, 2, axis=0), **few)
    assert twice == pytest.approx(bound(model, SAMPLE.X, np.full(len(SAMPLE.X), 2.0), **few), abs=1e-6)
    assert twice < 1.5 * bound(model, SAMPLE.X, n_init=2) < 0


# -- against others --


WINE = bg.datasets.wine().iloc[:, [0, 6, 9, 10, 11, 12]]


@pytest.mark.parametrize("n_components", [10, 30])
def test_a_bound_on_the_number_of_components_does_not_move_the_clusters(n_components):
    """Emptied one by one from starts with 30 of them, ten components of wine kept points, 190 nats below two."""
    model = bg.MixtureModel(n_components, weights=bg.SparseDirichlet())
    ascent = Ascent(LogPosterior.of(model, as_points(WINE)))
    settings = {"n_init": 10, "max_iter": 500, "tol": 1e-8, "batches": Minibatches(None, 1.0, 0.7)}
    found = variational.find(ascent, 0, Silent(), **settings)
    assert (ascent.fold(found.factors).n > 0.5).sum() == 2


def test_scikit_learn_ends_in_the_same_place():
    """The same model: full covariances, a Dirichlet of fixed concentration. Its lower bound leaves out constants.

    Its other models are others: 'tied' counts N / K points to the degrees of freedom, 'diag' and 'spherical' take
    the expected log determinant of a full Wishart, and its Dirichlet process has a last stick that is not one.
    """
    x = SAMPLE.X
    theirs = BayesianGaussianMixture(
        n_components=3,
        covariance_type="full",
        tol=1e-13,
        reg_covar=0,
        max_iter=5000,
        weight_concentration_prior_type="dirichlet_distribution",
        weight_concentration_prior=0.7,
        mean_precision_prior=0.3,
        mean_prior=np.full(2, 0.5),
        degrees_of_freedom_prior=5.0,
        covariance_prior=np.eye(2) + 0.3,
        random_state=0,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        theirs.fit(x)
    model = bg.MixtureModel(3, "full", bg.Dirichlet(0.7), MEANS["conjugate"], SCALE)
    ascent = Ascent(LogPosterior.of(model, as_points(x)))
    standard = ascent.density.standard
    factors = converged(ascent, 1e-12, their_factors(ascent, theirs, x)).factors
    now = factors.components
    np.testing.assert_allclose(factors.shares[0], theirs.weight_concentration_, rtol=1e-6)
    np.testing.assert_allclose(now.mean * standard.scale + standard.shift, theirs.means_, atol=1e-6)
    np.testing.assert_allclose(now.spread, theirs.mean_precision_, rtol=1e-6)
    np.testing.assert_allclose(now.precision.dof[:, 0], theirs.degrees_of_freedom_, rtol=1e-6)
    covariance = now.precision.scale[:, 0] * np.outer(standard.scale, standard.scale) / now.precision.dof[:, :, None]
    np.testing.assert_allclose(covariance, theirs.covariances_, atol=1e-6)


def their_factors(ascent, theirs, x):
    """A start near where scikit-learn ended: its responsibilities, mixed with equal ones."""
    from bayesgmm.inference.starts import from_responsibilities

    shares = 0.9 * theirs.predict_proba(x) + 0.1 / 3
    rows = ascent.density.blocks.rows()
    return ascent.first(from_responsibilities(rows, np.ones(len(x)), shares, ascent.density.model.family))


def test_means_are_those_of_nuts_where_components_are_apart():
    """0.15 posterior sd, of which 4 Monte Carlo errors of 4,000 draws are 0.06."""
    x = make_mixture(n_points=600, n_features=2, n_components=3, overlap=0.01, seed=2).X
    model = bg.MixtureModel(3)
    reference = bg.fit(model, x, draws=1000, seed=4, progress=False)["posterior"]
    fit = vb(model, x, draws=4000)["posterior"]
    for name in ("weight", "mean", "covariance"):
        mean, sd = reference[name].mean(["chain", "draw"]), reference[name].std(["chain", "draw"])
        assert float((abs(fit[name].mean(["chain", "draw"]) - mean) / sd).max()) < 0.15


# -- steps and orders --


@pytest.mark.parametrize(("family", "means"), list(zip(FAMILIES, [*MEANS, *MEANS], strict=True)))
def test_small_steps_lead_to_the_same_place(family, means):
    ascent = make_ascent(family, means, "process, learned")
    reached = converged(ascent)
    factors = start_of(ascent)
    bounds = []
    for _ in range(600):
        stats = ascent.fold(factors)
        bounds.append(ascent.elbo(factors, stats))
        factors = ascent.update(factors, stats, 0.6)
    assert np.diff(bounds).min() > -1e-9
    assert ascent.step(factors)[0] == pytest.approx(reached.elbo, abs=1e-4)


def permuted(factors, order):
    now = factors.components
    precision = now.precision
    if len(precision.dof) > 1:
        precision = type(precision)(precision.dof[order], precision.scale[order])
    return type(factors)(factors.shares, factors.tilt, type(now)(now.mean[order], now.spread[order], precision))


@pytest.mark.parametrize("weights", ["process", "process, learned", "pitman yor, learned"])
@pytest.mark.parametrize("seed", [0, 1])
def test_sticks_are_sorted_in_the_best_of_all_orders(weights, seed):
    """Among the 24 orders of four components, each with the optimal factors of the weights."""
    ascent = make_ascent(weights=weights, k=4)
    factors = ascent_runs.ascend(ascent, start_of(ascent, seed), 10, 0.0).factors
    n = ascent.fold(factors).n
    values = [ascent._weights_share(factors, n[list(order)]) for order in itertools.permutations(range(4))]
    ordered = ascent.sort_sticks(factors)
    found = [int(np.argmin(abs(factors.components.mean - mean).sum(axis=1))) for mean in ordered.components.mean]
    assert ascent._weights_share(factors, n[found]) == pytest.approx(max(values), abs=1e-9)
    assert max(values) > min(values) + 0.1


def test_an_ascent_leaves_a_bad_order_of_the_sticks():
    """Where coordinate ascent alone has converged."""
    ascent = make_ascent(weights="process, learned", k=5)
    factors = converged(ascent).factors
    worst = permuted(factors, np.argsort(ascent.fold(factors).n))
    worse = converged(ascent, 1e-9, ascent.update(worst, ascent.fold(worst)))
    better = ascent_runs.run_to_convergence(ascent, worse, 20_000, 1e-9, Silent())
    assert better.elbo > worse.elbo + 0.1
    assert np.diff(better.history).min() > -1e-9


@every_declaration
def test_components_that_are_treated_alike_are_sorted_by_their_means(family, means, weights):
    """The bound is the same. Where the weights' prior expects an order, it stays."""
    ascent = make_ascent(family, means, weights)
    factors = ascent_runs.ascend(ascent, start_of(ascent), 10, 0.0).factors
    one = ascent.sort_exchangeable(factors)
    if weights not in ("sparse", "dirichlet, learned"):
        assert one is factors
        return
    other = replace(permuted(factors, [2, 0, 1]), shares=factors.shares[:, [2, 0, 1]])
    other = ascent.sort_exchangeable(other)
    assert np.diff(one.components.mean[:, 0]).min() > 0
    np.testing.assert_array_equal(ascent.flatten(one), ascent.flatten(other))
    assert ascent.step(one)[0] == pytest.approx(ascent.step(factors)[0], abs=1e-9)


# -- minibatches --

MANY = make_mixture(n_points=6_000, n_features=3, n_components=5, overlap=0.05, seed=2)
NORMAL, CONJUGATE = bg.NormalMeans(), bg.ConjugateMeans()


@pytest.mark.parametrize(
    ("family", "means"),
    [("full", NORMAL), ("tied", CONJUGATE), ("diag", NORMAL), ("spherical", CONJUGATE)],
    ids=FAMILIES,
)
def test_minibatches_reach_the_bound_of_all_points(family, means):
    """6,000 points: within 0.01 nats after a few sweeps over all of them, and 1 before."""
    model = bg.MixtureModel(5, family, means=means)
    expected = bound(model, MANY.X, n_init=4)
    batched = vb(model, MANY.X, batch_size=512, n_init=4)
    assert info(batched).notes.elbo == pytest.approx(expected, abs=0.01)
    batches, elbo = batched["optimisation"]["batches"].values, batched["optimisation"]["elbo"].values
    assert 2 <= (batches > 1).sum() <= 20
    assert (batches == 1).sum() <= variational.LAST_SWEEPS
    assert elbo[batches == 1][0] == pytest.approx(expected, abs=1)


def test_steps_of_minibatches_decay(monkeypatch):
    """Without decay the factors move with each minibatch for ever (Robbins & Monro 1951)."""
    rates = []
    step = variational.natural_step
    monkeypatch.setattr(variational, "natural_step", lambda *args: rates.append(args[-1]) or step(*args))
    bound(bg.MixtureModel(2), SAMPLE.X, n_init=1, batch_size=64, delay=2.0, forget=0.8)
    assert len(rates) > 5
    np.testing.assert_allclose(rates, (np.arange(1, len(rates) + 1) + 2.0) ** -0.8)
    ascent = make_ascent()
    start = start_of(ascent)
    stayed = step(ascent, start, ascent.density.blocks, 0.0)[1]
    np.testing.assert_allclose(ascent.flatten(stayed), ascent.flatten(start), rtol=1e-9)


def line_of_clusters(n_points, n_features, n_components, apart, in_order=False):
    """Unit Gaussians on a line."""
    rng = np.random.default_rng(0)
    label = rng.integers(0, n_components, n_points)
    x = rng.normal(size=(n_points, n_features))
    x[:, 0] += apart * label
    return x[np.argsort(label, kind="stable")] if in_order else x


@pytest.mark.parametrize(
    ("n_points", "n_features", "batch_size", "in_order"),
    [(500, 2, 100, False), (500, 2, 100, True), (2000, 6, 500, False), (2000, 6, 500, True), (1000, 6, 32, True)],
)
def test_minibatches_of_few_points_reach_the_bound_of_all_points(n_points, n_features, batch_size, in_order):
    """Fewer points than the sample of the starts: their weights must still sum to the number of points."""
    x = line_of_clusters(n_points, n_features, 3, 20, in_order)
    batched = info(vb(bg.MixtureModel(3), x, draws=50, batch_size=batch_size, n_init=4))
    assert batched.notes.elbo > bound(bg.MixtureModel(3), x, n_init=4) - 0.1
    assert not [message for message in batched.warnings if "before it converged" in message]


def test_minibatches_keep_the_fit_of_the_sample_where_they_lead_away_from_it(monkeypatch):
    def elsewhere(ascent, start, *args):
        one = np.argsort(start.components.mean[:, 0])[0]
        mean = np.tile(start.components.mean[one], (3, 1))
        return ascent_runs.AscentResult(replace(start, components=replace(start.components, mean=mean)), [-1e9], [2])

    x = line_of_clusters(2000, 2, 3, 20)
    expected = bound(bg.MixtureModel(3), x)
    monkeypatch.setattr(variational, "stochastic_passes", elsewhere)
    assert info(vb(bg.MixtureModel(3), x, draws=50, batch_size=500)).notes.elbo == pytest.approx(expected, abs=0.1)


def test_a_difference_of_bounds_is_exact_on_all_points_and_within_its_error_on_a_sample():
    """False alarm: 3e-6 each (4.7 standard errors, 20 samples)."""
    ascent = make_ascent()
    first = start_of(ascent)
    second = ascent.step(first)[1]
    exact = ascent.step(first)[0] - ascent.step(second)[0]
    n_blocks = ascent.density.blocks.n_blocks
    assert elbo_difference(ascent, first, second, n_blocks).value == pytest.approx(exact, abs=1e-6)
    assert elbo_difference(ascent, first, second, n_blocks).error == 0
    for seed in range(20):
        part = ascent.on(subsample(ascent.density, ascent.density.blocks.n_points // 2, seed))
        estimated = elbo_difference(part, first, second, n_blocks)
        assert estimated.error > 0
        assert abs(estimated.value - exact) < 4.7 * estimated.error


def test_a_sample_of_more_points_than_there_are_is_all_of_them():
    density = make_ascent().density
    assert subsample(density, 10**6, 0).blocks.total_weight == pytest.approx(density.blocks.total_weight)


def test_steps_that_do_not_converge_are_refused():
    with pytest.raises(DeclarationError, match=r"forget=0.4: must be more than 0.5 and at most 1"):
        bg.fit(bg.MixtureModel(2), SAMPLE.X, "vb", forget=0.4, progress=False)


# -- the engine --


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({"covariances": bg.LKJCovariance()}, r"can't take LKJCovariance: .*Or declare covariances=WishartPrecision\("),
        (
            {"covariances": bg.WishartPrecision(scale=bg.Gamma(1, 1))},
            "can't take a WishartPrecision whose scale is learned",
        ),
        ({"means": bg.HierarchicalMeans()}, "can't take HierarchicalMeans"),
        ({"means": bg.NormalMeans(ordered=True)}, "can't take ordered NormalMeans"),
        (
            {"means": bg.HierarchicalMeans(), "covariances": bg.LKJCovariance()},
            "can't take HierarchicalMeans and LKJCovariance",
        ),
    ],
)
def test_priors_that_are_not_conjugate_are_refused_with_a_way_out(declared, message):
    """Before any work: the data are not looked at."""
    with pytest.raises(DeclarationError, match=f"(?s)method 'vb' {message}") as error:
        bg.fit(bg.MixtureModel(2, **declared), None, "vb")
    model = bg.MixtureModel(2, **declared)
    for name, engine in ENGINES.items():
        able = not engine.refused(model) and not engine.ignores_priors
        assert (f"{name!r}" in str(error.value).split("Methods that can")[1]) == able


def test_a_fit_reports_the_quality_of_its_approximation():
    x = make_mixture(n_points=600, n_features=2, n_components=3, overlap=0.01, seed=2).X
    fit = bg.fit(bg.MixtureModel(3), x, "vb", seed=1, draws=3, progress=False)  # a warning would be an error
    told = info(fit)
    assert told.notes.converged
    assert told.notes.importance_share > 0.3
    assert told.notes.elbo < told.notes.marginal_elbo < told.notes.elbo + 5
    assert convergence_line(fit) == (
        f"3 draws, resampled from 200 of {told.notes.approximation}, with an effective sample size of 3; "
        f"ELBO {told.notes.elbo:.1f}; Pareto k-hat {told.notes.pareto_khat:.2f}"
    )
    assert fit["posterior"].sizes["draw"] == 3


def test_the_extras_that_are_learned_are_in_the_fit():
    fit = vb(bg.MixtureModel(4, weights=bg.DirichletProcess()), SAMPLE.X)
    assert (fit["posterior"]["concentration"] > 0).all()
    assert info(fit).truncation is not None


def test_the_history_ends_in_the_bound_and_is_drawn():
    fit = vb(bg.MixtureModel(3), SAMPLE.X)
    history = fit["optimisation"]["elbo"].values
    assert history[-1] == info(fit).notes.elbo
    assert np.diff(history).min() > -1e-9
    figure = bg.plots.elbo(fit)
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert labels == ["over all points", "final"]
    plt.close(figure)


def test_a_plot_distinguishes_minibatches_from_all_points():
    figure = bg.plots.elbo(vb(bg.MixtureModel(2), MANY.X[:1024], batch_size=128, n_init=2, draws=50))
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert labels == ["over 8 minibatches, one after another", "over all points", "final"]
    plt.close(figure)


def test_an_ascent_that_stops_early_warns():
    fit = vb(bg.MixtureModel(5), SAMPLE.X, max_iter=3)
    assert info(fit).warnings[0].startswith("Variational Bayes stopped after 3 iterations before it converged.")
    assert info(fit).notes.n_iter == 3


@pytest.mark.filterwarnings("ignore:The 1000 draws, resampled from")
def test_a_posterior_that_no_correction_reaches_is_reported():
    """By importance ratios, where no Gibbs run is the judge."""
    message = r"misses part of the posterior \(Pareto k-hat .* and resampling can.t add regions"
    with gibbs_judge.ignored(), pytest.warns(FitWarning, match=message):
        bg.fit(bg.MixtureModel(8), bg.datasets.galaxies(), "vb", seed=1, progress=False)


@pytest.mark.parametrize("batch_size", [None, 128])
def test_ctrl_c_keeps_the_best_so_far(monkeypatch, batch_size):
    """It comes in the second update after the starts, which are too short to converge."""
    monkeypatch.setattr(variational, "SHORT_RUN", 2)
    starts, update, left = variational.short_runs, Ascent.update, [np.inf]

    def then_count(*args):
        found = starts(*args)
        left[0] = 2
        return found

    def counted(*args):
        left[0] -= 1
        if left[0] == 0:
            raise KeyboardInterrupt
        return update(*args)

    monkeypatch.setattr(variational, "short_runs", then_count)
    monkeypatch.setattr(Ascent, "update", counted)
    told = info(vb(bg.MixtureModel(5), MANY.X[:500], n_init=2, tol=1e-12, batch_size=batch_size))
    assert told.warnings[0].startswith("Interrupted: kept the approximation of iteration")
    assert told.notes.interrupted
    assert np.isfinite(told.notes.elbo)
