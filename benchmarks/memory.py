"""Peak memory of an EM fit, relative to the size of the data (the data included)."""

import subprocess
import sys

TITLE = "## Memory of an EM fit of 1,000,000 points, 5 components"
SCRIPT = """
from pathlib import Path
import numpy as np
import bayesgmm as bg

def status(field):
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line.split()[1] for line in lines if line.startswith(field)))

d = {columns}
small = bg.datasets.make_mixture(500, d, 5, seed=1)
bg.fit(bg.MixtureModel(5), small.X, "em", seed=1, progress=False)
before = status("VmRSS")
Path("/proc/self/clear_refs").write_text("5")  # forget the peak of the imports
rng = np.random.default_rng(0)
X = np.empty((1_000_000, d))
label = rng.integers(5, size=len(X))
for j in range(d):
    X[:, j] = rng.normal(size=len(X)) + small.mean[label, j]
del label
fit = bg.fit(bg.MixtureModel(5), X, "em", seed=1, progress=False)
print((status("VmHWM") - before) / X.nbytes)
"""


def main():
    print("| columns | data, MB | peak, data included | target |\n|---|---|---|---|")
    for columns, wanted in ((5, "under 4"), (32, "about 2: the data, and one copy")):
        command = [sys.executable, "-W", "ignore", "-c", SCRIPT.replace("{columns}", str(columns))]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        print(f"| {columns} | {8 * columns} | {float(done.stdout):.2f} times | {wanted} |", flush=True)
