"""The ``segment`` command: regions of an image."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bayesgmm.cli.completion import FITS, METHODS, either, files, one_of, some_of
from bayesgmm.cli.terminal import check_other, names_of, refuse, say, show, wrote

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

IMAGES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".gif", ".webp")
FEATURES = ("colour", "texture", "direction", "place")
FORMATS = {"share": ".1%", "largest": ".1%", "entropy": ".3f", "perimeter": ".0f"}


def segment(
    image: Annotated[
        Path,
        typer.Argument(help="An image: PNG, JPEG, TIFF, ...", show_default=False, autocompletion=files(*IMAGES)),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="Output folder.", show_default=False)],
    components: Annotated[
        int | None, typer.Option("-k", "--components", help="Number of components. (default: 5)")
    ] = None,
    features: Annotated[
        str,
        typer.Option(
            help="One or more of colour, texture, direction and place, separated by commas.",
            autocompletion=some_of(*FEATURES),
        ),
    ] = "colour",
    smoothing: Annotated[float, typer.Option(help="Strength of smoothing between neighbours; 0 for none.")] = 0.5,
    merge: Annotated[
        float | None,
        typer.Option(
            help="Merge components with at least this overlap, from 0 (separate) to 1 (identical); for example 0.3."
        ),
    ] = None,
    method: Annotated[str, typer.Option(help=f"Inference: {either(METHODS)}.", autocompletion=one_of(*METHODS))] = "vb",
    sample: Annotated[int, typer.Option(help="Number of pixels to fit.")] = 50_000,
    fit: Annotated[
        Path | None,
        typer.Option(
            help="Saved fit of another image, instead of -k: this image is segmented into the regions of that fit.",
            autocompletion=files(*FITS),
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same regions.")] = 0,
) -> None:
    """Segment an image into regions: labels, entropy, overlay, palette and a table."""
    from bayesgmm.apps.images.image_input import read_image
    from bayesgmm.apps.images.regions import TRANSPARENT, WRITTEN, save_regions
    from bayesgmm.apps.images.segmentation import fit_pixels, segment_image
    from bayesgmm.clusterings.merging import merge_components
    from bayesgmm.declared import whole
    from bayesgmm.files import made_folder
    from bayesgmm.posterior.schema import load, save

    if fit is not None:
        refuse({"components", "features", "method", "sample"}, "can't be used with --fit: the fit defines the regions")
    for name in WRITTEN:
        check_other(output / name, image, fit)
    checked, mixture = read_image(image), load(fit) if fit is not None else None
    count = whole("components", 5 if components is None else components, maximum=TRANSPARENT)  # limit of labels.png
    folder = made_folder(output, WRITTEN)
    for note in checked.notes:
        say(note, err=True)
    if mixture is None:
        names = names_of(features)
        mixture = fit_pixels(checked, count, features=names, method=method, sample=sample, seed=seed)
        _say_left_out(mixture, names)
        wrote(save(mixture, folder / "fit.nc"))
    merged = merge_components(mixture, overlap=merge) if merge is not None else None
    if merged is not None:
        say(f"{merged.sizes['component']} components merged into {merged.attrs['n_clusters']}")
    regions = segment_image(checked, fit=mixture, merge=merged, smoothing=smoothing, seed=seed)
    _show(regions)
    for path in save_regions(regions, folder):
        wrote(path)


def _say_left_out(fit: "xr.DataTree", features: list[str]) -> None:
    from bayesgmm.apps.images.segmentation import left_out
    from bayesgmm.wording import listing

    if missing := left_out(fit, features):
        say(f"left out, constant in the image: {listing(missing)}", err=True)


def _show(regions: "xr.Dataset") -> None:
    from bayesgmm.apps.images.regions import region_table

    table = region_table(regions)
    title = f"{regions.sizes['x']} x {regions.sizes['y']} pixels, by {regions.attrs['features'].replace('_', ' ')}"
    shown = table[["share", "colour", "pieces", "largest", "perimeter", "entropy"]]
    show(_formatted(shown), title, name="regions", values=table, saved=True)


def _formatted(table: "pd.DataFrame") -> "pd.DataFrame":
    shown = table.astype(object)
    for column, form in FORMATS.items():
        shown[column] = ["" if value != value else f"{value:{form}}" for value in table[column]]
    return shown
