"""Responsibilities of points under every draw, summed by label: what the relabelling algorithms compare."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from bayesgmm.labels import label_kernels
from bayesgmm.progress import track
from bayesgmm.sweep.blocks import Blocks
from bayesgmm.sweep.kernels import BLOCK
from bayesgmm.sweep.stats import Array, Table
from bayesgmm.sweep.threads import run_ranges

Order = NDArray[np.int64]
PARTS = 8  # parts of a sweep; progress is shown after each


@dataclass(frozen=True)
class Consensus:
    """Mean responsibilities over the draws, after relabelling.

    Parameters
    ----------
    share : (blocks, K, BLOCK) float
        Mean over the draws of the probability that a point has a label.
    squares : (K,) float
        Mean over the draws of the squares of that probability, summed over the points.
    """

    share: Array
    squares: Array

    def renamed(self, names: NDArray[np.int64]) -> "Consensus":
        """Return the same with labels permuted: new label k is old label ``names[k]``."""
        return Consensus(self.share[:, names], self.squares[names])


@dataclass(frozen=True)
class Responsibilities:
    """Responsibilities of some points under every draw. They are summed as they are computed, and never stored.

    Parameters
    ----------
    blocks : Blocks
        N points in standardised coordinates, with their weights.
    tables : Table
        S tables.
    threads : int
    progress : bool
    """

    blocks: Blocks
    tables: Table
    threads: int = 1
    progress: bool = False

    @property
    def shape(self) -> tuple[int, int]:
        """S and K."""
        n_draws, n_components = self.tables.offset.shape
        return n_draws, n_components

    def costs(self, target: Array) -> Array:
        r"""Compute the cost (S, K, K) of giving component j of draw s label k: :math:`\sum_n w_n t_{nk} p^{(s)}_{nj}`.

        Parameters
        ----------
        target : (blocks, K, BLOCK) float
            Cost of each label for each point.
        """
        n_draws, k = self.shape
        out = np.empty((n_draws, k, k))
        args = (self.blocks.native, self.tables.native, target.reshape(-1))
        flat = out.reshape(-1)
        self._sweep(lambda start, stop: label_kernels.label_costs(*args, start, stop, flat), n_draws)
        return out

    def consensus(self, order: Order) -> "Consensus":
        """Compute the mean responsibilities over the draws, with components labelled by an order (S, K)."""
        k = self.shape[1]
        out = np.zeros((self.blocks.n_blocks, k, BLOCK))
        squares = np.zeros((self.blocks.n_blocks, k))
        args = (self.blocks.native, self.tables.native, order.reshape(-1))
        flat, held = out.reshape(-1), squares.reshape(-1)
        self._sweep(
            lambda start, stop: label_kernels.mean_responsibilities(*args, start, stop, flat, held),
            self.blocks.n_blocks,
        )
        return Consensus(out, squares.sum(axis=0))

    def log_empty(self) -> Array:
        """Compute the log probability (S, K) that a component has none of the points."""
        return self._by_draw(label_kernels.log_empty)

    def logliks(self) -> Array:
        """Compute the total log likelihoods (S,), in the coordinates of the blocks."""
        return self._by_draw(label_kernels.log_likelihoods, each=False)

    def _by_draw(self, kernel: Callable[..., None], each: bool = True) -> Array:
        n_draws, k = self.shape
        out = np.empty((n_draws, k) if each else n_draws)
        args = (self.blocks.native, self.tables.native)
        flat = out.reshape(-1)
        self._sweep(lambda start, stop: kernel(*args, start, stop, flat), n_draws)
        return out

    def of_draw(self, draw: int) -> "Consensus":
        """Compute the responsibilities of one draw, with its own labels."""
        alone = Responsibilities(self.blocks, self.tables.draw(draw), self.threads)
        return alone.consensus(np.arange(self.shape[1])[None])

    def _sweep(self, task: Callable[[int, int], object], size: int) -> None:
        cuts = np.linspace(0, size, PARTS + 1 if self.progress else 2).astype(int).tolist()
        for start, stop in track(list(pairwise(cuts)), "relabelling", self.progress):
            run_ranges(_shifted(task, start), stop - start, self.threads)


def _shifted(task: Callable[[int, int], object], start: int) -> Callable[[int, int], object]:
    return lambda a, b: task(start + a, start + b)
