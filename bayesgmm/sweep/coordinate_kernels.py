"""Transforms from the sampler's coordinates to a mixture, and of gradients back to coordinates; compiled."""

import math

import numpy as np

from bayesgmm.sweep.compilation import jit
from bayesgmm.sweep.layout import Array


@jit
def log_softmax(logits: Array, log_weight: Array) -> None:
    """Compute log weights (K,) from K - 1 logits; the last component is the reference."""
    last = log_weight.size - 1
    top = 0.0
    for k in range(last):
        top = max(top, logits[k])
    total = math.exp(-top)
    for k in range(last):
        total += math.exp(logits[k] - top)
    log_total = top + math.log(total)
    for k in range(last):
        log_weight[k] = logits[k] - log_total
    log_weight[last] = -log_total


@jit
def pull_back_softmax(log_weight: Array, grad_log_weight: Array, grad_logits: Array) -> float:
    """Compute the gradient in the logits; return the log Jacobian, the sum of the log weights."""
    value = total = 0.0
    for k in range(log_weight.size):
        value += log_weight[k]
        total += grad_log_weight[k] + 1.0
    for k in range(grad_logits.size):
        grad_logits[k] = grad_log_weight[k] + 1.0 - total * math.exp(log_weight[k])
    return value if grad_logits.size else 0.0


@jit
def place_means(q: Array, ordered: bool, mean: Array) -> None:
    """Compute means from their coordinates: the means, or if ordered, the first mean and the log gaps."""
    for t in range(mean.size):
        mean[t] = mean[t - 1] + math.exp(q[t]) if ordered and t else q[t]


@jit
def pull_back_means(q: Array, ordered: bool, grad_mean: Array, grad_q: Array) -> float:
    """Compute the gradient in the coordinates of the means; return the log Jacobian."""
    value = tail = 0.0
    for t in range(q.size - 1, -1, -1):
        tail = tail + grad_mean[t] if ordered else grad_mean[t]
        if ordered and t:
            grad_q[t] = tail * math.exp(q[t]) + 1.0
            value += q[t]
        else:
            grad_q[t] = tail
    return value


@jit
def pull_back_triangles(
    sums: Array, root: Array, n_features: int, n_cores: int, n: Array, grad_mean: Array, grad_v: Array
) -> None:
    """Compute gradients in the means and in lower-triangular roots, from a row of ``fold`` without its first number.

    Fisher's identity: the gradient of the log likelihood is linear in the statistics. Writes the counts ``n`` (K,),
    adds to the gradients in the means (root' root s1) and in the coordinates of ``n_cores`` roots, shared by all
    components if there is one (n - root s2, row by row, on and below the diagonal).
    """
    n_components = n.size
    width = sums.size // n_components
    y = np.empty(n_features)
    row = np.empty(n_features)
    for k in range(n_components):
        at = k * width
        n[k] = sums[at]
        at += 1
        square = k * n_features * n_features
        t = (k % n_cores) * (n_features * (n_features + 1) // 2)
        for i in range(n_features):  # row i of root s2, from the packed lower triangle of s2
            y[i] = 0.0
            for j in range(i + 1):
                row[j] = 0.0
            for l in range(i + 1):
                p = root[square + i * n_features + l]
                start = at + l + l * (l + 1) // 2
                y[i] += p * sums[start]
                for j in range(i + 1):
                    if j <= l:
                        row[j] += p * sums[start + 1 + j]
                    else:
                        row[j] += p * sums[at + j + j * (j + 1) // 2 + 1 + l]
            for j in range(i):
                grad_v[t] -= row[j]
                t += 1
            grad_v[t] += n[k] - root[square + i * n_features + i] * row[i]
            t += 1
        for i in range(n_features):
            for j in range(i + 1):
                grad_mean[k * n_features + j] += root[square + i * n_features + j] * y[i]
