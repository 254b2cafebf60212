"""Children that hang, talk too much, or die: they end, and the error says what happened."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from avatarkit.errors import InputError
from avatarkit.media import ffmpeg as ffmpeg_module
from avatarkit.media.decode import FrameReader
from avatarkit.media.probe import probe

from .conftest import alive, sleeper


def test_hung_decoder_is_ended(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = probe(clip)
    monkeypatch.setattr(ffmpeg_module, "ffmpeg_binary", lambda: sleeper(tmp_path))
    started = time.monotonic()
    with (
        FrameReader(clip, info=info, timeout_s=0.4) as reader,
        pytest.raises(InputError, match=r"no frame for 0\.4 s"),
    ):
        next(reader)
    assert time.monotonic() - started < 5
    assert reader._child is not None
    assert not alive(reader._child.pid)


def test_hung_probe_is_ended(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ffmpeg_module, "ffmpeg_binary", lambda: sleeper(tmp_path))
    with pytest.raises(InputError, match=r"no data for 0\.4 s"):
        probe(clip, timeout_s=0.4)


def test_chatty_child_does_not_block(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = probe(clip)
    real = ffmpeg_module.ffmpeg_binary()
    chatty = tmp_path / "ffmpeg-that-talks"
    chatty.write_text(f'#!/bin/sh\nhead -c 3000000 /dev/zero | tr "\\0" "\\n" >&2\nexec "{real}" "$@"\n')
    chatty.chmod(0o755)
    monkeypatch.setattr(ffmpeg_module, "ffmpeg_binary", lambda: str(chatty))
    with FrameReader(clip, info=info, timeout_s=20) as reader:
        assert sum(1 for _ in reader) == 50


def test_killed_decoder_is_an_error_and_not_a_short_video(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = probe(clip)
    script = tmp_path / "ffmpeg-that-dies"
    script.write_text("#!/bin/sh\nhead -c 100000 /dev/zero\nkill -9 $$\n")
    script.chmod(0o755)
    monkeypatch.setattr(ffmpeg_module, "ffmpeg_binary", lambda: str(script))
    with FrameReader(clip, info=info) as reader, pytest.raises(InputError, match="signal 9"):
        list(reader)
