r"""Probabilities of labels that mean what they say.

Frames of speech follow each other closely, so that T of them tell less than T independent ones would, and the product
of their densities is far too sure. Its exponent is learned from recordings that were held out:

.. math:: P(c \mid x) \propto \pi_c \, p(x \mid c)^\beta
"""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax

from bayesgmm.sweep.stats import Array

if TYPE_CHECKING:
    import pandas as pd

LEAST, MOST = 1e-4, 1.0  # exponents that are looked at
FARTHEST = 1e6  # nats: what a recording that can't be the word at all counts for


def tempered(loglik: Array, log_prior: Array, exponent: float) -> Array:
    """(R, C) log probabilities of the labels, from log likelihoods (R, C).

    Examples
    --------
    >>> np.exp(tempered(np.log([[0.9, 0.1]]), np.log([0.5, 0.5]), 0.5)).round(2)
    array([[0.75, 0.25]])
    """
    top = loglik.max(axis=1, keepdims=True)
    behind = np.maximum(loglik - np.where(np.isfinite(top), top, 0.0), -FARTHEST)
    with np.errstate(invalid="ignore"):
        return log_softmax(np.where(np.isneginf(log_prior), -np.inf, log_prior + exponent * behind), axis=1)


def log_loss(loglik: Array, log_prior: Array, truth: NDArray[np.intp], weight: Array, exponent: float) -> float:
    """Weighted mean of minus the log probability of the true labels (R,)."""
    chosen = tempered(loglik, log_prior, exponent)[np.arange(len(truth)), truth]
    return float(-np.average(chosen, weights=weight))


def best_exponent(loglik: Array, log_prior: Array, truth: NDArray[np.intp], weight: Array) -> float:
    """The exponent with the smallest log loss, which is convex in it, were each label in doubt.

    Of n recordings that are all told rightly, the next may still be mistaken: by Laplace's rule of succession one time
    in n + 2, and so much of each recording counts for the label that is nearest to its own. Without it, the exponent
    would be as large as it can be, and every probability 0 or 1.

    References
    ----------
    .. [1] Guo, Pleiss, Sun & Weinberger (2017), Proc. 34th Int. Conf. Machine Learning, 1321-1330.
    .. [2] Platt (1999), Advances in Large Margin Classifiers, 61-74: labels in doubt.
    """
    from scipy.optimize import minimize_scalar

    doubt, rival = 1 / (weight.sum() + 2), _rivals(loglik, log_prior, truth)

    def cost(log: float) -> float:
        exponent = float(np.exp(log))
        own, other = (log_loss(loglik, log_prior, label, weight, exponent) for label in (truth, rival))
        return (1 - doubt) * own + doubt * other

    found = minimize_scalar(cost, bounds=(np.log(LEAST), np.log(MOST)), method="bounded")
    return float(np.exp(found.x))


def _rivals(loglik: Array, log_prior: Array, truth: NDArray[np.intp]) -> NDArray[np.intp]:
    """(R,) the most probable label that is not the true one; the true one where no other can be."""
    others = np.where(np.isneginf(log_prior), -np.inf, loglik)
    others[np.arange(len(truth)), truth] = -np.inf
    return np.where(np.isneginf(others).all(axis=1), truth, others.argmax(axis=1))


def reliability(probability: Array, right: NDArray[np.bool_], n_bins: int = 5) -> "pd.DataFrame":
    """How often answers are right that claim to be so with some probability.

    Parameters
    ----------
    probability : (R,) float
        That each answer claims for itself.
    right : (R,) bool
    n_bins : int
        Equally many answers in each, as far as ties allow.

    Returns
    -------
    DataFrame
        A row a bin, from unsure to sure: ``answers``, their mean ``probability``, the share that is ``right``, and
        ``error``, the standard error of that share were the probabilities true.

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
    """Mean distance of claimed and true shares over the bins of a reliability table: expected calibration error."""
    return float(np.average((table["probability"] - table["right"]).abs(), weights=table["answers"]))
