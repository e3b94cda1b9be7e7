"""Functions that are compiled for this machine when they are first called; compiled code is stored on disk.

Declaring such a function imports no compiler and compiles nothing. ``kernel`` is for functions that Python calls,
``jit`` for functions that only kernels call, ``callback`` for functions that native code calls by their address.
"""

from collections.abc import Callable, Iterator
from functools import cache, partial, update_wrapper
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from threading import RLock
from types import ModuleType
from typing import TYPE_CHECKING, Any

from bayesgmm.sweep import layout

if TYPE_CHECKING:
    from numba.core.ccallback import CFunc
    from numba.core.dispatcher import Dispatcher
    from numba.core.types import Type

Function = Callable[..., object]
OPTIONS: dict[str, object] = {"error_model": "numpy"}  # division by zero is an infinity, as in numpy
NO_WRAPPERS = {
    "no_cpython_wrapper": True,
    "no_cfunc_wrapper": True,
}  # which take longer to compile than a short function
KERNELS: list["Compiled[..., Any]"] = []  # those that are kept on disk
_building = RLock()


class Compiled[**P, R]:
    """A function and, once it is needed, its compiled form.

    Parameters
    ----------
    function : callable
        Function to compile.
    build : callable
        Makes numba's object from it.
    """

    def __init__(self, function: Callable[P, R], build: Callable[[Callable[P, R]], Any]) -> None:
        update_wrapper(self, function)
        self.function, self._build, self._native = function, build, None

    @property
    def native(self) -> Any:
        """Numba's object, which compiles the function for the types of its arguments."""
        with _building:
            if self._native is None:
                self._native = self._build(self.function)
        return self._native

    @property
    def _numba_type_(self) -> "Type":
        """Type of this object for numba, when another compiled function calls it."""
        return self.native._numba_type_

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:  # noqa: D102
        return (self._native or self.native)(*args, **kwargs)


class Inner[**P, R](Compiled[P, R]):
    """Function that is compiled into the functions that call it. Called from Python, it is not compiled."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:  # noqa: D102
        return self.function(*args, **kwargs)


class Callback[**P, R](Compiled[P, R]):
    """Function that native code calls. Called from Python, it is not compiled."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:  # noqa: D102
        return self.function(*args, **kwargs)

    @property
    def address(self) -> int:
        """Address of its native code, which is compiled first if necessary."""
        return int(self.native.address)


def jit[**P, R](function: Callable[P, R]) -> Inner[P, R]:
    """Make a function that kernels call. It is compiled into each of them, and not stored separately."""
    return Inner(function, partial(_inner, {}))


def block_jit[**P, R](function: Callable[P, R]) -> Inner[P, R]:
    """Make a ``jit`` function for each block of points, which allocates nothing.

    It is always inlined, and does not count references to arrays, which would take as long as the arithmetic.
    """
    return Inner(function, partial(_inner, {"forceinline": True, "_nrt": False}))


def plain_jit[**P, R](function: Callable[P, R]) -> Inner[P, R]:
    """Make a ``jit`` function that allocates nothing and does not count references to arrays: it compiles faster.

    Unlike a ``block_jit`` function, it is inlined only where the compiler expects an advantage.
    """
    return Inner(function, partial(_inner, {"_nrt": False}))


def kernel[**P, R](function: Callable[P, R]) -> Compiled[P, R]:
    """Make a function that Python calls without holding the interpreter's lock."""
    made = Compiled(function, _kernel)
    KERNELS.append(made)
    return made


def callback[**P, R](signature: str) -> Callable[[Callable[P, R]], Callback[P, R]]:
    """Make a C function of a signature in numba's words, such as ``"float64(CPointer(int64))"``."""

    def decorate(function: Callable[P, R]) -> Callback[P, R]:
        made = Callback(function, partial(_callback, signature))
        KERNELS.append(made)
        return made

    return decorate


def _inner(options: dict[str, object], function: Function) -> "Dispatcher":
    from bayesgmm.sweep.inner_code import inner_dispatcher

    return inner_dispatcher(function, OPTIONS | NO_WRAPPERS | options)


def _kernel(function: Function) -> "Dispatcher":
    from bayesgmm.sweep.code_cache import cached_kernel

    return cached_kernel(function, stamp(function), OPTIONS | {"nogil": True, "no_cfunc_wrapper": True})


def _callback(signature: str, function: Function) -> "CFunc":
    from bayesgmm.sweep.code_cache import cached_callback

    return cached_callback(function, stamp(function), signature, OPTIONS)


def stamp(function: Function) -> str:
    """Digest of all files that a function is compiled from."""
    digests = [_digest(Path(name)) for name in sorted(sources(function))]
    return sha256("".join(digests).encode()).hexdigest()


@cache
def _digest(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest()


def sources(function: Function) -> set[str]:
    """Return the files of a function and of all functions that it calls, directly or indirectly."""
    files, waiting, seen = {str(layout.__file__)}, [function], set[Function]()
    while waiting:
        function = waiting.pop()
        if function not in seen:
            seen.add(function)
            files.add(function.__code__.co_filename)
            for value in _used(function):
                if isinstance(value, Compiled):
                    waiting.append(value.function)
                elif isinstance(value, ModuleType | type) and (file := _file(value)):
                    files.add(file)
    return files


def _used(function: Function) -> Iterator[object]:
    """Yield the global variables that a function uses, and the attributes that it uses of modules among them."""
    names = function.__code__.co_names
    for name in names:
        value = function.__globals__.get(name)
        yield value
        if isinstance(value, ModuleType) and value.__name__.startswith("bayesgmm."):
            yield from (getattr(value, inner, None) for inner in names)


def _file(value: ModuleType | type) -> str | None:
    """Return the file of a module or a class of this package; None for others."""
    name = value.__name__ if isinstance(value, ModuleType) else value.__module__
    return import_module(name).__file__ if name.startswith("bayesgmm.") else None
