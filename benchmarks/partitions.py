"""Partitions: seconds and losses compared with other methods, and the memory of a large co-clustering matrix."""

import json
import subprocess
import sys
import time
import warnings

import numpy as np

import bayesgmm as bg

TITLE = "## Partitions"
LOSSES = ("vi", "binder")
CASES = (
    ("1,000 points, 5 columns, 5 components", 1000, 5, 5, 0.3),
    ("500 points, 2 columns, 8 components", 500, 2, 8, 0.5),
)
MEMORY = """
import json, time, warnings
from pathlib import Path
import bayesgmm as bg

def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line.split()[1] for line in lines if line.startswith("VmHWM")))

warnings.simplefilter("ignore")
X = bg.datasets.make_mixture(20_000, 5, 5, overlap=0.3, seed=1).X
fit = bg.fit(bg.MixtureModel(5), X, "vb", seed=1, draws=1000, progress=False)
start = time.perf_counter()
bg.partition(fit, progress=False)
partition = time.perf_counter() - start
start = time.perf_counter()
bg.co_clustering(fit, progress=False)
print(json.dumps({"partition": partition, "co_clustering": time.perf_counter() - start, "peak": peak()}))
"""


def drawn(fit):
    """Return the labels of all draws, as ``partition`` uses them."""
    from bayesgmm.clusterings.label_draws import draw_labels
    from bayesgmm.clusterings.partition_losses import Allocations
    from bayesgmm.posterior.schema import observed, unpack

    posterior = unpack(fit)
    return Allocations.of(draw_labels(posterior, posterior.standard.blocks(observed(fit).values), 0))


def agglomerative(apart, n_clusters, linkage):
    from sklearn.cluster import AgglomerativeClustering

    return AgglomerativeClustering(n_clusters, metric="precomputed", linkage=linkage).fit_predict(apart)


def losses(fit, name, draws, ours):
    """Return the smallest expected loss over all draws that each method reaches."""
    from bayesgmm.clusterings.partition_losses import Loss, by_size

    loss = Loss(name)
    apart = 1 - bg.co_clustering(fit, draws=None, progress=False)["probability"].values.astype(float)
    some = np.linspace(0, draws.n_draws - 1, 1000).astype(int)
    found = {
        "bayesgmm": [ours],
        "best of 1,000 draws": [draws.draw(s) for s in some],
        "agglomerative, average": [agglomerative(apart, k, "average") for k in range(1, 21)],
        "agglomerative, complete": [agglomerative(apart, k, "complete") for k in range(1, 21)],
        "most probable component": [bg.assignments(fit, draws=None)["label"].values],
    }
    return {side: min(loss.expected(by_size(one), draws, 2) for one in many) for side, many in found.items()}


def main():
    print(
        "| data, 4,000 draws | loss | seconds | processor seconds | method | expected loss |\n|---|---|---|---|---|---|"
    )
    for title, n, d, k, overlap in CASES:
        X = bg.datasets.make_mixture(n, d, k, overlap=overlap, seed=1).X
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", bg.FitWarning)
            fit = bg.fit(bg.MixtureModel(k), X, "nuts", draws=1000, chains=4, seed=1, progress=False)
        draws = drawn(fit)
        bg.partition(fit, draws=200, progress=False)  # compiled code is read from the disk
        for name in LOSSES:
            start, busy = time.perf_counter(), time.process_time()
            best = bg.partition(fit, loss=name, draws=None, progress=False)
            seconds, busy = time.perf_counter() - start, time.process_time() - busy
            for side, loss in losses(fit, name, draws, best["label"].values).items():
                took = f"{seconds:.1f} | {busy:.1f}" if side == "bayesgmm" else " | "
                print(f"| {title} | {name} | {took} | {side} | {loss:.6f} |", flush=True)
    done = subprocess.run([sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True)
    large = json.loads(done.stdout)
    print(
        f"\n20,000 points, 1,000 draws: a partition in {large['partition']:.1f} s, the co-clustering matrix in "
        f"{large['co_clustering']:.1f} s; the process peaks at {large['peak'] / 2**30:.2f} GiB (target: under 2)."
    )
