"""Standard errors: against closed forms, Louis' formula point by point, and the parametric bootstrap."""

import warnings

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import norm
from threadpoolctl import threadpool_limits

import bayesgmm as bg
from bayesgmm.data.points import as_points
from bayesgmm.datasets import make_mixture
from bayesgmm.errors import FitWarning, NotAMaximum, SingularInformation
from bayesgmm.families.structures import COVARIANCES
from bayesgmm.inference import em, em_steps, mle
from bayesgmm.inference.maxima import Curvature
from bayesgmm.inference.mixtures import Mixture
from bayesgmm.model_selection import information
from bayesgmm.posterior.log_posterior import LogPosterior
from bayesgmm.posterior.schema import unpack
from bayesgmm.predictions.replication import simulate
from tests.families.registry import CHARTED

SAMPLE = make_mixture(n_points=300, n_features=2, n_components=2, overlap=0.1, seed=4)


@pytest.fixture(autouse=True)
def one_blas_thread():
    """One thread, as in a fit: threads slow small matrices down."""
    with threadpool_limits(limits=1, user_api="blas"):
        yield


def maximum(n_components=2, covariance="full", x=SAMPLE.X, method="mle", **settings):
    model = bg.MixtureModel(n_components, covariance)
    return bg.fit(model, x, method, progress=False, **({"seed": 1} | settings))


def test_one_gaussian_has_the_textbook_standard_errors():
    x = SAMPLE.X * [1.0, 50.0] + 1e6
    table = bg.standard_errors(maximum(1, x=x), ci_prob=0.9).loc[0]
    n, covariance = len(x), np.cov(x.T, bias=True)
    a, b, c = covariance[0, 0], covariance[1, 1], covariance[0, 1]
    expected = {
        "weight": 0.0,
        "mean x0": np.sqrt(a / n),
        "mean x1": np.sqrt(b / n),
        "variance x0": a * np.sqrt(2 / n),
        "variance x1": b * np.sqrt(2 / n),
        "covariance x0, x1": np.sqrt((a * b + c * c) / n),
    }
    assert list(table.index) == list(expected)
    np.testing.assert_allclose(table["standard_error"], list(expected.values()), rtol=1e-6)
    np.testing.assert_allclose(table["estimate"], [1.0, *x.mean(axis=0), a, b, c], rtol=1e-9)
    half = norm.ppf(0.95)
    np.testing.assert_allclose(
        table.loc["mean x1", ["lower", "upper"]], x[:, 1].mean() + half * np.sqrt(b / n) * np.array([-1, 1])
    )
    np.testing.assert_allclose(
        table.loc["variance x1", ["lower", "upper"]], b * np.exp(half * np.sqrt(2 / n) * np.array([-1, 1])), rtol=1e-6
    )
    assert table.loc["weight", "lower"] == table.loc["weight", "upper"] == 1


def scores(likelihood, q, rows):
    """(N, K) complete-data log likelihood of each point in each component."""
    weight, mean, core = likelihood.mixture(q)
    root = likelihood.model.family.expand(core, *mean.shape)
    log_det = np.log(root if root.ndim == 2 else np.diagonal(root, axis1=1, axis2=2)).sum(axis=1)
    x = rows[:, None] - mean
    y = x * root if root.ndim == 2 else np.einsum("kij,nkj->nki", root, x)
    return np.log(weight) + log_det - 0.5 * (y**2).sum(axis=-1)


def louis(likelihood, q, rows):
    """(P, P) observed information: complete minus missing, point by point, derivatives by differences."""
    h, units = 1e-3, 1e-3 * np.eye(q.size)
    at = scores(likelihood, q, rows)
    share = np.exp(at - logsumexp(at, axis=1, keepdims=True))
    slope = np.stack([(scores(likelihood, q + e, rows) - scores(likelihood, q - e, rows)) / (2 * h) for e in units], -1)
    complete = np.empty((q.size, q.size))
    for i, a in enumerate(units):
        for j, b in enumerate(units):
            mixed = sum(s * t * scores(likelihood, q + s * a + t * b, rows) for s in (1, -1) for t in (1, -1))
            complete[i, j] = -(share * mixed).sum() / (4 * h * h)
    own = np.einsum("nk,nki,nkj->ij", share, slope, slope)
    mean = np.einsum("nk,nki->ni", share, slope)
    return complete - (own - mean.T @ mean)


@pytest.mark.parametrize("family", CHARTED)
def test_the_hessian_is_louis_formula(family):
    density = LogPosterior.of(bg.MixtureModel(2, family), as_points(SAMPLE.X))
    likelihood = density.likelihood()
    sweep = em_steps.Sweep(density.blocks, density.model.family)
    q = mle.maximise(likelihood, sweep, [em.short_runs(sweep, 2, 0, 1)[0].mixture]).q
    curvature = Curvature.of(likelihood, q)
    hessian = curvature.values / np.outer(curvature.scale, curvature.scale) * len(SAMPLE.X)
    brute = louis(likelihood, q, density.blocks.rows())
    np.testing.assert_allclose(hessian, brute, atol=1e-4 * np.abs(brute).max())
    np.testing.assert_allclose(curvature.inverse() / len(SAMPLE.X), np.linalg.inv(brute), rtol=1e-2, atol=1e-5)


def bootstrap(family, x, replicates):
    """(table, (R, Q) estimates, refitted to data simulated from the maximum, from there)."""
    fit = maximum(2, family, x)
    table = bg.standard_errors(fit, ci_prob=0.9)
    told = unpack(fit)
    p, kind, rng = told.parameters, COVARIANCES[family], np.random.default_rng(0)
    rows, below = np.tril_indices(2, -1) if "feature_bis" in kind.dims else (np.empty(0, int),) * 2
    again = []
    for _ in range(replicates):
        density = LogPosterior.of(bg.MixtureModel(2, family), as_points(simulate(told, len(x), rng)))
        shift, scale = density.standard.shift, density.standard.scale
        core = kind.roots(kind.cores(p.covariance[0] / np.outer(scale, scale)))
        start = Mixture(p.weight[0], (p.mean[0] - shift) / scale, core)
        likelihood = density.likelihood()
        found = mle.maximise(likelihood, em_steps.Sweep(density.blocks, kind), [start])
        one = likelihood.parameters(found.q)
        variance = np.diagonal(one.covariance, axis1=1, axis2=2)
        again.append(np.column_stack([one.weight, one.mean, variance, one.covariance[:, rows, below]]).ravel())
    return table, np.array(again)


@pytest.mark.parametrize("family", CHARTED)
def test_standard_errors_match_the_parametric_bootstrap(family):
    """200 replicates of 2000 points: a bootstrap error has a relative error of 5 %, and the tolerance is 5 times that.

    False alarm: 6e-7 for each of at most 24 errors that are not copies of one another.
    """
    x = make_mixture(n_points=2000, n_features=2, n_components=2, overlap=0.05, seed=3).X
    table, again = bootstrap(family, x, 200)
    ratio = table["standard_error"].to_numpy() / again.std(axis=0, ddof=1)
    assert (np.abs(ratio - 1) < 0.25).all(), table.assign(ratio=ratio)
    covered = ((again > table["lower"].to_numpy()) & (again < table["upper"].to_numpy())).mean(axis=0)
    assert (np.abs(covered - 0.9) < 5 * np.sqrt(0.09 / 200) + 0.02).all()  # 0.02: they are not quite normal


def test_em_gives_the_same_when_it_converged_closely():
    by_em = bg.standard_errors(maximum(method="em", tol=1e-12))
    by_scores = bg.standard_errors(maximum())
    np.testing.assert_allclose(by_em["standard_error"], by_scores["standard_error"], rtol=1e-4)
    np.testing.assert_allclose(by_em["estimate"], by_scores["estimate"], rtol=1e-3, atol=1e-5)


def test_a_fit_that_is_not_at_the_maximum_is_refused():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        early = maximum(method="em", n_init=1, max_iter=3)
    with pytest.raises(
        NotAMaximum, match=r"not at a maximum of the likelihood: it is .* standard errors away(.|\n)*mle"
    ):
        bg.standard_errors(early)


def test_row_weights_count_as_points():
    weights = np.random.default_rng(0).integers(0, 4, size=len(SAMPLE.X))
    once = bg.standard_errors(maximum(sample_weight=weights))
    repeated = bg.standard_errors(maximum(x=np.repeat(SAMPLE.X, weights, axis=0)))
    np.testing.assert_allclose(once.to_numpy(), repeated.to_numpy(), rtol=1e-5, atol=1e-7)


def test_a_saved_fit_is_enough(tmp_path):
    fit = maximum()
    bg.save(fit, tmp_path / "fit.nc")
    stored = bg.standard_errors(bg.load(tmp_path / "fit.nc"))
    np.testing.assert_array_equal(stored.to_numpy(), bg.standard_errors(fit).to_numpy())
    assert (stored["lower"] < stored["estimate"]).all()
    assert (stored["estimate"] < stored["upper"]).all()


def test_draws_and_posterior_modes_are_refused_with_an_alternative():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        draws = bg.fit(bg.MixtureModel(1), SAMPLE.X, draws=50, tune=50, chains=2, seed=1, progress=False)
    with pytest.raises(NotAMaximum, match=r"100 posterior draws(.|\n)*component_table"):
        bg.standard_errors(draws)
    with pytest.raises(NotAMaximum, match="the mode of a posterior"):
        bg.standard_errors(maximum(method="map"))
    unknown = maximum()
    del unknown.attrs["bayesgmm"]
    with pytest.raises(NotAMaximum, match="unknown origin"):
        bg.standard_errors(unknown)


def test_quantities_that_are_not_identified_are_listed():
    """Two equal components: their weights are arbitrary."""
    fit, one = maximum(), maximum(1)
    for name in ("mean", "covariance"):
        fit["posterior"][name].values[:] = one["posterior"][name].values
    fit["posterior"]["weight"].values[:] = 0.5
    with pytest.raises(
        SingularInformation, match=r"do not identify these: weight of component \d; weight of component \d\."
    ):
        bg.standard_errors(fit)


def test_a_saddle_point_is_refused():
    likelihood = LogPosterior.of(bg.MixtureModel(2), as_points(SAMPLE.X)).likelihood()
    curvature = np.ones(likelihood.size)
    curvature[1] = -1.0  # the first mean
    saddle = Curvature(np.ones(likelihood.size), np.diag(curvature))
    said = information._indefinite(information.Quantities(likelihood, ("a", "b")), np.zeros(likelihood.size), saddle)
    assert isinstance(said, NotAMaximum)
    assert "increases when these change together: mean a of component 0.\n" in str(said)


def test_standard_errors_have_the_units_of_the_data():
    small, large = bg.standard_errors(maximum()), bg.standard_errors(maximum(x=SAMPLE.X * 2.0**40))
    unit = np.where(small.index.get_level_values("quantity") == "weight", 1, 2.0**40)
    squared = np.array(["variance" in name for name in small.index.get_level_values("quantity")])
    unit = np.where(squared | small.index.get_level_values("quantity").str.contains("cov"), unit**2, unit)
    np.testing.assert_allclose(large["standard_error"], small["standard_error"] * unit, rtol=1e-6)
