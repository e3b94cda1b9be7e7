"""Draws of the posterior where the chains of a sampler disagree: from chains that move between all their regions."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from bayesgmm.errors import DeclarationError, PoorProposal, SamplingError
from bayesgmm.inference import conjugate_sweeps, gibbs_chains, independence_chains, mean_orders
from bayesgmm.inference.agreement import APART, agreement, label_free, monitored, wanted_ess
from bayesgmm.inference.corrected_draws import corrected_draws
from bayesgmm.inference.engine import Progress, Silent
from bayesgmm.inference.gibbs_judge import SEARCH, can_run, is_conjugate, log_densities, short_run
from bayesgmm.inference.missed_regions import MAX_SIZE, PARTS, draws_of_run, elsewhere, probability_elsewhere
from bayesgmm.inference.mixture_proposals import Proposal, proposal_from_chains
from bayesgmm.inference.region_draws import draws_by_mass
from bayesgmm.inference.seeds import another_seed
from bayesgmm.posterior.log_posterior import LogPosterior
from bayesgmm.posterior.notes import ReconciliationInfo
from bayesgmm.sweep.layout import IntArray
from bayesgmm.sweep.stats import Array

SHORTEST = 200  # with fewer draws in each chain, R-hat and the effective size are not reliable
WANTED = 1000  # effective number of draws of the result; a quarter of the draws, if they are few
TUNE, THIN = 500, 20  # Gibbs sweeps before the first draw, and from one draw to the next (fewer if they have moves)
GIBBS_WORTH = 1_500_000_000  # maximum cost of these sweeps: points x features x components x sweeps
GIBBS_CHAINS = 4  # minimum number
FACTOR = 1.5  # maximum factor of one extension: R-hat of few effective draws predicts badly how many are needed
MIN_EXTENSION = 1.2  # minimum factor: these chains continue at no cost
MANY = 0.03  # share of the posterior that the steps may have lost
COVERED = 0.999  # quantile of the importance ratios of resampled proposals
FURTHER, MIN_FURTHER = 3, 500  # factor of the draws of a chain of a further run, and minimum before it is applied
APART_SHARE = 0.5  # share of the draws of a part of a chain that are beyond it: the proposal does not cover them


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


@dataclass(frozen=True)
class _Chains:
    """Chains that are replaced, and how.

    Parameters
    ----------
    density : LogPosterior
    free : LogPosterior
        The same, or without an order of the means.
    chains, draws : int
        Shape of the chains, and of the result.
    rhat : float
        R-hat of the chains.
    seed, cores : int
    """

    density: LogPosterior
    free: LogPosterior
    chains: int
    draws: int
    rhat: float
    seed: int
    cores: int

    def weighed(self, pools: list[tuple[Array, Array]]) -> Reconciled | None:
        """Combine draws, and those of a further Gibbs run, by the masses of the regions.

        The run is long, and from other starts: where there is a second region, there may be a third one.
        """
        count = FURTHER * draws_of_run(self.free, MIN_FURTHER)
        return self.by_mass([*pools, short_run(self.free, count, another_seed(self.seed, 19), self.cores)])

    def by_mass(self, pools: Iterable[tuple[Array, Array]]) -> Reconciled | None:
        """Combine draws of chains that each stay in one region, by the masses of the regions."""
        found = draws_by_mass(self.free, pools, self.seed, self.cores, chains=self.chains, draws=self.draws)
        if found is None:
            return None
        by = "regions that are weighted by bridge sampling"
        info = ReconciliationInfo(by, self.rhat, probabilities=found.probabilities, probability_error=found.error)
        return self.replaced(found.q, found.lp, info)

    def replaced(self, q: Array, lp: Array, info: ReconciliationInfo) -> Reconciled:
        """Return draws whose means are not ordered as draws of the density in which they may be."""
        q = mean_orders.in_order(self.density, q)
        return Reconciled(q, lp if self.free is self.density else log_densities(self.density, q, self.cores), info)


def reconcile(
    density: LogPosterior,
    q: Array,
    lp: Array,
    seed: int,
    cores: int,
    progress: Progress,
) -> Reconciled | None:
    """Return draws from all regions that the chains have visited, in proportion to their probability.

    Where the priors are conjugate, they are those of a Gibbs sampler with split-merge moves, if its chains agree.
    Otherwise a mixture is fitted to the draws of all chains, and to those of the Gibbs sampler. It proposes draws
    between Gibbs sweeps, or else its draws are resampled by their importance weights. If its proposals are too poor,
    but the chains seldom move between regions that are apart, their draws are combined by the regions' masses.

    Parameters
    ----------
    density : LogPosterior
    q : (chains, draws, P) float
    lp : (chains, draws) float
        Draws of the chains and their log posterior densities.
    seed, cores : int
    progress : Progress

    Returns
    -------
    Reconciled or None
        None if the chains are too short, or if no proposal is close enough to the posterior: the chains are then kept.
        No proposal is close where many components are empty.

    Raises
    ------
    KeyboardInterrupt
        If Ctrl-C comes.
    """
    chains, draws = lp.shape
    if density.model.weights.is_overfitted and density.size > MAX_SIZE:
        return None
    if draws < SHORTEST:
        return None
    rhat = agreement(monitored(density, q, lp)).rhat
    progress.stage("moving between regions")
    target = min(WANTED, draws * chains // 4)
    try:
        if is_conjugate(density) and independence_chains.is_affordable(density, chains, draws):
            free = mean_orders.unordered(density)
            return _by_gibbs(_Chains(density, free, chains, draws, rhat, seed, cores), q, target)
        return _by_importance(_Chains(density, density, chains, draws, rhat, seed, cores), q, lp, target)
    except (SamplingError, DeclarationError):
        return None


def _by_importance(old: _Chains, q: Array, lp: Array, target: int) -> Reconciled | None:
    """Resample draws of a mixture by their importance weights, or combine regions by their masses."""
    try:
        proposal = proposal_from_chains(old.density, q, old.seed, old.cores)
        found = corrected_draws(proposal, old.chains, old.draws, old.seed, target)
        _require_covered(proposal, (q, lp), (found.q, found.lp))
    except PoorProposal:
        return old.by_mass([(q, lp)])
    info = ReconciliationInfo("importance resampling", old.rhat, importance_share=found.importance_share)
    return old.replaced(found.q, found.lp, info)


def _require_covered(proposal: Proposal, known: tuple[Array, Array], drawn: tuple[Array, Array]) -> None:
    """Check that a proposal covers all regions that chains have visited, by its importance ratios there.

    At draws of the posterior the ratios have the distribution that they have at the resampled proposals. In a region
    that the proposal hardly reaches they are higher, and neither its importance share nor Pareto k-hat show it.

    Parameters
    ----------
    proposal : Proposal
    known, drawn : ((chains, draws, P), (chains, draws)) float
        Draws of the chains and of the proposal, and their log posterior densities.

    Raises
    ------
    PoorProposal
        If most draws of some part of a chain have higher ratios than nearly all resampled proposals.
    """
    ratios, own = (proposal.weigh(q.reshape(lp.size, -1), lp.ravel()).log_ratio for q, lp in (known, drawn))
    beyond = (ratios > np.quantile(own, COVERED)).reshape(known[1].shape)
    most = max(float(part.mean(axis=1).max()) for part in np.array_split(beyond, PARTS, axis=1))
    if most > APART_SHARE:
        raise PoorProposal(f"{most:.0%} of the draws of a part of a chain are where the proposal has nearly none")


def weigh_regions(
    density: LogPosterior, pools: list[tuple[Array, Array]], draws: int, seed: int, cores: int
) -> Reconciled | None:
    """Combine draws of several samplers, and of a further Gibbs run, by the masses of the regions that they found.

    Parameters
    ----------
    density : LogPosterior
        One for which a Gibbs run is affordable.
    pools : list of ((chains, draws, P), (chains, draws)) float
        Draws and their log posterior densities; first those of the chains that are replaced.
    draws : int
        Number of draws of each chain of the result.
    seed, cores : int

    Returns
    -------
    Reconciled or None
        None if there is one region only, if chains often move between regions, or if the masses can't be estimated.
    """
    q, lp = pools[0]
    rhat, free = agreement(monitored(density, q, lp)).rhat, mean_orders.unordered(density)
    unordered = [mean_orders.out_of_order(density, q) for q, _ in pools]
    own = [(q, log_densities(free, q, cores)) for q in unordered]
    return _Chains(density, free, len(q), draws, rhat, seed, cores).weighed(own)


def can_replace(density: LogPosterior, chains: int, draws: int) -> bool:
    """Return True if a Gibbs sampler with split-merge moves may replace chains that are apart."""
    if density.model.weights.is_overfitted or not is_conjugate(density):
        return False
    has_moves = conjugate_sweeps.split_merge_period(density) > 0
    return has_moves and independence_chains.is_affordable(density, chains, draws)


def are_apart(density: LogPosterior, q: Array, lp: Array) -> bool:
    """Return True if chains (chains, draws, P) are in different regions: the first two, the first three, or more.

    So further chains change no answer that the first ones have given.
    """
    values = monitored(density, q, lp)
    return any(agreement(values[:count]).rhat > APART for count in range(2, len(values) + 1))


def replacement(
    density: LogPosterior, q: Array, lp: Array, draws: int, seed: int, cores: int, progress: Progress
) -> Reconciled | None:
    """Return as many draws of each chain as are asked for, by Gibbs sweeps alone, in place of chains that are apart.

    Few draws of these chains suffice, since they are only the regions that must be visited. Return None if the Gibbs
    sampler's chains disagree, too, or miss a region.

    Raises
    ------
    KeyboardInterrupt
        If Ctrl-C comes.
    """
    progress.stage("moving between regions")
    try:
        rhat, free = agreement(monitored(density, q, lp)).rhat, mean_orders.unordered(density)
        old = _Chains(density, free, len(q), draws, rhat, seed, cores)
        return _alone(old, _gibbs_chains(old), q)
    except (SamplingError, DeclarationError):
        return None


def _gibbs_chains(old: _Chains) -> "_GibbsChains":
    return _GibbsChains(old.free, old.seed, old.cores, max(old.chains, GIBBS_CHAINS), old.draws)


def _alone(old: _Chains, gibbs: "_GibbsChains", q: Array) -> Reconciled | None:
    """Return draws of Gibbs chains; None if they disagree, or miss a region that the replaced chains q have visited."""
    if not gibbs.mix(wanted_ess(old.chains, old.draws)):
        return None
    if _lost(old.free, mean_orders.out_of_order(old.density, q), gibbs.q, gibbs.lp, old.seed, old.cores) > MANY:
        return None
    kept, info = gibbs.thinned(old.draws), ReconciliationInfo("Gibbs sampling", old.rhat)
    return old.replaced(gibbs.q[: old.chains, kept], gibbs.lp[: old.chains, kept], info)


def _by_gibbs(old: _Chains, q: Array, target: float) -> Reconciled | None:
    """Draw by Gibbs sweeps, with independence steps where sweeps alone are slow, or from regions that are apart."""
    gibbs = _gibbs_chains(old)
    if alone := _alone(old, gibbs, q):
        return alone
    known = mean_orders.out_of_order(old.density, q)
    known_lp = log_densities(old.free, known, old.cores)
    pilot = np.concatenate([known, gibbs.q[:, gibbs.thinned(old.draws)]])
    if found := _by_independence_steps(old, pilot, target):
        info = ReconciliationInfo("independence steps", old.rhat, accepted=found.accepted)
        return old.replaced(found.q, found.lp, info)
    own = [(known, known_lp), (gibbs.q, gibbs.lp)]
    if can_run(old.free) and old.by_mass(own) and (weighed := old.weighed(own)):
        return weighed

    def pools() -> Iterator[tuple[Array, Array]]:
        yield known, known_lp
        yield gibbs.late_draws()  # they take long, and tell nothing if chains before them often move between regions

    return old.by_mass(pools())


def _by_independence_steps(old: _Chains, pilot: Array, target: float) -> independence_chains.IndependenceDraws | None:
    """Return draws by Gibbs sweeps and independence steps; None if these chains disagree, or miss a region."""
    density, seed, cores = old.free, old.seed, old.cores
    everything, shape = pilot.reshape(-1, density.size), {"chains": old.chains, "draws": old.draws}
    try:
        proposal = proposal_from_chains(density, pilot, seed, cores)
        found = independence_chains.sample(proposal, everything, seed, target=target, **shape)
    except PoorProposal:
        return None
    is_good = found.agreement.is_good(target / 4)
    return found if is_good and _lost(density, pilot, found.q, found.lp, seed, cores) <= MANY else None


def _lost(density: LogPosterior, known: Array, q: Array, lp: Array, seed: int, cores: int) -> float:
    """Return the probability of a region that chains (chains, draws, P) have visited, and the draws q have not.

    Where a proposal fits a region badly, steps hardly ever enter it, and agree nevertheless.
    """
    known_lp = log_densities(density, known, cores)
    values = label_free(density, q, lp)
    all_values = values.reshape(-1, values.shape[-1])
    apart = np.array([elsewhere(all_values, one) for one in label_free(density, known, known_lp)])
    return probability_elsewhere(density, (q[0], lp[0]), known, known_lp, apart, seed, cores) or 0.0


class _GibbsChains:
    """Chains of Gibbs sampling from starts of different kinds, which can be continued.

    Parameters
    ----------
    density : LogPosterior
    seed, cores, chains, draws : int

    Attributes
    ----------
    q, lp : (chains, draws, P) and (chains, draws) float
        Draws, and their log posterior densities.
    """

    def __init__(self, density: LogPosterior, seed: int, cores: int, chains: int, draws: int) -> None:
        self.density, self.seed, self.cores, self.chains = density, seed, cores, chains
        cost = conjugate_sweeps.sweep_cost(density)
        most = int(GIBBS_WORTH // (cost * chains))  # sweeps of each chain
        self.thin = int(np.clip(most // draws, 1, round(THIN * density.sweep_cost / cost)))
        self.tune = min(TUNE, self.thin * draws)
        self.longest = most // self.thin
        self.q, self.lp = np.empty((chains, 0, density.size)), np.empty((chains, 0))
        self._extend(draws)

    def _extend(self, draws: int) -> None:
        """Continue the chains up to a number of draws.

        Raises
        ------
        KeyboardInterrupt
            If Ctrl-C comes.
        """
        made = self.q.shape[1]
        settings = {"tune": self.tune, "chains": self.chains, "thin": self.thin, "draws": draws, "search": SEARCH}
        earlier = self.q if made else None
        drawn = gibbs_chains.sample(self.density, self.seed, self.cores, Silent(), **settings, earlier=earlier)
        if drawn.interrupted:
            raise KeyboardInterrupt
        new = drawn.q[:, made:]
        self.q = np.concatenate([self.q, new], axis=1)
        self.lp = np.concatenate([self.lp, log_densities(self.density, new, self.cores)], axis=1)

    def mix(self, wanted: float) -> bool:
        """Continue the chains until they agree, with an effective size that is wanted; False if that is not expected.

        Without split-merge moves it never is: such chains move between distant regions too slowly.
        """
        if not conjugate_sweeps.split_merge_period(self.density):
            return False
        while True:
            now, made = agreement(monitored(self.density, self.q, self.lp)), self.q.shape[1]
            needed = now.draws_needed(made, wanted, MIN_EXTENSION)
            if now.is_good(wanted) or now.rhat > APART or needed > self.longest:
                return now.is_good(wanted)
            self._extend(min(needed, round(FACTOR * made)))

    def late_draws(self) -> tuple[Array, Array]:
        """Return the second half of chains that are as long as the budget allows, and its log posterior densities.

        Chains that began in a small region may have left it in the first half.
        """
        if self.q.shape[1] < self.longest:
            self._extend(self.longest)
        half = self.q.shape[1] // 2
        return self.q[:, half:], self.lp[:, half:]

    def thinned(self, draws: int) -> IntArray:
        """Return the numbers of evenly spaced draws, as many as are asked for."""
        return np.linspace(0, self.q.shape[1] - 1, draws).round().astype(int)
