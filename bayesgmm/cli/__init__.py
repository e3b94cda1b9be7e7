"""The terminal: parse, call, show. Nothing is computed here."""

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bayesgmm.cli.applications import segment
from bayesgmm.cli.selection import compare, select
from bayesgmm.cli.terminal import (
    Columns,
    DataFile,
    FitFile,
    NewData,
    TableOut,
    check_picture,
    check_table,
    chosen_columns,
    declare,
    read,
    read_new,
    say,
    write,
)

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

app = typer.Typer(
    help="Bayesian Gaussian mixtures with honest uncertainty.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        say(f"bayesgmm {version('bayesgmm')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Bayesian Gaussian mixtures with honest uncertainty."""


@app.command()
def fit(
    data: DataFile,
    output: Annotated[Path, typer.Option("-o", "--output", help="Where to write (.nc or .zarr).", show_default=False)],
    components: Annotated[int | None, typer.Option("-k", "--components", help="How many components.")] = None,
    model: Annotated[
        Path | None,
        typer.Option(help="A model card, in place of -k: a TOML file, or a name from 'bayesgmm models'."),
    ] = None,
    covariance: Annotated[str | None, typer.Option(help="full, tied, diag or spherical. (default: full)")] = None,
    method: Annotated[str, typer.Option(help="nuts, advi, fullrank_advi, vb, map, mle or em.")] = "nuts",
    columns: Columns = None,
    draws: Annotated[int | None, typer.Option(help="Kept draws a chain.")] = None,
    chains: Annotated[int | None, typer.Option(help="Chains.")] = None,
    seed: Annotated[int | None, typer.Option(help="The same seed gives the same draws.")] = None,
) -> None:
    """Fit a mixture to a table."""
    from bayesgmm import posterior
    from bayesgmm.inference import fit as run

    posterior.check_writable(output)
    declared, card_columns = declare(model, components, covariance)
    frame = read(data, chosen_columns(columns, card_columns))
    settings: dict[str, Any] = {
        name: value for name, value in {"draws": draws, "chains": chains}.items() if value is not None
    }
    result = run(declared, frame, method, seed=seed, **settings)
    posterior.save(result, output)
    _show_fit(result)
    say(f"wrote {output}")


@app.command()
def assign(fit: FitFile, output: TableOut, data: NewData = None) -> None:
    """Write the component of each point, with probabilities and uncertainty."""
    from bayesgmm.posterior import load
    from bayesgmm.predictive import assignments

    check_table(output, fit, data)
    answer = assignments(load(fit), read_new(data))
    write(_assignment_frame(answer), output)


@app.command()
def score(fit: FitFile, output: TableOut, data: NewData = None) -> None:
    """Write how strange each point is: log density, and the probability of one at least as strange."""
    from bayesgmm.posterior import load
    from bayesgmm.predictive import anomaly_scores

    check_table(output, fit, data)
    answer = anomaly_scores(load(fit), read_new(data))
    write(answer.to_dataframe(), output)


@app.command()
def prior(
    card: Annotated[Path, typer.Argument(help="A model card: a TOML file, or a name.", show_default=False)],
    data: DataFile,
    output: Annotated[Path, typer.Option("-o", "--output", help="A .png, .pdf or .svg file.", show_default=False)],
    columns: Columns = None,
    draws: Annotated[int, typer.Option(help="Mixtures from the prior.")] = 500,
    seed: Annotated[int, typer.Option(help="The same seed gives the same picture.")] = 0,
) -> None:
    """Look before you fit: draw what a card's priors expect beside the data."""
    import matplotlib as mpl

    from bayesgmm import plots
    from bayesgmm.elicitation import prior_predictive

    check_picture(output, card, data)
    declared, card_columns = declare(card, None, None)
    tree = prior_predictive(declared, read(data, chosen_columns(columns, card_columns)), draws, seed=seed)
    mpl.use("Agg")
    plots.prior(tree).savefig(output, dpi=150)
    say(_expected_clusters(tree))
    say(f"wrote {output}")


app.command()(select)
app.command()(compare)
app.command()(segment)


models = typer.Typer(help="The model cards that come with bayesgmm.", invoke_without_command=True)
app.add_typer(models, name="models")


@models.callback()
def list_models(context: typer.Context) -> None:
    """List the model cards that come with bayesgmm, and what each is for."""
    if context.invoked_subcommand is not None:
        return
    from rich.console import Console
    from rich.table import Table

    from bayesgmm.model import cards, load_card

    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    for name, path in cards().items():
        card = load_card(path)
        table.add_row(name, card.title, card.about)
    Console().print(table)
    say("\nbayesgmm models show NAME prints a card; bayesgmm fit data.csv --model NAME uses it.")


@models.command()
def show(name: Annotated[str, typer.Argument(help="Name of a card.", show_default=False)]) -> None:
    """Print a card, ready to be saved and changed."""
    from bayesgmm.model import card_path

    say(card_path(name).read_text(encoding="utf-8").rstrip())


@app.command()
def demo(
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for the files it writes.")] = Path(
        "bayesgmm-demo"
    ),
) -> None:
    """Fit the iris measurements with NUTS, and show what comes out."""
    from bayesgmm.demo import run

    run(output, say)


def main() -> None:
    """Run the command line; what goes wrong on purpose is one message, not a traceback."""
    from bayesgmm.errors import BayesGMMError

    try:
        with _warnings_in_words():
            app()
    except BayesGMMError as error:
        say(f"error: {error}", err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        say("interrupted; nothing was written", err=True)
        sys.exit(130)


@contextmanager
def _warnings_in_words() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        warnings.showwarning = lambda message, *args, **kwargs: say(f"warning: {message}", err=True)
        yield


def _expected_clusters(tree: "xr.DataTree") -> str:
    from bayesgmm.elicitation import elicit
    from bayesgmm.posterior import declaration

    count = len(tree["observed_data"]["x"])
    chance = elicit(declaration(tree), count)["probability"]
    most = int(chance["n_clusters"].values[chance.values.argmax()])
    mean = float((chance * chance["n_clusters"]).sum())
    return f"before any data: {mean:.1f} clusters are expected among {count} points, {most} most probably"


def _assignment_frame(answer: "xr.Dataset") -> "pd.DataFrame":
    frame = answer[["label", "uncertainty"]].to_dataframe()
    for k in answer["component"].values:
        frame[f"probability_{k}"] = answer["probability"].sel(component=k).values
    return frame


def _show_fit(fit: "xr.DataTree") -> None:
    from rich.console import Console

    from bayesgmm.summary import convergence_line, rich_table

    Console().print(rich_table(fit))
    say(convergence_line(fit))
