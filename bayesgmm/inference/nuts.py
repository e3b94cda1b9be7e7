"""NUTS by nutpie, in coordinates that the mode's own curvature makes round."""

from typing import Any

import numpy as np

from bayesgmm.errors import SamplingError
from bayesgmm.inference.engine import Estimate, Progress
from bayesgmm.inference.laplace import Whitening, whiten_at_mode
from bayesgmm.posterior.info import EngineNotes
from bayesgmm.posterior.log_posterior import LogPosterior
from bayesgmm.posterior.native import Plan, white_draw, white_log_posterior
from bayesgmm.sweep.stats import Array

OVERDISPERSION = 1.5  # starting points are this much wider than the posterior's normal approximation
FARTHEST = 2.5  # nats a coordinate below the mode: a normal posterior has 1.1 there, a heavy tail may have thousands
KEPT = ("diverging", "energy", "n_steps", "step_size")  # nutpie's statistics that ArviZ calls the same
RENAMED = {"lp": "logp", "tree_depth": "depth", "reached_max_treedepth": "maxdepth_reached"}


def fit(
    density: LogPosterior,
    seed: int,
    cores: int,
    progress: Progress,
    *,
    draws: int,
    tune: int,
    chains: int,
    target_accept: float,
) -> Estimate:
    """The NUTS engine: find the heaviest mode, whiten there, and draw with nutpie.

    Parameters
    ----------
    draws, tune : int
        Kept draws a chain, and draws before them that adapt the sampler.
    chains : int
    target_accept : float
        Acceptance rate that the step size is tuned to; closer to 1 is slower and diverges less.

    Raises
    ------
    SamplingError
        When no chain could start, or Ctrl-C came before the first draw after tuning.

    References
    ----------
    .. [1] Hoffman & Gelman (2014), J. Mach. Learn. Res. 15, 1593-1623.
    """
    whitening = whiten_at_mode(density, seed, cores, progress)
    progress.stage("sampling")
    import nutpie

    sampler = nutpie.sample(
        _compiled(density, whitening),
        draws=draws,
        tune=tune,
        chains=chains,
        cores=min(cores, chains),
        seed=seed,
        target_accept=target_accept,
        save_warmup=False,
        progress_bar=False,
        progress_callback=progress.chains,
        blocking=False,
    )
    tree, interrupted = _wait(sampler)
    z, stats = _drawn(tree)
    warnings: tuple[str, ...] = ()
    if interrupted:
        z, stats = trim(z, stats)
        warnings = (f"Interrupted: kept {z.shape[1]} of {draws} draws of {len(z)} of {chains} chains.",)
    notes = EngineNotes(repaired_directions=whitening.repaired, interrupted=interrupted)
    return Estimate(whitening(z), stats, warnings, notes)


def _compiled(density: LogPosterior, whitening: Whitening) -> Any:
    """The density in white coordinates as nutpie takes native code, so that no chain ever waits for Python."""
    from nutpie.compile_pymc import CompiledPyMCModel

    size = whitening.mode.size
    arrays = {
        Plan.MODE: whitening.mode,
        Plan.SPREAD: np.ascontiguousarray(whitening.spread),
        Plan.SPREAD_TRANSPOSED: np.ascontiguousarray(whitening.spread.T),
    }
    plan = density.plan.copy()
    for item, array in arrays.items():
        plan[item] = array.ctypes.data

    top = density(whitening.mode)[0]

    def initial_point(seed: int) -> Array:
        z = np.random.default_rng(seed).normal(scale=OVERDISPERSION, size=size)
        while not top - density(whitening(z))[0] < FARTHEST * size:  # where all is flat, no sampler finds back
            z /= 2
        return z

    return CompiledPyMCModel(
        dims={},
        compiled_logp_func=white_log_posterior,
        compiled_expand_func=white_draw,
        initial_point_func=initial_point,
        shared_data={"density": density, "arrays": arrays},  # the plan points into them: kept alive with the model
        shared_var_keys={},
        user_data=plan,
        n_expanded=size,
        shape_info=(["z"], [slice(0, size)], [(size,)]),
        logp_func=None,
        expand_func=None,
        _n_dim=size,
        _shapes={"z": (size,)},
        _coords={},
    )


def _wait(sampler: Any) -> tuple[Any, bool]:
    """Let it run; Ctrl-C keeps what was drawn."""
    try:
        return sampler.wait(), False
    except KeyboardInterrupt:
        return sampler.abort(), True
    except BaseException as error:
        sampler.cancel()
        if not isinstance(error, RuntimeError | ValueError):
            raise
        raise SamplingError(
            f"the sampler stopped: {error}\n  Look at the data for columns of very different shape, or use a "
            "stronger prior."
        ) from error


def _drawn(tree: Any) -> tuple[Array, dict[str, Array]]:
    """White draws (chains, draws, P), and the statistics that we keep, from nutpie's tree."""
    stats = tree["sample_stats"]
    kept = {name: stats[name].values for name in KEPT} | {new: stats[old].values for new, old in RENAMED.items()}
    return tree["posterior"]["z"].values, kept


def trim(z: Array, stats: dict[str, Array]) -> tuple[Array, dict[str, Array]]:
    """Cut unfinished chains (padded with NaN) to the rectangle of chains and draws that keeps most.

    Examples
    --------
    >>> z = np.array([[[1.0], [2.0], [3.0]], [[4.0], [5.0], [np.nan]], [[np.nan]] * 3])
    >>> trim(z, {})[0].shape
    (2, 2, 1)
    """
    lengths = np.isfinite(z).all(-1).sum(axis=1)
    longest = np.argsort(-lengths, kind="stable")
    kept = lengths[longest] * np.arange(1, len(lengths) + 1)
    if len(kept) == 0 or kept.max() == 0:
        raise SamplingError("interrupted before the first draw after tuning; there is nothing to keep")
    count = int(kept.argmax()) + 1
    chains, draws = np.sort(longest[:count]), int(lengths[longest[count - 1]])
    return z[chains, :draws], {name: value[chains, :draws] for name, value in stats.items()}
