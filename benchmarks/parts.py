"""EM over Parquet files that are read part by part, compared with sweeps over the same rows in memory."""

import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from bayesgmm.datasets import make_mixture

TITLE = "## Rows in parts: EM over Parquet files, 4 columns of float32, K = 8"
ROWS, D, K = 10_000_000, 4, 8
FILE, GROUP = 5_000_000, 500_000  # rows of a file and of a row group
MEMORY = "64MiB"  # too little for all rows, which are then read in each sweep
SWEEPS = 5

COMMON = """
import json, os, sys, time
from pathlib import Path
import numpy as np
import bayesgmm as bg
from bayesgmm.families.structures import COVARIANCES
from bayesgmm.inference.mixtures import Mixture
from bayesgmm.sweep.blocks import Blocks
from bayesgmm.sweep.stats import fold

def status(field):
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line.split()[1] for line in lines if line.startswith(field)))

def best(task, repeats):
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter(), time.process_time()
        answer = task()
        seconds.append((time.perf_counter() - start[0], time.process_time() - start[1]))
    return min(seconds), answer

files, memory, sweeps, k = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
threads = os.cpu_count()
sample = bg.datasets.make_mixture(1000, 4, k, overlap=0.1, seed=1)
root = np.linalg.inv(np.linalg.cholesky(sample.covariance))
def table(standard):
    mean = (sample.mean - standard.shift) / standard.scale
    return Mixture(np.full(k, 1 / k), mean, root * standard.scale).table(COVARIANCES["full"])
"""
PARTS = """
from bayesgmm.memory import as_bytes
from bayesgmm.data.standards import Standard
from bayesgmm.sources.surveys import stream
bg.fit(bg.MixtureModel(k), sample.X, "em", seed=1, progress=False, memory="1GiB")
before = status("VmRSS")
Path("/proc/self/clear_refs").write_text("5")  # forget the peak of the imports
start = time.perf_counter()
read = stream(bg.source(files), as_bytes("memory", memory), seed=0)
first = time.perf_counter() - start
standard = Standard.of(read)
blocks = standard.blocks(read)
fold(blocks, table(standard), threads)  # keeps the rows, if they fit into the memory
(wall, cpu), stats = best(lambda: fold(blocks, table(standard), threads), sweeps)
loglik = stats.loglik - standard.log_units(blocks)
del read, blocks  # they keep as many rows as the fit below
start = time.perf_counter()
fit = bg.fit(bg.MixtureModel(k), files, "em", seed=1, progress=False, memory=memory)
whole = time.perf_counter() - start
found = {"first": first, "wall": wall, "cpu": cpu, "loglik": loglik, "fit": whole,
         "sweeps": fit["sample_stats"]["n_iter"].item(), "peak": status("VmHWM"), "before": before}
print(json.dumps(found))
"""
WHOLE = """
from bayesgmm.data.standards import Standard
source = bg.source(files)
standard = Standard(np.zeros(4), np.ones(4))
rows = np.concatenate([part.values for part in source.parts(2**20)])
blocks = Blocks.from_rows(rows)
del rows
fold(blocks, table(standard), threads)
(wall, cpu), stats = best(lambda: fold(blocks, table(standard), threads), sweeps)
print(json.dumps({"wall": wall, "cpu": cpu, "loglik": stats.loglik}))
"""


def write(folder, rows):
    """Write rows of a seeded generator; return the size of all files in bytes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    sample, rng = make_mixture(1000, D, K, overlap=0.1, seed=1), np.random.default_rng(0)
    chol = np.linalg.cholesky(sample.covariance)
    for number, start in enumerate(range(0, rows, FILE)):
        with pq.ParquetWriter(folder / f"{number:04}.parquet", _schema(pa), use_dictionary=False) as writer:
            for first in range(start, min(start + FILE, rows), GROUP):
                n = min(GROUP, rows - first)
                label = np.sort(rng.integers(K, size=n))
                z = rng.normal(size=(n, D))
                each = [z[label == k] @ chol[k].T + sample.mean[k] for k in range(K)]
                x = rng.permutation(np.concatenate(each)).astype(np.float32)
                writer.write_table(pa.table([x[:, j] for j in range(D)], schema=_schema(pa)))
    return sum(path.stat().st_size for path in folder.iterdir())


def _schema(pa):
    return pa.schema([(f"x{j}", pa.float32()) for j in range(D)])


def measured(script, folder, memory):
    command = [sys.executable, "-W", "ignore", "-c", COMMON + script, f"{folder}/*.parquet", memory, SWEEPS, K]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def main(rows=ROWS, memory=MEMORY):
    with TemporaryDirectory() as name:
        folder = Path(name)
        size = write(folder, rows)
        whole = measured(WHOLE, folder, memory)
        print(f"{rows:,} rows, {size / 2**20:,.0f} MiB of files, {8 * (D + 1) * rows / 2**20:,.0f} MiB in memory.\n")
        print("| memory for rows | first pass, s | sweep, s | in memory, s | ratio | processor time, ratio | fit, s |")
        print("|---|---|---|---|---|---|---|")
        found = measured(PARTS, folder, memory)
        np.testing.assert_allclose(found["loglik"], whole["loglik"], rtol=1e-10)
        print(
            f"| {memory} | {found['first']:.2f} | {found['wall']:.3f} | {whole['wall']:.3f} "
            f"| {found['wall'] / whole['wall']:.2f} | {found['cpu'] / whole['cpu']:.2f} | {found['fit']:.2f} |\n\n"
            f"The fit took {found['sweeps']} sweeps. Peak memory: {found['peak'] / 2**20:,.0f} MiB, of which the "
            f"program had {found['before'] / 2**20:,.0f} MiB before it read a row.",
            flush=True,
        )
