"""Leave-one-out cross-validation, with the numbers of ArviZ's estimators, and stacking weights."""

import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bayesgmm.data.cells import RowLabels
from bayesgmm.data.points import Points
from bayesgmm.errors import warn
from bayesgmm.posterior.chain_statistics import mean_ess
from bayesgmm.posterior.criteria import HIGH_KHAT, n_parameters
from bayesgmm.posterior.draws import approximate
from bayesgmm.posterior.info import FitInfo
from bayesgmm.posterior.schema import Posterior
from bayesgmm.predictions.densities import slices, spread
from bayesgmm.predictions.pareto_smoothing import pareto_smoothed
from bayesgmm.sweep.stats import Array

if TYPE_CHECKING:
    import xarray as xr

IntArray = NDArray[np.intp]
LeaveOut = Callable[[Array], tuple[Array, Array, Array]]
MIN_DRAWS = 100  # minimum number of draws for leave-one-out
ENOUGH_DRAWS = 1000  # with many points, draws are thinned to no fewer than this
WORTH = 20_000_000  # maximum of draws times points for leave-one-out: about ten seconds
LEFT_OUT = 5_000  # size of the sample of points, where there are too many to leave each of them out
ROUGH_WORTH = 200_000_000  # maximum of draws times points for the densities of all points then


@dataclass(frozen=True)
class Opened:
    """A fit, its draws (a background counts as a component), and its info."""

    tree: "xr.DataTree"
    posterior: Posterior
    info: FitInfo

    @property
    def n_components(self) -> int:
        """K, without a background."""
        return self.tree["posterior"].sizes["component"]

    @property
    def size(self) -> int | float:
        """Number of free parameters of the mixture; NaN when its covariance family is unknown."""
        if self.info.model is None:
            return math.nan
        return n_parameters(self.info.model.family, self.n_components, len(self.posterior.columns))


@dataclass(frozen=True)
class LeftOut:
    """Leave-one-out log densities.

    Parameters
    ----------
    elpd, khat : (m,) float
        Log density of each point under a fit without it, and the Pareto k-hat of this estimate.
    total, error, effective : float
        Sum of the log densities over all points, its standard error, and the effective number of parameters.
    """

    elpd: Array
    khat: Array
    total: float
    error: float
    effective: float

    def summary(self) -> dict[str, float]:
        """The columns of ``compare``."""
        row = {"elpd_loo": self.total, "elpd_loo_se": self.error, "p_loo": self.effective}
        return row | {"pareto_khat": float(self.khat.max()), "n_left_out": len(self.elpd)}


def leave_one_out(name: str, fit: Opened, points: Points) -> LeftOut | None:
    """Compute PSIS-LOO of a fit, with many points from a fixed sample of them; None where it can't be computed."""
    n_points = len(points.values)
    many = n_points * ENOUGH_DRAWS > WORTH
    rows = sampled_rows(n_points) if many else np.arange(n_points)
    draws = min(fit.posterior.n_draws, max(ENOUGH_DRAWS, WORTH // len(rows)))
    if points.weights is not None or draws < MIN_DRAWS:
        return None
    chosen = np.linspace(0, fit.posterior.n_draws - 1, draws).round().astype(int)
    leave_out = leave_outs(fit, chosen)
    logs = slices(fit.posterior.thin(draws), points.take(rows), f"leave-one-out, {name}")
    try:
        with np.errstate(all="ignore"):
            parts = [leave_out(log.T) for log in logs]
    except ValueError:  # the largest weights are equal
        warn(
            [
                f"{name!r}: nearly all of its draws are copies of a few, so leave-one-out can't be computed. "
                "Try method='nuts'."
            ]
        )
        return None
    elpd, khat, p_loo = (np.concatenate([part[i] for part in parts]) for i in range(3))
    khat = np.where(np.isnan(khat), np.inf, khat)  # k-hat is NaN when all draws in the tail are the same
    warn(_warnings(name, khat, draws, points.index[rows]))
    return LeftOut(elpd, khat, *(_from_sample(fit, points, rows, elpd, p_loo) if many else _sums(elpd, p_loo)))


def sampled_rows(n_points: int) -> IntArray:
    """Draw a random sample of the rows; it depends only on the number of points, so that fits can be compared."""
    return np.sort(np.random.default_rng(0).choice(n_points, min(LEFT_OUT, n_points), replace=False))


def _sums(elpd: Array, p_loo: Array) -> tuple[float, float, float]:
    error = math.sqrt(len(elpd)) * float(elpd.std(ddof=1)) if len(elpd) > 1 else 0.0
    return float(elpd.sum()), error, float(p_loo.sum())


def _from_sample(fit: Opened, points: Points, rows: IntArray, elpd: Array, p_loo: Array) -> tuple[float, float, float]:
    """Difference estimator: in-sample log densities of all points, corrected by the leave-one-out ones of the sample.

    It is unbiased over the choice of rows, for any number of draws. ArviZ's standard error is for N points; the error
    due to the choice of rows is added to it.
    """
    from arviz_stats.base.array import array_stats

    n_points = len(points.values)
    rough = fit.posterior.thin(max(MIN_DRAWS // 4, min(ENOUGH_DRAWS, ROUGH_WORTH // n_points)))
    approximate_elpd = spread(rough, points).log_mean
    total, of_rows, of_points = array_stats.diff_srs_estimator(elpd, approximate_elpd[rows], approximate_elpd, n_points)
    effective, _, _ = array_stats.srs_estimator(p_loo, n_points)
    return float(total), math.hypot(of_rows, of_points), float(effective)


def leave_outs(fit: Opened, chosen: IntArray) -> LeaveOut:
    """Return an estimator for these draws: from log densities (n, S) to elpd, k-hat and p_loo, (n,) each."""
    if "sample_stats" not in fit.tree.children or not approximate(fit.tree) or fit.info.notes.resampled:
        r_eff = _relative_efficiency(fit)
        return lambda log: importance_sampled(log, -log, r_eff)
    stats = fit.tree["sample_stats"].to_dataset()
    log_p, log_q = (stats[name].values.ravel()[chosen] for name in ("lp", "log_q"))

    return lambda log: importance_sampled(log, log_p - log_q - log)


def importance_sampled(log: Array, log_ratio: Array, relative_size: float = 1.0) -> tuple[Array, Array, Array]:
    """Compute log densities of left-out points by Pareto-smoothed importance sampling: the numbers of ArviZ.

    Parameters
    ----------
    log : (N, S) float
        Log density of each point under each draw.
    log_ratio : (N, S) float
        Logs of the importance ratios of the posterior without a point.
    relative_size : float
        Effective sample size of the draws, divided by their number.

    Returns
    -------
    elpd, khat, p_loo : (N,) float
        Log density without the point, Pareto k-hat, and effective number of parameters.

    Raises
    ------
    ValueError
        If a point has fewer than five large weights, or all of these are equal.
    """
    from scipy.special import logsumexp

    log_weight, khat, fits = pareto_smoothed(log_ratio, relative_size)
    if not fits.all():
        raise ValueError("the largest weights are fewer than five, or all are equal")
    elpd = logsumexp(log_weight + log, axis=1)
    return elpd, khat, logsumexp(log, axis=1) - math.log(log.shape[1]) - elpd


def _relative_efficiency(fit: Opened) -> float:
    """Effective sample size divided by the number of draws, from the log likelihood (it has no label switching)."""
    if resampled := fit.info.notes.resampled:
        return resampled.effective / fit.posterior.n_draws
    if "sample_stats" not in fit.tree.children or "loglik" not in fit.tree["sample_stats"]:
        return 1.0
    loglik = fit.tree["sample_stats"]["loglik"].transpose("chain", "draw").values
    ess = float(mean_ess(loglik[..., None])[0])
    return ess / fit.posterior.n_draws if np.isfinite(ess) else 1.0


def khat_limit(draws: int) -> float:
    """Maximum reliable Pareto k-hat for a number of draws.

    Examples
    --------
    >>> khat_limit(100), khat_limit(4000)
    (0.5, 0.7)
    """
    return min(1 - 1 / math.log10(draws), HIGH_KHAT)


def _warnings(name: str, khat: Array, draws: int, index: RowLabels) -> list[str]:
    limit = khat_limit(draws)
    high = np.flatnonzero(khat > limit)
    if not high.size:
        return []
    worst = int(khat.argmax())
    return [
        f"{name!r}: leave-one-out is unreliable at {'one point' if high.size == 1 else f'{high.size} points'} "
        f"(Pareto k-hat {khat[worst]:.3f} at row {index[worst]}; it should be below {limit:.3f}). "
        "elpd_loo is only approximate."
    ]


def stacking_weights(fits: Mapping[str, LeftOut]) -> dict[str, float]:
    r"""Compute stacking weights: those of the mixture of fits with the highest leave-one-out log density.

    .. math:: \max_w \sum_n \log \sum_m w_m \, p_m(x_n \mid x_{-n}), \qquad w_m \ge 0, \ \sum_m w_m = 1

    References
    ----------
    .. [1] Yao, Vehtari, Simpson & Gelman (2018), Bayesian Anal. 13(3), 917-1007.

    Examples
    --------
    Each of two fits has the higher density at two of four points.

    >>> one, other = np.log([0.4, 0.4, 0.1, 0.1]), np.log([0.1, 0.1, 0.4, 0.4])
    >>> fits = {"a": LeftOut(one, one, one.sum(), 1.0, 1.0), "b": LeftOut(other, other, other.sum(), 1.0, 1.0)}
    >>> {name: round(weight, 3) for name, weight in stacking_weights(fits).items()}
    {'a': 0.5, 'b': 0.5}
    """
    if len(fits) < 2:
        return dict.fromkeys(fits, 1.0)
    import arviz_stats as az

    best = np.stack([fit.elpd for fit in fits.values()]).max(axis=0)  # densities themselves can overflow
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about ranks and comparisons of many models, which are not used here
        table = az.compare({name: as_arviz(fit, best) for name, fit in fits.items()}, round_to="none")
    weight = {name: float(np.clip(table.loc[name, "weight"], 0.0, 1.0)) for name in fits}
    return {name: value / sum(weight.values()) for name, value in weight.items()}


def as_arviz(fit: LeftOut, less: Array) -> Any:
    """Leave-one-out results in ArviZ's format, with ``less`` subtracted from the log densities."""
    import xarray as xr
    from arviz_stats.utils import ELPDDataLOO

    elpd = fit.elpd - less
    return ELPDDataLOO(
        elpd=elpd.sum(),
        se=fit.error,
        p=fit.effective,
        n_samples=1,
        n_data_points=len(elpd),
        scale="log",
        warning=False,
        good_k=HIGH_KHAT,
        elpd_i=xr.DataArray(elpd, dims="point"),
        pareto_k=xr.DataArray(np.where(np.isfinite(fit.khat), fit.khat, np.nan), dims="point"),
    )
