"""Missing cells filled: by one Gaussian for starts, by expectations and draws of a mixture."""

from dataclasses import replace

import numpy as np

from bayesgmm.sweep import imputation_kernels
from bayesgmm.sweep.gap_kernels import Sweep
from bayesgmm.sweep.matrices import cholesky
from bayesgmm.sweep.stats import Array, Blocks, Table, fold
from bayesgmm.sweep.threads import run_ranges

ITERATIONS = 20  # of EM for one Gaussian
RIDGE = 1e-6  # added to its correlations: columns may be observed together in few rows


def imputed(blocks: Blocks) -> Blocks:
    """Return blocks whose missing cells hold their expectations under one Gaussian: rough guesses, for starts.

    Examples
    --------
    >>> imputed(Blocks.from_rows([[0.0, 0.0], [1.0, 1.0], [2.0, 2.0], [3.0, np.nan]])).rows()[-1].round(1)
    array([3., 3.])
    """
    if blocks.missing is None:
        return blocks
    d = blocks.n_features
    mean, root = np.zeros((1, d)), np.eye(d)[None]
    for _ in range(ITERATIONS):
        stats = fold(blocks, Table.from_parameters(np.zeros(1), mean, root))
        mean, covariance = stats.means(), stats.scatter()[0] / stats.n[0]
        variance = np.maximum(np.diagonal(covariance), np.finfo(float).tiny)
        covariance = covariance + np.diag(RIDGE * variance)
        root = np.linalg.solve(cholesky(covariance), np.eye(d))[None]
    x, _ = expected(blocks, Table.from_parameters(np.zeros((1, 1)), mean[None], root[None]))
    return replace(blocks, x=x)


def expected(blocks: Blocks, tables: Table, threads: int = 1) -> tuple[Array, Array]:
    """Compute expectations of the missing cells, and of their squares, averaged over a stack of tables.

    Parameters
    ----------
    blocks : Blocks
        N points, some of whose cells are missing.
    tables : Table
        S tables.

    Returns
    -------
    mean, square : (n_blocks * D * BLOCK,) float
        Laid out as ``blocks.x``; observed cells are those of the blocks.
    """
    assert blocks.missing is not None
    mean = np.where(blocks.missing, 0.0, blocks.x)
    square = mean**2
    args = blocks.native, tables.native
    run_ranges(lambda a, b: imputation_kernels.expect_cells(*args, a, b, mean, square), blocks.n_blocks, threads)
    return mean, square


def drawn(blocks: Blocks, table: Table, number: int, keys: tuple[int, int], threads: int = 1) -> Array:
    """Draw the missing cells from the predictive distribution of a table, given the observed cells of each row.

    Parameters
    ----------
    blocks : Blocks
        N points, some of whose cells are missing.
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
    run_ranges(lambda a, b: imputation_kernels.draw_cells(*args, a, b, out), blocks.n_blocks, threads)
    return out


def as_rows(blocks: Blocks, x: Array) -> Array:
    """Return numbers that are laid out as ``blocks.x`` as rows (N, D)."""
    return replace(blocks, x=x).rows()
