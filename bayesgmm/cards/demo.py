"""The analysis of ``bayesgmm demo``: the iris data, from the fit to assignments and a figure."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bayesgmm import plots
from bayesgmm.bundled import card_path
from bayesgmm.cards.card import load_card
from bayesgmm.datasets import iris
from bayesgmm.diagnosis.summary import component_table, component_words, convergence_line
from bayesgmm.files import made_folder, write_csv, write_picture
from bayesgmm.inference import fit
from bayesgmm.posterior import schema
from bayesgmm.predictions.assignment_tables import assignments_table
from bayesgmm.predictions.predictive import assignments

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from rich.table import Table

N_UNCERTAIN = 8  # flowers to print
WRITTEN = {
    "iris.nc": "the fit: bayesgmm.load() reads it, and so does ArviZ",
    "iris.csv": "component, probabilities and uncertainty of each flower",
    "iris.png": "the figure",
}


def run(
    folder: Path,
    say: Callable[[str], None],
    show: Callable[..., None],
    show_table: Callable[["Table"], None],
    wrote: Callable[[Path], None],
) -> None:
    """Fit the iris data, print the results, and write the fit, a table of assignments and a figure into a folder.

    Parameters
    ----------
    folder : Path
    say, show, show_table, wrote : function
        Print a line, a data frame, a table of Rich, and the path of a file that was written.

    Raises
    ------
    FitFileError
        If the folder can't be written.
    """
    made_folder(folder, WRITTEN)
    flowers = iris()
    card = load_card(card_path("iris"))
    say(f"{card.title}: {card.about}\n")
    result = fit(card.mixture, flowers.drop(columns="species"), method="nuts", seed=1)
    answer = assignments(result)
    title, words = component_words(result)
    show(words, title, name="components", values=component_table(result), saved=True, end_after=("weight",))
    say(convergence_line(result) + "\n")
    show_table(_species_table(flowers, answer))
    show_table(_uncertain_table(flowers, answer))
    schema.save(result, folder / "iris.nc")
    write_csv(flowers.join(assignments_table(result).round(4)).rename_axis("flower"), folder / "iris.csv")
    write_picture(plots.assignments(result), folder / "iris.png", dpi=110)
    for name, what in WRITTEN.items():
        wrote(folder / name)
        say(f"  {what}")


def _species_table(flowers: "pd.DataFrame", answer: "xr.Dataset") -> "Table":
    from rich.box import SIMPLE
    from rich.table import Table
    from sklearn.metrics import adjusted_rand_score

    agreement = adjusted_rand_score(flowers["species"], answer["label"].values)
    table = Table(
        title=f"Components and species (species were not used in the fit)\n(adjusted Rand index {agreement:.2f})",
        title_justify="left",
        box=SIMPLE,
    )
    table.add_column("species")
    for k in answer["component"].values:
        table.add_column(f"component {k}", justify="right")
    for species, rows in flowers.groupby("species"):
        counts = np.bincount(answer["label"].values[rows.index], minlength=answer.sizes["component"])
        table.add_row(str(species), *(str(count) if count else "." for count in counts))
    return table


def _uncertain_table(flowers: "pd.DataFrame", answer: "xr.Dataset") -> "Table":
    from rich.box import SIMPLE
    from rich.table import Table

    table = Table(title="The most uncertain flowers", title_justify="left", box=SIMPLE, padding=(0, 0))
    table.add_column("flower", justify="right")
    table.add_column(" species", no_wrap=True)
    for column in flowers.columns.drop("species"):
        table.add_column(column.replace("_", " "), justify="right")
    for k in answer["component"].values:
        table.add_column(f"P({k})", justify="right")
    for i in np.argsort(-answer["entropy"].values, kind="stable")[:N_UNCERTAIN]:
        measured = [f"{value:.1f}" for value in flowers.drop(columns="species").iloc[i]]
        shares = [f"{p:.2f}" for p in answer["probability"].values[i]]
        table.add_row(str(i), " " + flowers["species"].iloc[i], *measured, *shares)
    return table
