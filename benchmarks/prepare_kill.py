"""Kill -9 at random moments, then the same command: does prepare-data reach the bytes of an uninterrupted run?

`python benchmarks/prepare_kill.py CLIPS [--number 12] [--kills 20] [--workers 2] [--size 256] [--work DIR]`

The first run is left alone. The second is killed again and again, the parent alone and the whole group in turn, after
a wait drawn over the time that a whole run takes; then it is let finish. The exit code is 1 when a byte differs, a
sample is missing or double, or more was made again than one shard per worker and kill.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from child import AVATARKIT

from avatarkit.data.ledger import FILE as LEDGER
from avatarkit.data.ledger import read_table
from avatarkit.data.shard import read_stats, sealed_shards


def main() -> int:
    """Measure and print one json object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path)
    parser.add_argument("--number", type=int, default=12)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="avatarkit-kill-") as scratch:
        result = measure(options, options.work or Path(scratch))
    print(json.dumps(result, indent=1))
    return 0 if result["identical"] and result["samples_whole"] and result["redone_within_bar"] else 1


def measure(options: argparse.Namespace, work: Path) -> dict[str, object]:
    """One uninterrupted run, one that is killed again and again, and how they compare."""
    clips = work / "clips"
    clips.mkdir(parents=True, exist_ok=True)
    for path in sorted(options.clips.glob("*.mp4"))[: options.number]:
        shutil.copyfile(path, clips / path.name)
    draw = random.Random(options.seed)
    start_s = time.monotonic()
    if start(options, clips, work / "whole").wait():
        raise SystemExit("the uninterrupted run failed")
    whole_s = time.monotonic() - start_s
    waits = []
    for number in range(options.kills):
        process = start(options, clips, work / "killed")
        # Short enough that several kills meet unfinished work, long enough that it gets somewhere.
        wait_s = draw.uniform(0, 2.5 * whole_s / options.kills) + draw.choice((0.0, 4.0))
        waits.append(round(wait_s, 2))
        time.sleep(wait_s)
        if number % 2:
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
        process.wait()
    if start(options, clips, work / "killed").wait():
        raise SystemExit("the last run failed")
    return compare(options, work, waits, whole_s)


def start(options: argparse.Namespace, clips: Path, out: Path) -> subprocess.Popen[bytes]:
    """The command as a user gives it, in a group of its own."""
    words = [*AVATARKIT, "prepare-data", "videos", str(clips), "--output", str(out), "--quiet"]
    words += ["--size", str(options.size), "--workers", str(options.workers)]
    return subprocess.Popen(words, start_new_session=True, stdout=subprocess.DEVNULL, stderr=sys.stderr)


def compare(options: argparse.Namespace, work: Path, waits: list[float], whole_s: float) -> dict[str, object]:
    """The figures."""
    whole, killed = contents(work / "whole"), contents(work / "killed")
    different = sorted(name for name in whole.keys() | killed.keys() if whole.get(name) != killed.get(name))
    shards = read_table(work / "killed" / LEDGER, "shards")
    runs = read_table(work / "killed" / LEDGER, "runs")
    again = sum(int(str(row["attempts"])) - 1 for row in shards)
    cut_off = sum(row["outcome"] is None for row in runs)
    rejected = [item.clip_id for name in sealed_shards(work / "killed")
                for item in getattr(read_stats(work / "killed", name), "rejected", ())]  # fmt: skip
    accepted = [str(row["sample"]) for row in read_table(work / "killed" / LEDGER, "samples")
                if row["state"] == "accepted"]  # fmt: skip
    expected = [str(row["sample"]) for row in read_table(work / "whole" / LEDGER, "samples")
                if row["state"] == "accepted"]  # fmt: skip
    return {
        "files": len(whole),
        "different": different,
        "identical": not different,
        "samples_whole": sorted(accepted) == sorted(expected) and len(set(accepted)) == len(accepted),
        "clips": len(accepted),
        "rejected": len(rejected),
        "kills": len(waits),
        "kills_that_met_work": cut_off,
        "shards": len(shards),
        "shards_made_again": again,
        "redone_within_bar": again <= cut_off * options.workers,
        "uninterrupted_s": round(whole_s, 1),
        "waits_s": waits,
    }


def contents(out: Path) -> dict[str, bytes]:
    """All files of a dataset that are to be the same."""
    files = (path for path in out.rglob("*") if path.is_file())
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in files
            if not path.name.startswith((LEDGER, "."))}  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
