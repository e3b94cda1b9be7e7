"""The NUTS engine: nutpie in coordinates that are whitened at the modes; chains that disagree are reconciled."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

import numpy as np

from bayesgmm.diagnosis.mixing import RARE
from bayesgmm.errors import SamplingError
from bayesgmm.inference import cross_checks, tail_checks
from bayesgmm.inference.cross_checks import CrossCheck
from bayesgmm.inference.engine import Estimate, Progress, StartedChain
from bayesgmm.inference.extension import Budget, Check, Drawn, settled
from bayesgmm.inference.laplace import Whitening, whiten_at_modes
from bayesgmm.inference.reconciliation import SHORTEST
from bayesgmm.inference.tail_checks import TailCheck
from bayesgmm.posterior.log_posterior import LogPosterior
from bayesgmm.posterior.native import Plan, white_draw, white_log_posterior
from bayesgmm.posterior.notes import EngineNotes
from bayesgmm.progress import ChainState
from bayesgmm.sweep.stats import Array

if TYPE_CHECKING:
    import xarray as xr
    from nutpie.compile_pymc import CompiledPyMCModel

OVERDISPERSION = 1.5  # standard deviation of starting points, relative to the normal approximation of the posterior
FARTHEST = 2.5  # maximum distance of a start below the mode, in nats per coordinate; a normal posterior has 1.1
NEAR = 10.0  # modes with less mass than the heaviest by more nats than this get no chain
MANY_STEPS = 200  # mean number of steps of a draw above which a run is neither extended nor tuned again by itself
LONGER, SHORTER = 3, 4  # tuning again: factor of ``tune``, and of the acceptance rate's distance from 1
STRAINS = ("diverging", "reached_max_treedepth")
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
    max_draws: int | None,
    tune: int,
    chains: int,
    target_accept: float,
    sweeps: int,
    disagreement: str,
) -> Estimate:
    """Sample from the posterior by NUTS: the NUTS engine.

    The coordinates are whitened at each of the modes with the most posterior mass, and the chains are divided among
    them. If the chains do not agree in the end, ``reconcile`` draws from all regions that they have visited. Without
    it, all chains start at the mode with the most mass.

    Parameters
    ----------
    draws, tune : int
        Number of draws of each chain that are kept, and that adapt the sampler before them. More are kept if their
        effective sample size is small.
    max_draws : int, optional
        Maximum number of draws of each chain. Default: eight times ``draws``; ``draws`` if one takes more than 200
        steps. Further draws are from chains that are tuned again.
    chains : int
        Number of chains.
    target_accept : float
        Acceptance rate that the step size is tuned to. Values closer to 1 are slower and give fewer divergent
        transitions.
    sweeps : int
        Budget of the search for the modes: maximum number of sweeps for a start.
    disagreement : {'reconcile', 'report'}
        What to do if the chains disagree: draw from all regions that they have visited, by ``reconcile``, or keep them.
        Fits of fewer than 200 draws are not reconciled.

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
    budget = Budget(draws, chains, max_draws, disagreement == "reconcile")
    reconciles = budget.reconciles and draws >= SHORTEST
    modes = whiten_at_modes(density, seed, cores, progress, sweeps, NEAR if reconciles else 0.0)[:chains]
    progress.stage("sampling")

    settings = {"tune": tune, "target_accept": target_accept}
    notes = EngineNotes(repaired_directions=modes[0].repaired, interrupted=False)

    check: Check | None = None
    if cross_checks.can_check(density, budget):
        check = CrossCheck(density, budget, seed, cores, progress)
    elif tail_checks.can_check(density, budget):
        check = TailCheck(density, seed, cores, progress)

    def run(first_seed: int, settings: dict[str, float], notes: EngineNotes, budget: Budget) -> Estimate:
        def draw(count: int, seed: int) -> Drawn:
            return _from_modes(density, modes, seed, cores, progress, chains, settings | {"draws": count})

        def more(_: Drawn, count: int, number: int) -> Drawn:
            return draw(count, _another(first_seed, number))

        drawn = draw(draws, first_seed)
        if max_draws is None and _takes_many_steps(drawn.stats):
            budget = replace(budget, max_draws=draws)
        return settled(density, drawn, more, notes, budget, seed, cores, progress, check)

    estimate = run(seed, settings, notes, budget)
    is_kept = not budget.extends or draws < SHORTEST or estimate.notes.interrupted
    if is_kept or max(_problem_shares(estimate)) <= RARE or _takes_many_steps(estimate.stats):
        return estimate
    progress.stage("tuning for shorter steps")
    careful = {"tune": LONGER * tune, "target_accept": 1 - (1 - target_accept) / SHORTER}
    notes = replace(notes, target_accept=careful["target_accept"])
    try:
        again = run(_another(seed, 0), careful, notes, replace(budget, reconciles=False))
    except SamplingError:  # Ctrl-C before the first draw
        return estimate
    return again if _problem_shares(again) < _problem_shares(estimate) and not again.notes.interrupted else estimate


def _another(seed: int, number: int) -> int:
    """Return a seed of another part of the run."""
    return int(np.random.SeedSequence((seed, number)).generate_state(1)[0])


def _takes_many_steps(stats: dict[str, Array]) -> bool:
    """Return True if draws take so many steps that a longer run, or one with shorter steps, would take very long."""
    return "n_steps" in stats and float(stats["n_steps"].mean()) > MANY_STEPS


def _problem_shares(estimate: Estimate) -> tuple[float, ...]:
    """Return the share of divergent transitions, and of those at the maximum tree depth."""
    return tuple(float(estimate.stats[name].mean()) for name in STRAINS if name in estimate.stats) or (0.0,)


def _from_modes(
    density: LogPosterior,
    modes: list[Whitening],
    seed: int,
    cores: int,
    progress: Progress,
    chains: int,
    settings: dict[str, float],
) -> Drawn:
    """Sample chains that are divided among modes, as many at a time as there are cores; no more after Ctrl-C."""
    shown, parts = AllChains(progress, chains, int(settings["tune"] + settings["draws"])), []
    counts = [len(range(number, chains, len(modes))) for number in range(len(modes))]
    interrupted = False
    for together in _together(counts, cores):
        samplers = [
            _start(density, modes[i], seed + i, cores, shown.part(counts[i]), settings | {"chains": counts[i]})
            for i in together
        ]
        trees, interrupted = _wait_for_all(samplers)
        parts += [(modes[i](z), stats) for i, (z, stats) in zip(together, map(_drawn, trees), strict=True)]
        if interrupted:
            break
    longest = max(q.shape[1] for q, _ in parts)
    q = np.concatenate([_padded(part, longest, np.nan) for part, _ in parts])
    stats = {name: np.concatenate([_padded(part[name], longest, 0) for _, part in parts]) for name in parts[0][1]}
    return Drawn(q, stats, interrupted)


def _padded(values: Array, length: int, missing: float) -> Array:
    """Return values (chains, draws, ...) with as many draws as are asked for: Ctrl-C may come at different ones."""
    more = [(0, 0), (0, length - values.shape[1])] + [(0, 0)] * (values.ndim - 2)
    return np.pad(values, more, constant_values=missing)


def _together(counts: list[int], cores: int) -> list[list[int]]:
    """Divide the modes, which have these numbers of chains, into groups that occupy the cores.

    Examples
    --------
    >>> _together([2, 1, 1], 2), _together([1, 1, 1], 4)
    ([[0], [1, 2]], [[0, 1, 2]])
    """
    groups: list[list[int]] = []
    busy = cores
    for number, count in enumerate(counts):
        if busy + count > cores:
            groups.append([])
            busy = 0
        groups[-1].append(number)
        busy += count
    return groups


class AllChains:
    """Progress of chains that are sampled in several parts."""

    def __init__(self, progress: Progress, chains: int, total: int) -> None:
        self.progress, self.done = progress, 0
        self.states: list[ChainState] = [StartedChain(total) for _ in range(chains)]

    def part(self, count: int) -> Callable[[Sequence[ChainState]], None]:
        """Return the callback for the next chains, a given number of them."""
        first, self.done = self.done, self.done + count

        def show(states: Sequence[ChainState]) -> None:
            self.states[first : first + count] = states
            self.progress.chains(self.states)

        return show


def _start(
    density: LogPosterior,
    mode: Whitening,
    seed: int,
    cores: int,
    show: Callable[[Sequence[ChainState]], None],
    settings: dict[str, float],
) -> Sampler:
    """Start chains in coordinates whitened at a mode."""
    import nutpie

    return nutpie.sample(
        _compiled(density, mode),
        **settings,
        cores=min(cores, int(settings["chains"])),
        seed=seed,
        save_warmup=False,
        progress_bar=False,
        progress_callback=show,
        blocking=False,
    )


def _compiled(density: LogPosterior, whitening: Whitening) -> "CompiledPyMCModel":
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


def _wait_for_all(samplers: list[Sampler]) -> tuple[list[Tree], bool]:
    """Wait for samplers that run side by side; Ctrl-C stops all and keeps the draws so far."""
    trees: list[Tree] = []
    try:
        for sampler in samplers:
            trees.append(sampler.wait())  # noqa: PERF401 -- what has finished is kept after Ctrl-C
        return trees, False
    except KeyboardInterrupt:
        return trees + [sampler.abort() for sampler in samplers[len(trees) :]], True
    except BaseException as error:
        for sampler in samplers[len(trees) :]:
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
