"""Commands for the data sets that come with the package: list them, save one as a table."""

from pathlib import Path
from typing import Annotated

import typer

from bayesgmm.cli.application import App
from bayesgmm.cli.data import check_table, write
from bayesgmm.cli.printed_tables import literal, show_table
from bayesgmm.cli.terminal import record, remark

datasets = App(help="Data sets that come with the package.", invoke_without_command=True)


def dataset_names(incomplete: str) -> list[str]:
    """Complete the name of a data set."""
    from bayesgmm.datasets import DATASETS

    return [name for name in sorted(DATASETS) if name.startswith(incomplete)]


@datasets.callback()
def list_datasets(context: typer.Context) -> None:
    """List the data sets, with a description of each."""
    if context.invoked_subcommand is not None:
        return
    from rich.table import Table

    from bayesgmm.datasets import DATASETS

    table, words = Table(box=None, padding=(0, 2, 0, 0), show_header=False), {}
    table.add_column(no_wrap=True)
    for name, load in sorted(DATASETS.items()):
        words[name] = (load.__doc__ or "").strip().partition("\n")[0]
        table.add_row(literal(name), literal(words[name]))
    record(datasets=[{"name": name, "about": about} for name, about in words.items()])
    show_table(table)
    remark("\nbayesgmm datasets save NAME table.csv writes one.")


@datasets.command("save")
def save_dataset(
    name: Annotated[
        str, typer.Argument(help="A name from 'bayesgmm datasets'.", show_default=False, autocompletion=dataset_names)
    ],
    output: Annotated[Path, typer.Argument(help="Output file (.csv or .parquet).", show_default=False)],
) -> None:
    """Write a data set as a table."""
    from bayesgmm.datasets import DATASETS
    from bayesgmm.errors import choose

    load = choose(name, DATASETS, "data set")
    check_table(output)
    write(load(), output, index=False)
