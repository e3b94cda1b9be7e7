"""Answers about a fit with errors of measurement, and the commands: each works, or says what it needs."""

import warnings

import arviz as az
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import adjusted_rand_score

import bayesgmm as bg
from tests.commands import run
from tests.conftest import quick_gibbs

STARS = bg.datasets.open_cluster(300, 120, seed=1)
NAMES = ["parallax", "pm_ra", "pm_dec"]
ERRORS = [f"{name}_error" for name in NAMES]


@pytest.fixture(scope="module")
def fit():
    return quick_gibbs(bg.MixtureModel(2), STARS[NAMES], noise=STARS[ERRORS])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("stars")
    STARS.rename_axis("star").to_csv(place / "stars.csv")
    command = ("fit", place / "stars.csv", "-k", 2, "--columns", ",".join(NAMES), "--noise-columns", ",".join(ERRORS))
    said = run(*command, "--method", "em", "--seed", 1, "-o", place / "f.nc")
    assert "median standard error" in said.stdout + said.stderr
    return place


def test_every_answer_works(fit, tmp_path, unsaved) -> None:
    assert adjusted_rand_score(bg.partition(fit, seed=0)["label"].values, STARS["group"]) > 0.6
    assert bg.merge_components(fit).sizes["point"] == 300
    assert np.isfinite(bg.n_clusters(fit)).all()
    assert np.isfinite(bg.anomaly_scores(fit)["p_value"]).all()
    for draw in (bg.plots.assignments, bg.plots.pairs, bg.plots.density, bg.plots.anomalies, bg.plots.partition):
        draw(fit)
        plt.close("all")
    bg.plots.check(fit)
    plt.close("all")
    found = bg.diagnose(fit, progress=False)
    assert found.skipped["unexplained points"] == "the values have errors of measurement"
    assert "predictive fit" not in found.skipped
    path = bg.report(fit, tmp_path / "r.html", progress=False)  # a part that fails would warn, which is an error here
    assert "median standard error" in path.read_text()


def test_reasons_are_those_of_the_measured_values(fit) -> None:
    """A difference of ten counts only if it was measured well; z-scores are those of spread and error together."""
    mean = fit["posterior"].to_dataset().mean(("chain", "draw"))
    k = int(mean["covariance"].values[:, 0, 0].argmin())
    x = mean["mean"].values[[k, k, k]]
    x[:, 1] += 10.0
    x[2, 2] = np.nan
    sd = np.array([[0.1, 0.1, 0.1], [0.1, 20.0, 0.1], [0.2, 0.3, 0.4]])
    answer = bg.explain_anomalies(fit, x, noise=sd, draws=None)
    assert answer["suspect"].values.tolist() == [[False, True, False], [False] * 3, [False, True, False]]
    names = fit["posterior"]["component"].values
    for n, at in ((0, [0, 1, 2]), (1, [0, 1, 2]), (2, [0, 1])):
        own = fit["posterior"].to_dataset().sel(component=names[names == answer["component"].values[n]][0])
        own = own.stack(sample=("chain", "draw")).transpose("sample", ...)
        covariance = (own["covariance"].values + np.diag(sd[n] ** 2))[:, at][:, :, at]
        pulled = np.einsum("sij,sj->si", np.linalg.inv(covariance), x[n, at] - own["mean"].values[:, at])
        z = pulled / np.sqrt(np.diagonal(np.linalg.inv(covariance), axis1=1, axis2=2))
        np.testing.assert_allclose(answer["z"].values[n, at], z.mean(axis=0), rtol=1e-8)
    own = bg.explain_anomalies(fit)
    np.testing.assert_allclose(own["z"], bg.explain_anomalies(fit, STARS[NAMES], noise=STARS[ERRORS])["z"])


def test_leave_one_out_uses_the_errors(fit) -> None:
    filled = bg.log_likelihood(fit, progress=False)
    log = filled["log_likelihood"]["x"]
    np.testing.assert_allclose(log.sum("point"), fit["sample_stats"]["loglik"], rtol=1e-9)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a k-hat may be too high
        row = bg.compare({"fit": fit}).loc["fit"]
        assert row["elpd_loo"] == pytest.approx(az.loo(filled).elpd, abs=0.01)
    without = fit.copy()
    without["sample_stats"] = without["sample_stats"].to_dataset().drop_vars("loglik")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert bg.compare({"fit": without}).loc["fit", "loglik"] == pytest.approx(row["loglik"], rel=1e-9)


def test_a_background_and_row_weights_stand_beside_errors() -> None:
    model = bg.MixtureModel(2, background=bg.Background(0.05))
    weights = np.random.default_rng(0).uniform(0.5, 2.0, 300)
    fit = bg.fit(model, STARS[NAMES], "vb", noise=STARS[ERRORS], sample_weight=weights, seed=1, progress=False)
    sd = np.sqrt(np.diagonal(fit["posterior"]["covariance"].mean(("chain", "draw")).values, axis1=1, axis2=2))
    assert 0.15 < sd[:, 0].min() < 0.3


def test_minibatches_see_the_errors() -> None:
    """Against the fit of all rows; the measured cluster is twice as wide."""
    stars = bg.datasets.open_cluster(2000, 800, seed=2)
    settings = {"noise": stars[ERRORS], "seed": 1, "progress": False}
    spread = []
    for more in ({}, {"batch_size": 500}):
        fit = bg.fit(bg.MixtureModel(2), stars[NAMES], "vb", **settings, **more)
        covariance = fit["posterior"]["covariance"].mean(("chain", "draw")).values
        spread.append(np.sqrt(np.diagonal(covariance, axis1=1, axis2=2)).min(axis=0))
    np.testing.assert_allclose(spread[1], spread[0], rtol=0.1)


def test_a_card_has_columns_of_errors() -> None:
    card = bg.load_card("open_cluster")
    table = card.data.read()
    assert [*table.frame.columns] == NAMES
    assert [*table.noise.columns] == ERRORS
    explained = str(bg.explain_card("open_cluster"))
    assert "Their standard errors are in `parallax_error`" in explained
    assert "data.frame, noise=data.noise, " in explained


def test_the_command_line_reads_columns_of_errors(folder) -> None:
    fit = bg.load(folder / "f.nc")
    assert np.array_equal(fit["observed_data"]["noise"], STARS[ERRORS])
    assert [*fit["posterior"].coords["feature"].values] == NAMES


def test_answers_at_the_terminal_use_the_errors(folder) -> None:
    errors = ("--noise-columns", ",".join(ERRORS))
    run("assign", folder / "f.nc", "-o", folder / "own.csv")
    run("assign", folder / "f.nc", folder / "stars.csv", *errors, "-o", folder / "new.csv")
    run("assign", folder / "f.nc", folder / "stars.csv", "-o", folder / "exact.csv")
    own, new, exact = (pd.read_csv(folder / f"{name}.csv")["probability_0"] for name in ("own", "new", "exact"))
    np.testing.assert_allclose(new, own, atol=1e-9)
    assert np.abs(exact - own).max() > 0.2
    run("deconvolve", folder / "f.nc", "-o", folder / "true", "--draws", 2)
    mean = pd.read_csv(folder / "true" / "mean.csv", index_col=0)
    right = bg.deconvolve(bg.load(folder / "f.nc"))["mean"].values
    np.testing.assert_allclose(mean.to_numpy(), right, rtol=1e-5)
    assert len(pd.read_csv(folder / "true" / "draw_2.csv")) == 300
    table = ("select", folder / "stars.csv", "-k", "1-2", "--covariance", "full", "--columns", ",".join(NAMES))
    said = run(*table, *errors, "--seed", 1, "-o", folder / "t.csv")
    assert pd.read_csv(folder / "t.csv")["n_components"].iloc[0] == 2, said


def test_an_empty_cell_of_an_error_makes_a_value_missing(tmp_path) -> None:
    table = STARS.copy()
    table.loc[3, "pm_ra_error"] = np.nan
    table.to_csv(tmp_path / "x.csv", index=False)
    command = ("fit", tmp_path / "x.csv", "-k", 1, "--noise-columns", ",".join(ERRORS), "--method", "em")
    said = run(*command, "-o", tmp_path / "f.nc")
    assert "1 of 900 values is missing" in said.stdout + said.stderr


def test_one_column_of_errors_may_serve_for_several(folder) -> None:
    command = ("fit", folder / "stars.csv", "-k", 1, "--columns", "pm_ra,pm_dec", "--method", "em")
    run(*command, "--noise-columns", "pm_ra_error,pm_ra_error", "-o", folder / "same.nc")
    noise = bg.load(folder / "same.nc")["observed_data"]["noise"].values
    assert np.array_equal(noise[:, 0], STARS["pm_ra_error"])
    assert np.array_equal(noise[:, 0], noise[:, 1])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--noise-columns", "nope"), "there is no column 'nope'"),
        (("--noise-columns", "pm_ra_error"), "noise has 1 column for 3 columns"),
        (("--noise-columns", "pm_ra_error,pm_dec_error,pm_ra"), "--columns and --noise-columns both name 'pm_ra'"),
    ],
)
def test_wrong_columns_have_one_message(folder, options, message) -> None:
    command = ("fit", folder / "stars.csv", "-k", 2, "--columns", ",".join(NAMES), "-o", folder / "no.nc")
    said = run(*command, *options)
    assert said.returncode
    assert message in said.stderr
