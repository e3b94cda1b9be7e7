"""Plain language: words and phrases that are not used in code, documentation, notebooks, cards and tests."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

INSTEAD = {
    r"unless (told|asked)": "default: ...",
    r"\bmend(s|ed|ing)?\b": "fix, correct",
    r"\bastray\b": "divergent, failed",
    r"\bin doubt\b": "uncertain",
    r"\bdoubt(s|ful)?\b": "uncertain; a severity is a warning",
    r"\b(heaps of|two heaps|one heap)\b": "modes, groups, clusters",
    r"\bat the door\b": "input validation",
    r"\bknows? nothing of": "independent of, ignores",
    r"\bhangs? together\b": "are correlated",
    r"\bcreep(s|ing)?\b": "converges slowly",
    r"\btold apart\b": "distinguished",
    r"can't be told\b": "can't be determined",
    r"\bnobody (foresaw|meant)\b": "unexpected, unintended",
    r"\bmade-up (points?|rows?|data)\b": "simulated",
    r"\bso many (rows|points|draws)\b": "that number of",
    r"\bbeliefs?\b": "prior, posterior; a model as a variable is model",
    r"\bwitness(es)?\b": "observations, subsample",
    r"\bof ours\b": "name it: in bayesgmm",
    r"\brehearsals?\b": "held-out evaluation",
    r"\b(one row|rows?|columns?|draws|points|frames|parameters|numbers?) a "
    r"(point|row|page|component|draw|pixel|class|chain|state|token)\b": "per",
    r"\bhow (sure|strange)\b": "uncertainty, anomaly score",
    r"\bgive or take\b": "within, about",
    r"(?-i:\b_?(MOST|LEAST|FEWEST)(_[A-Z_]+)?\b)": "MAX_..., MIN_...",
    r"\b(points|rows|pixels) (that are )?called\b|\bcalled anomal": "flagged",
    r"\btwo by two\b": "step by step; pairwise",
    r"\bone a (line|row|page|room|file|point)\b": "one per",
    r"\bstay(s|ed)? where (it|they) (is|are|was|were)\b": "does not change, is the same in all draws",
    r"\b(is|are|was|were) given up\b": "stopped",
    r"\b(not|never) believe\b": "does not depend on, ignores",
    r"\bwhat comes of\b|\bnothing of (each other|the)\b": "the result; independent of",
    r"\banew\b": "again",
    r"\bby turns\b": "in turn, alternately",
    r"\blets? expect\b": "predicts",
    r"\bso (many|much) (clusters?|pixels|iterations|chains|hits|below|above)\b": "that number of, this much",
    r"\b(is|are) worth\b": "has an effective size of, is equivalent to",
    r"\bsays? why\b": "gives the reason",
    r"\b(tells?|can't tell) [\w ]{1,30} apart\b": "distinguishes",
    r"\bfar and wide\b": "widely scattered",
    r"\b(henceforth|whence|whither|wherein|thereof|therein)\b": "a short sentence with so or where",
}
"""Pattern -> what to write instead."""

NOT_YET: set[str] = set()
"""Folders and files that still use some of these words."""

KINDS = {
    "bayesgmm": "*.py",
    "tests": "*.py",
    "benchmarks": "*.py",
    "evidence": "*.py",
    "docs": "*.md",
    "notebooks": "*.ipynb",
    "models": "*.toml",
}


def texts() -> dict[str, str]:
    """Return the text of every file that is checked, by its path."""
    paths = [path for folder, kind in KINDS.items() for path in (ROOT / folder).rglob(kind)]
    paths += [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
    named = {str(path.relative_to(ROOT)): path.read_text() for path in paths if path != Path(__file__)}
    named = {
        name: text for name, text in named.items() if not name.startswith(("docs/_build", "docs/api", "docs/course"))
    }
    page = "docs/messages.md"  # quotes messages of the code, which is checked itself
    return named | {page: re.sub(r'"[^"]*"', lambda quote: "\n" * quote[0].count("\n"), named[page])}


def unplain(text: str) -> list[str]:
    """List the words of a text that are not used, each with its line and what to write instead."""
    return [
        f"line {text.count(chr(10), 0, hit.start()) + 1}: {' '.join(hit[0].split())!r}; write: {better}"
        for pattern, better in INSTEAD.items()
        for hit in re.finditer(pattern.replace(" ", r"\s+(?:#\s+)?"), text, re.IGNORECASE)
    ]


def found() -> dict[str, list[str]]:
    return {name: words for name, text in texts().items() if (words := unplain(text))}


def test_words_that_are_not_plain_are_not_used():
    wrong = {name: words for name, words in found().items() if not name.startswith(tuple(NOT_YET))}
    assert wrong == {}


def test_every_exception_is_still_needed():
    assert {place for place in NOT_YET if not any(name.startswith(place) for name in found())} == set()


@pytest.mark.parametrize("text", ["199 unless told", "mends the fit", "a label in\n    # doubt", "Beliefs about K"])
def test_the_check_can_fail(text):
    assert unplain(text)


def test_the_check_leaves_other_words_alone():
    assert not unplain(
        "recommended by default; heapq; a heap of the smallest values; a finding is a warning; doubtless; believable"
    )
