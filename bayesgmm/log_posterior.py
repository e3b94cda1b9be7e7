"""The log posterior and its gradient in unconstrained coordinates: one fold, and what the priors add.

Coordinates are laid end to end: weights, means (standardised, component by component), roots.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bayesgmm import _native
from bayesgmm.data import Standard
from bayesgmm.model import MixtureModel
from bayesgmm.stats import Array, Blocks

IntArray = NDArray[np.int64]


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


@dataclass(frozen=True)
class LogPosterior:
    """Log density of a resolved model given data, over a flat vector of unconstrained coordinates.

    Any number of threads may call it at once.

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

    @cached_property
    def _arrays(self) -> dict[str, Array]:
        """What the plan points to; kept alive here."""
        model, k = self.model, self.n_components
        loglik = -self.blocks.total_weight * self.standard.log_scale  # what standardising took from it
        return {
            "x": self.blocks.x,
            "weight": self.blocks.weight,
            "weights_params": model.weights.params(k),
            "means_params": model.means.params(self.standard),
            "covariances_params": model.covariances.params(self.standard),
            "constant": np.array([loglik + self._prior_constant]),
        }

    @cached_property
    def _prior_constant(self) -> float:
        return self.model.means.constant(self.n_components, self.n_features)

    @cached_property
    def plan(self) -> IntArray:
        """The density as the native code reads it: sizes and addresses, in the order of ``_native.Plan``."""
        model, family, arrays = self.model, self.model.family, self._arrays
        k, d = self.n_components, self.n_features
        entries = {
            "n_components": k,
            "n_features": d,
            "diagonal": family.diagonal,
            "tied": family.tied,
            "isotropic": family.isotropic,
            "n_blocks": self.blocks.n_blocks,
            "chunk": self.blocks.chunk,
            "weights_size": model.weights.size(k),
            "core_size": int(np.prod(family.core_shape(k, d))),
            "size": self.size,
            "weights_forward": model.weights.forward.address,
            "weights_backward": model.weights.backward.address,
            "means_backward": model.means.backward.address,
            "covariances_backward": model.covariances.backward.address,
        }
        entries |= {name: array.ctypes.data for name, array in arrays.items()}
        entries |= {f"{name}_size": array.size for name, array in arrays.items() if name.endswith("params")}
        return np.array([entries.get(item.name.lower(), 0) for item in _native.Plan], dtype=np.int64)

    @cached_property
    def _prior_plan(self) -> IntArray:
        """The plan without data."""
        plan = self.plan.copy()
        plan[_native.Plan.N_BLOCKS] = 0
        return plan

    @property
    def _cuts(self) -> tuple[int, int]:
        start = self.model.weights.size(self.n_components)
        return start, start + self.n_components * self.n_features

    @property
    def n_components(self) -> int:
        """K."""
        return self.model.n_components

    @property
    def n_features(self) -> int:
        """D."""
        return self.blocks.n_features

    @cached_property
    def size(self) -> int:
        """How many unconstrained coordinates there are."""
        k, d = self.n_components, self.n_features
        model = self.model
        return model.weights.size(k) + model.means.size(k, d) + model.family.size(k, d)

    def __call__(self, q: Array) -> tuple[float, Array]:
        """Log posterior density at q (size,), likelihood in data units, and its gradient."""
        grad = np.empty(self.size)
        return _native.log_posterior(self.plan, np.ascontiguousarray(q), grad), grad

    def log_prior(self, q: Array) -> float:
        """Log prior density of the coordinates q (size,): what a log likelihood lacks."""
        value = _native.log_posterior(self._prior_plan, np.ascontiguousarray(q), np.empty(self.size))
        return value - float(self._arrays["constant"][0]) + self._prior_constant

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
