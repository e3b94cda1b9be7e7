"""Agreement of chains on quantities that do not depend on labels: R-hat and effective sample size."""

from dataclasses import dataclass

import numpy as np

from bayesgmm.diagnosis.mixing import ALARMING_RHAT, HIGH_RHAT, LOW_ESS
from bayesgmm.labels.groups import Groups, sort_within
from bayesgmm.posterior.chain_statistics import MIN_DRAWS, rhat_and_bulk_ess
from bayesgmm.posterior.log_posterior import LogPosterior
from bayesgmm.sweep.stats import Array, log_densities

REFERENCES = 8  # points of the data at which the density is monitored
SMALLEST = 5  # points of a cluster that is counted
APART = 1.2  # R-hat above which chains that mix well are in different modes
RESERVE = 1.2  # factor of the number of draws that the effective size so far predicts
MIN_FACTOR = 1.5  # minimum factor of one extension


@dataclass(frozen=True)
class Agreement:
    """Agreement of several chains.

    Parameters
    ----------
    rhat : float
        Largest R-hat of the monitored quantities.
    ess : float
        Smallest bulk effective sample size.
    """

    rhat: float
    ess: float

    def is_good(self, ess: float) -> bool:
        """True if the chains agree and have at least this effective sample size."""
        return self.rhat <= HIGH_RHAT and self.ess >= ess

    def draws_needed(self, draws: int, ess: float, least: float = MIN_FACTOR) -> int:
        """Number of draws at which chains with this agreement after some draws are expected to be good.

        At least ``least`` times as many.

        Examples
        --------
        >>> Agreement(rhat=1.0, ess=100.0).draws_needed(500, ess=400)
        2400
        """
        by_rhat = (self.rhat - 1) / (HIGH_RHAT - 1)  # for chains that agree, R-hat - 1 is proportional to 1 / draws
        factor = RESERVE * max(ess / self.ess, by_rhat if self.rhat <= ALARMING_RHAT else 0.0)
        return int(np.ceil(max(factor, least) * draws))


def wanted_ess(chains: int, draws: int) -> float:
    """Return the effective sample size at which a run is long enough.

    With 100 effective draws per chain, of four chains, the Monte Carlo error of a posterior mean is a twentieth of a
    posterior standard deviation. Short runs need a quarter of their draws.
    """
    return min(LOW_ESS * chains, draws * chains // 4)


def agreement(values: Array) -> Agreement:
    """Compute the agreement of chains on M quantities (chains, draws, M).

    References
    ----------
    .. [1] Vehtari, Gelman, Simpson, Carpenter & Bürkner (2021), Bayesian Analysis 16(2), 667-718.

    Examples
    --------
    >>> agreement(np.random.default_rng(0).normal(size=(4, 500, 1))).is_good(ess=1000)
    True
    """
    varies = np.ptp(values, axis=(0, 1)) > 0
    if values.shape[1] < MIN_DRAWS or not varies.any():
        return Agreement(1.0, float(values[..., 0].size))
    rhat, ess = rhat_and_bulk_ess(values[..., varies])
    return Agreement(float(np.nanmax(rhat)) if len(values) > 1 else 1.0, float(np.nanmin(ess)))


def ess_within_chains(values: Array) -> float:
    """Compute the smallest effective sample size of M quantities (chains, draws, M), as if all chains agreed.

    It is that of the chain that mixes worst, by itself, times the number of chains. Chains for which it is large while
    R-hat is high mix well, but in different regions. It is small if a chain has moved from one region to another.

    Examples
    --------
    >>> apart = np.random.default_rng(0).normal(size=(2, 500, 1)) + [[[0.0]], [[9.0]]]
    >>> ess_within_chains(apart) > 500 > 10 > agreement(apart).ess
    True
    """
    if values.shape[1] < MIN_DRAWS:
        return float(values[..., 0].size)
    return len(values) * float(min(rhat_and_bulk_ess(chain[None])[1].min() for chain in values))


def label_free(density: LogPosterior, q: Array, lp: Array) -> Array:
    """Compute label-free quantities (chains, draws, M) of draws (chains, draws, P) with log densities (chains, draws).

    They are the log posterior density, the weights in ascending order or an unknown number of components, and the log
    density of what is observed of some points. Where rows have labels, weights are ordered only among components that
    the labels treat alike, and the means of others are quantities, too.
    """
    weight, mean, core_roots = density.mixture(q.reshape(-1, q.shape[-1]))
    chosen = np.unique(np.linspace(0, density.blocks.n_points - 1, REFERENCES).round().astype(int))
    family = density.model.family
    with np.errstate(divide="ignore"):
        table = family.table(np.log(weight), mean, core_roots)
    at = log_densities(density.blocks.take(chosen).with_labels(None), table)
    varies = density.model.weights.draws_n_components
    sizes = q[..., density.extra("weights")[-1]].reshape(-1, 1) if varies else _in_order(weight, density.groups)
    parts = [lp.reshape(-1, 1), sizes, at, _labelled_means(mean, density.groups)]
    return np.concatenate(parts, axis=1).reshape(*q.shape[:2], -1)


def _in_order(weight: Array, groups: Groups) -> Array:
    return np.take_along_axis(weight, sort_within(weight, groups), axis=1)


def _labelled_means(mean: Array, groups: Groups) -> Array:
    """Return the means (S, M) of components (S, K, D) that the labels of rows distinguish from all others."""
    if groups is None:
        return np.empty((len(mean), 0))
    alone = np.bincount(groups)[groups] == 1
    return mean[:, alone].reshape(len(mean), -1)


def monitored(density: LogPosterior, q: Array, lp: Array) -> Array:
    """Return the ``label_free`` quantities (chains, draws, M); where K is a bound, the number of clusters is the last.

    It counts the components with the weight of at least ``SMALLEST`` points. Lower weights are mostly those of empty
    components: they change quickly, and by their ranks any chain would seem to mix.
    """
    values = label_free(density, q, lp)
    if not density.model.weights.is_overfitted:
        return values
    weight = density.mixture(q.reshape(-1, q.shape[-1]))[0]
    number = (weight * density.blocks.total_weight >= SMALLEST).sum(axis=1, dtype=np.float64)
    return np.concatenate([values, number.reshape(*lp.shape, 1)], axis=2)
