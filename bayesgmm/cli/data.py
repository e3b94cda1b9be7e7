"""The model and the data that a command fits, and the tables that it writes."""

from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from bayesgmm.cli.measured_columns import first_rows_measured, measured_columns, said_before
from bayesgmm.cli.session import records
from bayesgmm.cli.terminal import (
    check_other,
    chosen_columns,
    names_of,
    record,
    refuse,
    remark,
    say,
    session,
    wrote,
)
from bayesgmm.data.given import Given
from bayesgmm.wording import listing

if TYPE_CHECKING:
    import pandas as pd

    from bayesgmm.cards.card import Card
    from bayesgmm.sources.rows import RowSource

WEIGHT = "weight"  # column of the weights in the table of a coreset


def declare(model: Path | None, components: int | None, covariance: str | None, data_anywhere: bool = False) -> "Card":
    """Return the card of ``--model``, or a card with only the mixture that ``-k`` declares.

    Raises
    ------
    DeclarationError
        When both or none are given, or ``--covariance`` is given with a card.
    CardError, UnknownName
        When the card can't be read, or there is none of that name.
    """
    from bayesgmm.cards.card import Card, load_card
    from bayesgmm.errors import DeclarationError
    from bayesgmm.model import MixtureModel

    if (model is None) == (components is None):
        raise DeclarationError("give either -k (number of components) or --model (a card), for example -k 3")
    if components is not None:
        return Card(MixtureModel(n_components=components, covariance=covariance or "full"))
    assert model is not None
    if covariance is not None:
        raise DeclarationError(f"--covariance can't be used with --model: the card {model} declares the covariance")
    return load_card(model, data_anywhere=data_anywhere)


def read_for(
    card: "Card",
    path: Path | None,
    columns: str | None,
    noise_columns: str | None = None,
    label_column: str | None = None,
    weight_column: str | None = None,
    drop: str | None = None,
    keep: str | None = None,
) -> Given:
    """Return the data to fit: a table after the transforms of the card, or its own data.

    Raises
    ------
    DataError
        When there are no data, or they can't be used.
    """
    from bayesgmm.errors import DataError

    named = card.data.columns if columns is None else chosen_columns(columns)
    label_column = label_column or card.data.labels
    if path is not None:
        if noise_columns is None and card.data.noise is not None:
            noise_columns = ",".join(card.data.noise)
        noise, labels = noise_of(path, noise_columns), labels_of(path, label_column, columns)
        require_not_fitted(noise, columns)
        hidden = [label_column, weight_column, card.data.truth, *(() if noise is None else noise.columns)]
        found = measured_columns(path, named, hidden, drop, keep)
        frame, codes = _without(found.frame, noise), found.codes
    elif card.data.given:
        refuse({"drop", "keep"}, "needs a table: the card names the columns of its own data")
        own = card.data.model_copy(update={"columns": named, "labels": label_column}).read()
        return Given(own.frame, own.noise if noise_columns is None else noise_of(path, noise_columns), own.labels)
    else:
        raise DataError("there are no data: give a table, or --model with a card that has data (see bayesgmm models)")
    for transform in card.data.transforms:
        remark(f"transform of the card: {transform.words}")
    frame = card.data.transformed(frame)
    return Given(frame, noise, None if labels is None else labels.loc[frame.index], codes=codes)


def in_parts(path: Path | None, memory: str | None, scheduler: str | None = None) -> bool:
    """Return True if a table is read part by part: with ``--memory`` or ``--scheduler``, and for patterns and folders.

    Raises
    ------
    DeclarationError
        When there is ``--memory`` or ``--scheduler``, but no table; or both.
    """
    from bayesgmm.errors import DeclarationError
    from bayesgmm.sources.opening import is_read_in_parts

    given = {name: value for name, value in {"--memory": memory, "--scheduler": scheduler}.items() if value is not None}
    if len(given) > 1:
        raise DeclarationError("--memory can't be used with --scheduler: rows are kept by the workers")
    for name, value in given.items():
        if path is None:
            raise DeclarationError(f"{name} {value} needs a table that is read part by part")
    return path is not None and (bool(given) or is_read_in_parts(path))


@contextmanager
def placed(rows: "RowSource", scheduler: str | None) -> "Iterator[RowSource]":
    """Return rows to fit: those of files, or with ``--scheduler`` the same, read by the workers of a cluster."""
    if scheduler is None:
        yield rows
        return
    from dataclasses import replace

    from bayesgmm.sources.weights import WeightedSource
    from bayesgmm.workers.files import on_workers
    from bayesgmm.workers.schedulers import connected

    with connected(scheduler):
        if isinstance(rows, WeightedSource):
            yield replace(rows, rows=on_workers(rows.rows))  # type: ignore[arg-type]
        else:
            yield on_workers(rows)  # type: ignore[arg-type]


def rows_for(
    card: "Card",
    path: Path,
    columns: str | None,
    weight: str | None,
    drop: str | None = None,
    keep: str | None = None,
) -> "RowSource":
    """Open the files of a table that is read part by part, with the named columns, default all measurements.

    Parameters
    ----------
    card : Card
    path : Path
    columns, weight : str or None
        ``--columns`` and ``--weight-column``.
    drop, keep : str or None
        ``--drop`` and ``--keep``.

    Raises
    ------
    DataError, DeclarationError
        When they can't be used, or the card declares transforms or labels.
    """
    from bayesgmm.errors import DeclarationError

    if card.data.transforms or card.data.labels or card.data.noise:
        raise DeclarationError(
            "the card transforms its columns, or has labels or errors: its table can't be read in parts"
        )
    require_other(weight, columns)
    return opened(path, chosen_columns(columns) or card.data.columns, card.data.truth, weight, drop, keep)


def opened(
    path: Path,
    columns: Sequence[str] | None,
    hidden: str | None = None,
    weight: str | None = None,
    drop: str | None = None,
    keep: str | None = None,
) -> "RowSource":
    """Open the files of a table that is read part by part, with the named columns, default all measurements but one."""
    from bayesgmm.sources.file_sources import columns_of, open_files
    from bayesgmm.sources.opening import source

    refuse({"noise_columns", "label_column"}, "can't be used with a table that is read in parts")
    known = columns_of(path)
    if columns is None:
        found = first_rows_measured(path, known, [hidden, weight], drop, keep)
        columns = [str(name) for name in found.frame.columns]
    else:
        columns = [name for name in [*columns, *names_of(keep or "")] if name not in names_of(drop or "")]
    if weight is None:
        say_weights(columns)
        with said_before():
            return open_files(path, list(columns))
    if known.get(weight):
        raise_not_weights(weight, known[weight])
    with said_before():
        return source(open_files(path, [*columns, weight]), weight=weight)


def check_picture(output: Path, *inputs: Path) -> None:
    """Check that a figure can be written, before the computation starts.

    Raises
    ------
    FitFileError
        When it can't, or would overwrite an input.
    """
    from bayesgmm.files import writable

    check_other(writable(output, ".png", ".pdf", ".svg"), *inputs)


def measured(
    path: Path,
    columns: str | None,
    noise_columns: str | None,
    label_column: str | None,
    weight_column: str | None = None,
    drop: str | None = None,
    keep: str | None = None,
) -> Given:
    """Return the data of a file."""
    noise, labels = noise_of(path, noise_columns), labels_of(path, label_column, columns)
    require_not_fitted(noise, columns)
    hidden = [label_column, weight_column, *(() if noise is None else noise.columns)]
    found = measured_columns(path, chosen_columns(columns), hidden, drop, keep)
    return Given(_without(found.frame, noise), noise, labels, codes=found.codes)


def _without(frame: "pd.DataFrame", noise: "pd.DataFrame | None") -> "pd.DataFrame":
    """Return the values of a table, without the columns of their standard errors."""
    return frame if noise is None else frame.drop(columns=[*noise.columns], errors="ignore")


def require_not_fitted(noise: "pd.DataFrame | None", columns: str | None) -> None:
    """Check that no column of standard errors is fitted, too.

    Raises
    ------
    DataError
        When a column was chosen as both.
    """
    from bayesgmm.errors import DataError

    if noise is not None and (both := [name for name in chosen_columns(columns) or () if name in noise]):
        raise DataError(
            f"--columns and --noise-columns both name {listing(both)}; a column holds values or their errors"
        )


def noise_of(path: Path | None, names: str | None) -> "pd.DataFrame | None":
    """Return the standard errors of ``--noise-columns``, in which an empty cell says nothing; None without the option.

    Raises
    ------
    DataError
        When there is no table, or it lacks a column.
    """
    from bayesgmm.data.tables import read_table
    from bayesgmm.errors import DataError

    if names is None:
        return None
    if path is None:
        raise DataError(f"--noise-columns {names} needs a table of points with these columns")
    each = [name.strip() for name in names.split(",") if name.strip()]  # one column may serve for several
    named = [name if name not in each[:place] else f"{name} ({place + 1})" for place, name in enumerate(each)]
    return read_table(path, chosen_columns(names))[0][each].set_axis(named, axis=1).fillna(float("inf"))


def labels_of(path: Path, name: str | None, columns: str | None) -> "pd.Series | None":
    """Return the column of ``--label-column``; None without the option.

    Raises
    ------
    DataError
        When the table lacks it, or it is fitted, too.
    """
    from bayesgmm.data.columns import select
    from bayesgmm.data.tables import read_frame
    from bayesgmm.errors import DataError

    if name is None:
        return None
    if name in (chosen_columns(columns) or ()):
        raise DataError(f"--columns and --label-column both name {name!r}; a column holds values or labels")
    return select(read_frame(path, [name]), [name])[name]


def without_weights(frame: "pd.DataFrame", weights: "pd.Series | None") -> "pd.DataFrame":
    """Return the values of a table, without the column of row weights."""
    if weights is None:
        say_weights(frame.columns)
        return frame
    return frame.drop(columns=str(weights.name), errors="ignore")


def weights_of(path: Path | None, name: str | None, columns: str | None) -> "pd.Series | None":
    """Return the column of ``--weight-column``; None without the option.

    Raises
    ------
    DataError
        When there is no table, it lacks the column, or the column is fitted, too.
    """
    from bayesgmm.data.columns import is_numeric, select
    from bayesgmm.data.tables import read_frame
    from bayesgmm.errors import DataError

    if name is None:
        return None
    if path is None:
        raise DataError(f"--weight-column {name} needs a table with this column")
    require_other(name, columns)
    found = select(read_frame(path, [name]), [name])[name]
    if not is_numeric(found):
        raise_not_weights(name, "not numeric")
    return found


def require_other(weight: str | None, columns: str | None) -> None:
    """Check that the column of the weights is not fitted, too.

    Raises
    ------
    DataError
    """
    from bayesgmm.errors import DataError

    if weight is not None and weight in (chosen_columns(columns) or ()):
        raise DataError(f"--columns and --weight-column both name {weight!r}; a column holds values or weights")


def raise_not_weights(name: str, why: str) -> NoReturn:
    """Raise the error for a column of weights that does not hold numbers.

    Raises
    ------
    DataError
    """
    from bayesgmm.errors import DataError

    raise DataError(
        f"--weight-column {name}: the column is {why}\n  Name a column with the number of points of each row."
    )


def say_weights(columns: Container[object]) -> None:
    """Say that a column that is fitted looks like the weights of a coreset."""
    if WEIGHT in columns:
        say(
            f"column {WEIGHT!r} is fitted as values; if it holds row weights, as in a file of 'bayesgmm coreset', "
            f"add --weight-column {WEIGHT}",
            err=True,
        )


def check_table(output: Path, *inputs: Path | None) -> None:
    """Check that a table can be written, before the computation starts.

    Raises
    ------
    FitFileError
        When it can't, or would overwrite an input.
    """
    from bayesgmm.files import writable

    check_other(writable(output, ".csv", ".parquet", ".pq"), *inputs)


def write(frame: "pd.DataFrame", path: Path, name: str = "rows", *, index: bool = True) -> None:
    """Write a table, and print that; in the JSON document its rows are called ``name``."""
    from bayesgmm.data.tables import PARQUET
    from bayesgmm.files import write_csv, write_parquet

    (write_parquet if path.suffix.lower() in PARQUET else write_csv)(frame, path, index=index)
    if session().json:
        record(**{name: records(frame)})
    wrote(path, len(frame))
