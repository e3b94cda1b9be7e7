"""The transforms of all columns."""

import numpy as np
import pytest

from bayesgmm.data.points import as_points
from bayesgmm.errors import DataError
from bayesgmm.transforms.columns import ColumnTransforms
from bayesgmm.transforms.curves import Arcsinh, Power

X = np.array([[1.0, 5.0], [20.0, -3.0]])
BOTH = ColumnTransforms({"income": Power(0, start=0.1), "change": Arcsinh(0.0, 2.0)})


def test_plain_values_are_read_back():
    plain = BOTH.model_dump()
    assert ColumnTransforms.parse(plain, "a fit") == BOTH


def test_points_are_found_by_the_names_of_their_columns_and_keep_labels_and_weights():
    points = as_points({"change": X[:, 1], "other": [0, 0], "income": X[:, 0]}).weighed([1.0, 2.0])
    applied = BOTH.applied(points)
    assert applied.columns == ("log(income)", "arcsinh(change)")
    assert np.allclose(applied.values, np.column_stack([np.log(X[:, 0]), np.arcsinh(X[:, 1] / 2)]))
    assert applied.weights.tolist() == [1, 2]
    assert applied.index.tolist() == [0, 1]


def test_a_missing_column_is_named():
    with pytest.raises(DataError, match="lack 'change'"):
        BOTH.applied(as_points({"income": [1.0, 2.0]}))


def test_the_jacobian_is_the_sum_over_the_columns():
    expected = -np.log(X[:, 0]) - 0.5 * np.log(X[:, 1] ** 2 + 4)
    assert np.allclose(BOTH.log_slope(X), expected)


def test_columns_that_do_not_change_are_the_same_object():
    same = ColumnTransforms({"x0": None, "x1": None})
    points = as_points(X)
    assert same.applied(points) is points
    assert same.inverse(X) is X
    assert same.log_slope(X).tolist() == [0, 0]


def test_names_after_the_transform_are_different():
    transforms = ColumnTransforms({"x": Power(0, start=1.0), "log(x)": None})
    assert transforms.fitted_names == ("log(x)'", "log(x)")


def test_only_estimated_parameters_are_counted():
    assert BOTH.n_parameters == 2
    assert ColumnTransforms({"x": Power(0.5, start=1.0), "y": None}).n_parameters == 1
