"""Image segmentation: a mixture of pixel features, smoothed by a Markov random field."""

import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bayesgmm import inference
from bayesgmm.apps.images.connected_regions import add_regions
from bayesgmm.apps.images.image_arrays import InputImage
from bayesgmm.apps.images.image_input import read_image
from bayesgmm.apps.images.pixel_features import MIN_RANGE, band_of, image_features, pixel_features, to_lab
from bayesgmm.apps.images.pixel_labels import PixelMixture, RandomField, label_pixels, strips_of
from bayesgmm.data.points import Points
from bayesgmm.declared import whole
from bayesgmm.errors import DataError, DeclarationError, FitWarning, warn
from bayesgmm.labels.relabelling import aligned
from bayesgmm.model import MixtureModel
from bayesgmm.posterior.arguments import FitLike, as_fit
from bayesgmm.progress import Count
from bayesgmm.sweep.stats import Array
from bayesgmm.sweep.threads import run_ranges
from bayesgmm.wording import listing, plural

if TYPE_CHECKING:
    import xarray as xr

Features = str | Sequence[str] | None
N_NEIGHBOUR_PAIRS = 20_000  # pairs of neighbours from which the mean colour difference is estimated
MIN_SPREAD = 1.0  # squared CIELAB difference, just visible
MAX_COMPONENTS = 32_767  # largest number of components for 16-bit labels
MAX_SETTING = 1000  # far more than is useful; larger values could overflow float32
MAX_THREADS = 16  # default maximum: each thread holds a strip in memory
# Words of warnings about the precision of intervals
PRECISION = ("k-hat", "importance share", "differs from a short Gibbs run", "effective sample size")
N_COMPONENTS = 8  # default: more than most images need, because regions are merged
SAMPLE = 10_000  # default number of pixels to fit
DETAIL = 0.015  # default limit of merging
DRAWS = 20  # default number of posterior draws that probabilities are averaged over


def fit_pixels(
    image: object,
    n_components: int | MixtureModel = N_COMPONENTS,
    *,
    features: Features = None,
    method: str = "vb",
    sample: int = SAMPLE,
    seed: int = 0,
    cores: int | None = None,
    progress: bool = True,
    **settings: Any,
) -> "xr.DataTree":
    """Fit a mixture to the features of a random sample of an image's pixels.

    Parameters
    ----------
    image : path, open file, PIL image, or array
    n_components : int or MixtureModel
        Number of components, or a declared mixture.
    features : str or sequence of str, optional
        One or more of ``'colour'`` (CIELAB), ``'texture'`` (contrast in windows of two sizes), ``'direction'`` (of
        lines) and ``'place'``; or single features, such as ``'lightness'`` or ``'contrast_8'``, where 8 is the standard
        deviation of the window in pixels. ``'band_4'`` is a band of the image, in its own
        units. Features that are constant in the image are left out. Default: all bands of measured values, or else
        the colour.
    method : str
        Inference method, as in ``fit``. Areas of one flat colour have no maximum likelihood estimate; the default,
        variational Bayes, can be used for them.
    sample : int
        Number of pixels to fit.
    seed, cores, progress, **settings
        As in ``fit``.

    Returns
    -------
    DataTree
        A fit, as from ``fit``. The coordinate ``point`` is the index of the pixel, counted row by row.

    Raises
    ------
    DataError
        If it is not an image, all features are constant, or there are fewer pixels than components.
    DeclarationError
        If a setting or a feature is invalid.

    Examples
    --------
    >>> halves = np.repeat([0.2, 0.8], 10) + np.random.default_rng(0).normal(0, 0.02, size=(20, 20))
    >>> tree = fit_pixels(halves, n_components=2, progress=False)
    >>> tree["posterior"]["feature"].values.tolist(), tree["observed_data"].sizes["point"]
    (['lightness'], 400)
    """
    checked = read_image(image)
    names = image_features(checked, features)
    sample, seed = whole("sample", sample), whole("seed", seed, minimum=0)
    if not isinstance(n_components, MixtureModel):
        n_components = MixtureModel(whole("n_components", n_components, maximum=MAX_COMPONENTS))
    pixels = _sample_pixels(checked, sample, np.random.default_rng(seed))
    values = _features_at(checked, names, pixels, _threads(cores), progress)
    kept = np.ptp(values, axis=0) > [0 if band_of(name) else MIN_RANGE for name in names]
    if not kept.any():
        raise _constant(checked, len(pixels), names)
    if len(pixels) < n_components.n_components:
        raise DataError(
            f"{plural(len(pixels), 'pixel is', 'pixels are')} too few for {n_components.n_components} components\n"
            f"  Try {plural(max(1, len(pixels) // 2), 'component')}, or a larger image."
        )
    columns = tuple(name for name, keep in zip(names, kept, strict=True) if keep)
    points = Points(np.ascontiguousarray(values[:, kept]), columns, pixels)
    with _without_precision_warnings():
        return inference.fit(n_components, points, method, seed=seed, cores=cores, progress=progress, **settings)


def _constant(image: InputImage, n_pixels: int, names: list[str]) -> DataError:
    """Say that no regions can be distinguished, and name the other pages of the file."""
    pages = f"another page, from 1 to {image.pages} (--page, or read_image(file, page=2)), or " * (image.pages > 1)
    return DataError(
        f"all features are constant in this image ({plural(n_pixels, 'pixel')}; {listing(names)})\n"
        f"  Give {pages}another image, or other features."
    )


@contextmanager
def _without_precision_warnings() -> Iterator[None]:
    """Drop warnings about the precision of intervals: with many pixels, the width of the posterior hardly matters."""
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield
    finally:
        ours = [str(one.message) for one in caught if issubclass(one.category, FitWarning)]
        warn(text for text in ours if not any(word in text for word in PRECISION))
        for one in caught:
            if not issubclass(one.category, FitWarning):
                warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)


def segment_image(
    image: object,
    n_components: int | MixtureModel = N_COMPONENTS,
    *,
    features: Features = None,
    fit: FitLike | None = None,
    merge: "xr.Dataset | Sequence[int] | None" = None,
    smoothing: float = 0.5,
    sweeps: int = 5,
    detail: float = DETAIL,
    probability: bool = False,
    method: str = "vb",
    sample: int = SAMPLE,
    draws: int = DRAWS,
    seed: int = 0,
    cores: int | None = None,
    progress: bool = True,
    **settings: Any,
) -> "xr.Dataset":
    """Segment an image into regions, with the uncertainty of each pixel.

    A mixture is fitted to a sample of the pixels (``fit_pixels``), and the responsibilities of every pixel are averaged
    over posterior draws. A Markov random field then smooths them: neighbours with similar colours tend to have the same
    label [1]_. Regions are connected: they are the pieces of the labels, merged while the border between two of them
    explains too little of the variance of the features, for its length [2]_. So their number depends on the image, and
    the components only need to be enough. Large images are processed in strips; the result does not depend on the
    number of threads.

    Parameters
    ----------
    image : path, open file, PIL image, or array
        An array is (H, W) or (H, W, channels), of uint8, uint16, or floats from 0 to 1.
    n_components, features, method, sample, seed, cores, progress, **settings
        As in ``fit_pixels``.
    fit : DataTree or estimator, optional
        Existing fit from ``fit_pixels``, of this image or another.
    merge : Dataset or sequence of int, optional
        Result of ``merge_components(fit, overlap=0.3)``, or the region, from 0, of each component. (The colours of a
        photograph overlap; the default ``overlap`` would merge all of them.)
    smoothing : float
        Strength of the random field; 0 for none. The noise of neighbouring pixels in a photograph is correlated, so
        with more smoothing the probabilities are too close to 0 and 1.
    sweeps : int
        Sweeps of the mean-field approximation.
    detail : float
        Share of the variance of the features that a border as long as the side of the image must explain; a shorter
        border must explain less, in proportion. Smaller values give more regions; 0 merges none.
    probability : bool
        Return the probabilities of all components.
    draws : int
        Posterior draws to average over.

    Returns
    -------
    Dataset
        ``label`` (y, x), the most probable component, -1 for transparent pixels; ``entropy`` (y, x), the normalised
        entropy of the smoothed probabilities, 0 when certain, 1 when all components are equally probable; ``region``
        (y, x), the connected region, from 0, the largest first, -1 for transparent pixels; ``image`` (y, x, channel) in
        8 bits; ``share``, ``mean_lab`` and ``feature_mean`` of each component's pixels; the same of each region, over
        ``segment``, as ``region_share``, ``region_mean_lab`` and ``region_feature_mean``; and ``probability``
        (y, x, component) if requested.

    Raises
    ------
    DataError
        If it is not an image, all features are constant, or ``fit`` is not a fit of pixels.
    DeclarationError
        If a setting or a feature is invalid, or settings of a new fit are given with ``fit``.

    References
    ----------
    .. [1] Zhang, Brady & Smith (2001), IEEE Trans. Med. Imaging 20(1), 45-57.
    .. [2] Koepfler, Lopez & Morel (1994), SIAM J. Numer. Anal. 31(1), 282-299.

    Examples
    --------
    A dark and a light half, with some noise.

    >>> noise = np.random.default_rng(0).normal(0, 0.02, size=(20, 20))
    >>> halves = np.repeat([0.2, 0.8], 10) + noise
    >>> found = segment_image(halves, n_components=2, features="colour", progress=False)
    >>> found["label"].values[3, [0, 9, 10, 19]].tolist() in ([0, 0, 1, 1], [1, 1, 0, 0])
    True
    >>> found["region"].values[3, [0, 9, 10, 19]]
    array([0, 0, 1, 1], dtype=int32)
    """
    smoothing, detail = up_to_maximum("smoothing", smoothing), up_to_maximum("detail", detail)
    checked, sweeps, draws = read_image(image), whole("sweeps", sweeps, minimum=0), whole("draws", draws)
    reused = fit is not None
    if fit is not None and settings:
        raise DeclarationError(f"{listing(list(settings))}: not used with an existing fit; leave it out")
    fit = None if fit is None else as_fit(fit)
    if fit is None:
        common: dict[str, Any] = {
            "features": features,
            "method": method,
            "sample": sample,
            "seed": seed,
            "cores": cores,
        }
        fit = fit_pixels(checked, n_components, **common, progress=progress, **settings)
    posterior = aligned(fit, draws)
    mixture = PixelMixture.of(fit, posterior, merge)
    image_features(checked, mixture.names)  # the image has the bands of the fit
    rng = np.random.default_rng(whole("seed", seed, 0))
    field = RandomField(smoothing, sweeps, _mean_neighbour_difference(checked, rng))
    segments = label_pixels(checked, mixture, field, probability, _threads(cores), progress)
    segments = add_regions(segments, checked, posterior, detail, _threads(cores), progress)
    return segments.assign_attrs(
        features=", ".join(mixture.names),
        left_out="" if reused else ", ".join(left_out(fit, checked, features)),
        smoothing=field.strength,
        sweeps=sweeps,
        notes="; ".join(checked.notes),
    )


def up_to_maximum(name: str, value: Any) -> float:
    """Check that a setting is a number from 0 to the maximum.

    Raises
    ------
    DeclarationError
        If it is not.
    """
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 <= float(value) <= MAX_SETTING:
        raise DeclarationError(f"{name}={value!r}: must be a number from 0 to {MAX_SETTING}")
    return float(value)


def left_out(fit: "xr.DataTree", image: InputImage, features: Features) -> list[str]:
    """List the requested features that a fit of pixels left out because they are constant."""
    used = {str(name) for name in fit["posterior"].coords["feature"].values}
    return [name for name in image_features(image, features) if name not in used]


def _sample_pixels(image: InputImage, size: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw indices (M,) of visible pixels without replacement, in increasing order."""
    total = image.size[0] * image.size[1]
    visible = None if image.visible is None else np.flatnonzero(image.visible)
    count = total if visible is None else len(visible)
    chosen = np.sort(rng.choice(count, min(size, count), replace=False, shuffle=False))
    return chosen if visible is None else visible[chosen]


def _features_at(image: InputImage, names: list[str], pixels: NDArray[np.int64], threads: int, progress: bool) -> Array:
    """Compute the features (M, D) of pixels with increasing indices (M,)."""
    height, width = image.size
    out = np.empty((len(pixels), len(names)))
    strips = strips_of(height, width, 0)
    with Count("computing features", len(strips)) if progress else nullcontext() as count:

        def task(first: int, last: int) -> None:
            for start, stop in strips[first:last]:
                a, b = np.searchsorted(pixels, [start * width, stop * width])
                if a < b:
                    features, _ = pixel_features(image, names, start, stop)
                    out[a:b] = features.reshape(-1, len(names))[pixels[a:b] - start * width]
                if count is not None:
                    count.step()

        run_ranges(task, len(strips), threads)
    return out


def _mean_neighbour_difference(image: InputImage, rng: np.random.Generator) -> float:
    """Mean squared CIELAB difference of visible horizontal and vertical neighbours, from a sample."""
    height, width = image.size
    row, column = np.divmod(_sample_pixels(image, N_NEIGHBOUR_PAIRS, rng), width)
    squared = [np.zeros(0)]
    for down, right in ((0, 1), (1, 0)):
        inside = (row + down < height) & (column + right < width)
        here, there = (row[inside], column[inside]), (row[inside] + down, column[inside] + right)
        difference = ((_lab_at(image, here) - _lab_at(image, there)) ** 2).sum(axis=-1)
        squared.append(difference if image.visible is None else difference[image.visible[there]])
    differences = np.concatenate(squared)
    return max(float(differences.mean()), MIN_SPREAD) if len(differences) else MIN_SPREAD


def _lab_at(image: InputImage, place: tuple[Array, Array]) -> Array:
    """Return the CIELAB colours (M, 3) of pixels."""
    return to_lab(image.unit(place)[None])[0]


def _threads(cores: int | None) -> int:
    return min(os.cpu_count() or 1, MAX_THREADS) if cores is None else whole("cores", cores)
