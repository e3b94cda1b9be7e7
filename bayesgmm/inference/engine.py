"""Interface of the engines: a function from a log posterior to draws in its unconstrained coordinates."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Protocol

from bayesgmm.data.points import Points
from bayesgmm.data.streams import Stream
from bayesgmm.families.structures import COVARIANCES, without_chart
from bayesgmm.inference.mixtures import Mixture
from bayesgmm.model import MixtureModel
from bayesgmm.posterior.info import Setting
from bayesgmm.posterior.notes import EngineNotes
from bayesgmm.posterior.packing import Groups
from bayesgmm.posterior.parameters import Parameters
from bayesgmm.progress import ChainState
from bayesgmm.sweep.stats import Array
from bayesgmm.transforms.columns import ColumnTransforms


@dataclass(frozen=True)
class Estimate:
    """Result of an engine.

    Parameters
    ----------
    q : (chains, draws, P) float
        Unconstrained coordinates; a point estimate is one draw.
    stats : dict of (chains, draws) arrays
        Statistics of the draws by their ArviZ names. They include ``lp``, the log posterior, unless there are
        ``parameters``.
    warnings : tuple of str
        Warnings for the user.
    notes : EngineNotes
        Facts about the run that the result stores.
    groups : dict
        Additional groups of the fit: for each variable name, its dimensions and values.
    parameters : Parameters, optional
        Mixtures (chains, draws, ...) without coordinates. ``q`` is then empty, and the statistics include ``loglik``,
        the log likelihood.
    """

    q: Array
    stats: dict[str, Array]
    warnings: tuple[str, ...] = ()
    notes: EngineNotes = field(default_factory=EngineNotes)
    groups: Groups = field(default_factory=dict)
    parameters: Parameters | None = None


@dataclass(frozen=True)
class Run:
    """Facts about a run of an engine that the fit stores.

    Parameters
    ----------
    method : str
    settings : dict
        Every setting of the method.
    seed : int
    seconds : float
        Wall time.
    conflicts : list of str
        Warnings already given: conflicts of model and data.
    transforms : ColumnTransforms, optional
        Transforms of the columns.
    recovered : float
        Part of the time whose work was recovered from a checkpoint.
    """

    method: str
    settings: dict[str, Setting]
    seed: int
    seconds: float
    conflicts: list[str]
    transforms: ColumnTransforms | None = None
    recovered: float = 0.0

    def identity(self, model: MixtureModel, points: Points | Stream, start: Mixture | None) -> dict[str, object]:
        """Return what the fit depends on: two fits that are alike in it have the same result."""
        return {
            "bayesgmm": version("bayesgmm"),
            "data": points.fingerprint,
            "model": model.plain(),
            "method": self.method,
            "seed": self.seed,
            "settings": self.settings,
            "transform": None if self.transforms is None else self.transforms.model_dump(),
            "start": None
            if start is None
            else [part.tolist() for part in (start.weight, start.mean, start.core_roots)],
        }


@dataclass
class StartedChain:
    """State of a chain, for its progress bar.

    Parameters
    ----------
    total_draws, finished_draws : int
        Number of draws that it will make and has made, with those that tune it.
    tuning : bool
    divergences : int
    """

    total_draws: int
    finished_draws: int = 0
    tuning: bool = True
    divergences: int = 0


class Progress(Protocol):
    """Progress report of an engine."""

    def stage(self, text: str) -> None:
        """Report the current stage."""

    def chains(self, states: Sequence[ChainState]) -> None:
        """Report the state of nutpie's chains."""


def without_coordinates(model: MixtureModel) -> dict[str, str]:
    """Return the parts of a model without unconstrained coordinates, each with an alternative."""
    return without_chart(model.family)


def without_distribution(model: MixtureModel) -> dict[str, str]:
    """Return the prior of covariances of which only the mode is known, with an alternative.

    Examples
    --------
    >>> from bayesgmm.priors.covariances import WishartPrecision
    >>> without_distribution(MixtureModel(3, "VEV", covariances=WishartPrecision()))
    {"WishartPrecision of covariance='VEV'": 'covariances=DecomposedCovariance()'}
    """
    what = model.covariances.only_mode(model.family)
    return {what: "covariances=DecomposedCovariance()"} if what else {}


def without_a_point(model: MixtureModel) -> dict[str, str]:
    """Return the covariance structure if its coordinates can be rotated at a maximum, with an alternative."""
    family = model.family
    if family.chart is None or not family.chart.has_rotations:
        return {}
    return {f"covariance={model.covariance!r}": "covariance='full'"}


def without_conjugate_update(model: MixtureModel) -> dict[str, str]:
    """Return the covariance structure if it has no conjugate prior, with alternatives."""
    if model.family.is_conjugate:
        return {}
    names = (repr(name) for name, family in COVARIANCES.items() if family.is_conjugate)
    return {f"covariance={model.covariance!r}": f"covariance={' or '.join(names)}"}


def with_unknown_number(model: MixtureModel) -> dict[str, str]:
    """Return the part of a model that makes the number of components unknown, with an alternative.

    Examples
    --------
    >>> from bayesgmm.priors.weights import FiniteMixture
    >>> with_unknown_number(MixtureModel(10, weights=FiniteMixture()))
    {'FiniteMixture': 'weights=SparseDirichlet()'}
    """
    if not model.weights.draws_n_components:
        return {}
    return {type(model.weights).__name__: "weights=SparseDirichlet()"}


class Silent:
    """Progress report that shows nothing."""

    def stage(self, text: str) -> None:
        """Do nothing."""

    def chains(self, states: Sequence[ChainState]) -> None:
        """Do nothing."""
