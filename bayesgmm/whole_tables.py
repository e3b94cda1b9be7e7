"""Tables that are printed with all their columns."""

from collections.abc import Callable
from typing import Any

import pandas as pd

ROWS = 200  # tables with more rows are shortened


class WholeTable(pd.DataFrame):
    """DataFrame whose columns are all printed, in several parts if they are wider than the display.

    What pandas makes of it, for example a selection of columns, is an ordinary DataFrame.

    Examples
    --------
    >>> wide = WholeTable({f"quantity {number}": [0.5] for number in range(30)})
    >>> "..." in repr(wide), "..." in repr(pd.DataFrame(wide))
    (False, True)
    """

    @property
    def _constructor(self) -> "Callable[..., pd.DataFrame]":
        return pd.DataFrame

    def __repr__(self) -> str:
        """Return the table as text."""
        with pd.option_context("display.max_columns", None, "display.max_rows", ROWS):
            return super().__repr__()

    def _repr_html_(self) -> Any:
        with pd.option_context("display.max_columns", None, "display.max_rows", ROWS):
            return super()._repr_html_()
