"""Draws of a posterior with regions between which no chain moves, in proportion to the mass of each region.

Chains that stay in a region know it well, but not how probable it is. Its mass is estimated by bridge sampling, with a
proposal of its own.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from bayesgmm.diagnosis.engines import NOTICEABLE
from bayesgmm.inference.agreement import monitored
from bayesgmm.inference.bridges import BridgeEstimate
from bayesgmm.inference.gibbs_judge import is_judge
from bayesgmm.inference.missed_regions import MAX_SIZE, are_apart, region_mass
from bayesgmm.posterior.log_posterior import LogPosterior
from bayesgmm.sweep.stats import Array

PARTS = 4  # parts of a chain, which are to be in one region
FITTED = 3000  # maximum number of draws of a region from which its mass is estimated
AGREE = 100  # effective number of draws of a region whose chains agree


@dataclass(frozen=True)
class RegionDraws:
    """Draws of the posterior.

    Parameters
    ----------
    q : (chains, draws, P) float
    lp : (chains, draws) float
        Log posterior densities.
    probabilities : tuple of float
        Of the regions, the largest first.
    error : float
        Largest standard error of these probabilities.
    """

    q: Array
    lp: Array
    probabilities: tuple[float, ...]
    error: float


@dataclass
class _Region:
    """Chains that stay in one region.

    Parameters
    ----------
    q, lp, values : lists of (draws, P), (draws,) and (draws, M) float
        Draws, log posterior densities and label-free quantities of each chain.
    """

    q: list[Array] = field(default_factory=list)
    lp: list[Array] = field(default_factory=list)
    values: list[Array] = field(default_factory=list)

    def add(self, q: Array, lp: Array, values: Array) -> None:
        """Add a chain."""
        self.q.append(q)
        self.lp.append(lp)
        self.values.append(values)

    def holds(self, values: Array) -> bool:
        """Return True if all parts of a chain (draws, M) are in this region."""
        known = np.concatenate(self.values)
        return not any(are_apart(known, part) for part in np.array_split(values, PARTS))

    def is_known(self) -> bool:
        """Return True if its chains agree, and have enough effective draws."""
        shortest = min(map(len, self.values))
        return is_judge(np.stack([own[-shortest:] for own in self.values]), AGREE)

    def mass(self, density: LogPosterior, seed: int, cores: int) -> BridgeEstimate | None:
        """Estimate its log mass.

        The first halves of all chains precede the second halves. Draws of a chain stay together, so that the standard
        error allows for their autocorrelation.
        """
        shortest = min(map(len, self.q))
        count = max(1, min(shortest, FITTED // len(self.q)) // 2)  # draws of each half
        chosen = np.linspace(-shortest, -1, 2 * count).round().astype(int)
        parts = chosen[:count], chosen[count:]
        q, lp = (np.concatenate([own[part] for part in parts for own in every]) for every in (self.q, self.lp))
        return region_mass(density, q, lp, seed, cores)


def draws_by_mass(
    density: LogPosterior, pools: Iterable[tuple[Array, Array]], seed: int, cores: int, *, chains: int, draws: int
) -> RegionDraws | None:
    """Draw from regions between which the chains do not move, each as often as it is probable.

    Parameters
    ----------
    density : LogPosterior
    pools : iterable of ((chains, draws, P), (chains, draws)) float
        Draws of several samplers that leave the posterior unchanged, with their log posterior densities. Those after a
        chain that moves between regions are not asked for.
    seed, cores : int
    chains, draws : int
        Shape of the result.

    Returns
    -------
    RegionDraws or None
        None if there is one region only, if a chain moves between regions, if the chains of a region disagree, or if
        the probabilities of the regions are not known to a twentieth.

    References
    ----------
    .. [1] Meng & Wong (1996), Statistica Sinica 6, 831-860: bridge sampling.
    .. [2] Yao, Vehtari & Gelman (2022), J. Mach. Learn. Res. 23(79), 1-45: chains that are each in one mode.
    """
    if density.size > MAX_SIZE or density.model.weights.is_overfitted:
        return None
    regions = _regions(density, pools)
    if regions is None or len(regions) < 2 or not all(region.is_known() for region in regions):
        return None
    masses = [mass for region in regions if (mass := region.mass(density, seed, cores)) is not None]
    if len(masses) < len(regions):
        return None
    log_mass, se = np.array([mass.log_evidence for mass in masses]), np.array([mass.se for mass in masses])
    share = np.exp(log_mass - np.logaddexp.reduce(log_mass))
    error = float(np.sqrt((_slopes(share) ** 2) @ se**2).max())
    if not error <= NOTICEABLE:
        return None
    rng = np.random.default_rng((seed, 18))
    drawn = [_chain(regions, share, draws, number, rng) for number in range(chains)]
    q, lp = (np.stack(values) for values in zip(*drawn, strict=True))
    return RegionDraws(q, lp, tuple(sorted(share.tolist(), reverse=True)), error)


def _regions(density: LogPosterior, pools: Iterable[tuple[Array, Array]]) -> list[_Region] | None:
    """Divide chains among regions that are apart; None if a chain has parts in several."""
    regions: list[_Region] = []
    for q, lp, values in _each(density, pools):
        if region := next((region for region in regions if region.holds(values)), None):
            region.add(q, lp, values)
        elif any(not _is_outside(np.concatenate(region.values), values) for region in regions):
            return None
        else:
            regions.append(_Region([q], [lp], [values]))
    return regions


def _each(density: LogPosterior, pools: Iterable[tuple[Array, Array]]) -> Iterator[tuple[Array, Array, Array]]:
    for q, lp in pools:
        yield from zip(q, lp, monitored(density, q, lp), strict=True)


def _is_outside(known: Array, values: Array) -> bool:
    """Return True if all parts of a chain are apart from known draws."""
    return all(are_apart(known, part) for part in np.array_split(values, PARTS))


def _slopes(share: Array) -> Array:
    """Return the derivatives (R, R) of probabilities of regions by the logarithms of their masses."""
    return np.diag(share) - np.outer(share, share)


def _chain(
    regions: list[_Region], share: Array, draws: int, number: int, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Return one chain (draws, P) of the result, with its log densities.

    The draws of a region follow each other as in the chain that they come from, so that the effective sample size of
    the result is that of its parts.
    """
    exact = share * draws
    count = np.floor(exact).astype(int)
    count += rng.multinomial(draws - count.sum(), _fractions(exact))
    of_region = rng.permutation(np.repeat(np.arange(len(regions)), count))
    q, lp = np.empty((draws, regions[0].q[0].shape[1])), np.empty(draws)
    for region, own in enumerate(regions):
        at, source = of_region == region, number % len(own.q)
        chosen = np.linspace(0, len(own.q[source]) - 1, int(at.sum())).round().astype(int)
        q[at], lp[at] = own.q[source][chosen], own.lp[source][chosen]
    return q, lp


def _fractions(exact: Array) -> Array:
    rest = exact - np.floor(exact)
    return rest / rest.sum() if rest.sum() > 0 else np.full(len(exact), 1 / len(exact))
