"""Anomalies in tables, in Python and at the terminal."""

import json
import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom, chi2, kstest, multivariate_normal
from sklearn.metrics import roc_auc_score

import bayesgmm as bg
from bayesgmm.apps import find_anomalies, judge
from bayesgmm.apps.tables import p_values
from bayesgmm.apps.tables.anomaly_files import judge_file, write_flagged
from bayesgmm.apps.tables.empirical_nulls import EmpiricalNull
from bayesgmm.apps.tables.flagging import Rule
from bayesgmm.apps.tables.model_choice import Candidate, choose_model
from bayesgmm.errors import DeclarationError, FitWarning
from bayesgmm.predictions.ranks import log_p_values
from tests.commands import run

QUIET = {"progress": False, "seed": 0}
pytestmark = pytest.mark.usefixtures("no_doubts")


def ring(n=600, anomalies=30, seed=0):
    """Eight clusters on a ring, with uniform anomalies. One Gaussian can't separate them."""
    rng = np.random.default_rng(seed)
    angle = 2 * np.pi * rng.integers(8, size=n) / 8
    good = np.column_stack([np.cos(angle), np.sin(angle)]) * 5 + 0.4 * rng.normal(size=(n, 2))
    table = pd.DataFrame(np.concatenate([good, rng.uniform(-7, 7, size=(anomalies, 2))]), columns=["east", "north"])
    return table, np.arange(n + anomalies) >= n


@pytest.fixture(scope="module")
def ring_anomalies():
    table, _ = ring()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        return find_anomalies(table, n_components=[1, 4, 8], **QUIET)


# Explanations


def test_conditional_z_scores_are_the_regression_of_each_column_on_the_others():
    """Oracle: the conditional Gaussian, by solving with a block of the covariance."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 3)) @ rng.normal(size=(3, 3)) + [1.0, 100.0, -3.0]
    fit = bg.fit(bg.MixtureModel(1), pd.DataFrame(x, columns=list("abc")), "em", progress=False)
    answer = bg.explain_anomalies(fit)
    mean, cov = fit["posterior"]["mean"].values[0, 0, 0], fit["posterior"]["covariance"].values[0, 0, 0]
    for j in range(3):
        rest = [i for i in range(3) if i != j]
        slope = np.linalg.solve(cov[np.ix_(rest, rest)], cov[rest, j])
        expected = mean[j] + (x[:, rest] - mean[rest]) @ slope
        sd = np.sqrt(cov[j, j] - cov[j, rest] @ slope)
        np.testing.assert_allclose(answer["expected"].values[:, j], expected, rtol=1e-8)
        np.testing.assert_allclose(answer["z"].values[:, j], (x[:, j] - expected) / sd, rtol=1e-7)
        np.testing.assert_allclose(
            answer["marginal_z"].values[:, j], (x[:, j] - mean[j]) / np.sqrt(cov[j, j]), rtol=1e-8
        )


def test_the_reason_names_the_column_that_was_changed(fit, iris):
    """A petal width that does not occur with that petal length: the reason is that column."""
    flowers = iris.drop(columns="species").iloc[[60, 120]].copy()
    flowers["petal_width"] += 3.0
    answer = bg.explain_anomalies(fit, flowers)
    assert all(str(reason).startswith("petal_width") for reason in answer["reason"].values)
    assert (np.abs(answer["z"].sel(feature="petal_width")) > 5).all()
    typical = bg.explain_anomalies(fit, iris.drop(columns="species").iloc[[0]])
    assert np.abs(typical["z"]).max() < 3


# Anomalies


def test_anomalies_between_clusters_are_detected_where_one_gaussian_fails(ring_anomalies):
    table, wrong = ring()
    distance = multivariate_normal(table.mean(), table.cov()).logpdf(table)
    assert roc_auc_score(wrong, -distance) < 0.7
    assert roc_auc_score(wrong, -ring_anomalies.rows["log_density"]) > 0.9
    flagged = ring_anomalies.rows["anomaly"].to_numpy()
    assert flagged.sum() >= 8
    assert wrong[flagged].mean() > 0.8
    assert ((ring_anomalies.rows["reason"] != "") == flagged).all()
    assert (ring_anomalies.rows["component"].notna() == flagged).all()
    assert ring_anomalies.fit["posterior"].sizes["component"] == 8


def test_one_gaussian_is_kept_for_gaussian_data():
    x = np.random.default_rng(0).multivariate_normal([0, 0], [[1, 0.8], [0.8, 1]], size=400)
    found = find_anomalies(x, n_components=[1, 3], **QUIET)
    assert found.fit["posterior"].sizes["component"] == 1


def test_structure_in_two_of_ten_columns_is_detected():
    """Six clusters on a ring; the points between them are normal in every other column."""
    rng = np.random.default_rng(2)
    turn = rng.integers(0, 6, 1000) * np.pi / 3
    good = rng.normal(size=(1000, 10))
    good[:, :2] += 8 * np.column_stack([np.cos(turn), np.sin(turn)])
    bad = np.column_stack([rng.uniform(-10, 10, (50, 2)), rng.normal(size=(50, 8))])
    found = find_anomalies(np.concatenate([good, bad]), n_components=(1, 3, 6), transform="none", **QUIET)
    assert found.fit["posterior"].sizes["component"] == 6
    assert roc_auc_score(np.arange(1050) >= 1000, -found.rows["log_density"]) > 0.75  # one Gaussian: 0.5


def choices(*errors, of=None):
    """Candidates with these errors on a hundred rows; the same rows are hard for all models, up to noise."""
    rng = np.random.default_rng(0)
    hard = np.linspace(-0.1, 0.1, 100)
    rows = [error + hard + (lambda e: e - e.mean())(0.02 * rng.normal(size=100)) for error in errors]
    models = of or [bg.MixtureModel(k + 1) for k in range(len(errors))]
    return [Candidate(model, row if row[0] == row[0] else row[:0]) for model, row in zip(models, rows, strict=True)]


def test_a_larger_model_must_reduce_the_error():
    """Two standard errors of a difference are 0.0056; of an error itself they are 0.012."""

    def chosen(*errors):
        return choose_model(choices(*errors)).n_components

    assert chosen(0.30, 0.27, 0.25) == 1  # smaller by a sixth
    assert chosen(0.30, 0.27, 0.238) == 3  # smaller by more than a fifth
    assert chosen(0.010, 0.009, 0.0075) == 1  # by more than a fifth, but not by two standard errors
    assert chosen(0.30, 0.27, 0.22) == 3
    assert chosen(0.030, 0.027, 0.010) == 3  # also for small errors
    assert chosen(0.30, 0.111, 0.110) == 2  # equal within two standard errors
    assert chosen(0.30, 0.118, 0.110) == 3
    assert chosen(np.nan, 0.30, 0.28) == 2
    assert chosen(np.nan, np.nan) == 1
    pair = [bg.MixtureModel(1), bg.MixtureModel(1, background=bg.Background())]
    assert choose_model(choices(0.30, 0.28, of=pair)).background is not None
    assert choose_model(choices(0.30, 0.295, of=pair)).background is None


def test_of_models_with_equal_errors_a_larger_one_must_describe_rows_better():
    """A few rows do not decide, however much more probable they are."""

    def chosen(density):
        one, two, three = choices(0.30, 0.11, 0.11)
        two, three = replace(two, log_density=np.zeros(len(density))), replace(three, log_density=density)
        return choose_model([one, two, three])

    assert chosen(np.full(100, 0.5) + 0.1 * np.random.default_rng(0).normal(size=100)).n_components == 3
    assert chosen(np.where(np.arange(100) < 3, 500.0, 0.0)).n_components == 2


def test_a_row_for_which_a_component_would_be_made_is_flagged():
    x = bg.datasets.wine()[["alcohol", "flavanoids", "color_intensity", "proline"]]
    x.loc[7, "alcohol"] = 18.0
    found = find_anomalies(x, top=1, n_components=(4, 6), **QUIET)
    assert [one.model.n_components for one in found.tried if one.error == min(o.error for o in found.tried)] == [6]
    assert found.flagged.index.tolist() == [7]


def test_outliers_that_mask_each_other_are_left_out_of_the_fit():
    """Forty rows at 40 sd widen the Gaussian so much that none of them is detected."""
    rng = np.random.default_rng(2)
    good = rng.normal(size=(400, 2))
    table = np.concatenate([good, rng.normal(size=(40, 2)) * 40])
    found = find_anomalies(table, n_components=1, **QUIET)
    sd = np.sqrt(np.diagonal(found.fit["posterior"]["covariance"].mean(("chain", "draw")).values[0]))
    np.testing.assert_allclose(sd, 1.0, atol=0.25)  # 12 without one
    assert found.rows["anomaly"].to_numpy()[400:].mean() > 0.85


def test_p_values_beyond_the_simulated_points_are_extrapolated():
    """Oracle: minus half a chi-square variable. Log p-values are too large rather than too small."""
    rng = np.random.default_rng(0)
    for d in (2, 5):
        reference = np.sort(-0.5 * rng.chisquare(d, size=100_000))
        score = np.array([-1.0, -10.0, -20.0, -40.0])
        exact = chi2.logsf(-2 * score, d)
        ours = log_p_values(score, reference)
        assert (ours > exact - 0.05 * np.abs(exact) - 0.1).all()
        assert (ours < 0.8 * exact + 0.1).all()


def test_an_empirical_null_corrects_a_model_that_is_too_narrow():
    """Points twice as wide as the model: without the correction 1 in 3 has p < 0.05."""
    from scipy.special import log_ndtr

    z = 2 * np.random.default_rng(0).normal(size=5000)
    assert np.mean(np.exp(log_ndtr(z)) < 0.05) > 0.19
    corrected = EmpiricalNull.of(log_ndtr(z)).p_values(log_ndtr(z))
    assert binom.cdf(np.sum(corrected < 0.05), 5000, 0.06) < 0.999
    assert (corrected >= np.exp(log_ndtr(z))).all()


def plane_in_ten(n=600, anomalies=30, seed=0):
    """The ring in two of ten columns; anomalies are normal in the other eight."""
    table, wrong = ring(n, anomalies, seed)
    noise = 0.4 * np.random.default_rng((seed, 1)).normal(size=(n + anomalies, 8))
    return np.hstack([table.to_numpy(), noise]), wrong


def test_empty_components_do_not_hide_anomalies():
    """Twelve components for eight clusters: points simulated from the empty four lie anywhere, one in 150."""
    x, wrong = plane_in_ten()
    found = find_anomalies(x, n_components=12, background=bg.Background(), **QUIET)
    flagged = found.rows["anomaly"].to_numpy()
    assert flagged.sum() >= 5
    assert wrong[flagged].mean() > 0.7


def test_good_rows_are_rarely_flagged():
    """20 data sets of 100 good rows, judged by their own fit: at a rate of 0.05 at most 5 % have a flagged row.

    More than 5 of 20: false alarm 3e-4 if exactly 5 %.  Of 2,000 p-values at most 5 % are below 0.05: 140 are 4.1
    standard errors too many.
    """
    data_sets, low = 0, 0
    for seed in range(20):
        x = np.random.default_rng(1000 + seed).normal(size=(100, 2))
        rows = find_anomalies(x, n_components=1, background=bg.Background(share=0.01), **QUIET).rows
        data_sets += rows["anomaly"].any()
        low += (rows["p_value"] < 0.05).sum()
    assert data_sets <= 5
    assert low < 140


def test_the_false_discovery_rate_holds_in_contaminated_tables():
    """6 data sets at a rate of 0.2: the mean share of good rows, of sd below 0.15, within 4 standard errors: 3e-5."""
    shares, power = [], []
    for seed in range(6):
        x, wrong = ring(n=300, anomalies=15, seed=seed)
        flagged = find_anomalies(x, n_components=8, background=bg.Background(), fdr=0.2, **QUIET).rows["anomaly"]
        shares.append((flagged & ~wrong).sum() / max(flagged.sum(), 1))
        power.append((flagged & wrong).sum() / 15)
    assert np.mean(shares) < 0.2 + 4 * 0.15 / np.sqrt(6)
    assert np.mean(power) > 0.4


def test_the_choice_of_a_model_uses_no_held_out_row(monkeypatch):
    """Else p-values of new rows would not be valid for any model."""
    used = []

    def record(x, models, *rest):
        used.append(x.index)
        return []

    monkeypatch.setattr("bayesgmm.apps.tables.detectors.evaluate_models", record)
    table = pd.DataFrame(np.random.default_rng(0).normal(size=(200, 2)), columns=["a", "b"])
    found = find_anomalies(table, table.head(3), **QUIET)
    seen = {tuple(row) for row in found.fit["observed_data"]["x"].values}
    assert {tuple(row) for row in table.loc[used[0]].to_numpy()} == seen


def test_p_values_of_new_rows_are_valid_for_any_model():
    """Exponential data, which no Gaussian fits: with half held out, p-values are uniform.  False alarm below 1e-4."""
    rng = np.random.default_rng(1)
    good, new = rng.exponential(size=(1200, 2)), rng.exponential(size=(2000, 2))
    found = find_anomalies(good, new, n_components=1, transform="none", alpha=0.1, **QUIET)
    rate = found.rows["anomaly"].mean()
    # the held-out half is itself random: p has a beta(60, 541) share below 0.1
    assert 0.1 - 4.2 * 0.0145 < rate < 0.1 + 4.2 * 0.0145
    assert found.fit["observed_data"].sizes["point"] == found.fit["calibration"].sizes["reference"] == 600
    seen = {tuple(row) for row in found.fit["observed_data"]["x"].values}
    assert len(seen & {tuple(row) for row in good}) == 600
    again = judge(found.fit, new, alpha=0.1)
    pd.testing.assert_frame_equal(again.rows, found.rows)


def test_new_rows_get_the_correction_of_the_fitted_rows(tmp_path):
    """Rows of different scales, which one Gaussian does not fit: the stored correction applies to new rows too.

    At most 5 % of p-values should be below 0.05, and by the model alone 13 % are; 7 % of 3,000 are 5 standard errors.
    """
    rng = np.random.default_rng(0)
    old, new = (rng.normal(size=(n, 8)) * np.exp(0.5 * rng.normal(size=(n, 1))) for n in (1000, 3000))
    found = find_anomalies(old, n_components=1, **QUIET)
    bg.save(found.fit, tmp_path / "fit.nc")
    tree = bg.load(tmp_path / "fit.nc")
    assert (judge(tree.drop_nodes("calibration"), new).rows["p_value"] < 0.05).mean() > 0.1
    assert (judge(tree, new).rows["p_value"] < 0.05).mean() < 0.07
    assert (found.rows["p_value"] < 0.05).mean() < 0.07


def test_new_rows_are_compared_with_few_fitted_rows_without_each():
    """Cross-conformal p-values, as by ``anomaly_scores``; the fitted rows keep the p-values of ``find_anomalies``."""
    rng = np.random.default_rng(3)
    old, new = rng.normal(size=(50, 5)), rng.normal(size=(400, 5))
    found = find_anomalies(old, n_components=2, background=None, **QUIET)
    tree = found.fit
    pd.testing.assert_frame_equal(judge(tree, old).rows, found.rows)
    p_value = judge(tree, new).rows["p_value"].to_numpy()
    alike = bg.anomaly_scores(tree, new, reference="cross-conformal", draws=200, progress=False)["p_value"].values
    ranked = alike > 1 / 51
    np.testing.assert_allclose(p_value[ranked], alike[ranked])
    assert (p_value[~ranked] <= 1 / 51).all()
    both = judge(tree, np.concatenate([new[:5], old[:5]])).rows["p_value"].to_numpy()
    np.testing.assert_allclose(both, [*p_value[:5], *found.rows["p_value"][:5]])


def test_a_saved_fit_judges_a_file_in_chunks_as_the_whole_table(tmp_path, ring_anomalies):
    bg.save(ring_anomalies.fit, tmp_path / "fit.nc")
    tree = bg.load(tmp_path / "fit.nc")
    table, _ = ring(seed=5)
    table.to_csv(tmp_path / "new.csv", index=False)
    whole = judge(tree, table, alpha=0.001)
    count = write_flagged(judge_file(tree, tmp_path / "new.csv", alpha=0.001, chunk=100), tmp_path / "out.csv", True)
    written = pd.read_csv(tmp_path / "out.csv", index_col="row")
    np.testing.assert_allclose(written["p_value"], whole.rows["p_value"])
    assert (written["anomaly"] == whole.rows["anomaly"]).all()
    assert (count.rows, count.judged, count.flagged) == (630, 630, int(whole.rows["anomaly"].sum()))
    assert not list(tmp_path.glob(".*"))


def test_rules_set_the_threshold():
    def flagged(p, *rule):
        return Rule.of(*rule).flag(np.array(p), np.array(p))[1].tolist()

    p = [1e-6, 0.004, 0.02, 0.3, 0.9]
    assert flagged(p, 0.05, None, None) == [True, True, True, False, False]
    assert flagged(p, 0.01, None, None) == [True, True, False, False, False]
    assert sum(flagged(p, None, 0.001, None)) == 1
    assert sum(flagged(p, None, None, 4)) == 4
    assert flagged([0.001, 0.04, 0.9], 0.05, None, None) == [True, False, False]
    with pytest.raises(DeclarationError, match="one of fdr, alpha, top and contamination, not alpha and top"):
        Rule.of(None, 0.1, 3)


def test_rows_without_values_are_not_flagged(ring_anomalies):
    table, _ = ring()
    table.loc[7] = np.nan
    marked = table.astype({"east": object}).assign(east=table["east"].replace(table.loc[9, "east"], "?"))
    judged = judge(ring_anomalies.fit, marked).rows
    assert judged["p_value"].isna().to_numpy().nonzero()[0].tolist() == [7]
    assert not judged.loc[7, "anomaly"]
    assert len(judged) == 630


def test_an_absurd_value_beside_a_gap_is_flagged():
    """A row is compared with complete ones by how improbable it is, so gaps alone make no anomaly."""
    rng = np.random.default_rng(7)
    x = rng.multivariate_normal(np.zeros(3), 0.5 * np.eye(3) + 0.5, size=400)
    x[rng.random(x.shape) < 0.15] = np.nan
    x[11] = [np.nan, 40.0, 0.1]
    x[12] = [np.nan, 2.5, -2.5]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        found = find_anomalies(x, method="em", **QUIET)
    assert found.flagged.index[0] == 11
    assert "x1 40" in found.flagged["reason"].iloc[0]
    gaps = np.isnan(x).any(axis=1) & found.table.known
    p_value = found.rows["p_value"].to_numpy()
    assert kstest(p_value[gaps], "uniform").pvalue > 1e-3
    assert p_value[12] < 0.01


def test_equal_p_values_are_ordered_by_density(ring_anomalies, tmp_path):
    """Few reference points give many rows the smallest p-value."""
    good = np.random.default_rng(0).normal(size=(100, 2))
    new = np.array([[0.0, 0.0], [50.0, 0.0], [90.0, 0.0], [70.0, 0.0]])
    found = find_anomalies(good, new, n_components=1, top=1, **QUIET)
    assert found.rows["p_value"].tolist()[1:] == [1 / 51] * 3
    assert found.flagged.index.tolist() == [2]
    count = write_flagged([judge(found.fit, new, top=3)], tmp_path / "out.csv")
    assert count.first.index.tolist() == [2, 3, 1]


def test_too_few_held_out_rows_to_flag_any_give_a_warning():
    good = np.random.default_rng(0).normal(size=(60, 2))
    new = np.concatenate([good[:20], [[50.0, 0.0]]])
    with pytest.warns(FitWarning, match=r"no row can be flagged .* 30 held-out rows; .* use top=10"):
        found = find_anomalies(good, new, n_components=1, **QUIET)
    assert not found.rows["anomaly"].any()


@pytest.mark.parametrize("rule", [{"fdr": 0}, {"alpha": 0}, {"top": 0}, {"fdr": 0.1, "alpha": 0.1}])
def test_invalid_rules_are_refused(rule):
    with pytest.raises(DeclarationError):
        find_anomalies(np.random.default_rng(0).normal(size=(60, 1)), n_components=1, **rule, **QUIET)
    with pytest.raises(DeclarationError, match="at least one number"):
        find_anomalies(np.random.default_rng(0).normal(size=(60, 1)), n_components=[], **QUIET)


def test_the_same_seed_gives_the_same_result():
    table, _ = ring(n=150, anomalies=8)
    one, again = (find_anomalies(table, n_components=[1, 2], **QUIET) for _ in range(2))
    pd.testing.assert_frame_equal(one.rows, again.rows)


def test_flagged_rows_are_those_of_the_table_by_their_p_values(ring_anomalies):
    table, _ = ring()
    assert ring_anomalies.flagged["p_value"].is_monotonic_increasing
    assert (ring_anomalies.flagged["east"] == table.loc[ring_anomalies.flagged.index, "east"]).all()


# The command line


def test_the_anomalies_command(tmp_path):
    table, _ = ring(n=300, anomalies=15)
    table.assign(name="x").to_csv(tmp_path / "train.csv", index=False)
    ring(n=100, anomalies=5, seed=9)[0].to_csv(tmp_path / "new.csv", index=False)
    args = ["anomalies", "train.csv", "-k", "3", "-o", "flagged.csv", "--top", "12", "--save", "fit.nc"]
    done = run(*args, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "text, such as 'x'" in done.stdout
    assert "12 of 315 rows flagged (the 12 smallest p-values)" in done.stdout
    flagged = pd.read_csv(tmp_path / "flagged.csv")
    assert len(flagged) == 12
    assert {"row", "east", "north", "name", "p_value", "reason"} <= set(flagged.columns)
    done = run(
        "anomalies", "new.csv", "--fit", "fit.nc", "-o", "f.csv", "--all", "--alpha", "0.01", "--json", cwd=tmp_path
    )
    answer = json.loads(done.stdout)
    assert (answer["n_rows"], answer["n_judged"]) == (105, 105)
    assert len(pd.read_csv(tmp_path / "f.csv")) == 105
    assert answer["n_flagged"] == pd.read_csv(tmp_path / "f.csv")["anomaly"].sum()
    done = run("anomalies", "train.csv", "--new", "new.csv", "-k", "3", "-o", "f.csv", "--fdr", "0.2", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for wrong, words in {
        ("--fdr", "0.1", "--top", "3"): "give one of fdr, alpha, top and contamination",
        ("--fit", "fit.nc", "--columns", "east", "-k", "2"): "--columns and --components can't be used with --fit",
        ("--fit", "fit.nc", "--seed", "0"): "--seed can't be used with --fit",
        ("--fit", "none.nc"): "there is no file none.nc",
        ("--new", "none.csv"): "there is no file none.csv",
    }.items():
        done = run("anomalies", "train.csv", "-o", "f.csv", *wrong, cwd=tmp_path)
        assert done.returncode == 1
        assert words in done.stderr
    assert run("anomalies", "train.csv", "-o", "train.csv", cwd=tmp_path).returncode == 1


def test_reference_scores_are_simulated_once(tmp_path, monkeypatch):
    """They are simulated for the fit, and not again for each table, chunk or loaded fit."""
    sizes = []
    real = p_values.simulated_scores
    monkeypatch.setattr(p_values, "simulated_scores", lambda tree, size: (sizes.append(size), real(tree, size))[1])
    table = pd.DataFrame(np.random.default_rng(0).normal(size=(60, 2)), columns=["a", "b"])
    found = find_anomalies(table, n_components=1, **QUIET)
    table.to_csv(tmp_path / "new.csv", index=False)
    again = bg.load(bg.save(found.fit, tmp_path / "fit.nc"))
    chunks = list(judge_file(again, tmp_path / "new.csv", chunk=20))
    assert sizes == [p_values.N_SIMULATED]
    np.testing.assert_array_equal(pd.concat([c.rows["p_value"] for c in chunks]), found.rows["p_value"])
