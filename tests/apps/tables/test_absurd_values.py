"""Absurd values are called, ranked first, and blamed alone, however far they are and however many."""

import numpy as np
import pandas as pd
import pytest

from bayesgmm.apps import find_anomalies, judge
from bayesgmm.apps.tables.detectors import absurd

pytestmark = pytest.mark.filterwarnings("ignore::bayesgmm.FitWarning")
QUICK = {"n_components": [1, 3, 4], "transform": "none", "progress": False}


def three_groups(n=60):
    """Three groups: age 20, 50, 80; income 1,500, 3,000, 9,000."""
    rng = np.random.default_rng(0)
    groups = ((20, 2, 1500, 200), (50, 4, 3000, 400), (80, 4, 9000, 1000))
    age = np.concatenate([rng.normal(m, s, n) for m, s, _, _ in groups])
    income = np.concatenate([rng.normal(m, s, n) for _, _, m, s in groups])
    return pd.DataFrame({"age": age, "income": income})


@pytest.mark.parametrize("value", [1e5, 1e6, 1e8, -1e5])
def test_an_absurd_income_is_called_and_alone_blamed(value):
    table = three_groups()
    table.loc[5, "income"] = value
    found = find_anomalies(table, **QUICK)
    assert found.flagged.index[0] == 5
    reason = found.rows.loc[5, "reason"]
    assert reason.startswith(f"income {value:,.0f} (")
    assert "age" not in reason
    assert (found.rows["p_value"] > 0).all()


@pytest.mark.parametrize("value", [2e4, 9.5e3, -5e3])
def test_a_wrong_value_is_called_at_the_defaults(value):
    """As evidence for heavy tails 20,000 would choose a transform after which it is regular.

    9,500 is an income of the third group, at an age of the first; a component of its own must not make it regular.
    """
    rng = np.random.default_rng(0)
    groups = [rng.normal([age, income], [3, 100], size=(80, 2)) for age, income in ((20, 1500), (50, 3000), (80, 9000))]
    table = pd.DataFrame(np.concatenate(groups), columns=["age", "income"])
    table.loc[5, "income"] = value
    assert [*find_anomalies(table, progress=False).flagged.index] == [5]


def test_absurd_rows_of_several_kinds_do_not_hide_each_other():
    """Two of them are alike, and could hold a component of their own."""
    table = three_groups()
    table.loc[[5, 70], "income"] = 1e6
    table.loc[150, "income"] = -5e4
    table.loc[30, "age"] = 900
    found = find_anomalies(table, **QUICK)
    assert {5, 30, 70, 150} == {*found.flagged.index[:4]}
    assert found.rows.loc[30, "reason"].startswith("age 900 (")


def test_rows_that_are_left_out_of_the_first_fit_are_few_and_very_far():
    x = np.random.default_rng(0).standard_t(5, size=(1000, 3))
    assert not absurd(x, 30.0).any()
    x[3, 1] = 1e4
    assert np.flatnonzero(absurd(x, 30.0)).tolist() == [3]
    x[:100, 1] = 1e4  # a group
    assert not absurd(x, 30.0).any()


def test_hardly_any_table_without_anomalies_loses_a_row():
    """At most one table in a hundred should: three of ten would by chance with probability 1e-4."""
    lost = 0
    for seed in range(10):
        x = np.random.default_rng(seed).normal(size=(60, 2))
        fit = find_anomalies(x, n_components=1, transform="none", progress=False).fit
        lost += fit["observed_data"].sizes["point"] < 60
    assert lost <= 2


def test_a_share_of_the_rows_is_called():
    found = find_anomalies(three_groups(), contamination=0.05, **QUICK | {"n_components": 1})
    assert found.rows["anomaly"].sum() == 9
    assert found.rows["p_value"][found.rows["anomaly"]].max() <= found.rows["p_value"][~found.rows["anomaly"]].min()


def test_few_held_out_rows_are_said_to_call_nothing():
    old, new = three_groups().iloc[::3], three_groups().iloc[1::3]
    with pytest.warns(match=r"no row can be flagged .* no p-value is below 0\.032, .* use top=10, or .*judge\("):
        find_anomalies(old, new, n_components=1, progress=False)
    found = find_anomalies(old, n_components=1, progress=False)
    assert judge(found.fit, new.assign(income=1e6)).rows["anomaly"].all()
