"""Latent cells replaced: missing ones by one Gaussian for starts, all by expectations and draws of a mixture."""

from dataclasses import replace

import numpy as np

from bayesgmm.sweep import imputation_kernels
from bayesgmm.sweep.blocks import Blocks
from bayesgmm.sweep.latent_records import Sweep
from bayesgmm.sweep.layout import BLOCK
from bayesgmm.sweep.matrices import cholesky
from bayesgmm.sweep.stats import Array, Table, fold
from bayesgmm.sweep.threads import run_ranges

ITERATIONS = 20  # of EM for one Gaussian
RIDGE = 1e-6  # added to its correlations: columns may be observed together in few rows


def imputed(blocks: Blocks) -> Blocks:
    """Return blocks whose missing cells hold their expectations under one Gaussian: rough guesses, for starts.

    Measured values stay as they are.

    Examples
    --------
    >>> imputed(Blocks.from_rows([[0.0, 0.0], [1.0, 1.0], [2.0, 2.0], [3.0, np.nan]])).rows()[-1].round(1)
    array([3., 3.])
    """
    if blocks.latent is None or not blocks.latent.missing.any():
        return blocks
    d, unlabelled = blocks.n_features, blocks.with_labels(None)
    mean, root = np.zeros((1, d)), np.eye(d)[None]
    for _ in range(ITERATIONS):
        stats = fold(unlabelled, Table.from_parameters(np.zeros(1), mean, root))
        mean, covariance = stats.means(), stats.scatter()[0] / stats.n[0]
        variance = np.maximum(np.diagonal(covariance), np.finfo(float).tiny)
        covariance = covariance + np.diag(RIDGE * variance)
        root = np.linalg.solve(cholesky(covariance), np.eye(d))[None]
    x, _ = expected(unlabelled, Table.from_parameters(np.zeros((1, 1)), mean[None], root[None]))
    return replace(blocks, x=np.where(blocks.laid_out(blocks.latent.missing), x, blocks.x))


def expected(blocks: Blocks, tables: Table, threads: int = 1, cross: bool = False) -> tuple[Array, Array]:
    """Compute means and variances of the latent cells given what is observed, over a stack of tables.

    Parameters
    ----------
    blocks : Blocks
        N points with latent cells.
    tables : Table
        S tables.
    cross : bool
        Compute covariances of the latent cells of a row, too.

    Returns
    -------
    mean : (n_blocks * D * BLOCK,) float
        Laid out as ``blocks.x``; exact cells are those of the blocks.
    variance : (n_blocks, V, BLOCK) float
        V = D variances, or the V = D (D + 1) / 2 entries of the lower triangle of covariances, row by row. Those of
        exact cells are zero.
    """
    assert blocks.latent is not None
    d = blocks.n_features
    i, j = np.tril_indices(d) if cross else (np.arange(d), np.arange(d))
    latent = blocks.laid_out(blocks.latent.cells)
    mean = np.where(latent, 0.0, blocks.x)
    second = np.zeros(blocks.weight.size * len(i))
    args = blocks.native, tables.native
    if blocks.native.latent.size:
        run_ranges(
            lambda a, b: imputation_kernels.add_expectations(*args, a, b, mean, second), blocks.n_blocks, threads
        )
    each, cells = mean.reshape(-1, d, BLOCK), latent.reshape(-1, d, BLOCK)
    variance = second.reshape(-1, len(i), BLOCK) - each[:, i] * each[:, j]
    return mean, np.where(cells[:, i] & cells[:, j], variance, 0.0)


def drawn(blocks: Blocks, table: Table, number: int, keys: tuple[int, int], threads: int = 1) -> Array:
    """Draw the latent cells from their distribution under a table, given what is observed of each row.

    Parameters
    ----------
    blocks : Blocks
        N points with latent cells.
    table : Table
        A stack of one table.
    number : int
        Number of the imputation.
    keys : (int, int)
        Keys of the random numbers. The draws do not depend on the number of threads.

    Returns
    -------
    (n_blocks * D * BLOCK,) float
        Laid out as ``blocks.x``.
    """
    out = blocks.x.copy()
    args = blocks.native, table.native, Sweep(number, 0, *keys)
    if blocks.native.latent.size:
        run_ranges(lambda a, b: imputation_kernels.draw_cells(*args, a, b, out), blocks.n_blocks, threads)
    return out


def as_rows(blocks: Blocks, x: Array) -> Array:
    """Return numbers that are laid out as ``blocks.x`` as rows (N, D)."""
    return replace(blocks, x=x).rows()
