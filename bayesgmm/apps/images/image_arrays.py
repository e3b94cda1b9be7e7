"""Images as arrays: colour, grey, alpha and bands of measured values, validated."""

from dataclasses import dataclass, replace
from types import EllipsisType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayesgmm.errors import DataError
from bayesgmm.wording import plural

SHAPES = (
    "Give (height, width), or (height, width, 3) for colour; with 2 or 4 channels the last is alpha; "
    "5 to 64 channels are bands."
)
MAX_BANDS = 64
Where = EllipsisType | slice | tuple[slice | NDArray[Any], ...]
DARK = 4  # deep values that use at most this part (1 / DARK) of the range are scaled to be shown
PERCENTILES = (1, 99)
MIN_SPAN = 1e-12
FULL = {"b": 1, "u1": 255, "u2": 65535, "f": 1.0}  # the value of white, by data type


@dataclass(frozen=True)
class InputImage:
    """Validated image, in its original data type.

    Parameters
    ----------
    values : (H, W) or (H, W, 3) uint8, uint16 or float32
        Grey or sRGB; floats from 0 to 1. Transparent pixels have the colour of the nearest visible one.
    visible : (H, W) bool, optional
        False where alpha is zero; None if all pixels are visible.
    notes : tuple of str
        Remarks about how the file was read.
    measured : (H, W, B) array, optional
        Bands of measured values in their own units, such as those of a satellite or a CT scan; ``values`` then shows
        the first three (or the first), scaled by percentiles.
    pages : int
        Number of pages or frames of the file.
    """

    values: NDArray[Any]
    visible: NDArray[np.bool_] | None = None
    notes: tuple[str, ...] = ()
    measured: NDArray[Any] | None = None
    pages: int = 1

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.values.shape[0], self.values.shape[1]

    @property
    def is_grey(self) -> bool:
        """True if there is one channel; three equal channels are read as one."""
        return self.values.ndim == 2

    @property
    def bands(self) -> NDArray[Any]:
        """All bands (H, W, B): measured values, or grey or red, green and blue."""
        held = self.values if self.measured is None else self.measured
        return held if held.ndim == 3 else held[:, :, None]

    def unit(self, where: Where = ...) -> NDArray[np.float32]:
        """Return a part of the image as numbers from 0 to 1: (..., 3), or (...) for grey."""
        part = self.values[where]
        return part.astype(np.float32) / np.float32(_full(part.dtype))

    def bytes(self) -> NDArray[np.uint8]:
        """Return the image (H, W, 3) as 8-bit sRGB; scaled by percentiles if deep values use a small part of the range.

        12-bit values that are stored in 16 bits would be nearly black.
        """
        values = self.values
        if values.dtype.kind == "u" and values.itemsize > 1 and values.max() <= _full(values.dtype) / DARK:
            values = stretched(values)
        if values.dtype != np.uint8:
            values = np.round(values * np.float32(255 / _full(values.dtype))).astype(np.uint8)
        return values if values.ndim == 3 else np.repeat(values[:, :, None], 3, axis=2)


def _full(kind: np.dtype) -> float:
    """Return the value of white for a data type; NaN if unknown."""
    return FULL.get(kind.kind if kind.kind in "bf" else kind.str[1:], np.nan)


def from_array(values: NDArray[Any], what: str, bands: bool = False) -> InputImage:
    """Validate an array and separate colour from alpha; with ``bands``, no channel is alpha.

    Raises
    ------
    DataError
        If it is not an image, or its values are invalid.
    """
    if values.ndim not in (2, 3) or (values.ndim == 3 and values.shape[2] > MAX_BANDS) or 0 in values.shape:
        raise DataError(f"{what} has shape {values.shape}\n  {SHAPES}")
    if bands or _is_measured(values):
        return measured(values, None, what)
    if np.isnan(_full(values.dtype)):
        raise DataError(f"{what} holds {values.dtype}; give uint8, uint16, bool, or floats from 0 to 1")
    channels = 1 if values.ndim == 2 else values.shape[2]
    alpha = values[:, :, -1] > 0 if channels in (2, 4) else None
    if values.dtype.kind == "f":
        if alpha is not None:  # transparent pixels may hold any value, NaN too
            values = np.where(values[:, :, -1:] == 0, 0, values)
        values = _checked_floats(values, what)
    if channels < 3:
        colour = values if values.ndim == 2 else values[:, :, 0]
    else:
        colour = values[:, :, :3]
        if all((colour[:, :, 0] == colour[:, :, i]).all() for i in (1, 2)):
            colour = colour[:, :, 0]
    return _filled(InputImage(np.ascontiguousarray(colour)), alpha, what)


def _is_measured(values: NDArray[Any]) -> bool:
    """Check for measured values: many channels, or one with a sign or another range than that of an image."""
    if values.ndim == 3:
        return values.shape[2] > 4
    kind = values.dtype.kind
    with np.errstate(invalid="ignore"):
        out_of_range = kind == "f" and not ((values >= 0) & (values <= 1)).all()  # or NaN
    return bool(out_of_range) or kind == "i" or (kind == "u" and values.itemsize > 2)


def measured(values: NDArray[Any], alpha: NDArray[np.bool_] | None, what: str) -> InputImage:
    """Make an image of bands of measured values (H, W, B) or (H, W); a pixel with NaN is transparent: it has no data.

    Raises
    ------
    DataError
        If they are not numbers, or infinite, or all NaN.
    """
    values = values if values.ndim == 3 else values[:, :, None]
    if values.dtype.kind not in "uif":
        raise DataError(f"{what} holds {values.dtype}; bands are whole numbers or floats")
    absent = np.isnan(values).any(axis=2) if values.dtype.kind == "f" else np.zeros(values.shape[:2], bool)
    notes: tuple[str, ...] = ()
    if absent.any() and not absent.all():
        alpha = ~absent if alpha is None else alpha & ~absent
        values = _nearest(values, ~absent)
        notes = (f"{what}: {plural(int(absent.sum()), 'pixel is', 'pixels are')} without data (NaN): no label",)
    if not np.isfinite(values).all():
        raise DataError(f"{what} has infinite pixels, or none with data\n  Fill them, or make them NaN: no data.")
    shown = stretched(values[:, :, :3] if values.shape[2] > 2 else values[:, :, 0])
    return _filled(InputImage(shown, notes=notes, measured=values), alpha, what)


def stretched(values: NDArray[Any]) -> NDArray[np.float32]:
    """Scale each channel of (H, W) or (H, W, C), so that its percentiles 1 and 99 become 0 and 1.

    Examples
    --------
    >>> stretched(np.array([[-1000, 0, 1000]])).round(1)
    array([[0. , 0.5, 1. ]], dtype=float32)
    """
    step = max(1, round((values.shape[0] * values.shape[1] / 1e6) ** 0.5))
    low, high = np.percentile(values[::step, ::step], PERCENTILES, axis=(0, 1))
    scaled = (values - np.float32(low)) / np.maximum(high - low, MIN_SPAN).astype(np.float32)
    return np.clip(scaled, 0, 1).astype(np.float32)


def _checked_floats(values: NDArray[Any], what: str) -> NDArray[np.float32]:
    """Validate floats from 0 to 1.

    Raises
    ------
    DataError
        If values are missing, infinite or out of range.
    """
    low, high = float(values.min()), float(values.max())
    if not np.isfinite([low, high]).all():
        raise DataError(f"{what} has missing or infinite pixels\n  Fill them, or make them transparent.")
    if low < 0 or high > 1:
        raise DataError(
            f"{what} has values from {low:g} to {high:g}; floats go from 0 (black) to 1 (white)\n"
            "  Divide by the largest possible value, or give uint8 or uint16."
        )
    return values.astype(np.float32, copy=False)


def _filled(image: InputImage, alpha: NDArray[np.bool_] | None, what: str) -> InputImage:
    """Fill transparent pixels with the nearest visible colour, so that they add no edges and no texture.

    Raises
    ------
    DataError
        If all pixels are transparent.
    """
    if alpha is None or alpha.all():
        return image
    if not alpha.any():
        raise DataError(f"{what} is fully transparent")
    bands = None if image.measured is None else _nearest(image.measured, alpha)
    return replace(image, values=_nearest(image.values, alpha), measured=bands, visible=alpha)


def _nearest(values: NDArray[Any], known: NDArray[np.bool_]) -> NDArray[Any]:
    """Return the values, those of unknown pixels replaced by those of the nearest known ones."""
    from scipy.ndimage import distance_transform_edt

    rows, columns = distance_transform_edt(~known, return_distances=False, return_indices=True)
    return np.asarray(values[rows, columns])
