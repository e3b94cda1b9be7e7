"""From a table to clusters: how many, which rows, what they are like, how sure that is."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesgmm.apps.tables.columns import Usable, beside, usable
from bayesgmm.apps.tables.evidence import evidence
from bayesgmm.apps.tables.profiles import profiles, set_apart
from bayesgmm.clusterings.merging import merge_components
from bayesgmm.clusterings.partitions import partition
from bayesgmm.data.points import listing
from bayesgmm.declared import whole
from bayesgmm.errors import DataError, DeclarationError
from bayesgmm.families.structures import COVARIANCES
from bayesgmm.files import made_folder
from bayesgmm.inference import fit
from bayesgmm.model import MixtureModel
from bayesgmm.model_selection.selection import select
from bayesgmm.posterior import schema
from bayesgmm.wording import plural

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from matplotlib.figure import Figure

COMPONENTS = tuple(range(1, 10))
FAMILIES = ("full", "tied", "diag")  # what does not depend on the columns' units
LEAST_ROWS = 20
ROWS_EACH = 5  # rows a component
WORTH_SAMPLING = 2_000_000  # rows times components times squared columns from which NUTS would take minutes
MOST_COORDINATES = 200
UNCERTAIN = 0.25  # expected distance from which a row's cluster is uncertain
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
    """What ``cluster_table`` found.

    Parameters
    ----------
    rows : DataFrame
        A row for each of the table: ``cluster``, the largest first, and ``expected_distance``, the posterior mean
        of the Jaccard distance between the row's cluster here and in a draw (see ``partition``). Both are
        missing where the table lacks a value.
    profiles : DataFrame
        As ``apps.profiles.profiles`` returns it.
    fit : DataTree
    partition, merged : Dataset
        As ``partition`` and ``merge_components`` return them, the latter at the number of clusters that was chosen.
    choices : DataFrame
        As ``select`` returns it.
    table : Usable
    """

    rows: "pd.DataFrame"
    profiles: "pd.DataFrame"
    fit: "xr.DataTree"
    partition: "xr.Dataset"
    merged: "xr.Dataset"
    choices: "pd.DataFrame"
    table: Usable

    @property
    def in_doubt(self) -> "pd.DataFrame":
        """Rows whose cluster is uncertain: an expected distance of 0.25 or more, the most uncertain first."""
        far = self.rows["expected_distance"].to_numpy(np.float64) >= UNCERTAIN
        order = np.argsort(-self.rows["expected_distance"].to_numpy(np.float64)[far], kind="stable")
        return self.with_table().iloc[np.flatnonzero(far)[order]]

    def with_table(self) -> "pd.DataFrame":
        """The table with columns ``cluster`` and ``expected_distance``; renamed where the table has those."""
        return beside(self.table.frame, self.rows)

    def words(self) -> list[str]:
        """How it came about and what there is, a sentence a line."""
        best, model = self.choices.iloc[0], schema.declaration(self.fit)
        k, found = model.n_components, self.partition.attrs["n_clusters"]
        said = self.table.words()
        said.append(f"columns that are used: {listing(self.table.columns)}")
        said.append(
            "columns keep their units: how widely each spreads is learned, so that none counts for more than another "
            "because of its unit"
            if model.covariance != "spherical"
            else "columns keep their units, and a spherical covariance spreads alike in all: what is large in number "
            "counts for most"
        )
        said.append(
            f"{plural(k, 'component')} of covariance {model.covariance!r}: the lowest BIC ({best['bic']:.1f}) of "
            f"{len(self.choices)} choices{_next(self.choices)}"
            if len(self.choices) > 1
            else f"{plural(k, 'component')} of covariance {model.covariance!r}, as was asked"
        )
        merged = int(self.merged["n_clusters"])
        if merged < k:
            said.append(
                f"ICL, which wants clusters that are apart, has its lowest value at {plural(merged, 'component')}: the "
                f"{k} were merged into {merged}, those first that overlap most, so that a cluster need not be Gaussian"
            )
        said.append(f"{plural(found, 'cluster')} in the clustering of least expected loss (variation of information)")
        for cluster, size in enumerate(self.partition["size"].values):
            said.append(f"cluster {cluster}: {plural(int(size), 'row')}, {set_apart(self.profiles, cluster)}")
        doubtful = len(self.in_doubt)
        verb = "is" if doubtful == 1 else "are"
        said.append(f"{plural(doubtful, 'row')} {verb} uncertain: an expected distance of {UNCERTAIN} or more")
        return said

    def save(self, folder: str | Path, progress: bool = True) -> list[Path]:
        """Write all of it: tables, words, the fit, a report and pictures.

        Raises
        ------
        FitFileError
            When the folder can't be written.
        """
        from bayesgmm import plots
        from bayesgmm.reports import report

        folder = made_folder(folder, FILES)
        self.with_table().to_csv(folder / "clusters.csv", index=False)
        self.profiles.to_csv(folder / "profiles.csv")
        self.choices.to_csv(folder / "choices.csv", index=False)
        (folder / "summary.txt").write_text("\n".join(self.words()) + "\n", encoding="utf-8")
        schema.save(self.fit, folder / "fit.nc")
        title = f"{plural(self.partition.attrs['n_clusters'], 'cluster')} in {plural(len(self.table.rows), 'row')}"
        opening = [evidence(self.words(), self.choices)]
        report(self.fit, folder / "report.html", title=title, opening=opening, progress=progress)
        _draw(plots.partition(self.fit, self.partition), folder / "clusters.png")
        _draw(plots.selection(self.choices), folder / "choices.png")
        return [folder / name for name in FILES]


def _draw(figure: "Figure", path: Path) -> None:
    import matplotlib.pyplot as plt

    figure.savefig(path, dpi=150)
    plt.close(figure)


def _next(choices: "pd.DataFrame") -> str:
    """How far the next choice is behind."""
    second = choices.iloc[1]
    if not np.isfinite(second["bic"]):
        return ""
    gap = second["bic"] - choices.iloc[0]["bic"]
    return f"; next, by {gap:.1f}: {plural(int(second['n_components']), 'component')}, {second['covariance']!r}"


def cluster_table(
    data: Any,
    *,
    columns: Sequence[str] | None = None,
    n_components: int | Iterable[int] = COMPONENTS,
    covariance: str | Sequence[str] = FAMILIES,
    method: str | None = None,
    seed: int = 0,
    progress: bool = True,
) -> Clusters:
    """Find the clusters of a table: choose, fit, merge what overlaps, and take the best partition.

    The number of components is that of the lowest BIC, by EM: how many Gaussians the density takes. They are fitted
    with all their uncertainty, and merged, those first that overlap most, into as many clusters as ICL says are apart
    [2]_, because a cluster need not be Gaussian. The partition is the one of least expected loss over the posterior.

    Parameters
    ----------
    data : DataFrame or (N, D) array
        A table; text, constant columns and classes are left out, and rows with missing values. ``words()`` says which.
    columns : sequence of str, optional
        Columns to use.
    n_components : int or iterable of int
        Numbers of components to try.
    covariance : str or sequence of str
        Families to try.
    method : str, optional
        What the chosen mixture is fitted by; ``'nuts'`` unless told, or ``'vb'`` where that would take minutes.
    seed : int
        The same seed gives the same clusters.
    progress : bool

    Returns
    -------
    Clusters

    Raises
    ------
    DataError, DeclarationError

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
    table = usable(data, columns)
    rows = table.rows
    if len(rows) < LEAST_ROWS:
        raise DataError(f"{plural(len(rows), 'row')} without missing values: too few to look for clusters; give 20")
    counts = [n_components] if not isinstance(n_components, Iterable) else [*n_components]
    counts = [whole("n_components", k) for k in counts]
    if not counts:
        raise DeclarationError("n_components=[]: give at least one number of components")
    able = [k for k in counts if k * ROWS_EACH <= len(rows)] or counts[:1]
    choices = select(rows, able, covariance, seed=seed, progress=progress)
    if not np.isfinite(choices["bic"].iloc[0]):
        raise DataError(f"no choice could be fitted: {choices['problem'].iloc[0]}")
    best = MixtureModel(int(choices["n_components"].iloc[0]), str(choices["covariance"].iloc[0]))
    tree = fit(best, rows, method or quick_enough(best, rows.shape), seed=seed, progress=progress)
    merged = merge_components(tree)
    merged = merged.sel(n_clusters=min(_apart(choices), merged.sizes["n_clusters"]))
    found = partition(tree, merge=merged, seed=seed, progress=progress)
    return Clusters(_labelled(table, found), profiles(rows, found["label"].values), tree, found, merged, choices, table)


def quick_enough(model: MixtureModel, shape: tuple[int, int]) -> str:
    """NUTS, or variational Bayes where NUTS would take minutes.

    Examples
    --------
    >>> quick_enough(MixtureModel(3), (150, 4)), quick_enough(MixtureModel(3), (1_000_000, 4))
    ('nuts', 'vb')
    """
    (n, d), k = shape, model.n_components
    coordinates = k * (1 + d) + COVARIANCES[model.covariance].size(k, d)
    return "nuts" if n * k * d * d < WORTH_SAMPLING and coordinates < MOST_COORDINATES else "vb"


def _apart(choices: "pd.DataFrame") -> int:
    """How many clusters are apart, by ICL."""
    return int(choices["n_components"].iloc[int(np.nanargmin(choices["icl"].to_numpy(np.float64)))])


def _labelled(table: Usable, found: "xr.Dataset") -> "pd.DataFrame":
    import pandas as pd

    rows = pd.DataFrame({"cluster": pd.NA, "expected_distance": np.nan}, index=table.frame.index)
    rows["cluster"] = rows["cluster"].astype("Int64")
    at = np.flatnonzero(table.complete)
    rows.iloc[at, 0] = found["label"].values
    rows.iloc[at, 1] = found["expected_distance"].values
    return rows
