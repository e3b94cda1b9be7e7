"""The Gibbs engine: blocked Gibbs sampling, for conjugate declarations."""

from dataclasses import replace

import numpy as np

from bayesgmm.inference.engine import Estimate, Progress
from bayesgmm.inference.gibbs_chains import sample
from bayesgmm.inference.interruptions import trim
from bayesgmm.inference.reconciliation import reconcile
from bayesgmm.posterior.info import EngineNotes
from bayesgmm.posterior.log_posterior import LogPosterior


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
    q, loglik, interrupted = sample(density, seed, cores, progress, draws=draws, tune=tune, chains=chains, thin=thin)
    stats = {"lp": loglik}
    warnings: tuple[str, ...] = ()
    if interrupted:
        q, stats = trim(q, stats)
        warnings = (f"Interrupted: kept {q.shape[1]} of {draws} draws of {len(q)} of {chains} chains.",)
    units = density.blocks.total_weight * density.standard.log_scale
    lp = stats["lp"] - units + np.apply_along_axis(density.log_prior, -1, q)
    notes = EngineNotes(interrupted=interrupted)
    if disagreement == "reconcile" and not interrupted and (found := reconcile(density, q, lp, seed, cores, progress)):
        return Estimate(found.q, {"lp": found.lp}, (), replace(notes, reconciled=found.info))
    return Estimate(q, {"lp": lp}, warnings, notes)
