"""Prior predictive simulation, and the prior of the number of clusters."""

import warnings

import matplotlib as mpl
import numpy as np
import pytest
from scipy.special import digamma

import bayesgmm as bg
from bayesgmm.errors import DeclarationError, FitFileError, FitWarning
from bayesgmm.posterior.info import info
from tests.conftest import sampled

mpl.use("Agg")

HIERARCHICAL = bg.MixtureModel(
    5, weights=bg.DirichletProcess(), means=bg.HierarchicalMeans(), covariances=bg.LKJCovariance(2.0)
)


@pytest.fixture(scope="module")
def tree(iris):
    return bg.prior_predictive(HIERARCHICAL, iris.drop(columns="species"), draws=200, seed=1)


def test_prior_predictive_has_the_names_of_the_schema(tree):
    assert tree["prior"]["weight"].dims == ("chain", "draw", "component")
    assert tree["prior"]["covariance"].shape == (1, 200, 5, 4, 4)
    assert {"concentration", "mean_centre", "mean_spread"} <= set(tree["prior"].data_vars)
    assert tree["prior_predictive"]["x"].dims == ("chain", "draw", "point", "feature")
    assert np.isfinite(tree["prior_predictive"]["x"]).all()


def test_simulated_points_follow_their_mixtures():
    """Mean and variance of 100,000 points of one mixture within 6 standard errors: false alarm 4e-9."""
    model = bg.MixtureModel(2)
    tree = bg.prior_predictive(model, [[0.0], [1.0], [4.0]], draws=1, points=100_000, seed=3)
    p = tree["prior"].to_dataset().isel(chain=0, draw=0)
    w, m, v = (p[name].values.reshape(2) for name in ("weight", "mean", "covariance"))
    mean = w @ m
    variance = w @ (v + m**2) - mean**2
    x = tree["prior_predictive"]["x"].values.ravel()
    assert abs(x.mean() - mean) < 6 * np.sqrt(variance / x.size)
    assert abs(x.var() / variance - 1) < 6 * np.sqrt(((x - mean) ** 4).mean() / variance**2 / x.size)


def test_elicit_agrees_with_the_dirichlet_process():
    """Antoniak (1974): E[clusters] = alpha (psi(alpha + N) - psi(alpha)). 10,000 simulations, 6 errors: 2e-9."""
    alpha, n = 1.5, 100
    answer = bg.elicit(bg.MixtureModel(60, weights=bg.DirichletProcess(alpha)), n)
    clusters = answer["n_clusters"].values
    mean = float((answer["probability"].values * clusters).sum())
    spread = np.sqrt((answer["probability"].values * (clusters - mean) ** 2).sum())
    assert abs(mean - alpha * (digamma(alpha + n) - digamma(alpha))) < 6 * spread / 100
    assert answer["probability"].sum() == pytest.approx(1)
    assert (np.diff(answer["weight"]) <= 0).all()


def test_the_plot_of_the_prior_shows_data_and_simulations(tree):
    data = bg.plots.prior_data(tree)
    assert data["curve"].shape == (4, 25, 200)
    inside = (data["x"] >= data["grid"].min("step")) & (data["x"] <= data["grid"].max("step"))
    assert inside.all()
    figure = bg.plots.prior(tree)
    assert [axis.get_xlabel() for axis in figure.axes[:4]] == list(tree["observed_data"]["feature"].values)
    assert "150 points" in figure.axes[4].get_xlabel()


def test_a_fit_is_not_a_prior(fit):
    with pytest.raises(FitFileError, match="not a result of prior_predictive"):
        bg.plots.prior(fit)


@pytest.mark.parametrize("wrong", [{"draws": 0}, {"seed": -1}, {"points": 0}])
def test_arguments_are_checked(wrong):
    with pytest.raises(DeclarationError, match="must be a whole number"):
        bg.prior_predictive(bg.MixtureModel(1), [[0.0], [1.0]], **wrong)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (bg.MixtureModel(2, means=bg.NormalMeans(0.0, 1.0)), "expects means within about 1 of 0, the midrange"),
        (bg.MixtureModel(2, covariances=bg.LKJCovariance(sd=bg.HalfNormal(1.0))), "near 0.674, that of the whole"),
        (bg.MixtureModel(2, covariances=bg.WishartPrecision(scale=1e18)), "standard deviation near"),
    ],
)
def test_a_prior_in_other_units_than_the_data_gives_a_warning(model, message):
    with pytest.warns(FitWarning, match=message):
        bg.prior_predictive(model, bg.datasets.galaxies(), draws=2)


def test_a_truncation_that_is_too_small_gives_a_warning():
    x = bg.datasets.galaxies()
    model = bg.MixtureModel(3, weights=bg.DirichletProcess(5.0))
    told = info(sampled(model, x, draws=50, chains=2, seed=1))
    assert any("of 3 sticks has" in message for message in told.warnings)
    assert told.truncation.mass == pytest.approx((5 / 6) ** 2)
    assert told.truncation.error_bound == 2.0
    long = info(sampled(bg.MixtureModel(12, weights=bg.DirichletProcess(0.3)), x, draws=50, chains=2, seed=1))
    assert not any("sticks" in message for message in long.warnings)


@pytest.mark.parametrize(
    "model",
    [
        bg.MixtureModel(3, covariances=bg.LKJCovariance(0.1)),
        bg.MixtureModel(3, covariances=bg.WishartPrecision(dof=3.01)),
        bg.MixtureModel(3, covariances=bg.LKJCovariance(2.0, bg.InverseGamma(0.01, 0.01))),
        bg.MixtureModel(3, "diag", covariances=bg.WishartPrecision(dof=0.01)),
    ],
)
def test_a_very_wide_prior_works_or_is_refused(model, iris):
    x = iris.drop(columns="species")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        try:
            drawn = bg.prior_predictive(model, x, draws=200)["prior_predictive"]["x"]
        except DeclarationError as error:
            drawn = str(error)
    assert "too wide" in drawn if isinstance(drawn, str) else np.isfinite(drawn).all()


def test_a_very_wide_prior_of_the_concentration_is_refused():
    with pytest.raises(DeclarationError, match="too wide"):
        bg.elicit(bg.MixtureModel(5, weights=bg.Dirichlet(bg.InverseGamma(0.001, 0.001))), 100)


@pytest.mark.parametrize("call", [bg.prior_predictive, bg.build_model, bg.initial_point, bg.fit])
def test_other_values_than_models_are_refused(call):
    with pytest.raises(DeclarationError, match="must be a MixtureModel"):
        call("iris", [[0.0], [1.0]])
