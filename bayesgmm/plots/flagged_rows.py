"""Plot of rows that were flagged, in the columns that matter."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from bayesgmm.errors import DataError
from bayesgmm.keywords import checks_keywords
from bayesgmm.plots.panels import (
    despine,
    legend_below,
    new_panel,
    root_of,
)
from bayesgmm.plots.style import (
    COLOURS,
    grey,
    literal,
    marker_area,
)
from bayesgmm.sweep.stats import Array
from bayesgmm.wording import plural

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FLAGGED = COLOURS[5]
DRAWN = 6_000  # maximum number of regular rows that are drawn
LABELLED = 12  # maximum number of flagged rows with a label
FAR = 30.0  # ratio of the range to the distance of the quartiles from which an axis is logarithmic
SKEWED = 3.0  # ratio of the upper to the lower tail from which it is


@checks_keywords
def flagged_rows_data(rows: "pd.DataFrame", flagged: object, columns: Sequence[str] | None = None) -> "xr.Dataset":
    """Compute the data of ``flagged_rows``.

    Parameters
    ----------
    rows, flagged, columns
        As for ``flagged_rows``.

    Returns
    -------
    Dataset
        ``x`` [point, feature], one or two columns; ``flagged`` [point].

    Raises
    ------
    DataError
        When there are no rows.

    Examples
    --------
    >>> import pandas as pd
    >>> data = flagged_rows_data(pd.DataFrame({"a": [0.0, 9.0], "b": [1.0, 1.0]}), [False, True], ["a"])
    >>> data["feature"].values.tolist()
    ['a']
    """
    import xarray as xr

    if not len(rows):
        raise DataError("there are no rows to draw")
    chosen = list(rows.columns if columns is None else columns)[:2]
    mask = np.asarray(flagged, bool)
    return xr.Dataset(
        {"x": (("point", "feature"), rows[chosen].to_numpy(np.float64)), "flagged": ("point", mask)},
        coords={"feature": [str(name) for name in chosen], "row": ("point", [str(label) for label in rows.index])},
    )


@literal
def flagged_rows(
    rows: "pd.DataFrame", flagged: object, columns: Sequence[str] | None = None, *, ax: "Axes | None" = None
) -> "Figure":
    """Plot the rows of a table in one or two columns; those that were flagged are marked and labelled.

    The axis of a skewed column, or of one with values far from all others, is logarithmic (symmetric logarithmic where
    values are negative).

    Parameters
    ----------
    rows : (N, D) DataFrame
        Numeric columns. A row that lacks a value in the columns that are drawn is left out.
    flagged : (N,) bool
        Rows that were flagged, the most anomalous ones anywhere.
    columns : sequence of str, optional
        One or two columns; default the first two.
    ax : Axes, optional
        Panel to draw in. Default: a new figure.

    Returns
    -------
    Figure
        That of the panel.

    Raises
    ------
    DataError
        When there are no rows.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import pandas as pd
    >>> figure = flagged_rows(pd.DataFrame({"a": [0.0, 9.0], "b": [1.0, 1.0]}), [False, True])
    >>> figure.axes[0].get_xlabel()
    'a'
    >>> plt.close(figure)
    """
    data = flagged_rows_data(rows, flagged, columns)
    x, mask = data["x"].values, data["flagged"].values
    seen = np.isfinite(x).all(axis=1)
    y = x[:, 1] if x.shape[1] == 2 else np.arange(len(x), dtype=np.float64)
    axis = new_panel((7.6, 5.0), ax)
    regular = np.flatnonzero(~mask & seen)
    some = (
        regular[np.linspace(0, len(regular) - 1, min(len(regular), DRAWN)).round().astype(int)] if regular.size else []
    )
    area = marker_area(len(x), total=8_000, minimum=6, maximum=26)
    label = f"other rows ({plural(int(regular.size), 'row')})"
    axis.scatter(x[some, 0], y[some], s=area, c=COLOURS[0], alpha=0.5, lw=0, label=label)
    mask = mask & seen
    label = f"flagged ({plural(int(mask.sum()), 'row')})"
    axis.scatter(x[mask, 0], y[mask], s=area + 22, c=FLAGGED, marker="D", lw=0.6, edgecolors=grey(1.0), label=label)
    for i in np.flatnonzero(mask)[:LABELLED]:
        label, at = str(data["row"].values[i]), (x[i, 0], y[i])
        axis.annotate(label, at, xytext=(5, 5), textcoords="offset points", fontsize="small")
    names = [*data["feature"].values, "row"][:2]
    for which, values, name in zip("xy", (x[:, 0], y), names, strict=True):
        _scale(axis, which, values[seen])
        getattr(axis, f"set_{which}label")(str(name))
    despine(axis)
    legend_below(axis, own=ax is None)
    return root_of(axis)


def _scale(axis: "Axes", which: str, x: Array) -> None:
    tail, low, middle, high, end = np.quantile(x, [0.05, 0.25, 0.5, 0.75, 0.95])
    is_far = np.ptp(x) > FAR * (high - low)
    if x.min() > 0 and (is_far or end - middle > SKEWED * (middle - tail)):
        getattr(axis, f"set_{which}scale")("log")
    elif is_far and high > low:
        getattr(axis, f"set_{which}scale")("symlog", linthresh=max(abs(low), abs(high)))
