"""Cluster profiles: location and spread of each column in data units, what is special about a cluster, and a name."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from bayesgmm.clusterings.merging import small
from bayesgmm.screening.dependence import numbers_of
from bayesgmm.sweep.stats import Array
from bayesgmm.wording import number_in_words

if TYPE_CHECKING:
    import pandas as pd

QUANTILES = {"q05": 0.05, "q25": 0.25, "median": 0.5, "q75": 0.75, "q95": 0.95}
QUARTILES_OF_SD = 1.349  # distance of the quartiles of a Gaussian, in standard deviations
MIN_DIFFERENCE = 0.5  # minimum difference that is reported
SIDE = 0.75  # share of the other rows below the median of a cluster whose values are high, or above it if they are low
SEPARATES = 0.75  # separation from which a column is named, whatever the difference of the medians
INSIDE = 0.1  # share of the other rows among the central 90 % of a cluster whose values lie between theirs
OUTLYING = 5.0  # difference of a small cluster from which its values are outliers
LONE = 3  # rows that are always outliers, if they are a cluster
FAR = 10.0  # distances of the quartiles, beyond them, from which a value is far from its cluster
MAX_NAMED = 3  # columns in a description
IN_NAME = 2  # columns in a name, more if names are equal


def profiles(rows: "pd.DataFrame", label: object) -> "pd.DataFrame":
    """Summarise each column in each cluster: location, spread, and difference from all other rows.

    Parameters
    ----------
    rows : (N, D) DataFrame
        Numeric columns; missing values are ignored, column by column.
    label : (N,) int
        Cluster of each row.

    Returns
    -------
    DataFrame
        One row per cluster and column: ``size`` (number of rows); ``mean``, ``sd``, ``q05``, ``q25``, ``median``,
        ``q75``, ``q95`` in the column's own units; ``difference``, the cluster's median minus that of all other rows,
        divided by the standard deviation within the two groups, which is taken from their quartiles; NaN if there are
        no other rows or the column does not vary; ``side``, ``'high'`` or ``'low'`` if three quarters of the other rows
        are below or above the cluster's median, ``'middle'`` if they lie on both sides and hardly any between, else
        empty; ``separation``, how well the column alone tells the cluster from the other rows: the largest difference
        of the two distribution functions (in the middle, those of the distances from the cluster's median);
        ``exactly``, a value of the cluster that separates it as well, else NaN; and ``far``, the value of the cluster
        that is farthest from it, if it lies more than ten times the distance of the quartiles beyond them, else NaN.

    Examples
    --------
    >>> import pandas as pd
    >>> table = profiles(pd.DataFrame({"x": [0.0, 1.0, 2.0, 10.0, 11.0, 12.0]}), [0, 0, 0, 1, 1, 1])
    >>> table.loc[(0, "x"), ["median", "difference"]].round(2).tolist()
    [1.0, -13.49]
    """
    import pandas as pd

    label = np.asarray(label)
    summaries = []
    for cluster in np.unique(label):
        inside = label == cluster
        for name in rows.columns:
            x = numbers_of(rows[[name]])[:, 0]
            seen = ~np.isnan(x)
            row = {"cluster": cluster, "column": str(name), "size": int(inside.sum())}
            summaries.append(row | _summary(x[inside & seen], x[~inside & seen]))
    return pd.DataFrame(summaries).set_index(["cluster", "column"])


def _summary(own: Array, others: Array) -> dict[str, object]:
    """Summarise the values of a cluster, beside those of all other rows; NaN if it has none."""
    if not own.size:
        return dict.fromkeys(["mean", "sd", *QUANTILES, "difference", "separation", "exactly", "far"], np.nan) | {
            "side": ""
        }
    quantiles = {key: float(np.quantile(own, at)) for key, at in QUANTILES.items()}
    return {"mean": own.mean(), "sd": _sd(own)} | quantiles | _against(own, others, quantiles) | {"far": _far(own)}


def _against(own: Array, others: Array, quantiles: dict[str, float]) -> dict[str, object]:
    """Compare the values of a cluster with those of all other rows."""
    side = _side(quantiles, others)
    near = (np.abs(own - quantiles["median"]), np.abs(others - quantiles["median"]))
    return {
        "difference": _difference(own, others),
        "side": side,
        "separation": _separation(*(near if side == "middle" else (own, others))),
        "exactly": _exactly(own, others),
    }


def _separation(own: Array, others: Array) -> float:
    """Largest difference of two distribution functions: 1 if a threshold separates the values without an error."""
    if not others.size:
        return np.nan
    at = np.concatenate([own, others])
    below = (np.searchsorted(np.sort(x), at, side="right") / x.size for x in (own, others))
    return float(np.abs(np.subtract(*below)).max())


def _exactly(own: Array, others: Array) -> float:
    """Value that most of a cluster has and few others have, such as a spike of zeros; NaN if there is none."""
    value = float(np.median(own))
    is_spike = own.size > LONE and others.size > 0 and (own == value).mean() - (others == value).mean() >= SEPARATES
    return value if is_spike else np.nan


def _sd(x: Array) -> float:
    return float(x.std(ddof=1)) if x.size > 1 else np.nan


def _spread(x: Array) -> float:
    """Standard deviation by the quartiles; the usual one if half of the values are equal."""
    low, high = np.quantile(x, [0.25, 0.75])
    return float(high - low) / QUARTILES_OF_SD or float(x.std())


def _difference(own: Array, others: Array) -> float:
    if not others.size:
        return np.nan
    squares = own.size * _spread(own) ** 2 + others.size * _spread(others) ** 2
    pooled = float(np.sqrt(squares / (own.size + others.size)))
    return float(np.median(own) - np.median(others)) / pooled if pooled > 0 else np.nan


def _side(own: dict[str, float], others: Array) -> str:
    """Say where a cluster lies: a median alone would call the middle one of three groups high or low by chance."""
    if not others.size:
        return ""
    middle = own["median"]
    if (others < middle).mean() >= SIDE:
        return "high"
    if (others > middle).mean() >= SIDE:
        return "low"
    return "middle" if ((others >= own["q05"]) & (others <= own["q95"])).mean() <= INSIDE else ""


def _far(x: Array) -> float:
    low, middle, high = np.quantile(x, [0.25, 0.5, 0.75])
    far = x[(x < low - FAR * (high - low)) | (x > high + FAR * (high - low))]
    return float(far[np.argmax(np.abs(far - middle))]) if far.size and high > low else np.nan


def special_columns(profile: "pd.DataFrame", cluster: int) -> "pd.DataFrame":
    """Return the rows of a profile in which a cluster differs from the other rows, what separates it best first."""
    own = profile.loc[cluster]
    differs = (own["difference"].abs() >= MIN_DIFFERENCE) & (own["side"] != "") | (own["side"] == "middle")
    separates = (own["separation"] >= SEPARATES) & (own["side"] != "")
    special = own[differs | separates | own["exactly"].notna()]
    return special.sort_values(["separation", "difference"], key=abs, ascending=False)


def description(profile: "pd.DataFrame", cluster: int) -> str:
    """Say in which columns a cluster differs most from the other rows, with its medians, and what is an outlier.

    Examples
    --------
    >>> import pandas as pd
    >>> description(profiles(pd.DataFrame({"x": [0.0, 1.0, 2.0, 10.0, 11.0, 12.0]}), [0, 0, 0, 1, 1, 1]), 1)
    'high x (median 11)'
    """
    special = special_columns(profile, cluster)
    if is_outlying(profile, cluster):
        return f"outlying: {_listed(special.head(MAX_NAMED), '')}"
    near = _listed(special.head(MAX_NAMED), "median ") or _unremarkable(profile)
    far = profile.loc[cluster]["far"].dropna()
    values = ", ".join(f"{name} {number_in_words(value)}" for name, value in far.items())
    return f"{near}; far from the rest of the cluster: {values}" if values else near


def _unremarkable(profile: "pd.DataFrame") -> str:
    return "all rows" if len(profile.index.unique("cluster")) == 1 else "close to the other rows in every column"


def _listed(special: "pd.DataFrame", what: str) -> str:
    return ", ".join(
        _spike(name, row) or f"{row['side']} {name} ({what}{number_in_words(row['median'])})"
        for name, row in special.iterrows()
    )


def _spike(name: object, row: "pd.Series") -> str:
    """Say that nearly the whole cluster has one value, which the other rows do not have; empty if that is not so."""
    return f"{name} exactly {number_in_words(row['exactly'])}" if row["exactly"] == row["exactly"] else ""


def is_outlying(profile: "pd.DataFrame", cluster: int) -> bool:
    """Return True for a cluster of up to three rows, or of few rows that lie far from all others in some column."""
    size = profile["size"].groupby(level="cluster").first()
    far = profile.loc[cluster]["difference"].abs().max() >= OUTLYING
    few = size[cluster] < small(size.sum()) and len(size) > 1
    return bool(few and (far or size[cluster] <= LONE))


def names(profile: "pd.DataFrame") -> list[str]:
    """Propose a name for each cluster: the two columns that separate it best, more where names would be equal.

    Examples
    --------
    >>> import pandas as pd
    >>> names(profiles(pd.DataFrame({"x": [0.0, 1.0, 2.0, 10.0, 11.0, 12.0]}), [0, 0, 0, 1, 1, 1]))
    ['low x', 'high x']
    """
    clusters = profile.index.unique("cluster")
    if len(clusters) == 1:
        return ["all rows"]
    special = {c: special_columns(profile, c) for c in clusters}
    count = dict.fromkeys(clusters, IN_NAME)
    for _ in range(MAX_NAMED):
        proposed = [_name(special[c], count[c], is_outlying(profile, c)) for c in clusters]
        for c, name in zip(clusters, proposed, strict=True):
            count[c] += proposed.count(name) > 1
    return [name if proposed.count(name) == 1 else f"{name} ({i})" for i, name in enumerate(proposed)]


def _name(special: "pd.DataFrame", count: int, outlying: bool) -> str:
    words = [_spike(name, row) or f"{row['side']} {name}" for name, row in special.head(count).iterrows()]
    return ("outliers: " if outlying else "") + (", ".join(words) or "average")


def medians(profile: "pd.DataFrame", cluster: int, columns: Sequence[str]) -> list[str]:
    """Return the medians of some columns in a cluster, in words."""
    return [number_in_words(profile.loc[(cluster, name), "median"]) for name in columns]
