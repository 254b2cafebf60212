"""What a run used: memory, time per stage, versions, hashes; and how a long job reports its progress."""

from __future__ import annotations

import ctypes
import hashlib
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Protocol

from avatarkit.errors import InputError

PACKAGES = (
    "numpy",
    "scipy",
    "pillow",
    "mediapipe",
    "opencv-contrib-python",
    "ffmpeg-python",
    "imageio-ffmpeg",
    "decord",
    "eva-decord",
    "h5py",
    "safetensors",
    "torch",
    "torchvision",
)
"""Distributions whose version can change a result; those that are not installed are left out of reports."""


def counted(number: int, noun: str) -> str:
    """A number and its noun, which is given in the plural: "1 frame", "2 frames", "1 person"."""
    one = "person" if noun == "people" else noun.removesuffix("s")
    return f"{number} {one if number == 1 else noun}"


def silence_native_log() -> None:
    """Keep the log of native code (MediaPipe, TensorFlow Lite), which heeds no setting, off the terminal.

    For programs, once at their start: file descriptor 2 leads nowhere from then on, in child processes too, and
    `sys.stderr` goes on to the terminal by another one.
    """
    own = os.fdopen(os.dup(2), "w", encoding=sys.stderr.encoding, errors="backslashreplace")
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 2)
    os.close(silence)
    sys.stderr = own


class Progress(Protocol):
    """What a pipeline tells about its progress; the command line renders it, a library user may ignore it."""

    def stage(self, name: str, total: int | None, unit: str = "frames") -> None:
        """Begin a stage and end the one before.

        Args:
            name: shown to the user.
            total: how many of its unit it has, None when unknown.
            unit: what is counted, in the plural: "frames", "photos", "videos"; "bytes" are shown as megabytes.
        """

    def advance(self, count: int = 1) -> None:
        """Report `count` more of the current stage's unit done."""

    def notice(self, text: str) -> None:
        """Report something that the user should know and that stops nothing."""


class NullProgress:
    """Progress that goes nowhere."""

    def stage(self, name: str, total: int | None, unit: str = "frames") -> None:
        """Ignore the stage."""

    def advance(self, count: int = 1) -> None:
        """Ignore what was done."""

    def notice(self, text: str) -> None:
        """Ignore the notice."""


class StageTimer:
    """Wall-clock seconds per named stage; a stage entered again adds to its time.

    A stage may lie inside another; each then counts its whole time.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time the body of a `with` statement, also when it raises."""
        start_s = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start_s


_FORKS_EVERY = 10
"""Samples, of which one looks at forked children: the system needs 15 ms to tell what is theirs alone."""


class MemoryMeter:
    """Peak memory of this process together with its children, sampled by a thread inside a `with` statement.

    The operating system cannot be asked for this afterwards: a finished child's own figure includes the
    memory that it shared with its parent before it became another program. Children that were forked to work beside
    this process count with what they do not share with it.
    """

    def __init__(self, interval_s: float = 0.1) -> None:
        self.peak_bytes = 0
        self._samples = self._forked_bytes = 0
        self._forks: set[int] = set()
        self._interval_s = interval_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="memory-meter", daemon=True)

    def __enter__(self) -> MemoryMeter:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._sample()

    def release(self) -> None:
        """Give freed memory back to the system, where it allows that, and look for a later peak from there on.

        The system's record of this process' peak begins anew, for `peak_memory_bytes` and whoever else reads it.
        """
        self._sample()
        with suppress(OSError, AttributeError):  # no glibc
            ctypes.CDLL("libc.so.6").malloc_trim(0)
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")

    def _watch(self) -> None:
        while not self._stop.is_set():
            self._sample()
            self._stop.wait(self._interval_s)

    def _sample(self) -> None:
        if self._samples % _FORKS_EVERY == 0:
            # One that was not there the last time may be about to become another program, its memory still ours.
            before, self._forks = self._forks, _children()[0]
            self._forked_bytes = max(self._forked_bytes, sum(map(_private_bytes, self._forks & before)))
        self._samples += 1
        self.peak_bytes = max(self.peak_bytes, peak_memory_bytes() + self._forked_bytes)


def peak_memory_bytes() -> int:
    """Peak resident memory of this process so far plus that of its children alive now, in bytes.

    So far: since its start, or since the last `MemoryMeter.release`.

    Children that run the same program are left out: they share its memory or are about to become another
    program. On systems without /proc the child counted is the largest of those that have ended.
    """
    own = _high_water_bytes("self")
    if own is not None:
        return own + sum(_high_water_bytes(pid) or 0 for pid in _children()[1])
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(resource.getrusage(kind).ru_maxrss for kind in kinds) * unit


@lru_cache(maxsize=1)
def versions() -> Mapping[str, str]:
    """Versions of avatarkit, Python and the packages that can change a result; imports none of them."""
    from importlib import metadata

    from avatarkit import __version__

    result = {"avatarkit": __version__, "python": ".".join(map(str, sys.version_info[:3]))}
    for name in PACKAGES:
        try:
            result[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return result


def sha256_file(path: Path) -> str:
    """SHA-256 of a file's bytes as 64 hexadecimal digits, read in pieces.

    Raises:
        InputError: the file cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with path.open("rb") as handle:
            while block := handle.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    return digest.hexdigest()


def cpu_threads() -> int:
    """Processors that this process may use: the affinity mask and a container's quota count; at least 1."""
    affinity = getattr(os, "sched_getaffinity", None)
    allowed = len(affinity(0)) if affinity else os.cpu_count() or 1
    quota = _container_quota(Path("/sys/fs/cgroup/cpu.max"))
    return max(1, min(allowed, quota)) if quota else max(1, allowed)


def _container_quota(path: Path) -> int | None:
    """Processors of a cgroup 2 quota file ("200000 100000" is 2), rounded up; None without a limit."""
    try:
        quota, period = path.read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return None
    return None if quota == "max" else math.ceil(int(quota) / int(period))


def end_children() -> None:
    """Kill this process's children, just before it ends without its usual clean-up."""
    for pid in _child_pids():
        with suppress(OSError):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def _high_water_bytes(pid: int | str) -> int | None:
    """The kernel's high-water mark of a process's resident memory; None when it cannot be read.

    It starts at zero with each new program, unlike getrusage, which carries a bigger parent's figure along.
    """
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as handle:
            for line in handle:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        return None
    return None


def _program(pid: int | str) -> str | None:
    """The file that a process runs; None when it cannot be told."""
    try:
        return os.readlink(f"/proc/{pid}/exe")
    except OSError:
        return None


def _children() -> tuple[set[int], set[int]]:
    """Direct children that run this process's own program, forked or about to become another one; and all others."""
    pids, program = set(_child_pids()), _program("self")
    forks = {pid for pid in pids if _program(pid) == program}
    return forks, pids - forks


def _private_bytes(pid: int) -> int:
    """Memory of a process that no other has; 0 where the system does not tell."""
    try:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as handle:
            return 1024 * sum(int(line.split()[1]) for line in handle if line.startswith("Private_"))
    except OSError:
        return 0


def _child_pids() -> list[int]:
    """Process ids of the direct children alive now, whichever thread started them."""
    pids: list[int] = []
    try:
        threads = os.listdir("/proc/self/task")
    except OSError:
        return pids
    for thread in threads:
        try:
            with open(f"/proc/self/task/{thread}/children", encoding="ascii") as handle:
                pids += [int(pid) for pid in handle.read().split()]
        except OSError:
            continue  # the thread has ended meanwhile
    return pids
