"""The terminal: parse, call, show. Nothing is computed here."""

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

app = typer.Typer(
    help="Bayesian Gaussian mixtures with honest uncertainty.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

DataFile = Annotated[Path, typer.Argument(help="CSV or Parquet, one row a point.", show_default=False)]
FitFile = Annotated[Path, typer.Argument(help="A fit that 'bayesgmm fit' wrote (.nc or .zarr).", show_default=False)]
Columns = Annotated[str | None, typer.Option(help="Columns to use, separated by commas. (default: all numeric)")]
NewData = Annotated[
    Path | None, typer.Argument(help="New points, CSV or Parquet. (default: the points that were fitted)")
]
TableOut = Annotated[
    Path, typer.Option("-o", "--output", help="Where to write (.csv or .parquet).", show_default=False)
]


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        _say(f"bayesgmm {version('bayesgmm')}")
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
    method: Annotated[str, typer.Option(help="nuts, advi, fullrank_advi, vb or em.")] = "nuts",
    columns: Columns = None,
    draws: Annotated[int | None, typer.Option(help="Kept draws a chain.")] = None,
    chains: Annotated[int | None, typer.Option(help="Chains.")] = None,
    seed: Annotated[int | None, typer.Option(help="The same seed gives the same draws.")] = None,
) -> None:
    """Fit a mixture to a table."""
    from bayesgmm import posterior
    from bayesgmm.inference import fit as run

    posterior.check_writable(output)
    declared, card_columns = _declare(model, components, covariance)
    frame = _read(data, _chosen(columns, card_columns))
    settings: dict[str, Any] = {
        name: value for name, value in {"draws": draws, "chains": chains}.items() if value is not None
    }
    result = run(declared, frame, method, seed=seed, **settings)
    posterior.save(result, output)
    _show_fit(result)
    _say(f"wrote {output}")


@app.command()
def assign(fit: FitFile, output: TableOut, data: NewData = None) -> None:
    """Write the component of each point, with probabilities and uncertainty."""
    from bayesgmm.posterior import load
    from bayesgmm.predictive import assignments

    _check_table(output, fit, data)
    answer = assignments(load(fit), _read_new(data))
    _write(_assignment_frame(answer), output)


@app.command()
def score(fit: FitFile, output: TableOut, data: NewData = None) -> None:
    """Write how strange each point is: log density, and the probability of one at least as strange."""
    from bayesgmm.posterior import load
    from bayesgmm.predictive import anomaly_scores

    _check_table(output, fit, data)
    answer = anomaly_scores(load(fit), _read_new(data))
    _write(answer.to_dataframe(), output)


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

    _check_picture(output, card, data)
    declared, card_columns = _declare(card, None, None)
    tree = prior_predictive(declared, _read(data, _chosen(columns, card_columns)), draws, seed=seed)
    mpl.use("Agg")
    plots.prior(tree).savefig(output, dpi=150)
    _say(_expected_clusters(tree))
    _say(f"wrote {output}")


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
    _say("\nbayesgmm models show NAME prints a card; bayesgmm fit data.csv --model NAME uses it.")


@models.command()
def show(name: Annotated[str, typer.Argument(help="Name of a card.", show_default=False)]) -> None:
    """Print a card, ready to be saved and changed."""
    from bayesgmm.model import card_path

    _say(card_path(name).read_text(encoding="utf-8").rstrip())


@app.command()
def demo(
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for the files it writes.")] = Path(
        "bayesgmm-demo"
    ),
) -> None:
    """Fit the iris measurements with NUTS, and show what comes out."""
    from bayesgmm.demo import run

    run(output, _say)


def main() -> None:
    """Run the command line; what goes wrong on purpose is one message, not a traceback."""
    from bayesgmm.errors import BayesGMMError

    try:
        with _warnings_in_words():
            app()
    except BayesGMMError as error:
        _say(f"error: {error}", err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        _say("interrupted; nothing was written", err=True)
        sys.exit(130)


def _say(text: str, err: bool = False) -> None:
    typer.echo(text, err=err)


@contextmanager
def _warnings_in_words() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        warnings.showwarning = lambda message, *args, **kwargs: _say(f"warning: {message}", err=True)
        yield


def _declare(model: Path | None, components: int | None, covariance: str | None) -> tuple[Any, list[str] | None]:
    from bayesgmm.errors import DeclarationError
    from bayesgmm.model import MixtureModel, card_path, load_card

    if (model is None) == (components is None):
        raise DeclarationError("give either -k (how many components) or --model (a card), for example -k 3")
    if components is not None:
        return MixtureModel(n_components=components, covariance=covariance or "full"), None
    assert model is not None
    if covariance is not None:
        raise DeclarationError(f"--covariance goes with -k; {model} declares its own")
    card = load_card(model if model.exists() or model.suffix else card_path(str(model)))
    return card.mixture, list(card.data.columns) if card.data.columns else None


def _chosen(columns: str | None, of_card: list[str] | None) -> list[str] | None:
    return [name.strip() for name in columns.split(",") if name.strip()] if columns is not None else of_card


def _expected_clusters(tree: "xr.DataTree") -> str:
    from bayesgmm.elicitation import elicit
    from bayesgmm.posterior import declaration

    count = len(tree["observed_data"]["x"])
    chance = elicit(declaration(tree), count)["probability"]
    most = int(chance["n_clusters"].values[chance.values.argmax()])
    mean = float((chance * chance["n_clusters"]).sum())
    return f"before any data: {mean:.1f} clusters are expected among {count} points, {most} most probably"


def _check_picture(output: Path, *inputs: Path) -> None:
    from bayesgmm.errors import FitFileError
    from bayesgmm.posterior import writable

    if output.suffix.lower() not in {".png", ".pdf", ".svg"}:
        raise FitFileError(f"{output} must end in .png, .pdf or .svg")
    _check_other(output, *inputs)
    writable(output)


def _check_other(output: Path, *inputs: Path | None) -> None:
    from bayesgmm.errors import FitFileError

    if any(path is not None and path.resolve() == output.resolve() for path in inputs):
        raise FitFileError(f"{output} is what is read; write to another file")


def _read(path: Path, columns: list[str] | None) -> "pd.DataFrame":
    from bayesgmm.data import listing, read_table

    frame, dropped = read_table(path, columns)
    if dropped:
        _say(f"not numeric, left out: {listing(dropped)}; choose with --columns", err=True)
    return frame


def _read_new(path: Path | None) -> "pd.DataFrame | None":
    from bayesgmm.data import read_frame

    return None if path is None else read_frame(path)


def _assignment_frame(answer: "xr.Dataset") -> "pd.DataFrame":
    frame = answer[["label", "uncertainty"]].to_dataframe()
    for k in answer["component"].values:
        frame[f"probability_{k}"] = answer["probability"].sel(component=k).values
    return frame


def _check_table(output: Path, *inputs: Path | None) -> None:
    """Find out before the work that a table can't be written, or would overwrite what it is made from."""
    from bayesgmm.errors import FitFileError
    from bayesgmm.posterior import writable

    if output.suffix.lower() not in {".csv", ".parquet", ".pq"}:
        raise FitFileError(f"{output} must end in .csv or .parquet")
    _check_other(output, *inputs)
    writable(output)


def _write(frame: "pd.DataFrame", path: Path) -> None:
    if path.suffix.lower() in {".parquet", ".pq"}:
        frame.to_parquet(path)
    else:
        frame.to_csv(path)
    _say(f"wrote {path}: {len(frame)} rows")


def _show_fit(fit: "xr.DataTree") -> None:
    from rich.console import Console

    from bayesgmm.summary import convergence_line, rich_table

    Console().print(rich_table(fit))
    _say(convergence_line(fit))
