r"""Draws of the weights given the counts: exchanges of labels [1]_, the concentration, and the weights.

References
----------
.. [1] Papaspiliopoulos & Roberts (2008), Biometrika 95(1), 169-186.
"""

import math

from bayesgmm.inference.draw_kernels import (
    DIRICHLET,
    STICKS,
    log_beta,
    log_concentration_density,
    log_dirichlet,
    slice_draw,
    uniforms,
)
from bayesgmm.inference.gibbs_state_kernels import Law, Scratch, set_law
from bayesgmm.sweep.compilation import plain_jit
from bayesgmm.sweep.layout import Array, IntArray

_EXCHANGES = 4  # proposed exchanges of labels in one sweep


@plain_jit
def _log_exchange(law: Law, memory: Scratch, concentration: float, i: int, j: int) -> float:
    """Log probability of the counts after labels i and j are exchanged, less that before."""
    counts = memory.counts
    if law.weights_kind == DIRICHLET:
        a, b = law.weights_params[i], law.weights_params[j]
        after = math.lgamma(a + counts[j]) + math.lgamma(b + counts[i])
        return after - math.lgamma(a + counts[i]) - math.lgamma(b + counts[j])
    discount = law.weights_params[0]
    before = log_concentration_density(STICKS, concentration, discount, counts)
    counts[i], counts[j] = counts[j], counts[i]
    after = log_concentration_density(STICKS, concentration, discount, counts)
    counts[i], counts[j] = counts[j], counts[i]
    return after - before


@plain_jit
def exchange(values: Array, size: int, i: int, j: int) -> None:
    """Exchange rows i and j of an array (K * size,)."""
    for t in range(size):
        a, b = i * size + t, j * size + t
        values[a], values[b] = values[b], values[a]


@plain_jit
def exchange_labels(stream: IntArray, law: Law, memory: Scratch, concentration: float) -> None:
    """Propose to exchange two labels, a few times; half of them are neighbours."""
    k, d = law.n_components, law.n_features
    for number in range(_EXCHANGES):
        u, v = uniforms(stream)
        i = min(int(u * (k - 1)), k - 2)
        j = i + 1 if number % 2 == 0 else i + 1 + min(int(v * (k - 1 - i)), k - 2 - i)
        w, _ = uniforms(stream)
        if math.log(w) < _log_exchange(law, memory, concentration, i, j):
            exchange(memory.counts, 1, i, j)
            exchange(memory.mean, d, i, j)
            exchange(memory.sums, memory.sums.size // k, i, j)
            if law.n_cores > 1:
                exchange(memory.core, memory.core.size // k, i, j)


@plain_jit
def concentration_of(law: Law, q: Array) -> float:
    """Return the concentration at coordinates q: that of the first component, if they have different ones."""
    if law.weights_extra > 0:
        return math.exp(q[law.n_components - 1])
    return law.weights_params[1 if law.weights_kind == STICKS else 0]


@plain_jit
def draw_weights(stream: IntArray, law: Law, q: Array, memory: Scratch) -> None:
    """Draw the concentration, the weights integrated out, and then the weights."""
    k, counts, log_weight, params = law.n_components, memory.counts, memory.log_weight, law.weights_params
    learned = law.weights_extra > 0
    sticks = law.weights_kind == STICKS
    place = 1 if sticks else 0
    discount = params[0] if sticks else 0.0
    if not law.exchangeable and k > 1:
        exchange_labels(stream, law, memory, concentration_of(law, q))
    if learned:
        set_law(memory.law, law.weights_kind, place, 0.0, discount, 0.0, 0.0)
        q[k - 1] = slice_draw(stream, memory.law, counts, params, q[k - 1])
    if sticks:
        concentration = concentration_of(law, q)
        after = left = 0.0
        for c in range(k):
            after += counts[c]
        for c in range(k - 1):
            after -= counts[c]
            stick, rest = log_beta(stream, 1.0 - discount + counts[c], concentration + (c + 1) * discount + after)
            log_weight[c] = left + stick
            left += rest
        log_weight[k - 1] = left
    else:
        for c in range(k):
            memory.vector[c] = counts[c] + (math.exp(q[k - 1]) if learned else params[c])
        log_dirichlet(stream, memory.vector, log_weight)
    for c in range(k - 1):
        q[c] = log_weight[c] - log_weight[k - 1]
