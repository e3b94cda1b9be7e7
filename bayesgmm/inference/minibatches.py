"""Log posteriors of random minibatches, exact to first order at the mode by a control variate."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from bayesgmm.errors import DeclarationError
from bayesgmm.posterior.log_posterior import LogPosterior
from bayesgmm.sweep.blocks import Blocks
from bayesgmm.sweep.kernels import BLOCK
from bayesgmm.sweep.parts import RUN, Parts
from bayesgmm.sweep.stats import Array

MIXED = 8  # runs of blocks at random places that are mixed, and divided into minibatches
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
    chosen = np.random.default_rng((seed, 3)).permutation(n)[:size]
    shuffled = density.blocks.brought(chosen).scaled(n / length)
    value, grad = density(mode)
    batches: list[LogDensity] = []
    for start in np.linspace(0, size - length, count).astype(int):
        part = replace(density, blocks=shuffled.part(slice(start, start + length)))
        part_value, part_grad = part(mode)
        batches.append(Minibatch(part, mode, value - part_value, grad - part_grad))
    return batches


def subsample(density: LogPosterior, points: int, seed: int) -> LogPosterior:
    """Return the log posterior of random blocks, at most all of them, with weights scaled to represent all points."""
    n = density.blocks.n_blocks
    chosen = np.random.default_rng((seed, 5)).permutation(n)[: -(-points // BLOCK)]
    return replace(density, blocks=density.blocks.brought(chosen).scaled(n / len(chosen)))


def in_memory(density: LogPosterior) -> LogPosterior:
    """Return the log posterior of the same points, all of them in memory."""
    return replace(density, blocks=density.blocks.brought(np.arange(density.blocks.n_blocks)))


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
    """Yield all blocks once in random order, about ``points`` at a time, with weights scaled to the total.

    The order is that of a shuffle in two steps, so that points may be in files: runs of successive blocks are taken at
    random, some at a time, and their blocks are mixed. It depends on the number of points alone, not on where they are.
    """
    n, length = blocks.n_blocks, -(-points // BLOCK)
    n_runs = -(-n // RUN)
    n_mixed = max(MIXED, -(-length // RUN))
    runs = np.arange(n_runs) if n_runs <= n_mixed else rng.permutation(n_runs)
    for some in np.array_split(runs, -(-n_runs // n_mixed)):
        numbers = np.concatenate([np.arange(run * RUN, min((run + 1) * RUN, n)) for run in np.sort(some)])
        mixed = blocks.part(numbers)
        for chosen in np.array_split(rng.permutation(len(numbers)), math.ceil(len(numbers) / length)):
            yield mixed.part(chosen).scaled(n / len(chosen))


def require_random_order(blocks: Blocks) -> None:
    """Check that the points can be read in random order.

    Raises
    ------
    DeclarationError
        If they are read in parts, one after another.
    """
    if isinstance(blocks, Parts) and not blocks.skips and blocks.n_blocks > MIXED * RUN:
        raise DeclarationError(
            "batch_size can't be used with these rows: minibatches are rows at random, and these can only be read one "
            "after another\n"
            "  Write the table as Parquet; start a Dask client, whose workers hold the rows of a collection; or leave "
            "batch_size out."
        )
