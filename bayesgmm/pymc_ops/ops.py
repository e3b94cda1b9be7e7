"""PyTensor Ops for the fold and small matrix functions, with gradients.

An Op here is a numba kernel with a signature such as ``(k,d,d)->(k)``, which gives the ranks and shapes.
"""

import inspect
import sys
from collections.abc import Callable, Sequence
from functools import cache
from hashlib import sha256
from typing import Any

import numpy as np
import pytensor.tensor as pt
from numba.core.dispatcher import Dispatcher
from pytensor.gradient import DisconnectedType, disconnected_type, grad_not_implemented
from pytensor.graph.basic import Apply, Variable
from pytensor.graph.op import Op
from pytensor.graph.rewriting.basic import node_rewriter
from pytensor.link.numba.dispatch.basic import register_funcify_default_op_cache_key
from pytensor.tensor.basic import Alloc
from pytensor.tensor.math import Sum
from pytensor.tensor.rewriting.basic import register_canonicalize, register_specialize
from pytensor.tensor.utils import _parse_gufunc_signature

from bayesgmm.sweep import coordinate_kernels, kernels, layout, orchestration, row_kernels, simd
from bayesgmm.sweep.code_cache import cached_kernel
from bayesgmm.sweep.compilation import OPTIONS

# The version is part of the key of PyTensor's disk cache: it changes when one of these files changes.
_SOURCES = (layout, simd, kernels, orchestration, coordinate_kernels, row_kernels, sys.modules[__name__])
_VERSION = int(sha256("".join(inspect.getsource(m) for m in _SOURCES).encode()).hexdigest()[:15], 16)


class KernelOp(Op):
    """Base class of Ops made of a numba kernel on float64 arrays; a subclass has kernel, signature and pullback."""

    __props__ = ()
    kernel: Callable[..., Any]
    gufunc_signature: str

    def _names(self) -> tuple[list[tuple[str, ...]], ...]:
        return _parse_gufunc_signature(self.gufunc_signature)

    def make_node(self, *inputs: Variable) -> Apply:
        """Check the ranks, and set the lengths of output axes that are known."""
        names, out_names = self._names()
        tensors = [pt.as_tensor(v, dtype="float64", ndim=len(n)) for v, n in zip(inputs, names, strict=True)]
        known: dict[str, int | None] = {}
        for v, axes in zip(tensors, names, strict=True):
            known |= {a: n for a, n in zip(axes, v.type.shape, strict=True) if known.get(a) is None}
        outputs = [pt.tensor(dtype="float64", shape=tuple(known[a] for a in axes)) for axes in out_names]
        return Apply(self, tensors, outputs)

    def perform(self, node: Apply, inputs: Sequence[np.ndarray], output_storage: list[list[Any]]) -> None:
        """Call the kernel from Python."""
        kernel = _stored(type(self).kernel)
        results = kernel(*(np.require(v, requirements=["C", "W"]) for v in inputs))  # one compilation
        for cell, value in zip(output_storage, results if len(node.outputs) > 1 else [results], strict=True):
            cell[0] = value

    def infer_shape(self, node: Apply, shapes: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        """Return the shapes of the outputs, given those of the inputs."""
        names, out_names = self._names()
        lengths = {a: n for axes, shape in zip(names, shapes, strict=True) for a, n in zip(axes, shape, strict=True)}
        return [tuple(lengths[a] for a in axes) for axes in out_names]


@cache
def _stored(kernel: Dispatcher) -> Dispatcher:
    """Return a kernel for calls from Python, whose compiled code is kept on disk: compiling takes seconds."""
    return cached_kernel(kernel.py_func, f"{_VERSION:x}", OPTIONS)


@register_funcify_default_op_cache_key(KernelOp)
def _kernel_of(op: KernelOp, **_: object) -> tuple[Callable[..., Any], int]:
    return type(op).kernel, _VERSION


class Fold(KernelOp):
    """Weighted log likelihood, and its gradients with respect to log weights, means and precision roots."""

    gufunc_signature = "(n,d),(n),(k),(k,d),(k,d,d)->(),(k),(k,d),(k,d,d)"
    kernel = row_kernels.fold_rows

    def pullback(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        """Return its own outputs times the cotangent, so that value and gradient are one compiled node.

        Raises
        ------
        NotImplementedError
            For second derivatives.
        """
        if not all(isinstance(c.type, DisconnectedType) for c in cotangents[1:]):
            raise NotImplementedError("second derivatives of a mixture's log density")
        x, _, *parameters = inputs
        by_row = cotangents[0] * pointwise(x, *parameters)
        return [_no_gradient_in_points(self, x), by_row, *(cotangents[0] * out for out in outputs[1:])]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        """Declare points as connected, so that their gradient raises an error and is not zero."""
        return [[True] * 4] * 5


class Pointwise(KernelOp):
    """Log density of each point."""

    gufunc_signature = "(n,d),(k),(k,d),(k,d,d)->(n)"
    kernel = row_kernels.score_rows

    def pullback(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        """Return a fold whose row weights are the cotangents."""
        x, *parameters = inputs
        return [_no_gradient_in_points(self, x), *fold(x, cotangents[0], *parameters)[1:]]


def _no_gradient_in_points(op: Op, x: Variable) -> Variable:
    return grad_not_implemented(op, 0, x, "the points of an MvNormalMixture must be observed to use gradients")


class PrecisionRoot(KernelOp):
    """Lower-triangular P with P'P the inverse of a covariance; NaN if the covariance is not positive definite."""

    gufunc_signature = "(k,d,d)->(k,d,d)"
    kernel = row_kernels.precision_roots

    def pullback(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        """Compute the gradient by loops over the output of this Op."""
        return [_pulled_back_root(outputs[0], cotangents[0])]


class _PullBackPrecisionRoot(KernelOp):
    gufunc_signature = "(k,d,d),(k,d,d)->(k,d,d)"
    kernel = row_kernels.pull_back_precision_roots


class CovarianceOfRoot(KernelOp):
    """Covariance of a precision root."""

    gufunc_signature = "(k,d,d)->(k,d,d)"
    kernel = row_kernels.covariances_of_roots

    def pullback(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        """Compute the gradient from dS = -L dP S - S dP' L', where L = S P' is the inverse of P."""
        root, cov, g = inputs[0], outputs[0], cotangents[0]
        return [-pt.tril(root @ cov @ (g + g.mT) @ cov)]


class UnpackRoot(KernelOp):
    """Precision roots (K, D, D) from unconstrained coordinates (K, D(D+1)/2) and scales (D,) of the features."""

    gufunc_signature = "(k,m),(d)->(k,d,d)"
    kernel = row_kernels.unpack_roots

    def pullback(self, inputs: Sequence[Any], outputs: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        """Compute the gradient: packed, with the factor of the diagonal."""
        return [_pulled_back(*inputs, outputs[0], cotangents[0]), disconnected_type()]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        """Declare the scales as constants."""
        return [[True], [False]]


class _PullBackUnpacked(KernelOp):
    gufunc_signature = "(k,m),(d),(k,d,d),(k,d,d)->(k,m)"
    kernel = row_kernels.pull_back_unpacked


fold = Fold()
pointwise = Pointwise()
precision_root = PrecisionRoot()
covariance_of_root = CovarianceOfRoot()
unpack_root = UnpackRoot()
_ONE = pt.constant(1.0, dtype="float64")
_pulled_back = _PullBackUnpacked()
_pulled_back_root = _PullBackPrecisionRoot()


@register_specialize  # for a scaled sum, whose factor is pulled out only there
@register_canonicalize
@node_rewriter([Sum])
def sum_of_pointwise_is_a_fold(fgraph: object, node: Apply) -> list[Variable] | None:
    """Rewrite ``Sum(Pointwise) -> Fold``, so that value and gradient come from one sweep."""
    inner = node.inputs[0].owner
    if inner is None or not isinstance(inner.op, Pointwise):
        return None
    x, *parameters = inner.inputs
    return [fold(x, pt.alloc(_ONE, x.shape[0]), *parameters)[0]]


@register_specialize
@node_rewriter([Fold])
def fold_of_equal_weights(fgraph: object, node: Apply) -> list[Variable] | None:
    """Rewrite ``Fold(c, ..., c) -> c Fold(1, ..., 1)``, the node that a gradient before the rewrite above contains."""
    x, row_weight, *parameters = node.inputs
    if row_weight.owner is None or not isinstance(row_weight.owner.op, Alloc):
        return None
    weight = row_weight.owner.inputs[0]
    if weight.type.shape not in ((), (1,)) or _ONE.equals(weight):
        return None
    return [weight.squeeze() * out for out in fold(x, pt.alloc(_ONE, x.shape[0]), *parameters)]


@register_canonicalize
@node_rewriter([PrecisionRoot])
def root_of_covariance_of_root(fgraph: object, node: Apply) -> list[Variable] | None:
    """Rewrite ``PrecisionRoot(CovarianceOfRoot(P)) -> P``."""
    inner = node.inputs[0].owner
    return [inner.inputs[0]] if inner is not None and isinstance(inner.op, CovarianceOfRoot) else None
