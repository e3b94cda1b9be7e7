"""Arrays and functions behind addresses, for compiled functions."""

from llvmlite import ir
from numba import carray as carray
from numba.core import cgutils, types
from numba.extending import intrinsic

FLOATS = types.CPointer(types.float64)


@intrinsic
def floats_at(typingctx, address):
    """Convert an address to a pointer to float64 numbers."""

    def codegen(context, builder, sig, args):
        return builder.inttoptr(args[0], ir.DoubleType().as_pointer())

    return FLOATS(types.int64), codegen


@intrinsic
def call_density(typingctx, address, call, alive):
    """Call the prior density at an address; ``alive`` keeps the arrays that ``call`` points to."""

    def codegen(context, builder, sig, args):
        ints = ir.IntType(64).as_pointer()
        kind = ir.FunctionType(ir.DoubleType(), [ints])
        data = cgutils.create_struct_proxy(sig.args[1])(context, builder, value=args[1]).data
        return builder.call(builder.inttoptr(args[0], kind.as_pointer()), [data])

    return types.float64(types.int64, call, alive), codegen
