"""Maximum likelihood and MAP: compared with EM, scikit-learn and closed forms; warnings where there is no maximum."""

import itertools
import warnings

import numpy as np
import pytest
from sklearn.mixture import GaussianMixture
from threadpoolctl import threadpool_limits

import bayesgmm as bg
from bayesgmm.data.points import as_points
from bayesgmm.datasets import make_mixture
from bayesgmm.errors import ComponentError, DegenerateComponent, EmptyComponent, FitWarning
from bayesgmm.inference import em, em_steps, laplace, maxima, mle, modes
from bayesgmm.inference.mixtures import Mixture
from bayesgmm.posterior.info import info
from bayesgmm.posterior.log_posterior import LogPosterior
from bayesgmm.posterior.schema import unpack
from tests.declarations import SDS, covariance_priors, mean_priors, weight_priors
from tests.families.registry import CHARTED, SKLEARN

SAMPLE = make_mixture(n_points=300, n_features=2, n_components=3, overlap=0.1, seed=4)
SPIKE = np.concatenate([np.zeros(50), np.random.default_rng(0).normal(3, 1, size=50)])  # half of it one value
GALAXIES = bg.datasets.galaxies() / 1000


@pytest.fixture(autouse=True)
def one_blas_thread():
    """As in a fit: its threads would wait for each other."""
    with threadpool_limits(limits=1, user_api="blas"):
        yield


def fitted(model, x, method, **settings):
    return bg.fit(model, x, method, progress=False, **({"seed": 1} | settings))


def make_density(model, x, weights=None):
    return LogPosterior.of(model, as_points(x).weighed(weights))


def coordinates(density, fit):
    """Those of a point estimate."""
    p, (shift, scale) = unpack(fit).parameters, (density.standard.shift, density.standard.scale)
    family = density.model.family
    roots = family.roots(family.cores(p.covariance[0] / np.outer(scale, scale)))
    return density.coordinates(p.weight[0], (p.mean[0] - shift) / scale, roots)


# -- maximum likelihood --


@pytest.mark.parametrize("family", CHARTED)
def test_em_the_score_equations_and_scikit_learn_reach_one_maximum(family):
    density = make_density(bg.MixtureModel(3, family), SAMPLE.X)
    sweep = em_steps.Sweep(density.blocks, density.model.family)
    start = em.short_runs(sweep, 3, seed=0, n_init=3)[0].mixture
    n = len(SAMPLE.X)
    by_em = em_steps.run(sweep, start, max_iter=20_000, tol=1e-14).loglik / n
    likelihood = density.likelihood()
    found = mle.maximise(likelihood, sweep, [start])
    precision = density.model.family.expand(start.core_roots, 3, 2)
    precisions = {
        "full": lambda: np.swapaxes(precision, -1, -2) @ precision,
        "tied": lambda: precision[0].T @ precision[0],
        "diag": lambda: precision**2,
        "spherical": lambda: precision[:, 0] ** 2,
    }
    by_scores = found.value / n + density.standard.log_scale
    assert found.gradient <= 1e-8
    assert by_scores == pytest.approx(by_em, abs=1e-8)
    if family not in SKLEARN:
        return
    other = GaussianMixture(
        3, covariance_type=family, tol=1e-14, reg_covar=0, max_iter=20_000,
        weights_init=start.weight, means_init=start.mean, precisions_init=precisions[family](),
    ).fit(density.blocks.rows())  # fmt: skip
    assert by_scores == pytest.approx(other.score(density.blocks.rows()), abs=1e-8)


@pytest.mark.parametrize("family", CHARTED)
def test_the_gradient_is_zero_and_every_neighbour_is_lower(family):
    density = make_density(bg.MixtureModel(2, family), SAMPLE.X)
    fit = fitted(bg.MixtureModel(2, family), SAMPLE.X, "mle")
    likelihood = density.likelihood()
    q = coordinates(likelihood, fit)
    value, grad = likelihood(q)
    assert np.abs(grad).max() < 1e-8 * len(SAMPLE.X)
    assert info(fit).notes.gradient <= 1e-8
    assert info(fit).notes.maximum == "likelihood"
    assert value == pytest.approx(fit["sample_stats"]["loglik"].item(), rel=1e-12)
    rng = np.random.default_rng(0)
    for size, _ in itertools.product([1e-3, 1e-2, 1e-1], range(20)):
        assert likelihood(q + size * rng.normal(size=q.size))[0] < value


def test_one_component_has_the_moments_of_the_data():
    p = unpack(fitted(bg.MixtureModel(1), SAMPLE.X, "mle")).parameters
    np.testing.assert_allclose(p.mean[0, 0], SAMPLE.X.mean(axis=0), rtol=1e-9)
    np.testing.assert_allclose(p.covariance[0, 0], np.cov(SAMPLE.X.T, bias=True), rtol=1e-9)


@pytest.mark.parametrize("method", ["mle", "map"])
def test_a_row_of_weight_three_is_the_row_three_times(method):
    model = bg.MixtureModel(2, means=bg.NormalMeans(0.0, 5.0), covariances=bg.WishartPrecision(4.0, 1.0))
    weights = np.random.default_rng(0).integers(0, 4, size=len(SAMPLE.X))
    once = unpack(fitted(model, SAMPLE.X, method, sample_weight=weights)).parameters
    thrice = unpack(fitted(model, np.repeat(SAMPLE.X, weights, axis=0), method)).parameters
    for name in ("weight", "mean", "covariance"):
        np.testing.assert_allclose(getattr(once, name), getattr(thrice, name), rtol=1e-6, atol=1e-7)


def test_the_maximum_of_the_likelihood_ignores_the_priors():
    """It also gives no warnings about priors, such as truncation or order."""
    plain = unpack(fitted(bg.MixtureModel(3), GALAXIES, "mle")).parameters
    for priors in [{"weights": bg.DirichletProcess()}, {"means": bg.NormalMeans(0.0, 9.0, ordered=True)}]:
        other = unpack(fitted(bg.MixtureModel(3, **priors), GALAXIES, "mle")).parameters
        np.testing.assert_allclose(other.mean, plain.mean, rtol=1e-6)
        np.testing.assert_allclose(other.covariance, plain.covariance, rtol=1e-5)


@pytest.mark.parametrize("spread", [1e-3, 1e-5])
def test_a_component_far_narrower_than_the_data_is_estimated(spread):
    rng = np.random.default_rng(0)
    tight = 0.3 + spread * rng.normal(size=(150, 2)) @ [[1.0, 0.5], [0.0, 0.3]]
    fit = fitted(bg.MixtureModel(2), np.concatenate([rng.normal(size=(200, 2)), tight]), "mle")
    assert info(fit).notes.converged
    covariance = unpack(fit).parameters.covariance[0]
    tighter = covariance[np.argmin(covariance[:, 0, 0])]
    np.testing.assert_allclose(tighter, np.cov(tight.T, bias=True), rtol=0.05)


@pytest.mark.parametrize("family", CHARTED)
def test_an_unbounded_likelihood_is_reported(family):
    """Half of the points are one value: only a shared variance has a maximum."""
    model = bg.MixtureModel(2, family)
    if model.family.sharing.count(2) == 1:
        assert info(fitted(model, SPIKE, "mle")).notes.converged
    else:
        with pytest.raises(DegenerateComponent, match="component . is singular"):
            fitted(model, SPIKE, "mle")


def on_a_point(x):
    """A mixture whose second component is about to shrink onto the first point."""
    return Mixture(np.array([0.98, 0.02]), np.array([[0.0], x[0]]), np.array([[[1.0]], [[200.0]]]))


def test_a_start_from_which_a_component_shrinks_is_rejected():
    density = make_density(bg.MixtureModel(2), GALAXIES)
    sweep = em_steps.Sweep(density.blocks, density.model.family)
    likelihood, bad = density.likelihood(), on_a_point(density.blocks.rows())
    with pytest.raises(EmptyComponent, match=r"component 1 holds 1\.. points; a 'full' covariance in 1 dimension"):
        mle.maximise(likelihood, sweep, [bad])
    good = em.short_runs(sweep, 2, seed=0, n_init=1)[0].mixture
    best = mle.maximise(likelihood, sweep, [bad, good])
    assert best.value == mle.maximise(likelihood, sweep, [good]).value


@pytest.mark.filterwarnings("ignore:A higher maximum of the posterior density may exist")
def test_a_search_that_stops_early_warns():
    with pytest.warns(FitWarning, match="Maximum likelihood stopped after . iterations before it converged"):
        fitted(bg.MixtureModel(4), SAMPLE.X, "mle", max_iter=1)
    with pytest.warns(FitWarning, match="search for the mode stopped after . iterations before it converged"):
        fitted(bg.MixtureModel(4), SAMPLE.X, "map", max_iter=1)


def test_a_saddle_is_reported():
    """Two components in one place: no slope, and no maximum."""
    density = make_density(bg.MixtureModel(2), GALAXIES)
    likelihood = density.likelihood()
    sd = density.blocks.rows().std()
    mean = np.full((2, 1), density.blocks.rows().mean())
    q = likelihood.coordinates(np.full(2, 0.5), mean, np.full((2, 1, 1), 1 / sd))
    found = maxima.polish(likelihood, maxima.Maximum(q, *likelihood(q)[:1], 0.0, 0, True), 50, 1e-8, np.isfinite)
    assert found.converged
    assert not found.is_one
    assert "a ridge or a saddle" in found.warnings("Maximum likelihood", "likelihood", 2)[0]


def test_newton_leaves_a_saddle_when_pushed():
    density = make_density(bg.MixtureModel(2), GALAXIES)
    likelihood = density.likelihood()
    mean = density.blocks.rows().mean() + np.array([[0.02], [-0.02]])
    q = likelihood.coordinates(np.full(2, 0.5), mean, np.full((2, 1, 1), 1 / density.blocks.rows().std()))
    found = maxima.polish(likelihood, maxima.Maximum(q, *likelihood(q)[:1], 0.0, 0, True), 100, 1e-8, np.isfinite)
    assert found.converged
    assert found.is_one
    assert found.value > likelihood(q)[0] + 5


def test_beyond_the_limit_there_is_no_hessian(monkeypatch):
    monkeypatch.setattr(maxima, "NEWTON_LIMIT", 5)
    monkeypatch.setattr(maxima.Curvature, "of", None)
    fit = fitted(bg.MixtureModel(2), SAMPLE.X, "mle")
    assert info(fit).notes.converged
    assert info(fit).notes.gradient <= 1e-7


@pytest.mark.filterwarnings("ignore:A higher maximum of the posterior density may exist")
def test_many_coordinates_are_maximised_in_few_sweeps(monkeypatch):
    """2,651 coordinates, 20 rows: a Hessian alone would take 5,302 sweeps. No slope is left, and no start is higher."""
    x, count, evaluate = np.random.default_rng(0).normal(size=(20, 50)), [], LogPosterior._evaluated
    monkeypatch.setattr(LogPosterior, "_evaluated", lambda self, q: count.append(1) or evaluate(self, q))
    fit = fitted(bg.MixtureModel(2), x, "map")
    assert info(fit).notes.converged
    assert info(fit).notes.gradient <= 1e-7
    assert len(count) < 2_000
    density = make_density(bg.MixtureModel(2), x)
    ends = [maxima.optimise(density, q, 500, 1e-5, np.isfinite).value for q in laplace.starting_points(density, 1, 1)]
    assert fit["sample_stats"]["lp"].item() > max(ends) - 0.1


# -- maximum a posteriori --


def test_the_mode_of_one_gaussian_is_the_closed_form():
    """In (mean, log precision root): mean = (sum x + s m) / (n + s), precision = (n + dof + 1) / (squares + scale)."""
    x = np.random.default_rng(5).normal(3.0, 2.0, size=25)
    location, strength, dof, scale = 1.0, 2.0, 4.0, 3.0
    model = bg.MixtureModel(1, means=bg.ConjugateMeans(location, strength), covariances=bg.WishartPrecision(dof, scale))
    p = unpack(fitted(model, x, "map")).parameters
    mean = (x.sum() + strength * location) / (25 + strength)
    squares = ((x - mean) ** 2).sum() + strength * (mean - location) ** 2 + scale
    assert p.mean.item() == pytest.approx(mean, rel=1e-8)
    assert p.covariance.item() == pytest.approx(squares / (25 + dof + 1), rel=1e-8)


@pytest.mark.parametrize("family", CHARTED)
def test_the_gradient_of_the_posterior_is_zero_and_every_neighbour_is_lower(family):
    density = make_density(bg.MixtureModel(3, family), SAMPLE.X)
    starts = laplace.starting_points(density, 0, 1)
    found, failures = maxima.highest(density, starts, 500, 1e-8, lambda q: modes.require_regular(density, q))
    assert failures == []
    assert found.is_one
    value, grad = density(found.q)
    assert np.abs(grad).max() < 1e-8 * len(SAMPLE.X)
    rng = np.random.default_rng(0)
    for size, _ in itertools.product([1e-3, 1e-2, 1e-1], range(20)):
        assert density(found.q + size * rng.normal(size=found.q.size))[0] < value


ABOVE = {
    "default": (bg.MixtureModel(3), SAMPLE.X),
    "lkj, hierarchical": (
        bg.MixtureModel(2, "full", means=bg.HierarchicalMeans(), covariances=bg.LKJCovariance()),
        SAMPLE.X,
    ),
    "ordered": (bg.MixtureModel(3, means=bg.NormalMeans(ordered=True)), GALAXIES),
    "sparse": (bg.MixtureModel(4, weights=bg.SparseDirichlet()), SAMPLE.X),
    "process": (bg.MixtureModel(5, "diag", weights=bg.DirichletProcess()), GALAXIES),
}


@pytest.mark.parametrize("name", ABOVE)
def test_no_draw_of_nuts_lies_above_the_mode(name):
    model, x = ABOVE[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        settings = {"draws": 150, "tune": 100, "chains": 2, "disagreement": "report"}  # draws as NUTS makes them
        draws = fitted(model, x, "nuts", **settings)["sample_stats"]["lp"]
        assert fitted(model, x, "map")["sample_stats"]["lp"].item() > draws.max().item()


@pytest.mark.parametrize("family", CHARTED)
def test_a_prior_prevents_a_degenerate_component(family):
    fit = fitted(bg.MixtureModel(2, family), SPIKE, "map")
    assert info(fit).notes.converged
    assert info(fit).notes.maximum == "posterior"
    assert (unpack(fit).parameters.covariance > 1e-4).all()


def test_a_prior_that_does_not_prevent_it_is_named():
    with pytest.raises(ComponentError, match=r"component . is singular(.|\n)*a stronger prior"):
        fitted(bg.MixtureModel(2, covariances=bg.LKJCovariance()), SPIKE, "map")


@pytest.mark.parametrize("d", [1, 2])
def test_every_prior_has_a_mode(d):
    x = SAMPLE.X[:, :d]
    declared = [{"weights": prior} for prior in weight_priors(3)]
    declared += [{"means": prior} for prior in mean_priors(d)]
    declared += [{"covariances": prior} for prior in covariance_priors(d)]
    for priors in declared:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            fit = fitted(bg.MixtureModel(3, **priors), x, "map")
        assert np.isfinite(fit["sample_stats"]["lp"].item())
        assert info(fit).notes.converged, priors
        assert info(fit).notes.gradient <= 1e-8
        assert all("sticks" in str(one.message) for one in said), (priors, [str(one.message) for one in said])


@pytest.mark.parametrize("spread", [bg.Gamma(2.0, 1.0), bg.HalfCauchy(2.0)])
def test_a_density_that_grows_without_bound_as_the_means_meet_is_reported(spread):
    with pytest.warns(FitWarning, match="grows without bound as the spread of the means approaches zero"):
        fitted(bg.MixtureModel(3, means=bg.HierarchicalMeans(spread=spread)), GALAXIES, "map")


def test_a_start_from_which_all_means_meet_is_rejected():
    """With a prior of the spread under which there is another mode, and with one under which there is none."""
    model = bg.MixtureModel(3, means=bg.HierarchicalMeans(spread=bg.HalfNormal(0.3)))
    with pytest.warns(
        FitWarning, match="without bound as the spread of the means approaches zero. This is the highest"
    ):
        fitted(model, GALAXIES, "map")
    model = bg.MixtureModel(3, means=bg.HierarchicalMeans(spread=bg.HalfNormal(0.1)))
    with pytest.raises(DegenerateComponent, match=r"the spread of the means is zero(.|\n)*InverseGamma"):
        fitted(model, GALAXIES, "map")


def test_a_density_that_grows_without_bound_with_the_concentration_is_reported():
    with pytest.warns(FitWarning, match="grows without bound as the concentration of the weights grows"):
        fitted(bg.MixtureModel(5, weights=bg.Dirichlet(bg.HalfCauchy(1.0))), GALAXIES, "map")


@pytest.mark.parametrize("sd", SDS)
def test_every_prior_of_a_spread_has_a_width(sd):
    means = bg.HierarchicalMeans(spread=sd).resolve(as_points(SAMPLE.X).summary)
    assert np.isfinite(means.width()).all()
    one = bg.HierarchicalMeans(spread=sd).resolve(as_points(SAMPLE.X[:, :1]).summary)
    np.testing.assert_allclose(one.width(), np.hypot(one.scale, sd.quantile(0.5)))
