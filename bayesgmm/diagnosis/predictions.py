"""Checks of the data against the model: columns, tails, pairs of columns, distances."""

from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import scipy  # its parts are imported when they are used

from bayesgmm.diagnosis.discrepancies import (
    TAIL,
    IntArray,
    combine,
    dependence,
    either,
    evenness,
    holm,
    shape,
    tails,
    within,
)
from bayesgmm.diagnosis.rosenblatt import distances, rosenblatt, unrounded
from bayesgmm.errors import DataError
from bayesgmm.findings import Finding
from bayesgmm.posterior.contamination import as_modelled
from bayesgmm.posterior.info import info
from bayesgmm.posterior.schema import Posterior, observed
from bayesgmm.sweep.stats import Array, cholesky, draw_responsibilities

if TYPE_CHECKING:
    import xarray as xr

MOST_POINTS = 2000  # more show misfits that no answer suffers from
MOST_DRAWS, LEAST_DRAWS = 100, 10
WORTH = 10_000_000  # distribution functions of one component at one point: some two seconds
LEVEL = 0.05  # chance that any of the tests of a right model raises a false alarm
HOPELESS = 1e-6  # below, the model is wrong beyond doubt
SHOWN = 3


@dataclass(frozen=True)
class Misfit:
    """One comparison of the data with the model.

    Parameters
    ----------
    kind : str
        ``'margin'``, ``'tails'``, ``'pair'`` or ``'distance'``.
    columns : tuple of str
    p_value : float
        Of this comparison alone.
    adjusted : float
        Corrected for how many comparisons there are.
    outside : float
        Of tails: the share of points in the lowest and highest hundredth, averaged over the draws.
    """

    kind: str
    columns: tuple[str, ...]
    p_value: float
    adjusted: float = float("nan")
    outside: float = float("nan")


def thinned(fit: "xr.DataTree") -> tuple[Array, Posterior]:
    """Points (n, D) and draws that the comparisons look at: evenly spaced, so many that it takes a few seconds.

    Rounded columns are spread over their steps.

    Raises
    ------
    DataError
        When rows have weights: a row is then not one point, and p-values would mean nothing.
    """
    points, posterior = observed(fit), as_modelled(fit)
    if points.weights is not None:
        raise DataError(
            "the rows have weights: a row is then not one point, and can't be compared with points of the model\n"
            "  Try a fit of the rows repeated as often as they count."
        )
    values = points.values
    k, d = posterior.parameters.mean.shape[1:]
    n_points = min(len(values), MOST_POINTS)
    a_draw = n_points * k * (d + d + d * (d - 1))
    posterior = posterior.thin(int(np.clip(WORTH // a_draw, LEAST_DRAWS, MOST_DRAWS)))
    at = np.linspace(0, len(values) - 1, n_points).round().astype(int)
    return unrounded(values[at]), posterior


def misfits(fit: "xr.DataTree") -> list[Misfit]:
    """All comparisons of a fit's data with the model, with their p-values."""
    x, posterior = thinned(fit)
    parameters, names = posterior.parameters, posterior.columns
    label, k = drawn_labels(x, posterior), parameters.weight.shape[1]
    found = []
    for j, name in enumerate(names):
        u, inside = rosenblatt(x, parameters, [j])[..., 0], deviations(x, posterior, label, [j])[..., 0]
        found.append(Misfit("margin", (name,), float(combine(either(evenness(u), shape(inside, label, k))))))
        outside = float(((u < TAIL) | (u > 1 - TAIL)).mean())
        found.append(Misfit("tails", (name,), float(combine(tails(u))), outside=outside))
    for i, j in combinations(range(len(names)), 2):
        u, inside = rosenblatt(x, parameters, [i, j]), scipy.special.ndtr(deviations(x, posterior, label, [i, j]))
        p_values = either(dependence(u[..., 0], u[..., 1]), within(inside[..., 0], inside[..., 1], label, k))
        found.append(Misfit("pair", (names[i], names[j]), float(combine(p_values))))
    if len(names) > 1:
        far = distances(rosenblatt(x, parameters))
        found.append(Misfit("distance", names, float(combine(evenness(far)))))
    adjusted = holm(np.array([misfit.p_value for misfit in found]))
    return [replace(misfit, adjusted=float(p)) for misfit, p in zip(found, adjusted, strict=True)]


def deviations(x: Array, posterior: Posterior, label: IntArray, columns: list[int]) -> Array:
    """(S, n, d) how far each point is from its component's mean in its standard deviations, given columns before it."""
    p, rows = posterior.parameters, np.arange(posterior.n_draws)[:, None]
    chol = cholesky(p.covariance[..., columns, :][..., columns])[rows, label]
    away = x[None, :, columns] - p.mean[..., columns][rows, label]
    return np.linalg.solve(chol, away[..., None])[..., 0]


def drawn_labels(x: Array, posterior: Posterior, seed: int = 0) -> IntArray:
    """(S, n) a component for each point under each draw, drawn from its responsibilities."""
    share = draw_responsibilities(posterior.standard.blocks(x), posterior.tables()).cumsum(axis=-1)
    uniform = np.random.default_rng(seed).random(share.shape[:-1])
    return (uniform[..., None] * share[..., -1:] > share).sum(axis=-1)


def margins(fit: "xr.DataTree") -> Array:
    """(D, n) posterior mean of each column's own distribution function at the points, uniform under the model."""
    x, posterior = thinned(fit)
    columns = range(x.shape[1])
    return np.stack([rosenblatt(x, posterior.parameters, [j])[..., 0].mean(axis=0) for j in columns])


def predictive_misfit(fit: "xr.DataTree") -> list[Finding]:
    """Find misfit between data and model; false alarms occur in at most 5 % of fits of the correct model."""
    compared = misfits(fit)
    found = []
    for kind, say in SENTENCES.items():
        bad = sorted((m for m in compared if m.kind == kind and m.adjusted < LEVEL), key=lambda m: m.adjusted)
        if bad:
            found.append(_finding(fit, kind, bad, say, len(compared)))
    return found


def _finding(fit: "xr.DataTree", kind: str, bad: list[Misfit], say: tuple[str, str], tests: int) -> Finding:
    shown = "; ".join(_named(misfit) for misfit in bad[:SHOWN])
    more = f"; and {len(bad) - SHOWN} more" if len(bad) > SHOWN else ""
    hopeless = bad[0].adjusted < HOPELESS
    return Finding(
        "problem" if hopeless else "doubt",
        "predictive fit",
        f"{say[0]}: {shown}{more}.",
        say[1],
        _advice(fit, kind, bad[0]),
        {"kind": kind, "misfits": [vars(misfit) for misfit in bad], "tests": tests},
    )


SENTENCES = {
    "margin": (
        "The data do not look like the model's, column by column",
        "Densities and anomaly scores are off in these columns, and some components may only correct the shape.",
    ),
    "tails": (
        "The tails do not fit",
        "What the model calls rare is not as rare as it says: p-values of anomalies are off.",
    ),
    "pair": (
        "Columns depend on each other in another way than the model says",
        "Clusters and densities miss how these columns go together.",
    ),
    "distance": (
        "The points do not lie as far from the middle of things as the model says, all columns taken together",
        "Densities and anomaly scores are off, even where each column by itself looks right.",
    ),
}


def _named(misfit: Misfit) -> str:
    p = f"p = {misfit.adjusted:.2g}" if misfit.adjusted >= 1e-16 else "p < 1e-16"
    if misfit.kind == "distance":
        return p
    names = " and ".join(repr(name) for name in misfit.columns)
    if misfit.kind == "tails":
        return f"{names} has {misfit.outside:.1%} of its points where {2 * TAIL:.0%} are expected ({p})"
    return f"{names} ({p})"


def _advice(fit: "xr.DataTree", kind: str, worst: Misfit) -> str:
    model = info(fit).model
    restricted = model is not None and model.covariance != "full"
    if kind == "pair" and restricted:
        return "Try covariance='full'; plots.check(fit) shows where it is worst."
    if kind == "tails" and worst.outside > 2 * TAIL:
        return (
            "Try another component for the far points, or a transformation (a logarithm?); plots.check(fit) shows it."
        )
    return "Try more components, or a transformation of these columns; plots.check(fit) shows where it is worst."
