"""Maximisation of a log density: L-BFGS, then Newton's method until every slope is below the tolerance."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy  # its parts are imported when they are used

from bayesgmm.blas import one_blas_thread
from bayesgmm.errors import ComponentError
from bayesgmm.inference.laplace import STEP, hessian
from bayesgmm.posterior.log_posterior import LogPosterior
from bayesgmm.sweep.stats import Array
from bayesgmm.wording import FEWER, advice

NEWTON_LIMIT = 500  # maximum number of coordinates for Newton's method, each of whose steps takes twice as many sweeps
REACH = 20.0  # with more, a start is dropped if this many times the largest gain so far would not make it the best
NEWTON_STEPS, CONJUGATE = 5, 100  # maximum numbers of such steps, and of directions for each, without a Hessian
SOLVED = 0.03  # share of the slope that is left where the directions end
ROUGH = 1e-5  # L-BFGS stops at this slope; Newton's method, which doubles the digits at each step, takes over
FINEST = 1e-7  # smallest slope that L-BFGS can reach before its gains are lost in rounding
TINY = 1e-8  # step for a rough estimate of a curvature
FLAT = 1e-7  # a curvature below this share of the largest counts as zero
NO_CURVATURE = 1e-14  # minimum curvature per point
LONGEST = 2.0  # maximum length of a Newton step, in units of the coordinates' scales
HALVINGS = 40  # maximum number of times that a Newton step is halved
WATCHED = 5  # number of L-BFGS iterations between checks of the components
ROUNDING = 1e-13  # gains below this share of the log density are lost in rounding

Watch = Callable[[Array], object]


@dataclass(frozen=True)
class Maximum:
    """Result of the maximisation.

    Parameters
    ----------
    q : (P,) float
        Coordinates.
    value : float
        Log density there.
    gradient : float
        Largest slope, in any coordinate, of the log density divided by the total weight of the points.
    n_iter : int
    converged : bool
        True if that slope is below the tolerance, in the coordinates or relative to their scales. A component a million
        times as narrow as the data has a scale that much smaller.
    curvature : Curvature, optional
        Curvature there; None beyond NEWTON_LIMIT coordinates.
    """

    q: Array
    value: float
    gradient: float
    n_iter: int
    converged: bool
    curvature: "Curvature | None" = None

    @property
    def is_one(self) -> bool:
        """True if the log density decreases in every direction; assumed where there is no Hessian."""
        return self.curvature is None or self.curvature.is_definite

    def warnings(self, method: str, what: str, n_components: int) -> tuple[str, ...]:
        """Return warnings about a result that has not converged or is no maximum."""
        if not self.converged:
            return (
                f"{method} stopped after {self.n_iter} iterations before it converged (the largest slope, a point, is "
                f"{self.gradient:.2g}). {advice(n_components, 'a larger max_iter', FEWER, 'a stronger prior')}",
            )
        if not self.is_one:
            return (
                f"The {what} does not fall in every direction from here: this is a ridge or a saddle, not a maximum. "
                f"{advice(n_components, FEWER, 'another seed')}",
            )
        return ()


@dataclass(frozen=True)
class Curvature:
    """Second derivatives of a log density, in coordinates divided by ``scale`` so that narrow components count equally.

    Parameters
    ----------
    scale : (P,) float
        Step in each coordinate that changes the density noticeably.
    values : (P, P) float
        Minus the Hessian, divided by the total weight of the points.
    """

    scale: Array
    values: Array

    @classmethod
    def of(cls, density: LogPosterior, q: Array, scale: Array | None = None) -> "Curvature":
        """Compute it by central differences of the analytic gradient, with steps in proportion to the scales."""
        scale = _scale(density, q) if scale is None else scale
        second = hessian(density, q, STEP * np.minimum(scale, 1.0)) * np.outer(scale, scale)
        return cls(scale, -second / density.blocks.total_weight)

    @cached_property
    def spectrum(self) -> tuple[Array, Array]:
        """(P,) curvatures, smallest first, and (P, P) their directions, both in scaled coordinates."""
        values, directions = np.linalg.eigh(self.values)
        return values, directions

    @property
    def is_definite(self) -> bool:
        """True if the density decreases in every direction, to the precision of the differences."""
        values = self.spectrum[0]
        return bool(values.size == 0 or values[0] > FLAT * values[-1])

    @property
    def flattest(self) -> tuple[float, Array]:
        """Smallest absolute curvature, as a share of the largest, and its direction (P,)."""
        values, directions = self.spectrum
        at = int(np.argmin(np.abs(values)))
        return float(np.abs(values[at]) / np.abs(values).max()), self.scale * directions[:, at]

    @property
    def rising(self) -> Array:
        """(P,) direction of the smallest eigenvalue: of the most positive second derivative."""
        return self.scale * self.spectrum[1][:, 0]

    def solve(self, grad: Array) -> Array:
        """Compute Newton's step (P,) for a gradient of the mean; it is an ascent direction for any curvature."""
        values, directions = self.spectrum
        size = np.maximum(np.abs(values), FLAT * np.abs(values).max())
        step = directions @ ((directions.T @ (self.scale * grad)) / size)
        return self.scale * step * min(1.0, LONGEST / np.abs(step).max())

    def inverse(self) -> Array:
        """Compute the inverse (P, P) of minus the mean Hessian, which must be positive definite."""
        values, directions = self.spectrum
        half = self.scale[:, None] * directions / np.sqrt(values)
        return half @ half.T


def _scale(density: LogPosterior, q: Array) -> Array:
    """(P,) reciprocal square root of each coordinate's curvature, approximately."""
    diagonal = np.empty(q.size)
    for i in range(q.size):
        step = np.zeros_like(q)
        step[i] = TINY
        diagonal[i] = (density(q + step)[1][i] - density(q - step)[1][i]) / (2 * TINY)
    return 1 / np.sqrt(np.maximum(np.abs(diagonal) / density.blocks.total_weight, NO_CURVATURE))


def highest(
    density: LogPosterior, starts: list[Array], max_iter: int, tol: float, watch: Watch
) -> tuple[Maximum, list[ComponentError]]:
    """Maximise from each start, refine the highest result, and return it with the errors of the failed starts.

    Beyond NEWTON_LIMIT coordinates L-BFGS refines it, and starts that can't win are dropped.

    Parameters
    ----------
    density : LogPosterior
    starts : list of (P,) float
    max_iter : int
        Maximum number of iterations from each start.
    tol : float
        Converged when no slope of the mean log density exceeds this.
    watch : callable
        Takes the current coordinates, and raises ComponentError if a component degenerates.

    Raises
    ------
    EmptyComponent, DegenerateComponent
        If all starts fail.
    """
    reached: list[Maximum] = []
    failures: list[ComponentError] = []
    is_large = density.size > NEWTON_LIMIT
    for start in _promising(density, starts, reached) if is_large else starts:
        try:
            reached.append(optimise(density, start, max_iter, max(tol, ROUGH), watch))
        except ComponentError as error:
            failures.append(error)
    for rough in sorted(reached, key=lambda maximum: -maximum.value):
        try:
            refined = (_refined if is_large else polish)(density, rough, max_iter, tol, watch)
            return refined, failures
        except ComponentError as error:
            failures.append(error)
    raise failures[-1]


def _promising(density: LogPosterior, starts: list[Array], reached: list[Maximum]) -> Iterator[Array]:
    """Yield starts, the highest first, that may still lead to more than what was reached from those before."""
    gain = np.inf
    for value, start in sorted(((density(start)[0], start) for start in starts), key=lambda pair: -pair[0]):
        best = max((maximum.value for maximum in reached), default=-np.inf)
        if value + REACH * gain < best:
            return
        count = len(reached)
        yield start
        if len(reached) > count:
            own = reached[-1].value - value
            gain = own if np.isinf(gain) else max(gain, own)


def _refined(density: LogPosterior, rough: Maximum, max_iter: int, tol: float, watch: Watch) -> Maximum:
    """Continue L-BFGS from a rough maximum, then take Newton steps without a Hessian where rounding stops L-BFGS.

    References
    ----------
    .. [1] Nocedal & Wright (2006), Numerical Optimization, chapter 7.1.
    """
    total, tol = density.blocks.total_weight, max(tol, FINEST)
    reached = optimise(density, rough.q, max_iter, tol, watch)
    q, n_iter = reached.q, rough.n_iter + reached.n_iter
    value, grad = density(q)
    for _ in range(NEWTON_STEPS):
        if _largest(grad) <= tol * total:
            break
        better = _step(density, (q, value, grad), _newton_step(density, q, grad), np.ones_like(q))
        if better is None:
            break
        q, value, grad = better
        watch(q)
        n_iter += 1
    gradient = _largest(grad) / total
    return Maximum(q, value, gradient, n_iter, gradient <= tol)


def _newton_step(density: LogPosterior, q: Array, grad: Array) -> Array:
    """Solve for Newton's step by conjugate gradients; differences of the gradient stand in for the Hessian.

    It is an ascent direction: where the density is not concave, the directions so far are used, or the gradient.
    """
    step, left, direction = np.zeros_like(q), grad, grad
    for _ in range(CONJUGATE):
        size = STEP / np.linalg.norm(direction)
        ahead, behind = density(q + size * direction)[1], density(q - size * direction)[1]
        bent = (behind - ahead) / (2 * size)
        curvature = float(direction @ bent)
        if not curvature > 0:
            break
        length = float(left @ left) / curvature
        step = step + length * direction
        following = left - length * bent
        if np.linalg.norm(following) < SOLVED * np.linalg.norm(grad):
            break
        direction = following + float(following @ following) / float(left @ left) * direction
        left = following
    return step if step.any() else grad


def optimise(density: LogPosterior, start: Array, max_iter: int, tol: float, watch: Watch) -> Maximum:
    """Maximise by L-BFGS from ``start`` until no slope of the mean log density exceeds ``tol``.

    Parameters
    ----------
    density : LogPosterior
    start : (P,) float
    max_iter : int
        Maximum number of iterations.
    tol : float
    watch : callable
        Takes the current coordinates, and raises ComponentError if a component degenerates.

    Raises
    ------
    EmptyComponent, DegenerateComponent
        From ``watch``.
    """
    total, level = density.blocks.total_weight, density(start)[0]  # subtracted, so that no digits are lost
    count = 0

    def downhill(q: Array) -> tuple[float, Array]:
        value, grad = density(q)
        finite = np.isfinite(value) and np.isfinite(grad).all()
        return ((level - value) / total, -grad / total) if finite else (np.inf, np.zeros_like(grad))

    def look(q: Array) -> None:
        nonlocal count
        count += 1
        if count % WATCHED == 0:
            watch(q)

    options = {"maxiter": max_iter, "maxfun": 20 * max_iter, "maxcor": 20, "ftol": 0.0, "gtol": tol}
    with np.errstate(over="ignore", invalid="ignore"), one_blas_thread():
        solution = scipy.optimize.minimize(downhill, start, jac=True, method="L-BFGS-B", callback=look, options=options)
    watch(solution.x)
    value, grad = density(solution.x)
    gradient = _largest(grad) / total
    return Maximum(solution.x, value, gradient, int(solution.nit), gradient <= tol)


def polish(density: LogPosterior, reached: Maximum, max_iter: int, tol: float, watch: Watch) -> Maximum:
    """Refine a maximum by Newton's method until no slope of the mean log density exceeds ``tol``.

    Steps increase the density also along directions of positive curvature; they are halved until it increases.

    References
    ----------
    .. [1] Nocedal & Wright (2006), Numerical Optimization, chapter 3.4.
    """
    if not density.size:
        return reached
    total, q = density.blocks.total_weight, reached.q
    value, grad = density(q)
    curvature = Curvature.of(density, q)
    n_iter = reached.n_iter
    while _largest(grad) > tol * total and n_iter < reached.n_iter + max_iter:
        better = _step(density, (q, value, grad), curvature.solve(grad / total), curvature.scale)
        if better is None:  # at the precision of the sum over the points
            break
        q, value, grad = better
        watch(q)
        n_iter += 1
        curvature = Curvature.of(density, q, curvature.scale)
    gradient = _largest(grad) / total
    own = _largest(np.minimum(curvature.scale, 1.0) * grad) / total  # what is left when rounding stops the steps
    return Maximum(q, value, gradient, n_iter, min(gradient, own) <= tol, curvature)


Place = tuple[Array, float, Array]


def _step(density: LogPosterior, here: Place, step: Array, scale: Array) -> Place | None:
    """Return the result of the longest halved step that increases the density; None if none does."""
    q, value, grad = here
    gain = float(step @ grad)
    slope = np.abs(scale * grad).max()
    for _ in range(HALVINGS):
        there = q + step
        value_there, grad_there = density(there)
        if np.isfinite(value_there) and np.isfinite(grad_there).all():
            # where rounding hides the gain, the slope decides
            lost = abs(gain) < ROUNDING * max(1.0, abs(value)) * 1e3
            if value_there > value + 1e-4 * gain or (lost and np.abs(scale * grad_there).max() < slope):
                return there, value_there, grad_there
        step, gain = step / 2, gain / 2
    return None


def _largest(grad: Array) -> float:
    return float(np.abs(grad).max(initial=0.0))
