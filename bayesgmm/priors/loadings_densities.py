"""Native log density of the multiplicative gamma process prior of loadings, and of the noise."""

import math
from collections import namedtuple

import numpy as np

from bayesgmm.families.factor_chart_kernels import layout_of
from bayesgmm.priors.native_calls import arguments, prior_density
from bayesgmm.priors.scalars import ENTRIES, log_density
from bayesgmm.sweep.compilation import jit
from bayesgmm.sweep.stats import Array

_LOG_2 = math.log(2)

Places = namedtuple("Places", "shapes scales units noise")
"""Where the parameters of the prior begin, after the degrees of freedom and the number of columns of one noise."""


@jit
def places_of(n_factors: int, n_features: int, width: int) -> Places:
    """Return where the parameters begin."""
    shapes = 2
    scales = shapes + n_factors
    units = scales + n_features
    return Places(shapes, scales, units, units + width)


@jit
def log_gamma_shapes(params: Array, at: int, log_delta: Array, grad: Array) -> float:
    """Compute the log density of logarithms of Gamma(a, 1) numbers, and add its gradient."""
    value = 0.0
    for h in range(log_delta.size):
        a, delta = params[at + h], math.exp(log_delta[h])
        value += a * log_delta[h] - delta - math.lgamma(a)
        grad[h] += a - delta
    return value


@prior_density
def multiplicative_gamma_density(call: object) -> float:
    """Compute the log density of loadings, of logarithms of the noise's precision roots, and of log deltas.

    params: degrees of freedom, number of columns of one noise, shapes of the deltas, scales of the loadings, units of
    the noise, prior of the noise.
    """
    p = arguments(call)
    d, v, grad = p.n_features, p.coordinates, p.grad_coordinates
    layout = layout_of(p.chart, p.n_components, d, v.size)
    q, df = layout.n_factors, p.params[0]
    at = places_of(q, d, layout.width)
    value = log_gamma_shapes(p.params, at.shapes, p.extra, p.grad_extra)
    log_scale, slope = np.empty(q), np.zeros(q)
    total = 0.0
    for h in range(q):
        total += p.extra[h]
        log_scale[h] = -0.5 * total
    constant = math.lgamma(0.5 * (df + 1)) - math.lgamma(0.5 * df) - 0.5 * math.log(df * math.pi)
    for t in range(layout.first):
        h, j = t % q, t // q % d
        scale = p.params[at.scales + j] * math.exp(log_scale[h])
        z = v[t] / scale
        value += constant - math.log(scale) - 0.5 * (df + 1) * math.log1p(z * z / df)
        pull = (df + 1) * z / (df + z * z)
        grad[t] -= pull / scale
        slope[h] += z * pull - 1.0
    for h in range(q):  # the scale of factor h depends on the deltas up to h
        for l in range(h + 1):
            p.grad_extra[l] -= 0.5 * slope[h]
    for t in range(layout.first, v.size):
        j = (t - layout.first) % layout.width
        log_variance = math.log(p.params[at.units + j]) - 2.0 * v[t]
        log_prior, along = log_density(p.params, at.noise + j * ENTRIES, log_variance)
        value += log_prior + _LOG_2
        grad[t] -= 2.0 * along
    return value
