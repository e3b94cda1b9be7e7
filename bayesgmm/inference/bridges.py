"""Bridge sampling: the evidence from draws of a posterior together with draws of a proposal."""

from dataclasses import dataclass

import numpy as np

from bayesgmm.sweep.stats import Array

MAX_ITER = 1000
TOL = 1e-10  # converged when the log evidence changes by less than this


@dataclass(frozen=True)
class BridgeEstimate:
    """Result of bridge sampling.

    Parameters
    ----------
    log_evidence, se : float
        Log of the integral of the target, and its standard error.
    overlap : float
        Overlap of target and proposal, from 0 to 1 for equal densities.
    effective : float
        Effective number of the posterior's draws, for the mean that the estimate takes over them.
    """

    log_evidence: float
    se: float
    overlap: float
    effective: float


def effective_size(values: Array) -> float:
    """Compute the effective number of draws (chains, draws) for the mean of a quantity; all of them for a constant."""
    from arviz_stats.base.array import array_stats

    if values.shape[1] < 4 or np.ptp(values) == 0:
        return float(values.size)
    size = float(array_stats.ess(values, chain_axis=0, draw_axis=1, method="mean"))
    return size if np.isfinite(size) else 1.0


def bridge(drawn: Array, proposed: Array) -> BridgeEstimate:
    r"""Estimate the log evidence by the optimal bridge, from log ratios of target and proposal.

    .. math:: Z = \frac{\mathrm{E}_g[\ell / (s_1 \ell + s_2 Z)]}{\mathrm{E}_p[1 / (s_1 \ell + s_2 Z)]},
              \qquad \ell = p^*(\theta) / g(\theta)

    Parameters
    ----------
    drawn : (chains, draws) float
        Log ratios at draws of the posterior, which may be autocorrelated. The proposal must not depend on them.
    proposed : (M,) float
        Log ratios at independent draws of the proposal; minus infinity where the target is zero.

    References
    ----------
    .. [1] Meng & Wong (1996), Statistica Sinica 6, 831-860.
    .. [2] Frühwirth-Schnatter (2004), Econometrics Journal 7, 143-167: the standard error.
    .. [3] Gronau, Sarafoglou, Matzke, Ly, Boehm, Marsman, Leslie, Forster, Wagenmakers & Steingroever (2017),
       J. Math. Psychol. 81, 80-97.

    Examples
    --------
    Where target and proposal have the same shape, all ratios are the evidence.

    >>> estimate = bridge(np.full((2, 50), -3.0), np.full(100, -3.0))
    >>> round(estimate.log_evidence, 6), round(estimate.overlap, 6), estimate.effective
    (-3.0, 1.0, 100.0)
    """
    effective = effective_size(drawn)
    log_z, f, h = optimal_bridge(drawn, proposed, effective)
    averaged = effective_size(h)
    error = f.var() / (f.mean() ** 2 * f.size) + h.var() / (h.mean() ** 2 * averaged)
    return BridgeEstimate(log_z, float(np.sqrt(error)), float(min(f.mean(), 1.0)), averaged)


def optimal_bridge(drawn: Array, proposed: Array, effective: float) -> tuple[float, Array, Array]:
    """Compute the log evidence by the optimal bridge.

    Parameters
    ----------
    drawn, proposed : arrays
        Log ratios of target and proposal, at draws of the target and of the proposal.
    effective : float
        Effective number of draws of the target.

    Returns
    -------
    log_z : float
    f, h : arrays
        Bridge function times the density of the target at the proposals, and times that of the proposal at the draws;
        their means are equal.
    """
    level = float(np.median(drawn))
    drawn, proposed = drawn - level, proposed - level
    log_z = 0.0
    for _ in range(MAX_ITER):
        log_f, log_h = _terms(drawn, proposed, log_z, effective)
        before, log_z = log_z, log_z + float(_log_mean(log_f) - _log_mean(log_h))
        if not abs(log_z - before) > TOL:
            break
    log_f, log_h = _terms(drawn, proposed, log_z, effective)
    return level + log_z, np.exp(log_f), np.exp(log_h)


def _terms(drawn: Array, proposed: Array, log_z: float, effective: float) -> tuple[Array, Array]:
    """Logs of p / (s1 p + s2 g) at the proposals and of g / (s1 p + s2 g) at the draws, p normalised by ``log_z``."""
    share = np.log([effective, proposed.size]) - np.log(effective + proposed.size)
    at_proposed, at_drawn = proposed - log_z, drawn - log_z
    return at_proposed - np.logaddexp(share[0] + at_proposed, share[1]), -np.logaddexp(share[0] + at_drawn, share[1])


def _log_mean(logs: Array) -> float:
    return float(np.logaddexp.reduce(logs, axis=None) - np.log(logs.size))
