"""Standard errors of a maximum likelihood fit, from the observed information."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit, logit, ndtri

from bayesgmm.blas import one_blas_thread
from bayesgmm.declared import probability
from bayesgmm.errors import DeclarationError, NotAMaximum, SingularInformation
from bayesgmm.inference.laplace import HESSIAN_LIMIT
from bayesgmm.inference.maxima import FLAT, Curvature, Maximum, polish
from bayesgmm.posterior.arguments import FitLike, takes_fit
from bayesgmm.posterior.info import declaration, info
from bayesgmm.posterior.log_posterior import LogLikelihood, LogPosterior
from bayesgmm.posterior.schema import Posterior, observed, unpack
from bayesgmm.sweep.stats import Array

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

NEAR = 0.1  # maximum distance of a fit from the maximum, in standard errors
STEP = 1e-5  # step of the finite differences of the quantities, in the scales of the coordinates
POLISH = 50  # maximum number of Newton steps
NAMED = 4  # maximum number of quantities that an error lists
Transform = tuple[Callable[[Array], Array], Callable[[Array], Array], Callable[[Array], Array]]
PLAIN: Transform = (np.positive, np.positive, np.ones_like)  # a transformation, its inverse, its derivative
LOGIT: Transform = (logit, expit, lambda x: 1 / (x * (1 - x)))
LOG: Transform = (np.log, np.exp, np.reciprocal)


@takes_fit
def standard_errors(fit: FitLike, *, ci_prob: float = 0.9) -> "pd.DataFrame":
    r"""Compute standard errors and confidence intervals of a maximum likelihood fit.

    The observed information is minus the Hessian of the log likelihood in unconstrained coordinates, by differences of
    the analytic gradient [1]_ (this equals Louis' formula [2]_ and needs no sums over points). The delta method gives
    the standard errors of weights, means, variances and covariances. They are valid for many points and
    well-separated components [3]_.

    Parameters
    ----------
    fit : DataTree or estimator
        A fit by ``method='mle'``, or by ``'em'`` if it converged closely enough to the maximum.
    ci_prob : float
        Confidence level of the intervals. They are symmetric on the logit scale for weights, on the log scale for
        variances, and on the original scale for means and covariances.

    Returns
    -------
    DataFrame
        A row for each component and quantity: ``weight``, and for columns a and b ``mean a``, ``variance a`` and
        ``covariance a, b`` (where the family has covariances). Columns: ``estimate``, ``standard_error``, ``lower``,
        ``upper``, in data units. A row of weight w counts as w independent points.

    Raises
    ------
    NotAMaximum
        When the fit is not of maximum likelihood, has not converged, or is at a saddle point.
    SingularInformation
        When some quantities are not identified by the data.
    DeclarationError
        When ``ci_prob`` is not between 0 and 1.
    FitFileError
        When ``fit`` is not a fit, or holds no data.

    References
    ----------
    .. [1] Oakes (1999), J. R. Stat. Soc. B 61(2), 479-482.
    .. [2] Louis (1982), J. R. Stat. Soc. B 44(2), 226-233.
    .. [3] McLachlan & Peel (2000), Finite Mixture Models, section 2.15.

    Examples
    --------
    Four numbers with mean 0 and variance 1: the standard error of their mean is 1 / 2.

    >>> from bayesgmm import MixtureModel
    >>> from bayesgmm.inference import fit
    >>> one = fit(MixtureModel(n_components=1), [-1.0, 1.0, -1.0, 1.0], "mle", progress=False)
    >>> standard_errors(one).loc[(0, "mean x0"), "standard_error"].round(6)
    np.float64(0.5)
    """
    ci_prob = probability("ci_prob", ci_prob)
    posterior = unpack(fit)
    _require_likelihood(fit, posterior)
    likelihood = LogPosterior.of(declaration(fit), observed(fit)).likelihood()
    if likelihood.chart.has_rotations:
        raise DeclarationError(
            f"covariance={declaration(fit).covariance!r} has no standard errors: rotated factors have the same "
            "likelihood\n  Use method='gibbs' for intervals, or declare covariance='full'."
        )
    quantities = Quantities(likelihood, posterior.columns)
    q = _coordinates(likelihood, posterior)
    with one_blas_thread():  # threads slow small matrices down
        maximum = _maximum(likelihood, q)
    curvature = maximum.curvature
    assert curvature is not None
    if not curvature.is_definite:
        raise _indefinite(quantities, maximum.q, curvature)
    jacobian = quantities.jacobian(maximum.q, curvature.scale)
    covariance = curvature.inverse() / likelihood.blocks.total_weight
    error = np.sqrt(np.einsum("ip,pr,ir->i", jacobian, covariance, jacobian))
    _require_near(quantities.standardised(q) - quantities.standardised(maximum.q), error)
    components = fit["posterior"].coords["component"].values
    return _table(quantities, components, quantities.of(posterior), error * quantities.units, ci_prob)


class Quantities:
    """Weights, means, variances and covariances of a mixture, concatenated, component by component.

    Parameters
    ----------
    likelihood : LogLikelihood
    columns : tuple of str
        Names of the features.
    """

    def __init__(self, likelihood: LogLikelihood, columns: tuple[str, ...]) -> None:
        self._likelihood = likelihood
        d = likelihood.n_features
        block = likelihood.model.family.form.block_size(d)
        rows, below = np.tril_indices(block, -1)  # pairs of columns that may be correlated
        self._pairs = (np.append(np.arange(d), below), np.append(np.arange(d), rows))
        pairs = [f"covariance {columns[i]}, {columns[j]}" for i, j in zip(below, rows, strict=True)]
        self.names = ["weight", *(f"mean {c}" for c in columns), *(f"variance {c}" for c in columns), *pairs]
        self.transforms = [LOGIT, *[PLAIN] * d, *[LOG] * d, *[PLAIN] * len(pairs)]
        scale = likelihood.standard.scale
        products = np.outer(scale, scale)[self._pairs]
        self.units = np.tile(np.concatenate([[1.0], scale, products]), likelihood.n_components)

    def of(self, posterior: Posterior) -> Array:
        """Compute the quantities (Q,) of a point estimate, in data units."""
        p = posterior.parameters
        return self._flat(p.weight[0], p.mean[0], p.covariance[0])

    def standardised(self, q: Array) -> Array:
        """Compute standardised quantities (..., Q) at coordinates (..., P); an offset of the data loses no digits."""
        likelihood = self._likelihood
        weight, mean, core_roots = likelihood.mixture(q)
        k, d = likelihood.n_components, likelihood.n_features
        return self._flat(weight, mean, likelihood.model.family.matrices(core_roots, k, d))

    def _flat(self, weight: Array, mean: Array, covariance: Array) -> Array:
        chosen = covariance[..., self._pairs[0], self._pairs[1]]
        every = np.concatenate([weight[..., None], mean, chosen], axis=-1)
        return every.reshape(*weight.shape[:-1], -1)

    def jacobian(self, q: Array, scale: Array) -> Array:
        """Compute the derivatives (Q, P) of the standardised quantities at q."""
        steps = STEP * np.diag(scale)
        difference = self.standardised(q + steps) - self.standardised(q - steps)
        return (difference / (2 * STEP * scale)[:, None]).T


def _require_likelihood(fit: "xr.DataTree", posterior: Posterior) -> None:
    """Check that a fit is a maximum likelihood estimate.

    Raises
    ------
    NotAMaximum
        When it has several draws, is the mode of a posterior, or is of unknown origin.
    """
    if posterior.n_draws > 1:
        raise NotAMaximum(
            f"this fit has {posterior.n_draws} posterior draws; standard errors are for maximum likelihood.\n"
            "  The posterior standard deviations are in bg.component_table(fit), or ArviZ's az.summary(fit)."
        )
    maximum = info(fit).notes.maximum
    if maximum != "likelihood":
        what = "the mode of a posterior" if maximum == "posterior" else "one draw of unknown origin"
        raise NotAMaximum(
            f"this fit is {what}; standard errors need a maximum of the likelihood.\n"
            "  Use method='mle' for standard errors, or method='nuts' for the posterior."
        )


def _coordinates(likelihood: LogLikelihood, posterior: Posterior) -> Array:
    """Compute the coordinates (P,) of the fit."""
    p, (shift, scale) = posterior.parameters, (posterior.standard.shift, posterior.standard.scale)
    family = likelihood.model.family
    core = family.cores(p.covariance[0] / np.outer(scale, scale))
    return likelihood.coordinates(p.weight[0], (p.mean[0] - shift) / scale, family.roots(core))


def _maximum(likelihood: LogLikelihood, q: Array) -> Maximum:
    """Find the maximum of the likelihood at or near the fit.

    Raises
    ------
    NotAMaximum
        When there are too many coordinates, or the search from the fit does not converge.
    """
    if likelihood.size > HESSIAN_LIMIT:
        raise NotAMaximum(
            f"the likelihood has {likelihood.size} coordinates, too many for its Hessian (the limit is "
            f"{HESSIAN_LIMIT}).\n  Try covariance='diag' or 'tied', or fewer components."
        )
    value, grad = likelihood(q)
    gradient = float(np.abs(grad).max(initial=0.0)) / likelihood.blocks.total_weight
    start = Maximum(q, value, gradient, 0, converged=False)
    maximum = polish(likelihood, start, POLISH, 1e-8, watch=np.isfinite)
    if not maximum.converged:
        raise _too_far(f"the largest element of its gradient, divided by the number of points, is {gradient:.2g}")
    return maximum


def _require_near(distance: Array, error: Array) -> None:
    """Check that a fit is close enough to the maximum.

    Raises
    ------
    NotAMaximum
        When a quantity is more than 0.1 standard errors away.
    """
    away = float(np.max(np.abs(distance) / np.where(error > 0, error, np.inf)))
    if away > NEAR:
        raise _too_far(f"it is {away:.2g} standard errors away")


def _too_far(how: str) -> NotAMaximum:
    return NotAMaximum(
        f"this fit is not at a maximum of the likelihood: {how}.\n"
        "  Use method='mle', or for method='em' a smaller tol and a larger max_iter."
    )


def _indefinite(quantities: Quantities, q: Array, curvature: Curvature) -> SingularInformation | NotAMaximum:
    """Make the error for a log likelihood that is flat or increases in a direction, with the quantities that change."""
    jacobian = quantities.jacobian(q, curvature.scale)
    share, flat = curvature.flattest
    if share > FLAT:
        named = _named(quantities, jacobian @ curvature.rising)
        return NotAMaximum(
            f"this fit is at a saddle point: the log likelihood increases when these change together: {named}.\n"
            "  Use method='mle' with another seed or a larger n_init, or fewer components."
        )
    return SingularInformation(
        f"the data do not identify these: {_named(quantities, jacobian @ flat)}. The log likelihood is constant "
        "when they change together.\n"
        "  Try fewer components, covariance='tied' or 'diag', more points, or method='nuts', which uses the priors."
    )


def _named(quantities: Quantities, moved: Array) -> str:
    """List the quantities that change most."""
    size, width = np.abs(moved), len(quantities.names)
    chosen = [i for i in np.argsort(-size, kind="stable")[:NAMED] if size[i] > 0.1 * size.max()]
    return "; ".join(f"{quantities.names[i % width]} of component {i // width}" for i in chosen)


def _table(quantities: Quantities, components: Array, estimate: Array, error: Array, ci_prob: float) -> "pd.DataFrame":
    import pandas as pd

    from bayesgmm.whole_tables import WholeTable

    values, errors = (each.reshape(len(components), -1).T for each in (estimate, error))
    ends = [_interval(*one, ci_prob) for one in zip(values, errors, quantities.transforms, strict=True)]
    lower, upper = (np.column_stack(side).ravel() for side in zip(*ends, strict=True))
    index = pd.MultiIndex.from_product([components, quantities.names], names=["component", "quantity"])
    columns = {"estimate": estimate, "standard_error": error, "lower": lower, "upper": upper}
    return WholeTable(columns, index=index)


def _interval(estimate: Array, error: Array, transform: Transform, ci_prob: float) -> tuple[Array, Array]:
    """Compute intervals that are symmetric on a transformed scale; that of a weight of 1 has length 0.

    Examples
    --------
    >>> lower, upper = _interval(np.array([4.0]), np.array([0.4]), LOG, 0.9)
    >>> (lower * upper).round(6)  # symmetric about log 4
    array([16.])
    """
    lower, upper = estimate.copy(), estimate.copy()
    at, (to, back, slope) = error > 0, transform
    half = ndtri(0.5 + ci_prob / 2) * error[at] * slope(estimate[at])
    lower[at], upper[at] = back(to(estimate[at]) - half), back(to(estimate[at]) + half)
    return lower, upper
