"""The commands of the applications: from a file to files."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bayesgmm.cli.completion import FITS, METHODS, either, files, one_of, some_of
from bayesgmm.cli.terminal import check_other, names_of, refuse, say, show, wrote

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".gif", ".webp")
FEATURES = ("colour", "texture", "direction", "place")
WORDS = {"share": ".1%", "largest": ".1%", "entropy": ".3f", "perimeter": ".0f"}


def segment(
    image: Annotated[
        Path,
        typer.Argument(help="A picture: PNG, JPEG, TIFF, ...", show_default=False, autocompletion=files(*PICTURES)),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for what it writes.", show_default=False)],
    components: Annotated[int | None, typer.Option("-k", "--components", help="How many. (default: 5)")] = None,
    features: Annotated[
        str,
        typer.Option(
            help="Of colour, texture, direction and place, separated by commas.", autocompletion=some_of(*FEATURES)
        ),
    ] = "colour",
    smoothing: Annotated[float, typer.Option(help="How strongly neighbours agree; 0 for not at all.")] = 0.5,
    merge: Annotated[
        float | None,
        typer.Option(help="One region of components that overlap by so much: 0 is apart, 1 the same; 0.3, say."),
    ] = None,
    method: Annotated[str, typer.Option(help=f"{either(METHODS)}.", autocompletion=one_of(*METHODS))] = "vb",
    sample: Annotated[int, typer.Option(help="Pixels that the mixture is fitted to.")] = 50_000,
    fit: Annotated[
        Path | None,
        typer.Option(
            help="The fit.nc of another picture, in place of -k: the same regions in this one.",
            autocompletion=files(*FITS),
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same regions.")] = 0,
) -> None:
    """Divide a picture into regions: labels, entropy, an overlay, a palette, and a table."""
    from bayesgmm.apps.images.pictures import as_picture
    from bayesgmm.apps.images.regions import NOWHERE, WRITTEN, save_regions
    from bayesgmm.apps.images.segmentation import fit_pixels, segment_image
    from bayesgmm.clusterings.merging import merge_components
    from bayesgmm.declared import whole
    from bayesgmm.files import made_folder
    from bayesgmm.posterior.schema import load, save

    if fit is not None:
        refuse({"components", "features", "method", "sample"}, "can't go with --fit: that has its regions")
    for name in WRITTEN:
        check_other(output / name, image, fit)
    picture, mixture = as_picture(image), load(fit) if fit is not None else None
    count = whole("components", 5 if components is None else components, most=NOWHERE)  # what labels.png can hold
    folder = made_folder(output, WRITTEN)
    for note in picture.notes:
        say(note, err=True)
    if mixture is None:
        wanted = names_of(features)
        mixture = fit_pixels(picture, count, features=wanted, method=method, sample=sample, seed=seed)
        _say_left_out(mixture, wanted)
        wrote(save(mixture, folder / "fit.nc"))
    merged = merge_components(mixture, overlap=merge) if merge is not None else None
    if merged is not None:
        say(f"{merged.sizes['component']} components merged into {merged.attrs['n_clusters']}")
    regions = segment_image(picture, fit=mixture, merge=merged, smoothing=smoothing, seed=seed)
    _show(regions)
    for path in save_regions(regions, folder):
        wrote(path)


def _say_left_out(fit: "xr.DataTree", features: list[str]) -> None:
    from bayesgmm.apps.images.segmentation import left_out
    from bayesgmm.data.points import listing

    if missing := left_out(fit, features):
        say(f"left out, the same everywhere: {listing(missing)}", err=True)


def _show(regions: "xr.Dataset") -> None:
    from bayesgmm.apps.images.regions import region_table

    table = region_table(regions)
    title = f"{regions.sizes['x']} x {regions.sizes['y']} pixels, by {regions.attrs['features'].replace('_', ' ')}"
    shown = table[["share", "colour", "pieces", "largest", "perimeter", "entropy"]]
    show(_in_words(shown), title, name="regions", values=table, saved=True)


def _in_words(table: "pd.DataFrame") -> "pd.DataFrame":
    shown = table.astype(object)
    for column, form in WORDS.items():
        shown[column] = ["" if value != value else f"{value:{form}}" for value in table[column]]
    return shown
