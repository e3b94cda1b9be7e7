"""Films: the frames of an animation as figures, as a GIF file, and as HTML."""

import re
from functools import cached_property
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesgmm.files import in_place_of, writable
from bayesgmm.plots.panels import despine, draw_points, label_height
from bayesgmm.plots.style import LITERAL, colour, grey, make_printable, marker, settings

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.animation import FuncAnimation
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FPS = 5  # frames per second
DPI = 80  # dots per inch
TRAIL = 6  # number of earlier frames whose outlines are still visible
ACROSS = 3  # maximum number of panels of a view in a row
PANEL = 3.6, 3.0  # size of a panel in inches
TRACE = 1.3  # height of the panel below, in inches
ICONS = {
    "minus": "−",
    "fast-backward": "|◀",
    "step-backward": "◁",
    "play fa-flip-horizontal": "◀",
    "pause": "❚❚",
    "play": "▶",
    "step-forward": "▷",
    "fast-forward": "▶|",
    "plus": "+",
}  # of matplotlib's player, which would load its own from the network
PAGE = '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{}</title></head>\n<body>{}</body></html>\n'


class Film:
    """An animation of a mixture, made by ``animate``. A notebook plays it.

    Parameters
    ----------
    data : Dataset
        From ``animation_data``.
    """

    def __init__(self, data: "xr.Dataset") -> None:
        self.data = data

    def __len__(self) -> int:
        """Return the number of frames."""
        return self.data.sizes["frame"]

    def __repr__(self) -> str:
        views = " and ".join(map(str, self.data["view"].values))
        return f"<Film: {views}, {len(self)} frames; save(path) writes a GIF or HTML file>"

    def _repr_html_(self) -> str:
        return self._html

    @cached_property
    def _html(self) -> str:
        return self.to_html()

    def frame(self, number: int) -> "Figure":
        """Return one frame as a figure; -1 is the last one.

        Raises
        ------
        IndexError
            When there is no such frame.
        """
        with settings(LITERAL):
            stage = _Stage(self.data)
            stage.show(range(len(self))[number])
        return stage.figure

    def save(self, path: str | Path, fps: int = FPS) -> Path:
        """Write the film to a ``.gif`` or ``.html`` file, and return the path.

        Parameters
        ----------
        path : str or Path
            An HTML file has controls, and loads nothing from the network.
        fps : int
            Frames per second.

        Raises
        ------
        FitFileError
            When the file can't be written, or its name has another extension.
        """
        from matplotlib.animation import PillowWriter

        path = writable(path, ".gif", ".html")
        with in_place_of(path) as partial:
            if path.suffix.lower() == ".html":
                partial.write_text(PAGE.format(path.stem, self.to_html(fps)), encoding="utf-8")
            else:
                with settings(LITERAL):
                    self._animation().save(partial, writer=PillowWriter(fps=fps), dpi=DPI)
        return path

    def to_html(self, fps: int = FPS) -> str:
        """Return a part of an HTML page with the frames and controls, which loads nothing from the network."""
        with settings(LITERAL | {"savefig.dpi": DPI, "figure.dpi": DPI}):
            player = self._animation().to_jshtml(fps=fps, embed_frames=True, default_mode="loop")
        for name, text in ICONS.items():
            player = player.replace(f'<i class="fa fa-{name}"></i>', text)
        return re.sub(r"<link\b[^>]*>", "", player)

    def _animation(self) -> "FuncAnimation":
        from matplotlib.animation import FuncAnimation

        stage = _Stage(self.data)
        return FuncAnimation(stage.figure, stage.show, frames=len(self), init_func=lambda: [], cache_frame_data=False)


class _Stage:
    """A figure with the panels of an animation, whose contents ``show`` replaces.

    Parameters
    ----------
    data : Dataset
        From ``animation_data``.
    """

    def __init__(self, data: "xr.Dataset") -> None:
        from matplotlib.figure import Figure

        self.data = data
        self.pairs = list(combinations(range(data.sizes["feature"]), 2))
        n_views = data.sizes["view"]
        across = min(len(self.pairs) or 1, ACROSS if n_views == 1 else 1)
        down = -(-(len(self.pairs) or 1) // across)
        width = max(across * n_views, 1.5) * PANEL[0]
        self.figure = Figure((width, down * PANEL[1] + TRACE + 0.8), layout="constrained")
        heights = [PANEL[1]] * down + [TRACE]
        cells = self.figure.add_gridspec(down + 1, across * n_views, height_ratios=heights)
        self.panels: list[list[Axes]] = []
        self.traces: list[Axes] = []
        for view in range(n_views):
            first = view * across
            places = [(at // across, first + at % across) for at in range(len(self.pairs) or 1)]
            self.panels.append([self.figure.add_subplot(cells[place]) for place in places])
            self.traces.append(self.figure.add_subplot(cells[down, first : first + across]))
            self._label(view)
        self._finish()

    def _label(self, view: int) -> None:
        """Label the panels of a view, and set their limits."""
        data, names, x = self.data, self.data["feature"].values, self.data["x"].values
        for axis, (j, i) in zip(self.panels[view], self.pairs or [(0, 0)], strict=True):
            axis.set(xlabel=str(names[j]), xlim=_limits(x[:, j]))
            if not self.pairs:
                axis.set_ylim(0, 1.05 * float(np.quantile(data["curve"].max("step"), 0.98)))
                label_height(axis, alone=True)
            else:
                axis.set(ylabel=str(names[i]), ylim=_limits(x[:, i]))
                despine(axis)
        self.panels[view][0].set_title(str(data["view"].values[view]), fontsize="medium", loc="left")
        trace = self.traces[view]
        values = data["loglik"] if "loglik" in data else data["mean"]
        label = "log likelihood" if "loglik" in data else f"mean of {names[0]}"
        trace.set(xlabel="frame", ylabel=label, xlim=(-0.5, len(data["frame"]) - 0.5), ylim=_limits(values.values))
        despine(trace)

    def _finish(self) -> None:
        """Draw title, legend and note, and fix the layout, so that panels do not move between frames."""
        from matplotlib.lines import Line2D

        names = self.data["component"].values
        marks = [
            Line2D([], [], color=colour(k), marker=marker(k), label=f"component {name}", ms=4)
            for k, name in enumerate(names)
        ]
        look = {"ncols": 4, "frameon": False, "fontsize": "small", "title_fontsize": "small"}
        note = self.data.attrs["note"] or None
        self.figure.legend(handles=marks, loc="outside lower center", title=note, **look)
        self.figure.suptitle(str(self.data["frame"].values[0]), fontsize="medium")
        make_printable(self.figure)
        engine = self.figure.get_layout_engine()
        if engine is not None:
            engine.execute(self.figure)
        self.figure.set_layout_engine("none")

    def show(self, number: int) -> list[Any]:
        """Replace the contents of the panels by those of a frame."""
        self.figure.suptitle(str(self.data["frame"].values[number]), fontsize="medium")
        for view, panels in enumerate(self.panels):
            for at, axis in enumerate(panels):
                _clear(axis)
                self._draw_panel(axis, view, at, number)
            _clear(self.traces[view])
            self._draw_trace(self.traces[view], view, number)
        return []

    def _draw_panel(self, axis: "Axes", view: int, at: int, number: int) -> None:
        of_view = self.data.isel(view=view)
        label = of_view["label"].values[number]
        if not self.pairs:
            _draw_rug(axis, of_view["x"].values[:, 0], label)
        else:
            draw_points(axis, of_view["x"].values[:, self.pairs[at]], label, alpha=0.7, zorder=1)
        lines = of_view["curve"].values if not self.pairs else of_view["outline"].values[:, at]
        grid = self.data["grid"].values if not self.pairs else None
        for earlier in range(max(0, number - TRAIL), number + 1):
            alpha = 1.0 if earlier == number else 0.45 * (1 - (number - earlier) / (TRAIL + 1))
            for k, line in enumerate(lines[earlier]):
                x, y = line if grid is None else (grid, line)
                axis.plot(x, y, color=colour(k), alpha=alpha, lw=2.0 if earlier == number else 0.8, zorder=2)

    def _draw_trace(self, axis: "Axes", view: int, number: int) -> None:
        at = np.arange(number + 1)
        if "loglik" in self.data:
            axis.plot(at, self.data["loglik"].values[: number + 1], color=grey(0.2), marker="o", ms=3, lw=1.2)
            return
        means = self.data["mean"].values[: number + 1, view]
        for k in range(means.shape[1]):
            axis.plot(at, means[:, k], color=colour(k), marker=marker(k), ms=3, lw=0.8)


def _clear(axis: "Axes") -> None:
    for artist in [*axis.collections, *axis.lines]:
        artist.remove()


def _draw_rug(axis: "Axes", x: Any, label: Any) -> None:
    """Draw the points of a single column along the bottom, in the colours of their components."""
    for k in np.unique(label).tolist():
        own = x[label == k]
        axis.plot(own, np.zeros(len(own)), "|", color=colour(k), ms=12, mew=1, clip_on=False)


def _limits(values: Any) -> tuple[float, float]:
    """Return the range of the values that are not missing, with a margin."""
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    margin = 0.12 * (high - low) or 1.0
    return low - margin, high + margin
