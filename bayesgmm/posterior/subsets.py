"""Subsets of a posterior: fewer draws, rows or components, marginal and conditional distributions of columns."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bayesgmm.data.numbers import LARGEST
from bayesgmm.data.standards import Standard
from bayesgmm.declared import whole
from bayesgmm.errors import DataError, did_you_mean
from bayesgmm.posterior.info import annotate, info
from bayesgmm.posterior.parameters import Parameters, softmax
from bayesgmm.posterior.schema import Posterior, observed
from bayesgmm.sweep.matrices import cholesky
from bayesgmm.sweep.stats import Array
from bayesgmm.wording import listing

if TYPE_CHECKING:
    import xarray as xr


def thinned(fit: "xr.DataTree", draws: int | None) -> "xr.DataTree":
    """Thin a fit to at most ``draws`` draws, evenly spaced, the same number from each chain, in all groups.

    With fewer draws than chains, the result has one draw from each of the first chains.

    Raises
    ------
    DeclarationError
        If ``draws`` is not a whole number of at least 1.
    """
    import xarray as xr

    of = fit["posterior"].to_dataset()
    n_chains, n_draws = of.sizes["chain"], of.sizes["draw"]
    if draws is None or whole("draws", draws) >= n_chains * n_draws:
        return fit.copy()
    each = max(1, draws // n_chains)
    chosen = {
        "chain": np.arange(min(draws, n_chains)),
        "draw": np.linspace(0, n_draws - 1, each).round().astype(int),
    }
    groups = {}
    for node in fit.subtree:
        data = node.to_dataset(inherit=False)
        same = all(dim in data.dims and data[dim].equals(of[dim]) for dim in chosen)
        groups[node.path] = data.isel(chosen) if same else data
    return xr.DataTree.from_dict(groups)


def without_rows(fit: "xr.DataTree", labels: Collection[object]) -> "xr.DataTree":
    """Return a copy of a fit that holds its points without some rows; the draws stay as they are.

    Checks of the copy compare the model with the other rows only.

    Parameters
    ----------
    fit : DataTree
    labels : collection of hashable
        Labels of rows, as in the data; those that the fit does not hold are ignored.
    """
    import xarray as xr

    tree, points = fit.copy(), observed(fit)
    kept = ~np.isin(np.arange(len(points.values)), [i for i, label in enumerate(points.index) if label in labels])
    tree["observed_data"] = xr.DataTree(fit["observed_data"].to_dataset().isel(point=kept))
    return tree


def marginal(posterior: Posterior, names: Sequence[str]) -> Posterior:
    """Return the marginal posterior of some columns, in the order of the names.

    Raises
    ------
    DataError
        If there is no such column.
    """
    at = places(posterior.columns, names)
    p, standard = posterior.parameters, posterior.standard
    parameters = Parameters(p.weight, p.mean[..., at], p.covariance[..., at, :][..., at])
    return Posterior(parameters, tuple(names), Standard(standard.shift[at], standard.scale[at]))


def places(known: tuple[str, ...], names: Sequence[str]) -> list[int]:
    """Return the positions of columns among those of a fit.

    Raises
    ------
    DataError
        If there is no such column.
    """
    for name in names:
        if name not in known:
            hint = did_you_mean(name, dict.fromkeys(known))
            raise DataError(f"the fit has no column {name!r}; it has {listing(known)}{hint}")
    return [known.index(name) for name in names]


def condition(posterior: Posterior, given: Mapping[str, float], names: Sequence[str]) -> Posterior:
    r"""Compute the conditional posterior of some columns given values of others; all other columns are integrated out.

    With :math:`L` the Cholesky factor of a component's covariance, the given columns first, and
    :math:`z = L_{gg}^{-1} (x_g - \mu_g)`:

    .. math:: w'_k \propto \frac{w_k}{|L_{gg}|} e^{-\frac12 z'z}, \quad \mu' = \mu_o + L_{og} z, \quad
              \Sigma' = L_{oo} L_{oo}'

    Parameters
    ----------
    posterior : Posterior
        S draws.
    given : mapping of column to number
    names : sequence of str
        Columns of the conditional distribution.

    Raises
    ------
    DataError
        If there is no such column, or a value is so far from all components that its distance overflows.
    """
    part = marginal(posterior, [*given, *names])
    if not given:
        return part
    p, standard, n_given = part.parameters, part.standard, len(given)
    chol = cholesky(p.covariance / np.outer(standard.scale, standard.scale))
    value = (np.array([*given.values()]) - p.mean[..., :n_given]) / standard.scale[:n_given]
    with np.errstate(over="ignore", invalid="ignore"):
        z = np.linalg.solve(chol[..., :n_given, :n_given], value[..., None])[..., 0]
        moved = np.einsum("skij,skj->ski", chol[..., n_given:, :n_given], z)
    if not ((np.abs(moved) < LARGEST).all() and (np.abs(z) < LARGEST).all()):
        raise DataError(f"given={dict(given)}: too far from all components to compute a density")
    rest, scale = chol[..., n_given:, n_given:], standard.scale[n_given:]
    covariance = rest @ rest.swapaxes(-1, -2) * np.outer(scale, scale)
    weight = _updated(p.weight, np.diagonal(chol, axis1=-2, axis2=-1)[..., :n_given], z)
    parameters = Parameters(weight, p.mean[..., n_given:] + moved * scale, covariance)
    return Posterior(parameters, tuple(names), Standard(standard.shift[n_given:], scale))


def _updated(weight: Array, diagonal: Array, z: Array) -> Array:
    """Compute the conditional weights (S, K): weights times densities of the given values, normalised in logs."""
    with np.errstate(divide="ignore"):
        log = np.log(weight) - np.log(diagonal).sum(axis=-1) - 0.5 * np.square(z).sum(axis=-1)
    return softmax(log)


def of_components(
    fit: "xr.DataTree", components: NDArray[np.intp], rows: NDArray[np.bool_] | None = None
) -> "xr.DataTree":
    """Return the mixture of some components of a fit with some of its points, without labels.

    Parameters
    ----------
    fit : DataTree
    components : (M,) int
        Positions. In each draw their weights are divided by their sum.
    rows : (N,) bool, optional
        Points that it holds. Default: all.
    """
    import xarray as xr

    part = fit["posterior"].to_dataset().isel(component=components)
    part["weight"] = part["weight"] / part["weight"].sum("component")
    groups = {"posterior": part.assign_coords(component=np.arange(len(components)))}
    if "constant_data" in fit.children:
        groups["constant_data"] = fit["constant_data"].to_dataset()
    if "observed_data" in fit.children:
        known = fit["observed_data"].to_dataset().drop_vars(["plausibility", "labelled"], errors="ignore")
        groups["observed_data"] = known if rows is None else known.isel(point=rows)
    facts = info(fit)
    model = None if facts.model is None else facts.model.model_copy(update={"n_components": len(components)})
    return annotate(xr.DataTree.from_dict(groups), replace(facts, model=model, labels=None, fingerprint=None))
