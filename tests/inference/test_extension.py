"""Runs with a small effective sample size are extended, within a budget."""

import warnings
from dataclasses import replace

import numpy as np
import pytest

import bayesgmm as bg
from bayesgmm.data.points import as_points
from bayesgmm.inference import extension, gibbs, nuts
from bayesgmm.inference.agreement import agreement, ess_within_chains
from bayesgmm.inference.engine import Silent
from bayesgmm.inference.laplace import find_mode
from bayesgmm.posterior.log_posterior import LogPosterior
from bayesgmm.posterior.notes import EngineNotes

CLOSE = np.random.default_rng(0).normal(size=(100, 1)) + 2.5 * np.repeat([[0.0], [1.0]], 50, axis=0)
SHORT = {"gibbs": {"thin": 1, "tune": 50}, "nuts": {"tune": 60, "chains": 2}}


def fitted(method="gibbs", **settings):
    """A short fit whose successive draws are strongly correlated."""
    settings = {"draws": 200, "disagreement": "report", **SHORT[method], **settings}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bg.FitWarning)  # the tests read them from the fit
        return bg.fit(bg.MixtureModel(2), CLOSE, method, seed=1, progress=False, **settings)


def test_a_short_run_is_extended_until_its_effective_size_suffices():
    fit = fitted()
    extended = bg.info(fit).notes.extended
    assert (extended.asked, extended.draws) == (200, fit["posterior"].sizes["draw"])
    assert fit["posterior"].sizes["chain"] == 4
    assert not bg.info(fit).warnings
    (note,) = bg.diagnose(fit, ["mixing"], progress=False)[:1]
    assert note.severity == "note"


def test_the_budget_limits_an_extension():
    assert fitted(max_draws=300)["posterior"].sizes["draw"] == 300
    fit = fitted(max_draws=1)
    assert bg.info(fit).notes.extended is None
    assert fit["posterior"].sizes["draw"] == 200


def test_an_extended_gibbs_chain_is_the_longer_chain():
    """Random numbers are keyed by sweep, so that it does not matter where a chain was cut."""
    extended, at_once = fitted(max_draws=500), fitted(draws=500, max_draws=1)
    np.testing.assert_array_equal(extended["sample_stats"]["lp"], at_once["sample_stats"]["lp"])


def test_nuts_is_not_extended_by_itself_where_a_draw_takes_many_steps(monkeypatch):
    assert bg.info(fitted("nuts", max_draws=None)).notes.extended
    monkeypatch.setattr(nuts, "MANY_STEPS", 1)
    assert bg.info(fitted("nuts", max_draws=None)).notes.extended is None
    assert bg.info(fitted("nuts", max_draws=400)).notes.extended


@pytest.mark.parametrize("method", ["gibbs", "nuts"])
def test_extended_draws_do_not_depend_on_the_threads(method):
    one, two = (fitted(method, cores=cores, max_draws=400) for cores in (1, 2))
    assert one["posterior"].sizes["draw"] > 200
    np.testing.assert_array_equal(one["posterior"]["mean"], two["posterior"]["mean"])


@pytest.mark.parametrize(("method", "module", "name"), [("gibbs", gibbs, "sample"), ("nuts", nuts, "draw_from_modes")])
def test_ctrl_c_during_an_extension_keeps_the_draws(method, module, name, monkeypatch):
    real, calls = getattr(module, name), []

    def second_is_stopped(*arguments, **settings):
        calls.append(name)
        if len(calls) > 1:
            raise KeyboardInterrupt
        return real(*arguments, **settings)

    monkeypatch.setattr(module, name, second_is_stopped)
    fit = fitted(method)
    assert len(calls) == 2
    assert bg.info(fit).notes.interrupted
    assert fit["posterior"].sizes["draw"] == 200


def test_an_interrupted_extension_adds_what_all_chains_have():
    q, lp = np.zeros((2, 5, 1)), np.zeros((2, 5))
    more = q.copy()
    more[1, 3:] = np.nan
    longer = extension.Drawn(q, {"lp": lp}).followed_by(extension.Drawn(more, {"lp": lp}, interrupted=True))
    assert (longer.draws, longer.stats["lp"].shape, longer.interrupted) == (8, (2, 8), True)
    one_chain = extension.Drawn(more[:1], {"lp": lp[:1]}, interrupted=True)
    assert extension.Drawn(q, {"lp": lp}).followed_by(one_chain).draws == 5


def test_chains_in_different_modes_are_not_extended():
    """Each mixes well: more draws would change nothing."""
    values = np.random.default_rng(0).normal(size=(4, 200, 1)) + np.array([0, 0, 9, 9])[:, None, None]
    assert agreement(values).rhat > extension.APART
    assert ess_within_chains(values) > extension.wanted_ess(4, 200)


@pytest.mark.parametrize(
    ("covariances", "extensions"), [(bg.WishartPrecision(), 0), (bg.LKJCovariance(), 3)], ids=["gibbs", "chains alone"]
)
def test_chains_are_extended_before_they_are_reconciled_where_only_they_know_the_regions(
    covariances, extensions, monkeypatch
):
    density = LogPosterior.of(bg.MixtureModel(2, covariances=covariances), as_points(CLOSE))
    mode = find_mode(density, density.coordinates(np.full(2, 0.5), np.array([[-1.0], [1.0]]), np.ones((2, 1, 1))))
    rng, made, asked = np.random.default_rng(0), [], []

    def slow(draws):
        q = mode + 0.01 * np.cumsum(rng.normal(size=(2, draws, density.size)), axis=1)
        return extension.Drawn(q, {"lp": np.apply_along_axis(density.value, 2, q)})

    def more(drawn, count, number):
        made.append(number)
        return slow(count)

    def recorded(_, q, *given):
        asked.append((len(made), q.shape[1]))

    monkeypatch.setattr(extension, "reconcile", recorded)
    budget = extension.Budget(draws=200, chains=2)
    extension.settled(density, slow(200), more, EngineNotes(), budget, 0, 1, Silent())
    assert asked == [(extensions, 200)]
    assert len(made) == 3


def test_chains_are_not_apart_if_one_has_moved():
    """Others have hardly moved, but more draws will help."""
    values = np.random.default_rng(0).normal(size=(4, 200, 1)) + np.array([0, 0, 9, 9])[:, None, None]
    values[0, 100:] += 9
    assert agreement(values).rhat > extension.APART
    assert ess_within_chains(values) < extension.wanted_ess(4, 200) / 10


def test_divergent_transitions_make_nuts_tune_again(monkeypatch):
    """As if the first run had diverged: the next one has shorter steps and longer tuning."""
    real, given = nuts.draw_from_modes, []

    def diverging_at_first(density, modes, seed, cores, progress, chains, settings, look):
        drawn = real(density, modes, seed, cores, progress, chains, settings, look)
        given.append(settings)
        stats = drawn.stats | {"diverging": drawn.stats["diverging"] | (len(given) == 1)}
        return replace(drawn, stats=stats)

    monkeypatch.setattr(nuts, "draw_from_modes", diverging_at_first)
    fit = fitted("nuts", max_draws=250)
    assert bg.info(fit).notes.target_accept == pytest.approx(0.95)
    assert not fit["sample_stats"]["diverging"].any()
    assert [one["tune"] for one in given[-1:]] == [180]
    given.clear()
    assert bg.info(fitted("nuts", max_draws=1)).notes.target_accept is None
