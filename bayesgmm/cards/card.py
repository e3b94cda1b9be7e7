"""Model cards: a mixture with its data, settings, expected results and explanation, as a TOML file."""

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
        Expected results for the card's own data: lower and upper bounds of facts, by their names in ``facts.FACTS``.
        Tests check them for every bundled card.
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
        """Check that lower bounds come first.

        Raises
        ------
        ValueError
            If a lower bound exceeds its upper bound.
        """
        for name, (low, high) in expect.items():
            if low > high:
                raise ValueError(f"{name}: the lower bound comes first, got [{low:g}, {high:g}]")
        return expect


def load_card(name: str | Path) -> Card:
    """Read and validate a model card.

    Parameters
    ----------
    name : str or Path
        A TOML file, or the name of a bundled card. A name without extension that is not a file is a bundled card.

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
        values: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CardError(f"{path} can't be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:  # wrong TOML or text, an integer of 5,000 digits, 10,000 brackets
        raise CardError(f"{path} is not TOML: {error}") from None
    try:
        card = Card.parse(values, str(path))
    except DeclarationError as error:
        raise CardError(str(error)) from None
    return card.model_copy(update={"data": card.data.within(path.parent)})


def card_file(name: str | Path) -> Path:
    """Return the path of a card: the file itself, or a bundled card.

    Raises
    ------
    UnknownName
        If there is no bundled card of this name.
    """
    path = Path(name)
    return path if path.suffix or path.is_file() else card_path(str(name))
