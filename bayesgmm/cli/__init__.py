"""Command line: each command reads its options, calls the package and shows the result; nothing is computed here."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bayesgmm.cli.analyses import anomalies, cluster
from bayesgmm.cli.application import EXIT_CODES, App, run
from bayesgmm.cli.applications import segment
from bayesgmm.cli.cards import models
from bayesgmm.cli.completion import FITS, card_names, files
from bayesgmm.cli.coresets import coreset
from bayesgmm.cli.data import check_picture, declare, in_parts, placed, read_for, rows_for, weights_of, without_weights
from bayesgmm.cli.datasets import datasets
from bayesgmm.cli.diagnosis import diagnose
from bayesgmm.cli.discriminants import discriminant_plane
from bayesgmm.cli.options import (
    COUNT,
    CardName,
    CheckpointFolder,
    Columns,
    Covariance,
    DataAnywhere,
    LabelColumn,
    Memory,
    Method,
    NoiseColumns,
    OwnOrFile,
    Scheduler,
    WeightColumn,
)
from bayesgmm.cli.partitions import partition
from bayesgmm.cli.predictions import assign, deconvolve, density, impute, score
from bayesgmm.cli.printed_tables import show, show_table
from bayesgmm.cli.reports import report
from bayesgmm.cli.selection import compare, select
from bayesgmm.cli.session import records
from bayesgmm.cli.settings import Chains, Draws, MaxDraws, Starts, Sweeps, Tune
from bayesgmm.cli.settings import given as chosen_settings
from bayesgmm.cli.speech import speech
from bayesgmm.cli.tables import Drop, Keep
from bayesgmm.cli.terminal import record, remark, say, session, wrote

if TYPE_CHECKING:
    import xarray as xr

app = App(
    help="Bayesian Gaussian mixtures with honest uncertainty.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        import bayesgmm

        say(f"bayesgmm {bayesgmm.__version__}")
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
    output: Annotated[
        Path,
        typer.Option(
            "-o", "--output", help="Output file (.nc or .zarr).", show_default=False, autocompletion=files(*FITS)
        ),
    ],
    data: OwnOrFile = None,
    components: Annotated[int | None, typer.Option("-k", "--components", **COUNT, help="Number of components.")] = None,
    model: CardName = None,
    covariance: Covariance = None,
    method: Method = None,
    columns: Columns = None,
    noise_columns: NoiseColumns = None,
    drop: Drop = None,
    keep: Keep = None,
    label_column: LabelColumn = None,
    weight_column: WeightColumn = None,
    memory: Memory = None,
    checkpoint: CheckpointFolder = None,
    scheduler: Scheduler = None,
    draws: Draws = None,
    max_draws: MaxDraws = None,
    chains: Chains = None,
    tune: Tune = None,
    n_init: Starts = None,
    sweeps: Sweeps = None,
    seed: Annotated[
        int | None, typer.Option(help="The same seed gives the same draws. (default: 0; for a card's own data its own)")
    ] = None,
    data_anywhere: DataAnywhere = False,
) -> None:
    """Fit a mixture to a table, or the mixture of a card to its own data."""
    from bayesgmm.data.points import as_points
    from bayesgmm.files import writable
    from bayesgmm.inference import fit as fit_mixture
    from bayesgmm.posterior import schema
    from bayesgmm.posterior.missing_codes import with_missing_codes

    writable(output, *schema.FORMATS)
    card = declare(model, components, covariance, data_anywhere)
    if in_parts(data, memory, scheduler):
        assert data is not None
        rows: Any = rows_for(card, data, columns, weight_column, drop, keep)
        known: dict[str, Any] = {"memory": memory}
        codes: Mapping[str, Sequence[float]] = {}
    else:
        weights = weights_of(data, weight_column, columns)
        given = read_for(card, data, columns, noise_columns, label_column, weight_column, drop, keep)
        rows = as_points(without_weights(given.frame, weights), gaps=True)
        known, codes = given.known | {"sample_weight": weights}, given.codes
    own = None if model is None else card.fit.method  # -k declares no method
    settings: dict[str, Any] = dict(card.fit.settings) if method in (None, card.fit.method) else {}
    settings |= chosen_settings(
        draws=draws, max_draws=max_draws, chains=chains, tune=tune, n_init=n_init, sweeps=sweeps
    )
    if seed is None:
        seed = card.fit.seed if data is None else 0
    with placed(rows, scheduler) as placed_rows:
        known |= {"checkpoint": checkpoint, "seed": seed}
        result = fit_mixture(card.mixture, placed_rows, method or own, **known, **settings)
    schema.save(with_missing_codes(result, codes), output)
    for words in _row_words(result):
        remark(words)
    _show_fit(result)
    wrote(output)


def _row_words(fit: "xr.DataTree") -> list[str]:
    """Describe missing values, errors and labels of the fitted rows, or where rows were read that the fit lacks."""
    from bayesgmm.posterior import schema
    from bayesgmm.posterior.info import info

    if not schema.holds_points(fit):
        source = info(fit).source
        if source is None:
            return []
        gaps = f"; {source.n_gaps:,} have missing values: what is observed of them is used" if source.n_gaps else ""
        return [f"{source.n_rows:,} rows of {source.name} were read in parts{gaps}"]
    points = schema.observed(fit)
    labels = "" if points.labels is None else points.labels.words(fit["posterior"].sizes["component"])
    return [words for words in (points.gap_words(), points.noise_words(), labels) if words]


@app.command()
def prior(
    card: Annotated[
        Path,
        typer.Argument(
            help="A name from 'bayesgmm models', or a TOML file.", show_default=False, autocompletion=card_names
        ),
    ],
    output: Annotated[
        Path,
        typer.Option("-o", "--output", help="Output file for the figure (.png, .pdf or .svg).", show_default=False),
    ],
    data: OwnOrFile = None,
    columns: Columns = None,
    drop: Drop = None,
    keep: Keep = None,
    draws: Annotated[int, typer.Option(help="Number of mixtures to draw from the prior.")] = 500,
    seed: Annotated[int, typer.Option(help="The same seed gives the same figure.")] = 0,
    data_anywhere: DataAnywhere = False,
) -> None:
    """Check the priors of a card before the fit: plot the data beside data simulated from the priors."""
    import matplotlib as mpl

    from bayesgmm import plots
    from bayesgmm.files import write_picture
    from bayesgmm.predictions.elicitation import prior_predictive

    check_picture(output, *(path for path in (card, data) if path is not None))
    declared = declare(card, None, None, data_anywhere)
    given = read_for(declared, data, columns, drop=drop, keep=keep)
    tree = prior_predictive(declared.mixture, given.frame, draws, seed=seed)
    mpl.use("Agg")
    write_picture(plots.prior(tree), output)
    _show_expected_clusters(tree)
    wrote(output)


COMMANDS = (
    assign,
    score,
    density,
    impute,
    deconvolve,
    partition,
    discriminant_plane,
    diagnose,
    report,
    select,
    compare,
    coreset,
    segment,
    anomalies,
    cluster,
)
for command in COMMANDS:
    app.command()(command)
app.add_typer(speech, name="speech")
app.add_typer(models, name="models")
app.add_typer(datasets, name="datasets")


@app.command()
def demo(
    output: Annotated[Path, typer.Option("-o", "--output", help="Output folder.")] = Path("bayesgmm-demo"),
) -> None:
    """Fit the iris data with NUTS, show the results, and write the files that the documentation's examples read."""
    from bayesgmm.apps.examples import write_examples
    from bayesgmm.cards import demo

    demo.run(output, remark, show, show_table, wrote)
    remark("\nfor the examples of the documentation:")
    for name, what in write_examples(output).items():
        wrote(output / name)
        remark(f"  {what}")


@app.command()
def warmup() -> None:
    """Compile all functions for this machine now, so that later commands do not have to."""
    from bayesgmm.warmup import warm_up

    count = warm_up()
    record(compiled=count)
    remark(f"{count} functions are compiled for this machine")


def main() -> None:
    """Run the command line."""
    sys.exit(run(app, sys.argv[1:]))


def _show_expected_clusters(tree: "xr.DataTree") -> None:
    from bayesgmm.posterior.info import declaration
    from bayesgmm.predictions.elicitation import elicit

    count = len(tree["observed_data"]["x"])
    chance = elicit(declaration(tree), count)["probability"]
    mode = int(chance["n_clusters"].values[chance.values.argmax()])
    mean = float((chance * chance["n_clusters"]).sum())
    record(n_points=count, expected_clusters=mean, probability=records(chance.to_dataframe()))
    say(f"under the prior, {mean:.1f} clusters are expected among {count} points; the most probable number is {mode}")


def _show_fit(fit: "xr.DataTree") -> None:
    from bayesgmm.diagnosis.summary import (
        component_sizes,
        component_table,
        component_words,
        convergence_line,
        convergence_numbers,
    )
    from bayesgmm.posterior.info import info

    facts, (title, words) = info(fit), component_words(fit)
    record(method=facts.method, seed=facts.seed, seconds=facts.seconds)
    show(words, title, name="components", values=component_table(fit), saved=True, end_after=("weight",))
    if session().json:
        record(points=component_sizes(fit), convergence=convergence_numbers(fit))
    remark(convergence_line(fit))
