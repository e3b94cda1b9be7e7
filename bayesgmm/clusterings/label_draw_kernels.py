"""Labels drawn from responsibilities, compiled.

The random number of a draw and a point is a hash of the seed and of both their numbers (SplitMix64: Steele, Lea &
Flood 2014), so that labels do not depend on who draws them, or in what order.
"""

import numpy as np

from bayesgmm.late import Late
from bayesgmm.sweep.compilation import jit, kernel
from bayesgmm.sweep.kernels import BLOCK, _logsumexp, _score_block
from bayesgmm.sweep.layout import LANES

simd = Late("bayesgmm.sweep.simd")
_L = LANES
_STEP = np.uint64(0x9E3779B97F4A7C15)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


@jit
def uniform(key, counter):
    """The number in [0, 1) that a key (uint64) and a counter stand for."""
    z = key + np.uint64(counter + 1) * _STEP
    z = (z ^ (z >> np.uint64(30))) * _FIRST
    z = (z ^ (z >> np.uint64(27))) * _SECOND
    z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(11)) * (1.0 / 9007199254740992.0)


@jit
def _draw_block(x, at, offset, mean, root, n_components, n_features, first, key, counter, d, a, label):
    """Draw a component for each point of a block, under components ``first`` to ``first + n_components``."""
    _score_block(x, at, offset, mean, root, n_components, n_features, first, d, a)
    for p in range(0, BLOCK, _L):
        _, scale = _logsumexp(a, n_components, p)
        for k in range(n_components):
            simd.store(a, k * BLOCK + p, simd.load(a, k * BLOCK + p) * scale)
    for p in range(BLOCK):
        target, sum_ = uniform(key, counter + p), 0.0
        for k in range(n_components):
            share = a[k * BLOCK + p]
            if share > 0:
                label[p] = k  # the last that is possible, should rounding leave the sum below the target
            sum_ += share
            if sum_ > target:
                break


@kernel
def draw_labels(x, offset, mean, root, n_components, n_features, n_points, key, start, stop, out):
    """A component for every point under draws start to stop: out[draw, point]."""
    d, a = np.empty(n_features * BLOCK), np.empty(n_components * BLOCK)
    label = np.zeros(BLOCK, np.int64)
    for s in range(start, stop):
        for b in range(x.size // (n_features * BLOCK)):
            at, counter = b * n_features * BLOCK, s * n_points + b * BLOCK
            first = s * n_components
            _draw_block(x, at, offset, mean, root, n_components, n_features, first, key, counter, d, a, label)
            for p in range(min(BLOCK, n_points - b * BLOCK)):
                out[s, b * BLOCK + p] = label[p]


@kernel
def count_labels(x, offset, mean, root, n_components, n_features, n_points, key, start, stop, out):
    """How many points each component of draws start to stop holds, by the same labels: out[draw, component]."""
    d, a = np.empty(n_features * BLOCK), np.empty(n_components * BLOCK)
    label = np.zeros(BLOCK, np.int64)
    for s in range(start, stop):
        for b in range(x.size // (n_features * BLOCK)):
            at, counter = b * n_features * BLOCK, s * n_points + b * BLOCK
            first = s * n_components
            _draw_block(x, at, offset, mean, root, n_components, n_features, first, key, counter, d, a, label)
            for p in range(min(BLOCK, n_points - b * BLOCK)):
                out[s, label[p]] += 1
