"""The command ``diagnose``: problems of a fit."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bayesgmm.cli.session import records
from bayesgmm.cli.terminal import FitFile, check_picture, check_table, console, record, session, write, wrote

if TYPE_CHECKING:
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
    from rich.text import Text

    screen = console()
    screen.print(Text(findings.verdict, style="bold"))
    if saved and session().quiet:
        return
    for finding in findings:
        screen.print()
        screen.print(_paragraph(finding))
    if findings.passed:
        screen.print(Text(f"\nNo findings from: {', '.join(findings.passed)}.", style="green"))
    for name, why in findings.skipped.items():
        screen.print(Text(f"Not checked: {name} ({why}).", style="dim"))


def _paragraph(finding: "Finding") -> object:
    from rich.text import Text

    colour = COLOURS[finding.severity]
    text = Text.assemble((finding.severity.upper(), colour), f" ({finding.check}): {finding.what}")
    for part, style in ((finding.why, "dim"), (finding.advice, "")):
        if part:
            text.append(f"\n  {part}", style=style)
    return text
