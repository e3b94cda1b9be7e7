"""An unknown number of components: its posterior and prior, and the draws that have a given number of clusters."""

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bayesgmm.clusterings.label_draws import count_labels, warn_of_weights
from bayesgmm.data.points import Points
from bayesgmm.declared import whole
from bayesgmm.errors import DeclarationError
from bayesgmm.labels import relabelling
from bayesgmm.posterior import schema
from bayesgmm.posterior.arguments import FitLike, takes_fit
from bayesgmm.posterior.contamination import background, with_background
from bayesgmm.posterior.draws import number_varies, size
from bayesgmm.posterior.info import annotate, declaration, info
from bayesgmm.posterior.packing import DIMS, pack
from bayesgmm.posterior.parameters import Parameters
from bayesgmm.priors.counts import Uniform
from bayesgmm.sweep.stats import Array, log_densities

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

Counts = NDArray[np.int64]
SIMULATIONS = 40_000  # of the prior of the number of clusters: its standard errors are at most .0025


@takes_fit
def n_components(fit: FitLike, *, seed: int = 0) -> "pd.DataFrame":
    r"""Tabulate the posterior of the number of components and of the number of clusters, beside their priors.

    The number of components K belongs to the population. The number of clusters :math:`K_+ \le K` is the number of
    components that hold at least one of the points. A K that is larger than :math:`K_+` stands for components of which
    no point was observed; its posterior depends more on the priors.

    Parameters
    ----------
    fit : DataTree or estimator
        A fit of ``MixtureModel`` with ``weights=FiniteMixture(...)``.
    seed : int
        Seed of the labels that determine the clusters, and of the simulated prior.

    Returns
    -------
    DataFrame
        A row for each ``number``, 1 to the largest K. ``components`` and ``clusters``: posterior probabilities, with
        Monte Carlo standard errors ``components_se`` and ``clusters_se``, which allow for the autocorrelation of the
        draws. ``components_prior``; ``clusters_prior``, by simulation with standard errors of at most .0025.

    Raises
    ------
    DeclarationError
        When the number of components of the fit is fixed.
    FitFileError
        When ``fit`` is not a fit, or holds no data.

    Warns
    -----
    FitWarning
        When rows have weights: each row counts as one point.

    References
    ----------
    .. [1] Frühwirth-Schnatter, Malsiner-Walli & Grün (2021), Bayesian Analysis 16(4), 1279-1307.

    Examples
    --------
    >>> import bayesgmm as bg
    >>> x = [[-1.0], [0.0], [1.0], [2.0], [19.0], [20.0], [21.0]]
    >>> model = bg.MixtureModel(5, "diag", weights=bg.FiniteMixture(bg.Geometric(0.5)))
    >>> table = n_components(bg.fit(model, x, "gibbs", seed=1, progress=False))
    >>> table["components_prior"].round(3).tolist()
    [0.516, 0.258, 0.129, 0.065, 0.032]
    >>> int(table["clusters"].idxmax())
    2
    """
    import pandas as pd

    schema.unpack(fit)  # raises FitFileError
    require_number(fit, "n_components")
    points, weights = schema.observed(fit), declaration(fit).weights
    warn_of_weights("n_components", points)
    most = fit["posterior"].sizes["component"]
    number = fit["posterior"]["n_components"].transpose("chain", "draw").values
    occupied = (_counts(fit, points, seed) > 0).sum(axis=1).reshape(number.shape)
    rng = np.random.default_rng(whole("seed", seed, minimum=0))
    simulated = (rng.multinomial(len(points.values), weights.draw(rng, most, SIMULATIONS)[0]) > 0).sum(axis=1)
    columns = {}
    for name, values, prior in (
        ("components", number, np.exp(weights.log_number(most))),
        ("clusters", occupied, np.bincount(simulated, minlength=most + 1)[1:] / SIMULATIONS),
    ):
        columns[name], columns[f"{name}_se"] = probabilities(values, most)
        columns[f"{name}_prior"] = prior
    return pd.DataFrame(columns, index=pd.RangeIndex(1, most + 1, name="number"))


def require_number(fit: "xr.DataTree", function: str) -> None:
    """Check that the number of components of a fit is unknown.

    Raises
    ------
    DeclarationError
        If it is fixed.
    """
    if not number_varies(fit):
        raise DeclarationError(
            f"{function} needs a fit whose number of components is unknown: declare weights=FiniteMixture(...), and "
            "fit with method='gibbs'.\n  For other fits, n_clusters shows how many components hold points."
        )


def _counts(fit: "xr.DataTree", points: Points, seed: int) -> Counts:
    """Count the points of each component (S, K) by labels drawn from every draw; a background takes its points."""
    posterior = schema.unpack(fit)
    row = None if (own := background(fit)) is None else own.row(posterior.standard)
    blocks = replace(posterior.standard.blocks(points), background=row)
    return count_labels(posterior, blocks, seed)


def probabilities(values: Counts, most: int) -> tuple[Array, Array]:
    """Return the frequencies (M,) of the numbers 1 to M in draws (chain, draw), and their Monte Carlo errors.

    The error is 0 for a number that is never or always drawn.

    Examples
    --------
    >>> probabilities(np.array([[1, 2, 2, 1, 2, 1, 1, 2], [2, 1, 1, 2, 1, 2, 2, 1]]), 3)[0]
    array([0.5, 0.5, 0. ])
    """
    import arviz_stats as az
    import xarray as xr

    hits = xr.DataArray((values[..., None] == np.arange(1, most + 1)).astype(float), dims=("chain", "draw", "number"))
    share = hits.mean(["chain", "draw"]).values
    with np.errstate(invalid="ignore", divide="ignore"):
        effective = az.ess(hits.to_dataset(name="hits"), method="mean")["hits"].values
        return share, np.nan_to_num(np.sqrt(share * (1 - share) / effective))


@takes_fit
def condition(fit: FitLike, n_clusters: int, *, seed: int = 0) -> "xr.DataTree":
    r"""Keep the draws with a given number of clusters, as a fit with that many components.

    Labels of the points are drawn under each draw. Draws in which that many components hold points are kept, without
    their other components, and relabelled. Weights are divided by their sum. So parameters of components, which have no
    meaning while their number changes, get one: given the number of clusters [1]_.

    Parameters
    ----------
    fit : DataTree or estimator
        A fit of ``MixtureModel`` with ``weights=FiniteMixture(...)``.
    n_clusters : int
        Number of clusters.
    seed : int
        Seed of the labels, the same as that of ``n_components``.

    Returns
    -------
    DataTree
        A fit that all functions accept, except those that need the log prior density. Chains have the same number of
        draws: as many draws as possible are kept, the last draws of some chains, or a whole chain, may be left out.

    Raises
    ------
    DeclarationError
        When the number of components of the fit is fixed, or no draw has that many clusters.
    FitFileError
        When ``fit`` is not a fit, or holds no data.

    References
    ----------
    .. [1] Frühwirth-Schnatter, Malsiner-Walli & Grün (2021), Bayesian Analysis 16(4), 1279-1307.

    Examples
    --------
    >>> import bayesgmm as bg
    >>> x = [[-1.0], [0.0], [1.0], [2.0], [19.0], [20.0], [21.0]]
    >>> model = bg.MixtureModel(5, "diag", weights=bg.FiniteMixture(bg.Geometric(0.5)))
    >>> two = condition(bg.fit(model, x, "gibbs", seed=1, progress=False), n_clusters=2)
    >>> two["posterior"].sizes["component"]
    2
    >>> bg.assignments(two)["label"].values
    array([0, 0, 0, 0, 1, 1, 1])
    """
    schema.unpack(fit)  # raises FitFileError
    require_number(fit, "condition")
    points = schema.observed(fit)
    wanted = whole("n_clusters", n_clusters)
    counts = _counts(fit, points, seed)
    occupied = (counts > 0).sum(axis=1)
    if not (occupied == wanted).any():
        found = ", ".join(map(str, np.unique(occupied)))
        raise DeclarationError(
            f"n_clusters={wanted}: no draw has this number of clusters; there are draws with {found}"
        )
    chosen = rectangle((occupied == wanted).reshape(size(fit)))
    kept = np.argsort(-counts[chosen], axis=-1, kind="stable")[..., :wanted]
    return _packed(fit, points, _restricted(fit, chosen, kept))


def rectangle(wanted: NDArray[np.bool_]) -> Counts:
    """Choose wanted draws (chain, draw), as many as possible with the same number from each chain that is kept.

    Returns
    -------
    (chains, draws) int
        Positions of draws in all chains together.

    Examples
    --------
    >>> rectangle(np.array([[True, True, False], [False, True, True], [False, False, True]]))
    array([[0, 1],
           [4, 5]])
    """
    counts = wanted.sum(axis=1)
    ranked = np.sort(counts)[::-1]
    draws = int(ranked[np.argmax(ranked * np.arange(1, len(ranked) + 1))])
    every = [np.flatnonzero(row) + chain * wanted.shape[1] for chain, row in enumerate(wanted)]
    return np.array([one[:draws] for one in every if len(one) >= draws])


def _restricted(fit: "xr.DataTree", chosen: Counts, kept: Counts) -> Parameters:
    """Return draws ``chosen`` (chains, draws) with their components ``kept`` (chains, draws, k) alone."""
    p = schema.unpack(fit).parameters
    weight = np.take_along_axis(p.weight[chosen], kept, axis=-1)
    mean = np.take_along_axis(p.mean[chosen], kept[..., None], axis=-2)
    covariance = np.take_along_axis(p.covariance[chosen], kept[..., None, None], axis=-3)
    extras = {}
    for name, values in fit["posterior"].to_dataset().data_vars.items():
        if name not in (*DIMS, "n_components"):
            given = values.transpose("chain", "draw", ...).values
            extras[str(name)] = given.reshape(-1, *given.shape[2:])[chosen]
    return Parameters(weight / weight.sum(axis=-1, keepdims=True), mean, covariance, extras)


def _packed(fit: "xr.DataTree", points: Points, parameters: Parameters) -> "xr.DataTree":
    """Relabel draws and make a fit of them, with the facts of the fit that they are from."""
    facts, count = info(fit), parameters.weight.shape[-1]
    model = declaration(fit)
    weights = model.weights.model_copy(update={"components": Uniform(count, count)})
    drawn = schema.Posterior(parameters.flat(), points.columns, schema.unpack(fit).standard)
    modelled = with_background(drawn, model.background)
    blocks = drawn.standard.blocks(points)
    logs = log_densities(blocks, modelled.tables()) - drawn.standard.log_scales(blocks)
    loglik = (logs @ (np.ones(len(points.values)) if points.weights is None else points.weights)).reshape(
        parameters.weight.shape[:2]
    )
    order, labels = relabelling.undo(points, drawn, loglik.reshape(-1), os.cpu_count() or 1)
    kept: NDArray[Any] = order.astype(np.int16).reshape(parameters.weight.shape)
    stats = {"lp": loglik, "loglik": loglik, relabelling.KEPT: kept}
    tree = pack(points, drawn.standard, relabelling.reorder(parameters, order), stats)
    model = model.model_copy(update={"n_components": count, "weights": weights})
    return annotate(tree, replace(facts, model=model, relabelled=labels.method, labels=labels))
