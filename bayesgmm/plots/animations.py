"""Animations of a mixture over its points: draws of the posterior, steps of EM, and relabelling."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from bayesgmm.data.points import Points
from bayesgmm.declared import probability, whole
from bayesgmm.errors import DeclarationError, choose
from bayesgmm.labels.relabelling import KEPT, aligned, component_order, inverse, reorder
from bayesgmm.plots.clusters import ellipses
from bayesgmm.plots.columns import show_columns
from bayesgmm.plots.films import Film
from bayesgmm.plots.style import curves, grid
from bayesgmm.posterior.arguments import FitLike, takes_fit
from bayesgmm.posterior.info import declaration, info
from bayesgmm.posterior.log_posterior import LogPosterior
from bayesgmm.posterior.parameters import Parameters
from bayesgmm.posterior.schema import Posterior, observed, unpack
from bayesgmm.sweep.stats import Array, draw_responsibilities

if TYPE_CHECKING:
    import xarray as xr

FRAMES = 40  # default number
COLUMNS = 2  # default maximum number of columns
POINTS = 1000  # maximum number of points in the pictures


@dataclass(frozen=True)
class Scenes:
    """What an animation shows.

    Parameters
    ----------
    views : dict of str to Parameters
        (S, ...) parameters of the mixture in each frame, by the title of the panels that show them.
    names : list of str
        (S,) title of each frame.
    loglik : (S,) float, optional
        Log likelihood of each frame. Without it, the means of the components are shown over the frames.
    """

    views: dict[str, Parameters]
    names: list[str]
    loglik: Array | None = None


def _draws(fit: "xr.DataTree", frames: int, seed: int) -> Scenes:
    """Return some draws, evenly spaced over all chains."""
    chosen, names = _chosen_draws(fit, frames)
    return Scenes({"draws of the posterior": _taken(aligned(fit).parameters, chosen)}, names)


def _relabelling(fit: "xr.DataTree", frames: int, seed: int) -> Scenes:
    """Return some draws with the labels of the engine, and with those of the relabelled fit."""
    after, before = aligned(fit).parameters, unpack(fit).parameters
    if info(fit).relabelled is not None:
        if KEPT not in (fit["sample_stats"] if "sample_stats" in fit.children else {}):
            raise DeclarationError(
                "of='relabelling': this fit does not store the labels of its draws before it was relabelled.\n"
                "  Fits of bayesgmm.fit and results of relabel do; or use of='draws'."
            )
        before = reorder(after, inverse(component_order(fit)))
    chosen, names = _chosen_draws(fit, frames)
    views = {"labels as drawn": before, "after relabelling": after}
    return Scenes({title: _taken(p, chosen) for title, p in views.items()}, names)


def _em(fit: "xr.DataTree", frames: int, seed: int) -> Scenes:
    """Return the steps of EM, closer to each other at the start, where they are large."""
    from bayesgmm.inference.em_paths import em_path

    path, loglik = em_path(LogPosterior.of(declaration(fit), observed(fit)), seed)
    last = len(loglik) - 1
    chosen = np.unique(np.geomspace(1, last + 1, frames).round().astype(int) - 1)
    names = [f"EM, step {step} of {last}: log likelihood {loglik[step]:.2f}" for step in chosen]
    return Scenes({"steps of EM": _taken(path, chosen)}, names, loglik[chosen])


SCENES: dict[str, Callable[["xr.DataTree", int, int], Scenes]] = {
    "draws": _draws,
    "em": _em,
    "relabelling": _relabelling,
}


def _chosen_draws(fit: "xr.DataTree", frames: int) -> tuple[Array, list[str]]:
    """Return indices of evenly spaced draws, and their titles.

    Raises
    ------
    DeclarationError
        When the fit has a single draw.
    """
    posterior = fit["posterior"]
    chains, draws = posterior.sizes["chain"], posterior.sizes["draw"]
    if chains * draws == 1:
        raise DeclarationError("this fit is a point estimate, with one draw; of='em' shows the steps of EM")
    chosen = np.unique(np.linspace(0, chains * draws - 1, frames).round().astype(int))
    return chosen, [f"chain {at // draws}, draw {at % draws}" for at in chosen]


def _taken(p: Parameters, chosen: Array) -> Parameters:
    return Parameters(p.weight[chosen], p.mean[chosen], p.covariance[chosen])


@takes_fit
def animation_data(
    fit: FitLike,
    of: str = "draws",
    columns: Sequence[str] | None = None,
    *,
    frames: int = FRAMES,
    ci_prob: float = 0.9,
    seed: int = 0,
) -> "xr.Dataset":
    """Compute the data of ``animate``.

    Parameters
    ----------
    fit, of, columns, frames, ci_prob, seed
        As for ``animate``.

    Returns
    -------
    Dataset
        ``x`` [point, feature], at most 1000 points; for each frame and view, ``label`` [frame, view, point], the most
        probable component, ``mean`` [frame, view, component], of the first column, and ``outline`` [frame, view, pair,
        component, axis, angle], ellipses that contain ``ci_prob`` of a component; for a single column, instead,
        ``grid`` [step] and ``curve`` [frame, view, component, step], weighted densities. ``loglik`` [frame]
        for EM. ``frame`` holds the titles.

    Raises
    ------
    UnknownName, DataError, DeclarationError, FitFileError, EmptyComponent, DegenerateComponent
        As ``animate``.

    Examples
    --------
    >>> import bayesgmm as bg
    >>> x = [[-1.0], [0.0], [1.0], [2.0], [9.0], [10.0], [11.0]]
    >>> fit = bg.fit(bg.MixtureModel(2, "tied"), x, "em", progress=False)
    >>> loglik = animation_data(fit, "em")["loglik"].values
    >>> bool((np.diff(loglik) >= 0).all())
    True
    """
    import xarray as xr

    ci_prob, frames = probability("ci_prob", ci_prob), whole("frames", frames, minimum=2)
    scenes = choose(of, SCENES, "of")(fit, frames, seed)
    posterior, points = unpack(fit), _some(observed(fit))
    shown = show_columns(posterior.columns, columns, aligned(fit).parameters, COLUMNS)
    chosen = shown.columns
    views = [_view(replace(posterior, parameters=p), points, chosen, ci_prob) for p in scenes.views.values()]
    data = xr.concat(views, "view").transpose("frame", "view", ...)
    data = data.assign(x=(("point", "feature"), points.values[:, chosen]))
    if len(chosen) == 1:
        data = data.assign(grid=("step", grid(points.values[:, chosen[0]])))
    if scenes.loglik is not None:
        data = data.assign(loglik=("frame", scenes.loglik))
    names = [posterior.columns[j] for j in chosen]
    coords = {"frame": scenes.names, "view": list(scenes.views), "feature": names}
    return data.assign_coords(coords | {"component": fit["posterior"]["component"].values}).assign_attrs(
        note=shown.note
    )


def _some(points: Points) -> Points:
    """Return at most POINTS points, evenly spaced."""
    n_points = len(points.values)
    return points.take(np.unique(np.linspace(0, n_points - 1, min(n_points, POINTS)).round().astype(int)))


def _view(posterior: Posterior, points: Points, chosen: list[int], ci_prob: float) -> "xr.Dataset":
    """Compute labels, means, and outlines or curves, of the mixture in each frame."""
    import xarray as xr

    p, first = posterior.parameters, chosen[0]
    shares = draw_responsibilities(posterior.standard.blocks(points), posterior.tables())
    data = xr.Dataset(
        {
            "label": (("frame", "point"), shares.argmax(axis=-1)),
            "mean": (("frame", "component"), p.mean[..., first]),
        }
    )
    if len(chosen) == 1:
        lines = curves(grid(points.values[:, first]), p.weight, p.mean[..., first], p.covariance[..., first, first])
        return data.assign(curve=(("frame", "component", "step"), lines))
    outlines = [ellipses(p.mean, p.covariance, [*pair], ci_prob) for pair in combinations(chosen, 2)]
    return data.assign(outline=(("frame", "pair", "component", "axis", "angle"), np.stack(outlines, axis=1)))


@takes_fit
def animate(
    fit: FitLike,
    of: str = "draws",
    columns: Sequence[str] | None = None,
    *,
    frames: int = FRAMES,
    ci_prob: float = 0.9,
    seed: int = 0,
) -> Film:
    """Animate a mixture over its points: draws of the posterior, the steps of EM, or relabelling.

    In each frame a point has the colour of its most probable component, and an ellipse contains ``ci_prob`` of each
    component; those of the frames before fade. A single column shows the densities of the components. Below, the means
    of the components in the first column over the frames, or the log likelihood of EM.

    Parameters
    ----------
    fit : DataTree or estimator
    of : str
        ``'draws'``: draws of the posterior, evenly spaced over all chains. ``'em'``: the steps of plain EM for the
        model and points of the fit, from centres that are points drawn at random. ``'relabelling'``: the same draws
        with the labels that the engine gave them, and after label switching was undone, side by side.
    columns : sequence of str, optional
        Columns to show, a panel for each pair. Default: the two in which the components differ most.
    frames : int
        Maximum number of frames.
    ci_prob : float
        Probability of the ellipses.
    seed : int
        Seed of the start of EM.

    Returns
    -------
    Film
        A notebook plays it. ``save(path)`` writes it as GIF or as one HTML file that needs no network, by the extension
        of the path; ``frame(i)`` is a figure; ``len`` is the number of frames.

    Raises
    ------
    UnknownName
        When there is no such ``of``.
    DataError
        When there is no such column.
    DeclarationError
        When ``frames`` or ``ci_prob`` is out of range, or the fit does not hold what is to be shown.
    FitFileError
        When ``fit`` is not a fit, holds no data, or for EM no model.
    EmptyComponent, DegenerateComponent
        When EM fails from each of its starts.

    Examples
    --------
    >>> import bayesgmm as bg
    >>> x = [[-1.0], [0.0], [1.0], [2.0], [9.0], [10.0], [11.0]]
    >>> fit = bg.fit(bg.MixtureModel(2, "tied"), x, "em", progress=False)
    >>> film = animate(fit, "em", frames=5)
    >>> film.frame(0).axes[0].get_xlabel()
    'x0'
    """
    return Film(animation_data(fit, of, columns, frames=frames, ci_prob=ci_prob, seed=seed))
