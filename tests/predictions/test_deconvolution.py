"""True values of measured points: intervals cover as often as they say, and the answers allow for errors."""

import numpy as np
import pytest
from scipy.stats import kstest

import bayesgmm as bg
from bayesgmm.errors import DataError
from bayesgmm.posterior.contamination import as_modelled
from bayesgmm.predictions.replication import simulate

RNG = np.random.default_rng(5)
TRUE = np.where(RNG.random(1500)[:, None] < 0.4, [0.0, 0.0], [3.0, 2.0]) + RNG.normal(size=(1500, 2)) * [0.6, 0.3]
SD = RNG.uniform(0.1, 1.5, size=TRUE.shape)
X = TRUE + SD * RNG.normal(size=TRUE.shape)


@pytest.fixture(scope="module")
def fit():
    settings = {"draws": 250, "tune": 250, "chains": 2, "max_draws": 250}
    return bg.fit(bg.MixtureModel(2), X, "gibbs", noise=SD, seed=1, progress=False, **settings)


def test_intervals_cover_the_true_values(fit) -> None:
    """90 % intervals of 400 draws: 3,000 values, standard error .55 %; false alarms: 1 in 1,000."""
    low, high = np.quantile(bg.deconvolve(fit, draws=400, seed=3)["draws"].values, [0.05, 0.95], axis=0)
    covered = ((low <= TRUE) & (high >= TRUE)).mean()
    assert covered == pytest.approx(0.9, abs=3.3 * np.sqrt(0.09 / TRUE.size))


def test_estimates_are_nearer_to_the_truth_than_measurements(fit) -> None:
    answer = bg.deconvolve(fit)
    assert np.mean((answer["mean"].values - TRUE) ** 2) < 0.5 * np.mean((X - TRUE) ** 2)
    z = (TRUE - answer["mean"].values) / answer["sd"].values
    assert np.mean(z**2) == pytest.approx(1, abs=0.1)


def test_draws_have_the_moments_that_are_given(fit) -> None:
    answer = bg.deconvolve(fit, draws=2000, seed=1)
    drawn = answer["draws"].values
    z = (drawn.mean(axis=0) - answer["mean"].values) / (answer["sd"].values / np.sqrt(2000))
    assert np.abs(z).max() < 5
    centred = drawn - drawn.mean(axis=0)
    together = centred[..., 0] * centred[..., 1]  # of 1,500 rows, some of which may come from either component
    z = (together.mean(axis=0) - answer["covariance"].values[:, 0, 1]) / (together.std(axis=0) / np.sqrt(2000))
    assert np.abs(z).max() < 5


def test_densities_of_measurements_are_those_of_the_convolution(fit) -> None:
    """Of one column, against a sum of normal densities."""
    grid, sd = np.linspace(-3, 6, 50)[:, None], np.full((50, 1), 0.7)
    p = fit["posterior"].to_dataset().stack(sample=("chain", "draw"))
    mean, variance = p["mean"].sel(feature="x0").values, p["covariance"].sel(feature="x0", feature_bis="x0").values
    variance = variance + 0.49
    right = p["weight"].values * np.exp(-0.5 * (grid[..., None] - mean) ** 2 / variance) / np.sqrt(2 * np.pi * variance)
    got = bg.density(fit, grid, columns=["x0"], noise=sd, draws=None)["density"].values
    np.testing.assert_allclose(got, right.sum(axis=1).mean(axis=1), rtol=1e-9)


def test_p_values_of_regular_points_with_errors_are_uniform(fit) -> None:
    """Each point has errors of its own; false alarms: 1 in 1,000."""
    rng = np.random.default_rng(7)
    sd = rng.choice([0.0, 0.5, 5.0], size=(300, 2))
    new = simulate(as_modelled(fit), 300, rng) + sd * rng.normal(size=(300, 2))
    p_value = bg.anomaly_scores(fit, new, noise=sd, seed=1)["p_value"].values
    assert kstest(p_value, "uniform").pvalue > 0.001
    without = bg.anomaly_scores(fit, new, seed=1)["p_value"].values
    assert (without < 0.01).mean() > 0.2


def test_it_needs_errors(fit) -> None:
    plain = bg.fit(bg.MixtureModel(1), TRUE[:50], "em", progress=False)
    with pytest.raises(
        DataError, match=r"the fit has no errors of measurement\n  Give their standard errors with noise=\."
    ):
        bg.deconvolve(plain)
    with pytest.raises(DataError, match="the data have no errors of measurement"):
        bg.deconvolve(fit, TRUE[:5])
