"""Draw pictures of README and guides: ``make pictures``, or some of them: ``python docs/readme_pictures.py iris``."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import matplotlib as mpl
import numpy as np
import xarray as xr
from sklearn.datasets import load_sample_image

import bayesgmm as bg
from bayesgmm.apps import plot_regions, segment_image
from bayesgmm.families.structures import COVARIANCES
from bayesgmm.sweep.stats import Stats

HERE = Path(__file__).parent


@cache
def demo() -> xr.DataTree:
    """Make the fit of ``bayesgmm demo``."""
    flowers = bg.datasets.iris().drop(columns="species")
    return bg.fit(bg.load_card("iris").mixture, flowers, seed=1, progress=False)


def iris(path: Path) -> None:
    """Draw the figure of ``bayesgmm demo``."""
    bg.plots.assignments(demo()).savefig(path, dpi=110)


def galaxies(path: Path) -> None:
    """Draw the density of the card ``galaxies``."""
    bg.plots.density(bg.run_card("galaxies", progress=False).fit).savefig(path, dpi=110)


def report(path: Path) -> None:
    """Take a screenshot of the first page of the report on the fit of ``bayesgmm demo``."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        raise SystemExit("the picture of the report needs Chromium")
    with TemporaryDirectory() as folder:
        page = bg.report(demo(), f"{folder}/report.html", progress=False).resolve().as_uri()
        flags = ["--headless", "--no-sandbox", "--hide-scrollbars", "--force-device-scale-factor=0.8"]
        flags += ["--disable-gpu", f"--user-data-dir={folder}"]
        subprocess.run([chromium, *flags, "--window-size=1125,1350", f"--screenshot={path}", page], check=True)


def china(path: Path) -> None:
    """Draw the regions of scikit-learn's photograph of a pagoda, as ``bayesgmm segment china.jpg`` finds them."""
    regions = segment_image(load_sample_image("china.jpg"), progress=False)
    plot_regions(regions).savefig(path, dpi=82.5)


def structures(path: Path) -> None:
    """Draw three groups, dotted, and the closest covariances of each structure."""
    import matplotlib.pyplot as plt

    tilted = np.array([[[2.0, 1.3], [1.3, 1.2]], [[0.7, -0.4], [-0.4, 0.5]], [[1.8, 0.2], [0.2, 0.25]]])
    centres, circle = np.array([[0.0, 0.0], [4.2, 0.6], [2.2, -3.4]]), np.linspace(0, 2 * np.pi, 60)
    figure, panels = plt.subplots(2, 7, figsize=(13, 4.2), layout="constrained", sharex=True, sharey=True)
    order = sorted(COVARIANCES.values(), key=lambda family: (family.mclust[2] != "I", family.size(3, 2)))
    for panel, family in zip(panels.flat, order, strict=True):
        stats = Stats(np.ones(3), np.zeros((3, 2)), tilted, 0.0, centres)
        if family.form.block_size(2) == 1:
            stats = replace(stats, s2=np.diagonal(stats.s2, axis1=1, axis2=2))
        closest = family.as_matrices(family.maximise(stats, floor=np.zeros(2)), 3, 2)
        for k, centre in enumerate(centres):
            for covariance, style in ((tilted[k], {"color": "0.6", "ls": ":"}), (closest[k], {"color": f"C{k}"})):
                outline = centre + (np.linalg.cholesky(covariance) @ [np.cos(circle), np.sin(circle)]).T
                panel.plot(*outline.T, **style)
        name = family.mclust if family.name == family.mclust else f"{family.mclust} = {family.name}"
        panel.set_title(f"{name}, {family.size(3, 2)}", fontsize=10)
        panel.set_aspect("equal")
        panel.set_axis_off()
    figure.savefig(path, dpi=80)


PICTURES: dict[str, tuple[Callable[[Path], None], str]] = {
    "iris": (iris, "iris.png"),
    "galaxies": (galaxies, "galaxies.png"),
    "report": (report, "report.png"),
    "china": (china, "china.jpg"),
    "structures": (structures, "structures.png"),
}


if __name__ == "__main__":
    mpl.use("Agg")
    for name in sys.argv[1:] or PICTURES:
        draw, file = PICTURES[name]
        draw(HERE / file)
        print(f"wrote docs/{file}")
