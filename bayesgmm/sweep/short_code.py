"""Kernels are compiled to short code: loops are neither unrolled nor vectorised by the compiler.

The loops over points have explicit vectors (``simd``), and all others are over a few columns or components. Copies of
these loops for many iterations are never run: without them, the code of a kernel is 2.5 times shorter and takes half
the time to optimise, and it runs as fast. Results are the same to the last bit.
"""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from llvmlite import binding
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompileResult
from numba.core.runtime.nrt import rtsys

from bayesgmm.sweep.inner_code import InnerLibrary, ShortCompiler, libraries_of

OPTIMISATION = 2  # level of the optimiser, of 3
COLLECTED = 200_000  # number of new objects after which garbage is collected


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


@contextmanager
def _fewer_collections() -> Iterator[None]:
    """Collect garbage rarely in a block. A compiler makes millions of objects, and few of them are garbage soon."""
    before = gc.get_threshold()
    gc.set_threshold(max(before[0], COLLECTED) if before[0] else 0, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


class KernelCompiler(ShortCompiler):
    """Compiler of functions that Python or native code calls."""

    def compile_extra(self, function: Callable[..., object]) -> CompileResult:
        """Compile into a ``_Library``, which can be stored on disk; numba's own functions are inner functions."""
        codegen = self.state.targetctx.codegen()
        self.state.library = _Library(codegen, function.__qualname__)
        self.state.library.enable_object_caching()
        rtsys.initialize(self.state.targetctx)  # the runtime for arrays is code that is run, not an inner function
        with libraries_of(InnerLibrary, codegen), _fewer_collections():
            return super().compile_extra(function)
