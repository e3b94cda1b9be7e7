"""Priors of the component means, declared in the data's own units."""

import math
from typing import Any, ClassVar, Literal

import numpy as np

from bayesgmm._declared import Declared, Numbers, PositiveNumbers
from bayesgmm._native import prior_arguments, prior_kernel
from bayesgmm.data import Standard, Summary, per_column
from bayesgmm.stats import LOG_2PI, Array


@prior_kernel
def normal_backward(shape: Any, params: Any, q: Any, natural: Any, n: Any, grad: Any) -> float:
    """Log density of K means laid end to end, and its gradient; params: locations, then scales."""
    _, n_features, _, params, q, _, _, grad = prior_arguments(shape, params, q, natural, n, grad)
    value = 0.0
    for j in range(n_features):
        location, scale = params[j], params[n_features + j]
        value -= (q.size // n_features) * math.log(scale)
        for t in range(j, q.size, n_features):
            z = (q[t] - location) / scale
            value -= 0.5 * z * z
            grad[t] -= z / scale
    return value


class NormalMeans(Declared):
    r"""Independent normal means, the same prior for every component.

    .. math:: \mu_{kj} \sim \mathrm{Normal}(\text{location}_j, \text{scale}_j)

    Parameters
    ----------
    location : float or tuple of float, optional
        Prior centre, one number or one for each column, in the column's units. Unless told, the middle
        of the column's range.
    scale : float or tuple of float, optional
        Prior standard deviation, in the column's units. Unless told, the column's range.

    References
    ----------
    .. [1] Richardson & Green (1997), J. R. Stat. Soc. B 59(4), 731-792: the defaults.

    Examples
    --------
    >>> NormalMeans(0.0, 2.5).scale
    2.5
    """

    location: Numbers | None = None
    scale: PositiveNumbers | None = None
    prior: Literal["normal"] = "normal"

    backward: ClassVar = normal_backward

    def resolve(self, data: Summary) -> "NormalMeans":
        """The same prior with one explicit number a column."""
        location: Any = data.midrange if self.location is None else self.location
        scale: Any = data.range if self.scale is None else self.scale
        return NormalMeans(
            tuple(per_column(location, data.columns, "NormalMeans location").tolist()),
            tuple(per_column(scale, data.columns, "NormalMeans scale").tolist()),
        )

    def size(self, n_components: int, n_features: int) -> int:
        """How many unconstrained coordinates there are."""
        return n_components * n_features

    def params(self, standard: Standard) -> Array:
        """What ``backward`` needs, in standardised coordinates; the prior must be resolved."""
        location, scale = np.asarray(self.location), np.asarray(self.scale)
        return np.concatenate([(location - standard.shift) / standard.scale, scale / standard.scale])

    def constant(self, n_components: int, n_features: int) -> float:
        """The part of the log density that ``backward`` leaves out."""
        return -0.5 * LOG_2PI * n_components * n_features

    def draw(self, rng: np.random.Generator, n_components: int) -> Array:
        """(K, D) means from the resolved prior, in data units."""
        location, scale = np.asarray(self.location), np.asarray(self.scale)
        return rng.normal(location, scale, size=(n_components, location.size))


MEANS: dict[str, type[NormalMeans]] = {"normal": NormalMeans}
