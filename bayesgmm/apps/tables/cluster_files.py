"""The files of ``cluster``: tables, a summary, the fit, a report and figures."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from bayesgmm.apps.tables.answer_section import answer_section
from bayesgmm.apps.tables.cluster_words import all_words, answer_words, method_words, verdict_words
from bayesgmm.apps.tables.found_clusters import FoundClusters
from bayesgmm.apps.tables.selection_section import selection_section
from bayesgmm.apps.tables.table_section import table_section
from bayesgmm.files import in_place_of, made_folder, write_csv, write_picture
from bayesgmm.posterior import schema
from bayesgmm.wording import plural

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FILES = (
    "clusters.csv",
    "overview.csv",
    "profiles.csv",
    "cross_tables.csv",
    "choices.csv",
    "summary.txt",
    "fit.nc",
    "report.html",
    "clusters.png",
    "choices.png",
)
SECTIONS = ("clusters", "findings", "fitted", "again", "cite", "terms")
"""Sections of the report on the fit that follow the answer; ``bayesgmm report`` writes all of them."""
WHOLE = "The complete report on this fit, with its chains and its predictions: bayesgmm report fit.nc -o fit.html"


def write_clusters(found: FoundClusters, folder: Path, progress: bool, wording: Callable[[str], str]) -> list[Path]:
    """Write everything into a folder; return the paths."""
    from bayesgmm import plots

    folder = made_folder(folder, FILES)
    write_csv(found.with_table(), folder / "clusters.csv", index=False)
    write_csv(found.overview.rename_axis("cluster"), folder / "overview.csv")
    write_csv(found.profiles, folder / "profiles.csv")
    write_csv(found.cross, folder / "cross_tables.csv", index=False)
    write_csv(found.choices, folder / "choices.csv", index=False)
    with in_place_of(folder / "summary.txt") as partial:
        partial.write_text("\n".join(map(wording, all_words(found))) + "\n", encoding="utf-8")
    schema.save(found.fit, folder / "fit.nc")
    _write_report(found, folder / "report.html", progress, wording)
    distance = found.partition["expected_distance"].values
    _draw(
        plots.separation(found.table.rows, found.partition["label"].values, distance, found.names),
        folder / "clusters.png",
    )
    _draw(plots.selection(found.choices), folder / "choices.png")
    return [folder / name for name in FILES]


def _write_report(found: FoundClusters, path: Path, progress: bool, wording: Callable[[str], str]) -> None:
    from bayesgmm.reports import report

    rows = plural(len(found.table.rows), "row")
    many = plural(found.n_clusters, "cluster" if found.is_separate else "overlapping group")
    *answer, _ = map(wording, answer_words(found))
    opening = [
        answer_section(found, answer, wording(verdict_words(found.findings))),
        selection_section([*map(wording, method_words(found)), WHOLE], found.choices),
        *([table_section(found.table.check, wording)] if found.table.check is not None else []),
    ]
    title = f"{many} in {rows}"
    report(
        found.fit,
        path,
        title=title,
        opening=opening,
        sections=SECTIONS,
        findings=found.findings,
        progress=progress,
    )


def _draw(figure: "Figure", path: Path) -> None:
    import matplotlib.pyplot as plt

    write_picture(figure, path)
    plt.close(figure)
