"""The result of the check of a table: values that are printed, and read by the applications."""

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from bayesgmm.data.columns import is_numeric
from bayesgmm.reading.tables import ReadTable
from bayesgmm.screening.missing_codes import MissingCodes
from bayesgmm.screening.text_tables import text_table
from bayesgmm.wording import listing, plural, printable

if TYPE_CHECKING:
    import pandas as pd

IDS = frozenset({"id", "row number"})
KEEPABLE = frozenset({"id", "code", "row number", "time", "class", "mostly missing"})  # kinds that are numbers
NOT_CHOSEN = "it is not among the chosen columns"
HEADINGS = ("column", "kind", "used", "missing", "remarks")


@dataclass(frozen=True)
class ColumnCheck:
    """What a column of a table is.

    Parameters
    ----------
    name : str
    kind : str
        ``'measurement'``, ``'whole numbers'``, ``'class'``, ``'id'``, ``'code'``, ``'row number'``, ``'date'``,
        ``'time'``, ``'text'``, ``'constant'``, ``'empty'``, ``'mostly missing'`` or ``'linear function'``.
    why_not : str
        Reason why it is not used; empty if it is.
    missing : int
        Number of missing values, with those that a code stands for.
    codes : MissingCodes
        Numbers that stand for missing values.
    remarks : tuple of str
        What stands out.
    """

    name: str
    kind: str
    why_not: str = ""
    missing: int = 0
    codes: MissingCodes = field(default_factory=MissingCodes)
    remarks: tuple[str, ...] = ()

    @property
    def is_used(self) -> bool:
        """True if the column is used."""
        return not self.why_not

    @property
    def is_chosen(self) -> bool:
        """False if other columns were chosen."""
        return self.why_not != NOT_CHOSEN

    @property
    def cells(self) -> tuple[str, ...]:
        """The cells of the column in a printed table, under ``HEADINGS``."""
        words = "; ".join(re.sub(r"^(it is|it has|it holds) ", "", text) for text in self.words)
        return self.name, self.kind, "yes" if self.is_used else "no", str(self.missing or ""), words

    @property
    def words(self) -> list[str]:
        """The reason why it is left out, the codes, and what stands out."""
        codes = [f"{code:g} stands for missing in {plural(n, 'row')}" for code, n in self.codes.counts.items()]
        maybe = (
            []
            if self.why_not
            else [
                f"{code:g} in {plural(n, 'row')} is far from the rest: if it stands for missing, give na='{code:g}'"
                for code, n in self.codes.suspects.items()
            ]
        )
        return [*([self.why_not] if self.why_not else []), *codes, *maybe, *self.remarks]


@dataclass(frozen=True)
class DataCheck:
    """Check of a table, as ``data_check`` returns it.

    Parameters
    ----------
    columns : tuple of ColumnCheck
        In the order of the table.
    frame : DataFrame
        All rows and columns; values that a code stands for are missing.
    source : ReadTable
        The table as it came: ``source.texts`` are the cells of a file as they are written.
    duplicates : int
        Rows that repeat an earlier one in all columns that are neither ids nor numbers of rows.

    Examples
    --------
    >>> import bayesgmm as bg
    >>> print(bg.data_check({"size": [1.5, 2.5, 4.0, 2.0], "who": [*"abcd"], "flat": [1, 1, 1, 1]}))
    4 rows, 3 columns, 1 used
    column  kind      used  missing  remarks
    who     text      no             text, such as 'a'
    flat    constant  no             constant
    used, without remarks: 'size'
    """

    columns: tuple[ColumnCheck, ...]
    frame: "pd.DataFrame" = field(repr=False)
    source: ReadTable = field(repr=False)
    duplicates: int = 0

    @property
    def used(self) -> tuple[str, ...]:
        """Names of the columns that are used."""
        return tuple(column.name for column in self.columns if column.is_used)

    @property
    def left_out(self) -> dict[str, str]:
        """Names of the other columns, each with the reason; only the chosen ones, if columns were chosen."""
        return {c.name: c.why_not for c in self.columns if not c.is_used and c.is_chosen}

    @property
    def codes(self) -> dict[str, list[float]]:
        """Numbers that stand for missing values, by column that is used: those found, or the declared ones."""
        declared = self.source.declared
        found = {c.name: [*c.codes.counts] for c in self.columns if c.is_used and c.codes.counts}
        return {name: [*declared] for name in self.used} if declared else found

    @property
    def table(self) -> "pd.DataFrame":
        """One row per column: kind, used, missing values, distinct values, minimum, median, maximum, remarks."""
        import pandas as pd

        rows = [
            {"column": c.name, "kind": c.kind, "used": c.is_used, "missing": c.missing}
            | _summary(self.frame[c.name])
            | {"remarks": "; ".join(c.words)}
            for c in self.columns
        ]
        return pd.DataFrame(rows).set_index("column")

    def words(self) -> list[str]:
        """Describe how the table was read, and everything that stands out: one sentence per line."""
        lines = [*self.source.words]
        lines += [f"column {c.name!r} is left out: {c.why_not}" for c in self.columns if not c.is_used and c.is_chosen]
        lines += [f"column {c.name!r}: {text}" for c in self.columns for text in c.words if text != c.why_not]
        if self.duplicates:
            lines.append(self._on_duplicates())
        if self.says_options:
            lines.append(self.options())
        return lines

    def _on_duplicates(self) -> str:
        but = " but ids" if any(c.kind in IDS for c in self.columns) else ""
        return f"{plural(self.duplicates, 'row repeats', 'rows repeat')} an earlier row in every column{but}"

    @property
    def says_options(self) -> bool:
        """True if something is left out, or a number stands for missing values."""
        return any((c.kind in KEEPABLE and not c.is_used) or c.codes.counts for c in self.columns)

    def options(self) -> str:
        """Say which options change what is used."""
        parts = []
        possible = [c.name for c in self.columns if c.kind in KEEPABLE and not c.is_used]
        if possible:
            parts.append(f"keep='{possible[0]}' uses a column that is left out")
        if self.used:
            parts.append(f"drop='{self.used[0]}' leaves a column out")
        codes = [f"{code:g}" for c in self.columns for code in c.codes.counts]
        if codes:
            parts.append("na='none' takes every number as a value")
        return "; ".join(parts)

    @property
    def heading(self) -> str:
        """Numbers of rows and columns."""
        rows = plural(int(self.source.is_data.sum()), "row")
        return f"{rows}, {plural(len(self.columns), 'column')}, {len(self.used)} used"

    @property
    def remarkable(self) -> tuple[ColumnCheck, ...]:
        """Columns about which something is to be said."""
        return tuple(c for c in self.columns if (c.words or c.missing) and c.is_chosen)

    @property
    def closing(self) -> list[str]:
        """The other columns, duplicates, and the options: one sentence per line."""
        others = [c.name for c in self.columns if not (c.words or c.missing)]
        lines = [f"used, without remarks: {listing(others)}"] if others else []
        if self.duplicates:
            lines.append(self._on_duplicates())
        return [*lines, self.options()] if self.says_options else lines

    def __str__(self) -> str:
        """Return the check as a table of text."""
        rows = text_table([HEADINGS, *(c.cells for c in self.remarkable)]) if self.remarkable else []
        return printable("\n".join([self.heading, *self.source.words, *rows, *self.closing]))

    def _repr_html_(self) -> str:
        return str(self.table.to_html())


def _summary(column: "pd.Series") -> dict[str, object]:
    if not is_numeric(column):
        return {"distinct": column.nunique(), "minimum": np.nan, "median": np.nan, "maximum": np.nan}
    x = column.to_numpy(np.float64, na_value=np.nan)
    x = x[np.isfinite(x)]
    low, middle, high = np.quantile(x, [0, 0.5, 1]) if x.size else (np.nan, np.nan, np.nan)
    return {"distinct": len(np.unique(x)), "minimum": low, "median": middle, "maximum": high}
