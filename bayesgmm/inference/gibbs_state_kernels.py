"""State of a chain of Gibbs sweeps: the priors as it reads them, its memory, and which states are kept."""

import math
from collections import namedtuple

import numpy as np

from bayesgmm.families.chart_kernels import LOGARITHMS, unpack_roots
from bayesgmm.sweep.compilation import jit, plain_jit
from bayesgmm.sweep.coordinate_kernels import log_softmax
from bayesgmm.sweep.kernels import moments_width
from bayesgmm.sweep.layout import Array, IntArray

NORMAL, CONJUGATE, HIERARCHICAL = range(3)  # priors of the means


LOG_2PI = math.log(2 * math.pi)


Law = namedtuple(
    "Law",
    "n_components n_features chart n_cores weights_kind exchangeable weights_extra means_kind means_extra scale_extra "
    "weights_params means_params covariances_params",
)
"""Priors as the conditional distributions read them: kinds, numbers of coordinates, and the densities' parameters."""


Schedule = namedtuple("Schedule", "tune thin single period")
"""Sweeps before the first draw, sweeps from draw to draw, whether all row weights are zero or one, and sweeps from one
with split-merge moves to the next (0 if none has moves; those of an unknown number of components all have)."""


Scratch = namedtuple("Scratch", "log_weight mean core root log_det offset counts delta first second vector law sums")
"""Memory of one chain: the mixture, the sums of one sweep, and what its conditional distributions need."""


@jit
def scratch_memory(law: Law, coordinates_size: int) -> Scratch:
    """Allocate the memory of one chain; ``coordinates_size`` is the number of coordinates of the roots."""
    k, d = law.n_components, law.n_features
    diagonal = law.chart == LOGARITHMS
    return Scratch(
        np.zeros(k),
        np.zeros(k * d),
        np.zeros(coordinates_size if diagonal else law.n_cores * d * d),
        np.zeros(k * d if diagonal else k * d * d),
        np.zeros(k),
        np.zeros(k),
        np.zeros(k),
        np.zeros(k * d),
        np.zeros(d * d),
        np.zeros(d * d),
        np.zeros(k + d),
        np.zeros(6),
        np.zeros(k * moments_width(d, diagonal)),
    )


@plain_jit
def part_starts(law: Law, size: int) -> tuple[int, int, int]:
    """Return where the parts of ``size`` coordinates start: the means, the roots, and the scales of the covariances."""
    means = law.n_components - 1 + law.weights_extra
    return means, means + law.n_components * law.n_features + law.means_extra, size - law.scale_extra


@plain_jit
def draw_number(schedule: Schedule, number: int, n_draws: int) -> int:
    """Return the number of the draw that the state before sweep ``number`` is; -1 if it is not kept."""
    since = number - schedule.tune
    draw = since // schedule.thin
    return draw if since >= 0 and since % schedule.thin == 0 and draw < n_draws else -1


@plain_jit
def keep_draw(schedule: Schedule, number: int, q: Array, loglik: float, drawn: Array, logliks: Array) -> None:
    """Keep the state before sweep ``number`` if it is a draw."""
    draw = draw_number(schedule, number, logliks.size)
    if draw >= 0:
        logliks[draw] = loglik
        for t in range(q.size):
            drawn[draw, t] = q[t]


@plain_jit
def restart(stream: IntArray, number: int, chain: IntArray) -> None:
    """Set the random numbers to those of a sweep of a chain."""
    stream[0], stream[1], stream[2], stream[3], stream[4] = 0, number, chain[0], chain[1], chain[2]


@jit
def read(law: Law, q: Array, starts: tuple[int, int, int], memory: Scratch) -> None:
    """Write the mixture at coordinates q to the scratch memory."""
    k, d = law.n_components, law.n_features
    log_softmax(q[: k - 1], memory.log_weight)
    for t in range(k * d):
        memory.mean[t] = q[starts[0] + t]
    unpack_roots(q[starts[1] : starts[2]], d, law.chart, law.n_cores, memory.core, memory.root, memory.log_det)
    for i in range(k):
        memory.offset[i] = memory.log_weight[i] + memory.log_det[i] - 0.5 * d * LOG_2PI


@plain_jit
def set_law(law: Array, kind: int, at: int, shift: float, a: float, b: float, c: float) -> None:
    """Describe a positive number to ``slice_draw``."""
    law[0], law[1], law[2], law[3], law[4], law[5] = kind, at, shift, a, b, c
