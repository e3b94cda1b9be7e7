"""The Gibbs engine: blocked Gibbs sampling, for conjugate declarations."""

from dataclasses import replace

import numpy as np

from bayesgmm.diagnosis.tempering import few_round_trips
from bayesgmm.errors import DeclarationError
from bayesgmm.inference import tail_checks
from bayesgmm.inference.engine import Estimate, Progress
from bayesgmm.inference.extension import Budget, Drawn, settled
from bayesgmm.inference.gibbs_chains import Sample, sample
from bayesgmm.inference.tail_checks import StartCheck, TailCheck
from bayesgmm.inference.tempering import sample as tempered_sample
from bayesgmm.posterior.log_posterior import LogPosterior
from bayesgmm.posterior.notes import EngineNotes
from bayesgmm.sweep.stats import Array


def fit(
    density: LogPosterior,
    seed: int,
    cores: int,
    progress: Progress,
    *,
    draws: int,
    max_draws: int | None,
    tune: int,
    chains: int,
    thin: int,
    tempering: str,
    disagreement: str,
) -> Estimate:
    r"""Sample from the posterior by blocked Gibbs sampling: the Gibbs engine.

    A sweep draws the component of each point, and then the parameters given the components. It costs little more than
    one evaluation of the density, but successive draws are correlated: where components overlap, more than those of
    NUTS. Chains start in different regions: short runs from starts of different kinds must reach a high density there.

    Parameters
    ----------
    draws : int
        Number of draws of each chain that are kept; more if their effective sample size is small.
    max_draws : int, optional
        Maximum number of draws of each chain. Default: eight times ``draws``.
    tune : int
        Number of sweeps of each chain before the first draw.
    chains : int
        Number of chains.
    thin : int
        Number of sweeps from one draw to the next.
    tempering : {'none', 'parallel'}
        With parallel tempering, each chain is the coldest of a ladder of chains with powers of the likelihood from 0 to
        1, which exchange their states. It moves between modes through the prior, and estimates the log evidence.
    disagreement : {'reconcile', 'report'}
        What to do if the chains disagree: draw from all regions that they have visited, by ``reconcile``, or keep them.
        Fits of fewer than 200 draws are not reconciled, nor are those of factor analysers.

    Raises
    ------
    DataError
        If row weights are not whole numbers.
    DeclarationError
        If tempering is asked for with an unknown number of components, labels of rows, or factor analysers.
    SamplingError
        If Ctrl-C comes before the first draw after tuning.

    References
    ----------
    .. [1] Diebolt & Robert (1994), J. R. Stat. Soc. B 56(2), 363-375.
    .. [2] Ishwaran & James (2001), J. Am. Stat. Assoc. 96(453), 161-173: truncated stick-breaking.
    """
    progress.stage("sampling")

    varies = density.model.weights.draws_n_components
    reconciles = disagreement == "reconcile" and not varies and not density.chart.has_rotations
    budget = Budget(draws, chains, max_draws, reconciles)
    if tempering != "none":
        schedule = {"draws": draws, "tune": tune, "chains": chains, "thin": thin}
        return _tempered(density, seed, cores, progress, schedule, budget)

    def sampled(total: int, earlier: Array | None = None) -> Sample:
        settings = {"draws": total, "tune": tune, "chains": chains, "thin": thin}
        return sample(density, seed, cores, progress, **settings, earlier=earlier)

    def drawn(found: Sample, known: int = 0) -> Drawn:
        q, loglik = found.q[:, known:], found.loglik[:, known:]
        return Drawn(q, {"lp": _log_posterior(density, q, loglik)}, found.interrupted)

    def more(before: Drawn, count: int, _: int) -> Drawn:
        return drawn(sampled(before.draws + count, before.q), before.draws)

    first, notes, check = sampled(draws), EngineNotes(interrupted=False), None
    if first.begun is not None and tail_checks.can_check(density, budget):
        check = StartCheck(TailCheck(density, budget, seed, cores, progress), first.begun)
    estimate = settled(density, drawn(first), more, notes, budget, seed, cores, progress, check)
    if not varies:
        return estimate
    no_coordinates, stats = np.empty((*estimate.q.shape[:2], 0)), estimate.stats | {"loglik": estimate.stats["lp"]}
    return replace(estimate, q=no_coordinates, stats=stats, parameters=density.parameters(estimate.q))


def _tempered(
    density: LogPosterior, seed: int, cores: int, progress: Progress, schedule: dict[str, int], budget: Budget
) -> Estimate:
    """Return the draws of parallel tempering; they are not extended.

    Raises
    ------
    DeclarationError
        If the number of components is unknown.
    """
    if density.model.weights.draws_n_components:
        raise DeclarationError(
            "tempering='parallel' needs a fixed number of components, and FiniteMixture draws it.\n"
            "  Leave tempering out, or declare weights=SparseDirichlet()."
        )
    if density.chart.has_rotations:
        raise DeclarationError(
            f"tempering='parallel' needs conjugate priors, and covariance={density.model.covariance!r} has none\n"
            "  Leave tempering out, or declare covariance='full'."
        )
    if density.blocks.labels is not None:
        raise DeclarationError(
            "tempering='parallel' does not allow for labels of rows: where the likelihood is switched off, they would "
            "still tell of the weights.\n  Leave tempering or labels= out."
        )
    tempered = tempered_sample(density, seed, cores, progress, **schedule)
    drawn = Drawn(tempered.q, {"lp": _log_posterior(density, tempered.q, tempered.loglik)}, tempered.info is None)
    notes, never = EngineNotes(interrupted=drawn.interrupted, tempering=tempered.info), replace(budget, max_draws=1)
    estimate = settled(density, drawn, _no_more, notes, never, seed, cores, progress)
    warnings = tuple(map(str, few_round_trips(tempered.info))) if tempered.info else ()
    return replace(estimate, warnings=(*estimate.warnings, *warnings))


def _no_more(drawn: Drawn, count: int, number: int) -> Drawn:
    """Raise an error: the adapted ladder is not stored, so that the chains can't be continued."""
    raise NotImplementedError


def _log_posterior(density: LogPosterior, q: Array, loglik: Array) -> Array:
    """Return the log posterior densities of draws (chains, draws, P) with log likelihoods (chains, draws).

    Where the number of components is unknown, these are the log likelihoods alone: densities over different numbers of
    coordinates can't be compared.
    """
    units = density.log_units
    if density.model.weights.draws_n_components:
        return loglik - units
    return loglik - units + np.apply_along_axis(density.log_prior, -1, q)
