"""The README's own examples run, with smaller problems; its links lead somewhere, its commands exist."""

import re
import warnings
from pathlib import Path

import matplotlib as mpl

import bayesgmm as bg
from notebooks import smaller

README = Path(__file__).parents[1] / "README.md"
FEWER = {
    'drop(columns="species")': 'drop(columns="species").iloc[::3, 1:]',
    "draws=1000, chains=4": "draws=100, chains=2",
    "n_components=[2, 3]": "n_components=[2]",
    "find_anomalies(X,": "find_anomalies(X, n_components=(1, 2),",
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
        exec(text, {})
    assert (tmp_path / "flowers.png").exists()


def test_the_files_and_pages_that_it_links_to_exist():
    links = re.findall(r"\]\(([^)#]+)\)", README.read_text())
    assert "docs/guides/index.md" in links
    assert [link for link in links if "://" not in link and not (README.parent / link).exists()] == []


def test_every_command_it_names_exists():
    from typer.main import get_command

    from bayesgmm.cli import app

    named = set(re.findall(r"^    bayesgmm (\w+)", README.read_text(), re.MULTILINE))
    assert named == set(get_command(app).commands)
