"""Functions that are only ever compiled into others: they are typed and translated, but not optimised by themselves.

Numba optimises each function and makes machine code of it, and does the same again wherever it is inlined. Our kernels
are made of some dozens of short functions, five deep: most of the time would go into code that nobody calls.
"""

from collections.abc import Callable
from typing import Any

import numba
from numba.core import compiler, types
from numba.core.codegen import Codegen, JITCodeLibrary
from numba.core.compiler import CompileResult
from numba.core.dispatcher import Dispatcher


def inner_dispatcher(function: Callable[..., object], options: dict[str, Any]) -> Dispatcher:
    """Numba's dispatcher of a function that other compiled functions call."""
    return without_literals(numba.njit(function, pipeline_class=_Compiler, **options))


def without_literals(dispatcher: Any) -> Any:
    """Treat a number that a caller writes out like any other, so that the function is compiled once, not twice."""
    resolve = dispatcher.get_call_template

    def get_call_template(args: tuple[types.Type, ...], kws: dict[str, types.Type]) -> tuple[object, ...]:
        return resolve(tuple(map(types.unliteral, args)), {name: types.unliteral(kind) for name, kind in kws.items()})

    dispatcher.get_call_template = get_call_template
    return dispatcher


class _Library(JITCodeLibrary):
    """Code that waits to be linked into that of a caller, whose optimiser sees it as if it were written there."""

    def _optimize_final_module(self) -> None:
        pass

    def _finalize_final_module(self) -> None:
        self._finalize_dynamic_globals()
        self._finalized = True

    def get_pointer_to_function(self, name: str) -> int:
        """There is no machine code to point to."""
        self._ensure_finalized()
        return 0

    @property
    def codegen(self) -> "_WithoutEnvironments":
        """The code generator, which keeps no environment for what it has not loaded."""
        return _WithoutEnvironments(self._codegen)


class _WithoutEnvironments:
    def __init__(self, codegen: Codegen) -> None:
        self._codegen = codegen

    def __getattr__(self, name: str) -> object:
        return getattr(self._codegen, name)

    def set_env(self, name: str, environment: object) -> None:
        """The callers' environments serve: an inner function raises and prints nothing."""


class _Compiler(compiler.Compiler):
    def compile_extra(self, function: Callable[..., object]) -> CompileResult:
        """Compile into a library of our kind."""
        self.state.library = _Library(self.state.targetctx.codegen(), function.__qualname__)
        return super().compile_extra(function)
