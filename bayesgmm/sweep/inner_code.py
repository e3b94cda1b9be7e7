"""Functions that are only compiled into others: types are inferred, but the functions are not optimised separately.

Numba optimises each function and generates machine code for it, and again wherever it is inlined. The kernels consist
of dozens of short functions on five levels, so most of the time would be spent on code that is never called. Passes
over a function that serve Python which no kernel contains are left out too: each reads all of it several times.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numba
from llvmlite import binding
from numba.core import compiler, types
from numba.core.codegen import Codegen, JITCodeLibrary
from numba.core.compiler import CompileResult, DefaultPassBuilder
from numba.core.compiler_machinery import PassManager
from numba.core.dispatcher import Dispatcher

from bayesgmm.sweep.tuple_references import by_reference, holds_reference

UNUSED = {  # passes for closures, ``with``, ``literally``, arguments that are None, overloads that are always inlined
    "DeadBranchPrune",
    "DumpParforDiagnostics",
    "FindLiterallyCalls",
    "InlineClosureLikes",
    "InlineInlinables",
    "InlineOverloads",
    "IRProcessing",
    "LiteralPropagationSubPipelinePass",
    "LiteralUnroll",
    "MakeFunctionToJitFunction",
    "NoPythonSupportedFeatureValidation",
    "NopythonRewrites",
    "RewriteSemanticConstants",
    "WithLifting",
}


def inner_dispatcher(function: Callable[..., object], options: dict[str, Any]) -> Dispatcher:
    """Return numba's dispatcher of a function that other compiled functions call."""
    return with_arguments(by_reference, numba.njit(function, pipeline_class=_Compiler, **options))


def with_arguments(convert: Callable[[types.Type], types.Type], dispatcher: Any) -> Any:
    """Convert the types of arguments in other compiled functions.

    So a literal number is treated like any other number, and the function is compiled once, not twice.
    """
    resolve = dispatcher.get_call_template

    def get_call_template(args: tuple[types.Type, ...], kws: dict[str, types.Type]) -> tuple[object, ...]:
        return resolve(tuple(map(convert, args)), {name: convert(kind) for name, kind in kws.items()})

    dispatcher.get_call_template = get_call_template
    return dispatcher


class InnerLibrary(JITCodeLibrary):
    """Library that is linked into the code of a caller, and optimised only there."""

    def _optimize_functions(self, module: Any) -> None:
        """Make the functions of a module short. What takes longer is done once, in the code of a caller."""
        module.data_layout = self._codegen._data_layout
        builder = binding.create_pass_builder(self._codegen._tm, binding.create_pipeline_tuning_options())
        for function in module.functions:
            if not function.is_declaration:
                passes = binding.create_new_function_pass_manager()
                passes.add_sroa_pass()
                passes.add_simplify_cfg_pass()
                passes.add_instruction_combine_pass()
                passes.add_refprune_pass()
                passes.run(function, builder)

    def _optimize_final_module(self) -> None:
        pass

    def _finalize_final_module(self) -> None:
        self._finalize_dynamic_globals()
        self._finalized = True

    def get_pointer_to_function(self, name: str) -> int:
        """Return 0, because there is no machine code."""
        self._ensure_finalized()
        return 0

    @property
    def codegen(self) -> "_WithoutEnvironments":
        """Code generator that stores no environment for code that was not loaded."""
        return _WithoutEnvironments(self._codegen)


@contextmanager
def libraries_of(kind: type[JITCodeLibrary], codegen: Any) -> Iterator[None]:
    """Make libraries of a kind in a block."""
    with replaced(codegen, "_library_class", kind):
        yield


@contextmanager
def replaced(owner: Any, name: str, value: object) -> Iterator[None]:
    """Replace an attribute of one of numba's objects in a block."""
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


class _WithoutEnvironments:
    def __init__(self, codegen: Codegen) -> None:
        self._codegen = codegen

    def __getattr__(self, name: str) -> object:
        return getattr(self._codegen, name)

    def set_env(self, name: str, environment: object) -> None:
        """Do nothing: an inner function uses the environment of its caller, as it raises and prints nothing."""


class ShortCompiler(compiler.Compiler):
    """Compiler without the passes that the functions of this package do not need."""

    def define_pipelines(self) -> list[PassManager]:
        """Return numba's passes, without those."""
        passes = DefaultPassBuilder.define_nopython_pipeline(self.state)
        passes.passes = [one for one in passes.passes if one[0].__name__ not in UNUSED]
        passes.finalize()
        return [passes]


class _Compiler(ShortCompiler):
    def compile_extra(self, function: Callable[..., object]) -> CompileResult:
        """Compile into an ``InnerLibrary``."""
        self.state.library = InnerLibrary(self.state.targetctx.codegen(), function.__qualname__)
        result = super().compile_extra(function)
        assert not holds_reference(result.signature.return_type), f"{function} returns one of its tuples"
        return result
