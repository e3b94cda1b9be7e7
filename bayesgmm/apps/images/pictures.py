"""Pictures at the door: files and arrays of any usual kind become one checked thing."""

import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bayesgmm.apps.extras import extra
from bayesgmm.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

HOW = "Give (height, width), or (height, width, 3) for colour; 2 and 4 channels have alpha in the last."
BITS, PHOTOMETRIC, PLANES = 258, 262, 284  # tags of TIFF
FULL = {"b": 1, "u1": 255, "u2": 65535, "f": 1.0}  # what is white, by kind of number


@dataclass(frozen=True)
class Picture:
    """A checked picture, in the numbers that it came in.

    Parameters
    ----------
    values : (H, W) or (H, W, 3) array
        Grey or sRGB, of uint8, uint16 or float32 in [0, 1]. Where nothing is seen, the nearest colour that is.
    visible : (H, W) bool, optional
        False where alpha is zero; None when all of it is seen.
    notes : tuple of str
        What was made of the file that one may want to know.
    """

    values: NDArray[Any]
    visible: NDArray[np.bool_] | None = None
    notes: tuple[str, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.values.shape[0], self.values.shape[1]

    @property
    def is_grey(self) -> bool:
        """Whether there is one channel, or three that are the same."""
        return self.values.ndim == 2

    def unit(self, where: Any = ...) -> NDArray[np.float32]:
        """A part of the picture as numbers from 0 to 1: (..., 3), or (...) where it is grey."""
        part = self.values[where]
        return part.astype(np.float32) / np.float32(_full(part.dtype))

    def bytes(self) -> NDArray[np.uint8]:
        """(H, W, 3) in the 8 bits that screens show."""
        values = self.values
        if values.dtype != np.uint8:
            values = np.round(values * np.float32(255 / _full(values.dtype))).astype(np.uint8)
        return values if values.ndim == 3 else np.repeat(values[:, :, None], 3, axis=2)


def _full(kind: np.dtype[Any]) -> float:
    """What is white; nan where nothing says so."""
    return FULL.get(kind.kind if kind.kind in "bf" else kind.str[1:], np.nan)


def as_picture(image: Any) -> Picture:
    """Read and check a picture.

    Parameters
    ----------
    image : path, open file, PIL image, or array
        Arrays are (H, W), or (H, W, channels) with grey, grey and alpha, sRGB, or sRGB and alpha; numbers are uint8,
        uint16, bool, or floats from 0 to 1. Files are what Pillow or tifffile read; EXIF orientation is followed, of an
        animation the first frame is taken, and colours of 16 bits come in 8 where Pillow reads them.

    Raises
    ------
    DataError
        For what is not a picture, and for a file that is missing or damaged.

    Examples
    --------
    >>> as_picture(np.array([[0, 255], [255, 0]], dtype=np.uint8)).size
    (2, 2)
    >>> as_picture(np.array([[0.0, 255.0]]))
    Traceback (most recent call last):
        ...
    bayesgmm.errors.DataError: the image has values from 0 to 255; floats go from 0 (black) to 1 (white)
      Divide by the largest value that there can be, or give uint8 or uint16.
    """
    if isinstance(image, Picture):
        return image
    if isinstance(image, str | Path) or hasattr(image, "read") or hasattr(image, "getbands"):
        return _read(image)
    if np.ma.is_masked(image):
        raise DataError("the image has pixels that are masked\n  Fill them, or make them transparent.")
    try:
        values = np.asarray(image)
    except ValueError as error:
        raise DataError(f"the image is no array ({error})\n  {HOW}") from None
    return _from_array(values, "the image")


def _from_array(values: NDArray[Any], what: str) -> Picture:
    if values.ndim not in (2, 3) or (values.ndim == 3 and values.shape[2] > 4) or 0 in values.shape:
        raise DataError(f"{what} has shape {values.shape}\n  {HOW}")
    if np.isnan(_full(values.dtype)):
        raise DataError(f"{what} holds {values.dtype}; give uint8, uint16, bool, or floats from 0 to 1")
    channels = 1 if values.ndim == 2 else values.shape[2]
    alpha = values[:, :, -1] > 0 if channels in (2, 4) else None
    if values.dtype.kind == "f":
        if alpha is not None:  # a colour that nobody sees may be missing
            values = np.where(values[:, :, -1:] == 0, 0, values)
        values = _checked_floats(values, what)
    if channels < 3:
        colour = values if values.ndim == 2 else values[:, :, 0]
    else:
        colour = values[:, :, :3]
        if all((colour[:, :, 0] == colour[:, :, i]).all() for i in (1, 2)):
            colour = colour[:, :, 0]
    return _filled(Picture(np.ascontiguousarray(colour)), alpha, what)


def _checked_floats(values: NDArray[Any], what: str) -> NDArray[np.float32]:
    low, high = float(values.min()), float(values.max())
    if not np.isfinite([low, high]).all():
        raise DataError(f"{what} has pixels that are missing or infinite\n  Fill them, or make them transparent.")
    if low < 0 or high > 1:
        raise DataError(
            f"{what} has values from {low:g} to {high:g}; floats go from 0 (black) to 1 (white)\n"
            "  Divide by the largest value that there can be, or give uint8 or uint16."
        )
    return values.astype(np.float32, copy=False)


def _filled(picture: Picture, alpha: NDArray[np.bool_] | None, what: str) -> Picture:
    """What is not seen takes the nearest colour that is, so that it lends no edge and no texture to its neighbours."""
    if alpha is None or alpha.all():
        return picture
    if not alpha.any():
        raise DataError(f"{what} is transparent everywhere: there is nothing to see")
    from scipy.ndimage import distance_transform_edt

    rows, columns = distance_transform_edt(~alpha, return_distances=False, return_indices=True)
    return replace(picture, values=picture.values[rows, columns], visible=alpha)


def _read(source: Any) -> Picture:
    if isinstance(source, str | Path):
        if not Path(source).exists():
            raise DataError(f"there is no file {source}")
        if not Path(source).is_file():
            raise DataError(f"{source} is not a file; give the path of one picture")
    name = str(source if isinstance(source, str | Path) else getattr(source, "name", None) or "the image")
    try:
        return _opened(source, name)
    except DataError:
        raise
    except Exception as error:  # every format and every compression has its own family of errors
        raise DataError(f"{name} can't be read as a picture: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    from PIL import Image

    if isinstance(error, PermissionError):
        return "permission denied"
    if isinstance(error, Image.DecompressionBombError):
        return f"it has more pixels than are safe to read\n  {error}\n  Make it smaller, or give an array."
    return f"it is damaged, or something else ({error})"


def _opened(source: Any, name: str) -> Picture:
    """What Pillow reads, and those kinds of TIFF that it does not know (colours as floats, for one), or gets wrong."""
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of unusual tags; and of pictures that would be too large to be held whole
        if hasattr(source, "getbands"):
            return _from_pillow(source, name)
        try:
            with Image.open(source) as image:
                if not _in_deep_planes(image):
                    return _from_pillow(image, name)
        except OSError:
            if not name.lower().endswith((".tif", ".tiff")):
                raise
        return _from_tiff(source, name)


def _in_deep_planes(image: "Image") -> bool:
    """Whether colours of more than 8 bits lie one behind the other: Pillow takes them for 8 bits."""
    tags = getattr(image, "tag_v2", {})
    return tags.get(PLANES) == 2 and max(tags.get(BITS, (8,))) > 8


def _from_tiff(source: Any, name: str) -> Picture:
    if hasattr(source, "seek"):
        source.seek(0)
    with extra("tifffile", "tifffile").TiffFile(source) as file:
        page, frames = file.pages[0], len(file.pages)
        values = page.asarray()
        if page.photometric not in (1, 2):
            raise DataError(f"{name} is a TIFF of an unusual kind ({page.photometric.name}); save it as RGB or grey")
    if page.axes.startswith("S"):
        values = np.moveaxis(values, 0, -1)
    return _of_frames(_from_array(values, name), frames, name)


def _from_pillow(image: "Image", name: str) -> Picture:
    from PIL import ImageOps

    frames, kind = getattr(image, "n_frames", 1), image.format
    image.load()
    picture = _from_array(_plain(image, ImageOps.exif_transpose(image), name), name)
    return _of_frames(picture, 1 if kind == "MPO" else frames, name)  # a camera's MPO: a photograph and small copies


def _of_frames(picture: Picture, frames: int, name: str) -> Picture:
    return picture if frames == 1 else replace(picture, notes=(f"{name} has {frames} frames; this is the first",))


def _plain(source: "Image", upright: "Image", name: str) -> NDArray[Any]:
    """The numbers of a PIL image, of a kind that we know."""
    hidden = upright.info.get("transparency")
    if upright.mode in {"L", "RGB", "RGBA", "LA", "F"} and hidden is None:
        return np.asarray(upright)
    if upright.mode.startswith("I"):
        return _grey_16(source, np.asarray(upright), name)
    if upright.mode == "La":
        return np.asarray(upright.convert("LA"))
    has_alpha = hidden is not None or upright.mode in {"PA", "RGBa"}
    return np.asarray(upright.convert("RGBA" if has_alpha else "RGB"))


def _grey_16(source: "Image", values: NDArray[Any], name: str) -> NDArray[Any]:
    """Grey of 16 bits, as it is meant to be seen."""
    if source.mode == "I" and source.format not in {"PNG", "PPM"}:  # their 16 bits come, or once came, as 32
        raise DataError(
            f"{name} holds grey of 32 bits, or with a sign, and nothing says which number is white\n"
            "  Give uint8 or uint16, or an array of floats from 0 (black) to 1 (white)."
        )
    values = values.astype(np.uint16)
    if getattr(source, "tag_v2", {}).get(PHOTOMETRIC) == 0:  # white is zero: Pillow turns 8 bits around, but not 16
        values = np.uint16(FULL["u2"]) - values
    hidden = source.info.get("transparency")
    return values if hidden is None else np.dstack([values, np.where(values == hidden, 0, 1).astype(np.uint16)])
