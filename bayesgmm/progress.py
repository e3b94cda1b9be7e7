"""Progress bars for long computations, on a terminal's error stream or in a notebook."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from importlib.util import find_spec
from threading import Timer
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from rich.progress import Progress, ProgressColumn, TaskID

PATIENCE = 2.0  # seconds before a bar appears
WIDE = 76  # terminal columns below which bars are short, so that the remaining time fits
_quiet: ContextVar[bool] = ContextVar("quiet", default=False)


@contextmanager
def quiet() -> Iterator[None]:
    """Show no progress while a block runs."""
    token = _quiet.set(True)
    try:
        yield
    finally:
        _quiet.reset(token)


def _bars(*columns: "ProgressColumn | str") -> "Progress":
    """Make progress bars by rich, disabled where there is no terminal, or a notebook without ipywidgets."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    watched = console.is_terminal or (console.is_jupyter and find_spec("ipywidgets") is not None)
    wide = console.width >= WIDE
    return Progress(
        TextColumn("{task.description:<22}" if wide else "{task.description}"),
        BarColumn(bar_width=32 if wide else 4),
        MofNCompleteColumn(),
        *columns,
        TimeRemainingColumn(elapsed_when_finished=True),
        console=console,
        disable=_quiet.get() or not watched,
    )


class Bars:
    """Progress of a fit: its current stage, then one bar for each chain with its divergences."""

    def __init__(self) -> None:
        self._bars = _bars("{task.fields[note]}")
        self._stage: TaskID | None = None
        self._tasks: list[TaskID] = []

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end_stage()
        self._bars.stop()

    def stage(self, text: str) -> None:
        """Show the name of the current stage."""
        self._end_stage()
        self._stage = self._bars.add_task(text, total=None, note="")

    def _end_stage(self) -> None:
        if self._stage is not None:
            self._bars.remove_task(self._stage)
            self._stage = None

    def chains(self, states: list[Any]) -> None:
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
            self._bars.update(task, completed=state.finished_draws, note=note)


class Count:
    """Progress of a computation in equal steps: a bar with the remaining time, which appears after two seconds.

    Parameters
    ----------
    title : str
    total : int
    """

    def __init__(self, title: str, total: int) -> None:
        self._bar = _bars()
        self._task = self._bar.add_task(title, total=total)
        self._later = Timer(PATIENCE, self._bar.start)
        self._later.daemon = True

    def __enter__(self) -> Self:
        self._later.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._later.cancel()
        self._later.join()
        self._bar.stop()

    def step(self) -> None:
        """Count one more step as done."""
        self._bar.advance(self._task)


def track[T](items: Sequence[T], title: str, progress: bool = True) -> Iterator[T]:
    """Iterate over items, with a bar if the work on them takes longer than two seconds.

    Examples
    --------
    >>> [i * i for i in track(range(4), "squares")]
    [0, 1, 4, 9]
    """
    if not progress:
        yield from items
        return
    with Count(title, len(items)) as count:
        for item in items:
            yield item
            count.step()
