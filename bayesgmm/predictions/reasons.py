"""Explain anomalies: which columns of a point differ from their expectation given the other columns."""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bayesgmm.data.points import DataLike, Points
from bayesgmm.labels.relabelling import aligned
from bayesgmm.posterior.schema import Posterior, points_for, transforms_of
from bayesgmm.predictions.densities import dataset
from bayesgmm.predictions.predictive import assignments
from bayesgmm.sweep.stats import Array

if TYPE_CHECKING:
    import xarray as xr

DRAWS = 100  # default number of posterior draws that z-scores are averaged over
LARGE = 2.0  # z-score from which a column is named in the reason
ROUNDING = 1e-13  # of a value that was transformed and transformed back
MAX_NAMED = 3  # maximum number of columns in a reason


def explain_anomalies(fit: "xr.DataTree", data: DataLike | None = None, *, draws: int | None = DRAWS) -> "xr.Dataset":
    r"""Compute the z-score of each column of each point, given the other columns and the component of the point.

    With k the most probable component of the point, and :math:`\Lambda_k` its precision matrix:

    .. math:: z_{nj} = \frac{(\Lambda_k (x_n - \mu_k))_j}{\sqrt{\Lambda_{k,jj}}}
              = \frac{x_{nj} - \mathrm{E}[x_j \mid x_{n,-j}, k]}{\mathrm{sd}[x_j \mid x_{n,-j}, k]}

    averaged over the posterior. Each z is a standard normal for points of the component [1]_. A value can be ordinary
    in its own column (a weight of 70 kg) and unusual given the other columns (a height of 1 m): then ``z`` is large,
    and ``marginal_z``, which uses each column alone, is not. When several columns are wrong in a consistent way,
    ``marginal_z`` is large, and ``z`` can be small.

    If the fit has transforms, z-scores are those of the transformed columns; values and expectations are in data units.

    Parameters
    ----------
    fit : DataTree
    data : (N, D) array or DataFrame, optional
        Points. Default: the points that were fitted.
    draws : int, optional
        Number of posterior draws to average over, evenly spaced; None for all.

    Returns
    -------
    Dataset
        ``component`` [point], the most probable one; ``z`` and ``marginal_z`` [point, feature], in standard deviations;
        ``expected`` [point, feature], the expectation given the component and the other columns, in data units;
        ``reason`` [point], a text that names up to three columns with a z-score of 2 or more.

    Raises
    ------
    DataError
        When the data do not have the columns of the fit.
    FitFileError
        When ``fit`` is not a fit, or holds no data and none are given.

    References
    ----------
    .. [1] Lauritzen (1996), Graphical Models, section 5.1.

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
    points, posterior = points_for(fit, data).complete("explain_anomalies"), aligned(fit, draws)
    component = assignments(fit, points, draws=draws)["label"].values  # a file is read once
    z, marginal, expected = _z_scores(posterior, points.values, component)
    centre = _centres(posterior)[component]
    if (transforms := transforms_of(fit)).changed:
        expected, centre = transforms.inverse(expected), transforms.inverse(centre)
        values = _unrounded(transforms.inverse(points.values), centre)
        points = replace(points, values=values, columns=transforms.names)
    each = ("point", "feature")
    names = fit["posterior"].coords["component"].values
    scores = dataset(
        points,
        {
            "component": ("point", names[component]),
            "z": (each, z),
            "marginal_z": (each, marginal),
            "expected": (each, expected),
        },
        feature=list(points.columns),
    )
    reasons = _reasons(points, z, marginal, expected, centre)
    return scores.assign(reason=("point", np.array(reasons, dtype=object).astype(str)))


def _unrounded(values: Array, unit: Array) -> Array:
    """Replace by zero what is only the rounding error of an inverse transform."""
    return np.where(np.abs(values) < ROUNDING * np.abs(unit), 0.0, values)


def _centres(posterior: Posterior) -> Array:
    """Compute posterior means (K, D) of the components' means."""
    return posterior.parameters.mean.mean(axis=0)


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


def _reasons(points: Points, z: Array, marginal: Array, expected: Array, centre: Array) -> list[str]:
    """Describe the columns with the largest z-scores of each point, the largest first."""
    reasons = []
    for x, own, alone, others, middle in zip(points.values, z, marginal, expected, centre, strict=True):
        together = len(x) > 1 and np.abs(own).max() >= max(LARGE, 0.5 * np.abs(alone).max())
        score, expectation = (own, others) if together else (alone, middle)
        words = "given the other columns" if together else "in its component"
        far = [j for j in np.argsort(-np.abs(score), kind="stable")[:MAX_NAMED] if abs(score[j]) >= LARGE]
        parts = [f"{points.columns[j]} {x[j]:.4g} ({score[j]:+.1f} sd from {expectation[j]:.4g})" for j in far]
        reasons.append(f"{'; '.join(parts)} {words}" if parts else "no single column: all columns together")
    return reasons
