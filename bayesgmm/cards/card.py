"""A model card: a mixture with what makes it an analysis, as a TOML file."""

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, StrictInt, field_validator

from bayesgmm.bundled import card_path
from bayesgmm.cards.data import DataCard
from bayesgmm.cards.lessons import Lesson
from bayesgmm.declared import Declared
from bayesgmm.errors import CardError, DeclarationError
from bayesgmm.model import MixtureModel


class Procedure(Declared):
    """How a card is fitted, unless its user says otherwise.

    Parameters
    ----------
    method : str
        An engine's name.
    seed : int
        For which the card's facts hold.
    settings : dict
        Of the engine.
    """

    method: str = "nuts"
    seed: Annotated[StrictInt, Field(ge=0)] = 1
    settings: dict[str, int | float | str] = Field(default_factory=dict)


class Interval(Declared):
    """A value that a credible interval must hold: the truth behind generated data, or a number from the literature.

    Parameters
    ----------
    quantity : {'weight', 'mean', 'sd'}
    component : int
        As the fit names it: 0 is the heaviest.
    value : float
    column : str, optional
        Of a mean or a standard deviation; the only one unless told.
    ci_prob : float
        Of the equal-tailed interval.
    """

    quantity: Literal["weight", "mean", "sd"]
    component: Annotated[StrictInt, Field(ge=0)]
    value: float
    column: str | None = None
    ci_prob: Annotated[float, Field(gt=0, lt=1)] = 0.95


class Card(Declared):
    """A model card: a worked analysis as a file.

    Parameters
    ----------
    mixture : MixtureModel
    title, about : str
        A name, and what it is in one line.
    data : DataCard
    fit : Procedure
    expect : dict of str to (float, float)
        Facts about the fit of the card's own data, by their names in ``card_facts.FACTS``, each with a lower and an
        upper bound. The tests hold every card that comes along to them.
    intervals : tuple of Interval
        Values that must lie in credible intervals.
    lesson : Lesson
    """

    mixture: MixtureModel
    title: str = ""
    about: str = ""
    data: DataCard = DataCard()
    fit: Procedure = Procedure()
    expect: dict[str, tuple[float, float]] = Field(default_factory=dict)
    intervals: tuple[Interval, ...] = ()
    lesson: Lesson = Lesson()

    @field_validator("expect")
    @classmethod
    def _lower_first(cls, expect: dict[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
        for name, (low, high) in expect.items():
            if low > high:
                raise ValueError(f"{name}: the lower bound comes first, got [{low:g}, {high:g}]")
        return expect


def load_card(name: str | Path) -> Card:
    """Read a model card.

    Parameters
    ----------
    name : str or Path
        A TOML file, or the name of a card that comes along: one without an ending, which is no file here.

    Raises
    ------
    CardError
        When it can't be read; all mistakes in it at once, each with its place.
    UnknownName
        When no such card comes along.

    Examples
    --------
    >>> load_card("galaxies").mixture.n_components
    3
    """
    path = card_file(name)
    try:
        values: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CardError(f"{path} can't be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CardError(f"{path} is not TOML: {error}") from None
    try:
        card = Card.parse(values, str(path))
    except DeclarationError as error:
        raise CardError(str(error)) from None
    return card.model_copy(update={"data": card.data.within(path.parent)})


def card_file(name: str | Path) -> Path:
    """The file of a card: the file itself, or that of a card that comes along."""
    path = Path(name)
    return path if path.suffix or path.is_file() else card_path(str(name))
