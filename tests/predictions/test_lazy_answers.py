"""Answers about Dask collections are lazy, and are those about the same rows in memory."""

import dask
import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
import xarray as xr

import bayesgmm as bg
from bayesgmm.datasets import make_mixture
from bayesgmm.errors import DataError, DeclarationError
from bayesgmm.predictions.lazy_answers import as_table

X = make_mixture(900, 2, 3, seed=1).X
FRAME = pd.DataFrame(X, columns=["u", "v"], index=np.arange(900) + 7)
ANSWERS = [bg.assignments, bg.density, bg.anomaly_scores]


@pytest.fixture(scope="module")
def fit():
    return bg.fit(bg.MixtureModel(3, background=bg.Background(share=0.02)), FRAME, "em", seed=1, progress=False)


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("chunks", [(900, 2), (400, 1)])
def test_answers_about_an_array_are_those_in_memory(answer, chunks, fit):
    calls = []

    def counted(block):
        calls.append(len(block))
        return block

    lazy = answer(fit, da.from_array(X, chunks=chunks).map_blocks(counted, meta=X[:0]))
    assert not calls
    assert all(isinstance(variable.data, da.Array) for variable in lazy.data_vars.values())
    with dask.config.set(scheduler="synchronous"):
        xr.testing.assert_allclose(lazy.compute(), answer(fit, X).drop_vars("point"), rtol=1e-12)
    assert sum(calls) == 900 * 2 // chunks[1]


@pytest.mark.parametrize("answer", ANSWERS)
def test_answers_about_a_frame_are_tables_with_its_index(answer, fit):
    lazy = answer(fit, dd.from_pandas(FRAME[["v", "u"]], npartitions=3))
    found = lazy.compute(scheduler="synchronous")
    pd.testing.assert_frame_equal(found, as_table(answer(fit, FRAME)).set_index(FRAME.index), rtol=1e-12)
    assert (lazy.dtypes == found.dtypes).all()


def test_chunks_of_unknown_and_of_no_rows_are_answered(fit):
    array = da.concatenate([da.from_array(X), da.zeros((0, 2))])
    np.testing.assert_array_equal(bg.assignments(fit, array)["label"], bg.assignments(fit, X)["label"])
    some = da.from_array(X, chunks=(300, 2))
    some = some[some[:, 0] > 0]
    found = bg.assignments(fit, some).compute(scheduler="synchronous")
    np.testing.assert_array_equal(found["label"], bg.assignments(fit, X[X[:, 0] > 0])["label"])


def test_the_joint_density_of_some_columns_is_lazy_too(fit):
    lazy = bg.density(fit, da.from_array(X[:, 1:]), columns=["v"])
    np.testing.assert_allclose(lazy["density"], bg.density(fit, X[:, 1:], columns=["v"])["density"])


def test_what_needs_all_rows_at_once_is_refused(fit):
    array = da.from_array(X)
    with pytest.raises(DeclarationError, match="fdr= can't be used with a Dask collection"):
        bg.anomaly_scores(fit, array, fdr=0.1)
    with pytest.raises(DeclarationError, match="noise= can't be used with a Dask collection"):
        bg.assignments(fit, array, noise=0.1)
    with pytest.raises(DeclarationError, match="has 3 columns; give a name for each"):
        bg.assignments(fit, da.zeros((5, 3)))


def test_a_bad_row_is_named_with_its_block(fit):
    rows = X.copy()
    rows[500, 1] = np.inf
    lazy = bg.density(fit, da.from_array(rows, chunks=(400, 2)))
    with pytest.raises(DataError, match="partition 1: 1 value is .*infinite: row 100, column 'v'"):
        lazy.compute(scheduler="synchronous")
