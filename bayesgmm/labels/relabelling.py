"""Label switching undone: component k means the same in every draw of every chain, as far as it means anything."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bayesgmm.data.points import Points
from bayesgmm.declared import whole
from bayesgmm.errors import DataError, choose, warn
from bayesgmm.labels import label_confusion
from bayesgmm.labels.alignments import METHODS, NEED_POINTS, Order, Switched, Votes, checked
from bayesgmm.labels.witnesses import choose_witnesses
from bayesgmm.posterior.parameters import Parameters
from bayesgmm.posterior.schema import Posterior, annotate, holds_points, info, observed, points_for, unpack
from bayesgmm.sweep.stats import Array

if TYPE_CHECKING:
    import xarray as xr

WITNESSES = 200  # points that are asked at the end of every fit: labels seldom need more
WITNESSES_EACH = 20  # of them a component, at least
POINTS = 1000  # points that ``relabel`` asks, unless told
MANY = 4  # times as many: all of many points take seconds a sweep
GROUPS = ("posterior", "sample_stats", "unconstrained_posterior")  # whose variables follow the components
KEPT = "component_order"  # in ``sample_stats``: what each component was called as it was drawn


def relabel(
    fit: "xr.DataTree",
    method: str = "stephens",
    *,
    by: str | None = None,
    partition: Any = None,
    data: Any = None,
    points: int | None = POINTS,
    progress: bool = True,
) -> "xr.DataTree":
    """Undo label switching: name the components so that a name means the same in every draw of every chain.

    Every fit of ours comes relabelled by ``'stephens'``. Another method starts from the draws as they were drawn, so
    that the order of calls does not matter. A point estimate keeps its names (but ``'ordered'`` orders it), and so does
    a single component.

    Parameters
    ----------
    fit : DataTree
        Whatever made it; every variable of its posterior that has components follows them.
    method : str
        ``'stephens'``: responsibilities agree (Stephens 2000), the most careful. ``'ecr'``: allocations agree with a
        partition (Papastamoulis & Iliopoulos 2010). ``'pivot'``: parameters are close to those of the most probable
        draw (Marin et al. 2005); needs no points. ``'ordered'``: by a column's mean or by weight; only as good as that
        tells components apart.
    by : str, optional
        For ``'ordered'``: a column, or ``'weight'`` (heaviest first).
    partition : (N,) array, optional
        For ``'ecr'``: a label for each point, to agree with; found from the draws unless told.
    data : (N, D) array or DataFrame, optional
        The points that are asked; those that were fitted unless told.
    points : int, optional
        Ask about so many points, as many of each component, each for those that it stands for; all when None. A
        thousand settle the order of nearly every draw, in a hundredth of the time that 100,000 take.
    progress : bool
        Show how far it is where it takes longer than two seconds.

    Returns
    -------
    DataTree
        The same with components renamed, heaviest first (but for ``'ordered'``). ``sample_stats`` holds
        ``component_order`` [chain, draw, component]: which component of the draw as it was drawn that is. What
        ``info(fit)["labels"]`` says of how sure the labels are: ``method``, ``agreement``, ``constancy``,
        ``inconstant``, ``confusion``, ``indistinct``, ``doubtful_weight``, ``points``, as ``label_confusion.judge``
        tells them; where nobody can be asked (one draw, one component, no points) only ``method``.

    Raises
    ------
    UnknownName, DeclarationError, DataError

    Warns
    -----
    FitWarning
        When components that bear weight can't be told apart: then no order of theirs makes sense.

    References
    ----------
    .. [1] Stephens (2000), J. R. Stat. Soc. B 62(4), 795-809; [2] Papastamoulis & Iliopoulos (2010), J. Comput. Graph.
       Stat. 19(2), 313-331; [3] Marin, Mengersen & Robert (2005), Handbook of Statistics 25, 459-507.
    """
    choose(method, METHODS, "method")
    settings = checked(method, {"by": by, "partition": partition})
    size = None if points is None else whole("points", points)
    posterior, earlier = unpack(fit), component_order(fit)
    if earlier.shape[1] == 1 or (len(earlier) == 1 and method != "ordered"):
        return _renamed(fit, earlier, earlier, {"method": method})
    drawn = replace(posterior, parameters=reorder(posterior.parameters, inverse(earlier)))
    asked = _asked(fit, data)
    if partition is not None and asked is not None:
        settings["partition"] = _as_labels(partition, len(asked.values), earlier.shape[1])
    how = Naming(method, settings, size, os.cpu_count() or 1, progress)
    order, labels = name_components(drawn, _best(fit), asked, how)
    warn(label_confusion.doubts(labels))
    return _renamed(fit, earlier, order, labels)


@dataclass(frozen=True)
class Naming:
    """How components are to be named.

    Parameters
    ----------
    method : str
    settings : dict
        Of the method.
    points : int, optional
        How many are asked; all when None.
    threads : int
    progress : bool
    """

    method: str = "stephens"
    settings: Mapping[str, Any] = field(default_factory=dict)
    points: int | None = POINTS
    threads: int = 1
    progress: bool = False

    def from_scratch(self, n_points: int) -> bool:
        """Whether so many points need no order to start from: few do not, and some methods have none."""
        return n_points <= MANY * POINTS or self.method not in NEED_POINTS or "partition" in self.settings


def name_components(drawn: Posterior, best: int, asked: Points | None, how: Naming) -> tuple[Order, dict[str, Any]]:
    """(S, K) an order of components as they were drawn, and how sure it is.

    Parameters
    ----------
    drawn : Posterior
        S draws.
    best : int
        The draw that names the components at first.
    asked : Points, optional
        Points that may be asked.
    how : Naming
    """
    case, settings, weight = Switched(drawn, best), dict(how.settings), drawn.parameters.weight
    if asked is not None:
        tables = drawn.tables()
        rows, blocks = choose_witnesses(asked, drawn.standard, tables.draw(best), how.points)
        if "partition" in settings:
            settings["partition"] = settings["partition"][rows]
        start = None  # all of many points take seconds a sweep: they start from what some of them say
        if not how.from_scratch(len(rows)):
            start, _ = name_components(drawn, best, asked, replace(how, points=POINTS))
        case = Switched(drawn, best, Votes(blocks, tables, how.threads, how.progress), start)
    found = METHODS[how.method](case, **settings)
    if how.method != "ordered":
        found = found.renamed(by_size(weight, found.order))
    told = {"method": how.method} | {name: value for name, value in settings.items() if name == "by"}
    if case.votes is None:
        return found.order, told
    mean_weight = np.take_along_axis(weight, found.order, axis=1).mean(axis=0)
    return found.order, told | label_confusion.judge(case.votes, found, mean_weight)


def undo(points: Points, posterior: Posterior, lp: Array, threads: int = 1) -> tuple[Order, dict[str, Any]]:
    """(S, K) the order that undoes label switching in draws as they were drawn, heaviest first, and how sure it is.

    Parameters
    ----------
    points : Points
        Some of them are asked.
    posterior : Posterior
        S draws.
    lp : (S,) float
        Log posterior: the best draw names the components at first.
    """
    n_draws, n_components = posterior.parameters.weight.shape
    if n_components == 1 or n_draws == 1:
        one = np.tile(np.arange(n_components), (n_draws, 1))
        return one[:, by_size(posterior.parameters.weight, one)], {"method": "stephens"}
    size = max(WITNESSES, WITNESSES_EACH * n_components)
    return name_components(posterior, int(np.argmax(lp)), points, Naming(points=size, threads=threads))


def aligned(fit: "xr.DataTree", draws: int | None = None) -> Posterior:
    """The draws of a fit, at most so many, with label switching undone: also those that PyMC made, which has not."""
    posterior = unpack(fit).thin(draws)
    if "relabelled" in info(fit) or not holds_points(fit):
        return posterior
    order, _ = undo(observed(fit), posterior, np.zeros(posterior.n_draws), os.cpu_count() or 1)
    return replace(posterior, parameters=reorder(posterior.parameters, order))


def component_order(fit: "xr.DataTree") -> Order:
    """(S, K) which component of each draw, as it was drawn, is component k; its own where nothing else is known."""
    posterior = fit["posterior"]
    n_draws, n_components = posterior.sizes["chain"] * posterior.sizes["draw"], posterior.sizes["component"]
    if "sample_stats" in fit.children and KEPT in fit["sample_stats"]:
        kept = fit["sample_stats"][KEPT].transpose("chain", "draw", "component").values.reshape(n_draws, -1)
        return np.argsort(np.argsort(kept, axis=1), axis=1)  # also of a fit from which components were taken away
    return np.tile(np.arange(n_components), (n_draws, 1))


def inverse(order: Order) -> Order:
    """The order that takes (S, K) orders back.

    Examples
    --------
    >>> inverse(np.array([[2, 0, 1]]))
    array([[1, 2, 0]])
    """
    return np.argsort(order, axis=1)


def reorder(parameters: Parameters, order: Order) -> Parameters:
    """Apply an order (S, K) to draws with leading axes that make up S."""
    order = order.reshape(parameters.weight.shape)
    return Parameters(
        np.take_along_axis(parameters.weight, order, axis=-1),
        np.take_along_axis(parameters.mean, order[..., None], axis=-2),
        np.take_along_axis(parameters.covariance, order[..., None, None], axis=-3),
        parameters.extras,
    )


def by_size(weight: Array, order: Order) -> NDArray[np.int64]:
    """(K,) labels from the heaviest on average to the lightest."""
    return np.argsort(-np.take_along_axis(weight, order, axis=1).mean(axis=0), kind="stable")


def _asked(fit: "xr.DataTree", data: Any) -> Points | None:
    """The points that may be asked: given ones, those that were fitted, or none."""
    if data is not None:
        return points_for(fit, data)
    return observed(fit) if holds_points(fit) else None


def _as_labels(partition: Any, n_points: int, n_components: int) -> NDArray[np.int64]:
    """A partition of the points as numbers from 0 on.

    Raises
    ------
    DataError
    """
    values = np.asarray(partition)
    if values.shape != (n_points,):
        raise DataError(f"partition has shape {values.shape} for {n_points} points; give one label a point")
    names, labels = np.unique(values, return_inverse=True)
    if len(names) > n_components:
        raise DataError(
            f"partition has {len(names)} clusters, the fit {n_components} components: give one with no more clusters"
        )
    return labels


def _best(fit: "xr.DataTree") -> int:
    """The most probable draw, where the fit says which; else the first."""
    stats: Any = fit["sample_stats"] if "sample_stats" in fit.children else {}
    for name in ("lp", "logp"):
        if name in stats and set(stats[name].dims) == {"chain", "draw"}:
            return int(np.argmax(stats[name].transpose("chain", "draw").values))
    return 0


def _renamed(fit: "xr.DataTree", earlier: Order, order: Order, labels: dict[str, Any]) -> "xr.DataTree":
    """A copy of a fit whose components have another order, and what is to be said of it."""
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
    told = info(fit)
    said = [text for text in told.get("warnings", []) if text not in label_confusion.doubts(told.get("labels", {}))]
    warnings = [*said, *label_confusion.doubts(labels)]
    return annotate(renamed, told | {"relabelled": labels["method"], "labels": labels, "warnings": warnings})


def _follow(group: "xr.Dataset", step: Order) -> "xr.Dataset":
    """Variables of draws and components with their components in another order (S, K)."""
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
