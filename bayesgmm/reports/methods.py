"""The methods and results of an analysis as text for a paper: Markdown, with its citations as BibTeX."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from bayesgmm.errors import choose
from bayesgmm.files import in_place_of, writable
from bayesgmm.findings import Findings
from bayesgmm.posterior.arguments import FitLike, takes_fit
from bayesgmm.posterior.criteria import CRITERIA
from bayesgmm.references import WORKS, software
from bayesgmm.reports import method_parts, result_parts
from bayesgmm.reports.subject import Subject

if TYPE_CHECKING:
    import pandas as pd

ENDINGS = (".md", ".markdown")
CITED = re.compile(r"\[@(\w+)\]")
Part = Callable[[Subject], str]  # returns Markdown; empty if there is nothing to say
METHODS: dict[str, Part] = {
    "Data": method_parts.data,
    "Model": method_parts.model,
    "Priors": method_parts.priors,
    "Computation": method_parts.computation,
}
RESULTS: dict[str, Part] = {
    "Convergence": result_parts.convergence,
    "Components": result_parts.components,
    "Clusters": result_parts.clusters,
    "Assignments": result_parts.assignments,
    "Checks": result_parts.checks,
}


@dataclass(frozen=True, repr=False)
class MethodsText:
    """Text for a paper, and the works that it cites; ``str`` and a notebook show the text.

    Parameters
    ----------
    markdown : str
        Markdown with citations ``[@key]``, as Pandoc and Quarto read it.
    bibtex : str
        An entry for each key.
    """

    markdown: str
    bibtex: str

    def save(self, path: str | Path) -> tuple[Path, Path]:
        """Write the text, and the citations beside it in a file of the same name that ends in ``.bib``.

        Parameters
        ----------
        path : str or Path
            It ends in ``.md`` or ``.markdown``. Existing files are replaced.

        Returns
        -------
        tuple of Path
            Paths of both files.

        Raises
        ------
        FitFileError
            When a file can't be written.
        """
        text = writable(path, *ENDINGS)
        citations = writable(text.with_suffix(".bib"))
        for target, content in ((text, self.markdown), (citations, self.bibtex)):
            with in_place_of(target) as partial:
                partial.write_text(content, encoding="utf-8")
        return text, citations

    def __str__(self) -> str:
        return self.markdown

    __repr__ = __str__

    def _repr_markdown_(self) -> str:
        return self.markdown


@takes_fit
def methods_text(
    fit: FitLike,
    *,
    selection: "pd.DataFrame | None" = None,
    criterion: str = "bic",
    findings: Findings | None = None,
) -> MethodsText:
    """Write the methods and the results of an analysis for a paper, with all numbers read from the fit.

    The text has the data, the model, the priors with their numbers, the method with its settings and versions,
    convergence, the components with their uncertainty, and everything that the checks found. It is a draft: it does not
    know where the data come from, or what the result means.

    Parameters
    ----------
    fit : DataTree or estimator
        A fit by any engine, a trace of PyMC, or a fit read from a file.
    selection : DataFrame, optional
        The result of ``select``, if the number of components was chosen by it.
    criterion : str
        The criterion of that choice: ``'bic'``, ``'aic'``, ``'icl'`` or ``'elbo'``.
    findings : Findings, optional
        From ``diagnose`` for this fit. Default: computed here.

    Returns
    -------
    MethodsText
        ``markdown`` and ``bibtex``; ``save`` writes both.

    Raises
    ------
    FitFileError
        When ``fit`` is not a fit.
    DeclarationError
        When ``selection`` lacks columns of ``select``.
    UnknownName
        When there is no such criterion.

    Examples
    --------
    >>> import bayesgmm as bg
    >>> x = [[-1.0], [0.0], [1.0], [2.0], [9.0], [10.0], [11.0]]
    >>> fit = bg.fit(bg.MixtureModel(2, "tied"), x, "em", progress=False)
    >>> text = bg.methods_text(fit)
    >>> print(text.markdown.splitlines()[2])
    **Data.** We analysed 7 points in 1 column: `x0`.
    >>> "@article{dempster1977," in text.bibtex
    True
    """
    choose(criterion, CRITERIA, "criterion")
    subject = Subject(fit, findings)
    chosen = method_parts.number_of_components(subject, selection, criterion)
    methods = {name: part(subject) for name, part in METHODS.items()}
    methods["Model"] = f"{methods['Model']}\n\n{chosen}"
    results = {name: part(subject) for name, part in RESULTS.items()}
    markdown = "\n\n".join(["## Methods", *_paragraphs(methods), "## Results", *_paragraphs(results)]) + "\n"
    return MethodsText(markdown, _bibliography(subject, markdown))


def _paragraphs(parts: dict[str, str]) -> list[str]:
    return [f"**{name}.** {text}" for name, text in parts.items() if text]


def _bibliography(subject: Subject, markdown: str) -> str:
    """Return the entries of the works that a text cites, in the order of the alphabet."""
    own = software(version("bayesgmm"))
    of_engine = () if subject.engine is None else subject.engine.works
    known = WORKS | {work.key: work for work in (own, *of_engine)}
    cited = sorted(known.keys() & set(CITED.findall(markdown)))  # the name of a column may look like a citation
    return "\n\n".join(known[key].bibtex for key in cited) + "\n"
