"""Gaussian families of variational inference, mean-field and full-rank, in unconstrained numbers; fixed draws."""

from typing import Protocol, override

import numpy as np

from bayesgmm.errors import DeclarationError, SamplingError
from bayesgmm.sweep.stats import Array

FULL_RANK_LIMIT = 1000  # maximum number of coordinates: the factor then has half a million numbers


class Shape(Protocol):
    """Family of Gaussians about zero: maps standard normal draws to draws, given unconstrained numbers."""

    samples_a_coordinate: int

    def require(self, size: int, samples: int | None) -> None:
        """Check the number of coordinates and of fixed draws.

        Raises
        ------
        SamplingError
            If there are too many coordinates.
        DeclarationError
            If there are too few fixed draws.
        """

    def start(self, size: int, log_scale: float) -> Array:
        """Return the numbers of a Gaussian in ``size`` dimensions with equal independent coordinates."""

    def spread(self, numbers: Array, normals: Array) -> Array:
        """Transform standard normal draws (M, P) to draws (M, P)."""

    def log_det(self, numbers: Array) -> float:
        """Compute the log determinant of the map from standard normal draws."""

    def gradient(self, numbers: Array, normals: Array, slopes: Array) -> Array:
        """Compute the gradient of ``log_det`` plus a mean over draws of a function with gradients ``slopes`` (M, P)."""


class MeanField(Shape):
    """Mean-field: independent coordinates; the numbers are log standard deviations."""

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
    """Full-rank: all correlations; the numbers are a lower-triangular factor by rows, with a log diagonal."""

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
                f"samples={samples}: full rank needs at least two per coordinate, here {2 * size}; "
                "method='advi' takes fewer"
            )

    def factor(self, numbers: Array) -> Array:
        """Return the lower-triangular factor (P, P)."""
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
    """Number of rows of a lower triangle."""
    return int(np.sqrt(2 * triangle.size))


def fixed_draws(samples: int, size: int, seed: int) -> Array:
    """Draw antithetic standard normal draws (samples, size); the second half is minus the first.

    Their mean is exactly zero. With at least one pair per coordinate their covariance is exactly the identity, so that
    the objective is exact for a Gaussian target. With fewer pairs their variances are exactly one.
    """
    half = np.random.default_rng((seed, 2)).normal(size=(samples // 2, size))
    if len(half) < size:
        half /= np.sqrt((half**2).mean(axis=0))
    else:
        half = np.linalg.solve(np.linalg.cholesky(half.T @ half / len(half)), half.T).T
    return np.concatenate([half, -half])
