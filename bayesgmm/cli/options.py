"""Arguments and options that several commands share."""

import re
from pathlib import Path
from typing import Annotated, Any

import typer

from bayesgmm.cli.completion import FITS, METHODS, STRUCTURES, TABLES, card_names, either, files, one_of
from bayesgmm.engines import FOR_PARTS

DataFile = Annotated[
    Path,
    typer.Argument(help="CSV, Excel or Parquet, one row per point.", show_default=False, autocompletion=files(*TABLES)),
]
FitFile = Annotated[
    Path,
    typer.Argument(
        help="A fit that 'bayesgmm fit' wrote (.nc or .zarr).", show_default=False, autocompletion=files(*FITS)
    ),
]
OwnOrFile = Annotated[
    Path | None,
    typer.Argument(
        help="CSV, Excel or Parquet, one row per point. (default: the data of the card)", autocompletion=files(*TABLES)
    ),
]
Columns = Annotated[str | None, typer.Option(help="Columns to use, separated by commas. (default: all measurements)")]
NoiseColumns = Annotated[
    str | None,
    typer.Option(
        help="Columns of standard errors, in the order of the columns that are used; an empty or infinite one makes a "
        "value missing.",
        show_default=False,
    ),
]
LabelColumn = Annotated[
    str | None,
    typer.Option(
        help="Column with the component of each row, a name or number; empty where it is not known. Names become those "
        "of the components.",
        show_default=False,
    ),
]
WeightColumn = Annotated[
    str | None,
    typer.Option(
        help="Column with the number of points that each row stands for, for example that of a coreset.",
        show_default=False,
    ),
]
NewData = Annotated[
    Path | None,
    typer.Argument(
        help="New points, CSV, Excel or Parquet. (default: the points that were fitted)", autocompletion=files(*TABLES)
    ),
]
TableOut = Annotated[
    Path,
    typer.Option(
        "-o", "--output", help="Output file (.csv or .parquet).", show_default=False, autocompletion=files(*TABLES)
    ),
]
Memory = Annotated[
    str | None,
    typer.Option(
        help="Memory that rows may take at a time, for example 500MB or 1GiB: the table is read part by part. "
        "(default: 1GiB for a pattern such as 'data/*.parquet'; other tables are read as a whole)",
        show_default=False,
    ),
]
CheckpointFolder = Annotated[
    Path | None,
    typer.Option(
        "--checkpoint",
        help="Folder in which the work is kept as it is done: after a kill, the same command goes on from there. It "
        "stays until you remove it.",
        show_default=False,
    ),
]
Scheduler = Annotated[
    str | None,
    typer.Option(
        help="Address of a Dask scheduler, for example tcp://host:8786: its workers read the files, and keep the rows.",
        show_default=False,
    ),
]
CardName = Annotated[
    Path | None,
    typer.Option(
        help="A model card instead of -k: a name from 'bayesgmm models', or a TOML file.", autocompletion=card_names
    ),
]
Covariance = Annotated[
    str | None,
    typer.Option(help=f"Covariance: {either(STRUCTURES)}. (default: full)", autocompletion=one_of(*STRUCTURES)),
]
Method = Annotated[
    str | None,
    typer.Option(
        help=f"Inference: {either(METHODS)}. (default: that of the card, or nuts; {FOR_PARTS} for rows in parts)",
        autocompletion=one_of(*METHODS),
    ),
]
DataAnywhere = Annotated[
    bool, typer.Option("--data-anywhere", help="Let the card read data outside its own folder; trust it first.")
]


def one_count(value: str | int) -> int:
    """Read the number of components of ``-k``; a default is a number already.

    Raises
    ------
    typer.BadParameter
        When it is not one positive whole number.
    """
    text = str(value).strip()
    if text.isdecimal() and int(text):
        return int(text)
    several = re.fullmatch(r"\d+([-,:]\d+)+", text)
    instead = f"; to try several: bayesgmm select TABLE -k {text.replace(':', '-')}" if several else ""
    raise typer.BadParameter(f"{text!r} is not a whole number of at least 1; write for example -k 3{instead}")


COUNT: dict[str, Any] = {"parser": one_count, "metavar": "<int>"}
"""Settings of an option with a number of components."""
