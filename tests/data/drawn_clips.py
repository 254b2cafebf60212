"""Tiny datasets of drawn frames; child processes import this too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avatarkit.data.clip import ClipData, ClipInfo, Rejected, Split
from avatarkit.data.columns import FRAME_COLUMNS
from avatarkit.data.manifest import Kind, Manifest, write_manifest
from avatarkit.data.pictures import encode_image, encode_matte
from avatarkit.data.shard import FOLDER, seal_shard, shard_name
from avatarkit.data.writer import ShardWriter

SIZE = 32
ATTRIBUTES = {"kind": "videos", "size": str(SIZE), "plan_hash": "plan", "config_hash": "config", "tracker": "drawn"}


def drawn_frame(number: int, size: int = SIZE) -> NDArray[np.uint8]:
    """A smooth picture whose mean grey tells its number."""
    y, x = np.mgrid[:size, :size] / size
    level = 40 + number % 150
    return np.stack([level + 30 * x, level + 30 * y, level + 0 * x], axis=-1).astype(np.uint8)


def drawn_matte(number: int, size: int = SIZE) -> NDArray[np.uint8]:
    """A disc whose inside has the frame's number."""
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    return np.where(x**2 + y**2 < (size / 3) ** 2, 100 + number % 150, 0).astype(np.uint8)


def drawn_columns(frames: int, seed: int) -> dict[str, NDArray[Any]]:
    """Annotations with a different value everywhere; the head stands upright in the middle."""
    generator = np.random.default_rng(seed)
    columns = {
        name: generator.uniform(0, SIZE, (frames, *column.shape)).astype(column.dtype)
        for name, column in FRAME_COLUMNS.items()
    }
    columns["rotation"][:] = np.eye(3)
    columns["time_s"][:] = np.arange(frames) / 25
    return columns


def drawn_clip(
    clip_id: str, identity: str, frames: int = 4, *, split: Split = "train", seed: int = 0, **changes: Any
) -> ClipData:
    """A clip of drawn frames; frame k of clips with the seed s has the number 10 s + k."""
    fields: dict[str, Any] = {
        "clip_id": clip_id, "identity": identity, "video": f"video-{clip_id}", "utterance": "00001", "split": split,
        "source": "drawn.mp4", "licence": "CC0", "author": "nobody", "native_rate": "30000/1001", "start_s": 1.5,
        "frames": frames, "head_px": 20.0, "bitrate_kbps": 800.0, "effective_px": 18.0, "sharpness": 0.5,
        "score": 50.0 + seed, "yaw_deg": 5.0,
    }  # fmt: skip
    numbers = range(10 * seed, 10 * seed + frames)
    return ClipData(
        info=ClipInfo(**{**fields, **changes}),
        images=[encode_image(drawn_frame(number)) for number in numbers],
        mattes=[encode_matte(drawn_matte(number)) for number in numbers],
        columns=drawn_columns(frames, seed),
    )


def write_shard(path: Path, clips: Sequence[ClipData], attributes: Mapping[str, str] = ATTRIBUTES) -> Path:
    """Write clips to a shard."""
    with ShardWriter(path, attributes) as writer:
        for clip in clips:
            writer.append(clip)
    return path


def write_dataset(
    folder: Path,
    shards: Mapping[Split, Sequence[Sequence[ClipData]]],
    *,
    kind: Kind = "videos",
    rejected: Sequence[Rejected] = (),
) -> Manifest:
    """A finished dataset: for each split its shards' clips; rejected records go to the first shard."""
    (folder / FOLDER).mkdir(parents=True)
    stats = []
    for split, groups in shards.items():
        for number, clips in enumerate(groups):
            temporary = write_shard(folder / FOLDER / ".new", clips, {**ATTRIBUTES, "kind": kind})
            records = rejected if not stats else ()
            stats.append(
                seal_shard(folder, shard_name(split, number), temporary, [clip.info for clip in clips], records)
            )
    return write_manifest(
        folder, stats, kind=kind, size=SIZE, plan_hash="plan", config_hash="config", config={"size": SIZE},
        tools={"tracker": "drawn"},
    )  # fmt: skip


def four_people(folder: Path) -> Manifest:
    """Training clips of three people in two shards (a has two clips, in both), and one of another in val."""
    return write_dataset(
        folder,
        {
            "train": [
                [drawn_clip("a-1", "a", 6, seed=1), drawn_clip("b-1", "b", 4, seed=2)],
                [drawn_clip("a-2", "a", 3, seed=3), drawn_clip("c/1.x", "c", 5, seed=4)],
            ],
            "val": [[drawn_clip("d-1", "d", 4, split="val", seed=5)]],
        },
        rejected=[Rejected("b-9", "video-b-9", "b", "train", "crop", "head-too-small", "the head has 12 px")],
    )
