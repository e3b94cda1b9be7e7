r"""Tables of components with few factors: :math:`\Sigma_k = P_k^{-1} (I + W_k W_k^\top) P_k^{-1}`, P diagonal.

A root is (D, q + 1): the loadings W in standard deviations of the noise, and last the diagonal of P, the reciprocals of
these standard deviations. The sweep takes D q multiplications a point and component in place of D^2.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from bayesgmm.sweep import factor_kernels
from bayesgmm.sweep.blocks import Blocks
from bayesgmm.sweep.factor_kernels import NativeFactors
from bayesgmm.sweep.orchestration import NativeTable
from bayesgmm.sweep.stats import LOG_2PI, Array, Stats, Table
from bayesgmm.sweep.threads import enough_threads, run_rows


def inner(loadings: Array) -> Array:
    """Compute I + W'W (..., q, q) of loadings W (..., D, q)."""
    return np.eye(loadings.shape[-1]) + np.swapaxes(loadings, -1, -2) @ loadings


def projection(root: Array) -> Array:
    """Compute P B (..., D, q), which gives the expected factors of a point: ``(x - mean) @ projection``.

    Examples
    --------
    One factor with loadings 1 and noise of variance 1 in both columns: z = (x_1 + x_2) / 3.

    >>> projection(np.ones((2, 2))).round(3)
    array([[0.333],
           [0.333]])
    """
    loadings = root[..., :-1]
    return np.asarray(root[..., -1:] * loadings @ np.linalg.inv(inner(loadings)))


@dataclass(frozen=True)
class FactorTable(Table):
    """K components with q factors that score points, or a stack of S such tables.

    Parameters
    ----------
    offset : (..., K) float
    mean : (..., K, D) float
    root : (..., K, D, q + 1) float
        Loadings in standard deviations of the noise, then the reciprocals of these.
    """

    @classmethod
    def from_parameters(cls, log_weight: ArrayLike, mean: ArrayLike, root: ArrayLike) -> "FactorTable":
        """Make the table of a mixture from its log weights (K,), means (K, D) and roots (K, D, q + 1).

        Examples
        --------
        >>> FactorTable.from_parameters([0.0], [[0.0, 0.0]], np.ones((1, 2, 2))).offset.round(4)
        array([-2.3872])
        """
        log_weight, mean, root = (np.asarray(v, dtype=np.float64) for v in (log_weight, mean, root))
        log_det = np.linalg.slogdet(inner(root[..., :-1]))[1]
        offset = log_weight + np.log(root[..., -1]).sum(-1) - 0.5 * log_det - 0.5 * mean.shape[-1] * LOG_2PI
        return cls(offset, mean, np.ascontiguousarray(root))

    def suited(self, blocks: Blocks) -> Table:
        """Return this table, or a dense one for points with latent cells, labels or a background."""
        is_plain = blocks.is_exact and blocks.labels is None and blocks.background is None
        return self if is_plain else self.dense

    @cached_property
    def dense(self) -> Table:
        """The same table with triangular roots (..., K, D, D)."""
        return Table(self.offset, self.mean, dense_roots(self.root))

    @property
    def native(self) -> NativeTable:
        """The dense table in the form that compiled code reads, for all sweeps but ``fold``."""
        return self.dense.native

    @cached_property
    def native_factors(self) -> NativeFactors:
        """The table in the form that ``fold_factor_chunks`` reads."""
        loadings, expected = (np.swapaxes(part, -1, -2) for part in (self.root[..., :-1], projection(self.root)))
        expected = expected / self.root[..., None, :, -1]  # of standardised deviations
        parts = (self.offset, self.mean, self.root[..., -1], loadings, expected)
        offset, mean, precision, w, b = (np.require(part, requirements=("C", "W")).reshape(-1) for part in parts)
        return NativeFactors(offset, mean, precision, w, b, self.mean.shape[-2], self.root.shape[-1] - 1)

    def n_sums(self) -> int:
        """Length of a row of sums for one table."""
        (k, d), q = self.mean.shape[-2:], self.root.shape[-1] - 1
        return 1 + k * factor_kernels.factor_moments_width(d, q)

    def fold_rows(self, blocks: Blocks, span: int, size: int, threads: int) -> Array:
        """Compute rows of sums by ``fold_factor_chunks``."""
        out = np.empty((size, self.n_sums()))
        products = blocks.n_points * self.root.size * 3
        points, native = blocks.native, self.native_factors
        fold_free = factor_kernels.fold_factor_chunks
        run_rows(lambda taken: fold_free(points, native, span, taken, out), size, enough_threads(threads, products))
        return out

    def unpack(self, row: Array, about: Array) -> Stats:
        """Read a row of sums; ``s2`` is (K, D, q + 1): sums of (x - about) z', and of (x - about)^2."""
        k, d = about.shape
        sums = row[1:].reshape(k, -1)
        each = sums[:, 1:].reshape(k, d, -1)
        unit = 1 / self.root[..., -1].reshape(k, d)
        s2 = np.concatenate([each[:, :, 2:] * unit[:, :, None], (each[:, :, 1] * unit**2)[:, :, None]], axis=2)
        return Stats(sums[:, 0], each[:, :, 0] * unit, s2, float(row[0]), about)

    def squared_lengths(self, s2: Array) -> Array:
        """Compute the sums of squared Mahalanobis distances of each component (K,)."""
        if s2.shape[-1] != self.root.shape[-1]:
            return self.dense.squared_lengths(s2)
        loadings, precision = self.root[..., :-1], self.root[..., -1]
        explained = (loadings * precision[..., None] * s2[..., :-1]).sum(axis=(-2, -1))
        return np.asarray((precision**2 * s2[..., -1]).sum(axis=-1) - explained)


def dense_roots(root: Array) -> Array:
    """Compute triangular roots (..., D, D) of precisions from roots (..., D, q + 1)."""
    chol = np.linalg.cholesky(covariances(root))
    return np.tril(np.linalg.inv(chol))


def covariances(root: Array) -> Array:
    """Compute covariances (..., D, D) from roots (..., D, q + 1)."""
    loadings, unit = root[..., :-1], 1 / root[..., -1]
    whole = np.eye(loadings.shape[-2]) + loadings @ np.swapaxes(loadings, -1, -2)
    return np.asarray(whole * unit[..., :, None] * unit[..., None, :])
