"""Calibration with missing values and with errors of measurement."""

import sys

import numpy as np
import pandas as pd

import bayesgmm as bg
from bayesgmm.data.points import as_points
from evidence.calibration import FEW, METHOD, SETTINGS, Array, Measurement, Simulation, summarised, verdict
from evidence.declared import CLOUD, FAMILIES

MISSING = 0.2  # share of the cells
ERRORS = 1.5  # largest standard error; columns have a standard deviation of about 3
ENGINES = ("gibbs", "nuts")
NUTS = {"draws": 250, "tune": 250, "chains": 2}


def with_gaps(x: Array, rng: np.random.Generator) -> tuple[Array, Array | None]:
    """Delete cells at random."""
    return np.where(rng.random(x.shape) < MISSING, np.nan, x), None


def with_errors(x: Array, rng: np.random.Generator) -> tuple[Array, Array | None]:
    """Add errors with standard errors of their own, a third of which are zero."""
    sd = rng.uniform(0, ERRORS, size=x.shape) * (rng.random(x.shape) > 1 / 3)
    return x + sd * rng.normal(size=x.shape), sd


def with_both(x: Array, rng: np.random.Generator) -> tuple[Array, Array | None]:
    """Add errors, and delete cells."""
    measured, sd = with_errors(x, rng)
    return with_gaps(measured, rng)[0], sd


KINDS: dict[str, Measurement] = {
    "20 % missing": with_gaps,
    "errors of measurement": with_errors,
    "both": with_both,
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
        to {ERRORS} are added, and the log likelihood is that of what is observed. The two engines have nothing in
        common: NUTS follows the gradient of the marginal likelihood, Gibbs sampling draws the true values."""
    return f"{METHOD} {own} {verdict(table)}", table
