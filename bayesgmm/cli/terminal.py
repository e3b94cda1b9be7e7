"""What the commands share: files in and out, what is said, and options that mean the same everywhere."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    import pandas as pd

DataFile = Annotated[Path, typer.Argument(help="CSV or Parquet, one row a point.", show_default=False)]
FitFile = Annotated[Path, typer.Argument(help="A fit that 'bayesgmm fit' wrote (.nc or .zarr).", show_default=False)]
Columns = Annotated[str | None, typer.Option(help="Columns to use, separated by commas. (default: all numeric)")]
NewData = Annotated[
    Path | None, typer.Argument(help="New points, CSV or Parquet. (default: the points that were fitted)")
]
TableOut = Annotated[
    Path, typer.Option("-o", "--output", help="Where to write (.csv or .parquet).", show_default=False)
]


def say(text: str, err: bool = False) -> None:
    """Print a line; ``err`` for what is not the answer."""
    typer.echo(text, err=err)


def declare(model: Path | None, components: int | None, covariance: str | None) -> tuple[Any, list[str] | None]:
    """The mixture that ``-k`` or ``--model`` declares, and the columns that a card names."""
    from bayesgmm.errors import DeclarationError
    from bayesgmm.model import MixtureModel, card_path, load_card

    if (model is None) == (components is None):
        raise DeclarationError("give either -k (how many components) or --model (a card), for example -k 3")
    if components is not None:
        return MixtureModel(n_components=components, covariance=covariance or "full"), None
    assert model is not None
    if covariance is not None:
        raise DeclarationError(f"--covariance goes with -k; {model} declares its own")
    card = load_card(model if model.exists() or model.suffix else card_path(str(model)))
    return card.mixture, list(card.data.columns) if card.data.columns else None


def chosen_columns(columns: str | None, of_card: list[str] | None) -> list[str] | None:
    """The columns of ``--columns``, or those of a card."""
    return names_of(columns) if columns is not None else of_card


def names_of(text: str) -> list[str]:
    """Names that are separated by commas, each once."""
    return [*dict.fromkeys(name.strip() for name in text.split(",") if name.strip())]


def check_picture(output: Path, *inputs: Path) -> None:
    """Find out before the work that a picture can't be written."""
    from bayesgmm.errors import FitFileError
    from bayesgmm.posterior import writable

    if output.suffix.lower() not in {".png", ".pdf", ".svg"}:
        raise FitFileError(f"{output} must end in .png, .pdf or .svg")
    check_other(output, *inputs)
    writable(output)


def check_other(output: Path, *inputs: Path | None) -> None:
    """Refuse to write over what is read."""
    from bayesgmm.errors import FitFileError

    if any(path is not None and path.resolve() == output.resolve() for path in inputs):
        raise FitFileError(f"{output} is what is read; write to another file")


def read(path: Path, columns: list[str] | None) -> "pd.DataFrame":
    """The columns to use of a file; says which were left out."""
    from bayesgmm.data import listing
    from bayesgmm.tables import read_table

    frame, dropped = read_table(path, columns)
    if dropped:
        say(f"not numeric, left out: {listing(dropped)}; choose with --columns", err=True)
    return frame


def read_new(path: Path | None) -> "pd.DataFrame | None":
    """New points, all columns; None for those that were fitted."""
    from bayesgmm.tables import read_frame

    return None if path is None else read_frame(path)


def check_table(output: Path, *inputs: Path | None) -> None:
    """Find out before the work that a table can't be written, or would overwrite what it is made from."""
    from bayesgmm.errors import FitFileError
    from bayesgmm.posterior import writable

    if output.suffix.lower() not in {".csv", ".parquet", ".pq"}:
        raise FitFileError(f"{output} must end in .csv or .parquet")
    check_other(output, *inputs)
    writable(output)


def write(frame: "pd.DataFrame", path: Path) -> None:
    """Write a table, and say so."""
    if path.suffix.lower() in {".parquet", ".pq"}:
        frame.to_parquet(path)
    else:
        frame.to_csv(path)
    say(f"wrote {path}: {len(frame)} rows")


FORMATS = {"seconds": ".2f", "pareto_khat": ".2f", "agreement": ".3f"}  # of a column; one decimal unless told
LARGE = 1e5  # numbers that need no decimals


def cell(column: str, value: Any) -> str:
    """A value as a table for people shows it; nothing for what is missing.

    Examples
    --------
    >>> cell("bic", 574.0178), cell("n_parameters", 29.0), cell("bic", float("nan")), cell("method", "em")
    ('574.0', '29', '', 'em')
    """
    if isinstance(value, str):
        return value
    if value != value:
        return ""
    whole = column.startswith("n_") or abs(value) >= LARGE
    return f"{value:.0f}" if whole else f"{value:{FORMATS.get(column, '.1f')}}"


def in_words(frame: "pd.DataFrame") -> "pd.DataFrame":
    """A table's values as people read them."""
    import pandas as pd

    cells = {column: [cell(str(column), value) for value in frame[column]] for column in frame.columns}
    return pd.DataFrame(cells, index=frame.index, dtype=object)


def show(frame: "pd.DataFrame", title: str) -> None:
    """Print a table of words; its index comes first, under its name where it has one."""
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=SIMPLE, padding=(0, 0, 0, 1), pad_edge=False)
    table.add_column(frame.index.name or "")
    for column in frame.columns:
        table.add_column(str(column), justify="right")
    for label, row in frame.iterrows():
        table.add_row(str(label), *row)
    Console().print(table)
