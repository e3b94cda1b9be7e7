"""A photograph in regions: ours from the file's pixels to smoothed labels, scikit-learn's mixture on the same features.

scikit-learn's side gets its features made; ours makes them, and lets neighbours agree, within its time. Likelihoods are of
all pixels, in features. The same fit of every pixel by both sides' ``GaussianMixture`` is shown too.
"""

import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn import mixture
from sklearn.datasets import load_sample_image

import bayesgmm as bg
from bayesgmm.apps import fit_pixels, segment_image
from bayesgmm.apps.images import as_picture
from bayesgmm.apps.pixel_features import feature_names, pixel_features
from bayesgmm.predictive import log_mean_density

TITLE = "## A photograph in regions, against scikit-learn"
MEGAPIXELS, COMPONENTS = 2, 5
WANTED = 8
CLOSE = 0.01  # nats a pixel: what a sample of 50,000 of two million pixels may lose, and a stop at tol=1e-3
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
    """scikit-learn's china.jpg, enlarged."""
    image = Image.fromarray(load_sample_image("china.jpg"))
    factor = (megapixels * 1e6 / (image.width * image.height)) ** 0.5
    return image.resize((round(image.width * factor), round(image.height * factor)), Image.Resampling.LANCZOS)


def seconds(task):
    began = time.perf_counter()
    answer = task()
    return time.perf_counter() - began, answer


def ours(image, features):
    """As it comes: a sample by variational Bayes, every pixel's probabilities, and neighbours that agree."""
    return seconds(lambda: segment_image(image, COMPONENTS, features=features, seed=1, progress=False))[0]


def by_mixture(kind, x, fitted_to):
    def run():
        fitted = kind(COMPONENTS, random_state=0).fit(fitted_to)
        fitted.predict_proba(x)
        return fitted

    taken, fitted = seconds(run)
    return taken, fitted.score(x)


def sides(image, names):
    """Seconds and mean log likelihood of all pixels, by side."""
    picture = as_picture(image)
    x = pixel_features(picture, names, 0, picture.size[0])[0].reshape(-1, len(names)).astype(np.float64)
    fit = fit_pixels(picture, COMPONENTS, features=names, seed=1, progress=False)
    sample = fit["observed_data"]["x"].values
    yield "bayesgmm, segment_image", min(ours(image, names) for _ in range(3)), float(log_mean_density(fit, x).mean())
    ours_all = min((by_mixture(bg.GaussianMixture, x, x) for _ in range(3)), key=lambda found: found[0])
    yield "bayesgmm, GaussianMixture of all pixels", *ours_all
    yield "scikit-learn, GaussianMixture of all pixels", *by_mixture(mixture.GaussianMixture, x, x)
    yield "scikit-learn, GaussianMixture of our sample", *by_mixture(mixture.GaussianMixture, x, sample)


def main():
    image = photograph(MEGAPIXELS)
    size = f"{image.width} x {image.height} pixels, {COMPONENTS} components"
    print(f"{size}.\n\n| features | side | seconds | mean log likelihood | times slower than segment_image | wanted |")
    print("|---|---|---|---|---|---|")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for features in ("colour", ("colour", "texture")):
            names = feature_names(features)
            first = None
            for side, taken, loglik in sides(image, names):
                first = first or (taken, loglik)
                wanted = WANTED if side == "scikit-learn, GaussianMixture of all pixels" else ""
                shown = f"{taken / first[0]:.1f}" if side.startswith("scikit") else ""
                print(f"| {len(names)} | {side} | {taken:.2f} | {loglik:.4f} | {shown} | {wanted} |", flush=True)
                assert first[1] > loglik - CLOSE, (side, first[1], loglik)
    large()


def large():
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "photo.jpg"
        photograph(12).save(path, quality=92)
        command = [sys.executable, "-W", "ignore", "-c", LARGE, str(path), folder]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    labelled, written, peak = (float(v) for v in said.strip().strip("[]").split(","))
    print(
        "\n| 12 megapixels, from the file | seconds to the labels | and to the files | peak, GiB | wanted |\n|---|---|---|---|---|"
    )
    print(
        f"| segment_image, save_regions | {labelled:.1f} | {written:.1f} | {peak:.2f} | under 60, under 2 |", flush=True
    )
