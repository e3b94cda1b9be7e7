"""Relabelling algorithms: for every draw, the order of its components that agrees best with the other draws."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import scipy  # its parts are imported when they are used
from numpy.typing import ArrayLike, NDArray

from bayesgmm.errors import DataError, DeclarationError, did_you_mean
from bayesgmm.labels import label_kernels
from bayesgmm.labels.groups import Groups, restrained, sort_within
from bayesgmm.posterior.schema import Posterior
from bayesgmm.progress import track
from bayesgmm.sweep.blocks import Blocks
from bayesgmm.sweep.kernels import BLOCK
from bayesgmm.sweep.stats import Array, Table
from bayesgmm.sweep.threads import run_ranges
from bayesgmm.wording import listing

Order = NDArray[np.int64]
MIN_RESPONSIBILITY = 1e-12  # lower bound of responsibilities before their logarithm is taken
MAX_ITER = 50  # iterations; most alignments need two
PARTS = 8  # parts of a sweep; progress is shown after each
NO_GAIN = 1e-10  # a draw keeps its order if another one lowers its cost by less than this share


@dataclass(frozen=True)
class Consensus:
    """Mean responsibilities over the draws, after relabelling.

    Parameters
    ----------
    share : (blocks, K, BLOCK) float
        Mean over the draws of the probability that a point has a label.
    squares : (K,) float
        Mean over the draws of the squares of that probability, summed over the points.
    """

    share: Array
    squares: Array

    def renamed(self, names: NDArray[np.int64]) -> "Consensus":
        """Return the same with labels permuted: new label k is old label ``names[k]``."""
        return Consensus(self.share[:, names], self.squares[names])


@dataclass(frozen=True)
class Responsibilities:
    """Responsibilities of some points under every draw. They are summed as they are computed, and never stored.

    Parameters
    ----------
    blocks : Blocks
        N points in standardised coordinates, with their weights.
    tables : Table
        S tables.
    threads : int
    progress : bool
    """

    blocks: Blocks
    tables: Table
    threads: int = 1
    progress: bool = False

    @property
    def shape(self) -> tuple[int, int]:
        """S and K."""
        n_draws, n_components = self.tables.offset.shape
        return n_draws, n_components

    def costs(self, target: Array) -> Array:
        r"""Compute the cost (S, K, K) of giving component j of draw s label k: :math:`\sum_n w_n t_{nk} p^{(s)}_{nj}`.

        Parameters
        ----------
        target : (blocks, K, BLOCK) float
            Cost of each label for each point.
        """
        n_draws, k = self.shape
        out = np.empty((n_draws, k, k))
        args = (self.blocks.native, self.tables.native, target.reshape(-1))
        flat = out.reshape(-1)
        self._sweep(lambda start, stop: label_kernels.label_costs(*args, start, stop, flat), n_draws)
        return out

    def consensus(self, order: Order) -> "Consensus":
        """Compute the mean responsibilities over the draws, with components labelled by an order (S, K)."""
        k = self.shape[1]
        out = np.zeros((self.blocks.n_blocks, k, BLOCK))
        squares = np.zeros((self.blocks.n_blocks, k))
        args = (self.blocks.native, self.tables.native, order.reshape(-1))
        flat, held = out.reshape(-1), squares.reshape(-1)
        self._sweep(
            lambda start, stop: label_kernels.mean_responsibilities(*args, start, stop, flat, held),
            self.blocks.n_blocks,
        )
        return Consensus(out, squares.sum(axis=0))

    def log_empty(self) -> Array:
        """Compute the log probability (S, K) that a component has none of the points."""
        return self._by_draw(label_kernels.log_empty)

    def logliks(self) -> Array:
        """Compute the total log likelihoods (S,), in the coordinates of the blocks."""
        return self._by_draw(label_kernels.log_likelihoods, each=False)

    def _by_draw(self, kernel: Callable[..., None], each: bool = True) -> Array:
        n_draws, k = self.shape
        out = np.empty((n_draws, k) if each else n_draws)
        args = (self.blocks.native, self.tables.native)
        flat = out.reshape(-1)
        self._sweep(lambda start, stop: kernel(*args, start, stop, flat), n_draws)
        return out

    def of_draw(self, draw: int) -> "Consensus":
        """Compute the responsibilities of one draw, with its own labels."""
        alone = Responsibilities(self.blocks, self.tables.draw(draw), self.threads)
        return alone.consensus(np.arange(self.shape[1])[None])

    def _sweep(self, task: Callable[[int, int], object], size: int) -> None:
        cuts = np.linspace(0, size, PARTS + 1 if self.progress else 2).astype(int).tolist()
        for start, stop in track(list(pairwise(cuts)), "relabelling", self.progress):
            run_ranges(_shifted(task, start), stop - start, self.threads)


def _shifted(task: Callable[[int, int], object], start: int) -> Callable[[int, int], object]:
    return lambda a, b: task(start + a, start + b)


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
