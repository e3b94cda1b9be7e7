"""Ladders of temperatures for parallel tempering: the places of the rungs, and the log evidence."""

from dataclasses import dataclass

import numpy as np

from bayesgmm.inference.bridges import effective_size, optimal_bridge
from bayesgmm.inference.tempering_kernels import COLDER, HOTTER, OWN
from bayesgmm.sweep.stats import Array

FIRST_RUNGS = 20  # number of rungs of the first ladder
HOTTEST = 1e-3  # its smallest inverse temperature after 0, divided by the number of points
SWAP_RATE = 0.4  # acceptance rate of exchanges that the number of rungs is chosen for
MAX_RUNGS = 200
MIN_RUNGS = 3


def first_ladder(total_weight: float) -> Array:
    """Return the inverse temperatures of the first ladder: 0, then a geometric sequence up to 1."""
    return np.append(0.0, np.geomspace(min(HOTTEST / total_weight, 0.1), 1.0, FIRST_RUNGS - 1))


def barriers(rejection: Array) -> Array:
    """Return the communication barrier (M,) between the prior and each rung, from rejection rates (M - 1,)."""
    return np.append(0.0, np.cumsum(rejection))


def adapted(beta: Array, rejection: Array) -> tuple[Array, Array]:
    """Place the rungs so that exchanges of all neighbours are accepted equally often, at the rate that is wanted.

    Parameters
    ----------
    beta : (M,) float
        Inverse temperatures.
    rejection : (M - 1,) float
        Rejection rates of exchanges of neighbours.

    Returns
    -------
    beta : (M',) float
    nearest : (M',) int
        The old rung that is nearest to each new one.

    References
    ----------
    .. [1] Syed, Bouchard-Côté, Deligiannidis & Doucet (2022), J. R. Stat. Soc. B 84(2), 321-350, section 5.

    Examples
    --------
    >>> adapted(np.array([0.0, 0.01, 0.1, 1.0]), np.array([0.3, 0.3, 0.6]))[0].round(3)
    array([0. , 0.1, 1. ])
    """
    barrier = barriers(rejection)
    count = int(np.clip(np.ceil(barrier[-1] / (1 - SWAP_RATE)) + 1, MIN_RUNGS, MAX_RUNGS))
    at = np.interp(np.linspace(0.0, barrier[-1], count), barrier, np.arange(len(beta)))
    at[-1] = len(beta) - 1
    low = np.minimum(at.astype(int), len(beta) - 2)
    part = at - low
    lower, upper = beta[low], beta[low + 1]
    with np.errstate(divide="ignore"):
        new = np.where(low == 0, part * upper, np.exp((1 - part) * np.log(lower) + part * np.log(upper)))
    new[0], new[-1] = 0.0, 1.0
    return new, np.rint(at).astype(int)


def expected_trips(rejection: Array, iterations: float) -> float:
    """Number of round trips in a number of iterations if successive exchanges were independent.

    References
    ----------
    .. [1] Syed, Bouchard-Côté, Deligiannidis & Doucet (2022), J. R. Stat. Soc. B 84(2), 321-350, section 3.3.

    Examples
    --------
    >>> expected_trips(np.array([0.5, 0.5]), 600)
    100.0
    """
    return float(iterations / (2 + 2 * (rejection / (1 - rejection)).sum()))


@dataclass(frozen=True)
class LadderEvidence:
    """Log evidence of the standardised points, and its standard error."""

    log_evidence: float
    se: float


def ladder_evidence(energy: Array) -> LadderEvidence:
    """Estimate the log evidence from a ladder: Bennett's acceptance ratio between neighbours.

    The standard error allows for the correlation of successive draws and of the rungs: the estimate is, to the first
    order, a mean of one number for each iteration.

    Parameters
    ----------
    energy : (chains, draws, M, 3) float
        Tempered log likelihoods of the states, as ``tempering_kernels.Record`` has them.

    References
    ----------
    .. [1] Bennett (1976), J. Comput. Phys. 22(2), 245-268.
    .. [2] Meng & Wong (1996), Statistica Sinica 6, 831-860.
    """
    total, influence = 0.0, np.zeros(energy.shape[:2])
    for r in range(energy.shape[2] - 1):
        hotter = energy[:, :, r, COLDER] - energy[:, :, r, OWN]
        colder = energy[:, :, r + 1, OWN] - energy[:, :, r + 1, HOTTER]
        log_z, f, h = optimal_bridge(colder, hotter, colder.size)
        total += log_z
        influence += f / f.mean() - h / h.mean()
    return LadderEvidence(total, float(influence.std() / np.sqrt(effective_size(influence))))
