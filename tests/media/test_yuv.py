"""RGB to 4:2:0: the standard's own values, and the same picture as ffmpeg's exact conversion."""

from __future__ import annotations

import subprocess

import numpy as np
import pytest

from avatarkit.media.binary import ffmpeg_binary
from avatarkit.media.yuv import fill420, planes420, yuv420


@pytest.mark.parametrize(
    ("rgb", "yuv"),
    [
        ((0, 0, 0), (16, 128, 128)), ((255, 255, 255), (235, 128, 128)), ((255, 0, 0), (63, 102, 240)),
        ((0, 255, 0), (173, 42, 26)), ((0, 0, 255), (32, 240, 118)),
    ],
)  # fmt: skip
def test_colours_of_the_standard(rgb: tuple[int, ...], yuv: tuple[int, ...]) -> None:
    planes = planes420(yuv420(np.full((4, 6, 3), rgb, np.uint8)), 6, 4)
    assert [plane.shape for plane in planes] == [(4, 6), (2, 3), (2, 3)]
    for plane, value in zip(planes, yuv, strict=True):
        assert (plane == value).all()


def test_same_as_ffmpeg_and_chroma_lies_left() -> None:
    """On smooth colours no sample is off by more than rounding; half a pixel of shift would be."""
    y, x = np.mgrid[:64, :96]
    frame = np.stack([2.6 * x, 255 - 3.5 * y, 128 + 60 * np.sin(x / 9) + 40 * np.cos(y / 7)], 2)
    frame = np.rint(np.clip(frame, 0, 255)).astype(np.uint8)
    command = [
        ffmpeg_binary(), "-hide_banner", "-loglevel", "error", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", "96x64",
        "-i", "-", "-vf",
        "scale=flags=bicubic+accurate_rnd+full_chroma_int:in_range=full:out_color_matrix=bt709:out_range=limited,"
        "format=yuv420p", "-f", "rawvideo", "-",
    ]  # fmt: skip
    raw = subprocess.run(command, input=frame.tobytes(), capture_output=True, check=True, timeout=300).stdout
    ours = yuv420(frame).tobytes()
    difference = np.abs(np.frombuffer(raw, np.uint8).astype(int) - np.frombuffer(ours, np.uint8))
    assert len(ours) == len(raw)
    assert difference.max() <= 3
    assert difference.mean() < 0.4


def test_odd_sides_are_made_even_by_their_last_row_and_column() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (131, 67, 3)).astype(np.uint8)
    padded = np.pad(frame, ((0, 1), (0, 1), (0, 0)), mode="edge")
    assert np.array_equal(yuv420(frame), yuv420(padded))


def test_bands_join() -> None:
    """Higher than one band: each pair of rows is as it is alone."""
    frame = np.random.default_rng(1).integers(0, 256, (150, 32, 3)).astype(np.uint8)
    whole = planes420(yuv420(frame), 32, 150)
    for row in range(0, 150, 2):
        own = planes420(yuv420(frame[row : row + 2]), 32, 2)
        for plane, part, step in zip(whole, own, (2, 1, 1), strict=True):
            first = row * step // 2
            assert np.array_equal(plane[first : first + step], part)


@pytest.mark.parametrize("part", [(0, 0, 64, 67), (2, 10, 40, 60), (64, 6, 131, 67), (0, 0, 2, 2), (8, 4, 12, 66)])
def test_a_part_is_converted_as_in_the_whole(part: tuple[int, int, int, int]) -> None:
    top, left, bottom, right = part
    before, after = (np.random.default_rng(seed).integers(0, 256, (131, 67, 3)).astype(np.uint8) for seed in (2, 3))
    packed, wanted = yuv420(before), (yuv420(before), yuv420(after))
    fill420(planes420(packed, 68, 132), after[top:bottom, left:right], left, top)
    found = planes420(packed, 68, 132)
    old, new = (planes420(item, 68, 132) for item in wanted)
    lent = 2 if left else 0
    for plane, mine, theirs, step in zip(found, old, new, (1, 2, 2), strict=True):
        rows, columns = slice(top // step, -(-bottom // step)), slice((left + lent) // step, -(-right // step))
        if step == 1 and right == 67:
            columns = slice(columns.start, 68)
        if step == 1 and bottom == 131:
            rows = slice(rows.start, 132)
        expected = mine.copy()
        expected[rows, columns] = theirs[rows, columns]
        assert np.array_equal(plane, expected)
