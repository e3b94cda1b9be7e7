"""Mixture discriminant analysis: a mixture for each class, and Bayes' rule."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Self, cast, override

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import log_softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.metrics import accuracy_score
from sklearn.utils import Tags, column_or_1d
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from bayesgmm.data.labels import UNLABELLED
from bayesgmm.data.points import DataLike, Points
from bayesgmm.engines import engine_named
from bayesgmm.errors import ComponentError, DataError, DeclarationError
from bayesgmm.estimators import arguments, fits
from bayesgmm.estimators.arguments import RandomState
from bayesgmm.estimators.discriminants import CLASSES, Selection, Wanted, search_of, select_structure
from bayesgmm.estimators.unlabelled import AUTO, fit_classes, in_free_structure, labelled_rows, without
from bayesgmm.keywords import checks_keywords
from bayesgmm.model import MixtureModel
from bayesgmm.predictions.predictive import log_mean_density
from bayesgmm.sweep.stats import Array

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

MAX_COMPARED = 10_000  # maximum number of rows of a class among which distinct rows are counted


@checks_keywords
class MixtureClassifier(ClassifierMixin, BaseEstimator):
    r"""Mixture discriminant analysis: each class has a mixture, and Bayes' rule gives the class of a point.

    .. math:: P(c \mid x) \propto \pi_c \, p(x \mid c)

    With one component this is quadratic discriminant analysis; with ``covariance_type='diag'``, naive Bayes. Missing
    values (NaN) are used as missing at random. Rows without a label (-1) help to find the mixtures of the classes: all
    classes are then fitted together [3]_.

    The number of components and the covariance structure can be chosen by BIC: one Gaussian for each class, whose
    structure relates the classes (EDDA [4]_), or a mixture for each class with a structure of its own (MclustDA [2]_).

    Parameters
    ----------
    n_components : int, 'select', or several int
        Number of components per class. A class with fewer distinct rows gets one component for each of them.
        ``'select'`` chooses it for each class from 1 to 5, ``range(1, 4)`` or ``'1-3'`` from these.
    covariance_type : {'full', 'tied', 'diag', 'spherical', 'EII', 'VEV', ...}, 'select', or several of them
        scikit-learn's words, one of mclust's fourteen structures, or 'factors:q', as in ``MixtureModel``.
        ``'select'`` chooses among all that the method can fit, a list among these.
    across : {'components', 'classes'}, optional
        What the structure relates: the covariances of the components of each class, or those of the classes, which
        then have one component each (EDDA). Default: for one given ``covariance_type`` the components; else both are
        compared.
    priors : (n_classes,) float, optional
        Prior probabilities of the classes, in the order of ``classes_``. Default: class frequencies; with unlabelled
        rows their estimates from all rows.
    method : str
        Any method of ``bayesgmm.fit``, under a prior of the covariances whose scale is the variance within the
        classes. 'em' finds the mode under that prior, so that a class of one row has a density, too. What is chosen by
        BIC is, by 'em', the maximum of the likelihood that BIC compares; other methods fit it under the prior.
    random_state : int, RandomState or None
    settings : dict, optional
        Settings of the method, as in ``bayesgmm.fit``.
    unlabelled : label or None
        Value of y for rows whose class is not known; None if each row has one. Default: ``'auto'``, -1 as elsewhere in
        scikit-learn, with a warning; labels -1 and 1 alone are two classes.

    Attributes
    ----------
    classes_ : (n_classes,) labels
    priors_ : (n_classes,) float
    posteriors_ : list of DataTree
        Fit of each class, an input of ``assignments``, ``density``, ``anomaly_scores``, ``save`` and the plots.
    n_components_ : (n_classes,) int
        Number of components of each class.
    covariance_types_ : list of str
        Structure of each class.
    selection_ : DataFrame
        If there was something to choose: a row for each choice, the best one first, with ``across``, ``n_components``
        of each class, ``covariance``, ``loglik`` of values and labels together, ``n_parameters``, ``bic`` (lower is
        better) and ``problem``. The best mixtures of the classes are one row.
    class_selections_ : dict of label to DataFrame
        The same for the mixtures of each class, as from ``bayesgmm.select``.
    n_features_in_, feature_names_in_ : int, (D,) str

    Notes
    -----
    Where BIC chooses, the search of each mixture is brief, and several components with as many parameters as their
    class has rows are left out: a long search would find maxima at which a covariance is nearly singular. With rows
    without a label only the structure of one Gaussian per class can be chosen.

    References
    ----------
    .. [1] Hastie & Tibshirani (1996), J. R. Stat. Soc. B 58(1), 155-176.
    .. [2] Fraley & Raftery (2002), J. Am. Stat. Assoc. 97(458), 611-631.
    .. [3] Miller & Uyar (1997), Advances in Neural Information Processing Systems 9, 571-577.
    .. [4] Bensmail & Celeux (1996), J. Am. Stat. Assoc. 91(436), 1743-1748.

    Examples
    --------
    >>> X = [[0.0], [0.2], [0.4], [5.0], [5.2], [5.4]]
    >>> classifier = MixtureClassifier().fit(X, ["low", "low", "low", "high", "high", "high"])
    >>> classifier.predict([[0.3], [5.1]])
    array(['low', 'high'], dtype='<U4')

    The variances of the classes are equal, so that one number suffices for both.

    >>> chosen = MixtureClassifier(1, covariance_type=["EII", "spherical"]).fit(X, ["low"] * 3 + ["high"] * 3)
    >>> chosen.selection_[["across", "covariance", "n_parameters"]].head(2)
        across covariance  n_parameters
    0  classes        EII             4
    1  classes  spherical             5
    """

    def __init__(
        self,
        n_components: int | str | Iterable[int] = 1,
        *,
        covariance_type: str | Sequence[str] = "full",
        across: str | None = None,
        priors: ArrayLike | None = None,
        method: str = "em",
        random_state: RandomState = None,
        settings: dict[str, Any] | None = None,
        unlabelled: object = AUTO,
    ) -> None:
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.across = across
        self.priors = priors
        self.method = method
        self.random_state = random_state
        self.settings = settings
        self.unlabelled = unlabelled

    @override
    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def fit(self, X: DataLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit a mixture to each class.

        Parameters
        ----------
        X : (N, D) array or DataFrame
        y : (N,) labels
            Class of each row, or -1 (``unlabelled``) where it is not known.
        sample_weight : (N,) float, optional
            Number of points that each row represents. A class of total weight 0 is ignored.

        Raises
        ------
        DataError, DeclarationError
            If the data or a parameter are not valid. Both are ValueErrors.
        """
        wanted = Wanted.of(self.n_components, self.covariance_type, self.across, self.method)
        _require_labels(y)
        points, labels = arguments.points_and_labels(self, X, y, sample_weight)
        known = labelled_rows(labels, self.unlabelled)
        check_classification_targets(labels[known])
        weight = np.ones(len(labels)) if points.weights is None else points.weights
        kept = np.flatnonzero(weight)
        counted, labels, known = points.weighed(weight).take(kept), labels[kept], known[kept]
        if not known.any():
            raise DataError("y has no label: each row is unlabelled\n  GaussianMixture needs none.")
        self.classes_, own = np.unique(labels[known], return_inverse=True)
        index = np.full(len(labels), UNLABELLED)
        index[known] = own
        self.priors_ = self._priors(np.bincount(own, weights=weight[kept][known]).astype(np.float64))
        within = _within(counted.take(np.flatnonzero(known)), own)
        for c, name in enumerate(self.classes_):
            arguments.require_values(counted.take(np.flatnonzero(index == c)), f" in class {name!r}")
        if wanted is None:
            self._fit_given(self._declared(), counted, index, within)
        else:
            self._fit_chosen(wanted, counted, index, within)
        return self

    def _fit_given(self, model: MixtureModel, points: Points, index: NDArray[np.int64], within: Array) -> None:
        """Fit mixtures of the given number of components and structure."""
        model = fits.proper(model, points, within)
        fit = partial(fits.fit, method=self.method, random_state=self.random_state, settings=self.settings)
        parts = self._parts(points, index)
        counts = [_count(part, model.n_components) for part in parts]
        self._set_chosen(counts, [model.covariance] * len(counts), None)
        if (index == UNLABELLED).any():
            self._set_joint(fit, in_free_structure(model, counts), points, index, counts)
            return
        models = [model.model_copy(update={"n_components": count}) for count in counts]
        self.posteriors_ = self._each(fit, models, parts)

    def _declared(self) -> MixtureModel:
        """Return the mixture of one class."""
        n_components, covariance_type = cast("int", self.n_components), cast("str", self.covariance_type)
        return fits.declared(n_components, covariance_type, self.method)

    def _fit_chosen(self, wanted: Wanted, points: Points, index: NDArray[np.int64], within: Array) -> None:
        """Choose numbers of components and a structure by BIC, and fit them."""
        seed, settings = arguments.seed_of(self.random_state), arguments.settings_named(self.settings)
        engine_named(self.method).checked(settings)
        search = search_of(settings, self.method)
        chosen = select_structure(wanted, points, index, self.classes_, seed, search)
        self._set_chosen(chosen.counts, chosen.names, chosen)

        def fit(model: MixtureModel, part: Points) -> "xr.DataTree":
            if self.method == "em":
                return fits.most_likely(model, part, seed, search | settings)
            return fits.fit(fits.proper(model, points, within), part, self.method, seed, settings)

        if chosen.across == CLASSES:
            self._set_joint(fit, MixtureModel(1, chosen.names[0]), points, index, chosen.counts)
            return
        models = (MixtureModel(*own) for own in zip(chosen.counts, chosen.names, strict=True))
        self.posteriors_ = self._each(fit, models, self._parts(points, index))

    def _each(
        self,
        fit: "Callable[[MixtureModel, Points], xr.DataTree]",
        models: Iterable[MixtureModel],
        parts: Iterable[Points],
    ) -> "list[xr.DataTree]":
        """Fit the mixture of each class; an error names the class."""
        fitted = []
        for name, model, part in zip(self.classes_.tolist(), models, parts, strict=True):
            try:
                fitted.append(fit(model, part))
            except ComponentError as error:
                raise type(error)(f"class {name!r}: {error}", error.families) from None
        return fitted

    def _parts(self, points: Points, index: NDArray[np.int64]) -> list[Points]:
        """Return the rows of each class, with those that may be of any class."""
        free = index == UNLABELLED
        return [points.take(np.flatnonzero((index == c) | free)) for c in range(len(self.classes_))]

    def _set_joint(
        self,
        fit: "Callable[[MixtureModel, Points], xr.DataTree]",
        model: MixtureModel,
        points: Points,
        index: NDArray[np.int64],
        counts: Sequence[int],
    ) -> None:
        """Fit all classes together."""
        self.posteriors_, shares = fit_classes(fit, model, points, index, counts)
        if self.priors is None and (index == UNLABELLED).any():
            self.priors_ = shares

    def _set_chosen(self, counts: Sequence[int], names: Sequence[str], chosen: Selection | None) -> None:
        self.n_components_, self.covariance_types_ = np.array(counts), [*names]
        for name in ("selection_", "class_selections_"):
            self.__dict__.pop(name, None)
        if chosen is not None:
            self.selection_: pd.DataFrame = chosen.table
            self.class_selections_: dict[Any, pd.DataFrame] = chosen.classes

    def _priors(self, count: Array) -> Array:
        if self.priors is None:
            return count / count.sum()
        priors = arguments.numbers(
            "priors", self.priors, count.shape, "one probability for each class, in the order of classes_"
        )
        if (priors < 0).any() or abs(priors.sum() - 1) > 1e-8:
            raise DeclarationError(
                f"priors={self.priors!r}: must be at least 0 and sum to 1; they sum to {priors.sum():.8g}\n"
                "  Try priors / sum(priors)."
            )
        return priors

    def _log_joint(self, X: DataLike) -> Array:
        """Compute the log of class probability times density (N, n_classes)."""
        check_is_fitted(self)
        points = arguments.points_of(self, X, fitting=False)
        density = np.column_stack([log_mean_density(fit, points.values) for fit in self.posteriors_])
        with np.errstate(divide="ignore"):  # a class may have probability zero
            return density + np.log(self.priors_)

    def decision_function(self, X: DataLike) -> Array:
        """Compute the log odds of the second of two classes, or the log joint densities of more classes.

        Parameters
        ----------
        X : (N, D) array or DataFrame

        Returns
        -------
        (N,) or (N, n_classes) float
            In nats.

        Raises
        ------
        DataError
            If the data are not valid.
        """
        joint = self._log_joint(X)
        return joint[:, 1] - joint[:, 0] if len(self.classes_) == 2 else joint

    def predict(self, X: DataLike) -> NDArray[Any]:
        """Return the most probable class of each point.

        Parameters
        ----------
        X : (N, D) array or DataFrame

        Returns
        -------
        (N,) labels

        Raises
        ------
        DataError
            If the data are not valid.
        """
        best = self._log_joint(X).argmax(axis=1)
        return self.classes_[best]

    def predict_log_proba(self, X: DataLike) -> Array:
        """Compute the log probability of each class.

        Parameters
        ----------
        X : (N, D) array or DataFrame

        Returns
        -------
        (N, n_classes) float
            In the order of ``classes_``.

        Raises
        ------
        DataError
            If the data are not valid.
        """
        return log_softmax(self._log_joint(X), axis=1)

    def predict_proba(self, X: DataLike) -> Array:
        """Compute the probability of each class.

        Parameters
        ----------
        X : (N, D) array or DataFrame

        Returns
        -------
        (N, n_classes) float
            In the order of ``classes_``; rows sum to one.

        Raises
        ------
        DataError
            If the data are not valid.

        Examples
        --------
        Half-way between two classes of the same spread, both are equally probable.

        >>> X = [[0.0], [0.2], [0.4], [5.0], [5.2], [5.4]]
        >>> MixtureClassifier().fit(X, [0, 0, 0, 1, 1, 1]).predict_proba([[2.7]]).round(3)
        array([[0.5, 0.5]])
        """
        return np.exp(self.predict_log_proba(X))

    @override
    def score(self, X: DataLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Compute the share of rows whose class is predicted, among those that have a label.

        Parameters
        ----------
        X : (N, D) array or DataFrame
        y : (N,) labels
        sample_weight : (N,) float, optional

        Raises
        ------
        DataError
            If the data are not valid, or no row has a label.

        Examples
        --------
        >>> X = [[0.0], [0.2], [0.4], [5.0], [5.2], [5.4]]
        >>> classifier = MixtureClassifier(unlabelled=-1).fit(X, [0, 0, -1, 1, 1, -1])
        >>> classifier.score(X, [0, 0, -1, 1, 1, -1])
        1.0
        """
        predicted, labels = self.predict(X), column_or_1d(y)
        value = UNLABELLED if self.unlabelled == AUTO else self.unlabelled
        known = without(labels, value) | (not without(self.classes_, value).all())  # it may be a class
        if not known.any():
            raise DataError("y has no label: each row is unlabelled")
        weight = None if sample_weight is None else np.asarray(sample_weight)[known]
        return float(accuracy_score(labels[known], predicted[known], sample_weight=weight))


def _require_labels(y: ArrayLike) -> None:
    """Check that no label is missing."""
    import pandas as pd

    missing = np.asarray(pd.isna(np.asarray(y, dtype=object)))
    if y is not None and missing.any():
        raise DataError(
            f"Input y contains NaN: {missing.sum():,} of {missing.size:,} rows have no label\n"
            f"  Give such a row the label {UNLABELLED}, and unlabelled={UNLABELLED}."
        )


def _count(points: Points, n_components: int) -> int:
    """Return the number of components for some rows: no more than there are different ones."""
    return min(n_components, len(np.unique(points.values[:MAX_COMPARED], axis=0))) if n_components > 1 else 1


def _within(points: Points, index: NDArray[np.intp]) -> Array:
    """Compute the variance within classes (D,): of the points about the means of their classes."""
    weight = points.weights
    assert weight is not None
    every = np.bincount(index)
    variance = np.empty(points.values.shape[1])
    for j, column in enumerate(points.values.T):
        seen = ~np.isnan(column)
        own, counted, weighed = index[seen], column[seen], weight[seen]
        total = np.maximum(np.bincount(own, weights=weighed, minlength=len(every)), np.finfo(float).tiny)
        mean = np.bincount(own, weights=weighed * counted, minlength=len(every)) / total
        variance[j] = np.average((counted - mean[own]) ** 2, weights=weighed)
    return variance
