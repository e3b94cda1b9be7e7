"""Sections on convergence: ArviZ's diagnostics of the quantities that mix worst, and of the sampler."""

from typing import TYPE_CHECKING

import numpy as np

from bayesgmm.diagnosis.engines import approximation
from bayesgmm.diagnosis.mixing import HIGH_RHAT, LOW_BFMI, LOW_ESS, extreme, monitored, rhat_and_ess
from bayesgmm.plots.optimisation import elbo as draw_elbo
from bayesgmm.posterior.chain_statistics import MIN_DRAWS as MIN_DRAWS_SPLIT
from bayesgmm.posterior.chain_statistics import bfmi
from bayesgmm.posterior.info import info
from bayesgmm.reports.arviz_library import arviz
from bayesgmm.reports.blocks import Block, Fold, Grid, Omitted, Paragraph
from bayesgmm.reports.mathematics import number
from bayesgmm.reports.pictures import arrange, picture
from bayesgmm.reports.quantities import FEW, Quantities
from bayesgmm.reports.subject import Subject, listed
from bayesgmm.sweep.stats import Array
from bayesgmm.wording import plural, share

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

RANKED = 1000  # maximum number of draws in a rank plot
ROWS = 200  # maximum number of rows of the summary; the worst are kept
MIN_DRAWS = 20  # minimum number of draws per chain for figures
UNEVEN = 0.01  # p-value, divided by the number of quantities, below which ranks are not uniform


def _chains(subject: Subject) -> Quantities:
    """Return the quantities of a fit with chains.

    Raises
    ------
    Omitted
        When there are no chains, or they are too short.
    """
    if subject.is_point:
        raise Omitted("A point estimate has no chains.")
    if subject.is_approximation:
        raise Omitted("The draws come from an approximation and are independent, so there are no chains to compare.")
    if subject.n_draws < MIN_DRAWS:
        raise Omitted(
            f"{plural(subject.n_draws, 'draw')} per chain are too few to compare chains: {MIN_DRAWS} are needed."
        )
    return subject.quantities


def convergence(subject: Subject) -> list[Block]:
    """Describe the worst R-hat and ESS in sentences."""
    asked = _chains(subject)
    r_hat, ess = asked.diagnostics["r_hat"], asked.diagnostics["ess_bulk"]
    if not np.isfinite(ess).any():
        raise Omitted("All quantities are constant over the draws, so none has an effective sample size.")
    low, wanted = int(np.nanargmin(ess)), LOW_ESS * subject.n_chains
    sentences = [
        f"The smallest bulk effective sample size is {ess[low]:,.0f} ({asked.names[low]}); at least {wanted:,} are "
        f"recommended, {LOW_ESS} per chain.{' This is too small.' if ess[low] < wanted else ''}"
    ]
    if subject.n_chains == 1:
        sentences.insert(0, "There is only one chain, so convergence can't be checked by comparing chains.")
    elif np.isfinite(r_hat).any():
        high = int(np.nanargmax(r_hat))
        over = int((r_hat > HIGH_RHAT).sum())
        good = f"All {len(r_hat)} values of R-hat are below {HIGH_RHAT}: the chains agree. The largest is"
        bad = f"{over} of {len(r_hat)} values of R-hat are above {HIGH_RHAT}: the chains do not agree. The largest is"
        sentences.insert(0, f"{bad if over else good} {r_hat[high]:.3f} ({asked.names[high]}).")
    sentences += label_free(subject)
    why = (
        "R-hat compares the variance between chains with the variance within chains, and is 1 when they agree. The "
        "effective sample size is the number of independent draws that would give the same precision."
    )
    return [Paragraph(" ".join(sentences)), Paragraph(why), *tempering(subject)]


def label_free(subject: Subject) -> list[str]:
    """Return the worst numbers of what does not depend on labels, which the checks look at first."""
    free = monitored(subject.fit)
    if not free.data_vars:
        return []
    rhat, ess = rhat_and_ess(free)
    (name, high), (scarce, low) = extreme(rhat, max), extreme(ess, min)
    largest = f"the largest R-hat is {high:.3f} ({name}), and " if subject.n_chains > 1 and np.isfinite(high) else ""
    return [
        f"Of what does not depend on labels (the log likelihood, and log densities at some points), {largest}the "
        f"smallest bulk effective sample size {low:,.0f} ({scarce})."
    ]


def tempering(subject: Subject) -> list[Block]:
    """Describe the ladder of parallel tempering, if there is one."""
    ladder = info(subject.fit).notes.tempering
    if ladder is None:
        return []
    rates = ladder.swap_rates
    text = (
        f"Parallel tempering: {len(ladder.inverse_temperatures)} temperatures from the prior to the posterior; "
        f"neighbours exchanged their states at rates from {min(rates):.2f} to {max(rates):.2f}. Over all chains, "
        f"states made {plural(ladder.round_trips, 'round trip')} ({ladder.expected_round_trips:,.0f} are expected if "
        f"every temperature mixes at once). The log evidence is {ladder.log_evidence:,.2f}, with a standard error of "
        f"{ladder.log_evidence_se:.2f}."
    )
    return [Paragraph(text)]


def ranks(subject: Subject) -> list[Block]:
    """Show rank plots of the quantities that mix worst."""
    asked = _chains(subject)
    if subject.n_chains < 2:
        raise Omitted("Rank plots compare chains, and there is only one.")
    az = arviz()

    chosen = asked.worst()
    names = [asked.names[i] for i in chosen]
    tree = _tree(subject, asked, chosen, RANKED // subject.n_chains)
    p_values = _evenness(tree["posterior"].to_dataset())
    least = int(np.argmin(p_values))
    limit = UNEVEN / len(asked.names)  # the shown quantities are the worst of all

    def draw() -> "Figure":
        collection = az.plot_rank(tree, col_wrap=2, figure_kwargs={"figsize": (9.0, 1.7 * _rows(chosen) + 0.4)})
        return arrange(collection.viz["figure"].item(), names)

    return [
        picture(
            draw,
            title="Rank plots of the quantities that mix worst",
            alt=f"Rank curves of {subject.n_chains} chains, for {listed(names)}. The smallest p-value is "
            f"{number(p_values[least], 2)}.",
            reading="Each line is a chain: the distribution of the ranks of its draws among all draws, minus the "
            "uniform distribution. It should stay near zero; a chain that is above or below has explored another part "
            "of the posterior. p is the probability of lines at least as far from zero if the chains agree; black "
            f"marks the ranks that contribute most to a small p. Because the {len(chosen)} that mix worst of "
            f"{len(asked.names)} quantities are shown, chains disagree only where p is below {number(limit, 2)}.",
            verdict=f"The smallest of {len(chosen)} p-values is {number(p_values[least], 2)} ({names[least]}): "
            + ("no sign that the chains disagree." if p_values[least] > limit else "the chains disagree."),
            vectors=False,
        )
    ]


def _evenness(draws: "xr.Dataset") -> Array:
    """(Q,) p-values by ArviZ of the test that the ranks of each quantity are uniform in all chains."""
    import arviz_stats  # noqa: F401  it registers the accessor

    dims = ["chain", "draw"]
    ranked = draws.azstats.compute_ranks(dim=dims, relative=True)
    p_values, _, _ = ranked.azstats.mchain_uniformity_test(dim=dims)
    return np.array([float(p_values[name]) for name in draws.data_vars])


def _rows(chosen: list[int], across: int = 2) -> int:
    return -(-len(chosen) // across)


def traces(subject: Subject) -> list[Block]:
    """Show traces: the draws in their order."""
    asked = _chains(subject)
    chosen = asked.worst(FEW)
    names = [asked.names[i] for i in chosen]
    az = arviz()

    def draw() -> "Figure":
        size = {"figsize": (9.0, 1.7 * _rows(chosen) + 0.4)}
        thin = {"trace": {"alpha": 0.6, "width": 0.6}, "xlabel": False}
        tree = _tree(subject, asked, chosen)
        return arrange(az.plot_trace(tree, col_wrap=2, figure_kwargs=size, visuals=thin).viz["figure"].item(), names)

    return [
        picture(
            draw,
            title="Traces",
            alt=f"Traces of {plural(subject.n_chains, 'chain')} over {subject.n_draws:,} draws, for {listed(names)}. "
            f"{_divergences(subject)}",
            reading="All draws in their order, a colour for each chain. Good chains vary quickly around the same "
            "values. Steps, trends, and chains around different values are signs that the posterior was not fully "
            "explored.",
            verdict=_divergences(subject),
            vectors=False,
        )
    ]


def _divergences(subject: Subject) -> str:
    stats = subject.fit["sample_stats"].to_dataset() if "sample_stats" in subject.fit.children else {}
    if "diverging" not in stats:
        return "The fit does not store divergent transitions."
    count, total = int(stats["diverging"].sum()), stats["diverging"].size
    if not count:
        return f"None of {total:,} transitions diverged."
    return (
        f"{count:,} of {total:,} transitions ({share(count / total)}) diverged: parts of the posterior may be missing."
    )


def _tree(subject: Subject, asked: Quantities, chosen: list[int], most: int | None = None) -> "xr.DataTree":
    """Return the chosen quantities for ArviZ, as ``q0``, ``q1``, ..., with a maximum number of draws per chain."""
    import xarray as xr

    kept = np.linspace(0, subject.n_draws - 1, min(subject.n_draws, most or subject.n_draws)).round().astype(int)
    variables = {f"q{i}": (("chain", "draw"), asked.draws[i][:, kept]) for i in chosen}
    coords = {"chain": np.arange(subject.n_chains), "draw": np.arange(len(kept))}
    return xr.DataTree.from_dict({"posterior": xr.Dataset(variables, coords=coords)})


def energy(subject: Subject) -> list[Block]:
    """Show the energy transitions of the sampler."""
    _chains(subject)
    if "sample_stats" not in subject.fit.children or "energy" not in subject.fit["sample_stats"]:
        raise Omitted("The fit does not store energies.")
    az = arviz()
    import xarray as xr

    stats = subject.fit["sample_stats"].to_dataset()[["energy"]]
    tree = xr.DataTree.from_dict({"sample_stats": stats})
    ratios = bfmi(stats["energy"].transpose("chain", "draw").values)

    def draw() -> "Figure":
        from matplotlib.ticker import MaxNLocator

        figure = arrange(az.plot_energy(tree, figure_kwargs={"figsize": (9.0, 2.6)}).viz["figure"].item())
        figure.axes[0].yaxis.set_major_locator(MaxNLocator(integer=True))
        return figure

    least = float(np.min(ratios))
    good = f"The smallest BFMI is {least:.2f}, above {LOW_BFMI}: the sampler reaches the tails."
    bad = f"The smallest BFMI is {least:.2f}, below {LOW_BFMI}: the sampler hardly reaches the tails. Use more draws."
    return [
        picture(
            draw,
            title="Energy",
            alt=f"Distributions of the energy and of its transitions, and BFMI (Bayesian fraction of missing "
            f"information) of {plural(subject.n_chains, 'chain')}, from {least:.2f} to {float(np.max(ratios)):.2f}.",
            reading="The two distributions should be about equally wide: the sampler then moves easily between the "
            "centre and the tails of the posterior. BFMI is the ratio of their variances in each chain.",
            verdict=good if least >= LOW_BFMI else bad,
        )
    ]


def effective(subject: Subject) -> list[Block]:
    """Show the effective sample size as a function of the number of draws."""
    asked = _chains(subject)
    chosen = asked.worst(FEW)
    az = arviz()

    names = [asked.names[i] for i in chosen]

    def draw() -> "Figure":
        size = {"figsize": (9.0, 1.9 * _rows(chosen) + 0.4)}
        wanted = LOW_ESS * subject.n_chains
        tree = _tree(subject, asked, chosen)
        collection = az.plot_ess_evolution(
            tree, col_wrap=2, figure_kwargs=size, min_ess=wanted, visuals={"xlabel": False}
        )
        return arrange(collection.viz["figure"].item(), names)

    bulk, tail = (asked.diagnostics[name][chosen] for name in ("ess_bulk", "ess_tail"))
    return [
        picture(
            draw,
            title="Effective sample size by number of draws",
            alt=f"Bulk and tail effective sample size against the number of draws, for {listed(names)}.",
            reading="Effective sample size for the centre of a distribution (bulk, blue) and for its tails (tail, "
            "green), against the number of draws. Both lines should increase steadily and end above the dashed line. "
            "If a line levels off, the chains have not explored this quantity, and more draws alone will not help.",
            verdict=f"With all {subject.posterior.n_draws:,} draws, the bulk effective sample size is "
            f"{np.nanmin(bulk):,.0f} to {np.nanmax(bulk):,.0f}, and the tail effective sample size "
            f"{np.nanmin(tail):,.0f} to {np.nanmax(tail):,.0f}.",
        )
    ]


def summary(subject: Subject) -> list[Block]:
    """Show a summary of every quantity, the worst first; its columns are those of ArviZ."""
    if subject.is_point:
        raise Omitted("A point estimate has no diagnostics; the table of components contains all estimates.")
    asked = subject.quantities
    order = [*dict.fromkeys([*asked.worst(len(asked.names)), *range(len(asked.names))])][:ROWS]
    with np.errstate(all="ignore"):
        of_chains = subject.is_chains and subject.n_draws >= MIN_DRAWS_SPLIT
        summary = asked.summary(order, of_chains=of_chains)
    columns = ("", *(name.replace("_", " ") for name in summary))
    rows = [
        (asked.names[i], *(number(float(value), 3) for value in values))
        for i, values in zip(order, zip(*summary.values(), strict=True), strict=True)
    ]
    rest = len(asked.names) - len(order)
    note = f"{rest:,} more quantities are not shown." if rest else ""
    grid = Grid("Summary, the quantities that mix worst first", columns, tuple(rows), note)
    return [Fold(f"Summary of {plural(len(rows), 'quantity', 'quantities')}", (grid,))]


def elbo(subject: Subject) -> list[Block]:
    """Show the ELBO during the optimisation."""
    if "optimisation" not in subject.fit.children or "elbo" not in subject.fit["optimisation"]:
        raise Omitted("")
    history = subject.fit["optimisation"].to_dataset()["elbo"].values
    notes = subject.info.notes
    bound = float(history[-1]) if notes.elbo is None else notes.elbo
    khat, of_khat = notes.pareto_khat, ""
    if khat is not None:
        quality = "no sign that it misses part of the posterior"
        if approximation(subject.fit):
            quality = "its intervals are inexact; use NUTS for intervals"
        elif notes.compared:
            quality = "a short Gibbs run agrees with it"
        of_khat = f" Pareto k-hat of the approximation is {khat:.2f}: {quality}."
    return [
        picture(
            lambda: draw_elbo(subject.fit),
            title="Evidence lower bound (ELBO)",
            alt=f"The evidence lower bound over {len(history):,} iterations, from {number(float(history[0]))} to "
            f"{number(float(history[-1]))}.",
            reading="The higher the bound, the better the approximation. The curve should have levelled off.",
            verdict=f"The final ELBO is {number(bound)} nats, after {plural(len(history), 'iteration')}.{of_khat}",
        )
    ]
