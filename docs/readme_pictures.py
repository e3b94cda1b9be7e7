"""Draw the pictures of README: ``make pictures``, or some of them: ``python docs/readme_pictures.py iris report``."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import matplotlib as mpl
import xarray as xr
from sklearn.datasets import load_sample_image

import bayesgmm as bg
from bayesgmm.apps import plot_regions, segment_image

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


PICTURES: dict[str, tuple[Callable[[Path], None], str]] = {
    "iris": (iris, "iris.png"),
    "galaxies": (galaxies, "galaxies.png"),
    "report": (report, "report.png"),
    "china": (china, "china.jpg"),
}


if __name__ == "__main__":
    mpl.use("Agg")
    for name in sys.argv[1:] or PICTURES:
        draw, file = PICTURES[name]
        draw(HERE / file)
        print(f"wrote docs/{file}")
