"""Clusters of tables, in Python and at the terminal."""

import warnings

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import adjusted_rand_score

import bayesgmm as bg
from bayesgmm.apps import cluster_table
from bayesgmm.apps.tables.clusters import FILES
from bayesgmm.apps.tables.profiles import profiles
from bayesgmm.errors import DataError, DeclarationError, FitWarning
from bayesgmm.reports.sections import SECTIONS
from tests.commands import run

QUIET = {"progress": False, "seed": 0}
pytestmark = pytest.mark.usefixtures("no_doubts")


@pytest.fixture(scope="module")
def flower_clusters(iris):
    table = iris.copy()
    table.loc[3, "petal_width"] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        return cluster_table(table, n_components=[2, 3], covariance="full", method="vb", **QUIET)


def test_rows_with_missing_values_stay_in_the_table_without_a_cluster(flower_clusters):
    rows = flower_clusters.rows
    assert len(rows) == 150
    assert rows["cluster"].isna().sum() == 1
    assert rows["cluster"].isna()[3]
    assert rows["expected_distance"].between(0, 1).sum() == 149


def test_components_of_non_gaussian_clusters_are_merged():
    """Two separated bars; each needs several Gaussians."""
    rng = np.random.default_rng(0)
    bars = np.column_stack([rng.uniform(0, 12, size=300), rng.normal(scale=0.3, size=300)])
    bars[150:, 1] += 8
    found = cluster_table(bars, n_components=[1, 2, 4], covariance="full", method="vb", **QUIET)
    assert adjusted_rand_score(np.arange(300) < 150, found.rows["cluster"].astype(int)) == 1


def test_profiles_agree_with_pandas(flower_clusters):
    own = flower_clusters.table.rows.groupby(flower_clusters.rows["cluster"].dropna().astype(int))
    table = flower_clusters.profiles
    for name, oracle in {
        "mean": own.mean(),
        "sd": own.std(),
        "median": own.median(),
        "q05": own.quantile(0.05),
    }.items():
        np.testing.assert_allclose(table[name].unstack()[oracle.columns], oracle)
    assert table["size"].groupby("cluster").first().sum() == 149


def test_differences_are_in_pooled_standard_deviations():
    a, b = np.array([1.0, 2.0, 3.0]), np.array([7.0, 8.0, 9.0, 10.0])
    table = profiles(pd.DataFrame({"x": np.concatenate([a, b])}), [0] * 3 + [1] * 4)
    pooled = np.sqrt((2 * a.var(ddof=1) + 3 * b.var(ddof=1)) / 5)
    assert table.loc[(1, "x"), "difference"] == pytest.approx((b.mean() - a.mean()) / pooled)


def test_the_summary_describes_the_analysis(flower_clusters):
    words = "\n".join(flower_clusters.words())
    for part in ("'species' is left out: it is text", "1 row is left out", "lowest BIC", "of 2 models", "cluster 0: "):
        assert part in words
    few = pd.DataFrame({"x": np.arange(5.0) ** 2})
    with pytest.raises(DataError, match="5 rows without missing values: too few"):
        cluster_table(few, **QUIET)


def test_the_summary_distinguishes_requested_from_chosen_models(iris):
    def of(**settings):
        found = cluster_table(iris[["petal_length", "petal_width"]], method="em", **settings, **QUIET)
        return "\n".join(found.words())

    assert "2 components with covariance 'spherical', as requested" in of(n_components=2, covariance="spherical")
    assert "columns with large values dominate" in of(n_components=2, covariance="spherical")
    both = of(n_components=2, covariance=["full", "tied"])
    assert "as requested" not in both
    assert "the lowest BIC" in both
    with pytest.raises(DeclarationError, match="at least one number"):
        of(n_components=[])


def test_the_report_shows_how_the_number_of_clusters_was_chosen(flower_clusters, tmp_path, undrawn, monkeypatch):
    """The report opens with a row for each model with its BIC and ICL, and a figure of each criterion."""
    monkeypatch.setattr("bayesgmm.reports.SECTIONS", SECTIONS[:2])
    before = plt.get_fignums()  # figures that other tests left open
    flower_clusters.save(tmp_path / "out", progress=False)
    page = (tmp_path / "out" / "report.html").read_text()
    opening, rest = page.split('id="verdict"')
    assert "lowest BIC" in opening
    for bic in flower_clusters.choices["bic"]:
        assert f"{bic:,.1f}" in opening
    assert "ICL over the number of components" in opening
    assert "ICL over the number of components" not in rest
    assert plt.get_fignums() == before


def test_the_cluster_command_writes_all_files(tmp_path, iris, undrawn):
    iris = iris[["petal_length", "petal_width", "species"]]
    iris.to_csv(tmp_path / "flowers.csv", index=False)
    args = ["cluster", "flowers.csv", "-k", "2,3", "--covariance", "full", "--method", "em", "-o", "out"]
    done = run(*args, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "text, such as 'setosa'" in done.stdout
    assert "column 'species' is left out: it is text" in (tmp_path / "out" / "summary.txt").read_text()
    assert "150 rows, 3 columns, 2 used" in (tmp_path / "out" / "report.html").read_text()
    assert {path.name for path in (tmp_path / "out").iterdir()} == set(FILES)
    written = pd.read_csv(tmp_path / "out" / "clusters.csv")
    assert list(written.columns) == [*iris.columns, "cluster", "expected_distance"]
    assert "cluster 0: " in (tmp_path / "out" / "summary.txt").read_text()
    assert bg.load(tmp_path / "out" / "fit.nc")["posterior"].sizes["feature"] == 2
    (tmp_path / "file").write_text("")
    done = run(*args[:-1], "file", cwd=tmp_path)
    assert done.returncode == 1
    assert "file is a file; give the name of a folder" in done.stderr
