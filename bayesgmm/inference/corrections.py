"""Corrected draws of an approximation: importance resampling from heavy-tailed proposals around its mode.

With independent factors, intervals are too narrow where components overlap. The curvature of the log posterior
contains the correlations. The proposals come from a Student distribution with Laplace's covariance, which is adapted to
its own weighted draws.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import scipy  # its parts are imported when they are used

from bayesgmm.diagnosis.engines import GOOD_SHARE
from bayesgmm.inference.engine import Estimate, Progress
from bayesgmm.inference.gibbs_judge import can_compare_clusters, compare_clusters, obstacle
from bayesgmm.inference.importance import Draws, Kept, affordable, assess, keep, smooth
from bayesgmm.inference.laplace import Whitening, find_mode, whiten
from bayesgmm.inference.missed_regions import can_look, missed_region
from bayesgmm.posterior.log_posterior import LogPosterior
from bayesgmm.posterior.notes import GibbsComparison
from bayesgmm.sweep.stats import Array

STUDENT = "a Student distribution around the mode"
DOF = 6.0  # degrees of freedom: tails heavier than those of most posteriors, and finite variances of the weights
MAX_SIZE = 300  # maximum number of coordinates: a Hessian takes two evaluations for each
ADAPTATIONS = 3  # maximum number of times that the proposal is adapted to its own draws
EACH = 4  # effective draws per coordinate that are needed to adapt
PILOT = 1000  # draws of each adaptation
TOO_LONG = "it would take too long with this number of rows and coordinates"
NO_JUDGE = "there are few draws, or the chains of the run did not agree"


@dataclass(frozen=True)
class StudentProposal:
    """Multivariate Student distribution in P coordinates.

    Parameters
    ----------
    whitening : Whitening
        Its mode and scale.
    density : LogPosterior
    rng : Generator
    cores : int
    """

    whitening: Whitening
    density: LogPosterior
    rng: np.random.Generator
    cores: int

    def __call__(self, count: int) -> Draws:
        """Draw proposals, with the log posterior of each."""
        size = self.density.size
        normals = self.rng.normal(size=(count, size))
        z = normals / np.sqrt(self.rng.chisquare(DOF, size=(count, 1)) / DOF)
        q = self.whitening(z)
        with np.errstate(all="ignore"):
            lp = self.density.values(q, self.cores)
        return Draws(q, np.where(np.isfinite(lp), lp, -np.inf), self._log_density(z))

    def _log_density(self, z: Array) -> Array:
        size, lgamma = self.density.size, scipy.special.gammaln
        constant = lgamma((DOF + size) / 2) - lgamma(DOF / 2) - size / 2 * np.log(DOF * np.pi)
        volume = float(np.linalg.slogdet(self.whitening.spread)[1])
        tail = np.log1p(np.square(z).sum(axis=1) / DOF)
        return np.asarray(constant - volume - (DOF + size) / 2 * tail)

    def adapted(self, draws: Draws) -> "StudentProposal":
        """Move and scale it to the weighted mean and covariance of draws."""
        weight = smooth(draws.log_ratio)[0]
        mean = weight @ draws.q
        centred = draws.q - mean
        covariance = (weight[:, None] * centred).T @ centred * (DOF - 2) / DOF
        spread = np.linalg.cholesky(covariance)
        return replace(self, whitening=replace(self.whitening, mode=mean, spread=spread))


def laplace_proposal(density: LogPosterior, start: Array, seed: int, cores: int, size: int = PILOT) -> StudentProposal:
    """Make a proposal from the mode near ``start`` (P,), adapted while that raises its importance share.

    Of rows in parts each draw costs a sweep over all of them: adaptations then take at most ``size`` draws each.

    References
    ----------
    .. [1] Geweke (1989), Econometrica 57(6), 1317-1339.
    .. [2] Bugallo et al. (2017), IEEE Signal Process. Mag. 34(4), 60-79: adaptive importance sampling.
    """
    pilot = min(PILOT, size) if density.in_parts else PILOT
    proposal = StudentProposal(
        whiten(density, find_mode(density, start)), density, np.random.default_rng((seed, 14)), cores
    )
    draws = proposal(pilot)
    share = assess(draws.log_ratio).importance_share
    for _ in range(ADAPTATIONS):
        if share * pilot < EACH * density.size:
            break
        other = proposal.adapted(draws)
        tried = other(pilot)
        now = assess(tried.log_ratio).importance_share
        if now < share:
            break
        proposal, draws, share = other, tried, now
    return proposal


@dataclass(frozen=True)
class Corrected:
    """Draws after a correction.

    Parameters
    ----------
    draws : Draws
    kept : Kept
        Quality of the proposals, and the share of the posterior that they miss.
    proposals : Draws
        The first of the proposals.
    source : str, optional
        Name of the proposals; None if they are the approximation's own.
    heavier : (P,) float, optional
        A point of a region that they miss and that has more of the posterior than they cover.
    """

    draws: Draws
    kept: Kept
    proposals: Draws
    source: str | None = None
    heavier: Array | None = None


def correct(
    density: LogPosterior,
    own: Draws,
    propose: Callable[[int], Draws],
    draws: int,
    seed: int,
    cores: int,
    progress: Progress,
) -> Corrected:
    """Keep the draws of an approximation that is good, else resample the better of its draws and Student proposals.

    Where the priors are conjugate and the problem is small, a short Gibbs run looks for regions that they miss, and is
    compared with them.

    Parameters
    ----------
    density : LogPosterior
    own : Draws
        Draws of the approximation.
    propose : function
        Returns more of them.
    draws : int
        Number of draws to keep.
    """
    found = _better(density, own, propose, draws, seed, cores, progress)
    if can_compare_clusters(density):
        progress.stage("comparing with Gibbs sampling")
        compared = compare_clusters(density, found.draws.q, seed, cores)
        return replace(found, kept=_compared(found.kept, compared))
    if not can_look(density):
        return replace(found, kept=replace(found.kept, not_compared=obstacle(density) or TOO_LONG))
    progress.stage("looking for other regions")
    region = missed_region(density, found.proposals, found.draws.q, seed, cores)
    heavier = region.q if region.share > 0.5 else None
    kept = replace(_compared(found.kept, region.compared), missed_share=region.share)
    return replace(found, kept=kept, heavier=heavier)


def _compared(kept: Kept, compared: GibbsComparison | None) -> Kept:
    """Add a comparison, or the reason why there is none after a Gibbs run."""
    return replace(kept, compared=compared, not_compared=NO_JUDGE if compared is None else None)


def less_missed(one: Estimate, other: Estimate) -> Estimate:
    """Return the approximation that misses less of the posterior."""
    return min(one, other, key=lambda estimate: np.nan_to_num(estimate.notes.missed_share or 0.0, nan=0.5))


def _better(
    density: LogPosterior,
    own: Draws,
    propose: Callable[[int], Draws],
    draws: int,
    seed: int,
    cores: int,
    progress: Progress,
) -> Corrected:
    """Keep or resample draws; arguments as for ``correct``."""
    rng = np.random.default_rng((seed, 15))
    share = assess(own.log_ratio).importance_share
    if share >= GOOD_SHARE or density.size > MAX_SIZE:
        return Corrected(*keep(own, draws, affordable(density), propose, rng), own)
    progress.stage("correcting the approximation")
    other = laplace_proposal(density, own.q.mean(axis=0), seed, cores, len(own))
    tried = other(len(own))
    if assess(tried.log_ratio).importance_share > share:
        return Corrected(*keep(tried, draws, affordable(density), other, rng), tried, STUDENT)
    return Corrected(*keep(own, draws, affordable(density), propose, rng), own)
