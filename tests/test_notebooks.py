"""The course: every notebook runs, its solutions too, without a warning that nobody meant; outputs are not stored."""

import re

import nbformat
import pytest

from notebooks import COURSE, execute, prepared, solutions

EACH = pytest.mark.parametrize("path", COURSE, ids=lambda path: path.stem)


def warned(notebook):
    """What cells wrote to stderr, and what was shown as if it were an answer (rich does so) but is a warning."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    shown = [output.data.get("text/plain", "") for output in outputs if "data" in output]
    written = [output.text for output in outputs if output.output_type == "stream" and output.name == "stderr"]
    return written + [text for text in shown if "Warning:" in text]


def test_there_are_eight():
    assert [path.name[:2] for path in COURSE] == [f"0{n}" for n in range(1, 9)]


@EACH
@pytest.mark.filterwarnings("ignore:.*:DeprecationWarning")  # of Jupyter's own event loop
def test_it_runs_with_its_solutions(path):
    """Few draws; a chain that is too short for its R-hat may say so, all else that warns fails."""
    said = warned(execute(path, fast=True))
    assert not [text for text in said if "FitWarning" not in text]


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


def test_a_notebook_that_fails_is_noticed(tmp_path):
    from nbclient.exceptions import CellExecutionError

    broken = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("DRAWS = 1\n1 / 0")])
    nbformat.write(broken, tmp_path / "broken.ipynb")
    with pytest.raises(CellExecutionError, match="ZeroDivisionError"):
        execute(tmp_path / "broken.ipynb")
