"""Predictions of a Bayesian mixture: from its draws, or from the factors of variational Bayes."""

import os
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from bayesgmm import inference
from bayesgmm.blas import one_blas_thread
from bayesgmm.data.points import Points
from bayesgmm.errors import DeclarationError
from bayesgmm.estimators import continuation
from bayesgmm.estimators.density import Labels, MixtureEstimator
from bayesgmm.estimators.variational_search import Approximation
from bayesgmm.inference.engine import Silent
from bayesgmm.inference.variational import estimate
from bayesgmm.posterior.criteria import n_parameters
from bayesgmm.posterior.info import info
from bayesgmm.posterior.schema import Posterior, unpack
from bayesgmm.predictions.densities import DRAWS
from bayesgmm.predictions.predictive import assignments, log_mean_density
from bayesgmm.predictions.replication import simulate_labelled
from bayesgmm.sweep.stats import Array, log_densities, responsibilities

if TYPE_CHECKING:
    import xarray as xr

FORGOTTEN = ("weight_concentration_", "mean_precision_", "degrees_of_freedom_", "lower_bound_", "lower_bounds_")


class PosteriorEstimator(MixtureEstimator):
    """Estimator of a posterior: a fit, or the factors of variational Bayes, from which the fit is made when needed."""

    _posterior: "xr.DataTree | None"
    _approximation: Approximation | None
    _declared: dict[str, Any]
    means_: Array

    def _set(self, tree: "xr.DataTree | None", approximation: Approximation | None) -> None:
        """Set the fit or the factors that predictions use; delete attributes of an earlier fit."""
        for name in FORGOTTEN:
            self.__dict__.pop(name, None)
        self._posterior, self._approximation = tree, approximation
        self._declared = continuation.declared_by(self)

    def __dir__(self) -> list[str]:
        """List attributes without ``posterior_`` before its first access: scikit-learn evaluates all listed ones."""
        made = getattr(self, "_posterior", None) is not None
        listed = (name for name in object.__dir__(self) if made or name != "posterior_")
        return [name for name in listed if hasattr(self, name)]

    @property
    def posterior_(self) -> "xr.DataTree":
        """Fit as draws from the posterior, components sorted by weight, largest first.

        Raises
        ------
        DataError
            If the fitted array has changed since the fit.
        ForgottenData
            After ``partial_fit``.
        """
        check_is_fitted(self)
        if self._posterior is None:
            assert self._approximation is not None  # a fit sets one of the two
            self._posterior = _drawn(self._approximation)
        return self._posterior

    def _log_density(self, points: Points) -> Array:
        approximation = self._approximation
        if approximation is None:
            return log_mean_density(self.posterior_, points.values)
        blocks = approximation.standard.blocks(points)
        log = log_densities(blocks, approximation.table, os.cpu_count() or 1)[0]
        return log - approximation.standard.log_scales(blocks)

    def _probability(self, points: Points) -> Array:
        approximation = self._approximation
        if approximation is None:
            return assignments(self.posterior_, points.values)["probability"].values
        return responsibilities(approximation.standard.blocks(points), approximation.table, os.cpu_count() or 1)

    def _draw(self, size: int, random: np.random.RandomState) -> tuple[Array, Labels]:
        seeded = np.random.default_rng(random.randint(2**31 - 1))
        approximation = self._approximation
        if approximation is None:
            posterior = unpack(self.posterior_)
        else:
            posterior = Posterior(
                approximation.draw(seeded, DRAWS), approximation.points.columns, approximation.standard
            )
        x, labels = simulate_labelled(posterior, size, seeded)
        order = np.argsort(labels, kind="stable")
        return x[order], labels[order]

    def _n_parameters(self, criterion: str) -> int:
        facts = None if self._posterior is None else info(self._posterior)
        if facts is None or facts.notes.maximum != "likelihood" or facts.model is None:
            raise DeclarationError(
                f"{criterion} needs the maximum of the likelihood, and method={self._declared['method']!r} does not "
                "return it\n  Use method='em' or GaussianMixture. Compare Bayesian fits by lower_bound_ (method='vb'), "
                "or by bayesgmm.compare and bayesgmm.evidence of their posterior_."
            )
        return n_parameters(facts.model.family, *self.means_.shape)


def _drawn(approximation: Approximation) -> "xr.DataTree":
    """Make a fit with draws from the factors and the quality of the approximation."""
    run, threads, began = approximation.run, os.cpu_count() or 1, time.perf_counter()
    ascent, draws = approximation.over_points(threads), run.settings["draws"]
    assert isinstance(draws, int)  # of the engine's settings
    with one_blas_thread():
        drawn = estimate(ascent, approximation.result, draws, run.seed, Silent())
    run = replace(run, seconds=run.seconds + time.perf_counter() - began)
    return inference.finish(ascent.density, approximation.points, drawn, run, threads)
