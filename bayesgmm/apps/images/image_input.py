"""Reading images: files and arrays of the usual kinds become an ``InputImage``."""

import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bayesgmm.apps.extras import extra
from bayesgmm.apps.images.image_arrays import FULL, SHAPES, InputImage, from_array, measured
from bayesgmm.declared import whole
from bayesgmm.errors import DataError
from bayesgmm.keywords import checks_keywords
from bayesgmm.memory import require_memory

if TYPE_CHECKING:
    from PIL.Image import Image

ALPHA = (1, 2)  # kinds of extra samples of a TIFF that are alpha
BITS, PHOTOMETRIC, SAMPLES, PLANES, EXTRA_SAMPLES = 258, 262, 277, 284, 338  # TIFF tags


@checks_keywords
def read_image(image: object, page: int | None = None) -> InputImage:
    """Read and validate an image.

    Parameters
    ----------
    image : path, open file, PIL image, or array
        An array is (H, W), or (H, W, channels) with grey, grey and alpha, sRGB, or sRGB and alpha; of uint8, uint16,
        bool, or floats from 0 to 1. Other numbers in (H, W), and five or more channels, are bands of measured values.
        A file may have any format of Pillow or tifffile. The EXIF orientation is applied, and 16-bit colours have 8
        bits where Pillow reads them. A TIFF with more than three channels, of which none is marked as alpha, has bands.
    page : int, optional
        Page of a file, or frame of an animation, from 1. Default: the first.

    Returns
    -------
    InputImage
        Takes the place of the image in ``fit_pixels`` and ``segment_image``.

    Raises
    ------
    DataError
        If it is not an image, or the file is missing or damaged.

    Examples
    --------
    >>> read_image(np.array([[0, 255], [255, 0]], dtype=np.uint8)).size
    (2, 2)
    >>> read_image(np.array([[-1000.0, 400.0]])).bands.min()
    np.float64(-1000.0)
    >>> read_image(np.full((1, 2, 3), 255.0))
    Traceback (most recent call last):
        ...
    bayesgmm.errors.DataError: the image has values from 255 to 255; floats go from 0 (black) to 1 (white)
      Divide by the largest possible value, or give uint8 or uint16.
    """
    if page is not None:
        whole("page", page)
    if isinstance(image, InputImage):
        return image
    if isinstance(image, str | Path) or hasattr(image, "read") or hasattr(image, "getbands"):
        return _read(image, page or 1)
    if page is not None:
        raise DataError(f"page={page}: an array has no pages\n  Give the part of the array, or a file.")
    if np.ma.is_masked(image):
        raise DataError("the image has masked pixels\n  Fill them, or make them transparent.")
    try:
        values = np.asarray(image)
    except ValueError as error:
        raise DataError(f"the image is not an array ({error})\n  {SHAPES}") from None
    return from_array(values, "the image")


def _read(source: object, page: int) -> InputImage:
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
        return _opened(source, name, page)
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


def _opened(source: Any, name: str, page: int) -> InputImage:
    """Read with Pillow, or with tifffile the kinds of TIFF that Pillow can't read or misreads.

    These are float colours, planes of more than 8 bits, and bands.
    """
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about unusual tags, and images close to Pillow's size limit
        if hasattr(source, "getbands"):
            return _from_pillow(source, name, page)
        try:
            with Image.open(source) as image:
                if not (_has_deep_planes(image) or _has_bands(image)):
                    return _from_pillow(image, name, page)
        except OSError:
            if not name.lower().endswith((".tif", ".tiff")):
                raise
        return _from_tiff(source, name, page)


def _has_deep_planes(image: "Image") -> bool:
    """Check for separate planes of more than 8 bits, which Pillow reads as 8 bits."""
    tags = getattr(image, "tag_v2", {})
    return tags.get(PLANES) == 2 and max(tags.get(BITS, (8,))) > 8


def _has_bands(image: "Image") -> bool:
    """Check for channels beside grey or RGB that are not alpha."""
    tags = getattr(image, "tag_v2", {})
    usual = {0: 1, 1: 1, 2: 3}.get(tags.get(PHOTOMETRIC, -1))  # channels of grey and RGB
    beside = tags.get(SAMPLES, 1) - usual if usual else 0
    marked = tuple(tags.get(EXTRA_SAMPLES, ()))[-1:]
    return beside > 1 or (beside == 1 and (not marked or marked[0] not in ALPHA))


def _from_tiff(source: object, name: str, page: int) -> InputImage:
    """Read a TIFF file with tifffile.

    Raises
    ------
    DataError
        If it is neither grey nor RGB.
    """
    if hasattr(source, "seek"):
        source.seek(0)
    with extra("tifffile", "tifffile").TiffFile(source) as file:
        frames = len(file.pages)
        one = file.pages[_page_index(page, frames, name)]
        require_memory(2 * one.nbytes, name, DataError)
        values = one.asarray()
        if one.photometric not in (1, 2):
            raise DataError(f"{name} is a TIFF of an unsupported kind ({one.photometric.name}); save it as RGB or grey")
    if one.axes.startswith("S"):
        values = np.moveaxis(values, 0, -1)
    return _of_frames(_of_samples(values, one.extrasamples, name), frames, page, name)


def _of_samples(values: NDArray[Any], extra_samples: tuple[int, ...], name: str) -> InputImage:
    """Read the samples of a TIFF: bands if there are more than grey or RGB and alpha."""
    has_alpha = extra_samples[-1:] and extra_samples[-1] in ALPHA
    if has_alpha and len(extra_samples) > 1:
        return measured(values[:, :, :-1], values[:, :, -1] > 0, name)
    return from_array(values, name, bands=bool(extra_samples) and not has_alpha)


def _page_index(page: int, frames: int, name: str) -> int:
    """Return the index of a page, from 0.

    Raises
    ------
    DataError
        If there is no such page.
    """
    if page > max(frames, 1):
        pages = "one page" if frames == 1 else f"{frames} pages"
        advice = "Leave the page out" if frames == 1 else f"Give a page from 1 to {frames}"
        raise DataError(f"{name} has {pages}; there is no page {page}\n  {advice}.")
    return page - 1


def _from_pillow(image: "Image", name: str, page: int) -> InputImage:
    from PIL import ImageOps

    frames, kind = getattr(image, "n_frames", 1), image.format
    index = _page_index(page, frames, name)
    if index:
        image.seek(index)
    image.load()
    read = from_array(_as_array(image, ImageOps.exif_transpose(image)), name)
    return _of_frames(read, 1 if kind == "MPO" else frames, page, name)  # MPO: a photograph and smaller copies


def _of_frames(image: InputImage, frames: int, page: int, name: str) -> InputImage:
    if frames == 1:
        return image
    used = "the first" if page == 1 else f"number {page}"
    return replace(image, pages=frames, notes=(*image.notes, f"{name} has {frames} frames; {used} is used"))


def _as_array(source: "Image", upright: "Image") -> NDArray[Any]:
    """Convert a PIL image to an array of a supported kind."""
    hidden = upright.info.get("transparency")
    if upright.mode in {"L", "RGB", "RGBA", "LA", "F"} and hidden is None:
        return np.asarray(upright)
    if upright.mode.startswith("I"):
        return _grey_16(source, np.asarray(upright))
    if upright.mode == "La":
        return np.asarray(upright.convert("LA"))
    has_alpha = hidden is not None or upright.mode in {"PA", "RGBa"}
    return np.asarray(upright.convert("RGBA" if has_alpha else "RGB"))


def _grey_16(source: "Image", values: NDArray[Any]) -> NDArray[Any]:
    """Return 16-bit grey values, where 65535 is white; 32-bit and signed values as they are."""
    if source.mode == "I" and source.format not in {"PNG", "PPM"}:  # Pillow returns, or returned, their 16 bits as 32
        return values
    values = values.astype(np.uint16)
    if getattr(source, "tag_v2", {}).get(PHOTOMETRIC) == 0:  # zero is white: Pillow inverts 8 bits, but not 16
        values = np.uint16(FULL["u2"]) - values
    hidden = source.info.get("transparency")
    return values if hidden is None else np.dstack([values, np.where(values == hidden, 0, 1).astype(np.uint16)])
