"""Fits of rows with missing cells: the marginal likelihood of what is observed, for every engine and family."""

import warnings

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

import bayesgmm as bg
from bayesgmm.data.points import as_points
from bayesgmm.datasets import make_mixture
from bayesgmm.engines import ENGINES
from bayesgmm.posterior.log_posterior import LogPosterior
from tests.families.registry import CHARTED

SHORT = {"draws": 200, "tune": 200, "chains": 2, "max_draws": 200}
SETTINGS = {"nuts": SHORT, "gibbs": SHORT} | {name: {"draws": 200} for name in ("advi", "fullrank_advi", "vb")}
SAMPLE = make_mixture(n_points=200, n_features=3, n_components=2, overlap=0.01, seed=3)


def holed(x: np.ndarray, share: float = 0.15, seed: int = 0) -> np.ndarray:
    return np.where(np.random.default_rng(seed).random(x.shape) < share, np.nan, x)


HOLED = holed(SAMPLE.X)


def quick_fit(method: str, x: np.ndarray = HOLED, model: bg.MixtureModel | None = None, **settings: object):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bg.FitWarning)
        model = bg.MixtureModel(2) if model is None else model
        return bg.fit(model, x, method, progress=False, **({"seed": 1} | SETTINGS.get(method, {}) | settings))


def brute(x: np.ndarray, weight: np.ndarray, mean: np.ndarray, covariance: np.ndarray) -> float:
    """Log likelihood of what is observed, by scipy."""
    total = 0.0
    for row in x:
        seen = ~np.isnan(row)
        parts = [
            multivariate_normal(m[seen], c[np.ix_(seen, seen)]).logpdf(row[seen]) if seen.any() else 0.0
            for m, c in zip(mean, covariance, strict=True)
        ]
        total += logsumexp(np.log(weight) + parts)
    return total


@pytest.mark.parametrize("covariance", CHARTED)
def test_the_log_posterior_and_its_gradient_are_those_of_the_marginals(covariance: str) -> None:
    x = holed(SAMPLE.X[:60] * [1.0, 10.0, 0.1])
    x[4] = np.nan
    density = LogPosterior.of(bg.MixtureModel(2, covariance), as_points(x, gaps=True))
    q = density.coordinates(np.array([0.3, 0.7]), np.array([[-0.5, 0.1, 0.2], [0.4, -0.2, 0.0]]), _roots(density))
    q = q + 0.1 * np.random.default_rng(0).normal(size=q.size)
    p = density.parameters(q[None])
    loglik = brute(x, p.weight[0], p.mean[0], p.covariance[0])
    assert density.value(q) - density.log_prior(q) == pytest.approx(loglik, rel=1e-10)
    step, (_, gradient) = 1e-6, density(q)
    ends = [(density.value(q + step * e), density.value(q - step * e)) for e in np.eye(q.size)]
    np.testing.assert_allclose(gradient, [(a - b) / (2 * step) for a, b in ends], rtol=1e-5, atol=1e-4)


def _roots(density: LogPosterior) -> np.ndarray:
    return density.model.family.identity(density.n_components, density.n_features)


@pytest.mark.parametrize("method", ENGINES)
def test_every_engine_finds_the_truth_among_gaps(method: str) -> None:
    fit = quick_fit(method)
    drawn = fit["posterior"]["mean"]
    mean, sd = (np.sort(part.values, axis=0) for part in (drawn.mean(("chain", "draw")), drawn.std(("chain", "draw"))))
    order = np.sort(SAMPLE.mean, axis=0)
    spread = np.sqrt(np.diagonal(SAMPLE.covariance, axis1=1, axis2=2).max(axis=0) / 50)
    assert (np.abs(mean - order) < 6 * np.maximum(sd, spread)).all()
    assert np.isnan(fit["observed_data"]["x"].values).sum() == np.isnan(HOLED).sum()


@pytest.mark.parametrize("covariance", CHARTED)
def test_the_maximum_has_a_zero_gradient(covariance: str) -> None:
    fit = quick_fit("em", model=bg.MixtureModel(2, covariance))
    p = fit["posterior"].isel(chain=0, draw=0)
    density = LogPosterior.of(bg.MixtureModel(2, covariance), as_points(HOLED, gaps=True)).likelihood()
    family, standard = density.model.family, density.standard
    roots = family.roots(family.cores(p["covariance"].values / np.outer(standard.scale, standard.scale)))
    q = density.coordinates(p["weight"].values, (p["mean"].values - standard.shift) / standard.scale, roots)
    value, gradient = density(q)
    assert np.abs(gradient).max() < 0.02
    assert fit["sample_stats"]["loglik"].item() == pytest.approx(value, rel=1e-9)


@pytest.mark.parametrize("weight", [None, np.arange(60) % 3])
def test_two_samplers_agree(weight: np.ndarray | None) -> None:
    """NUTS has the marginal likelihood, Gibbs draws the missing cells; means differ by at most 4 errors."""
    x = holed(make_mixture(n_points=60, n_features=2, n_components=2, overlap=0.05, seed=5).X, 0.25)
    settings = {"draws": 1500, "tune": 500, "chains": 4, "max_draws": 1500, "sample_weight": weight}
    one, two = (quick_fit(method, x, **settings) for method in ("nuts", "gibbs"))
    for value in (lambda f: f["sample_stats"]["loglik"].values, lambda f: f["posterior"]["weight"].values.max(-1)):
        a, b = value(one), value(two)
        error = np.hypot(a.mean(1).std(ddof=1) / 2, b.mean(1).std(ddof=1) / 2) + 0.02 * a.std()
        assert abs(a.mean() - b.mean()) < 4 * error
        assert a.std() / b.std() == pytest.approx(1.0, abs=0.15)


def test_a_row_without_any_value_tells_nothing() -> None:
    x = np.concatenate([HOLED, np.full((3, 3), np.nan)])
    one, two = (quick_fit("em", values, bg.MixtureModel(2)) for values in (HOLED, x))
    assert two["sample_stats"]["loglik"].item() == pytest.approx(one["sample_stats"]["loglik"].item(), abs=1e-4)
    probability = bg.assignments(two)["probability"].values[-1]
    np.testing.assert_allclose(np.sort(probability), np.sort(two["posterior"]["weight"].values.ravel()), atol=1e-6)


def test_units_change_the_log_likelihood_by_the_observed_cells() -> None:
    change = (~np.isnan(HOLED)).sum() * np.log(8.0)
    one, two = (quick_fit("em", x)["sample_stats"]["loglik"].item() for x in (HOLED, HOLED * 8.0))
    assert one - two == pytest.approx(change, rel=1e-6)
    one, two = (bg.info(quick_fit("vb", x)).notes.elbo for x in (HOLED, HOLED * 8.0))
    assert one - two == pytest.approx(change, rel=1e-6)


def test_gibbs_finds_both_clusters_among_gaps_when_their_number_is_unknown() -> None:
    fit = quick_fit("gibbs", model=bg.MixtureModel(5, weights=bg.FiniteMixture()))
    assert bg.n_clusters(fit).sel(n_clusters=2) > 0.5


@pytest.mark.parametrize("method", ["vb", "advi"])
def test_minibatches_reach_the_bound_of_all_rows(method: str) -> None:
    """Blocks hold rows with the same missing columns, so that minibatches differ in what they tell of each column."""
    x = make_mixture(n_points=3000, n_features=4, n_components=3, overlap=0.05, seed=1).X
    turn = np.random.default_rng(0).random(len(x))
    x[turn < 0.3, 0], x[(turn > 0.2) & (turn < 0.5), 2:] = np.nan, np.nan
    elbo = [bg.info(quick_fit(method, x, bg.MixtureModel(3), **more)).notes.elbo for more in ({}, {"batch_size": 300})]
    assert elbo[1] == pytest.approx(elbo[0], abs=0.3)


@pytest.mark.parametrize("covariance", CHARTED)
@pytest.mark.parametrize("noise", [None, 0.3])
def test_only_the_jacobian_of_triangular_roots_depends_on_the_order_of_the_columns(
    covariance: str, noise: float | None
) -> None:
    """The log density of permuted columns differs by the sum of (i + 1) log p_ii; the mode of ``map`` follows it."""
    spread = np.array([[2.0, 0.9, -0.4], [0.9, 1.0, 0.3], [-0.4, 0.3, 0.7]])
    spread = {"diag": spread * np.eye(3), "spherical": 0.8 * np.eye(3)}.get(covariance, spread)
    values, jacobians = [], []
    for order in ([0, 1, 2], [2, 0, 1]):
        points = as_points(HOLED[:80, order], gaps=True).measured(noise)
        density = LogPosterior.of(bg.MixtureModel(2, covariance), points)
        family = density.model.family
        roots = family.roots(family.cores(np.stack([spread[np.ix_(order, order)]] * 2)))
        values.append(density.value(density.coordinates(np.array([0.3, 0.7]), np.zeros((2, 3)), roots)))
        triangular = roots if roots.ndim == 3 else np.eye(3)[None]
        jacobians.append((np.log(np.diagonal(triangular, axis1=1, axis2=2)) @ [1.0, 2.0, 3.0]).sum())
    assert values[1] - values[0] == pytest.approx(jacobians[1] - jacobians[0], abs=1e-8)


def test_what_needs_complete_rows_says_so() -> None:
    with pytest.raises(bg.errors.DataError, match="cross-conformal' needs complete rows"):
        bg.anomaly_scores(quick_fit("em", SAMPLE.X), HOLED, reference="cross-conformal")


@pytest.mark.parametrize("weights", [None, np.arange(200) % 3])
def test_a_background_has_the_scale_of_the_values_that_there_are(weights) -> None:
    """Rows in which one column is missing tell about the others only: as if each column were complete by itself."""
    x = SAMPLE.X.copy()
    x[::2, 0] = np.nan
    background = bg.Background(0.1).resolve(as_points(x, gaps=True).weighed(weights))
    for column, own in enumerate((slice(1, None, 2), slice(None), slice(None))):
        part = as_points(x[own, [column]]).weighed(None if weights is None else weights[own])
        alone = bg.Background(0.1).resolve(part)
        assert (background.location[column], background.scale[column]) == (*alone.location, *alone.scale)
    model = bg.MixtureModel(2, background=bg.Background(0.1))
    assert np.isfinite(quick_fit("em", x, model, sample_weight=weights)["sample_stats"]["loglik"].item())


def test_a_column_without_values_is_refused() -> None:
    x = HOLED.copy()
    x[:, 1] = np.nan
    with pytest.raises(bg.errors.DataError, match="1 column has no values: 'x1'"):
        bg.fit(bg.MixtureModel(2), x, progress=False)
    with pytest.raises(bg.errors.DataError, match="infinite"):
        bg.fit(bg.MixtureModel(2), np.where(np.isnan(HOLED), np.inf, HOLED), progress=False)


def test_a_background_is_set_by_what_is_observed() -> None:
    """Its scale was NaN in a column with gaps, and the log posterior with it."""
    x = np.random.default_rng(0).normal(size=(200, 2))
    x[::4, 0] = np.nan
    model = bg.MixtureModel(1, background=bg.Background(0.1))
    for weight in (None, np.ones(200)):
        found = model.resolve(as_points(x, gaps=True).weighed(weight)).background
        alone = model.resolve(as_points(x[~np.isnan(x[:, 0])]).weighed(None if weight is None else weight[:150]))
        assert found.scale[0] == pytest.approx(alone.background.scale[0])
    fit = quick_fit("em", x, model)
    assert np.isfinite(fit["sample_stats"]["loglik"]).all()
