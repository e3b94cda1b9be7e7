"""How often the intervals of each engine contain the true values."""

import warnings
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

import bayesgmm as bg
from evidence.errors import mean

Array = NDArray[np.float64]
ENGINES = ("nuts", "gibbs", "vb", "advi", "fullrank_advi")
DESIGNS = ((200, 2, 3.0), (100, 4, 3.0))  # points, columns, distance of the centres
PROBABILITY = 0.9
FEW = 3  # with fewer tables, one design and the quick engines only
QUICK = ("gibbs", "vb")
SHARE = 0.4  # weight of the first cluster


def table_of(n_points: int, n_features: int, distance: float, rng: np.random.Generator) -> Array:
    """Draw points (N, D) of two unit Gaussians, apart in the first column."""
    x = rng.normal(size=(n_points, n_features))
    x[:, 0] += distance * (rng.random(n_points) >= SHARE)
    return x


def covered(fit: xr.DataTree, distance: float) -> Array:
    """Return True (M,) for parameters whose interval contains the true value; components in order of the column."""
    posterior = fit["posterior"].to_dataset().stack(sample=("chain", "draw"))
    weight, mean, covariance = (
        posterior[name].transpose("sample", "component", ...).values for name in ("weight", "mean", "covariance")
    )
    order = np.argsort(mean[..., 0], axis=1)
    variance = np.diagonal(covariance, axis1=-2, axis2=-1)
    mean, variance = (np.take_along_axis(values, order[..., None], axis=1) for values in (mean, variance))
    first = np.take_along_axis(weight, order, axis=1)[:, :1]
    drawn = np.concatenate([first, mean.reshape(len(mean), -1), variance.reshape(len(mean), -1)], axis=1)
    centres = np.zeros(mean.shape[1:])
    centres[1, 0] = distance
    truth = np.concatenate([[SHARE], centres.ravel(), np.ones(centres.size)])
    low, high = np.quantile(drawn, [(1 - PROBABILITY) / 2, (1 + PROBABILITY) / 2], axis=0)
    return (low <= truth) & (truth <= high)


@dataclass
class Coverage:
    """Share of the intervals of each table that contain the truth, of fits without and with a warning."""

    silent: list[float] = field(default_factory=list)
    warned: list[float] = field(default_factory=list)


def of_engines(replicates: int, seed: int) -> tuple[str, pd.DataFrame]:
    """Measure the coverage of every engine; a replicate is a table of each design."""
    rows = []
    for number, design in enumerate(DESIGNS[: 1 if replicates < FEW else None]):
        found = {name: Coverage() for name in (ENGINES if replicates >= FEW else QUICK)}
        rng = np.random.default_rng((seed, number))
        for replicate in range(replicates):
            x = table_of(*design, rng)
            for name in found:
                _add(found[name], x, name, design[2], replicate)
        rows += [_row(design, name, coverage) for name, coverage in found.items()]
    text = f"""Two Gaussians with weights {SHARE} and {1 - SHARE}, fitted with two components at the defaults: how many
        of the central {PROBABILITY:.0%} intervals of the weights, means and variances contain the true values. Fits
        with a warning say not to use their intervals, and are counted apart. The coverage of NUTS and of Gibbs sampling
        is the ceiling: that of the posterior, whose prior shifts intervals where the points are few."""
    return text, pd.DataFrame(rows)


def _add(coverage: Coverage, x: Array, method: str, distance: float, seed: int) -> None:
    """Fit a table and add its share of intervals that contain the truth."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bg.FitWarning)
        fit = bg.fit(bg.MixtureModel(2), x, method, seed=seed, cores=1, progress=False)
    share = float(covered(fit, distance).mean())
    (coverage.warned if bg.info(fit).warnings else coverage.silent).append(share)


def _row(design: tuple[int, int, float], name: str, found: Coverage) -> dict[str, object]:
    points, columns, distance = design
    return {
        "points": points,
        "columns": columns,
        "distance": distance,
        "engine": name,
        "without a warning": len(found.silent),
        "coverage": mean(found.silent),
        "with a warning": len(found.warned),
        "coverage of these": mean(found.warned),
    }
