"""The clusters of a table: what was fitted, and what follows for each cluster and row."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from bayesgmm.apps.tables.columns import UsableTable, beside, finite
from bayesgmm.apps.tables.cross_tables import cross_tables
from bayesgmm.apps.tables.profiles import names
from bayesgmm.apps.tables.scales import Scales
from bayesgmm.diagnosis import diagnose
from bayesgmm.findings import Findings
from bayesgmm.posterior.info import declaration
from bayesgmm.screening.dependence import numbers_of
from bayesgmm.sweep.stats import Array

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

UNCERTAIN = 0.25  # expected distance of a row from which its cluster is called uncertain
COMPARED = 2_000  # maximum number of rows for the silhouette


@dataclass(frozen=True)
class FoundClusters:
    """Clusters of a table, without words.

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
    def n_clusters(self) -> int:
        """Number of clusters."""
        return int(self.partition.attrs["n_clusters"])

    @property
    def is_separate(self) -> bool:
        """False if there is no valley between the components: the clusters are then the components, which overlap."""
        return self.merged.attrs["n_clusters"] > 1 or declaration(self.fit).n_components == 1

    @cached_property
    def names(self) -> list[str]:
        """Proposed name of each cluster, from the columns in which it differs most."""
        return names(self.profiles)

    @cached_property
    def overview(self) -> "pd.DataFrame":
        """One row per cluster: ``name``, ``size``, ``share`` of the rows, ``uncertain`` rows, mean
        ``expected_distance``, and mean ``silhouette`` of standardised columns [1]_ (of at most 2,000 rows
        without missing values).

        References
        ----------
        .. [1] Rousseeuw (1987), J. Comput. Appl. Math. 20, 53-65.
        """
        import pandas as pd

        label, distance = self.partition["label"].values, self.partition["expected_distance"].values
        table = pd.DataFrame({"cluster": label, "expected_distance": distance, "uncertain": distance >= UNCERTAIN})
        table["silhouette"] = self._silhouettes
        grouped = table.groupby("cluster")
        sizes = grouped.size()
        columns = {"name": self.names, "size": sizes, "share": sizes / len(label)}
        means = grouped[["expected_distance", "silhouette"]].mean()
        return pd.DataFrame(columns).assign(uncertain=grouped["uncertain"].sum(), **means)

    @cached_property
    def _silhouettes(self) -> Array:
        """(N,) silhouettes; NaN for rows that were not compared: those with missing values are not."""
        label, rows = self.partition["label"].values, self.table.rows
        complete = np.flatnonzero(finite(rows).all(axis=1))
        at = complete[np.unique(np.linspace(0, len(complete) - 1, min(len(complete), COMPARED)).round().astype(int))]
        out = np.full(len(label), np.nan)
        if 1 < len(np.unique(label[at])) < len(at):
            from sklearn.metrics import silhouette_samples

            x = numbers_of(rows)[at]
            sd = x.std(axis=0)
            out[at] = silhouette_samples((x - x.mean(axis=0)) / np.where(sd > 0, sd, 1.0), label[at])
        return out

    @property
    def silhouette(self) -> float:
        """Mean silhouette of the rows; NaN for one cluster."""
        known = self._silhouettes[np.isfinite(self._silhouettes)]
        return float(known.mean()) if known.size else np.nan

    @cached_property
    def cross(self) -> "pd.DataFrame":
        """Cross tables of the clusters with the columns that were not used."""
        assert self.table.check is not None  # usable_table made it
        return cross_tables(self.table.check, self.rows["cluster"])

    @cached_property
    def findings(self) -> Findings:
        """Findings of the checks of the fit, as ``diagnose`` returns them."""
        return diagnose(self.fit)

    @property
    def uncertain_rows(self) -> "pd.DataFrame":
        """Rows of the table with an expected distance of 0.25 or more, the most uncertain first."""
        far = self.rows["expected_distance"].to_numpy(np.float64) >= UNCERTAIN
        order = np.argsort(-self.rows["expected_distance"].to_numpy(np.float64)[far], kind="stable")
        return self.with_table().iloc[np.flatnonzero(far)[order]]

    def with_table(self) -> "pd.DataFrame":
        """Table with the columns of ``rows``, under longer names if it has such columns."""
        return beside(self.table.written, self.rows)
