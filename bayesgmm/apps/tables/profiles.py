"""What each cluster is like, in the data's own units, and what sets it apart from the rest."""

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

QUANTILES = {"q05": 0.05, "median": 0.5, "q95": 0.95}
APART = 0.5  # standard deviations from which a difference is named
MOST_NAMED = 3


def profiles(rows: "pd.DataFrame", label: Any) -> "pd.DataFrame":
    """Each column in each cluster: its middle, its spread, and how far from all other rows.

    Parameters
    ----------
    rows : (N, D) DataFrame
        Numbers.
    label : (N,) int
        Clusters.

    Returns
    -------
    DataFrame
        A row for each cluster and column: ``size``, ``mean``, ``sd``, ``q05``, ``median``, ``q95``, all in the
        column's own units, and ``difference``: the cluster's mean less that of all other rows, divided by the pooled
        standard deviation of the two (Cohen's d); NaN where there are no others, or nothing varies.

    Examples
    --------
    >>> import pandas as pd
    >>> table = profiles(pd.DataFrame({"x": [0.0, 2.0, 10.0, 12.0]}), [0, 0, 1, 1])
    >>> table.loc[(0, "x"), ["mean", "difference"]].round(2).tolist()
    [1.0, -7.07]
    """
    import pandas as pd

    label = np.asarray(label)
    found = []
    for cluster in np.unique(label):
        inside = label == cluster
        for name in rows.columns:
            x = rows[name].to_numpy(np.float64)
            mine, others = x[inside], x[~inside]
            quantiles = {key: np.quantile(mine, at) for key, at in QUANTILES.items()}
            row = {"cluster": cluster, "column": str(name), "size": mine.size, "mean": mine.mean(), "sd": _sd(mine)}
            found.append(row | quantiles | {"difference": _difference(mine, others)})
    return pd.DataFrame(found).set_index(["cluster", "column"])


def _sd(x: Any) -> float:
    return float(x.std(ddof=1)) if x.size > 1 else np.nan


def _difference(mine: Any, others: Any) -> float:
    freedom = mine.size + others.size - 2
    if not others.size or freedom < 1:
        return np.nan
    squares = ((mine - mine.mean()) ** 2).sum() + ((others - others.mean()) ** 2).sum()
    pooled = float(np.sqrt(squares / freedom))
    return float(mine.mean() - others.mean()) / pooled if pooled > 0 else np.nan


def _number(value: float) -> str:
    """Four digits, and no powers of ten where there need be none.

    Examples
    --------
    >>> _number(3706.25), _number(1234567.0), _number(0.00012345)
    ('3706', '1,234,567', '0.0001234')
    """
    return f"{value:,.0f}" if abs(value) >= 1e4 else f"{value:.4g}"


def set_apart(profile: "pd.DataFrame", cluster: int) -> str:
    """What a cluster differs in from the rest, the most telling first, in words.

    Examples
    --------
    >>> import pandas as pd
    >>> set_apart(profiles(pd.DataFrame({"x": [0.0, 2.0, 10.0, 12.0]}), [0, 0, 1, 1]), 1)
    'high x (11)'
    """
    own = profile.loc[cluster]
    far = own[own["difference"].abs() >= APART].sort_values("difference", key=abs, ascending=False)
    named = [
        f"{'high' if row['difference'] > 0 else 'low'} {name} ({_number(row['mean'])})"
        for name, row in far.head(MOST_NAMED).iterrows()
    ]
    return ", ".join(named) or "near the middle in every column"
