"""Natural-gradient steps over minibatches, and the comparison of what they reach with a fit to a sample."""

from dataclasses import dataclass

import numpy as np

from bayesgmm.inference.coordinate_ascent import Ascent, Factors
from bayesgmm.sweep.blocks import Blocks
from bayesgmm.sweep.kernels import BLOCK
from bayesgmm.sweep.stats import Array, log_densities

STANDARD_ERRORS = 2  # one ELBO is below another if the difference exceeds this many of its standard errors


@dataclass(frozen=True)
class Minibatches:
    """Settings of the stochastic ascent; ``fit`` describes them."""

    size: int | None
    delay: float
    forget: float

    def rate(self, step: int) -> float:
        """Step size of a step; steps are counted from 1."""
        return float((step + self.delay) ** -self.forget)

    def fewer_than(self, n_points: int) -> bool:
        """Return True if a minibatch has fewer than all points."""
        return self.size is not None and self.size < n_points


def natural_step(ascent: Ascent, factors: Factors, batch: Blocks, rate: float) -> tuple[float, Factors]:
    """Take a natural-gradient step on a minibatch; return the minibatch estimate of the bound and the new factors.

    The weights of the minibatch are scaled so that it represents all points.

    References
    ----------
    .. [1] Hoffman, Blei, Wang & Paisley (2013), J. Mach. Learn. Res. 14, 1303-1347.
    """
    stats = ascent.fold(factors, batch)
    return ascent.elbo(factors, stats), ascent.update(factors, stats, rate)


@dataclass(frozen=True)
class Difference:
    """Difference of two ELBOs, estimated on a sample of the points.

    Parameters
    ----------
    value : float
        First ELBO minus second ELBO, in nats.
    error : float
        Standard error; zero if the sample has all points.
    """

    value: float
    error: float

    @property
    def is_negative(self) -> bool:
        """True if the first ELBO is below the second by more than its error."""
        return self.value < -STANDARD_ERRORS * self.error


def elbo_difference(sample: Ascent, first: Factors, second: Factors, n_blocks: int) -> Difference:
    """Estimate the difference of the ELBOs of two sets of factors.

    The standard error counts blocks of points, not points, because neighbouring rows of a table can be alike.

    Parameters
    ----------
    sample : Ascent
        Some of the blocks of points, with weights scaled to represent all points.
    first, second : Factors
    n_blocks : int
        Number of blocks of all points.
    """
    blocks = sample.density.blocks
    per_block = _per_block(sample, first) - _per_block(sample, second)
    value = float(per_block.sum()) - sample.divergence(first) + sample.divergence(second)
    if blocks.n_blocks >= n_blocks or blocks.n_blocks < 2:
        return Difference(value, 0.0)
    left_out = 1 - blocks.n_blocks / n_blocks  # finite population correction
    return Difference(value, float(per_block.std(ddof=1) * np.sqrt(blocks.n_blocks * left_out)))


def _per_block(ascent: Ascent, factors: Factors) -> Array:
    """Contribution of each block of points to the ELBO (n_blocks,)."""
    blocks = ascent.density.blocks
    log = np.zeros(blocks.n_blocks * BLOCK)
    log[: blocks.n_points] = log_densities(blocks, ascent.table(factors), ascent.threads)[0]
    return np.asarray((log * blocks.weight).reshape(-1, BLOCK).sum(axis=1))
