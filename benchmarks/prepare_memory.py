"""Memory of one prepare-data worker over many videos: flat after the first fifty?

`python benchmarks/prepare_memory.py CLIPS [--videos 500] [--sources 25] [--seconds 2] [--size 256] [--work DIR]`

The first seconds of some clips are linked under many names. The worker's resident memory is read every time a video
ends. The exit code is 1 when its median over the last fifty videos, or its peak after the first fifty, lies more than
5 % above its median from the 50th to the 100th.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from avatarkit.media.binary import ffmpeg_binary
from avatarkit.pipelines.prepare.config import PrepareJob, RunOptions
from avatarkit.pipelines.prepare.run import prepare
from avatarkit.pipelines.prepare.sources.videos import Videos
from avatarkit.prepare.config import PrepareConfig
from avatarkit.runtime import NullProgress

WARM, BAR = 50, 1.05


class Sampler(NullProgress):
    """Reads the worker's memory while the pipeline reports; videos are counted by their turns."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, float]] = []
        self._done = 0
        self._working = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stage(self, name: str, total: int | None, unit: str = "frames") -> None:
        """Videos count in one stage only."""
        self._working = name == "prepare"

    def advance(self, count: int = 1) -> None:
        """One more video has ended."""
        if self._working:
            self._done += 1

    def close(self) -> None:
        """End the thread."""
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.1):
            size_mb = max((resident_mb(pid) for pid in workers()), default=0.0)
            if self._working and size_mb:
                self.rows.append((self._done, size_mb))


def workers() -> list[int]:
    """Spawned workers of this process."""
    text = Path(f"/proc/self/task/{os.getpid()}/children").read_text()
    return [pid for pid in map(int, text.split()) if b"spawn_main" in command_line(pid)]


def command_line(pid: int) -> bytes:
    """How a process was started; empty where it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def resident_mb(pid: int) -> float:
    """Resident memory now."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
    except OSError:
        return 0.0
    return 0.0


def main() -> int:
    """Measure and print one json object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path)
    parser.add_argument("--videos", type=int, default=500)
    parser.add_argument("--sources", type=int, default=25)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--work", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="avatarkit-memory-") as scratch:
        result = measure(options, options.work or Path(scratch))
    print(json.dumps(result, indent=1))
    return 0 if result["last_over_warm"] <= BAR and result["peak_over_warm"] <= BAR else 1


def measure(options: argparse.Namespace, work: Path) -> dict[str, float]:
    """Run one worker over all videos and sum up."""
    folder = work / "videos"
    folder.mkdir(parents=True, exist_ok=True)
    sources = sorted(options.clips.glob("*.mp4"))[: options.sources]
    for number in range(options.videos):
        target = folder / f"v{number:04d}.mp4"
        if number < len(sources):
            cut(sources[number], target, options.seconds)
        else:
            os.link(folder / f"v{number % len(sources):04d}.mp4", target)
    sampler = Sampler()
    start_s = time.monotonic()
    job = PrepareJob(
        Videos((folder,)), work / "out", PrepareConfig(size=options.size), run=RunOptions(workers=1)
    )
    report = prepare(job, sampler)
    sampler.close()
    warm = statistics.median(size for done, size in sampler.rows if WARM <= done < 2 * WARM)
    last = statistics.median(size for done, size in sampler.rows if done >= options.videos - WARM)
    peak = max(size for done, size in sampler.rows if done >= WARM)
    return {
        "videos": options.videos,
        "clips": getattr(report, "clips", 0),
        "seconds": round(time.monotonic() - start_s, 1),
        "warm_mb": round(warm, 1),
        "last_mb": round(last, 1),
        "peak_mb": round(peak, 1),
        "last_over_warm": round(last / warm, 4),
        "peak_over_warm": round(peak / warm, 4),
    }


def cut(source: Path, target: Path, seconds: float) -> None:
    """Copy the first seconds of a clip without decoding it."""
    words = [ffmpeg_binary(), "-loglevel", "error", "-y", "-i", source, "-t", seconds, "-c", "copy", target]
    subprocess.run([str(word) for word in words], check=True, timeout=60)


if __name__ == "__main__":
    sys.exit(main())
