"""Every prior has an implementation of every function that is dispatched on it, and a new prior needs nothing else."""

import ast
import importlib
import inspect
import warnings
from pathlib import Path
from typing import ClassVar, Literal, get_type_hints

import numpy as np
import pytest

import bayesgmm as bg
from bayesgmm import dispatch
from bayesgmm.data.points import as_points
from bayesgmm.data.standards import Standard
from bayesgmm.errors import FitWarning, MissingImplementation
from bayesgmm.estimators.variational_search import weight_concentration
from bayesgmm.inference.conditionals import weights_kind
from bayesgmm.inference.pymc_priors import weights_given
from bayesgmm.inference.weight_shares import weight_shares
from bayesgmm.priors.covariances import COVARIANCE_PRIORS, CovariancesPrior
from bayesgmm.priors.means import MEANS, MeansPrior
from bayesgmm.priors.scalars import SCALARS, NumbersOrPrior, Scalar
from bayesgmm.priors.weight_densities import dirichlet_density
from bayesgmm.priors.weights import WEIGHTS, Dirichlet, WeightsPrior
from bayesgmm.reports.descriptions import Description
from bayesgmm.reports.priors import describe_weights, descriptions
from tests.declarations import covariance_priors, mean_priors, weight_priors

PACKAGE = Path(bg.__file__).parent
SOURCES = {path.relative_to(PACKAGE): path.read_text() for path in PACKAGE.rglob("*.py")}
REGISTRIES = {WeightsPrior: WEIGHTS, MeansPrior: MEANS, CovariancesPrior: COVARIANCE_PRIORS, Scalar: SCALARS}
PARTS = {"weights": WeightsPrior, "means": MeansPrior, "covariances": CovariancesPrior}
CLASSES = {kind.__name__ for registry in REGISTRIES.values() for kind in registry.values()} | {"StickBreaking"}


def functions_of_priors():
    """Return every function that is dispatched on a class of priors, with the registry of that class."""
    for path, source in SOURCES.items():
        if "\n@by_class\n" in source:
            importlib.import_module(".".join(("bayesgmm", *path.with_suffix("").parts)))
    bases = [get_type_hints(f).get(next(iter(inspect.signature(f).parameters))) for f in dispatch.FUNCTIONS]
    return [(f, REGISTRIES[base]) for f, base in zip(dispatch.FUNCTIONS, bases, strict=True) if base in REGISTRIES]


FUNCTIONS = functions_of_priors()


def without_implementation(function, registry):
    return [kind.__name__ for kind in registry.values() if function.dispatch(kind) is function.dispatch(object)]


def test_the_functions_of_all_rooms_are_found():
    names = {function.__name__ for function, _ in FUNCTIONS}
    assert names >= {"weights_given", "pymc_means", "family_covariances", "covariance_values", "pymc_class"}
    assert names >= {"weight_shares", "means_factor", "precisions_factor", "closest_wishart", "weight_concentration"}
    assert names >= {"weights_kind", "means_kind", "require_wishart"}
    assert names >= {"describe_weights", "describe_means", "describe_covariances"}


def test_no_module_with_functions_of_priors_is_executed_twice():
    """Doctests did so: see conftest.py."""
    assert len({(function.__module__, function.__name__) for function, _ in FUNCTIONS}) == len(FUNCTIONS)


@pytest.mark.parametrize(("function", "registry"), FUNCTIONS, ids=[function.__name__ for function, _ in FUNCTIONS])
def test_every_registered_prior_has_an_implementation(function, registry):
    assert without_implementation(function, registry) == []


def class_questions(source):
    """Return the lines that ask for the class of a prior, or look it up in a dict, without ``by_class``."""
    lines = []
    for node in ast.walk(ast.parse(source)):
        asked = []
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in {"isinstance", "issubclass"}
        ):
            asked = node.args[1:]
        if isinstance(node, ast.Dict):
            asked = [key for key in node.keys if key is not None]
        if isinstance(node, ast.MatchClass):
            asked = [node.cls]
        names = {name.id for part in asked for name in ast.walk(part) if isinstance(name, ast.Name)}
        lines += [node.lineno] if names & CLASSES else []
    return lines


@pytest.mark.parametrize("path", SOURCES, ids=str)
def test_no_module_asks_for_the_class_of_a_prior(path):
    assert class_questions(SOURCES[path]) == []


def test_the_check_of_class_questions_can_fail():
    assert class_questions("if isinstance(prior, WishartPrecision | int): pass")
    assert class_questions("FACTORS = {NormalMeans: 1}")
    assert class_questions("match prior:\n    case Dirichlet(): pass")
    assert not class_questions("isinstance(prior.scale, Scalar)")


class Toy(WeightsPrior):
    """A Dirichlet distribution under another name: a new prior."""

    concentration: NumbersOrPrior = 1.0
    prior: Literal["toy"] = "toy"

    density: ClassVar = dirichlet_density

    def draw_given(self, rng, concentration):
        return Dirichlet().draw_given(rng, concentration)


@pytest.fixture
def toy(monkeypatch):
    """Return a declaration with a prior that only its own registry knows."""
    monkeypatch.setitem(WEIGHTS, "toy", Toy)
    return bg.MixtureModel(2, weights=Toy(3.0))


@pytest.fixture
def x():
    return np.concatenate([np.random.default_rng(0).normal(m, 1.0, size=(60, 1)) for m in (0.0, 8.0)])


def fitted(model, x, method):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        return bg.fit(model, x, method, seed=1, progress=False)


def test_a_prior_class_without_density_or_draws_is_a_named_error():
    class Incomplete(WeightsPrior):
        concentration: float = 1.0

    with pytest.raises(TypeError, match="Incomplete without an implementation for abstract methods 'density', 'draw_"):
        Incomplete()


def test_a_prior_class_is_enough_for_engines_that_use_the_density(toy, x):
    assert bg.MixtureModel.parse(toy.plain(), "a card") == toy
    same = bg.MixtureModel(2, weights=bg.Dirichlet(3.0))
    one, other = (fitted(model, x, "map")["posterior"]["weight"].values for model in (toy, same))
    np.testing.assert_allclose(one, other, rtol=1e-6)
    assert bg.prior_predictive(toy, x, draws=3)["prior"]["weight"].shape == (1, 3, 2)


@pytest.mark.parametrize("method", ["nuts", "advi"])
def test_draws_from_a_new_prior_are_not_compared_with_a_gibbs_run(method, toy, x, whole_searches):
    fit = fitted(toy, x, method)  # with the default number of draws: shorter runs are never compared
    assert fit["posterior"]["weight"].values.mean(axis=(0, 1)) == pytest.approx([0.5, 0.5], abs=0.05)


def test_a_missing_implementation_is_a_named_error(toy, x):
    class Unknown(Toy):
        prior: Literal["unknown"] = "unknown"

    model = toy.model_copy(update={"weights": Unknown(3.0)})
    with pytest.raises(
        MissingImplementation, match=r"Unknown has no implementation of 'weights_given' \(in bayesgmm.inf"
    ):
        bg.build_model(model, x)
    with pytest.raises(MissingImplementation, match="'weight_shares'"):
        bg.fit(model, x, "vb", progress=False)
    with pytest.raises(MissingImplementation, match="'describe_weights'"):
        descriptions(model.resolve(as_points(x)), 1)


def test_one_implementation_for_each_function_is_enough_for_every_room(toy, x):
    class Registered(Toy):
        prior: Literal["registered"] = "registered"

    model = toy.model_copy(update={"weights": Registered(3.0)})
    same = bg.MixtureModel(2, weights=bg.Dirichlet(3.0))
    for function in (weights_given, weight_shares, weight_concentration, weights_kind):
        function.register(Registered, function.dispatch(Dirichlet))
    describe_weights.register(Registered, lambda prior, n_components: Description("A toy.", ("w",)))
    of_priors = [f for f, registry in FUNCTIONS if registry is WEIGHTS]
    assert [f.__name__ for f in of_priors if without_implementation(f, {"registered": Registered})] == []
    assert descriptions(model.resolve(as_points(x)), 1)["weights"].words == "A toy."
    one, other = (bg.build_model(each, x).point_logps() for each in (model, same))
    assert one == other
    one, other = (fitted(each, x, "vb")["posterior"]["mean"].values for each in (model, same))
    np.testing.assert_array_equal(one, other)


def extras_one_step_apart(prior, standard):
    """Return what a resolved prior learns, at some coordinates and at coordinates that are larger by one."""
    given = () if isinstance(prior, WeightsPrior) else (standard,)
    q = np.linspace(-0.5, 0.5, prior.n_extra)
    return prior.extras(q, *given), prior.extras(q + 1.0, *given)


@pytest.mark.parametrize("d", [1, 2])
def test_positive_extras_are_those_whose_coordinates_are_logarithms(d):
    points = as_points(np.random.default_rng(0).normal(size=(30, d)) * [1.0, 40.0][:d])
    standard, learned = Standard.of(points), set()
    for declared in (*weight_priors(2), *mean_priors(d), *covariance_priors(d)):
        part = next(part for part in ("weights", "means", "covariances") if isinstance(declared, PARTS[part]))
        prior = getattr(bg.MixtureModel(2, **{part: declared}).resolve(points), part)
        one, other = extras_one_step_apart(prior, standard)
        for name in one:
            is_logarithm = np.allclose(np.divide(other[name], one[name]), np.e)
            assert is_logarithm == (name in prior.positive_extras), (declared, name)
        learned |= set(one)
    assert learned == {"concentration", "mean_centre", "mean_spread", "covariance_scale"}
