"""Expectation maximisation: the point estimate, and the starting point of everything else."""

from dataclasses import dataclass, replace

import numpy as np

from bayesgmm._kernels import BLOCK
from bayesgmm.errors import ComponentError
from bayesgmm.families import Family
from bayesgmm.inference.engine import Estimate, Progress
from bayesgmm.log_posterior import LogPosterior
from bayesgmm.stats import Array, Blocks, Stats, Table, fold

SHORT_RUN = 20  # iterations that a start gets to show its worth
SEEDING_POINTS = 20_000  # k-means++ looks at no more points than these


@dataclass(frozen=True)
class Mixture:
    """One mixture in the coordinates of the blocks: weights (K,), means (K, D), roots in core shape."""

    weight: Array
    mean: Array
    core_roots: Array

    def table(self, family: Family) -> Table:
        """The table that scores points under this mixture."""
        return Table.from_parameters(np.log(self.weight), self.mean, family.expand(self.core_roots, *self.mean.shape))


@dataclass(frozen=True)
class CovariancePrior:
    """An inverse Wishart on each covariance, in the coordinates of the blocks."""

    dof: float
    scale: Array


@dataclass(frozen=True)
class EMResult:
    """Where EM ended.

    Parameters
    ----------
    mixture : Mixture
    loglik : float
        Total log likelihood, in the coordinates of the blocks.
    n_iter : int
    converged : bool
    """

    mixture: Mixture
    loglik: float
    n_iter: int
    converged: bool


def maximise(family: Family, stats: Stats, prior: CovariancePrior | None = None) -> Mixture:
    """The M step: the mixture that explains the statistics best.

    Raises
    ------
    EmptyComponent, DegenerateComponent
        When a component can't be estimated, and no prior helps.
    """
    if prior is None:
        core = family.maximise(stats)
    else:  # a tiny floor keeps an empty component where the prior puts it
        stats = replace(stats, n=np.maximum(stats.n, 1e-10))
        core = family.maximise(stats, prior.dof, prior.scale)
    return Mixture(stats.n / stats.n.sum(), stats.means(), family.roots(core))


def run(
    blocks: Blocks,
    family: Family,
    start: Mixture,
    prior: CovariancePrior | None = None,
    max_iter: int = 1000,
    tol: float = 1e-8,
    threads: int = 1,
) -> EMResult:
    """Iterate until the mean log likelihood gains less than ``tol``."""
    mixture, best = start, -np.inf
    for iteration in range(1, max_iter + 1):
        stats = fold(blocks, mixture.table(family), threads)
        if abs(stats.loglik - best) < tol * max(1.0, blocks.total_weight):
            return EMResult(mixture, stats.loglik, iteration, True)
        best = stats.loglik
        mixture = maximise(family, stats, prior)
    return EMResult(mixture, best, max_iter, False)


def seed_mixture(blocks: Blocks, family: Family, n_components: int, rng: np.random.Generator, rows: Array) -> Mixture:
    """Centres by k-means++, every covariance a K-th part of the spread of ``rows`` (M, D)."""
    from sklearn.cluster import kmeans_plusplus

    n_features = rows.shape[1]
    centres, _ = kmeans_plusplus(rows, n_components, random_state=int(rng.integers(2**31)))
    spread = max(float(rows.var(axis=0).mean()), 1e-12) / n_components ** (2 / n_features)
    shape = family.core_shape(n_components, n_features)
    root = np.ones(shape) if family.diagonal else np.broadcast_to(np.eye(n_features), shape).copy()
    weight = np.full(n_components, 1 / n_components)
    return Mixture(weight, np.asarray(centres), root / np.sqrt(spread))


def short_runs(
    blocks: Blocks,
    family: Family,
    n_components: int,
    seed: int | tuple[int, int],
    prior: CovariancePrior | None = None,
    n_init: int = 10,
    max_iter: int = SHORT_RUN,
    tol: float = 1e-8,
    threads: int = 1,
) -> list[EMResult]:
    """Short EM runs, each from its own k-means++ centres, best first.

    Raises
    ------
    EmptyComponent, DegenerateComponent
        When every start ends in a component that can't be estimated.

    References
    ----------
    .. [1] Biernacki, Celeux & Govaert (2003), Comput. Stat. Data Anal. 41, 561-575.
    """
    rng = np.random.default_rng(seed)
    rows = subsample(blocks, rng)
    results: list[EMResult] = []
    failure: ComponentError | None = None
    for _ in range(n_init):
        start = seed_mixture(blocks, family, n_components, rng, rows)
        try:
            results.append(run(blocks, family, start, prior, max_iter, tol, threads))
        except ComponentError as error:
            failure = error
    if failure is not None and not results:
        raise failure
    return sorted(results, key=lambda result: -result.loglik)


def climb(
    blocks: Blocks,
    family: Family,
    n_components: int,
    seed: int,
    n_init: int = 10,
    max_iter: int = 1000,
    tol: float = 1e-8,
    threads: int = 1,
) -> EMResult:
    """Maximum likelihood by EM, from the best short run that does not degenerate.

    Raises
    ------
    EmptyComponent, DegenerateComponent
        When every start ends in a component that can't be estimated.

    References
    ----------
    .. [1] Dempster, Laird & Rubin (1977), J. R. Stat. Soc. B 39(1), 1-38.
    """
    first = min(SHORT_RUN, max_iter)
    runs = short_runs(blocks, family, n_components, seed, None, n_init, first, tol, threads)
    for result in runs:
        if result.converged or max_iter == first:
            return result
        try:
            rest = run(blocks, family, result.mixture, None, max_iter - first, tol, threads)
        except ComponentError as error:
            failure = error
            continue
        return replace(rest, n_iter=rest.n_iter + first)
    raise failure


def fit(
    density: LogPosterior,
    seed: int,
    cores: int,
    progress: Progress,
    *,
    n_init: int = 10,
    max_iter: int = 1000,
    tol: float = 1e-8,
) -> Estimate:
    """The EM engine: one draw, the maximum of the likelihood. It does not look at the priors.

    Parameters
    ----------
    n_init : int
        Starts.
    max_iter : int
        Iterations, at most.
    tol : float
        Stop when an iteration gains less than this in mean log likelihood.
    """
    model = density.model
    progress.stage("EM")
    found = climb(density.blocks, model.family, model.n_components, seed, n_init, max_iter, tol, cores)
    mixture = found.mixture
    q = density.coordinates(mixture.weight, mixture.mean, mixture.core_roots)[None, None]
    warnings: tuple[str, ...] = ()
    if not found.converged:
        message = f"EM stopped after {max_iter} iterations before it converged."
        warnings = (f"{message} Try a larger max_iter or fewer components.",)
    stats = {"lp": np.array([[density(q[0, 0])[0]]]), "n_iter": np.array([[found.n_iter]])}
    return Estimate(q, stats, warnings, {"converged": found.converged})


def subsample(blocks: Blocks, rng: np.random.Generator) -> Array:
    """(M, D) at most SEEDING_POINTS points, whole blocks drawn without replacement."""
    n_blocks, wanted = blocks.n_blocks, SEEDING_POINTS // BLOCK
    if n_blocks <= wanted:
        return blocks.rows()
    chosen = np.sort(rng.choice(n_blocks - 1, wanted, replace=False))  # the last block may be padded
    x = blocks.x.reshape(n_blocks, blocks.n_features, BLOCK)[chosen]
    return x.transpose(0, 2, 1).reshape(-1, blocks.n_features)
