"""The compiled sweeps of a conjugate declaration, and what they cost."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np

from bayesgmm.errors import DataError
from bayesgmm.families.factor_chart_kernels import FACTORS
from bayesgmm.inference import em
from bayesgmm.inference.conditionals import exchangeable, law_of
from bayesgmm.inference.draw_kernels import FINITE
from bayesgmm.inference.factor_gibbs_kernels import factor_sweeps
from bayesgmm.inference.gibbs_kernels import gibbs_sweeps
from bayesgmm.inference.gibbs_move_kernels import split_merge_sweeps
from bayesgmm.inference.gibbs_state_kernels import Law, Schedule
from bayesgmm.inference.mean_orders import unordered
from bayesgmm.inference.telescoping_kernels import telescoping_sweeps
from bayesgmm.posterior.log_posterior import LogPosterior
from bayesgmm.sweep.layout import IntArray
from bayesgmm.sweep.stats import Array

PERIOD = 4  # sweeps from one with split-merge moves to the next, where the number of components is fixed
LATENT_PERIOD = 2  # the same for points with latent cells, whose sweeps take longer, and whose moves do not
MOVES_COST = 2  # time of the moves of a sweep, relative to the rest
_NOWHERE = np.empty((0, 0)), np.empty(0)  # draws that are not kept


@dataclass(frozen=True)
class Chains:
    """Chains of one density, in its coordinates with means that are not ordered.

    Parameters
    ----------
    density : LogPosterior
    law : Law
    schedule : Schedule
    keys : (2,) int
        Keys of the random numbers.
    search : int
        Budget of the search for starts by EM: maximum number of sweeps for a start.
    """

    density: LogPosterior
    law: Law
    schedule: Schedule
    keys: IntArray
    search: int

    @classmethod
    def of(
        cls, density: LogPosterior, seed: int, tune: int, thin: int, search: int = em.SWEEPS, moves: bool = True
    ) -> Self:
        """Make it from the density that is sampled; False for ``moves`` leaves out split-merge moves."""
        _require_plain_cells(density)
        period = split_merge_period(density) if moves else 0
        schedule = Schedule(tune, thin, _has_single_weights(density), period)
        keys = np.random.SeedSequence(seed).generate_state(2).astype(np.int64)
        return cls(unordered(density), law_of(density), schedule, keys, search)

    def advance(self, number: int, q: Array, span: tuple[int, int]) -> None:
        """Make the sweeps of a span of chain ``number`` from q (P,), which becomes the state after them."""
        self.sweeps(number, q, span, *_NOWHERE)

    def sweeps(self, number: int, q: Array, span: tuple[int, int], drawn: Array, loglik: Array) -> None:
        """Make the same sweeps, and keep the draws (draws, P) and their log likelihoods (draws,)."""
        names = np.array([number, *self.keys])
        self._make(self.density.blocks.native, self.law, self.schedule, names, q, *span, drawn, loglik)

    @property
    def _make(self) -> Callable[..., None]:
        """The compiled sweeps of this declaration."""
        if self.law.chart >= FACTORS:
            return factor_sweeps
        if self.law.weights_kind == FINITE:
            return telescoping_sweeps
        return split_merge_sweeps if self.schedule.period else gibbs_sweeps


def split_merge_period(density: LogPosterior) -> int:
    """Return the number of sweeps from one with split-merge moves to the next; 0 if there are none.

    There are moves for components with covariances of their own, for rows of weight one without labels, and for weights
    that are exchangeable or have only an upper bound on their number.
    """
    weights = density.model.weights
    family = density.model.family
    own = family.is_conjugate and family.sharing.count(density.n_components) > 1
    if density.blocks.labels is not None:  # they would have to be part of the proposals
        return 0
    if not own or (density.blocks.weight > 1).any():
        return 0
    if weights.is_overfitted:
        return 1
    if not exchangeable(weights):
        return 0
    return PERIOD if density.blocks.latent is None else LATENT_PERIOD


def sweep_cost(density: LogPosterior) -> float:
    """Return the cost of a sweep: points x features x components, with the time of split-merge moves."""
    period = split_merge_period(density)
    return density.sweep_cost * (1 + MOVES_COST / period if period else 1)


def _require_plain_cells(density: LogPosterior) -> None:
    """Check that the points of factor analysers have no latent cells, and the mixture no background.

    Raises
    ------
    DataError
    """
    if density.model.family.is_conjugate:
        return
    found = {
        "a background": density.blocks.background,
        "missing values or errors of measurement": density.blocks.latent,
    }
    for what, there in found.items():
        if there is not None:
            raise DataError(
                f"method='gibbs' can't take {what} with covariance={density.model.covariance!r}\n"
                "  Use method='map' or 'em', or covariance='full'."
            )


def _has_single_weights(density: LogPosterior) -> bool:
    """Return True if all row weights are zero or one.

    Raises
    ------
    DataError
        If some are not whole numbers.
    """
    weight = density.blocks.weight
    if (weight % 1 != 0).any():
        raise DataError(
            "sample_weight has numbers that are not whole: Gibbs sampling assigns each of the points that a row "
            "stands for.\n  Use whole numbers, or method='nuts'."
        )
    return bool((weight <= 1).all())
