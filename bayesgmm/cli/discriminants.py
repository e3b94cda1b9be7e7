"""The command ``discriminant-plane``: the directions in which the clusters differ."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bayesgmm.cli.data import check_picture, check_table, write
from bayesgmm.cli.options import FitFile, NewData, TableOut
from bayesgmm.cli.printed_tables import show
from bayesgmm.cli.terminal import wrote

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr


def discriminant_plane(
    fit: FitFile,
    output: TableOut,
    data: NewData = None,
    ci_prob: Annotated[float, typer.Option(help="Probability of the angles, and of the regions in the plot.")] = 0.9,
    plot: Annotated[
        Path | None, typer.Option(help="Output file for a figure of the fitted points (.png, .pdf or .svg).")
    ] = None,
) -> None:
    """Write the coordinates of the points along the directions in which the clusters differ most."""
    from bayesgmm.clusterings.discriminants import discriminant_plane as find
    from bayesgmm.posterior.schema import load

    check_table(output, fit, data)
    if plot is not None:
        check_picture(plot, fit)
    read = load(fit)
    answer = find(read, data, ci_prob=ci_prob)
    show(_directions(answer), "Directions in which the clusters differ most", name="directions")
    coordinates = answer["coordinates"].to_pandas().rename_axis(columns=None)
    write(coordinates.add_prefix("direction_"), output, "points")
    if plot is not None:
        _draw(read, ci_prob, plot)


def _directions(answer: "xr.Dataset") -> "pd.DataFrame":
    """Describe each direction: shares, angles in degrees except of a point estimate, and loadings of the columns."""
    numbers = answer[["share", "between", "angle", "subspace_angle"]].to_dataframe().dropna(axis="columns")
    return numbers.join(answer["loading"].to_pandas(), rsuffix="_loading")


def _draw(fit: "xr.DataTree", ci_prob: float, path: Path) -> None:
    import matplotlib as mpl

    from bayesgmm import plots
    from bayesgmm.files import write_picture

    mpl.use("Agg")
    write_picture(plots.discriminant_plane(fit, ci_prob), path)
    wrote(path)
