"""Rounds of a selection: all choices thoroughly; or all briefly, and then the best thoroughly."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesgmm.data.points import Points
from bayesgmm.families.structures import distinct_families
from bayesgmm.inference.searches import run_all
from bayesgmm.model_selection.candidates import Candidates, Row
from bayesgmm.posterior.criteria import CRITERIA

if TYPE_CHECKING:
    from distributed import Client

Choice = tuple[int, str]
THOROUGH, BRIEF = "thorough", "brief"
SEARCHES: dict[str, dict[str, Any]] = {THOROUGH: {}, BRIEF: {"n_init": 5, "sweeps": 100}}
SHARED = 3  # mixtures of other families, the best of as many components, that a brief search starts from, too
FINALISTS = 5  # choices that are searched thoroughly after a brief search of all,
NEAR = 30.0  # and those whose criterion is worse than the best by less, which a thorough search may make up


def searched(
    candidates: Candidates, calls: list[Choice], search: str, cores: int, progress: bool, client: "Client | None"
) -> tuple[list[Row], bool]:
    """Fit each choice; after a brief search of all the best thoroughly. Return the rows, and True after Ctrl-C."""
    hurried = replace(candidates, **SEARCHES[search])
    rows, interrupted = _rows(hurried, calls, "choosing a model", cores, progress, client)
    if search == THOROUGH or interrupted:
        return rows, interrupted
    if isinstance(candidates.points, Points) and candidates.criterion != "elbo":
        rows, interrupted = _near_others(candidates, rows, cores, progress, client)
        if interrupted:
            return rows, interrupted
    finalists = best_choices(rows, candidates.criterion, NEAR)
    again, interrupted = _rows(candidates, finalists, "searching the best again", cores, progress, client)
    found = {choice_of(row): row | {"search": BRIEF} for row in rows}
    for row in again:
        brief = found[choice_of(row)]
        best = max(row, brief, key=lambda one: one.get("loglik", -np.inf))
        settled = {"undiscovered": row["undiscovered"]} if "undiscovered" in row else {}  # of the longer search
        found[choice_of(row)] = best | settled | {"search": THOROUGH}
    return [*found.values()], interrupted


def _near_others(
    candidates: Candidates, rows: list[Row], cores: int, progress: bool, client: "Client | None"
) -> tuple[list[Row], bool]:
    """Fit each choice of several components from the assignments of the best others with as many."""
    fitted = sorted((row for row in rows if "mixture" in row), key=lambda row: row["bic"])
    calls = []
    for row in rows:
        others = [one for one in fitted if one["n_components"] == row["n_components"] and one is not row][:SHARED]
        calls.append((row, [(one["covariance"], one["mixture"]) for one in others]))
    several = [call for call in calls if call[0]["n_components"] > 1 and call[1]]
    found, interrupted = run_all(candidates.near, several, "sharing starts", cores, progress, client=client)
    better = {choice_of(row): row for row in found if row is not None}
    return [better.get(choice_of(row), row) for row in rows], interrupted


def _rows(
    candidates: Candidates, calls: list[Choice], title: str, cores: int, progress: bool, client: "Client | None"
) -> tuple[list[Row], bool]:
    """Fit each choice, those that are the same model once."""
    n_features, names = len(candidates.points.columns), [*dict.fromkeys(name for _, name in calls)]
    same = {call: call for call in calls}
    if candidates.criterion != "elbo":  # whose priors are those of the family
        first = {k: distinct_families(names, k, n_features) for k in {k for k, _ in calls}}
        same = {(k, name): (k, first[k][name]) for k, name in calls}
        same = {call: one if one in same else call for call, one in same.items()}
    fitted = [*dict.fromkeys(same.values())]
    rows, interrupted = run_all(candidates.row, fitted, title, cores, progress, client=client)
    by_choice = {call: row for call, row in zip(fitted, rows, strict=True) if row is not None}
    known = [(call, by_choice[one]) for call, one in same.items() if one in by_choice]
    return [row | {"covariance": name} for (_, name), row in known], interrupted


def best_choices(rows: Sequence[Row], criterion: str = "bic", near: float = 0.0) -> list[Choice]:
    """Return the five choices that are best by a criterion, the best first; if all failed, the first five.

    Further ones are returned, too, that are worse than the best by at most ``near``.

    Examples
    --------
    >>> best_choices([{"n_components": 1, "covariance": "full"}, {"n_components": 2, "covariance": "full", "bic": 3.0}])
    [(2, 'full')]
    """
    fitted = [row for row in rows if np.isfinite(row.get(criterion, np.nan))]
    ranked = sorted(fitted, key=lambda row: CRITERIA[criterion] * row[criterion])
    close = sum(abs(row[criterion] - ranked[0][criterion]) <= near for row in ranked)
    return [choice_of(row) for row in ranked[: max(FINALISTS, close)]] or [choice_of(row) for row in rows[:FINALISTS]]


def choice_of(row: Row) -> Choice:
    """Return the number of components and the family of a row."""
    return row["n_components"], row["covariance"]
