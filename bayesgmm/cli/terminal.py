"""Input, output and options that several commands share.

All output goes through ``say``, ``remark``, ``show``, ``record``, ``write`` and ``wrote``. They print text for people,
or with ``--json`` keep the results for the JSON document.
"""

import numbers
import os
import re
import shlex
import shutil
import sys
import textwrap
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TextIO

import typer

from bayesgmm.cli.completion import FITS, METHODS, STRUCTURES, TABLES, card_names, either, files, one_of
from bayesgmm.cli.session import Session, records
from bayesgmm.wording import printable

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console
    from rich.table import Table


DataFile = Annotated[
    Path,
    typer.Argument(help="CSV, Excel or Parquet, one row per point.", show_default=False, autocompletion=files(*TABLES)),
]
FitFile = Annotated[
    Path,
    typer.Argument(
        help="A fit that 'bayesgmm fit' wrote (.nc or .zarr).", show_default=False, autocompletion=files(*FITS)
    ),
]
OwnOrFile = Annotated[
    Path | None,
    typer.Argument(
        help="CSV, Excel or Parquet, one row per point. (default: the data of the card)", autocompletion=files(*TABLES)
    ),
]
Columns = Annotated[str | None, typer.Option(help="Columns to use, separated by commas. (default: all numeric)")]
NoiseColumns = Annotated[
    str | None,
    typer.Option(
        help="Columns of standard errors, in the order of the columns that are used; an empty or infinite one makes a "
        "value missing.",
        show_default=False,
    ),
]
LabelColumn = Annotated[
    str | None,
    typer.Option(
        help="Column with the component of each row, a name or number; empty where it is not known. Names become those "
        "of the components.",
        show_default=False,
    ),
]
WeightColumn = Annotated[
    str | None,
    typer.Option(
        help="Column with the number of points that each row stands for, for example that of a coreset.",
        show_default=False,
    ),
]
NewData = Annotated[
    Path | None,
    typer.Argument(
        help="New points, CSV, Excel or Parquet. (default: the points that were fitted)", autocompletion=files(*TABLES)
    ),
]
TableOut = Annotated[
    Path,
    typer.Option(
        "-o", "--output", help="Output file (.csv or .parquet).", show_default=False, autocompletion=files(*TABLES)
    ),
]
Memory = Annotated[
    str | None,
    typer.Option(
        help="Memory that rows may take at a time, for example 500MB or 1GiB: the table is read part by part. "
        "(default: 1GiB for a pattern such as 'data/*.parquet'; other tables are read as a whole)",
        show_default=False,
    ),
]
CheckpointFolder = Annotated[
    Path | None,
    typer.Option(
        "--checkpoint",
        help="Folder in which the work is kept as it is done: after a kill, the same command goes on from there. It "
        "stays until you remove it.",
        show_default=False,
    ),
]
Scheduler = Annotated[
    str | None,
    typer.Option(
        help="Address of a Dask scheduler, for example tcp://host:8786: its workers read the files, and keep the rows.",
        show_default=False,
    ),
]
CardName = Annotated[
    Path | None,
    typer.Option(
        help="A model card instead of -k: a name from 'bayesgmm models', or a TOML file.", autocompletion=card_names
    ),
]
Covariance = Annotated[
    str | None,
    typer.Option(help=f"Covariance: {either(STRUCTURES)}. (default: full)", autocompletion=one_of(*STRUCTURES)),
]
Method = Annotated[
    str | None,
    typer.Option(
        help=f"Inference: {either(METHODS)}. (default: that of the card, or nuts)",
        autocompletion=one_of(*METHODS),
    ),
]
DataAnywhere = Annotated[
    bool, typer.Option("--data-anywhere", help="Let the card read data outside its own folder; trust it first.")
]


def one_count(value: str | int) -> int:
    """Read the number of components of ``-k``; a default is a number already.

    Raises
    ------
    typer.BadParameter
        When it is not one positive whole number.
    """
    text = str(value).strip()
    if text.isdecimal() and int(text):
        return int(text)
    several = re.fullmatch(r"\d+([-,:]\d+)+", text)
    instead = f"; to try several: bayesgmm select TABLE -k {text.replace(':', '-')}" if several else ""
    raise typer.BadParameter(f"{text!r} is not a whole number of at least 1; write for example -k 3{instead}")


COUNT: dict[str, Any] = {"parser": one_count, "metavar": "<int>"}
"""Settings of an option with a number of components."""
QUOTE = "'"
# An argument of a Python function; what follows an option that takes text of this form, as --given does, is left
CALLS = {
    "judge(find_anomalies(data).fit, new)": "--save FILE without --new, then --fit FILE with the new table",
    " or X.select_dtypes('number')": "",
    ", or make a fit that holds some of them: with_points(fit, rows)": "",
    ", or fit a sample: source(data).sample(100_000)": "",
    ". Or fit a sample: source(data).sample(100_000)": "",
}
"""Calls of Python functions that a message names, as options."""
ARGUMENT = re.compile(
    r"--[\w-]+ \w+=[^\s,]+(?:, \w+=[^\s,]+)*"
    r"|\b(?P<name>\w+)=(?P<value>'[^'\n]*'(?: or '[^'\n]*')*|range\(\d+, \d+\)"
    r"|\[[^\]\n]*\]|-?\w(?:[\w.+-]*\w)?|(?=[.,;:)\s]|$))"
)
NAME = re.compile(r"'([^'\n]*)'")
RANGE = re.compile(r"range\((\d+), (\d+)\)")
NARROW = 20  # minimum width of a terminal that lines are broken for
SENTENCE = 24  # shortest line of a column of sentences
UNBOUNDED = 10_000  # width of output that is not a terminal, so that tables are not cut

_session = Session()


def session() -> Session:
    """Return the session of the current run."""
    return _session


def start_session(new: Session) -> None:
    """Replace the session of an earlier run."""
    global _session
    _session = new


def say(text: str, err: bool = False) -> None:
    """Print a line of the result; with ``err`` a warning, on stderr."""
    if err:
        session().warnings.append(text.removeprefix("warning: "))
    elif session().json:
        session().messages.append(text)
        return
    echo(text, err=err)


def remark(text: str, err: bool = False) -> None:
    """Print a line of additional information for people; with ``--quiet`` or ``--json`` it is left out."""
    if not (session().quiet or session().json):
        echo(text, err=err)


def echo(text: str, err: bool = False) -> None:
    """Print a text; control characters in it, for example of a column name, are replaced."""
    with unread(err):
        typer.echo(_wrapped(printable(text), sys.stderr if err else sys.stdout), err=err)


def _wrapped(text: str, stream: TextIO) -> str:
    """Break lines between words at the width of a terminal or of the variable COLUMNS, and indent what follows."""
    if not (stream.isatty() or "COLUMNS" in os.environ):
        return text
    width = max(shutil.get_terminal_size().columns, NARROW)
    lines = text.split("\n")
    return "\n".join(line if len(line) <= width else _filled(line, width) for line in lines)


def _filled(line: str, width: int) -> str:
    after = _indent(line) + "  "
    return textwrap.fill(line, width, subsequent_indent=after, break_long_words=False, break_on_hyphens=False)


def _indent(line: str) -> str:
    return line[: len(line) - len(line.lstrip())]


@contextmanager
def unread(err: bool = False) -> Iterator[None]:
    """Print to the null device once nobody reads the output any more, so that the command still writes its files."""
    try:
        yield
    except (OSError, SystemExit) as error:  # Rich exits
        if not is_broken_pipe(error):
            raise
        session().unread = True
        discard(sys.stderr if err else sys.stdout)


def is_broken_pipe(error: BaseException | None) -> bool:
    """Return True if nobody reads what was printed, or this caused the error."""
    while error is not None and not isinstance(error, BrokenPipeError):
        error = error.__context__
    return error is not None


def discard(stream: TextIO) -> None:
    """Discard all that is printed from now on to stdout or stderr."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, stream.fileno())
    os.close(null)


def record(**results: object) -> None:
    """Add results to the JSON document, by name; nothing is printed."""
    session().results.update(results)


def chosen_columns(columns: str | None) -> list[str] | None:
    """Return the columns of ``--columns``; None if it was not given."""
    return None if columns is None else names_of(columns)


def names_of(text: str) -> list[str]:
    """Split names that are separated by commas; each is kept once."""
    return [*dict.fromkeys(name.strip() for name in text.split(",") if name.strip())]


def refuse(names: Collection[str], why: str) -> None:
    """Reject options that can't be combined with others that were given.

    Parameters
    ----------
    names : collection of str
        Names of the parameters of these options.
    why : str
        Reason, the end of the message.

    Raises
    ------
    DeclarationError
        When one of them was given on the command line.
    """
    from bayesgmm.errors import DeclarationError

    if typed := [option for name, option in session().typed.items() if name in names]:
        raise DeclarationError(f"{' and '.join(typed)} {why}")


def as_options(message: str, given: dict[str, str] | None = None) -> str:
    """Write arguments of Python functions that a message names as options: those that are given, or the command's own.

    Examples
    --------
    >>> from bayesgmm.cli.session import Session
    >>> start_session(Session(options={"covariance": "--covariance", "method": "--method"}))
    >>> as_options("Try covariance='diag' or 'tied', draws=2000 or method='map'.")
    'Try --covariance diag or tied, draws=2000 or --method map.'
    >>> as_options("Skip them: skip_broken=True.", {"skip_broken": "--skip-broken"})
    'Skip them: --skip-broken.'
    >>> as_options("give n_components=range(1, 19) or n_components=4")
    'give n_components=range(1, 19) or n_components=4'
    >>> columns = {"columns": "--columns"}
    >>> as_options("Leave them out with columns=. For example columns=['a', 'b c'] or columns=[...].", columns)
    "Leave them out with --columns. For example --columns 'a,b c' or --columns NAMES."
    >>> as_options("--given method=3, covariance=1.5 needs --over")
    '--given method=3, covariance=1.5 needs --over'
    """

    def option(match: re.Match[str]) -> str:
        if match["name"] not in options:
            return match[0]
        name, value = options[match["name"]], match["value"]
        return f"{name} {'' if value == 'True' else _typed(value)}".rstrip()

    for call, words in CALLS.items():
        message = message.replace(call, words)
    given = session().options if given is None else given
    named = {"n_components": "components", "noise": "noise_columns"}  # Python's names of arguments and their options
    options = given | {name: given[option] for name, option in named.items() if option in given}
    return ARGUMENT.sub(option, message)


def _typed(value: str) -> str:
    """Write the value of an argument as it is typed after an option; a single one is quoted where a shell needs it.

    Examples
    --------
    >>> _typed("'tied'"), _typed("range(1, 19)")
    ('tied', '1-18')
    >>> _typed("['a', 'b']"), _typed("[...]")
    ('a,b', 'NAMES')
    """
    if value.startswith("["):
        return "NAMES" if "..." in value else shlex.quote(",".join(NAME.findall(value)))
    if ends := RANGE.fullmatch(value):
        return f"{ends[1]}-{int(ends[2]) - 1}"
    return shlex.quote(value[1:-1]) if value.count(QUOTE) == 2 else value.replace(QUOTE, "")


def check_other(output: Path, *inputs: Path | None) -> None:
    """Check that the output does not overwrite an input.

    Raises
    ------
    FitFileError
        When it would.
    """
    from bayesgmm.errors import FitFileError

    if any(path is not None and path.resolve() == output.resolve() for path in inputs):
        raise FitFileError(f"{output} is an input of this command; give another output file")


def wrote(path: Path, rows: int | None = None) -> None:
    """Print that a file was written."""
    session().files.append({"path": str(path)} | ({} if rows is None else {"rows": rows}))
    remark(f"wrote {path}" if rows is None else f"wrote {path}: {rows} rows")


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
) -> "Iterator[Table]":
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
