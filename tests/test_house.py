"""The house rules: imports go down, the package is quick to import, the version is one."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HEAVY = {"arviz", "jinja2", "librosa", "matplotlib", "nutpie", "pandas", "sklearn", "typer", "xarray", "pymc", "jax"}
HEAVY |= {"skimage", "PIL"}
PACKAGES = {"apps", "inference", "estimators", "diagnosis", "reports"}  # what is imported from them are modules
ENTRANCES = {
    "inference.fit",
    "diagnosis.diagnose",
    "reports.report",
    "reports.check_report",
}  # functions of a package itself
MAY_BE_HEAVY = {
    "cli",
    "cli.cards",
    "cli.reports",
    "cli.application",
    "cli.analyses",
    "cli.applications",
    "cli.predictions",
    "cli.partitions",
    "cli.diagnosis",
    "cli.selection",
    "cli.terminal",
    "_pytensor_ops",
    "distributions",
    "prior_distributions",
}  # typer, PyMC: that is their job
MAY_BE_HEAVY |= {"apps.speech", "cli.speech"}  # an estimator, and typer
MAY_BE_HEAVY |= {f"estimators.{name}" for name in ("density", "gaussian", "bayesian", "anomalies", "classifier")}


def floors(text: str) -> dict[str, int]:
    """Read module -> floor from the drawing in docs/architecture.md, lowest first."""
    drawing = re.search(r"```floors\n(.*?)```", text, re.DOTALL)
    assert drawing
    lines = drawing[1].strip().splitlines()
    return {module: floor for floor, line in enumerate(lines) for module in line.split()}


def imported(source: str, package: str = "bayesgmm") -> set[str]:
    """Modules of ours that a source imports, at run time or for types."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == package:
            inner = node.module.removeprefix(package).lstrip(".")
            whole = inner and inner not in PACKAGES
            found |= {inner} if whole else {f"{inner}.{a.name}".lstrip(".") for a in node.names}
            for function in ENTRANCES & {f"{inner}.{a.name}" for a in node.names}:
                found = (found - {function}) | {inner}
    return found


def modules() -> dict[str, Path]:
    folder = ROOT / "bayesgmm"
    names = {}
    for path in folder.rglob("*.py"):
        parts = path.relative_to(folder).with_suffix("").parts
        names[".".join(p for p in parts if p != "__init__")] = path
    names.pop("")
    return names


def climbs(drawn: dict[str, int], sources: dict[str, str]) -> list[str]:
    """Imports that do not go down."""
    return [
        f"{name} (floor {drawn[name]}) imports {other} (floor {drawn[other]})"
        for name, source in sources.items()
        for other in imported(source)
        if drawn[other] >= drawn[name]
    ]


def test_every_module_is_drawn():
    assert set(floors((ROOT / "docs/architecture.md").read_text())) == set(modules())


def test_imports_only_go_down():
    drawn = floors((ROOT / "docs/architecture.md").read_text())
    assert climbs(drawn, {name: path.read_text() for name, path in modules().items()}) == []


def test_the_layer_check_can_fail():
    drawn = {"stats": 1, "model": 2}
    assert climbs(drawn, {"stats": "from bayesgmm.model import MixtureModel", "model": ""})
    assert climbs(drawn, {"stats": "def f():\n    from bayesgmm import model", "model": ""})
    assert not climbs(drawn, {"stats": "", "model": "from bayesgmm.sweep.stats import fold"})


def top_level_imports(path: Path) -> set[str]:
    nodes = ast.parse(path.read_text()).body
    plain = {alias.name.split(".")[0] for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return plain | {node.module.split(".")[0] for node in nodes if isinstance(node, ast.ImportFrom) and node.module}


@pytest.mark.parametrize("name", sorted(set(modules()) - MAY_BE_HEAVY))
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
