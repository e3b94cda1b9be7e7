"""Running a card: its data, fit, report and expected results."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bayesgmm.cards.card import Card, load_card
from bayesgmm.cards.facts import ExpectedResult, expected_results, fact_named
from bayesgmm.data.given import Given
from bayesgmm.errors import choose
from bayesgmm.files import made_folder, write_csv
from bayesgmm.inference import fit
from bayesgmm.keywords import checks_keywords
from bayesgmm.posterior.schema import save
from bayesgmm.reports import report

if TYPE_CHECKING:
    import xarray as xr

WRITTEN = ("data.csv", "fit.nc", "report.html")


@dataclass(frozen=True)
class CardRun:
    """Result of running a card.

    Parameters
    ----------
    card : Card
    data : Given
    fit : DataTree
    expected : list of ExpectedResult
        Expected results, compared with the fit.
    """

    card: Card
    data: Given
    fit: "xr.DataTree"
    expected: list[ExpectedResult]


@checks_keywords
def run_card(
    card: "Card | str | Path",
    folder: "str | Path | None" = None,
    *,
    data_anywhere: bool = False,
    progress: bool = True,
) -> CardRun:
    """Fit a card's own data, and compare the fit with the expected results.

    Parameters
    ----------
    card : Card, str or Path
        A card, the name of a bundled card, or a TOML file.
    folder : str or Path, optional
        Folder for ``data.csv`` (with the known classes), ``fit.nc`` and ``report.html``; by default nothing is written.
    data_anywhere : bool
        Allow a card that is read from a file to read data outside its own folder: only for cards that you trust.
    progress : bool
        Show progress bars.

    Returns
    -------
    CardRun

    Raises
    ------
    CardError
        If the card is invalid, has no data or data outside its folder, or an expected result can't be computed.
    UnknownName
        If there is no bundled card, fact, method or column of a given name.
    DataError
        If the data can't be read.
    FitFileError
        If the folder can't be written.

    Examples
    --------
    >>> run = run_card("blobs", progress=False)
    >>> all(result.met for result in run.expected)
    True
    """
    card = card if isinstance(card, Card) else load_card(card, data_anywhere=data_anywhere)
    place = None if folder is None else made_folder(folder, WRITTEN)
    for name in card.expect:
        fact_named(name)  # check the names before the fit
    data = card.data.read()
    _require_columns(card, data)
    result = fit_card(card, data, progress=progress)
    if place is not None:
        _write(card, data, result, place, progress)
    return CardRun(card, data, result, expected_results(card, result, data.truth))


def _require_columns(card: Card, data: Given) -> None:
    """Raise UnknownName, before the fit, if an interval is about a column that is not fitted."""
    for interval in card.intervals:
        if interval.column is not None:
            choose(interval.column, dict.fromkeys(map(str, data.frame.columns)), "intervals: column")


def fit_card(card: Card, data: Given, *, progress: bool = True) -> "xr.DataTree":
    """Fit the mixture of a card to data, with its method, seed and settings."""
    settings: dict[str, Any] = dict(card.fit.settings)
    settings |= data.known | {"seed": card.fit.seed, "progress": progress}
    return fit(card.mixture, data.frame, card.fit.method, **settings)


def _write(card: Card, data: Given, result: "xr.DataTree", folder: Path, progress: bool) -> None:
    frame = data.frame
    if data.noise is not None:
        frame = frame.join(data.noise)
    for part in (data.truth, data.labels):
        if part is not None:
            frame = frame.assign(**{str(part.name): part})
    write_csv(frame, folder / "data.csv", index=False)
    save(result, folder / "fit.nc")
    report(result, folder / "report.html", title=card.title or None, progress=progress)
