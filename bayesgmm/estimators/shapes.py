"""Conversion between scikit-learn's arrays and those of this package.

scikit-learn factors a precision as U U', with U upper triangular (``precisions_cholesky_``), in data units. This
package factors it as R' R, with R lower triangular, in standardised coordinates. So U is the transpose of R with its
rows divided by the scale.
"""

import numpy as np

from bayesgmm.data.standards import Standard
from bayesgmm.families.family import Family
from bayesgmm.inference.mixtures import Mixture
from bayesgmm.priors.multiplicative_gamma import has_loadings
from bayesgmm.sweep.stats import Array, Table


def precisions_cholesky(core_roots: Array, family: Family, standard: Standard) -> Array:
    """Convert roots in core shape to U in scikit-learn's shape and data units."""
    dense = family.dense(core_roots)
    return family.squeezed(family.form.transposed(family.form.scale_columns(dense, 1 / standard.scale)))


def core_roots(factors: Array, family: Family, standard: Standard) -> Array:
    """Convert U in scikit-learn's shape and data units to roots in core shape."""
    core = family.unsqueezed(np.asarray(factors, dtype=np.float64))
    return family.form.scale_columns(family.form.transposed(core), standard.scale)


def factors_of_precisions(precisions: Array, family: Family) -> Array:
    """Factor precisions into U, both in scikit-learn's shape."""
    return family.form.upper_factors(precisions)


def precisions(factors: Array, family: Family) -> Array:
    """Compute U U', in scikit-learn's shape."""
    return family.form.outer_products(factors)


def covariances(factors: Array, family: Family) -> Array:
    """Compute the inverse of U U', in scikit-learn's shape."""
    return family.form.inverse_outer_products(factors)


def matrices(factors: Array, family: Family, n_components: int, n_features: int) -> Array:
    """Compute the covariances (K, D, D) from U in scikit-learn's shape."""
    unit = Standard(np.zeros(n_features), np.ones(n_features))
    return family.matrices(core_roots(factors, family, unit), n_components, n_features)


def table(weights: Array, means: Array, factors: Array, family: Family, shift: Array) -> Table:
    """Make the table that scores points in data units minus ``shift``."""
    unit = Standard(shift, np.ones_like(shift))
    centred = Mixture(np.asarray(weights), np.asarray(means) - shift, core_roots(factors, family, unit))
    return centred.table(family)


def covariances_from_matrices(matrices: Array, family: Family) -> Array:
    """Convert covariances (K, D, D) of the family, or means of several, to scikit-learn's shape."""
    if has_loadings(family):  # their mean has more factors than each of them
        return matrices
    return family.squeezed(family.cores(matrices))


def factors_of_covariances(values: Array, family: Family) -> Array:
    """Compute U of covariances, both in scikit-learn's shape."""
    return family.form.upper_factors_of_inverses(values)
