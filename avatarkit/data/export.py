"""Datasets in forms that other programs read: WebDataset's tar files, plain folders, or a table without pixels."""

from __future__ import annotations

import csv
import io
import json
import os
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from avatarkit.data.clip import Split
from avatarkit.data.columns import FRAME_COLUMNS
from avatarkit.data.dataset import Dataset, Entry
from avatarkit.data.pictures import JPEG_START, check_image, check_matte
from avatarkit.data.reader import ShardReader
from avatarkit.errors import InputError, OutputError
from avatarkit.escaping import for_csv
from avatarkit.media.output import pending_output
from avatarkit.reading import inside
from avatarkit.runtime import NullProgress, Progress

ExportFormat = Literal["webdataset", "folder", "csv"]
_CLIP_FIELDS = ("clip_id", "identity", "video", "utterance", "split", "source", "licence", "author", "native_rate")
CSV_FIELDS = (
    *_CLIP_FIELDS, "frame", "time_s", "left_px", "top_px", "side_px", "head_px", "score", "clip_score", "sharpness",
    "effective_px", "yaw_deg",
)  # fmt: skip


@dataclass(frozen=True)
class Exported:
    """What was written: clips, frames and bytes."""

    clips: int
    frames: int
    bytes: int


def export(
    dataset: Dataset,
    form: ExportFormat,
    out: Path,
    *,
    split: Split | None = None,
    selected: bool = True,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Exported:
    """Write clips in another form; nothing appears under `out` before it is complete.

    Args:
        dataset: where they are.
        form: "webdataset": a folder of tar files, one per shard, a sample per frame. "folder": a folder per clip with
            its frames, mattes, clip.json and annotations.npz. "csv": a row per frame with ids, times, the square window
            in the original and scores, which can be shared where the pictures cannot.
        out: folder or file. A folder must not exist, or be empty; a file is only replaced with `overwrite`.
        split: one split, or all.
        selected: only clips that the selection keeps.

    Raises:
        InputError: nothing to export, or a shard that cannot be read.
        OutputError: `out` exists or cannot be written.
    """
    entries = dataset.entries(split, selected=selected)
    if not entries:
        where = f"split {split}" if split else "it"
        raise InputError(f"{dataset.folder}: no clip of {where} is selected; try --all or another split")
    progress = progress or NullProgress()
    progress.stage("export", sum(entry.info.frames for entry in entries), dataset.manifest.unit)
    if form == "csv":
        with pending_output(out, overwrite=overwrite) as temporary:
            _write_csv(dataset, entries, temporary, progress)
        size = out.stat().st_size
    else:
        write = _write_tars if form == "webdataset" else _write_folders
        size = _in_new_folder(out, lambda folder: write(dataset, entries, folder, progress))
    return Exported(len(entries), sum(entry.info.frames for entry in entries), size)


def sample_key(clip_id: str, frame: int) -> str:
    """The name of a frame's sample in a tar file: WebDataset splits names at their first dot, so ids must have none."""
    safe = clip_id.replace("=", "=3D").replace(".", "=2E").replace("/", "=2F")
    return f"{safe}-{frame:06d}"


def _write_csv(dataset: Dataset, entries: list[Entry], path: Path, progress: Progress) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(CSV_FIELDS)
        for entry in entries:
            reader, info = dataset.reader(entry.shard), entry.info
            time_s, crop, head, score = (
                reader.clip_column(name, entry.place) for name in ("time_s", "crop_px", "head_px", "score")
            )
            ids = [for_csv(getattr(info, name)) for name in _CLIP_FIELDS]
            means = [_number(v, 4) for v in (info.score, info.sharpness, info.effective_px, info.yaw_deg)]
            for frame in range(info.frames):
                window = [_number(v, 2) for v in (*crop[frame], head[frame])]
                writer.writerow([*ids, frame, _number(time_s[frame], 4), *window, _number(score[frame], 4), *means])
            progress.advance(info.frames)


def _write_tars(dataset: Dataset, entries: list[Entry], folder: Path, progress: Progress) -> None:
    for shard in dict.fromkeys(entry.shard for entry in entries):
        # Fixed times, owners and order: the same dataset gives the same bytes.
        with tarfile.open(folder / f"{shard}.tar", "w", format=tarfile.PAX_FORMAT) as tar:
            for entry in entries:
                if entry.shard == shard:
                    _add_clip(tar, dataset.reader(shard), entry)
                    progress.advance(entry.info.frames)


def _add_clip(tar: tarfile.TarFile, reader: ShardReader, entry: Entry) -> None:
    about = entry.info.to_json()
    for frame in range(entry.info.frames):
        number = entry.first_frame + frame
        key, (image, matte) = sample_key(entry.info.clip_id, frame), _pictures(reader, number)
        rows = {name: reader.row(name, number) for name in FRAME_COLUMNS}
        landmarks = io.BytesIO()
        np.save(landmarks, rows.pop("landmarks"))
        values = {name: _plain(row) for name, row in rows.items()}
        text = json.dumps({**about, "frame": frame, **values}, allow_nan=False)
        _add(tar, f"{key}.{_suffix(image)}", image)
        _add(tar, f"{key}.json", text.encode("ascii"))
        _add(tar, f"{key}.landmarks.npy", landmarks.getvalue())
        _add(tar, f"{key}.matte.png", matte)


def _pictures(reader: ShardReader, number: int) -> tuple[bytes, bytes]:
    """A frame's encoded picture and matte; what is neither is not passed on: InputError."""
    image, matte = reader.image_bytes(number), reader.matte_bytes(number)
    check_image(image, f"{reader.path}: image {number}", reader.side)
    check_matte(matte, f"{reader.path}: matte {number}", reader.side)
    return image, matte


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode, member.mtime = len(data), 0o644, 0
    tar.addfile(member, io.BytesIO(data))


def _write_folders(dataset: Dataset, entries: list[Entry], folder: Path, progress: Progress) -> None:
    for entry in entries:
        target = inside(folder, f"{entry.info.split}/{entry.info.clip_id}")
        target.mkdir(parents=True, exist_ok=True)
        reader = dataset.reader(entry.shard)
        for frame in range(entry.info.frames):
            number = entry.first_frame + frame
            image, matte = _pictures(reader, number)
            (target / f"{frame:06d}.{_suffix(image)}").write_bytes(image)
            (target / f"{frame:06d}.matte.png").write_bytes(matte)
        columns = {name: reader.clip_column(name, entry.place) for name in FRAME_COLUMNS}
        np.savez(target / "annotations.npz", **columns)
        text = json.dumps(entry.info.to_json(), indent=1, allow_nan=False, ensure_ascii=False)
        (target / "clip.json").write_text(text + "\n", encoding="utf-8")
        progress.advance(entry.info.frames)


def _in_new_folder(out: Path, fill: Callable[[Path], None]) -> int:
    """Fill a folder under a temporary name and rename it; the bytes in it."""
    if os.path.lexists(out) and not (out.is_dir() and not any(out.iterdir())):
        raise OutputError(f"{out}: exists already; choose another name, or an empty folder")
    with pending_output(out, overwrite=True, directory=True) as temporary:
        try:
            fill(temporary)
        except OSError as error:
            raise OutputError(f"{out}: cannot be written: {error.strerror or error}") from error
        return sum(path.stat().st_size for path in temporary.rglob("*") if path.is_file())


def _suffix(image: bytes) -> str:
    if image.startswith(JPEG_START):
        return "jpg"
    return "webp" if image.startswith(b"RIFF") else "png"


def _number(value: Any, digits: int) -> str:
    return f"{float(value):.{digits}f}" if np.isfinite(value) else ""


def _plain(row: Any) -> Any:
    values = np.asarray(row, np.float64)
    return values.tolist() if np.isfinite(values).all() else None
