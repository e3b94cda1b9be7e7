"""Starts of different kinds for the search: each is a random partition of some rows into K groups.

No kind is best on all data. Groups that differ in one of many columns are found by projections on which the data are
far from normal; elongated groups by whitened coordinates and model-based agglomeration; groups of different spread by
random cuts. All kinds work in standardised or whitened coordinates, so that units do not matter.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayesgmm.sweep.blocks import Blocks
from bayesgmm.sweep.latent_cells import LatentCells
from bayesgmm.sweep.stats import Array

SMALL = 1e-9  # directions with less than this share of the largest variance are left out
PURSUITS = 8  # number of random directions from which projection pursuit starts
PURSUIT_STEPS = 10
LLOYD_STEPS = 3  # number of k-means iterations after k-means++
CELLS = 8  # number of small cells for each component before they are merged
MAX_CELLS = 40
WARD_CELLS = 100  # number of cells that Ward's method merges
REMEMBERED = 100  # number of sets of starts that are remembered

Labels = np.ndarray


@dataclass(frozen=True)
class Rows:
    """Weighted rows, and the coordinates in which starts are looked for.

    Parameters
    ----------
    values : (M, D) float
    weight : (M,) float
    latent : LatentCells, optional
        Cells that are missing, whose values are rough guesses, and errors of measurement. Default: none.
    labels : (M, L + 1) float, optional
        Log plausibilities of the components, as ``Blocks`` has them. Default: none.
    """

    values: Array
    weight: Array
    latent: LatentCells | None = None
    labels: Array | None = None
    _made: dict[str, tuple[list[Labels], Any]] = field(default_factory=dict, init=False, repr=False, compare=False)

    def partitioned(self, kinds: Sequence[str], count: int, rng: np.random.Generator) -> list[Labels]:
        """Return a partition into ``count`` groups of each kind; for the same state of the generator, those before.

        So families of the same number of components share their first starts, which take longer than their steps.
        """
        asked = f"{kinds} {count} {rng.bit_generator.state}"
        if asked not in self._made:
            if len(self._made) == REMEMBERED:
                self._made.clear()
            labels = [PROPOSALS[kind](self, count, rng) for kind in kinds]
            self._made[asked] = labels, rng.bit_generator.state
        labels, rng.bit_generator.state = self._made[asked]
        return labels

    def blocks(self) -> Blocks:
        """Lay out the rows in blocks."""
        return Blocks.from_rows(self.values, self.weight).with_latent(self.latent).with_labels(self.labels)

    def take(self, chosen: NDArray[np.intp]) -> "Rows":
        """Return some of the rows."""
        latent = None if self.latent is None else self.latent.take(chosen)
        labels = None if self.labels is None else self.labels[chosen]
        return Rows(self.values[chosen], self.weight[chosen], latent, labels)

    @cached_property
    def share(self) -> Array:
        """Weights (M,) that sum to one."""
        return np.asarray(self.weight / self.weight.sum())

    @cached_property
    def covariance(self) -> Array:
        """Covariance (D, D) of all rows."""
        centred = self.values - self.share @ self.values
        return (centred * self.share[:, None]).T @ centred

    @cached_property
    def standardised(self) -> Array:
        """Columns (M, D) with mean zero and variance one; constant columns are zero."""
        sd = np.sqrt(np.diagonal(self.covariance))
        return (self.values - self.share @ self.values) / np.where(sd > 0, sd, 1.0)

    @cached_property
    def whitened(self) -> Array:
        """Principal components (M, R), largest first, scaled to variance one."""
        x = self.standardised
        variance, directions = np.linalg.eigh((x * self.share[:, None]).T @ x)
        kept = np.flatnonzero(variance > SMALL * max(variance[-1], np.finfo(float).tiny))[::-1]
        return x @ (directions[:, kept] / np.sqrt(variance[kept]))

    @cached_property
    def projections(self) -> Array:
        """Projections (M, R) of variance one, on some of which the rows are far from normal."""
        return _pursue(self)

    @cached_property
    def kurtosis(self) -> Array:
        """Excess kurtosis (R,) of the projections."""
        return self.share @ self.projections**4 - 3.0


def _pursue(rows: "Rows") -> Array:
    """Find projections (M, R) on which the rows are far from normal; all have variance one.

    Candidates are the columns, the principal components, and directions of extreme kurtosis, found by fixed-point
    iteration [1]_. Two groups of similar size make the kurtosis small, a small distant group makes it large [2]_.

    References
    ----------
    .. [1] Hyvärinen & Oja (1997), Neural Computation 9(7), 1483-1492.
    .. [2] Peña & Prieto (2001), J. Am. Stat. Assoc. 96(456), 1433-1445.
    """
    white = rows.whitened
    direction = np.random.default_rng(PURSUITS).normal(size=(white.shape[1], PURSUITS))
    for _ in range(PURSUIT_STEPS):
        direction /= np.linalg.norm(direction, axis=0)
        direction = (white * rows.share[:, None]).T @ (white @ direction) ** 3 - 3 * direction
    direction /= np.maximum(np.linalg.norm(direction, axis=0), np.finfo(float).tiny)
    return np.hstack([rows.standardised, white, white @ direction])


def interesting(rows: Rows, rng: np.random.Generator, count: int) -> Array:
    """Choose projections (M, count) at random, those of extreme kurtosis with a higher probability."""
    projections, kurtosis = rows.projections, rows.kurtosis
    interest = np.where(kurtosis < 0, -3 * kurtosis, np.log1p(np.maximum(kurtosis, 0.0)))  # the minimum is -2
    chance = np.maximum(interest, 1e-6) ** 2
    chosen = rng.choice(len(chance), min(count, len(chance)), replace=False, p=chance / chance.sum())
    return projections[:, chosen]


def nearest(places: Array, centres: Array) -> Labels:
    """Index (M,) of the nearest centre (K, D) of each place (M, D)."""
    return np.argmin(np.einsum("kd,kd->k", centres, centres) - 2 * places @ centres.T, axis=1)


def seed_centres(places: Array, share: Array, count: int, rng: np.random.Generator) -> Array:
    """Draw distant places as centres (count, D), each in proportion to its squared distance from those before."""
    centres = [places[_draw(share, rng)]]
    distance = np.full(len(places), np.inf)
    for _ in range(1, count):
        distance = np.minimum(distance, ((places - centres[-1]) ** 2).sum(axis=1))
        centres.append(places[_draw(share * distance, rng)])
    return np.array(centres)


def _draw(weight: Array, rng: np.random.Generator) -> int:
    total = np.cumsum(weight)
    return min(int(np.searchsorted(total, rng.uniform() * total[-1], side="right")), len(weight) - 1)


def cells(places: Array, share: Array, count: int, rng: np.random.Generator) -> Labels:
    """Labels (M,) of k-means: distant seeds, then a few iterations."""
    centres = seed_centres(places, share, count, rng)
    for _ in range(LLOYD_STEPS):
        labels = nearest(places, centres)
        member = (labels == np.arange(count)[:, None]) * share
        total = member.sum(axis=1, keepdims=True)
        centres = np.where(total > 0, member @ places / np.maximum(total, np.finfo(float).tiny), centres)
    return nearest(places, centres)


def by_columns(rows: Rows, count: int, rng: np.random.Generator) -> Labels:
    """K-means of standardised columns."""
    return cells(rows.standardised, rows.share, count, rng)


def by_components(rows: Rows, count: int, rng: np.random.Generator) -> Labels:
    """K-means of whitened principal components."""
    return cells(rows.whitened, rows.share, count, rng)


def by_projections(rows: Rows, count: int, rng: np.random.Generator) -> Labels:
    """K-means of one to three projections that are far from normal; half of the time of one: noise is in all others."""
    return cells(interesting(rows, rng, max(1, int(rng.integers(4)))), rows.share, count, rng)


def by_cuts(rows: Rows, count: int, rng: np.random.Generator) -> Labels:
    """Cuts of one random projection, each group a random share of the rows."""
    places = rows.whitened if rng.random() < 0.5 else rows.standardised
    projection = places @ rng.normal(size=places.shape[1])
    order = np.argsort(projection, kind="stable")
    ends = np.cumsum(rng.dirichlet(np.full(count, 2.0)))[:-1]
    cuts = projection[order][np.clip(np.searchsorted(np.cumsum(rows.share[order]), ends), 0, len(order) - 1)]
    return np.searchsorted(np.sort(cuts), projection, side="right")


def by_seeds(rows: Rows, count: int, rng: np.random.Generator) -> Labels:
    """Nearest of K rows that are drawn at random, in whitened coordinates."""
    places = rows.whitened
    return nearest(places, np.array([places[_draw(rows.share, rng)] for _ in range(count)]))


def by_agglomeration(rows: Rows, count: int, rng: np.random.Generator) -> Labels:
    """Model-based agglomeration of small cells: the pair is merged whose merger costs least likelihood [1]_.

    The likelihood is that of groups with unequal covariances, each kept regular by one more row spread like all rows.

    References
    ----------
    .. [1] Fraley (1998), SIAM J. Sci. Comput. 20(1), 270-281.
    """
    places = rows.whitened
    labels = cells(places, rows.share, min(max(CELLS * count, 16), MAX_CELLS, len(places)), rng)
    used, labels = np.unique(labels, return_inverse=True)
    member = (labels == np.arange(len(used))[:, None]) * rows.weight
    n = member.sum(axis=1)
    first = member @ places
    second = np.array([(places * one[:, None]).T @ places for one in member])
    return _merged(n, first, second, count)[labels]


def _merged(n: Array, first: Array, second: Array, count: int) -> Labels:
    """Group (G,) of each of G cells after mergers to ``count`` groups, from their numbers and moments of rows."""
    group = [[i] for i in range(len(n))]
    i, j = np.triu_indices(len(n), 1)
    alive = np.ones(len(n), bool)
    own = _cost(n, first, second)
    loss = np.full((len(n), len(n)), np.inf)
    loss[i, j] = _cost(n[i] + n[j], first[i] + first[j], second[i] + second[j]) - own[i] - own[j]
    for _ in range(len(n) - count):
        a, b = divmod(int(np.argmin(loss)), len(n))
        n[a], first[a], second[a] = n[a] + n[b], first[a] + first[b], second[a] + second[b]
        group[a] += group[b]
        alive[b] = False
        loss[b, :] = loss[:, b] = loss[a, :] = loss[:, a] = np.inf
        own[a] = _cost(n[a : a + 1], first[a : a + 1], second[a : a + 1])[0]
        others = np.flatnonzero(alive & (np.arange(len(n)) != a))
        change = _cost(n[a] + n[others], first[a] + first[others], second[a] + second[others]) - own[a] - own[others]
        loss[np.minimum(a, others), np.maximum(a, others)] = change
    numbers = np.empty(len(n), int)
    for number, k in enumerate(np.flatnonzero(alive)):
        numbers[group[k]] = number
    return numbers


def _cost(n: Array, first: Array, second: Array) -> Array:
    """Twice minus the maximum log likelihood (G,) of groups, up to terms that mergers do not change."""
    mean = first / n[:, None]
    scatter = second - first[:, :, None] * mean[:, None, :] + np.eye(first.shape[1])
    determinant = np.linalg.slogdet(scatter / (n + 1)[:, None, None])[1]
    return np.asarray((n + 1) * determinant - 2 * n * np.log(n))


def by_ward(rows: Rows, count: int, rng: np.random.Generator) -> Labels:
    """Ward's agglomeration of small cells of standardised columns, for many columns: there whitening enlarges noise."""
    return _by_ward(rows.standardised, rows, count, rng)


def by_ward_on_one_scale(rows: Rows, count: int, rng: np.random.Generator) -> Labels:
    """Ward's agglomeration of small cells, for families that need columns of one scale, which the rows then have."""
    return _by_ward(rows.values, rows, count, rng)


def _by_ward(places: Array, rows: Rows, count: int, rng: np.random.Generator) -> Labels:
    """Merge the pair of groups whose merger raises the sum of squares least, until few enough are left.

    References
    ----------
    .. [1] Ward (1963), J. Am. Stat. Assoc. 58(301), 236-244.
    """
    labels = cells(places, rows.share, min(max(WARD_CELLS, count), len(places)), rng)
    used, labels = np.unique(labels, return_inverse=True)
    member = (labels == np.arange(len(used))[:, None]) * rows.share
    n = member.sum(axis=1)
    centre = member @ places / n[:, None]
    group = np.arange(len(used))
    while len(n) > count:
        squares = np.einsum("kd,kd->k", centre, centre)
        apart = squares[:, None] + squares - 2 * centre @ centre.T
        raised = apart * (n[:, None] * n / (n[:, None] + n))
        np.fill_diagonal(raised, np.inf)
        into, other = sorted(divmod(int(np.argmin(raised)), len(n)))
        total = n[into] + n[other]
        centre[into] = (n[into] * centre[into] + n[other] * centre[other]) / total
        n[into] = total
        n, centre = np.delete(n, other), np.delete(centre, other, axis=0)
        group = np.where(group == other, into, group - (group > other))
    return np.asarray(group[labels])


Proposal = Callable[[Rows, int, np.random.Generator], Labels]
PROPOSALS: dict[str, Proposal] = {
    "columns": by_columns,
    "components": by_components,
    "projections": by_projections,
    "cuts": by_cuts,
    "seeds": by_seeds,
    "agglomeration": by_agglomeration,
    "ward": by_ward,
    "ward on one scale": by_ward_on_one_scale,
}
"""The kinds of starts."""
