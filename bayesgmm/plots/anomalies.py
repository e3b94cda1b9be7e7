"""Plot of anomalies: the points, and the p-values in order."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesgmm.data.points import DataLike, Points
from bayesgmm.errors import DataError
from bayesgmm.labels.relabelling import aligned
from bayesgmm.plots.backends import is_interactive
from bayesgmm.plots.columns import Shown, named_columns, show_columns, write_note
from bayesgmm.plots.panels import (
    despine,
    new_panels,
    root_of,
)
from bayesgmm.plots.style import (
    COLOURS,
    grey,
    literal,
    marker_area,
    shades,
    towards_text,
)
from bayesgmm.posterior.arguments import FitLike, takes_fit
from bayesgmm.posterior.schema import points_for
from bayesgmm.predictions.anomalies import anomaly_scores
from bayesgmm.predictions.reasons import explain_anomalies
from bayesgmm.sweep.stats import Array

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

FDR = 0.05
BAND = 0.95  # probability of the band for uniform p-values, at each rank
SHOWN = 2  # columns in the plot
EXPLAINED = 200  # maximum number of anomalies that choose them
FAR = 20.0  # z-score from which a cell is no more unusual, so that one point does not choose for all
LABELLED = 12  # maximum number of anomalies with a label
ANOMALY = COLOURS[5]


@takes_fit
def anomaly_data(
    fit: FitLike,
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
        When there is no such column, there are more than two, or the data do not have the columns of the fit.
    DeclarationError
        When ``fdr`` is not between 0 and 1.
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
    from scipy.special import betaincinv

    points = points_for(fit, data)
    answer = anomaly_scores(fit, data, fdr=fdr, calibration=calibration, seed=seed)
    if columns is None:
        shown = _columns(fit, points, answer["anomaly"].values)
    else:
        shown = Shown(named_columns(points.columns, columns))
    if len(shown.columns) > SHOWN:
        raise DataError(f"this plot shows one or two columns, and columns= names {len(shown.columns)}")
    n_points = len(points.values)
    place = np.arange(1, n_points + 1)
    order = np.argsort(answer["p_value"].values, kind="stable")
    rank = np.empty(n_points, dtype=int)
    rank[order] = place
    tail = (1 - BAND) / 2
    band = np.column_stack([betaincinv(place, n_points + 1 - place, at) for at in (tail, 1 - tail)])
    coords = {"feature": [points.columns[j] for j in shown.columns], "place": place, "ci_bound": ["lower", "upper"]}
    return (
        answer.assign(
            x=(("point", "feature"), points.values[:, shown.columns]),
            rank=("point", rank),
            band=(("place", "ci_bound"), band),
        )
        .assign_coords(coords)
        .assign_attrs(note=shown.note)
    )


def _columns(fit: "xr.DataTree", points: Points, flagged: Array) -> Shown:
    """Choose two columns: those in which the anomalies are farthest from what they would be in a component."""
    if len(points.columns) <= SHOWN or not flagged.any():
        return show_columns(points.columns, None, aligned(fit).parameters, SHOWN)
    reasons = explain_anomalies(fit, points.take(np.flatnonzero(flagged)[:EXPLAINED]))
    z = np.fmax(np.abs(reasons["z"].values), np.abs(reasons["marginal_z"].values))
    far = np.nan_to_num(np.nanmean(np.minimum(z, FAR), axis=0))
    most = sorted(np.argsort(-far, kind="stable")[:SHOWN].tolist())
    return Shown(most, f"{SHOWN} of {len(points.columns)} columns: those in which the anomalies are most unusual")


@takes_fit
@literal
def anomalies(
    fit: FitLike,
    data: DataLike | None = None,
    columns: Sequence[str] | None = None,
    *,
    fdr: float = FDR,
    calibration: DataLike | None = None,
    seed: int = 0,
    backend: str = "matplotlib",
    figure: "Figure | SubFigure | None" = None,
) -> Any:
    """Plot anomalies, and the p-values in order.

    Left: the points in two columns (with one column, its values against the p-values). Anomalies at the
    false discovery rate ``fdr`` are red, with their row labels. Right: the p-values in increasing order. P-values of
    regular points follow the diagonal, inside the band. By the method of Benjamini and Hochberg, the anomalies
    are all points up to the last one below the dashed line.

    Parameters
    ----------
    fit : DataTree or estimator
    data : (N, D) array or DataFrame, optional
        Points. Default: the points that were fitted.
    columns : sequence of str, optional
        The two columns to show. Default: those in which the anomalies are most unusual; without any, those in which
        the components differ most.
    fdr, calibration, seed
        As for ``anomaly_scores``.
    backend : {"matplotlib", "plotly"}
        With plotly, the figure is interactive: under the pointer are the row, its probabilities, and its values.
    figure : Figure or SubFigure, optional
        Empty figure, or part of one, to draw in. Default: a new figure.

    Returns
    -------
    Figure
        That of the panels; with plotly, a ``plotly.graph_objects.Figure``.

    Raises
    ------
    DataError, DeclarationError, FitFileError
        As for ``anomaly_data``.
    MissingExtra
        When plotly is not installed.

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
    interactive = is_interactive(backend, figure)
    scores = anomaly_data(fit, data, columns, fdr=fdr, calibration=calibration, seed=seed)
    if interactive:
        from bayesgmm.plots import interactive as drawn

        return drawn.draw_anomalies(fit, scores, data)
    return draw_anomalies(scores, figure)


def draw_anomalies(scores: "xr.Dataset", figure: "Figure | SubFigure | None" = None) -> "Figure":
    """Draw the data of ``anomalies``."""
    figure, ((left, right),) = new_panels((1, 2), (11, 4.8), figure)
    _draw_points(left, scores)
    _draw_order(right, scores)
    for axis in (left, right):
        despine(axis)
    write_note(figure, scores)
    return root_of(figure)


def _draw_points(axis: "Axes", scores: "xr.Dataset") -> None:
    x, p_value, flagged = scores["x"].values, scores["p_value"].values, scores["anomaly"].values
    names = scores["feature"].values
    up = x[:, 1] if len(names) > 1 else p_value
    area = marker_area(len(x), total=3000, minimum=3, maximum=22)
    shade = axis.scatter(
        x[~flagged, 0],
        up[~flagged],
        s=area,
        c=p_value[~flagged],
        cmap=shades(0.0, 1.0),
        vmin=-0.15,
        vmax=1.35,
        lw=0,
        zorder=2,
    )
    shade.set_rasterized(len(x) > 20_000)
    axis.scatter(x[flagged, 0], up[flagged], s=area + 24, color=ANOMALY, edgecolors=grey(1.0), lw=0.6, zorder=3)
    for i in np.flatnonzero(flagged)[np.argsort(p_value[flagged], kind="stable")][:LABELLED]:
        label = str(scores["point"].values[i])
        axis.annotate(label, (x[i, 0], up[i]), xytext=(4, 4), textcoords="offset points", fontsize=8, color=ANOMALY)
    axis.set_xlabel(names[0])
    axis.set_ylabel(names[1] if len(names) > 1 else "p-value")
    if len(names) == 1:
        axis.set_yscale("log")
    counts = f"{flagged.sum()} of {len(x)} points flagged as anomalous"
    title = f"{counts}\n(false discovery rate {scores.attrs['fdr']:g}; {towards_text()}: smaller p)"
    axis.set_title(title, fontsize=10, loc="left")


def _draw_order(axis: "Axes", scores: "xr.Dataset") -> None:
    n_points, flagged = scores.sizes["point"], scores["anomaly"].values
    expected = scores["place"].values / n_points
    axis.fill_between(
        expected, *scores["band"].values.T, color=grey(0.88), lw=0, label=f"{BAND:.0%} of uniform p-values"
    )
    axis.plot(expected, expected, color=grey(0.6), lw=1)
    line = "Benjamini and Hochberg's line"
    axis.plot(expected, scores.attrs["fdr"] * expected, color=ANOMALY, lw=1, ls="--", label=line)
    at = scores["rank"].values / n_points
    p_value = scores["p_value"].values
    axis.scatter(at[~flagged], p_value[~flagged], s=9, color=grey(0.25), lw=0, zorder=3, rasterized=n_points > 20_000)
    axis.scatter(at[flagged], p_value[flagged], s=22, color=ANOMALY, lw=0, zorder=3)
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xlabel("share of points")
    axis.set_ylabel("p-value")
    axis.set_title(f"p-values by {scores.attrs['reference']}, in order", fontsize=10, loc="left")
    axis.legend(frameon=False, loc="lower right", fontsize=9)
