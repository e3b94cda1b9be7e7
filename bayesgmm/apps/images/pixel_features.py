"""Features of pixels: colour, texture, direction and place, computed for one strip of the image at a time."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayesgmm.apps.extras import extra
from bayesgmm.apps.images.image_arrays import InputImage
from bayesgmm.declared import positive
from bayesgmm.errors import DataError, choose
from bayesgmm.wording import listing, plural

Plane = NDArray[np.float32]
GROUPS = {
    "colour": ("lightness", "green_red", "blue_yellow"),
    "texture": ("contrast_2", "contrast_6"),
    "direction": ("horizontal_3", "diagonal_3"),
    "place": ("row", "column"),
}
TAIL = 4.0  # standard deviations at which a window is truncated
FLOOR = 0.5  # added to the standard deviation of lightness: the rounding of 8-bit images is not texture
MIN_RANGE = 1e-3  # smallest range of a feature that is used


@dataclass(frozen=True)
class Strip:
    """Strip of rows of an image, in CIELAB.

    Parameters
    ----------
    lab : (h, W, 3) float32
        Lightness from 0 to 100, and the two colour axes.
    first : int
        Index of the first row in the image.
    height : int
        Height of the image in pixels.
    bands : (h, W, B) array
        All bands of the image.
    """

    lab: Plane
    first: int
    height: int
    bands: NDArray[Any]


def to_lab(unit: Plane) -> Plane:
    """Convert sRGB (H, W, 3) from 0 to 1, or grey (H, W), to CIELAB (H, W, 3).

    Examples
    --------
    White has lightness 100 and no colour.

    >>> to_lab(np.ones((1, 1, 3), dtype=np.float32)).round(2) + 0
    array([[[100.,   0.,   0.]]], dtype=float32)
    """
    colour = extra("skimage.color", "scikit-image")
    grey = unit.ndim == 2
    lab = colour.rgb2lab(np.stack([unit] * 3, axis=-1) if grey else unit)
    if grey:
        lab[..., 1:] = 0.0
    return np.asarray(lab, dtype=np.float32)


def _colours(strip: Strip, _: float) -> tuple[Plane, ...]:
    return tuple(strip.lab[:, :, i] for i in range(3))


def _bands(strip: Strip, _: float) -> tuple[Plane, ...]:
    """All bands, in their own units."""
    return tuple(strip.bands[:, :, i].astype(np.float32) for i in range(strip.bands.shape[2]))


def _place(strip: Strip, _: float) -> tuple[Plane, ...]:
    """Row and column, as fractions of the longer side."""
    rows, columns = strip.lab.shape[:2]
    longest = max(strip.height, columns)
    row = (np.arange(rows, dtype=np.float32) + strip.first) / longest
    column = np.arange(columns, dtype=np.float32) / longest
    return np.repeat(row[:, None], columns, axis=1), np.repeat(column[None], rows, axis=0)


def _contrast(strip: Strip, scale: float) -> tuple[Plane, ...]:
    """Logarithm of the standard deviation of lightness in a Gaussian window."""
    blur = extra("skimage.filters", "scikit-image").gaussian
    light = strip.lab[:, :, 0] - np.float32(50)  # centred, because single precision loses digits of large squares
    mean, square = (blur(v, scale, mode="nearest", truncate=TAIL, preserve_range=True) for v in (light, light**2))
    return (np.log(np.float32(FLOOR) + np.sqrt(np.maximum(square - mean**2, 0))),)


def _directions(strip: Strip, scale: float) -> tuple[Plane, ...]:
    r"""Orientation of lines by the structure tensor: :math:`(J_{rr} - J_{cc}, 2 J_{rc}) / (1 + \mathrm{tr} J)`.

    These are points of the unit disc; the centre means no direction. A rotation by 180 degrees changes nothing.
    """
    tensor = extra("skimage.feature", "scikit-image").structure_tensor
    rr, rc, cc = tensor(strip.lab[:, :, 0], sigma=scale, mode="nearest", order="rc")
    total = rr + cc + 1
    return ((rr - cc) / total).astype(np.float32), (2 * rc / total).astype(np.float32)


Filter = Callable[[Strip, float], tuple[Plane, ...]]
PLAIN: dict[str, tuple[Filter, int]] = {
    "lightness": (_colours, 0),
    "green_red": (_colours, 1),
    "blue_yellow": (_colours, 2),
    "row": (_place, 0),
    "column": (_place, 1),
}
WINDOWED: dict[str, tuple[Filter, int]] = {  # names end in the standard deviation of the window in pixels
    "contrast": (_contrast, 0),
    "horizontal": (_directions, 0),
    "diagonal": (_directions, 1),
}


def feature_names(features: str | Sequence[str]) -> list[str]:
    """List the features of groups and single names; a number at the end is the window's standard deviation in pixels.

    Raises
    ------
    DataError
        If ``features`` is empty.
    DeclarationError
        If a feature is unknown, or a window's standard deviation is not positive.

    Examples
    --------
    >>> feature_names(["colour", "contrast_8"])
    ['lightness', 'green_red', 'blue_yellow', 'contrast_8']
    >>> len(feature_names(["colour", "place"]))
    5
    """
    requested = list(features) if isinstance(features, Iterable) and not isinstance(features, str) else [features]
    if not requested:
        raise DataError("features=[]: name at least one, for example 'colour'")
    known = {**GROUPS, **{name: (name,) for name in (*PLAIN, *(f"{kind}_3" for kind in WINDOWED))}}
    names = [
        name
        for one in requested
        for name in ((one,) if _window(one) or band_of(one) else choose(one, known, "features"))
    ]
    return [*dict.fromkeys(names)]


def image_features(image: InputImage, features: str | Sequence[str] | None) -> list[str]:
    """List the features to compute for an image: by default its bands of measured values, or else its colour.

    Raises
    ------
    DataError
        If the image does not have a band.

    Examples
    --------
    >>> from bayesgmm.apps.images.image_input import read_image
    >>> image_features(read_image(np.zeros((2, 2, 5))), None)
    ['band_1', 'band_2', 'band_3', 'band_4', 'band_5']
    >>> image_features(read_image(np.zeros((2, 2))), "band_2")
    Traceback (most recent call last):
        ...
    bayesgmm.errors.DataError: there is no 'band_2': the image has 1 band
      Give 'band_1', or other features.
    """
    count = image.bands.shape[2]
    bands = [f"band_{i + 1}" for i in range(count)]
    if features is None:
        features = "colour" if image.measured is None else bands
    names = feature_names(features)
    if missing := [name for name in names if band_of(name) and name not in bands]:
        known = repr(bands[0]) if count == 1 else f"{bands[0]!r} to {bands[-1]!r}"
        raise DataError(
            f"there is no {listing(missing)}: the image has {plural(count, 'band')}\n  Give {known}, or other features."
        )
    return names


def band_of(name: object) -> int | None:
    """Return the number of a band, from 1, of a feature such as ``band_4``; None for others."""
    match = re.fullmatch(r"band_([1-9]\d*)", str(name))
    return int(match[1]) if match else None


def _window(name: object) -> tuple[str, float] | None:
    """Split the name of a windowed feature into its kind and the window's standard deviation; None for others."""
    match = re.fullmatch(r"([a-z]+)_(\d+(?:\.\d+)?)", str(name))
    return (match[1], positive(match[0], float(match[2]))) if match and match[1] in WINDOWED else None


def _filter_of(name: str) -> tuple[Filter, int, float]:
    """Return the filter of a feature, the index of its plane, and the window's standard deviation (0 for none)."""
    if (band := band_of(name)) is not None:
        return _bands, band - 1, 0.0
    window = _window(name)
    return (*PLAIN[name], 0.0) if window is None else (*WINDOWED[window[0]], window[1])


def reach(names: Sequence[str]) -> int:
    """Number of rows above and below that a pixel's features depend on."""
    widest = max(_filter_of(name)[2] for name in names)
    return int(np.ceil(TAIL * widest)) + 2 if widest else 0


def lab_rows(image: InputImage, start: int, stop: int) -> Strip:
    """Convert rows of an image to CIELAB, clipped at its ends."""
    height = image.size[0]
    first, last = max(start, 0), min(stop, height)
    rows = slice(first, last)
    return Strip(to_lab(image.unit(rows)), first, height, image.bands[rows])


def pixel_features(image: InputImage, names: Sequence[str], start: int, stop: int) -> tuple[Plane, Plane]:
    """Compute the features of some rows of an image.

    They equal those of the whole image, because the rows that the windows need are read too.

    Parameters
    ----------
    image : InputImage
    names : sequence of str
        D single features.
    start, stop : int
        Rows.

    Returns
    -------
    features : (stop - start, W, D) float32
    lab : (stop - start, W, 3) float32
        CIELAB colours.
    """
    margin = reach(names)
    strip = lab_rows(image, start - margin, stop + margin)
    own = slice(start - strip.first, stop - strip.first)
    planes: dict[tuple[Filter, float], tuple[Plane, ...]] = {}
    out = np.empty((stop - start, image.size[1], len(names)), dtype=np.float32)
    for i, name in enumerate(names):
        apply, plane, scale = _filter_of(name)
        if (apply, scale) not in planes:
            planes[apply, scale] = apply(strip, scale)
        out[:, :, i] = planes[apply, scale][plane][own]
    return out, strip.lab[own]
