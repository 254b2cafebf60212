"""Reads ffmpeg's own description of an input (the lines that `ffmpeg -i` prints): codecs, formats,
rotation, rates.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import NamedTuple

from avatarkit.errors import UsageError
from avatarkit.media.rate import parse_rate

_INPUT = re.compile(r"^Input #0, (.+), from '")
_DURATION = re.compile(r"^ {2}Duration: (\d+):(\d+):(\d+\.\d+)")
_STREAM = re.compile(r"^ {2,4}Stream #0:(\d+)(?:\[[^\]]*\])?(?:\([^)]*\))?: ([A-Z]\w+): (.*)$")
_PIXEL_FORMAT = re.compile(r", ([a-z][a-z0-9_]+)(?:\(([^)]*)\))?(?=, \d+x\d+|, none|$)")
_ROTATION = re.compile(r"display ?matrix: rotation of (-?[\d.]+) degrees", re.IGNORECASE)
_TAG_DURATION = re.compile(r"^ +DURATION +: (\d+):(\d+):(\d+\.\d+)$")
_PEAK = re.compile(r"(?:max_luminance|MaxCLL)=([\d.]+)")
_RATE = re.compile(r", ([\d.]+k?) (fps|tbr)\b")
_CHANNELS = {"mono": 1, "stereo": 2, "2.1": 3, "3.0": 3, "quad": 4, "4.0": 4, "5.0": 5, "5.1": 6, "7.1": 8}
_END = ("Stream mapping:", "Output #0")


class Colour(NamedTuple):
    """Matrix (bt709, smpte170m, ...), range (tv, pc), primaries and transfer; empty where the file does not say."""

    matrix: str
    value_range: str
    primaries: str
    transfer: str


@dataclass
class StreamLine:
    """One stream of the input as ffmpeg describes it."""

    index: int
    kind: str
    text: str
    rotation_deg: int = 0
    tag_duration: Fraction | None = None
    peak_nits: float | None = None

    @property
    def cover(self) -> bool:
        """Whether this is a still picture attached to sound."""
        return "(attached pic)" in self.text

    @property
    def pixel_format(self) -> str:
        """Pixel format such as yuv420p, or an empty string."""
        match = _PIXEL_FORMAT.search(self.text)
        return match[1] if match else ""

    @property
    def default(self) -> bool:
        """Whether the file marks this stream as the one to play."""
        return "(default)" in self.text

    @property
    def interlaced(self) -> bool:
        """Whether its frames are said to be made of two fields."""
        return any(" first" in part for part in self._notes)

    @property
    def colour(self) -> Colour:
        """What the file says of its colours."""
        value_range, names = "", [""]
        for part in self._notes:
            if part in ("tv", "pc"):
                value_range = part
            elif part != "progressive" and " first" not in part:
                names = ["" if name == "unknown" else name for name in part.split("/")]
        # ffmpeg names the matrix alone where primaries and transfer have the same name.
        matrix, primaries, transfer = names if len(names) == 3 else names[:1] * 3
        return Colour(matrix, value_range, primaries, transfer)

    @property
    def _notes(self) -> list[str]:
        match = _PIXEL_FORMAT.search(self.text)
        return match[2].split(", ") if match and match[2] else []

    @property
    def rates(self) -> tuple[Fraction, ...]:
        """The average and the base frame rate that ffmpeg names."""
        result = {unit: text for text, unit in _RATE.findall(self.text)}
        rates = []
        for unit in ("fps", "tbr"):
            try:
                rates.append(parse_rate(result[unit]))
            except (KeyError, UsageError):
                continue
        return tuple(rates)

    @property
    def channels(self) -> int:
        """Audio channels, 0 where ffmpeg does not say."""
        match = re.search(r"\d+ Hz, ([^,]+)", self.text)
        if match is None:
            return 0
        layout = match[1].split("(")[0].strip()
        number = re.match(r"(\d+) channels", layout)
        return int(number[1]) if number else _CHANNELS.get(layout, 0)


@dataclass
class Description:
    """The container and its streams."""

    container: str = ""
    duration: Fraction | None = None
    streams: list[StreamLine] = field(default_factory=list)

    def chosen(self, kind: str) -> StreamLine | None:
        """The stream of a kind ("Video", "Audio") that players take: the first marked as default, else the first.

        Cover pictures are left out.
        """
        streams = [stream for stream in self.streams if stream.kind == kind and not stream.cover]
        return next((stream for stream in streams if stream.default), streams[0] if streams else None)


def describe(log: Sequence[str]) -> Description:
    """Parse the lines that ffmpeg printed about input 0."""
    result = Description()
    current: StreamLine | None = None
    for line in log:
        if line.startswith(_END):
            break
        if match := _INPUT.match(line):
            result.container = match[1]
        elif match := _DURATION.match(line):
            result.duration = _seconds(match)
        elif match := _STREAM.match(line):
            current = StreamLine(int(match[1]), match[2], match[3])
            result.streams.append(current)
        elif current is not None and (match := _ROTATION.search(line)):
            # ffmpeg counts counter-clockwise; we name the clockwise turn that displays the picture upright.
            current.rotation_deg = round(-float(match[1])) % 360
        elif current is not None and (match := _PEAK.search(line)):
            # The brightest pixel, where it is known, is nearer to the truth than the mastering screen.
            current.peak_nits = float(match[1]) or current.peak_nits
        elif current is not None and (match := _TAG_DURATION.match(line)):
            current.tag_duration = _seconds(match)
    return result


def _seconds(match: re.Match[str]) -> Fraction:
    return int(match[1]) * 3600 + int(match[2]) * 60 + Fraction(match[3])
