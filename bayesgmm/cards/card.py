"""Model cards: a mixture with its data, settings, expected results and explanation, as a TOML file."""

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, StrictInt, field_validator, model_validator

from bayesgmm.bundled import card_path
from bayesgmm.cards.data import DataCard
from bayesgmm.cards.fact_words import FACT_WORDS
from bayesgmm.cards.lessons import Lesson
from bayesgmm.declared import Declared
from bayesgmm.errors import CardError, DeclarationError, choose
from bayesgmm.keywords import checks_keywords
from bayesgmm.model import MixtureModel

MAX_SIZE = 2**24  # bytes of a card


class Procedure(Declared):
    """Default inference method and settings of a card.

    Parameters
    ----------
    method : str
        Inference method, as in ``fit``.
    seed : int
        Seed of the expected results.
    settings : dict
        Settings of the method.
    """

    method: str = "nuts"
    seed: Annotated[StrictInt, Field(ge=0)] = 1
    settings: dict[str, int | float | str] = Field(default_factory=dict)


class Interval(Declared):
    """Value that a credible interval must contain: the true value of generated data, or one from the literature.

    Parameters
    ----------
    quantity : {'weight', 'mean', 'sd'}
    component : int
        Index in the fit; 0 has the largest weight.
    value : float
        In the units of the column.
    column : str, optional
        Column of a mean or standard deviation; default the only one.
    ci_prob : float
        Probability of the equal-tailed interval.
    """

    quantity: Literal["weight", "mean", "sd"]
    component: Annotated[StrictInt, Field(ge=0)]
    value: float
    column: str | None = None
    ci_prob: Annotated[float, Field(gt=0, lt=1)] = 0.95


class Card(Declared):
    """Model card: a complete analysis as a file.

    Parameters
    ----------
    mixture : MixtureModel
    title, about : str
        Name, and a description in one line.
    data : DataCard
    fit : Procedure
    expect : dict of str to (float, float)
        Expected results for the card's own data: lower and upper bounds of facts, by their names in
        ``fact_words.FACT_WORDS``. Tests check them for every bundled card.
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
    def _known_facts(cls, expect: dict[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
        """Check names, and that lower bounds come first.

        Raises
        ------
        ValueError
            If there is no such fact, or a lower bound exceeds its upper bound.
        """
        for name, (low, high) in expect.items():
            choose(name, FACT_WORDS, "expect")
            if low > high:
                raise ValueError(f"{name}: the lower bound comes first, got [{low:g}, {high:g}]")
        return expect

    @model_validator(mode="after")
    def _known_quantities(self) -> "Card":
        """Check the components of the intervals, and their columns if the card names those that are fitted.

        Raises
        ------
        ValueError
            If there is no such component or column.
        """
        known = None if self.data.transforms else self.data.columns
        for interval in self.intervals:
            if interval.component >= self.mixture.n_components:
                last = self.mixture.n_components - 1
                raise ValueError(f"intervals: there is no component {interval.component}; the last is {last}")
            if interval.column is not None and known is not None:
                choose(interval.column, dict.fromkeys(known), "intervals: column")
        return self


@checks_keywords
def load_card(name: str | Path, *, data_anywhere: bool = False) -> Card:
    """Read and validate a model card.

    Parameters
    ----------
    name : str or Path
        A TOML file, or the name of a bundled card. A name without extension that is not a file is a bundled card.
    data_anywhere : bool
        Allow the card to read data outside its own folder: only for cards that you trust.

    Returns
    -------
    Card

    Raises
    ------
    CardError
        If the file can't be read or is invalid; all mistakes are listed, each with its place.
    UnknownName
        If there is no bundled card of this name.

    Examples
    --------
    >>> load_card("galaxies").mixture.n_components
    3
    """
    path = card_file(name)
    try:
        card = Card.parse(_values(path), str(path))
    except DeclarationError as error:
        where = "" if str(path) in str(error) else f"{path}: "
        raise CardError(f"{where}{error}") from None
    return card.model_copy(update={"data": card.data.within(path.parent, data_anywhere)})


def _values(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises
    ------
    CardError
        If that is not possible.
    """
    if path.exists() and not path.is_file():
        raise CardError(f"{path} can't be read: it is not a file")
    try:
        if path.stat().st_size <= MAX_SIZE:
            return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CardError(f"{path} can't be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:  # wrong TOML or text, an integer of 5,000 digits, 10,000 brackets
        raise CardError(f"{path} is not TOML: {error}") from None
    raise CardError(f"{path} can't be read: it is larger than {MAX_SIZE:,} bytes")


def card_file(name: str | Path) -> Path:
    """Return the path of a card: the file itself, or a bundled card.

    Raises
    ------
    UnknownName
        If there is no bundled card of this name.
    """
    path = Path(name)
    return path if path.suffix or path.is_file() else card_path(str(name))
