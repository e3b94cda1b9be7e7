"""Covariance families: optimality, freedom, an oracle; and their coordinates."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.mixture import GaussianMixture

from bayesgmm.errors import DegenerateComponent, EmptyComponent
from bayesgmm.families.structures import COVARIANCES
from bayesgmm.inference.em_steps import Sweep, run, take_steps
from bayesgmm.inference.mixtures import CovariancePrior, Mixture, maximise
from bayesgmm.inference.populations import Climb, Population
from bayesgmm.inference.starts import from_responsibilities
from bayesgmm.sweep.blocks import Blocks
from bayesgmm.sweep.stats import Stats, Table, fold
from tests.families.neighbours import near
from tests.families.registry import CHARTED, SKLEARN

K, D, N = 3, 3, 400


def blocks_and_stats(family, seed=0, n_features=D):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(N, n_features)) @ rng.normal(size=(n_features, n_features)) + rng.integers(0, 3, size=(N, 1))
    blocks = Blocks.from_rows(x)
    mean = rng.normal(size=(K, n_features))
    start = Mixture(np.full(K, 1 / K), mean, family.identity(K, n_features))
    return blocks, fold(blocks, start.table(family))


@pytest.mark.parametrize("name", COVARIANCES)
def test_a_family_says_what_a_further_component_costs(name):
    family = COVARIANCES[name]
    for n_features in (1, 2, 5):
        assert family.size_per_component(n_features) == family.size(7, n_features) - family.size(6, n_features)


@pytest.mark.parametrize("name", COVARIANCES)
def test_shapes_come_back(name):
    """Core shape, scikit-learn's, a table's, and matrices of all components."""
    family, rng = COVARIANCES[name], np.random.default_rng(0)
    core = np.exp(rng.normal(size=family.core_shape(K, D)))
    if core.ndim == 3:
        core = core @ np.swapaxes(core, 1, 2)
    np.testing.assert_array_equal(family.unsqueezed(family.squeezed(core)), core)
    assert family.squeezed(core).ndim == len(family.dims)
    matrices = family.as_matrices(core, K, D)
    np.testing.assert_allclose(family.cores(matrices), core, rtol=1e-15)
    np.testing.assert_array_equal([square(one) for one in family.expand(core, K, D)], matrices)
    assert family.zero_moments(K, D).shape == family.expand(core, K, D).shape
    order = np.array([2, 0, 1])
    moved = family.as_matrices(family.sharing.reordered(core, order), K, D)
    np.testing.assert_array_equal(moved, matrices[order])


def square(one):
    """A matrix that a table keeps as it is, or as its diagonal."""
    return np.diag(one) if one.ndim == 1 else one


def expected_loglik(family, stats, mean, core_roots):
    """Q of EM, for given assignments: what an M step maximises over means and covariances."""
    roots = family.expand(core_roots, *mean.shape)
    shift = stats.about - mean
    total = 0.0
    for k in range(K):
        root, s2 = square(roots[k]), square(stats.s2[k])
        s2 = s2 + np.outer(stats.s1[k], shift[k]) + np.outer(shift[k], stats.s1[k])
        s2 = s2 + stats.n[k] * np.outer(shift[k], shift[k])
        total += stats.n[k] * np.log(np.diag(root)).sum() - 0.5 * np.trace(root.T @ root @ s2)
    return total


@pytest.mark.parametrize("size", [0.02, 1e-4])
@pytest.mark.parametrize("name", COVARIANCES)
def test_maximise_beats_its_neighbours(name, size):
    family, rng = COVARIANCES[name], np.random.default_rng(1)
    _, stats = blocks_and_stats(family)
    best = maximise(family, stats)
    top = expected_loglik(family, stats, best.mean, best.core_roots)
    covariance = family.matrices(best.core_roots, K, D)
    for _ in range(50):
        there = near(family.mclust, covariance, rng, size)
        np.testing.assert_allclose(family.as_matrices(family.cores(there), K, D), there, atol=1e-9)
        roots = family.roots(family.cores(there))
        assert expected_loglik(family, stats, best.mean + size * rng.normal(size=(K, D)), roots) < top


@pytest.mark.parametrize("name", COVARIANCES)
def test_under_a_prior_maximise_beats_its_neighbours(name):
    """The prior is inverse Wishart for each covariance, or for each variance where there are no correlations."""
    family, rng = COVARIANCES[name], np.random.default_rng(1)
    _, stats = blocks_and_stats(family)
    form, block = family.form, family.form.block_size(D)
    scale = form.from_matrices(np.diag([3.0, 1.0, 2.0]))
    best = maximise(family, stats, CovariancePrior(block + 5.0, scale))

    def value(core_roots):
        cost = np.einsum("mij,jl,mil->", core_roots, scale, core_roots) if block > 1 else (core_roots**2 * scale).sum()
        diagonal = np.diagonal(core_roots, axis1=1, axis2=2) if block > 1 else core_roots
        log_prior = (2 * block + 6.0) * np.log(diagonal).sum() - 0.5 * cost
        return log_prior + expected_loglik(family, stats, best.mean, core_roots)

    covariance, top = family.matrices(best.core_roots, K, D), value(best.core_roots)
    for _ in range(50):
        assert value(family.roots(family.cores(near(family.mclust, covariance, rng, 0.02)))) < top


@pytest.mark.parametrize("name", COVARIANCES)
def test_maximise_has_the_freedom_that_the_family_claims(name):
    """The dimension of the tangent space: the rank of the changes of maxima when the statistics change a little."""
    family, rng, step = COVARIANCES[name], np.random.default_rng(0), 1e-5
    _, stats = blocks_and_stats(family)

    def maximum(change):
        s2 = stats.s2 + change + np.swapaxes(change, -1, -2) * (change.ndim == 3)
        return family.matrices(maximise(family, replace(stats, s2=s2)).core_roots, K, D).ravel()

    steps = [step * stats.s2.max() * rng.normal(size=stats.s2.shape) for _ in range(60)]
    changes = np.array([maximum(one) - maximum(-one) for one in steps]) / step
    assert np.linalg.matrix_rank(changes, tol=1e-3 * np.abs(changes).max()) == family.size(K, D)


@pytest.mark.parametrize("name", COVARIANCES)
def test_the_number_of_parameters_is_mclusts(name):
    """One for each volume, D - 1 for each shape, D (D - 1) / 2 for each orientation."""
    counts = {"I": 0, "E": 1, "V": K}
    parts = zip(COVARIANCES[name].mclust, (1, D - 1, D * (D - 1) // 2), strict=True)
    assert COVARIANCES[name].size(K, D) == sum(counts[letter] * size for letter, size in parts)


@pytest.mark.parametrize("name", COVARIANCES)
def test_several_mixtures_are_maximised_as_each_alone(name):
    family = COVARIANCES[name]
    each = [blocks_and_stats(family, seed)[1] for seed in range(3)]
    joined = Stats(*(np.concatenate([getattr(s, f) for s in each]) for f in ("n", "s1", "s2")), 0.0, each[0].about)
    joined = replace(joined, about=np.concatenate([s.about for s in each]))
    scale = family.form.from_matrices(np.eye(D))
    together = family.maximise(joined, 7.0, scale, 3)
    alone = np.concatenate([family.maximise(stats, 7.0, scale) for stats in each])
    np.testing.assert_allclose(together, alone, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", COVARIANCES)
def test_em_never_lowers_the_likelihood_and_under_a_prior_the_posterior(name):
    family, rng = COVARIANCES[name], np.random.default_rng(3)
    blocks, _ = blocks_and_stats(family, seed=4)
    rows = blocks.rows()
    shares = rng.dirichlet(np.full(K, 0.3), size=N)
    start = from_responsibilities(rows, np.ones(N), shares, family)
    history = np.array(take_steps(Sweep(blocks, family), start, 200, 1e-12).history)
    assert len(history) > 5
    assert np.diff(history).min() > -1e-9 * abs(history[0])
    prior = CovariancePrior(D + 3.0, family.form.from_matrices(np.eye(D)))
    climb, population, values = Climb(blocks, family, prior), Population.of([start]), []
    for _ in range(60):
        value, population = climb.step(population)
        values.append(value[0])
    assert np.diff(values).min() > -1e-9 * abs(values[0])


@pytest.mark.parametrize("name", SKLEARN)
def test_a_long_em_run_ends_where_sklearn_ends(name):
    family = COVARIANCES[name]
    blocks, stats = blocks_and_stats(family, seed=5)
    start = maximise(family, stats)
    ours = run(Sweep(blocks, family), start, max_iter=5000, tol=1e-11)
    root = family.expand(start.core_roots, K, D)
    precision = np.swapaxes(root, -1, -2) @ root if root.ndim == 3 else root**2
    init = {"full": precision, "tied": precision[0], "diag": precision, "spherical": precision[:, 0]}
    theirs = GaussianMixture(
        K,
        covariance_type=name,
        tol=1e-11,
        reg_covar=0,
        max_iter=5000,
        weights_init=start.weight / start.weight.sum(),
        means_init=start.mean,
        precisions_init=init[name],
    ).fit(blocks.rows())
    np.testing.assert_allclose(ours.loglik / N, theirs.score(blocks.rows()), rtol=1e-8)
    np.testing.assert_allclose(ours.mixture.mean, theirs.means_, atol=2e-3)


@pytest.mark.parametrize("name", CHARTED)
@pytest.mark.parametrize("n_features", [1, 2, 4])
def test_coordinates_come_back(name, n_features):
    family, rng = COVARIANCES[name], np.random.default_rng(2)
    v = rng.normal(size=family.size(K, n_features))
    roots = family.chart.core_roots(v, K, n_features)
    np.testing.assert_allclose(family.chart.coordinates(roots), v, atol=1e-14)
    covariance = family.matrices(roots, K, n_features)
    whole = family.expand(roots, K, n_features)
    for k in range(K):
        root = square(whole[k])
        np.testing.assert_allclose(root @ covariance[k] @ root.T, np.eye(n_features), atol=1e-9)


@pytest.mark.parametrize("name", COVARIANCES)
def test_roots_undo_covariances(name):
    family = COVARIANCES[name]
    _, stats = blocks_and_stats(family)
    core = family.maximise(stats)
    again = family.matrices(family.roots(core), K, D)
    whole = [square(one) for one in family.expand(core, K, D)]
    np.testing.assert_allclose(again, whole, rtol=1e-10, atol=1e-15)
    np.testing.assert_allclose(family.cores(again), core, rtol=1e-10)


@pytest.mark.parametrize("name", ["full", "diag", "spherical"])
def test_an_empty_component_is_named(name):
    family = COVARIANCES[name]
    means = np.array([[0.0, 0.0], [500.0, 500.0]])
    table = Mixture(np.full(2, 0.5), means, family.identity(2, 2)).table(family)
    x = np.random.default_rng(0).normal(size=(50, 2))
    with pytest.raises(EmptyComponent, match=r"component 1 holds 0\.0 points"):
        maximise(family, fold(Blocks.from_rows(x), table))


def test_a_degenerate_component_is_named():
    x = np.random.default_rng(0).normal(size=(60, 1)) * [1.0, 2.0]
    table = Table.from_parameters([0.0], [[0.0, 0.0]], np.eye(2)[None])
    with pytest.raises(DegenerateComponent, match="component 0 is singular"):
        maximise(COVARIANCES["full"], fold(Blocks.from_rows(x), table))


@pytest.mark.parametrize("name", COVARIANCES)
def test_a_family_says_whether_the_units_of_the_columns_matter(name):
    """Columns in other units: the maximum is the same in these units, if the family needs no common scale."""
    family, units = COVARIANCES[name], np.array([1.0, 8.0, 0.25])
    _, stats = blocks_and_stats(family)
    power = units**2 if stats.s2.ndim == 2 else np.outer(units, units)
    scaled = Stats(stats.n, stats.s1 * units, stats.s2 * power, 0.0, stats.about * units)
    here, there = (family.as_matrices(family.maximise(one), K, D) for one in (stats, scaled))
    same = np.allclose(there / np.outer(units, units), here, rtol=1e-6, atol=1e-8)
    assert same is not family.needs_common_scale


@pytest.mark.parametrize("name", COVARIANCES)
def test_a_floor_keeps_the_structure(name):
    """Covariances with a minimum variance, also of too few points, are those of the family."""
    family = COVARIANCES[name]
    x = np.random.default_rng(0).normal(size=(4, D))
    means = np.array([[0.0] * D, [0.5] * D, [50.0] * D])
    stats = fold(Blocks.from_rows(x), Mixture(np.full(K, 1 / K), means, family.identity(K, D)).table(family))
    mixture = maximise(family, stats, floor=np.full(D, 0.01))
    covariance = family.matrices(mixture.core_roots, K, D)
    assert (np.linalg.eigvalsh(covariance) > 0).all()
    again = family.restrict(family.cores(covariance), family.sharing.pool(stats.n + 1.0))
    np.testing.assert_allclose(again, family.cores(covariance), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", ["EVE", "VVE"])
def test_common_axes_between_the_columns_are_found(name):
    """Each covariance has equal variances in the columns, so that no rotation seems to help from these."""
    family, turn = COVARIANCES[name], np.array([[1.0, -1.0], [1.0, 1.0]]) / np.sqrt(2)
    core = np.array([turn @ np.diag(variances) @ turn.T for variances in ([4.0, 1.0], [1.0, 4.0], [8.0, 0.5])])
    np.testing.assert_allclose(family.restrict(core, np.array([5.0, 10.0, 20.0])), core, rtol=1e-9)


@pytest.mark.parametrize("name", ["EVE", "VVE"])
def test_the_maximum_is_no_lower_than_the_covariances_before(name):
    """Random covariances have several best axes; from the highest of those of ten starts the fit is no lower."""
    family, rng, gains, apart = COVARIANCES[name], np.random.default_rng(0), [], []
    for _ in range(40):
        noise, n = rng.normal(size=(4, 5, 4)), rng.uniform(5, 50, size=4)
        core = np.swapaxes(noise, 1, 2) @ noise
        starts = [np.linalg.qr(rng.normal(size=(4, 4)))[0] for _ in range(10)]
        spread = np.diag(np.exp(np.arange(4.0)))
        found = [family.restrict(core, n, before=family.roots(np.array(4 * [q @ spread @ q.T]))) for q in starts]
        fits = [fit_of(core, n, one) for one in found]
        best = found[np.argmax(fits)]
        gains.append(fit_of(core, n, family.restrict(core, n, before=family.roots(best))) - max(fits))
        apart.append(np.ptp(fits))
    assert max(apart) > 1
    assert min(gains) > -1e-9


def fit_of(core, n, covariance):
    """Log likelihood of Gaussians of the second covariances whose points have the first."""
    log_volume = np.linalg.slogdet(covariance)[1]
    return -0.5 * float(n @ (log_volume + np.trace(np.linalg.solve(covariance, core), axis1=1, axis2=2)))
