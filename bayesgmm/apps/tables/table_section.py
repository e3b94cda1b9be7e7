"""Report section on the table: the kind of each column, whether it is used, and what stands out."""

from collections.abc import Callable

from bayesgmm.reports.blocks import Block, Grid, Items
from bayesgmm.reports.pages import Filled
from bayesgmm.screening.results import HEADINGS, DataCheck


def table_section(check: DataCheck, wording: Callable[[str], str]) -> Filled:
    """Make the section: how the table was read, and one row per column; ``wording`` is applied to each sentence."""
    read: list[Block] = [Items(tuple(map(wording, check.source.words)))] if check.source.words else []
    rows = tuple(tuple(map(wording, column.cells)) for column in check.columns)
    grid = Grid(check.heading, HEADINGS, rows, note=wording(check.options()), ends_in_words=True)
    return Filled("table", "The table", [*read, grid])
