"""On what evidence there are so many clusters: the opening of a report."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from bayesgmm.plots.selection import selection
from bayesgmm.reports.blocks import Block, Grid, Items, Picture
from bayesgmm.reports.pages import Filled
from bayesgmm.reports.pictures import picture

if TYPE_CHECKING:
    import pandas as pd

SHOWN = 10  # choices in the table
READINGS = {
    "bic": "BIC asks how many Gaussians the density takes; a difference of 10 is strong evidence.",
    "icl": "ICL adds what the assignments leave in doubt: it asks how many clusters are apart.",
}


def evidence(words: Sequence[str], choices: "pd.DataFrame") -> Filled:
    """How clusters came about, and every choice that was tried, by BIC and by ICL.

    Parameters
    ----------
    words : sequence of str
        What was done and found, a sentence each.
    choices : DataFrame
        As ``select`` returns it, the best first.
    """
    blocks: list[Block] = [Items(tuple(words))]
    if len(choices) > 1:
        blocks += [_table(choices), *(_picture(choices, criterion) for criterion in READINGS)]
    return Filled("evidence", "How the clusters were found", blocks)


def _table(choices: "pd.DataFrame") -> Grid:
    best = choices.head(SHOWN)
    rows = zip(best["n_components"], best["covariance"], best["bic"], best["icl"], strict=True)
    return Grid(
        f"The best by BIC of {len(choices)} choices. Lower is better.",
        ("components", "covariance", "BIC", "ICL"),
        tuple((str(k), str(family), _number(bic), _number(icl)) for k, family, bic, icl in rows),
        note="ICL is BIC and twice the entropy of the assignments.",
    )


def _number(value: float) -> str:
    return f"{value:,.1f}" if np.isfinite(value) else "no fit"


def _picture(choices: "pd.DataFrame", criterion: str) -> Picture:
    best = choices.loc[choices[criterion].idxmin()]
    many = "1 component" if best["n_components"] == 1 else f"{best['n_components']} components"
    what = f"{criterion.upper()} is that of {many} of covariance {best['covariance']!r}"
    return picture(
        lambda: selection(choices, criterion),
        title=f"{criterion.upper()} over the number of components",
        alt=f"{criterion.upper()} of {len(choices)} choices; the lowest {what}.",
        reading=f"{READINGS[criterion]} A line is a kind of covariance, the ring the lowest value.",
        verdict=f"The lowest {what}: {best[criterion]:,.1f}.",
    )
