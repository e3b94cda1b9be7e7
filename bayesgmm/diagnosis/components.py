"""Components that are empty, thin, singular or without meaning, and sticks that were cut off too early."""

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
from bayesgmm.posterior.info import FitInfo, info
from bayesgmm.posterior.schema import observed
from bayesgmm.priors.weights import DirichletProcess, PitmanYor, SparseDirichlet
from bayesgmm.sweep.stats import Array, draw_responsibilities

if TYPE_CHECKING:
    import xarray as xr

LAST_STICK = 0.01  # weight of the last stick of a truncated process from which it is too short
DRAWS = 200
POINTS = 1000
OFTEN = 0.5  # share of the draws
NARROW = 1e-3  # of the data's own spread in some direction
EMPTYING = (SparseDirichlet, DirichletProcess, PitmanYor)  # priors that want components empty


def cut_off(facts: FitInfo) -> list[Finding]:
    """Check the weight of the last stick of a truncated process, which represents all that were left out."""
    truncation, model = facts.truncation, facts.model
    if truncation is None or model is None or truncation.last_weight < LAST_STICK:
        return []
    last, count = truncation.last_weight, model.n_components
    return [
        Finding(
            "doubt",
            "last stick",
            f"The last of {count} sticks holds {last:.1%} of the mass: the process was cut off too early.",
            "It stands for all the components that were left out.",
            f"Try n_components={2 * count}, or a smaller concentration.",
            asdict(truncation),
        )
    ]


def last_stick(fit: "xr.DataTree") -> list[Finding]:
    """``cut_off`` of what the fit stores."""
    return cut_off(info(fit))


def shares(fit: "xr.DataTree") -> tuple[Array, Array]:
    """Responsibilities (S, n, K) of some points under some draws, labels aligned, and what each point stands for."""
    points, posterior = observed(fit), aligned(fit).thin(DRAWS)
    weights = np.ones(len(points.values)) if points.weights is None else points.weights
    at = evenly(np.flatnonzero(weights > 0), POINTS)
    weights = weights[at]
    blocks = posterior.standard.blocks(points.values[at])
    return draw_responsibilities(blocks, posterior.tables()), weights * points.total_weight / weights.sum()


def emptied(fit: "xr.DataTree") -> list[Finding]:
    """Components that hold no point in most draws, whichever they are."""
    share, weights = shares(fit)
    occupied = (np.einsum("snk,n->sk", share, weights) >= 1).sum(axis=1)
    total, usual = share.shape[2], int(np.median(occupied))
    if usual == total:
        return []
    model = info(fit).model
    wanted = model is not None and isinstance(model.weights, EMPTYING)
    what = f"{total - usual} of {total} components hold no point in most draws: {usual} are occupied."
    why = (
        "That is what the prior of the weights is for."
        if wanted
        else "The mean and covariance of an empty component come from the prior alone and have no meaning."
    )
    advice = "" if wanted else f"Try n_components={max(1, usual)}, or a SparseDirichlet prior, which expects it."
    counts = np.bincount(occupied, minlength=total + 1) / len(occupied)
    return [
        Finding("note" if wanted else "doubt", "empty components", what, why, advice, {"occupied": counts.tolist()})
    ]


def thin(fit: "xr.DataTree") -> list[Finding]:
    """Components on fewer points than a covariance needs, or flat in some direction."""
    share, weights = shares(fit)
    counts = np.einsum("snk,n->sk", share, weights)
    names = fit["posterior"].coords["component"].values
    d = fit["posterior"].sizes["feature"]
    model = info(fit).model
    family = COVARIANCES["full"] if model is None else model.family
    needed = family.points_needed(d)
    usual = np.median(counts, axis=0)
    few = np.flatnonzero((usual >= 1) & (usual < needed - 0.05))  # by what is shown of it
    width = np.median(narrowness(fit), axis=0)
    flat = np.flatnonzero((width < NARROW) & (usual >= 1))
    found = []
    if few.size:
        told = ", ".join(f"component {names[k]} holds {usual[k]:.1f}" for k in few)
        columns = "1 column" if d == 1 else f"{d} columns"
        what = f"Few points: {told}; a {family.name!r} covariance of {columns} takes {needed} or more."
        why = "Its covariance is mostly the prior's, and it may be a handful of outliers and not a cluster."
        found.append(
            Finding("doubt", "thin components", what, why, "Try fewer components.", {"points": usual.tolist()})
        )
    if flat.size:
        told = ", ".join(f"component {names[k]} ({width[k]:.1g} of the data's)" for k in flat)
        what = f"Nearly singular, much narrower than the data in some direction: {told}."
        why = "The density is very high on a thin slice: such a spike mostly describes repeated or dependent values."
        advice = "Try fewer components, a stronger prior of the covariances, or drop columns that others determine."
        found.append(Finding("doubt", "thin components", what, why, advice, {"width": width.tolist()}))
    return found


def narrowness(fit: "xr.DataTree") -> Array:
    """(S, K) the least spread of a component in any direction, as a share of the data's spread there."""
    values, p = observed(fit).counted, aligned(fit).thin(DRAWS).parameters
    sd = values.std(axis=0)
    sd = np.where(sd > 0, sd, 1.0)
    z = (values - values.mean(axis=0)) / sd
    variance, axes = np.linalg.eigh(z.T @ z / len(z))
    whiten = axes / np.sqrt(np.maximum(variance, 1e-12)) / sd[:, None]
    return np.sqrt(np.maximum(np.linalg.eigvalsh(whiten.T @ p.covariance @ whiten)[..., 0], 0.0))


def labels(fit: "xr.DataTree") -> list[Finding]:
    """Check that labels are well determined, by what relabelling stored, or else by relabelling now."""
    told = info(fit).labels
    if told is None or told.doubtful_weight is None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FitWarning)  # the finding says it
            told = info(relabel(fit, progress=False)).labels
    return meaningless(told)
