"""Declarations in a notebook: in words and mathematics, as their docstrings have them, and the values of the fields."""

import re
from collections.abc import Mapping
from html import escape
from inspect import cleandoc
from typing import Any

from bayesgmm.wording import in_short

MATH = re.compile(r"\.\. math::(.*?)(?:\n\s*\n|$)", re.DOTALL)
IN_TEXT = re.compile(r":math:`(.*?)`")


def declaration_html(kind: type, fields: Mapping[str, Any]) -> str:
    r"""Describe a declaration as HTML: its first sentence, its formulas in LaTeX, and a table of its fields.

    Parameters
    ----------
    kind : type
        The class, whose docstring is read.
    fields : mapping
        Values by name; None is left out. Values that have HTML of their own are shown by it.

    Examples
    --------
    >>> class Coin:
    ...     '''Toss of a coin.
    ...
    ...     .. math:: P(x = 1) = p
    ...     '''
    >>> print(declaration_html(Coin, {"p": 0.5}))
    <p><b>Coin</b>: Toss of a coin.</p>
    <p>\[P(x = 1) = p\]</p>
    <table><tr><th>p</th><td>0.5</td></tr></table>
    """
    text = cleandoc(kind.__doc__ or "")
    sentence = IN_TEXT.sub(r"\\(\1\\)", escape(" ".join(text.partition("\n\n")[0].split()).replace("``", "")))
    formulas = [f"<p>\\[{escape(' '.join(math.split()))}\\]</p>" for math in MATH.findall(text)]
    shown = {name: value for name, value in fields.items() if value is not None}
    rows = "".join(f"<tr><th>{escape(name)}</th><td>{_cell(value)}</td></tr>" for name, value in shown.items())
    return "\n".join(
        [f"<p><b>{kind.__name__}</b>: {sentence}</p>", *formulas, f"<table>{rows}</table>" if rows else ""]
    )


def _cell(value: object) -> str:
    if hasattr(value, "_repr_html_"):
        return str(value._repr_html_())
    return escape(value if isinstance(value, str) else in_short(value))
