"""The fourteen covariance structures: one EM iteration of each, and many fits compared with R's mclust."""

import json
import shutil
import subprocess
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from bayesgmm.data.points import as_points
from bayesgmm.data.standards import Standard
from bayesgmm.datasets import make_mixture
from bayesgmm.errors import ComponentError
from bayesgmm.families.structures import ALL, COVARIANCES
from bayesgmm.inference.em_steps import Sweep, run, take_steps
from bayesgmm.inference.mixtures import Mixture
from bayesgmm.inference.starts import from_responsibilities
from bayesgmm.model_selection.rounds import SEARCHES
from bayesgmm.model_selection.selection import select
from bayesgmm.sweep.blocks import Blocks

TITLE = "## Covariance structures"
REPEATS = 15
LIMIT = 2.0  # times an iteration of 'full'
SCRIPT = Path(__file__).with_suffix(".R")


def processor_seconds(task):
    start = time.process_time()
    answer = task()
    return time.process_time() - start, answer


def iteration(blocks, family, mean):
    """Processor time of one EM iteration, the best of several."""
    sweep = Sweep(blocks, family)
    k, d = mean.shape
    mixture = take_steps(sweep, Mixture(np.full(k, 1 / k), mean, family.identity(k, d)), 3).mixture
    best = np.inf
    for _ in range(REPEATS):
        taken, (_, mixture) = processor_seconds(lambda mixture=mixture: sweep(mixture))
        best = min(best, taken)
    return best


def layouts(x):
    """Standardisation, rows and blocks for families that need the same scale for all columns, and for the others."""
    points = as_points(x)
    standards = {common: Standard.of(points, common) for common in (False, True)}
    return {c: (one, (x - one.shift) / one.scale, one.blocks(points)) for c, one in standards.items()}


def maxima(layout, partitions, family):
    """Log likelihoods by EM from partitions, arrays (N,) of whole numbers."""
    standard, rows, blocks = layout[family.needs_common_scale]
    found, weight = [], np.ones(len(rows))
    for partition in partitions:
        shares = (partition[:, None] == np.unique(partition)).astype(float)
        try:
            start = from_responsibilities(rows, weight, shares, family)
            found.append(run(Sweep(blocks, family), start, tol=1e-6).loglik - standard.log_units(blocks))
        except ComponentError:
            found.append(np.nan)
    return np.array(found)


def by_mclust(x):
    """Partitions, log likelihoods and processor time of mclust; None where it is not installed."""
    if shutil.which("Rscript") is None:
        return None
    with TemporaryDirectory() as folder:
        table, fits = Path(folder, "table.csv"), Path(folder, "fits.json")
        np.savetxt(table, x, delimiter=",", fmt="%.17g")
        if subprocess.run(["Rscript", SCRIPT, table, fits], check=False, capture_output=True).returncode:
            return None
        return json.loads(fits.read_text())


def main():
    sample = make_mixture(100_000, 5, 5, overlap=0.1, seed=0)
    centre, sd = sample.X.mean(axis=0), sample.X.std(axis=0)
    blocks, mean = Blocks.from_rows((sample.X - centre) / sd), (sample.mean - centre) / sd
    taken = {name: iteration(blocks, family, mean) for name, family in COVARIANCES.items()}
    print("One EM iteration, 100,000 points, 5 columns, 5 components, one thread:\n")
    print("| structure | ms | times that of full | at most |\n|---|---|---|---|")
    for name, own in taken.items():
        print(f"| {name} | {own * 1e3:.2f} | {own / taken['full']:.2f} | {LIMIT:g} |", flush=True)
    x = make_mixture(2000, 6, 4, overlap=0.1, seed=1).X
    theirs = by_mclust(x)
    if theirs is None:
        print("\nR's mclust is not installed, so that the structures are not compared with it.")
        return
    for family in COVARIANCES.values():  # compiled before it is measured
        maxima(layouts(x[:200]), [np.arange(200) % 2], family)
    partitions = [np.array(one) for one in theirs["partitions"]]
    prepared, layout = processor_seconds(lambda: layouts(x))
    ours = {family.mclust: processor_seconds(lambda f=family: maxima(layout, partitions, f))
            for family in COVARIANCES.values()}  # fmt: skip
    gains = np.concatenate([found - np.array(theirs["loglik"][name], float) for name, (_, found) in ours.items()])
    seconds = prepared + sum(taken for taken, _ in ours.values())
    both = np.isfinite(gains)
    print(
        f"\nAll structures with 1 to 9 components on 2,000 points of 6 columns, {gains.size} fits from the partitions "
        f"of mclust's hierarchical clustering: {seconds:.2f} s here, {theirs['seconds']:.2f} s in mclust (processor "
        f"time), {theirs['seconds'] / seconds:.1f} times as fast. The log likelihood is at least mclust's (to 0.001) "
        f"in {(gains[both] > -1e-3).sum()} of {both.sum()} fits, and higher by more than 1 in "
        f"{(gains[both] > 1).sum()}."
    )
    select(x[:200], [1, 2], ALL, n_init=2, seed=0, cores=1, progress=False)  # compiled before it is measured
    for search in SEARCHES:
        print(f"\n{selected(x, theirs, search)}", flush=True)


def selected(x, theirs, search):
    """A sentence about ``select`` with its own starts, against mclust's log likelihoods and time."""
    seconds, table = processor_seconds(
        lambda: select(x, range(1, 10), ALL, seed=0, cores=1, progress=False, search=search)
    )
    known = [theirs["loglik"][COVARIANCES[row.covariance].mclust][row.n_components - 1] for row in table.itertuples()]
    gains = table["loglik"].to_numpy(float) - np.array(known, float)
    gains, best = gains[np.isfinite(gains)], table.iloc[0]
    return (
        f"`select` with starts of its own, search={search!r}: {seconds:.1f} s of processor time, "
        f"{seconds / theirs['seconds']:.1f} times mclust's. The log likelihood is higher than mclust's by more than 1 "
        f"in {(gains > 1).sum()} of {gains.size} choices, lower by more than 1 in {(gains < -1).sum()}. The best by "
        f"BIC: {best.n_components} components, {best.covariance}, {best.bic:.2f}."
    )
