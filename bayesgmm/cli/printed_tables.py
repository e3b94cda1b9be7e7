"""Tables that commands print: for people, or with ``--json`` as results of the document."""

import numbers
import os
import re
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Literal

from bayesgmm.cli.session import records
from bayesgmm.cli.terminal import record, session, unread
from bayesgmm.wording import printable

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console
    from rich.table import Table

SENTENCE = 24  # shortest line of a column of sentences
UNBOUNDED = 10_000  # width of output that is not a terminal, so that tables are not cut
FORMATS = {"seconds": ".2f", "pareto_khat": ".2f", "agreement": ".3f"}  # by column; default: one decimal
LARGE = 1e5  # larger numbers have no decimals


def cell(column: str, value: object) -> str:
    """Format a value for a printed table; a missing value is empty.

    Examples
    --------
    >>> cell("bic", 574.0178), cell("n_parameters", 29.0), cell("bic", float("nan")), cell("method", "em")
    ('574.0', '29', '', 'em')
    """
    if isinstance(value, bool | numbers.Integral) or not isinstance(value, numbers.Real):
        return "" if value is None else str(value)
    value = float(value)
    if value != value:
        return ""
    whole = column.startswith("n_") or abs(value) >= LARGE
    return f"{value:.0f}" if whole else f"{value:{FORMATS.get(column, '.1f')}}"


def in_words(frame: "pd.DataFrame") -> "pd.DataFrame":
    """Format all values of a table for printing."""
    import pandas as pd

    cells = {column: [cell(str(column), value) for value in frame[column]] for column in frame.columns}
    return pd.DataFrame(cells, index=frame.index, dtype=object)


def show(
    frame: "pd.DataFrame",
    title: str,
    *,
    name: str | None = None,
    values: "pd.DataFrame | None" = None,
    saved: bool = False,
    end_after: Collection[str] = (),
) -> None:
    """Print a table; the first column is its index.

    A table that is wider than the terminal is divided into several, one below the other.

    Parameters
    ----------
    frame : DataFrame
        Values, which ``in_words`` formats.
    title : str
    name : str, optional
        Name in the JSON document. Default: the title in lower case.
    values : DataFrame, optional
        Table for the JSON document, if it differs.
    saved : bool
        True if the command also writes it to a file; ``--quiet`` then leaves it out.
    end_after : collection of str
        Rows that are followed by a line.
    """
    if session().json:
        record(**{name or slug(title): records(frame if values is None else values)})
    elif not (session().quiet and saved):
        print_frame(in_words(frame), title, end_after)


def print_frame(
    frame: "pd.DataFrame", title: str = "", end_after: Collection[str] = (), texts: Collection[str] = ()
) -> None:
    """Print a table of texts; what is wider than the terminal is divided into several tables.

    Parameters
    ----------
    frame : DataFrame of str
        Its index is the first column.
    title : str
    end_after : collection of str
        Rows that are followed by a line.
    texts : collection of str
        Columns of sentences, which are broken between words where the terminal is narrow.
    """
    screen = console()
    for table in _side_by_side(frame, title, end_after, texts, screen):
        with unread():
            screen.print(table)


def slug(title: str) -> str:
    """Convert a title to a name.

    Examples
    --------
    >>> slug("The best, by BIC")
    'the_best_by_bic'
    """
    return re.sub(r"\W+", "_", title.lower()).strip("_")


def show_table(table: "Table") -> None:
    """Print a table of Rich, except with ``--json``."""
    if not session().json:
        with unread():
            console().print(table)


def console() -> "Console":
    """Return the console of Rich; a file or pipe has no limit of width, except from the variable COLUMNS."""
    from rich.console import Console

    screen = Console()
    return screen if screen.is_terminal or "COLUMNS" in os.environ else Console(width=UNBOUNDED)


def _side_by_side(
    frame: "pd.DataFrame", title: str, end_after: Collection[str], texts: Collection[str], screen: "Console"
) -> Iterator["Table"]:
    """Yield the table, or several with a part of its columns each, so that each fits the screen if possible."""
    from rich.measure import Measurement

    def fits(part: "pd.DataFrame") -> bool:
        table = _rich_table(_with_shortest_lines(part, texts), title, end_after, texts)
        return Measurement.get(screen, screen.options.update(width=UNBOUNDED), table).maximum <= screen.width

    first, count = 0, len(frame.columns)
    while first < max(count, 1):
        last = count
        while last > first + 1 and not fits(frame.iloc[:, first:last]):
            last -= 1
        yield _rich_table(frame.iloc[:, first:last], title if first == 0 else "", end_after, texts)
        first = max(last, first + 1)


def _with_shortest_lines(frame: "pd.DataFrame", texts: Collection[str]) -> "pd.DataFrame":
    """Return a table in which each sentence is replaced by the shortest line that its column may have."""
    shorter = frame.copy()
    for name in frame.columns.intersection([*texts]):
        words = [word for text in frame[name] for word in str(text).split()]
        full = max((len(str(text)) for text in frame[name]), default=0)
        shorter[name] = "x" * min(full, max(SENTENCE, *map(len, words), 0))
    return shorter


def _rich_table(frame: "pd.DataFrame", title: str, end_after: Collection[str], texts: Collection[str] = ()) -> "Table":
    from rich.box import SIMPLE
    from rich.table import Table

    table = Table(title=literal(title) or None, title_justify="left", box=SIMPLE, padding=(0, 0, 0, 1), pad_edge=False)
    table.add_column(literal(str(frame.index.name or "")), no_wrap=True, overflow="fold")
    for column in frame.columns:
        is_long = column in texts and frame[column].str.len().max() > SENTENCE
        broken = is_long or len(frame.columns) == 1  # between words
        justify: Literal["left", "right"] = "left" if column in texts else "right"
        table.add_column(literal(str(column)), justify=justify, no_wrap=not broken, overflow="fold")
    for label, row in zip(frame.index, frame.itertuples(index=False), strict=True):
        table.add_row(literal(str(label)), *map(literal, row), end_section=str(label) in end_after)
    return table


def literal(text: str) -> str:
    r"""Return a text that Rich prints as it is: without markup, and with control characters replaced.

    Examples
    --------
    >>> print(literal("[red]"))
    \[red]
    """
    from rich.markup import escape

    return escape(printable(text))
