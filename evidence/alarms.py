"""Warnings of right and of wrong fits: how many right fits warn, and how many wrong ones do not."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from arviz_stats.base.array import array_stats
from numpy.typing import NDArray
from scipy.stats import norm

import bayesgmm as bg
from bayesgmm.diagnosis.mixing import monitored
from bayesgmm.errors import ComponentError
from bayesgmm.posterior.info import declaration
from bayesgmm.priors.weights import WeightsPrior
from benchmarks.problems import Problem, problems
from evidence.errors import share

Array = NDArray[np.float64]
ENGINES = ("nuts", "gibbs", "vb", "advi", "em")
NAMES = (
    ("iris", 3, "full"),
    ("galaxies", 3, "full"),
    ("sizes", 3, "full"),
    ("skewed groups", 2, "diag"),
    ("iris", 4, "diag"),
    ("overlap 0.3", 3, "full"),
    ("crossing", 2, "full"),
    ("narrow in wide", 3, "full"),
    ("stripes", 4, "full"),
    ("iris", 3, "tied"),
    ("galaxies", 4, "tied"),
    ("wine, six columns", 3, "full"),
)
BOUND = 12  # components of the declarations that empty what is not needed
PROCESSES: tuple[tuple[str, WeightsPrior], ...] = (
    ("SparseDirichlet", bg.SparseDirichlet()),
    ("DirichletProcess", bg.DirichletProcess()),
    ("PitmanYor", bg.PitmanYor()),
)
PROCESS_PROBLEMS = 3  # the first of the problems are also fitted with these declarations, with a quarter of the seeds
SMALLEST = 5  # points of a cluster that is counted
LONG = {"draws": 4000, "chains": 8, "tune": 2000, "max_draws": 16_000}  # the reference run
ERRORS = 3.0  # a mean of a sampler is wrong if its error exceeds this many Monte Carlo errors, if it is the only one
NOTICEABLE = 0.1  # tolerated error of a mean, in posterior standard deviations
FAR, FACTOR = 0.15, 1.4  # tolerated shift of an approximation's median, in widths of a 90 % interval; factor of widths
MOVED = 0.15  # tolerated error of an approximation's probability of a number of clusters
INTERVAL = (0.05, 0.5, 0.95)
NEAR = 0.1  # nats below the best maximum known at which a point estimate is wrong
FEW = 2  # with fewer seeds, one small problem and the quick engines only
QUICK = ("vb", "em")


@dataclass(frozen=True)
class Case:
    """A problem and a declaration."""

    problem: Problem
    prior: str
    model: bg.MixtureModel


@dataclass(frozen=True)
class Answer:
    """Means, standard deviations, Monte Carlo errors (M,) and quantiles (3, M) of label-free quantities.

    ``probability`` (K + 1,) is that of each number of clusters, where K is an upper bound.
    """

    mean: Array
    sd: Array
    error: Array
    quantiles: Array
    probability: Array | None = None


def cases(few: bool) -> list[Case]:
    """Return the problems with their declarations."""
    known = {(p.name, p.n_components, p.covariance): p for p in problems()}
    chosen = [known[name] for name in NAMES]
    found = [Case(p, "Dirichlet", bg.MixtureModel(p.n_components, p.covariance)) for p in chosen]
    for name, weights in PROCESSES:
        models = [bg.MixtureModel(BOUND, p.covariance, weights=weights) for p in chosen[:PROCESS_PROBLEMS]]
        found += [Case(p, name, model) for p, model in zip(chosen, models, strict=False)]
    return found[1:2] if few else found


def fitted(case: Case, method: str, seed: int, **settings: Any) -> xr.DataTree | None:
    """Fit a case; None if the engine raises an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bg.FitWarning)
        try:
            return bg.fit(case.model, case.problem.x, method, seed=seed, cores=1, progress=False, **settings)
        except ComponentError:
            return None


def answer(fit: xr.DataTree) -> Answer:
    """Compute the log likelihood, log densities at eight points and sorted weights of a fit.

    Where the number of components is a bound, there is the number of clusters in place of weights: those of empty
    components tell nothing about the data.
    """
    free, weight = monitored(fit), fit["posterior"]["weight"].transpose("chain", "draw", "component").values
    counts = (weight * fit["observed_data"].sizes["point"] >= SMALLEST).sum(axis=-1)
    is_bound = declaration(fit).weights.is_overfitted
    sizes = counts[..., None] if is_bound else np.sort(weight, axis=-1)
    parts = [free["loglik"].values[..., None], free["log_density"].values, sizes]
    values = np.moveaxis(np.concatenate(parts, axis=-1), 2, 0)
    mean, sd = values.mean(axis=(1, 2)), values.std(axis=(1, 2))
    with np.errstate(invalid="ignore", divide="ignore"):
        ess = array_stats.ess(values, chain_axis=1, draw_axis=2, method="mean")
    error = sd / np.sqrt(np.where(np.isfinite(ess), ess, np.inf))
    probability = np.bincount(counts.ravel(), minlength=weight.shape[-1] + 1) / counts.size if is_bound else None
    return Answer(mean, sd, error, np.quantile(values, INTERVAL, axis=(1, 2)), probability)


def reference(case: Case, seed: int) -> Answer | None:
    """Return the answer of a long run; None if even its chains have not mixed."""
    fit = fitted(case, "gibbs", 1000 + seed, **LONG)
    assert fit is not None
    return None if bg.diagnose(fit, ["mixing"], progress=False).of("problem") else answer(fit)


def worst(found: Answer, right: Answer, is_sampler: bool) -> float:
    """Return the largest error of a quantity, as a multiple of the tolerated error."""
    if not is_sampler:
        return _worst_interval(found, right)
    varies = right.sd > 0
    off = np.abs(found.mean - right.mean)[varies]
    errors = norm.isf(norm.sf(ERRORS) / varies.sum())  # Bonferroni
    error = errors * np.hypot(found.error, right.error)[varies]
    return float((off / np.maximum(error, NOTICEABLE * right.sd[varies])).max())


def _worst_interval(found: Answer, right: Answer) -> float:
    """Return the largest error of a median, of a 90 % interval, or of the probability of a number of clusters."""
    varies = np.ptp(right.quantiles, axis=0) > 0
    moved = 0.0
    if found.probability is not None and right.probability is not None:
        varies[-1] = False  # the number of clusters
        moved = float(np.abs(found.probability - right.probability).max()) / MOVED
    (low, middle, high), width = found.quantiles[:, varies], np.ptp(right.quantiles[:, varies], axis=0)
    shift = np.abs(middle - right.quantiles[1, varies]) / width
    ratio = np.abs(np.log(np.maximum(high - low, 1e-300) / width)) / np.log(FACTOR)
    return float(np.maximum(shift / FAR, ratio).max(initial=moved))


def of_fits(replicates: int, seed: int) -> tuple[str, pd.DataFrame]:
    """Count warnings of right and wrong fits; a replicate is a seed of every engine on every case."""
    counted = pd.DataFrame(each_fit(replicates, seed))
    rows = []
    for (method, prior), part in counted.groupby(["engine", "prior"], sort=False):
        right, wrong = part[~part["wrong"]], part[part["wrong"]]
        rows.append(
            {
                "engine": method,
                "weights": prior,
                "fits": len(part),
                "right": len(right),
                "of these with a warning": share(int(right["warned"].sum()), len(right)) if len(right) else None,
                "wrong": len(wrong),
                "of these without a warning": int((~wrong["warned"]).sum()),
            }
        )
    text = f"""Small problems of the search benchmark at the defaults, {replicates} seeds each; three of them also with
        {BOUND} components and priors that empty what is not needed, with a quarter of the seeds. A fit by a sampler is
        wrong if the mean of a quantity that does not depend on labels (log likelihood, log densities at eight points,
        sorted weights, or the number of clusters where the number of components is a bound) differs from that of a
        long Gibbs run by more than {ERRORS:g} Monte Carlo errors (corrected for the number of quantities) and
        {NOTICEABLE} posterior standard deviations; an approximation, if the median of a quantity is off by {FAR:.0%}
        of the width of its 90 % interval, or that width by a factor of {FACTOR}, or the probability of a number of
        clusters by {MOVED}; a point estimate, if its log likelihood is {NEAR} nats below the best that is known. Cases
        for which even the long run has not mixed are left out. {_silent(counted)}"""
    return text, pd.DataFrame(rows)


def _silent(counted: pd.DataFrame) -> str:
    """Return a sentence about the wrong fits that do not warn."""
    silent = counted[counted["wrong"] & ~counted["warned"]]
    parts = [
        f"{method} on {problem} ({prior}), {len(part)} fits, at most {part['off'].max():.2f} times the tolerated error"
        for (method, problem, prior), part in silent.groupby(["engine", "problem", "prior"], sort=False)
    ]
    return f"Wrong without a warning: {'; '.join(parts) or 'none'}."


def each_fit(replicates: int, seed: int) -> list[dict[str, object]]:
    """Fit every case by every engine; return whether each fit is wrong, by how much, and whether it warned."""
    rows: list[dict[str, object]] = []
    for case in cases(replicates < FEW):
        right = reference(case, seed)
        engines = ENGINES if replicates >= FEW else QUICK
        methods = [name for name in engines if name != "em" or case.prior == "Dirichlet"]
        for method in methods:
            count = replicates if case.prior == "Dirichlet" else -(-replicates // 4)
            fits = {number: fitted(case, method, seed + number) for number in range(count)}
            kept = {number: fit for number, fit in fits.items() if fit is not None}
            if method == "em":
                off = _below_best(case, kept)
            elif right is None:
                continue
            else:
                is_sampler = method in ("nuts", "gibbs")
                off = {number: worst(answer(fit), right, is_sampler) for number, fit in kept.items()}
            rows += [_row(case, method, number, fit, off[number]) for number, fit in kept.items()]
    return rows


def _below_best(case: Case, fits: dict[int, xr.DataTree]) -> dict[int, float]:
    """Return the distance of each point estimate from the best known, as a multiple of the tolerated distance."""
    long = fitted(case, "em", 10_000, sweeps=20_000)
    level = {number: fit["sample_stats"]["loglik"].item() for number, fit in fits.items()}
    best = max([*level.values(), *([] if long is None else [long["sample_stats"]["loglik"].item()])])
    return {number: (best - value) / NEAR for number, value in level.items()}


def _row(case: Case, method: str, number: int, fit: xr.DataTree, off: float) -> dict[str, object]:
    return {
        "problem": f"{case.problem.name}, K = {case.model.n_components}, {case.problem.covariance}",
        "prior": case.prior,
        "engine": method,
        "seed": number,
        "off": off,
        "wrong": off > 1,
        "warned": bool(bg.info(fit).warnings),
        "warnings": list(bg.info(fit).warnings),
    }
