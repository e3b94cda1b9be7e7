"""Reports: a fit as one self-contained HTML file."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path

from bayesgmm.errors import DeclarationError
from bayesgmm.files import in_place_of, writable
from bayesgmm.findings import Findings
from bayesgmm.plots.backends import require_plotly
from bayesgmm.posterior.arguments import FitLike, takes_fit
from bayesgmm.progress import track
from bayesgmm.reports.pages import ENDINGS, Filled, page
from bayesgmm.reports.sections import SECTIONS
from bayesgmm.reports.subject import Subject
from bayesgmm.wording import plural

__all__ = ["report"]


@takes_fit
def report(
    fit: FitLike,
    path: str | Path,
    *,
    title: str | None = None,
    opening: Sequence[Filled] = (),
    sections: Sequence[str] | None = None,
    findings: Findings | None = None,
    quick: bool = False,
    interactive: bool = False,
    progress: bool = True,
) -> Path:
    """Write a report on a fit as one self-contained HTML file, which opens offline and can be sent by email.

    It contains the results with their uncertainty, figures, the findings of the checks, the model in words and
    formulas, ArviZ's diagnostics, comparisons with the data, and the calls to reproduce the fit. A part that is not
    possible for a fit is replaced by a sentence with the reason, so that every fit gets a report, even a failed one. An
    existing file is replaced.

    Parameters
    ----------
    fit : DataTree or estimator
        A fit by any engine, a trace of PyMC, or a fit read from a file.
    path : str or Path
        Path of the file; it ends in ``.html`` or ``.htm``.
    title : str, optional
        Default: a description of the fit.
    opening : sequence of Filled
        Sections to show first, for example how an application made this fit.
    sections : sequence of str, optional
        Names of the sections about the fit to show. Default: all.
    findings : Findings, optional
        From ``diagnose`` for this fit. Default: computed here.
    quick : bool
        Leave out the figures of the chains, of partitions, and of replicated data, which take most of the time. The
        checks and their findings are those of the whole report.
    interactive : bool
        Draw the components, the density and the anomalies by plotly: under the pointer are the row, its probabilities
        and its values. The file is 5 MB larger, because it contains plotly's code, and needs no network either.
    progress : bool
        Show a progress bar after two seconds.

    Returns
    -------
    Path
        Path of the file.

    Raises
    ------
    FitFileError
        When ``fit`` is not a fit, or the file can't be written.
    DeclarationError
        When ``title`` is empty.
    MissingExtra
        With ``interactive``, when plotly is not installed.

    Warns
    -----
    FitWarning
        When a part could not be made because of an unexpected error.

    Examples
    --------
    >>> import tempfile
    >>> import bayesgmm as bg
    >>> x = [[-1.0], [0.0], [1.0], [2.0], [9.0], [10.0], [11.0]]
    >>> fit = bg.fit(bg.MixtureModel(2, "tied"), x, "em", progress=False)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     bg.report(fit, f"{folder}/report.html", progress=False).name
    'report.html'
    """
    path = writable(path, *ENDINGS)
    if title is not None and not (isinstance(title, str) and title.strip()):
        raise DeclarationError(f"title={title!r}: must be a text that is not empty, for example 'Galaxies'")
    if interactive:
        require_plotly()
    subject = Subject(fit, findings, quick=quick, interactive=interactive)
    chosen = [s for s in SECTIONS if (sections is None or s.name in sections) and s.chosen(subject)]
    filled = [
        Filled(section.name, section.title, section.blocks(subject)) for section in track(chosen, "report", progress)
    ]
    text = page(title or _title(subject), [*opening, *filled], date.today())
    with in_place_of(path) as partial:
        partial.write_text(text, encoding="utf-8", errors="replace")
    return path


def _title(subject: Subject) -> str:
    """Return the default title: the number of components, of points (if the fit contains them) and of columns."""
    gaussians = "One Gaussian" if subject.n_components == 1 else f"A mixture of {subject.n_components} Gaussians"
    columns = subject.columns[0] if subject.n_features == 1 else plural(subject.n_features, "column")
    points = f"{plural(subject.n_points, subject.word)}, " if subject.has_points else ""
    return f"{gaussians}: {points}{columns}"
