"""Fits of the same data side by side, whatever made them."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bayesgmm._kernels import BLOCK
from bayesgmm.criteria import assignment_entropy, information_criteria, n_parameters
from bayesgmm.data import Points
from bayesgmm.errors import DataError, DeclarationError, FitFileError, choose, warn
from bayesgmm.families import COVARIANCES
from bayesgmm.mixing import approximate
from bayesgmm.posterior import Posterior, info, observed, unpack
from bayesgmm.predictive import assignments
from bayesgmm.stats import Array, Table, fold, log_densities

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

IntArray = NDArray[np.intp]
Row = dict[str, Any]
LeaveOut = Callable[[Array], tuple[Array, Array, Array]]
SLICE = 2_000_000  # numbers held at a time: draws times points
LEAST_DRAWS = 100  # that leave-one-out is tried with
ENOUGH_DRAWS = 1000  # more are thinned when there are many points
HIGH_KHAT = 0.7
WORTH = 20_000_000  # draws times points that leave-one-out may cost: some ten seconds
COLUMNS = (
    "method",
    "n_components",
    "covariance",
    "loglik",
    "n_parameters",
    "bic",
    "aic",
    "icl",
    "elbo",
    "elpd_loo",
    "elpd_loo_se",
    "p_loo",
    "pareto_khat",
    "agreement",
    "seconds",
)


def compare(fits: "Mapping[str, xr.DataTree]", reference: str | None = None) -> "pd.DataFrame":
    """Fits of the same data side by side: point estimates, approximations, draws, traces that PyMC made.

    The rows stay in the order given, because no one number orders all of them: sort by the column that is meant, for
    example ``table.sort_values("bic")``. What a fit can't have is NaN.

    Parameters
    ----------
    fits : mapping of str to DataTree
        Fits by name.
    reference : str, optional
        Name of the fit that labels are compared with; the first unless told.

    Returns
    -------
    DataFrame
        A row for each fit:

        - ``method``, ``n_components``, ``covariance``: what it is;
        - ``loglik``: total log likelihood in data units, of a point estimate, or averaged over the draws;
        - ``n_parameters``: free numbers of the mixture;
        - ``bic``, ``aic``, ``icl``: lower is better. Only of a maximum of the likelihood: the likelihood of a posterior
          mode or mean is smaller than that by an amount that has nothing to do with how good a model is;
        - ``elbo``: of an approximation, the lower bound of the log evidence as the fit holds it. Under priors that do
          not tell components apart it covers one of K! equal labellings: to compare numbers of components add log K!;
        - ``elpd_loo``, ``elpd_loo_se``, ``p_loo``, ``pareto_khat``: expected log density of new points by leaving one
          out (higher is better), its standard error, the effective number of parameters, and the worst k-hat of a
          point (PSIS-LOO [1]_; draws of an approximation that were not resampled are weighted by its density [2]_).
          Not with fewer than 100 draws, on more than 20,000 points, or where rows have weights: a row is then not one
          point. Draws are thinned so that they and the points make 20 million log densities at most;
        - ``agreement``: adjusted Rand index of its labels with those of the reference, 1 for the same partition;
        - ``seconds``: what it took.

    Raises
    ------
    DataError
        When the fits are not of the same data.
    FitFileError
        When one is not a fit, or holds no data.
    DeclarationError
        When there are none.

    Warns
    -----
    FitWarning
        When a k-hat is so high that leaving that point out can't be trusted.

    References
    ----------
    .. [1] Vehtari, Gelman & Gabry (2017), Stat. Comput. 27(5), 1413-1432.
    .. [2] Magnusson, Andersen, Jonasson & Vehtari (2019), Proc. Mach. Learn. Res. 97, 4244-4253.
    """
    import pandas as pd
    from sklearn.metrics import adjusted_rand_score

    known = _opened(fits)
    points = _same_points(known)
    first = next(iter(known)) if reference is None else reference
    choose(first, known, "reference")
    labels = {name: assignments(fit.tree)["label"].values for name, fit in known.items()}
    rows = {
        name: _row(name, fit, points) | {"agreement": float(adjusted_rand_score(labels[first], labels[name]))}
        for name, fit in known.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index", columns=list(COLUMNS)).rename_axis("fit")


@dataclass(frozen=True)
class Opened:
    """A fit, its draws, and what it says of itself."""

    tree: "xr.DataTree"
    posterior: Posterior
    told: dict[str, Any]

    @property
    def size(self) -> int | float:
        """Free numbers of the mixture, where its covariance family is known."""
        if "model" not in self.told:
            return math.nan
        family = COVARIANCES[self.told["model"]["covariance"]]
        return n_parameters(family, *self.posterior.parameters.mean.shape[1:])


def _opened(fits: "Mapping[str, xr.DataTree]") -> dict[str, Opened]:
    if not isinstance(fits, Mapping) or not fits:
        raise DeclarationError("give fits by name, for example compare({'em': fit, 'nuts': other})")
    opened = {}
    for name, fit in fits.items():
        try:
            opened[str(name)] = Opened(fit, unpack(fit), info(fit))
        except FitFileError as error:
            raise FitFileError(f"{name!r}: {error}") from None
    return opened


def _same_points(fits: dict[str, Opened]) -> Points:
    """The data of all of them."""
    found: dict[str, Points] = {}
    for name, fit in fits.items():
        try:
            found[name] = observed(fit.tree)
        except FitFileError:
            raise FitFileError(f"{name!r} holds no observed data, so it can't be compared") from None
    first, points = next(iter(found.items()))
    for name, other in found.items():
        if other.fingerprint != points.fingerprint:
            raise DataError(
                f"fits are compared on the same data: {name!r} differs from {first!r} {_difference(other, points)}"
            )
    return points


def _difference(one: Points, other: Points) -> str:
    if one.columns != other.columns:
        return f"in its columns: {list(one.columns)}, not {list(other.columns)}"
    if one.values.shape != other.values.shape:
        return f"in its rows: {len(one.values)}, not {len(other.values)}"
    if not np.array_equal(one.values, other.values):
        return f"in the values of {int((one.values != other.values).any(axis=1).sum())} rows"
    return "in its sample weights"


def _row(name: str, fit: Opened, points: Points) -> Row:
    told, foreign = fit.told, fit.tree["posterior"].attrs
    row: Row = {
        "method": told.get("method", foreign.get("inference_library", math.nan)),
        "n_components": fit.posterior.parameters.weight.shape[1],
        "covariance": told["model"]["covariance"] if "model" in told else math.nan,
        "n_parameters": fit.size,
        "elbo": told.get("elbo", math.nan),
        "seconds": told.get("seconds", foreign.get("sampling_time", math.nan)),
    }
    if fit.posterior.n_draws == 1:
        return row | _point_criteria(fit, points)
    return row | {"loglik": _mean_loglik(fit, points)} | _leave_one_out(name, fit, points)


def _point_criteria(fit: Opened, points: Points) -> Row:
    """Of a single draw: the log likelihood, and the criteria where that is as large as it gets."""
    standard, tables = fit.posterior.standard, fit.posterior.tables()
    table = Table(tables.offset[0], tables.mean[0], tables.root[0])
    stats = fold(standard.blocks(points.values, points.weights), table)
    loglik = stats.loglik - points.total_weight * standard.log_scale
    if fit.told.get("maximum") != "likelihood":
        return {"loglik": loglik}
    entropy = assignment_entropy(stats, table)
    return {"loglik": loglik} | information_criteria(loglik, int(fit.size), points.total_weight, entropy)


def _mean_loglik(fit: Opened, points: Points) -> float:
    if "sample_stats" in fit.tree.children and "loglik" in fit.tree["sample_stats"]:
        return float(fit.tree["sample_stats"]["loglik"].mean())
    weights = np.ones(len(points.values)) if points.weights is None else points.weights
    means = [log.mean(axis=0) for log in _pointwise(fit.posterior, points)]
    return float(weights @ np.concatenate(means))


def _pointwise(posterior: Posterior, points: Points) -> Iterator[Array]:
    """Log densities (S, n) in data units, for a slice of the points at a time."""
    tables, standard = posterior.tables(), posterior.standard
    step = max(BLOCK, SLICE // posterior.n_draws // BLOCK * BLOCK)
    for start in range(0, len(points.values), step):
        yield log_densities(standard.blocks(points.values[start : start + step]), tables) - standard.log_scale


def _leave_one_out(name: str, fit: Opened, points: Points) -> Row:
    """PSIS-LOO, by ArviZ, a slice of the points at a time."""
    from arviz_stats.base.array import array_stats

    n_points = len(points.values)
    draws = min(fit.posterior.n_draws, max(ENOUGH_DRAWS, WORTH // n_points))
    if points.weights is not None or draws < LEAST_DRAWS or draws * n_points > WORTH:
        return {}
    chosen = np.linspace(0, fit.posterior.n_draws - 1, draws).round().astype(int)
    leave_out = _leave_outs(fit, chosen)
    try:
        with np.errstate(all="ignore"):
            parts = [leave_out(log.T) for log in _pointwise(fit.posterior.thin(draws), points)]
    except ValueError:  # ArviZ's: "All tail values are the same"
        warn([f"{name!r}: its draws are copies of a few, so no point can be left out. Try method='nuts'."])
        return {}
    elpd, khat, p_loo = (np.concatenate([part[i] for part in parts]) for i in range(3))
    khat = np.where(np.isnan(khat), np.inf, khat)  # one draw, many times, leaves no tail to fit
    warn(_doubts(name, khat, draws, points.index))
    total, error, effective, _ = array_stats.loo_summary(elpd, p_loo)
    row = {"elpd_loo": total, "elpd_loo_se": error, "p_loo": effective, "pareto_khat": khat.max()}
    return {column: float(value) for column, value in row.items()}


def _leave_outs(fit: Opened, chosen: IntArray) -> LeaveOut:
    """ArviZ's estimator for draws of this kind: log densities (n, S) to elpd, k-hat and p_loo, (n,) each."""
    from arviz_stats.base.array import array_stats

    if "sample_stats" not in fit.tree.children or not approximate(fit.tree) or fit.told.get("resampled"):
        r_eff = _relative_efficiency(fit)
        return lambda log: array_stats.loo(log, chain_axis=None, r_eff=r_eff)
    stats = fit.tree["sample_stats"].to_dataset()
    log_p, log_q = (stats[name].values.ravel()[chosen] for name in ("lp", "log_q"))

    def weighted(log: Array) -> tuple[Array, Array, Array]:
        p, q = (np.broadcast_to(density, log.shape) for density in (log_p, log_q))
        return array_stats.loo_approximate_posterior(log, p, q, chain_axis=None)

    return weighted


def _relative_efficiency(fit: Opened) -> float:
    """How many independent draws one is worth: by the total log likelihood, which no label switching moves."""
    if resampled := fit.told.get("resampled"):
        return resampled["effective"] / fit.posterior.n_draws
    if "sample_stats" not in fit.tree.children or "loglik" not in fit.tree["sample_stats"]:
        return 1.0
    import arviz as az

    ess = float(az.ess(fit.tree["sample_stats"]["loglik"], method="mean"))
    return ess / fit.posterior.n_draws if np.isfinite(ess) else 1.0


def _doubts(name: str, khat: Array, draws: int, index: Any) -> list[str]:
    limit = min(1 - 1 / math.log10(draws), HIGH_KHAT)
    high = np.flatnonzero(khat > limit)
    if not high.size:
        return []
    worst = int(khat.argmax())
    return [
        f"{name!r}: leaving out {'one point' if high.size == 1 else f'each of {high.size} points'} moves the posterior "
        f"too far for its draws to tell (Pareto k-hat {khat[worst]:.3f} at row {index[worst]}; it should stay below "
        f"{limit:.3f}). Take elpd_loo for a rough guide."
    ]
