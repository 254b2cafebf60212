"""Two ways to show the progress of a job: a live bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Protocol, TextIO

from avatarkit.cli.text import duration, one_line

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.progress import Progress, ProgressColumn, Task, TaskID

LINE_EVERY_S = 5.0
LINE_EVERY_SHARE = 0.1
LINE_AT_LEAST_S = 1.0
EMPTY = 1e-3  # length of the bar of a stage that counted nothing; less than one of any unit


class Display(Protocol):
    """Where the stages of one job are shown."""

    def stage(self, name: str, total: int | None, unit: str = "frames") -> None:
        """Close the stage before and open this one, which counts `unit`."""

    def advance(self, count: int) -> None:
        """Count what is done."""

    def say(self, text: str) -> None:
        """Show a line of text without disturbing the rest."""

    def close(self, *, done: bool) -> None:
        """End the display; `done` is False when the job broke off."""


class Unit:
    """What a stage counts, as it is shown: bytes as megabytes, all else by its own name, a plural."""

    def __init__(self, name: str) -> None:
        self._name, self._size, self._digits = ("MB", 1e6, 1) if name == "bytes" else (one_line(name), 1.0, 0)

    def number(self, count: float) -> str:
        """The number alone."""
        return f"{count / self._size:.{self._digits}f}"

    def amount(self, count: float) -> str:
        """Such as "120 frames", "1 frame", "57.5 MB"."""
        number = self.number(count)
        return f"{number} {self._name.removesuffix('s') if number == '1' else self._name}"

    def rate(self, per_s: float) -> str:
        """Such as "31.2 frames/s"."""
        return f"{per_s / self._size:.1f} {self._name}/s"


class LineDisplay:
    """Plain lines: one every five seconds or ten per cent of a stage, one at its end."""

    def __init__(self, write: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._write = write
        self._clock = clock
        self._name: str | None = None
        self._total: int | None = None
        self._unit = Unit("frames")
        self._count = 0
        self._start_s = self._last_s = 0.0
        self._last_count = 0

    def stage(self, name: str, total: int | None, unit: str = "frames") -> None:
        """Write the line that ends the stage before; open this one."""
        self._finish()
        self._name, self._total, self._count, self._last_count = name, total, 0, 0
        self._unit = Unit(unit)
        self._start_s = self._last_s = self._clock()

    def advance(self, count: int) -> None:
        """Count, and write a line when one is due."""
        self._count += count
        since_s = self._clock() - self._last_s
        share = (self._count - self._last_count) / self._total if self._total else 0.0
        unfinished = self._total is None or self._count < self._total
        due = since_s >= LINE_EVERY_S or (share >= LINE_EVERY_SHARE and since_s >= LINE_AT_LEAST_S)
        if due and unfinished:
            self._write(self._state())
            self._last_s, self._last_count = self._clock(), self._count

    def say(self, text: str) -> None:
        """Write a line."""
        self._write(text)

    def close(self, *, done: bool) -> None:
        """Write the line that ends the last stage, unless the job broke off."""
        if done:
            self._finish()
        self._name = None

    def _state(self) -> str:
        unit, rate = self._unit, self._count / max(self._clock() - self._start_s, 1e-9)
        if not self._total:
            return f"{self._name}: {unit.amount(self._count)}, {unit.rate(rate)}"
        done = f"{unit.number(self._count)} of {unit.amount(self._total)}, {100 * self._count // self._total} %"
        left = duration((self._total - self._count) / max(rate, 1e-9))
        return f"{self._name}: {done}, {unit.rate(rate)}, {left} left"

    def _finish(self) -> None:
        if self._name is None:
            return
        took_s = self._clock() - self._start_s
        if self._count:
            rate = self._count / max(took_s, 1e-9)
            amount, speed = self._unit.amount(self._count), self._unit.rate(rate)
            self._write(f"{self._name}: {amount} in {duration(took_s)}, {speed}")
        else:
            self._write(f"{self._name}: {duration(took_s)}")


class LiveDisplay:
    """Rich bars with counts, speed and the time left; finished stages stay visible."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
        from rich.table import Column

        self._rows: list[str] = []
        self._progress = _with_rows(Progress, self._rows)(
            TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True)),
            BarColumn(bar_width=30),  # gives way where the terminal is narrow
            _count_column(),
            TimeRemainingColumn(elapsed_when_finished=True, table_column=Column(no_wrap=True)),
            console=Console(file=stream, markup=False, highlight=False),
            refresh_per_second=5,
        )
        self._task: TaskID | None = None
        self._progress.start()

    def stage(self, name: str, total: int | None, unit: str = "frames") -> None:
        """Mark the stage before as finished and add a bar."""
        self._finish()
        self._task = self._progress.add_task(one_line(name), total=total, unit=Unit(unit))

    def advance(self, count: int) -> None:
        """Move the bar."""
        if self._task is not None:
            self._progress.advance(self._task, count)

    def rows(self, lines: Sequence[str]) -> None:
        """Show these lines below the bars, instead of those before."""
        self._rows[:] = map(one_line, lines)

    def say(self, text: str) -> None:
        """Print a line above the bars."""
        self._progress.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def close(self, *, done: bool) -> None:
        """Leave the bars as they are and give the terminal back."""
        if done:
            self._finish()
        self._rows.clear()
        self._progress.stop()

    def _finish(self) -> None:
        if self._task is None:
            return
        task = next(task for task in self._progress.tasks if task.id == self._task)
        # A stage of unknown length, or one that ended early, has ended all the same: its bar is full.
        self._progress.update(
            self._task, total=max(task.completed, EMPTY), completed=max(task.completed, EMPTY)
        )
        self._task = None


def _with_rows(base: type[Progress], rows: list[str]) -> type[Progress]:
    """Rich's progress with further lines below the bars; made on demand, as `_count_column`."""
    from rich.text import Text

    class WithRows(base):  # type: ignore[valid-type,misc]
        def get_renderables(self) -> Iterable[RenderableType]:
            yield from super().get_renderables()
            for row in list(rows):
                text = Text(row, no_wrap=True)
                # Room for "^C^C": a line that the terminal breaks would be left standing.
                text.truncate(max(self.console.width - 5, 1), overflow="ellipsis")
                yield text

    return WithRows


def _count_column() -> ProgressColumn:
    """A column "120/300 frames  31.2 frames/s"; made on demand, so that importing this module does not load rich."""
    from rich.progress import ProgressColumn
    from rich.table import Column
    from rich.text import Text

    class CountColumn(ProgressColumn):
        def render(self, task: Task) -> Text:
            if task.completed < 1:
                return Text("")
            unit: Unit = task.fields["unit"]
            done = unit.number(task.completed)
            count = f"{done}/{unit.amount(task.total)}" if task.total else unit.amount(task.completed)
            speed = task.completed / task.finished_time if task.finished_time else task.speed
            return Text(count if speed is None else f"{count}  {unit.rate(speed)}")

    return CountColumn(table_column=Column(no_wrap=True))
