"""Chains of Gibbs sweeps and independence steps, which move between distant regions of the posterior.

Where components overlap, a Gibbs sampler and NUTS move slowly; between modes they do not move at all. A mixture that is
fitted to their draws proposes draws in all regions that any of the chains has visited, and Metropolis steps decide how
often each region is visited. Many short chains run side by side, so that the proposals are evaluated in batches.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from bayesgmm.errors import PoorProposal
from bayesgmm.inference.agreement import Agreement, agreement, label_free
from bayesgmm.inference.conjugate_sweeps import Chains
from bayesgmm.inference.corrected_draws import FIRST, IndependenceStep, labelled
from bayesgmm.inference.elbo import evaluate
from bayesgmm.inference.importance import resample, smooth
from bayesgmm.inference.mixture_proposals import Proposal, proposal_from_chains
from bayesgmm.posterior.log_posterior import LogPosterior
from bayesgmm.sweep.layout import IntArray
from bayesgmm.sweep.stats import Array

SWEEPS = 5  # Gibbs sweeps from one independence step to the next
JOINED = 16  # chains that are joined to one chain of the result
BETWEEN = 50  # independence steps between two checks
DISCARDED = 0.1  # share of the steps that are discarded: the first draws are only approximately from the posterior
MIN_ACCEPTED = 0.002  # share of accepted steps below which the chains are stopped
FEW_ACCEPTED = 0.1  # share of accepted steps below which the proposal is fitted again
MAX_REFITS = 3
WORTH = 8_000_000_000  # maximum cost of all steps, of which a sweep has points x features x components
EVALUATION = 2  # cost of an evaluation of the density, in sweeps
STEP = 60_000  # cost of a step in Python, for few points


@dataclass(frozen=True)
class IndependenceDraws:
    """Draws of the posterior.

    Parameters
    ----------
    q : (chains, draws, P) float
    lp : (chains, draws) float
        Log posterior densities.
    agreement : Agreement
        Agreement of the chains.
    accepted : float
        Share of the independence steps that were accepted.
    """

    q: Array
    lp: Array
    agreement: Agreement
    accepted: float


@dataclass
class _ShortChains:
    """Current state of all chains, and their draws so far.

    Parameters
    ----------
    density : LogPosterior
        With means that are not ordered.
    sweeps : Chains
    step : IndependenceStep
    q : (W, P) float
    lp : (W,) float
    cores : int
    made : int
        Number of independence steps of each chain so far.
    kept : list of ((W, P), (W,)) float
        Draws and their log densities after each step.
    """

    density: LogPosterior
    sweeps: Chains
    step: IndependenceStep
    q: Array
    lp: Array
    cores: int
    made: int = 0
    kept: list[tuple[Array, Array]] = field(default_factory=list)

    def advance(self, pool: ThreadPoolExecutor) -> None:
        """Make Gibbs sweeps and an independence step in every chain."""
        first = self.made * SWEEPS
        parts = np.array_split(np.arange(len(self.q)), self.cores)
        for done in [pool.submit(self._sweep, part, first) for part in parts]:
            done.result()
        with np.errstate(all="ignore"):
            lp = evaluate([self.density] * len(self.q), self.q, self.cores)[0]
        self.q, self.lp = self.step(self.q, lp)
        self.kept.append((self.q.copy(), self.lp.copy()))
        self.made += 1

    def _sweep(self, numbers: IntArray, first: int) -> None:
        for number in numbers.tolist():
            self.sweeps.advance(number, self.q[number], (first, first + SWEEPS))

    def require_accepted(self) -> None:
        """Check that some proposals are accepted.

        Raises
        ------
        PoorProposal
            Otherwise.
        """
        if self.step.share < MIN_ACCEPTED:
            raise PoorProposal(f"of {self.step.proposed} proposals {self.step.accepted} were accepted")

    def refit(self, chains: int, seed: int) -> None:
        """Fit the proposal again, to the draws so far, which are then discarded because they adapted the sampler."""
        q = self.drawn()[0]
        joined = q.reshape(chains, -1, q.shape[-1])
        self.step = IndependenceStep(proposal_from_chains(self.density, joined, seed, self.cores), seed)
        self.kept.clear()

    def drawn(self) -> tuple[Array, Array]:
        """Return the draws (W, T, P) and their log densities (W, T), without the discarded ones."""
        kept = self.kept[int(DISCARDED * len(self.kept)) :]
        return np.stack([q for q, _ in kept], axis=1), np.stack([lp for _, lp in kept], axis=1)


def affordable(density: LogPosterior, chains: int) -> int:
    """Return the number of independence steps of each short chain that the budget allows."""
    return int(WORTH // ((density.sweep_cost * (SWEEPS + EVALUATION) + STEP) * chains * JOINED))


def is_affordable(density: LogPosterior, chains: int, draws: int) -> bool:
    """Return True if the budget suffices for the shortest run."""
    return affordable(density, chains) >= _fewest(draws)


def _fewest(draws: int) -> int:
    return max(BETWEEN, -(-draws // JOINED))


def sample(proposal: Proposal, known: Array, seed: int, *, chains: int, draws: int, target: float) -> IndependenceDraws:
    """Sample until the short chains agree, with the effective size that is wanted, or a budget is spent.

    Parameters
    ----------
    proposal : Proposal
        For a density with conjugate priors.
    known : (S, P) float
        Draws in all regions, from which half of the short chains start.
    seed : int
    chains, draws : int
        Shape of the result.
    target : float
        Effective number of draws for the mean of every label-free quantity.

    Raises
    ------
    PoorProposal
        If hardly any proposal is accepted.

    References
    ----------
    .. [1] Tierney (1994), Ann. Stat. 22(4), 1701-1728: mixtures of kernels, independence steps.
    .. [2] Haario, Saksman & Tamminen (2001), Bernoulli 7(2), 223-242: proposals from earlier draws.
    """
    density, cores = proposal.density, proposal.cores
    least, most = _fewest(draws), affordable(density, chains)
    running = _started(proposal, known, seed, chains * JOINED)
    verdict, refits = Agreement(np.inf, 0.0), 0
    with ThreadPoolExecutor(cores, thread_name_prefix="bayesgmm-independence") as pool:
        try:
            while running.made < most:
                for _ in range(min(least, most - running.made)):
                    running.advance(pool)
                q, lp = (_joined(values, chains, draws) for values in running.drawn())
                verdict = agreement(label_free(density, q, lp))
                running.require_accepted()  # else chains agree only because they all started at the same few draws
                if verdict.is_good(target):
                    break
                if running.step.share < FEW_ACCEPTED and refits < MAX_REFITS and running.made + least <= most:
                    refits += 1
                    running.refit(chains, seed + refits)
        except KeyboardInterrupt:
            if len(running.kept) < least:
                raise
    q, lp = (_joined(values, chains, draws) for values in running.drawn())
    return IndependenceDraws(q, lp, verdict, running.step.share)


def _started(proposal: Proposal, known: Array, seed: int, count: int) -> _ShortChains:
    """Start half of the chains at proposals that are resampled by their importance weights, the others at known draws.

    The former are nearly draws of the posterior, but those in a region that the proposal fits badly have tiny weights.
    """
    rng = np.random.default_rng((seed, 16))
    offered = proposal.draw(rng, FIRST)
    if not np.isfinite(offered.log_ratio).any():
        raise PoorProposal("no draw of the proposal has a finite posterior density")
    chosen = offered.take(resample(smooth(offered.log_ratio)[0], count - count // 2, rng))
    q = np.concatenate([labelled(proposal.density, chosen, rng)[0], rng.choice(known, count // 2)])
    q = rng.permutation(q)
    lp = evaluate([proposal.density] * count, q, proposal.cores)[0]
    sweeps = Chains.of(proposal.density, seed, tune=0, thin=1, moves=False)  # the steps change the number of clusters
    return _ShortChains(proposal.density, sweeps, IndependenceStep(proposal, seed), q, lp, proposal.cores)


def _joined(values: Array, chains: int, draws: int) -> Array:
    """Join short chains (W, T, ...) to chains (chains, draws, ...), thinned evenly.

    One short chain follows the other, so that the effective size that is computed for a joined chain is that of its
    parts.
    """
    each = -(-draws // (len(values) // chains))
    thinned = values[:, np.linspace(0, values.shape[1] - 1, each).round().astype(int)]
    return thinned.reshape(chains, -1, *values.shape[2:])[:, :draws]
