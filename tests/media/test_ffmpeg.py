"""Children that hang, talk too much, or die: they end, and the error says what happened."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from avatarkit.errors import DependencyError, InputError
from avatarkit.media import binary as binary_module
from avatarkit.media import ffmpeg as ffmpeg_module
from avatarkit.media.decode import FrameReader
from avatarkit.media.demux import packet_times
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


@pytest.fixture
def builds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """`builds(bundled=..., system=..., named=...)`: the choice among programs with such versions and encoders."""

    def choose(**versions: tuple[str, ...]) -> str:
        paths = {name: str(fake_ffmpeg(tmp_path / name, *answers)) for name, answers in versions.items()}
        monkeypatch.delenv("AVATARKIT_FFMPEG", raising=False)
        monkeypatch.setenv("PATH", str(tmp_path / "system"), prepend=os.pathsep)
        monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", paths.get("bundled", str(tmp_path / "none")))
        if "named" in paths:
            monkeypatch.setenv("AVATARKIT_FFMPEG", paths["named"])
        build = binary_module.ffmpeg_build.__wrapped__()
        return next(name for name, path in paths.items() if path == build.path)

    return choose


GOOD = ("7.0.2-static", "libx264")


def test_bundled_ffmpeg_comes_before_the_one_on_path(builds: Callable[..., str]) -> None:
    assert builds(bundled=GOOD, system=GOOD) == "bundled"
    assert builds(bundled=GOOD, system=GOOD, named=("5.1.9-0+deb12u1", "libx264")) == "named"


@pytest.mark.parametrize(
    ("answers", "chosen"),
    [
        (("6.1.1-3ubuntu5", "libx264", "aac"), "bundled"),
        (("n9.0.2-17-g2a571b6068", "libx264"), "bundled"),
        (("N-118000-gabcdef", "libx264"), "bundled"),
        (("4.4.2-0ubuntu0.22.04.1", "libx264"), "system"),
        (("7.0", "libopenh264"), "system"),
    ],
)
def test_a_build_that_cannot_do_the_job_gives_way(
    builds: Callable[..., str], answers: tuple[str, ...], chosen: str
) -> None:
    assert builds(bundled=answers, system=GOOD) == chosen


def test_the_named_ffmpeg_is_taken_or_refused(
    builds: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DependencyError, match=r"AVATARKIT_FFMPEG=.*named/ffmpeg: ffmpeg 4 at .* is too old"):
        builds(bundled=GOOD, named=("4.2.2-static", "libx264"))
    assert builds(bundled=GOOD, named=("5.1", "aac")) == "named"
    monkeypatch.setenv("AVATARKIT_FFMPEG", "system")
    fake_ffmpeg(tmp_path / "system", *GOOD)
    assert binary_module.ffmpeg_build.__wrapped__().path == str(tmp_path / "system" / "ffmpeg")
    monkeypatch.setenv("AVATARKIT_FFMPEG", str(tmp_path / "nothing"))
    with pytest.raises(DependencyError, match="nothing: no such program"):
        binary_module.ffmpeg_build.__wrapped__()


def test_no_ffmpeg_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AVATARKIT_FFMPEG", raising=False)
    monkeypatch.setattr(binary_module, "_candidates", lambda: iter([]))
    with pytest.raises(DependencyError, match=r"no ffmpeg was found.*pip install"):
        binary_module.ffmpeg_build.__wrapped__()
    monkeypatch.setattr(binary_module, "_candidates", lambda: iter([(str(tmp_path / "none"), "PATH")]))
    with pytest.raises(DependencyError, match=r"none cannot be run \(No such file.*pip install"):
        binary_module.ffmpeg_build.__wrapped__()


def test_what_a_build_lacks_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = fake_ffmpeg(tmp_path / "small", "7.0", "libx264", "aac")
    monkeypatch.setattr(binary_module, "ffmpeg_binary", lambda: str(fake))
    missing = binary_module.lacks()
    assert "write HEVC (libx265)" in missing
    assert "deinterlace (bwdif)" in missing
    assert "read H.264 (h264)" in missing
    assert not [text for text in missing if "libx264" in text or "write AAC" in text]


def test_hung_decoder_is_ended(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = probe(clip)
    monkeypatch.setattr(ffmpeg_module, "ffmpeg_binary", lambda: sleeper(tmp_path))
    started = time.monotonic()
    with (
        FrameReader(clip, info=info, timeout_s=0.4) as reader,
        pytest.raises(InputError, match=r"no frame for 0\.4 s"),
    ):
        next(reader)
    assert time.monotonic() - started < 30
    assert reader._child is not None
    assert not alive(reader._child.pid)


def test_killed_probe_is_an_error(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = ffmpeg_module.ffmpeg_binary()
    script = tmp_path / "ffmpeg-that-dies"
    script.write_text(f'#!/bin/sh\n"{real}" "$@" | head -n 30\nkill -9 $$\n')
    script.chmod(0o755)
    monkeypatch.setattr(ffmpeg_module, "ffmpeg_binary", lambda: str(script))
    with pytest.raises(InputError, match="cannot be read: ffmpeg was ended by signal 9"):
        probe(clip, timeout_s=21)  # another limit: what is known of the clip must not answer
    with pytest.raises(InputError, match="signal 9"):
        list(packet_times(clip, "0", timeout_s=20))


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
    with FrameReader(clip, info=info, timeout_s=60) as reader:
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
