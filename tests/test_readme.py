"""The README's own examples run, with smaller problems; its links lead somewhere, its commands exist."""

import json
import re
import shlex
import warnings
from pathlib import Path

import matplotlib as mpl

import bayesgmm as bg
from notebooks import smaller
from tests.commands import run

README = Path(__file__).parents[1] / "README.md"
FEWER = {
    'drop(columns="species")': 'drop(columns="species").iloc[::3, 1:]',
    "draws=1000, chains=4": "draws=200, chains=2",
    "n_components=[2, 3]": "n_components=[2]",
    "find_anomalies(readings,": "find_anomalies(readings, n_components=(1, 2),",
}


def test_the_python_examples_run(tmp_path, monkeypatch, undrawn):
    mpl.use("Agg")
    monkeypatch.setitem(mpl.rcParams, "savefig.dpi", 30)
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert len(blocks) >= 2
    text = smaller("\n".join(blocks))
    for asked, less in FEWER.items():
        assert asked in text
        text = text.replace(asked, less)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bg.FitWarning)
        exec(text, names := {})
    assert (tmp_path / "flowers.png").exists()
    assert len(names["found"].flagged)  # the examples show something
    reasons = bg.explain_anomalies(names["robust"], names["odd"])["reason"].values
    assert [reason.startswith("petal_length 13") for reason in reasons] == [False, False, True, False, False]


def typed():
    """The lines of README that are typed at a terminal, without their comments; those that change a shell are left."""
    lines = re.findall(r"^    ((?:bayesgmm|cd) .*)$", README.read_text(), re.MULTILINE)
    return [line.partition(" #")[0].strip() for line in lines if "--install-completion" not in line]


def picked(document, path):
    """The part of a JSON document that a path of jq names."""
    for name, number in re.findall(r"\.(\w+)(?:\[(\d+)\])?", path):
        document = document[name][int(number)] if number else document[name]
    return document


def test_the_lines_for_a_terminal_run_as_typed_in_an_empty_folder(tmp_path, monkeypatch, undrawn, few_draws):
    monkeypatch.setitem(mpl.rcParams, "savefig.dpi", 30)
    monkeypatch.setattr("webbrowser.open", lambda address: True)
    monkeypatch.setattr("bayesgmm.warmup.warm_up", lambda: 1)
    failed, folder = {}, tmp_path
    for line in typed():
        command, _, path = line.partition(" | jq ")
        words = shlex.split(command)
        if words[0] == "cd":
            folder = folder / words[1]
            continue
        done = run(*words[1:], cwd=folder)
        if done.returncode:
            failed[line] = done.stderr
        if path:
            assert picked(json.loads(done.stdout), shlex.split(path)[0])
    assert failed == {}
    assert len((folder / "flagged.csv").read_text().splitlines()) > 1  # the examples show something
    assert "True" in (folder / "scores.csv").read_text()


def test_the_files_and_pages_that_it_links_to_exist():
    links = re.findall(r"\]\(([^)#]+)\)", README.read_text())
    assert "docs/guides/index.md" in links
    assert [link for link in links if "://" not in link and not (README.parent / link).exists()] == []


def test_every_command_it_names_exists():
    from typer.main import get_command

    from bayesgmm.cli import app

    named = set(re.findall(r"^    bayesgmm (\w[\w-]*)", README.read_text(), re.MULTILINE))
    assert named == set(get_command(app).commands)
