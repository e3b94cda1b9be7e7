"""Clusters of a table: choose a mixture, fit it, merge its components, and report the result."""

import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesgmm.apps.tables.cluster_files import write_clusters
from bayesgmm.apps.tables.cluster_words import all_words, answer_words, method_words, verdict_words
from bayesgmm.apps.tables.columns import UsableTable, require_rows, usable_table
from bayesgmm.apps.tables.found_clusters import FoundClusters
from bayesgmm.apps.tables.profiles import profiles
from bayesgmm.apps.tables.scales import Scales, scales_of
from bayesgmm.clusterings.merging import merge_components
from bayesgmm.clusterings.partitions import partition
from bayesgmm.data.points import DataLike, as_points
from bayesgmm.declared import whole_numbers
from bayesgmm.errors import DataError, FitWarning, warn
from bayesgmm.families.structures import families_named, family_named
from bayesgmm.inference import fit
from bayesgmm.keywords import checks_keywords
from bayesgmm.model import MixtureModel
from bayesgmm.model_selection.shortlists import shortlist
from bayesgmm.model_selection.transform_choice import AUTO, Transform
from bayesgmm.posterior.missing_codes import with_missing_codes
from bayesgmm.predictions.predictive import assignments
from bayesgmm.reading.settings import Source
from bayesgmm.screening.results import DataCheck
from bayesgmm.sweep.stats import Array
from bayesgmm.wording import plural

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

COMPONENTS = tuple(range(1, 10))
FAMILIES = ("full", "tied", "diag")  # the result does not depend on the columns' units
MIN_ROWS = 20
ROWS_EACH = 5  # minimum number of rows per component
MAX_NUTS_WORK = 2_000_000  # rows times components times squared columns; beyond, NUTS takes minutes
MAX_COORDINATES = 200  # of NUTS
MAX_EXTENDED = 150  # of chains of NUTS that are extended: with more, those that disagree stay apart, however long
MAX_LABELS = 20_000_000  # rows times posterior draws
MIN_DRAWS, MAX_DRAWS = 100, 1000  # posterior draws for mergers and the partition
RESTARTS = 4  # random starts of the search for the partition


@checks_keywords
@dataclass(frozen=True)
class Clusters(FoundClusters):
    """Clusters of a table, as ``cluster_table`` returns them.

    Parameters
    ----------
    rows : DataFrame
        One row for each row of the table: ``cluster``, where 0 is the largest, ``expected_distance``, the expected
        Jaccard distance, between 0 and 1, of the row's cluster from its cluster in a posterior draw, and ``component``,
        the most probable component. All are missing for rows without values.
    profiles : DataFrame
        Location and spread of each column in each cluster, in data units.
    fit : DataTree
    partition, merged : Dataset
        Results of ``partition`` and ``merge_components``, the latter at the chosen number of clusters; its attribute
        ``closest`` is the saddle between the two closest of them.
    choices : DataFrame
        Models that were compared, on the scales of the fit: as from ``select``, with ``search``, ``'thorough'`` or
        ``'brief'``.
    table : UsableTable
    scales : Scales
        The rows as they were fitted: transforms, and rounded values that were spread.

    Examples
    --------
    >>> x = np.append(np.arange(41.0), np.arange(100.0, 140.0))
    >>> found = cluster_table(x[:, None], n_components=2, covariance="tied", method="em", progress=False)
    >>> found.rows["cluster"].value_counts().tolist(), len(found.uncertain_rows)
    ([41, 40], 0)
    """

    @property
    def verdict(self) -> str:
        """Verdict of the checks of the fit, in one line."""
        return verdict_words(self.findings)

    def answer(self) -> list[str]:
        """Describe the clusters, their uncertainty, and the verdict of the checks: a list of sentences."""
        return answer_words(self)

    def method(self) -> list[str]:
        """Describe how the clusters were found: a list of sentences."""
        return method_words(self)

    def words(self) -> list[str]:
        """Describe the clusters, how they were found, and the table: a list of sentences."""
        return all_words(self)

    def save(self, folder: str | Path, progress: bool = True, *, wording: Callable[[str], str] = str) -> list[Path]:
        """Write tables, a summary, the fit, a report and figures into a folder; return the paths.

        Parameters
        ----------
        folder : str or Path
            Created if it does not exist.
        progress : bool
            Show a progress bar after two seconds.
        wording : callable
            Applied to each sentence of the summary and the report: the command writes arguments as its options.

        Raises
        ------
        FitFileError
            If the folder can't be written.
        """
        return write_clusters(self, Path(folder), progress, wording)


@checks_keywords
def cluster_table(
    data: DataLike | Source | DataCheck,
    *,
    columns: Sequence[str] | None = None,
    drop: str | Iterable[str] = (),
    id: str | Iterable[str] = (),  # noqa: A002
    keep: str | Iterable[str] = (),
    na: str | float | Sequence[str | float] | None = None,
    n_components: int | Iterable[int] | str = COMPONENTS,
    covariance: str | Sequence[str] = FAMILIES,
    transform: Transform = AUTO,
    method: str | None = None,
    seed: int = 0,
    progress: bool = True,
) -> Clusters:
    """Find the clusters of a table.

    Skewed and heavy-tailed columns are fitted on another scale where there is evidence for it (see
    ``choose_transforms``), and repeated, rounded values as random values within the rounding.

    The number of Gaussian components and the covariance family are chosen by BIC, with EM [1]_. The chosen mixture is
    fitted with full posterior uncertainty. A cluster need not be Gaussian, so components are merged unless the density
    has a valley between them, as ``merge_components`` does [2]_. The result is the partition with the lowest expected
    loss over the posterior. If there is no valley at all, the clusters are the components, which overlap.

    Parameters
    ----------
    data : DataFrame, (N, D) array, path, TableFile or DataCheck
        Table. Columns that are no measurements are left out (see ``data_check``); ``words()`` lists them. A row with
        missing values is used by what is observed of it; a row without values is left out.
    columns : sequence of str, optional
        Columns to use; default all measurements.
    drop, id, keep : str or iterable of str
        Columns to leave out, that identify the rows, and to use although they look like no measurements, as in
        ``data_check``.
    na : str, float, or sequence of them, optional
        Values that stand for missing ones; default: numbers such as -999 are looked for, as in ``data_check``.
    n_components : int or iterable of int
        Numbers of components to try.
    covariance : str or sequence of str
        Covariance families to try.
    transform : {'auto', 'none', 'log', 'power', 'arcsinh'} or ColumnTransforms
        Transform of the columns, as in ``choose_transforms``; by default each is chosen by evidence.
    method : str, optional
        Inference method for the chosen mixture; default ``'nuts'``, or ``'vb'`` where NUTS would take minutes.
    seed : int
        The same seed gives the same clusters.
    progress : bool

    Returns
    -------
    Clusters

    Raises
    ------
    DataError
        If the table has fewer than 20 rows or no more than columns, a named column can't be used, or no model
        can be fitted.
    DeclarationError
        If ``n_components`` is empty, or a setting is invalid.

    Warns
    -----
    FitWarning
        If the checks of the fit find a problem.

    References
    ----------
    .. [1] Fraley & Raftery (2002), J. Am. Stat. Assoc. 97(458), 611-631.
    .. [2] Hennig (2010), Adv. Data Anal. Classif. 4(1), 3-34.

    Examples
    --------
    >>> x = np.append(np.arange(41.0), np.arange(100.0, 140.0))
    >>> found = cluster_table(x[:, None], n_components=[1, 2], covariance="tied", method="vb", progress=False)
    >>> for line in found.words()[:3]:
    ...     print(line)
    2 clusters in 81 rows
    cluster 0 (low x0): 41 rows, low x0 (median 20)
    cluster 1 (high x0): 40 rows, high x0 (median 119.5)
    """
    table = usable_table(data, columns, drop=drop, id=id, keep=keep, na=na)
    rows = table.rows
    if len(rows) < MIN_ROWS:
        raise DataError(f"{plural(len(rows), 'row')} with values: too few to find clusters; give at least {MIN_ROWS}")
    families = families_named(covariance)
    require_rows(table, families)
    counts = whole_numbers("n_components", n_components)
    possible = [k for k in counts if k * ROWS_EACH <= len(rows)] or counts[:1]
    scales = scales_of(rows, transform, families, seed)
    choices = shortlist(scales.fitted, [*dict.fromkeys(possible)], families, seed=seed, progress=progress)
    if not np.isfinite(choices["bic"].iloc[0]):
        raise DataError(f"no model could be fitted: {choices['problem'].iloc[0]}")
    best = MixtureModel(int(choices["n_components"].iloc[0]), str(choices["covariance"].iloc[0]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)  # the verdict of the checks says it
        found = _found(table, scales, best, choices, method or default_method(best, rows.shape), seed, progress)
    if found.findings.worst == "problem":
        warn([found.verdict])
    return found


def _found(
    table: UsableTable,
    scales: Scales,
    model: MixtureModel,
    choices: "pd.DataFrame",
    method: str,
    seed: int,
    progress: bool,
) -> Clusters:
    """Fit the chosen model, merge its components, and find the partition."""
    rows = table.rows
    is_long = method == "nuts" and _coordinates(model, rows.shape[1]) > MAX_EXTENDED
    settings: dict[str, Any] = {"max_draws": 1} if is_long else {}  # 1: never extended
    settings |= {"transform": scales.transform, "seed": seed, "progress": progress}
    tree = fit(model, as_points(scales.rows, gaps=True), method, **settings)
    tree = with_missing_codes(tree, table.codes)
    draws = int(np.clip(MAX_LABELS // len(rows), MIN_DRAWS, MAX_DRAWS))
    merged = merge_components(tree, draws=draws)
    level = merged.attrs["n_clusters"] if merged.attrs["n_clusters"] > 1 else merged.sizes["n_clusters"]
    closest = float(merged["saddle"].sel(n_clusters=max(level - 1, 1)))
    merged = merged.sel(n_clusters=level).assign_attrs(closest=closest)
    best_partition = partition(tree, merge=merged, restarts=RESTARTS, draws=draws, seed=seed, progress=progress)
    component = assignments(tree, draws=draws)["label"].values
    profile = profiles(rows, best_partition["label"].values)
    labelled = _labelled(table, best_partition, component)
    return Clusters(labelled, profile, tree, best_partition, merged, choices, table, scales)


def default_method(model: MixtureModel, shape: tuple[int, int]) -> str:
    """Choose NUTS, or variational Bayes where NUTS would take minutes, or EM where there is nothing else.

    Examples
    --------
    >>> default_method(MixtureModel(3), (150, 4)), default_method(MixtureModel(3), (1_000_000, 4))
    ('nuts', 'vb')
    """
    (n, d), k = shape, model.n_components
    if model.family.chart is None:
        return "em"
    if n * k * d * d < MAX_NUTS_WORK and _coordinates(model, d) < MAX_COORDINATES:
        return "nuts"
    return "vb" if model.family.is_conjugate else "em"


def _coordinates(model: MixtureModel, d: int) -> int:
    """Return the number of coordinates of a mixture in d columns."""
    k = model.n_components
    return k * (1 + d) + family_named(model.covariance).size(k, d)


def _labelled(table: UsableTable, partition: "xr.Dataset", component: Array) -> "pd.DataFrame":
    import pandas as pd

    index = table.frame.index
    rows = pd.DataFrame({"cluster": pd.NA, "expected_distance": np.nan, "component": pd.NA}, index=index)
    rows = rows.astype({"cluster": "Int64", "component": "Int64"})
    at = np.flatnonzero(table.known)
    for j, values in enumerate((partition["label"].values, partition["expected_distance"].values, component)):
        rows.iloc[at, j] = values
    return rows
