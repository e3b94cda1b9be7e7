"""Regions of a picture as a table and as files: labels, entropy, an overlay, a palette."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bayesgmm.apps.extras import extra
from bayesgmm.errors import DataError, FitFileError
from bayesgmm.files import made_folder
from bayesgmm.plots.style import colour
from bayesgmm.sweep.stats import Array

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from PIL.Image import Image

NOWHERE = 255  # the index of what is transparent in labels.png
TINT = 0.2  # how much of a region's colour an overlay takes
GREY = (128, 128, 128)
SWATCH = 56  # pixels
WRITTEN = ("labels.png", "entropy.png", "overlay.png", "palette.png", "regions.csv")
Labels = NDArray[np.int16]


def region_table(segments: "xr.Dataset") -> "pd.DataFrame":
    r"""What each region is like, a row a component.

    Parameters
    ----------
    segments : Dataset
        From ``segment_image``.

    Returns
    -------
    DataFrame
        ``share`` of the picture that is seen; ``colour``, the mean in CIELAB as an sRGB code; the mean of each feature;
        ``pieces``, how many parts it falls into that touch at no corner; ``largest``, the share of its largest piece;
        ``perimeter``, the length of its border with other regions in pixels, from crossings in four directions
        (Crofton's formula); ``entropy``, the mean over its pixels.

    References
    ----------
    .. [1] Legland, Kiêu & Devaux (2007), Image Anal. Stereol. 26(2), 83-92.

    Examples
    --------
    >>> from bayesgmm.apps import segment_image
    >>> halves = np.repeat([0.2, 0.8], 10) + np.random.default_rng(0).normal(0, 0.02, size=(20, 20))
    >>> table = region_table(segment_image(halves, 2, progress=False))
    >>> table[["share", "pieces"]].values.tolist()
    [[0.5, 1.0], [0.5, 1.0]]
    """
    import pandas as pd

    label = segments["label"].values
    n_components = segments.sizes["component"]
    pieces, largest = np.array([_pieces(label == k) for k in range(n_components)]).T
    there = label >= 0
    count = np.bincount(label[there], minlength=n_components)
    entropy = np.bincount(label[there], segments["entropy"].values[there], n_components)
    features = {str(name): segments["feature_mean"].sel(feature=name).values for name in segments["feature"].values}
    columns = {
        "share": segments["share"].values,
        "colour": mean_colours(segments),
        **features,
        "pieces": pieces.astype(int),
        "largest": largest,
        "perimeter": perimeters(label, n_components),
        "entropy": entropy / np.where(count > 0, count, np.nan),
    }
    return pd.DataFrame(columns, index=pd.Index(segments["component"].values, name="component"))


def _pieces(mask: NDArray[np.bool_]) -> tuple[int, float]:
    """How many pieces, and the share of the largest."""
    from scipy.ndimage import label

    if not mask.any():
        return 0, np.nan
    parts, count = label(mask, structure=np.ones((3, 3)))
    sizes = np.bincount(parts.reshape(-1))[1:]
    return count, float(sizes.max() / sizes.sum())


def perimeters(label: Labels, n_components: int) -> Array:
    r"""(K,) length of each region's border with others, in pixels; the picture's own edge is no border.

    .. math:: L = \frac\pi8 \sum_{\text{directions}} \Delta_d N_d

    where N counts the pairs of neighbours that differ, and Δ is how far apart the lines are: 1, on diagonals 1 / √2.

    Examples
    --------
    A straight border of 100 pixels: 100 crossings along rows, and 99 along each diagonal.

    >>> halves = np.repeat(np.array([[0, 1]], dtype=np.int16), 100, axis=0)
    >>> perimeters(halves, 2).round()
    array([94., 94.])
    """
    total = np.zeros(n_components)
    for one, other, apart in (
        (label[:, 1:], label[:, :-1], 1.0),
        (label[1:], label[:-1], 1.0),
        (label[1:, 1:], label[:-1, :-1], np.sqrt(0.5)),
        (label[1:, :-1], label[:-1, 1:], np.sqrt(0.5)),
    ):
        border = one != other
        for side in (one[border], other[border]):
            total += apart * np.bincount(side[side >= 0], minlength=n_components)
    return np.pi / 8 * total


def mean_colours(segments: "xr.Dataset") -> list[str]:
    """Each region's mean colour, as ``'#rrggbb'``; nothing for a region without pixels."""
    lab = segments["mean_lab"].values
    rgb = extra("skimage.color", "scikit-image").lab2rgb(np.nan_to_num(lab)[None])[0]
    codes = np.round(255 * np.clip(rgb, 0, 1)).astype(int)
    seen = np.isfinite(lab).all(axis=1)
    return ["#{:02x}{:02x}{:02x}".format(*code) if known else "" for code, known in zip(codes, seen, strict=True)]


def boundaries(label: Labels, width: int = 1) -> NDArray[np.bool_]:
    """(H, W) pixels within so many of a pixel of another region, along rows and columns.

    Examples
    --------
    >>> boundaries(np.array([[0, 0, 0, 1, 1, 1]], dtype=np.int16)).astype(int)
    array([[0, 0, 1, 1, 0, 0]])
    """
    found = np.zeros(label.shape, dtype=bool)
    for step in range(1, width + 1):
        across, down = label[:, step:] != label[:, :-step], label[step:] != label[:-step]
        found[:, step:] |= across
        found[:, :-step] |= across
        found[step:] |= down
        found[:-step] |= down
    return found


def overlay(image: NDArray[np.uint8], label: Labels, width: int = 1) -> NDArray[np.uint8]:
    """A picture (H, W, 3) with each region tinted, and its boundary drawn, in its colour; grey where label is -1."""
    known = [_rgb(colour(k)) for k in range(max(int(label.max()), 0) + 1)]
    palette = np.array([*known, GREY], dtype=np.uint8)  # the last is also that of label -1
    out = np.empty_like(image)
    edge = boundaries(label, width)
    rows = max(1, 1_000_000 // label.shape[1])  # a part at a time: mixing colours takes numbers of four bytes
    for start in range(0, len(label), rows):
        part = slice(start, start + rows)
        own = palette[label[part]]
        mixed = image[part] * np.float32(1 - TINT) + own * np.float32(TINT)
        plain = edge[part] | (label[part] < 0)  # what lies behind transparent pixels was made up
        out[part] = np.where(plain[:, :, None], own, mixed.astype(np.uint8))
    return out


def _rgb(code: str) -> tuple[int, int, int]:
    return int(code[1:3], 16), int(code[3:5], 16), int(code[5:7], 16)


def line_width(shape: tuple[int, ...]) -> int:
    """How wide a boundary is drawn, so that it is seen on a picture of any size."""
    return max(1, round(max(shape[:2]) / 1500))


def save_regions(segments: "xr.Dataset", folder: str | Path) -> list[Path]:
    """Write the regions of a picture as files.

    Parameters
    ----------
    segments : Dataset
        From ``segment_image``.
    folder : path
        Made where it is not there. Gets ``labels.png`` (the number of each pixel's component, in a palette; 255 where
        the picture is transparent), ``entropy.png`` (grey: 0 is certain, 255 means that all components are equally
        probable), ``overlay.png``, ``palette.png`` and ``regions.csv``.

    Raises
    ------
    FitFileError
        When they can't be written.
    """
    from PIL import Image

    folder = made_folder(folder, WRITTEN)
    label = segments["label"].values
    entropy = np.round(segments["entropy"].values * np.float32(255)).astype(np.uint8)
    table = region_table(segments)
    drawn = overlay(segments["image"].values, label, line_width(label.shape))
    pictures = (_indexed(label), Image.fromarray(entropy), Image.fromarray(drawn), _palette(table))
    try:
        for name, picture in zip(WRITTEN, pictures, strict=False):
            picture.save(folder / name, compress_level=3)
        table.to_csv(folder / WRITTEN[-1])
    except OSError as error:
        raise FitFileError(f"{folder} can't be written: {error.strerror or error}") from error
    return [folder / name for name in WRITTEN]


def _indexed(label: Labels) -> "Image":
    """Labels as a picture of indices, with the regions' colours for those who look at it."""
    from PIL import Image

    if label.max() >= NOWHERE:
        raise DataError(f"a picture of labels holds {NOWHERE} components, not {label.max() + 1}")
    picture = Image.fromarray(np.where(label < 0, NOWHERE, label).astype(np.uint8))
    picture.putpalette([part for k in range(256) for part in _rgb(colour(k))])
    if (label < 0).any():
        picture.info["transparency"] = NOWHERE
    return picture


def _palette(table: "pd.DataFrame") -> "Image":
    """For each region its colour in the overlay, its mean colour, and its share of the picture, the largest first."""
    from PIL import Image, ImageDraw

    share = table["share"].to_numpy()
    shown = [k for k in np.argsort(-share, kind="stable") if share[k] > 0]
    picture = Image.new("RGB", (6 * SWATCH, SWATCH * len(shown)), "white")
    pen = ImageDraw.Draw(picture)
    for i, k in enumerate(shown):
        top, mean = i * SWATCH, table["colour"].iloc[k]
        pen.rectangle([0, top, SWATCH // 3, top + SWATCH], fill=colour(k))
        pen.rectangle([SWATCH // 3, top, 2 * SWATCH, top + SWATCH], fill=mean)
        text = f"{table.index[k]}   {share[k]:.1%}   {mean}"
        pen.text((int(2.3 * SWATCH), top + SWATCH // 2), text, fill="black", anchor="lm", font_size=SWATCH // 3.6)
    return picture
