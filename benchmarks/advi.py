"""ADVI to a converged ELBO compared with ``pm.fit`` on ``pm.Mixture``: total seconds, compilation included.

Each package runs twice, in a process of its own: the first run fills the caches on disk. PyMC starts at the true
values, bayesgmm searches for its start. PyMC has converged when the mean ELBO of its last 100 iterations is within five
nats of that of bayesgmm; it is stopped after five minutes.
"""

import json
import sys
import time

import numpy as np

from bayesgmm.datasets import make_mixture
from benchmarks.peers import by_hand, declaration
from benchmarks.processes import LIMIT, measured

TITLE = "## ADVI: seconds until the ELBO converges"
CASE, WANTED = (100_000, 5, 5), 10
NEAR = 5.0  # nats
WINDOW = 100  # iterations


def data(case):
    n_points, n_features, n_components = case
    return make_mixture(n_points, n_features, n_components, overlap=0.05, seed=3), n_components


def run_bayesgmm(case):
    import bayesgmm as bg
    from bayesgmm.posterior.info import info

    sample, k = data(case)
    import bayesgmm.inference

    start = time.perf_counter()
    fit = bg.fit(declaration(sample, k), sample.X, "advi", seed=1, progress=False)
    notes = info(fit).notes
    print(json.dumps({"seconds": time.perf_counter() - start, "elbo": notes.elbo, "error": notes.elbo_se}))


def run_pymc(case, target):
    """Print the ELBO as it rises, so that there is a result if the run is stopped."""
    import pymc as pm

    sample, k = data(case)
    start = time.perf_counter()
    model, point = by_hand(sample, k)
    seen = {"compile": None, "last": start}

    def watch(approx, losses, i):
        now = time.perf_counter()
        if seen["compile"] is None:
            seen["compile"] = now - start
            print(json.dumps({"compile": seen["compile"]}), flush=True)
        if i < WINDOW or now - seen["last"] < 1:
            return
        seen["last"] = now
        elbo = -float(np.mean(losses[-WINDOW:]))
        print(json.dumps({"elbo": elbo, "iterations": int(i)}), flush=True)
        if elbo > target - NEAR:
            print(json.dumps({"seconds": now - start}), flush=True)
            raise StopIteration

    with model:
        pm.fit(100_000, method="advi", start=point, callbacks=[watch], random_seed=1, progressbar=False)


def main():
    print("| N, D, K | package | seconds | ELBO | times faster | target |")
    print("|---|---|---|---|---|---|")
    name = ", ".join(f"{n:,}" for n in CASE)
    ours = measured("benchmarks.advi", "bayesgmm", [CASE, 0.0])
    print(f"| {name} | bayesgmm | {ours['seconds']:.1f} | {ours['elbo']:.1f} ± {ours['error']:.1f} | | |", flush=True)
    theirs = measured("benchmarks.advi", "pymc", [CASE, ours["elbo"]])
    if "seconds" in theirs:
        row = f"{theirs['seconds']:.1f} | {theirs['elbo']:.1f} | {theirs['seconds'] / ours['seconds']:.0f}"
    else:
        reached = f"{theirs['elbo']:.1f} after {theirs['iterations']} iterations" if "elbo" in theirs else "none"
        row = f"stopped at {LIMIT} | {reached} | > {LIMIT / ours['seconds']:.0f}"
    print(f"| {name} | pm.fit on pm.Mixture | {row} | {WANTED} |", flush=True)


if __name__ == "__main__":
    case, target = json.loads(sys.argv[2])
    run_bayesgmm(case) if sys.argv[1] == "bayesgmm" else run_pymc(case, target)
