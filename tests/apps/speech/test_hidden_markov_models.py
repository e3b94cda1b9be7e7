"""Hidden Markov models and the decoder, against enumeration of all paths."""

import itertools

import numpy as np
import pytest

from bayesgmm.apps.speech import decoding
from bayesgmm.apps.speech import hidden_markov_models as hmm
from tests.speaking import tiny_decoder

pytest.importorskip("soundfile")
pytest.importorskip("librosa")


def all_paths(n_frames, n_states):
    """All left-to-right state paths."""
    for path in itertools.product(range(n_states), repeat=n_frames):
        steps = np.diff(path)
        if path[0] == 0 and path[-1] == n_states - 1 and ((steps == 0) | (steps == 1)).all():
            yield np.array(path)


def weight_of(path, emitted, stay):
    moved = np.append(np.diff(path) == 1, True)
    return emitted[np.arange(len(path)), path].sum() + np.log(np.where(moved, 1 - stay[path], stay[path])).sum()


def test_forward_backward_agrees_with_enumeration():
    rng = np.random.default_rng(0)
    parts, stay = [rng.normal(size=(t, 3)) for t in (6, 3, 4)], rng.uniform(0.1, 0.9, 3)
    padded = hmm.Padded.of(parts)
    occupancy, loglik = hmm.occupancies(padded, stay)
    np.testing.assert_allclose(loglik, hmm.log_probability(padded, stay))
    for r, part in enumerate(parts):
        paths = list(all_paths(len(part), 3))
        weights = np.exp([weight_of(path, part, stay) for path in paths])
        assert loglik[r] == pytest.approx(np.log(weights.sum()))
        expected = sum(w * np.eye(3)[path] for w, path in zip(weights, paths, strict=True)) / weights.sum()
        np.testing.assert_allclose(occupancy[r, : len(part)], expected)
        assert (occupancy[r, len(part) :] == 0).all()


def test_a_recording_with_fewer_frames_than_states_has_probability_zero():
    assert np.isneginf(hmm.log_probability(hmm.Padded.of([np.zeros((2, 3))]), np.full(3, 0.5)))


@pytest.mark.parametrize(("exponent", "seed"), list(itertools.product([1.0, 0.5, 0.3], range(10))))
def test_the_decoded_path_is_the_best_of_all_paths(exponent, seed):
    decoder = tiny_decoder(exponent)
    values = np.random.default_rng(seed).normal(size=(5, 1))
    begin, chain = decoder.transitions()
    log = decoder.log_weights(values)
    with np.errstate(divide="ignore"):
        log_begin, log_chain, log_end = np.log(begin), np.log(chain), np.log(decoder.ends())

    paths = np.array(list(itertools.product(range(5), repeat=5)))
    total = (
        log_begin[paths[:, 0]]
        + log[np.arange(5), paths].sum(axis=1)
        + log_chain[paths[:, :-1], paths[:, 1:]].sum(axis=1)
        + log_end[paths[:, -1]]
    )
    best = paths[total.argmax()]
    np.testing.assert_array_equal(decoder.path(values), best)


def test_transition_weights_of_the_decoder():
    begin, chain = tiny_decoder(1.0).transitions()
    assert begin.sum() == pytest.approx(1)
    np.testing.assert_allclose(chain.sum(axis=1), 1)  # with exponent 1 they are probabilities
    assert chain[0, 1] == pytest.approx(0.7)
    assert chain[1, 2] == pytest.approx(0.4 * (1 - decoding.PAUSE) * 0.9)
    assert chain[2, 4] == 0
    assert tiny_decoder(0.3).transitions()[1][0, 1] == pytest.approx(0.7**0.3)
    assert chain[3, 4] == pytest.approx(0.8 * decoding.PAUSE)
    np.testing.assert_allclose(tiny_decoder(0.3).ends(), [0, 0.4**0.3, 0, 0.8**0.3, 1])
