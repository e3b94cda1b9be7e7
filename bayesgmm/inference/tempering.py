"""Parallel tempering with Gibbs sweeps: several ladders of temperatures in threads, adapted together, then sampled."""

from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from threading import Event
from typing import NamedTuple, Self

import numpy as np

from bayesgmm.checkpoints.units import once
from bayesgmm.inference.conjugate_sweeps import Chains
from bayesgmm.inference.engine import Progress, StartedChain
from bayesgmm.inference.gibbs_chains import in_chunks, watch
from bayesgmm.inference.gibbs_starts import starting_points
from bayesgmm.inference.ladders import adapted, expected_trips, first_ladder, ladder_evidence
from bayesgmm.inference.mean_orders import in_order
from bayesgmm.inference.tempering_kernels import Ladder, Record, tempered_sweeps
from bayesgmm.posterior.log_posterior import LogPosterior
from bayesgmm.posterior.notes import TemperingInfo
from bayesgmm.sweep.blocks import Blocks
from bayesgmm.sweep.orchestration import NativePoints
from bayesgmm.sweep.stats import Array

PHASES = 100  # parts of the sampling, each of which a checkpoint keeps
ROUNDS = (1 / 16, 3 / 16, 7 / 16, 15 / 16)  # shares of the tuning iterations at which the ladder is adapted


@dataclass(frozen=True)
class TemperedDraws:
    """Draws of the posterior by parallel tempering.

    Parameters
    ----------
    q : (chains, draws, P) float
        Coordinates of the draws; NaN for draws that Ctrl-C prevented.
    loglik : (chains, draws) float
        Log likelihood of the standardised points.
    info : TemperingInfo or None
        None if Ctrl-C came.
    """

    q: Array
    loglik: Array
    info: TemperingInfo | None


class _Reached(NamedTuple):
    """State of all ladders, and what the last iterations recorded: a checkpoint keeps it."""

    ladders: list[Ladder]
    records: list[Record]
    interrupted: bool


@dataclass(frozen=True)
class _Ladders:
    """A ladder for each chain, all with the same temperatures.

    Parameters
    ----------
    chain : Chains
    points : NativePoints
    ladders : list of Ladder
    records : list of Record
    """

    chain: Chains
    points: NativePoints
    ladders: list[Ladder]
    records: list[Record]

    @classmethod
    def of(cls, chain: Chains, points: NativePoints, beta: Array, states: list[Array], draws: int) -> Self:
        """Make them from the states (M, P) of each, with room for some draws."""
        ladders = [Ladder(beta, q.copy(), np.arange(len(q)), np.zeros(len(q), dtype=np.int64)) for q in states]
        return cls(chain, points, ladders, [_empty_record(draws, *q.shape) for q in states])

    def adapted(self) -> Self:
        """Place the rungs again, by the exchanges so far."""
        beta, nearest = adapted(self.ladders[0].beta, self.rejection)
        return self.of(self.chain, self.points, beta, [ladder.q[nearest] for ladder in self.ladders], draws=0)

    def recording(self, draws: int) -> Self:
        """Return the same ladders, with nothing recorded so far."""
        states = [ladder.q for ladder in self.ladders]
        return self.of(self.chain, self.points, self.ladders[0].beta, states, draws)

    def iterate(self, number: int, first: int, last: int) -> None:
        """Make the iterations first to last of one ladder."""
        chain, names = self.chain, np.array([number, *self.chain.keys])
        ladder, record = self.ladders[number], self.records[number]
        tempered_sweeps(self.points, chain.law, chain.schedule, names, ladder, first, last, record)

    @property
    def rejection(self) -> Array:
        """(M - 1,) rejection rates of exchanges, over all ladders."""
        swapped = np.sum([record.swapped for record in self.records], axis=0)
        return np.asarray(1 - swapped[:, 0] / np.maximum(swapped[:, 1], 1))

    def info(self, iterations: int, units: float) -> TemperingInfo:
        """Return the statistics of the ladders; ``units`` are added to the log evidence of the standardised points."""
        rejection = np.minimum(self.rejection, 1 - 1e-9)
        evidence = ladder_evidence(np.stack([record.energy for record in self.records]))
        return TemperingInfo(
            inverse_temperatures=tuple(self.ladders[0].beta.tolist()),
            swap_rates=tuple((1 - rejection).tolist()),
            round_trips=sum(int(record.trips[0]) for record in self.records),
            expected_round_trips=expected_trips(rejection, iterations * len(self.records)),
            log_evidence=evidence.log_evidence + units,
            log_evidence_se=evidence.se,
        )


def temperable(blocks: Blocks) -> Blocks:
    """Return blocks whose missing cells are zero, and have room for the precision of an error."""
    latent = blocks.latent
    if latent is None:
        return blocks
    noise = np.zeros(latent.missing.shape) if latent.noise is None else latent.noise
    x = np.where(blocks.laid_out(latent.missing), 0.0, blocks.x)
    return replace(blocks, x=x, latent=replace(latent, noise=noise))


def _taken(record: Record, new: slice) -> Record:
    """Return a record with some of its draws only."""
    return Record(record.drawn[new], record.loglik[new], record.energy[new], record.swapped, record.trips)


def _put(record: Record, new: slice, part: Record) -> None:
    """Put what ``_taken`` returned back in its place."""
    record.drawn[new], record.loglik[new], record.energy[new] = part.drawn, part.loglik, part.energy
    record.swapped[:], record.trips[:] = part.swapped, part.trips


def _empty_record(draws: int, rungs: int, size: int) -> Record:
    return Record(
        np.full((draws, size), np.nan),
        np.full(draws, np.nan),
        np.full((draws, rungs, 3), np.nan),
        np.zeros((rungs - 1, 2)),
        np.zeros(1, dtype=np.int64),
    )


def sample(
    density: LogPosterior, seed: int, cores: int, progress: Progress, *, draws: int, tune: int, chains: int, thin: int
) -> TemperedDraws:
    """Sample by parallel tempering: each chain is the coldest rung of a ladder of its own.

    The ladder is adapted four times while it is tuned, until exchanges of all neighbours are accepted equally often,
    by the exchanges of all chains. So all chains have the same temperatures.

    Parameters
    ----------
    density : LogPosterior
    seed, cores : int
    progress : Progress
    draws, tune, chains, thin : int
        As for the Gibbs engine; an iteration is a round of exchanges and a sweep at every rung.

    Raises
    ------
    NotConjugate
        If a prior has no conditional distribution that can be drawn from.
    DataError
        If row weights are not whole numbers.

    References
    ----------
    .. [1] Geyer (1991), Computing Science and Statistics 23, 156-163.
    .. [2] Syed, Bouchard-Côté, Deligiannidis & Doucet (2022), J. R. Stat. Soc. B 84(2), 321-350.
    """
    chain, total = Chains.of(density, seed, tune, thin), tune + (draws - 1) * thin + 1
    states, stop = [StartedChain(total) for _ in range(chains)], Event()
    with ThreadPoolExecutor(cores, thread_name_prefix="bayesgmm-tempering") as pool:

        def advanced(ladders: _Ladders, first: int, end: int) -> _Ladders:
            """Make all iterations from the first to the one before ``end``, unless Ctrl-C came."""
            new = slice(*(max(0, -(-(iteration - tune) // thin)) for iteration in (first, end)))

            def make(number: int) -> None:
                in_chunks(partial(ladders.iterate, number), states[number], tune, stop, end)

            def compute() -> _Reached:
                watch([pool.submit(make, number) for number in range(chains)], states, progress, stop)
                parts = [_taken(record, new) for record in ladders.records]
                return _Reached(ladders.ladders, parts, stop.is_set())

            reached = once(compute)
            for state in states:
                state.finished_draws = max(state.finished_draws, 0 if reached.interrupted else end)
            for record, part in zip(ladders.records, reached.records, strict=True):
                _put(record, new, part)
            return replace(ladders, ladders=reached.ladders)

        ladders, first = _started(chain, chains, seed, pool), 0
        for end in (int(share * tune) for share in ROUNDS):
            ladders = advanced(ladders, first, end)
            ladders, first = ladders.adapted() if end and not stop.is_set() else ladders, end
        ladders = advanced(ladders, first, tune).recording(draws)
        ends = np.linspace(tune, total, 1 + PHASES).astype(int).tolist()
        for first, end in pairwise(ends):
            ladders = advanced(ladders, first, end)
        stopped = stop.is_set()
    q = np.stack([record.drawn for record in ladders.records])
    loglik = np.stack([record.loglik for record in ladders.records])
    units = -density.log_units
    return TemperedDraws(in_order(density, q), loglik, None if stopped else ladders.info(total - tune, units))


def _started(chain: Chains, chains: int, seed: int, pool: Executor) -> _Ladders:
    """Start every rung of every ladder at one of several starting points, in turn."""
    beta = first_ladder(chain.density.blocks.total_weight)
    begin = once(lambda: starting_points(chain, chains, np.random.default_rng((seed, 1)), pool))
    states = [begin[(number + np.arange(len(beta))) % chains] for number in range(chains)]
    return _Ladders.of(chain, temperable(chain.density.blocks).native, beta, states, draws=0)
