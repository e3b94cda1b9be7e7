"""Report section on the table: the kind of each column, whether it is used, and what stands out."""

from bayesgmm.reports.blocks import Block, Grid, Items
from bayesgmm.reports.pages import Filled
from bayesgmm.screening.results import HEADINGS, DataCheck


def table_section(check: DataCheck) -> Filled:
    """Make the section: how the table was read, and one row per column."""
    read: list[Block] = [Items(check.source.words)] if check.source.words else []
    rows = tuple(column.cells for column in check.columns)
    grid = Grid(check.heading, HEADINGS, rows, note=check.options(), ends_in_words=True)
    return Filled("table", "The table", [*read, grid])
