"""Checks of a release, each in an environment of its own that is removed afterwards: ``make`` has a target for each.

They run with the Python that runs nox; ``--force-python 3.14`` takes another one that is installed. Arguments after
``--`` are tests to run instead of all.
"""

import shutil
import tomllib
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory

import nox

ROOT = Path(__file__).parent
GROUPS = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
BESIDE = ("pyproject.toml", "tests", "notebooks", "benchmarks", "docs", "models")  # what tests of the wheel read
WHEEL = (
    "tests/test_declaration.py",
    "tests/test_files.py",
    "tests/data",
    "tests/posterior",
    "tests/inference/test_conjugate.py",
    "tests/predictions/test_answers.py",
    "tests/cards/test_cards.py",
    "tests/cli/test_cli.py",
)  # what a wheel could lack: cards, the glossary, templates, the command
LARGE = 15  # packages that are listed

nox.options.default_venv_backend = "uv"
nox.options.sessions = ["newest"]


def run_tests(session: nox.Session, *settings: str) -> None:
    """Run tests with a cache of compiled code of their own: other versions of numba would replace that of ``.venv``."""
    cache = Path(session.create_tmp(), "compiled")
    session.run(
        "python", "-m", "pytest", "-n", "auto", *settings, *session.posargs, env={"NUMBA_CACHE_DIR": str(cache)}
    )


@nox.session
def newest(session: nox.Session) -> None:
    """Run the tests with the newest versions of all dependencies."""
    session.install("--upgrade", "-e", ".[all]", *GROUPS["dev"])
    run_tests(session)


@nox.session
def lowest(session: nox.Session) -> None:
    """Run the tests with the lowest versions that pyproject.toml allows, of those that have wheels.

    Such versions meet newer ones of their own dependencies, which deprecate what they call: that is not an error here.
    """
    wheels = ("--only-binary", ":all:", "--no-binary", "bayesgmm")
    session.install("--resolution", "lowest-direct", *wheels, "-e", ".[all]", *GROUPS["dev"])
    run_tests(session, "-W", "ignore::DeprecationWarning")


@nox.session
def wheel(session: nox.Session) -> None:
    """Build the distributions, check them, and run tests of the wheel in an environment outside the repository."""
    shutil.rmtree(ROOT / "dist", ignore_errors=True)
    session.install("build[uv]", "twine", "check-wheel-contents")
    session.run("python", "-m", "build", "--installer", "uv")
    built = sorted(map(str, (ROOT / "dist").iterdir()))
    session.run("twine", "check", "--strict", *built)
    session.run("check-wheel-contents", *[name for name in built if name.endswith(".whl")])
    session.install(*[f"bayesgmm[all] @ {Path(name).as_uri()}" for name in built if name.endswith(".whl")])
    session.install(*GROUPS["dev"])
    with TemporaryDirectory() as folder:
        for name in BESIDE:
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
            copy(ROOT / name, Path(folder, name))
        session.chdir(folder)
        run_tests(session, *(() if session.posargs else WHEEL))
        session.chdir(ROOT)


@nox.session
def sizes(session: nox.Session) -> None:
    """Show the number and the sizes of the packages that a plain ``pip install bayesgmm`` brings."""
    session.install(".")
    where = "import sysconfig; print(sysconfig.get_path('purelib'))"
    found = metadata.distributions(path=[session.run("python", "-c", where, silent=True).strip()])
    megabytes = {one.name: sum(map(_bytes, one.files or [])) / 1e6 for one in found}
    for name, size in sorted(megabytes.items(), key=lambda item: -item[1])[:LARGE]:
        print(f"{size:7.1f} MB  {name}")
    print(f"{sum(megabytes.values()):7.1f} MB  all {len(megabytes)} packages")


def _bytes(file: metadata.PackagePath) -> int:
    """Return the size of an installed file; bytecode is not counted, because installers may leave it out."""
    path = Path(file.locate())
    return path.stat().st_size if path.is_file() and path.suffix != ".pyc" else 0
