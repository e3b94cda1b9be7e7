"""One labelled copy of a posterior, of the K! equal copies that differ by the labels of the components.

A rule gives every draw one order of its components. The draws in that order are draws of the labelled copy. Its density
is that of the posterior, summed over all orders of the components, and zero for draws that are in another order.
"""

import math
from dataclasses import dataclass
from typing import Protocol, override

import numpy as np

from bayesgmm.errors import DeclarationError
from bayesgmm.labels.alignments import solve_assignments
from bayesgmm.labels.groups import restrained, sort_within
from bayesgmm.labels.responsibilities import Order
from bayesgmm.posterior.log_posterior import LogPosterior
from bayesgmm.priors.component_orders import MAX_COMPONENTS, draw_orders, log_orders
from bayesgmm.sweep.stats import Array

MAX_ITER = 20  # maximum number of iterations of the search for a centre
NARROWEST = 0.05  # minimum spread of a label, as a share of the spread over all labels
SAME = 1e-3  # coordinates that differ by less are the same
PIVOT_DRAWS = 4000  # maximum number of draws that determine a centre


class Rule(Protocol):
    """Rule for the order of the components. It depends on the components, not on the order in which they are given."""

    def order(self, density: LogPosterior, q: Array) -> Order:
        """Return the order (S, K) that brings the components of draws (S, P) into the labelled copy."""


@dataclass(frozen=True)
class AsGiven(Rule):
    """The order in which components are given: for one component, and for ordered means."""

    @override
    def order(self, density: LogPosterior, q: Array) -> Order:
        return np.tile(np.arange(density.n_components), (len(q), 1))


@dataclass(frozen=True)
class ByWeight(Rule):
    """Components by weight, heaviest first: for components that differ mainly by their weights."""

    @override
    def order(self, density: LogPosterior, q: Array) -> Order:
        return sort_within(-density.components(q)[0], density.groups)


@dataclass(frozen=True)
class Nearest(Rule):
    """The order in which components are closest to given ones: for components that differ by their places.

    Parameters
    ----------
    centre, spread : (K, V) float
        Mean and standard deviation of the coordinates of each label.

    References
    ----------
    .. [1] Celeux (1998), COMPSTAT 98, 227-232.
    """

    centre: Array
    spread: Array

    @override
    def order(self, density: LogPosterior, q: Array) -> Order:
        own = _places(density, q)
        squares = np.zeros((len(q), len(self.centre), len(self.centre)))
        for centre, spread, at in zip(self.centre.T, self.spread.T, np.moveaxis(own, 2, 0), strict=True):
            squares += ((at[:, None, :] - centre[:, None]) / spread[:, None]) ** 2
        cost = 0.5 * squares + np.log(self.spread).sum(axis=1)[:, None]
        return solve_assignments(restrained(cost, density.groups))

    @classmethod
    def of(cls, density: LogPosterior, q: Array, lp: Array) -> "Nearest":
        """Find centres: start from the draw of highest density, then update orders and means in turn."""
        chosen = np.linspace(0, len(q) - 1, min(len(q), PIVOT_DRAWS)).round().astype(int)
        own, order = _places(density, q[chosen]), np.empty((0, 0), dtype=np.int64)
        overall = np.maximum(own.std(axis=(0, 1)), np.finfo(float).tiny)
        best = _places(density, q[np.argmax(lp)][None])[0]
        rule = cls(best, np.broadcast_to(overall, best.shape))
        for _ in range(MAX_ITER):
            before, order = order, rule.order(density, q[chosen])
            if np.array_equal(before, order):
                break
            named = np.take_along_axis(own, order[..., None], axis=1)
            rule = cls(named.mean(axis=0), np.maximum(named.std(axis=0), NARROWEST * overall))
        return rule


def _places(density: LogPosterior, q: Array) -> Array:
    """Coordinates of each component (S, K, V), its log weight about their mean among them."""
    logit, own = density.components(q)
    return np.concatenate([(logit - logit.mean(axis=1, keepdims=True))[..., None], own], axis=2)


def rules(density: LogPosterior, q: Array, lp: Array) -> list[Rule]:
    """Return the rules to try for draws (S, P) with log posterior (S,).

    Raises
    ------
    DeclarationError
        If the prior treats many components differently, so that the sum over their orders would take too long.
    """
    if density.n_components == 1 or density.model.means.is_ordered or _are_apart(density):
        return [AsGiven()]
    if density.groups is not None and not density.model.weights.is_exchangeable():
        raise DeclarationError(
            f"{type(density.model.weights).__name__} treats components differently, and only some of them have labels: "
            "the sum over their orders is not implemented.\n  Use one concentration, or labels for all components."
        )
    if not density.model.weights.is_exchangeable() and density.n_components > MAX_COMPONENTS:
        raise DeclarationError(
            f"{type(density.model.weights).__name__} treats {density.n_components} components differently: the sum "
            f"over their orders would take too long (the limit is {MAX_COMPONENTS}).\n"
            "  Use fewer components, or a prior that treats them alike, such as SparseDirichlet."
        )
    return [ByWeight(), Nearest.of(density, q, lp)]


def log_copies(density: LogPosterior, q: Array) -> Array:
    """Compute the log of the posterior density summed over all orders of the components, relative to the given one.

    For K components with the same prior it is log K!, for groups of them whose labels differ the sum over the groups,
    and 0 for ordered means. Coordinates of orientations have copies, too (``Chart.log_copies``).

    Returns
    -------
    (S,) float
    """
    of_axes = density.chart.log_copies(q[:, density.roots], density.n_components, density.n_features)
    if density.n_components == 1 or density.model.means.is_ordered:
        return of_axes
    if density.groups is not None:
        return of_axes + sum(math.lgamma(count + 1) for count in np.bincount(density.groups))
    return of_axes + log_orders(density.model.weights, _log_weight(density, q), _concentration(density, q))


def in_copy(density: LogPosterior, rule: Rule, q: Array) -> Array:
    """Return True for the draws (S, P) that are in the order of a rule, and whose axes are turned least."""
    inside = np.asarray((rule.order(density, q) == np.arange(density.n_components)).all(axis=1))
    if density.chart.has_copies(density.n_features):
        found = np.flatnonzero(inside)
        inside[found] = np.abs(least_turned(density, q[found]) - q[found]).max(axis=1, initial=0.0) < SAME
    return inside


def least_turned(density: LogPosterior, q: Array) -> Array:
    """Return coordinates (S, P) of the same mixtures whose axes are turned least; their densities differ.

    Coordinates that are too large for numbers give NaN.
    """
    if not density.chart.has_copies(density.n_features):
        return q
    chart, q = density.chart, q.copy()
    at, k, d = density.roots, density.n_components, density.n_features
    with np.errstate(all="ignore"):  # the squares of finite roots may be too large, too
        roots = chart.core_roots(q[:, at], k, d)
        finite = np.isfinite(roots).all(axis=(1, 2, 3))
        q[~finite] = np.nan
        q[finite, at] = chart.coordinates(roots[finite])
    return q


def to_copy(density: LogPosterior, rule: Rule, q: Array) -> Array:
    """Bring draws (S, P) into the order of a rule, and axes to where they are turned least."""
    q = least_turned(density, q)
    order = rule.order(density, q)
    moved = (order != np.arange(density.n_components)).any(axis=1)
    q = q.copy()
    if moved.any():
        q[moved] = density.reordered(q[moved], order[moved])
    return q


def from_copy(density: LogPosterior, q: Array, rng: np.random.Generator) -> Array:
    """Give draws (S, P) of a labelled copy random orders of their components, as the posterior has them."""
    if density.n_components == 1 or density.model.means.is_ordered or _are_apart(density):
        return q.copy()
    if density.groups is not None:
        return density.reordered(q, sort_within(rng.random((len(q), density.n_components)), density.groups))
    weights = density.model.weights
    return density.reordered(q, draw_orders(weights, _log_weight(density, q), _concentration(density, q), rng))


def _are_apart(density: LogPosterior) -> bool:
    """Return True if the labels of rows treat no two components alike."""
    return density.groups is not None and len({*density.groups.tolist()}) == density.n_components


def _log_weight(density: LogPosterior, q: Array) -> Array:
    logit = density.components(q)[0]
    return np.asarray(logit - np.logaddexp.reduce(logit, axis=1, keepdims=True))


def _concentration(density: LogPosterior, q: Array) -> Array:
    """Learned concentration of each draw (S,); one where it is fixed."""
    at = density.extra("weights")
    return np.exp(q[:, at[0]]) if at.size else np.ones(len(q))
