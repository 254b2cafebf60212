"""Running avatarkit and other programs as child processes, timed with their memory watched from outside."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

SAMPLE_S = 0.1
AVATARKIT = (sys.executable, "-m", "avatarkit")


@dataclass(frozen=True)
class Finished:
    """A child that has ended; `peak_bytes` is of its process tree, 0 when it was not watched."""

    code: int
    out: str
    err: str
    wall_s: float
    peak_bytes: int

    @property
    def message(self) -> str:
        """The last line that says something, errors first."""
        lines = [line.strip() for line in (self.err + "\n" + self.out).splitlines() if line.strip()]
        errors = [line for line in lines if line.startswith("error:")]
        return (errors or lines or [f"exit code {self.code}"])[-1]


def run(args: Sequence[str | Path], *, watch_memory: bool = False) -> Finished:
    """Run a command to its end; with `watch_memory` its process tree is sampled every 0.1 s."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        start_s = time.perf_counter()
        with subprocess.Popen(
            [str(arg) for arg in args], stdin=subprocess.DEVNULL, stdout=out, stderr=err
        ) as child:
            peak = _watched(child) if watch_memory else 0
            code = child.wait()
        wall_s = time.perf_counter() - start_s
        texts = []
        for stream in (out, err):
            stream.seek(0)
            texts.append(stream.read().decode("utf-8", "replace"))
    return Finished(code, texts[0], texts[1], wall_s, peak)


def reenact(
    source: Path, driver: Path, output: Path, *options: str | Path, watch_memory: bool = False
) -> Finished:
    """Run the main job the way a user does."""
    return run(
        [*AVATARKIT, "reenact", source, driver, "-o", output, "--overwrite", "--quiet", *options],
        watch_memory=watch_memory,
    )


def extract_motion(driver: Path, target: Path) -> Finished:
    """Write a driver's motion file."""
    return run([*AVATARKIT, "motion", "extract", driver, "-o", target, "--overwrite", "--quiet"])


def captured(args: Sequence[str]) -> tuple[bytes, str]:
    """Everything a command writes to stdout, as bytes, and the end of what it writes to stderr."""
    done = subprocess.run(args, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    return done.stdout, done.stderr.decode("utf-8", "replace").strip()[-300:]


def tree_bytes(pid: int) -> int:
    """Memory of a process and its descendants now, in bytes; pages that several share are counted once.

    It is the sum of their proportional set sizes (Linux); 0 where the system does not tell.
    """
    total, waiting = 0, [pid]
    while waiting:
        current = waiting.pop()
        total += _proportional_bytes(current)
        waiting += _children(current)
    return total


def _watched(child: subprocess.Popen[bytes]) -> int:
    """Peak of `tree_bytes` until the child ends; without /proc the kernel's figure for the largest child."""
    peak = 0
    if Path("/proc/self/smaps_rollup").exists():
        while child.poll() is None:
            peak = max(peak, tree_bytes(child.pid))
            time.sleep(SAMPLE_S)
        return peak
    child.wait()
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * unit


def _proportional_bytes(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as handle:
            for line in handle:
                if line.startswith("Pss:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        return 0  # it has ended, or belongs to someone else
    return 0


def _children(pid: int) -> list[int]:
    result: list[int] = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children", encoding="ascii") as handle:
                result += [int(child) for child in handle.read().split()]
    except OSError:
        return result  # it has ended meanwhile
    return result
