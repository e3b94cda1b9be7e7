"""EM that runs without Python between the sweeps, for problems that are so small that Python would take longer."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from bayesgmm.families.family import SINGULAR, VANISHING, Family
from bayesgmm.families.restriction_kernels import EQUAL, IDENTITY, VARIABLE, restrict_covariances, restrict_variances
from bayesgmm.inference import em_kernels, em_plans
from bayesgmm.inference.mixtures import NONE, CovariancePrior, Exponents, Mixture
from bayesgmm.sweep.blocks import Blocks
from bayesgmm.sweep.layout import IntArray
from bayesgmm.sweep.stats import Array
from bayesgmm.sweep.threads import PER_THREAD, enough_threads, run_ranges

COLUMNS = 16  # with more, matrix functions of LAPACK are faster than plain loops
LETTERS = {"E": EQUAL, "V": VARIABLE, "I": IDENTITY}


@dataclass(frozen=True)
class NativeEM:
    """EM over some blocks, compiled.

    Parameters
    ----------
    blocks : Blocks
    family : Family
        One of mclust's fourteen.
    n_components : int
    prior : CovariancePrior, optional
    floor : (D,) float, optional
    exponents : Exponents
    keeps : bool
        True to keep covariances however small.
    """

    blocks: Blocks
    family: Family
    n_components: int
    prior: CovariancePrior | None = None
    floor: Array | None = None
    exponents: Exponents = NONE
    keeps: bool = False

    @property
    def _products(self) -> int:
        """Number of multiplications of a sweep."""
        return self.blocks.n_points * self.n_components * self.blocks.n_features * (self.blocks.n_features + 2)

    def suits(self, most: int = 1) -> bool:
        """Return True if the problem is of a kind that the compiled functions take, and small.

        A sweep has fewer multiplications than ``most`` times those for which threads are started.
        """
        return (
            type(self.blocks) is Blocks
            and len(self.family.mclust) == len(LETTERS)
            and set(self.family.mclust) <= set(LETTERS)  # a structure of others may have a name of its own
            and self.blocks.n_features <= COLUMNS
            and self._products < most * PER_THREAD
        )

    @cached_property
    def _arrays(self) -> dict[str, Array]:
        """Arrays whose addresses are in the plan, by the names of its items."""
        d, keeps = self.blocks.n_features, self.keeps or (self.floor is not None and bool(self.floor.any()))
        block, points = self.family.form.block_size(d), self.blocks.native
        numbers = {
            em_plans.ADDED: 0.0 if self.prior is None else self.prior.dof + block + 1.0,
            em_plans.NEEDED: self.family.points_needed(d),
            em_plans.NEEDED_TOGETHER: block + 1.0,
            em_plans.VANISHING: 0.0 if keeps else VANISHING,
            em_plans.SINGULAR: 0.0 if keeps else SINGULAR,
            em_plans.EXPONENT: self.exponents.weight,
        }
        return {
            "X": points.x,
            "WEIGHT": points.weight,
            "BACKGROUND": points.background,
            "LATENT": points.latent,
            "LABELS": points.labels,
            "SCALE": np.empty(0) if self.prior is None else np.array(self.prior.scale, np.float64).ravel(),
            "FLOOR": np.empty(0) if self.floor is None else np.array(self.floor, np.float64),
            "PIVOTS": np.array(self.exponents.pivots, np.float64),
            "NUMBERS": np.array([numbers[place] for place in range(len(numbers))], np.float64),
        }

    @cached_property
    def plan(self) -> IntArray:
        """What the compiled functions read; valid as long as this object."""
        k, d = self.n_components, self.blocks.n_features
        volume, shape, orientation = self._letters
        plan = np.zeros(em_plans.PLAN_SIZE, dtype=np.int64)
        plan[em_plans.N_COMPONENTS], plan[em_plans.N_FEATURES] = k, d
        plan[em_plans.N_POINTS] = self.blocks.n_points
        plan[em_plans.VOLUME], plan[em_plans.SHAPE], plan[em_plans.ORIENTATION] = volume, shape, orientation
        roots, width = (d * d, (d + 1) * (d + 2) // 2) if orientation != IDENTITY else (d, 1 + 2 * d)
        plan[em_plans.STATE_SIZE], plan[em_plans.SUMS_SIZE] = k * (1 + d + roots), 1 + k * width
        plan[em_plans.STEP], plan[em_plans.RESTRICTING] = em_kernels.em_step.address, self._restricting
        for name, array in self._arrays.items():
            place = getattr(em_plans, name)
            plan[place], plan[place + 1] = array.ctypes.data, array.size
        return plan

    @property
    def _letters(self) -> tuple[int, ...]:
        return tuple(LETTERS[letter] for letter in self.family.mclust)

    @property
    def _restricting(self) -> int:
        """Address of what restricts covariances; 0 if they are free, or all the same."""
        volume, shape, orientation = self._letters
        if orientation == IDENTITY:
            return 0 if shape in (volume, IDENTITY) else restrict_variances.address
        return 0 if volume == shape == orientation else restrict_covariances.address

    @property
    def _sizes(self) -> tuple[int, int]:
        k = self.n_components
        return k, k + k * self.blocks.n_features

    def packed(self, weight: Array, mean: Array, core_roots: Array) -> Array:
        """Return states (S, ...) from weights (S, K), means (S, K, D) and roots in core shape."""
        roots = self.family.expand(core_roots, *mean.shape[-2:])
        return np.concatenate([part.reshape(len(weight), -1) for part in (weight, mean, roots)], axis=1)

    def unpacked(self, states: Array) -> tuple[Array, Array, Array]:
        """Return weights, means and roots in core shape from states (S, ...)."""
        (k, middle), d, count = self._sizes, self.blocks.n_features, self.family.sharing.count(self.n_components)
        shape, table_shape = self.family.form.shape(d), self.family.form.table_shape(d)
        roots = states[:, middle:].reshape(-1, k, *table_shape)[:, :count]
        if shape != table_shape:
            roots = roots[..., : shape[0]]
        return states[:, :k].copy(), states[:, k:middle].reshape(-1, k, d).copy(), roots.copy()

    def _state(self, mixture: Mixture) -> Array:
        return self.packed(mixture.weight[None], mixture.mean[None], mixture.core_roots[None])[0]

    def _mixture(self, state: Array) -> Mixture:
        weight, mean, core_roots = self.unpacked(state[None])
        return Mixture(weight[0], mean[0], core_roots[0])

    def take_steps(
        self, start: Mixture, max_iter: int, wanted: float, patience: float
    ) -> tuple[int, Mixture, list[float]]:
        """Run plain EM; return why it ended (``em_kernels``), the last mixture, and the log likelihoods."""
        state, values = self._state(start), np.empty(max_iter)
        why, count = em_kernels.take_steps(self.plan, state, float(wanted), float(patience), values)
        return why, self._mixture(state), values[:count].tolist()

    def extrapolate(self, start: Mixture, gap: float, max_sweeps: int) -> tuple[Mixture, list[float], int]:
        """Run extrapolated EM; return the last mixture, the log likelihoods, and the number of sweeps."""
        state, values = self._state(start), np.empty(max(3, max_sweeps))
        count, sweeps = em_kernels.extrapolate(self.plan, state, float(gap), values)
        return self._mixture(state), values[:count].tolist(), sweeps

    def climb(self, states: Array, count: int, threads: int) -> tuple[Array, Array] | None:
        """Make steps of several states (S, ...), in place; None if one is not regular.

        Returns
        -------
        values : (count, S) float
            Penalised log likelihood before each step.
        fewest : (count, S) float
            Number of points of the smallest component.
        """
        values, fewest = np.empty((len(states), count)), np.empty((len(states), count))
        regular: list[bool] = []
        plan = self.plan  # made before threads start

        def task(start: int, stop: int) -> None:
            own = states[start:stop], values[start:stop], fewest[start:stop]
            regular.append(em_kernels.climb(plan, *own))

        run_ranges(task, len(states), enough_threads(threads, self._products * values.size))
        return (values.T, fewest.T) if all(regular) else None
