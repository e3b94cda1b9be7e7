"""``fit``: fits a model to data by an engine."""

import logging
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from importlib.metadata import version
from inspect import cleandoc, signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bayesgmm.blas import one_blas_thread
from bayesgmm.checkpoints.runs import opened
from bayesgmm.checkpoints.units import kept, once
from bayesgmm.data.points import DataLike, Points, as_points
from bayesgmm.data.streams import Stream
from bayesgmm.declared import whole
from bayesgmm.diagnosis import mixing
from bayesgmm.diagnosis.components import cut_off
from bayesgmm.diagnosis.measurement import hidden_spread
from bayesgmm.engines import DEFAULT, ENGINES, FOR_PARTS, FOR_PARTS_SETTINGS, Engine, described, quoted
from bayesgmm.errors import CheckpointWarning, DeclarationError, TableWarning, allowed, warn
from bayesgmm.inference.choices import Choice
from bayesgmm.inference.engine import Estimate, Progress, Run, Silent
from bayesgmm.inference.label_matching import matched_start
from bayesgmm.inference.mixtures import Mixture
from bayesgmm.inference.remedies import advising
from bayesgmm.inference.stored_factors import factor_groups
from bayesgmm.inference.stored_groups import with_log_likelihood, with_prior
from bayesgmm.inference.truncation import truncation
from bayesgmm.labels import relabelling
from bayesgmm.memory import in_words, require_memory
from bayesgmm.model import MixtureModel, as_model
from bayesgmm.posterior import schema
from bayesgmm.posterior.arguments import FitLike, as_fit
from bayesgmm.posterior.info import FitInfo, annotate
from bayesgmm.posterior.log_posterior import LogPosterior
from bayesgmm.posterior.notes import SourceInfo
from bayesgmm.posterior.packing import pack
from bayesgmm.posterior.parameters import Parameters
from bayesgmm.posterior.subsets import marginal
from bayesgmm.progress import quiet, wanted
from bayesgmm.screening.measurements import unlikely_values
from bayesgmm.sources.dask_collections import DaskSource
from bayesgmm.sources.opening import is_read_in_parts, require_no_values_for_rows, source, weight_column
from bayesgmm.sources.rows import RowSource
from bayesgmm.sources.surveys import memory_for
from bayesgmm.sources.weights import unweighted
from bayesgmm.transforms.columns import ColumnTransforms
from bayesgmm.wording import in_short, listing
from bayesgmm.workers.streams import room_for_rows, streamed

if TYPE_CHECKING:
    import xarray as xr

log = logging.getLogger(__name__)


def fit(
    model: MixtureModel,
    data: DataLike,
    method: str | None = None,
    *,
    columns: Sequence[str] | None = None,
    sample_weight: ArrayLike | str | None = None,
    noise: ArrayLike | None = None,
    labels: object = None,
    transform: ColumnTransforms | None = None,
    start: FitLike | None = None,
    seed: int | None = None,
    cores: int | None = None,
    memory: int | str | None = None,
    checkpoint: str | Path | None = None,
    progress: bool | Progress = True,
    log_likelihood: bool = False,
    prior: bool = False,
    **settings: object,
) -> "xr.DataTree":
    """Fit a mixture.

    Parameters
    ----------
    model : MixtureModel
    data : array, DataFrame, path or source
        (N, D), one point per row. A pattern of file names (``'measurements/*.parquet'``), a folder, a list of files, a
        ``.npy`` file, a ``.zarr`` array and a ``source`` are read part by part in each sweep, and need not fit into
        memory. The fit does not hold their rows. The methods for them: {streaming}; with ``batch_size`` also
        {minibatches}.
    method : str
        Name of the engine: {names}. See the notes. Default: {default}; for rows that are read part by part, because
        the memory does not suffice for all, or they are on the workers of a cluster, {for_parts}, which is said in a
        ``TableWarning``.
    columns : sequence of str, optional
        Columns of a DataFrame to use.
    sample_weight : (N,) float or str, optional
        Number of points that each row represents. Default: 1. A row of weight 3 counts as three equal rows. For rows
        that are read part by part, the name of the column that holds the weights.
    noise : (N, D) or (N, D, D) array, optional
        Errors of measurement: standard errors of the values, or covariances of the errors of each row, in the units of
        the data; also (D,) or one number, for all rows. The mixture is then that of the true values (extreme
        deconvolution [1]_). Zero: the value is exact; infinite: it is missing. Default: all values are exact.
    labels : (N,) or (N, K) array, Series or DataFrame, optional
        Components of rows that are known: for each row the name or number of its component, or None (NaN, NA, -1) where
        it is not known. Names become those of the components, in alphabetical order, or in that of categories;
        components that no label names come last, heaviest first. Numbers are names if one of them is that of no
        component. Or for each row and component how plausible the component is, up to a factor for each
        row: True where it is allowed, or a number that the weight of the component is multiplied by [2]_. Rows with a
        label are no outliers of a background.
    transform : ColumnTransforms, optional
        Fit transformed columns, for example logarithms; ``choose_transforms`` chooses them. The fit stores the
        transforms. Its columns have the names of the transformed ones; new data, densities and replicated data are in
        data units. Priors, log posterior, ELBO and ``evidence`` are those of the transformed columns.
    start : DataTree or estimator, optional
        A fit with the same columns and number of components, to continue from instead of new starts. For the methods
        {starting}.
    seed : int, optional
        The same seed gives the same draws, for any number of cores. The fit stores it. Default: random.
    cores : int, optional
        Number of threads. Default: the number of cores of the machine.
    memory : int or str, optional
        Memory that rows may take at a time, in bytes or as ``'500MB'`` or ``'1GiB'``. All data are then read part by
        part. Default: 1 GiB for data that are always read so; others are read as a whole.
    checkpoint : str or Path, optional
        Folder in which the work is kept as it is done, for this fit alone. After a kill, the same call goes on from
        there; after the end, it returns the same result at once. ``seed`` is then that of the first call by default.
        EM, variational Bayes, Gibbs sampling and the others return what they would have without the kill. NUTS keeps
        its draws: a chain that was cut off is continued from its last draw, with its tuned metric, and
        ``sample_stats["joined"]`` is True where that was.
    progress : bool
        Show a progress bar.
    log_likelihood : bool
        Store the log likelihood of each point under each draw, which ``az.loo`` and its relatives need.
    prior : bool
        Store draws from the prior, which ``az.plot_prior_posterior`` needs, and of sampled fits the log prior, which
        ``az.psense_summary`` needs, together with ``log_likelihood``. The priors themselves belong to the model.
    **settings
        Settings of the method. The notes list them with their defaults.

    Returns
    -------
    DataTree
        ``posterior`` with ``weight``, ``mean`` and ``covariance``, in data units, with label switching undone and
        components sorted by weight, largest first (where ``labels`` treat them alike); ``sample_stats``;
        ``observed_data``; on request ``log_likelihood``, ``prior``, ``prior_predictive`` and ``log_prior``. ArviZ
        accepts it.

    Raises
    ------
    DataError, DeclarationError
        If an argument is not valid, or the model does not fit the data.
    ComponentError
        If a component can't be estimated.
    SamplingError
        If the posterior can't be sampled or approximated.
    CheckpointError, FitFileError
        If a checkpoint is in use, is that of another fit, or can't be written.

    Warns
    -----
    FitWarning
        If the result is not reliable. The message names the problem and a remedy.
    TableWarning
        If the method is the default one for rows that are read in parts; or if columns of a table look like ids, codes
        or row numbers, or a number such as -999 like a missing value.
    CheckpointWarning
        If the fit goes on from a checkpoint, or its checkpoint can't be written any more.

    Notes
    -----
    The methods and their settings:

    {methods}

    References
    ----------
    .. [1] Bovy, Hogg & Roweis (2011), Annals of Applied Statistics 5(2B), 1657-1677.
    .. [2] Côme, Oukhellou, Denœux & Aknin (2009), Pattern Recognition 42(3), 334-348.

    Examples
    --------
    >>> import bayesgmm as bg
    >>> fitted = bg.fit(bg.MixtureModel(1), [[0.0], [1.0], [5.0]], "em", seed=1, progress=False)
    >>> fitted["posterior"]["mean"].values.ravel()
    array([2.])

    Two rows have labels: the components get their names.

    >>> x = [[0.0], [1.0], [5.0], [6.0], [2.0]]
    >>> fitted = bg.fit(bg.MixtureModel(2, "tied"), x, "em", labels=["low", None, "high", None, None], progress=False)
    >>> fitted["posterior"]["component"].values.tolist()
    ['high', 'low']
    """
    as_model(model, data)
    _require_choices(log_likelihood=log_likelihood, prior=prior)
    choice = Choice(model, method, settings, signature(fit).parameters)
    cores = (os.cpu_count() or 1) if cores is None else whole("cores", cores)
    seed = None if seed is None else whole("seed", seed, minimum=0)
    with opened(checkpoint) as saved:
        seed = saved.seed(seed)
        points: Points | Stream
        if memory is not None or is_read_in_parts(data):
            weight = weight_column(sample_weight)
            require_no_values_for_rows({"noise": noise, "labels": labels, "log_likelihood": log_likelihood or None})
            points = _streamed(data, columns, weight, memory, seed, transform, progress, choice.require_parts)
        else:
            points = as_points(data, columns, gaps=True).weighed(sample_weight).measured(noise)
            warn(unlikely_values(data, points, columns), TableWarning)
            points = points.labelled(labels, model.n_components)
            points = points if transform is None else transform.applied(points)
        engine, chosen, method = choice.engine, choice.settings, choice.engine.name
        density = LogPosterior.of(model, points)
        resolved = density.model
        _require_memory(chosen, density)
        given = {} if start is None else {"start": _started(engine, as_fit(start), density, points)}
        conflicts = resolved.contradictions(points.summary)
        warn(conflicts)
        log.info("fitting %d components to %d rows and %d columns by %s, seed %d", *_size(density), method, seed)
        run = Run(method, chosen, seed, 0.0, conflicts, transform)
        checkpointed = saved.of(run.identity(model, points, given.get("start")))
        warn(saved.words, CheckpointWarning)
        began = time.perf_counter()
        # One BLAS thread: more compete with those of the engines (on a busy machine a search for modes took 80 times as
        # long), and their number changes the rounding of sums.
        with (
            shown(progress) as report,
            one_blas_thread(with_scipy=engine.name != "em"),  # EM seldom needs it, and should not wait for its import
            advising(points, resolved, method),
            kept(checkpointed),
        ):
            estimate = once(lambda: engine(density, seed, cores, report, **chosen, **given))
        recovered = 0.0 if checkpointed is None else checkpointed.recovered
        run = replace(run, seconds=recovered + time.perf_counter() - began, recovered=recovered)
    log.info("fitted by %s in %.2f s", method, run.seconds)
    tree = finish(density, points, estimate, run, cores)
    tree = with_log_likelihood(tree, wanted(progress)) if log_likelihood else tree
    return with_prior(tree, seed) if prior else tree


def _require_choices(**choices: object) -> None:
    """Check that arguments are True or False.

    Raises
    ------
    DeclarationError
    """
    for name, value in choices.items():
        if not isinstance(value, bool):
            raise DeclarationError(
                f"{name}={in_short(value)}: must be True or False; priors are declared in the model, for example "
                "MixtureModel(3, weights=Dirichlet(1.0))"
            )


def _size(density: LogPosterior) -> tuple[int, int, int]:
    return density.n_components, density.blocks.n_points, density.n_features


def _streamed(
    data: object,
    columns: Sequence[str] | None,
    weight: str | None,
    memory: int | str | None,
    seed: int,
    transform: ColumnTransforms | None,
    progress: bool | Progress,
    require_parts: Callable[[str], None],
) -> Stream:
    """Check data that are read part by part, in a first pass; and the engine, unless the memory suffices for all."""
    room = room_for_rows(memory)
    names = columns if transform is None or columns is not None else transform.names
    convert = {} if transform is None else {"convert": transform.applied}
    rows = source(data, names, weight)
    if rows.n_rows is not None and (needed := memory_for(rows.n_rows, len(rows.columns))) > room:
        require_parts(_advice(rows, needed))
    read = streamed(rows, room, seed, progress=progress is True, gaps=True, **convert)
    if not read.held:
        require_parts(_advice(rows, memory_for(read.n_points, len(read.columns))))
    return read


def _advice(rows: RowSource, needed: int) -> str:
    """Return the memory that suffices for all rows, in words; empty for a Dask collection, which is not read here."""
    return "" if isinstance(unweighted(rows), DaskSource) else in_words(needed)


def _require_memory(settings: Mapping[str, object], density: LogPosterior) -> None:
    """Raise an error for numbers of draws and chains whose result would not fit into memory."""
    counts = {name: value for name, value in settings.items() if name in ("draws", "chains") and isinstance(value, int)}
    k, d = density.n_components, density.n_features
    numbers = density.size if density.model.family.chart is not None else 0
    asked = " and ".join(f"{name}={value:,}" for name, value in counts.items())
    require_memory(8 * math.prod(counts.values()) * (numbers + k * (1 + d + d * d)), asked)


def documented(text: str) -> str:
    """Fill the docstring of ``fit`` with the engines of the registry."""
    starting = [name for name, engine in ENGINES.items() if engine.takes_start]
    streaming = [name for name, engine in ENGINES.items() if not engine.needs_rows]
    filled = cleandoc(text).replace("{names}", quoted(ENGINES)).replace("{starting}", quoted(starting))
    filled = filled.replace("{streaming}", quoted(streaming)).replace("{default}", quoted([DEFAULT]))
    few = " and ".join(f"``{name}={value}``" for name, value in FOR_PARTS_SETTINGS.items())
    filled = filled.replace("{for_parts}", f"{quoted([FOR_PARTS])} with {few}")
    filled = filled.replace("{minibatches}", quoted(name for name, engine in ENGINES.items() if engine.minibatches))
    return filled.replace("{methods}", described(ENGINES).strip())


fit.__doc__ = documented(fit.__doc__ or "")


def _started(engine: Engine, start: "xr.DataTree", density: LogPosterior, points: Points | Stream) -> Mixture:
    """Return the mixture that an engine starts from: the mean of a fit's draws, in standardised coordinates."""
    if not engine.takes_start:
        able = {name: other for name, other in ENGINES.items() if other.takes_start}
        raise DeclarationError(f"method {engine.name!r} takes no start; those that do are {allowed(able)}")
    earlier, k = relabelling.aligned(start), density.n_components
    has = earlier.parameters.weight.shape[1]
    if {*earlier.columns} != {*points.columns} or has != k:
        raise DeclarationError(
            f"start is a fit of {has} components in columns {listing(earlier.columns)}; needed are {k} "
            f"in {listing(points.columns)}"
        )
    p = marginal(earlier, points.columns).parameters  # the same columns in another order are accepted
    family, standard = density.model.family, density.standard
    covariance = p.covariance.mean(axis=0) / np.outer(standard.scale, standard.scale)
    mean = (p.mean.mean(axis=0) - standard.shift) / standard.scale
    mixture = Mixture(p.weight.mean(axis=0), mean, family.roots(family.cores(covariance)))
    return matched_start(density.blocks, family, mixture)


def shown(progress: bool | Progress) -> AbstractContextManager[Progress]:
    """Return a context with a progress report: a progress bar, the given one, or none."""
    if not isinstance(progress, bool) and hasattr(progress, "stage"):
        return nullcontext(progress)
    if not wanted(progress):
        return _silent()
    from bayesgmm.progress import Bars

    return Bars()


@contextmanager
def _silent() -> Iterator[Progress]:
    with quiet():
        yield Silent()


def finish(density: LogPosterior, points: Points | Stream, estimate: Estimate, run: Run, cores: int) -> "xr.DataTree":
    """Make a fit from the result of an engine: undo label switching, pack the draws, give warnings.

    Warns
    -----
    FitWarning
        If the result is not reliable.
    """
    standard = density.standard
    parameters, stats = _read(density, estimate)
    if of_likelihood := estimate.notes.maximum == "likelihood":  # hyperparameters were not estimated
        parameters = replace(parameters, extras={})
    drawn = schema.Posterior(parameters.flat(), points.columns, standard)
    order, labels = relabelling.undo(points, drawn, stats.get("lp", stats["loglik"]).reshape(-1), cores)
    stats |= {relabelling.KEPT: order.astype(np.int16).reshape(parameters.weight.shape)}
    groups = {**estimate.groups, **factor_groups(density, estimate.q, order)}
    tree = pack(points, standard, relabelling.reorder(parameters, order), stats, groups)
    info = FitInfo(
        model=density.model,
        transforms=run.transforms,
        method=run.method,
        settings=run.settings,
        seed=run.seed,
        fingerprint=points.fingerprint,
        source=SourceInfo.of(points) if isinstance(points, Stream) else None,
        seconds=round(run.seconds, 3),
        recovered=round(run.recovered, 3) if run.recovered else None,
        versions={name: version(name) for name in ("bayesgmm", "numpy", "nutpie", "arviz")},
        notes=estimate.notes,
        truncation=None if of_likelihood else truncation(density.model, drawn, points),
        relabelled=labels.method,
        labels=labels,
    )
    tree = annotate(tree, info)  # so that the checks know that it is relabelled
    found = [*cut_off(info, points.summary.n_points), *hidden_spread(tree)]
    told = [str(finding) for finding in found if finding.severity != "note"]
    messages = [*estimate.warnings, *told, *mixing.fit_warnings(tree)]
    warn(messages)
    return annotate(tree, replace(info, warnings=(*run.conflicts, *messages)))


def _read(density: LogPosterior, estimate: Estimate) -> tuple[Parameters, dict[str, NDArray[Any]]]:
    """Return the mixtures of an estimate, and its statistics with their log likelihoods."""
    if estimate.parameters is not None:
        return estimate.parameters, estimate.stats
    log_prior = np.apply_along_axis(density.log_prior, -1, estimate.q)
    return density.parameters(estimate.q), {**estimate.stats, "loglik": estimate.stats["lp"] - log_prior}
