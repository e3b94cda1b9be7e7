"""Variational factors of means and precisions, for each prior of the means that has a conjugate update."""

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, Self, override

import numpy as np

from bayesgmm.data.standards import Standard
from bayesgmm.dispatch import by_class
from bayesgmm.errors import NotConjugate
from bayesgmm.inference.conjugate import (
    Layout,
    Wisharts,
    diagonal_of,
    from_log_cholesky,
    log_cholesky,
    outer,
    quadratic,
    trace_of_product,
)
from bayesgmm.priors.covariances import (
    CovariancesPrior,
    DecomposedCovariance,
    LKJCovariance,
    MultiplicativeGamma,
    WishartPrecision,
)
from bayesgmm.priors.means import ConjugateMeans, HierarchicalMeans, MeansPrior, NormalMeans
from bayesgmm.priors.scalars import Scalar
from bayesgmm.sweep.stats import LOG_2PI, Array, Stats


@dataclass(frozen=True)
class Components:
    """Factors of the means and precisions.

    Parameters
    ----------
    mean : (K, D) float
        Expected means.
    spread : array
        Precision of the means: (K,) equivalent numbers of points, or (K, G, p, p) precision matrices.
    precision : Wisharts
        Factors of the family's own precisions.
    """

    mean: Array
    spread: Array
    precision: Wisharts

    @cached_property
    def inverse_spread(self) -> Array:
        """Covariances (K, G, p, p) of the means, where ``spread`` are matrices."""
        return np.linalg.inv(self.spread)


class MeansFactor(Protocol):
    """Updates of the factors of means and precisions under a prior of the means."""

    @classmethod
    def of(cls, prior: MeansPrior, standard: Standard, layout: Layout) -> Self:
        """Make it from a resolved prior, in standardised coordinates."""

    def update(self, now: Components, prior: Wisharts, stats: Stats, rate: float = 1.0) -> Components:
        """Return the optimal factors given the statistics, or a step of size ``rate`` towards them."""

    def spread_cost(self, now: Components) -> Array:
        """(K,) contribution of the means' uncertainty to the expected squared distance of a point."""

    def divergence(self, now: Components) -> float:
        """Kullback-Leibler divergence of the means' factors from their prior."""

    def draw(self, rng: np.random.Generator, now: Components, root: Array) -> tuple[Array, Array]:
        """(S, K, D) means given the precisions' roots (S, M, W, p, p), and their log densities (S,)."""

    def pseudo_counts(self, now: Components) -> Array | None:
        """(K,) equivalent number of points of each mean; None where means and precisions are independent."""

    def flatten(self, spread: Array) -> Array:
        """Return ``Components.spread`` as unconstrained numbers."""

    def unflatten(self, numbers: Array) -> Array:
        """Return ``Components.spread`` from unconstrained numbers."""

    def spread_size(self) -> int:
        """Count the numbers that ``flatten`` returns."""


def scatter(layout: Layout, stats: Stats, mean: Array) -> Array:
    """Compute the (K, G, p, p) sums of squares of the points about ``mean`` (K, D)."""
    shift, s1 = layout.vectors(mean - stats.about), layout.vectors(stats.s1)
    cross = s1[..., :, None] * shift[..., None, :]
    squares = stats.n[:, None, None, None] * outer(shift)
    return layout.blocks(stats.s2) - cross - np.swapaxes(cross, -1, -2) + squares


def _dof(layout: Layout, prior: Wisharts, n: Array) -> Array:
    """Degrees of freedom after n points per component (K,)."""
    return prior.dof + layout.pool(np.repeat(n[:, None], layout.n_groups, axis=1))


@dataclass(frozen=True)
class NormalWishartMeans(MeansFactor):
    r"""Normal-Wishart factor of mean and precision: the exact posterior given the assignments.

    .. math:: q(\mu_k \mid \Lambda_k) = \mathrm{Normal}(m_k, (\beta_k \Lambda_k)^{-1})

    Parameters
    ----------
    layout : Layout
    location : (D,) float
    strength : float
    """

    layout: Layout
    location: Array
    strength: float

    @override
    @classmethod
    def of(cls, prior: MeansPrior, standard: Standard, layout: Layout) -> Self:
        *location, strength = prior.params(standard)
        return cls(layout, np.array(location), float(strength))

    @override
    def update(self, now: Components, prior: Wisharts, stats: Stats, rate: float = 1.0) -> Components:
        layout = self.layout
        strength = self.strength + stats.n
        total = self.strength * self.location + stats.n[:, None] * stats.about + stats.s1
        mean = total / strength[:, None]
        deviation = outer(layout.vectors(mean - self.location))
        scale = prior.scale + layout.pool(scatter(layout, stats, mean) + self.strength * deviation)
        best = Components(mean, strength, Wisharts(_dof(layout, prior, stats.n), scale))
        return best if rate == 1 else self._toward(now, best, rate)

    def _toward(self, now: Components, best: Components, rate: float) -> Components:
        """Take a step in the natural parameters: strength, strength mean, dof, scale + strength mean mean'."""
        old, new = (1 - rate) * now.spread, rate * best.spread
        mean = (old[:, None] * now.mean + new[:, None] * best.mean) / (old + new)[:, None]
        between = outer(self.layout.vectors(now.mean - best.mean)) * (old * new / (old + new))[:, None, None, None]
        moved = now.precision.step_towards(best.precision, rate)
        return Components(mean, old + new, Wisharts(moved.dof, moved.scale + self.layout.pool(between)))

    @override
    def spread_cost(self, now: Components) -> Array:
        return now.mean.shape[1] / now.spread

    @override
    def divergence(self, now: Components) -> float:
        ratio = self.strength / now.spread
        deviation = self.layout.vectors(now.mean - self.location)
        distance = quadratic(self.layout.spread(now.precision.mean), deviation).sum()
        per_column = ratio - 1 - np.log(ratio)
        return 0.5 * float(now.mean.shape[1] * per_column.sum() + self.strength * distance)

    @override
    def draw(self, rng: np.random.Generator, now: Components, root: Array) -> tuple[Array, Array]:
        shape = (len(root), self.layout.n_components, self.layout.n_groups)
        spread_root = np.broadcast_to(root, (*shape, *root.shape[-2:]))
        scaled = spread_root * np.sqrt(now.spread)[:, None, None, None]
        return _draw_normal(rng, now.mean, scaled)

    @override
    def pseudo_counts(self, now: Components) -> Array | None:
        return now.spread.copy()

    @override
    def flatten(self, spread: Array) -> Array:
        return np.log(spread)

    @override
    def unflatten(self, numbers: Array) -> Array:
        return np.exp(numbers)

    @override
    def spread_size(self) -> int:
        return self.layout.n_components


@dataclass(frozen=True)
class IndependentMeans(MeansFactor):
    r"""Independent factors of mean and precision: a normal prior of the mean is conjugate given the precision.

    .. math:: q(\mu_k, \Lambda_k) = \mathrm{Normal}(\mu_k \mid m_k, C_k^{-1}) \, q(\Lambda_k)

    Parameters
    ----------
    layout : Layout
    location, precision : (D,) float
        Parameters of the prior.
    """

    layout: Layout
    location: Array
    precision: Array

    @override
    @classmethod
    def of(cls, prior: MeansPrior, standard: Standard, layout: Layout) -> Self:
        location, scale = np.split(prior.params(standard), 2)
        return cls(layout, location, scale**-2.0)

    @cached_property
    def _prior_precision(self) -> Array:
        """(G, p, p)."""
        return self.layout.vectors(self.precision)[..., None] * np.eye(self.layout.side)

    @override
    def update(self, now: Components, prior: Wisharts, stats: Stats, rate: float = 1.0) -> Components:
        layout, n = self.layout, stats.n
        expected = layout.spread(now.precision.mean)
        pull = expected @ layout.vectors(n[:, None] * stats.about + stats.s1)[..., None]
        pull = pull[..., 0] + layout.vectors(self.precision * self.location)
        certainty = self._prior_precision + n[:, None, None, None] * expected
        old = np.einsum("kgij,kgj->kgi", now.spread, layout.vectors(now.mean))
        certainty = (1 - rate) * now.spread + rate * certainty
        pull = (1 - rate) * old + rate * pull
        mean = np.linalg.solve(certainty, pull[..., None])[..., 0].reshape(now.mean.shape)
        own = n[:, None, None, None] * np.linalg.inv(certainty)
        best = Wisharts(_dof(layout, prior, n), prior.scale + layout.pool(scatter(layout, stats, mean) + own))
        return Components(mean, certainty, best if rate == 1 else now.precision.step_towards(best, rate))

    @override
    def spread_cost(self, now: Components) -> Array:
        expected = self.layout.spread(now.precision.mean)
        return trace_of_product(expected, now.inverse_spread).sum(axis=1)

    @override
    def divergence(self, now: Components) -> float:
        deviation = self.layout.vectors(now.mean - self.location)
        prior = self._prior_precision
        chol = np.linalg.cholesky(now.spread)
        log_ratio = 2 * np.log(diagonal_of(chol)).sum() - len(now.mean) * np.log(self.precision).sum()
        own = trace_of_product(prior, now.inverse_spread).sum() - now.mean.size
        return 0.5 * float(own + log_ratio + quadratic(prior, deviation).sum())

    @override
    def draw(self, rng: np.random.Generator, now: Components, root: Array) -> tuple[Array, Array]:
        upper = np.swapaxes(np.linalg.cholesky(now.spread), -1, -2)
        return _draw_normal(rng, now.mean, np.broadcast_to(upper, (len(root), *upper.shape)))

    @override
    def pseudo_counts(self, now: Components) -> Array | None:
        return None

    @override
    def flatten(self, spread: Array) -> Array:
        return log_cholesky(np.linalg.cholesky(spread)).ravel()

    @override
    def unflatten(self, numbers: Array) -> Array:
        layout = self.layout
        factor = from_log_cholesky(numbers.reshape(layout.n_components, layout.n_groups, -1), layout.side)
        return factor @ np.swapaxes(factor, -1, -2)

    @override
    def spread_size(self) -> int:
        return self.layout.n_components * self.layout.n_groups * self.layout.side * (self.layout.side + 1) // 2


def _draw_normal(rng: np.random.Generator, mean: Array, root: Array) -> tuple[Array, Array]:
    """(S, K, D) normal draws, and their log densities (S,), given triangular roots (S, K, G, p, p) of precisions."""
    noise = rng.normal(size=root.shape[:-1])
    drawn = mean + np.linalg.solve(root, noise[..., None])[..., 0].reshape(len(root), *mean.shape)
    log_root = np.log(diagonal_of(root)).sum(axis=(-1, -2, -3))
    return drawn, log_root - 0.5 * ((noise**2).sum(axis=(-1, -2, -3)) + mean.size * LOG_2PI)


@by_class
def means_factor(prior: MeansPrior) -> type[MeansFactor]:
    """Return the class of the factor of the means under a prior, which need not be resolved.

    Raises
    ------
    NotConjugate
        If the prior has no conjugate update.
    """
    raise NotImplementedError


@means_factor.register
def _normal_means(prior: NormalMeans) -> type[MeansFactor]:
    if prior.is_ordered:
        raise NotConjugate("ordered NormalMeans", "means=NormalMeans(...) without ordered=True")
    return IndependentMeans


@means_factor.register
def _conjugate_means(prior: ConjugateMeans) -> type[MeansFactor]:
    return NormalWishartMeans


@means_factor.register
def _hierarchical_means(prior: HierarchicalMeans) -> type[MeansFactor]:
    raise NotConjugate("HierarchicalMeans", "means=NormalMeans(...) or ConjugateMeans(...)")


@by_class
def precisions_factor(prior: CovariancesPrior) -> type[Wisharts]:
    """Return the class of the factor of the precisions under a prior, which need not be resolved.

    Raises
    ------
    NotConjugate
        If the prior has no conjugate update.
    """
    raise NotImplementedError


@precisions_factor.register
def _wishart(prior: WishartPrecision) -> type[Wisharts]:
    if isinstance(prior.scale, Scalar):
        raise NotConjugate(
            "a WishartPrecision whose scale is learned", "covariances=WishartPrecision(...) with a fixed scale"
        )
    return Wisharts


@precisions_factor.register
def _lkj(prior: LKJCovariance) -> type[Wisharts]:
    raise NotConjugate("LKJCovariance", "covariances=WishartPrecision(...)")


@precisions_factor.register
def _decomposed(prior: DecomposedCovariance) -> type[Wisharts]:
    raise NotConjugate("DecomposedCovariance", "covariance='full' with covariances=WishartPrecision(...)")


@precisions_factor.register
def _multiplicative_gamma(prior: MultiplicativeGamma) -> type[Wisharts]:
    raise NotConjugate("MultiplicativeGamma", "covariance='full' with covariances=WishartPrecision(...)")
