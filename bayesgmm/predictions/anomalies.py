"""How strange points are, and which of them to call anomalies."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesgmm.data.points import Points, listing
from bayesgmm.declared import probability, whole
from bayesgmm.errors import DeclarationError, choose, warn
from bayesgmm.posterior.schema import Posterior, holds_points, observed, points_for, unpack
from bayesgmm.predictions.densities import DRAWS, dataset, spread
from bayesgmm.predictions.replication import simulate
from bayesgmm.sweep.stats import Array

if TYPE_CHECKING:
    import xarray as xr

SIMULATED = 10_000  # points that p-values are read from, unless told
BY_CHANCE = 0.1  # share of calibration points that may coincide with fitted ones: rounded data do
MOST_SIMULATED = 1_000_000  # that are drawn unasked, where many points are to be judged at once
FDR_METHODS = {"bh": "Benjamini & Hochberg", "by": "Benjamini & Yekutieli"}


def anomaly_scores(
    fit: "xr.DataTree",
    data: Any = None,
    *,
    fdr: float | None = None,
    fdr_method: str = "bh",
    calibration: Any = None,
    draws: int | None = DRAWS,
    simulated: int | None = None,
    seed: int = 0,
    progress: bool = True,
) -> "xr.Dataset":
    r"""How strange each point is, as a p-value, and which points to call anomalies.

    The score of a point is the posterior mean of its log density, :math:`s(x) = \mathrm{E}[\log p(x \mid \theta)]`. Its
    p-value is the share of M reference points, itself among them, that are at least as strange:

    .. math:: p(x) = \frac{1 + \#\{m : s(\tilde x_m) \le s(x)\}}{1 + M}

    Reference points are drawn from the posterior predictive, so that new points from the model have uniform p-values
    [1]_: as good as the model is. Or they are ``calibration`` points that the fit has not seen: then p-values of new
    points from wherever those came from are valid whatever the model, for any sample size (split conformal [2]_); a
    poor model calls fewer anomalies, not wrong ones. The fitted points themselves have pulled the model towards them,
    so their p-values are somewhat too large either way: what is called among them is called with caution.

    A component that holds no point still has a weight, some 1 in N of it, and its draws lie wherever the prior lets
    them: with components to spare the strangest points get p-values many times as large. Declare fewer, or give
    ``calibration``.

    Parameters
    ----------
    fit : DataTree
    data : (N, D) array or DataFrame, optional
        Points; those that were fitted unless told.
    fdr : float, optional
        False discovery rate: the share of good points that is tolerated, on average, among those that are called.
    fdr_method : str
        ``'bh'``: valid for points that are independent of each other, and for the p-values here, which share their
        reference points [3]_. ``'by'`` [4]_: valid whatever the dependence between points, and stricter by a factor of
        about log N.
    calibration : (M, D) array or DataFrame, optional
        Good points that the fit has not seen, in place of simulated ones.
    draws : int, optional
        Posterior draws to average over, evenly spaced; all when None.
    simulated : int, optional
        M; no p-value is below 1 / (M + 1). Unless told, 10,000, or with ``fdr`` as many as it takes to call one lone
        point, at most a million.
    seed : int
        Of the simulation.
    progress : bool
        Whether to show how far it is, where it takes longer than two seconds.

    Returns
    -------
    Dataset
        ``log_density`` [point], the score in data units (lower is stranger); ``p_value`` [point]. With ``fdr`` also
        ``q_value`` [point], the smallest rate at which the point would be called, and ``anomaly`` [point], whether it
        is.

    Raises
    ------
    DeclarationError
        When both ``simulated`` and ``calibration`` are given, or a setting makes no sense.

    Warns
    -----
    FitWarning
        When many calibration points coincide with fitted ones; when points are stranger than all reference points, and
        there are too few of those for any to be called.

    References
    ----------
    .. [1] Box (1980), J. R. Stat. Soc. A 143(4), 383-430.
    .. [2] Vovk, Gammerman & Shafer (2005), Algorithmic Learning in a Random World, Springer.
    .. [3] Bates, Candès, Lei, Romano & Sesia (2023), Ann. Stat. 51(1), 149-178.
    .. [4] Benjamini & Yekutieli (2001), Ann. Stat. 29(4), 1165-1188.
    """
    points, posterior = points_for(fit, data), unpack(fit).thin(draws)
    rate = None if fdr is None else probability("fdr", fdr)
    choose(fdr_method, FDR_METHODS, "fdr_method")
    if calibration is None:
        reference = _simulated(posterior, _enough(simulated, rate, len(points.values)), seed)
    elif simulated is None:
        reference = _unseen(fit, calibration)
    else:
        raise DeclarationError("simulated= is for simulated reference points: leave it out, or leave out calibration=")
    score = spread(posterior, points.values, progress=progress).mean_log
    sorted_scores = np.sort(spread(posterior, reference, progress=progress).mean_log)
    p_value = rank_p_values(score, sorted_scores)
    variables = {"log_density": ("point", score), "p_value": ("point", p_value)}
    if rate is not None:
        variables |= _called(p_value, rate, fdr_method, sorted_scores.size)
    kind = "posterior predictive" if calibration is None else "split conformal"
    attrs = {"reference": kind, "n_reference": sorted_scores.size} | ({} if rate is None else {"fdr": rate})
    return dataset(points, variables).assign_attrs(attrs)


def rank_p_values(score: Array, reference: Array) -> Array:
    """P-values of scores among sorted reference scores of good points: lower is stranger.

    Examples
    --------
    >>> rank_p_values(np.array([-9.0, 5.0]), np.array([0.0, 1.0, 2.0]))
    array([0.25, 1.  ])
    """
    return (1 + np.searchsorted(reference, score, side="right")) / (1 + reference.size)


def _enough(simulated: int | None, rate: float | None, n_points: int) -> int:
    """How many points to simulate: the stricter the test, the smaller a p-value must be able to get."""
    if simulated is not None:
        return whole("simulated", simulated)
    return SIMULATED if rate is None else min(max(SIMULATED, math.ceil(n_points / rate)), MOST_SIMULATED)


def _simulated(posterior: Posterior, size: int, seed: int) -> Array:
    return simulate(posterior, size, np.random.default_rng(whole("seed", seed, least=0)))


def _unseen(fit: "xr.DataTree", calibration: Any) -> Array:
    """Calibration points, with a word where many of them seem to be fitted ones."""
    points = points_for(fit, calibration)
    seen = _rows_among(points, observed(fit)) if holds_points(fit) else np.arange(0)
    if seen.size > BY_CHANCE * len(points.values):
        rows = listing([points.index[i] for i in seen])
        warn(
            [
                f"{seen.size} of {len(points.values)} calibration points coincide with fitted ones (row {rows}). "
                "Fitted points look more normal than new ones do, so p-values come out too small: hold points back "
                "from the fit, and calibrate with those."
            ]
        )
    return points.values


def _rows_among(points: Points, fitted: Points) -> Any:
    """Which rows are, to the last bit, among others."""
    known = {row.tobytes() for row in fitted.values + 0.0}  # there is a negative zero
    return np.array([i for i, row in enumerate(points.values + 0.0) if row.tobytes() in known], dtype=int)


def _called(p_value: Array, rate: float, method: str, n_reference: int) -> dict[str, Any]:
    from scipy.stats import false_discovery_control

    q_value = false_discovery_control(p_value, method=method)
    called = q_value <= rate
    if not called.any():
        warn_of_few(p_value, n_reference, f"fdr={rate:g}", "Take more of them: simulated=..., or calibration points.")
    return {"q_value": ("point", q_value), "anomaly": ("point", called)}


def warn_of_few(p_value: Array, n_reference: int, rule: str, advice: str) -> None:
    """Say it where nothing was called because reference points are too few, though some points are beyond all."""
    strangest = int((p_value == 1 / (1 + n_reference)).sum())
    if strangest:
        few = "1 point is" if strangest == 1 else f"{strangest} points are"
        warn(
            [
                f"{few} stranger than all {n_reference} reference points, and those are too few to call any of "
                f"{p_value.size} points at {rule}. {advice}"
            ]
        )
