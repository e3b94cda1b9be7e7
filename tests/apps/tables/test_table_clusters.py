"""Clusters of tables, in Python and at the terminal."""

import warnings

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from scipy.stats import ks_2samp
from sklearn.metrics import adjusted_rand_score

import bayesgmm as bg
from bayesgmm.apps import cluster_table
from bayesgmm.apps.tables import clusters
from bayesgmm.apps.tables.cluster_files import FILES
from bayesgmm.apps.tables.cluster_words import choice_words, possible, verdict_words
from bayesgmm.apps.tables.cross_tables import cross_tables
from bayesgmm.apps.tables.profiles import description, names, profiles
from bayesgmm.errors import DataError, DeclarationError, FitWarning
from bayesgmm.findings import Finding, Findings
from bayesgmm.reports.sections import SECTIONS
from tests.commands import run

QUIET = {"progress": False, "seed": 0}
pytestmark = pytest.mark.usefixtures("no_doubts")


@pytest.fixture(scope="module")
def flower_clusters(iris):
    table = iris.copy()
    table.loc[3, "petal_width"] = np.nan
    table.loc[8, table.columns != "species"] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        return cluster_table(table, n_components=[2, 3], covariance="full", method="vb", **QUIET)


def test_rows_without_values_stay_in_the_table_without_a_cluster(flower_clusters):
    rows = flower_clusters.rows
    assert len(rows) == 150
    assert np.flatnonzero(rows["cluster"].isna()).tolist() == [8]
    assert rows["expected_distance"].between(0, 1).sum() == 149


def test_rows_with_missing_values_are_clustered_by_what_is_observed(iris):
    """A tenth of the cells are deleted: every row has a cluster, nearly always that of the complete table."""
    rng = np.random.default_rng(4)
    holes = iris.drop(columns="species").mask(rng.random((150, 4)) < 0.1)
    settings = {"n_components": 3, "covariance": "tied", "transform": "none", "method": "vb", **QUIET}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        whole, found = cluster_table(iris, **settings), cluster_table(holes, **settings)
    assert not found.rows["cluster"].isna().any()
    right, ours = (adjusted_rand_score(iris["species"], one.rows["component"].astype(int)) for one in (whole, found))
    assert ours > right - 0.06 > 0.8
    assert "of 600 values are missing" in " | ".join(found.words())
    assert "silhouette of the rows without missing values" in " | ".join(found.words())
    assert (found._silhouettes == found._silhouettes).sum() == holes.notna().all(axis=1).sum()


class Asked(Exception):
    """The settings of a fit."""


@pytest.mark.parametrize(("components", "expected"), [(9, {"max_draws": 1}), (7, {})])
def test_chains_in_many_coordinates_are_not_extended(monkeypatch, components, expected):
    """Nine components in five columns have 189 coordinates, seven 147."""

    def fit(_model, _rows, _method, *, transform, seed, progress, **settings):
        raise Asked(settings)

    monkeypatch.setattr(clusters, "fit", fit)
    table = np.random.default_rng(0).normal(size=(200, 5))
    with pytest.raises(Asked) as asked:
        cluster_table(table, n_components=components, covariance="full", transform="none", **QUIET)
    assert asked.value.args == (expected,)


def test_profiles_ignore_missing_values_column_by_column():
    rows = pd.DataFrame({"x": [0.0, np.nan, 2.0, 10.0], "y": [1.0, 2.0, 3.0, np.nan]})
    table = profiles(rows, [0, 0, 0, 1])
    assert table.loc[(0, "x"), "mean"] == 1.0
    assert table.loc[(0, "x"), "size"] == 3
    assert np.isnan(table.loc[(1, "y"), "median"])


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


def test_differences_are_of_medians_in_standard_deviations_within_clusters():
    """Oracle: the distance of two normal samples, 3 standard deviations; an absurd value changes nothing."""
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=4000), rng.normal(3, 1, size=4000)
    a[0] = 1e9
    table = profiles(pd.DataFrame({"x": np.concatenate([a, b])}), np.repeat([0, 1], 4000))
    assert table.loc[(1, "x"), "difference"] == pytest.approx(3, abs=0.1)


def test_one_absurd_value_is_named_as_an_outlier():
    """A cluster of one row, and one absurd value in a cluster that is large."""
    rng = np.random.default_rng(1)
    salary = rng.normal(50_000, 8_000, 200)
    salary[7] = 500_000_000
    rows = pd.DataFrame({"age": rng.normal(40, 9, 200), "salary": salary})
    alone = profiles(rows, (np.arange(200) == 7) * 1)
    assert description(alone, 1).startswith("outlying: high salary (500,000,000)")
    assert names(alone)[1].startswith("outliers: high salary")
    near = profiles(rows, (np.arange(200) < 2) * 1)
    assert description(near, 1).startswith("outlying: ")
    together = profiles(rows, np.arange(200) % 2)
    assert "far from the rest of the cluster: salary 500,000,000" in description(together, 1)
    assert "far from" not in description(together, 0)


def test_names_are_different():
    rows = pd.DataFrame({"a": [0.0, 0.1, 9.0, 9.1, 9.0, 9.2], "b": [0.0, 0.2, 5.0, 5.1, 7.0, 7.2]})
    given = names(profiles(rows, [0, 0, 1, 1, 2, 2]))
    assert len({*given}) == 3
    assert given[0] in ("low a, low b", "low b, low a")


def test_separation_is_the_statistic_of_kolmogorov_and_smirnov():
    rng = np.random.default_rng(0)
    for spread in (0.2, 1, 5):
        own, others = rng.normal(0.5, spread, 70).round(1), rng.normal(0, 1, 90).round(1)
        table = profiles(pd.DataFrame({"x": np.concatenate([own, others])}), np.repeat([0, 1], [70, 90]))
        table = table[table["side"] != "middle"]
        assert table["separation"].to_numpy() == pytest.approx(ks_2samp(own, others).statistic)


def test_clusters_are_named_by_what_separates_them():
    """A spike of zeros divides the rows; the medians of another column differ more, in standard deviations."""
    rng = np.random.default_rng(0)
    spent = np.exp(rng.normal(1, 2, 400)) * np.repeat([0, 1], [100, 300])
    spent[100:130] = 0
    table = profiles(
        pd.DataFrame({"visits": rng.normal(size=400) + np.repeat([2, 0], [100, 300]), "spent": spent}),
        np.repeat([0, 1], [100, 300]),
    )
    assert table.loc[0, "difference"].abs().idxmax() == "visits"
    assert names(table) == ["spent exactly 0, high visits", "high spent, low visits"]
    assert description(table, 0).startswith("spent exactly 0, high visits (median ")


def test_the_components_that_were_merged_are_described_beside_the_clusters(tmp_path, undrawn):
    rng = np.random.default_rng(0)
    bars = np.column_stack([rng.uniform(0, 12, size=300), rng.normal(scale=0.3, size=300)])
    bars[150:, 1] += 8
    found = cluster_table(bars, n_components=4, covariance="full", method="vb", **QUIET)
    (beside,) = [line for line in found.answer() if line.startswith("without merging: 4 groups")]
    assert beside.count(" rows (") == 4
    assert "high x0" in beside
    found.save(tmp_path, progress=False)
    assert beside in (tmp_path / "summary.txt").read_text().splitlines()
    assert "without merging: 4 groups" in (tmp_path / "report.html").read_text().replace("Without", "without")


def test_cross_tables_agree_with_pandas(flower_clusters):
    found = flower_clusters.cross
    species, cluster = flower_clusters.table.frame["species"], flower_clusters.rows["cluster"]
    oracle = pd.crosstab(cluster.dropna().astype(int), species[cluster.notna()], normalize="index")
    table = found[found["column"] == "species"].pivot(index="cluster", columns="value", values="share")
    np.testing.assert_allclose(table[oracle.columns], oracle)


def test_the_association_is_one_for_a_column_that_is_the_clusters_and_zero_for_an_independent_one():
    rng = np.random.default_rng(0)
    cluster = pd.Series(np.repeat([0, 1, 2], 400), dtype="Int64")
    table = {
        "x": rng.normal(size=1200),
        "same": cluster.map({0: "a", 1: "b", 2: "c"}),
        "coin": rng.choice(["h", "t"], 1200),
    }
    found = cross_tables(bg.data_check(pd.DataFrame(table)), cluster).groupby("column")["association"].first()
    assert found["same"] == pytest.approx(1)
    assert found["coin"] < 0.1


def choices(counts, bic):
    return pd.DataFrame({"n_components": counts, "covariance": "full", "bic": bic, "problem": "", "search": "thorough"})


def test_choices_that_could_not_be_fitted_do_not_count():
    """The sentence counts those with a criterion, and names the column that has few values."""
    rows = pd.DataFrame({"x": np.arange(40.0), "few": np.arange(40) % 3})
    said = "\n".join(choice_words(choices([2, 1, 3, 4], [5.0, 9.0, np.nan, np.nan]), rows))
    assert "of 2 choices" in said
    assert "2 of 4 choices could not be fitted (2 full)" in said
    assert "drop='few'" in said
    assert "largest number that was tried" not in said
    everything = "\n".join(choice_words(choices([2, 1], [5.0, 9.0]), rows))
    assert "could not" not in everything


def test_the_edge_of_the_range_is_pointed_out():
    rows = pd.DataFrame({"x": np.arange(400.0)})
    assert "n_components=range(1, 7)" in choice_words(choices([3, 1, 2], [5.0, 9.0, 7.0]), rows)[-1]
    assert len(choice_words(choices([2, 1, 3], [5.0, 9.0, 7.0]), rows)) == 1


def test_advice_names_only_what_the_command_has():
    assert possible("Try method='gibbs' with more draws, or fewer components.") == ""
    assert possible("Try n_components=4.") == "Try n_components=4."
    low = Finding("warning", "energy", "BFMI is 0.2.", "", "")
    assert verdict_words(Findings([low])) == "Use these results with care: BFMI is 0.2."


def test_the_summary_describes_the_analysis(flower_clusters):
    words = "\n".join(flower_clusters.words())
    for part in (
        "'species' is left out: it is text",
        "1 row has no values and is left out",
        "lowest BIC",
        "of 2 choices",
        "cluster 0 (",
        "checks of the fit: ",
    ):
        assert part in words
    few = pd.DataFrame({"x": np.arange(5.0) ** 2})
    with pytest.raises(DataError, match="5 rows with values: too few"):
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


def test_the_report_opens_with_the_answer_and_shows_how_it_was_found(flower_clusters, tmp_path, undrawn, monkeypatch):
    """First the picture and the table of clusters; then each model with its BIC and ICL, and a figure of each."""
    monkeypatch.setattr("bayesgmm.reports.SECTIONS", SECTIONS[:2])
    before = plt.get_fignums()  # figures that other tests left open
    flower_clusters.save(tmp_path / "out", progress=False)
    page = (tmp_path / "out" / "report.html").read_text()
    answer, opening = page.split('id="evidence"')
    opening, rest = opening.split('id="clusters"')
    assert answer.index("clusters in 149 rows") < answer.index("<img") < answer.index("uncertain rows")
    assert f"{flower_clusters.names[0]}" in answer
    assert "setosa" in answer  # a cross table
    assert "lowest BIC" in opening
    assert "lowest BIC" not in answer
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
    assert list(written.columns) == [*iris.columns, "cluster", "expected_distance", "component"]
    assert "cluster 0 (" in (tmp_path / "out" / "summary.txt").read_text()
    assert bg.load(tmp_path / "out" / "fit.nc")["posterior"].sizes["feature"] == 2
    (tmp_path / "file").write_text("")
    done = run(*args[:-1], "file", cwd=tmp_path)
    assert done.returncode == 1
    assert "file is a file; give the name of a folder" in done.stderr


def test_the_middle_one_of_three_groups_is_neither_high_nor_low():
    """By medians alone it is high or low by chance, as one of the two other groups has more rows."""
    rng = np.random.default_rng(0)
    sizes, label = [40, 38, 42], np.repeat([0, 1, 2], [40, 38, 42])
    rows = pd.DataFrame({"age": rng.normal(np.repeat([20.0, 50.0, 80.0], sizes)), "noise": rng.normal(size=120)})
    table = profiles(rows, label)
    assert table.xs("age", level="column")["side"].tolist() == ["low", "middle", "high"]
    assert table.xs("noise", level="column")["side"].tolist() == ["", "", ""]
    assert names(table) == ["low age", "middle age", "high age"]
    assert description(table, 1).startswith("middle age (median 50")


def test_a_single_cluster_is_all_rows():
    table = profiles(pd.DataFrame({"x": np.arange(40.0)}), np.zeros(40, int))
    assert (names(table), description(table, 0)) == (["all rows"], "all rows")
