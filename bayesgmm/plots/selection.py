"""Plot of a selection criterion against the number of components."""

from typing import TYPE_CHECKING

import numpy as np

from bayesgmm.errors import DataError, choose
from bayesgmm.families.structures import COVARIANCES
from bayesgmm.keywords import checks_keywords
from bayesgmm.plots.panels import (
    despine,
    new_panel,
    place_legend,
    root_of,
)
from bayesgmm.plots.style import (
    colour,
    grey,
    literal,
    marker,
)
from bayesgmm.posterior.criteria import CRITERIA

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_TICKS = 20  # with more numbers of components, not each has a tick
NAMES = {
    "bic": "BIC (lower is better)",
    "aic": "AIC (lower is better)",
    "icl": "ICL (lower is better)",
    "elbo": "lower bound of the log evidence (higher is better)",
}


@checks_keywords
def selection_data(table: "pd.DataFrame", criterion: str = "bic") -> "xr.Dataset":
    """Compute the data of ``selection``.

    Parameters
    ----------
    table : DataFrame
        From ``select``.
    criterion : str
        One of its columns: ``'bic'``, ``'aic'``, ``'icl'`` or ``'elbo'``.

    Returns
    -------
    Dataset
        ``value`` [covariance, n_components], NaN where there is none; ``failed`` [covariance, n_components], true where
        the fit failed; ``best`` [covariance, n_components], true for the best choice, if there is one.

    Raises
    ------
    UnknownName
        When there is no such criterion.
    DataError
        When the table lacks a column.

    Examples
    --------
    >>> import bayesgmm as bg
    >>> table = bg.select([0.0, 1.0, 2.0, 50.0, 51.0, 53.0], [1, 2], "tied", seed=1, progress=False)
    >>> selection_data(table)["best"].values
    array([[False,  True]])
    """
    import xarray as xr

    choose(criterion, CRITERIA, "criterion")
    missing = [name for name in ("n_components", "covariance", criterion, "problem") if name not in table]
    if missing:
        asked = f", criterion={criterion!r}" if missing[0] == criterion else ""
        raise DataError(f"the table has no column {missing[0]!r}; give one from select(data{asked})")
    wide = table.pivot(index="covariance", columns="n_components", values=[criterion, "problem"])
    names = [*COVARIANCES, *table["covariance"]]
    wide = wide.reindex([name for name in dict.fromkeys(names) if name in wide.index])
    value = wide[criterion].to_numpy(np.float64)
    failed = wide["problem"].notna().to_numpy() & ~np.isfinite(value)
    best = np.zeros(value.shape, dtype=bool)
    if np.isfinite(value).any():
        best.flat[np.nanargmin(CRITERIA[criterion] * value)] = True
    dims = ("covariance", "n_components")
    return xr.Dataset(
        {"value": (dims, value), "failed": (dims, failed), "best": (dims, best)},
        coords={"covariance": wide.index.to_list(), "n_components": wide[criterion].columns.to_numpy()},
        attrs={"criterion": criterion},
    )


@literal
def bic(table: "pd.DataFrame", *, ax: "Axes | None" = None) -> "Figure":
    """Plot BIC against the number of components, a line for each covariance family.

    Here BIC is minus twice the log likelihood plus p log N, with p free parameters and N points, and lower is better.
    mclust's has the opposite sign.

    Parameters
    ----------
    table : DataFrame
        From ``select``.
    ax : Axes, optional
        Panel to draw in. Default: a new figure.

    Returns
    -------
    Figure
        That of the panel.

    Raises
    ------
    DataError
        When the table lacks a column.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import bayesgmm as bg
    >>> table = bg.select([0.0, 1.0, 2.0, 50.0, 51.0, 53.0], [1, 2], "tied", seed=1, progress=False)
    >>> figure = bic(table)
    >>> figure.axes[0].get_ylabel()
    'BIC (lower is better)'
    >>> plt.close(figure)
    """
    return draw_selection(selection_data(table, "bic"), ax)


@literal
def selection(table: "pd.DataFrame", criterion: str = "bic", *, ax: "Axes | None" = None) -> "Figure":
    """Plot a criterion against the number of components, a line for each covariance family.

    The best choice has a ring. Choices that could not be fitted are crosses above the lines.

    Parameters
    ----------
    table : DataFrame
        From ``select``.
    criterion : str
        ``'bic'``, ``'aic'``, ``'icl'`` or ``'elbo'``.
    ax : Axes, optional
        Panel to draw in. Default: a new figure.

    Returns
    -------
    Figure
        That of the panel.

    Raises
    ------
    UnknownName
        When there is no such criterion.
    DataError
        When the table lacks a column.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import bayesgmm as bg
    >>> table = bg.select([0.0, 1.0, 2.0, 50.0, 51.0, 53.0], [1, 2], "tied", seed=1, progress=False)
    >>> figure = selection(table)
    >>> figure.axes[0].get_xlabel()
    'components'
    >>> plt.close(figure)
    """
    return draw_selection(selection_data(table, criterion), ax)


def draw_selection(data: "xr.Dataset", ax: "Axes | None" = None) -> "Figure":
    """Draw the data of ``selection``."""
    axis = new_panel((6.5, 4.2), ax)
    for i, name in enumerate(data["covariance"].values):
        _draw_line(axis, data.sel(covariance=name), i)
    if data["failed"].any():
        axis.plot([], [], ls="", marker="x", ms=5, color=grey(0.35), label="no fit")
    _draw_best(axis, data)
    axis.set_xlabel("components")
    axis.set_ylabel(NAMES[data.attrs["criterion"]])
    if np.ptp(data["n_components"].values) <= MAX_TICKS:
        axis.set_xticks(data["n_components"].values)
    if data.sizes["n_components"] == 1:
        axis.set_xlim(*(data["n_components"].values[0] + np.array([-1, 1])))
    axis.ticklabel_format(axis="y", useOffset=False)
    despine(axis)
    place_legend(axis, own=ax is None)
    return root_of(axis)


def _draw_line(axis: "Axes", line: "xr.Dataset", number: int) -> None:
    """Draw the line of a covariance family, with gaps where a fit failed, and a row of crosses for these."""
    at, name = line["n_components"].values, str(line["covariance"].values)
    axis.plot(at, line["value"].values, color=colour(number), marker=marker(number), lw=1.6, ms=4.5, label=name)
    failed = at[line["failed"].values]
    if not failed.size:  # an empty line would take part in the layout, as a point in the corner of the figure
        return
    height = np.full(failed.size, 1.03 + 0.035 * number)
    above = axis.get_xaxis_transform()
    axis.plot(failed, height, ls="", marker="x", ms=5, color=colour(number), transform=above, clip_on=False)


def _draw_best(axis: "Axes", data: "xr.Dataset") -> None:
    for i, j in np.argwhere(data["best"].values):
        at, value = data["n_components"].values[j], data["value"].values[i, j]
        label = f"best: {at}, {data['covariance'].values[i]}"
        axis.plot(at, value, ls="", marker="o", ms=13, mfc="none", mec=grey(0.15), mew=1.2, label=label)
