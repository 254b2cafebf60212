"""The grid of 25 frames a second over every kind of rate: what is stored was on screen within half a frame."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from avatarkit.media.decode import FrameReader
from avatarkit.media.encode import FrameWriter
from avatarkit.prepare.config import GRID_RATE

BITS, CELL = 8, 16


def numbered(number: int) -> np.ndarray:
    """A frame that shows its number as black and white cells."""
    row = [255 * (number >> bit & 1) for bit in range(BITS)]
    return np.repeat(np.kron(np.array([row], np.uint8), np.ones((4 * CELL, CELL), np.uint8))[..., None], 3, 2)


def number_of(frame: np.ndarray) -> int:
    cells = frame[frame.shape[0] // 2, CELL // 2 :: CELL, 0]
    return sum(1 << bit for bit, value in enumerate(cells) if value > 128)


def check(path: Path, starts: list[Fraction], end: Fraction) -> None:
    """Each stored frame must have been on screen no further than half a frame of the grid from its time."""
    stops = [*starts[1:], end]
    half = Fraction(1, 2) / GRID_RATE
    with FrameReader(path, rate=GRID_RATE) as reader:
        shown = [number_of(frame) for frame in reader]
    assert abs(len(shown) - float(end * GRID_RATE)) <= 1
    for index, number in enumerate(shown):
        time = index / GRID_RATE
        assert starts[number] <= time + half, (index, number)
        assert stops[number] >= time - half, (index, number)


@pytest.mark.parametrize(
    "rate", [Fraction(24000, 1001), Fraction(30000, 1001), Fraction(60), Fraction(25), Fraction(10)]
)
def test_constant_rates(tmp_path: Path, rate: Fraction) -> None:
    path, count = tmp_path / "numbers.mp4", 60
    with FrameWriter(path, width=BITS * CELL, height=4 * CELL, rate=rate) as writer:
        for number in range(count):
            writer.write(numbered(number))
    check(path, [number / rate for number in range(count)], count / rate)


def test_variable_rate(tmp_path: Path) -> None:
    import subprocess

    from avatarkit.media.binary import ffmpeg_binary

    rng = np.random.default_rng(3)
    lengths = [Fraction(int(ms), 1000) for ms in rng.integers(15, 120, 40)]
    lines = []
    for number, length in enumerate(lengths):
        picture = tmp_path / f"{number:03d}.png"
        cv2.imwrite(str(picture), numbered(number))
        lines += [f"file '{picture.name}'", f"duration {float(length):.3f}"]
    (tmp_path / "list.txt").write_text("\n".join([*lines, f"file '{picture.name}'"]))
    path = tmp_path / "variable.mkv"
    command = [
        ffmpeg_binary(), "-loglevel", "error", "-f", "concat", "-i", str(tmp_path / "list.txt"), "-fps_mode",
        "passthrough", "-c:v", "libx264", "-pix_fmt", "yuv420p", str(path),
    ]  # fmt: skip
    subprocess.run(command, check=True, timeout=300, capture_output=True)
    starts = [sum(lengths[:number], Fraction(0)) for number in range(len(lengths))]
    with FrameReader(path) as reader:
        assert reader.info.video is not None
        assert reader.info.video.variable_rate
    check(path, starts, sum(lengths, Fraction(0)))
