"""From a job to clips and rejections; what the worker processes call."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from avatarkit.data.clip import ClipData, Rejected
from avatarkit.errors import InputError
from avatarkit.face.cuts import CutDetector
from avatarkit.media.damage import damaged_frames
from avatarkit.media.decode import FrameReader
from avatarkit.media.probe import MediaInfo, VideoStream, probe
from avatarkit.media.rate import format_rate
from avatarkit.prepare.config import GRID_RATE, PrepareConfig
from avatarkit.prepare.job import Track, VideoJob
from avatarkit.prepare.photo import process_photo
from avatarkit.prepare.piece import PieceLabel
from avatarkit.prepare.runs import BoxRun, FreeRun, Run
from avatarkit.prepare.tools import Tools

__all__ = ["process_photo", "process_video"]


def process_video(job: VideoJob, config: PrepareConfig, tools: Tools) -> Iterator[ClipData | Rejected]:
    """Decode a video once and give what becomes of each of its tracks, as each ends.

    A track with boxes gives one result. A track without gives any number of clips and rejections, one at least, with
    ids `clip_id-00`, `clip_id-01`, ...; the same video always gives the same bytes. A video that cannot be read gives
    a rejection for each track. Memory holds the encoded frames of the clips in work and half a second of pixels each.

    Raises:
        DependencyError: ffmpeg is missing.
    """
    opened = _open(job.path)
    if isinstance(opened, tuple):
        reason, detail = opened
        yield from (_label(job, track, "0", 0.0, ()).rejected("track", reason, detail) for track in job.tracks)
        return
    info, video = opened, opened.video
    assert video is not None
    rate, bitrate = format_rate(video.rate), _bitrate_kbps(job.path, video)
    runs: list[Run] = []
    for track in job.tracks:
        kind = FreeRun if track.boxes is None else BoxRun
        runs.append(kind(track, _label(job, track, rate, bitrate, info.notes), config, tools))
    yield from _read(job.path, info, runs)


def _read(path: Path, info: MediaInfo, runs: Sequence[Run]) -> Iterator[ClipData | Rejected]:
    """Feed every frame to the runs that want it, until none does or the video ends."""
    cuts, end = CutDetector(), _End()
    waiting = list(runs)
    damage = _Damage()
    with FrameReader(path, rate=GRID_RATE, info=info) as reader:
        for number, frame in enumerate(_frames(reader, info, end)):
            change = cuts.look(frame)
            damage.look(reader, info)
            for run in waiting:
                yield from map(damage.judged, run.step(number, frame, change))
            waiting = [run for run in waiting if not run.done]
            if not waiting:
                return
    for run in waiting:
        yield from map(damage.judged, run.finish(end.problem, end.reason))


@dataclass
class _End:
    """How a video ended: the problem in one line, "" without one, and the reason that a loss of frames then has."""

    problem: str = ""
    reason: str = "truncated"


class _Damage:
    """Refuses clips with frames that the decoder had to guess."""

    def __init__(self) -> None:
        self._known = False
        self._frames: frozenset[int] = frozenset()

    def look(self, reader: FrameReader, info: MediaInfo) -> None:
        """Find out which frames are damaged once the decoder complains; those before were sound."""
        if not self._known and reader.doubtful and info.video is not None:
            self._known = True
            spans = damaged_frames(info, GRID_RATE)
            self._frames = frozenset(number for span in spans for number in span)

    def judged(self, result: ClipData | Rejected) -> ClipData | Rejected:
        """The clip, or its refusal."""
        if not self._frames or isinstance(result, Rejected):
            return result
        numbers = np.rint(result.columns["time_s"] * float(GRID_RATE)).astype(int).tolist()
        damaged = len(self._frames.intersection(numbers))
        if not damaged:
            return result
        clip, detail = result.info, f"{damaged} of {len(numbers)} frames did not decode without errors"
        return Rejected(
            clip_id=clip.clip_id, video=clip.video, identity=clip.identity, split=clip.split,
            stage="track", reason="damaged-frames", detail=detail,
        )  # fmt: skip


def _frames(reader: FrameReader, info: MediaInfo, end: _End) -> Iterator[NDArray[np.uint8]]:
    """The readable frames; a video that breaks off ends here, with `end` filled in, and is no error."""
    try:
        # Only decoding is guarded here: the caller's own errors do not pass through this generator.
        yield from reader
    except InputError as error:
        end.problem, end.reason = str(error), "decode-error"
        return
    end.problem = reader.warning or info.warning or ""


def _open(path: Path) -> MediaInfo | tuple[str, str]:
    """What the file holds, or the reason and detail why it is no video."""
    try:
        info = probe(path)
    except InputError as error:
        text = str(error)
        return ("truncated" if "cut off" in text else "not-a-video"), text
    if info.kind == "audio":
        return "audio-only", f"{path}: holds only sound and no video"
    if info.video is None or info.kind != "video":
        return "not-a-video", f"{path}: is a still picture"
    return info


def _bitrate_kbps(path: Path, video: VideoStream) -> float:
    """Kilobits a second of the file as a whole; its sound is a small part."""
    return path.stat().st_size * 8 / 1000 / max(float(video.duration), 1e-3)


def _label(job: VideoJob, track: Track, rate: str, bitrate_kbps: float, notes: Sequence[str]) -> PieceLabel:
    return PieceLabel(
        clip_id=track.clip_id,
        identity=track.identity,
        video=job.video,
        utterance=track.utterance,
        split=track.split,
        source=job.source,
        licence=job.licence,
        author=job.author,
        native_rate=rate,
        bitrate_kbps=bitrate_kbps,
        extra={**job.extra, **({"converted": "; ".join(notes)} if notes else {})},
    )
