"""Regions between which no chain moves: their draws are combined in proportion to their masses."""

import numpy as np
import pytest

import bayesgmm as bg
from bayesgmm.data.points import as_points
from bayesgmm.errors import PoorProposal
from bayesgmm.inference import gibbs_chains, independence_chains, reconciliation
from bayesgmm.inference.corrected_draws import corrected_draws
from bayesgmm.inference.engine import Silent
from bayesgmm.inference.gibbs_judge import log_densities
from bayesgmm.inference.mixture_proposals import proposal_from_chains
from bayesgmm.inference.region_draws import draws_by_mass
from bayesgmm.posterior.log_posterior import LogPosterior
from tests.inference.test_reconciliation import TIED, symmetric

SHAPE = {"chains": 4, "draws": 1000}


def chains_of(x, seed=0):
    """Return a posterior with two regions, and Gibbs chains without split-merge moves that stay in them."""
    density = LogPosterior.of(TIED, as_points(x))
    q = gibbs_chains.run(density, seed, 1, draws=500, tune=300, chains=6, thin=2)
    return density, q, log_densities(density, q, 1)


def upright(density, q):
    """Return for each draw whether the two means differ more in the second column than in the first."""
    mean = density.mixture(q.reshape(-1, density.size))[1]
    apart = np.abs(mean[:, 0] - mean[:, 1])
    return (apart[:, 1] > apart[:, 0]).reshape(q.shape[:-1])


def moving(values, one, other):
    """Return a chain that is in the region of one chain or in that of another in turns of 40 draws."""
    turn = np.arange(len(values[one])) // 40 % 2 == 0
    return np.where(turn.reshape(-1, *[1] * (values.ndim - 2)), values[one], values[other])


def test_regions_that_are_equal_by_symmetry_are_equally_probable():
    """Four to six chains of each region would give .33 to .67; the limit is four standard errors."""
    density, q, lp = chains_of(symmetric())
    assert set(upright(density, q).mean(axis=1)) == {0.0, 1.0}
    assert upright(density, q).mean() != 0.5
    found = draws_by_mass(density, [(q, lp)], 0, 1, **SHAPE)
    assert found.q.shape == (4, 1000, density.size)
    assert found.probabilities == pytest.approx([0.5, 0.5], abs=4 * found.error)
    assert found.error < 0.01
    shares = upright(density, found.q).mean(axis=1)
    assert shares == pytest.approx([0.5] * 4, abs=0.03)
    assert shares.std(ddof=1) / 2 == pytest.approx(found.error, abs=0.001)  # Monte Carlo errors contain that of masses
    np.testing.assert_allclose(found.lp[:, ::100], log_densities(density, found.q[:, ::100], 1))


def test_chains_of_the_result_have_no_draws_in_common():
    """Otherwise their effective sample size would count draws several times; one region has a single stay."""
    density, q, lp = chains_of(symmetric())
    here = upright(density, q).mean(axis=1) == 1
    chosen = np.r_[np.flatnonzero(here)[:1], np.flatnonzero(~here)[:4]]
    found = draws_by_mass(density, [(q[chosen], lp[chosen])], 0, 1, chains=4, draws=200)
    assert upright(density, found.q).any(axis=1).all()
    assert len(np.unique(found.lp)) == found.lp.size


def test_regions_of_different_mass_are_as_probable_as_independence_steps_say():
    density, q, lp = chains_of(np.r_[symmetric(), [[0.0, 4.0], [0.0, -4.0]]])
    found = draws_by_mass(density, [(q[:3], lp[:3]), (q[3:], lp[3:])], 0, 1, **SHAPE)
    steps = reconciliation.reconcile(density, q, lp, 0, 1, Silent())
    assert steps.info.by == "independence steps"
    share = upright(density, steps.q).mean()
    assert abs(share - 0.5) > 0.05
    assert upright(density, found.q).mean() == pytest.approx(share, abs=0.07)


@pytest.mark.parametrize("which", ["one region", "chains that move", "chains that disagree"])
def test_nothing_is_combined_where_masses_would_be_wrong(which):
    density, q, lp = chains_of(symmetric())
    up = upright(density, q).mean(axis=1) == 1
    one, other = np.flatnonzero(up)[0], np.flatnonzero(~up)[0]
    if which == "one region":
        q, lp = q[up], lp[up]
    elif which == "chains that move":
        q, lp = (np.stack([v[one], v[other], moving(v, one, other), moving(v, other, one)]) for v in (q, lp))
    else:  # no effective draws
        q, lp = np.repeat(q[[one, other], ::50], 50, axis=1), np.repeat(lp[[one, other], ::50], 50, axis=1)
    assert draws_by_mass(density, [(q, lp)], 0, 1, **SHAPE) is None


def test_chains_that_move_once_tell_as_much_as_those_that_stay():
    """The first half of each is in one region, the second in the other."""
    density, q, lp = chains_of(symmetric())
    here = upright(density, q).mean(axis=1) == 1
    one, other = np.flatnonzero(here)[0], np.flatnonzero(~here)[0]
    q, lp = (np.stack([np.r_[v[one][:250], v[other][250:]], np.r_[v[other][:250], v[one][250:]]]) for v in (q, lp))
    found = draws_by_mass(density, [(q, lp)], 0, 1, **SHAPE)
    assert found.probabilities == pytest.approx([0.5, 0.5], abs=4 * found.error)


def test_a_short_visit_to_another_region_does_not_change_the_masses():
    """A chain that goes to the other region for ten draws."""
    density, q, lp = chains_of(symmetric())
    here = upright(density, q).mean(axis=1) == 1
    one, other = np.flatnonzero(here)[0], np.flatnonzero(~here)[0]
    alone = draws_by_mass(density, [(q, lp)], 0, 1, **SHAPE)
    q[one, 200:210], lp[one, 200:210] = q[other, 200:210], lp[other, 200:210]
    found = draws_by_mass(density, [(q, lp)], 0, 1, **SHAPE)
    assert found.error < 2 * alone.error
    assert found.probabilities == pytest.approx([0.5, 0.5], abs=4 * found.error)


def test_no_further_chains_are_asked_for_after_chains_that_often_move_between_regions():
    """They may take long."""
    density, q, lp = chains_of(symmetric())
    here = upright(density, q).mean(axis=1) == 1
    one, other = np.flatnonzero(here)[0], np.flatnonzero(~here)[0]
    asked = []

    def pools():
        yield tuple(np.stack([values[one], moving(values, one, other)]) for values in (q, lp))
        asked.append(True)
        yield q, lp

    assert draws_by_mass(density, pools(), 0, 1, **SHAPE) is None
    assert not asked


def test_a_proposal_that_does_not_reach_a_region_of_the_chains_is_refused():
    """Its own importance ratios are good."""
    density, q, lp = chains_of(symmetric())
    here = upright(density, q).mean(axis=1) == 1
    proposal = proposal_from_chains(density, q[here], 0)
    found = corrected_draws(proposal, 4, 500, 0)
    reconciliation._require_covered(proposal, (q[here], lp[here]), (found.q, found.lp))
    with pytest.raises(PoorProposal, match="of the draws of a part of a chain are where the proposal has nearly none"):
        reconciliation._require_covered(proposal, (q, lp), (found.q, found.lp))


def test_a_fit_takes_them_where_no_proposal_is_accepted_and_says_so(monkeypatch):
    def refuse(*_, **__):
        raise PoorProposal("of 4032 proposals 0 were accepted")

    monkeypatch.setattr(independence_chains, "sample", refuse)
    fit = bg.fit(TIED, np.tile(symmetric(), (2, 1)), seed=0, progress=False)  # with more points no chain moves
    facts = bg.info(fit).notes.reconciled
    assert facts.by == "regions that are weighted by bridge sampling"
    assert not bg.info(fit).warnings
    assert facts.probabilities[0] == pytest.approx(0.5, abs=4 * facts.probability_error)
    density = np.exp(bg.density(fit, [[0, 2.0], [2, 0.0]])["log_density"].values)
    assert density[0] == pytest.approx(density[1], rel=0.15)  # one region alone gives .045 and .009
    (found,) = bg.diagnose(fit, ["mixing"], progress=False)
    assert f"{facts.probabilities[0]:.2f} and {facts.probabilities[1]:.2f}" in found.why
    assert found.severity == "note"
