"""Input validation: good input of every kind is accepted, bad input raises one clear error."""

import gzip

import numpy as np
import pandas as pd
import polars as pl
import pytest

from bayesgmm.data import points
from bayesgmm.data.cells import of_columns
from bayesgmm.data.containers import named_frame
from bayesgmm.data.points import as_points
from bayesgmm.data.standards import Standard
from bayesgmm.data.tables import read_frame, read_table
from bayesgmm.datasets import galaxies, make_mixture
from bayesgmm.errors import DataError, DeclarationError
from bayesgmm.model import MixtureModel

GOOD = [[1.0, 2.0], [3.0, 5.0], [4.0, 4.0]]


@pytest.mark.parametrize(
    "data",
    [
        np.array(GOOD),
        np.array(GOOD, dtype=np.float32),
        np.array(GOOD, dtype=int),
        np.asfortranarray(GOOD),
        GOOD,
        pd.DataFrame(GOOD),
        pd.DataFrame(GOOD, dtype="Float64"),
    ],
)
def test_every_kind_of_table_is_accepted(data):
    points = as_points(data)
    np.testing.assert_array_equal(points.values, GOOD)
    assert points.values.dtype == np.float64


def test_a_vector_or_a_series_is_one_column():
    assert as_points([1.0, 2.0, 4.0]).values.shape == (3, 1)
    assert as_points(pd.Series([1.0, 2.0], name="length")).columns == ("length",)


@pytest.mark.parametrize("shape", [(1, 3), (170, 3), (1000, 3), (513, 7), (5, 600)])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("missing", [False, True])
def test_columns_are_reduced_as_one_by_one(shape, order, missing):
    values = np.asarray(np.random.default_rng(1).normal(size=shape), order=order)
    if missing:
        values[-1, 1] = np.nan
    for reduce in (np.minimum, np.maximum):
        np.testing.assert_array_equal(of_columns(reduce, values), reduce.reduce(values))
    np.testing.assert_allclose(of_columns(np.add, values), values.sum(axis=0), rtol=1e-12)


SHAPES = [(points.TILE + 5, points.TOGETHER + 3), (3, 2 * points.TOGETHER), (2 * points.TILE, 1)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("order", ["C", "F"])
def test_centre_and_spread_are_those_of_each_column_alone(shape, order):
    """However columns are copied, and whatever the copies before them hold."""
    values = np.random.default_rng(0).normal(size=shape) * np.arange(1, shape[1] + 1)
    centre, sd = as_points(np.asarray(values, order=order)).centre_and_sd
    np.testing.assert_allclose(centre, values.mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(sd, values.std(axis=0), rtol=1e-12)


def test_names_and_row_labels_are_kept():
    frame = pd.DataFrame(GOOD, columns=["a", "b"], index=["x", "y", "z"])
    points = as_points(frame, ["b"])
    assert points.columns == ("b",)
    assert list(points.index) == ["x", "y", "z"]


NAN, INF = float("nan"), float("inf")
BAD = {
    "nan": ([[1.0, NAN], [2.0, 3.0]], r"1 value is missing or infinite: row 0, column 'x1'"),
    "inf": (
        [[1.0, 2.0], [INF, 3.0], [-INF, NAN]],
        r"3 values .* row 1, column 'x0'; row 2, column 'x0'; row 2, column 'x1'",
    ),
    "labelled nan": (pd.DataFrame({"a": [1.0, NAN]}, index=["u", "v"]), "row v, column 'a'"),
    "nullable": (pd.DataFrame({"a": pd.array([1, None], dtype="Int64")}), "row 1, column 'a'"),
    "text column": (pd.DataFrame({"a": [1.0, 2.0], "b": ["p", "q"]}), r"1 column is not numeric: 'b'\n.*select_dtypes"),
    "text": ([["a", "b"]], "not a table of numbers"),
    "text among numbers": (np.array([[1.0, "3"]], dtype=object), "it contains text: '3'"),
    "complex": ([[1j, 2]], "not a table of numbers"),
    "dates": (np.array([["2020-01-01"]], dtype="M8[D]"), "not a table of numbers"),
    "ragged": ([[1.0], [2.0, 3.0]], "not a table of numbers"),
    "scalar": (3.0, "single value"),
    "cube": (np.zeros((2, 2, 2)), r"shape \(2, 2, 2\)"),
    "no rows": (np.zeros((0, 2)), "no rows"),
    "no columns": (np.zeros((2, 0)), "no columns"),
    "too large": ([[1e160], [2.0]], "can't be squared"),
    "too small": ([[1e-160], [2e-160]], "can't be squared"),
    "same names": (pd.DataFrame([[1.0, 2.0]], columns=["a", "a"]), "more than one is called 'a'"),
}


@pytest.mark.parametrize("name", BAD)
def test_an_error_says_where_bad_data_are(name):
    data, message = BAD[name]
    with pytest.raises(DataError, match=message):
        as_points(data)


def test_an_unknown_column_gets_a_suggestion():
    with pytest.raises(DataError, match="did you mean 'length'"):
        as_points(pd.DataFrame({"length": [1.0], "width": [2.0]}), ["lenght"])


def test_an_error_lists_only_the_first_bad_values():
    with pytest.raises(DataError, match="20 values .* and 15 more"):
        as_points(np.full((10, 2), NAN))


@pytest.mark.parametrize(("rows", "components"), [(2, 3), (1, 2)])
def test_fewer_rows_than_components_is_an_error(rows, components):
    with pytest.raises(DataError, match=f"can't hold {components} components"):
        MixtureModel(components).resolve(as_points(np.arange(rows, dtype=float)))


@pytest.mark.parametrize("data", [np.ones((10**6, 2)), [[3.0, 1.0]], [[1.0, 5.0], [2.0, 5.0]]])
def test_constant_columns_are_named_when_no_prior_is_declared(data):
    with pytest.raises(DataError, match="constant"):
        MixtureModel(1).resolve(as_points(data))


@pytest.mark.parametrize("power", [-150, 150])
def test_extreme_units_do_not_overflow(power):
    x = np.random.default_rng(0).normal(size=(50, 2))
    points = as_points(x * 10.0**power)
    standard = Standard.of(points)
    z = standard.blocks(points.values).rows()
    assert 0.3 < np.abs(z).mean() < 3
    assert np.isfinite(MixtureModel(2).resolve(points).covariances.scale).all()


def test_scaling_is_exact():
    points = as_points(np.random.default_rng(0).normal(size=(50, 3)) * [1e-3, 1, 1e6])
    standard = Standard.of(points)
    np.testing.assert_array_equal(
        standard.blocks(points.values).rows() * standard.scale, points.values - standard.shift
    )


def test_a_fingerprint_depends_on_values_and_names():
    one = as_points(pd.DataFrame(GOOD, columns=["a", "b"]))
    assert one.fingerprint == as_points(pd.DataFrame(GOOD, columns=["a", "b"])).fingerprint
    assert one.fingerprint != as_points(pd.DataFrame(GOOD, columns=["a", "c"])).fingerprint
    assert one.fingerprint != as_points(pd.DataFrame(GOOD[::-1], columns=["a", "b"])).fingerprint


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_text_columns_of_files_are_left_out(tmp_path, suffix):
    frame = pd.DataFrame({"a": [1.0, 2.0], "name": ["p", "q"]})
    path = tmp_path / f"data{suffix}"
    frame.to_csv(path, index=False) if suffix == ".csv" else frame.to_parquet(path)
    read, dropped = read_table(path)
    assert list(read.columns) == ["a"]
    assert dropped == {"name": "not numeric"}


def test_an_error_names_a_file_that_can_not_be_read(tmp_path):
    with pytest.raises(DataError, match="there is no file"):
        read_table(tmp_path / "nothing.csv")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(DataError, match="can't be read as Parquet"):
        read_table(tmp_path / "broken.parquet")
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(DataError, match="can't be read as CSV"):
        read_table(tmp_path / "empty.csv")
    (tmp_path / "binary.csv").write_bytes(bytes(range(256)) * 10)
    with pytest.raises(DataError, match="is not a table of text: it has zero bytes"):
        read_table(tmp_path / "binary.csv")
    (tmp_path / "header.csv").write_text("a,b\n")
    with pytest.raises(DataError, match="no rows"):
        read_table(tmp_path / "header.csv")
    (tmp_path / "text.csv").write_text("a,b\nx,y\n")
    with pytest.raises(DataError, match="no numeric column"):
        read_table(tmp_path / "text.csv")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2,3\n4,5,6\n", "more fields in its rows"),
        ("5,3\n2,3\n", "no line of column names"),
    ],
)
def test_a_csv_that_pandas_would_misread_is_an_error(tmp_path, text, message):
    (tmp_path / "odd.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        read_table(tmp_path / "odd.csv")


def test_masked_values_are_missing():
    with pytest.raises(DataError, match="1 value is missing"):
        as_points(np.ma.masked_greater([[1.0, 2.0], [3.0, 9.0]], 8))


@pytest.mark.parametrize(
    ("columns", "message"), [("ab", "give a list of names"), ([], "at least one"), (["a", "a"], "more than one")]
)
def test_columns_are_a_list_of_different_names(columns, message):
    with pytest.raises(DataError, match=message):
        as_points(pd.DataFrame(GOOD, columns=["a", "b"]), columns)


def test_the_galaxies_have_the_published_values():
    assert galaxies()["velocity"].iloc[77] == 26960
    assert galaxies()["velocity"].is_monotonic_increasing


def test_make_mixture_has_the_given_overlap():
    """The linear discriminant of the closest pair errs for half of it; 6 sd of 200,000 points: false alarm 2e-9."""
    sample = make_mixture(n_points=10, n_components=2, overlap=0.2, seed=3)
    rng = np.random.default_rng(0)
    average = sample.covariance.mean(axis=0)
    direction = np.linalg.solve(average, sample.mean[1] - sample.mean[0])
    x = rng.multivariate_normal(sample.mean[0], average, size=200_000)
    wrong = ((x - sample.mean.mean(axis=0)) @ direction > 0).mean()
    assert abs(wrong - 0.1) < 6 * np.sqrt(0.1 * 0.9 / 200_000)


def test_make_mixture_draws_from_its_true_parameters():
    """Mean of 50,000 points within 6 standard errors of the truth: false alarm 4e-9 a coordinate."""
    sample = make_mixture(n_points=50_000, seed=2)
    wanted = sample.weight @ sample.mean
    assert (np.abs(sample.X.mean(axis=0) - wanted) < 6 * sample.X.std(axis=0) / np.sqrt(50_000)).all()
    with pytest.raises(DeclarationError, match="overlap"):
        make_mixture(overlap=1.5)


@pytest.fixture(params=["d.csv", "d.csv.gz", "d.parquet"])
def file(request, tmp_path):
    """Two columns, and one of text."""
    frame = pd.DataFrame({"a": [1.0, 2.0], "note": ["x", "y"], "b": [3.0, 4.0]})
    path = tmp_path / request.param
    if path.suffix == ".parquet":
        frame.to_parquet(path)
    else:
        frame.to_csv(path, index=False)
    return path


def test_of_a_file_only_the_named_columns_are_kept(file):
    assert list(read_frame(file, ["b", "a"]).columns) == ["a", "b"]
    assert list(named_frame(file, ["b"]).columns) == ["b"]
    assert as_points(file, ["b", "a"]).values.tolist() == [[3, 1], [4, 2]]
    with pytest.raises(DataError, match="no column 'c'; the columns are 'a', 'b', 'note'"):
        as_points(file, ["c"])


def test_a_lazy_frame_computes_only_the_named_columns():
    lazy = pl.LazyFrame({"a": [1.0], "b": [2.0]}).with_columns(
        pl.col("b").map_batches(lambda _: 1 / 0, return_dtype=pl.Float64).alias("c")
    )
    assert as_points(lazy, ["b", "a"]).values.tolist() == [[2, 1]]


def test_a_file_that_holds_more_than_the_memory_is_refused(file, monkeypatch):
    monkeypatch.setattr("bayesgmm.memory.total_memory", lambda: 64)
    with pytest.raises(DataError, match=f"{file.name} would need 0 GiB of memory"):
        read_frame(file)


def test_a_line_without_end_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("bayesgmm.reading.text_files.LONGEST", 2**21)
    with gzip.open(tmp_path / "bomb.csv.gz", "wb") as bomb:
        bomb.write(b"a,b\n" + b"0" * 2**23)
    with pytest.raises(DataError, match=r"bomb.csv.gz is not a table: it has a line of more than 2,097,152 bytes"):
        read_frame(tmp_path / "bomb.csv.gz")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2,3\n4,5,6\n", "more fields in its rows than names"),
        ("a,b\n1,2\n4,5,6\n", "line 3 has 3 fields, not 2"),
        ("a,b,a\n1,2,3\n", "more than one is called 'a'"),
    ],
)
def test_named_columns_hide_no_fault_of_a_file(text, message, tmp_path):
    (tmp_path / "d.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        read_table(tmp_path / "d.csv", ["a"])


def test_names_that_only_look_repeated_are_allowed(tmp_path):
    (tmp_path / "d.csv").write_text("a,a.1\n1,2\n")
    assert list(read_frame(tmp_path / "d.csv").columns) == ["a", "a.1"]
