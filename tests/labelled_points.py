"""Six points of a conjugate mixture whose components have plausibilities: exact answers by enumeration."""

from itertools import product

import numpy as np
from scipy.special import logsumexp

from tests.model_selection.test_evidence import (
    DOF,
    POINTS,
    SCALE,
    STRENGTH,
    UNIFORM,
    conjugate,
    log_share,
    normal_wishart,
)

__all__ = ["POINTS", "conjugate", "exact_evidence", "exact_probabilities"]


def _terms(k, plausible, prior):
    """Yield every assignment of the six points, and the log of its joint density with points and labels."""
    for z in product(range(k), repeat=len(POINTS)):
        given = plausible[np.arange(len(POINTS)), z].prod()
        if given > 0:
            parts = [POINTS[np.array(z) == j][:, None] for j in range(k)]
            marginals = [normal_wishart(part, np.zeros(1), STRENGTH, DOF, np.eye(1) * SCALE) for part in parts]
            yield z, np.log(given) + log_share(prior, np.bincount(z, minlength=k)) + sum(marginals)


def exact_evidence(k, plausible, prior=UNIFORM):
    """Log density of points and labels."""
    return logsumexp([term for _, term in _terms(k, plausible, prior)])


def exact_probabilities(k, plausible, prior=UNIFORM):
    """Probability (6, K) of the component of each point."""
    out = np.zeros((len(POINTS), k))
    total = exact_evidence(k, plausible, prior)
    for z, term in _terms(k, plausible, prior):
        out[np.arange(len(POINTS)), z] += np.exp(term - total)
    return out
