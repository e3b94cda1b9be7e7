"""Does the model fit the data? Replicated data, leave-one-out checks, and what the prior had to do with it."""

from typing import TYPE_CHECKING, Any

import numpy as np

from bayesgmm.diagnosis.points import LOO_DRAWS
from bayesgmm.predictions.cross_validation import as_arviz, khat_limit
from bayesgmm.reports.blocks import Block, LeftOut
from bayesgmm.reports.mathematics import number
from bayesgmm.reports.pictures import arrange, picture
from bayesgmm.reports.predictions import prior_draws
from bayesgmm.reports.subject import DRAWN, Subject, listed, share
from bayesgmm.sweep.stats import Array
from bayesgmm.wording import plural

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

FDR = 0.05
NAMED = 8  # strange points that a sentence names
MISFIT = 0.01  # p-value below which a sentence says so
REPLICATED = 30  # data sets that a picture shows
ALPHA = 0.01  # p-value, shared among the columns, below which calibration is called off
SHOWN = 6  # numbers whose priors are drawn


def margins(subject: Subject) -> list[Block]:
    """Compare data from the model with the data, by column and by pair of columns."""
    from bayesgmm.plots import check, check_data

    if subject.points.weights is not None:
        raise LeftOut("The rows have weights: a row is then not one point, and can't be compared with points.")
    names = subject.telling
    data = check_data(subject.few, names)
    chance = data["p_value"].values
    at = np.unravel_index(int(np.nanargmin(chance)), chance.shape)
    where = f"in {names[at[0]]}" if at[0] == at[1] else f"in how {names[at[0]]} and {names[at[1]]} go together"
    least = float(chance[at])
    said = f"The smallest p-value is {number(least, 2)}, {where}"
    return [
        picture(
            lambda: check(subject.few, names),
            title="The data against the model",
            alt=f"Difference between the data's and the model's distribution in {listed(names)}, with a 95 % band. "
            f"{said}.",
            reading="By how much a larger share of the points lies below each of the model's quantiles than should. A "
            "right model's curve stays in the band; a valley and then a hill is a column that the model makes too "
            "wide, a curve that leaves the band at the ends has other tails. The p-values are corrected for their "
            f"number.{subject.thinned}",
            verdict=f"{said}: "
            + ("nothing speaks against the model." if least > MISFIT else "the model does not describe that."),
        )
    ]


def strange(subject: Subject) -> list[Block]:
    """Points that the model finds improbable."""
    from bayesgmm.plots import anomalies, anomaly_data

    found = anomaly_data(subject.few, columns=subject.telling[:2], fdr=FDR)
    called = np.flatnonzero(found["anomaly"].values)
    order = called[np.argsort(found["p_value"].values[called], kind="stable")]
    rows = [subject.labels[subject.rows(DRAWN)[i]] for i in order[:NAMED]]
    more = f" and {len(called) - NAMED} more" if len(called) > NAMED else ""
    least = float(found["p_value"].min())
    good = f"No point is called strange; the smallest p-value is {number(least, 2)}."
    return [
        picture(
            lambda: anomalies(subject.few, columns=subject.telling[:2], fdr=FDR),
            title="Strange points",
            alt=f"Points by their p-value, and the ordered p-values against uniform ones. "
            f"{plural(len(called), 'point')} called strange at a false discovery rate of {FDR:.0%}.",
            reading="The p-value of a point is the probability that the model makes one at least as improbable. Left, "
            "where the strange points are; right, all p-values in order: those of a good model follow the diagonal, "
            f"inside the band.{subject.thinned}",
            verdict=f"Strange at a false discovery rate of {FDR:.0%}: row {listed(rows)}{more}." if rows else good,
            vectors=False,
        )
    ]


def replicates(subject: Subject) -> list[Block]:
    """Data sets that the fitted model would make, beside the data, column by column."""
    tree, names = subject.predictive, subject.telling
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
    said = f"{least} to {most}, furthest off in {names[worst]}" if len(names) > 1 else f"{most} in {names[0]}"
    return [
        picture(
            draw,
            title="Replicated data",
            alt=f"Densities of {count} replicated data sets and of the data, for {listed(names)}.",
            reading="Each thin line is the density of a data set of the same size, made by one draw of the posterior; "
            "the dark line is the data. Where the data leave the bundle, the model does not describe them.",
            verdict=f"10 % of the points should lie outside the central 90 % of the replicated ones: it is {said}.",
            vectors=False,
        )
    ]


def _size(names: list[str]) -> dict[str, Any]:
    """Of a figure with two panels in a row."""
    return {"figsize": (9.0, 2.1 * -(-len(names) // 2) + 0.4)}


def _outside(subject: Subject) -> Array:
    """(D,) share of the data outside of the central 90 % of the replicates, by column that is drawn."""
    tree = subject.predictive
    found = []
    observed, replicated = (tree[group].to_dataset() for group in ("observed_data", "posterior_predictive"))
    for name, x in observed.data_vars.items():
        lower, upper = np.quantile(replicated[name].values, [0.05, 0.95])
        found.append(float(((x < lower) | (x > upper)).mean()))
    return np.array(found)


def leave_one_out(subject: Subject) -> list[Block]:
    """Show the influence of each point on the posterior (Pareto k-hat)."""
    found, rows = subject.loo
    import arviz as az

    khat, limit = found.khat, khat_limit(min(subject.posterior.n_draws, LOO_DRAWS))
    worst = int(np.argmax(khat))
    over = int((khat > limit).sum())

    def draw() -> "Figure":
        shown = as_arviz(found, good_khat=limit)
        return arrange(az.plot_khat(shown, figure_kwargs={"figsize": (9.0, 3.0)}).viz["figure"].item())

    good = f"All are below {limit:.2f}: no single point rules the posterior"
    bad = f"{plural(over, 'point')} above {limit:.2f}: outliers, or points that a component exists for"
    return [
        picture(
            draw,
            title="How much each point matters (Pareto k-hat)",
            alt=f"Pareto k-hat of {len(khat):,} points; the largest is {khat[worst]:.2f}, {over} above {limit:.2f}.",
            reading="k-hat tells how far the posterior would move if a point were left out. Above the line, leaving "
            f"that point out can't be computed from these draws, and the model is surprised by it."
            f"{subject.limited(len(rows))}",
            verdict=f"{good if not over else bad}; the largest, {khat[worst]:.2f}, is that of row "
            f"{subject.labels[rows[worst]]}. The expected log density of a new point is "
            f"{number(found.total / len(khat), 3)} nats (± {number(found.error / len(khat), 2)}).",
        )
    ]


def calibration(subject: Subject) -> list[Block]:
    """Show the leave-one-out probability integral transform of each point."""
    names = subject.telling
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

    said = f"The smallest of {plural(len(names), 'p-value')} is {number(p_values[worst], 2)} ({names[worst]})"
    return [
        picture(
            draw,
            title="Calibration (LOO-PIT)",
            alt=f"Deviation from uniform of the leave-one-out probability transform, for {listed(names)}. {said}.",
            reading="The place of each point in the distribution that the others predict for it should be uniform, so "
            "the line should stay near zero. p is the probability of a line as far off if the model is right, and "
            "black marks the points that speak most against it. A line that is first above and then below zero means "
            f"that the predictions are too narrow, the other way round too wide.{subject.thinned}",
            verdict=f"{said}: "
            + ("nothing against the model." if p_values[worst] > limit else "the model's predictions are off there."),
        )
    ]


def priors(subject: Subject) -> list[Block]:
    """Show priors beside posteriors."""
    names, prior, posterior = _learned(subject)
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
        raise LeftOut("The draws do not move, so there is no posterior to be compared with its prior.")
    return [
        picture(
            draw,
            title="Prior and posterior",
            alt=f"Prior and posterior densities of {listed(names)}.",
            reading="Where the posterior is much narrower than the prior, the data have spoken. Where both are alike, "
            "the answer is what was put in.",
            verdict=f"By the intervals that hold 90 %, the posteriors are {min(narrower):,.1f} to {max(narrower):,.1f} "
            "times narrower than the priors.",
        )
    ]


def _learned(subject: Subject) -> tuple[list[str], list[Array], list[Array]]:
    """Return prior and posterior draws, by name, of the first component and of the priors' own parameters."""
    if subject.model is None:
        raise LeftOut("The fit holds no declaration, so its prior is unknown.")
    if subject.is_point:
        raise LeftOut("A point estimate has no posterior to be compared with its prior.")
    drawn = prior_draws(subject.model, subject.points).isel(chain=0)
    names: list[str] = []
    prior: list[Array] = []
    posterior: list[Array] = []
    telling = [subject.names.index(name) for name in subject.telling][:2]
    asked = subject.quantities
    for i, key in enumerate(asked.keys):
        before = _of_prior(drawn, key, telling)
        if before is not None and len(names) < SHOWN:
            names.append(asked.names[i])
            prior.append(before)
            posterior.append(asked.draws[i].ravel())
    return names, prior, posterior


def _width(values: Array) -> float:
    """Of the interval that holds 90 %: a prior's standard deviation may be infinite."""
    lower, upper = np.quantile(values, [0.05, 0.95])
    return float(upper - lower)


def _middle(values: Array) -> Array:
    """Draws without the ends that would leave no room for the middle."""
    lower, upper = np.quantile(values, [0.005, 0.975])
    return values[(values >= lower) & (values <= upper)]


def _of_prior(drawn: "xr.Dataset", key: tuple[Any, ...], telling: list[int]) -> Array | None:
    """The prior's draws of a number; None for one that is not shown."""
    kind, *at = key
    if kind == "weight" and at[0] < 1:
        return drawn["weight"].values[:, at[0]]
    if kind == "mean" and at[0] < 1 and at[1] in telling:
        return drawn["mean"].values[:, at[0], at[1]]
    if kind == "sd" and at[0] < 1 and at[1] in telling:
        return np.sqrt(drawn["covariance"].values[:, at[0], at[1], at[1]])
    if kind in drawn and len(key) == 1 and drawn[kind].ndim == 1:
        return drawn[kind].values
    return None
