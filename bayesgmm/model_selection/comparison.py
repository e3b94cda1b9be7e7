"""Fits of the same data side by side, whatever made them."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesgmm.data.points import Points
from bayesgmm.errors import DataError, DeclarationError, FitFileError, choose
from bayesgmm.posterior.contamination import as_modelled
from bayesgmm.posterior.criteria import assignment_entropy, information_criteria
from bayesgmm.posterior.schema import info, observed
from bayesgmm.predictions.cross_validation import LeftOut, Opened, leave_one_out, stacking_weights
from bayesgmm.predictions.densities import spread
from bayesgmm.predictions.predictive import assignments
from bayesgmm.sweep.stats import Table, fold

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

Row = dict[str, Any]
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
    "n_left_out",
    "weight",
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
          Not with fewer than 100 draws, or where rows have weights: a row is then not one point. Draws are thinned so
          that they and the points make 20 million log densities at most;
        - ``n_left_out``: how many points were left out: all of them, or 5,000 of more than 20,000, the same of every
          fit. The sum is then estimated from the differences to densities that leave nothing out [2]_, and what the
          choice of points adds is in ``elpd_loo_se``;
        - ``weight``: how much of each fit the best mixture of their predictions would take, by stacking [3]_ of the
          left-out densities. They sum to one over the fits that have any; of fits that predict alike, any split is as
          good;
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
    .. [3] Yao, Vehtari, Simpson & Gelman (2018), Bayesian Anal. 13(3), 917-1007.
    """
    import pandas as pd
    from sklearn.metrics import adjusted_rand_score

    known = _opened(fits)
    points = _same_points(known)
    first = next(iter(known)) if reference is None else reference
    choose(first, known, "reference")
    labels = {name: assignments(fit.tree)["label"].values for name, fit in known.items()}
    left_out = {name: leave_one_out(name, fit, points) for name, fit in known.items()}
    weights = stacking_weights({name: found for name, found in left_out.items() if found is not None})
    rows = {
        name: _row(fit, points, left_out[name])
        | {"agreement": float(adjusted_rand_score(labels[first], labels[name])), "weight": weights.get(name, math.nan)}
        for name, fit in known.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index", columns=list(COLUMNS)).rename_axis("fit")


def _opened(fits: "Mapping[str, xr.DataTree]") -> dict[str, Opened]:
    if not isinstance(fits, Mapping) or not fits:
        raise DeclarationError("give fits by name, for example compare({'em': fit, 'nuts': other})")
    opened = {}
    for name, fit in fits.items():
        try:
            opened[str(name)] = Opened(fit, as_modelled(fit), info(fit))
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


def _row(fit: Opened, points: Points, left_out: LeftOut | None) -> Row:
    told, foreign = fit.told, fit.tree["posterior"].attrs
    row: Row = {
        "method": told.get("method", foreign.get("inference_library", math.nan)),
        "n_components": fit.n_components,
        "covariance": told["model"]["covariance"] if "model" in told else math.nan,
        "n_parameters": fit.size,
        "elbo": told.get("elbo", math.nan),
        "seconds": told.get("seconds", foreign.get("sampling_time", math.nan)),
    }
    if fit.posterior.n_draws == 1:
        return row | _point_criteria(fit, points)
    return row | {"loglik": _mean_loglik(fit, points)} | ({} if left_out is None else left_out.summary())


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
    return float(weights @ spread(fit.posterior, points.values).mean_log)
