"""Values of checkpoints: the same bits come back, and bytes from elsewhere do no harm."""

from dataclasses import dataclass

import numpy as np
import pytest

from bayesgmm.checkpoints.values import decoded, encoded
from bayesgmm.errors import CheckpointError
from bayesgmm.inference.gibbs_chains import Sample
from bayesgmm.inference.mixtures import Mixture
from bayesgmm.posterior.notes import EngineNotes, ExtensionInfo


def test_numbers_come_back_to_the_last_bit():
    values = [0.1 + 0.2, -0.0, np.nan, np.inf, 1, True, None, "é", np.float32(0.1), np.int64(3), np.bool_(True)]
    back = decoded(encoded(values))
    assert [type(value) for value in back] == [type(value) for value in values]
    assert repr(back) == repr(values)


@pytest.mark.parametrize("dtype", ["f8", "f4", "i8", "u2", "?", "U3"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_keep_their_type_and_their_order_in_memory(dtype, order):
    array = np.asarray(np.arange(12).reshape(3, 4), dtype, order=order)
    given = array, array[:0], array[1, 1:2]
    back = decoded(encoded(given))
    assert all(np.array_equal(a, b) and a.dtype == b.dtype for a, b in zip(back, given, strict=True))
    assert back[0].flags.c_contiguous == (order == "C")
    back[0][0] = back[0][1]  # it can be written


def test_the_package_s_classes_come_back():
    value = {
        "mixture": Mixture(np.ones(1), np.zeros((1, 2)), np.eye(2)[None]),
        (1, 2): [Sample(np.ones((1, 2, 3)), np.zeros((1, 2)), False, None)],
        "notes": EngineNotes(converged=True, extended=ExtensionInfo(10, 20)),
    }
    back = decoded(encoded(value))
    assert repr(back) == repr(value)


@dataclass
class Foreign:
    x: int


@pytest.mark.parametrize("value", [{1, 2}, np.array([{}]), object()])
def test_what_can_t_be_stored_is_an_error(value):
    with pytest.raises(TypeError, match="can't be stored in a checkpoint"):
        encoded(value)


NAME = b"bayesgmm.posterior.notes:EngineNotes"


@pytest.mark.parametrize(
    "stored",
    [
        encoded(Foreign(1)),
        encoded(EngineNotes()).replace(
            b"bayesgmm.posterior.notes:EngineNotes", b"bayesgmm.posterior.notes:EngineNotez"
        ),
        encoded(EngineNotes()).replace(
            b"bayesgmm.posterior.notes:EngineNotes", b"bayesgmm.errors:BayesGMMErrorsABCDE "
        ),
        encoded(np.ones(3)).replace(b"<f8", b"|O8"),
        encoded(np.ones(3))[:-1],
        b"",
        b"\x05\0\0\0\0\0\0\0hello",
    ],
)
def test_other_bytes_are_an_error(stored):
    """Classes of elsewhere, objects, and parts of a value are not made."""
    with pytest.raises(CheckpointError, match="a stored value can't be read"):
        decoded(stored)
