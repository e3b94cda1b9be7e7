"""Recognition of sounds from tables of formants: a mixture for each label, and Bayes' rule."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bayesgmm.apps.speech.calibration import tempered
from bayesgmm.apps.speech.held_out import folds_of
from bayesgmm.apps.speech.speech_files import SpeechModel
from bayesgmm.apps.speech.word_models import WordModels
from bayesgmm.data.columns import is_numeric
from bayesgmm.data.points import as_points
from bayesgmm.data.standards import Standard
from bayesgmm.errors import DataError, did_you_mean
from bayesgmm.posterior.schema import unpack
from bayesgmm.sweep.stats import Array
from bayesgmm.wording import listing

if TYPE_CHECKING:
    import pandas as pd

    from bayesgmm.estimators.classifier import MixtureClassifier


SPEAKER = "speaker"  # name of the column of speakers, which defines the held-out groups


@dataclass(frozen=True)
class Tokens:
    """Labelled rows of a table of formants.

    Parameters
    ----------
    values : (N, D) float
        Logarithms of the frequencies if all are positive, because the length of the vocal tract multiplies them by a
        factor; else the values.
    log : bool
        True for logarithms.
    labels : (N,) str
    groups : (N,) str or int
        Speakers, or the row number if unknown.
    columns : tuple of D str
    """

    values: Array
    log: bool
    labels: NDArray[Any]
    groups: NDArray[Any]
    columns: tuple[str, ...]


def read_tokens(frame: "pd.DataFrame", label: str = "label", columns: Sequence[str] | None = None) -> Tokens:
    """Read a table with a column of labels and columns of formants; default all numeric columns.

    Raises
    ------
    DataError
        If a column does not exist or holds missing values, or there is no numeric column.
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
        raise DataError(f"the table has no numeric column besides {label!r}")
    X = as_points(frame, used).values
    log = bool((X > 0).all())
    groups = frame[SPEAKER].astype(str).to_numpy() if SPEAKER in known else np.arange(len(frame))
    return Tokens(np.log(X) if log else X, log, frame[label].astype(str).to_numpy(dtype=str), groups, tuple(used))


def train_table(tokens: Tokens, **settings: Any) -> "tuple[SpeechModel, MixtureClassifier]":
    """Train a classifier of the labels from formants.

    Parameters
    ----------
    tokens : Tokens
    **settings
        As for ``MixtureClassifier``.

    Returns
    -------
    trained : SpeechModel
        For saving.
    classifier : MixtureClassifier
        The same model, for predictions.

    Raises
    ------
    DataError
        If there is only one label.
    """
    from bayesgmm.estimators.classifier import MixtureClassifier

    if (tokens.labels == tokens.labels[0]).all():
        raise DataError(f"all rows have the label {str(tokens.labels[0])!r}; give at least two labels")
    classifier = MixtureClassifier(**settings).fit(tokens.values, tokens.labels)
    words = _words(classifier, tokens.columns)
    bigram = np.tile(classifier.priors_, (len(classifier.classes_), 1))
    info = {"tokens": len(tokens.values), "log": tokens.log}
    return SpeechModel(classifier.classes_, words, classifier.priors_, 1.0, bigram, info=info), classifier


def evaluate_table(tokens: Tokens, folds: int = 3, **settings: Any) -> "pd.DataFrame":
    """Evaluate on held-out rows: predict each row with a model trained without it and its speaker.

    Returns
    -------
    DataFrame
        ``label``, ``answer`` and ``probability``, indexed by the row's number; empty if nothing can be held out.
    """
    import pandas as pd

    from bayesgmm.estimators.classifier import MixtureClassifier

    rows = []
    _, word = np.unique(tokens.labels, return_inverse=True)
    for fold in folds_of(word, tokens.groups, folds, seed=0):
        kept = np.setdiff1d(np.arange(len(word)), fold)
        tested = fold[np.isin(word[fold], word[kept])]
        if len(tested):
            classifier = MixtureClassifier(**settings).fit(tokens.values[kept], tokens.labels[kept])
            p = classifier.predict_proba(tokens.values[tested])
            answer = classifier.classes_[p.argmax(axis=1)]
            rows += list(zip(tested.tolist(), tokens.labels[tested], answer, p.max(axis=1), strict=True))
    frame = pd.DataFrame(rows, columns=["row", "label", "answer", "probability"])
    return frame.set_index("row").sort_index()


def _words(classifier: "MixtureClassifier", columns: tuple[str, ...]) -> WordModels:
    """Convert the classes to word models with one state; those with fewer components get empty ones."""
    draws = [unpack(fit).parameters for fit in classifier.posteriors_]
    largest = max(p.weight.shape[1] for p in draws)
    filled = [np.resize(np.arange(p.weight.shape[1]), largest) for p in draws]
    weight = np.array(
        [
            np.where(np.arange(largest) < p.weight.shape[1], p.weight[:, k], 0.0)
            for p, k in zip(draws, filled, strict=True)
        ]
    )
    mean = np.array([p.mean[:, k] for p, k in zip(draws, filled, strict=True)])
    covariance = np.array([p.covariance[:, k] for p, k in zip(draws, filled, strict=True)])
    standard = Standard(mean.mean(axis=(0, 1, 2)), np.ones(len(columns)))
    return WordModels(weight[:, None], mean[:, None], covariance[:, None], np.zeros((len(draws), 1)), standard, columns)


def recognise_table(trained: SpeechModel, frame: "pd.DataFrame") -> Array:
    """Compute the probability (N, C) of each label for the rows of a table.

    Raises
    ------
    DataError
        If a column is missing, or a model of logarithms gets values that are not positive.
    """
    columns = list(trained.words.columns)
    if missing := [name for name in columns if name not in frame.columns]:
        raise DataError(f"the table lacks {listing(missing)}; the model needs {listing(columns)}")
    X = as_points(frame, columns).values
    if trained.info["log"]:
        if not (X > 0).all():
            raise DataError("frequencies must be positive; drop the rows where they are not")
        X = np.log(X)
    with np.errstate(divide="ignore"):
        return np.exp(tempered(trained.words.log_density(X)[:, :, 0], np.log(trained.prior), trained.exponent))
