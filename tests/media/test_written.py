"""A file that lacks anything of what was written never counts as done, whatever ffmpeg's exit status."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from avatarkit.errors import OutputError
from avatarkit.media import ffmpeg as ffmpeg_module
from avatarkit.media.binary import ffmpeg_binary
from avatarkit.media.matroska import has_cues
from avatarkit.media.written import check_pictures, check_written

from .test_encode import SUFFIXES, write

RATE = Fraction(25)
WHOLE = {"frames": 40, "rate": RATE, "sound": (Fraction(0), Fraction(8, 5))}


@pytest.fixture(scope="module", params=SUFFIXES)
def written(request: pytest.FixtureRequest, clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 frames with the clip's sound in each container."""
    path = tmp_path_factory.mktemp("written") / f"o{request.param}"
    write(path, 40, rate=RATE, audio_from=clip)
    return path


def test_what_was_written_passes(written: Path) -> None:
    check_written(written, **WHOLE)


def test_every_shortened_file_is_refused(written: Path, tmp_path: Path) -> None:
    data = written.read_bytes()
    for step in range(1, 20):
        path = tmp_path / f"{step}{written.suffix}"
        path.write_bytes(data[: len(data) * step // 20])
        with pytest.raises(OutputError, match="cannot be written: the file that ffmpeg left"):
            check_written(path, **WHOLE)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"frames": 41}, "has 40 of 41 frames"),
        ({"rate": Fraction(30)}, r"is 1\.600 s long, not 1\.333 s"),
        ({"sound": (Fraction(0), Fraction(4))}, r"has sound from .* not from 0\.00 to 4\.00 s"),
        ({"sound": (Fraction(0), Fraction(1, 2))}, "has sound from"),
    ],
)
def test_what_differs_is_named(written: Path, other: dict[str, object], message: str) -> None:
    with pytest.raises(OutputError, match=message):
        check_written(written, **{**WHOLE, **other})  # type: ignore[arg-type]


def test_missing_sound_is_named(tmp_path: Path) -> None:
    write(tmp_path / "o.mkv", 40, rate=RATE)
    with pytest.raises(OutputError, match="has no sound"):
        check_written(tmp_path / "o.mkv", **WHOLE)
    check_written(tmp_path / "o.mkv", frames=40, rate=RATE)


def test_the_reason_in_the_log_comes_first(tmp_path: Path) -> None:
    (tmp_path / "o.mp4").write_bytes(b"\0" * 100)
    log = ["[out#0 @ 0x1] Error writing trailer of file:/a/o.mp4: No space left on device", "video:10kB"]
    with pytest.raises(OutputError, match=r"o\.mp4: cannot be written: No space left on device$"):
        check_written(tmp_path / "o.mp4", frames=1, rate=RATE, log=log)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_success_with_half_a_file_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    """As ffmpeg 5 does when the disk is full at the very end."""
    real = ffmpeg_binary()
    liar = tmp_path / "liar"
    liar.write_text(
        f'#!/bin/sh\n"{real}" "$@" || exit\nfor word; do case "$word" in file:*) out=$word;; esac; done\n'
        'case "$out" in *.m*|*.webm) f="${out#file:}"; head -c $(($(wc -c <"$f") * 3 / 4)) "$f" >"$f.cut"; '
        'mv "$f.cut" "$f";; esac\n'
    )
    liar.chmod(0o755)
    monkeypatch.setattr(ffmpeg_module, "ffmpeg_binary", lambda: str(liar))
    with pytest.raises(OutputError, match="the file that ffmpeg left"):
        write(tmp_path / f"o{suffix}", 40, rate=RATE)
    assert [path.name for path in tmp_path.iterdir()] == ["liar"]


def test_incomplete_pictures(tmp_path: Path) -> None:
    write(tmp_path, 3)
    check_pictures(tmp_path, "%06d.png", 3)
    with pytest.raises(OutputError, match=r"000003\.png is incomplete"):
        check_pictures(tmp_path, "%06d.png", 4)
    last = tmp_path / "000002.png"
    last.write_bytes(last.read_bytes()[:-1])
    with pytest.raises(OutputError, match=r"000002\.png is incomplete"):
        check_pictures(tmp_path, "%06d.png", 3)


def test_cues_of_any_size_of_length(tmp_path: Path) -> None:
    def element(kind: int, body: bytes, width: int) -> bytes:
        marker = (1 << (7 * width)) | len(body)
        return kind.to_bytes(4, "big") + marker.to_bytes(width, "big") + body

    path = tmp_path / "o.mkv"
    for width in (1, 2, 4, 8):
        cues = element(0x1C53BB6B, b"12345", width)
        segment = struct.pack(">I", 0x18538067) + b"\xff" + element(0x1F43B675, bytes(9), width)
        path.write_bytes(element(0x1A45DFA3, b"", 1) + segment + cues)
        assert has_cues(path)
        path.write_bytes(element(0x1A45DFA3, b"", 1) + segment + cues[:-1])
        assert not has_cues(path)
    path.write_bytes(np.zeros(50, np.uint8).tobytes())
    assert not has_cues(path)
