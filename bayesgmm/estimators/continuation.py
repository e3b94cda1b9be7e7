"""Continuing from an earlier fit (``warm_start``, ``partial_fit``): only where what was declared has not changed."""

from collections.abc import Mapping, Sequence
from numbers import Real
from typing import TYPE_CHECKING

import numpy as np

from bayesgmm.data.points import Points
from bayesgmm.errors import warn
from bayesgmm.model import MixtureModel
from bayesgmm.wording import listing, plural

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator

KIND = ("method", "n_components", "covariance_type", "weight_concentration_prior_type")
PRIORS = ("weight_concentration_prior", "mean_precision_prior", "mean_prior", "degrees_of_freedom_prior")
LONG = 120  # values are shown in remarks of at most this length
DECLARED = (*KIND, *PRIORS, "covariance_prior", "reg_covar")


def names_of(estimator: "BaseEstimator") -> tuple[str, ...]:
    """Return the names of the fitted columns; empty if there are none."""
    return tuple(getattr(estimator, "feature_names_in_", ()))


def columns_changed(estimator: "BaseEstimator", n_features: int, named: tuple[str, ...], points: Points) -> str:
    """Describe how the columns differ from those of the last fit; empty if they don't."""
    now, names = points.values.shape[1], names_of(estimator)
    if now != n_features:
        return f"there were {plural(n_features, 'column')} and now {plural(now, 'column')}"
    if named and names and named != names:
        return f"the columns were {listing(named)} and are {listing(names)}"
    return ""


def remark_changes(continuing: str, last: Mapping[str, object], now: Sequence[object], columns: str = "") -> bool:
    """Return True, with a remark, if a fit can't be continued because something has changed since.

    Parameters
    ----------
    continuing : str
        What asks for it.
    last : mapping
        Values of the last fit, by name.
    now : sequence
        Values of this one.
    columns : str
        How the columns differ.

    Warns
    -----
    FitWarning
    """
    changed = [_change(name, a, b) for (name, a), b in zip(last.items(), now, strict=True) if a != b]
    changed += [columns] if columns else []
    if changed:
        reasons = "; ".join(changed)
        warn([f"{continuing}: the last fit can't be continued, because {reasons}. The fit starts again."])
    return bool(changed)


def _change(name: str, last: object, now: object) -> str:
    text = f"{name} was {last!r} and is {now!r}"
    return text if len(text) < LONG else f"{name} has changed"


def declared_by(estimator: "BaseEstimator") -> dict[str, object]:
    """Return the parameters that declare the mixture and its priors, as values that can be compared.

    ``model`` replaces the others.
    """
    if estimator.model is None:
        return {name: _plain(getattr(estimator, name)) for name in DECLARED}
    return {"method": estimator.method, "model": estimator.model}


def kind_of(told: Mapping[str, object]) -> dict[str, object]:
    """Return the part of ``declared_by`` on which the shape of the factors depends."""
    model = told.get("model")
    if not isinstance(model, MixtureModel):
        return {name: told.get(name) for name in KIND}
    learned = "learned " * model.weights.n_extra
    priors = f"{learned}{type(model.weights).__name__}, {type(model.means).__name__}"
    return dict(zip(KIND, (told["method"], model.n_components, model.covariance, priors), strict=True))


def _plain(value: object) -> object:
    return value if value is None or isinstance(value, str | Real) else np.asarray(value).tolist()
