"""The pages of the documentation: their code runs, and their names are current and complete."""

import ast
import doctest
import functools
import importlib
import inspect
import re
import shlex
import sys
import warnings
from pathlib import Path

import matplotlib as mpl
import pytest

import bayesgmm as bg
from bayesgmm.apps.examples import write_examples
from notebooks import smaller
from tests.commands import run as command_line
from tests.test_readme import typed as typed_in_readme

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(path for path in DOCS.rglob("*.md") if not path.is_relative_to(DOCS / "_build"))
CELL = re.compile(r"^```\{code-cell\}\n(?::tags: \[(.*?)\]\n)?(.*?)^```$", re.DOTALL | re.MULTILINE)
MADE = "gallery/cards"  # made by the build, from what tests/cards/test_cards.py runs
RUN = {str(path.relative_to(DOCS)): path for path in PAGES if CELL.search(path.read_text())}
RUN = {name: path for name, path in RUN.items() if not name.startswith(MADE)}
PASS_ON = {"errors", "findings", "labels.relabelling", "inference", "inference.builder", "predictions.elicitation"}
PASS_ON |= {"apps.images.segmentation", "estimators.online"}  # they pass on what other modules say
PASS_ON |= {"data.tables", "apps.tables.anomaly_files"}
FEWER = {  # beside those of the course: they only make a page faster
    "thin=40": "thin=4",
    "n_points=50_000": "n_points=6_000",
    "batch_size=4096": "batch_size=1024",
    "sample=5000": "sample=1000",
    "draws=100, tune=200": "draws=30, tune=60",
    "n_components=[2, 3]": "n_components=[2]",
    "range(1, 6), [": "range(1, 3), [",
    "make_moons(400,": "make_moons(200,",
    "find_anomalies(changed,": "find_anomalies(changed, n_components=(1, 2),",
}


@pytest.fixture
def extension(monkeypatch):
    """A module of those that build the pages and need no Sphinx."""
    monkeypatch.syspath_prepend(str(DOCS / "extensions"))

    def load(name):
        sys.modules.pop(name, None)
        return importlib.import_module(name)

    return load


def cells(text):
    """The code of a page's cells, with their tags."""
    return [(code, set(tags.split(", ")) if tags else set()) for tags, code in CELL.findall(text)]


def fewer(text):
    """The text of a page with smaller problems."""
    for asked, less in FEWER.items():
        text = text.replace(asked, less)
    return smaller(text)


def run(text):
    """Run a page as one script, with smaller problems; a cell that warns of a fit must say so by its tag.

    As in a notebook, the figures of a cell are closed after it.
    """
    import matplotlib.pyplot as plt

    names = {}
    for code, tags in cells(fewer(text)):
        with warnings.catch_warnings():
            if "may-warn" in tags:
                code = code.replace("draws=500", "draws=150")
                warnings.simplefilter("ignore", bg.FitWarning)
            if "remove-stderr" in tags:
                warnings.simplefilter("ignore", UserWarning)
            exec(compile(code, "<cell>", "exec"), names)
        plt.close("all")


@pytest.mark.parametrize("name", RUN)
def test_the_code_on_a_page_runs(name, tmp_path, monkeypatch, undrawn, few_draws):
    mpl.use("Agg")
    monkeypatch.chdir(tmp_path)
    text = RUN[name].read_text()
    assert len(cells(text)) == text.count("```{code-cell}")  # none is passed over for how it is written
    run(text)


@pytest.mark.parametrize("asked", FEWER)
def test_every_smaller_problem_is_found_on_a_page(asked):
    assert any(asked in code for path in RUN.values() for code, _ in cells(path.read_text()))


def test_a_cell_that_warns_without_saying_so_is_seen():
    page = "```{code-cell}\nimport warnings, bayesgmm\nwarnings.warn('!', bayesgmm.FitWarning)\n```\n"
    with pytest.raises(bg.FitWarning):
        run(page)
    run(page.replace("{code-cell}\n", "{code-cell}\n:tags: [may-warn]\n"))


def headings(page):
    return set(re.findall(r"^#+ (.*)$", (DOCS / page).read_text(), re.MULTILINE))


def errors_of_ours():
    """Errors by their names, wherever they are defined: subclasses are included."""
    known = {name for name, thing in vars(bg.errors).items() if inspect.isclass(thing) and issubclass(thing, Exception)}
    for path in (ROOT / "bayesgmm").rglob("*.py"):
        for node in ast.walk(parsed(path)):
            if (
                isinstance(node, ast.ClassDef)
                and {base.id for base in node.bases if isinstance(base, ast.Name)} & known
            ):
                known.add(node.name)
    return known


def test_every_error_is_explained():
    assert {"BayesGMMError", "DataError", "FitWarning", "BrokenRecording"} <= errors_of_ours()
    assert errors_of_ours() - headings("messages.md") == set()


def test_every_check_is_explained():
    from bayesgmm.diagnosis import CHECKS

    assert set(CHECKS) - headings("messages.md") == set()


def texts(tree):
    """Every string of a module, f-strings with ``...`` for what is filled in."""
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(part.value if isinstance(part, ast.Constant) else "..." for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


@functools.cache
def parsed(path):
    return ast.parse(path.read_text())


def holds(text, phrase):
    """Whether a message can read like a phrase, whose ``...`` stand for anything."""
    at = 0
    for part in phrase.split("..."):
        at = text.find(part.strip(), at)
        if at < 0:
            return False
        at += len(part.strip())
    return True


def quoted():
    page = CELL.sub("", (DOCS / "messages.md").read_text())
    return {" ".join(text.split()) for text in re.findall(r'"([^"]+)"', page)}


def speakers():
    """The modules that warn or find, with their strings."""
    for path in sorted((ROOT / "bayesgmm").rglob("*.py")):
        name = ".".join(path.relative_to(ROOT / "bayesgmm").with_suffix("").parts).removesuffix(".__init__")
        tree = parsed(path)
        calls = {n.func.id for n in ast.walk(tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}
        if calls & {"warn", "Finding"} and name not in PASS_ON:
            yield name, list(texts(tree))


def test_every_module_that_warns_is_quoted():
    silent = [name for name, said in speakers() if not any(holds(s, q) for s in said for q in quoted() if len(q) > 8)]
    assert silent == []


def test_every_quoted_message_exists():
    said = [text for path in (ROOT / "bayesgmm").rglob("*.py") for text in texts(parsed(path))]
    assert [phrase for phrase in quoted() if not any(holds(text, phrase) for text in said)] == []


def test_every_plot_is_in_the_gallery():
    drawn = {name for name in bg.plots.__all__ if not name.endswith("_data")}
    assert headings("gallery/plots.md") - {"Every plot"} == drawn
    assert not (drawn - set(re.findall(r"bg\.plots\.(\w+)\(", (DOCS / "gallery/plots.md").read_text())))


def test_every_public_name_is_on_the_api_page(extension):
    api = extension("api_page")
    named = re.findall(r"^   ([\w.]+)$", api.page(), re.MULTILINE)
    assert len(named) == len(set(named))
    wanted = set(bg.__all__) - {"datasets", "errors", "model", "plots", "apps", "BayesGMMError", "FitWarning"}
    assert wanted <= set(named)
    assert {"plots.pairs", "errors.DataError", "datasets.iris", "apps.SpeechClassifier"} <= set(named)
    assert {path.rsplit(".", 1)[-1] for path in named if path.startswith("plots.")} == set(bg.plots.__all__)


def test_the_api_page_lists_new_names(extension, monkeypatch):
    monkeypatch.setattr(bg, "__all__", [*bg.__all__, "discover"])
    api = extension("api_page")
    assert "   discover" in api.page().split(api.FURTHER)[1]


def test_every_command_on_the_pages_exists():
    from typer.main import get_command

    from bayesgmm.cli import app

    root = get_command(app)
    wrong = []
    for path in PAGES:
        for line in re.findall(r"^bayesgmm .*$", path.read_text(), re.MULTILINE):
            words, command = shlex.split(line, comments=True)[1:], root
            while words and words[0] in getattr(command, "commands", {}):
                command = command.commands[words.pop(0)]
            known = {option for p in command.params for option in p.opts}
            wrong += [line for word in words if re.match(r"--?[a-z]", word) and word not in known]
            wrong += [line] if hasattr(command, "commands") and command is root else []
    assert wrong == []


def typed(name):
    """The lines of a guide that are typed at a terminal, without those that README's test runs and none reads."""
    lines = re.findall(r"^bayesgmm .*$", (DOCS / "guides" / name).read_text(), re.MULTILINE)
    again = [line for line in typed_in_readme() if line.split()[1] not in ("fit", "speech")]
    return [line for line in lines if line not in again]


@pytest.mark.parametrize("name", ["terminal.md", "missing.md", "known_labels.md", "noise.md"])
def test_the_lines_of_a_guide_run_as_typed_where_the_demo_has_run(name, tmp_path, monkeypatch, undrawn, few_draws):
    monkeypatch.setattr("webbrowser.open", lambda address: True)
    write_examples(tmp_path)
    failed = {}
    for line in typed(name):
        command, _, target = line.partition(" > ")
        done = command_line(*shlex.split(command, comments=True)[1:], cwd=tmp_path)
        if target:
            (tmp_path / target).write_text(done.stdout)
        if done.returncode:
            failed[line] = done.stderr
    assert failed == {}


def test_lessons_are_copied_and_removed_again(extension, tmp_path):
    course, notebooks = extension("course"), tmp_path / "notebooks"
    notebooks.mkdir()
    course.borrow(notebooks, tmp_path / "course")
    assert "toctree" not in (tmp_path / "course/index.md").read_text()
    (notebooks / "01_first.ipynb").write_text("{}")
    course.borrow(notebooks, tmp_path / "course")
    assert "\n01_first\n" in (tmp_path / "course/index.md").read_text()
    (notebooks / "01_first.ipynb").unlink()
    course.borrow(notebooks, tmp_path / "course")
    assert not list((tmp_path / "course").glob("*.ipynb"))


def test_every_card_has_a_page(extension, tmp_path):
    extension("card_pages").write(tmp_path)
    assert {path.stem for path in (tmp_path / "cards").glob("*.md")} == set(bg.model.cards())
    gallery = (tmp_path / "cards.md").read_text()
    for name in bg.model.cards():
        page = (tmp_path / f"cards/{name}.md").read_text()
        assert f"\ncards/{name}\n" in gallery
        assert f'bg.run_card("{name}"' in page
        assert "{code-cell}\n:tags: [remove-stderr, may-warn]\n\nbg.plots." in page  # its figures, with their code
        assert "$$" in page
        assert "```text" not in page  # formulas are typeset


def test_links_that_lead_nowhere_are_noticed(extension, tmp_path):
    pytest.importorskip("sphinx")
    links = extension("links")
    (tmp_path / "a.html").write_text('<a href="b.html#here">1</a><a href="b.html#there">2</a><img src="c.png?v=1">')
    (tmp_path / "b.html").write_text('<h1 id="here">B</h1><a href="https://example.org/none">3</a><a href="#no">4</a>')
    assert list(links.dead(tmp_path)) == ["a.html: b.html#there", "a.html: c.png?v=1", "b.html: #no"]


def test_messages_of_the_theme_s_scripts_are_removed(extension, tmp_path):
    pytest.importorskip("sphinx")
    scripts = tmp_path / "_static/scripts"
    scripts.mkdir(parents=True)
    (scripts / "pydata.js").write_text(
        'a(),console.log(`[PST]: ${b} mode.`),console.info("[PST] c");console.error("d")'
    )
    extension("offline").tidy(tmp_path)
    assert (scripts / "pydata.js").read_text() == 'a(),void 0,void 0;console.error("d")'


def test_a_warning_on_a_page_shows_no_path(extension, monkeypatch):
    monkeypatch.setattr(warnings, "formatwarning", warnings.formatwarning)
    extension("startup")
    assert warnings.formatwarning("Too few.", bg.FitWarning, "/tmp/ipykernel_1/2.py", 3) == "FitWarning: Too few.\n"


@pytest.mark.parametrize("name", ["mathml", "offline", "card_pages", "alt_texts", "api_links", "links"])
def test_the_examples_of_what_builds_the_pages_hold(name, extension):
    if name != "card_pages":  # the others import Sphinx
        pytest.importorskip("sphinx")
    tried = doctest.testmod(extension(name))
    assert tried.attempted
    assert not tried.failed


@pytest.mark.parametrize("name", ["scikit_learn", "mclust", "pymc", "arviz"])
def test_who_comes_from_another_tool_finds_the_five_tasks(name):
    """Fit, plot, the uncertainty of clusters, the number of components, save: each beside the other tool's call."""
    rows = [line.split(" | ") for line in (DOCS / f"guides/{name}.md").read_text().splitlines() if line.startswith("|")]
    calls = " ".join(row[-1] for row in rows)
    wanted = ("bg.fit(", "bg.plots.", "bg.assignments", "bg.select(", "bg.save(")
    assert [call for call in wanted if call not in calls] == []


def test_small_pictures_and_names_lead_to_their_places(extension, tmp_path):
    """A small site, built with the two extensions."""
    pytest.importorskip("myst_parser")
    from sphinx.application import Sphinx
    from sphinx.util.docutils import docutils_namespace

    (tmp_path / "conf.py").write_text(
        'extensions = ["myst_parser", "thumbnails", "api_links"]\ntoc_object_entries = False\n'
    )
    (tmp_path / "dot.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg"/>')
    (tmp_path / "plots.md").write_text("# Plots\n\n## first\n\n![a](dot.svg)\n\n## second\n\n![b](dot.svg)\n")
    (tmp_path / "names.rst").write_text(
        "Names\n=====\n\n.. py:function:: bayesgmm.select\n.. py:function:: bayesgmm.fit\n"
    )
    grid = "```{thumbnails}\n:sections:\n\nplots\n```\n\n```{thumbnails}\nplots\n```\n\n"
    words = "`bg.select(X)`, `select`, `fit`, `a = bg.fit(X)`, `b = select(X)`, `[c](plots.md)`\n"
    (tmp_path / "index.md").write_text(f"# All\n\n{grid}{words}\n```{{toctree}}\nplots\nnames\n```\n")
    with docutils_namespace():
        app = Sphinx(
            tmp_path, tmp_path, tmp_path / "html", tmp_path / "trees", "html", status=None, warningiserror=True
        )
        app.build()
    page = (tmp_path / "html/index.html").read_text()
    shown = re.findall(r'href="(plots.html[^"]*)"><img alt="" src="_images/dot.svg" /><span>(\w+)</span>', page)
    assert shown == [("plots.html#first", "first"), ("plots.html#second", "second"), ("plots.html", "Plots")]
    assert re.findall(r'href="names.html#bayesgmm.(\w+)"><code', page) == ["select", "select", "fit"]
