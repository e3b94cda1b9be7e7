"""The command ``report``."""

from pathlib import Path
from typing import Annotated

import typer

from bayesgmm.cli.completion import files
from bayesgmm.cli.terminal import FitFile, check_other, wrote

ReportOut = Annotated[
    Path,
    typer.Option(
        "-o", "--output", help="Output file (.html).", show_default=False, autocompletion=files(".html", ".htm")
    ),
]


def report(
    fit: FitFile,
    output: ReportOut,
    title: Annotated[str | None, typer.Option(help="Title of the report. (default: a description of the fit)")] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Leave out the figures of chains, partitions and replicated data.")
    ] = False,
    open_it: Annotated[bool, typer.Option("--open", help="Open the report in the browser.")] = False,
) -> None:
    """Write a report about a fit: one HTML file that needs no network."""
    import matplotlib as mpl

    from bayesgmm.files import writable
    from bayesgmm.posterior.schema import load
    from bayesgmm.reports import report as write_report
    from bayesgmm.reports.pages import ENDINGS

    check_other(output, fit)
    writable(output, *ENDINGS)
    mpl.use("Agg")
    path = write_report(load(fit), output, title=title, quick=quick)
    wrote(path)
    if open_it:
        typer.launch(path.resolve().as_uri())
