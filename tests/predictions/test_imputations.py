"""Imputed values: intervals cover as often as they say, observed values stay, draws do not depend on threads."""

import os

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kstest

import bayesgmm as bg
from bayesgmm.datasets import make_mixture

SAMPLE = make_mixture(n_points=1500, n_features=3, n_components=3, overlap=0.05, seed=2)
HOLED = np.where(np.random.default_rng(0).random(SAMPLE.X.shape) < 0.2, np.nan, SAMPLE.X)


@pytest.fixture(scope="module")
def fit():
    return bg.fit(
        bg.MixtureModel(3), HOLED, "gibbs", seed=1, draws=250, tune=250, chains=2, max_draws=250, progress=False
    )


def test_intervals_cover_the_values_that_were_deleted(fit) -> None:
    """90 % intervals of 400 imputations: 900 cells, standard error 1 %; false alarms: 1 in 1,000."""
    answer = bg.impute(fit, draws=400, seed=3)
    missing = answer["missing"].values
    low, high = np.quantile(answer["draws"].values, [0.05, 0.95], axis=0)
    covered = ((low <= SAMPLE.X) & (high >= SAMPLE.X))[missing].mean()
    assert covered == pytest.approx(0.9, abs=3.3 * np.sqrt(0.09 / missing.sum()))


def test_draws_have_the_moments_that_are_given(fit) -> None:
    answer = bg.impute(fit, draws=1000, seed=1)
    missing, drawn = answer["missing"].values, answer["draws"].values
    z = (drawn.mean(axis=0) - answer["mean"].values)[missing] / (answer["sd"].values[missing] / np.sqrt(1000))
    assert np.abs(z).max() < 5
    ratio = drawn.std(axis=0)[missing] / answer["sd"].values[missing]
    assert 0.98 < np.median(ratio) < 1.02


def test_observed_values_stay_and_are_certain(fit) -> None:
    answer = bg.impute(fit, draws=3)
    seen = ~np.isnan(HOLED)
    assert (answer["missing"].values == ~seen).all()
    assert (answer["mean"].values[seen] == HOLED[seen]).all()
    assert (answer["draws"].values[:, seen] == HOLED[seen]).all()
    assert (answer["sd"].values[seen] == 0).all()
    assert (answer["sd"].values[~seen] > 0).all()


def test_the_same_seed_gives_the_same_draws_for_any_number_of_threads(fit, monkeypatch) -> None:
    one = bg.impute(fit, draws=4, seed=5)["draws"].values
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    assert np.array_equal(one, bg.impute(fit, draws=4, seed=5)["draws"].values)
    assert not np.array_equal(one, bg.impute(fit, draws=4, seed=6)["draws"].values)
    assert not np.array_equal(one[0], one[1])


def test_new_rows_keep_their_names(fit) -> None:
    new = pd.DataFrame([[np.nan, 0.0, 1.0]], columns=["x0", "x1", "x2"], index=["a"])
    answer = bg.impute(fit, new)
    assert answer["mean"].sel(point="a", feature="x1").item() == 0.0
    assert answer.sizes["imputation"] == 20


def test_complete_rows_are_returned(fit) -> None:
    answer = bg.impute(fit, SAMPLE.X[:5], draws=2)
    assert (answer["draws"].values == SAMPLE.X[:5]).all()
    assert not answer["missing"].any()


def test_transformed_columns_are_imputed_in_data_units() -> None:
    x = np.exp(SAMPLE.X[:300] / np.abs(SAMPLE.X).max())
    holed = np.where(np.isnan(HOLED[:300]), np.nan, x)
    transform = bg.ColumnTransforms({name: bg.Power(0, start=1e-3) for name in ("x0", "x1", "x2")})
    fit = bg.fit(bg.MixtureModel(3), holed, "em", seed=1, transform=transform, progress=False)
    answer = bg.impute(fit, seed=1)
    assert (answer["draws"].values > 0).all()
    missing = answer["missing"].values
    away = (answer["mean"].values - x)[missing] / answer["sd"].values[missing]
    assert np.abs(away).mean() < 1.2
    assert np.isfinite(bg.density(fit)["density"].values).all()


def test_bad_input_is_refused(fit) -> None:
    with pytest.raises(bg.errors.DeclarationError, match="draws"):
        bg.impute(fit, draws=0)
    with pytest.raises(bg.errors.DataError, match="GiB"):
        bg.impute(fit, draws=10**6)
    with pytest.raises(bg.errors.DataError, match="columns"):
        bg.impute(fit, [[1.0, np.nan]])


def test_p_values_of_regular_rows_with_gaps_are_uniform(fit) -> None:
    """New rows of the same mixture, with another pattern in most of them; false alarms: 1 in 1,000."""
    new = make_mixture(n_points=3000, n_features=3, n_components=3, overlap=0.05, seed=2).X[1500:]
    holed = np.where(np.random.default_rng(1).random(new.shape) < 0.3, np.nan, new)
    p_value = bg.anomaly_scores(fit, holed, seed=1)["p_value"].values
    incomplete = np.isnan(holed).any(axis=1)
    assert kstest(p_value[incomplete], "uniform").pvalue > 0.001 / 2
    assert kstest(p_value[~incomplete], "uniform").pvalue > 0.001 / 2
    far = bg.anomaly_scores(fit, [[np.nan, 50.0, np.nan]])["p_value"].item()
    assert far < 1e-3
