"""Every pixel of a picture labelled by a mixture and its neighbours, a strip of rows at a time."""

from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bayesgmm.apps.images.pictures import Picture
from bayesgmm.apps.images.pixel_features import feature_names, pixel_features
from bayesgmm.apps.images.random_fields import ROWS_A_SWEEP, edge_weights, smooth
from bayesgmm.clusterings.merging import merged_clusters
from bayesgmm.data.points import Standard, listing
from bayesgmm.errors import DataError, DeclarationError
from bayesgmm.labels.relabelling import aligned
from bayesgmm.progress import Count
from bayesgmm.sweep.stats import Array, Table, responsibilities, run_ranges

if TYPE_CHECKING:
    import xarray as xr

STRIP = 250_000  # pixels at a time in a thread: bounds the memory, whatever the size of the picture
Plane = NDArray[np.float32]


@dataclass(frozen=True)
class Mixture:
    """What labels pixels.

    Parameters
    ----------
    names : tuple of str
        Of the features.
    regions : (G,) array
        Their names.
    tables : Table
        Of some draws, in the coordinates of ``standard``.
    standard : Standard
    groups : (K, G) float32, optional
        1 where a component is part of a region; None when each is one.
    """

    names: tuple[str, ...]
    regions: NDArray[Any]
    tables: Table
    standard: Standard
    groups: Plane | None

    @classmethod
    def of(cls, fit: "xr.DataTree", draws: int, merge: Any) -> "Mixture":
        """Read a fit of pixels.

        Raises
        ------
        DataError
            When it is a fit of something else.
        """
        posterior = aligned(fit, draws)
        try:
            of_pixels = (*feature_names(posterior.columns),) == posterior.columns
        except DeclarationError:
            of_pixels = False
        if not of_pixels:
            raise DataError(
                f"this is not a fit of pixels: its columns are {listing(posterior.columns)}; give one of fit_pixels"
            )
        regions = fit["posterior"].coords["component"].values
        groups = None if merge is None else _groups(merge, len(regions))
        regions = regions if groups is None else np.arange(groups.shape[1])
        return cls(posterior.columns, regions, posterior.tables(), posterior.standard, groups)

    def probability(self, features: Plane) -> Plane:
        """(h, W, K) of features (h, W, D)."""
        height, width, n_features = features.shape
        blocks = self.standard.blocks(features.reshape(-1, n_features).astype(np.float64))
        share = responsibilities(blocks, self.tables).astype(np.float32)
        return (share if self.groups is None else share @ self.groups).reshape(height, width, -1)


def _groups(merge: Any, n_components: int) -> Plane:
    """(K, G) which region each component is part of."""
    if hasattr(merge, "data_vars"):
        merge = merged_clusters(merge, n_components)
    try:
        region = np.asarray(merge)
    except ValueError:  # rows of several lengths are no array
        region = np.empty(0)
    whole_numbers = region.shape == (n_components,) and region.dtype.kind in "iu"
    if not whole_numbers or set(region.tolist()) != set(range(int(region.max()) + 1)):
        raise DeclarationError(
            f"merge={merge!r}: give one number for each of the {n_components} components, 0 for those of the first "
            "region, 1 for those of the second, and so on"
        )
    return (region[:, None] == np.arange(region.max() + 1)).astype(np.float32)


@dataclass(frozen=True)
class Field:
    """The random field: how strongly neighbours pull, how many sweeps, which squared difference of colours is usual."""

    strength: float
    sweeps: int
    spread: float

    @property
    def reach(self) -> int:
        """How many rows beyond its own a pixel's probabilities depend on."""
        return ROWS_A_SWEEP * self.sweeps if self.strength else 0


def label_pixels(
    picture: Picture, mixture: Mixture, field: Field, keep: bool, threads: int, progress: bool
) -> "xr.Dataset":
    """All that ``segment_image`` says of a picture; the probabilities too when ``keep``."""
    import xarray as xr

    (height, width), n_components = picture.size, len(mixture.regions)
    label = np.empty((height, width), dtype=np.int16)
    entropy = np.empty((height, width), dtype=np.float32)
    probability = np.empty((height, width, n_components), dtype=np.float32) if keep else None
    strips = strips_of(height, width, field.reach)
    sums: list[Array] = [np.empty(0)] * len(strips)
    with Count("segmenting", len(strips)) if progress else nullcontext() as count:

        def task(first: int, last: int) -> None:
            for i in range(first, last):
                own, features, lab, q = _strip(picture, mixture, field, *strips[i])
                label[own], entropy[own] = _labels(q)
                if probability is not None:
                    probability[own] = q
                sums[i] = _sums(label[own], np.concatenate([lab, features], axis=2), n_components)
                if count is not None:
                    count.step()

        run_ranges(task, len(strips), threads)
    total = sum(sums[1:], sums[0])
    mean = total[:, 1:] / np.where(total[:, :1] > 0, total[:, :1], np.nan)
    values: dict[str, Any] = {
        "label": (("y", "x"), label),
        "entropy": (("y", "x"), entropy),
        "image": (("y", "x", "channel"), picture.bytes()),
        "share": ("component", total[:, 0] / total[:, 0].sum()),
        "mean_lab": (("component", "lab"), mean[:, :3]),
        "feature_mean": (("component", "feature"), mean[:, 3:]),
    }
    if probability is not None:
        values["probability"] = (("y", "x", "component"), probability)
    names = {"channel": ["red", "green", "blue"], "lab": ["lightness", "green_red", "blue_yellow"]}
    return xr.Dataset(values, coords={"component": mixture.regions, "feature": list(mixture.names), **names})


def _strip(
    picture: Picture, mixture: Mixture, field: Field, start: int, stop: int
) -> tuple[slice, Plane, Plane, Plane]:
    """Some rows: where they are, their features, colours in CIELAB, and probabilities as those of the whole picture."""
    first, last = max(0, start - field.reach), min(picture.size[0], stop + field.reach)
    features, lab = pixel_features(picture, mixture.names, first, last)
    q = mixture.probability(features)
    if picture.visible is not None:
        q[~picture.visible[first:last]] = 0.0
    if field.reach:
        weights = edge_weights(lab, field.spread)
        q = smooth(q, weights, field.strength, field.sweeps, first)
    own = slice(start - first, stop - first)
    return slice(start, stop), features[own], lab[own], q[own]


def _labels(q: Plane) -> tuple[NDArray[np.int16], Plane]:
    """Most probable component and normalised entropy of the probabilities (h, W, K); -1 and 0 where there are none."""
    there, n_components = q.any(axis=2), q.shape[2]
    entropy = -(q * np.log(np.maximum(q, np.float32(1e-30)))).sum(axis=2) / max(np.log(n_components), 1e-30)
    label = np.where(there, q.argmax(axis=2), -1)
    return label.astype(np.int16), np.clip(entropy, 0, 1)


def _sums(label: NDArray[np.int16], values: Plane, n_components: int) -> Array:
    """(K, 1 + D) how many pixels each component has, and the sums of their values (h, W, D)."""
    there = label >= 0
    held, rows = label[there], values[there]
    counted = [np.bincount(held, minlength=n_components).astype(np.float64)]
    return np.stack(counted + [np.bincount(held, rows[:, j], n_components) for j in range(rows.shape[1])], axis=1)


def strips_of(height: int, width: int, reach: int) -> list[tuple[int, int]]:
    """Rows that are worked on at a time: not many more than they need of their neighbours would be a waste."""
    rows = max(STRIP // width, 2 * reach, 1)
    return [(start, min(start + rows, height)) for start in range(0, height, rows)]
