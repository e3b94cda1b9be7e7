"""Rows in pieces: laid out in blocks as they are, with the numbers of the same rows in an array."""

import numpy as np
import pytest

from bayesgmm.sweep.blocks import laid_out
from bayesgmm.sweep.layout import BLOCK
from bayesgmm.sweep.pieces import Pieces

rng = np.random.default_rng(0)
SHIFT, SCALE = np.array([0.3, -1.0, 2.5]), np.array([2.0, 0.5, 1.0])


def in_pieces(rows, cuts):
    return Pieces(tuple(tuple(column.copy() for column in part.T) for part in np.split(rows, cuts)))


@pytest.mark.parametrize("kind", ["float32", "float64"])
@pytest.mark.parametrize("cuts", [[], [1], [32], [31, 33, 40], [100, 100, 999]])
@pytest.mark.parametrize("threads", [1, 2])
def test_rows_in_pieces_are_laid_out_as_an_array_to_the_last_bit(cuts, kind, threads):
    rows = rng.normal(size=(1000, 3)).astype(kind)
    given, x = in_pieces(rows, cuts), laid_out(rows, SHIFT, SCALE)
    np.testing.assert_array_equal(laid_out(given, SHIFT, SCALE, threads), x)
    np.testing.assert_array_equal(laid_out(np.asfortranarray(rows), SHIFT, SCALE, threads), x)
    own = (rows.astype(float) - SHIFT) * (1 / SCALE)
    np.testing.assert_array_equal(x.reshape(-1, 3, BLOCK).transpose(0, 2, 1).reshape(-1, 3)[:1000], own)
    assert (x.reshape(-1, 3, BLOCK)[-1, :, 1000 % BLOCK :] == 0).all()


@pytest.mark.parametrize("chosen", [slice(0, 10), slice(7, 55), slice(40, 41), slice(60, 100), slice(5, 5)])
def test_some_rows_of_pieces_are_those_of_the_array(chosen):
    rows = rng.normal(size=(100, 3)).astype(np.float32)
    given = in_pieces(rows, [10, 40, 41])
    np.testing.assert_array_equal(given[chosen], rows[chosen])
    assert given[chosen].shape == rows[chosen].shape
    assert np.asarray(given).dtype == given.dtype == np.float32
    assert np.shares_memory(given[7:55].pieces[1][0], given.pieces[1][0])


def test_arrays_and_pieces_are_joined_in_their_order():
    rows = rng.normal(size=(50, 3))
    joined = Pieces.joined([rows[:20], in_pieces(rows[20:], [10])])
    np.testing.assert_array_equal(joined, rows)
    with pytest.raises(ValueError, match="become one array by a copy"):
        np.asarray(joined, copy=False)
