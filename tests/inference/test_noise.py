"""Fits of rows with errors of measurement: extreme deconvolution by every engine."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

import bayesgmm as bg
from bayesgmm.data.points import as_points
from bayesgmm.engines import ENGINES
from bayesgmm.errors import DataError
from bayesgmm.posterior.log_posterior import LogPosterior
from tests.families.registry import CHARTED
from tests.inference.test_gaps import quick_fit

RNG = np.random.default_rng(1)
GROUP = RNG.integers(0, 2, 300)
TRUE = np.where(GROUP[:, None] == 0, [0.0, 0.0], [4.0, 2.0]) + RNG.normal(size=(300, 2)) * [0.6, 0.3]
SD = RNG.uniform(0.1, 1.5, size=TRUE.shape)
SD[::5] = 0.0
X = TRUE + SD * RNG.normal(size=TRUE.shape)
X[7, 1] = np.nan


@pytest.mark.parametrize("method", ENGINES)
def test_every_engine_finds_the_spread_before_the_errors(method: str) -> None:
    """The variances with the errors would be 1.2 and .9, and are .36 and .09 without."""
    fit = quick_fit(method, X, noise=SD)
    drawn = fit["posterior"]["covariance"].mean(("chain", "draw")).values
    sd = np.sqrt(np.diagonal(drawn, axis1=1, axis2=2))
    np.testing.assert_allclose(sd, [[0.6, 0.3]] * 2, rtol=0.25)
    mean = np.sort(fit["posterior"]["mean"].mean(("chain", "draw")).values, axis=0)
    np.testing.assert_allclose(mean, [[0, 0], [4, 2]], atol=0.25)


@pytest.mark.parametrize("kind", ["standard errors", "covariances"])
@pytest.mark.parametrize("covariance", CHARTED)
def test_the_log_posterior_and_its_gradient_are_those_of_the_convolution(covariance: str, kind: str) -> None:
    x, sd = X[:40] * [1.0, 10.0], SD[:40] * [1.0, 10.0]
    matrices = sd[:, :, None] ** 2 * np.eye(2)
    if kind == "covariances":
        matrices[:, 0, 1] = matrices[:, 1, 0] = 0.5 * sd[:, 0] * sd[:, 1]
    noise = sd if kind == "standard errors" else matrices
    density = LogPosterior.of(bg.MixtureModel(2, covariance), as_points(x, gaps=True).measured(noise))
    identity = density.model.family.identity(2, 2)
    q = density.coordinates(np.array([0.3, 0.7]), np.array([[-0.5, 0.1], [0.4, -0.2]]), identity)
    q = q + 0.1 * np.random.default_rng(0).normal(size=q.size)
    p, total = density.parameters(q[None]), 0.0
    for row, own in zip(x, matrices, strict=True):
        seen = ~np.isnan(row)
        each = [
            w * multivariate_normal(m[seen], (c + own)[np.ix_(seen, seen)]).pdf(row[seen])
            for w, m, c in zip(p.weight[0], p.mean[0], p.covariance[0], strict=True)
        ]
        total += np.log(sum(each))
    assert density.value(q) - density.log_prior(q) == pytest.approx(total, rel=1e-10)
    step, (_, gradient) = 1e-6, density(q)
    ends = [(density.value(q + step * e), density.value(q - step * e)) for e in np.eye(q.size)]
    np.testing.assert_allclose(gradient, [(a - b) / (2 * step) for a, b in ends], rtol=1e-5, atol=1e-4)


def test_without_errors_a_fit_is_the_plain_one() -> None:
    complete = TRUE[:100]
    for method in ("em", "gibbs"):
        plain, zero = quick_fit(method, complete), quick_fit(method, complete, noise=np.zeros(2))
        assert np.array_equal(plain["posterior"]["mean"], zero["posterior"]["mean"])


def test_nuts_and_gibbs_agree() -> None:
    """Two unrelated ways to the same posterior: a gradient of the convolution, and draws of the true values."""
    settings = {"draws": 1500, "tune": 300, "chains": 2, "max_draws": 1500}
    one, two = (quick_fit(method, X, noise=SD, **settings) for method in ("nuts", "gibbs"))
    for name in ("weight", "mean", "covariance"):
        a, b = (fit["posterior"][name] for fit in (one, two))
        sd = a.std(("chain", "draw")).values
        apart = (a.mean(("chain", "draw")) - b.mean(("chain", "draw"))).values / np.where(sd > 0, sd, 1)
        assert np.abs(apart).max() < 0.2, name


def test_what_can_not_be_combined_is_refused() -> None:
    log = bg.ColumnTransforms({"x0": bg.Power(0.0, start=0.1), "x1": None})
    with pytest.raises(DataError, match="noise= is for columns in data units; transformed are 'x0'"):
        bg.fit(bg.MixtureModel(1), np.exp(TRUE), "em", noise=0.1, transform=log, progress=False)


def test_a_fit_keeps_its_errors(tmp_path) -> None:
    fit = quick_fit("em", X, noise=SD)
    again = bg.load(bg.save(fit, tmp_path / "fit.nc"))
    for each in (fit, again):
        assert np.array_equal(each["observed_data"]["noise"], np.where(np.isnan(X), 0.0, SD))
    right = bg.assignments(fit)["probability"].values
    assert np.array_equal(bg.assignments(again)["probability"], right)
    np.testing.assert_allclose(bg.assignments(fit, X, noise=SD)["probability"], right, rtol=1e-12)
    assert np.abs(bg.assignments(fit, X)["probability"].values - right).max() > 0.1


def test_the_choice_of_a_number_allows_for_errors() -> None:
    """With the errors left out, their mixture of sizes looks like more components."""
    wide = np.random.default_rng(2).normal(size=(1500, 1))
    sd = np.where(np.arange(1500)[:, None] % 3 == 0, 4.0, 0.1)
    measured = wide + sd * np.random.default_rng(3).normal(size=wide.shape)
    assert int(bg.select(measured, [1, 2], seed=0, progress=False)["n_components"].iloc[0]) == 2
    assert int(bg.select(measured, [1, 2], noise=sd, seed=0, progress=False)["n_components"].iloc[0]) == 1


@pytest.mark.parametrize("method", ["em", "mle"])
def test_a_spread_that_the_errors_hide_is_said(method: str) -> None:
    """The true standard deviation is a tenth of the errors': the likelihood is highest at zero."""
    rng = np.random.default_rng(0)
    x = np.where(np.arange(500) % 2, 0.0, 4.0)[:, None] + 0.1 * rng.normal(size=(500, 1)) + rng.normal(size=(500, 1))
    with pytest.warns(bg.FitWarning, match="explain all of the spread: the standard deviation of component 0"):
        fit = bg.fit(bg.MixtureModel(2, "tied"), x, method, noise=1.0, seed=0, progress=False)
    assert "hidden spread" in {finding.check for finding in bg.diagnose(fit, progress=False)}


def test_a_spread_above_the_errors_is_no_finding() -> None:
    found = bg.diagnose(quick_fit("em", X, noise=SD), ["hidden spread", "missing values"], progress=False)
    assert [finding.check for finding in found] == ["missing values"]
    assert str(next(iter(found))).startswith("1 of 600 values is missing")
