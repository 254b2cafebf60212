"""Whether an output is as long as its driver, and its sound where the driver's is."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import child
import numpy as np
from media_set import BenchmarkError, label
from numpy.typing import NDArray
from tables import Bar, Row, Value, Verdict, numbers

from avatarkit.media.probe import MediaInfo, probe
from avatarkit.media.rate import format_rate
from avatarkit.media.sound import SAMPLE_RATE_HZ, read_sound

MAX_LAG_S = 1.0
COLUMNS = (
    "driver",
    "rate",
    "frames_driver",
    "frames_out",
    "length_ms",
    "sound",
    "sound_start_ms",
    "sound_end_ms",
    "sound_past_video_ms",
    "lag_ms",
    "likeness",
    "note",
)


def sync_rows(drivers: list[Path], portrait: Path, work: Path, size: int, reuse: bool) -> list[Row]:
    """One row for each driver; times are output minus driver, counted from each one's first picture."""
    rows: list[Row] = []
    for driver in drivers:
        output = work / f"{label(driver)}-sync.mp4"
        row: dict[str, Value] = {"driver": label(driver), "outcome": "measured", "note": ""}
        if not (reuse and output.exists()):
            done = child.reenact(portrait, driver, output, "--size", str(size))
            if done.code:
                outcome = "refused" if done.code == 3 else "failed"
                rows.append(row | {"outcome": outcome, "note": done.message})
                continue
        rows.append(row | compare(driver, output))
    return rows


def compare(driver: Path, output: Path) -> dict[str, Value]:
    """Lengths and sound of an output against its driver's, in milliseconds."""
    before, after = probe(driver, require_video=True), probe(output, require_video=True)
    assert before.video is not None
    assert after.video is not None
    row: dict[str, Value] = {
        "rate": format_rate(after.video.rate) + (" from variable" if before.video.variable_rate else ""),
        "frames_driver": before.video.frames,
        "frames_out": after.video.frames,
        "length_ms": _ms(after.video.duration - before.video.duration),
        "frame_ms": _ms(1 / after.video.rate),
    }
    if before.audio is None or after.audio is None:
        kept = (before.audio is None) == (after.audio is None)
        return row | {"sound": "none" if kept else "LOST", "sound_lost": not kept}
    lag_s, likeness = sound_lag(_sound(before), _sound(after))
    starts = [_sound_start(info) for info in (before, after)]
    ends = [_sound_start(info) + info.audio.duration for info in (before, after) if info.audio is not None]
    # Sound that the driver holds before its first picture or after its last is cut on purpose.
    due_start, due_end = max(starts[0], Fraction(0)), min(ends[0], before.video.duration)
    return row | {
        "sound": f"{before.audio.codec} to {after.audio.codec}",
        "sound_start_ms": _ms(starts[1] - due_start),
        "sound_end_ms": _ms(ends[1] - due_end),
        "sound_past_video_ms": _ms(ends[1] - after.video.duration),
        "lag_ms": lag_s * 1000 if likeness else None,
        "likeness": likeness,
    }


def sound_lag(
    before: NDArray[np.float32], after: NDArray[np.float32], rate_hz: int = SAMPLE_RATE_HZ
) -> tuple[float, float]:
    """How much later `after` sounds than `before`, in seconds, and how alike the two then are, 0 to 1.

    The arguments are samples on one clock; the lag is where their cross-correlation is highest, looked for
    within one second either way. Silence is like nothing: 0, 0.
    """
    count = min(len(before), len(after))
    if count == 0 or not before.any() or not after.any():
        return 0.0, 0.0
    a, b = before[:count] - before[:count].mean(), after[:count] - after[:count].mean()
    length = 1 << int(2 * count - 1).bit_length()
    product = np.fft.irfft(np.fft.rfft(b, length) * np.conj(np.fft.rfft(a, length)), length)
    reach = min(count - 1, int(MAX_LAG_S * rate_hz))
    around = np.concatenate([product[-reach:], product[: reach + 1]]) if reach else product[:1]
    best = int(np.argmax(around))
    norm = float(np.linalg.norm(a) * np.linalg.norm(b))
    return (best - reach) / rate_hz, float(around[best]) / max(norm, 1e-12)


def sync_verdicts(rows: list[Row]) -> list[Verdict]:
    """The worst driver beside each bar."""
    measured = [row for row in rows if row["outcome"] == "measured"]
    counts = zip(numbers(measured, "frames_out"), numbers(measured, "frames_driver"), strict=True)
    frames = [abs(out - driver) for out, driver in counts]
    lost = sum(row.get("sound_lost") is True for row in measured)
    past = numbers(measured, "sound_past_video_ms")
    return [
        Verdict(Bar("frames more or fewer", "<=", 1), max(frames, default=None), f"worst of {len(measured)}"),
        _worst(measured, "length_ms", max((*numbers(measured, "frame_ms"), 0.0))),
        _worst(measured, "sound_start_ms", 20),
        _worst(measured, "sound_end_ms", 20),
        Verdict(Bar("sound_past_video_ms", "<=", 20), max(past, default=None), f"worst of {len(past)}"),
        _worst(measured, "lag_ms", 20),
        Verdict(Bar("drivers whose sound is lost", "<=", 0), lost),
        Verdict(Bar("drivers that fail", "<=", 0), sum(row["outcome"] == "failed" for row in rows)),
    ]


def _worst(rows: list[Row], key: str, limit: float) -> Verdict:
    result = [abs(value) for value in numbers(rows, key)]
    return Verdict(Bar(key, "<=", limit), max(result, default=None), f"largest of {len(result)}, either way")


def _sound_start(info: MediaInfo) -> Fraction:
    assert info.audio is not None
    assert info.video is not None
    start: Fraction = info.audio.start - info.video.start
    return start


def _sound(info: MediaInfo) -> NDArray[np.float32]:
    samples = read_sound(info.path)
    if samples is None or not len(samples):
        raise BenchmarkError(f"{info.path}: no sound could be read")
    return samples


def _ms(value_s: Fraction) -> float:
    return float(value_s * 1000)
