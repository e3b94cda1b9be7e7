"""The declaration: what a mixture is believed to be, before any data; in Python and as a TOML card."""

import json
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator, Field, SerializeAsAny, StrictInt, field_validator

from bayesgmm._declared import Declared, by_name
from bayesgmm.card_data import DataCard
from bayesgmm.data.points import Points, Summary
from bayesgmm.errors import CardError, DataError, DeclarationError, choose
from bayesgmm.families.structures import COVARIANCES, Family
from bayesgmm.lessons import Lesson
from bayesgmm.priors.backgrounds import Background
from bayesgmm.priors.covariances import COVARIANCE_PRIORS, CovariancesPrior, WishartPrecision
from bayesgmm.priors.means import MEANS, MeansPrior, NormalMeans
from bayesgmm.priors.weights import WEIGHTS, Dirichlet, WeightsPrior
from bayesgmm.sweep.stats import Array
from bayesgmm.wording import plural

IntArray = NDArray[np.intp]


FAR = 100  # a ratio of scales beyond which one of them must be a mistake


def _plain_integer(value: Any) -> Any:
    """Numpy's integers are integers: ``for k in np.arange(1, 6)``."""
    return int(value) if isinstance(value, np.integer) else value


class MixtureModel(Declared):
    r"""A mixture of Gaussians with priors, declared in the data's own units.

    .. math:: p(x) = \sum_{k=1}^K w_k \, \mathrm{Normal}(x \mid \mu_k, \Sigma_k)

    Parameters
    ----------
    n_components : int
        K, at least 1.
    covariance : str
        ``'full'``, ``'tied'``, ``'diag'`` or ``'spherical'``: scikit-learn's words for its ``covariance_type``.
    weights : WeightsPrior
        ``Dirichlet``, ``SparseDirichlet``, ``DirichletProcess`` or ``PitmanYor``.
    means : MeansPrior
        ``NormalMeans``, ``ConjugateMeans`` or ``HierarchicalMeans``. What it leaves open is resolved from the data, to
        numbers that the fit stores.
    covariances : CovariancesPrior
        ``WishartPrecision`` or ``LKJCovariance``; resolved likewise.
    background : Background, optional
        A broad Gaussian that takes a fixed share of the density, so that outliers don't bend the components.

    Raises
    ------
    DeclarationError
        All mistakes at once.

    Examples
    --------
    >>> MixtureModel(n_components=3).covariance
    'full'
    >>> MixtureModel(n_components=0)
    Traceback (most recent call last):
        ...
    bayesgmm.errors.DeclarationError: MixtureModel(...) has 1 problem
      n_components: must be greater than 0, got 0
    """

    n_components: Annotated[StrictInt, BeforeValidator(_plain_integer), Field(gt=0)]
    covariance: str = "full"
    weights: Annotated[SerializeAsAny[WeightsPrior], by_name(WEIGHTS)] = Dirichlet()
    means: Annotated[SerializeAsAny[MeansPrior], by_name(MEANS)] = NormalMeans()
    covariances: Annotated[SerializeAsAny[CovariancesPrior], by_name(COVARIANCE_PRIORS)] = WishartPrecision()
    background: Background | None = None

    @field_validator("covariance")
    @classmethod
    def _known(cls, name: str) -> str:
        choose(name, COVARIANCES, "covariance")
        return name

    @property
    def family(self) -> Family:
        """The covariance family."""
        return COVARIANCES[self.covariance]

    def resolve(self, points: Points) -> "MixtureModel":
        """The same model with every number explicit.

        Raises
        ------
        DataError
            When there are fewer points than components, or the data can't set a default.
        """
        n_points = points.summary.n_points
        if n_points < self.n_components:
            raise DataError(
                f"{plural(n_points, 'row')} can't hold {self.n_components} components; "
                "give more rows or fewer components"
            )
        n_features = len(points.columns)
        per_component = n_features + (0 if self.family.tied else self.family.size(1, n_features))
        resolved = {
            "weights": self.weights.resolve(self.n_components, per_component),
            "covariances": self.covariances.resolve(points.summary, self.family, self.n_components),
            "means": self.means.resolve(points.summary),
            "background": None if self.background is None else self.background.resolve(points),
        }
        return self.model_copy(update=resolved)

    def contradictions(self, data: Summary) -> list[str]:
        """Where the resolved priors and the data differ in scale by orders of magnitude, in words."""
        sd, widths = np.sqrt(data.variance), self.means.width()
        locations = np.asarray(self.means.location)
        expected = np.broadcast_to(self.covariances.typical_sd(), sd.shape)
        found = []
        for j, name in enumerate(data.columns):
            if not sd[j] > 0:
                continue
            if not sd[j] / (FAR * self.n_components) < expected[j] < FAR * sd[j]:
                found.append(
                    f"column {name!r}: the prior expects a component's standard deviation near {expected[j]:.3g}, the "
                    f"whole column's is {sd[j]:.3g}"
                )
            away = abs(data.midrange[j] - locations[j])
            if away + data.range[j] > FAR * widths[j] or widths[j] > FAR**2 * (away + data.range[j]):
                found.append(
                    f"column {name!r}: the prior expects means within some {widths[j]:.3g} of {locations[j]:.3g}, the "
                    f"column's middle is {data.midrange[j]:.3g} and its range {data.range[j]:.3g}"
                )
        return [f"{message}. Is the prior in the data's units?" for message in found]

    def order(self, weight: Array, mean: Array) -> IntArray:
        """(K,) the order in which the priors expect components of these weights (K,) and means (K, D)."""
        if self.means.is_ordered:
            return np.argsort(mean[:, 0], kind="stable")
        return np.argsort(-weight, kind="stable") if self.weights.heaviest_first else np.arange(weight.size)

    def to_toml(self) -> str:
        """The declaration as a card's ``[mixture]`` table."""
        import tomli_w

        return tomli_w.dumps({"mixture": self.plain()})


def as_model(value: Any) -> MixtureModel:
    """A declaration, or what to give instead.

    Raises
    ------
    DeclarationError
    """
    if not isinstance(value, MixtureModel):
        raise DeclarationError(f"model={value!r}: must be a MixtureModel, for example MixtureModel(n_components=3)")
    return value


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


def card_path(name: str) -> Path:
    """Where a bundled card is: in the installed package, or beside it in a checkout."""
    return choose(name, cards(), "card")


def cards() -> dict[str, Path]:
    """The bundled cards by name."""
    package = Path(__file__).parent
    folders = [package / "models", package.parent / "models"]
    return {path.stem: path for folder in folders for path in sorted(folder.glob("*.toml"))}


def model_from_json(text: str) -> MixtureModel:
    """Read back a declaration that a fit has stored."""
    return MixtureModel.parse(json.loads(text), "the stored declaration")
