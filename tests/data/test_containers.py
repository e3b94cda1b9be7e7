"""Tables of every library give the same numbers, by the names of their columns."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse as sp
import xarray as xr

import bayesgmm as bg
from bayesgmm.data.points import as_points
from bayesgmm.errors import DataError, DeclarationError

NAMES = ["weight", "height"]


class Exported:
    """A table of an unknown library, with one of the two protocols."""

    def __init__(self, table: pa.Table, protocol: str) -> None:
        setattr(type(self), protocol, lambda self, *args, **kwargs: getattr(table, protocol)(*args, **kwargs))


class Stream(Exported):
    pass


class Interchange(Exported):
    pass


def array(table: pd.DataFrame, order: tuple[str, str]) -> xr.DataArray:
    both = xr.DataArray(table.to_numpy(), dims=("row", "column"), coords={"column": list(table.columns)})
    return both.transpose(*order)


def written(table: pd.DataFrame, path: Path) -> Path:
    (table.to_csv if path.suffix == ".csv" else table.to_parquet)(path, index=False)
    return path


CONTAINERS = {
    "pandas": lambda d, _: d,
    "pandas objects": lambda d, _: d.astype(object),
    "pandas nullable": lambda d, _: d.convert_dtypes(),
    "pandas Arrow": lambda d, _: d.convert_dtypes(dtype_backend="pyarrow"),
    "polars": lambda d, _: pl.from_pandas(d),
    "polars lazy": lambda d, _: pl.from_pandas(d).lazy(),
    "Arrow table": lambda d, _: pa.Table.from_pandas(d),
    "Arrow batch": lambda d, _: pa.RecordBatch.from_pandas(d),
    "Arrow protocol": lambda d, _: Stream(pa.Table.from_pandas(d), "__arrow_c_stream__"),
    "interchange protocol": lambda d, _: Interchange(pa.Table.from_pandas(d), "__dataframe__"),
    "Dataset": lambda d, _: xr.Dataset.from_dataframe(d),
    "DataArray": lambda d, _: array(d, ("row", "column")),
    "DataArray, columns first": lambda d, _: array(d, ("column", "row")),
    "dict": lambda d, _: {name: d[name].tolist() for name in d},
    "dict of Series": lambda d, _: {name: d[name] for name in d},
    "structured array": lambda d, _: d.to_records(index=False),
    "CSV": lambda d, folder: str(written(d, folder / "d.csv")),
    "Parquet": lambda d, folder: written(d, folder / "d.parquet"),
}


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame({"height": rng.normal(170, 8, 60), "weight": rng.normal(75, 10, 60)})


@pytest.fixture(scope="module")
def fit(table: pd.DataFrame) -> xr.DataTree:
    return bg.fit(bg.MixtureModel(1), table, "em", progress=False)


@pytest.mark.parametrize("name", CONTAINERS)
def test_every_container_is_read_by_the_names_of_its_columns(name, table, fit, tmp_path):
    new = table[NAMES].head(7)
    given = CONTAINERS[name](new.assign(age=1.0), tmp_path)  # another order, and one column that is not in the fit

    assert as_points(CONTAINERS[name](new, tmp_path)).columns == tuple(NAMES)
    assert as_points(given, ["height"]).columns == ("height",)
    np.testing.assert_array_equal(as_points(given, ["height", "weight"]).values, table.head(7).to_numpy())
    for answer in (bg.density, bg.anomaly_scores, bg.assignments, bg.explain_anomalies):
        right, got = answer(fit, table.head(7)), answer(fit, given)
        assert right.drop_vars("point").equals(got.drop_vars("point"))


@pytest.mark.parametrize("name", CONTAINERS)
def test_every_container_can_be_fitted(name, table, fit, tmp_path):
    again = bg.fit(bg.MixtureModel(1), CONTAINERS[name](table[NAMES], tmp_path), "em", progress=False)
    mean = again["posterior"]["mean"].sel(feature=["height", "weight"]).values
    np.testing.assert_allclose(mean, fit["posterior"]["mean"].values, rtol=1e-12)

    estimator = bg.GaussianMixture(1).fit(CONTAINERS[name](table[NAMES], tmp_path))
    assert list(estimator.feature_names_in_) == NAMES
    np.testing.assert_allclose(estimator.means_[0], mean[0, 0, 0, ::-1], rtol=1e-12)


# Every entry point: a number, from data whose columns are in another order than those of the fit

ANSWERS = {
    "density": lambda f, d: bg.density(f, d)["log_density"],
    "assignments": lambda f, d: bg.assignments(f, d)["probability"],
    "anomaly_scores": lambda f, d: bg.anomaly_scores(f, d)["p_value"],
    "calibration": lambda f, d: bg.anomaly_scores(f, calibration=d)["p_value"],
    "explain_anomalies": lambda f, d: bg.explain_anomalies(f, d)["z"],
    "partition": lambda f, d: bg.partition(f, d, restarts=1)["label"],
    "credible_ball": lambda f, d: bg.credible_ball(f, bg.partition(f, d, restarts=1), d)["distance"],
    "co_clustering": lambda f, d: bg.co_clustering(f, d)["probability"],
    "n_clusters": lambda f, d: bg.n_clusters(f, d),
    "merge_components": lambda f, d: bg.merge_components(f, d)["entropy"],
    "relabel": lambda f, d: bg.relabel(f, data=d)["posterior"]["weight"],
    "anomalies plot": lambda f, d: bg.plots.anomaly_data(f, d)["p_value"],
}
"""Answers of a fit to new data."""

MODEL = bg.MixtureModel(1)
QUIET = {"progress": False}
WORK = {
    "fit": lambda d: bg.fit(MODEL, d, "map", **QUIET, seed=0)["posterior"]["mean"].sortby("feature"),
    "start": lambda d: bg.fit(MODEL, d, "em", start=STARTED[0], **QUIET)["posterior"]["mean"].sortby("feature"),
    "build_model": lambda d: bg.build_model(MODEL, d).coords["feature"],
    "select": lambda d: bg.select(d, [1], ["full"], seed=0, **QUIET)["bic"],
    "bootstrap_test": lambda d: bg.bootstrap_test(d, 1, replicates=2, seed=0, **QUIET).statistic,
    "prior_predictive": lambda d: bg.prior_predictive(MODEL, d, 5, seed=0)["observed_data"]["x"].sortby("feature"),
    "GaussianMixture": lambda d: bg.GaussianMixture(1).fit(d).score_samples(d),
    "BayesianGaussianMixture": lambda d: bg.BayesianGaussianMixture(1).fit(d).score_samples(d),
    "AnomalyDetector": lambda d: bg.AnomalyDetector(n_components=1).fit(d).score_samples(d),
    "MixtureClassifier": lambda d: bg.MixtureClassifier(1).fit(d, [0, 1] * 20).predict_proba(d),
    "find_anomalies": lambda d: bg.apps.find_anomalies(d, n_components=1, method="em", **QUIET).rows["p_value"],
    "find_anomalies, new": lambda d: bg.apps.find_anomalies(FIRST, d, n_components=1, method="em", **QUIET).rows[
        "p_value"
    ],
    "cluster_table": lambda d: bg.apps.cluster_table(
        d, n_components=1, covariance="full", method="em", **QUIET
    ).choices["bic"],
}
"""Work on a table of its own."""
STARTED: list[xr.DataTree] = []
FIRST = pd.DataFrame(np.random.default_rng(1).normal([170, 75], [8, 10], (60, 2)), columns=["height", "weight"])


def some_of(request, names, seed):
    """All of the names with ``--every-combination``, else one of them."""
    every = request.config.getoption("--every-combination")
    return list(names) if every else [list(names)[seed % len(names)]]


@pytest.mark.filterwarnings("ignore::bayesgmm.FitWarning")
@pytest.mark.parametrize("number", range(len(ANSWERS)), ids=list(ANSWERS))
def test_every_answer_takes_every_container(number, table, fit, tmp_path, request):
    """A sample of the containers: another one for each answer."""
    answer = list(ANSWERS.values())[number]
    new = table.head(20)
    right = np.asarray(answer(fit, new))
    for name in some_of(request, CONTAINERS, number):
        got = np.asarray(answer(fit, CONTAINERS[name](new[NAMES].assign(age=1.0), tmp_path)))
        np.testing.assert_allclose(got, right, rtol=1e-9, err_msg=name)


@pytest.mark.filterwarnings("ignore::bayesgmm.FitWarning")
@pytest.mark.parametrize("number", range(len(WORK)), ids=list(WORK))
def test_all_work_takes_every_container(number, table, fit, tmp_path, request):
    """The right answer is that of pandas; a sample of the containers, another one for each kind of work."""
    work = list(WORK.values())[number]
    STARTED[:] = [fit]
    new = table.head(40)[NAMES]
    right = work(new)
    for name in some_of(request, CONTAINERS, 7 * number):
        got = work(CONTAINERS[name](new, tmp_path))
        if isinstance(right, tuple):
            assert got == right
        else:
            np.testing.assert_allclose(np.asarray(got), np.asarray(right), rtol=1e-9, err_msg=name)


def test_missing_values_stay_missing_in_every_container(table, tmp_path):
    gap = table.head(4).copy()
    gap.loc[2, "weight"] = np.nan
    for name, container in CONTAINERS.items():
        with pytest.raises(DataError, match="1 value is missing or infinite: row 2, column 'weight'"):
            as_points(container(gap, tmp_path))
        assert name


def test_masked_cells_are_missing(table):
    masked = np.ma.array(table.head(3).to_numpy(), mask=np.eye(3, 2, dtype=bool))
    for data in (masked, list(masked), {"a": masked[:, 0], "b": masked[:, 1]}):
        with pytest.raises(DataError, match="2 values are missing"):
            as_points(data)
        fitted = bg.GaussianMixture(1).fit(data)
        assert np.isfinite(fitted.means_).all()
        assert int(np.isnan(as_points(data, gaps=True).values).sum()) == 2
    assert as_points(np.ma.array([1, 2])).values.tolist() == [[1], [2]]


WRONG = {
    "sparse": (sp.csr_matrix(np.eye(3)), "sparse matrix; give X.toarray()"),
    "too large": ([[10**400, 1]], "too large"),
    "integers": (np.array([[2**53 + 1, 1]]), "1 integer is beyond 2**53"),
    "integers of a column": (pd.DataFrame({"id": [2**53 + 1, 1]}), "column 'id': 1 integer is beyond 2**53"),
    "Python integers": ([[2**70 + 1, 1]], "1 integer is beyond 2**53"),
    "StringDType": (np.array([["1", "2"]], dtype=np.dtypes.StringDType()), "its type is StringDType"),
    "text in objects": (np.array([["1", 2]], object), "it contains text: '1'"),
    "text in a column": ({"a": ["1", "2"]}, "1 column is not numeric: 'a'"),
    "no values": (pd.DataFrame({"a": [None, None], "b": ["x", "y"]}), "not numeric: 'b'"),
    "no values beside text": (pd.DataFrame({"a": [None, None], "b": ["x", "y"]}), "1 column is without values: 'a'"),
    "None": ([[1.0, None]], "1 value is missing"),
    "NUL": ({"a\0b": [1.0, 2.0]}, "holds a character that files can't store"),
    "surrogate": ({"a\ud800": [1.0, 2.0]}, "holds a character that files can't store"),
    "two names that become one": ({1: [1.0], "1": [2.0]}, "more than one is called '1'"),
    "lengths": ({"a": [1, 2], "b": [1]}, "the columns of the table must be of one length"),
    "a number for a column": ({"a": [1, 2], "b": 1}, "the columns of the table must be of one length"),
    "dimensions": (xr.Dataset({"a": ("i", [1.0]), "b": ("j", [1.0, 2.0])}), "must have one dimension in common"),
    "dates": (pd.DataFrame({"a": pd.date_range("2020", periods=2)}), "1 column is not numeric: 'a'"),
    "a set": ({1, 2}, "it contains set"),
    "no file": ("no.csv", "there is no file no.csv"),
    "a single value": (5, "it is a single value"),
}


@pytest.mark.parametrize("name", WRONG)
def test_objects_that_are_no_tables_are_refused(name):
    data, message = WRONG[name]
    with pytest.raises(DataError, match=re.escape(message)):
        as_points(data)


@pytest.mark.parametrize("columns", [5, b"a", "a", {"a", "b"}, ["a", "a"], []])
def test_columns_are_an_ordered_list_of_names(columns):
    with pytest.raises(DataError, match="column"):
        as_points([[1.0, 2.0]], columns)


MASKED = np.ma.array([1.0, 2.0, 3.0], mask=[0, 1, 0])
DATES = pd.date_range("2020", periods=3)


@pytest.mark.parametrize("weights", [np.ones(3) * 1j, ["1"] * 3, [b"1"] * 3, DATES, [10**400] * 3, [None] * 3, MASKED])
def test_weights_are_numbers(weights):
    with pytest.raises(DataError, match=r"sample_weight is not a list of numbers|not allowed: row . has nan"):
        as_points([1.0, 2.0, 3.0]).weighed(weights)


def test_a_name_of_weights_is_for_rows_that_are_read_in_parts():
    with pytest.raises(
        DataError, match=r"is a name, 'w', and these rows are in memory\n  Give the numbers, for .*table\['w'\]"
    ):
        as_points([1.0, 2.0, 3.0]).weighed("w")


def test_weights_may_come_from_any_library():
    for weights in (pd.Series([1, 2, 3]), pl.Series([1, 2, 3]), pa.array([1, 2, 3]), [True, 2, 3.0]):
        assert as_points([1.0, 2.0, 3.0]).weighed(weights).weights.tolist() == [1, 2, 3]


def test_points_too_far_away_are_refused(fit):
    for answer in (bg.density, bg.assignments, bg.anomaly_scores):
        with pytest.raises(DataError, match="1 row is further than"):
            answer(fit, [[170.0, 75.0], [1e151, 0.0]])


def test_progress_is_a_switch(fit):
    for call in (lambda: bg.density(fit, progress="yes"), lambda: bg.fit(bg.MixtureModel(1), [1.0, 2.0], progress=1)):
        with pytest.raises(DeclarationError, match="must be True or False"):
            call()


def test_a_start_may_have_its_columns_in_another_order(table, fit):
    again = bg.fit(bg.MixtureModel(1), table[NAMES], "em", start=fit, progress=False)
    np.testing.assert_allclose(again["posterior"]["mean"].values[..., ::-1], fit["posterior"]["mean"].values)
