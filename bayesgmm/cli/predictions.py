"""The commands ``assign``, ``score`` and ``density``: results for each point."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bayesgmm.cli.data import check_table, in_parts, noise_of, write
from bayesgmm.cli.options import CheckpointFolder, FitFile, Memory, NewData, NoiseColumns, TableOut
from bayesgmm.cli.terminal import check_other, names_of, record, refuse, say, wrote

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

Folder = Annotated[Path, typer.Option("-o", "--output", help="Output folder.", show_default=False)]
Seed = Annotated[int, typer.Option(help="Seed of the simulation. The same seed gives the same table.")]


def assign(
    fit: FitFile,
    output: TableOut,
    data: NewData = None,
    noise_columns: NoiseColumns = None,
    memory: Memory = None,
    checkpoint: CheckpointFolder = None,
) -> None:
    """Write the most probable component of each point, all probabilities, and their entropy."""
    from bayesgmm.posterior.schema import load
    from bayesgmm.predictions.assignment_tables import assignments_table

    check_table(output, fit, data)
    read = load(fit)
    if in_parts(data, memory):
        options: dict[str, object] = {"answer": "assign"}
        _write_parts(read, data, output, memory, checkpoint, options, lambda rows: assignments_table(read, rows))
        return
    _refuse_checkpoint()
    write(assignments_table(read, data, noise=noise_of(data, noise_columns)), output, "points")


def _write_parts(
    fit: "xr.DataTree",
    data: Path | None,
    output: Path,
    memory: str | None,
    checkpoint: Path | None,
    options: dict[str, object],
    answer: "Callable[[pd.DataFrame], pd.DataFrame]",
) -> None:
    """Write the answers about a table that is read part by part; they depend on these options."""
    from bayesgmm.memory import GIB, as_bytes
    from bayesgmm.predictions.in_parts import kept_in, rows_for, write_in_parts
    from bayesgmm.sources.file_sources import FileSource, files_of

    refuse({"noise_columns", "fdr"}, "can't be used with a table that is read in parts")
    assert data is not None
    check_other(output, *(Path(file.path) for file in files_of(data)))
    room = GIB if memory is None else as_bytes("memory", memory)
    rows = rows_for(fit, data)
    assert isinstance(rows, FileSource)
    with kept_in(checkpoint, fit, rows, options):
        wrote(output, write_in_parts(fit, rows, answer, output, room, checkpoint))


def _refuse_checkpoint() -> None:
    refuse({"checkpoint"}, "is for a table that is read in parts: give --memory, too")


def score(
    fit: FitFile,
    output: TableOut,
    data: NewData = None,
    noise_columns: NoiseColumns = None,
    fdr: Annotated[float | None, typer.Option(help="Flag anomalies at this false discovery rate.")] = None,
    calibration: Annotated[
        Path | None,
        typer.Option(help="Table of regular points that were not fitted (.csv or .parquet), to compute p-values from."),
    ] = None,
    seed: Seed = 0,
    memory: Memory = None,
    checkpoint: CheckpointFolder = None,
) -> None:
    """Write an anomaly score for each point: its log density and a p-value."""
    from bayesgmm.posterior.schema import load
    from bayesgmm.predictions.anomalies import anomaly_scores
    from bayesgmm.sources.file_sources import open_files

    check_table(output, fit, data, calibration)
    read = load(fit)
    if in_parts(data, memory):

        def scores(rows: "pd.DataFrame") -> "pd.DataFrame":
            answer = anomaly_scores(read, rows, calibration=calibration, seed=seed, progress=False)
            return answer.to_dataframe()

        regular = "" if calibration is None else open_files(calibration).fingerprint
        given: dict[str, object] = {"answer": "score", "calibration": regular, "settings": {"seed": seed}}
        _write_parts(read, data, output, memory, checkpoint, given, scores)
        return
    _refuse_checkpoint()
    noise = noise_of(data, noise_columns)
    answer = anomaly_scores(read, data, noise=noise, fdr=fdr, calibration=calibration, seed=seed)
    if fdr is not None:
        count = int(answer["anomaly"].sum())
        say(f"{count} of {answer.sizes['point']} points flagged at a false discovery rate of {fdr:g}")
    write(answer.to_dataframe(), output, "points")


def density(
    fit: FitFile,
    output: TableOut,
    data: NewData = None,
    noise_columns: NoiseColumns = None,
    over: Annotated[
        str | None,
        typer.Option(help="One or two columns, to compute their density on a grid instead of the density at points."),
    ] = None,
    given: Annotated[
        str | None, typer.Option(help="With --over: values of other columns, for example width=1.2,height=4.")
    ] = None,
    ci_prob: Annotated[float, typer.Option(help="Probability of the credible band.")] = 0.9,
    memory: Memory = None,
    checkpoint: CheckpointFolder = None,
) -> None:
    """Write the density at points with a credible band, or on a grid of one or two columns, given others."""
    from bayesgmm.errors import DeclarationError
    from bayesgmm.posterior.schema import load
    from bayesgmm.predictions.conditionals import conditional_density
    from bayesgmm.predictions.predictive import density

    if over is None and given is not None:
        raise DeclarationError(f"--given {given} needs --over: name the columns of the density")
    if over is not None and data is not None:
        raise DeclarationError(f"give either points ({data}) or --over {over}, which uses a grid")
    values = given_values(given)
    check_table(output, fit, data)
    if in_parts(data, memory):
        read = load(fit)

        def densities(rows: "pd.DataFrame") -> "pd.DataFrame":
            return _density_frame(density(read, rows, ci_prob=ci_prob, progress=False))

        chosen: dict[str, object] = {"answer": "density", "settings": {"ci_prob": ci_prob}}
        _write_parts(read, data, output, memory, checkpoint, chosen, densities)
        return
    _refuse_checkpoint()
    if over is None:
        answer = density(load(fit), data, noise=noise_of(data, noise_columns), ci_prob=ci_prob)
    else:
        answer = conditional_density(load(fit), values, names_of(over), ci_prob=ci_prob)
    if "note" in answer.attrs:
        say(answer.attrs["note"], err=True)
    write(_density_frame(answer), output, "points")


def impute(
    fit: FitFile,
    output: Folder,
    data: NewData = None,
    noise_columns: NoiseColumns = None,
    draws: Annotated[int, typer.Option(help="Number of imputations: completed tables.")] = 20,
    seed: Annotated[int, typer.Option(help="The same seed gives the same tables.")] = 0,
) -> None:
    """Impute missing values: completed tables, drawn from the posterior, with means and standard deviations."""
    from bayesgmm.errors import DataError
    from bayesgmm.posterior.schema import load
    from bayesgmm.predictions.imputations import impute

    answer = impute(load(fit), data, draws, noise=noise_of(data, noise_columns), seed=seed)
    missing = int(answer["missing"].sum())
    if not missing:
        raise DataError(f"no value is missing in {'the points that were fitted' if data is None else data}")
    _write_tables(answer, output, "imputation")
    record(n_missing=missing)
    say(f"{missing:,} of {answer['missing'].size:,} values imputed, {draws} times")


def deconvolve(
    fit: FitFile,
    output: Folder,
    data: NewData = None,
    noise_columns: NoiseColumns = None,
    draws: Annotated[int, typer.Option(help="Number of tables of true values.")] = 20,
    seed: Annotated[int, typer.Option(help="The same seed gives the same tables.")] = 0,
) -> None:
    """Estimate true values of points measured with errors: means, standard deviations, draws from the posterior."""
    from bayesgmm.posterior.schema import load
    from bayesgmm.predictions.deconvolution import deconvolve

    answer = deconvolve(load(fit), data, draws, noise=noise_of(data, noise_columns), seed=seed)
    _write_tables(answer, output, "draw")
    record(n_points=answer.sizes["point"])


def _write_tables(answer: "xr.Dataset", output: Path, kind: str) -> None:
    """Write means, standard deviations and draws of values, a table each, to a folder."""
    from bayesgmm.files import made_folder

    tables, width = {name: answer[name] for name in ("mean", "sd")}, len(str(len(answer["draws"])))
    tables |= {f"{kind}_{number + 1:0{width}}": one for number, one in enumerate(answer["draws"])}
    made_folder(output, [f"{name}.csv" for name in tables])
    for name, table in tables.items():
        write(table.to_pandas().rename_axis(columns=None), output / f"{name}.csv", name)


def given_values(text: str | None) -> dict[str, float]:
    """Parse the text of ``--given`` into values of columns.

    Raises
    ------
    DeclarationError
        When a part is not column=number.

    Examples
    --------
    >>> given_values("petal_width=1.2, petal_length=4")
    {'petal_width': 1.2, 'petal_length': 4.0}
    >>> given_values("petal_width")
    Traceback (most recent call last):
        ...
    bayesgmm.errors.DeclarationError: --given petal_width: 'petal_width' is not column=number
    """
    from bayesgmm.errors import DeclarationError

    values = {}
    for part in names_of(text or ""):
        name, _, value = part.rpartition("=")
        try:
            values[name.strip()] = float(value)
        except ValueError:
            name = ""
        if not name.strip():
            raise DeclarationError(f"--given {text}: {part!r} is not column=number")
    return values


def _density_frame(answer: "xr.Dataset") -> "pd.DataFrame":
    frame = answer[["density", "log_density"]].to_dataframe()
    for bound in ("lower", "upper"):
        frame[bound] = answer["band"].sel(ci_bound=bound).values
    for place, name in enumerate(answer["feature"].values if "x" in answer else []):
        frame.insert(place, str(name), answer["x"].values[:, place], allow_duplicates=True)
    return frame
