"""Checks of the components: empty, with few points, nearly singular, with undetermined labels; early truncation."""

import warnings
from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np

from bayesgmm.errors import FitWarning
from bayesgmm.families.structures import COVARIANCES
from bayesgmm.findings import Finding
from bayesgmm.labels.label_confusion import meaningless
from bayesgmm.labels.relabelling import aligned, relabel
from bayesgmm.labels.subsamples import evenly
from bayesgmm.posterior.draws import number_varies
from bayesgmm.posterior.info import FitInfo, info
from bayesgmm.posterior.schema import observed
from bayesgmm.priors.weights import DirichletProcess, FiniteMixture, PitmanYor, SparseDirichlet
from bayesgmm.sweep.imputation import imputed
from bayesgmm.sweep.stats import Array, draw_responsibilities

if TYPE_CHECKING:
    import xarray as xr

LAST_STICK = 0.01  # weight of the last stick from which the truncation of a process may be too early
SEVERAL = 0.5  # probability of several points in the last stick from which results move: see ``cut_off``
MUCH_LONGER = 10  # a process is not truncated at more than this many times the number of components
DRAWS = 200
POINTS = 1000
NARROW = 1e-3  # standard deviation below which a component is nearly singular, as a share of the data's
EMPTYING = SparseDirichlet, DirichletProcess, PitmanYor, FiniteMixture  # under these, empty components are intended


def cut_off(facts: FitInfo, n_rows: float = np.inf) -> list[Finding]:
    """Check the last stick of a truncated process: it represents all components beyond the truncation.

    It is an approximation only where it holds several points. If that is improbable, the finding is a note. On the
    galaxies, a probability of 0.31 (Pitman-Yor, 12 sticks) moves no probability of a number of clusters by more than
    0.04, and one of 0.66 (Dirichlet process, 4 sticks) moves one by 0.3 (``python -m evidence truncation``). The advice
    is at most ``n_rows`` components.
    """
    effect, model = facts.truncation, facts.model
    if effect is None or model is None or model.n_components == 1 or effect.last_weight < LAST_STICK:
        return []
    last, count = effect.last_weight, model.n_components
    what, why = f"The last of {count} sticks has {last:.1%} of the weight", "The last stick represents all components"
    advice, evidence = _longer(count, effect.mass, n_rows), asdict(effect)
    if effect.several_points is None or effect.several_points >= SEVERAL:
        what += ": the process is truncated too early."
        return [Finding("warning", "last stick", what, f"{why} beyond the truncation.", advice, evidence)]
    what += f", but holds several points only with probability {effect.several_points:.2f}."
    why += " beyond the truncation; results would hardly change with more of them."
    return [Finding("note", "last stick", what, why, advice, evidence)]


def _longer(count: int, mass: float, n_rows: float) -> str:
    """Advise a truncation at which the last stick has little weight, or a smaller concentration, or both.

    The expected prior weight of the last stick decreases by about the same factor with each stick.
    """
    if mass < LAST_STICK:  # the concentration is small: the data need more components
        return f"Try n_components={int(min(2 * count, n_rows))}." if count < n_rows else ""
    needed = np.inf if mass >= 1 else 1 + (count - 1) * np.log(LAST_STICK) / np.log(mass)
    if needed > min(MUCH_LONGER * count, n_rows):
        return f"Try a smaller concentration: under this one, about {needed:,.0f} components would be needed."
    longer = int(min(max(2 * count, 10 * np.ceil(needed / 10)), n_rows))
    return f"Try n_components={longer}, or a smaller concentration."


def last_stick(fit: "xr.DataTree") -> list[Finding]:
    """Check the truncation of a process, by what the fit stores."""
    rows = fit["observed_data"].sizes["point"] if "observed_data" in fit.children else np.inf
    return cut_off(info(fit), rows)


def shares(fit: "xr.DataTree") -> tuple[Array, Array]:
    """Return responsibilities (S, n, K) of some points, relabelled, and the number of points that each represents."""
    points, posterior = observed(fit), aligned(fit).thin(DRAWS)
    weights = np.ones(len(points.values)) if points.weights is None else points.weights
    at = evenly(np.flatnonzero(weights > 0), POINTS)
    weights = weights[at]
    blocks = posterior.standard.blocks(points.take(at))
    return draw_responsibilities(blocks, posterior.tables()), weights * points.total_weight / weights.sum()


def emptied(fit: "xr.DataTree") -> list[Finding]:
    """Check for components that hold no point in most draws."""
    share, weights = shares(fit)
    occupied = (np.einsum("snk,n->sk", share, weights) >= 1).sum(axis=1)
    total, usual = share.shape[2], int(np.median(occupied))
    if usual == total:
        return []
    model = info(fit).model
    intended = model is not None and isinstance(model.weights, EMPTYING)
    what = f"{total - usual} of {total} components hold no point in most draws: {usual} are occupied."
    why = (
        "This is the purpose of the prior of the weights."
        if intended
        else "The mean and covariance of an empty component come from the prior alone and have no meaning."
    )
    advice = (
        "" if intended else f"Try n_components={max(1, usual)}, or a SparseDirichlet prior, which expects empty ones."
    )
    counts = np.bincount(occupied, minlength=total + 1) / len(occupied)
    return [
        Finding("note" if intended else "warning", "empty components", what, why, advice, {"occupied": counts.tolist()})
    ]


def thin(fit: "xr.DataTree") -> list[Finding]:
    """Check for components with fewer points than a covariance needs, and for nearly singular ones."""
    share, weights = shares(fit)
    counts = np.einsum("snk,n->sk", share, weights)
    names = fit["posterior"].coords["component"].values
    d = fit["posterior"].sizes["feature"]
    model = info(fit).model
    family = COVARIANCES["full"] if model is None else model.family
    needed = family.points_needed(d)
    usual = np.median(counts, axis=0)
    few = np.flatnonzero((usual >= 1) & (usual < needed - 0.05))  # compared as rounded in the message
    width = np.median(narrowness(fit), axis=0)
    flat = np.flatnonzero((width < NARROW) & (usual >= 1))
    findings = []
    if few.size:
        described = ", ".join(f"component {names[k]} holds {usual[k]:.1f}" for k in few)
        columns = "1 column" if d == 1 else f"{d} columns"
        what = f"Few points: {described}; a {family.name!r} covariance of {columns} needs at least {needed}."
        why = "Such a covariance depends mostly on the prior, and such a component may be a few outliers."
        evidence: dict[str, object] = {"points": usual.tolist()}
        findings.append(Finding("warning", "thin components", what, why, "Try fewer components.", evidence))
    if flat.size:
        described = ", ".join(f"component {names[k]} ({width[k]:.1g} of the data's)" for k in flat)
        what = f"Nearly singular, with a small standard deviation in some direction: {described}."
        why = "The density is very high there. Usual causes are repeated values, or columns that determine each other."
        advice = "Try fewer components, a stronger prior of the covariances, or drop columns that others determine."
        findings.append(Finding("warning", "thin components", what, why, advice, {"width": width.tolist()}))
    return findings


def narrowness(fit: "xr.DataTree") -> Array:
    """(S, K) smallest ratio of a component's standard deviation to that of the data, over all directions."""
    points, posterior = observed(fit), aligned(fit).thin(DRAWS)
    values = imputed(posterior.standard.blocks(points.take(points.counts))).rows() * posterior.standard.scale
    p, sd = posterior.parameters, values.std(axis=0)
    sd = np.where(sd > 0, sd, 1.0)
    z = (values - values.mean(axis=0)) / sd
    variance, axes = np.linalg.eigh(z.T @ z / len(z))
    whiten = axes / np.sqrt(np.maximum(variance, 1e-12)) / sd[:, None]
    return np.sqrt(np.maximum(np.linalg.eigvalsh(whiten.T @ p.covariance @ whiten)[..., 0], 0.0))


def labels(fit: "xr.DataTree") -> list[Finding]:
    """Check that labels are well determined, by what relabelling stored; if nothing is stored, relabel first."""
    if number_varies(fit):
        what = "The number of components differs between draws, so labels of components are only a guide."
        why = "A component that is not in every draw has no weight, mean and covariance of its own."
        advice = "Use bg.condition(fit, n_clusters=3), for example: it returns the draws with three clusters, labelled."
        return [Finding("note", "labels", what, why, advice, {})]
    stored = info(fit).labels
    if stored is None or stored.doubtful_weight is None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FitWarning)  # the finding has the same text
            stored = info(relabel(fit, progress=False)).labels
    return meaningless(stored)
