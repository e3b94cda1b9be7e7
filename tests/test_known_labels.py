"""Answers about a fit with labels, and the commands: components have names everywhere."""

import arviz as az
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import bayesgmm as bg
from bayesgmm.cards.card import load_card
from tests.commands import run
from tests.conftest import quick_gibbs

IRIS = bg.datasets.iris(labelled=5)
NAMES = ["setosa", "versicolor", "virginica"]


@pytest.fixture(scope="module")
def fit():
    return quick_gibbs(bg.MixtureModel(3), IRIS.iloc[:, :4], labels=IRIS["label"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("flowers")
    IRIS.drop(columns="species").to_csv(place / "flowers.csv", index=False)
    said = run(
        "fit", place / "flowers.csv", "-k", 3, "--label-column", "label", "--method", "em", "--seed", 1,
        "-o", place / "fit.nc",
    )  # fmt: skip
    assert "15 of 150 rows have a label: 5 of setosa, 5 of versicolor, 5 of virginica" in said.stdout + said.stderr
    assert "component versicolor" in said.stdout
    assert "left out" not in said.stdout + said.stderr
    return place


@pytest.mark.filterwarnings("ignore::bayesgmm.errors.FitWarning")
def test_every_answer_has_the_names(fit, tmp_path, unsaved) -> None:
    assert az.summary(fit, var_names=["weight"]).index.tolist() == [f"weight[{name}]" for name in NAMES]
    assert bg.assignments(fit)["component"].values.tolist() == NAMES
    assert bg.merge_components(fit)["component"].values.tolist() == NAMES
    assert set(bg.explain_anomalies(fit, IRIS.iloc[:2, :4])["component"].values) == {"setosa"}
    assert bg.label_errors(fit)["wrong"].max() < 0.1
    assert bg.relabel(fit, progress=False)["posterior"]["component"].values.tolist() == NAMES
    assert np.isfinite(bg.n_clusters(fit)).all()
    assert np.isfinite(bg.anomaly_scores(fit)["p_value"]).all()
    assert bg.partition(fit, seed=0).sizes["point"] == 150
    for draw in (bg.plots.assignments, bg.plots.pairs, bg.plots.weights, bg.plots.partition):
        draw(fit)
        plt.close("all")
    text = bg.report(fit, tmp_path / "report.html", progress=False).read_text()
    assert "Left out:" not in text
    assert "component versicolor" in text
    assert "15 of 150 rows have a label" in text
    assert "labels=labels" in text


def test_a_fit_with_labels_can_be_continued(fit) -> None:
    settings = {"labels": IRIS["label"], "start": fit, "progress": False}
    assert (
        bg.fit(bg.MixtureModel(3), IRIS.iloc[:, :4], "em", **settings)["posterior"]["component"].values.tolist()
        == NAMES
    )


def test_a_start_without_labels_gets_their_order(fit) -> None:
    """Its heaviest component comes first; the labels give it another number."""
    plain = bg.fit(bg.MixtureModel(3), IRIS.iloc[:, :4], "em", seed=1, progress=False)
    settings = {"labels": IRIS["label"], "progress": False}
    one, other = (bg.fit(bg.MixtureModel(3), IRIS.iloc[:, :4], "em", start=start, **settings) for start in (plain, fit))
    np.testing.assert_allclose(one["posterior"]["mean"], other["posterior"]["mean"], atol=1e-3)


def test_assign_writes_names(folder) -> None:
    run("assign", folder / "fit.nc", "-o", folder / "rows.csv")
    rows = pd.read_csv(folder / "rows.csv")
    known = IRIS["label"].notna()
    assert (rows["label"][known] == IRIS["label"][known]).all()
    assert rows.columns.tolist()[4:] == [f"probability_{name}" for name in NAMES]
    assert (rows["label"] == IRIS["species"]).mean() > 0.95


def test_select_and_compare_count_labels(folder) -> None:
    said = run("select", folder / "flowers.csv", "-k", "2-3", "--covariance", "full", "--label-column", "label")
    assert "labels speak of 3 components" in said.stdout + said.stderr
    said = run("compare", folder / "flowers.csv", "-k", 3, "--label-column", "label", "--methods", "em,mle")
    assert "1.000" in said.stdout


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--label-column", "nothing"], "nothing"),
        (["--label-column", "petal_width", "--columns", "petal_width"], "--columns and --label-column both name"),
        (["--label-column", "petal_width"], "components have whole numbers from 0"),
    ],
)
def test_a_wrong_column_is_one_clear_error(folder, options: list[str], words: str) -> None:
    said = run("fit", folder / "flowers.csv", "-k", 3, "--method", "em", "-o", folder / "other.nc", *options)
    assert said.returncode == 1
    assert words in said.stderr


def test_columns_of_numbers_are_labels_and_no_values(folder) -> None:
    table = IRIS.drop(columns=["species", "label"]).assign(
        group=np.where(IRIS.index % 10 == 0, IRIS.index // 50, np.nan)
    )
    table.to_csv(folder / "numbers.csv", index=False)
    run(
        "fit", folder / "numbers.csv", "-k", 3, "--label-column", "group", "--method", "em", "-o", folder / "numbers.nc"
    )
    fit = bg.load(folder / "numbers.nc")
    assert fit["posterior"]["feature"].values.tolist() == table.columns[:4].tolist()
    assert fit["posterior"]["component"].values.tolist() == [0, 1, 2]
    assert fit["posterior"]["mean"].sel(feature="petal_length").values[0, 0].argsort().tolist() == [0, 1, 2]


def test_codes_from_one_are_names_at_the_terminal(folder) -> None:
    code = IRIS["label"].map({name: k + 1 for k, name in enumerate(NAMES)})
    IRIS.iloc[:, :4].assign(code=code.astype("Int64")).to_csv(folder / "codes.csv", index=False)
    said = run(
        "fit", folder / "codes.csv", "-k", 3, "--label-column", "code", "--method", "em", "-o", folder / "codes.nc"
    )
    assert "15 of 150 rows have a label: 5 of 1, 5 of 2, 5 of 3" in said.stdout + said.stderr
    assert "component 3" in said.stdout


def test_a_text_for_unknown_labels_can_be_named(folder) -> None:
    IRIS.drop(columns="species").fillna({"label": "?"}).to_csv(folder / "asked.csv", index=False)
    command = ("fit", folder / "asked.csv", "-k", 3, "--label-column", "label", "--method", "em")
    said = run(*command, "--na", "?", "-o", folder / "asked.nc")
    assert "15 of 150 rows have a label: 5 of setosa" in said.stdout + said.stderr


def test_the_card_reads_its_labels() -> None:
    data = load_card("iris_labels").data.read()
    assert data.labels.notna().sum() == 15
    assert data.frame.columns.tolist() == IRIS.columns[:4].tolist()
    assert (data.labels.dropna() == data.truth[data.labels.notna()]).all()
