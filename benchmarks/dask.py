"""Sweeps over rows on the workers of a Dask cluster, compared with the same rows in memory on as many threads."""

import os
import sys
import time
import warnings
from importlib import import_module

import numpy as np

from bayesgmm.data.standards import Standard
from bayesgmm.datasets import make_mixture
from bayesgmm.families.structures import COVARIANCES
from bayesgmm.inference.mixtures import Mixture
from bayesgmm.sources.opening import source
from bayesgmm.sweep.blocks import Blocks
from bayesgmm.sweep.stats import fold

TITLE = "## Dask: sweeps on the workers of a LocalCluster, 4 columns, K = 8"
ROWS, D, K = 10_000_000, 4, 8
PARTITIONS = 20
SWEEPS = 9


def block(number, rows):
    """Rows of a partition, made on a worker."""
    sample, rng = make_mixture(1000, D, K, overlap=0.1, seed=1), np.random.default_rng(number)
    label, z = rng.integers(K, size=rows), rng.normal(size=(rows, D))
    return np.einsum("nij,nj->ni", np.linalg.cholesky(sample.covariance)[label], z) + sample.mean[label]


def lazy_rows(rows):
    import dask.array as da
    from dask.delayed import delayed

    counts = np.diff(np.linspace(0, rows, PARTITIONS + 1).astype(int))
    parts = [da.from_delayed(delayed(block)(i, int(n)), (int(n), D), float) for i, n in enumerate(counts)]
    return da.concatenate(parts)


def table(standard):
    sample = make_mixture(1000, D, K, overlap=0.1, seed=1)
    root = np.linalg.inv(np.linalg.cholesky(sample.covariance))
    return Mixture(np.full(K, 1 / K), (sample.mean - standard.shift) / standard.scale, root * standard.scale).table(
        COVARIANCES["full"]
    )


def seconds(*tasks):
    """Return for each task the shortest wall time, taken in turns, its processor time, and its answer."""
    found = []
    for turn in range(SWEEPS + 1):
        for number, (task, clock) in enumerate(tasks):
            before, start = clock(), time.perf_counter()
            answer = task()
            wall, after = time.perf_counter() - start, clock()
            if not turn:
                found.append([np.inf, np.zeros(len(after)), answer])
                continue
            found[number][0] = min(found[number][0], wall)
            found[number][1] += np.subtract(after, before) / SWEEPS
    return found


def processor_time():
    """Return the processor time of the current process, all its threads together."""
    import time as clock

    return clock.process_time()


def of_all(client):
    """Return the processor time of this process, with the scheduler, and of the workers."""
    return time.process_time(), sum(client.run(processor_time).values())


def main(rows=ROWS):
    distributed = import_module("distributed")
    from bayesgmm.workers.surveys import survey

    warnings.simplefilter("ignore")
    threads = os.cpu_count() or 1
    options = {"processes": True, "n_workers": threads, "threads_per_worker": 1, "dashboard_address": ":0"}
    with distributed.LocalCluster(**options) as cluster, distributed.Client(cluster) as client:
        data = lazy_rows(rows)
        start = time.perf_counter()
        read = survey(source(data), client, seed=0)
        standard = Standard.of(read)
        blocks = standard.blocks(read)
        first = time.perf_counter() - start
        once, held = table(standard), len(client.run_on_scheduler(tasks_of))
        x = np.concatenate([block(i, part) for i, part in enumerate(data.chunks[0])])
        whole = Blocks.from_rows(x, None, standard.shift, standard.scale)
        del x
        spread, here = seconds(
            (lambda: fold(blocks, once), lambda: of_all(client)),
            (lambda: fold(whole, once, threads), lambda: (time.process_time(),)),
        )
        done = len(client.run_on_scheduler(tasks_of))
    (wall, (own, workers), stats), (memory, (cpu,), expected) = spread, here
    np.testing.assert_allclose(stats.loglik, expected.loglik, rtol=1e-10)
    print(f"{rows:,} rows in {PARTITIONS} partitions, {threads} workers of one thread; {held} tasks are held.\n")
    print("| | first pass and layout, s | shortest sweep, s | processor time of a sweep, s |\n|---|---|---|---|")
    print(f"| on workers | {first:.1f} | {wall:.3f} | {own + workers:.3f}, of which client and scheduler {own:.3f} |")
    print(f"| in memory, {threads} threads | | {memory:.3f} | {cpu:.3f} |\n")
    print(
        f"Overhead a sweep: {wall / memory - 1:.0%} of the time, {(own + workers) / cpu - 1:.0%} of the processor "
        f"time. The rows are {len(blocks.bundles)} bundles; {done} tasks are held after the sweeps. The log "
        "likelihoods agree to 1e-10."
    )


def tasks_of(dask_scheduler):
    """Return the names of the tasks that a scheduler holds."""
    return [*map(str, dask_scheduler.tasks)]


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else ROWS)
