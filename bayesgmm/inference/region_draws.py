"""Draws of a posterior with regions between which no chain moves, in proportion to the mass of each region.

Chains that stay in a region know it well, but not how probable it is. Its mass is estimated by bridge sampling, with a
proposal of its own. A chain that seldom moves is divided into pieces that stay.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import reduce
from itertools import permutations

import numpy as np

from bayesgmm.diagnosis.engines import NOTICEABLE
from bayesgmm.inference.agreement import monitored
from bayesgmm.inference.bridges import BridgeEstimate
from bayesgmm.inference.gibbs_judge import is_judge
from bayesgmm.inference.missed_regions import APART, MAX_SIZE, outside, region_mass
from bayesgmm.posterior.log_posterior import LogPosterior
from bayesgmm.sweep.stats import Array

PIECES = 8  # pieces of a chain, each of which may be in another region
PARTS = 4  # parts of a piece, which are to be in one region
MOVING = 0.25  # share of the pieces in which chains move, above which the regions are not apart
RARE = 0.02  # share of all draws below which a region is left out: the chains have soon left it
MIN_LENGTH = 0.5  # length of a stay in a region below which it is left out, relative to the longest one there
TAILS = 0.01  # share of a region's draws on each side that are left out of its range: a chain may have left it shortly
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
    """Parts of chains that stay in one region.

    Parameters
    ----------
    q, lp, values : lists of (draws, P), (draws,) and (draws, M) float
        Draws, log posterior densities and label-free quantities of each stay.
    """

    q: list[Array] = field(default_factory=list)
    lp: list[Array] = field(default_factory=list)
    values: list[Array] = field(default_factory=list)

    def add(self, piece: tuple[Array, Array, Array], is_new: bool) -> None:
        """Add a piece of a chain: it begins a new stay, or continues the last one."""
        for own, found in zip((self.q, self.lp, self.values), piece, strict=True):
            if is_new:
                own.append(found)
            else:
                own[-1] = np.concatenate([own[-1], found])

    def without_short_stays(self) -> "_Region":
        """Return the region without stays that are short, compared with the longest one."""
        longest = max(map(len, self.lp))
        kept = [at for at, lp in enumerate(self.lp) if len(lp) >= MIN_LENGTH * longest]
        return _Region(*([own[at] for at in kept] for own in (self.q, self.lp, self.values)))

    def outside(self, values: Array) -> list[bool]:
        """Return for each part of a piece (draws, M) if it is in another region."""
        known = np.concatenate(self.values)
        return [bool(outside(known, part, TAILS).mean() > APART) for part in np.array_split(values, PARTS)]

    def without(self, other: "_Region") -> "_Region":
        """Return the region without draws that are closer to another one, where a chain went for a short time."""
        ours, theirs = np.concatenate(self.values), np.concatenate(other.values)
        direction, limit = _boundary(ours, theirs)
        own = [values @ direction < limit for values in self.values]
        stays = (self.q, self.lp, self.values)
        return _Region(*([draws[at] for draws, at in zip(each, own, strict=True) if at.any()] for each in stays))

    def is_known(self) -> bool:
        """Return True if its stays agree, and have enough effective draws."""
        shortest = min(map(len, self.values))
        return is_judge(np.stack([own[-shortest:] for own in self.values]), AGREE)

    def mass(self, density: LogPosterior, seed: int, cores: int) -> BridgeEstimate | None:
        """Estimate its log mass.

        The first halves of all stays precede the second halves. Draws of a stay follow each other, so that the standard
        error allows for their autocorrelation.
        """
        step = -(-sum(map(len, self.lp)) // FITTED)
        q, lp = (
            np.concatenate([np.array_split(own[::step], 2)[half] for half in (0, 1) for own in every])
            for every in (self.q, self.lp)
        )
        return region_mass(density, q, lp, seed, cores)


def draws_by_mass(
    density: LogPosterior, pools: Iterable[tuple[Array, Array]], seed: int, cores: int, *, chains: int, draws: int
) -> RegionDraws | None:
    """Draw from regions between which the chains do not move, each as often as it is probable.

    Parameters
    ----------
    density : LogPosterior
    pools : iterable of ((chains, draws, P), (chains, draws)) float
        Draws of several samplers that leave the posterior unchanged, with their log posterior densities. Those after
        chains that move often are not asked for.
    seed, cores : int
    chains, draws : int
        Shape of the result.

    Returns
    -------
    RegionDraws or None
        None if there is one region only, if chains often move between regions, if the stays in a region disagree, or
        if the probabilities of the regions are not known to a twentieth.

    References
    ----------
    .. [1] Meng & Wong (1996), Statistica Sinica 6, 831-860: bridge sampling.
    .. [2] Yao, Vehtari & Gelman (2022), J. Mach. Learn. Res. 23(79), 1-45: chains that are each in one mode.
    """
    if density.size > MAX_SIZE or density.model.weights.is_overfitted:
        return None
    regions = _regions(density, pools)
    if regions is None or len(regions) < 2:
        return None
    masses = [mass for region in regions if (mass := region.mass(density, seed, cores)) is not None]
    if len(masses) < len(regions):
        return None
    log_mass, se = np.array([mass.log_evidence for mass in masses]), np.array([mass.se for mass in masses])
    share = np.exp(log_mass - np.logaddexp.reduce(log_mass))
    if not all(region.is_known() for region, own in zip(regions, share, strict=True) if own > NOTICEABLE):
        return None
    error = float(np.sqrt((_slopes(share) ** 2) @ se**2).max())
    if not error <= NOTICEABLE:
        return None
    rng = np.random.default_rng((seed, 18))
    shares = _shares(share, se, chains, rng)
    drawn = [_chain(regions, own, draws, (number, chains), rng) for number, own in enumerate(shares)]
    q, lp = (np.stack(values) for values in zip(*drawn, strict=True))
    return RegionDraws(q, lp, tuple(sorted(share.tolist(), reverse=True)), error)


def _regions(density: LogPosterior, pools: Iterable[tuple[Array, Array]]) -> list[_Region] | None:
    """Divide pieces of chains among regions that are apart; None if chains move between regions in many pieces."""
    regions: list[_Region] = []
    total = 0
    for q, lp in pools:
        total += lp.size
        moving = sum(_divide(regions, *chain) for chain in zip(q, lp, monitored(density, q, lp), strict=True))
        if moving > MOVING * PIECES * len(q):
            return None
    regions = [region.without_short_stays() for region in regions if sum(map(len, region.lp)) >= RARE * total]
    for one, other in permutations(regions, 2):
        if not all(all(one.outside(values)) for values in other.values):
            return None
    return [reduce(_Region.without, (other for other in regions if other is not one), one) for one in regions]


def _divide(regions: list[_Region], q: Array, lp: Array, values: Array) -> int:
    """Add the pieces of a chain to the regions that hold them, or to new ones; return in how many it moves."""
    before, moving = None, 0
    for piece in zip(*(np.array_split(own, PIECES) for own in (q, lp, values)), strict=True):
        outside = [region.outside(piece[-1]) for region in regions]
        region = next((region for region, parts in zip(regions, outside, strict=True) if not any(parts)), None)
        if region is None and all(map(all, outside)):
            regions.append(region := _Region())
        if region is None:
            moving += 1
        else:
            region.add(piece, is_new=region is not before)
        before = region
    return moving


def _boundary(one: Array, other: Array) -> tuple[Array, float]:
    """Return a direction (M,), and the limit along it below which values are closer to one (S, M) than to another.

    It is Fisher's linear discriminant; distances are in standard deviations of each.
    """
    scale = np.concatenate([one, other]).std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    spread = np.atleast_2d(np.cov((one / scale).T) + np.cov((other / scale).T))
    direction = np.linalg.pinv(spread) @ ((other.mean(axis=0) - one.mean(axis=0)) / scale) / scale
    near, far = one @ direction, other @ direction
    return direction, float(np.average([near.mean(), far.mean()], weights=[far.std(), near.std()]))


def _slopes(share: Array) -> Array:
    """Return the derivatives (R, R) of probabilities of regions by the logarithms of their masses."""
    return np.diag(share) - np.outer(share, share)


def _shares(share: Array, se: Array, chains: int, rng: np.random.Generator) -> Array:
    """Return the share (chains, R) of the draws of each chain in each region; their mean is that of the posterior.

    They differ as much as the standard errors (R,) of the log masses say, so that Monte Carlo errors, R-hat and the
    effective sample size of the draws contain the error of the probabilities.
    """
    value, vector = np.linalg.eigh(_slopes(share) * se**2 @ _slopes(share))  # covariance of the errors
    count = min(len(share), chains - 1)
    scale = vector[:, ::-1][:, :count] * np.sqrt(np.maximum(value[::-1][:count], 0.0))
    normals = rng.normal(size=(chains, count))
    contrasts = np.linalg.qr(normals - normals.mean(axis=0))[0]
    shares = np.maximum(share + np.sqrt(chains * (chains - 1)) * contrasts @ scale.T, 0.0)
    return shares / shares.sum(axis=1, keepdims=True)


def _chain(
    regions: list[_Region], share: Array, draws: int, chain: tuple[int, int], rng: np.random.Generator
) -> tuple[Array, Array]:
    """Return one chain (draws, P) of the result, with its log densities; ``chain`` is its number, and that of all.

    The draws of a region follow each other as in the chain that they come from, so that the effective sample size of
    the result is that of its parts. Chains that take draws of the same stay take different parts of it.
    """
    exact = share * draws
    count = np.floor(exact).astype(int)
    count += rng.multinomial(draws - count.sum(), _fractions(exact))
    of_region = rng.permutation(np.repeat(np.arange(len(regions)), count))
    q, lp = np.empty((draws, regions[0].q[0].shape[1])), np.empty(draws)
    number, chains = chain
    for region, own in enumerate(regions):
        at, source = of_region == region, number % len(own.q)
        sharing = range(source, chains, len(own.q))
        part = np.array_split(np.arange(len(own.q[source])), len(sharing))[sharing.index(number)]
        chosen = part[np.linspace(0, len(part) - 1, int(at.sum())).round().astype(int)]
        q[at], lp[at] = own.q[source][chosen], own.lp[source][chosen]
    return q, lp


def _fractions(exact: Array) -> Array:
    rest = exact - np.floor(exact)
    return rest / rest.sum() if rest.sum() > 0 else np.full(len(exact), 1 / len(exact))
