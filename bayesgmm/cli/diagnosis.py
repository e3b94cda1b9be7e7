"""The command ``diagnose``: problems of a fit."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bayesgmm.cli.data import check_picture, check_table, write
from bayesgmm.cli.options import FitFile
from bayesgmm.cli.printed_tables import console
from bayesgmm.cli.session import options_of, records
from bayesgmm.cli.terminal import as_options, record, session, unread, wrote
from bayesgmm.wording import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.text import Text

    from bayesgmm.findings import Finding, Findings

MISFIT = "plots.check(fit)"  # what --plot draws
PYTHON = re.compile(r"[^.]*\b(bg|plots)\.\w+[^.]*(\.(?=\s|$)|$)")  # a sentence that names a function
COLOURS = {"problem": "bold red", "warning": "yellow", "note": "cyan"}


def diagnose(
    context: typer.Context,
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
    _show(findings, _options_of_fit(context), saved=output is not None)
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


def _options_of_fit(context: typer.Context) -> dict[str, str]:
    """Return the options of the command ``fit``, which advice names: a fit is diagnosed to be fitted again."""
    assert context.parent is not None  # the group of all commands
    return options_of(context.parent.command.commands["fit"])  # type: ignore[attr-defined]


def advice_in_options(advice: str, options: dict[str, str]) -> str:
    """Write an advice with options of a command in place of arguments, without sentences that name Python functions.

    Examples
    --------
    >>> options = {"method": "--method"}
    >>> advice_in_options("Use method='nuts' or 'gibbs'. plots.check(fit) shows the misfit.", options)
    'Use --method nuts or gibbs. --plot shows the misfit.'
    >>> advice_in_options("Use bg.condition(fit, n_clusters=3), for example: it is labelled.", options)
    ''
    """
    return as_options(PYTHON.sub("", advice.replace(MISFIT, "--plot")).strip(), options)


def _show(findings: "Findings", options: dict[str, str], saved: bool) -> None:
    """Print the findings; with ``--quiet``, only the verdict if the findings are written to a file."""
    if session().json:
        record(verdict=findings.verdict, worst=findings.worst, findings=records(findings.table))
        record(passed=list(findings.passed), skipped=findings.skipped)
        return
    with unread():
        for paragraph in _paragraphs(findings, options, short=saved and session().quiet):
            console().print(paragraph)


def _paragraphs(findings: "Findings", options: dict[str, str], short: bool) -> "Iterator[Text]":
    from rich.text import Text

    verdict = findings.verdict
    advice = {finding.advice: advice_in_options(finding.advice, options) for finding in findings if finding.advice}
    for text, own in advice.items():
        verdict = verdict.replace(f" {text}", f" {own}".rstrip())
    yield Text(printable(verdict), style="bold")
    if short:
        return
    for finding in findings:
        yield Text("")
        yield _paragraph(finding, advice.get(finding.advice, ""))
    if any("--" in own.replace("--plot", "") for own in advice.values()):
        yield Text("\nThe options named here are those of bayesgmm fit.", style="dim")
    if findings.passed:
        yield Text(f"\nNo findings from: {', '.join(findings.passed)}.", style="green")
    for name, why in findings.skipped.items():
        yield Text(printable(f"Not checked: {name} ({why})."), style="dim")


def _paragraph(finding: "Finding", advice: str) -> "Text":
    from rich.text import Text

    colour = COLOURS[finding.severity]
    text = Text.assemble((finding.severity.upper(), colour), printable(f" ({finding.check}): {finding.what}"))
    for part, style in ((finding.why, "dim"), (advice, "")):
        if part:
            text.append(printable(f"\n  {part}"), style=style)
    return text
