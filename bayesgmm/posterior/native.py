"""The log posterior as native code, so that the threads of a sampler never wait for Python.

It reads a *plan*, an array of integers: sizes, addresses of arrays, and addresses of the priors' densities, which are
C functions of one signature. A new prior needs no new compilation of the other code. All code is cached on disk.
"""

import math
from enum import IntEnum
from typing import Any

import numpy as np

from bayesgmm.families.chart_kernels import LOGARITHMS, pull_back_plain, unpack_plain
from bayesgmm.families.decomposition_kernels import Parts, place_inner, pull_back_inner
from bayesgmm.families.factor_chart_kernels import FACTORS, pull_back_factors, unpack_factors
from bayesgmm.late import Late
from bayesgmm.priors.native_calls import CALL_SIZE, Call, arguments, floats, prior_density
from bayesgmm.sweep.compilation import callback, jit, kernel
from bayesgmm.sweep.coordinate_kernels import log_softmax, place_means, pull_back_means, pull_back_softmax
from bayesgmm.sweep.kernels import moments_width
from bayesgmm.sweep.layout import BLOCK, Array, IntArray
from bayesgmm.sweep.orchestration import NativePoints, NativeTable, fold_points

pointers = Late("bayesgmm.sweep.pointers")

_LOG_2PI = math.log(2 * math.pi)


class Plan(IntEnum):
    """The log posterior as integers: sizes, addresses of arrays, and addresses of prior densities, in this order."""

    N_COMPONENTS = 0
    N_FEATURES = 1
    CHART = 2
    N_CORES = 3
    ORDERED = 4
    N_POINTS = 5
    N_BLOCKS = 6
    BACKGROUND_SIZE = 7
    LATENT_SIZE = 8
    LABELS_SIZE = 9
    CORE_SIZE = 10
    COORDINATES_SIZE = 11
    INNER_SIZE = 12
    VOLUMES = 13
    SHAPES = 14
    ORIENTATIONS = 15
    ORDERED_SHAPES = 16
    METRIC_SIZE = 17
    REFERENCE_SIZE = 18
    SIZE = 19
    WEIGHTS_EXTRA = 20
    MEANS_EXTRA = 21
    COVARIANCES_EXTRA = 22
    WEIGHTS_PARAMS_SIZE = 23
    MEANS_PARAMS_SIZE = 24
    COVARIANCES_PARAMS_SIZE = 25
    X = 26
    WEIGHT = 27
    BACKGROUND = 28
    LATENT = 29
    LABELS = 30
    METRIC = 31
    REFERENCE = 32
    WEIGHTS_PARAMS = 33
    MEANS_PARAMS = 34
    COVARIANCES_PARAMS = 35
    CONSTANT = 36
    WEIGHTS_DENSITY = 37
    MEANS_DENSITY = 38
    COVARIANCES_DENSITY = 39
    MODE = 40
    SPREAD = 41
    SPREAD_TRANSPOSED = 42
    UNPACK = 43
    PULL_BACK = 44


PLAN_SIZE = len(Plan)


@prior_density
def flat_density(call: Any) -> Any:
    """Log density of no prior, for maximum likelihood."""
    return 0.0


@prior_density
def flat_weights_density(call: Any) -> Any:
    """Log density of no prior of the weights: minus the Jacobian of the logits, which is added for every prior."""
    p = arguments(call)
    value = 0.0
    if p.n_components > 1:
        for k in range(p.n_components):
            value -= p.log_weight[k]
            p.grad_log_weight[k] -= 1.0
    return value


@jit
def _points(plan: IntArray) -> NativePoints:
    """Return the points that a plan describes."""
    d, n_blocks = plan[Plan.N_FEATURES], plan[Plan.N_BLOCKS]
    x, weight = floats(plan, Plan.X, n_blocks * d * BLOCK), floats(plan, Plan.WEIGHT, n_blocks * BLOCK)
    background = floats(plan, Plan.BACKGROUND, plan[Plan.BACKGROUND_SIZE])
    latent = pointers.carray(pointers.integers_at(plan[Plan.LATENT]), plan[Plan.LATENT_SIZE])
    labels = floats(plan, Plan.LABELS, plan[Plan.LABELS_SIZE])
    return NativePoints(x, weight, background, latent, labels, plan[Plan.N_POINTS], d)


@jit
def _cuts(plan: IntArray) -> tuple[int, int, int, int]:
    """Return where groups of coordinates begin or end: means begin and end, roots begin and end.

    Their order: logits, hyperparameters of the weights, means, their hyperparameters, roots, their hyperparameters.
    """
    k, d = plan[Plan.N_COMPONENTS], plan[Plan.N_FEATURES]
    a = k - 1 + plan[Plan.WEIGHTS_EXTRA]
    b = a + k * d
    c = b + plan[Plan.MEANS_EXTRA]
    return a, b, c, c + plan[Plan.COORDINATES_SIZE]


@jit
def _parts(plan: IntArray) -> Parts:
    """Return the numbers of volumes, shapes and orientations of the family; zeros if it is not made of these."""
    return Parts(plan[Plan.VOLUMES], plan[Plan.SHAPES], plan[Plan.ORIENTATIONS], plan[Plan.ORDERED_SHAPES])


@jit
def _metric(plan: IntArray) -> Array:
    """Return what the columns of roots are multiplied by, of a family by volume, shape and orientation."""
    return floats(plan, Plan.METRIC, plan[Plan.METRIC_SIZE])


@jit
def _reference(plan: IntArray) -> Array:
    """Return the axes that the coordinates of such a family turn; nothing for the columns."""
    return floats(plan, Plan.REFERENCE, plan[Plan.REFERENCE_SIZE])


@callback("int64(CPointer(int64), CPointer(float64), CPointer(float64))")
def place_parts(plan_: Any, v_: Any, inner_: Any) -> Any:
    """Compute coordinates of unrestricted roots from those of a family by volume, shape and orientation."""
    plan = pointers.carray(plan_, PLAN_SIZE)
    v, inner = pointers.carray(v_, plan[Plan.COORDINATES_SIZE]), pointers.carray(inner_, plan[Plan.INNER_SIZE])
    place_inner(v, plan[Plan.N_FEATURES], _parts(plan), _metric(plan), _reference(plan), inner)
    return 0


@callback("int64(CPointer(int64), CPointer(float64), CPointer(float64), CPointer(float64))")
def pull_back_parts(plan_: Any, v_: Any, grad_inner_: Any, grad_: Any) -> Any:
    """Pull the gradient in the coordinates of ``place_parts`` back, and add it to ``grad_``."""
    plan = pointers.carray(plan_, PLAN_SIZE)
    v, grad = pointers.carray(v_, plan[Plan.COORDINATES_SIZE]), pointers.carray(grad_, plan[Plan.COORDINATES_SIZE])
    grad_inner = pointers.carray(grad_inner_, plan[Plan.INNER_SIZE])
    pull_back_inner(v, plan[Plan.N_FEATURES], _parts(plan), _metric(plan), _reference(plan), grad_inner, grad)
    return 0


@callback("int64(CPointer(int64), CPointer(float64), CPointer(float64), CPointer(float64), CPointer(float64))")
def unpack_loadings(plan_: Any, v_: Any, core_: Any, root_: Any, log_det_: Any) -> Any:
    """Compute the roots of factor analysers from their coordinates."""
    plan = pointers.carray(plan_, PLAN_SIZE)
    k, d = plan[Plan.N_COMPONENTS], plan[Plan.N_FEATURES]
    v, core = pointers.carray(v_, plan[Plan.COORDINATES_SIZE]), pointers.carray(core_, plan[Plan.CORE_SIZE])
    root, log_det = pointers.carray(root_, k * d * d), pointers.carray(log_det_, k)
    unpack_factors(v, d, plan[Plan.CHART], core, root, log_det)
    return 0


@callback(
    "int64(CPointer(int64), CPointer(float64), CPointer(float64), CPointer(float64), CPointer(float64), "
    "CPointer(float64), CPointer(float64))"
)
def pull_back_loadings(plan_: Any, sums_: Any, root_: Any, v_: Any, n_: Any, grad_mean_: Any, grad_: Any) -> Any:
    """Add the gradients of factor analysers, as ``pull_back_factors``."""
    plan = pointers.carray(plan_, PLAN_SIZE)
    k, d, size = plan[Plan.N_COMPONENTS], plan[Plan.N_FEATURES], plan[Plan.COORDINATES_SIZE]
    sums, root = pointers.carray(sums_, k * moments_width(d, False)), pointers.carray(root_, k * d * d)
    v, grad = pointers.carray(v_, size), pointers.carray(grad_, size)
    n, grad_mean = pointers.carray(n_, k), pointers.carray(grad_mean_, k * d)
    pull_back_factors(sums, root, v, d, plan[Plan.CHART], n, grad_mean, grad)
    return 0


def chart_code(chart: int, volumes: int) -> dict[str, int]:
    """Return the addresses in a plan of code that few charts need: it is compiled for these alone."""
    if volumes:
        return {"unpack": place_parts.address, "pull_back": pull_back_parts.address}
    if chart >= FACTORS:
        return {"unpack": unpack_loadings.address, "pull_back": pull_back_loadings.address}
    return {}


@jit
def _add_priors(
    value: float,
    plan: IntArray,
    q: Array,
    grad: Array,
    starts: tuple[int, int, int],
    mixture: tuple[Array, Array, Array],
    grads: tuple[Array, Array, Array],
) -> float:
    """Add the log prior density of a mixture (log weights, means, roots) to a value, and its gradient to others."""
    log_weight, mean, core = mixture
    grad_log_weight, grad_mean, grad_core = grads
    _, _, c, e = _cuts(plan)
    coordinates, grad_coordinates = q[c:e], grad[c:e]
    call = np.empty(CALL_SIZE, dtype=np.int64)
    call[Call.N_COMPONENTS], call[Call.N_FEATURES] = plan[Plan.N_COMPONENTS], plan[Plan.N_FEATURES]
    call[Call.CHART], call[Call.N_CORES] = plan[Plan.CHART], plan[Plan.N_CORES]
    call[Call.CORE_SIZE], call[Call.INNER_SIZE] = core.size, grad_core.size
    call[Call.COORDINATES_SIZE] = coordinates.size
    call[Call.VOLUMES], call[Call.SHAPES] = plan[Plan.VOLUMES], plan[Plan.SHAPES]
    call[Call.ORIENTATIONS], call[Call.ORDERED_SHAPES] = plan[Plan.ORIENTATIONS], plan[Plan.ORDERED_SHAPES]
    call[Call.COORDINATES], call[Call.GRAD_COORDINATES] = coordinates.ctypes.data, grad_coordinates.ctypes.data
    call[Call.LOG_WEIGHT], call[Call.GRAD_LOG_WEIGHT] = log_weight.ctypes.data, grad_log_weight.ctypes.data
    call[Call.MEAN], call[Call.GRAD_MEAN] = mean.ctypes.data, grad_mean.ctypes.data
    call[Call.CORE], call[Call.GRAD_CORE] = core.ctypes.data, grad_core.ctypes.data
    alive = (log_weight, grad_log_weight, mean, grad_mean, core, q, grad)
    for prior, start in enumerate(starts):
        extra = plan[Plan.WEIGHTS_EXTRA + prior]
        call[Call.EXTRA_SIZE] = extra
        call[Call.EXTRA], call[Call.GRAD_EXTRA] = q[start:].ctypes.data, grad[start:].ctypes.data
        call[Call.PARAMS_SIZE] = plan[Plan.WEIGHTS_PARAMS_SIZE + prior]
        call[Call.PARAMS] = plan[Plan.WEIGHTS_PARAMS + prior]
        value += pointers.call_density(plan[Plan.WEIGHTS_DENSITY + prior], call, alive)
    return value


@jit
def _mixture(plan: IntArray, q: Array, offset: Array, mean: Array, root: Array) -> tuple[Array, Array, Array]:
    """Write the table of the mixture at q; return the mixture: log weights, means, and roots in core shape."""
    k, d = plan[Plan.N_COMPONENTS], plan[Plan.N_FEATURES]
    log_weight, log_det, core = np.empty(k), np.empty(k), np.empty(plan[Plan.CORE_SIZE])
    a, b, c, e = _cuts(plan)
    log_softmax(q[: k - 1], log_weight)
    place_means(q[a:b], plan[Plan.ORDERED] != 0, mean)
    inner = q[c:e]
    if plan[Plan.VOLUMES]:
        inner = np.empty(plan[Plan.INNER_SIZE])
        pointers.call_on_arrays(plan[Plan.UNPACK], plan, q[c:e], inner)
    if plan[Plan.CHART] >= FACTORS:
        pointers.call_on_arrays(plan[Plan.UNPACK], plan, inner, core, root, log_det)
    else:
        unpack_plain(inner, d, plan[Plan.CHART], plan[Plan.N_CORES], core, root, log_det)
    for i in range(k):
        offset[i] = log_weight[i] + log_det[i] - 0.5 * d * _LOG_2PI
    return log_weight, mean, core


@jit
def _with_priors(
    value: float,
    plan: IntArray,
    q: Array,
    grad: Array,
    mixture: tuple[Array, Array, Array],
    grads: tuple[Array, Array, Array],
) -> float:
    """Add the log prior density at q to a value, and pull its gradient and those of the mixture back to ``grad``."""
    k = plan[Plan.N_COMPONENTS]
    a, b, c, e = _cuts(plan)
    grad_log_weight, grad_mean, grad_inner = grads
    value = _add_priors(value, plan, q, grad, (k - 1, b, e), mixture, grads)
    if plan[Plan.VOLUMES]:
        pointers.call_on_arrays(plan[Plan.PULL_BACK], plan, q[c:e], grad_inner, grad[c:e])
    value += pull_back_softmax(mixture[0], grad_log_weight, grad[: k - 1])
    return value + pull_back_means(q[a:b], plan[Plan.ORDERED] != 0, grad_mean, grad[a:b])


@jit
def _from_sums(
    plan: IntArray, q: Array, sums: Array, grad: Array, mixture: tuple[Array, Array, Array], root: Array
) -> float:
    """Log posterior density at q, from the row of sums of all points under the mixture there; fill its gradient."""
    k, d, chart = plan[Plan.N_COMPONENTS], plan[Plan.N_FEATURES], plan[Plan.CHART]
    _, _, c, e = _cuts(plan)
    grad_log_weight, grad_mean = np.empty(k), np.zeros(k * d)
    grad[:] = 0.0
    grad_inner = np.zeros(plan[Plan.INNER_SIZE]) if plan[Plan.VOLUMES] else grad[c:e]
    if chart >= FACTORS:
        at = plan[Plan.PULL_BACK]
        pointers.call_on_arrays(at, plan, sums[1:], root, q[c:e], grad_log_weight, grad_mean, grad_inner)
    else:
        pull_back_plain(sums[1:], root, d, chart, plan[Plan.N_CORES], grad_log_weight, grad_mean, grad_inner)
    value = sums[0] + floats(plan, Plan.CONSTANT, 1)[0]
    return _with_priors(value, plan, q, grad, mixture, (grad_log_weight, grad_mean, grad_inner))


@jit
def _empty_table(plan: IntArray) -> tuple[Array, Array, Array]:
    """Allocate a table."""
    k, d = plan[Plan.N_COMPONENTS], plan[Plan.N_FEATURES]
    return np.empty(k), np.empty(k * d), np.empty(k * d if plan[Plan.CHART] == LOGARITHMS else k * d * d)


@kernel
def log_posterior(plan: IntArray, q: Array, grad: Array) -> float:
    """Log posterior density at unconstrained coordinates q; its gradient goes to ``grad``: one fold and the priors."""
    offset, mean, root = _empty_table(plan)
    mixture = _mixture(plan, q, offset, mean, root)
    sums = fold_points(_points(plan), NativeTable(offset, mean, root, plan[Plan.N_COMPONENTS]))
    return _from_sums(plan, q, sums, grad, mixture, root)


@kernel
def log_posterior_of_sums(plan: IntArray, q: Array, sums: Array, grad: Array) -> float:
    """Log posterior density at q, as ``log_posterior``, from a row of sums under the table of ``add_log_prior``."""
    offset, mean, root = _empty_table(plan)
    mixture = _mixture(plan, q, offset, mean, root)
    return _from_sums(plan, q, sums, grad, mixture, root)


@kernel
def add_log_prior(value: float, plan: IntArray, q: Array, offset: Array, mean: Array, root: Array) -> float:
    """Add the log prior density at q to a value, as ``log_posterior`` does; write the table of the mixture there.

    Engines that fold the points themselves need only this, which compiles in a third of the time.
    """
    k, d = plan[Plan.N_COMPONENTS], plan[Plan.N_FEATURES]
    mixture = _mixture(plan, q, offset, mean, root)
    _, _, c, e = _cuts(plan)
    grad = np.zeros(q.size)
    grad_inner = np.zeros(plan[Plan.INNER_SIZE]) if plan[Plan.VOLUMES] else grad[c:e]
    return _with_priors(value, plan, q, grad, mixture, (np.zeros(k), np.zeros(k * d), grad_inner))


@callback("int64(uint64, CPointer(float64), CPointer(float64), CPointer(float64), CPointer(int64))")
def white_log_posterior(size: Any, z_: Any, grad_: Any, value_: Any, plan_: Any) -> Any:
    """Log posterior in white coordinates, ``q = mode + spread z``, for nutpie; the result is 0 if it is finite."""
    plan = pointers.carray(plan_, PLAN_SIZE)
    n = plan[Plan.SIZE]
    z, grad = pointers.carray(z_, n), pointers.carray(grad_, n)
    spread = pointers.carray(pointers.floats_at(plan[Plan.SPREAD]), (n, n))
    transposed = pointers.carray(pointers.floats_at(plan[Plan.SPREAD_TRANSPOSED]), (n, n))
    q, slope = floats(plan, Plan.MODE, n).copy(), np.empty(n)
    for j in range(n):  # by rows of the transpose: this loop is vectorised, a dot product is not
        for i in range(n):
            q[i] += transposed[j, i] * z[j]
    value = log_posterior(plan, q, slope)
    grad[:] = 0.0
    for j in range(n):
        for i in range(n):
            grad[i] += spread[j, i] * slope[j]
    pointers.carray(value_, 1)[0] = value
    total = value
    for i in range(n):
        total += grad[i]
    return 0 if math.isfinite(total) else 4


@callback("int64(uint64, uint64, CPointer(float64), CPointer(float64), CPointer(int64))")
def white_draw(size: Any, expanded: Any, z_: Any, out_: Any, plan_: Any) -> Any:
    """Copy the white coordinates of a draw, for nutpie to store."""
    z, out = pointers.carray(z_, size), pointers.carray(out_, expanded)
    for i in range(expanded):
        out[i] = z[i]
    return 0
