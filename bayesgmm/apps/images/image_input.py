"""Input validation of images: files and arrays of the usual kinds become an ``InputImage``."""

import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from types import EllipsisType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bayesgmm.apps.extras import extra
from bayesgmm.errors import DataError
from bayesgmm.memory import require_memory

if TYPE_CHECKING:
    from PIL.Image import Image

SHAPES = "Give (height, width), or (height, width, 3) for colour; with 2 or 4 channels the last is alpha."
BITS, PHOTOMETRIC, PLANES = 258, 262, 284  # TIFF tags
Where = EllipsisType | slice | tuple[slice | NDArray, ...]
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
    """

    values: NDArray
    visible: NDArray[np.bool_] | None = None
    notes: tuple[str, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.values.shape[0], self.values.shape[1]

    @property
    def is_grey(self) -> bool:
        """True if there is one channel; three equal channels are read as one."""
        return self.values.ndim == 2

    def unit(self, where: Where = ...) -> NDArray[np.float32]:
        """Return a part of the image as numbers from 0 to 1: (..., 3), or (...) for grey."""
        part = self.values[where]
        return part.astype(np.float32) / np.float32(_full(part.dtype))

    def bytes(self) -> NDArray[np.uint8]:
        """Return the image (H, W, 3) as 8-bit sRGB."""
        values = self.values
        if values.dtype != np.uint8:
            values = np.round(values * np.float32(255 / _full(values.dtype))).astype(np.uint8)
        return values if values.ndim == 3 else np.repeat(values[:, :, None], 3, axis=2)


def _full(kind: np.dtype) -> float:
    """Return the value of white for a data type; NaN if unknown."""
    return FULL.get(kind.kind if kind.kind in "bf" else kind.str[1:], np.nan)


def read_image(image: object) -> InputImage:
    """Read and validate an image.

    Parameters
    ----------
    image : path, open file, PIL image, or array
        An array is (H, W), or (H, W, channels) with grey, grey and alpha, sRGB, or sRGB and alpha; of uint8, uint16,
        bool, or floats from 0 to 1. A file may have any format of Pillow or tifffile. The EXIF orientation is applied,
        the first frame of an animation is used, and 16-bit colours have 8 bits where Pillow reads them.

    Raises
    ------
    DataError
        If it is not an image, or the file is missing or damaged.

    Examples
    --------
    >>> read_image(np.array([[0, 255], [255, 0]], dtype=np.uint8)).size
    (2, 2)
    >>> read_image(np.array([[0.0, 255.0]]))
    Traceback (most recent call last):
        ...
    bayesgmm.errors.DataError: the image has values from 0 to 255; floats go from 0 (black) to 1 (white)
      Divide by the largest possible value, or give uint8 or uint16.
    """
    if isinstance(image, InputImage):
        return image
    if isinstance(image, str | Path) or hasattr(image, "read") or hasattr(image, "getbands"):
        return _read(image)
    if np.ma.is_masked(image):
        raise DataError("the image has masked pixels\n  Fill them, or make them transparent.")
    try:
        values = np.asarray(image)
    except ValueError as error:
        raise DataError(f"the image is not an array ({error})\n  {SHAPES}") from None
    return _from_array(values, "the image")


def _from_array(values: NDArray, what: str) -> InputImage:
    """Validate an array and separate colour from alpha.

    Raises
    ------
    DataError
        If it is not an image, or its values are invalid.
    """
    if values.ndim not in (2, 3) or (values.ndim == 3 and values.shape[2] > 4) or 0 in values.shape:
        raise DataError(f"{what} has shape {values.shape}\n  {SHAPES}")
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


def _checked_floats(values: NDArray, what: str) -> NDArray[np.float32]:
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
    from scipy.ndimage import distance_transform_edt

    rows, columns = distance_transform_edt(~alpha, return_distances=False, return_indices=True)
    return replace(image, values=image.values[rows, columns], visible=alpha)


def _read(source: object) -> InputImage:
    """Read a file or a PIL image.

    Raises
    ------
    DataError
        If the file is missing, damaged or not an image.
    """
    if isinstance(source, str | Path):
        if not Path(source).exists():
            raise DataError(f"there is no file {source}")
        if not Path(source).is_file():
            raise DataError(f"{source} is not a file; give the path of one image")
    name = str(source if isinstance(source, str | Path) else getattr(source, "name", None) or "the image")
    try:
        return _opened(source, name)
    except DataError:
        raise
    except Exception as error:  # each format and compression raises errors of its own
        raise DataError(f"{name} can't be read as an image: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    from PIL import Image

    if isinstance(error, PermissionError):
        return "permission denied"
    if isinstance(error, Image.DecompressionBombError):
        return f"it has too many pixels to read safely\n  {error}\n  Make it smaller, or give an array."
    return f"it is damaged or has an unknown format ({error})"


def _opened(source: Any, name: str) -> InputImage:
    """Read with Pillow, or with tifffile the kinds of TIFF that Pillow can't read or misreads (float colours)."""
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about unusual tags, and images close to Pillow's size limit
        if hasattr(source, "getbands"):
            return _from_pillow(source, name)
        try:
            with Image.open(source) as image:
                if not _has_deep_planes(image):
                    return _from_pillow(image, name)
        except OSError:
            if not name.lower().endswith((".tif", ".tiff")):
                raise
        return _from_tiff(source, name)


def _has_deep_planes(image: "Image") -> bool:
    """Check for separate planes of more than 8 bits, which Pillow reads as 8 bits."""
    tags = getattr(image, "tag_v2", {})
    return tags.get(PLANES) == 2 and max(tags.get(BITS, (8,))) > 8


def _from_tiff(source: object, name: str) -> InputImage:
    """Read a TIFF file with tifffile.

    Raises
    ------
    DataError
        If it is neither grey nor RGB.
    """
    if hasattr(source, "seek"):
        source.seek(0)
    with extra("tifffile", "tifffile").TiffFile(source) as file:
        page, frames = file.pages[0], len(file.pages)
        require_memory(2 * page.nbytes, name, DataError)
        values = page.asarray()
        if page.photometric not in (1, 2):
            raise DataError(
                f"{name} is a TIFF of an unsupported kind ({page.photometric.name}); save it as RGB or grey"
            )
    if page.axes.startswith("S"):
        values = np.moveaxis(values, 0, -1)
    return _of_frames(_from_array(values, name), frames, name)


def _from_pillow(image: "Image", name: str) -> InputImage:
    from PIL import ImageOps

    frames, kind = getattr(image, "n_frames", 1), image.format
    image.load()
    read = _from_array(_as_array(image, ImageOps.exif_transpose(image), name), name)
    return _of_frames(read, 1 if kind == "MPO" else frames, name)  # MPO: a photograph and smaller copies


def _of_frames(image: InputImage, frames: int, name: str) -> InputImage:
    return image if frames == 1 else replace(image, notes=(f"{name} has {frames} frames; the first is used",))


def _as_array(source: "Image", upright: "Image", name: str) -> NDArray:
    """Convert a PIL image to an array of a supported kind."""
    hidden = upright.info.get("transparency")
    if upright.mode in {"L", "RGB", "RGBA", "LA", "F"} and hidden is None:
        return np.asarray(upright)
    if upright.mode.startswith("I"):
        return _grey_16(source, np.asarray(upright), name)
    if upright.mode == "La":
        return np.asarray(upright.convert("LA"))
    has_alpha = hidden is not None or upright.mode in {"PA", "RGBa"}
    return np.asarray(upright.convert("RGBA" if has_alpha else "RGB"))


def _grey_16(source: "Image", values: NDArray, name: str) -> NDArray:
    """Return 16-bit grey values, where 65535 is white.

    Raises
    ------
    DataError
        If the values have 32 bits or a sign.
    """
    if source.mode == "I" and source.format not in {"PNG", "PPM"}:  # Pillow returns, or returned, their 16 bits as 32
        raise DataError(
            f"{name} holds 32-bit or signed grey values, so the value of white is unknown\n"
            "  Give uint8 or uint16, or an array of floats from 0 (black) to 1 (white)."
        )
    values = values.astype(np.uint16)
    if getattr(source, "tag_v2", {}).get(PHOTOMETRIC) == 0:  # zero is white: Pillow inverts 8 bits, but not 16
        values = np.uint16(FULL["u2"]) - values
    hidden = source.info.get("transparency")
    return values if hidden is None else np.dstack([values, np.where(values == hidden, 0, 1).astype(np.uint16)])
