"""Assignments, densities, anomaly scores: against their definitions."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kstest, multivariate_normal

import bayesgmm as bg
from bayesgmm.diagnosis.summary import component_table
from bayesgmm.errors import DataError, DeclarationError
from bayesgmm.posterior.schema import unpack
from bayesgmm.predictions.replication import simulate


def component_densities(fit, x):
    """(S, N, K) weighted component densities, written with scipy."""
    p = unpack(fit).parameters
    return np.array(
        [
            [w * multivariate_normal(m, c).pdf(x) for w, m, c in zip(*draw, strict=True)]
            for draw in zip(p.weight, p.mean, p.covariance, strict=True)
        ]
    ).transpose(0, 2, 1)


@pytest.fixture(scope="module")
def few(fit):
    """The fit cut to few draws, for brute force."""
    return fit.isel(chain=slice(2), draw=slice(15))


def test_assignments_are_the_posterior_mean_of_responsibilities(few, iris):
    x = iris.drop(columns="species").to_numpy()
    dense = component_densities(few, x)
    wanted = (dense / dense.sum(axis=2, keepdims=True)).mean(axis=0)
    answer = bg.assignments(few)
    np.testing.assert_allclose(answer["probability"], wanted, atol=1e-10)
    np.testing.assert_array_equal(answer["label"], wanted.argmax(axis=1))
    assert ((answer["entropy"] >= 0) & (answer["entropy"] <= 1)).all()
    highest, lowest = np.argmax(answer["entropy"].values), np.argmin(answer["entropy"].values)
    assert wanted[highest].max() < wanted[lowest].max()


def test_density_is_the_posterior_mean_with_its_quantiles(few, iris):
    x = iris.drop(columns="species").to_numpy()
    dense = component_densities(few, x).sum(axis=2)
    answer = bg.density(few, ci_prob=0.5)
    np.testing.assert_allclose(answer["density"], dense.mean(axis=0), rtol=1e-9)
    np.testing.assert_allclose(np.log(answer["band"]), np.quantile(np.log(dense), [0.25, 0.75], axis=0).T, atol=1e-9)


def test_density_integrates_to_one(galaxies_fit):
    grid = np.linspace(-60_000, 120_000, 20_001)
    assert np.trapezoid(bg.density(galaxies_fit, grid)["density"], grid) == pytest.approx(1, abs=1e-3)


def test_anomaly_scores_are_the_posterior_mean_log_density(few, iris):
    x = iris.drop(columns="species").to_numpy()
    dense = component_densities(few, x).sum(axis=2)
    np.testing.assert_allclose(bg.anomaly_scores(few)["log_density"], np.log(dense).mean(axis=0), rtol=1e-9)


def test_p_values_of_new_points_from_the_model_are_uniform(fit):
    """Kolmogorov-Smirnov on 2,000 simulated points: false alarm 1e-5."""
    new = simulate(unpack(fit), 2000, np.random.default_rng(5))
    assert kstest(bg.anomaly_scores(fit, new, seed=6)["p_value"], "uniform").pvalue > 1e-5


def test_simulated_points_have_the_moments_of_the_posterior_predictive(fit):
    """Means and covariances of 100,000 points within 6 standard errors: false alarm 2e-9 a number."""
    posterior = unpack(fit)
    x = simulate(posterior, 100_000, np.random.default_rng(7))
    p = posterior.parameters
    wanted = np.einsum("sk,skd->d", p.weight, p.mean) / posterior.n_draws
    assert (np.abs(x.mean(axis=0) - wanted) < 6 * x.std(axis=0) / np.sqrt(len(x))).all()
    d = p.mean - wanted
    covariance = (
        np.einsum("sk,skij->ij", p.weight, p.covariance + d[..., :, None] * d[..., None, :]) / posterior.n_draws
    )
    products = (x - wanted)[:, :, None] * (x - wanted)[:, None, :]
    assert (np.abs(products.mean(axis=0) - covariance) < 6 * products.std(axis=0) / np.sqrt(len(x))).all()


def test_an_outlier_is_an_anomaly_and_a_typical_point_is_not(fit):
    scores = bg.anomaly_scores(fit, [[5.0, 3.4, 1.5, 0.25], [8.0, 2.0, 1.0, 3.0]])
    assert scores["p_value"][0] > 0.5
    assert scores["p_value"][1] < 0.001
    assert scores["log_density"][1] < scores["log_density"][0]


def test_points_far_from_all_data_give_finite_results(fit):
    far = [[1e100] * 4, [-1e100] * 4]
    assert np.isfinite(bg.assignments(fit, far)["probability"]).all()
    assert (bg.density(fit, far)["density"] == 0).all()
    assert (bg.anomaly_scores(fit, far)["p_value"] < 1e-3).all()


def test_columns_are_found_by_name_in_any_order(fit, iris):
    shuffled = iris[["species", "petal_width", "sepal_length", "petal_length", "sepal_width"]]
    np.testing.assert_array_equal(bg.assignments(fit, shuffled)["label"], bg.assignments(fit)["label"])


def test_data_with_other_columns_are_refused(fit):
    with pytest.raises(DataError, match="the data lack 'sepal_length'"):
        bg.assignments(fit, pd.DataFrame({"a": [1.0]}))
    with pytest.raises(DataError, match=r"4 columns .* shape \(1, 2\)"):
        bg.density(fit, [[1.0, 2.0]])
    with pytest.raises(DataError, match="not a table of numbers"):
        bg.density(fit, [[1.0, 2.0], [3.0]])
    with pytest.raises(DataError, match="missing or infinite"):
        bg.anomaly_scores(fit, [[1.0, 2.0, 3.0, np.inf]])


@pytest.mark.parametrize("ci_prob", [0, 1, 95, "0.9", None])
def test_a_probability_lies_between_zero_and_one(fit, ci_prob):
    with pytest.raises(DeclarationError, match="ci_prob"):
        bg.density(fit, ci_prob=ci_prob)


@pytest.mark.parametrize("answer", [bg.assignments, bg.density, bg.anomaly_scores])
@pytest.mark.parametrize("draws", [0, -3, 1.5, "all"])
def test_the_number_of_draws_is_checked(fit, answer, draws):
    with pytest.raises(DeclarationError, match="draws"):
        answer(fit, draws=draws)


@pytest.mark.parametrize("settings", [{"simulated": 0}, {"simulated": 2.5}, {"seed": -1}])
def test_the_simulation_is_checked(fit, settings):
    with pytest.raises(DeclarationError, match="must be a whole number"):
        bg.anomaly_scores(fit, **settings)


@pytest.mark.parametrize("answer", [bg.assignments, bg.density, bg.anomaly_scores])
def test_point_estimates_and_one_component_work(answer, iris):
    fit = bg.fit(bg.MixtureModel(1), iris.drop(columns="species"), "em", seed=1, progress=False)
    assert all(np.isfinite(v).all() for name, v in answer(fit).data_vars.items() if name != "band")


def test_thinned_draws_give_nearly_the_same_assignments(fit):
    thin, full = (bg.assignments(fit, draws=d)["probability"] for d in (200, None))
    assert float(np.abs(thin - full).max()) < 0.1


def test_the_component_table_holds_means_and_intervals(fit):
    table = component_table(fit, ci_prob=0.8)
    p = unpack(fit).parameters
    assert table.loc[(1, "petal_width"), "mean"] == pytest.approx(p.mean[:, 1, 3].mean())
    assert table.loc[(0, "weight"), "lower"] == pytest.approx(np.quantile(p.weight[:, 0], 0.1))
