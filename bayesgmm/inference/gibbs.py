"""The Gibbs engine: blocked Gibbs sampling, for conjugate declarations."""

from dataclasses import replace

import numpy as np

from bayesgmm.diagnosis.tempering import few_round_trips
from bayesgmm.inference.engine import Estimate, Progress
from bayesgmm.inference.gibbs_chains import sample
from bayesgmm.inference.interruptions import trim
from bayesgmm.inference.reconciliation import reconcile
from bayesgmm.inference.tempering import sample as tempered_sample
from bayesgmm.posterior.info import EngineNotes, TemperingInfo
from bayesgmm.posterior.log_posterior import LogPosterior
from bayesgmm.sweep.stats import Array


def fit(
    density: LogPosterior,
    seed: int,
    cores: int,
    progress: Progress,
    *,
    draws: int,
    tune: int,
    chains: int,
    thin: int,
    tempering: str,
    disagreement: str,
) -> Estimate:
    r"""Sample from the posterior by blocked Gibbs sampling: the Gibbs engine.

    A sweep draws the component of each point, and then the parameters given the components. It costs little more than
    one evaluation of the density, but successive draws are correlated: where components overlap, more than those of
    NUTS. Chains start in different places, wherever short runs from starts of different kinds reach a high density.

    Parameters
    ----------
    draws : int
        Number of draws of each chain that are kept.
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
        Fits of fewer than 200 draws are not reconciled.

    Raises
    ------
    DataError
        If row weights are not whole numbers.
    SamplingError
        If Ctrl-C comes before the first draw after tuning.

    References
    ----------
    .. [1] Diebolt & Robert (1994), J. R. Stat. Soc. B 56(2), 363-375.
    .. [2] Ishwaran & James (2001), J. Am. Stat. Assoc. 96(453), 161-173: truncated stick-breaking.
    """
    progress.stage("sampling")
    schedule = {"draws": draws, "tune": tune, "chains": chains, "thin": thin}
    q, loglik, interrupted, ladder = _drawn(density, seed, cores, progress, tempering, schedule)
    stats = {"lp": loglik}
    warnings: tuple[str, ...] = ()
    if interrupted:
        q, stats = trim(q, stats)
        warnings = (f"Interrupted: kept {q.shape[1]} of {draws} draws of {len(q)} of {chains} chains.",)
    units = density.blocks.total_weight * density.standard.log_scale
    lp = stats["lp"] - units + np.apply_along_axis(density.log_prior, -1, q)
    notes = EngineNotes(interrupted=interrupted, tempering=ladder)
    warnings += tuple(map(str, few_round_trips(ladder))) if ladder else ()
    if disagreement == "reconcile" and not interrupted and (found := reconcile(density, q, lp, seed, cores, progress)):
        return Estimate(found.q, {"lp": found.lp}, warnings, replace(notes, reconciled=found.info))
    return Estimate(q, {"lp": lp}, warnings, notes)


def _drawn(
    density: LogPosterior, seed: int, cores: int, progress: Progress, tempering: str, schedule: dict[str, int]
) -> tuple[Array, Array, bool, TemperingInfo | None]:
    """Return draws, their log likelihoods, whether Ctrl-C came, and what a ladder of temperatures tells."""
    if tempering == "none":
        return *sample(density, seed, cores, progress, **schedule), None
    found = tempered_sample(density, seed, cores, progress, **schedule)
    return found.q, found.loglik, found.info is None, found.info
