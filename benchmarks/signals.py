"""Signals at random moments: the right exit code, quietly, soon, with no child and nothing half-made.

`python benchmarks/signals.py [--moments 200] [--only video,...] [--at-once 2] [--seed 0] [--media FOLDER] [--check]`

Each command runs on small generated media in a process of its own and gets SIGINT, SIGTERM or SIGHUP at a moment that
is drawn over the time that the whole command takes. A command that had ended by then counts as ended, and must have
ended well. What goes on where it was interrupted is run once more over the last of its moments, and must end well too.
A moment during which this program itself was stopped (SIGSTOP) is drawn again: its times say nothing. Runs with other
seeds add up; with --media they share what is made beforehand. With --check the exit code is 1 when a bar is missed.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from avatarkit.media.binary import ffmpeg_binary

SOON_S = 2.0
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
OUT = "{out}"
"""In a case's arguments: a folder that each moment has to itself."""
NOISE = ("Traceback", "Fatal", "terminate called", "Aborted", "Exception ignored", "internal error")
_stops = 0


@dataclass
class Case:
    """One command: its arguments, the name of what it writes, and whether outputs may stay when it is interrupted.

    saves: a training saves first, which takes as long as a step and the writing.
    """

    name: str
    arguments: list[str]
    output: str
    keeps: bool = False
    saves: bool = False
    seconds: float = 0.0
    faults: Counter[str] = field(default_factory=Counter)
    slowest_s: float = 0.0
    interrupted: int = 0

    def command(self, out: Path) -> list[str]:
        """The command as a process of its own, writing into a folder."""
        return command([text.replace(OUT, str(out)) for text in self.arguments])


def cases(work: Path) -> list[Case]:
    """All commands, with small media made for them once in a folder."""
    demo, dataset, motion = work / "demo", str(work / "set"), str(work / "driver.motion")
    short = str(work / "in" / "a.mp4")
    size = ["--size", "64", "--min-head-px", "32"]
    prepared = ["prepare-data", "videos", str(work / "in"), *size, "--workers", "1", "-o"]
    if not demo.exists():
        run(command(["demo", "-o", str(demo), "--size", "256"]))
        (work / "in").mkdir()
        driver = str(next(demo.glob("driver.*")))
        for name, filters in (("a", "scale=256:256"), ("b", "scale=256:256,hflip")):  # of copies one would be left out
            made = [ffmpeg_binary(), "-v", "error", "-i", driver, "-t", "1.2", "-vf", filters]
            run([*made, str(work / "in" / f"{name}.mp4")])
        run(command(["motion", "extract", short, "-o", motion]))
        run(command([*prepared, dataset]))
    source = str(next(demo.glob("source.*")))
    trained = ["train", "base", "--preset", "tiny-64", "--data", dataset, "--steps", "6", "--device", "cpu"]
    exported = ["data", "export", dataset, "--format", "folder", "--all", "-o", f"{OUT}/export"]
    batch = ["batch", "--sources", source, "--drivers", str(work / "in"), "--size", "128", "--workers", "1"]
    return [
        Case("video", ["reenact", source, short, "--size", "256", "-o", f"{OUT}/v.mp4"], "v.mp4"),
        Case("motion", ["reenact", source, motion, "--size", "1024", "-o", f"{OUT}/m.mp4"], "m.mp4"),
        Case("prepare-data", [*prepared, f"{OUT}/set"], "set", keeps=True),
        Case("train", [*trained, "-o", f"{OUT}/run"], "run", keeps=True, saves=True),
        Case("export", exported, "export"),
        Case("batch", [*batch, "-o", f"{OUT}/batch"], "batch", keeps=True),
    ]


def command(arguments: list[str]) -> list[str]:
    """The command as a process of its own."""
    return [sys.executable, "-m", "avatarkit", *arguments]


def run(words: list[str]) -> float:
    """Run a command to its end; its seconds."""
    began = time.monotonic()
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(words)}: {done.returncode}: {done.stderr[-600:]}")
    return time.monotonic() - began


def children(pid: int) -> set[int]:
    """All descendants of a process, by /proc."""
    result: set[int] = set()
    todo = [pid]
    while todo:
        item = todo.pop()
        try:
            texts = [path.read_text() for path in Path(f"/proc/{item}/task").glob("*/children")]
        except OSError:
            continue
        new = {int(word) for text in texts for word in text.split()} - result
        result |= new
        todo += new
    return result


def alive(pid: int) -> bool:
    """Whether a process runs; one that only waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def once(case: Case, out: Path, number: signal.Signals, after_s: float) -> None:
    """Interrupt a command once and note what was wrong."""
    while True:
        stops = _stops
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        faults, took_s, code = interrupted(case, out, number, after_s)
        if stops == _stops:
            break
    case.faults.update(faults)
    if code:
        case.interrupted += 1
        case.slowest_s = max(case.slowest_s, took_s)


def interrupted(case: Case, out: Path, number: signal.Signals, after_s: float) -> tuple[list[str], float, int]:
    """What was wrong with a command that got a signal, the seconds until it had ended, and its exit code."""
    process = subprocess.Popen(case.command(out), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(after_s)
    helpers = children(process.pid)
    began = time.monotonic()
    process.send_signal(number)
    try:
        _, errors = process.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return ["hung"], 60.0, 1
    took_s, code = time.monotonic() - began, process.returncode
    if code == 0:
        return [] if (out / case.output).exists() else ["ended well without its output"], took_s, code
    faults = []
    # Before the program is loaded the signal ends Python itself, which a shell reports by the same number, or 1.
    own = "avatarkit/cli" in errors or code == 128 + number
    if code not in (128 + number, -number) and (own or (number, code) != (signal.SIGINT, 1)):
        faults.append(f"exit code {code} for {number.name}: {errors.strip()[-200:]}")
    if took_s > SOON_S and not case.saves:
        faults.append("slow")
    noise = [line for line in errors.splitlines() if any(word in line for word in NOISE)]
    # Python's own start answers Ctrl-C by a traceback in which no line is of the command, at most of what loads it.
    if noise and own:
        faults.append(f"not quiet: {noise[0][:100]} ... {' '.join(errors.split())[-200:]}")
    until = time.monotonic() + 2
    while any(map(alive, helpers)) and time.monotonic() < until:
        time.sleep(0.05)
    if any(map(alive, helpers)):
        faults.append("children left")
    left = {path.name for path in out.iterdir()} - ({case.output} if case.keeps or "is complete" in errors else set())
    left |= {path.name for path in out.rglob("*") if "partial-" in path.name}
    if left:
        faults.append(f"something left at {after_s:.2f} s by {number.name}, {code}: {', '.join(sorted(left))[:100]}")
    return faults, took_s, code


def measure(case: Case, work: Path, moments: int, at_once: int, draw: random.Random) -> None:
    """All moments of a case, and for what goes on where it was interrupted a last run to its end."""
    first = work / "whole"
    first.mkdir()
    case.seconds = run(case.command(first))
    drawn = [(draw.choice(SIGNALS), draw.uniform(0, case.seconds)) for _ in range(moments)]
    with ThreadPoolExecutor(at_once) as pool:
        folders = [work / f"{case.name}-{number}" for number in range(moments)]
        list(pool.map(lambda folder, moment: once(case, folder, *moment), folders, drawn))
    if case.keeps and run(case.command(folders[-1])) and not (folders[-1] / case.output).exists():
        case.faults["does not go on"] += 1
    for folder in (first, *folders):
        shutil.rmtree(folder)


def main() -> int:
    """Measure, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--moments", type=int, default=200)
    parser.add_argument("--only", default="")
    parser.add_argument("--at-once", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--media", type=Path)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    signal.signal(signal.SIGCONT, _gone_on)
    draw = random.Random(options.seed)
    with tempfile.TemporaryDirectory(prefix="avatarkit-signals-") as name:
        work = Path(name)
        only = options.only.split(",") if options.only else None
        chosen = [case for case in cases(options.media or work) if only is None or case.name in only]
        print("| command | its seconds | moments | interrupted | slowest, s | faults |", flush=True)
        print("|---|---|---|---|---|---|", flush=True)
        for case in chosen:
            measure(case, work, options.moments, options.at_once, draw)
            faults = "; ".join(f"{count} x {what}" for what, count in case.faults.items()) or "none"
            figures = (f"{case.seconds:.1f}", str(options.moments), str(case.interrupted), f"{case.slowest_s:.2f}")
            print(f"| {' | '.join((case.name, *figures, faults))} |", flush=True)
    return int(options.check and any(sum(case.faults.values()) for case in chosen))


def _gone_on(number: int, frame: FrameType | None) -> None:
    global _stops  # noqa: PLW0603  a handler has nothing else to write to
    _stops += 1


if __name__ == "__main__":
    sys.exit(main())
