"""Draws of the posterior where the chains of a sampler disagree: from chains that move between all their regions."""

from dataclasses import dataclass

import numpy as np

from bayesgmm.diagnosis.mixing import LOW_ESS
from bayesgmm.errors import DeclarationError, PoorProposal, SamplingError
from bayesgmm.inference import conjugate_sweeps, gibbs_chains, independence_chains, mean_orders
from bayesgmm.inference.agreement import agreement, label_free, monitored
from bayesgmm.inference.corrected_draws import corrected_draws
from bayesgmm.inference.elbo import evaluate
from bayesgmm.inference.engine import Progress, Silent
from bayesgmm.inference.gibbs_judge import is_conjugate, log_densities
from bayesgmm.inference.independence_chains import IndependenceDraws
from bayesgmm.inference.missed_regions import MAX_SIZE, elsewhere, probability_elsewhere
from bayesgmm.inference.mixture_proposals import proposal_from_chains
from bayesgmm.posterior.log_posterior import LogPosterior
from bayesgmm.posterior.notes import ReconciliationInfo
from bayesgmm.sweep.stats import Array

SHORTEST = 200  # with fewer draws in each chain, R-hat and the effective size are not reliable
WANTED = 1000  # effective number of draws of the result; a quarter of the draws, if they are few
TUNE, THIN = 500, 20  # Gibbs sweeps before the first draw, and from one draw to the next (fewer if they have moves)
GIBBS_WORTH = 1_500_000_000  # maximum cost of these sweeps: points x features x components x sweeps
GIBBS_CHAINS = 4
MANY = 0.03  # share of the posterior that the steps may have lost


@dataclass(frozen=True)
class Reconciled:
    """Draws of the posterior in place of those of chains that disagree.

    Parameters
    ----------
    q : (chains, draws, P) float
    lp : (chains, draws) float
        Log posterior densities.
    info : ReconciliationInfo
    """

    q: Array
    lp: Array
    info: ReconciliationInfo


def reconcile(
    density: LogPosterior,
    q: Array,
    lp: Array,
    seed: int,
    cores: int,
    progress: Progress,
    *,
    if_good: bool = False,
) -> Reconciled | None:
    """Return draws from all regions that the chains have visited, in proportion to their probability.

    A mixture is fitted to the draws of all chains, and to those of a Gibbs sampler where the priors are conjugate. It
    proposes draws between Gibbs sweeps, or else its draws are resampled by their importance weights.

    Parameters
    ----------
    density : LogPosterior
    q : (chains, draws, P) float
    lp : (chains, draws) float
        Draws of the chains and their log posterior densities.
    seed, cores : int
    progress : Progress
    if_good : bool
        True if chains that agree are replaced, too.

    Returns
    -------
    Reconciled or None
        None if the chains agree, if they are too short to tell, if no proposal is close enough to the posterior, or if
        Ctrl-C stops the work: the chains are then kept. No proposal is close where many components are empty.
    """
    chains, draws = lp.shape
    if density.model.weights.is_overfitted and density.size > MAX_SIZE:
        return None
    before = agreement(monitored(density, q, lp))
    if draws < SHORTEST or (before.is_good(min(LOW_ESS * chains, draws * chains // 4)) and not if_good):
        return None
    progress.stage("moving between regions")
    target = min(WANTED, draws * chains // 4)
    try:
        if is_conjugate(density) and independence_chains.is_affordable(density, chains, draws):
            return _by_gibbs(density, q, before.rhat, seed, cores, target)
        proposal = proposal_from_chains(density, q, seed, cores)
        found = corrected_draws(proposal, chains, draws, seed, target)
    except (PoorProposal, SamplingError, DeclarationError, KeyboardInterrupt):
        return None
    facts = ReconciliationInfo("importance resampling", before.rhat, importance_share=found.importance_share)
    return Reconciled(found.q, found.lp, facts)


def _by_gibbs(density: LogPosterior, q: Array, rhat: float, seed: int, cores: int, target: float) -> Reconciled | None:
    """Draw by Gibbs sweeps and independence steps; None if even these chains disagree."""
    chains, draws = q.shape[:2]
    free = mean_orders.unordered(density)
    pilot = np.concatenate([mean_orders.out_of_order(density, q), _pilot(free, draws, seed, cores)])
    proposal = proposal_from_chains(free, pilot, seed, cores)
    known = pilot.reshape(-1, density.size)
    found = independence_chains.sample(proposal, known, seed, chains=chains, draws=draws, target=target)
    if not found.agreement.is_good(target / 4) or _lost(free, pilot, found, seed, cores) > MANY:
        return None
    q, lp = mean_orders.in_order(density, found.q), found.lp
    if free is not density:
        lp = evaluate([density] * lp.size, q.reshape(lp.size, -1), cores)[0].reshape(lp.shape)
    return Reconciled(q, lp, ReconciliationInfo("independence steps", rhat, accepted=found.accepted))


def _lost(density: LogPosterior, pilot: Array, found: IndependenceDraws, seed: int, cores: int) -> float:
    """Return the probability of a region that chains (chains, draws, P) have visited, and the steps have not.

    Where a proposal fits a region badly, steps hardly ever enter it, and agree nevertheless.
    """
    lp = log_densities(density, pilot, cores)
    values = label_free(density, found.q, found.lp)
    known = values.reshape(-1, values.shape[-1])
    apart = np.array([elsewhere(known, one) for one in label_free(density, pilot, lp)])
    return probability_elsewhere(density, (found.q[0], found.lp[0]), pilot, lp, apart, seed, cores) or 0.0


def _pilot(density: LogPosterior, draws: int, seed: int, cores: int) -> Array:
    """Draw (chains, draws, P) by Gibbs sampling, from starts of different kinds."""
    cost = conjugate_sweeps.sweep_cost(density)
    longest = round(THIN * density.sweep_cost / cost)
    thin = int(np.clip(GIBBS_WORTH // (cost * GIBBS_CHAINS * draws), 1, longest))
    tune = min(TUNE, thin * draws)
    q, _, interrupted = gibbs_chains.sample(
        density, seed, cores, Silent(), draws=draws, tune=tune, chains=GIBBS_CHAINS, thin=thin
    )
    if interrupted:
        raise KeyboardInterrupt
    return q
