r"""Calibrated probabilities of labels, by a tempered likelihood.

Successive frames of speech are correlated, so that T frames carry less information than T independent ones, and the
product of their densities is overconfident. It is raised to an exponent, which is estimated on held-out recordings:

.. math:: P(c \mid x) \propto \pi_c \, p(x \mid c)^\beta
"""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax

from bayesgmm.sweep.stats import Array

if TYPE_CHECKING:
    import pandas as pd

MIN_EXPONENT, MAX_EXPONENT = 1e-4, 1.0  # range of the search
MAX_DIFFERENCE = 1e6  # nats; replaces an infinite difference of log likelihoods


def tempered(loglik: Array, log_prior: Array, exponent: float) -> Array:
    """Compute log probabilities (R, C) of the labels from log likelihoods (R, C), with a tempered likelihood.

    Examples
    --------
    >>> np.exp(tempered(np.log([[0.9, 0.1]]), np.log([0.5, 0.5]), 0.5)).round(2)
    array([[0.75, 0.25]])
    """
    top = loglik.max(axis=1, keepdims=True)
    behind = np.maximum(loglik - np.where(np.isfinite(top), top, 0.0), -MAX_DIFFERENCE)
    with np.errstate(invalid="ignore"):
        return log_softmax(np.where(np.isneginf(log_prior), -np.inf, log_prior + exponent * behind), axis=1)


def log_loss(loglik: Array, log_prior: Array, truth: NDArray[np.intp], weight: Array, exponent: float) -> float:
    """Weighted mean of the negative log probability of the true labels (R,), in nats."""
    chosen = tempered(loglik, log_prior, exponent)[np.arange(len(truth)), truth]
    return float(-np.average(chosen, weights=weight))


def best_exponent(loglik: Array, log_prior: Array, truth: NDArray[np.intp], weight: Array) -> float:
    """Estimate the exponent with the smallest log loss, with smoothed labels [2]_.

    If all n recordings are recognised correctly, the next may still be wrong: with probability 1 / (n + 2) by Laplace's
    rule of succession. Each recording counts with that weight for its most probable wrong label. Otherwise the exponent
    would be as large as possible, and every probability 0 or 1. The loss is convex in the exponent.

    References
    ----------
    .. [1] Guo, Pleiss, Sun & Weinberger (2017), Proc. 34th Int. Conf. Machine Learning, 1321-1330.
    .. [2] Platt (1999), Advances in Large Margin Classifiers, 61-74: smoothed labels.
    """
    from scipy.optimize import minimize_scalar

    smoothing, rival = 1 / (weight.sum() + 2), _rivals(loglik, log_prior, truth)

    def cost(log: float) -> float:
        exponent = float(np.exp(log))
        own, other = (log_loss(loglik, log_prior, label, weight, exponent) for label in (truth, rival))
        return (1 - smoothing) * own + smoothing * other

    minimum = minimize_scalar(cost, bounds=(np.log(MIN_EXPONENT), np.log(MAX_EXPONENT)), method="bounded")
    return float(np.exp(minimum.x))


def _rivals(loglik: Array, log_prior: Array, truth: NDArray[np.intp]) -> NDArray[np.intp]:
    """Most probable wrong label (R,); the true label if no other is possible."""
    others = np.where(np.isneginf(log_prior), -np.inf, loglik)
    others[np.arange(len(truth)), truth] = -np.inf
    return np.where(np.isneginf(others).all(axis=1), truth, others.argmax(axis=1))


def reliability(probability: Array, right: NDArray[np.bool_], n_bins: int = 5) -> "pd.DataFrame":
    """Compute a reliability table: predicted probabilities against the fraction of correct answers.

    Parameters
    ----------
    probability : (R,) float
        Predicted probability of each answer.
    right : (R,) bool
        True for correct answers.
    n_bins : int
        Number of bins, with equal numbers of answers.

    Returns
    -------
    DataFrame
        One row per bin, by increasing probability: number of ``answers``, their mean ``probability``, the fraction that
        is ``right``, and its standard ``error`` if the probabilities are calibrated.

    Examples
    --------
    >>> reliability(np.array([0.5, 0.5, 1.0, 1.0]), np.array([True, False, True, True]), 2)["right"].tolist()
    [0.5, 1.0]
    """
    import pandas as pd

    order = np.argsort(probability, kind="stable")
    bins = [part for part in np.array_split(order, min(n_bins, max(1, len(order)))) if len(part)]
    rows = []
    for part in bins:
        p = probability[part]
        error = float(np.sqrt((p * (1 - p)).sum())) / len(part)
        rows.append((len(part), float(p.mean()), float(right[part].mean()), error))
    return pd.DataFrame(rows, columns=["answers", "probability", "right", "error"])


def miscalibration(table: "pd.DataFrame") -> float:
    """Expected calibration error: mean distance of predicted and observed fractions in a reliability table."""
    return float(np.average((table["probability"] - table["right"]).abs(), weights=table["answers"]))
