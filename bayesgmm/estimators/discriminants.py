"""Structures of a classifier: one for the Gaussians of all classes (EDDA), or a mixture for each (MclustDA), by BIC."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from bayesgmm.data.labels import UNLABELLED
from bayesgmm.data.points import Points
from bayesgmm.data.summaries import DROP
from bayesgmm.declared import whole_numbers
from bayesgmm.engines import engine_named
from bayesgmm.errors import ComponentError, DeclarationError, choose
from bayesgmm.estimators.arguments import in_own_words
from bayesgmm.estimators.unlabelled import labels_of_classes
from bayesgmm.families.structures import distinct_families, families_named, family_named
from bayesgmm.inference.searches import run_all
from bayesgmm.model import MixtureModel
from bayesgmm.model_selection.candidates import Candidates, Row
from bayesgmm.model_selection.rounds import BRIEF, SEARCHES
from bayesgmm.model_selection.selection import table_of
from bayesgmm.posterior.criteria import information_criteria, n_parameters
from bayesgmm.wording import plural

if TYPE_CHECKING:
    import pandas as pd

SELECT = "select"
COUNTS = range(1, 6)  # numbers of components to choose from: mclust's
SEARCH = SEARCHES[BRIEF]  # a longer search of few rows finds maxima at which the covariance is singular
CLASSES, COMPONENTS = "classes", "components"
ACROSS = {CLASSES: CLASSES, COMPONENTS: COMPONENTS}  # what a structure relates: EDDA and MclustDA in R's mclust


@dataclass(frozen=True)
class Wanted:
    """What to choose from.

    Parameters
    ----------
    counts : sequence of int
        Numbers of components of a class.
    names : sequence of str
        Covariance structures.
    across : sequence of str
        The structure is one of the classes, of the components of each class, or both are compared.
    """

    counts: Sequence[int]
    names: Sequence[str]
    across: Sequence[str]

    @classmethod
    def of(cls, n_components: object, covariance_type: Any, across: object, method: str) -> "Wanted | None":
        """Read the parameters of a classifier; None if there is nothing to choose.

        Raises
        ------
        DeclarationError, UnknownName
            If one is not valid, or the method can't fit a structure.

        Examples
        --------
        >>> Wanted.of("select", "VEV", None, "em")
        Wanted(counts=[1, 2, 3, 4, 5], names=['VEV'], across=['components'])
        >>> Wanted.of(2, "full", None, "em") is None
        True
        """
        kinds = [CLASSES, COMPONENTS] if across is None else [choose(across, ACROSS, "across")]
        by_name = covariance_type != SELECT if isinstance(covariance_type, str) else not _is_several(covariance_type)
        names = families_named([covariance_type] if by_name else covariance_type, "covariance_type", SELECT)
        if by_name and kinds != [CLASSES]:
            kinds = [COMPONENTS]
            if not _is_several(n_components):
                return None
        counts = _counts(n_components)
        if 1 not in counts:
            if kinds == [CLASSES]:
                raise DeclarationError(
                    f"across='classes' with n_components={n_components!r}: each class then has one component\n"
                    "  Give n_components=1, or across='components'."
                )
            kinds = [COMPONENTS]
        return cls(counts, _able(names, method, every=isinstance(covariance_type, str) and not by_name), kinds)


def _is_several(value: object) -> TypeGuard[str | Iterable[Any]]:
    """True for what stands for several values: a text such as '1-3', a list, a range."""
    return isinstance(value, str | Iterable)


def _counts(n_components: object) -> list[int]:
    if n_components == SELECT and isinstance(n_components, str):
        return [*COUNTS]
    try:
        return whole_numbers("n_components", n_components)
    except DeclarationError as error:
        hint = "; or 'select', which chooses from 1 to 5" if isinstance(n_components, str) else ""
        raise DeclarationError(f"{error}{hint}") from None


def _able(names: Sequence[str], method: str, *, every: bool) -> list[str]:
    """Return the structures that the method can fit; raise DeclarationError for one that was given and can't be."""
    engine = engine_named(method)
    if every:
        return [name for name in names if not engine.refused(MixtureModel(1, name))]
    with in_own_words():
        for name in names:
            engine.require(MixtureModel(1, name))
    return [*names]


@dataclass(frozen=True)
class Selection:
    """Choice of a structure.

    Parameters
    ----------
    table : DataFrame
        A row for each choice, the lowest BIC first.
    classes : dict of label to DataFrame
        The table of each class, as from ``bayesgmm.select``; empty if mixtures of classes were not compared.
    across : str
    counts, names : tuple of int, tuple of str
        Number of components and structure of each class.
    """

    table: "pd.DataFrame"
    classes: "dict[Any, pd.DataFrame]"
    across: str
    counts: tuple[int, ...]
    names: tuple[str, ...]


def select_structure(
    wanted: Wanted, points: Points, index: NDArray[np.int64], classes: NDArray[Any], seed: int, search: dict[str, int]
) -> Selection:
    """Choose the structure of a classifier by the BIC of maximum likelihood fits to values and labels.

    Parameters
    ----------
    wanted : Wanted
    points : Points
    index : (N,) int
        Number of the class of each row, -1 if it is not known.
    classes : (C,) labels
    seed : int
    search : dict
        ``n_init`` and ``sweeps`` of EM.

    Raises
    ------
    ComponentError
        If no choice can be fitted.
    """
    tried = _Trials(wanted, points, index, classes, seed, search)
    rows = tried.gaussians() if CLASSES in wanted.across else []
    tables: dict[Any, pd.DataFrame] = {}
    if COMPONENTS in wanted.across:
        tables = tried.mixtures()
        rows.append(tried.together(tables))
    if all("bic" not in row for row in rows):
        raise ComponentError(_refusal(str(rows[0]["problem"]), len(points.values)))
    best = min(rows, key=lambda row: row.get("bic", np.inf))
    return Selection(_table(rows), tables, best["across"], best["n_components"], best["names"])


@dataclass(frozen=True)
class _Trials:
    wanted: Wanted
    points: Points
    index: NDArray[np.int64]
    classes: NDArray[Any]
    seed: int
    search: dict[str, int]

    def gaussians(self) -> list[Row]:
        """Fit one Gaussian to each class, in each structure."""
        ones = (1,) * len(self.classes)
        labelled = replace(self.points, labels=labels_of_classes(self.index, ones))
        rows = self._fitted(labelled, [len(ones)])
        own = {"across": CLASSES, "n_components": ones}
        return [row | own | {"names": (row["covariance"],) * len(ones)} for row in rows]

    def mixtures(self) -> "dict[Any, pd.DataFrame]":
        """Fit mixtures to each class; return a table of each."""
        if (self.index == UNLABELLED).any():
            return {}
        parts = {
            name: self.points.take(np.flatnonzero(self.index == c)) for c, name in enumerate(self.classes.tolist())
        }
        return {name: table_of(self._fitted(part, self.wanted.counts), "bic") for name, part in parts.items()}

    def together(self, tables: "dict[Any, pd.DataFrame]") -> Row:
        """Return the row of the best mixtures of all classes."""
        row: Row = {"across": COMPONENTS, "n_components": (), "names": (), "covariance": ""}
        if not tables:
            return row | {"problem": _WITH_UNLABELLED}
        bests = [table.iloc[0] for table in tables.values()]
        for name, best in zip(tables, bests, strict=True):
            if not np.isfinite(best["bic"]):
                return row | {"problem": f"Class {name!r}: {best['problem']}"}
        weight = np.ones(len(self.index)) if self.points.weights is None else self.points.weights
        count = np.bincount(self.index, weights=weight)
        size = sum(int(best["n_parameters"]) for best in bests) + len(bests) - 1
        loglik = sum(float(best["loglik"]) for best in bests) + float(count @ np.log(count / count.sum()))
        names = tuple(best["covariance"] for best in bests)
        return row | {
            "n_components": tuple(int(best["n_components"]) for best in bests),
            "names": names,
            "covariance": ", ".join(names),
            "n_parameters": size,
            "loglik": loglik,
            "bic": information_criteria(loglik, size, float(count.sum()), 0.0)["bic"],
            "problem": " ".join(dict.fromkeys(best["problem"] for best in bests if best["problem"])),
        }

    def _fitted(self, points: Points, counts: Sequence[int]) -> list[Row]:
        """Fit each choice to some points, those that are the same model once."""
        n_features = len(points.columns)
        calls = [
            (count, name)
            for count in counts
            for name in dict.fromkeys(distinct_families(self.wanted.names, count, n_features).values())
        ]
        candidates = Candidates.of(points, self.wanted.names, self.seed, **self.search)
        left_out = {call: problem for call in calls if (problem := self._obstacle(*call, points))}
        small = [call for call in calls if call not in left_out]
        rows, interrupted = run_all(candidates.row, small, "choosing a structure", os.cpu_count() or 1, progress=False)
        if interrupted:
            raise KeyboardInterrupt
        done = dict(zip(small, rows, strict=True))
        return [done.get(call) or _row_of(*call, points, left_out[call]) for call in calls]

    def _obstacle(self, n_components: int, covariance: str, points: Points) -> str:
        """Return the reason why a choice is left out, if there is one."""
        if points.labels is None:
            return (
                ""
                if _is_judged_by_bic(n_components, covariance, points)
                else _too_many(n_components, covariance, points)
            )
        counts, needed = np.bincount(self.index[self.index >= 0]), len(points.columns)
        if family_named(covariance).mclust[2:] != "V" or counts.min() >= needed:
            return ""
        few = self.classes.tolist()[counts.argmin()]
        return (
            f"Class {few!r} has {plural(int(counts.min()), 'row')}: directions "
            f"of its own in {plural(needed, 'column')} need at least {needed}."
        )


def _refusal(problem: str, n_points: int) -> str:
    """Return the message where no choice can be fitted; without declarations of priors, which no classifier takes."""
    given = (
        "a number and one structure, such as n_components=1 and covariance_type='diag': they are fitted under a prior"
    )
    if problem == _WITH_UNLABELLED:
        return f"{problem}\n  Give across='classes', which compares one Gaussian for each class, or {given}."
    reason, is_constant, _ = problem.partition(f" {DROP}")
    what = f"no choice can be fitted by maximum likelihood, n_samples = {n_points}: {reason}"
    first = f"{DROP}, or give" if is_constant and "(1 row)" not in reason else "Give"
    return f"{what}\n  {first} {given}, for which few rows suffice."


_WITH_UNLABELLED = (
    "With unlabelled rows the mixtures of all classes are fitted together: their numbers of components and structures "
    "can't be chosen class by class."
)


def _is_judged_by_bic(n_components: int, covariance: str, points: Points) -> bool:
    """False for several components with as many parameters as points: the likelihood would choose singular ones."""
    size = n_parameters(family_named(covariance), n_components, len(points.columns))
    return n_components == 1 or size < points.total_weight


def _too_many(n_components: int, covariance: str, points: Points) -> str:
    """Return why a choice is left out that has as many parameters as points."""
    size = n_parameters(family_named(covariance), n_components, len(points.columns))
    return f"{plural(size, 'parameter')} for {plural(round(points.total_weight), 'row')}: too many for BIC."


def _row_of(n_components: int, covariance: str, points: Points, problem: str) -> Row:
    """Return the row of a choice that is left out."""
    size = n_parameters(family_named(covariance), n_components, len(points.columns))
    return {"n_components": n_components, "covariance": covariance, "n_parameters": size, "problem": problem}


def _table(rows: list[Row]) -> "pd.DataFrame":
    import pandas as pd

    from bayesgmm.whole_tables import WholeTable

    names = ["across", "n_components", "covariance", "loglik", "n_parameters", "bic", "problem"]
    table = pd.DataFrame(rows, columns=names)
    order = np.argsort(table["bic"].to_numpy(np.float64), kind="stable")
    return WholeTable(table.iloc[order].reset_index(drop=True))


def search_of(settings: dict[str, Any], method: str) -> dict[str, int]:
    """Return ``n_init`` and ``sweeps`` of the search: those of the settings if the method is EM, which has them."""
    return SEARCH | {name: settings[name] for name in SEARCH if method == "em" and name in settings}
