"""How often each engine reaches the best maximum known: real and simulated problems, many seeds.

The best maximum known is the highest of all runs of all sides, and of a run with twenty times the budget. Maxima at
which a component holds a few points in a narrow place (``em.is_suspect``) do not count.
"""

import shutil
import subprocess
import tempfile
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

import bayesgmm as bg
from bayesgmm.data.points import Standard, as_points
from bayesgmm.errors import ComponentError
from bayesgmm.families.structures import COVARIANCES
from bayesgmm.inference import em
from bayesgmm.inference.mixtures import Mixture
from bayesgmm.posterior.info import info
from benchmarks.problems import problems

TITLE = "## How often a search reaches the best maximum known"
SEEDS, QUICK_SEEDS, QUICK_PROBLEMS = 20, 3, 10
NEAR = 0.1  # a run reaches the best if it is lower by less than this, in nats
ENGINES = ("em", "mle", "map", "vb")
MCLUST = {"full": "VVV", "tied": "EEE", "diag": "VVI", "spherical": "VII"}


@dataclass(frozen=True)
class Run:
    """Objective that a run reached, in nats, and its processor time."""

    value: float
    seconds: float


def ours(problem, method, seed, **settings):
    began = time.process_time()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", bg.FitWarning)
            model = bg.MixtureModel(problem.n_components, covariance=problem.covariance)
            fit = bg.fit(model, problem.x, method, seed=seed, progress=False, cores=1, **settings)
    except ComponentError:
        return Run(-np.inf, time.process_time() - began)
    value = fit["sample_stats"]["loglik" if method in ("em", "mle") else "lp"].max().item()
    if method == "vb":
        value = info(fit).notes.elbo
    return Run(value, time.process_time() - began)


def scikit_learn(problem, seed, seconds):
    """The best of as many starts as fit into the time; degenerate and suspect maxima do not count."""
    began, best, number = time.process_time(), -np.inf, 0
    while number == 0 or time.process_time() - began < seconds:
        peer = GaussianMixture(
            problem.n_components,
            covariance_type=problem.covariance,
            tol=1e-6,
            max_iter=1000,
            random_state=1000 * seed + number,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            peer.fit(problem.x)
        best, number = max(best, _polished(problem, peer)), number + 1
    return Run(best, time.process_time() - began)


def _polished(problem, peer):
    """Log likelihood at the maximum nearest to a fit of scikit-learn; minus infinity if it does not count."""
    family = COVARIANCES[problem.covariance]
    points = as_points(problem.x)
    standard = Standard.of(points, family.needs_common_scale)
    sweep = em.Sweep(standard.blocks(points.values), family)
    k, d = peer.means_.shape
    covariance = family.as_matrices(family.unsqueezed(peer.covariances_), k, d)
    covariance = covariance / np.outer(standard.scale, standard.scale)
    roots = family.roots(family.cores(covariance))
    mixture = Mixture(peer.weights_, (peer.means_ - standard.shift) / standard.scale, roots)
    try:
        found = em.run(sweep, mixture)
    except ComponentError:
        return -np.inf
    return -np.inf if em.is_suspect(sweep, found.mixture) else found.loglik - len(problem.x) * standard.log_scale


def mclust(problem):
    """The log likelihood of R's Mclust, which has no seed; None where it is not installed."""
    if shutil.which("Rscript") is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        np.ascontiguousarray(problem.x, dtype="<f8").tofile(Path(folder) / "x")
        shape = problem.x.shape
        model = MCLUST[problem.covariance] if shape[1] > 1 else {"tied": "E"}.get(problem.covariance, "V")
        script = f"""
            if (!requireNamespace("mclust", quietly = TRUE)) quit(status = 9)
            suppressMessages(library(mclust))
            x <- matrix(readBin("x", "double", {shape[0] * shape[1]}), ncol = {shape[1]}, byrow = TRUE)
            fit <- Mclust(x, G = {problem.n_components}, modelNames = "{model}", verbose = FALSE)
            cat(if (is.null(fit)) -Inf else fit$loglik)
        """
        try:
            done = subprocess.run(
                ["Rscript", "-e", script], cwd=folder, capture_output=True, text=True, timeout=600, check=True
            )
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
            return None
    return float(done.stdout or "-inf")


def measured(problem, seeds):
    """Runs of each side, and the highest value known of each objective."""
    runs = {method: [ours(problem, method, seed) for seed in range(seeds)] for method in ENGINES}
    runs["scikit-learn"] = [scikit_learn(problem, seed, runs["em"][seed].seconds) for seed in range(seeds)]
    theirs = mclust(problem)
    runs["mclust"] = [] if theirs is None else [Run(theirs, 0.0)]
    known = {method: _highest(runs[method]) for method in ENGINES}
    long = ours(problem, "em", 10_000, sweeps=40_000).value
    likelihood = max(long, known["em"], known["mle"], _highest(runs["scikit-learn"]))
    return runs, known | dict.fromkeys(("em", "mle", "scikit-learn", "mclust"), likelihood)


def _highest(runs):
    return max((run.value for run in runs), default=-np.inf)


def main(quick=False):
    sides = (*ENGINES, "scikit-learn", "mclust")
    chosen, seeds = (problems()[:QUICK_PROBLEMS], QUICK_SEEDS) if quick else (problems(), SEEDS)
    print(f"Runs of {seeds} that reach the best known, and the processor time of a fit by EM.\n")
    print(f"| problem | N, D, K | covariance | {' | '.join(sides)} | seconds |")
    print(f"|{'---|' * (len(sides) + 4)}")
    reached = {side: [] for side in sides}
    for problem in chosen:
        runs, known = measured(problem, seeds)
        cells = []
        for side in sides:
            hits = [run.value > known[side] - NEAR for run in runs[side]]
            reached[side] += hits
            cells.append(f"{sum(hits)}" if hits else "")
        seconds = np.median([run.seconds for run in runs["em"]])
        size = f"{problem.x.shape[0]:,}, {problem.x.shape[1]}, {problem.n_components}"
        print(f"| {problem.name} | {size} | {problem.covariance} | {' | '.join(cells)} | {seconds:.2f} |", flush=True)
    shares = [f"{np.mean(hits):.1%}" if hits else "not installed" for hits in reached.values()]
    print(f"| all | | | {' | '.join(shares)} | |", flush=True)
