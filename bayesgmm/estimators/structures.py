"""Mixtures with several numbers of components, fitted to the same points for anomaly scores."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from bayesgmm.data.points import Points
from bayesgmm.data.standards import Standard
from bayesgmm.estimators import fits
from bayesgmm.model import MixtureModel
from bayesgmm.posterior.criteria import n_parameters
from bayesgmm.posterior.schema import unpack
from bayesgmm.predictions.tied_mixtures import TiedMixtures
from bayesgmm.priors.covariances import WishartPrecision
from bayesgmm.sweep.stats import Array

if TYPE_CHECKING:
    import xarray as xr

COUNTS = (1, 2, 4, 10, 20)
ROWS_EACH = 5  # minimum number of rows per component; or as many as columns
MIN_COMPLETE = 0.5  # share of points without missing values from which mixtures are compared by these
MAX_ROWS = 20_000  # rows that are fitted
FOLDS = 5
RIDGE = 1e-3  # share of the variances that is added to the covariance of all points
TIED = MixtureModel(1, "tied").family
SETTINGS = {"n_init": 1, "tol": 1e-5, "max_iter": 200}


def fit_structures(points: Points, seed: int = 0, counts: Sequence[int] | None = None) -> TiedMixtures:
    """Fit tied mixtures with 1, 2, 4, 10 and 20 components by EM.

    The anomaly score of a point is its lowest log density among them. With many components an anomaly can have one of
    its own; with few components, points between groups are dense. An anomaly of either kind has a low density under
    some of the mixtures.

    A mixture with too many components for the points describes these, but no others: it would make regular points as
    improbable as anomalies. So it is used only if the median log density of the points, each under the mixture without
    it, is at least that of one Gaussian. The mean would not do: a few anomalies determine it.

    Parameters
    ----------
    points : Points
        At most 20,000 different ones are used. There are at least five for each component, and at least as many as
        columns, with a fifth left out too.
    seed : int
    counts : sequence of int, optional
        Numbers of components, in place of these; all are used.
    """
    if counts is not None:
        return _fit_counts(counts, _distinct(points), seed)
    return _useful(_fit_counts(_counts(points), _distinct(points), seed), _distinct(points))


def with_shape(model: MixtureModel, points: Points) -> MixtureModel:
    r"""Shape the default Wishart prior of a mixture's covariances like the covariance of all points [1]_.

    .. math:: \text{scale} = S / K^2

    The package's default, with the variances alone, supposes columns without correlations. Nearly collinear columns are
    then much wider along their small direction than the points, and so are points that are simulated from the fit. A
    thousandth of the variances is added, so that the scale is positive definite.

    References
    ----------
    .. [1] Fraley & Raftery (2007), J. Classification 24, 155-181: Section 3.
    """
    if model.covariances != WishartPrecision():
        return model
    filled = Standard.of(points).filled(points)
    covariance = np.cov(filled.values.T, aweights=filled.weights, ddof=0).reshape(2 * points.values.shape[1:])
    variance = np.diagonal(covariance)
    covariance = covariance + RIDGE * np.diag(fits.positive_variances(variance, variance))
    scale = tuple(map(tuple, (covariance / model.n_components**2).tolist()))
    return model.model_copy(update={"covariances": WishartPrecision(scale=scale)})


def _useful(mixtures: TiedMixtures, points: Points) -> TiedMixtures:
    """Keep one Gaussian, and the mixtures under which the median point is as probable when it is left out."""
    complete = ~np.isnan(points.values).any(axis=1)
    if complete.mean() < MIN_COMPLETE:
        return mixtures
    assert points.weights is not None
    unit = np.minimum(points.weights[complete], 1.0)
    log_density = mixtures.left_out_log_density(points.values[complete], unit, points.total_weight)
    middle = np.median(log_density, axis=1)
    return mixtures.some(middle >= middle[0])


def _fit_counts(counts: Sequence[int], points: Points, seed: int) -> TiedMixtures:
    fitted = [unpack(_fit(k, points, seed)).parameters for k in counts]
    most = max(p.weight.shape[1] for p in fitted)
    weight, mean = np.zeros((len(fitted), most)), np.zeros((len(fitted), most, points.values.shape[1]))
    for i, p in enumerate(fitted):
        held = p.weight.shape[1]
        weight[i, :held], mean[i, :held] = p.weight[0], p.mean[0]
    return TiedMixtures(weight, mean, np.stack([p.covariance[0, 0] for p in fitted]))


def best_count(mixtures: TiedMixtures, points: Points) -> int:
    """Number of components of the mixture with the lowest BIC."""
    points = _distinct(points)
    weights = points.weights if points.weights is not None else np.ones(len(points.values))
    bics = {}
    for one in mixtures.each():
        (n_components,), (_, n_columns) = one.counts, points.values.shape
        numbers = n_parameters(TIED, n_components, n_columns)
        loglik = float(weights @ one.lowest_log_density(points.values))
        bics[n_components] = numbers * np.log(weights.sum()) - 2 * loglik
    return min(bics, key=lambda k: bics[k])


def left_out_scores(points: Points, counts: Sequence[int], seed: int = 0) -> Array:
    """Lowest log densities (N,) of points under tied mixtures that are fitted without them, a fifth at a time.

    The numbers of components are those of the mixtures of all points: with others, the scores could not be compared.
    """
    out = np.empty(len(points.values))
    fold = np.random.default_rng(seed).permutation(len(out)) % FOLDS
    for i in np.unique(fold):
        kept = fold != i
        weights = None if points.weights is None else points.weights[kept]
        part = Points(points.values[kept], points.columns, points.index[kept], weights)
        out[~kept] = fit_structures(part, seed, counts).lowest_log_density(points.values[~kept])
    return out


def _counts(points: Points) -> list[int]:
    rows, columns = _distinct(points).values.shape
    return [k for k in COUNTS if k == 1 or max(ROWS_EACH, columns) * k <= rows * (FOLDS - 1) // FOLDS]


def _distinct(points: Points) -> Points:
    """Different points in a fixed order, with their weights: neither the order of rows nor copies change a fit."""
    values, inverse = np.unique(np.nan_to_num(points.values, nan=np.inf), axis=0, return_inverse=True)
    values[np.isinf(values)] = np.nan  # a missing value equals another one
    weights = np.bincount(inverse.ravel(), weights=points.weights)
    step = -(-len(values) // MAX_ROWS)
    some = (weights > 0) & (np.arange(len(values)) % step == 0)
    return Points(values[some], points.columns, np.arange(some.sum()), weights[some])


def _fit(n_components: int, points: Points, seed: int) -> "xr.DataTree":
    model = with_shape(MixtureModel(n_components, "tied"), points)
    model = fits.proper(model, points, points.summary.variance)
    return fits.fit(model, points, "em", seed, SETTINGS)
