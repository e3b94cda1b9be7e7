"""Diagnosis of a fit: a registry of checks, each a function from a fit to findings."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bayesgmm.diagnosis import (
    components,
    engines,
    measurement,
    mixing,
    modes,
    points,
    predictions,
    priors,
    tempering,
)
from bayesgmm.errors import choose
from bayesgmm.findings import Finding, Findings
from bayesgmm.posterior import chain_statistics, draws
from bayesgmm.posterior.arguments import FitLike, takes_fit
from bayesgmm.posterior.info import declaration, info
from bayesgmm.posterior.schema import holds_points, observed, unpack
from bayesgmm.predictions.cross_validation import MIN_DRAWS
from bayesgmm.progress import track

if TYPE_CHECKING:
    import xarray as xr


def _chains(fit: "xr.DataTree") -> str:
    if draws.size(fit) == (1, 1):
        return "a point estimate has no chains"
    return "its draws are independent and form no chains" if draws.approximate(fit) else ""


def _long_chains(fit: "xr.DataTree") -> str:
    if reason := _chains(fit):
        return reason
    return "fewer than 4 draws per chain" if draws.size(fit)[1] < chain_statistics.MIN_DRAWS else ""


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
    return "" if known else "the fit does not store which trajectories reached the maximum tree depth"


def _points(fit: "xr.DataTree") -> str:
    return "" if holds_points(fit) else "the fit holds no observed data"


def _complete(fit: "xr.DataTree") -> str:
    if reason := _points(fit):
        return reason
    points = observed(fit)
    if points.has_gaps:
        return "cells are missing"
    return "" if points.is_exact else "the values have errors of measurement"


def _unweighted(fit: "xr.DataTree") -> str:
    if reason := _points(fit):
        return reason
    return "" if observed(fit).weights is None else "rows have weights, so a row is not one point"


def _weighted(fit: "xr.DataTree") -> str:
    if draws.size(fit) == (1, 1):
        return "a point estimate has no intervals"
    return _points(fit) or ("rows have no weights" if observed(fit).weights is None else "")


def _labelled(fit: "xr.DataTree") -> str:
    if reason := _points(fit):
        return reason
    return "no rows have labels" if observed(fit).labels is None else ""


def _several_components(fit: "xr.DataTree") -> str:
    return _points(fit) or ("there is one component" if fit["posterior"].sizes["component"] == 1 else "")


def _many_draws(fit: "xr.DataTree") -> str:
    if reason := _unweighted(fit):
        return reason
    if unpack(fit).n_draws < MIN_DRAWS:
        return f"fewer than {MIN_DRAWS} draws"
    far = engines.approximation(fit) and info(fit).notes.resampled is None
    return "the approximation is too far from the posterior for leave-one-out" if far else ""


def _prior_known(fit: "xr.DataTree") -> str:
    if info(fit).model is None:
        return "the fit stores no declaration, so its priors are unknown"
    if declaration(fit).weights.draws_n_components:
        return "the number of components differs between draws, so prior densities can't be compared"
    if unpack(fit).n_draws < MIN_DRAWS:
        return f"fewer than {MIN_DRAWS} draws"
    stored = all(draws.statistic(fit, name) is not None for name in ("lp", "loglik"))
    return _points(fit) if stored else "the fit stores no log posterior and log likelihood"


def _tempered(fit: "xr.DataTree") -> str:
    return "" if info(fit).notes.tempering is not None else "the draws are not from parallel tempering"


def _truncated(fit: "xr.DataTree") -> str:
    if info(fit).truncation is not None:
        return ""
    return f"the prior of the weights is {'unknown' if info(fit).model is None else 'not a truncated process'}"


def _approximated(fit: "xr.DataTree") -> str:
    return "" if info(fit).notes.pareto_khat is not None else "the draws are not from an approximation by bayesgmm"


@dataclass(frozen=True)
class Check:
    """A check of a fit.

    Parameters
    ----------
    run : callable
        Returns the findings for a fit.
    obstacle : callable
        Returns the reason why the check is not possible for a fit; empty if it is possible.
    """

    run: Callable[["xr.DataTree"], list[Finding]]
    obstacle: Callable[["xr.DataTree"], str]


CHECKS: dict[str, Check] = {
    "mixing": Check(mixing.mixing, _chains),
    "chains": Check(mixing.single_chain, _chains),
    "modes": Check(modes.modes_or_note, _several_chains),
    "divergences": Check(mixing.divergences, _divergences),
    "energy": Check(mixing.energy, _energies),
    "tree depth": Check(mixing.tree_depth, _depths),
    "tempering": Check(tempering.round_trips, _tempered),
    "approximation": Check(engines.approximation_or_note, _approximated),
    "last stick": Check(components.last_stick, _truncated),
    "empty components": Check(components.emptied, _points),
    "thin components": Check(components.thin, _points),
    "missing values": Check(measurement.missing_values, _points),
    "hidden spread": Check(measurement.hidden_spread, _points),
    "wrong labels": Check(measurement.wrong_labels, _labelled),
    "labels": Check(components.labels, _several_components),
    "prior": Check(priors.prior_sensitivity, _prior_known),
    "predictive fit": Check(predictions.predictive_misfit, _unweighted),
    "unexplained points": Check(points.unexplained, _complete),
    "influential points": Check(points.influential, _many_draws),
    "rounding": Check(points.rounding, _points),
    "row weights": Check(points.counted, _weighted),
}


@takes_fit
def diagnose(fit: FitLike, checks: Sequence[str] | None = None, *, progress: bool = True) -> Findings:
    """Run checks on a fit; each finding has a severity, an explanation and advice.

    It works for fits by every engine, including point estimates, and for traces of PyMC. A check that is not possible
    for a fit is skipped, and ``.skipped`` gives the reason. To limit the time for large data, the comparison of the
    data with the model uses at most 2,000 points and 100 draws, and leave-one-out at most 1,000 points and 1,000 draws.

    Parameters
    ----------
    fit : DataTree or estimator
    checks : sequence of str, optional
        Names of the checks to run. Default: all.
    progress : bool
        Show a progress bar after two seconds.

    Returns
    -------
    Findings
        A sequence of ``Finding``, the most severe first, that prints as text. ``verdict`` is a summary in a few
        sentences, and ``table`` a DataFrame.

    Raises
    ------
    FitFileError
        When ``fit`` is not a fit.
    UnknownName
        When there is no such check.

    Examples
    --------
    >>> import bayesgmm as bg
    >>> x = [[-1.0], [0.0], [1.0], [2.0], [9.0], [10.0], [11.0]]
    >>> fit = bg.fit(bg.MixtureModel(2, "tied"), x, "em", progress=False)
    >>> findings = bg.diagnose(fit, ["mixing", "labels"], progress=False)
    >>> findings.passed, findings.skipped
    (('labels',), {'mixing': 'a point estimate has no chains'})
    """
    unpack(fit)  # raises FitFileError, before any check
    names = list(CHECKS) if checks is None else [name for name in checks if choose(name, CHECKS, "check")]
    findings: list[Finding] = []
    passed, skipped = [], {}
    for name in track(names, "checks", progress):
        if reason := CHECKS[name].obstacle(fit):
            skipped[name] = reason
            continue
        new = CHECKS[name].run(fit)
        findings += new
        passed += [] if new else [name]
    if checks is None:
        findings += engines.stored_warnings(fit, findings)
    return Findings(findings, passed, skipped)
