"""Parallel tempering: the posterior at its coldest rung, the log evidence from the ladder, and the ladder itself."""

import warnings
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.special import logsumexp

import bayesgmm as bg
from bayesgmm.data.points import as_points
from bayesgmm.errors import FitWarning
from bayesgmm.inference import gibbs_chains, ladders, tempering
from bayesgmm.inference.agreement import agreement, label_free
from bayesgmm.inference.engine import Silent
from bayesgmm.inference.importance import log_evidence
from bayesgmm.inference.ladders import adapted, first_ladder
from bayesgmm.posterior.log_posterior import LogPosterior
from bayesgmm.reports import chains
from tests.inference.test_reconciliation import symmetric
from tests.model_selection.test_evidence import (
    FEW,
    POINTS,
    PRIORS,
    average_over_the_prior,
    conjugate,
    enumerated,
    normal_wishart,
)


def tempered(model, x, noise=None, **settings):
    density = LogPosterior.of(model, as_points(x, gaps=True).measured(noise))
    settings = {"draws": 1000, "tune": 300, "chains": 2, "thin": 2} | settings
    return density, tempering.sample(density, settings.pop("seed", 1), 2, Silent(), **settings)


def test_one_gaussian_has_the_closed_form():
    """False alarm: 6e-7 (5 sd)."""
    x = np.random.default_rng(0).normal(size=(40, 2)) * [1.0, 20.0] + [5.0, 100.0]
    location, scale = np.array([5.0, 90.0]), np.diag([1.0, 400.0])
    means, covariances = bg.ConjugateMeans(tuple(location), 0.5), bg.WishartPrecision(4.0, scale)
    found = tempered(bg.MixtureModel(1, means=means, covariances=covariances), x)[1].info
    right = normal_wishart(x, location, 0.5, 4.0, scale)
    assert abs(found.log_evidence - right) < 5 * found.log_evidence_se < 0.5


@pytest.mark.parametrize("prior", PRIORS, ids=str)
def test_the_evidence_is_the_sum_over_all_assignments(prior):
    """False alarm: 6e-7 each (5 sd)."""
    found = tempered(conjugate(2, prior), POINTS)[1].info
    assert abs(found.log_evidence - enumerated(prior, 2)) < 5 * found.log_evidence_se < 0.4


LEARNED = (
    bg.MixtureModel(2, "diag", bg.Dirichlet(bg.Gamma(2.0, 4.0)), bg.HierarchicalMeans()),
    bg.MixtureModel(2, "full", bg.DirichletProcess(bg.Gamma(2.0, 2.0)), covariances=bg.WishartPrecision(4.0, 1.5)),
    bg.MixtureModel(3, "tied", bg.Dirichlet((2.5, 0.7, 1.0)), covariances=bg.WishartPrecision(4.0, bg.Gamma(2.0, 1.0))),
    bg.MixtureModel(2, "spherical", bg.PitmanYor(), bg.ConjugateMeans(), background=bg.Background(0.2)),
)


@pytest.mark.parametrize("model", LEARNED[:3], ids=str)
def test_the_evidence_is_the_mean_likelihood_under_the_prior(model):
    """False alarm: 6e-7 each (5 sd), with the errors of both."""
    density, found = tempered(model, FEW)
    right, error = average_over_the_prior(density, 50_000, seed=3)
    se = np.hypot(error, found.info.log_evidence_se)
    assert abs(found.info.log_evidence - right) < 5 * se < 1.0


def latent(x, kind):
    """Measurements of points: a third of the cells missing, or all with errors; and what ``noise`` is."""
    rng = np.random.default_rng(8)
    missing = rng.uniform(size=x.shape) < (1 / 3 if kind == "missing" else 1 / 6)
    missing[0] = False
    noise = None if kind == "missing" else rng.uniform(0.3, 1.0, size=x.shape)
    if kind == "covariances":
        noise = np.einsum("ni,nj,ij->nij", noise, noise, 0.5 + 0.5 * np.eye(x.shape[1]))
    return np.where(missing, np.nan, x), noise


def measured_over_the_prior(density, x, noise, draws):
    """Log of the mean likelihood of what was measured at draws of the prior, and the standard error."""
    rng, model, k = np.random.default_rng(3), density.model, density.n_components
    weight, _ = model.weights.draw(rng, k, draws)
    covariance, _ = model.covariances.draw(rng, model.family, (draws, k, 2))
    mean, _ = model.means.draw(rng, k, draws, covariance)
    total = np.zeros(draws)
    for n, row in enumerate(x):
        seen = ~np.isnan(row)
        if not seen.any():
            continue
        error = np.zeros((2, 2)) if noise is None else noise[n] if noise.ndim == 3 else np.diag(noise[n] ** 2)
        spread = (covariance + error)[:, :, seen][..., seen]
        away = (row - mean)[..., seen]
        distance = (away * np.linalg.solve(spread, away[..., None])[..., 0]).sum(axis=2)
        log_det = np.linalg.slogdet(2 * np.pi * spread)[1]
        with np.errstate(divide="ignore"):
            total += logsumexp(np.log(weight) - 0.5 * (distance + log_det), axis=1)
    return log_evidence(total)


@pytest.mark.parametrize("number", range(3))
@pytest.mark.parametrize("kind", ["missing", "errors", "covariances"])
def test_the_evidence_with_latent_cells_is_the_mean_likelihood_under_the_prior(kind, number):
    """False alarm: 6e-7 each (5 sd), with the errors of both."""
    x, noise = latent(FEW, kind)
    density, found = tempered(LEARNED[number], x, noise)
    right, error = measured_over_the_prior(density, x, noise, 50_000)
    se = np.hypot(error, found.info.log_evidence_se)
    assert abs(found.info.log_evidence - right) < 5 * se < 1.0


@pytest.mark.parametrize("kind", ["missing", "covariances"])
def test_draws_with_latent_cells_are_those_of_plain_sampling(kind):
    check_draws(LEARNED[3], *latent(np.random.default_rng(2).normal(size=(6, 2)) + [[0.0, 0.0], [3.0, 0.0]] * 3, kind))


@pytest.mark.parametrize("model", LEARNED, ids=str)
def test_draws_are_those_of_plain_sampling(model):
    """Means of label-free quantities of six points: 5 standard errors of both; weights, and exchanges, are beside."""
    check_draws(model, np.random.default_rng(2).normal(size=(6, 2)) + [[0.0, 0.0], [3.0, 0.0]] * 3)


def check_draws(model, x, noise=None):
    density, found = tempered(model, x, noise, draws=1500, thin=4)
    plain = gibbs_chains.run(density, 1, 2, draws=1500, tune=200, chains=2, thin=10)
    one, other = (label_free(density, q, np.zeros(q.shape[:2]))[..., 1:] for q in (found.q, plain))
    assert min(agreement(one).ess, agreement(other).ess) > 600
    error = np.sqrt((one.var(axis=(0, 1)) + other.var(axis=(0, 1))) / 600)
    assert (abs(one.mean(axis=(0, 1)) - other.mean(axis=(0, 1))) < 5 * error).all()


def test_the_log_likelihood_is_that_of_the_draw():
    density, found = tempered(bg.MixtureModel(2, background=bg.Background(0.1)), FEW, draws=5, tune=20)
    units = len(FEW) * density.standard.log_scale
    values = [density.value(q) - density.log_prior(q) + units for q in found.q[0]]
    np.testing.assert_allclose(found.loglik[0], values)


def test_chunks_and_threads_change_no_draw(monkeypatch):
    density, one = tempered(bg.MixtureModel(2), FEW, draws=20, tune=40)
    monkeypatch.setattr(gibbs_chains, "CHUNK", 0.0)  # one iteration at a time
    other = tempering.sample(density, 1, 1, Silent(), draws=20, tune=40, chains=2, thin=2)
    np.testing.assert_array_equal(one.q, other.q)
    assert one.info == other.info


def test_both_modes_are_visited_equally_often():
    """Two clusters apart in x or in y, as likely. A share of .5 has a standard error of .05 with 100 round trips."""
    density, found = tempered(bg.MixtureModel(2, "tied"), symmetric(), tune=600, thin=10)
    assert found.info.round_trips > 30
    assert all(0.1 < rate < 0.7 for rate in found.info.swap_rates)
    x, y = np.abs(np.diff(density.mixture(found.q)[1], axis=2)[:, :, 0]).transpose(2, 0, 1)
    assert (x > y).mean() == pytest.approx(0.5, abs=0.25)


def test_few_round_trips_are_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        fit = bg.fit(bg.MixtureModel(1), FEW, "gibbs", seed=1, tempering="parallel", draws=5, thin=1, progress=False)
    assert any("between the prior and the posterior" in text for text in bg.info(fit).warnings)
    assert [finding.check for finding in bg.diagnose(fit, progress=False)].count("tempering") == 1
    (paragraph,) = chains.tempering(SimpleNamespace(fit=fit))
    assert "round trips (" in paragraph.text


def test_rungs_are_placed_where_exchanges_are_rejected():
    """Rejections between two rungs only: all new rungs but the ends are between these."""
    beta, nearest = adapted(np.array([0.0, 0.1, 0.4, 0.9, 1.0]), np.array([0.0, 0.0, 0.9, 0.0]))
    assert beta.tolist() == sorted(beta)
    assert ((beta[1:-1] >= 0.4) & (beta[1:-1] <= 0.9)).all()
    assert nearest.max() <= 4
    assert first_ladder(1000.0)[[0, -1]].tolist() == [0.0, 1.0]


def test_the_error_of_the_ladder_is_that_of_repeats():
    """Gaussian log likelihoods of independent draws: 40 ladders; the ratio of variances is within 5 sd, .22 each."""
    found = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        at = -rng.chisquare(4, size=(2, 400, 3)) / (1 + np.array([0.0, 1.0, 3.0]))  # -|x|^2, x ~ N(0, 1 / (1 + 2 beta))
        beta = np.array([0.0, 0.5, 1.5])
        energy = np.stack([np.roll(beta, -1) * at, beta * at, np.roll(beta, 1) * at], axis=-1)
        found.append(ladders.ladder_evidence(energy))
    values, errors = np.array([(f.log_evidence, f.se) for f in found]).T
    assert values.mean() == pytest.approx(-2 * np.log(4.0), abs=5 * errors.mean() / np.sqrt(40))
    assert values.var() / np.mean(errors**2) == pytest.approx(1.0, abs=5 * 0.22)
