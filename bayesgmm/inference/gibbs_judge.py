"""A short Gibbs run, and comparisons of other draws with it."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace

import numpy as np

from bayesgmm.diagnosis.engines import difference
from bayesgmm.diagnosis.mixing import ALARMING_RHAT
from bayesgmm.engines import ENGINES
from bayesgmm.errors import MissingImplementation
from bayesgmm.inference import conjugate_sweeps, gibbs_chains
from bayesgmm.inference.agreement import agreement, monitored
from bayesgmm.inference.elbo import evaluate
from bayesgmm.posterior.log_posterior import LogPosterior
from bayesgmm.posterior.notes import GibbsComparison
from bayesgmm.sweep.stats import Array

CHAINS, TUNE, THIN = 8, 500, 5
SEARCH = 500  # budget of the search for starts, the second one of these points
DRAWS = 250  # of each chain
OF_CLUSTERS = (4, 400)  # chains, and draws of each, where K is a bound: more chains would take longer to agree
RUNS = ((1, 5), (2, 40))  # factor of a chain's draws, and sweeps between two; the second where one run tells too little
CLEAR = (0.5, 2.0)  # multiples of a tolerated difference, between which a second run must measure it
WORTH = 200_000_000  # maximum cost of the run: points x features x components x sweeps
JUDGES = 100  # effective number of draws from which chains that agree are a judge of other draws
COUNTS = 50  # the same for the number of clusters, where K is a bound
FEW = 100  # fewer draws are not compared
FEW_DRAWS = "that takes at least 200 draws of each chain"  # reasons, at the end of a sentence
INTERRUPTED = "the run was interrupted, and unfinished chains may have been in other regions"
INTERVAL = (0.05, 0.5, 0.95)
TINY = 1e-6  # smallest ratio of two widths

_looks: ContextVar[bool] = ContextVar("looks", default=True)


@contextmanager
def ignored() -> Iterator[None]:
    """Make no comparisons while a block runs, which makes many short fits that are only compared with each other."""
    token = _looks.set(False)
    try:
        yield
    finally:
        _looks.reset(token)


def is_conjugate(density: LogPosterior) -> bool:
    """Return True if the Gibbs sampler can draw from the posterior; not of a prior that it does not implement."""
    if not density.model.family.is_conjugate:  # factor analysers, whose chains are neither split nor merged
        return False
    try:
        refused = ENGINES["gibbs"].refused(density.model)
    except MissingImplementation:
        return False
    return not refused and bool((density.blocks.weight % 1 == 0).all())


def obstacle(density: LogPosterior) -> str:
    """Return the reason why no Gibbs run can be compared, whatever its length: the end of a sentence, or nothing."""
    if not _looks.get():
        return "comparisons were left out"
    if density.in_parts:
        return "the rows are read in parts"
    return "" if is_conjugate(density) else "the priors or the weights of the rows are not those of a Gibbs sampler"


def max_sweeps(density: LogPosterior, chains: int = CHAINS) -> int:
    """Return the maximum number of sweeps of each of some chains; 0 if there is an obstacle."""
    if obstacle(density):
        return 0
    return int(WORTH // (conjugate_sweeps.sweep_cost(density) * chains))


def can_run(density: LogPosterior) -> bool:
    """Return True if a short run is possible and affordable."""
    return max_sweeps(density) >= TUNE + DRAWS


def short_run(
    density: LogPosterior,
    count: int,
    seed: int,
    cores: int,
    thin: int = THIN,
    chains: int = CHAINS,
    begin: Array | None = None,
) -> tuple[Array, Array]:
    """Draw (chains, count, P) by a short Gibbs run, with their log posterior densities (chains, count).

    From draw to draw there are ``thin`` sweeps; fewer if they would cost too much. By default, chains start where short
    runs end; else they continue from states ``begin`` (chains, P) of such chains.
    """
    thin = int(np.clip((max_sweeps(density, chains) - TUNE) // count, 1, thin))
    settings = {"draws": count, "tune": TUNE, "chains": chains, "thin": thin, "search": SEARCH}
    if begin is None:
        q = gibbs_chains.run(density, seed, cores, **settings, earlier=None)
    else:
        q = gibbs_chains.run(density, seed, cores, **settings | {"draws": 1 + count}, earlier=begin[:, None])[:, 1:]
    return q, log_densities(density, q, cores)


def log_densities(density: LogPosterior, q: Array, cores: int) -> Array:
    """Compute the log posterior (chains, draws) of draws (chains, draws, P)."""
    return evaluate([density] * q[..., 0].size, q.reshape(-1, density.size), cores)[0].reshape(q.shape[:2])


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


def is_clear(compared: GibbsComparison | None) -> bool:
    """Return True if a comparison was made, and a second run would change no conclusion from it.

    Examples
    --------
    >>> is_clear(GibbsComparison(shift=0.01, width=1.05)), is_clear(GibbsComparison(shift=0.01, width=1.25))
    (True, False)
    """
    return compared is not None and not CLEAR[0] < difference(compared) < CLEAR[1]


def can_compare_clusters(density: LogPosterior) -> bool:
    """Return True if the number of components is an upper bound, and a short Gibbs run is possible."""
    chains, draws = OF_CLUSTERS
    return density.model.weights.is_overfitted and max_sweeps(density, chains) >= TUNE + draws


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
    chains, draws = OF_CLUSTERS
    own = _of_data(density, kept[None], log_densities(density, kept[None], cores))[0]
    for factor, thin in RUNS:
        values = _of_data(density, *short_run(density, factor * draws, seed, cores, thin, chains))
        found = compare(own[:, :-1], values[..., :-1])
        if found and is_judge(values[..., -1:], COUNTS):
            found = replace(found, n_clusters=_difference(own[:, -1], values[..., -1]))
        if is_clear(found):
            break
    return found


def _of_data(density: LogPosterior, q: Array, lp: Array) -> Array:
    """Compute log likelihood, density at some points and number of clusters (chains, draws, M) of draws q."""
    loglik = lp - np.array([density.log_prior(one) for one in q.reshape(-1, density.size)]).reshape(lp.shape)
    others = monitored(density, q, lp)[..., 1 + density.model.n_components :]
    return np.concatenate([loglik[..., None], others], axis=2)


def _difference(own: Array, values: Array) -> float:
    """Return the largest difference of the probability of a number."""
    return max(abs(float((own == number).mean() - (values == number).mean())) for number in np.union1d(own, values))
