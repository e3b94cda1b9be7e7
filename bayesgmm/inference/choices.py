"""The engine of a fit: the given one, or a default that rows which are read in parts can have."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bayesgmm.engines import DEFAULT, ENGINES, FOR_PARTS, FOR_PARTS_SETTINGS, Engine, engine_named
from bayesgmm.errors import TableWarning, warn

if TYPE_CHECKING:
    from bayesgmm.model import MixtureModel


@dataclass
class Choice:
    """The engine of a fit and its settings; where none was given, rows in parts can change them.

    Parameters
    ----------
    model : MixtureModel
    method : str, optional
        Name of the engine. Default: ``engines.DEFAULT``; for rows in parts ``engines.FOR_PARTS``.
    given : mapping
        The settings that were given.
    others : collection of str
        Further arguments of the function that takes the settings, which an error may name.

    Raises
    ------
    DeclarationError, UnknownName
        If the engine can't fit the model, or a setting is not valid.
    """

    model: "MixtureModel"
    method: str | None
    given: Mapping[str, object]
    others: Collection[str]

    def __post_init__(self) -> None:
        self.engine: Engine = engine_named(DEFAULT if self.method is None else self.method)
        self.settings = self.engine.checked(self.given, self.others)
        self.engine.require(self.model)

    def require_parts(self, needed: str) -> None:
        """Check that the engine can read rows part by part, or take the default engine for such rows.

        Parameters
        ----------
        needed : str
            Amount of memory that suffices for all rows, in words; empty if they can't be in memory.

        Raises
        ------
        DeclarationError
            If the given engine can't, or the model is none for the default one.

        Warns
        -----
        TableWarning
            If the default engine is taken: which, and why.
        """
        other = ENGINES[FOR_PARTS]
        if self.method is not None or not self.engine.needs_rows or other.refused(self.model):
            self.engine.require_parts(self.settings, needed)
            return
        enough = f"; memory={needed!r} suffices for all rows" if needed else ""
        words = (
            f"The rows are read in parts, so the method is {other.name!r}, which approximates the posterior. With "
            f"{self.engine.name!r}, the default otherwise, {self.engine.needs_rows}{enough}."
        )
        fewer = {name: value for name, value in FOR_PARTS_SETTINGS.items() if name not in self.given}
        self.engine, self.settings = other, other.checked({**fewer, **self.given}, self.others)
        few = "".join(f" It has {name}={value}, since each is a sweep over all rows." for name, value in fewer.items())
        warn([words + few], TableWarning)
