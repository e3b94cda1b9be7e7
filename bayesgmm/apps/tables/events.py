"""Events: flagged rows that lie close together in time."""

from typing import TYPE_CHECKING

import numpy as np

from bayesgmm.apps.tables.columns import UsableTable
from bayesgmm.errors import DataError
from bayesgmm.wording import listing, plural

if TYPE_CHECKING:
    import pandas as pd

GAP = 0.01  # share of the rows that may lie between two flagged rows of an event
COLUMNS = ["first", "last", "rows", "flagged", "p_value", "reason"]
DATE = "date"


def time_column(table: UsableTable, name: str | None) -> str | None:
    """Name of the column by which rows are ordered: the given one, or the only column of dates; None if there is none.

    Raises
    ------
    DataError
        If there is no such column.
    """
    if name is not None and name not in table.written.columns:
        raise DataError(f"time={name!r} is no column of the table; it has {listing([*table.written.columns])}")
    if name is not None or table.check is None:
        return name
    dates = [column.name for column in table.check.columns if column.kind in (DATE, "time")]
    return dates[0] if len(dates) == 1 else None


def events(rows: "pd.DataFrame", table: UsableTable, time: str | None) -> "pd.DataFrame":
    """Group flagged rows into events: fewer than 1 % of the rows lie between two consecutive ones.

    Parameters
    ----------
    rows : DataFrame
        ``p_value``, ``anomaly`` and ``reason`` of each row of the table.
    table : UsableTable
    time : str, optional
        Column by which the rows are ordered. Without one, there are no events.

    Returns
    -------
    DataFrame
        One row per event, in order of time: ``first`` and ``last`` (times), ``rows`` from the first to the last,
        ``flagged`` rows among them, the smallest ``p_value``, and the ``reason`` of that row.

    Raises
    ------
    DataError
        If the column holds no times or numbers.

    Examples
    --------
    >>> import pandas as pd
    >>> from bayesgmm.apps.tables.columns import usable_table
    >>> hours = pd.DataFrame({"hour": np.arange(300.0), "heat": np.sin(np.arange(300.0)), "load": 1.5})
    >>> at = hours.index.isin([20, 21, 23, 200])
    >>> rows = pd.DataFrame({"p_value": 0.01, "anomaly": at, "reason": "hot"})
    >>> events(rows, usable_table(hours), "hour")[["first", "last", "rows", "flagged"]].values.tolist()
    [[20.0, 23.0, 4.0, 3.0], [200.0, 200.0, 1.0, 1.0]]
    """
    import pandas as pd

    flagged = rows["anomaly"].to_numpy(bool)
    if time is None or not flagged.any():
        return pd.DataFrame(columns=COLUMNS)
    times = _times(table.written[time])
    order = np.argsort(times, kind="stable")
    place = np.flatnonzero(flagged[order])
    number = np.cumsum(np.diff(place, prepend=place[0]) > max(1.0, GAP * len(rows)))
    found = []
    for event in np.unique(number):
        at = order[place[number == event]]
        worst = at[rows["p_value"].to_numpy()[at].argmin()]
        span = place[number == event]
        first, last = (table.written[time].iloc[i] for i in (at[0], at[-1]))
        lowest, reason = rows["p_value"].iloc[worst], rows["reason"].iloc[worst]
        found.append((first, last, int(span[-1] - span[0] + 1), len(at), lowest, reason))
    return pd.DataFrame(found, columns=COLUMNS)


def _times(column: "pd.Series") -> "np.ndarray":
    import pandas as pd

    numbers = pd.to_numeric(column, errors="coerce")
    if numbers.notna().mean() > 0.9:
        return numbers.fillna(np.inf).to_numpy(np.float64)
    times = pd.to_datetime(column, errors="coerce", format="mixed", utc=True)
    if times.notna().mean() <= 0.9:
        raise DataError(
            f"column {column.name!r} can't order the rows: most of its values are neither times nor numbers"
        )
    return times.astype("int64").to_numpy(np.float64)


def event_words(found: "pd.DataFrame", n_flagged: int) -> str:
    """Say how many events the flagged rows are; empty if there is no order in time.

    Examples
    --------
    >>> import pandas as pd
    >>> event_words(pd.DataFrame({"flagged": [3, 1]}), 4)
    '4 flagged rows are 2 events, the longest with 3 flagged rows'
    """
    if found.empty:
        return ""
    rows, longest = (
        plural(n_flagged, "flagged row is", "flagged rows are"),
        plural(int(found["flagged"].max()), "flagged row"),
    )
    return f"{rows} {plural(len(found), 'event')}, the longest with {longest}"
