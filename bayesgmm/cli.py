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
    model: Annotated[Path | None, typer.Option(help="A model card (TOML), in place of -k.")] = None,
    covariance: Annotated[str | None, typer.Option(help="full, tied, diag or spherical. (default: full)")] = None,
    method: Annotated[str, typer.Option(help="nuts, advi, fullrank_advi or em.")] = "nuts",
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
    chosen = [name.strip() for name in columns.split(",") if name.strip()] if columns is not None else card_columns
    frame = _read(data, chosen)
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
    from bayesgmm.model import MixtureModel, load_card

    if (model is None) == (components is None):
        raise DeclarationError("give either -k (how many components) or --model (a card), for example -k 3")
    if components is not None:
        return MixtureModel(n_components=components, covariance=covariance or "full"), None
    assert model is not None
    if covariance is not None:
        raise DeclarationError(f"--covariance goes with -k; {model} declares its own")
    card = load_card(model)
    return card.mixture, list(card.data.columns) if card.data.columns else None


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
    if any(path is not None and path.resolve() == output.resolve() for path in inputs):
        raise FitFileError(f"{output} is what is read; write to another file")
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
