"""Log densities of points under the draws of a posterior."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bayesgmm.data.points import Points, n_rows, taken
from bayesgmm.errors import DataError
from bayesgmm.posterior.packing import plain_index
from bayesgmm.posterior.schema import Posterior
from bayesgmm.predictions import density_kernels
from bayesgmm.progress import track
from bayesgmm.sweep.blocks import Blocks
from bayesgmm.sweep.kernels import BLOCK
from bayesgmm.sweep.stats import Array, Table, log_densities
from bayesgmm.sweep.threads import run_ranges

if TYPE_CHECKING:
    import xarray as xr

DRAWS = 1000  # default number of draws to average over; more draws change only the third digit
SLICE = 2_000_000  # draws times points in memory at a time
STRETCH = 20_000_000  # draws times points between two steps of a progress bar: about a second
MAX_KEPT = 2**31  # maximum size of a result in bytes


@dataclass(frozen=True)
class Spread:
    """Posterior means and quantiles of the density at points, in data units.

    Parameters
    ----------
    mean_log : (N,) float
        Posterior mean of the log density.
    log_mean : (N,) float
        Logarithm of the posterior mean density.
    log_band : (N, 2) float
        Quantiles of the log density; NaN for a single draw, and without ``ci_prob``.
    """

    mean_log: Array
    log_mean: Array
    log_band: Array


def spread(posterior: Posterior, points: Points | Array, ci_prob: float | None = None, progress: bool = True) -> Spread:
    r"""Compute the mean density at points over all draws, and an equal-tailed band.

    .. math:: \mathrm{E}[\log p(x \mid \theta)], \quad \log \mathrm{E}[p(x \mid \theta)], \quad
              Q_{\alpha/2}, Q_{1 - \alpha/2}[\log p(x \mid \theta)]

    Parameters
    ----------
    posterior : Posterior
        S draws.
    points : Points or (N, D) float
        In data units.
    ci_prob : float, optional
        Probability of the band. Default: no band.

    Returns
    -------
    Spread
        Memory does not grow with the number of draws. The result is the same, in every bit, for any number of threads.
    """
    tables, threads = posterior.tables(), os.cpu_count() or 1
    tail = 0.0 if ci_prob is None else (1 - ci_prob) / 2
    parts = []
    for start, stop in track(_cuts(n_rows(points), posterior.n_draws, STRETCH), "densities", progress):
        blocks = posterior.standard.blocks(taken(points, slice(start, stop)))
        out = np.full((blocks.n_blocks, 4, BLOCK), np.nan)
        _fill(out, blocks, tables, tail, threads)
        sums = out.transpose(1, 0, 2).reshape(4, -1)[:, : stop - start]
        parts.append(sums - posterior.standard.log_scales(blocks))
    mean_log, log_mean, lower, upper = np.concatenate(parts, axis=1)
    return Spread(mean_log, log_mean, np.column_stack([lower, upper]))


def _fill(out: Array, blocks: Blocks, tables: Table, tail: float, threads: int) -> None:
    args = (blocks.native, tables.native, tail)
    flat = out.reshape(-1)
    run_ranges(lambda start, stop: density_kernels.sum_up(*args, start, stop, flat), blocks.n_blocks, threads)


def _cuts(n_points: int, n_draws: int, size: int) -> list[tuple[int, int]]:
    """Divide the points into ranges of whole blocks, each of about ``size`` points times draws.

    Examples
    --------
    >>> _cuts(100, 10, 640)
    [(0, 64), (64, 100)]
    """
    step = max(BLOCK, size // n_draws // BLOCK * BLOCK)
    return [(start, min(start + step, n_points)) for start in range(0, n_points, step)]


def slices(
    posterior: Posterior, points: Points | Array, title: str = "densities", progress: bool = True
) -> Iterator[Array]:
    """Yield log densities (S, n) in data units, a slice of the points at a time."""
    tables, standard = posterior.tables(), posterior.standard
    for start, stop in track(_cuts(n_rows(points), posterior.n_draws, SLICE), title, progress):
        blocks = standard.blocks(taken(points, slice(start, stop)))
        yield log_densities(blocks, tables, os.cpu_count() or 1) - standard.log_scales(blocks)


def kept(posterior: Posterior, points: Points | Array, dtype: type = np.float64, progress: bool = True) -> Array:
    """Compute all log densities (S, N), in data units.

    Raises
    ------
    DataError
        When they need more than 2 GiB.
    """
    n_points, n_draws = n_rows(points), posterior.n_draws
    require_room(
        n_draws * n_points * np.dtype(dtype).itemsize, f"log densities of {n_points} points in {n_draws} draws"
    )
    out: Array = np.empty((n_draws, n_points), dtype)
    start = 0
    for log in slices(posterior, points, progress=progress):
        out[:, start : start + log.shape[1]] = log
        start += log.shape[1]
    return out


def require_room(n_bytes: int, what: str) -> None:
    """Check that a result needs at most 2 GiB.

    Raises
    ------
    DataError
        When it is larger.

    Examples
    --------
    >>> require_room(2**33, "log densities")
    Traceback (most recent call last):
        ...
    bayesgmm.errors.DataError: log densities take 8.0 GiB; at most 2 GiB are held at once
      Use fewer draws (draws=...), or a part of the points at a time.
    """
    if n_bytes > MAX_KEPT:
        raise DataError(
            f"{what} take {n_bytes / 2**30:.1f} GiB; at most {MAX_KEPT / 2**30:.0f} GiB are held at once\n"
            "  Use fewer draws (draws=...), or a part of the points at a time."
        )


def dataset(points: Points, variables: Mapping[str, object], **coords: object) -> "xr.Dataset":
    """Make a dataset of variables at points, with the row labels of the points."""
    import xarray as xr

    return xr.Dataset(variables, coords={"point": plain_index(points.index), **coords})
