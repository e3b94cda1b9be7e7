"""Plot of the entropy of the labels against the number of merged clusters."""

from typing import TYPE_CHECKING

import numpy as np

from bayesgmm.clusterings.merging import elbow, line
from bayesgmm.errors import DeclarationError
from bayesgmm.keywords import checks_keywords
from bayesgmm.plots.panels import (
    despine,
    new_panels,
    root_of,
)
from bayesgmm.plots.style import (
    colour,
    grey,
    literal,
)

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure


@checks_keywords
def entropy_data(merged: "xr.Dataset") -> "xr.Dataset":
    """Compute the data of ``entropy``.

    Parameters
    ----------
    merged : Dataset
        From ``merge_components``.

    Returns
    -------
    Dataset
        ``entropy``, ``n_merged`` and ``overlap`` [n_clusters], ``band`` [n_clusters, ci_bound]; ``elbow``, the
        number of clusters at the elbow of the entropy, and ``line`` [half, coefficient], intercept and slope of the two
        lines (with three clusters or more). Entropies are in nats. Attribute ``n_clusters``, the choice.

    Raises
    ------
    DeclarationError
        When ``merged`` is not from ``merge_components``.

    Examples
    --------
    >>> import bayesgmm as bg
    >>> x = [[-1.0], [0.0], [1.0], [2.0], [9.0], [10.0], [11.0]]
    >>> fit = bg.fit(bg.MixtureModel(2, "tied"), x, "em", progress=False)
    >>> entropy_data(bg.merge_components(fit)).attrs["n_clusters"]
    2
    """
    if "entropy" not in getattr(merged, "data_vars", {}) or "n_clusters" not in merged.dims:
        raise DeclarationError(f"merged={type(merged).__name__}: must be what merge_components(fit) returned")
    data = merged[["entropy", "band", "n_merged", "overlap"]]
    at, height = data["n_clusters"].values.astype(float), data["entropy"].values
    bend = elbow(at, height)
    data = data.assign(elbow=bend)
    if len(at) < 3:
        return data
    halves = [line(at[part], height[part]) for part in (slice(0, bend), slice(bend - 1, None))]
    return data.assign(line=(("half", "coefficient"), np.stack(halves)))


@literal
def entropy(merged: "xr.Dataset", *, figure: "Figure | SubFigure | None" = None) -> "Figure":
    """Plot the entropy of the labels against the number of clusters, and the overlap of the merged components.

    Left: entropy of the mean responsibilities, with a band of the entropies of single draws (these are smaller); the
    two lines meet at the elbow. Right: the largest overlap between components of the two clusters in each merger. A
    ring marks the number of clusters that was chosen.

    Parameters
    ----------
    merged : Dataset
        From ``merge_components``.
    figure : Figure or SubFigure, optional
        Empty figure, or part of one, to draw in. Default: a new figure.

    Returns
    -------
    Figure
        That of the panels.

    Raises
    ------
    DeclarationError
        When ``merged`` is not from ``merge_components``.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import bayesgmm as bg
    >>> x = [[-1.0], [0.0], [1.0], [2.0], [9.0], [10.0], [11.0]]
    >>> fit = bg.fit(bg.MixtureModel(2, "tied"), x, "em", progress=False)
    >>> figure = entropy(bg.merge_components(fit))
    >>> figure.axes[0].get_ylabel()
    'entropy of the labels (nats)'
    >>> plt.close(figure)
    """
    data = entropy_data(merged)
    figure, ((left, right),) = new_panels((1, 2), (9.0, 3.8), figure)
    _draw_entropy(left, data)
    _draw_overlap(right, data)
    for axis in (left, right):
        axis.set_xticks(data["n_clusters"].values)
        axis.set_xlabel("clusters")
        axis.set_ylim(bottom=0)
        despine(axis)
        axis.legend(frameon=False, fontsize="small")
    return root_of(figure)


def _draw_entropy(axis: "Axes", data: "xr.Dataset") -> None:
    at, height = data["n_clusters"].values, data["entropy"].values
    share = f"{data.attrs['ci_prob']:.0%} of the draws"
    axis.fill_between(at, *data["band"].values.T, color=colour(0), alpha=0.2, lw=0, label=share)
    axis.plot(at, height, color=colour(0), marker="o", ms=4, lw=1.6, label="mean responsibilities")
    bend = int(data["elbow"])
    if "line" in data:
        for part, (intercept, slope) in zip((at[:bend], at[bend - 1 :]), data["line"].values, strict=True):
            axis.plot(part, intercept + slope * part, color=grey(0.25), lw=0.9, ls="--")
        axis.plot([], [], color=grey(0.25), lw=0.9, ls="--", label=f"two lines: elbow at {bend}")
    chosen = data.attrs["n_clusters"]
    axis.plot(
        chosen, height[chosen - 1], "o", ms=12, mfc="none", mec=grey(0.15), label=f"chosen: {chosen}", clip_on=False
    )
    axis.set_ylabel("entropy of the labels (nats)")


def _draw_overlap(axis: "Axes", data: "xr.Dataset") -> None:
    at, height = data["n_clusters"].values[:-1], data["overlap"].values[:-1]
    merged = at >= data.attrs["n_clusters"]
    axis.bar(at[merged], height[merged], color=colour(0), width=0.6, label="merged")
    if not merged.all():
        axis.bar(at[~merged], height[~merged], color=grey(0.75), width=0.6, label="not merged")
    axis.set_xlim(0.4, data.sizes["n_clusters"] + 0.6)
    axis.set_ylabel("overlap of the two merged clusters")
