"""Connected regions in the result of a segmentation, and the choice between them and the components."""

from contextlib import nullcontext
from typing import TYPE_CHECKING

import numpy as np

from bayesgmm.apps.images.image_arrays import InputImage
from bayesgmm.apps.images.pixel_features import pixel_features
from bayesgmm.apps.images.pixel_labels import strips_of, sums_by_label
from bayesgmm.apps.images.region_merging import Regions, merge_pieces, pieces_of, unit_scale
from bayesgmm.errors import choose
from bayesgmm.posterior.schema import Posterior
from bayesgmm.progress import Count
from bayesgmm.sweep.stats import Array
from bayesgmm.sweep.threads import run_ranges

if TYPE_CHECKING:
    import xarray as xr

KINDS = ("connected", "components")
OF_REGIONS = {"share": "region_share", "mean_lab": "region_mean_lab", "feature_mean": "region_feature_mean"}


def add_regions(
    segments: "xr.Dataset", image: InputImage, posterior: Posterior, detail: float, threads: int, progress: bool
) -> "xr.Dataset":
    """Add the connected regions ``region`` (y, x), and the share, colour and mean features of each."""
    piece = pieces_of(segments["label"].values)
    sums = _sums_of_pieces(piece, image, posterior.columns, threads, progress)
    scaled = np.column_stack([sums[:, 0], sums[:, 4:] @ unit_scale(posterior)])
    found = merge_pieces(piece, scaled, detail * np.sqrt(sums[:, 0].sum()))
    total = np.zeros((found.max() + 1, sums.shape[1]))
    np.add.at(total, found, sums)
    region = np.append(found, -1).astype(np.int32)[piece]  # index -1 is the last
    mean = total[:, 1:] / total[:, :1]
    return segments.assign(
        region=(("y", "x"), region),
        region_share=("segment", total[:, 0] / total[:, 0].sum()),
        region_mean_lab=(("segment", "lab"), mean[:, :3]),
        region_feature_mean=(("segment", "feature"), mean[:, 3:]),
    ).assign_attrs(detail=detail)


def _sums_of_pieces(piece: Regions, image: InputImage, names: tuple[str, ...], threads: int, progress: bool) -> Array:
    """Sum pixels by piece (P, 1 + 3 + D): their number, their CIELAB colours and their features."""
    strips = strips_of(*image.size, 0)
    parts: list[tuple[Regions, Array]] = [(np.empty(0, np.int32), np.empty(0))] * len(strips)
    with Count("merging regions", len(strips)) if progress else nullcontext() as count:

        def task(first: int, last: int) -> None:
            for i in range(first, last):
                own = piece[slice(*strips[i])]
                features, lab = pixel_features(image, names, *strips[i])
                present = np.unique(own[own >= 0])
                place = np.where(own < 0, -1, np.searchsorted(present, own))
                parts[i] = present, sums_by_label(place, np.concatenate([lab, features], axis=2), len(present))
                if count is not None:
                    count.step()

        run_ranges(task, len(strips), threads)
    total = np.zeros((int(piece.max()) + 1, 4 + len(names)))
    for present, sums in parts:  # in order, so that the result does not depend on the number of threads
        total[present] += sums
    return total


def of_kind(segments: "xr.Dataset", regions: str) -> "xr.Dataset":
    """Return the result of a segmentation with its connected regions, or its components, as labels.

    Parameters
    ----------
    segments : Dataset
        From ``segment_image``.
    regions : {'connected', 'components'}

    Raises
    ------
    UnknownName
        If it is neither.
    """
    if choose(regions, {kind: kind for kind in KINDS}, "regions") == "components":
        return segments
    held = segments[["entropy", "image", *OF_REGIONS.values()]].rename({new: old for old, new in OF_REGIONS.items()})
    numbered = held.assign(label=(("y", "x"), segments["region"].values)).rename(segment="component")
    return numbered.assign_coords(component=np.arange(numbered.sizes["component"]))
