"""The commands that take a table all the way: to its anomalies, to its clusters."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bayesgmm.cli.completion import COVARIANCES, FITS, METHODS, TABLES, either, files, one_of
from bayesgmm.cli.selection import component_counts
from bayesgmm.cli.session import records
from bayesgmm.cli.terminal import (
    Columns,
    DataFile,
    check_other,
    names_of,
    refuse,
    remark,
    say,
    session,
    show,
    tell,
    wrote,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd

    from bayesgmm.apps.tables.anomalies import Anomalies, Learnt
    from bayesgmm.apps.tables.clusters import Clusters

SHOWN = 10  # rows in doubt
LEARNING = {"new", "save", "columns", "components", "covariance", "background", "method", "seed"}  # options of it


def anomalies(
    data: DataFile,
    output: Annotated[
        Path,
        typer.Option("-o", "--output", help="Where to write the rows that are called (.csv).", show_default=False),
    ],
    new: Annotated[
        Path | None,
        typer.Option(help="Judge these rows; those of DATA are then taken to be good.", autocompletion=files(*TABLES)),
    ] = None,
    fit: Annotated[
        Path | None,
        typer.Option(help="Judge DATA by a fit that was saved, in place of learning.", autocompletion=files(*FITS)),
    ] = None,
    fdr: Annotated[
        float | None, typer.Option(help="False discovery rate: the share of good rows among those called. (0.05)")
    ] = None,
    alpha: Annotated[float | None, typer.Option(help="In place of --fdr: all rows with so small a p-value.")] = None,
    top: Annotated[int | None, typer.Option(help="In place of --fdr: so many, the strangest.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Write every row, not only those called.")] = False,
    save: Annotated[
        Path | None, typer.Option(help="Keep what was learnt (.nc), for --fit.", autocompletion=files(*FITS))
    ] = None,
    columns: Columns = None,
    components: Annotated[
        int | None, typer.Option("-k", "--components", help="How many. (default: as many as pay)")
    ] = None,
    covariance: Annotated[
        str, typer.Option(help="full, tied, diag or spherical.", autocompletion=one_of(*COVARIANCES))
    ] = "tied",
    background: Annotated[
        float | None, typer.Option(help="Share of outliers in DATA. (default: 0.05, where that helps)")
    ] = None,
    method: Annotated[str, typer.Option(help=f"{either(METHODS)}.", autocompletion=one_of(*METHODS))] = "vb",
    seed: Annotated[int, typer.Option(help="The same seed gives the same rows.")] = 0,
) -> None:
    """Find the rows of a table that do not belong, and say why each does not."""
    from bayesgmm.apps.tables.anomalies import Rule, learn
    from bayesgmm.apps.tables.flagging import judge_file, write_flagged
    from bayesgmm.apps.tables.novelty import COMPONENTS
    from bayesgmm.data.tables import read_frame, require_file
    from bayesgmm.files import writable
    from bayesgmm.posterior import schema
    from bayesgmm.priors.backgrounds import Background

    rule: dict[str, Any] = {"fdr": fdr, "alpha": alpha, "top": top}
    said = Rule.of(**rule)
    check_other(writable(output, ".csv"), data, new, fit)
    if fit is not None:
        refuse(LEARNING, "can't go with --fit: DATA is judged by what was saved")
        found: Iterable[Anomalies] = judge_file(schema.load(fit), data, **rule)
    else:
        if save is not None:
            check_other(writable(save, *schema.FORMATS), data, new)
        if new is not None:
            require_file(new)
        settings: dict[str, Any] = {
            "columns": names_of(columns) if columns else None,
            "n_components": COMPONENTS if components is None else components,
            "covariance": covariance,
            "background": None if background is None else Background(share=background),
            "method": method,
            "seed": seed,
        }
        table = read_frame(data)
        learnt = learn(table, calibrated=new is not None, **settings)
        _say_learnt(learnt)
        if save is not None:
            wrote(schema.save(learnt.fit, save))
        found = [learnt.judged(**rule)] if new is None else judge_file(learnt.fit, new, **rule)
    count = write_flagged(found, output, everything)
    if count.called:
        show(_in_words(count.strangest), "The strangest", name="strangest", values=count.strangest, saved=True)
    missing = f"; {count.rows - count.judged} lack a value" if count.judged < count.rows else ""
    say(f"{count.called} of {count.judged} rows called ({said}){missing}")
    tell(n_rows=count.rows, n_judged=count.judged, n_called=count.called)
    wrote(output, count.rows if everything else count.called)


def _say_learnt(learnt: "Learnt") -> None:
    for line in learnt.table.words():
        say(line, err=True)
    model = learnt.fit["posterior"].sizes["component"]
    for line in learnt.words():
        remark(line)
    tell(n_components=model, columns=list(learnt.table.columns), tried=records(learnt.choices))


def _in_words(strangest: "pd.DataFrame") -> "pd.DataFrame":
    words = strangest.assign(p_value=[f"{p:.2g}" for p in strangest["p_value"]])
    return words.rename_axis("row")


def cluster(
    data: DataFile,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Folder for what it writes.", show_default=False)
    ] = Path("clusters"),
    columns: Columns = None,
    components: Annotated[str, typer.Option("-k", "--components", help="Numbers to try: 3, or 1-9, or 2,4,8.")] = "1-9",
    covariance: Annotated[str, typer.Option(help="Families to try, separated by commas.")] = "full,tied,diag",
    method: Annotated[
        str | None,
        typer.Option(
            help="What the chosen mixture is fitted by. (nuts, or vb where that takes minutes)",
            autocompletion=one_of(*METHODS),
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same clusters.")] = 0,
) -> None:
    """From a table to its clusters: how many, which rows, what each is like, how sure that is; and a report."""
    import matplotlib as mpl

    from bayesgmm.apps.tables.clusters import FILES, cluster_table
    from bayesgmm.data.tables import read_frame
    from bayesgmm.files import writable_folder

    writable_folder(output, FILES)
    mpl.use("Agg")
    found = cluster_table(
        read_frame(data),
        columns=names_of(columns) if columns else None,
        n_components=component_counts(components),
        covariance=names_of(covariance),
        method=method,
        seed=seed,
    )
    for line in found.words():
        say(line)
    _show_clusters(found)
    for path in found.save(output):
        wrote(path)


def _show_clusters(found: "Clusters") -> None:
    doubtful = found.in_doubt
    if len(doubtful) and not session().json:
        show(doubtful.head(SHOWN).rename_axis("row"), "Rows in doubt", saved=True)
    tell(
        n_clusters=found.partition.attrs["n_clusters"],
        columns=list(found.table.columns),
        profiles=records(found.profiles),
        rows_in_doubt=[str(label) for label in doubtful.index],
    )
