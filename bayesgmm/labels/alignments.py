"""How label switching is undone: for every draw, the order of its components that agrees best with the others'."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from bayesgmm.data.points import listing
from bayesgmm.errors import DataError, DeclarationError, did_you_mean
from bayesgmm.labels import label_kernels
from bayesgmm.posterior.schema import Posterior
from bayesgmm.progress import track
from bayesgmm.sweep.kernels import BLOCK
from bayesgmm.sweep.stats import Array, Blocks, Table, run_ranges

Order = NDArray[np.int64]
LEAST = 1e-12  # a responsibility below this says no more than "not here"
MAX_ITER = 50  # sweeps; most alignments need two
PARTS = 8  # of a sweep, between which progress is shown
NO_GAIN = 1e-10  # of its cost: a draw whose order gains less than this keeps the one it has


@dataclass(frozen=True)
class Consensus:
    """What draws agree on, once their components have names.

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
        """What was called ``names[k]`` is called k."""
        return Consensus(self.share[:, names], self.squares[names])


@dataclass(frozen=True)
class Votes:
    """Points that vote, under every draw, on which component is which; their responsibilities are never held.

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
        r"""(S, K, K) what it costs to call component j of draw s label k: :math:`\sum_n w_n t_{nk} p^{(s)}_{nj}`.

        Parameters
        ----------
        target : (blocks, K, BLOCK) float
            What each label charges for each point.
        """
        (n_draws, k), d = self.shape, self.blocks.n_features
        out = np.empty((n_draws, k, k))
        args = (self.blocks.x, self.blocks.weight, *self.tables.flat(), target.reshape(-1), k, d)
        flat = out.reshape(-1)
        self._sweep(lambda start, stop: label_kernels.label_costs(*args, start, stop, flat), n_draws)
        return out

    def consensus(self, order: Order) -> "Consensus":
        """What the draws agree on, called by these names."""
        k, d = self.shape[1], self.blocks.n_features
        out = np.zeros((self.blocks.n_blocks, k, BLOCK))
        squares = np.zeros((self.blocks.n_blocks, k))
        args = (self.blocks.x, self.blocks.weight, *self.tables.flat(), order.reshape(-1), k, d)
        flat, held = out.reshape(-1), squares.reshape(-1)
        self._sweep(
            lambda start, stop: label_kernels.named_responsibilities(*args, start, stop, flat, held),
            self.blocks.n_blocks,
        )
        return Consensus(out, squares.sum(axis=0))

    def log_empty(self) -> Array:
        """(S, K) log probability that a component has none of the points."""
        return self._by_draw(label_kernels.log_empty)

    def logliks(self) -> Array:
        """(S,) total log likelihoods, in the coordinates of the blocks."""
        return self._by_draw(label_kernels.log_likelihoods, each=False)

    def _by_draw(self, kernel: Callable[..., None], each: bool = True) -> Array:
        (n_draws, k), d = self.shape, self.blocks.n_features
        out = np.empty((n_draws, k) if each else n_draws)
        args = (self.blocks.x, self.blocks.weight, *self.tables.flat(), k, d)
        flat = out.reshape(-1)
        self._sweep(lambda start, stop: kernel(*args, start, stop, flat), n_draws)
        return out

    def of_draw(self, draw: int) -> "Consensus":
        """What one draw alone says, by its own names."""
        alone = Votes(self.blocks, self.tables.draw(draw), self.threads)
        return alone.consensus(np.arange(self.shape[1])[None])

    def _sweep(self, task: Callable[[int, int], object], size: int) -> None:
        cuts = np.linspace(0, size, PARTS + 1 if self.progress else 2).astype(int).tolist()
        for start, stop in track(list(pairwise(cuts)), "relabelling", self.progress):
            run_ranges(_shifted(task, start), stop - start, self.threads)


def _shifted(task: Callable[[int, int], object], start: int) -> Callable[[int, int], object]:
    return lambda a, b: task(start + a, start + b)


@dataclass(frozen=True)
class Switched:
    """Draws whose components have no common names yet.

    Parameters
    ----------
    posterior : Posterior
    best : int
        The draw that names the components at first: the most probable one.
    votes : Votes, optional
        None where there are no points.
    start : (S, K) int, optional
        An order to improve.
    """

    posterior: Posterior
    best: int
    votes: Votes | None = None
    start: Order | None = None

    def witnesses(self) -> Votes:
        """The points that vote.

        Raises
        ------
        DataError
            When there are none.
        """
        if self.votes is None:
            raise DataError(
                "this fit holds no observed data, and 'stephens' and 'ecr' ask points which component is which\n"
                "  Give some, data=..., or use a method that looks at parameters alone: 'pivot', 'ordered'."
            )
        return self.votes


@dataclass(frozen=True)
class Agreement:
    """An order for every draw, and what led to it.

    Parameters
    ----------
    order : (S, K) int
        ``order[s, k]``: which component of draw s is called k.
    centre : Consensus, optional
        What the draws agree on, where points were asked.
    cost : (S, K, K) float, optional
        What Stephens' divergence charges each draw for calling component j label k, given that.
    objective : tuple of float
        What was minimised, sweep by sweep: it never rises.
    """

    order: Order
    centre: Consensus | None = None
    cost: Array | None = None
    objective: tuple[float, ...] = ()

    def renamed(self, names: NDArray[np.int64]) -> "Agreement":
        """What was called ``names[k]`` is called k."""
        centre = None if self.centre is None else self.centre.renamed(names)
        cost = None if self.cost is None else self.cost[:, names]
        return replace(self, order=self.order[:, names], centre=centre, cost=cost)


def cheapest(cost: Array) -> Order:
    """For each of a stack of cost matrices (S, K, K), the column of each row in the assignment that costs least.

    Where every column is cheapest in a row of its own, that is the answer; only the others are solved.

    Examples
    --------
    >>> cheapest(np.array([[[0.0, 5.0], [5.0, 0.0]], [[1.0, 2.0], [2.0, 9.0]]]))
    array([[0, 1],
           [1, 0]])
    """
    rows = cost.argmin(axis=1)
    order = np.argsort(rows, axis=1, kind="stable")
    clear = (np.take_along_axis(rows, order, axis=1) == np.arange(cost.shape[1])).all(axis=1)
    for s in np.flatnonzero(~clear):
        order[s] = linear_sum_assignment(cost[s])[1]
    return order


def price(cost: Array, order: Order) -> Array:
    """(S,) what each draw pays for its order."""
    return np.take_along_axis(cost, order[:, :, None], axis=2)[:, :, 0].sum(axis=1)


def divergence(centre: Array) -> Array:
    """Stephens' charge for a point: minus the logarithm of what the draws agree on."""
    return -np.log(np.maximum(centre, LEAST))


def disagreement(centre: Array) -> Array:
    """The charge of ECR: -1 from the label that most draws give a point, 0 from the others."""
    return -(centre.argmax(axis=1)[:, None] == np.arange(centre.shape[1])[:, None]).astype(float)


def settle(votes: Votes, charge: Callable[[Array], Array], centre: Consensus, start: Order | None = None) -> Agreement:
    """Best orders given what is agreed on, and what is agreed on given the orders, in turns until nothing moves."""
    order, objective = start, []
    for _ in range(MAX_ITER):
        cost = votes.costs(charge(centre.share))
        new = cheapest(cost)
        if order is not None:
            paid = price(cost, order)
            new = np.where((paid - price(cost, new) > NO_GAIN * np.abs(paid))[:, None], new, order)
        objective.append(float(price(cost, new).sum()))
        if order is not None and np.array_equal(new, order):
            break
        order = new
        centre = votes.consensus(order)
    assert order is not None  # MAX_ITER is not zero
    settled = cost if charge is divergence else None
    return Agreement(order, centre, settled, tuple(objective))


def _by_points(case: Switched, charge: Callable[[Array], Array]) -> Agreement:
    votes = case.witnesses()
    centre = votes.of_draw(case.best) if case.start is None else votes.consensus(case.start)
    return settle(votes, charge, centre, case.start)


def stephens(case: Switched) -> Agreement:
    r"""The draws' responsibilities come as close as they can to their common mean.

    .. math:: \min_{\pi_1 \dots \pi_S} \sum_{s,n,k} w_n p^{(s)}_{n \pi_s(k)} \log \frac{p^{(s)}_{n \pi_s(k)}}{q_{nk}},
              \qquad q_{nk} = \frac1S \sum_s p^{(s)}_{n \pi_s(k)}

    References
    ----------
    .. [1] Stephens (2000), J. R. Stat. Soc. B 62(4), 795-809, algorithm 2.
    """
    return _by_points(case, divergence)


def ecr(case: Switched, partition: Any = None) -> Agreement:
    r"""The draws' allocations agree with one partition on as many points as they can.

    (Equivalence class representatives.)

    .. math:: \max_{\pi_1 \dots \pi_S} \sum_{s,n} w_n \Pr(z^{(s)}_n = \pi_s(z^*_n)),
              \qquad z^*_n = \operatorname{argmax}_k \sum_s p^{(s)}_{n \pi_s(k)}

    A draw's allocations are not sampled: their agreement is averaged over them. The partition starts at the most
    probable draw's; a given one is kept.

    References
    ----------
    .. [1] Papastamoulis & Iliopoulos (2010), J. Comput. Graph. Stat. 19(2), 313-331; [2] Papastamoulis (2014), Comput.
       Stat. Data Anal. 71, 1-14: its iterative versions.
    """
    if partition is None:
        return _by_points(case, disagreement)
    votes = case.witnesses()
    cost = votes.costs(disagreement(_as_centre(partition, votes)))
    order = cheapest(cost)
    return Agreement(order, votes.consensus(order), objective=(float(price(cost, order).sum()),))


def _as_centre(partition: NDArray[np.int64], votes: Votes) -> Array:
    """A partition (N,) as what is agreed on: all of a point has its label."""
    padded = np.zeros(votes.blocks.n_blocks * BLOCK, dtype=np.int64)
    padded[: len(partition)] = partition
    labels = np.arange(votes.shape[1])[:, None]
    return (padded.reshape(-1, 1, BLOCK) == labels).astype(float)


def coordinates(posterior: Posterior) -> Array:
    """(S, K, C) weight, means in units of their column's spread, log standard deviations, correlations.

    In units that mean the same everywhere: scaled by their own spread, what is all noise would count like what tells
    components apart.
    """
    p, scale = posterior.parameters, posterior.standard.scale
    sd = np.sqrt(np.diagonal(p.covariance, axis1=-2, axis2=-1))
    i, j = np.tril_indices(len(scale), -1)
    correlation = p.covariance[..., i, j] / (sd[..., i] * sd[..., j])
    mean = (p.mean - posterior.standard.shift) / scale
    return np.concatenate([p.weight[..., None], mean, np.log(sd / scale), correlation], axis=-1)


def pivot(case: Switched) -> Agreement:
    r"""Every draw's parameters come as close as they can to those of the most probable draw.

    .. math:: \min_\pi \sum_k \lVert v^{(s)}_{\pi(k)} - v^*_k \rVert^2

    ``v`` holds a component's weight, means in units of their column's spread, log standard deviations, correlations.

    References
    ----------
    .. [1] Marin, Mengersen & Robert (2005), Handbook of Statistics 25, 459-507.
    """
    values = coordinates(case.posterior)
    named = values[case.best]
    squares = (values**2).sum(axis=2)[:, None, :] + (named**2).sum(axis=1)[:, None]
    cost = squares - 2 * np.einsum("kc,sjc->skj", named, values)
    order = cheapest(cost)
    return Agreement(order, objective=(float(price(cost, order).sum()),))


def ordered(case: Switched, by: str | None = None) -> Agreement:
    """Components from the least to the largest mean of a column, or from the heaviest to the lightest.

    It cuts the posterior wherever two components have the same value there: choose a column that tells them apart.

    Raises
    ------
    DeclarationError
        When the column is not there, or is not named and there are several.
    """
    columns, p = case.posterior.columns, case.posterior.parameters
    if by is None and len(columns) == 1:
        by = columns[0]
    known = dict.fromkeys([*columns, "weight"])
    if by not in known:
        asked = "method 'ordered' needs by=" if by is None else f"by={by!r}: must be "
        raise DeclarationError(f"{asked}one of {listing(list(known))}{did_you_mean(by, known)}")
    values = p.mean[:, :, columns.index(by)] if by in columns else -p.weight
    return Agreement(np.argsort(values, axis=1, kind="stable"))


METHODS: Mapping[str, Callable[..., Agreement]] = {
    "stephens": stephens,
    "ecr": ecr,
    "pivot": pivot,
    "ordered": ordered,
}
NEED_POINTS = {"stephens", "ecr"}
SETTINGS = {"by": "ordered", "partition": "ecr"}  # which method takes it


def checked(method: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that were given, all of them of this method.

    Raises
    ------
    DeclarationError
    """
    given = {name: value for name, value in settings.items() if value is not None}
    for name in given:
        if SETTINGS[name] != method:
            raise DeclarationError(f"method {method!r} takes no {name}=; {SETTINGS[name]!r} does")
    return given
