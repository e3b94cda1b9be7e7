"""Climbing a log density to its maximum: L-BFGS, then Newton until no slope is left."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy  # its parts are imported when they are used

from bayesgmm.errors import ComponentError
from bayesgmm.inference.laplace import HESSIAN_LIMIT, STEP, hessian
from bayesgmm.posterior.log_posterior import LogPosterior
from bayesgmm.sweep.stats import Array

ROUGH = 1e-5  # slope that L-BFGS leaves to Newton, which doubles the digits at every step
FINEST = 1e-7  # slope that L-BFGS can reach by itself, before its gains are lost in the sum over the points
TINY = 1e-8  # step that only asks how large a curvature is
FLAT = 1e-7  # a curvature below this share of the largest can't be told from none
NO_CURVATURE = 1e-14  # of a point
LONGEST = 2.0  # Newton step, in units of the coordinates' own scales
HALVINGS = 40
WATCHED = 5  # iterations of L-BFGS from one look at the components to the next
ROUNDING = 1e-13  # gains below this share of the log density are lost in the sum over the points

Watch = Callable[[Array], object]


@dataclass(frozen=True)
class Maximum:
    """Where a climb ended.

    Parameters
    ----------
    q : (P,) float
    value : float
        Log density there.
    gradient : float
        The largest slope, in any coordinate, of the log density divided by the total weight of the points.
    n_iter : int
    converged : bool
        Whether that slope is as small as was asked, or is so for a step of the coordinate's own scale: the mean of
        a component that is a million times as tight as the data moves by so much less.
    curvature : Curvature, optional
        There; None beyond HESSIAN_LIMIT coordinates.
    """

    q: Array
    value: float
    gradient: float
    n_iter: int
    converged: bool
    curvature: "Curvature | None" = None

    @property
    def is_one(self) -> bool:
        """Whether the log density curves down in every direction; taken on trust where there is no Hessian."""
        return self.curvature is None or self.curvature.is_definite

    def warnings(self, method: str, what: str) -> tuple[str, ...]:
        """What the user should know before trusting it."""
        if not self.converged:
            return (
                f"{method} stopped after {self.n_iter} iterations before it converged (the largest slope, a point, is "
                f"{self.gradient:.2g}). Try a larger max_iter, fewer components, or a stronger prior.",
            )
        if not self.is_one:
            return (
                f"The {what} does not fall in every direction from here: this is a ridge or a saddle, not a maximum. "
                "Try fewer components, or another seed.",
            )
        return ()


@dataclass(frozen=True)
class Curvature:
    """Second derivatives of a log density, in coordinates divided by ``scale`` so that tight components count alike.

    Parameters
    ----------
    scale : (P,) float
        How far each coordinate moves before the density notices.
    values : (P, P) float
        Minus the Hessian, divided by the total weight of the points.
    """

    scale: Array
    values: Array

    @classmethod
    def of(cls, density: LogPosterior, q: Array, scale: Array | None = None) -> "Curvature":
        """By central differences of the analytic gradient, with steps in proportion to the scales."""
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
        """Whether every direction curves down, to the precision of the differences."""
        values = self.spectrum[0]
        return bool(values.size == 0 or values[0] > FLAT * values[-1])

    @property
    def flattest(self) -> tuple[float, Array]:
        """The curvature next to none, as a share of the largest, and (P,) its direction."""
        values, directions = self.spectrum
        at = int(np.argmin(np.abs(values)))
        return float(np.abs(values[at]) / np.abs(values).max()), self.scale * directions[:, at]

    @property
    def rising(self) -> Array:
        """(P,) the direction that curves up most, or down least."""
        return self.scale * self.spectrum[1][:, 0]

    def solve(self, grad: Array) -> Array:
        """(P,) Newton's step for a gradient of the mean; uphill also where the density curves up."""
        values, directions = self.spectrum
        size = np.maximum(np.abs(values), FLAT * np.abs(values).max())
        step = directions @ ((directions.T @ (self.scale * grad)) / size)
        return self.scale * step * min(1.0, LONGEST / np.abs(step).max())

    def inverse(self) -> Array:
        """(P, P) the inverse of minus the mean Hessian; it must be definite."""
        values, directions = self.spectrum
        half = self.scale[:, None] * directions / np.sqrt(values)
        return half @ half.T


def _scale(density: LogPosterior, q: Array) -> Array:
    """(P,) one over the root of each coordinate's own curvature, roughly."""
    diagonal = np.empty(q.size)
    for i in range(q.size):
        step = np.zeros_like(q)
        step[i] = TINY
        diagonal[i] = (density(q + step)[1][i] - density(q - step)[1][i]) / (2 * TINY)
    return 1 / np.sqrt(np.maximum(np.abs(diagonal) / density.blocks.total_weight, NO_CURVATURE))


def highest(
    density: LogPosterior, starts: list[Array], max_iter: int, tol: float, watch: Watch
) -> tuple[Maximum, list[ComponentError]]:
    """Climb from every start, polish the highest place, and tell which climbs were given up.

    Parameters
    ----------
    density : LogPosterior
    starts : list of (P,) float
    max_iter : int
        Iterations of each climb, at most.
    tol : float
        Slope of the mean log density that may be left.
    watch : callable
        Sees where a climb is, and raises ComponentError where it is hopeless.

    Raises
    ------
    EmptyComponent, DegenerateComponent
        When every climb was given up.
    """
    reached: list[Maximum] = []
    failures: list[ComponentError] = []
    for start in starts:
        try:
            reached.append(optimise(density, start, max_iter, tol, watch))
        except ComponentError as error:
            failures.append(error)
    for rough in sorted(reached, key=lambda maximum: -maximum.value):
        try:
            return polish(density, rough, max_iter, tol, watch), failures
        except ComponentError as error:
            failures.append(error)
    raise failures[-1]


def optimise(density: LogPosterior, start: Array, max_iter: int, tol: float, watch: Watch) -> Maximum:
    """Climb from ``start`` by L-BFGS, roughly where Newton can follow.

    Parameters
    ----------
    density : LogPosterior
    start : (P,) float
    max_iter : int
    tol : float
        Slope of the mean log density that :func:`polish` will ask for.
    watch : callable
        Sees where the climb is, and raises what makes it hopeless.
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

    alone = density.size > HESSIAN_LIMIT
    gtol = max(tol, FINEST if alone else ROUGH)
    options = {"maxiter": max_iter, "maxfun": 20 * max_iter, "maxcor": 20, "ftol": 0.0, "gtol": gtol}
    with np.errstate(over="ignore", invalid="ignore"):
        found = scipy.optimize.minimize(downhill, start, jac=True, method="L-BFGS-B", callback=look, options=options)
    watch(found.x)
    value, grad = density(found.x)
    gradient = _largest(grad) / total
    return Maximum(found.x, value, gradient, int(found.nit), gradient <= (gtol if alone else tol))


def polish(density: LogPosterior, reached: Maximum, max_iter: int, tol: float, watch: Watch) -> Maximum:
    """Newton's method from where a climb ended, until no slope of the mean log density exceeds ``tol``.

    Steps go uphill along directions that curve up, and are halved until they gain. Beyond HESSIAN_LIMIT coordinates
    nothing is done: the climb went as far as L-BFGS can, to a slope of 1e-7.

    References
    ----------
    .. [1] Nocedal & Wright (2006), Numerical Optimization, chapter 3.4.
    """
    if density.size > HESSIAN_LIMIT or not density.size:
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
    """The longest of the halved steps that gains; None when none does."""
    q, value, grad = here
    gain = float(step @ grad)
    slope = np.abs(scale * grad).max()
    for _ in range(HALVINGS):
        there = q + step
        value_there, grad_there = density(there)
        if np.isfinite(value_there) and np.isfinite(grad_there).all():
            # where a gain is lost in rounding the slope still tells
            lost = abs(gain) < ROUNDING * max(1.0, abs(value)) * 1e3
            if value_there > value + 1e-4 * gain or (lost and np.abs(scale * grad_there).max() < slope):
                return there, value_there, grad_there
        step, gain = step / 2, gain / 2
    return None


def _largest(grad: Array) -> float:
    return float(np.abs(grad).max(initial=0.0))
