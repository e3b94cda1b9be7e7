r"""Coordinate ascent on the evidence lower bound (ELBO): a fold under expected natural parameters, conjugate updates.

.. math:: q(z, \theta) = q(z) \, q(w) \, q(\alpha) \prod_k q(\mu_k, \Lambda_k)

The log likelihood of the fold, under a table of expected natural parameters, is the contribution of the points and
their optimal assignments to the bound. All other terms are divergences from the priors, in closed form.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from bayesgmm.inference.component_factors import Components, MeansFactor, means_factor, precisions_factor
from bayesgmm.inference.conjugate import MIN_TILT, Layout, WeightsFactor, Wisharts, from_log_cholesky, log_cholesky
from bayesgmm.inference.mixtures import Mixture, closest_wishart
from bayesgmm.labels.groups import order_of_means
from bayesgmm.posterior.log_posterior import LogPosterior
from bayesgmm.sweep.blocks import Blocks
from bayesgmm.sweep.stats import LOG_2PI, Array, Stats, Table, fold


@dataclass(frozen=True)
class Factors:
    """A mean-field approximation of the posterior, in the coordinates of the blocks.

    Parameters
    ----------
    shares : (M, J) float
        Parameters of the Dirichlet factors of the weights.
    tilt : (0,) or (1,) float
        Parameter of the factor of a learned concentration.
    components : Components
        Factors of means and precisions.
    """

    shares: Array
    tilt: Array
    components: Components


@dataclass(frozen=True)
class Ascent:
    """Coordinate ascent for a declaration and data.

    Parameters
    ----------
    density : LogPosterior
    threads : int
        Number of threads; the result does not depend on it.
    """

    density: LogPosterior
    threads: int = 1

    @cached_property
    def layout(self) -> Layout:
        """Layout of the precisions: which components and features share one."""
        return Layout.of(self.density.model.family, self.density.n_components, self.density.n_features)

    @cached_property
    def weights(self) -> WeightsFactor:
        """Updates of the weights' factor."""
        return WeightsFactor.of(self.density.model.weights, self.density.n_components)

    @cached_property
    def means(self) -> MeansFactor:
        """Updates of the means' factor."""
        prior = self.density.model.means
        return means_factor(prior).of(prior, self.density.standard, self.layout)

    @cached_property
    def precision_prior(self) -> Wisharts:
        """Prior of each precision; all components have the same."""
        prior, side = self.density.model.covariances, self.layout.side
        factor = precisions_factor(prior)
        wishart = closest_wishart(prior, self.density.standard, self.density.model.family)
        scale = wishart.scale.reshape(1, -1, side, side)
        return factor(np.full(scale.shape[:2], wishart.dof), scale)

    def table(self, factors: Factors) -> Table:
        """Return the expected natural parameters as a table that scores points."""
        components = factors.components
        log_det = self.layout.spread(components.precision.log_det).sum(axis=1)
        offset = self.weights.log_weight(factors.shares) + 0.5 * (log_det - self.density.n_features * LOG_2PI)
        offset -= 0.5 * self.means.spread_cost(components)
        root = self.layout.table_roots(components.precision.root)
        return Table(offset, components.mean, np.ascontiguousarray(root))

    def divergence(self, factors: Factors) -> float:
        """Compute the Kullback-Leibler divergence of all factors from the prior, in nats."""
        components = factors.components
        own = components.precision.divergence(self.precision_prior) + self.means.divergence(components)
        return own + self.weights.divergence(factors.shares, factors.tilt)

    def elbo(self, factors: Factors, stats: Stats) -> float:
        """Compute the ELBO, in nats and data units, from the statistics of all points under the factors' table."""
        return stats.loglik - self.density.log_units - self.divergence(factors)

    def fold(self, factors: Factors, blocks: Blocks | None = None) -> Stats:
        """Compute the statistics of the points under the factors."""
        return fold(self.density.blocks if blocks is None else blocks, self.table(factors), self.threads)

    def update(self, factors: Factors, stats: Stats, rate: float = 1.0) -> Factors:
        """Update each factor to its optimum given the others, or by a step of size ``rate`` in natural parameters."""
        components = self.means.update(factors.components, self.precision_prior, stats, rate)
        return Factors(*self.weights.update(factors.shares, factors.tilt, stats.n, rate), components)

    def rescaled(self, factors: Factors, ratio: float) -> Factors:
        """Rescale the factors to represent ``ratio`` times as many points.

        The distance of the natural parameters from the prior is multiplied by ``ratio``.
        """
        expected = self.weights.expected_prior(factors.tilt)[1]
        shares = expected + ratio * np.maximum(factors.shares - expected, 0.0)
        none = self._no_points(factors.components.mean)
        components = self.means.update(factors.components, self.precision_prior, none, 1 - ratio)
        return Factors(shares, self.weights.best_tilt(shares), components)

    def _no_points(self, mean: Array) -> Stats:
        """Return the statistics of an empty data set, about means (K, D)."""
        s2 = self.density.model.family.zero_moments(*mean.shape)
        return Stats(np.zeros(len(mean)), np.zeros_like(mean), s2, 0.0, mean)

    def step(self, factors: Factors) -> tuple[float, Factors]:
        """Return the ELBO of the factors, and the updated factors."""
        stats = self.fold(factors)
        return self.elbo(factors, stats), self.update(factors, stats)

    def first(self, mixture: Mixture) -> Factors:
        """Compute the factors after the points are assigned under a mixture."""
        return self.given(mixture, fold(self.density.blocks, mixture.table(self.density.model.family), self.threads))

    def given(self, mixture: Mixture, stats: Stats) -> Factors:
        """Compute the factors from statistics of assigned points; updates that need precisions use the mixture's."""
        return self.update(self._at(mixture), stats)

    def mixture(self, factors: Factors, n: Array) -> Mixture:
        """Return the mixture of expected means and precisions, with weights in proportion to points n (K,)."""
        family, components = self.density.model.family, factors.components
        shape = family.identity(*components.mean.shape).shape
        return Mixture(n / n.sum(), components.mean, components.precision.root.reshape(shape))

    def without(self, factors: Factors, component: int) -> Factors:
        """Compute the factors after the points of a component are assigned to the others."""
        table = self.table(factors)
        offset = np.where(np.arange(len(table.offset)) == component, -np.inf, table.offset)
        return self.update(factors, fold(self.density.blocks, replace(table, offset=offset), self.threads))

    def _at(self, mixture: Mixture) -> Factors:
        """Return factors whose expected precisions are those of a mixture; only a first update uses them."""
        layout, prior = self.layout, self.precision_prior
        root = mixture.core_roots.reshape(*layout.own, layout.side, layout.side)
        chol = np.linalg.inv(root)
        dof = np.broadcast_to(prior.dof, layout.own)
        scale = dof[..., None, None] * (chol @ np.swapaxes(chol, -1, -2))
        spread = layout.spread(np.swapaxes(root, -1, -2) @ root)
        tilt = np.empty(0)
        shares = self.weights.shares.base + self.weights.shares.slope
        if self.weights.concentration is not None:
            tilt = self.weights.best_tilt(shares)
        return Factors(shares, tilt, Components(mixture.mean, spread, Wisharts(dof, scale)))

    def sort_sticks(self, factors: Factors) -> Factors:
        """Reorder the components to maximise the bound of a stick-breaking prior.

        Components are sorted by weight, largest first [1]_. The last one has no stick of its own, so that each
        component is tried in the last place.

        References
        ----------
        .. [1] Kurihara, Welling & Teh (2007), Proc. 20th IJCAI, 2796-2801.
        """
        n = self.fold(factors).n
        heaviest_first = np.argsort(-n, kind="stable").tolist()
        orders = [[k for k in heaviest_first if k != last] + [last] for last in reversed(heaviest_first)]
        order = max(orders, key=lambda order: self._weights_share(factors, n[order]))
        shares, tilt = self.weights.update(factors.shares, factors.tilt, n[order])
        return Factors(shares, tilt, self._reordered(factors.components, order))

    def sort_exchangeable(self, factors: Factors) -> Factors:
        """Reorder components by their means if the weights' prior treats all alike: rounding must not choose the order.

        Equal optima, found from rows in parts of other sizes, may differ in this order. The draws depend on it.
        """
        if not self.density.model.weights.is_exchangeable():
            return factors
        order = order_of_means(factors.components.mean, self.density.groups).tolist()
        return replace(factors, shares=factors.shares[:, order], components=self._reordered(factors.components, order))

    def _reordered(self, now: Components, order: list[int]) -> Components:
        precision = now.precision
        if self.layout.own[0] > 1:
            precision = Wisharts(precision.dof[order], precision.scale[order])
        return Components(now.mean[order], now.spread[order], precision)

    def _weights_share(self, factors: Factors, n: Array) -> float:
        """Contribution of the optimal factors of the weights to the bound, given the points of each component (K,)."""
        shares, tilt = self.weights.update(factors.shares, factors.tilt, n)
        return float(n @ self.weights.log_weight(shares)) - self.weights.divergence(shares, tilt)

    def flatten(self, factors: Factors) -> Array:
        """Return the factors as unconstrained numbers."""
        now = factors.components
        precision = now.precision
        parts = [
            np.log(factors.shares),
            np.log(np.maximum(-factors.tilt, MIN_TILT)),
            now.mean,
            self.means.flatten(now.spread),
            np.log(precision.dof - (precision.side - 1)),
            log_cholesky(precision.chol),
        ]
        return np.concatenate([part.ravel() for part in parts])

    def unflatten(self, numbers: Array) -> Factors:
        """Return the factors from unconstrained numbers: the inverse of ``flatten``.

        Raises
        ------
        FloatingPointError
            If degrees of freedom are not finite, or not above their minimum.
        """
        layout, d = self.layout, self.density.n_features
        base, own = self.weights.shares.base, layout.own
        learned = int(self.weights.concentration is not None)
        sizes = [base.size, learned, layout.n_components * d, self.means.spread_size(), own[0] * own[1]]
        shares, tilt, mean, spread, dof, scale = np.split(numbers, np.cumsum(sizes))
        chol = from_log_cholesky(scale.reshape(*own, -1), layout.side)
        least = layout.side - 1.0
        degrees = np.exp(dof).reshape(own) + least
        if not ((degrees > least) & np.isfinite(degrees)).all():
            raise FloatingPointError("these numbers are no valid factors: degrees of freedom are at their limit")
        precision = Wisharts(degrees, chol @ np.swapaxes(chol, -1, -2))
        components = Components(mean.reshape(-1, d), self.means.unflatten(spread), precision)
        return Factors(np.exp(shares).reshape(base.shape), -np.exp(tilt), components)

    def draw(self, rng: np.random.Generator, factors: Factors, size: int) -> tuple[Array, Array]:
        """Draw (size, P) coordinates of the log posterior; return them and their log densities (size,)."""
        logits, log_q_weights = self.weights.draw(rng, size, factors.shares, factors.tilt)
        root, log_q_roots = factors.components.precision.draw(rng, size)
        mean, log_q_means = self.means.draw(rng, factors.components, root)
        q = [logits, mean.reshape(size, -1), log_cholesky(root).reshape(size, -1)]
        return np.concatenate(q, axis=1), log_q_weights + log_q_roots + log_q_means

    def on(self, density: LogPosterior) -> "Ascent":
        """Return the same updates for other points."""
        return replace(self, density=density)
