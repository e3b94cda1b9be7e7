"""The course lies in ``notebooks/``, and Sphinx reads only ``docs/``: lessons are copied, with a page before them."""

import shutil
from pathlib import Path

OPENING = """\
# The course

Mixtures from the beginning, for a class or for yourself: each lesson is a notebook that runs in less than three
minutes, with a caption for each figure, and exercises with hints and solutions. Read them here with their pictures, or
open them in Jupyter: they lie in `notebooks/` of the repository. New to the package, not to mixtures?
[Start in five minutes](../start.md) instead.
"""
LESSONS = "\n```{{toctree}}\n:maxdepth: 1\n\n{}\n```\n"


def borrow(notebooks: Path, course: Path) -> None:
    """Copy the lessons, in order; those that are gone go here too."""
    course.mkdir(exist_ok=True)
    lessons = sorted(notebooks.glob("*.ipynb"))
    for old in {path.name for path in course.glob("*.ipynb")} - {path.name for path in lessons}:
        (course / old).unlink()
    for lesson in lessons:
        shutil.copy2(lesson, course)  # with its time: Sphinx reads again what is newer
    listed = LESSONS.format("\n".join(lesson.stem for lesson in lessons)) if lessons else ""
    (course / "index.md").write_text(OPENING + listed)
