"""Draws of chains that did not finish."""

import numpy as np

from bayesgmm.errors import SamplingError
from bayesgmm.sweep.stats import Array


def trim(z: Array, stats: dict[str, Array]) -> tuple[Array, dict[str, Array]]:
    """Cut unfinished chains (padded with NaN) to the rectangle of chains and draws with the most draws.

    Raises
    ------
    SamplingError
        If there is no draw.

    Examples
    --------
    >>> z = np.array([[[1.0], [2.0], [3.0]], [[4.0], [5.0], [np.nan]], [[np.nan]] * 3])
    >>> trim(z, {})[0].shape
    (2, 2, 1)
    """
    lengths = (~np.isnan(z)).all(-1).sum(axis=1)
    longest = np.argsort(-lengths, kind="stable")
    kept = lengths[longest] * np.arange(1, len(lengths) + 1)
    if len(kept) == 0 or kept.max() == 0:
        raise SamplingError("interrupted before the first draw after tuning; there is nothing to keep")
    count = int(kept.argmax()) + 1
    chains, draws = np.sort(longest[:count]), int(lengths[longest[count - 1]])
    return z[chains, :draws], {name: value[chains, :draws] for name, value in stats.items()}
