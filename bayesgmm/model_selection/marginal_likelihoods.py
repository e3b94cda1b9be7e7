"""Log evidence (log marginal likelihood) of a fit by draws."""

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from threadpoolctl import threadpool_limits

from bayesgmm.declared import whole
from bayesgmm.errors import DeclarationError, SamplingError, UnreliableEvidence
from bayesgmm.inference.bridges import bridge
from bayesgmm.inference.importance import Draws, importance_share, log_evidence, smooth
from bayesgmm.inference.mixture_proposals import Proposal, fit_proposal, halves
from bayesgmm.labels.relabelling import component_order, inverse, reorder
from bayesgmm.posterior.criteria import HIGH_KHAT
from bayesgmm.posterior.draws import approximate, size
from bayesgmm.posterior.info import declaration
from bayesgmm.posterior.log_posterior import LogPosterior
from bayesgmm.posterior.parameters import Parameters
from bayesgmm.posterior.schema import observed, unpack
from bayesgmm.sweep.stats import Array

if TYPE_CHECKING:
    import xarray as xr

PROPOSALS = 10_000  # number of proposals, where the data are few enough
MIN_PROPOSALS = 1000
WORTH = 3_000_000_000  # maximum of points x features x components x proposals
UNMIXED = 1.1  # R-hat above which chains have not mixed
MIN_EFFECTIVE = 50  # minimum effective number of proposals or draws in the overlap
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
    method : {'bridge', 'importance'}
        Bridge sampling for draws of Markov chains, importance sampling for those of an approximation.
    effective_share : float
        Overlap of posterior and proposal, from 0 to 1: for importance sampling, the effective sample size as a share of
        the proposals.
    importance_log_evidence, importance_se, pareto_khat : float
        Estimate by importance sampling alone with the same proposals, and the shape of the tail of its weights.
    rhat : float
        Maximum R-hat of the coordinates, with the components in one order; NaN for one chain and for approximations.
    proposals, mixture_size : int
        Number of proposals, and of components of the mixture that made them.
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


def evidence(fit: "xr.DataTree", *, proposals: int | None = None, seed: int = 0, cores: int | None = None) -> Evidence:
    r"""Estimate the log evidence of a fit by draws: the log marginal likelihood of its data.

    .. math:: \log p(x) = \log \int p(x \mid \theta) \, p(\theta) \, d\theta

    A mixture of Student distributions is fitted to half of the draws, in unconstrained coordinates and with the
    components in one order. Bridge sampling [1]_ [2]_ compares it with the other half. All K! orders of the components
    count, also those that the chains have not visited [3]_. Draws of an approximation (``'advi'``, ``'vb'``) are not
    draws of the posterior: they serve to find the mixture, and importance sampling gives the estimate.

    The difference of two log evidences is the log of the Bayes factor. It depends on the priors much more than
    predictions do: compare fits only with priors that you would defend.

    Parameters
    ----------
    fit : DataTree
        A fit of :func:`bayesgmm.fit` by a sampler or an approximation.
    proposals : int, optional
        Number of draws of the mixture; each takes one pass over the data. Default: 10,000, fewer with many points.
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
    cores = (os.cpu_count() or 1) if cores is None else whole("cores", cores)
    count = _affordable(density) if proposals is None else whole("proposals", proposals, minimum=MIN_DRAWS)
    with threadpool_limits(limits=1, user_api="blas"):
        if approximate(fit):
            return _by_importance(density, q, lp, count, whole("seed", seed, minimum=0), cores)
        return _by_bridge(density, q, lp, count, whole("seed", seed, minimum=0), cores)


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


def _affordable(density: LogPosterior) -> int:
    return int(min(PROPOSALS, max(MIN_PROPOSALS, WORTH // density.sweep_cost)))


def _proposal(density: LogPosterior, train: Draws, test: Draws, seed: int, cores: int) -> Proposal:
    try:
        return fit_proposal(density, train, test, seed, cores)
    except SamplingError as error:
        raise UnreliableEvidence(f"{error}.\n  Use more draws.") from None


def _by_bridge(density: LogPosterior, q: Array, lp: Array, count: int, seed: int, cores: int) -> Evidence:
    """Bridge sampling: the first half of each chain gives the proposal, the second half the estimate."""
    half = lp.shape[1] // 2
    proposal = _proposal(density, *halves(q, lp), seed, cores)
    rest, kept = q[:, half:].reshape(-1, density.size), lp[:, half:]
    weighed = proposal.weigh(rest, kept.reshape(-1))
    drawn = weighed.log_ratio.reshape(kept.shape)
    proposed = proposal.draw(np.random.default_rng((seed, 12)), count).log_ratio
    found = bridge(drawn, proposed)
    rhat = _rhat(np.concatenate([weighed.q, weighed.log_ratio[:, None]], axis=1).reshape(*kept.shape, -1))
    value, error = log_evidence(proposed)
    khat = smooth(proposed)[1]
    size = proposal.mixture.n_components
    result = Evidence(found.log_evidence, found.se, "bridge", found.overlap, value, error, khat, rhat, count, size)
    effective = found.overlap * min(found.effective, count)
    _require(_objections(result, effective, importance_share(proposed) * count))
    return result


def _by_importance(density: LogPosterior, q: Array, lp: Array, count: int, seed: int, cores: int) -> Evidence:
    """Importance sampling from a mixture that is fitted to draws of an approximation, without repeats."""
    flat, first = np.unique(q.reshape(-1, density.size), axis=0, return_index=True)
    mixed = np.random.default_rng((seed, 13)).permutation(len(flat))
    flat, values = flat[mixed][None], lp.reshape(-1)[first][mixed][None]
    proposal = _proposal(density, *halves(flat, values), seed, cores)
    proposed = proposal.draw(np.random.default_rng((seed, 12)), count).log_ratio
    (value, error), share, khat = log_evidence(proposed), importance_share(proposed), smooth(proposed)[1]
    size = proposal.mixture.n_components
    result = Evidence(value, error, "importance", share, value, error, khat, np.nan, count, size)
    _require(_objections(result, share * count, share * count))
    return result


def _rhat(values: Array) -> float:
    """Compute the maximum R-hat of several quantities (chains, draws, quantities); NaN for one chain."""
    from arviz_stats.base.array import array_stats

    varied = values[..., np.ptp(values, axis=(0, 1)) > 0]
    if len(values) < 2 or not varied.size:
        return np.nan
    return float(np.max([array_stats.rhat(one, chain_axis=0, draw_axis=1) for one in np.moveaxis(varied, 2, 0)]))


def _objections(found: Evidence, effective: float, weighted: float) -> list[str]:
    """Return reasons not to trust an estimate.

    Parameters
    ----------
    found : Evidence
    effective, weighted : float
        Effective number of draws in the overlap, and of the proposals under their importance weights.
    """
    reasons = []
    if found.rhat > UNMIXED:
        reasons.append(f"the chains have not mixed (R-hat {found.rhat:.2f}; it should be below {UNMIXED})")
    if not effective >= MIN_EFFECTIVE:
        reasons.append(
            f"posterior and proposal hardly overlap (effective size {effective:.0f}; {MIN_EFFECTIVE} are needed)"
        )
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
