"""Cross-conformal p-values: every fitted row is a reference point, under a fit that leaves it out.

Fits by draws leave a row out by importance weights. Point estimates are fitted again without some of the rows.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from bayesgmm.blas import one_blas_thread
from bayesgmm.data.points import Points
from bayesgmm.engines import ENGINES
from bayesgmm.posterior.contamination import as_modelled
from bayesgmm.posterior.criteria import n_parameters
from bayesgmm.posterior.info import FitInfo, info
from bayesgmm.posterior.log_posterior import LogPosterior
from bayesgmm.posterior.schema import Posterior, holds_points, observed, unpack
from bayesgmm.predictions.densities import kept, require_room, slices, spread
from bayesgmm.predictions.pareto_smoothing import pareto_smoothed
from bayesgmm.sweep.stats import Array

if TYPE_CHECKING:
    import xarray as xr

POINTS_EACH = 20  # points per free number of the mixture below which cross-conformal p-values are the default
MAX_WORK = 2_000_000  # maximum of points x components x columns^2 for them to be the default: some seconds
FOLDS = 10  # number of refits of a point estimate; each leaves out a tenth of the rows
MIN_DRAWS = 100  # minimum number of draws for importance weights


def p_values(references: "Weighted | Refitted", values: Array, progress: bool = True) -> Array:
    r"""Compute cross-conformal p-values (M,) of new points (M, D).

    .. math:: p(x) = \frac{1 + \sum_n w_n \, [s_{-n}(x_n) \le s_{-n}(x)]}{1 + \sum_n w_n}

    where :math:`s_{-n}` is the score under a fit without row n, and :math:`w_n` a row's weight.

    References
    ----------
    .. [1] Vovk (2015), Ann. Math. Artif. Intell. 74, 9-28.
    .. [2] Barber, Candès, Ramdas & Tibshirani (2021), Ann. Stat. 49(1), 486-507.
    """
    return (1 + references.count_below(values, progress)) / (1 + references.weight.sum())


def can_leave_out(fit: "xr.DataTree") -> bool:
    """Return True if rows can be left out of a fit: it holds them, and has draws or a declaration to fit again."""
    if not holds_points(fit) or len(observed(fit).values) < 2 or not observed(fit).is_exact:
        return False
    facts = info(fit)
    return unpack(fit).n_draws >= MIN_DRAWS or (facts.model is not None and facts.method in ENGINES)


def references(fit: "xr.DataTree", draws: int | None) -> "Weighted | Refitted":
    """Return the fitted rows as reference points, of a fit for which ``can_leave_out`` is true.

    Raises
    ------
    ComponentError, DataError, SamplingError
        If the engine of a point estimate fails on a part of the rows, or weights need more than 2 GiB.
    """
    points = observed(fit)
    if unpack(fit).n_draws >= MIN_DRAWS:
        return Weighted.of(fit, points, draws)
    return Refitted.of(points, info(fit))


def few_points(fit: "xr.DataTree") -> bool:
    """Return True if the points of a fit are few for its free numbers, and rows can be left out in some seconds."""
    facts = info(fit)
    if facts.model is None or not holds_points(fit):
        return False
    points, n_components = observed(fit), fit["posterior"].sizes["component"]
    n_features = len(points.columns)
    numbers = n_parameters(facts.model.family, n_components, n_features)
    work = len(points.values) * n_components * n_features**2
    return points.total_weight < POINTS_EACH * numbers and work <= MAX_WORK


def row_weights(points: Points) -> Array:
    """Row weights (N,), 1 by default."""
    return np.ones(len(points.values)) if points.weights is None else points.weights


@dataclass(frozen=True)
class Weighted:
    r"""Rows left out by importance weights over the draws, smoothed (PSIS).

    Without row n, draw s counts in proportion to :math:`p(x_n \mid \theta_s)^{-w_n}`.

    Parameters
    ----------
    posterior : Posterior
        S draws.
    share : (N, S) float
        Weights of the draws without each row; rows sum to one.
    own, weight : (N,) float

    References
    ----------
    .. [1] Vehtari, Gelman & Gabry (2017), Stat. Comput. 27(5), 1413-1432.
    .. [2] Fong & Holmes (2021), Advances in Neural Information Processing Systems 34, 18268-18279.
    """

    posterior: Posterior
    share: Array
    own: Array
    weight: Array

    @classmethod
    def of(cls, fit: "xr.DataTree", points: Points, draws: int | None) -> "Weighted":
        """Compute the weights of a fit by draws.

        Raises
        ------
        DataError
            If they need more than 2 GiB.
        """
        posterior, weight = unpack(fit).thin(draws), row_weights(points)
        n_points = len(points.values)
        require_room(8 * n_points * posterior.n_draws, f"weights of {posterior.n_draws} draws without each row")
        modelled = kept(as_modelled(fit).thin(draws), points, progress=False)
        share, _ = smoothed(-weight[:, None] * modelled.T)
        own = (share * kept(posterior, points.values, progress=False).T).sum(axis=1)
        return cls(posterior, share, own, weight)

    def count_below(self, values: Array, progress: bool) -> Array:
        """(M,) weight of the rows whose own score is at most that of a new point under the same fit."""
        counts = [
            self.weight @ (self.own[:, None] <= self.share @ log)
            for log in slices(self.posterior, values, progress=progress)
        ]
        return np.concatenate(counts)


def smoothed(log_ratio: Array) -> tuple[Array, Array]:
    """Pareto-smoothed importance weights (N, S), whose rows sum to one, and Pareto k-hat (N,); 0 for equal weights.

    A row whose largest weights are equal is not smoothed.

    Examples
    --------
    >>> weight, khat = smoothed(np.zeros((2, 100)))
    >>> weight.sum(axis=1).round(9), khat
    (array([1., 1.]), array([0., 0.]))
    """
    from scipy.special import softmax

    log_weight, khat, fits = pareto_smoothed(log_ratio)
    plain, log_weight = softmax(log_ratio, axis=1), np.where(fits[:, None], log_weight, log_ratio)
    khat = np.where(fits, khat, 0.0)
    weight = softmax(np.where(np.isfinite(log_weight), log_weight, -np.inf), axis=1)
    weight = np.where(np.isfinite(log_weight).any(axis=1, keepdims=True) & np.isfinite(weight), weight, plain)
    varies = np.ptp(log_ratio, axis=1) > 0
    return weight, np.where(varies, np.where(np.isnan(khat), np.inf, khat), 0.0)


@dataclass(frozen=True)
class Refitted:
    """A point estimate, fitted again without each fold of the rows.

    Parameters
    ----------
    parts : list of Posterior
        The fit without each fold.
    fold : (N,) int
        Fold of each row.
    own, weight : (N,) float
    """

    parts: list[Posterior]
    fold: Array
    own: Array
    weight: Array

    @classmethod
    def of(cls, points: Points, facts: FitInfo) -> "Refitted":
        """Fit again without each fold.

        Raises
        ------
        ComponentError, DataError, SamplingError
            If the engine fails on the other rows.
        """
        n_points = len(points.values)
        n_folds = min(FOLDS, n_points)
        fold = np.random.default_rng(facts.seed or 0).permutation(np.arange(n_points) % n_folds)
        with one_blas_thread():  # as fit
            parts = [_fitted(points, fold != f, facts) for f in range(n_folds)]
        own = np.empty(n_points)
        for f, part in enumerate(parts):
            own[fold == f] = spread(part, points.values[fold == f], progress=False).mean_log
        return cls(parts, fold, own, row_weights(points))

    def count_below(self, values: Array, progress: bool) -> Array:
        """(M,) weight of the rows whose own score is at most that of a new point under the same fit."""
        count = np.zeros(len(values))
        for f, part in enumerate(self.parts):
            score = spread(part, values, progress=progress).mean_log
            own, weight = self.own[self.fold == f], self.weight[self.fold == f]
            order = np.argsort(own)
            below = np.concatenate([[0.0], np.cumsum(weight[order])])
            count += below[np.searchsorted(own[order], score, side="right")]
        return count


class _Silent:
    """Progress report of an engine that shows nothing."""

    def stage(self, text: str) -> None:
        """Do nothing."""

    def chains(self, states: Sequence[object]) -> None:
        """Do nothing."""


def _fitted(points: Points, rows: Array, facts: FitInfo) -> Posterior:
    """The same declaration and engine on some of the rows."""
    assert facts.model is not None
    density = LogPosterior.of(facts.model, points.take(np.flatnonzero(rows)))
    engine = ENGINES[str(facts.method)]
    # the estimators have settings that the engines do not have, and lack others
    settings = engine.defaults | {name: value for name, value in facts.settings.items() if name in engine.defaults}
    estimate = engine(density, facts.seed or 0, os.cpu_count() or 1, _Silent(), **settings)
    parameters = estimate.parameters or density.parameters(estimate.q)
    return Posterior(replace(parameters, extras={}).flat(), points.columns, density.standard)
