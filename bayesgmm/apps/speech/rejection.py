r"""Rejection: the answer "none of these" for a recording that fits no label.

The best label is compared with a background that needs no training of its own. It has two parts: all sounds of the
labels in any order, and one steady sound with the mean spectrum of the recording itself. Three scores of T frames are
low for a recording that fits no label:

.. math::

    s_1 = \tfrac1T \left[\max_c \log p(x \mid c) - \sum_t \log \tfrac{1}{CS} \sum_{cs} p_{cs}(x_t)\right], \quad
    s_2 = \tfrac1{TV} \left[\max_c \log p(x \mid c) - \sum_t \log N(x_t; \bar x, W)\right], \quad
    s_3 = \tfrac1D \sum_d \frac{\hat\Sigma_{dd}}{(W + B)_{dd}}

with :math:`p_{cs}` the density of state s of label c, W the mean covariance within states, :math:`\bar x` and
:math:`\hat\Sigma` the mean and covariance of the frames, B the mean covariance of the state means of a label, and
:math:`V = \operatorname{tr}(W^{-1} (W + B))`, which makes scores comparable between models: W grows with the number of
speakers. The third score is low if a recording changes too little.

The scores of a recording are ranked among those of the held-out training recordings, which have known labels. The
fraction of held-out recordings that fit no better is a conformal p-value [1]_: if recordings of known labels are
exchangeable with the held-out ones, it is below :math:`\alpha` with probability at most :math:`\alpha`.

References
----------
.. [1] Vovk, Gammerman & Shafer (2005), Algorithmic Learning in a Random World, Springer.
"""

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from bayesgmm.apps.speech.word_models import WordModels
from bayesgmm.declared import probability
from bayesgmm.errors import DataError
from bayesgmm.sweep.stats import Array

if TYPE_CHECKING:
    import pandas as pd

NONE = "none"  # the answer for a rejected recording
LEVELS = (0.01, 0.02, 0.05, 0.1, 0.2)  # shares of rejected recordings in the table
KINDS = ("order", "steady", "change")  # of scores
COLUMNS = ("asked", "rejected", "error", "unknown_rejected", "unknown_error")


@dataclass(frozen=True)
class Rejection:
    """Calibration of rejection.

    Parameters
    ----------
    scores : (H, 3) float
        Scores of the held-out recordings, by models that were trained without them.
    rates : (L, 5) float
        Measured shares of rejected recordings, columns ``COLUMNS``.
    """

    scores: Array
    rates: Array

    @property
    def smallest(self) -> float:
        """Smallest share that can be asked for."""
        return 1 / (len(self.scores) + 1)

    def require(self, reject: object) -> float:
        """Validate the share of recordings of known labels that may be rejected.

        Raises
        ------
        DeclarationError
            If it is not between 0 and 1.
        DataError
            If there are too few held-out recordings for so small a share.
        """
        share = probability("reject", reject)
        if share < self.smallest:
            needed = math.ceil(1 / share) - 1
            raise DataError(
                f"reject={share:g} needs at least {needed} held-out recordings, the model has {len(self.scores)}\n"
                f"  Try reject={math.ceil(1000 * self.smallest) / 1000:g}, or train with more recordings."
            )
        return share

    def p_values(self, scores: Array) -> Array:
        """Return the p-values (R,) of scores (R, 3)."""
        return p_values(self.scores, scores)

    def table(self) -> "pd.DataFrame":
        """Return the measured shares of rejected recordings as a table, one row per share that was asked for."""
        import pandas as pd

        return pd.DataFrame(self.rates, columns=list(COLUMNS))


@dataclass(frozen=True)
class Scored:
    """Recordings with their densities in all states.

    Parameters
    ----------
    words : WordModels
    rows : (N, D) float
        Frames of all recordings.
    lengths : (R,) int
    density : (N, C, S) float
        Log densities.
    loglik : (R, C) float
        Log likelihoods of the recordings.
    """

    words: WordModels
    rows: Array
    lengths: NDArray[np.int64]
    density: Array
    loglik: Array

    @classmethod
    def of(cls, words: WordModels, parts: list[Array]) -> "Scored":
        """Score recordings, arrays of frames (T_r, D)."""
        rows, lengths = np.concatenate(parts), np.array([len(part) for part in parts])
        density = words.log_density(rows)
        return cls(words, rows, lengths, density, words.chain_log_likelihood(density, lengths))

    def only(self, words: NDArray[np.intp], recordings: NDArray[np.intp] | None = None) -> "Scored":
        """Select labels, and recordings, by index."""
        kept = replace(self, words=self.words.only(words), density=self.density[:, words], loglik=self.loglik[:, words])
        if recordings is None:
            return kept
        ends = self.lengths.cumsum()
        frames = np.concatenate([np.arange(ends[r] - self.lengths[r], ends[r]) for r in recordings])
        return replace(
            kept,
            rows=self.rows[frames],
            lengths=self.lengths[recordings],
            density=kept.density[frames],
            loglik=kept.loglik[recordings],
        )

    def scores(self) -> Array:
        """Compute the three scores (R, 3) of each recording; low ones for sounds that fit no label."""
        n_features = self.rows.shape[1]
        best = self.loglik.max(axis=1) / self.lengths
        states = self.density.reshape(len(self.rows), -1)
        any_order = self._means(logsumexp(states, axis=1) - np.log(states.shape[1]))
        within = self.words.covariance.mean(axis=(0, 1, 2, 3))
        total = within + self._between_states()
        root = np.linalg.cholesky(within)
        change = self._change(root)
        steady = -change / 2 - np.log(np.diag(root)).sum() - n_features / 2 * np.log(2 * np.pi)
        usual = np.trace(np.linalg.solve(within, total))
        return np.column_stack(
            [best - any_order, (best - steady) / usual, self._change(np.diag(np.sqrt(np.diag(total)))) / n_features]
        )

    def _change(self, root: Array) -> Array:
        """Trace (R,) of the covariance of each recording's frames, in units of a covariance with this Cholesky root."""
        white = np.linalg.solve(root, self.rows.T).T
        return self._means((white**2).sum(axis=1)) - (self._means(white) ** 2).sum(axis=1)

    def _between_states(self) -> Array:
        """Covariance (D, D) of the state means of a label, averaged over labels."""
        means = (self.words.weight[..., None] * self.words.mean).sum(axis=3).mean(axis=2)
        centred = means - means.mean(axis=1, keepdims=True)
        return np.einsum("csi,csj->ij", centred, centred) / (means.shape[0] * means.shape[1])

    def _means(self, values: Array) -> Array:
        """Means over the frames of each recording."""
        sums = np.add.reduceat(values, np.append(0, self.lengths.cumsum()[:-1]), axis=0)
        return sums / self.lengths.reshape(-1, *[1] * (values.ndim - 1))


def p_values(known: Array, new: Array) -> Array:
    """Return the fraction (R,) of recordings that fit no better than a new one, which counts among them.

    A recording fits no better if its lowest rank among the three scores is lower, or equal with a lower or equal sum of
    ranks. Each new recording is ranked together with all known ones, so that the p-values are exact.

    Parameters
    ----------
    known : (H, 3) float
        Scores of recordings of known labels.
    new : (R, 3) float

    Examples
    --------
    >>> known = np.arange(9.0)[:, None] * np.ones(3)
    >>> p_values(known, np.array([[-5.0, 3.0, 9.0], [4.5, 4.5, 4.5]]))
    array([0.2, 0.6])
    """
    ordered = np.sort(known, axis=0)
    among = np.column_stack([np.searchsorted(ordered[:, j], known[:, j], "right") for j in range(known.shape[1])])
    own = np.column_stack([np.searchsorted(ordered[:, j], new[:, j], "right") for j in range(known.shape[1])]) + 1
    size = known.shape[1] * (len(known) + 1) + 1  # more than any sum of ranks
    answer = np.empty(len(new))
    for r, scores in enumerate(new):
        ranks = among + (scores <= known)
        fit, mine = (rank.min(axis=-1) * size + rank.sum(axis=-1) for rank in (ranks, own[r]))
        answer[r] = (1 + (fit <= mine).sum()) / (len(known) + 1)
    return answer


def calibrate(known: Array, unknown: Array, word: NDArray[Any], group: NDArray[Any], fold: NDArray[Any]) -> Rejection:
    """Measure how many recordings are rejected: of known labels, and of a label that was left out of the models.

    Each recording is compared with those of the other folds; one whose label was left out, with those of other labels.

    Parameters
    ----------
    known : (H, 3) float
        Scores of held-out recordings.
    unknown : (H, 3) float
        Their scores without the model of their own label.
    word, group, fold : (H,) int or str
        Label, group (speaker) and fold of each recording.
    """
    p_known, p_unknown = np.ones(len(known)), np.ones(len(known))
    for held in np.unique(fold):
        own, others = fold == held, fold != held
        if others.any():
            p_known[own] = p_values(known[others], known[own])
        for label in np.unique(word[own]):
            left_out, rest = own & (word == label), others & (word != label)
            if rest.any():
                p_unknown[left_out] = p_values(known[rest], unknown[left_out])
    rates = []
    for level in LEVELS:
        if level >= 1 / (len(known) + 1):
            left_out = [_rate(p_unknown <= level, by) for by in (group, word)]
            rates.append((level, *_rate(p_known <= level, group), left_out[0][0], max(error for _, error in left_out)))
    return Rejection(known, np.array(rates).reshape(-1, len(COLUMNS)))


def _rate(flag: NDArray[np.bool_], group: NDArray[Any]) -> tuple[float, float]:
    """Return the share that is flagged and its standard error, as groups vary, or as independent recordings do.

    The second error is larger where groups agree by chance; it counts one success and one failure more, so that it is
    never 0.
    """
    share, n = float(flag.mean()), len(flag)
    _, index = np.unique(group, return_inverse=True)
    n_groups = int(index.max()) + 1
    sums = np.bincount(index, weights=flag - share)
    by_group = math.sqrt(n_groups / (n_groups - 1) * float(sums @ sums)) / n if n_groups > 1 else 0.0
    smooth = (share * n + 1) / (n + 2)
    return share, max(by_group, math.sqrt(smooth * (1 - smooth) / n))
