"""Regions of the posterior in which an approximation has no draws, found by a short Gibbs run.

An approximation and its importance ratios know the posterior only where the approximation has draws. Chains that start
in different places may end in a region that it misses.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bayesgmm.diagnosis.engines import NOTICEABLE
from bayesgmm.errors import DeclarationError, SamplingError
from bayesgmm.inference import labelled_copies
from bayesgmm.inference.agreement import label_free
from bayesgmm.inference.bridges import BridgeEstimate, bridge
from bayesgmm.inference.gibbs_judge import (
    DRAWS,
    FEW,
    JUDGES,
    RUNS,
    TUNE,
    compare,
    is_clear,
    is_judge,
    log_densities,
    max_sweeps,
    short_run,
)
from bayesgmm.inference.importance import Draws, log_evidence
from bayesgmm.inference.mixture_proposals import fit_proposal, halves
from bayesgmm.inference.seeds import another_seed
from bayesgmm.posterior.log_posterior import LogPosterior
from bayesgmm.posterior.notes import GibbsComparison
from bayesgmm.sweep.stats import Array

BoolArray = NDArray[np.bool_]

EACH = 10  # minimum number of draws of each chain per coordinate
MAX_SIZE = 150  # maximum number of coordinates: no proposal comes close in more
PROPOSALS = 2000
PARTS = 4  # parts of a chain, each of which may be in another region
APART = 0.5  # share of a part's draws that are outside the range of the approximation: it is in another region
TAILS = 0.001  # share of the approximation's draws on each side that are left out of its range
ROUNDING = 1e-9  # relative range of a quantity that is the same for all draws: of a point that only a background fits
NEGLIGIBLE = 0.005  # share of the posterior in a region below which a chain that stays there is not continued
IMPRECISE = 0.7  # standard error of a log mass with which it tells nothing: the chain has not stayed in one region


def are_apart(known: Array, values: Array) -> bool:
    """Return True if most values (T, M) are outside the range of known ones (S, M).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> known, same = rng.normal(size=(2, 500, 3))
    >>> are_apart(known, same), are_apart(known, same + 5.0)
    (False, True)
    """
    return bool(outside(known, values).mean() > APART)


def outside(known: Array, values: Array, tails: float = TAILS) -> BoolArray:
    """Return which of some values (T, M) are outside the range of known ones (S, M), in the direction that tells best.

    The direction is Fisher's linear discriminant, with the covariance of the known values. The range leaves out a share
    of them on each side, the ``tails``.
    """
    varies = np.ptp(known, axis=0) > ROUNDING * (1 + np.abs(known).max(axis=0))
    known, values = known[:, varies], values[:, varies]
    centre, scale = known.mean(axis=0), known.std(axis=0)
    known, values = (known - centre) / scale, (values - centre) / scale
    direction = np.linalg.pinv(np.cov(known.T).reshape(scale.size, scale.size)) @ values.mean(axis=0)
    low, high = np.quantile(known @ direction, [tails, 1 - tails])
    along = values @ direction
    return (along < low) | (along > high)


def can_look(density: LogPosterior) -> bool:
    """Return True if regions are looked for, and a Gibbs run is possible and takes less than about a second.

    Where the number of components is an upper bound, an approximation covers many orders of the empty components, so
    that its mass can't be compared.
    """
    if density.size > MAX_SIZE or density.model.weights.is_overfitted:
        return False
    return max_sweeps(density) >= TUNE + draws_of_run(density, DRAWS)


@dataclass(frozen=True)
class Region:
    """A region of the posterior in which an approximation has no draws.

    Parameters
    ----------
    share : float
        Its share of the posterior; 0 if none was found, NaN if one was found and its share is unknown.
    q : (P,) float, optional
        The highest point that was found there.
    compared : GibbsComparison, optional
        Comparison with all chains if they agree, else with those that are in no other region; None if these do not
        agree, or are too short.
    """

    share: float
    q: Array | None = None
    compared: GibbsComparison | None = None


def missed_region(density: LogPosterior, proposals: Draws, kept: Array, seed: int, cores: int) -> Region:
    """Look for a region of the posterior where an approximation has no draws; return the heaviest one.

    A part of a chain is in another region if most of its draws are outside the range of the approximation, by
    quantities that do not depend on labels. The mass of that region is compared with the mass that the approximation
    covers: a chain may as well be held by a region that weighs nothing.

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
    .. [1] Fisher (1936), Annals of Eugenics 7(2), 179-188: the discriminant.
    """
    few = len(kept) < FEW
    kept = proposals.q if few else kept
    known = label_free(density, kept[None], log_densities(density, kept[None], cores))[0]
    covered = log_evidence(proposals.log_ratio + labelled_copies.log_copies(density, proposals.q))[0]
    heaviest, begin = Region(0.0), None
    for number, (factor, thin) in enumerate(RUNS):
        count, seed_of_run = factor * draws_of_run(density, DRAWS), another_seed(seed, number) if number else seed
        chains, lp = short_run(density, count, seed_of_run, cores, thin, begin=begin)
        free = label_free(density, chains, lp)
        apart = np.array([elsewhere(known, values) for values in free])
        judge = free if is_judge(free, JUDGES) else free[~apart.any(axis=1)]  # chains may move between the regions
        shares = {}
        for chain, q, value, mass in masses_elsewhere(density, chains, lp, apart, seed, cores):
            shares[chain] = float(1 / (1 + np.exp(covered - mass)))
            if shares[chain] > heaviest.share:
                heaviest = Region(shares[chain], q[value.argmax()])
        is_unknown = len(shares) < apart.any(axis=1).sum() and len(judge) < len(free)
        compared = None if few else compare(known, judge)
        is_known = is_judge(judge, JUDGES) if few and len(judge) else is_clear(compared)
        if heaviest.share >= NOTICEABLE or (is_known and not is_unknown):
            break
        begin = _continued(chains, apart, shares)
    if is_unknown and heaviest.share < NOTICEABLE:
        return Region(math.nan, compared=compared)
    return replace(heaviest, compared=compared)


def _continued(chains: Array, apart: BoolArray, shares: dict[int, float]) -> Array:
    """Return states (chains, P) at which chains (chains, draws, P) are continued.

    A chain that was elsewhere, in a region of unknown mass, returns to its last state there: its stay was too short.
    One that is in a region of negligible mass goes on as another chain does.
    """
    unknown = apart.any(axis=1) & ~np.isin(np.arange(len(chains)), list(shares))
    last = np.where(unknown, apart.shape[1] - 1 - apart[:, ::-1].argmax(axis=1), -1)
    begin = np.array([chain[at] for chain, at in zip(chains, last, strict=True)])
    left_out = [chain for chain, share in shares.items() if apart[chain, -1] and share < NEGLIGIBLE]
    kept = np.setdiff1d(np.arange(len(chains)), left_out)
    if len(kept):
        begin[left_out] = begin[np.resize(kept, len(left_out))]
    return begin


def elsewhere(known: Array, values: Array) -> BoolArray:
    """Return for each draw of a chain (draws, M) if its part of the chain is in another region than known draws."""
    parts = np.array_split(values, PARTS)
    return np.concatenate([np.full(len(part), are_apart(known, part)) for part in parts])


def probability_elsewhere(
    density: LogPosterior, own: tuple[Array, Array], q: Array, lp: Array, apart: BoolArray, seed: int, cores: int
) -> float | None:
    """Return the largest probability of a region that chains have visited, relative to that of a chain's own region.

    It is 0 if they have visited no other region, and None if no mass can be estimated.

    Parameters
    ----------
    density : LogPosterior
    own : (draws, P) and (draws,) float
        Draws of a chain, and their log posterior densities.
    q, lp, apart, seed, cores
        As for ``masses_elsewhere``.
    """
    if not apart.any():
        return 0.0
    masses = [mass for *_, mass in masses_elsewhere(density, q, lp, apart, seed, cores)]
    here = region_mass(density, *own, seed, cores) if masses else None
    return float(1 / (1 + np.exp(here.log_evidence - max(masses)))) if here and here.se < IMPRECISE else None


def masses_elsewhere(
    density: LogPosterior, q: Array, lp: Array, apart: BoolArray, seed: int, cores: int
) -> Iterator[tuple[int, Array, Array, float]]:
    """Yield the number of each chain that was elsewhere, its draws there with their log densities, and their log mass.

    Regions whose mass can't be estimated are left out.

    Parameters
    ----------
    q : (chains, draws, P) float
    lp, apart : (chains, draws)
        Log posterior densities, and which draws are elsewhere.
    """
    for number in np.flatnonzero(apart.any(axis=1)):
        own = q[number, apart[number]], lp[number, apart[number]]
        mass = region_mass(density, *own, seed, cores)
        if mass is not None and mass.se < IMPRECISE:
            yield int(number), *own, mass.log_evidence


def draws_of_run(density: LogPosterior, least: int) -> int:
    """Return the number of draws of each chain of a Gibbs run: enough to fit a proposal to one of them."""
    return max(least, EACH * density.size)


def region_mass(density: LogPosterior, q: Array, lp: Array, seed: int, cores: int) -> BridgeEstimate | None:
    """Estimate the log mass of the region that a chain (draws, P) has visited; None if no proposal can be fitted.

    Parameters
    ----------
    q : (draws, P) float
    lp : (draws,) float
        Log posterior densities.
    seed, cores : int

    References
    ----------
    .. [1] Meng & Wong (1996), Statistica Sinica 6, 831-860: bridge sampling.
    """
    train, test = halves(q[None], lp[None])
    try:
        proposal = fit_proposal(density, train, test, seed, cores)
    except (SamplingError, DeclarationError):
        return None
    drawn = proposal.weigh(test.q, test.lp).log_ratio
    proposed = proposal.draw(np.random.default_rng((seed, 16)), PROPOSALS).log_ratio
    return bridge(drawn[None], proposed)
