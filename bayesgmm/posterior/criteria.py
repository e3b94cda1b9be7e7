"""Model selection criteria: number of free parameters, information criteria, entropy of the assignments."""

import math

import numpy as np

from bayesgmm.data.labels import IMPOSSIBLE, component_columns
from bayesgmm.families.family import Family
from bayesgmm.sweep.blocks import Blocks
from bayesgmm.sweep.stats import Array, Stats, Table, responsibilities

HIGH_KHAT = 0.7  # Pareto k-hat above which importance weights are not reliable for any number of draws
CRITERIA = {"bic": 1, "aic": 1, "icl": 1, "elbo": -1}  # sign: a lower product of sign and criterion is better


def n_parameters(family: Family, n_components: int, n_features: int) -> int:
    """Count the free parameters of a mixture: weights, means and covariances.

    Examples
    --------
    Two full components in two dimensions: one weight, two means of two numbers, two covariances of three.

    >>> from bayesgmm.families.structures import COVARIANCES
    >>> n_parameters(COVARIANCES["full"], 2, 2)
    11
    """
    return n_components - 1 + n_components * n_features + family.size(n_components, n_features)


def assignment_entropy(stats: Stats, table: Table, blocks: Blocks | None = None) -> float:
    r"""Compute the total entropy of the assignments of all points, in nats: 0 if every assignment is certain.

    .. math:: -\sum_{nk} r_{nk} \log r_{nk} = \mathrm{loglik} - \sum_{nk} r_{nk} (a_{nk} + \log t_{nk})

    The sum of the scores is linear in the statistics ``n`` and ``s2``, so that no responsibilities need to be stored.
    The plausibilities t count only for rows with labels that allow several components, but not all alike.

    Parameters
    ----------
    stats : Stats
        From a fold of the points.
    table : Table
        Table of that fold.
    blocks : Blocks, optional
        The points, if they have labels.

    Examples
    --------
    With two equal components the entropy of each of three points is log 2.

    >>> from bayesgmm.sweep.blocks import Blocks
    >>> from bayesgmm.sweep.stats import fold
    >>> twins = Table.from_parameters(np.log([0.5, 0.5]), [[0.0], [0.0]], [[1.0], [1.0]])
    >>> round(assignment_entropy(fold(Blocks.from_rows([[0.0], [1.0], [5.0]]), twins), twins) / 3, 4)
    0.6931
    """
    held = np.isfinite(table.offset)  # an empty component scores minus infinity and has no points
    scores = table.offset[held] @ stats.n[held] - 0.5 * table.squared_lengths(stats.s2)[held].sum()
    added = 0.0 if blocks is None or blocks.labels is None else _label_term(blocks, blocks.labels, table)
    return max(0.0, stats.loglik - float(scores) - added)


def _label_term(blocks: Blocks, labels: Array, table: Table) -> float:
    """Compute the sum of responsibilities times logarithms of plausibilities; 0 where all are zero or one."""
    log = labels[: blocks.n_points, component_columns(labels.shape[1], table.offset.shape[-1])]
    some = np.flatnonzero(((log < 0) & (log > IMPOSSIBLE)).any(axis=1))
    if not some.size:
        return 0.0
    part = blocks.take(some)
    share = responsibilities(part, table)
    return float(part.weight[: some.size] @ (share * np.where(log[some] > IMPOSSIBLE, log[some], 0.0)).sum(axis=1))


def information_criteria(loglik: float, n_parameters: int, n_points: float, entropy: float) -> dict[str, float]:
    """Compute BIC, AIC and ICL of a maximum of the likelihood; lower is better, as in scikit-learn.

    Parameters
    ----------
    loglik : float
        Maximum total log likelihood, in nats.
    n_parameters : int
        Number of free parameters.
    n_points : float
        N, or the sum of the row weights.
    entropy : float
        Total entropy of the assignments, in nats. ICL is BIC plus twice the entropy: it favours separated clusters,
        while BIC favours the best density.

    Notes
    -----
    R's mclust has the opposite sign (higher is better), and its ICL has another penalty: minus twice the sum of the log
    probabilities of each point's most probable component, which is at most twice the entropy.

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
