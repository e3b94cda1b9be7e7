"""Log posteriors of random parts of the data, made exact to first order at the mode."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from bayesgmm._kernels import BLOCK
from bayesgmm.log_posterior import LogPosterior
from bayesgmm.stats import Array, Blocks

LogDensity = Callable[[Array], tuple[float, Array]]


@dataclass(frozen=True)
class Minibatch:
    """The log posterior of some of the points, made exact to first order at the mode by a control variate.

    Parameters
    ----------
    density : LogPosterior
        Of the chosen points, weighted up to stand for all.
    mode : (P,) float
    value, slope : float, (P,) float
        What the log posterior and its gradient there are more than this batch says.
    """

    density: LogPosterior
    mode: Array
    value: float
    slope: Array

    def __call__(self, q: Array) -> tuple[float, Array]:
        """Log density at q and its gradient."""
        value, grad = self.density(q)
        return value + self.value + float(self.slope @ (q - self.mode)), grad + self.slope


def draw_minibatches(density: LogPosterior, mode: Array, count: int, points: int, seed: int) -> list[LogDensity]:
    """Random minibatches, each of whole blocks drawn without replacement; together they copy count x points points.

    References
    ----------
    .. [1] Baker, Fearnhead, Fox & Nemeth (2019), Stat. Comput. 29, 599-615.
    """
    rng, blocks = np.random.default_rng((seed, 3)), density.blocks
    value, grad = density(mode)
    found: list[LogDensity] = []
    for _ in range(count):
        chosen = np.sort(rng.choice(blocks.n_blocks, -(-points // BLOCK), replace=False))
        part = replace(density, blocks=_take(blocks, chosen))
        part_value, part_grad = part(mode)
        found.append(Minibatch(part, mode, value - part_value, grad - part_grad))
    return found


def _take(blocks: Blocks, chosen: np.ndarray) -> Blocks:
    """Some of the blocks, weighted up to stand for all."""
    n = blocks.n_blocks
    x = blocks.x.reshape(n, -1)[chosen].reshape(-1)
    weight = blocks.weight.reshape(n, BLOCK)[chosen].reshape(-1) * (n / len(chosen))
    return Blocks(x, weight, weight.size, blocks.n_features)
