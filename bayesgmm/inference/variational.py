"""Mean-field variational Bayes for conjugate priors: weights, means and assignments have independent factors.

The bound is maximised by coordinate ascent over all points, or by natural-gradient steps over minibatches.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from bayesgmm.checkpoints.units import once
from bayesgmm.errors import NotConjugate
from bayesgmm.inference import em
from bayesgmm.inference.ascent_runs import AscentResult, ascend, run_to_convergence
from bayesgmm.inference.ascent_starts import RATING, ascend_sorted, short_runs
from bayesgmm.inference.component_factors import means_factor, precisions_factor
from bayesgmm.inference.coordinate_ascent import Ascent, Factors
from bayesgmm.inference.corrections import correct, less_missed
from bayesgmm.inference.engine import Estimate, Progress, Silent, without_conjugate_update
from bayesgmm.inference.importance import MIN_ASSESSED, Draws, assess, resampling_warnings
from bayesgmm.inference.minibatches import one_pass, require_random_order, sampled, subsample
from bayesgmm.inference.mixtures import Mixture
from bayesgmm.inference.stochastic import Minibatches, elbo_difference, natural_step
from bayesgmm.inference.weight_shares import weight_shares
from bayesgmm.model import MixtureModel
from bayesgmm.posterior.log_posterior import LogPosterior
from bayesgmm.posterior.notes import EngineNotes
from bayesgmm.sweep.stats import Array

SHORT_RUN = 20  # iterations of a short run
ROUGH = 100_000  # number of points for the starts of minibatches
SETTLED = 1e-5  # passes over minibatches end when they gain less than this in mean ELBO
PATIENCE = 2  # number of passes that gain less, because the mean bound of a pass is noisy
CLOSE = 1e-6  # the final sweeps over all points end when one gains less than this
LAST_SWEEPS = 10  # maximum number of final sweeps


def not_conjugate(model: MixtureModel) -> dict[str, str]:
    """Return the parts of a declaration that have no conjugate update, in words, each with what to declare instead."""
    refused = without_conjugate_update(model)
    wanted: list[Callable[[], object]] = [
        lambda: weight_shares(model.weights, model.n_components),
        lambda: means_factor(model.means),
        *([] if refused else [lambda: precisions_factor(model.covariances)]),
    ]
    for find in wanted:
        try:
            find()
        except NotConjugate as error:
            refused[error.what] = error.instead
    return refused


def stochastic_passes(
    ascent: Ascent, start: Factors, batches: Minibatches, max_iter: int, seed: int, progress: Progress
) -> AscentResult:
    """Take natural-gradient steps over random minibatches until passes hardly raise the highest mean bound.

    The recorded bound of a pass is the mean over its minibatches. It is noisy, and belongs to factors that change
    during the pass.
    """
    rng, result, taken = np.random.default_rng((seed, 7)), AscentResult(start), 0
    factors, blocks = start, ascent.density.blocks
    total = blocks.total_weight
    try:
        for number in range(1, max_iter + 1):
            bounds = []
            for batch in one_pass(blocks, batches.size or blocks.n_points, rng):
                taken += 1
                elbo, factors = natural_step(ascent, factors, batch, batches.rate(taken))
                bounds.append(elbo)
            result.note(factors, float(np.mean(bounds)), len(bounds))
            progress.stage(f"pass {number}, ELBO about {result.elbo:.1f}")
            if len(result.history) > PATIENCE:
                gain = max(result.history[-PATIENCE:]) - max(result.history[:-PATIENCE])
                result.converged = gain < SETTLED * total
            if result.converged:
                break
    except KeyboardInterrupt:
        result.factors, result.interrupted = factors, True
    return result


def _stochastic(
    ascent: Ascent,
    seed: int,
    n_init: int,
    sweeps: int,
    max_iter: int,
    tol: float,
    batches: Minibatches,
    progress: Progress,
) -> AscentResult:
    """Fit a sample, pass over minibatches from there, and end with a few sweeps over all points.

    Minibatches can lead away from the optimum: the last sweeps start from the factors of the sample if these have the
    higher ELBO on other points.
    """
    density, total = ascent.density, ascent.density.blocks.total_weight
    require_random_order(density.blocks)
    points = max(ROUGH, batches.size or 0)
    progress.stage("variational Bayes on a sample")
    part = ascent.on(subsample(density, points, seed))
    short = once(lambda: short_runs(part, seed, n_init, SHORT_RUN, tol * total, sweeps)[0])
    started = run_to_convergence(part, short, max_iter, tol * total, progress)
    passed = AscentResult(started.factors, interrupted=started.interrupted)
    if not passed.interrupted:
        passed = stochastic_passes(ascent, started.factors, batches, max_iter, seed, progress)
    if passed.interrupted:
        result = passed.then(ascend(ascent, passed.factors, 1, 0.0))
        result.interrupted = True
        return result
    progress.stage("last sweeps over all points")
    factors = ascent.sort_sticks(passed.factors) if density.model.weights.heaviest_first else passed.factors
    other = ascent.on(subsample(density, points, seed + 1))
    if elbo_difference(other, factors, started.factors, density.blocks.n_blocks).is_negative:
        factors = started.factors
    last = ascend(ascent, factors, LAST_SWEEPS, max(tol, CLOSE) * total)
    return passed.then(last)


def fit(
    density: LogPosterior,
    seed: int,
    cores: int,
    progress: Progress,
    *,
    draws: int,
    n_init: int,
    sweeps: int,
    max_iter: int,
    tol: float,
    batch_size: int | None,
    delay: float,
    forget: float,
) -> Estimate:
    """Maximise the ELBO over mean-field factors: the variational Bayes engine, for conjugate priors.

    The best of several short runs is continued until it converges. ``elbo`` is the bound in closed form, in data units,
    with every constant. ``marginal_elbo``, estimated from the draws, is the bound of the same factors with the
    assignments summed out. It is higher, still a bound, and comparable to the ``elbo`` of ADVI.

    Parameters
    ----------
    draws : int
        Number of draws from the approximation.
    n_init : int
        Number of starts.
    sweeps : int
        Budget of the search for starts by EM: maximum number of sweeps.
    max_iter : int
        Maximum number of iterations; with minibatches, of passes over the data.
    tol : float
        Converged when the remaining gain in mean ELBO per point is less than this.
    batch_size : int, optional
        Number of points per step, rounded up to whole blocks of 32. Default: all points. With minibatches, a sample of
        at most 100,000 points is fitted first. From there the passes over minibatches end when two of them gain less
        than 1e-5 in mean ELBO per point. Their result and that of the first sample are compared by their ELBO on
        another sample, and at most 10 sweeps over all points follow from the better one, until one gains less than
        1e-6.
    delay, forget : float
        Step t over a minibatch has the size ``(t + delay) ** -forget``; forget is more than 0.5 and at most 1.

    Raises
    ------
    DegenerateComponent
        If the scale of a precision is singular to working precision.

    References
    ----------
    .. [1] Attias (2000), Advances in Neural Information Processing Systems 12, 209-215.
    .. [2] Bishop (2006), Pattern Recognition and Machine Learning, chapter 10.2.
    .. [3] Blei & Jordan (2006), Bayesian Analysis 1(1), 121-143.
    """
    ascent = Ascent(density, cores)
    progress.stage("variational Bayes")
    batches = Minibatches(batch_size, delay, forget)
    result = find(ascent, seed, progress, n_init=n_init, sweeps=sweeps, max_iter=max_iter, tol=tol, batches=batches)
    result = replace(result, factors=ascent.sort_exchangeable(result.factors))
    estimated, heavier = _assessed(ascent, result, draws, seed, progress)
    if heavier is None:
        return estimated
    progress.stage("variational Bayes")
    first, tol = ascent.first(Mixture(*density.mixture(heavier))), tol * density.blocks.total_weight
    start = ascend_sorted(ascent, first, min(RATING, max_iter), tol)
    moved = run_to_convergence(ascent, start, max_iter, tol, progress)
    return less_missed(estimated, _assessed(ascent, moved, draws, seed, progress)[0])


def find(
    ascent: Ascent,
    seed: int,
    progress: Progress,
    *,
    n_init: int,
    max_iter: int,
    tol: float,
    batches: Minibatches,
    sweeps: int = em.SWEEPS,
) -> AscentResult:
    """Maximise the ELBO from several starts, without draws; settings as for ``fit``.

    Raises
    ------
    DegenerateComponent
        If the scale of a precision is singular to working precision.
    """
    if batches.fewer_than(ascent.density.blocks.n_points):
        return _stochastic(ascent, seed, n_init, sweeps, max_iter, tol, batches, progress)
    points, sample = ascent.density.blocks.total_weight, sampled(ascent.density)
    own = ascent if sample is ascent.density else ascent.on(sample)
    start = once(lambda: short_runs(own, seed, n_init, min(SHORT_RUN, max_iter), tol * points, sweeps)[0])
    if own is not ascent:
        reached = run_to_convergence(own, start, max_iter, tol * points, progress)
        start = ascend(ascent, reached.factors, 1, 0.0)
    return run_to_convergence(ascent, start, max_iter, tol * points, progress)


def highest_elbo(density: LogPosterior, seed: int, settings: Mapping[str, Any], cores: int = 1) -> float:
    """Return the highest ELBO of the search, in nats, without draws, which take longer than the search.

    Parameters
    ----------
    density : LogPosterior
    seed : int
    settings : dict
        As for ``fit``.
    cores : int
        Number of threads.

    Raises
    ------
    DegenerateComponent
        If the scale of a precision is singular to working precision.
    """
    search = {name: settings[name] for name in ("n_init", "sweeps", "max_iter", "tol")}
    batches = Minibatches(*(settings[name] for name in ("batch_size", "delay", "forget")))
    return find(Ascent(density, cores), seed, Silent(), batches=batches, **search).elbo


def estimate(ascent: Ascent, result: AscentResult, draws: int, seed: int, progress: Progress) -> Estimate:
    """Draw from the factors, assess the approximation, and correct the draws if it is not good.

    Each draw takes a sweep over the data, so this costs more than the search.
    """
    return _assessed(ascent, result, draws, seed, progress)[0]


def _assessed(
    ascent: Ascent, result: AscentResult, draws: int, seed: int, progress: Progress
) -> tuple[Estimate, Array | None]:
    """Return the estimate, and a point of a heavier region of the posterior, if there is one."""
    progress.stage("assessing the approximation")
    density, rng = ascent.density, np.random.default_rng((seed, 8))

    def propose(count: int) -> Draws:
        q, log_q = ascent.draw(rng, result.factors, count)
        return Draws(q, density.values(q, ascent.threads), log_q)

    own = propose(max(draws, MIN_ASSESSED))
    assessment = assess(own.log_ratio)
    corrected = correct(density, own, propose, draws, seed, ascent.threads, progress)
    notes = EngineNotes(
        converged=result.converged,
        interrupted=result.interrupted,
        n_iter=result.n_iter,
        approximation=corrected.source or "the variational posterior",
        elbo=result.elbo,
        elbo_se=0.0,
        marginal_elbo=assessment.elbo,
        marginal_elbo_se=assessment.elbo_se,
        pareto_khat=corrected.kept.pareto_khat,
        importance_share=corrected.kept.importance_share,
        missed_share=corrected.kept.missed_share,
        compared=corrected.kept.compared,
        not_compared=corrected.kept.not_compared,
        resampled=corrected.kept.resampled,
    )
    stats = {"lp": corrected.draws.lp[None], "log_q": corrected.draws.log_q[None]}
    messages = (*_warnings(result), *resampling_warnings(corrected.kept, draws))
    groups = {"optimisation": _history(result)}
    return Estimate(corrected.draws.q[None], stats, messages, notes, groups), corrected.heavier


def _history(result: AscentResult) -> dict[str, tuple[str, Array]]:
    columns = {"iteration": range(result.n_iter), "elbo": result.history, "batches": result.batches}
    return {name: ("iteration", np.array(values)) for name, values in columns.items()}


def _warnings(result: AscentResult) -> list[str]:
    messages = []
    if result.interrupted:
        messages.append(f"Interrupted: kept the approximation of iteration {result.n_iter}, which has not converged.")
    elif not result.converged:
        messages.append(
            f"Variational Bayes stopped after {result.n_iter} iterations before it converged. "
            "Try a larger max_iter or fewer components."
        )
    return messages
