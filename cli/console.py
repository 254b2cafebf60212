"""The one object that owns terminal output: progress, notices and errors on stderr, results on stdout."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, TextIO

from avatarkit.cli.progress import Display, LineDisplay, LiveDisplay
from avatarkit.cli.text import columns, one_line, sparkline


class OutputClosedError(Exception):
    """Whoever read the results (`head`, a pager) has stopped reading."""


class Console:
    """Renders what a command has to say; a `with` statement puts the terminal right whatever happens.

    It is the progress that pipelines report to (`avatarkit.runtime.Progress`). With `quiet` only errors and
    explicitly asked-for results are written.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._display: Display | None = None

    def __enter__(self) -> Console:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close(done=kind is None)

    def stage(self, name: str, total: int | None, unit: str = "frames") -> None:
        """Begin a stage that counts `total` (None when unknown) of `unit`, and end the one before."""
        if self._quiet:
            return
        if self._display is None:
            self._display = (
                LiveDisplay(sys.stderr) if _is_terminal(sys.stderr) else LineDisplay(_write_stderr)
            )
        self._display.stage(name, total, unit)

    def advance(self, count: int = 1) -> None:
        """Report `count` more of the stage's unit done."""
        if self._display is not None:
            self._display.advance(count)

    def notice(self, text: str) -> None:
        """Tell something that the user should know, in one line on stderr."""
        if self._quiet:
            return
        line = f"note: {one_line(text)}"
        if self._display is not None:
            self._display.say(line)
        else:
            _write_stderr(line)

    def batch(self, status: Any) -> None:
        """Show the processes of a batch below its bar, where there is a terminal."""
        if isinstance(self._display, LiveDisplay):
            self._display.rows(status.table())

    def error(self, text: str) -> None:
        """Tell what went wrong, in one line on stderr, also when quiet."""
        self.failure(f"error: {text}")

    def failure(self, text: str) -> None:
        """Write one line to stderr as it is, also when quiet; progress ends."""
        self._close(done=False)
        _write_stderr(one_line(text))

    def summary(self, lines: Iterable[str]) -> None:
        """Write the closing lines of a job to stdout, unless quiet."""
        self._close(done=True)
        if not self._quiet:
            for line in lines:
                _write_stdout(one_line(line))

    def table(self, rows: Sequence[Sequence[str]]) -> None:
        """Write aligned columns to stdout."""
        self._close(done=True)
        for line in columns(rows):
            _write_stdout(line)

    def sparklines(self, series: Mapping[str, Sequence[float]]) -> None:
        """Write each series of values over time to stdout: name, blocks, lowest and highest value."""
        rows = []
        for name, values in series.items():
            known = [value for value in values if value == value]
            reach = f"{min(known):.2f} to {max(known):.2f}" if known else "-"
            rows.append((name, sparkline(values), reach))
        self.table(rows)

    def json(self, value: Any) -> None:
        """Write a value as JSON to stdout."""
        self._close(done=True)
        _write_stdout(json.dumps(value, indent=2))

    def _close(self, *, done: bool) -> None:
        if self._display is not None:
            display, self._display = self._display, None
            display.close(done=done)


def _is_terminal(stream: TextIO) -> bool:
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def _write_stdout(line: str) -> None:
    try:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
    except BrokenPipeError as error:
        raise OutputClosedError from error


def _write_stderr(line: str) -> None:
    # Nobody is left to tell when stderr itself is closed, and the job is worth more than its messages.
    with contextlib.suppress(BrokenPipeError):
        sys.stderr.write(line + "\n")
        sys.stderr.flush()
