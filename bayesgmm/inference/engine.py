"""What an engine is: a log posterior in, draws in its unconstrained coordinates out."""

from dataclasses import dataclass, field
from typing import Any, Protocol

from bayesgmm.families.structures import without_chart
from bayesgmm.model import MixtureModel
from bayesgmm.posterior.info import EngineNotes, Setting
from bayesgmm.posterior.parameters import Parameters
from bayesgmm.sweep.stats import Array


@dataclass(frozen=True)
class Estimate:
    """What every engine returns.

    Parameters
    ----------
    q : (chains, draws, P) float
        Unconstrained coordinates; a point estimate is one draw.
    stats : dict of (chains, draws) arrays
        Statistics of the draws by their ArviZ names; ``lp``, the log posterior, is always there.
    warnings : tuple of str
        What the user should know before trusting it.
    notes : EngineNotes
        Facts about the run that the result stores.
    groups : dict
        More groups of the result: variables by name, each its dimension and its values.
    parameters : Parameters, optional
        Its mixtures (chains, draws, ...) where the covariance family has no coordinates: ``q`` is then empty, and
        ``lp`` is the log likelihood.
    """

    q: Array
    stats: dict[str, Array]
    warnings: tuple[str, ...] = ()
    notes: EngineNotes = field(default_factory=EngineNotes)
    groups: dict[str, dict[str, tuple[str, Array]]] = field(default_factory=dict)
    parameters: Parameters | None = None


@dataclass(frozen=True)
class Run:
    """How an estimate was made: what a fit stores of it.

    Parameters
    ----------
    method : str
    settings : dict
        Every setting of the method.
    seed : int
    seconds : float
    said : list of str
        What was already warned of: contradictions of declaration and data.
    """

    method: str
    settings: dict[str, Setting]
    seed: int
    seconds: float
    conflicts: list[str]


class Progress(Protocol):
    """Where an engine reports how far it is."""

    def stage(self, text: str) -> None:
        """Say what is being done now."""

    def chains(self, states: list[Any]) -> None:
        """Take nutpie's report on its chains."""


def without_coordinates(model: MixtureModel) -> dict[str, str]:
    """What of a declaration has no unconstrained coordinates, and what to declare instead."""
    return without_chart(model.family)


class Silent:
    """A progress report that nobody sees."""

    def stage(self, text: str) -> None:
        """Say nothing."""

    def chains(self, states: list[Any]) -> None:
        """Say nothing."""
