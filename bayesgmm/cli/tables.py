"""Options of commands that read a table, and the check of a table at the terminal."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bayesgmm.cli.completion import one_of
from bayesgmm.cli.options import DataFile, NewData, OwnOrFile
from bayesgmm.cli.printed_tables import print_frame
from bayesgmm.cli.session import records
from bayesgmm.cli.terminal import as_options, names_of, record, say, session

if TYPE_CHECKING:
    import pandas as pd

    from bayesgmm.screening.results import DataCheck

PANEL = "Reading tables (default: recognised)"
SEPARATORS = ("comma", "semicolon", "tab", "pipe", "space")
READING = {
    "sep": Annotated[
        str | None,
        typer.Option(
            help="Separator: one character, or tab or space.", rich_help_panel=PANEL, autocompletion=one_of(*SEPARATORS)
        ),
    ],
    "decimal": Annotated[str | None, typer.Option(help="Decimal sign: . or ,", rich_help_panel=PANEL)],
    "encoding": Annotated[
        str | None, typer.Option(help="Encoding, for example cp1252 or utf-16.", rich_help_panel=PANEL)
    ],
    "sheet": Annotated[
        str | None, typer.Option(help="Sheet of an Excel file: its name or number.", rich_help_panel=PANEL)
    ],
    "na": Annotated[
        str | None,
        typer.Option(
            help="Values that stand for missing ones, separated by commas, for example -999,?. No other numbers are "
            "then looked for; none: there are none.",
            rich_help_panel=PANEL,
        ),
    ],
}
"""Options of each command that reads a table."""
Drop = Annotated[str | None, typer.Option(help="Columns to leave out, separated by commas.")]
Id = Annotated[str | None, typer.Option("--id", help="Columns that identify the rows; they are left out.")]
Keep = Annotated[
    str | None, typer.Option(help="Columns to use although they look like ids, codes or classes, separated by commas.")
]
TransformOption = Annotated[
    str,
    typer.Option(
        "--transform",
        help="Transform of skewed and heavy-tailed columns: auto (by evidence), none, log, power or arcsinh.",
        autocompletion=one_of("auto", "none", "log", "power", "arcsinh"),
    ),
]


def reads_tables(annotations: list[Any]) -> bool:
    """Return True for the parameters of a command that reads a table."""
    return any(annotation in (DataFile, OwnOrFile, NewData) for annotation in annotations)


@contextmanager
def reading_as(given: dict[str, str | None]) -> Iterator[None]:
    """Read every table of a command with the settings that were given."""
    if not any(value is not None for value in given.values()):
        yield
        return
    from bayesgmm.reading.settings import TableFile, default_settings

    na = given["na"]
    settings = given | {"na": None if na is None else tuple(names_of(na))}
    TableFile("", **settings)  # type: ignore[arg-type]  # check them before the work
    with default_settings(**settings):
        yield


def chosen(names: str | None) -> list[str]:
    """Return the names of an option; none if it was not given."""
    return names_of(names) if names else []


def show_check(check: "DataCheck") -> None:
    """Print the check of a table: what is used, what is left out and why, and what stands out."""
    record(data_check=records(check.table))
    if session().quiet or session().json:
        for line in check.words():
            say(as_options(line), err=True)
        return
    for line in check.source.words:
        say(line)
    if check.remarkable:
        print_frame(_table(check), check.heading, texts=("kind", "used", "remarks"))
    else:
        say(check.heading)
    for line in check.closing:
        say(as_options(line))


def _table(check: "DataCheck") -> "pd.DataFrame":
    import pandas as pd

    from bayesgmm.screening.results import HEADINGS

    rows = [[as_options(cell) for cell in column.cells] for column in check.remarkable]
    return pd.DataFrame(rows, columns=[*HEADINGS]).set_index(HEADINGS[0])
