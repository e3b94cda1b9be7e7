"""Compare fits of the same data, by any method."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from bayesgmm.data.points import Points
from bayesgmm.errors import BayesGMMError, DataError, DeclarationError, FitFileError, choose
from bayesgmm.keywords import checks_keywords
from bayesgmm.model_selection import marginal_likelihoods
from bayesgmm.posterior.arguments import FitLike, as_fit
from bayesgmm.posterior.contamination import as_modelled
from bayesgmm.posterior.criteria import assignment_entropy, information_criteria
from bayesgmm.posterior.draws import sampled
from bayesgmm.posterior.info import info
from bayesgmm.posterior.schema import observed
from bayesgmm.predictions.cross_validation import LeftOut, Opened, leave_one_out, stacking_weights
from bayesgmm.predictions.densities import spread
from bayesgmm.predictions.predictive import assignments
from bayesgmm.sweep.stats import Table, fold

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

Row = dict[str, object]
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


EVIDENCE = ("log_evidence", "log_evidence_se")


@checks_keywords
def compare(fits: Mapping[str, FitLike], reference: str | None = None, *, evidence: bool = False) -> "pd.DataFrame":
    """Compare fits of the same data: point estimates, approximations, samples, traces of PyMC.

    Rows are in the order given, because no single criterion applies to all fits. Sort by the column of interest, for
    example ``table.sort_values("bic")``. Values that are not defined for a fit are NaN.

    Parameters
    ----------
    fits : mapping of str to DataTree or estimator
        Fits by name.
    reference : str, optional
        Name of the fit whose labels the others are compared with. Default: the first.
    evidence : bool
        Estimate the log evidence of fits by draws, which takes about a second for each.

    Returns
    -------
    DataFrame
        A row for each fit:

        - ``method``, ``n_components``, ``covariance``;
        - ``loglik``: total log likelihood in data units, of a point estimate, or the mean over the draws;
        - ``n_parameters``: number of free parameters of the mixture;
        - ``bic``, ``aic``, ``icl``: lower is better. Only for maximum likelihood: the likelihood at a posterior mode or
          mean is smaller, by an amount that depends on the prior;
        - ``elbo``: for an approximation, the lower bound of the log evidence. With the same prior for all components,
          the approximation covers one of K! equal labellings: to compare numbers of components, add log K!;
        - ``elpd_loo``, ``elpd_loo_se``, ``p_loo``, ``pareto_khat``: expected log density of new points by leave-one-out
          cross-validation (higher is better), its standard error, the effective number of parameters, and the maximum
          k-hat (PSIS-LOO [1]_; draws of an approximation that were not resampled are weighted by its density [2]_). NaN
          with fewer than 100 draws, and for rows with weights. Draws are thinned to 20 million draws times points;
        - ``n_left_out``: number of points that were left out: all, or with more than 20,000 a sample of 5,000, the same
          for every fit. The sum is then estimated from the differences to the in-sample densities [2]_, and
          ``elpd_loo_se`` includes the sampling error;
        - ``weight``: stacking weight [3]_, from the leave-one-out densities. They sum to one over the models with
          leave-one-out. Of several fits of the same model one has a weight: the first by a sampler, else the first.
          NaN if all fits are of the same model;
        - ``agreement``: adjusted Rand index of its labels with those of the reference, 1 for the same partition;
        - ``seconds``: run time;
        - ``log_evidence``, ``log_evidence_se``, with ``evidence=True``: log marginal likelihood and its standard error,
          by :func:`bayesgmm.evidence`. NaN where it can't be estimated.

    Raises
    ------
    DataError
        When the fits are not of the same data.
    FitFileError
        When one of them is not a fit, or holds no data.
    DeclarationError
        When ``fits`` is empty or not a mapping.
    UnknownName
        When ``reference`` is not the name of a fit.

    Warns
    -----
    FitWarning
        When a k-hat is too high for leave-one-out to be reliable at that point.

    References
    ----------
    .. [1] Vehtari, Gelman & Gabry (2017), Stat. Comput. 27(5), 1413-1432.
    .. [2] Magnusson, Andersen, Jonasson & Vehtari (2019), Proc. Mach. Learn. Res. 97, 4244-4253.
    .. [3] Yao, Vehtari, Simpson & Gelman (2018), Bayesian Anal. 13(3), 917-1007.

    Examples
    --------
    >>> import bayesgmm as bg
    >>> x = [[-1.0], [0.0], [1.0], [9.0], [10.0], [11.0]]
    >>> fits = {f"K={k}": bg.fit(bg.MixtureModel(k, "tied"), x, "em", progress=False) for k in (1, 2)}
    >>> compare(fits)[["n_parameters", "bic", "agreement"]].round(1)
         n_parameters   bic  agreement
    fit
    K=1             2  40.1        1.0
    K=2             4  30.1        0.0
    """
    import pandas as pd
    from sklearn.metrics import adjusted_rand_score

    from bayesgmm.whole_tables import WholeTable

    known = _opened(fits)
    points = _same_points(known)
    first = next(iter(known)) if reference is None else reference
    choose(first, known, "reference")
    labels = {name: assignments(fit.tree)["label"].values for name, fit in known.items()}
    left_out = {name: leave_one_out(name, fit, points) for name, fit in known.items()}
    weights = _stacked({name: found for name, found in left_out.items() if found is not None}, known)
    rows = {
        name: _row(fit, points, left_out[name])
        | {"agreement": float(adjusted_rand_score(labels[first], labels[name])), "weight": weights.get(name, math.nan)}
        for name, fit in known.items()
    }
    if evidence:
        rows = {name: row | _evidence(known[name].tree) for name, row in rows.items()}
    columns = [*COLUMNS, *(EVIDENCE if evidence else ())]
    return WholeTable(pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis("fit"))


def _stacked(left_out: dict[str, LeftOut], fits: dict[str, Opened]) -> dict[str, float]:
    """Stacking weights of the models: of several fits of one, the first by a sampler. None where there is one model."""
    models: dict[object, list[str]] = {}
    for name in left_out:
        model = fits[name].info.model
        models.setdefault(name if model is None else model.to_toml(), []).append(name)
    if len(models) == 1 and len(left_out) > 1:
        return {}
    first = [min(names, key=lambda name: not sampled(fits[name].tree)) for names in models.values()]
    return stacking_weights({name: left_out[name] for name in left_out if name in first})


def _evidence(fit: "xr.DataTree") -> Row:
    """The log evidence of a fit and its error; NaN where they can't be estimated."""
    try:
        found = marginal_likelihoods.evidence(fit)
    except BayesGMMError:
        return dict.fromkeys(EVIDENCE, math.nan)
    return {"log_evidence": found.log_evidence, "log_evidence_se": found.se}


def _opened(fits: Mapping[str, FitLike]) -> dict[str, Opened]:
    """Read the fits.

    Raises
    ------
    DeclarationError
        When there are none, or they are not a mapping.
    FitFileError
        When one of them is not a fit.
    """
    if not isinstance(fits, Mapping) or not fits:
        raise DeclarationError("give fits by name, for example compare({'em': fit, 'nuts': other})")
    opened = {}
    for name, fit in fits.items():
        try:
            tree = as_fit(fit)
            opened[str(name)] = Opened(tree, as_modelled(tree), info(tree))
        except FitFileError as error:
            raise FitFileError(f"{name!r}: {error}") from None
    return opened


def _same_points(fits: dict[str, Opened]) -> Points:
    """Return the common data of the fits.

    Raises
    ------
    FitFileError
        When a fit holds no data.
    DataError
        When the data of two fits differ.
    """
    points_of: dict[str, Points] = {}
    for name, fit in fits.items():
        try:
            points_of[name] = observed(fit.tree)
        except FitFileError:
            raise FitFileError(f"{name!r} holds no observed data, so it can't be compared") from None
    first, points = next(iter(points_of.items()))
    for name, other in points_of.items():
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
    if not np.array_equal(one.values, other.values, equal_nan=True):
        same = (one.values == other.values) | (np.isnan(one.values) & np.isnan(other.values))
        return f"in the values of {int((~same).any(axis=1).sum())} rows"
    if not np.array_equal(one.error_covariances, other.error_covariances):
        return "in its errors of measurement"
    own, others = (np.ones(len(points.values)) if points.weights is None else points.weights for points in (one, other))
    return "in its labels" if np.array_equal(own, others) else "in its sample weights"


def _row(fit: Opened, points: Points, left_out: LeftOut | None) -> Row:
    facts, foreign = fit.info, fit.tree["posterior"].attrs
    row: Row = {
        "method": facts.method or foreign.get("inference_library", math.nan),
        "n_components": fit.n_components,
        "covariance": math.nan if facts.model is None else facts.model.covariance,
        "n_parameters": fit.size,
        "elbo": math.nan if facts.notes.elbo is None else facts.notes.elbo,
        "seconds": foreign.get("sampling_time", math.nan) if facts.seconds is None else facts.seconds,
    }
    if fit.posterior.n_draws == 1:
        return row | _point_criteria(fit, points)
    return row | {"loglik": _mean_loglik(fit, points)} | ({} if left_out is None else left_out.summary())


def _point_criteria(fit: Opened, points: Points) -> dict[str, float]:
    """Compute the log likelihood of a point estimate, and the criteria if it is a maximum of the likelihood."""
    standard, tables = fit.posterior.standard, fit.posterior.tables()
    table = Table(tables.offset[0], tables.mean[0], tables.root[0])
    blocks = standard.blocks(points, points.weights)
    stats = fold(blocks, table)
    loglik = stats.loglik - standard.log_units(blocks)
    if fit.info.notes.maximum != "likelihood":
        return {"loglik": loglik}
    entropy = assignment_entropy(stats, table, blocks)
    return {"loglik": loglik} | information_criteria(loglik, int(fit.size), points.total_weight, entropy)


def _mean_loglik(fit: Opened, points: Points) -> float:
    if "sample_stats" in fit.tree.children and "loglik" in fit.tree["sample_stats"]:
        return float(fit.tree["sample_stats"]["loglik"].mean())
    weights = np.ones(len(points.values)) if points.weights is None else points.weights
    return float(weights @ spread(fit.posterior, points).mean_log)
