"""What making a dataset costs, and whether the built-in sharpness score keeps the order of degraded copies."""

from __future__ import annotations

import multiprocessing
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import child
import cv2
import ffmpeg
import numpy as np
from media_set import BenchmarkError, described
from tables import Bar, Row, Verdict

from avatarkit.data.clip import ClipData
from avatarkit.data.writer import ShardWriter
from avatarkit.media.ffmpeg import command, media_input
from avatarkit.media.image import is_image, read_image
from avatarkit.media.probe import probe
from avatarkit.prepare.config import PrepareConfig
from avatarkit.prepare.job import Track, VideoJob
from avatarkit.prepare.process import process_video
from avatarkit.prepare.tools import open_tools
from avatarkit.quality.sharpness import SharpnessScore

PREPARE_COLUMNS = ("part", "frames_per_s", "cpu_ms_per_frame", "note")
SHARPNESS_COLUMNS = ("degradation", "kept", "pairs", "kept_from_the_original", "strengths")
WORKERS = 2
STORED_PX = 512
_PHOTO_PX = 1024
_START_S = 300

Picture = np.ndarray[Any, np.dtype[np.uint8]]


def prepare_rows(driver: Path, work: Path, repeats: int) -> list[Row]:
    """Frames a second of two workers that each track, crop, annotate, score and write; and of bare decoding."""
    runs = [_both(driver, work, repeat) for repeat in range(repeats)]
    frames, wall_s, cpu_s = (statistics.median(values) for values in zip(*runs, strict=True))
    video = probe(driver, require_video=True).video
    assert video is not None
    decode = command(ffmpeg.output(media_input(driver)["V:0"], "-", format="null", pix_fmt="rgb24"))
    decoded_s = []
    for _ in range(repeats):
        done = child.run(decode)
        if done.code:
            raise BenchmarkError(f"ffmpeg failed: {done.message}")
        decoded_s.append(done.wall_s)
    bare = video.frames / statistics.median(decoded_s)
    rate = frames / wall_s
    note = f"{described(driver)}; stored at {STORED_PX} px, 25 a second"
    return [
        {"part": "track, crop, annotate, score, write", "frames_per_s": rate,
         "cpu_ms_per_frame": 1000 * cpu_s / frames, "note": f"{WORKERS} workers; CPU without ffmpeg's; {note}"},
        {"part": "ffmpeg alone, decode", "frames_per_s": bare, "note": "the same file to RGB, all cores"},
        {"part": "share of bare decoding", "frames_per_s": rate / bare, "note": "of the two figures above"},
    ]  # fmt: skip


def prepare_verdicts(rows: Sequence[Row]) -> list[Verdict]:
    """The rate of both workers together beside its bar."""
    figure = rows[0]["frames_per_s"]
    assert isinstance(figure, float)
    return [Verdict(Bar("frames a second, two workers", ">=", 60), figure, "aim: 100")]


def _both(driver: Path, work: Path, repeat: int) -> tuple[float, float, float]:
    """Frames, wall and processor seconds of one run of all workers, from when all their tools are open."""
    context = multiprocessing.get_context("spawn")
    start, results = context.Barrier(WORKERS), context.SimpleQueue()
    shards = [work / f"prepare-{repeat}-{number}.h5" for number in range(WORKERS)]
    workers = [context.Process(target=_work, args=(driver, shard, start, results)) for shard in shards]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if any(worker.exitcode for worker in workers):
        raise BenchmarkError("a worker failed; its message is above")
    result = [results.get() for _ in workers]
    for shard in shards:
        shard.unlink()
    frames, began, ended, cpu = zip(*result, strict=True)
    return sum(frames), max(ended) - min(began), sum(cpu)


def _work(driver: Path, shard: Path, start: Any, results: Any) -> None:
    """One worker: open the tools, wait for the others, make all clips of the driver."""
    cv2.setNumThreads(1)
    config = PrepareConfig(size=STORED_PX, min_head_px=0.0, min_effective_px=0.0)
    tools = open_tools(config)
    job = VideoJob("v", driver, driver.name, "", "", (Track("v", "v", "", "train"),))
    start.wait(_START_S)
    began, cpu = time.time(), time.process_time()
    frames = 0
    with ShardWriter(shard, {"kind": "videos", "size": str(STORED_PX)}) as writer:
        for clip in process_video(job, config, tools):
            if isinstance(clip, ClipData):
                writer.append(clip)
                frames += clip.info.frames
    results.put((frames, began, time.time(), time.process_time() - cpu))
    tools.close()


def blur(picture: Picture, sigma: float) -> Picture:
    """Gaussian blur of that many pixels."""
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma), np.uint8)


def jpeg(picture: Picture, quality: float) -> Picture:
    """JPEG of that quality, 4:2:0."""
    data = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, int(quality)])[1]
    return np.ascontiguousarray(cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1], np.uint8)


def down_up(picture: Picture, factor: float) -> Picture:
    """Reduced by that factor (area) and enlarged again (bicubic)."""
    small = cv2.resize(picture, None, fx=1 / factor, fy=1 / factor, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, picture.shape[1::-1], interpolation=cv2.INTER_CUBIC), np.uint8)


def noise(picture: Picture, sigma: float) -> Picture:
    """Gaussian noise of that many grey levels in each channel."""
    added = np.random.default_rng(round(sigma)).normal(0, sigma, picture.shape)
    return np.clip(np.rint(picture + added), 0, 255).astype(np.uint8)


DEGRADATIONS: dict[str, tuple[Callable[[Picture, float], Picture], tuple[float, ...]]] = {
    "blur, sigma in px": (blur, (0.7, 1.2, 2.0, 3.2, 5.0)),
    "JPEG quality": (jpeg, (75, 50, 30, 18, 10)),
    "down-up scaling": (down_up, (1.5, 2, 3, 4, 6)),
    "noise, sigma in levels": (noise, (3, 6, 11, 18, 28)),
}


def sharpness_rows(folder: Path, every: int) -> list[Row]:
    """For each degradation the share of adjacent strengths whose scores fall, over the folder's photos."""
    paths = [path for path in sorted(folder.iterdir()) if is_image(path)][::every]
    if not paths:
        raise BenchmarkError(f"{folder}: no pictures")
    fallen: dict[str, list[list[bool]]] = {name: [] for name in DEGRADATIONS}
    for path in paths:
        photo = _at_most(read_image(path), _PHOTO_PX)
        for name, (degrade, strengths) in DEGRADATIONS.items():
            copies = [photo, *(degrade(photo, strength) for strength in strengths)]
            scores = SharpnessScore().score(np.stack(copies))
            fallen[name].append((np.diff(scores) < 0).tolist())
    rows: list[Row] = []
    for name, (_, strengths) in DEGRADATIONS.items():
        table = np.array(fallen[name])
        rows.append(
            {
                "degradation": name,
                "kept": float(table[:, 1:].mean()),
                "pairs": int(table[:, 1:].size),
                "kept_from_the_original": float(table[:, 0].mean()),
                "strengths": ", ".join(f"{strength:g}" for strength in strengths),
            }
        )
    return rows


def sharpness_verdicts(rows: Sequence[Row]) -> list[Verdict]:
    """Each degradation's share beside its bar."""
    verdicts = []
    for row in rows:
        kept = row["kept"]
        assert isinstance(kept, float)
        verdicts.append(Verdict(Bar(f"order kept, {row['degradation']}", ">=", 0.95), kept))
    return verdicts


def _at_most(photo: Picture, longest: int) -> Picture:
    scale = longest / max(photo.shape[:2])
    if scale >= 1.0:
        return photo
    return np.asarray(cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
