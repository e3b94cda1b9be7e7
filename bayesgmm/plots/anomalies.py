"""Plot of anomalies: the points that are called, and the p-values in order."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from bayesgmm.data.points import DataLike
from bayesgmm.plots.style import COLOURS, choose_columns
from bayesgmm.posterior.schema import points_for
from bayesgmm.predictions.anomalies import anomaly_scores

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FDR = 0.05
BAND = 0.95  # probability of the band for uniform p-values, at each rank
LABELLED = 12  # maximum number of anomalies with a label
STRANGE, CALLED = "0.55", COLOURS[5]


def anomaly_data(
    fit: "xr.DataTree",
    data: DataLike | None = None,
    columns: Sequence[str] | None = None,
    *,
    fdr: float = FDR,
    calibration: DataLike | None = None,
    seed: int = 0,
) -> "xr.Dataset":
    """Compute the data of ``anomalies``.

    Parameters
    ----------
    fit, data, columns, fdr, calibration, seed
        As for ``anomalies``.

    Returns
    -------
    Dataset
        The result of ``anomaly_scores``; ``x`` [point, feature], one or two columns; ``rank`` [point], the rank of the
        p-value, from 1; ``band`` [place, ci_bound], the interval of the p-value at each rank if p-values are uniform.

    Raises
    ------
    DataError
        When there is no such column, or the data do not have the columns of the fit.
    DeclarationError
        When ``fdr`` is not between 0 and 1, or ``columns`` are more than two.
    FitFileError
        When ``fit`` is not a fit, or holds no data and none are given.

    Examples
    --------
    >>> import bayesgmm as bg
    >>> x = [[-1.0], [0.0], [1.0], [2.0], [9.0], [10.0], [11.0]]
    >>> fit = bg.fit(bg.MixtureModel(2, "tied"), x, "em", progress=False)
    >>> anomaly_data(fit, [[0.0], [50.0]])["anomaly"].values
    array([False,  True])
    """
    from scipy.stats import beta

    points = points_for(fit, data)
    answer = anomaly_scores(fit, data, fdr=fdr, calibration=calibration, seed=seed)
    chosen = choose_columns(points.columns, columns)[:2]
    n_points = len(points.values)
    place = np.arange(1, n_points + 1)
    order = np.argsort(answer["p_value"].values, kind="stable")
    rank = np.empty(n_points, dtype=int)
    rank[order] = place
    tail = (1 - BAND) / 2
    band = np.column_stack([beta.ppf(at, place, n_points + 1 - place) for at in (tail, 1 - tail)])
    return answer.assign(
        x=(("point", "feature"), points.values[:, chosen]),
        rank=("point", rank),
        band=(("place", "ci_bound"), band),
    ).assign_coords(feature=[points.columns[j] for j in chosen], place=place, ci_bound=["lower", "upper"])


def anomalies(
    fit: "xr.DataTree",
    data: DataLike | None = None,
    columns: Sequence[str] | None = None,
    *,
    fdr: float = FDR,
    calibration: DataLike | None = None,
    seed: int = 0,
) -> "Figure":
    """Plot anomalies, and the p-values in order.

    Left: the points in two columns (with one column, its values against the p-values). Points that are called at the
    false discovery rate ``fdr`` are red, with their row labels. Right: the p-values in increasing order. P-values of
    regular points follow the diagonal, inside the band. The method of Benjamini and Hochberg calls all points up to the
    last one under the lower line.

    Parameters
    ----------
    fit : DataTree
    data : (N, D) array or DataFrame, optional
        Points. Default: the points that were fitted.
    columns : sequence of str, optional
        The two columns to show. Default: the first two.
    fdr, calibration, seed
        As for ``anomaly_scores``.

    Raises
    ------
    DataError, DeclarationError, FitFileError
        As ``anomaly_data``.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import bayesgmm as bg
    >>> x = [[-1.0], [0.0], [1.0], [2.0], [9.0], [10.0], [11.0]]
    >>> fit = bg.fit(bg.MixtureModel(2, "tied"), x, "em", progress=False)
    >>> figure = anomalies(fit, [[0.0], [50.0]])
    >>> figure.axes[1].get_ylabel()
    'p-value'
    >>> plt.close(figure)
    """
    import matplotlib.pyplot as plt

    found = anomaly_data(fit, data, columns, fdr=fdr, calibration=calibration, seed=seed)
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.8), layout="constrained")
    _draw_points(left, found)
    _draw_order(right, found)
    for axis in (left, right):
        axis.spines[["top", "right"]].set_visible(False)
    return figure


def _draw_points(axis: "Axes", found: "xr.Dataset") -> None:
    x, p_value, called = found["x"].values, found["p_value"].values, found["anomaly"].values
    names = found["feature"].values
    up = x[:, 1] if len(names) > 1 else p_value
    crowd = float(np.clip(3000 / len(x), 3, 22))
    shade = axis.scatter(
        x[~called, 0], up[~called], s=crowd, c=p_value[~called], cmap="Greys_r", vmin=-0.15, vmax=1.35, lw=0, zorder=2
    )
    shade.set_rasterized(len(x) > 20_000)
    axis.scatter(x[called, 0], up[called], s=crowd + 24, color=CALLED, edgecolors="white", lw=0.6, zorder=3)
    for i in np.flatnonzero(called)[np.argsort(p_value[called], kind="stable")][:LABELLED]:
        label = str(found["point"].values[i])
        axis.annotate(label, (x[i, 0], up[i]), xytext=(4, 4), textcoords="offset points", fontsize=8, color=CALLED)
    axis.set_xlabel(names[0])
    axis.set_ylabel(names[1] if len(names) > 1 else "p-value")
    if len(names) == 1:
        axis.set_yscale("log")
    count = int(called.sum())
    axis.set_title(
        f"{count} of {len(x)} points called at a false discovery rate of {found.attrs['fdr']:g} (darker: smaller p)",
        fontsize=10,
        loc="left",
    )


def _draw_order(axis: "Axes", found: "xr.Dataset") -> None:
    n_points, called = found.sizes["point"], found["anomaly"].values
    expected = found["place"].values / n_points
    axis.fill_between(expected, *found["band"].values.T, color="0.88", lw=0, label=f"{BAND:.0%} of uniform p-values")
    axis.plot(expected, expected, color="0.6", lw=1)
    line = "Benjamini and Hochberg's line"
    axis.plot(expected, found.attrs["fdr"] * expected, color=CALLED, lw=1, ls="--", label=line)
    at = found["rank"].values / n_points
    p_value = found["p_value"].values
    axis.scatter(at[~called], p_value[~called], s=9, color="0.25", lw=0, zorder=3, rasterized=n_points > 20_000)
    axis.scatter(at[called], p_value[called], s=22, color=CALLED, lw=0, zorder=3)
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xlabel("share of points")
    axis.set_ylabel("p-value")
    axis.set_title(f"p-values by {found.attrs['reference']}, in order", fontsize=10, loc="left")
    axis.legend(frameon=False, loc="lower right", fontsize=9)
