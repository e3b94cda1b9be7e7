"""Factors of covariances, and places in square matrices."""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from bayesgmm.sweep.stats import Array

RIDGES = (0.0, 1e-15, 1e-12, 1e-9)  # added to correlations that are singular by rounding errors


def cholesky(covariance: Array) -> Array:
    """Compute lower-triangular factors (..., D, D) of covariances, also of those that are singular by rounding errors.

    Raises
    ------
    numpy.linalg.LinAlgError
        When a matrix is not a covariance.

    Examples
    --------
    >>> cholesky(np.ones((2, 2))).round(6)
    array([[1., 0.],
           [1., 0.]])
    """
    sd = np.sqrt(np.diagonal(covariance, axis1=-2, axis2=-1))
    with np.errstate(invalid="ignore", divide="ignore"):
        correlation = covariance / (sd[..., :, None] * sd[..., None, :])
    for ridge in RIDGES:
        try:
            return np.linalg.cholesky(correlation + ridge * np.eye(sd.shape[-1])) * sd[..., :, None]
        except np.linalg.LinAlgError as error:
            failure = error
    raise failure


@cache
def lower_triangle(side: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the indices of rows and columns of the lower triangle of a square matrix, by rows.

    This is ``np.tril_indices``, computed once for each size. The arrays are read-only.
    """
    rows, columns = np.tril_indices(side)
    rows.flags.writeable = columns.flags.writeable = False
    return rows, columns
