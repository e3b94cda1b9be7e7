"""How an optimiser got to where it ended."""

from typing import TYPE_CHECKING

import numpy as np

from bayesgmm.errors import FitFileError
from bayesgmm.plots.style import colour
from bayesgmm.posterior.schema import info

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure


def elbo_data(fit: "xr.DataTree") -> "xr.Dataset":
    """What ``elbo`` draws.

    Returns
    -------
    Dataset
        ``elbo`` and either ``samples`` (the fixed draws that it was over) or ``batches`` (the minibatches that an
        iteration went through, 1 for all points at once) [iteration]; ``final`` and ``final_se``.

    Raises
    ------
    FitFileError
        When the fit was not made by an engine that maximises the evidence lower bound.
    """
    if "optimisation" not in getattr(fit, "children", {}) or "elbo" not in fit["optimisation"]:
        raise FitFileError("this fit has no ELBO history; fit with method='vb', 'advi' or 'fullrank_advi'")
    told = info(fit)
    return fit["optimisation"].to_dataset().assign(final=told["elbo"], final_se=told["elbo_se"])


def elbo(fit: "xr.DataTree") -> "Figure":
    """How the evidence lower bound rose, and where it ended; of ADVI, by fresh draws, with two standard errors.

    It never falls, but for where it changes colour: there ADVI had fitted itself to its fixed draws, and went on with
    four times as many. Over minibatches it is noisy.
    """
    import matplotlib.pyplot as plt
    from matplotlib.ticker import MaxNLocator

    data = elbo_data(fit)
    sampled, values = "samples" in data, data["elbo"].values
    final, error = float(data["final"]), float(data["final_se"])
    figure, axis = plt.subplots(figsize=(6.5, 4.2), layout="constrained")
    counts = data["samples" if sampled else "batches"].values
    for i, count in enumerate(dict.fromkeys(counts.tolist())):
        steps = np.flatnonzero(counts == count)
        label = f"over {count} fixed draws" if sampled else _points_seen(count)
        axis.plot(steps, values[steps], color=colour(i), lw=1.6, marker="o", ms=3, label=label)
    axis.axhspan(final - 2 * error, final + 2 * error, color="0.35", alpha=0.25, lw=0)
    axis.axhline(final, color="0.35", lw=1, ls="--", label="over fresh draws, at the end" if sampled else "at the end")
    axis.set_xlabel("iteration")
    axis.set_ylabel("evidence lower bound (nats)")
    axis.ticklabel_format(axis="y", useOffset=False)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False, loc="lower right")
    return figure


def _points_seen(batches: int) -> str:
    return "over all points" if batches == 1 else f"over {batches} minibatches, one after another"
