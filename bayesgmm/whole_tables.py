"""Tables that are printed with all their columns, and with whole sentences."""

from collections.abc import Callable
from typing import Any

import pandas as pd

ROWS = 200  # tables with more rows are shortened
WHOLE = ("display.max_columns", None, "display.max_colwidth", None, "display.max_rows", ROWS)


class WholeTable(pd.DataFrame):
    """DataFrame whose columns are all printed, in several parts if they are wider than the display.

    Texts in cells, such as the reason of an anomaly, are printed whole.

    What pandas makes of it, for example a selection of columns, is an ordinary DataFrame.

    Examples
    --------
    >>> wide = WholeTable({f"quantity {number}": [0.5] for number in range(30)})
    >>> "..." in repr(wide), "..." in repr(pd.DataFrame(wide))
    (False, True)
    >>> reason = "petal_length 13 (+65.0 sd from 1.412) given the other columns"
    >>> reason in repr(WholeTable({"reason": [reason]})), reason in repr(pd.DataFrame({"reason": [reason]}))
    (True, False)
    """

    @property
    def _constructor(self) -> "Callable[..., pd.DataFrame]":
        return pd.DataFrame

    def __repr__(self) -> str:
        """Return the table as text."""
        with pd.option_context(*WHOLE):
            return super().__repr__()

    def _repr_html_(self) -> Any:
        with pd.option_context(*WHOLE):
            return super()._repr_html_()
