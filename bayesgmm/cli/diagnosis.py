"""The command ``diagnose``: problems of a fit."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bayesgmm.cli.data import check_picture, check_table, write
from bayesgmm.cli.session import records
from bayesgmm.cli.terminal import FitFile, console, record, session, unread, wrote
from bayesgmm.wording import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.text import Text

    from bayesgmm.findings import Finding, Findings

COLOURS = {"problem": "bold red", "warning": "yellow", "note": "cyan"}


def diagnose(
    fit: FitFile,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Output file for the findings (.csv or .parquet).")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Output file for a figure of the data and the model (.png, .pdf or .svg).")
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with code 1 if there is a problem, for scripts.")
    ] = False,
) -> None:
    """Diagnose a fit: problems, their severity, their causes, and advice."""
    from bayesgmm.diagnosis import diagnose as run
    from bayesgmm.posterior.schema import load

    if output is not None:
        check_table(output, fit)
    if plot is not None:
        check_picture(plot, fit)
    tree = load(fit)
    findings = run(tree)
    _show(findings, saved=output is not None)
    if output is not None:
        write(findings.table.set_index("severity"), output, "findings")
    if plot is not None:
        import matplotlib as mpl

        from bayesgmm import plots
        from bayesgmm.files import write_picture

        mpl.use("Agg")
        write_picture(plots.check(tree), plot)
        wrote(plot)
    if strict and findings.worst == "problem":
        raise typer.Exit(1)


def _show(findings: "Findings", saved: bool) -> None:
    """Print the findings; with ``--quiet``, only the verdict if the findings are written to a file."""
    if session().json:
        record(verdict=findings.verdict, worst=findings.worst, findings=records(findings.table))
        record(passed=list(findings.passed), skipped=findings.skipped)
        return
    with unread():
        for paragraph in _paragraphs(findings, short=saved and session().quiet):
            console().print(paragraph)


def _paragraphs(findings: "Findings", short: bool) -> "Iterator[Text]":
    from rich.text import Text

    yield Text(findings.verdict, style="bold")
    if short:
        return
    for finding in findings:
        yield Text("")
        yield _paragraph(finding)
    if findings.passed:
        yield Text(f"\nNo findings from: {', '.join(findings.passed)}.", style="green")
    for name, why in findings.skipped.items():
        yield Text(printable(f"Not checked: {name} ({why})."), style="dim")


def _paragraph(finding: "Finding") -> "Text":
    from rich.text import Text

    colour = COLOURS[finding.severity]
    text = Text.assemble((finding.severity.upper(), colour), printable(f" ({finding.check}): {finding.what}"))
    for part, style in ((finding.why, "dim"), (finding.advice, "")):
        if part:
            text.append(printable(f"\n  {part}"), style=style)
    return text
