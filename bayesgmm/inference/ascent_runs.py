"""Coordinate ascent from given factors until it converges, with extrapolation."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice

import numpy as np

from bayesgmm.checkpoints.units import once
from bayesgmm.inference.acceleration import ROUNDING, remaining_gain, squarem
from bayesgmm.inference.coordinate_ascent import Ascent, Factors
from bayesgmm.inference.engine import Progress

REPORTED = 10  # number of iterations between reports of progress


@dataclass
class AscentResult:
    """Result of the ascent, so far.

    Parameters
    ----------
    factors : Factors
    history : list of float
        ELBO before each iteration, in nats; the last is that of ``factors``.
    batches : list of int
        Number of minibatches in each iteration; 1 for all points at once.
    converged, interrupted : bool
    """

    factors: Factors
    history: list[float] = field(default_factory=list)
    batches: list[int] = field(default_factory=list)
    converged: bool = False
    interrupted: bool = False

    @property
    def elbo(self) -> float:
        """ELBO at the end, in nats."""
        return self.history[-1]

    @property
    def n_iter(self) -> int:
        """Number of passes over the points."""
        return len(self.history)

    def note(self, factors: Factors, elbo: float, batches: int = 1) -> None:
        """Record an iteration."""
        self.factors = factors
        self.history.append(elbo)
        self.batches.append(batches)

    def then(self, other: "AscentResult") -> "AscentResult":
        """Return a later result with both histories."""
        history, batches = self.history + other.history, self.batches + other.batches
        return AscentResult(other.factors, history, batches, other.converged, other.interrupted)


def gain_is_small(history: list[float], tol: float) -> bool:
    """Return True if the expected remaining gain is below ``tol``; every second bound follows an extrapolation."""
    return remaining_gain(np.abs(np.diff(history[::2])).tolist())[0] < tol


@dataclass(frozen=True)
class Rule:
    """Acceleration and convergence criterion of an ascent.

    Parameters
    ----------
    plain : int
        Number of plain iterations before the first extrapolation.
    over : function
        Criterion: takes the bounds so far and ``tol``, and returns True at convergence.
    """

    plain: int = 0
    over: Callable[[list[float], float], bool] = gain_is_small


ACCELERATED = Rule()


def iterations(ascent: Ascent, start: Factors, plain: int) -> Iterator[tuple[float, Factors]]:
    """Yield factors with increasing bounds, each with its bound: plain steps first, then steps with extrapolation."""
    factors = start
    for _ in range(plain):
        elbo, following = ascent.step(factors)
        yield elbo, factors
        factors = following
    yield from squarem(ascent.step, factors, ascent.flatten, ascent.unflatten)


def ascend(
    ascent: Ascent,
    start: Factors,
    max_iter: int,
    tol: float,
    progress: Progress | None = None,
    rule: Rule = ACCELERATED,
) -> AscentResult:
    """Maximise the ELBO until the rule's criterion is met.

    By default that is when the expected remaining gain is below ``tol`` nats. Ctrl-C keeps the best factors so far.

    Raises
    ------
    DegenerateComponent
        If the scale of a precision is singular to working precision.
    KeyboardInterrupt
        If it comes before the first iteration.
    """
    return once(lambda: _ascended(ascent, start, max_iter, tol, progress, rule))


def _ascended(
    ascent: Ascent, start: Factors, max_iter: int, tol: float, progress: Progress | None, rule: Rule
) -> AscentResult:
    result = AscentResult(start)
    try:
        for elbo, factors in islice(iterations(ascent, start, rule.plain), max_iter):
            result.note(factors, elbo)
            if progress is not None and result.n_iter % REPORTED == 0:
                progress.stage(f"iteration {result.n_iter}, ELBO {elbo:.1f}")
            last = abs(elbo - result.history[-2]) if result.n_iter > 1 else np.inf
            result.converged = rule.over(result.history, tol) or last < ROUNDING * abs(elbo)
            if result.converged:
                break
    except KeyboardInterrupt:
        if not result.history:
            raise
        result.interrupted = True
    return result


def run_to_convergence(
    ascent: Ascent, start: AscentResult, max_iter: int, tol: float, progress: Progress, rule: Rule = ACCELERATED
) -> AscentResult:
    """Continue a short run until it converges; reorder sticks and continue while reordering raises the bound."""
    best = start
    while not best.interrupted and best.n_iter < max_iter:
        best = _sort_sticks(ascent, best, tol)
        if best.converged:
            break
        best = best.then(ascend(ascent, best.factors, max_iter - best.n_iter, tol, progress, rule))
    return best


def _sort_sticks(ascent: Ascent, result: AscentResult, tol: float) -> AscentResult:
    """Sort components by weight, largest first, if the prior expects that order and the bound increases."""
    if not ascent.density.model.weights.heaviest_first:
        return result
    ordered = ascent.sort_sticks(result.factors)
    elbo = ascent.step(ordered)[0]
    return result if elbo < result.elbo + tol else result.then(AscentResult(ordered, [elbo], [1]))
