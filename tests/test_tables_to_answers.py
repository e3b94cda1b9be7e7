"""From a table to its anomalies and to its clusters, in Python and at the terminal."""

import json
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom, chi2, multivariate_normal
from sklearn.metrics import adjusted_rand_score, roc_auc_score

import bayesgmm as bg
from bayesgmm.apps import cluster_table, find_anomalies, judge
from bayesgmm.apps.anomalies import Rule
from bayesgmm.apps.clusters import FILES
from bayesgmm.apps.flagging import judge_file, write_flagged
from bayesgmm.apps.novelty import Choice, empirical_null, log_p_values, simplest
from bayesgmm.apps.profiles import profiles
from bayesgmm.errors import DataError, DeclarationError, FitFileError, FitWarning
from tests.commands import run

QUIET = {"progress": False, "seed": 0}


@pytest.fixture(autouse=True)
def no_doubts():
    """Variational Bayes says that it is an approximation: not what is tested here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        yield


def ring(n=600, anomalies=30, seed=0):
    """Eight clusters on a ring; anomalies anywhere about it. One Gaussian sees nothing of that."""
    rng = np.random.default_rng(seed)
    angle = 2 * np.pi * rng.integers(8, size=n) / 8
    good = np.column_stack([np.cos(angle), np.sin(angle)]) * 5 + 0.4 * rng.normal(size=(n, 2))
    table = pd.DataFrame(np.concatenate([good, rng.uniform(-7, 7, size=(anomalies, 2))]), columns=["east", "north"])
    return table, np.arange(n + anomalies) >= n


@pytest.fixture(scope="module")
def ring_found():
    table, _ = ring()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        return find_anomalies(table, n_components=[1, 4, 8], **QUIET)


# explanations


def test_conditional_z_scores_are_the_regression_of_each_column_on_the_others():
    """Oracle: scipy's conditional Gaussian by inverting a block."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 3)) @ rng.normal(size=(3, 3)) + [1.0, 100.0, -3.0]
    fit = bg.fit(bg.MixtureModel(1), pd.DataFrame(x, columns=list("abc")), "em", progress=False)
    told = bg.explain_anomalies(fit)
    mean, cov = fit["posterior"]["mean"].values[0, 0, 0], fit["posterior"]["covariance"].values[0, 0, 0]
    for j in range(3):
        rest = [i for i in range(3) if i != j]
        slope = np.linalg.solve(cov[np.ix_(rest, rest)], cov[rest, j])
        expected = mean[j] + (x[:, rest] - mean[rest]) @ slope
        sd = np.sqrt(cov[j, j] - cov[j, rest] @ slope)
        np.testing.assert_allclose(told["expected"].values[:, j], expected, rtol=1e-8)
        np.testing.assert_allclose(told["z"].values[:, j], (x[:, j] - expected) / sd, rtol=1e-7)
        np.testing.assert_allclose(told["marginal_z"].values[:, j], (x[:, j] - mean[j]) / np.sqrt(cov[j, j]), rtol=1e-8)


def test_the_reason_names_the_column_that_was_spoilt(fit, iris):
    """A petal width that no petal of that length has: the reason is that column."""
    flowers = iris.drop(columns="species").iloc[[60, 120]].copy()
    flowers["petal_width"] += 3.0
    told = bg.explain_anomalies(fit, flowers)
    assert all(str(reason).startswith("petal_width") for reason in told["reason"].values)
    assert (np.abs(told["z"].sel(feature="petal_width")) > 5).all()
    typical = bg.explain_anomalies(fit, iris.drop(columns="species").iloc[[0]])
    assert np.abs(typical["z"]).max() < 3


# anomalies


def test_structure_is_found_where_one_gaussian_sees_none(ring_found):
    table, wrong = ring()
    distance = multivariate_normal(table.mean(), table.cov()).logpdf(table)
    assert roc_auc_score(wrong, -distance) < 0.7
    assert roc_auc_score(wrong, -ring_found.rows["log_density"]) > 0.9
    called = ring_found.rows["anomaly"].to_numpy()
    assert called.sum() >= 8
    assert wrong[called].mean() > 0.8
    assert ((ring_found.rows["reason"] != "") == called).all()
    assert (ring_found.rows["component"].notna() == called).all()
    assert ring_found.fit["posterior"].sizes["component"] == 8


def test_one_gaussian_is_kept_where_it_is_enough():
    x = np.random.default_rng(0).multivariate_normal([0, 0], [[1, 0.8], [0.8, 1]], size=400)
    found = find_anomalies(x, n_components=[1, 3], **QUIET)
    assert found.fit["posterior"].sizes["component"] == 1


def choices(*errors, of=None):
    """Models with these errors; a hundred rows of which all models find the same ones hard, up to noise."""
    rng = np.random.default_rng(0)
    hard = np.linspace(-0.1, 0.1, 100)
    rows = [error + hard + (lambda e: e - e.mean())(0.02 * rng.normal(size=100)) for error in errors]
    models = of or [bg.MixtureModel(k + 1) for k in range(len(errors))]
    return [Choice(model, row if row[0] == row[0] else row[:0]) for model, row in zip(models, rows, strict=True)]


def test_what_is_more_complex_must_pay():
    """Two standard errors of a difference are 0.0056: those of the errors themselves would be 0.012."""

    def chosen(*errors):
        return simplest(choices(*errors)).n_components

    assert chosen(0.30, 0.25, 0.21) == 1  # less than ten in a hundred in all
    assert chosen(0.30, 0.25, 0.19) == 3
    assert chosen(0.30, 0.111, 0.110) == 2  # level
    assert chosen(0.30, 0.118, 0.110) == 3
    assert chosen(np.nan, 0.30, 0.28) == 2
    assert chosen(np.nan, np.nan) == 1
    pair = [bg.MixtureModel(1), bg.MixtureModel(1, background=bg.Background())]
    assert simplest(choices(0.30, 0.28, of=pair)).background is not None
    assert simplest(choices(0.30, 0.295, of=pair)).background is None


def test_a_background_is_taken_where_outliers_would_hide_each_other():
    """Forty rows at 40 sd make one Gaussian so wide that none of them stands out."""
    rng = np.random.default_rng(2)
    good = rng.normal(size=(400, 2))
    table = np.concatenate([good, rng.normal(size=(40, 2)) * 40])
    found = find_anomalies(table, n_components=1, **QUIET)
    assert "background" in bg.posterior.info(found.fit)["model"]
    sd = np.sqrt(np.diagonal(found.fit["posterior"]["covariance"].mean(("chain", "draw")).values[0]))
    np.testing.assert_allclose(sd, 1.0, atol=0.25)  # 12 without one
    assert found.rows["anomaly"].to_numpy()[400:].mean() > 0.85


def test_tails_are_extrapolated_to_where_nothing_was_simulated():
    """Oracle: minus half a chi-square variable; p-values are too large rather than too small, by less than a tenth."""
    rng = np.random.default_rng(0)
    for d in (2, 5):
        reference = np.sort(-0.5 * rng.chisquare(d, size=100_000))
        score = np.array([-1.0, -10.0, -20.0, -40.0])
        exact = chi2.logsf(-2 * score, d)
        ours = log_p_values(score, reference)
        assert (ours > exact - 0.05 * np.abs(exact) - 0.1).all()
        assert (ours < 0.8 * exact + 0.1).all()


def test_an_empirical_null_forgives_a_model_that_is_too_narrow():
    """Points twice as wide as the model: without the correction 1 in 3 has p < 0.05."""
    from scipy.special import log_ndtr

    z = 2 * np.random.default_rng(0).normal(size=5000)
    assert np.mean(np.exp(log_ndtr(z)) < 0.05) > 0.19
    corrected = empirical_null(log_ndtr(z))
    assert binom.cdf(np.sum(corrected < 0.05), 5000, 0.06) < 0.999
    assert (corrected >= np.exp(log_ndtr(z))).all()


def test_p_values_of_new_rows_are_valid_whatever_the_model():
    """Skewed data, which no Gaussian fits: half held back makes p-values uniform.  False alarm below 1e-4."""
    rng = np.random.default_rng(1)
    good, new = rng.exponential(size=(1200, 2)), rng.exponential(size=(2000, 2))
    found = find_anomalies(good, new, n_components=1, alpha=0.1, **QUIET)
    rate = found.rows["anomaly"].mean()
    # the held-out half is itself random: p has a beta(60, 541) share below 0.1
    assert 0.1 - 4.2 * 0.0145 < rate < 0.1 + 4.2 * 0.0145
    assert found.fit["observed_data"].sizes["point"] == found.fit["calibration"].sizes["reference"] == 600
    seen = {tuple(row) for row in found.fit["observed_data"]["x"].values}
    assert len(seen & {tuple(row) for row in good}) == 600
    again = judge(found.fit, new, alpha=0.1)
    pd.testing.assert_frame_equal(again.rows, found.rows)


def test_a_saved_fit_judges_a_file_in_chunks_as_it_judges_the_whole(tmp_path, ring_found):
    bg.save(ring_found.fit, tmp_path / "fit.nc")
    tree = bg.load(tmp_path / "fit.nc")
    table, _ = ring(seed=5)
    table.to_csv(tmp_path / "new.csv", index=False)
    whole = judge(tree, table, alpha=0.001)
    count = write_flagged(judge_file(tree, tmp_path / "new.csv", alpha=0.001, chunk=100), tmp_path / "out.csv", True)
    written = pd.read_csv(tmp_path / "out.csv", index_col="row")
    np.testing.assert_allclose(written["p_value"], whole.rows["p_value"])
    assert (written["anomaly"] == whole.rows["anomaly"]).all()
    assert (count.rows, count.judged, count.called) == (630, 630, int(whole.rows["anomaly"].sum()))
    assert not list(tmp_path.glob(".*"))


def test_thresholds_move():
    def called(p, *rule):
        return Rule.of(*rule).called(np.array(p), np.array(p))[1].tolist()

    p = [1e-6, 0.004, 0.02, 0.3, 0.9]
    assert called(p, 0.05, None, None) == [True, True, True, False, False]
    assert called(p, 0.01, None, None) == [True, True, False, False, False]
    assert sum(called(p, None, 0.001, None)) == 1
    assert sum(called(p, None, None, 4)) == 4
    assert called([0.001, 0.04, 0.9], 0.05, None, None) == [True, False, False]
    with pytest.raises(DeclarationError, match="one of fdr, alpha and top, not alpha and top"):
        Rule.of(None, 0.1, 3)


def test_rows_that_lack_a_value_keep_their_place(ring_found):
    table, _ = ring()
    table.loc[7, "north"] = np.nan
    judged = judge(
        ring_found.fit, table.astype({"east": object}).assign(east=table["east"].replace(table.loc[9, "east"], "?"))
    ).rows
    assert judged["p_value"].isna().to_numpy().nonzero()[0].tolist() == [7, 9]
    assert not judged.loc[[7, 9], "anomaly"].any()
    assert len(judged) == 630


def test_of_equal_p_values_the_less_dense_row_is_the_stranger(ring_found, tmp_path):
    """Few reference points give many rows the smallest p-value."""
    good = np.random.default_rng(0).normal(size=(100, 2))
    new = np.array([[0.0, 0.0], [50.0, 0.0], [90.0, 0.0], [70.0, 0.0]])
    found = find_anomalies(good, new, n_components=1, top=1, **QUIET)
    assert found.rows["p_value"].tolist()[1:] == [1 / 51] * 3
    assert found.flagged.index.tolist() == [2]
    count = write_flagged([judge(found.fit, new, top=3)], tmp_path / "out.csv")
    assert count.strangest.index.tolist() == [2, 3, 1]


def test_too_few_reference_points_to_call_any_are_said():
    good = np.random.default_rng(0).normal(size=(60, 2))
    new = np.concatenate([good[:20], [[50.0, 0.0]]])
    with pytest.warns(FitWarning, match=r"1 point is stranger than all 30 .* at false discovery rate 0.05. Learn from"):
        found = find_anomalies(good, new, n_components=1, **QUIET)
    assert not found.rows["anomaly"].any()


@pytest.mark.parametrize("rule", [{"fdr": 0}, {"alpha": 0}, {"top": 0}, {"fdr": 0.1, "alpha": 0.1}])
def test_a_rule_that_calls_nothing_is_refused(rule):
    with pytest.raises(DeclarationError):
        find_anomalies(np.random.default_rng(0).normal(size=(60, 1)), n_components=1, **rule, **QUIET)
    with pytest.raises(DeclarationError, match="at least one number"):
        find_anomalies(np.random.default_rng(0).normal(size=(60, 1)), n_components=[], **QUIET)


def test_the_same_seed_gives_the_same_rows_and_order_is_kept(ring_found):
    table, _ = ring()
    again = find_anomalies(table, n_components=[1, 4, 8], **QUIET)
    pd.testing.assert_frame_equal(again.rows, ring_found.rows)
    assert ring_found.flagged["p_value"].is_monotonic_increasing
    assert (ring_found.flagged["east"] == table.loc[ring_found.flagged.index, "east"]).all()


# clusters


@pytest.fixture(scope="module")
def flowers_found(iris):
    table = iris.copy()
    table.loc[3, "petal_width"] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        return cluster_table(table, n_components=[2, 3], covariance="full", method="vb", **QUIET)


def test_rows_without_a_value_keep_their_place_and_have_no_cluster(flowers_found):
    rows = flowers_found.rows
    assert len(rows) == 150
    assert rows["cluster"].isna().sum() == 1
    assert rows["cluster"].isna()[3]
    assert rows["uncertainty"].between(0, 1).sum() == 149


def test_clusters_that_are_not_gaussian_are_merged():
    """Two bars of many Gaussians each, and nothing between them."""
    rng = np.random.default_rng(0)
    bars = np.column_stack([rng.uniform(0, 12, size=600), rng.normal(scale=0.3, size=600)])
    bars[300:, 1] += 8
    found = cluster_table(bars, n_components=[1, 2, 3, 4], covariance=["full", "tied"], method="vb", **QUIET)
    assert adjusted_rand_score(np.arange(600) < 300, found.rows["cluster"].astype(int)) == 1


def test_profiles_are_those_of_pandas(flowers_found):
    own = flowers_found.table.rows.groupby(flowers_found.rows["cluster"].dropna().astype(int))
    table = flowers_found.profiles
    for name, oracle in {
        "mean": own.mean(),
        "sd": own.std(),
        "median": own.median(),
        "q05": own.quantile(0.05),
    }.items():
        np.testing.assert_allclose(table[name].unstack()[oracle.columns], oracle)
    assert table["size"].groupby("cluster").first().sum() == 149


def test_a_difference_is_in_pooled_standard_deviations():
    a, b = np.array([1.0, 2.0, 3.0]), np.array([7.0, 8.0, 9.0, 10.0])
    table = profiles(pd.DataFrame({"x": np.concatenate([a, b])}), [0] * 3 + [1] * 4)
    pooled = np.sqrt((2 * a.var(ddof=1) + 3 * b.var(ddof=1)) / 5)
    assert table.loc[(1, "x"), "difference"] == pytest.approx((b.mean() - a.mean()) / pooled)


def test_words_say_how_it_came_about(flowers_found):
    words = "\n".join(flowers_found.words())
    for part in ("'species' is left out: it is text", "1 row is left out", "lowest BIC", "of 2 choices", "cluster 0: "):
        assert part in words
    few = pd.DataFrame({"x": np.arange(5.0) ** 2})
    with pytest.raises(DataError, match="5 rows without missing values: too few"):
        cluster_table(few, **QUIET)


# the terminal


def test_anomalies_at_the_terminal(tmp_path):
    table, _ = ring(n=300, anomalies=15)
    table.assign(name="x").to_csv(tmp_path / "train.csv", index=False)
    ring(n=100, anomalies=5, seed=9)[0].to_csv(tmp_path / "new.csv", index=False)
    args = ["anomalies", "train.csv", "-k", "8", "-o", "flagged.csv", "--top", "12", "--save", "fit.nc"]
    done = run(*args, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "column 'name' is left out: it is text" in done.stderr
    assert "12 of 315 rows called (the 12 strangest)" in done.stdout
    flagged = pd.read_csv(tmp_path / "flagged.csv")
    assert len(flagged) == 12
    assert {"row", "east", "north", "name", "p_value", "reason"} <= set(flagged.columns)
    done = run(
        "anomalies", "new.csv", "--fit", "fit.nc", "-o", "f.csv", "--all", "--alpha", "0.01", "--json", cwd=tmp_path
    )
    told = json.loads(done.stdout)
    assert (told["n_rows"], told["n_judged"]) == (105, 105)
    assert len(pd.read_csv(tmp_path / "f.csv")) == 105
    assert told["n_called"] == pd.read_csv(tmp_path / "f.csv")["anomaly"].sum()
    done = run("anomalies", "train.csv", "--new", "new.csv", "-k", "8", "-o", "f.csv", "--fdr", "0.2", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for wrong, words in {
        ("--fdr", "0.1", "--top", "3"): "give one of fdr, alpha and top",
        ("--fit", "fit.nc", "--columns", "east"): "--columns and --components can't go with --fit",
        ("--fit", "none.nc"): "there is no file none.nc",
        ("--new", "none.csv"): "there is no file none.csv",
    }.items():
        done = run("anomalies", "train.csv", "-k", "2", "-o", "f.csv", *wrong, cwd=tmp_path)
        assert done.returncode == 1
        assert words in done.stderr
    assert run("anomalies", "train.csv", "-o", "train.csv", cwd=tmp_path).returncode == 1


def test_cluster_at_the_terminal_writes_all_of_its_files(tmp_path, iris):
    iris = iris[["petal_length", "petal_width", "species"]]
    iris.to_csv(tmp_path / "flowers.csv", index=False)
    args = ["cluster", "flowers.csv", "-k", "2,3", "--covariance", "full", "--method", "em", "-o", "out"]
    done = run(*args, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "column 'species' is left out: it is text" in done.stdout
    assert {path.name for path in (tmp_path / "out").iterdir()} == set(FILES)
    written = pd.read_csv(tmp_path / "out" / "clusters.csv")
    assert list(written.columns) == [*iris.columns, "cluster", "uncertainty"]
    assert "cluster 0: " in (tmp_path / "out" / "summary.txt").read_text()
    assert bg.load(tmp_path / "out" / "fit.nc")["posterior"].sizes["feature"] == 2
    (tmp_path / "file").write_text("")
    done = run(*args[:-1], "file", cwd=tmp_path)
    assert done.returncode == 1
    assert "file is a file; give the name of a folder" in done.stderr


def test_a_folder_that_can_not_be_is_said_before_the_work(tmp_path):
    from bayesgmm.apps.clusters import check_folder

    with pytest.raises(FitFileError, match="there is no folder"):
        check_folder(tmp_path / "no" / "such")
