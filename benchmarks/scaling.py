"""The time of a sweep by rows, columns, components and threads: a model of its cost, and what it predicts."""

import os
import time

import numpy as np
from scipy.optimize import nnls

from bayesgmm.datasets import make_mixture
from bayesgmm.families.structures import COVARIANCES
from bayesgmm.inference.mixtures import Mixture
from bayesgmm.sweep.blocks import Blocks
from bayesgmm.sweep.stats import fold

TITLE = "## Cost of a sweep: a model, and what it predicts"
FITTED = [(n, d, k) for n in (100_000, 400_000) for d in (2, 5, 10, 20) for k in (3, 12)]
CHECKED = [(2_000_000, 4, 8), (300_000, 8, 6), (1_000_000, 3, 20)]  # not among those that are fitted
LARGE = [(10**9, 4, 8), (10**11, 4, 8)]
REPEATS = 5
TASKS = 2000  # empty tasks that measure what a scheduler adds
EACH = 2  # bundles of rows, and so tasks, for each thread of a cluster


def terms(n, d, k):
    """Numbers whose weighted sum is the time: a call; rows; scores; the triangles of scores and moments."""
    return np.array([1.0, n * d, n * k, n * k * d, n * k * d * (d + 1) / 2])


def measured(n, d, k, threads):
    """Return the shortest time of a sweep in seconds."""
    sample = make_mixture(1000, d, k, overlap=0.1, seed=1)
    rng = np.random.default_rng(0)
    x = sample.mean[rng.integers(k, size=n)] + rng.normal(size=(n, d))
    blocks = Blocks.from_rows(x)
    root = np.linalg.inv(np.linalg.cholesky(sample.covariance))
    table = Mixture(np.full(k, 1 / k), sample.mean, root).table(COVARIANCES["full"])
    seconds = []
    for _ in range(REPEATS + 1):
        start = time.perf_counter()
        fold(blocks, table, threads)
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def model_of(threads):
    """Fit the coefficients of the terms to measured times, all with the same relative error."""
    times = np.array([measured(*size, threads) for size in FITTED])
    rows = np.array([terms(*size) for size in FITTED]) / times[:, None]
    scale = rows.max(axis=0)
    return nnls(rows / scale, np.ones(len(times)))[0] / scale


def of_task():
    """Return the time that a scheduler and a client add for each task, in seconds; None without Dask."""
    try:
        from distributed import Client, LocalCluster
    except ImportError:
        return None
    options = {"processes": True, "n_workers": 1, "threads_per_worker": 1, "dashboard_address": ":0"}
    with LocalCluster(**options) as cluster, Client(cluster) as client:
        client.gather(client.map(abs, range(TASKS), pure=False))
        start = time.perf_counter()
        client.gather(client.map(abs, range(TASKS), pure=False))
        return (time.perf_counter() - start) / TASKS


def main():
    threads = os.cpu_count() or 1
    each = {count: model_of(count) for count in sorted({1, threads})}
    names = ["a call", "N D", "N K", "N K D", "N K D (D + 1) / 2"]
    print(f"Seconds of a sweep: the sum of these terms, fitted to {len(FITTED)} sizes.\n")
    print("| threads | " + " | ".join(f"{name}, ns" for name in names) + " |\n|" + "---|" * (len(names) + 1))
    for count, weights in each.items():
        print(f"| {count} | " + " | ".join(f"{1e9 * weight:.3g}" for weight in weights) + " |")
    print(
        "\nSizes that were not fitted:\n\n| N | D | K | threads | predicted, s | measured, s | ratio |\n"
        + "|---" * 7
        + "|"
    )
    for size in CHECKED:
        for count, weights in each.items():
            predicted, seconds = terms(*size) @ weights, measured(*size, count)
            n, d, k = size
            print(
                f"| {n:,} | {d} | {k} | {count} | {predicted:.3f} | {seconds:.3f} | {predicted / seconds:.2f} |",
                flush=True,
            )
    predict(each[1], of_task())


def predict(weights, task):
    """Print what the model of one thread says about large data on a cluster."""
    if task is None:
        return
    print(f"\nA task of Dask adds {1e3 * task:.2f} ms at the scheduler; a sweep has {EACH} for each thread.\n")
    print("| N | D | K | bytes of rows | threads of the cluster | sweep, s | of which scheduler, s | bytes sent back |")
    print("|---" * 8 + "|")
    for n, d, k in LARGE:
        alone = terms(n, d, k) @ weights
        best = round(np.sqrt(alone / (EACH * task)))  # more threads than this make a sweep slower
        for count in (16, 256, best):
            tasks = EACH * count
            back = 8 * tasks * (1 + k * (1 + d + d * (d + 1) // 2))
            print(
                f"| {n:.0e} | {d} | {k} | {8 * n * (d + 1):.1e} | {count:,} | {alone / count + tasks * task:.3g} "
                f"| {tasks * task:.3g} | {back:.1e} |"
            )


if __name__ == "__main__":
    main()
