"""Diagnosis: what may be wrong with a fit, in words; every check a function of the fit."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bayesgmm.diagnosis import components, engines, mixing, modes, points, predictions, priors
from bayesgmm.errors import choose
from bayesgmm.findings import Finding, Findings
from bayesgmm.posterior import draws
from bayesgmm.posterior.info import FitInfo, info
from bayesgmm.posterior.schema import holds_points, observed, unpack
from bayesgmm.predictions.cross_validation import MIN_DRAWS
from bayesgmm.progress import track

if TYPE_CHECKING:
    import xarray as xr

Needs = Callable[["xr.DataTree"], str]


def _chains(fit: "xr.DataTree") -> str:
    if draws.size(fit) == (1, 1):
        return "a point estimate has no chains"
    return "its draws are independent: they form no chains" if draws.approximate(fit) else ""


def _long_chains(fit: "xr.DataTree") -> str:
    if reason := _chains(fit):
        return reason
    return "fewer than 4 draws per chain" if draws.size(fit)[1] < mixing.LEAST_DRAWS else ""


def _several_chains(fit: "xr.DataTree") -> str:
    if reason := _long_chains(fit) or _points(fit):
        return reason
    return "there is only one chain" if draws.size(fit)[0] == 1 else ""


def _energies(fit: "xr.DataTree") -> str:
    return _long_chains(fit) or ("" if draws.statistic(fit, "energy") is not None else "the fit stores no energies")


def _divergences(fit: "xr.DataTree") -> str:
    if reason := _chains(fit):
        return reason
    return "" if draws.statistic(fit, "diverging") is not None else "the fit stores no divergences"


def _depths(fit: "xr.DataTree") -> str:
    if reason := _chains(fit):
        return reason
    known = draws.statistic(fit, "reached_max_treedepth", "maxdepth_reached") is not None
    return "" if known else "the fit does not store which trajectories were cut short"


def _points(fit: "xr.DataTree") -> str:
    return "" if holds_points(fit) else "the fit holds no observed data"


def _unweighted(fit: "xr.DataTree") -> str:
    if reason := _points(fit):
        return reason
    return "" if observed(fit).weights is None else "rows have weights: a row is then not one point"


def _several_components(fit: "xr.DataTree") -> str:
    return _points(fit) or ("there is one component" if fit["posterior"].sizes["component"] == 1 else "")


def _many_draws(fit: "xr.DataTree") -> str:
    if reason := _unweighted(fit):
        return reason
    if unpack(fit).n_draws < MIN_DRAWS:
        return f"fewer than {MIN_DRAWS} draws"
    far = engines.approximation(fit) and info(fit).notes.resampled is None
    return "the approximation is too far from the posterior to leave points out" if far else ""


def _prior_known(fit: "xr.DataTree") -> str:
    if info(fit).model is None:
        return "the fit stores no declaration, so its priors are not known"
    if unpack(fit).n_draws < MIN_DRAWS:
        return f"fewer than {MIN_DRAWS} draws"
    stored = all(draws.statistic(fit, name) is not None for name in ("lp", "loglik"))
    return _points(fit) if stored else "the fit stores no log posterior and log likelihood"


def _truncated(fit: "xr.DataTree") -> str:
    return "" if info(fit).truncation is not None else "the weights' prior is no truncated process, or is not known"


def _approximated(fit: "xr.DataTree") -> str:
    return "" if info(fit).notes.pareto_khat is not None else "the draws do not come from an approximation by bayesgmm"


def _told(fit: "xr.DataTree") -> str:
    return "" if info(fit) != FitInfo() else "the fit stores nothing of how it was made"


@dataclass(frozen=True)
class Check:
    """A check, and why it can't be made of a fit ('' when it can)."""

    run: Callable[["xr.DataTree"], list[Finding]]
    lacks: Needs


CHECKS: dict[str, Check] = {
    "mixing": Check(mixing.mixing, _chains),
    "chains": Check(mixing.lone_chain, _chains),
    "modes": Check(modes.different_modes, _several_chains),
    "divergences": Check(mixing.divergences, _divergences),
    "energy": Check(mixing.energy, _energies),
    "tree depth": Check(mixing.tree_depth, _depths),
    "approximation": Check(engines.approximation, _approximated),
    "last stick": Check(components.last_stick, _truncated),
    "empty components": Check(components.emptied, _points),
    "thin components": Check(components.thin, _points),
    "labels": Check(components.labels, _several_components),
    "prior": Check(priors.ruling_prior, _prior_known),
    "predictive fit": Check(predictions.predictive_misfit, _unweighted),
    "unexplained points": Check(points.unexplained, _points),
    "influential points": Check(points.influential, _many_draws),
    "rounding": Check(points.rounding, _points),
}


def diagnose(fit: "xr.DataTree", checks: Sequence[str] | None = None, *, progress: bool = True) -> Findings:
    """Run checks on a fit; each finding has a severity, an explanation and advice.

    Works for every engine, for a point estimate, and for a trace that PyMC made; a check that this fit gives nothing
    to is skipped, and says why (``.skipped``). The comparison of the data with the model looks at 2,000 points and at
    100 draws at most, leave-one-out at 1,000 points and 1,000 draws, so that large data take seconds too.

    Parameters
    ----------
    fit : DataTree
    checks : sequence of str, optional
        Names of the checks to make. Default: all.
    progress : bool
        Show a bar where it takes longer than two seconds, on a terminal.

    Returns
    -------
    Findings
        A sequence of ``Finding``, the worst first; ``print`` it. ``verdict`` says in a few sentences whether to trust
        the fit, ``table`` is a DataFrame.

    Raises
    ------
    FitFileError
        When it is no fit.
    UnknownName
        When there is no such check.
    """
    unpack(fit)  # no fit: one error, here
    names = list(CHECKS) if checks is None else [name for name in checks if choose(name, CHECKS, "check")]
    found: list[Finding] = []
    passed, skipped = [], {}
    for name in track(names, "checks", progress):
        if reason := CHECKS[name].lacks(fit):
            skipped[name] = reason
            continue
        seen = CHECKS[name].run(fit)
        found += seen
        passed += [] if seen else [name]
    if checks is None:
        found += engines.said(fit, found)
    return Findings(found, passed, skipped)
