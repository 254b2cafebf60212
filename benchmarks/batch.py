"""Figures of `avatarkit batch`: speed against single runs, kills, and many small pairs.

    python benchmarks/batch.py grid SOURCES DRIVERS [--size 512] [--seconds 5]
    python benchmarks/batch.py kill SOURCES DRIVERS [--kills 10]
    python benchmarks/batch.py many SOURCES DRIVERS [--pairs 1000]

SOURCES and DRIVERS are folders. `grid` makes 3 x 4 pairs by single runs of `reenact`, one after the other, then by a
batch of two workers, and compares the bytes. `kill` ends everything with SIGKILL at random moments and starts again.
`many` makes pairs of one second at 64 px and watches memory, status and the time between pairs. Exit code 1 where a
bar is missed.
"""

from __future__ import annotations

import argparse
import csv
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from statistics import mean, median

from avatarkit.pipelines.batch.jobs import files_of
from avatarkit.pipelines.batch.status import journal, read_status

WORKERS = 2
COMMAND = [sys.executable, "-m", "avatarkit"]
INPUTS = ".batch/cache/*/*"
SPEED_BAR, OVERHEAD_BAR_MS, GROWTH_BAR = 1.5, 5.0, 1.05


def outputs(folder: Path) -> dict[str, bytes]:
    """Finished outputs by name."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix in (".mp4", ".png")}


def folders(options: argparse.Namespace, work: Path, sources: int, drivers: int) -> tuple[Path, Path]:
    """Folders with so many of the sources and drivers."""
    made = []
    for name, given, count in (("s", options.sources, sources), ("d", options.drivers, drivers)):
        (work / name).mkdir()
        for path in files_of(str(given), name)[:count]:
            shutil.copy(path, work / name / path.name)
        made.append(work / name)
    return made[0], made[1]


def grid(options: argparse.Namespace, work: Path) -> bool:
    """Single runs against a batch."""
    sources, drivers = folders(options, work, 3, 4)
    words = ["--size", str(options.size), "--end", str(options.seconds)]
    single, batch = work / "single", work / "batch"
    single.mkdir()
    start_s = time.perf_counter()
    for source in sorted(sources.iterdir()):
        for driver in sorted(drivers.iterdir()):
            out = single / f"{source.stem}--{driver.stem}.mp4"
            subprocess.run([*COMMAND, "reenact", str(source), str(driver), "-o", str(out), "-q", *words], check=True)
    single_s = time.perf_counter() - start_s
    start_s = time.perf_counter()
    line = [*COMMAND, "batch", "--sources", str(sources), "--drivers", str(drivers), "-o", str(batch)]
    subprocess.run([*line, "--workers", "2", "-q", *words], check=True)
    batch_s = time.perf_counter() - start_s
    same = outputs(single) == outputs(batch)
    kept = Counter(path.parent.name for path in (batch / ".batch" / "cache").glob("*/*"))
    ratio = single_s / batch_s
    print(f"pairs {len(outputs(single))}, single {single_s:.1f} s, batch {batch_s:.1f} s, ratio {ratio:.2f}")
    print(f"same bytes {same}, kept {dict(kept)}")
    return same and ratio >= SPEED_BAR


def descendants(pid: int) -> list[int]:
    """A process and all below it."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        with suppress(OSError, ValueError):
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            parents.setdefault(parent, []).append(int(entry.name))
    result = [pid]
    for item in result:
        result += parents.get(item, [])
    return result


def made(out: Path) -> dict[str, int]:
    """When each output got its name."""
    return {path.name: path.stat().st_mtime_ns for path in out.glob("[!.]*.mp4")}


def kill(options: argparse.Namespace, work: Path) -> bool:
    """Kills at random moments against an undisturbed run.

    The first strikes while inputs are made ready, the others between a run's first output and its last.
    """
    sources, drivers = folders(options, work, 4, 4)
    words = ["--size", "128", "--end", "2", "--workers", str(WORKERS), "-q", "--no-gallery"]
    line = [*COMMAND, "batch", "--sources", str(sources), "--drivers", str(drivers)]
    out, calm, dice = work / "out", work / "calm", random.Random(options.seed)
    subprocess.run([*line, "-o", str(calm), *words], check=True)
    ends_s = sorted(time_ns / 1e9 for time_ns in made(calm).values())
    each_s = (ends_s[-1] - ends_s[0]) / (len(ends_s) - 1)
    kills = strange_kills = 0
    standing: dict[str, int] = {}
    twice: list[int] = []
    while kills < options.kills:
        missing = len(ends_s) - len(standing)
        if missing < 4:  # begin anew, but for what is kept of sources and drivers
            for path in [*out.glob("*.mp4"), *out.glob(".batch/done/*")]:
                path.unlink()
            standing = {}
            continue
        process = subprocess.Popen([*line, "-o", str(out), *words])
        while process.poll() is None and not (made(out).keys() - standing if kills else any(out.glob(INPUTS))):
            time.sleep(0.02)
        with suppress(subprocess.TimeoutExpired):
            process.wait(dice.uniform(0, each_s * min(missing - 2, 6)))
        if process.poll() is not None:
            print("ended before the blow", flush=True)
            standing = made(out)
            continue
        for pid in descendants(process.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()
        kills += 1
        now = made(out)
        twice.append(sum(now.get(name) != before for name, before in standing.items()))
        between = len(standing) < len(now) < len(ends_s)
        strange_kills += not between
        print(f"kill {kills}: {len(standing)} outputs before, {len(now)} now, {twice[-1]} made again", flush=True)
        standing = now
    subprocess.run([*line, "-o", str(out), *words], check=True)
    twice.append(sum(made(out).get(name) != before for name, before in standing.items()))
    standing = made(out)
    subprocess.run([*line, "-o", str(out), *words], check=True)
    idle = made(out) == standing
    same = outputs(out) == outputs(calm)
    known = {*outputs(calm), ".batch", "batch.jsonl"}
    strange = [path.name for path in out.iterdir() if path.name not in known]
    kept = [{path.relative_to(folder) for path in (folder / ".batch").rglob("*")} for folder in (out, calm)]
    strange += [str(path) for path in kept[0] - kept[1]]
    print(f"kills {kills}, {kills - strange_kills} of them between the first output and the last; same bytes {same}")
    print(f"left-over files {strange}, made again after a kill at most {max(twice)}; nothing more to do after: {idle}")
    return same and idle and not strange and max(twice) <= WORKERS and strange_kills <= 1


def many(options: argparse.Namespace, work: Path) -> bool:
    """A thousand small pairs."""
    sources, drivers = files_of(str(options.sources), "s")[:10], files_of(str(options.drivers), "d")[:10]
    jobs, out = work / "jobs.csv", work / "out"
    with jobs.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["source", "driver", "output", "strength"])
        for number in range(options.pairs):
            source, driver = sources[number // 10 % len(sources)], drivers[number % len(drivers)]
            table.writerow([source.resolve(), driver.resolve(), f"{number:04d}.mp4", 0.5 + number // 100 / 20])
    words = ["--size", "64", "--end", "1", "--workers", "2", "-q", "--no-gallery"]
    process = subprocess.Popen([*COMMAND, "batch", "--jobs", str(jobs), "-o", str(out), *words])
    memory: list[tuple[int, int]] = []
    unread = reads = 0
    oldest_s = 0.0
    while process.poll() is None:
        time.sleep(0.25)
        try:
            (status,) = read_status(out)
        except Exception:  # noqa: BLE001  whatever keeps it from being read counts
            unread += bool(memory)
            continue
        reads += 1
        oldest_s = max(oldest_s, time.time() - status.written_s)
        memory.append((status.done, sum(resident(pid) for pid in descendants(process.pid))))
    rows = [row for row in journal(out) if row["state"] == "done"]
    last: dict[str, float] = {}
    gaps_ms = []
    for row in rows:
        if row["worker"] in last:
            gaps_ms.append(1000 * (row["time"] - last[row["worker"]] - row["seconds"]))
        last[row["worker"]] = row["time"]
    early = [size for done, size in memory if 0.1 <= done / options.pairs <= 0.3]
    late = [size for done, size in memory if done / options.pairs >= 0.8]
    growth = median(late) / median(early)
    work_s = mean(row["seconds"] for row in rows)
    print(f"pairs {len(rows)}, exit code {process.returncode}, work {work_s:.3f} s a pair")
    print(f"besides the work {mean(gaps_ms):.2f} ms a pair, median {median(gaps_ms):.2f}")
    print(f"memory {median(early) / 1e6:.0f} MB early, {median(late) / 1e6:.0f} MB late, ratio {growth:.3f}")
    print(f"status read {reads} times, {unread} times not, oldest {oldest_s:.1f} s")
    return len(rows) == options.pairs and mean(gaps_ms) <= OVERHEAD_BAR_MS and growth <= GROWTH_BAR and not unread


def resident(pid: int) -> int:
    """Resident memory of a process that is no ffmpeg, in bytes."""
    with suppress(OSError, ValueError, IndexError):
        if "ffmpeg" not in Path(f"/proc/{pid}/comm").read_text():
            return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096
    return 0


def main() -> int:
    """Run one of them in a temporary folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("grid", "kill", "many"))
    parser.add_argument("sources", type=Path)
    parser.add_argument("drivers", type=Path)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pairs", type=int, default=1000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        return 0 if {"grid": grid, "kill": kill, "many": many}[options.what](options, Path(name)) else 1


if __name__ == "__main__":
    sys.exit(main())
