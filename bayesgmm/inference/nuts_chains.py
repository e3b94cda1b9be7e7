"""Chains of nutpie, in coordinates whitened at the modes; those that an earlier process left are continued."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import NamedTuple, Self

import numpy as np

from bayesgmm.checkpoints.units import Trail, is_kept, trail
from bayesgmm.errors import CheckpointWarning, SamplingError, warn
from bayesgmm.inference.engine import Progress, StartedChain
from bayesgmm.inference.extension import Drawn
from bayesgmm.inference.laplace import Whitening
from bayesgmm.inference.nuts_samplers import Sampler, Trace, made, start
from bayesgmm.inference.seeds import another_seed
from bayesgmm.posterior.log_posterior import LogPosterior
from bayesgmm.progress import ChainState
from bayesgmm.sweep.stats import Array
from bayesgmm.wording import listing

JOINED = "joined"  # statistic: True for the first draw after a join
SAVED_EVERY = 2.0  # seconds between two times that draws are saved; at least so many times what saving takes:
SHARE = 100
LOOKED_EVERY, LOOK_SHARE = 0.1, 10  # the same for looks at the first draws
RETUNE = 100  # maximum number of draws that tune a chain again which is continued with its tuned metric


@dataclass
class Look:
    """A look at the first draws of the chains, which may end them: all chains then have just these draws.

    Parameters
    ----------
    draws : int
        Number of draws of each chain.
    ends : function of Drawn
        Function of these draws of all chains that have begun; True if the chains need not go on.
    """

    draws: int
    ends: Callable[[Drawn], bool]
    ended: bool = False


class Part(NamedTuple):
    """Successive draws of a chain.

    Parameters
    ----------
    q : (n, P) float
        Coordinates.
    stats : dict of (n,) arrays
    metric : (P,) float
        Standard deviations that the chain was tuned to, in the coordinates whitened at its mode.
    """

    q: Array
    stats: dict[str, Array]
    metric: Array

    def since(self, first: int) -> Self:
        """Return the draws from the one with this number on."""
        return self._replace(q=self.q[first:], stats={name: values[first:] for name, values in self.stats.items()})


@dataclass(frozen=True)
class Task:
    """Chains that one sampler makes.

    Parameters
    ----------
    chains : list of int
        Their numbers.
    mode : Whitening
        Their coordinates z.
    seed : int
    settings : dict
        Of nutpie.
    metric : (P,) float
        Scale of z, relative to the coordinates whitened at the mode.
    start : (P,) float, optional
        z of the draw that they continue. Default: new starts.
    """

    chains: list[int]
    mode: Whitening
    seed: int
    settings: dict[str, float]
    metric: Array
    start: Array | None = None

    def started(self, density: LogPosterior, cores: int, show: Callable[[Sequence[ChainState]], None]) -> Sampler:
        """Start its sampler."""
        settings = self.settings | {"chains": len(self.chains), "store_mass_matrix": is_kept()}
        return start(self.mode.density(density), self.mode, self.seed, cores, show, settings, self.start)

    def part(self, density: LogPosterior, z: Array, stats: dict[str, Array], metric: Array) -> Part:
        """Return draws that its sampler has made, in the coordinates of the log posterior."""
        q, lp = density.carried(self.mode(z), stats["lp"], self.mode.density(density))
        return Part(q, stats | {"lp": lp}, self.metric * metric)

    def cut(self, draws: int) -> Self:
        """Return a task of the same chains that end after some draws."""
        return replace(self, settings=self.settings | {"draws": draws})


def draw_from_modes(
    density: LogPosterior,
    modes: list[Whitening],
    seed: int,
    cores: int,
    progress: Progress,
    chains: int,
    settings: dict[str, float],
    look: Look | None = None,
) -> Drawn:
    """Sample chains that are divided among modes, as many at a time as there are cores; no more after Ctrl-C.

    Draws that an earlier process left are kept. A chain that it did not finish is continued from its last draw, with
    its metric, after a short time of tuning. There is no look at chains that a checkpoint keeps.
    """
    look = None if is_kept() else look
    left = trail()
    history = Histories(density, {chain: left.parts(chain) for chain in range(chains)}, int(settings["draws"]), left)
    tasks = _tasks(modes, seed, chains, settings, history)
    warn(history.words, CheckpointWarning)
    shown, interrupted = AllChains(progress, chains, int(settings["tune"] + settings["draws"])), False
    shown.finished([chain for chain in range(chains) if history.missing(chain) == 0])
    for together in _together([len(task.chains) for task in tasks], cores):
        begun = [tasks[i].cut(look.draws) if look and look.ended else tasks[i] for i in together]
        samplers = [task.started(density, cores, shown.part(task.chains)) for task in begun]
        is_cut = look is not None and look.ended
        interrupted = _wait_for_all(samplers, begun, history, look)
        if interrupted:
            break
        if is_cut or not (look and look.ended):  # a sampler does not report its last draws
            shown.finished([chain for task in begun for chain in task.chains])
    drawn = history.drawn(chains, density.size, interrupted)
    return drawn.first(look.draws) if look and look.ended and not interrupted else drawn


def _tasks(
    modes: list[Whitening], seed: int, chains: int, settings: dict[str, float], history: "Histories"
) -> list[Task]:
    """Return the tasks: the chains of each mode together, or one by one what is left of them."""
    tasks = []
    for number, mode in enumerate(modes):
        own = [chain for chain in range(chains) if _mode_of(chain, chains, len(modes)) == number]
        plain = Task(own, mode, seed + number, settings, np.ones(mode.mode.size))
        if not any(history.parts[chain] for chain in own):
            tasks.append(plain)
            continue
        tasks += [_rest(plain, chain, history) for chain in own if history.missing(chain)]
    return tasks


def _mode_of(chain: int, chains: int, modes: int) -> int:
    """Return the number of a chain's mode: the first modes get a chain more, and the chains of a mode are neighbours.

    Examples
    --------
    >>> [_mode_of(chain, 5, 2) for chain in range(5)]
    [0, 0, 0, 1, 1]
    """
    counts = [len(range(number, chains, modes)) for number in range(modes)]
    return int(np.searchsorted(np.cumsum(counts), chain, side="right"))


def _rest(task: Task, chain: int, history: "Histories") -> Task:
    """Return the task of what is left of one chain of a task; its random numbers are new ones."""
    parts, settings = history.parts[chain], task.settings | {"draws": history.missing(chain)}
    seed = another_seed(task.seed, chain, len(parts))
    if not parts:
        return replace(task, chains=[chain], seed=seed, settings=settings)
    last, tune = parts[-1], min(RETUNE, int(settings["tune"]))
    mode = replace(task.mode, spread=task.mode.spread * last.metric)
    q, _ = mode.density(history.density).carried(last.q[-1], np.zeros(()), history.density)
    start = np.linalg.solve(mode.spread, q - mode.mode)
    return Task([chain], mode, seed, settings | {"tune": tune}, last.metric, start)


@dataclass
class Histories:
    """The draws of all chains, those of earlier processes first.

    Parameters
    ----------
    density : LogPosterior
    parts : dict
        Parts of each chain.
    wanted : int
        Number of draws of each chain.
    left : Trail
        Where they are kept.
    """

    density: LogPosterior
    parts: dict[int, list[Part]]
    wanted: int
    left: Trail
    seconds: float = field(default_factory=perf_counter)

    def __post_init__(self) -> None:
        self.earlier = dict(self.parts)  # the parts of earlier processes

    def missing(self, chain: int) -> int:
        """Return the number of draws that a chain still has to make."""
        return self.wanted - self._count(chain)

    def _count(self, chain: int) -> int:
        return sum(len(part.q) for part in self.parts[chain])

    @property
    def words(self) -> list[str]:
        """What is known of the chains, in a sentence; nothing if they are new."""
        if not any(self.parts.values()):
            return []
        done = [chain for chain in self.parts if not self.missing(chain)]
        joined = [chain for chain in self.parts if self.parts[chain] and chain not in done]
        lost = [chain for chain in self.parts if not self.parts[chain]]
        words = [f"kept {listing(done)}"] if done else []
        words += [f"continued {chain} after draw {self._count(chain)} of {self.wanted}" for chain in joined]
        words += [f"began {listing(lost)} from the start"] if lost else []
        return [f"Chains of NUTS: {'; '.join(words)}."]

    def add(self, task: Task, trace: Trace) -> None:
        """Add the draws of a task's sampler that are new, and keep them."""
        began, self.seconds = self.seconds, perf_counter()
        for chain, (z, stats, metric) in zip(task.chains, made(trace), strict=True):
            earlier = self.earlier[chain]
            new = self._count(chain) - sum(len(part.q) for part in earlier)
            if len(z) == new:
                continue
            if is_kept():
                stats[JOINED] = np.arange(len(z)) == (-1 if task.start is None else 0)
            # all draws of the task again: the rounding of a product of matrices may depend on the number of rows
            whole = task.part(self.density, z, stats, metric)
            self.parts[chain] = [*earlier, whole]
            self.left.add(chain, whole.since(new), (self.seconds - began) / len(task.chains))

    def looked_at(self, look: Look, tasks: list[Task]) -> bool:
        """Return True if the chains of these tasks have the draws of a look, and write whether it ends them."""
        if min(self._count(chain) for task in tasks for chain in task.chains) < look.draws:
            return False
        begun = [chain for chain, parts in self.parts.items() if parts]
        size = self.parts[begun[0]][0].q.shape[1]
        look.ended = look.ends(self.drawn(max(begun) + 1, size, interrupted=False).first(look.draws))
        return True

    def drawn(self, chains: int, size: int, interrupted: bool) -> Drawn:
        """Return the draws of all chains that have some, padded with NaN to the longest."""
        own = [self.parts[chain] for chain in range(chains) if self.parts[chain]]
        if not own:
            return Drawn(np.full((chains, 1, size), np.nan), {"lp": np.zeros((chains, 1))}, interrupted)
        longest = max(sum(len(part.q) for part in parts) for parts in own)
        q = np.stack([_padded(np.concatenate([part.q for part in parts]), longest, np.nan) for parts in own])
        stats = {
            name: np.stack([_padded(np.concatenate([part.stats[name] for part in parts]), longest, 0) for parts in own])
            for name in own[0][0].stats
        }
        return Drawn(q, stats, interrupted)


def _padded(values: Array, length: int, missing: float) -> Array:
    """Return values (draws, ...) with as many draws as are asked for: Ctrl-C may come at different ones."""
    more = [(0, length - len(values))] + [(0, 0)] * (values.ndim - 1)
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
        self.progress = progress
        self.states: list[ChainState] = [StartedChain(total) for _ in range(chains)]

    def finished(self, chains: list[int]) -> None:
        """Show chains as finished."""
        for chain in chains:
            state = self.states[chain]
            self.states[chain] = StartedChain(state.total_draws, state.total_draws, False, state.divergences)
        if chains:
            self.progress.chains(self.states)

    def part(self, chains: list[int]) -> Callable[[Sequence[ChainState]], None]:
        """Return the callback for some chains."""

        def show(states: Sequence[ChainState]) -> None:
            for chain, state in zip(chains, states, strict=False):
                self.states[chain] = state
            self.progress.chains(self.states)

        return show


def _wait_for_all(samplers: list[Sampler], tasks: list[Task], history: Histories, look: Look | None) -> bool:
    """Wait for samplers that run side by side, and add their draws; Ctrl-C stops all and keeps the draws so far."""
    running = dict(zip(range(len(tasks)), samplers, strict=True))
    looks = look is not None and not look.ended
    every, share = (LOOKED_EVERY, LOOK_SHARE) if looks else (SAVED_EVERY, SHARE)
    try:
        pause = every if is_kept() or looks else None
        while running:
            for i, trace in _finished([*running.items()], pause):
                del running[i]
                history.add(tasks[i], trace)
            began = perf_counter()
            for i, sampler in running.items():
                history.add(tasks[i], sampler.inspect())
            if looks and look and history.looked_at(look, tasks):
                looks = False
                if look.ended:
                    for sampler in running.values():
                        sampler.cancel()
                    return False
            pause = max(every, share * (perf_counter() - began)) if is_kept() or looks else None
        return False
    except KeyboardInterrupt:
        for i, sampler in running.items():
            history.add(tasks[i], sampler.abort())
        return True
    except BaseException as error:
        for sampler in running.values():
            sampler.cancel()
        if not isinstance(error, RuntimeError | ValueError):
            raise
        raise SamplingError(
            f"the sampler stopped: {error}\n  Check the data for columns of very different scale, or use a "
            "stronger prior."
        ) from error


def _finished(running: list[tuple[int, Sampler]], pause: float | None) -> Iterator[tuple[int, Trace]]:
    """Wait for samplers, for some time in all or until they have finished; yield the draws of those that have."""
    for i, sampler in running:
        with suppress(TimeoutError):
            yield i, sampler.wait(timeout=None if pause is None else pause / len(running))
