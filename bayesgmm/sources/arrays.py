"""Arrays and tables in memory as sources."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from bayesgmm.data.points import Points
from bayesgmm.sources.rows import Part, RowSource


@dataclass(frozen=True)
class MemorySource(RowSource):
    """Rows that are in memory.

    Parameters
    ----------
    points : Points
    """

    points: Points
    in_memory: ClassVar[bool] = True

    @property
    def name(self) -> str:
        """What it reads, in words."""
        return "data in memory"

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns."""
        return self.points.columns

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return len(self.points.values)

    @property
    def fingerprint(self) -> str:
        """Hash of the values."""
        return self.points.fingerprint

    def parts(self, rows: int, first: int = 0) -> Iterator[Part]:
        """Yield the rows from a given one on, a number at a time."""
        values = self.points.values
        for start in range(first, len(values), rows):
            part = values[start : start + rows]
            yield Part(part, "", range(start, start + len(part)))
