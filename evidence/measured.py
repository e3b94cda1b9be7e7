"""Calibration with missing values, with errors of measurement, and with labels."""

import sys
from dataclasses import replace

import numpy as np
import pandas as pd
from scipy.stats import multivariate_normal

import bayesgmm as bg
from bayesgmm.data.points import as_points
from bayesgmm.posterior.parameters import Parameters
from evidence.calibration import FEW, METHOD, SETTINGS, Array, Measurement, Observed, Simulation, summarised, verdict
from evidence.declared import CLOUD, FAMILIES

MISSING = 0.2  # share of the cells
ERRORS = 1.5  # largest standard error; columns have a standard deviation of about 3
WRONG = 0.2  # share of the labels that a source gets wrong
ENGINES = ("gibbs", "nuts")
NUTS = {"draws": 250, "tune": 250, "chains": 2}


def with_gaps(x: Array, mixture: Parameters, rng: np.random.Generator) -> Observed:
    """Delete cells at random."""
    return Observed(np.where(rng.random(x.shape) < MISSING, np.nan, x))


def with_errors(x: Array, mixture: Parameters, rng: np.random.Generator) -> Observed:
    """Add errors with standard errors of their own, a third of which are zero."""
    sd = rng.uniform(0, ERRORS, size=x.shape) * (rng.random(x.shape) > 1 / 3)
    return Observed(x + sd * rng.normal(size=x.shape), sd)


def with_both(x: Array, mixture: Parameters, rng: np.random.Generator) -> Observed:
    """Add errors, and delete cells."""
    measured = with_errors(x, mixture, rng)
    return replace(measured, x=with_gaps(measured.x, mixture, rng).x)


def with_labels(x: Array, mixture: Parameters, rng: np.random.Generator) -> Observed:
    """Give rows labels: of a third the component, of a third what a source says that is wrong once in five times."""
    score = [
        np.log(w) + multivariate_normal(m, c).logpdf(x)
        for w, m, c in zip(mixture.weight[0], mixture.mean[0], mixture.covariance[0], strict=True)
    ]
    component = (np.transpose(score) + rng.gumbel(size=(len(x), len(score)))).argmax(axis=1)
    k, kind = len(score), np.arange(len(x)) % 3
    said = np.where((kind == 1) & (rng.random(len(x)) < WRONG), (component + rng.integers(1, k, len(x))) % k, component)
    is_said = said[:, None] == np.arange(k)
    uncertain = np.where(is_said, 1 - WRONG, WRONG / (k - 1))
    return Observed(x, labels=np.select([kind[:, None] == 0, kind[:, None] == 1], [is_said, uncertain], 1.0))


KINDS: dict[str, Measurement] = {
    "20 % missing": with_gaps,
    "errors of measurement": with_errors,
    "both": with_both,
    "labels": with_labels,
}


def of_measured(replicates: int, seed: int) -> tuple[str, pd.DataFrame]:
    """Calibrate Gibbs sampling and NUTS on points that are not fully observed."""
    enough, tables, points = replicates >= FEW, [], as_points(CLOUD)
    for method in ENGINES[: None if enough else 1]:
        settings = SETTINGS.get(method, NUTS)
        simulations = [
            Simulation(method, (f"{family}, {kind}", 2, model.resolve(points)), seed, settings, observe)
            for family in FAMILIES
            for kind, observe in KINDS.items()
            for model in [bg.MixtureModel(2, family)]
        ]
        simulations = simulations[: None if enough else 1]
        for number in range(replicates):
            for simulation in simulations:
                simulation.step()
            print(f"{method}: {number + 1} of {replicates} data sets of each kind", file=sys.stderr, flush=True)
        tables.append(summarised(method, [simulation.found for simulation in simulations]))
    table = pd.concat(tables, ignore_index=True)
    own = f"""Here, {MISSING:.0%} of the cells of the 30 points are deleted, or errors with known standard errors of up
        to {ERRORS} are added, or the component of a third of the points is known, and for another third what a source
        says that is wrong for one point in {1 / WRONG:.0f}. The log likelihood is that of what is observed. With labels
        the weight and mean of the first component are quantities, too: it has a number then. The engines have nothing
        in common: NUTS follows the gradient of the marginal likelihood, Gibbs sampling draws the true values."""
    return f"{METHOD} {own} {verdict(table)}", table
