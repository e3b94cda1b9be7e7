"""P-values of new points and false discovery rates, where the fitted points are few."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

import bayesgmm as bg
from bayesgmm.apps import judge
from evidence.errors import mean

Array = NDArray[np.float64]
SIZES = (50, 200)
FEATURES, COMPONENTS = 5, 2
NEW, STRANGE = 90, 10  # regular points and anomalies among the new points
FAR = 5.0  # distance of the anomalies from the centres of the clusters, in standard deviations
ALPHA, RATE = 0.05, 0.1
FEW = 5  # with fewer data sets, the smallest size and one engine only


def scored(fit: xr.DataTree, new: Array) -> tuple[Array, Array]:
    """Return p-values and flags by ``bg.anomaly_scores``."""
    found = bg.anomaly_scores(fit, new, fdr=RATE, progress=False)
    return found["p_value"].values, found["anomaly"].values


def judged(fit: xr.DataTree, new: Array) -> tuple[Array, Array]:
    """Return p-values and flags by ``judge``, for a fit without held-out rows."""
    rows = judge(fit, new, fdr=RATE).rows
    return rows["p_value"].to_numpy(), rows["anomaly"].to_numpy(bool)


type Route = tuple[str, str, Callable[[xr.DataTree, Array], tuple[Array, Array]]]
ROUTES: tuple[Route, ...] = (
    ("em", "anomaly_scores", scored),
    ("vb", "anomaly_scores", scored),
    ("vb", "judge", judged),
    ("nuts", "anomaly_scores", scored),
)


@dataclass
class Shares:
    """Shares in each data set: of regular points below alpha, of false discoveries, and of detected anomalies."""

    below: list[float] = field(default_factory=list)
    false: list[float] = field(default_factory=list)
    power: list[float] = field(default_factory=list)

    def add(self, p_value: Array, flagged: Array) -> None:
        """Add the new points of a data set: first the regular ones, then the anomalies."""
        self.below.append(float((p_value[:NEW] < ALPHA).mean()))
        self.false.append(flagged[:NEW].sum() / max(1, flagged.sum()))
        self.power.append(float(flagged[NEW:].mean()))


def points(n_points: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Return points (N, D) of two unit Gaussians three apart, and new points: regular ones, then anomalies."""
    label = rng.integers(COMPONENTS, size=n_points + NEW + STRANGE)
    away = rng.normal(size=(len(label), FEATURES))
    x = rng.normal(size=away.shape)
    x[-STRANGE:] = FAR * away[-STRANGE:] / np.linalg.norm(away[-STRANGE:], axis=1, keepdims=True)
    x[:, 0] += 3 * label
    return x[:n_points], x[n_points:]


def of_new_points(replicates: int, seed: int) -> tuple[str, pd.DataFrame]:
    """Measure p-values and false discovery rates; a replicate is a data set of each size."""
    rows = []
    routes = [route for route in ROUTES if route[0] == "vb" or replicates >= FEW]
    for n_points in SIZES[: 1 if replicates < FEW else None]:
        found = {route[:2]: Shares() for route in routes}
        rng = np.random.default_rng((seed, n_points))
        for number in range(replicates):
            old, new = points(n_points, rng)
            for method, result in _of_data_set(old, new, number, routes).items():
                found[method].add(*result)
        rows += [_row(n_points, *route, measured) for route, measured in found.items()]
    table = pd.DataFrame(rows)
    text = f"""Two Gaussians three standard deviations apart in {FEATURES} columns, fitted with {COMPONENTS} components
        (41 free numbers) at the defaults; {NEW} new points of the same distribution, and {STRANGE} anomalies, {FAR:g}
        standard deviations from a centre. Of the regular points {ALPHA:.0%} should have a p-value below {ALPHA}, and
        of the points that are flagged with `fdr={RATE}` at most {RATE:.0%} should be regular. The last column is the
        share of the anomalies that are flagged."""
    return text, table


def _of_data_set(
    old: Array, new: Array, seed: int, routes: Sequence[Route]
) -> dict[tuple[str, str], tuple[Array, Array]]:
    """Return p-values and flags of new points by every route."""
    found, fits = {}, {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bg.FitWarning)
        for method, by, of in routes:
            if method not in fits:
                fits[method] = bg.fit(bg.MixtureModel(COMPONENTS), old, method, seed=seed, cores=1, progress=False)
            found[method, by] = of(fits[method], new)
    return found


def _row(n_points: int, method: str, by: str, found: Shares) -> dict[str, object]:
    return {
        "points": n_points,
        "engine": method,
        "p-values by": by,
        "data sets": len(found.below),
        f"regular points below {ALPHA}": mean(found.below),
        f"false discoveries for {RATE}": mean(found.false),
        "anomalies found": mean(found.power),
    }
