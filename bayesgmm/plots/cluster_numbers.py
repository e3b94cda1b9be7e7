"""Plots of the posterior of the number of clusters, and of the number of components."""

from typing import TYPE_CHECKING

import numpy as np

from bayesgmm.clusterings.component_numbers import n_components as tabulate
from bayesgmm.clusterings.label_draws import n_clusters as count_clusters
from bayesgmm.plots.panels import (
    despine,
    new_panel,
    new_panels,
    root_of,
)
from bayesgmm.plots.style import (
    grey,
    literal,
)
from bayesgmm.posterior.arguments import FitLike, takes_fit

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure


@takes_fit
def n_clusters_data(fit: FitLike, merge: "xr.Dataset | None" = None, *, seed: int = 0) -> "xr.Dataset":
    """Compute the data of ``n_clusters``.

    Parameters
    ----------
    fit, merge, seed
        As for ``n_clusters``.

    Returns
    -------
    Dataset
        ``probability`` [n_clusters], without the numbers of probability 0 at both ends, except one.

    Raises
    ------
    DeclarationError
        When ``merge`` is not from ``merge_components`` for this fit.
    FitFileError
        When ``fit`` is not a fit, or holds no data.

    Examples
    --------
    >>> import bayesgmm as bg
    >>> x = [[-1.0], [0.0], [1.0], [2.0], [9.0], [10.0], [11.0]]
    >>> fit = bg.fit(bg.MixtureModel(2, "tied"), x, "em", progress=False)
    >>> int(n_clusters_data(fit)["probability"].idxmax())
    2
    """
    return trimmed(count_clusters(fit, merge=merge, seed=seed))


def trimmed(chance: "xr.DataArray") -> "xr.Dataset":
    """Leave out the numbers of probability 0 at both ends, except one."""
    there = np.flatnonzero(chance.values > 0)
    first, last = max(there[0] - 1, 0), min(there[-1] + 2, len(chance))
    return chance.isel(n_clusters=slice(first, last)).to_dataset()


@takes_fit
@literal
def n_clusters(fit: FitLike, merge: "xr.Dataset | None" = None, *, seed: int = 0, ax: "Axes | None" = None) -> "Figure":
    """Plot the posterior of the number of occupied components or merged clusters.

    Parameters
    ----------
    fit : DataTree or estimator
    merge : Dataset, optional
        From ``merge_components``: count its clusters.
    seed : int
        Seed of the labels.
    ax : Axes, optional
        Panel to draw in. Default: a new figure.

    Returns
    -------
    Figure
        That of the panel.

    Raises
    ------
    DeclarationError
        When ``merge`` is not from ``merge_components`` for this fit.
    FitFileError
        When ``fit`` is not a fit, or holds no data.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import bayesgmm as bg
    >>> x = [[-1.0], [0.0], [1.0], [2.0], [9.0], [10.0], [11.0]]
    >>> fit = bg.fit(bg.MixtureModel(2, "tied"), x, "em", progress=False)
    >>> figure = n_clusters(fit)
    >>> figure.axes[0].get_xlabel()
    'occupied components'
    >>> plt.close(figure)
    """
    return draw_n_clusters(n_clusters_data(fit, merge, seed=seed), "components" if merge is None else "clusters", ax)


def draw_n_clusters(data: "xr.Dataset", of: str = "components", ax: "Axes | None" = None) -> "Figure":
    """Draw the data of ``n_clusters``."""
    axis = new_panel((5.0, 3.4), ax)
    bars = axis.bar(data["n_clusters"].values, data["probability"].values, color=grey(0.45), width=0.7)
    axis.bar_label(bars, [f"{p:.2f}" if p >= 0.005 else "" for p in data["probability"].values], fontsize="small")
    axis.set_xticks(data["n_clusters"].values)
    axis.set_xlabel(f"occupied {of}")
    axis.set_ylabel("posterior probability")
    axis.set_ylim(0, 1.08 * float(data["probability"].max()))
    despine(axis)
    return root_of(axis)


@takes_fit
def n_components_data(fit: FitLike, *, seed: int = 0) -> "xr.Dataset":
    """Compute the data of ``n_components``: the table, up to the largest number with some posterior probability.

    Parameters
    ----------
    fit : DataTree or estimator
    seed : int
        Seed of the simulated prior of the number of clusters.

    Returns
    -------
    Dataset
        The columns of ``bayesgmm.n_components``, each by number.

    Raises
    ------
    DeclarationError
        When the number of components of the fit is fixed.
    FitFileError
        When ``fit`` is not a fit, or holds no data.

    Examples
    --------
    >>> import bayesgmm as bg
    >>> x = [[-1.0], [0.0], [1.0], [2.0], [19.0], [20.0], [21.0]]
    >>> model = bg.MixtureModel(5, "diag", weights=bg.FiniteMixture(bg.Geometric(0.5)))
    >>> fit = bg.fit(model, x, "gibbs", draws=200, seed=1, progress=False)
    >>> int(n_components_data(fit)["clusters"].idxmax())
    2
    """
    table = tabulate(fit, seed=seed)
    there = np.flatnonzero((table[["components", "clusters"]] > 0.0005).any(axis=1))
    return table.iloc[: int(there[-1]) + 2].to_xarray()


@takes_fit
@literal
def n_components(fit: FitLike, *, seed: int = 0, figure: "Figure | SubFigure | None" = None) -> "Figure":
    """Plot the posterior of the number of components, and of the number of clusters, beside their priors.

    Bars are posterior probabilities, with their Monte Carlo errors; points are prior probabilities.

    Parameters
    ----------
    fit : DataTree or estimator
        A fit of ``MixtureModel`` with ``weights=FiniteMixture(...)``.
    seed : int
        Seed of the labels and of the simulated prior.
    figure : Figure or SubFigure, optional
        Empty figure, or part of one, to draw in. Default: a new figure.

    Returns
    -------
    Figure
        That of the panels.

    Raises
    ------
    DeclarationError
        When the number of components of the fit is fixed.
    FitFileError
        When ``fit`` is not a fit, or holds no data.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import bayesgmm as bg
    >>> x = [[-1.0], [0.0], [1.0], [2.0], [19.0], [20.0], [21.0]]
    >>> model = bg.MixtureModel(5, "diag", weights=bg.FiniteMixture(bg.Geometric(0.5)))
    >>> figure = n_components(bg.fit(model, x, "gibbs", draws=200, seed=1, progress=False))
    >>> figure.axes[0].get_xlabel()
    'number of components K'
    >>> plt.close(figure)
    """
    return draw_n_components(n_components_data(fit, seed=seed), figure)


def draw_n_components(data: "xr.Dataset", figure: "Figure | SubFigure | None" = None) -> "Figure":
    """Draw the data of ``n_components``."""
    figure, (axes,) = new_panels((1, 2), (8.4, 3.4), figure, sharey="row")
    titles = {"components": "number of components K", "clusters": "number of clusters K₊, which hold points"}
    for axis, (name, title) in zip(axes, titles.items(), strict=True):
        at, share = data["number"].values, data[name].values
        axis.bar(
            at, share, color=grey(0.6), width=0.7, yerr=data[f"{name}_se"].values, ecolor=grey(0.0), label="posterior"
        )
        axis.plot(at, data[f"{name}_prior"].values, "o", color=grey(0.1), ms=4, label="prior")
        axis.set_xlabel(title)
        axis.xaxis.get_major_locator().set_params(integer=True)
        despine(axis)
    axes[0].set_ylabel("probability")
    axes[1].legend(frameon=False)
    return root_of(figure)
