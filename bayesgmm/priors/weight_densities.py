"""Native log densities of the priors of the mixture weights."""

import math

import numpy as np

from bayesgmm.priors.native_calls import arguments, prior_density
from bayesgmm.priors.scalars import log_density
from bayesgmm.sweep.compilation import jit


@jit
def digamma(x: float) -> float:
    """Compute the derivative of the log gamma function at x > 0."""
    shifted = 0.0
    while x < 10.0:
        shifted -= 1.0 / x
        x += 1.0
    y = 1.0 / (x * x)
    series = y * (1 / 12 - y * (1 / 120 - y * (1 / 252 - y * (1 / 240 - y * (1 / 132 - y * (691 / 32760 - y / 12))))))
    return shifted + math.log(x) - 0.5 / x - series


@prior_density
def dirichlet_density(call: object) -> float:
    """Compute the Dirichlet log density; params: one concentration for each component, or the prior of a common one."""
    p = arguments(call)
    value = total = slope = 0.0
    common = p.extra.size > 0
    for k in range(p.n_components):
        alpha = math.exp(p.extra[0]) if common else p.params[k]
        value += (alpha - 1) * p.log_weight[k] - math.lgamma(alpha)
        total += alpha
        slope += p.log_weight[k] - digamma(alpha)
        p.grad_log_weight[k] += alpha - 1
    value += math.lgamma(total)
    if common:
        prior, prior_slope = log_density(p.params, 0, p.extra[0])
        value += prior
        p.grad_extra[0] += (slope + p.n_components * digamma(total)) * math.exp(p.extra[0]) + prior_slope
    return value


@prior_density
def stick_breaking_density(call: object) -> float:
    """Compute the log density of sticks Beta(1 - discount, concentration + k discount).

    params: discount, then concentration or its prior.
    """
    p = arguments(call)
    k_last = p.n_components - 1
    discount = p.params[0]
    alpha = math.exp(p.extra[0]) if p.extra.size else p.params[1]
    tail = np.empty(p.n_components)  # log of the remainder before each stick is broken off
    tail[k_last] = p.log_weight[k_last]
    for k in range(k_last - 1, -1, -1):
        top = max(tail[k + 1], p.log_weight[k])
        tail[k] = top + math.log(math.exp(tail[k + 1] - top) + math.exp(p.log_weight[k] - top))
    value = slope = 0.0
    a = 1 - discount
    for k in range(k_last):
        b = alpha + (k + 1) * discount
        value += math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
        value += (a - 1) * p.log_weight[k] - (a + b - 1) * tail[k] + (b - 1) * tail[k + 1]
        slope += digamma(a + b) - digamma(b) + tail[k + 1] - tail[k]
        p.grad_log_weight[k] += a - 1
        for j in range(k, p.n_components):
            p.grad_log_weight[j] -= (a + b - 1) * math.exp(p.log_weight[j] - tail[k])
            if j > k:
                p.grad_log_weight[j] += (b - 1) * math.exp(p.log_weight[j] - tail[k + 1])
    if p.extra.size:
        prior, prior_slope = log_density(p.params, 1, p.extra[0])
        value += prior
        p.grad_extra[0] += slope * alpha + prior_slope
    return value
