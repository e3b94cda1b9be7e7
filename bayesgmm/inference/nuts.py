"""NUTS by nutpie, in coordinates that the mode's own curvature makes round."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.optimize

from bayesgmm._native import Plan, white_draw, white_log_posterior
from bayesgmm.errors import DeclarationError, SamplingError
from bayesgmm.inference import em
from bayesgmm.inference.engine import Estimate, Progress
from bayesgmm.log_posterior import LogPosterior
from bayesgmm.stats import Array

HESSIAN_LIMIT = 3000  # coordinates: beyond it the Hessian costs more than anybody would wait for
MANY = 300  # coordinates: beyond it only the highest mode gets a Hessian
SAME = 0.5  # two places whose log densities differ by less are taken for one
STEP = 1e-4  # of the differences: the gradient is exact, the coordinates are of order one
LEAST_CURVATURE = 1e-2  # a flatter direction than this is left to the sampler's own adaptation
OVERDISPERSION = 1.5  # starting points are this much wider than the posterior's normal approximation
FEWEST_STARTS, MOST_STARTS = 10, 50  # a mode that is never started near is never found
CLEAR_MAJORITY = 8  # of the fewest starts in one place: no more are needed
STARTS_WORTH = 5_000_000  # points times features times components that the starts together may cost
KEPT = ("diverging", "energy", "n_steps", "step_size")  # nutpie's statistics that ArviZ calls the same
RENAMED = {"lp": "logp", "tree_depth": "depth"}


@dataclass(frozen=True)
class Whitening:
    """``q = mode + spread z``: in z the posterior is near a standard normal.

    Parameters
    ----------
    mode : (P,) float
    spread : (P, P) float
    log_mass : float
        Laplace's approximation to the log of the posterior mass around the mode, up to a constant.
    repaired : int
        Directions whose curvature was not positive, or too flat, and was replaced.
    """

    mode: Array
    spread: Array
    log_mass: float
    repaired: int

    def __call__(self, z: Array) -> Array:
        """Coordinates (..., P) from white ones."""
        return self.mode + z @ self.spread.T


def find_mode(density: LogPosterior, start: Array) -> Array:
    """Climb from ``start`` to a mode of the log posterior by L-BFGS."""

    def downhill(q: Array) -> tuple[float, Array]:
        value, grad = density(q)
        return (-value, -grad) if np.isfinite(value) else (np.inf, np.zeros_like(grad))

    with np.errstate(over="ignore", invalid="ignore"):
        options = {"maxiter": 500, "maxcor": 20}
        found = scipy.optimize.minimize(downhill, start, jac=True, method="L-BFGS-B", options=options)
    return found.x


def hessian(density: LogPosterior, q: Array) -> Array:
    """(P, P) second derivatives, by central differences of the analytic gradient."""
    rows = np.empty((q.size, q.size))
    for i in range(q.size):
        step = np.zeros_like(q)
        step[i] = STEP
        rows[i] = (density(q + step)[1] - density(q - step)[1]) / (2 * STEP)
    return (rows + rows.T) / 2


def whiten(density: LogPosterior, mode: Array) -> Whitening:
    """The linear map that makes the posterior round at its mode.

    Directions that curve the wrong way take the size of their curvature, flat ones the least that we allow.
    """
    curvature, directions = np.linalg.eigh(-hessian(density, mode))
    repaired = np.maximum(np.abs(curvature), LEAST_CURVATURE)
    changed = int((curvature < LEAST_CURVATURE).sum())
    log_mass = density(mode)[0] - 0.5 * float(np.log(repaired).sum())
    return Whitening(mode, directions / np.sqrt(repaired), log_mass, changed)


def starting_points(density: LogPosterior, seed: int, threads: int) -> list[Array]:
    """Where short EM runs under the covariance prior end, each place once, in the sampler's coordinates.

    When most of the first few starts end in the same place, the others are not needed.
    """
    runs = _short_runs(density, FEWEST_STARTS, (seed, 0), threads)
    agreeing = sum(abs(run.loglik - runs[0].loglik) < SAME for run in runs)
    cost = density.blocks.n_points * density.n_features * density.n_components
    more = min(STARTS_WORTH // cost, MOST_STARTS) - FEWEST_STARTS
    if agreeing < CLEAR_MAJORITY and more > 0:
        runs = sorted(runs + _short_runs(density, more, (seed, 1), threads), key=lambda run: -run.loglik)
    distinct = [run for i, run in enumerate(runs) if all(abs(run.loglik - other.loglik) > SAME for other in runs[:i])]
    return [_coordinates(density, run.mixture) for run in distinct]


def _short_runs(density: LogPosterior, n_init: int, seed: tuple[int, int], threads: int) -> list[em.EMResult]:
    model, k = density.model, density.n_components
    assert model.covariances.dof is not None  # the model is resolved
    prior = em.CovariancePrior(model.covariances.dof, model.covariances.core_scale(density.standard))
    return em.short_runs(density.blocks, model.family, k, seed, prior, n_init, tol=1e-5, threads=threads)


def _coordinates(density: LogPosterior, mixture: em.Mixture) -> Array:
    weight = np.maximum(mixture.weight, 1e-3 / mixture.weight.size)  # an empty component has no logit
    return density.coordinates(weight / weight.sum(), mixture.mean, mixture.core_roots)


def heaviest_mode(density: LogPosterior, starts: list[Array]) -> Whitening:
    """Climb from every start; of the modes take the one with most posterior mass, by Laplace's approximation.

    The highest mode is not always where the mass is: it can be a narrow peak.
    """
    modes = sorted((find_mode(density, start) for start in starts), key=lambda q: -density(q)[0])
    heights = [density(q)[0] for q in modes]
    distinct = [q for i, q in enumerate(modes) if i == 0 or heights[i - 1] - heights[i] > SAME]
    if density.size > MANY:
        distinct = distinct[:1]
    return max((whiten(density, q) for q in distinct), key=lambda w: w.log_mass)


def fit(
    density: LogPosterior,
    seed: int,
    cores: int,
    progress: Progress,
    *,
    draws: int = 1000,
    tune: int = 300,
    chains: int = 4,
    target_accept: float = 0.8,
) -> Estimate:
    """The NUTS engine: find the heaviest mode, whiten there, and draw with nutpie.

    Parameters
    ----------
    draws, tune : int
        Kept draws a chain, and draws before them that adapt the sampler.
    chains : int
    target_accept : float
        Acceptance rate that the step size is tuned to; closer to 1 is slower and diverges less.

    Raises
    ------
    SamplingError
        When no chain could start, or Ctrl-C came before the first draw after tuning.

    References
    ----------
    .. [1] Hoffman & Gelman (2014), J. Mach. Learn. Res. 15, 1593-1623.
    """
    if not target_accept < 1:
        raise DeclarationError(f"target_accept={target_accept!r}: must be below 1, for example 0.8")
    if density.size > HESSIAN_LIMIT:
        raise SamplingError(
            f"NUTS over {density.size} coordinates is out of reach here (the limit is {HESSIAN_LIMIT}).\n"
            "  Try covariance='diag' or 'tied', fewer components, or fewer columns."
        )
    progress.stage("looking for the mode")
    whitening = heaviest_mode(density, starting_points(density, seed, cores))
    progress.stage("sampling")
    import nutpie

    sampler = nutpie.sample(
        _compiled(density, whitening),
        draws=draws,
        tune=tune,
        chains=chains,
        cores=min(cores, chains),
        seed=seed,
        target_accept=target_accept,
        save_warmup=False,
        progress_bar=False,
        progress_callback=progress.chains,
        blocking=False,
    )
    tree, interrupted = _wait(sampler)
    z, stats = _drawn(tree)
    warnings: tuple[str, ...] = ()
    if interrupted:
        z, stats = trim(z, stats)
        warnings = (f"Interrupted: kept {z.shape[1]} of {draws} draws of {len(z)} of {chains} chains.",)
    notes = {"repaired_directions": whitening.repaired, "interrupted": interrupted}
    return Estimate(whitening(z), stats, warnings, notes)


def _compiled(density: LogPosterior, whitening: Whitening) -> Any:
    """The density in white coordinates as nutpie takes native code, so that no chain ever waits for Python."""
    from nutpie.compile_pymc import CompiledPyMCModel

    size = whitening.mode.size
    arrays = {
        Plan.MODE: whitening.mode,
        Plan.SPREAD: np.ascontiguousarray(whitening.spread),
        Plan.SPREAD_TRANSPOSED: np.ascontiguousarray(whitening.spread.T),
    }
    plan = density.plan.copy()
    for item, array in arrays.items():
        plan[item] = array.ctypes.data

    def initial_point(seed: int) -> Array:
        return np.random.default_rng(seed).normal(scale=OVERDISPERSION, size=size)

    return CompiledPyMCModel(
        dims={},
        compiled_logp_func=white_log_posterior,
        compiled_expand_func=white_draw,
        initial_point_func=initial_point,
        shared_data={"density": density, "arrays": arrays},  # the plan points into them: kept alive with the model
        shared_var_keys={},
        user_data=plan,
        n_expanded=size,
        shape_info=(["z"], [slice(0, size)], [(size,)]),
        logp_func=None,
        expand_func=None,
        _n_dim=size,
        _shapes={"z": (size,)},
        _coords={},
    )


def _wait(sampler: Any) -> tuple[Any, bool]:
    """Let it run; Ctrl-C keeps what was drawn."""
    try:
        return sampler.wait(), False
    except KeyboardInterrupt:
        return sampler.abort(), True
    except BaseException as error:
        sampler.cancel()
        if not isinstance(error, RuntimeError | ValueError):
            raise
        raise SamplingError(
            f"the sampler stopped: {error}\n  Look at the data for columns of very different shape, or use a "
            "stronger prior."
        ) from error


def _drawn(tree: Any) -> tuple[Array, dict[str, Array]]:
    """White draws (chains, draws, P), and the statistics that we keep, from nutpie's tree."""
    stats = tree["sample_stats"]
    kept = {name: stats[name].values for name in KEPT} | {new: stats[old].values for new, old in RENAMED.items()}
    return tree["posterior"]["z"].values, kept


def trim(z: Array, stats: dict[str, Array]) -> tuple[Array, dict[str, Array]]:
    """Cut unfinished chains (padded with NaN) to the rectangle of chains and draws that keeps most.

    Examples
    --------
    >>> z = np.array([[[1.0], [2.0], [3.0]], [[4.0], [5.0], [np.nan]], [[np.nan]] * 3])
    >>> trim(z, {})[0].shape
    (2, 2, 1)
    """
    lengths = np.isfinite(z).all(-1).sum(axis=1)
    longest = np.argsort(-lengths, kind="stable")
    kept = lengths[longest] * np.arange(1, len(lengths) + 1)
    if len(kept) == 0 or kept.max() == 0:
        raise SamplingError("interrupted before the first draw after tuning; there is nothing to keep")
    count = int(kept.argmax()) + 1
    chains, draws = np.sort(longest[:count]), int(lengths[longest[count - 1]])
    return z[chains, :draws], {name: value[chains, :draws] for name, value in stats.items()}
