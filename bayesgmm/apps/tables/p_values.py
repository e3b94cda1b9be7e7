"""Scores of rows, of points simulated from a fit, and what a fit stores for the calibration of p-values."""

from collections.abc import Callable, Hashable
from dataclasses import asdict, fields, replace
from typing import TYPE_CHECKING

import numpy as np

from bayesgmm.apps.tables.empirical_nulls import EmpiricalNull
from bayesgmm.data.points import DataLike
from bayesgmm.labels.relabelling import aligned
from bayesgmm.posterior.schema import holds_points, in_fit_columns, observed, points_for
from bayesgmm.predictions.anomalies import rows_among
from bayesgmm.predictions.densities import DRAWS as DENSITY_DRAWS
from bayesgmm.predictions.predictive import assignments, mean_log_density
from bayesgmm.predictions.ranks import comparable_scores
from bayesgmm.predictions.replication import simulate
from bayesgmm.predictions.tied_mixtures import TiedMixtures
from bayesgmm.sweep.stats import Array

if TYPE_CHECKING:
    import xarray as xr

N_SIMULATED = 100_000  # points behind the p-values of a fit without held-out rows
GAP_DRAWS = 20  # posterior draws that score rows with missing values, and the points they are compared with
N_COMPARED = 20_000  # points with which rows with missing values are compared, for each pattern of these
MAX_COUNTED_ROWS = 20_000  # rows used to estimate each component's share
DRAWS = 200  # posterior draws of the chosen model
FEW_ROWS = 5  # rows of a component that may be anomalies; or one more than columns


def scores(tree: "xr.DataTree", data: DataLike) -> Array:
    """Anomaly scores (N,) of rows: the lowest log density under the fit and the tied mixtures that it stores, if any.

    With many components an anomaly can have one of its own; with few, points between groups are dense. An anomaly of
    either kind has a low density under some of the mixtures. A row with missing values has the score of a complete row
    that is as improbable.
    """
    points = points_for(tree, data)

    def lowest(values: Array) -> Array:
        draws = GAP_DRAWS if np.isnan(values).any() else DENSITY_DRAWS
        score, mixtures = mean_log_density(tree, in_fit_columns(tree, values), draws=draws), mixtures_of(tree)
        return score if mixtures is None else np.minimum(score, mixtures.lowest_log_density(values))

    return comparable_scores(lowest, points.values, lambda: simulated_values(tree, N_COMPARED))


def scores_without_own(tree: "xr.DataTree", data: DataLike) -> Array:
    """Anomaly scores (N,) of rows: those of fitted rows under tied mixtures without them, one row at a time.

    A mixture describes the rows that it was fitted to better than others, above all where rows are few and far from
    each other. So without this, p-values among simulated points would be too large.
    """
    score, mixtures, points = scores(tree, data), mixtures_of(tree), points_for(tree, data)
    if mixtures is None or not holds_points(tree):
        return score
    complete = np.flatnonzero(~np.isnan(points.values).any(axis=1))
    own = np.intersect1d(complete, rows_among(points, observed(tree)))
    left_out = mixtures.left_out_log_density(points.values[own], np.ones(own.size), observed(tree).total_weight)
    score[own] = np.minimum(score[own], left_out.min(axis=0))
    return score


def simulated_scores(tree: "xr.DataTree", size: int, by: "Callable[..., Array]" = scores) -> Array:
    """Scores (size,) of points simulated from a fit, with a fixed seed."""
    return by(tree, in_fit_columns(tree, simulated_values(tree, size)))


def simulated_values(tree: "xr.DataTree", size: int) -> Array:
    """Points (size, D) simulated from a fit, with a fixed seed, in the columns of the fit.

    Components are drawn by their shares of the fitted rows, not by their weights. By its weight, a component without
    rows would still generate about one point in N, anywhere, and no p-value could be small.
    """
    posterior = aligned(tree, DRAWS)
    if holds_points(tree):
        p = posterior.parameters
        weight = np.broadcast_to(_component_shares(tree), p.weight.shape)
        posterior = replace(posterior, parameters=replace(p, weight=weight))
    return simulate(posterior, size, np.random.default_rng(0))


def _component_shares(tree: "xr.DataTree") -> Array:
    """Fraction of the fitted rows that each component holds (K,); rows of a background are not counted.

    A component of very few rows may hold anomalies: its share is zero, so that they are compared with the others.
    """
    points = observed(tree)
    some = slice(None, None, 1 + len(points.values) // MAX_COUNTED_ROWS)
    answer = assignments(tree, in_fit_columns(tree, points.values[some]), draws=DRAWS)
    counted = np.ones(answer.sizes["point"]) if points.weights is None else points.weights[some]
    if "background" in answer:
        counted = counted * (1 - answer["background"].values)
    held = counted @ answer["probability"].transpose("point", "component").values
    few = held * points.total_weight <= max(points.values.shape[1] + 1, FEW_ROWS) * counted.sum()
    held = held if few.all() else np.where(few, 0.0, held)
    return np.asarray(held / held.sum())


def with_reference(tree: "xr.DataTree", held_out: DataLike) -> "xr.DataTree":
    """Copy of a fit that stores the scores of held-out rows: ``score`` [reference] in group ``calibration``."""
    return _calibrated(tree, {"score": ("reference", np.sort(scores(tree, held_out)))})


def with_mixtures(tree: "xr.DataTree", mixtures: TiedMixtures) -> "xr.DataTree":
    """Copy of a fit that stores tied mixtures of the same columns, in group ``calibration``."""
    return _calibrated(tree, {**mixtures.variables()})


def mixtures_of(tree: "xr.DataTree") -> TiedMixtures | None:
    """Tied mixtures that a fit stores; None if it stores none."""
    return TiedMixtures.of(_stored(tree))


def with_null(tree: "xr.DataTree", log_p: Array) -> "xr.DataTree":
    """Copy of a fit that stores the empirical null of its own rows, in group ``calibration``."""
    null = EmpiricalNull.of(log_p)
    return _calibrated(tree, {**asdict(null)})


def with_expected(tree: "xr.DataTree") -> "xr.DataTree":
    """Copy of a fit that stores simulated scores, ``expected`` [reference]; the fit itself if it stores scores."""
    if {"score", "expected"} & set(_stored(tree)):
        return tree
    return _calibrated(tree, {"expected": ("reference", np.sort(simulated_scores(tree, N_SIMULATED)))})


def _calibrated(tree: "xr.DataTree", more: dict[str, object]) -> "xr.DataTree":
    import xarray as xr

    tree = tree.copy()
    tree["calibration"] = xr.DataTree(xr.Dataset({**_stored(tree), **more}))
    return tree


def _stored(tree: "xr.DataTree") -> "dict[Hashable, xr.DataArray]":
    return dict(tree["calibration"].to_dataset()) if "calibration" in tree.children else {}


def reference_of(tree: "xr.DataTree") -> Array | None:
    """Sorted scores (M,) of held-out rows that a fit stores; None if it stores none."""
    stored = _stored(tree)
    return stored["score"].values if "score" in stored else None


def expected_of(tree: "xr.DataTree") -> Array:
    """Sorted scores (M,) of points simulated from a fit."""
    return np.asarray(_stored(with_expected(tree))["expected"].values)


def null_of(tree: "xr.DataTree") -> EmpiricalNull:
    """Empirical null that a fit stores; the standard normal if it stores none."""
    stored = _stored(tree)
    return EmpiricalNull(**{f.name: stored[f.name].item() for f in fields(EmpiricalNull) if f.name in stored})
