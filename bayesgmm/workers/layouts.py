"""How rows are divided among tasks: pieces of a size that depends only on the data, in bundles for the workers."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from bayesgmm.sweep.layout import BLOCK

NUMBERS = 2**18  # in a piece, about
BUNDLES = 2  # minimum number of bundles for each thread, if there are enough pieces; more cost more than they balance
LARGEST = 2**27  # bytes of a bundle, about


@dataclass(frozen=True)
class Slice:
    """Rows ``start`` to ``stop`` of a partition."""

    partition: int
    start: int
    stop: int


@dataclass(frozen=True)
class Layout:
    """Pieces of rows, and bundles of pieces.

    Parameters
    ----------
    n_rows : int
    piece : int
        Rows of a piece, which depend only on the shape of the data.
    bundle : int
        Rows of a bundle: those of a power of two of pieces.
    """

    n_rows: int
    piece: int
    bundle: int

    @classmethod
    def of(cls, n_rows: int, n_columns: int, threads: int) -> "Layout":
        """Divide rows among a number of threads.

        Examples
        --------
        >>> Layout.of(10_000_000, 4, threads=2)
        Layout(n_rows=10000000, piece=78144, bundle=2500608)
        """
        doublings = max(0, round(math.log2(max(n_rows * n_columns / NUMBERS, 1))))
        piece = math.ceil(n_rows / 2**doublings / BLOCK) * BLOCK
        wanted = max(BUNDLES * threads, 8 * n_rows * n_columns / LARGEST)
        together = max(0, doublings - math.ceil(math.log2(wanted)))
        return cls(n_rows, piece, piece * 2**together)

    def slices(self, counts: Sequence[int]) -> list[list[Slice]]:
        """Return for each bundle the slices of partitions that it is made of.

        Parameters
        ----------
        counts : sequence of int
            Number of rows of each partition.

        Examples
        --------
        >>> Layout(5, 2, 4).slices([3, 0, 2])
        [[Slice(partition=0, start=0, stop=3), Slice(partition=2, start=0, stop=1)], \
[Slice(partition=2, start=1, stop=2)]]
        """
        ends = [*accumulate(counts, initial=0)]
        bundles: list[list[Slice]] = [[] for _ in range(0, self.n_rows, self.bundle)]
        for number, (first, last) in enumerate(pairwise(ends)):
            start = first
            while start < last:
                at = start // self.bundle
                stop = min(last, (at + 1) * self.bundle)
                bundles[at].append(Slice(number, start - first, stop - first))
                start = stop
        return bundles
