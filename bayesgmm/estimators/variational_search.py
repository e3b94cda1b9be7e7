"""Variational Bayes with the conventions of scikit-learn: initialisation, convergence criterion, names of the factors.

``tol`` has scikit-learn's meaning: the change of the total lower bound from one iteration to the next.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from bayesgmm.data.points import Points
from bayesgmm.data.standards import Standard
from bayesgmm.dispatch import by_class
from bayesgmm.errors import DataError, NotConjugate
from bayesgmm.estimators import shapes
from bayesgmm.estimators.initialisation import assign, statistics, without_weightless
from bayesgmm.inference.ascent_runs import AscentResult, Rule, ascend, run_to_convergence
from bayesgmm.inference.component_factors import Components
from bayesgmm.inference.conjugate import Wisharts, outer
from bayesgmm.inference.coordinate_ascent import Ascent, Factors
from bayesgmm.inference.engine import Progress, Run
from bayesgmm.inference.mixtures import closest_wishart, maximise
from bayesgmm.inference.stochastic import Minibatches
from bayesgmm.inference.variational import find
from bayesgmm.model import MixtureModel
from bayesgmm.posterior.log_posterior import LogPosterior
from bayesgmm.posterior.parameters import Parameters
from bayesgmm.priors.weights import Dirichlet, FiniteMixture, SparseDirichlet, StickBreaking, WeightsPrior
from bayesgmm.sweep.blocks import Blocks
from bayesgmm.sweep.stats import Array, Table

PLAIN = 10  # number of plain iterations, equal to scikit-learn's, before the first extrapolation


def _settled(history: list[float], tol: float) -> bool:
    return len(history) > 1 and abs(history[-1] - history[-2]) < tol


SCIKIT_LEARN = Rule(PLAIN, _settled)


@dataclass(frozen=True)
class Approximation:
    """Result of variational Bayes: the factors, with the data and the model they belong to.

    Parameters
    ----------
    points : Points
        The data (not a copy).
    model : MixtureModel
        Resolved.
    standard : Standard
    result : AscentResult
    run : Run
    """

    points: Points
    model: MixtureModel
    standard: Standard
    result: AscentResult
    run: Run

    @cached_property
    def ascent(self) -> Ascent:
        """Updates of the factors, for formulas that need no data."""
        nowhere = Blocks.from_rows(np.zeros((1, self.standard.shift.size)))
        return Ascent(LogPosterior(self.model, nowhere, self.standard))

    def over_points(self, threads: int) -> Ascent:
        """Return the updates of the factors with the data.

        Raises
        ------
        DataError
            If the fitted array has changed since the fit.
        """
        points = self.points
        if not np.array_equal(replace(points).centre_and_sd, points.centre_and_sd):  # a copy that has nothing cached
            raise DataError(
                "the array has changed since it was fitted\n  Read posterior_ before you change it, or fit a copy."
            )
        blocks = self.standard.blocks(points, points.weights)
        return Ascent(LogPosterior(self.model, blocks, self.standard), threads)

    @property
    def n_points(self) -> float:
        """Number of points that the factors represent: the total weight of the rows."""
        return self.points.total_weight

    @property
    def factors(self) -> Factors:
        """Variational factors, in standardised coordinates."""
        return self.result.factors

    @cached_property
    def table(self) -> Table:
        """Expected natural parameters, in standardised coordinates."""
        return self.ascent.table(self.factors)

    def draw(self, rng: np.random.Generator, size: int) -> Parameters:
        """Draw independent mixtures (size,) from the factors, in data units."""
        return self.ascent.density.parameters(self.ascent.draw(rng, self.factors, size)[0])

    @property
    def lower_bounds(self) -> list[float]:
        """Bound after each iteration, in nats; without that of the start, which minibatches do not record."""
        return self.result.history[int(self.result.batches[0] == 1) :]

    # -- scikit-learn's names --

    @property
    def weights(self) -> Array:
        """Expected weights (K,)."""
        return self.ascent.weights.mean_weight(self.factors.shares)

    @property
    def weight_concentration(self) -> Array | tuple[Array, Array]:
        """Parameters (K,) of a Dirichlet, or both parameters (K,) of the sticks."""
        return weight_concentration(self.model.weights, self.factors.shares)

    @property
    def means(self) -> Array:
        """Expected means (K, D)."""
        return self.factors.components.mean * self.standard.scale + self.standard.shift

    @property
    def mean_precision(self) -> Array | None:
        """Equivalent number of points (K,) of each mean; None if means and precisions have independent factors."""
        return self.ascent.means.pseudo_counts(self.factors.components)

    @property
    def degrees_of_freedom(self) -> Array | np.float64:
        """Degrees of freedom (K,) of each precision's Wishart, or one number if it is tied."""
        return self.model.family.sharing.squeezed(self.factors.components.precision.dof[:, 0].copy())

    @property
    def precisions_cholesky(self) -> Array:
        """Factors of the expected precisions."""
        family, (n_components, n_features) = self.model.family, self.factors.components.mean.shape
        roots = self.factors.components.precision.root.reshape(family.core_shape(n_components, n_features))
        return shapes.precisions_cholesky(roots, family, self.standard)


@by_class
def weight_concentration(prior: WeightsPrior, shares: Array) -> Array | tuple[Array, Array]:
    """Return scikit-learn's ``weight_concentration_``, given the parameters (M, J) of the shares' factors."""
    raise NotImplementedError


@weight_concentration.register
def _dirichlet(prior: Dirichlet | SparseDirichlet, shares: Array) -> Array:
    return shares[0].copy()


@weight_concentration.register
def _sticks(prior: StickBreaking, shares: Array) -> tuple[Array, Array]:
    """Both parameters of each stick; the last takes all that is left: Beta(1, 0)."""
    return np.append(shares[:, 0], 1.0), np.append(shares[:, 1], 0.0)


@weight_concentration.register
def _finite(prior: FiniteMixture, shares: Array) -> Array:
    raise NotConjugate("FiniteMixture", "weights=SparseDirichlet()")


@dataclass(frozen=True)
class Start:
    """Initialisation of an ascent.

    Parameters
    ----------
    init_params : str
        Initialisation method, by its name in scikit-learn.
    random : RandomState
        Source of random numbers, used in scikit-learn's order.
    last : Factors, optional
        Factors of an earlier fit to continue from.
    """

    init_params: str
    random: np.random.RandomState
    last: Factors | None = None

    def __call__(self, ascent: Ascent, points: Points) -> Factors:
        """Compute the factors after the points are assigned; sticks are sorted."""
        if self.last is not None:
            return self.last
        density = ascent.density
        counted = density.standard.filled(without_weightless(points))
        n_components, family, standard = density.n_components, density.model.family, density.standard
        assigned = assign(self.init_params, counted, n_components, self.random, standard, family)
        stats = statistics(counted, assigned, n_components, standard, family)
        prior = closest_wishart(density.model.covariances, standard, family)
        factors = ascent.given(maximise(family, stats, prior), stats)
        return ascent.sort_sticks(factors) if density.model.weights.heaviest_first else factors


def search(ascent: Ascent, points: Points, chosen: dict[str, Any], start: Start, progress: Progress) -> AscentResult:
    """Maximise the ELBO under the settings of the engine; minibatches use the engine's own starts.

    Raises
    ------
    DegenerateComponent
        If the scale of a precision is singular to working precision.
    """
    n_init, max_iter, tol = (chosen[name] for name in ("n_init", "max_iter", "tol"))
    batches = Minibatches(chosen["batch_size"], chosen["delay"], chosen["forget"])
    if batches.fewer_than(len(points.values)):
        seed = int(start.random.randint(2**31 - 1))
        return find(ascent, seed, progress, n_init=n_init, max_iter=max_iter, tol=tol, batches=batches)
    starts = n_init if start.last is None else 1
    return best_ascent(ascent, lambda: start(ascent, points), starts, max_iter, tol * points.total_weight, progress)


def best_ascent(
    ascent: Ascent, first_factors: Callable[[], Factors], n_init: int, max_iter: int, tol: float, progress: Progress
) -> AscentResult:
    """Return the best of ``n_init`` ascents, each of at most ``max_iter`` iterations after its start.

    Ctrl-C keeps the best so far.

    Raises
    ------
    DegenerateComponent
        If the scale of a precision is singular to working precision.
    """
    best: AscentResult | None = None
    for number in range(n_init):
        progress.stage(f"variational Bayes, start {number + 1} of {n_init}")
        first = ascend(ascent, first_factors(), max_iter + 1, tol, progress, SCIKIT_LEARN)
        result = run_to_convergence(ascent, first, max_iter + 1, tol, progress, SCIKIT_LEARN)
        best = result if best is None or result.elbo > best.elbo else best
        if result.interrupted:
            best = replace(best, converged=False, interrupted=True)
            break
    assert best is not None  # n_init is at least one
    return best


def carried_over(last: Approximation | None, ascent: Ascent) -> Factors | None:
    """Convert the factors of an earlier fit to new coordinates; None if their shapes or priors differ."""
    if last is None:
        return None
    old, new, factors = last.ascent, ascent, last.factors
    if old.layout != new.layout or not _alike(old.density.model, new.density.model):
        return None
    stretch = last.standard.scale / new.density.standard.scale
    ratio = outer(new.layout.vectors(stretch))
    now = factors.components
    mean = (last.means - new.density.standard.shift) / new.density.standard.scale
    spread = now.spread if now.spread.ndim == 1 else now.spread / ratio
    scale = now.precision.scale * ratio[: now.precision.scale.shape[1]]
    return replace(factors, components=Components(mean, spread, Wisharts(now.precision.dof, scale)))


def _alike(one: MixtureModel, other: MixtureModel) -> bool:
    """Return True if the factors of the two models have the same form."""
    kinds = [(type(model.weights), type(model.means), model.weights.n_extra) for model in (one, other)]
    return kinds[0] == kinds[1]
