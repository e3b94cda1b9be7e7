"""Work divided among threads."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from itertools import pairwise

import numpy as np

PER_THREAD = 1_000_000  # multiplications, about 0.1 ms; to wake a thread takes as long


_alone = ContextVar("_alone", default=False)


@contextmanager
def one_thread() -> Iterator[None]:
    """Do all work of this context in the current thread: one of many that have tasks of their own."""
    token = _alone.set(True)
    try:
        yield
    finally:
        _alone.reset(token)


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="bayesgmm")


if hasattr(os, "register_at_fork"):  # a fork has the pools, but not their threads: it would wait for ever
    os.register_at_fork(after_in_child=_pool.cache_clear)


def run_ranges(task: Callable[[int, int], object], size: int, threads: int) -> None:
    """Call ``task(start, stop)`` for equal parts of ``range(size)``, each in a thread, one in the current thread."""
    if min(threads, size) <= 1 or _alone.get():
        task(0, size)
        return
    cuts = np.linspace(0, size, max(1, min(threads, size)) + 1).astype(int).tolist()
    *others, own = pairwise(cuts)
    started = [_pool(len(others)).submit(task, a, b) for a, b in others]
    task(*own)
    for other in started:
        other.result()


def enough_threads(threads: int, products: int) -> int:
    """Return the number of threads, at most ``threads``, that save more time than it takes to wake them."""
    return min(threads, 1 + products // PER_THREAD)
