"""Text and tables in Markdown that no name of a column can break."""

import re
from collections.abc import Sequence

from bayesgmm.reports.mathematics import POWER, lowered

NUMBER = re.compile(rf"(−?[\d.]+){POWER.pattern}")
SPECIAL = re.compile(r"([\\`*\[\]$<>@|#~^]|(?<!\w)_|_(?!\w))")


def escaped(text: str) -> str:
    r"""Escape what Markdown would read as a mark, in a sentence that quotes names.

    Examples
    --------
    >>> print(escaped("column 'a*b' of n_init"))
    column 'a\*b' of n_init
    """
    return SPECIAL.sub(r"\\\1", " ".join(text.split()))


def code(text: str) -> str:
    """Format a name as code, on one line.

    Examples
    --------
    >>> code("petal_width")
    '`petal_width`'
    """
    return f"`{' '.join(text.split()).replace('`', chr(39)) or ' '}`".replace("|", r"\|")


def grid(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Format a table.

    Examples
    --------
    >>> print(grid(("", "weight"), [("a", "0.5")]))
    |  | weight |
    |---|---|
    | a | 0.5 |
    """
    lines = [columns, *rows]
    shown = [f"| {' | '.join(cells)} |" for cells in lines]
    return "\n".join([shown[0], "|---" * len(columns) + "|", *shown[1:]])


def typeset_powers(text: str) -> str:
    r"""Write powers of ten in sentences as formulas: the fonts of a paper may lack small raised digits.

    Examples
    --------
    >>> print(typeset_powers("near 1.3 × 10⁸"))
    near $1.3 \times 10^{8}$
    """
    return NUMBER.sub(lambda found: f"${_plain(found[1])} \\times 10^{{{_plain(lowered(found[2]))}}}$", text)


def _plain(number: str) -> str:
    return number.replace("−", "-")
