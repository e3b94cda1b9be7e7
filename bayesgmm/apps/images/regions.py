"""Regions of an image as a table and as files: labels, entropy, overlay, palette."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bayesgmm.apps.extras import extra
from bayesgmm.apps.images.connected_regions import of_kind
from bayesgmm.files import in_place_of, made_folder, write_csv
from bayesgmm.keywords import checks_keywords
from bayesgmm.plots.style import colour
from bayesgmm.sweep.stats import Array

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from PIL.Image import Image

TRANSPARENT = 255  # index of transparent pixels in labels.png, which has at most as many regions
SWATCHES = 100  # maximum number of regions in palette.png
TINT = 0.2  # weight of a region's colour in an overlay
GREY = (128, 128, 128)
SWATCH = 56  # pixels
INDEX = {"connected": "region", "components": "component"}
MANY = "labels.tif"  # in place of labels.png
WRITTEN = ("labels.png", "entropy.png", "overlay.png", "palette.png", "regions.csv")
Labels = NDArray[np.int16] | NDArray[np.int32]


@checks_keywords
def region_table(segments: "xr.Dataset", regions: str = "connected") -> "pd.DataFrame":
    r"""Compute properties of each region, one row per region.

    Parameters
    ----------
    segments : Dataset
        From ``segment_image``.
    regions : {'connected', 'components'}
        Connected regions, or all pixels of a component as one region.

    Returns
    -------
    DataFrame
        ``share`` of the visible pixels; ``colour``, the mean in CIELAB as an sRGB code; the mean of each feature;
        ``pieces``, the number of connected parts (with eight neighbours); ``largest``, the share of the largest part;
        ``perimeter``, the length in pixels of the border with other regions, from crossings in four directions
        (Crofton's formula [1]_); ``entropy``, the mean over its pixels.

    References
    ----------
    .. [1] Legland, Kiêu & Devaux (2007), Image Anal. Stereol. 26(2), 83-92.

    Raises
    ------
    MissingExtra
        If scikit-image is not installed.

    Examples
    --------
    >>> from bayesgmm.apps import segment_image
    >>> halves = np.repeat([0.2, 0.8], 10) + np.random.default_rng(0).normal(0, 0.02, size=(20, 20))
    >>> table = region_table(segment_image(halves, 2, progress=False))
    >>> table[["share", "pieces"]].values.tolist()
    [[0.5, 1.0], [0.5, 1.0]]
    """
    import pandas as pd
    from scipy.ndimage import find_objects

    segments = of_kind(segments, regions)
    label = segments["label"].values
    n_components = segments.sizes["component"]
    boxes = find_objects(label.astype(np.int32) + 1, n_components)
    parts = [_pieces(label[box] == k) if box else (0, np.nan) for k, box in enumerate(boxes)]
    pieces, largest = np.array(parts).T
    visible = label >= 0
    count = np.bincount(label[visible], minlength=n_components)
    entropy = np.bincount(label[visible], segments["entropy"].values[visible], n_components)
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
    return pd.DataFrame(columns, index=pd.Index(segments["component"].values, name=INDEX[regions]))


def _pieces(mask: NDArray[np.bool_]) -> tuple[int, float]:
    """Number of connected parts, and the share of the largest."""
    from scipy.ndimage import label

    parts, count = label(mask, structure=np.ones((3, 3)))
    sizes = np.bincount(parts.reshape(-1))[1:]
    return count, float(sizes.max() / sizes.sum())


def perimeters(label: Labels, n_components: int) -> Array:
    r"""Compute the length (K,) in pixels of each region's border with other regions, without the edge of the image.

    .. math:: L = \frac\pi8 \sum_{\text{directions}} \Delta_d N_d

    where N counts the pairs of neighbours with different labels, and Δ is the distance between lines: 1, or 1 / √2 for
    diagonals.

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
    """Mean colour of each region as ``'#rrggbb'``; an empty string for a region without pixels."""
    lab = segments["mean_lab"].values
    rgb = extra("skimage.color", "scikit-image").lab2rgb(np.nan_to_num(lab)[None])[0]
    codes = np.round(255 * np.clip(rgb, 0, 1)).astype(int)
    seen = np.isfinite(lab).all(axis=1)
    return ["#{:02x}{:02x}{:02x}".format(*code) if known else "" for code, known in zip(codes, seen, strict=True)]


def boundaries(label: Labels, width: int = 1) -> NDArray[np.bool_]:
    """Mask (H, W) of the pixels at most ``width`` away from another region, along rows and columns.

    Examples
    --------
    >>> boundaries(np.array([[0, 0, 0, 1, 1, 1]], dtype=np.int16)).astype(int)
    array([[0, 0, 1, 1, 0, 0]])
    """
    mask = np.zeros(label.shape, dtype=bool)
    for step in range(1, width + 1):
        across, down = label[:, step:] != label[:, :-step], label[step:] != label[:-step]
        mask[:, step:] |= across
        mask[:, :-step] |= across
        mask[step:] |= down
        mask[:-step] |= down
    return mask


def overlay(image: NDArray[np.uint8], label: Labels, width: int = 1) -> NDArray[np.uint8]:
    """Tint each region of an image (H, W, 3) and draw its boundary, in the region's colour; label -1 is grey."""
    known = [_rgb(colour(k)) for k in range(max(int(label.max()), 0) + 1)]
    palette = np.array([*known, GREY], dtype=np.uint8)  # index -1 is label -1
    out = np.empty_like(image)
    edge = boundaries(label, width)
    rows = max(1, 1_000_000 // label.shape[1])  # in parts, because mixing colours needs four bytes per value
    for start in range(0, len(label), rows):
        part = slice(start, start + rows)
        own = palette[label[part]]
        mixed = image[part] * np.float32(1 - TINT) + own * np.float32(TINT)
        plain = edge[part] | (label[part] < 0)  # colours of transparent pixels were filled in
        out[part] = np.where(plain[:, :, None], own, mixed.astype(np.uint8))
    return out


def _rgb(code: str) -> tuple[int, int, int]:
    return int(code[1:3], 16), int(code[3:5], 16), int(code[5:7], 16)


def line_width(shape: tuple[int, ...]) -> int:
    """Width of a boundary in pixels, in proportion to the image."""
    return max(1, round(max(shape[:2]) / 1500))


@checks_keywords
def save_regions(segments: "xr.Dataset", folder: str | Path, regions: str = "connected") -> list[Path]:
    """Write the regions of an image as files.

    Parameters
    ----------
    segments : Dataset
        From ``segment_image``.
    folder : path
        Created if it does not exist. It gets ``labels.png`` (the region of each pixel, in a palette; 255 for
        transparent pixels; with more than 255 regions ``labels.tif``, in 32-bit numbers, -1 for transparent
        pixels), ``entropy.png`` (grey: 0 is certain, 255 means that all components are equally
        probable), ``overlay.png``, ``palette.png`` (the 100 largest regions) and ``regions.csv``.
    regions : {'connected', 'components'}
        Connected regions, or all pixels of a component as one region.

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    FitFileError
        If the folder can't be written.

    Examples
    --------
    >>> import tempfile
    >>> from bayesgmm.apps import segment_image
    >>> halves = np.repeat([0.2, 0.8], 10) + np.random.default_rng(0).normal(0, 0.02, size=(20, 20))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     [path.name for path in save_regions(segment_image(halves, 2, progress=False), folder)]
    ['labels.png', 'entropy.png', 'overlay.png', 'palette.png', 'regions.csv']
    """
    from PIL import Image

    folder = made_folder(folder, [*WRITTEN, MANY])
    segments, held = of_kind(segments, regions), segments
    label = segments["label"].values
    table, many = region_table(held, regions), int(label.max()) >= TRANSPARENT
    indexed = Image.fromarray(label.astype(np.int32)) if many else _indexed(label)
    names = [MANY, *WRITTEN[1:]] if many else [*WRITTEN]
    (folder / (WRITTEN[0] if many else MANY)).unlink(missing_ok=True)  # of an earlier run: other regions
    entropy = np.round(segments["entropy"].values * np.float32(255)).astype(np.uint8)
    drawn = overlay(segments["image"].values, label, line_width(label.shape))
    images = (indexed, Image.fromarray(entropy), Image.fromarray(drawn), _palette(table))
    for name, image in zip(names, images, strict=False):
        with in_place_of(folder / name) as partial:
            image.save(partial, **({"compression": "tiff_deflate"} if name == MANY else {"compress_level": 3}))
    write_csv(table, folder / names[-1])
    return [folder / name for name in names]


def _indexed(label: Labels) -> "Image":
    """Make an image of label indices, with the regions' colours as its palette."""
    from PIL import Image

    image = Image.fromarray(np.where(label < 0, TRANSPARENT, label).astype(np.uint8))
    image.putpalette([part for k in range(256) for part in _rgb(colour(k))])
    if (label < 0).any():
        image.info["transparency"] = TRANSPARENT
    return image


def _palette(table: "pd.DataFrame") -> "Image":
    """Draw the overlay colour, mean colour and share of each region, the largest first."""
    from PIL import Image, ImageDraw

    share = table["share"].to_numpy()
    shown = [k for k in np.argsort(-share, kind="stable")[:SWATCHES] if share[k] > 0]
    image = Image.new("RGB", (6 * SWATCH, SWATCH * len(shown)), "white")
    pen = ImageDraw.Draw(image)
    for i, k in enumerate(shown):
        top, mean = i * SWATCH, table["colour"].iloc[k]
        pen.rectangle([0, top, SWATCH // 3, top + SWATCH], fill=colour(k))
        pen.rectangle([SWATCH // 3, top, 2 * SWATCH, top + SWATCH], fill=mean)
        text = f"{table.index[k]}   {share[k]:.1%}   {mean}"
        pen.text((int(2.3 * SWATCH), top + SWATCH // 2), text, fill="black", anchor="lm", font_size=SWATCH // 3.6)
    return image
