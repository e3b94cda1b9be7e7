"""Anomaly scores: p-values of points, and anomalies at a false discovery rate."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bayesgmm.data.points import DataLike, Points, listing
from bayesgmm.declared import probability, whole
from bayesgmm.errors import DeclarationError, choose, warn
from bayesgmm.posterior.schema import Posterior, holds_points, observed, points_for, unpack
from bayesgmm.predictions.densities import DRAWS, dataset, spread
from bayesgmm.predictions.replication import simulate
from bayesgmm.sweep.stats import Array

if TYPE_CHECKING:
    import xarray as xr

SIMULATED = 10_000  # default number of reference points
BY_CHANCE = 0.1  # share of calibration points that may equal fitted points: rounded data have ties
MAX_SIMULATED = 1_000_000  # maximum default number of reference points, with ``fdr`` and many points
FDR_METHODS = {"bh": "Benjamini & Hochberg", "by": "Benjamini & Yekutieli"}


def anomaly_scores(
    fit: "xr.DataTree",
    data: DataLike | None = None,
    *,
    fdr: float | None = None,
    fdr_method: str = "bh",
    calibration: DataLike | None = None,
    draws: int | None = DRAWS,
    simulated: int | None = None,
    seed: int = 0,
    progress: bool = True,
) -> "xr.Dataset":
    r"""Compute a p-value for each point, and which points are anomalies.

    The score of a point is the posterior mean of its log density, :math:`s(x) = \mathrm{E}[\log p(x \mid \theta)]`. Its
    p-value is the share of M reference points with a score at most as high, the point itself included:

    .. math:: p(x) = \frac{1 + \#\{m : s(\tilde x_m) \le s(x)\}}{1 + M}

    By default, reference points are simulated from the posterior predictive. If the model is right, new points have
    uniform p-values [1]_. With ``calibration``, the reference points are points that were not used in the fit. Then
    p-values of new points from the same source are valid for any model and any sample size (split conformal [2]_); with
    a poor model fewer anomalies are found, but the false discovery rate holds. The fitted points have influenced the
    model, so their own p-values are somewhat too large in both cases, and fewer of them are flagged.

    An empty component still has a small weight (about 1/N), and its draws follow the prior. With many empty components,
    the p-values of anomalies can be many times too large. Use fewer components, or ``calibration``.

    Parameters
    ----------
    fit : DataTree
    data : (N, D) array or DataFrame, optional
        Points. Default: the points that were fitted.
    fdr : float, optional
        False discovery rate: the expected share of regular points among those that are flagged as anomalies.
    fdr_method : str
        ``'bh'`` (Benjamini & Hochberg): valid for independent points, also when their p-values share reference points,
        as they do here [3]_. ``'by'`` (Benjamini & Yekutieli [4]_): valid for any dependence between the points, and
        stricter by a factor of about log N.
    calibration : (M, D) array or DataFrame, optional
        Regular points that were not used in the fit. They replace the simulated reference points.
    draws : int, optional
        Number of posterior draws to average over, evenly spaced; None for all.
    simulated : int, optional
        M, the number of simulated reference points; the minimum p-value is 1 / (M + 1). Default: 10,000, or with
        ``fdr`` as many as are needed to flag a single point, up to a million.
    seed : int
        Seed of the simulation.
    progress : bool
        Show a progress bar after two seconds.

    Returns
    -------
    Dataset
        ``log_density`` [point], the score (log of one over the product of the columns' units; lower is more anomalous);
        ``p_value`` [point]. With ``fdr`` also ``q_value`` [point], the minimum rate at which the point is flagged, and
        ``anomaly`` [point], True for flagged points. Attributes: ``reference``, ``n_reference``, ``fdr``.

    Raises
    ------
    DeclarationError
        When both ``simulated`` and ``calibration`` are given, or a number is out of range.
    UnknownName
        When there is no such ``fdr_method``.
    DataError
        When the data or the calibration points do not have the columns of the fit.
    FitFileError
        When ``fit`` is not a fit, or holds no data and none are given.

    Warns
    -----
    FitWarning
        When many calibration points equal fitted points; when points have lower densities than all reference points,
        and these are too few to flag any.

    References
    ----------
    .. [1] Box (1980), J. R. Stat. Soc. A 143(4), 383-430.
    .. [2] Vovk, Gammerman & Shafer (2005), Algorithmic Learning in a Random World, Springer.
    .. [3] Bates, Candès, Lei, Romano & Sesia (2023), Ann. Stat. 51(1), 149-178.
    .. [4] Benjamini & Yekutieli (2001), Ann. Stat. 29(4), 1165-1188.

    Examples
    --------
    Of two new points, 100 is an anomaly.

    >>> import bayesgmm as bg
    >>> fit = bg.fit(bg.MixtureModel(1), np.arange(20.0)[:, None], "em", progress=False)
    >>> scores = anomaly_scores(fit, [[10.0], [100.0]], fdr=0.1, seed=1)
    >>> scores["anomaly"].values
    array([False,  True])
    >>> scores["p_value"].values.round(2)
    array([0.93, 0.  ])
    """
    points, posterior = points_for(fit, data), unpack(fit).thin(draws)
    rate = None if fdr is None else probability("fdr", fdr)
    choose(fdr_method, FDR_METHODS, "fdr_method")
    if calibration is None:
        reference = _simulated(posterior, _enough(simulated, rate, len(points.values)), seed)
    elif simulated is None:
        reference = _unseen(fit, calibration)
    else:
        raise DeclarationError("simulated= and calibration= exclude each other: give one of them")
    score = spread(posterior, points.values, progress=progress).mean_log
    sorted_scores = np.sort(spread(posterior, reference, progress=progress).mean_log)
    p_value = rank_p_values(score, sorted_scores)
    variables = {"log_density": ("point", score), "p_value": ("point", p_value)}
    if rate is not None:
        variables |= _flagged(p_value, rate, fdr_method, sorted_scores.size)
    kind = "posterior predictive" if calibration is None else "split conformal"
    attrs = {"reference": kind, "n_reference": sorted_scores.size} | ({} if rate is None else {"fdr": rate})
    return dataset(points, variables).assign_attrs(attrs)


def rank_p_values(score: Array, reference: Array) -> Array:
    """Compute p-values of scores among sorted reference scores; lower scores are more anomalous.

    Examples
    --------
    >>> rank_p_values(np.array([-9.0, 5.0]), np.array([0.0, 1.0, 2.0]))
    array([0.25, 1.  ])
    """
    return (1 + np.searchsorted(reference, score, side="right")) / (1 + reference.size)


def _enough(simulated: int | None, rate: float | None, n_points: int) -> int:
    """Choose the number of points to simulate: a stricter test needs a smaller minimum p-value."""
    if simulated is not None:
        return whole("simulated", simulated)
    return SIMULATED if rate is None else min(max(SIMULATED, math.ceil(n_points / rate)), MAX_SIMULATED)


def _simulated(posterior: Posterior, size: int, seed: int) -> Array:
    return simulate(posterior, size, np.random.default_rng(whole("seed", seed, minimum=0)))


def _unseen(fit: "xr.DataTree", calibration: DataLike) -> Array:
    """Read the calibration points; warn when many of them equal fitted points."""
    points = points_for(fit, calibration)
    seen = _rows_among(points, observed(fit)) if holds_points(fit) else np.arange(0)
    if seen.size > BY_CHANCE * len(points.values):
        rows = listing([points.index[i] for i in seen])
        warn(
            [
                f"{seen.size} of {len(points.values)} calibration points equal fitted points (row {rows}). "
                "Fitted points have higher densities than new ones, so p-values are too small. Leave points out of "
                "the fit, and calibrate with those."
            ]
        )
    return points.values


def _rows_among(points: Points, fitted: Points) -> NDArray[np.intp]:
    """Find the rows that equal a fitted row exactly."""
    known = {row.tobytes() for row in fitted.values + 0.0}  # + 0.0 makes negative zeros positive
    return np.array([i for i, row in enumerate(points.values + 0.0) if row.tobytes() in known], dtype=int)


def _flagged(p_value: Array, rate: float, method: str, n_reference: int) -> dict[str, Any]:
    from scipy.stats import false_discovery_control

    q_value = false_discovery_control(p_value, method=method)
    called = q_value <= rate
    if not called.any():
        warn_of_few(p_value, n_reference, f"fdr={rate:g}", "Use more of them: simulated=..., or calibration points.")
    return {"q_value": ("point", q_value), "anomaly": ("point", called)}


def warn_of_few(p_value: Array, n_reference: int, rule: str, advice: str) -> None:
    """Warn when points are below all reference points, and these are too few to flag any."""
    lowest = int((p_value == 1 / (1 + n_reference)).sum())
    if lowest:
        few = "1 point has" if lowest == 1 else f"{lowest} points have"
        warn(
            [
                f"{few} a lower density than all {n_reference} reference points, but these are too few to flag any of "
                f"{p_value.size} points at {rule}. {advice}"
            ]
        )
