"""The NUTS engine: nutpie in coordinates that are whitened at the mode."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

import numpy as np

from bayesgmm.errors import SamplingError
from bayesgmm.inference.engine import Estimate, Progress
from bayesgmm.inference.interruptions import trim
from bayesgmm.inference.laplace import Whitening, whiten_at_mode
from bayesgmm.posterior.info import EngineNotes
from bayesgmm.posterior.log_posterior import LogPosterior
from bayesgmm.posterior.native import Plan, white_draw, white_log_posterior
from bayesgmm.sweep.stats import Array

if TYPE_CHECKING:
    import xarray as xr
    from nutpie.compile_pymc import CompiledPyMCModel

OVERDISPERSION = 1.5  # standard deviation of starting points, relative to the normal approximation of the posterior
FARTHEST = 2.5  # maximum distance of a start below the mode, in nats per coordinate; a normal posterior has 1.1
KEPT = ("diverging", "energy", "n_steps", "step_size")  # statistics that nutpie and ArviZ name alike
RENAMED = {"lp": "logp", "tree_depth": "depth", "reached_max_treedepth": "maxdepth_reached"}


type Tree = Mapping[str, Mapping[str, xr.DataArray]]


class Sampler(Protocol):
    """Sampler of nutpie that runs in the background."""

    def wait(self) -> Tree:
        """Wait for the draws."""

    def abort(self) -> Tree:
        """Stop, and return the draws so far."""

    def cancel(self) -> None:
        """Stop without draws."""


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
    sweeps: int,
) -> Estimate:
    """Sample from the posterior by NUTS: the NUTS engine.

    The coordinates are whitened at the mode with the most posterior mass, and nutpie draws there.

    Parameters
    ----------
    draws, tune : int
        Number of draws of each chain that are kept, and that adapt the sampler before them.
    chains : int
        Number of chains.
    target_accept : float
        Acceptance rate that the step size is tuned to. Values closer to 1 are slower and give fewer divergent
        transitions.
    sweeps : int
        Budget of the search for the mode: maximum number of sweeps for a start.

    Raises
    ------
    SamplingError
        If no chain can start, if Ctrl-C comes before the first draw after tuning, or if there are too many coordinates.
    EmptyComponent, DegenerateComponent
        If from every start some component can't be estimated.

    References
    ----------
    .. [1] Hoffman & Gelman (2014), J. Mach. Learn. Res. 15, 1593-1623.
    """
    whitening = whiten_at_mode(density, seed, cores, progress, sweeps)
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


def _compiled(density: LogPosterior, whitening: Whitening) -> "CompiledPyMCModel":
    """Return the density in whitened coordinates as a nutpie model of native code: no chain waits for Python."""
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
        while not top - density(whitening(z))[0] < FARTHEST * size:  # a sampler does not return from a flat region
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


def _wait(sampler: Sampler) -> tuple[Tree, bool]:
    """Wait for the sampler; Ctrl-C keeps the draws so far."""
    try:
        return sampler.wait(), False
    except KeyboardInterrupt:
        return sampler.abort(), True
    except BaseException as error:
        sampler.cancel()
        if not isinstance(error, RuntimeError | ValueError):
            raise
        raise SamplingError(
            f"the sampler stopped: {error}\n  Check the data for columns of very different scale, or use a "
            "stronger prior."
        ) from error


def _drawn(tree: Tree) -> tuple[Array, dict[str, Array]]:
    """Return the whitened draws (chains, draws, P) and the kept statistics from nutpie's tree."""
    stats = tree["sample_stats"]
    kept = {name: stats[name].values for name in KEPT} | {new: stats[old].values for new, old in RENAMED.items()}
    return tree["posterior"]["z"].values, kept
