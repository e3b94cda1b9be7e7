"""Standardised coordinates of points."""

import os
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import cast

import numpy as np

from bayesgmm.data.points import Points
from bayesgmm.data.streams import Stream
from bayesgmm.sweep.blocks import Blocks, laid_out
from bayesgmm.sweep.imputation import imputed
from bayesgmm.sweep.latent_cells import LatentCells
from bayesgmm.sweep.layout import BLOCK
from bayesgmm.sweep.pieces import Pieces
from bayesgmm.sweep.stats import Array


@lru_cache(maxsize=4)
def _ones(count: int) -> Array:
    """Return the weights of complete rows, with the padding: most parts have the same number of rows."""
    weight = np.zeros(max(1, -(-count // BLOCK)) * BLOCK)
    weight[:count] = 1.0
    return weight


@dataclass(frozen=True)
class Standard:
    """Standardised coordinates ``(x - shift) / scale``; scales are powers of two, so that scaling is exact.

    Parameters
    ----------
    shift, scale : (D,) float
        In the units of the data.
    """

    shift: Array
    scale: Array

    @classmethod
    def of(cls, points: Points | Stream, common: bool = False) -> "Standard":
        """Return the standardisation by mean and standard deviation of the points.

        Parameters
        ----------
        points : Points or Stream
        common : bool
            One scale for all columns, as spherical covariances need it.

        Examples
        --------
        >>> from bayesgmm.data.points import as_points
        >>> Standard.of(as_points([[0.0, 0.0], [4.0, 400.0]])).scale
        array([  2., 256.])
        """
        shift, sd = points.centre_and_sd
        exponent = np.log2(np.where(sd > 0, sd, np.where(shift != 0, np.abs(shift), 1.0)))
        if common:
            exponent = np.full_like(exponent, exponent.mean())
        return cls(shift, 2.0 ** np.round(exponent))

    def blocks(self, points: Points | Stream | Array, weights: Array | None = None) -> Blocks:
        """Standardise points (N, D), given in data units, with row weights (N,), and lay them out in blocks.

        An array has exact values; those of ``Points`` may have errors of measurement, and labels. If the memory does
        not suffice for the rows of a ``Stream``, the result is ``Parts``, which stand in for blocks.
        """
        if isinstance(points, Stream):
            return cast("Blocks", points.blocks(partial(self._laid_out, has_gaps=points.has_gaps)))
        threads = os.cpu_count() or 1
        if not isinstance(points, Points):
            return Blocks.from_rows(points, weights, self.shift, self.scale, threads=threads)
        noise = None if points.noise is None else points.noise**2 if points.noise.ndim == 2 else points.noise
        blocks = Blocks.from_rows(points.values, weights, self.shift, self.scale, noise, threads)
        return blocks if points.labels is None else blocks.with_labels(points.labels.log)

    def _laid_out(self, rows: Array | Pieces, threads: int, has_gaps: bool) -> Blocks:
        """Standardise rows (N, D), of single or double precision, and lay them out by several threads.

        A further column, if there is one, holds their weights.
        """
        n_rows, d = len(rows), len(self.shift)
        weight, values = _ones(n_rows), rows
        if not isinstance(rows, Pieces) and rows.shape[1] > d:
            weight, values = np.pad(rows[:, d].astype(float), (0, len(weight) - n_rows)), rows[:, :d]
        x = laid_out(values, self.shift, self.scale, threads)
        blocks = Blocks(x, weight, n_rows, d)
        if not has_gaps or not np.isnan(x.sum()):
            return blocks
        return replace(blocks, x=np.nan_to_num(x)).with_latent(LatentCells(np.isnan(np.asarray(values))))

    def filled(self, points: Points) -> Points:
        """Return points whose missing cells hold their expectations under one Gaussian: rough guesses, for starts."""
        if not points.has_gaps:
            return points
        guesses = imputed(self.blocks(points, points.weights)).rows() * self.scale + self.shift
        return replace(points, values=np.where(np.isnan(points.values), guesses, points.values))

    @property
    def log_scale(self) -> float:
        """Log density of complete points in standardised coordinates minus that in data units."""
        return float(np.log(self.scale).sum())

    def log_scales(self, blocks: Blocks) -> Array | float:
        """Log densities in standardised coordinates minus those in data units: of each point (N,), or of all."""
        return self.log_scale if blocks.latent is None else np.where(blocks.observed(), np.log(self.scale), 0.0).sum(1)

    def log_units(self, blocks: Blocks) -> float:
        """Log likelihood of points in standardised coordinates minus that in data units."""
        observed = blocks.observed_weight
        return blocks.total_weight * self.log_scale if observed is None else float(observed @ np.log(self.scale))
