"""Named tuples in compiled code: functions get a pointer to them."""

from collections import namedtuple

import numpy as np
import pytest
from numba.core import event, ir, types

from bayesgmm.sweep.compilation import jit
from bayesgmm.sweep.inner_code import ShortCompiler
from bayesgmm.sweep.short_code import KernelCompiler

Inner = namedtuple("Inner", "flat square on")
Outer = namedtuple("Outer", "inner number pair")


@jit
def sum_inner(inner):
    return inner.flat.sum() + inner.flat.size + inner.square[1, 0] + (100.0 if inner.on else 0.0)


@jit
def sum_outer(outer, scale):
    copy = Outer(outer.inner, outer.number + 1, outer.pair)
    return scale * sum_inner(outer.inner) + sum_inner(copy.inner) + copy.number + outer.pair[1]


@jit
def write(outer):
    outer.inner.flat[0] = 7.0


@jit
def first(outer):
    return outer.inner


def compiled(function):
    import numba

    return numba.njit(function, pipeline_class=KernelCompiler)


def of(square):
    return Outer(Inner(np.arange(3.0), square, True), 4, (5, 6))


@pytest.mark.parametrize("square", [np.arange(4.0).reshape(2, 2), np.arange(8.0).reshape(2, 4)[:, ::2]])
def test_functions_read_the_fields_of_tuples_in_tuples(square):
    @compiled
    def kernel(outer):
        changed = Outer(outer.inner, 2 * outer.number, outer.pair)
        return sum_outer(outer, 2.0) + sum_outer(changed, 3.0)

    def expected(outer):
        changed = Outer(outer.inner, 2 * outer.number, outer.pair)
        return sum_outer(outer, 2.0) + sum_outer(changed, 3.0)

    assert kernel(of(square)) == expected(of(square))


def test_arrays_that_functions_write_are_those_of_the_tuple():
    @compiled
    def kernel(outer):
        write(outer)

    given = of(np.zeros((2, 2)))
    kernel(given)
    assert given.inner.flat[0] == 7.0


def test_a_function_that_returns_one_of_its_tuples_is_an_error():
    @compiled
    def kernel(outer):
        return first(outer).flat[0]

    with pytest.raises(AssertionError, match="returns one of its tuples"):
        kernel(of(np.zeros((2, 2))))


def test_numba_is_as_before_after_a_compilation():
    objects = [(types.Function, "get_call_type"), (event, "install_timer"), (ir.Inst, "_rec_list_vars")]
    before = [getattr(*one) for one in objects]
    seen = []

    class Watching(ShortCompiler):
        def define_pipelines(self):
            seen.append([getattr(*one) for one in objects])
            return super().define_pipelines()

    class Compiler(KernelCompiler, Watching):
        pass

    import numba

    assert numba.njit(lambda x: x + 1, pipeline_class=Compiler)(1) == 2
    assert all(inside is not outside for inside, outside in zip(seen[0], before, strict=True))
    assert [getattr(*one) for one in objects] == before
