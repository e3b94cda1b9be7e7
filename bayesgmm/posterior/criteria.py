"""Criteria for model selection: number of parameters, BIC, AIC, ICL, and the entropy of the assignments."""

import math

import numpy as np

from bayesgmm.families.structures import Family
from bayesgmm.sweep.stats import Array, Stats, Table

HIGH_KHAT = 0.7  # of importance weights (Pareto's k-hat): above it they can't be trusted, however many draws there are
CRITERIA = {"bic": 1, "aic": 1, "icl": 1, "elbo": -1}  # less of this times the criterion is better


def n_parameters(family: Family, n_components: int, n_features: int) -> int:
    """Free numbers of a mixture: weights, means and covariances.

    Examples
    --------
    Two full components in the plane: a weight, two means of two numbers, two covariances of three.

    >>> from bayesgmm.families.structures import COVARIANCES
    >>> n_parameters(COVARIANCES["full"], 2, 2)
    11
    """
    return n_components - 1 + n_components * n_features + family.size(n_components, n_features)


def assignment_entropy(stats: Stats, table: Table) -> float:
    r"""Entropy of the assignments of all points, in nats: 0 when every point is sure of its component.

    .. math:: -\sum_{nk} r_{nk} \log r_{nk} = \mathrm{loglik} - \sum_{nk} r_{nk} a_{nk}

    So the statistics hold it, and no responsibility need be kept: the second sum is linear in ``n`` and ``s2``.

    Parameters
    ----------
    stats : Stats
        From a fold of the points, by their row weights.
    table : Table
        The one that was folded with.

    Examples
    --------
    Two bumps in one place: each of three points is torn between them, by log 2.

    >>> from bayesgmm.sweep.stats import Blocks, fold
    >>> twins = Table.from_parameters(np.log([0.5, 0.5]), [[0.0], [0.0]], [[1.0], [1.0]])
    >>> round(assignment_entropy(fold(Blocks.from_rows([[0.0], [1.0], [5.0]]), twins), twins) / 3, 4)
    0.6931
    """
    held = np.isfinite(table.offset)  # a component without weight scores minus infinity, and holds nothing
    scores = table.offset[held] @ stats.n[held] - 0.5 * _squared_lengths(table.root, stats.s2)[held].sum()
    return max(0.0, stats.loglik - float(scores))


def _squared_lengths(root: Array, s2: Array) -> Array:
    """(K,) sums of the squared lengths of the points as each component sees them."""
    if s2.ndim == 2:
        return (root**2 * s2).sum(axis=1)
    return np.einsum("kij,kjl,kil->k", root, s2, root)


def information_criteria(loglik: float, n_parameters: int, n_points: float, entropy: float) -> dict[str, float]:
    """BIC, AIC and ICL of a maximum of the likelihood; lower is better, as in scikit-learn.

    Parameters
    ----------
    loglik : float
        Largest total log likelihood.
    n_parameters : int
        Free numbers.
    n_points : float
        N, or the sum of the row weights.
    entropy : float
        Of the assignments of all points. ICL is BIC plus twice this: it wants clusters that are apart, and BIC
        a density that fits.

    References
    ----------
    .. [1] Schwarz (1978), Ann. Stat. 6(2), 461-464.
    .. [2] Akaike (1974), IEEE Trans. Autom. Control 19(6), 716-723.
    .. [3] Biernacki, Celeux & Govaert (2000), IEEE Trans. Pattern Anal. Mach. Intell. 22(7), 719-725.

    Examples
    --------
    >>> information_criteria(-10.0, 3, 1, 0.5)
    {'bic': 20.0, 'aic': 26.0, 'icl': 21.0}
    """
    bic = -2 * loglik + n_parameters * math.log(n_points)
    return {"bic": bic, "aic": -2 * loglik + 2 * n_parameters, "icl": bic + 2 * entropy}
