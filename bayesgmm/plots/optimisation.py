"""Plot of the ELBO over the iterations of an optimiser."""

from typing import TYPE_CHECKING

import numpy as np

from bayesgmm.errors import FitFileError
from bayesgmm.plots.panels import (
    despine,
    new_panel,
    root_of,
)
from bayesgmm.plots.style import (
    colour,
    grey,
    literal,
)
from bayesgmm.posterior.arguments import FitLike, takes_fit
from bayesgmm.posterior.info import info

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@takes_fit
def elbo_data(fit: FitLike) -> "xr.Dataset":
    """Compute the data of ``elbo``.

    Parameters
    ----------
    fit : DataTree or estimator
        By ``method='vb'``, ``'advi'`` or ``'fullrank_advi'``.

    Returns
    -------
    Dataset
        ``elbo`` [iteration], in nats; ``samples`` [iteration], the number of fixed draws that it was estimated from
        (ADVI), or ``batches`` [iteration], the number of minibatches in the iteration (1 for all points at once);
        ``final`` and ``final_se``, the final ELBO and its standard error.

    Raises
    ------
    FitFileError
        When the fit was not made by an engine that maximises the ELBO.

    Examples
    --------
    >>> import bayesgmm as bg
    >>> x = [[-1.0], [0.0], [1.0], [2.0], [9.0], [10.0], [11.0]]
    >>> fit = bg.fit(bg.MixtureModel(2, "tied"), x, "vb", seed=1, progress=False)
    >>> data = elbo_data(fit)
    >>> bool(data["elbo"][-1] >= data["elbo"][0])
    True
    """
    if "optimisation" not in getattr(fit, "children", {}) or "elbo" not in fit["optimisation"]:
        raise FitFileError("this fit has no ELBO history; fit with method='vb', 'advi' or 'fullrank_advi'")
    notes = info(fit).notes
    return fit["optimisation"].to_dataset().assign(final=notes.elbo, final_se=notes.elbo_se)


@takes_fit
@literal
def elbo(fit: FitLike, *, ax: "Axes | None" = None) -> "Figure":
    """Plot the evidence lower bound (ELBO) over the iterations, and its final value.

    The curve increases, except where its colour changes: there ADVI replaced its fixed draws by four times as many,
    because it had overfitted them. With minibatches the curve is noisy. For ADVI the final value is estimated from
    new draws, with a band of two standard errors.

    Parameters
    ----------
    fit : DataTree or estimator
        By ``method='vb'``, ``'advi'`` or ``'fullrank_advi'``.
    ax : Axes, optional
        Panel to draw in. Default: a new figure.

    Returns
    -------
    Figure
        That of the panel.

    Raises
    ------
    FitFileError
        When the fit was not made by an engine that maximises the ELBO.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import bayesgmm as bg
    >>> x = [[-1.0], [0.0], [1.0], [2.0], [9.0], [10.0], [11.0]]
    >>> fit = bg.fit(bg.MixtureModel(2, "tied"), x, "vb", seed=1, progress=False)
    >>> figure = elbo(fit)
    >>> figure.axes[0].get_ylabel()
    'evidence lower bound (nats)'
    >>> plt.close(figure)
    """
    from matplotlib.ticker import MaxNLocator

    data = elbo_data(fit)
    sampled, values = "samples" in data, data["elbo"].values
    final, error = float(data["final"]), float(data["final_se"])
    axis = new_panel((6.5, 4.2), ax)
    counts = data["samples" if sampled else "batches"].values
    for i, count in enumerate(dict.fromkeys(counts.tolist())):
        steps = np.flatnonzero(counts == count)
        label = f"over {count} fixed draws" if sampled else _points_seen(count)
        axis.plot(steps, values[steps], color=colour(i), lw=1.6, marker="o", ms=3, label=label)
    axis.axhspan(final - 2 * error, final + 2 * error, color=grey(0.35), alpha=0.25, lw=0)
    axis.axhline(final, color=grey(0.35), lw=1, ls="--", label="final, from new draws" if sampled else "final")
    axis.set_xlabel("iteration")
    axis.set_ylabel("evidence lower bound (nats)")
    axis.ticklabel_format(axis="y", useOffset=False)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    despine(axis)
    axis.legend(frameon=False, loc="lower right")
    return root_of(axis)


def _points_seen(batches: int) -> str:
    return "over all points" if batches == 1 else f"over {batches} minibatches, one after another"
