"""Faults on purpose: a disk that fills up, a program or its ffmpeg that is killed; what is left, and what is said.

    python benchmarks/faults.py --work DIR [--sizes 20] [--moments 20]

Needs Linux and root, for small file systems in memory. Prints a table and ends with 1 where anything was wrong.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from avatarkit.cli.app import run
from avatarkit.media.decode import FrameReader
from avatarkit.media.probe import probe
from avatarkit.motion.script import Script
from avatarkit.pipelines.demo import make_driver, portrait
from avatarkit.runtime import NullProgress

FRAMES, SIDE = 40, 128
SUFFIXES = (".mp4", ".mov", ".mkv", ".webm")


class Faults:
    """Runs of one job that are disturbed, and what was wrong with how they ended."""

    def __init__(self, work: Path) -> None:
        self.driver, self.disk = work / "driver.mp4", work / "disk"
        self.disk.mkdir(parents=True, exist_ok=True)
        script = Script(duration_s=FRAMES / 25)
        make_driver(self.driver, size=256, script=script, progress=NullProgress(), overwrite=True)
        self.done: Counter[tuple[str, str]] = Counter()
        self.wrong: list[str] = []

    def words(self, output: Path) -> list[str]:
        """The job's command: moving pictures with the driver's sound."""
        job = ["reenact", str(portrait()), str(self.driver), "-o", str(output), "--size", str(SIDE), "--quiet"]
        job += ["--cache", str(self.disk.parent / "cache")]  # the driver is tracked once
        return [sys.executable, "-m", "avatarkit", *job, "--overwrite"]

    def judge(self, kind: str, what: str, code: int, text: str, expected: dict[int, str], output: Path) -> None:
        """Note how a run ended: whole with 0, or with an expected code, its words, and nothing left."""
        fault = ""
        left = sorted(path.name for path in output.parent.iterdir())
        if code == 0:
            fault = "" if left == [output.name] and whole(output) else f"0 with {left}"
        elif (code == 143 and "is complete" in text) or (code == -15 and left):
            # The second: after the command's end, when no handler stands any more.
            fault = "" if left == [output.name] and whole(output) else f"said complete with {left}"
        elif code not in expected:
            fault = f"status {code}: {text.strip()[-200:]}"
        elif not re.search(expected[code], text) or text.count("\n") != 1:
            fault = f"said {text.strip()[-300:]!r}"
        elif left:
            fault = f"left {left}"
        self.done[kind, "wrong" if fault else f"status {code}"] += 1
        if fault:
            self.wrong.append(f"{kind}, {what}: {fault}")

    def full_disk(self, suffix: str, sizes: int) -> None:
        """The output's disk is full after so many kilobytes, up to more than are needed."""
        with self._mounted(1 << 20):
            here(self.words(self.disk / f"o{suffix}"))
            needed = (self.disk / f"o{suffix}").stat().st_size // 1024
        for step in range(sizes):
            room_kb = 4 * max(1, round((step + 1) * needed * 2.4 / sizes / 4))
            with self._mounted(room_kb):
                output = self.disk / f"o{suffix}"
                code, text = here(self.words(output))
                self.judge(f"full disk {suffix}", f"{room_kb} kB", code, text, {4: "No space left on device"}, output)

    def killed(self, number: signal.Signals, moments: int) -> None:
        """The program gets a signal at so many moments of its run; what is left then is swept by the next run."""
        output = self.disk / "o.mp4"
        finished(start(self.words(output)))  # fills the cache
        began = time.monotonic()
        finished(start(self.words(output)))
        lasts_s = time.monotonic() - began
        for step in range(moments):
            output.unlink(missing_ok=True)
            process = start(self.words(output))
            time.sleep(lasts_s * (step + 0.5) / moments)
            process.send_signal(number)
            code, text = finished(process)
            if number == signal.SIGTERM:
                # Before Python itself has begun there is nobody who could say anything.
                self.judge("SIGTERM", f"moment {step}", code, text or "\n", {143: "interrupted", -15: ""}, output)
                continue
            final = output.exists() and not whole(output)
            self.done["SIGKILL", "wrong" if final else f"status {code}"] += 1
            if final:
                self.wrong.append(f"SIGKILL, moment {step}: a broken file under the output's name")
        time.sleep(1)
        code, text = finished(start(self.words(output)))
        self.judge(f"{number.name}, run again", "", code, text, {}, output)

    def child_killed(self, moments: int) -> None:
        """Each ffmpeg in turn is killed while the program reads, writes, or adds the sound."""
        output = self.disk / "o.mp4"
        for step in range(moments):
            output.unlink(missing_ok=True)
            process = start(self.words(output))
            nth, seen = 1 + step % 6, set()
            until = time.monotonic() + 60
            while process.poll() is None and time.monotonic() < until and len(seen) < nth:
                seen |= set(children(process.pid))
                time.sleep(0.001)
            time.sleep(0.004 * (step // 6))
            for pid in seen & set(children(process.pid)):
                os.kill(pid, signal.SIGKILL)
            code, text = finished(process)
            self.judge("ffmpeg killed", f"child {nth}", code, text, {3: "signal 9", 4: "signal 9"}, output)

    @contextmanager
    def _mounted(self, kilobytes: int) -> Iterator[None]:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", self.disk], check=True)
        try:
            yield
        finally:
            subprocess.run(["umount", self.disk], check=True)


def here(words: list[str]) -> tuple[int, str]:
    """Exit status of a command, run in this process, and what it said."""
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        code = run(words[3:])
    return code, said.getvalue()


def start(words: list[str]) -> subprocess.Popen[str]:
    """Start a command, its last words kept."""
    return subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def finished(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Exit status and what was said."""
    _, text = process.communicate(timeout=120)
    return process.returncode, text


def children(pid: int) -> list[int]:
    """The ffmpeg processes that read or write a file for a program at the moment."""
    result = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            pids = [int(word) for word in task.read_text().split()]
            result += [child for child in pids if b"file:" in Path(f"/proc/{child}/cmdline").read_bytes()]
        except OSError:
            continue
    return result


def whole(path: Path) -> bool:
    """Whether a video has all its frames and its sound."""
    info = probe(path)
    with FrameReader(path, info=info) as reader:
        count = sum(1 for _ in reader)
    return count == FRAMES and reader.warning is None and info.audio is not None and info.audio.duration > 1.5


def main() -> int:
    """Run everything; 0 where nothing was wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--sizes", type=int, default=20)
    parser.add_argument("--moments", type=int, default=20)
    parser.add_argument("--only", choices=["disk", "kill", "child"])
    options = parser.parse_args()
    faults = Faults(options.work.absolute())
    if options.only in (None, "disk"):
        for suffix in SUFFIXES:
            faults.full_disk(suffix, options.sizes)
            print(f"{suffix} done", flush=True)
    if options.only in (None, "kill"):
        for number in (signal.SIGKILL, signal.SIGTERM):
            faults.killed(number, options.moments)
    if options.only in (None, "child"):
        faults.child_killed(options.moments)
    for (kind, outcome), count in sorted(faults.done.items()):
        print(f"{kind:22} {outcome:12} {count}")
    print("\n".join(faults.wrong) or "nothing was wrong")
    return 1 if faults.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
