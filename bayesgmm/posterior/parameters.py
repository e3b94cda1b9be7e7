"""Draws of a mixture's parameters, in data units; checks of numbers that were read from a file."""

from dataclasses import dataclass, field

import numpy as np

from bayesgmm.sweep.stats import Array


def softmax(log: Array) -> Array:
    """Normalise exponentials along the last axis; as scipy's, whose import takes longer than a small fit.

    Examples
    --------
    >>> softmax(np.log([2.0, 6.0])).round(6)
    array([0.25, 0.75])
    """
    shifted = np.exp(log - log.max(axis=-1, keepdims=True))
    return shifted / shifted.sum(axis=-1, keepdims=True)


@dataclass(frozen=True)
class Parameters:
    """Draws of a mixture in data units, with any leading axes.

    Parameters
    ----------
    weight : (..., K) float
    mean : (..., K, D) float
    covariance : (..., K, D, D) float
    extras : dict
        Hyperparameters by name: one number (...), or one per column (..., D).
    """

    weight: Array
    mean: Array
    covariance: Array
    extras: dict[str, Array] = field(default_factory=dict)

    def flat(self) -> "Parameters":
        """Return the draws with all leading axes combined into one."""
        d = self.mean.shape[-1]
        k = self.weight.shape[-1]
        leading = self.weight.ndim - 1
        extras = {name: value.reshape(-1, *value.shape[leading:]) for name, value in self.extras.items()}
        weight, mean = self.weight.reshape(-1, k), self.mean.reshape(-1, k, d)
        return Parameters(weight, mean, self.covariance.reshape(-1, k, d, d), extras)


def are_probabilities(values: Array) -> bool:
    """Return True if numbers (..., K) are not negative, and sum to one over the last axis.

    Examples
    --------
    >>> are_probabilities(np.array([0.4, 0.6])), are_probabilities(np.array([-0.4, 1.4]))
    (True, False)
    """
    return bool((values >= 0).all() and np.allclose(values.sum(axis=-1), 1, rtol=0, atol=1e-4))


def are_covariances(covariance: Array, scale: Array) -> bool:
    """Return True if matrices (..., D, D) are symmetric and positive definite; False if a scale is not positive.

    Parameters
    ----------
    covariance : (..., D, D) float
    scale : (D,) float
        Divisors of the coordinates, so that columns of different units can be compared.

    Examples
    --------
    >>> are_covariances(np.eye(2), np.ones(2)), are_covariances(-np.eye(2), np.ones(2))
    (True, False)
    """
    if not (scale > 0).all():
        return False
    scaled = covariance / np.outer(scale, scale)
    if not np.isfinite(scaled).all() or not np.allclose(scaled, scaled.swapaxes(-1, -2), rtol=1e-6):
        return False
    try:
        np.linalg.cholesky(scaled)
    except np.linalg.LinAlgError:
        return False
    return True
