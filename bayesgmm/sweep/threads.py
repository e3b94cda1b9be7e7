"""Work divided among threads."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from itertools import pairwise
from queue import SimpleQueue
from threading import Lock, Thread

import numpy as np

from bayesgmm.sweep.layout import IntArray

PER_THREAD = 1_000_000  # multiplications, about 0.1 ms: longer than it takes to wake a thread

Task = Callable[[int, int], object]

_alone = ContextVar("_alone", default=False)


@contextmanager
def one_thread() -> Iterator[None]:
    """Do all work of this context in the current thread: one of many that have tasks of their own."""
    token = _alone.set(True)
    try:
        yield
    finally:
        _alone.reset(token)


def allowed(threads: int) -> int:
    """Return a number of threads, or 1 in the context of ``one_thread``."""
    return 1 if _alone.get() else threads


class _Part:
    """A part of the work, for the thread that is free first. A bare lock says that it is done, sooner than a future."""

    def __init__(self, task: Task, start: int, stop: int) -> None:
        self._task, self._range, self._taken, self._done = task, (start, stop), Lock(), Lock()
        self._error: BaseException | None = None
        self._done.acquire()

    def run(self) -> None:
        """Do it, if no thread has begun, and keep an error for the thread that waits."""
        if not self._taken.acquire(blocking=False):
            return
        try:
            self._task(*self._range)
        except BaseException as error:  # ``wait`` raises it
            self._error = error
        finally:
            self._done.release()

    def wait(self) -> None:
        """Wait until it is done; raise its error."""
        self._done.acquire()
        if self._error is not None:
            raise self._error


@cache
def _waiting_threads(count: int) -> "SimpleQueue[_Part]":
    """Start threads; return the queue from which they take parts. They begin sooner than those of an executor."""
    parts: SimpleQueue[_Part] = SimpleQueue()
    for number in range(count):
        Thread(target=_serve, args=(parts,), name=f"bayesgmm_{number}", daemon=True).start()
    return parts


def _serve(parts: "SimpleQueue[_Part]") -> None:
    while True:
        parts.get().run()  # no name holds the last part, and its arrays, while the thread waits


if hasattr(os, "register_at_fork"):  # a fork has the queues, but not their threads: it would wait for ever
    os.register_at_fork(after_in_child=_waiting_threads.cache_clear)


def run_ranges(task: Task, size: int, threads: int) -> None:
    """Call ``task(start, stop)`` for equal parts of ``range(size)``, each in a thread, one in the current thread.

    What no other thread has begun when that one is done, because the cores are busy, the current thread does as well.
    """
    count = min(allowed(threads), size)
    if count <= 1:
        task(0, size)
        return
    *others, own = pairwise(size * number // count for number in range(count + 1))
    parts, queue = [_Part(task, *other) for other in others], _waiting_threads(len(others))
    for part in parts:
        queue.put(part)
    task(*own)
    for part in reversed(parts):
        part.run()
    for part in parts:
        part.wait()


def run_rows(task: Callable[[IntArray], object], size: int, threads: int) -> None:
    """Call ``task(taken)`` in each of several threads; ``taken`` (1,) counts the rows, of ``size``, that are taken.

    Compiled tasks take rows by ``simd.take_next`` until none is left, so that all threads end at the same time.
    """
    taken = np.zeros(1, np.int64)
    run_ranges(lambda *_: task(taken), size, threads)


def enough_threads(threads: int, products: int) -> int:
    """Return the number of threads, at most ``threads``, that save more time than it takes to wake them."""
    return min(threads, 1 + products // PER_THREAD)
