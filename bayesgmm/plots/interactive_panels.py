"""Panels of interactive figures by plotly."""

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bayesgmm.sweep.stats import Array
from bayesgmm.wording import printable

Texts = Sequence[str] | NDArray[Any]

if TYPE_CHECKING:
    import xarray as xr
    from plotly.graph_objects import Figure

PANEL = 230  # height of a panel in pixels


def text(name: str) -> str:
    """Return a text that plotly shows as it is: no HTML, and no formula between two ``$``."""
    return escape(printable(name)).replace("$", "&#36;")


class Panels:
    """A figure with panels, to which parts are added; a component has one entry in the legend and one switch.

    Parameters
    ----------
    names : sequence of str
        Columns; there is a row and a column of panels for each.
    above : bool
        Use the panels above the diagonal, too.
    """

    def __init__(self, names: Sequence[str], above: bool = False) -> None:
        from plotly.subplots import make_subplots

        d = len(names)
        used = np.ones((d, d), bool) if above else np.tri(d, dtype=bool)
        panels: Any = [[{} if is_used else None for is_used in row] for row in used]
        gap = 0.025 if d > 1 else 0.0
        self.figure: Figure = make_subplots(d, d, specs=panels, horizontal_spacing=gap, vertical_spacing=gap)
        self.figure.update_layout(height=max(420, PANEL * d + 90))
        self.in_legend: set[str] = set()
        for row, column in np.ndindex(d, d):
            if used[row, column]:
                self._label(names, row, column)

    def _label(self, names: Sequence[str], row: int, column: int) -> None:
        """Label the axes at the edges; all axes of a column of the data have the same range."""
        d, place = len(names), {"row": row + 1, "col": column + 1}
        self.figure.update_xaxes(showticklabels=row == d - 1, **place)
        if row == d - 1:
            self.figure.update_xaxes(title_text=text(names[column]), **place)
        if row != column:
            self.figure.update_xaxes(matches=self._axis(column), **place)
            self.figure.update_yaxes(matches=self._axis(row), **place)
        self.figure.update_yaxes(showticklabels=(column == 0 and row > 0) or d == 1, **place)
        if column == 0 and (row > 0 or d == 1):
            self.figure.update_yaxes(title_text=text(names[row]) if d > 1 else "density", **place)

    def _axis(self, j: int) -> str:
        """Return plotly's name of the axis of a column on the diagonal, such as ``'x3'``."""
        return str(self.figure.get_subplot(j + 1, j + 1).xaxis.plotly_name).replace("axis", "")

    def add(self, row: int, column: int, group: str, **part: Any) -> None:
        """Add a line, points or an area to a panel; ``group`` is its entry in the legend."""
        from plotly.graph_objects import Scatter

        shown = {"hoverinfo": "skip", "mode": "lines"} | part
        once = group not in self.in_legend
        self.in_legend.add(group)
        self.figure.add_trace(
            Scatter(**shown, name=group, legendgroup=group, showlegend=once), row=row + 1, col=column + 1
        )

    def points(self, row: int, column: int, xy: Array, texts: Texts, group: str, **mark: Any) -> None:
        """Add points (N, 2) with a text for each."""
        shown = {"x": xy[:, 0], "y": xy[:, 1], "mode": "markers", "hovertext": texts, "hoverinfo": "text"}
        self.add(row, column, group, **shown, marker={"size": 6, "line": {"width": 0}} | mark)

    def lines(self, row: int, column: int, group: str, lines: Sequence[Array] | NDArray[Any], **part: Any) -> None:
        """Add lines, each (2, points), as one part with gaps."""
        broken = np.concatenate([np.append(line, [[np.nan], [np.nan]], axis=1) for line in lines], axis=1)
        self.add(row, column, group, x=broken[0], y=broken[1], **part)

    def histogram(self, j: int, data: "xr.Dataset") -> None:
        """Add a histogram of a column to the diagonal, as a density, with row weights."""
        from plotly.graph_objects import Bar

        x, weight = data["x"].values[:, j], data["row_weight"].values
        x, weight = x[~np.isnan(x)], weight[~np.isnan(x)]
        height, edges = np.histogram(
            x, np.histogram_bin_edges(x[weight > 0], bins="auto"), weights=weight, density=True
        )
        bars = {"x": (edges[1:] + edges[:-1]) / 2, "y": height, "width": np.diff(edges)}
        look = {"marker": {"color": "#e3e3e3", "line": {"width": 0}}, "hoverinfo": "skip", "showlegend": False}
        self.figure.add_trace(Bar(**bars, **look), row=j + 1, col=j + 1)

    def band(self, j: int, at: Array, band: Array, group: str) -> None:
        """Add a credible band (points, 2) to the diagonal."""
        if np.isfinite(band).all():
            around = {"x": np.concatenate([at, at[::-1]]), "y": np.concatenate([band[:, 0], band[::-1, 1]])}
            self.add(j, j, group, **around, fill="toself", fillcolor="rgba(80, 80, 80, 0.3)", line={"width": 0})

    def finished(self, *notes: str) -> "Figure":
        """Return the figure, with notes below it."""
        note = "; ".join(note for note in notes if note)
        self.figure.update_layout(
            template="plotly_white",
            bargap=0,
            hovermode="closest",
            hoverlabel={"align": "left", "bgcolor": "white", "font": {"color": "#262626"}},
            legend={"orientation": "h", "yanchor": "bottom", "y": 1.01, "x": 0},
            modebar={"orientation": "v"},
            margin={"l": 70, "r": 50, "t": 60, "b": 90},
            title={"text": text(note), "font": {"size": 12}, "x": 0.01, "y": 0.01, "yanchor": "bottom"},
        )
        return self.figure


class TwoPanels(Panels):
    """Two panels side by side."""

    def __init__(self, figure: "Figure") -> None:
        self.figure, self.in_legend = figure, set()
        figure.update_layout(height=460)

    def label(self, panel: int, across: str, up: str, logarithmic: tuple[bool, bool]) -> None:
        """Label the axes of a panel."""
        place, kinds = {"row": 1, "col": panel + 1}, ["log" if is_log else "linear" for is_log in logarithmic]
        self.figure.update_xaxes(title_text=text(across), type=kinds[0], **place)
        self.figure.update_yaxes(title_text=text(up), type=kinds[1], **place)
