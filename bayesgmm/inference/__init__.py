"""The engines, by name, and ``fit``: declaration and data in, a fit out."""

import inspect
import os
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from bayesgmm.data.points import Points, as_points, listing
from bayesgmm.declared import positive, whole
from bayesgmm.diagnosis import mixing
from bayesgmm.diagnosis.components import cut_off
from bayesgmm.errors import DeclarationError, allowed, choose, did_you_mean, warn
from bayesgmm.families.structures import without_chart
from bayesgmm.inference import advi, em, mle, modes, nuts, variational
from bayesgmm.inference.engine import Engine, Estimate, Limit, Progress, Run, Silent
from bayesgmm.inference.mixtures import Mixture
from bayesgmm.labels import relabelling
from bayesgmm.model import MixtureModel, as_model
from bayesgmm.posterior import schema
from bayesgmm.posterior.log_posterior import LogPosterior
from bayesgmm.posterior.parameters import Parameters

if TYPE_CHECKING:
    import xarray as xr

ENGINES: dict[str, Engine] = {
    "em": em.fit,
    "mle": mle.fit,
    "map": modes.fit,
    "nuts": nuts.fit,
    "advi": advi.fit_meanfield,
    "fullrank_advi": advi.fit_fullrank,
    "vb": variational.fit,
}
IGNORE_PRIORS = {"em", "mle"}  # no way out for somebody who has declared one
LIMITS = {  # engines that are not here take every declaration
    "vb": Limit(variational.not_conjugate, "coordinate ascent needs conjugate priors"),
}
WITHOUT_CHART = {"em"}  # engines that take a covariance family without unconstrained coordinates
GIVEN = {"density", "seed", "cores", "progress", "start"}  # what an engine gets from ``fit``; the rest are its settings


def settings_of(method: str) -> dict[str, Any]:
    """The settings of an engine and their defaults."""
    parameters = inspect.signature(choose(method, ENGINES, "method")).parameters
    return {name: p.default for name, p in parameters.items() if name not in GIVEN}


def fit(
    model: MixtureModel,
    data: Any,
    method: str = "nuts",
    *,
    columns: Sequence[str] | None = None,
    sample_weight: Any = None,
    start: "xr.DataTree | None" = None,
    seed: int | None = None,
    cores: int | None = None,
    progress: bool | Progress = True,
    **settings: Any,
) -> "xr.DataTree":
    """Fit a mixture.

    Parameters
    ----------
    model : MixtureModel
        The declaration.
    data : array or DataFrame
        (N, D), one row a point.
    method : str
        ``'nuts'``: draws from the posterior. ``'advi'``, ``'fullrank_advi'``: draws from the Gaussian closest to it, in
        a fraction of the time, resampled where it is not close; tails heavier than a Gaussian's are cut short, and no
        verdict can see what was never drawn. ``'vb'``: draws from the closest posterior in which weights, means and
        assignments know nothing of each other: the quickest, for conjugate priors. ``'mle'``: the maximum of the
        likelihood, to the last digits (``standard_errors`` reads it); ``'em'``: the same by expectation maximisation;
        ``'map'``: the highest mode of the posterior. These three are posteriors of one draw.
    columns : sequence of str, optional
        Columns of a DataFrame to use.
    sample_weight : (N,) float, optional
        How many points each row stands for; 1 unless told. A row of weight 3 is the row three times.
    start : DataTree, optional
        A fit of as many components in the same columns, to go on from in place of new starts: for methods that climb.
    seed : int, optional
        The same seed gives the same draws, whatever ``cores`` is. Stored in the fit.
    cores : int, optional
        Threads; all of the machine's unless told.
    progress : bool
        Show a progress bar.
    **settings
        Of the method: ``draws=1000, tune=300, chains=4, target_accept=0.8`` for NUTS;
        ``draws=1000, samples=None, max_iter=500, tol=0.01, batch_size=None`` for ADVI;
        ``n_init=10, init="k-means++", max_iter=1000, tol=1e-8`` for EM; ``n_init=10, max_iter=500, tol=1e-8`` for
        maximum likelihood; ``max_iter=500, tol=1e-8`` for MAP;
        ``draws=1000, n_init=10, max_iter=1000, tol=1e-8, batch_size=None, delay=10, forget=0.7`` for variational Bayes.

    Returns
    -------
    DataTree
        ``posterior`` with ``weight``, ``mean`` and ``covariance``, label switching undone, heaviest component
        first; ``sample_stats``; ``observed_data``. Everything that ArviZ does works on it.

    Raises
    ------
    DataError, DeclarationError
        Before any work.
    ComponentError, SamplingError
        When the method can't go on.

    Warns
    -----
    FitWarning
        When the result should not be trusted as it is: says what is wrong and what to try.
    """
    as_model(model)
    chosen = checked(method, settings)
    check_priors(method, model)
    cores = (os.cpu_count() or 1) if cores is None else whole("cores", cores)
    seed = int(np.random.default_rng().integers(2**31)) if seed is None else whole("seed", seed, least=0)
    points = as_points(data, columns).weighed(sample_weight)
    density = LogPosterior.of(model, points)
    resolved = density.model
    given = {} if start is None else {"start": _started(method, start, density, points)}
    said = resolved.contradictions(points.summary)
    warn(said)
    began = time.perf_counter()
    # Threads are ours to hold. BLAS's own, in an optimiser's small vectors, only wait for each other (on a busy machine
    # a search for modes took 80 times as long), and sums round differently for another number of them.
    with shown(progress) as report, threadpool_limits(limits=1, user_api="blas"):
        estimate = ENGINES[method](density, seed, cores, report, **chosen, **given)
    run = Run(method, chosen, seed, time.perf_counter() - began, said)
    return finish(density, points, estimate, run, cores)


def checked(method: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Every setting of a method: those that are given, checked, over the defaults.

    Raises
    ------
    DeclarationError
        For a setting that does not exist, or a value that can't be.
    """
    known = settings_of(method)
    for name, value in settings.items():
        if name not in known:
            raise DeclarationError(
                f"method {method!r} has no setting {name!r}; it has {allowed(known)}{did_you_mean(name, known)}"
            )
        known[name] = _setting(name, value, known[name])
    return known


def _started(method: str, start: "xr.DataTree", density: LogPosterior, points: Points) -> Mixture:
    """The mixture that an engine starts from: the mean of a fit's draws, in standardised coordinates."""
    able = [name for name, engine in ENGINES.items() if "start" in inspect.signature(engine).parameters]
    if method not in able:
        raise DeclarationError(f"method {method!r} takes no start; those that do are {allowed(dict.fromkeys(able))}")
    earlier = relabelling.aligned(start)
    p, k = earlier.parameters, density.n_components
    if earlier.columns != points.columns or p.weight.shape[1] != k:
        raise DeclarationError(
            f"start is a fit of {p.weight.shape[1]} components in columns {listing(earlier.columns)}; needed are {k} "
            f"in {listing(points.columns)}"
        )
    family, standard = density.model.family, density.standard
    covariance = p.covariance.mean(axis=0) / np.outer(standard.scale, standard.scale)
    mean = (p.mean.mean(axis=0) - standard.shift) / standard.scale
    return Mixture(p.weight.mean(axis=0), mean, family.roots(family.cores(covariance)))


def check_priors(method: str, model: MixtureModel) -> None:
    """An engine asked for what it can't take says so, and names those that can.

    Raises
    ------
    DeclarationError
    """
    _require_chart(method, model)
    wrong = _refused(method, model)
    if not wrong:
        return
    able = {name: engine for name, engine in ENGINES.items() if name not in IGNORE_PRIORS and not _refused(name, model)}
    instead = " and ".join(dict.fromkeys(wrong.values()))
    raise DeclarationError(
        f"method {method!r} can't take {' and '.join(wrong)}: {LIMITS[method].because}.\n"
        f"  Methods that can: {allowed(able)}. Or declare {instead}."
    )


def _require_chart(method: str, model: MixtureModel) -> None:
    """Raise DeclarationError when an engine needs unconstrained coordinates and the covariance family has none."""
    for what, instead in without_chart(model.family).items():
        if method not in WITHOUT_CHART:
            raise DeclarationError(
                f"method {method!r} can't take {what}: it needs unconstrained coordinates; there are none.\n"
                f"  Methods that can: {allowed(dict.fromkeys(WITHOUT_CHART))}. Or declare {instead}."
            )


def _refused(method: str, model: MixtureModel) -> dict[str, str]:
    return LIMITS[method].wrong(model) if method in LIMITS else {}


def _setting(name: str, value: Any, default: Any) -> Any:
    """A setting of the kind that its default is: a word, a whole number, a positive one, or a whole number or None."""
    if isinstance(default, str):
        return value  # the engine knows its words
    if default is None:
        return None if value is None else whole(name, value)
    return whole(name, value) if isinstance(default, int) else positive(name, value)


def shown(progress: bool | Progress) -> AbstractContextManager[Progress]:
    """Where a method reports how far it is: a progress bar, one's own, or nowhere."""
    if not progress:
        return nullcontext(Silent())
    if progress is not True:
        return nullcontext(progress)
    from bayesgmm.progress import Bars

    return Bars()


def finish(density: LogPosterior, points: Points, estimate: Estimate, run: Run, cores: int) -> "xr.DataTree":
    """An estimate as a fit: label switching undone, packed, and what is wrong with it said.

    Warns
    -----
    FitWarning
    """
    standard = density.standard
    parameters, log_prior = _read(density, estimate)
    stats: dict[str, NDArray] = {**estimate.stats, "loglik": estimate.stats["lp"] - log_prior}
    if of_likelihood := estimate.notes.get("maximum") == "likelihood":  # what the priors learn was not looked at
        parameters = replace(parameters, extras={})
    drawn = schema.Posterior(parameters.flat(), points.columns, standard)
    order, labels = relabelling.undo(points, drawn, stats["lp"].reshape(-1), cores)
    stats |= {relabelling.KEPT: order.astype(np.int16).reshape(parameters.weight.shape)}
    tree = schema.pack(points, standard, relabelling.reorder(parameters, order), stats, estimate.groups)
    info = {
        "model": density.model.plain(),
        "method": run.method,
        "settings": run.settings,
        "seed": run.seed,
        "fingerprint": points.fingerprint,
        "seconds": round(run.seconds, 3),
        "versions": {name: version(name) for name in ("bayesgmm", "numpy", "nutpie", "arviz")},
        **estimate.notes,
        **({} if of_likelihood else _truncation(density, parameters)),
    }
    doubts = [*estimate.warnings, *map(str, cut_off(info)), *mixing.doubts(tree)]
    warn(doubts)
    info |= {"relabelled": labels["method"], "labels": labels, "warnings": [*run.said, *doubts]}
    return schema.annotate(tree, info)


def _read(density: LogPosterior, estimate: Estimate) -> tuple[Parameters, NDArray]:
    """Mixtures of an estimate, and the log prior densities of their coordinates: 0 where there are none."""
    if estimate.parameters is not None:
        return estimate.parameters, np.zeros(estimate.stats["lp"].shape)
    return density.parameters(estimate.q), np.apply_along_axis(density.log_prior, -1, estimate.q)


def _truncation(density: LogPosterior, parameters: Parameters) -> dict[str, Any]:
    """What a truncated process leaves out, and the weight of its last stick, which stands for that.

    The marginal density of N points differs from that of the process, in integrated absolute difference, by at most
    4 N times the mass left out, and by at most 2 (Ishwaran & James 2001, J. Am. Stat. Assoc. 96, 161-173).
    """
    weights = density.model.weights
    learned = parameters.extras.get("concentration")
    mass = weights.truncated_mass(weights.concentration if learned is None else learned, density.n_components)
    if mass is None:
        return {}
    last = float(parameters.weight[..., -1].mean())
    error = min(2.0, 4 * density.blocks.total_weight * float(mass.mean()))
    return {"truncation": {"last_weight": last, "mass": float(mass.mean()), "error_bound": error}}
