"""Checks of the points: far from all components, with a strong influence, or in rounded columns."""

from typing import TYPE_CHECKING

import numpy as np
import scipy  # its parts are imported when they are used

from bayesgmm.diagnosis.rosenblatt import rounded_to
from bayesgmm.findings import Finding
from bayesgmm.labels.relabelling import aligned
from bayesgmm.posterior.contamination import as_modelled
from bayesgmm.posterior.info import info
from bayesgmm.posterior.schema import Posterior, observed, unpack
from bayesgmm.predictions.cross_validation import IntArray, LeftOut, Opened, khat_limit, leave_outs
from bayesgmm.predictions.ranks import q_values
from bayesgmm.sweep.stats import Array, log_densities
from bayesgmm.wording import listing, number_in_words, plural

if TYPE_CHECKING:
    import xarray as xr

MANY_TIMES = 2  # points that a row stands for on average, from which the width of intervals is mentioned
FALSE_DISCOVERIES = 0.01  # false discovery rate of the points that are reported
DRAWS = 100
CANDIDATES = 1000  # maximum number of points that are compared with all draws
LOO_POINTS = 1000
LOO_DRAWS = 1000


def farness(values: Array, posterior: Posterior) -> Array:
    r"""(S, N) p-value of the distance of each point from its nearest component, under each draw.

    .. math:: p = P\big(\chi^2_D \ge \min_k (x - \mu_k)' \Sigma_k^{-1} (x - \mu_k)\big)

    A point from the model is at most as far from its nearest component as from its own, so its p-value is uniform or
    larger.
    """
    tables = posterior.tables()
    x = (values - posterior.standard.shift) / posterior.standard.scale
    out = np.empty((posterior.n_draws, len(x)))
    for s in range(posterior.n_draws):
        steps = np.einsum("kij,nkj->nki", tables.root[s], x[:, None, :] - tables.mean[s])
        out[s] = scipy.special.gammaincc(x.shape[1] / 2, (steps**2).sum(axis=-1).min(axis=-1) / 2)
    return out


def counted(fit: "xr.DataTree") -> list[Finding]:
    """Return a note if the weights of the rows count them as many more points: intervals are as narrow as theirs."""
    points = observed(fit)
    rows, total = len(points.values), points.total_weight
    if total < MANY_TIMES * rows:
        return []
    what = f"{plural(rows, 'row')} count as {total:,.0f} points, and intervals are as narrow as with so many."
    why = (
        "That is right where a row stands for equal points, and too narrow where it stands for others, as in a coreset."
    )
    advice = "For intervals from a coreset, use its calibrated weights (bg.coreset(...).calibrated_weight)."
    return [Finding("note", "row weights", what, why, advice, {"rows": rows, "points": total})]


def unexplained(fit: "xr.DataTree") -> list[Finding]:
    """Find points that are farther from all components than the model predicts, at a false discovery rate of 1 %.

    References
    ----------
    .. [1] Benjamini & Hochberg (1995), J. R. Stat. Soc. B 57(1), 289-300.
    """
    points, posterior = observed(fit), as_modelled(fit).thin(DRAWS)
    p_value = farness(points.values, posterior.thin(1))[0]
    near = np.argsort(p_value)[:CANDIDATES]
    p_value[near] = farness(points.values[near], posterior).mean(axis=0)
    rate = q_values(np.minimum(2 * p_value, 1.0))
    far = np.flatnonzero(rate < FALSE_DISCOVERIES)
    if not far.size:
        return []
    far = far[np.argsort(rate[far], kind="stable")]
    rows = listing([_plain(points.index[i]) for i in far])
    one = f"One point lies where the model expects none: row {rows}."
    what = one if far.size == 1 else f"{far.size} points lie where the model expects none: rows {rows}."
    why = "Such points may be errors, or a cluster that the model lacks. They distort the components."
    advice = "Check them. Then correct them, leave them out, or try one more component."
    evidence = {"rows": [_plain(points.index[i]) for i in far], "p_values": p_value[far].tolist()}
    return [Finding("warning", "unexplained points", what, why, advice, evidence)]


def _plain(label: object) -> object:
    return label.item() if hasattr(label, "item") else label


def leave_one_out(fit: "xr.DataTree") -> tuple[LeftOut, IntArray]:
    """Compute leave-one-out cross-validation by importance sampling; return it with the rows that it is for.

    It uses at most 1,000 points and 1,000 draws, evenly spaced: faster than ``compare``, and enough to find influential
    points.

    References
    ----------
    .. [1] Vehtari, Gelman & Gabry (2017), Stat. Comput. 27(5), 1413-1432.
    """
    points, opened = observed(fit), Opened(fit, as_modelled(fit), info(fit))
    total = opened.posterior.n_draws
    n_points = len(points.values)
    rows = np.linspace(0, n_points - 1, min(n_points, LOO_POINTS)).round().astype(int)
    draws = np.linspace(0, total - 1, min(total, LOO_DRAWS)).round().astype(int)
    few = opened.posterior.thin(LOO_DRAWS)
    blocks = few.standard.blocks(points.take(rows))
    log = (log_densities(blocks, few.tables()) - few.standard.log_scales(blocks)).T
    with np.errstate(all="ignore"):
        elpd, khat, effective = leave_outs(opened, draws)(log)
    error = float(elpd.std() * len(elpd) ** 0.5)
    khat = np.where(np.isnan(khat), np.inf, khat)
    return LeftOut(elpd, khat, float(elpd.sum()), error, float(effective.sum())), rows


def influential(fit: "xr.DataTree") -> list[Finding]:
    """Find points with so strong an influence that the posterior without them can't be computed from the draws."""
    points = observed(fit)
    try:
        left_out, rows = leave_one_out(fit)
    except ValueError:  # from ArviZ, when all draws are copies of a few
        return []
    khat, limit = left_out.khat, khat_limit(min(unpack(fit).n_draws, LOO_DRAWS))
    high = rows[np.argsort(-khat, kind="stable")][: int((khat > limit).sum())]
    if not high.size:
        return []
    shown = listing([_plain(points.index[i]) for i in high])
    one = high.size == 1
    what = (
        f"{'One point has' if one else f'{high.size} points have'} a strong influence on the fit (Pareto k-hat up to "
        f"{khat.max():.2f}; it should be below {limit:.2f}): row{'' if one else 's'} {shown}."
    )
    why = "Without such a point the posterior may be quite different, and leave-one-out is not reliable for it."
    advice = f"Check whether {'it is an error' if one else 'they are errors'}."
    evidence = {"rows": [_plain(points.index[i]) for i in high], "pareto_khat": float(khat.max()), "limit": limit}
    severity = "note" if high.size <= max(1, len(khat) // 50) else "warning"
    return [Finding(severity, "influential points", what, why, advice, evidence)]


def rounding(fit: "xr.DataTree") -> list[Finding]:
    """Check for columns with rounding steps that are wider than a component's standard deviation."""
    points, p = observed(fit), aligned(fit).thin(DRAWS).parameters
    counted = p.weight > 1 / len(points.values)
    worst = []
    for j, name in enumerate(points.columns):
        step = rounded_to(points.values[~np.isnan(points.values[:, j]), j])
        sd = float(np.median(np.where(counted, np.sqrt(p.covariance[..., j, j]), np.inf).min(axis=1)))
        if step > sd:
            width, deviation = number_in_words(step, 3), number_in_words(sd, 2)
            text = f"{name!r} is rounded to steps of {width}, and a component has a standard deviation of {deviation}"
            worst.append((step / sd, text))
    if not worst:
        return []
    worst.sort(reverse=True)
    what = f"Rounding affects the fit: {'; '.join(text for _, text in worst[:3])}."
    why = "A component that is narrower than a rounding step describes the rounding, not the measured quantity."
    advice = "Try fewer components, or a prior that expects wider components."
    severity = "warning" if worst[0][0] > 2 else "note"
    return [Finding(severity, "rounding", what, why, advice, {"ratio": worst[0][0]})]
