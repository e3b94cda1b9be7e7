"""Sections on the fit to the data: replicated data, leave-one-out checks, anomalies, and prior and posterior."""

from typing import TYPE_CHECKING

import numpy as np

from bayesgmm.diagnosis.points import LOO_DRAWS
from bayesgmm.predictions.cross_validation import as_arviz, khat_limit
from bayesgmm.reports.blocks import Block, Omitted
from bayesgmm.reports.mathematics import number
from bayesgmm.reports.pictures import arrange, picture
from bayesgmm.reports.predictions import prior_draws
from bayesgmm.reports.quantities import Key
from bayesgmm.reports.subject import DRAWN, Subject, listed
from bayesgmm.reports.subject import REPLICATED as POINTS
from bayesgmm.sweep.stats import Array
from bayesgmm.wording import plural, share

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

FDR = 0.05
NAMED = 8  # maximum number of anomalous points in a sentence
MISFIT = 0.01  # p-value below which a sentence reports a misfit
REPLICATED = 20  # maximum number of replicated data sets in a figure
ALPHA = 0.01  # p-value, divided by the number of columns, below which a sentence reports a misfit
SHOWN = 6  # maximum number of quantities with a prior in the figure


def margins(subject: Subject) -> list[Block]:
    """Compare data from the model with the data, by column and by pair of columns."""
    from bayesgmm.plots.checks import check_data, draw_check

    if subject.points.weights is not None:
        raise Omitted(
            "The rows have weights, so a row is not one point and can't be compared with points of the model."
        )
    names = subject.informative
    data = check_data(subject.few, names)
    chance = data["p_value"].values
    at = np.unravel_index(int(np.nanargmin(chance)), chance.shape)
    of_pair = f"for the dependence of {names[at[0]]} and {names[at[1]]}"
    where = f"for {names[at[0]]}" if at[0] == at[1] else of_pair
    least = float(chance[at])
    smallest = f"The smallest p-value is {number(least, 2)}, {where}"
    return [
        picture(
            lambda: draw_check(data),
            title="Data compared with the model",
            alt=f"Difference between the data's and the model's distribution in {listed(names)}, with a 95 % band. "
            f"{smallest}.",
            reading="For each column, the share of the points below each quantile of the model, minus the expected "
            "share. If the model is correct, the curve stays in the band. A curve that is first negative and then "
            "positive means that the column is too wide in the model; a curve that leaves the band at an end means "
            f"that the tails do not fit. The p-values are corrected for multiple tests.{subject.thinned}",
            verdict=f"{smallest}: " + ("no sign of misfit." if least > MISFIT else "the model does not fit there."),
        )
    ]


def _require_complete(subject: Subject) -> None:
    """Omit a part that compares the data with data of the model, whose values are never missing."""
    if subject.points.has_gaps:
        raise Omitted("Values are missing, so the rows can't be compared with complete points of the model.")
    if not subject.points.is_exact:
        raise Omitted("Values have errors of measurement, so the rows can't be compared with points of the model.")


def anomalous(subject: Subject) -> list[Block]:
    """Show anomalous points: those with a low density under the model."""
    from bayesgmm.plots.anomalies import anomaly_data, draw_anomalies

    scores = anomaly_data(subject.few, fdr=FDR)
    flagged = np.flatnonzero(scores["anomaly"].values)
    order = flagged[np.argsort(scores["p_value"].values[flagged], kind="stable")]
    rows = [subject.labels[subject.rows(DRAWN)[i]] for i in order[:NAMED]]
    more = f" and {len(flagged) - NAMED} more" if len(flagged) > NAMED else ""
    named = f"row{'' if len(rows) == 1 else 's'} {listed(rows)}{more}"
    least = float(scores["p_value"].min())
    good = f"No point is anomalous; the smallest p-value is {number(least, 2)}."
    return [
        picture(
            lambda: draw_anomalies(scores),
            title="Anomalous points",
            alt=f"Points by their p-value, and the ordered p-values against uniform ones. "
            f"{plural(len(flagged), 'anomalous point')} at a false discovery rate of {FDR:.0%}.",
            reading="The p-value of a point is the probability that the model generates a point with a density at most "
            "as high. Left: the points, anomalies in red. Right: all p-values in order; if the model is correct, they "
            f"follow the diagonal, inside the band.{subject.thinned}",
            verdict=f"Anomalous at a false discovery rate of {FDR:.0%}: {named}." if rows else good,
            vectors=False,
            live=subject.live("draw_anomalies", lambda: scores, subject.few),
        )
    ]


def replicates(subject: Subject) -> list[Block]:
    """Show data sets that are simulated from the posterior, with the data, for each column."""
    _require_complete(subject)
    tree, names = subject.predictive, subject.informative
    import arviz as az

    count = min(REPLICATED, tree["posterior_predictive"].sizes["chain"] * tree["posterior_predictive"].sizes["draw"])

    def draw() -> "Figure":
        visuals = {"predictive_dist": {"alpha": 0.3, "width": 0.7}, "observed_dist": {"width": 2.2}}
        collection = az.plot_ppc_dist(
            tree, kind="kde", num_samples=count, col_wrap=2, figure_kwargs=_size(names), visuals=visuals
        )
        return arrange(collection.viz["figure"].item(), names)

    outside = _outside(subject)
    worst = int(np.argmax(np.abs(outside - 0.1)))
    least, most = share(float(outside.min())), share(float(outside.max()))
    shares = f"{least} to {most}, farthest from 10 % in {names[worst]}" if len(names) > 1 else f"{most} in {names[0]}"
    return [
        picture(
            draw,
            title="Replicated data",
            alt=f"Densities of {count} replicated data sets and of the data, for {listed(names)}.",
            reading="Each thin line is the density of a data set of the same size, simulated from one draw of "
            "the posterior; the dark line is the density of the data. Where it is outside the thin lines, the model "
            f"does not describe the data.{subject.limited(POINTS)}",
            verdict="10 % of the points should be outside the central 90 % of the replicated points. The share is "
            f"{shares}.",
            vectors=False,
        )
    ]


def _size(names: list[str]) -> dict[str, tuple[float, float]]:
    """Return the size of a figure with two panels in a row."""
    return {"figsize": (9.0, 2.1 * -(-len(names) // 2) + 0.4)}


def _outside(subject: Subject) -> Array:
    """(D,) share of the data outside the central 90 % of the replicated data, for each column that is shown."""
    tree = subject.predictive
    shares = []
    observed, replicated = (tree[group].to_dataset() for group in ("observed_data", "posterior_predictive"))
    for name, x in observed.data_vars.items():
        lower, upper = np.quantile(replicated[name].values, [0.05, 0.95])
        shares.append(float(((x < lower) | (x > upper)).mean()))
    return np.array(shares)


def leave_one_out(subject: Subject) -> list[Block]:
    """Show the influence of each point on the posterior (Pareto k-hat)."""
    left_out, rows = subject.loo
    import arviz as az

    khat, limit = left_out.khat, khat_limit(min(subject.posterior.n_draws, LOO_DRAWS))
    worst = int(np.argmax(khat))
    over = int((khat > limit).sum())

    def draw() -> "Figure":
        shown = as_arviz(left_out, good_khat=limit)
        return arrange(az.plot_khat(shown, figure_kwargs={"figsize": (9.0, 3.0)}).viz["figure"].item())

    good = f"All values are below {limit:.2f}: no single point has a strong influence on the posterior"
    bad = (
        f"{plural(over, 'value is', 'values are')} above {limit:.2f}: outliers, or points on which a component depends"
    )
    return [
        picture(
            draw,
            title="Influence of each point (Pareto k-hat)",
            alt=f"Pareto k-hat of {len(khat):,} points; the largest is {khat[worst]:.2f}, {over} above {limit:.2f}.",
            reading="k-hat measures how much the posterior would change if a point were left out. For points above "
            f"the line, leave-one-out can't be computed reliably from these draws.{subject.limited(len(rows))}",
            verdict=f"{good if not over else bad}. The largest is {khat[worst]:.2f}, for row "
            f"{subject.labels[rows[worst]]}. The expected log density of a new point is "
            f"{number(left_out.total / len(khat), 3)} nats (± {number(left_out.error / len(khat), 2)}).",
        )
    ]


def calibration(subject: Subject) -> list[Block]:
    """Show the leave-one-out probability integral transform of each point."""
    _require_complete(subject)
    names = subject.informative
    import arviz as az
    import arviz_stats  # noqa: F401  it registers the accessor
    import xarray as xr

    pit = subject.pit
    tested, _, _ = pit.azstats.uniformity_test(dim=["point"])
    p_values = np.array([float(tested[name]) for name in pit.data_vars])
    worst, limit = int(np.argmin(p_values)), ALPHA / len(names)

    def draw() -> "Figure":
        tree = xr.DataTree.from_dict({"loo_pit": pit})
        collection = az.plot_ecdf_pit(
            tree,
            group="loo_pit",
            sample_dims=["point"],
            col_wrap=2,
            figure_kwargs=_size(names),
            visuals={"xlabel": False},
        )
        return arrange(collection.viz["figure"].item(), names)

    smallest = f"The smallest of {plural(len(names), 'p-value')} is {number(p_values[worst], 2)} ({names[worst]})"
    return [
        picture(
            draw,
            title="Calibration (LOO-PIT)",
            alt=f"Deviation from uniform of the leave-one-out probability integral transform, for {listed(names)}. "
            f"{smallest}.",
            reading="The quantile of each point in the distribution that the other points predict for it should be "
            "uniform, so the line should stay near zero. p is the probability of a line at least as far from zero if "
            "the model is correct; black marks the points that contribute most to a small p. A line that is first "
            "above and then below zero means that the predictions are too narrow; first below and then above, too "
            f"wide.{subject.limited(POINTS)}",
            verdict=f"{smallest}: "
            + ("no sign of misfit." if p_values[worst] > limit else "the predictions do not fit there."),
        )
    ]


def priors(subject: Subject) -> list[Block]:
    """Show priors beside posteriors."""
    names, prior, posterior = _with_prior(subject)
    import arviz as az
    import xarray as xr

    def group(values: list[Array]) -> "xr.Dataset":
        return xr.Dataset({f"q{i}": (("chain", "draw"), value[None]) for i, value in enumerate(values)})

    def draw() -> "Figure":
        tree = xr.DataTree.from_dict(
            {"prior": group([_middle(value) for value in prior]), "posterior": group(posterior)}
        )
        size = {"figsize": (9.0, 1.7 * -(-len(names) // 3) + 0.6)}
        return arrange(az.plot_prior_posterior(tree, col_wrap=3, figure_kwargs=size).viz["figure"].item(), names)

    narrower = [_width(a) / _width(b) for a, b in zip(prior, posterior, strict=True) if _width(b) > 0]
    if not narrower:
        raise Omitted("All quantities are constant over the draws, so there is no posterior to compare with the prior.")
    return [
        picture(
            draw,
            title="Prior and posterior",
            alt=f"Prior and posterior densities of {listed(names)}.",
            reading="Where the posterior is much narrower than the prior, the data determine the result. Where both "
            "are similar, the prior does.",
            verdict=f"The 90 % intervals of the posteriors are {min(narrower):,.1f} to {max(narrower):,.1f} times "
            "narrower than those of the priors.",
        )
    ]


def _with_prior(subject: Subject) -> tuple[list[str], list[Array], list[Array]]:
    """Return names, prior draws and posterior draws of the first component and of the hyperparameters."""
    if subject.model is None:
        raise Omitted("The fit stores no model declaration, so its priors are unknown.")
    if subject.is_point:
        raise Omitted("A point estimate has no posterior to compare with the prior.")
    if subject.model.weights.draws_n_components:
        raise Omitted("The number of components is unknown, so single components have no prior to compare with.")
    drawn = prior_draws(subject.model, subject.points).isel(chain=0)
    names: list[str] = []
    prior: list[Array] = []
    posterior: list[Array] = []
    informative = [subject.names.index(name) for name in subject.informative][:2]
    asked = subject.quantities
    for i, key in enumerate(asked.keys):
        before = _of_prior(drawn, key, informative)
        if before is not None and len(names) < SHOWN:
            names.append(asked.names[i])
            prior.append(before)
            posterior.append(asked.draws[i].ravel())
    return names, prior, posterior


def _width(values: Array) -> float:
    """Return the width of the central 90 % interval; a standard deviation could be infinite under a prior."""
    lower, upper = np.quantile(values, [0.05, 0.95])
    return float(upper - lower)


def _middle(values: Array) -> Array:
    """Remove the most extreme draws, which would make the rest of a figure too narrow."""
    lower, upper = np.quantile(values, [0.005, 0.975])
    return values[(values >= lower) & (values <= upper)]


def _of_prior(drawn: "xr.Dataset", key: Key, informative: list[int]) -> Array | None:
    """Return the prior draws of a quantity; None if it is not shown."""
    match key:
        case ("weight", 0):
            return drawn["weight"].values[:, 0]
        case ("mean", 0, j) if j in informative:
            return drawn["mean"].values[:, 0, j]
        case ("sd", 0, j) if j in informative:
            return np.sqrt(drawn["covariance"].values[:, 0, j, j])
        case (name,) if name in drawn and drawn[name].ndim == 1:
            return drawn[name].values
    return None
