"""Cluster profiles: location and spread of each column in data units, and its difference from the other rows."""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

QUANTILES = {"q05": 0.05, "median": 0.5, "q95": 0.95}
MIN_DIFFERENCE = 0.5  # minimum difference, in standard deviations, that is reported
MAX_NAMED = 3  # columns in a description


def profiles(rows: "pd.DataFrame", label: object) -> "pd.DataFrame":
    """Summarise each column in each cluster: location, spread, and difference from all other rows.

    Parameters
    ----------
    rows : (N, D) DataFrame
        Numeric columns.
    label : (N,) int
        Cluster of each row.

    Returns
    -------
    DataFrame
        One row per cluster and column: ``size`` (number of rows); ``mean``, ``sd``, ``q05``, ``median``, ``q95`` in the
        column's own units; and ``difference`` (Cohen's d), the cluster's mean minus that of all other rows, divided by
        their pooled standard deviation; NaN if there are no other rows or the column does not vary.

    Examples
    --------
    >>> import pandas as pd
    >>> table = profiles(pd.DataFrame({"x": [0.0, 2.0, 10.0, 12.0]}), [0, 0, 1, 1])
    >>> table.loc[(0, "x"), ["mean", "difference"]].round(2).tolist()
    [1.0, -7.07]
    """
    import pandas as pd

    label = np.asarray(label)
    summaries = []
    for cluster in np.unique(label):
        inside = label == cluster
        for name in rows.columns:
            x = rows[name].to_numpy(np.float64)
            own, others = x[inside], x[~inside]
            quantiles = {key: np.quantile(own, at) for key, at in QUANTILES.items()}
            row = {"cluster": cluster, "column": str(name), "size": own.size, "mean": own.mean(), "sd": _sd(own)}
            summaries.append(row | quantiles | {"difference": _difference(own, others)})
    return pd.DataFrame(summaries).set_index(["cluster", "column"])


def _sd(x: "pd.Series") -> float:
    return float(x.std(ddof=1)) if x.size > 1 else np.nan


def _difference(own: "pd.Series", others: "pd.Series") -> float:
    freedom = own.size + others.size - 2
    if not others.size or freedom < 1:
        return np.nan
    squares = ((own - own.mean()) ** 2).sum() + ((others - others.mean()) ** 2).sum()
    pooled = float(np.sqrt(squares / freedom))
    return float(own.mean() - others.mean()) / pooled if pooled > 0 else np.nan


def _number(value: float) -> str:
    """Format a number with four significant digits, without an exponent where possible.

    Examples
    --------
    >>> _number(3706.25), _number(1234567.0), _number(0.00012345)
    ('3706', '1,234,567', '0.0001234')
    """
    return f"{value:,.0f}" if abs(value) >= 1e4 else f"{value:.4g}"


def distinguishing_columns(profile: "pd.DataFrame", cluster: int) -> str:
    """List the columns in which a cluster differs most from the other rows, the largest difference first.

    Examples
    --------
    >>> import pandas as pd
    >>> distinguishing_columns(profiles(pd.DataFrame({"x": [0.0, 2.0, 10.0, 12.0]}), [0, 0, 1, 1]), 1)
    'high x (11)'
    """
    own = profile.loc[cluster]
    far = own[own["difference"].abs() >= MIN_DIFFERENCE].sort_values("difference", key=abs, ascending=False)
    named = [
        f"{'high' if row['difference'] > 0 else 'low'} {name} ({_number(row['mean'])})"
        for name, row in far.head(MAX_NAMED).iterrows()
    ]
    return ", ".join(named) or "close to the other rows in every column"
