"""What a mixture sees of a pixel: colour, texture, direction, place; a strip of the picture at a time."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayesgmm.apps.extras import extra
from bayesgmm.apps.images.pictures import Picture
from bayesgmm.declared import positive
from bayesgmm.errors import DataError, choose

Plane = NDArray[np.float32]
GROUPS = {
    "colour": ("lightness", "green_red", "blue_yellow"),
    "texture": ("contrast_2", "contrast_6"),
    "direction": ("horizontal_3", "diagonal_3"),
    "place": ("row", "column"),
}
TAIL = 4.0  # standard deviations after which a window ends
FLOOR = 0.5  # of lightness: what 8 bits can't tell apart is no texture
LEAST_RANGE = 1e-3  # a feature that varies by less than this doesn't vary


@dataclass(frozen=True)
class Strip:
    """Some rows of a picture, in CIELAB.

    Parameters
    ----------
    lab : (h, W, 3) float32
        Lightness from 0 to 100, and the two axes of colour.
    first : int
        Which row of the picture is the first.
    height : int
        Of the picture.
    """

    lab: Plane
    first: int
    height: int


def to_lab(unit: Plane) -> Plane:
    """CIELAB (H, W, 3) of sRGB (H, W, 3) from 0 to 1; grey (H, W) is taken for three equal channels.

    Examples
    --------
    White has lightness 100, and no colour.

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


def _place(strip: Strip, _: float) -> tuple[Plane, ...]:
    """Row and column, as shares of the longer side."""
    rows, columns = strip.lab.shape[:2]
    longest = max(strip.height, columns)
    row = (np.arange(rows, dtype=np.float32) + strip.first) / longest
    column = np.arange(columns, dtype=np.float32) / longest
    return np.repeat(row[:, None], columns, axis=1), np.repeat(column[None], rows, axis=0)


def _contrast(strip: Strip, scale: float) -> tuple[Plane, ...]:
    """Logarithm of the standard deviation of lightness in a Gaussian window."""
    blur = extra("skimage.filters", "scikit-image").gaussian
    light = strip.lab[:, :, 0] - np.float32(50)  # about the middle: single precision loses less of the squares
    mean, square = (blur(v, scale, mode="nearest", truncate=TAIL, preserve_range=True) for v in (light, light**2))
    return (np.log(np.float32(FLOOR) + np.sqrt(np.maximum(square - mean**2, 0))),)


def _directions(strip: Strip, scale: float) -> tuple[Plane, ...]:
    r"""Which way lightness changes, by a structure tensor: :math:`(J_{rr} - J_{cc}, 2 J_{rc}) / (1 + \mathrm{tr} J)`.

    Points of a disc: its middle is no direction, and lines turned by 180 degrees are the same lines.
    """
    tensor = extra("skimage.feature", "scikit-image").structure_tensor
    rr, rc, cc = tensor(strip.lab[:, :, 0], sigma=scale, mode="nearest", order="rc")
    total = rr + cc + 1
    return ((rr - cc) / total).astype(np.float32), (2 * rc / total).astype(np.float32)


Maker = Callable[[Strip, float], tuple[Plane, ...]]
PLAIN: dict[str, tuple[Maker, int]] = {
    "lightness": (_colours, 0),
    "green_red": (_colours, 1),
    "blue_yellow": (_colours, 2),
    "row": (_place, 0),
    "column": (_place, 1),
}
WINDOWED: dict[str, tuple[Maker, int]] = {  # their names end in the standard deviation of the window, in pixels
    "contrast": (_contrast, 0),
    "horizontal": (_directions, 0),
    "diagonal": (_directions, 1),
}


def feature_names(features: str | Sequence[str]) -> list[str]:
    """Single features of groups and of names; a number at the end is the window's standard deviation in pixels.

    Examples
    --------
    >>> feature_names(["colour", "contrast_8"])
    ['lightness', 'green_red', 'blue_yellow', 'contrast_8']
    >>> len(feature_names(["colour", "place"]))
    5
    """
    given = list(features) if isinstance(features, Iterable) and not isinstance(features, str) else [features]
    if not given:
        raise DataError("features=[]: name at least one, for example 'colour'")
    known = {**GROUPS, **{name: (name,) for name in (*PLAIN, *(f"{kind}_3" for kind in WINDOWED))}}
    names = [name for one in given for name in ((one,) if _window(one) else choose(one, known, "features"))]
    return [*dict.fromkeys(names)]


def _window(name: object) -> tuple[str, float] | None:
    """The kind of a feature that has a window, and the window's standard deviation."""
    found = re.fullmatch(r"([a-z]+)_(\d+(?:\.\d+)?)", str(name))
    return (found[1], positive(found[0], float(found[2]))) if found and found[1] in WINDOWED else None


def _made(name: str) -> tuple[Maker, int, float]:
    """What makes a feature, which of its planes it is, and the standard deviation of its window; 0 without one."""
    window = _window(name)
    return (*PLAIN[name], 0.0) if window is None else (*WINDOWED[window[0]], window[1])


def reach(names: Sequence[str]) -> int:
    """How many rows beyond its own a pixel's features look at."""
    widest = max(_made(name)[2] for name in names)
    return int(np.ceil(TAIL * widest)) + 2 if widest else 0


def lab_rows(picture: Picture, start: int, stop: int) -> Strip:
    """Rows of a picture in CIELAB; those beyond its ends are left out."""
    height = picture.size[0]
    first, last = max(start, 0), min(stop, height)
    return Strip(to_lab(picture.unit(slice(first, last))), first, height)


def pixel_features(picture: Picture, names: Sequence[str], start: int, stop: int) -> tuple[Plane, Plane]:
    """Features (stop - start, W, D) of some rows of a picture, and their colours in CIELAB (stop - start, W, 3).

    They are those of the whole picture: as many rows beyond as windows need are looked at.
    """
    more = reach(names)
    strip = lab_rows(picture, start - more, stop + more)
    own = slice(start - strip.first, stop - strip.first)
    planes: dict[tuple[Maker, float], tuple[Plane, ...]] = {}
    out = np.empty((stop - start, picture.size[1], len(names)), dtype=np.float32)
    for i, name in enumerate(names):
        maker, which, scale = _made(name)
        if (maker, scale) not in planes:
            planes[maker, scale] = maker(strip, scale)
        out[:, :, i] = planes[maker, scale][which][own]
    return out, strip.lab[own]
