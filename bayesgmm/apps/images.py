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
        return part.astype(np.float32) / np.float32(_full(part.dtype) or 1)

    def bytes(self, step: int = 1) -> NDArray[np.uint8]:
        """(H, W, 3) in the 8 bits that screens show, every so many pixels."""
        part = self.values[::step, ::step]
        if part.dtype != np.uint8:
            part = np.round(part * np.float32(255 / (_full(part.dtype) or 1))).astype(np.uint8)
        return part if part.ndim == 3 else np.repeat(part[:, :, None], 3, axis=2)


def _full(kind: np.dtype[Any]) -> float | None:
    return FULL.get(kind.kind) if kind.kind in "bf" else FULL.get(kind.str[1:])


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
    if isinstance(image, str | Path) or hasattr(image, "read"):
        return _read(image)
    if hasattr(image, "getbands"):
        return _from_pillow(image, "the image")
    return _from_array(np.asarray(image), "the image")


def _from_array(values: NDArray[Any], what: str) -> Picture:
    if values.ndim not in (2, 3) or (values.ndim == 3 and values.shape[2] > 4) or 0 in values.shape:
        raise DataError(f"{what} has shape {values.shape}\n  {HOW}")
    if _full(values.dtype) is None:
        raise DataError(f"{what} holds {values.dtype}; give uint8, uint16, bool, or floats from 0 to 1")
    if values.dtype.kind == "f":
        values = _checked_floats(values, what)
    channels = 1 if values.ndim == 2 else values.shape[2]
    alpha = values[:, :, -1] > 0 if channels in (2, 4) else None
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
    except Exception as error:  # every format has its own family of errors
        tiff = _tiff(source, name)
        if tiff is not None:
            return tiff
        raise DataError(f"{name} can't be read as a picture: it is damaged, or something else ({error})") from error


def _opened(source: Any, name: str) -> Picture:
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of unusual tags; and of pictures that would be too large to be held whole
        with Image.open(source) as image:
            return _from_pillow(image, name)


def _tiff(source: Any, name: str) -> Picture | None:
    """Kinds of TIFF that Pillow does not know: colours as floats, for one."""
    if not isinstance(source, str | Path) or Path(source).suffix.lower() not in {".tif", ".tiff"}:
        return None
    try:
        values = extra("tifffile", "tifffile").imread(source)
        if values.size == 0:
            raise ValueError("it holds no page")
    except Exception as error:  # every compression has its own family of errors
        raise DataError(f"{name} can't be read as a picture: it is damaged, or something else ({error})") from error
    return _from_array(values, name)


def _from_pillow(image: "Image", name: str) -> Picture:
    from PIL import ImageOps

    frames, kind = getattr(image, "n_frames", 1), image.format
    image.load()
    upright = ImageOps.exif_transpose(image)
    picture = _from_array(_plain(upright), name)
    if frames > 1 and kind != "MPO":  # cameras write MPO: a photograph, and small copies of it
        picture = replace(picture, notes=(f"{name} has {frames} frames; this is the first",))
    return picture


def _plain(image: "Image") -> NDArray[Any]:
    """The numbers of a PIL image, of a kind that we know."""
    if image.mode in {"L", "RGB", "RGBA", "LA", "F"} and "transparency" not in image.info:
        return np.asarray(image)
    if image.mode.startswith("I"):  # grey of 16 bits; PNG once came as 32
        values = np.asarray(image)
        if values.min() < 0 or values.max() > FULL["u2"]:
            raise DataError(f"the picture's grey goes from {values.min()} to {values.max()}; 16 bits end at 65535")
        return values.astype(np.uint16)
    has_alpha = "transparency" in image.info or image.mode in {"PA", "La", "RGBa"}
    return np.asarray(image.convert("RGBA" if has_alpha else "RGB"))
