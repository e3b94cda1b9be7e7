"""The commands of the applications: from a file to files."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bayesgmm.cli.terminal import check_other, names_of, say, show

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

WIDE = {"share": ".1%", "largest": ".1%", "uncertainty": ".3f", "perimeter": ".0f", "pieces": ".0f"}


def segment(
    image: Annotated[Path, typer.Argument(help="A picture: PNG, JPEG, TIFF, ...", show_default=False)],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for what it writes.", show_default=False)],
    components: Annotated[int | None, typer.Option("-k", "--components", help="How many. (default: 5)")] = None,
    features: Annotated[
        str, typer.Option(help="Of colour, texture, direction and place, separated by commas.")
    ] = "colour",
    smoothing: Annotated[float, typer.Option(help="How strongly neighbours agree; 0 for not at all.")] = 0.5,
    method: Annotated[str, typer.Option(help="vb, em, map, advi, fullrank_advi, mle or nuts.")] = "vb",
    sample: Annotated[int, typer.Option(help="Pixels that the mixture is fitted to.")] = 50_000,
    fit: Annotated[
        Path | None, typer.Option(help="The fit.nc of another picture, in place of -k: the same regions in this one.")
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same regions.")] = 0,
) -> None:
    """Divide a picture into regions: labels, uncertainty, an overlay, a palette, and a table."""
    from bayesgmm.apps.images import as_picture
    from bayesgmm.apps.regions import WRITTEN, prepare_folder, save_regions
    from bayesgmm.apps.segmentation import fit_pixels, left_out, segment_image
    from bayesgmm.data import listing
    from bayesgmm.errors import DeclarationError
    from bayesgmm.posterior import load, save

    if fit is not None and components is not None:
        raise DeclarationError("give -k, or the --fit of another picture, not both")
    for name in WRITTEN:
        check_other(output / name, image, fit)
    picture, mixture = as_picture(image), load(fit) if fit is not None else None
    folder = prepare_folder(output)
    for note in picture.notes:
        say(f"note: {note}", err=True)
    if mixture is None:
        wanted = names_of(features)
        mixture = fit_pixels(
            picture, 5 if components is None else components, features=wanted, method=method, sample=sample, seed=seed
        )
        save(mixture, folder / "fit.nc")
        if missing := left_out(mixture, wanted):
            say(f"left out, the same everywhere: {listing(missing)}", err=True)
    regions = segment_image(picture, fit=mixture, smoothing=smoothing, seed=seed)
    written = [*([] if fit else [folder / "fit.nc"]), *save_regions(regions, folder)]
    _show(regions)
    say(f"wrote {', '.join(path.name for path in written)} into {folder}")


def _show(regions: "xr.Dataset") -> None:
    from bayesgmm.apps.regions import region_table

    table = region_table(regions)
    title = f"{regions.sizes['x']} x {regions.sizes['y']} pixels, by {regions.attrs['features'].replace('_', ' ')}"
    show(_in_words(table[["share", "colour", "pieces", "largest", "perimeter", "uncertainty"]]), title)


def _in_words(table: "pd.DataFrame") -> "pd.DataFrame":
    shown = table.astype(object)
    for column, form in WIDE.items():
        shown[column] = ["" if value != value else f"{value:{form}}" for value in table[column]]
    return shown
