"""Why a point is strange: which of its columns are not what the others would lead one to expect."""

from typing import TYPE_CHECKING, Any

import numpy as np

from bayesgmm.data.points import Points
from bayesgmm.labels.relabelling import aligned
from bayesgmm.posterior.schema import Posterior, points_for
from bayesgmm.predictions.densities import dataset
from bayesgmm.predictions.predictive import assignments
from bayesgmm.sweep.stats import Array

if TYPE_CHECKING:
    import xarray as xr

DRAWS = 100  # posterior draws that z-scores are averaged over, unless told
TOLD = 2.0  # standard deviations from which a column is named as a reason
MOST_TOLD = 3  # columns that a reason names


def explain_anomalies(fit: "xr.DataTree", data: Any = None, *, draws: int | None = DRAWS) -> "xr.Dataset":
    r"""How far each column of each point is from what the point's component expects, given the other columns.

    With :math:`\Lambda_k` the precision of the component that the point most probably belongs to:

    .. math:: z_{nj} = \frac{(\Lambda_k (x_n - \mu_k))_j}{\sqrt{\Lambda_{k,jj}}}
              = \frac{x_{nj} - \mathrm{E}[x_j \mid x_{n,-j}, k]}{\mathrm{sd}[x_j \mid x_{n,-j}, k]}

    averaged over the posterior. Of points of that component each is a standard normal. A column on its own may look
    ordinary (a weight of 70 kg) and be far from what the others say (a height of 1 m): that shows here, and not in
    ``marginal_z``, which asks each column alone. Columns that are wrong together may excuse each other here, and not
    there.

    Parameters
    ----------
    fit : DataTree
    data : (N, D) array or DataFrame, optional
        Points; those that were fitted unless told.
    draws : int, optional
        Posterior draws to average over, evenly spaced; all when None.

    Returns
    -------
    Dataset
        ``component`` [point], the most probable one; ``z`` and ``marginal_z`` [point, feature], in standard deviations;
        ``expected`` [point, feature], what the component and the other columns lead one to expect, in data units;
        ``reason`` [point], in words.

    References
    ----------
    .. [1] Lauritzen (1996), Graphical Models, section 5.1.

    Examples
    --------
    Two columns that nearly agree; in the last row each is ordinary, but they disagree.

    >>> import bayesgmm as bg
    >>> x = np.array([[0.0, 0.1], [1.0, 0.9], [2.0, 2.1], [3.0, 2.9], [4.0, 4.0], [5.0, 5.0]])
    >>> fit = bg.fit(bg.MixtureModel(1), x, "em", progress=False)
    >>> told = explain_anomalies(fit, [[1.0, 4.0]])
    >>> bool(abs(told["marginal_z"]).max() < 1.5), bool(abs(told["z"]).min() > 10)
    (True, True)
    """
    points, posterior = points_for(fit, data), aligned(fit, draws)
    answer = assignments(fit, data, draws=draws)
    component = answer["label"].values
    z, marginal, expected = _z_scores(posterior, points.values, component)
    each = ("point", "feature")
    names = fit["posterior"].coords["component"].values
    told = dataset(
        points,
        {
            "component": ("point", names[component]),
            "z": (each, z),
            "marginal_z": (each, marginal),
            "expected": (each, expected),
        },
        feature=list(points.columns),
    )
    reasons = _reasons(points, z, marginal, expected, _centres(posterior)[component])
    return told.assign(reason=("point", np.array(reasons, dtype=object).astype(str)))


def _centres(posterior: Posterior) -> Array:
    """(K, D) posterior means of the components' means."""
    return posterior.parameters.mean.mean(axis=0)


def _z_scores(posterior: Posterior, values: Array, component: Any) -> tuple[Array, Array, Array]:
    """(N, D) each: conditional z-scores, marginal ones, and conditional expectations, averaged over the draws."""
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
    """For each point the columns that are farthest off, the farthest first."""
    reasons = []
    for x, own, alone, others, middle in zip(points.values, z, marginal, expected, centre, strict=True):
        together = len(x) > 1 and np.abs(own).max() >= max(TOLD, 0.5 * np.abs(alone).max())
        score, expectation = (own, others) if together else (alone, middle)
        words = "given the other columns" if together else "in its component"
        far = [j for j in np.argsort(-np.abs(score), kind="stable")[:MOST_TOLD] if abs(score[j]) >= TOLD]
        parts = [f"{points.columns[j]} {x[j]:.4g} ({score[j]:+.1f} sd from {expectation[j]:.4g})" for j in far]
        reasons.append(f"{'; '.join(parts)} {words}" if parts else "no single column: all of them together")
    return reasons
