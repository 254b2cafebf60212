"""Two ways to show the progress of a job: a live bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, TextIO

from avatarkit.cli.text import duration, one_line

if TYPE_CHECKING:
    from rich.progress import ProgressColumn, Task, TaskID

LINE_EVERY_S = 5.0
LINE_EVERY_SHARE = 0.1
LINE_AT_LEAST_S = 1.0
EMPTY = 1e-3  # length of the bar of a stage that counted no frames; less than one frame


class Display(Protocol):
    """Where the stages of one job are shown."""

    def stage(self, name: str, total: int | None) -> None:
        """Close the stage before and open this one."""

    def advance(self, count: int) -> None:
        """Count frames done."""

    def say(self, text: str) -> None:
        """Show a line of text without disturbing the rest."""

    def close(self, *, done: bool) -> None:
        """End the display; `done` is False when the job broke off."""


class LineDisplay:
    """Plain lines: one every five seconds or ten per cent of a stage, one at its end."""

    def __init__(self, write: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._write = write
        self._clock = clock
        self._name: str | None = None
        self._total: int | None = None
        self._count = 0
        self._start_s = self._last_s = 0.0
        self._last_count = 0

    def stage(self, name: str, total: int | None) -> None:
        """Write the line that ends the stage before; open this one."""
        self._finish()
        self._name, self._total, self._count, self._last_count = name, total, 0, 0
        self._start_s = self._last_s = self._clock()

    def advance(self, count: int) -> None:
        """Count frames and write a line when one is due."""
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
        rate = self._count / max(self._clock() - self._start_s, 1e-9)
        if not self._total:
            return f"{self._name}: {self._count} frames, {rate:.1f} frames/s"
        done = f"{self._count} of {self._total} frames, {100 * self._count // self._total} %"
        left = duration((self._total - self._count) / rate)
        return f"{self._name}: {done}, {rate:.1f} frames/s, {left} left"

    def _finish(self) -> None:
        if self._name is None:
            return
        took_s = self._clock() - self._start_s
        if self._count:
            rate = self._count / max(took_s, 1e-9)
            self._write(f"{self._name}: {self._count} frames in {duration(took_s)}, {rate:.1f} frames/s")
        else:
            self._write(f"{self._name}: {duration(took_s)}")


class LiveDisplay:
    """Rich bars with frames per second and the time left; finished stages stay visible."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=30),
            _frames_column(),
            TimeRemainingColumn(elapsed_when_finished=True),
            console=Console(file=stream, markup=False, highlight=False),
            refresh_per_second=5,
        )
        self._task: TaskID | None = None
        self._progress.start()

    def stage(self, name: str, total: int | None) -> None:
        """Mark the stage before as finished and add a bar."""
        self._finish()
        self._task = self._progress.add_task(one_line(name), total=total)

    def advance(self, count: int) -> None:
        """Move the bar."""
        if self._task is not None:
            self._progress.advance(self._task, count)

    def say(self, text: str) -> None:
        """Print a line above the bars."""
        self._progress.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def close(self, *, done: bool) -> None:
        """Leave the bars as they are and give the terminal back."""
        if done:
            self._finish()
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


def _frames_column() -> ProgressColumn:
    """A column "120/300  31.2 frames/s"; made on demand, so that importing this module does not load rich."""
    from rich.progress import ProgressColumn
    from rich.text import Text

    class FramesColumn(ProgressColumn):
        def render(self, task: Task) -> Text:
            if task.completed < 1:
                return Text("")
            count = f"{task.completed:.0f}/{task.total:.0f}" if task.total else f"{task.completed:.0f}"
            speed = task.completed / task.finished_time if task.finished_time else task.speed
            return Text(count if speed is None else f"{count}  {speed:.1f} frames/s")

    return FramesColumn()
