"""Children that hang, talk too much, or die: they end, and the error says what happened."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from avatarkit.errors import DependencyError, InputError
from avatarkit.media import ffmpeg as ffmpeg_module
from avatarkit.media.decode import FrameReader
from avatarkit.media.probe import probe

from .conftest import alive, sleeper


def fake_ffmpeg(folder: Path, version: str, *encoder_names: str) -> Path:
    """A program that answers `-version` and `-encoders` as ffmpeg does."""
    listing = "".join(f" V....D {name:20} something\\n" for name in encoder_names)
    folder.mkdir(exist_ok=True)
    path = folder / "ffmpeg"
    path.write_text(
        f'#!/bin/sh\ncase "$*" in *-version*) echo "ffmpeg version {version} Copyright";; '
        f'*-encoders*) printf "{listing}";; esac\n'
    )
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("version", "names", "chosen"),
    [
        ("6.1.1-3ubuntu5", ["libx264", "aac"], True),
        ("n9.0.2-17-g2a571b6068", ["libx264"], True),
        ("N-118000-gabcdef", ["libx264"], True),
        ("4.4.2-0ubuntu0.22.04.1", ["libx264"], False),
        ("7.0", ["libopenh264"], False),
    ],
)
def test_system_ffmpeg_gives_way_where_it_cannot_do_the_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, names: list[str], chosen: bool
) -> None:
    system = fake_ffmpeg(tmp_path / "system", version, *names)
    bundled = fake_ffmpeg(tmp_path / "bundled", "7.0.2-static", "libx264")
    monkeypatch.setattr(ffmpeg_module, "_candidates", lambda: iter([str(system), str(bundled)]))
    binary = ffmpeg_module.ffmpeg_binary.__wrapped__()
    assert binary == str(system if chosen else bundled)


def test_no_ffmpeg_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ffmpeg_module, "_candidates", lambda: iter([str(tmp_path / "none")]))
    with pytest.raises(DependencyError, match=r"no working ffmpeg .*pip install"):
        ffmpeg_module.ffmpeg_binary.__wrapped__()
    old = fake_ffmpeg(tmp_path / "old", "4.2.2-static", "libx264")
    monkeypatch.setattr(ffmpeg_module, "_candidates", lambda: iter([str(old)]))
    with pytest.raises(DependencyError, match=r"ffmpeg 4 at .* is too old: version 5"):
        ffmpeg_module.ffmpeg_binary.__wrapped__()


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
