"""Draws of the posterior from a proposal that is close to it: by importance resampling, or by Metropolis steps."""

from dataclasses import dataclass

import numpy as np

from bayesgmm.errors import PoorProposal
from bayesgmm.inference import labelled_copies
from bayesgmm.inference.importance import Draws, importance_share, log_evidence, resample, smooth
from bayesgmm.inference.mixture_proposals import Proposal
from bayesgmm.posterior.criteria import HIGH_KHAT
from bayesgmm.posterior.log_posterior import LogPosterior
from bayesgmm.sweep.stats import Array

TARGET = 1000  # effective number of draws, by default
FIRST = 4000  # number of proposals by which a proposal is assessed
MIN_SHARE = 0.003  # minimum importance share: below it, a few draws have most of the weight
WORTH = 3_000_000_000  # maximum cost of the proposals, by default: points x features x components x proposals
MAX_PROPOSALS = 1_000_000
MANY = 4  # proposals per effective draw that is wanted, times the inverse importance share: most draws are distinct


@dataclass(frozen=True)
class CorrectedDraws:
    """Draws of the posterior by importance resampling.

    Parameters
    ----------
    q : (chains, draws, P) float
        Coordinates, with the components in random orders. Some draws are repeated.
    lp : (chains, draws) float
        Log posterior densities.
    log_evidence, log_evidence_se : float
    pareto_khat, importance_share : float
        Shape of the tail of the importance weights, and their effective number as a share of the proposals.
    effective : float
        Effective number of independent draws of the posterior.
    proposals : int
    """

    q: Array
    lp: Array
    log_evidence: float
    log_evidence_se: float
    pareto_khat: float
    importance_share: float
    effective: float
    proposals: int


def affordable(density: LogPosterior) -> int:
    """Maximum number of proposals by default: fewer with many points."""
    return int(min(MAX_PROPOSALS, max(FIRST, WORTH // density.sweep_cost)))


def corrected_draws(
    proposal: Proposal, chains: int, draws: int, seed: int, target: int = TARGET, budget: int | None = None
) -> CorrectedDraws:
    """Draw from the posterior by importance resampling from a proposal.

    Parameters
    ----------
    proposal : Proposal
    chains, draws : int
        Shape of the result. The draws are exchangeable: the chains exist only for functions that expect them.
    seed : int
    target : int
        Effective number of draws at which no more proposals are made.
    budget : int, optional
        Maximum number of proposals. Default: ``affordable``.

    Raises
    ------
    PoorProposal
        If the importance weights have a heavy tail, or the budget does not suffice for the target. The message names
        the reason.

    References
    ----------
    .. [1] Rubin (1987), J. Am. Stat. Assoc. 82(398), 543-546.
    .. [2] Vehtari, Simpson, Gelman, Yao & Gabry (2024), J. Mach. Learn. Res. 25(72), 1-58.
    """
    budget = affordable(proposal.density) if budget is None else budget
    rng = np.random.default_rng((seed, 14))
    proposals = proposal.draw(rng, min(FIRST, budget))
    while (missing := min(_needed(proposals, max(target, chains * draws / MANY)), budget) - len(proposals)) > 0:
        proposals += proposal.draw(rng, min(missing, 4 * FIRST))
    share = _share(proposals)
    if share * len(proposals) < target:
        raise PoorProposal(
            f"{len(proposals)} draws of the proposal have the effective size {share * len(proposals):.0f} "
            f"({target} wanted)"
        )
    weight, khat = smooth(proposals.log_ratio)
    if khat > HIGH_KHAT:
        raise PoorProposal(
            f"the importance weights have a heavy tail (Pareto k-hat {khat:.2f}; it should stay below {HIGH_KHAT})"
        )
    kept = proposals.take(resample(weight, chains * draws, rng))
    q, lp = labelled(proposal.density, kept, rng)
    return CorrectedDraws(
        q.reshape(chains, draws, -1),
        lp.reshape(chains, draws),
        *log_evidence(proposals.log_ratio),
        khat,
        share,
        share * len(proposals),
        len(proposals),
    )


def _needed(proposals: Draws, target: float) -> int:
    """Number of proposals for a number of effective draws, at the importance share of those so far."""
    return int(target * MANY / _share(proposals))


def _share(proposals: Draws) -> float:
    """Importance share.

    Raises
    ------
    PoorProposal
        If it is too small.
    """
    share = importance_share(proposals.log_ratio)
    if share < MIN_SHARE:
        raise PoorProposal(
            f"the proposal is far from the posterior (importance share {share:.2g}; at least {MIN_SHARE} is needed)"
        )
    return share


def labelled(density: LogPosterior, draws: Draws, rng: np.random.Generator) -> tuple[Array, Array]:
    """Give draws of a labelled copy random orders of their components; return them and their log densities."""
    q = labelled_copies.from_copy(density, draws.q, rng)
    return q, draws.lp - labelled_copies.log_copies(density, q)


class IndependenceStep:
    """Metropolis steps whose proposals do not depend on the current draw: for use between the steps of a sampler.

    A step leaves the posterior unchanged, so that it may be mixed with any other steps.

    Parameters
    ----------
    proposal : Proposal
    seed : int
    batch : int
        Number of proposals that are evaluated at a time, in threads.

    References
    ----------
    .. [1] Tierney (1994), Ann. Stat. 22(4), 1701-1728.
    """

    def __init__(self, proposal: Proposal, seed: int, batch: int = FIRST) -> None:
        self.proposal, self.batch = proposal, batch
        self._rng = np.random.default_rng((seed, 15))
        self._waiting: Draws | None = None
        self.proposed = self.accepted = 0

    @property
    def share(self) -> float:
        """Share of the steps that were accepted."""
        return self.accepted / max(1, self.proposed)

    def __call__(self, q: Array, lp: Array) -> tuple[Array, Array]:
        """Make one step in each of several chains.

        Parameters
        ----------
        q : (chains, P) float
        lp : (chains,) float
            Log posterior densities.

        Returns
        -------
        q, lp : arrays
            The new draws, and their log posterior densities. An accepted draw has its components in a random order.
        """
        offered = self._next(len(q))
        log_ratio = offered.log_ratio - self.proposal.weigh(q, lp).log_ratio
        accepted = np.flatnonzero(-self._rng.exponential(size=len(q)) < log_ratio)
        self.proposed, self.accepted = self.proposed + len(q), self.accepted + accepted.size
        q, lp = q.copy(), lp.copy()
        if accepted.size:
            q[accepted], lp[accepted] = labelled(self.proposal.density, offered.take(accepted), self._rng)
        return q, lp

    def _next(self, count: int) -> Draws:
        """Return the next evaluated proposals; evaluate another batch if they do not suffice."""
        waiting = self._waiting
        if waiting is None or len(waiting) < count:
            waiting = self.proposal.draw(self._rng, max(self.batch, count))
        self._waiting = waiting.take(slice(count, None))
        return waiting.take(slice(0, count))
