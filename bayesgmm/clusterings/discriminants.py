"""The directions in which the clusters differ: discriminant analysis of a mixture, with its uncertainty."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bayesgmm.data.points import DataLike
from bayesgmm.declared import probability
from bayesgmm.errors import DeclarationError
from bayesgmm.labels.relabelling import aligned
from bayesgmm.posterior.arguments import FitLike, takes_fit
from bayesgmm.posterior.parameters import Parameters
from bayesgmm.posterior.schema import points_for
from bayesgmm.predictions.densities import DRAWS, dataset
from bayesgmm.predictions.imputations import expectations
from bayesgmm.sweep.stats import Array

if TYPE_CHECKING:
    import xarray as xr

SMALL = 1.5e-8  # smallest variance of a combination of columns relative to the largest; smallest share between clusters


@takes_fit
def discriminant_plane(
    fit: FitLike, data: DataLike | None = None, *, ci_prob: float = 0.9, draws: int | None = DRAWS
) -> "xr.Dataset":
    r"""Find the directions in which the clusters differ most, and the coordinates of the points along them.

    The covariance of a mixture is the sum of the covariance within its components and that of their means:

    .. math:: \Sigma = W + B, \quad W = \sum_k w_k \Sigma_k, \quad B = \sum_k w_k (\mu_k - \mu)(\mu_k - \mu)^\top,
              \quad \mu = \sum_k w_k \mu_k

    The directions :math:`v` solve the generalised eigenproblem [1]_

    .. math:: B \Sigma^{-1} B \, v = l \, \Sigma \, v, \qquad v^\top \Sigma \, v = 1,

    so that :math:`\sqrt l` is the share of the variance along a direction that is between the clusters. K components
    differ in at most K - 1 directions, in D columns in at most D. If the components share one covariance, the first
    K - 1 directions hold everything that the columns say about the component of a point. Otherwise components can also
    differ in their covariances, which these directions ignore: this is ``MclustDR`` of R's mclust with ``lambda = 1``.
    mclust uses the covariance of the points as :math:`\Sigma`; for ``'full'`` and ``'tied'`` by maximum likelihood the
    two are equal.

    The directions are those of the posterior means of :math:`B` and :math:`\Sigma`, which do not depend on labels.
    Those of each draw are matched to them, in order and sign.

    Parameters
    ----------
    fit : DataTree or estimator
        With at least two components.
    data : (N, D) array or DataFrame, optional
        Points. Default: the points that were fitted.
    ci_prob : float
        Probability of the bands, and of the angles.
    draws : int, optional
        Number of posterior draws, evenly spaced; None for all.

    Returns
    -------
    Dataset
        ``coordinates`` [point, direction], :math:`v^\top (x - \mu)`, with variance 1 over the mixture; a missing value
        is replaced by its expectation. ``direction_vector`` [direction, feature], :math:`v`, in 1 / data units, and
        ``loading`` [direction, feature], :math:`v` times the standard deviations of the columns, which can be compared
        between columns; the largest loading of each direction is positive. ``center`` [feature], :math:`\mu`.
        ``eigenvalue`` [direction], :math:`l`, decreasing; ``share`` [direction], of the sum of the eigenvalues;
        ``between`` [direction], :math:`\sqrt l`. ``mean`` [component, direction], of the components.

        The uncertainty, NaN for a point estimate: ``between_band`` [direction, ci_bound] and ``loading_band``
        [direction, feature, ci_bound], equal-tailed intervals; ``angle`` [direction], in degrees, which the direction
        turns by at most in ``ci_prob`` of the draws, and ``subspace_angle`` [direction], the same for the subspace of
        all directions up to this one. The cosine of an angle is the correlation of the coordinates, so that units do
        not matter. Two directions with similar eigenvalues turn a lot, and their plane may not.

        With transforms, columns are the transformed ones.
        ``answer["loading"].to_pandas()`` is a table, a row for each direction; ``answer["coordinates"].to_pandas()``,
        a row for each point.

    Raises
    ------
    DeclarationError
        When the fit has one component, or all components have the same mean; when ``ci_prob`` is not between 0 and 1,
        or ``draws`` is not positive.
    DataError
        When the data do not have the columns of the fit.
    FitFileError
        When ``fit`` is not a fit, or holds no data and none are given.

    References
    ----------
    .. [1] Scrucca (2010), Statistics and Computing 20(4), 471-484; Scrucca (2014), Adv. Data Anal. Classif. 8(2),
           147-165.

    Examples
    --------
    Two clusters that differ in the first column only.

    >>> import bayesgmm as bg
    >>> x = [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0], [9.0, 0.0], [9.0, 1.0], [10.0, 0.0], [10.0, 1.0]]
    >>> answer = discriminant_plane(bg.fit(bg.MixtureModel(2, "tied"), x, "em", seed=0, progress=False))
    >>> answer["loading"].values.round(3), answer["between"].values.round(3)
    (array([[1., 0.]]), array([0.988]))
    """
    ci_prob = probability("ci_prob", ci_prob)
    points, posterior = points_for(fit, data), aligned(fit, draws)
    p = posterior.parameters
    plane = _find_plane(p)
    spread = _spread(p, plane, ci_prob)
    each = ("direction", "feature")
    variables = {
        "coordinates": (("point", "direction"), plane.of(expectations(posterior, points)[0])),
        "direction_vector": (each, plane.vector),
        "loading": (each, plane.vector * plane.sd),
        "center": ("feature", plane.center),
        "eigenvalue": ("direction", plane.between**2),
        "share": ("direction", plane.between**2 / (plane.between**2).sum()),
        "between": ("direction", plane.between),
        "mean": (("component", "direction"), plane.of(p.mean).mean(axis=0)),
        "between_band": (("direction", "ci_bound"), spread.between_band),
        "loading_band": ((*each, "ci_bound"), spread.loading_band),
        "angle": ("direction", spread.angle),
        "subspace_angle": ("direction", spread.subspace_angle),
    }
    coords = {
        "direction": np.arange(1, len(plane.between) + 1),
        "feature": list(posterior.columns),
        "component": fit["posterior"].coords["component"].values,
        "ci_bound": ["lower", "upper"],
    }
    return dataset(points, variables, **coords).assign_attrs(draws=posterior.n_draws, ci_prob=ci_prob)


@dataclass(frozen=True)
class _Plane:
    """Discriminant directions of a mixture, those of the posterior means of its covariances.

    Parameters
    ----------
    vector : (R, D) float
        In 1 / data units.
    between : (R,) float
        Shares of the variance that are between the clusters, decreasing.
    center, sd : (D,) float
        Mean and standard deviations of the columns.
    """

    vector: Array
    between: Array
    center: Array
    sd: Array

    def of(self, x: Array) -> Array:
        """Return the coordinates (..., R) of points (..., D)."""
        return (x - self.center) @ self.vector.T


def _find_plane(p: Parameters) -> _Plane:
    """Find the directions in which the components of a mixture differ.

    Parameters
    ----------
    p : Parameters
        S draws.

    Raises
    ------
    DeclarationError
        When there is one component, or all have the same mean.
    """
    if p.weight.shape[1] == 1:
        raise DeclarationError("the fit has one component: at least two are needed to differ in a direction")
    center, between, total = _covariances(p)
    share, vector = _directions(between.mean(axis=0), total.mean(axis=0), p.weight.shape[1] - 1)
    kept = share > SMALL
    if not kept.any():
        raise DeclarationError("all components of the fit have the same mean: they differ in no direction")
    sd = np.sqrt(np.diagonal(total.mean(axis=0)))
    largest = np.abs(vector * sd).argmax(axis=1)
    sign = np.sign(np.take_along_axis(vector, largest[:, None], axis=1))
    return _Plane((sign * vector)[kept], share[kept], center.mean(axis=0), sd)


def _covariances(p: Parameters) -> tuple[Array, Array, Array]:
    """Means (S, D), covariances between components (S, D, D), and total covariances (S, D, D) of mixtures."""
    weight = p.weight[..., None]
    center = (weight * p.mean).sum(axis=1)
    away = np.sqrt(weight) * (p.mean - center[:, None])
    between = away.swapaxes(-1, -2) @ away
    return center, between, between + np.einsum("sk,skij->sij", p.weight, p.covariance)


def _directions(between: Array, total: Array, count: int) -> tuple[Array, Array]:
    """Shares (..., R) between components, decreasing, and directions (..., R, D) of variance 1, R <= count.

    Combinations of columns whose variance is only rounding, as of collinear columns, are left out: as directions they
    are zero.
    """
    value, axes, sd = _principal(total)
    root = np.where(value > SMALL * value[..., -1:], 1 / np.sqrt(np.maximum(value, np.finfo(float).tiny)), 0.0)
    white = axes * root[..., None, :] / sd[..., None]
    share, turn = np.linalg.eigh(white.swapaxes(-1, -2) @ between @ white)
    vector = (white @ turn).swapaxes(-1, -2)
    return np.clip(share[..., ::-1], 0.0, 1.0)[..., :count], vector[..., ::-1, :][..., :count, :]


def _principal(total: Array) -> tuple[Array, Array, Array]:
    """Eigenvalues (..., D), increasing, and axes (..., D, D) of correlations; standard deviations (..., D)."""
    sd = np.sqrt(np.diagonal(total, axis1=-2, axis2=-1))
    value, axes = np.linalg.eigh(total / (sd[..., None] * sd[..., None, :]))
    return value, axes, sd


@dataclass(frozen=True)
class _Spread:
    """The uncertainty of R directions: bands (R, 2) and (R, D, 2), angles (R,) in degrees; NaN for a single draw."""

    between_band: Array
    loading_band: Array
    angle: Array
    subspace_angle: Array


def _spread(p: Parameters, plane: _Plane, ci_prob: float) -> _Spread:
    """Compare the directions of each draw with those of all."""
    n_directions, d = plane.vector.shape
    if len(p.weight) == 1:
        one = np.full(n_directions, np.nan)
        return _Spread(np.full((n_directions, 2), np.nan), np.full((n_directions, d, 2), np.nan), one, one)
    _, between, total = _covariances(p)
    share, vector = _directions(between, total, p.weight.shape[1] - 1)
    value, axes, sd = _principal(total.mean(axis=0))
    metric = sd[:, None] * axes * np.sqrt(np.maximum(value, 0.0))  # orthogonal: coordinates that are not correlated
    fixed, drawn = plane.vector @ metric, vector @ metric
    unit = drawn / np.maximum(np.linalg.norm(drawn, axis=-1, keepdims=True), np.finfo(float).tiny)
    order, cosine = _matched(unit @ fixed.T)
    matched = np.take_along_axis(vector, order[..., None], axis=1)
    loading = np.sign(cosine)[..., None] * matched * np.sqrt(np.diagonal(total, axis1=-2, axis2=-1))[:, None]
    tail = (1 - ci_prob) / 2
    return _Spread(
        _band(np.take_along_axis(share, order, axis=1), tail),
        _band(loading, tail),
        np.quantile(_degrees(cosine), ci_prob, axis=0),
        np.quantile(_subspace_angles(unit, fixed), ci_prob, axis=0),
    )


def _matched(cosines: Array) -> tuple[NDArray[np.intp], Array]:
    """For cosines (S, R', R): the direction of each draw (S, R) that is closest to each, one to one, and its cosine."""
    from scipy.optimize import linear_sum_assignment

    order = np.stack([linear_sum_assignment(-np.abs(one.T))[1] for one in cosines])
    return order, np.take_along_axis(cosines.swapaxes(1, 2), order[..., None], axis=2)[..., 0]


def _subspace_angles(unit: Array, fixed: Array) -> Array:
    """(S, R) largest principal angle between the first r directions of draws (S, R', D) and of all (R, D)."""
    basis = np.linalg.qr(unit.swapaxes(-1, -2))[0]
    ranks = range(1, len(fixed) + 1)
    smallest = [np.linalg.svd(fixed[:r] @ basis[..., :r], compute_uv=False)[..., -1] for r in ranks]
    return _degrees(np.stack(smallest, axis=-1))


def _degrees(cosine: Array) -> Array:
    return np.degrees(np.arccos(np.clip(np.abs(cosine), 0.0, 1.0)))


def _band(values: Array, tail: float) -> Array:
    return np.moveaxis(np.quantile(values, [tail, 1 - tail], axis=0), 0, -1)
