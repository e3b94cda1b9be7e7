"""Clusters of a table: choose a mixture, fit it, merge overlapping components, and report the result."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bayesgmm.apps.tables.columns import UsableTable, beside, require_rows, usable_table
from bayesgmm.apps.tables.profiles import distinguishing_columns, profiles
from bayesgmm.apps.tables.scales import Scales, scales_of
from bayesgmm.apps.tables.selection_section import selection_section
from bayesgmm.apps.tables.table_section import table_section
from bayesgmm.clusterings.merging import merge_components
from bayesgmm.clusterings.partitions import partition
from bayesgmm.data.points import DataLike
from bayesgmm.declared import whole
from bayesgmm.errors import DataError, DeclarationError
from bayesgmm.families.structures import COVARIANCES
from bayesgmm.files import in_place_of, made_folder, write_csv, write_picture
from bayesgmm.inference import fit
from bayesgmm.model import MixtureModel
from bayesgmm.model_selection.selection import select
from bayesgmm.model_selection.transform_choice import AUTO, NONE, Transform
from bayesgmm.posterior import schema
from bayesgmm.posterior.info import declaration
from bayesgmm.reading.settings import Source
from bayesgmm.screening.results import DataCheck
from bayesgmm.wording import listing, plural

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from matplotlib.figure import Figure

COMPONENTS = tuple(range(1, 10))
FAMILIES = ("full", "tied", "diag")  # the result does not depend on the columns' units
MIN_ROWS = 20
ROWS_EACH = 5  # minimum number of rows per component
MAX_NUTS_WORK = 2_000_000  # rows times components times squared columns; beyond, NUTS takes minutes
MAX_COORDINATES = 200  # of NUTS
UNCERTAIN = 0.25  # uncertainty of a row from which its cluster is called uncertain
FILES = (
    "clusters.csv",
    "profiles.csv",
    "choices.csv",
    "summary.txt",
    "fit.nc",
    "report.html",
    "clusters.png",
    "choices.png",
)


@dataclass(frozen=True)
class Clusters:
    """Clusters of a table, as ``cluster_table`` returns them.

    Parameters
    ----------
    rows : DataFrame
        One row for each row of the table: ``cluster``, where 0 is the largest, and ``expected_distance``, the expected
        Jaccard distance, between 0 and 1, of the row's cluster from its cluster in a posterior draw. Both are missing
        for rows with missing values.
    profiles : DataFrame
        Location and spread of each column in each cluster, in data units.
    fit : DataTree
    partition, merged : Dataset
        Results of ``partition`` and ``merge_components``, the latter at the chosen number of clusters.
    choices : DataFrame
        Models that were compared, as ``select`` returns them.
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

    rows: "pd.DataFrame"
    profiles: "pd.DataFrame"
    fit: "xr.DataTree"
    partition: "xr.Dataset"
    merged: "xr.Dataset"
    choices: "pd.DataFrame"
    table: UsableTable
    scales: Scales

    @property
    def uncertain_rows(self) -> "pd.DataFrame":
        """Rows of the table with an expected distance of 0.25 or more, the most uncertain first."""
        far = self.rows["expected_distance"].to_numpy(np.float64) >= UNCERTAIN
        order = np.argsort(-self.rows["expected_distance"].to_numpy(np.float64)[far], kind="stable")
        return self.with_table().iloc[np.flatnonzero(far)[order]]

    def with_table(self) -> "pd.DataFrame":
        """Table with ``cluster`` and ``expected_distance``, under longer names if it has such columns."""
        return beside(self.table.written, self.rows)

    def words(self) -> list[str]:
        """Describe the analysis and the clusters: a list of sentences."""
        best, model = self.choices.iloc[0], declaration(self.fit)
        k, n_clusters = model.n_components, self.partition.attrs["n_clusters"]
        lines = self.table.words()
        lines.append(f"columns used: {listing(self.table.columns)}")
        lines += self.scales.words()
        lines.append(
            "the spread of each column is estimated, so the result does not depend on the units"
            if model.covariance != "spherical"
            else "columns keep their units: a spherical covariance has the same spread in all of them, so columns with "
            "large values dominate"
        )
        lines.append(
            f"{plural(k, 'component')} with covariance {model.covariance!r}: the lowest BIC ({best['bic']:.1f}) of "
            f"{len(self.choices)} models{_next(self.choices)}"
            if len(self.choices) > 1
            else f"{plural(k, 'component')} with covariance {model.covariance!r}, as requested"
        )
        merged = int(self.merged["n_clusters"])
        if merged < k:
            lines.append(
                f"ICL, which selects separated clusters, is lowest for {plural(merged, 'component')}: the {k} "
                f"components were merged into {merged}, the most overlapping first, so a cluster need not be Gaussian"
            )
        lines.append(
            f"{plural(n_clusters, 'cluster')} in the partition with the lowest expected loss (variation of information)"
        )
        for cluster, size in enumerate(self.partition["size"].values):
            lines.append(
                f"cluster {cluster}: {plural(int(size), 'row')}, {distinguishing_columns(self.profiles, cluster)}"
            )
        uncertain = len(self.uncertain_rows)
        verb = "has" if uncertain == 1 else "have"
        lines.append(
            f"{plural(uncertain, 'row')} {verb} an uncertain cluster (expected distance of {UNCERTAIN:g} or more)"
        )
        return lines

    def save(self, folder: str | Path, progress: bool = True) -> list[Path]:
        """Write tables, a summary, the fit, a report and figures into a folder; return the paths.

        Parameters
        ----------
        folder : str or Path
            Created if it does not exist.
        progress : bool
            Show a progress bar after two seconds.

        Raises
        ------
        FitFileError
            If the folder can't be written.
        """
        from bayesgmm import plots
        from bayesgmm.reports import report

        folder = made_folder(folder, FILES)
        write_csv(self.with_table(), folder / "clusters.csv", index=False)
        write_csv(self.profiles, folder / "profiles.csv")
        write_csv(self.choices, folder / "choices.csv", index=False)
        with in_place_of(folder / "summary.txt") as partial:
            partial.write_text("\n".join(self.words()) + "\n", encoding="utf-8")
        schema.save(self.fit, folder / "fit.nc")
        title = f"{plural(self.partition.attrs['n_clusters'], 'cluster')} in {plural(len(self.table.rows), 'row')}"
        opening = [selection_section(self.words(), self.choices)]
        if self.table.check is not None:
            opening.append(table_section(self.table.check))
        report(self.fit, folder / "report.html", title=title, opening=opening, progress=progress)
        _draw(plots.partition(self.fit, self.partition), folder / "clusters.png")
        _draw(plots.selection(self.choices), folder / "choices.png")
        return [folder / name for name in FILES]


def _draw(figure: "Figure", path: Path) -> None:
    import matplotlib.pyplot as plt

    write_picture(figure, path)
    plt.close(figure)


def _next(choices: "pd.DataFrame") -> str:
    """Describe the second best model and its difference in BIC."""
    second = choices.iloc[1]
    if not np.isfinite(second["bic"]):
        return ""
    gap = second["bic"] - choices.iloc[0]["bic"]
    return f"; next, {gap:.1f} higher: {plural(int(second['n_components']), 'component')}, {second['covariance']!r}"


def cluster_table(
    data: DataLike | Source | DataCheck,
    *,
    columns: Sequence[str] | None = None,
    drop: str | Iterable[str] = (),
    id: str | Iterable[str] = (),  # noqa: A002
    keep: str | Iterable[str] = (),
    na: str | float | Sequence[str | float] | None = None,
    n_components: int | Iterable[int] = COMPONENTS,
    covariance: str | Sequence[str] = FAMILIES,
    transform: Transform = AUTO,
    method: str | None = None,
    seed: int = 0,
    progress: bool = True,
) -> Clusters:
    """Find the clusters of a table.

    Skewed and heavy-tailed columns are fitted on another scale where there is evidence for it (see
    ``choose_transforms``), and coarsely rounded values as random values within the rounding.

    The number of Gaussian components and the covariance family are chosen by BIC, with EM [1]_. The chosen mixture is
    fitted with full posterior uncertainty. A cluster need not be Gaussian, so overlapping components are merged, the
    most overlapping first, down to the number of clusters with the lowest ICL [2]_. The result is the partition with
    the lowest expected loss over the posterior.

    Parameters
    ----------
    data : DataFrame, (N, D) array, path, TableFile or DataCheck
        Table. Columns that are no measurements are left out (see ``data_check``), and so are rows with missing values;
        ``words()`` lists them.
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
        If the table has fewer than 20 complete rows or no more than columns, a named column can't be used, or no model
        can be fitted.
    DeclarationError
        If ``n_components`` is empty, or a setting is invalid.

    References
    ----------
    .. [1] Fraley & Raftery (2002), J. Am. Stat. Assoc. 97(458), 611-631.
    .. [2] Baudry, Raftery, Celeux, Lo & Gottardo (2010), J. Comput. Graph. Stat. 19(2), 332-353.

    Examples
    --------
    >>> x = np.append(np.arange(41.0), np.arange(100.0, 140.0))
    >>> cluster_table(x[:, None], n_components=[1, 2], covariance="tied", method="vb", progress=False).words()[-3:-1]
    ['cluster 0: 41 rows, low x0 (20)', 'cluster 1: 40 rows, high x0 (119.5)']
    """
    table = usable_table(data, columns, drop=drop, id=id, keep=keep, na=na)
    rows = table.rows
    if len(rows) < MIN_ROWS:
        raise DataError(
            f"{plural(len(rows), 'row')} without missing values: too few to find clusters; give at least {MIN_ROWS}"
        )
    require_rows(table, [covariance] if isinstance(covariance, str) else covariance)
    counts = [n_components] if not isinstance(n_components, Iterable) else [*n_components]
    counts = [whole("n_components", k) for k in counts]
    if not counts:
        raise DeclarationError("n_components=[]: give at least one number of components")
    possible = [k for k in counts if k * ROWS_EACH <= len(rows)] or counts[:1]
    scales = scales_of(rows, transform, covariance, seed)
    chosen = scales.transform or NONE
    choices = select(scales.rows, possible, covariance, transform=chosen, seed=seed, progress=progress)
    if not np.isfinite(choices["bic"].iloc[0]):
        raise DataError(f"no model could be fitted: {choices['problem'].iloc[0]}")
    best = MixtureModel(int(choices["n_components"].iloc[0]), str(choices["covariance"].iloc[0]))
    engine = method or default_method(best, rows.shape)
    tree = fit(best, scales.rows, engine, transform=scales.transform, seed=seed, progress=progress)
    merged = merge_components(tree)
    merged = merged.sel(n_clusters=min(_n_separated(choices), merged.sizes["n_clusters"]))
    best_partition = partition(tree, merge=merged, seed=seed, progress=progress)
    profile = profiles(rows, best_partition["label"].values)
    return Clusters(_labelled(table, best_partition), profile, tree, best_partition, merged, choices, table, scales)


def default_method(model: MixtureModel, shape: tuple[int, int]) -> str:
    """Choose NUTS, or variational Bayes where NUTS would take minutes.

    Examples
    --------
    >>> default_method(MixtureModel(3), (150, 4)), default_method(MixtureModel(3), (1_000_000, 4))
    ('nuts', 'vb')
    """
    (n, d), k = shape, model.n_components
    coordinates = k * (1 + d) + COVARIANCES[model.covariance].size(k, d)
    return "nuts" if n * k * d * d < MAX_NUTS_WORK and coordinates < MAX_COORDINATES else "vb"


def _n_separated(choices: "pd.DataFrame") -> int:
    """Number of components with the lowest ICL."""
    return int(choices["n_components"].iloc[int(np.nanargmin(choices["icl"].to_numpy(np.float64)))])


def _labelled(table: UsableTable, partition: "xr.Dataset") -> "pd.DataFrame":
    import pandas as pd

    rows = pd.DataFrame({"cluster": pd.NA, "expected_distance": np.nan}, index=table.frame.index)
    rows["cluster"] = rows["cluster"].astype("Int64")
    at = np.flatnonzero(table.complete)
    rows.iloc[at, 0] = partition["label"].values
    rows.iloc[at, 1] = partition["expected_distance"].values
    return rows
