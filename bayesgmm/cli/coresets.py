"""The command ``coreset``: a few weighted rows in place of many."""

from typing import Annotated

import typer

from bayesgmm.cli.data import WEIGHT, check_table, opened, placed, write
from bayesgmm.cli.options import COUNT, Columns, DataFile, Memory, Scheduler, TableOut
from bayesgmm.cli.printed_tables import show
from bayesgmm.cli.settings import Seed
from bayesgmm.cli.tables import Drop, Keep
from bayesgmm.cli.terminal import chosen_columns, record, remark, say


def coreset(
    data: DataFile,
    components: Annotated[
        int, typer.Option("-k", "--components", **COUNT, help="Number of components, or an upper bound.")
    ],
    output: TableOut,
    size: Annotated[int, typer.Option(help="Number of rows of the coreset.")] = 10_000,
    calibrated: Annotated[
        bool,
        typer.Option(
            "--calibrated",
            help="Write smaller weights, under which intervals are as wide as the error of the coreset. (default: "
            "weights for point estimates, N in sum)",
        ),
    ] = False,
    columns: Columns = None,
    drop: Drop = None,
    keep: Keep = None,
    memory: Memory = None,
    scheduler: Scheduler = None,
    seed: Seed = 0,
) -> None:
    """Draw a few weighted rows that stand for all rows in fits (a coreset), and measure their error."""
    from bayesgmm.errors import DataError
    from bayesgmm.inference.coresets import EXACT
    from bayesgmm.inference.coresets import coreset as draw

    check_table(output, data)
    rows = opened(data, chosen_columns(columns), drop=drop, keep=keep)
    if WEIGHT in rows.columns:
        raise DataError(
            f"there is a column {WEIGHT!r}, the name of that of the weights\n"
            "  Rename it, or leave it out with --columns."
        )
    with placed(rows, scheduler) as placed_rows:
        found = draw(placed_rows, components, size, seed=seed, memory=memory)
    errors = found.errors.rename(columns=lambda name: name.replace("_", " "))
    title = "Mean log likelihood of a row, minus that of one Gaussian, in nats"
    show(errors.map("{:.4f}".format), title, name="errors", values=found.errors)
    record(n_rows=found.n_rows, width=found.width)
    share = f"{len(found.points):,} of {found.n_rows:,} rows"
    say(f"{share}; largest error of the mean log likelihood of a row {found.max_error:.2g} nats")
    write(found.table(WEIGHT, calibrated=calibrated), output, "points", index=False)
    if not calibrated and found.width > EXACT:
        remark(f"these weights are for point estimates: intervals from them are {found.width:.3g} times too narrow")
        remark("for intervals, add --calibrated")
    remark(f"fit it with --weight-column {WEIGHT}")
