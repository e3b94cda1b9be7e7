"""The evidence lower bound (ELBO) of a Gaussian over fixed draws: a smooth, deterministic function."""

from dataclasses import dataclass

import numpy as np

from bayesgmm.errors import SamplingError
from bayesgmm.inference.gaussians import Shape
from bayesgmm.inference.laplace import Whitening
from bayesgmm.inference.minibatches import LogDensity
from bayesgmm.sweep.stats import LOG_2PI, Array
from bayesgmm.sweep.threads import run_ranges

SHRUNK = (0.0, -1.0, -2.0, -4.0)  # log scales of the start; the first at which all draws have finite density is used


def evaluate(densities: list[LogDensity], q: Array, cores: int) -> tuple[Array, Array]:
    """Compute log densities (M,) and gradients (M, P); each row of ``q`` has its own density."""
    values, grads = np.empty(len(q)), np.empty_like(q)

    def some(start: int, stop: int) -> None:
        for m in range(start, stop):
            values[m], grads[m] = densities[m](q[m])

    run_ranges(some, len(q), cores)
    return values, grads


@dataclass
class Bound:
    """ELBO over fixed draws, a function of the ``params`` of a Gaussian: its mean, then the numbers of its shape.

    Parameters
    ----------
    densities : list of LogDensity
        Log density for each fixed draw.
    whitening : Whitening
    shape : Shape
    normals : (M, P) float
        Fixed draws.
    cores : int
        Number of threads.
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
        self.evaluations = 0  # number of evaluations of the log density
        self._last: tuple[Array, tuple[float, Array]] | None = None

    def draws(self, params: Array, normals: Array) -> Array:
        """Transform standard normal draws to draws of the Gaussian (..., P), in the density's coordinates."""
        return self.whitening(params[: self._size] + self.shape.spread(params[self._size :], normals))

    def log_q(self, params: Array, normals: Array) -> Array:
        """Compute the log density (...) of the Gaussian at those draws."""
        volume = self._log_volume + self.shape.log_det(params[self._size :])
        return -0.5 * ((normals**2).sum(axis=-1) + self._size * LOG_2PI) - volume

    def start(self) -> Array:
        """Return Laplace's approximation, or a narrower Gaussian if its draws have no finite density.

        Raises
        ------
        SamplingError
            If no scale gives a finite bound.
        """
        for log_scale in SHRUNK:
            params = np.concatenate([np.zeros(self._size), self.shape.start(self._size, log_scale)])
            if np.isfinite(self(params)[0]):
                return params
        raise SamplingError("the posterior is not finite around its mode\n  Try a stronger prior or fewer components.")

    def __call__(self, params: Array) -> tuple[float, Array]:
        """Return the bound, in nats, and its gradient; minus infinity if a draw has no finite density.

        The last result is cached, because each draw takes a sweep over the data and optimisers evaluate twice.
        """
        if self._last is None or not np.array_equal(self._last[0], params):
            self._last = params.copy(), self._evaluate(params)
            self.evaluations += len(self.normals)
        return self._last[1]

    def _evaluate(self, params: Array) -> tuple[float, Array]:
        numbers = params[self._size :]
        with np.errstate(over="ignore", invalid="ignore"):
            values, grads = evaluate(self.densities, self.draws(params, self.normals), self.cores)
            slopes = grads @ self.whitening.spread
            value = float(values.mean()) + self.shape.log_det(numbers) + self._entropy
            grad = np.concatenate([slopes.mean(axis=0), self.shape.gradient(numbers, self.normals, slopes)])
        if not (np.isfinite(value) and np.isfinite(grad).all()):
            return -np.inf, np.zeros_like(grad)
        return value, grad
