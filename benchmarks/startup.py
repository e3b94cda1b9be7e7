"""Processor time of a start: each action in a new process, without and with compiled code on disk."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

TITLE = "## Start: processor time of the first action of a process, in seconds"
RUNS = 3  # number of warm starts; the fastest counts
DATA = "import numpy as np; x = np.random.default_rng(0).normal(size=(200, 2)); x[:100] += 5"
FIT = "bg.fit(bg.MixtureModel(2), x, '{}', seed=1, cores=1, progress=False)"
CALLS = {
    "`bg.MixtureModel(3)`": ("bg.MixtureModel(3)", "0.3"),
    '`bg.fit(..., method="em")`, 200 rows': (FIT.format("em"), "0.8 (cold 5)"),
    '`bg.fit(..., method="nuts")`, 200 rows': (FIT.format("nuts"), "(cold 12)"),
}
COMMANDS = {f"`bayesgmm {name}`, 200 rows, imports included": (name, "1.2") for name in ("assign", "score", "density")}


def python(code, cache):
    """Return the seconds of some code, after ``import bayesgmm`` and the data."""
    used = "import os; used = lambda: sum(os.times()[:2])"
    script = f"{used}\n{DATA}\nimport bayesgmm as bg\nbefore = used()\n{code}\nprint(json.dumps(used() - before))"
    command = [sys.executable, "-W", "ignore", "-c", f"import json\n{script}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment(cache))
    return json.loads(done.stdout.splitlines()[-1])


def command(name, fit, cache):
    """Return the seconds of a whole command."""
    line = [sys.executable, "-m", "bayesgmm", name, fit, "-o", Path(cache) / "answer.csv"]
    before = os.times()
    subprocess.run(line, capture_output=True, check=True, env=environment(cache))
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def environment(cache):
    return os.environ | {"NUMBA_CACHE_DIR": cache}


def cold_and_warm(run):
    with tempfile.TemporaryDirectory() as cache:
        cold = run(cache)
        return cold, min(run(cache) for _ in range(RUNS))


def main():
    print("| | cold | warm | wanted |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        fit = Path(folder) / "fit.nc"
        python(f"bg.save({FIT.format('nuts')}, {str(fit)!r})", str(Path(folder) / "cache"))
        actions = {what: (lambda cache, code=code: python(code, cache), aim) for what, (code, aim) in CALLS.items()}
        for what, (name, aim) in COMMANDS.items():
            actions[what] = (lambda cache, name=name: command(name, fit, cache)), aim
        for what, (run, aim) in actions.items():
            cold, warm = cold_and_warm(run)
            print(f"| {what} | {cold:.2f} | {warm:.2f} | {aim} |", flush=True)
