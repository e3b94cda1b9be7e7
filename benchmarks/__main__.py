"""Run the named benchmarks, or all of them, and print docs/benchmarks.md."""

import argparse
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmarks import (
    advi,
    anomalies,
    builder,
    coresets,
    dask,
    diagnosis,
    em,
    factors,
    fits,
    gibbs,
    kmeans,
    latent,
    memory,
    overfitted,
    partitions,
    parts,
    peak,
    predictions,
    relabelling,
    sampling,
    scaling,
    search,
    segmentation,
    spark,
    speech,
    startup,
    structures,
    sweeps,
)

PARTS = {
    "em": em,
    "peak": peak,
    "sweeps": sweeps,
    "fits": fits,
    "kmeans": kmeans,
    "search": search,
    "overfitted": overfitted,
    "sampling": sampling,
    "gibbs": gibbs,
    "latent": latent,
    "builder": builder,
    "advi": advi,
    "relabelling": relabelling,
    "memory": memory,
    "parts": parts,
    "scaling": scaling,
    "coresets": coresets,
    "dask": dask,
    "spark": spark,
    "predictions": predictions,
    "partitions": partitions,
    "diagnosis": diagnosis,
    "segmentation": segmentation,
    "speech": speech,
    "anomalies": anomalies,
    "startup": startup,
    "structures": structures,
    "factors": factors,
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
    "astroML",
    "pygmmis",
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


def chosen_parts(arguments: list[str] | None = None) -> tuple[list[str], dict[str, Any]]:
    """Return the parts to run, and the options of the part about the search."""
    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__)
    titles = {name: part.TITLE.strip().lstrip("# ").splitlines()[0] for name, part in PARTS.items()}
    listed = ", ".join(f"{name} ({title})" for name, title in titles.items())
    parser.add_argument("part", nargs="*", help=f"{listed}. Default: all.")
    own = parser.add_argument_group("options of the part search")
    own.add_argument("--quick", action="store_true", help="fewer problems and seeds")
    own.add_argument("--seeds", type=int, help="number of seeds")
    own.add_argument("--engines", nargs="+", choices=search.SIDES, metavar="ENGINE", help=", ".join(search.SIDES))
    own.add_argument("--problems", nargs="+", metavar="NAME", help="problems whose description contains a name")
    own.add_argument("--results", type=Path, help="file to which each run is appended; its runs are not repeated")
    parser.add_argument("--rows", type=int, default=parts.ROWS, help="number of rows of the parts parts and dask")
    parser.add_argument("--memory", default=parts.MEMORY, help="memory for rows of the part parts")
    parser.add_argument("--folder", type=Path, help="more tables for the part anomalies: NAME.npz with X and y")
    given = vars(parser.parse_args(arguments))
    named = given.pop("part")
    for unknown in set(named) - set(PARTS):
        parser.error(f"there is no part {unknown!r}: choose from {', '.join(PARTS)}")
    return named or list(PARTS), given


def main() -> None:
    chosen, given = chosen_parts()
    folder, rows, room = (given.pop(name) for name in ("folder", "rows", "memory"))
    print(f"Machine: {machine()}.\n\nVersions: {versions()}.", flush=True)
    for name in chosen:
        print(f"\n{PARTS[name].TITLE}\n", flush=True)
        part = PARTS[name]
        if part is anomalies:
            part.main(folder)
        elif part is parts:
            part.main(rows, room)
        elif part is dask:
            part.main(rows)
        elif part is search:
            part.main(**given)
        else:
            part.main(quick=True) if given["quick"] and part is overfitted else part.main()


if __name__ == "__main__":
    main()
