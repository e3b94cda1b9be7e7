"""Explain anomalies: the cells of a point that do not fit the rest of it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bayesgmm.data.points import DataLike, Points
from bayesgmm.labels.relabelling import aligned
from bayesgmm.posterior.arguments import FitLike, takes_fit
from bayesgmm.posterior.schema import Posterior, holds_points, observed, points_for, transforms_of
from bayesgmm.posterior.subsets import marginal
from bayesgmm.predictions.densities import dataset
from bayesgmm.predictions.suspects import Gaussians, Suspects, find_suspects, given_rest
from bayesgmm.sweep.stats import Array
from bayesgmm.transforms.columns import ColumnTransforms
from bayesgmm.wording import number_in_words, plural

if TYPE_CHECKING:
    import xarray as xr

DRAWS = 100  # default number of posterior draws that z-scores are averaged over
ROUNDING = 1e-13  # of a value that was transformed and transformed back
MAX_NAMED = 3  # maximum number of columns in a reason
CELLS = ("rest_z", "rest_expected", "z", "marginal_z", "expected")  # numbers of each cell


@takes_fit
def explain_anomalies(
    fit: FitLike, data: DataLike | None = None, *, noise: ArrayLike | None = None, draws: int | None = DRAWS
) -> "xr.Dataset":
    r"""Find the suspect cells of each point, and compute its z-scores.

    The suspect cells are the smallest set without which the rest of the point is ordinary for some component: the
    squared distance of the rest is not larger than chance makes it in one of 1,000 points [2]_. Their z-scores and
    expectations, ``rest_z`` and ``rest_expected``, are conditional on the cells that are not suspect, so a wrong value
    is not held against the others. If other sets of the same size explain the point about as well, the reason names
    them.

    With k the most probable component given the cells that are not suspect, and :math:`\Lambda_k` its precision matrix:

    .. math:: z_{nj} = \frac{(\Lambda_k (x_n - \mu_k))_j}{\sqrt{\Lambda_{k,jj}}}
              = \frac{x_{nj} - \mathrm{E}[x_j \mid x_{n,-j}, k]}{\mathrm{sd}[x_j \mid x_{n,-j}, k]}

    is averaged over the posterior. Each z is a standard normal for points of the component [1]_. A value can be
    ordinary in its own column (a weight of 70 kg) and unusual given the other columns (a height of 1 m): then ``z`` is
    large, and ``marginal_z``, which uses each column alone, is not. When several columns are wrong in a consistent way,
    ``marginal_z`` is large, and ``z`` can be small.

    Of a point with missing values, what is observed is explained; its other cells are NaN. Of a point with errors of
    measurement, the measured values are: :math:`\Lambda_k` is then the inverse of the component's covariance plus that
    of the errors, so that a value with a large error is rarely suspect.

    If the fit has transforms, z-scores are those of the transformed columns; values and expectations are in data units.

    Parameters
    ----------
    fit : DataTree or estimator
    data : (N, D) array or DataFrame, optional
        Points. Default: the points that were fitted.
    noise : (N, D) or (N, D, D) array, optional
        Errors of measurement of the data, as in ``fit``.
    draws : int, optional
        Number of posterior draws to average over, evenly spaced; None for all.

    Returns
    -------
    Dataset
        ``component`` [point], the most probable one given the cells that are not suspect; components of very few
        points are not considered; ``suspect`` [point, feature]; ``rest_z`` and ``rest_expected`` [point, feature], the
        z-score and the expectation given the cells that are not suspect; ``z`` and ``marginal_z`` [point, feature];
        ``expected`` [point, feature], the expectation given all other columns, in data units; ``reason`` [point], a
        text that names up to three suspect columns, or says that the point is ordinary.
        ``answer[["component", "reason"]].to_dataframe()`` is a table, a row for each point.

    Raises
    ------
    DataError
        When the data do not have the columns of the fit, or ``noise`` is not valid.
    FitFileError
        When ``fit`` is not a fit, or holds no data and none are given.

    References
    ----------
    .. [1] Lauritzen (1996), Graphical Models, section 5.1.
    .. [2] Rousseeuw & Van den Bossche (2018), Technometrics 60(2), 135-145.

    Examples
    --------
    Two columns that are nearly equal. In the new row each value is ordinary, but they differ.

    >>> import bayesgmm as bg
    >>> x = np.array([[0.0, 0.1], [1.0, 0.9], [2.0, 2.1], [3.0, 2.9], [4.0, 4.0], [5.0, 5.0]])
    >>> fit = bg.fit(bg.MixtureModel(1), x, "em", progress=False)
    >>> answer = explain_anomalies(fit, [[1.0, 4.0]])
    >>> bool(abs(answer["marginal_z"]).max() < 1.5), bool(abs(answer["z"]).min() > 10)
    (True, True)
    """
    points, posterior = points_for(fit, data, noise).unlabelled(), aligned(fit, draws)
    gaps, transforms = np.isnan(points.values), transforms_of(fit)
    found = {name: np.full(gaps.shape, np.nan) for name in CELLS}
    suspect, component = np.zeros(gaps.shape, dtype=bool), np.zeros(len(gaps), dtype=np.intp)
    component[:] = posterior.parameters.weight.mean(axis=0).argmax()
    reasons = np.full(len(gaps), "no value is observed", dtype=object)
    for rows in _alike(points):
        at = np.flatnonzero(~gaps[rows[0]])
        if at.size:
            part = points.take(rows).in_columns(at.tolist())
            own = transforms.chosen([transforms.names[j] for j in at])
            answer = _explained(fit, _as_measured(marginal(posterior, part.columns), part), part, own)
            component[rows], suspect[np.ix_(rows, at)], reasons[rows] = answer.component, answer.suspect, answer.reasons
            for name, values in answer.cells.items():
                found[name][np.ix_(rows, at)] = values
    each, names = ("point", "feature"), fit["posterior"].coords["component"].values
    variables = {"component": ("point", names[component]), "suspect": (each, suspect)}
    variables |= {name: (each, values) for name, values in found.items()}
    scores = dataset(points, variables, feature=list(transforms.names if transforms.changed else points.columns))
    return scores.assign(reason=("point", reasons.astype(str)))


def _alike(points: Points) -> list[NDArray[np.intp]]:
    """Return the rows of each mixture of measured values: rows with the same missing columns and the same errors."""
    gaps = np.isnan(points.values)
    kind = gaps.astype(np.float64)
    if points.noise is not None:
        hidden = gaps if points.noise.ndim == 2 else gaps[:, :, None] | gaps[:, None, :]
        kind = np.column_stack([kind, np.where(hidden, 0.0, points.noise).reshape(len(gaps), -1)])
    _, number = np.unique(kind, axis=0, return_inverse=True)
    number = number.reshape(-1)
    return np.split(np.argsort(number, kind="stable"), np.cumsum(np.bincount(number))[:-1])


def _as_measured(posterior: Posterior, points: Points) -> Posterior:
    """Return the posterior of measured values with the errors of the first point, which are those of all."""
    if points.noise is None:
        return posterior
    p = posterior.parameters
    return replace(posterior, parameters=replace(p, covariance=p.covariance + points.error_covariances[0]))


@dataclass(frozen=True)
class _Answer:
    """What ``explain_anomalies`` finds of complete points: components (N,), suspect cells (N, D), and for each cell."""

    component: NDArray[np.intp]
    suspect: NDArray[np.bool_]
    cells: dict[str, Array]
    reasons: list[str]


def _explained(fit: "xr.DataTree", posterior: Posterior, points: Points, transforms: ColumnTransforms) -> _Answer:
    """Explain complete points by a posterior of their columns."""
    components, kept = _gaussians(fit, posterior)
    found = find_suspects(points.values, components)
    rest_z, rest_expected = given_rest(points.values, components, found)
    component = kept[found.component]
    z, marginal_z, expected = _z_scores(posterior, points.values, component)
    if transforms.changed:
        unit = transforms.inverse(components.mean[found.component])
        expected, rest_expected = transforms.inverse(expected), transforms.inverse(rest_expected)
        values = _unrounded(transforms.inverse(points.values), unit)
        points = replace(points, values=values, columns=transforms.names)
    names = fit["posterior"].coords["component"].values
    reasons = _reasons(points, found, rest_z, rest_expected, names[component])
    cells = dict(zip(CELLS, (rest_z, rest_expected, z, marginal_z, expected), strict=True))
    return _Answer(component, found.cells, cells, reasons)


def _gaussians(fit: "xr.DataTree", posterior: Posterior) -> tuple[Gaussians, NDArray[np.intp]]:
    """Posterior mean components, without those on few rows (these may be anomalies themselves); and which they are."""
    p = posterior.parameters
    weight, mean, covariance = p.weight.mean(axis=0), p.mean.mean(axis=0), p.covariance.mean(axis=0)
    n_rows = observed(fit).total_weight if holds_points(fit) else np.inf
    kept = np.flatnonzero(weight * n_rows > mean.shape[1] + 1)
    kept = kept if kept.size else np.array([weight.argmax()])
    scale = posterior.standard.scale
    precision = np.linalg.inv(covariance[kept] / np.outer(scale, scale)) / np.outer(scale, scale)
    return Gaussians(np.log(weight[kept]), mean[kept], precision), kept


def _unrounded(values: Array, unit: Array) -> Array:
    """Replace by zero what is only the rounding error of an inverse transform."""
    return np.where(np.abs(values) < ROUNDING * np.abs(unit), 0.0, values)


def _z_scores(posterior: Posterior, values: Array, component: NDArray[np.intp]) -> tuple[Array, Array, Array]:
    """Compute conditional and marginal z-scores and conditional expectations, (N, D) each, averaged over draws."""
    scale, p = posterior.standard.scale, posterior.parameters
    root = posterior.tables().root
    z, marginal, expected = (np.zeros_like(values) for _ in range(3))
    for k in np.unique(component):
        rows = component == k
        for s in range(posterior.n_draws):
            away = values[rows] - p.mean[s, k]
            precision = root[s, k].T @ root[s, k]
            pulled, diagonal = (away / scale) @ precision, np.diagonal(precision)
            z[rows] += pulled / np.sqrt(diagonal)
            marginal[rows] += away / np.sqrt(np.diagonal(p.covariance[s, k]))
            expected[rows] += values[rows] - pulled / diagonal * scale
    n = posterior.n_draws
    return z / n, marginal / n, expected / n


def _reasons(points: Points, found: Suspects, z: Array, expected: Array, component: NDArray[Any]) -> list[str]:
    """Describe the suspect cells of each point, the largest z-score first."""
    rows = zip(points.values, z, expected, found.cells, found.others, component, strict=True)
    return [
        _reason(_Cells(points.columns, x, zs, means), np.flatnonzero(cells), others, k)
        for x, zs, means, cells, others, k in rows
    ]


@dataclass(frozen=True)
class _Cells:
    """One point: its columns, values, z-scores given the rest, and expectations, (D,) each."""

    columns: tuple[str, ...]
    x: Array
    z: Array
    expected: Array

    def words(self, at: Sequence[int]) -> str:
        order = sorted(at, key=lambda j: -abs(self.z[j]))
        parts = [
            f"{self.columns[j]} {number_in_words(self.x[j])} ({_sd(self.z[j])} sd from "
            f"{number_in_words(self.expected[j])})"
            for j in order[:MAX_NAMED]
        ]
        more = [f"and {plural(len(order) - MAX_NAMED, 'more column')}"] if len(order) > MAX_NAMED else []
        return "; ".join([*parts, *more])


def _sd(z: float) -> str:
    return f"{z:+.1f}" if abs(z) < 100 else f"{z:+,.0f}"


def _reason(cells: _Cells, suspects: NDArray[np.intp], others: list[tuple[int, ...]], component: np.generic) -> str:
    if not suspects.size:
        largest = cells.words([int(np.abs(cells.z).argmax())])
        return f"ordinary for component {component}; the largest difference is {largest}"
    if suspects.size == len(cells.x):
        return f"{'every column: ' if suspects.size > 1 else ''}{cells.words(suspects.tolist())} in its component"
    either = [" and ".join(cells.columns[j] for j in other) for other in others[:MAX_NAMED]]
    instead = f"; or it is {' or '.join(either)} that does not fit the rest" if either else ""
    return f"{cells.words(suspects.tolist())} given the other columns{instead}"
