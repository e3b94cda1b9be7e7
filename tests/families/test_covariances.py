"""Covariance families: optimality, freedom, an oracle; and their coordinates."""

import numpy as np
import pytest
from sklearn.mixture import GaussianMixture

from bayesgmm.errors import DegenerateComponent, EmptyComponent
from bayesgmm.families.structures import COVARIANCES
from bayesgmm.inference.em import Sweep, run
from bayesgmm.inference.mixtures import Mixture, maximise
from bayesgmm.sweep.stats import Blocks, Table, fold

K, D, N = 3, 3, 400


def blocks_and_stats(family, seed=0, n_features=D):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(N, n_features)) @ rng.normal(size=(n_features, n_features)) + rng.integers(0, 3, size=(N, 1))
    blocks = Blocks.from_rows(x)
    shape = family.core_shape(K, n_features)
    core = np.ones(shape) if family.diagonal else np.broadcast_to(np.eye(n_features), shape)
    mean = rng.normal(size=(K, n_features))
    return blocks, fold(blocks, Mixture(np.full(K, 1 / K), mean, core).table(family))


def expected_loglik(family, stats, mean, core_roots):
    """Q of EM, for given assignments: what an M step maximises over means and covariances."""
    roots = family.expand(core_roots, *mean.shape)
    shift = stats.about - mean
    total = 0.0
    for k in range(K):
        root = np.diag(roots[k]) if family.diagonal else roots[k]
        s2 = np.diag(stats.s2[k]) if family.diagonal else stats.s2[k]
        s2 = s2 + np.outer(stats.s1[k], shift[k]) + np.outer(shift[k], stats.s1[k])
        s2 = s2 + stats.n[k] * np.outer(shift[k], shift[k])
        total += stats.n[k] * np.log(np.diag(root)).sum() - 0.5 * np.trace(root.T @ root @ s2)
    return total


@pytest.mark.parametrize("name", COVARIANCES)
def test_maximise_beats_its_neighbours(name):
    family, rng = COVARIANCES[name], np.random.default_rng(1)
    _, stats = blocks_and_stats(family)
    best = maximise(family, stats)
    top = expected_loglik(family, stats, best.mean, best.core_roots)
    v = family.coordinates(best.core_roots)
    for _ in range(50):
        near = family.core_roots(v + 0.02 * rng.normal(size=v.shape), K, D)
        assert expected_loglik(family, stats, best.mean + 0.02 * rng.normal(size=(K, D)), near) < top


@pytest.mark.parametrize("name", COVARIANCES)
def test_maximise_has_the_freedom_that_the_family_claims(name):
    family = COVARIANCES[name]
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
    precision = np.swapaxes(root, -1, -2) @ root if not family.diagonal else root**2
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
    roots = family.core_roots(v, K, n_features)
    np.testing.assert_allclose(family.coordinates(roots), v, atol=1e-14)
    covariance = family.matrices(roots, K, n_features)
    whole = family.expand(roots, K, n_features)
    for k in range(K):
        root = np.diag(whole[k]) if family.diagonal else whole[k]
        np.testing.assert_allclose(root @ covariance[k] @ root.T, np.eye(n_features), atol=1e-9)


@pytest.mark.parametrize("name", COVARIANCES)
def test_roots_undo_covariances(name):
    family = COVARIANCES[name]
    _, stats = blocks_and_stats(family)
    core = family.maximise(stats)
    again = family.matrices(family.roots(core), K, D)
    if not family.diagonal:
        np.testing.assert_allclose(again, np.broadcast_to(core, again.shape), rtol=1e-10)
    else:
        np.testing.assert_allclose(np.diagonal(again, axis1=1, axis2=2), np.broadcast_to(core, (K, D)), rtol=1e-12)


@pytest.mark.parametrize("name", ["full", "diag", "spherical"])
def test_an_empty_component_is_named(name):
    family = COVARIANCES[name]
    root = (
        np.ones((2, 1))
        if name == "spherical"
        else np.ones((2, 2))
        if family.diagonal
        else np.tile(np.eye(2), (2, 1, 1))
    )
    table = Mixture(np.full(2, 0.5), np.array([[0.0, 0.0], [500.0, 500.0]]), root).table(family)
    x = np.random.default_rng(0).normal(size=(50, 2))
    with pytest.raises(EmptyComponent, match=r"component 1 holds 0\.0 points"):
        maximise(family, fold(Blocks.from_rows(x), table))


def test_a_degenerate_component_is_named():
    x = np.random.default_rng(0).normal(size=(60, 1)) * [1.0, 2.0]
    table = Table.from_parameters([0.0], [[0.0, 0.0]], np.eye(2)[None])
    with pytest.raises(DegenerateComponent, match="component 0 is singular"):
        maximise(COVARIANCES["full"], fold(Blocks.from_rows(x), table))
