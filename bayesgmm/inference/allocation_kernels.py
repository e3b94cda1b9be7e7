"""Probabilities of the components of all points, with the weights integrated out, for split-merge moves; compiled.

Where the number of components is drawn too, labels mean nothing: these are probabilities of partitions, and any empty
component serves. Where it is fixed, two sets of points may be together in one component, or apart in it and in a
component that is empty: which one matters if weights are not exchangeable, and is drawn.
"""

import math

from bayesgmm.inference.draw_kernels import DIRICHLET, FINITE, STICKS, log_concentration_density, log_stick, uniforms
from bayesgmm.inference.gibbs_state_kernels import Law
from bayesgmm.inference.number_kernels import Numbers, log_partition, set_concentration
from bayesgmm.sweep.compilation import plain_jit
from bayesgmm.sweep.layout import Array, IntArray


@plain_jit
def set_prior(law: Law, log_alpha: float, counts: Array, numbers: Numbers) -> None:
    """Prepare ``numbers`` for probabilities given this concentration; there are sum(counts) points."""
    if law.weights_kind == FINITE:
        set_concentration(law.weights_params, log_alpha, counts, numbers)


@plain_jit
def first_empty(counts: Array) -> int:
    """Return a component without points; -1 if there is none."""
    for c in range(counts.size):
        if counts[c] == 0.0:
            return c
    return -1


@plain_jit
def log_together(law: Law, log_alpha: float, counts: Array, occupied: int, numbers: Numbers) -> float:
    """Log probability of these counts; ``occupied`` components hold points."""
    if law.weights_kind == FINITE:
        return log_partition(law.weights_params, log_alpha, counts, occupied, numbers)
    discount = law.weights_params[0] if law.weights_kind == STICKS else 0.0
    return log_concentration_density(law.weights_kind, math.exp(log_alpha), discount, counts)


@plain_jit
def log_apart(law: Law, log_alpha: float, counts: Array, occupied: int, moved: float, numbers: Numbers) -> float:
    """Log probability of these counts and ``moved`` further points in an empty component, whichever.

    For a fixed number of components, ``numbers.chance`` are then the probabilities of the empty ones, up to a factor.
    """
    if law.weights_kind == STICKS:
        return _log_sticks_apart(law, math.exp(log_alpha), counts, moved, numbers.chance)
    free = first_empty(counts)
    counts[free] = moved
    value = log_together(law, log_alpha, counts, occupied + 1, numbers)
    counts[free] = 0.0
    if law.weights_kind == DIRICHLET:
        for c in range(counts.size):
            numbers.chance[c] = 1.0 if counts[c] == 0.0 else 0.0
        value += math.log(float(counts.size - occupied))
    return value


@plain_jit
def _log_sticks_apart(law: Law, alpha: float, counts: Array, moved: float, chance: Array) -> float:
    """Log probability for stick-breaking weights: one sum over the sticks before an empty one, and one after it."""
    last, discount = counts.size - 1, law.weights_params[0]
    after = rest = 0.0
    for c in range(last, -1, -1):
        chance[c] = -math.inf
        if counts[c] == 0.0:
            chance[c] = after + (log_stick(c, alpha, discount, moved, rest) if c < last else 0.0)
        if c < last:
            after += log_stick(c, alpha, discount, counts[c], rest)
        rest += counts[c]
    before, top, total = 0.0, -math.inf, 0.0
    for c in range(last + 1):
        chance[c] += before
        top = max(top, chance[c])
        rest -= counts[c]
        if c < last:
            before += log_stick(c, alpha, discount, counts[c], rest + moved)
    for c in range(last + 1):
        chance[c] = math.exp(chance[c] - top)
        total += chance[c]
    return top + math.log(total)


@plain_jit
def choose_empty(stream: IntArray, law: Law, counts: Array, numbers: Numbers) -> int:
    """Draw the empty component for points that ``log_apart`` was told to be moved."""
    chance, total, chosen = numbers.chance, 0.0, first_empty(counts)
    if law.weights_kind == FINITE:
        return chosen
    for c in range(chance.size):
        total += chance[c]
    u, _ = uniforms(stream)
    left = u * total
    for c in range(chance.size):
        if left > 0.0 and chance[c] > 0.0:
            chosen = c
        left -= chance[c]
    return chosen
