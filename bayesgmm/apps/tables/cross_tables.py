"""Cross tables: how the values of columns that were not used are distributed over the clusters."""

from typing import TYPE_CHECKING

import numpy as np

from bayesgmm.data.columns import is_numeric
from bayesgmm.screening.results import IDS, DataCheck
from bayesgmm.wording import number_in_words

if TYPE_CHECKING:
    import pandas as pd

MAX_VALUES = 12  # maximum number of different values of a column that is counted value by value
SHOWN = 2  # values of a cluster in words
MENTIONED = 3  # columns in words
WITHOUT = IDS | {"constant", "empty", "date", "time"}  # kinds of columns without a cross table
CLEAR = 0.2  # association from which a column is mentioned


def cross_tables(check: DataCheck, cluster: "pd.Series") -> "pd.DataFrame":
    """Count the values of each column that was not used in each cluster; of columns of many numbers, give the median.

    Parameters
    ----------
    check : DataCheck
    cluster : Series
        Cluster of each row; missing where there is none.

    Returns
    -------
    DataFrame
        One row per ``column``, ``cluster`` and ``value``: ``count``, ``share`` of the cluster's rows with a value, and
        ``association`` of the column with the clusters, from 0 to 1: Cramér's V [1]_. A column of many numbers has no
        ``value`` and ``share``, but a ``median``; its association is the root of the share of the variance of its ranks
        between clusters. The strongest association is first.

    References
    ----------
    .. [1] Cramér (1946), Mathematical Methods of Statistics, section 21.9.

    Examples
    --------
    >>> import bayesgmm as bg
    >>> import pandas as pd
    >>> check = bg.data_check({"x": [1.5, 2.5, 4.0, 2.0], "sex": ["f", "f", "m", "m"]})
    >>> table = cross_tables(check, pd.Series([0, 0, 1, 1], dtype="Int64"))
    >>> table[["cluster", "value", "count", "share"]].values.tolist()
    [[0, 'f', 2, 1.0], [0, 'm', 0, 0.0], [1, 'f', 0, 0.0], [1, 'm', 2, 1.0]]
    """
    import pandas as pd

    names = [c.name for c in check.columns if not c.is_used and c.kind not in WITHOUT]
    cluster = cluster.reset_index(drop=True)
    parts = [_table(check.frame[name].reset_index(drop=True), cluster, name) for name in names]
    columns = ["column", "cluster", "value", "count", "share", "median", "association"]
    found = [part for part in parts if part is not None]
    table = pd.concat(found, ignore_index=True)[columns] if found else pd.DataFrame(columns=columns)
    return table.sort_values("association", ascending=False, kind="stable", ignore_index=True)


def _table(values: "pd.Series", cluster: "pd.Series", name: str) -> "pd.DataFrame | None":
    known = values.notna() & cluster.notna()
    values, cluster = values[known], cluster[known].astype(int)
    if values.nunique() < 2 or cluster.nunique() < 2:
        return None
    if values.nunique() <= MAX_VALUES:
        return _counts(values, cluster, name)
    return _medians(values, cluster, name) if is_numeric(values) else None


def _counts(values: "pd.Series", cluster: "pd.Series", name: str) -> "pd.DataFrame":
    import pandas as pd

    count = pd.crosstab(cluster, values.map(_text))
    share = count.div(count.sum(axis=1), axis=0)
    long = pd.DataFrame({"count": count.stack(), "share": share.stack()}).rename_axis(["cluster", "value"])
    return long.reset_index().assign(column=name, median=np.nan, association=_cramer(count.to_numpy(np.float64)))


def _text(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _cramer(count: "np.ndarray[tuple[int, int], np.dtype[np.float64]]") -> float:
    expected = count.sum(axis=1, keepdims=True) * count.sum(axis=0) / count.sum()
    chi2 = float(((count - expected) ** 2 / expected).sum())
    return float(np.sqrt(chi2 / (count.sum() * (min(count.shape) - 1))))


def _medians(values: "pd.Series", cluster: "pd.Series", name: str) -> "pd.DataFrame":
    import pandas as pd

    x = values.astype(float)
    rank = x.rank()
    between = rank.groupby(cluster).transform("mean")
    grouped = x.groupby(cluster)
    table = pd.DataFrame({"count": grouped.size(), "median": grouped.median()}).rename_axis("cluster").reset_index()
    return table.assign(column=name, value="", share=np.nan, association=float(between.std() / rank.std()))


def cross_words(table: "pd.DataFrame") -> list[str]:
    """Describe the three columns that go with the clusters most: one sentence each.

    Examples
    --------
    >>> import bayesgmm as bg
    >>> import pandas as pd
    >>> check = bg.data_check({"x": [1.5, 2.5, 4.0, 2.0], "sex": ["f", "f", "m", "m"]})
    >>> cross_words(cross_tables(check, pd.Series([0, 0, 1, 1], dtype="Int64")))
    ["column 'sex', not used: cluster 0: m (0 %); cluster 1: m (100 %)"]
    """
    clear = table[table["association"] >= CLEAR]
    lines = []
    for name, part in [*clear.groupby("column", sort=False)][:MENTIONED]:
        cells = [f"cluster {cluster}: {cell_words(rows)}" for cluster, rows in part.groupby("cluster")]
        lines.append(f"column {name!r}, not used: {'; '.join(cells)}")
    return lines


def cell_words(rows: "pd.DataFrame") -> str:
    """Return the most frequent values of a column in a cluster, with their shares, or its median.

    Of two values only the second is named.
    """
    if np.isfinite(rows["median"].iloc[0]):
        return f"median {number_in_words(rows['median'].iloc[0])}"
    often = rows[rows["count"] > 0].sort_values("share", ascending=False, kind="stable").head(SHOWN)
    named = rows.iloc[1:] if len(rows) == SHOWN else often
    return ", ".join(f"{row['value']} ({100 * row['share']:.0f} %)" for _, row in named.iterrows())
