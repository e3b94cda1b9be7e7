"""A table of data with what is known about its rows: an input of ``fit``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Given:
    """The data of a command or of a card.

    Parameters
    ----------
    frame : DataFrame
        Columns to fit, one row per point.
    noise : DataFrame or None
        Standard errors of these columns, in their order.
    labels : Series or None
        Names or numbers of the components of some rows.
    truth : Series or None
        Class of each row if known; it is not fitted.
    codes : mapping of str to sequence of float
        Numbers that stood for missing values, by column; they are missing in ``frame``.
    """

    frame: "pd.DataFrame"
    noise: "pd.DataFrame | None" = None
    labels: "pd.Series | None" = None
    truth: "pd.Series | None" = None
    codes: Mapping[str, Sequence[float]] = field(default_factory=dict)

    @property
    def known(self) -> dict[str, Any]:
        """Arguments ``noise`` and ``labels`` of ``fit``."""
        return {"noise": self.noise, "labels": self.labels}
