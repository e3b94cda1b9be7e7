"""A card from its data to its report."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bayesgmm.cards.card import Card, load_card
from bayesgmm.cards.data import CardTable
from bayesgmm.cards.facts import Promise, fact_named, promises
from bayesgmm.files import made_folder
from bayesgmm.inference import fit
from bayesgmm.posterior.schema import save
from bayesgmm.reports import report

if TYPE_CHECKING:
    import xarray as xr

WRITTEN = ("data.csv", "fit.nc", "report.html")


@dataclass(frozen=True)
class CardRun:
    """A card's data, its fit, and what it promised.

    Parameters
    ----------
    card : Card
    data : CardTable
    fit : DataTree
    promises : list of Promise
    """

    card: Card
    data: CardTable
    fit: "xr.DataTree"
    promises: list[Promise]


def run_card(card: "Card | str | Path", folder: "str | Path | None" = None, *, progress: bool = True) -> CardRun:
    """Fit a card's own data as the card says, and hold the fit to what the card promises.

    Parameters
    ----------
    card : Card, str or Path
        A card, the name of one that comes along, or its file.
    folder : str or Path, optional
        Where to write ``data.csv`` (with the known classes), ``fit.nc`` and ``report.html``; nothing is written unless
        told.
    progress : bool
        Show how far it is.

    Raises
    ------
    CardError
        When it names no data, or promises what can't be told.
    DataError, FitFileError
        When the data can't be read, or the folder can't be written to.
    """
    card = card if isinstance(card, Card) else load_card(card)
    place = None if folder is None else made_folder(folder, WRITTEN)
    for name in card.expect:
        fact_named(name)  # before the work: a slip of the pen is not worth a fit
    data = card.data.read()
    result = fit_card(card, data, progress=progress)
    if place is not None:
        _write(card, data, result, place, progress)
    return CardRun(card, data, result, promises(card, result, data.truth))


def fit_card(card: Card, data: CardTable, *, progress: bool = True) -> "xr.DataTree":
    """Fit a card's data as it says: its mixture, by its engine, with its seed."""
    settings: dict[str, Any] = dict(card.fit.settings)
    return fit(card.mixture, data.frame, card.fit.method, seed=card.fit.seed, progress=progress, **settings)


def _write(card: Card, data: CardTable, result: "xr.DataTree", folder: Path, progress: bool) -> None:
    frame = data.frame
    if data.truth is not None:
        frame = frame.assign(**{str(data.truth.name): data.truth})
    frame.to_csv(folder / "data.csv", index=False)
    save(result, folder / "fit.nc")
    report(result, folder / "report.html", title=card.title or None, progress=progress)
