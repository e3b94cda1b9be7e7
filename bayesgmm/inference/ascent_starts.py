"""Search for factors with a high ELBO: short runs of coordinate ascent from many starts, and moves from the best."""

from collections.abc import Iterable

import numpy as np

from bayesgmm.inference import em
from bayesgmm.inference.ascent_runs import AscentResult, ascend
from bayesgmm.inference.coordinate_ascent import Ascent, Factors
from bayesgmm.inference.exploration import partitions
from bayesgmm.inference.label_matching import matched
from bayesgmm.inference.laplace import climb_of, local_modes, maxima_of_fewer
from bayesgmm.inference.mixtures import Mixture
from bayesgmm.inference.moves import jump
from bayesgmm.inference.populations import Population
from bayesgmm.inference.proposals import Rows
from bayesgmm.inference.starts import CENTRES, from_centres, sample_rows

RATING = 6  # iterations before the worse half of the starts is dropped
KINDS = ("projections", "components", "projections", "agglomeration", "projections", "columns")  # of starts, in turn
MOVED = 2  # number of results from which moves start
OCCUPIED = 0.5  # a component that holds fewer points is empty
EMPTIED = 2  # number of components that are emptied on trial at a time
SAME = 0.5  # bounds that differ by less are the same
HIGHER = 0.05  # gain by which moves go on
VAIN = 2  # number of rounds of moves in vain after which they end


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
    density = ascent.density
    population = matched(density.blocks, density.model.family, Population.of([*starts]), ascent.threads)
    rated = [ascend_sorted(ascent, ascent.first(start), min(RATING, max_iter), tol) for start in population]
    return _best_continued(ascent, rated, max_iter, tol)


def _best_continued(ascent: Ascent, results: list[AscentResult], max_iter: int, tol: float) -> list[AscentResult]:
    """Continue the better half to ``max_iter`` iterations; return them, highest ELBO first."""
    results = sorted(results, key=lambda result: -result.elbo)[: (len(results) + 1) // 2]
    for number, result in enumerate(results):
        left = max_iter - result.n_iter
        if left > 0 and not (result.converged or result.interrupted):
            results[number] = result.then(ascend(ascent, result.factors, left, tol))
    return sorted(results, key=lambda result: -result.elbo)


def ascend_sorted(ascent: Ascent, start: Factors, max_iter: int, tol: float) -> AscentResult:
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
        tried = [ascend_sorted(ascent, ascent.without(best.factors, k), max_iter, tol) for k in occupied]
        best_tried = max(tried, key=lambda result: result.elbo, default=best)
        if not occupied or best_tried.elbo < best.elbo + SAME:
            break
        best = best_tried
        higher.insert(0, best)
    return higher
