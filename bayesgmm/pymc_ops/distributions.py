"""A mixture of multivariate normals as a PyMC distribution, and coordinates in which PyMC samples one well."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytensor.tensor as pt
from numpy.typing import ArrayLike
from pymc.distributions.distribution import Continuous, SymbolicRandomVariable
from pymc.distributions.shape_utils import rv_size_is_none
from pymc.distributions.transforms import Transform
from pymc.logprob.abstract import _logprob
from pymc.pytensorf import normalize_rng_param
from pytensor.graph.basic import Apply, Variable
from pytensor.tensor.random.utils import normalize_size_param
from pytensor.tensor.variable import TensorVariable

from bayesgmm.pymc_ops.ops import covariance_of_root, pointwise, precision_root, unpack_root

__all__ = ["Affine", "LogPower", "Logits", "MvNormalMixture", "OrderedAffine", "RootCoordinates"]


class MvNormalMixtureRV(SymbolicRandomVariable):
    """Draws from a mixture, made of PyTensor's own uniform and normal variables, which numba compiles."""

    name = "mv_normal_mixture"
    extended_signature = "[rng],[size],(k),(k,d),(k,d,d)->[rng],(d)"
    _print_name = ("MvNormalMixture", "\\operatorname{MvNormalMixture}")

    def update(self, node: Apply) -> dict[Variable, Variable]:
        """The generator moves on by itself."""
        return {node.inputs[0]: node.outputs[0]}

    @classmethod
    def rv_op(
        cls, weight: Any, mean: Any, cov: Any, *, size: Any = None, rng: Variable | None = None
    ) -> TensorVariable:
        """A point of ``size`` points: its component by inversion, then a normal vector turned by that one's root."""
        parameters = _unpadded(weight, mean, cov)
        weight, mean, cov = parameters
        rng = normalize_rng_param(rng)
        size = normalize_size_param(size)
        batch = () if rv_size_is_none(size) else tuple(size)
        rng_, u = pt.random.uniform(size=batch, rng=rng, return_next_rng=True)
        rng_, noise = pt.random.normal(size=(*batch, mean.shape[-1]), rng=rng_, return_next_rng=True)
        component = (u[..., None] > pt.cumsum(weight)[:-1]).sum(-1)  # never K, however the weights round
        chol = cov @ precision_root(cov).mT
        x = mean[component] + (chol[component] * noise[..., None, :]).sum(-1)
        return cls(inputs=[rng, size, *parameters], outputs=[rng_, x])(rng, size, *parameters)


def _unpadded(*parameters: Any) -> list[TensorVariable]:
    """Weight (K,), mean (K, D) and cov (K, D, D) without the axes of length 1 that PyMC puts before them."""
    tensors = [pt.as_tensor(p).astype("float64") for p in parameters]
    for name, tensor, ndim in zip(("weight", "mean", "cov"), tensors, (1, 2, 3), strict=True):
        extra = tensor.type.shape[: max(0, tensor.ndim - ndim)]
        if tensor.ndim < ndim or any(n not in (1, None) for n in extra):
            raise ValueError(f"{name} must have {ndim} axes, got one of shape {tensor.type.shape}; see MvNormalMixture")
    return [
        t.squeeze(tuple(range(t.ndim - ndim))) if t.ndim > ndim else t
        for t, ndim in zip(tensors, (1, 2, 3), strict=True)
    ]


class MvNormalMixture(Continuous):
    r"""Mixture of K multivariate normal distributions.

    .. math:: p(x_n) = \sum_k w_k \, \mathrm{N}(x_n; m_k, \Sigma_k)

    Parameters
    ----------
    weight : (K,) tensor
        Sum to one.
    mean : (K, D) tensor
        Centres, in the units of the data.
    cov : (K, D, D) tensor
        Covariances; where one is not positive definite the log density is minus infinity.

    Examples
    --------
    >>> import pymc as pm
    >>> x = MvNormalMixture.dist([0.5, 0.5], [[0.0], [4.0]], [[[1.0]], [[1.0]]], shape=(2, 1))
    >>> pm.logp(x, [[2.0], [2.0]]).eval().round(4)
    array([-2.9189, -2.9189])
    """

    rv_type = MvNormalMixtureRV
    rv_op = MvNormalMixtureRV.rv_op

    @classmethod
    def dist(cls, weight: Any, mean: Any, cov: Any, **settings: Any) -> TensorVariable:
        """The distribution without a model; ``shape`` is (N, D)."""
        return super().dist(_unpadded(weight, mean, cov), **settings)

    def support_point(rv: TensorVariable, size: Any, weight: Any, mean: Any, cov: Any) -> TensorVariable:  # noqa: N805
        """The mixture's mean, for every point."""
        weight, mean, cov = _unpadded(weight, mean, cov)
        return pt.broadcast_to(weight @ mean, rv.shape)


@_logprob.register(MvNormalMixtureRV)
def _log_density(
    op: MvNormalMixtureRV, values: Sequence[Variable], rng: Variable, size: Variable, *parameters: Variable, **_: Any
) -> TensorVariable:
    """Not ``MvNormalMixture.logp``: PyMC would put an Alloc around that, and the sum over points would not see it."""
    weight, mean, cov = _unpadded(*parameters)
    value = pt.as_tensor(values[0]).astype("float64")
    rows = value if value.ndim == 2 else value.reshape((-1, value.shape[-1]))
    density = pointwise(rows, pt.log(weight), mean, precision_root(cov))
    return density if value.ndim == 2 else density.reshape(value.shape[:-1])


class Logits(Transform):
    """Weights on the simplex as the K - 1 logarithms of their ratios to the last one."""

    name = "logits"
    ndim_supp = 1

    def forward(self, value: TensorVariable, *inputs: Variable) -> TensorVariable:
        """Log ratios."""
        log_weight = pt.log(value)
        return log_weight[..., :-1] - log_weight[..., -1:]

    def backward(self, value: TensorVariable, *inputs: Variable) -> TensorVariable:
        """Weights, as exponentials of their logarithms, so that a logarithm of them is exact."""
        return pt.exp(self._log_weight(value))

    def log_jac_det(self, value: TensorVariable, *inputs: Variable) -> TensorVariable:
        """Σ_k log w_k over all K."""
        return self._log_weight(value).sum(-1)

    @staticmethod
    def _log_weight(value: TensorVariable) -> TensorVariable:
        value = pt.as_tensor(value)
        last = pt.zeros((*tuple(value.shape)[:-1], 1))
        return pt.special.log_softmax(pt.concatenate([value, last], axis=-1), axis=-1)


class Affine(Transform):
    """``v = (value - shift) / scale``, element by element.

    Parameters
    ----------
    shift, scale : number or array
        Broadcast against the value.
    ndim_supp : int
        How many trailing axes one log density covers.
    """

    name = "affine"

    def __init__(self, shift: ArrayLike, scale: ArrayLike, ndim_supp: int = 0) -> None:
        self.shift, self.scale, self.ndim_supp = np.asarray(shift, float), np.asarray(scale, float), ndim_supp

    def forward(self, value: TensorVariable, *inputs: Variable) -> TensorVariable:
        """Standardised."""
        return (value - self.shift) / self.scale

    def backward(self, value: TensorVariable, *inputs: Variable) -> TensorVariable:
        """In units again."""
        return self.shift + self.scale * value

    def log_jac_det(self, value: TensorVariable, *inputs: Variable) -> TensorVariable:
        """Σ log scale."""
        return _sum_last(pt.zeros_like(value) + np.log(np.abs(self.scale)), self.ndim_supp)


class LogPower(Transform):
    """``v = power log(value / scale)``, element by element: with power -1/2 a variance becomes a log precision root.

    Parameters
    ----------
    power : number
        Not zero.
    scale : number or array
        Positive; broadcast against the value.
    ndim_supp : int
        How many trailing axes one log density covers.
    """

    name = "logpower"  # no underscore: PyMC takes what stands before the last one for the variable's name

    def __init__(self, power: float, scale: ArrayLike = 1.0, ndim_supp: int = 0) -> None:
        self.power, self.scale, self.ndim_supp = float(power), np.asarray(scale, float), ndim_supp

    def forward(self, value: TensorVariable, *inputs: Variable) -> TensorVariable:
        """Unconstrained."""
        return self.power * pt.log(value / self.scale)

    def backward(self, value: TensorVariable, *inputs: Variable) -> TensorVariable:
        """Positive again."""
        return self.scale * pt.exp(value / self.power)

    def log_jac_det(self, value: TensorVariable, *inputs: Variable) -> TensorVariable:
        """Σ log(scale) + v / power - log|power|."""
        return _sum_last(value / self.power + (np.log(self.scale) - np.log(abs(self.power))), self.ndim_supp)


def _sum_last(x: TensorVariable, ndim: int) -> TensorVariable:
    return x.sum(axis=tuple(range(-ndim, 0))) if ndim else x


class OrderedAffine(Transform):
    """Increasing values (K, 1): standardised, then the first one and the logarithms of the gaps.

    Parameters
    ----------
    shift, scale : number or (1,) array
        ``z = (value - shift) / scale``; scale positive.
    """

    name = "ordered"
    ndim_supp = 2

    def __init__(self, shift: ArrayLike, scale: ArrayLike) -> None:
        self.shift, self.scale = np.asarray(shift, float), np.asarray(scale, float)

    def forward(self, value: TensorVariable, *inputs: Variable) -> TensorVariable:
        """First and log gaps; equal values, as in a prior's support point, are set one scale apart."""
        z = (value - self.shift) / self.scale
        gap = z[1:] - z[:-1]
        return pt.concatenate([z[:1], pt.log(pt.where(pt.eq(gap, 0.0), 1.0, gap))], axis=0)

    def backward(self, value: TensorVariable, *inputs: Variable) -> TensorVariable:
        """Increasing, in units again."""
        return self.shift + self.scale * pt.cumsum(pt.concatenate([value[:1], pt.exp(value[1:])], axis=0), axis=0)

    def log_jac_det(self, value: TensorVariable, *inputs: Variable) -> TensorVariable:
        """K log scale and the log gaps, as one number."""
        return (pt.zeros_like(value) + np.log(self.scale)).sum() + value[1:].sum()


class RootCoordinates(Transform):
    r"""Covariances (..., D, D) as the lower-triangular roots of their precisions, with logarithms on the diagonal.

    .. math:: P^\top P = (\mathrm{diag}(s)^{-1} \, \Sigma \, \mathrm{diag}(s)^{-1})^{-1}, \qquad
        v = (\log P_{00}, P_{10}, \log P_{11}, P_{20}, \dots)

    Parameters
    ----------
    scale : (D,) array
        ``s``, the scales of the features.

    References
    ----------
    .. [1] Bartlett (1934), Proc. R. Soc. Edinb. 53, 260-283: a Wishart precision in these coordinates.
    """

    name = "root"
    ndim_supp = 2

    def __init__(self, scale: ArrayLike) -> None:
        self.scale = np.atleast_1d(np.asarray(scale, float))
        self._row, self._column = np.tril_indices(self.scale.size)
        self._diagonal = np.flatnonzero(self._row == self._column)

    def forward(self, value: TensorVariable, *inputs: Variable) -> TensorVariable:
        """(..., D(D+1)/2), row by row of the lower triangle."""
        value = pt.as_tensor(value)
        d = self.scale.size
        root = precision_root(value.reshape((-1, d, d))) * self.scale
        packed = root[:, self._row, self._column]
        packed = packed[:, self._diagonal].set(pt.log(packed[:, self._diagonal]))
        return _with_batch(packed, value, 2, (len(self._row),))

    def backward(self, value: TensorVariable, *inputs: Variable) -> TensorVariable:
        """(..., D, D), a covariance whose precision root PyTensor recognises."""
        value = pt.as_tensor(value)
        d = self.scale.size
        flat = value if value.ndim == 2 else value.reshape((-1, len(self._row)))
        return _with_batch(covariance_of_root(unpack_root(flat, self.scale)), value, 1, (d, d))

    def log_jac_det(self, value: TensorVariable, *inputs: Variable) -> TensorVariable:
        """Of the D(D+1)/2 free entries of a covariance."""
        d = self.scale.size
        power = np.zeros(len(self._row))
        power[self._diagonal] = np.arange(2, d + 2) - 2 * (d + 1)
        return (value * power).sum(-1) + (d * np.log(2) + (d + 1) * np.log(self.scale).sum())


def _with_batch(x: TensorVariable, like: TensorVariable, ndim_core: int, core: tuple[int, ...]) -> TensorVariable:
    """The leading axes of ``like`` in place of the single one of x."""
    ndim = like.ndim - ndim_core
    return x if ndim == 1 else x.reshape((*tuple(like.shape)[:ndim], *core))
