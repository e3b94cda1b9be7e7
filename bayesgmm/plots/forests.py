"""Forest plot of the weights of the components, with their prior."""

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from bayesgmm.declared import probability
from bayesgmm.labels.relabelling import aligned
from bayesgmm.plots.panels import (
    new_panel,
    root_of,
)
from bayesgmm.plots.style import (
    colour,
    grey,
    interval,
    literal,
    marker,
)
from bayesgmm.posterior.arguments import FitLike, takes_fit
from bayesgmm.posterior.info import info
from bayesgmm.posterior.schema import Posterior, holds_points, observed
from bayesgmm.sweep.stats import Array, Table, draw_responsibilities

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INNER = 0.5  # probability of the thick intervals
PRIOR_DRAWS = 20_000
MAX_RESPONSIBILITIES = 50_000_000  # maximum number of responsibilities for the probability that a component is occupied
SLICE = 2_000_000  # responsibilities in memory at a time


@takes_fit
def weights_data(fit: FitLike, ci_prob: float = 0.9) -> "xr.Dataset":
    r"""Compute the data of ``weights``.

    A component is occupied when it holds at least one point. With N points and draws s, the probability of this is
    :math:`\mathrm{E}_s[1 - \prod_n (1 - r_{nk}^{(s)})]`.

    Parameters
    ----------
    fit : DataTree or estimator
    ci_prob : float
        Probability of the outer intervals and of the prior's interval.

    Returns
    -------
    Dataset
        ``mean`` [component]; ``interval`` [component, level, ci_bound], equal-tailed, at levels 0.5 and ``ci_prob``;
        ``occupied`` [component], NaN without points; ``prior_mean`` and ``prior_interval`` [ci_bound], of the weight of
        any one component, NaN where the fit uses no prior.

    Raises
    ------
    DeclarationError
        When ``ci_prob`` is not between 0 and 1.
    FitFileError
        When ``fit`` is not a fit.

    Examples
    --------
    >>> import bayesgmm as bg
    >>> x = [[-1.0], [0.0], [1.0], [2.0], [9.0], [10.0], [11.0]]
    >>> fit = bg.fit(bg.MixtureModel(2, "tied"), x, "em", progress=False)
    >>> weights_data(fit)["mean"].values.round(2)
    array([0.57, 0.43])
    """
    import xarray as xr

    ci_prob = probability("ci_prob", ci_prob)
    posterior = aligned(fit)
    weight, levels = posterior.parameters.weight, [INNER, ci_prob]
    prior = _prior_weights(fit)
    return xr.Dataset(
        {
            "mean": ("component", weight.mean(axis=0)),
            "interval": (("component", "level", "ci_bound"), np.stack([interval(weight, p) for p in levels], axis=1)),
            "occupied": ("component", _occupied(fit, posterior)),
            "prior_mean": prior.mean(),
            "prior_interval": ("ci_bound", interval(prior, ci_prob)),
        },
        coords={
            "component": fit["posterior"].coords["component"].values,
            "level": levels,
            "ci_bound": ["lower", "upper"],
        },
        attrs={"draws": posterior.n_draws},
    )


def _prior_weights(fit: "xr.DataTree") -> Array:
    """Draw from the prior of the weight of any one component: all components are pooled, because labels are by size."""
    stored = info(fit)
    if stored.model is None or stored.notes.maximum == "likelihood":
        return np.array([np.nan])
    model = stored.model
    drawn, _ = model.weights.draw(np.random.default_rng(0), model.n_components, PRIOR_DRAWS)
    return drawn.ravel()


def _occupied(fit: "xr.DataTree", posterior: Posterior) -> Array:
    """Compute the probability (K,) that a component holds a point; for large data, over fewer draws."""
    n_components = posterior.parameters.weight.shape[1]
    if not holds_points(fit):
        return np.full(n_components, np.nan)
    points = observed(fit)
    each = len(points.values) * n_components
    few = posterior.thin(max(10, min(posterior.n_draws, MAX_RESPONSIBILITIES // each)))
    blocks, tables = few.standard.blocks(points), few.tables()
    step, chances = max(1, SLICE // each), []
    for first in range(0, few.n_draws, step):
        some = slice(first, first + step)
        shares = draw_responsibilities(blocks, Table(tables.offset[some], tables.mean[some], tables.root[some]))
        with np.errstate(divide="ignore"):
            empty = np.log1p(-np.minimum(shares, 1.0))
        counts = 1.0 if points.weights is None else points.weights[:, None]
        chances.append(-np.expm1((empty * counts).sum(axis=1)))
    return np.concatenate(chances).mean(axis=0)


@takes_fit
@literal
def weights(fit: FitLike, ci_prob: float = 0.9, *, ax: "Axes | None" = None) -> "Figure":
    """Plot the weight of each component, with two intervals, and the probability that it holds a point.

    The thick line is the 50 % interval, the thin line the ``ci_prob`` interval. The band is the prior interval of the
    weight of any component, and the dashed line the prior mean. A point estimate has no intervals.

    Parameters
    ----------
    fit : DataTree or estimator
    ci_prob : float
        Probability of the thin intervals and of the prior's band.
    ax : Axes, optional
        Panel to draw in. Default: a new figure.

    Returns
    -------
    Figure
        That of the panel.

    Raises
    ------
    DeclarationError
        When ``ci_prob`` is not between 0 and 1.
    FitFileError
        When ``fit`` is not a fit.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import bayesgmm as bg
    >>> x = [[-1.0], [0.0], [1.0], [2.0], [9.0], [10.0], [11.0]]
    >>> fit = bg.fit(bg.MixtureModel(2, "tied"), x, "em", progress=False)
    >>> figure = weights(fit)
    >>> figure.axes[0].get_xlabel()
    'weight'
    >>> plt.close(figure)
    """
    return draw_weights(weights_data(fit, ci_prob), ci_prob, ax)


def draw_weights(data: "xr.Dataset", ci_prob: float, ax: "Axes | None" = None) -> "Figure":
    """Draw the data of ``weights``."""
    count = data.sizes["component"]
    axis = new_panel((6.5, 1.6 + 0.36 * max(count, 2)), ax)
    _draw_prior(axis, data, ci_prob)
    for k in range(count):
        thick, thin = data["interval"].values[k]
        axis.plot(thin, [k, k], color=colour(k), lw=1.5, solid_capstyle="butt")
        axis.plot(thick, [k, k], color=colour(k), lw=5, solid_capstyle="butt")
        axis.plot(data["mean"].values[k], k, marker(k), ms=6, mfc=grey(1.0), mec=colour(k), mew=1.6)
    _write_chances(axis, data)
    axis.set_yticks(range(count), [f"component {name}" for name in data["component"].values])
    axis.set_ylim(count - 0.4, -0.6)
    axis.set_xlim(left=-0.012 * axis.get_xlim()[1])
    axis.set_xlabel("weight")
    axis.tick_params(axis="y", length=0)
    axis.spines[["left", "top", "right"]].set_visible(False)
    return root_of(axis)


def _draw_prior(axis: "Axes", data: "xr.Dataset", ci_prob: float) -> None:
    lower, upper = data["prior_interval"].values
    if not lower < upper:
        return
    axis.axvspan(lower, upper, color=grey(0.93), lw=0, label=f"prior, {ci_prob:.0%}")
    axis.axvline(float(data["prior_mean"]), color=grey(0.6), lw=1, ls="--", label="prior mean")
    axis.legend(frameon=False, loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2, fontsize="small")


def _write_chances(axis: "Axes", data: "xr.Dataset") -> None:
    """Write the probability of being occupied, in a column on the right."""
    chances = data["occupied"].values
    if np.isnan(chances).all():
        return
    write = partial(axis.text, 1.14, transform=axis.get_yaxis_transform(), ha="right", fontsize="small")
    write(-0.8, "occupied", va="bottom")
    for k, chance in enumerate(chances):
        write(k, percent(chance), va="center")


def percent(chance: float) -> str:
    """Format a probability; values near 0 and 1 are not rounded to 0 and 1.

    Examples
    --------
    >>> percent(0.42), percent(0.9999), percent(1.0), percent(0.002), percent(0.0)
    ('42 %', '> 99 %', '100 %', '< 1 %', '0 %')
    """
    if 0.99 < chance < 1 - 1e-6:
        return "> 99 %"
    if 1e-6 < chance < 0.01:
        return "< 1 %"
    return f"{chance:.0%}".replace("%", " %")
