"""Sections on the fit to the data: replicated data, leave-one-out checks, anomalies, and prior and posterior."""

from typing import TYPE_CHECKING

import numpy as np

from bayesgmm.diagnosis.points import LOO_DRAWS
from bayesgmm.plots.panels import despine, new_panel, panel_grid, root_of
from bayesgmm.plots.style import COLOURS
from bayesgmm.predictions.cross_validation import IntArray, khat_limit
from bayesgmm.reports.arviz_library import arviz
from bayesgmm.reports.blocks import Block, Omitted
from bayesgmm.reports.mathematics import number
from bayesgmm.reports.pictures import CHAINS, arrange, picture
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
SHOWN = 6  # maximum number of quantities that are compared with their prior
INFLUENCED = 3  # maximum number of these in the figure: those that the prior influences most
WORST = 2  # maximum number of columns with a panel: those that fit worst


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
    of_column = np.fmin(np.nanmin(chance, axis=1), data["tail_p_value"].values)
    curves = _worst(of_column)
    all_columns = "On the right are the p-values of all columns and pairs. " if len(names) > 1 else ""
    smallest = f"The smallest p-value is {number(least, 2)}, {where}"
    return [
        picture(
            lambda: draw_check(data, curves=curves),
            title="Data compared with the model",
            alt=f"Difference between the data's and the model's distribution in {listed(names)}, with a 95 % band. "
            f"{smallest}.",
            reading="The share of the points below each quantile of the model, minus the expected share"
            f"{_of_worst(curves, names)}. If the model is correct, the curve stays in the band. A curve that is first "
            "negative and then positive means that the column is too wide in the model; a curve that leaves the band "
            f"at an end means that the tails do not fit. {all_columns}The p-values are corrected for multiple tests."
            f"{subject.thinned}",
            verdict=f"{smallest}: " + ("no sign of misfit." if least > MISFIT else "the model does not fit there."),
        )
    ]


def _worst(badness: Array) -> list[int]:
    """Return the positions of the columns with the lowest values, in the order of the data."""
    return sorted(np.argsort(badness, kind="stable")[:WORST].tolist())


def _of_worst(chosen: list[int], names: list[str]) -> str:
    """Return for which columns a figure is, if not for all."""
    return f", for the {plural(len(chosen), 'column')} that fit worst" if len(chosen) < len(names) else ""


def _rest(chosen: list[int], names: list[str], values: list[str], why: str = "they fit better") -> str:
    """Return a sentence with the values of what is not drawn, or an empty text."""
    rest = [f"{name} {value}" for j, (name, value) in enumerate(zip(names, values, strict=True)) if j not in chosen]
    return f" Not drawn, because {why}: {listed(rest)}." if rest else ""


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
    """Show data sets that are simulated from the posterior, with the data, for the columns that fit worst."""
    _require_complete(subject)
    names = subject.informative
    outside = _outside(subject)
    chosen = _worst(-np.abs(outside - 0.1))
    shown = [names[j] for j in chosen]
    observed, replicated = (
        subject.predictive[group].to_dataset() for group in ("observed_data", "posterior_predictive")
    )
    kept = np.linspace(0, replicated["q0"].isel(point=0).size - 1, REPLICATED).round().astype(int)
    drawn = [
        (observed[name].values, replicated[name].values.reshape(-1, len(observed[name]))[np.unique(kept)])
        for name in (f"q{j}" for j in chosen)
    ]
    count = len(drawn[0][1])
    worst = int(np.argmax(np.abs(outside - 0.1)))
    least, most = share(float(outside.min())), share(float(outside.max()))
    shares = f"{least} to {most}, farthest from 10 % in {names[worst]}" if len(names) > 1 else f"{most} in {names[0]}"
    rest = _rest(chosen, names, [f"({share(float(value))} outside)" for value in outside])
    return [
        picture(
            lambda: _draw_replicates(drawn, shown),
            title="Replicated data",
            alt=f"Densities of {count} replicated data sets and of the data, for {listed(shown)}.",
            reading="Each thin line is the density of a data set of the same size, simulated from one draw of "
            "the posterior; the dark line is the density of the data. Where it is outside the thin lines, the model "
            f"does not describe the data.{rest}{subject.limited(POINTS)}",
            verdict="10 % of the points should be outside the central 90 % of the replicated points. The share is "
            f"{shares}.",
            vectors=False,
        )
    ]


def _draw_replicates(drawn: list[tuple[Array, Array]], names: list[str]) -> "Figure":
    """Draw the density of data and of replicated data, by ArviZ's estimate, in a panel for each column."""
    from arviz_stats.base.array import array_stats
    from matplotlib.collections import LineCollection

    figure, axes = panel_grid(len(names), 4.5, 2.3)
    for axis, name, (x, replicated) in zip(axes, names, drawn, strict=True):
        curves = [np.stack(array_stats.kde(of)[:2], axis=-1) for of in replicated]
        axis.add_collection(LineCollection(curves, colors=CHAINS[0], lw=0.7, alpha=0.3))
        axis.plot(*array_stats.kde(x)[:2], color="black", lw=2.2)
        axis.set(title=name, ylim=(0, None), yticks=[])
        axis.spines["left"].set_visible(False)
        despine(axis)
    return root_of(figure)


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
    khat, limit = left_out.khat, khat_limit(min(subject.posterior.n_draws, LOO_DRAWS))
    worst = int(np.argmax(khat))
    over = int((khat > limit).sum())

    good = f"All values are below {limit:.2f}: no single point has a strong influence on the posterior"
    bad = (
        f"{plural(over, 'value is', 'values are')} above {limit:.2f}: outliers, or points on which a component depends"
    )
    return [
        picture(
            lambda: _draw_influence(rows, khat, limit),
            title="Influence of each point (Pareto k-hat)",
            alt=f"Pareto k-hat of {len(khat):,} points; the largest is {khat[worst]:.2f}, {over} above {limit:.2f}.",
            reading="k-hat measures how much the posterior would change if a point were left out. For points above "
            f"the line, in red, leave-one-out can't be computed reliably from these draws.{subject.limited(len(rows))}",
            verdict=f"{good if not over else bad}. The largest is {khat[worst]:.2f}, for row "
            f"{subject.labels[rows[worst]]}. The expected log density of a new point is "
            f"{number(left_out.total / len(khat), 3)} nats (± {number(left_out.error / len(khat), 2)}).",
        )
    ]


def _draw_influence(rows: IntArray, khat: Array, limit: float) -> "Figure":
    """Draw k-hat of points by their place in the data, those above the limit in red; infinite values have no place."""
    axis = new_panel((9.0, 2.8))
    for chosen, colour in ((khat <= limit, COLOURS[0]), (khat > limit, COLOURS[5])):
        axis.scatter(rows[chosen], khat[chosen], s=10, color=colour, lw=0)
    axis.axhline(limit, color="0.4", lw=1, ls="--")
    axis.set(xlabel="place of the row in the data, from 0", ylabel="k-hat")
    despine(axis)
    return root_of(axis)


def calibration(subject: Subject) -> list[Block]:
    """Show the leave-one-out probability integral transform of each point."""
    _require_complete(subject)
    names = subject.informative
    az = arviz()
    import arviz_stats  # noqa: F401  it registers the accessor
    import xarray as xr

    pit = subject.pit
    tested, _, _ = pit.azstats.uniformity_test(dim=["point"])
    p_values = np.array([float(tested[name]) for name in pit.data_vars])
    worst, limit = int(np.argmin(p_values)), ALPHA / len(names)
    chosen = _worst(p_values)
    shown = [names[j] for j in chosen]

    def draw() -> "Figure":
        tree = xr.DataTree.from_dict({"loo_pit": pit[[[*pit][j] for j in chosen]]})
        collection = az.plot_ecdf_pit(
            tree,
            group="loo_pit",
            sample_dims=["point"],
            col_wrap=2,
            figure_kwargs=_size(shown),
            visuals={"xlabel": False},
        )
        return arrange(collection.viz["figure"].item(), shown)

    rest = _rest(chosen, names, [f"(p = {number(value, 2)})" for value in p_values])
    smallest = f"The smallest of {plural(len(names), 'p-value')} is {number(p_values[worst], 2)} ({names[worst]})"
    return [
        picture(
            draw,
            title="Calibration (LOO-PIT)",
            alt=f"Deviation from uniform of the leave-one-out probability integral transform, for {listed(shown)}. "
            f"{smallest}.",
            reading="The quantile of each point in the distribution that the other points predict for it should be "
            "uniform, so the line should stay near zero. p is the probability of a line at least as far from zero if "
            "the model is correct; black marks the points that contribute most to a small p. A line that is first "
            "above and then below zero means that the predictions are too narrow; first below and then above, too "
            f"wide.{rest}{subject.limited(POINTS)}",
            verdict=f"{smallest}: "
            + ("no sign of misfit." if p_values[worst] > limit else "the predictions do not fit there."),
        )
    ]


def priors(subject: Subject) -> list[Block]:
    """Show priors beside posteriors."""
    names, prior, posterior = _with_prior(subject)
    az = arviz()
    import xarray as xr

    pairs = zip(prior, posterior, strict=True)
    narrower = np.array([_width(a) / _width(b) if _width(b) > 0 else np.inf for a, b in pairs])
    if not np.isfinite(narrower).any():
        raise Omitted("All quantities are constant over the draws, so there is no posterior to compare with the prior.")
    chosen = sorted(np.argsort(narrower, kind="stable")[:INFLUENCED].tolist())
    shown = [names[i] for i in chosen]

    def group(values: list[Array]) -> "xr.Dataset":
        return xr.Dataset({f"q{i}": (("chain", "draw"), values[i][None]) for i in chosen})

    def draw() -> "Figure":
        tree = xr.DataTree.from_dict(
            {"prior": group([_middle(value) for value in prior]), "posterior": group(posterior)}
        )
        size = {"figsize": (9.0, 1.7 * -(-len(shown) // 3) + 0.6)}
        return arrange(az.plot_prior_posterior(tree, col_wrap=3, figure_kwargs=size).viz["figure"].item(), shown)

    finite = narrower[np.isfinite(narrower)]
    rest = _rest(chosen, names, [f"({value:,.1f} times narrower)" for value in narrower], "the prior matters less")
    return [
        picture(
            draw,
            title="Prior and posterior",
            alt=f"Prior and posterior densities of {listed(shown)}.",
            reading="Where the posterior is much narrower than the prior, the data determine the result. Where both "
            f"are similar, the prior does.{rest}",
            verdict=f"The 90 % intervals of the posteriors are {finite.min():,.1f} to {finite.max():,.1f} times "
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
