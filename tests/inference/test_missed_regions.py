"""Approximations say what share of the posterior they miss; symmetric data tell the right share."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import bayesgmm as bg
from bayesgmm.data.points import as_points
from bayesgmm.diagnosis.engines import differs
from bayesgmm.inference import advi, ascent_runs, corrections, gibbs_chains, gibbs_judge, missed_regions, variational
from bayesgmm.inference.coordinate_ascent import Ascent
from bayesgmm.inference.corrections import Corrected
from bayesgmm.inference.gibbs_judge import compare
from bayesgmm.inference.importance import Draws, Kept
from bayesgmm.inference.laplace import Whitening, find_mode, whiten
from bayesgmm.inference.mixtures import Mixture
from bayesgmm.posterior.log_posterior import LogPosterior


def symmetric() -> np.ndarray:
    """Points that are unchanged when the two columns are exchanged: two groupings are equally probable."""
    base = np.random.default_rng(1).normal(size=(2, 2))
    base = np.concatenate([base * signs for signs in ([1, 1], [-1, 1], [1, -1], [-1, -1])])
    base = np.concatenate([base, base[:, ::-1]])
    return np.concatenate([np.array(at) + base for at in ((-1.7, -1.7), (-1.7, 1.7), (1.7, -1.7), (1.7, 1.7))])


@pytest.mark.parametrize("method", ["vb", "advi"])
def test_of_two_regions_with_equal_mass_half_is_missed(method: str) -> None:
    with pytest.warns(bg.FitWarning, match="misses a region with about"):
        fit = bg.fit(bg.MixtureModel(2, covariance="tied"), symmetric(), method, seed=0, progress=False)
    assert bg.info(fit).notes.missed_share == pytest.approx(0.5, abs=0.1)
    assert any("misses a region" in str(finding) for finding in bg.diagnose(fit, ["approximation"], progress=False))


def test_a_region_of_unknown_probability_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(missed_regions, "masses_elsewhere", lambda *args: iter(()))
    with pytest.warns(bg.FitWarning, match="misses a region with unknown probability"):
        bg.fit(bg.MixtureModel(2, covariance="tied"), symmetric(), "vb", seed=0, progress=False)


def test_one_known_light_region_does_not_hide_an_unknown_one(monkeypatch: pytest.MonkeyPatch) -> None:
    light = (0, np.zeros((1, 7)), np.zeros(1), -500.0)
    monkeypatch.setattr(missed_regions, "masses_elsewhere", lambda *args: iter([light]))
    with pytest.warns(bg.FitWarning, match="misses a region with unknown probability"):
        bg.fit(bg.MixtureModel(2, covariance="tied"), symmetric(), "vb", seed=0, progress=False)


def test_a_second_run_weighs_regions_where_the_first_has_too_few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    real = missed_regions.region_mass

    def of_many(density: LogPosterior, q: np.ndarray, *args: Any) -> object:
        return real(density, q, *args) if len(q) > missed_regions.DRAWS else None

    monkeypatch.setattr(missed_regions, "region_mass", of_many)
    with pytest.warns(bg.FitWarning, match="misses a region with about"):
        bg.fit(bg.MixtureModel(2, covariance="tied"), symmetric(), "vb", seed=0, progress=False)


def test_a_second_run_goes_on_where_a_region_has_an_unknown_mass_and_not_where_it_has_none() -> None:
    chains = np.arange(12.0).reshape(4, 3, 1)
    apart = np.array([[False, False, False], [True, True, False], [True, True, True], [True, False, False]])
    known = {2: missed_regions.NEGLIGIBLE / 2, 3: 0.4}
    begin = missed_regions._continued(chains, apart, known)
    np.testing.assert_array_equal(begin.ravel(), [2.0, 4.0, 2.0, 11.0])
    nowhere = missed_regions._continued(chains[2:3], apart[2:3], {0: 0.0})
    assert nowhere == chains[2, -1]


def test_chains_that_move_between_regions_are_the_judge(monkeypatch: pytest.MonkeyPatch) -> None:
    """No chain stays in the region of the approximation; all of them together are the posterior."""

    def moving(density: LogPosterior, *args: int, **_: object) -> tuple[np.ndarray, np.ndarray]:
        q, lp = gibbs_judge.short_run(density, *args)
        q, value = q.reshape(lp.size, -1), lp.reshape(-1)
        beside = np.abs(q[:, 1] - q[:, 3]) > np.abs(q[:, 2] - q[:, 4])  # their means differ in the first column
        share = np.where(beside, 0.2 / beside.sum(), 0.8 / (~beside).sum())
        chosen = np.random.default_rng(0).choice(lp.size, lp.size, p=share)
        return q[chosen].reshape(*lp.shape, -1), value[chosen].reshape(lp.shape)

    monkeypatch.setattr(missed_regions, "short_run", moving)
    monkeypatch.setattr(missed_regions, "masses_elsewhere", lambda *args: iter(()))
    with pytest.warns(bg.FitWarning, match="differs from a short Gibbs run"):
        bg.fit(bg.MixtureModel(2, covariance="tied"), symmetric(), "vb", seed=0, progress=False)


def test_nothing_is_missed_where_there_is_one_region() -> None:
    x = np.random.default_rng(0).normal(size=(90, 1)) + np.repeat([[-9.0], [0.0], [9.0]], 30, axis=0)
    fit = bg.fit(bg.MixtureModel(3), x, "vb", seed=0, progress=False)
    assert bg.info(fit).notes.missed_share == 0.0


def test_an_approximation_moves_to_the_heavier_region(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its search is made to end with two means in one of three clusters, and one between the others."""
    x = np.random.default_rng(0).normal(size=(90, 1)) + np.repeat([[-40.0], [0.0], [30.0]], 30, axis=0)
    elsewhere = Mixture(np.full(3, 1 / 3), np.array([[-1.0], [-0.9], [0.6]]), np.full((3, 1, 1), 3.0))

    def wrong(ascent: Ascent, *args: object, **settings: object) -> ascent_runs.AscentResult:
        return ascent_runs.ascend(ascent, ascent.first(elsewhere), 200, 1e-6)

    def at_wrong(density: LogPosterior, *args: object) -> Whitening:
        start = density.coordinates(elsewhere.weight, elsewhere.mean, elsewhere.core_roots)
        return whiten(density, find_mode(density, start))

    monkeypatch.setattr(variational, "find", wrong)
    monkeypatch.setattr(advi, "_coordinates", at_wrong)
    for method in ("vb", "advi"):
        fit = bg.fit(bg.MixtureModel(3), x, method, seed=0, progress=False)
        means = np.sort(fit["posterior"]["mean"].mean(("chain", "draw")).values.ravel())
        assert means == pytest.approx([-40, 0, 30], abs=1), method
        assert bg.info(fit).notes.missed_share == 0.0


def test_a_quantity_that_varies_only_by_rounding_tells_nothing() -> None:
    """The density of a point that only the background fits: all draws give the same one."""
    rng = np.random.default_rng(3)
    rounded = -12.49548296 + 1e-14 * rng.integers(-1, 2, size=(2, 200, 1))
    rounded[1] += 1e-12
    known, same = np.concatenate([rng.normal(size=(2, 200, 2)), rounded], axis=2)
    assert not missed_regions.are_apart(known, same)
    assert missed_regions.are_apart(known, same + np.array([5.0, 0.0, 0.0]))


def test_a_few_draws_are_no_reason_to_warn() -> None:
    """Their range is narrower than the approximation, so that chains would be outside."""
    x = np.random.default_rng(0).normal(size=(90, 1)) + np.repeat([[-9.0], [0.0], [9.0]], 30, axis=0)
    for seed in range(4):
        assert bg.info(bg.fit(bg.MixtureModel(3), x, "vb", seed=seed, draws=3, progress=False)).notes.missed_share == 0


def test_a_region_of_little_mass_is_no_reason_to_warn() -> None:
    fit = bg.fit(bg.MixtureModel(3), bg.datasets.galaxies(), "vb", seed=3, progress=False)
    share = bg.info(fit).notes.missed_share
    assert share is not None
    assert 0 < share < 0.01


@pytest.mark.parametrize("seed", [5, 13, 18])
def test_a_region_that_chains_leave_for_good_is_no_reason_to_warn(seed: int) -> None:
    """A chain of the first Gibbs run begins elsewhere, for too few draws to tell the mass; in the second none does."""
    iris = bg.datasets.iris().drop(columns="species")
    fit = bg.fit(bg.MixtureModel(4, covariance="diag"), iris, "vb", seed=seed, cores=1, progress=False)
    assert bg.info(fit).notes.missed_share == 0
    assert not bg.info(fit).warnings


def test_a_right_answer_is_no_reason_to_warn() -> None:
    """Its importance ratios alone would be: their tail is heavy."""
    fit = bg.fit(bg.MixtureModel(3), bg.datasets.galaxies(), "vb", seed=1, progress=False)
    notes = bg.info(fit).notes
    assert notes.pareto_khat is not None
    assert notes.pareto_khat > 0.7
    assert notes.compared is not None
    assert notes.compared.shift < 0.1
    assert not bg.info(fit).warnings
    assert not bg.diagnose(fit, ["approximation"], progress=False).of("warning")


def test_intervals_that_are_too_narrow_are_a_reason_to_warn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Although all importance ratios are nearly equal, as a corrected approximation would claim."""
    kept = Kept(0.1, 0.99)

    def narrow(density: LogPosterior, own: Draws, *args: object) -> Corrected:
        middle = own.q.mean(axis=0)
        return Corrected(replace(own, q=middle + (own.q - middle) / 1.6), kept, own)

    monkeypatch.setattr(corrections, "_better", narrow)
    with pytest.warns(bg.FitWarning, match="differs from a short Gibbs run"):
        fit = bg.fit(bg.MixtureModel(3), bg.datasets.galaxies(), "vb", seed=1, progress=False)
    assert bg.diagnose(fit, ["approximation"], progress=False).of("warning")


def test_chains_that_disagree_or_are_short_are_no_judge() -> None:
    rng = np.random.default_rng(0)
    known, chains = rng.normal(size=(1000, 2)), rng.normal(size=(4, 400, 2))
    assert compare(known, chains) is not None
    assert compare(known, chains[:, :20]) is None
    assert compare(known, chains + np.array([0.0, 0.0, 0.0, 2.0])[:, None, None]) is None
    assert compare(known, chains[:0]) is None


@pytest.mark.filterwarnings("ignore::bayesgmm.FitWarning")
@pytest.mark.parametrize("weights", [bg.SparseDirichlet(), bg.DirichletProcess()])
def test_no_region_is_looked_for_where_the_number_of_components_is_a_bound(weights: object) -> None:
    x = np.random.default_rng(0).normal(size=(30, 1))
    fit = bg.fit(bg.MixtureModel(4, weights=weights), x, "vb", seed=0, progress=False)
    assert bg.info(fit).notes.missed_share is None


def test_where_the_number_of_components_is_a_bound_clusters_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draws of the Gibbs sampler itself, all of them and those with two clusters."""
    x = np.random.default_rng(1).normal(size=(40, 1)) + np.repeat([[0.0], [3.5]], 20, axis=0)
    density = LogPosterior.of(bg.MixtureModel(4, weights=bg.SparseDirichlet()), as_points(x))
    q = gibbs_chains.run(density, 7, 1, draws=1000, tune=100, chains=2, thin=5, search=200).reshape(-1, density.size)
    number = (density.mixture(q)[0] * 40 >= 5).sum(axis=1)
    right = gibbs_judge.compare_clusters(density, q, 0, 1)
    wrong = gibbs_judge.compare_clusters(density, q[number == 2], 0, 1)
    assert right is not None
    assert wrong is not None
    assert right.n_clusters is not None
    assert wrong.n_clusters is not None
    assert right.n_clusters < 0.1 < wrong.n_clusters
    assert wrong.n_clusters == pytest.approx((number != 2).mean(), abs=0.1)
    assert not differs(right)
    monkeypatch.setattr(gibbs_judge, "COUNTS", 1e6)
    unknown = gibbs_judge.compare_clusters(density, q, 0, 1)
    assert unknown is not None
    assert unknown.n_clusters is None


def test_a_wrong_number_of_clusters_is_a_reason_to_warn() -> None:
    with pytest.warns(bg.FitWarning, match="the probability of a number of clusters by up to"):
        fit = bg.fit(
            bg.MixtureModel(6, weights=bg.SparseDirichlet()), bg.datasets.galaxies(), "advi", seed=1, progress=False
        )
    assert bg.diagnose(fit, ["approximation"], progress=False).of("warning")
