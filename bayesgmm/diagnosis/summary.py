"""Summary of a fit: a table of the components, and the numbers of its convergence."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesgmm.declared import probability
from bayesgmm.diagnosis.mixing import convergence
from bayesgmm.labels.relabelling import aligned
from bayesgmm.posterior.arguments import FitLike, takes_fit
from bayesgmm.posterior.contamination import background
from bayesgmm.posterior.draws import approximate
from bayesgmm.posterior.info import info
from bayesgmm.posterior.notes import EngineNotes
from bayesgmm.posterior.schema import holds_points, observed, transforms_of
from bayesgmm.predictions.predictive import assignments
from bayesgmm.sweep.stats import Array

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

OWN_ROWS = ("points", "weight")  # rows of a table of the components that are no columns of the data


@takes_fit
def component_table(fit: FitLike, ci_prob: float = 0.9) -> "pd.DataFrame":
    """Compute the weight and the mean of every component, with equal-tailed credible intervals.

    For a transformed column, it is the component's median in data units instead: the inverse of the mean.

    Parameters
    ----------
    fit : DataTree or estimator
    ci_prob : float
        Probability of the intervals.

    Returns
    -------
    DataFrame
        One row for each component and quantity (``weight``, then each column of the data); columns ``mean``, ``lower``,
        ``upper``, in data units. A column of the data that is called ``weight``, too, is ``column weight``.

    Raises
    ------
    DeclarationError
        When ``ci_prob`` is not between 0 and 1.
    FitFileError
        When ``fit`` is not a fit.

    Examples
    --------
    A point estimate has no intervals: both bounds are equal to the estimate.

    >>> import bayesgmm as bg
    >>> fit = bg.fit(bg.MixtureModel(1), [[0.0], [1.0], [5.0]], "em", progress=False)
    >>> component_table(fit)
                        mean  lower  upper
    component quantity
    0         weight     1.0    1.0    1.0
              x0         2.0    2.0    2.0
    """
    import pandas as pd

    from bayesgmm.whole_tables import WholeTable

    ci_prob = probability("ci_prob", ci_prob)
    posterior = aligned(fit)
    p, transforms = posterior.parameters, transforms_of(fit)
    values = np.concatenate([p.weight[:, :, None], transforms.inverse(p.mean)], axis=2)
    tail = (1 - ci_prob) / 2
    lower, upper = np.quantile(values, [tail, 1 - tail], axis=0)
    names = ["weight", *_quantities(transforms.names)]
    index = pd.MultiIndex.from_product(
        [fit["posterior"].coords["component"].values, names], names=["component", "quantity"]
    )
    return WholeTable(
        {"mean": values.mean(axis=0).ravel(), "lower": lower.ravel(), "upper": upper.ravel()}, index=index
    )


def _quantities(columns: Sequence[str]) -> list[str]:
    """Return the names of columns in a table of the components, different from those of its own rows.

    Examples
    --------
    >>> _quantities(["height", "weight"])
    ['height', 'column weight']
    """
    names: list[str] = []
    for name in columns:
        shown = name
        while shown in OWN_ROWS or (shown != name and shown in columns):
            shown = f"column {shown}"
        names.append(shown)
    return names


def convergence_numbers(fit: "xr.DataTree") -> dict[str, Any]:
    """Return the main convergence numbers of a fit.

    Returns
    -------
    dict
        ``chains``, ``draws`` (per chain); for draws of NUTS ``rhat`` and ``ess``, the worst over weights, means,
        standard deviations, hyperparameters and the log likelihood; for an approximation ``elbo``, ``elbo_se`` and
        ``pareto_khat``.
    """
    chains, draws = fit["posterior"].sizes["chain"], fit["posterior"].sizes["draw"]
    numbers = {"chains": chains, "draws": draws}
    if approximate(fit):
        notes = info(fit).notes
        return numbers | {name: getattr(notes, name) for name in ("elbo", "elbo_se", "pareto_khat")}
    if draws < 4:
        return numbers
    rhat, ess = convergence(fit)
    return numbers | {
        "rhat": float(np.nanmax(rhat.to_array().max())),
        "ess": float(np.nanmin(ess.to_array().min())),
    }


def convergence_line(fit: "xr.DataTree") -> str:
    """Describe the convergence of a fit in one line.

    For draws of NUTS, the worst R-hat and effective sample size over weights, means, standard deviations,
    hyperparameters and the log likelihood; for an approximation, its ELBO and Pareto k-hat.
    """
    numbers = convergence_numbers(fit)
    chains, draws = numbers["chains"], numbers["draws"]
    if "elbo" in numbers:
        elbo = f"ELBO {numbers['elbo']:.1f}" + (f" ± {numbers['elbo_se']:.1g}" if numbers["elbo_se"] else "")
        return f"{_origin(draws, info(fit).notes)}; {elbo}; Pareto k-hat {numbers['pareto_khat']:.2f}"
    if chains * draws == 1:
        return "a point estimate, without uncertainty"
    if "rhat" not in numbers:
        return f"{chains} chains of {draws} draws"
    return (
        f"{chains} chains of {draws} draws; largest R-hat {numbers['rhat']:.3f}; "
        f"smallest effective sample size {numbers['ess']:.0f}"
    )


def _origin(draws: int, notes: EngineNotes) -> str:
    """Describe the origin of an approximation's draws.

    Examples
    --------
    >>> from bayesgmm.posterior.notes import ResamplingInfo
    >>> _origin(1000, EngineNotes(resampled=ResamplingInfo(20000, 700, 681.2)))
    '1000 draws, resampled from 20000 of a Gaussian approximation, with an effective sample size of 681'
    >>> _origin(1000, EngineNotes(approximation="the variational posterior"))
    '1000 draws of the variational posterior'
    """
    resampled, source = notes.resampled, notes.approximation or "a Gaussian approximation"
    if resampled is None:
        return f"{draws} draws of {source}"
    return (
        f"{draws} draws, resampled from {resampled.proposals} of {source}, with an effective sample size of "
        f"{resampled.effective:.0f}"
    )


def component_sizes(fit: "xr.DataTree") -> Array:
    """(K,) expected number of fitted points in each component; rows count by their weights.

    A fit that does not hold its rows has them from the weights of the components.
    """
    if not holds_points(fit) and (source := info(fit).source) is not None:
        behind = background(fit)
        share = fit["posterior"].to_dataset()["weight"].mean(("chain", "draw")).values
        total = source.n_rows if source.total_weight is None else source.total_weight
        return np.asarray(total * share * (1 - (behind.share if behind else 0.0)))
    weights, share = observed(fit).weights, assignments(fit)["probability"].values
    return share.sum(axis=0) if weights is None else weights @ share


def component_words(fit: "xr.DataTree", ci_prob: float = 0.9) -> "tuple[str, pd.DataFrame]":
    """Return the title and the text of the component table: a column per component, means with intervals."""
    import pandas as pd

    numbers = component_table(fit, ci_prob)
    components = fit["posterior"].coords["component"].values
    known = holds_points(fit) or info(fit).source is not None
    rows = {"points": [f"{size:.1f}" for size in component_sizes(fit)]} if known else {}
    for quantity in numbers.index.unique("quantity"):
        rows[str(quantity)] = [
            with_interval(*numbers.loc[(k, quantity), ["mean", "lower", "upper"]]) for k in components
        ]
    point = fit["posterior"].sizes["chain"] * fit["posterior"].sizes["draw"] == 1
    title = "Point estimate" if point else f"Posterior mean, and {ci_prob:.0%} credible interval"
    title += "; medians in transformed columns" if transforms_of(fit).changed else ""
    return title, pd.DataFrame.from_dict(rows, orient="index", columns=[f"component {k}" for k in components])


def with_interval(mean: float, lower: float, upper: float) -> str:
    """Format a number and its interval, with as many digits as the width of the interval justifies.

    Examples
    --------
    >>> with_interval(6.54321, 6.4, 6.69)
    '6.54 [6.40, 6.69]'
    >>> with_interval(21398.2, 20900.0, 21800.0)
    '21398 [20900, 21800]'
    >>> with_interval(100000003.2, 100000001.0, 100000005.0)
    '100000003 [100000001, 100000005]'
    >>> with_interval(-0.02, -0.21, 0.13)
    '0.0 [-0.2, 0.1]'
    """
    width = upper - lower
    if not width > 0:
        return f"{mean:.4g}"
    digits = -int(np.floor(np.log10(width / 3)))
    size = 1 + int(np.floor(np.log10(max(abs(lower), abs(upper)))))  # digits before the point
    spec = f"z.{max(digits, 0)}f" if size < 7 and digits < 7 else f"z.{min(max(size + digits, 2), 15)}g"  # no -0.0
    return f"{mean:{spec}} [{lower:{spec}}, {upper:{spec}}]"
