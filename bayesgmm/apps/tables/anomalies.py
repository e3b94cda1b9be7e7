"""Anomalies in tables: fit a mixture, flag rows with small p-values, and give reasons."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesgmm.apps.tables.columns import (
    UsableTable,
    as_frame,
    beside,
    complete_rows,
    require_rows,
    usable_table,
)
from bayesgmm.apps.tables.flagging import Rule, most_anomalous_first
from bayesgmm.apps.tables.model_choice import (
    COMPONENTS,
    MIN_BACKGROUND_GAIN,
    MIN_IMPROVEMENT,
    Candidate,
    candidates,
    choose_model,
    evaluate_models,
    without_small,
)
from bayesgmm.apps.tables.p_values import (
    DRAWS,
    expected_of,
    heavy_tail,
    log_p_values,
    null_of,
    reference_of,
    with_expected,
    with_null,
    with_reference,
)
from bayesgmm.apps.tables.scales import Scales, holding, scales_of
from bayesgmm.data.columns import select
from bayesgmm.data.containers import named_frame
from bayesgmm.data.numbers import as_matrix
from bayesgmm.data.points import DataLike
from bayesgmm.declared import whole
from bayesgmm.engines import engine_named
from bayesgmm.errors import DataError, DeclarationError, warn
from bayesgmm.inference import fit
from bayesgmm.model_selection.transform_choice import AUTO, FAMILIES, Transform
from bayesgmm.posterior.contamination import background as background_of
from bayesgmm.posterior.schema import observed, points_for, transforms_of
from bayesgmm.predictions.anomalies import (
    conformal_p_values,
    has_few_points,
    left_out,
    rank_p_values,
    rows_among,
    warn_of_few,
)
from bayesgmm.predictions.predictive import mean_log_density
from bayesgmm.predictions.reasons import explain_anomalies
from bayesgmm.priors.backgrounds import Background
from bayesgmm.reading.marks import NUMBER_MARKS
from bayesgmm.reading.settings import Source, is_source
from bayesgmm.reading.tables import ReadTable
from bayesgmm.screening.results import DataCheck
from bayesgmm.screening.sheets import sheet_of
from bayesgmm.wording import plural

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from bayesgmm.sweep.stats import Array

MIN_HELD_OUT = 50  # rows; half of them are held out for calibration
ROWS_EACH = 10  # minimum number of rows per component


@dataclass(frozen=True)
class Anomalies:
    """Anomalies of a table, as ``find_anomalies`` and ``judge`` return them.

    Parameters
    ----------
    rows : DataFrame
        One row for each row of the table: ``log_density``, ``p_value``, ``q_value``, ``anomaly``, and for flagged rows
        ``component`` and ``reason``. Rows with missing values have ``anomaly`` False and no other values.
    fit : DataTree
        The fitted mixture. ``judge`` applies it to other tables, also after it was saved and loaded.
    table : UsableTable
        The table that was used; ``table.words()`` lists the columns and rows that were left out, with reasons.
    rule : Rule
    tried : list of Candidate
        The models that were compared, with their errors on held-out rows.

    Examples
    --------
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

    @property
    def flagged(self) -> "pd.DataFrame":
        """The flagged rows with the table's own columns, the smallest p-value first."""
        return flagged(self.rows, self.table)


def flagged(rows: "pd.DataFrame", table: UsableTable, every: bool = False) -> "pd.DataFrame":
    """Select the flagged rows with the table's own columns, the smallest p-value first; or every row, in order."""
    if every:
        return beside(table.written, rows)
    at = np.flatnonzero(rows["anomaly"])
    at = at[most_anomalous_first(rows["p_value"].to_numpy()[at], rows["log_density"].to_numpy()[at])]
    return beside(table.written.iloc[at], rows.iloc[at])


def find_anomalies(
    data: DataLike | Source | DataCheck,
    new: DataLike | Source | None = None,
    *,
    columns: Sequence[str] | None = None,
    drop: str | Iterable[str] = (),
    id: str | Iterable[str] = (),  # noqa: A002
    keep: str | Iterable[str] = (),
    na: str | float | Sequence[str | float] | None = None,
    fdr: float | None = None,
    alpha: float | None = None,
    top: int | None = None,
    n_components: int | Iterable[int] = COMPONENTS,
    covariance: str = "tied",
    transform: Transform = AUTO,
    background: Background | None = None,
    method: str = "vb",
    seed: int = 0,
    progress: bool = True,
) -> Anomalies:
    """Find anomalous rows of a table, and explain each.

    Skewed and heavy-tailed columns are fitted on the scale with the lowest BIC (see ``choose_transforms``), coarsely
    rounded values as random values within the rounding. Scores are log densities of the transformed columns.

    The number of components is chosen by held-out evaluation: each model, with and without a background, is fitted to
    half of the rows, and its error is the fraction of pairs of a held-out row and an artificial point in which the
    artificial point has the higher density. One Gaussian is kept unless a larger model reduces this error by a fifth
    (with two standard errors to spare); then the simplest model is used that is not significantly worse than the best.
    A background is included if it reduces the error by 0.01, or if a component would hold no more rows than there are
    columns: these may be anomalies. The default covariance is shared by all components, so that no component can shrink
    around a few anomalies.

    Rows of ``data`` get p-values from the fitted model. They are corrected upwards if the central half of the rows
    shows that the model does not fit. Rows of ``new`` are compared with held-out rows instead: half of ``data`` is
    held out, and p-values of new rows from the same distribution are then valid for any model.

    Parameters
    ----------
    data : DataFrame, (N, D) array, path, TableFile or DataCheck
        Table. Columns that are no measurements are left out (see ``data_check``), and so are rows with missing values.
    new : DataFrame, (M, D) array, path or TableFile, optional
        Rows to judge instead of those of ``data``, which are then assumed to be good.
    columns : sequence of str, optional
        Columns to use; default all measurements.
    drop, id, keep : str or iterable of str
        Columns to leave out, that identify the rows, and to use although they look like no measurements, as in
        ``data_check``.
    na : str, float, or sequence of them, optional
        Values that stand for missing ones; default: numbers such as -999 are looked for, as in ``data_check``.
    fdr, alpha, top : float, float, int, optional
        Which rows to flag, one of the three: by false discovery rate (default 0.05), by p-value, or by number.
    n_components : int or iterable of int
        Numbers of components to try.
    covariance : str
        Covariance family.
    transform : {'auto', 'none', 'log', 'power', 'arcsinh'} or ColumnTransforms
        Transform of the columns, as in ``choose_transforms``; by default each is chosen by evidence.
    background : Background, optional
        Broad component for outliers in ``data``. By default ``Background(share=0.05)`` is tried, and used if it helps.
    method : str
        Inference method for the chosen mixture, as in ``fit``.
    seed : int
    progress : bool

    Returns
    -------
    Anomalies

    Raises
    ------
    DataError
        If the table is empty, a named column can't be used, no column can be used, or ``new`` lacks a column or comes
        with fewer than 50 rows of ``data``.
    DeclarationError
        If more than one of ``fdr``, ``alpha`` and ``top`` is given, or a setting is invalid.

    Warns
    -----
    FitWarning
        If there are too few held-out rows to flag any of ``new``, the rows have heavier tails than the model, so that
        the false discovery rate may not hold, or the fit itself warns.

    Examples
    --------
    >>> x = np.append(np.random.default_rng(0).normal(size=99), 40.0)
    >>> find_anomalies(x[:, None], n_components=1, progress=False).flagged["reason"].item()[:6]
    'x0 40 '
    """
    Rule.of(fdr, alpha, top)  # check the settings before the fit
    detector = fit_detector(
        usable_table(data, columns, drop=drop, id=id, keep=keep, na=na),
        calibrated=new is not None,
        n_components=n_components,
        covariance=covariance,
        transform=transform,
        background=background,
        method=method,
        seed=seed,
        progress=progress,
    )
    if new is None:
        return detector.judge(fdr=fdr, alpha=alpha, top=top)
    table = usable_table_for(detector.fit, _by_position(new, detector), detector.codes)
    return replace(judged_table(detector.fit, table, Rule.of(fdr, alpha, top)), tried=detector.tried)


def _by_position(new: DataLike | Source, detector: "Detector") -> DataLike | Source:
    """Give an array with the columns of the training table their names; columns that are not used are then dropped."""
    if is_source(new):
        return new
    names = [*detector.table.frame.columns]
    if named_frame(new) is not None or as_matrix(new).shape[1] != len(names):
        return new
    return as_frame(new, names)


@dataclass(frozen=True)
class Detector:
    """Anomaly detector: a mixture fitted to a table, before rows are flagged.

    Parameters
    ----------
    fit : DataTree
    table : UsableTable
    tried : list of Candidate
        The models that were compared.
    scales : Scales
        The rows as they were fitted.
    """

    fit: "xr.DataTree"
    table: UsableTable
    tried: list[Candidate]
    scales: Scales

    @property
    def choices(self) -> "pd.DataFrame":
        """The models that were compared: columns ``n_components``, ``background``, ``error``."""
        import pandas as pd

        rows = [(c.model.n_components, c.model.background is not None, c.error) for c in self.tried]
        return pd.DataFrame(rows, columns=["n_components", "background", "error"])

    @property
    def codes(self) -> dict[str, list[float]]:
        """Numbers that stand for missing values, by column."""
        check = self.table.check
        return {} if check is None else {c.name: [*c.codes.counts] for c in check.columns if c.codes.counts}

    def words(self) -> list[str]:
        """Describe the chosen model and how it was chosen, one sentence per line."""
        count, behind = self.fit["posterior"].sizes["component"], background_of(self.fit)
        with_it = "" if behind is None else f", and a background with share {behind.share:g}"
        lines = [*self.scales.words(), f"{plural(count, 'component')}{with_it}"]
        if any(choice.denser.size for choice in self.tried):
            errors = self.choices["error"].dropna()
            first, best = errors.iloc[0], errors.min()
            lines.append(
                f"held-out error (an artificial point has a higher density than a row): {first:.1%} for the simplest "
                f"mixture, {best:.1%} for the best of {len(self.tried)}; more components are used if they reduce it by "
                f"{MIN_IMPROVEMENT:.0%}, a background if it reduces it by "
                f"{plural(round(100 * MIN_BACKGROUND_GAIN), 'percentage point')}"
            )
        return lines

    def judge(self, *, fdr: float | None = None, alpha: float | None = None, top: int | None = None) -> Anomalies:
        """Flag rows of the training table.

        Raises
        ------
        DeclarationError
            If more than one criterion is given, or a value is out of range.

        Warns
        -----
        FitWarning
            If the rows have heavier tails than the model, so that the false discovery rate may not hold.
        """
        rule = Rule.of(fdr, alpha, top)
        rows = _judge_rows(self.fit, self.table, rule)
        if rule.fdr is not None and rows["anomaly"].any() and reference_of(self.fit) is None:
            warn(filter(None, [heavy_tail(rows["p_value"].dropna().to_numpy())]))
        return Anomalies(rows, self.fit, self.table, rule, self.tried)


def fit_detector(
    table: UsableTable,
    *,
    calibrated: bool = False,
    n_components: int | Iterable[int] = COMPONENTS,
    covariance: str = "tied",
    transform: Transform = AUTO,
    background: Background | None = None,
    method: str = "vb",
    seed: int = 0,
    progress: bool = True,
) -> Detector:
    """Choose and fit the mixture of ``find_anomalies``.

    Parameters
    ----------
    table : UsableTable
    calibrated : bool
        Hold out half of the rows; p-values of new rows are computed from these.
    n_components, covariance, transform, background, method, seed, progress
        As in ``find_anomalies``.

    Raises
    ------
    DataError
        If there are no more rows than columns, or ``calibrated`` and fewer than 50 rows.
    DeclarationError
        If a setting is invalid.
    """
    settings: dict[str, Any] = {"seed": seed, "progress": progress}
    settings |= {"draws": DRAWS} if "draws" in engine_named(method).defaults else {}
    rows = table.rows
    if calibrated and len(rows) < MIN_HELD_OUT:
        raise DataError(
            f"{len(rows)} rows are too few to judge new rows: half of them are held out; give at least {MIN_HELD_OUT}"
        )
    require_rows(table, [covariance])
    counts = [n_components] if not isinstance(n_components, Iterable) else [*n_components]
    if not counts:
        raise DeclarationError("n_components=[]: give at least one number of components")
    counts = [k for k in (whole("n_components", k) for k in counts) if k == counts[0] or ROWS_EACH * k <= len(rows)]
    models = candidates(counts, covariance, [None, Background()] if background is None else [background])
    held_out = np.random.default_rng((seed, 12)).permutation(np.arange(len(rows)) % 2 == 1) & calibrated
    seen = rows[~held_out]  # the choice of the model must not use held-out rows either: else p-values are not valid
    scales = scales_of(seen, transform, FAMILIES, seed, min_gain=0)  # tails matter more than plain units
    settings["transform"] = scales.transform
    few = len(seen) < MIN_HELD_OUT or len(models) == 1
    tried = [] if few else evaluate_models(scales.fitted, models, seed, progress)
    model = choose_model(tried) if tried else models[0]
    tree = fit(model, scales.rows, method, **settings)
    if calibrated:
        return Detector(with_reference(tree, rows[held_out]), table, tried, scales)
    if tried and (other := without_small(model, tree, counts)):
        tree = fit(other, scales.rows, method, **settings)
    tree = with_expected(holding(tree, rows) if scales.spread_out else tree)
    return Detector(with_null(tree, _model_p_values(tree, rows)[1]), table, tried, scales)


def usable_table_for(
    tree: "xr.DataTree", data: DataLike | Source | ReadTable, codes: Mapping[str, Sequence[float]] | None = None
) -> UsableTable:
    """Select the columns of a fit from a table, and the rows without missing values.

    Parameters
    ----------
    tree : DataTree
    data : table, array, path, TableFile or ReadTable
    codes : mapping of str to sequence of float, optional
        Numbers that stand for missing values, by column.

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
    for name, values in (codes or {}).items():
        numbers[name] = numbers[name].mask(numbers[name].isin(values))
    frame = sheet.values.assign(**numbers)
    return UsableTable(frame, tuple(names), {}, complete_rows(numbers) & sheet.is_data, sheet.texts)


def _holds_text(cells: "pd.Series") -> bool:
    return bool((cells.notna() & ~cells.isin(["", *NUMBER_MARKS])).any())


def judge(
    tree: "xr.DataTree",
    data: DataLike | Source,
    *,
    fdr: float | None = None,
    alpha: float | None = None,
    top: int | None = None,
) -> Anomalies:
    """Flag anomalous rows of a table with an existing fit.

    Parameters
    ----------
    tree : DataTree
        Fit of ``find_anomalies``, or any other. If it stores scores of held-out rows (``find_anomalies(data, new)``),
        p-values are computed from these. Otherwise they are computed from 100,000 points simulated from the fit, with
        the correction that ``find_anomalies(data)`` stored. If the fitted rows are few (fewer than 20 for each free
        number of the mixture) and the fit has no background, rows that are not among them get cross-conformal p-values,
        as in ``anomaly_scores``: by simulated points they would be too small.
    data : DataFrame or (N, D) array
    fdr, alpha, top : float, float, int, optional
        As in ``find_anomalies``.

    Returns
    -------
    Anomalies

    Raises
    ------
    DataError
        If the table lacks a column of the fit, or one of them is text.
    DeclarationError
        If more than one of ``fdr``, ``alpha`` and ``top`` is given, or a value is out of range.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(99, 1))
    >>> tree = find_anomalies(x, n_components=1, progress=False).fit
    >>> judge(tree, [[0.5], [40.0]]).rows["anomaly"].tolist()
    [False, True]
    """
    return judged_table(tree, usable_table_for(tree, data), Rule.of(fdr, alpha, top))


def judged_table(tree: "xr.DataTree", table: UsableTable, rule: Rule) -> Anomalies:
    """Flag rows of a table whose columns are those of a fit."""
    return Anomalies(_judge_rows(tree, table, rule), tree, table, rule)


def _judge_rows(tree: "xr.DataTree", table: UsableTable, rule: Rule) -> "pd.DataFrame":
    import pandas as pd

    empty = {"log_density": np.nan, "p_value": np.nan, "q_value": np.nan, "anomaly": False}
    judged = pd.DataFrame(empty | {"component": pd.NA, "reason": ""}, index=table.frame.index)
    judged["component"] = judged["component"].astype("Int64")
    if not table.complete.any():
        return judged
    rows, at = table.rows, np.flatnonzero(table.complete)
    score, p_value = _scored(tree, rows)
    q_value, anomaly = rule.flag(p_value, score)
    if not anomaly.any() and (reference := reference_of(tree)) is not None:
        warn_of_few(p_value, reference.size, str(rule), "Train on more rows, or flag by top=.")
    for name, values in {"log_density": score, "p_value": p_value, "q_value": q_value, "anomaly": anomaly}.items():
        judged.iloc[at, judged.columns.get_loc(name)] = values
    if anomaly.any():
        reasons = explain_anomalies(tree, rows[anomaly])
        for name in ("component", "reason"):
            judged.iloc[at[anomaly], judged.columns.get_loc(name)] = reasons[name].values
    return judged


def _scored(tree: "xr.DataTree", rows: "pd.DataFrame") -> "tuple[Array, Array]":
    """Compute log densities (N,), and p-values (N,) from held-out rows if the fit stores them, else from the model."""
    reference = reference_of(tree)
    if reference is not None:
        score = mean_log_density(tree, rows)
        return score, rank_p_values(score, reference)
    score, log_p = _model_p_values(tree, rows)
    p_value = null_of(tree).p_values(log_p)
    if background_of(tree) is None and has_few_points(tree):
        _compare_new(tree, rows, score, p_value)
    return score, p_value


def _compare_new(tree: "xr.DataTree", rows: "pd.DataFrame", score: "Array", p_value: "Array") -> None:
    """Replace the p-values of rows that are not among the fitted ones: these are few, and become reference points.

    By simulated points, p-values of new rows would be too small. A fit with a background expects anomalies among its
    rows, which are then no reference.
    """
    points = points_for(tree, rows)
    new = np.setdiff1d(np.arange(len(rows)), rows_among(points, observed(tree)))
    fitted = left_out(tree, DRAWS, is_wanted=False) if new.size else None
    if fitted is not None:
        p_value[new] = conformal_p_values(fitted, points.values[new], score[new], expected_of(tree), progress=False)


def _model_p_values(tree: "xr.DataTree", rows: "pd.DataFrame") -> "tuple[Array, Array]":
    """Compute log densities (N,) and log p-values (N,) from points simulated from the fit."""
    score = mean_log_density(tree, rows)
    return score, log_p_values(score, expected_of(tree))
