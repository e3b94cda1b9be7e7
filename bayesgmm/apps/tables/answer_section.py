"""Report section that opens the report of ``cluster``: the answer, in one picture and one table; cross tables."""

from typing import TYPE_CHECKING

import numpy as np

from bayesgmm.apps.tables.cross_tables import cell_words
from bayesgmm.apps.tables.found_clusters import FoundClusters
from bayesgmm.plots.separation import separation, separation_data
from bayesgmm.plots.style import colour
from bayesgmm.reports.blocks import Block, Grid, Items, Paragraph
from bayesgmm.reports.pages import Filled
from bayesgmm.reports.pictures import picture
from bayesgmm.wording import number_in_words, plural

if TYPE_CHECKING:
    from collections.abc import Sequence


SHOWN = 6  # columns whose medians are shown
CROSSED = 8  # columns with a cross table
NAMED = 2  # columns in the description of a picture


def answer_section(found: FoundClusters, answer: "Sequence[str]", verdict: str) -> Filled:
    """Make the section: how many clusters, their uncertainty, one picture, the table of clusters, the verdict.

    Parameters
    ----------
    found : Clusters
    answer : sequence of str
        Sentences of the answer; the first says how many clusters there are.
    verdict : str
        Verdict of the checks in one line.
    """
    how_many, *rest = [_sentence(text) for text in answer]
    sure = [text for text in rest if not text.startswith(("Cluster ", "Column "))]
    blocks: list[Block] = [Paragraph(f"{how_many} {' '.join(sure[:1])}", "lead"), Paragraph(_sentence(verdict), "lead")]
    each = [text for text in rest if text.startswith("Cluster ")]
    blocks += [_picture(found), Items(tuple(each)), _table(found), *([Items(tuple(sure[1:]))] if sure[1:] else [])]
    return Filled("answer", "The clusters", [*blocks, *_cross(found)])


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}" + ("" if text.endswith(".") else ".")


def _picture(found: FoundClusters) -> Block:
    label, distance = found.partition["label"].values, found.partition["expected_distance"].values
    data = separation_data(found.table.rows, label, distance)
    shown = " and ".join(data["feature"].values)
    uncertain, lacking = plural(int(data["uncertain"].sum()), "row"), len(label) - data.sizes["point"]
    left_out = (
        f" {plural(lacking, 'row')} without a value in these columns {'is' if lacking == 1 else 'are'} not drawn."
    )
    return picture(
        lambda: separation(found.table.rows, label, distance, found.names),
        title=f"The clusters in {shown}",
        alt=f"{plural(found.n_clusters, 'cluster')} in {shown}; {uncertain} with a ring.",
        reading=f"Each cluster has a colour and a marker. Of all columns, {shown} separate the clusters best. A ring "
        "marks a row whose cluster is uncertain. Clusters that overlap here may be separate in other columns."
        + (left_out if lacking else ""),
        verdict=f"In these columns {100 * data.attrs['right']:.0f} % of a row's neighbours are in its cluster, "
        f"averaged over the clusters; {uncertain} {'is' if uncertain == '1 row' else 'are'} uncertain.",
        vectors=False,
    )


def _table(found: FoundClusters) -> Grid:
    """One column for each cluster: its size, its medians, its uncertainty."""
    overview, columns = found.overview, shown_columns(found)
    sizes = zip(overview["size"], overview["share"], strict=True)
    rows = [("rows", *(f"{size:,} ({100 * share:.0f} %)" for size, share in sizes))]
    medians = found.profiles["median"].unstack("cluster")
    rows += [(name, *map(number_in_words, medians.loc[name])) for name in columns]
    rows.append(("uncertain rows", *(f"{count:,}" for count in overview["uncertain"])))
    rows.append(("uncertainty", *(f"{value:.2f}" for value in overview["expected_distance"])))
    if np.isfinite(overview["silhouette"]).all():
        rows.append(("silhouette", *(f"{value:.2f}" for value in overview["silhouette"])))
    some = " of the columns that differ most" if len(columns) < len(found.table.columns) else ""
    return Grid(
        f"The clusters: sizes, medians{some}, and uncertainty.",
        ("", *(f"cluster {k}" for k in overview.index)),
        tuple(rows),
        note="Uncertainty is the mean expected distance of the rows by the model, from 0 (certain) to 1. The "
        "silhouette compares distances to the own and to the nearest other cluster: 1 is far, 0 as close, negative "
        "closer. Names are proposals, from the columns in which the median differs most from that of the other rows, "
        "in standard deviations within clusters.",
        colours=(None, *(colour(int(k)) for k in overview.index)),
    )


def shown_columns(found: FoundClusters) -> list[str]:
    """Return the columns with the largest differences between clusters, in the order of the table."""
    largest = found.profiles["difference"].abs().groupby(level="column", sort=False).max()
    best = set(largest.sort_values(ascending=False, kind="stable").head(SHOWN).index)
    return [name for name in found.table.columns if name in best]


def _cross(found: FoundClusters) -> list[Block]:
    names = found.cross["column"].unique()[:CROSSED] if len(found.cross) else []
    if not len(names):
        return []
    clusters = [*found.overview.index]
    rows = []
    for name in names:
        part = found.cross[found.cross["column"] == name]
        cells = [cell_words(part[part["cluster"] == k]) if (part["cluster"] == k).any() else "" for k in clusters]
        rows.append((str(name), f"{part['association'].iloc[0]:.2f}", *cells))
    headings = ("column", "association", *(f"cluster {k}" for k in clusters))
    grid = Grid(
        "Columns that were not used, in each cluster: the most frequent values with their shares (of two values, "
        "the second), or medians.",
        headings,
        tuple(rows),
        note="Association is Cramér's V, from 0 (none) to 1; all values and their counts are in cross_tables.csv.",
        colours=(None, None, *(colour(int(k)) for k in clusters)),
    )
    return [grid]
