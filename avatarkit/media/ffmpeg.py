"""The ffmpeg child process: how it is fed, watched, ended and read.

Commands are argument lists built with ffmpeg-python; no shell is involved. Every child has its stderr drained
by a thread (so that it can never block on it) and a watchdog that kills it when it stays silent for too long.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import re
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import ffmpeg as ffmpeg_python

from avatarkit.errors import DependencyError
from avatarkit.media.binary import ffmpeg_binary

_HEAD_LINES = 1500
_TAIL_LINES = 60
_PIPE_BYTES = 1 << 20


INPUT_FORMATS = (
    "mov", "mp4", "matroska", "webm", "avi", "mpegts", "mpeg", "mpegvideo", "flv", "asf", "mxf", "ogg", "nut", "ivf",
    "yuv4mpegpipe", "dv", "rm", "m4v", "h261", "h263", "h264", "hevc", "vc1", "obu", "av1", "mjpeg",
    "wav", "w64", "mp3", "aac", "ac3", "eac3", "flac", "aiff", "au", "amr", "caf",
)  # fmt: skip
"""Names of ffmpeg's readers of what is itself a video or sound. Those that open other files (playlists, patterns of
pictures, descriptions of sessions) and those of games and texts are not among them."""


_AS_TEXT = {0xDC00 + byte: 0x10F700 + byte for byte in range(128, 256)}
_AS_BYTES = {stand_in: code for code, stand_in in _AS_TEXT.items()}


def file_url(path: Path) -> str:
    """`path` as an ffmpeg URL that no dash, colon, quote or space in it can change the meaning of.

    Bytes that are not UTF-8 stand as characters of a private plane, which `command` turns back: ffmpeg-python takes
    text alone.
    """
    return f"file:{os.path.abspath(path)}".translate(_AS_TEXT)


def media_input(path: Path, **options: Any) -> Any:
    """An ffmpeg-python input for `path` that may open no other file or protocol and skips packets cut off in the
    middle.
    """
    allowed = {"protocol_whitelist": "file", "format_whitelist": ",".join(INPUT_FORMATS)}
    return ffmpeg_python.input(file_url(path), **allowed, fflags="discardcorrupt", **options)


def command(stream: Any, loglevel: str = "repeat+warning", *, joined: Any = None) -> list[str]:
    """The argument list for an ffmpeg-python output `stream`.

    Timestamps are kept as stored (`-copyts`), so that those seen by one command mean the same in another. Where they
    start again within an input, ffmpeg continues them instead. It goes by the streams that it reads: so that the
    same ones are read each time, all of the `joined` input are, and what is not wanted is dropped.
    """
    options = ["-hide_banner", "-nostdin", "-nostats", "-loglevel", loglevel]
    if joined is None:
        options.append("-copyts")
    else:
        dropped = ffmpeg_python.output(joined["V?"], joined["a?"], "-", format="null", c="copy")
        stream = ffmpeg_python.merge_outputs(stream, dropped)
    compiled: list[str] = stream.compile(cmd=[ffmpeg_binary(), *options], overwrite_output=True)
    return [word.translate(_AS_BYTES) for word in compiled]


class Child:
    """One running ffmpeg. Use as a context manager: leaving it kills what still runs and reaps it.

    `stdin` and `stdout` say which pipes the caller uses. While a `waiting()` block is open, the child must
    let it end within `timeout_s` seconds; otherwise it is killed and `timed_out` is set. `heard` gets every line of
    stderr, in another thread.
    """

    def __init__(
        self,
        args: Sequence[str],
        *,
        stdin: bool = False,
        stdout: bool = False,
        timeout_s: float,
        heard: Callable[[str], None] | None = None,
    ) -> None:
        self._heard = heard
        self.timeout_s = timeout_s
        self.timed_out = False
        self._killed = False
        self._deadline: float | None = None
        self._done = threading.Event()
        self._head: list[str] = []
        self._tail: deque[str] = deque(maxlen=_TAIL_LINES)
        try:
            # Its own session: Ctrl-C reaches only us, and we end the child in order.
            self._process = subprocess.Popen(
                list(args),
                stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
                stdout=subprocess.PIPE if stdout else subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                bufsize=0,
                start_new_session=True,
            )
        except OSError as error:
            raise DependencyError(f"ffmpeg at {args[0]} cannot be started: {error.strerror}") from error
        self._drain = threading.Thread(target=self._drain_stderr, name="ffmpeg-stderr", daemon=True)
        self._watch = threading.Thread(target=self._watchdog, name="ffmpeg-watchdog", daemon=True)
        self._drain.start()
        self._watch.start()

    @property
    def stdin(self) -> io.FileIO:
        """The unbuffered pipe that the child reads from."""
        return cast(io.FileIO, self._process.stdin)

    @property
    def stdout(self) -> io.FileIO:
        """The unbuffered pipe that the child writes to."""
        return cast(io.FileIO, self._process.stdout)

    @property
    def pid(self) -> int:
        """Process id of the child."""
        return self._process.pid

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """Around an operation that only the child can make progress on."""
        self._deadline = time.monotonic() + self.timeout_s
        try:
            yield
        finally:
            self._deadline = None

    def kill(self) -> None:
        """End the child at once, if it still runs, and reap it."""
        if self._process.poll() is None:
            self._killed = True
            self._process.kill()
        self._process.wait()
        self._finish()

    def wait(self) -> int:
        """Wait for the child to end by itself (within `timeout_s`, else it is killed); its exit status."""
        with self.waiting():
            self._process.wait()
        self._finish()
        return self._process.returncode

    def _finish(self) -> None:
        self._done.set()
        self._drain.join(timeout=5)
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()

    @property
    def crashed(self) -> str | None:
        """How the child died if a signal that is not ours ended it, else None."""
        code = self._process.returncode
        if code is None or code >= 0 or self._killed:
            return None
        return f"ffmpeg was ended by signal {-code}"

    @property
    def log(self) -> list[str]:
        """The lines of stderr so far: the first ones and the last ones of a very long log."""
        return self._head + list(self._tail)

    def reason(self) -> str:
        """The explanation that ffmpeg gives for a failure, in one line."""
        return self.crashed or failure_reason(self.log)

    def wait_for_line(self, pattern: re.Pattern[str], patience_s: float = 5) -> None:
        """Return once a line of stderr matches `pattern`, which the child must have printed already."""
        until = time.monotonic() + patience_s
        while time.monotonic() < until and not any(pattern.search(line) for line in list(self._head)):
            time.sleep(0.001)

    def _drain_stderr(self) -> None:
        assert self._process.stderr is not None
        pending = b""
        while chunk := self._process.stderr.read(65536):
            *lines, pending = (pending + chunk).split(b"\n")
            for line in lines:
                self._keep(line)
        if pending:
            self._keep(pending)

    def _keep(self, line: bytes) -> None:
        text = line.decode("utf-8", "replace").rstrip()
        if self._heard is not None:
            self._heard(text)
        if len(self._head) < _HEAD_LINES:
            self._head.append(text)
        else:
            self._tail.append(text)

    def _watchdog(self) -> None:
        tick = min(1.0, max(0.02, self.timeout_s / 10))
        while not self._done.wait(tick):
            deadline = self._deadline
            if deadline is not None and time.monotonic() > deadline:
                self.timed_out = True
                self._killed = True
                self._process.kill()
                return

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *exc: object) -> None:
        self.kill()


def enlarge_pipe(pipe: io.FileIO) -> None:
    """Let a pipe hold up to a mebibyte where the system allows it: a frame then takes few switches of
    process.
    """
    set_size = getattr(fcntl, "F_SETPIPE_SZ", None)
    if set_size is not None:
        with contextlib.suppress(OSError):
            fcntl.fcntl(pipe.fileno(), set_size, _PIPE_BYTES)


_NOISE = re.compile(
    r"^(Conversion failed!|Error (opening|while (opening|filtering)|submitting|initializing)|Task finished|"
    r"Terminating|Nothing was written|Exiting|Last message repeated|frame=|video:|Output file does not|"
    r"Could not (open encoder|write header)|Error splitting|\s)"
)
_TELLING = re.compile(
    r"No space left|Permission denied|Read-only|File too large|not found|Invalid|rror|nable|"
    r"not (currently )?support|partial file|Cannot|Could not"
)


_WRITE_PROBLEM = re.compile(r"No space left on device|Disk quota exceeded|File too large|Input/output error")


def write_problem(log: Sequence[str]) -> str:
    """What a log says of a file that could not be written, without the rest of the line; "" for nothing."""
    return next((match[0] for line in log if (match := _WRITE_PROBLEM.search(line))), "")


def failure_reason(log: Sequence[str]) -> str:
    """The most telling line of an ffmpeg log, without the component prefix such as `[mov @ 0x55]`."""
    lines = [re.sub(r"^(\[[^\]]*@ [^\]]*\] ?)+", "", line) for line in log]
    lines = [re.sub(r"file:\S*/", "", line).strip() for line in lines if line.strip()]
    for wanted in (lambda s: _TELLING.search(s) and not _NOISE.match(s), _TELLING.search):
        for line in reversed(lines):
            if wanted(line):
                return line
    return lines[-1] if lines else "ffmpeg gave no reason"
