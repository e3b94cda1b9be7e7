"""A short Gibbs run as the judge of an approximation: regions in which it has no draws, and how far it is off.

An approximation and its importance ratios know the posterior only where the approximation has draws. Chains that start
in different places may end in a region that it misses.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace

import numpy as np

from bayesgmm.diagnosis.mixing import ALARMING_RHAT
from bayesgmm.engines import ENGINES
from bayesgmm.errors import DeclarationError, SamplingError
from bayesgmm.inference import gibbs_chains, labelled_copies
from bayesgmm.inference.agreement import agreement, label_free, monitored
from bayesgmm.inference.bridges import BridgeEstimate, bridge
from bayesgmm.inference.elbo import evaluate
from bayesgmm.inference.importance import Draws, log_evidence
from bayesgmm.inference.mixture_proposals import fit_proposal, halves
from bayesgmm.posterior.info import GibbsComparison
from bayesgmm.posterior.log_posterior import LogPosterior
from bayesgmm.sweep.stats import Array

CHAINS, TUNE, THIN = 4, 100, 5
SEARCH = 500  # budget of the search for starts, the second one of these points
DRAWS, EACH = 400, 8  # minimum number of draws of each chain, in all and per coordinate
WORTH = 200_000_000  # maximum cost of the run: points x features x components x sweeps
MAX_SIZE = 150  # maximum number of coordinates: no proposal comes close in more
PROPOSALS = 2000
APART = 0.5  # share of a chain's draws that are outside the range of the approximation: the chain is in another region
TAILS = 0.001  # share of the approximation's draws on each side that are left out of its range
FEW = 100  # of fewer kept draws no range can be told: that of all draws of the approximation is used
JUDGES = 200  # effective number of draws from which Gibbs chains that agree are a judge of the approximation
FEWER_JUDGES, COUNTS = 100, 50  # the same where K is a bound: for the density, and for the number of clusters
SPLIT_COST = 3  # time of a sweep with split-merge moves, relative to one without
INTERVAL = (0.05, 0.5, 0.95)
TINY = 1e-6  # smallest ratio of two widths
IMPRECISE = 0.7  # standard error of a log mass with which it tells nothing: the chain has not stayed in one region


_looks: ContextVar[bool] = ContextVar("looks", default=True)


@contextmanager
def ignored() -> Iterator[None]:
    """Look for no regions while a block runs, which makes many short fits that are only compared with each other."""
    token = _looks.set(False)
    try:
        yield
    finally:
        _looks.reset(token)


def are_apart(known: Array, values: Array) -> bool:
    """Return True if most values (T, M) are outside the range of known ones (S, M), in the direction that tells best.

    The direction is Fisher's linear discriminant, with the covariance of the known values.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> known, same = rng.normal(size=(2, 500, 3))
    >>> are_apart(known, same), are_apart(known, same + 5.0)
    (False, True)
    """
    varies = known.std(axis=0) > 0
    known, values = known[:, varies], values[:, varies]
    centre, scale = known.mean(axis=0), known.std(axis=0)
    known, values = (known - centre) / scale, (values - centre) / scale
    direction = np.linalg.pinv(np.cov(known.T).reshape(scale.size, scale.size)) @ values.mean(axis=0)
    low, high = np.quantile(known @ direction, [TAILS, 1 - TAILS])
    along = values @ direction
    return bool(((along < low) | (along > high)).mean() > APART)


def can_look(density: LogPosterior) -> bool:
    """Return True if regions are looked for, and a Gibbs run is possible and takes less than about a second.

    Where the number of components is an upper bound, an approximation covers many orders of the empty components, so
    that its mass can't be compared.
    """
    if density.size > MAX_SIZE or density.model.weights.is_overfitted:
        return False
    return _can_run(density, _draws(density))


def can_compare_clusters(density: LogPosterior) -> bool:
    """Return True if the number of components is an upper bound, and a Gibbs run as for ``can_look`` is possible."""
    return density.model.weights.is_overfitted and _can_run(density, DRAWS)


def _can_run(density: LogPosterior, count: int) -> bool:
    return _looks.get() and is_conjugate(density) and _sweeps(density) >= TUNE + count


def is_conjugate(density: LogPosterior) -> bool:
    """Return True if the Gibbs sampler can draw from the posterior."""
    return not ENGINES["gibbs"].refused(density.model) and not (density.blocks.weight % 1).any()


@dataclass(frozen=True)
class Region:
    """A region of the posterior in which an approximation has no draws.

    Parameters
    ----------
    share : float
        Its share of the posterior; 0 if none was found.
    q : (P,) float, optional
        The highest point that was found there.
    compared : GibbsComparison, optional
        Comparison with the chains that are in no other region; None if they do not agree, or are too short.
    """

    share: float
    q: Array | None = None
    compared: GibbsComparison | None = None


def missed_region(density: LogPosterior, proposals: Draws, kept: Array, seed: int, cores: int) -> Region:
    """Look for a region of the posterior where an approximation has no draws; return the heaviest one.

    A chain is in another region if most of its draws are outside the range of the approximation, by quantities that do
    not depend on labels. The mass of that region is compared with the mass that the approximation covers: a chain may
    as well be held by a region that weighs nothing.

    Parameters
    ----------
    density : LogPosterior
        One for which ``can_look`` is true.
    proposals : Draws
        Draws of the approximation, with their importance ratios.
    kept : (S, P) float
        Those that the fit keeps.
    seed, cores : int

    References
    ----------
    .. [1] Meng & Wong (1996), Statistica Sinica 6, 831-860: bridge sampling.
    .. [2] Fisher (1936), Annals of Eugenics 7(2), 179-188: the discriminant.
    """
    chains = _gibbs(density, _draws(density), seed, cores)
    lp = _log_densities(density, chains, cores)
    few = len(kept) < FEW
    kept = proposals.q if few else kept
    known = label_free(density, kept[None], _log_densities(density, kept[None], cores))[0]
    free = label_free(density, chains, lp)
    apart = np.array([are_apart(known, values) for values in free])
    covered = log_evidence(proposals.log_ratio + labelled_copies.log_copies(density, proposals.q))[0]
    regions = [Region(0.0)]
    for q, value in zip(chains[apart], lp[apart], strict=True):
        mass = _mass(density, q, value, seed, cores)
        if mass is not None and mass.se < IMPRECISE:
            regions.append(Region(float(1 / (1 + np.exp(covered - mass.log_evidence))), q[value.argmax()]))
    compared = None if few else compare(known, free[~apart])
    return replace(max(regions, key=lambda region: region.share), compared=compared)


def is_judge(chains: Array, least: float) -> bool:
    """Return True if chains (chains, draws, M) agree, and have at least a number of effective draws."""
    agreed = agreement(chains)
    return agreed.rhat <= ALARMING_RHAT and agreed.ess >= least


def compare(known: Array, chains: Array, least: float = JUDGES) -> GibbsComparison | None:
    """Compare values (S, M) of an approximation with those of Gibbs chains (chains, draws, M).

    Return None where the chains are no judge: they disagree, or have fewer effective draws than ``least``.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> found = compare(rng.normal(1.0, 0.5, size=(1000, 1)), rng.normal(size=(4, 500, 1)))
    >>> round(found.shift, 1), round(found.width, 1)
    (0.3, 0.5)
    """
    if not len(chains) or not is_judge(chains, least):
        return None
    (low, middle, high), own = np.quantile(chains, INTERVAL, axis=(0, 1)), np.quantile(known, INTERVAL, axis=0)
    width = high - low
    varies = width > 0
    ratio = np.maximum((own[2] - own[0])[varies] / width[varies], TINY)
    shift = np.abs(own[1] - middle)[varies] / width[varies]
    return GibbsComparison(float(shift.max(initial=0.0)), float(ratio[np.abs(np.log(ratio)).argmax()]))


def compare_clusters(density: LogPosterior, kept: Array, seed: int, cores: int) -> GibbsComparison | None:
    """Compare draws (S, P) with a Gibbs run, where the number of components is an upper bound.

    The quantities are the log likelihood, the density at some points, and the number of clusters: the weights of empty
    components tell nothing about the data.

    Parameters
    ----------
    density : LogPosterior
        One for which ``can_compare_clusters`` is true.
    seed, cores : int
    """
    if len(kept) < FEW:
        return None
    values = _of_data(density, _gibbs(density, DRAWS, seed, cores), cores)
    own = _of_data(density, kept[None], cores)[0]
    found = compare(own[:, :-1], values[..., :-1], FEWER_JUDGES)
    if found is None or not is_judge(values[..., -1:], COUNTS):
        return found
    return replace(found, n_clusters=_difference(own[:, -1], values[..., -1]))


def _of_data(density: LogPosterior, q: Array, cores: int) -> Array:
    """Compute log likelihood, density at some points and number of clusters (chains, draws, M) of draws q."""
    lp = _log_densities(density, q, cores)
    loglik = lp - np.array([density.log_prior(one) for one in q.reshape(-1, density.size)]).reshape(lp.shape)
    others = monitored(density, q, lp)[..., 1 + density.model.n_components :]
    return np.concatenate([loglik[..., None], others], axis=2)


def _difference(own: Array, values: Array) -> float:
    """Return the largest difference of the probability of a number."""
    return max(abs(float((own == number).mean() - (values == number).mean())) for number in np.union1d(own, values))


def _sweeps(density: LogPosterior) -> int:
    """Return the maximum number of sweeps of each chain."""
    cost = density.sweep_cost * CHAINS * (SPLIT_COST if gibbs_chains.splits_clusters(density) else 1)
    return int(WORTH // cost)


def _gibbs(density: LogPosterior, count: int, seed: int, cores: int) -> Array:
    """Draw (chains, count, P) by a short Gibbs run."""
    thin = int(np.clip((_sweeps(density) - TUNE) // count, 1, THIN))
    return gibbs_chains.run(density, seed, cores, draws=count, tune=TUNE, chains=CHAINS, thin=thin, search=SEARCH)


def _draws(density: LogPosterior) -> int:
    """Number of draws of each chain."""
    return max(DRAWS, EACH * density.size)


def _log_densities(density: LogPosterior, q: Array, cores: int) -> Array:
    """Compute the log posterior (chains, draws) of draws (chains, draws, P)."""
    return evaluate([density] * q[..., 0].size, q.reshape(-1, density.size), cores)[0].reshape(q.shape[:2])


def _mass(density: LogPosterior, q: Array, lp: Array, seed: int, cores: int) -> BridgeEstimate | None:
    """Estimate the log mass of the region that a chain (draws, P) has visited; None if no proposal can be fitted."""
    train, test = halves(q[None], lp[None])
    try:
        proposal = fit_proposal(density, train, test, seed, cores)
    except (SamplingError, DeclarationError):
        return None
    drawn = proposal.weigh(test.q, test.lp).log_ratio
    proposed = proposal.draw(np.random.default_rng((seed, 16)), PROPOSALS).log_ratio
    return bridge(drawn[None], proposed)
