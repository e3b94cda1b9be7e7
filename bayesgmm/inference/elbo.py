"""The evidence lower bound of a Gaussian over draws that never change: a plain smooth function."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from bayesgmm.errors import SamplingError
from bayesgmm.inference.gaussians import Shape
from bayesgmm.inference.laplace import Whitening
from bayesgmm.inference.minibatches import LogDensity
from bayesgmm.stats import LOG_2PI, Array, run_ranges

SHRUNK = (0.0, -1.0, -2.0, -4.0)  # log scales to start from: the first where every draw has a density
EXACT = 1e-6  # log ratios closer than this are all the same: nothing to judge


def evaluate(densities: list[LogDensity], q: Array, cores: int) -> tuple[Array, Array]:
    """Log densities (M,) and gradients (M, P), each row of ``q`` by its own density."""
    values, grads = np.empty(len(q)), np.empty_like(q)

    def some(start: int, stop: int) -> None:
        for m in range(start, stop):
            values[m], grads[m] = densities[m](q[m])

    run_ranges(some, len(q), cores)
    return values, grads


@dataclass
class Bound:
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
        self.evaluations = 0  # of the log density
        self._last: tuple[Array, tuple[float, Array]] | None = None

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
        """The bound and its gradient; minus infinity where a draw has no density.

        The last answer is kept: a sweep over the data for each draw is dear, and optimisers ask twice.
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


def judge(log_ratio: Array) -> dict[str, Any]:
    """How good an approximation is, from the log ratios of posterior and approximation at its own draws.

    Returns
    -------
    dict
        ``elbo`` and its standard error ``elbo_se``; ``pareto_khat`` of the ratios; ``importance_share``, the share of
        the draws that as many draws of the posterior would be worth.

    References
    ----------
    .. [1] Yao, Vehtari, Simpson & Gelman (2018), Proc. Mach. Learn. Res. 80, 5581-5590.
    .. [2] Vehtari, Simpson, Gelman, Yao & Gabry (2024), J. Mach. Learn. Res. 25(72), 1-58.

    Examples
    --------
    >>> judge(np.zeros(1000))["importance_share"]
    1.0
    """
    from arviz_stats.base.array import array_stats

    log_ratio = np.where(np.isnan(log_ratio), -np.inf, log_ratio)  # a draw without a density
    weight = np.exp(log_ratio - log_ratio.max())
    with np.errstate(invalid="ignore"):
        error = float(log_ratio.std(ddof=1) / np.sqrt(len(log_ratio)))
    alike = log_ratio.max() - log_ratio.min() < EXACT
    return {
        "elbo": float(log_ratio.mean()),
        "elbo_se": error,
        "pareto_khat": 0.0 if alike else float(array_stats.psislw(-log_ratio)[1]),
        "importance_share": float(weight.sum() ** 2 / (weight**2).sum() / len(weight)),
    }
