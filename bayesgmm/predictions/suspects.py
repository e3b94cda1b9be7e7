"""Suspect cells: the smallest set of columns without which a row is ordinary."""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from bayesgmm.sweep.stats import Array

ORDINARY = 0.001  # minimum p-value of the distance of an ordinary row from its component
MAX_SETS = 800  # sets of one size up to which all are tried
CHUNK = 4_000_000  # numbers in memory
SIMILAR = 6.0  # difference in squared distance up to which another set of suspects explains a row as well


@dataclass(frozen=True)
class Gaussians:
    """Components: log weights (K,), means (K, D) and precision matrices (K, D, D)."""

    log_weight: Array
    mean: Array
    precision: Array


@dataclass
class Suspects:
    """Suspect cells of rows, and what follows for the rest of each row.

    Parameters
    ----------
    cells : (N, D) bool
    component : (N,) int
        The most probable component given the cells that are not suspect.
    distance : (N,) float
        Squared Mahalanobis distance of these cells from the component.
    p_value : (N,) float
        Probability of a larger distance.
    others : list of list of tuple of int
        For each row, further sets of the same size that explain it as well.
    """

    cells: NDArray[np.bool_]
    component: NDArray[np.intp]
    distance: Array
    p_value: Array
    others: list[list[tuple[int, ...]]]


def find_suspects(x: Array, components: Gaussians) -> Suspects:
    r"""Find the smallest set S of cells of each row without which the row is ordinary.

    The rest of the row is compared with the component that is most probable given the rest alone, so that a wrong value
    distorts neither the component nor the expectation of the others [1]_. Without the cells S, the squared distance
    :math:`d^2` from a component falls by :math:`u_S' \Lambda_{SS}^{-1} u_S`, with :math:`u = \Lambda (x - \mu)`. A row
    is ordinary if a chi-squared variable with as many degrees of freedom as cells exceeds :math:`d^2` with a
    probability of at least 0.001. All sets of a size are tried while they are at most 800; of those that explain the
    row, the one with the smallest distance is taken. Then suspects are added one by one, the one that reduces the
    distance most; if half of the columns are not enough, all cells are suspect.

    Parameters
    ----------
    x : (N, D) float
    components : Gaussians

    References
    ----------
    .. [1] Rousseeuw & Van den Bossche (2018), Technometrics 60(2), 135-145.

    Examples
    --------
    Two columns that are nearly equal, and a third: the third value is wrong.

    >>> one = Gaussians(np.zeros(1), np.zeros((1, 3)), np.linalg.inv([[1, 0.9, 0], [0.9, 1, 0], [0, 0, 1]])[None])
    >>> find_suspects(np.array([[1.0, 1.1, 50.0], [0.0, 0.1, 0.2]]), one).cells
    array([[False, False,  True],
           [False, False, False]])
    """
    n_rows, n_columns = x.shape
    found = Suspects(np.zeros(x.shape, bool), np.zeros(n_rows, int), np.zeros(n_rows), np.zeros(n_rows), [])
    found.others = [[] for _ in range(n_rows)]
    last: list[tuple[int, ...]] = [()]
    left, size = np.arange(n_rows), 0
    while len(left) and last:
        left = _try_sets(x, components, last, left, found)
        size += 1
        last = [*combinations(range(n_columns), size)] if size <= (n_columns + 1) // 2 else []
        if len(last) > MAX_SETS:
            break
    if len(last) > MAX_SETS:
        left = np.array([row for row in left if not _add_one_by_one(x, components, int(row), found)], dtype=np.intp)
    found.cells[left] = True
    return found


def _try_sets(
    x: Array,
    components: Gaussians,
    sets: list[tuple[int, ...]],
    rows: NDArray[np.intp],
    found: Suspects,
) -> NDArray[np.intp]:
    """Try sets of equal size on rows; store the best, and return the rows that none explains."""
    chunk = max(1, CHUNK // (len(sets) * max(1, len(sets[0])) * len(components.log_weight)))
    unexplained = []
    for start in range(0, len(rows), chunk):
        part = rows[start : start + chunk]
        distance, component = rest_distances(x[part], components, sets)
        best = distance.argmin(axis=1)
        at = np.arange(len(part))
        lowest = distance[at, best]
        p_value, largest = _p_value(lowest, x.shape[1] - len(sets[0]))
        found.cells[part] = _membership(sets, x.shape[1])[best]
        found.component[part], found.distance[part], found.p_value[part] = component[at, best], lowest, p_value
        ordinary = p_value >= ORDINARY
        limit = np.minimum(largest, lowest + SIMILAR)
        for i in np.flatnonzero(ordinary) if sets[0] else []:
            found.others[part[i]] = [sets[j] for j in np.flatnonzero(distance[i] <= limit[i]) if j != best[i]]
        unexplained.append(part[~ordinary])
    return np.concatenate(unexplained)


def _p_value(distance: Array, degrees: int) -> tuple[Array, float]:
    """P-values (N,) of squared distances with some degrees of freedom, and the largest ordinary distance."""
    from scipy.stats import chi2

    if not degrees:
        return np.ones(distance.shape), np.inf
    return chi2.sf(distance, degrees), float(chi2.isf(ORDINARY, degrees))


def rest_distances(x: Array, components: Gaussians, sets: list[tuple[int, ...]]) -> tuple[Array, NDArray[np.intp]]:
    """Squared distance (N, S) of the rest of each row, without each set, from its most probable component (N, S)."""
    index = np.array(sets, dtype=np.intp).reshape(len(sets), -1)
    best = np.full((len(x), len(sets)), -np.inf)
    distance, component = np.zeros(best.shape), np.zeros(best.shape, np.intp)
    for k, (log_weight, mean, precision) in enumerate(
        zip(components.log_weight, components.mean, components.precision, strict=True)
    ):
        away = x - mean
        pulled = away @ precision
        block = precision[index[:, :, None], index[:, None, :]]
        whole = np.einsum("nd,nd->n", away, pulled)[:, None]
        solved = np.einsum("sij,nsj->nsi", np.linalg.inv(block), pulled[:, index])
        rest = np.maximum(whole - np.einsum("nsi,nsi->ns", solved, pulled[:, index]), 0.0)
        size = np.linalg.slogdet(precision)[1] - np.linalg.slogdet(block)[1]
        score = log_weight - rest / 2 + size / 2
        closer = score > best
        best, distance, component = (
            np.where(closer, score, best),
            np.where(closer, rest, distance),
            np.where(closer, k, component),
        )
    return distance, component


def _membership(sets: list[tuple[int, ...]], n_columns: int) -> NDArray[np.bool_]:
    cells = np.zeros((len(sets), n_columns), bool)
    for row, columns in zip(cells, sets, strict=True):
        row[[*columns]] = True
    return cells


def _add_one_by_one(x: Array, components: Gaussians, row: int, found: Suspects) -> bool:
    """Add suspects to the best set of a row until the rest is ordinary; False if half of the columns are not enough."""
    n_columns = x.shape[1]
    while found.cells[row].sum() < (n_columns + 1) // 2:
        chosen = np.flatnonzero(found.cells[row])
        free = np.flatnonzero(~found.cells[row])
        sets = [(*chosen.tolist(), int(j)) for j in free]
        if not _try_sets(x, components, sets, np.array([row]), found).size:
            return True
    return False


def given_rest(x: Array, components: Gaussians, found: Suspects) -> tuple[Array, Array]:
    r"""Compute z-scores and expectations (N, D) of each cell given the cells of its row that are not suspect.

    The cell itself is left out, too. With S the suspects and the cell, the distribution of these given the rest has
    the precision :math:`\Lambda_{SS}`.

    Parameters
    ----------
    x : (N, D) float
    components : Gaussians
    found : Suspects
    """
    z, expected = np.zeros(x.shape), np.zeros(x.shape)
    patterns, which = np.unique(np.c_[found.component, found.cells], axis=0, return_inverse=True)
    for i, (k, *cells) in enumerate(patterns.tolist()):
        rows = which.ravel() == i
        precision = components.precision[k]
        away = x[rows] - components.mean[k]
        pulled = away @ precision
        suspects = np.flatnonzero(cells)
        for j in range(x.shape[1]):
            left_out = np.union1d(suspects, [j])
            covariance = np.linalg.inv(precision[np.ix_(left_out, left_out)])[np.searchsorted(left_out, j)]
            beyond = pulled[:, left_out] @ covariance
            z[rows, j] = beyond / np.sqrt(covariance[np.searchsorted(left_out, j)])
            expected[rows, j] = x[rows, j] - beyond
    return z, expected
