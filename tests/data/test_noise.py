"""Input validation of errors of measurement: shapes, and one clear error for each kind of wrong ones."""

import numpy as np
import pandas as pd
import pytest

from bayesgmm.data.points import as_points
from bayesgmm.errors import DataError

X = np.array([[1.0, 10.0], [2.0, 30.0], [4.0, 20.0]])
POINTS = as_points(pd.DataFrame(X, columns=["a", "b"]))


@pytest.mark.parametrize("noise", [0.5, [0.5, 0.5], np.full((3, 2), 0.5)])
def test_standard_errors_are_those_of_each_cell(noise: object) -> None:
    assert np.array_equal(POINTS.measured(noise).noise, np.full((3, 2), 0.5))


def test_a_table_of_errors_is_read_by_name_or_in_order() -> None:
    own = pd.DataFrame({"b": [3.0] * 3, "a": [1.0] * 3})
    other = pd.DataFrame({"a_err": [1.0] * 3, "b_err": [3.0] * 3})
    for table in (own, other):
        assert POINTS.measured(table).noise[0].tolist() == [1.0, 3.0]


@pytest.mark.parametrize("kind", [dict, pd.Series, lambda numbers: pd.Series(numbers, name="sd")])
def test_one_number_for_each_column_is_read_by_name(kind) -> None:
    assert POINTS.measured(kind({"b": 3.0, "a": 1.0})).noise[0].tolist() == [1.0, 3.0]
    assert POINTS.measured(kind({"a": 1.0, "b": 3.0})).noise[0].tolist() == [1.0, 3.0]


def test_rows_in_another_order_are_refused() -> None:
    """Read by position they would be wrong, and read by label they could be, where the data are an array."""
    noise = pd.DataFrame({"a_err": [1.0, 2.0, 3.0], "b_err": 1.0})
    with pytest.raises(DataError, match="noise has the row labels of the data in another order"):
        POINTS.measured(noise[::-1])
    assert POINTS.measured(noise[::-1].to_numpy()).noise[:, 0].tolist() == [3.0, 2.0, 1.0]
    assert POINTS.measured(noise.set_index(np.array([9, 8, 7]))).noise[:, 0].tolist() == [1.0, 2.0, 3.0]


def test_an_infinite_error_makes_a_value_missing() -> None:
    noise = np.ones((3, 2))
    noise[1, 0] = np.inf
    points = POINTS.measured(noise)
    assert np.isnan(points.values[1, 0])
    assert points.noise[1].tolist() == [0.0, 1.0]


def test_the_error_of_a_missing_value_is_not_read() -> None:
    x = X.copy()
    x[0, 0] = np.nan
    noise = np.ones((3, 2))
    noise[0, 0] = np.nan
    assert as_points(x, gaps=True).measured(noise).noise[0].tolist() == [0.0, 1.0]


def covariance(change: object) -> np.ndarray:
    matrices = np.tile(np.array([[0.04, 0.01], [0.01, 0.09]]), (3, 1, 1))
    matrices[2] = change
    return matrices


@pytest.mark.parametrize(
    ("noise", "message"),
    [
        (np.ones((2, 2)), r"noise has shape \(2, 2\) for data of shape \(3, 2\)"),
        (np.full((3, 2), "x"), "noise is not an array of numbers"),
        (True, "noise is not an array of numbers"),
        ("a_err", r"noise is text, 'a_err', and not numbers\n.*noise=table\[\['a_err'\]\]"),
        (["a_err", "b_err"], r"noise is text, 'a_err', 'b_err', and not numbers"),
        (pd.DataFrame({"e": [1.0] * 3, "f": ["x"] * 3}), "noise: 1 column is not numeric: 'f'"),
        ([0.1, -0.2], "3 standard errors are negative: row 0, column 'b' has -0.2"),
        ([[0.1, 0.1], [np.nan, 0.1], [0.1, 0.1]], "1 standard error is missing: row 1, column 'a'"),
        ([4000.0, 1.0], "3 standard errors are larger than 1000 times the range of the column: row 0, column 'a'"),
        (covariance([[0.04, 0.5], [0.5, 0.09]]), "1 matrix is not the covariance of errors: row 2"),
        (covariance([[0.04, 0.01], [0.0, 0.09]]), "1 matrix is not the covariance of errors: row 2"),
        (covariance([[np.inf, 0.0], [0.0, 0.09]]), "1 matrix is not the covariance of errors: row 2"),
        (covariance([[0.0, 0.01], [0.01, 0.09]]), "1 matrix is not the covariance of errors: row 2"),
    ],
)
def test_wrong_errors_have_one_message(noise: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        POINTS.measured(noise)


def test_an_exact_column_may_stand_beside_correlated_errors() -> None:
    matrices = covariance([[0.0, 0.0], [0.0, 0.09]])
    assert np.array_equal(POINTS.measured(matrices).noise, matrices)


def test_errors_follow_rows_columns_and_the_fingerprint() -> None:
    points = POINTS.measured([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    assert points.take(np.array([2, 0])).noise.tolist() == [[5.0, 6.0], [1.0, 2.0]]
    assert points.in_columns([1]).noise.ravel().tolist() == [2.0, 4.0, 6.0]
    assert points.fingerprint != POINTS.fingerprint
