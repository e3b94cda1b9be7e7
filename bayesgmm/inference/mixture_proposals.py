"""A mixture of Student distributions that is fitted to draws of a posterior: an importance density, or a proposal.

The posterior of a mixture of overlapping components is far from Gaussian, and Markov chains move slowly through it. A
mixture that is fitted to draws of one labelled copy is close to it, so that independent draws of this mixture, with
importance weights, have a large effective sample size.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import scipy  # its parts are imported when they are used

from bayesgmm.errors import ComponentError, SamplingError
from bayesgmm.families.structures import COVARIANCES
from bayesgmm.inference import em_steps, labelled_copies
from bayesgmm.inference.elbo import evaluate
from bayesgmm.inference.importance import Draws
from bayesgmm.inference.labelled_copies import Rule
from bayesgmm.inference.mixtures import CovariancePrior
from bayesgmm.inference.starts import from_centres, spread_out_centres
from bayesgmm.posterior.log_posterior import LogPosterior
from bayesgmm.sweep.blocks import Blocks
from bayesgmm.sweep.stats import Array

SIZES = (1, 3, 10, 20, 30)  # numbers of components that are tried
DOF = 6.0  # degrees of freedom: tails heavier than those of a posterior, and a finite variance of the weights
FITTED = 8000  # maximum number of draws that a mixture is fitted to
EACH = 2  # minimum number of draws per coordinate for each component,
EACH_NUMBER = 0.07  # and per number of its mean and covariance: the prior knows only a common shape, not the others
MAX_ITER = 50  # iterations of EM
TOL = 1e-3  # EM has converged when less than this is left to gain in mean log density
SHRINKAGES = (0.03, 0.3)  # weights of the prior of each covariance that are tried, in draws per coordinate
FEW_DRAWS = 4  # minimum number of draws per coordinate
RIDGE = 1e-10  # share of its variance that is added to each coordinate


@dataclass(frozen=True)
class Size:
    """Size of a mixture, and its mean log density at draws that it was not fitted to.

    Parameters
    ----------
    n_components : int
    shrinkage : float
        Weight of the prior of each covariance, in draws per coordinate.
    held_out : float
    """

    n_components: int
    shrinkage: float = SHRINKAGES[0]
    held_out: float = -np.inf


@dataclass(frozen=True)
class StudentMixture:
    """Mixture of M multivariate Student distributions in P coordinates.

    Parameters
    ----------
    log_weight : (M,) float
    mean : (M, P) float
    chol : (M, P, P) float
        Lower-triangular factors of the scale matrices.
    dof : float
        Degrees of freedom.
    """

    log_weight: Array
    mean: Array
    chol: Array
    dof: float = DOF

    @property
    def n_components(self) -> int:
        """Number of components, M."""
        return len(self.log_weight)

    @cached_property
    def _whitenings(self) -> Array:
        """(M, P, P) inverses of ``chol``: a product is several times as fast as to solve for a few points at a time."""
        identity = np.eye(self.mean.shape[1])
        solved = [scipy.linalg.solve_triangular(chol, identity, lower=True, check_finite=False) for chol in self.chol]
        return np.array(solved)

    def draw(self, rng: np.random.Generator, count: int) -> Array:
        """Draw from the mixture: (count, P)."""
        size = self.mean.shape[1]
        each = rng.multinomial(count, np.exp(self.log_weight) / np.exp(self.log_weight).sum())
        normals, scale = rng.normal(size=(count, size)), rng.chisquare(self.dof, size=(count, 1)) / self.dof
        normals /= np.sqrt(scale)
        parts = np.split(normals, np.cumsum(each)[:-1])
        drawn = [m + part @ chol.T for m, chol, part in zip(self.mean, self.chol, parts, strict=True)]
        return rng.permutation(np.concatenate(drawn))

    def log_density(self, q: Array) -> Array:
        """Compute the log density at points (S, P): (S,)."""
        size, lgamma = self.mean.shape[1], scipy.special.gammaln
        constant = lgamma((self.dof + size) / 2) - lgamma(self.dof / 2) - size / 2 * np.log(self.dof * np.pi)
        logs = np.empty((self.n_components, len(q)))
        for m, (chol, whitening) in enumerate(zip(self.chol, self._whitenings, strict=True)):
            z = (q - self.mean[m]) @ whitening.T
            tail = np.log1p(np.einsum("sp,sp->s", z, z) / self.dof)
            logs[m] = self.log_weight[m] - np.log(np.diagonal(chol)).sum() - (self.dof + size) / 2 * tail
        return np.asarray(scipy.special.logsumexp(logs, axis=0) + constant)


def fit_mixture(q: Array, size: Size, seed: int, cores: int = 1) -> StudentMixture:
    """Fit a mixture to draws (S, P) by EM, with a weak prior of the covariances, and give it Student tails.

    Raises
    ------
    ComponentError
        If a component can't be estimated.
    """
    centre, width, n_components = q.mean(axis=0), q.shape[1], size.n_components
    covariance = np.cov(q.T).reshape(width, width)
    spread = np.linalg.cholesky(covariance + RIDGE * np.diag(np.diagonal(covariance) + np.finfo(float).tiny))
    white = scipy.linalg.solve_triangular(spread, (q - centre).T, lower=True).T
    worth = size.shrinkage * width
    scale = worth * np.eye(width) / n_components ** (2 / width)
    family, rng = COVARIANCES["full"], np.random.default_rng((seed, 11))
    sweep = em_steps.Sweep(Blocks.from_rows(white), family, CovariancePrior(worth - width - 1, scale), threads=cores)
    chosen = white[np.sort(rng.choice(len(white), min(len(white), FITTED), replace=False))]
    weight = np.ones(len(chosen))
    start = from_centres(chosen, weight, spread_out_centres(chosen, weight, n_components, rng), family)
    mixture = em_steps.take_steps(sweep, start, MAX_ITER, TOL).mixture
    chol = np.array([spread @ np.linalg.inv(root) for root in mixture.core_roots])
    kept = mixture.weight > 0
    return StudentMixture(np.log(mixture.weight[kept]), centre + mixture.mean[kept] @ spread.T, chol[kept])


def choose_size(train: Array, test: Array, seed: int, cores: int = 1) -> tuple[Size, StudentMixture]:
    """Fit mixtures of several sizes to draws (S, P); choose the one with the highest mean log density at others.

    More components are not tried after a number that is worse, nor if each would have too few draws; then the
    shrinkage is chosen.

    Raises
    ------
    SamplingError
        If no mixture can be fitted.
    """
    best: tuple[Size, StudentMixture] | None = None
    for n_components in SIZES:
        if best and len(train) < _fewest_draws(train.shape[1]) * n_components:
            break
        tried = _tried(train, test, Size(n_components, SHRINKAGES[0]), seed, cores)
        if best and tried and tried[0].held_out < best[0].held_out:
            break
        best = tried or best
    for shrinkage in SHRINKAGES[1:]:
        size = Size(best[0].n_components if best else 1, shrinkage)
        tried = _tried(train, test, size, seed, cores)
        if tried and (best is None or tried[0].held_out > best[0].held_out):
            best = tried
    if best is None:
        raise SamplingError(f"no mixture can be fitted to {len(train)} draws of {train.shape[1]} coordinates")
    return best


def _fewest_draws(width: int) -> float:
    """Return the minimum number of draws for each component in a number of coordinates."""
    return max(EACH * width, EACH_NUMBER * width * (width + 3) / 2)


def _tried(train: Array, test: Array, size: Size, seed: int, cores: int) -> tuple[Size, StudentMixture] | None:
    """Fit a mixture and rate it at other draws; None if that fails."""
    try:
        mixture = fit_mixture(train, size, seed, cores)
    except (ComponentError, np.linalg.LinAlgError):
        return None
    score = float(mixture.log_density(test).mean())
    return (replace(size, held_out=score), mixture) if np.isfinite(score) else None


@dataclass(frozen=True)
class Proposal:
    """A mixture as a proposal for the posterior: for one labelled copy of it.

    Parameters
    ----------
    density : LogPosterior
    rule : Rule
        Rule for the order of the components in the labelled copy.
    mixture : StudentMixture
    size : Size
        How it was fitted.
    cores : int
        Number of threads that evaluate the posterior.
    """

    density: LogPosterior
    rule: Rule
    mixture: StudentMixture
    size: Size
    cores: int = 1

    def draw(self, rng: np.random.Generator, count: int) -> Draws:
        """Draw proposals, with the log density of the labelled copy: minus infinity for components in another order."""
        q = self.mixture.draw(rng, count)
        lp, inside = np.full(count, -np.inf), np.flatnonzero(labelled_copies.in_copy(self.density, self.rule, q))
        if inside.size:
            with np.errstate(all="ignore"):
                value = evaluate([self.density] * inside.size, q[inside], self.cores)[0]
                value += labelled_copies.log_copies(self.density, q[inside])
            lp[inside] = np.where(np.isfinite(value), value, -np.inf)
        return Draws(q, lp, self.mixture.log_density(q))

    def weigh(self, q: Array, lp: Array) -> Draws:
        """Bring draws (S, P) of the posterior, with log densities (S,), into the labelled copy."""
        if self.density.chart.has_copies(
            self.density.n_features
        ):  # coordinates of other rotations have another density
            q = labelled_copies.least_turned(self.density, q)
            lp = evaluate([self.density] * len(q), q, self.cores)[0]
        summed = lp + labelled_copies.log_copies(self.density, q)
        q = labelled_copies.to_copy(self.density, self.rule, q)
        return Draws(q, summed, self.mixture.log_density(q))


def fit_proposal(density: LogPosterior, train: Draws, test: Draws, seed: int, cores: int = 1) -> Proposal:
    """Fit a proposal to draws of the posterior.

    Each rule for the order of the components is tried, with mixtures of several sizes. All are densities of a labelled
    copy, so that the mean log density at other draws shows which is closest.

    Parameters
    ----------
    density : LogPosterior
    train, test : Draws
        Draws that mixtures are fitted to, and that choose among them; their components may be in any order.
    seed, cores : int

    Raises
    ------
    DeclarationError
        If the prior treats many components differently.
    SamplingError
        If there are too few draws for the number of coordinates.

    References
    ----------
    .. [1] Frühwirth-Schnatter (2004), Econometrics Journal 7, 143-167.
    .. [2] Hoogerheide, Opschoor & van Dijk (2012), J. Econometrics 171(2), 101-120.
    """
    if len(train) < FEW_DRAWS * density.size:
        raise SamplingError(
            f"{len(train)} draws are too few for a proposal in {density.size} coordinates: at least "
            f"{FEW_DRAWS * density.size} are needed"
        )
    best: Proposal | None = None
    for rule in labelled_copies.rules(density, train.q, train.lp):
        one, other = (labelled_copies.to_copy(density, rule, draws.q) for draws in (train, test))
        size, mixture = choose_size(one, other, seed, cores)
        if best is None or size.held_out > best.size.held_out:
            best = Proposal(density, rule, mixture, size, cores)
    assert best is not None
    return best


def proposal_from_chains(density: LogPosterior, q: Array, seed: int, cores: int = 1) -> Proposal:
    """Fit a proposal to all draws of some chains; the second half of each chain chooses its rule and its size.

    Parameters
    ----------
    density : LogPosterior
    q : (chains, draws, P) float
        Draws by any sampler that has reached all regions of the posterior, however slowly it moves between them. At
        most 8,000 of them are used, evenly spaced.
    seed, cores : int

    Raises
    ------
    DeclarationError, SamplingError
        As ``fit_proposal``.
    """
    q = thin(q)
    lp = evaluate([density] * q[..., 0].size, q.reshape(-1, density.size), cores)[0].reshape(q.shape[:2])
    chosen = fit_proposal(density, *halves(q, lp), seed, cores)
    every = labelled_copies.to_copy(density, chosen.rule, q.reshape(-1, density.size))
    return replace(chosen, mixture=fit_mixture(every, chosen.size, seed, cores))


def halves(q: Array, lp: Array) -> tuple[Draws, Draws]:
    """Split chains (chains, draws, P), with log densities (chains, draws), in halves of at most 8,000 draws each."""
    half = lp.shape[1] // 2
    parts = (thin(q[:, :half]), thin(lp[:, :half])), (thin(q[:, half:]), thin(lp[:, half:]))
    first, second = (Draws(at.reshape(-1, q.shape[-1]), value.ravel(), value.ravel()) for at, value in parts)
    return first, second


def thin(values: Array) -> Array:
    """Return at most 8,000 evenly spaced draws of chains (chains, draws, ...)."""
    chains, draws = values.shape[:2]
    return values[:, np.linspace(0, draws - 1, min(draws, max(1, FITTED // chains))).round().astype(int)]
