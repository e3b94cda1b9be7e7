"""Log evidence (log marginal likelihood) of a fit by draws."""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from bayesgmm.blas import one_blas_thread
from bayesgmm.declared import whole
from bayesgmm.diagnosis.tempering import MIN_TRIPS
from bayesgmm.errors import DeclarationError, SamplingError, UnreliableEvidence
from bayesgmm.inference.bridges import bridge
from bayesgmm.inference.importance import Draws, importance_share, log_evidence, smooth
from bayesgmm.inference.mixture_proposals import Proposal, fit_proposal, halves
from bayesgmm.labels.relabelling import component_order, inverse, reorder
from bayesgmm.posterior.arguments import FitLike, takes_fit
from bayesgmm.posterior.chain_statistics import rhat_and_bulk_ess
from bayesgmm.posterior.criteria import HIGH_KHAT
from bayesgmm.posterior.draws import approximate, size
from bayesgmm.posterior.info import declaration, info
from bayesgmm.posterior.log_posterior import LogPosterior
from bayesgmm.posterior.notes import TemperingInfo
from bayesgmm.posterior.parameters import Parameters
from bayesgmm.posterior.schema import observed, unpack
from bayesgmm.sweep.stats import Array

if TYPE_CHECKING:
    import xarray as xr

PROPOSALS = 10_000  # number of proposals at first, where the data are few enough
MAX_PROPOSALS = 160_000  # more are made while the standard error is too large
MIN_PROPOSALS = 1000
PRECISE = 0.1  # standard error, in nats, at which no more are made
WORTH = 3_000_000_000  # maximum of points x features x components x proposals
UNMIXED = 1.1  # R-hat above which chains have not mixed
MIN_EFFECTIVE = 50  # minimum effective number of proposals or draws in the overlap
ENOUGH = 100  # effective number of proposals with which importance sampling is trusted where the draws are too few
IMPRECISE = 0.5  # maximum standard error, in nats
APART = 4.0  # maximum difference of two estimates, in standard errors ...
EQUAL = 0.1  # ... and the difference that is always allowed, in nats
MIN_DRAWS = 100


@dataclass(frozen=True)
class Evidence:
    """Log evidence of a fit.

    Parameters
    ----------
    log_evidence, se : float
        Log marginal likelihood of the data in their own units, and its standard error, in nats.
    method : {'bridge', 'importance', 'tempering'}
        Bridge sampling for draws of Markov chains; importance sampling for those of an approximation, and where the
        draws are too few for a bridge; the ladder of parallel tempering where both fail.
    effective_share : float
        Overlap of posterior and proposal, from 0 to 1: for importance sampling, the effective sample size as a share of
        the proposals.
    importance_log_evidence, importance_se, pareto_khat : float
        Estimate by importance sampling alone with the same proposals, and the shape of the tail of its weights.
    rhat : float
        Maximum R-hat of the coordinates, with the components in one order; NaN for one chain and for approximations.
    proposals, mixture_size : int
        Number of proposals, and of components of the mixture that made them.
    tempering_log_evidence, tempering_se : float
        Estimate by the ladder of a fit with parallel tempering; NaN for others.
    """

    log_evidence: float
    se: float
    method: str
    effective_share: float
    importance_log_evidence: float
    importance_se: float
    pareto_khat: float
    rhat: float
    proposals: int
    mixture_size: int
    tempering_log_evidence: float = np.nan
    tempering_se: float = np.nan


@takes_fit
def evidence(fit: FitLike, *, proposals: int | None = None, seed: int = 0, cores: int | None = None) -> Evidence:
    r"""Estimate the log evidence of a fit by draws: the log marginal likelihood of its data.

    .. math:: \log p(x) = \log \int p(x \mid \theta) \, p(\theta) \, d\theta

    A mixture of Student distributions is fitted to half of the draws, in unconstrained coordinates and with the
    components in one order. Bridge sampling [1]_ [2]_ compares it with the other half. All K! orders of the components
    count, also those that the chains have not visited [3]_; of rows with labels x is values and labels, and only
    components that the labels treat alike have several orders. Draws of an approximation (``'advi'``, ``'vb'``) and
    draws that repeat because they were resampled serve to find the mixture, and importance sampling gives the estimate.
    A fit with parallel tempering has an estimate of its own, which must agree. Modes that no draw is in are missing.

    The difference of two log evidences is the log of the Bayes factor. It depends on the priors much more than
    predictions do: compare fits only with priors that you would defend.

    Parameters
    ----------
    fit : DataTree or estimator
        A fit of :func:`bayesgmm.fit` by a sampler or an approximation.
    proposals : int, optional
        Number of draws of the mixture; each takes one pass over the data. Default: 10,000, fewer with many points, and
        up to 160,000 while the standard error is above 0.1.
    seed : int
        The same seed gives the same estimate.
    cores : int, optional
        Number of threads. Default: the number of cores of the machine.

    Returns
    -------
    Evidence
        ``log_evidence`` and its standard error ``se``, with diagnostics.

    Raises
    ------
    UnreliableEvidence
        When the estimate can't be trusted: the chains have not mixed, posterior and proposal hardly overlap, or two
        estimates disagree.
    DeclarationError
        When the fit is a point estimate, has too few draws, or its prior treats more than 10 components differently.
    FitFileError
        When the fit stores no model or no data.

    References
    ----------
    .. [1] Meng & Wong (1996), Statistica Sinica 6, 831-860.
    .. [2] Gronau et al. (2017), J. Math. Psychol. 81, 80-97.
    .. [3] Frühwirth-Schnatter (2004), Econometrics Journal 7, 143-167.

    Examples
    --------
    Three points under a Normal-Wishart prior, for which the evidence has a closed form: -7.715.

    >>> import bayesgmm as bg
    >>> model = bg.MixtureModel(1, means=bg.ConjugateMeans(0.0, 1.0), covariances=bg.WishartPrecision(3.0, 1.0))
    >>> fit = bg.fit(model, [[-1.0], [0.0], [2.5]], seed=1, progress=False)
    >>> round(bg.evidence(fit).log_evidence, 1)
    -7.7
    """
    density, q, lp = _coordinates(fit)
    notes = info(fit).notes
    cores = (os.cpu_count() or 1) if cores is None else whole("cores", cores)
    seed = whole("seed", seed, minimum=0)
    repeats = notes.reconciled is not None and notes.reconciled.by == "importance resampling"
    prepare = _weighted if approximate(fit) or repeats else _bridged
    with one_blas_thread():
        estimate = prepare(density, q, lp, seed, cores)
        found, objections = _precise(estimate, density, proposals)
    return _with_ladder(found, objections, notes.tempering)


type Estimate = Callable[[int], tuple[Evidence, list[str], bool]]
"""Function of a number of proposals, which are added to those made before: the evidence, objections to it, and True if
there were too few draws or proposals."""


def _precise(estimate: Estimate, density: LogPosterior, proposals: int | None) -> tuple[Evidence, list[str]]:
    """Make a number of proposals; by default ever more, until the estimate is precise or a budget is spent."""
    if proposals is not None:
        return estimate(whole("proposals", proposals, minimum=MIN_DRAWS))[:2]
    most, count = _affordable(density, MAX_PROPOSALS), _affordable(density, PROPOSALS)
    found, objections, few = estimate(count)
    while (few or found.se > PRECISE) and not found.rhat > UNMIXED and 2 * found.proposals <= most:
        found, objections, few = estimate(found.proposals)
    return found, objections


def _with_ladder(found: Evidence, objections: list[str], ladder: TemperingInfo | None) -> Evidence:
    """Compare an estimate with that of a ladder of temperatures, which takes its place if there are objections.

    Raises
    ------
    UnreliableEvidence
        If no estimate can be trusted, or the two disagree.
    """
    if ladder is not None and ladder.round_trips >= MIN_TRIPS and ladder.log_evidence_se <= IMPRECISE:
        value, error = ladder.log_evidence, ladder.log_evidence_se
        found = replace(found, tempering_log_evidence=value, tempering_se=error)
        if objections:
            return replace(found, log_evidence=value, se=error, method="tempering")
        if abs(value - found.log_evidence) > max(EQUAL, APART * float(np.hypot(error, found.se))):
            objections = [f"{found.method} and tempering disagree: {found.log_evidence:.2f} and {value:.2f}"]
    _require(objections)
    return found


def _coordinates(fit: "xr.DataTree") -> tuple[LogPosterior, Array, Array]:
    """Return the log posterior of a fit, its draws (chains, draws, P) as they were drawn, and their densities.

    Raises
    ------
    DeclarationError
        When there are too few draws, or the number of components differs between them.
    FitFileError
        When the fit stores no model or no data.
    """
    model, (chains, draws) = declaration(fit), size(fit)
    if chains * draws < MIN_DRAWS:
        raise DeclarationError(
            f"the evidence needs at least {MIN_DRAWS} draws of the posterior, this fit has {chains * draws}.\n"
            "  Use method='nuts' or another method that returns draws."
        )
    if model.weights.draws_n_components:
        raise DeclarationError(
            "the evidence of a fit with an unknown number of components can't be estimated from its draws.\n"
            "  bg.n_components(fit) shows the probability of each number, for which evidences are compared."
        )
    density = LogPosterior.of(model, observed(fit))
    if density.chart.has_rotations:
        raise DeclarationError(
            f"the evidence of covariance={model.covariance!r} can't be estimated: rotated factors have the same "
            "likelihood, so that no Gaussian is close to the posterior of the loadings\n"
            "  Compare models by compare(...), which uses held-out densities, or by select(...)."
        )
    posterior = fit["posterior"].to_dataset()
    learned = {
        str(name): values.transpose("chain", "draw", ...).values.reshape(chains * draws, *values.shape[2:])
        for name, values in posterior.data_vars.items()
        if name not in ("weight", "mean", "covariance")
    }
    labelled: Parameters = replace(unpack(fit).parameters, extras=learned)
    q = density.positions(reorder(labelled, inverse(component_order(fit))))
    lp = fit["sample_stats"]["lp"].transpose("chain", "draw").values
    return density, q.reshape(chains, draws, density.size), lp


def _affordable(density: LogPosterior, wanted: int) -> int:
    return int(min(wanted, max(MIN_PROPOSALS, WORTH // density.sweep_cost)))


def _proposal(density: LogPosterior, train: Draws, test: Draws, seed: int, cores: int) -> Proposal:
    try:
        return fit_proposal(density, train, test, seed, cores)
    except SamplingError as error:
        raise UnreliableEvidence(f"{error}.\n  Use more draws.") from None


def _bridged(density: LogPosterior, q: Array, lp: Array, seed: int, cores: int) -> Estimate:
    """Bridge sampling: the first half of each chain gives the proposal, the second half the estimate.

    Where these draws are too few, the proposals alone give the estimate, by importance sampling.
    """
    half = lp.shape[1] // 2
    proposal = _proposal(density, *halves(q, lp), seed, cores)
    rest, kept = q[:, half:].reshape(-1, density.size), lp[:, half:]
    weighed = proposal.weigh(rest, kept.reshape(-1))
    drawn = weighed.log_ratio.reshape(kept.shape)
    rhat = _rhat(np.concatenate([weighed.q, weighed.log_ratio[:, None]], axis=1).reshape(*kept.shape, -1))
    by_weights = _importance(proposal, seed)

    def estimate(count: int) -> tuple[Evidence, list[str], bool]:
        plain, proposed, weighted = by_weights(count)
        found = bridge(drawn, proposed)
        result = replace(
            plain,
            log_evidence=found.log_evidence,
            se=found.se,
            method="bridge",
            effective_share=found.overlap,
            rhat=rhat,
        )
        objections = _objections(result, weighted)
        if found.overlap * min(found.effective, len(proposed)) >= MIN_EFFECTIVE:
            return result, objections, False
        instead = replace(plain, rhat=rhat)
        if weighted >= ENOUGH and not objections and not (objections := _objections(instead, weighted)):
            return instead, [], False
        return result, [_few(found.overlap * found.effective), *objections], True

    return estimate


def _weighted(density: LogPosterior, q: Array, lp: Array, seed: int, cores: int) -> Estimate:
    """Importance sampling from a mixture that is fitted to draws without repeats."""
    flat, first = np.unique(q.reshape(-1, density.size), axis=0, return_index=True)
    mixed = np.random.default_rng((seed, 13)).permutation(len(flat))
    flat, values = flat[mixed][None], lp.reshape(-1)[first][mixed][None]
    by_weights = _importance(_proposal(density, *halves(flat, values), seed, cores), seed)

    def estimate(count: int) -> tuple[Evidence, list[str], bool]:
        result, _, weighted = by_weights(count)
        few = [] if weighted >= MIN_EFFECTIVE else [_few(weighted)]
        return result, [*few, *_objections(result, weighted)], bool(few)

    return estimate


def _importance(proposal: Proposal, seed: int) -> Callable[[int], tuple[Evidence, Array, float]]:
    """Return a function that makes more proposals: the estimate by their weights, log ratios, effective number."""
    rng, made = np.random.default_rng((seed, 12)), np.empty(0)

    def estimate(count: int) -> tuple[Evidence, Array, float]:
        nonlocal made
        made = np.concatenate([made, proposal.draw(rng, count).log_ratio])
        (value, error), share, khat = log_evidence(made), importance_share(made), smooth(made)[1]
        size = proposal.mixture.n_components
        result = Evidence(value, error, "importance", share, value, error, khat, np.nan, len(made), size)
        return result, made, share * len(made)

    return estimate


def _few(effective: float) -> str:
    return f"posterior and proposal hardly overlap (effective size {effective:.0f}; {MIN_EFFECTIVE} are needed)"


def _rhat(values: Array) -> float:
    """Compute the maximum R-hat of several quantities (chains, draws, quantities); NaN for one chain."""
    varied = values[..., np.ptp(values, axis=(0, 1)) > 0]
    if len(values) < 2 or not varied.size:
        return np.nan
    return float(rhat_and_bulk_ess(varied)[0].max())


def _objections(found: Evidence, weighted: float) -> list[str]:
    """Return reasons not to trust an estimate.

    Parameters
    ----------
    found : Evidence
    weighted : float
        Effective number of the proposals under their importance weights.
    """
    reasons = []
    if found.rhat > UNMIXED:
        reasons.append(f"the chains have not mixed (R-hat {found.rhat:.2f}; it should be below {UNMIXED})")
    if not found.se <= IMPRECISE:
        reasons.append(f"the standard error is {found.se:.2f} (it should be at most {IMPRECISE})")
    if found.method == "importance" and found.pareto_khat > HIGH_KHAT:
        reasons.append(f"the importance weights have a heavy tail (Pareto k-hat {found.pareto_khat:.2f})")
    difference = abs(found.log_evidence - found.importance_log_evidence)
    allowed = max(EQUAL, APART * float(np.hypot(found.se, found.importance_se)))
    if found.pareto_khat <= HIGH_KHAT and weighted >= MIN_EFFECTIVE and difference > allowed:
        reasons.append(
            f"bridge and importance sampling disagree: {found.log_evidence:.2f} and {found.importance_log_evidence:.2f}"
        )
    return reasons


def _require(reasons: list[str]) -> None:
    """Check that there is no reason not to trust an estimate.

    Raises
    ------
    UnreliableEvidence
        When there is.
    """
    if reasons:
        listed = "\n".join(f"  {reason}" for reason in reasons)
        raise UnreliableEvidence(
            f"the log evidence can't be estimated from these draws:\n{listed}\n"
            "  Use more draws, fewer components, or a stronger prior."
        )
