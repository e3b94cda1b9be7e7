"""Section that defines the terms of a report, as the glossary of the documentation does."""

import re
from functools import cache
from pathlib import Path

from bayesgmm.reports.blocks import Block, Facts
from bayesgmm.reports.subject import Subject

ALWAYS = ("component", "weight", "covariance family", "cluster", "entropy", "anomaly", "p-value of a point", "LOO")
IF_DRAWS = ("posterior", "prior", "draw", "credible interval", "label switching", "co-clustering", "partition", "k-hat")
IF_CHAINS = ("chain", "R-hat", "ESS", "divergence")
IF_APPROXIMATION = ("ELBO", "importance resampling")


@cache
def glossary() -> dict[str, str]:
    """Read the glossary, without its formulas and its marks: the definition of each term.

    It is in the installed package, or in the documentation of a checkout of the repository.

    Examples
    --------
    >>> glossary()["posterior"]
    'The distribution of the parameters given the data and the priors.'
    """
    package = Path(__file__).parents[1]
    paths = [package / "glossary.md", package.parent / "docs" / "glossary.md"]
    text = next(path for path in paths if path.exists()).read_text(encoding="utf-8")
    entries = re.findall(r"^(\S.*)\n: ((?:.+\n?)+)", text, re.MULTILINE)
    return {term: plain(definition) for term, definition in entries}


def plain(definition: str) -> str:
    r"""Remove formulas in parentheses and the marks of Markdown.

    Examples
    --------
    >>> plain("Also *tempered*: `density` to a\n  power ($p^b$).")
    'Also tempered: density to a power.'
    """
    words = re.sub(r"\s+\(\$[^$]*\$\)", "", " ".join(definition.split()))
    return re.sub(r"[*`]|\[([^]]*)\]\([^)]*\)", r"\1", words)


def terms(subject: Subject) -> list[Block]:
    """Define the terms that the report of a fit uses."""
    names = list(ALWAYS)
    names += () if subject.is_point else IF_DRAWS
    names += IF_CHAINS if subject.is_chains else ()
    names += IF_APPROXIMATION if subject.is_approximation else ()
    known = glossary()
    return [Facts(tuple((name, known[name]) for name in sorted(names, key=str.lower)))]
