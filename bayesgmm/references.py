"""Works to cite, once each: as a reference in words, and as an entry of BibTeX."""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Work:
    """A work to cite; ``str`` is the reference in words.

    Parameters
    ----------
    key : str
        Name in citations, ``[@key]``.
    authors : tuple of str
        Each as ``"Family, G."``.
    year : int, optional
    title, journal, volume, number, pages : str
    note : str
        Anything else; all of a reference that is known only in words.
    kind : str
        Type of the entry in BibTeX.

    Examples
    --------
    >>> work = Work("gauss1809", ("Gauss, C.",), 1809, "Motion", "Annals", "3", pages="1–5")
    >>> str(work)
    'Gauss, C. (1809). Motion. Annals 3, 1–5.'
    >>> print(work.bibtex)
    @article{gauss1809,
      author = {Gauss, C.},
      year = {1809},
      title = {{Motion}},
      journal = {Annals},
      volume = {3},
      pages = {1--5},
    }
    """

    key: str
    authors: tuple[str, ...] = ()
    year: int | None = None
    title: str = ""
    journal: str = ""
    volume: str = ""
    number: str = ""
    pages: str = ""
    note: str = ""
    kind: str = "article"

    @classmethod
    def in_words(cls, reference: str) -> "Work":
        """Return the work of a reference in words, with its first word and its year as the key.

        Examples
        --------
        >>> Work.in_words("Toy, A. (1999). Toys.").key
        'toy1999'
        """
        name, year = re.search(r"\w+", reference), re.search(r"\d{4}", reference)
        key = "".join(found[0] for found in (name, year) if found).lower()
        return cls(key, note=reference, kind="misc")

    def __str__(self) -> str:
        *others, last = self.authors or ("",)
        authors = (f"{', '.join(others)} & {last}" if others else last).strip("{}")
        issue = f"{self.volume}({self.number})" if self.number else self.volume
        place = ", ".join(part for part in (f"{self.journal} {issue}".strip(), self.pages) if part)
        parts = (f"{authors} ({self.year})" if self.year else authors, self.title, place, self.note)
        return " ".join(part if part.endswith((".", "?")) else f"{part}." for part in parts if part)

    @property
    def bibtex(self) -> str:
        """Entry in BibTeX, in UTF-8. Double braces keep the capitals of the title."""
        values = {
            "author": " and ".join(self.authors),
            "year": str(self.year or ""),
            "title": self.title and f"{{{self.title}}}",
            "journal": self.journal,
            "volume": self.volume,
            "number": self.number,
            "pages": self.pages.replace("–", "--"),
            "note": self.note,
        }
        lines = [f"  {name} = {{{value}}}," for name, value in values.items() if value]
        return "\n".join([f"@{self.kind}{{{self.key},", *lines, "}"])


def software(version: str) -> Work:
    """Return the entry of this package."""
    title = f"bayesgmm {version}: Bayesian Gaussian mixtures with honest uncertainty"
    return Work("bayesgmm", ("{The bayesgmm maintainers}",), title=title, note="Python package", kind="software")


WORKS: dict[str, Work] = {
    work.key: work
    for work in (
        Work(
            "akaike1974",
            ("Akaike, H.",),
            1974,
            "A new look at the statistical model identification",
            "IEEE Trans. Autom. Control",
            "19",
            "6",
            "716–723",
        ),
        Work(
            "attias2000",
            ("Attias, H.",),
            2000,
            "A variational Bayesian framework for graphical models",
            "Adv. Neural Inf. Process. Syst.",
            "12",
            pages="209–215",
        ),
        Work(
            "bhattacharya2011",
            ("Bhattacharya, A.", "Dunson, D. B."),
            2011,
            "Sparse Bayesian infinite factor models",
            "Biometrika",
            "98",
            "2",
            "291–306",
        ),
        Work(
            "biernacki2000",
            ("Biernacki, C.", "Celeux, G.", "Govaert, G."),
            2000,
            "Assessing a mixture model for clustering with the integrated completed likelihood",
            "IEEE Trans. Pattern Anal. Mach. Intell.",
            "22",
            "7",
            "719–725",
        ),
        Work(
            "dahl2022",
            ("Dahl, D.", "Johnson, D.", "Müller, P."),
            2022,
            "Search algorithms and loss functions for Bayesian clustering",
            "J. Comput. Graph. Stat.",
            "31",
            "4",
            "1189–1201",
        ),
        Work(
            "dempster1977",
            ("Dempster, A.", "Laird, N.", "Rubin, D."),
            1977,
            "Maximum likelihood from incomplete data via the EM algorithm",
            "J. R. Stat. Soc. B",
            "39",
            "1",
            "1–38",
        ),
        Work(
            "diebolt1994",
            ("Diebolt, J.", "Robert, C."),
            1994,
            "Estimation of finite mixture distributions through Bayesian sampling",
            "J. R. Stat. Soc. B",
            "56",
            "2",
            "363–375",
        ),
        Work(
            "fruhwirth2021",
            ("Frühwirth-Schnatter, S.", "Malsiner-Walli, G.", "Grün, B."),
            2021,
            "Generalized mixtures of finite mixtures and telescoping sampling",
            "Bayesian Analysis",
            "16",
            "4",
            "1279–1307",
        ),
        Work(
            "hoffman2014",
            ("Hoffman, M.", "Gelman, A."),
            2014,
            "The No-U-Turn sampler",
            "J. Mach. Learn. Res.",
            "15",
            pages="1593–1623",
        ),
        Work(
            "ishwaran2001",
            ("Ishwaran, H.", "James, L."),
            2001,
            "Gibbs sampling methods for stick-breaking priors",
            "J. Am. Stat. Assoc.",
            "96",
            "453",
            "161–173",
        ),
        Work(
            "kucukelbir2017",
            ("Kucukelbir, A.", "Tran, D.", "Ranganath, R.", "Gelman, A.", "Blei, D."),
            2017,
            "Automatic differentiation variational inference",
            "J. Mach. Learn. Res.",
            "18",
            "14",
            "1–45",
        ),
        Work(
            "kumar2019",
            ("Kumar, R.", "Carroll, C.", "Hartikainen, A.", "Martin, O."),
            2019,
            "ArviZ: a unified library for exploratory analysis of Bayesian models in Python",
            "J. Open Source Softw.",
            "4",
            "33",
            "1143",
        ),
        Work(
            "leonard1992",
            ("Leonard, T.", "Hsu, J."),
            1992,
            "Bayesian inference for a covariance matrix",
            "Ann. Stat.",
            "20",
            "4",
            "1669–1696",
        ),
        Work(
            "lewandowski2009",
            ("Lewandowski, D.", "Kurowicka, D.", "Joe, H."),
            2009,
            "Generating random correlation matrices based on vines and extended onion method",
            "J. Multivar. Anal.",
            "100",
            "9",
            "1989–2001",
        ),
        Work(
            "malsiner2016",
            ("Malsiner-Walli, G.", "Frühwirth-Schnatter, S.", "Grün, B."),
            2016,
            "Model-based clustering based on sparse finite Gaussian mixtures",
            "Stat. Comput.",
            "26",
            "1",
            "303–324",
        ),
        Work(
            "schwarz1978",
            ("Schwarz, G.",),
            1978,
            "Estimating the dimension of a model",
            "Ann. Stat.",
            "6",
            "2",
            "461–464",
        ),
        Work(
            "stephens2000",
            ("Stephens, M.",),
            2000,
            "Dealing with label switching in mixture models",
            "J. R. Stat. Soc. B",
            "62",
            "4",
            "795–809",
        ),
        Work(
            "vehtari2017",
            ("Vehtari, A.", "Gelman, A.", "Gabry, J."),
            2017,
            "Practical Bayesian model evaluation using leave-one-out cross-validation and WAIC",
            "Stat. Comput.",
            "27",
            "5",
            "1413–1432",
        ),
        Work(
            "vehtari2021",
            ("Vehtari, A.", "Gelman, A.", "Simpson, D.", "Carpenter, B.", "Bürkner, P.-C."),
            2021,
            "Rank-normalization, folding, and localization: an improved R-hat",
            "Bayesian Analysis",
            "16",
            "2",
            "667–718",
        ),
        Work(
            "wade2018",
            ("Wade, S.", "Ghahramani, Z."),
            2018,
            "Bayesian cluster analysis: point estimation and credible balls",
            "Bayesian Analysis",
            "13",
            "2",
            "559–626",
        ),
        Work(
            "yao2018",
            ("Yao, Y.", "Vehtari, A.", "Simpson, D.", "Gelman, A."),
            2018,
            "Yes, but did it work? Evaluating variational inference",
            "Proc. Mach. Learn. Res.",
            "80",
            pages="5581–5590",
        ),
    )
}
"""The works by key."""
