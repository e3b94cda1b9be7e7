"""Priors of one positive number as PyMC variables."""

from typing import Any

import numpy as np
import pymc as pm

from bayesgmm.dispatch import by_class
from bayesgmm.priors.scalars import (
    Exponential,
    Gamma,
    HalfCauchy,
    HalfNormal,
    HalfStudentT,
    InverseGamma,
    LogNormal,
    Scalar,
)
from bayesgmm.pymc_ops.distributions import LogPower
from bayesgmm.sweep.stats import Array


@by_class
def pymc_class(prior: Scalar) -> Any:
    """Return PyMC's class of a prior of one positive number; it takes the prior's ``parameters`` by name."""
    raise NotImplementedError


@pymc_class.register
def _half_normal(prior: HalfNormal) -> Any:
    return pm.HalfNormal


@pymc_class.register
def _half_student_t(prior: HalfStudentT) -> Any:
    return pm.HalfStudentT


@pymc_class.register
def _half_cauchy(prior: HalfCauchy) -> Any:
    return pm.HalfCauchy


@pymc_class.register
def _gamma(prior: Gamma) -> Any:
    return pm.Gamma


@pymc_class.register
def _exponential(prior: Exponential) -> Any:
    return pm.Exponential


@pymc_class.register
def _log_normal(prior: LogNormal) -> Any:
    return pm.LogNormal


@pymc_class.register
def _inverse_gamma(prior: InverseGamma) -> Any:
    return pm.InverseGamma


def pymc_parameters(prior: Scalar) -> dict[str, Array]:
    """Return the parameters as PyMC takes them: it would turn a Python float into a 32-bit number."""
    return {name: np.asarray(value, dtype=np.float64) for name, value in prior.parameters.items()}


def pymc_scalar(prior: Scalar, name: str, power: float, scale: Any = 1.0, dims: tuple[str, ...] = ()) -> Any:
    """Add a prior to the current PyMC model as a variable, sampled as ``power * log(value / scale)``."""
    transform = LogPower(power, scale)
    return pymc_class(prior)(name, **pymc_parameters(prior), dims=dims, default_transform=transform)
