"""Tables of formants, one row a token: a mixture for each sound, and Bayes' rule."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import softmax

from bayesgmm.apps.speech_files import Trained
from bayesgmm.apps.word_models import Words
from bayesgmm.data import Standard, as_points, is_numeric, listing
from bayesgmm.errors import DataError, did_you_mean
from bayesgmm.posterior import unpack
from bayesgmm.stats import Array

if TYPE_CHECKING:
    import pandas as pd

    from bayesgmm.estimators.classifier import MixtureClassifier


def train_table(
    frame: "pd.DataFrame", label: str = "label", columns: Sequence[str] | None = None, **settings: Any
) -> tuple[Trained, "MixtureClassifier"]:
    """Learn labels from columns of numbers.

    Parameters
    ----------
    frame : DataFrame
        A row a token.
    label : str
        The column of the labels.
    columns : sequence of str, optional
        Formants; all other columns of numbers unless told.
    **settings
        Of ``MixtureClassifier``.

    Returns
    -------
    trained : Trained
        To be saved; its frequencies are logarithms when all are positive, as vocal tracts of different lengths differ
        by a factor.
    classifier : MixtureClassifier
        The same, to be asked at once.

    Raises
    ------
    DataError
        When there is no such column.
    """
    from bayesgmm.estimators.classifier import MixtureClassifier

    known = [str(name) for name in frame.columns]
    if label not in known:
        raise DataError(
            f"the table has no column {label!r}; it has {listing(known)}{did_you_mean(label, dict.fromkeys(known))}"
        )
    used = list(columns) if columns else [c for c in known if c != label and is_numeric(frame[c])]
    if not used:
        raise DataError(f"the table has no column of numbers besides {label!r}")
    X = as_points(frame, used).values
    log = bool((X > 0).all())
    classifier = MixtureClassifier(**settings).fit(np.log(X) if log else X, frame[label].astype(str).to_numpy())
    words = _words(classifier, tuple(used))
    n_classes = len(classifier.classes_)
    follows = np.tile(classifier.priors_, (n_classes, 1))
    info = {"tokens": len(frame), "log": log, "label": label}
    return Trained(classifier.classes_, words, classifier.priors_, 1.0, follows, info=info), classifier


def _words(classifier: "MixtureClassifier", columns: tuple[str, ...]) -> Words:
    """The classes as words of one state and one frame; those with fewer components get empty ones."""
    draws = [unpack(fit).parameters for fit in classifier.posteriors_]
    most = max(p.weight.shape[1] for p in draws)
    filled = [np.resize(np.arange(p.weight.shape[1]), most) for p in draws]
    weight = np.array(
        [np.where(np.arange(most) < p.weight.shape[1], p.weight[:, k], 0.0) for p, k in zip(draws, filled, strict=True)]
    )
    mean = np.array([p.mean[:, k] for p, k in zip(draws, filled, strict=True)])
    covariance = np.array([p.covariance[:, k] for p, k in zip(draws, filled, strict=True)])
    standard = Standard(mean.mean(axis=(0, 1, 2)), np.ones(len(columns)))
    return Words(weight[:, None], mean[:, None], covariance[:, None], np.zeros((len(draws), 1)), standard, columns)


def recognise_table(trained: Trained, frame: "pd.DataFrame") -> Array:
    """(N, C) probability of each label for the rows of a table.

    Raises
    ------
    DataError
        When it lacks a column, or holds values that were never positive before and have no logarithm now.
    """
    columns = list(trained.words.columns)
    if missing := [name for name in columns if name not in frame.columns]:
        raise DataError(f"the table lacks {listing(missing)}; the model was made for {listing(columns)}")
    X = as_points(frame, columns).values
    if trained.info["log"]:
        if not (X > 0).all():
            raise DataError("frequencies must be positive; drop the rows where they are not")
        X = np.log(X)
    with np.errstate(divide="ignore"):
        return softmax(trained.words.log_density(X)[:, :, 0] + np.log(trained.prior), axis=1)
