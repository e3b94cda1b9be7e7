"""Judging the rows of a table by a fit: p-values, flagged rows, and reasons."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from bayesgmm.apps.tables.columns import UsableTable, beside, finite, row_labels
from bayesgmm.apps.tables.events import events
from bayesgmm.apps.tables.flagging import Rule, most_anomalous_first
from bayesgmm.apps.tables.model_choice import Candidate
from bayesgmm.apps.tables.p_values import (
    DRAWS,
    N_SIMULATED,
    expected_of,
    null_of,
    reference_of,
    scores,
    scores_without_own,
    simulated_scores,
)
from bayesgmm.data.columns import select
from bayesgmm.data.points import DataLike
from bayesgmm.errors import DataError, warn
from bayesgmm.posterior.arguments import FitLike, takes_fit
from bayesgmm.posterior.contamination import background as background_of
from bayesgmm.posterior.info import info
from bayesgmm.posterior.schema import observed, points_for, transforms_of
from bayesgmm.predictions.anomalies import conformal_p_values, has_few_points, left_out, rows_among
from bayesgmm.predictions.predictive import mean_log_density
from bayesgmm.predictions.ranks import log_p_values, rank_p_values
from bayesgmm.predictions.reasons import explain_anomalies
from bayesgmm.reading.marks import NUMBER_MARKS
from bayesgmm.reading.settings import Source
from bayesgmm.reading.tables import ReadTable
from bayesgmm.screening.sheets import sheet_of
from bayesgmm.wording import plural

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from bayesgmm.sweep.stats import Array

FEW_ADVICE = "Train on more rows, use top=10, or compare with a fit of all rows: judge(find_anomalies(data).fit, new)."


@dataclass(frozen=True)
class Anomalies:
    """Anomalies of a table, as ``find_anomalies`` and ``judge`` return them.

    Parameters
    ----------
    rows : DataFrame
        One row for each row of the table: ``log_density``, ``p_value``, ``q_value``, ``anomaly``, and for flagged rows
        ``component`` and ``reason``. The log density of a fitted row is that of a mixture without it, if this is lower.
        A row with missing values has the log density of a complete row that is as improbable. Rows without values have
        ``anomaly`` False and nothing else.
    fit : DataTree
        The fitted mixture. ``judge`` applies it to other tables, also after it was saved and loaded.
    table : UsableTable
        The table that was used; ``table.words()`` lists the columns and rows that were left out, with reasons.
    rule : Rule
    tried : list of Candidate
        The models that were compared, with their errors on held-out rows.
    time : str, optional
        Column by which the rows are ordered.
    method : sequence of str
        How the anomalies were found, in sentences.

    Examples
    --------
    >>> from bayesgmm.apps import find_anomalies
    >>> x = np.append(np.random.default_rng(0).normal(size=99), 40.0)
    >>> found = find_anomalies(x[:, None], n_components=1, progress=False)
    >>> found.rows["anomaly"].sum(), found.flagged.index.tolist()
    (np.int64(1), [99])
    """

    rows: "pd.DataFrame"
    fit: "xr.DataTree"
    table: UsableTable
    rule: Rule
    tried: list[Candidate] = field(default_factory=list)
    time: str | None = None
    method: Sequence[str] = ()

    @property
    def flagged(self) -> "pd.DataFrame":
        """The flagged rows with the table's own columns, the smallest p-value first; printed with whole reasons."""
        from bayesgmm.whole_tables import WholeTable

        return WholeTable(flagged(self.rows, self.table))

    @cached_property
    def events(self) -> "pd.DataFrame":
        """Groups of called rows that lie close together in time; empty if the rows have no order in time."""
        return events(self.rows, self.table, self.time)


def flagged(rows: "pd.DataFrame", table: UsableTable, every: bool = False) -> "pd.DataFrame":
    """Select the flagged rows with the table's own columns, the smallest p-value first; or every row, in order."""
    if every:
        return beside(table.written, rows)
    at = np.flatnonzero(rows["anomaly"])
    at = at[most_anomalous_first(rows["p_value"].to_numpy()[at], rows["log_density"].to_numpy()[at])]
    return beside(table.written.iloc[at], rows.iloc[at])


def usable_table_for(tree: "xr.DataTree", data: DataLike | Source | ReadTable) -> UsableTable:
    """Select the columns of a fit from a table, and the rows with values.

    Parameters
    ----------
    tree : DataTree
    data : table, array, path, TableFile or ReadTable

    Raises
    ------
    DataError
        If the table lacks a column of the fit, or one of them is text.
    """
    import pandas as pd

    names = [*transforms_of(tree).names]
    sheet = sheet_of(data, names, forced=names, names=names)
    sheet.require_clear(names)
    chosen = select(sheet.values, names)
    numbers = chosen.apply(pd.to_numeric, errors="coerce")
    given = select(sheet.texts.set_axis(sheet.values.columns, axis=1), names)
    text = [name for name in names if numbers[name].isna().all() and _holds_text(given[name][sheet.is_data])]
    if text:
        raise DataError(f"the fit needs numbers in {', '.join(map(repr, text))}; the table has text there")
    for name, values in info(tree).missing_codes.items():
        numbers[name] = numbers[name].mask(numbers[name].isin(values))
    known, labels = finite(numbers).any(axis=1) & sheet.is_data, row_labels(sheet)
    frame = sheet.values.assign(**numbers).set_axis(labels)
    return UsableTable(frame, tuple(names), {}, known, sheet.texts.set_axis(labels))


def _holds_text(cells: "pd.Series") -> bool:
    return bool((cells.notna() & ~cells.isin(["", *NUMBER_MARKS])).any())


@takes_fit
def judge(
    fit: FitLike,
    data: DataLike | Source,
    *,
    fdr: float | None = None,
    alpha: float | None = None,
    top: int | None = None,
    contamination: float | None = None,
) -> Anomalies:
    """Flag anomalous rows of a table with an existing fit.

    Parameters
    ----------
    fit : DataTree or estimator
        Fit of ``find_anomalies``, or any other. If it stores scores of held-out rows (``find_anomalies(data, new)``),
        p-values are computed from these. Otherwise they are computed from 100,000 points simulated from the fit, with
        the correction that ``find_anomalies(data)`` stored. If the fitted rows are few (fewer than 20 for each free
        number of the mixture) and the fit has no background, rows that are not among them get cross-conformal p-values,
        as in ``anomaly_scores``: by simulated points they would be too small.
    data : DataFrame or (N, D) array
    fdr, alpha, top, contamination : float, float, int, float, optional
        As in ``find_anomalies``.

    Returns
    -------
    Anomalies

    Raises
    ------
    DataError
        If the table lacks a column of the fit, or one of them is text.
    DeclarationError
        If more than one of ``fdr``, ``alpha``, ``top`` and ``contamination`` is given, or a value is out of range.

    Examples
    --------
    >>> from bayesgmm.apps import find_anomalies
    >>> x = np.random.default_rng(0).normal(size=(99, 1))
    >>> tree = find_anomalies(x, n_components=1, progress=False).fit
    >>> judge(tree, [[0.5], [40.0]]).rows["anomaly"].tolist()
    [False, True]
    """
    return judged_table(fit, usable_table_for(fit, data), Rule.of(fdr, alpha, top, contamination))


def judged_table(tree: "xr.DataTree", table: UsableTable, rule: Rule) -> Anomalies:
    """Flag rows of a table whose columns are those of a fit."""
    return Anomalies(judge_rows(tree, table, rule), tree, table, rule)


def judge_rows(tree: "xr.DataTree", table: UsableTable, rule: Rule, is_own: bool = False) -> "pd.DataFrame":
    """Compute the answers for each row of a table; ``is_own`` for the table that was fitted."""
    import pandas as pd

    empty = {"log_density": np.nan, "p_value": np.nan, "q_value": np.nan, "anomaly": False}
    judged = pd.DataFrame(empty | {"component": pd.NA, "reason": ""}, index=table.frame.index)
    judged["component"] = judged["component"].astype("Int64")
    if not table.known.any():
        return judged
    rows, at = table.rows, np.flatnonzero(table.known)
    score, p_value = _scored(tree, rows, is_own)
    q_value, anomaly = rule.flag(p_value, score)
    if not anomaly.any() and (reference := reference_of(tree)) is not None:
        _warn_of_few(p_value, reference.size, rule)
    for name, values in {"log_density": score, "p_value": p_value, "q_value": q_value, "anomaly": anomaly}.items():
        judged.iloc[at, judged.columns.get_loc(name)] = values
    if anomaly.any():
        reasons = explain_anomalies(tree, rows[anomaly])
        for name in ("component", "reason"):
            judged.iloc[at[anomaly], judged.columns.get_loc(name)] = reasons[name].values
    return judged


def _warn_of_few(p_value: "Array", n_reference: int, rule: Rule) -> None:
    """Warn if the held-out rows are too few for any row to be flagged, however anomalous."""
    smallest = 1 / (1 + n_reference)
    lowest = max(1, int((p_value == smallest).sum()))
    limit = rule.alpha if rule.alpha is not None else (rule.fdr or 1.0) * lowest / p_value.size
    if smallest > limit:
        warn(
            [
                f"no row can be flagged ({rule}): new rows are compared with {plural(n_reference, 'held-out row')}; "
                f"no p-value is below {smallest:.2g}, and of {plural(p_value.size, 'row')} "
                f"{lowest:,} would need at most {limit:.2g}. {FEW_ADVICE}"
            ]
        )


def _scored(tree: "xr.DataTree", rows: "pd.DataFrame", is_own: bool) -> "tuple[Array, Array]":
    """Compute scores (N,), and p-values (N,) from held-out rows if the fit stores them, else from the model."""
    reference = reference_of(tree)
    if reference is not None:
        score = scores(tree, rows)
        return score, rank_p_values(score, reference)
    score, log_p = model_p_values(tree, rows)
    p_value = null_of(tree).p_values(log_p)
    if not is_own and background_of(tree) is None and has_few_points(tree):
        _compare_new(tree, rows, p_value)
    return score, p_value


def _compare_new(tree: "xr.DataTree", rows: "pd.DataFrame", p_value: "Array") -> None:
    """Replace the p-values of rows that are not among the fitted ones: these are few, and become reference points.

    By simulated points, p-values of new rows would be too small. A fit with a background expects anomalies among its
    rows, which are then no reference. The scores are densities of the fit alone, which can leave rows out.
    """
    points = points_for(tree, rows)
    complete = np.flatnonzero(~np.isnan(points.values).any(axis=1))  # no fitted row is as short as the others
    new = np.setdiff1d(complete, rows_among(points, observed(tree)))
    fitted = left_out(tree, DRAWS, is_wanted=False) if new.size else None
    if fitted is not None:
        score = mean_log_density(tree, rows)[new]
        drawn = np.sort(simulated_scores(tree, N_SIMULATED, by=mean_log_density))
        p_value[new] = conformal_p_values(fitted, points.values[new], score, drawn, progress=False)


def model_p_values(tree: "xr.DataTree", rows: "pd.DataFrame") -> "tuple[Array, Array]":
    """Compute scores (N,) and log p-values (N,) from points simulated from the fit."""
    score = scores_without_own(tree, rows)
    return score, log_p_values(score, expected_of(tree))
