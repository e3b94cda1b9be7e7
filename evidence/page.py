"""The page ``docs/evidence.md``, rendered from the stored results."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from evidence import results
from evidence.results import SEED, Result
from evidence.sections import SECTIONS

PATH = Path(__file__).parents[1] / "docs" / "evidence.md"
HEAD = """\
# Evidence

Checks of the package against known answers: parameters that data were simulated from, exact enumeration, and published
results. Each section names its replicates, its seed, and the command that computes it again. A number after ± is one
Monte Carlo standard error, and numbers in brackets are a 95 % interval. `make evidence` runs all sections;
`python -m evidence --help` lists them.

This page is written by that command. [The benchmarks](benchmarks.md) compare speed.
"""


def cell(value: Any) -> str:
    """Format one cell of a table.

    Examples
    --------
    >>> cell(21147), cell(0.0123456), cell(2.0), cell(-0.0), cell(None), cell("vi")
    ('21,147', '0.0123', '2', '0', '', 'vi')
    """
    if value is None or value != value:
        return ""
    if isinstance(value, float | np.floating):
        number = float(value) + 0.0  # no minus before zero
        return f"{number:.3g}" if 0 < abs(number) < 1000 else f"{number:,.0f}"
    return f"{value:,}" if isinstance(value, int | np.integer) and not isinstance(value, bool) else str(value)


def row(cells: Iterable[str]) -> str:
    """Format one row of a table."""
    return f"| {' | '.join(cells)} |"


def rendered(name: str, result: Result) -> str:
    """Format a section: its paragraph, its table, and how it was computed."""
    table = result.table
    lines = [row(map(str, table.columns)), row("---" for _ in table.columns)]
    lines += [row(cell(value) for value in values) for values in table.itertuples(index=False)]
    section = SECTIONS[name]
    fewer = "" if result.replicates == section.replicates else f" --replicates {result.replicates}"
    other = "" if result.seed == SEED else f" --seed {result.seed}"
    made = (
        f"`python -m evidence {name}{fewer}{other}`: {cell(result.replicates)} replicates, seed {result.seed}, "
        f"{cell(result.seconds)} s of processor time, bayesgmm {result.version}, {result.day}."
    )
    return "\n".join([f"## {section.title}", "", result.text, "", *lines, "", made, ""])


def page() -> str:
    """Render the page from the stored results."""
    found = {name: results.read(name) for name in SECTIONS}
    return "\n".join([HEAD, *(rendered(name, result) for name, result in found.items() if result is not None)])


def write() -> Path:
    """Write the page; return its path."""
    PATH.write_text(page())
    return PATH
