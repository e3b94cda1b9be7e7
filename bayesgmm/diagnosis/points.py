"""Points that stand out: those that no component explains, those that weigh much, and rounded columns."""

from typing import TYPE_CHECKING, Any

import numpy as np
import scipy  # its parts are imported when they are used

from bayesgmm.data.points import listing
from bayesgmm.diagnosis.rosenblatt import rounded_to
from bayesgmm.findings import Finding
from bayesgmm.labels.relabelling import aligned
from bayesgmm.posterior.contamination import as_modelled
from bayesgmm.posterior.info import info
from bayesgmm.posterior.schema import Posterior, observed, unpack
from bayesgmm.predictions.cross_validation import IntArray, LeftOut, Opened, khat_limit, leave_outs
from bayesgmm.sweep.stats import Array, log_densities

if TYPE_CHECKING:
    import xarray as xr

FALSE_DISCOVERIES = 0.01  # share of the points that are called, and are the model's after all
DRAWS = 100
CANDIDATES = 1000  # points that are looked at under all draws
LOO_POINTS = 1000
LOO_DRAWS = 1000


def farness(values: Array, posterior: Posterior) -> Array:
    r"""P-value of each point (N,) under each draw (S,): how far it is from the component that it is nearest to.

    .. math:: p = P\big(\chi^2_D \ge \min_k (x - \mu_k)' \Sigma_k^{-1} (x - \mu_k)\big)

    A point of the model is no farther from its nearest component than from its own, so p is uniform or larger.
    """
    tables = posterior.tables()
    x = (values - posterior.standard.shift) / posterior.standard.scale
    out = np.empty((posterior.n_draws, len(x)))
    for s in range(posterior.n_draws):
        steps = np.einsum("kij,nkj->nki", tables.root[s], x[:, None, :] - tables.mean[s])
        out[s] = scipy.special.gammaincc(x.shape[1] / 2, (steps**2).sum(axis=-1).min(axis=-1) / 2)
    return out


def unexplained(fit: "xr.DataTree") -> list[Finding]:
    """Points that lie farther from all components than a point of the model would: one call in a hundred is false.

    References
    ----------
    .. [1] Benjamini & Hochberg (1995), J. R. Stat. Soc. B 57(1), 289-300.
    """
    from scipy.stats import false_discovery_control

    points, posterior = observed(fit), as_modelled(fit).thin(DRAWS)
    p_value = farness(points.values, posterior.thin(1))[0]
    near = np.argsort(p_value)[:CANDIDATES]
    p_value[near] = farness(points.values[near], posterior).mean(axis=0)
    rate = false_discovery_control(np.minimum(2 * p_value, 1.0))
    called = np.flatnonzero(rate < FALSE_DISCOVERIES)
    if not called.size:
        return []
    called = called[np.argsort(rate[called], kind="stable")]
    rows = listing([_plain(points.index[i]) for i in called])
    one = called.size == 1
    who = f"One point lies where the model expects none: row {rows}."
    what = who if one else f"{called.size} points lie where the model expects none: rows {rows}."
    why = "They may be errors, or a group that the model lacks; unexplained points distort the components."
    advice = "Check them; then correct them, leave them out, or try one more component."
    evidence = {"rows": [_plain(points.index[i]) for i in called], "p_values": p_value[called].tolist()}
    return [Finding("doubt", "unexplained points", what, why, advice, evidence)]


def _plain(label: object) -> Any:
    return label.item() if hasattr(label, "item") else label


def leave_one_out(fit: "xr.DataTree") -> tuple[LeftOut, IntArray]:
    """Points that are left out of the fit, and which rows they are.

    Of at most 1,000 points, evenly spaced, and 1,000 draws: quicker than ``compare``, and enough to find such points.

    References
    ----------
    .. [1] Vehtari, Gelman & Gabry (2017), Stat. Comput. 27(5), 1413-1432.
    """
    values, opened = observed(fit).values, Opened(fit, as_modelled(fit), info(fit))
    total = opened.posterior.n_draws
    rows = np.linspace(0, len(values) - 1, min(len(values), LOO_POINTS)).round().astype(int)
    draws = np.linspace(0, total - 1, min(total, LOO_DRAWS)).round().astype(int)
    few = opened.posterior.thin(LOO_DRAWS)
    log = log_densities(few.standard.blocks(values[rows]), few.tables()).T - few.standard.log_scale
    with np.errstate(all="ignore"):
        elpd, khat, effective = leave_outs(opened, draws)(log)
    error = float(elpd.std() * len(elpd) ** 0.5)
    khat = np.where(np.isnan(khat), np.inf, khat)
    return LeftOut(elpd, khat, float(elpd.sum()), error, float(effective.sum())), rows


def influential(fit: "xr.DataTree") -> list[Finding]:
    """Points that weigh much: to leave one out would move the posterior farther than its draws can tell."""
    points = observed(fit)
    try:
        left_out, rows = leave_one_out(fit)
    except ValueError:  # ArviZ's, where all draws are copies of a few
        return []
    khat, limit = left_out.khat, khat_limit(min(unpack(fit).n_draws, LOO_DRAWS))
    high = rows[np.argsort(-khat, kind="stable")][: int((khat > limit).sum())]
    if not high.size:
        return []
    shown = listing([_plain(points.index[i]) for i in high])
    one = high.size == 1
    what = (
        f"{'One point weighs' if one else f'{high.size} points weigh'} much in the fit (Pareto k-hat up to "
        f"{khat.max():.2f}; it should stay below {limit:.2f}): row{'' if one else 's'} {shown}."
    )
    why = "Without such a point the posterior would be another one, and leave-one-out comparisons are rough there."
    advice = "Look at it: is it an error?" if one else "Look at them: are they errors?"
    evidence = {"rows": [_plain(points.index[i]) for i in high], "pareto_khat": float(khat.max()), "limit": limit}
    severity = "note" if high.size <= max(1, len(khat) // 50) else "doubt"
    return [Finding(severity, "influential points", what, why, advice, evidence)]


def rounding(fit: "xr.DataTree") -> list[Finding]:
    """Columns that are rounded so coarsely that a component is as narrow as a step."""
    points, p = observed(fit), aligned(fit).thin(DRAWS).parameters
    counted = p.weight > 1 / len(points.values)
    worst = []
    for j, name in enumerate(points.columns):
        step = rounded_to(points.values[:, j])
        sd = float(np.median(np.where(counted, np.sqrt(p.covariance[..., j, j]), np.inf).min(axis=1)))
        if step > sd:
            told = f"{name!r} comes in steps of {step:.3g}, and a component's standard deviation is {sd:.2g}"
            worst.append((step / sd, told))
    if not worst:
        return []
    worst.sort(reverse=True)
    what = f"Rounding shows: {'; '.join(text for _, text in worst[:3])}."
    why = "A density that is as narrow as a step describes the rounding and not the thing that was measured."
    advice = "Try fewer components, or a prior that expects wider ones."
    severity = "doubt" if worst[0][0] > 2 else "note"
    return [Finding(severity, "rounding", what, why, advice, {"ratio": worst[0][0]})]
