"""The schema of fits: contents, files, rejection of other trees, and use by ArviZ."""

import arviz as az
import matplotlib as mpl
import numpy as np
import pytest
import xarray as xr

import bayesgmm as bg
from bayesgmm.errors import FitFileError
from bayesgmm.files import writable
from bayesgmm.posterior.info import declaration
from bayesgmm.posterior.schema import FORMATS, unpack

mpl.use("Agg")


def test_dims_and_names_are_those_of_the_schema(fit):
    posterior = fit["posterior"]
    assert posterior["weight"].dims == ("chain", "draw", "component")
    assert posterior["mean"].dims == ("chain", "draw", "component", "feature")
    assert posterior["covariance"].dims == ("chain", "draw", "component", "feature", "feature_bis")
    assert list(posterior["feature"].values) == ["sepal_length", "sepal_width", "petal_length", "petal_width"]
    assert fit["observed_data"]["x"].dims == ("point", "feature")
    assert {"lp", "loglik", "diverging", "n_steps", "step_size", "tree_depth", "energy"} <= set(fit["sample_stats"])


@pytest.mark.parametrize("name", ["fit.nc", "fit.zarr"])
def test_a_fit_survives_the_disk(fit, tmp_path, name):
    bg.save(fit, tmp_path / name)
    bg.save(fit, tmp_path / name)  # over itself
    again = bg.load(tmp_path / name)
    assert again.identical(fit)
    assert declaration(again) == declaration(fit)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_text_row_labels_survive_the_disk(tmp_path, iris):
    frame = iris.drop(columns="species").set_index(np.array([f"flower {i}" for i in range(150)]))
    bg.save(bg.fit(bg.MixtureModel(2), frame, "em", seed=1, progress=False), tmp_path / "fit.nc")
    assert list(bg.assignments(bg.load(tmp_path / "fit.nc"))["point"].values[:2]) == ["flower 0", "flower 1"]


def test_what_is_not_a_fit_is_refused(tmp_path, fit):
    with pytest.raises(FitFileError, match="there is no file"):
        bg.load(tmp_path / "nothing.nc")
    (tmp_path / "text.nc").write_text("not a file of this package")
    with pytest.raises(FitFileError, match="damaged, or something else"):
        bg.load(tmp_path / "text.nc")
    (tmp_path / "folder.zarr").mkdir()
    with pytest.raises(FitFileError, match="can't be read as a fit|is not a fit"):
        bg.load(tmp_path / "folder.zarr")
    xr.Dataset({"a": 1}).to_netcdf(tmp_path / "foreign.nc", engine="h5netcdf")
    with pytest.raises(FitFileError, match="its posterior lacks 'weight', 'mean', 'covariance'"):
        bg.load(tmp_path / "foreign.nc")
    with pytest.raises(FitFileError, match="not a fit"):
        bg.assignments(xr.DataTree(), [[1.0]])


def test_a_truncated_file_is_refused(tmp_path, fit):
    path = bg.save(fit, tmp_path / "fit.nc")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(FitFileError, match="damaged"):
        bg.load(path)


@pytest.mark.parametrize(
    ("name", "message"),
    [("fit.pickle", "must end in .nc"), ("nowhere/fit.nc", "there is no folder"), ("folder.nc", "it is a folder")],
)
def test_a_path_that_cannot_be_written_is_found_before_the_work(tmp_path, name, message):
    (tmp_path / "folder.nc").mkdir()
    with pytest.raises(FitFileError, match=message):
        writable(tmp_path / name, *FORMATS)


def test_a_newer_schema_asks_for_an_upgrade(tmp_path, fit):
    newer = fit.copy()
    newer.attrs["bayesgmm"] = fit.attrs["bayesgmm"].replace('"schema": 1', '"schema": 99')
    bg.save(newer, tmp_path / "fit.nc")
    with pytest.raises(FitFileError, match="upgrade bayesgmm"):
        bg.load(tmp_path / "fit.nc")


def test_arviz_reads_it_unchanged(fit, tmp_path):
    import matplotlib.pyplot as plt

    loaded = bg.load(bg.save(fit, tmp_path / "fit.nc"))
    for tree in (fit, loaded):
        assert "mean[0, petal_width]" in az.summary(tree).index
        az.plot_trace_dist(tree, var_names=["weight"])
        az.plot_rank(tree, var_names=["weight"])
        plt.close("all")


def test_a_tree_without_our_groups_still_answers(fit, iris):
    """What someone else's sampler made: a posterior with our names, and the data."""
    foreign = xr.DataTree.from_dict(
        {"posterior": fit["posterior"].to_dataset(), "observed_data": fit["observed_data"].to_dataset()}
    )
    np.testing.assert_allclose(bg.assignments(foreign)["probability"], bg.assignments(fit)["probability"], atol=1e-9)
    bare = xr.DataTree.from_dict({"posterior": fit["posterior"].to_dataset()})
    with pytest.raises(FitFileError, match="pass the data"):
        bg.assignments(bare)
    new = bg.assignments(bare, iris)
    np.testing.assert_allclose(new["probability"], bg.assignments(fit)["probability"], atol=1e-9)


def test_a_tree_cut_out_of_shape_is_refused(fit):
    with pytest.raises(FitFileError, match="not square"):
        bg.density(fit.sel(feature=["petal_width"]), [[1.0]])
    bare = xr.DataTree.from_dict({"posterior": fit["posterior"].to_dataset().drop_vars("component")})
    with pytest.raises(FitFileError, match="no coordinates for 'component'"):
        bg.assignments(bare, [[1.0] * 4])


def test_dates_of_any_century_survive_the_disk(tmp_path, iris):
    import pandas as pd

    for start in ("1500", "2020"):
        frame = iris.drop(columns="species").set_index(pd.date_range(start, periods=150, unit="s"))
        bg.save(bg.fit(bg.MixtureModel(2), frame, "em", seed=1, progress=False), tmp_path / "fit.nc")
        assert str(bg.load(tmp_path / "fit.nc")["observed_data"]["point"].values[0]).startswith(f"{start}-01-01")


def test_thinning_keeps_first_and_last(fit):
    posterior = unpack(fit)
    thin = posterior.thin(10)
    assert thin.n_draws == 10
    np.testing.assert_array_equal(thin.parameters.weight[[0, -1]], posterior.parameters.weight[[0, -1]])
    assert posterior.thin(None) is posterior
