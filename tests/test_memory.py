"""Results that do not fit into memory are refused, with their size, before they are computed."""

import ctypes
import struct

import pytest

import bayesgmm as bg
from bayesgmm import memory
from bayesgmm.errors import DeclarationError


@pytest.mark.parametrize("method", ["nuts", "gibbs"])
@pytest.mark.parametrize("settings", [{"draws": 10**12}, {"chains": 10**12}])
def test_more_draws_than_the_memory_holds_are_refused(method, settings):
    (name,) = settings
    with pytest.raises(DeclarationError, match=rf"{name}=1,000,000,000,000.* would need [\d,]+ GiB of memory"):
        bg.fit(bg.MixtureModel(1), [0.0, 1.0, 3.0], method, progress=False, **settings)


def test_the_memory_of_this_machine_is_known():
    assert 2**28 < memory.total_memory() < 2**40


def test_windows_is_asked_in_its_own_form():
    """MEMORYSTATUSEX: its size and the load in percent as 32 bits, the memory and six others as 64 bits."""

    def fill(place):
        status = ctypes.string_at(place._obj, 64)
        assert struct.unpack_from("<II", status) == (64, 0)
        ctypes.memmove(place._obj, struct.pack("<IIQ", 64, 40, 16 * 2**30), 16)
        return 1

    assert memory._memory_of_windows(fill) == 16 * 2**30
    with pytest.raises(OSError, match="does not tell"):
        memory._memory_of_windows(lambda place: 0)
