"""Signals at random moments: the right exit code, quietly, soon, with no child and nothing half-made.

`python benchmarks/signals.py [--moments 200] [--only video,motion,...] [--seed 0] [--check]`

Each command runs on small generated media in a process of its own and gets SIGINT, SIGTERM or SIGHUP at a moment that
is drawn over the time that the whole command takes. A command that had ended by then counts as ended, and must have
ended well. With --check the exit code is 1 when a bar is missed.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

SOON_S = 2.0
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass
class Case:
    """One command: its arguments, what it writes, and whether its outputs may stay when it is interrupted.

    saves: a training saves first, which takes as long as a step and the writing.
    """

    name: str
    arguments: list[str]
    output: Path
    keeps: bool = False
    saves: bool = False
    seconds: float = 0.0
    faults: Counter[str] = field(default_factory=Counter)
    slowest_s: float = 0.0
    interrupted: int = 0


def cases(work: Path) -> list[Case]:
    """All commands, with small media made for them."""
    demo = work / "demo"
    run(["demo", "-o", str(demo)])
    source, driver = (str(next(demo.glob(f"{name}.*"))) for name in ("source", "driver"))
    motion = str(work / "driver.motion")
    run(["motion", "extract", driver, "-o", motion])
    (work / "in").mkdir()
    for name in ("a", "b"):
        shutil.copyfile(driver, work / "in" / f"{name}{Path(driver).suffix}")
    dataset = work / "set"
    size = ["--size", "64", "--min-head-px", "32"]
    prepared = ["prepare-data", "videos", str(work / "in"), *size, "--workers", "1", "-o"]
    run([*prepared, str(dataset)])
    out = work / "out"
    trained = ["train", "base", "--preset", "tiny-64", "--data", str(dataset), "--steps", "30", "--device", "cpu"]
    exported = ["data", "export", str(dataset), "--format", "folder", "--all", "-o", str(out / "export")]
    return [
        Case("video", ["reenact", source, driver, "-o", str(out / "v.mp4")], out / "v.mp4"),
        Case("motion", ["reenact", source, motion, "--size", "1024", "-o", str(out / "m.mp4")], out / "m.mp4"),
        Case("prepare-data", [*prepared, str(out / "set")], out / "set", keeps=True),
        Case("train", [*trained, "-o", str(out / "run")], out / "run", keeps=True, saves=True),
        Case("export", exported, out / "export"),
    ]


def command(arguments: list[str]) -> list[str]:
    """The command as a process of its own."""
    return [sys.executable, "-m", "avatarkit", *arguments]


def run(arguments: list[str]) -> float:
    """Run a command to its end; its seconds."""
    began = time.monotonic()
    done = subprocess.run(command(arguments), capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(arguments)}: {done.returncode}: {done.stderr[-600:]}")
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


def once(case: Case, number: signal.Signals, after_s: float) -> None:
    """Interrupt a command once and note what was wrong."""
    folder = case.output.parent
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    process = subprocess.Popen(command(case.arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(after_s)
    helpers = children(process.pid)
    began = time.monotonic()
    process.send_signal(number)
    try:
        _, errors = process.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        process.kill()
        case.faults["hung"] += 1
        return
    took_s = time.monotonic() - began
    code = process.returncode
    if code == 0:
        case.faults["ended well without its output"] += not case.output.exists()
        return
    case.interrupted += 1
    case.slowest_s = max(case.slowest_s, took_s)
    # Before the program is loaded the signal ends Python itself, which a shell reports by the same number.
    case.faults[f"exit code {code} for {number.name}"] += code not in (128 + number, -number)
    case.faults["slow"] += took_s > SOON_S and not case.saves
    noise = ("Traceback", "Fatal", "terminate called", "Aborted", "Exception ignored")
    if any(word in errors for word in noise):
        case.faults["not quiet: " + errors.strip().splitlines()[-1][:100]] += 1
    until = time.monotonic() + 2
    while any(map(alive, helpers)) and time.monotonic() < until:
        time.sleep(0.05)
    case.faults["children left"] += any(map(alive, helpers))
    if not case.keeps:
        case.faults["something left: " + ", ".join(sorted(os.listdir(folder)))[:100]] += bool(os.listdir(folder))
    else:
        case.faults["half a file left"] += any("-partial-" in path.name for path in folder.rglob("*"))


def main() -> int:
    """Measure, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--moments", type=int, default=200)
    parser.add_argument("--only", default="")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    draw = random.Random(options.seed)
    with tempfile.TemporaryDirectory(prefix="avatarkit-signals-") as name:
        chosen = [case for case in cases(Path(name)) if not options.only or case.name in options.only.split(",")]
        print("| command | moments | interrupted | slowest, s | faults |\n|---|---|---|---|---|", flush=True)
        for case in chosen:
            case.output.parent.mkdir(exist_ok=True)
            case.seconds = run(case.arguments)
            for _ in range(options.moments):
                once(case, draw.choice(SIGNALS), draw.uniform(0, case.seconds))
            faults = "; ".join(f"{count} x {what}" for what, count in case.faults.items() if count) or "none"
            row = (case.name, str(options.moments), str(case.interrupted), f"{case.slowest_s:.2f}", faults)
            print(f"| {' | '.join(row)} |", flush=True)
    return int(options.check and any(sum(case.faults.values()) for case in chosen))


if __name__ == "__main__":
    sys.exit(main())
