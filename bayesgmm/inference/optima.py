"""Local maxima that a search has found: which are the same, how often each was found, how many are undiscovered."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from bayesgmm.inference.mixtures import Mixture
from bayesgmm.inference.populations import Population
from bayesgmm.sweep.stats import Array

SAME = 0.2  # two maxima whose values differ by less are the same, if their mixtures are alike
ALIKE = 0.3  # mixtures are alike if moments of their means differ by less, in the scale of the points
NEAR = 5.0  # maxima that are lower than the best by less than this are counted one by one
CONFIRMED = 3  # number of starts that must lead to the best before lower maxima count as one
DISTINCT = 0.05  # moves start from maxima whose moments of means differ by more, in the scale of the points


@dataclass(frozen=True)
class Optimum:
    """Local maximum that was found.

    Parameters
    ----------
    mixture : Mixture
    value : float
        Penalised log likelihood.
    hits : int
        Number of starts that led to it.
    fault : int
        Fault of a maximum of a likelihood, zero for none: maxima without faults come before all others.
    """

    mixture: Mixture
    value: float
    hits: int
    fault: int = 0

    def is_near(self, mixture: Mixture, value: float) -> bool:
        """Return True if a mixture with this value has converged to the same maximum.

        Symmetric data have maxima of the same value at different places.
        """
        return abs(self.value - value) < SAME and bool(np.abs(_moments(self.mixture) - _moments(mixture)).max() < ALIKE)


def _moments(mixture: Mixture) -> Array:
    """Weighted second and third moments of the means, which do not depend on labels, on the scale of the means.

    Products of two columns distinguish mirror images. They keep their own scale: roots of numbers near zero
    would differ by much.
    """
    weight, mean = mixture.weight, mixture.mean
    second, third = weight @ mean**2, weight @ mean**3
    return np.concatenate([np.sqrt(second), np.cbrt(third), ((weight * mean.T) @ mean).ravel()])


@dataclass
class Found:
    """Distinct local maxima, the highest without faults first.

    Parameters
    ----------
    fault : function
        Returns the fault of a maximum, zero for none.
    optima : list of Optimum
    lower : int
        Number of starts that were stopped because they can't reach the best.
    """

    fault: Callable[[Mixture], int] = lambda _: 0
    optima: list[Optimum] = field(default_factory=list)
    lower: int = 0

    def add(self, population: Population, values: Array, hits: int) -> None:
        """Add mixtures that have converged to these values (S,); each counts as the given number of hits."""
        for number, value in enumerate(values.tolist()):
            if not np.isfinite(value):
                continue
            mixture = population[number]
            at = next((i for i, known in enumerate(self.optima) if known.is_near(mixture, value)), None)
            if at is None:
                self.optima.append(Optimum(mixture, value, hits, self.fault(mixture)))
                continue
            known = self.optima[at]
            best = known if known.value >= value else replace(known, mixture=mixture, value=value)
            self.optima[at] = replace(best, hits=known.hits + hits)
        self.optima.sort(key=lambda optimum: (optimum.fault, -optimum.value))

    @property
    def best(self) -> float:
        """Highest value of a maximum without faults."""
        return self.optima[0].value if self.optima and not self.optima[0].fault else -np.inf

    @property
    def unseen(self) -> float:
        """Expected share of starts that lead to undiscovered maxima.

        If several starts have led to the best, all maxima clearly below it count as one.
        """
        hits = [optimum.hits for optimum in self.optima]
        if self.optima and hits[0] >= CONFIRMED:
            first = self.optima[0]
            near = sum(first.fault == one.fault and first.value - one.value < NEAR for one in self.optima)
            hits = [*hits[:near], sum(hits[near:]) + self.lower]
        else:
            hits += [1] * self.lower
        return unseen_share([count for count in hits if count])

    def parents(self, most: int) -> list[Mixture]:
        """Return the best mixtures that differ clearly: of those alike, which may not have converged, one."""
        chosen: list[Mixture] = []
        moments: list[Array] = []
        for optimum in self.optima:
            own = _moments(optimum.mixture)
            if all(np.abs(own - other).max() > DISTINCT for other in moments):
                chosen.append(optimum.mixture)
                moments.append(own)
            if len(chosen) == most:
                break
        return chosen

    def mixtures(self, most: int) -> list[Mixture]:
        """Return the best mixtures."""
        return [optimum.mixture for optimum in self.optima[:most]]


@dataclass(frozen=True)
class Maxima:
    """Result of a search for local maxima.

    Parameters
    ----------
    optima : list of Optimum
        Distinct maxima, the highest without faults first.
    undiscovered : float
        Expected share of starts that lead to undiscovered maxima, if no start has led to the best, and the search has
        ended because its budget was spent; else zero.
    """

    optima: list[Optimum] = field(default_factory=list)
    undiscovered: float = 0.0


def unseen_share(hits: list[int]) -> float:
    r"""Expected share of starts that lead to undiscovered maxima, given how often each known one was found.

    .. math:: \frac{w (w + 1)}{n (n - 1)}

    with w maxima found by n starts. It is the posterior mean under a uniform prior of the number of maxima and of the
    shares of the starts that lead to each.

    References
    ----------
    .. [1] Boender & Rinnooy Kan (1987), Math. Program. 37, 59-80.

    Examples
    --------
    >>> unseen_share([10]), unseen_share([1, 1, 1])
    (0.022222222222222223, 1.0)
    """
    n, w = sum(hits), len(hits)
    return min(1.0, w * (w + 1) / (n * (n - 1))) if n > 1 else 1.0
