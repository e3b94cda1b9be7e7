"""Checks of how the points were observed: missing values, large errors of measurement, wrong labels."""

from typing import TYPE_CHECKING

import numpy as np

from bayesgmm.engines import ENGINES
from bayesgmm.findings import Finding
from bayesgmm.labels.relabelling import aligned
from bayesgmm.posterior.draws import size
from bayesgmm.posterior.info import info
from bayesgmm.posterior.schema import holds_points, observed
from bayesgmm.predictions.label_errors import REFIT, judged_labels, possibly_wrong
from bayesgmm.wording import listing, plural

if TYPE_CHECKING:
    import xarray as xr

DRAWS = 200
NAMED = 5  # labels that a finding names
CHANCE = 0.01  # probability below which so many uncertain labels are not by chance
HIDDEN = 0.05  # standard deviation below which a component's spread is hidden, as a share of that of the errors


def missing_values(fit: "xr.DataTree") -> list[Finding]:
    """Say how many values are missing, which may be a mistake in the data."""
    points = observed(fit)
    if not points.has_gaps:
        return []
    why = "That is right if values are missing at random: not because of what they are."
    advice = "bg.plots.missing shows which ones; bg.impute estimates them."
    cells = np.isnan(points.values)
    evidence: dict[str, object] = {"missing": dict(zip(points.columns, cells.sum(axis=0).tolist(), strict=True))}
    what = f"{points.gap_words()}."
    return [Finding("note", "missing values", what[0].upper() + what[1:], why, advice, evidence)]


def hidden_spread(fit: "xr.DataTree") -> list[Finding]:
    """Check for components that are much narrower than the errors of measurement: their covariances are undetermined.

    The likelihood is then highest at a spread of zero, an edge of what is possible.
    """
    if not holds_points(fit) or (points := observed(fit)).noise is None:
        return []
    errors = np.median(points.error_covariances, axis=0)
    measured = np.flatnonzero(np.diagonal(errors) > 0)
    if not measured.size:
        return []
    p = aligned(fit).thin(DRAWS).parameters
    covariance = p.covariance[..., measured[:, None], measured]
    value, vector = np.linalg.eigh(errors[np.ix_(measured, measured)])
    white = vector / np.sqrt(np.maximum(value, 1e-12 * value.max()))
    narrowest = np.sqrt(np.maximum(np.linalg.eigvalsh(white.T @ covariance @ white)[..., 0], 0.0))
    ratio = np.median(narrowest, axis=0)
    hidden = np.flatnonzero(ratio < HIDDEN)
    if not hidden.size:
        return []
    names = fit["posterior"].coords["component"].values
    each = listing([f"component {names[k]} is {ratio[k]:.1g} typical errors" for k in hidden]).replace("'", "")
    what = f"In some direction the errors of measurement explain all of the spread: the standard deviation of {each}."
    why = "The covariance there is at the edge of what is possible, zero, and says little about the true spread."
    posterior = "Look at its credible interval, and set the scale of the prior of the covariances."
    advice = posterior
    if size(fit) == (1, 1):
        can = not ENGINES["nuts"].refused(info(fit).model)
        advice = "Try method='nuts', whose intervals say how large it may be." if can else "Try fewer components."
    return [Finding("warning", "hidden spread", what, why, advice, {"ratio": ratio.tolist()})]


def wrong_labels(fit: "xr.DataTree") -> list[Finding]:
    """Find rows whose label is more likely wrong than right, by their values and all other labels."""
    from scipy.special import pdtrc

    table, expected, unsure = judged_labels(fit)
    found = table[table["wrong"] > 0.5]
    possible = []
    if len(unsure):
        rows: dict[str, object] = {"rows": unsure.index.tolist(), "khat": unsure["khat"].tolist()}
        why = "The fit has seen the label, and reweighting its draws as if it had not is then imprecise."
        possible = [Finding("note", "wrong labels", possibly_wrong(unsure), why, REFIT, rows)]
    if found.empty:
        return possible
    each = [f"row {row} is {of.label!r}, probably {of.component!r}" for row, of in found[:NAMED].iterrows()]
    more = f" and {len(found) - NAMED} more" if len(found) > NAMED else ""
    many = plural(len(found), "label is", "labels are")
    what = f"{many} more likely wrong than right, if 1 in 100 is wrong: {'; '.join(each)}{more}."
    why = "A wrong label moves its component. Right labels of rows that lie between components can look wrong, too."
    advice = "bg.label_errors gives the probability for each row. Check these labels, and leave wrong ones out."
    by_chance = pdtrc(len(found) - 1, expected) > CHANCE
    evidence: dict[str, object] = {"rows": found.index.tolist(), "wrong": found["wrong"].tolist(), "expected": expected}
    return [Finding("note" if by_chance else "warning", "wrong labels", what, why, advice, evidence), *possible]
