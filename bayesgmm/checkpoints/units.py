"""Units of work that a checkpoint keeps: functions that are called once, and the trails of samplers.

An engine is a function of the data, the model, the settings and the seed: called again, it does the same work in the
same order. So a fit that was killed goes on by starting again: each unit of work that had finished returns its result
at once. Units lie within units, and are numbered in the order in which they begin. A unit that has finished needs
those within it no more.
"""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, field
from hashlib import blake2b
from threading import current_thread, get_ident, main_thread
from time import perf_counter
from types import FrameType
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesgmm.checkpoints.values import encoded

if TYPE_CHECKING:
    from bayesgmm.checkpoints.stores import Store

WORTH = 1e-2  # seconds; a unit that takes less is done again: storing it takes 0.1 to 0.2 ms
SHARE = 50  # minimum time of a unit, relative to that of storing its result,
SPEED = 1.5e8  # which is assumed to take this many bytes a second
LARGEST = 500_000_000  # bytes; a larger result is not stored: SQLite takes a gigabyte


@dataclass
class Checkpoint:
    """The units of a fit that are kept, and where in them it is.

    Parameters
    ----------
    store : Store
    place : str
        Of the current unit.
    recovered : float
        Time that the units took which were found, in seconds.
    interrupted : bool
        True after Ctrl-C: engines then return what they have, which is no result to return again.
    """

    store: "Store"
    place: str = "fit"
    recovered: float = 0.0
    interrupted: bool = False
    _number: int = 0
    _thread: int = field(default_factory=get_ident)

    def once[T](self, compute: Callable[[], T], given: tuple[np.ndarray, ...]) -> T:
        """See the function ``once``."""
        if get_ident() != self._thread:
            return compute()
        place, self._number = f"{self.place}.{self._number:06d}", self._number + 1
        if (found := self.store.unit(place)) and found.value[0] == _digest(given):
            self.recovered += found.seconds
            return found.value[1]
        began = perf_counter() + self.recovered  # what is recovered meanwhile took its time, too
        value = self._inside(place, compute)
        seconds = perf_counter() + self.recovered - began
        if seconds > WORTH and not self.interrupted:
            encoding = encoded((_digest(given), value))
            if seconds > SHARE * len(encoding) / SPEED and len(encoding) <= LARGEST:
                self.store.keep(place, encoding, seconds)
        return value

    def _inside[T](self, place: str, compute: Callable[[], T]) -> T:
        """Compute, with the units within it below a place."""
        outside, self.place, self._number = (self.place, self._number), place, 0
        try:
            return compute()
        finally:
            self.place, self._number = outside


def _digest(given: tuple[np.ndarray, ...]) -> str:
    of = blake2b(digest_size=16)
    for part in given:
        of.update(np.ascontiguousarray(part))
    return of.hexdigest()


_current: ContextVar[Checkpoint | None] = ContextVar("checkpoint", default=None)


@contextmanager
def kept(checkpoint: Checkpoint | None) -> Iterator[None]:
    """Keep the units of a block in a checkpoint, if there is one; after Ctrl-C, no more of them."""
    token = _current.set(checkpoint)
    try:
        with nullcontext() if checkpoint is None else _interrupts_noted(checkpoint):
            yield
    finally:
        _current.reset(token)


@contextmanager
def _interrupts_noted(checkpoint: Checkpoint) -> Iterator[None]:
    """Note Ctrl-C, and pass it on. Only the main thread can, and only it is interrupted."""
    before = signal.getsignal(signal.SIGINT)
    if not callable(before) or current_thread() is not main_thread():
        yield
        return

    def note(number: int, frame: FrameType | None) -> None:
        checkpoint.interrupted = True
        before(number, frame)

    signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def is_kept() -> bool:
    """Return True if the units of work are kept in a checkpoint."""
    return _current.get() is not None


def once[T](compute: Callable[[], T], *given: np.ndarray) -> T:
    """Compute a result, or return the one that an earlier process of the same fit computed here.

    Parameters
    ----------
    compute : function
        Returns the same result in each process: numbers, texts, arrays, or dataclasses of them.
    given : arrays
        What the result is computed from, beside what is the same in each process: a result is only returned for the
        same numbers.

    Examples
    --------
    Without a checkpoint, it is computed.

    >>> once(lambda: 1 + 1)
    2
    """
    checkpoint = _current.get()
    return compute() if checkpoint is None else checkpoint.once(compute, given)


@dataclass
class Trail:
    """What the chains of a sampler leave behind as they go, from the first part to the last.

    Parameters
    ----------
    checkpoint : Checkpoint, optional
        None: nothing is kept.
    """

    checkpoint: Checkpoint | None = None

    def __post_init__(self) -> None:
        self._place = "" if self.checkpoint is None else self.checkpoint.place
        self._counts: dict[int, int] = {}

    def parts(self, chain: int) -> list[Any]:
        """Return the parts of a chain that earlier processes left; further parts follow them."""
        found: list[Any] = []
        while self.checkpoint and (part := self.checkpoint.store.unit(self._place_of(chain, len(found)))):
            self.checkpoint.recovered += part.seconds
            found.append(part.value)
        self._counts[chain] = len(found)
        return found

    def add(self, chain: int, part: object, seconds: float) -> None:
        """Keep a further part of a chain, which took so many seconds. Several threads may call it at once."""
        if self.checkpoint:
            number = self._counts.get(chain, 0)
            self.checkpoint.store.keep(self._place_of(chain, number), encoded(part), seconds)
            self._counts[chain] = number + 1

    def _place_of(self, chain: int, number: int) -> str:
        return f"{self._place}.chain{chain:04d}.{number:06d}"


def trail() -> Trail:
    """Return the trail of the current unit of work: one is for one run of a sampler."""
    return Trail(_current.get())
