"""Rows of a source of which one column holds their weights."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from bayesgmm.errors import DataError, did_you_mean
from bayesgmm.sources.rows import Part, RowSource
from bayesgmm.wording import listing


@dataclass(frozen=True, repr=False)
class WeightedSource(RowSource):
    """Rows with weights.

    Parameters
    ----------
    rows : RowSource
        All columns.
    weight : str
        The column of the weights: how many points each row stands for.

    Raises
    ------
    DataError
        If there is no such column, or no other one.
    """

    rows: RowSource
    weight: str
    weighted: ClassVar[bool] = True

    def __post_init__(self) -> None:
        known = self.rows.columns
        if self.weight not in known:
            hint = did_you_mean(self.weight, dict.fromkeys(known))
            raise DataError(f"there is no column {self.weight!r} of weights; the columns are {listing(known)}{hint}")
        if len(known) == 1:
            raise DataError(f"there is no column beside that of the weights, {self.weight!r}")

    def __repr__(self) -> str:
        """Return what it reads."""
        return f"{self.rows!r}, weights {self.weight!r}"

    @property
    def in_memory(self) -> bool:  # type: ignore[override]
        """True if nothing is gained where rows are kept."""
        return self.rows.in_memory

    @property
    def name(self) -> str:
        """What it reads, in words."""
        return self.rows.name

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns, without that of the weights."""
        return tuple(name for name in self.rows.columns if name != self.weight)

    @property
    def n_rows(self) -> int | None:
        """Number of rows; None if it is not known."""
        return self.rows.n_rows

    @property
    def fingerprint(self) -> str:
        """That of all columns, with the name of the weights."""
        return f"{self.rows.fingerprint} {self.weight}"

    @property
    def at(self) -> int:
        """Place of the weights among all columns."""
        return self.rows.columns.index(self.weight)

    def parts(self, rows: int, first: int = 0) -> Iterator[Part]:
        """Yield the rows with their weights."""
        return (part.weighed_by(self.at) for part in self.rows.parts(rows, first))


def unweighted(rows: RowSource) -> Any:
    """Return the source of all columns, that of the weights among them."""
    return rows.rows if isinstance(rows, WeightedSource) else rows
