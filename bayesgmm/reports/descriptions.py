"""Description of a part of a model, and of priors of numbers: in words and formulas."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from bayesgmm.priors.scalars import Scalar
from bayesgmm.reports.mathematics import number
from bayesgmm.sweep.stats import Array

GREEK = {"sigma": "σ", "alpha": "α", "beta": "β", "nu": "ν", "mu": "μ", "lam": "λ"}


@dataclass(frozen=True)
class Description:
    """Description of a part of the model: the data, or a prior.

    Parameters
    ----------
    words : str
        One or two sentences.
    formulas : tuple of str
        Formulas in the notation of ``mathml``.
    columns : dict of str to (D,) float
        Parameters that differ by column, by their symbol.
    """

    words: str
    formulas: tuple[str, ...]
    columns: dict[str, Array] = field(default_factory=dict)


def _is_common(value: ArrayLike) -> bool:
    """Return True if a parameter is one number, or the same in all columns."""
    return bool(np.ptp(np.ravel(value)) == 0)


def scalar_formula(prior: Scalar) -> str:
    """Return the name of a scalar prior with its parameters: numbers, or symbols if they differ by column."""
    values = [
        number(float(np.ravel(value)[0])) if _is_common(value) else f"{GREEK.get(name, name)}_j"
        for name, value in prior.parameters.items()
    ]
    return f"{type(prior).__name__}({', '.join(values)})"


def scalar_columns(prior: Scalar) -> dict[str, Array]:
    """Return the parameters that differ by column, by their symbol."""
    return {GREEK.get(n, n): np.asarray(v, float) for n, v in prior.parameters.items() if not _is_common(v)}


def scalar_words(prior: Scalar) -> str:
    """Describe the central 90 % interval and the median of a scalar prior; of the first column if they differ.

    Examples
    --------
    >>> from bayesgmm.priors.scalars import HalfNormal
    >>> scalar_words(HalfNormal(1.0))
    'between 0.0627 and 1.96 with probability 0.9, with median 0.674'
    """
    lower, middle, upper = (number(float(np.ravel(prior.quantile(p))[0]), 3) for p in (0.05, 0.5, 0.95))
    first = "" if not scalar_columns(prior) else "in the first column "
    return f"{first}between {lower} and {upper} with probability 0.9, with median {middle}"


def per_column(before: str, values: Sequence[float] | Array) -> str:
    """Complete a sentence with one number, or with the range of several.

    Examples
    --------
    >>> per_column("They are near", [1.0, 2.0])
    'They are near 1 to 2 (by column)'
    """
    least, most = number(float(np.min(values)), 3), number(float(np.max(values)), 3)
    return f"{before} {least if least == most else f'{least} to {most} (by column)'}"
