"""The lists of tests name tests that exist."""

import re
from pathlib import Path

import pytest

from tests.quick import LONG, QUICK, rank

ROOT = Path(__file__).parents[1]


def exists(place):
    path, _, function = place.partition("::")
    if not (ROOT / path).exists():
        return False
    return not function or re.search(rf"^def {function}\(", (ROOT / path).read_text(), re.MULTILINE) is not None


@pytest.mark.parametrize("place", sorted({*QUICK, *LONG}))
def test_what_is_listed_exists(place):
    assert exists(place)


def test_a_test_that_was_renamed_is_noticed():
    assert not exists("tests/test_quick.py::test_that_is_not_here")
    assert not exists("tests/nowhere")


def test_long_files_come_first():
    names = ["tests/a.py::test_one", f"{LONG[1]}::test_two", f"{LONG[0]}::test_three"]
    assert sorted(names, key=rank) == names[::-1]
