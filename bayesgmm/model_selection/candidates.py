"""Choices of a number of components and a covariance family: their fits by EM, and their criteria."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from threading import Event
from typing import Any

import numpy as np

from bayesgmm.data.points import Points
from bayesgmm.data.standards import Standard
from bayesgmm.data.streams import Stream
from bayesgmm.engines import ENGINES
from bayesgmm.errors import BayesGMMError, ComponentError
from bayesgmm.families.structures import family_named
from bayesgmm.inference.em import SWEEPS
from bayesgmm.inference.mixtures import Mixture
from bayesgmm.inference.searches import (
    Maximum,
    find_maximum,
    maximum_near,
)
from bayesgmm.inference.variational import highest_elbo
from bayesgmm.model import MixtureModel
from bayesgmm.posterior.criteria import information_criteria, n_parameters
from bayesgmm.posterior.log_posterior import LogPosterior
from bayesgmm.sweep.blocks import Blocks
from bayesgmm.sweep.stats import Array, responsibilities
from bayesgmm.transforms.columns import ColumnTransforms

Row = dict[str, Any]
BOUND = "vb"  # the engine whose ELBO is shown


@dataclass(frozen=True)
class Candidates:
    """The data and the settings of all fits.

    Parameters
    ----------
    points : Points or Stream
        In transformed columns, if there are transforms.
    layouts : dict
        Standardisation and standardised points: for families that need the same scale for all columns (True), and for
        the others.
    seed, n_init, sweeps : int
    criterion : str
        Criterion to sort by. Only if it is the ELBO, that is computed: it takes as long as all else.
    n_transforms : int
        Number of parameters of the transforms.
    log_jacobian : float
        Log likelihood in data units minus that in transformed columns.
    threads : int
        Number of threads of each fit.
    """

    points: Points | Stream
    layouts: dict[bool, tuple[Standard, Blocks]]
    seed: int
    n_init: int
    sweeps: int = SWEEPS
    criterion: str = "bic"
    n_transforms: int = 0
    log_jacobian: float = 0.0
    threads: int = 1

    @classmethod
    def transformed(
        cls,
        points: Points,
        transform: ColumnTransforms,
        covariances: Sequence[str],
        seed: int,
        n_init: int,
        **settings: Any,
    ) -> "Candidates":
        """Transform the points, and standardise them once for each kind of family."""
        slope = transform.log_slope(points.values)
        jacobian = float(slope.sum() if points.weights is None else points.weights @ slope)
        found = cls.of(transform.applied(points), covariances, seed, n_init, **settings)
        return replace(found, n_transforms=transform.n_parameters, log_jacobian=jacobian)

    @classmethod
    def of(
        cls, points: Points | Stream, covariances: Sequence[str], seed: int, n_init: int, **settings: Any
    ) -> "Candidates":
        """Standardise the points once for each kind of family."""
        _ = points.summary  # computed once, before the threads use it
        kinds = {family_named(name).needs_common_scale for name in covariances}
        standards = {common: Standard.of(points, common) for common in kinds}
        layouts = {c: (standard, standard.blocks(points, points.weights)) for c, standard in standards.items()}
        return cls(points, layouts, seed, n_init, **settings)

    def row(self, n_components: int, covariance: str, stop: Event) -> Row:
        """Fit one choice; return its criteria and its mixture, or the error."""
        model = MixtureModel(n_components=n_components, covariance=covariance)
        size = n_parameters(model.family, n_components, len(self.points.columns)) + self.n_transforms
        named: Row = {"n_components": n_components, "covariance": covariance, "n_parameters": size}
        try:
            standard, blocks = self.layouts[model.family.needs_common_scale]
            if self.points.labels is not None:
                self.points.labels.require(n_components)
            density = LogPosterior(model.resolve(self.points), blocks, standard)
            settings = (self.seed, self.n_init, stop, self.sweeps, self.threads)
            maximum = find_maximum(blocks, model.family, n_components, *settings)
            row = named | self._criteria(density.standard, blocks, maximum, size)
        except BayesGMMError as error:
            return named | {"problem": _plain(error)}
        return row | self._bound(density, row["problem"]) if self.criterion == "elbo" else row

    def near(self, row: Row, others: "Sequence[tuple[str, Mixture]]", stop: Event) -> Row:
        """Fit a choice again, from the assignments of mixtures of other families; return the better row."""
        family = family_named(row["covariance"])
        standard, blocks = self.layouts[family.needs_common_scale]
        try:
            maximum = maximum_near(blocks, family, [self._shares(*other) for other in others], stop, self.threads)
        except ComponentError:
            return row
        found = self._criteria(standard, blocks, maximum, row["n_parameters"])
        return row | found if found["loglik"] > row.get("loglik", -np.inf) else row

    def _shares(self, covariance: str, mixture: Mixture) -> Array:
        family = family_named(covariance)
        return responsibilities(self.layouts[family.needs_common_scale][1], mixture.table(family), self.threads)

    def _criteria(self, standard: Standard, blocks: Blocks, maximum: Maximum, size: int) -> Row:
        loglik = maximum.loglik - standard.log_units(blocks) + self.log_jacobian
        criteria = information_criteria(loglik, size, blocks.total_weight, maximum.entropy)
        problem = "" if maximum.converged else f"EM stopped after {maximum.n_iter} iterations before it converged."
        found = {"mixture": maximum.mixture, "undiscovered": maximum.undiscovered}
        return {"loglik": loglik, **criteria, "problem": problem, **found}

    def _bound(self, density: LogPosterior, problem: str) -> Row:
        engine = ENGINES[BOUND]
        if engine.refused(density.model):
            return {"problem": f"{problem} No elbo: variational Bayes can't fit this family.".strip()}
        try:
            bound = highest_elbo(density, self.seed, engine.defaults, self.threads)
        except BayesGMMError as error:
            return {"problem": f"{problem} No elbo: {_plain(error)}".strip()}
        return {"elbo": bound + _log_labellings(density) + self.log_jacobian}


def _log_labellings(density: LogPosterior) -> float:
    """Log of the number of equal labellings of the components: K!, or fewer with labels of rows."""
    sizes = [density.n_components] if density.groups is None else np.bincount(density.groups).tolist()
    return sum(math.lgamma(size + 1) for size in sizes)


def _plain(error: BayesGMMError) -> str:
    """Format the message of an error on one line."""
    return " ".join(str(error).split())
