"""``python -m benchmarks [em] [fits] ...``: run what is named, or all; print docs/benchmarks.md."""

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmarks import (
    advi,
    builder,
    diagnosis,
    em,
    fits,
    memory,
    partitions,
    predictions,
    relabelling,
    sampling,
    segmentation,
    speech,
    sweeps,
)

PARTS = {
    "em": em,
    "sweeps": sweeps,
    "fits": fits,
    "sampling": sampling,
    "builder": builder,
    "advi": advi,
    "relabelling": relabelling,
    "memory": memory,
    "predictions": predictions,
    "partitions": partitions,
    "diagnosis": diagnosis,
    "segmentation": segmentation,
    "speech": speech,
}
PACKAGES = (
    "bayesgmm",
    "numpy",
    "numba",
    "scikit-learn",
    "scikit-image",
    "nutpie",
    "pymc",
    "numpyro",
    "jax",
    "librosa",
    "hmmlearn",
)


def machine() -> str:
    model = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    return f"{model}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"


def versions() -> str:
    found = []
    for package in PACKAGES:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            found.append(f"{package} not installed")
    return ", ".join(found)


def main() -> None:
    chosen = sys.argv[1:] or list(PARTS)
    print(f"Machine: {machine()}.\n\nVersions: {versions()}.", flush=True)
    for name in chosen:
        print(f"\n{PARTS[name].TITLE}\n", flush=True)
        PARTS[name].main()


if __name__ == "__main__":
    main()
