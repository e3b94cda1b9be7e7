"""Arrays and functions behind addresses, for compiled functions."""

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic
from numba.np.numpy_support import carray as carray

FLOATS, INTEGERS = types.CPointer(types.float64), types.CPointer(types.int64)


@intrinsic
def floats_at(typingctx: Any, address: Any) -> Any:
    """Convert an address to a pointer to float64 numbers."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.inttoptr(args[0], ir.DoubleType().as_pointer())

    return FLOATS(types.int64), codegen


@intrinsic
def integers_at(typingctx: Any, address: Any) -> Any:
    """Convert an address to a pointer to integers of 64 bits."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.inttoptr(args[0], ir.IntType(64).as_pointer())

    return INTEGERS(types.int64), codegen


@intrinsic
def call_density(typingctx: Any, address: Any, call: Any, alive: Any) -> Any:
    """Call the prior density at an address; ``alive`` keeps the arrays that ``call`` points to."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        ints = ir.IntType(64).as_pointer()
        kind = ir.FunctionType(ir.DoubleType(), [ints])
        data = cgutils.create_struct_proxy(sig.args[1])(context, builder, value=args[1]).data
        return builder.call(builder.inttoptr(args[0], kind.as_pointer()), [data])

    return types.float64(types.int64, call, alive), codegen


@intrinsic
def call_on_arrays(typingctx: Any, address: Any, numbers: Any, *arrays: Any) -> Any:
    """Call the function at an address with pointers to an array of integers, and to others of float64 numbers."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        def data(kind: Any, value: Any) -> Any:
            return cgutils.create_struct_proxy(kind)(context, builder, value=value).data

        integer, floats = ir.IntType(64), ir.DoubleType().as_pointer()
        kind = ir.FunctionType(integer, [integer.as_pointer(), *[floats] * len(arrays)])
        others = map(data, arrays, cgutils.unpack_tuple(builder, args[2]))
        return builder.call(builder.inttoptr(args[0], kind.as_pointer()), [data(sig.args[1], args[1]), *others])

    return types.int64(types.int64, numbers, types.StarArgTuple.from_types(arrays)), codegen


@intrinsic
def as_floats(typingctx: Any, integers: Any) -> Any:
    """Return a pointer to float64 numbers that are kept, bit for bit, among integers."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.DoubleType().as_pointer())

    return FLOATS(INTEGERS), codegen


@intrinsic
def call_on_block(
    typingctx: Any,
    latent: Any,
    place: Any,
    root: Any,
    root_at: Any,
    centred: Any,
    row: Any,
    row_at: Any,
    sums: Any,
    sums_at: Any,
    memory: Any,
    at: Any,
    where: Any,
) -> Any:
    """Call one of ``latent_kernels``, whose address is ``latent[place]``, with pointers into flat arrays.

    ``at`` is where the component's memory begins; ``where`` are the number of the block, D, and whether the root is a
    diagonal.
    """

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        def pointer(array: Any, position: Any) -> Any:
            data = cgutils.create_struct_proxy(sig.args[array])(context, builder, value=args[array]).data
            return builder.gep(data, [position])

        ints, doubles, number = ir.IntType(64).as_pointer(), ir.DoubleType().as_pointer(), ir.IntType(64)
        kind = ir.FunctionType(number, [ints, *[doubles] * 5, *[number] * 3])
        arrays = [pointer(2, args[3]), pointer(4, number(0)), pointer(5, args[6]), pointer(7, args[8])]
        arrays.append(pointer(9, args[10]))
        address = builder.load(pointer(0, args[1]))
        rest = cgutils.unpack_tuple(builder, args[11])
        builder.call(builder.inttoptr(address, kind.as_pointer()), [pointer(0, number(0)), *arrays, *rest])
        return context.get_dummy_value()

    one = types.int64
    where_type = types.UniTuple(one, 3)
    return types.none(latent, one, root, one, centred, row, one, sums, one, memory, one, where_type), codegen
