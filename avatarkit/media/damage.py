"""Which frames of a video a decoder had to guess, because their data are damaged."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import ffmpeg

from avatarkit.media.ffmpeg import Child, command, media_input
from avatarkit.media.probe import MediaInfo, VideoStream
from avatarkit.media.rate import round_half_up

_SUSPICIOUS = re.compile(r"corrupt|error|conceal|invalid|missing|out of range|not available|failed", re.IGNORECASE)
_FRAME = re.compile(r"decoder -> (?:.* best_effort_ts|pts):(-?\d+) .*keyframe:([01]) .*time_base:(\d+/\d+)")
_DROPPED = re.compile(r"Packet corrupt \(stream = (\d+), dts = (-?\d+)\), dropping it")
_SHOWN_RANGES = 3


class _Frame(NamedTuple):
    """A decoded frame: seconds since the first one, whether it is a key frame, whether it is damaged."""

    time: Fraction
    key: bool
    damaged: bool


def suspicious(log: Iterable[str]) -> bool:
    """Whether what a decoder printed may be about damaged frames; whether it is, `damaged_frames` finds out."""
    return any(_SUSPICIOUS.search(line) for line in log)


def damaged_frames(info: MediaInfo, rate: Fraction, *, timeout_s: float = 60) -> tuple[range, ...]:
    """The frames of a video, counted at `rate`, that did not decode or only with errors, up to the next key frame.

    Those that the container lost a part of count too: they do not reach the decoder. The file is decoded once more,
    by one thread: with several, ffmpeg may pass a frame on before it has seen its errors. What comes after the last
    frame that decodes is not counted.
    """
    video = info.video
    assert video is not None
    spans = _spans(*_decoded(info, video, timeout_s), video)
    total = video.frames_at(rate)
    result: list[range] = []
    for begin, end in spans:
        first = round_half_up(begin * rate)
        stop = total if end is None else min(total, round_half_up(end * rate))
        if result and first <= result[-1].stop:
            result[-1] = range(result[-1].start, max(stop, result[-1].stop))
        elif first < stop:
            result.append(range(first, stop))
    return tuple(result)


def damage_warning(path: Path, damaged: Iterable[range], total: int) -> str:
    """The one line that names them: "a.mp4 is damaged: frames 12 to 40 of 250 may show errors"."""
    spans = [f"{span.start} to {span.stop - 1}" if len(span) > 1 else str(span.start) for span in damaged]
    more = f" and {len(spans) - _SHOWN_RANGES} more parts" if len(spans) > _SHOWN_RANGES else ""
    what = "frame" if len(spans) == 1 and spans[0].isdigit() else "frames"
    return f"{path.name} is damaged: {what} {', '.join(spans[:_SHOWN_RANGES])}{more} of {total} may show errors"


def _decoded(
    info: MediaInfo, video: VideoStream, timeout_s: float
) -> tuple[list[_Frame], list[Fraction]]:
    """The frames that were decoded, and when those that were lost on the way were to be decoded, in seconds."""
    lines: deque[str] = deque()
    frames: list[_Frame] = []
    dropped: set[int] = set()
    time_base = Fraction(1)
    source = media_input(info.path, threads=1)
    # Small frames come back, so that a decoder which hangs can be told from one that works.
    stream = ffmpeg.output(
        source[str(video.index)], "pipe:1", format="rawvideo", vf="scale=8:8", fps_mode="passthrough"
    )
    args = [*command(stream, "repeat+info", joined=source if info.joined else None), "-debug_ts"]
    flagged = False
    with Child(args, stdout=True, timeout_s=timeout_s, heard=lines.append) as child:
        more = True
        while more:
            with child.waiting():
                more = bool(child.stdout.read(1 << 12))
            if not more:
                child.wait()
            while lines:
                line = lines.popleft()
                if match := _FRAME.search(line):
                    time_base = Fraction(match[3])
                    frames.append(_Frame(int(match[1]) * time_base - video.start, match[2] == "1", flagged))
                    flagged = False
                flagged |= "corrupt decoded frame" in line
                # In a joined file these times are those before they were continued.
                if (match := _DROPPED.search(line)) and int(match[1]) == video.index and not info.joined:
                    dropped.add(int(match[2]))
    return frames, sorted(ticks * time_base - video.start for ticks in dropped)


def _spans(
    frames: list[_Frame], dropped: list[Fraction], video: VideoStream
) -> Iterator[tuple[Fraction, Fraction | None]]:
    """From each damaged or missing frame to the next sound key frame, in seconds; None for the end."""
    begin: Fraction | None = None
    expected = Fraction(0)
    waiting = deque(time for time in dropped if time >= 0)
    for time, key, flagged in sorted(frames):
        if time < 0:
            continue
        while waiting and waiting[0] <= time:
            # What depends on a packet is shown after the time at which that is decoded.
            lost = waiting.popleft()
            begin = lost if begin is None else begin
        missing = not video.variable_rate and (time - expected) * video.rate > Fraction(1, 2)
        if begin is None and (missing or flagged):
            begin = expected if missing else time
        if begin is not None and key and not flagged:
            yield begin, time
            begin = None
        expected = time + 1 / video.rate
    if begin is not None:
        yield begin, None
