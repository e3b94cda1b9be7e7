"""Extrapolated EM for families with restrictions: squared extrapolation, then the closest mixture of the family."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bayesgmm.families.charts import Chart
from bayesgmm.families.family import Family
from bayesgmm.families.structures import COVARIANCES, chart_of
from bayesgmm.inference.acceleration import remaining_gain, squarem
from bayesgmm.inference.mixtures import Mixture
from bayesgmm.inference.quasi_newton import PhaseResult
from bayesgmm.posterior.parameters import softmax
from bayesgmm.sweep.stats import Array

CYCLE = 2  # states of each cycle of the extrapolation


@dataclass(frozen=True)
class Unrestricted:
    """Mixtures of a family as numbers: log weights, means, and coordinates of the roots without its restrictions.

    Parameters
    ----------
    family : Family
    shape : (int, int)
        K and D.
    """

    family: Family
    shape: tuple[int, int]

    @property
    def _chart(self) -> Chart:
        """Coordinates of the family in which components share nothing."""
        return chart_of(COVARIANCES[self.family.free])

    def flatten(self, mixture: Mixture) -> Array:
        """Return the numbers of a mixture."""
        coordinates = self._chart.coordinates(mixture.core_roots)
        return np.concatenate([np.log(mixture.weight), mixture.mean.ravel(), coordinates])

    def unflatten(self, numbers: Array) -> Mixture:
        """Return the mixture of the family that is closest to numbers.

        Raises
        ------
        DegenerateComponent
            If a covariance is singular.
        """
        k, d = self.shape
        log_weight, mean, coordinates = np.split(numbers, [k, k + k * d])
        weight, roots = softmax(log_weight), self._chart.core_roots(coordinates, k, d)
        core = self.family.restrict(self.family.form.covariance(roots), weight, before=roots)
        return Mixture(weight, mean.reshape(k, d), self.family.roots(core))


def extrapolate(
    step: Callable[[Mixture], tuple[float, Mixture]], family: Family, start: Mixture, gap: float, max_sweeps: int
) -> PhaseResult:
    """Iterate EM with squared extrapolation until the estimated remaining gain is below ``gap``.

    An extrapolation that lowers the likelihood is rejected.

    Parameters
    ----------
    step : function
        Returns the log likelihood of a mixture, and the next one.
    family : Family
    start : Mixture
    gap : float
        In total log likelihood, in nats.
    max_sweeps : int
        Maximum number of steps; the last cycle is finished.

    References
    ----------
    .. [1] Varadhan & Roland (2008), Scand. J. Stat. 35, 335-353.
    """
    sweeps = 0

    def counted(mixture: Mixture) -> tuple[float, Mixture]:
        nonlocal sweeps
        sweeps += 1
        return step(mixture)

    k, d = start.mean.shape
    numbers, left = Unrestricted(family, (k, d)), np.inf
    history: list[float] = []
    for value, state in squarem(counted, start, numbers.flatten, numbers.unflatten):
        mixture = state
        history.append(value)
        if len(history) % CYCLE:  # the end of a cycle
            left = remaining_gain(np.abs(np.diff(history[::CYCLE])).tolist())[0]
            if left < gap or sweeps >= max_sweeps:
                break
    return PhaseResult(mixture, history[-1], left, sweeps, history)
