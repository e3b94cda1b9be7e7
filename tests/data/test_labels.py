"""Input validation of labels: forms, and one clear error for each kind of wrong ones."""

import numpy as np
import pandas as pd
import polars as pl
import pytest

from bayesgmm.data.labels import Labels, as_labels, exchangeable_groups
from bayesgmm.data.points import as_points
from bayesgmm.errors import DataError

FIRST_AND_LAST = [[1.0, 0.0, 0.0], [1.0, 1.0, 1.0], [0.0, 1.0, 0.0]]


def labelled(labels: object, k: int = 2, index: object = None):
    return as_labels(labels, 3, k, np.arange(3) if index is None else index)


@pytest.mark.parametrize(
    "labels",
    [
        [0, None, 1],
        [0, -1, 1],
        [0.0, np.nan, 1.0],
        pd.Series([0, pd.NA, 1], dtype="Int64"),
        pl.Series("y", [0, None, 1]),
        np.ma.masked_array([0, 7, 1], mask=[False, True, False]),
        pd.DataFrame({"y": [0, -1, 1]}),
        [[True, False], [True, True], [False, True]],
        [[0.5, 0.0], [np.nan, np.nan], [0, 3]],
    ],
)
def test_numbers_and_allowed_components_are_read(labels: object) -> None:
    found = labelled(labels)
    assert found.plausible.tolist() == FIRST_AND_LAST
    assert found.names == ()


@pytest.mark.parametrize(
    "labels",
    [
        ["high", "", "low"],
        np.array(["high", None, "low"], dtype=object),
        pd.Series(["high", None, "low"]),
        pl.Series("y", ["high", None, "low"]),
        pd.DataFrame({"high": [1, 1, 0], "low": [0, 1, 1]}),
        [" high", "\t", "low "],
        [b"high", b"", b"low"],
        np.array(["high", -1, "low"]),  # numpy makes -1 a text
    ],
)
def test_names_are_read(labels: object) -> None:
    found = labelled(labels)
    assert found.plausible.tolist() == FIRST_AND_LAST
    assert found.names == ("high", "low")


def test_names_are_sorted_and_categories_keep_their_order() -> None:
    assert labelled(["b", "a", None]).names == ("a", "b")
    given = pd.Series(pd.Categorical(["b", "a", None], ["b", "unused", "a"]))
    assert labelled(given).names == ("b", "a")


def test_an_order_of_names_counts_where_one_is_declared() -> None:
    """Of polars' categories only those of an Enum are in an order; the others are as they were first seen."""
    for name in ("", "y"):
        assert labelled(pl.Series(name, ["b", "a", None], dtype=pl.Enum(["b", "a"]))).names == ("b", "a")
        assert labelled(pl.Series(name, ["b", "a", None], dtype=pl.Categorical)).names == ("a", "b")


@pytest.mark.parametrize(
    "labels", [[1, None, 2], [1.0, np.nan, 2.0], [1, -1, 2], pd.Series(pd.Categorical([1, None, 2]))]
)
def test_numbers_that_no_component_has_are_names(labels: object) -> None:
    found = labelled(labels)
    assert found.names == ("1", "2")
    assert found.plausible.tolist() == FIRST_AND_LAST
    assert labelled(labels, k=3).component_names(3).tolist() == [0, 1, 2]
    assert as_labels([10, 2, 9], 3, 3, np.arange(3)).names == ("2", "9", "10")


def test_free_components_get_the_next_numbers() -> None:
    assert labelled(["1", "", "3"], k=4).component_names(5).tolist() == ["1", "3", "2", "4", "5"]


def test_gathered_labels_need_only_the_components_that_they_name() -> None:
    found = labelled([1, None, 3], k=9)
    found.gathered().require(2)
    assert found.gathered().plausible.tolist() == FIRST_AND_LAST
    with pytest.raises(DataError, match="labels speak of 4 components"):
        found.require(3)
    named = Labels(np.array([[0.0, 1.0, 0.0], [1.0, 1.0, 1.0]]), ("a", "b"))
    assert named.gathered().names == ("b",)


def test_one_column_is_a_label_for_each_row() -> None:
    assert as_labels(pd.DataFrame({"y": ["x", None]}), 2, 1, np.arange(2)).names == ("x",)
    assert as_labels([[0], [-1]], 2, 1, np.arange(2)).plausible.tolist() == [[1, 0], [1, 1]]


def test_components_without_a_label_stay_free() -> None:
    found = labelled(["a", None, "b"], k=4)
    assert found.of_components(4).tolist() == [[1, 0, 0, 0], [1, 1, 1, 1], [0, 1, 0, 0]]
    assert found.component_names(4).tolist() == ["a", "b", "2", "3"]
    assert exchangeable_groups(found.plausible, 4).tolist() in ([1, 0, 2, 2], [2, 1, 0, 0], [1, 2, 0, 0])
    numbers = labelled([0, None, 0], k=20)
    assert numbers.plausible.shape == (3, 2)
    assert numbers.component_names(20).tolist() == [*range(20)]


def test_plausibilities_count_up_to_a_factor_of_the_row() -> None:
    found = labelled([[0.2, 0.1], [3.0, 3.0], [0.0, 0.4]])
    assert found.plausible.tolist() == [[1.0, 0.5, 0.0], [1.0, 1.0, 1.0], [0.0, 1.0, 0.0]]


@pytest.mark.parametrize("labels", [[None] * 3, [-1] * 3, np.ones((3, 2)), [np.nan] * 3, ["", " ", ""]])
def test_no_label_is_no_labels(labels: object) -> None:
    assert labelled(labels) is None


def test_labels_that_treat_all_components_alike_leave_one_group() -> None:
    assert exchangeable_groups(None, 3) is None
    assert exchangeable_groups(np.ones((3, 4)), 3) is None


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ([0, 5, 1], ["'0', '1', '5'", "the model has 2", "n_components=3"]),
        ([0, -2, 1], ["row 1 has -2", "-1 means no label"]),
        ([0, 0.5, 1], ["row 1 has 0.5", "Names are texts"]),
        ([0, np.inf, 1], ["row 1 has inf", "whole numbers"]),
        ([0, 1e300, 1], ["row 1 has 1e+300", "whole numbers"]),
        (["a", "b", "?"], ["'?', 'a', 'b'", "the model has 2", "n_components=3", "an empty cell"]),
        ([[1, 2], [3], [4, 5, 6]], ["one name or number for each row"]),
        (pd.DataFrame([[1, 0]] * 3, columns=["a", "a "]), ["names must differ", "'a'"]),
        ([0, 1], ["shape (2,)", "3 rows", "(3, 2)"]),
        (np.ones((3, 4)), ["shape (3, 4)", "2 components"]),
        ([[0, 0], [1, 1], [1, 1]], ["row 0", "no component"]),
        ([[1, -1], [1, 1], [1, 0]], ["row 0", "negative"]),
        ([[1, np.nan], [1, 1], [1, 0]], ["row 0", "missing"]),
        ([["x", "y"]] * 3, ["plausibilities", "numbers"]),
        (3, ["shape ()"]),
        ("species", ["the text 'species'", "X['species']"]),
    ],
)
def test_a_wrong_label_is_one_clear_error(labels: object, words: list[str]) -> None:
    with pytest.raises(DataError) as error:
        labelled(labels)
    for word in words:
        assert word in str(error.value)


def test_a_series_in_another_order_is_refused() -> None:
    given = pd.Series(["a", "b", None], index=[2, 0, 1])
    with pytest.raises(DataError, match="labels has the row labels of the data in another order"):
        labelled(given)
    assert labelled(given, index=np.array([2, 0, 1])).names == ("a", "b")


def test_rows_keep_their_labels() -> None:
    points = as_points([[1.0], [2.0], [3.0]]).labelled(["a", None, "b"], 2)
    assert points.take(np.array([2, 0])).labels.plausible.tolist() == [[0, 1, 0], [1, 0, 0]]
    assert points.unlabelled().labels is None
    assert points.fingerprint != points.unlabelled().fingerprint
