"""Interactive figures by plotly: under the pointer are the row, its probabilities and its values."""

from collections.abc import Callable, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bayesgmm.data.points import DataLike
from bayesgmm.plots.interactive_panels import Panels, Texts, TwoPanels, text
from bayesgmm.plots.panels import pair_number
from bayesgmm.plots.style import COLOURS, HELD, MARKERS, TINTS, held_by
from bayesgmm.posterior.arguments import FitLike
from bayesgmm.posterior.schema import points_for
from bayesgmm.predictions.predictive import assignments
from bayesgmm.sweep.stats import Array
from bayesgmm.wording import number_in_words, plural, share

Rows = NDArray[np.integer[Any]]

if TYPE_CHECKING:
    import xarray as xr
    from plotly.graph_objects import Figure

SYMBOLS = dict(
    zip(
        "osD^v<>PX",
        (
            "circle",
            "square",
            "diamond",
            "triangle-up",
            "triangle-down",
            "triangle-left",
            "triangle-right",
            "cross",
            "x",
        ),
        strict=True,
    )
)  # plotly's names of matplotlib's markers
ANOMALY = COLOURS[5]
GREY = "#8a8a8a"
MARKED = 20_000  # maximum number of points in all panels of a figure, each with its text
POINTS = 5_000  # maximum number of points in a panel
NAMED = 12  # maximum number of columns and of components whose values are shown
SLIGHT = 0.0005  # probability below which a component is not named
UNCERTAIN = 0.1  # entropy from which a point gets a ring
THIN = 2  # every second point of the outline of a draw


def hovers(fit: FitLike, data: DataLike | None, rows: Rows) -> list[str]:
    r"""Describe rows, for the pointer: the index of the data, the probabilities of the components, the values.

    Parameters
    ----------
    fit : DataTree
    data : (N, D) array or DataFrame, optional
        Points. Default: those that were fitted.
    rows : (M,) int
        Places of the rows.

    Returns
    -------
    list of str
        HTML, a line each.

    Examples
    --------
    >>> import bayesgmm as bg
    >>> fit = bg.fit(bg.MixtureModel(2, "tied"), [[-1.0], [0.0], [1.0], [9.0], [10.0]], "em", progress=False)
    >>> print(hovers(fit, None, np.array([3]))[0].replace("<br>", "; ").replace("\xa0", " "))
    <b>row 3</b>; component 1: 100 %; x0: 9
    """
    points = points_for(fit, data).take(rows)
    answer = assignments(fit, points)
    columns = [text(name) for name in points.columns[:NAMED]]
    more = len(points.columns) - len(columns)
    rest = [f"and {plural(more, 'more column')}"] if more else []
    labels, components = answer.indexes["point"], [text(str(name)) for name in answer["component"].values]
    return [
        "<br>".join(
            [f"<b>row {text(str(label))}</b>", *_probable(probability, components), *_values(x, columns), *rest]
        )
        for label, probability, x in zip(labels, answer["probability"].values, points.values, strict=True)
    ]


def _probable(probability: Array, names: Sequence[str]) -> list[str]:
    """Return a line for each component that is not improbable, the most probable first."""
    order = np.argsort(-probability, kind="stable")[:NAMED]
    return [f"component {names[k]}: {text(share(float(probability[k])))}" for k in order if probability[k] > SLIGHT]


def _values(x: Array, names: Sequence[str]) -> list[str]:
    return [
        f"{name}: {'missing' if np.isnan(v) else number_in_words(float(v))}" for name, v in zip(names, x, strict=False)
    ]


def drawn_rows(count: int, panels: int) -> tuple[Rows, str]:
    """Return evenly spaced rows for panels that all show them, and a note if these are not all.

    Examples
    --------
    >>> rows, note = drawn_rows(100_000, 10)
    >>> len(rows), note
    (2000, '2,000 of 100,000 points are drawn')
    """
    most = min(POINTS, MARKED // max(panels, 1))
    rows = np.linspace(0, count - 1, min(count, most)).round().astype(int)
    return rows, f"{most:,} of {count:,} points are drawn" if count > most else ""


def draw_assignments(fit: FitLike, data: "xr.Dataset") -> "Figure":
    """Draw the data of ``assignments``."""
    return _clusters(fit, data, _outlines_and_rings)


def draw_pairs(fit: FitLike, data: "xr.Dataset") -> "Figure":
    """Draw the data of ``pairs``."""

    def more(panels: Panels, data: "xr.Dataset", row: int, column: int) -> None:
        _outlines(panels, data, row, column)
        pair = pair_number(data.sizes["feature"], row, column)
        for k in range(data.sizes["component"]):
            lines = data["ellipse"].values[pair, :, k]
            panels.lines(row, column, _entry(data, k), lines, line={"color": _colour(k), "width": 1.8})
        _density_above(panels, data, row, column)

    return _clusters(fit, data, more, above=True)


def _clusters(
    fit: FitLike, data: "xr.Dataset", more: "Callable[[Panels, xr.Dataset, int, int], None]", above: bool = False
) -> "Figure":
    """Draw the points by component for each pair of columns, and each column on the diagonal."""
    names = data["feature"].values.tolist()
    pairs = list(combinations(range(len(names)), 2))
    rows, note = drawn_rows(data.sizes["point"], len(pairs))
    panels, texts, label = (
        Panels(names, above),
        np.array(hovers(fit, None, rows), dtype=object),
        data["label"].values[rows],
    )
    x = data["x"].values[rows]
    for column, row in pairs:
        for k in np.unique(label).tolist():
            own = label == k
            mark = {"color": _colour(k), "symbol": _symbol(k), "opacity": 0.8}
            panels.points(row, column, x[own][:, [column, row]], texts[own], _entry(data, k), **mark)
        more(panels, data.isel(point=rows), row, column)
    for j in range(len(names)):
        _marginal(panels, data, j)
    if not pairs:
        _rug(panels, x[:, 0], texts, [_colour(k) for k in label.tolist()], -0.03 * float(data["band"].max()))
    return panels.finished(data.attrs["note"], note)


def _marginal(panels: Panels, data: "xr.Dataset", j: int) -> None:
    at = data["grid"].values[j]
    panels.histogram(j, data)
    panels.band(j, at, data["band"].values[j], "credible band")
    for k in range(data.sizes["component"]):
        line = {"color": _colour(k), "width": 1.8}
        panels.add(j, j, _entry(data, k), x=at, y=data["marginal"].values[j, :, k], line=line)


def _rug(panels: Panels, x: Array, texts: Texts, colours: "Sequence[str] | str", height: float) -> None:
    """Draw the points of a single column below the density."""
    xy = np.column_stack([x, np.full(len(x), height)])
    panels.points(0, 0, xy, texts, "points", symbol="line-ns", line={"width": 1, "color": colours}, size=9)


def _outlines(panels: Panels, data: "xr.Dataset", row: int, column: int) -> None:
    pair = pair_number(data.sizes["feature"], row, column)
    for k in range(data.sizes["component"]):
        lines = data["outline"].values[pair, :, k, :, ::THIN]
        panels.lines(row, column, _entry(data, k), lines, line={"color": _colour(k), "width": 0.6}, opacity=0.4)


def _outlines_and_rings(panels: Panels, data: "xr.Dataset", row: int, column: int) -> None:
    _outlines(panels, data, row, column)
    entropy = data["entropy"].values
    ringed = entropy > UNCERTAIN
    x, size = data["x"].values[ringed], 8 + 8 * entropy[ringed]
    ring = {"symbol": "circle-open", "size": size, "color": "#262626", "line": {"width": 1}}
    panels.add(row, column, "uncertain label", x=x[:, column], y=x[:, row], mode="markers", marker=ring)


def _density_above(panels: Panels, data: "xr.Dataset", row: int, column: int) -> None:
    """Draw the density above the diagonal, the draws of the means, and the regions that contain them."""
    pair, coarse = pair_number(data.sizes["feature"], row, column), data["coarse"].values
    names = [f"{level:.0%} of new points" for level in data["level"].values]
    for name, height, shade in zip(names[::-1], data["height"].values[pair][::-1], ("#e6e6e6", "#c7c7c7"), strict=True):
        lines = [line[::-1] for line in edges(coarse[column], coarse[row], data["density"].values[pair], height)]
        if lines:
            panels.lines(column, row, name, lines, fill="toself", fillcolor=shade, line={"width": 0})
    for k in range(data.sizes["component"]):
        centre, region = data["centre"].values[:, k], data["region"].values[pair, k, ::-1]
        mark = {"color": _colour(k), "size": 3 if len(centre) > 1 else 9, "opacity": 0.5}
        at = {"x": centre[:, row], "y": centre[:, column]}
        panels.add(column, row, _entry(data, k), **at, mode="markers", marker=mark)
        panels.lines(column, row, _entry(data, k), [region], line={"color": _colour(k), "width": 1.2})


def draw_density(fit: FitLike, data: "xr.Dataset") -> "Figure":
    """Draw the data of ``density``."""
    names = data["feature"].values.tolist()
    panels, pairs = Panels(names), list(combinations(range(len(names)), 2))
    rows, note = drawn_rows(data.sizes["point"], len(pairs)) if "x" in data else (np.arange(0), "")
    texts = hovers(fit, None, rows) if "x" in data else []
    for number, (column, row) in enumerate(pairs):
        _regions(panels, data, number, row, column)
        if "x" in data:
            x = data["x"].values[rows][:, [column, row]]
            panels.points(row, column, x, texts, "points", color="#262626", size=4, opacity=0.7)
    for j in range(len(names)):
        _total(panels, data, j)
    if not pairs and "x" in data:
        _rug(panels, data["x"].values[rows, 0], texts, "#4d4d4d", -0.03 * float(data["density"].max()))
    return panels.finished(f"given {data.attrs['given']}" if data.attrs["given"] else "", data.attrs["note"], note)


def _regions(panels: Panels, data: "xr.Dataset", pair: int, row: int, column: int) -> None:
    """Draw the regions that contain shares of the probability, and the edge of the largest in some draws."""
    across, up = data["place"].values[pair]
    mean = data["pair_density"].values[pair].T
    for share_held, level, shade in zip(HELD[::-1], held_by(mean, HELD)[::-1], TINTS, strict=True):
        lines = edges(across, up, mean, level)
        if lines:
            name = f"{share_held:.0%} of the probability"
            panels.lines(row, column, name, lines, fill="toself", fillcolor=_tinted(shade), line={"width": 0})
    draws = data["pair_draws"].values[pair]
    of_draws = [line for draw in draws for line in edges(across, up, draw.T, held_by(draw, HELD[-1:])[0])]
    if len(draws) > 1 and of_draws:
        line = {"color": COLOURS[0], "width": 0.6}
        panels.lines(row, column, "edge of 95 % in one draw", of_draws, line=line, opacity=0.6)


def _total(panels: Panels, data: "xr.Dataset", j: int) -> None:
    at = data["grid"].values[j]
    if "x" in data:
        panels.histogram(j, data)
    panels.band(j, at, data["band"].values[j], f"{data.attrs['ci_prob']:.0%} credible band")
    for k in range(data.sizes["component"]):
        line = {"color": _colour(k), "width": 1.2, "dash": "dash"}
        panels.add(j, j, "components", x=at, y=data["component_density"].values[j, :, k], line=line)
    panels.add(j, j, "density", x=at, y=data["density"].values[j], line={"color": "#000000", "width": 1.8})


def draw_anomalies(fit: FitLike, scores: "xr.Dataset", data: DataLike | None = None) -> "Figure":
    """Draw the data of ``anomalies``: the points, and the p-values in order."""
    from plotly.subplots import make_subplots

    flagged, p_value = scores["anomaly"].values, scores["p_value"].values
    regular, note = drawn_rows(int((~flagged).sum()), 1)
    rows = np.sort(np.concatenate([np.flatnonzero(flagged), np.flatnonzero(~flagged)[regular]]))
    note = f"all anomalies and {note.replace('points', 'other points')}" if note else ""
    texts = [f"{line}<br>p-value: {p_value[i]:.3g}" for i, line in zip(rows, hovers(fit, data, rows), strict=True)]
    panels = TwoPanels(make_subplots(1, 2, horizontal_spacing=0.08))
    names, x = scores["feature"].values.tolist(), scores["x"].values
    places = np.column_stack([x[:, 0], x[:, 1] if len(names) > 1 else p_value])
    in_order = np.column_stack([scores["rank"].values / len(x), p_value])
    _uniform(panels, scores)
    for of_kind, name, mark in (
        (~flagged[rows], "other points", {"color": GREY, "size": 5}),
        (flagged[rows], "anomalies", {"color": ANOMALY, "size": 8, "symbol": "diamond"}),
    ):
        shown = np.array(texts, dtype=object)[of_kind].tolist()
        for panel, xy in enumerate((places, in_order)):
            panels.points(
                0, panel, xy[rows][of_kind], shown, f"{name} ({(flagged == (name == 'anomalies')).sum():,})", **mark
            )
    panels.label(0, names[0], names[1] if len(names) > 1 else "p-value", logarithmic=(False, len(names) == 1))
    panels.label(1, "share of points", "p-value", logarithmic=(True, True))
    rate = f"false discovery rate {scores.attrs['fdr']:g}; p-values by {scores.attrs['reference']}"
    return panels.finished(rate, scores.attrs["note"], note)


def _uniform(panels: Panels, scores: "xr.Dataset") -> None:
    """Draw what p-values would be if they were uniform, and the line below which they are anomalies."""
    at, band = scores["place"].values / scores.sizes["point"], scores["band"].values
    few = np.unique(np.geomspace(1, len(at), 200).round().astype(int)) - 1
    at, band = at[few], band[few]
    around = {"x": np.concatenate([at, at[::-1]]), "y": np.concatenate([band[:, 0], band[::-1, 1]])}
    grey = "rgba(120, 120, 120, 0.2)"
    panels.add(0, 1, "95 % of uniform p-values", **around, fill="toself", fillcolor=grey, line={"width": 0})
    line = {"color": ANOMALY, "dash": "dash", "width": 1.2}
    panels.add(0, 1, "Benjamini and Hochberg's line", x=at, y=scores.attrs["fdr"] * at, line=line)


def edges(across: Array, up: Array, density: Array, level: float) -> list[Array]:
    """Return the closed edges (2, points) of the region where a density (up, across) is above a level.

    Examples
    --------
    >>> inside = np.zeros((3, 3))
    >>> inside[1, 1] = 1.0
    >>> [line.shape for line in edges(np.arange(3.0), np.arange(3.0), inside, 0.5)]
    [(2, 5)]
    """
    from contourpy import contour_generator

    padded = np.pad(density, 1)  # zero around, so that edges are closed
    x, y = (np.pad(at, 1, mode="edge") for at in (across, up))
    lines: Any = contour_generator(x, y, padded).lines(float(level))
    return [line.T for line in lines]


def _colour(k: int) -> str:
    return COLOURS[k % len(COLOURS)]


def _symbol(k: int) -> str:
    return SYMBOLS[MARKERS[k % len(MARKERS)]]


def _tinted(level: float) -> str:
    """Return the first colour, mixed with white (1)."""
    own = [int(COLOURS[0][i : i + 2], 16) for i in (1, 3, 5)]
    red, green, blue = (round(one + level * (255 - one)) for one in own)
    return f"rgb({red}, {green}, {blue})"


def _entry(data: "xr.Dataset", k: int) -> str:
    """Return the entry of a component in the legend, with its weight."""
    name = text(str(data["component"].values[k]))
    return f"component {name} ({text(share(float(data['weight'].values[k])))})"
