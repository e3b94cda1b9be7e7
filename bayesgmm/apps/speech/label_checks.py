"""Checks of labels: they may have been read from the wrong part of file names, or from the wrong column."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from bayesgmm.errors import warn
from bayesgmm.wording import listing, plural

LEVEL = 0.05  # of the test against guessing
OWN = 0.8  # share of labels with a single recording from which labels look like numbers of takes
MIN_LABELS = 5
LAYOUT = "If they come from file names, give the layout of these, for example names='{take}_{label}'."


def guessing(label: ArrayLike, answer: ArrayLike) -> tuple[float, float]:
    """Test whether answers are better than always guessing the most frequent label.

    Parameters
    ----------
    label, answer : (n,) str or int
        True labels and answers for held-out recordings.

    Returns
    -------
    share : float
        Share of the most frequent label, which guessing gets right.
    p_value : float
        Probability of at least that number of correct answers by guessing (binomial distribution).

    Examples
    --------
    >>> guessing(["a", "b", "a", "b"], ["a", "b", "a", "b"])
    (0.5, 0.0625)
    """
    from scipy.stats import binom

    labels = np.asarray(label)
    share = float(np.unique(labels, return_counts=True)[1].max()) / len(labels)
    return share, float(binom.sf((labels == np.asarray(answer)).sum() - 1, len(labels), share))


def warn_of_guessing(label: ArrayLike, answer: ArrayLike, advice: str = LAYOUT) -> None:
    """Warn if held-out answers are not better than guessing the most frequent label, at the level of 5 %.

    There is no warning if not even correct answers alone could show it, because the recordings are too few.

    Warns
    -----
    FitWarning
    """
    labels, n_right = np.asarray(label), int((np.asarray(label) == np.asarray(answer)).sum())
    if not len(labels) or guessing(labels, labels)[1] > LEVEL:
        return
    share, p_value = guessing(labels, answer)
    if p_value > LEVEL:
        names, count = np.unique(labels, return_counts=True)
        most = names.tolist()[count.argmax()]
        warn(
            [
                f"{n_right} of {len(labels)} held-out answers are right ({n_right / len(labels):.1%}), not better than "
                f"always answering {most!r} ({share:.1%}; binomial test, level {LEVEL:.0%})\n"
                f"  {plural(len(names), 'label')}: {listing(names.tolist())}. {advice}"
            ]
        )


def warn_of_own_labels(labels: Sequence[object] | np.ndarray, what: str = "recording", advice: str = LAYOUT) -> None:
    """Warn if nearly every recording has a label of its own.

    Warns
    -----
    FitWarning
    """
    names, count = np.unique(np.asarray(labels), return_counts=True)
    if len(names) >= MIN_LABELS and (count == 1).mean() >= OWN:
        warn(
            [
                f"{plural(len(names), 'label')} for {plural(int(count.sum()), what)}: nearly every {what} has a label "
                f"of its own, {listing(names.tolist())}\n  {advice}"
            ]
        )
