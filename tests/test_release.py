"""A release could be made today: its files are valid and agree with each other, and old names work."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from hatchling.metadata.core import ProjectMetadata
from hatchling.plugin.manager import PluginManager
from packaging.requirements import Requirement
from packaging.version import Version
from trove_classifiers import classifiers

import bayesgmm as bg
from bayesgmm.renamed import RENAMED, Renamed
from hatch_build import for_index

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
WORKFLOWS = sorted((ROOT / ".github/workflows").iterdir())
VALID = {
    "citation-file-format": [ROOT / "CITATION.cff"],
    "github-workflows": WORKFLOWS,
    "github-issue-forms": sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("*.yaml")),
    "github-issue-config": [ROOT / ".github/ISSUE_TEMPLATE/config.yml"],
}
ON_CONDA = {
    "matplotlib": "matplotlib-base",
    "pymc": "pymc-base",
}  # there, the plain names bring a compiler and a window
HOME = "https://code.example/mixtures"


def check(schema, *files):
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}", *map(str, files)]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.mark.parametrize("schema", VALID)
def test_files_that_a_host_reads_are_valid(schema):
    done = check(schema, *VALID[schema])
    assert done.returncode == 0, done.stdout


def test_a_file_that_is_not_valid_is_seen(tmp_path):
    bad = tmp_path / "CITATION.cff"
    bad.write_text((ROOT / "CITATION.cff").read_text().replace("authors:", "writers:"))
    assert check("citation-file-format", bad).returncode == 1


def test_the_citation_describes_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {key: citation[key] for key in ("title", "version", "license", "keywords")} == {
        "title": PROJECT["name"],
        "version": PROJECT["version"],
        "license": PROJECT["license"],
        "keywords": PROJECT["keywords"],
    }
    assert citation["authors"] == PROJECT["authors"]


def test_the_changelog_has_the_form_of_keep_a_changelog():
    headings = re.findall(r"^(##+) (.*)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    versions = [text for level, text in headings if level == "##"]
    assert all(re.fullmatch(r"\[\d+\.\d+\.\d+\] - (Unreleased|\d{4}-\d\d-\d\d)", text) for text in versions)
    assert versions[0].startswith(f"[{PROJECT['version']}]")
    kinds = {text for level, text in headings if level == "###"}
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_the_conda_recipe_needs_what_the_package_needs():
    recipe = yaml.safe_load((ROOT / "recipe/recipe.yaml").read_text())
    needed = {Requirement(text) for text in recipe["requirements"]["run"]}
    ours = {Requirement(text) for text in PROJECT["dependencies"]}
    renamed_there = {Requirement(f"{ON_CONDA.get(one.name, one.name)}{one.specifier}") for one in ours}
    assert needed == renamed_there | {Requirement(f"python{PROJECT['requires-python']}")}
    assert recipe["context"]["version"] == PROJECT["version"]


def test_the_tested_versions_are_allowed():
    lines = (ROOT / "constraints.txt").read_text().split()
    pinned = {name.lower().replace("_", "-"): version for name, version in (line.split("==") for line in lines)}
    extras = [text for texts in PROJECT["optional-dependencies"].values() for text in texts]
    for need in map(Requirement, [*PROJECT["dependencies"], *extras]):
        assert need.name == PROJECT["name"] or pinned[need.name.lower()] in need.specifier


def test_the_pythons_of_the_workflow_are_those_of_the_package_index():
    named = {text.split(" :: ")[-1] for text in PROJECT["classifiers"] if text.startswith("Programming Language")}
    jobs = yaml.safe_load((ROOT / ".github/workflows/tests.yaml").read_text())["jobs"]
    assert {name for name in named if "." in name} == set(jobs["newest"]["strategy"]["matrix"]["python"])


def commands():
    """What the workflows run."""
    jobs = [job for path in WORKFLOWS for job in yaml.safe_load(path.read_text())["jobs"].values()]
    return [step["run"] for job in jobs for step in job.get("steps", []) if "run" in step]


def test_workflows_run_what_can_be_run_here():
    targets = re.findall(r"^([a-z-]+(?: [a-z-]+)*):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    known = {f"make {name}" for names in targets for name in names.split()} | {"bash .ci/run"}
    sessions = re.findall(r"^@nox\.session\ndef (\w+)", (ROOT / "noxfile.py").read_text(), re.MULTILINE)
    known |= {f"python -m nox -s {name}" for name in sessions}
    known |= {"python -m pip install --upgrade pip", "python -m pip install --group release"}
    unknown = set(commands()) - known
    assert [command.split()[0] for command in unknown] == ["test"]  # that the tag is the version


@pytest.mark.skipif(not shutil.which("actionlint"), reason="actionlint is not installed")
def test_actionlint_accepts_the_workflows():
    subprocess.run(["actionlint", *WORKFLOWS], cwd=ROOT, check=True)


def metadata(home, monkeypatch):
    """Metadata of a release that is built where the repository has an address."""
    monkeypatch.setenv("BAYESGMM_HOME", home)
    return ProjectMetadata(str(ROOT), PluginManager()).core


def test_only_a_repository_with_an_address_gives_it_to_its_releases(monkeypatch):
    assert metadata("", monkeypatch).urls == {}
    assert metadata(HOME, monkeypatch).urls["Source"] == HOME
    assert f"({HOME}/raw/v{PROJECT['version']}/docs/iris.png)" in metadata(HOME, monkeypatch).readme
    assert HOME not in metadata("", monkeypatch).readme


def test_the_classifiers_exist():
    assert set(PROJECT["classifiers"]) <= classifiers


def links(text):
    return re.findall(r"\]\(([^)]+)\)", text)


def test_on_a_package_index_all_links_of_readme_lead_to_the_tag():
    text = (ROOT / "README.md").read_text()
    shown = for_index(text, HOME, "v0.1.0")
    assert len(links(shown)) == len(links(text))
    assert all(link.startswith("https://") for link in links(shown))
    ours = [link.removeprefix(HOME) for link in links(shown) if link.startswith(HOME)]
    places = {re.fullmatch(r"/(raw|blob)/v0\.1\.0/([^#]+)(#.*)?", link)[2] for link in ours}
    assert all((ROOT / place).exists() for place in places)
    pictures = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", shown)
    assert pictures
    assert all(link.startswith(f"{HOME}/raw/v0.1.0/docs/") for link in pictures)


def test_without_an_address_readme_has_no_link_into_the_repository():
    shown = for_index((ROOT / "README.md").read_text(), "", "v0.1.0")
    assert "![" not in shown
    assert all(link.startswith("https://") for link in links(shown))
    assert "Terms are defined in the glossary." in shown


@pytest.fixture
def select_was_choose(monkeypatch):
    """As if ``select`` had been called ``choose``."""
    monkeypatch.setitem(RENAMED, "bayesgmm.choose", Renamed("select", "9.0"))
    monkeypatch.setitem(RENAMED, "bayesgmm.plots.scatter", Renamed("pairs", "9.0"))
    monkeypatch.setitem(RENAMED, "bayesgmm.datasets.flowers", Renamed("iris", "9.0"))
    monkeypatch.setitem(RENAMED, "bayesgmm.apps.cluster", Renamed("cluster_table", "9.0"))


def test_an_old_name_works_and_warns_where_it_is_used(select_was_choose):
    with pytest.warns(FutureWarning, match=r"bayesgmm\.choose is now bayesgmm\.select.* version 9\.0") as said:
        assert bg.choose is bg.select
    with pytest.warns(FutureWarning, match="select") as imported:
        exec("from bayesgmm import choose", {})
    assert said[0].filename == __file__
    assert imported[0].filename == "<string>"


@pytest.mark.parametrize(("module", "old", "new"), [("plots", "scatter", "pairs"), ("datasets", "flowers", "iris")])
def test_old_names_of_submodules_work(select_was_choose, module, old, new):
    with pytest.warns(FutureWarning, match=f"bayesgmm.{module}.{new}"):
        assert getattr(getattr(bg, module), old) is getattr(getattr(bg, module), new)
    with pytest.warns(FutureWarning, match=r"apps\.cluster_table"):
        assert bg.apps.cluster is bg.apps.cluster_table


@pytest.mark.parametrize("module", [bg, bg.apps, bg.plots, bg.datasets], ids=lambda module: module.__name__)
def test_other_names_are_errors_as_everywhere(module):
    with pytest.raises(AttributeError, match="nothing_like_it"):
        module.nothing_like_it  # noqa: B018


def test_old_names_go_in_time():
    overdue = [old for old, new in RENAMED.items() if Version(new.removed_in) <= Version(PROJECT["version"])]
    assert overdue == []
    modules = {old.rpartition(".")[0] for old in RENAMED}
    assert modules <= {f"bayesgmm{name}" for name in ("", ".apps", ".plots", ".datasets")}
