"""Kernels are compiled to short code: loops are neither unrolled nor vectorised by the compiler.

The loops over points have explicit vectors (``simd``), and all others are over a few columns or components. Copies of
these loops for many iterations are never run: without them, the code of a kernel is 2.5 times shorter and takes half
the time to optimise, and it runs as fast. Results are the same to the last bit.
"""

from collections.abc import Callable

from llvmlite import binding
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompileResult
from numba.core.runtime.nrt import rtsys

from bayesgmm.sweep.compiler_shortcuts import shortcuts
from bayesgmm.sweep.inner_code import InnerLibrary, ShortCompiler, libraries_of

OPTIMISATION = 2  # level of the optimiser, of 3


class _Library(JITCodeLibrary):
    """Library of a kernel, with all functions that it calls."""

    def _optimize_final_module(self) -> None:
        try:
            self._shorten()
        except (AttributeError, ImportError, TypeError):  # another numba, whose compiler is put together otherwise
            super()._optimize_final_module()

    def _shorten(self) -> None:
        from numba.core.codegen import _parse_refprune_flags

        codegen, module = self._codegen, self._final_module
        cheap, builder = codegen._module_pass_manager(opt=codegen._opt_level, loop_vectorize=False, cost="cheap")
        cheap.run(module, builder)  # it collects references to arrays in one function, where they cancel
        tuning = binding.create_pipeline_tuning_options(speed_level=OPTIMISATION)
        tuning.loop_unrolling = tuning.loop_vectorization = tuning.slp_vectorization = False
        builder = binding.create_pass_builder(codegen._tm, tuning)
        passes = builder.getModulePassManager()
        passes.add_refprune_pass(_parse_refprune_flags())
        passes.run(module, builder)


class KernelCompiler(ShortCompiler):
    """Compiler of functions that Python or native code calls."""

    def compile_extra(self, function: Callable[..., object]) -> CompileResult:
        """Compile into a ``_Library``, which can be stored on disk; numba's own functions are inner functions."""
        codegen = self.state.targetctx.codegen()
        self.state.library = _Library(codegen, function.__qualname__)
        self.state.library.enable_object_caching()
        rtsys.initialize(self.state.targetctx)  # the runtime for arrays is code that is run, not an inner function
        with libraries_of(InnerLibrary, codegen), shortcuts(self.state.typingctx, self.state.targetctx):
            return super().compile_extra(function)
