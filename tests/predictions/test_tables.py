"""Answers as tables: assignments by row, tables that are printed whole, datasets that say how to get one."""

import inspect
import re

import numpy as np
import pandas as pd
import pytest

import bayesgmm as bg

ARGUMENTS = {
    "conditional_density": {"over": ["petal_length"], "given": {}},
    "credible_ball": {},
    "deconvolve": {"noise": 0.1},
    "elicit": {"n_points": 20, "draws": 50},
    "merge_components": {},
}
TABLE = re.compile(r"``(answer[^`]*)``")


def datasets():
    """Public functions that return a Dataset or a DataArray."""
    functions = {name: getattr(bg, name) for name in bg.__all__ if inspect.isfunction(getattr(bg, name))}
    kinds = {name: str(inspect.signature(function).return_annotation) for name, function in functions.items()}
    return [name for name, kind in kinds.items() if "Dataset" in kind or "DataArray" in kind]


@pytest.fixture(scope="module")
def gaps():
    data = bg.datasets.iris(missing=0.1, seed=1)[["petal_length", "petal_width"]]
    return bg.fit(bg.MixtureModel(2, "tied"), data, "em", seed=1, progress=False)


@pytest.fixture(scope="module")
def small():
    data = bg.datasets.iris()[["petal_length", "petal_width"]]
    settings = {"draws": 50, "tune": 50, "max_draws": 50, "chains": 2, "disagreement": "report"}
    return bg.fit(bg.MixtureModel(3, "tied"), data, "gibbs", seed=1, progress=False, **settings)


def answer_of(name, fit, gaps):
    if name == "elicit":
        return bg.elicit(bg.MixtureModel(3), **ARGUMENTS[name])
    if name == "credible_ball":
        return bg.credible_ball(fit, bg.partition(fit))
    if name == "factor_loadings":
        flowers = bg.datasets.iris().drop(columns="species")
        return bg.factor_loadings(bg.fit(bg.MixtureModel(1, bg.FactorAnalysers(1)), flowers, "em", progress=False))
    return getattr(bg, name)(gaps if name == "impute" else fit, **ARGUMENTS.get(name, {}))


@pytest.mark.filterwarnings("ignore::bayesgmm.FitWarning")
@pytest.mark.parametrize("name", datasets())
def test_what_returns_a_dataset_says_how_to_get_the_table(name, small, gaps):
    text = " ".join(inspect.getdoc(getattr(bg, name)).split())
    if name == "assignments":
        assert "``assignments_table`` returns the same as a table" in text
        return
    written = TABLE.findall(text)
    assert written
    answer = answer_of(name, small, gaps)
    for code in written:
        assert isinstance(eval(code, {"answer": answer}), pd.DataFrame | pd.Series)


@pytest.mark.filterwarnings("ignore::bayesgmm.FitWarning")
def test_the_table_of_assignments_has_the_index_of_the_data(small):
    new = bg.datasets.iris()[["petal_length", "petal_width"]].iloc[::50].set_axis(["a", "b", "c"])
    table, answer = bg.assignments_table(small, new), bg.assignments(small, new)
    assert table.index.tolist() == ["a", "b", "c"]
    np.testing.assert_array_equal(table.filter(like="probability_"), answer["probability"])
    np.testing.assert_allclose(table["uncertainty"], 1 - answer["probability"].max("component"))
    np.testing.assert_array_equal(table["label"], answer["label"])
    assert bg.assignments_table(small).index.tolist() == list(range(150))


def test_labels_are_names_where_components_have_some():
    x = [[0.0], [1.0], [5.0], [6.0]]
    fit = bg.fit(bg.MixtureModel(2, "tied"), x, "em", labels=["low", None, "high", None], seed=1, progress=False)
    table = bg.assignments_table(fit)
    assert table["label"].tolist() == ["low", "low", "high", "high"]
    assert {"probability_low", "probability_high"} < set(table)


def test_tables_are_printed_whole(monkeypatch, gaps):
    monkeypatch.setenv("COLUMNS", "80")
    compared = bg.compare({"a": gaps, "b": gaps})
    errors = bg.standard_errors(gaps)
    assert all(name in repr(compared) for name in compared.columns)
    assert "..." not in repr(compared)
    assert "..." not in compared._repr_html_()
    assert "..." not in repr(errors)
    assert type(compared[["bic"]]) is pd.DataFrame
