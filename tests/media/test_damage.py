"""Frames whose data are damaged are named, and none that are sound."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from avatarkit.media.binary import encoders
from avatarkit.media.damage import damage_warning, damaged_frames, suspicious
from avatarkit.media.decode import FrameReader
from avatarkit.media.probe import probe

from .conftest import H264, ClipMaker, run_ffmpeg, skip_where_ffmpeg_crashes, source

EVERY, FRAMES = 10, 40
"""A key frame every so many frames."""


def broken(clip: Path, number: int, name: str) -> Path:
    """The clip with the data of packet `number` overwritten, its length too, so that no decoder takes it."""
    lines = run_ffmpeg("-i", f"file:{clip}", "-c", "copy", "-f", "framehash", "-").splitlines()
    assert sum(line[:1] == b"0" for line in lines) == FRAMES
    sizes = [int(line.split(b",")[4]) for line in lines if line[:1] == b"0"]
    data = bytearray(clip.read_bytes())
    start = data.index(b"mdat") + 4 + sum(sizes[:number])
    data[start : start + sizes[number]] = b"\xff" * sizes[number]
    path = clip.with_name(name)
    path.write_bytes(data)
    return path


@pytest.fixture(scope="module", params=["libx264", "libx265"])
def sound(request: pytest.FixtureRequest, make_clip: ClipMaker) -> Path:
    """40 frames without reordering."""
    if request.param not in encoders():
        pytest.skip(f"this ffmpeg has no {request.param}")
    words = {
        "libx264": (*H264, "-bf", "0", "-g", str(EVERY), "-sc_threshold", "0", "-x264-params", "repeat-headers=0"),
        "libx265": ("-c:v", "libx265", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-x265-params",
                    f"log-level=error:bframes=0:keyint={EVERY}:min-keyint={EVERY}:scenecut=0:open-gop=0"),
    }[request.param]  # fmt: skip
    return make_clip(f"sound-{request.param}.mp4", *source("25", FRAMES, "192x128"), *words)


def test_sound_clip_has_none(sound: Path) -> None:
    with FrameReader(sound) as reader:
        assert sum(1 for _ in reader) == FRAMES
    assert (reader.damaged, reader.warning, reader.doubtful) == ((), None, False)
    info = probe(sound)
    assert info.video is not None
    assert damaged_frames(info, info.video.rate) == ()


def test_damage_lasts_to_the_next_key_frame(sound: Path) -> None:
    path = broken(sound, 14, f"broken-{sound.name}")
    with FrameReader(path) as reader:
        assert sum(1 for _ in reader) == FRAMES
    assert reader.damaged == (range(14, 20),)
    assert reader.warning == f"{path.name} is damaged: frames 14 to 19 of 40 may show errors"
    with FrameReader(path, rate=Fraction(50)) as reader:
        assert sum(1 for _ in reader) == 2 * FRAMES
    assert reader.damaged == (range(28, 40),)


def test_only_the_part_that_is_read_counts(sound: Path) -> None:
    path = broken(sound, 14, f"part-{sound.name}")
    found = []
    for part in ((0, 12), (12, 17), (25, 40)):
        with FrameReader(path, part=part) as reader:
            assert sum(1 for _ in reader) == part[1] - part[0]
        found.append(reader.damaged)
    assert found == [(), (range(14, 17),), ()]


def test_several_places(sound: Path) -> None:
    path = broken(sound, 25, f"once-{sound.name}")
    broken(path, 5, path.name)
    info = probe(path)
    assert info.video is not None
    assert damaged_frames(info, info.video.rate) == (range(5, 10), range(25, 30))
    late = replace(info.video, frames=28, duration=Fraction(28, 25))
    assert damaged_frames(replace(info, video=late), late.rate)[-1] == range(25, 28)


def test_packets_lost_on_the_way(sound: Path, make_clip: ClipMaker) -> None:
    """Of what a transport stream lost a part of, the decoder gets nothing: only the demuxer complains."""
    whole = make_clip(f"{sound.stem}.ts", "-i", f"file:{sound}", "-c", "copy")
    skip_where_ffmpeg_crashes(whole)
    data = whole.read_bytes()
    packets = [data[i : i + 188] for i in range(0, len(data), 188)]
    begins = [i for i, packet in enumerate(packets) if packet[1] & 0x5F == 0x41 and packet[2] == 0]
    assert len(begins) == FRAMES
    path = whole.with_name(f"lost-{whole.name}")
    path.write_bytes(b"".join(packets[: begins[14] + 1] + packets[begins[14] + 2 :]))
    with FrameReader(path) as reader:
        assert sum(1 for _ in reader) == FRAMES
    assert reader.damaged == (range(14, 20),)


def test_warning_names_three_places_at_most() -> None:
    spans = [range(n, n + 2 - n % 2) for n in (1, 4, 8, 12, 16)]
    assert damage_warning(Path("/a/b.mp4"), [range(9, 10)], 50) == "b.mp4 is damaged: frame 9 of 50 may show errors"
    text = damage_warning(Path("/a/b.mp4"), spans, 50)
    assert text == "b.mp4 is damaged: frames 1, 4 to 5, 8 to 9 and 2 more parts of 50 may show errors"


def test_what_makes_suspicious() -> None:
    assert suspicious(["[h264 @ 0x1] error while decoding MB 1 2, bytestream -5"])
    assert suspicious(["[vist#0:0/h264 @ 0x1] [dec:h264 @ 0x2] corrupt decoded frame"])
    assert not suspicious(["Changing video frame properties on the fly is not supported by all filters."])
