"""Rules for flagging rows: a false discovery rate, a significance level, or a number or share of rows."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bayesgmm.declared import probability, whole
from bayesgmm.errors import DeclarationError
from bayesgmm.predictions.ranks import q_values

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bayesgmm.sweep.stats import Array

FDR = 0.05
LARGEST_SHARE = 0.5


@dataclass(frozen=True)
class Rule:
    """Rule for flagging points: exactly one of four criteria.

    Parameters
    ----------
    fdr : float, optional
        False discovery rate: the expected fraction of good rows among the flagged ones (Benjamini & Hochberg).
    alpha : float, optional
        Significance level: rows with a p-value of at most ``alpha`` are flagged.
    top : int, optional
        Number of rows to flag, those with the smallest p-values.
    contamination : float, optional
        Share of the rows to flag, those with the smallest p-values, in (0, 0.5].
    """

    fdr: float | None = None
    alpha: float | None = None
    top: int | None = None
    contamination: float | None = None

    @classmethod
    def of(cls, fdr: float | None, alpha: float | None, top: int | None, contamination: float | None = None) -> "Rule":
        """Rule for the criterion that is given; default a false discovery rate of 0.05.

        Raises
        ------
        DeclarationError
            If more than one criterion is given, or a value is out of range.
        """
        rules = {"fdr": fdr, "alpha": alpha, "top": top, "contamination": contamination}
        given = [name for name, value in rules.items() if value is not None]
        if len(given) > 1:
            raise DeclarationError(f"give one of fdr, alpha, top and contamination, not {' and '.join(given)}")
        if contamination is not None:
            if probability("contamination", contamination) > LARGEST_SHARE:
                raise DeclarationError(f"contamination={contamination:g}: must be at most {LARGEST_SHARE:g}")
            return cls(contamination=contamination)
        if top is not None:
            return cls(top=whole("top", top))
        if alpha is not None:
            return cls(alpha=probability("alpha", alpha))
        return cls(fdr=probability("fdr", FDR if fdr is None else fdr))

    @property
    def ranks(self) -> bool:
        """True if a number of rows is flagged, which needs all rows at once."""
        return self.top is not None or self.contamination is not None

    def flag(self, p_value: "Array", score: "Array") -> "tuple[Array, NDArray[np.bool_]]":
        """Compute q-values (N,) and the mask (N,) of flagged points.

        Parameters
        ----------
        p_value : (N,) float
        score : (N,) float
            Log densities, which order points with equal p-values.

        Examples
        --------
        >>> Rule(top=1).flag(np.array([0.01, 0.01, 0.9]), np.array([-20.0, -90.0, -1.0]))[1]
        array([False,  True, False])
        """
        q_value = q_values(p_value)
        if self.ranks:
            flagged = np.zeros(p_value.size, dtype=np.bool_)
            count = round((self.contamination or 0) * p_value.size) if self.top is None else self.top
            flagged[most_anomalous_first(p_value, score)[:count]] = True
            return q_value, flagged
        return q_value, p_value <= self.alpha if self.alpha is not None else q_value <= (self.fdr or FDR)

    def __str__(self) -> str:
        """Describe the rule, as part of a sentence."""
        if self.top is not None:
            return f"the {self.top} smallest p-values"
        if self.contamination is not None:
            return f"the smallest p-values, {100 * self.contamination:g} % of the rows"
        return f"p-value at most {self.alpha:g}" if self.alpha is not None else f"false discovery rate {self.fdr:g}"


def most_anomalous_first(p_value: "Array", score: "Array") -> "NDArray[np.intp]":
    """Order (N,) of points by p-value; equal p-values, which few reference points give, by log density."""
    return np.lexsort([score, p_value])
