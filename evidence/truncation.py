"""Truncation of processes: how far results move with more sticks, and what the check of the last stick reports."""

import warnings
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

import bayesgmm as bg
from bayesgmm.diagnosis.components import SEVERAL
from bayesgmm.diagnosis.mixing import monitored
from bayesgmm.priors.weights import WeightsPrior

Array = NDArray[np.float64]
STICKS = (4, 6, 8, 12)
REFERENCE = 24  # sticks with which the others are compared
DRAWS: dict[str, Any] = {"draws": 1000, "max_draws": 1000, "chains": 4}
CORNERS = np.array([[0.0, 0], [9, 0], [0, 9], [9, 9], [18, 0], [18, 9]])
EACH = 10  # points of a cluster
FEW = 2  # with fewer replicates, one short pair of fits


@dataclass(frozen=True)
class Answer:
    """Probabilities of numbers of clusters (from 0 up to the reference), and log densities at points."""

    probability: Array
    mean: Array
    sd: Array
    weight: float
    several_points: float
    severity: str


def data_sets() -> dict[str, Array]:
    """Return the data: velocities of galaxies, and six groups of points in the plane."""
    rng = np.random.default_rng(5)
    six = (CORNERS[:, None] + rng.normal(size=(len(CORNERS), EACH, 2))).reshape(-1, 2)
    return {"galaxies": bg.datasets.galaxies().to_numpy(float), "six clusters": six}


PROCESSES: dict[str, WeightsPrior] = {"DirichletProcess": bg.DirichletProcess(), "PitmanYor": bg.PitmanYor()}


def fitted(x: Array, weights: WeightsPrior, sticks: int, seed: int, **settings: Any) -> xr.DataTree:
    """Fit a process by Gibbs sampling."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bg.FitWarning)
        model = bg.MixtureModel(sticks, weights=weights)
        return bg.fit(model, x, "gibbs", seed=seed, cores=1, progress=False, **(DRAWS | settings))


def answer(fit: xr.DataTree) -> Answer:
    """Compute the results that are compared."""
    number = bg.n_clusters(fit)
    density = monitored(fit)["log_density"]
    effect = bg.info(fit).truncation
    assert effect is not None
    assert effect.several_points is not None
    found = bg.diagnose(fit, ["last stick"], progress=False)
    mean, sd = density.mean(["chain", "draw"]).values, density.std(["chain", "draw"]).values
    probability = np.zeros(REFERENCE + 1)
    probability[number["n_clusters"].values] = number.values
    return Answer(probability, mean, sd, effect.last_weight, effect.several_points, found.worst or "")


def row(name: str, prior: str, sticks: int, found: list[Answer], long: list[Answer]) -> dict[str, object]:
    """Compare the means over the replicates with those of the long process."""
    probability, expected = (np.mean([one.probability for one in part], axis=0) for part in (found, long))
    mean, wanted = (np.mean([one.mean for one in part], axis=0) for part in (found, long))
    sd = np.mean([one.sd for one in long], axis=0)
    return {
        "data": name,
        "weights": prior,
        "sticks": sticks,
        "weight of the last": float(np.mean([one.weight for one in found])),
        "several points": float(np.mean([one.several_points for one in found])),
        "move of a probability": float(np.abs(probability - expected).max()),
        "move of a log density": float((np.abs(mean - wanted) / sd).max()),
        "reported": ", ".join(sorted({one.severity for one in found} - {""})),
    }


def of_sticks(replicates: int, seed: int) -> tuple[str, pd.DataFrame]:
    """Compare short processes with a long one; a replicate is a seed of every fit."""
    few = replicates < FEW
    settings = {"draws": 100, "max_draws": 100, "chains": 2} if few else {}
    rows = []
    for (name, x), (prior, weights) in list(product(data_sets().items(), PROCESSES.items()))[: 1 if few else None]:

        def answers(sticks: int, x: Array = x, weights: WeightsPrior = weights) -> list[Answer]:
            return [answer(fitted(x, weights, sticks, seed + number, **settings)) for number in range(replicates)]

        long = answers(REFERENCE)
        rows += [row(name, prior, sticks, answers(sticks), long) for sticks in STICKS[: 1 if few else None]]
    text = f"""
        Processes with few sticks, compared with {REFERENCE} sticks, by Gibbs sampling with {DRAWS["draws"]:,} draws of
        {DRAWS["chains"]} chains: velocities of 82 galaxies, and six clusters of {EACH} points in the plane. The last
        stick represents all further components, and approximates nothing where it holds one point or none. "Several
        points" is the posterior probability that it holds more. The moves are the largest change of a probability of a
        number of clusters, and of a mean log density at eight points, in posterior standard deviations, with
        the Monte Carlo error of both runs. A last stick with 1 % of the weight or more is reported: as a warning if
        that probability is {SEVERAL} or more, otherwise as a note.
    """
    return text, pd.DataFrame(rows)
