"""The ``segment`` command: regions of an image."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bayesgmm.cli.completion import FITS, METHODS, either, files, one_of, some_of
from bayesgmm.cli.options import COUNT
from bayesgmm.cli.printed_tables import show
from bayesgmm.cli.terminal import check_other, names_of, refuse, say, wrote

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from bayesgmm.apps.images.image_arrays import InputImage

IMAGES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".gif", ".webp")
FEATURES = ("colour", "texture", "direction", "place")
KINDS = {kind: kind for kind in ("connected", "components")}
SHOWN = 20  # regions in the table at the terminal
FORMATS = {"share": ".1%", "largest": ".1%", "entropy": ".3f", "perimeter": ".0f"}


def segment(
    image: Annotated[
        Path,
        typer.Argument(help="An image: PNG, JPEG, TIFF, ...", show_default=False, autocompletion=files(*IMAGES)),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="Output folder.", show_default=False)],
    components: Annotated[
        int | None, typer.Option("-k", "--components", **COUNT, help="Number of components. (default: 8)")
    ] = None,
    features: Annotated[
        str | None,
        typer.Option(
            help="One or more of colour, texture, direction and place, separated by commas. "
            "(default: colour; all bands, if these are measured values)",
            autocompletion=some_of(*FEATURES),
        ),
    ] = None,
    band: Annotated[
        str | None,
        typer.Option(help="Bands to use as features, from 1, separated by commas: 4 or 4,3,2.", show_default=False),
    ] = None,
    page: Annotated[
        int | None, typer.Option(help="Page of a TIFF, or frame of an animation. (default: the first)")
    ] = None,
    smoothing: Annotated[float, typer.Option(help="Strength of smoothing between neighbours; 0 for none.")] = 0.5,
    merge: Annotated[
        float | None,
        typer.Option(
            help="Merge components with at least this overlap, from 0 (separate) to 1 (identical); for example 0.3."
        ),
    ] = None,
    regions: Annotated[
        str,
        typer.Option(help=f"Regions in the files: {either(KINDS)}.", autocompletion=one_of(*KINDS)),
    ] = "connected",
    detail: Annotated[
        float,
        typer.Option(help="Smaller values give more connected regions; 0 merges none."),
    ] = 0.015,
    method: Annotated[str, typer.Option(help=f"Inference: {either(METHODS)}.", autocompletion=one_of(*METHODS))] = "vb",
    sample: Annotated[int, typer.Option(help="Number of pixels to fit.")] = 10_000,
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
    from bayesgmm.apps.images.segmentation import N_COMPONENTS, fit_pixels, segment_image, up_to_maximum
    from bayesgmm.clusterings.merging import merge_components
    from bayesgmm.declared import whole
    from bayesgmm.errors import choose
    from bayesgmm.files import made_folder
    from bayesgmm.posterior.schema import load, save

    if fit is not None:
        refuse(
            {"components", "features", "band", "method", "sample"},
            "can't be used with --fit: the fit defines the regions",
        )
    for name in WRITTEN:
        check_other(output / name, image, fit)
    checked, mixture = read_image(image, page), load(fit) if fit is not None else None
    wanted = N_COMPONENTS if components is None else components
    count = whole("components", wanted, maximum=TRANSPARENT)  # limit of labels.png
    kind, detail = choose(regions, KINDS, "--regions"), up_to_maximum("detail", detail)
    folder = made_folder(output, WRITTEN)
    for note in checked.notes:
        say(note, err=True)
    if mixture is None:
        names = _features(features, band)
        mixture = fit_pixels(checked, count, features=names, method=method, sample=sample, seed=seed)
        _say_left_out(mixture, checked, names)
        wrote(save(mixture, folder / "fit.nc"))
    merged = merge_components(mixture, overlap=merge) if merge is not None else None
    if merged is not None:
        say(f"{merged.sizes['component']} components merged into {merged.attrs['n_clusters']}")
    found = segment_image(checked, fit=mixture, merge=merged, smoothing=smoothing, detail=detail, seed=seed)
    _show(found, kind)
    for path in save_regions(found, folder, kind):
        wrote(path)


def _features(features: str | None, band: str | None) -> list[str] | None:
    """Return the names of the features; bands are named by their numbers.

    Raises
    ------
    DeclarationError
        If a band is not a whole number from 1.
    """
    from bayesgmm.errors import DeclarationError

    numbers = names_of(band) if band is not None else []
    if wrong := [one for one in numbers if not (one.isascii() and one.isdigit() and int(one) > 0)]:
        raise DeclarationError(f"--band {wrong[0]}: give whole numbers from 1, separated by commas; for example 4,3,2")
    names = names_of(features) if features is not None else []
    return [*names, *(f"band_{int(one)}" for one in numbers)] or None


def _say_left_out(fit: "xr.DataTree", image: "InputImage", features: list[str] | None) -> None:
    from bayesgmm.apps.images.segmentation import left_out
    from bayesgmm.wording import listing

    if missing := left_out(fit, image, features):
        say(f"left out, constant in the image: {listing(missing)}", err=True)


def _show(segments: "xr.Dataset", regions: str) -> None:
    from bayesgmm.apps.images.regions import region_table

    table = region_table(segments, regions)
    title = f"{segments.sizes['x']} x {segments.sizes['y']} pixels, by {segments.attrs['features'].replace('_', ' ')}"
    parts = [] if regions == "connected" else ["pieces", "largest"]
    shown = table[["share", "colour", *parts, "perimeter", "entropy"]]
    if len(shown) > SHOWN:
        title += f"; the {SHOWN} largest of {len(shown)} regions"
    show(_formatted(shown[:SHOWN]), title, name="regions", values=table, saved=True)


def _formatted(table: "pd.DataFrame") -> "pd.DataFrame":
    shown = table.astype(object)
    for column in shown.columns.intersection(list(FORMATS)):
        form = FORMATS[column]
        shown[column] = ["" if value != value else f"{value:{form}}" for value in table[column]]
    return shown
