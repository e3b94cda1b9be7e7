"""Faults of a maximum of a likelihood: components that are regular by a prior only, or hold few points."""

import numpy as np
from numpy.typing import NDArray

from bayesgmm.errors import ComponentError
from bayesgmm.families.family import Family
from bayesgmm.inference.mixtures import Mixture, maximise
from bayesgmm.sweep.blocks import Blocks
from bayesgmm.sweep.stats import fold

SUSPECT, SINGULAR = 1, 2  # faults, in order
GRADING = 12  # number of these M steps if a component is small
NARROW = 0.1  # a component is narrow if its width in some direction is less than this share of the usual


def fault_of(blocks: Blocks, family: Family, mixture: Mixture, threads: int = 1) -> int:
    """Return SINGULAR, SUSPECT or zero for a mixture, by M steps without a prior: several if a component is small."""
    points = blocks.total_weight
    try:
        for _ in range(GRADING if _few(mixture, family, points).any() else 1):
            mixture = maximise(family, fold(blocks, mixture.table(family), threads), before=mixture.core_roots)
    except (ComponentError, np.linalg.LinAlgError):
        return SINGULAR
    return SUSPECT if is_suspect(mixture, family, points) else 0


def _few(mixture: Mixture, family: Family, points: float) -> NDArray[np.bool_]:
    """Return True for components (K,) that hold less than twice as many points as a covariance needs."""
    return mixture.weight * points < 2 * family.points_needed(mixture.mean.shape[1])


def is_suspect(mixture: Mixture, family: Family, points: float) -> bool:
    """Return True if a component holds few points and is narrow: a maximum by chance, near a degenerate one.

    Few are less than twice as many as its covariance needs; narrow is a tenth of the usual width in some direction.

    Parameters
    ----------
    mixture : Mixture
    family : Family
    points : float
        Number of points in all components.

    References
    ----------
    .. [1] McLachlan & Peel (2000), Finite Mixture Models, chapter 3.10: spurious local maximisers.
    """
    k, d = mixture.mean.shape
    few = _few(mixture, family, points)
    if not few.any():
        return False
    covariance = family.matrices(mixture.core_roots, k, d)
    usual = np.linalg.cholesky(np.einsum("k,kij->ij", mixture.weight, covariance))
    relative = np.linalg.solve(usual, np.swapaxes(np.linalg.solve(usual, covariance[few]), 1, 2))
    return bool((np.linalg.eigvalsh(relative)[:, 0] < NARROW**2).any())
