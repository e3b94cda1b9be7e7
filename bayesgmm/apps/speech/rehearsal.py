"""What a model makes of recordings that it was not trained on: who says it knows how sure to be."""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayesgmm.apps.speech.calibration import best_exponent, log_loss
from bayesgmm.apps.speech.word_models import Shape, train
from bayesgmm.progress import Count
from bayesgmm.sweep.stats import Array

UNKNOWN = 0.1  # the exponent where no recording could be held out


@dataclass(frozen=True)
class HeldOut:
    """Recordings that were held out.

    Parameters
    ----------
    rows : (H,) int
        Which they are, in their order.
    loglik : (H, C) float
        Their log likelihoods; minus infinity where a label was in no training recording.
    exponent : float
        ``best_exponent`` of them; ``UNKNOWN`` where there are no such recordings.
    loss : float
        The log loss, in nats a recording.
    """

    rows: NDArray[np.intp]
    loglik: Array
    exponent: float
    loss: float


@dataclass(frozen=True)
class Rehearsal:
    """What is held out of what.

    Parameters
    ----------
    word : (R,) int
    weight : (R,) float
    log_prior : (C,) float
    folds : list of (n,) int
        Recordings that are held out together.
    shape : Shape
    """

    word: NDArray[np.intp]
    weight: Array
    log_prior: Array
    folds: list[NDArray[np.intp]]
    shape: Shape


def hold_out(parts: Sequence[Array], task: Rehearsal, columns: tuple[str, ...], count: Count) -> HeldOut:
    """Train without each fold in turn, and look at it."""
    word, weight, log_prior = task.word, task.weight, task.log_prior
    rows, scores = [], []
    for fold in task.folds:
        kept = np.setdiff1d(np.arange(len(parts)), fold)
        known, inner = np.unique(word[kept], return_inverse=True)
        judged = fold[np.isin(word[fold], known[np.isfinite(log_prior[known])])]
        if len(judged) and len(known) > 1:
            words = train([parts[int(r)] for r in kept], inner, weight[kept], task.shape, columns)
            loglik = np.full((len(judged), len(log_prior)), -np.inf)
            loglik[:, known] = words.log_likelihood([parts[int(r)] for r in judged])
            rows.append(judged)
            scores.append(loglik)
        count.step()
    if not rows:
        return HeldOut(np.empty(0, np.intp), np.empty((0, len(log_prior))), UNKNOWN, np.inf)
    order = np.argsort(np.concatenate(rows))
    seen, loglik = np.concatenate(rows)[order], np.concatenate(scores)[order]
    exponent = best_exponent(loglik, log_prior, word[seen], weight[seen])
    return HeldOut(seen, loglik, exponent, log_loss(loglik, log_prior, word[seen], weight[seen], exponent))


def folds_of(word: NDArray[np.intp], group: NDArray, n_folds: int, seed: int) -> list[NDArray[np.intp]]:
    """Which recordings are held out together: whole groups (speakers, files), with the labels evenly spread.

    Examples
    --------
    >>> folds_of(np.array([0, 1, 0, 1]), np.array(["ann", "ann", "bob", "bob"]), 3, seed=0)
    [array([0, 1]), array([2, 3])]
    """
    n_folds = min(n_folds, len(np.unique(group)))
    if n_folds < 2:
        return []
    return sorted(_split(word, group, n_folds, seed), key=lambda fold: int(fold[0]))


def _split(word: NDArray[np.intp], group: NDArray, n_folds: int, seed: int) -> Iterator[NDArray[np.intp]]:
    from sklearn.model_selection import StratifiedGroupKFold

    if np.bincount(word).max() < n_folds:  # it refuses when no label has as many; then any split will do
        word = np.zeros_like(word)
    split = StratifiedGroupKFold(n_folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # some label has fewer recordings than there are folds
        yield from (held for _, held in split.split(word, word, group) if len(held))
