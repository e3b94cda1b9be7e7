"""Steps of expectation maximisation (EM): plain, or accelerated, until the remaining gain is small."""

from dataclasses import dataclass, replace

import numpy as np

from bayesgmm.errors import ComponentError
from bayesgmm.families.family import Family
from bayesgmm.inference.acceleration import ROUNDING, remaining_gain
from bayesgmm.inference.em_kernels import CONVERGED, IRREGULAR
from bayesgmm.inference.extrapolation import extrapolate
from bayesgmm.inference.mixtures import CovariancePrior, Mixture, maximise
from bayesgmm.inference.native_em import NativeEM
from bayesgmm.inference.quasi_newton import Anchor, ascend
from bayesgmm.sweep.blocks import Blocks
from bayesgmm.sweep.stats import Array, fold

PATIENCE = 10  # if EM needs more further iterations than this, faster steps replace them
EXTRAPOLATED = 300  # maximum number of compiled sweeps, if quasi-Newton steps can follow
AHEAD = 0.3  # share of the wanted gap that extrapolation leaves: it costs a few sweeps, and the mixture is closer
CLEAR = 1e-3  # a floor below this share of every variance does not change the maximum


@dataclass(frozen=True)
class Sweep:
    """One EM iteration over some data.

    Parameters
    ----------
    blocks : Blocks
    family : Family
    prior : CovariancePrior, optional
        Prior under which each M step finds the mode.
    floor : (D,) float, optional
        Added to the variances in each M step, in the coordinates of the blocks.
    threads : int
        Number of threads; the result does not depend on it.

    Raises
    ------
    DeclarationError
        If there are too few columns for the family.
    """

    blocks: Blocks
    family: Family
    prior: CovariancePrior | None = None
    floor: Array | None = None
    threads: int = 1

    def __post_init__(self) -> None:
        self.family.require_columns(self.blocks.n_features)

    def __call__(self, mixture: Mixture) -> tuple[float, Mixture]:
        """Return the total log likelihood of a mixture, in the coordinates of the blocks, and the updated mixture.

        Raises
        ------
        EmptyComponent, DegenerateComponent
            If a component can't be estimated in spite of the prior and the floor.
        """
        self.watch()
        stats = fold(self.blocks, mixture.table(self.family), self.threads)
        return stats.loglik, maximise(self.family, stats, self.prior, self.floor, mixture.core_roots)

    def native(self, n_components: int) -> NativeEM | None:
        """Return compiled EM for mixtures of K components; None if the problem is not of its kind."""
        found = NativeEM(self.blocks, self.family, n_components, self.prior, self.floor)
        return found if type(self).__call__ is Sweep.__call__ and found.suits() else None

    def watch(self) -> None:
        """Do nothing: called before each sweep; a subclass may raise an error to stop."""

    def is_smooth(self, mixture: Mixture) -> bool:
        """True if EM maximises the likelihood itself here, so that faster steps may be judged by the likelihood."""
        if self.prior is not None:
            return False
        if self.floor is None:
            return True
        variance = np.diagonal(self.family.matrices(mixture.core_roots, *mixture.mean.shape), axis1=1, axis2=2)
        return bool((self.floor < CLEAR * variance).all())


@dataclass(frozen=True)
class EMResult:
    """Result of EM.

    Parameters
    ----------
    mixture : Mixture
    loglik : float
        Total log likelihood, in the coordinates of the blocks.
    n_iter : int
        Number of passes over all data.
    converged : bool
    history : tuple of float
        Log likelihood after each step.
    undiscovered : float
        As in ``Maxima``, of the search from which EM started; zero without a search.
    """

    mixture: Mixture
    loglik: float
    n_iter: int
    converged: bool
    history: tuple[float, ...] = ()
    undiscovered: float = 0.0


def take_steps(
    sweep: Sweep, start: Mixture, max_iter: int = 1000, tol: float = 1e-8, patience: float = np.inf
) -> EMResult:
    """Run plain EM until the remaining gain is less than ``tol`` in mean log likelihood.

    Aitken's extrapolation estimates the remaining gain.

    Parameters
    ----------
    sweep : Sweep
    start : Mixture
    max_iter : int
        Maximum number of iterations.
    tol : float
        Remaining gain in mean log likelihood, in nats, at which EM has converged.
    patience : float
        Stop before convergence if more further steps than this are expected.

    Raises
    ------
    EmptyComponent, DegenerateComponent
        If a component can't be estimated in spite of the prior and the floor.
    """
    wanted = tol * max(1.0, sweep.blocks.total_weight)
    history: list[float] = []
    mixture = start
    if (native := sweep.native(len(start.weight))) is not None and max_iter:
        sweep.watch()
        why, mixture, history = native.take_steps(start, max_iter, wanted, patience)
        if why != IRREGULAR:
            return EMResult(mixture, history[-1], len(history), why == CONVERGED, tuple(history))
    gains = np.abs(np.diff(history)).tolist()
    for iteration in range(len(history) + 1, max_iter + 1):
        loglik, following = sweep(mixture)
        gains += [abs(loglik - history[-1])] if history else []
        history.append(loglik)
        left, rate = remaining_gain(gains)
        if left < wanted or (gains and gains[-1] < ROUNDING * abs(loglik)):
            return EMResult(mixture, loglik, iteration, True, tuple(history))
        if left < np.inf and np.log(wanted / left) / np.log(rate) > patience:
            return EMResult(mixture, loglik, iteration, False, tuple(history))
        mixture = following
    return EMResult(mixture, history[-1], max_iter, False, tuple(history))


def run(sweep: Sweep, start: Mixture, max_iter: int = 1000, tol: float = 1e-8) -> EMResult:
    """Run EM, with faster steps if it is slow, until the remaining gain in mean log likelihood is below ``tol``.

    The likelihood never falls. Each phase of faster steps ends with an EM step, which raises the errors of EM.

    Raises
    ------
    EmptyComponent, DegenerateComponent
        If a component can't be estimated in spite of the prior and the floor.
    """
    result = accelerate(sweep, take_steps(sweep, start, max_iter, tol, PATIENCE), max_iter, tol)
    if result.converged or result.n_iter >= max_iter:
        return result
    return _joined(result, take_steps(sweep, result.mixture, max_iter - result.n_iter, tol))


def accelerate(sweep: Sweep, result: EMResult, max_iter: int, tol: float) -> EMResult:
    """Continue an EM result by quasi-Newton steps, or under further restrictions by extrapolation, to convergence."""
    result, phases = _extrapolated(sweep, result, max_iter, tol), 0
    while not result.converged and result.n_iter + 2 < max_iter and sweep.is_smooth(result.mixture):
        try:
            further = _phase(sweep, result, phases, max_iter, tol)
        except ComponentError:  # plain EM may still succeed
            break
        if len(further.history) == len(result.history):
            break
        result, phases = further, phases + 1
    return result


def _extrapolated(sweep: Sweep, result: EMResult, max_iter: int, tol: float) -> EMResult:
    """Continue a small problem by compiled extrapolation in phases, after each of which plain steps check convergence.

    If quasi-Newton steps can follow, at most EXTRAPOLATED sweeps are made: where EM is very slow, those are faster.
    """
    native, wanted = sweep.native(len(result.mixture.weight)), tol * max(1.0, sweep.blocks.total_weight)
    last = max_iter if sweep.family.changes is None else min(max_iter, result.n_iter + EXTRAPOLATED)
    while native and not result.converged and result.n_iter + 2 < last and sweep.is_smooth(result.mixture):
        sweep.watch()
        mixture, history, sweeps = native.extrapolate(result.mixture, AHEAD * wanted, last - result.n_iter)
        reached = EMResult(mixture, history[-1], result.n_iter + sweeps, False, (*result.history, *history))
        if reached.n_iter >= max_iter:
            return reached
        try:
            result = _joined(reached, take_steps(sweep, mixture, max_iter - reached.n_iter, tol, PATIENCE))
        except ComponentError:  # plain EM may still succeed
            break
    return result


def _joined(result: EMResult, rest: EMResult) -> EMResult:
    return replace(rest, n_iter=result.n_iter + rest.n_iter, history=result.history + rest.history)


def _phase(sweep: Sweep, result: EMResult, phase: int, max_iter: int, tol: float) -> EMResult:
    """Run one phase of faster steps; converged if both its estimated gap and its gain are below ``tol``."""
    wanted, room = tol * max(1.0, sweep.blocks.total_weight), max_iter - result.n_iter - 2
    if sweep.family.changes is None:
        reached = extrapolate(sweep, sweep.family, result.mixture, wanted, room)
    else:
        n = fold(sweep.blocks, result.mixture.table(sweep.family), sweep.threads).n
        anchor = Anchor(sweep.blocks, sweep.family, result.mixture, np.maximum(n, 1.0), sweep.threads)
        reached = ascend(anchor, wanted, phase, room)
    loglik, _ = sweep(reached.mixture)
    over = reached.gap < wanted and loglik - result.loglik < wanted
    n_iter = result.n_iter + reached.evaluations + 2
    return EMResult(reached.mixture, loglik, n_iter, over, (*result.history, *reached.history))
