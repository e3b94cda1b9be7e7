"""Sources: every kind yields the same rows, as often as wanted, and what is wrong with files is one clear error."""

import itertools
import os
import re

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zarr

import bayesgmm as bg
from bayesgmm.data.points import as_points
from bayesgmm.errors import DataError, DeclarationError
from bayesgmm.memory import as_bytes
from bayesgmm.sources.moments import Moments
from bayesgmm.sources.reservoirs import Reservoir
from bayesgmm.sources.rows import recut
from bayesgmm.sources.surveys import LINE, _Kept, rows_within, stream

ROWS = np.random.default_rng(0).normal(3, 2, (1000, 3)).round(6)
FRAME = pd.DataFrame(ROWS, columns=list("abc"))
GIB = 2**30


def parquet(folder, name="a.parquet", frame=FRAME, group=100):
    frame.to_parquet(folder / name, row_group_size=group)
    return folder / name


def split(frame, cuts):
    return [frame[a:b] for a, b in itertools.pairwise([0, *cuts, len(frame)])]


def pattern(folder, frames):
    for number, frame in enumerate(frames):
        parquet(folder, f"part{number}.parquet", frame)
    return f"{folder}/*.parquet"


def made(kind, folder):
    """The rows as data of a kind."""
    paths = {"npy": folder / "a.npy", "column order": folder / "f.npy", "csv": folder / "a.csv"}
    np.save(paths["npy"], ROWS)
    np.save(paths["column order"], np.asfortranarray(ROWS))
    paths["zarr"] = folder / "a.zarr"
    zarr.create_array(paths["zarr"], data=ROWS, chunks=(70, 2))
    FRAME.to_csv(paths["csv"], index=False)
    several = folder / "several"
    several.mkdir()
    files = pattern(several, split(FRAME, [400, 450]))
    kinds = {"array": ROWS, "table": FRAME, "parquet": parquet(folder), "pattern": files, "folder": several}
    return (kinds | paths | {"list": sorted(several.iterdir())})[kind]


KINDS = ["array", "table", "parquet", "pattern", "folder", "list", "npy", "column order", "zarr", "csv"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rows", [40, 300, 5000])
def test_every_kind_yields_the_same_rows_again_and_again(kind, rows, tmp_path):
    opened = bg.source(made(kind, tmp_path))
    for _ in range(2):
        parts = [*opened.parts(rows)]
        assert max(len(part.values) for part in parts) <= rows
        np.testing.assert_array_equal(np.concatenate([part.values for part in parts]), ROWS)
    assert opened.n_rows == (None if kind == "csv" else 1000)
    assert len(opened.columns) == 3


@pytest.mark.parametrize("kind", KINDS)
def test_a_first_pass_knows_what_points_in_memory_know(kind, tmp_path):
    opened = bg.source(made(kind, tmp_path))
    found, points = stream(opened, GIB, seed=1), as_points(ROWS, opened.columns)
    assert found.fingerprint == points.fingerprint
    assert found.n_points == 1000
    for own, other in zip(found.centre_and_sd, points.centre_and_sd, strict=True):
        np.testing.assert_allclose(own, other, rtol=1e-13)
    for name in ("mean", "midrange", "range", "variance"):
        np.testing.assert_allclose(getattr(found.summary, name), getattr(points.summary, name), rtol=1e-13)


def test_moments_do_not_depend_on_how_rows_are_divided_into_files(tmp_path):
    """Bit for bit: the rows are cut again into parts of one size."""
    (tmp_path / "one").mkdir()
    (tmp_path / "many").mkdir()
    big = pd.DataFrame(np.random.default_rng(1).normal(1e6, 1, (30_000, 2)), columns=["u", "v"])
    one = stream(bg.source(pattern(tmp_path / "one", [big])), 2**21, seed=0)
    many = stream(bg.source(pattern(tmp_path / "many", split(big, [1, 8000, 9000, 29_999]))), 2**21, seed=0)
    np.testing.assert_array_equal(one.centre_and_sd, many.centre_and_sd)
    np.testing.assert_array_equal(one.sample.values, many.sample.values)


def test_moments_of_parts_with_different_means_are_those_of_all_rows():
    rows = np.column_stack([np.arange(60_000.0), np.arange(60_000) % 7, np.full(60_000, 3.0)])
    found, points = stream(bg.source(rows), 2**21, seed=0), as_points(rows)
    for own, other in zip(found.centre_and_sd, points.centre_and_sd, strict=True):
        np.testing.assert_allclose(own, other, rtol=1e-12)


@pytest.mark.parametrize("size", [1e-150, 1.0, 1e150])
def test_moments_of_tiny_and_huge_values_do_not_underflow(size):
    rows = size * np.random.default_rng(0).normal(size=(20_000, 1))
    sd = stream(bg.source(rows), GIB, seed=0).centre_and_sd[1]
    np.testing.assert_allclose(sd, as_points(rows).centre_and_sd[1], rtol=1e-12)


def test_columns_are_found_by_name_whatever_their_order(tmp_path):
    files = pattern(tmp_path, [FRAME[:500], FRAME[500:][["c", "a", "b"]]])
    np.testing.assert_array_equal(np.concatenate([part.values for part in bg.source(files).parts(300)]), ROWS)
    chosen = bg.source(files, ["c", "a"])
    assert chosen.columns == ("c", "a")
    np.testing.assert_array_equal(np.concatenate([part.values for part in chosen.parts(300)]), ROWS[:, [2, 0]])


def test_columns_that_are_not_chosen_may_hold_anything(tmp_path):
    path = parquet(tmp_path, frame=FRAME.assign(kind="text"))
    assert bg.source(path, ["a"]).columns == ("a",)
    with pytest.raises(DataError, match=r"column 'kind' of .*a.parquet is not numeric\n.*columns=\['"):
        bg.source(path)


def test_row_labels_of_a_table_are_no_column(tmp_path):
    path = parquet(tmp_path, frame=FRAME.set_axis([f"r{i}" for i in range(1000)]).rename_axis("label"))
    assert bg.source(path).columns == ("a", "b", "c")


def test_an_empty_part_adds_nothing(tmp_path):
    files = pattern(tmp_path, [FRAME[:0], FRAME, FRAME[:0]])
    assert stream(bg.source(files), GIB, seed=0).n_points == 1000


def test_files_without_any_rows_are_an_error(tmp_path):
    files = pattern(tmp_path, [FRAME[:0], FRAME[:0]])
    with pytest.raises(DataError, match=r"\*\.parquet has no rows"):
        stream(bg.source(files), GIB, seed=0)


@pytest.mark.parametrize("given", ["*.parquet", "**/*.csv"])
def test_a_pattern_that_matches_nothing_is_an_error(given, tmp_path):
    for there, words in (([], "' is empty"), (["b.npy", "a.txt"], "' holds a.txt, b.npy")):
        for name in there:
            (tmp_path / name).touch()
        with pytest.raises(DataError, match=rf"no file matches .*\n  The folder '{tmp_path}{words}\."):
            bg.source(f"{tmp_path}/{given}")
    with pytest.raises(DataError, match=rf"no file matches .*\n  There is no folder '{tmp_path}/absent' here, in /"):
        bg.source(f"{tmp_path}/absent/{given}")


def test_a_folder_without_tables_and_a_missing_file_are_errors(tmp_path):
    with pytest.raises(DataError, match="has no files that end in"):
        bg.source(tmp_path)
    with pytest.raises(DataError, match=r"there is no file .*b.parquet"):
        bg.source(tmp_path / "b.parquet")


@pytest.mark.parametrize("kept", [0, 10, 0.5, 0.99])
def test_a_parquet_file_that_is_cut_off_is_named(kept, tmp_path):
    files = pattern(tmp_path, [FRAME, FRAME])
    path = tmp_path / "part1.parquet"
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content)) if kept < 1 else kept])
    with pytest.raises(
        DataError, match=r"part1.parquet is not a complete Parquet file: .* cut off .*\n  Copy or write"
    ):
        bg.source(files)


def test_damaged_pages_of_a_parquet_file_are_named_by_row_group(tmp_path):
    path = parquet(tmp_path)
    place = pq.ParquetFile(path).metadata.row_group(3).column(0)
    content = bytearray(path.read_bytes())
    start = place.dictionary_page_offset or place.data_page_offset
    content[start : start + place.total_compressed_size] = b"\xff" * place.total_compressed_size
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"a.parquet, row group 3 can't be read: the file is damaged"):
        [*bg.source(path).parts(1000)]


def test_a_npy_file_that_is_cut_off_or_holds_no_table_is_an_error(tmp_path):
    path = made("npy", tmp_path)
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(DataError, match="a.npy is not a complete .npy file"):
        bg.source(path)
    np.save(path, np.zeros((2, 2, 2)))
    with pytest.raises(DataError, match=r"holds an array \(2, 2, 2\)"):
        bg.source(path)


OTHER_COLUMNS = r"part1.parquet has other columns than .*part0.parquet: "


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (
            FRAME[["a", "b"]],
            OTHER_COLUMNS + r".* lacks 'c'; .*\n  Choose .* columns=\['a', 'b'\], or leave this file out",
        ),
        (FRAME[["a"]].set_axis(["x"], axis=1), OTHER_COLUMNS + r".* has 'x'\n  Leave this file out"),
        (FRAME.assign(d=1.0), OTHER_COLUMNS + r"'d' besides\n  Choose"),
        (FRAME.assign(b="text"), r"column 'b' of .*part1.parquet is not numeric\n  Choose"),
    ],
)
def test_a_schema_that_differs_from_the_first_is_an_error(other, words, tmp_path):
    files = pattern(tmp_path, [FRAME, other])
    with pytest.raises(DataError, match=words):
        bg.source(files)


@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
def test_a_value_that_is_not_finite_is_found_in_its_row_group(bad, tmp_path):
    rows = FRAME.copy()
    rows.loc[917, "b"] = bad
    files = pattern(tmp_path, [FRAME, rows])
    with pytest.raises(
        DataError, match=r"part1.parquet, row group 9: 1 value is missing.*: row 17, column 'b'\n.* are needed here"
    ):
        stream(bg.source(files), GIB, seed=0)
    if np.isinf(bad):
        rows.loc[918, "a"] = np.nan
        parquet(tmp_path, "part1.parquet", rows)
        with pytest.raises(
            DataError, match=r"row group 9: 1 value is infinite: row 17, column 'b'\n.*missing values are allowed"
        ):
            stream(bg.source(files), GIB, seed=0, gaps=True)


def weighted_frame():
    """Rows with gaps, a third of them of weight zero; the weights are a column in the middle."""
    rng, frame = np.random.default_rng(3), FRAME.copy()
    frame = frame.mask(rng.random(frame.shape) < 0.1)
    frame.insert(1, "w", rng.integers(0, 3, len(frame)).astype(float))
    return frame


@pytest.mark.parametrize("kind", ["parquet", "csv", "table", "dask"])
def test_rows_with_gaps_and_weights_are_known_as_points_in_memory_are(kind, tmp_path):
    frame = weighted_frame()
    frame.to_csv(tmp_path / "a.csv", index=False)
    data = {"table": frame, "csv": tmp_path / "a.csv"}.get(kind)
    if kind == "parquet":
        data = pattern(tmp_path, split(frame, [0, 300, 310]))
    if kind == "dask":
        data = pytest.importorskip("dask.dataframe").from_pandas(frame, npartitions=3)
    found = stream(bg.source(data, weight="w"), GIB, seed=1, gaps=True)
    points = as_points(frame[list("abc")], gaps=True).weighed(frame["w"])
    assert found.columns == points.columns
    assert found.has_gaps
    assert found.total_weight == points.total_weight
    for own, other in zip(found.centre_and_sd, points.centre_and_sd, strict=True):
        np.testing.assert_allclose(own, other, rtol=1e-12)
    assert found.summary.n_points == points.summary.n_points
    for name in ("mean", "midrange", "range", "variance"):
        np.testing.assert_allclose(getattr(found.summary, name), getattr(points.summary, name), rtol=1e-12)
    whole = found.whole()
    np.testing.assert_array_equal(whole.values, points.values)
    np.testing.assert_array_equal(whole.weights, points.weights)


def test_moments_of_gaps_and_weights_do_not_depend_on_the_parts():
    frame = weighted_frame()
    values, weights = frame[list("abc")].to_numpy(copy=True), frame["w"].to_numpy()
    values[:40, 0] = np.nan  # a part without values of a column
    whole = Moments.of(values, weights)
    parts = Moments.of(values[:40], weights[:40]) + Moments.of(values[40:41], weights[40:41])
    parts += Moments.of(values[41:], weights[41:])
    for name in ("n_rows", "n_counted", "n_gaps", "weight", "observed", "mean", "sd", "low", "high"):
        np.testing.assert_allclose(getattr(parts, name), getattr(whole, name), rtol=1e-12)


@pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf])
def test_a_weight_that_is_not_allowed_is_named(bad, tmp_path):
    frame = weighted_frame()
    frame.loc[917, "w"] = bad
    with pytest.raises(DataError, match=r"row group 9: 1 row has a weight that is not allowed: row 17 has"):
        stream(bg.source(parquet(tmp_path, frame=frame), weight="w"), GIB, seed=0, gaps=True)


def test_a_column_of_weights_that_is_none_is_an_error(tmp_path):
    path = parquet(tmp_path)
    with pytest.raises(DataError, match="there is no column 'bb' of weights; .*did you mean 'b'"):
        bg.source(path, weight="bb")
    with pytest.raises(DataError, match="there is no column 'bb'"):
        bg.source(path, ["a"], weight="bb")
    with pytest.raises(DataError, match="no column beside that of the weights"):
        bg.source(path, ["a"], weight="a")
    zero = FRAME.assign(w=0.0)
    with pytest.raises(DataError, match="all rows have weight zero"):
        stream(bg.source(zero, weight="w"), GIB, seed=0, gaps=True)
    with pytest.raises(DataError, match="1 column has no values: 'b'"):
        stream(bg.source(FRAME.assign(b=np.nan)), GIB, seed=0, gaps=True)


def test_weights_are_not_ignored_where_none_are_used():
    rows = bg.source(weighted_frame().fillna(0.0), weight="w")
    for call in (
        lambda: bg.coreset(rows, 2, progress=False),
        lambda: bg.bootstrap_test(rows, 1, replicates=2, progress=False),
        lambda: bg.MixtureClassifier(1).fit(rows, np.arange(1000) % 2),
    ):
        with pytest.raises(DeclarationError, match="row weights can't be used here"):
            call()


def test_integers_that_doubles_do_not_hold_exactly_are_an_error(tmp_path):
    pq.write_table(pa.table({"id": [1, 2**60 + 1]}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r"row group 0, column 'id': 1 integer is beyond"):
        [*bg.source(tmp_path / "a.parquet").parts(10)]


def test_a_source_where_rows_in_memory_are_needed_is_an_error_that_says_what_to_give(tmp_path):
    rows = pd.DataFrame(np.random.default_rng(0).normal(size=(50, 2)), columns=["a", "b"])
    rows.to_csv(tmp_path / "rows.csv", index=False)
    fit = bg.fit(bg.MixtureModel(1), rows, "em", seed=0, progress=False)
    source = bg.source(tmp_path / "rows.csv")
    with pytest.raises(DataError, match=r"is a source of rows in parts.*\n  Give its path, a table or a Dask array"):
        bg.assignments(fit, source)


def test_a_file_that_changes_or_vanishes_between_two_passes_is_an_error(tmp_path):
    files = pattern(tmp_path, [FRAME, FRAME])
    opened = bg.source(files)
    [*opened.parts(100)]
    parquet(tmp_path, "part1.parquet", FRAME + 1)
    with pytest.raises(DataError, match=r"part1.parquet has changed"):
        [*opened.parts(100)]
    assert bg.source(files).fingerprint != opened.fingerprint
    (tmp_path / "part1.parquet").unlink()
    with pytest.raises(DataError, match=r"part1.parquet is gone"):
        [*opened.parts(100)]


def test_a_file_that_changes_while_it_is_read_is_an_error(tmp_path):
    path = parquet(tmp_path)
    parts = bg.source(path).parts(100)
    next(parts)
    os.utime(path, ns=(1, 1))
    with pytest.raises(DataError, match=r"a.parquet has changed"):
        list(parts)


def test_a_memory_too_small_for_one_block_is_an_error_that_says_what_suffices():
    with pytest.raises(DeclarationError, match=r"too small for one block of 8,192 rows with 4 columns\n.*'3MiB'"):
        rows_within(10**6, 4)
    assert rows_within(as_bytes("memory", "3MiB"), 4) == 8192
    assert rows_within(as_bytes("memory", "6MiB"), 4) == 8192 + 1632


def test_the_memory_that_a_message_asks_for_suffices(tmp_path):
    parquet(tmp_path)
    with pytest.raises(DeclarationError, match="method 'nuts' can't read rows in parts") as raised:
        bg.fit(bg.MixtureModel(1), f"{tmp_path}/*.parquet", "nuts", memory="100KB")
    asked = re.search("memory='(.*?)'", str(raised.value)).group(1)
    assert stream(bg.source(f"{tmp_path}/*.parquet"), as_bytes("memory", asked), seed=0).held


@pytest.mark.parametrize("size", ["1 GB", "lots", "", "-1", 0, -5, 1.5, True, None])
def test_a_size_is_a_number_of_bytes_or_has_a_unit(size):
    if size == "1 GB":
        assert as_bytes("memory", size) == 10**9
        return
    with pytest.raises(DeclarationError, match=r"memory=.*'1GiB'"):
        as_bytes("memory", size)


def test_an_excel_file_is_refused(tmp_path):
    (tmp_path / "a.xlsx").write_bytes(b"PK\x03\x04")
    with pytest.raises(DataError, match=r"can't be read in parts\n  Save the sheet as"):
        bg.source(tmp_path / "a.xlsx")


@pytest.mark.parametrize("cuts", [[], [1], [10, 20], [999]])
@pytest.mark.parametrize("rows", [1, 7, 1000, 2000])
def test_recut_rows_have_one_size_and_their_order(cuts, rows):
    parts = [*recut(np.split(ROWS, cuts), rows)]
    assert {len(part) for part in parts[:-1]} <= {rows}
    np.testing.assert_array_equal(np.concatenate(parts), ROWS)


def test_a_reservoir_draws_each_row_with_the_same_probability():
    """False alarm: 1e-6 (chi-squared with 49 degrees of freedom, scaled for draws without replacement)."""
    from scipy.stats import chi2

    count, runs, size = np.zeros(50), 2000, 10
    for seed in range(runs):
        reservoir = Reservoir(size, np.random.default_rng(seed))
        for part in np.split(np.arange(50.0)[:, None], [3, 20, 21]):
            reservoir.add(part)
        count[reservoir.at] += 1
        np.testing.assert_array_equal(reservoir.rows[:, 0], reservoir.at)
        assert (np.diff(reservoir.at) > 0).all()
    expected = runs * size / 50
    statistic = ((count - expected) ** 2 / (expected * (1 - size / 50) * 50 / 49)).sum()
    assert statistic < chi2.ppf(1 - 1e-6, 49)


def test_a_sample_of_a_source_has_the_columns_and_the_numbers_of_the_rows(tmp_path):
    files = pattern(tmp_path, split(FRAME, [500]))
    drawn = bg.source(files).sample(100, seed=3)
    pd.testing.assert_frame_equal(drawn, FRAME.loc[drawn.index], check_index_type=False)
    assert len(bg.source(files).sample(5000)) == 1000


def test_texts_are_read_with_their_own_settings(tmp_path):
    for number, part in enumerate(split(FRAME, [500])):
        part.to_csv(tmp_path / f"{number}.csv", sep=";", decimal=",", index=False)
    with pytest.warns(bg.TableWarning, match="decimal comma"):
        opened = bg.source(f"{tmp_path}/*.csv")
    np.testing.assert_array_equal(np.concatenate([part.values for part in opened.parts(100)]), ROWS)


def test_a_source_is_shown_by_its_files_and_columns(tmp_path):
    pd.DataFrame({"a": [1.0], "b": [2.0]}).to_csv(tmp_path / "x.csv", index=False)
    assert repr(bg.source(tmp_path / "x.csv")) == f"FileSource('{tmp_path / 'x.csv'}': 1 file, columns 'a', 'b')"


def test_a_pattern_where_one_table_is_read_is_answered_with_what_reads_it(tmp_path):
    with pytest.raises(DataError, match=r"no file .*\*.csv\n.*fit\(model, pattern, 'em'\)"):
        bg.GaussianMixture(1).fit(str(tmp_path / "*.csv"))


def test_several_zarr_arrays_are_one_source_and_numbers_keep_their_precision(tmp_path):
    for number, rows in enumerate(np.array_split(ROWS[:, 0].astype(np.float32), 3)):
        zarr.create_array(tmp_path / f"{number}.zarr", data=rows, chunks=(100,))
    for given in (str(tmp_path / "*.zarr"), tmp_path):
        parts = [part.values for part in bg.source(given).parts(150)]
        assert parts[0].dtype == np.float32
        np.testing.assert_array_equal(np.concatenate(parts)[:, 0], ROWS[:, 0].astype(np.float32))


def test_a_zarr_folder_that_is_damaged_changed_or_no_array_is_named(tmp_path):
    whole = made("zarr", tmp_path)
    opened = bg.source(whole)
    chunk = sorted(path for path in whole.rglob("*") if path.is_file() and "json" not in path.name)[4]
    content = chunk.read_bytes()
    chunk.write_bytes(content[:10])
    with pytest.raises(DataError, match=r"a\.zarr has changed"):
        [*opened.parts(100)]
    with pytest.raises(DataError, match=r"a\.zarr, rows \d+ to \d+: "):
        [*bg.source(whole).parts(100)]
    zarr.create_group(tmp_path / "group.zarr")
    with pytest.raises(DataError, match=r"group\.zarr is not a complete \.zarr file with an array of numbers"):
        bg.source(tmp_path / "group.zarr")
    zarr.create_array(tmp_path / "cube.zarr", data=np.zeros((2, 2, 2)))
    with pytest.raises(DataError, match=r"holds an array \(2, 2, 2\)"):
        bg.source(tmp_path / "cube.zarr")


@pytest.mark.parametrize("order", ["C", "F"])
def test_kept_rows_lie_in_few_large_pieces_of_memory(order):
    """Which the system takes back when they are not needed; it keeps small ones that lie between others."""
    rng = np.random.default_rng(0)
    parts = [rng.normal(size=(n, 3)).astype(kind, order=order) for n in (5, 64, 7) for kind in (np.float32, float)]
    kept = _Kept(10_000)
    for part in parts:
        kept.add(part)
    for part, one in zip(parts, kept.prefix(0, skips=True), strict=True):
        assert one.dtype == part.dtype
        assert one.strides == part.strides
        assert one.ctypes.data % LINE == kept.arrays[0].ctypes.data % LINE
        np.testing.assert_array_equal(one, part)
        assert one.base is not None
    assert np.ptp([one.ctypes.data for one in kept.arrays]) < 10_000
    kept.add(np.zeros((10_000, 3)))
    assert len(kept.arrays) == len(parts)
