"""The command ``report``."""

from pathlib import Path
from typing import Annotated

import typer

from bayesgmm.cli.completion import CRITERIA, files, one_of
from bayesgmm.cli.options import FitFile
from bayesgmm.cli.terminal import check_other, refuse, remark, wrote

ReportOut = Annotated[
    Path,
    typer.Option(
        "-o",
        "--output",
        help="Output file (.html; with --methods .md).",
        show_default=False,
        autocompletion=files(".html", ".htm", ".md"),
    ),
]


def report(
    fit: FitFile,
    output: ReportOut,
    title: Annotated[str | None, typer.Option(help="Title of the report. (default: a description of the fit)")] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Leave out the figures of chains, partitions and replicated data.")
    ] = False,
    interactive: Annotated[
        bool,
        typer.Option("--interactive", help="Let plotly draw the points: under the pointer are their rows and values."),
    ] = False,
    methods: Annotated[
        bool,
        typer.Option(
            "--methods", help="Instead: write methods and results for a paper, with citations in a .bib file beside it."
        ),
    ] = False,
    selection: Annotated[
        Path | None,
        typer.Option(help="With --methods: the table of 'bayesgmm select -o' by which the number was chosen."),
    ] = None,
    criterion: Annotated[
        str,
        typer.Option(
            help="With --selection: criterion of the choice, bic, aic, icl or elbo.",
            autocompletion=one_of(*CRITERIA),
        ),
    ] = "bic",
    open_it: Annotated[bool, typer.Option("--open", help="Open the report in the browser.")] = False,
) -> None:
    """Write a report about a fit: one HTML file that needs no network, or the methods and results of a paper."""
    if methods:
        refuse({"title", "quick", "interactive", "open_it"}, "can't be used with --methods, which writes a text")
        _write_methods(fit, output, selection, criterion)
        return
    refuse({"selection", "criterion"}, "can be used only with --methods")
    _write_page(fit, output, title, quick, interactive)
    if open_it:
        _open_in_browser(output)


def _open_in_browser(page: Path) -> None:
    import webbrowser

    if not webbrowser.open(page.resolve().as_uri()):
        remark(f"no browser was found: open {page} yourself", err=True)


def _write_page(fit: Path, output: Path, title: str | None, quick: bool, interactive: bool) -> None:
    import matplotlib as mpl

    from bayesgmm.files import writable
    from bayesgmm.posterior.schema import load
    from bayesgmm.reports import report as write_report
    from bayesgmm.reports.pages import ENDINGS

    check_other(output, fit)
    writable(output, *ENDINGS)
    mpl.use("Agg")
    wrote(write_report(load(fit), output, title=title, quick=quick, interactive=interactive))


def _write_methods(fit: Path, output: Path, selection: Path | None, criterion: str) -> None:
    from bayesgmm.data.tables import read_frame
    from bayesgmm.files import writable
    from bayesgmm.posterior.schema import load
    from bayesgmm.reports.methods import ENDINGS, methods_text

    check_other(output, fit, selection)
    writable(output, *ENDINGS)
    table = None if selection is None else read_frame(selection)
    for path in methods_text(load(fit), selection=table, criterion=criterion).save(output):
        wrote(path)
