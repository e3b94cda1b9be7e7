r"""Parallel tempering of a mixture, compiled: a ladder of Gibbs samplers that exchange their states.

Rung r samples from the posterior with the likelihood of each component raised to a power, the inverse temperature,

.. math:: \pi_\beta(w, \theta) \propto p(w) \, p(\theta) \prod_n \sum_k w_k \, N(x_n \mid \theta_k)^\beta,

from the prior (0) to the posterior (1). Assignments keep their prior, so that every rung has the conditional
distributions of the posterior: with scores log w + beta log N, and with beta times the counts and moments for means and
precisions. Where cells are latent, z, N^beta is the integral of N(z)^beta times the density of what was measured of z,
and for missing cells of exp(-(1 - beta) z^2 / 2), in standardised coordinates. An iteration proposes to exchange the
states of neighbours, the assignments summed out, alternately at even and odd rungs [1]_, and then makes a Gibbs sweep
at every rung.

References
----------
.. [1] Syed, Bouchard-Côté, Deligiannidis & Doucet (2022), J. R. Stat. Soc. B 84(2), 321-350.
"""

import math
from collections import namedtuple

import numpy as np
from numpy.typing import NDArray

from bayesgmm.inference.draw_kernels import STICKS, STREAM_SIZE, log_beta, uniforms
from bayesgmm.inference.gibbs_kernels import draw_components
from bayesgmm.inference.gibbs_state_kernels import (
    LOG_2PI,
    Law,
    Schedule,
    Scratch,
    draw_number,
    part_starts,
    read,
    scratch_memory,
)
from bayesgmm.inference.weight_draw_kernels import draw_weights
from bayesgmm.late import Late
from bayesgmm.sweep.assignment_kernels import Sweep, fold_draws
from bayesgmm.sweep.compilation import jit, kernel, plain_jit
from bayesgmm.sweep.kernels import logsumexp
from bayesgmm.sweep.latent_records import COUNT, COVARIANCES, FLOATS, HEAD, KIND, has_latent, rows_with, triangle
from bayesgmm.sweep.layout import BLOCK, LANES, Array, IntArray
from bayesgmm.sweep.orchestration import (
    LOG_REST,
    MEAN,
    OFFSET,
    NativePoints,
    NativeTable,
    Workspace,
    count_blocks,
    score_block,
    workspace,
)

simd = Late("bayesgmm.sweep.simd")

MAX_RUNGS = 1000  # random numbers of a rung are those of the chain ``chain * MAX_RUNGS + rung``
COLDER, OWN, HOTTER = 0, 1, 2  # the inverse temperatures at which the log likelihood of a state is known
_UNKNOWN, _FROM_PRIOR, _FROM_POSTERIOR = 0, 1, 2  # the end of the ladder that a state has visited last

Ladder = namedtuple("Ladder", "beta q replica came")
"""State of a ladder of M rungs, the prior first.

beta : (M,) float
    Inverse temperatures: increasing, from 0 to 1.
q : (M, P) float
    Coordinates of the state at each rung.
replica, came : (M,) int
    Number of the state at each rung; and for each number the end of the ladder that it has visited last.
"""

Record = namedtuple("Record", "drawn loglik energy swapped trips")
"""What is recorded.

drawn, loglik : (draws, P) and (draws,) float
    Draws of the posterior, and their log likelihoods.
energy : (draws, M, 3) float
    Tempered log likelihood of the state at each rung: at the next colder rung, its own, and the next hotter one.
swapped : (M - 1, 2) float
    For each pair of rungs, the sum of the acceptance probabilities of exchanges, and their number.
trips : (1,) int
    Number of round trips of states from the prior to the posterior and back.
"""


@plain_jit
def _temper(law: Law, memory: Scratch, beta: float, offset: Array, root: Array) -> None:
    """Write offsets and roots of a table whose scores are log w + beta log N."""
    scale, constant = math.sqrt(beta), 0.5 * law.n_features * LOG_2PI
    for k in range(offset.size):
        offset[k] = memory.log_weight[k] + beta * (memory.log_det[k] - constant)
    for t in range(root.size):
        root[t] = scale * memory.root[t]


@jit
def _read_tempered(
    law: Law, q: Array, starts: tuple[int, int, int], memory: Scratch, beta: float, table: NativeTable
) -> None:
    """Write the mixture at coordinates q to the scratch memory, and its tempered offsets and roots to the table."""
    read(law, q, starts, memory)
    _temper(law, memory, beta, table.offset, table.root)


@plain_jit
def _temper_background(background: Array, beta: float, out: Array) -> None:
    """Write the background with its density raised to a power; its share stays as it is."""
    if background.size > 0:
        log_share = math.log(-math.expm1(background[LOG_REST]))
        out[LOG_REST] = background[LOG_REST]
        out[OFFSET] = log_share + beta * (background[OFFSET] - log_share)
        half = (background.size - MEAN) // 2
        for t in range(MEAN, MEAN + half):
            out[t], out[t + half] = background[t], math.sqrt(beta) * background[t + half]


@plain_jit
def _temper_cells(points: NativePoints, own: Array, beta: float, out: Array) -> None:
    """Write the precisions of the errors of missing cells for one rung: they count as measured at zero.

    Without it, the likelihood of all cells, raised to a power, would have an integral over the missing ones that is
    large or infinite for small powers. The constants of the rows stay as they are: they cancel out of all exchanges.
    """
    latent = points.latent
    for block in range(count_blocks(points)):
        if not has_latent(latent, block):
            continue
        at = latent[HEAD + block]
        first, is_dense = latent[at + FLOATS], latent[at + KIND] == COVARIANCES
        for a in range(latent[at + COUNT]):
            start, stop = rows_with(latent, at, a)
            to = first + BLOCK + (triangle(a) + a if is_dense else a) * BLOCK
            for r in range(start, stop):
                p = latent[r]
                if own[to + p] == 0.0:
                    out[to + p] = 1.0 - beta


@plain_jit
def _log_likelihood(points: NativePoints, table: NativeTable, work: Workspace) -> float:
    """Sum of the log densities of all points."""
    total = simd.spread(0.0)
    for block in range(count_blocks(points)):
        score_block(points, block, table, 0, work)
        for p in range(0, BLOCK, LANES):
            logsum, _ = logsumexp(work.score, work.score.size // BLOCK, p)
            total = simd.fma(simd.load(points.weight, block * BLOCK + p), logsum, total)
    return simd.total(total)


@plain_jit
def _exchange_states(ladder: Ladder, r: int) -> None:
    """Exchange the states of rungs r and r + 1."""
    for t in range(ladder.q.shape[1]):
        ladder.q[r, t], ladder.q[r + 1, t] = ladder.q[r + 1, t], ladder.q[r, t]
    ladder.replica[r], ladder.replica[r + 1] = ladder.replica[r + 1], ladder.replica[r]


@plain_jit
def _propose_exchanges(stream: IntArray, ladder: Ladder, first: int, energy: Array, record: Record) -> None:
    """Propose exchanges of rungs first and first + 1, first + 2 and first + 3, and so on."""
    for r in range(first, ladder.beta.size - 1, 2):
        gain = energy[r, COLDER] + energy[r + 1, HOTTER] - energy[r, OWN] - energy[r + 1, OWN]
        record.swapped[r, 0] += math.exp(min(0.0, gain))
        record.swapped[r, 1] += 1.0
        u, _ = uniforms(stream)
        if math.log(u) < gain:
            _exchange_states(ladder, r)


@plain_jit
def _count_trips(ladder: Ladder, record: Record) -> None:
    """Follow the states between the ends of the ladder."""
    hot, cold = ladder.replica[0], ladder.replica[ladder.replica.size - 1]
    if ladder.came[hot] == _FROM_POSTERIOR:
        record.trips[0] += 1
    ladder.came[hot] = _FROM_PRIOR
    if ladder.came[cold] == _FROM_PRIOR:
        ladder.came[cold] = _FROM_POSTERIOR


@plain_jit
def _draw_parameters(
    stream: IntArray, law: Law, q: Array, starts: tuple[int, int, int], memory: Scratch, beta: float
) -> None:
    """Draw everything but the assignments; the likelihood of means and precisions is raised to the power beta."""
    k = law.n_components
    for c in range(k):
        memory.counts[c] = memory.sums[c * (memory.sums.size // k)]
    draw_weights(stream, law, q, memory)
    for c in range(k):
        memory.counts[c] *= beta
    for t in range(memory.sums.size):
        memory.sums[t] *= beta
    draw_components(stream, law, q, starts, memory)


@plain_jit
def _write_weights(q: Array, log_weight: Array) -> None:
    for c in range(log_weight.size - 1):
        q[c] = log_weight[c] - log_weight[log_weight.size - 1]


@plain_jit
def _propose_weights(stream: IntArray, law: Law, q: Array, log_weight: Array) -> None:
    """Draw the share of one component in the sum of two, or one stick, from its prior given all others."""
    k, params = law.n_components, law.weights_params
    learned = law.weights_extra > 0
    u, v = uniforms(stream)
    i = min(int(u * (k - 1)), k - 2)
    if law.weights_kind == STICKS:
        discount = params[0]
        concentration = math.exp(q[k - 1]) if learned else params[1]
        stick, rest = log_beta(stream, 1.0 - discount, concentration + (i + 1) * discount)
        after = 0.0
        for c in range(i + 1, k):
            after += math.exp(log_weight[c] - log_weight[i])
        left = log_weight[i] + math.log1p(after)
        shift = left + rest - (log_weight[i] + math.log(after))
        log_weight[i] = left + stick
        for c in range(i + 1, k):
            log_weight[c] += shift
    else:
        j = i + 1 + min(int(v * (k - 1 - i)), k - 2 - i)
        top = max(log_weight[i], log_weight[j])
        total = top + math.log(math.exp(log_weight[i] - top) + math.exp(log_weight[j] - top))
        a, b = (math.exp(q[k - 1]), math.exp(q[k - 1])) if learned else (params[i], params[j])
        one, other = log_beta(stream, a, b)
        log_weight[i], log_weight[j] = total + one, total + other


@plain_jit
def _move_weights(
    stream: IntArray,
    points: NativePoints,
    law: Law,
    q: Array,
    beta: float,
    memory: Scratch,
    table: NativeTable,
    work: Workspace,
    value: float,
) -> bool:
    """Propose new weights, with the assignments summed out; return True if they are accepted, and written to q.

    Given the assignments, weights move by little where there are many points, also where the likelihood hardly counts.
    """
    for c in range(law.n_components):
        memory.vector[c] = memory.log_weight[c]
    _propose_weights(stream, law, q, memory.log_weight)
    _temper(law, memory, beta, table.offset, table.root)
    proposed = _log_likelihood(points, table, work)
    u, _ = uniforms(stream)
    accepted = math.log(u) < proposed - value
    if accepted:
        _write_weights(q, memory.log_weight)
    for c in range(law.n_components):
        memory.log_weight[c] = memory.vector[c]
    return accepted


@plain_jit
def _write_energies(
    points: NativePoints,
    law: Law,
    ladder: Ladder,
    r: int,
    offered: NDArray[np.bool_],
    memory: Scratch,
    table: NativeTable,
    own: Array,
    cells: Array,
    tempered: NativePoints,
    work: Workspace,
    energy: Array,
) -> None:
    """Write the tempered log likelihoods of the state at rung r, which ``memory`` holds, for rungs beside it."""
    for at in (COLDER, HOTTER):
        to = r + 1 - at
        if to > 0 and to < ladder.beta.size and offered[at]:
            _temper(law, memory, ladder.beta[to], table.offset, table.root)
            _temper_background(points.background, ladder.beta[to], tempered.background)
            _temper_cells(points, own, ladder.beta[to], cells)
            energy[r, at] = _log_likelihood(tempered, table, work)


@plain_jit
def _record(schedule: Schedule, number: int, ladder: Ladder, energy: Array, record: Record) -> None:
    """Record the states before iteration ``number``, if they are kept."""
    draw, coldest = draw_number(schedule, number, record.loglik.size), ladder.beta.size - 1
    if draw >= 0:
        record.loglik[draw] = energy[coldest, OWN]
        for t in range(ladder.q.shape[1]):
            record.drawn[draw, t] = ladder.q[coldest, t]
        for r in range(coldest + 1):
            for at in range(3):
                record.energy[draw, r, at] = energy[r, at]


@kernel
def tempered_sweeps(
    points: NativePoints,
    law: Law,
    schedule: Schedule,
    chain: IntArray,
    ladder: Ladder,
    first: int,
    last: int,
    record: Record,
) -> None:
    """Make the iterations first to last of one ladder, whose states become those after the last.

    Parameters
    ----------
    points : NativePoints
        With room for the precisions of errors of all latent cells, as ``tempering.temperable`` gives them.
    law : Law
    schedule : Schedule
    chain : (3,) int
        Number of the chain, and two keys.
    ladder : Ladder
    first, last : int
        Iterations count from 0; the coldest state before iteration ``tune + thin * i`` is draw i.
    record : Record
    """
    k, rungs, starts = law.n_components, ladder.beta.size, part_starts(law, ladder.q.shape[1])
    memory = scratch_memory(law, starts[2] - starts[1])
    background, latent = np.zeros(points.background.size), points.latent.copy()
    own, cells = points.latent.view(np.float64), latent.view(np.float64)
    tempered = NativePoints(
        points.x, points.weight, background, latent, points.labels, points.n_points, points.n_features
    )
    table = NativeTable(np.zeros(k), memory.mean, np.zeros(memory.root.size), k)
    work, lanes = workspace(points, table), np.empty(memory.sums.size * LANES)
    draws = np.empty(work.score.size)
    stream = np.zeros(STREAM_SIZE, dtype=np.int64)
    energy, offered = np.zeros((rungs, 3)), np.zeros(3, dtype=np.bool_)
    for number in range(first - 1, last):
        stream[1], stream[3], stream[4] = number, chain[1], chain[2]
        if number >= first:
            stream[0], stream[2] = 0, chain[0] * MAX_RUNGS + rungs
            _record(schedule, number, ladder, energy, record)
            _propose_exchanges(stream, ladder, number % 2, energy, record)
            _count_trips(ladder, record)
        kept = draw_number(schedule, number + 1, record.loglik.size) >= 0
        for r in range(rungs):
            q, beta = ladder.q[r], ladder.beta[r]
            stream[0], stream[2] = 0, chain[0] * MAX_RUNGS + r
            _read_tempered(law, q, starts, memory, beta, table)
            _temper_background(points.background, beta, background)
            _temper_cells(points, own, beta, cells)
            if number >= first:
                for t in range(memory.sums.size):
                    memory.sums[t] = 0.0
                if r > 0:  # draws of the prior need no assignments
                    sweep = Sweep(number, stream[2], chain[1], chain[2])
                    fold_draws(tempered, table, sweep, schedule.single, work, draws, lanes, memory.sums)
                _draw_parameters(stream, law, q, starts, memory, beta)
                _read_tempered(law, q, starts, memory, beta, table)
            energy[r, OWN] = _log_likelihood(tempered, table, work) if r > 0 else 0.0
            moves = number >= first and k > 1 and r > 0
            if moves and _move_weights(stream, tempered, law, q, beta, memory, table, work, energy[r, OWN]):
                _read_tempered(law, q, starts, memory, beta, table)  # as the first iteration of a call does
                energy[r, OWN] = _log_likelihood(tempered, table, work)
            is_lower = r % 2 == (number + 1) % 2  # of the pair of the next exchange
            offered[COLDER], offered[HOTTER] = is_lower or kept, not is_lower or kept
            _write_energies(points, law, ladder, r, offered, memory, table, own, cells, tempered, work, energy)
