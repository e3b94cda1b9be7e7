"""ADVI: exact for a Gaussian posterior, always a lower bound, with warnings where the approximation is poor."""

import os
import re
import signal
import warnings
from functools import cached_property

import matplotlib as mpl
import numpy as np
import pytest
from scipy.integrate import quad

import bayesgmm as bg
from bayesgmm.data.points import as_points
from bayesgmm.datasets import make_mixture
from bayesgmm.diagnosis.engines import HIGH_KHAT
from bayesgmm.diagnosis.summary import convergence_line
from bayesgmm.errors import DeclarationError, FitFileError, FitWarning, SamplingError
from bayesgmm.inference import advi, corrections, importance, laplace
from bayesgmm.inference.elbo import Bound
from bayesgmm.inference.engine import Silent
from bayesgmm.inference.gaussians import FullRank, MeanField, fixed_draws
from bayesgmm.inference.importance import Draws, assess, keep, resample, smooth
from bayesgmm.inference.minibatches import draw_minibatches
from bayesgmm.posterior.info import info
from bayesgmm.posterior.log_posterior import LogPosterior

mpl.use("Agg")
import matplotlib.pyplot as plt

METHODS = {"advi": MeanField(), "fullrank_advi": FullRank()}
APART = make_mixture(n_points=600, n_features=2, n_components=3, overlap=0.01, seed=2)
MODEL = bg.MixtureModel(3)


def make_density(model, x):
    return LogPosterior.of(model, as_points(x))


def approximation(method, x=APART.X, model=MODEL, **settings):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        return bg.fit(model, x, method, **({"seed": 1, "progress": False} | settings))


class Gaussian:
    """Gaussian target for mean-field and full-rank ADVI: correlated or not, and not at its whitening."""

    def __init__(self, size, correlated):
        rng = np.random.default_rng(0)
        self.mean = rng.normal(size=size)
        chol = np.tril(0.3 * rng.normal(size=(size, size)), -1) + np.diag(rng.uniform(0.5, 2, size=size))
        self.covariance = chol @ chol.T if correlated else np.diag(np.diag(chol) ** 2)

    @cached_property
    def precision(self):
        return np.linalg.inv(self.covariance)

    def __call__(self, q):
        grad = -self.precision @ (q - self.mean)
        constant = 0.5 * np.linalg.slogdet(2 * np.pi * self.covariance)[1]
        return float(0.5 * grad @ (q - self.mean)) - constant, grad


def settings(**given):
    return advi.Settings(**({"draws": 100, "samples": None, "max_iter": 200, "tol": 1e-6, "batch_size": None} | given))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("samples", [12, 40])
def test_a_gaussian_is_found_exactly_with_few_draws(method, samples):
    """The log evidence of a normalised density is 0, and so is the bound at the optimum."""
    target, shape = Gaussian(6, correlated=method == "fullrank_advi"), METHODS[method]
    identity = laplace.Whitening(np.zeros(6), np.eye(6), 0.0, 0)
    normals = fixed_draws(samples, 6, seed=3)
    bound = Bound([target] * samples, identity, shape, normals, 1)
    optimisation = advi.Optimisation(bound.start())
    advi.optimise(bound, optimisation, settings(), Silent())
    draws = bound.draws(optimisation.params, normals)
    assert optimisation.converged
    assert optimisation.history[-1] == pytest.approx(0, abs=1e-8)
    np.testing.assert_allclose(draws.mean(axis=0), target.mean, atol=1e-5)
    np.testing.assert_allclose(
        draws.T @ draws / samples - np.outer(target.mean, target.mean), target.covariance, atol=1e-4
    )


@pytest.mark.parametrize("shape", METHODS.values(), ids=METHODS)
def test_the_bound_s_gradient_is_its_slope(shape):
    density = make_density(MODEL, APART.X)
    whitening = laplace.heaviest_mode(density, laplace.starting_points(density, 0, 1))
    bound = Bound([density] * 40, whitening, shape, fixed_draws(40, density.size, 0), 1)
    params = bound.start()
    params = params + 0.1 * np.random.default_rng(0).normal(size=params.size)
    direction = np.random.default_rng(1).normal(size=params.size)
    step = 1e-5 * direction
    assert bound(params) is bound(params.copy())
    slope = (bound(params + step)[0] - bound(params - step)[0]) / 2e-5
    assert bound(params)[1] @ direction == pytest.approx(slope, rel=1e-5)


@pytest.mark.parametrize(("samples", "exact"), [(8, np.diag), (12, np.array), (100, np.array)])
def test_fixed_draws_have_exact_moments(samples, exact):
    """Variances always are; the full covariance is with at least one pair per coordinate."""
    normals = fixed_draws(samples, 6, seed=1)
    np.testing.assert_allclose(normals.mean(axis=0), 0, atol=1e-14)
    np.testing.assert_allclose(exact(normals.T @ normals / samples), exact(np.eye(6)), atol=1e-12)


@pytest.mark.parametrize("method", METHODS)
def test_the_elbo_is_below_the_log_evidence_and_close(method):
    """One Gaussian in one dimension: two coordinates, integrated numerically. 5 standard errors: 3e-7."""
    x = np.random.default_rng(5).normal(3.0, 2.0, size=25)
    density = make_density(bg.MixtureModel(1), x)
    assert density.size == 2
    whitening = laplace.heaviest_mode(density, laplace.starting_points(density, 0, 1))
    level = density(whitening.mode)[0]

    def inner(b):
        return quad(lambda a: np.exp(density(whitening(np.array([a, b])))[0] - level), -9, 9)[0]

    evidence = np.log(quad(inner, -9, 9)[0]) + level + np.linalg.slogdet(whitening.spread)[1]
    facts = info(approximation(method, x, bg.MixtureModel(1)))
    assert facts.notes.elbo < evidence + 5 * facts.notes.elbo_se
    assert facts.notes.elbo > evidence - 0.05


@pytest.mark.parametrize("method", METHODS)
def test_the_elbo_never_falls_while_the_draws_are_the_same(method):
    history = approximation(method, bg.datasets.galaxies(), bg.MixtureModel(5))["optimisation"]
    steps, same = np.diff(history["elbo"].values), np.diff(history["samples"].values) == 0
    assert same.sum() > 3
    assert (steps[same] > -1e-9).all()


@pytest.mark.parametrize("method", METHODS)
def test_means_and_sds_are_those_of_nuts_where_components_are_apart(method):
    """0.1 posterior sd, of which 4 Monte Carlo errors of 8,000 draws are 0.05; sds within a tenth."""
    reference = bg.fit(MODEL, APART.X, draws=2000, seed=4, progress=False)["posterior"]
    fit = approximation(method, draws=8000)["posterior"]
    for name in ("weight", "mean", "covariance"):
        mean, sd = reference[name].mean(["chain", "draw"]), reference[name].std(["chain", "draw"])
        assert float((abs(fit[name].mean(["chain", "draw"]) - mean) / sd).max()) < 0.1
        ratio = fit[name].std(["chain", "draw"]) / sd
        assert float(ratio.min()) > 0.9
        assert float(ratio.max()) < 1.1


def test_full_rank_is_at_least_as_close_as_mean_field(iris):
    """Its bound is higher; 5 standard errors of each."""
    facts = [info(approximation(method, iris.drop(columns="species"))) for method in METHODS]
    assert facts[1].notes.elbo > facts[0].notes.elbo - 5 * (facts[0].notes.elbo_se + facts[1].notes.elbo_se)


def test_more_fixed_draws_are_used_when_a_gaussian_overfits_them():
    fit = approximation("fullrank_advi", bg.datasets.galaxies(), bg.MixtureModel(6), seed=2)
    samples = fit["optimisation"]["samples"].values
    assert samples[-1] > samples[0]
    assert info(fit).notes.optimism < advi.OPTIMISM + 4 * info(fit).notes.elbo_se


def warnings_of(*args, **settings):
    """Warnings stored in the fit, each of which was also given."""
    return info(approximation(*args, **settings)).warnings


def test_draws_that_do_not_suffice_are_reported():
    found = warnings_of("fullrank_advi", bg.datasets.galaxies(), bg.MixtureModel(6), samples=40)
    assert re.match("The approximation overfits its 40 fixed draws: their ELBO is .* nats too high", found[0])


def test_a_posterior_that_no_gaussian_fits_is_reported(whole_searches):
    x = np.random.default_rng(0).normal(size=40)
    with pytest.warns(FitWarning):
        fit = bg.fit(bg.MixtureModel(3), x, "advi", seed=3, progress=False)
    assert "differs from a short Gibbs run" in info(fit).warnings[0]
    assert not any("chains" in message for message in info(fit).warnings)


def test_a_good_approximation_gives_no_warning():
    fit = bg.fit(MODEL, APART.X, "advi", seed=1, draws=3, progress=False)  # a warning would be an error
    assert info(fit).notes.importance_share > 0.8
    assert "ELBO -" in convergence_line(fit)
    assert "k-hat 0." in convergence_line(fit)
    assert fit["posterior"].sizes["draw"] == 3


def test_log_q_is_the_density_of_the_draws():
    """The target is the Gaussian of the whitening itself, so their densities are equal everywhere."""
    target = Gaussian(4, correlated=True)
    chol = np.linalg.cholesky(target.covariance)
    whitening = laplace.Whitening(target.mean, chol, 0.0, 0)
    normals = np.random.default_rng(0).normal(size=(20, 4))
    bound = Bound([target] * 20, whitening, MeanField(), normals, 1)
    params = bound.start()
    lp = [target(q)[0] for q in bound.draws(params, normals)]
    np.testing.assert_allclose(bound.log_q(params, normals), lp)


@pytest.mark.parametrize("k", [0.3, 0.9])
def test_khat_is_the_shape_of_the_ratios_tail(k):
    """Ratios of an exact Pareto tail; 5 standard errors, (1 + k) / sqrt(tail of 3 sqrt(100,000))."""
    ratios = -k * np.log(np.random.default_rng(0).uniform(size=100_000))
    assert assess(ratios).pareto_khat == pytest.approx(k, abs=5 * (1 + k) / np.sqrt(3 * np.sqrt(100_000)))


# -- resampling --


def unresampled(*args, **given):
    """Fit without importance resampling."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(corrections, "GOOD_SHARE", 0.0)
        patch.setattr(importance, "GOOD_SHARE", 0.0)
        return approximation(*args, **given)


@pytest.fixture(scope="module")
def flowers(iris):
    """The iris model, its data, and means and sds by NUTS at the mode with the most mass.

    From some seeds a chain goes over to a second mode (and R-hat says so): no reference for a single Gaussian.
    """
    model = bg.load_card(bg.model.card_path("iris")).mixture
    data = iris.drop(columns="species")
    reference = bg.fit(model, data, draws=2500, seed=113, disagreement="report", progress=False)["posterior"]
    return model, data, reference.mean(["chain", "draw"]), reference.std(["chain", "draw"])


def compare(fit, mean, sd):
    """Largest error of a mean, in sd; ratios of the sd of covariance entries."""
    found, spread = (getattr(fit["posterior"], name)(["chain", "draw"]) for name in ("mean", "std"))
    errors = [float((abs(found[name] - mean[name]) / sd[name]).max()) for name in ("weight", "mean", "covariance")]
    return max(errors), (spread["covariance"] / sd["covariance"]).values.ravel()


@pytest.mark.parametrize("method", METHODS)
def test_resampling_widens_intervals_that_are_too_narrow(method, flowers):
    """Only in part: the Gaussian has no draws in the widest tails.

    Over five seeds and both methods 88 to 94% of the sds come within 15% of NUTS's (73 to 79% of the Gaussian's), the
    smallest is 0.75 to 0.84 of it (0.62 to 0.69), and the worst mean is 0.06 to 0.14 sd off (0.14 to 0.22).
    """
    model, data, mean, sd = flowers
    before, narrow = compare(unresampled(method, data, model, draws=4000), mean, sd)
    after, ratio = compare(approximation(method, data, model, draws=4000), mean, sd)
    assert after < 0.9 * before
    assert np.median(ratio) == pytest.approx(1, abs=0.05)
    assert np.mean(abs(ratio - 1) < 0.15) > max(0.75, np.mean(abs(narrow - 1) < 0.15))
    assert ratio.min() > max(0.68, narrow.min())
    assert ratio.max() < 1.15


def variance_levels(density, x, probabilities):
    """Quantiles of the posterior of one component's variance, by quadrature over both coordinates."""
    whitening = laplace.heaviest_mode(density, laplace.starting_points(density, 0, 1))
    axis = np.linspace(-15, 15, 401)
    q = whitening(np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2))
    lp = np.array([density(row)[0] for row in q])
    variance = density.standard.scale.item() ** 2 * np.exp(-2 * q[:, -1])
    order = np.argsort(variance)
    steps = np.cumsum(np.exp(lp - lp.max())[order])
    return np.interp(probabilities, steps / steps[-1], variance[order])


@pytest.mark.parametrize("method", METHODS)
def test_resampled_quantiles_are_those_of_quadrature(method):
    """Six points in one dimension. Binomial standard errors, 4 of them: 6e-5 for each of three."""
    x = np.random.default_rng(5).normal(3.0, 2.0, size=6)
    model, probabilities = bg.MixtureModel(1), np.array([0.05, 0.5, 0.95])
    levels = variance_levels(make_density(model, x), x, probabilities)

    def off(fit, draws):
        below = (fit["posterior"]["covariance"].values.reshape(-1, 1) < levels).mean(axis=0)
        return abs(below - probabilities) / np.sqrt(probabilities * (1 - probabilities) / draws)

    fit = approximation(method, x, model, draws=4000)
    assert off(fit, info(fit).notes.resampled.effective).max() < 4
    assert off(unresampled(method, x, model, draws=4000), 4000).max() > 6


def test_good_draws_are_left_alone():
    draws = Draws(np.arange(300.0)[:, None], np.arange(300.0), np.arange(300.0) + 1)
    kept, facts = keep(draws, 200, 10_000, lambda count: pytest.fail("more were drawn"), np.random.default_rng(0))
    assert facts.resampled is None
    np.testing.assert_array_equal(kept.q, draws.q[:200])
    for fit in (approximation("advi"), unresampled("advi")):
        assert info(fit).notes.resampled is None
        assert "1000 draws of a Gaussian approximation;" in convergence_line(fit)


def bumps(count, seed=0):
    """Draws of a standard normal, for a posterior twice as wide (in variance) and off centre."""
    q = np.random.default_rng(seed).normal(size=(count, 1))
    return Draws(q, -((q[:, 0] - 0.5) ** 2) / 4, -(q[:, 0] ** 2) / 2)


def test_kept_draws_keep_their_densities_and_are_in_random_order():
    seeds = iter(range(1, 20))
    kept, facts = keep(bumps(1000), 1000, 10**9, lambda count: bumps(count, next(seeds)), np.random.default_rng(0))
    np.testing.assert_array_equal(kept.lp, -((kept.q[:, 0] - 0.5) ** 2) / 4)
    np.testing.assert_array_equal(kept.log_q, -(kept.q[:, 0] ** 2) / 2)
    assert facts.resampled.distinct == len(np.unique(kept.q))
    early = np.isin(kept.q[:, 0], bumps(1000).q)  # the assessed ones, which were proposed first
    assert 0 < early[:500].sum() < early.sum()


def test_a_draw_is_resampled_in_proportion_to_its_weight():
    rng = np.random.default_rng(0)
    weight = rng.dirichlet(np.full(300, 0.3))
    counts = np.array([np.bincount(resample(weight, 200, rng), minlength=300) for _ in range(2000)])
    assert (abs(counts - 200 * weight) < 1).all()
    np.testing.assert_allclose(counts.mean(axis=0), 200 * weight, atol=5 * 0.5 / np.sqrt(2000))
    chosen = resample(weight, 200, rng)
    assert not np.array_equal(chosen, np.sort(chosen))


def test_weights_are_finite_when_one_draw_has_all_weight():
    for log_ratio in (np.r_[np.zeros(500), 1000.0], np.r_[np.full(500, -np.inf), 0.0, np.nan]):
        weight, khat = smooth(log_ratio)
        assert khat > HIGH_KHAT
        np.testing.assert_array_equal(weight, np.arange(len(weight)) == 500)


def test_proposals_are_bounded_and_ctrl_c_keeps_those_made():
    asked = []

    def propose(count):
        asked.append(count)
        if len(asked) == 3:
            raise KeyboardInterrupt
        return bumps(count, len(asked))

    assessed, rng = bumps(500), np.random.default_rng(0)
    assert keep(assessed, 500, 1000, propose, rng)[1].resampled.proposals == 1000
    assert keep(assessed, 500, 100, propose, rng)[1].resampled.proposals == 500
    assert keep(assessed, 500, 10**9, propose, rng)[1].resampled.proposals == 1000
    assert importance.wanted(1e-9, 500) == importance.MAX_PROPOSALS * 500


def test_the_fit_reports_that_its_draws_were_resampled(iris):
    fit = approximation("fullrank_advi", iris.drop(columns="species"))
    facts = info(fit).notes.resampled
    assert facts.proposals > 4000
    assert 500 < facts.effective <= facts.distinct <= 1000
    assert f"1000 draws, resampled from {facts.proposals} of a " in convergence_line(fit)


def test_a_small_effective_sample_size_is_reported(monkeypatch):
    """With no further proposals than those assessed."""
    monkeypatch.setattr(importance, "PROPOSALS_WORTH", 1)
    x = np.random.default_rng(0).normal(size=40)
    found = warnings_of("advi", x, bg.MixtureModel(3), seed=2)
    assert re.match(
        r"The 1000 draws, resampled from 1000 .*, have an effective sample size of only \d+ .*\(100 wanted\)",
        found[-1],
    )


@pytest.mark.parametrize("method", METHODS)
def test_resampled_draws_are_the_same_on_any_number_of_cores(method, iris):
    one, two = (approximation(method, iris.drop(columns="species"), cores=cores, draws=200) for cores in (1, 2))
    assert info(one).notes.resampled
    np.testing.assert_array_equal(one["posterior"]["mean"], two["posterior"]["mean"])


# -- minibatches --


@pytest.mark.parametrize("points", [64, 200])
def test_minibatches_are_exact_at_the_mode_and_right_on_average(points):
    """The mean over windows that tile the data is the full log density, at any point."""
    x = make_mixture(n_points=6400, n_features=2, n_components=3, seed=1).X
    density = make_density(MODEL, x)
    mode = laplace.find_mode(density, laplace.starting_points(density, 0, 1)[0])
    batches = draw_minibatches(density, mode, 100 if points == 64 else 5, points, seed=0)
    for batch in batches[:5]:
        value, grad = batch(mode)
        assert value == pytest.approx(density(mode)[0])
        np.testing.assert_allclose(grad, density(mode)[1], atol=1e-8)
    if points == 64:
        near = mode + 0.01 * np.random.default_rng(0).normal(size=mode.size)
        average = np.mean([batch(near)[1] for batch in batches], axis=0)
        np.testing.assert_allclose(average, density(near)[1], atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_minibatches_agree_with_all_points(method, monkeypatch):
    """Coordinates from 5,000 points of 20,000, and batches of 1,024."""
    monkeypatch.setattr(advi, "ROUGH", 5000)
    x = make_mixture(n_points=20_000, n_features=2, n_components=3, overlap=0.05, seed=1).X
    whole, part = (approximation(method, x, draws=4000, batch_size=size) for size in (None, 1024))
    assert not np.array_equal(whole["posterior"]["mean"], part["posterior"]["mean"])
    assert abs(info(whole).notes.elbo - info(part).notes.elbo) < 0.3
    for name in ("weight", "mean", "covariance"):
        a, b = whole["posterior"][name], part["posterior"][name]
        sd = a.std(["chain", "draw"])
        assert float((abs(a.mean(["chain", "draw"]) - b.mean(["chain", "draw"])) / sd).max()) < 0.1
        assert abs(float((b.std(["chain", "draw"]) / sd - 1).max())) < 0.15


def test_a_batch_as_large_as_the_data_is_the_data():
    whole, part = (approximation("advi", batch_size=size)["posterior"]["mean"] for size in (None, 600))
    np.testing.assert_array_equal(whole, part)


@pytest.mark.parametrize("method", METHODS)
def test_minibatches_are_the_same_on_any_number_of_cores(method):
    one, two = (approximation(method, batch_size=100, cores=cores)["posterior"]["mean"] for cores in (1, 2))
    np.testing.assert_array_equal(one, two)


# -- the run, and what is left of it --


def test_stopping_early_is_reported():
    found = warnings_of("advi", bg.datasets.galaxies(), bg.MixtureModel(5), max_iter=1, samples=64)
    assert re.match("ADVI stopped after 1 iterations before it converged .* larger max_iter", found[0])


def test_ctrl_c_keeps_the_best_so_far(monkeypatch):
    monkeypatch.setattr(advi, "REPORTED", 3)

    class Interrupts(Silent):
        """Sends Ctrl-C at the first report of an iteration."""

        def stage(self, text):
            if text.startswith("iteration"):
                os.kill(os.getpid(), signal.SIGINT)

    fit = approximation("advi", bg.datasets.galaxies(), bg.MixtureModel(5), progress=Interrupts())
    assert info(fit).warnings[0].startswith("Interrupted: kept the approximation of iteration 3")
    assert info(fit).notes.interrupted
    assert not info(fit).notes.converged
    assert np.isfinite(fit["posterior"]["mean"]).all()


@pytest.mark.parametrize("name", ["fit.nc", "fit.zarr"])
def test_the_history_survives_the_disk(tmp_path, name):
    fit = approximation("advi", draws=20)
    bg.save(fit, tmp_path / name)
    again = bg.load(tmp_path / name)
    assert again.identical(fit)
    assert again["optimisation"]["elbo"].dims == ("iteration",)


def test_settings_that_may_be_none_are_checked_too():
    for given, message in [({"batch_size": 0}, "batch_size=0"), ({"samples": 2.5}, "samples=2.5")]:
        with pytest.raises(DeclarationError, match=f"{message}: must be a whole number, at least 1"):
            bg.fit(MODEL, APART.X, "advi", **given)
    assert info(approximation("advi", draws=5, samples=None)).settings["samples"] is None


def test_full_rank_checks_its_requirements():
    with pytest.raises(DeclarationError, match="full rank needs at least two per coordinate, here 34"):
        bg.fit(MODEL, APART.X, "fullrank_advi", samples=20, progress=False)
    with pytest.raises(SamplingError, match="too many for full-rank ADVI.*\n.*method='advi'"):
        bg.fit(bg.MixtureModel(10), np.random.default_rng(0).normal(size=(300, 14)), "fullrank_advi", progress=False)


def test_the_elbo_is_drawn_with_its_history():
    fit = approximation("fullrank_advi", bg.datasets.galaxies(), bg.MixtureModel(6), draws=50)
    figure = bg.plots.elbo(fit)
    axis = figure.axes[0]
    assert (axis.get_xlabel(), axis.get_ylabel()) == ("iteration", "evidence lower bound (nats)")
    drawn = sum(line.get_xdata().size for line in axis.get_lines()[:-1])
    assert drawn == fit["optimisation"].sizes["iteration"]
    plt.close(figure)


def test_a_fit_without_an_elbo_says_so(fit):
    with pytest.raises(FitFileError, match="no ELBO history; fit with method='vb', 'advi'"):
        bg.plots.elbo(fit)
