"""Cache of compiled code on disk: beside the sources, in the user's cache, or else in a temporary folder.

It differs from numba's cache in four ways. Code is compiled again after a change in any file from which it was
compiled, not only in the file of the function. An index that can't be read is replaced. A folder that can't be written
causes a warning, not an error. At a terminal, a line shows that code is being compiled.
"""

import warnings
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Self

import numba
from numba.core import event, sigutils
from numba.core.caching import CacheImpl, CompileResultCacheImpl, FunctionCache, _CacheLocator
from numba.core.ccallback import CFunc
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompileResult
from numba.core.cpu import CPUContext
from numba.core.dispatcher import Dispatcher
from numba.core.runtime.nrt import rtsys
from numba.core.types import Type

from bayesgmm import progress
from bayesgmm.errors import PACKAGE
from bayesgmm.sweep.inner_code import libraries_of, with_arguments
from bayesgmm.sweep.short_code import KernelCompiler
from bayesgmm.sweep.tuple_references import by_value
from bayesgmm.temporary import temporary_folder

Function = Callable[..., object]


def cached_kernel(function: Function, stamp: str, options: dict[str, Any]) -> Dispatcher:
    """Return numba's dispatcher of a function, with this cache."""
    dispatcher = with_arguments(by_value, numba.njit(function, pipeline_class=KernelCompiler, **options))
    if (kept := _cache_of(function, stamp)) is not None:
        dispatcher._cache = kept
    return dispatcher


def cached_callback(function: Function, stamp: str, signature: str, options: dict[str, Any]) -> CFunc:
    """Return numba's C function, compiled or read from this cache."""
    types = sigutils.normalize_signature(signature)
    made = _Callback(function, types, locals={}, options=options, pipeline_class=KernelCompiler)
    if (kept := _cache_of(function, stamp)) is not None:
        made._cache = kept  # type: ignore[attr-defined]
    made.compile()
    return made


class _Callback(CFunc):
    def _compile_uncached(self) -> CompileResult:
        with progress.compiling():
            return super()._compile_uncached()  # type: ignore[misc]


class _Listener(event.Listener):
    """Listener that shows when a kernel of this package is compiled; numba reports every function."""

    def on_start(self, event: event.Event) -> None:
        if _is_ours(event):
            progress.compiling().__enter__()

    def on_end(self, event: event.Event) -> None:
        if _is_ours(event):
            progress.compiling().__exit__(None, None, None)


def _is_ours(event: event.Event) -> bool:
    """Return True for a kernel of this package; dispatchers of other packages may have no cache."""
    return isinstance(getattr(event.data["dispatcher"], "_cache", None), CodeCache)


event.register("numba:compile", _Listener())


class _TemporaryLocator(_CacheLocator):
    """Locator of the temporary folder, which is used if no other folder can be written."""

    def __init__(self, function: Function, file: str) -> None:
        self._py_file, self._line = file, function.__code__.co_firstlineno

    @classmethod
    def from_function(cls, function: Function, file: str) -> Self:
        """Make the locator, and warn once that it is used."""
        _remark_on_temporary()
        return cls(function, file)

    def get_cache_path(self) -> str:
        """Return the folder of the cache files."""
        return str(temporary_folder() / self.get_suitable_cache_subpath(self._py_file))

    def get_source_stamp(self) -> str:
        """Return an empty stamp: ``CodeCache`` has its own."""
        return ""

    def get_disambiguator(self) -> str:
        """Return the line of the function, which distinguishes it from others of the same name."""
        return str(self._line)


@cache
def _remark_on_temporary() -> None:
    _warn(
        f"compiled code is stored in the temporary folder {temporary_folder()}, because the package's folder and the "
        "user's cache can't be written. Set NUMBA_CACHE_DIR to a folder that can be written."
    )


@cache
def _remark_on_loss(why: str) -> None:
    _warn(f"compiled code can't be stored, so every process compiles it again: {why}")


def _warn(message: str) -> None:
    warnings.warn(message, RuntimeWarning, skip_file_prefixes=(PACKAGE, str(Path(numba.__file__).parent)))


class _Implementation(CompileResultCacheImpl):
    _locator_classes: ClassVar = [  # type: ignore[misc]
        *CacheImpl._locator_classes[:3],
        _TemporaryLocator,
    ]


class CodeCache(FunctionCache):
    """Cache of the compiled code of one function; code that was stored with another ``stamp`` is ignored."""

    _impl_class = _Implementation

    def __init__(self, function: Function, stamp: str) -> None:
        super().__init__(function)
        self._cache_file._source_stamp = stamp

    def load_overload(self, sig: Sequence[Type], target_context: CPUContext) -> CompileResult | None:
        """Read compiled code; None if it can't be read, for any reason.

        Numba would first load everything that it compiles with, linear algebra of scipy included, which takes half a
        second. Code that is only read needs the runtime for arrays alone; the compiler loads the rest by itself.
        """
        try:
            rtsys.initialize(target_context)
            with libraries_of(JITCodeLibrary, target_context.codegen()):
                return self._load_overload(sig, target_context)
        except Exception:
            self._forget()
            return None

    def _forget(self) -> None:
        try:
            self.flush()
        except OSError as error:
            _remark_on_loss(str(error))

    def save_overload(self, sig: Sequence[Type], data: CompileResult) -> None:
        """Store compiled code if possible."""
        try:
            super().save_overload(sig, data)
        except OSError as error:
            _remark_on_loss(str(error))


def _cache_of(function: Function, stamp: str) -> CodeCache | None:
    try:
        return CodeCache(function, stamp)
    except (OSError, RuntimeError) as error:
        _remark_on_loss(str(error))
        return None
