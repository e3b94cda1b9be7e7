"""Priors of the mixture weights. Each owns its unconstrained coordinates, its density and its draws.

The sampler's view of a weights prior: ``size(K)`` coordinates; ``forward`` turns them into log weights;
``backward`` returns the log density of the coordinates and adds its gradient and the likelihood's. Both are native
functions, which see ``params``.
"""

import math
from typing import Any, ClassVar, Literal

import numpy as np

from bayesgmm._declared import Declared, PositiveNumbers
from bayesgmm._native import prior_arguments, prior_kernel
from bayesgmm.errors import DeclarationError
from bayesgmm.stats import Array


@prior_kernel
def softmax_forward(shape: Any, params: Any, q: Any, natural: Any, n: Any, grad: Any) -> float:
    """Log weights of K - 1 logits, the last component being the reference."""
    _, _, _, _, q, log_weight, _, _ = prior_arguments(shape, params, q, natural, n, grad)
    last = log_weight.size - 1
    top = 0.0
    for k in range(last):
        top = max(top, q[k])
    total = math.exp(-top)
    for k in range(last):
        total += math.exp(q[k] - top)
    log_total = top + math.log(total)
    for k in range(last):
        log_weight[k] = q[k] - log_total
    log_weight[last] = -log_total
    return 0.0


@prior_kernel
def dirichlet_backward(shape: Any, params: Any, q: Any, natural: Any, n: Any, grad: Any) -> float:
    """Log density of the logits (the Jacobian adds one power of each weight); gradient with counts n."""
    _, _, _, params, q, log_weight, n, grad = prior_arguments(shape, params, q, natural, n, grad)
    value = params[-1]
    total = 0.0
    for k in range(n.size):
        value += params[k] * log_weight[k]
        total += n[k] + params[k]
    for k in range(q.size):
        grad[k] += n[k] + params[k] - total * math.exp(log_weight[k])
    return value


class Dirichlet(Declared):
    r"""Dirichlet weights.

    .. math:: p(w) \propto \prod_k w_k^{\alpha_k - 1}

    Parameters
    ----------
    concentration : float or tuple of float
        One :math:`\alpha` for all components, or one for each. 1 is uniform over the simplex.

    Examples
    --------
    >>> Dirichlet(1.0).draw(np.random.default_rng(0), 3).sum().round(12)
    np.float64(1.0)
    """

    concentration: PositiveNumbers = 1.0
    prior: Literal["dirichlet"] = "dirichlet"

    forward: ClassVar = softmax_forward
    backward: ClassVar = dirichlet_backward

    def concentrations(self, n_components: int) -> Array:
        """(K,) the concentration of each component; raises DeclarationError for another number of them."""
        if isinstance(self.concentration, tuple) and len(self.concentration) != n_components:
            raise DeclarationError(
                f"Dirichlet has {len(self.concentration)} concentrations for {n_components} components; "
                "give one number, or one for each component"
            )
        return np.broadcast_to(np.asarray(self.concentration, dtype=np.float64), (n_components,)).copy()

    def size(self, n_components: int) -> int:
        """How many unconstrained coordinates there are."""
        return n_components - 1

    def params(self, n_components: int) -> Array:
        """What ``backward`` needs: the concentrations and the log normaliser."""
        alpha = self.concentrations(n_components)
        constant = math.lgamma(alpha.sum()) - sum(map(math.lgamma, alpha))
        return np.append(alpha, constant)

    def coordinates(self, weight: Array) -> Array:
        """(K - 1,) the logits of weights (K,)."""
        log_weight = np.log(weight)
        return log_weight[:-1] - log_weight[-1]

    def weights(self, q: Array) -> Array:
        """(..., K) the weights of logits (..., K - 1)."""
        logits = np.concatenate([q, np.zeros((*q.shape[:-1], 1))], axis=-1)
        unnormalised = np.exp(logits - logits.max(-1, keepdims=True))
        return unnormalised / unnormalised.sum(-1, keepdims=True)

    def draw(self, rng: np.random.Generator, n_components: int) -> Array:
        """(K,) weights from the prior."""
        return rng.dirichlet(self.concentrations(n_components))


WEIGHTS: dict[str, type[Dirichlet]] = {"dirichlet": Dirichlet}
