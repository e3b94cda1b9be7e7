"""Online variational Bayes (``partial_fit``): points arrive in batches and are not kept."""

import os
import time
from dataclasses import dataclass, replace
from numbers import Real
from typing import TYPE_CHECKING, Self, override

import numpy as np

from bayesgmm.data.points import Points
from bayesgmm.declared import positive
from bayesgmm.engines import ENGINES
from bayesgmm.errors import DeclarationError, ForgottenData, warn
from bayesgmm.estimators import arguments
from bayesgmm.estimators.arguments import RandomState, declared
from bayesgmm.estimators.variational_search import Approximation, Start, best_ascent
from bayesgmm.inference.ascent_runs import AscentResult
from bayesgmm.inference.coordinate_ascent import Ascent
from bayesgmm.inference.engine import Run, Silent
from bayesgmm.inference.stochastic import Minibatches, natural_step
from bayesgmm.inference.variational import SHORT_RUN
from bayesgmm.model import as_model
from bayesgmm.posterior.log_posterior import LogPosterior

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator


@dataclass(frozen=True)
class Steps:
    """Step sizes, and the number of points that the posterior represents.

    Parameters
    ----------
    total : float, optional
        Total number of points in the stream. Default: the number seen so far.
    sizes : Minibatches
        Step sizes.
    """

    total: float | None
    sizes: Minibatches

    @classmethod
    def of(cls, estimator: "BaseEstimator") -> Self:
        """Read them from the parameters of an estimator.

        Raises
        ------
        DeclarationError
            If a parameter is not valid, or the method is not variational Bayes.
        """
        if estimator.method != "vb":
            raise DeclarationError(
                f"method={estimator.method!r} can't learn from a part of the points: partial_fit needs method='vb'\n"
                "  Or give all points to fit."
            )
        total, decay = estimator.total_samples, estimator.learning_decay
        if isinstance(decay, bool) or not isinstance(decay, Real) or not 0.5 < float(decay) <= 1:
            raise DeclarationError(
                f"learning_decay={decay!r}: must be more than 0.5 and at most 1, or the steps do not converge"
            )
        offset = arguments.not_negative("learning_offset", estimator.learning_offset)
        total = None if total is None else positive("total_samples", total)
        return cls(total, Minibatches(None, offset, float(decay)))

    def total_after(self, seen: float) -> float:
        """Number of points that the factors represent after ``seen`` points."""
        return seen if self.total is None else self.total


@dataclass(frozen=True)
class Stream(Approximation):
    """Factors after some batches; ``points`` has no rows.

    Parameters
    ----------
    seen : float
        Number of points seen so far.
    total : float
        Number of points that the factors represent.
    """

    seen: float
    total: float

    @classmethod
    def after(cls, approximation: Approximation) -> "Stream":
        """Treat a fit as the first batch of a stream."""
        if isinstance(approximation, Stream):
            return approximation
        seen = approximation.points.total_weight
        result = AscentResult(approximation.factors, [approximation.result.elbo], [1])
        return cls(
            approximation.points.forgotten(),
            approximation.model,
            approximation.standard,
            result,
            approximation.run,
            seen,
            seen,
        )

    @property
    @override
    def n_points(self) -> float:
        return self.total

    @property
    @override
    def lower_bounds(self) -> list[float]:
        return self.result.history

    @override
    def over_points(self, threads: int) -> Ascent:
        raise ForgottenData(
            "posterior_ needs the points, and partial_fit does not keep them\n"
            "  Use weights_, means_ and the other attributes, predict_proba or score_samples, or fit all points."
        )


def follow(estimator: "BaseEstimator", last: Approximation | None, points: Points, steps: Steps) -> Stream:
    """Update the factors with a batch: the first or a later one.

    Raises
    ------
    DataError, DeclarationError
        If the model does not fit the first batch, or has a prior that is not conjugate.
    """
    return first_batch(estimator, points, steps) if last is None else later_batch(last, points, steps)


def first_batch(estimator: "BaseEstimator", points: Points, steps: Steps) -> Stream:
    """Fit the first batch by coordinate ascent, with its weights scaled to represent all points.

    Raises
    ------
    DataError, DeclarationError
        If the model does not fit the batch, or has a prior that is not conjugate.
    """
    model = declared(estimator, points) if estimator.model is None else as_model(estimator.model)
    arguments.require_rows(points, model.n_components)
    ENGINES["vb"].require(model)
    density, began = LogPosterior.of(model, points), time.perf_counter()
    conflicts = density.model.contradictions(points.summary)
    warn(conflicts)
    total = steps.total_after(points.total_weight)
    ascent = Ascent(_weighted_up(density, points, total), os.cpu_count() or 1)
    start = Start(estimator.init_params, _random(estimator.random_state))
    best = best_ascent(ascent, lambda: start(ascent, points), estimator.n_init, SHORT_RUN, estimator.tol, Silent())
    settings = {"init_params": estimator.init_params, "total_samples": steps.total}
    run = Run("vb", settings, arguments.seed_of(estimator.random_state), time.perf_counter() - began, conflicts)
    # later steps need factors that are sums of statistics, which extrapolated ones are not
    elbo, factors = natural_step(ascent, best.factors, ascent.density.blocks, 1.0)
    result = AscentResult(factors, [elbo], [1])
    return Stream(points.forgotten(), density.model, density.standard, result, run, points.total_weight, total)


def later_batch(last: Approximation, points: Points, steps: Steps) -> Stream:
    """Update the factors with a later batch: rescale them to the new number of points, then take a step."""
    stream = Stream.after(last)
    seen = stream.seen + points.total_weight
    total, result = steps.total_after(seen), stream.result
    density = _weighted_up(stream.ascent.density, points, total)
    ascent = replace(stream.ascent.on(density), threads=os.cpu_count() or 1)
    factors = result.factors if total == stream.total else ascent.rescaled(result.factors, total / stream.total)
    elbo, factors = natural_step(ascent, factors, density.blocks, steps.sizes.rate(result.n_iter + 1))
    further = AscentResult(factors, [*result.history, elbo], [*result.batches, 1])
    return replace(stream, result=further, seen=seen, total=total)


def _weighted_up(density: LogPosterior, points: Points, total: float) -> LogPosterior:
    """Return the log posterior of other points in the same coordinates, with weights scaled to sum to ``total``."""
    weights = np.ones(len(points.values)) if points.weights is None else points.weights
    blocks = density.standard.blocks(points, weights * (total / points.total_weight))
    return replace(density, blocks=blocks)


def _random(random_state: RandomState) -> np.random.RandomState:
    from sklearn.utils import check_random_state

    return check_random_state(random_state)
