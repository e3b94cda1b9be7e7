"""Standard errors of a maximum likelihood fit, from the observed information."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit, logit, ndtri
from threadpoolctl import threadpool_limits

from bayesgmm.declared import probability
from bayesgmm.errors import NotAMaximum, SingularInformation
from bayesgmm.inference.laplace import HESSIAN_LIMIT
from bayesgmm.inference.maxima import FLAT, Curvature, Maximum, polish
from bayesgmm.posterior.log_posterior import LogLikelihood, LogPosterior
from bayesgmm.posterior.schema import Posterior, declaration, info, observed, unpack
from bayesgmm.sweep.stats import Array

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

NEAR = 0.1  # standard errors that a fit may be away from the maximum
STEP = 1e-5  # of the differences of the quantities, in the coordinates' own scales
POLISH = 50  # Newton steps
NAMED = 4  # quantities that an error lists
Transform = tuple[Callable[[Array], Array], Callable[[Array], Array], Callable[[Array], Array]]
PLAIN: Transform = (np.positive, np.positive, np.ones_like)  # a scale, its inverse, its slope
LOGIT: Transform = (logit, expit, lambda x: 1 / (x * (1 - x)))
LOG: Transform = (np.log, np.exp, np.reciprocal)


def standard_errors(fit: "xr.DataTree", *, ci_prob: float = 0.9) -> "pd.DataFrame":
    r"""Standard errors and confidence intervals of a maximum likelihood fit.

    The observed information in unconstrained coordinates is the Hessian of the log likelihood, by differences of its
    analytic gradient [1]_ (which is Louis' formula [2]_ without the sums over points); the delta method takes it to
    weights, means, variances and covariances. They hold for many points and components that are told apart [3]_.

    Parameters
    ----------
    fit : DataTree
        By ``method='mle'``, or by ``'em'`` when it ended near enough to the maximum.
    ci_prob : float
        Confidence of the intervals. They are symmetric on the logit scale for weights, on the log scale for
        variances, and plain for means and covariances.

    Returns
    -------
    DataFrame
        One row a component and quantity (``weight``; and for columns a and b ``mean a``, ``variance a``,
        ``covariance a, b``, the last where the family has them); columns ``estimate``, ``standard_error``, ``lower``,
        ``upper``, in data units. A row weight counts as that many independent points.

    Raises
    ------
    NotAMaximum
        When the fit holds draws or the mode of a posterior, or ended before the maximum or on a saddle.
    SingularInformation
        When the data can't tell some quantities apart.

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
    quantities = Quantities(likelihood, posterior.columns)
    q = _coordinates(likelihood, posterior)
    with threadpool_limits(limits=1, user_api="blas"):  # small matrices: its threads would wait for each other
        found = _maximum(likelihood, q)
    curvature = found.curvature
    assert curvature is not None
    if not curvature.is_definite:
        raise _indefinite(quantities, found.q, curvature)
    jacobian = quantities.jacobian(found.q, curvature.scale)
    covariance = curvature.inverse() / likelihood.blocks.total_weight
    error = np.sqrt(np.einsum("ip,pr,ir->i", jacobian, covariance, jacobian))
    _require_near(quantities.standardised(q) - quantities.standardised(found.q), error)
    components = fit["posterior"].coords["component"].values
    return _table(quantities, components, quantities.of(posterior), error * quantities.units, ci_prob)


class Quantities:
    """Weights, means, variances and covariances of a mixture, end to end, component by component.

    Parameters
    ----------
    likelihood : LogLikelihood
    columns : tuple of str
        Names of the features.
    """

    def __init__(self, likelihood: LogLikelihood, columns: tuple[str, ...]) -> None:
        self._likelihood = likelihood
        d = likelihood.n_features
        rows, below = (
            np.tril_indices(d, -1) if "feature_bis" in likelihood.model.family.dims else (np.empty(0, int),) * 2
        )
        self._pairs = (np.append(np.arange(d), below), np.append(np.arange(d), rows))
        pairs = [f"covariance {columns[i]}, {columns[j]}" for i, j in zip(below, rows, strict=True)]
        self.names = ["weight", *(f"mean {c}" for c in columns), *(f"variance {c}" for c in columns), *pairs]
        self.transforms = [LOGIT, *[PLAIN] * d, *[LOG] * d, *[PLAIN] * len(pairs)]
        scale = likelihood.standard.scale
        products = np.outer(scale, scale)[self._pairs]
        self.units = np.tile(np.concatenate([[1.0], scale, products]), likelihood.n_components)

    def of(self, posterior: Posterior) -> Array:
        """(Q,) those of a point estimate, in data units."""
        p = posterior.parameters
        return self._flat(p.weight[0], p.mean[0], p.covariance[0])

    def standardised(self, q: Array) -> Array:
        """(..., Q) those at coordinates (..., P), standardised, so that an offset of the data costs no digits."""
        likelihood = self._likelihood
        weight, mean, core_roots = likelihood.mixture(q)
        k, d = likelihood.n_components, likelihood.n_features
        return self._flat(weight, mean, likelihood.model.family.matrices(core_roots, k, d))

    def _flat(self, weight: Array, mean: Array, covariance: Array) -> Array:
        chosen = covariance[..., self._pairs[0], self._pairs[1]]
        every = np.concatenate([weight[..., None], mean, chosen], axis=-1)
        return every.reshape(*weight.shape[:-1], -1)

    def jacobian(self, q: Array, scale: Array) -> Array:
        """(Q, P) their slopes at q, standardised."""
        steps = STEP * np.diag(scale)
        difference = self.standardised(q + steps) - self.standardised(q - steps)
        return (difference / (2 * STEP * scale)[:, None]).T


def _require_likelihood(fit: "xr.DataTree", posterior: Posterior) -> None:
    if posterior.n_draws > 1:
        raise NotAMaximum(
            f"this fit is a posterior of {posterior.n_draws} draws: its spread is that of its draws.\n"
            "  See bg.component_table(fit), or ArviZ's az.summary(fit)."
        )
    maximum = info(fit).get("maximum")
    if maximum != "likelihood":
        what = "the mode of a posterior" if maximum == "posterior" else "one draw of unknown origin"
        raise NotAMaximum(
            f"this fit is {what}: the observed information is read at a maximum of the likelihood.\n"
            "  Use method='mle' for standard errors, or method='nuts' for the spread of the posterior."
        )


def _coordinates(likelihood: LogLikelihood, posterior: Posterior) -> Array:
    """(P,) where the fit is."""
    p, (shift, scale) = posterior.parameters, (posterior.standard.shift, posterior.standard.scale)
    family = likelihood.model.family
    core = family.cores(p.covariance[0] / np.outer(scale, scale))
    return likelihood.coordinates(p.weight[0], (p.mean[0] - shift) / scale, family.roots(core))


def _maximum(likelihood: LogLikelihood, q: Array) -> Maximum:
    """The maximum that the fit is at or near."""
    if likelihood.size > HESSIAN_LIMIT:
        raise NotAMaximum(
            f"the likelihood has {likelihood.size} coordinates, too many for its Hessian (the limit is "
            f"{HESSIAN_LIMIT}).\n  Try covariance='diag' or 'tied', or fewer components."
        )
    value, grad = likelihood(q)
    gradient = float(np.abs(grad).max(initial=0.0)) / likelihood.blocks.total_weight
    start = Maximum(q, value, gradient, 0, converged=False)
    found = polish(likelihood, start, POLISH, 1e-8, watch=np.isfinite)
    if not found.converged:
        raise _too_far(f"its largest slope, a point, is {gradient:.2g}")
    return found


def _require_near(distance: Array, error: Array) -> None:
    """Raise NotAMaximum when a fit is further from the maximum than a small part of a standard error."""
    away = float(np.max(np.abs(distance) / np.where(error > 0, error, np.inf)))
    if away > NEAR:
        raise _too_far(f"it is {away:.2g} standard errors away")


def _too_far(how: str) -> NotAMaximum:
    return NotAMaximum(
        f"this fit is not at a maximum of the likelihood: {how}.\n"
        "  Use method='mle', or for method='em' a smaller tol and a larger max_iter."
    )


def _indefinite(quantities: Quantities, q: Array, curvature: Curvature) -> SingularInformation | NotAMaximum:
    """Says which quantities move where the log likelihood is flat; or, where it is nowhere flat, where it rises."""
    jacobian = quantities.jacobian(q, curvature.scale)
    share, flat = curvature.flattest
    if share > FLAT:
        named = _named(quantities, jacobian @ curvature.rising)
        return NotAMaximum(
            f"this fit is on a saddle: the log likelihood rises when these move together: {named}.\n"
            "  Use method='mle' with another seed or a larger n_init, or fewer components."
        )
    return SingularInformation(
        f"the data can't tell these apart: {_named(quantities, jacobian @ flat)}. The log likelihood stays the same "
        "when they move together.\n"
        "  Try fewer components, covariance='tied' or 'diag', more points, or method='nuts', whose priors say the rest."
    )


def _named(quantities: Quantities, moved: Array) -> str:
    """Those that move most."""
    size, width = np.abs(moved), len(quantities.names)
    chosen = [i for i in np.argsort(-size, kind="stable")[:NAMED] if size[i] > 0.1 * size.max()]
    return "; ".join(f"{quantities.names[i % width]} of component {i // width}" for i in chosen)


def _table(quantities: Quantities, components: Array, estimate: Array, error: Array, ci_prob: float) -> "pd.DataFrame":
    import pandas as pd

    values, errors = (each.reshape(len(components), -1).T for each in (estimate, error))
    ends = [_interval(*one, ci_prob) for one in zip(values, errors, quantities.transforms, strict=True)]
    lower, upper = (np.column_stack(side).ravel() for side in zip(*ends, strict=True))
    index = pd.MultiIndex.from_product([components, quantities.names], names=["component", "quantity"])
    columns = {"estimate": estimate, "standard_error": error, "lower": lower, "upper": upper}
    return pd.DataFrame(columns, index=index)


def _interval(estimate: Array, error: Array, transform: Transform, ci_prob: float) -> tuple[Array, Array]:
    """Ends of intervals that are symmetric on a scale; the weight of a lone component is known, and its own interval.

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
