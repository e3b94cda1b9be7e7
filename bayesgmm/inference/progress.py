"""A bar a chain, in the terminal or the notebook."""

from types import TracebackType
from typing import Any, Self

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn


class Bars:
    """Progress of a fit: the stage it is in, then one bar for each chain with its divergences.

    Parameters
    ----------
    chains : int
        How many chains there will be; 0 for an engine without chains.
    """

    def __init__(self, chains: int) -> None:
        self._bars = Progress(
            TextColumn("{task.description:<22}"),
            BarColumn(bar_width=32),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            TimeRemainingColumn(elapsed_when_finished=True),
        )
        self._n_chains = chains
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
        """Show what is being done now."""
        self._end_stage()
        self._stage = self._bars.add_task(text, total=None, note="")

    def _end_stage(self) -> None:
        if self._stage is not None:
            self._bars.remove_task(self._stage)
            self._stage = None

    def chains(self, states: list[Any]) -> None:
        """Take nutpie's report; it comes from a background thread."""
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
    """Progress of many fits: one bar, how many are done, how long the rest will take.

    Parameters
    ----------
    title : str
    total : int
    """

    def __init__(self, title: str, total: int) -> None:
        self._bar = Progress(
            TextColumn("{task.description:<22}"),
            BarColumn(bar_width=32),
            MofNCompleteColumn(),
            TimeRemainingColumn(elapsed_when_finished=True),
        )
        self._task = self._bar.add_task(title, total=total)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def step(self) -> None:
        """One more is done."""
        self._bar.advance(self._task)
