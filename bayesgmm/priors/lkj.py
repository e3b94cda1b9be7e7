"""LKJ distribution of correlation matrices (Lewandowski, Kurowicka & Joe 2009, J. Multivariate Analysis 100)."""

import math

import numpy as np

from bayesgmm.late import Late
from bayesgmm.sweep.stats import Array

special = Late("scipy.special")


def log_normaliser(eta: float, n_features: int) -> float:
    """Compute the logarithm of the integral of |R|^(eta - 1) over correlation matrices."""
    k = np.arange(1, n_features)
    b = eta + (n_features - k - 1) / 2
    return float((((2 * eta - 2 + n_features - k) * math.log(2) + special.betaln(b, b)) * (n_features - k)).sum())


def draw_factors(rng: np.random.Generator, eta: float, shape: tuple[int, ...]) -> Array:
    """Draw Cholesky factors (..., D, D) of correlation matrices, row by row: a Beta length, a uniform direction."""
    d = shape[-1]
    index = np.arange(1, d)
    direction = np.tril(rng.normal(size=(*shape, d)), -1)[..., 1:, :]
    length = rng.beta(index / 2, eta + (d - 1 - index) / 2, size=(*shape[:-1], d - 1))
    chol = np.zeros((*shape, d))
    chol[..., 0, 0] = 1.0
    chol[..., 1:, :] = np.sqrt(length)[..., None] * direction / np.linalg.norm(direction, axis=-1, keepdims=True)
    chol[..., index, index] = np.sqrt(1 - length)
    return chol
