"""The drawn heads as a dataset on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from synthetic_heads import frame

from avatarkit.data.clip import ClipData, ClipInfo
from avatarkit.data.manifest import write_manifest
from avatarkit.data.pictures import encode_image, encode_matte
from avatarkit.data.shard import seal_shard, shard_name, shard_path
from avatarkit.data.writer import ShardWriter
from avatarkit.head.matrix import CANONICAL_UNITS


def write_dataset(
    folder: Path,
    kind: str = "videos",
    people: int = 3,
    frames: int = 6,
    size: int = 64,
    damaged: str = "",
) -> Path:
    """A finished dataset: one clip of each person in each split; the frames of a damaged clip have another size."""
    folder.mkdir(parents=True, exist_ok=True)
    stats = []
    (folder / "shards").mkdir()
    for split in ("train", "val"):
        name = shard_name(split, 0)
        temporary = folder / "shards" / f".{name}"
        with ShardWriter(temporary, {"kind": kind}) as writer:
            for person in range(people):
                made = clip(person, split, frames if kind == "videos" else 1, size)
                if made.info.clip_id == damaged:
                    made.images[:] = [encode_image(np.zeros((size // 2, size // 2, 3), np.uint8))] * len(made.images)
                writer.append(made)
        stats.append(seal_shard(folder, name, temporary, writer.clips))
        assert shard_path(folder, name).is_file()
    write_manifest(
        folder, stats, kind=kind, size=size, plan_hash="p", config_hash="c", config={}, tools={"tracker": "drawn"}
    )
    return folder


def clip(person: int, split: str, count: int, size: int) -> ClipData:
    """One person's clip."""
    shown = [frame(person, 100 * (split != "train") + moment, size) for moment in range(count)]
    heads = np.stack([one["head"].numpy() for one in shown])
    scales = np.linalg.norm(heads[:, :3, 0], axis=1)
    info = ClipInfo(
        clip_id=f"{split}-{person}", identity=f"person-{person}", video=f"v{person}", utterance="0", split=split,
        source="drawn", licence="none", author="nobody", native_rate="25" if count > 1 else "0", start_s=0.0,
        frames=count, head_px=float(size), bitrate_kbps=0.0, effective_px=float(size), sharpness=1.0,
        score=float("nan"), yaw_deg=0.0,
    )  # fmt: skip
    translation = np.concatenate([((heads[:, :2, 3] + 1) * size - 1) / 2, np.zeros((count, 1))], 1)
    columns = {
        "time_s": np.arange(count) / 25,
        "landmarks": np.stack([one["landmarks"].numpy() for one in shown]),
        "rotation": heads[:, :3, :3] / scales[:, None, None],
        "translation_px": translation,
        "scale_px": scales * size / (2 * CANONICAL_UNITS),
        "mouth_opening": np.array([float(one["mouth_opening"]) for one in shown]),
        "eye_opening": np.stack([one["eye_opening"].numpy() for one in shown]),
        "gaze": np.stack([one["gaze"].numpy() for one in shown]),
        "crop_px": np.tile([0.0, 0.0, size], (count, 1)),
        "head_px": np.full(count, float(size)),
        "score": np.full(count, np.nan),
    }
    images = [encode_image(one["image"].permute(1, 2, 0).numpy(), "jpeg", 95) for one in shown]
    mattes = [encode_matte(one["matte"][0].numpy()) for one in shown]
    return ClipData(info, images, mattes, columns)
