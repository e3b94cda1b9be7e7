"""Variational inference with draws that never change: the Gaussian closest to the posterior, by plain optimisation.

It lives in coordinates that are already round at the heaviest mode, so it starts as Laplace's approximation, and has
only to learn what that misses. Where it is still not close, its draws are resampled.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import scipy  # its parts are imported when they are used

from bayesgmm.diagnosis.engines import BECAUSE_RESAMPLED
from bayesgmm.inference.elbo import Bound, evaluate
from bayesgmm.inference.engine import Estimate, Progress
from bayesgmm.inference.gaussians import FullRank, MeanField, Shape, fixed_draws
from bayesgmm.inference.importance import JUDGED, Draws, Kept, Verdict, doubts, judge, keep
from bayesgmm.inference.laplace import Whitening, find_mode, round_coordinates
from bayesgmm.inference.minibatches import LogDensity, draw_minibatches, subsample
from bayesgmm.posterior.info import EngineNotes
from bayesgmm.posterior.log_posterior import LogPosterior
from bayesgmm.sweep.stats import Array

FEWEST_SAMPLES = 64  # of the bound, unless told
MOST_NUMBERS = 2**25  # in the fixed draws: a quarter of a gigabyte
OPTIMISM = 0.25  # nats that the bound over fixed draws may lie above that over fresh ones
FEW_EFFECTIVE = 100  # kept draws
PROPOSALS_WORTH = 3_000_000_000  # points times features times components that resampling may cost
ROUGH = 100_000  # points that the mode is first looked for in, with minibatches
REPORTED = 10  # iterations from one report of progress to the next


@dataclass(frozen=True)
class Settings:
    """Settings of both engines.

    Parameters
    ----------
    draws : int
        Draws that are kept: of the approximation, or, where that is not close, picked from many more of them by their
        importance ratios, some more than once. ``log_q`` stays the density of the approximation.
    samples : int, optional
        Fixed draws. The default is two a coordinate, at least 64, for mean field, and four a coordinate for full rank
        (which needs at least two); more when the approximation has fitted itself to them.
    max_iter : int
        Maximum number of iterations.
    tol : float
        Stop when no slope exceeds this, in nats for a standard deviation.
    batch_size : int, optional
        Points that each antithetic pair of fixed draws sees, in place of all; the coordinates then come from
        100,000 points.
    """

    draws: int
    samples: int | None
    max_iter: int
    tol: float
    batch_size: int | None


@dataclass
class Climb:
    """How far the optimisation came.

    Parameters
    ----------
    params : (numbers,) float
        The best so far.
    history : list of float
        The bound at the start and after every iteration.
    samples : list of int
        How many fixed draws it was over.
    gradient : float
        The largest slope at the end, in nats for a standard deviation or a factor of e.
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
        """How many there were; each number of draws starts with none."""
        return len(self.history) - len(set(self.samples))

    def note(self, params: Array, value: float, samples: int) -> None:
        """Take an iteration."""
        self.params = params.copy()
        self.history.append(value)
        self.samples.append(samples)


def climb(bound: Bound, reached: Climb, settings: Settings, progress: Progress) -> None:
    """Maximise by L-BFGS from where ``reached`` is until no slope exceeds ``tol``; Ctrl-C keeps the best so far."""
    samples, reached.converged = len(bound.normals), False
    level = bound(reached.params)[0]  # subtracted, so that no digits are lost
    reached.note(reached.params, level, samples)

    def downhill(params: Array) -> tuple[float, Array]:
        value, grad = bound(params)
        return level - value, -grad

    def note(intermediate_result: Any) -> None:
        reached.note(intermediate_result.x, level - float(intermediate_result.fun), samples)
        if reached.iterations % REPORTED == 0:
            progress.stage(f"iteration {reached.iterations}, ELBO {reached.history[-1]:.1f}")

    options = {"maxiter": settings.max_iter, "maxfun": 20 * settings.max_iter, "maxcor": 20, "ftol": 1e-12}
    try:
        found = scipy.optimize.minimize(
            downhill,
            reached.params,
            jac=True,
            method="L-BFGS-B",
            callback=note,
            options=options | {"gtol": settings.tol},
        )
    except KeyboardInterrupt:
        reached.interrupted = True
        return
    reached.gradient = float(np.abs(found.jac).max())
    # a line search that finds nothing better has come to the precision of the sum over the points
    reached.converged = found.status == 0 or reached.gradient < 10 * settings.tol


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
) -> Estimate:
    """Fit a Gaussian of a shape by ADVI; the settings are those of ``Settings``.

    The coordinates are whitened at the heaviest mode, so that the correlations that the posterior has there are in the
    draws of either shape.

    Raises
    ------
    DeclarationError
        When there are fewer fixed draws than the shape needs.
    SamplingError
        When the posterior has too many coordinates for the shape.

    References
    ----------
    .. [1] Giordano, Ingram & Broderick (2024), J. Mach. Learn. Res. 25(18), 1-39.
    .. [2] Kucukelbir, Tran, Ranganath, Gelman & Blei (2017), J. Mach. Learn. Res. 18(14), 1-45.
    """
    shape.require(density.size, samples)
    settings = Settings(draws, samples, max_iter, tol, batch_size)
    whitening = _coordinates(density, seed, cores, progress, batch_size)
    progress.stage("fitting a Gaussian")
    found = _closest(shape, density, whitening, seed, cores, progress, settings)
    progress.stage("resampling")
    rng = np.random.default_rng((seed, 6))
    kept, verdict = keep(found.judged, settings.draws, _affordable(density), found.propose, rng)
    more = verdict.resampled.proposals - len(found.judged) if verdict.resampled else 0
    notes = EngineNotes(
        converged=found.reached.converged,
        interrupted=found.reached.interrupted,
        repaired_directions=whitening.repaired,
        elbo=found.verdict.elbo,
        elbo_se=found.verdict.elbo_se,
        pareto_khat=verdict.pareto_khat,
        importance_share=verdict.importance_share,
        optimism=found.optimism,
        evaluations=found.evaluations + more,
        resampled=verdict.resampled,
    )
    stats = {"lp": kept.lp[None], "log_q": kept.log_q[None]}
    groups = {"optimisation": _history(found.reached)}
    warnings = (*_doubts_of_the_climb(found), *_doubts_of_the_draws(verdict, settings.draws))
    return Estimate(kept.q[None], stats, warnings, notes, groups)


fit_meanfield, fit_fullrank = partial(fit, MeanField()), partial(fit, FullRank())


@dataclass(frozen=True)
class Closest:
    """The closest Gaussian.

    Parameters
    ----------
    reached : Climb
        The search for it.
    judged : Draws
        Its first new draws.
    propose : callable
        Source of more draws.
    verdict : Verdict
        How close it is.
    optimism : float
        ELBO on the fixed draws minus that on new draws, in nats.
    evaluations : int
        Number of evaluations of the log posterior, after the mode was found.
    """

    reached: Climb
    judged: Draws
    propose: Callable[[int], Draws]
    verdict: Verdict
    optimism: float
    evaluations: int


def _closest(
    shape: Shape,
    density: LogPosterior,
    whitening: Whitening,
    seed: int,
    cores: int,
    progress: Progress,
    settings: Settings,
) -> Closest:
    """The Gaussian over as many fixed draws as it takes."""
    reached: Climb | None = None
    evaluations = 0  # of log densities, after the mode was found
    for samples in _sample_sizes(shape, density.size, settings.samples):
        normals = fixed_draws(samples, density.size, seed)
        densities = _densities(density, whitening.mode, samples // 2, settings.batch_size, seed)
        bound = Bound(densities, whitening, shape, normals, cores)
        reached = reached or Climb(bound.start())
        climb(bound, reached, settings, progress)
        progress.stage("judging it")
        propose = _proposals(density, bound, reached.params, seed)
        judged = propose(max(settings.draws, JUDGED))
        evaluations += bound.evaluations + len(judged)
        verdict = judge(judged.log_ratio)
        optimism = reached.history[-1] - verdict.elbo
        if reached.interrupted or optimism < OPTIMISM + 4 * verdict.elbo_se:
            break
    assert reached is not None
    return Closest(reached, judged, propose, verdict, optimism, evaluations)


def _coordinates(density: LogPosterior, seed: int, cores: int, progress: Progress, batch_size: int | None) -> Whitening:
    """Whitened at the heaviest mode: of all points, or of a part whose mode all points then move to theirs."""
    points = max(ROUGH, batch_size or 0)
    if batch_size is None or density.blocks.n_points < 2 * points:
        return round_coordinates(density, seed, cores, progress)
    rough = round_coordinates(subsample(density, points, seed), seed, cores, progress)

    def white(z: Array) -> tuple[float, Array]:
        value, grad = density(rough(z))
        return value, grad @ rough.spread

    return replace(rough, mode=rough(find_mode(white, np.zeros(density.size))))


def _sample_sizes(shape: Shape, size: int, wanted: int | None) -> list[int]:
    """How many fixed draws to try: more when a Gaussian has fitted itself to those that it saw.

    References
    ----------
    .. [1] Burroni, Domke & Sheldon (2024), Proc. Mach. Learn. Res. 244, 471-498.
    """
    if wanted is not None:
        return [wanted + wanted % 2]
    first = max(FEWEST_SAMPLES, shape.samples_a_coordinate * size)
    return [n for n in (first, 4 * first, 16 * first) if n == first or n * size <= MOST_NUMBERS]


def _densities(density: LogPosterior, mode: Array, pairs: int, batch_size: int | None, seed: int) -> list[LogDensity]:
    """One for each fixed draw. A pair shares its minibatch: its errors in the curvature cancel in the mean."""
    if batch_size is None or batch_size >= density.blocks.n_points:
        return [density] * (2 * pairs)
    return 2 * draw_minibatches(density, mode, pairs, batch_size, seed)


def _proposals(density: LogPosterior, bound: Bound, params: Array, seed: int) -> Callable[[int], Draws]:
    """Gives fresh draws of the Gaussian, as many as it is asked for, with the log posterior of all points there."""
    rng = np.random.default_rng((seed, 4))

    def propose(count: int) -> Draws:
        normals = rng.normal(size=(count, density.size))
        q = bound.draws(params, normals)
        return Draws(q, evaluate([density] * count, q, bound.cores)[0], bound.log_q(params, normals))

    return propose


def _affordable(density: LogPosterior) -> int:
    """Draws that may be proposed in all."""
    cost = density.blocks.n_points * density.n_features * density.n_components
    return min(PROPOSALS_WORTH // cost, MOST_NUMBERS // density.size)


def _history(reached: Climb) -> dict[str, tuple[str, Array]]:
    columns = {"iteration": range(len(reached.history)), "elbo": reached.history, "samples": reached.samples}
    return {name: ("iteration", np.array(values)) for name, values in columns.items()}


def _doubts_of_the_climb(closest: Closest) -> list[str]:
    reached, found = closest.reached, []
    count = reached.iterations
    if reached.interrupted:
        found.append(f"Interrupted: kept the approximation of iteration {count}, which has not converged.")
    elif not reached.converged:
        found.append(
            f"ADVI stopped after {count} iterations before it converged (the largest slope is {reached.gradient:.2g}). "
            "Try a larger max_iter or fewer components."
        )
    if reached.converged and closest.optimism > OPTIMISM + 4 * closest.verdict.elbo_se:
        found.append(
            f"The approximation has fitted itself to its {reached.samples[-1]} fixed draws: their ELBO is "
            f"{closest.optimism:.1f} nats too high. Try more samples, or method='nuts'."
        )
    return found


def _doubts_of_the_draws(verdict: Kept, draws: int) -> list[str]:
    resampled = verdict.resampled
    found = doubts(verdict.pareto_khat, verdict.importance_share, BECAUSE_RESAMPLED)
    if resampled and resampled.effective < (needed := min(FEW_EFFECTIVE, draws / 2)):
        found.append(
            f"The {draws} draws, picked from {resampled.proposals} of the approximation, are worth only "
            f"{resampled.effective:.0f} independent ones ({needed:.0f} wanted). Their intervals are rough. "
            "Try method='nuts', or more draws."
        )
    return found
