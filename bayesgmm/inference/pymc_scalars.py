"""Priors of one positive number as PyMC variables."""

import numpy as np
import pymc as pm
from pymc.distributions.continuous import PositiveContinuous
from pytensor.tensor.variable import TensorVariable

from bayesgmm.dispatch import by_class
from bayesgmm.priors.scalars import SCALARS, Scalar
from bayesgmm.pymc_ops.distributions import LogPower
from bayesgmm.sweep.stats import Array


@by_class
def pymc_class(prior: Scalar) -> type[PositiveContinuous]:
    """Return PyMC's class of a prior of one positive number; it takes the prior's ``parameters`` by name."""
    raise NotImplementedError


def _of_the_same_name(prior: Scalar) -> type[PositiveContinuous]:
    distribution: type[PositiveContinuous] = getattr(pm, type(prior).__name__)
    return distribution


for kind in SCALARS.values():
    pymc_class.register(kind, _of_the_same_name)


def pymc_parameters(prior: Scalar) -> dict[str, Array]:
    """Return the parameters as PyMC takes them: it would turn a Python float into a 32-bit number."""
    return {name: np.asarray(value, dtype=np.float64) for name, value in prior.parameters.items()}


def pymc_scalar(
    prior: Scalar, name: str, power: float, scale: Array | float = 1.0, dims: tuple[str, ...] = ()
) -> TensorVariable:
    """Add a prior to the current PyMC model as a variable, sampled as ``power * log(value / scale)``."""
    transform = LogPower(power, scale)
    return pymc_class(prior)(name, **pymc_parameters(prior), dims=dims, default_transform=transform)
