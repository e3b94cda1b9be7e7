"""Densities, marginal and conditional; replicated data; log likelihoods: against scipy, ArviZ and closed forms."""

import warnings

import arviz as az
import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy.special import logsumexp
from scipy.stats import chi2, multivariate_normal, norm

import bayesgmm as bg
from bayesgmm.data.standards import Standard
from bayesgmm.errors import DataError, DeclarationError, FitFileError, FitWarning, UnknownName
from bayesgmm.posterior.parameters import Parameters
from bayesgmm.posterior.schema import Posterior, unpack
from bayesgmm.posterior.subsets import condition, marginal, thinned
from bayesgmm.predictions import densities, log_likelihoods
from bayesgmm.predictions.conditionals import in_proportion
from bayesgmm.predictions.density_kernels import lower_quantile
from bayesgmm.predictions.replication import AT_ONCE, replicates, simulate

mpl.use("Agg")
COLUMNS = ("a", "b", "c", "d")


def make_posterior(n_draws=7, n_components=3, n_features=3, seed=0):
    """Draws of a mixture in difficult data units: far from 0, with different scales."""
    rng = np.random.default_rng(seed)
    scale, shift = 10.0 ** rng.uniform(-2, 2, n_features), rng.normal(size=n_features) * 100
    root = rng.normal(size=(n_draws, n_components, n_features, n_features)) + 2 * np.eye(n_features)
    return Posterior(
        Parameters(
            rng.dirichlet(np.ones(n_components), size=n_draws),
            shift + scale * rng.normal(size=(n_draws, n_components, n_features)) * 2,
            root @ root.swapaxes(-1, -2) * np.outer(scale, scale),
        ),
        COLUMNS[:n_features],
        Standard(shift, 2.0 ** np.round(np.log2(scale))),
    )


def log_density(posterior, x):
    """(S, N), written with scipy."""
    p = posterior.parameters
    return np.array(
        [
            logsumexp([np.log(w) + multivariate_normal(m, c).logpdf(x) for w, m, c in zip(*draw, strict=True)], axis=0)
            for draw in zip(p.weight, p.mean, p.covariance, strict=True)
        ]
    )


def as_tree(posterior, chains=1):
    """A tree of the schema with these draws, as another program would write it."""
    p = posterior.parameters
    shaped = [value.reshape(chains, -1, *value.shape[1:]) for value in (p.weight, p.mean, p.covariance)]
    data = xr.Dataset(
        {
            "weight": (("chain", "draw", "component"), shaped[0]),
            "mean": (("chain", "draw", "component", "feature"), shaped[1]),
            "covariance": (("chain", "draw", "component", "feature", "feature_bis"), shaped[2]),
        },
        coords={
            "chain": np.arange(chains),
            "draw": np.arange(shaped[0].shape[1]),
            "component": np.arange(p.weight.shape[1]),
            "feature": list(posterior.columns),
        },
    )
    return xr.DataTree.from_dict({"posterior": data})


# -- densities --


@pytest.mark.parametrize("n_draws", [2, 3, 10, 101])
@pytest.mark.parametrize("ci_prob", [0.05, 0.5, 0.9, 0.999])
def test_the_band_matches_numpy_quantiles(n_draws, ci_prob):
    posterior = make_posterior(n_draws)
    x = simulate(posterior, 70, np.random.default_rng(1))
    log = log_density(posterior, x)
    found = densities.spread(posterior, x, ci_prob)
    np.testing.assert_allclose(found.mean_log, log.mean(axis=0), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(found.log_mean, logsumexp(log, axis=0) - np.log(n_draws), rtol=1e-9, atol=1e-9)
    wanted = np.quantile(log, [(1 - ci_prob) / 2, (1 + ci_prob) / 2], axis=0).T
    np.testing.assert_allclose(found.log_band, wanted, rtol=1e-8, atol=1e-8)


def test_quantiles_of_ties_and_of_sorted_numbers_are_right():
    rng = np.random.default_rng(2)
    for values in (np.arange(50.0), np.arange(50.0)[::-1].copy(), np.ones(50), rng.integers(0, 4, 50).astype(float)):
        for rank, fraction in ((0, 0.0), (0, 0.7), (10, 0.25), (47, 0.5)):
            found = lower_quantile(values, 1.0, rank, fraction, np.empty(52))
            assert found == pytest.approx(np.quantile(values, (rank + fraction) / 49))
            found = -lower_quantile(values, -1.0, rank, fraction, np.empty(52))
            assert found == pytest.approx(np.quantile(values, 1 - (rank + fraction) / 49))


def test_the_result_does_not_depend_on_the_number_of_threads_or_parts(monkeypatch):
    posterior = make_posterior(20)
    x = simulate(posterior, 500, np.random.default_rng(3))
    one = densities.spread(posterior, x, 0.9)
    monkeypatch.setattr(densities.os, "cpu_count", lambda: 5)
    monkeypatch.setattr(densities, "STRETCH", 1)
    other = densities.spread(posterior, x, 0.9)
    for name in ("mean_log", "log_mean", "log_band"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_draws_are_returned_with_keep_draws(fit, iris, monkeypatch):
    x = iris.drop(columns="species").head(40)
    answer = bg.density(fit, x, draws=100, keep_draws=True)
    log = log_density(unpack(fit).thin(100), x.to_numpy())
    np.testing.assert_allclose(answer["log_density_draws"], log, rtol=1e-9, atol=1e-9)
    monkeypatch.setattr(densities, "MAX_KEPT", 8 * 100 * 40 - 1)
    with pytest.raises(DataError, match="log densities of 40 points in 100 draws take"):
        bg.density(fit, x, draws=100, keep_draws=True)
    assert "log_density_draws" not in bg.density(fit, x, draws=100)


def test_one_draw_has_no_band_and_a_note(iris):
    fit = bg.fit(bg.MixtureModel(2), iris.drop(columns="species"), "em", seed=1, progress=False)
    answer = bg.density(fit)
    assert answer["band"].isnull().all()
    assert np.isfinite(answer["density"]).all()
    assert "no credible band" in answer.attrs["note"]
    answer = bg.conditional_density(fit, {"petal_width": 1.0}, "petal_length")
    assert answer["band"].isnull().all()
    assert "no credible band" in answer.attrs["note"]


def test_a_marginal_density_matches_scipy(fit, iris):
    names = ["petal_width", "sepal_length"]
    x = iris[names]
    p, at = unpack(fit).thin(50).parameters, [3, 0]
    part = Posterior(
        Parameters(p.weight, p.mean[..., at], p.covariance[..., at, :][..., at]),
        tuple(names),
        Standard(np.zeros(2), np.ones(2)),
    )
    wanted = logsumexp(log_density(part, x.to_numpy()), axis=0) - np.log(50)
    for data in (None, x, x.to_numpy(), iris):
        np.testing.assert_allclose(bg.density(fit, data, columns=names, draws=50)["log_density"], wanted, rtol=1e-9)
    with pytest.raises(DataError, match="no column 'petal_with'; .* did you mean 'petal_width'"):
        bg.density(fit, columns=["petal_with"])
    with pytest.raises(DataError, match="2 column names were given for 4 columns"):
        bg.density(fit, iris.drop(columns="species").to_numpy(), columns=names)


# -- conditional densities --


@pytest.mark.parametrize("over", [["a"], ["c"], ["a", "c"], ["c", "a"]])
@pytest.mark.parametrize("given", [["b"], ["b", "d"]])
def test_marginal_times_conditional_is_the_joint(over, given):
    """p(over | given) p(given) = p(over, given), draw by draw; 'd' is integrated out when it is not given."""
    posterior = make_posterior(5, 3, 4, seed=9)
    x = simulate(posterior, 30, np.random.default_rng(4))
    at = {name: j for j, name in enumerate(posterior.columns)}
    values = {name: float(x[0, at[name]]) for name in given}
    conditional = condition(posterior, values, over)
    assert conditional.columns == tuple(over)
    points = x[:, [at[name] for name in over]]
    both = np.column_stack([points, np.tile([*values.values()], (30, 1))])
    joint = log_density(marginal(posterior, [*over, *given]), both)
    alone = log_density(marginal(posterior, given), np.array([[*values.values()]])).reshape(5, 1)
    np.testing.assert_allclose(log_density(conditional, points), joint - alone, rtol=1e-7, atol=1e-7)
    np.testing.assert_allclose(densities.kept(conditional, points), joint - alone, rtol=1e-7, atol=1e-7)


def test_one_component_gives_the_regression_line(iris):
    """Mean m + S_og / S_gg (g - m_g), variance S_oo - S_og^2 / S_gg: the textbook formula."""
    x = iris[["petal_length", "petal_width"]].to_numpy()
    fit = bg.fit(bg.MixtureModel(1), iris[["petal_length", "petal_width"]], "em", progress=False)
    mean, s = x.mean(axis=0), np.cov(x.T, bias=True)
    centre, sd = mean[0] + s[0, 1] / s[1, 1] * (1.2 - mean[1]), np.sqrt(s[0, 0] - s[0, 1] ** 2 / s[1, 1])
    grid = np.linspace(1, 7, 25)
    answer = bg.conditional_density(fit, {"petal_width": 1.2}, "petal_length", grid)
    np.testing.assert_allclose(answer["density"], norm(centre, sd).pdf(grid), rtol=1e-6)
    np.testing.assert_array_equal(answer["x"][:, 0], grid)
    assert answer.attrs["given"] == "petal_width = 1.2"


def test_default_grids_cover_nearly_all_of_the_probability(fit):
    line = bg.conditional_density(fit, {"petal_width": 1.2}, "petal_length")
    assert 0.99 < np.trapezoid(line["density"], line["x"][:, 0]) < 1.001
    plane = bg.conditional_density(fit, {"petal_width": 1.2}, ["petal_length", "sepal_length"], steps=50)
    x, y = plane["x"].values.reshape(50, 50, 2)[:, 0, 0], plane["x"].values.reshape(50, 50, 2)[0, :, 1]
    total = np.trapezoid(np.trapezoid(plane["density"].values.reshape(50, 50), y, axis=1), x)
    assert 0.98 < total < 1.001
    alone = bg.conditional_density(fit, {}, "petal_length", line["x"].values)
    np.testing.assert_allclose(
        alone["density"], bg.density(fit, line["x"].values, columns=["petal_length"])["density"], rtol=1e-12
    )


def test_the_band_of_a_conditional_density_is_that_of_its_draws(fit):
    grid = [4.0, 4.5]
    answer = bg.conditional_density(fit, {"petal_width": 1.2}, "petal_length", grid, ci_prob=0.8, keep_draws=True)
    log = answer["log_density_draws"].values
    np.testing.assert_allclose(np.log(answer["band"]), np.quantile(log, [0.1, 0.9], axis=0).T, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(answer["density"], np.exp(log).mean(axis=0))


def brute_force(fit, given, over, grid):
    """Log densities (S, M) of all columns and (S, 1) of the given ones, by scipy."""
    posterior, names = unpack(fit), [*over, *given]
    points = np.column_stack([grid, np.tile([*given.values()], (len(grid), 1))])
    joint = log_density(marginal(posterior, names), points)
    alone = log_density(marginal(posterior, [*given]), np.array([[*given.values()]]))
    return joint.reshape(posterior.n_draws, -1), alone.reshape(-1, 1)


FEW_ROWS = np.random.default_rng(5).multivariate_normal([0, 0], [[1, 0.8], [0.8, 1]], 12)


@pytest.fixture(scope="module")
def uncertain():
    """A fit to 12 rows: the given value tells much about the parameters."""
    frame = pd.DataFrame(FEW_ROWS, columns=["a", "b"])
    return bg.fit(bg.MixtureModel(1), frame, "nuts", draws=400, seed=3, progress=False)


@pytest.mark.parametrize("value", [0.5, 2.5])
def test_the_predictive_conditional_is_the_joint_predictive_divided_by_the_marginal(uncertain, value):
    """p(a, b | data) / p(b | data), each the mean over all draws; resampling rounds each draw's count."""
    grid = np.linspace(-2, 4, 13)
    joint, alone = brute_force(uncertain, {"b": value}, ["a"], grid[:, None])
    wanted = np.exp(logsumexp(joint, axis=0) - logsumexp(alone, axis=0))
    plain = np.exp(joint - alone).mean(axis=0)
    answer = bg.conditional_density(uncertain, {"b": value}, "a", grid, draws=None)["density"].values
    error = np.exp(joint - alone).std(axis=0) / np.sqrt(len(joint))
    assert (abs(answer - wanted) < 3 * error).all()
    assert abs(plain / wanted - 1).max() > (0.1 if value > 2 else 0.01), "the two averages differ here"
    unweighted = bg.conditional_density(uncertain, {"b": value}, "a", grid, average="posterior", draws=None)
    np.testing.assert_allclose(unweighted["density"], plain, rtol=1e-9)
    assert (answer.argmax(), unweighted.attrs["average"]) == (wanted.argmax(), "posterior")


def test_the_band_of_a_predictive_conditional_weights_draws_too(uncertain):
    """The mean of p(a | b, theta) over draws weighted by p(b | theta) has these quantiles."""
    joint, alone = brute_force(uncertain, {"b": 2.5}, ["a"], np.array([[2.0]]))
    value, weight = np.exp(joint - alone)[:, 0], np.exp(alone - alone.max())[:, 0]
    order = np.argsort(value)
    wanted = np.interp([0.05, 0.95], np.cumsum(weight[order]) / weight.sum(), value[order])
    answer = bg.conditional_density(uncertain, {"b": 2.5}, "a", [2.0], draws=None)
    np.testing.assert_allclose(answer["band"].values[0], wanted, rtol=0.05)


def test_draws_are_taken_in_proportion_to_their_weights():
    weight = np.random.default_rng(0).dirichlet(np.full(30, 0.3))
    counts = np.bincount(in_proportion(weight, 200), minlength=30)
    assert abs(counts - 200 * weight).max() < 1
    np.testing.assert_array_equal(in_proportion(np.full(7, 1 / 7), 7), np.arange(7))


def test_an_unknown_average_is_refused(fit):
    with pytest.raises(UnknownName, match="average='prior' is not one of 'posterior', 'predictive'"):
        bg.conditional_density(fit, {"petal_width": 1.2}, "petal_length", average="prior")


def test_a_given_value_far_from_the_data_warns_that_few_draws_count(fit):
    with pytest.warns(FitWarning, match=r"Given petal_width = 9, only \d+ of 1000 posterior draws count"):
        bg.conditional_density(fit, {"petal_width": 9.0}, "petal_length")


@pytest.mark.filterwarnings("ignore:Given petal_width")
@pytest.mark.parametrize("far", [1e6, -1e6, 1e12, 1e100, -1e150])
def test_a_given_value_far_from_all_components_gives_no_nan(fit, far):
    answer = bg.conditional_density(fit, {"petal_width": far}, "petal_length")
    assert all(np.isfinite(v).all() for v in (answer["density"], answer["band"], answer["x"]))
    p = condition(unpack(fit), {"petal_width": far}, ["petal_length"]).parameters
    np.testing.assert_allclose(p.weight.sum(axis=1), 1)
    assert (p.weight.max(axis=1) > 0.999).all(), "the widest component takes all"


def test_far_away_the_widest_component_has_all_of_the_weight():
    """Log weights by hand, at 40 sd and at 100,000 sd, where all densities underflow."""
    posterior = make_posterior(1, 2, 2, seed=5)
    p = posterior.parameters
    for away in (40.0, 1e5):
        value = float(p.mean[0, 0, 0] + away * np.sqrt(p.covariance[0, :, 0, 0].max()))
        log = [
            np.log(p.weight[0, k]) + norm(p.mean[0, k, 0], np.sqrt(p.covariance[0, k, 0, 0])).logpdf(value)
            for k in range(2)
        ]
        wanted = np.exp(log - logsumexp(log))
        np.testing.assert_allclose(condition(posterior, {"a": value}, ["b"]).parameters.weight[0], wanted, atol=1e-4)


@pytest.mark.parametrize(
    ("given", "over", "message"),
    [
        ({"petal_with": 1.0}, "petal_length", "no column 'petal_with'; .* did you mean 'petal_width'"),
        ({"petal_width": 1.0}, "petal", "no column 'petal'"),
        ({"petal_width": 1.0}, "petal_width", "'petal_width' can't be in given and in over="),
        ({"petal_width": np.nan}, "petal_length", "given={'petal_width': nan}: give one number"),
        ({"petal_width": 1e200}, "petal_length", r"given={'petal_width': 1e\+200}: .* up to 1e\+152"),
        ({"petal_width": "wide"}, "petal_length", "given={'petal_width': 'wide'}: give one number"),
        ({"petal_width": "1"}, "petal_length", "given={'petal_width': '1'}: give one number"),
        ({"petal_width": 10**400}, "petal_length", "give one number"),
        ({"petal_width": [1.0, 2.0]}, "petal_length", "give one number for each column"),
        ([1.0], "petal_length", r"given=\[1.0\]: give values by column"),
        ({"petal_width": 1.0}, [], "name at least one column"),
        ({}, ["petal_width", "petal_length", "sepal_width"], "no default grid over .* give grid="),
    ],
)
def test_bad_given_values_are_refused(fit, given, over, message):
    with pytest.raises((DataError, DeclarationError), match=message):
        bg.conditional_density(fit, given, over)


def test_a_conditional_mean_that_overflows_is_refused():
    steep = Parameters(np.ones((1, 1)), np.zeros((1, 1, 2)), np.array([[[[1.0, 1e3], [1e3, 2e6]]]]))
    posterior = Posterior(steep, COLUMNS[:2], Standard(np.zeros(2), np.ones(2)))
    np.testing.assert_allclose(condition(posterior, {"a": 3.0}, ["b"]).parameters.mean, 3000)
    with pytest.raises(DataError, match="too far from all components"):
        condition(posterior, {"a": 1e152}, ["b"])
    tight = Parameters(np.ones((1, 1)), np.zeros((1, 1, 2)), 1e-20 * np.eye(2)[None, None])
    with pytest.raises(DataError, match="too far from all components"):
        condition(Posterior(tight, COLUMNS[:2], posterior.standard), {"a": 1e150}, ["b"])


# -- replicated data --


def test_replicated_data_sets_come_from_their_own_draw():
    """Mean and covariance of 20,000 points of each draw within 6 standard errors: false alarm 2e-9 a number."""
    posterior = make_posterior(3)
    sets = np.concatenate(list(replicates(posterior, 20_000, seed=1)))
    p = posterior.parameters
    for s, x in enumerate(sets):
        mean = p.weight[s] @ p.mean[s]
        d = p.mean[s] - mean
        covariance = np.einsum("k,kij->ij", p.weight[s], p.covariance[s] + d[:, :, None] * d[:, None, :])
        assert (np.abs(x.mean(axis=0) - mean) < 6 * x.std(axis=0) / np.sqrt(len(x))).all()
        products = (x - mean)[:, :, None] * (x - mean)[:, None, :]
        assert (np.abs(products.mean(axis=0) - covariance) < 6 * products.std(axis=0) / np.sqrt(len(x))).all()


def test_replicated_data_sets_do_not_depend_on_the_size_of_the_parts(monkeypatch):
    from bayesgmm.predictions import replication

    posterior = make_posterior(5)
    whole = np.concatenate(list(replicates(posterior, 10, seed=2)))
    monkeypatch.setattr(replication, "SLICE", 60)
    parts = list(replicates(posterior, 10, seed=2))
    assert [len(part) for part in parts] == [2, 2, 1]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    assert not np.array_equal(np.concatenate(list(replicates(posterior, 10, seed=3))), whole)


def test_arviz_can_read_the_posterior_predictive(galaxies_fit, fit):
    for one in (galaxies_fit, fit):
        tree = bg.posterior_predictive(one, draws=40, seed=1)
        x = tree["posterior_predictive"]["x"]
        assert x.dims == ("chain", "draw", "point", "feature")
        assert x.sizes["chain"] * x.sizes["draw"] == 40
        assert set(one.children) | {"posterior_predictive"} == set(tree.children)
        np.testing.assert_array_equal(x["point"], one["observed_data"]["point"])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # warnings of ArviZ's plots
            assert az.plot_ppc_dist(tree, num_samples=20, kind="ecdf") is not None
    assert bg.posterior_predictive(fit, draws=None, size=3)["posterior_predictive"]["x"].sizes["draw"] == 250
    assert bg.posterior_predictive(fit, draws=2)["posterior_predictive"]["x"].sizes["chain"] == 2


def test_bad_settings_and_too_large_data_sets_are_refused(fit, monkeypatch):
    from bayesgmm.predictions import densities

    with pytest.raises(DeclarationError, match="size=0"):
        bg.posterior_predictive(fit, size=0)
    with pytest.raises(DeclarationError, match="seed=-1"):
        bg.posterior_predictive(fit, seed=-1)
    with pytest.raises(FitFileError, match="no observed data"):
        bg.posterior_predictive(fit.drop_nodes("observed_data"))
    assert bg.posterior_predictive(fit.drop_nodes("observed_data"), size=4)["posterior_predictive"].sizes["point"] == 4
    monkeypatch.setattr(densities, "MAX_KEPT", 1000)
    with pytest.raises(DataError, match="200 data sets of 150 points take"):
        bg.posterior_predictive(fit)


def test_many_points_are_simulated_in_parts():
    posterior = make_posterior(1)
    x = simulate(posterior, AT_ONCE + 1000, np.random.default_rng(6))
    assert x.shape == (AT_ONCE + 1000, 3)
    assert len(np.unique(x[:, 0])) == len(x)


# -- log likelihoods --


@pytest.mark.filterwarnings("ignore:Estimated shape parameter")
def test_log_likelihood_matches_scipy_and_gives_the_loo_of_compare(fit, iris):
    tree = bg.log_likelihood(fit)
    log = tree["log_likelihood"]["x"]
    assert log.dims == ("chain", "draw", "point")
    assert log.dtype == np.float64
    wanted = log_density(unpack(fit).thin(20), iris.drop(columns="species").to_numpy())
    chosen = np.linspace(0, 999, 20).round().astype(int)
    np.testing.assert_allclose(log.values.reshape(1000, -1)[chosen], wanted, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(log.sum("point"), fit["sample_stats"]["loglik"], rtol=1e-9)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bg.FitWarning)
        row = bg.compare({"fit": fit}).loc["fit"]
    reff = float(az.ess(log.sum("point"), method="mean")) / 1000
    theirs = az.loo(tree, reff=reff)
    assert row["elpd_loo"] == pytest.approx(theirs.elpd, rel=1e-9)
    assert az.loo(tree).elpd == pytest.approx(row["elpd_loo"], abs=0.5)


def test_many_log_likelihoods_are_stored_in_single_precision(fit, monkeypatch):
    exact = bg.log_likelihood(fit)["log_likelihood"]["x"]
    monkeypatch.setattr(log_likelihoods, "SINGLE_ABOVE", 1000 * 150 - 1)
    single = bg.log_likelihood(fit)["log_likelihood"]["x"]
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, exact, rtol=2e-7, atol=1e-7)
    monkeypatch.setattr(densities, "MAX_KEPT", 1000)
    with pytest.raises(DataError, match="log densities of 150 points in 1000 draws take"):
        bg.log_likelihood(fit)


def test_thinning_applies_to_all_groups_with_the_draws(fit):
    tree = bg.log_likelihood(fit, draws=100)
    for group in ("posterior", "sample_stats", "log_likelihood"):
        assert dict(tree[group].sizes)["draw"] == 25, group
    assert tree.attrs == fit.attrs
    np.testing.assert_array_equal(tree["posterior"]["draw"], tree["log_likelihood"]["draw"])
    assert fit["posterior"].sizes["draw"] == 250
    with_prior = fit.copy()
    with_prior["prior"] = xr.DataTree(xr.Dataset({"z": (("chain", "draw"), np.zeros((1, 7)))}))
    assert thinned(with_prior, 8)["prior"].sizes["draw"] == 7
    assert thinned(fit, 3)["posterior"].sizes["chain"] == 3
    with pytest.raises(DeclarationError, match="draws=0"):
        bg.log_likelihood(fit, draws=0)


def test_traces_of_other_programs_are_accepted(fit):
    tree = as_tree(make_posterior(6), chains=2)
    x = simulate(unpack(tree), 20, np.random.default_rng(7))
    assert (bg.density(tree, x)["density"] > 0).all()
    assert bg.posterior_predictive(tree, size=5)["posterior_predictive"].sizes["chain"] == 2
    assert bg.conditional_density(tree, {"b": 0.0}, "a")["density"].notnull().all()
    with pytest.raises(FitFileError, match="no observed data"):
        bg.log_likelihood(tree)


def test_chi_squared_share_inside_ellipses(fit):
    """The share of replicated points inside the 90 % ellipse of their own component is 90 %: 6 sd, false alarm 2e-9."""
    p = unpack(fit).parameters
    one = Posterior(
        Parameters(np.ones((1, 1)), p.mean[:1, :1], p.covariance[:1, :1]),
        ("a", "b", "c", "d"),
        Standard(np.zeros(4), np.ones(4)),
    )
    (x,) = replicates(one, 20_000, seed=3)
    d = x[0] - p.mean[0, 0]
    inside = (d * np.linalg.solve(p.covariance[0, 0], d.T).T).sum(axis=1) < chi2(4).ppf(0.9)
    assert abs(inside.mean() - 0.9) < 6 * np.sqrt(0.09 / 20_000)
