"""The commands ``anomalies`` and ``cluster``: complete analyses of a table."""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bayesgmm.cli.completion import CONJUGATE, FITS, METHODS, STRUCTURES, TABLES, either, files, one_of
from bayesgmm.cli.options import Columns, DataFile
from bayesgmm.cli.printed_tables import print_frame, show
from bayesgmm.cli.session import records
from bayesgmm.cli.tables import Drop, Id, Keep, TransformOption, chosen, show_check
from bayesgmm.cli.terminal import (
    as_options,
    check_other,
    chosen_columns,
    names_of,
    record,
    refuse,
    remark,
    say,
    session,
    wrote,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd

    from bayesgmm.apps.tables.anomaly_files import FlagCounts
    from bayesgmm.apps.tables.clusters import Clusters
    from bayesgmm.apps.tables.detectors import Detector
    from bayesgmm.apps.tables.flagging import Rule
    from bayesgmm.apps.tables.judging import Anomalies
    from bayesgmm.findings import Findings

OTHERS = tuple(name for name in STRUCTURES if name not in CONJUGATE)
SHOWN = 10  # uncertain rows
SHOWN_COLUMNS = 3
SPECIAL = "what is special"  # heading
TRAINING = {
    "new",
    "save",
    "columns",
    "drop",
    "id",
    "keep",
    "components",
    "covariance",
    "transform",
    "background",
    "method",
    "time",
    "report",
    "seed",
}  # options


def anomalies(
    data: DataFile,
    output: Annotated[
        Path,
        typer.Option("-o", "--output", help="Output file for the flagged rows (.csv).", show_default=False),
    ],
    new: Annotated[
        Path | None,
        typer.Option(
            help="Second table, whose rows are tested; the rows of the first table are then assumed to be regular.",
            autocompletion=files(*TABLES),
        ),
    ] = None,
    fit: Annotated[
        Path | None,
        typer.Option(help="Saved fit to compare the table with, instead of a new fit.", autocompletion=files(*FITS)),
    ] = None,
    fdr: Annotated[
        float | None,
        typer.Option(
            help="False discovery rate: expected share of regular rows among the flagged rows. (default: 0.05)"
        ),
    ] = None,
    alpha: Annotated[float | None, typer.Option(help="Instead of --fdr: maximum p-value of a flagged row.")] = None,
    top: Annotated[int | None, typer.Option(help="Instead of --fdr: number of rows to flag.")] = None,
    contamination: Annotated[
        float | None, typer.Option(help="Instead of --fdr: share of the rows to flag, at most 0.5.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Write all rows, not only the flagged ones.")] = False,
    report: Annotated[
        Path | None, typer.Option(help="Output folder for an HTML report, a picture and a table of events.")
    ] = None,
    save: Annotated[
        Path | None, typer.Option(help="Output file for the fit (.nc); --fit reads it.", autocompletion=files(*FITS))
    ] = None,
    columns: Columns = None,
    drop: Drop = None,
    id: Id = None,  # noqa: A002
    keep: Keep = None,
    components: Annotated[
        str | None,
        typer.Option("-k", "--components", help="Number of components, or 1-9. (default: chosen on held-out rows)"),
    ] = None,
    covariance: Annotated[
        str,
        typer.Option(
            help=f"Covariance: {either(CONJUGATE)}; with --method em also {either(OTHERS)}.",
            autocompletion=one_of(*STRUCTURES),
        ),
    ] = "tied",
    transform: TransformOption = "auto",
    background: Annotated[
        float | None, typer.Option(help="Share of outliers in the table. (default: 0.05 if that reduces the error)")
    ] = None,
    method: Annotated[str, typer.Option(help=f"Inference: {either(METHODS)}.", autocompletion=one_of(*METHODS))] = "vb",
    time: Annotated[
        str | None,
        typer.Option(help="Column by which rows are ordered, to group them in events. (default: the column of dates)"),
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same rows.")] = 0,
) -> None:
    """Find anomalous rows of a table, with a reason for each."""
    from bayesgmm.apps.tables.anomaly_files import judge_file
    from bayesgmm.apps.tables.columns import usable_table
    from bayesgmm.apps.tables.detectors import fit_detector
    from bayesgmm.apps.tables.flagging import Rule
    from bayesgmm.apps.tables.model_choice import COMPONENTS
    from bayesgmm.files import writable
    from bayesgmm.posterior import schema
    from bayesgmm.priors.backgrounds import Background
    from bayesgmm.screening.checks import data_check

    rule: dict[str, Any] = {"fdr": fdr, "alpha": alpha, "top": top, "contamination": contamination}
    description = Rule.of(**rule)
    check_other(writable(output, ".csv"), data, new, fit)
    found: Anomalies | None = None
    if fit is not None:
        refuse(TRAINING, "can't be used with --fit: the table is compared with the saved fit")
        parts: Iterable[Anomalies] = judge_file(schema.load(fit), data, **rule)
    else:
        _check_files(data, new, report, save)
        check = data_check(data, chosen_columns(columns), drop=chosen(drop), id=chosen(id), keep=chosen(keep))
        show_check(check)
        detector = fit_detector(
            usable_table(check),
            n_components=COMPONENTS if components is None else components,
            covariance=covariance,
            transform=transform,
            background=None if background is None else Background(share=background),
            method=method,
            time=time,
            seed=seed,
            calibrated=new is not None,
        )
        _show_detector(detector)
        if save is not None:
            wrote(schema.save(detector.fit, save))
        if new is None:
            found = detector.judge(**rule)
            parts = [found]
        else:
            parts = judge_file(detector.fit, new, **rule)
    _write_anomalies(found, parts, output, everything, description, report)


def _check_files(data: Path, new: Path | None, report: Path | None, save: Path | None) -> None:
    """Check the files of a new fit before the work."""
    from bayesgmm.apps.tables.anomaly_report import FILES
    from bayesgmm.data.tables import require_file
    from bayesgmm.files import writable, writable_folder
    from bayesgmm.posterior import schema

    if new is not None:
        refuse({"report"}, "can't be used with --new")
    if report is not None:
        writable_folder(report, FILES)
    if save is not None:
        check_other(writable(save, *schema.FORMATS), data, new)
    if new is not None:
        require_file(new)


def _write_anomalies(
    found: "Anomalies | None",
    parts: "Iterable[Anomalies]",
    output: Path,
    everything: bool,
    rule: "Rule",
    report: Path | None,
) -> None:
    """Write the flagged rows of all parts, print them, and write the report of a table that is judged as a whole."""
    import matplotlib as mpl

    from bayesgmm.apps.tables.anomaly_files import write_flagged
    from bayesgmm.apps.tables.anomaly_report import save_anomalies

    count = write_flagged(parts, output, everything)
    _show_flagged(count, rule)
    _show_events(found)
    findings = None if found is None else _show_verdict(found)
    wrote(output, count.rows if everything else count.flagged)
    if report is not None and found is not None:
        mpl.use("Agg")
        for path in save_anomalies(found, report, wording=as_options, findings=findings):
            wrote(path)


def _show_verdict(found: "Anomalies") -> "Findings":
    """Print whether the p-values hold, and what the checks of the mixture found."""
    from bayesgmm.apps.tables.anomaly_verdict import findings_of, verdict

    findings = findings_of(found)
    lines = [as_options(line) for line in verdict(found, findings)]
    for line in lines:
        say(line)
    record(verdict=lines)
    return findings


def _show_events(found: "Anomalies | None") -> None:
    from bayesgmm.apps.tables.events import event_words

    if found is not None and (words := event_words(found.events, int(found.rows["anomaly"].sum()))):
        say(words)
        events = found.events.drop(columns="reason")
        shown = events.assign(p_value=[f"{p:.2g}" for p in events["p_value"]]).head(SHOWN)
        show(shown, f"Events by {found.time}", name="events", values=found.events)


def _show_flagged(count: "FlagCounts", rule: "Rule") -> None:
    if count.flagged:
        show(_formatted(count.first), "Smallest p-values", name="smallest_p_values", values=count.first, saved=True)
    missing = f"; {count.rows - count.judged} without values" if count.judged < count.rows else ""
    say(f"{count.flagged} of {count.judged} rows flagged ({rule}){missing}")
    record(n_rows=count.rows, n_judged=count.judged, n_flagged=count.flagged)


def _show_detector(detector: "Detector") -> None:
    for line in detector.table.words_on_rows():
        say(line, err=True)
    model = detector.fit["posterior"].sizes["component"]
    for line in detector.words():
        remark(as_options(line))
    record(n_components=model, columns=list(detector.table.columns), tried=records(detector.choices))


def _formatted(rows: "pd.DataFrame") -> "pd.DataFrame":
    return rows.assign(p_value=[f"{p:.2g}" for p in rows["p_value"]]).rename_axis("row")


def cluster(
    data: DataFile,
    output: Annotated[Path, typer.Option("-o", "--output", help="Output folder.", show_default=False)] = Path(
        "clusters"
    ),
    columns: Columns = None,
    drop: Drop = None,
    id: Id = None,  # noqa: A002
    keep: Keep = None,
    components: Annotated[
        str, typer.Option("-k", "--components", help="Numbers of components to try: 3, or 1-9, or 2,4,8.")
    ] = "1-9",
    covariance: Annotated[
        str, typer.Option(help="Covariance families to try, separated by commas.")
    ] = "full,tied,diag",
    transform: TransformOption = "auto",
    method: Annotated[
        str | None,
        typer.Option(
            help="Inference for the chosen mixture. (default: nuts, or vb where nuts takes minutes)",
            autocompletion=one_of(*METHODS),
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same clusters.")] = 0,
) -> None:
    """Find the clusters of a table: their number, profiles and uncertainty, with a report."""
    import matplotlib as mpl

    from bayesgmm.apps.tables.cluster_files import FILES
    from bayesgmm.apps.tables.clusters import cluster_table
    from bayesgmm.errors import FitWarning
    from bayesgmm.files import writable_folder
    from bayesgmm.screening.checks import data_check

    writable_folder(output, FILES)
    mpl.use("Agg")
    check = data_check(data, chosen_columns(columns), drop=chosen(drop), id=chosen(id), keep=chosen(keep))
    show_check(check)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)  # the answer ends with the verdict
        clusters = cluster_table(
            check,
            n_components=components,
            covariance=names_of(covariance),
            transform=transform,
            method=method,
            seed=seed,
        )
    _show_clusters(clusters)
    for path in clusters.save(output, wording=as_options):
        wrote(path)


def _show_clusters(clusters: "Clusters") -> None:
    first, *rest = clusters.answer()
    for line in (*clusters.table.words_on_rows(), first):
        say(as_options(line))
    if not session().json:
        print_frame(_overview(clusters), texts=(SPECIAL,))
    for line in (*(line for line in rest if not line.startswith("cluster ")), "", *clusters.method()):
        say(as_options(line))
    _show_uncertain(clusters)
    record(
        n_clusters=clusters.n_clusters,
        names=clusters.names,
        verdict=as_options(clusters.verdict),
        columns=list(clusters.table.columns),
        overview=records(clusters.overview.rename_axis("cluster")),
        profiles=records(clusters.profiles),
        uncertain_rows=[str(label) for label in clusters.uncertain_rows.index],
    )


def _show_uncertain(clusters: "Clusters") -> None:
    from bayesgmm.apps.tables.answer_section import shown_columns

    rows = clusters.uncertain_rows
    if len(rows) and not session().json:
        shown = ["cluster", "expected_distance", *shown_columns(clusters)[:SHOWN_COLUMNS]]
        table = rows[[name for name in shown if name in rows]].head(SHOWN).rename_axis("row")
        show(table, "Rows with the most uncertain cluster", saved=True)


def _overview(clusters: "Clusters") -> "pd.DataFrame":
    from bayesgmm.apps.tables.profiles import description

    shown = clusters.overview[["size", "share", "uncertain", "silhouette"]].rename_axis("cluster")
    words = {"size": "{:,}", "share": "{:.0%}", "uncertain": "{}", "silhouette": "{:.2f}"}
    shown = shown.assign(**{name: [*map(form.format, shown[name])] for name, form in words.items()})
    special = [description(clusters.profiles, int(str(k))) for k in shown.index]
    return shown.replace("nan", "").rename(columns={"size": "rows"}).assign(**{SPECIAL: special})
