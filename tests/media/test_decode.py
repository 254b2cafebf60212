"""Frames out of every kind of file: count, order, colour, rotation, damage, and children that misbehave."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from avatarkit.errors import InputError
from avatarkit.media.decode import FrameReader, assumed_matrix
from avatarkit.media.probe import MediaInfo, VideoStream, probe
from avatarkit.media.rate import round_half_up

from .conftest import H264, LEVELS, REAL_MEDIA, ClipMaker, alive, gradient, source, tone, turned


def numbers(reader: FrameReader) -> list[int]:
    """Index of each frame of the counting clip, read from its brightness."""
    return [round((float(frame[8:-8, 8:-8].mean()) - 20) / 5) for frame in reader]


def test_frames_come_in_order_and_are_their_own(counting_clip: Path) -> None:
    with FrameReader(counting_clip) as reader:
        assert (reader.width, reader.height, reader.rate, reader.frames_expected) == (64, 48, 25, LEVELS)
        frames = list(reader)
    assert all(f.shape == (48, 64, 3) and f.dtype == np.uint8 and f.flags.writeable for f in frames)
    assert [round((float(f.mean()) - 20) / 5) for f in frames] == list(range(LEVELS))
    assert (reader.frames_read, reader.frames_lost, reader.warning) == (LEVELS, 0, None)


@pytest.mark.parametrize(("rate", "expected"), [("50", [0, 0, 1, 1, 2, 2]), ("12.5", [0, 2, 4, 6])])
def test_other_rate(counting_clip: Path, rate: str, expected: list[int]) -> None:
    with FrameReader(counting_clip, rate=Fraction(rate)) as reader:
        got = numbers(reader)
    assert len(got) == reader.frames_expected == LEVELS * Fraction(rate) / 25
    # A frame that falls on the half is a matter of rounding: at 12.5 either neighbour is right.
    assert all(abs(a - b) <= (1 if rate == "12.5" else 0) for a, b in zip(got, expected, strict=False))


def test_variable_rate_is_laid_out_by_time(make_clip: ClipMaker, counting_clip: Path) -> None:
    # Frame n of the source is shown at time slots 0, 2, 3, 5, 6, 8, ... of 1/30 s, from 0.2 s on.
    path = make_clip(
        "counting_variable.mp4", "-i", f"file:{counting_clip}",
        "-vf", r"setpts=(N*3/2+mod(N\,2)/2)/30/TB+0.2/TB", "-enc_time_base", "1/600", "-fps_mode", "vfr",
        *H264, "-crf", "0",
    )  # fmt: skip
    expected = []
    for index in range(LEVELS):
        expected += [index] if index % 2 else [index, index]
    with FrameReader(path) as reader:
        assert reader.info.video is not None
        assert reader.info.video.start == Fraction(1, 5)
        assert numbers(reader) == expected
    assert (reader.frames_lost, reader.frames_expected) == (0, 60)


def test_layout_rounds_to_the_nearest_slot(make_clip: ClipMaker, counting_clip: Path) -> None:
    # Frames at 0, 1.3, 2.6, 3.9, ... slots, all of it 0.4 slots after a multiple of the frame time.
    path = make_clip(
        "off_grid.mp4", "-i", f"file:{counting_clip}", "-frames:v", "12", "-vf", "setpts=(N*1.3+0.4)/30/TB",
        "-enc_time_base", "1/600", "-fps_mode", "vfr", *H264, "-crf", "0",
    )  # fmt: skip
    slots = [round_half_up(Fraction(13 * n, 10)) for n in range(10)]
    assert slots == [0, 1, 3, 4, 5, 7, 8, 9, 10, 12]
    with FrameReader(path, rate=Fraction(30)) as reader:
        got = numbers(reader)
    assert got[:13] == [max(n for n, slot in enumerate(slots) if slot <= k) for k in range(13)]


def test_frames_hidden_by_an_edit_list_do_not_count(make_clip: ClipMaker, counting_clip: Path) -> None:
    # Cut without encoding at frame 15: the file begins at key frame 12, and an edit list hides 12 to 14.
    path = make_clip("edited.mp4", "-ss", "0.6", "-i", f"file:{counting_clip}", "-c", "copy")
    with FrameReader(path) as reader:
        assert numbers(reader) == list(range(15, LEVELS))
    assert (reader.frames_expected, reader.frames_lost) == (LEVELS - 15, 0)


@pytest.mark.parametrize(
    ("name", "encoder"),
    [
        ("h.mp4", "libx265"),
        ("v.webm", "libvpx-vp9"),
        ("a.mkv", "libsvtav1"),
        ("m.avi", "mpeg4"),
        ("g.gif", "gif"),
    ],
)
def test_codecs_decode_to_the_same_picture(make_clip: ClipMaker, name: str, encoder: str) -> None:
    path = make_clip(f"same_{name}", *source("25", 8), "-c:v", encoder, "-b:v", "2M", needs=encoder)
    truth = make_clip("same_truth.mkv", *source("25", 8), "-c:v", "ffv1", "-pix_fmt", "yuv444p", needs="ffv1")
    with FrameReader(path) as reader, FrameReader(truth) as exact:
        pairs = list(zip(reader, exact, strict=True))
    assert len(pairs) == 8
    limit = 25 if encoder == "gif" else 9  # 256 colours
    assert all(np.abs(a.astype(int) - b).mean() < limit for a, b in pairs)


@pytest.mark.parametrize(("angle", "turns"), [("90", 1), ("-90", -1), ("180", 2)])
def test_rotation_is_applied(make_clip: ClipMaker, clip: Path, angle: str, turns: int) -> None:
    marked = make_clip(f"turned{angle}.mp4", *turned(clip, angle))
    with FrameReader(clip) as flat, FrameReader(marked) as upright:
        expected, got = np.rot90(next(flat), turns), next(upright)
    assert got.shape == expected.shape
    assert np.abs(got.astype(int) - expected).mean() < 2


def test_max_side_scales_down_only(clip: Path) -> None:
    with FrameReader(clip, max_side=64) as reader:
        assert next(reader).shape == (48, 64, 3)
    with FrameReader(clip, max_side=4000) as reader:
        assert next(reader).shape == (96, 128, 3)


def test_odd_sides(make_clip: ClipMaker) -> None:
    path = make_clip(
        "odd.mkv",
        *source("25", 3),
        "-vf",
        "scale=65:47,setsar=1",
        "-c:v",
        "ffv1",
        "-pix_fmt",
        "yuv420p",
        needs="ffv1",
    )
    with FrameReader(path) as reader:
        assert [frame.shape for frame in reader] == [(47, 65, 3)] * 3


@pytest.mark.parametrize("matrix", ["bt709", "smpte170m", "bt2020nc"])
@pytest.mark.parametrize("value_range", ["tv", "pc"])
def test_colour_matrix_and_range(make_clip: ClipMaker, matrix: str, value_range: str) -> None:
    name = matrix.removesuffix("nc")
    path = make_clip(
        f"red_{matrix}_{value_range}.mp4", "-f", "lavfi", "-i", "color=0xC81E3C:size=64x48:rate=25",
        "-frames:v", "2",
        "-vf", f"scale=out_color_matrix={name}:out_range={value_range}:flags=accurate_rnd,format=yuv420p",
        *H264, "-crf", "0", "-colorspace", matrix, "-color_range", value_range,
    )  # fmt: skip
    with FrameReader(path) as reader:
        np.testing.assert_allclose(next(reader)[24, 32], (200, 30, 60), atol=2)


def test_unnamed_matrix_is_guessed_by_size() -> None:
    def stream(width: int, height: int, pix_fmt: str = "yuv420p", matrix: str = "") -> VideoStream:
        return VideoStream(
            width, height, "h264", pix_fmt, Fraction(25), False, 0, 1, Fraction(1, 25), matrix=matrix
        )

    assert assumed_matrix(stream(1280, 720)) == "bt709"
    assert assumed_matrix(stream(720, 1280)) == "bt709"
    assert assumed_matrix(stream(512, 512)) == "bt601"
    assert assumed_matrix(stream(1280, 720, matrix="smpte170m")) is None
    assert assumed_matrix(stream(1280, 720, "gbrp")) is None


def test_interlaced_frames_lose_their_comb(make_clip: ClipMaker) -> None:
    """Upright stripes that move sideways: all rows of a frame are alike, unless two moments are in it."""
    stripes = "nullsrc=size=128x96:rate=50,geq=lum='if(lt(mod(X+4*N\\,32)\\,16)\\,40\\,200)':cb=128:cr=128"
    path = make_clip(
        "interlaced.mp4", "-f", "lavfi", "-i", stripes, "-frames:v", "20", "-vf", "tinterlace=interleave_top",
        *H264, "-crf", "4", "-flags", "+ildct+ilme", "-x264-params", "tff=1",
    )  # fmt: skip
    info = probe(path)
    assert info.video is not None
    assert (info.video.interlaced, info.video.frames, info.video.rate) == (True, 20, 25)
    assert info.notes == ("interlaced.mp4 is interlaced: it is deinterlaced to 25 frames a second",)

    def comb(info: MediaInfo) -> float:
        with FrameReader(path, info=info) as reader:
            frames = np.stack(list(reader)).astype(int)
        assert len(frames) == 20
        return float(np.abs(2 * frames[2:, 1:-1] - frames[2:, :-2] - frames[2:, 2:]).mean())

    assert comb(info) < 4
    assert comb(replace(info, video=replace(info.video, interlaced=False))) > 40


def test_resolution_that_changes_keeps_shape_and_time(make_clip: ClipMaker) -> None:
    """Ten grey frames 64 x 48, then ten 32 x 48: padded at the sides, each still a step brighter than the last."""
    parts = []
    for number, size in enumerate(("64x48", "32x48")):
        grey = f"{60 + 80 * number}+8*N"
        picture = f"color=black:size={size}:rate=25,format=rgb24,geq=r='{grey}':g='{grey}':b='{grey}'"
        parts.append(
            make_clip(f"part{number}.h264", "-f", "lavfi", "-i", picture, "-frames:v", "10", *H264, "-crf", "2")
        )
    joined = parts[0].with_name("joined.h264")
    joined.write_bytes(parts[0].read_bytes() + parts[1].read_bytes())
    path = make_clip("changes.mkv", "-framerate", "25", "-f", "h264", "-i", f"file:{joined}", "-c", "copy")
    with FrameReader(path) as reader:
        frames = list(reader)
    assert [frame.shape for frame in frames] == [(48, 64, 3)] * 20
    middle = np.array([frame[24, 32].mean() for frame in frames])
    np.testing.assert_allclose(middle, 60 + 8 * np.arange(20), atol=3)
    sides = np.array([frame[24, [8, 55]].mean() for frame in frames])
    np.testing.assert_allclose(sides[:10], middle[:10], atol=2)
    np.testing.assert_allclose(sides[10:], 0, atol=2)


def test_truncated_file_is_read_up_to_the_break(truncated_clip: Path) -> None:
    with FrameReader(truncated_clip) as reader:
        count = sum(1 for _ in reader)
    assert count + reader.frames_lost == 50
    assert reader.frames_lost > 0
    lost = reader.frames_lost
    assert reader.warning == f"truncated.mp4 is truncated: {lost} of 50 frames at the end could not be read"


def test_damaged_middle_keeps_the_count(clip: Path, tmp_path: Path) -> None:
    data = bytearray(clip.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 300] = os.urandom(300)
    (tmp_path / "damaged.mp4").write_bytes(data)
    with FrameReader(tmp_path / "damaged.mp4") as reader:
        assert sum(1 for _ in reader) == 50


def test_sound_only_is_refused(make_clip: ClipMaker) -> None:
    path = make_clip("sound.wav", *tone(1))
    with pytest.raises(InputError, match="only sound"):
        FrameReader(path)


def test_picture_gives_one_frame(tmp_path: Path) -> None:
    Image.fromarray(gradient()).save(tmp_path / "p.png")
    with FrameReader(tmp_path / "p.png") as reader:
        frames = list(reader)
    assert len(frames) == 1
    np.testing.assert_array_equal(frames[0], gradient())


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.png"])
def test_animation_is_laid_out_by_delay(tmp_path: Path, name: str) -> None:
    pictures = [Image.new("RGB", (16, 16), (level, level, level)) for level in (10, 90, 200)]
    options = {"lossless": True} if name.endswith("webp") else {}
    pictures[0].save(
        tmp_path / name, save_all=True, append_images=pictures[1:], duration=[40, 120, 40], loop=0, **options
    )
    with FrameReader(tmp_path / name) as reader:
        assert reader.rate == 25
        assert [int(frame[0, 0, 0]) for frame in reader] == [10, 90, 90, 90, 200]


def test_decoding_waits_for_a_slow_consumer(counting_clip: Path) -> None:
    with FrameReader(counting_clip, timeout_s=5.0) as reader:
        first = next(reader)
        time.sleep(5.5)  # longer than the timeout: it counts only while ffmpeg owes a frame
        assert sum(1 for _ in reader) == LEVELS - 1
    assert first.shape == (48, 64, 3)


def test_leaving_early_ends_the_child(clip: Path) -> None:
    reader = FrameReader(clip)
    with reader:
        next(reader)
        child = reader._child
    assert child is not None
    assert not alive(child.pid)
    assert not [thread for thread in threading.enumerate() if thread.name == "frame-reader"]
    assert list(reader) == []


@pytest.mark.media
@pytest.mark.skipif(not REAL_MEDIA.is_dir(), reason="real media are absent")
def test_real_variable_rate_driver() -> None:
    with FrameReader(next((REAL_MEDIA / "drivers").glob("d11*")), max_side=128) as reader:
        assert sum(1 for _ in reader) == reader.frames_expected == 183
    assert reader.warning is None
