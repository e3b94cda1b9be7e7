"""Log posteriors of random minibatches, exact to first order at the mode by a control variate."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bayesgmm.posterior.log_posterior import LogPosterior
from bayesgmm.sweep.blocks import Blocks
from bayesgmm.sweep.kernels import BLOCK
from bayesgmm.sweep.stats import Array

LogDensity = Callable[[Array], tuple[float, Array]]


@dataclass(frozen=True)
class Minibatch:
    """Log posterior of a minibatch, exact to first order at the mode by a control variate.

    Parameters
    ----------
    density : LogPosterior
        Log posterior of the minibatch, with weights scaled to represent all points.
    mode : (P,) float
    value, slope : float, (P,) float
        Differences at the mode, of all points minus the minibatch, in the log posterior and its gradient.
    """

    density: LogPosterior
    mode: Array
    value: float
    slope: Array

    def __call__(self, q: Array) -> tuple[float, Array]:
        """Return the log density at q (P,) and its gradient (P,)."""
        value, grad = self.density(q)
        return value + self.value + float(self.slope @ (q - self.mode)), grad + self.slope


def draw_minibatches(density: LogPosterior, mode: Array, count: int, points: int, seed: int) -> list[LogDensity]:
    """Draw random minibatches of whole blocks without replacement, disjoint if the data suffice.

    They are windows on one shuffled copy of at most ``count * points`` points.

    References
    ----------
    .. [1] Baker, Fearnhead, Fox & Nemeth (2019), Stat. Comput. 29, 599-615.
    """
    n, length = density.blocks.n_blocks, -(-points // BLOCK)
    size = min(n, count * length)
    shuffled = _take(density.blocks, np.random.default_rng((seed, 3)).permutation(n)[:size], n / length)
    value, grad = density(mode)
    batches: list[LogDensity] = []
    for start in np.linspace(0, size - length, count).astype(int):
        part = replace(density, blocks=_window(shuffled, start, start + length))
        part_value, part_grad = part(mode)
        batches.append(Minibatch(part, mode, value - part_value, grad - part_grad))
    return batches


def subsample(density: LogPosterior, points: int, seed: int) -> LogPosterior:
    """Return the log posterior of random blocks, at most all of them, with weights scaled to represent all points."""
    n = density.blocks.n_blocks
    chosen = np.random.default_rng((seed, 5)).permutation(n)[: -(-points // BLOCK)]
    return replace(density, blocks=_take(density.blocks, chosen, n / len(chosen)))


def sampled(density: LogPosterior) -> LogPosterior:
    """Return the log posterior of the points from which starts are made, with weights scaled to represent all points.

    That is the same one, unless the points are read in parts.
    """
    sample = density.blocks.sample
    if sample is density.blocks:
        return density
    ratio = density.blocks.total_weight / sample.total_weight
    return replace(density, blocks=replace(sample, weight=sample.weight * ratio))


def one_pass(blocks: Blocks, points: int, rng: np.random.Generator) -> Iterator[Blocks]:
    """Yield all blocks once in random order, about ``points`` at a time, with weights scaled to the total."""
    n, length = blocks.n_blocks, -(-points // BLOCK)
    for chosen in np.array_split(rng.permutation(n), -(-n // length)):
        yield _take(blocks, chosen, n / len(chosen))


def _take(blocks: Blocks, chosen: NDArray[np.int64], weight: float) -> Blocks:
    """Copy some of the blocks, with the weight of each point multiplied by ``weight``."""
    part = blocks.part(chosen)
    return replace(part, weight=part.weight * weight)


def _window(blocks: Blocks, start: int, stop: int) -> Blocks:
    """Return adjacent blocks, without a copy."""
    return blocks.part(slice(start, stop))
