"""Segmentation of a photograph, compared with scikit-learn's mixture on the same features, computed in advance.

Fit and predict are compared on the same pixels: all of them, and all with the fit on the same sample. The whole of
``segment_image`` does more (it computes the features, averages over the posterior and smooths the labels), and is shown
in another table. Likelihoods are of all pixels.
"""

import os
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_sample_image
from sklearn.mixture import GaussianMixture

import bayesgmm as bg
from bayesgmm.apps import fit_pixels, segment_image
from bayesgmm.apps.images.image_input import read_image
from bayesgmm.apps.images.pixel_features import feature_names, pixel_features
from bayesgmm.posterior.schema import unpack
from bayesgmm.predictions.predictive import log_mean_density
from bayesgmm.sweep.stats import responsibilities

TITLE = "## Segmentation of a photograph, compared with scikit-learn"
MEGAPIXELS, COMPONENTS = 2, 5
WANTED = 8
CLOSE = 1e-3  # nats per pixel: the tol of scikit-learn
LARGE = """
import json, sys, time
from pathlib import Path
from bayesgmm.apps import region_table, save_regions, segment_image

began = time.perf_counter()
regions = segment_image(sys.argv[1], 5, progress=False, seed=1)
done = time.perf_counter()
save_regions(regions, sys.argv[2])
lines = Path("/proc/self/status").read_text().splitlines()
peak = int(next(line.split()[1] for line in lines if line.startswith("VmHWM"))) / 2**20
print(json.dumps([done - began, time.perf_counter() - began, peak]))
"""


def photograph(megapixels):
    """Write scikit-learn's china.jpg, enlarged."""
    image = Image.fromarray(load_sample_image("china.jpg"))
    factor = (megapixels * 1e6 / (image.width * image.height)) ** 0.5
    return image.resize((round(image.width * factor), round(image.height * factor)), Image.Resampling.LANCZOS)


def seconds(task):
    began = time.perf_counter()
    answer = task()
    return time.perf_counter() - began, answer


def as_it_comes(image, features):
    return seconds(lambda: segment_image(image, COMPONENTS, features=features, seed=1, progress=False))[0]


def ours(x, fitted_to):
    """Fit by EM, then compute the probabilities of every pixel."""

    def run():
        fit = bg.fit(bg.MixtureModel(COMPONENTS), fitted_to, "em", seed=0, progress=False)
        posterior = unpack(fit)
        responsibilities(posterior.standard.blocks(x), posterior.tables(), os.cpu_count())
        return fit

    taken, fit = seconds(run)
    return taken, float(log_mean_density(fit, x).mean())


def theirs(x, fitted_to):
    def run():
        fitted = GaussianMixture(COMPONENTS, random_state=0).fit(fitted_to)
        fitted.predict_proba(x)
        return fitted

    taken, fitted = seconds(run)
    return taken, fitted.score(x)


def rows(image, features):
    """Return rows: fitted pixels, package, seconds, mean log likelihood of all pixels, times faster, target."""
    picture, names = read_image(image), feature_names(features)
    x = pixel_features(picture, names, 0, picture.size[0])[0].reshape(-1, len(names)).astype(np.float64)
    fit = fit_pixels(picture, COMPONENTS, features=names, seed=1, progress=False)
    whole = min(as_it_comes(image, names) for _ in range(3))
    yield "sample", "bayesgmm, segment_image in total", whole, float(log_mean_density(fit, x).mean()), "", ""
    for pixels, fitted_to in (("sample", fit["observed_data"]["x"].values), ("all", x)):
        best, loglik = min((ours(x, fitted_to) for _ in range(3)), key=lambda found: found[0])
        yield pixels, "bayesgmm", best, loglik, "", ""
        taken, peer = theirs(x, fitted_to)
        yield pixels, "scikit-learn", taken, peer, f"{taken / best:.1f}", WANTED if pixels == "all" else ""
        assert loglik > peer - CLOSE, (pixels, loglik, peer)


def main():
    image = photograph(MEGAPIXELS)
    print(f"{image.width} x {image.height} pixels, {COMPONENTS} components.\n")
    print("| features | fitted pixels | package | seconds | mean log likelihood | times faster | target |")
    print("|---|---|---|---|---|---|---|")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for features in ("colour", ("colour", "texture")):
            for pixels, side, taken, loglik, faster, wanted in rows(image, features):
                said = f"{len(feature_names(features))} | {pixels} | {side} | {taken:.2f} | {loglik:.4f}"
                print(f"| {said} | {faster} | {wanted} |", flush=True)
    large()


def large():
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "photo.jpg"
        photograph(12).save(path, quality=92)
        command = [sys.executable, "-W", "ignore", "-c", LARGE, str(path), folder]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    labelled, written, peak = (float(v) for v in said.strip().strip("[]").split(","))
    print(
        "\n| 12 megapixels, from the file | seconds until the labels | seconds until the files | peak, GiB | target |"
    )
    print("|---|---|---|---|---|")
    done = f"{labelled:.1f} | {written:.1f} | {peak:.2f}"
    print(f"| segment_image, save_regions | {done} | under 60, under 2 |", flush=True)
