"""The evidence: each section in a small sample, and the page from the stored results."""

import doctest
import warnings

import numpy as np
import pytest

import bayesgmm as bg
from evidence import __main__, enumeration, errors, page, results
from evidence.sections import SECTIONS


@pytest.mark.parametrize("name", SECTIONS)
def test_a_small_sample_of_every_section_runs(name, tmp_path):
    section = SECTIONS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", bg.FitWarning)
        result = section.run(section.few, 1)
    assert not result.table.empty
    assert len(result.text) > 100
    results.write(name, result, tmp_path)
    stored = results.read(name, tmp_path)
    assert page.rendered(name, stored) == page.rendered(name, result)
    assert list(stored.table.columns) == list(results.read(name).table.columns)  # else: run the section again


def test_the_page_is_rendered_from_the_stored_results():
    """If it fails: ``python -m evidence page``."""
    assert page.PATH.read_text() == page.page()
    assert all(f"## {section.title}\n" in page.page() for section in SECTIONS.values())


def test_a_section_that_does_not_exist_is_refused(capsys):
    with pytest.raises(SystemExit):
        __main__.main(["partition"])
    assert "no section 'partition'" in capsys.readouterr().err


def test_the_enumeration_counts_bells_numbers():
    assert [len(enumeration.set_partitions(n)) for n in range(1, 8)] == [1, 2, 5, 15, 52, 203, 877]


@pytest.mark.parametrize("module", [enumeration, errors, page])
def test_the_examples_hold(module):
    tried = doctest.testmod(module)
    assert tried.attempted
    assert tried.failed == 0


def test_losses_of_the_enumeration_are_those_of_a_case_by_hand():
    """Two pairs against all four together: one bit, or half of the pairs, for joining or for splitting."""
    pairs, whole = np.array([[0, 0, 1, 1]]), np.zeros((1, 4), dtype=int)
    for name, cost in (("vi", 1.0), ("binder", 0.5)):
        assert np.concatenate(enumeration.expected_losses(name, pairs, whole)).tolist() == [cost, 0.0]
        assert np.concatenate(enumeration.expected_losses(name, whole, pairs)).tolist() == [0.0, cost]
