"""The PyMC distribution: its Ops, its transforms, and PyMC's own functions that use it."""

import hashlib
import inspect

import arviz as az
import cloudpickle
import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt
import pytest
import xarray as xr
from pymc.pytensorf import rewrite_pregrad
from pytensor.gradient import NullTypeGradError
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

from bayesgmm.pymc_ops import ops
from bayesgmm.pymc_ops.distributions import Affine, Logits, LogPower, MvNormalMixture, OrderedAffine, RootCoordinates
from bayesgmm.pymc_ops.ops import Fold, Pointwise, covariance_of_root, fold, pointwise, precision_root, unpack_root
from bayesgmm.sweep import coordinate_kernels, kernels, layout, orchestration, row_kernels, simd
from tests.interpreted import BY_INTERPRETER, INTERPRETED

SIZES = [(1, 1, 1), (33, 1, 2), (32, 2, 1), (100, 2, 3), (2500, 3, 2), (70, 4, 3), (5000, 5, 5), (65, 6, 4)]


def some_mixture(n, d, k, seed=0):
    """Points, log weights, means and covariances."""
    rng = np.random.default_rng(seed)
    a = rng.normal(size=(k, d, d))
    cov = a @ a.transpose(0, 2, 1) + 0.3 * np.eye(d)
    return rng.normal(size=(n, d)) * 2, np.log(rng.dirichlet(np.ones(k))), rng.normal(size=(k, d)), cov


def scipy_log_density(x, log_weight, mean, cov):
    parts = [
        lw + multivariate_normal(m, c).logpdf(x).reshape(len(x)) for lw, m, c in zip(log_weight, mean, cov, strict=True)
    ]
    return logsumexp(parts, axis=0)


# --- Ops ---


@pytest.fixture(scope="module")
def compiled():
    """Log density of each point; weighted sum; its gradient in log weights, means, covariances, row weights."""
    x, w, lw, m, c = pt.matrix(), pt.vector(), pt.vector(), pt.matrix(), pt.tensor3()
    by_point = pointwise(x, lw, m, precision_root(c))
    total = (w * by_point).sum()
    return pytensor.function([x, w, lw, m, c], [by_point, total, *pt.grad(total, [lw, m, c, w])])


@pytest.mark.parametrize(("n", "d", "k"), SIZES)
def test_log_density_equals_scipy_s(compiled, n, d, k):
    x, *parameters = some_mixture(n, d, k)
    by_point, total, *_ = compiled(x, np.ones(n), *parameters)
    np.testing.assert_allclose(by_point, scipy_log_density(x, *parameters), rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(total, by_point.sum())


@pytest.mark.parametrize(("n", "d", "k"), SIZES)
def test_gradient_equals_finite_differences_in_a_random_direction(compiled, n, d, k):
    x, *parameters = some_mixture(n, d, k)
    rng = np.random.default_rng(1)
    w = rng.uniform(-0.5, 1.5, n)
    steps = [rng.normal(size=p.shape) for p in parameters]
    steps[2] = steps[2] + steps[2].transpose(0, 2, 1)
    h = 1e-6
    ahead, behind = (
        compiled(x, w, *(p + sign * h * s for p, s in zip(parameters, steps, strict=True)))[1] for sign in (1, -1)
    )
    by_point, _, *gradient, by_weight = compiled(x, w, *parameters)
    slope = sum((g * s).sum() for g, s in zip(gradient, steps, strict=True))
    np.testing.assert_allclose(slope, (ahead - behind) / (2 * h), rtol=2e-6, atol=1e-6)
    np.testing.assert_allclose(by_weight, by_point)


def test_zero_points_have_log_likelihood_zero(compiled):
    x, *parameters = some_mixture(0, 2, 3)
    by_point, total, *gradient = compiled(x, np.ones(0), *parameters)
    assert by_point.shape == (0,)
    assert total == 0
    assert all((g == 0).all() for g in gradient)


def test_layout_of_the_points_in_memory_does_not_matter(compiled):
    x, lw, mean, cov = some_mixture(100, 3, 2)
    points = pt.matrix()
    by_point = pytensor.function([points], pointwise(points, lw, mean, np.linalg.inv(np.linalg.cholesky(cov))))
    expected = compiled(x, np.ones(100), lw, mean, cov)[0]
    np.testing.assert_allclose(by_point(np.repeat(x, 2, axis=0)[::2]), expected, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("log_weight", [[0.0, -np.inf], [0.0, np.log(1e-300)], [0.0, -1e5]])
def test_vanishing_weights_make_no_nan(compiled, log_weight):
    x, _, mean, cov = some_mixture(50, 2, 2)
    _, total, *gradient = compiled(x, np.ones(50), np.array(log_weight), mean, cov)
    np.testing.assert_allclose(total, scipy_log_density(x, [0.0], mean[:1], cov[:1]).sum(), rtol=1e-12)
    assert all(np.isfinite(g).all() for g in gradient)


@pytest.mark.parametrize("broken", ["cov not positive definite", "cov nan", "mean inf", "log weight nan"])
def test_invalid_parameters_have_log_density_minus_infinity(compiled, broken):
    x, lw, mean, cov = some_mixture(50, 2, 2)
    cov[1] = {"cov not positive definite": [[1.0, 2.0], [2.0, 1.0]], "cov nan": np.nan}.get(broken, cov[1])
    mean[0, 1] = np.inf if broken == "mean inf" else mean[0, 1]
    lw[0] = np.nan if broken == "log weight nan" else lw[0]
    by_point, total, *_ = compiled(x, np.ones(50), lw, mean, cov)
    assert (by_point == -np.inf).all()
    assert total == -np.inf


@pytest.mark.parametrize("wrong", range(5))
def test_shapes_that_do_not_match_are_an_error(compiled, wrong):
    x, lw, mean, cov = some_mixture(50, 2, 3)
    args = [x, np.ones(50), lw, mean, cov]
    args[wrong] = [x[:, :1].copy(), np.ones(49), lw[:2], mean[:2], cov[:2]][wrong]
    with pytest.raises(ValueError, match=r"have (different|another)|[Ii]ncompatible|mismatch|shape"):
        compiled(*args)


def fold_nodes(*graphs):
    inputs = list(pytensor.graph.traversal.explicit_graph_inputs(graphs))
    nodes = pytensor.function(inputs, graphs, on_unused_input="ignore").maker.fgraph.apply_nodes
    return [sum(isinstance(n.op, kind) for n in nodes) for kind in (Fold, Pointwise)]


@pytest.mark.parametrize("pregrad", [True, False])
@pytest.mark.parametrize("scale", [1.0, 7.0])
def test_value_and_gradient_are_one_fold(pregrad, scale):
    x, lw, m, c = pt.matrix(), pt.vector(), pt.matrix(), pt.tensor3()
    value = (scale * pointwise(x, lw, m, precision_root(c))).sum()
    value = rewrite_pregrad(value) if pregrad else value
    assert fold_nodes(value, *pt.grad(value, [lw, m, c])) == [1, 0]


def test_interpreted_and_compiled_agree():
    x, lw, mean, cov = some_mixture(100, 3, 2)
    args = [pt.constant(v) for v in (x, np.ones(100), lw, mean, np.linalg.inv(np.linalg.cholesky(cov)))]
    outputs = fold(*args)
    interpreted, numba = (pytensor.function([], outputs, mode=mode)() for mode in (INTERPRETED, None))
    for a, b in zip(interpreted, numba, strict=True):
        np.testing.assert_array_equal(a, b)


def test_points_and_curvature_have_no_gradient():
    x, lw, m, p = pt.matrix(), pt.vector(), pt.matrix(), pt.tensor3()
    with pytest.raises(NullTypeGradError, match="must be observed"):
        pt.grad(pointwise(x, lw, m, p).sum(), x)
    with pytest.raises(NotImplementedError, match="second derivatives"):
        pt.grad(pt.grad(pointwise(x, lw, m, p).sum(), m).sum(), m)


def test_compiled_code_is_cached_under_the_source_of_all_its_kernels():
    modules = (layout, simd, kernels, orchestration, coordinate_kernels, row_kernels, ops)
    text = "".join(inspect.getsource(module) for module in modules)
    kernel, version = ops._kernel_of(fold)
    assert version == int(hashlib.sha256(text.encode()).hexdigest()[:15], 16)
    assert kernel.stats.cache_path is None  # numba's own cache would not see a change in another file


@pytest.mark.parametrize("d", range(1, 7))
def test_roots_and_covariances_are_inverse_functions(d):
    cov = some_mixture(1, d, 3)[3]
    root = precision_root(cov).eval(mode=INTERPRETED)
    np.testing.assert_allclose(root, np.linalg.inv(np.linalg.cholesky(cov)), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(covariance_of_root(root).eval(mode=INTERPRETED), cov, rtol=1e-10)


@pytest.mark.parametrize("op", [precision_root, covariance_of_root])
def test_gradients_of_roots_and_covariances(op):
    cov = some_mixture(1, 4, 2)[3]
    at = cov if op is precision_root else np.linalg.inv(np.linalg.cholesky(cov))
    rng = np.random.default_rng(1)
    weights, step = rng.normal(size=at.shape), rng.normal(size=at.shape)
    step = step + step.transpose(0, 2, 1) if op is precision_root else np.tril(step)
    v = pt.tensor3()
    value = (weights * op(v)).sum()
    f = pytensor.function([v], [value, pt.grad(value, v)], mode=INTERPRETED)
    slope = (f(at + 1e-6 * step)[0] - f(at - 1e-6 * step)[0]) / 2e-6
    np.testing.assert_allclose((f(at)[1] * step).sum(), slope, rtol=1e-7)


def test_the_root_of_the_covariance_of_a_root_is_simplified():
    v = pt.matrix()
    graph = precision_root(covariance_of_root(unpack_root(v, np.ones(3))))
    nodes = pytensor.function([v], graph).maker.fgraph.apply_nodes
    assert [type(n.op).__name__ for n in nodes] == ["UnpackRoot"]


# --- Transforms ---

_COV = some_mixture(1, 3, 2)[3]
TRANSFORMS = {
    "logits": (Logits(), np.array([0.2, 0.5, 0.3]), lambda v: v[:-1]),
    "affine": (Affine([1.0, 2.0], [3.0, 0.5], ndim_supp=2), np.array([[1.0, 5.0], [2.0, -7.0]]), np.ravel),
    "ordered": (OrderedAffine(1.0, 2.5), np.array([[-1.0], [0.5], [4.0]]), np.ravel),
    "log power": (LogPower(-0.5, [4.0, 9.0], ndim_supp=1), np.array([2.0, 5.0]), np.ravel),
    "root": (RootCoordinates([2.0, 0.5, 3.0]), _COV[0], lambda v: v[np.tril_indices(3)]),
    "root of one feature": (RootCoordinates(2.0), np.array([[3.0]]), np.ravel),
}


def interpreted(function, value):
    v = pt.tensor(dtype="float64", shape=np.shape(value))
    return pytensor.function([v], function(v), mode=INTERPRETED)


@pytest.mark.parametrize("name", TRANSFORMS)
def test_backward_is_the_inverse_of_forward(name):
    transform, value, _ = TRANSFORMS[name]
    v = interpreted(transform.forward, value)(value)
    np.testing.assert_allclose(interpreted(transform.backward, v)(v), value, rtol=1e-12)


@pytest.mark.parametrize("name", TRANSFORMS)
def test_log_jac_det_equals_finite_differences(name):
    transform, value, free = TRANSFORMS[name]
    v = interpreted(transform.forward, value)(value)
    backward = interpreted(transform.backward, v)
    steps = 1e-6 * np.eye(v.size).reshape(-1, *v.shape)
    jacobian = [(free(backward(v + s)) - free(backward(v - s))) / 2e-6 for s in steps]
    sign, expected = np.linalg.slogdet(np.array(jacobian))
    found = interpreted(transform.log_jac_det, v)(v)
    assert sign != 0
    assert found.shape == ()
    np.testing.assert_allclose(found, expected, atol=1e-7)


def test_root_coordinates_are_those_of_a_standardised_precision():
    scale = np.array([2.0, 0.5, 3.0])
    v = interpreted(RootCoordinates(scale).forward, _COV)(_COV)
    root = np.linalg.inv(np.linalg.cholesky(_COV / np.outer(scale, scale)))
    expected = root[:, *np.tril_indices(3)]
    expected[:, [0, 2, 5]] = np.log(expected[:, [0, 2, 5]])
    np.testing.assert_allclose(v, expected, rtol=1e-12)
    assert interpreted(RootCoordinates(scale).log_jac_det, v)(v).shape == (2,)


def test_ordered_coordinates_start_from_equal_values():
    v = interpreted(OrderedAffine(0.0, 2.0).forward, np.ones((3, 1)))(np.ones((3, 1)))
    assert v.ravel().tolist() == [0.5, 0.0, 0.0]


def test_log_jac_det_of_one_number_keeps_the_shape_of_the_value():
    value = np.ones((2, 3))
    for transform in (Affine(0.0, [1.0, 2.0, 3.0]), LogPower(-0.5, 4.0)):
        assert interpreted(transform.log_jac_det, value)(value).shape == (2, 3)


# --- The distribution ---

X = np.concatenate([np.random.default_rng(0).normal(size=(60, 2)), np.random.default_rng(1).normal([4, 1], 1, (40, 2))])


def mixture_of(data, observed=True, **settings):
    """Two components; weights, means and standard deviations are sampled."""
    coords = {"component": range(2), "feature": ["a", "b"], "point": np.arange(len(data))}
    with pm.Model(coords=coords) as model:
        points = pm.Data("data", data, dims=("point", "feature"))
        weight = pm.Dirichlet("weight", np.ones(2), dims="component", default_transform=Logits())
        shift_scale = X.mean(0), X.std(0)
        mean = pm.Normal(
            "mean", [[0.0, 0.0], [4.0, 1.0]], 2, dims=("component", "feature"), default_transform=Affine(*shift_scale)
        )
        sd = pm.HalfNormal("sd", 2, dims=("component", "feature"), default_transform=LogPower(-1, X.std(0)))
        cov = pm.Deterministic("cov", pt.eye(2) * (sd**2)[:, None, :])
        settings |= {"observed": points} if observed else {}
        MvNormalMixture("x", weight, mean, cov, dims=("point", "feature"), **settings)
    return model


@pytest.fixture(scope="module")
def model():
    return mixture_of(X)


DRAWS = 75
QUIET = {"compute_convergence_checks": False, "progressbar": False}


@pytest.fixture(scope="module")
def idata(model, request):
    """By PyMC's own sampler and interpreter. nutpie, which ``test_builder`` samples with, compiles for 20 seconds."""
    compiled = request.config.getoption("--every-combination")
    by = {"nuts_sampler": "nutpie"} if compiled else {"nuts_sampler": "pymc", **BY_INTERPRETER}
    with model:
        return pm.sample(draws=DRAWS, tune=100, chains=2, cores=1, random_seed=1, **by, **QUIET)


def test_log_density_equals_that_of_pymc_s_own_mixture():
    x, lw, mean, cov = some_mixture(20, 2, 2)
    theirs = pm.Mixture.dist(np.exp(lw), [pm.MvNormal.dist(m, c) for m, c in zip(mean, cov, strict=True)])
    ours = MvNormalMixture.dist(np.exp(lw), mean, cov, shape=x.shape)
    np.testing.assert_allclose(*(pm.logp(rv, x).eval(mode=INTERPRETED) for rv in (ours, theirs)))


@pytest.mark.parametrize("shape", [(2,), (4, 2), (3, 4, 2)])
def test_points_may_have_any_batch(shape):
    x, lw, mean, cov = some_mixture(12, 2, 2)
    x = x[: int(np.prod(shape[:-1]))].reshape(shape)
    rv = MvNormalMixture.dist(np.exp(lw), mean, cov, shape=shape)
    expected = scipy_log_density(x.reshape(-1, 2), lw, mean, cov).reshape(shape[:-1])
    np.testing.assert_allclose(pm.logp(rv, x).eval(mode=INTERPRETED), expected)
    assert pm.draw(rv, mode=INTERPRETED).shape == shape
    assert rv.owner.op.ndim_supp == 1


def test_parameters_may_be_padded():
    x, lw, mean, cov = some_mixture(5, 2, 2)
    padded = MvNormalMixture.dist(np.exp(lw)[None], mean[None, None], cov[None], shape=x.shape)
    np.testing.assert_allclose(pm.logp(padded, x).eval(mode=INTERPRETED), scipy_log_density(x, lw, mean, cov))
    for wrong in ((np.exp(lw), np.stack([mean, mean]), cov), (np.exp(lw), mean, cov[0])):
        with pytest.raises(ValueError, match="must have"):
            MvNormalMixture.dist(*wrong)


def test_draws_have_the_mean_and_the_covariance_of_the_mixture():
    """False alarm: 3e-6 for a new seed (5 sd, 5 numbers)."""
    weight, mean = np.array([0.3, 0.7]), np.array([[0.0, 0.0], [3.0, -1.0]])
    cov = np.array([[[1.0, 0.8], [0.8, 1.0]], [[0.5, 0.0], [0.0, 2.0]]])
    x = pm.draw(MvNormalMixture.dist(weight, mean, cov, shape=(20_000, 2)), random_seed=1)
    centre = weight @ mean
    total = np.einsum("k,kij->ij", weight, cov + mean[:, :, None] * mean[:, None, :]) - np.outer(centre, centre)
    np.testing.assert_array_less(np.abs(x.mean(0) - centre), 5 * np.sqrt(np.diag(total) / len(x)))
    products = (x - centre)[:, [0, 0, 1]] * (x - centre)[:, [0, 1, 1]]
    errors = np.abs(products.mean(0) - total[[0, 0, 1], [0, 1, 1]])
    np.testing.assert_array_less(errors, 5 * products.std(0) / np.sqrt(len(x)))


def test_draws_follow_each_components_own_covariance():
    """False alarm: 2e-6 for a new seed (5 sd, 4 numbers)."""
    cov = np.array([[[1.0, 0.9], [0.9, 1.0]], [[1.0, -0.9], [-0.9, 1.0]]])
    far = MvNormalMixture.dist([0.25, 0.75], [[-100.0, 0.0], [100.0, 0.0]], cov, shape=(10_000, 2))
    x = pm.draw(far, random_seed=2)
    left = x[:, 0] < 0
    assert abs(left.mean() - 0.25) < 5 * np.sqrt(0.25 * 0.75 / len(x))
    for part, r in ((x[left], 0.9), (x[~left], -0.9)):
        assert abs(np.corrcoef(part.T)[0, 1] - r) < 5 * (1 - r**2) / np.sqrt(len(part))


def test_the_support_point_is_the_mean():
    rv = MvNormalMixture.dist([0.25, 0.75], [[0.0, 0.0], [4.0, 8.0]], np.stack([np.eye(2)] * 2), shape=(3, 2))
    np.testing.assert_array_equal(
        pm.distributions.distribution.support_point(rv).eval(mode=INTERPRETED), [[3.0, 6.0]] * 3
    )


def test_a_vanishing_weight_in_the_sampler_makes_no_nan(model):
    f = model.logp_dlogp_function(ravel_inputs=True, mode=INTERPRETED)
    f.set_extra_values({})
    point = model.initial_point()
    for logit in (-40.0, -690.0, -1e4, 1e4):
        raveled = pm.blocking.DictToArrayBijection.map(
            {n: np.array([logit]) if n.startswith("weight") else point[n] for n in point}
        )
        value, gradient = f(raveled)
        assert np.isfinite(value)
        assert np.isfinite(gradient).all()


@pytest.mark.parametrize("kind", ["ordered means", "full covariances"])
def test_pymc_adds_the_jacobian_to_a_prior_in_these_coordinates(kind):
    with pm.Model() as model:
        if kind == "ordered means":
            value, transform = np.array([[1.0], [2.5]]), OrderedAffine(1.0, 3.0)
            rv = pm.Normal("v", 0, 5, shape=(2, 1), default_transform=transform)
        else:
            value, transform = some_mixture(1, 2, 3)[3], RootCoordinates([2.0, 0.5])
            rv = pm.Wishart("v", nu=5, V=np.eye(2), shape=(3, 2, 2), default_transform=transform)
    v = interpreted(transform.forward, value)(value)
    jacobian = interpreted(transform.log_jac_det, v)(v).sum()
    expected = pm.logp(rv, value).eval(mode=INTERPRETED).sum() + jacobian
    np.testing.assert_allclose(model.compile_logp(mode=INTERPRETED)({model.value_vars[0].name: v}), expected)


# --- PyMC's tools ---


def log_density_at(model, point):
    return model.compile_logp(vars=model.observed_RVs, mode=INTERPRETED)(point)


def test_nuts_samples_the_distribution(idata):
    assert idata.posterior.sizes == {"chain": 2, "draw": DRAWS, "component": 2, "feature": 2} | {
        d: n for d, n in idata.posterior.sizes.items() if d.startswith("cov_")
    }
    means = idata.posterior["mean"].mean(("chain", "draw")).values
    np.testing.assert_allclose(means, [[0, 0], [4, 1]], atol=0.7)


def test_variational_inference_fits_the_distribution(model):
    with model:
        approximation = pm.fit(1000, method="advi", progressbar=False, random_seed=1, **BY_INTERPRETER)
    assert approximation.hist[-100:].mean() < approximation.hist[:100].mean()


def test_find_map_finds_a_mode(model):
    with model:
        found = pm.find_MAP(progressbar=False, jitter=False, return_inferencedata=True, **BY_INTERPRETER)
    best = found.posterior.isel(chain=0, draw=0)
    np.testing.assert_allclose(best["mean"], [[0, 0], [4, 1]], atol=0.7)
    np.testing.assert_allclose(best["weight"].sum(), 1)


def test_prior_and_posterior_predictive_samples(model, idata):
    """False alarm: 6e-7 for a new seed (5 sd, of the average over predictive points)."""
    with model:
        prior = pm.sample_prior_predictive(3, random_seed=1, **BY_INTERPRETER)
        after = pm.sample_posterior_predictive(idata, progressbar=False, random_seed=1, **BY_INTERPRETER)
    assert prior.prior_predictive["x"].dims == ("chain", "draw", "point", "feature")
    drawn = after.posterior_predictive["x"].mean(("chain", "draw", "point")).values
    expected = (idata.posterior["weight"] * idata.posterior["mean"]).sum("component").mean(("chain", "draw")).values
    np.testing.assert_allclose(drawn, expected, atol=5 * 2.5 / np.sqrt(2 * DRAWS * 100))


@pytest.mark.filterwarnings("ignore:Estimated shape parameter of Pareto")  # of few draws
def test_pointwise_log_likelihood_and_loo(model, idata):
    with model:
        found = pm.compute_log_likelihood(idata, progressbar=False, extend_inferencedata=False, **BY_INTERPRETER)["x"]
    assert found.dims == ("chain", "draw", "point")
    draw = idata.posterior.isel(chain=1, draw=7)
    expected = scipy_log_density(X, np.log(draw["weight"].values), draw["mean"].values, draw["cov"].values)
    np.testing.assert_allclose(found.isel(chain=1, draw=7), expected)
    idata["log_likelihood"] = xr.DataTree(found.to_dataset(name="x"))
    assert az.loo(idata).elpd < 0


def test_predictions_for_another_number_of_points(idata):
    other = mixture_of(X)
    with other:
        pm.set_data({"data": np.zeros((7, 2))}, coords={"point": np.arange(7)})
        predicted = pm.sample_posterior_predictive(
            idata, progressbar=False, predictions=True, random_seed=1, **BY_INTERPRETER
        )
    assert predicted.predictions["x"].sizes == {"chain": 2, "draw": DRAWS, "point": 7, "feature": 2}


def test_total_size_scales_the_log_likelihood(model):
    point = model.initial_point()
    np.testing.assert_allclose(log_density_at(mixture_of(X, total_size=250), point), 2.5 * log_density_at(model, point))


def test_minibatches_fit_the_distribution():
    batch = pm.Minibatch(X, batch_size=32)
    with pm.Model():
        weight = pm.Dirichlet("weight", np.ones(2), default_transform=Logits())
        mean = pm.Normal("mean", [[0.0, 0.0], [4.0, 1.0]], 2, shape=(2, 2))
        x = MvNormalMixture("x", weight, mean, np.stack([np.eye(2)] * 2), observed=batch, total_size=len(X))
        approximation = pm.fit(300, method="advi", progressbar=False, random_seed=1, **BY_INTERPRETER)
    assert np.isfinite(approximation.hist).all()
    assert x.type.ndim == 2


def test_do_and_observe(model):
    where = np.array([[50.0, 50.0], [60.0, 60.0]])
    with pm.do(model, {"mean": where}):
        assert pm.sample_prior_predictive(2, random_seed=1, **BY_INTERPRETER).prior_predictive["x"].min() > 20
    seen = pm.observe(mixture_of(X, observed=False), {"x": X})
    point = model.initial_point()
    np.testing.assert_allclose(log_density_at(seen, point), log_density_at(model, point))


def test_a_potential_is_added_to_the_log_density(model):
    tilted = mixture_of(X)
    with tilted:
        pm.Potential("tilt", -3 * tilted["mean"].sum())
    point = model.initial_point()
    added = tilted.compile_logp(mode=INTERPRETED)(point) - model.compile_logp(mode=INTERPRETED)(point)
    np.testing.assert_allclose(added, -3 * 5)


def test_a_model_can_be_pickled(model):
    again = cloudpickle.loads(cloudpickle.dumps(model))
    point = model.initial_point()
    assert again.compile_logp(mode=INTERPRETED)(point) == model.compile_logp(mode=INTERPRETED)(point)


def test_every_transform_can_be_pickled():
    for transform, value, _ in TRANSFORMS.values():
        again = cloudpickle.loads(cloudpickle.dumps(transform))
        np.testing.assert_array_equal(
            interpreted(again.forward, value)(value), interpreted(transform.forward, value)(value)
        )


def test_a_model_graph_can_be_drawn(model):

    assert "Mv_normal_mixture" in pm.model_to_graphviz(model).source  # PyMC writes the name of the Op so


def test_full_covariances_are_sampled_in_root_coordinates():
    """A user's own prior of covariances: flat, with a Potential in the coordinates of the roots."""
    scale = X.std(0)
    with pm.Model() as model:
        v = pm.Normal("v", 0, 1, shape=(2, 3))
        cov = pm.Deterministic("cov", RootCoordinates(scale).backward(v))
        mean = pm.Normal("mean", 0, 3, shape=(2, 2))
        MvNormalMixture("x", [0.5, 0.5], mean, cov, observed=X)
    f = model.logp_dlogp_function(ravel_inputs=True)
    ops = [type(n.op).__name__ for n in f._pytensor_function.maker.fgraph.apply_nodes]
    assert ops.count("Fold") == 1
    assert not {"PrecisionRoot", "CovarianceOfRoot", "Pointwise"} & set(ops)
