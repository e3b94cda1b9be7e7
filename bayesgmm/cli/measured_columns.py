"""The columns that a command fits: the named ones, or the measurements of a table; what was left out is printed."""

import shlex
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from bayesgmm.cli.terminal import as_options, names_of, say, session
from bayesgmm.wording import listing

if TYPE_CHECKING:
    from bayesgmm.screening.measurements import Measurements
    from bayesgmm.screening.results import ColumnCheck


def measured_columns(
    path: Path,
    columns: Sequence[str] | None,
    hidden: Iterable[str | None] = (),
    drop: str | None = None,
    keep: str | None = None,
) -> "Measurements":
    """Read the named columns of a file, default all measurements; print which were left out.

    Parameters
    ----------
    path : Path
    columns : sequence of str or None
    hidden : iterable of str or None
        Columns with another meaning: they are left out without a message, unless ``columns`` names them.
    drop, keep : str or None
        ``--drop`` and ``--keep``.
    """
    from bayesgmm.data.tables import read_file
    from bayesgmm.screening.measurements import measurements

    dropped, kept = names_of(drop or ""), names_of(keep or "")
    if columns is not None:
        return _printed(path, measurements(path, columns, drop=dropped, keep=kept))
    table = read_file(path, numeric=kept)
    besides = [name for name in hidden if name is not None and name in table.values and name not in kept]
    return _printed(path, measurements(table, drop=[*dropped, *besides], keep=kept))


def _printed(path: Path, found: "Measurements") -> "Measurements":
    """Print which columns were left out, and which numbers stand for missing values.

    Raises
    ------
    DataError
        If there is no column to fit.
    """
    from bayesgmm.errors import DataError

    if not len(found.frame.columns):
        if len(found.frame) == 1:
            raise DataError(f"{path} has only 1 row")
        why = "; ".join(f"{c.name!r}: {c.why_not}" for c in found.left_out)
        raise DataError(f"{path} has no column to fit ({why})\n  {_remedy(found.left_out)}")
    for why in dict.fromkeys(c.why_not for c in found.left_out if c.kind != "dropped"):
        same = [c for c in found.left_out if c.why_not == why]
        say(f"left out, {why}: {listing([c.name for c in same])}; {_remedy(same)}", err=True)
    for line in found.words():
        say(as_options(line), err=True)
    return found


def _remedy(columns: "Sequence[ColumnCheck]") -> str:
    """Return the option that uses columns that were left out."""
    from bayesgmm.screening.results import KEEPABLE

    if not all(c.kind in KEEPABLE for c in columns):
        return "choose columns with --columns"
    names = shlex.quote(",".join(c.name for c in columns))
    return f"--keep {names} fits {'it' if len(columns) == 1 else 'them'}"


@contextmanager
def said_before() -> Iterator[None]:
    """Say nothing on how a table is read, where a line says it already."""
    from bayesgmm.errors import TableWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TableWarning)
        yield


def first_rows_measured(
    path: Path, known: dict[str, str], hidden: Iterable[str | None], drop: str | None, keep: str | None
) -> "Measurements":
    """Choose columns by the first rows of a table; print which were left out, also those that are not numeric."""
    import pandas as pd

    from bayesgmm.data.columns import require_columns
    from bayesgmm.screening.measurements import FIRST, Measurements, measurements_of_first
    from bayesgmm.screening.results import ColumnCheck
    from bayesgmm.sources.file_sources import open_files

    require_columns(names_of(drop or ""), known)
    besides = {*names_of(drop or ""), *(name for name in hidden if name is not None)}
    texts = tuple(ColumnCheck(name, "text", why) for name, why in known.items() if why and name not in besides)
    numbers = [name for name, why in known.items() if not why and name not in besides]
    with said_before():
        first = next(open_files(path, numbers).parts(FIRST), None) if numbers else None
    head = pd.DataFrame({} if first is None else first.values, columns=numbers)
    if head.empty:
        found = Measurements(head)
    else:
        found = measurements_of_first(head, keep=names_of(keep or ""), codes="na" not in session().typed)
    return _printed(path, replace(found, left_out=(*texts, *found.left_out)))
