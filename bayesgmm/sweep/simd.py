"""Eight numbers at once: numba value types whose arithmetic LLVM maps to the machine's vectors.

Automatic vectorisation neither keeps accumulators in registers nor vectorises ``exp``, so the
kernels use explicit operations: ``load``, ``+ - *``, ``fma``, ``store``. LLVM splits the eight lanes into
whatever the machine has (one AVX-512 register, two of AVX2, four of NEON or SSE2). The types live only
inside compiled functions: they are never boxed, returned or stored.

Vectors are of doubles (``VEC``); those that are loaded from an array of single precision are of such numbers
(``SINGLE``), and twice as fast. Only ``exp``, ``log`` and ``total`` need doubles. A row of a block (``ROW``) is a wide
vector, which most functions take, too; ``parts`` makes four vectors of it.
"""

import operator
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_model

from bayesgmm.sweep.layout import BLOCK, LANES

_F64, _I64 = ir.DoubleType(), ir.IntType(64)
_VF = ir.VectorType(_F64, LANES)


class _Vec(types.Type):
    def __init__(self, name: str, number: Any, vector: Any) -> None:
        super().__init__(name=name)
        self.number, self.vector = number, vector


VEC = _Vec("Vec8", types.float64, _VF)
SINGLE = _Vec("Vec8 of single precision", types.float32, ir.VectorType(ir.FloatType(), LANES))
ROW = _Vec("Row", types.float64, ir.VectorType(_F64, BLOCK))


def _vector_of(number: Any) -> Any:
    """Return the type of a vector of such numbers."""
    return SINGLE if number == SINGLE.number else VEC


@register_model(_Vec)
class _VecModel(models.PrimitiveModel):
    def __init__(self, dmm: Any, fe_type: Any) -> None:
        super().__init__(dmm, fe_type, fe_type.vector)


def _const(value: Any, kind: Any = _VF) -> Any:
    return ir.Constant(kind, [value] * kind.count)


def _element_pointer(context: Any, builder: Any, array_type: Any, array: Any, position: Any) -> Any:
    view = cgutils.create_struct_proxy(array_type)(context, builder, value=array)
    return builder.gep(view.data, [position])


@intrinsic
def load(typingctx: Any, array: Any, position: Any) -> Any:
    """Load eight adjacent numbers of a flat, contiguous array, from ``array[position]`` on."""
    return _vector_of(array.dtype)(array, types.intp), _load


@intrinsic
def load_row(typingctx: Any, array: Any, position: Any) -> Any:
    """Load a row of a block, from ``array[position]`` on; numbers of single precision become doubles."""
    return ROW(array, types.intp), _load_row


def _load(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    pointer = _element_pointer(context, builder, sig.args[0], args[0], args[1])
    vector = sig.return_type
    return builder.load(builder.bitcast(pointer, vector.vector.as_pointer()), align=vector.number.bitwidth // 8)


def _load_row(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    if sig.args[0].dtype != SINGLE.number:
        return _load(context, builder, sig, args)
    pointer = _element_pointer(context, builder, sig.args[0], args[0], args[1])
    kind = ir.VectorType(ir.FloatType(), BLOCK)
    return builder.fpext(builder.load(builder.bitcast(pointer, kind.as_pointer()), align=4), ROW.vector)


@intrinsic
def store(typingctx: Any, array: Any, position: Any, vec: Any) -> Any:
    """Store a vector's numbers, adjacent in a flat array, rounded if it is of single precision."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        pointer = _element_pointer(context, builder, sig.args[0], args[0], args[1])
        to = ROW if sig.args[2] == ROW else _vector_of(sig.args[0].dtype)
        numbers = args[2] if to == sig.args[2] else builder.fptrunc(args[2], to.vector)
        builder.store(numbers, builder.bitcast(pointer, to.vector.as_pointer()), align=to.number.bitwidth // 8)
        return context.get_dummy_value()

    return types.none(array, types.intp, vec), codegen


def _gathered(context: Any, builder: Any, array_type: Any, array: Any, places: Any) -> Any:
    """Return a vector of the numbers at eight places of an array."""
    vector = ir.Constant(_VF, ir.Undefined)
    for lane, place in enumerate(places):
        value = builder.load(_element_pointer(context, builder, array_type, array, place))
        vector = builder.insert_element(vector, value, ir.IntType(32)(lane))
    return vector


def _places(context: Any, builder: Any, array_type: Any, array: Any, first: Any) -> Any:
    """Return eight adjacent numbers of a flat array of integers."""
    pointer = _element_pointer(context, builder, array_type, array, first)
    return [builder.load(builder.gep(pointer, [_I64(lane)])) for lane in range(LANES)]


@intrinsic
def gather(typingctx: Any, array: Any, base: Any, places: Any, first: Any) -> Any:
    """Load ``array[base + places[first + lane]]`` in each lane."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        each = _places(context, builder, sig.args[2], args[2], args[3])
        return _gathered(context, builder, sig.args[0], args[0], [builder.add(args[1], place) for place in each])

    return VEC(array, types.int64, places, types.int64), codegen


@intrinsic
def gather_rows(typingctx: Any, array: Any, base: Any, width: Any, places: Any, first: Any) -> Any:
    """Load ``array[base + width * places[first + lane] + lane]`` in each lane."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        rows = [builder.mul(place, args[2]) for place in _places(context, builder, sig.args[3], args[3], args[4])]
        each = [builder.add(builder.add(args[1], row), _I64(lane)) for lane, row in enumerate(rows)]
        return _gathered(context, builder, sig.args[0], args[0], each)

    return VEC(array, types.int64, types.int64, places, types.int64), codegen


@intrinsic
def gather_pairs(typingctx: Any, array: Any, base: Any, width: Any, places: Any, first: Any, second: Any) -> Any:
    """Load ``array[base + width * places[first + lane] + places[second + lane]]`` in each lane."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        row, column = (_places(context, builder, sig.args[3], args[3], at) for at in args[4:])
        each = [builder.add(builder.mul(i, args[2]), j) for i, j in zip(row, column, strict=True)]
        return _gathered(context, builder, sig.args[0], args[0], [builder.add(args[1], place) for place in each])

    return VEC(array, types.int64, types.int64, places, types.int64, types.int64), codegen


@intrinsic
def spread(typingctx: Any, scalar: Any) -> Any:
    """Fill all eight lanes with the same number."""
    vector = _vector_of(scalar)
    return vector(vector.number), _spread


@intrinsic
def spread_row(typingctx: Any, scalar: Any) -> Any:
    """Return a row of equal numbers."""
    return ROW(types.float64), _spread


def _spread(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    empty = ir.Constant(sig.return_type.vector, ir.Undefined)
    one = builder.insert_element(empty, args[0], ir.IntType(32)(0))
    return builder.shuffle_vector(one, empty, _const(0, ir.VectorType(ir.IntType(32), empty.type.count)))


def _places_from(first: int, count: int) -> Any:
    """Return successive places in a vector."""
    return ir.Constant(ir.VectorType(ir.IntType(32), count), list(range(first, first + count)))


@intrinsic
def join(typingctx: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
    """Return the row of four vectors."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        while len(args) > 1:
            places = _places_from(0, 2 * args[0].type.count)
            args = [builder.shuffle_vector(*pair, places) for pair in zip(args[::2], args[1::2], strict=True)]
        return args[0]

    return ROW(a, b, c, d), codegen


@intrinsic
def parts(typingctx: Any, row: Any) -> Any:
    """Return the vectors of a row."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        empty, starts = ir.Constant(args[0].type, ir.Undefined), range(0, BLOCK, LANES)
        vectors = [builder.shuffle_vector(args[0], empty, _places_from(at, LANES)) for at in starts]
        return context.make_tuple(builder, sig.return_type, vectors)

    return types.UniTuple(VEC, BLOCK // LANES)(row), codegen


def _call(builder: Any, name: Any, args: Any) -> Any:
    vector = args[0].type
    kind, bits = ir.FunctionType(vector, [vector] * len(args)), 64 if vector.element == _F64 else 32
    function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.{name}.v{vector.count}f{bits}")
    return builder.call(function, args)


@intrinsic
def fma(typingctx: Any, a: Any, b: Any, c: Any) -> Any:
    """Compute ``a * b + c`` with one rounding."""
    return a(a, a, a), lambda context, builder, sig, args: _call(builder, "fma", args)


def _larger(builder: Any, first: Any, second: Any) -> Any:
    return builder.select(builder.fcmp_ordered(">", second, first), second, first)


@intrinsic
def larger(typingctx: Any, a: Any, b: Any) -> Any:
    """Return the larger of each pair of lanes; the first if one is NaN (a machine has an instruction for that)."""
    return a(a, a), lambda context, builder, sig, args: _larger(builder, *args)


@intrinsic
def smaller(typingctx: Any, a: Any, b: Any) -> Any:
    """Return the smaller of each pair of lanes; the first if one is NaN."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.select(builder.fcmp_ordered("<", args[1], args[0]), args[1], args[0])

    return a(a, a), codegen


@intrinsic
def where_below(typingctx: Any, a: Any, b: Any, x: Any, y: Any) -> Any:
    """Return the lanes of x where a < b, and those of y elsewhere."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.select(builder.fcmp_ordered("<", args[0], args[1]), args[2], args[3])

    return a(a, a, a, a), codegen


@intrinsic
def all_above(typingctx: Any, a: Any, b: Any) -> Any:
    """Return whether a > b in all lanes: not if one is NaN."""
    return types.boolean(a, a), lambda context, builder, sig, args: _holds(builder, ">", *args)


@intrinsic
def all_equal(typingctx: Any, a: Any, b: Any) -> Any:
    """Return whether a == b in all lanes."""
    return types.boolean(a, a), lambda context, builder, sig, args: _holds(builder, "==", *args)


def _holds(builder: Any, relation: str, first: Any, second: Any) -> Any:
    lanes = ir.IntType(LANES)
    return builder.icmp_signed("==", builder.bitcast(builder.fcmp_ordered(relation, first, second), lanes), lanes(-1))


@intrinsic
def sqrt(typingctx: Any, a: Any) -> Any:
    """Compute the square root."""
    return a(a), lambda context, builder, sig, args: _call(builder, "sqrt", args)


@intrinsic
def below(typingctx: Any, a: Any, b: Any) -> Any:
    """Return one in each lane where a < b, zero elsewhere."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.uitofp(builder.fcmp_ordered("<", args[0], args[1]), _VF)

    return VEC(VEC, VEC), codegen


class _Elementwise(AbstractTemplate):
    """Operation of two vectors, lane by lane."""

    def generic(self, args: Any, kws: Any) -> Any:
        return signature(args[0], *args) if args in ((VEC, VEC), (SINGLE, SINGLE), (ROW, ROW)) else None


for _operator, _instruction in [
    (operator.add, "fadd"),
    (operator.sub, "fsub"),
    (operator.mul, "fmul"),
    (operator.truediv, "fdiv"),
]:

    def _bind(instruction: Any) -> Any:
        return lambda context, builder, sig, args: getattr(builder, instruction)(*args)

    infer_global(_operator)(type("_Elementwise", (_Elementwise,), {}))
    for _kind in VEC, SINGLE, ROW:
        lower_builtin(_operator, _kind, _kind)(_bind(_instruction))


@intrinsic
def total(typingctx: Any, a: Any) -> Any:
    """Return the sum of the eight lanes, always in the same order."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        lanes = [builder.extract_element(args[0], ir.IntType(32)(i)) for i in range(LANES)]
        while len(lanes) > 1:
            half = len(lanes) // 2
            lanes = [builder.fadd(lanes[i], lanes[i + half]) for i in range(half)]
        return lanes[0]

    return types.float64(VEC), codegen


def _horner(builder: Any, x: Any, coefficients: Any) -> Any:
    value = _const(coefficients[0], x.type)
    for c in coefficients[1:]:
        value = _call(builder, "fma", [value, x, _const(c, x.type)])
    return value


_MAGIC = 6755399441055744.0  # 1.5 * 2**52: adding it rounds to an integer, held in the low bits
_MAGIC_BITS = 0x4338000000000000
_LOG2E = 1.4426950408889634
_MINUS_LN2_HIGH, _MINUS_LN2_LOW = -6.93147180369123816490e-01, -1.90821492927058770002e-10
_EXP_CHEBYSHEV = [  # interpolates exp at the Chebyshev points of |x| < log(2) / 2, to 4e-18 of it
    2.5110037605963777e-08,
    2.763263963904103e-07,
    2.755724091857897e-06,
    2.4801485482328494e-05,
    0.00019841269890047113,
    0.0013888888952314775,
    0.008333333333319601,
    0.0416666666664881,
    0.1666666666666668,
    0.5000000000000019,
    1.0,
    1.0,
]
_ATANH_SERIES = [1 / (2 * n + 1) for n in range(10, -1, -1)]
_SQRT_HALF_BITS = 0x3FE6A09E667F3BCD


@intrinsic
def exp(typingctx: Any, a: Any) -> Any:
    """Compute ``e ** a`` to 2 ulp for ``a <= 700``; below -600 the result is 1e-261, whose products are normal numbers.

    (Subnormal numbers would be exact, but a hundred times slower.)
    """

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        kind = args[0].type
        bits = ir.VectorType(_I64, kind.count)
        x = _larger(builder, _const(-600.0, kind), args[0])
        rounded = _call(builder, "fma", [x, _const(_LOG2E, kind), _const(_MAGIC, kind)])
        n = builder.fsub(rounded, _const(_MAGIC, kind))
        r = _call(builder, "fma", [n, _const(_MINUS_LN2_HIGH, kind), x])
        r = _call(builder, "fma", [n, _const(_MINUS_LN2_LOW, kind), r])
        mantissa = builder.bitcast(_horner(builder, r, _EXP_CHEBYSHEV), bits)
        exponent = builder.shl(builder.bitcast(rounded, bits), _const(52, bits))
        return builder.bitcast(builder.add(mantissa, exponent), kind)

    return a(a), codegen


@intrinsic
def log(typingctx: Any, a: Any) -> Any:
    """Compute the natural logarithm of a positive normal number, to 2 ulp."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        kind = args[0].type
        integers, one = ir.VectorType(_I64, kind.count), _const(1.0, kind)
        bits = builder.bitcast(args[0], integers)
        exponent = builder.ashr(builder.sub(bits, _const(_SQRT_HALF_BITS, integers)), _const(52, integers))
        m = builder.bitcast(builder.sub(bits, builder.shl(exponent, _const(52, integers))), kind)
        as_float = builder.bitcast(builder.add(exponent, _const(_MAGIC_BITS, integers)), kind)
        n = builder.fsub(as_float, _const(_MAGIC, kind))
        s = builder.fdiv(builder.fsub(m, one), builder.fadd(m, one))
        series = _horner(builder, builder.fmul(s, s), _ATANH_SERIES)
        tail = builder.fmul(builder.fadd(s, s), series)
        low = _call(builder, "fma", [n, _const(-_MINUS_LN2_LOW, kind), tail])
        return _call(builder, "fma", [n, _const(-_MINUS_LN2_HIGH, kind), low])

    return a(a), codegen


@intrinsic
def take_next(typingctx: Any, counter: Any) -> Any:
    """Return the first number of an array of integers, and add one to it: each thread gets another number."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        pointer = _element_pointer(context, builder, sig.args[0], args[0], _I64(0))
        return builder.atomic_rmw("add", pointer, _I64(1), "monotonic")

    return types.int64(counter), codegen
