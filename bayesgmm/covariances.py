"""Covariance families and their priors. No other file asks which family it has in hand.

A family stores its own roots (``core``): one matrix a component (full), one for all (tied), one row of
diagonals a component (diag), one number a component (spherical). ``expand`` turns them into what a table needs.
"""

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from scipy.special import multigammaln

from bayesgmm._declared import Declared, Positive, Scale
from bayesgmm._native import prior_arguments, prior_kernel
from bayesgmm.data import Standard, Summary, listing
from bayesgmm.errors import DataError, DeclarationError, DegenerateComponent, EmptyComponent
from bayesgmm.stats import Array, Stats

VANISHING = 1e-14  # a variance that is smaller than this, where the data's is of order one, is none
SINGULAR = 1e-10  # a column of which the columns before it leave less than this share of its variance is none


@dataclass(frozen=True)
class Family:
    """How the covariances of the components are restricted.

    Parameters
    ----------
    name : str
        scikit-learn's word for it.
    diagonal, tied, isotropic : bool
        Are roots diagonal; is there one for all components; is there one number for all features?
    """

    name: str
    diagonal: bool = False
    tied: bool = False
    isotropic: bool = False

    def core_shape(self, n_components: int, n_features: int) -> tuple[int, ...]:
        """Shape of the family's own covariances or roots."""
        count = 1 if self.tied else n_components
        if self.diagonal:
            return (count, 1 if self.isotropic else n_features)
        return (count, n_features, n_features)

    def size(self, n_components: int, n_features: int) -> int:
        """How many free numbers the covariances have: also how many unconstrained coordinates."""
        count, rows, *columns = self.core_shape(n_components, n_features)
        return count * (rows * (rows + 1) // 2 if columns else rows)

    def maximise(self, stats: Stats, dof: float = 0.0, scale: Array | None = None) -> Array:
        """Covariances (core) that maximise the expected log likelihood, or the posterior's given a prior.

        Parameters
        ----------
        stats : Stats
            From a fold over a table of this family.
        dof, scale : float, array of one component's core shape, optional
            Of an inverse Wishart prior; its mode is taken (Fraley & Raftery 2007).

        Raises
        ------
        EmptyComponent
            When a component holds too few points for its covariance and no prior helps.
        """
        scatter, n = stats.scatter(), stats.n
        free = 1 if self.diagonal else scatter.shape[-1]
        if self.tied:
            scatter, n = scatter.sum(0, keepdims=True), n.sum(keepdims=True)
        if self.isotropic:
            scatter = scatter.mean(-1, keepdims=True)
        if scale is None:
            self._require_points(stats.n, n, free)
            return scatter / _columns(n, scatter)
        features = stats.s1.shape[1] if self.isotropic else 1
        return (features * scatter + scale) / _columns(features * n + dof + free + 1, scatter)

    def _require_points(self, each: Array, pooled: Array, free: int) -> None:
        k = int(np.argmin(each))
        if not each[k] > 0 or not pooled.min() >= free + 1 - 1e-9:
            raise EmptyComponent(
                f"component {k} holds {each[k]:.1f} points; a {self.name!r} covariance in {free} "
                f"{'dimension' if free == 1 else 'dimensions'} needs {free + 1}.\n"
                "  Try fewer components, covariance='diag' or 'spherical', or a stronger prior."
            )

    def roots(self, core: Array) -> Array:
        """Precision roots of covariances, both in core shape, standardised.

        Raises
        ------
        DegenerateComponent
            When a covariance is not positive definite to working precision.
        """
        if self.diagonal:
            self._require_regular(core.min(-1) > VANISHING)
            return 1 / np.sqrt(core)
        variance = np.diagonal(core, axis1=-2, axis2=-1)
        self._require_regular((variance > VANISHING).all(-1) & np.isfinite(core).all((-1, -2)))
        try:
            chol = np.linalg.cholesky(core)
        except np.linalg.LinAlgError:
            self._require_regular([_is_positive_definite(one) for one in core])
            raise
        pivots = np.diagonal(chol, axis1=-2, axis2=-1) ** 2  # what each column adds to those before it
        self._require_regular((pivots > SINGULAR * variance).all(-1))
        return np.tril(np.linalg.inv(chol))

    def _require_regular(self, regular: Any) -> None:
        bad = np.argwhere(~np.atleast_1d(regular))
        if len(bad):
            which = "the tied covariance" if self.tied else f"the covariance of component {bad[0][-1]}"
            raise DegenerateComponent(
                f"{which} is singular: its points lie on a lower-dimensional set.\n"
                "  Try fewer components, covariance='diag' or 'spherical', a stronger prior, or drop columns that "
                "are constant or copies of others."
            )

    def expand(self, core: Array, n_components: int, n_features: int) -> Array:
        """Roots for a table, (..., K, D, D) or (..., K, D), from the family's own."""
        shape = (n_components, n_features) if self.diagonal else (n_components, n_features, n_features)
        return np.broadcast_to(core, (*core.shape[: -len(shape)], *shape))

    def matrices(self, core_roots: Array, n_components: int, n_features: int) -> Array:
        """(..., K, D, D) the covariances of roots in core shape."""
        if self.diagonal:
            variance = self.expand(core_roots**-2.0, n_components, n_features)
            return variance[..., None] * np.eye(n_features)
        chol = np.linalg.solve(core_roots, np.broadcast_to(np.eye(n_features), core_roots.shape))
        covariance = chol @ np.swapaxes(chol, -1, -2)
        return self.expand(covariance, n_components, n_features).copy()

    def coordinates(self, core_roots: Array) -> Array:
        """(size,) unconstrained coordinates of roots in core shape."""
        if self.diagonal:
            return np.log(core_roots).reshape(-1)
        n_features = core_roots.shape[-1]
        v = core_roots.copy()
        d = np.arange(n_features)
        v[:, d, d] = np.log(v[:, d, d])
        return v[:, *np.tril_indices(n_features)].reshape(-1)

    def core_roots(self, v: Array, n_components: int, n_features: int) -> Array:
        """Roots in core shape from coordinates (..., size)."""
        shape = self.core_shape(n_components, n_features)
        if self.diagonal:
            return np.exp(v).reshape(*v.shape[:-1], *shape)
        root = np.zeros((*v.shape[:-1], *shape))
        rows, columns = np.tril_indices(n_features)
        root[..., rows, columns] = v.reshape(*v.shape[:-1], shape[0], -1)
        d = np.arange(n_features)
        root[..., d, d] = np.exp(root[..., d, d])
        return root


def _columns(n: Array, like: Array) -> Array:
    return n.reshape(-1, *[1] * (like.ndim - 1))


COVARIANCES = {
    "full": Family("full"),
    "tied": Family("tied", tied=True),
    "diag": Family("diag", diagonal=True),
    "spherical": Family("spherical", diagonal=True, isotropic=True),
}


@prior_kernel
def wishart_backward(shape: Any, params: Any, q: Any, natural: Any, n: Any, grad: Any) -> float:
    """Log density of the roots' coordinates under a Wishart on the precision, and its gradient.

    params: dof, the constant of one component, then the scale (a matrix, or its diagonal). In these
    coordinates a Wishart is Bartlett's decomposition: sum_i (dof - D + i) log p_ii - tr(scale P'P) / 2.
    """
    _, n_features, diagonal, params, q, core, n, grad = prior_arguments(shape, params, q, natural, n, grad)
    dof, scale = params[0], params[2:]
    value = 0.0
    if diagonal:
        for t in range(core.size):
            half = 0.5 * core[t] ** 2 * scale[t % scale.size]
            value += dof * math.log(core[t]) - half
            grad[t] += dof - 2 * half
        return value + params[1] * (core.size // scale.size)
    square = n_features * n_features
    t = 0
    for m in range(core.size // square):
        value += params[1]
        for i in range(n_features):
            row = m * square + i * n_features
            power = dof - n_features + i + 1
            value += power * math.log(core[row + i])
            for j in range(i + 1):
                product = 0.0
                for l in range(i + 1):
                    product += core[row + l] * scale[l * n_features + j]
                value -= 0.5 * product * core[row + j]
                grad[t] -= product * (core[row + i] if j == i else 1.0)
                t += 1
            grad[t - 1] += power
    return value


class WishartPrecision(Declared):
    r"""Wishart precisions, that is inverse Wishart covariances; conjugate, so every engine takes it.

    .. math:: \Sigma_k^{-1} \sim \mathrm{Wishart}(\text{dof}, \text{scale}^{-1}), \qquad
              \mathrm{E}[\Sigma_k] = \text{scale} / (\text{dof} - D - 1)

    A diagonal covariance takes the same in one dimension for each column (a Gamma on each precision), a
    spherical one for its one precision.

    Parameters
    ----------
    dof : float, optional
        Degrees of freedom, more than D - 1 (more than 0 for diag and spherical). Unless told, D + 2.
    scale : float, tuple of float, or tuple of tuples, optional
        In squared data units: a number (times the identity), a diagonal, or a matrix. Unless told, the variances
        of the columns divided by :math:`K^2`: the choice of [1]_ for one column, taken column by column. (Their
        matrix for several columns carries the correlations *between* clusters into every cluster, and on the
        iris data that merges two species.)

    References
    ----------
    .. [1] Fraley & Raftery (2007), J. Classification 24, 155-181.

    Examples
    --------
    >>> WishartPrecision(dof=4, scale=2.0).plain()
    {'dof': 4.0, 'scale': 2.0, 'prior': 'wishart'}
    """

    dof: Positive | None = None
    scale: Scale | None = None
    prior: Literal["wishart"] = "wishart"

    backward: ClassVar = wishart_backward

    def resolve(self, data: Summary, family: Family, n_components: int) -> "WishartPrecision":
        """The same prior in explicit numbers: a matrix, a diagonal, or one number, as the family has it."""
        n_features = len(data.columns)
        dof = n_features + 2.0 if self.dof is None else self.dof
        least = 0 if family.diagonal else n_features - 1
        if not dof > least:
            raise DeclarationError(
                f"WishartPrecision dof={dof:g} is too small for {family.name!r} covariances of {n_features} columns: "
                f"it must be more than {least}"
            )
        scale = self._default_scale(data, family, n_components) if self.scale is None else self._own_scale(data)
        return WishartPrecision(dof, _plain(_as_family(scale, family, data)))

    def _default_scale(self, data: Summary, family: Family, n_components: int) -> Array:
        constant = [name for name, r in zip(data.columns, data.range, strict=True) if not r > 0]
        if constant:
            one = len(constant) == 1
            rows = f"{data.n_points} {'row' if data.n_points == 1 else 'rows'}"
            raise DataError(
                f"{'column' if one else 'columns'} {listing(constant)} {'is' if one else 'are'} constant ({rows}), "
                "so the data can't set the scale of a prior.\n"
                "  Drop what is constant, or declare both means=NormalMeans(location=..., scale=...) "
                "and covariances=WishartPrecision(scale=...)."
            )
        return np.diag(data.variance) / n_components**2

    def _own_scale(self, data: Summary) -> Array:
        n_features = len(data.columns)
        scale = np.asarray(self.scale, dtype=np.float64)
        if scale.ndim == 0:
            scale = np.full(n_features, scale)
        if scale.shape not in {(n_features,), (n_features, n_features)}:
            raise DeclarationError(
                f"WishartPrecision scale has shape {scale.shape} for {n_features} columns ({listing(data.columns)}); "
                "give a number, a diagonal, or a matrix"
            )
        matrix = np.diag(scale) if scale.ndim == 1 else scale
        if not (np.allclose(matrix, matrix.T) and _is_positive_definite(matrix)):
            raise DeclarationError("WishartPrecision scale must be a symmetric, positive definite matrix")
        return matrix

    def core_scale(self, standard: Standard) -> Array:
        """The resolved scale in standardised coordinates: (D, D), (D,) or (1,)."""
        scale = np.atleast_1d(np.asarray(self.scale, dtype=np.float64))
        if scale.ndim == 2:
            return scale / np.outer(standard.scale, standard.scale)
        return scale / standard.scale[: scale.size] ** 2

    def params(self, standard: Standard) -> Array:
        """What ``backward`` needs: dof, the constant of one component's density, the scale."""
        assert self.dof is not None
        scale = self.core_scale(standard)
        if scale.ndim == 2:
            n_features = len(scale)
            log_det = 2 * np.log(np.diagonal(np.linalg.cholesky(scale))).sum()
            constant = 0.5 * self.dof * (log_det - n_features * math.log(2)) + n_features * math.log(2)
            constant -= multigammaln(self.dof / 2, n_features)
        else:
            constant = float(0.5 * self.dof * np.log(scale / 2).sum())
            constant += scale.size * (math.log(2) - math.lgamma(self.dof / 2))
        return np.concatenate([[self.dof, constant], scale.reshape(-1)])

    def draw(self, rng: np.random.Generator, family: Family, n_components: int) -> Array:
        """Covariances in core shape from the resolved prior, in data units."""
        from scipy.stats import invgamma, invwishart

        assert self.dof is not None
        scale = np.atleast_1d(np.asarray(self.scale, dtype=np.float64))
        count = 1 if family.tied else n_components
        if scale.ndim == 2:
            return invwishart(self.dof, scale).rvs(count, random_state=rng).reshape(count, *scale.shape)
        return invgamma(self.dof / 2, scale=scale / 2).rvs((count, scale.size), random_state=rng)


def _is_positive_definite(matrix: Array) -> bool:
    try:
        np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        return False
    return True


def _as_family(matrix: Array, family: Family, data: Summary) -> Array:
    if not family.diagonal:
        return matrix
    return np.array(np.diag(matrix).mean()) if family.isotropic else np.diag(matrix)


def _plain(value: Array) -> Any:
    """Numbers as pydantic takes them: float, tuple, tuple of tuples."""
    return tuple(_plain(v) for v in value) if value.ndim else float(value)


COVARIANCE_PRIORS: dict[str, type[WishartPrecision]] = {"wishart": WishartPrecision}
