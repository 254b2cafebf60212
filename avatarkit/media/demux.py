"""Exact packet times of a file, read from a demux-only ffmpeg pass line by line in constant memory."""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import ffmpeg

from avatarkit.errors import InputError
from avatarkit.media.describe import StreamLine, describe
from avatarkit.media.ffmpeg import Child, command, media_input
from avatarkit.media.rate import RateEstimator

# H.264 and HEVC reorder at most 16 frames; twice that and some for field pairs.
_REORDER_DEPTH = 64
_MAX_GAP_S = 600
# What ffmpeg itself takes for a new beginning: a step back of 0.1 s, or one of 10 s ahead.
_STEP_BACK_S, _STEP_AHEAD_S = Fraction(1, 10), 10
_STEP = re.compile(r"0:(\d+)\b.*; previous: (-?\d+), current: (-?\d+); changing to")
_CONTINUED_FORMATS = ("mpegts", "mpeg")
"""Formats whose times ffmpeg can continue where they start again."""
_NO_TIME = -(2**63)
_DISCARD_FLAG = 0x4
_HEADER = re.compile(r"#(\w+) (\d+): +(\S.*)")


@dataclass
class Track:
    """Times of one stream in ticks of `time_base` seconds; packets that edit lists hide are not counted.

    `index` is the stream's in the file; an `other` stream than the one to play has no times.
    """

    kind: str = ""
    index: int = -1
    other: bool = False
    codec: str = ""
    time_base: Fraction = Fraction(1)
    coded_size: tuple[int, int] = (0, 0)
    pixel_aspect: Fraction = Fraction(1)
    sample_rate_hz: int = 0
    packets: int = 0
    hidden: int = 0
    first: int | None = None
    last: int = 0
    last_duration: int = 0
    longest: int = 0
    timed: bool = True
    estimator: RateEstimator | None = None
    longest_gap: int = 0
    _heap: list[int] = field(default_factory=list)
    _sorted_up_to: int | None = None

    def add(self, pts: int, duration: int) -> None:
        """Count a packet shown at `pts`."""
        self.packets += 1
        self.longest = max(self.longest, duration)
        self.first = pts if self.first is None else min(self.first, pts)
        if pts >= self.last or self.packets == 1:
            self.last, self.last_duration = pts, duration
        if self.estimator is not None:
            heapq.heappush(self._heap, pts)
            if len(self._heap) > _REORDER_DEPTH:
                self._hand_on()

    def _hand_on(self) -> None:
        assert self.estimator is not None
        pts = heapq.heappop(self._heap)
        previous = self._sorted_up_to
        if previous is not None:
            pts = max(pts, previous)
            self.longest_gap = max(self.longest_gap, pts - previous)
        self._sorted_up_to = pts
        self.estimator.add(pts)

    def finish(self) -> None:
        """Hand the remaining times to the estimator."""
        while self.estimator is not None and self._heap:
            self._hand_on()

    @property
    def start(self) -> Fraction:
        """Presentation time of the first packet, in seconds."""
        return (self.first or 0) * self.time_base

    @property
    def end(self) -> Fraction:
        """End of the packet shown last, in seconds."""
        return (self.last + self.last_duration) * self.time_base


@dataclass
class Demuxed:
    """What a demux-only pass saw: the tracks to play, ffmpeg's description of the file, and its complaints.

    With `restarts` times start again within the file; with `joined` they have been continued.
    """

    video: Track | None
    audio: Track | None
    log: list[str]
    exit_code: int
    restarts: bool = False
    joined: bool = False

    @property
    def longest_gap_s(self) -> Fraction:
        """Seconds from a picture to the next, at most."""
        return self.video.longest_gap * self.video.time_base if self.video else Fraction(0)


def demux(path: Path, *, timeout_s: float) -> Demuxed:
    """Read all packets of the video and the audio stream that players take (`Description.chosen`).

    Raises InputError if ffmpeg gives no sign of life for `timeout_s` seconds, or timestamps jump or start again
    where they cannot be continued.
    """
    result = _demux(path, timeout_s, joined=False)
    stepping = result.restarts or result.longest_gap_s > _STEP_AHEAD_S
    if stepping and describe(result.log).container in _CONTINUED_FORMATS:
        result = _demux(path, timeout_s, joined=True)
    elif result.restarts and (result.video is None or result.video.timed):  # without times, order is all there is
        raise InputError(f"{path}: timestamps start again midway; give its parts one by one, or join them anew")
    if result.longest_gap_s > _MAX_GAP_S:
        gap = f"timestamps jump by {float(result.longest_gap_s):.0f} s"
        raise InputError(f"{path}: {gap}; repair the file by re-encoding it")
    return result


def _demux(path: Path, timeout_s: float, *, joined: bool) -> Demuxed:
    source = media_input(path)
    stream = ffmpeg.output(source["V?"], source["a?"], "pipe:1", format="framecrc", c="copy")
    tracks: dict[int, Track] = {}
    steps_back: dict[int, int] = {}

    def listen(line: str) -> None:
        if match := _STEP.search(line):
            track, previous, current = map(int, match.groups())
            steps_back[track] = max(steps_back.get(track, 0), previous - current)

    args = command(stream, "info", joined=source if joined else None)
    with Child(args, stdout=True, timeout_s=timeout_s, heard=listen) as child:
        _read_lines(child, tracks)
        code = child.wait()
        _check_end(child, path)
        for number, track in tracks.items():
            if track.index < 0:  # a stream without packets
                _identify(track, number, child)
        log = child.log
    for track in tracks.values():
        track.finish()
    chosen = {track.kind: track for track in tracks.values() if not track.other}
    restarts = any(ticks * tracks[track].time_base > _STEP_BACK_S for track, ticks in steps_back.items())
    return Demuxed(chosen.get("video"), chosen.get("audio"), log, code, restarts, joined)


def _check_end(child: Child, path: Path) -> None:
    """Raise InputError where ffmpeg did not end by itself: what it said by then is not all."""
    if child.timed_out:
        raise InputError(f"{path}: gave no data for {child.timeout_s:g} s")
    if child.crashed:
        raise InputError(f"{path}: cannot be read: {child.crashed}")


def packet_times(path: Path, stream: str, *, timeout_s: float) -> Iterator[Fraction]:
    """Presentation times in seconds of all packets of one stream ("a:0"), in stored order, as `-c copy` sees them.

    A packet without a time has that of the one before. Raises InputError if ffmpeg gives no data for `timeout_s`.
    """
    output = ffmpeg.output(media_input(path)[stream], "pipe:1", format="framecrc", c="copy")
    tracks: dict[int, Track] = {}
    time = Fraction(0)
    with Child(command(output), stdout=True, timeout_s=timeout_s) as child:
        for text in _lines(child):
            if text.startswith("#"):
                _read_header(text, tracks)
            elif len(fields := text.split(",")) >= 6:
                ticks = int(fields[2])
                time = time if ticks == _NO_TIME else ticks * tracks[0].time_base
                yield time
        child.wait()
        _check_end(child, path)


def _read_lines(child: Child, tracks: dict[int, Track]) -> None:
    for text in _lines(child):
        if text.startswith("#"):
            _read_header(text, tracks)
        else:
            _read_packet(text, tracks, child)


def _lines(child: Child) -> Iterator[str]:
    with open(child.stdout.fileno(), "rb", closefd=False, buffering=1 << 16) as lines:
        while True:
            with child.waiting():
                line = lines.readline()
            if not line:
                return
            yield line.decode("ascii", "replace").rstrip()


def _chosen(log: list[str]) -> dict[int, StreamLine]:
    """The streams of the input to play, by their index."""
    about = describe(log)
    return {line.index: line for line in (about.chosen("Video"), about.chosen("Audio")) if line}


def _identify(track: Track, output: int, child: Child) -> None:
    """Find out which stream of the input a track is; ffmpeg says so before the first packet."""
    mapped = re.compile(rf"^ +Stream #0:(\d+) -> #0:{output} \(")
    child.wait_for_line(mapped)
    match = next((result for line in child.log if (result := mapped.match(line))), None)
    track.index = int(match[1]) if match else output
    line = _chosen(child.log).get(track.index)
    track.other = line is None
    if track.kind == "video" and line is not None:
        track.estimator = RateEstimator(track.time_base, line.rates)


def _read_header(text: str, tracks: dict[int, Track]) -> None:
    match = _HEADER.match(text)
    if match is None:
        return
    key, value = match[1], match[3]
    track = tracks.setdefault(int(match[2]), Track())
    if key == "tb":
        track.time_base = Fraction(value)
    elif key == "media_type":
        track.kind = value
    elif key == "codec_id":
        track.codec = value
    elif key == "sample_rate":
        track.sample_rate_hz = int(value)
    elif key == "dimensions":
        width, height = value.split("x")
        track.coded_size = (int(width), int(height))
    elif key == "sar":
        num, den = (int(part) for part in value.split("/"))
        track.pixel_aspect = Fraction(num, den) if num > 0 and den > 0 else Fraction(1)


def _read_packet(text: str, tracks: dict[int, Track], child: Child) -> None:
    fields = text.split(",")
    if len(fields) < 6:
        return
    track = tracks[int(fields[0])]
    if track.index < 0:
        _identify(track, int(fields[0]), child)
    if track.other:
        return
    flags = next((int(f.strip()[2:], 16) for f in fields[6:7] if f.strip().startswith("F=")), 0)
    if flags & _DISCARD_FLAG:
        track.hidden += 1
        return
    dts, pts, duration = (int(f) for f in fields[1:4])
    if pts == _NO_TIME:
        # Old AVI files store no presentation times for B-frames; decoding order times have the same spacing.
        track.timed = False
        pts = dts if dts != _NO_TIME else track.last + max(1, track.last_duration)
    track.add(pts, max(0, duration))
