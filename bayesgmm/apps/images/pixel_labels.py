"""Labels of all pixels of an image by a mixture and a random field, one strip of rows at a time."""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bayesgmm.apps.images.image_arrays import InputImage
from bayesgmm.apps.images.pixel_features import feature_names, pixel_features
from bayesgmm.apps.images.random_fields import ROWS_PER_SWEEP, edge_weights, smooth
from bayesgmm.clusterings.merging import merged_clusters
from bayesgmm.data.standards import Standard
from bayesgmm.errors import DataError, DeclarationError
from bayesgmm.posterior.schema import Posterior
from bayesgmm.progress import Count
from bayesgmm.sweep.stats import Array, Table, responsibilities
from bayesgmm.sweep.threads import run_ranges
from bayesgmm.wording import listing

if TYPE_CHECKING:
    import xarray as xr

STRIP = 250_000  # pixels per thread, which limits the memory for images of any size
Plane = NDArray[np.float32]


@dataclass(frozen=True)
class PixelMixture:
    """Mixture that labels pixels.

    Parameters
    ----------
    names : tuple of str
        Features.
    regions : (G,) array
        Names of the regions.
    tables : Table
        Scored components of several draws, in the coordinates of ``standard``.
    standard : Standard
    groups : (K, G) float32, optional
        1 where a component belongs to a region; None if each component is a region.
    """

    names: tuple[str, ...]
    regions: NDArray[np.generic]
    tables: Table
    standard: Standard
    groups: Plane | None

    @classmethod
    def of(cls, fit: "xr.DataTree", posterior: Posterior, merge: "xr.Dataset | Sequence[int] | None") -> "PixelMixture":
        """Read a fit of pixels.

        Raises
        ------
        DataError
            If the fit's columns are not features of pixels.
        DeclarationError
            If ``merge`` is not one region number for each component.
        """
        try:
            of_pixels = (*feature_names(posterior.columns),) == posterior.columns
        except DeclarationError:
            of_pixels = False
        if not of_pixels:
            raise DataError(
                f"this is not a fit of pixels: its columns are {listing(posterior.columns)}; give a fit from fit_pixels"
            )
        regions = fit["posterior"].coords["component"].values
        groups = None if merge is None else _groups(merge, len(regions))
        regions = regions if groups is None else np.arange(groups.shape[1])
        return cls(posterior.columns, regions, posterior.tables(), posterior.standard, groups)

    def probability(self, features: Plane) -> Plane:
        """Compute the probabilities (h, W, G) of regions from features (h, W, D)."""
        height, width, n_features = features.shape
        blocks = self.standard.blocks(features.reshape(-1, n_features).astype(np.float64))
        share = responsibilities(blocks, self.tables).astype(np.float32)
        return (share if self.groups is None else share @ self.groups).reshape(height, width, -1)


def _groups(merge: "xr.Dataset | Sequence[int] | None", n_components: int) -> Plane:
    """Indicator (K, G) of the region of each component.

    Raises
    ------
    DeclarationError
        If it is not one region number for each component.
    """
    import xarray as xr

    declared = merged_clusters(merge, n_components) if isinstance(merge, xr.Dataset) else merge
    try:
        region = np.asarray(declared)
    except ValueError:  # rows of different lengths
        region = np.empty(0)
    whole_numbers = region.shape == (n_components,) and region.dtype.kind in "iu"
    if not whole_numbers or set(region.tolist()) != set(range(int(region.max()) + 1)):
        raise DeclarationError(
            f"merge={merge!r}: give one number for each of the {n_components} components, 0 for the first "
            "region, 1 for the second, and so on"
        )
    return (region[:, None] == np.arange(region.max() + 1)).astype(np.float32)


@dataclass(frozen=True)
class RandomField:
    """Settings of the random field: smoothing strength, number of sweeps, mean squared colour difference."""

    strength: float
    sweeps: int
    spread: float

    @property
    def reach(self) -> int:
        """Number of rows above and below that a pixel's probabilities depend on."""
        return ROWS_PER_SWEEP * self.sweeps if self.strength else 0


def label_pixels(
    image: InputImage, mixture: PixelMixture, field: RandomField, keep: bool, threads: int, progress: bool
) -> "xr.Dataset":
    """Compute the result of ``segment_image``; with the probabilities if ``keep``."""
    import xarray as xr

    (height, width), n_components = image.size, len(mixture.regions)
    label = np.empty((height, width), dtype=np.int16)
    entropy = np.empty((height, width), dtype=np.float32)
    probability = np.empty((height, width, n_components), dtype=np.float32) if keep else None
    strips = strips_of(height, width, field.reach)
    sums: list[Array] = [np.empty(0)] * len(strips)
    with Count("segmenting", len(strips)) if progress else nullcontext() as count:

        def task(first: int, last: int) -> None:
            for i in range(first, last):
                own, features, lab, q = _label_strip(image, mixture, field, *strips[i])
                label[own], entropy[own] = _labels(q)
                if probability is not None:
                    probability[own] = q
                sums[i] = sums_by_label(label[own], np.concatenate([lab, features], axis=2), n_components)
                if count is not None:
                    count.step()

        run_ranges(task, len(strips), threads)
    total = sum(sums[1:], sums[0])
    mean = total[:, 1:] / np.where(total[:, :1] > 0, total[:, :1], np.nan)
    values: dict[str, object] = {
        "label": (("y", "x"), label),
        "entropy": (("y", "x"), entropy),
        "image": (("y", "x", "channel"), image.bytes()),
        "share": ("component", total[:, 0] / total[:, 0].sum()),
        "mean_lab": (("component", "lab"), mean[:, :3]),
        "feature_mean": (("component", "feature"), mean[:, 3:]),
    }
    if probability is not None:
        values["probability"] = (("y", "x", "component"), probability)
    names = {"channel": ["red", "green", "blue"], "lab": ["lightness", "green_red", "blue_yellow"]}
    return xr.Dataset(values, coords={"component": mixture.regions, "feature": list(mixture.names), **names})


def _label_strip(
    image: InputImage, mixture: PixelMixture, field: RandomField, start: int, stop: int
) -> tuple[slice, Plane, Plane, Plane]:
    """Return some rows: slice, features, CIELAB colours, and probabilities equal to those of the whole image."""
    first, last = max(0, start - field.reach), min(image.size[0], stop + field.reach)
    features, lab = pixel_features(image, mixture.names, first, last)
    q = mixture.probability(features)
    if image.visible is not None:
        q[~image.visible[first:last]] = 0.0
    if field.reach:
        weights = edge_weights(lab, field.spread)
        q = smooth(q, weights, field.strength, field.sweeps, first)
    own = slice(start - first, stop - first)
    return slice(start, stop), features[own], lab[own], q[own]


def _labels(q: Plane) -> tuple[NDArray[np.int16], Plane]:
    """Return the most probable component and the normalised entropy of (h, W, K); -1 and 0 for transparent pixels."""
    visible, n_components = q.any(axis=2), q.shape[2]
    entropy = -(q * np.log(np.maximum(q, np.float32(1e-30)))).sum(axis=2) / max(np.log(n_components), 1e-30)
    label = np.where(visible, q.argmax(axis=2), -1)
    return label.astype(np.int16), np.clip(entropy, 0, 1)


def sums_by_label(label: NDArray[np.integer], values: Plane, n_components: int) -> Array:
    """Sum pixels by label (K, 1 + D): their number, then their values (h, W, D)."""
    visible = label >= 0
    component, rows = label[visible], values[visible]
    counts = [np.bincount(component, minlength=n_components).astype(np.float64)]
    return np.stack(counts + [np.bincount(component, rows[:, j], n_components) for j in range(rows.shape[1])], axis=1)


def strips_of(height: int, width: int, reach: int) -> list[tuple[int, int]]:
    """Divide the rows into strips, each at least twice as high as its reach, which is computed in addition."""
    rows = max(STRIP // width, 2 * reach, 1)
    return [(start, min(start + rows, height)) for start in range(0, height, rows)]
