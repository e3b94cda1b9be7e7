"""A picture in regions: a mixture of the pixels' features, and neighbours that agree unless there is an edge."""

import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bayesgmm import inference
from bayesgmm.apps.images.labelling import Field, Mixture, label_pixels, strips_of
from bayesgmm.apps.images.pictures import Picture, as_picture
from bayesgmm.apps.images.pixel_features import LEAST_RANGE, feature_names, pixel_features, to_lab
from bayesgmm.data.points import Points, listing
from bayesgmm.declared import whole
from bayesgmm.errors import DataError, DeclarationError, FitWarning, warn
from bayesgmm.model import MixtureModel
from bayesgmm.progress import Count
from bayesgmm.sweep.stats import Array, run_ranges

if TYPE_CHECKING:
    import xarray as xr

Features = str | Sequence[str]
DEFAULT: Features = "colour"
PAIRS = 20_000  # neighbours that tell what difference is usual between neighbours
LEAST_SPREAD = 1.0  # of CIELAB, squared: a difference that an eye just sees
MOST = 32_767  # components that a label of 16 bits can name
STRONGEST = 1000  # pull of neighbours, far beyond what is of use, and small enough for numbers of 32 bits
MOST_THREADS = 16  # unless told: each holds a strip in memory
DRAWS = 20  # of the posterior that probabilities are averaged over


def fit_pixels(
    image: Any,
    n_components: int | MixtureModel = 5,
    *,
    features: Features = DEFAULT,
    method: str = "vb",
    sample: int = 50_000,
    seed: int = 0,
    cores: int | None = None,
    progress: bool = True,
    **settings: Any,
) -> "xr.DataTree":
    """Fit a mixture to the features of a random sample of a picture's pixels.

    Parameters
    ----------
    image : path, open file, PIL image, or array
    n_components : int or MixtureModel
        How many components, or a whole declaration.
    features : str or sequence of str
        Of ``'colour'`` (CIELAB), ``'texture'`` (contrast in windows of two sizes), ``'direction'`` (of lines),
        ``'place'``; or single ones, such as ``'lightness'`` or ``'contrast_8'``, where 8 is the standard deviation of
        the window in pixels. What does not vary in the picture is left out.
    method : str
        Of ``fit``. The default, variational Bayes, bears areas of one flat colour, which have no maximum likelihood.
    sample : int
        Pixels to fit.
    seed, cores, progress, **settings
        Of ``fit``.

    Returns
    -------
    DataTree
        A fit like any other; points are named by the place of their pixels in the picture read row by row.

    Raises
    ------
    DataError
        When it is no picture, or nothing in it varies.
    """
    picture, names = as_picture(image), feature_names(features)
    sample, seed = whole("sample", sample), whole("seed", seed, least=0)
    if not isinstance(n_components, MixtureModel):
        n_components = MixtureModel(whole("n_components", n_components, most=MOST))
    pixels = _sampled(picture, sample, np.random.default_rng(seed))
    values = _features_at(picture, names, pixels, _threads(cores), progress)
    kept = np.ptp(values, axis=0) > LEAST_RANGE
    if not kept.any():
        raise DataError(
            f"nothing varies in this picture ({len(pixels)} pixels; {listing(names)}): it is one region\n"
            "  Give another picture, or other features."
        )
    if len(pixels) < n_components.n_components:
        raise DataError(f"{len(pixels)} pixels can't hold {n_components.n_components} components")
    columns = tuple(name for name, keep in zip(names, kept, strict=True) if keep)
    points = Points(np.ascontiguousarray(values[:, kept]), columns, pixels)
    with _irrelevant_doubts_unsaid():
        return inference.fit(n_components, points, method, seed=seed, cores=cores, progress=progress, **settings)


@contextmanager
def _irrelevant_doubts_unsaid() -> Iterator[None]:
    """Doubts about how wide the posterior is do not matter here: the mixture of so many pixels is known well enough."""
    try:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            yield
    finally:
        ours = [str(one.message) for one in said if issubclass(one.category, FitWarning)]
        warn(text for text in ours if "k-hat" not in text)
        for one in said:
            if not issubclass(one.category, FitWarning):
                warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)


def segment_image(
    image: Any,
    n_components: int | MixtureModel = 5,
    *,
    features: Features = DEFAULT,
    fit: "xr.DataTree | None" = None,
    merge: "xr.Dataset | Sequence[int] | None" = None,
    smoothing: float = 0.5,
    sweeps: int = 5,
    probability: bool = False,
    method: str = "vb",
    sample: int = 50_000,
    draws: int = DRAWS,
    seed: int = 0,
    cores: int | None = None,
    progress: bool = True,
    **settings: Any,
) -> "xr.Dataset":
    """Divide a picture into regions, and say how sure each pixel is.

    A mixture is fitted to a sample of the pixels (``fit_pixels``); every pixel gets its probabilities, averaged over
    the posterior; neighbours then pull each other to their labels, the less the more their colours differ. Large
    pictures are worked on in strips, with the same answer for any number of threads.

    Parameters
    ----------
    image : path, open file, PIL image, or array
        Arrays are (H, W) or (H, W, channels): uint8, uint16, or floats from 0 to 1.
    n_components, features, method, sample, seed, cores, progress, **settings
        Of ``fit_pixels``.
    fit : DataTree, optional
        From ``fit_pixels``, of this picture or another; in place of a new one.
    merge : Dataset or sequence of int, optional
        What ``merge_components(fit, overlap=0.3)`` gave (colours of a photograph flow into each other, so that its
        default overlap makes one region of all), or the number of the region, from 0, that each component is part of.
    smoothing : float
        How strongly neighbours pull; 0 for not at all. The noise of photographs is not independent from pixel to pixel,
        and the more they are smoothed, the surer the answer is beyond what it should be.
    sweeps : int
        Of the mean-field approximation.
    probability : bool
        Keep the probabilities of all components.
    draws : int
        Posterior draws to average over.

    Returns
    -------
    Dataset
        ``label`` (y, x), the most probable component, -1 where the picture is transparent; ``entropy`` (y, x), the
        normalised entropy of the smoothed probabilities: 0 when one component has probability 1, 1 when all are equal;
        ``image`` (y, x, channel) in 8 bits; ``share``, ``mean_lab`` and ``feature_mean`` of each component's pixels;
        and ``probability`` (y, x, component) when asked for.

    Raises
    ------
    DataError
        When it is no picture, or nothing in it varies.

    References
    ----------
    .. [1] Zhang, Brady & Smith (2001), IEEE Trans. Med. Imaging 20(1), 45-57.

    Examples
    --------
    A dark half and a light half, with a little noise.

    >>> noise = np.random.default_rng(0).normal(0, 0.02, size=(20, 20))
    >>> halves = np.repeat([0.2, 0.8], 10) + noise
    >>> regions = segment_image(halves, n_components=2, features="colour", progress=False)
    >>> regions["label"].values[3, [0, 9, 10, 19]].tolist() in ([0, 0, 1, 1], [1, 1, 0, 0])
    True
    """
    if isinstance(smoothing, bool) or not isinstance(smoothing, Real) or not 0 <= smoothing <= STRONGEST:
        raise DeclarationError(f"smoothing={smoothing!r}: must be a number from 0 to {STRONGEST}")
    picture, sweeps, draws = as_picture(image), whole("sweeps", sweeps, least=0), whole("draws", draws)
    reused = fit is not None
    if fit is not None and settings:
        raise DeclarationError(f"{listing(list(settings))}: nothing is fitted where a fit is given, so leave it out")
    if fit is None:
        given: dict[str, Any] = {"features": features, "method": method, "sample": sample, "seed": seed, "cores": cores}
        fit = fit_pixels(picture, n_components, **given, progress=progress, **settings)
    mixture = Mixture.of(fit, draws, merge)
    field = Field(float(smoothing), sweeps, _usual_difference(picture, np.random.default_rng(whole("seed", seed, 0))))
    regions = label_pixels(picture, mixture, field, probability, _threads(cores), progress)
    return regions.assign_attrs(
        features=", ".join(mixture.names),
        left_out="" if reused else ", ".join(left_out(fit, features)),
        smoothing=field.strength,
        sweeps=sweeps,
        notes="; ".join(picture.notes),
    )


def left_out(fit: "xr.DataTree", features: Features) -> list[str]:
    """Features that were asked for, and that a fit of pixels left out because they vary nowhere."""
    used = {str(name) for name in fit["posterior"].coords["feature"].values}
    return [name for name in feature_names(features) if name not in used]


def _sampled(picture: Picture, size: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Places of randomly chosen pixels that are seen, in order."""
    total = picture.size[0] * picture.size[1]
    seen = None if picture.visible is None else np.flatnonzero(picture.visible)
    count = total if seen is None else len(seen)
    chosen = np.sort(rng.choice(count, min(size, count), replace=False, shuffle=False))
    return chosen if seen is None else seen[chosen]


def _features_at(picture: Picture, names: list[str], pixels: NDArray[np.int64], threads: int, progress: bool) -> Array:
    """(M, D) features of some pixels, whose places are in order."""
    height, width = picture.size
    out = np.empty((len(pixels), len(names)))
    strips = strips_of(height, width, 0)
    with Count("looking at the pixels", len(strips)) if progress else nullcontext() as count:

        def task(first: int, last: int) -> None:
            for start, stop in strips[first:last]:
                a, b = np.searchsorted(pixels, [start * width, stop * width])
                if a < b:
                    features, _ = pixel_features(picture, names, start, stop)
                    out[a:b] = features.reshape(-1, len(names))[pixels[a:b] - start * width]
                if count is not None:
                    count.step()

        run_ranges(task, len(strips), threads)
    return out


def _usual_difference(picture: Picture, rng: np.random.Generator) -> float:
    """Mean squared difference, in CIELAB, of neighbours that are seen, side by side or one below the other."""
    height, width = picture.size
    row, column = np.divmod(_sampled(picture, PAIRS, rng), width)
    squared = [np.zeros(0)]
    for down, right in ((0, 1), (1, 0)):
        inside = (row + down < height) & (column + right < width)
        here, there = (row[inside], column[inside]), (row[inside] + down, column[inside] + right)
        difference = ((_lab_at(picture, here) - _lab_at(picture, there)) ** 2).sum(axis=-1)
        squared.append(difference if picture.visible is None else difference[picture.visible[there]])
    known = np.concatenate(squared)
    return max(float(known.mean()), LEAST_SPREAD) if len(known) else LEAST_SPREAD


def _lab_at(picture: Picture, place: tuple[Array, Array]) -> Array:
    """(M, 3) colours of pixels in CIELAB."""
    return to_lab(picture.unit(place)[None])[0]


def _threads(cores: int | None) -> int:
    return min(os.cpu_count() or 1, MOST_THREADS) if cores is None else whole("cores", cores)
