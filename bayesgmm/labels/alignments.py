"""Relabelling algorithms: for every draw, the order of its components that agrees best with the other draws."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy  # its parts are imported when they are used
from numpy.typing import ArrayLike, NDArray

from bayesgmm.errors import DataError, DeclarationError, did_you_mean
from bayesgmm.labels.groups import Groups, restrained, sort_within
from bayesgmm.labels.responsibilities import Consensus, Order, Responsibilities
from bayesgmm.posterior.schema import Posterior
from bayesgmm.sweep.kernels import BLOCK
from bayesgmm.sweep.stats import Array
from bayesgmm.wording import listing

MIN_RESPONSIBILITY = 1e-12  # lower bound of responsibilities before their logarithm is taken
MAX_ITER = 50  # iterations; most alignments need two
NO_GAIN = 1e-10  # a draw keeps its order if another one lowers its cost by less than this share


@dataclass(frozen=True)
class RelabellingProblem:
    """Draws to relabel.

    Parameters
    ----------
    posterior : Posterior
    best : int
        The draw to whose labels the others are matched first: the most probable one.
    responsibilities : Responsibilities, optional
        None when there are no points.
    start : (S, K) int, optional
        An initial order.
    max_iter : int
        Maximum number of iterations.
    groups : (K,) int, optional
        Only components of a group may exchange labels. Default: all may.
    """

    posterior: Posterior
    best: int
    responsibilities: Responsibilities | None = None
    start: Order | None = None
    max_iter: int = MAX_ITER
    groups: Groups = None

    def require_points(self) -> Responsibilities:
        """Return the responsibilities of the points.

        Raises
        ------
        DataError
            When there are no points.
        """
        if self.responsibilities is None:
            raise DataError(
                "this fit holds no observed data, and 'stephens' and 'ecr' compare responsibilities of points\n"
                "  Give points, data=..., or use a method that compares parameters: 'pivot', 'ordered'."
            )
        return self.responsibilities


@dataclass(frozen=True)
class Alignment:
    """An order of the components of every draw, and the values that it minimises.

    Parameters
    ----------
    order : (S, K) int
        ``order[s, k]``: the component of draw s that has label k.
    centre : Consensus, optional
        Mean responsibilities after relabelling, where the method uses points.
    cost : (S, K, K) float, optional
        Cost, by Stephens' divergence from ``centre``, of giving component j of a draw label k.
    objective : tuple of float
        The objective after each iteration. It never increases.
    """

    order: Order
    centre: Consensus | None = None
    cost: Array | None = None
    objective: tuple[float, ...] = ()

    def renamed(self, names: NDArray[np.int64]) -> "Alignment":
        """Return the same with labels permuted: new label k is old label ``names[k]``."""
        centre = None if self.centre is None else self.centre.renamed(names)
        cost = None if self.cost is None else self.cost[:, names]
        return replace(self, order=self.order[:, names], centre=centre, cost=cost)


def solve_assignments(cost: Array) -> Order:
    """Solve the assignment problem for cost matrices (S, K, K): the column (S, K) of each row, at minimum total cost.

    If the minima of the columns lie in different rows, they are the solution. The other matrices are solved one by one.

    Examples
    --------
    >>> solve_assignments(np.array([[[0.0, 5.0], [5.0, 0.0]], [[1.0, 2.0], [2.0, 9.0]]]))
    array([[0, 1],
           [1, 0]])
    """
    rows = cost.argmin(axis=1)
    order = np.argsort(rows, axis=1, kind="stable")
    clear = (np.take_along_axis(rows, order, axis=1) == np.arange(cost.shape[1])).all(axis=1)
    for s in np.flatnonzero(~clear):
        order[s] = scipy.optimize.linear_sum_assignment(cost[s])[1]
    return order


def order_cost(cost: Array, order: Order) -> Array:
    """Return the cost (S,) of the order of each draw."""
    return np.take_along_axis(cost, order[:, :, None], axis=2)[:, :, 0].sum(axis=1)


def divergence(centre: Array) -> Array:
    """Return Stephens' cost of a point: minus the logarithm of the mean responsibilities."""
    return -np.log(np.maximum(centre, MIN_RESPONSIBILITY))


def disagreement(centre: Array) -> Array:
    """Return the ECR cost of a point: -1 for the label with the largest mean responsibility, 0 for the others."""
    return -(centre.argmax(axis=1)[:, None] == np.arange(centre.shape[1])[:, None]).astype(float)


def alternate(
    responsibilities: Responsibilities,
    point_cost: Callable[[Array], Array],
    centre: Consensus,
    start: Order | None = None,
    max_iter: int = MAX_ITER,
    groups: Groups = None,
) -> Alignment:
    """Minimise the cost over the orders and over the consensus alternately, until convergence."""
    order, objective = start, []
    for _ in range(max_iter):
        cost = restrained(responsibilities.costs(point_cost(centre.share)), groups)
        new = solve_assignments(cost)
        if order is not None:
            old_cost = order_cost(cost, order)
            better = old_cost - order_cost(cost, new) > NO_GAIN * np.abs(old_cost)
            new = np.where(better[:, None], new, order)
        objective.append(float(order_cost(cost, new).sum()))
        if order is not None and np.array_equal(new, order):
            break
        order = new
        centre = responsibilities.consensus(order)
    assert order is not None  # max_iter is not zero
    final_cost = cost if point_cost is divergence else None
    return Alignment(order, centre, final_cost, tuple(objective))


def _by_points(problem: RelabellingProblem, point_cost: Callable[[Array], Array]) -> Alignment:
    responsibilities = problem.require_points()
    centre = (
        responsibilities.of_draw(problem.best) if problem.start is None else responsibilities.consensus(problem.start)
    )
    return alternate(responsibilities, point_cost, centre, problem.start, problem.max_iter, problem.groups)


def stephens(problem: RelabellingProblem) -> Alignment:
    r"""Minimise the Kullback-Leibler divergence of the draws' responsibilities from their common mean.

    .. math:: \min_{\pi_1 \dots \pi_S} \sum_{s,n,k} w_n p^{(s)}_{n \pi_s(k)} \log \frac{p^{(s)}_{n \pi_s(k)}}{q_{nk}},
              \qquad q_{nk} = \frac1S \sum_s p^{(s)}_{n \pi_s(k)}

    Raises
    ------
    DataError
        When there are no points.

    References
    ----------
    .. [1] Stephens (2000), J. R. Stat. Soc. B 62(4), 795-809, algorithm 2.
    """
    return _by_points(problem, divergence)


def ecr(problem: RelabellingProblem, partition: ArrayLike | None = None) -> Alignment:
    r"""Maximise the number of points on which the draws' allocations agree with one partition.

    The method is called equivalence class representatives (ECR).

    .. math:: \max_{\pi_1 \dots \pi_S} \sum_{s,n} w_n \Pr(z^{(s)}_n = \pi_s(z^*_n)),
              \qquad z^*_n = \operatorname{argmax}_k \sum_s p^{(s)}_{n \pi_s(k)}

    Allocations are not sampled: the agreement is its expectation over them. The initial partition is that of the most
    probable draw. If ``partition`` is given, it does not change.

    Raises
    ------
    DataError
        When there are no points.

    References
    ----------
    .. [1] Papastamoulis & Iliopoulos (2010), J. Comput. Graph. Stat. 19(2), 313-331; [2] Papastamoulis (2014), Comput.
       Stat. Data Anal. 71, 1-14: its iterative versions.
    """
    if partition is None:
        return _by_points(problem, disagreement)
    responsibilities = problem.require_points()
    cost = restrained(responsibilities.costs(disagreement(_as_centre(partition, responsibilities))), problem.groups)
    order = solve_assignments(cost)
    return Alignment(order, responsibilities.consensus(order), objective=(float(order_cost(cost, order).sum()),))


def _as_centre(partition: ArrayLike, responsibilities: Responsibilities) -> Array:
    """Convert a partition (N,) to mean responsibilities: 1 for the label of a point, 0 for the others."""
    padded = np.zeros(responsibilities.blocks.n_blocks * BLOCK, dtype=np.int64)
    labels = np.asarray(partition)
    padded[: len(labels)] = labels
    labels = np.arange(responsibilities.shape[1])[:, None]
    return (padded.reshape(-1, 1, BLOCK) == labels).astype(float)


def coordinates(posterior: Posterior) -> Array:
    """Return weights, standardised means, log standard deviations and correlations of the components (S, K, C).

    Means and standard deviations are in units of the standard deviation of their column. They are not divided by their
    posterior standard deviations: parameters that do not differ between components would then have the same influence
    as those that do.
    """
    p, scale = posterior.parameters, posterior.standard.scale
    sd = np.sqrt(np.diagonal(p.covariance, axis1=-2, axis2=-1))
    i, j = np.tril_indices(len(scale), -1)
    correlation = p.covariance[..., i, j] / (sd[..., i] * sd[..., j])
    mean = (p.mean - posterior.standard.shift) / scale
    return np.concatenate([p.weight[..., None], mean, np.log(sd / scale), correlation], axis=-1)


def pivot(problem: RelabellingProblem) -> Alignment:
    r"""Minimise the squared distance of each draw's parameters from those of the most probable draw.

    .. math:: \min_\pi \sum_k \lVert v^{(s)}_{\pi(k)} - v^*_k \rVert^2

    ``v`` holds a component's weight, standardised means, log standard deviations and correlations (``coordinates``).

    References
    ----------
    .. [1] Marin, Mengersen & Robert (2005), Handbook of Statistics 25, 459-507.
    """
    values = coordinates(problem.posterior)
    named = values[problem.best]
    squares = (values**2).sum(axis=2)[:, None, :] + (named**2).sum(axis=1)[:, None]
    cost = restrained(squares - 2 * np.einsum("kc,sjc->skj", named, values), problem.groups)
    order = solve_assignments(cost)
    return Alignment(order, objective=(float(order_cost(cost, order).sum()),))


def ordered(problem: RelabellingProblem, by: str | None = None) -> Alignment:
    """Sort the components by increasing mean of a column, or by decreasing weight; labels of rows keep their component.

    The posterior is cut where two components have the same value: choose a column in which the components differ.

    Raises
    ------
    DeclarationError
        When there is no such column, or ``by`` is missing and there are several columns.
    """
    columns, p = problem.posterior.columns, problem.posterior.parameters
    if by is None and len(columns) == 1:
        by = columns[0]
    known = dict.fromkeys([*columns, "weight"])
    if by not in known:
        start = "method 'ordered' needs by=" if by is None else f"by={by!r}: must be "
        raise DeclarationError(f"{start}one of {listing(list(known))}{did_you_mean(by, known)}")
    values = p.mean[:, :, columns.index(by)] if by in columns else -p.weight
    return Alignment(sort_within(values, problem.groups))


METHODS: Mapping[str, Callable[..., Alignment]] = {
    "stephens": stephens,
    "ecr": ecr,
    "pivot": pivot,
    "ordered": ordered,
}
NEED_POINTS = {"stephens", "ecr"}
SETTINGS = {"by": "ordered", "partition": "ecr"}  # setting: the method that takes it


def checked(method: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that are not None.

    Raises
    ------
    DeclarationError
        When a setting belongs to another method.
    """
    given = {name: value for name, value in settings.items() if value is not None}
    for name in given:
        if SETTINGS[name] != method:
            raise DeclarationError(f"method {method!r} takes no {name}=; {SETTINGS[name]!r} does")
    return given
