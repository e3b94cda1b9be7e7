"""The course, as files that can be executed: by ``python -m notebooks``, by the tests, by whoever shows it."""

import re
from pathlib import Path

import nbformat
from nbclient import NotebookClient

HERE = Path(__file__).parent
COURSE = sorted(HERE.glob("[0-9]*.ipynb"))
SECONDS = 600  # for one cell, before it is given up
FEW = "DRAWS = 60"  # in place of what the first code cell says, when only the code is on trial
SMALLER = {  # and smaller problems in place of those of the text
    r"\breplicates=\d+": "replicates=3",
    r"(n_components=|counts = |flowers, )range\(1, \d+\)": r"\1range(1, 4)",
    r'load_sample_image\("flower.jpg"\)': r"\g<0>[::8, ::8]",
    r"8000, replace=False": "800, replace=False",
    r"\(2, 3, 8\)": "(2, 3)",
    r"speakers=4, takes=3": "speakers=4, takes=2",
    r"MixtureModel\(\s*1[02],": "MixtureModel(4,",
    r"MixtureModel\(12\)": "MixtureModel(5)",
    r"range\(1, 11\)": "range(1, 5)",
    r"make_moons\(400,": "make_moons(150,",
    r"seed in range\(12\)": "seed in range(3)",
}


def solutions(notebook):
    """The code of the solutions, which readers see folded away."""
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    return re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def smaller(code):
    """Code with fewer replicates, components and pixels: for tests of what runs, not of what it finds."""
    for pattern, fewer in SMALLER.items():
        code = re.sub(pattern, fewer, code)
    return code


def prepared(path, fast):
    """A notebook as it is written; or, fast, with few draws, smaller problems, and its solutions as further cells."""
    notebook = nbformat.read(path, as_version=4)
    if fast:
        first = next(n for n, cell in enumerate(notebook.cells) if cell.cell_type == "code")
        notebook.cells.insert(first + 1, nbformat.v4.new_code_cell(FEW))
        notebook.cells += [nbformat.v4.new_code_cell(code) for code in solutions(notebook)]
        for cell in notebook.cells:
            cell.source = smaller(cell.source)
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
