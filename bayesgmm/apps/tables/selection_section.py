"""Report section on the number of clusters: the models compared, by BIC and ICL."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from bayesgmm.model_selection.shortlists import SAMPLED
from bayesgmm.plots.selection import selection
from bayesgmm.reports.blocks import Block, Grid, Items
from bayesgmm.reports.pages import Filled
from bayesgmm.reports.pictures import picture

if TYPE_CHECKING:
    import pandas as pd

SHOWN = 10  # models in the table
READINGS = {
    "bic": "BIC selects the number of Gaussians that the density needs; a difference of 10 is strong evidence.",
    "icl": "ICL adds a penalty for uncertain assignments: it selects the number of separated clusters.",
}


def selection_section(words: Sequence[str], choices: "pd.DataFrame") -> Filled:
    """Make the section: how the clusters were found, and every model that was tried, by BIC and ICL.

    Parameters
    ----------
    words : sequence of str
        Sentences about the analysis and its result.
    choices : DataFrame
        Table from ``select``, the best model first.
    """
    blocks: list[Block] = [Items(tuple(words))]
    if len(choices) > 1:
        blocks += [_table(choices), *(_picture(choices, criterion) for criterion in READINGS)]
    return Filled("evidence", "How the clusters were found", blocks)


def _table(choices: "pd.DataFrame") -> Grid:
    best = choices[choices["search"] != SAMPLED].head(SHOWN)
    rows = zip(best["n_components"], best["covariance"], best["bic"], best["icl"], strict=True)
    return Grid(
        f"The models with the lowest BIC, of {len(choices)}. Lower is better.",
        ("components", "covariance", "BIC", "ICL"),
        tuple((str(k), str(family), _number(bic), _number(icl)) for k, family, bic, icl in rows),
        note="ICL is BIC plus twice the entropy of the assignments.",
    )


def _number(value: float) -> str:
    return f"{value:,.1f}" if np.isfinite(value) else "fit failed"


def _picture(choices: "pd.DataFrame", criterion: str) -> Block:
    best = choices.loc[choices[criterion].idxmin()]
    many = "1 component" if best["n_components"] == 1 else f"{best['n_components']} components"
    what = f"{criterion.upper()}: {many} with covariance {best['covariance']!r}"
    return picture(
        lambda: selection(choices, criterion),
        title=f"{criterion.upper()} over the number of components",
        alt=f"{criterion.upper()} of {len(choices)} models. Lowest {what}.",
        reading=f"{READINGS[criterion]} Each line is a covariance family; the ring marks the lowest value.",
        verdict=f"Lowest {what}; {best[criterion]:,.1f}.",
    )
