"""The report: a fit as one HTML file that needs nothing else."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from bayesgmm.errors import DeclarationError
from bayesgmm.files import in_place_of, writable
from bayesgmm.progress import track
from bayesgmm.reports.pages import ENDINGS, Filled, page
from bayesgmm.reports.sections import SECTIONS
from bayesgmm.reports.subject import Subject
from bayesgmm.wording import plural

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["report"]


def report(
    fit: "xr.DataTree",
    path: str | Path,
    *,
    title: str | None = None,
    opening: Sequence[Filled] = (),
    progress: bool = True,
) -> Path:
    """Write all that there is to say of a fit as one HTML file: it opens offline, prints, and can be mailed.

    Results and their uncertainty, the clusters, pictures, findings, the model in words and mathematics, ArviZ's
    diagnostics, checks against the data, and how to do it again. A part that a fit can't have is left out with a
    sentence that says why: every fit gets its report, a failed one too. A file of that name is replaced.

    Parameters
    ----------
    fit : DataTree
        Of any engine, one that PyMC made, or one read from a file.
    path : str or Path
        Where to write: a name that ends in .html.
    title : str, optional
        Default: a description of the fit.
    opening : sequence of Filled
        Sections to show before the report's own: how an application came to this fit.
    progress : bool
        Show how far it is, on a terminal, when it takes more than two seconds.

    Returns
    -------
    Path
        Where it is.

    Raises
    ------
    FitFileError
        When it is not a fit, or the file can't be written.

    Warns
    -----
    FitWarning
        When a part could not be made because of an unexpected error.
    """
    path = writable(path, *ENDINGS)
    if title is not None and not (isinstance(title, str) and title.strip()):
        raise DeclarationError(f"title={title!r}: must be some words, for example 'Galaxies'")
    subject = Subject(fit)
    filled = [
        Filled(section.name, section.title, section.blocks(subject)) for section in track(SECTIONS, "report", progress)
    ]
    text = page(title or _title(subject), [*opening, *filled], date.today())
    with in_place_of(path) as partial:
        partial.write_text(text, encoding="utf-8", errors="replace")
    return path


def _title(subject: Subject) -> str:
    """Default title: a description of the fit.

    The number of components, and of points where there are any.
    """
    gaussians = "One Gaussian" if subject.n_components == 1 else f"A mixture of {subject.n_components} Gaussians"
    columns = subject.columns[0] if subject.n_features == 1 else plural(subject.n_features, "column")
    points = f"{plural(subject.n_points, subject.word)}, " if subject.has_points else ""
    return f"{gaussians}: {points}{columns}"
