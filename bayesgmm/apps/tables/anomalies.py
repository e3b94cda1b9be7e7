"""Anomalies in tables: fit a mixture, flag rows with small p-values, and give reasons."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from bayesgmm.apps.tables.columns import as_frame, usable_table
from bayesgmm.apps.tables.detectors import Detector, fit_detector
from bayesgmm.apps.tables.flagging import Rule
from bayesgmm.apps.tables.judging import Anomalies, judge, judged_table, usable_table_for
from bayesgmm.apps.tables.model_choice import COMPONENTS
from bayesgmm.data.containers import named_frame
from bayesgmm.data.numbers import as_matrix
from bayesgmm.data.points import DataLike
from bayesgmm.keywords import checks_keywords
from bayesgmm.model_selection.transform_choice import AUTO, Transform
from bayesgmm.priors.backgrounds import Background
from bayesgmm.reading.settings import Source, is_source
from bayesgmm.screening.results import DataCheck

__all__ = ["Anomalies", "find_anomalies", "judge"]


@checks_keywords
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
    contamination: float | None = None,
    n_components: int | Iterable[int] | str = COMPONENTS,
    covariance: str = "tied",
    transform: Transform = AUTO,
    background: Background | None = None,
    method: str = "vb",
    time: str | None = None,
    seed: int = 0,
    progress: bool = True,
) -> Anomalies:
    """Find anomalous rows of a table, and explain each.

    Skewed and heavy-tailed columns are fitted on the scale with the lowest BIC (see ``choose_transforms``), repeated,
    rounded values as random values within the rounding. Scores are log densities of the transformed columns.

    The number of components is chosen by held-out evaluation: each model, with and without a background, is fitted to
    half of the rows, and its error is the fraction of pairs of a held-out row and an artificial point in which the
    artificial point has the higher density. One Gaussian is kept unless a larger model reduces this error by a fifth
    and by two standard errors; then the simplest model is used that is not significantly worse than the best, or a
    larger one of these that describes held-out rows better. A background is included if it reduces the error by 0.01,
    or if a component would hold no more rows than there are columns: these may be anomalies. The default covariance is
    shared by all components, so that no component can shrink around a few anomalies.

    The score of a row is its lowest log density under this mixture and, if several numbers of components are tried,
    under tied mixtures with 1, 2, 4, 10 and 20 components, without those that have too many for the rows. Rows with
    p-values below 0.01 / N are left out of another fit, so that they do not bend the model: of tables without anomalies
    at most about one in a hundred loses a row. Their own p-values come from that fit.

    Rows of ``data`` get p-values from the fitted model. They are corrected upwards if the central half of the rows
    shows that the model does not fit. Rows of ``new`` are compared with held-out rows instead: half of ``data`` is
    held out, and p-values of new rows from the same distribution are then valid for any model.

    Parameters
    ----------
    data : DataFrame, (N, D) array, path, TableFile or DataCheck
        Table. Columns that are no measurements are left out (see ``data_check``). A row with missing values is used by
        what is observed of it: its log density is that of a complete row which is as improbable.
    new : DataFrame, (M, D) array, path or TableFile, optional
        Rows to judge instead of those of ``data``, which are then assumed to be good.
    columns : sequence of str, optional
        Columns to use; default all measurements.
    drop, id, keep : str or iterable of str
        Columns to leave out, that identify the rows, and to use although they look like no measurements, as in
        ``data_check``.
    na : str, float, or sequence of them, optional
        Values that stand for missing ones; default: numbers such as -999 are looked for, as in ``data_check``.
    fdr, alpha, top, contamination : float, float, int, float, optional
        Which rows to flag, one of the four: by false discovery rate (default 0.05), by p-value, by number,
        or by share of the rows.
    n_components : int or iterable of int
        Numbers of components to try.
    covariance : str
        Covariance family. 'vb' takes 'full', 'tied', 'diag', 'spherical', 'EII' and 'EEI'; for the others, such as
        'factors:2', give another ``method``, such as 'em'.
    transform : {'auto', 'none', 'log', 'power', 'arcsinh'} or ColumnTransforms
        Transform of the columns, as in ``choose_transforms``; by default each is chosen by evidence.
    background : Background, optional
        Broad component for outliers in ``data``. By default ``Background(share=0.05)`` is tried, and used if it helps.
    method : str
        Inference method for the chosen mixture, as in ``fit``.
    time : str, optional
        Column by which the rows are ordered, for ``events``; default the column of dates, if there is one.
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
        If more than one of ``fdr``, ``alpha``, ``top`` and ``contamination`` is given, a setting is invalid, or the
        method can't fit the covariances.

    Warns
    -----
    FitWarning
        If there are too few held-out rows to flag any of ``new``, the rows have heavier tails than the model, so that
        the false discovery rate may not hold, or the fit itself warns.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.append(np.random.default_rng(0).normal(size=99), 40.0)
    >>> find_anomalies(x[:, None], n_components=1, progress=False).flagged["reason"].item()[:6]
    'x0 40 '
    """
    Rule.of(fdr, alpha, top, contamination)  # check the settings before the fit
    detector = fit_detector(
        usable_table(data, columns, drop=drop, id=id, keep=keep, na=na),
        calibrated=new is not None,
        n_components=n_components,
        covariance=covariance,
        transform=transform,
        background=background,
        method=method,
        time=time,
        seed=seed,
        progress=progress,
    )
    if new is None:
        return detector.judge(fdr=fdr, alpha=alpha, top=top, contamination=contamination)
    table = usable_table_for(detector.fit, _by_position(new, detector))
    return replace(judged_table(detector.fit, table, Rule.of(fdr, alpha, top, contamination)), tried=detector.tried)


def _by_position(new: DataLike | Source, detector: "Detector") -> DataLike | Source:
    """Give an array with the columns of the training table their names; columns that are not used are then dropped."""
    if is_source(new):
        return new
    names = [*detector.table.frame.columns]
    if named_frame(new) is not None or as_matrix(new).shape[1] != len(names):
        return new
    return as_frame(new, names)
