"""Peak memory of an EM fit, in units of the data's own size (the data included)."""

import subprocess
import sys

TITLE = "## Memory of an EM fit of 1,000,000 points, 5 columns, 5 components"
SCRIPT = """
from pathlib import Path
import numpy as np
import bayesgmm as bg

def status(field):
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line.split()[1] for line in lines if line.startswith(field)))

small = bg.datasets.make_mixture(500, 5, 5, seed=1)
bg.fit(bg.MixtureModel(5), small.X, "em", seed=1, progress=False)
before = status("VmRSS")
Path("/proc/self/clear_refs").write_text("5")  # forget the peak of the imports
rng = np.random.default_rng(0)
X = np.empty((1_000_000, 5))
label = rng.integers(5, size=len(X))
for j in range(5):
    X[:, j] = rng.normal(size=len(X)) + small.mean[label, j]
del label
fit = bg.fit(bg.MixtureModel(5), X, "em", seed=1, progress=False)
print((status("VmHWM") - before) / X.nbytes)
"""


def main():
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", SCRIPT], capture_output=True, text=True, check=True)
    print(f"{float(done.stdout):.1f} times the data's own 40 MB (wanted: under 4).")
