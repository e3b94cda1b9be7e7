"""The commands ``select`` and ``compare``: numbers of components, and methods."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bayesgmm.cli.completion import CRITERIA, METHODS, STRUCTURES, either, one_of, some_of
from bayesgmm.cli.data import (
    check_picture,
    check_table,
    declare,
    in_parts,
    measured,
    opened,
    placed,
    read_for,
    require_other,
    weights_of,
    without_weights,
    write,
)
from bayesgmm.cli.options import (
    COUNT,
    CardName,
    Columns,
    Covariance,
    DataFile,
    LabelColumn,
    Memory,
    NoiseColumns,
    WeightColumn,
)
from bayesgmm.cli.printed_tables import in_words, show
from bayesgmm.cli.session import records
from bayesgmm.cli.settings import Chains, Draws, MaxDraws, Seed, Starts, Sweeps, Tune, known_to
from bayesgmm.cli.settings import given as chosen_settings
from bayesgmm.cli.tables import Drop, Keep, TransformOption
from bayesgmm.cli.terminal import chosen_columns, names_of, record, refuse, remark, say, wrote

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from bayesgmm.data.given import Given
    from bayesgmm.data.points import Points
    from bayesgmm.model import MixtureModel

SHOWN = 12  # rows
HEADINGS = {"n_components": "k", "n_parameters": "parameters"}  # short, so that a table fits a terminal
FOUR = "full,tied,diag,spherical"  # families of scikit-learn
MaybeTable = Annotated[
    Path | None, typer.Option("-o", "--output", help="Output file for the table (.csv or .parquet).")
]


def select(
    data: DataFile,
    components: Annotated[
        str, typer.Option("-k", "--components", help="Numbers of components: 3, or 2,4,6, or 1-9.")
    ] = "1-9",
    output: MaybeTable = None,
    covariance: Annotated[
        str,
        typer.Option(
            help="Covariance families to try, separated by commas; all: each of them.",
            autocompletion=some_of("all", *STRUCTURES),
        ),
    ] = FOUR,
    criterion: Annotated[
        str,
        typer.Option(help="Criterion to sort by: bic, aic, icl or elbo.", autocompletion=one_of(*CRITERIA)),
    ] = "bic",
    plot: Annotated[
        Path | None, typer.Option(help="Output file for a figure of the criterion (.png, .pdf or .svg).")
    ] = None,
    bayes: Annotated[
        bool,
        typer.Option(
            "--bayes",
            help="Instead of criteria: posterior of the number of components, by a mixture of finite mixtures, for one "
            "covariance family (default: full).",
        ),
    ] = False,
    transform: TransformOption = "none",
    columns: Columns = None,
    drop: Drop = None,
    keep: Keep = None,
    noise_columns: NoiseColumns = None,
    label_column: LabelColumn = None,
    weight_column: WeightColumn = None,
    memory: Memory = None,
    scheduler: Annotated[
        str | None,
        typer.Option(
            help="Address of a Dask scheduler, for example tcp://host:8786: its workers read the files, and make the "
            "fits.",
            show_default=False,
        ),
    ] = None,
    n_init: Annotated[int, typer.Option(help="Number of starts of EM for each choice.")] = 10,
    sweeps: Annotated[int, typer.Option(help="Budget of the search for each choice, in sweeps over the data.")] = 4000,
    search: Annotated[
        str,
        typer.Option(
            help="thorough; or brief: all choices briefly, and the best thoroughly.",
            autocompletion=one_of("thorough", "brief"),
        ),
    ] = "thorough",
    seed: Seed = 0,
) -> None:
    """Select the number of components: fit each choice by EM and show the criteria, the best one first."""
    from bayesgmm.data.points import as_points
    from bayesgmm.declared import whole_numbers
    from bayesgmm.model_selection.selection import select as run

    counts = whole_numbers("n_components", components)
    if output is not None:
        check_table(output, data)
    if plot is not None:
        check_picture(plot, data)
    rows: Any
    known: dict[str, Any]
    if parts := in_parts(data, memory, scheduler):
        refuse({"bayes", "transform"}, "can't be used with a table that is read in parts")
        require_other(weight_column, columns)
        rows, known = (
            opened(data, chosen_columns(columns), weight=weight_column, drop=drop, keep=keep),
            {"memory": memory},
        )
    else:
        weights = weights_of(data, weight_column, columns)
        given = measured(data, columns, noise_columns, label_column, weight_column, drop, keep)
        rows, known = without_weights(given.frame, weights), given.known | {"sample_weight": weights}
    if bayes:
        refuse({"transform"}, "can't be used with --bayes: --bayes fits the columns as they are")
        refuse({"noise_columns"}, "can't be used with --bayes: its sampler needs exact values")
        refuse({"n_init", "sweeps"}, "can't be used with --bayes: its sampler has other starts")
        refuse({"search"}, "can't be used with --bayes: its sampler needs no search")
        refuse({"label_column"}, "can't be used with --bayes: its sampler needs components without names")
        refuse({"weight_column"}, "can't be used with --bayes: fit the weighted rows with bayesgmm fit")
        _show_posterior(rows if parts else as_points(rows, gaps=True), counts, covariance, output, plot, seed)
        return
    if not parts:
        _say_rounded(rows)
        rows = as_points(rows, gaps=True)
    families = names_of(covariance)
    known |= {"criterion": criterion, "transform": transform, "seed": seed}
    known |= {"n_init": n_init, "sweeps": sweeps, "search": search}
    with placed(rows, scheduler) as placed_rows:
        table = run(placed_rows, counts, families, **known)
    if (transforms := table.attrs.get("transforms")) is not None:
        for name, fitted in transforms.changed.items():
            say(f"column {name!r} is fitted as {fitted}")
    _show_selection(table, criterion, saved=output is not None)
    if output is not None:
        write(table.set_index("n_components"), output, "choices")
    if plot is not None:
        _draw(table, criterion, plot)


def _say_rounded(frame: "pd.DataFrame") -> None:
    """Say that components may be single values of coarsely rounded columns, which are fitted as they are."""
    from bayesgmm.screening.lattices import lattice_of
    from bayesgmm.wording import listing

    lattices = {str(name): lattice_of(frame[name].dropna().to_numpy("float64")) for name in frame.columns}
    coarse = [name for name, lattice in lattices.items() if lattice is not None and lattice.is_coarse]
    if coarse:
        say(
            f"coarsely rounded: {listing(coarse)}; a component may then be a single value, which has a high density. "
            "'bayesgmm cluster' spreads such values within the rounding",
            err=True,
        )


def _show_posterior(
    rows: "Points", counts: list[int], covariance: str, output: Path | None, plot: Path | None, seed: int
) -> None:
    """Fit a mixture of finite mixtures, and show the posterior of the number of components, uniform a priori.

    Raises
    ------
    DeclarationError
        When several covariance families are named.
    """
    from bayesgmm.clusterings.component_numbers import n_components
    from bayesgmm.errors import DeclarationError
    from bayesgmm.inference import fit
    from bayesgmm.model import MixtureModel
    from bayesgmm.priors.counts import Uniform
    from bayesgmm.priors.weights import FiniteMixture

    families = ["full"] if covariance == FOUR else names_of(covariance)
    if len(families) != 1:
        raise DeclarationError(f"--covariance {covariance}: --bayes takes one family, for example full")
    weights = FiniteMixture(Uniform(min(counts), max(counts)))
    found = fit(MixtureModel(max(counts), families[0], weights), rows, "gibbs", seed=seed)
    table = n_components(found)
    record(covariance=families[0])
    shown = table[(table["components"] >= 0.0005) | (table["clusters"] >= 0.0005)]
    headings = {name: name.replace("_", " ") for name in table.columns}
    title = f"Posterior of the numbers of components and of clusters, {families[0]} covariances"
    words = shown.map("{:.3f}".format).rename(columns=headings)
    show(words, title, name="numbers", values=table, saved=output is not None)
    if output is not None:
        write(table, output, "numbers")
    if plot is not None:
        _draw_numbers(found, plot)


def _draw_numbers(found: "xr.DataTree", path: Path) -> None:
    import matplotlib as mpl

    from bayesgmm import plots

    mpl.use("Agg")
    plots.n_components(found).savefig(path, dpi=150)
    wrote(path)


def _show_selection(table: "pd.DataFrame", criterion: str, saved: bool) -> None:
    fitted = table[table[criterion].notna()]
    record(criterion=criterion, choices=records(table))
    if fitted.empty:
        say(f"no choice has a {criterion}")
    else:
        best = in_words(fitted.head(SHOWN).drop(columns="problem")).rename(columns=HEADINGS)
        show(best.set_index("k"), f"The best by {criterion}", name="choices", values=table, saved=saved)
    if len(fitted) > SHOWN:
        remark(f"and {len(fitted) - SHOWN} more" + ("" if saved else ": -o writes all of them"))
    for row in table[table["problem"] != ""].itertuples():
        say(f"{row.n_components} components, {row.covariance}: {row.problem}", err=True)


def _draw(table: "pd.DataFrame", criterion: str, path: Path) -> None:
    import matplotlib as mpl

    from bayesgmm import plots
    from bayesgmm.files import write_picture

    mpl.use("Agg")
    write_picture(plots.selection(table, criterion), path)
    wrote(path)


def compare(
    data: DataFile,
    components: Annotated[int | None, typer.Option("-k", "--components", **COUNT, help="Number of components.")] = None,
    methods: Annotated[
        str,
        typer.Option(
            help=f"Methods to compare, separated by commas: {either(METHODS)}.", autocompletion=some_of(*METHODS)
        ),
    ] = "em,advi,nuts",
    output: MaybeTable = None,
    covariance: Covariance = None,
    model: CardName = None,
    columns: Columns = None,
    drop: Drop = None,
    keep: Keep = None,
    noise_columns: NoiseColumns = None,
    label_column: LabelColumn = None,
    draws: Draws = None,
    max_draws: MaxDraws = None,
    chains: Chains = None,
    tune: Tune = None,
    n_init: Starts = None,
    sweeps: Sweeps = None,
    seed: Seed = 0,
) -> None:
    """Compare methods: fit one mixture by each of them and show the results in a table."""
    from bayesgmm.engines import engine_named
    from bayesgmm.errors import DeclarationError
    from bayesgmm.model_selection.comparison import compare as lay_out

    chosen = names_of(methods)
    if not chosen:
        raise DeclarationError(f"--methods {methods}: name at least one, for example em,nuts")
    for method in chosen:
        engine_named(method)
    if output is not None:
        check_table(output, data)
    card = declare(model, components, covariance)
    given = read_for(card, data, columns, noise_columns, label_column, drop=drop, keep=keep)
    settings = chosen_settings(draws=draws, max_draws=max_draws, chains=chains, tune=tune, n_init=n_init, sweeps=sweeps)
    fits, problems = _fitted(card.mixture, given, {m: known_to(m, chosen, settings) for m in chosen}, seed)
    table = lay_out(fits).reindex(chosen)
    table["problem"] = [problems.get(method, "") for method in chosen]
    _show_comparison(table, next(iter(fits)), saved=output is not None)
    if output is not None:
        write(table, output, "methods")


def _fitted(
    model: "MixtureModel",
    given: "Given",
    methods: "dict[str, dict[str, Any]]",
    seed: int,
) -> "tuple[dict[str, xr.DataTree], dict[str, str]]":
    """Fit by each method, with its settings; return the fits and the errors.

    Raises
    ------
    BayesGMMError
        The last error, when all methods fail.
    """
    from bayesgmm.data.points import as_points
    from bayesgmm.errors import BayesGMMError
    from bayesgmm.inference import fit

    fits, problems, rows = {}, {}, as_points(given.frame, gaps=True)
    for method, settings in methods.items():
        remark(f"fitting with {method}", err=True)
        try:
            fits[method] = fit(model, rows, method, **given.known, **settings, seed=seed)
        except BayesGMMError as error:
            problems[method] = " ".join(str(error).split())
            if len(problems) == len(methods):
                raise
    return fits, problems


def _show_comparison(table: "pd.DataFrame", reference: str, saved: bool) -> None:
    """Print the table with a column for each method, so that it fits a terminal; empty rows are left out."""
    shown = table.drop(columns=["problem", "method"]).dropna(axis=1, how="all")
    title = f"One mixture by {'one method' if len(table) == 1 else f'{len(table)} methods'}"
    record(reference=reference)
    show(in_words(shown).T, title, name="methods", values=table, saved=saved)
    remark(f"agreement: adjusted Rand index of the labels with those of {reference}")
    for method, problem in table["problem"].items():
        if problem:
            say(f"{method}: {problem}", err=True)
