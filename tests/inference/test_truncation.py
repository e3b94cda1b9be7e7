"""Truncation of a process: what it does to a fit decides whether the fit warns."""

import warnings
from dataclasses import replace

import numpy as np
import pytest

import bayesgmm as bg
from bayesgmm.data.points import as_points
from bayesgmm.data.standards import Standard
from bayesgmm.inference.truncation import truncation
from bayesgmm.posterior.parameters import Parameters
from bayesgmm.posterior.schema import Posterior

MODEL = bg.MixtureModel(3, weights=bg.DirichletProcess(1.0))
CORNERS = np.array([[0.0, 0.0], [9.0, 0.0], [0.0, 9.0], [9.0, 9.0], [18.0, 0.0], [18.0, 9.0]])


def effect(x, row_weights=None, model=MODEL, draws=20):
    """Effect for equal draws: the first two components are at 0 and 50, the last at 100."""
    points = replace(as_points(x), weights=None if row_weights is None else np.array(row_weights))
    weight, mean = np.tile([0.6, 0.3, 0.1], (draws, 1)), np.tile([[0.0], [50.0], [100.0]], (draws, 1, 1))
    drawn = Parameters(weight, mean, np.ones((draws, 3, 1, 1)))
    return truncation(model, Posterior(drawn, points.columns, Standard.of(points)), points)


@pytest.mark.parametrize("held", [0, 1, 2, 5])
def test_the_points_of_the_last_stick_count(held):
    x = np.concatenate([np.linspace(-1, 1, 30), np.linspace(49, 51, 9), np.full(held, 100.0)])[:, None]
    assert effect(x).several_points == (held >= 2)
    assert effect(x, model=bg.MixtureModel(3)) is None


def test_points_between_two_sticks_count_with_their_probability():
    """False alarm: 1e-5 (4.4 standard errors)."""
    x = np.array([[-1.0], [1.0], [50.0], [75.0], [75.0]])
    x[3:] += np.log(3) / 50  # where the heavier and the lighter component are equally probable
    assert effect(x, draws=2000).several_points == pytest.approx(0.25, abs=4.4 * (0.25 * 0.75 / 1000) ** 0.5)


def test_a_row_with_a_weight_counts_as_that_many_points():
    x = np.array([[-1.0], [1.0], [0.0], [50.0], [100.0]])
    assert effect(x).several_points == 0
    assert effect(x, [1.0, 1.0, 1.0, 1.0, 4.0]).several_points == 1


def test_a_sample_of_many_points_represents_all():
    x = np.concatenate([np.linspace(-1, 1, 9900), np.full(100, 100.0)])[:, None]
    assert effect(x).several_points == 1


@pytest.mark.parametrize("weights", [bg.DirichletProcess(), bg.PitmanYor()])
def test_too_few_sticks_for_the_clusters_give_a_warning(weights):
    rng = np.random.default_rng(5)
    x = (CORNERS[:, None] + rng.normal(size=(6, 20, 2))).reshape(-1, 2)
    with pytest.warns(bg.FitWarning, match=r"The last of 4 sticks has .* too early"):
        bg.fit(bg.MixtureModel(4, weights=weights), x, "gibbs", draws=200, max_draws=200, seed=0, progress=False)


def test_a_heavy_last_stick_that_changes_no_result_is_a_note():
    """Twelve sticks of a Pitman-Yor process for the galaxies: 24 give the same results (docs/guides/priors.md)."""
    model = bg.MixtureModel(12, weights=bg.PitmanYor())
    with warnings.catch_warnings():
        warnings.simplefilter("error", bg.FitWarning)
        fit = bg.fit(model, bg.datasets.galaxies(), "gibbs", seed=1, cores=1, progress=False)
    (found,) = bg.diagnose(fit, ["last stick"], progress=False)
    assert found.severity == "note"
    assert "The last of 12 sticks has 1." in found.what


def test_a_small_concentration_does_not_hide_clusters_that_share_the_last_stick():
    """Under such a prior, further components are improbable; the data need them."""
    x = (CORNERS[:, None] + np.random.default_rng(5).normal(size=(6, 20, 2))).reshape(-1, 2)
    model = bg.MixtureModel(4, weights=bg.DirichletProcess(0.02))
    with pytest.warns(bg.FitWarning, match=r"The last of 4 sticks has .* too early"):
        bg.fit(model, x, "gibbs", draws=200, max_draws=200, seed=0, progress=False)
