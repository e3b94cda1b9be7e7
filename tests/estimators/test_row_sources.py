"""Estimators and Dask collections: fits are those in memory, answers are lazy."""

import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

import bayesgmm as bg
from bayesgmm.datasets import make_mixture
from bayesgmm.errors import DataError, DeclarationError
from bayesgmm.posterior.schema import holds_points

X = make_mixture(6_000, 2, 3, overlap=0.05, seed=1).X
FRAME = pd.DataFrame(X, columns=["u", "v"])
KINDS = {
    "array": da.from_array(X, chunks=(2_500, 1)),
    "frame": dd.from_pandas(FRAME, npartitions=3),
    "source": bg.source(FRAME),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_fit_to_rows_in_parts_is_that_in_memory(kind):
    """The sample holds all rows, so that the starts are the same."""
    gmm = bg.GaussianMixture(3, random_state=0, tol=1e-6).fit(KINDS[kind])
    whole = bg.GaussianMixture(3, random_state=0, tol=1e-6).fit(X)
    np.testing.assert_allclose(gmm.means_, whole.means_, rtol=1e-8)
    assert gmm.lower_bound_ == pytest.approx(whole.lower_bound_, rel=1e-10)
    assert gmm.n_features_in_ == 2
    assert [*getattr(gmm, "feature_names_in_", [])] == ([] if kind == "array" else ["u", "v"])
    assert not holds_points(gmm.posterior_)
    assert bg.info(gmm.posterior_).source.n_rows == 6_000
    assert gmm.predict(FRAME if kind != "array" else X).shape == (6_000,)


@pytest.mark.parametrize("answer", ["predict", "predict_proba", "score_samples"])
@pytest.mark.parametrize("estimator", [bg.GaussianMixture, bg.BayesianGaussianMixture])
def test_predictions_of_collections_are_lazy_and_those_in_memory(estimator, answer):
    gmm = estimator(3, random_state=0).fit(FRAME[:1000])
    expected = getattr(gmm, answer)(FRAME)
    for data in (KINDS["frame"], da.concatenate([da.zeros((0, 2)), KINDS["array"]])):
        lazy = getattr(gmm, answer)(data)
        assert isinstance(lazy, da.Array)
        np.testing.assert_allclose(lazy.compute(scheduler="synchronous"), expected)


def test_criteria_of_collections_are_those_in_memory():
    gmm = bg.GaussianMixture(3, random_state=0).fit(X)
    for name in ("score", "bic", "aic"):
        assert getattr(gmm, name)(KINDS["array"]) == pytest.approx(getattr(gmm, name)(X), rel=1e-12)


def test_the_parts_of_a_collection_are_batches():
    own, other = (bg.BayesianGaussianMixture(3, random_state=0) for _ in range(2))
    own.partial_fit(da.from_array(X, chunks=(2_000, 2)))
    for batch in X.reshape(3, 2_000, 2):
        other.partial_fit(batch)
    np.testing.assert_array_equal(own.means_, other.means_)


def test_gaps_and_a_column_of_weights_are_those_in_memory():
    weights = np.random.default_rng(0).integers(1, 4, len(FRAME)).astype(float)
    holed = FRAME.mask(np.random.default_rng(1).random(FRAME.shape) < 0.05)
    source = bg.source(holed.assign(w=weights), weight="w")
    whole = bg.GaussianMixture(2, random_state=0).fit(holed, sample_weight=weights)
    for given in ({}, {"sample_weight": "w"}):
        fitted = bg.GaussianMixture(2, random_state=0).fit(source, **given)
        np.testing.assert_allclose(fitted.means_, whole.means_, rtol=1e-6)
        assert fitted.lower_bound_ == pytest.approx(whole.lower_bound_, rel=1e-9)
    own, other = (bg.BayesianGaussianMixture(2, random_state=0) for _ in range(2))
    own.partial_fit(bg.source(FRAME.assign(w=weights), weight="w"))
    np.testing.assert_array_equal(own.means_, other.partial_fit(FRAME, sample_weight=weights).means_)


def test_weights_that_are_no_column_and_other_columns_are_errors():
    gmm = bg.GaussianMixture(3, random_state=0)
    with pytest.raises(DeclarationError, match="rows that are read in parts have their weights in a column"):
        gmm.fit(KINDS["array"], sample_weight=np.ones(6_000))
    gmm.fit(KINDS["frame"])
    with pytest.raises(DataError, match="there is no column 'v'"):
        gmm.predict(dd.from_pandas(FRAME[["u"]], npartitions=1))
