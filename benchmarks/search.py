"""How often each engine reaches the best maximum known: real and simulated problems, many seeds.

The best maximum known is the highest of all runs of all engines and packages, and of a run with 20 times the budget.
Maxima at which a narrow component holds few points (``faults.is_suspect``) do not count. ``starts`` is the heaviest
mode by Laplace's approximation, from which NUTS and ADVI start.

    python -m benchmarks search --seeds 2 --engines em vb --problems iris --results runs.csv

makes some of the runs and appends each to the file. Runs that the file holds are not repeated; the table shows all.
"""

import csv
import math
import shutil
import subprocess
import tempfile
import time
import warnings
from collections import defaultdict
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from threadpoolctl import threadpool_limits

import bayesgmm as bg
from bayesgmm.data.points import as_points
from bayesgmm.data.standards import Standard
from bayesgmm.errors import ComponentError
from bayesgmm.families.structures import COVARIANCES
from bayesgmm.inference import em, em_steps
from bayesgmm.inference.engine import Silent
from bayesgmm.inference.faults import is_suspect
from bayesgmm.inference.laplace import whiten_at_modes
from bayesgmm.inference.mixtures import Mixture
from bayesgmm.posterior.info import info
from bayesgmm.posterior.log_posterior import LogPosterior
from benchmarks import problems as registry

TITLE = "## How often a search reaches the best maximum known"
SEEDS, QUICK_SEEDS, QUICK_PROBLEMS = 20, 3, 10
NEAR = 0.1  # a run reaches the best if it is lower by less than this, in nats
LONG = 20  # times the default budget, for the best value known
ENGINES = ("em", "mle", "map", "vb")
SIDES = (*ENGINES, "starts", "scikit-learn", "mclust")
LIKELIHOOD = ("em", "mle", "scikit-learn", "mclust")  # engines and packages with the same objective
MCLUST = {"full": "VVV", "tied": "EEE", "diag": "VVI", "spherical": "VII"}


@dataclass(frozen=True)
class Run:
    """Objective that a run reached, in nats, and its processor time; seed -1 is the run with a large budget."""

    problem: str
    side: str
    seed: int
    value: float
    seconds: float

    @property
    def objective(self):
        return "likelihood" if self.side in LIKELIHOOD else self.side


@dataclass
class Results:
    """Runs, which are stored in a file if one is given."""

    path: Path | None
    runs: list[Run]

    @classmethod
    def read(cls, path):
        lines = csv.reader(path.open()) if path and path.exists() else []
        return cls(path, [Run(a, b, int(c), float(d), float(e)) for a, b, c, d, e in lines])

    def add(self, problem, side, seed, measure):
        """Measure a run unless it is stored; None for a package that is not installed."""
        known = [run for run in self.runs if (run.problem, run.side, run.seed) == (problem.key, side, seed)]
        measured = None if known else measure()
        if measured is not None:
            run = Run(problem.key, side, seed, *measured)
            self.runs.append(run)
            if self.path:
                with self.path.open("a", newline="") as file:
                    csv.writer(file).writerow(astuple(run))
        return known[0] if known else measured


def ours(problem, method, seed, **settings):
    """Return objective and processor time of a fit; minus infinity if it raises an error."""
    began = time.process_time()
    model = bg.MixtureModel(problem.n_components, covariance=problem.covariance)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", bg.FitWarning)
            value = (
                starts(model, problem, seed, **settings)
                if method == "starts"
                else fitted(model, problem, method, seed, **settings)
            )
    except ComponentError:
        value = -np.inf
    return value, time.process_time() - began


def fitted(model, problem, method, seed, **settings):
    fit = bg.fit(model, problem.x, method, seed=seed, progress=False, cores=1, **settings)
    if method == "vb":
        return info(fit).notes.elbo
    return fit["sample_stats"]["loglik" if method in ("em", "mle") else "lp"].max().item()


def starts(model, problem, seed, **settings):
    """Return the log mass of the heaviest mode, by Laplace's approximation, from which NUTS and ADVI start."""
    density = LogPosterior.of(model, as_points(problem.x))
    with threadpool_limits(limits=1, user_api="blas"):
        return whiten_at_modes(density, seed, 1, Silent(), **settings)[0].log_mass


def scikit_learn(problem, seed, seconds):
    """Return the best of the starts for which there is time; degenerate and suspect maxima do not count."""
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
    return best, time.process_time() - began


def _polished(problem, peer):
    """Return the log likelihood at the maximum near a fit of scikit-learn; minus infinity if it does not count."""
    family = COVARIANCES[problem.covariance]
    points = as_points(problem.x)
    standard = Standard.of(points, family.needs_common_scale)
    sweep = em_steps.Sweep(standard.blocks(points.values), family)
    k, d = peer.means_.shape
    covariance = family.as_matrices(family.unsqueezed(peer.covariances_), k, d)
    covariance = covariance / np.outer(standard.scale, standard.scale)
    roots = family.roots(family.cores(covariance))
    mixture = Mixture(peer.weights_, (peer.means_ - standard.shift) / standard.scale, roots)
    try:
        found = em_steps.run(sweep, mixture)
    except ComponentError:
        return -np.inf
    suspect = is_suspect(found.mixture, family, len(problem.x))
    return -np.inf if suspect else found.loglik - len(problem.x) * standard.log_scale


def mclust(problem):
    """Return the log likelihood of R's Mclust, which has no seed and is not timed; None if it is not installed."""
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
        except subprocess.CalledProcessError as error:
            return None if error.returncode == 9 else (-np.inf, 0.0)
        except subprocess.TimeoutExpired:
            return -np.inf, 0.0
    return float(done.stdout or "-inf"), 0.0


def measure(results, problem, seeds, sides):
    """Measure all runs of a problem that are not stored."""
    for side in (side for side in sides if side in (*ENGINES, "starts")):
        budget = {"draws": 20} if side == "vb" else {}
        for seed in range(seeds):
            results.add(problem, side, seed, lambda s=side, i=seed, b=budget: ours(problem, s, i, **b))
        if side != "mle":
            long = budget | {"sweeps": LONG * em.SWEEPS}
            results.add(problem, side, -1, lambda s=side, b=long: ours(problem, s, 10_000, **b))
    if "scikit-learn" in sides:
        for seed in range(seeds):
            budget = seconds_of(results, problem)
            results.add(problem, "scikit-learn", seed, lambda i=seed, b=budget: scikit_learn(problem, i, b))
    if "mclust" in sides:
        results.add(problem, "mclust", 0, lambda: mclust(problem))


def seconds_of(results, problem):
    """Return the median processor time of EM; infinity if it was not measured."""
    own = [r.seconds for r in results.runs if (r.problem, r.side) == (problem.key, "em") and r.seed >= 0]
    return float(np.median(own)) if own else math.nan


def hits(results, problem):
    """Return, for each engine and package, which of its runs reached the best value known."""
    own = [run for run in results.runs if run.problem == problem.key]
    best = defaultdict(lambda: -np.inf)
    for run in own:
        best[run.objective] = max(best[run.objective], run.value)
    reached = defaultdict(list)
    for run in own:
        if run.seed >= 0:
            reached[run.side].append(run.value > best[run.objective] - NEAR)
    return reached


def main(quick=False, seeds=None, engines=None, problems=None, results=None):
    """Measure all runs that are asked for, and print the table."""
    sides = tuple(engines or SIDES)
    chosen = registry.problems()[: QUICK_PROBLEMS if quick else None]
    chosen = [problem for problem in chosen if not problems or any(name in problem.key for name in problems)]
    known, seeds = Results.read(results), seeds or (QUICK_SEEDS if quick else SEEDS)
    print(f"Runs of {seeds} that reach the best known (mclust: one run), and the processor time of a fit by EM.\n")
    print(f"| problem | N, D, K | covariance | {' | '.join(sides)} | seconds |")
    print(f"|{'---|' * (len(sides) + 4)}")
    reached = {side: [] for side in sides}
    for problem in chosen:
        measure(known, problem, seeds, sides)
        own = hits(known, problem)
        cells = [f"{sum(own[side])}" if own[side] else "" for side in sides]
        for side in sides:
            reached[side] += own[side]
        size = f"{problem.x.shape[0]:,}, {problem.x.shape[1]}, {problem.n_components}"
        row = [problem.name, size, problem.covariance, *cells, f"{seconds_of(known, problem):.2f}"]
        print(f"| {' | '.join(row)} |", flush=True)
    shares = [f"{np.mean(hits):.1%}" if hits else "not installed" for hits in reached.values()]
    print(f"| all | | | {' | '.join(shares)} | |", flush=True)
