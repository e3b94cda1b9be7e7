"""Tables of formants, one row a token: a mixture for each sound, and Bayes' rule."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bayesgmm.apps.speech.calibration import tempered
from bayesgmm.apps.speech.rehearsal import folds_of
from bayesgmm.apps.speech.speech_files import Trained
from bayesgmm.apps.speech.word_models import Words
from bayesgmm.data.points import Standard, as_points, is_numeric, listing
from bayesgmm.errors import DataError, did_you_mean
from bayesgmm.posterior.schema import unpack
from bayesgmm.sweep.stats import Array

if TYPE_CHECKING:
    import pandas as pd

    from bayesgmm.estimators.classifier import MixtureClassifier


SPEAKER = "speaker"  # a column of that name says who is held out, and is no formant unless it is asked for


@dataclass(frozen=True)
class Tokens:
    """What a table says.

    Parameters
    ----------
    values : (N, D) float
        Logarithms of frequencies when all are positive, as vocal tracts of different lengths differ by a factor.
    log : bool
        Whether they are.
    labels : (N,) str
    groups : (N,)
        Speakers; else each row by itself.
    columns : D names
    """

    values: Array
    log: bool
    labels: NDArray
    groups: NDArray
    columns: tuple[str, ...]


def tokens_of(frame: "pd.DataFrame", label: str = "label", columns: Sequence[str] | None = None) -> Tokens:
    """Read a table with a row a token, a column of labels and columns of formants: all that hold numbers unless told.

    Raises
    ------
    DataError
        When there is no such column, or a label or a speaker is missing.
    """
    known = [str(name) for name in frame.columns]
    if label not in known:
        raise DataError(
            f"the table has no column {label!r}; it has {listing(known)}{did_you_mean(label, dict.fromkeys(known))}"
        )
    if missing := [name for name in (label, SPEAKER) if name in known and frame[name].isna().any()]:
        raise DataError(f"the table has rows without {listing(missing)}; fill or drop them")
    used = list(columns) if columns else [c for c in known if c not in {label, SPEAKER} and is_numeric(frame[c])]
    if not used:
        raise DataError(f"the table has no column of numbers besides {label!r}")
    X = as_points(frame, used).values
    log = bool((X > 0).all())
    groups = frame[SPEAKER].astype(str).to_numpy() if SPEAKER in known else np.arange(len(frame))
    return Tokens(np.log(X) if log else X, log, frame[label].astype(str).to_numpy(dtype=str), groups, tuple(used))


def train_table(tokens: Tokens, **settings: Any) -> "tuple[Trained, MixtureClassifier]":
    """Learn labels from columns of numbers.

    Parameters
    ----------
    tokens : Tokens
    **settings
        Of ``MixtureClassifier``.

    Returns
    -------
    trained : Trained
        To be saved.
    classifier : MixtureClassifier
        The same, to be asked at once.

    Raises
    ------
    DataError
        When there is one label only.
    """
    from bayesgmm.estimators.classifier import MixtureClassifier

    if (tokens.labels == tokens.labels[0]).all():
        raise DataError(f"all rows are labelled {str(tokens.labels[0])!r}; there must be two labels or more")
    classifier = MixtureClassifier(**settings).fit(tokens.values, tokens.labels)
    words = _words(classifier, tokens.columns)
    follows = np.tile(classifier.priors_, (len(classifier.classes_), 1))
    info = {"tokens": len(tokens.values), "log": tokens.log}
    return Trained(classifier.classes_, words, classifier.priors_, 1.0, follows, info=info), classifier


def rehearse_table(tokens: Tokens, folds: int = 3, **settings: Any) -> "pd.DataFrame":
    """What is said of each row by a model that has seen neither it nor its speaker.

    Returns
    -------
    DataFrame
        ``label``, ``answer`` and ``probability``, indexed by the row's number; none where nothing can be held out.
    """
    import pandas as pd

    from bayesgmm.estimators.classifier import MixtureClassifier

    rows = []
    _, word = np.unique(tokens.labels, return_inverse=True)
    for fold in folds_of(word, tokens.groups, folds, seed=0):
        kept = np.setdiff1d(np.arange(len(word)), fold)
        judged = fold[np.isin(word[fold], word[kept])]
        if len(judged):
            classifier = MixtureClassifier(**settings).fit(tokens.values[kept], tokens.labels[kept])
            p = classifier.predict_proba(tokens.values[judged])
            answer = classifier.classes_[p.argmax(axis=1)]
            rows += list(zip(judged.tolist(), tokens.labels[judged], answer, p.max(axis=1), strict=True))
    frame = pd.DataFrame(rows, columns=["row", "label", "answer", "probability"])
    return frame.set_index("row").sort_index()


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
        return np.exp(tempered(trained.words.log_density(X)[:, :, 0], np.log(trained.prior), trained.exponent))
