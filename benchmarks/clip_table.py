"""How fast a dataset of a million clips opens for training, and what its table takes of each process.

    python benchmarks/clip_table.py --work DIR --clips 1100000 [--check]

The dataset is made up: shards of the right length without content, tables and a selection as `prepare-data` would leave
them, of as many people and videos as VoxCeleb2 has. It is opened in a new process, which then starts readers.
"""

from __future__ import annotations

import argparse
import multiprocessing as mp
import multiprocessing.connection
import multiprocessing.reduction
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from learning_runs import Found, run_proof
from tables import Bar, Verdict

from avatarkit.data import clip_table
from avatarkit.data.clip import FRAME_RATE
from avatarkit.data.manifest import manifest_hash, write_manifest
from avatarkit.data.marks import SELECTION, write_selection
from avatarkit.data.pairs import PairDataset
from avatarkit.data.samples import SampleSpec
from avatarkit.data.shard import FOLDER, ShardStats, shard_path
from avatarkit.runtime import sha256_file
from avatarkit.training.open_data import open_data

PEOPLE, VIDEOS, IN_SHARD, FRAMES = 6_000, 150_000, 64, 150
READERS = 4
SPEC = SampleSpec(candidates=4)


def main(argv: Sequence[str] | None = None) -> int:
    """Make it up, open it, measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder of the made-up dataset and of results")
    parser.add_argument("--clips", type=int, default=1_100_000)
    parser.add_argument("--check", action="store_true", help="exit with 1 when a bar is missed")
    return run_proof(opened, parser.parse_args(argv, argparse.Namespace(proof="clip_table", threads=1)))


def opened(options: argparse.Namespace) -> Found:
    """Time to open, and memory of the process that opens and of readers."""
    folder = options.work / f"made-up-{options.clips}"
    if not folder.is_dir():
        _make(folder, options.clips)
    with ProcessPoolExecutor(1, mp.get_context("spawn")) as alone:
        row = alone.submit(_open, folder).result()
    return [row], [
        Verdict(Bar("opened in seconds", "<=", 2), row["open_s"]),
        Verdict(Bar("of the process that opens it, MB", "<=", 200), row["process_mb"]),
        Verdict(Bar("of a reader, MB", "<=", 200), row["reader_mb"]),
    ]


def _open(folder: Path) -> dict[str, float]:
    before, began = _memory_mb("Rss"), time.perf_counter()
    data = open_data(folder, "base", SPEC, 64, 0, "tiny-64")
    open_s = time.perf_counter() - began
    result = {"clips": len(data.clips), "open_s": open_s, "process_mb": _memory_mb("Rss") - before}
    assert isinstance(data.train, PairDataset)
    result |= {"pickled_mb": len(mp.reduction.ForkingPickler.dumps(data.train)) / 1e6}
    ends = [mp.Pipe() for _ in range(READERS)]
    children = [mp.get_context("fork").Process(target=_read, args=(data.train, end)) for _, end in ends]
    for child in children:
        child.start()
    own = [here.recv() for here, _ in ends]
    for child in children:
        child.join()
    return result | {"reader_mb": max(size for size, _ in own), "samples_of_a_reader": min(count for _, count in own)}


def _read(data: PairDataset, end: mp.connection.Connection) -> None:
    """Choose samples as a reader does, and tell how much memory became this process's own."""
    before = _memory_mb("Private_Dirty") + _memory_mb("Private_Clean")
    rng, count = np.random.default_rng(os.getpid()), 20_000
    for position in rng.integers(len(data), size=count).tolist():
        clip = data._clip_at(position)
        other = data._of_another_person(clip, rng)
        assert data.names[clip][1] != data.names[other][1]
    end.send((_memory_mb("Private_Dirty") + _memory_mb("Private_Clean") - before, count))


def _memory_mb(name: str) -> float:
    lines = Path("/proc/self/smaps_rollup").read_text(encoding="ascii").splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) / 1024


def _make(folder: Path, clips: int) -> None:
    shards = -(-clips // IN_SHARD)
    names = [f"train-{number:05d}" for number in range(shards)]
    (folder / FOLDER).mkdir(parents=True)
    stats = []
    for name in names:
        shard_path(folder, name).write_bytes(b"-")
        frames = IN_SHARD * FRAMES
        stats.append(ShardStats(name, "train", "0" * 64, 1, IN_SHARD, frames, frames / FRAME_RATE, (), ()))
    write_manifest(
        folder, stats, kind="videos", size=64, plan_hash="", config_hash="", config={}, tools={"made": "up"}
    )
    place = np.arange(clips)
    person, video = place * PEOPLE // clips, place * VIDEOS // clips
    ids = [f"id{who:05d}/{which:011d}/{number:05d}" for who, which, number in zip(person, video, place, strict=True)]
    write_selection(folder, ids, {"min_score": 0.5})
    numbers = np.stack([0 * place, 0 * place + 1, person, video, 0 * place + FRAMES, place // IN_SHARD,
                        place % IN_SHARD * FRAMES]).astype(np.int32)  # fmt: skip
    texts = clip_table._texts
    table = clip_table.ClipTable(numbers, texts(ids), texts([f"id{who:05d}" for who in range(PEOPLE)]))
    key = clip_table.table_key(manifest_hash(folder), sha256_file(folder / SELECTION))
    clip_table.write_table(folder / key, table)


if __name__ == "__main__":
    sys.exit(main())
