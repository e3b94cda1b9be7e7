"""Input, output and options that the commands share.

Whatever a command has to say goes through ``say``, ``remark``, ``show``, ``tell``, ``write`` and ``wrote``: they print
for people, or, with ``--json``, keep it for the one document.
"""

import numbers
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bayesgmm.cli.completion import COVARIANCES, FITS, METHODS, TABLES, card_names, either, files, one_of
from bayesgmm.cli.session import Session, records

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console
    from rich.table import Table

    from bayesgmm.cards.card import Card

DataFile = Annotated[
    Path,
    typer.Argument(help="CSV or Parquet, one row per point.", show_default=False, autocompletion=files(*TABLES)),
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
        help="CSV or Parquet, one row per point. (default: the data of the card)", autocompletion=files(*TABLES)
    ),
]
Columns = Annotated[str | None, typer.Option(help="Columns to use, separated by commas. (default: all numeric)")]
NewData = Annotated[
    Path | None,
    typer.Argument(
        help="New points, CSV or Parquet. (default: the points that were fitted)", autocompletion=files(*TABLES)
    ),
]
TableOut = Annotated[
    Path,
    typer.Option(
        "-o", "--output", help="Where to write (.csv or .parquet).", show_default=False, autocompletion=files(*TABLES)
    ),
]
CardName = Annotated[
    Path | None,
    typer.Option(
        help="A model card, in place of -k: a TOML file, or a name from 'bayesgmm models'.", autocompletion=card_names
    ),
]
Covariance = Annotated[
    str | None,
    typer.Option(help="full, tied, diag or spherical. (default: full)", autocompletion=one_of(*COVARIANCES)),
]
Method = Annotated[
    str | None,
    typer.Option(
        help=f"{either(METHODS)}. (default: the card's, or nuts)",
        autocompletion=one_of(*METHODS),
    ),
]
UNBOUNDED = 10_000  # columns of what is no terminal: a table in a file is not cut

_session = Session()


def session() -> Session:
    """Return the session of this run of the command line."""
    return _session


def start_session(new: Session) -> None:
    """Forget what an earlier run was asked for."""
    global _session
    _session = new


def say(text: str, err: bool = False) -> None:
    """Print a line of the answer; ``err`` for a warning, which goes to stderr."""
    if err:
        session().warnings.append(text.removeprefix("warning: "))
    elif session().json:
        session().said.append(text)
        return
    typer.echo(text, err=err)


def remark(text: str, err: bool = False) -> None:
    """Print a line that is good to know for a person, and nothing else: not for ``--quiet``, not for machines."""
    if not (session().quiet or session().json):
        typer.echo(text, err=err)


def tell(**results: object) -> None:
    """Keep results by name for the document; a person sees nothing of it."""
    session().results.update(results)


def declare(model: Path | None, components: int | None, covariance: str | None) -> "Card":
    """The card that ``--model`` names, or one of nothing but the mixture that ``-k`` declares."""
    from bayesgmm.cards.card import Card, load_card
    from bayesgmm.errors import DeclarationError
    from bayesgmm.model import MixtureModel

    if (model is None) == (components is None):
        raise DeclarationError("give either -k (how many components) or --model (a card), for example -k 3")
    if components is not None:
        return Card(MixtureModel(n_components=components, covariance=covariance or "full"))
    assert model is not None
    if covariance is not None:
        raise DeclarationError(f"--covariance goes with -k; {model} declares its own")
    return load_card(model)


def read_for(card: "Card", path: Path | None, columns: str | None) -> "pd.DataFrame":
    """The data to fit: a table, with what the card does to its columns, or else the card's own."""
    from bayesgmm.errors import DataError

    named = card.data.columns if columns is None else chosen_columns(columns)
    if path is not None:
        frame = read(path, None if named is None else list(named))
        if named is None and card.data.truth in frame:
            frame = frame.drop(columns=card.data.truth)
    elif card.data.given:
        return card.data.model_copy(update={"columns": named}).read().frame
    else:
        raise DataError("there are no data: give a table, or --model with a card that has its own (bayesgmm models)")
    for transform in card.data.transforms:
        remark(f"as the card says, {transform.words}")
    return card.data.transformed(frame)


def chosen_columns(columns: str | None) -> list[str] | None:
    """The columns of ``--columns``; None where it was not given."""
    return None if columns is None else names_of(columns)


def names_of(text: str) -> list[str]:
    """Names that are separated by commas, each once."""
    return [*dict.fromkeys(name.strip() for name in text.split(",") if name.strip())]


def refuse(names: Collection[str], why: str) -> None:
    """Options, by the names of their parameters, that mean nothing beside what else was given.

    Raises
    ------
    DeclarationError
        When one of them was typed; an option at its default is ignored.
    """
    from bayesgmm.errors import DeclarationError

    if typed := [option for name, option in session().typed.items() if name in names]:
        raise DeclarationError(f"{' and '.join(typed)} {why}")


def check_picture(output: Path, *inputs: Path) -> None:
    """Find out before the work that a picture can't be written."""
    from bayesgmm.files import writable

    check_other(writable(output, ".png", ".pdf", ".svg"), *inputs)


def check_other(output: Path, *inputs: Path | None) -> None:
    """Refuse to write over what is read."""
    from bayesgmm.errors import FitFileError

    if any(path is not None and path.resolve() == output.resolve() for path in inputs):
        raise FitFileError(f"{output} is what is read; write to another file")


def read(path: Path, columns: list[str] | None) -> "pd.DataFrame":
    """The columns to use of a file; says which were left out."""
    from bayesgmm.data.points import listing
    from bayesgmm.data.tables import read_table

    frame, dropped = read_table(path, columns)
    if dropped:
        say(f"not numeric, left out: {listing(dropped)}; choose with --columns", err=True)
    return frame


def read_new(path: Path | None) -> "pd.DataFrame | None":
    """New points, all columns; None for those that were fitted."""
    from bayesgmm.data.tables import read_frame

    return None if path is None else read_frame(path)


def check_table(output: Path, *inputs: Path | None) -> None:
    """Find out before the work that a table can't be written, or would overwrite what it is made from."""
    from bayesgmm.files import writable

    check_other(writable(output, ".csv", ".parquet", ".pq"), *inputs)


def write(frame: "pd.DataFrame", path: Path, name: str = "rows") -> None:
    """Write a table, and say so; in the document its rows are under ``name``."""
    from bayesgmm.data.tables import PARQUET
    from bayesgmm.files import in_place_of

    with in_place_of(path) as partial:
        if path.suffix.lower() in PARQUET:
            frame.to_parquet(partial)
        else:
            frame.to_csv(partial)
    if session().json:
        tell(**{name: records(frame)})
    wrote(path, len(frame))


def wrote(path: Path, rows: int | None = None) -> None:
    """Say that a file was written."""
    session().files.append({"path": str(path)} | ({} if rows is None else {"rows": rows}))
    remark(f"wrote {path}" if rows is None else f"wrote {path}: {rows} rows")


FORMATS = {"seconds": ".2f", "pareto_khat": ".2f", "agreement": ".3f"}  # of a column; default: one decimal
LARGE = 1e5  # numbers that need no decimals


def cell(column: str, value: object) -> str:
    """A value as a table for people shows it; nothing for what is missing.

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
    """A table's values as people read them."""
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
    """Print a table; its index comes first, under its name where it has one.

    Columns that do not fit beside each other come below each other.

    Parameters
    ----------
    frame : DataFrame
        Words, or numbers, which become words as ``in_words`` has it.
    title : str
    name : str, optional
        Name in the document. Default: its title in lower case.
    values : DataFrame, optional
        What the document holds in place of the words.
    saved : bool
        It is in a file that the command writes, so ``--quiet`` leaves it out.
    end_after : collection of str
        Rows that a line comes below.
    """
    if session().json:
        tell(**{name or slug(title): records(frame if values is None else values)})
    elif not (session().quiet and saved):
        screen = console()
        for table in _side_by_side(in_words(frame), title, end_after, screen):
            screen.print(table)


def slug(title: str) -> str:
    """A title as a name.

    Examples
    --------
    >>> slug("The best, by BIC")
    'the_best_by_bic'
    """
    return re.sub(r"\W+", "_", title.lower()).strip("_")


def show_table(table: "Table") -> None:
    """Print a table that Rich knows; machines are told by other means."""
    if not session().json:
        console().print(table)


def console() -> "Console":
    """The terminal, as wide as it is; a file or a pipe as wide as what goes there, unless COLUMNS says otherwise."""
    import os

    from rich.console import Console

    screen = Console()
    return screen if screen.is_terminal or "COLUMNS" in os.environ else Console(width=UNBOUNDED)


def _side_by_side(
    frame: "pd.DataFrame", title: str, end_after: Collection[str], screen: "Console"
) -> "Iterator[Table]":
    """The table, or several with a part of its columns each, so that each fits the screen if it can."""
    from rich.measure import Measurement

    first, count = 0, len(frame.columns)
    while first < max(count, 1):
        last = count
        while last > first + 1:
            table = _rich_table(frame.iloc[:, first:last], title, end_after)
            if Measurement.get(screen, screen.options.update(width=UNBOUNDED), table).maximum <= screen.width:
                break
            last -= 1
        yield _rich_table(frame.iloc[:, first:last], title if first == 0 else "", end_after)
        first = max(last, first + 1)


def _rich_table(frame: "pd.DataFrame", title: str, end_after: Collection[str]) -> "Table":
    from rich.box import SIMPLE
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=escape(title) or None, title_justify="left", box=SIMPLE, padding=(0, 0, 0, 1), pad_edge=False)
    table.add_column(escape(str(frame.index.name or "")))
    for column in frame.columns:
        table.add_column(escape(str(column)), justify="right")
    for label, row in zip(frame.index, frame.itertuples(index=False), strict=True):
        table.add_row(escape(str(label)), *map(escape, row), end_section=str(label) in end_after)
    return table
