"""The house rules: rooms import only from rooms below, the package is quick to import, versions are pinned once."""

import ast
import functools
import re
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HEAVY = {"arviz", "jinja2", "librosa", "matplotlib", "nutpie", "pandas", "sklearn", "typer", "xarray", "pymc", "jax"}
HEAVY |= {"skimage", "PIL", "dask", "distributed"}
MAY_BE_HEAVY = (
    "whole_tables",
    "cli",
    "pymc_ops",
    "inference.decomposed_distributions",
    "inference.factor_distributions",
    "inference.prior_distributions",
    "inference.pymc_priors",
    "inference.pymc_scalars",
)  # typer, PyMC: that is their job
MAY_BE_HEAVY += ("apps.speech.classifier", "apps.speech.recogniser")  # a scikit-learn estimator
HEAVY_ESTIMATORS = ("anomalies", "bayesian", "classifier", "density", "gaussian", "posteriors", "regressor")
MAY_BE_HEAVY += tuple(f"estimators.{name}" for name in HEAVY_ESTIMATORS)

ROOMS = """
wording late temporary blas renamed synonyms whole_tables references
notebooks
errors
keywords
memory progress files
checkpoints
sweep
dispatch findings declared bundled families pymc_ops apps.extras reading
data engine_limits engine_settings
datasets engines priors screening sources transforms tree_files
model workers
posterior
labels
predictions
clusterings diagnosis
inference
plots
model_selection
estimators reports apps.images
cards apps.tables apps.speech warmup
apps
cli
__main__
"""
"""A line is a floor, the lowest first. A room imports only from rooms on lines above its own."""

FLOORS = {room: floor for floor, line in enumerate(ROOMS.strip().splitlines()) for room in line.split()}
Imports = dict[str, set[str]]


parsed = functools.cache(ast.parse)  # each module is looked at twice


@functools.cache
def modules() -> dict[str, Path]:
    """Every module of the package, by its name within it."""
    folder = ROOT / "bayesgmm"
    paths = {path.relative_to(folder).with_suffix("").parts: path for path in folder.rglob("*.py")}
    named = {".".join(part for part in parts if part != "__init__"): path for parts, path in paths.items()}
    return {name: path for name, path in named.items() if name}


def imported(source: str, known: set[str]) -> set[str]:
    """Modules of the package that a source imports, at run time or for types."""
    found = set()
    for node in ast.walk(parsed(source)):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "bayesgmm":
            inner = node.module.removeprefix("bayesgmm").lstrip(".")
            names = {f"{inner}.{alias.name}".lstrip(".") for alias in node.names}
            found |= {name if name in known else inner for name in names}
    return found - {""}


def imports(sources: dict[str, str]) -> Imports:
    """Module -> the modules that it imports."""
    return {name: imported(source, set(sources)) for name, source in sources.items()}


def room(module: str) -> str:
    """The longest room that a module lies in."""
    return max((name for name in FLOORS if f"{module}.".startswith(f"{name}.")), key=len)


def upward(graph: Imports) -> list[str]:
    """Imports from a room that is not below the importing one."""
    return [
        f"{name} imports {other}: {room(other)} is not below {room(name)}"
        for name, others in graph.items()
        for other in others
        if room(name) != room(other) and FLOORS[room(other)] >= FLOORS[room(name)]
    ]


def cycle(graph: Imports) -> list[str]:
    """Modules that import each other in a circle."""
    try:
        TopologicalSorter({name: others - {name} for name, others in graph.items()}).prepare()
    except CycleError as error:
        return error.args[1]
    return []


@pytest.fixture(scope="module")
def graph():
    return imports({name: path.read_text() for name, path in modules().items()})


def test_every_module_has_a_room_and_every_room_a_module(graph):
    assert {room(name) for name in graph} == set(FLOORS)


def test_rooms_import_only_from_rooms_below(graph):
    assert upward(graph) == []


def test_no_modules_import_each_other_in_a_circle(graph):
    assert cycle(graph) == []


def test_the_room_check_can_fail():
    bad = {"sweep.stats": "from bayesgmm.model import MixtureModel", "model": ""}
    assert upward(imports(bad))
    assert upward(imports({"sweep.stats": "def f():\n    from bayesgmm import model", "model": ""}))
    assert upward(imports({"clusterings.a": "from bayesgmm.diagnosis import b", "diagnosis.b": ""}))  # on one floor
    assert not upward(imports({"sweep.stats": "", "model": "from bayesgmm.sweep.stats import fold"}))


def test_the_circle_check_can_fail():
    circle = {"sweep.a": "from bayesgmm.sweep.b import f", "sweep.b": "from bayesgmm.sweep import a"}
    assert cycle(imports(circle))
    assert not cycle(imports(circle | {"sweep.b": ""}))


def test_the_architecture_page_shows_every_room():
    table = re.findall(r"^\| `([a-z_.]+)/?`", (ROOT / "docs/architecture.md").read_text(), re.MULTILINE)
    rooms = {name for name, path in modules().items() if path.name == "__init__.py"} & set(FLOORS)
    assert rooms <= set(table)


def test_the_picture_of_the_rooms_is_current():
    subprocess.run([sys.executable, ROOT / "docs/extensions/rooms.py", "--check"], check=True)


def top_level_imports(path: Path) -> set[str]:
    nodes = parsed(path.read_text()).body
    plain = {alias.name.split(".")[0] for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return plain | {node.module.split(".")[0] for node in nodes if isinstance(node, ast.ImportFrom) and node.module}


@pytest.mark.parametrize("name", sorted(name for name in modules() if not name.startswith(MAY_BE_HEAVY)))
def test_heavy_libraries_are_imported_where_they_are_used(name):
    assert not top_level_imports(modules()[name]) & HEAVY


def test_importing_the_package_imports_nothing_heavy():
    code = "import bayesgmm, sys; bayesgmm.__all__; print(*sorted({m.split('.')[0] for m in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not set(loaded) & (HEAVY | {"numba", "scipy", "pydantic"})


def test_help_imports_nothing_heavy():
    code = (
        "import sys; sys.argv = ['bayesgmm', '--help']\n"
        "from bayesgmm.cli import main\n"
        "try: main()\n"
        "except SystemExit: print('MODULES', *sorted({m.split('.')[0] for m in sys.modules}))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "fit" in out
    assert not set(out.split("MODULES")[1].split()) & (HEAVY - {"typer"} | {"numba", "scipy", "pydantic"})


def test_constraints_name_versions_only():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    assert lines
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!-]+", line) for line in lines)


def test_every_public_name_exists_and_is_documented():
    import bayesgmm

    for name in bayesgmm.__all__:
        assert getattr(bayesgmm, name).__doc__, name
