"""Automatic differentiation variational inference (ADVI) with fixed draws: the Gaussian closest to the posterior.

The coordinates are whitened at the mode with the most posterior mass, so that the search starts from Laplace's
approximation. If the result is not close to the posterior, its draws are resampled.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import scipy  # its parts are imported when they are used

from bayesgmm.inference.corrections import correct, less_missed
from bayesgmm.inference.elbo import Bound
from bayesgmm.inference.engine import Estimate, Progress
from bayesgmm.inference.gaussians import FullRank, MeanField, Shape, fixed_draws
from bayesgmm.inference.importance import (
    MAX_NUMBERS,
    MIN_ASSESSED,
    Assessment,
    Draws,
    assess,
    resampling_warnings,
)
from bayesgmm.inference.laplace import Whitening, find_mode, whiten, whiten_at_modes
from bayesgmm.inference.minibatches import LogDensity, draw_minibatches, in_memory, subsample
from bayesgmm.posterior.log_posterior import LogPosterior
from bayesgmm.posterior.notes import EngineNotes
from bayesgmm.sweep.stats import Array
from bayesgmm.wording import FEWER, advice

if TYPE_CHECKING:
    from scipy.optimize import OptimizeResult

MIN_SAMPLES = 64  # minimum number of fixed draws by default
OPTIMISM = 0.25  # tolerated excess of the bound over fixed draws above that over new draws, in nats
ROUGH = 100_000  # number of points for the first search of the mode, with minibatches
REPORTED = 10  # number of iterations between reports of progress


@dataclass(frozen=True)
class Settings:
    """Settings of both engines.

    Parameters
    ----------
    draws : int
        Number of draws to keep. If the approximation is not close to the posterior, they are resampled by their
        importance ratios from many more draws, some more than once. ``log_q`` stays the density of the approximation.
    samples : int, optional
        Number of fixed draws. The default is two per coordinate and at least 64 for mean-field, four per coordinate
        for full-rank (whose minimum is two); more if the approximation overfits them.
    max_iter : int
        Maximum number of iterations.
    tol : float
        Converged when no slope exceeds this, in nats per standard deviation.
    batch_size : int, optional
        Number of points in the minibatch of each antithetic pair of fixed draws. Default: all points. With
        minibatches the coordinates come from 100,000 points.
    """

    draws: int
    samples: int | None
    max_iter: int
    tol: float
    batch_size: int | None


@dataclass
class Optimisation:
    """State of the optimisation.

    Parameters
    ----------
    params : (numbers,) float
        Best parameters so far.
    history : list of float
        Bound at the start and after each iteration, in nats.
    samples : list of int
        Number of fixed draws at each entry of ``history``.
    gradient : float
        Largest slope at the end, in nats per standard deviation or factor of e.
    converged, interrupted : bool
    """

    params: Array
    history: list[float] = field(default_factory=list)
    samples: list[int] = field(default_factory=list)
    gradient: float = np.inf
    converged: bool = False
    interrupted: bool = False

    @property
    def iterations(self) -> int:
        """Number of iterations; the start of each number of draws does not count."""
        return len(self.history) - len(set(self.samples))

    def record(self, params: Array, value: float, samples: int) -> None:
        """Record an iteration."""
        self.params = params.copy()
        self.history.append(value)
        self.samples.append(samples)


def optimise(bound: Bound, optimisation: Optimisation, settings: Settings, progress: Progress) -> None:
    """Maximise the bound by L-BFGS from ``optimisation.params``, until no slope exceeds ``tol``.

    The result is written to ``optimisation``. Ctrl-C keeps the best parameters so far.
    """
    samples, optimisation.converged = len(bound.normals), False
    level = bound(optimisation.params)[0]  # subtracted, so that no digits are lost
    optimisation.record(optimisation.params, level, samples)

    def downhill(params: Array) -> tuple[float, Array]:
        value, grad = bound(params)
        return level - value, -grad

    def record(intermediate_result: "OptimizeResult") -> None:
        optimisation.record(intermediate_result.x, level - float(intermediate_result.fun), samples)
        if optimisation.iterations % REPORTED == 0:
            progress.stage(f"iteration {optimisation.iterations}, ELBO {optimisation.history[-1]:.1f}")

    options = {"maxiter": settings.max_iter, "maxfun": 20 * settings.max_iter, "maxcor": 20, "ftol": 1e-12}
    try:
        solution = scipy.optimize.minimize(
            downhill,
            optimisation.params,
            jac=True,
            method="L-BFGS-B",
            callback=record,
            options=options | {"gtol": settings.tol},
        )
    except KeyboardInterrupt:
        optimisation.interrupted = True
        return
    optimisation.gradient = float(np.abs(solution.jac).max())
    # a line search that finds no increase has reached the precision of the sum over the points
    optimisation.converged = solution.status == 0 or optimisation.gradient < 10 * settings.tol


def fit(
    shape: Shape,
    density: LogPosterior,
    seed: int,
    cores: int,
    progress: Progress,
    *,
    draws: int,
    samples: int | None,
    max_iter: int,
    tol: float,
    batch_size: int | None,
    sweeps: int,
) -> Estimate:
    """Fit a Gaussian of the given shape by ADVI; ``Settings`` describes the settings.

    The coordinates are whitened at the mode with the most posterior mass; ``sweeps`` is the budget of the search for
    it. The draws of both shapes therefore have the correlations of the posterior at that mode.

    Raises
    ------
    DeclarationError
        If there are fewer fixed draws than the shape needs.
    SamplingError
        If the posterior has too many coordinates for the shape.

    References
    ----------
    .. [1] Giordano, Ingram & Broderick (2024), J. Mach. Learn. Res. 25(18), 1-39.
    .. [2] Kucukelbir, Tran, Ranganath, Gelman & Blei (2017), J. Mach. Learn. Res. 18(14), 1-45.
    """
    shape.require(density.size, samples)
    settings = Settings(draws, samples, max_iter, tol, batch_size)
    if density.in_parts and density.blocks.n_points < 2 * max(ROUGH, batch_size or 0):  # few: a sample is all of them
        density = in_memory(density)
    whitening = _coordinates(density, seed, cores, progress, batch_size, sweeps)
    search = Search(shape, density, seed, cores, progress, settings)
    estimated, heavier = search.around(whitening)
    if heavier is None:
        return estimated
    other = whiten(density, find_mode(density, heavier))
    return less_missed(estimated, search.around(other)[0])


fit_meanfield, fit_fullrank = partial(fit, MeanField()), partial(fit, FullRank())


@dataclass(frozen=True)
class Closest:
    """Gaussian closest to the posterior.

    Parameters
    ----------
    optimisation : Optimisation
        State of the search for it.
    assessed : Draws
        Its first new draws.
    propose : callable
        Function that returns more draws.
    assessment : Assessment
        Quality of the approximation.
    optimism : float
        ELBO on the fixed draws minus that on new draws, in nats.
    evaluations : int
        Number of evaluations of the log posterior, after the mode was found.
    """

    optimisation: Optimisation
    assessed: Draws
    propose: Callable[[int], Draws]
    assessment: Assessment
    optimism: float
    evaluations: int


@dataclass(frozen=True)
class Search:
    """Search for a Gaussian of a shape that is close to a posterior.

    Parameters
    ----------
    shape : Shape
    density : LogPosterior
    seed, cores : int
    progress : Progress
    settings : Settings
    """

    shape: Shape
    density: LogPosterior
    seed: int
    cores: int
    progress: Progress
    settings: Settings

    def around(self, whitening: Whitening) -> tuple[Estimate, Array | None]:
        """Fit a Gaussian around a mode; also return a point of a heavier region of the posterior, if there is one."""
        self.progress.stage("fitting a Gaussian")
        closest = self._closest(whitening)
        self.progress.stage("resampling")
        corrected = correct(
            self.density, closest.assessed, closest.propose, self.settings.draws, self.seed, self.cores, self.progress
        )
        kept, assessment = corrected.draws, corrected.kept
        more = assessment.resampled.proposals - len(closest.assessed) if assessment.resampled else 0
        notes = EngineNotes(
            converged=closest.optimisation.converged,
            interrupted=closest.optimisation.interrupted,
            repaired_directions=whitening.repaired,
            approximation=corrected.source,
            elbo=closest.assessment.elbo,
            elbo_se=closest.assessment.elbo_se,
            pareto_khat=assessment.pareto_khat,
            importance_share=assessment.importance_share,
            missed_share=assessment.missed_share,
            compared=assessment.compared,
            not_compared=assessment.not_compared,
            optimism=closest.optimism,
            evaluations=closest.evaluations + more,
            resampled=assessment.resampled,
        )
        stats = {"lp": kept.lp[None], "log_q": kept.log_q[None]}
        groups = {"optimisation": _history(closest.optimisation)}
        warnings = (
            *_optimiser_warnings(closest, self.density.n_components),
            *resampling_warnings(assessment, self.settings.draws),
        )
        return Estimate(kept.q[None], stats, warnings, notes, groups), corrected.heavier

    def _closest(self, whitening: Whitening) -> Closest:
        """Find the closest Gaussian, with more fixed draws while it overfits them."""
        optimisation: Optimisation | None = None
        evaluations = 0  # of log densities, after the mode was found
        for samples in _sample_sizes(self.shape, self.density.size, self.settings.samples):
            normals = fixed_draws(samples, self.density.size, self.seed)
            densities = _densities(self.density, whitening.mode, samples // 2, self.settings.batch_size, self.seed)
            bound = Bound(densities, whitening, self.shape, normals, self.cores)
            optimisation = optimisation or Optimisation(bound.start())
            optimise(bound, optimisation, self.settings, self.progress)
            self.progress.stage("assessing the approximation")
            propose = _proposals(self.density, bound, optimisation.params, self.seed)
            assessed = propose(max(self.settings.draws, MIN_ASSESSED))
            evaluations += bound.evaluations + len(assessed)
            assessment = assess(assessed.log_ratio)
            optimism = optimisation.history[-1] - assessment.elbo
            if optimisation.interrupted or optimism < OPTIMISM + 4 * assessment.elbo_se:
                break
        assert optimisation is not None
        return Closest(optimisation, assessed, propose, assessment, optimism, evaluations)


def _coordinates(
    density: LogPosterior, seed: int, cores: int, progress: Progress, batch_size: int | None, sweeps: int
) -> Whitening:
    """Compute the whitened coordinates at the mode.

    With minibatches a subsample gives the curvature, and the mode is then moved to that of all points.
    """
    points = max(ROUGH, batch_size or 0)
    if batch_size is None or density.blocks.n_points < 2 * points:
        return whiten_at_modes(density, seed, cores, progress, sweeps)[0]
    rough = whiten_at_modes(subsample(density, points, seed), seed, cores, progress, sweeps)[0]

    def white(z: Array) -> tuple[float, Array]:
        value, grad = density(rough(z))
        return value, grad @ rough.spread

    return replace(rough, mode=rough(find_mode(white, np.zeros(density.size))))


def _sample_sizes(shape: Shape, size: int, wanted: int | None) -> list[int]:
    """Numbers of fixed draws to try, in order: the next one if the Gaussian overfits the one before.

    References
    ----------
    .. [1] Burroni, Domke & Sheldon (2024), Proc. Mach. Learn. Res. 244, 471-498.
    """
    if wanted is not None:
        return [wanted + wanted % 2]
    first = max(MIN_SAMPLES, shape.samples_a_coordinate * size)
    return [n for n in (first, 4 * first, 16 * first) if n == first or n * size <= MAX_NUMBERS]


def _densities(density: LogPosterior, mode: Array, pairs: int, batch_size: int | None, seed: int) -> list[LogDensity]:
    """Log density for each fixed draw. An antithetic pair shares a minibatch, so that errors of curvature cancel."""
    if batch_size is None or batch_size >= density.blocks.n_points:
        return [density] * (2 * pairs)
    return 2 * draw_minibatches(density, mode, pairs, batch_size, seed)


def _proposals(density: LogPosterior, bound: Bound, params: Array, seed: int) -> Callable[[int], Draws]:
    """Return a function that makes new draws of the Gaussian, with the log posterior of all points at each."""
    rng = np.random.default_rng((seed, 4))

    def propose(count: int) -> Draws:
        normals = rng.normal(size=(count, density.size))
        q = bound.draws(params, normals)
        return Draws(q, density.values(q, bound.cores), bound.log_q(params, normals))

    return propose


def _history(optimisation: Optimisation) -> dict[str, tuple[str, Array]]:
    columns = {
        "iteration": range(len(optimisation.history)),
        "elbo": optimisation.history,
        "samples": optimisation.samples,
    }
    return {name: ("iteration", np.array(values)) for name, values in columns.items()}


def _optimiser_warnings(closest: Closest, n_components: int) -> list[str]:
    optimisation, messages = closest.optimisation, []
    count = optimisation.iterations
    if optimisation.interrupted:
        messages.append(f"Interrupted: kept the approximation of iteration {count}, which has not converged.")
    elif not optimisation.converged:
        messages.append(
            f"ADVI stopped after {count} iterations before it converged "
            f"(the largest slope is {optimisation.gradient:.2g}). {advice(n_components, 'a larger max_iter', FEWER)}"
        )
    if optimisation.converged and closest.optimism > OPTIMISM + 4 * closest.assessment.elbo_se:
        messages.append(
            f"The approximation overfits its {optimisation.samples[-1]} fixed draws: their ELBO is "
            f"{closest.optimism:.1f} nats too high. Try more samples, or method='nuts'."
        )
    return messages
