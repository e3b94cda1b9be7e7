"""Answers about a fit whose rows have missing cells: each works, or says what it needs."""

import warnings

import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

import bayesgmm as bg
from bayesgmm.datasets import make_mixture
from tests.commands import run

SAMPLE = make_mixture(n_points=200, n_features=3, n_components=2, overlap=0.01, seed=3)
HOLED = np.where(np.random.default_rng(0).random(SAMPLE.X.shape) < 0.15, np.nan, SAMPLE.X)


@pytest.fixture(scope="module")
def fit():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bg.FitWarning)
        return bg.fit(bg.MixtureModel(2), HOLED, "gibbs", seed=1, draws=200, tune=100, max_draws=200, progress=False)


def test_clusters_are_found_among_gaps(fit) -> None:
    best = bg.partition(fit, seed=0)
    assert np.isfinite(best["expected_distance"].values).all()
    assert adjusted_rand_score(best["label"].values, SAMPLE.label) > 0.9
    merged = bg.merge_components(fit)
    assert merged.sizes["point"] == 200


def test_checks_that_need_complete_rows_are_named(fit) -> None:
    found = bg.diagnose(fit, progress=False)
    assert {"predictive fit", "unexplained points"} <= {name for name, why in found.skipped.items() if "missing" in why}
    assert not found.of("problem")


def test_reasons_are_those_of_the_observed_cells(fit) -> None:
    """A row is explained as by the marginal mixture of its observed columns, and a wrong value is found among them."""
    wrong = SAMPLE.X[:3].copy()
    wrong[0, 1] += 30.0
    wrong[[0, 1], 2] = np.nan
    wrong[2] = np.nan
    answer = bg.explain_anomalies(fit, wrong, draws=None)
    assert answer["suspect"].values.tolist() == [[False, True, False], [False] * 3, [False] * 3]
    assert str(answer["reason"].values[0]).startswith("x1")
    assert answer["reason"].values[2] == "no value is observed"
    assert np.isnan(answer["z"].values).tolist() == np.isnan(wrong).tolist()
    p = fit["posterior"].to_dataset().stack(draw_=("chain", "draw"))
    k = int(answer["component"].values[1])
    own = p.sel(component=k).transpose("draw_", ...)
    precision = np.linalg.inv(own["covariance"].values[:, :2, :2])
    away = wrong[1, :2] - own["mean"].values[:, :2]
    z = np.einsum("sij,sj->si", precision, away) / np.sqrt(np.diagonal(precision, axis1=1, axis2=2))
    np.testing.assert_allclose(answer["z"].values[1, :2], z.mean(axis=0), rtol=1e-8)


def test_pictures_show_what_is_observed(fit) -> None:
    for draw in (bg.plots.assignments, bg.plots.pairs, bg.plots.density, bg.plots.anomalies, bg.plots.partition):
        draw(fit)
        plt.close("all")
    with pytest.raises(bg.errors.DataError, match="needs complete rows"):
        bg.plots.check(fit)


def test_the_pattern_of_gaps_is_counted(fit) -> None:
    data = bg.plots.missing_data(fit)
    cells = np.isnan(HOLED)
    assert data["count"].values.sum() == 200
    assert (data["total"].values == cells.sum(axis=0)).all()
    first = data["missing"].values[0]
    assert data["count"].values[0] == (cells == first).all(axis=1).sum() == data["count"].values.max()
    figure = bg.plots.missing(fit)
    assert next(text.get_text() for text in figure.axes[0].get_xticklabels()) == f"x0\n{cells[:, 0].sum()}"
    plt.close("all")


def test_imputed_values_are_shown_with_their_intervals(fit) -> None:
    data, cells = bg.plots.imputation_data(fit, seed=1), np.isnan(HOLED)
    assert data.sizes["cell"] == cells.sum()
    inner, outer = data["interval"].values[:, 0], data["interval"].values[:, 1]
    assert ((outer[:, 0] < inner[:, 0]) & (inner[:, 0] < inner[:, 1]) & (inner[:, 1] < outer[:, 1])).all()
    truth = SAMPLE.X[data["row"].values, [int(name[1]) for name in data["column"].values]]
    assert ((outer[:, 0] < truth) & (truth < outer[:, 1])).mean() > 0.75
    assert len(bg.plots.imputations(fit, columns=["x2", "x0"]).axes) >= 2
    plt.close("all")
    with pytest.raises(bg.errors.DataError, match="no value is missing"):
        bg.plots.imputations(fit, SAMPLE.X)
    with pytest.raises(bg.errors.DataError, match="no value is missing"):
        bg.plots.missing(fit, SAMPLE.X)


def test_a_report_says_how_many_values_are_missing(fit, tmp_path, unsaved) -> None:
    path = bg.report(fit, tmp_path / "r.html", progress=False)  # a part that fails would warn, which is an error here
    text = path.read_text()
    assert "values are missing, in" in text
    assert "<h3>Missing values</h3>" in text
    assert "<h3>Imputed values</h3>" in text


def test_a_fit_with_gaps_is_read_again(fit, tmp_path) -> None:
    bg.save(fit, tmp_path / "f.nc")
    again = bg.load(tmp_path / "f.nc")
    assert np.array_equal(bg.density(again)["density"].values, bg.density(fit)["density"].values)


def test_selection_uses_rows_with_gaps() -> None:
    table = bg.select(HOLED, n_components=(1, 2, 3), covariance="full", seed=0, progress=False)
    assert table.iloc[0]["n_components"] == 2


def test_the_command_line_imputes(tmp_path) -> None:
    np.savetxt(tmp_path / "x.csv", HOLED, delimiter=",", header="a,b,c", comments="", fmt="%.6g")
    said = run("fit", tmp_path / "x.csv", "-k", 2, "-o", tmp_path / "f.nc", "--method", "em", "--seed", 1)
    assert f"{np.isnan(HOLED).sum()} of 600 values are missing" in said.stdout + said.stderr
    run("impute", tmp_path / "f.nc", "-o", tmp_path / "filled", "--draws", 2)
    read = np.loadtxt(tmp_path / "filled" / "imputation_2.csv", delimiter=",", skiprows=1)[:, 1:]
    seen = ~np.isnan(HOLED)
    np.testing.assert_allclose(read[seen], HOLED[seen], rtol=1e-5)
    assert np.isfinite(read).all()
    run("fit", tmp_path / "filled" / "imputation_1.csv", "-k", 1, "-o", tmp_path / "g.nc", "--method", "em")
    said = run("impute", tmp_path / "g.nc", "-o", tmp_path / "none")
    assert "no value is missing in the points that were fitted" in said.stderr
    assert not (tmp_path / "none").exists()
