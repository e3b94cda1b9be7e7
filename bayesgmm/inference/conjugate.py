r"""Variational factors of a mean-field approximation: Dirichlets, Wisharts, and a concentration on a grid.

Precisions are stored as square blocks, so that the formulas are the same for all families: a full family has one
D x D block per component, a diagonal one D blocks of 1 x 1. A family with shared precisions has fewer blocks of its
own. They are *spread* over components and features, and the statistics of the data are *pooled* over them.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from bayesgmm.errors import DegenerateComponent
from bayesgmm.families.family import Family
from bayesgmm.inference.weight_shares import Shares, weight_shares
from bayesgmm.late import Late
from bayesgmm.priors.scalars import Scalar, log_densities
from bayesgmm.priors.weights import WeightsPrior
from bayesgmm.sweep.matrices import lower_triangle
from bayesgmm.sweep.stats import Array

special = Late("scipy.special")

GRID = 2001  # number of grid points of a concentration's factor
TAIL = 1e-12  # the grid covers the prior of a concentration between these quantiles ...
BEYOND = np.log(1e3)  # ... and this much more on both sides, at most the width of the prior
MIN_TILT = 1e-300


@dataclass(frozen=True)
class Layout:
    """Layout of a family's own precisions over components and features.

    Parameters
    ----------
    n_components, n_groups, side : int
        K, G, p: a component's precision has G blocks of p x p, and D = G p.
    own : (int, int)
        Numbers of distinct components and of distinct blocks (M, W); shared ones count once.

    Examples
    --------
    >>> from bayesgmm.families.structures import COVARIANCES
    >>> layout = Layout.of(COVARIANCES["tied"], n_components=3, n_features=2)
    >>> layout.spread(np.eye(2)[None, None]).shape
    (3, 1, 2, 2)
    >>> layout.pool(np.ones((3, 1)))
    array([[3.]])
    """

    n_components: int
    n_groups: int
    side: int
    own: tuple[int, int]

    @classmethod
    def of(cls, family: Family, n_components: int, n_features: int) -> "Layout":
        """Return the layout of a family."""
        count, width = family.core_shape(n_components, n_features)[:2]
        side = family.form.block_size(n_features)
        return cls(n_components, n_features // side, side, (count, width // side))

    def spread(self, own: Array) -> Array:
        """Broadcast the family's own (M, W, ...) to (K, G, ...)."""
        if own.shape[:2] == (self.n_components, self.n_groups):
            return own
        return np.broadcast_to(own, (self.n_components, self.n_groups, *own.shape[2:]))

    def pool(self, each: Array) -> Array:
        """Sum (K, G, ...) over components and blocks that share a precision: (M, W, ...)."""
        shared = tuple(i for i in (0, 1) if self.own[i] < each.shape[i])
        return each.sum(axis=shared, keepdims=True)

    def blocks(self, square: Array) -> Array:
        """Convert a table's squares, (K, D, D) or diagonals (K, D), to blocks (K, G, p, p)."""
        return square[:, None] if square.ndim == 3 else square[:, :, None, None]

    def vectors(self, rows: Array) -> Array:
        """Reshape (..., D) to (..., G, p)."""
        return rows.reshape(*rows.shape[:-1], self.n_groups, self.side)

    def table_roots(self, own: Array) -> Array:
        """Convert the family's own roots (M, W, p, p) to those of a table, (K, D, D) or (K, D)."""
        roots = self.spread(own)
        return roots[:, :, 0, 0] if self.side == 1 and self.n_groups > 1 else roots[:, 0]


def log_cholesky(factor: Array) -> Array:
    """Convert lower-triangular matrices to unconstrained numbers (..., p (p + 1) / 2): by rows, with a log diagonal."""
    side = factor.shape[-1]
    logged = factor.copy()
    logged[..., range(side), range(side)] = np.log(logged[..., range(side), range(side)])
    return logged[..., *lower_triangle(side)]


def from_log_cholesky(numbers: Array, side: int) -> Array:
    """Convert unconstrained numbers to lower-triangular matrices (..., p, p): the inverse of ``log_cholesky``."""
    factor = np.zeros((*numbers.shape[:-1], side, side))
    factor[..., *lower_triangle(side)] = numbers
    factor[..., range(side), range(side)] = np.exp(factor[..., range(side), range(side)])
    return factor


def outer(vector: Array) -> Array:
    """Compute the outer product of a vector with itself (..., p, p)."""
    return vector[..., :, None] * vector[..., None, :]


def quadratic(matrix: Array, vector: Array) -> Array:
    """Compute the quadratic form vector' matrix vector (...)."""
    return np.einsum("...i,...ij,...j->...", vector, matrix, vector)


def trace_of_product(a: Array, b: Array) -> Array:
    """Compute the trace of the product of two symmetric matrices (...)."""
    return (a * b).sum(axis=(-1, -2))


def diagonal_of(matrix: Array) -> Array:
    """Return the diagonal of matrices (..., p)."""
    return np.diagonal(matrix, axis1=-2, axis2=-1)


@dataclass(frozen=True)
class Wisharts:
    r"""Independent Wishart factors of precisions, :math:`\Lambda \sim \mathrm{Wishart}(\text{dof}, \text{scale}^{-1})`.

    Parameters
    ----------
    dof : (M, W) float
    scale : (M, W, p, p) float

    Examples
    --------
    >>> Wisharts(np.array([[4.0]]), np.array([[[[2.0]]]])).mean
    array([[[[2.]]]])
    """

    dof: Array
    scale: Array

    @property
    def side(self) -> int:
        """Number of rows of a precision block."""
        return self.scale.shape[-1]

    @cached_property
    def chol(self) -> Array:
        """Cholesky factors of the scales.

        Raises
        ------
        DegenerateComponent
            If a scale is not positive definite to working precision.
        """
        try:
            return np.linalg.cholesky(self.scale)
        except np.linalg.LinAlgError:
            raise DegenerateComponent(
                "the scale of a precision is singular to working precision.\n"
                "  Try a stronger prior of the covariances, or drop duplicate columns."
            ) from None

    @cached_property
    def inverse_chol(self) -> Array:
        """Inverses of ``chol``, lower triangular."""
        return np.tril(np.linalg.inv(self.chol))

    @property
    def root(self) -> Array:
        """Lower-triangular roots of the expected precisions."""
        return np.sqrt(self.dof)[..., None, None] * self.inverse_chol

    @cached_property
    def inverse_scale(self) -> Array:
        """Inverses of the scales (M, W, p, p)."""
        return np.swapaxes(self.inverse_chol, -1, -2) @ self.inverse_chol

    @cached_property
    def mean(self) -> Array:
        """Expected precisions."""
        return self.dof[..., None, None] * self.inverse_scale

    @cached_property
    def _log_det_scale(self) -> Array:
        return 2 * np.log(diagonal_of(self.chol)).sum(axis=-1)

    @cached_property
    def log_det(self) -> Array:
        """(M, W) expected log determinants of the precisions."""
        i = np.arange(self.side)
        series = special.digamma((self.dof[..., None] - i) / 2).sum(axis=-1)
        return series + self.side * np.log(2) - self._log_det_scale

    @cached_property
    def _log_constant(self) -> Array:
        """(M, W) log normalising constant of the density of the precision."""
        half = self.dof / 2
        return half * (self._log_det_scale - self.side * np.log(2)) - multigammaln_of(half, self.side)

    def divergence(self, prior: "Wisharts") -> float:
        """Compute the Kullback-Leibler divergence from a prior, one Wishart for all or one for each, in nats."""
        gap = self._log_constant - prior._log_constant + 0.5 * (self.dof - prior.dof) * self.log_det
        ratio = trace_of_product(prior.scale, self.inverse_scale)
        return float((gap - 0.5 * self.dof * (self.side - ratio)).sum())

    def draw(self, rng: np.random.Generator, size: int) -> tuple[Array, Array]:
        """Draw roots (size, M, W, p, p); return them and their log densities (size,) in log-diagonal coordinates.

        The method is Bartlett's decomposition from the bottom row up: with unit scale the entries are independent.
        """
        side = self.side
        powers = self.dof[..., None] - side + 1 + np.arange(side)
        bartlett = np.tril(rng.normal(size=(size, *self.scale.shape)), -1)
        bartlett[..., range(side), range(side)] = np.sqrt(rng.chisquare(powers, size=(size, *powers.shape)))
        root = bartlett @ self.inverse_chol
        value = (powers * np.log(diagonal_of(root))).sum(axis=-1) - 0.5 * (bartlett**2).sum(axis=(-1, -2))
        # a factor two per row is the Jacobian of the precision; that of the log diagonal is in the powers
        return root, (value + self._log_constant + side * np.log(2)).sum(axis=(-1, -2))

    def step_towards(self, other: "Wisharts", rate: float) -> "Wisharts":
        """Take a step of size ``rate`` in the natural parameters."""
        dof = (1 - rate) * self.dof + rate * other.dof
        return Wisharts(dof, (1 - rate) * self.scale + rate * other.scale)


def multigammaln_of(a: Array, side: int) -> Array:
    """Compute the log multivariate gamma function of an array."""
    return np.asarray(special.multigammaln(a, side)) if a.size else np.zeros_like(a)


@dataclass(frozen=True)
class Concentration:
    r"""Factor of a concentration: a density of its logarithm, normalised by sums over a grid.

    .. math:: q(\log \alpha) \propto p(\log \alpha) \, e^{g(\alpha) + \alpha t}

    where g is the log normaliser of the weights' Dirichlet distributions, and the *tilt* t is the expectation of their
    log shares. Only the integral is approximated.

    Parameters
    ----------
    log_alpha : (G,) float
        Evenly spaced.
    base : (G,) float
        ``log p + g`` there.
    """

    log_alpha: Array
    base: Array

    @classmethod
    def of(cls, prior: Scalar, shares: Shares) -> "Concentration":
        """Make the factor from the prior of a concentration and the Dirichlets of the weights."""
        low, high = np.log(prior.quantile(np.array([TAIL, 1 - TAIL])))
        beyond = min(BEYOND, high - low)
        grid = np.linspace(low - beyond, high + beyond, GRID)
        entries = prior.params(1)
        log_prior = log_densities(entries, grid)
        parameters = shares.base + shares.slope * np.exp(grid)[:, None, None]
        normaliser = (special.gammaln(parameters.sum(-1)) - special.gammaln(parameters).sum(-1)).sum(-1)
        return cls(grid, log_prior + normaliser)

    @property
    def _step(self) -> float:
        return float(self.log_alpha[1] - self.log_alpha[0])

    def solve(self, tilt: float) -> tuple[float, float]:
        """Compute the log normaliser and the expected concentration."""
        log_mass = self.base + np.exp(self.log_alpha) * tilt
        total = special.logsumexp(log_mass)
        return float(total + np.log(self._step)), float(np.exp(special.logsumexp(log_mass + self.log_alpha) - total))

    def draw(self, rng: np.random.Generator, size: int, tilt: float) -> tuple[Array, Array]:
        """(size,) log concentrations and the log density of each: linear between the points of the grid."""
        log_mass = self.base + np.exp(self.log_alpha) * tilt
        mass = np.exp(log_mass - special.logsumexp(log_mass))
        chosen = self.log_alpha[rng.choice(mass.size, size=size, p=mass / mass.sum())]
        drawn = chosen + self._step * (
            rng.uniform(size=size) + rng.uniform(size=size) - 1
        )  # a triangular density around each grid point
        return drawn, np.log(np.interp(drawn, self.log_alpha, mass / self._step))


@dataclass(frozen=True)
class WeightsFactor:
    """Factors of the weights' shares (Dirichlet distributions) and of their concentration, if it is learned.

    Parameters
    ----------
    shares : Shares
    concentration : Concentration, optional
    """

    shares: Shares
    concentration: Concentration | None

    @classmethod
    def of(cls, prior: WeightsPrior, n_components: int) -> "WeightsFactor":
        """Make it from a resolved prior."""
        shares = weight_shares(prior, n_components)
        given = prior.concentration
        return cls(shares, Concentration.of(given, shares) if isinstance(given, Scalar) else None)

    def expected_prior(self, tilt: Array) -> tuple[float, Array]:
        """Compute the expected log normaliser of the prior and the expected parameters of the Dirichlets (M, J)."""
        if self.concentration is None:
            base = self.shares.base
            return float((special.gammaln(base.sum(-1)) - special.gammaln(base).sum(-1)).sum()), base
        log_normaliser, alpha = self.concentration.solve(float(tilt[0]))
        return log_normaliser - alpha * float(tilt[0]), self.shares.base + self.shares.slope * alpha

    def log_shares(self, parameters: Array) -> Array:
        """Compute the expected log shares (M, J)."""
        return special.digamma(parameters) - special.digamma(parameters.sum(axis=-1, keepdims=True))

    def log_weight(self, parameters: Array) -> Array:
        """Compute the expected log weights (K,)."""
        return np.einsum("kmj,mj->k", self.shares.path, self.log_shares(parameters))

    def mean_weight(self, parameters: Array) -> Array:
        """Compute the expected weights (K,): products of expected shares, because the Dirichlets are independent.

        Examples
        --------
        Sticks Beta(1, 1) and Beta(3, 1): a half, three quarters of the remainder, and the rest.

        >>> from bayesgmm.priors.weights import DirichletProcess
        >>> WeightsFactor.of(DirichletProcess(1.0), 3).mean_weight(np.array([[1.0, 1.0], [3.0, 1.0]]))
        array([0.5  , 0.375, 0.125])
        """
        share = parameters / parameters.sum(axis=-1, keepdims=True)
        return np.where(self.shares.path > 0, share, 1.0).prod(axis=(1, 2))

    def update(self, parameters: Array, tilt: Array, n: Array, rate: float = 1.0) -> tuple[Array, Array]:
        """Update both factors in turn, given the number of points of each component (K,)."""
        counts = np.einsum("kmj,k->mj", self.shares.path, n)
        parameters = (1 - rate) * parameters + rate * (self.expected_prior(tilt)[1] + counts)
        return parameters, (1 - rate) * tilt + rate * self.best_tilt(parameters)

    def best_tilt(self, parameters: Array) -> Array:
        """Compute the optimal tilt (1,) given the shares; empty (0,) if the concentration is fixed."""
        if self.concentration is None:
            return np.empty(0)
        return np.array([(self.shares.slope * self.log_shares(parameters)).sum()])

    def divergence(self, parameters: Array, tilt: Array) -> float:
        """Compute the Kullback-Leibler divergence from the prior, in nats."""
        constant, expected = self.expected_prior(tilt)
        own = special.gammaln(parameters.sum(axis=-1)).sum() - special.gammaln(parameters).sum()
        return float(own - constant + ((parameters - expected) * self.log_shares(parameters)).sum())

    def draw(self, rng: np.random.Generator, size: int, parameters: Array, tilt: Array) -> tuple[Array, Array]:
        """Draw logits and the log concentration (size, K - 1 or K); return them and their log densities (size,).

        The map from logits of sticks to logits of weights is triangular with a unit diagonal, so the density is the
        same in both.
        """
        # if G is Gamma(a + 1) and E exponential, G exp(-E / a) is Gamma(a): small parameters would underflow
        shape = (size, *parameters.shape)
        log_gamma = np.log(rng.gamma(parameters + 1, size=shape)) - rng.exponential(size=shape) / parameters
        log_share = log_gamma - special.logsumexp(log_gamma, axis=-1, keepdims=True) if log_gamma.size else log_gamma
        log_weight = np.einsum("kmj,smj->sk", self.shares.path, log_share)
        log_q = (parameters * log_share).sum(axis=(-1, -2))
        log_q += special.gammaln(parameters.sum(axis=-1)).sum() - special.gammaln(parameters).sum()
        logits = log_weight[:, :-1] - log_weight[:, -1:]
        if self.concentration is None:
            return logits, log_q
        log_alpha, log_q_alpha = self.concentration.draw(rng, size, float(tilt[0]))
        return np.column_stack([logits, log_alpha]), log_q + log_q_alpha
