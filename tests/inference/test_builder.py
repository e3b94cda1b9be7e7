"""The PyMC model: it has the same posterior as the native code, and its traces are valid fits."""

import functools
import itertools
import warnings

import arviz as az
import cloudpickle
import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt
import pytest
from pymc.pytensorf import rewrite_pregrad
from scipy import stats
from sklearn.metrics import adjusted_rand_score

import bayesgmm as bg
from bayesgmm.data.points import as_points
from bayesgmm.datasets import make_mixture
from bayesgmm.errors import DataError, FitFileError, FitWarning
from bayesgmm.posterior.log_posterior import LogPosterior
from tests.declarations import covariance_priors, decomposed_priors, mean_priors, weight_priors
from tests.families.registry import CHARTED, DECOMPOSED
from tests.interpreted import AS_WRITTEN, BY_INTERPRETER, INTERPRETED

# In the order of our coordinates.
VARIABLES = ["weight", "concentration", "mean", "mean_centre", "mean_spread"]
VARIABLES += ["covariance", "tied_covariance", "variance", "tied_variance", "sd", "covariance_scale"]
VARIABLES += ["axis_sd", "shape", "log_step", "turn"]


def both_writings(model, x, noise=None):
    """The hand-written density, and a function of the same coordinates through PyMC's graph."""
    ours = LogPosterior.of(model, as_points(x, gaps=True).measured(noise))
    pm_model = bg.build_model(model, x, noise=noise)
    free = sorted(pm_model.free_RVs, key=lambda variable: VARIABLES.index(variable.name))
    values = [pm_model.rvs_to_values[variable] for variable in free]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        value = rewrite_pregrad(pm_model.logp())  # as PyMC's samplers do
        gradient = pt.concatenate([part.ravel() for part in pt.grad(value, values)])
        compiled = pytensor.function(values, [value, gradient], mode=AS_WRITTEN)
    start = pm_model.initial_point()
    shapes = [start[value.name].shape for value in values]

    def theirs(q):
        parts = np.split(q, np.cumsum([int(np.prod(shape)) for shape in shapes])[:-1])
        return compiled(*(part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)))

    return ours, theirs


def check_agreement(model, x, noise=None):
    ours, theirs = both_writings(model, x, noise)
    rng = np.random.default_rng(0)
    differences = []
    for q in rng.normal(scale=0.4, size=(3, ours.size)):
        (value, grad), (value_, grad_) = ours(q), theirs(q)
        np.testing.assert_allclose(grad, grad_, rtol=1e-7, atol=1e-7 * np.abs(grad).max())
        differences.append(value - value_)
    np.testing.assert_allclose(differences, differences[0], atol=1e-7 * abs(value))
    assert abs(differences[0]) < 1e-5  # even the constants agree


def some_combinations(seed):
    """For every family every prior of the means where K = D, and one combination for every D, K, and K = D squared.

    Where K is D or its square, sizes do not tell which family it is: K rows of D numbers are as many as a matrix has.
    """
    rng = np.random.default_rng(seed)
    for number, family in enumerate(CHARTED):
        for m in range(len(mean_priors(2))):
            yield family, 2, 2, (0, m, 0)
        yield family, 2, 4, (0, number % len(mean_priors(2)), 0)
        for d in range(1, 4):
            k = 1 + (d + number) % 3
            priors = [weight_priors(k), mean_priors(d), covariance_priors(d)]
            yield family, d, k, tuple(int(rng.integers(len(each))) for each in priors)


def every_combination():
    for family, d, k in itertools.product(CHARTED, range(1, 5), range(1, 5)):
        sizes = (len(weight_priors(k)), len(mean_priors(d)), len(covariance_priors(d)))
        for chosen in np.ndindex(sizes):
            yield family, d, k, chosen


def test_a_background_is_in_both_densities():
    x = np.random.default_rng(0).normal(size=(20, 2)) * 2 + 3
    for family in ("full", "spherical"):
        check_agreement(bg.MixtureModel(3, family, background=bg.Background(0.1)), x)


@pytest.mark.parametrize("errors", ["none", "standard errors", "covariances"])
@pytest.mark.parametrize("family", CHARTED)
def test_missing_cells_and_errors_are_in_both_densities(family, errors):
    rng = np.random.default_rng(1)
    x = np.where(rng.random((15, 2)) < 0.2, np.nan, rng.normal(size=(15, 2)) * [1, 10])
    x[3] = np.nan
    sd = rng.uniform(0, 0.5, size=(15, 2)) * [1, 10]
    sd[::3] = 0
    covariance = sd[:, :, None] ** 2 * np.eye(2)
    covariance[:, 0, 1] = covariance[:, 1, 0] = 0.3 * sd[:, 0] * sd[:, 1]
    noise = {"none": None, "standard errors": sd, "covariances": covariance}[errors]
    check_agreement(bg.MixtureModel(2, family), x, noise)


def test_points_with_errors_are_replicated_with_errors():
    """Of 4,000 replicates, variances within 10 % (4 standard errors)."""
    x, sd = np.random.default_rng(2).normal(size=(40, 2)), np.full((40, 2), 2.0)
    x[0, 1] = np.nan
    pm_model = bg.build_model(bg.MixtureModel(1, "diag"), x, noise=sd)
    values = {"mean": np.zeros((1, 2)), "variance": np.ones((1, 2))}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # PyTensor's: the draws are not compiled
        drawn = pm.draw(pm.do(pm_model, values)["x"], draws=100, random_seed=1)
    assert drawn.shape == (100, 40, 2)
    np.testing.assert_allclose(drawn.reshape(-1, 2).var(axis=0), 5.0, rtol=0.1)


def test_minibatches_need_exact_rows():
    with pytest.raises(bg.errors.DataError, match="batch_size= needs complete rows"):
        bg.build_model(bg.MixtureModel(1), [[0.0], [np.nan], [1.0]], batch_size=2)


def pytest_generate_tests(metafunc):
    if "combination" in metafunc.fixturenames:
        everything = metafunc.config.getoption("--every-combination")
        metafunc.parametrize("combination", list(every_combination() if everything else some_combinations(1)))


def test_pymc_and_native_code_have_the_same_posterior(combination):
    family, d, k, (w, m, c) = combination
    x = np.random.default_rng(d * 10 + k).normal(size=(40, d)) * (1 + np.arange(d)) + 10
    check_agreement(bg.MixtureModel(k, family, weight_priors(k)[w], mean_priors(d)[m], covariance_priors(d)[c]), x)


@pytest.mark.parametrize(("name", "d"), [*((name, 2) for name in DECOMPOSED), ("VEV", 1), ("VEV", 3), ("EVE", 3)])
def test_volume_shape_and_orientation_have_the_same_posterior_in_pymc(name, d):
    x = np.random.default_rng(d).normal(size=(40, d)) * (1 + np.arange(d)) + 10
    prior = decomposed_priors()[d % 2]
    check_agreement(bg.MixtureModel(2, name, bg.Dirichlet(1.5), mean_priors(d)[d % 2], prior), x)


def test_drawn_orientations_in_pymc_have_their_density():
    """Under a density the mean of its slopes is 0: 2,000 draws of two axes. Six standard errors: 2e-9."""
    x = np.random.default_rng(0).normal(size=(30, 2))
    pm_model = bg.build_model(bg.MixtureModel(1, "VEV"), x)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        turn, step = pm.draw([pm_model["turn"], pm_model["log_step"]], draws=2000, random_seed=1)
    slope = -3 * np.tanh(turn.ravel())  # of the logarithm of cosh(w)^-3
    assert abs(slope.mean()) < 6 * slope.std() / np.sqrt(2000)
    assert stats.kstest(np.tanh(turn.ravel()), lambda t: 0.5 + _half(t)).pvalue > 1e-6
    assert stats.kstest(np.exp(step.ravel()), stats.rayleigh(scale=0.5 * np.sqrt(2)).cdf).pvalue > 1e-6


def _half(t):
    """Distribution function, less 1/2, of tanh(w) where w has a density in proportion to cosh(w)^-3."""
    return (t * np.sqrt(1 - t**2) + np.arcsin(t)) / np.pi


def test_initial_values_of_a_structure_are_a_mode():
    x = np.concatenate([np.random.default_rng(k).normal(size=(40, 2)) @ [[1, 0.5], [0, 0.3]] + 9 * k for k in (0, 1)])
    model = bg.MixtureModel(2, "VEV")
    pm_model, start = bg.build_model(model, x), bg.initial_point(model, x)
    assert {*start} == {variable.name for variable in pm_model.free_RVs}
    found = bg.fit(model, x, "map", seed=0, progress=False)["posterior"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        drawn = pm.draw(pm.do(pm_model, start)["covariance"])
    order, other = np.argsort(start["mean"][:, 0]), np.argsort(found["mean"].values[0, 0, :, 0])
    np.testing.assert_allclose(drawn[order], found["covariance"].values[0, 0][other], rtol=0.02, atol=1e-3)


DATA = {
    "one column": bg.datasets.galaxies(),
    "four columns": bg.datasets.iris().drop(columns="species"),
}
DECLARED = {
    "one column": bg.MixtureModel(
        1, "diag", means=bg.ConjugateMeans(), covariances=bg.WishartPrecision(scale=bg.Gamma(2.0, 1e-6))
    ),
    "four columns": bg.MixtureModel(2),
}
SAMPLERS = {"one column": "pymc", "four columns": "nutpie"}  # each compiles the model again


@pytest.fixture(scope="module")
def traces():
    """Draws of PyMC's samplers from the declared models, made when they are first asked for."""

    @functools.cache
    def sampled(name):
        model, x = DECLARED[name], DATA[name]
        with bg.build_model(model, x), warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            start = bg.initial_point(model, x)
            init = {"init": "adapt_diag"} if SAMPLERS[name] == "pymc" else {}
            chains = {"draws": 300, "tune": 300, "chains": 2, "cores": 1, "random_seed": 1, "progressbar": False}
            return pm.sample(nuts_sampler=SAMPLERS[name], initvals=start, **chains, **init)

    return sampled


@pytest.mark.parametrize("name", DATA)
def test_two_runs_agree(name, traces):
    """One run by each density: label-free means within 5 Monte Carlo errors, sds within 5: false alarm 1e-5 in all."""
    theirs = traces(name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        ours = bg.fit(DECLARED[name], DATA[name], draws=1000, chains=2, seed=1, progress=False)
    for quantity in ("mean of the mixture", "log determinants", "concentration"):
        one, two = (label_free(fit)[quantity] for fit in (ours, theirs))
        error = np.hypot(az.mcse(one, method="mean"), az.mcse(two, method="mean"))
        assert abs(one.mean() - two.mean()) < 5 * error, quantity
        error = np.hypot(az.mcse(one, method="sd"), az.mcse(two, method="sd"))
        assert abs(one.std() - two.std()) < 5 * error, quantity


def label_free(fit):
    p = fit["posterior"].to_dataset()
    mean = (p["weight"] * p["mean"]).sum("component").isel(feature=0).values
    log_det = np.linalg.slogdet(p["covariance"].transpose("chain", "draw", "component", ...).values)[1].sum(-1)
    extra = [p[name] for name in ("concentration", "covariance_scale", "mean_spread") if name in p]
    first = np.log(extra[0]).values.reshape(*mean.shape, -1)[..., 0] if extra else mean
    return {"mean of the mixture": mean, "log determinants": log_det, "concentration": first}


@pytest.fixture(scope="module")
def iris_model(iris):
    return bg.build_model(bg.MixtureModel(2), iris.drop(columns="species"))


@pytest.fixture(scope="module")
def trace(traces):
    return traces("four columns")


def test_names_and_dims_are_those_of_the_schema(iris_model):
    dims = iris_model.named_vars_to_dims
    assert dims["weight"] == ("component",)
    assert dims["mean"] == ("component", "feature")
    assert dims["covariance"] == ("component", "feature", "feature_bis")
    assert dims["x"] == ("point", "feature")
    assert [variable.name for variable in iris_model.observed_RVs] == ["x"]
    assert iris_model.coords["feature"][0] == "sepal_length"


def test_a_trace_of_pymc_is_a_valid_fit(trace, iris):
    answer = bg.assignments(trace)
    setosa = (iris["species"] == "setosa").to_numpy()
    assert adjusted_rand_score(setosa, answer["label"].values) > 0.95
    np.testing.assert_allclose(answer["probability"].sum("component"), 1)
    assert (bg.density(trace, iris.drop(columns="species"))["density"] > 0).all()
    far = iris.drop(columns="species").head(1) * 10
    assert float(bg.anomaly_scores(trace, far)["p_value"][0]) < 0.001
    assert bg.plots.assignments(trace).axes


def test_chains_that_name_components_differently_are_aligned(trace):
    """A trace of PyMC's has not been relabelled: one chain with its components swapped gives the same answer."""
    swapped = trace.copy(deep=True)
    for name in ("weight", "mean", "covariance"):
        values = swapped["posterior"][name].values
        values[1] = values[1][:, ::-1]
    one, two = bg.assignments(trace), bg.assignments(swapped)
    np.testing.assert_allclose(one["probability"], two["probability"], atol=1e-12)


def test_pymc_s_tools_work_on_it(iris_model, trace, iris):
    x = iris.drop(columns="species")
    with iris_model, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        few = trace.sel(draw=slice(0, 19))
        pm.compute_log_likelihood(few, progressbar=False, **BY_INTERPRETER)
        assert few["log_likelihood"]["x"].shape == (2, 20, 150)
        assert np.isfinite(az.loo(few).elpd)
        assert pm.sample_prior_predictive(20, **BY_INTERPRETER)["prior_predictive"]["x"].shape == (1, 20, 150, 4)
        pm.set_data({"data": x.to_numpy()[:60]}, coords={"point": np.arange(60)})
        predicted = pm.sample_posterior_predictive(few, progressbar=False, **BY_INTERPRETER)
        assert predicted["posterior_predictive"]["x"].shape == (2, 20, 60, 4)
        pm.set_data({"data": x.to_numpy()}, coords={"point": np.arange(150)})
    again = cloudpickle.loads(cloudpickle.dumps(iris_model))
    assert again.point_logps() == iris_model.point_logps()


@pytest.mark.parametrize(
    "model",
    [
        bg.MixtureModel(3, "full", bg.PitmanYor(1.0, 0.3), bg.ConjugateMeans(strength=1.0), bg.LKJCovariance(2.0)),
        bg.MixtureModel(2, "tied", bg.SparseDirichlet(0.1), bg.HierarchicalMeans(), bg.WishartPrecision(2.5)),
        bg.MixtureModel(2, "spherical", covariances=bg.WishartPrecision(6.0, scale=bg.Gamma(3.0, 3.0))),
    ],
    ids=lambda model: model.covariance,
)
def test_prior_draws_of_pymc_s_are_ours(model):
    """Quartiles of label-free numbers in 1,000 draws each: within 6 standard errors, 12 numbers: false alarm 2e-8."""
    x = make_mixture(50, 2, 2, seed=1).X
    with bg.build_model(model, x):
        theirs = pm.sample_prior_predictive(1000, random_seed=2, **BY_INTERPRETER)
    ours = bg.prior_predictive(model, x, draws=1000, seed=3)
    for statistic in (
        lambda p: p["weight"].max("component"),
        spread,
        lambda p: np.abs(p["mean"]).mean(("component", "feature")),
    ):
        one, two = (np.log(statistic(tree["prior"].to_dataset()).values.ravel()) for tree in (ours, theirs))
        for quarter in (0.25, 0.5, 0.75):
            below = (two < np.quantile(one, quarter)).mean()
            assert abs(below - quarter) < 6 * np.sqrt(2 * quarter * (1 - quarter) / 1000)


def heaviest(p):
    return p["weight"].max("component")


def distance(p):
    return np.abs(p["mean"]).mean(("component", "feature"))


def spread(p):
    return p["covariance"].mean("component").isel(feature=0, feature_bis=0)


def test_ordered_means_are_ordered_in_prior_and_posterior():
    model = bg.MixtureModel(3, means=bg.NormalMeans(ordered=True))
    x = bg.datasets.galaxies()
    with bg.build_model(model, x):
        prior = pm.sample_prior_predictive(50, random_seed=1, **BY_INTERPRETER)["prior"]["mean"]
    assert (np.diff(prior.values[..., 0]) >= 0).all()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        fit = bg.fit(model, x, draws=100, chains=2, seed=1, progress=False)
    assert (np.diff(np.sort(fit["posterior"]["mean"].values[..., 0])) > 0).all()


def test_minibatches_estimate_the_whole_likelihood():
    """Mean of 400 minibatch log densities within 6 standard errors of the full one: false alarm 2e-9."""
    sample = make_mixture(2000, 2, 3, seed=2)
    model = bg.MixtureModel(3)
    full = bg.build_model(model, sample.X)
    batches = bg.build_model(model, sample.X, batch_size=200)
    point = full.initial_point()
    whole = full.compile_logp(mode=INTERPRETED)(point)
    drawn = batches.compile_logp(mode=INTERPRETED)
    values = np.array([drawn(point) for _ in range(400)])
    assert values.std() > 0
    assert abs(values.mean() - whole) < 6 * values.std() / 20


def test_a_trace_by_minibatches_answers_for_points_that_are_given():
    model = bg.MixtureModel(2)
    x = make_mixture(200, 2, 2, overlap=0.02, seed=4).X
    with bg.build_model(model, x, batch_size=50), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        trace = pm.fit(50, progressbar=False, random_seed=1, **BY_INTERPRETER).sample(20, random_seed=1)
    assert bg.assignments(trace, x)["label"].size == 200
    with pytest.raises(FitFileError, match="has no observed data"):
        bg.assignments(trace)


def test_mistakes_are_reported_before_pymc_runs():
    with pytest.raises(DataError, match="missing or infinite"):
        bg.build_model(bg.MixtureModel(1), [[1.0], [np.inf]])
    with pytest.warns(FitWarning, match="in the data's units"):
        bg.build_model(bg.MixtureModel(2, means=bg.NormalMeans(0.0, 1.0)), bg.datasets.galaxies())
