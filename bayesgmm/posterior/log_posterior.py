"""The log posterior and its gradient in unconstrained coordinates: one fold over the points, and the priors.

The order of the coordinates is: weights, means (standardised, component by component), roots.
"""

import math
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from threading import RLock
from typing import Any, Self, override

import numpy as np
from numpy.typing import NDArray

from bayesgmm.checkpoints.units import is_kept, once
from bayesgmm.data.labels import exchangeable_groups
from bayesgmm.data.points import Points
from bayesgmm.data.standards import Standard
from bayesgmm.data.streams import Stream
from bayesgmm.families.charts import Chart
from bayesgmm.families.structures import chart_of
from bayesgmm.model import MixtureModel, as_model
from bayesgmm.posterior import native
from bayesgmm.posterior.parameters import Parameters, softmax
from bayesgmm.priors.covariances import WishartPrecision
from bayesgmm.priors.means import NormalMeans
from bayesgmm.sweep.blocks import Blocks
from bayesgmm.sweep.compilation import Callback
from bayesgmm.sweep.imputation import imputed
from bayesgmm.sweep.latent_cells import by_pattern
from bayesgmm.sweep.layout import IntArray
from bayesgmm.sweep.matrices import cholesky
from bayesgmm.sweep.parts import Parts
from bayesgmm.sweep.stats import KEPT_SWEEP, Array, Table, fold, fold_each, fold_sums
from bayesgmm.sweep.threads import run_ranges

KEPT_DRAWS = 100  # number of coordinates whose densities are one unit of work of a checkpoint
PRIORS = ("weights", "means", "covariances")
SMALLEST_GAP = 1e-3  # minimum gap between ordered means at the start
_lock = RLock()


class _Once[T](cached_property[T]):
    """Property that is computed once, even if several threads ask at the same time.

    The plan holds addresses of arrays: a second computation would free the arrays of the first.
    """

    @override
    def __get__(self, instance: object, owner: type | None = None) -> Any:
        with _lock:
            return super().__get__(instance, owner)


@dataclass(frozen=True)
class LogPosterior:
    """Log density of a resolved model given data, over a flat vector of unconstrained coordinates.

    Several threads may call it at once.

    Parameters
    ----------
    model : MixtureModel
        Resolved.
    blocks : Blocks
        The data, standardised by ``standard``.
    standard : Standard
        Shift and scale.
    axes : (M, D, D) float, optional
        Axes from which the coordinates of orientations turn; none for the columns.
    """

    model: MixtureModel
    blocks: Blocks
    standard: Standard
    axes: Array = field(default_factory=lambda: np.empty((0, 0, 0)))

    @classmethod
    def of(cls, model: MixtureModel, points: Points | Stream) -> Self:
        """Make it from a model and data as the user gave them.

        Raises
        ------
        DataError, DeclarationError
            If the model does not fit the data.
        """
        resolved = as_model(model).resolve(points)
        if points.labels is not None:
            resolved.require_labels()
        standard = Standard.of(points, common=resolved.family.needs_common_scale)
        if isinstance(points, Points) and points.has_gaps:  # the order of the rows does not matter here
            points = points.take(by_pattern(np.isnan(points.values)))
        blocks = imputed(standard.blocks(points, points.weights))
        row = None if resolved.background is None else resolved.background.row(standard)
        return cls(resolved, replace(blocks, background=row), standard)

    @_Once
    def _arrays(self) -> dict[str, Array | IntArray]:
        """Arrays that the plan points to; they are kept alive here."""
        model, k, points = self.model, self.n_components, self._rows.native
        loglik = -self.log_units
        return {
            "x": points.x,
            "weight": points.weight,
            "background": points.background,
            "latent": points.latent,
            "labels": points.labels,
            "metric": self.chart.metric_of(self.n_features),
            "reference": self.chart.reference,
            "weights_params": model.weights.params(k),
            "means_params": model.means.params(self.standard),
            "covariances_params": model.covariances.params(self.standard, model.family),
            "constant": np.array([loglik + self._prior_constant]),
        }

    @cached_property
    def _rows(self) -> Blocks:
        """The points that native code reads: none, where they are read in parts."""
        return Blocks.from_rows(np.empty((0, self.n_features))) if self.in_parts else self.blocks

    @property
    def in_parts(self) -> bool:
        """True if the points are read in parts."""
        return isinstance(self.blocks, Parts)

    @cached_property
    def log_units(self) -> float:
        """Log likelihood in standardised coordinates minus that in data units."""
        return self.standard.log_units(self.blocks)

    @cached_property
    def _prior_constant(self) -> float:
        """Log normalising constant beyond those of the priors: ordered means have K! times the unordered density."""
        return math.lgamma(self.n_components + 1) if self.model.means.is_ordered else 0.0

    def _density(self, name: str) -> Callback[[object], float]:
        """Native code of a prior's density."""
        return getattr(self.model, name).density

    @_Once
    def plan(self) -> IntArray:
        """Density for the native code: sizes and addresses, in the order of ``native.Plan``."""
        model, arrays = self.model, self._arrays
        k, d = self.n_components, self.n_features
        entries = {
            "n_components": k,
            "n_features": d,
            **self.chart.plan(k, d),
            "n_points": self._rows.n_points,
            "n_blocks": self._rows.n_blocks,
            "ordered": model.means.is_ordered,
            "size": self.size,
        }
        for name in PRIORS:
            entries |= {f"{name}_density": self._density(name).address, f"{name}_extra": getattr(model, name).n_extra}
        entries |= native.chart_code(entries["chart"], entries.get("volumes", 0))
        entries |= {name: array.ctypes.data for name, array in arrays.items()}
        entries |= {f"{name}_size": array.size for name, array in arrays.items()}
        return np.array([entries.get(item.name.lower(), 0) for item in native.Plan], dtype=np.int64)

    @cached_property
    def _cuts(self) -> list[int]:
        """End of each group of coordinates: logits, the weights prior's extra, means, extra, roots, extra."""
        k, d, model = self.n_components, self.n_features, self.model
        sizes = [k - 1, model.weights.n_extra, k * d, model.means.n_extra]
        return np.cumsum([*sizes, self.chart.size(k, d), model.covariances.n_extra]).tolist()

    @cached_property
    def chart(self) -> Chart:
        """Unconstrained coordinates of the family, relative to the scales of the columns in the prior.

        Raises
        ------
        DeclarationError
            If it has none.
        """
        family = self.model.family
        return chart_of(family).relative_to(self.model.covariances.metric(self.standard, family)).about(self.axes)

    def about(self, q: Array) -> Self:
        """Return the log posterior in coordinates whose orientations are turns of those at q (P,).

        There the coordinates are nearly straight, so that samplers take longer steps. Priors and labels treat all
        components alike only in the coordinates without such axes.
        """
        axes = self.chart.axes_at(q[self.roots], self.n_components, self.n_features)
        return replace(self, axes=axes) if len(axes) else self

    def carried(self, q: Array, lp: Array, other: "LogPosterior") -> tuple[Array, Array]:
        """Return draws (..., P) of another log posterior by ``about`` in own coordinates, and their densities."""
        if not len(other.axes) and not len(self.axes):
            return q, lp
        size, at, moved = (self.n_components, self.n_features), self.roots, q.copy()
        moved[..., at] = self.chart.coordinates(other.chart.core_roots(q[..., at], *size))
        before, after = (one.log_volume(each[..., at], *size) for one, each in ((other.chart, q), (self.chart, moved)))
        return moved, lp + after - before

    @property
    def n_components(self) -> int:
        """Number of components, K."""
        return self.model.n_components

    @cached_property
    def groups(self) -> NDArray[np.int64] | None:
        """Group (K,) of each component: labels of rows treat those in a group alike; None if they treat all alike."""
        return exchangeable_groups(self.blocks.labels, self.n_components)

    @property
    def n_labelled(self) -> int:
        """Number of components that labels of rows speak of, the first ones; 1 if there are no labels."""
        return 1 if self.blocks.labels is None else self.blocks.labels.shape[1] - 1

    @property
    def n_features(self) -> int:
        """Number of features, D."""
        return self.blocks.n_features

    @property
    def size(self) -> int:
        """Number of unconstrained coordinates, P."""
        return self._cuts[-1]

    @property
    def sweep_cost(self) -> int:
        """Points times features times components: the unit in which budgets of sweeps are counted."""
        return self.blocks.n_points * self.n_features * self.n_components

    def __call__(self, q: Array) -> tuple[float, Array]:
        """Compute the log posterior density at q (size,) and its gradient (size,); the likelihood is in data units."""
        if self.in_parts:
            grad, sums = np.empty(self.size), fold_sums(self.blocks, self._prior(q, 0.0)[1])
            return native.log_posterior_of_sums(self.plan, np.ascontiguousarray(q), sums, grad), grad
        if self.blocks.n_points * self.n_components < KEPT_SWEEP:
            return self._evaluated(q)
        return once(lambda: self._evaluated(q), q)

    def _evaluated(self, q: Array) -> tuple[float, Array]:
        """Evaluate it in one sweep over the points in memory."""
        grad = np.empty(self.size)
        return native.log_posterior(self.plan, np.ascontiguousarray(q), grad), grad

    def value(self, q: Array) -> float:
        """Compute the log posterior density at q (size,) without the gradient, whose code is then not compiled."""
        _, table = self._prior(q, 0.0)
        return self._prior(q, fold(self.blocks, table).loglik + float(self._arrays["constant"][0]))[0]

    def values(self, q: Array, threads: int = 1) -> Array:
        """Compute the log posterior density (S,) at each of S coordinates q (S, size).

        Points that are read in parts are read once for all of them; with a checkpoint, once for each ``KEPT_DRAWS``.
        """
        size = KEPT_DRAWS if is_kept() else max(1, len(q))
        parts = [q[first : first + size] for first in range(0, max(1, len(q)), size)]
        return np.concatenate([once(partial(self._all_evaluated, part, threads), part) for part in parts])

    def _all_evaluated(self, q: Array, threads: int) -> Array:
        if self.in_parts:
            tables = [self._prior(one, 0.0)[1] for one in q]
            stack = Table(*(np.array([getattr(one, name) for one in tables]) for name in ("offset", "mean", "root")))
            logliks = fold_each(self.blocks, stack, threads)[0] + float(self._arrays["constant"][0])
            return np.array([self._prior(one, loglik)[0] for one, loglik in zip(q, logliks, strict=True)])
        values = np.empty(len(q))

        def some(start: int, stop: int) -> None:
            for s in range(start, stop):
                values[s] = self(q[s])[0]

        run_ranges(some, len(q), threads)
        return values

    def log_prior(self, q: Array) -> float:
        """Compute the log prior density of the coordinates q (size,)."""
        constant = float(self._arrays["constant"][0])
        return self._prior(q, constant)[0] - constant + self._prior_constant

    def _prior(self, q: Array, value: float) -> tuple[float, Table]:
        """Add the log prior density at q to a value; return the sum, and the table of the mixture there."""
        k, d = self.n_components, self.n_features
        root = np.empty((k, *self.model.family.form.table_shape(d)))
        offset, mean = np.empty(k), np.empty((k, d))
        flat = mean.reshape(-1), root.reshape(-1)
        value = native.add_log_prior(value, self.plan, np.ascontiguousarray(q), offset, *flat)
        return value, Table(offset, mean, root)

    def parameters(self, q: Array) -> Parameters:
        """Convert coordinates (..., size) to mixtures in data units."""
        model = self.model
        weights_extra, means_extra, covariances_extra = np.split(q, self._cuts, axis=-1)[1:6:2]
        extras = (
            model.weights.extras(weights_extra)
            | model.means.extras(means_extra, self.standard)
            | model.covariances.extras(covariances_extra, self.standard)
        )
        return replace(self.in_data_units(*self.mixture(q)), extras=extras)

    def in_data_units(self, weight: Array, mean: Array, core_roots: Array) -> Parameters:
        """Convert weights (..., K), standardised means (..., K, D) and roots (..., core shape) to data units."""
        shift, scale = self.standard.shift, self.standard.scale
        covariance = self.model.family.matrices(core_roots, self.n_components, self.n_features)
        return Parameters(weight, mean * scale + shift, covariance * np.outer(scale, scale))

    def mixture(self, q: Array) -> tuple[Array, Array, Array]:
        """Convert coordinates (..., size) to weights (..., K), means (..., K, D) and roots (..., core shape).

        Means and roots are standardised, as the blocks are.
        """
        k, d = self.n_components, self.n_features
        logits, _, mean, _, roots, _, _ = np.split(q, self._cuts, axis=-1)
        if self.model.means.is_ordered:
            mean = np.concatenate([mean[..., :1], np.exp(mean[..., 1:])], axis=-1).cumsum(axis=-1)
        weight = softmax(np.concatenate([logits, np.zeros((*q.shape[:-1], 1))], axis=-1))
        return weight, mean.reshape(*q.shape[:-1], k, d), self.chart.core_roots(roots, k, d)

    def coordinates(self, weight: Array, mean: Array, core_roots: Array) -> Array:
        """Compute the coordinates (size,) of one mixture with standardised means and roots.

        Hyperparameters get starting values. Components are sorted as the priors require.
        """
        model = self.model
        order = model.order(weight, mean)
        weight, mean = weight[order], mean[order]
        core_roots = model.family.sharing.reordered(core_roots, order)
        log_weight = np.log(weight)
        placed = mean.reshape(-1)
        if model.means.is_ordered:
            gaps = np.maximum(np.diff(placed), SMALLEST_GAP)
            placed = np.append(placed[0], np.log(gaps))
        return np.concatenate(
            [
                log_weight[:-1] - log_weight[-1],
                model.weights.start(),
                placed,
                model.means.start(mean, self.standard),
                self.chart.coordinates(core_roots),
                model.covariances.start(core_roots),
            ]
        )

    def positions(self, draws: Parameters) -> Array:
        """Compute the coordinates (S, size) of draws (S, ...) in data units: the inverse of ``parameters``.

        Components stay in the order in which they are given, which must be increasing where the prior orders the means.
        """
        model, standard, size = self.model, self.standard, len(draws.weight)
        chol = cholesky(draws.covariance / np.outer(standard.scale, standard.scale))
        root = np.tril(np.linalg.solve(chol, np.broadcast_to(np.eye(self.n_features), chol.shape)))
        placed = ((draws.mean - standard.shift) / standard.scale).reshape(size, -1)
        if model.means.is_ordered:
            placed = np.concatenate([placed[:, :1], _log(np.diff(placed, axis=1))], axis=1)
        log_weight, none = _log(draws.weight), np.empty((size, 0))
        return np.concatenate(
            [
                log_weight[:, :-1] - log_weight[:, -1:],
                model.weights.from_extras(draws.extras) if model.weights.n_extra else none,
                placed,
                model.means.from_extras(draws.extras, standard) if model.means.n_extra else none,
                self.chart.coordinates(model.family.cores(root)),
                model.covariances.from_extras(draws.extras, standard) if model.covariances.n_extra else none,
            ],
            axis=1,
        )

    def components(self, q: Array) -> tuple[Array, Array]:
        """Split coordinates (S, size) by component.

        Returns
        -------
        logit : (S, K) float
            Log weights, up to a constant; the last is 0.
        own : (S, K, V) float
            Means, and coordinates of roots of which each component has its own.
        """
        size, k = len(q), self.n_components
        logits, _, mean, _, roots, _, _ = np.split(q, self._cuts, axis=1)
        own = np.concatenate([mean.reshape(size, k, -1), self.chart.own(roots, k, self.n_features)], axis=2)
        return np.concatenate([logits, np.zeros((size, 1))], axis=1), own

    def reordered(self, q: Array, order: IntArray) -> Array:
        """Put the components of draws (S, size) in orders (S, K): component k becomes what ``order[s, k]`` was.

        The volume of coordinates does not change. Not for ordered means, which have one order.
        """
        logit, own = self.components(q)
        logit = np.take_along_axis(logit, order, axis=1)
        own = np.take_along_axis(own, order[..., None], axis=1)
        d, cuts = self.n_features, self._cuts
        moved = q.copy()
        moved[:, : cuts[0]] = logit[:, :-1] - logit[:, -1:]
        moved[:, cuts[1] : cuts[2]] = own[..., :d].reshape(len(q), -1)
        moved[:, self.roots] = self.chart.with_own(q[:, self.roots], own[..., d:], d)
        return moved

    @property
    def roots(self) -> slice:
        """Place of the coordinates of the roots."""
        return slice(*self._cuts[3:5])

    def extra(self, name: str) -> IntArray:
        """Return the indices of the hyperparameters of a prior: ``'weights'``, ``'means'`` or ``'covariances'``."""
        at = 2 * PRIORS.index(name)
        return np.arange(self._cuts[at], self._cuts[at + 1])

    def likelihood(self) -> "LogLikelihood":
        """Return the log likelihood, without the priors and their hyperparameters."""
        bare = MixtureModel(n_components=self.n_components, covariance=self.model.covariance)
        plain = {"means": NormalMeans(0.0, 1.0), "covariances": WishartPrecision(self.n_features + 2.0, 1.0)}
        return LogLikelihood(bare.model_copy(update=plain), self.blocks, self.standard)


class LogLikelihood(LogPosterior):
    """Log likelihood over the logits, means and roots of a mixture; priors only determine the coordinates."""

    @override
    def _density(self, name: str) -> Callback[[object], float]:
        return native.flat_weights_density if name == "weights" else native.flat_density


def _log(values: Array) -> Array:
    """Compute logarithms of positive numbers that may have been rounded to zero."""
    return np.log(np.maximum(values, np.finfo(float).tiny))
