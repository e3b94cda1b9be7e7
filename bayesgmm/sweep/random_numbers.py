"""Counter-based random numbers for compiled functions: Philox4x32-10.

A number is a function of a key and of four counters, so a caller that counts in chains, sweeps and rows gets the same
numbers whatever the number of threads, and needs no state.

References
----------
.. [1] Salmon, Moraes, Dror & Shaw (2011), Proc. SC11, article 16: Philox.
"""

from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from bayesgmm.sweep.layout import LANES
from bayesgmm.sweep.simd import VEC

_ROUNDS = 10
_MULTIPLIERS = 0xD2511F53, 0xCD9E8D57
_WEYL = 0x9E3779B9, 0xBB67AE85
_LOW = 0xFFFFFFFF
_ONE_BITS = 0x3FF0000000000000  # exponent of numbers from 1 to 2
_I64, _F64 = ir.IntType(64), ir.DoubleType()
_VI, _VF = ir.VectorType(_I64, LANES), ir.VectorType(_F64, LANES)


def _constant(kind: Any, value: Any) -> Any:
    return ir.Constant(kind, [value] * LANES if isinstance(kind, ir.VectorType) else value)


def _philox(builder: Any, kind: Any, counters: Any, keys: Any) -> Any:
    """Return four numbers of 32 bits, as integers of 64 bits, from four counters and two keys below 2**32."""
    low, half = _constant(kind, _LOW), _constant(kind, 32)
    c0, c1, c2, c3 = counters
    k0, k1 = keys
    for _ in range(_ROUNDS):
        p0 = builder.mul(c0, _constant(kind, _MULTIPLIERS[0]))
        p1 = builder.mul(c2, _constant(kind, _MULTIPLIERS[1]))
        c0 = builder.xor(builder.xor(builder.lshr(p1, half), c1), k0)
        c2 = builder.xor(builder.xor(builder.lshr(p0, half), c3), k1)
        c1, c3 = builder.and_(p1, low), builder.and_(p0, low)
        k0 = builder.and_(builder.add(k0, _constant(kind, _WEYL[0])), low)
        k1 = builder.and_(builder.add(k1, _constant(kind, _WEYL[1])), low)
    return c0, c1, c2, c3


def _from_one_to_two(builder: Any, kind: Any, doubles: Any, high: Any, low: Any) -> Any:
    """Return a double in [1, 2) from the 52 highest of two times 32 bits."""
    bits = builder.or_(builder.shl(high, _constant(kind, 32)), low)
    bits = builder.or_(builder.lshr(bits, _constant(kind, 12)), _constant(kind, _ONE_BITS))
    return builder.bitcast(bits, doubles)


@intrinsic
def uniform_lanes(typingctx: Any, position: Any, sweep: Any, chain: Any, kind: Any, key0: Any, key1: Any) -> Any:
    """Draw two vectors of uniform numbers in [0, 1); the first counter of lane i is ``8 position + i``."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        def spread(value: Any) -> Any:
            one = builder.insert_element(ir.Constant(_VI, ir.Undefined), value, ir.IntType(32)(0))
            mask = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
            return builder.shuffle_vector(one, ir.Constant(_VI, ir.Undefined), mask)

        first = builder.mul(spread(args[0]), _constant(_VI, LANES))
        first = builder.and_(builder.add(first, ir.Constant(_VI, list(range(LANES)))), _constant(_VI, _LOW))
        others = [builder.and_(spread(value), _constant(_VI, _LOW)) for value in args[1:]]
        a, b, c, d = _philox(builder, _VI, (first, *others[:3]), others[3:])
        one = _constant(_VF, 1.0)
        pair = [builder.fsub(_from_one_to_two(builder, _VI, _VF, *bits), one) for bits in ((a, b), (c, d))]
        return context.make_tuple(builder, sig.return_type, pair)

    return types.UniTuple(VEC, 2)(*[types.int64] * 6), codegen


@intrinsic
def uniform_pair(typingctx: Any, position: Any, sweep: Any, chain: Any, kind: Any, key0: Any, key1: Any) -> Any:
    """Draw two uniform numbers in (0, 1], so that they have logarithms."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        low = [builder.and_(value, _constant(_I64, _LOW)) for value in args]
        a, b, c, d = _philox(builder, _I64, low[:4], low[4:])
        two = _constant(_F64, 2.0)
        pair = [builder.fsub(two, _from_one_to_two(builder, _I64, _F64, *bits)) for bits in ((a, b), (c, d))]
        return context.make_tuple(builder, sig.return_type, pair)

    return types.UniTuple(types.float64, 2)(*[types.int64] * 6), codegen
