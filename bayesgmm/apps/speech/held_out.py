"""Held-out evaluation: log likelihoods and calibration on recordings that a model was not trained on."""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayesgmm.apps.speech.calibration import best_exponent, log_loss
from bayesgmm.apps.speech.rejection import Scored
from bayesgmm.apps.speech.word_models import WordSettings, train
from bayesgmm.progress import Count
from bayesgmm.sweep.stats import Array

DEFAULT_EXPONENT = 0.1  # default exponent if no recording can be held out


@dataclass(frozen=True)
class HeldOutResult:
    """Result of a held-out evaluation.

    Parameters
    ----------
    rows : (H,) int
        Indices of the held-out recordings, in increasing order.
    loglik : (H, C) float
        Log likelihoods; minus infinity for labels without training recordings.
    exponent : float
        Estimate of ``best_exponent``; ``DEFAULT_EXPONENT`` if nothing was held out.
    loss : float
        Log loss in nats per recording.
    known, unknown : (H, 3) float
        Scores for rejection, with all labels, and without the model of the recording's own label.
    fold : (H,) int
    """

    rows: NDArray[np.intp]
    loglik: Array
    exponent: float
    loss: float
    known: Array
    unknown: Array
    fold: NDArray[np.intp]


@dataclass(frozen=True)
class EvaluationTask:
    """Labels, weights, folds and settings of a held-out evaluation.

    Parameters
    ----------
    word : (R,) int
        Label of each recording.
    weight : (R,) float
    log_prior : (C,) float
        Log probability of each label.
    folds : list of (n,) int
        Recordings that are held out together.
    shape : WordSettings
    """

    word: NDArray[np.intp]
    weight: Array
    log_prior: Array
    folds: list[NDArray[np.intp]]
    shape: WordSettings


def evaluate_held_out(
    parts: Sequence[Array], task: EvaluationTask, columns: tuple[str, ...], count: Count
) -> HeldOutResult:
    """Train without each fold in turn, and compute the log likelihoods of its recordings."""
    word, weight, log_prior = task.word, task.weight, task.log_prior
    held: list[tuple[Any, ...]] = []
    for number, fold in enumerate(task.folds):
        kept = np.setdiff1d(np.arange(len(parts)), fold)
        known, inner = np.unique(word[kept], return_inverse=True)
        tested = fold[np.isin(word[fold], known[np.isfinite(log_prior[known])])]
        if len(tested) and len(known) > 1:
            words = train([parts[int(r)] for r in kept], inner, weight[kept], task.shape, columns)
            scored = Scored.of(words, [parts[int(r)] for r in tested])
            loglik = np.full((len(tested), len(log_prior)), -np.inf)
            loglik[:, known] = scored.loglik
            possible = np.flatnonzero(np.isfinite(log_prior[known]))
            both = _scores(scored.only(possible), np.searchsorted(known[possible], word[tested]))
            held.append((tested, loglik, *both, np.full(len(tested), number)))
        count.step()
    if not held:
        none = np.empty((0, 3))
        no_rows = np.empty(0, np.intp)
        return HeldOutResult(no_rows, np.empty((0, len(log_prior))), DEFAULT_EXPONENT, np.inf, none, none, no_rows)
    order = np.argsort(np.concatenate([one[0] for one in held]))
    tested, loglik, with_own, without_own, folds = (np.concatenate(values)[order] for values in zip(*held, strict=True))
    exponent = best_exponent(loglik, log_prior, word[tested], weight[tested])
    loss = log_loss(loglik, log_prior, word[tested], weight[tested], exponent)
    return HeldOutResult(tested, loglik, exponent, loss, with_own, without_own, folds)


def _scores(scored: Scored, word: NDArray[np.intp]) -> tuple[Array, Array]:
    """Scores of recordings for rejection, with all labels, and without the model of their own label (R,).

    With a single label, there is no other model: then both are the same.
    """
    known, labels = scored.scores(), np.arange(scored.loglik.shape[1])
    unknown = known.copy()
    for label in np.unique(word) if len(labels) > 1 else []:
        rows = np.flatnonzero(word == label)
        unknown[rows] = scored.only(np.delete(labels, label), rows).scores()
    return known, unknown


def folds_of(word: NDArray[np.intp], group: NDArray[Any], n_folds: int, seed: int) -> list[NDArray[np.intp]]:
    """Divide recordings into folds by whole groups (speakers, files), with similar label frequencies.

    Examples
    --------
    >>> folds_of(np.array([0, 1, 0, 1]), np.array(["ann", "ann", "bob", "bob"]), 3, seed=0)
    [array([0, 1]), array([2, 3])]
    """
    n_folds = min(n_folds, len(np.unique(group)))
    if n_folds < 2:
        return []
    return sorted(_split(word, group, n_folds, seed), key=lambda fold: int(fold[0]))


def _split(word: NDArray[np.intp], group: NDArray[Any], n_folds: int, seed: int) -> Iterator[NDArray[np.intp]]:
    from sklearn.model_selection import StratifiedGroupKFold

    if np.bincount(word).max() < n_folds:  # it needs a label with as many recordings; else the labels are ignored
        word = np.zeros_like(word)
    split = StratifiedGroupKFold(n_folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a label has fewer recordings than there are folds
        yield from (held for _, held in split.split(word, word, group) if len(held))
