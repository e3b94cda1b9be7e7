r"""Maximisation for factor analysers: one step of EM for loadings and noise, and the maximum for given scatters.

.. math:: \Sigma_k = \Lambda_k \Lambda_k^\top + \Psi_k

A root is (D, q + 1): loadings W in standard deviations of the noise, and last the reciprocals of these, as in
``sweep.factor_tables``. S is the number of mixtures, K that of components, q that of factors.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bayesgmm.blas import one_blas_thread
from bayesgmm.sweep.factor_tables import covariances, inner, projection
from bayesgmm.sweep.stats import Array

if TYPE_CHECKING:
    from scipy.optimize import OptimizeResult

MIN_NOISE = 1e-6  # minimum variance of the noise in a column, as a share of what the factors explain there
TINY = 1e-30
COMMON = 0.9  # maximum share of a column's variance that the factors explain at a start
STEPS = 500  # maximum number of iterations for given scatters
SLOPE = 1e-9  # at which they end, for a point and a coordinate
REACHED = 1e-9  # nats for a point: the covariances are those of the scatters


@dataclass(frozen=True)
class Restriction:
    """Restriction of loadings and noise.

    Parameters
    ----------
    n_factors : int
        q.
    ties_loadings, ties_noise : bool
        True if they are equal for all components.
    isotropic : bool
        True if the noise of a component has the same variance in all columns.
    """

    n_factors: int
    ties_loadings: bool
    ties_noise: bool
    isotropic: bool

    def pooled_noise(self, noise: Array, n: Array) -> Array:
        """Average variances (S, K, D) of components with n points (S, K) over those that must be equal."""
        if self.isotropic:
            noise = np.broadcast_to(noise.mean(axis=-1, keepdims=True), noise.shape)
        return _averaged(noise, n) if self.ties_noise else noise


@dataclass(frozen=True)
class Moments:
    """What a step needs of the scatters C_k (sums of squares about the means) of S mixtures.

    Parameters
    ----------
    n : (S, K) float
        Numbers of points.
    product : (S, K, D, q) float
        C B, with the projection B of the roots before.
    square : (S, K, D) float
        Diagonal of C.
    """

    n: Array
    product: Array
    square: Array


def _averaged(values: Array, n: Array) -> Array:
    """Average values (S, K, ...) of components with n points (S, K), the same for all."""
    share = (n / n.sum(axis=1, keepdims=True)).reshape(*n.shape, *[1] * (values.ndim - 2))
    return np.broadcast_to((share * values).sum(axis=1, keepdims=True), values.shape)


def improved(moments: Moments, before: Array, restriction: Restriction) -> Array:
    """Take one step of EM for the factors: roots (S, K, D, q + 1) whose expected likelihood is no lower than before.

    Labels of the points stay as they are; the loadings are maximised first, then the noise. The noise keeps a small
    share of each column's variance: the likelihood may be highest at the boundary, where EM would not converge.

    References
    ----------
    .. [1] Ghahramani & Hinton (1997), The EM algorithm for mixtures of factor analyzers, CRG-TR-96-1.
    .. [2] McNicholas & Murphy (2008), Stat. Comput. 18, 285-296.
    """
    n, product = moments.n, moments.product
    spread = np.swapaxes(projection(before), -1, -2) @ product
    second = n[..., None, None] * np.linalg.inv(inner(before[..., :-1])) + (spread + np.swapaxes(spread, -1, -2)) / 2
    loadings = _loadings(product, second, before[..., -1] ** 2, restriction)
    left = moments.square - 2 * (loadings * product).sum(axis=-1) + ((loadings @ second) * loadings).sum(axis=-1)
    return _roots(loadings, left / n[..., None], n, restriction)


def _loadings(product: Array, second: Array, precision: Array, restriction: Restriction) -> Array:
    if not restriction.ties_loadings:
        return np.asarray(product @ np.linalg.inv(second))
    weighted = np.einsum("skj,skab->sjab", precision, second)
    both = np.linalg.solve(weighted, np.einsum("skj,skja->sja", precision, product)[..., None])[..., 0]
    return np.broadcast_to(both[:, None], product.shape)


def _roots(loadings: Array, noise: Array, n: Array, restriction: Restriction) -> Array:
    """Make roots of loadings and of variances of the noise, which are pooled, and not too small."""
    explained = restriction.pooled_noise((loadings**2).sum(axis=-1), n)
    noise = np.maximum(restriction.pooled_noise(noise, n), np.maximum(MIN_NOISE * explained, TINY))
    precision = 1 / np.sqrt(noise)[..., None]
    return np.concatenate([loadings * precision, precision], axis=-1)


def columns_without_noise(roots: Array, restriction: Restriction) -> Array:
    """Count the columns (...) whose noise is at its minimum: with more than q the covariance is singular."""
    explained = (roots[..., :-1] ** 2).sum(axis=-1)  # in variances of the noise
    if restriction.isotropic:
        explained = explained.mean(axis=-1, keepdims=True)
    at_least = (explained > (1 - 1e-3) / MIN_NOISE).sum(axis=-1)
    return np.asarray(at_least * (roots.shape[-2] if restriction.isotropic else 1))


def principal(scatter: Array, n: Array, restriction: Restriction) -> Array:
    """Compute roots from the principal axes of scatters (S, K, D, D): a start.

    The axes are those of the correlations, or of the covariances where the noise is isotropic.

    References
    ----------
    .. [1] Tipping & Bishop (1999), Neural Computation 11(2), 443-482.
    """
    q, d = restriction.n_factors, scatter.shape[-1]
    core = scatter / n[..., None, None]
    variance = np.diagonal(core, axis1=-2, axis2=-1)
    about = _averaged(core, n) if restriction.ties_loadings else core
    sd = np.sqrt(np.maximum(np.diagonal(about, axis1=-2, axis2=-1), TINY))
    if restriction.isotropic:
        sd = np.broadcast_to(sd.mean(axis=-1, keepdims=True), sd.shape)
    values, axes = np.linalg.eigh(about / (sd[..., :, None] * sd[..., None, :]))
    rest = np.maximum(values[..., :-q].mean(axis=-1, keepdims=True), 0.0) if q < d else np.zeros_like(values[..., :1])
    length = np.sqrt(np.maximum(values[..., -q:] - rest, MIN_NOISE))
    loadings = sd[..., None] * axes[..., -q:] * length[..., None, :]
    explained = (loadings**2).sum(axis=-1)
    loadings = loadings * np.sqrt(np.minimum(1.0, COMMON * variance / np.maximum(explained, TINY)))[..., None]
    if restriction.ties_loadings:
        loadings = np.broadcast_to(loadings[:, :1], loadings.shape)
    return _roots(loadings, variance - (loadings**2).sum(axis=-1), n, restriction)


def maximum(scatter: Array, n: Array, restriction: Restriction, more_starts: int = 0) -> Array:
    """Maximise the likelihood of scatters (S, K, D, D) over roots of one restriction, by L-BFGS from principal axes.

    The likelihood has several maxima where the factors can't explain the scatters: at most of them, columns of some
    component have almost no noise [2]_, and from the principal axes a lower one may be reached. The highest that is
    found also from ``more_starts`` random ones is returned, unless the first has the covariances of the scatters.

    References
    ----------
    .. [1] Lawley & Maxwell (1971), Factor Analysis as a Statistical Method, chapter 4.
    .. [2] Rubin & Thayer (1982), EM algorithms for ML factor analysis, Psychometrika 47(1), 69-76.
    """
    begun = np.array([principal(scatter, n, restriction), *_random_starts(scatter, n, restriction, more_starts)])
    with one_blas_thread():
        parts = zip(scatter, n, np.swapaxes(begun, 0, 1), strict=True)
        return np.array([_Objective(own, count, restriction).highest(starts) for own, count, starts in parts])


def _random_starts(scatter: Array, n: Array, restriction: Restriction, count: int) -> list[Array]:
    """Draw roots whose factors explain about half of each column's variance, the same for the same scatters."""
    variance = _averaged(np.diagonal(scatter, axis1=-2, axis2=-1) / n[..., None], n)[..., None]
    rng, shape = np.random.default_rng(0), (scatter.shape[-1], restriction.n_factors)
    made = []
    for _ in range(count):
        loadings = rng.normal(size=(1 if restriction.ties_loadings else n.shape[1], *shape))
        loadings = loadings * np.sqrt(variance / (2 * restriction.n_factors))
        made.append(_roots(loadings, variance[..., 0] / 2, n, restriction))
    return made


@dataclass(frozen=True)
class _Objective:
    """Minus the mean log likelihood of one mixture's scatters, over loadings in their own units and log variances."""

    scatter: Array
    n: Array
    restriction: Restriction

    def highest(self, starts: Array) -> Array:
        """Return the roots (K, D, q + 1) at the lowest of the minima that starts (M, K, D, q + 1) lead to."""
        least, roots = self.solved(starts[0])
        for start in starts[1:]:
            if least < self._bound() + REACHED:
                break
            value, found = self.solved(start)
            if value < least:
                least, roots = value, found
        return roots

    def _bound(self) -> float:
        """Return the value at covariances without restriction: no other is lower."""
        log_det = np.linalg.slogdet(self.scatter / self.n[:, None, None])[1]
        return float(0.5 * (self.n @ log_det / self.n.sum() + self.scatter.shape[-1]))

    def solved(self, root: Array) -> tuple[float, Array]:
        """Return the value and the roots (K, D, q + 1) at the minimum that is reached from roots."""
        from scipy.optimize import minimize

        shape = self._shape(root.shape)
        loadings = (root[..., :-1] / root[..., -1:])[: shape[0]]
        noise = self._different(-2 * np.log(root[..., -1]), shape)
        start = np.concatenate([loadings.ravel(), noise.ravel()])
        unit = np.concatenate([np.repeat(1 / root[: shape[0], :, -1].ravel(), root.shape[-1] - 1), np.ones(noise.size)])
        variance = np.diagonal(self.scatter, axis1=1, axis2=2) / self.n[:, None]
        least = np.log(MIN_NOISE * np.maximum(self.restriction.pooled_noise(variance[None], self.n[None])[0], TINY))
        bounds = [(None, None)] * loadings.size + [(low, None) for low in self._different(least, shape).ravel()]

        def scaled(z: Array) -> tuple[float, Array]:
            value, grad = self(unit * z, root.shape)
            return value, unit * grad

        with np.errstate(all="ignore"):
            options = {"maxiter": STEPS, "maxcor": 20, "gtol": SLOPE, "ftol": 0.0}
            result: OptimizeResult = minimize(
                scaled, start / unit, jac=True, method="L-BFGS-B", bounds=bounds, options=options
            )
        loadings, noise = self._parts(unit * result.x, root.shape)
        return float(result.fun), _roots(loadings[None], np.exp(noise)[None], self.n[None], self.restriction)[0]

    def _shape(self, shape: tuple[int, ...]) -> tuple[int, int, int]:
        """Return the numbers of different loadings, of different noises, and of variances of each."""
        k, d, _ = shape
        own = self.restriction
        return 1 if own.ties_loadings else k, 1 if own.ties_noise else k, 1 if own.isotropic else d

    @staticmethod
    def _different(noise: Array, shape: tuple[int, int, int]) -> Array:
        """Select those of the variances (K, D) that differ."""
        return noise[: shape[1], : shape[2]]

    def _parts(self, q: Array, shape: tuple[int, ...]) -> tuple[Array, Array]:
        """Return loadings (K, D, q) and logarithms of the noise (K, D)."""
        (k, d, width), (first, second, columns) = shape, self._shape(shape)
        loadings, noise = np.split(q, [first * d * (width - 1)])
        whole = np.broadcast_to(loadings.reshape(first, d, width - 1), (k, d, width - 1))
        return whole, np.broadcast_to(noise.reshape(second, columns), (k, d))

    def __call__(self, q: Array, shape: tuple[int, ...]) -> tuple[float, Array]:
        """Return the value and its gradient."""
        loadings, noise = self._parts(q, shape)
        precision = np.exp(-0.5 * noise)[..., None]
        root = np.concatenate([loadings * precision, precision], axis=-1)
        total, first, second, columns = self.n.sum(), *self._shape(shape)
        inverse = np.linalg.inv(covariances(root))
        if not np.isfinite(inverse).all():
            return np.inf, np.zeros_like(q)
        log_det = np.linalg.slogdet(inner(root[..., :-1]))[1] + noise.sum(axis=-1)
        weighted = self.scatter @ inverse
        value = 0.5 * (self.n @ log_det + np.trace(weighted, axis1=1, axis2=2).sum()) / total
        slope = (self.n[:, None, None] * inverse - inverse @ weighted) / total
        by_loadings = slope @ loadings
        by_noise = 0.5 * np.diagonal(slope, axis1=1, axis2=2) * np.exp(noise)
        by_loadings = by_loadings.sum(axis=0, keepdims=True) if first < len(by_loadings) else by_loadings
        by_noise = by_noise.sum(axis=0, keepdims=True) if second < len(by_noise) else by_noise
        by_noise = by_noise.sum(axis=1, keepdims=True) if columns < by_noise.shape[1] else by_noise
        return float(value), np.concatenate([by_loadings.ravel(), by_noise.ravel()])
