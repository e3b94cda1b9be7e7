"""Input validation of the estimators: errors say what was given, what is allowed and what to try."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bayesgmm.data.points import DataLike, Points, as_points
from bayesgmm.data.standards import Standard
from bayesgmm.declared import positive, whole
from bayesgmm.errors import ComponentError, DataError, DeclarationError, choose
from bayesgmm.estimators.initialisation import SLICE
from bayesgmm.estimators.tables import checked
from bayesgmm.families.family import Family
from bayesgmm.families.structures import family_named
from bayesgmm.inference.starts import CENTRES
from bayesgmm.model import MixtureModel
from bayesgmm.priors.covariances import CovariancesPrior, WishartPrecision
from bayesgmm.priors.means import ConjugateMeans
from bayesgmm.priors.multiplicative_gamma import MultiplicativeGamma, has_loadings
from bayesgmm.priors.weights import Dirichlet, DirichletProcess, WeightsPrior
from bayesgmm.sweep.stats import Array
from bayesgmm.wording import listing, plural

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator

type RandomState = int | np.random.RandomState | None

TIGHT, SINGLE = 1e-8, 1e-6  # tolerance of the sum of weights, in double and in single precision


def points_of(
    estimator: "BaseEstimator",
    X: DataLike,
    *,
    fitting: bool,
    sample_weight: ArrayLike | None = None,
    min_samples: int = 1,
) -> Points:
    """Validate data as scikit-learn and this package do; set or check the names and number of the features.

    Raises
    ------
    DataError
        If a value is infinite, or missing where the estimator needs complete rows, or a weight is not valid; the
        message says where.
    ValueError
        From scikit-learn, if X is not a table of the fitted features.
    """
    from sklearn.utils.validation import validate_data

    values = validate_data(
        estimator, checked(X), reset=fitting, dtype=np.float64, ensure_all_finite=False, ensure_min_samples=min_samples
    )
    points = _as_points(estimator, values).weighed(sample_weight)
    if fitting:
        require_values(points, "")
    return points


def require_values(points: Points, where: str, advice: str = "Fit the other columns.") -> None:
    """Check that every column has a value; ``where`` and ``advice`` end the message.

    Raises
    ------
    DataError
    """
    if empty := points.empty_columns:
        what = plural(len(empty), "column has", "columns have")
        raise DataError(f"{what} no values{where}: {listing(empty)}\n  {advice}")


def points_and_labels(
    estimator: "BaseEstimator", X: DataLike, y: ArrayLike, sample_weight: ArrayLike | None
) -> tuple[Points, NDArray[Any]]:
    """Validate training data with labels (N,).

    Raises
    ------
    DataError, ValueError
        As ``points_of``.
    """
    from sklearn.utils.validation import validate_data

    values, labels = validate_data(estimator, checked(X), y, dtype=np.float64, ensure_all_finite=False)
    return _as_points(estimator, values).weighed(sample_weight), labels


def _as_points(estimator: "BaseEstimator", values: Array) -> Points:
    from sklearn.utils import get_tags

    names = list(getattr(estimator, "feature_names_in_", ()))
    distinct = names and len(set(names)) == len(names)
    try:
        return as_points(values, names if distinct else None, gaps=get_tags(estimator).input_tags.allow_nan)
    except DataError as error:
        if "missing or infinite" in str(error):  # scikit-learn's wording, which users search for
            raise DataError(f"X contains NaN or infinity: {error}") from None
        raise


def require_rows(points: Points, n_components: int) -> None:
    """Check that there are at least as many rows of positive weight as components.

    Raises
    ------
    DataError
        Otherwise.
    """
    n_rows = len(points.counted)
    if n_rows < n_components:
        raise DataError(
            f"n_components={n_components} for n_samples = {n_rows}: there must be n_samples >= n_components\n"
            "  Give more rows, or try fewer components."
        )


def family_of(covariance_type: str) -> Family:
    """Return the covariance family of that name.

    Raises
    ------
    UnknownName
    """
    return family_named(covariance_type, "covariance_type")


def not_negative(name: str, value: object) -> float:
    """Return a number of at least 0.

    Raises
    ------
    DeclarationError
    """
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 <= float(value) < np.inf:
        raise DeclarationError(f"{name}={value!r}: must be a number, 0 or more")
    return float(value)


def flag(name: str, value: object) -> bool:
    """Return True or False.

    Raises
    ------
    DeclarationError
    """
    if not isinstance(value, bool | np.bool_):
        raise DeclarationError(f"{name}={value!r}: must be True or False")
    return bool(value)


def check_search(estimator: "BaseEstimator") -> None:
    """Check the parameters that both mixtures share: initialisation, convergence and verbosity.

    Raises
    ------
    DeclarationError, UnknownName
        If one is not valid.
    """
    whole("n_components", estimator.n_components)
    family_of(estimator.covariance_type)
    not_negative("tol", estimator.tol)
    not_negative("reg_covar", estimator.reg_covar)
    whole("max_iter", estimator.max_iter, minimum=0)
    whole("n_init", estimator.n_init)
    choose(estimator.init_params, CENTRES, "init_params")
    flag("warm_start", estimator.warm_start)
    whole("verbose", verbosity(estimator.verbose), minimum=0)
    whole("verbose_interval", estimator.verbose_interval)


@contextmanager
def in_own_words() -> Iterator[None]:
    """Name the covariance family as the estimators do in the text of an error.

    Raises
    ------
    ComponentError, DeclarationError
        The same one.
    """
    try:
        yield
    except DeclarationError as error:
        error.args = (str(error).replace("covariance=", "covariance_type="),)
        raise
    except ComponentError as error:
        raise type(error)(str(error).replace("covariance=", "covariance_type="), error.families) from None


def verbosity(verbose: int) -> int:
    """Convert a boolean ``verbose`` to a whole number."""
    return int(verbose) if isinstance(verbose, bool | np.bool_) else verbose


def numbers(name: str, value: object, shape: tuple[int, ...], meaning: str) -> Array:
    """Return an array of finite numbers of the given shape; ``meaning`` describes the shape in the error.

    Raises
    ------
    DeclarationError
    """
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise DeclarationError(f"{name}={value!r}: give numbers of shape {shape}, {meaning}") from None
    if array.shape != shape:
        raise DeclarationError(f"{name} has shape {array.shape}; it must be {shape}: {meaning}")
    if not np.isfinite(array).all():
        raise DeclarationError(f"{name} holds missing or infinite values; give {meaning}")
    return array


def check_weights(value: object, n_components: int) -> Array:
    """Check mixture weights (K,).

    Raises
    ------
    DeclarationError

    Examples
    --------
    >>> check_weights([0.5, 0.25], 2)
    Traceback (most recent call last):
        ...
    bayesgmm.errors.DeclarationError: weights_init must be normalized: it sums to 0.75, not 1
      Try weights_init / weights_init.sum().
    """
    weights = numbers("weights_init", value, (n_components,), "one number per component")
    if (weights < 0).any() or (weights > 1).any():
        raise DeclarationError(
            f"weights_init must lie in [0, 1]; it goes from {weights.min():g} to {weights.max():g}\n"
            "  Give the fraction of the points in each component."
        )
    slack = SINGLE if getattr(value, "dtype", None) == np.float32 else TIGHT
    if abs(weights.sum() - 1) > slack:
        raise DeclarationError(
            f"weights_init must be normalized: it sums to {weights.sum():.8g}, not 1\n"
            "  Try weights_init / weights_init.sum()."
        )
    return weights


def check_means(value: object, n_components: int, n_features: int) -> Array:
    """Check means (K, D).

    Raises
    ------
    DeclarationError
    """
    return numbers("means_init", value, (n_components, n_features), "one row per component, one number per feature")


def check_precisions(value: object, family: Family, n_components: int, n_features: int) -> Array:
    """Check precisions in scikit-learn's shape.

    Raises
    ------
    DeclarationError
        If a matrix is not symmetric and positive definite, or a number is not positive.
    """
    shape = family.squeezed(np.empty(family.core_shape(n_components, n_features))).shape
    precisions = numbers("precisions_init", value, shape, f"the precisions of {family.name!r} components")
    if problem := family.form.problem("precisions_init", family.unsqueezed(precisions), family.sharing.item):
        raise DeclarationError(problem)
    return precisions


def settings_named(settings: object) -> dict[str, Any]:
    """Return the settings of a method, by name.

    Raises
    ------
    DeclarationError
        If they are not a dict.
    """
    if settings is None:
        return {}
    if not isinstance(settings, Mapping):
        raise DeclarationError(f"settings={settings!r}: give a dict, for example settings={{'draws': 500}}")
    return dict(settings)


def seed_of(random_state: RandomState) -> int:
    """Return a seed from scikit-learn's ``random_state``: the same for the same whole number.

    Raises
    ------
    DeclarationError
        If a whole number is negative or too large.

    Examples
    --------
    >>> seed_of(0) == seed_of(0)
    True
    """
    from sklearn.utils import check_random_state

    if isinstance(random_state, Integral) and not isinstance(random_state, bool):
        whole("random_state", random_state, minimum=0, maximum=2**32 - 1)
    return int(check_random_state(random_state).randint(2**31 - 1))


def spread(points: Points, family: Family, reg_covar: float) -> Array | float:
    """Compute the weighted covariance of the points, plus ``reg_covar``, in the shape of one component's covariance."""
    total = points.total_weight
    free = total - 1 if total >= 2 else total  # weights may sum to one
    return family.form.either(
        points.summary.variance + reg_covar,
        lambda: sum(_squares(points)) / free + reg_covar * np.eye(len(points.columns)),
    )


def _squares(points: Points) -> Iterator[Array]:
    """Yield sums of squares about the mean (D, D) of slices of the rows, so that the data are not copied."""
    points = Standard.of(points).filled(points)
    for first in range(0, len(points.values), SLICE):
        rows = slice(first, first + SLICE)
        deviation = points.values[rows] - points.centre_and_sd[0]
        yield (deviation if points.weights is None else deviation * points.weights[rows, None]).T @ deviation


WEIGHTS: dict[str, type[WeightsPrior]] = {
    "dirichlet_process": DirichletProcess,
    "dirichlet_distribution": Dirichlet,
}


def declared(estimator: "BaseEstimator", points: Points) -> MixtureModel:
    """Make the model that the parameters of an estimator describe; set its attributes ``*_prior_``.

    Raises
    ------
    DeclarationError, UnknownName
        If a parameter is not valid.
    """
    family, n_features = family_of(estimator.covariance_type), points.values.shape[1]
    kind = choose(estimator.weight_concentration_prior_type, WEIGHTS, "weight_concentration_prior_type")
    concentration = _number(estimator, "weight_concentration_prior", 1.0 / estimator.n_components)
    strength = _number(estimator, "mean_precision_prior", 1.0)
    location = points.centre_and_sd[0]
    if estimator.mean_prior is not None:
        location = numbers("mean_prior", estimator.mean_prior, (n_features,), "one number per feature")
    covariances = _covariances_prior(estimator, points, family)
    estimator.weight_concentration_prior_, estimator.mean_precision_prior_ = concentration, strength
    estimator.mean_prior_ = location
    means = ConjugateMeans(tuple(location), strength)
    return MixtureModel(estimator.n_components, family.name, kind(concentration), means, covariances)


def _covariances_prior(estimator: "BaseEstimator", points: Points, family: Family) -> CovariancesPrior:
    """Return the prior that scikit-learn's parameters describe; for factor analysers, which it lacks, the default."""
    for name in ("degrees_of_freedom_prior_", "covariance_prior_"):
        estimator.__dict__.pop(name, None)
    if has_loadings(family):
        _require_default_covariances(estimator, family)
        return MultiplicativeGamma()
    dof = _number(estimator, "degrees_of_freedom_prior", float(points.values.shape[1]))
    scale = _covariance_prior(estimator, points, family)
    estimator.degrees_of_freedom_prior_, estimator.covariance_prior_ = dof, scale
    return WishartPrecision(dof, scale)


def _require_default_covariances(estimator: "BaseEstimator", family: Family) -> None:
    """Check that no parameter of an inverse Wishart prior is given for a family that has another prior.

    Raises
    ------
    DeclarationError
    """
    for name in ("degrees_of_freedom_prior", "covariance_prior"):
        if getattr(estimator, name) is not None:
            raise DeclarationError(
                f"{name} is a parameter of the Wishart prior, and covariance_type={family.name!r} has loadings and "
                "noise, whose prior is another one\n"
                f"  Leave {name} out, or give model=MixtureModel(..., covariances=MultiplicativeGamma(...))."
            )


def _covariance_prior(estimator: "BaseEstimator", points: Points, family: Family) -> Any:
    given = estimator.covariance_prior
    if given is None:
        return spread(points, family, estimator.reg_covar)
    shape = family.form.squeezed(family.form.identity(points.values.shape[1])).shape
    if not shape:
        return positive("covariance_prior", given)
    return numbers("covariance_prior", given, shape, f"the shape of one {family.name!r} covariance")


def _number(estimator: "BaseEstimator", name: str, default: float) -> float:
    value = getattr(estimator, name)
    return default if value is None else positive(name, value)
