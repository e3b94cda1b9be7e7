"""Samplers of nutpie: chains of native code in whitened coordinates, and the draws that they have made."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from bayesgmm.inference.laplace import Whitening
from bayesgmm.late import postponed
from bayesgmm.posterior.log_posterior import LogPosterior
from bayesgmm.posterior.native import Plan, white_draw, white_log_posterior
from bayesgmm.progress import ChainState
from bayesgmm.sweep.stats import Array

if TYPE_CHECKING:
    from arro3.core import RecordBatch
    from nutpie.compile_pymc import CompiledPyMCModel

OVERDISPERSION = 1.5  # standard deviation of starting points, relative to the normal approximation of the posterior
FARTHEST = 2.5  # maximum distance of a start below the mode, in nats per coordinate; a normal posterior has 1.1
KEPT = ("diverging", "energy", "n_steps", "step_size")  # statistics that nutpie and ArviZ name alike
RENAMED = {"lp": "logp", "tree_depth": "depth", "reached_max_treedepth": "maxdepth_reached"}


class Trace(Protocol):
    """Draws of nutpie, as it holds them."""

    def get_arrow_trace(self) -> tuple[Sequence["RecordBatch"], Sequence["RecordBatch"]]:
        """Return the draws, and their statistics, one batch for each chain."""


class Sampler(Protocol):
    """Sampler of nutpie that runs in the background."""

    def wait(self, *, timeout: float | None = None) -> Trace:
        """Wait for the draws."""

    def inspect(self) -> Trace:
        """Return the draws so far."""

    def abort(self) -> Trace:
        """Stop, and return the draws so far."""

    def cancel(self) -> None:
        """Stop without draws."""


class Made(NamedTuple):
    """Draws that a chain has made after tuning.

    Parameters
    ----------
    z : (n, P) float
        Whitened coordinates.
    stats : dict of (n,) arrays
    metric : (P,) float
        Standard deviations of z that the chain was tuned to; ones if they were not stored.
    """

    z: Array
    stats: dict[str, Array]
    metric: Array


def start(
    density: LogPosterior,
    mode: Whitening,
    seed: int,
    cores: int,
    show: Callable[[Sequence[ChainState]], None],
    settings: dict[str, float],
    first: Array | None = None,
) -> Sampler:
    """Start chains in coordinates whitened at a mode, which begin at ``first`` (P,), or at random places."""
    with postponed("arviz"):  # it imports matplotlib, and nutpie needs it only for its own form of draws
        import nutpie

    return nutpie.sample(
        _compiled(density, mode, first),
        **settings,
        cores=min(cores, int(settings["chains"])),
        seed=seed,
        progress_bar=False,
        progress_callback=show,
        blocking=False,
        return_raw_trace=True,
    )


def made(trace: Trace) -> list[Made]:
    """Return what each chain has made."""
    return [_made(draws, stats) for draws, stats in zip(*trace.get_arrow_trace(), strict=True)]


def _compiled(density: LogPosterior, whitening: Whitening, first: Array | None) -> "CompiledPyMCModel":
    """Return the density in whitened coordinates as a nutpie model of native code: chains do not wait for Python."""
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
        if first is not None:
            return first.copy()
        z = np.random.default_rng(seed).normal(scale=OVERDISPERSION, size=size)
        while not top - density(whitening(z))[0] < FARTHEST * size:  # a sampler does not return from a flat region
            z /= 2
        return z

    return CompiledPyMCModel(
        dims={},
        compiled_logp_func=white_log_posterior,
        compiled_expand_func=white_draw,
        initial_point_func=initial_point,
        shared_data={
            "density": density,
            "arrays": arrays,
        },
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


def _made(draws: "RecordBatch", stats: "RecordBatch") -> Made:
    """Return the draws of a chain after tuning."""
    tuned = int(_column(stats, "tuning").sum())
    z = _column(draws, "z")
    kept = {name: _column(stats, name) for name in KEPT} | {new: _column(stats, old) for new, old in RENAMED.items()}
    variances = _column(stats, "mass_matrix_inv")
    metric = np.sqrt(variances[-1]) if len(variances) else np.ones(z.shape[1])
    return Made(z[tuned:], {name: values[tuned:] for name, values in kept.items()}, metric)


def _column(batch: "RecordBatch", name: str) -> Array:
    """Return a column (n,), or (n, P) if its items are lists.

    Missing ones are left out: a metric that stays the same is stored once.
    """
    import pyarrow as pa

    column = pa.array(batch.column(name)).drop_null()
    if not pa.types.is_large_list(column.type):
        return column.to_numpy(zero_copy_only=False)
    return column.flatten().to_numpy(zero_copy_only=False).reshape(len(column), -1) if len(column) else np.empty((0, 0))
