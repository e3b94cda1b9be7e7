"""How the doubt about labels falls as components are merged."""

from typing import TYPE_CHECKING

import numpy as np

from bayesgmm.clusterings.merging import elbow, line
from bayesgmm.errors import DeclarationError
from bayesgmm.plots.style import colour

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def entropy_data(merged: "xr.Dataset") -> "xr.Dataset":
    """What ``entropy`` draws.

    Parameters
    ----------
    merged : Dataset
        From ``merge_components``.

    Returns
    -------
    Dataset
        ``entropy``, ``n_merged`` and ``overlap`` [n_clusters], ``band`` [n_clusters, ci_bound]; ``elbow``, of the
        entropy against the number of clusters, and ``line`` [half, coefficient], intercept and slope on both sides of
        it (of three clusters or more). Attribute ``n_clusters``, what was chosen.
    """
    if "entropy" not in getattr(merged, "data_vars", {}) or "n_clusters" not in merged.dims:
        raise DeclarationError(f"merged={type(merged).__name__}: must be what merge_components(fit) returned")
    data = merged[["entropy", "band", "n_merged", "overlap"]]
    height = data["entropy"].values
    at, height = data["n_clusters"].values.astype(float), data["entropy"].values
    bend = elbow(at, height)
    data = data.assign(elbow=bend)
    if len(at) < 3:
        return data
    halves = [line(at[part], height[part]) for part in (slice(0, bend), slice(bend - 1, None))]
    return data.assign(line=(("half", "coefficient"), np.stack(halves)))


def entropy(merged: "xr.Dataset") -> "Figure":
    """How the entropy of the labels falls as components are merged, and how much the merged ones overlapped.

    Left: entropy against the number of clusters, of the mean responsibilities, with a band of the draws' own (which
    are surer); two lines bend at the elbow. Right: the overlap of the two components through which each merger went.
    A ring marks the number that was chosen.

    Parameters
    ----------
    merged : Dataset
        From ``merge_components``.
    """
    import matplotlib.pyplot as plt

    data = entropy_data(merged)
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.0, 3.8), layout="constrained")
    _draw_entropy(left, data)
    _draw_overlap(right, data)
    for axis in (left, right):
        axis.set_xticks(data["n_clusters"].values)
        axis.set_xlabel("clusters")
        axis.set_ylim(bottom=0)
        axis.spines[["top", "right"]].set_visible(False)
        axis.legend(frameon=False, fontsize="small")
    return figure


def _draw_entropy(axis: "Axes", data: "xr.Dataset") -> None:
    at, height = data["n_clusters"].values, data["entropy"].values
    share = f"{data.attrs['ci_prob']:.0%} of the draws"
    axis.fill_between(at, *data["band"].values.T, color=colour(0), alpha=0.2, lw=0, label=share)
    axis.plot(at, height, color=colour(0), marker="o", ms=4, lw=1.6, label="mean responsibilities")
    bend = int(data["elbow"])
    if "line" in data:
        for part, (intercept, slope) in zip((at[:bend], at[bend - 1 :]), data["line"].values, strict=True):
            axis.plot(part, intercept + slope * part, color="0.25", lw=0.9, ls="--")
        axis.plot([], [], color="0.25", lw=0.9, ls="--", label=f"two lines: elbow at {bend}")
    chosen = data.attrs["n_clusters"]
    axis.plot(chosen, height[chosen - 1], "o", ms=12, mfc="none", mec="0.15", label=f"chosen: {chosen}", clip_on=False)
    axis.set_ylabel("entropy of the labels (nats)")


def _draw_overlap(axis: "Axes", data: "xr.Dataset") -> None:
    at, height = data["n_clusters"].values[:-1], data["overlap"].values[:-1]
    merged = at >= data.attrs["n_clusters"]
    axis.bar(at[merged], height[merged], color=colour(0), width=0.6, label="merged")
    if not merged.all():
        axis.bar(at[~merged], height[~merged], color="0.75", width=0.6, label="not merged")
    axis.set_xlim(0.4, data.sizes["n_clusters"] + 0.6)
    axis.set_ylabel("overlap of what was merged last")
