"""Figure of an image and its regions: its data, and the drawing."""

from typing import TYPE_CHECKING, Any

import numpy as np

from bayesgmm.apps.images.connected_regions import of_kind
from bayesgmm.apps.images.regions import boundaries, line_width, mean_colours, overlay
from bayesgmm.declared import whole
from bayesgmm.keywords import checks_keywords
from bayesgmm.plots.style import colour, literal

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LONGEST = 1600  # largest side of the image in a figure, in pixels
IN_LEGEND = 12  # regions in the legend


@checks_keywords
def overlay_data(segments: "xr.Dataset", regions: str = "connected", longest: int = LONGEST) -> "xr.Dataset":
    """Compute the data that ``plot_regions`` draws.

    Parameters
    ----------
    segments : Dataset
        From ``segment_image``.
    regions : {'connected', 'components'}
        Connected regions, or all pixels of a component as one region.
    longest : int
        Maximum length of the longer side in pixels; larger images are thinned.

    Returns
    -------
    Dataset
        ``overlay`` (y, x, channel), the image tinted by region; ``boundary`` (y, x); ``entropy`` (y, x); and for
        each region its ``share`` of the pixels and its mean ``colour``.

    Raises
    ------
    DeclarationError
        If ``longest`` is not a positive whole number.

    Examples
    --------
    >>> from bayesgmm.apps import segment_image
    >>> halves = np.repeat([0.2, 0.8], 10) + np.random.default_rng(0).normal(0, 0.02, size=(20, 20))
    >>> data = overlay_data(segment_image(halves, 2, progress=False), longest=10)
    >>> data["overlay"].shape, data["boundary"].values.any()
    ((10, 10, 3), np.True_)
    """
    import xarray as xr

    segments = of_kind(segments, regions)
    height, width = segments.sizes["y"], segments.sizes["x"]
    step = -(-max(height, width) // whole("longest", longest))
    thin = segments[["image", "label", "entropy"]].isel(y=slice(None, None, step), x=slice(None, None, step))
    label, image = thin["label"].values, thin["image"].values
    line = line_width(label.shape)
    dims = ("y", "x")
    return xr.Dataset(
        {
            "overlay": ((*dims, "channel"), overlay(image, label, line)),
            "boundary": (dims, boundaries(label, line)),
            "entropy": (dims, np.where(label < 0, np.nan, thin["entropy"].values)),
            "share": ("component", segments["share"].values),
            "colour": ("component", mean_colours(segments)),
        },
        coords={
            "y": np.arange(0, height, step),
            "x": np.arange(0, width, step),
            "component": segments["component"].values,
        },
    )


@literal
def plot_regions(segments: "xr.Dataset", regions: str = "connected") -> "Figure":
    """Plot an image with its regions, the uncertainty of each pixel, and the mean colours.

    Parameters
    ----------
    segments : Dataset
        From ``segment_image``.
    regions : {'connected', 'components'}
        Connected regions, or all pixels of a component as one region.

    Returns
    -------
    Figure

    Raises
    ------
    MissingExtra
        If scikit-image is not installed.

    Examples
    --------
    >>> from bayesgmm.apps import segment_image
    >>> halves = np.repeat([0.2, 0.8], 10) + np.random.default_rng(0).normal(0, 0.02, size=(20, 20))
    >>> figure = plot_regions(segment_image(halves, 2, progress=False))
    >>> figure.axes[0].get_title(loc="left")
    'regions'
    """
    import matplotlib.pyplot as plt

    data = overlay_data(segments, regions)
    height, width = segments.sizes["y"], segments.sizes["x"]
    rows, columns = (1, 2) if height > 0.75 * width else (2, 1)  # wide images one above the other
    each = 7.2 / columns
    size = (7.6, rows * (min(each * height / width, 9.0) + 0.9))
    figure, (first, second) = plt.subplots(rows, columns, figsize=size, layout="constrained")
    corners = (-0.5, width - 0.5, height - 0.5, -0.5)
    first.imshow(data["overlay"].values, extent=corners)
    first.set_title("regions", fontsize=10, loc="left")
    entropy = data["entropy"].values
    top = max(0.1, np.ceil(10 * np.nanmax(entropy)) / 10)
    shown = second.imshow(entropy, vmin=0, vmax=top, cmap="magma", extent=corners)
    second.set_title("entropy of each pixel's label", fontsize=10, loc="left")
    figure.colorbar(shown, ax=second, location="bottom", shrink=0.5, anchor=(0.0, 1.0), aspect=25, pad=0.02)
    for axis in (first, second):
        axis.set_anchor("NW")
        axis.set_xticks([])
        axis.set_yticks([])
    _draw_legend(first, data, beside=5 if columns == 1 else 3)
    return figure


def _draw_legend(axis: "Axes", data: "xr.Dataset", beside: int) -> None:
    """Draw a legend of the largest regions: filled with the mean colour, framed in the colour of the overlay."""
    from matplotlib.patches import Patch

    share = data["share"].values
    order = [k for k in np.argsort(-share, kind="stable") if share[k] > 0][:IN_LEGEND]
    patches = [
        Patch(fc=data["colour"].values[k], ec=colour(k), lw=2.5, label=f"{data['component'].values[k]}: {share[k]:.1%}")
        for k in order
    ]
    place: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (0.0, 0.0), "borderaxespad": 0.3}
    axis.legend(handles=patches, frameon=False, ncols=beside, fontsize=8, handleheight=1.2, columnspacing=1.0, **place)
