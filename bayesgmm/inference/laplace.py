"""Laplace's approximation: the mode with the most posterior mass, and whitened coordinates there.

NUTS samples in these coordinates, and ADVI starts from them.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import scipy  # its parts are imported when they are used

from bayesgmm.engines import ENGINES
from bayesgmm.errors import SamplingError
from bayesgmm.inference import em, em_steps
from bayesgmm.inference.agreement import label_free
from bayesgmm.inference.engine import Progress
from bayesgmm.inference.exploration import KINDS
from bayesgmm.inference.mixtures import CovariancePrior, Exponents, Mixture, closest_wishart, weight_exponent
from bayesgmm.inference.optima import Maxima, Optimum
from bayesgmm.inference.populations import Climb
from bayesgmm.inference.starts import fewer_components
from bayesgmm.posterior.log_posterior import LogPosterior
from bayesgmm.priors.multiplicative_gamma import has_loadings
from bayesgmm.sweep.stats import Array, Table, log_densities
from bayesgmm.wording import FEWER, advice

HESSIAN_LIMIT = 4000  # maximum number of coordinates for a Hessian: beyond it the Hessian takes too long
MANY = 300  # with more coordinates than this, only the highest mode gets a Hessian
GIVEN = 4  # number of maxima of the likelihood from which the search for modes starts
SEARCHES = 8  # maximum number of searches for maxima of the likelihood of factor analysers
MAX_MAXIMA = 16  # maximum number of maxima from them
SHARE = 10  # the search for maxima of fewer components has this part of the budget for each number of them
NO_HESSIAN = ("gibbs", "vb", "map")  # methods for any number of coordinates
ALIKE = 0.1  # two mixtures are alike if their log densities at points of the data, and their weights, differ by less
STEP = 1e-4  # step of the central differences: the gradient is exact, the coordinates are of order one
MIN_CURVATURE = 1e-2  # a flatter direction than this is left to the sampler's own adaptation


@dataclass(frozen=True)
class Whitening:
    """Linear map ``q = mode + spread z`` to coordinates z in which the posterior is nearly standard normal.

    Parameters
    ----------
    mode : (P,) float
    spread : (P, P) float
    log_mass : float
        Laplace's approximation to the log posterior mass around the mode, up to a constant.
    repaired : int
        Number of directions whose curvature was not positive, or too small, and was replaced.
    about : (P,) float, optional
        Where orientations are turns of 0: q are then the coordinates of ``LogPosterior.about``.
    """

    mode: Array
    spread: Array
    log_mass: float
    repaired: int
    about: Array | None = None

    def density(self, density: LogPosterior) -> LogPosterior:
        """Return the log posterior in the coordinates q."""
        return density if self.about is None else density.about(self.about)

    def __call__(self, z: Array) -> Array:
        """Return the coordinates (..., P) of whitened coordinates z (..., P)."""
        return self.mode + z @ self.spread.T


def find_mode(density: Callable[[Array], tuple[float, Array]], start: Array) -> Array:
    """Find a mode of the log posterior (P,) by L-BFGS from ``start`` (P,)."""

    def downhill(q: Array) -> tuple[float, Array]:
        value, grad = density(q)
        return (-value, -grad) if np.isfinite(value) else (np.inf, np.zeros_like(grad))

    with np.errstate(over="ignore", invalid="ignore"):
        options = {"maxiter": 500, "maxcor": 20}
        solution = scipy.optimize.minimize(downhill, start, jac=True, method="L-BFGS-B", options=options)
    return solution.x


def hessian(density: LogPosterior, q: Array, steps: float | Array = STEP) -> Array:
    """Compute the Hessian (P, P) by central differences of the analytic gradient; ``steps`` is one or P step sizes."""
    rows = np.empty((q.size, q.size))
    for i, size in enumerate(np.broadcast_to(steps, q.shape)):
        step = np.zeros_like(q)
        step[i] = size
        rows[i] = (density(q + step)[1] - density(q - step)[1]) / (2 * size)
    return (rows + rows.T) / 2


def whiten(density: LogPosterior, mode: Array) -> Whitening:
    """Compute the linear map that whitens the posterior at a mode.

    Negative curvatures are replaced by their absolute value, small ones by a minimum.
    """
    curvature, directions = np.linalg.eigh(-hessian(density, mode))
    repaired = np.maximum(np.abs(curvature), MIN_CURVATURE)
    changed = int((curvature < MIN_CURVATURE).sum())
    log_mass = density(mode)[0] - 0.5 * float(np.log(repaired).sum())
    return Whitening(mode, directions / np.sqrt(repaired), log_mass, changed)


def straightened(density: LogPosterior, mode: Whitening) -> Whitening:
    """Return the whitening at a mode in coordinates whose orientations are turns of those there, if there are any."""
    other = density.about(mode.mode)
    if other is density:
        return mode
    q, _ = other.carried(mode.mode, np.zeros(()), density)
    return replace(whiten(other, q), log_mass=mode.log_mass, about=mode.mode)


def starting_points(density: LogPosterior, seed: int, threads: int, sweeps: int = em.SWEEPS) -> list[Array]:
    """Return the points of ``searched_points``."""
    return searched_points(density, seed, threads, sweeps)[0]


def searched_points(density: LogPosterior, seed: int, threads: int, sweeps: int) -> tuple[list[Array], float]:
    """Find starting points, in sampler coordinates: distinct local maxima of EM under the covariance prior.

    The second result is the share of starts of the search that lead to undiscovered maxima (``optima.Maxima``).

    Parameters
    ----------
    density : LogPosterior
    seed, threads : int
    sweeps : int
        Budget of the search: maximum number of sweeps for a start.

    Raises
    ------
    EmptyComponent, DegenerateComponent
        If from every start some component can't be estimated.
    """
    found = search_modes(density, seed, threads, sweeps)
    mixtures = [optimum.mixture for optimum in found.optima]
    if not mixtures:
        prior = closest_wishart(density.model.covariances, density.standard, density.model.family)
        sweep = em_steps.Sweep(density.blocks, density.model.family, prior, threads=threads)
        mixtures = [em.short_runs(sweep, density.n_components, (seed, 0), tol=1e-5)[0].mixture]
    return [_coordinates(density, mixture) for mixture in mixtures], found.undiscovered


def local_modes(density: LogPosterior, seed: int, threads: int, sweeps: int) -> list[Mixture]:
    """Return the mixtures that ``search_modes`` finds."""
    return [optimum.mixture for optimum in search_modes(density, seed, threads, sweeps).optima]


def search_modes(density: LogPosterior, seed: int, threads: int, sweeps: int) -> Maxima:
    """Search for modes by EM: half of the budget for maxima of the likelihood, which the other half starts from, too.

    Those of the posterior are modes in the sampler's coordinates, up to priors that EM can't use. It knows those of
    loadings and noise only as an inverse Wishart prior, which among many columns counts as more points than a component
    holds: its maxima are far from those of the posterior. So for factor analysers there are only maxima of the
    likelihood, from several searches.
    """
    family, k = density.model.family, density.n_components
    if has_loadings(family):
        return Maxima(maxima_of_searches(density, seed, threads, sweeps // 4))
    sweep = em_steps.Sweep(density.blocks, family, threads=threads)
    likely = [one.mixture for one in em.local_maxima(sweep, k, (seed, 0), sweeps=sweeps // 2).optima]
    prior, exponents = prior_of_coordinates(density)
    sweep = replace(sweep, prior=prior)
    return em.local_maxima(sweep, k, (seed, 1), sweeps=sweeps // 2, given=likely[:GIVEN], exponents=exponents)


def maxima_of_searches(density: LogPosterior, seed: int, threads: int, sweeps: int) -> list[Optimum]:
    """Search by EM for local maxima of the likelihood until two searches find the same highest one.

    Among many columns, each search ends in a region of its own, and a chain does not move from one to another. Returns
    the same number of maxima of each search, the highest first. Half of the starts are Ward's: a short search among
    many columns ends higher with them. A long one ends higher without.
    """
    ward = "ward on one scale" if density.model.family.needs_common_scale else "ward"
    kinds = [one for kind in KINDS for one in (ward, kind)]
    sweep = em_steps.Sweep(density.blocks, density.model.family, threads=threads)
    found: list[list[Optimum]] = []
    while len(found) < SEARCHES and not _is_confirmed(found):
        own = (seed, len(found))
        found.append(em.local_maxima(sweep, density.n_components, own, sweeps=sweeps, kinds=kinds).optima)
    best = [one for optima in found for one in optima[: MAX_MAXIMA // len(found)]]
    return sorted(best, key=lambda one: (one.fault, -one.value))


def _is_confirmed(found: list[list[Optimum]]) -> bool:
    """Return True if two searches have found the same highest maximum, or the last has found none."""
    if found and not found[-1]:
        return True
    tops = sorted((optima[0] for optima in found), key=lambda one: (one.fault, -one.value))
    return len(tops) > 1 and tops[0].is_near(tops[1].mixture, tops[1].value)


def prior_of_coordinates(density: LogPosterior) -> tuple[CovariancePrior, Exponents]:
    """Return the closest prior of the covariances as a density of the sampler's coordinates, and further exponents.

    There it is equivalent to fewer points than as a density of covariances.
    """
    model, block = density.model, density.model.family.form.block_size(density.n_features)
    prior = closest_wishart(model.covariances, density.standard, model.family)
    if not model.family.is_conjugate:  # its coordinates are not those of roots
        return prior, Exponents(weight_exponent(model.weights), np.zeros(1))
    exponents = Exponents.of_coordinates(model.weights, block)
    return replace(prior, dof=prior.dof - block - 1 - (block - 1) / 2), exponents


def climb_of(density: LogPosterior, threads: int) -> Climb:
    """Return EM for a population under the closest prior of the covariances."""
    prior = closest_wishart(density.model.covariances, density.standard, density.model.family)
    return Climb(density.blocks, density.model.family, prior, threads)


def maxima_of_fewer(density: LogPosterior, seed: int, threads: int, sweeps: int) -> list[Mixture]:
    """Search by EM for maxima of 1, 2, 3, 4, 5, 7, 9, ... components, and return them with additional empty components.

    They are starts where the number of components is only an upper bound. From a start whose components all hold
    points, surplus components empty slowly, or not at all.
    """
    numbers = fewer_components(density.n_components, density.n_labelled)
    return [one for number in numbers for one in maximum_of_fewer(density, number, seed, threads, sweeps)]


def maximum_of_fewer(density: LogPosterior, number: int, seed: int, threads: int, sweeps: int) -> list[Mixture]:
    """Return the highest maximum of a number of components, with additional empty ones; nothing if none is found."""
    family = density.model.family
    prior = closest_wishart(density.model.covariances, density.standard, family)
    sweep = em_steps.Sweep(density.blocks, family, prior, threads=threads)
    found = em.local_maxima(sweep, number, (seed, number), sweeps=max(sweeps // SHARE, 1))
    return [optimum.mixture.among(density.n_components, family) for optimum in found.optima[:1]]


def _coordinates(density: LogPosterior, mixture: Mixture) -> Array:
    """Coordinates of a mixture; its heaviest component comes first if the prior of the weights expects that."""
    weight = np.maximum(mixture.weight, 1e-3 / mixture.weight.size)  # an empty component has no logit
    if not density.model.weights.heaviest_first:
        return density.coordinates(weight / weight.sum(), mixture.mean, mixture.core_roots)
    order = np.argsort(-weight, kind="stable")
    core_roots = density.model.family.sharing.reordered(mixture.core_roots, order)
    return density.coordinates(weight[order] / weight.sum(), mixture.mean[order], core_roots)


def heavy_modes(
    density: LogPosterior, starts: list[Array], near: float = 0.0, *, by_bic: bool = False
) -> list[Whitening]:
    """Find a mode from each start; return those with the most posterior mass by Laplace's approximation.

    The highest mode can be a narrow peak with little mass.

    Parameters
    ----------
    density : LogPosterior
    starts : list of (P,) float
    near : float
        Maximum difference in log mass from the heaviest mode, which comes first, to the others that are returned.
    by_bic : bool
        True if the mass is approximated by ``bic_mass``: where components are empty, it is far from normal.
    """
    modes = sorted((find_mode(density, start) for start in starts), key=lambda q: -density(q)[0])
    distinct: list[Array] = []
    for q in modes:
        if not any(is_same_mixture(density, q, other) for other in distinct):
            distinct.append(q)
    if density.size > MANY:
        distinct = distinct[:1]
    whitened = [whiten(density, q) for q in distinct]
    if by_bic:
        whitened = [replace(mode, log_mass=bic_mass(density, mode.mode)[0]) for mode in whitened]
    whitened.sort(key=lambda mode: -mode.log_mass)
    return [mode for mode in whitened if mode.log_mass >= whitened[0].log_mass - near]


def bic_mass(density: LogPosterior, q: Array) -> tuple[float, int]:
    """Approximate the log mass of the posterior around q (P,) by BIC; return it, and the number of free parameters.

    These are the parameters of the components that hold points. The log posterior itself is higher where all components
    hold points, although fewer may have more mass, and it varies with the parameters of empty components.

    Where the number of components is fixed, the number of points is that of each component: the parameters of one that
    holds two points are hardly known better than before. (With the number of all points in its place, the mass of a
    component on two outlying points of six columns of wine is 60 nats too low.) Where it is only an upper bound, the
    number of all points takes account of the prior of the weights, by which few components hold points.

    References
    ----------
    .. [1] Schwarz (1978), Ann. Stat. 6(2), 461-464.
    .. [2] Figueiredo & Jain (2002), IEEE Trans. Pattern Anal. Mach. Intell. 24(3), 381-396: the number of points.
    """
    n_points = density.blocks.total_weight
    counts = density.parameters(q[None]).weight[0] * n_points
    counts = counts[counts > 1]
    if density.model.weights.is_overfitted or density.model.weights.draws_n_components:
        counts[:] = n_points
    each = density.n_features + density.model.family.size_per_component(density.n_features)
    return _log_likelihood(density, q) - 0.5 * each * float(np.log(counts).sum()), each * len(counts)


def _log_likelihood(density: LogPosterior, q: Array) -> float:
    """Compute the log likelihood at q (P,), up to a constant."""
    if not density.model.weights.draws_n_components:
        return density.value(q) - density.log_prior(q)
    weight, mean, core_roots = density.mixture(q[None])
    with np.errstate(divide="ignore"):
        table = Table.from_parameters(np.log(weight), mean, density.model.family.expand(core_roots, *mean.shape[1:]))
    logs = log_densities(density.blocks, table)[0]
    return float(logs @ density.blocks.weight[: density.blocks.n_points])


def is_same_mixture(density: LogPosterior, q: Array, other: Array) -> bool:
    """Return True if two modes (P,) differ at most by the labels of their components.

    Such modes have different densities where the prior of the weights treats components differently.
    """
    values = label_free(density, np.stack([q, other])[:, None], np.zeros((2, 1)))
    return bool(np.abs(values[0] - values[1]).max() < ALIKE)


def heaviest_mode(density: LogPosterior, starts: list[Array]) -> Whitening:
    """Return the first of ``heavy_modes``."""
    return heavy_modes(density, starts)[0]


def whiten_at_modes(
    density: LogPosterior, seed: int, cores: int, progress: Progress, sweeps: int = em.SWEEPS, near: float = 0.0
) -> list[Whitening]:
    """Find the modes with the most posterior mass, as ``heavy_modes``, and whiten the coordinates at each.

    Where the number of components is only an upper bound, the search has further starts: most of the mass may be where
    few components hold points, while the density is highest where all do.

    Raises
    ------
    SamplingError
        If there are too many coordinates for a Hessian, or if Ctrl-C comes.
    EmptyComponent, DegenerateComponent
        If from every start some component can't be estimated.
    """
    if density.size > HESSIAN_LIMIT:
        able = [f"method={name!r}" for name in NO_HESSIAN if not ENGINES[name].refused(density.model)]
        raise SamplingError(
            f"the posterior has {density.size:,} coordinates, too many for a Hessian, which this method needs (the "
            f"limit is {HESSIAN_LIMIT:,}).\n  {advice(density.n_components, *able, 'fewer columns', FEWER)}"
        )
    progress.stage("finding the modes")
    try:
        starts, is_bound = starting_points(density, seed, cores, sweeps), density.model.weights.is_overfitted
        if is_bound:
            starts += [_coordinates(density, mixture) for mixture in maxima_of_fewer(density, seed, cores, sweeps)]
        return heavy_modes(density, starts, near, by_bic=is_bound)
    except KeyboardInterrupt:
        raise SamplingError("interrupted while the modes were searched for; there is nothing to keep") from None
