"""Expectation maximisation without Python between the sweeps: plain steps, and squared extrapolation; compiled.

A state is one row of numbers: weights (K,), means (K, D), and roots in the shape of a table. ``em_plans`` describes the
plan that each function reads.
"""

import math
from typing import Any

import numpy as np

from bayesgmm.families.maximisation_kernels import (
    Rules,
    is_one_for_all,
    maximise,
    restricted_roots,
    restricted_variances,
)
from bayesgmm.families.restriction_kernels import IDENTITY
from bayesgmm.inference.em_plans import (
    N_COMPONENTS,
    N_FEATURES,
    ORIENTATION,
    PLAN_SIZE,
    STATE_SIZE,
    STEP,
    SUMS_SIZE,
    points_of,
    rules_of,
)
from bayesgmm.late import Late
from bayesgmm.sweep.compilation import callback, jit, kernel
from bayesgmm.sweep.layout import Array, IntArray
from bayesgmm.sweep.layout_kernels import copy_to
from bayesgmm.sweep.orchestration import NativePoints, NativeTable, count_blocks, count_chunks, fold_chunks

pointers = Late("bayesgmm.sweep.pointers")

CONVERGED, SLOW, LAST, IRREGULAR = 0, 1, 2, 3  # why steps ended
N_GAINS = 3  # number of recent gains from which the rate is estimated
MAX_RATE = 0.9999  # rates closer to one can't be distinguished from one
ROUNDING = 1e-15  # relative gain that may be rounding error alone
LENGTH = 100.0  # maximum length of the first extrapolation, in steps
GROWTH = 2.0  # a success multiplies the maximum length of an extrapolation by this, a failure divides it
LOG_2PI = math.log(2 * math.pi)


@jit
def _remaining(values: Array, count: int, step: int) -> tuple[float, float]:
    """Estimate the remaining gain, and the rate, from every ``step``-th of the first ``count`` values, by Aitken."""
    last = count - 1
    if last < step * (N_GAINS + 1):
        return np.inf, MAX_RATE
    rate, before = 0.0, abs(values[last - N_GAINS * step] - values[last - (N_GAINS + 1) * step])
    for t in range(N_GAINS - 1, -1, -1):
        gain = abs(values[last - t * step] - values[last - (t + 1) * step])
        rate = max(rate, gain / max(before, 2.3e-308))
        before = gain
    rate = min(rate, MAX_RATE)
    return before * rate / (1 - rate), rate


@jit
def _evaluate(points: NativePoints, state: Array, k: int, diagonal: bool, sums: Array) -> None:
    """Write the row of sums (1, ...) of the points under the table of a state."""
    d = points.n_features
    root = state[k + k * d :]
    offset = np.empty(k)
    for c in range(k):
        offset[c] = (math.log(state[c]) if state[c] > 0.0 else -np.inf) - 0.5 * d * LOG_2PI
        for i in range(d):
            offset[c] += math.log(root[c * d + i] if diagonal else root[(c * d + i) * d + i])
    table = NativeTable(offset, state[k : k + k * d], root, k)
    fold_chunks(points, table, count_chunks(count_blocks(points)), np.zeros(1, np.int64), sums)


@callback("int64(CPointer(int64), CPointer(float64), CPointer(float64))")
def em_step(plan_: Any, state_: Any, sums_: Any) -> Any:
    """Replace a state by the one after an EM step; write the sums of the points before it.

    Returns 0 if the step is not regular.
    """
    plan = pointers.carray(plan_, PLAN_SIZE)
    k, d, rules = plan[N_COMPONENTS], plan[N_FEATURES], rules_of(plan)
    state, sums = pointers.carray(state_, plan[STATE_SIZE]), pointers.carray(sums_, (1, plan[SUMS_SIZE]))
    _evaluate(points_of(plan), state, k, rules.orientation == IDENTITY, sums)
    middle = k + k * d
    return int(maximise(sums[0], d, rules, state[:k], state[k:middle], state[middle:]))


@jit
def _step(plan: IntArray, state: Array, following: Array, sums: Array) -> tuple[float, bool]:
    """Write the state after an EM step; return the log likelihood of the one before, and False if it is not regular."""
    copy_to(state, following)
    regular = pointers.call_on_arrays(plan[STEP], plan, following, sums) != 0
    return sums[0], regular and math.isfinite(sums[0])


@kernel
def take_steps(plan: IntArray, state: Array, wanted: float, patience: float, values: Array) -> tuple[int, int]:
    """Run plain EM until the remaining gain is below ``wanted``, or expected to need more than ``patience`` steps.

    It overwrites the state, and writes the log likelihood after each step to ``values``, at most as many as these hold.
    Returns why it ended, and the number of values. A step that is not regular is not taken.
    """
    following, sums = np.empty(state.size), np.empty(plan[SUMS_SIZE])
    for t in range(values.size):
        loglik, regular = _step(plan, state, following, sums)
        if not regular:
            return IRREGULAR, t
        values[t] = loglik
        left, rate = _remaining(values, t + 1, 1)
        if left < wanted or (t and abs(loglik - values[t - 1]) < ROUNDING * abs(loglik)):
            return CONVERGED, t + 1
        if left < np.inf and math.log(wanted / left) / math.log(rate) > patience:
            return SLOW, t + 1
        copy_to(following, state)
    return LAST, values.size


@kernel
def extrapolate(plan: IntArray, state: Array, gap: float, values: Array) -> tuple[int, int]:
    """Iterate EM with squared extrapolation until the estimated remaining gain is below ``gap``.

    Each cycle makes two EM steps, and extrapolates them; an extrapolation that lowers the likelihood is rejected. The
    state is overwritten by the last one. Returns the numbers of values and sweeps.

    References
    ----------
    .. [1] Varadhan & Roland (2008), Scand. J. Stat. 35, 335-353, scheme S3.
    """
    k, d, rules, size = plan[N_COMPONENTS], plan[N_FEATURES], rules_of(plan), state.size
    first, second, third, beyond = np.empty(size), np.empty(size), np.empty(size), np.empty(size)
    following, sums = np.empty(size), np.empty(plan[SUMS_SIZE])
    copy_to(state, first)
    value, regular = _step(plan, first, second, sums)
    count, sweeps, left, most = 0, 1, np.inf, LENGTH
    values[count], count = value, 1
    while regular and count + 2 <= values.size and left >= gap:
        best, regular = _step(plan, second, third, sums)
        sweeps += 1
        if not regular:
            break
        values[count] = best
        factor = _extrapolated(first, second, third, k, d, most, beyond)
        value = -np.inf
        if _restricted(beyond, k, d, rules):
            value, regular = _step(plan, beyond, following, sums)
            sweeps += 1
            value = value if regular else -np.inf
        if value >= best:
            copy_to(beyond, first)
            most = max(most, GROWTH * factor)
        else:
            copy_to(third, first)
            most = max(1.0, most / GROWTH)
            value, regular = _step(plan, third, following, sums)
            sweeps += 1
        copy_to(following, second)
        values[count + 1] = value
        count += 2
        left, _ = _remaining(values, count, 2)
    copy_to(first, state)
    return count, sweeps


@jit
def _extrapolated(first: Array, second: Array, third: Array, k: int, d: int, most: float, to: Array) -> float:
    """Extrapolate logarithms of weights and of diagonals of roots, means, and the rest; return the length in steps."""
    along = bend = 0.0
    for t in range(first.size):
        a, b, c = _number(first, t, k, d), _number(second, t, k, d), _number(third, t, k, d)
        metric = _information(second, t, k, d)
        along += metric * (b - a) ** 2
        bend += metric * (c - 2 * b + a) ** 2
    factor = min(max(1.0, math.sqrt(along / bend)), most) if bend > 0 else 1.0
    whole = 0.0
    for t in range(first.size):
        a, b, c = _number(first, t, k, d), _number(second, t, k, d), _number(third, t, k, d)
        to[t] = a + 2 * factor * (b - a) + factor**2 * (c - 2 * b + a)
        if _is_logarithm(t, k, d, first.size):
            to[t] = math.exp(to[t])
        if t < k:
            whole += to[t]
    for t in range(k):
        to[t] /= whole
    return factor


@jit
def _information(state: Array, t: int, k: int, d: int) -> float:
    """Return the information of complete data about a number of a state, per point: roughly, as if columns had none."""
    place, is_diagonal = t - k - k * d, state.size == k + 2 * k * d
    if t < k:
        return state[t]
    if place < 0:
        c, i = (t - k) // d, (t - k) % d
        root = state[k + k * d + (c * d + i if is_diagonal else (c * d + i) * d + i)]
        return state[c] * root * root
    if _is_logarithm(t, k, d, state.size):
        return 2 * state[place // d if is_diagonal else place // (d * d)]
    c, i = place // (d * d), place % d
    root = state[k + k * d + (c * d + i) * d + i]
    return state[c] / (root * root)


@jit
def _is_logarithm(t: int, k: int, d: int, size: int) -> bool:
    """Return True if a number of a state is extrapolated as a logarithm."""
    place = t - k - k * d
    return t < k or (place >= 0 and (size == k + 2 * k * d or place % (d * d) % (d + 1) == 0))


@jit
def _number(state: Array, t: int, k: int, d: int) -> float:
    if not _is_logarithm(t, k, d, state.size):
        return state[t]
    return math.log(state[t])


@jit
def _restricted(state: Array, k: int, d: int, rules: Rules) -> bool:
    """Replace the roots of a state by the closest ones of the family; return False if they are not regular."""
    for t in range(state.size):
        if not math.isfinite(state[t]):
            return False
    weight, root = state[:k], state[k + k * d :]
    is_free = rules.volume == rules.shape or (rules.shape == IDENTITY)
    is_free = is_free and (rules.orientation == IDENTITY or rules.orientation == rules.shape)
    if k == 1 or is_free:  # what is equal for all stays equal
        return True
    if rules.orientation == IDENTITY:
        variances = np.empty((k, d))
        for c in range(k):
            for i in range(d):
                variances[c, i] = root[c * d + i] ** -2.0
        restricted_variances(variances, weight, rules)
        for c in range(k):
            for i in range(d):
                root[c * d + i] = 1 / math.sqrt(variances[c, i])
        return True
    core = np.empty((k, d, d))
    for c in range(k):
        _covariance(root[c * d * d : (c + 1) * d * d], core[c])
    return restricted_roots(core, weight, rules, root)


@jit
def _covariance(root: Array, core: Array) -> None:
    """Write the covariance (D, D) of a lower-triangular root."""
    d = core.shape[0]
    chol = np.zeros((d, d))
    for i in range(d):
        chol[i, i] = 1 / root[i * d + i]
        for j in range(i):
            total = 0.0
            for t in range(j, i):
                total -= root[i * d + t] * chol[t, j]
            chol[i, j] = total * chol[i, i]
    for i in range(d):
        for j in range(i + 1):
            total = 0.0
            for t in range(j + 1):
                total += chol[i, t] * chol[j, t]
            core[i, j] = core[j, i] = total


@kernel
def climb(plan: IntArray, states: Array, values: Array, fewest: Array) -> bool:
    """Make as many EM steps of several states (S, ...) as ``values`` (S, steps) have columns; overwrite the states.

    It writes the log likelihood of each state before each step, plus the log density of its covariances and weights
    under the prior, and the number of points of its smallest component. Returns False if a step is not regular.
    """
    k, d, rules, sums = plan[N_COMPONENTS], plan[N_FEATURES], rules_of(plan), np.empty(plan[SUMS_SIZE])
    width = 1 + 2 * d if plan[ORIENTATION] == IDENTITY else (d + 1) * (d + 2) // 2
    for s in range(states.shape[0]):
        state = states[s]
        for t in range(values.shape[1]):
            log_prior = _log_prior(state, k, d, rules)
            regular = pointers.call_on_arrays(plan[STEP], plan, state, sums) != 0
            values[s, t] = sums[0] + log_prior
            fewest[s, t] = np.inf
            for c in range(k):
                fewest[s, t] = min(fewest[s, t], sums[1 + c * width])
            if not regular:
                return False
    return True


@jit
def _log_prior(state: Array, k: int, d: int, rules: Rules) -> float:
    """Compute the log density of covariances and weights under the prior, up to a constant."""
    root, shared = state[k + k * d :], is_one_for_all(rules)
    total = 0.0
    if rules.weight > 0.0:
        for c in range(k):
            total += rules.weight * math.log(state[c])
    for c in range(1 if shared else k):
        if rules.orientation == IDENTITY:
            for i in range(1 if rules.shape == IDENTITY else d):
                one = root[c * d + i]
                total += rules.added * math.log(one) - 0.5 * one * one * rules.scale[i]
            continue
        for i in range(d):
            row = (c * d + i) * d
            power = rules.added + (rules.pivots[i] if rules.pivots.size > 1 else 0.0)
            total += power * math.log(root[row + i])
            for j in range(i + 1):
                inner = 0.0
                for t in range(i + 1):
                    inner += root[row + t] * rules.scale[t * d + j]
                total -= 0.5 * inner * root[row + j]
    return total
