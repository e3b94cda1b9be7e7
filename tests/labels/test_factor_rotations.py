"""Rotations of factors over draws: undone where nothing but rotation, order and sign differ."""

import numpy as np
import pytest

from bayesgmm.labels.factor_rotations import MAX_ENUMERATED, aligned, varimax


def rotations(rng, size, q):
    return np.linalg.qr(rng.normal(size=(size, q, q)))[0]


def simple(rng, d, q):
    """Loadings of a simple structure: each column of the data has one factor."""
    loadings = np.zeros((d, q))
    loadings[np.arange(d), np.arange(d) % q] = rng.uniform(1.0, 3.0, size=d)
    return loadings


@pytest.mark.parametrize("q", [1, 2, 3, MAX_ENUMERATED + 1])
def test_rotated_copies_become_equal(q):
    rng = np.random.default_rng(q)
    loadings = simple(rng, 5 * q, q) + 0.02 * rng.normal(size=(5 * q, q))
    draws = aligned(loadings @ rotations(rng, 40, q), np.ones(5 * q))
    assert np.ptp(draws, axis=0).max() < 1e-3
    product = draws[0] @ draws[0].T
    np.testing.assert_allclose(product, loadings @ loadings.T, atol=1e-8)  # a rotation, and nothing else


def test_draws_that_differ_keep_their_spread():
    rng = np.random.default_rng(3)
    loadings = simple(rng, 12, 3)
    noisy = loadings + 0.05 * rng.normal(size=(400, 12, 3))
    draws = aligned(noisy @ rotations(rng, 400, 3), np.ones(12))
    np.testing.assert_allclose(draws.std(axis=0), 0.05, rtol=0.35)
    assert (draws.mean(axis=0).max(axis=0) > 0).all()


def test_varimax_is_no_lower_than_rotations_of_it():
    """The criterion: the variance of squared loadings within factors."""
    rng = np.random.default_rng(4)
    found = varimax(rng.normal(size=(1, 9, 3)))[0]

    def criterion(loadings):
        return ((loadings**2).var(axis=0)).sum()

    near = [criterion(found @ np.linalg.qr(np.eye(3) + 0.05 * rng.normal(size=(3, 3)))[0]) for _ in range(200)]
    assert max(near) <= criterion(found) + 1e-9
