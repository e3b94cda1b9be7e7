"""Chains through states, alone and in a network, against every way through them."""

import itertools

import numpy as np
import pytest

from bayesgmm.apps.speech import chains, networks
from tests.speaking import tiny_network

pytest.importorskip("soundfile")
pytest.importorskip("librosa")


def ways(n_frames, n_states):
    """Every way through a chain: which state each frame is in."""
    for path in itertools.product(range(n_states), repeat=n_frames):
        steps = np.diff(path)
        if path[0] == 0 and path[-1] == n_states - 1 and ((steps == 0) | (steps == 1)).all():
            yield np.array(path)


def weight_of(path, emitted, stay):
    moved = np.append(np.diff(path) == 1, True)
    return emitted[np.arange(len(path)), path].sum() + np.log(np.where(moved, 1 - stay[path], stay[path])).sum()


def test_chains_agree_with_every_way_through_them():
    rng = np.random.default_rng(0)
    parts, stay = [rng.normal(size=(t, 3)) for t in (6, 3, 4)], rng.uniform(0.1, 0.9, 3)
    padded = chains.Padded.of(parts)
    occupancy, loglik = chains.occupancies(padded, stay)
    np.testing.assert_allclose(loglik, chains.log_probability(padded, stay))
    for r, part in enumerate(parts):
        paths = list(ways(len(part), 3))
        weights = np.exp([weight_of(path, part, stay) for path in paths])
        assert loglik[r] == pytest.approx(np.log(weights.sum()))
        expected = sum(w * np.eye(3)[path] for w, path in zip(weights, paths, strict=True)) / weights.sum()
        np.testing.assert_allclose(occupancy[r, : len(part)], expected)
        assert (occupancy[r, len(part) :] == 0).all()


def test_a_recording_that_is_shorter_than_the_chain_is_impossible():
    assert np.isneginf(chains.log_probability(chains.Padded.of([np.zeros((2, 3))]), np.full(3, 0.5)))


@pytest.mark.parametrize(("exponent", "seed"), list(itertools.product([1.0, 0.5, 0.3], range(10))))
def test_the_path_is_the_best_of_all_paths(exponent, seed):
    network = tiny_network(exponent)
    values = np.random.default_rng(seed).normal(size=(5, 1))
    begin, chain = network.transitions()
    log = network.log_weights(values)
    with np.errstate(divide="ignore"):
        log_begin, log_chain, log_end = np.log(begin), np.log(chain), np.log(network.ends())

    paths = np.array(list(itertools.product(range(5), repeat=5)))
    total = (
        log_begin[paths[:, 0]]
        + log[np.arange(5), paths].sum(axis=1)
        + log_chain[paths[:, :-1], paths[:, 1:]].sum(axis=1)
        + log_end[paths[:, -1]]
    )
    best = paths[total.argmax()]
    np.testing.assert_array_equal(network.path(values), best)


def test_chains_of_a_network_lead_where_they_should():
    begin, chain = tiny_network(1.0).transitions()
    assert begin.sum() == pytest.approx(1)
    np.testing.assert_allclose(chain.sum(axis=1), 1)  # with exponent 1 they are probabilities
    assert chain[0, 1] == pytest.approx(0.7)
    assert chain[1, 2] == pytest.approx(0.4 * (1 - networks.PAUSE) * 0.9)
    assert chain[2, 4] == 0
    assert tiny_network(0.3).transitions()[1][0, 1] == pytest.approx(0.7**0.3)
    assert chain[3, 4] == pytest.approx(0.8 * networks.PAUSE)
    np.testing.assert_allclose(tiny_network(0.3).ends(), [0, 0.4**0.3, 0, 0.8**0.3, 1])
