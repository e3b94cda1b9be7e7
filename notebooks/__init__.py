"""The course, as files that can be executed: by ``python -m notebooks``, by the tests, by whoever shows it."""

import re
from pathlib import Path

import nbformat
from nbclient import NotebookClient

HERE = Path(__file__).parent
COURSE = sorted(HERE.glob("[0-9]*.ipynb"))
SECONDS = 600  # for one cell, before it is given up
FEW = "DRAWS = 60"  # in place of what the first code cell says, when only the code is on trial


def solutions(notebook):
    """The code of the solutions, which readers see folded away."""
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    return re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def prepared(path, fast):
    """A notebook as it is written; or, fast, with few draws and its solutions as further cells."""
    notebook = nbformat.read(path, as_version=4)
    if fast:
        first = next(n for n, cell in enumerate(notebook.cells) if cell.cell_type == "code")
        notebook.cells.insert(first + 1, nbformat.v4.new_code_cell(FEW))
        notebook.cells += [nbformat.v4.new_code_cell(code) for code in solutions(notebook)]
        for cell in notebook.cells:
            cell.source = re.sub(r"\breplicates=\d+", "replicates=3", cell.source)
    return notebook


def execute(path, fast=False):
    """The notebook with its outputs; a cell that fails raises ``nbclient.exceptions.CellExecutionError``."""
    options = {
        "timeout": SECONDS,
        "kernel_name": "python3",
        "resources": {"metadata": {"path": str(HERE)}},
        "extra_arguments": ["--log-level=ERROR"],  # the kernel's own remarks are not the course's
    }
    return NotebookClient(prepared(path, fast), **options).execute()
