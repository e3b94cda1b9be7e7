"""Chains that disagree: new draws reach all regions, in proportion to their probability."""

import functools
import os

import numpy as np
import pytest

import bayesgmm as bg
from bayesgmm.data.points import as_points
from bayesgmm.inference import gibbs_chains, independence_chains, laplace, mean_orders, nuts, reconciliation
from bayesgmm.inference.agreement import agreement, label_free
from bayesgmm.inference.corrected_draws import IndependenceStep
from bayesgmm.inference.engine import Silent
from bayesgmm.inference.gibbs_judge import SEARCH
from bayesgmm.inference.independence_chains import _joined, sample
from bayesgmm.inference.mixture_proposals import proposal_from_chains
from bayesgmm.inference.reconciliation import _GibbsChains
from bayesgmm.posterior.log_posterior import LogPosterior

TIED = bg.MixtureModel(2, covariance="tied")
DIAGONAL = bg.MixtureModel(3, covariance="diag")


def symmetric(away=1.7):
    """Points that do not change when the columns are exchanged: every posterior is as symmetric as they are."""
    b = np.random.default_rng(1).normal(size=(2, 2))
    b = np.r_[b, b * [-1, 1], b * [1, -1], -b]
    b = np.r_[b, b[:, ::-1]]
    return np.concatenate([np.array(m) * away + b for m in ((-1, -1), (-1, 1), (1, -1), (1, 1))])


APART = symmetric(2.0)  # chains of the diagonal model hardly move between their modes


def overlapping(seed):
    """Three unit Gaussians in the plane, whose centres may be close to each other."""
    r = np.random.default_rng(seed)
    mu = r.normal(0, 4, (3, 2))
    return mu[r.integers(0, 3, 1000)] + r.normal(size=(1000, 2))


@functools.cache
def reconciled(model, method):
    """A fit to the symmetric points, whose chains were in different modes."""
    return bg.fit(model, APART if model is DIAGONAL else symmetric(), method, seed=0, progress=False)


@pytest.mark.parametrize(
    ("model", "method", "by"),
    [
        (TIED, "nuts", "independence steps"),
        (TIED, "gibbs", "independence steps"),
        (DIAGONAL, "nuts", "Gibbs sampling"),
        (bg.MixtureModel(2, covariance="tied", covariances=bg.LKJCovariance(2.0)), "nuts", "importance resampling"),
    ],
)
def test_every_mode_is_visited_as_often_as_it_is_probable(model, method, by):
    """Both densities are equal by symmetry; one mode alone gives .045 and .009. A standard error is some 2 %.

    Those of the diagonal model are from 160,000 draws of Gibbs sampling; there a standard error is some 6 %.
    """
    fit = reconciled(model, method)
    assert not bg.info(fit).warnings
    facts = bg.info(fit).notes.reconciled
    if method == "nuts":  # Gibbs sampling crosses between the modes by itself, if slowly
        assert facts.by == by
    density = np.exp(bg.density(fit, [[0, 2.0], [2, 0.0]])["log_density"].values)
    right, error = (0.0177, 0.06) if model is DIAGONAL else (0.0268, 0.02)
    assert density == pytest.approx(right, rel=4 * error)
    assert density[0] == pytest.approx(density[1], rel=6 * error)


def test_overlapping_components_have_the_right_smallest_weight():
    """The right value is from a million sweeps of a separate Gibbs sampler: .0288 with a standard error of .0008."""
    fit = bg.fit(bg.MixtureModel(3), overlapping(7), seed=1, progress=False)
    smallest = fit["posterior"]["weight"].values.min(axis=-1)
    assert bg.info(fit).notes.reconciled.accepted > 0.1
    assert agreement(smallest[..., None]).is_good(ess=800)
    assert smallest.mean() == pytest.approx(0.0288, abs=0.0035)  # three standard errors, with an effective size of 800


@pytest.mark.parametrize("model", [TIED, DIAGONAL], ids=["tied", "diag"])
def test_the_same_draws_on_any_number_of_threads(model):
    other = 1 if (os.cpu_count() or 1) > 1 else 2
    fit = bg.fit(model, APART if model is DIAGONAL else symmetric(), seed=0, cores=other, progress=False)
    known = reconciled(model, "nuts")
    assert bg.info(fit).notes.reconciled == bg.info(known).notes.reconciled
    for name in ("weight", "mean"):
        np.testing.assert_array_equal(fit["posterior"][name], known["posterior"][name])


def spied(monkeypatch):
    """Return the list of what ``draw_from_modes`` returns from now on."""
    real, returned = nuts.draw_from_modes, []

    def draw(*arguments):
        returned.append(real(*arguments))
        return returned[-1]

    monkeypatch.setattr(nuts, "draw_from_modes", draw)
    return returned


def test_chains_in_different_modes_end_early_where_a_gibbs_sampler_replaces_them(monkeypatch):
    returned = spied(monkeypatch)
    fit = bg.fit(DIAGONAL, APART, seed=0, progress=False)
    assert [drawn.draws for drawn in returned] == [reconciliation.SHORTEST]
    assert fit["posterior"].sizes["draw"] == 1000
    assert reconciliation.are_apart(LogPosterior.of(DIAGONAL, as_points(APART)), returned[0].q, returned[0].stats["lp"])


@pytest.fixture
def small_budgets(monkeypatch):
    """Chains that find no answer stop after a tenth of their budget."""
    monkeypatch.setattr(reconciliation, "GIBBS_WORTH", reconciliation.GIBBS_WORTH // 10)
    monkeypatch.setattr(independence_chains, "WORTH", independence_chains.WORTH // 10)


def test_chains_that_ended_early_are_drawn_again_where_no_gibbs_sampler_replaces_them(monkeypatch, small_budgets):
    returned = spied(monkeypatch)
    monkeypatch.setattr(reconciliation, "_lost", lambda *_: 1.0)
    with pytest.warns(bg.FitWarning, match="not mixed well"):
        fit = bg.fit(DIAGONAL, APART, seed=0, max_draws=1, progress=False)
    assert [drawn.draws for drawn in returned] == [reconciliation.SHORTEST, 1000]
    assert fit["posterior"].sizes["draw"] == 1000
    np.testing.assert_array_equal(returned[0].q, returned[1].q[:, : reconciliation.SHORTEST])


def test_ctrl_c_while_chains_are_replaced_keeps_those_that_ended_early(monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(_GibbsChains, "mix", stop)
    with pytest.warns(bg.FitWarning) as warned:
        fit = bg.fit(DIAGONAL, APART, seed=0, progress=False)
    assert "Interrupted: kept 200 of 1000 draws of 4 of 4 chains." in [str(one.message) for one in warned]
    assert fit["posterior"].sizes["draw"] == reconciliation.SHORTEST


def test_chains_that_agree_are_not_ended(monkeypatch):
    returned = spied(monkeypatch)
    fit = bg.fit(bg.MixtureModel(2), np.r_[symmetric()[:40], symmetric()[:40] + 20], seed=0, progress=False)
    assert returned[0].draws == 1000
    assert "energy" in fit["sample_stats"]


def test_reporting_keeps_the_chains_and_their_statistics():
    fit = bg.fit(bg.MixtureModel(2, "tied"), symmetric(), seed=0, disagreement="report", progress=False)
    assert bg.info(fit).notes.reconciled is None
    assert "energy" in fit["sample_stats"]


@pytest.mark.parametrize("place", ["conjugate_sweeps.gibbs_sweeps", "independence_chains.IndependenceStep.__call__"])
def test_ctrl_c_keeps_the_chains_of_the_engine(place, monkeypatch):
    def stop(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(f"bayesgmm.inference.{place}", stop)
    with pytest.warns(bg.FitWarning, match="not mixed well.*The fit was interrupted. Let it finish"):
        fit = bg.fit(bg.MixtureModel(2, "tied"), symmetric(), seed=0, progress=False)
    assert bg.info(fit).notes.interrupted
    assert "energy" in fit["sample_stats"]
    assert fit["posterior"].sizes["draw"] == 1000


def test_ctrl_c_while_the_modes_are_searched_for_is_one_message(monkeypatch):
    def stop(*arguments, **settings):
        raise KeyboardInterrupt

    monkeypatch.setattr("bayesgmm.inference.laplace.starting_points", stop)
    with pytest.raises(bg.errors.SamplingError, match="interrupted while the modes were searched for"):
        bg.fit(bg.MixtureModel(2, "tied"), symmetric(), seed=0, progress=False)


def test_a_reconciled_fit_says_so_in_a_note():
    fit = reconciled(TIED, "nuts")
    (found,) = bg.diagnose(fit, ["mixing"], progress=False)
    assert found.severity == "note"
    assert "were replaced: the draws come from independence steps" in found.what


def test_gibbs_chains_are_continued_until_they_are_good():
    """They are the chains of one long run, whatever the extensions were."""
    density = LogPosterior.of(bg.MixtureModel(3), as_points(bg.datasets.iris().drop(columns="species")))
    chains = _GibbsChains(density, 3, 1, 4, 400)
    assert chains.mix(400)
    assert agreement(label_free(density, chains.q, chains.lp)).is_good(400)
    assert chains.q.shape[1] > 400
    draws = chains.q.shape[1]
    settings = {"tune": chains.tune, "chains": 4, "thin": chains.thin, "search": SEARCH}
    whole = gibbs_chains.run(density, 3, 1, draws=draws, **settings)
    np.testing.assert_array_equal(chains.q, whole)


def test_gibbs_chains_without_split_merge_moves_are_no_result_though_they_agree():
    x = np.random.default_rng(0).normal(size=(40, 1)) + np.repeat([[0.0], [20.0]], 20, axis=0)
    chains = _GibbsChains(LogPosterior.of(TIED, as_points(x)), 0, 1, 4, 400)
    assert agreement(label_free(chains.density, chains.q, chains.lp)).is_good(400)
    assert not chains.mix(400)


def test_gibbs_chains_that_have_lost_a_region_are_not_the_result(monkeypatch, small_budgets):
    density = LogPosterior.of(bg.MixtureModel(2), as_points(overlapping(0)[:60]))
    q = gibbs_chains.run(density, 1, 1, draws=250, tune=100, chains=4)
    lp = np.array([[density.value(one) for one in chain] for chain in q])
    settings = {"seed": 0, "cores": 1, "progress": Silent()}
    assert reconciliation.reconcile(density, q, lp, **settings).info.by == "Gibbs sampling"
    monkeypatch.setattr(reconciliation, "_lost", lambda *_: 1.0)
    assert reconciliation.reconcile(density, q, lp, **settings) is None


def test_coordinates_of_ordered_means_and_back():
    model = bg.MixtureModel(3, means=bg.NormalMeans(ordered=True))
    density = LogPosterior.of(model, as_points([0.0, 1.0, 3.0, 7.0]))
    q = np.random.default_rng(0).normal(size=(5, density.size))
    free = mean_orders.out_of_order(density, q)
    np.testing.assert_allclose(mean_orders.unordered(density).mixture(free)[1], density.mixture(q)[1])
    np.testing.assert_allclose(mean_orders.in_order(density, free), q, atol=1e-9)


def test_independence_steps_alone_leave_the_posterior_unchanged():
    """Against Gibbs sweeps, for components that mix well; one of ten z values is above 4 with probability .0006."""
    rng = np.random.default_rng(4)
    x = np.r_[rng.normal(size=(30, 1)), rng.normal(4, 1, size=(20, 1))]
    density = LogPosterior.of(bg.MixtureModel(2), as_points(x))
    q = gibbs_chains.run(density, 1, 2, draws=2000, tune=200, chains=4)
    step = IndependenceStep(proposal_from_chains(density, q, 1, 1), 1)
    now = q[:, ::10].reshape(-1, density.size)
    lp = np.array([density.value(one) for one in now])
    for _ in range(30):
        now, lp = step(now, lp)
    assert step.accepted > 0.3 * step.proposed
    np.testing.assert_allclose(lp, [density.value(one) for one in now])
    before, after = label_free(density, q, np.zeros(q.shape[:2])), label_free(density, now[None], lp[None])
    error = after.std(axis=(0, 1)) * np.sqrt(1 / len(now) + 1 / 1000)
    z = (after.mean(axis=(0, 1)) - before.mean(axis=(0, 1)))[1:] / error[1:]
    assert np.abs(z).max() < 4


def test_short_chains_are_joined_one_after_another():
    values = np.arange(4)[:, None] * 100 + np.arange(50)  # four short chains of fifty draws
    joined = _joined(values, chains=2, draws=7)
    assert joined.tolist() == [[0, 16, 33, 49, 100, 116, 133], [200, 216, 233, 249, 300, 316, 333]]


def test_modes_that_differ_by_labels_only_are_one():
    density = LogPosterior.of(bg.MixtureModel(2, weights=bg.DirichletProcess()), as_points(overlapping(0)))
    q = laplace.starting_points(density, 0, 1)[0]
    swapped = density.reordered(q[None], np.array([[1, 0]]))[0]
    assert density.value(q) != pytest.approx(density.value(swapped), abs=0.1)
    assert laplace.is_same_mixture(density, q, swapped)
    assert not laplace.is_same_mixture(density, q, q + 0.5)


def test_proposals_that_are_never_accepted_end_the_run():
    density = LogPosterior.of(bg.MixtureModel(2), as_points(overlapping(0)[:60]))
    far = np.random.default_rng(0).normal(30, 0.01, size=(2, 400, density.size))
    with pytest.raises(bg.errors.PoorProposal):
        sample(
            proposal_from_chains(density, far, 0, 1), far.reshape(-1, density.size), 0, chains=2, draws=200, target=100
        )
