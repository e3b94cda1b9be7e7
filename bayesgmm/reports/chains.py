"""May the draws be trusted? ArviZ's diagnostics of the numbers that mix worst, and of the sampler."""

from typing import TYPE_CHECKING

import numpy as np

from bayesgmm.diagnosis.engines import approximation
from bayesgmm.diagnosis.mixing import HIGH_RHAT, LOW_BFMI, LOW_ESS
from bayesgmm.plots.optimisation import elbo as draw_elbo
from bayesgmm.reports.blocks import Block, Fold, Grid, LeftOut, Paragraph
from bayesgmm.reports.mathematics import number
from bayesgmm.reports.pictures import arrange, picture
from bayesgmm.reports.quantities import Quantities
from bayesgmm.reports.subject import Subject, listed, share
from bayesgmm.sweep.stats import Array
from bayesgmm.wording import plural

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

RANKED = 1000  # draws whose ranks are compared
ROWS = 200  # of the summary; the worst are kept
LEAST_DRAWS = 20  # of a chain, for its pictures
UNEVEN = 0.01  # p-value, shared among all numbers, below which ranks are called uneven


def _chains(subject: Subject) -> Quantities:
    """The numbers, where there are chains."""
    if subject.is_point:
        raise LeftOut("This is a point estimate: there are no draws to look at.")
    if subject.is_approximation:
        raise LeftOut("The draws are independent, of an approximation: there are no chains that could disagree.")
    if subject.n_draws < LEAST_DRAWS:
        raise LeftOut(
            f"{plural(subject.n_draws, 'draw')} a chain are too few to look at chains; {LEAST_DRAWS} are needed."
        )
    return subject.quantities


def convergence(subject: Subject) -> list[Block]:
    """The worst R-hat and ESS, in a sentence."""
    asked = _chains(subject)
    r_hat, ess = asked.diagnostics["r_hat"], asked.diagnostics["ess_bulk"]
    if not np.isfinite(ess).any():
        raise LeftOut("No number has a finite effective sample size: the draws do not move.")
    low, wanted = int(np.nanargmin(ess)), LOW_ESS * subject.n_chains
    told = [
        f"The smallest bulk effective sample size is {ess[low]:,.0f} ({asked.names[low]}); {wanted:,} are wanted, "
        f"100 for each chain.{' That is too few.' if ess[low] < wanted else ''}"
    ]
    if subject.n_chains == 1:
        told.insert(0, "There is a single chain: nothing tells whether another would have gone elsewhere.")
    elif np.isfinite(r_hat).any():
        high = int(np.nanargmax(r_hat))
        over = int((r_hat > HIGH_RHAT).sum())
        good = f"All {len(r_hat)} R-hat are below {HIGH_RHAT}: the chains agree. The largest is"
        bad = f"{over} of {len(r_hat)} R-hat are above {HIGH_RHAT}: the chains do not agree. The largest is"
        told.insert(0, f"{bad if over else good} {r_hat[high]:.3f} ({asked.names[high]}).")
    why = (
        "R-hat compares the spread between the chains with that within them, and is 1 when they have found the same "
        "posterior. The effective sample size is how many independent draws these are worth."
    )
    return [Paragraph(" ".join(told)), Paragraph(why)]


def ranks(subject: Subject) -> list[Block]:
    """Rank plots of the numbers that mix worst."""
    asked = _chains(subject)
    if subject.n_chains < 2:
        raise LeftOut("Ranks compare chains, and there is a single one.")
    import arviz as az

    chosen = asked.worst()
    names = [asked.names[i] for i in chosen]
    tree = _tree(subject, asked, chosen, RANKED // subject.n_chains)
    p_values = _evenness(tree["posterior"].to_dataset())
    least = int(np.argmin(p_values))
    limit = UNEVEN / len(asked.names)  # these were chosen as the worst of all

    def draw() -> "Figure":
        collection = az.plot_rank(tree, col_wrap=2, figure_kwargs={"figsize": (9.0, 1.7 * _rows(chosen) + 0.4)})
        return arrange(collection.viz["figure"].item(), names)

    even = "as even as those of independent draws of one posterior are"
    return [
        picture(
            draw,
            title="Ranks of the numbers that mix worst",
            alt=f"Rank curves of {subject.n_chains} chains, for {listed(names)}. The smallest p-value is "
            f"{number(p_values[least], 2)}.",
            reading="Each line is a chain: how far the ranks of its draws, among all draws, are from even. It should "
            "wander about zero; a chain that stays above or below has seen another part of the posterior. p is the "
            "probability of lines as far from zero if the chains agree, and black marks the ranks that speak most "
            "against it.",
            verdict=f"The smallest of {len(chosen)} p-values is {number(p_values[least], 2)} ({names[least]}): "
            + (f"the ranks are {even}." if p_values[least] > limit else f"the ranks are not {even}."),
            vectors=False,
        )
    ]


def _evenness(draws: "xr.Dataset") -> Array:
    """(Q,) ArviZ's p-values for the ranks of each number being even in all chains."""
    import arviz_stats  # noqa: F401  it registers the accessor

    dims = ["chain", "draw"]
    ranked = draws.azstats.compute_ranks(dim=dims, relative=True)
    p_values, _, _ = ranked.azstats.mchain_uniformity_test(dim=dims)
    return np.array([float(p_values[name]) for name in draws.data_vars])


def _rows(chosen: list[int], across: int = 2) -> int:
    return -(-len(chosen) // across)


def traces(subject: Subject) -> list[Block]:
    """The draws one after another."""
    asked = _chains(subject)
    chosen = asked.worst()
    names = [asked.names[i] for i in chosen]
    import arviz as az

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
            reading="Every draw in the order in which it was made, a colour for each chain. Good chains look like "
            "grass: they forget quickly where they were, and cover the same ground. Steps, drifts and chains apart "
            "are signs of a posterior that is not explored.",
            verdict=_divergences(subject),
            vectors=False,
        )
    ]


def _divergences(subject: Subject) -> str:
    stats = subject.fit["sample_stats"].to_dataset() if "sample_stats" in subject.fit.children else {}
    if "diverging" not in stats:
        return "The sampler left no record of divergences."
    count, total = int(stats["diverging"].sum()), stats["diverging"].size
    if not count:
        return f"None of {total:,} draws diverged."
    return f"{count:,} of {total:,} draws ({share(count / total)}) diverged: parts of the posterior may be missing."


def _tree(subject: Subject, asked: Quantities, chosen: list[int], most: int | None = None) -> "xr.DataTree":
    """The chosen numbers as ArviZ takes them, each under a harmless name, with a maximum number of draws per chain."""
    import xarray as xr

    kept = np.linspace(0, subject.n_draws - 1, min(subject.n_draws, most or subject.n_draws)).round().astype(int)
    variables = {f"q{i}": (("chain", "draw"), asked.draws[i][:, kept]) for i in chosen}
    coords = {"chain": np.arange(subject.n_chains), "draw": np.arange(len(kept))}
    return xr.DataTree.from_dict({"posterior": xr.Dataset(variables, coords=coords)})


def energy(subject: Subject) -> list[Block]:
    """Show the energy transitions of the sampler."""
    _chains(subject)
    if "sample_stats" not in subject.fit.children or "energy" not in subject.fit["sample_stats"]:
        raise LeftOut("The sampler left no energies.")
    import arviz as az
    import xarray as xr

    stats = subject.fit["sample_stats"].to_dataset()[["energy"]]
    tree = xr.DataTree.from_dict({"sample_stats": stats})
    bfmi = np.atleast_1d(az.bfmi(tree)["energy"].values)

    def draw() -> "Figure":
        from matplotlib.ticker import MaxNLocator

        figure = arrange(az.plot_energy(tree, figure_kwargs={"figsize": (9.0, 2.6)}).viz["figure"].item())
        figure.axes[0].yaxis.set_major_locator(MaxNLocator(integer=True))
        return figure

    least = float(np.min(bfmi))
    good = f"The smallest is {least:.2f}: above {LOW_BFMI}, the sampler reaches the tails."
    bad = f"The smallest is {least:.2f}, below {LOW_BFMI}: the sampler hardly reaches the tails. Draw more."
    return [
        picture(
            draw,
            title="Energy",
            alt=f"Energy distribution and transition, and the estimated fraction of missing information of "
            f"{plural(subject.n_chains, 'chain')}, from {least:.2f} to {float(np.max(bfmi)):.2f}.",
            reading="The two densities should be about as wide: then a single step of the sampler can go anywhere. "
            "BFMI is the ratio of their variances for each chain.",
            verdict=good if least >= LOW_BFMI else bad,
        )
    ]


def effective(subject: Subject) -> list[Block]:
    """Show the effective sample size as a function of the number of draws."""
    asked = _chains(subject)
    chosen = asked.worst()
    import arviz as az

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
            title="Effective sample size as draws come in",
            alt=f"Bulk and tail effective sample size against the number of draws, for {listed(names)}.",
            reading="Bulk (blue) for the middle of a distribution, tail (green) for its ends, against the number of "
            "draws. Both lines should rise steadily and end above the dashed line. A line that flattens belongs to a "
            "number that the chains have not explored, and more draws alone will not help.",
            verdict=f"At the end, bulk {np.nanmin(bulk):,.0f} to {np.nanmax(bulk):,.0f} and tail "
            f"{np.nanmin(tail):,.0f} to {np.nanmax(tail):,.0f} of {subject.posterior.n_draws:,} draws.",
        )
    ]


def summary(subject: Subject) -> list[Block]:
    """ArviZ's summary of every number, the worst first."""
    if subject.is_point:
        raise LeftOut("This is a point estimate: the table of components says all that there is.")
    import arviz as az

    asked = subject.quantities
    order = [*dict.fromkeys([*asked.worst(len(asked.names)), *range(len(asked.names))])][:ROWS]
    with np.errstate(all="ignore"):
        kind = "all" if subject.is_chains and subject.n_draws >= 4 else "stats"
        frame = az.summary(asked.dataset(order), kind=kind, round_to="none")
    columns = ("", *(str(name).replace("_", " ") for name in frame.columns))
    rows = [
        (asked.names[i], *(number(float(value), 3) for value in values))
        for i, values in zip(order, frame.to_numpy(), strict=True)
    ]
    rest = len(asked.names) - len(order)
    note = f"{rest:,} further numbers are left out." if rest else ""
    grid = Grid("Summary by ArviZ, the numbers that mix worst first", columns, tuple(rows), note)
    return [Fold(f"Summary of {plural(len(rows), 'number')}", (grid,))]


def elbo(subject: Subject) -> list[Block]:
    """Show the ELBO during the optimisation."""
    if "optimisation" not in subject.fit.children or "elbo" not in subject.fit["optimisation"]:
        raise LeftOut("")
    history = subject.fit["optimisation"].to_dataset()["elbo"].values
    notes = subject.info.notes
    bound = float(history[-1]) if notes.elbo is None else notes.elbo
    khat, of_khat = notes.pareto_khat, ""
    if khat is not None:
        misses = "it misses part of the posterior; use NUTS for intervals"
        judged = misses if approximation(subject.fit) else "nothing says that it misses part of the posterior"
        of_khat = f" Pareto's k-hat of the approximation is {khat:.2f}: {judged}."
    return [
        picture(
            lambda: draw_elbo(subject.fit),
            title="The lower bound of the log evidence",
            alt=f"The evidence lower bound over {len(history):,} iterations, from {number(float(history[0]))} to "
            f"{number(float(history[-1]))}.",
            reading="The better the approximation, the higher the bound; it should have levelled out.",
            verdict=f"It ended at {number(bound)} nats after {plural(len(history), 'iteration')}.{of_khat}",
        )
    ]
