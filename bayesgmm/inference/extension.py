"""Longer runs of a sampler: more draws where the chains agree, but mix slowly."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from bayesgmm.checkpoints.units import once
from bayesgmm.diagnosis.mixing import ALARMING_RHAT
from bayesgmm.inference.agreement import APART, Agreement, agreement, ess_within_chains, monitored, wanted_ess
from bayesgmm.inference.engine import Estimate, Progress
from bayesgmm.inference.gibbs_judge import is_conjugate
from bayesgmm.inference.interruptions import trim
from bayesgmm.inference.reconciliation import SHORTEST, Reconciled, reconcile
from bayesgmm.posterior.log_posterior import LogPosterior
from bayesgmm.posterior.notes import EngineNotes, ExtensionInfo
from bayesgmm.sweep.stats import Array

FACTOR = 8  # maximum number of draws, relative to those that are asked for, by default
MIN_DRAWS = 50  # draws of an extension


@dataclass(frozen=True)
class Drawn:
    """Draws of a sampler.

    Parameters
    ----------
    q : (chains, draws, P) float
    stats : dict of (chains, draws) arrays
        Statistics of the draws; they include ``lp``, the log posterior.
    interrupted : bool
        True if Ctrl-C stopped the sampler.
    """

    q: Array
    stats: dict[str, Array]
    interrupted: bool = False

    @property
    def draws(self) -> int:
        """Number of draws of each chain."""
        return self.q.shape[1]

    def first(self, draws: int) -> Self:
        """Return the first draws of each chain."""
        stats = {name: values[:, :draws] for name, values in self.stats.items()}
        return replace(self, q=self.q[:, :draws], stats=stats)

    def thinned(self, draws: int) -> Self:
        """Return evenly spaced draws of each chain, at most so many."""
        at = np.linspace(0, self.draws - 1, min(draws, self.draws)).round().astype(int)
        stats = {name: values[:, at] for name, values in self.stats.items()}
        return replace(self, q=self.q[:, at], stats=stats)

    def followed_by(self, more: "Drawn") -> Self:
        """Append further draws of the same chains, cut to the shortest: Ctrl-C leaves NaN, or fewer chains."""
        count = int((~np.isnan(more.q)).all(axis=-1).sum(axis=1).min()) if len(more.q) == len(self.q) else 0
        if not count:
            return replace(self, interrupted=more.interrupted)
        stats = {name: np.concatenate([kept, more.stats[name][:, :count]], axis=1) for name, kept in self.stats.items()}
        return type(self)(np.concatenate([self.q, more.q[:, :count]], axis=1), stats, more.interrupted)


type More = Callable[[Drawn, int, int], Drawn]
"""Function of the draws so far, the number of further draws, and the number of the extension: returns these draws."""


@dataclass(frozen=True)
class Checked:
    """Result of a comparison with another sampler.

    Parameters
    ----------
    better : Reconciled, optional
        Its draws, if they are better.
    warnings : tuple of str
        Where the two disagree and neither is known to be right.
    """

    better: Reconciled | None = None
    warnings: tuple[str, ...] = ()


type Replacing = Callable[[], Reconciled | None]
"""Function that returns draws from all regions in place of those so far; None if none can be made."""

type Check = Callable[[Drawn, Replacing], Checked]
"""Function of the draws so far, and one that replaces them: compares them with those of another sampler."""


@dataclass(frozen=True)
class Budget:
    """Settings of a run.

    Parameters
    ----------
    draws, chains : int
        Number of draws of each chain, and of chains.
    max_draws : int, optional
        Maximum number of draws of each chain.
    reconciles : bool
        True if chains that disagree are reconciled.

    Examples
    --------
    >>> Budget(1000, 4).longest, Budget(1000, 4, max_draws=1).longest
    (8000, 1000)
    """

    draws: int
    chains: int
    max_draws: int | None = None
    reconciles: bool = True

    @property
    def extends(self) -> bool:
        """True if a run may be extended."""
        return self.longest - self.draws >= MIN_DRAWS

    @property
    def longest(self) -> int:
        """Maximum number of draws of each chain."""
        return FACTOR * self.draws if self.max_draws is None else max(self.draws, self.max_draws)


@dataclass
class Extension:
    """Chains that are extended until R-hat and effective sample size of label-free quantities are good.

    Parameters
    ----------
    density : LogPosterior
    drawn : Drawn
        The draws so far.
    more : function
        Continues the chains.
    longest : int
        Maximum number of draws of each chain.
    wanted : float
        Effective sample size at which a run is long enough.
    """

    density: LogPosterior
    drawn: Drawn
    more: More
    longest: int
    wanted: float

    def __post_init__(self) -> None:
        self.number = 0
        self.agreement = self._measured()

    @property
    def is_good(self) -> bool:
        """True if the chains agree, and their effective sample size suffices."""
        return self.agreement.is_good(self.wanted)

    def run(self, progress: Progress, *, if_uncertain: bool) -> None:
        """Draw more until the chains are good, or the budget is spent. Ctrl-C keeps the draws so far.

        With ``if_uncertain``, chains are also extended if their R-hat is above 1.05, or if the budget is not expected
        to suffice; but not chains that mix well, each in another region.
        """
        while not (self.is_good or self.drawn.interrupted) and self.longest - self.drawn.draws >= MIN_DRAWS:
            needed = self.agreement.draws_needed(self.drawn.draws, self.wanted)
            is_uncertain = self.agreement.rhat > ALARMING_RHAT or needed > self.longest
            if is_uncertain and (not if_uncertain or self._are_apart()):
                break
            self._extend(min(needed, 2 * self.drawn.draws, self.longest), progress)

    def _extend(self, draws: int, progress: Progress) -> None:
        """Extend the chains to a number of draws."""
        progress.stage(f"extending to {draws} draws, {self.longest} at most")
        self.number += 1
        more = self.more(self.drawn, draws - self.drawn.draws, self.number)
        self.drawn = self.drawn.followed_by(more)
        self.agreement = self._measured()

    def _measured(self) -> Agreement:
        return agreement(self._label_free())

    def _are_apart(self) -> bool:
        """Return True if the chains mix well, but in different regions."""
        return self.agreement.rhat > APART and ess_within_chains(self._label_free()) >= self.wanted

    def _label_free(self) -> Array:
        return monitored(self.density, self.drawn.q, self.drawn.stats["lp"])


def settled(
    density: LogPosterior,
    drawn: Drawn,
    more: More,
    notes: EngineNotes,
    budget: Budget,
    seed: int,
    cores: int,
    progress: Progress,
    check: Check | None = None,
) -> Estimate:
    """Return the result of a sampler, after its chains were extended or reconciled where they have not mixed.

    Chains that agree are extended, if the budget is expected to suffice. Otherwise they are reconciled; where that is
    not possible, they are extended up to the budget. Without a Gibbs sampler that moves between regions, only the
    chains can tell what a region contains, and one that has soon left it knows little: they are extended first.

    Parameters
    ----------
    density : LogPosterior
    drawn : Drawn
    more : function
        Continues the chains.
    notes : EngineNotes
    budget : Budget
    seed, cores : int
    progress : Progress
    check : function, optional
        Compares the chains with those of another sampler, which may replace them.

    Raises
    ------
    SamplingError
        If Ctrl-C came before the first draw.
    """
    if drawn.interrupted:
        return _interrupted(drawn, notes, budget)
    if budget.draws < SHORTEST:
        return Estimate(drawn.q, drawn.stats, (), notes)
    extension = Extension(density, drawn, more, budget.longest, wanted_ess(budget.chains, budget.draws))
    checked = Checked()
    try:
        extension.run(progress, if_uncertain=not is_conjugate(density))
        drawn = extension.drawn
        is_uncertain = not (extension.is_good or drawn.interrupted)

        def replacing() -> Reconciled | None:
            known = drawn.thinned(budget.draws)
            return reconcile(density, known.q, known.stats["lp"], seed, cores, progress)

        if is_uncertain and budget.reconciles and (found := once(replacing)):
            return Estimate(found.q, {"lp": found.lp}, (), replace(notes, reconciled=found.info))
        if check and not drawn.interrupted:
            possible = _in_vain if is_uncertain else replacing  # the same attempt would fail again
            checked = once(lambda: check(drawn, possible))
            if better := checked.better:
                return Estimate(better.q, {"lp": better.lp}, (), replace(notes, reconciled=better.info))
        extension.run(progress, if_uncertain=True)
    except KeyboardInterrupt:
        extension.drawn = replace(extension.drawn, interrupted=True)
    drawn = extension.drawn
    facts = ExtensionInfo(budget.draws, drawn.draws) if drawn.draws > budget.draws else None
    notes = replace(notes, extended=facts, interrupted=drawn.interrupted)
    return Estimate(drawn.q, drawn.stats, checked.warnings, notes)


def _in_vain() -> None:
    """Replace nothing: it was tried before, or is not wanted."""


def _interrupted(drawn: Drawn, notes: EngineNotes, budget: Budget) -> Estimate:
    """Return the draws of chains that Ctrl-C stopped."""
    q, stats = trim(drawn.q, drawn.stats)
    kept = f"Interrupted: kept {q.shape[1]} of {budget.draws} draws of {len(q)} of {budget.chains} chains."
    return Estimate(q, stats, (kept,), replace(notes, interrupted=True))
