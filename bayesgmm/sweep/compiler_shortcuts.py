"""What numba does again and again while it compiles, left out or done once: a third of the time of a first fit.

- The signature of an operator or of one of numba's functions is worked out for every use, when types are inferred and
  when code is generated: here once for each kernel and all types of arguments.
- The modules that declare functions are looked for before every function.
- Each call of LLVM is timed for every function that is being compiled, and nothing reads these times.
- The variables of a statement are listed by asking an abstract class about each of its parts.
- Garbage is collected after every few thousand objects. A compiler makes millions, and few of them are garbage soon.

Numba compiles in one thread at a time, and outside the block it is as before.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from numba.core import event, ir, types

from bayesgmm.sweep.inner_code import replaced

COLLECTED = 200_000  # number of new objects after which garbage is collected


@contextmanager
def shortcuts(typing: Any, target: Any) -> Iterator[None]:
    """Let numba compile in a block without these repetitions.

    Parameters
    ----------
    typing, target
        Numba's contexts. The modules that declare functions in them are imported before the block.
    """
    target.refresh()
    known = dict[tuple[types.Type, ...], Any]()

    def get_call_type(function: types.Function, context: Any, args: tuple[types.Type, ...], kws: Any) -> Any:
        call = function, *args
        if kws:
            return types.BaseFunction.get_call_type(function, context, args, kws)
        if call not in known:
            known[call] = types.BaseFunction.get_call_type(function, context, args, kws)
        return known[call]

    def install_known() -> None:
        """Take what has been declared since: an intrinsic declares its code when its types are inferred."""
        for registry in tuple(target._registries):
            target.install_registry(registry)

    with (
        replaced(types.Function, "get_call_type", get_call_type),
        replaced(typing, "load_additional_registries", lambda: None),
        replaced(target, "load_additional_registries", install_known),
        replaced(event, "install_timer", lambda kind, callback: nullcontext()),
        replaced(ir.Inst, "_rec_list_vars", _variables),
        _fewer_collections(),
    ):
        yield


def _variables(statement: Any, part: Any) -> list[ir.Var]:
    """Return the variables in a part of a statement, as numba does, but without asking an abstract class each time."""
    kind = type(part)
    if kind is ir.Var:
        return [part]
    if kind in _PLAIN:
        return []
    if kind is list or kind is tuple:
        return [variable for one in part for variable in _variables(statement, one)]
    return _list_variables(statement, part)


_PLAIN = {bool, float, int, str, type(None), ir.Loc}
_list_variables: Any = ir.Inst._rec_list_vars


@contextmanager
def _fewer_collections() -> Iterator[None]:
    """Collect garbage rarely in a block."""
    before = gc.get_threshold()
    gc.set_threshold(max(before[0], COLLECTED) if before[0] else 0, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
