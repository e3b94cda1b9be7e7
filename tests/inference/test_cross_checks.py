"""NUTS is checked by Gibbs sampling where the number of components is only an upper bound."""

from dataclasses import replace
from functools import cache

import numpy as np

import bayesgmm as bg
from bayesgmm.data.points import as_points
from bayesgmm.diagnosis.mixing import fit_warnings, mixing
from bayesgmm.inference import cross_checks, extension
from bayesgmm.inference.agreement import monitored
from bayesgmm.inference.cross_checks import CrossCheck, can_check
from bayesgmm.inference.engine import Silent
from bayesgmm.inference.extension import Budget, Drawn
from bayesgmm.posterior.log_posterior import LogPosterior

BUDGET = Budget(draws=300, chains=2)
SPARSE = bg.SparseDirichlet()


def density_of(model, n_points=40):
    x = np.random.default_rng(1).normal(size=(n_points, 1)) + np.repeat([[0.0], [3.5]], n_points // 2, axis=0)
    return LogPosterior.of(model, as_points(x))


@cache
def check():
    """A check, with its Gibbs sampler's own draws and the number of clusters in each."""
    found = CrossCheck(density_of(bg.MixtureModel(4, weights=SPARSE)), BUDGET, 0, 1, Silent())
    drawn = found.judge.drawn
    return found, drawn, monitored(found.density, drawn.q, drawn.stats["lp"])[..., -1]


def chains_of(chosen, seed=2):
    """Independent draws of those that the Gibbs sampler made and that are chosen (chains, draws)."""
    _, drawn, _ = check()
    at = np.random.default_rng(seed).choice(np.flatnonzero(chosen), (2, 300))
    return Drawn(drawn.q.reshape(-1, drawn.q.shape[2])[at], {"lp": drawn.stats["lp"].ravel()[at]})


def test_chains_that_stay_at_one_number_of_clusters_are_replaced():
    found, drawn, number = check()
    assert 0.1 < (number == 2).mean() < 0.9
    better = found(chains_of(number == 2), lambda: None).better
    assert better.q is drawn.q
    assert better.info.by == "Gibbs sampling"
    assert better.info.rhat < 1.01
    assert better.info.difference > 0.1


def test_chains_with_the_right_numbers_of_clusters_are_kept():
    """A difference of three standard errors is rare: .003 for each of 14 quantities, which are dependent."""
    found, _, number = check()
    checked = [found(chains_of(number > 0, seed), lambda: None) for seed in range(10)]
    assert not any(one.warnings for one in checked)
    assert sum(one.better is not None and one.better.info.difference > 0 for one in checked) <= 1


def test_a_gibbs_sampler_that_has_not_mixed_well_gives_a_warning(monkeypatch):
    found, _, number = check()
    monkeypatch.setattr(cross_checks, "ALARMING_RHAT", 0.9)
    checked = found(chains_of(number == 2), lambda: None)
    assert checked.better is None
    assert "A Gibbs sampler disagrees with these chains" in checked.warnings[0]


def test_a_smaller_difference_of_the_number_of_clusters_counts(monkeypatch):
    """Chains without the less frequent number, where the other limit can't be exceeded."""
    found, _, number = check()
    monkeypatch.setattr(cross_checks, "CERTAIN", np.inf)
    assert found(chains_of(number == 2), lambda: None).better.info.difference > 0.1
    monkeypatch.setattr(cross_checks, "OF_NUMBER", np.inf)
    assert not found(chains_of(number == 2), lambda: None).better


def test_only_declarations_with_split_merge_moves_are_checked():
    def is_checked(model, budget=BUDGET, n_points=40):
        return can_check(density_of(model, n_points), budget)

    assert is_checked(bg.MixtureModel(4, weights=SPARSE))
    assert is_checked(bg.MixtureModel(4, weights=bg.PitmanYor()))
    assert not is_checked(bg.MixtureModel(4))
    assert not is_checked(bg.MixtureModel(4, "tied", weights=SPARSE))
    assert not is_checked(bg.MixtureModel(4, weights=SPARSE, covariances=bg.LKJCovariance()))
    assert not is_checked(bg.MixtureModel(4, weights=SPARSE), replace(BUDGET, reconciles=False))
    assert not is_checked(bg.MixtureModel(40, weights=SPARSE), Budget(1000, 4), n_points=10_000)


def test_a_fit_by_nuts_says_that_its_draws_are_from_gibbs_sampling(monkeypatch):
    """With limits of zero every difference counts; chains that disagree are not reconciled otherwise."""
    monkeypatch.setattr(extension, "reconcile", lambda *arguments: None)
    monkeypatch.setattr(cross_checks, "CERTAIN", 0.0)
    monkeypatch.setattr(cross_checks, "NOTICEABLE", 0.0)
    rows = np.random.default_rng(1).normal(size=(40, 1)) + np.repeat([[0.0], [3.5]], 20, axis=0)
    fit = bg.fit(bg.MixtureModel(3, weights=SPARSE), rows, seed=0, draws=200, chains=2, progress=False)
    assert bg.info(fit).notes.reconciled.by == "Gibbs sampling"
    assert not fit_warnings(fit)
    assert any("The chains differed from Gibbs sampling" in note.what for note in mixing(fit))
