"""Public functions have an example, and state their parameters, results and errors."""

import ast
import inspect
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest

import bayesgmm as bg

PACKAGE = Path(bg.__file__).parent
ERRORS = {name for name, kind in vars(bg.errors).items() if inspect.isclass(kind) and issubclass(kind, Exception)}
ESTIMATORS = (
    bg.GaussianMixture,
    bg.BayesianGaussianMixture,
    bg.AnomalyDetector,
    bg.MixtureClassifier,
    bg.MixtureRegressor,
)


def public(kind):
    """Every function, or every class, in an ``__all__`` or of ``datasets``, once."""
    values = [getattr(module, name) for module in (bg, bg.plots, bg.apps) for name in module.__all__]
    own = {name: value for name, value in vars(bg.datasets).items() if "datasets" in getattr(value, "__module__", "")}
    values += [value for name, value in own.items() if name[0] != "_"]
    chosen = [value for value in values if kind(value) and value.__module__.startswith("bayesgmm")]
    return {f"{value.__module__}.{value.__qualname__}": value for value in chosen}


def methods(cls):
    """The public methods of a class that are defined in this package, also by its base classes."""
    own = {name: getattr(cls, name) for name in dir(cls) if not name.startswith("_")}
    return {
        f"{value.__module__}.{value.__qualname__}": value
        for value in own.values()
        if inspect.isfunction(value) and value.__module__.startswith("bayesgmm")
    }


FUNCTIONS = public(inspect.isfunction)
CLASSES = public(inspect.isclass)
METHODS = {name: value for cls in (*ESTIMATORS, bg.apps.SpeechClassifier) for name, value in methods(cls).items()}


@cache
def raised_errors():
    """The errors of the package that each function raises, itself or by a function of the package that it calls."""
    raised, called = {}, {}
    for path in PACKAGE.rglob("*.py"):
        module = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
        tree = ast.parse(path.read_text())
        known = {
            (alias.asname or alias.name): f"{node.module}.{alias.name}"
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and node.module
            for alias in node.names
        }
        for owner, function in definitions(tree):
            name = ".".join(filter(None, (module, owner, function.name)))
            raised[name] = errors_in(function)
            called[name] = set(calls_in(function, module, owner, known))
    growing = True
    while growing:
        before = sum(map(len, raised.values()))
        for name, others in called.items():
            raised[name] = raised[name].union(*(raised.get(other, set()) for other in others))
        growing = sum(map(len, raised.values())) > before
    return raised


def definitions(tree):
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            yield "", node
        elif isinstance(node, ast.ClassDef):
            yield from ((node.name, inner) for inner in node.body if isinstance(inner, ast.FunctionDef))


def errors_in(function):
    made = [node.exc for node in ast.walk(function) if isinstance(node, ast.Raise) and node.exc is not None]
    names = {getattr(getattr(one, "func", one), "id", "") for one in made}
    return names & ERRORS


def calls_in(function, module, owner, known):
    for node in ast.walk(function):
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Name):
            yield known.get(node.func.id, f"{module}.{node.func.id}")
        elif isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name):
            base = node.func.value.id
            own = f"{module}.{owner}" if base in {"self", "cls"} else known.get(base, f"{module}.{base}")
            yield f"{own}.{node.func.attr}"


def parameters(function):
    return [name for name in inspect.signature(function).parameters if name not in {"self", "cls", "y"}]


def sections(function):
    """The headings of a docstring: lines that are underlined."""
    lines = inspect.getdoc(function).splitlines()
    return {line for line, under in pairwise(lines) if set(under) == {"-"}}


def test_every_public_function_and_class_has_an_example():
    lacking = [name for name, value in (FUNCTIONS | CLASSES).items() if ">>>" not in inspect.getdoc(value)]
    assert lacking == []


def test_every_public_function_describes_its_parameters():
    described = FUNCTIONS | METHODS
    assert [name for name, f in described.items() if parameters(f) and "Parameters" not in sections(f)] == []


def test_every_public_function_describes_its_result():
    made = {name: str(inspect.signature(f).return_annotation) for name, f in FUNCTIONS.items()}
    described = {name: f for name, f in FUNCTIONS.items() if "Figure" not in made[name] and made[name] != "None"}
    assert [name for name, f in described.items() if "Returns" not in sections(f)] == []


def test_every_method_that_returns_an_array_states_its_shape():
    arrays = {name: f for name, f in METHODS.items() if "NDArray" in str(inspect.signature(f).return_annotation)}
    assert len(arrays) > 8
    assert [name for name, f in arrays.items() if not any(f"({axis}" in inspect.getdoc(f) for axis in "NRn")] == []


def test_every_public_function_states_its_errors():
    raised = raised_errors()
    lacking = {name: raised[name] for name, f in (FUNCTIONS | METHODS).items() if "Raises" not in sections(f)}
    assert {name: errors for name, errors in lacking.items() if errors} == {}


@pytest.mark.parametrize("name", ["bayesgmm.inference.fit", "bayesgmm.clusterings.partitions.partition"])
def test_errors_of_called_functions_are_found(name):
    assert {"DataError", "DeclarationError"} <= raised_errors()[name]
