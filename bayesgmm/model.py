"""Declaration of a mixture model: number of components, covariance family and priors."""

import json
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Annotated, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator, Field, SerializeAsAny, StrictInt, field_validator, model_validator

from bayesgmm.bundled import card_path as card_path  # public as bg.model.card_path and bg.model.cards
from bayesgmm.bundled import cards as cards
from bayesgmm.data.points import Points
from bayesgmm.data.streams import Stream
from bayesgmm.data.summaries import Summary
from bayesgmm.declared import Declared, by_name
from bayesgmm.errors import DataError, DeclarationError
from bayesgmm.families.factors import FactorAnalysers
from bayesgmm.families.family import Family
from bayesgmm.families.structures import chart_of, families_by_name, family_named
from bayesgmm.priors.backgrounds import Background
from bayesgmm.priors.covariances import (
    COVARIANCE_PRIORS,
    CovariancesPrior,
    DecomposedCovariance,
    MultiplicativeGamma,
    WishartPrecision,
)
from bayesgmm.priors.means import MEANS, MeansPrior, NormalMeans
from bayesgmm.priors.weights import WEIGHTS, Dirichlet, WeightsPrior
from bayesgmm.sweep.stats import Array
from bayesgmm.wording import in_short, number_in_words, plural

IntArray = NDArray[np.intp]


FAR = 100  # ratio of two scales above which one of them is probably a mistake


def _plain_integer(value: object) -> object:
    """Convert numpy's integers, as in ``for k in np.arange(1, 6)``; refuse several numbers."""
    if isinstance(value, Iterable) and not isinstance(value, str):
        raise ValueError(
            f"must be one number, got {in_short(value)}; to compare several, write select(data, n_components="
            "range(1, 10)), or weights=FiniteMixture() with the largest"
        )
    return int(value) if isinstance(value, np.integer) else value


class MixtureModel(Declared):
    r"""Mixture of Gaussians with priors, declared in the units of the data.

    .. math:: p(x) = \sum_{k=1}^K w_k \, \mathrm{Normal}(x \mid \mu_k, \Sigma_k)

    Parameters
    ----------
    n_components : int
        K, at least 1; the largest K for ``FiniteMixture``, which draws the number of components.
    covariance : str or FactorAnalysers
        ``'full'``, ``'tied'``, ``'diag'`` or ``'spherical'``: scikit-learn's words for its ``covariance_type``; or one
        of mclust's fourteen structures of volume, shape and orientation, for example ``'VEV'`` ('VVV' is 'full', 'EEE'
        'tied', 'VVI' 'diag', 'VII' 'spherical').
        Or ``FactorAnalysers(2)``, named ``'factors:2'``: two factors and noise, for many columns.
    weights : WeightsPrior
        ``Dirichlet``, ``SparseDirichlet``, ``DirichletProcess``, ``PitmanYor`` or ``FiniteMixture``.
    means : MeansPrior
        ``NormalMeans``, ``ConjugateMeans`` or ``HierarchicalMeans``. Parameters that are not given are set from the
        data; the fit stores their values.
    covariances : CovariancesPrior
        ``WishartPrecision`` or ``LKJCovariance``; for VEI, EVI, VEE, EVE, VVE, EEV, VEV and EVV
        ``DecomposedCovariance``, and for factor analysers ``MultiplicativeGamma``, which are their defaults. Parameters
        that are not given are set from the data.
    background : Background, optional
        A broad Gaussian with a fixed share of the density, so that outliers don't distort the components.

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

    @model_validator(mode="before")
    @classmethod
    def _with_prior_of_parts(cls, values: object) -> object:
        """Give factor analysers, and a structure by volume, shape and orientation, their default priors."""
        if not isinstance(values, Mapping) or "covariances" in values:
            return values
        name = values.get("covariance")
        try:
            if FactorAnalysers.named(name):
                return {**values, "covariances": MultiplicativeGamma()}
        except DeclarationError:  # reported with all other mistakes
            return values
        family = families_by_name().get(str(name))
        if family is None or family.is_conjugate:
            return values
        return {**values, "covariances": DecomposedCovariance()}

    @field_validator("covariance", mode="before")
    @classmethod
    def _known(cls, name: object) -> str:
        return family_named(name).name

    @model_validator(mode="after")
    def _with_a_prior_of_its_family(self) -> Self:
        self.covariances.require_family(self.family)
        return self

    @property
    def family(self) -> Family:
        """Covariance family."""
        return family_named(self.covariance)

    def resolve(self, points: Points | Stream) -> "MixtureModel":
        """Return the same model with explicit values for all parameters of the priors.

        Parameters
        ----------
        points : Points or Stream
            Data that determine the open parameters.

        Raises
        ------
        DataError
            When there are fewer points than components, or a default can't be computed from the data.
        DeclarationError
            When a prior does not fit the data, for example has another number of columns.
        """
        n_points = points.summary.n_points
        if n_points < self.n_components:
            raise DataError(
                f"{plural(n_points, 'row')} can't hold {self.n_components} components; "
                "give more rows or fewer components"
            )
        n_features = len(points.columns)
        per_component = n_features + self.family.size_per_component(n_features)
        weights = self.weights.resolve(self.n_components, per_component)
        n_clusters = weights.expected_clusters(self.n_components)
        resolved = {
            "weights": weights,
            "covariances": self.covariances.resolve(points.summary, self.family, n_clusters),
            "means": self.means.resolve(points.summary),
            "background": None if self.background is None else self.background.resolve(points),
        }
        return self.model_copy(update=resolved)

    def require_distribution(self) -> None:
        """Check that the priors are distributions: that the family has a chart, and the prior of the covariances draws.

        Raises
        ------
        DeclarationError
        """
        chart_of(self.family)
        self.covariances.require_distribution(self.family)

    def contradictions(self, data: Summary) -> list[str]:
        """Return warnings about resolved priors whose scale differs from that of the data by orders of magnitude."""
        sd, widths = np.sqrt(data.variance), self.means.width()
        locations = np.asarray(self.means.location)
        expected = np.broadcast_to(self.covariances.typical_sd(), sd.shape)
        words = partial(number_in_words, digits=3)
        messages = []
        for j, name in enumerate(data.columns):
            if not sd[j] > 0:
                continue
            if not sd[j] / (FAR * self.n_components) < expected[j] < FAR * sd[j]:
                messages.append(
                    f"column {name!r}: the prior expects a component's standard deviation near "
                    f"{words(expected[j])}, that of the whole column is {words(sd[j])}"
                )
            away = abs(data.midrange[j] - locations[j])
            if away + data.range[j] > FAR * widths[j] or widths[j] > FAR**2 * (away + data.range[j]):
                messages.append(
                    f"column {name!r}: the prior expects means within about {words(widths[j])} of "
                    f"{words(locations[j])}, the midrange of the column is "
                    f"{words(data.midrange[j])} and its range {words(data.range[j])}"
                )
        return [f"{message}. Is the prior in the data's units?" for message in messages]

    def require_labels(self) -> None:
        """Check that rows may have labels: that the priors leave each component its number.

        Raises
        ------
        DeclarationError
            When they order the components by their weights or means, or draw their number.
        """
        name = type(self.weights).__name__
        refused = {
            "means that are ordered": self.means.is_ordered and self.n_components > 1,
            f"weights={name}(), which expects the heaviest component first": self.weights.heaviest_first,
            f"weights={name}(), which draws the number of components": self.weights.draws_n_components,
        }
        if found := [what for what, is_used in refused.items() if is_used]:
            raise DeclarationError(
                f"labels give components their numbers, and can't be combined with {found[0]}\n"
                "  Use means without ordered=True, and weights=Dirichlet() or SparseDirichlet()."
            )

    def order(self, weight: Array, mean: Array) -> IntArray:
        """Return the order (K,) in which the priors expect components of these weights (K,) and means (K, D)."""
        if self.means.is_ordered:
            return np.argsort(mean[:, 0], kind="stable")
        return np.argsort(-weight, kind="stable") if self.weights.heaviest_first else np.arange(weight.size)

    def to_toml(self) -> str:
        """Return the declaration as the ``[mixture]`` table of a card.

        Examples
        --------
        >>> print(MixtureModel(2).to_toml().splitlines()[1])
        n_components = 2
        """
        import tomli_w

        return tomli_w.dumps({"mixture": self.plain()})


def as_model(value: object, data: object = None) -> MixtureModel:
    """Validate an argument that must be a declaration, and is followed by data.

    Raises
    ------
    DeclarationError
        When it is anything else.

    Examples
    --------
    >>> as_model([[0.0], [1.0]], MixtureModel(2))
    Traceback (most recent call last):
        ...
    bayesgmm.errors.DeclarationError: the data are given before the model; give the model first, as in fit(model, data)
    """
    if isinstance(value, MixtureModel):
        return value
    if isinstance(data, MixtureModel):
        raise DeclarationError("the data are given before the model; give the model first, as in fit(model, data)")
    raise DeclarationError(f"model={in_short(value)}: must be a MixtureModel, for example MixtureModel(n_components=3)")


def model_from_json(text: str) -> MixtureModel:
    """Read a declaration that a fit has stored as JSON."""
    return MixtureModel.parse(json.loads(text), "the stored declaration")
