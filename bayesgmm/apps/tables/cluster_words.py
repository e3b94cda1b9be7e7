"""Sentences about the clusters of a table: the answer, its uncertainty, and how it was found."""

import re
from typing import TYPE_CHECKING

import numpy as np

from bayesgmm.apps.tables.cross_tables import cross_words
from bayesgmm.apps.tables.found_clusters import UNCERTAIN, FoundClusters
from bayesgmm.apps.tables.profiles import description, names, profiles
from bayesgmm.findings import Findings
from bayesgmm.model_selection.rounds import THOROUGH
from bayesgmm.model_selection.shortlists import SAMPLED
from bayesgmm.posterior.info import declaration
from bayesgmm.wording import listing, plural

if TYPE_CHECKING:
    import pandas as pd


NAMED = frozenset({"n_components", "covariance", "method", "seed", "columns", "drop", "id", "keep", "na"})
"""Arguments that advice may name: those of ``cluster_table``, which are options of the command, too."""
ARGUMENT = re.compile(r"\b(\w+)=")
OTHER_PRIOR = re.compile(r"(, or|,| or) (an? )?[^.,]*\bprior\b[^.]*")
IMPOSSIBLE = re.compile(r"plots\.|chains|prior|draws")
FEW_VALUES = 10  # different values of a column that may make components degenerate


def answer_words(found: FoundClusters) -> list[str]:
    """Say how many clusters there are, what is special about each, how uncertain that is, and the verdict."""
    lines = [_how_many(found), *_each(found), *_uncertainty(found), *_beside(found), *cross_words(found.cross)]
    return [*lines, f"checks of the fit: {verdict_words(found.findings)}"]


def all_words(found: FoundClusters) -> list[str]:
    """Return the answer, how it was found, and the remarks on the table."""
    return [*answer_words(found), *method_words(found), *found.table.words()]


def _how_many(found: FoundClusters) -> str:
    n, rows = found.n_clusters, plural(len(found.table.rows), "row")
    if found.is_separate or n == 1:
        return f"{plural(n, 'cluster')} in {rows}"
    return f"no separate clusters in {rows}: {n} groups that overlap, without a valley between them"


def _each(found: FoundClusters) -> list[str]:
    sizes = found.overview["size"]
    return [
        f"cluster {k} ({name}): {plural(int(sizes[k]), 'row')}, {description(found.profiles, k)}"
        for k, name in enumerate(found.names)
    ]


def _uncertainty(found: FoundClusters) -> list[str]:
    if found.n_clusters == 1:
        return []
    uncertain, lines = len(found.uncertain_rows), []
    verb = "has" if uncertain == 1 else "have"
    of_some = " of the rows without missing values" if found.table.rows.isna().any(axis=None) else ""
    lines.append(
        f"{plural(uncertain, 'row')} {verb} an uncertain cluster (expected distance of {UNCERTAIN:g} or more); the "
        f"mean expected distance is {found.rows['expected_distance'].mean():.2f}, the mean silhouette{of_some} "
        f"{found.silhouette:.2f} (1: far from other clusters, 0: as close to another)"
    )
    saddle = found.merged.attrs["closest"]
    if found.is_separate:
        lines.append(
            f"between the two closest clusters the density falls to {100 * saddle:.0f} % of the lower peak or less, "
            "with an allowance for chance"
        )
    return lines


def _beside(found: FoundClusters) -> list[str]:
    """Describe the answer with as many clusters as components, where they were merged."""
    component = found.rows["component"].dropna()
    if component.nunique() <= found.n_clusters:
        return []
    sizes = component.value_counts(sort=False).sort_index()
    groups = [
        f"{plural(size, 'row')} ({name})"
        for size, name in zip(sizes, names(profiles(found.table.rows, component.to_numpy(int))), strict=True)
    ]
    return [
        f"without merging: {len(sizes)} groups, one for each component (the column 'component' of the rows): "
        f"{', '.join(groups)}"
    ]


def method_words(found: FoundClusters) -> list[str]:
    """Say how the clusters were found: columns, choices, mergers, and the partition."""
    model = declaration(found.fit)
    lines = [f"columns used: {listing(found.table.columns)}"]
    lines += found.scales.words()
    lines.append(
        "the spread of each column is estimated, so the result does not depend on the units"
        if not model.family.needs_common_scale
        else f"columns keep their units: a {model.covariance} covariance depends on them, so columns with large values "
        "dominate"
    )
    lines += choice_words(found.choices, found.table.rows)
    if found.is_separate and found.n_clusters < model.n_components:
        lines.append(
            f"the {model.n_components} components were merged into {int(found.merged['n_clusters'])}: those between "
            "which the density of the rows has no valley, so a cluster need not be Gaussian"
        )
    many = plural(found.n_clusters, "cluster")
    lines.append(f"{many} in the partition with the lowest expected loss (variation of information)")
    return lines


def choice_words(choices: "pd.DataFrame", rows: "pd.DataFrame") -> list[str]:
    """Say which mixture was chosen of how many, which could not be fitted, and whether it is at the edge of the range.

    Parameters
    ----------
    choices : DataFrame
        From ``shortlist``.
    rows : DataFrame
        The rows that were fitted.

    Examples
    --------
    >>> import pandas as pd
    >>> choices = pd.DataFrame({"n_components": [2, 1], "covariance": "full", "bic": [9.0, 12.5], "problem": ["", ""]})
    >>> for line in choice_words(choices.assign(search="thorough"), pd.DataFrame({"x": range(30)})):
    ...     print(line)
    2 components with covariance 'full': the lowest BIC (9.0) of 2 choices; next, 3.5 higher: 1 component, 'full'
    2 components are the largest number that was tried; for more, give n_components=range(1, 5)
    """
    best = choices.iloc[0]
    named = f"{plural(int(best['n_components']), 'component')} with covariance {best['covariance']!r}"
    if len(choices) == 1:
        return [f"{named}, as requested"]
    fitted = choices[np.isfinite(choices["bic"])]
    lines = [f"{named}: the lowest BIC ({best['bic']:.1f}) of {len(fitted)} choices{_next(fitted)}"]
    failed = choices[~np.isfinite(choices["bic"]) & (choices["search"] != SAMPLED)]
    if len(failed):
        lines.append(_failures(failed, len(choices), rows))
    brief, sampled = int((fitted["search"] != THOROUGH).sum()), int((choices["search"] == SAMPLED).sum())
    if brief:
        lines.append(f"{len(fitted) - brief} choices were searched thoroughly, {brief} with a higher BIC briefly")
    if sampled:
        lines.append(f"{plural(sampled, 'further choice was', 'further choices were')} worse on a sample of the rows")
    return [*lines, *_edge(choices, len(rows))]


def _next(fitted: "pd.DataFrame") -> str:
    """Describe the second best model and its difference in BIC."""
    if len(fitted) < 2:
        return ""
    first, second = fitted.iloc[0], fitted.iloc[1]
    what = f"{plural(int(second['n_components']), 'component')}, {second['covariance']!r}"
    return f"; next, {second['bic'] - first['bic']:.1f} higher: {what}"


def _failures(failed: "pd.DataFrame", n_choices: int, rows: "pd.DataFrame") -> str:
    """Say how many choices could not be fitted, why, and which column may be the reason."""
    families = failed["covariance"].value_counts()
    listed = ", ".join(f"{count} {name}" for name, count in families.items())
    distinct = rows.nunique()
    advice = (
        f"; column {distinct.idxmin()!r} has only {distinct.min()} different values: drop={distinct.idxmin()!r} leaves "
        "it out"
        if len(rows.columns) > 1 and distinct.min() <= FEW_VALUES
        else ""
    )
    why = str(failed["problem"].iloc[0]).rstrip(".")
    return f"{len(failed)} of {n_choices} choices could not be fitted ({listed}), for example: {why}{advice}"


def _edge(choices: "pd.DataFrame", n_rows: int) -> list[str]:
    """Say that the largest number of components that was tried is the best, so that more may be better."""
    counts, best = choices["n_components"].unique(), int(choices["n_components"].iloc[0])
    if len(counts) == 1 or best < counts.max():
        return []
    more = min(2 * best, n_rows // 5)
    advice = f"; for more, give n_components=range(1, {more + 1})" if more > best else ""
    return [f"{plural(best, 'component is', 'components are')} the largest number that was tried{advice}"]


def possible(advice: str) -> str:
    """Return the part of an advice that ``cluster_table`` and its command can follow; empty if there is none.

    Examples
    --------
    >>> possible("Try n_components=2, or a SparseDirichlet prior."), possible("Try draws=9000.")
    ('Try n_components=2.', '')
    """
    advice = OTHER_PRIOR.sub("", advice)
    return advice if {*ARGUMENT.findall(advice)} <= NAMED and not IMPOSSIBLE.search(advice) else ""


def verdict_words(findings: Findings) -> str:
    """Return the verdict of the checks in one line; advice that names no argument of ``cluster_table`` is left out.

    Examples
    --------
    >>> from bayesgmm.findings import Finding
    >>> low = Finding("warning", "energy", "BFMI is 0.2.", "Intervals may be too narrow.", "Try draws=9000.")
    >>> verdict_words(Findings([low], passed=["mixing"]))
    'Use these results with care: BFMI is 0.2. The other check found no problem.'
    """
    text = findings.verdict
    for finding in (finding for finding in findings if finding.advice):
        text = text.replace(f" {finding.advice}", f" {possible(finding.advice)}".rstrip())
    return text.replace(" below.", " in the report.")
