"""A processor that does what the "video" says: a small text file with one word and a number."""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from avatarkit.data.clip import ClipData, ClipInfo, Rejected
from avatarkit.data.columns import FRAME_COLUMNS
from avatarkit.data.pictures import encode_image, encode_matte
from avatarkit.errors import OutputError
from avatarkit.prepare.config import PrepareConfig
from avatarkit.prepare.fetch import run as fetch_module
from avatarkit.prepare.job import PhotoJob, VideoJob

JPEG, PNG = encode_image(np.zeros((8, 8, 3), np.uint8)), encode_matte(np.zeros((8, 8), np.uint8))


def fake_fetch(
    video: str,
    folder: Path,
    config: object,
    limiter: object,
    *,
    head_fractions: Sequence[float] = (),
    reserve: Callable[[int], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> Path:
    """Take the video from the folder FAKE_SITE; "CLASS: detail" in it is a failure, "once CLASS" one that passes."""
    site = Path(os.environ["FAKE_SITE"]) / video
    text = site.read_text()
    kind, colon, detail = text.partition(": ")
    if kind.startswith("once "):
        site.write_text("ok 1")
        kind = kind.removeprefix("once ")
    if colon:
        raise fetch_module.FetchError(kind, detail, video)  # type: ignore[arg-type]
    if reserve is not None:
        reserve(len(text))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ".fetch").mkdir(exist_ok=True)
    (folder / f"{video}.mp4").write_text(text)
    with (site.parent / "log").open("a") as log:
        log.write(f"{video} {max(head_fractions):.2f}\n")
    note = fetch_module.Note(f"{video}.mp4", len(text), "u", "A title", "An author", "CC BY", 1920, 1080, 25.0, "137")
    (folder / ".fetch" / f"{video}.json").write_text(json.dumps(asdict(note)))
    return folder / f"{video}.mp4"


if "FAKE_SITE" in os.environ:
    fetch_module.fetch = fake_fetch  # type: ignore[assignment]


def make_clip(job: VideoJob | PhotoJob, name: str, identity: str, utterance: str, split: str, frames: int) -> ClipData:
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")
    rng = np.random.default_rng(seed)
    key = job.video if isinstance(job, VideoJob) else job.photo
    info = ClipInfo(
        clip_id=name, identity=identity, video=key, utterance=utterance, split=split, source=job.source,
        licence=job.licence, author=job.author, native_rate="25", start_s=0.0, frames=frames, head_px=300.0,
        bitrate_kbps=1000.0, effective_px=200.0, sharpness=1.0, score=float(seed % 1000), yaw_deg=3.0,
        extra=dict(job.extra),
    )  # fmt: skip
    columns = {
        column: rng.standard_normal((frames, *about.shape)).astype(about.dtype)
        for column, about in FRAME_COLUMNS.items()
    }
    images = [JPEG + rng.bytes(400) for _ in range(frames)]
    mattes = [PNG + rng.bytes(50) for _ in range(frames)]
    return ClipData(info, images, mattes, columns)


class FakeProcessor:
    """Words: ok N, reject, error, partial, crash, segv, hang, flaky FILE, silent, extra, double, broken, full,
    slow S, wait FILE."""

    def __init__(self, config: PrepareConfig) -> None:
        self.names = {"tracker": os.environ.get("FAKE_TRACKER", "fake"), "scorer": "fake"}
        self.advice: tuple[str, ...] = ()

    def process(self, job: VideoJob | PhotoJob) -> Iterator[ClipData | Rejected]:
        word, _, argument = Path(job.path).read_text().strip().partition(" ")
        if word == "slow":
            time.sleep(float(argument))
        while word == "wait" and not Path(argument).exists():
            time.sleep(0.02)
        self._misbehave(word, argument)
        if isinstance(job, PhotoJob):
            yield make_clip(job, job.photo, job.identity, "", job.split, 1)
            return
        for track in job.tracks:
            if word == "silent":
                continue
            if word == "reject":
                what = "track", "no-face", f"in {job.path}"
                yield Rejected(track.clip_id, job.video, track.identity, track.split, *what)
                continue
            whole = track.boxes is None
            count = int(argument or 1) if word == "ok" and whole else 1
            for number in [0, 0] if word == "double" else range(count):
                name = f"{track.clip_id}-{number:02d}" if whole else track.clip_id
                clip = make_clip(job, name, track.identity, track.utterance, track.split, 3)
                if word == "broken":
                    clip.mattes[0] = b"no picture"
                yield clip
            if word == "partial":
                raise ValueError("lost the thread")
        if word == "extra":
            yield make_clip(job, "someone-else", "x", "", job.tracks[0].split, 3)

    def close(self) -> None:
        pass

    @staticmethod
    def _misbehave(word: str, argument: str) -> None:
        if word == "error":
            raise ValueError("cannot be")
        if word == "crash":
            os._exit(9)
        if word == "segv":
            ctypes.string_at(0)
        if word == "hang":
            time.sleep(600)
        if word == "full":
            raise OutputError("no room; free some space")
        if word == "flaky":
            # Dies the first time only.
            path = Path(argument)
            if not path.exists():
                path.touch()
                os._exit(9)


def open_fake(config: PrepareConfig) -> FakeProcessor:
    return FakeProcessor(config)
