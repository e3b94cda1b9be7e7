"""Anomaly scores: p-values of points, and anomalies at a false discovery rate."""

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bayesgmm.data.points import DataLike, Points
from bayesgmm.declared import probability, whole
from bayesgmm.errors import ComponentError, DataError, DeclarationError, SamplingError, choose, warn
from bayesgmm.posterior.arguments import FitLike, takes_fit
from bayesgmm.posterior.schema import Posterior, holds_points, observed, points_for, unpack
from bayesgmm.predictions import cross_conformal
from bayesgmm.predictions.cross_conformal import Refitted, Weighted
from bayesgmm.predictions.densities import DRAWS, dataset, spread
from bayesgmm.predictions.lazy_answers import by_block
from bayesgmm.predictions.ranks import among_points, q_values, rank_p_values
from bayesgmm.predictions.replication import simulate
from bayesgmm.sweep.stats import Array
from bayesgmm.wording import listing

if TYPE_CHECKING:
    import xarray as xr

SIMULATED = 10_000  # default number of reference points
TAIL = 0.1  # share of the fitted rows that the tail of the simulated points is compared with
BY_CHANCE = 0.1  # share of calibration points that may equal fitted points: rounded data have ties
MAX_SIMULATED = 1_000_000  # maximum default number of reference points, with ``fdr`` and many points
SIMULATION = "posterior predictive"
REFERENCES = {
    "cross-conformal": "the fitted points, each under a fit that leaves it out",
    SIMULATION: "points simulated from the fit",
}
FDR_METHODS = {"bh": "Benjamini & Hochberg", "by": "Benjamini & Yekutieli"}


@takes_fit
@by_block
def anomaly_scores(
    fit: FitLike,
    data: DataLike | None = None,
    *,
    noise: ArrayLike | None = None,
    fdr: float | None = None,
    fdr_method: str = "bh",
    calibration: DataLike | None = None,
    reference: str | None = None,
    draws: int | None = DRAWS,
    simulated: int | None = None,
    seed: int = 0,
    progress: bool = True,
) -> "xr.Dataset":
    r"""Compute a p-value for each point, and which points are anomalies.

    The score of a point is the posterior mean of its log density, :math:`s(x) = \mathrm{E}[\log p(x \mid \theta)]`. Its
    p-value is the share of M reference points with a score at most as high, the point itself included:

    .. math:: p(x) = \frac{1 + \#\{m : s(\tilde x_m) \le s(x)\}}{1 + M}

    There are three kinds of reference points:

    - ``reference="posterior predictive"``: points simulated from the fit. The p-values of new points are uniform if the
      model is right and the points that were fitted are many [1]_. With few points the fit follows them too closely,
      and p-values of new points are too small: of 50 points with 41 free numbers, a tenth to a fifth of new points had
      p-values below 0.05.
    - ``reference="cross-conformal"``: the fitted points, each compared with the new point under a fit without it
      [2]_ [3]_. If new and fitted points are from the same distribution, then for any model and any number of points a
      p-value is at most :math:`\alpha` with a probability of about :math:`\alpha`, and of at most :math:`2 \alpha`
      (plus a term of order 1/N for point estimates, which are refitted in folds). Fits by draws leave a point out by
      smoothed importance weights, which is approximate. Points beyond all fitted points have p-values below
      1 / (N + 1), which have no such guarantee: they follow the tail of simulated points, raised where the lowest tenth
      of the fitted points shows that it is too thin. With 50 points of 41 free numbers, ``fdr=0.1`` gave 0.13.
    - ``calibration``: points that were not used in the fit. A p-value of a new point is at most :math:`\alpha` with a
      probability of at most :math:`\alpha`, for any model and any number of points (split conformal [4]_). With a poor
      model fewer anomalies are found, but the false discovery rate holds.

    By default new points get cross-conformal p-values if the fitted points are few (fewer than 20 for each free number
    of the mixture), and else those of simulated points. The fitted points have influenced the model: their own p-values
    come from simulated points, are somewhat too large, and fewer of them are flagged.

    An empty component still has a small weight (about 1/N), and its draws follow the prior. With many empty components,
    the p-values of anomalies by simulated points can be many times too large. Use fewer components, or ``calibration``.

    Parameters
    ----------
    fit : DataTree or estimator
    data : (N, D) array or DataFrame, optional
        Points. Default: the points that were fitted.
    noise : (N, D) or (N, D, D) array, optional
        Errors of measurement of the points, as in ``fit``. Default: those of the fitted points, none of others.
    fdr : float, optional
        False discovery rate: the expected share of regular points among those that are flagged as anomalies.
    fdr_method : str
        ``'bh'`` (Benjamini & Hochberg): valid for independent points, also when their p-values share reference points,
        as they do here [5]_. ``'by'`` (Benjamini & Yekutieli [6]_): valid for any dependence between the points, and
        stricter by a factor of about log N.
    calibration : (M, D) array or DataFrame, optional
        Regular points that were not used in the fit.
    reference : {'cross-conformal', 'posterior predictive'}, optional
        Reference points, if none are given by ``calibration``. Default: see above.
    draws : int, optional
        Number of posterior draws to average over, evenly spaced; None for all.
    simulated : int, optional
        M, the number of reference points to simulate; the minimum p-value is 1 / (M + 1). Default: 10,000, or with
        ``fdr`` as many as are needed to flag a single point, up to a million. A number here means
        ``reference="posterior predictive"``.
    seed : int
        Seed of the simulation.
    progress : bool
        Show a progress bar after two seconds.

    Returns
    -------
    Dataset
        ``log_density`` [point], the score (log of one over the product of the columns' units; lower is more anomalous),
        of what is observed of a point: a point with missing values is compared with reference points in which the same
        values are missing;
        for a fit with transforms that of the transformed columns, so that it does not depend on their units;
        ``p_value`` [point]. With ``fdr`` also ``q_value`` [point], the minimum rate at which the point is flagged, and
        ``anomaly`` [point], True for flagged points. Attributes: ``reference``, ``n_reference``, ``fdr``.
        ``answer.to_dataframe()`` is a table, a row for each point.

    Raises
    ------
    DeclarationError
        When two of ``simulated``, ``calibration`` and ``reference="cross-conformal"`` are given, a number is out of
        range, or cross-conformal p-values are wanted of a fit whose points can't be left out.
    UnknownName
        When there is no such ``fdr_method`` or ``reference``.
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
    .. [2] Vovk (2015), Ann. Math. Artif. Intell. 74, 9-28.
    .. [3] Barber, Candès, Ramdas & Tibshirani (2021), Ann. Stat. 49(1), 486-507.
    .. [4] Vovk, Gammerman & Shafer (2005), Algorithmic Learning in a Random World, Springer.
    .. [5] Bates, Candès, Lei, Romano & Sesia (2023), Ann. Stat. 51(1), 149-178.
    .. [6] Benjamini & Yekutieli (2001), Ann. Stat. 29(4), 1165-1188.

    Examples
    --------
    Of two new points, 100 is an anomaly.

    >>> import bayesgmm as bg
    >>> fit = bg.fit(bg.MixtureModel(1), np.arange(20.0)[:, None], "em", seed=1, progress=False)
    >>> scores = anomaly_scores(fit, [[10.0], [100.0]], fdr=0.1, seed=1)
    >>> scores["anomaly"].values
    array([False,  True])
    >>> scores["p_value"].values.round(2)
    array([1., 0.])
    """
    points, posterior = points_for(fit, data, noise).unlabelled(), unpack(fit).thin(draws)
    rate = None if fdr is None else probability("fdr", fdr)
    choose(fdr_method, FDR_METHODS, "fdr_method")
    score = spread(posterior, points, progress=progress).mean_log
    kind = _kind(fit, data, calibration, reference, simulated)
    if kind == "cross-conformal" and not points.is_exact:
        kind = SIMULATION
        if reference is not None:
            points.complete("reference='cross-conformal'")
    rows = left_out(fit, draws, reference is not None) if kind == "cross-conformal" else None
    if rows is not None:
        drawn = _simulated(posterior, _enough(None, rate, len(score)), seed)
        sorted_scores = np.sort(spread(posterior, drawn, progress=progress).mean_log)
        p_value, n_reference = conformal_p_values(rows, points.values, score, sorted_scores, progress), len(rows.own)
    else:
        kind = SIMULATION if calibration is None else kind
        if calibration is None:
            others = _simulated(posterior, _enough(simulated, rate, len(score)), seed)
        else:
            others = _unseen(fit, calibration)
        p_value, n_reference = among_points(posterior, points, score, others, seed, progress)
    variables: dict[str, object] = {"log_density": ("point", score), "p_value": ("point", p_value)}
    if rate is not None:
        variables |= _flagged(p_value, rate, fdr_method, n_reference)
    attrs = {"reference": kind, "n_reference": n_reference} | ({} if rate is None else {"fdr": rate})
    return dataset(points, variables).assign_attrs(attrs)


def _kind(
    fit: "xr.DataTree",
    data: DataLike | None,
    calibration: DataLike | None,
    reference: str | None,
    simulated: int | None,
) -> str:
    """Kind of the reference points.

    Raises
    ------
    DeclarationError
        When two kinds are asked for.
    UnknownName
        When there is no such kind.
    """
    if reference is not None:
        choose(reference, REFERENCES, "reference")
    if calibration is not None:
        if simulated is not None or reference is not None:
            raise DeclarationError(
                "calibration= excludes simulated= and reference=: the calibration points are the reference points"
            )
        return "split conformal"
    if simulated is not None and reference == "cross-conformal":
        raise DeclarationError("simulated= needs reference='posterior predictive': else no points are simulated")
    if simulated is not None or (data is None and reference is None):
        return SIMULATION
    return reference or ("cross-conformal" if has_few_points(fit) else SIMULATION)


def has_few_points(fit: "xr.DataTree") -> bool:
    """Return True if new points get cross-conformal p-values by default."""
    return cross_conformal.few_points(fit) and cross_conformal.can_leave_out(fit)


def left_out(fit: "xr.DataTree", draws: int | None, is_wanted: bool) -> "Weighted | Refitted | None":
    """The fitted rows as reference points; None where an engine fails without some rows, unless they are wanted.

    Raises
    ------
    DeclarationError
        When rows can't be left out of the fit.
    """
    if not cross_conformal.can_leave_out(fit):
        raise DeclarationError(
            "reference='cross-conformal' needs a fit that holds its data, and at least 100 draws or a declaration to "
            "fit again\n  Try reference='posterior predictive' or calibration=..."
        )
    try:
        return cross_conformal.references(fit, draws)
    except (ComponentError, DataError, SamplingError):
        if is_wanted:
            raise
        return None


def conformal_p_values(
    rows: "Weighted | Refitted", values: Array, score: Array, simulated: Array, progress: bool = True
) -> Array:
    """Cross-conformal p-values (M,) of new points (M, D); those beyond all fitted rows follow simulated points.

    Parameters
    ----------
    rows : Weighted or Refitted
        The fitted rows as reference points.
    values : (M, D) float
    score : (M,) float
        Scores of the new points under the fit.
    simulated : (S,) float
        Sorted scores of points simulated from the fit.
    progress : bool
    """
    p_value = cross_conformal.p_values(rows, values, progress)
    return np.where(p_value > 1 / (1 + rows.weight.sum()), p_value, _beyond(score, rows, simulated))


def _beyond(score: Array, rows: "Weighted | Refitted", simulated: Array) -> Array:
    """P-values (N,) of points beyond all fitted rows: the tail of simulated points, raised to agree with the rows'.

    Rows of rank r from below should have a p-value of r / (N + 1). Where the lowest rows have lower ones, all are
    multiplied by the largest ratio.
    """
    order = np.argsort(rows.own)
    rank = np.cumsum(rows.weight[order]) / (1 + rows.weight.sum())
    n_lowest = max(1, int(TAIL * len(order)))
    ratio = rank[:n_lowest] / rank_p_values(rows.own[order[:n_lowest]], simulated)
    own = rank_p_values(score, simulated) * max(1.0, float(ratio.max()))
    return np.minimum(own, 1 / (1 + rows.weight.sum()))


def _enough(simulated: int | None, rate: float | None, n_points: int) -> int:
    """Choose the number of points to simulate: a stricter test needs a smaller minimum p-value."""
    if simulated is not None:
        return whole("simulated", simulated)
    return SIMULATED if rate is None else min(max(SIMULATED, math.ceil(n_points / rate)), MAX_SIMULATED)


def _simulated(posterior: Posterior, size: int, seed: int) -> Array:
    return simulate(posterior, size, np.random.default_rng(whole("seed", seed, minimum=0)))


def _unseen(fit: "xr.DataTree", calibration: DataLike) -> Array:
    """Read the calibration points; warn when many of them equal fitted points."""
    points = points_for(fit, calibration).complete("calibration")
    seen = rows_among(points, observed(fit)) if holds_points(fit) else np.arange(0)
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


def rows_among(points: Points, fitted: Points) -> NDArray[np.intp]:
    """Find the rows that equal a fitted row exactly."""
    known = {row.tobytes() for row in fitted.values + 0.0}  # + 0.0 makes negative zeros positive
    return np.array([i for i, row in enumerate(points.values + 0.0) if row.tobytes() in known], dtype=int)


def _flagged(p_value: Array, rate: float, method: str, n_reference: int) -> dict[str, object]:
    q_value = q_values(p_value, dependent=method == "by")
    flagged = q_value <= rate
    if not flagged.any():
        warn_of_few(p_value, n_reference, f"fdr={rate:g}", "Use more of them: simulated=..., or calibration points.")
    return {"q_value": ("point", q_value), "anomaly": ("point", flagged)}


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
