"""The columns that a fit uses by default, and what is said about columns that are no measurements."""

import warnings

import numpy as np
import pandas as pd
import pytest

import bayesgmm as bg
from bayesgmm.data.points import as_points
from bayesgmm.screening.measurements import measurements, measurements_of_first, unlikely_values

RNG = np.random.default_rng(0)
N = 40
SIZE = RNG.normal(size=N)


def table(**columns):
    return pd.DataFrame({"size": SIZE, **columns})


IDS = {
    "rownames": np.arange(N),
    "Unnamed: 0": np.arange(1, N + 1),
    "index": np.r_[1 : N // 2 + 1, 1 : N // 2 + 1],
    "customer_id": RNG.permutation(9000)[:N],
    "zip": RNG.integers(10_000, 99_999, N),
}
HONEST = {
    "time": np.arange(N),
    "t": np.linspace(0, 4, N),
    "year": np.arange(1980, 1980 + N),
    "day": np.repeat(np.arange(N // 4), 4),
    "glucose index": RNG.normal(5, 1, N),
    "depth": np.arange(0, 10 * N, 10),
    "children": RNG.poisson(2, N),
    "score": RNG.integers(0, 100, N),
}


@pytest.mark.parametrize("name", IDS)
def test_fit_and_select_warn_of_ids_in_a_table_that_was_given(name):
    data = table(**{name: IDS[name]})
    with pytest.warns(bg.TableWarning, match=f"column '{name}' is probably no measurement.*\n.*columns=\\['size'\\]"):
        bg.fit(bg.MixtureModel(1), data, "em", seed=1, progress=False)
    with pytest.warns(bg.TableWarning, match=f"column '{name}' is probably no measurement"):
        bg.select(data, [1], "full", seed=1, progress=False)


@pytest.mark.parametrize("name", IDS)
def test_nothing_is_said_of_columns_that_were_chosen(name):
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        bg.fit(bg.MixtureModel(1), table(**{name: IDS[name]}), "em", columns=["size", name], seed=1, progress=False)
    assert [one for one in said if one.category is bg.TableWarning] == []


@pytest.mark.parametrize("name", HONEST)
def test_nothing_is_said_of_measurements_on_a_grid(name):
    data = table(**{name: HONEST[name]})
    assert unlikely_values(data, as_points(data)) == []


def test_nothing_is_said_of_arrays_and_of_checked_points():
    counter = np.c_[np.arange(N), SIZE]
    assert unlikely_values(counter, as_points(counter)) == []
    points = as_points(table(id=np.arange(N)))
    assert unlikely_values(points, points) == []


def test_several_ids_are_one_warning():
    data = table(id=np.arange(N), zip=IDS["zip"])
    (text,) = unlikely_values(data, as_points(data))
    assert text.startswith("columns 'id', 'zip' are probably no measurements")


def test_fit_warns_of_codes_for_missing_values_also_in_columns_that_were_chosen():
    age = np.where(np.arange(N) % 8 == 0, -999, RNG.integers(18, 80, N))
    with pytest.warns(bg.TableWarning, match="they probably stand for missing ones: -999 in 5 rows of 'age'"):
        bg.fit(bg.MixtureModel(1), table(age=age), "em", columns=["size", "age"], seed=1, progress=False)
    clean = bg.data_check(table(age=age)).frame
    assert unlikely_values(clean, as_points(clean, gaps=True)) == []


def test_answers_from_minus_one_to_one_are_values():
    data = table(answer=RNG.integers(-1, 2, N))
    assert unlikely_values(data, as_points(data)) == []
    assert measurements(data, ["answer"]).words() == []
    coded = table(answer=np.array([-1, 1, 2])[data["answer"] + 1])
    assert len(unlikely_values(coded, as_points(coded))) == 1


def test_a_large_value_that_occurs_once_is_no_code():
    data = table(age=np.r_[-999, RNG.integers(18, 80, N - 1)])
    assert unlikely_values(data, as_points(data)) == []


def test_measurements_are_those_of_the_data_check():
    data = table(rownames=np.arange(N), kind=np.arange(N) % 2, twice=2 * SIZE, flat=1.0, name=[*"ab"] * (N // 2))
    found, check = measurements(data), bg.data_check(data)
    assert [*found.frame.columns] == [*check.used] == ["size"]
    assert {c.name for c in found.left_out} == {*check.left_out}


def test_named_columns_are_used_whatever_they_are():
    data = table(rownames=np.arange(N), twice=2 * SIZE, flat=1.0)
    assert [*measurements(data, ["flat", "twice"], keep=["rownames"]).frame.columns] == ["flat", "twice", "rownames"]
    assert [*measurements(data, ["flat", "twice"], drop=["flat"]).frame.columns] == ["twice"]


def test_the_first_rows_do_not_make_a_column_constant():
    found = measurements_of_first(table(id=np.arange(N), flat=1.0, lack=np.nan))
    assert [*found.frame.columns] == ["size", "flat", "lack"]


def test_codes_in_the_first_rows_are_named_and_stay():
    age = np.where(np.arange(N) % 8 == 0, -999.0, RNG.integers(18, 80, N))
    found = measurements_of_first(table(age=age))
    assert (found.frame["age"] == -999).sum() == 5
    assert found.codes == {}
    assert found.words() == [
        "column 'age': -999 in 5 rows is far from the rest: if it stands for missing, give na='-999'"
    ]
    assert measurements_of_first(table(age=age), codes=False).words() == []
