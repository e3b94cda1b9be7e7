"""PyTensor graphs run by its interpreter: a graph compiles in under a second, where numba takes ten.

Tests of what a graph computes run it so. That numba computes the same is tested on the graphs that are compiled.
"""

from pytensor.compile.mode import Mode

INTERPRETED = Mode(linker="py", optimizer="fast_compile")
AS_WRITTEN = Mode(linker="py", optimizer=None)  # compiles faster still: for graphs that are evaluated a few times
BY_INTERPRETER = {"compile_kwargs": {"mode": INTERPRETED}}  # for PyMC's functions
