"""Search for the local maxima of a likelihood or posterior: starts of several kinds, short runs, moves between maxima.

Each cycle makes new starts (``proposals``) and new combinations of the best maxima so far (``moves``). All are improved
by a few iterations of EM, and the better half of the starts and all combinations until they converge. Starts end when
few maxima are likely to be undiscovered, judged by how often each was found, or half of the budget is spent. The search
ends when many combinations in turn are no better, or its budget is spent.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from bayesgmm.checkpoints.units import once
from bayesgmm.data.labels import exchangeable_groups
from bayesgmm.families.family import Family
from bayesgmm.inference.label_matching import matched, reordered
from bayesgmm.inference.mixtures import NONE, CovariancePrior, Exponents, Mixture
from bayesgmm.inference.moves import offspring
from bayesgmm.inference.optima import SAME, Found, Maxima
from bayesgmm.inference.populations import Climb, Population
from bayesgmm.inference.proposals import PROPOSALS, Labels, Rows
from bayesgmm.inference.starts import from_centres, sample_points, second_moments, spread_out_centres
from bayesgmm.inference.weak_priors import WeakPrior
from bayesgmm.labels.groups import Groups, order_of_means
from bayesgmm.sweep.blocks import Blocks
from bayesgmm.sweep.kernels import BLOCK
from bayesgmm.sweep.stats import Array, Stats

EXPLORED = 2_000  # number of rows that a search explores, when there are more
EXPLORED_EACH = 200  # minimum number of rows for each component
KINDS = ("spread", "projections", "columns", "components", "projections", "cuts", "seeds", "agglomeration")  # in turn
RATING = 4  # iterations before the worse half is dropped
BURST = 10  # iterations between checks of convergence
BURSTS = 4  # maximum number of them
MANY_BURSTS = 15  # maximum number if small components are not kept: EM is slow where they vanish
REACH = 5.0  # a mixture is dropped if this many times its estimated remaining gain would not make it the best
_rows: WeakKeyDictionary[Blocks, dict[str, tuple[Rows, Any]]] = WeakKeyDictionary()
LEFT = 0.05  # a mixture has converged when its remaining gain is less than this, in nats
UNSEEN = 0.05  # the search ends when undiscovered maxima have a smaller share of the starts than this
KEPT = 8  # number of maxima that are carried from the sample to all points
MOVED = 8  # number of maxima from which moves start
STARTED = 0.5  # share of the budget for starts; the rest is for moves
PATIENCE = 4  # the search ends after so many moves in vain for each maximum that was found,
VAIN = 30  # and at most so many
TRIED = 3  # cycles of starts before the search gives up finding a maximum without faults


@dataclass
class Exploration:
    """Search for local maxima over some blocks.

    Parameters
    ----------
    climb : Climb
    rows : Rows
        The points of its blocks.
    n_components : int
    rng : Generator
    budget : int
        Maximum number of sweeps.
    watch : function
        Called before each sweep; it may raise an error to stop the search.
    kinds : sequence of str
        Kinds of the starts, in turn.
    """

    climb: Climb
    rows: Rows
    n_components: int
    rng: np.random.Generator
    budget: int
    watch: Callable[[], None]
    kinds: Sequence[str] = KINDS
    spent: int = 0
    made: int = 0
    vain: int = 0

    def run(self, n_init: int, given: list[Mixture]) -> Found:
        """Search from given mixtures and new starts; each cycle makes ``n_init`` starts and half as many moves.

        When few maxima are likely to be undiscovered, or half of the budget is spent, there are only moves. Maxima with
        faults do not count as discovered until several cycles have found no other.
        """
        found = Found(self.climb.fault)
        if given:
            self._improve(found, Population.of(given), 0, len(given))
        while True:
            has_faults = bool(found.optima) and found.best == -np.inf  # then starts that rate lower may lead to others
            self._improve(found, self._starts(n_init), 1, n_init if has_faults else (n_init + 1) // 2)
            if n_init == 1:
                return found
            self._move(found, (n_init + 1) // 2)
            if self._is_known(found, n_init) or self.spent >= STARTED * self.budget:
                break
        while found.optima and self.spent < self.budget and not self._is_settled(found):
            self._move(found, n_init)
        return found

    def _is_known(self, found: Found, n_init: int) -> bool:
        """Return True if further starts are likely to lead to the same maxima."""
        return found.unseen < UNSEEN and (found.best > -np.inf or self.made >= TRIED * n_init)

    def _is_settled(self, found: Found) -> bool:
        return found.unseen < UNSEEN and self.vain >= min(PATIENCE * len(found.optima), VAIN)

    def _move(self, found: Found, count: int) -> None:
        """Improve mixtures that are made from the best maxima so far; count those in vain."""
        best, parents = found.best, found.parents(MOVED)
        if parents and self.spent < self.budget:
            children = offspring(self.climb, parents, count, self.rng)
            self._improve(found, children, 0, len(children))
            self.vain = 0 if found.best > best + SAME else self.vain + count

    def _starts(self, n_init: int) -> Population:
        chosen = [self.kinds[(self.made + i) % len(self.kinds)] for i in range(n_init)]
        self.made += n_init
        others = [kind for kind in chosen if kind != "spread"]
        parts = [self._centred(len(chosen) - len(others)), self._partitioned(others)]
        return reduce(Population.and_also, [part for part in parts if part is not None])

    def _centred(self, count: int) -> Population | None:
        """Return mixtures of equal spherical components at distant rows."""
        rows, weight, k = self.rows.values, self.rows.weight, self.n_components
        drawn = [spread_out_centres(rows, weight, k, self.rng) for _ in range(count)]
        starts = [from_centres(rows, weight, centres, self.climb.family) for centres in drawn]
        return Population.of(starts) if starts else None

    def _partitioned(self, kinds: list[str]) -> Population | None:
        labels = self.rows.partitioned(kinds, self.n_components, self.rng)
        return from_partitions(self.climb, self.rows, labels, self.n_components) if labels else None

    def refined(self, found: Found) -> Found:
        """Run EM over all points: a few iterations of the best mixtures, then more of the best half."""
        population, history = self._steps(self._matched(Population.of(found.mixtures(KEPT))), RATING)
        population = population.take(_best(history[-1], (len(population) + 1) // 2))
        population, history = self._steps(population, BURST)
        refined = Found(self.climb.fault)
        refined.add(population, history[-1] + np.minimum(remaining(history), LEFT), 1)
        return refined

    def _improve(self, found: Found, population: Population, hits: int, kept: int) -> None:
        """Run EM, a few iterations of all and then of the best until they converge; add the results."""
        population, history = self._steps(self._matched(population), RATING)
        population = population.take(_best(history[-1], kept))
        best, bursts = found.best, MANY_BURSTS if self.climb.drops_small else BURSTS
        for burst in range(bursts):
            population, history = self._steps(population, BURST)
            left = remaining(history)
            best = max(best, history[-1].max(where=self.climb.holds_enough(population), initial=-np.inf))
            done = (left < LEFT) | (burst == bursts - 1)
            lost = ~done & ~(history[-1] + REACH * left >= best - SAME)
            found.lower += hits * int(lost.sum())
            finished, going = np.flatnonzero(done), np.flatnonzero(~done & ~lost)
            found.add(population.take(finished), (history[-1] + np.minimum(left, LEFT))[finished], hits)
            if not len(going):
                break
            population = population.take(going)

    def _matched(self, population: Population) -> Population:
        """Return mixtures with their components in the order that agrees best with the labels of rows."""
        return matched(self.climb.blocks, self.climb.family, population, self.climb.threads)

    def _steps(self, population: Population, count: int) -> tuple[Population, Array]:
        """Run a number of iterations of EM; return the mixtures and their values before each iteration (count, S)."""

        def compute() -> tuple[Population, Array]:
            values, now = self.climb.steps(population, count, self.watch)
            return now, np.where(np.isfinite(values), values, -np.inf)

        self.spent += count * len(population)
        return once(compute, population.weight, population.mean, population.core_roots)


def _best(values: Array, count: int) -> list[int]:
    """Indices of the highest values."""
    order: list[int] = np.argsort(-values, kind="stable")[:count].tolist()
    return order


def remaining(history: Array) -> Array:
    """Estimate the remaining gain (S,) from values before each of several iterations (count, S), by Aitken."""
    gains = np.maximum(np.diff(history[-4:], axis=0), 1e-12)
    rate = np.minimum((gains[1:] / gains[:-1]).max(axis=0), 0.999)
    return np.asarray(gains[-1] * rate / (1 - rate))


def partitions(
    climb: Climb, rows: Rows, n_components: int, count: int, rng: np.random.Generator, kinds: Sequence[str]
) -> Population:
    """Make mixtures from partitions of the rows, of some kinds in turn."""
    labels = [PROPOSALS[kinds[i % len(kinds)]](rows, n_components, rng) for i in range(count)]
    return from_partitions(climb, rows, labels, n_components)


def from_partitions(climb: Climb, rows: Rows, labels: list[Labels], n_components: int) -> Population:
    """Compute the M step of each partition (M,) of the rows."""
    parts = []
    for own in labels:
        member = (own == np.arange(n_components)[:, None]) * rows.weight
        n = np.maximum(member.sum(axis=1), 1e-10)
        mean = member @ rows.values / n[:, None]
        parts.append((n, mean, second_moments(rows.values, member.T, mean, climb.family)))
    n, mean, moments = (np.concatenate(part) for part in zip(*parts, strict=True))
    return climb.maximise(Stats(n, np.zeros_like(mean), moments, 0.0, mean), len(labels))


def explore(
    blocks: Blocks,
    family: Family,
    prior: CovariancePrior | WeakPrior,
    n_components: int,
    seed: int | tuple[int, int],
    *,
    n_init: int,
    budget: int,
    exponents: Exponents = NONE,
    given: list[Mixture] | None = None,
    threads: int = 1,
    watch: Callable[[], None] = lambda: None,
    kinds: Sequence[str] = KINDS,
) -> Maxima:
    """Search for local maxima by EM.

    If there are many points, a sample of them is explored, and the best mixtures are improved over all points.

    Parameters
    ----------
    blocks : Blocks
    family : Family
    prior : CovariancePrior or WeakPrior
        Prior of the covariances, or one that only keeps them regular.
    n_components : int
    seed : int or pair
    n_init : int
        Number of starts in each cycle.
    budget : int
        Maximum number of sweeps for a start; the last cycle is finished.
    exponents : Exponents
        Those of the density beside the prior of the covariances.
    given : list of Mixture, optional
        Additional mixtures to start from.
    threads : int
        Number of threads; the result does not depend on it.
    watch : function
        Called before each sweep; it may raise an error to stop the search.
    kinds : sequence of str
        Kinds of the starts, in turn.

    References
    ----------
    .. [1] Biernacki, Celeux & Govaert (2003), Comput. Stat. Data Anal. 41, 561-575.
    """
    rng = np.random.default_rng(seed)
    rows = _rows_of(blocks, n_components, rng)
    explored = replace(rows.blocks(), background=blocks.background)
    climb = _climb(explored, family, prior, rows, threads, exponents)
    exploration = Exploration(climb, rows, n_components, rng, budget, watch, kinds)
    with np.errstate(all="ignore"):  # a mixture that is not finite is dropped
        found = exploration.run(1 if n_components == 1 else n_init, given or [])
        undiscovered = _undiscovered(found)
        if len(rows.values) < blocks.n_points and found.optima:
            found = replace(exploration, climb=replace(climb, blocks=blocks)).refined(found)
    groups = exchangeable_groups(blocks.labels, n_components)
    optima = [replace(optimum, mixture=_in_order(optimum.mixture, family, groups)) for optimum in found.optima[:KEPT]]
    return Maxima(optima, undiscovered)


def _undiscovered(found: Found) -> float:
    """Share of starts that lead to undiscovered maxima, if it is more than small and no start has led to the best.

    The best is then the result of moves, which often end at another one from another seed.
    """
    is_confirmed = not found.optima or found.optima[0].hits > 0
    return 0.0 if is_confirmed or found.unseen < UNSEEN else found.unseen


def _climb(
    blocks: Blocks, family: Family, prior: CovariancePrior | WeakPrior, rows: Rows, threads: int, exponents: Exponents
) -> Climb:
    if isinstance(prior, CovariancePrior):
        return Climb(blocks, family, prior, threads, exponents=exponents)
    return Climb(blocks, family, prior.of(family, rows), threads, is_weak=True, drops_small=prior.drops_small)


def _in_order(mixture: Mixture, family: Family, groups: Groups) -> Mixture:
    """Return the mixture with the components of a group in the order of their means, whatever the start."""
    return reordered(mixture, order_of_means(mixture.mean, groups), family)


def _rows_of(blocks: Blocks, n_components: int, rng: np.random.Generator) -> Rows:
    """Return the rows that are explored; searches over the same blocks from the same seed share them."""
    most = max(EXPLORED, EXPLORED_EACH * n_components)
    asked, known = f"{most} {rng.bit_generator.state}", _rows.setdefault(blocks, {})
    if asked not in known:
        rows = _part(Rows(*sample_points(blocks, rng)), most, rng)
        known[asked] = rows, rng.bit_generator.state
    rows, rng.bit_generator.state = known[asked]
    return rows


def _part(rows: Rows, most: int, rng: np.random.Generator) -> Rows:
    """Return the rows that are explored."""
    if len(rows.values) <= most:
        return rows
    chosen = np.sort(rng.choice(len(rows.values), most // BLOCK * BLOCK, replace=False))
    return rows.take(chosen)
