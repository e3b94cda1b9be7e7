"""The best of many mixtures in two rounds: a brief search for each, a thorough one for those that may be best."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from bayesgmm.data.points import Points, as_points
from bayesgmm.inference.searches import cores_of, run_all
from bayesgmm.model_selection.candidates import Candidates, Row
from bayesgmm.model_selection.rounds import BRIEF, FINALISTS, SEARCHES, THOROUGH, Choice, best_choices, choice_of
from bayesgmm.model_selection.selection import table_of
from bayesgmm.posterior.criteria import information_criteria
from bayesgmm.wording import plural

if TYPE_CHECKING:
    import pandas as pd

SMALLEST = 3  # further ones, the best of a sample: it favours smaller models than all rows do
FIRST, SECOND = SEARCHES[BRIEF], {"n_init": 10, "sweeps": 2000}  # starts of EM and their budget in the two rounds
SAMPLE = 1_500  # maximum number of rows in the first round
ONE_THREAD = 200_000  # numbers in a table for which several threads wait for each other more than they save
SAMPLED = "sample"


def shortlist(
    data: "pd.DataFrame", n_components: Sequence[int], covariance: Sequence[str], *, seed: int, progress: bool = True
) -> "pd.DataFrame":
    """Compare choices by BIC: each is searched briefly, on a sample if there are many rows; the best thoroughly.

    The likelihood of a mixture has many local maxima, and most of the time of ``select`` goes into choices that are far
    from the best. BIC differs so much between choices that a brief search decides which they are.

    Parameters
    ----------
    data : (N, D) DataFrame
    n_components : sequence of int
    covariance : sequence of str
    seed : int
    progress : bool
        Show a progress bar that says what is tried.

    Returns
    -------
    DataFrame
        As from ``select``, with ``search``: ``'thorough'``, ``'brief'`` or ``'sample'``. The thorough ones are
        first. Choices that were compared on a sample only have no criteria.

    Examples
    --------
    >>> import pandas as pd
    >>> x = pd.DataFrame({"x": [0.0, 1.0, 2.0, 3.0, 50.0, 51.0, 53.0, 54.0]})
    >>> table = shortlist(x, [1, 2], ["tied"], seed=1, progress=False)
    >>> int(table["n_components"][0]), table["search"][0]
    (2, 'thorough')
    """
    points = as_points(data, gaps=True)
    choices = [(k, name) for k in n_components for name in covariance]
    brief: list[Row] = []
    if len(choices) > FINALISTS:
        sampled = _searched(_sample(points, seed), choices, covariance, seed, FIRST, progress)
        brief = _scaled(sampled, points)
        choices = [*dict.fromkeys(best_choices(brief) + (best_choices(sampled)[:SMALLEST] if brief != sampled else []))]
    thorough = _searched(points, choices, covariance, seed, SECOND, progress)
    rest = [row for row in brief if choice_of(row) not in choices]
    first, others = table_of(thorough, "bic"), table_of(rest, "bic")
    first["search"], others["search"] = THOROUGH, BRIEF
    if len(points.values) > SAMPLE:
        _leave_out_criteria(others)
    return _joined(first, others)


def _leave_out_criteria(others: "pd.DataFrame") -> None:
    """Leave out criteria of a sample, which are not comparable with those of all rows."""
    sampled = np.isfinite(others["bic"])
    others.loc[sampled, "search"] = SAMPLED
    others.loc[sampled, "problem"] = None
    others[["loglik", "bic", "aic", "icl"]] = np.nan


def _searched(
    points: Points,
    choices: Sequence[Choice],
    covariance: Sequence[str],
    seed: int,
    search: dict[str, int],
    progress: bool,
) -> list[Row]:
    """Fit each choice; raises KeyboardInterrupt if some were not fitted."""
    candidates = Candidates.of(points, covariance, seed, **search)
    names = [f"trying {plural(k, 'component')}, {name}" for k, name in choices]
    cores = 1 if points.values.size <= ONE_THREAD else cores_of(None)
    rows, interrupted = run_all(candidates.row, choices, names[0], cores, progress, names)
    if interrupted:
        raise KeyboardInterrupt
    return [row for row in rows if row is not None]


def _sample(points: Points, seed: int) -> Points:
    n = len(points.values)
    if n <= SAMPLE:
        return points
    return as_points(points.values[np.sort(np.random.default_rng(seed).choice(n, SAMPLE, replace=False))], gaps=True)


def _scaled(rows: list[Row], points: Points) -> list[Row]:
    """Scale the criteria of a sample to all rows."""
    n = len(points.values)
    if n <= SAMPLE:
        return rows
    factor = n / SAMPLE
    return [row | _criteria_of_all(row, factor, n) if "loglik" in row else row for row in rows]


def _criteria_of_all(row: Row, factor: float, n: int) -> Row:
    """Estimate the criteria on all rows: a maximum exceeds the expected log likelihood by half the parameters."""
    excess = row["n_parameters"] / 2
    loglik, entropy = factor * (row["loglik"] - excess) + excess, factor * (row["icl"] - row["bic"]) / 2
    return {"loglik": loglik} | information_criteria(loglik, row["n_parameters"], n, entropy)


def _joined(first: "pd.DataFrame", others: "pd.DataFrame") -> "pd.DataFrame":
    import pandas as pd

    return pd.concat([first, others], ignore_index=True) if len(others) else first
