"""The log posterior and its gradient in unconstrained coordinates: one fold, and what the priors add.

Coordinates are laid end to end: weights, means (standardised, component by component), roots.
"""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from bayesgmm import _kernels
from bayesgmm.data import Standard
from bayesgmm.model import MixtureModel
from bayesgmm.stats import MAX_CHUNKS, MIN_CHUNK, Array, Blocks


@dataclass(frozen=True)
class Parameters:
    """Draws of a mixture in data units, any leading axes.

    Parameters
    ----------
    weight : (..., K) float
    mean : (..., K, D) float
    covariance : (..., K, D, D) float
    """

    weight: Array
    mean: Array
    covariance: Array

    def flat(self) -> "Parameters":
        """All leading axes laid end to end."""
        d = self.mean.shape[-1]
        k = self.weight.shape[-1]
        return Parameters(self.weight.reshape(-1, k), self.mean.reshape(-1, k, d), self.covariance.reshape(-1, k, d, d))


@dataclass
class LogPosterior:
    """Log density of a resolved model given data, over a flat vector of unconstrained coordinates.

    Holds working memory: give each thread its own (``dataclasses.replace(density)``).

    Parameters
    ----------
    model : MixtureModel
        Resolved.
    blocks : Blocks
        The data, standardised by ``standard``.
    standard : Standard
        Shift and scale.
    """

    model: MixtureModel
    blocks: Blocks
    standard: Standard
    _scratch: tuple[Array, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        k, d, family = self.n_components, self.n_features, self.model.family
        width = k * _kernels.moments_width(d, family.diagonal)
        self._chunk = max(MIN_CHUNK, -(-self.blocks.n_blocks // MAX_CHUNKS))
        sums = np.empty((-(-self.blocks.n_blocks // self._chunk), 1 + width))
        core = np.empty(int(np.prod(family.core_shape(k, d))))
        root = np.empty(k * d if family.diagonal else k * d * d)
        self._scratch = (core, root, np.empty(k), np.empty(k), sums)
        self._log_weight, self._n = np.empty(k), np.empty(k)
        self._weights_params = self.model.weights.params(k)
        self._means_params = self.model.means.params(self.standard)
        self._covariances_params = self.model.covariances.params(self.standard)
        self._loglik_constant = -self.blocks.total_weight * self.standard.log_scale  # taken by standardising
        self._prior_constant = self.model.means.constant(k, d)
        self._cuts = (self._weights_size, self._weights_size + k * d)

    @property
    def n_components(self) -> int:
        """K."""
        return self.model.n_components

    @property
    def n_features(self) -> int:
        """D."""
        return self.blocks.n_features

    @cached_property
    def _weights_size(self) -> int:
        return self.model.weights.size(self.n_components)

    @cached_property
    def size(self) -> int:
        """How many unconstrained coordinates there are."""
        k, d = self.n_components, self.n_features
        return self._weights_size + self.model.means.size(k, d) + self.model.family.size(k, d)

    def __call__(self, q: Array) -> tuple[float, Array]:
        """Log posterior density at q (size,), likelihood in data units, and its gradient."""
        model, grad = self.model, np.zeros(self.size)
        a, b = self._cuts
        family = model.family
        model.weights.forward(q[:a], self._log_weight)
        value = _kernels.likelihood(
            self.blocks.x,
            self.blocks.weight,
            self._log_weight,
            q[a:b],
            q[b:],
            self.n_features,
            family.diagonal,
            family.tied,
            family.isotropic,
            self._chunk,
            self._scratch,
            self._n,
            grad[a:b],
            grad[b:],
        )
        return value + self._loglik_constant + self._priors(q, grad), grad

    def _priors(self, q: Array, grad: Array) -> float:
        """Log prior of the coordinates, whose gradient is added; uses what the likelihood unpacked."""
        model, (a, b) = self.model, self._cuts
        return (
            self._prior_constant
            + model.weights.backward(self._weights_params, q[:a], self._log_weight, self._n, grad[:a])
            + model.means.backward(self._means_params, q[a:b], grad[a:b])
            + model.covariances.backward(
                self._covariances_params, self._scratch[0], self.n_features, model.family.diagonal, grad[b:]
            )
        )

    def log_prior(self, q: Array) -> float:
        """Log prior density of the coordinates q (size,): what a log likelihood lacks."""
        a, b = self._cuts
        core, root, log_det, *_ = self._scratch
        family = self.model.family
        self.model.weights.forward(q[:a], self._log_weight)
        shape = (self.n_features, family.diagonal, family.tied, family.isotropic)
        _kernels.unpack_roots(q[b:], *shape, core, root, log_det)
        return self._priors(q, np.zeros(self.size))

    def parameters(self, q: Array) -> Parameters:
        """Mixtures in data units from coordinates (..., size)."""
        k, d, family = self.n_components, self.n_features, self.model.family
        a, b = self._cuts
        shift, scale = self.standard.shift, self.standard.scale
        core = family.core_roots(q[..., b:], k, d)
        return Parameters(
            self.model.weights.weights(q[..., :a]),
            q[..., a:b].reshape(*q.shape[:-1], k, d) * scale + shift,
            family.matrices(core, k, d) * np.outer(scale, scale),
        )

    def coordinates(self, weight: Array, mean: Array, core_roots: Array) -> Array:
        """(size,) coordinates of one mixture, its means and roots standardised."""
        return np.concatenate(
            [
                self.model.weights.coordinates(weight),
                mean.reshape(-1),
                self.model.family.coordinates(core_roots),
            ]
        )
