"""What functions accept as a fit: a fit, a trace of PyMC, or a fitted estimator."""

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any

from bayesgmm.errors import FitFileError
from bayesgmm.keywords import CHECKED, refuse_unknown
from bayesgmm.wording import a_kind

if TYPE_CHECKING:
    import xarray as xr

FIT = "fit"  # name of the first parameter of functions that take a fit

type FitLike = xr.DataTree | Any
"""A fit, or an estimator with the attribute ``posterior_``. ``Any`` lets a decorated function read it as a fit."""


def as_fit(value: FitLike) -> "xr.DataTree":
    """Return an argument as a fit: a fit as it is, of an estimator its ``posterior_``.

    Parameters
    ----------
    value : DataTree or estimator

    Raises
    ------
    FitFileError
        If it is neither, or the estimator has no posterior.
    sklearn.exceptions.NotFittedError
        If the estimator is not fitted.

    Examples
    --------
    >>> as_fit([0.1, 0.2])
    Traceback (most recent call last):
        ...
    bayesgmm.errors.FitFileError: a list is not a fit
      Give what bayesgmm.fit or bayesgmm.load returned, a trace of PyMC, or a fitted estimator such as GaussianMixture.
    """
    if hasattr(value, "children"):
        return value  # its variables are checked where they are read
    kind = type(value).__name__
    if not (hasattr(value, "fit") and hasattr(value, "get_params")):
        raise FitFileError(
            f"{a_kind(value)} is not a fit\n  Give what bayesgmm.fit or bayesgmm.load returned, a trace of PyMC, or a "
            "fitted estimator such as GaussianMixture."
        )
    from sklearn.utils.validation import check_is_fitted

    check_is_fitted(value)
    if not hasattr(type(value), "posterior_") and not hasattr(value, "posterior_"):
        raise FitFileError(f"{kind} has no posterior_{_instead(value)}")
    return value.posterior_


def _instead(value: Any) -> str:
    """Return what to give instead of an estimator without a posterior."""
    if hasattr(value, "posteriors_"):
        return ", but several: give one of its posteriors_"
    if hasattr(value, "best_estimator_"):
        return "; give its best_estimator_"
    if hasattr(value, "steps"):
        return "; give its last step, [-1], whose columns are those that the steps before made"
    return "; give bayesgmm.GaussianMixture or BayesianGaussianMixture, or what bayesgmm.fit returns"


def takes_fit[F: Callable[..., Any]](function: F) -> F:
    """Let the first argument of a function be an estimator, too: the function gets its fit, by ``as_fit``.

    An argument that the function does not have is answered with what to write instead.

    Examples
    --------
    >>> import bayesgmm as bg
    >>> gmm = bg.GaussianMixture(2).fit([[0.0], [1.0], [9.0], [10.0]])
    >>> bg.assignments(gmm)["label"].values.tolist() in ([0, 0, 1, 1], [1, 1, 0, 0])
    True
    """

    @wraps(function)
    def taking(*args: Any, **kwargs: Any) -> Any:
        if not hasattr(function, CHECKED):
            refuse_unknown(function, kwargs)
        if args:
            args = (as_fit(args[0]), *args[1:])
        elif FIT in kwargs:
            kwargs[FIT] = as_fit(kwargs[FIT])
        return function(*args, **kwargs)

    return taking  # type: ignore[return-value]
