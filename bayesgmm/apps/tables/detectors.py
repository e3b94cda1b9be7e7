"""Anomaly detectors of tables: a mixture that is chosen and fitted, before rows are flagged."""

import warnings
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesgmm.apps.tables.columns import UsableTable, require_rows
from bayesgmm.apps.tables.empirical_nulls import heavy_tail
from bayesgmm.apps.tables.events import time_column
from bayesgmm.apps.tables.flagging import Rule
from bayesgmm.apps.tables.judging import Anomalies, judge_rows, model_p_values
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
    mixtures_of,
    null_of,
    reference_of,
    with_expected,
    with_mixtures,
    with_null,
    with_reference,
)
from bayesgmm.apps.tables.scales import Scales, holding, scales_again, scales_of
from bayesgmm.data.points import as_points
from bayesgmm.declared import whole_numbers
from bayesgmm.engines import engine_named
from bayesgmm.errors import DataError, FitWarning, warn
from bayesgmm.estimators.structures import COUNTS, fit_structures, with_shape
from bayesgmm.inference import fit
from bayesgmm.model import MixtureModel
from bayesgmm.model_selection.transform_choice import AUTO, FAMILIES, Transform
from bayesgmm.posterior.contamination import background as background_of
from bayesgmm.posterior.info import info
from bayesgmm.posterior.missing_codes import with_missing_codes
from bayesgmm.posterior.schema import observed
from bayesgmm.priors.backgrounds import Background
from bayesgmm.screening.dependence import numbers_of
from bayesgmm.wording import plural

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from numpy.typing import NDArray

    from bayesgmm.sweep.stats import Array

ABSURD = 30.0  # robust standard deviations from which a value is left out of the first fit
ABSURD_SCALED = 15.0  # the same on the scales of the fit
MAX_ABSURD = 0.05  # share of the rows
RANGE_OF_SD = 3.29  # distance of the quantiles at 5 and 95 % of a Gaussian, in standard deviations
MAX_ROUNDS = 3  # fits, each without the likely anomalies of the one before
LOST = 0.01  # probability that a fit leaves out a row of a table without anomalies whose model is right
MAX_TRIMMED = 0.2  # share of the rows
MIN_HELD_OUT = 50  # rows; half of them are held out for calibration
ROWS_EACH = 10  # minimum number of rows per component


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
    time : str, optional
        Column by which the rows are ordered.
    """

    fit: "xr.DataTree"
    table: UsableTable
    tried: list[Candidate]
    scales: Scales
    time: str | None = None

    @property
    def choices(self) -> "pd.DataFrame":
        """The models that were compared: columns ``n_components``, ``background``, ``error``."""
        import pandas as pd

        rows = [(c.model.n_components, c.model.background is not None, c.error) for c in self.tried]
        return pd.DataFrame(rows, columns=["n_components", "background", "error"])

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
        if (mixtures := mixtures_of(self.fit)) is not None:
            *others, most = mixtures.counts
            counts = f"{', '.join(map(str, others))} and {most} components" if others else plural(most, "component")
            left = [str(count) for count in COUNTS if count > most]
            lines.append(
                f"the score of a row is its lowest density under this mixture and under tied mixtures with {counts}"
                + (f" ({' and '.join(left)} would be too many for the rows)" if left else "")
            )
        left_out = len(self.table.rows) - len(observed(self.fit).values)
        if left_out and reference_of(self.fit) is None:
            lines.append(f"{plural(left_out, 'row was', 'rows were')} left out of the last fit, as likely anomalies")
        return lines

    def judge(
        self,
        *,
        fdr: float | None = None,
        alpha: float | None = None,
        top: int | None = None,
        contamination: float | None = None,
    ) -> Anomalies:
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
        rule = Rule.of(fdr, alpha, top, contamination)
        rows = judge_rows(self.fit, self.table, rule, is_own=True)
        if rule.fdr is not None and rows["anomaly"].any() and reference_of(self.fit) is None:
            warn(filter(None, [heavy_tail(rows["p_value"].dropna().to_numpy(), null_of(self.fit))]))
        return Anomalies(rows, self.fit, self.table, rule, self.tried, self.time, self.words())


def fit_detector(
    table: UsableTable,
    *,
    calibrated: bool = False,
    n_components: int | Iterable[int] | str = COMPONENTS,
    covariance: str = "tied",
    transform: Transform = AUTO,
    background: Background | None = None,
    method: str = "vb",
    time: str | None = None,
    seed: int = 0,
    progress: bool = True,
) -> Detector:
    """Choose and fit the mixture of ``find_anomalies``.

    Parameters
    ----------
    table : UsableTable
    calibrated : bool
        Hold out half of the rows; p-values of new rows are computed from these.
    n_components, covariance, transform, background, method, time, seed, progress
        As in ``find_anomalies``.

    Raises
    ------
    DataError
        If there are no more rows than columns, or ``calibrated`` and fewer than 50 rows.
    DeclarationError
        If a setting is invalid, or the method can't fit the covariances.
    """
    engine_named(method).require(MixtureModel(1, covariance, background=background))  # before the choice, which is long
    rows, ordered_by = table.rows, time_column(table, time)
    if calibrated and len(rows) < MIN_HELD_OUT:
        raise DataError(
            f"{len(rows)} rows are too few to judge new rows: half of them are held out; give at least {MIN_HELD_OUT}"
        )
    require_rows(table, [covariance])
    counts = whole_numbers("n_components", n_components)
    counts = [k for k in counts if k == counts[0] or ROWS_EACH * k <= len(rows)]
    models = candidates(counts, covariance, [None, Background()] if background is None else [background])
    training = _Training(models, counts, transform, method, seed, progress)
    if calibrated:
        held_out = np.random.default_rng((seed, 12)).permutation(np.arange(len(rows)) % 2 == 1)
        fitted = training.fitted(rows[~held_out])  # the choice of the model must not use held-out rows either
        warn(info(fitted.tree).warnings)
        tree = with_missing_codes(with_reference(fitted.tree, rows[held_out]), table.codes)
        return Detector(tree, table, fitted.tried, fitted.scales, ordered_by)
    fitted = training.trimmed(rows)
    warn(info(fitted.tree).warnings)
    return Detector(with_missing_codes(fitted.tree, table.codes), table, fitted.tried, fitted.scales, ordered_by)


@dataclass(frozen=True)
class _Fitted:
    tree: "xr.DataTree"
    tried: list[Candidate]
    scales: Scales


@dataclass(frozen=True)
class _Training:
    """Choice and fit of the mixture of a detector."""

    models: list[MixtureModel]
    counts: list[int]
    transform: Transform
    method: str
    seed: int
    progress: bool

    @property
    def scaling(self) -> dict[str, Any]:
        """Settings of the choice of the columns' scales: tails matter more than plain units."""
        return {"transform": self.transform, "covariance": FAMILIES, "seed": self.seed, "min_gain": 0}

    def fitted(self, rows: "pd.DataFrame", scales: Scales | None = None, without_few: bool = False) -> _Fitted:
        """Choose transforms and the mixture, fit it to rows, and add the tied mixtures of the score."""
        settings: dict[str, Any] = {"seed": self.seed, "progress": self.progress}
        settings |= {"draws": DRAWS} if "draws" in engine_named(self.method).defaults else {}
        scales = scales or scales_of(rows, **self.scaling)
        settings["transform"] = scales.transform
        given = as_points(scales.rows, gaps=True)
        few = len(rows) < MIN_HELD_OUT or len(self.models) == 1
        tried = [] if few else evaluate_models(scales.fitted, self.models, self.seed, self.progress)
        model, points = choose_model(tried) if tried else self.models[0], as_points(scales.fitted, gaps=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FitWarning)  # other fits may follow; those of the last are issued
            tree = fit(with_shape(model, points), given, self.method, **settings)
            if without_few and tried and (other := without_small(model, tree, self.counts)):
                tree = fit(with_shape(other, points), given, self.method, **settings)
        if tried and len(self.counts) > 1:
            tree = with_mixtures(tree, fit_structures(points, self.seed))
        return _Fitted(tree, tried, scales)

    def trimmed(self, rows: "pd.DataFrame") -> _Fitted:
        """Fit rows, and again without those that are probably anomalies, so that these do not bend the model.

        Absurd values are left out of the first fit: priors get their scales from the rows that are fitted.

        References
        ----------
        .. [1] Hadi (1992), J. R. Stat. Soc. B 54(3), 761-771.
        """
        kept = ~absurd(numbers_of(rows), ABSURD)
        scales = scales_of(rows[kept], **self.scaling)
        if (more := absurd(numbers_of(scales.fitted), ABSURD_SCALED)).any():
            kept[kept] = ~more
            scales = scales_of(rows[kept], **self.scaling)
        first, usual = scales.transform, kept.copy()
        for number in range(MAX_ROUNDS):
            if number:
                scales = scales_again(rows[usual | kept], kept[usual | kept], first, **self.scaling)
            fitted = self.fitted(rows[kept], scales, without_few=True)
            tree = holding(fitted.tree, rows[kept]) if fitted.scales.spread_out else fitted.tree
            tree = with_expected(tree)
            log_p = model_p_values(tree, rows)[1]
            tree = with_null(tree, log_p)
            # a heavier tail may be that of anomalies, which would bend the fit
            likely = null_of(tree).centred(log_p) <= np.log(LOST / len(rows))
            is_done = not (kept & likely).any() and (number > 0 or bool(likely[~kept].all()))
            if not fitted.tried or is_done or likely.mean() > MAX_TRIMMED:
                break
            kept = ~likely
        return replace(fitted, tree=tree)


def absurd(x: "Array", far: float) -> "NDArray[np.bool_]":
    """Rows (N,) of a few values that are very far from all others: more than ``far`` robust standard deviations.

    These are computed from the quantiles at 5 and 95 %. No row is absurd if more than 5 % would be.

    Examples
    --------
    >>> absurd(np.append(np.linspace(-1, 1, 99), 1e6)[:, None], 30.0).sum()
    np.int64(1)
    """
    low, middle, high = np.nanquantile(x, [0.05, 0.5, 0.95], axis=0)
    rows = ((np.abs(x - middle) > far * (high - low) / RANGE_OF_SD) & (high > low)).any(axis=1)
    return rows if rows.mean() <= MAX_ABSURD else np.zeros(len(x), bool)
