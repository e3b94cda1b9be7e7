"""Checks of the data against the model: columns, tails, pairs of columns, distances."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from hashlib import blake2b
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import scipy  # its parts are imported when they are used
from numpy.typing import NDArray

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
from bayesgmm.predictions.imputations import latent_draws
from bayesgmm.sweep.matrices import cholesky
from bayesgmm.sweep.stats import Array, draw_responsibilities

if TYPE_CHECKING:
    import xarray as xr

MAX_POINTS = 2000  # with more, the tests also find misfits that are too small to matter
MAX_DRAWS, MIN_DRAWS = 100, 10
WORK = 10_000_000  # maximum number of evaluations of a normal distribution function: about two seconds
LEVEL = 0.05  # probability of a false alarm in any of the tests of a correct model
SEVERE = 1e-6  # p-value below which a misfit is a problem, not a warning
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
        P-value of this comparison.
    adjusted : float
        P-value corrected for the number of comparisons (Holm).
    outside : float
        For ``'tails'``: the share of points below the 1 % or above the 99 % quantile, averaged over the draws.
    """

    kind: str
    columns: tuple[str, ...]
    p_value: float
    adjusted: float = float("nan")
    outside: float = float("nan")


_LAST: dict[bytes, list[tuple[Misfit, tuple[int, ...]]]] = {}  # the last comparisons, by a digest of their numbers


def compared(fit: "xr.DataTree") -> tuple[Array, NDArray[np.bool_], Posterior]:
    """Return evenly spaced points and draws for the comparisons, few enough for a few seconds.

    Missing values, and those with errors of measurement, are drawn for each draw of the parameters, given what was
    measured [1]_: under a correct model the completed rows are rows of the model, also if values are missing at random.

    Values of rounded columns are spread evenly over their rounding steps.

    Returns
    -------
    (n, D) or (S, n, D) float
        The points; those of each draw, if values are drawn.
    (n, D) bool
        Values that are the same in each draw.
    Posterior
        S draws.

    Raises
    ------
    DataError
        When rows have weights: a row is then not one point, and p-values would be wrong.

    References
    ----------
    .. [1] Gelman, Van Mechelen, Verbeke, Heitjan & Meulders (2005), Biometrics 61(1), 74-85.
    """
    points, posterior = observed(fit), as_modelled(fit)
    if points.weights is not None:
        raise DataError(
            "the rows have weights, so a row is not one point and can't be compared with points of the model\n"
            "  Try a fit to data in which each row is repeated as often as its weight says."
        )
    k, d = posterior.parameters.mean.shape[1:]
    n_points = min(len(points.values), MAX_POINTS)
    each = n_points * k * (d + d + d * (d - 1))  # evaluations for one draw
    posterior = posterior.thin(int(np.clip(WORK // each, MIN_DRAWS, MAX_DRAWS)))
    points = points.take(np.linspace(0, len(points.values) - 1, n_points).round().astype(int))
    points = replace(points, values=unrounded(points.values))
    blocks = posterior.standard.blocks(points)
    if blocks.latent is None:
        return points.values, np.ones(points.values.shape, dtype=bool), posterior
    return latent_draws(posterior, points, posterior.n_draws, 0), blocks.exact(), posterior


def misfits(fit: "xr.DataTree") -> list[Misfit]:
    """Compare the data of a fit with the model in all ways, and return the p-values."""
    x, _, posterior = compared(fit)
    found = [
        replace(misfit, columns=tuple(posterior.columns[j] for j in places)) for misfit, places in _tests(x, posterior)
    ]
    adjusted = holm(np.array([misfit.p_value for misfit in found]))
    return [replace(misfit, adjusted=float(p)) for misfit, p in zip(found, adjusted, strict=True)]


def _tests(x: Array, posterior: Posterior) -> list[tuple[Misfit, tuple[int, ...]]]:
    """Return all comparisons with the places of their columns; those of the last call, if its numbers were the same.

    A report needs them for its findings and for a figure.
    """
    p, standard = posterior.parameters, posterior.standard
    digest = blake2b()
    for numbers in (x, p.weight, p.mean, p.covariance, standard.shift, standard.scale):
        digest.update(repr(numbers.shape).encode() + np.ascontiguousarray(numbers).tobytes())
    key = digest.digest()
    found = _LAST.get(key)
    if found is None:
        found = list(_tested(x, posterior))
        _LAST.clear()
        _LAST[key] = found
    return found


def _tested(x: Array, posterior: Posterior) -> Iterator[tuple[Misfit, tuple[int, ...]]]:
    """Make all comparisons: of each column, of each pair, and of all columns."""
    parameters, places = posterior.parameters, range(len(posterior.columns))
    label, k = drawn_labels(x, posterior), parameters.weight.shape[1]
    for j in places:
        u, inside = rosenblatt(x, parameters, [j])[..., 0], deviations(x, posterior, label, [j])[..., 0]
        yield Misfit("margin", (), float(combine(either(evenness(u), shape(inside, label, k))))), (j,)
        outside = float(((u < TAIL) | (u > 1 - TAIL)).mean())
        yield Misfit("tails", (), float(combine(tails(u))), outside=outside), (j,)
    for i, j in combinations(places, 2):
        u, inside = rosenblatt(x, parameters, [i, j]), scipy.special.ndtr(deviations(x, posterior, label, [i, j]))
        p_values = either(dependence(u[..., 0], u[..., 1]), within(inside[..., 0], inside[..., 1], label, k))
        yield Misfit("pair", (), float(combine(p_values))), (i, j)
    if len(places) > 1:
        far = distances(rosenblatt(x, parameters))
        yield Misfit("distance", (), float(combine(evenness(far)))), tuple(places)


def deviations(x: Array, posterior: Posterior, label: IntArray, columns: list[int]) -> Array:
    """(S, n, d) deviation of each point from its component's mean, in standard deviations, given earlier columns."""
    p, rows = posterior.parameters, np.arange(posterior.n_draws)[:, None]
    inverse = np.linalg.inv(cholesky(p.covariance[..., columns, :][..., columns]))  # of few: there are S K components
    away = x[..., columns] - p.mean[..., columns][rows, label]
    return np.asarray(np.einsum("snij,snj->sni", inverse[rows, label], away))


def drawn_labels(x: Array, posterior: Posterior, seed: int = 0) -> IntArray:
    """(S, n) component of each point (n, D) or (S, n, D) under each draw, drawn with its responsibilities."""
    tables, standard = posterior.tables(), posterior.standard
    if x.ndim == 2:
        share = draw_responsibilities(standard.blocks(x), tables)
    else:
        share = np.concatenate([draw_responsibilities(standard.blocks(own), tables.draw(s)) for s, own in enumerate(x)])
    share = share.cumsum(axis=-1)
    uniform = np.random.default_rng(seed).random(share.shape[:-1])
    return (uniform[..., None] * share[..., -1:] > share).sum(axis=-1)


def margins(fit: "xr.DataTree") -> Array:
    """(D, n) posterior mean of each column's distribution function at the points: uniform under a correct model.

    Values that are drawn have that of one draw: a mean over draws would be near a half.
    """
    x, exact, posterior = compared(fit)
    n, d = exact.shape
    one, out = np.arange(n) % posterior.n_draws, np.empty((d, n))
    for j in range(d):
        u = rosenblatt(x, posterior.parameters, [j])[..., 0]
        out[j] = np.where(exact[:, j], u.mean(axis=0), u[one, np.arange(n)])
    return out


def predictive_misfit(fit: "xr.DataTree") -> list[Finding]:
    """Find misfit between data and model; false alarms occur in at most 5 % of fits of the correct model."""
    every = misfits(fit)
    findings = []
    for kind, sentences in SENTENCES.items():
        bad = sorted((m for m in every if m.kind == kind and m.adjusted < LEVEL), key=lambda m: m.adjusted)
        if bad:
            findings.append(_finding(fit, kind, bad, sentences, len(every)))
    return findings


def _finding(fit: "xr.DataTree", kind: str, bad: list[Misfit], sentences: tuple[str, str], tests: int) -> Finding:
    what, why = sentences
    shown = "; ".join(_named(misfit) for misfit in bad[:SHOWN])
    more = f"; and {len(bad) - SHOWN} more" if len(bad) > SHOWN else ""
    return Finding(
        "problem" if bad[0].adjusted < SEVERE else "warning",
        "predictive fit",
        f"{what}: {shown}{more}.",
        why,
        _advice(fit, kind, bad[0]),
        {"kind": kind, "misfits": [vars(misfit) for misfit in bad], "tests": tests},
    )


SENTENCES = {
    "margin": (
        "The distribution of single columns does not fit",
        "Densities and anomaly scores are wrong in these columns, and some components may only correct a shape.",
    ),
    "tails": (
        "The tails do not fit",
        "The share of extreme points is not what the model predicts, so p-values of anomalies are wrong.",
    ),
    "pair": (
        "The dependence between columns does not fit",
        "Clusters and densities do not describe the dependence between these columns.",
    ),
    "distance": (
        "The joint distribution of all columns does not fit",
        "Densities and anomaly scores are wrong, even where each single column fits.",
    ),
}


def _named(misfit: Misfit) -> str:
    p = f"p = {misfit.adjusted:.2g}" if misfit.adjusted >= 1e-16 else "p < 1e-16"
    if misfit.kind == "distance":
        return p
    names = " and ".join(repr(name) for name in misfit.columns)
    if misfit.kind == "tails":
        return f"{names} has {misfit.outside:.1%} of its points in the tails, where {2 * TAIL:.0%} are expected ({p})"
    return f"{names} ({p})"


def _advice(fit: "xr.DataTree", kind: str, worst: Misfit) -> str:
    model = info(fit).model
    restricted = model is not None and model.covariance != "full"
    if kind == "pair" and restricted:
        return "Try covariance='full'. plots.check(fit) shows the misfit."
    if kind == "tails" and worst.outside > 2 * TAIL:
        return (
            "Try one more component for the extreme points, or a transformation such as the logarithm. "
            "plots.check(fit) shows the misfit."
        )
    return "Try more components, or a transformation of these columns. plots.check(fit) shows the misfit."
