"""Gaussians that variational inference may choose from, as numbers without bounds, and the draws that it looks at."""

from typing import Protocol, override

import numpy as np

from bayesgmm.errors import DeclarationError, SamplingError
from bayesgmm.sweep.stats import Array

FULL_RANK_LIMIT = 1000  # coordinates: beyond it the factor has half a million numbers


class Shape(Protocol):
    """How numbers without bounds turn standard normal draws into draws of a Gaussian about zero."""

    samples_a_coordinate: int

    def require(self, size: int, samples: int | None) -> None:
        """Refuse more coordinates than the shape is for, or fewer fixed draws than it needs.

        Raises
        ------
        SamplingError, DeclarationError
        """

    def start(self, size: int, log_scale: float) -> Array:
        """Numbers of a round Gaussian in ``size`` dimensions."""

    def spread(self, numbers: Array, normals: Array) -> Array:
        """(M, P) draws."""

    def log_det(self, numbers: Array) -> float:
        """Logarithm of the volume that the unit cube becomes."""

    def gradient(self, numbers: Array, normals: Array, slopes: Array) -> Array:
        """Of ``log_det`` plus the mean over the draws of a function whose gradients there are ``slopes`` (M, P)."""


class MeanField(Shape):
    """Independent coordinates: the logarithms of their standard deviations."""

    samples_a_coordinate = 2

    @override
    def require(self, size: int, samples: int | None) -> None:
        pass

    @override
    def start(self, size: int, log_scale: float) -> Array:
        return np.full(size, log_scale)

    @override
    def spread(self, numbers: Array, normals: Array) -> Array:
        return normals * np.exp(numbers)

    @override
    def log_det(self, numbers: Array) -> float:
        return float(numbers.sum())

    @override
    def gradient(self, numbers: Array, normals: Array, slopes: Array) -> Array:
        return (slopes * normals).mean(axis=0) * np.exp(numbers) + 1


class FullRank(Shape):
    """All correlations: a lower-triangular factor by rows, with the logarithms of its diagonal."""

    samples_a_coordinate = 4

    @override
    def require(self, size: int, samples: int | None) -> None:
        if size > FULL_RANK_LIMIT:
            raise SamplingError(
                f"the posterior has {size} coordinates, too many for full-rank ADVI (the limit is {FULL_RANK_LIMIT}).\n"
                "  Use method='advi': it keeps the correlations that the posterior has at its mode."
            )
        if samples is not None and samples < 2 * size:
            raise DeclarationError(
                f"samples={samples}: full rank needs at least two a coordinate, here {2 * size}; "
                "method='advi' takes fewer"
            )

    def factor(self, numbers: Array) -> Array:
        """(P, P) lower triangular."""
        size = _side(numbers)
        factor = np.zeros((size, size))
        factor[np.tril_indices(size)] = numbers
        np.fill_diagonal(factor, np.exp(np.diagonal(factor)))
        return factor

    @override
    def start(self, size: int, log_scale: float) -> Array:
        return (log_scale * np.eye(size))[np.tril_indices(size)]

    @override
    def spread(self, numbers: Array, normals: Array) -> Array:
        return normals @ self.factor(numbers).T

    @override
    def log_det(self, numbers: Array) -> float:
        return float(numbers[np.cumsum(np.arange(1, _side(numbers) + 1)) - 1].sum())

    @override
    def gradient(self, numbers: Array, normals: Array, slopes: Array) -> Array:
        grad = slopes.T @ normals / len(normals)
        np.fill_diagonal(grad, np.diagonal(grad) * np.diagonal(self.factor(numbers)) + 1)
        return grad[np.tril_indices(len(grad))]


def _side(triangle: Array) -> int:
    """Rows of a lower triangle."""
    return int(np.sqrt(2 * triangle.size))


def fixed_draws(samples: int, size: int, seed: int) -> Array:
    """(samples, size) standard normal draws: antithetic pairs, the second half minus the first.

    Their mean is exactly zero. With at least a pair a coordinate their covariance is exactly the identity, so that on a
    Gaussian target the objective is exact; with fewer, their variances are one.
    """
    half = np.random.default_rng((seed, 2)).normal(size=(samples // 2, size))
    if len(half) < size:
        half /= np.sqrt((half**2).mean(axis=0))
    else:
        half = np.linalg.solve(np.linalg.cholesky(half.T @ half / len(half)), half.T).T
    return np.concatenate([half, -half])
