"""The PyMC model of ``build_model`` compared with ``pm.Mixture``: compile time, and ESS per second by one sampler.

Both models have the same posterior, start at the true values, and are sampled by nutpie. Each runs twice, in a process
of its own: the first run fills the caches on disk. Imports are not counted. A run that has not ended after five minutes
is stopped.
"""

import json
import sys
import time

import numpy as np

from bayesgmm.datasets import make_mixture
from benchmarks.peers import by_hand, fused
from benchmarks.processes import LIMIT, measured

TITLE = "## One sampler on the PyMC model of build_model and on pm.Mixture"
CASES = [((1_000, 2, 3), 1), ((10_000, 5, 5), 5)]
DRAWS, TUNE, CHAINS = 1000, 1000, 2
SIDES = {"build_model": fused, "pm.Mixture": by_hand}


def measure(side, case):
    """Print the seconds of compilation, then those of sampling: with minimum bulk ESS, posterior means and sds."""
    import arviz as az
    import nutpie

    n_points, n_features, n_components = case
    sample = make_mixture(n_points, n_features, n_components, overlap=0.05, seed=3)
    start = time.perf_counter()
    model, point = SIDES[side](sample, n_components)
    compiled = nutpie.compile_pymc_model(model, initial_points=point, jitter_rvs=set())
    print(json.dumps({"compile": time.perf_counter() - start}), flush=True)
    tree = nutpie.sample(compiled, draws=DRAWS, tune=TUNE, chains=CHAINS, cores=CHAINS, seed=1, progress_bar=False)
    taken = time.perf_counter() - start
    posterior = tree["posterior"]
    if "mean" in posterior:
        mean = posterior["mean"].values
    else:
        mean = np.stack([posterior[f"mean_{k}"].values for k in range(n_components)], 2)
    draws = np.concatenate([posterior["weight"].values[..., None], mean], axis=-1)
    flat = draws.reshape(*draws.shape[:2], -1)
    ess = min(float(az.ess(flat[:, :, i])) for i in range(flat.shape[2]))
    centre, spread = flat.mean(axis=(0, 1)), flat.std(axis=(0, 1))
    print(json.dumps({"seconds": taken, "ess": ess, "mean": centre.tolist(), "sd": spread.tolist()}))


def check_same_answer(ours, theirs):
    """Check that the means differ by less than a fifth of their sd (400 effective draws each give a twentieth)."""
    off = np.abs(np.array(ours["mean"]) - theirs["mean"]) / ours["sd"]
    assert off.max() < 0.2, off.max()


def main():
    print("| N, D, K | package | compilation, s | total, s | minimum ESS | ESS per second | times better | target |")
    print("|---|---|---|---|---|---|---|---|")
    for case, wanted in CASES:
        name = ", ".join(f"{n:,}" for n in case)
        ours, theirs = (measured("benchmarks.builder", side, case) for side in SIDES)
        rate = ours["ess"] / ours["seconds"]
        row = f"{ours['compile']:.1f} | {ours['seconds']:.1f} | {ours['ess']:.0f} | {rate:.1f}"
        print(f"| {name} | build_model | {row} | | |")
        if "ess" in theirs:
            check_same_answer(ours, theirs)
            peer = theirs["ess"] / theirs["seconds"]
            row = f"{theirs['seconds']:.1f} | {theirs['ess']:.0f} | {peer:.1f} | {rate / peer:.0f}"
        else:  # as if it had one effective draw when it was stopped
            row = f"stopped at {LIMIT} | none | < {1 / LIMIT:.4f} | > {rate * LIMIT:.0f}"
        compiled = f"{theirs['compile']:.1f}" if "compile" in theirs else "not done"
        print(f"| {name} | pm.Mixture | {compiled} | {row} | {wanted} |", flush=True)


if __name__ == "__main__":
    measure(sys.argv[1], json.loads(sys.argv[2]))
