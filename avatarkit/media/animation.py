"""Animated GIF, WebP, PNG and AVIF through Pillow: frame times and frames.

ffmpeg builds differ in what they can read of these; Pillow reads all, and treats transparency and frame
delays as browsers do.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from avatarkit.errors import InputError
from avatarkit.media.image import ImageArray, decode_image, frame_count, open_image, over_white
from avatarkit.media.rate import RateEstimate, RateEstimator, round_half_up

MOST_FRAME_PIXELS = 20_000_000
MOST_PIXELS = 4_000_000_000
MOST_FRAMES = 50_000
"""Half an hour at 25 a second; more take minutes to look at, however small they are."""
MOST_SECONDS = 20
"""Of the first look at all frames. A small file can declare frames without end."""
_DEFAULT_DELAY_MS = 100
_SHORTEST_DELAY_MS = 10
_BROKEN = (OSError, ValueError, SyntaxError, EOFError)


@dataclass(frozen=True)
class AnimationTimes:
    """Start of each frame in milliseconds, total duration in seconds, and the rate that fits them."""

    starts_ms: tuple[int, ...]
    duration: Fraction
    estimate: RateEstimate


def animation_times(path: Path) -> AnimationTimes:
    """Read the delays of all frames that can be read. Raises InputError if there is none."""
    starts: list[int] = []
    now = 0
    until = time.monotonic() + MOST_SECONDS
    with open_image(path) as image:
        frames = frame_count(image, path)
        area = image.width * image.height
        if area > MOST_FRAME_PIXELS or area * frames > MOST_PIXELS or frames > MOST_FRAMES:
            raise InputError(
                f"{path}: is an animation of {frames} frames of {image.width} x {image.height}; at most {MOST_FRAMES}"
                f" frames, {MOST_FRAME_PIXELS // 10**6} megapixels each and {MOST_PIXELS // 10**6} in all are read:"
                " convert it to a video"
            )
        for index in range(frames):
            if time.monotonic() > until:
                raise InputError(
                    f"{path}: reading its {frames} frames takes more than {MOST_SECONDS} s; convert it to a video"
                )
            try:
                image.seek(index)
                image.load()
            except _BROKEN:
                break  # cut off here: what came before is used
            starts.append(now)
            delay = int(image.info.get("duration") or 0)
            now += delay if delay > _SHORTEST_DELAY_MS else _DEFAULT_DELAY_MS
    if not starts:
        raise InputError(f"{path}: is damaged: no frame of the animation can be read")
    estimator = RateEstimator(Fraction(1, 1000))
    for start in (*starts, now):
        estimator.add(start)
    estimate = estimator.result() or RateEstimate(Fraction(1000, now), False)
    return AnimationTimes(tuple(starts), Fraction(now, 1000), estimate)


def animation_frames(path: Path, rate: Fraction, count: int) -> Iterator[ImageArray]:
    """Yield `count` RGB frames of the animation laid onto a constant rate, transparent parts over white."""
    starts = animation_times(path).starts_ms
    slots = [round_half_up(Fraction(start, 1000) * rate) for start in starts]
    with open_image(path) as image:
        shown, frame = -1, None
        for index in range(count):
            wanted = shown
            while wanted + 1 < len(slots) and slots[wanted + 1] <= index:
                wanted += 1
            if wanted != shown or frame is None:
                image.seek(wanted)
                rgb, alpha = decode_image(image)
                frame = rgb if alpha is None else over_white(rgb, alpha)
                shown = wanted
            yield frame.copy()
