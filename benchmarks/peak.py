"""The share of the machine's multiply-adds that a sweep makes: both are measured in turns."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numba as nb
import numpy as np

from bayesgmm.datasets import make_mixture
from bayesgmm.families.structures import COVARIANCES
from bayesgmm.inference.mixtures import Mixture
from bayesgmm.sweep import simd
from bayesgmm.sweep.blocks import Blocks
from bayesgmm.sweep.layout import LANES
from bayesgmm.sweep.stats import fold

TITLE = "## Share of the machine's multiply-adds that a sweep makes"
CASES = [(100_000, 2, 5), (100_000, 5, 5), (100_000, 10, 10), (100_000, 32, 10)]
TURNS = 400
MADE = 40_000_000  # multiply-adds of a measurement of the peak, for each thread
EXP = 16  # multiply-adds that an exponential counts as, whatever its code makes of it


@nb.njit(nogil=True)
def five(numbers, length):
    """Make multiply-adds of eight numbers each, in five sums that do not wait for each other."""
    x, y = simd.load(numbers, 0), simd.load(numbers, 8)
    a, b, c, d, e = y, y + x, y + y, x, x + x
    for _ in range(length):
        a = simd.fma(a, x, y)
        b = simd.fma(b, x, y)
        c = simd.fma(c, x, y)
        d = simd.fma(d, x, y)
        e = simd.fma(e, x, y)
    return simd.total(a + b + c + d + e)


@nb.njit(nogil=True)
def ten(numbers, length):
    """Make the same in ten sums: a machine that starts two of them a cycle waits for five."""
    x, y = simd.load(numbers, 0), simd.load(numbers, 8)
    a, b, c, d, e = y, y + x, y + y, x, x + x
    f, g, h, i, j = y, y + x, y + y, x, x + x
    for _ in range(length):
        a = simd.fma(a, x, y)
        b = simd.fma(b, x, y)
        c = simd.fma(c, x, y)
        d = simd.fma(d, x, y)
        e = simd.fma(e, x, y)
        f = simd.fma(f, y, x)
        g = simd.fma(g, y, x)
        h = simd.fma(h, y, x)
        i = simd.fma(i, y, x)
        j = simd.fma(j, y, x)
    return simd.total(a + b + c + d + e) + simd.total(f + g + h + i + j)


CHAINS = {five: 5, ten: 10}
"""Kernels of the peak, each with its number of sums. Few registers have no room for ten: the quicker one counts."""


def made_by_sweep(n, d, k):
    """Return the multiply-adds of a sweep: triangles of scores and moments, sums, and an exponential for each score."""
    return n * k * (d * (d + 1) + 2 * d + 2 + EXP)


def peak_of(pool, threads, kernel):
    """Return the multiply-adds a second of several threads at the same time: the sum of their rates.

    Each counts its own processor time, so that neither the start of threads nor other programs lower the peak.
    """
    return sum(pool.map(alone, [kernel] * threads))


def alone(kernel):
    start = time.thread_time()
    kernel(np.full(16, 0.5), MADE // (CHAINS[kernel] * LANES))
    return MADE / (time.thread_time() - start)


def rate(task, products):
    start = time.perf_counter()
    task()
    return products / (time.perf_counter() - start)


def main():
    for kernel in CHAINS:
        kernel(np.full(16, 0.5), 1)
    cores = os.cpu_count() or 1
    print("| N | D | K | threads | ms | multiply-adds, 1e9 / s | of the machine, 1e9 / s | share | target |")
    print("|---|---|---|---|---|---|---|---|---|")
    for n, d, k in CASES:
        sample = make_mixture(n, d, k, overlap=0.1, seed=1)
        blocks = Blocks.from_rows(sample.X)
        root = np.linalg.inv(np.linalg.cholesky(sample.covariance))
        table = Mixture(np.full(k, 1 / k), sample.mean, root).table(COVARIANCES["full"])
        for threads in sorted({1, cores}):
            own, peak = 0.0, 0.0
            with ThreadPoolExecutor(threads) as pool:
                for _ in range(TURNS):
                    own = max(own, rate(partial(fold, blocks, table, threads), made_by_sweep(n, d, k)))
                    for kernel in CHAINS:
                        peak = max(peak, peak_of(pool, threads, kernel))
            wanted = 0.5 if threads == cores > 1 and d <= 5 else ""
            ms = 1e3 * made_by_sweep(n, d, k) / own
            print(
                f"| {n:,} | {d} | {k} | {threads} | {ms:.2f} | {own / 1e9:.1f} | {peak / 1e9:.1f} | {own / peak:.2f} "
                f"| {wanted} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
