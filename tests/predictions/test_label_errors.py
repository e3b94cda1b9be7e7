"""Wrong labels: their probabilities against enumeration, and flipped labels of iris."""

import warnings

import numpy as np
import pytest

import bayesgmm as bg
from bayesgmm.errors import DataError, DeclarationError, FitWarning
from bayesgmm.predictions.cross_conformal import smoothed
from tests.labelled_points import POINTS, conjugate, exact_probabilities

LABELS = [0, None, 0, 1, 1, None]


@pytest.fixture(scope="module")
def fit():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        return bg.fit(conjugate(2), POINTS[:, None], "gibbs", labels=LABELS, seed=1, progress=False, draws=4000)


def test_probabilities_without_a_label_are_those_of_enumeration(fit) -> None:
    table = bg.label_errors(fit)
    assert sorted(table.index) == [0, 2, 3, 4]
    assert table["wrong"].is_monotonic_decreasing
    for row in table.index:
        plausible = np.array([[1.0, 1.0] if label is None else np.eye(2)[label] for label in LABELS])
        plausible[row] = 1.0
        exact = exact_probabilities(2, plausible)[row]
        assert table.loc[row, "label"] == LABELS[row]
        assert table.loc[row, "agreement"] == pytest.approx(exact[LABELS[row]], abs=0.04)
        assert table.loc[row, "component"] == exact.argmax() or exact.max() < 0.6


def test_the_probability_of_an_error_is_that_of_bayes(fit) -> None:
    for rate in (0.01, 0.3):
        table = bg.label_errors(fit, error_rate=rate)
        wrong = rate * (1 - table["agreement"])
        np.testing.assert_allclose(table["wrong"], wrong / (wrong + (1 - rate) * table["agreement"]))


@pytest.fixture(scope="module")
def flipped():
    """Iris with the labels of every third flower, two of which are wrong."""
    iris = bg.datasets.iris()
    labels = iris["species"].astype(object).where(np.arange(150) % 3 == 0)
    labels[[0, 120]] = "virginica", "setosa"
    return iris.drop(columns="species"), labels


@pytest.mark.parametrize("method", ["em", "gibbs"])
def test_flipped_labels_are_found_and_no_others(flipped, method: str) -> None:
    x, labels = flipped
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        fit = bg.fit(bg.MixtureModel(3), x, method, labels=labels, seed=1, progress=False)
    table = bg.label_errors(fit)
    assert set(table.index[table["wrong"] > 0.5]) == {0, 120}
    assert table.loc[[0, 120], "component"].tolist() == ["setosa", "virginica"]
    found = bg.diagnose(fit, ["wrong labels"], progress=False)
    assert [finding.severity for finding in found] == ["warning"]
    assert found[0].evidence["rows"] == [0, 120] or found[0].evidence["rows"] == [120, 0]
    assert "2 labels" in found[0].what


def test_right_labels_are_no_finding(flipped) -> None:
    """Of all 150 labels of iris one or two look wrong: as many as the overlap explains."""
    x, _ = flipped
    fit = bg.fit(bg.MixtureModel(3), x, "em", labels=bg.datasets.iris()["species"], seed=1, progress=False)
    assert {finding.severity for finding in bg.diagnose(fit, ["wrong labels"], progress=False)} <= {"note"}


def test_a_probability_from_few_draws_is_too_small_and_says_so() -> None:
    """The wrong one of eight labels has drawn its component to it; a fit without it gives the right probability."""
    rng = np.random.default_rng(1)
    x = np.concatenate([rng.normal(0, 1, 4), rng.normal(4, 1, 4)])[:, None]
    y = np.array(["low"] * 4 + ["high"] * 4, dtype=object)
    y[0] = "high"
    settings = {"seed": 1, "progress": False, "draws": 2000}
    fit = bg.fit(bg.MixtureModel(2), x, "gibbs", labels=y, **settings)
    with pytest.warns(
        FitWarning, match=r"1 label may be wrong, that of row 0 first: its probability, 0\.\d\d, comes from few"
    ):
        row = bg.label_errors(fit).loc[0]
    assert row["khat"] > 0.7
    found = bg.diagnose(fit, ["wrong labels"], progress=False)
    assert [(finding.severity, finding.evidence["rows"]) for finding in found] == [("note", [0])]
    y[0] = None
    without = bg.fit(bg.MixtureModel(2), x, "gibbs", labels=y, **settings)
    agreement = bg.assignments(without)["probability"].sel(component="high").values[0]
    assert row["wrong"] < 0.5 < 0.01 * (1 - agreement) / (0.01 * (1 - agreement) + 0.99 * agreement)


def test_rows_are_smoothed_independently() -> None:
    """A row whose weights are equal stops ArviZ for all rows."""
    rng = np.random.default_rng(0)
    flat, heavy, light = np.zeros(500), 5 * rng.exponential(size=500), 0.1 * rng.normal(size=500)
    weight, khat = smoothed(np.stack([flat, heavy, light]))
    assert khat[0] == 0.0
    for number, row in ((1, heavy), (2, light)):
        alone, own_khat = smoothed(row[None])
        np.testing.assert_array_equal(weight[number], alone[0])
        assert khat[number] == own_khat[0]
    assert khat[2] < 0.5 < 0.7 < khat[1]


def test_bad_input_is_one_clear_error(fit) -> None:
    plain = bg.fit(bg.MixtureModel(1), POINTS[:, None], "em", progress=False)
    with pytest.raises(DataError, match="this fit has no labels"):
        bg.label_errors(plain)
    assert "no rows have labels" in bg.diagnose(plain, ["wrong labels"], progress=False).skipped["wrong labels"]
    with pytest.raises(DeclarationError, match="error_rate"):
        bg.label_errors(fit, error_rate=2.0)
