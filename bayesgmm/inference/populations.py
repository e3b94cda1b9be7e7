"""A population of mixtures that EM improves side by side: one call of the compiled sweep for all of them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bayesgmm.families.family import Family
from bayesgmm.inference.faults import fault_of
from bayesgmm.inference.mixtures import NONE, CovariancePrior, Exponents, Mixture
from bayesgmm.inference.native_em import NativeEM
from bayesgmm.sweep.blocks import Blocks
from bayesgmm.sweep.stats import Array, Stats, Table, fold_each

IntArray = NDArray[np.intp]
EMPTY = 1e-10  # number of points of an empty component, so that its mean does not change
MANY = 16  # times as many products as for one mixture, up to which the steps of several are compiled
SMALL = 0.5  # a component is small if it holds at most this number of points more than its covariance needs


@dataclass(frozen=True)
class Population:
    """S mixtures in the coordinates of the blocks.

    Parameters
    ----------
    weight : (S, K) float
    mean : (S, K, D) float
    core_roots : (S, M, ...) float
        Precision roots in core shape.
    """

    weight: Array
    mean: Array
    core_roots: Array

    @classmethod
    def of(cls, mixtures: Sequence[Mixture]) -> "Population":
        """Return mixtures of the same size as a population."""
        weight = np.array([mixture.weight for mixture in mixtures])
        mean = np.array([mixture.mean for mixture in mixtures])
        return cls(weight, mean, np.array([mixture.core_roots for mixture in mixtures]))

    def __iter__(self) -> Iterator[Mixture]:
        return (self[number] for number in range(len(self)))

    def __len__(self) -> int:
        return len(self.weight)

    def __getitem__(self, number: int) -> Mixture:
        return Mixture(self.weight[number], self.mean[number], self.core_roots[number])

    def take(self, numbers: Sequence[int] | IntArray) -> "Population":
        """Return some of the mixtures."""
        chosen = np.asarray(numbers, int)
        return Population(self.weight[chosen], self.mean[chosen], self.core_roots[chosen])

    def put(self, numbers: IntArray, others: "Population") -> "Population":
        """Return the population with some mixtures replaced."""
        replaced = tuple(part.copy() for part in self._arrays)
        for part, new in zip(replaced, others._arrays, strict=True):
            part[numbers] = new
        return Population(*replaced)

    def and_also(self, other: "Population") -> "Population":
        """Return the mixtures of both."""
        pairs = zip(self._arrays, other._arrays, strict=True)
        return Population(*(np.concatenate(pair) for pair in pairs))

    @property
    def _arrays(self) -> tuple[Array, Array, Array]:
        return self.weight, self.mean, self.core_roots

    def tables(self, family: Family) -> Table:
        """Return the stack of tables that score points under these mixtures."""
        with np.errstate(divide="ignore"):  # the log weight of an empty component is minus infinity
            log_weight = np.log(self.weight)
        return family.table(log_weight, self.mean, self.core_roots)


@dataclass(frozen=True)
class Climb:
    """EM for a population, under a prior of the covariances that keeps every component regular.

    Parameters
    ----------
    blocks : Blocks
    family : Family
    prior : CovariancePrior
    threads : int
        Number of threads; the result does not depend on it.
    is_weak : bool
        True if the prior only keeps components regular: then maxima of the likelihood are wanted.
    drops_small : bool
        True if mixtures with a component that holds hardly enough points for its covariance are dropped.
    exponents : Exponents
        Those of the density that is maximised beside the prior of the covariances.
    """

    blocks: Blocks
    family: Family
    prior: CovariancePrior
    threads: int = 1
    is_weak: bool = False
    drops_small: bool = False
    exponents: Exponents = NONE

    def fault(self, mixture: Mixture) -> int:
        """Return the fault of a maximum, zero for none, by an M step without the prior if that is weak."""
        return fault_of(self.blocks, self.family, mixture, self.threads) if self.is_weak else 0

    def holds_enough(self, population: Population) -> NDArray[np.bool_]:
        """Return True for mixtures (S,) each of whose components holds many points, so that none can be suspect."""
        few = 2 * self.family.points_needed(population.mean.shape[-1]) if self.is_weak else 0
        return np.asarray(population.weight.min(axis=1) * self.blocks.total_weight >= few)

    def steps(self, population: Population, count: int, watch: Callable[[], None]) -> tuple[Array, Population]:
        """Return the penalised log likelihood before each of several iterations (count, S), and the mixtures after.

        ``watch`` is called before each sweep, or all of them if they are short.
        """
        watch()
        if (found := self._native_steps(population, count)) is not None:
            return found
        values = []
        for _ in range(count):
            watch()
            value, population = self.step(population)
            values.append(value)
        return np.array(values), population

    def _native_steps(self, population: Population, count: int) -> tuple[Array, Population] | None:
        """Return what ``steps`` returns, compiled; None if the problem is too large, or a step is not regular."""
        k, parts = population.mean.shape[1], (self.blocks, self.family)
        native = NativeEM(*parts, k, self.prior, exponents=self.exponents, keeps=True)
        if not native.suits(MANY):
            return None
        states = native.packed(*population._arrays)
        found = native.climb(states, count, self.threads)
        if found is None:
            return None
        values, fewest = found
        if self.drops_small:
            values = np.where(fewest > self._enough(population), values, -np.inf)
        return values, Population(*native.unpacked(states))

    def _enough(self, population: Population) -> float:
        return self.family.points_needed(population.mean.shape[-1]) + SMALL

    def step(self, population: Population) -> tuple[Array, Population]:
        """Return the penalised log likelihood (S,) of each mixture, and the mixtures after one iteration of EM."""
        loglik, stats = fold_each(self.blocks, population.tables(self.family), self.threads)
        value = loglik + self._log_prior(population)
        if self.drops_small:
            fewest = stats.n.reshape(len(population), -1).min(axis=1)
            value = np.where(fewest > self._enough(population), value, -np.inf)
        return value, self.maximise(stats, len(population), population.core_roots)

    def maximise(self, stats: Stats, size: int, before: Array | None = None) -> Population:
        """Compute the M step of a population from the statistics of its S K components, and its roots before."""
        stats = replace(stats, n=np.maximum(stats.n, EMPTY))
        n = stats.n.reshape(size, -1)
        core_roots = self._core_roots(stats, size, before)
        mean = stats.means().reshape(*n.shape, -1)
        n = n + self.exponents.weight
        return Population(n / n.sum(axis=1, keepdims=True), mean, core_roots)

    def _core_roots(self, stats: Stats, size: int, before: Array | None) -> Array:
        if self.family.maximises_many:
            roots = self._roots(stats, size, before)
            return roots.reshape(size, -1, *roots.shape[1:])
        parts = zip(*(np.split(part, size) for part in (stats.n, stats.s1, stats.s2, stats.about)), strict=True)
        return np.array([self._roots(Stats(n, s1, s2, 0.0, about)) for n, s1, s2, about in parts])

    def _roots(self, stats: Stats, n_mixtures: int = 1, before: Array | None = None) -> Array:
        core = self.family.maximise(stats, self.prior.dof, self.prior.scale, n_mixtures, before=before)
        roots = self.family.roots(core, vanishing=0.0, singular=0.0)
        if not self.exponents.pivots.any():
            return roots
        power = self.family.sharing.pool(stats.n, n_mixtures) + self._power(stats.about.shape[1])
        return roots * np.sqrt(1 + self.exponents.pivots / power[:, None])[:, :, None]

    def _power(self, n_features: int) -> float:
        """Exponent of the diagonal of a root in the prior density, the mean of them all if they differ."""
        return self.prior.dof + self.family.form.block_size(n_features) + 1

    def _log_prior(self, population: Population) -> Array:
        """Compute the log prior density (S,) of the covariances and weights, up to a constant."""
        powers = self._power(population.mean.shape[-1]) + self.exponents.pivots
        value = self.family.log_inverse_wishart(population.core_roots, self.prior.scale, powers)
        if self.exponents.weight:
            value += self.exponents.weight * np.log(population.weight).sum(axis=1)
        return np.asarray(value)
