"""Variational inference with draws that never change: the Gaussian closest to the posterior, by plain optimisation.

It lives in coordinates that are already round at the heaviest mode, so it starts as Laplace's approximation and has only
to learn what that misses.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import scipy.optimize

from bayesgmm.errors import DeclarationError, SamplingError
from bayesgmm.inference.engine import Estimate, Progress
from bayesgmm.inference.gaussians import FullRank, MeanField, Shape, fixed_draws
from bayesgmm.inference.laplace import Whitening, round_coordinates
from bayesgmm.inference.minibatches import LogDensity, draw_minibatches
from bayesgmm.log_posterior import LogPosterior
from bayesgmm.stats import LOG_2PI, Array, run_ranges

FEWEST_SAMPLES = 64  # of the objective, unless told
FULL_RANK_LIMIT = 1000  # coordinates: beyond it the factor has half a million numbers
SHRUNK = (0.0, -1.0, -2.0, -4.0)  # log scales to start from: the first where every draw has a density
JUDGED = 200  # draws that the approximation is judged by when fewer are kept
HIGH_KHAT = 0.7
EXACT = 1e-6  # log ratios closer than this are all the same: nothing to judge
REPORTED = 10  # iterations from one report of progress to the next


def evaluate(densities: list[LogDensity], q: Array, cores: int) -> tuple[Array, Array]:
    """Log densities (M,) and gradients (M, P), each row of ``q`` by its own density."""
    values, grads = np.empty(len(q)), np.empty_like(q)

    def some(start: int, stop: int) -> None:
        for m in range(start, stop):
            values[m], grads[m] = densities[m](q[m])

    run_ranges(some, len(q), cores)
    return values, grads


@dataclass
class Objective:
    """The evidence lower bound over fixed draws, of a Gaussian's ``params``: its mean, and the numbers of its shape.

    Parameters
    ----------
    densities : list of LogDensity
        One for each fixed draw.
    whitening : Whitening
    shape : Shape
    normals : (M, P) float
        The fixed draws.
    cores : int
    """

    densities: list[LogDensity]
    whitening: Whitening
    shape: Shape
    normals: Array
    cores: int

    def __post_init__(self) -> None:
        size = self.normals.shape[1]
        self._size = size
        self._log_volume = float(np.linalg.slogdet(self.whitening.spread)[1])
        self._entropy = self._log_volume + 0.5 * size * (1 + LOG_2PI)

    def draws(self, params: Array, normals: Array) -> Array:
        """(..., P) draws of the Gaussian in the density's own coordinates."""
        return self.whitening(params[: self._size] + self.shape.spread(params[self._size :], normals))

    def log_q(self, params: Array, normals: Array) -> Array:
        """(...) log density of the Gaussian at those draws."""
        volume = self._log_volume + self.shape.log_det(params[self._size :])
        return -0.5 * ((normals**2).sum(axis=-1) + self._size * LOG_2PI) - volume

    def start(self) -> Array:
        """Laplace's approximation, or a narrower one where its draws have no density.

        Raises
        ------
        SamplingError
        """
        for log_scale in SHRUNK:
            params = np.concatenate([np.zeros(self._size), self.shape.start(self._size, log_scale)])
            if np.isfinite(self(params)[0]):
                return params
        raise SamplingError("the posterior is not finite around its mode\n  Try a stronger prior or fewer components.")

    def __call__(self, params: Array) -> tuple[float, Array]:
        numbers = params[self._size :]
        with np.errstate(over="ignore", invalid="ignore"):
            values, grads = evaluate(self.densities, self.draws(params, self.normals), self.cores)
            slopes = grads @ self.whitening.spread
            value = float(values.mean()) + self.shape.log_det(numbers) + self._entropy
            grad = np.concatenate([slopes.mean(axis=0), self.shape.gradient(numbers, self.normals, slopes)])
        if not (np.isfinite(value) and np.isfinite(grad).all()):
            return -np.inf, np.zeros_like(grad)
        return value, grad


@dataclass
class Climb:
    """How far the optimisation came.

    Parameters
    ----------
    params : (numbers,) float
        The best so far.
    history : list of float
        The objective at the start and after every iteration.
    evaluations : int
        Of the objective.
    gradient : float
        The largest slope at the end, in nats for a standard deviation or a factor of e.
    converged, interrupted : bool
    """

    params: Array
    history: list[float] = field(default_factory=list)
    evaluations: int = 0
    gradient: float = np.inf
    converged: bool = False
    interrupted: bool = False


def climb(objective: Objective, max_iter: int, tol: float, progress: Progress) -> Climb:
    """Maximise by L-BFGS until no slope exceeds ``tol``; Ctrl-C keeps the best so far."""
    so_far = Climb(objective.start())
    so_far.history.append(objective(so_far.params)[0])

    def downhill(params: Array) -> tuple[float, Array]:
        value, grad = objective(params)
        so_far.evaluations += 1
        return so_far.history[0] - value, -grad

    def note(intermediate_result: Any) -> None:
        so_far.params = intermediate_result.x.copy()
        so_far.history.append(so_far.history[0] - float(intermediate_result.fun))
        if len(so_far.history) % REPORTED == 1:
            progress.stage(f"iteration {len(so_far.history) - 1}, ELBO {so_far.history[-1]:.1f}")

    options = {"maxiter": max_iter, "maxfun": 20 * max_iter, "maxcor": 20, "gtol": tol, "ftol": 1e-12}
    try:
        found = scipy.optimize.minimize(
            downhill, so_far.params, jac=True, method="L-BFGS-B", callback=note, options=options
        )
    except KeyboardInterrupt:
        so_far.interrupted = True
        return so_far
    so_far.gradient = float(np.abs(found.jac).max())
    # a line search that finds nothing better ends at the precision of the sum over the points
    so_far.converged = found.status == 0 or so_far.gradient < 10 * tol
    return so_far


@dataclass(frozen=True)
class Settings:
    """What both engines take; see ``fit_meanfield``."""

    draws: int
    samples: int | None
    max_iter: int
    tol: float
    batch_size: int | None


def fit_meanfield(
    density: LogPosterior,
    seed: int,
    cores: int,
    progress: Progress,
    *,
    draws: int = 1000,
    samples: int | None = None,
    max_iter: int = 500,
    tol: float = 1e-3,
    batch_size: int | None = None,
) -> Estimate:
    """The mean-field ADVI engine: coordinates that are independent once they are whitened at the heaviest mode.

    The correlations that the posterior has at the mode are in the whitening, and so in the draws.

    Parameters
    ----------
    draws : int
        Draws of the approximation that are kept.
    samples : int, optional
        Fixed draws of the objective; two a coordinate, at least 64, unless told.
    max_iter : int
        Iterations, at most.
    tol : float
        Stop when no slope exceeds this, in nats for a standard deviation.
    batch_size : int, optional
        Points that each antithetic pair of fixed draws sees; all of them unless told.

    Raises
    ------
    SamplingError

    References
    ----------
    .. [1] Giordano, Ingram & Broderick (2024), J. Mach. Learn. Res. 25(18), 1-39.
    .. [2] Kucukelbir, Tran, Ranganath, Gelman & Blei (2017), J. Mach. Learn. Res. 18(14), 1-45.
    """
    settings = Settings(draws, samples, max_iter, tol, batch_size)
    return _fit(MeanField(), density, seed, cores, progress, settings)


def fit_fullrank(
    density: LogPosterior,
    seed: int,
    cores: int,
    progress: Progress,
    *,
    draws: int = 1000,
    samples: int | None = None,
    max_iter: int = 500,
    tol: float = 1e-3,
    batch_size: int | None = None,
) -> Estimate:
    """The full-rank ADVI engine: a Gaussian with a covariance of its own. Settings as for mean field.

    Parameters
    ----------
    samples : int, optional
        At least two a coordinate; four, unless told.

    Raises
    ------
    SamplingError
        When there are too many coordinates for a factor.
    """
    if density.size > FULL_RANK_LIMIT:
        raise SamplingError(
            f"the posterior has {density.size} coordinates, too many for full-rank ADVI (the limit is "
            f"{FULL_RANK_LIMIT}).\n  Use method='advi': it keeps the correlations that the posterior has at its mode."
        )
    if samples is not None and samples < 2 * density.size:
        raise DeclarationError(
            f"samples={samples}: full rank needs at least two a coordinate, here {2 * density.size}; "
            "method='advi' takes fewer"
        )
    settings = Settings(draws, samples, max_iter, tol, batch_size)
    return _fit(FullRank(), density, seed, cores, progress, settings)


def _fit(
    shape: Shape, density: LogPosterior, seed: int, cores: int, progress: Progress, settings: Settings
) -> Estimate:
    whitening = round_coordinates(density, seed, cores, progress)
    progress.stage("fitting a Gaussian")
    pairs = -(-(settings.samples or max(FEWEST_SAMPLES, shape.samples_a_coordinate * density.size)) // 2)
    densities = _densities(density, whitening.mode, pairs, settings.batch_size, seed)
    objective = Objective(densities, whitening, shape, fixed_draws(2 * pairs, density.size, seed), cores)
    reached = climb(objective, settings.max_iter, settings.tol, progress)
    progress.stage("judging it")
    normals = np.random.default_rng((seed, 4)).normal(size=(max(settings.draws, JUDGED), density.size))
    q, log_q = objective.draws(reached.params, normals), objective.log_q(reached.params, normals)
    lp = evaluate([density] * len(q), q, cores)[0]
    notes = judge(lp - log_q)
    doubts = tuple(_doubts(reached, notes["pareto_khat"], settings))
    notes |= {
        "converged": reached.converged,
        "interrupted": reached.interrupted,
        "evaluations": reached.evaluations * len(densities),
        "samples": len(densities),
        "repaired_directions": whitening.repaired,
    }
    stats = {"lp": lp[None, : settings.draws], "log_q": log_q[None, : settings.draws]}
    steps = np.arange(len(reached.history))
    history = {"iteration": ("iteration", steps), "elbo": ("iteration", np.array(reached.history))}
    return Estimate(q[None, : settings.draws], stats, doubts, notes, {"optimisation": history})


def _densities(density: LogPosterior, mode: Array, pairs: int, batch_size: int | None, seed: int) -> list[LogDensity]:
    """One for each fixed draw. A pair shares its minibatch: its errors in the curvature cancel in the mean."""
    if batch_size is None or batch_size >= density.blocks.n_points:
        return [density] * (2 * pairs)
    return 2 * draw_minibatches(density, mode, pairs, batch_size, seed)


def judge(log_ratio: Array) -> dict[str, Any]:
    """The ELBO from fresh draws, its standard error, and the Pareto k-hat of the draws' importance ratios.

    References
    ----------
    .. [1] Yao, Vehtari, Simpson & Gelman (2018), Proc. Mach. Learn. Res. 80, 5581-5590.
    .. [2] Vehtari, Simpson, Gelman, Yao & Gabry (2024), J. Mach. Learn. Res. 25(72), 1-58.
    """
    from arviz_stats.base import array_stats

    with np.errstate(invalid="ignore"):  # a draw without a density
        log_ratio = np.where(np.isnan(log_ratio), -np.inf, log_ratio)
        error = float(log_ratio.std(ddof=1) / np.sqrt(len(log_ratio)))
        exact = np.ptp(log_ratio) < EXACT
    khat = 0.0 if exact else float(array_stats.psislw(-log_ratio)[1])
    return {"elbo": float(log_ratio.mean()), "elbo_se": error, "pareto_khat": khat}


def _doubts(reached: Climb, khat: float, settings: Settings) -> list[str]:
    iterations = len(reached.history) - 1
    found = []
    if reached.interrupted:
        found.append(f"Interrupted: kept the approximation of iteration {iterations}, which has not converged.")
    elif not reached.converged:
        found.append(
            f"ADVI stopped after {iterations} iterations before it converged (the largest slope is "
            f"{reached.gradient:.2g}; tol is {settings.tol:.2g}). Try a larger max_iter or fewer components."
        )
    if khat > HIGH_KHAT:
        found.append(
            f"The approximation misses part of the posterior (Pareto k-hat {khat:.2f}; it should stay below "
            f"{HIGH_KHAT}). Trust its means more than its intervals. Try method='nuts', fewer components, or a "
            "stronger prior."
        )
    return found
