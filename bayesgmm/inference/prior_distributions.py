"""Priors that PyMC lacks, as PyMC variables: sticks, ordered normals, inverse Wishart, LKJ covariances.

Draws are made of PyTensor's random variables, so that every backend can compile them. The log densities are written
independently of the native ones, so that tests can compare the two.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from numpy.typing import NDArray
from pymc.distributions.continuous import PositiveContinuous
from pymc.distributions.shape_utils import rv_size_is_none
from pytensor.tensor.variable import TensorVariable
from scipy.special import gammaln, multigammaln

from bayesgmm.dispatch import by_class
from bayesgmm.families.diagonals import Diagonals
from bayesgmm.families.family import Family
from bayesgmm.families.forms import Form
from bayesgmm.families.squares import Squares
from bayesgmm.inference.pymc_scalars import pymc_class, pymc_parameters, pymc_scalar
from bayesgmm.priors import lkj
from bayesgmm.priors.scalars import Scalar
from bayesgmm.pymc_ops.distributions import Affine, Logits, LogPower, OrderedAffine, RootCoordinates, Size
from bayesgmm.pymc_ops.ops import covariance_of_root, precision_root
from bayesgmm.sweep.stats import Array

type Tensor = float | tuple[float, ...] | Array | TensorVariable
type Matrix = Array | TensorVariable


def stick_breaking(name: str, concentration: Tensor, discount: float, n_components: int) -> TensorVariable:
    """Add weights (K,) to the current model: K - 1 sticks Beta(1 - discount, concentration + k discount)."""
    sticks = partial(_sticks, discount=discount, index=np.arange(1, n_components))
    return pm.CustomDist(
        name,
        concentration,
        dist=partial(_draw_sticks, sticks),
        logp=partial(_log_sticks, sticks),
        signature="()->(k)",
        class_name="StickBreaking",
        dims="component",
        default_transform=Logits(),
    )


Sticks = Callable[[Tensor], TensorVariable]


def _sticks(concentration: Tensor, size: Size = None, *, discount: float, index: NDArray[np.intp]) -> TensorVariable:
    return pm.Beta.dist(1 - discount, concentration + discount * index, size=size)


def _draw_sticks(sticks: Sticks, concentration: Tensor, size: TensorVariable) -> TensorVariable:
    stick = sticks(concentration)
    left = pt.concatenate([[1.0], pt.cumprod(1 - stick)])
    return pt.concatenate([stick, [1.0]]) * left


def _log_sticks(sticks: Sticks, value: TensorVariable, concentration: Tensor) -> TensorVariable:
    left = pt.cumsum(value[::-1])[::-1]  # before each stick is broken off
    stick = value[:-1] / left[:-1]
    return pm.logp(sticks(concentration), stick).sum() - pt.log(left[:-1]).sum()


def ordered_normal(name: str, mu: Tensor, sigma: Tensor, transform: OrderedAffine, n_components: int) -> TensorVariable:
    """Add means (K, 1) to the current model: independent normals, in increasing order."""
    return pm.CustomDist(
        name,
        mu,
        sigma,
        dist=partial(_draw_ordered, n_components=n_components),
        logp=partial(_log_ordered, n_components=n_components),
        signature="(d),(d)->(k,d)",
        class_name="OrderedNormal",
        dims=("component", "feature"),
        default_transform=transform,
    )


def _draw_ordered(mu: Tensor, sigma: Tensor, size: TensorVariable, *, n_components: int) -> TensorVariable:
    return pt.sort(pm.Normal.dist(mu, sigma, shape=(n_components, 1)), axis=0)


def _log_ordered(value: TensorVariable, mu: Tensor, sigma: Tensor, *, n_components: int) -> TensorVariable:
    return pm.logp(pm.Normal.dist(mu, sigma), value).sum() + gammaln(n_components + 1.0)


def conjugate_normal(
    name: str, mu: Tensor, covariance: TensorVariable, strength: float, transform: Affine
) -> TensorVariable:
    """Add means (K, D) to the current model: normal, with the component's covariance divided by ``strength``."""
    return pm.CustomDist(
        name,
        mu,
        covariance,
        dist=partial(_draw_conjugate, strength=strength),
        logp=partial(_log_conjugate, strength=strength),
        signature="(d),(d,d)->(d)",
        class_name="ConjugateNormal",
        dims=("component", "feature"),
        default_transform=transform,
    )


def _draw_conjugate(mu: Tensor, covariance: TensorVariable, size: TensorVariable, *, strength: float) -> TensorVariable:
    chol = covariance @ precision_root(covariance).mT
    noise = pm.Normal.dist(size=tuple(covariance.shape)[:2])
    return mu + (chol * noise[..., None, :]).sum(-1) / np.sqrt(strength)


def _log_conjugate(value: TensorVariable, mu: Tensor, covariance: TensorVariable, *, strength: float) -> TensorVariable:
    root = precision_root(covariance)
    y = (root * (value - mu)[:, None, :]).sum(-1)
    each = 0.5 * np.log(strength / (2 * np.pi)) - 0.5 * strength * y**2
    return _log_diagonal(root).sum(-1) + each.sum(-1)


@by_class
def inverse_wishart(form: Form, family: Family, dof: float, scale: Matrix, unit: Array) -> TensorVariable:
    """Add the family's own covariances to the current model; their precisions are Wishart(dof, scale^-1) by block.

    Scale is one covariance in core shape, or its diagonal.
    """
    raise NotImplementedError


@inverse_wishart.register
def _inverse_gammas(form: Diagonals, family: Family, dof: float, scale: Matrix, unit: Array) -> TensorVariable:
    """Inverse Wishart in one dimension."""
    transform = LogPower(-0.5, form.pooled(unit**2))
    alpha = np.float64(dof / 2)
    return pm.InverseGamma(family.variable, alpha, scale / 2, dims=family.dims, default_transform=transform)


@inverse_wishart.register
def _inverse_wisharts(form: Squares, family: Family, dof: float, scale: Matrix, unit: Array) -> TensorVariable:
    d = len(unit)
    return pm.CustomDist(
        family.variable,
        scale if scale.ndim == 2 else pt.diag(scale),
        dist=partial(_draw_inverse_wishart, dof=dof, d=d),
        logp=partial(_log_inverse_wishart, dof=dof, d=d),
        signature="(d,d)->(d,d)",
        class_name="InverseWishart",
        dims=family.dims,
        default_transform=RootCoordinates(unit),
    )


def with_covariance(core: TensorVariable, family: Family, n_components: int) -> TensorVariable:
    """Return ``covariance`` [component, feature, feature_bis], computed from the family's own if they differ."""
    if core.name == "covariance":
        return core
    d = len(pm.modelcontext(None).coords["feature"])
    full = pt.broadcast_to(family.form.to_matrices(family.unsqueezed(core), d), (n_components, d, d))
    return pm.Deterministic("covariance", full, dims=("component", "feature", "feature_bis"))


def _draw_inverse_wishart(scale: Matrix, size: TensorVariable, *, dof: float, d: int) -> TensorVariable:
    """Draw by Bartlett's decomposition of the precision, from the bottom row up."""
    batch = () if rv_size_is_none(size) else tuple(size)
    noise = pm.Normal.dist(size=(*batch, d, d))
    length = pt.sqrt(pm.ChiSquared.dist(dof - d + 1 + np.arange(d), size=(*batch, d)))
    bartlett = pt.tril(noise, -1) + length[..., None] * np.eye(d)
    root = bartlett @ _root(scale, d)[0]
    return covariance_of_root(root.reshape((-1, d, d))).reshape((*batch, d, d))


def _log_inverse_wishart(value: TensorVariable, scale: Matrix, *, dof: float, d: int) -> TensorVariable:
    root = _root(value, d)
    trace = ((root.mT @ root) * scale.reshape((1, d, d))).sum((-2, -1))
    constant = -dof * _log_diagonal(_root(scale, d))[0].sum() - 0.5 * dof * d * np.log(2) - multigammaln(dof / 2, d)
    density = constant + (dof + d + 1) * _log_diagonal(root).sum(-1) - 0.5 * trace
    return density if value.ndim == 3 else density[0]


@by_class
def lkj_covariance(form: Form, family: Family, eta: float, sd: Scalar, unit: Array) -> TensorVariable:
    """Add the family's own covariances to the current model: standard deviations, and LKJ correlations if any."""
    raise NotImplementedError


@lkj_covariance.register
def _squared_sds(form: Diagonals, family: Family, eta: float, sd: Scalar, unit: Array) -> TensorVariable:
    return pymc_scalar(sd, "sd", -1.0, form.pooled(unit), family.dims) ** 2


@lkj_covariance.register
def _lkj_covariances(form: Squares, family: Family, eta: float, sd: Scalar, unit: Array) -> TensorVariable:
    d, parameters = len(unit), pymc_parameters(sd)
    sds = partial(_sds, sd=pymc_class(sd), names=tuple(parameters))
    return pm.CustomDist(
        family.variable,
        *(np.broadcast_to(value, (d,)) for value in parameters.values()),
        dist=partial(_draw_lkj, sds, eta=eta, d=d),
        logp=partial(_log_lkj, sds, eta=eta, d=d),
        signature=f"{','.join(['(d)'] * len(parameters))}->(d,d)",
        class_name="LKJCovariance",
        dims=family.dims,
        default_transform=RootCoordinates(unit),
    )


def _sds(
    *parameters: Tensor, sd: type[PositiveContinuous], names: tuple[str, ...], size: Size = None
) -> TensorVariable:
    return sd.dist(**dict(zip(names, parameters, strict=True)), size=size)


def _draw_lkj(sds: Callable[..., TensorVariable], *parameters: TensorVariable, eta: float, d: int) -> TensorVariable:
    """Correlations row by row: a Beta length, a uniform direction (the onion of Lewandowski et al. 2009)."""
    *parameters_, size = parameters
    batch = () if rv_size_is_none(size) else tuple(size)
    index = np.arange(1, d)
    direction = pt.tril(pm.Normal.dist(size=(*batch, d, d)), -1)[..., 1:, :]
    direction = direction / pt.sqrt((direction**2).sum(-1, keepdims=True))
    length = pm.Beta.dist(index / 2, eta + (d - 1 - index) / 2, size=(*batch, d - 1))
    below = pt.sqrt(length)[..., None] * direction
    first = pt.zeros((*batch, 1, d))
    diagonal = pt.concatenate([pt.ones((*batch, 1)), pt.sqrt(1 - length)], axis=-1)
    chol = pt.concatenate([first, below], axis=-2) + diagonal[..., None] * np.eye(d)
    scaled = sds(*parameters_, size=(*batch, d))[..., None] * chol
    return scaled @ scaled.mT


def _log_lkj(
    sds: Callable[..., TensorVariable], value: TensorVariable, *parameters: TensorVariable, eta: float, d: int
) -> TensorVariable:
    sd = pt.sqrt(pt.diagonal(value, axis1=-2, axis2=-1))
    log_det = -2 * _log_diagonal(_root(value, d)).sum(-1)
    log_sd = pt.log(sd).sum(-1)
    log_det = log_det if value.ndim == 3 else log_det[0]
    correlations = (eta - 1) * (log_det - 2 * log_sd) - lkj.log_normaliser(eta, d)
    return correlations + pm.logp(sds(*parameters), sd).sum(-1) - d * (log_sd + np.log(2))


def _root(covariance: TensorVariable, d: int) -> TensorVariable:
    """Return lower-triangular precision roots (K, D, D) of covariances (..., D, D)."""
    return precision_root(covariance if covariance.ndim == 3 else covariance.reshape((-1, d, d)))


def _log_diagonal(root: TensorVariable) -> TensorVariable:
    return pt.log(pt.diagonal(root, axis1=-2, axis2=-1))
