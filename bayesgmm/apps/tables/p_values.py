"""P-values of log densities: an extrapolated tail, an empirical null, and what a fit stores for calibration."""

from collections.abc import Callable, Hashable
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Self

import numpy as np

from bayesgmm.data.points import DataLike
from bayesgmm.labels.relabelling import aligned
from bayesgmm.posterior.schema import holds_points, in_fit_columns, observed, points_for
from bayesgmm.predictions.anomalies import rows_among
from bayesgmm.predictions.densities import DRAWS as DENSITY_DRAWS
from bayesgmm.predictions.predictive import assignments, mean_log_density
from bayesgmm.predictions.ranks import comparable_scores
from bayesgmm.predictions.replication import simulate
from bayesgmm.predictions.tied_mixtures import TiedMixtures
from bayesgmm.priors.backgrounds import QUARTILES_APART
from bayesgmm.sweep.stats import Array
from bayesgmm.wording import plural

if TYPE_CHECKING:
    import xarray as xr

N_SIMULATED = 100_000  # points behind the p-values of a fit without held-out rows
GAP_DRAWS = 20  # posterior draws that score rows with missing values, and the points they are compared with
N_COMPARED = 20_000  # points with which rows with missing values are compared, for each pattern of these
MAX_COUNTED_ROWS = 20_000  # rows used to estimate each component's share
DRAWS = 200  # posterior draws of the chosen model
MIN_P_VALUES = 200  # p-values needed to estimate the empirical null
MIDDLING = (0.0005, 0.005)  # range of p-values that distant anomalies do not have
SMALL = 0.1  # largest p-value that is counted where too few may be small; the tail begins there
MIN_TAIL = 50  # p-values below that from which the factor of the tail is estimated: with fewer it is mostly chance
LONGEST = 3.0  # the largest such factor
FALSE_ALARMS = 0.02
FEW_ROWS = 5  # rows of a component that may be anomalies; or one more than columns
LOWEST = -690.0  # logarithm of the smallest p-value, 1e-300: none is 0


@dataclass(frozen=True)
class EmpiricalNull:
    r"""Distribution of the good points' z-scores, estimated from the central half of all points.

    With :math:`z = \Phi^{-1}(p)`, the z-scores of good points are standard normal if the model is correct. The
    quartiles of all z-scores estimate their actual centre and spread [1]_. Their tail can be heavier still: a transform
    that makes the middle of a column Gaussian does not change how its tails go on. So the distance of z-scores from
    that of a p-value of 0.1 is divided by a factor. It is estimated from the p-values from 0.0005 to 0.1, since distant
    anomalies have smaller ones. P-values can only become larger; with few points they are not changed.

    Parameters
    ----------
    middle, spread : float
        Mean and standard deviation of z; at most 0 and at least 1.
    tail : float
        Factor of the z-scores below that of a p-value of 0.1, at least 1.

    References
    ----------
    .. [1] Efron (2004), J. Am. Stat. Assoc. 99(465), 96-104.

    Examples
    --------
    >>> EmpiricalNull.of(np.log((np.arange(999) + 1) / 1000))  # doctest: +ELLIPSIS
    EmpiricalNull(middle=0.0, spread=1.0, tail=1.0...)
    """

    middle: float = 0.0
    spread: float = 1.0
    tail: float = 1.0

    @classmethod
    def of(cls, log_p: Array) -> Self:
        """Estimate from the logarithms (N,) of p-values."""
        if len(log_p) < MIN_P_VALUES:
            return cls()
        low, middle, high = np.quantile(_z(log_p), [0.25, 0.5, 0.75])
        null = cls(min(0.0, round(float(middle), 9)), max(1.0, float(high - low) / QUARTILES_APART))
        return replace(null, tail=_tail(null.p_values(log_p)))

    def p_values(self, log_p: Array) -> Array:
        """Corrected p-values (N,)."""
        from scipy.special import ndtr

        return np.maximum(np.exp(np.maximum(log_p, LOWEST)), ndtr(_pulled(self._centred(log_p), self.tail)))

    def without_tail(self, p_value: Array) -> Array:
        """Corrected p-values (N,) as they would be without the factor of the tail."""
        from scipy.special import ndtr, ndtri

        return np.asarray(ndtr(_pulled(ndtri(p_value), 1 / self.tail)))

    def _centred(self, log_p: Array) -> Array:
        z = _z(log_p)
        return np.maximum(z, (z - self.middle) / self.spread)


def _z(log_p: Array) -> Array:
    from scipy.special import ndtri_exp

    return np.asarray(ndtri_exp(np.minimum(log_p, -1e-12)))


def _pulled(z: Array, tail: float) -> Array:
    """Divide the distances of z-scores (N,) below that of a p-value of 0.1 from it by a factor."""
    from scipy.special import ndtri

    start = ndtri(SMALL)
    return np.asarray(np.where(z < start, start + (z - start) / tail, z))


def _tail(p_value: Array) -> float:
    """Estimate the factor after which p-values (N,) from 0.0005 to 0.1 lie evenly: on average, in the middle."""
    from scipy.optimize import brentq
    from scipy.special import ndtr, ndtri

    low = MIDDLING[0]
    z = ndtri(np.append(p_value[(p_value > low) & (p_value <= SMALL)], low))

    def too_high(tail: float) -> float:
        corrected = ndtr(_pulled(z, tail))
        return float(corrected[:-1].mean() - (SMALL + corrected[-1]) / 2)

    if len(z) <= MIN_TAIL or too_high(1.0) >= 0:
        return 1.0
    return LONGEST if too_high(LONGEST) < 0 else float(brentq(too_high, 1.0, LONGEST, xtol=1e-3))


NORMAL = EmpiricalNull()


def heavy_tail(p_value: Array, null: EmpiricalNull = NORMAL) -> str:
    """Say that more p-values (N,) are small, but not very small, than the model allows; empty if that is not so.

    Distant anomalies have smaller p-values. So an excess here means that the tail of all rows is heavier than the
    model's. P-values that the null corrected for its tail are counted without that: how the tail goes on is not known,
    and a false discovery rate may not hold.

    Examples
    --------
    >>> regular = (np.arange(1000) + 0.5) / 1000
    >>> heavy_tail(regular), heavy_tail(regular**2)[:21]
    ('', '49 of 1000 rows have ')
    """
    from scipy.stats import binom

    low, high = MIDDLING
    p_value = null.without_tail(p_value)
    count = int(((p_value > low) & (p_value <= high)).sum())
    if binom.sf(count - 1, len(p_value), high - low) > FALSE_ALARMS:
        return ""
    return (
        f"{count} of {len(p_value)} rows have p-values from {low:g} to {high:g} by the model, where "
        f"{len(p_value) * (high - low):.1f} are expected: the rows have heavier tails than the model, or "
        "there are many mild anomalies. The p-values are larger for that reason, but the false discovery rate may not "
        "hold: more of the flagged rows may be regular."
    )


def calibration_words(p_value: Array, null: EmpiricalNull = NORMAL) -> str:
    """Say whether as many p-values (N,) are small, but not very small, as are expected of regular rows.

    If they are, p-values and false discovery rates hold, even where the model does not describe the rows in full.

    Examples
    --------
    >>> regular = (np.arange(1000) + 0.5) / 1000
    >>> calibration_words(regular)
    'p-values are as expected: 99 of 1,000 rows have one from 0.0005 to 0.1, where 99.5 are expected'
    >>> calibration_words(np.append(0.05, np.linspace(0.2, 1, 99)))[:35]
    'p-values are larger than necessary,'
    """
    from scipy.stats import binom

    if heavier := heavy_tail(p_value, null):
        return f"use the p-values with care: {heavier}"
    low, high = MIDDLING[0], SMALL
    count, n = int(((p_value > low) & (p_value <= high)).sum()), len(p_value)
    verb, expected = "has" if count == 1 else "have", f"{n * (high - low):,.1f}"
    numbers = f"{count:,} of {plural(n, 'row')} {verb} one from {low:g} to {high:g}, where {expected} are expected"
    if binom.cdf(count, n, high - low) > FALSE_ALARMS:
        return f"p-values are as expected: {numbers}"
    return f"p-values are larger than necessary, so mild anomalies may be missed: {numbers}"


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
