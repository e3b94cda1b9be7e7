"""NUTS is checked for tails that no chain has visited, by a short Gibbs run."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

import bayesgmm as bg
from bayesgmm.data.points import as_points
from bayesgmm.diagnosis.mixing import mixing
from bayesgmm.inference import extension, gibbs_chains, nuts, reconciliation, tail_checks
from bayesgmm.inference.agreement import monitored
from bayesgmm.inference.elbo import evaluate
from bayesgmm.inference.engine import Silent
from bayesgmm.inference.extension import Budget, Checked, Drawn
from bayesgmm.inference.reconciliation import reconcile
from bayesgmm.inference.tail_checks import StartCheck, TailCheck, can_check
from bayesgmm.posterior.log_posterior import LogPosterior
from tests.inference.test_reconciliation import TIED, symmetric

BUDGET = Budget(draws=300, chains=4)


def density_of(model, n_points=40):
    x = np.random.default_rng(1).normal(size=(n_points, 1)) + np.repeat([[0.0], [3.5]], n_points // 2, axis=0)
    return LogPosterior.of(model, as_points(x))


@cache
def posterior():
    """A check, and many Gibbs draws of the posterior (S, P) with their log densities and smallest weights."""
    check = TailCheck(density_of(bg.MixtureModel(2)), Budget(1000, 4), 0, 1, Silent())
    q = gibbs_chains.run(check.density, 1, 1, draws=2000, tune=100, chains=4, thin=5, search=200)
    lp = evaluate([check.density] * 8000, q.reshape(8000, -1), 1)[0]
    return check, q.reshape(8000, -1), lp, monitored(check.density, q, lp.reshape(4, 2000))[..., 1].ravel()


def chains_of(chosen, seed=0):
    """Independent draws of those that are chosen (S,)."""
    _, q, lp, _ = posterior()
    at = np.random.default_rng(seed).choice(np.flatnonzero(chosen), (4, 1000))
    return Drawn(q[at], {"lp": lp[at]})


def checked(drawn, replacing=None):
    """Return what the check says; by default, the chains are replaced by ``reconcile``."""
    check = posterior()[0]
    return check(drawn, replacing or (lambda: reconcile(check.density, drawn.q, drawn.stats["lp"], 0, 1, Silent())))


def test_chains_that_miss_a_tail_are_replaced():
    check, _, _, smallest = posterior()
    limit = np.quantile(smallest, 0.05)
    better = checked(chains_of(smallest > limit)).better
    assert 0.02 < better.info.missed < 0.08
    assert better.info.rhat < 1.01  # they agreed
    found = monitored(check.density, better.q, better.lp)[..., 1]
    assert 0.025 < (found <= limit).mean() < 0.1


def test_chains_with_all_parts_of_the_posterior_are_kept():
    smallest = posterior()[-1]
    assert not any(checked(chains_of(smallest > 0, seed)).better for seed in range(10))


def test_chains_that_can_not_be_replaced_give_a_warning():
    smallest = posterior()[-1]
    found = checked(chains_of(smallest > np.quantile(smallest, 0.2)), lambda: None)
    assert found.better is None
    assert "of the posterior where these chains have no draws" in found.warnings[0]
    assert "another seed" in found.warnings[0]  # tempering does not move between such regions either
    assert "tempering" not in found.warnings[0]
    assert not checked(chains_of(smallest > np.quantile(smallest, 0.03)), lambda: None).warnings


def test_chains_that_can_not_be_reconciled_are_not_reconciled_again(monkeypatch):
    tried, compared = [], []
    check = TailCheck.__call__
    monkeypatch.setattr(reconciliation, "_by_gibbs", lambda *_: tried.append(True))
    monkeypatch.setattr(TailCheck, "__call__", lambda self, *given: compared.append(True) or check(self, *given))
    with pytest.warns(bg.FitWarning, match="not mixed well"):
        bg.fit(TIED, symmetric(), seed=0, max_draws=1, progress=False)
    assert tried == compared == [True]


def test_a_judge_that_mixes_slowly_is_a_reason_to_replace_chains(monkeypatch):
    """Although none of its draws is out of their range."""
    smallest = posterior()[-1]
    monkeypatch.setattr(tail_checks, "SLOW", 1e6)
    monkeypatch.setattr(tail_checks, "MANY", 1.0)
    assert checked(chains_of(smallest > 0)).better


@pytest.mark.parametrize(("probability", "is_reason"), [(0.01, False), (0.04, True), (None, True)])
def test_a_region_that_is_heavy_or_of_unknown_mass_is_a_reason_to_replace_chains(probability, is_reason, monkeypatch):
    smallest = posterior()[-1]
    monkeypatch.setattr(tail_checks, "probability_elsewhere", lambda *_: probability)
    assert bool(checked(chains_of(smallest > 0)).better) == is_reason
    warned = checked(chains_of(smallest > 0), lambda: None).warnings
    assert ["its probability is unknown" in one for one in warned] == ([True] if probability is None else [])


def test_a_region_that_only_the_judge_has_found_is_added(monkeypatch):
    """Points that are unchanged when the columns are exchanged; NUTS is made to start in one of two regions."""
    base = np.random.default_rng(1).normal(size=(2, 2))
    base = np.concatenate([base * signs for signs in ([1, 1], [-1, 1], [1, -1], [-1, -1])])
    base = np.concatenate([base, base[:, ::-1]])
    x = np.concatenate([np.array(at) + base for at in ((-1.7, -1.7), (-1.7, 1.7), (1.7, -1.7), (1.7, 1.7))])
    every = nuts.whiten_at_modes
    monkeypatch.setattr(nuts, "whiten_at_modes", lambda *arguments: every(*arguments)[:1])
    model = bg.MixtureModel(2, "tied")
    fit = bg.fit(model, x, seed=0, draws=500, progress=False)
    assert bg.info(fit).notes.reconciled.missed > 0.1
    one, other = bg.density(fit, [[0, 2.0], [2.0, 0]])["density"].values
    assert one == pytest.approx(other, rel=0.2)
    monkeypatch.setattr(extension, "reconcile", lambda *_: None)
    monkeypatch.setattr(tail_checks, "weigh_regions", lambda *_: None)
    with pytest.warns(bg.FitWarning, match="of the posterior where these chains have no draws"):
        bg.fit(model, x, seed=0, draws=500, progress=False)


def test_a_region_with_little_mass_is_no_reason():
    """Of three components of the galaxies, two can share a group; that region has a mass of about 2e-4."""
    fit = bg.fit(bg.MixtureModel(3), bg.datasets.galaxies(), seed=1, progress=False)
    assert not bg.info(fit).notes.reconciled


def test_only_conjugate_declarations_of_small_data_are_checked():
    def is_checked(model, budget=BUDGET, n_points=40):
        return can_check(density_of(model, n_points), budget)

    assert is_checked(bg.MixtureModel(2))
    assert is_checked(bg.MixtureModel(3, "tied"))
    assert not is_checked(bg.MixtureModel(2), n_points=100_000)
    assert not is_checked(bg.MixtureModel(2, covariances=bg.LKJCovariance()))
    assert not is_checked(bg.MixtureModel(2, weights=bg.SparseDirichlet()))
    assert not is_checked(bg.MixtureModel(2), replace(BUDGET, reconciles=False))


def test_a_fit_says_that_its_chains_missed_a_part(monkeypatch):
    """With a limit of zero, chains that are right are replaced, too."""
    monkeypatch.setattr(tail_checks, "MANY", 0.0)
    x = np.random.default_rng(1).normal(size=(40, 1)) + np.repeat([[0.0], [3.5]], 20, axis=0)
    fit = bg.fit(bg.MixtureModel(2), x, draws=300, tune=300, seed=0)
    notes = bg.info(fit).notes
    assert 0 < notes.reconciled.missed < 0.03
    assert notes.reconciled.by == "Gibbs sampling"
    found = next(finding for finding in mixing(fit) if "may have missed a part of the posterior" in finding.what)
    assert found.severity == "note"


def test_gibbs_chains_are_compared_only_if_one_has_left_where_it_started():
    """Chains that started in a tail and have no draws there are replaced; others are not compared."""
    check, q, _, smallest = posterior()
    limit = np.quantile(smallest, 0.05)
    bulk, everywhere = chains_of(smallest > limit), chains_of(smallest > 0)
    in_tail, anywhere = q[smallest < np.quantile(smallest, 0.02)], q[::500]
    left = StartCheck(check, np.stack([anywhere[:4], in_tail[:4]]))
    stayed = StartCheck(check, np.stack([anywhere[:4], anywhere[4:8]]))
    assert left(bulk, lambda: None) != Checked()
    assert stayed(bulk, None) == stayed(everywhere, None) == Checked()
