"""Mean-field variational Bayes for conjugate priors: weights, means and assignments have independent factors.

The bound is maximised by coordinate ascent over all points, or by natural-gradient steps over minibatches.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np

from bayesgmm.errors import NotConjugate
from bayesgmm.inference import em
from bayesgmm.inference.acceleration import ROUNDING, remaining_gain, squarem
from bayesgmm.inference.component_factors import means_factor, precisions_factor
from bayesgmm.inference.coordinate_ascent import Ascent, Factors
from bayesgmm.inference.corrections import correct, less_missed
from bayesgmm.inference.elbo import evaluate
from bayesgmm.inference.engine import Estimate, Progress, Silent
from bayesgmm.inference.exploration import partitions
from bayesgmm.inference.importance import MIN_ASSESSED, Draws, assess, resampling_warnings
from bayesgmm.inference.laplace import climb_of, local_modes, maxima_of_fewer
from bayesgmm.inference.minibatches import one_pass, subsample
from bayesgmm.inference.mixtures import Mixture
from bayesgmm.inference.moves import jump
from bayesgmm.inference.proposals import Rows
from bayesgmm.inference.starts import CENTRES, from_centres, sample_rows
from bayesgmm.inference.stochastic import Minibatches, elbo_difference, natural_step
from bayesgmm.inference.weight_shares import weight_shares
from bayesgmm.model import MixtureModel
from bayesgmm.posterior.info import EngineNotes
from bayesgmm.posterior.log_posterior import LogPosterior
from bayesgmm.sweep.stats import Array

SHORT_RUN = 20  # iterations of a short run
RATING = 6  # iterations before the worse half of the starts is dropped
KINDS = ("projections", "components", "projections", "agglomeration", "projections", "columns")  # of starts, in turn
MOVED = 2  # number of results from which moves start
OCCUPIED = 0.5  # a component that holds fewer points is empty
EMPTIED = 2  # number of components that are emptied on trial at a time
SAME = 0.5  # bounds that differ by less are the same
HIGHER = 0.05  # gain by which moves go on
VAIN = 2  # number of rounds of moves in vain after which they end
ROUGH = 100_000  # number of points for the starts of minibatches
SETTLED = 1e-5  # passes over minibatches end when they gain less than this in mean ELBO
PATIENCE = 2  # number of passes that gain less, because the mean bound of a pass is noisy
CLOSE = 1e-6  # the final sweeps over all points end when one gains less than this
LAST_SWEEPS = 10  # maximum number of final sweeps
REPORTED = 10  # number of iterations between reports of progress


def not_conjugate(model: MixtureModel) -> dict[str, str]:
    """Return the priors of a declaration that have no conjugate update, in words, each with what to declare instead."""
    wanted: list[Callable[[], object]] = [
        lambda: weight_shares(model.weights, model.n_components),
        lambda: means_factor(model.means),
        lambda: precisions_factor(model.covariances),
    ]
    refused: dict[str, str] = {}
    for find in wanted:
        try:
            find()
        except NotConjugate as error:
            refused[error.what] = error.instead
    return refused


@dataclass
class AscentResult:
    """Result of the ascent, so far.

    Parameters
    ----------
    factors : Factors
    history : list of float
        ELBO before each iteration, in nats; the last is that of ``factors``.
    batches : list of int
        Number of minibatches in each iteration; 1 for all points at once.
    converged, interrupted : bool
    """

    factors: Factors
    history: list[float] = field(default_factory=list)
    batches: list[int] = field(default_factory=list)
    converged: bool = False
    interrupted: bool = False

    @property
    def elbo(self) -> float:
        """ELBO at the end, in nats."""
        return self.history[-1]

    @property
    def n_iter(self) -> int:
        """Number of passes over the points."""
        return len(self.history)

    def note(self, factors: Factors, elbo: float, batches: int = 1) -> None:
        """Record an iteration."""
        self.factors = factors
        self.history.append(elbo)
        self.batches.append(batches)

    def then(self, other: "AscentResult") -> "AscentResult":
        """Return a later result with both histories."""
        history, batches = self.history + other.history, self.batches + other.batches
        return AscentResult(other.factors, history, batches, other.converged, other.interrupted)


def gain_is_small(history: list[float], tol: float) -> bool:
    """Return True if the expected remaining gain is below ``tol``; every second bound follows an extrapolation."""
    return remaining_gain(np.abs(np.diff(history[::2])).tolist())[0] < tol


@dataclass(frozen=True)
class Rule:
    """Acceleration and convergence criterion of an ascent.

    Parameters
    ----------
    plain : int
        Number of plain iterations before the first extrapolation.
    over : function
        Criterion: takes the bounds so far and ``tol``, and returns True at convergence.
    """

    plain: int = 0
    over: Callable[[list[float], float], bool] = gain_is_small


ACCELERATED = Rule()


def iterations(ascent: Ascent, start: Factors, plain: int) -> Iterator[tuple[float, Factors]]:
    """Yield factors with increasing bounds, each with its bound: plain steps first, then steps with extrapolation."""
    factors = start
    for _ in range(plain):
        elbo, following = ascent.step(factors)
        yield elbo, factors
        factors = following
    yield from squarem(ascent.step, factors, ascent.flatten, ascent.unflatten)


def ascend(
    ascent: Ascent,
    start: Factors,
    max_iter: int,
    tol: float,
    progress: Progress | None = None,
    rule: Rule = ACCELERATED,
) -> AscentResult:
    """Maximise the ELBO until the rule's criterion is met.

    By default that is when the expected remaining gain is below ``tol`` nats. Ctrl-C keeps the best factors so far.

    Raises
    ------
    DegenerateComponent
        If the scale of a precision is singular to working precision.
    KeyboardInterrupt
        If it comes before the first iteration.
    """
    result = AscentResult(start)
    try:
        for elbo, factors in islice(iterations(ascent, start, rule.plain), max_iter):
            result.note(factors, elbo)
            if progress is not None and result.n_iter % REPORTED == 0:
                progress.stage(f"iteration {result.n_iter}, ELBO {elbo:.1f}")
            last = abs(elbo - result.history[-2]) if result.n_iter > 1 else np.inf
            result.converged = rule.over(result.history, tol) or last < ROUNDING * abs(elbo)
            if result.converged:
                break
    except KeyboardInterrupt:
        if not result.history:
            raise
        result.interrupted = True
    return result


def short_runs(
    ascent: Ascent, seed: int, n_init: int, max_iter: int, tol: float, sweeps: int = em.SWEEPS
) -> list[AscentResult]:
    """Run a few iterations from each of several starts; return the results, highest ELBO first.

    There are up to half as many local maxima that the search by EM has found, ``n_init`` other starts of several
    kinds, and jumps from the best of them: where the ELBO is high, a component may hold a few points only. One start
    suffices for one component.
    """
    density, rng = ascent.density, np.random.default_rng(seed)
    rows, weight = sample_rows(density.blocks, rng)
    if n_init == 1 or density.n_components == 1:
        centres = CENTRES["k-means++"](rows, weight, density.n_components, rng)
        return _ascend_from(ascent, [from_centres(rows, weight, centres, density.model.family)], max_iter, tol)
    mixtures = local_modes(density, seed, ascent.threads, sweeps)[: n_init // 2]
    if density.model.weights.is_overfitted:
        mixtures += maxima_of_fewer(density, seed, ascent.threads, sweeps)
    climb = climb_of(density, ascent.threads)
    starts = partitions(climb, Rows(rows, weight), density.n_components, n_init, rng, KINDS)
    results = _ascend_from(ascent, [*mixtures, *starts], max_iter, tol)
    vain = 0
    while vain < VAIN:
        best, parents = results[0].elbo, _parents(ascent, results)
        children = [jump(climb, parents[i % len(parents)], rng) for i in range(n_init)]
        results += _ascend_from(ascent, children, max_iter, tol)
        results.sort(key=lambda result: -result.elbo)
        vain = 0 if results[0].elbo > best + HIGHER else vain + 1
    return [*_emptied(ascent, results[0], max_iter, tol), *results]


def _parents(ascent: Ascent, results: list[AscentResult]) -> list[Mixture]:
    """Return the mixtures of the best results whose bounds differ."""
    distinct: list[AscentResult] = []
    for result in results:
        if not distinct or result.elbo < distinct[-1].elbo - SAME:
            distinct.append(result)
    return [ascent.mixture(one.factors, ascent.fold(one.factors).n) for one in distinct[:MOVED]]


def _ascend_from(ascent: Ascent, starts: Iterable[Mixture], max_iter: int, tol: float) -> list[AscentResult]:
    """Run a few iterations from each start, and ``max_iter`` iterations of the better half, highest ELBO first."""
    rated = [_ascend_sorted(ascent, ascent.first(start), min(RATING, max_iter), tol) for start in starts]
    return _best_continued(ascent, rated, max_iter, tol)


def _best_continued(ascent: Ascent, results: list[AscentResult], max_iter: int, tol: float) -> list[AscentResult]:
    """Continue the better half to ``max_iter`` iterations; return them, highest ELBO first."""
    results = sorted(results, key=lambda result: -result.elbo)[: (len(results) + 1) // 2]
    for number, result in enumerate(results):
        left = max_iter - result.n_iter
        if left > 0 and not (result.converged or result.interrupted):
            results[number] = result.then(ascend(ascent, result.factors, left, tol))
    return sorted(results, key=lambda result: -result.elbo)


def _ascend_sorted(ascent: Ascent, start: Factors, max_iter: int, tol: float) -> AscentResult:
    """Ascend from factors whose sticks are first sorted, if the prior expects an order."""
    if ascent.density.model.weights.heaviest_first:
        start = ascent.sort_sticks(start)
    return ascend(ascent, start, max_iter, tol)


def _emptied(ascent: Ascent, best: AscentResult, max_iter: int, tol: float) -> list[AscentResult]:
    """Empty the smallest components of the best result, one after the other, while that raises the bound.

    The bound may be higher where a component holds no points, as its factors then equal the prior. The search by EM
    finds no such places. Returns the higher results, the highest first.
    """
    higher: list[AscentResult] = []
    while len(higher) < ascent.density.n_components - 1:
        n = ascent.fold(best.factors).n
        occupied = [k for k in np.argsort(n, kind="stable").tolist() if n[k] > OCCUPIED][:EMPTIED]
        tried = [_ascend_sorted(ascent, ascent.without(best.factors, k), max_iter, tol) for k in occupied]
        best_tried = max(tried, key=lambda result: result.elbo, default=best)
        if not occupied or best_tried.elbo < best.elbo + SAME:
            break
        best = best_tried
        higher.insert(0, best)
    return higher


def run_to_convergence(
    ascent: Ascent, start: AscentResult, max_iter: int, tol: float, progress: Progress, rule: Rule = ACCELERATED
) -> AscentResult:
    """Continue a short run until it converges; reorder sticks and continue while reordering raises the bound."""
    best = start
    while not best.interrupted and best.n_iter < max_iter:
        best = _sort_sticks(ascent, best, tol)
        if best.converged:
            break
        best = best.then(ascend(ascent, best.factors, max_iter - best.n_iter, tol, progress, rule))
    return best


def _sort_sticks(ascent: Ascent, result: AscentResult, tol: float) -> AscentResult:
    """Sort components by weight, largest first, if the prior expects that order and the bound increases."""
    if not ascent.density.model.weights.heaviest_first:
        return result
    ordered = ascent.sort_sticks(result.factors)
    elbo = ascent.step(ordered)[0]
    return result if elbo < result.elbo + tol else result.then(AscentResult(ordered, [elbo], [1]))


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
    points = max(ROUGH, batches.size or 0)
    progress.stage("variational Bayes on a sample")
    part = ascent.on(subsample(density, points, seed))
    short = short_runs(part, seed, n_init, SHORT_RUN, tol * total, sweeps)[0]
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
    estimated, heavier = _assessed(ascent, result, draws, seed, progress)
    if heavier is None:
        return estimated
    progress.stage("variational Bayes")
    first, tol = ascent.first(Mixture(*density.mixture(heavier))), tol * density.blocks.total_weight
    start = _ascend_sorted(ascent, first, min(RATING, max_iter), tol)
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
    points = ascent.density.blocks.total_weight
    start = short_runs(ascent, seed, n_init, min(SHORT_RUN, max_iter), tol * points, sweeps)[0]
    return run_to_convergence(ascent, start, max_iter, tol * points, progress)


def highest_elbo(density: LogPosterior, seed: int, settings: Mapping[str, Any]) -> float:
    """Return the highest ELBO of the search, in nats, without draws, which take longer than the search.

    Parameters
    ----------
    density : LogPosterior
    seed : int
    settings : dict
        As for ``fit``.

    Raises
    ------
    DegenerateComponent
        If the scale of a precision is singular to working precision.
    """
    search = {name: settings[name] for name in ("n_init", "sweeps", "max_iter", "tol")}
    batches = Minibatches(*(settings[name] for name in ("batch_size", "delay", "forget")))
    return find(Ascent(density, 1), seed, Silent(), batches=batches, **search).elbo


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
        return Draws(q, evaluate([density] * count, q, ascent.threads)[0], log_q)

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
