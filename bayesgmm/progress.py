"""Progress bars for long computations, on a terminal's error stream or in a notebook."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from importlib.util import find_spec
from threading import RLock, Timer
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

import numpy as np

from bayesgmm.errors import DeclarationError

if TYPE_CHECKING:
    from rich.progress import Progress, ProgressColumn, TaskID

PATIENCE = 2.0  # seconds before a bar appears
WIDE = 76  # terminal columns below which bars are short, so that the remaining time fits
COMPILING = "compiling for this machine, once"
_quiet: ContextVar[bool] = ContextVar("quiet", default=False)


class ChainState(Protocol):
    """State of a chain, as nutpie reports it."""

    total_draws: int
    finished_draws: int
    tuning: bool
    divergences: int


@contextmanager
def quiet() -> Iterator[None]:
    """Hide all progress while a block runs."""
    token = _quiet.set(True)
    _compiling.silence(1)
    try:
        yield
    finally:
        _compiling.silence(-1)
        _quiet.reset(token)


class Compiling:
    """Context manager that shows a line while code is compiled, below progress bars if there are any.

    Compilations may be nested and run in several threads; the line stays until the last one ends.
    """

    def __init__(self) -> None:
        self._lock = RLock()
        self._depth = self._silenced = 0
        self._shown: list[Progress] = []  # progress bars on the screen, the newest last
        self._line: tuple[Progress, TaskID] | None = None

    def silence(self, change: int) -> None:
        """Change the number of callers that want no line, in any thread."""
        with self._lock:
            self._silenced += change

    def appear(self, bars: "Progress") -> None:
        """Register progress bars that are shown."""
        with self._lock:
            self._shown.append(bars)

    def vanish(self, bars: "Progress") -> None:
        """Remove progress bars that are no longer shown; a line below them disappears, too."""
        with self._lock:
            self._shown.remove(bars)
            if self._line and self._line[0] is bars:
                self._line = None

    def __enter__(self) -> None:
        with self._lock:
            self._depth += 1
            if self._line is None and not self._silenced:
                bars = self._shown[-1] if self._shown else _bars(transient=True)
                self._line = bars, bars.add_task(COMPILING, total=None, note="")
                bars.start()

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._depth -= 1
            if self._line is not None and not self._depth:
                bars, task = self._line
                self._line = None
                bars.remove_task(task)
                if bars not in self._shown:
                    bars.stop()


_compiling = Compiling()


def compiling() -> Compiling:
    """Show that code is being compiled while a block runs, on a terminal and unless progress is hidden."""
    return _compiling


def _bars(*columns: "ProgressColumn | str", transient: bool = False) -> "Progress":
    """Make progress bars of rich; they are disabled without a terminal, and in a notebook without ipywidgets."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    watched = console.is_terminal or (console.is_jupyter and find_spec("ipywidgets") is not None)
    hidden = _quiet.get() or not watched
    console.quiet = hidden  # rich 13 ends hidden bars with an empty line
    wide = console.width >= WIDE
    return Progress(
        TextColumn("{task.description:<22}" if wide else "{task.description}"),
        BarColumn(bar_width=32 if wide else 4),
        MofNCompleteColumn(),
        *columns,
        TimeRemainingColumn(elapsed_when_finished=True),
        console=console,
        transient=transient,
        disable=hidden,
    )


class Bars:
    """Progress of a fit: its current stage, then one bar for each chain with its divergences."""

    def __init__(self) -> None:
        self._bars = _bars("{task.fields[note]}")
        self._stage: TaskID | None = None
        self._tasks: list[TaskID] = []

    def __enter__(self) -> Self:
        self._bars.start()
        _compiling.appear(self._bars)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end_stage()
        _compiling.vanish(self._bars)
        self._bars.stop()

    def stage(self, text: str) -> None:
        """Show the name of the current stage."""
        self._end_stage()
        self._stage = self._bars.add_task(text, total=None, note="")

    def _end_stage(self) -> None:
        if self._stage is not None:
            self._bars.remove_task(self._stage)
            self._stage = None

    def chains(self, states: "Sequence[ChainState]") -> None:
        """Show the state of each chain; nutpie calls this from a background thread."""
        if not self._tasks:
            self._end_stage()
            self._tasks = [
                self._bars.add_task(f"chain {i}", total=state.total_draws, note="") for i, state in enumerate(states)
            ]
        for task, state in zip(self._tasks, states, strict=True):
            note = "tuning" if state.tuning else ""
            if state.divergences:
                note = f"{state.divergences} divergent"
            self._bars.update(task, completed=state.finished_draws, total=state.total_draws, note=note)


class Count:
    """Progress of a computation in equal steps: a bar with the remaining time, which appears after two seconds.

    Parameters
    ----------
    title : str
    total : int or None
        Number of steps; None if it is unknown.
    """

    def __init__(self, title: str, total: int | None) -> None:
        self._bar = _bars()
        self._task = self._bar.add_task(title, total=total)
        self._later = Timer(PATIENCE, self._bar.start)
        self._later.daemon = True

    def __enter__(self) -> Self:
        self._later.start()
        _compiling.appear(self._bar)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._later.cancel()
        self._later.join()
        _compiling.vanish(self._bar)
        self._bar.stop()

    def step(self, title: str = "", by: int = 1) -> None:
        """Advance by one step, or several; a title says what is done next."""
        self._bar.advance(self._task, by)
        if title:
            self._bar.update(self._task, description=title)


def wanted(progress: object) -> bool:
    """Validate an argument ``progress`` of True or False.

    Raises
    ------
    DeclarationError
        When it is anything else.
    """
    if not isinstance(progress, bool | np.bool_):
        raise DeclarationError(f"progress={progress!r}: must be True or False")
    return bool(progress)


def track[T](items: Sequence[T], title: str, progress: bool = True) -> Iterator[T]:
    """Iterate over items, with a bar if the work on them takes longer than two seconds.

    Examples
    --------
    >>> [i * i for i in track(range(4), "squares")]
    [0, 1, 4, 9]
    """
    with counted(title, len(items), progress) as step:
        for item in items:
            yield item
            step(1)


@contextmanager
def counted(title: str, total: int | None, progress: bool = True) -> Iterator[Callable[[int], None]]:
    """Show a bar while a block runs, if it takes longer than two seconds; the block calls a function after each step.

    Parameters
    ----------
    title : str
    total : int or None
        Number of steps; None if it is unknown.
    progress : bool
        False: nothing is shown.

    Returns
    -------
    context manager
        Its value takes the number of steps that were done.
    """
    if not wanted(progress):
        with quiet():
            yield lambda steps: None
        return
    with Count(title, total) as count:
        yield lambda steps: count.step(by=steps)
