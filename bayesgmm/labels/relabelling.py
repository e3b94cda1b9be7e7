"""Relabelling: undo label switching, so that component k is the same component in every draw of every chain."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bayesgmm.data.labels import exchangeable_groups
from bayesgmm.data.points import DataLike, Points
from bayesgmm.data.streams import Stream
from bayesgmm.declared import whole
from bayesgmm.errors import DataError, choose, warn
from bayesgmm.labels import label_confusion
from bayesgmm.labels.alignments import (
    MAX_ITER,
    METHODS,
    NEED_POINTS,
    RelabellingProblem,
    checked,
)
from bayesgmm.labels.groups import Groups, sort_within
from bayesgmm.labels.responsibilities import Order, Responsibilities
from bayesgmm.labels.subsamples import stratified_subsample
from bayesgmm.posterior.arguments import FitLike, takes_fit
from bayesgmm.posterior.draws import statistic
from bayesgmm.posterior.info import annotate, info
from bayesgmm.posterior.notes import LabelInfo
from bayesgmm.posterior.packing import FACTORS
from bayesgmm.posterior.parameters import Parameters
from bayesgmm.posterior.schema import Posterior, holds_points, observed, points_for, unpack
from bayesgmm.sweep.stats import Array

if TYPE_CHECKING:
    import xarray as xr

SUBSAMPLE = 200  # number of points that are used at the end of every fit; more rarely change the labels
SUBSAMPLE_EACH = 20  # minimum number of points for each component, on average
POINTS = 1000  # default number of points that ``relabel`` uses
MANY = 4  # above MANY * POINTS points, a relabelling by POINTS points comes first
EMPTY = 0.5  # points: a component with a lower expected number in a draw is empty
FEW_ITER = 4  # iterations where the number of components differs between draws
GROUPS = ("posterior", "sample_stats", "unconstrained_posterior", FACTORS)  # whose components are reordered
KEPT = "component_order"  # in ``sample_stats``: the label of each component in the original draw


@takes_fit
def relabel(
    fit: FitLike,
    method: str = "stephens",
    *,
    by: str | None = None,
    partition: ArrayLike | None = None,
    data: DataLike | None = None,
    points: int | None = POINTS,
    progress: bool = True,
) -> "xr.DataTree":
    """Undo label switching: reorder the components so that each label means the same in all draws and chains.

    Every fit of this package is already relabelled by ``'stephens'``. Each call starts from the original draws, so that
    earlier calls have no influence. A point estimate keeps its labels (except with ``'ordered'``), and so does a single
    component.

    Parameters
    ----------
    fit : DataTree or estimator
        A fit by any engine, or a trace of PyMC. All variables of its posterior that have components are reordered.
    method : str
        ``'stephens'``: minimises the divergence of the responsibilities from their mean [1]_, the most accurate method.
        ``'ecr'``: maximises the agreement of the allocations with a partition [2]_. ``'pivot'``: minimises the distance
        of the parameters from those of the most probable draw [3]_; needs no points. ``'ordered'``: sorts by the mean
        of a column or by weight; useful only where the components differ in it.
    by : str, optional
        For ``'ordered'``: a column, or ``'weight'`` (heaviest first). Default: the column, if there is one only.
    partition : (N,) array, optional
        For ``'ecr'``: a label for each point. Default: estimated from the draws.
    data : (N, D) array or DataFrame, optional
        Points whose responsibilities are compared. Default: the points that were fitted.
    points : int, optional
        Size of the subsample of the points that is used: the same number from each component, weighted. All points if
        None. A thousand points are enough for nearly every draw, and take one percent of the time of 100,000 points.
    progress : bool
        Show a progress bar after two seconds.

    Returns
    -------
    DataTree
        A copy with reordered components, the heaviest first (except with ``'ordered'``). ``component_order`` [chain,
        draw, component] in ``sample_stats`` is the label of each component in the original draw.
        ``info(fit).labels`` states how well the labels are determined.

    Raises
    ------
    UnknownName
        When there is no such method.
    DeclarationError
        When a setting belongs to another method, ``by`` is missing or not a column, or ``points`` is not positive.
    DataError
        When ``partition`` or ``data`` do not fit the model, or the method needs points and there are none.
    FitFileError
        When ``fit`` is not a fit.

    Warns
    -----
    FitWarning
        When components with a total weight of at least 1 % can't be distinguished, or hold different points in every
        draw. Their labels then have no meaning.

    References
    ----------
    .. [1] Stephens (2000), J. R. Stat. Soc. B 62(4), 795-809.
    .. [2] Papastamoulis & Iliopoulos (2010), J. Comput. Graph. Stat. 19(2), 313-331.
    .. [3] Marin, Mengersen & Robert (2005), Handbook of Statistics 25, 459-507.

    Examples
    --------
    Sort the components of a fit by the mean of a column.

    >>> import bayesgmm as bg
    >>> x = [[-1.0], [0.0], [1.0], [9.0], [10.0], [11.0], [12.0]]
    >>> fit = bg.fit(bg.MixtureModel(2, "tied"), x, "em", progress=False)
    >>> fit["posterior"]["mean"].values.ravel().round(1)  # the heaviest first
    array([10.5,  0. ])
    >>> relabel(fit, "ordered", by="x0", progress=False)["posterior"]["mean"].values.ravel().round(1)
    array([ 0. , 10.5])
    """
    choose(method, METHODS, "method")
    settings = checked(method, {"by": by, "partition": partition})
    size = None if points is None else whole("points", points)
    posterior, earlier = unpack(fit), component_order(fit)
    if earlier.shape[1] == 1 or (len(earlier) == 1 and method != "ordered"):
        return _renamed(fit, earlier, earlier, LabelInfo(method))
    drawn = replace(posterior, parameters=reorder(posterior.parameters, inverse(earlier)))
    given = _points(fit, data)
    if partition is not None and given is not None:
        settings["partition"] = _as_labels(partition, len(given.values), earlier.shape[1])
    options = Options(method, settings, size, os.cpu_count() or 1, progress)
    order, labels = find_order(drawn, _best(fit), given, options)
    warn(label_confusion.label_warnings(labels))
    return _renamed(fit, earlier, order, labels)


@dataclass(frozen=True)
class Options:
    """Settings of a relabelling.

    Parameters
    ----------
    method : str
    settings : dict
        Of the method.
    points : int, optional
        Size of the subsample; all points when None.
    threads : int
    progress : bool
    max_iter : int
        Maximum number of iterations.
    """

    method: str = "stephens"
    settings: Mapping[str, Any] = field(default_factory=dict)
    points: int | None = POINTS
    threads: int = 1
    progress: bool = False
    max_iter: int = MAX_ITER

    def from_scratch(self, n_points: int) -> bool:
        """Return True if no relabelling by a subsample comes first: few points, or no initial order is needed."""
        return n_points <= MANY * POINTS or self.method not in NEED_POINTS or "partition" in self.settings


def find_order(drawn: Posterior, best: int, points: Points | None, options: Options) -> tuple[Order, LabelInfo]:
    """Compute an order (S, K) of the components in the original draws, and label diagnostics.

    Parameters
    ----------
    drawn : Posterior
        S draws.
    best : int
        The draw to whose labels the others are matched first.
    points : Points, optional
        Points whose responsibilities may be compared.
    options : Options
    """
    settings, weight, limit = dict(options.settings), drawn.parameters.weight, options.max_iter
    groups = None if points is None else component_groups(points, weight.shape[1])
    problem = RelabellingProblem(drawn, best, max_iter=limit, groups=groups)
    if points is not None:
        tables = drawn.tables()
        rows, blocks = stratified_subsample(points, drawn.standard, tables.draw(best), options.points)
        if "partition" in settings:
            settings["partition"] = settings["partition"][rows]
        start = None  # a sweep over many points takes seconds, so start from the order that a subsample gives
        if not options.from_scratch(len(rows)):
            start, _ = find_order(drawn, best, points, replace(options, points=POINTS))
        problem = RelabellingProblem(
            drawn, best, Responsibilities(blocks, tables, options.threads, options.progress), start, limit, groups
        )
    alignment = METHODS[options.method](problem, **settings)
    if options.method != "ordered":
        alignment = alignment.renamed(by_size(weight, alignment.order, groups))
    by = settings.get("by")
    if problem.responsibilities is None:
        return alignment.order, LabelInfo(options.method, by)
    mean_weight = np.take_along_axis(weight, alignment.order, axis=1).mean(axis=0)
    return alignment.order, label_confusion.diagnostics(
        problem.responsibilities, alignment, mean_weight, options.method, by
    )


def undo(points: Points | Stream, posterior: Posterior, lp: Array, threads: int = 1) -> tuple[Order, LabelInfo]:
    """Compute the order (S, K) that undoes label switching in original draws, heaviest first, and label diagnostics.

    Components that hold no point are matched by their weights alone: many of them would take most of the time.

    Parameters
    ----------
    points : Points or Stream
        A subsample of them is used.
    posterior : Posterior
        S draws.
    lp : (S,) float
        Log posterior; the other draws are matched first to the draw with the largest value.
    """
    n_draws, n_components = posterior.parameters.weight.shape
    groups = component_groups(points, n_components)
    if n_components == 1 or n_draws == 1:
        one = np.tile(np.arange(n_components), (n_draws, 1))
        return one[:, by_size(posterior.parameters.weight, one, groups)], LabelInfo("stephens")
    weight, total = posterior.parameters.weight, points.total_weight
    ranked = np.argsort(-weight, axis=1, kind="stable")
    used = max(1, int((weight * total > EMPTY).sum(axis=1).max()))
    if used + 1 >= n_components or groups is not None:
        ranked, used = np.tile(np.arange(n_components), (n_draws, 1)), n_components
    drawn = replace(posterior, parameters=reorder(posterior.parameters, ranked[:, :used]))
    options = Options(points=max(SUBSAMPLE, SUBSAMPLE_EACH * used), threads=threads)
    if (weight == 0).any():  # components that are not in every draw: labels are only a guide
        options = replace(options, max_iter=FEW_ITER)
    order, labels = find_order(drawn, int(np.argmax(lp)), points.sample, options)
    order = np.concatenate([np.take_along_axis(ranked, order, axis=1), ranked[:, used:]], axis=1)
    return order, label_confusion.with_empty(labels, n_components - used)


def aligned(fit: "xr.DataTree", draws: int | None = None) -> Posterior:
    """Return at most ``draws`` draws of a fit; a trace of PyMC, which is not relabelled yet, is relabelled."""
    posterior = unpack(fit).thin(draws)
    if info(fit).relabelled is not None or not holds_points(fit):
        return posterior
    order, _ = undo(observed(fit), posterior, np.zeros(posterior.n_draws), os.cpu_count() or 1)
    return replace(posterior, parameters=reorder(posterior.parameters, order))


def component_order(fit: "xr.DataTree") -> Order:
    """Return the label (S, K) of component k in each original draw; k itself if that is not stored."""
    posterior = fit["posterior"]
    n_draws, n_components = posterior.sizes["chain"] * posterior.sizes["draw"], posterior.sizes["component"]
    if "sample_stats" in fit.children and KEPT in fit["sample_stats"]:
        kept = fit["sample_stats"][KEPT].transpose("chain", "draw", "component").values.reshape(n_draws, -1)
        return np.argsort(
            np.argsort(kept, axis=1), axis=1
        )  # ranks: works after components were removed from the fit too
    return np.tile(np.arange(n_components), (n_draws, 1))


def inverse(order: Order) -> Order:
    """Return the inverse of each of S orders of K components.

    Examples
    --------
    >>> inverse(np.array([[2, 0, 1]]))
    array([[1, 2, 0]])
    """
    return np.argsort(order, axis=1)


def reorder(parameters: Parameters, order: Order) -> Parameters:
    """Apply orders (S, K or fewer) to draws; the product of the leading axes of the draws is S."""
    order = order.reshape(*parameters.weight.shape[:-1], -1)
    return Parameters(
        np.take_along_axis(parameters.weight, order, axis=-1),
        np.take_along_axis(parameters.mean, order[..., None], axis=-2),
        np.take_along_axis(parameters.covariance, order[..., None, None], axis=-3),
        parameters.extras,
    )


def by_size(weight: Array, order: Order, groups: Groups = None) -> NDArray[np.int64]:
    """Return the labels (K,) by decreasing mean weight, within groups."""
    return sort_within(-np.take_along_axis(weight, order, axis=1).mean(axis=0), groups)


def component_groups(points: Points | Stream, n_components: int) -> Groups:
    """Return the groups (K,) of components that the labels of rows treat alike; None if all of them."""
    return None if points.labels is None else exchangeable_groups(points.labels.plausible, n_components)


def _points(fit: "xr.DataTree", data: DataLike | None) -> Points | None:
    """Return the points that were given, else those that were fitted, else None."""
    if data is not None:
        return points_for(fit, data)
    return observed(fit) if holds_points(fit) else None


def _as_labels(partition: ArrayLike, n_points: int, n_components: int) -> NDArray[np.int64]:
    """Convert a partition of the points to integers from 0.

    Raises
    ------
    DataError
        When its length is not the number of points, or it has more clusters than there are components.
    """
    values = np.asarray(partition)
    if values.shape != (n_points,):
        raise DataError(f"partition has shape {values.shape} for {n_points} points; give one label for each point")
    names, labels = np.unique(values, return_inverse=True)
    if len(names) > n_components:
        raise DataError(
            f"partition has {len(names)} clusters, the fit {n_components} components: give one with no more clusters"
        )
    return labels


def _best(fit: "xr.DataTree") -> int:
    """Return the most probable draw if the fit holds the log posterior, else the first."""
    lp = statistic(fit, "lp", "logp")
    if lp is None or set(lp.dims) != {"chain", "draw"}:
        return 0
    return int(np.argmax(lp.transpose("chain", "draw").values))


def _renamed(fit: "xr.DataTree", earlier: Order, order: Order, labels: LabelInfo) -> "xr.DataTree":
    """Return a copy of a fit with its components in another order, and the label diagnostics in its info."""
    import xarray as xr

    step = np.take_along_axis(inverse(earlier), order, axis=1)
    groups = {name: _follow(fit[name].to_dataset(), step) for name in GROUPS if name in fit.children}
    posterior = groups["posterior"]
    coords = {name: posterior.coords[name] for name in ("chain", "draw", "component") if name in posterior.coords}
    shape = tuple(posterior.sizes[name] for name in ("chain", "draw", "component"))
    kept = xr.DataArray(order.astype(np.int16).reshape(shape), coords, ("chain", "draw", "component"))
    groups["sample_stats"] = groups.get("sample_stats", xr.Dataset()).assign({KEPT: kept})
    renamed = fit.copy()
    for name, group in groups.items():
        renamed[name] = xr.DataTree(group)
    facts = info(fit)
    outdated = label_confusion.label_warnings(facts.labels)
    kept_warnings = [text for text in facts.warnings if text not in outdated]
    warnings = (*kept_warnings, *label_confusion.label_warnings(labels))
    return annotate(renamed, replace(facts, relabelled=labels.method, labels=labels, warnings=warnings))


def _follow(group: "xr.Dataset", step: Order) -> "xr.Dataset":
    """Return a group with the components of its variables reordered by (S, K)."""
    sizes = {"chain", "draw", "component"}
    if not sizes <= set(group.sizes):
        return group
    changed = {}
    for name, values in group.data_vars.items():
        if sizes <= set(values.dims):
            rest = [dim for dim in values.dims if dim not in sizes]
            inner = values.transpose("chain", "draw", "component", *rest)
            index = step.reshape(*inner.shape[:3], *[1] * len(rest))
            moved = np.take_along_axis(inner.values, index, axis=2)
            changed[name] = inner.copy(data=moved).transpose(*values.dims)
    return group.assign(changed)
