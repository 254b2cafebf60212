"""Terminal output of downloads: progress counts bytes where other jobs count frames."""

from __future__ import annotations

import sys
from typing import TextIO

from avatarkit.cli.console import Console, _is_terminal, _write_stderr
from avatarkit.cli.progress import LineDisplay, LiveDisplay
from avatarkit.cli.text import duration


class DownloadConsole(Console):
    """A console whose stages are files and whose progress is their bytes."""

    def stage(self, name: str, total: int | None) -> None:
        """Begin a file of `total` bytes (None when unknown) and end the one before."""
        if self._display is None and not self._quiet:
            live = _is_terminal(sys.stderr)
            self._display = DownloadBars(sys.stderr) if live else DownloadLines(_write_stderr)
        super().stage(name, total)


class DownloadLines(LineDisplay):
    """Plain lines such as "vgg19: 57.5 of 574.7 MB, 10 %, 11.2 MB/s, 46 s left"."""

    def _state(self) -> str:
        rate = self._count / max(self._clock() - self._start_s, 1e-9)
        if not self._total:
            return f"{self._name}: {_mb(self._count)} MB, {_mb(rate)} MB/s"
        done = f"{_mb(self._count)} of {_mb(self._total)} MB, {100 * self._count // self._total} %"
        left = duration((self._total - self._count) / max(rate, 1e-9))
        return f"{self._name}: {done}, {_mb(rate)} MB/s, {left} left"

    def _finish(self) -> None:
        if self._name is not None:
            took_s = self._clock() - self._start_s
            self._write(f"{self._name}: {_mb(self._count)} MB in {duration(took_s)}")


class DownloadBars(LiveDisplay):
    """Rich bars with bytes, bytes per second and the time left."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console as RichConsole
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=30),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(elapsed_when_finished=True),
            console=RichConsole(file=stream, markup=False, highlight=False),
            refresh_per_second=5,
        )
        self._task = None
        self._progress.start()


def _mb(count: float) -> str:
    return f"{count / 1e6:.1f}"
