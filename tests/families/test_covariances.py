"""Covariance families: optimality, freedom, an oracle; and their coordinates."""

import numpy as np
import pytest
from sklearn.mixture import GaussianMixture

from bayesgmm.errors import DegenerateComponent, EmptyComponent
from bayesgmm.families.structures import COVARIANCES
from bayesgmm.inference.em import Sweep, run
from bayesgmm.inference.mixtures import Mixture, maximise
from bayesgmm.sweep.stats import Blocks, Table, fold
from tests.families.toys import CHARTED, TOYS

K, D, N = 3, 3, 400
FAMILIES = {**COVARIANCES, **TOYS}


def blocks_and_stats(family, seed=0, n_features=D):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(N, n_features)) @ rng.normal(size=(n_features, n_features)) + rng.integers(0, 3, size=(N, 1))
    blocks = Blocks.from_rows(x)
    mean = rng.normal(size=(K, n_features))
    start = Mixture(np.full(K, 1 / K), mean, family.identity(K, n_features))
    return blocks, fold(blocks, start.table(family))


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_says_what_a_further_component_costs(name):
    family = FAMILIES[name]
    for n_features in (1, 2, 5):
        assert family.size_per_component(n_features) == family.size(7, n_features) - family.size(6, n_features)


@pytest.mark.parametrize("name", FAMILIES)
def test_shapes_come_back(name):
    """Core shape, scikit-learn's, a table's, and matrices of all components."""
    family, rng = FAMILIES[name], np.random.default_rng(0)
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


@pytest.mark.parametrize("name", [*COVARIANCES, *CHARTED])
def test_maximise_beats_its_neighbours(name):
    family, rng = FAMILIES[name], np.random.default_rng(1)
    _, stats = blocks_and_stats(family)
    best = maximise(family, stats)
    top = expected_loglik(family, stats, best.mean, best.core_roots)
    v = family.chart.coordinates(best.core_roots)
    for _ in range(50):
        near = family.chart.core_roots(v + 0.02 * rng.normal(size=v.shape), K, D)
        assert expected_loglik(family, stats, best.mean + 0.02 * rng.normal(size=(K, D)), near) < top


@pytest.mark.parametrize("name", FAMILIES)
def test_maximise_has_the_freedom_that_the_family_claims(name):
    family = FAMILIES[name]
    outputs = []
    for seed in range(40):
        _, stats = blocks_and_stats(family, seed)
        mixture = maximise(family, stats)
        outputs.append(family.matrices(mixture.core_roots, K, D).ravel())
    assert np.linalg.matrix_rank(np.array(outputs), tol=1e-8) == family.size(K, D)


@pytest.mark.parametrize("name", COVARIANCES)
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


@pytest.mark.parametrize("name", COVARIANCES)
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


@pytest.mark.parametrize("name", FAMILIES)
def test_roots_undo_covariances(name):
    family = FAMILIES[name]
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
