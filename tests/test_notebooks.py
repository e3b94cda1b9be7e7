"""The course: every notebook runs, its solutions too, without an unintended warning; outputs are not stored.

The cells run in this process, where everything is imported and compiled already: a kernel for each notebook takes five
seconds to start. One notebook runs in a kernel, as ``python -m notebooks`` runs them all.
"""

import re
import tempfile
import warnings

import matplotlib as mpl
import nbformat
import pytest

import bayesgmm as bg
from notebooks import COURSE, SMALLER, execute, prepared, smaller, solutions

EACH = pytest.mark.parametrize("path", COURSE, ids=lambda path: path.stem)
IN_A_KERNEL = "06_decisions"


def draw_all(*args, **settings):
    """In place of ``plt.show``: every figure is drawn, of few dots, and closed; return their number."""
    import matplotlib.pyplot as plt

    numbers = plt.get_fignums()
    for number in numbers:
        figure = plt.figure(number)
        figure.dpi = 40
        figure.canvas.draw()
    plt.close("all")
    return len(numbers)


def run(notebook):
    """Run the cells as one script; a fit of few draws may warn, nothing else. Return the names, and what was drawn."""
    names, drawn = {"__name__": "__main__"}, 0
    with warnings.catch_warnings(), mpl.rc_context():
        for number, cell in enumerate(notebook.cells):
            if cell.cell_type == "code":
                warnings.filterwarnings("ignore", category=bg.FitWarning)
                exec(compile(cell.source, f"<cell {number}>", "exec"), names)
                drawn += draw_all()
    for value in names.values():
        if isinstance(value, tempfile.TemporaryDirectory):  # a kernel removes it when it ends
            value.cleanup()
    return names, drawn


def warned(notebook):
    """Return what cells wrote to stderr, and warnings among their results (rich shows them there)."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    shown = [output.data.get("text/plain", "") for output in outputs if "data" in output]
    written = [output.text for output in outputs if output.output_type == "stream" and output.name == "stderr"]
    return written + [text for text in shown if "Warning:" in text]


def test_there_are_eight():
    assert [path.name[:2] for path in COURSE] == [f"0{n}" for n in range(1, 9)]


@pytest.mark.parametrize("path", [path for path in COURSE if path.stem != IN_A_KERNEL], ids=lambda path: path.stem)
def test_it_runs_with_its_solutions(path, monkeypatch):
    """Few draws: warnings about short chains are allowed, all other warnings fail."""
    mpl.use("Agg")
    monkeypatch.chdir(path.parent)
    shown = []
    monkeypatch.setattr("matplotlib.pyplot.show", lambda *args, **settings: shown.append(draw_all()))
    names, drawn = run(prepared(path, fast=True))
    assert names["DRAWS"] <= 100  # smaller problems were run, to the end, and drawn
    assert drawn + sum(shown) > 0


@pytest.mark.filterwarnings("ignore:.*:DeprecationWarning")  # of Jupyter's own event loop
def test_it_runs_in_a_kernel():
    (path,) = (path for path in COURSE if path.stem == IN_A_KERNEL)
    said = warned(execute(path, fast=True))
    assert not [text for text in said if "FitWarning" not in text]


@pytest.mark.filterwarnings("ignore:.*:DeprecationWarning")
def test_each_plot_of_a_notebook_is_shown(tmp_path):
    cells = [
        "import bayesgmm as bg\nx = [[0.0], [1.0], [2.0], [9.0], [11.0]]",
        "fit = bg.fit(bg.MixtureModel(2), x, 'map', progress=False)",
        "DRAWS = 1\nbg.plots.density(fit);",
        "bg.plots.weights(fit);",
    ]
    written = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code) for code in cells])
    nbformat.write(written, tmp_path / "two.ipynb")
    done = execute(tmp_path / "two.ipynb")
    assert [["image/png" in output.get("data", {}) for output in cell.outputs] for cell in done.cells[2:]] == [
        [True]
    ] * 2


@pytest.mark.parametrize("code", ["1 / 0", "import warnings; warnings.warn('!', UserWarning)"])
def test_a_cell_that_fails_or_warns_is_noticed(code):
    with pytest.raises((ZeroDivisionError, UserWarning)):
        run(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)]))


def test_a_figure_that_cannot_be_drawn_is_noticed():
    code = "import matplotlib.pyplot as plt; plt.title(r'$\\frac{1}{$')"
    with pytest.raises(ValueError, match="frac"):
        run(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)]))


@EACH
def test_it_is_stored_without_outputs(path):
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    assert not [cell.source for cell in cells if cell.outputs or cell.execution_count or cell.source.strip() == ""]


@EACH
def test_it_has_one_title_exercises_with_solutions_and_links_that_lead_somewhere(path):
    text = "\n".join(c.source for c in nbformat.read(path, as_version=4).cells if c.cell_type == "markdown")
    assert len(re.findall(r"^# ", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)) == 1
    exercises = re.findall(r"^\*\*\d\.\*\*", text, re.MULTILINE)
    assert len(exercises) == text.count("<details>") == text.count("</details>") > 1
    assert set(re.findall(r"\]\(([^)#]+\.ipynb)\)", text)) <= {p.name for p in COURSE}


@EACH
def test_fast_means_few_draws_and_the_solutions(path):
    whole, quick = prepared(path, fast=False), prepared(path, fast=True)
    assert len(quick.cells) == len(whole.cells) + 1 + len(solutions(whole)) > len(whole.cells) + 2
    assert "DRAWS = " in next(cell.source for cell in whole.cells if cell.cell_type == "code")


@pytest.mark.parametrize("pattern", SMALLER)
def test_every_smaller_problem_is_found_in_a_notebook(pattern):
    whole = [prepared(path, fast=False) for path in COURSE]
    texts = [cell.source for notebook in whole for cell in notebook.cells if cell.cell_type == "code"]
    texts += [code for notebook in whole for code in solutions(notebook)]
    assert any(re.search(pattern, text) and smaller(text) != text for text in texts)


def test_a_notebook_that_fails_is_noticed(tmp_path):
    from nbclient.exceptions import CellExecutionError

    broken = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("DRAWS = 1\n1 / 0")])
    nbformat.write(broken, tmp_path / "broken.ipynb")
    with pytest.raises(CellExecutionError, match="ZeroDivisionError"):
        execute(tmp_path / "broken.ipynb")
