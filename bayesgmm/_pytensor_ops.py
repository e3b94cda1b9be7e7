"""The fold and small matrix functions as PyTensor Ops, so that gradients and every PyMC tool find them.

An Op here is a numba kernel and a signature such as ``(k,d,d)->(k)``, from which PyTensor learns ranks and shapes.
Kernels take no lock and start no threads: whoever calls them holds the threads.
"""

import inspect
import math
import sys
from collections.abc import Callable, Sequence
from hashlib import sha256

import numba as nb
import numpy as np
import pytensor.tensor as pt
from pytensor.gradient import DisconnectedType, disconnected_type, grad_not_implemented
from pytensor.graph.basic import Apply, Variable
from pytensor.graph.op import Op
from pytensor.graph.rewriting.basic import node_rewriter
from pytensor.link.numba.dispatch.basic import register_funcify_default_op_cache_key
from pytensor.tensor.basic import Alloc
from pytensor.tensor.math import Sum
from pytensor.tensor.rewriting.basic import register_canonicalize, register_specialize
from pytensor.tensor.utils import _parse_gufunc_signature

from bayesgmm import _kernels, _native, _simd
from bayesgmm._kernels import BLOCK, moments_width
from bayesgmm._native import pull_back

_LOG_2PI = math.log(2 * math.pi)
_CHUNK = 64  # blocks laid out at once: they stay in the second-level cache

# Not numba's disk cache: it would miss a change in the files below, PyTensor's is told of it.
_jit = nb.njit(error_model="numpy", nogil=True)
_SOURCES = (_simd, _kernels, _native, sys.modules[__name__])
_VERSION = int(sha256("".join(inspect.getsource(m) for m in _SOURCES).encode()).hexdigest()[:15], 16)


@_jit
def _table(log_weight, mean, root, offset, flat_mean, flat_root):  # noqa: ANN001, ANN202
    """Write what the sweep reads; say whether it describes a density."""
    n_components, n_features = mean.shape
    checked = 0.0
    proper = True
    for k in range(n_components):
        offset[k] = log_weight[k] - 0.5 * n_features * _LOG_2PI
        proper &= log_weight[k] < math.inf
        for i in range(n_features):
            flat_mean[k * n_features + i] = mean[k, i]
            checked += 0.0 * mean[k, i]
            for j in range(n_features):
                p = root[k, i, j] if j <= i else 0.0
                flat_root[(k * n_features + i) * n_features + j] = p
                checked += 0.0 * p
            proper &= root[k, i, i] > 0.0
            offset[k] += math.log(root[k, i, i])
    return proper and checked == 0.0  # an infinity or a NaN times zero is a NaN


@_jit
def _lay_out(x, d, row_weight, start, blocks, weights):  # noqa: ANN001, ANN202
    """Lay out rows from ``start`` on in blocks, as many as there is room for; return how many blocks."""
    n = row_weight.size
    n_blocks = min(_CHUNK, -(-(n - start) // BLOCK))
    for b in range(n_blocks):
        first = start + b * BLOCK
        size = min(BLOCK, n - first)
        for j in range(d):
            at = (b * d + j) * BLOCK
            for p in range(size):
                blocks[at + p] = x[(first + p) * d + j]
            for p in range(size, BLOCK):
                blocks[at + p] = 0.0
    size = min(n_blocks * BLOCK, n - start)
    weights[:size] = row_weight[start : start + size]
    weights[size:] = 0.0
    return n_blocks


@_jit
def _fold_rows(x, row_weight, log_weight, mean, root):  # noqa: ANN001, ANN202
    """Weighted log likelihood of rows, and its gradients; -inf and zeros where the parameters make no density."""
    k, d = mean.shape
    offset, flat_mean, flat_root = np.empty(k), np.empty(k * d), np.empty(k * d * d)
    n, d_mean, d_root, d_packed = np.zeros(k), np.zeros((k, d)), np.zeros((k, d, d)), np.zeros(k * d * (d + 1) // 2)
    if not _table(log_weight, mean, root, offset, flat_mean, flat_root):
        return np.array(-np.inf), n, d_mean, d_root
    blocks, weights = np.empty(_CHUNK * BLOCK * d), np.empty(_CHUNK * BLOCK)
    out, sums = np.empty((1, 1 + k * moments_width(d, False))), np.zeros(k * moments_width(d, False))
    value = 0.0
    rows = np.ascontiguousarray(x).reshape(-1)
    for start in range(0, x.shape[0], _CHUNK * BLOCK):
        n_blocks = _lay_out(rows, d, row_weight, start, blocks, weights)
        _kernels.fold(blocks, weights, offset, flat_mean, flat_root, d, n_blocks, 0, 1, out)
        value += out[0, 0]
        for t in range(sums.size):
            sums[t] += out[0, t + 1]
    pull_back(sums, flat_root, d, False, False, False, n, d_mean.reshape(-1), d_packed)
    t = 0
    for c in range(k):
        for i in range(d):
            for j in range(i + 1):
                d_root[c, i, j] = d_packed[t]
                t += 1
            d_root[c, i, i] /= root[c, i, i]
    return np.array(value), n, d_mean, d_root


@_jit
def _score_rows(x, log_weight, mean, root):  # noqa: ANN001, ANN202
    """Log density of each row."""
    k, d = mean.shape
    offset, flat_mean, flat_root = np.empty(k), np.empty(k * d), np.empty(k * d * d)
    result = np.full(x.shape[0], -np.inf)
    if not _table(log_weight, mean, root, offset, flat_mean, flat_root):
        return result
    blocks, weights = np.empty(_CHUNK * BLOCK * d), np.empty(_CHUNK * BLOCK)
    out = np.empty(_CHUNK * BLOCK)
    rows = np.ascontiguousarray(x).reshape(-1)
    for start in range(0, x.shape[0], _CHUNK * BLOCK):
        n_blocks = _lay_out(rows, d, result, start, blocks, weights)
        _kernels.log_densities(blocks, offset, flat_mean, flat_root, k, d, 0, n_blocks, out)
        for p in range(min(n_blocks * BLOCK, x.shape[0] - start)):
            result[start + p] = out[p]
    return result


@_jit
def _invert_root(root, inverse):  # noqa: ANN001, ANN202
    """Inverse of a lower triangle."""
    d = root.shape[0]
    for j in range(d):
        for i in range(j):
            inverse[i, j] = 0.0
        inverse[j, j] = 1.0 / root[j, j]
        for i in range(j + 1, d):
            total = 0.0
            for l in range(j, i):
                total += root[i, l] * inverse[l, j]
            inverse[i, j] = -total / root[i, i]


@_jit
def _precision_roots(cov):  # noqa: ANN001, ANN202
    """Cholesky's algorithm on the lower triangle of the symmetric part, then the inverse; NaN where it fails."""
    k, d = cov.shape[0], cov.shape[1]
    roots, chol = np.empty((k, d, d)), np.zeros((d, d))
    for c in range(k):
        proper = True
        for i in range(d):
            for j in range(i + 1):
                total = 0.5 * (cov[c, i, j] + cov[c, j, i])
                for l in range(j):
                    total -= chol[i, l] * chol[j, l]
                if i == j:
                    proper &= total > 0.0
                    chol[i, i] = math.sqrt(total) if total > 0.0 else math.nan
                else:
                    chol[i, j] = total / chol[j, j]
        _invert_root(chol, roots[c])
        if not proper:
            roots[c] = math.nan
    return roots


@_jit
def _covariances_of_roots(root):  # noqa: ANN001, ANN202
    """The inverse of P'P."""
    k, d = root.shape[0], root.shape[1]
    cov, chol = np.empty((k, d, d)), np.empty((d, d))
    for c in range(k):
        _invert_root(root[c], chol)
        for i in range(d):
            for j in range(i + 1):
                total = 0.0
                for l in range(j + 1):
                    total += chol[i, l] * chol[j, l]
                cov[c, i, j] = cov[c, j, i] = total
    return cov


@_jit
def _pull_back_precision_roots(root, cotangent):  # noqa: ANN001, ANN202
    """From dP = -Φ(P dS P') P, where Φ is the lower triangle with half its diagonal."""
    k, d = root.shape[0], root.shape[1]
    out, inner, half = np.empty((k, d, d)), np.empty((d, d)), np.empty((d, d))
    for c in range(k):
        p, g = root[c], cotangent[c]
        for i in range(d):
            for j in range(i + 1):
                total = 0.0
                for l in range(j + 1):
                    total += g[i, l] * p[j, l]
                inner[i, j] = total if j < i else 0.5 * total
        for i in range(d):
            for j in range(d):
                half[i, j] = 0.0
                for l in range(j, i + 1):
                    half[i, j] += inner[i, l] * p[l, j]
        for i in range(d):
            for j in range(d):
                total = 0.0
                for l in range(d):
                    total += p[l, i] * half[l, j]
                inner[i, j] = total
        for i in range(d):
            for j in range(d):
                out[c, i, j] = -0.5 * (inner[i, j] + inner[j, i])
    return out


@_jit
def _unpack_roots(packed, scale):  # noqa: ANN001, ANN202
    """Rows of a lower triangle with logarithms on the diagonal become roots, and columns are divided by ``scale``."""
    k, d = packed.shape[0], scale.size
    root = np.zeros((k, d, d))
    for c in range(k):
        t = 0
        for i in range(d):
            for j in range(i + 1):
                root[c, i, j] = (math.exp(packed[c, t]) if i == j else packed[c, t]) / scale[j]
                t += 1
    return root


@_jit
def _pull_back_unpacked(packed, scale, root, cotangent):  # noqa: ANN001, ANN202
    k, d = packed.shape[0], scale.size
    out = np.empty(packed.shape)
    for c in range(k):
        t = 0
        for i in range(d):
            for j in range(i + 1):
                out[c, t] = cotangent[c, i, j] * (root[c, i, i] if i == j else 1.0 / scale[j])
                t += 1
    return out


class KernelOp(Op):
    """A numba kernel between float64 arrays: a subclass says which kernel, its signature, and its pullback."""

    __props__ = ()
    kernel: Callable
    gufunc_signature: str

    def _names(self) -> tuple[list[tuple[str, ...]], list[tuple[str, ...]]]:
        return _parse_gufunc_signature(self.gufunc_signature)

    def make_node(self, *inputs: Variable) -> Apply:
        """Check ranks, and pass on the lengths that are known."""
        names, out_names = self._names()
        inputs = [pt.as_tensor(v, dtype="float64", ndim=len(n)) for v, n in zip(inputs, names, strict=True)]
        known: dict[str, int | None] = {}
        for v, axes in zip(inputs, names, strict=True):
            known |= {a: n for a, n in zip(axes, v.type.shape, strict=True) if known.get(a) is None}
        outputs = [pt.tensor(dtype="float64", shape=tuple(known[a] for a in axes)) for axes in out_names]
        return Apply(self, inputs, outputs)

    def perform(self, node: Apply, inputs: Sequence[np.ndarray], output_storage: list[list]) -> None:
        """Call the kernel from Python."""
        results = type(self).kernel(*inputs)
        for cell, value in zip(output_storage, results if len(node.outputs) > 1 else [results], strict=True):
            cell[0] = value

    def infer_shape(self, node: Apply, shapes: Sequence[tuple]) -> list[tuple]:
        """Shapes of the outputs, from those of the inputs."""
        names, out_names = self._names()
        lengths = {a: n for axes, shape in zip(names, shapes, strict=True) for a, n in zip(axes, shape, strict=True)}
        return [tuple(lengths[a] for a in axes) for axes in out_names]


@register_funcify_default_op_cache_key(KernelOp)
def _kernel_of(op: KernelOp, **_: object) -> tuple[Callable, int]:
    return type(op).kernel, _VERSION


class Fold(KernelOp):
    """Σ_n w_n log p(x_n), and its gradients with respect to log weights, means and precision roots."""

    gufunc_signature = "(n,d),(n),(k),(k,d),(k,d,d)->(),(k),(k,d),(k,d,d)"
    kernel = _fold_rows

    def pullback(self, inputs: Sequence, outputs: Sequence, cotangents: Sequence) -> list:
        """Its own outputs: one node in a compiled value and gradient."""
        if not all(isinstance(c.type, DisconnectedType) for c in cotangents[1:]):
            raise NotImplementedError("second derivatives of a mixture's log density")
        x, _, *parameters = inputs
        by_row = cotangents[0] * pointwise(x, *parameters)
        return [_no_gradient_in_points(self, x), by_row, *(cotangents[0] * out for out in outputs[1:])]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        """Points count as connected, so that asking for their gradient is an error and not a zero."""
        return [[True] * 4] * 5


class Pointwise(KernelOp):
    """Log density of each point."""

    gufunc_signature = "(n,d),(k),(k,d),(k,d,d)->(n)"
    kernel = _score_rows

    def pullback(self, inputs: Sequence, outputs: Sequence, cotangents: Sequence) -> list:
        """A fold whose row weights are the cotangents."""
        x, *parameters = inputs
        return [_no_gradient_in_points(self, x), *fold(x, cotangents[0], *parameters)[1:]]


def _no_gradient_in_points(op: Op, x: Variable) -> Variable:
    return grad_not_implemented(op, 0, x, "the points of an MvNormalMixture must be observed to use gradients")


class PrecisionRoot(KernelOp):
    """Lower-triangular P with P'P the inverse of a covariance; NaN where that is not positive definite."""

    gufunc_signature = "(k,d,d)->(k,d,d)"
    kernel = _precision_roots

    def pullback(self, inputs: Sequence, outputs: Sequence, cotangents: Sequence) -> list:
        """Loops over its own output."""
        return [_pulled_back_root(outputs[0], cotangents[0])]


class _PullBackPrecisionRoot(KernelOp):
    gufunc_signature = "(k,d,d),(k,d,d)->(k,d,d)"
    kernel = _pull_back_precision_roots


class CovarianceOfRoot(KernelOp):
    """The covariance whose precision root this is."""

    gufunc_signature = "(k,d,d)->(k,d,d)"
    kernel = _covariances_of_roots

    def pullback(self, inputs: Sequence, outputs: Sequence, cotangents: Sequence) -> list:
        """From dS = -L dP S - S dP' L', where L = S P' is the inverse of P."""
        root, cov, g = inputs[0], outputs[0], cotangents[0]
        return [-pt.tril(root @ cov @ (g + g.mT) @ cov)]


class UnpackRoot(KernelOp):
    """Precision roots (K, D, D) from unconstrained coordinates (K, D(D+1)/2) and scales (D,) of the features."""

    gufunc_signature = "(k,m),(d)->(k,d,d)"
    kernel = _unpack_roots

    def pullback(self, inputs: Sequence, outputs: Sequence, cotangents: Sequence) -> list:
        """Packed again, with the diagonal's factor."""
        return [_pulled_back(*inputs, outputs[0], cotangents[0]), disconnected_type()]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        """Scales are constants."""
        return [[True], [False]]


class _PullBackUnpacked(KernelOp):
    gufunc_signature = "(k,m),(d),(k,d,d),(k,d,d)->(k,m)"
    kernel = _pull_back_unpacked


fold = Fold()
pointwise = Pointwise()
precision_root = PrecisionRoot()
covariance_of_root = CovarianceOfRoot()
unpack_root = UnpackRoot()
_ONE = pt.constant(1.0, dtype="float64")
_pulled_back = _PullBackUnpacked()
_pulled_back_root = _PullBackPrecisionRoot()


@register_canonicalize
@node_rewriter([Sum])
def sum_of_pointwise_is_a_fold(fgraph: object, node: Apply) -> list[Variable] | None:
    """``Sum(Pointwise) -> Fold``: value and gradient from one sweep."""
    inner = node.inputs[0].owner
    if inner is None or not isinstance(inner.op, Pointwise):
        return None
    x, *parameters = inner.inputs
    return [fold(x, pt.alloc(_ONE, x.shape[0]), *parameters)[0]]


@register_specialize
@node_rewriter([Fold])
def fold_of_equal_weights(fgraph: object, node: Apply) -> list[Variable] | None:
    """``Fold(c, ..., c) -> c Fold(1, ..., 1)``: a gradient taken before the rewrite above finds the same node."""
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
    """``PrecisionRoot(CovarianceOfRoot(P)) -> P``."""
    inner = node.inputs[0].owner
    return [inner.inputs[0]] if inner is not None and isinstance(inner.op, CovarianceOfRoot) else None
