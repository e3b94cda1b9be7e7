"""Bayesian fits of volume, shape and orientation: mclust's optimum, agreement of engines and of structures."""

import warnings

import numpy as np
import pytest

import bayesgmm as bg
from bayesgmm.data.points import as_points
from bayesgmm.errors import FitWarning
from bayesgmm.inference import labelled_copies
from bayesgmm.inference.laplace import find_mode, straightened, whiten
from bayesgmm.posterior.log_posterior import LogPosterior
from evidence.calibration import COMMON, Calibration, Simulation
from evidence.declared import DECOMPOSED as CALIBRATED
from evidence.declared import structured_declarations
from tests.families.registry import DECOMPOSED

IRIS = bg.datasets.iris().drop(columns="species")


def summaries(fit):
    """Largest R-hat of the components' parameters, and their posterior means in the order of the first mean."""
    from arviz_stats.base.array import array_stats

    posterior = fit["posterior"]
    values = np.concatenate(
        [posterior[name].values.reshape(*posterior["weight"].shape[:2], -1) for name in posterior], 2
    )
    varied = values[..., np.ptp(values, axis=(0, 1)) > 1e-9]
    rhat = max(array_stats.rhat(one, chain_axis=0, draw_axis=1) for one in np.moveaxis(varied, 2, 0))
    mean = posterior["mean"].values.mean(axis=(0, 1))
    order = np.argsort(mean[:, 0])
    return rhat, mean[order], posterior["covariance"].values.mean(axis=(0, 1))[order]


def apart(n=600, seed=0):
    """Two clusters whose covariances have equal volumes, and different shapes and orientations."""
    rng, parts = np.random.default_rng(seed), []
    for angle, ratio, centre in ((0.4, 3.0, 0.0), (-0.7, 1.7, 12.0)):
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        half = turn * np.sqrt([ratio, 1 / ratio])
        parts.append(centre + rng.normal(size=(n, 2)) @ half.T)
    return np.concatenate(parts)


def test_nuts_of_iris_converges_under_mclusts_choice():
    """VEV, with a cluster for each species: R-hat below 1.02, few divergent transitions, means near the optimum."""
    model = bg.MixtureModel(3, "VEV")
    fit = bg.fit(model, IRIS, "nuts", seed=1, disagreement="report", max_draws=1, progress=False)
    rhat, mean, _ = summaries(fit)
    assert rhat < 1.02
    assert fit["sample_stats"]["diverging"].values.mean() < 0.005
    best = bg.fit(model, IRIS, "mle", seed=1, progress=False)
    assert abs(best["sample_stats"]["loglik"].item() - -186.0733) < 1e-3  # mclust: -186.0731 to -186.0733
    order = np.argsort(best["posterior"]["mean"].values[0, 0, :, 0])
    np.testing.assert_allclose(mean, best["posterior"]["mean"].values[0, 0][order], atol=0.15)


@pytest.mark.parametrize("name", DECOMPOSED)
def test_nuts_and_the_maximum_agree_where_data_are_plenty(name):
    """Means within 0.1, covariances within a tenth."""
    x = apart()
    fit = bg.fit(bg.MixtureModel(2, name), x, "nuts", draws=200, chains=2, seed=1, max_draws=1, progress=False)
    best = bg.fit(bg.MixtureModel(2, name), x, "mle", seed=1, progress=False)
    _, mean, covariance = summaries(fit)
    order = np.argsort(best["posterior"]["mean"].values[0, 0, :, 0])
    np.testing.assert_allclose(mean, best["posterior"]["mean"].values[0, 0][order], atol=0.05)
    expected = best["posterior"]["covariance"].values[0, 0][order]
    np.testing.assert_allclose(covariance, expected, atol=0.1 * expected.max())


def test_a_structure_that_holds_agrees_with_full_covariances_where_data_are_plenty():
    x = apart(n=2000)
    fits = [bg.fit(bg.MixtureModel(2, name), x, "nuts", draws=300, seed=1, progress=False) for name in ("EVV", "full")]
    (_, mean, covariance), (_, mean_, covariance_) = map(summaries, fits)
    np.testing.assert_allclose(mean, mean_, atol=0.02)
    np.testing.assert_allclose(covariance, covariance_, rtol=0.03, atol=0.03)


@pytest.mark.parametrize("name", ["VEE", "VEV", "VVE"])
def test_approximation_and_chains_agree_on_the_evidence(name):
    """Bridge sampling and importance sampling count the copies of rotations alike; within five standard errors."""
    x = apart(n=60)
    model = bg.MixtureModel(2, name)
    chains = bg.evidence(bg.fit(model, x, "nuts", seed=1, progress=False))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        other = bg.evidence(bg.fit(model, x, "advi", seed=1, progress=False))
    assert abs(chains.log_evidence - other.log_evidence) < 5 * np.hypot(chains.se, other.se) + 0.02


def test_the_evidence_is_the_integral_of_the_density():
    """One component in two columns: by importance sampling over all coordinates, without copies. Five errors: 6e-7."""
    x = apart(n=15)[:15]
    model = bg.MixtureModel(1, "VEV")
    density = LogPosterior.of(model, as_points(x))
    mode = straightened(density, whiten(density, find_mode(density, np.zeros(density.size))))
    about = mode.density(density)
    rng, count = np.random.default_rng(0), 20_000
    z = rng.standard_t(5, size=(count, density.size))
    log_t = (np.log(0.3796066898) - 3 * np.log1p(z**2 / 5)).sum(axis=1)  # density of Student's t, 5 degrees of freedom
    ratio = about.values(mode(1.5 * z)) - log_t + np.linalg.slogdet(1.5 * mode.spread)[1]
    weight = np.exp(ratio - ratio.max())
    expected, error = np.log(weight.mean()) + ratio.max(), weight.std() / weight.mean() / np.sqrt(count)
    found = bg.evidence(bg.fit(model, x, "nuts", seed=1, progress=False))
    assert abs(found.log_evidence - expected) < 5 * np.hypot(found.se, error) + 0.01


@pytest.mark.filterwarnings("ignore")
def test_intervals_are_calibrated():
    """Simulation-based calibration: eight structures, two data sets each, short chains, all positions together.

    False alarm: 1e-6 for each of seven quantities. ``python -m evidence sbc-nuts`` takes more.
    """
    chosen = [one for one in structured_declarations() if one[0].split(",")[0] in CALIBRATED]
    assert len(chosen) == 8
    settings = {"draws": 150, "chains": 1, "max_draws": 1, "cores": 1, "sweeps": 300}
    simulations = [Simulation("nuts", one, 5, settings) for one in chosen]
    for _ in range(2):
        for simulation in simulations:
            simulation.step()
    together = Calibration.together([simulation.found for simulation in simulations])
    assert len(together.position[COMMON[0]]) >= 14
    p = together.p_values()
    assert min(p[name] for name in COMMON) > 1e-6


@pytest.mark.filterwarnings("error")
def test_draws_of_a_proposal_that_are_too_large_for_numbers_are_in_no_copy():
    density = LogPosterior.of(bg.MixtureModel(2, "VEV"), as_points(IRIS))
    q = np.zeros((3, density.size))
    q[1, np.arange(density.size)[density.roots][:2]] = -400.0  # of volumes: roots are finite, and their squares are not
    q[2, density.roots] = 1e4
    assert labelled_copies.in_copy(density, labelled_copies.ByWeight(), q).tolist()[1:] == [False, False]
