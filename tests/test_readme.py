"""The README's own examples run as they stand."""

import re
import warnings
from pathlib import Path

import matplotlib as mpl

import bayesgmm as bg

README = Path(__file__).parents[1] / "README.md"


def test_the_python_examples_run(tmp_path, monkeypatch):
    mpl.use("Agg")
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert len(blocks) >= 2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bg.FitWarning)
        exec("\n".join(blocks), {})
    assert (tmp_path / "flowers.png").exists()


def test_the_card_example_is_a_card(tmp_path):
    (text,) = re.findall(r"```toml\n(.*?)```", README.read_text(), re.DOTALL)
    (tmp_path / "card.toml").write_text(text)
    assert bg.load_card(tmp_path / "card.toml").mixture.n_components == 3


def test_its_table_of_cards_is_the_gallery():
    rows = re.findall(
        r"^\| (`\w+`(?:, `\w+`)*) \|", README.read_text().split("| card |")[1].split("```")[0], re.MULTILINE
    )
    assert sorted(re.findall(r"\w+", " ".join(rows))) == sorted(bg.model.cards())


def test_every_command_it_names_exists():
    from typer.main import get_command

    from bayesgmm.cli import app

    named = set(re.findall(r"^    bayesgmm (\w+)", README.read_text(), re.MULTILINE))
    assert named == set(get_command(app).commands)
