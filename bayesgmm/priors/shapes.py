r"""Distribution of shapes: log standard deviations along the axes, about their mean.

Where the axes are given, as those of other shapes or as the columns, they are normal numbers, about their mean. Where a
shape has axes of its own, they are the eigenvalues of a symmetric matrix of normal numbers, about their mean (the
Gaussian orthogonal ensemble), so that with a uniform orientation the logarithm of a covariance is such a matrix [1]_.

.. math:: p(a) \propto \exp(-|a|^2 / 2 s^2) \prod_{i < j} |a_i - a_j|

References
----------
.. [1] Leonard & Hsu (1992), Ann. Stat. 20(4), 1669-1696.
.. [2] Mehta (2004), Random Matrices, equation 17.6.7: the constant.
"""

import math

import numpy as np

from bayesgmm.families.decomposed_charts import contrasts
from bayesgmm.sweep.stats import Array


def log_constant(scale: float, n_features: int, ordered: bool) -> float:
    """Return the logarithm of the constant in the density of contrasts (D - 1,), or of differences if ordered.

    Examples
    --------
    Two axes of their own: the difference has a Rayleigh distribution.

    >>> round(math.exp(log_constant(1.0, 2, True)), 9)  # times g exp(-g^2 / 4)
    0.5
    """
    d = n_features
    constant = -0.5 * (d - 1) * math.log(2 * math.pi) - (d - 1) * math.log(scale)
    if not ordered:
        return constant
    mehta = sum(math.lgamma(1 + j / 2) - math.lgamma(1.5) for j in range(1, d + 1))
    to_differences = math.lgamma(d + 1) - 0.5 * math.log(d)
    return constant - mehta - d * (d - 1) / 2 * math.log(scale) + to_differences


def draw_shapes(
    rng: np.random.Generator, scale: float, shape: tuple[int, ...], n_features: int, ordered: bool
) -> Array:
    """Draw shapes (*shape, D): logarithms of standard deviations along the axes, about their mean."""
    if not ordered:
        return np.asarray(scale * rng.normal(size=(*shape, n_features - 1)) @ contrasts(n_features))
    square = rng.normal(size=(*shape, n_features, n_features))
    values = np.linalg.eigvalsh((square + np.swapaxes(square, -1, -2)) / 2)
    return np.asarray(scale * (values - values.mean(axis=-1, keepdims=True)))
