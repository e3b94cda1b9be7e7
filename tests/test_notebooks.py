"""The course: every notebook runs, its solutions too, without an unintended warning; each figure has a caption.

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
CAPTION = "*Figure.* "  # of the cell after a figure: what it shows, for readers who hear it
FOLDED = [("Hint", ""), ("", "</details>"), ("Solution", ""), ("", "</details>")]
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
    """Run the cells as one script; a fit of few draws may warn, nothing else.

    Return the names, and the numbers of the cells that drew a figure.
    """
    names, pictures, shown = {"__name__": "__main__"}, [], []
    with warnings.catch_warnings(), mpl.rc_context(), pytest.MonkeyPatch.context() as patch:
        patch.setattr("matplotlib.pyplot.show", lambda *args, **settings: shown.append(draw_all()))
        for number, cell in enumerate(notebook.cells):
            if cell.cell_type == "code":
                warnings.filterwarnings("ignore", category=bg.FitWarning)
                exec(compile(cell.source, f"<cell {number}>", "exec"), names)
                pictures += [number] if draw_all() + sum(shown) else []
                shown.clear()
    for value in names.values():
        if isinstance(value, tempfile.TemporaryDirectory):  # a kernel removes it when it ends
            value.cleanup()
    return names, pictures


def without_caption(notebook, pictures):
    """Cells with a figure or an animation that the next cell does not describe; solutions, at the end, need none."""
    first = next(number for number, cell in enumerate(notebook.cells) if "<details>" in cell.source)
    animated = [number for number, cell in enumerate(notebook.cells) if "to_jshtml" in cell.source]
    shown = {number for number in [*pictures, *animated] if number < first}
    assert shown
    return [notebook.cells[n].source for n in shown if not notebook.cells[n + 1].source.startswith(CAPTION)]


def warned(notebook):
    """Return what cells wrote to stderr, and warnings among their results (rich shows them there)."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    shown = [output.data.get("text/plain", "") for output in outputs if "data" in output]
    written = [output.text for output in outputs if output.output_type == "stream" and output.name == "stderr"]
    return written + [text for text in shown if "Warning:" in text]


def test_there_are_ten():
    assert [path.name[:2] for path in COURSE] == [f"{n:02d}" for n in range(1, 11)]


@pytest.mark.parametrize("path", [path for path in COURSE if path.stem != IN_A_KERNEL], ids=lambda path: path.stem)
def test_it_runs_with_its_solutions_and_describes_its_figures(path, monkeypatch):
    """Few draws: warnings about short chains are allowed, all other warnings fail."""
    mpl.use("Agg")
    monkeypatch.chdir(path.parent)
    notebook = prepared(path, fast=True)
    names, pictures = run(notebook)
    assert names["DRAWS"] <= 100  # smaller problems were run, to the end, and drawn
    assert without_caption(notebook, pictures) == []


@pytest.mark.filterwarnings("ignore:.*:DeprecationWarning")  # of Jupyter's own event loop
def test_it_runs_in_a_kernel():
    (path,) = (path for path in COURSE if path.stem == IN_A_KERNEL)
    done = execute(path, fast=True)
    assert not [text for text in warned(done) if "FitWarning" not in text]
    pictures = [
        n for n, cell in enumerate(done.cells) if any("image/png" in o.get("data", {}) for o in cell.get("outputs", []))
    ]
    assert without_caption(done, pictures) == []


def test_a_figure_without_a_caption_is_noticed():
    new = nbformat.v4
    plots = [new.new_code_cell("plot"), new.new_code_cell("plot")]
    texts = [new.new_markdown_cell(f"{CAPTION}A line."), new.new_markdown_cell("Now, exercises: <details>")]
    notebook = new.new_notebook(cells=[plots[0], texts[0], plots[1], texts[1]])
    assert without_caption(notebook, [0, 2]) == ["plot"]


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
    exercises = re.split(r"^\*\*\d\.\*\*", text, flags=re.MULTILINE)[1:]
    assert len(exercises) > 1
    for exercise in exercises:  # a task, a hint, a solution
        assert re.findall(r"<details><summary>(\w+)</summary>|(</details>)", exercise) == FOLDED
        task, hint, solution = re.split(r"<details><summary>\w+</summary>", exercise)
        assert all(len(part.removesuffix("</details>").split()) > 4 for part in (task, hint, solution))
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
