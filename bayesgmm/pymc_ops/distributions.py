"""Mixture of multivariate normals as a PyMC distribution, and transforms to coordinates that PyMC samples well."""

from collections.abc import Sequence

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

type Tensor = ArrayLike | Variable
type Size = tuple[int, ...] | Variable | None


class MvNormalMixtureRV(SymbolicRandomVariable):
    """Random variable of points from a mixture, made of PyTensor's uniform and normal variables."""

    name = "mv_normal_mixture"
    extended_signature = "[rng],[size],(k),(k,d),(k,d,d)->[rng],(d)"
    _print_name = ("MvNormalMixture", "\\operatorname{MvNormalMixture}")

    def update(self, node: Apply) -> dict[Variable, Variable]:
        """Return the update of the random generator."""
        return {node.inputs[0]: node.outputs[0]}

    @classmethod
    def rv_op(
        cls, weight: Tensor, mean: Tensor, cov: Tensor, *, size: Size = None, rng: Variable | None = None
    ) -> TensorVariable:
        """Draw ``size`` points: a component for each by inversion, then a normal vector times its Cholesky factor."""
        parameters = _unpadded(weight, mean, cov)
        weight, mean, cov = parameters
        rng = normalize_rng_param(rng)
        size = normalize_size_param(size)
        batch = () if rv_size_is_none(size) else tuple(size)
        rng_, u = pt.random.uniform(size=batch, rng=rng, return_next_rng=True)
        rng_, noise = pt.random.normal(size=(*batch, mean.shape[-1]), rng=rng_, return_next_rng=True)
        component = (u[..., None] > pt.cumsum(weight)[:-1]).sum(
            -1
        )  # at most K - 1, also when rounded weights sum to less than one
        chol = cov @ precision_root(cov).mT
        x = mean[component] + (chol[component] * noise[..., None, :]).sum(-1)
        return cls(inputs=[rng, size, *parameters], outputs=[rng_, x])(rng, size, *parameters)


def _unpadded(*parameters: Tensor) -> list[TensorVariable]:
    """Return weight (K,), mean (K, D) and cov (K, D, D) without the leading axes of length 1 that PyMC adds.

    Raises
    ------
    ValueError
        When a parameter has too few axes, or a leading axis of another length.
    """
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
        They sum to one.
    mean : (K, D) tensor
        In the units of the data.
    cov : (K, D, D) tensor
        In squared units of the data. If one is not positive definite, the log density is minus infinity.

    Raises
    ------
    ValueError
        When a parameter has the wrong number of axes.

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
    def dist(cls, weight: Tensor, mean: Tensor, cov: Tensor, **settings: object) -> TensorVariable:
        """Make the distribution without a model; ``shape`` is (N, D)."""
        return super().dist(_unpadded(weight, mean, cov), **settings)

    def support_point(rv: TensorVariable, size: Size, weight: Tensor, mean: Tensor, cov: Tensor) -> TensorVariable:  # noqa: N805
        """Return the mean of the mixture for every point."""
        weight, mean, cov = _unpadded(weight, mean, cov)
        return pt.broadcast_to(weight @ mean, rv.shape)


@_logprob.register(MvNormalMixtureRV)
def _log_density(
    op: MvNormalMixtureRV, values: Sequence[Variable], rng: Variable, size: Variable, *parameters: Variable, **_: object
) -> TensorVariable:
    """Return the log density of each point.

    It is no method ``logp``, because PyMC would wrap that in an Alloc, which hides it from the rewrite of its sum.
    """
    weight, mean, cov = _unpadded(*parameters)
    value = pt.as_tensor(values[0]).astype("float64")
    rows = value if value.ndim == 2 else value.reshape((-1, value.shape[-1]))
    density = pointwise(rows, pt.log(weight), mean, precision_root(cov))
    return density if value.ndim == 2 else density.reshape(value.shape[:-1])


class Logits(Transform):
    """Transform of weights (..., K) on the simplex to logarithms (..., K - 1) of their ratios to the last weight.

    Examples
    --------
    >>> Logits().forward(pt.as_tensor([0.5, 0.25, 0.25])).eval().round(3)
    array([0.693, 0.   ])
    """

    name = "logits"
    ndim_supp = 1

    def forward(self, value: TensorVariable, *inputs: Variable) -> TensorVariable:
        """Compute log ratios (..., K - 1) of weights."""
        log_weight = pt.log(value)
        return log_weight[..., :-1] - log_weight[..., -1:]

    def backward(self, value: TensorVariable, *inputs: Variable) -> TensorVariable:
        """Compute weights (..., K), as exponentials of their logarithms, so that a logarithm of them is exact."""
        return pt.exp(self._log_weight(value))

    def log_jac_det(self, value: TensorVariable, *inputs: Variable) -> TensorVariable:
        """Compute the sum of all K log weights."""
        return self._log_weight(value).sum(-1)

    @staticmethod
    def _log_weight(value: TensorVariable) -> TensorVariable:
        value = pt.as_tensor(value)
        last = pt.zeros((*tuple(value.shape)[:-1], 1))
        return pt.special.log_softmax(pt.concatenate([value, last], axis=-1), axis=-1)


class Affine(Transform):
    """Transform ``v = (value - shift) / scale``, element by element.

    Parameters
    ----------
    shift, scale : number or array
        Broadcast against the value.
    ndim_supp : int
        Number of trailing axes over which one log density is computed.

    Examples
    --------
    >>> Affine(shift=10.0, scale=2.0).forward(pt.as_tensor([14.0])).eval()
    array([2.])
    """

    name = "affine"

    def __init__(self, shift: ArrayLike, scale: ArrayLike, ndim_supp: int = 0) -> None:
        self.shift, self.scale, self.ndim_supp = np.asarray(shift, float), np.asarray(scale, float), ndim_supp

    def forward(self, value: TensorVariable, *inputs: Variable) -> TensorVariable:
        """Standardise values."""
        return (value - self.shift) / self.scale

    def backward(self, value: TensorVariable, *inputs: Variable) -> TensorVariable:
        """Compute values from standardised ones."""
        return self.shift + self.scale * value

    def log_jac_det(self, value: TensorVariable, *inputs: Variable) -> TensorVariable:
        """Compute the sum of log scales."""
        return _sum_last(pt.zeros_like(value) + np.log(np.abs(self.scale)), self.ndim_supp)


class LogPower(Transform):
    """Transform ``v = power log(value / scale)``, element by element.

    With power -1/2 a variance becomes the logarithm of the root of its precision.

    Parameters
    ----------
    power : number
        Not zero.
    scale : number or array
        Positive; broadcast against the value.
    ndim_supp : int
        Number of trailing axes over which one log density is computed.

    Examples
    --------
    >>> LogPower(power=-0.5).forward(pt.as_tensor([1.0, 4.0])).eval().round(3)
    array([-0.   , -0.693])
    """

    name = "logpower"  # without underscore: PyMC reads the variable's name up to the last underscore

    def __init__(self, power: float, scale: ArrayLike = 1.0, ndim_supp: int = 0) -> None:
        self.power, self.scale, self.ndim_supp = float(power), np.asarray(scale, float), ndim_supp

    def forward(self, value: TensorVariable, *inputs: Variable) -> TensorVariable:
        """Compute unconstrained values from positive ones."""
        return self.power * pt.log(value / self.scale)

    def backward(self, value: TensorVariable, *inputs: Variable) -> TensorVariable:
        """Compute positive values from unconstrained ones."""
        return self.scale * pt.exp(value / self.power)

    def log_jac_det(self, value: TensorVariable, *inputs: Variable) -> TensorVariable:
        """Compute the sum of log(scale) + v / power - log|power|."""
        return _sum_last(value / self.power + (np.log(self.scale) - np.log(abs(self.power))), self.ndim_supp)


def _sum_last(x: TensorVariable, ndim: int) -> TensorVariable:
    return x.sum(axis=tuple(range(-ndim, 0))) if ndim else x


class OrderedAffine(Transform):
    """Transform of increasing values (K, 1) to the first standardised value and the logarithms of the gaps.

    Parameters
    ----------
    shift, scale : number or (1,) array
        Standardised values are ``(value - shift) / scale``; scale must be positive.

    Examples
    --------
    >>> OrderedAffine(shift=0.0, scale=1.0).backward(pt.as_tensor([[1.0], [0.0]])).eval()
    array([[1.],
           [2.]])
    """

    name = "ordered"
    ndim_supp = 2

    def __init__(self, shift: ArrayLike, scale: ArrayLike) -> None:
        self.shift, self.scale = np.asarray(shift, float), np.asarray(scale, float)

    def forward(self, value: TensorVariable, *inputs: Variable) -> TensorVariable:
        """Compute the first value and log gaps; for equal values, as in a support point, the gap is one scale."""
        z = (value - self.shift) / self.scale
        gap = z[1:] - z[:-1]
        return pt.concatenate([z[:1], pt.log(pt.where(pt.eq(gap, 0.0), 1.0, gap))], axis=0)

    def backward(self, value: TensorVariable, *inputs: Variable) -> TensorVariable:
        """Compute increasing values (K, 1)."""
        return self.shift + self.scale * pt.cumsum(pt.concatenate([value[:1], pt.exp(value[1:])], axis=0), axis=0)

    def log_jac_det(self, value: TensorVariable, *inputs: Variable) -> TensorVariable:
        """Compute K log scale plus the sum of the log gaps, one number."""
        return (pt.zeros_like(value) + np.log(self.scale)).sum() + value[1:].sum()


class RootCoordinates(Transform):
    r"""Transform of covariances (..., D, D) to roots of their precisions, with logarithms on the diagonal.

    .. math:: P^\top P = (\mathrm{diag}(s)^{-1} \, \Sigma \, \mathrm{diag}(s)^{-1})^{-1}, \qquad
        v = (\log P_{00}, P_{10}, \log P_{11}, P_{20}, \dots)

    Parameters
    ----------
    scale : (D,) array
        Scales ``s`` of the features.

    References
    ----------
    .. [1] Bartlett (1934), Proc. R. Soc. Edinb. 53, 260-283: a Wishart precision in these coordinates.

    Examples
    --------
    A variance of 4 has a precision root of 1/2.

    >>> RootCoordinates([1.0]).forward(pt.as_tensor([[4.0]])).eval().round(3)
    array([-0.693])
    """

    name = "root"
    ndim_supp = 2

    def __init__(self, scale: ArrayLike) -> None:
        self.scale = np.atleast_1d(np.asarray(scale, float))
        self._row, self._column = np.tril_indices(self.scale.size)
        self._diagonal = np.flatnonzero(self._row == self._column)

    def forward(self, value: TensorVariable, *inputs: Variable) -> TensorVariable:
        """Compute coordinates (..., D(D+1)/2), row by row of the lower triangle."""
        value = pt.as_tensor(value)
        d = self.scale.size
        root = precision_root(value.reshape((-1, d, d))) * self.scale
        packed = root[:, self._row, self._column]
        packed = packed[:, self._diagonal].set(pt.log(packed[:, self._diagonal]))
        return _with_batch(packed, value, 2, (len(self._row),))

    def backward(self, value: TensorVariable, *inputs: Variable) -> TensorVariable:
        """Compute covariances (..., D, D) by an Op that PyTensor can simplify together with ``precision_root``."""
        value = pt.as_tensor(value)
        d = self.scale.size
        flat = value if value.ndim == 2 else value.reshape((-1, len(self._row)))
        return _with_batch(covariance_of_root(unpack_root(flat, self.scale)), value, 1, (d, d))

    def log_jac_det(self, value: TensorVariable, *inputs: Variable) -> TensorVariable:
        """Compute the log Jacobian determinant of the D(D+1)/2 free entries of a covariance."""
        d = self.scale.size
        power = np.zeros(len(self._row))
        power[self._diagonal] = np.arange(2, d + 2) - 2 * (d + 1)
        return (value * power).sum(-1) + (d * np.log(2) + (d + 1) * np.log(self.scale).sum())


def _with_batch(x: TensorVariable, like: TensorVariable, ndim_core: int, core: tuple[int, ...]) -> TensorVariable:
    """Replace the first axis of x by the leading axes of ``like``."""
    ndim = like.ndim - ndim_core
    return x if ndim == 1 else x.reshape((*tuple(like.shape)[:ndim], *core))
