"""How fast training reads: random pairs from shards, against seeking in the videos that they came from."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from media_set import SUFFIXES, BenchmarkError
from numpy.typing import NDArray
from tables import Bar, Row, Verdict

from avatarkit.data.clip import ClipData, ClipInfo
from avatarkit.data.columns import FRAME_COLUMNS
from avatarkit.data.manifest import NAME, write_manifest
from avatarkit.data.order import sample_generator, two_frames
from avatarkit.data.pairs import MIN_GAP_FRAMES, PairDataset
from avatarkit.data.pictures import encode_image, encode_matte, resize
from avatarkit.data.samples import SampleSpec
from avatarkit.data.shard import FOLDER, seal_shard, shard_name
from avatarkit.data.writer import ShardWriter
from avatarkit.media.decode import FrameReader

SIZE = 256
MAX_FRAMES = 100
SECONDS = 5.0
SLOPE, GRAIN = 30.0, 0.002
"""Of the drawn mattes' edges, so that they take about 5 kB like those of real portraits at 256 px."""
COLUMNS = ("what", "pairs_per_s", "cpu_ms_per_pair", "pairs", "note")
PAIRS_BAR = Bar("pairs_per_s", ">=", 300)
RATIO_BAR = Bar("times as many as seeking", ">=", 30)


def loader_rows(clips: list[Path], dataset: Path | None, work: Path) -> list[Row]:
    """Pairs a second of one process, from shards and from videos; a pair is source and driver at 256 px.

    Args:
        clips: videos to seek in.
        dataset: shards; None makes some of the videos, with drawn mattes and annotations.
        work: where those are made.
    """
    folder = dataset or make_dataset(clips, work / "loader-shards")
    full = PairDataset(folder, "train", 0, SIZE)
    stored = f"{len(full)} clips, stored at {full.dataset.manifest.size} px"
    rows = []
    for what, options in (
        ("shards: pair", {"sample": SampleSpec(other=False)}),
        ("shards: pair without mattes", {"sample": SampleSpec(other=False), "with_matte": False}),
        ("shards: pair and another person's", {}),
    ):
        pairs = PairDataset(full.dataset, "train", 0, SIZE, **options)
        rows.append({"what": what, **timed(pairs.__getitem__), "note": stored})
    for name, seek in (("OpenCV", OpenCVSeek(clips)), ("decord", decord_seek(clips))):
        if seek is not None:
            rows.append({"what": f"videos: pair by {name}", **timed(seek), "note": "files kept open"})
    return rows


def loader_verdicts(rows: list[Row]) -> list[Verdict]:
    """Pairs with mattes against the bar, and against the faster way of seeking."""
    rate = float(str(rows[0]["pairs_per_s"]))
    seeks = [float(str(row["pairs_per_s"])) for row in rows if str(row["what"]).startswith("videos")]
    return [
        Verdict(PAIRS_BAR, rate, "one process, with mattes"),
        Verdict(RATIO_BAR, rate / max(seeks) if seeks else None, "the faster way of seeking"),
    ]


def timed(read: Callable[[int], object]) -> dict[str, float | int]:
    """Rate of a function of the position over some seconds, after a few positions to warm up."""
    for position in range(20):
        read(position)
    start_s, cpu_s, pairs = time.perf_counter(), time.process_time(), 0
    while (wall_s := time.perf_counter() - start_s) < SECONDS:
        read(20 + pairs)
        pairs += 1
    cpu_ms = 1000 * (time.process_time() - cpu_s) / pairs
    return {"pairs_per_s": pairs / wall_s, "cpu_ms_per_pair": cpu_ms, "pairs": pairs}


class OpenCVSeek:
    """Pairs of frames of random videos by OpenCV's seeking, at the size of the pairs from shards."""

    def __init__(self, clips: list[Path]) -> None:
        self._videos = [cv2.VideoCapture(str(path)) for path in clips]
        self._frames = [int(video.get(cv2.CAP_PROP_FRAME_COUNT)) for video in self._videos]

    def __call__(self, position: int) -> list[NDArray[np.uint8]]:
        """The pair of a position."""
        place, indices = random_pair(self._frames, position)
        return [shrunk(cv2.cvtColor(self._frame(place, index), cv2.COLOR_BGR2RGB)) for index in indices]

    def _frame(self, place: int, index: int) -> NDArray[np.uint8]:
        self._videos[place].set(cv2.CAP_PROP_POS_FRAMES, index)
        result, frame = self._videos[place].read()
        if not result:
            raise BenchmarkError(f"video {place}: OpenCV finds no frame {index}")
        return np.asarray(frame, np.uint8)


def decord_seek(clips: list[Path]) -> Callable[[int], object] | None:
    """The same by decord; None where it is not installed."""
    try:
        import decord
    except ImportError:
        return None
    videos = [decord.VideoReader(str(path)) for path in clips]
    frames = [len(video) for video in videos]

    def read(position: int) -> object:
        place, indices = random_pair(frames, position)
        return [shrunk(frame) for frame in videos[place].get_batch(list(indices)).asnumpy()]

    return read


def random_pair(frames: list[int], position: int) -> tuple[int, tuple[int, int]]:
    """A random video and two of its frames, chosen like those from shards."""
    generator = sample_generator(0, position)
    place = int(generator.integers(len(frames)))
    return place, two_frames(generator, frames[place], MIN_GAP_FRAMES)


def shrunk(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The square in the middle at 256 px."""
    side = min(frame.shape[:2])
    top, left = (frame.shape[0] - side) // 2, (frame.shape[1] - side) // 2
    return resize(np.ascontiguousarray(frame[top : top + side, left : left + side]), SIZE)


def videos_in(folder: Path) -> list[Path]:
    """The videos of a folder."""
    result = sorted(path for path in folder.glob("*") if path.suffix.lower() in SUFFIXES)
    if len(result) < 2:
        raise BenchmarkError(f"{folder}: holds fewer than two videos")
    return result


def make_dataset(clips: list[Path], folder: Path) -> Path:
    """Shards of the videos' middles, each of its own person; mattes and annotations are drawn."""
    if (folder / NAME).exists():
        return folder
    (folder / FOLDER).mkdir(parents=True, exist_ok=True)
    stats = []
    for number in range(0, len(clips), 8):
        temporary = folder / FOLDER / ".new"
        with ShardWriter(temporary, {"kind": "videos", "size": str(SIZE)}) as writer:
            for path in clips[number : number + 8]:
                writer.append(drawn_annotations(path))
        stats.append(seal_shard(folder, shard_name("train", number // 8), temporary, writer.clips))
    write_manifest(folder, stats, kind="videos", size=SIZE, plan_hash="", config_hash="", config={}, tools={})
    return folder


def drawn_annotations(path: Path) -> ClipData:
    """A clip of a video's first frames; the matte is an ellipse with a grained, soft edge, as large as a real one."""
    images: list[bytes] = []
    for frame in FrameReader(path, rate=Fraction(25)):
        images.append(encode_image(shrunk(frame)))
        if len(images) == MAX_FRAMES:
            break
    generator = np.random.default_rng(0)
    y, x = (np.mgrid[:SIZE, :SIZE] / SIZE - 0.5) * 2
    edge = 0.7 - np.hypot(x, 0.8 * y) + GRAIN * generator.standard_normal((SIZE, SIZE))
    mattes = [encode_matte(np.clip(255 * (SLOPE * edge + 0.5), 0, 255).astype(np.uint8))] * len(images)
    columns = {
        name: generator.random((len(images), *column.shape)).astype(column.dtype)
        for name, column in FRAME_COLUMNS.items()
    }
    return ClipData(
        dataclasses.replace(_INFO, clip_id=path.stem, identity=path.stem, frames=len(images)), images, mattes, columns
    )


_INFO = ClipInfo(
    clip_id="", identity="", video="drawn", utterance="", split="train", source="", licence="", author="",
    native_rate="25/1", start_s=0.0, frames=0, head_px=0.0, bitrate_kbps=0.0, effective_px=0.0, sharpness=0.0,
    score=0.0, yaw_deg=0.0,
)  # fmt: skip
