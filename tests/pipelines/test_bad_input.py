"""What cannot work: one clear line, the documented exit code, and nothing left behind."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from skimage import data

from avatarkit.cli.app import run as command
from avatarkit.errors import InputError
from avatarkit.media.encode import FrameWriter
from avatarkit.media.image import write_image
from avatarkit.pipelines.reenact import reenact
from avatarkit.pipelines.reenact_config import ReenactConfig
from avatarkit.runtime import NullProgress
from avatarkit.systems.landmark_warp.engine import WarpEngine

from .conftest import run_ffmpeg

USAGE, INPUT, OUTPUT, INTERRUPTED = 2, 3, 4, 130
H264 = ("-c:v", "libx264", "-pix_fmt", "yuv420p")


@pytest.fixture(scope="module")
def bad(
    tmp_path_factory: pytest.TempPathFactory, driver: Path, motion_file: Path, photo: Path,
    grace_hopper_path: Path, grace_hopper: np.ndarray,
) -> Path:  # fmt: skip
    """A folder of files that are all wrong in one way, beside some that are right."""
    folder = tmp_path_factory.mktemp("bad")
    for path in (driver, motion_file, photo):
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "portrait.jpg").write_bytes(grace_hopper_path.read_bytes())
    write_image(folder / "coffee.png", data.coffee())
    write_image(
        folder / "tiny.png", np.pad(grace_hopper[::8, ::8], ((20, 20), (20, 20), (0, 0)), mode="edge")
    )
    for name in ("empty.png", "empty.mp4", "empty.motion"):
        (folder / name).touch()
    for name in ("text.png", "text.mp4", "text.motion"):
        (folder / name).write_text("This is a shopping list: eggs, flour, salt.\n" * 20)
    (folder / "cut.jpg").write_bytes(grace_hopper_path.read_bytes()[:400])
    (folder / "cut.mp4").write_bytes(driver.read_bytes()[:600])
    motion = motion_file.read_bytes()
    (folder / "cut.motion").write_bytes(motion[: len(motion) // 2])
    (folder / "later.motion").write_bytes(motion.replace(b'"version":"1"', b'"version":"9"', 1))
    assert (folder / "later.motion").read_bytes() != motion
    (folder / "folder").mkdir()
    run_ffmpeg("-f", "lavfi", "-i", "sine=duration=1", "-c:a", "aac", f"file:{folder / 'sound.m4a'}")
    run_ffmpeg(
        "-f",
        "lavfi",
        "-i",
        "color=c=gray:size=128x96:rate=25",
        "-frames:v",
        "6",
        *H264,
        f"file:{folder / 'grey.mp4'}",
    )
    return folder


@pytest.fixture
def invoke(
    bad: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    """`invoke(*words)` runs a command among the bad files; exit code and the one line on stderr."""

    def make(*words: str) -> tuple[int, str]:
        monkeypatch.chdir(bad)
        before = listing(bad), listing(tmp_path)
        code = command([*words, "--quiet"] if words[0] != "motion" or words[1] != "show" else [*words])
        captured = capsys.readouterr()
        assert captured.out == ""
        lines = captured.err.splitlines()
        assert len(lines) == 1, lines
        assert "Traceback" not in lines[0]
        assert "internal error" not in lines[0]
        assert (listing(bad), listing(tmp_path)) == before
        return code, lines[0]

    return make


def listing(folder: Path) -> list[tuple[str, int, bytes]]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return [(str(path), path.stat().st_size, path.read_bytes()[:64]) for path in files]


Invoke = Callable[..., tuple[int, str]]


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("missing.png", "no such file"), ("empty.png", "empty"), ("text.png", "text.png"),
        ("cut.jpg", "cut.jpg"),
        ("folder", "folder"), ("coffee.png", "no face"), ("tiny.png", "px"), ("sound.m4a", "sound.m4a"),
        ("driver.motion", "swapped"),
    ],
)  # fmt: skip
def test_sources(invoke: Invoke, tmp_path: Path, source: str, words: str) -> None:
    code, line = invoke("reenact", source, "driver.mp4", "-o", str(tmp_path / "out.mp4"))
    assert code == INPUT, line
    assert words in line
    assert source in line


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("missing.mp4", "no such file"), ("empty.mp4", "empty"), ("text.mp4", "text.mp4"),
        ("cut.mp4", "cut.mp4"),
        ("folder", "folder"), ("grey.mp4", "no face found in any of 6 frames"), ("sound.m4a", "sound"),
        ("missing.motion", "no such file"), ("empty.motion", "empty.motion"), ("text.motion", "motion file"),
        ("cut.motion", "cut off"), ("later.motion", "version 9"),
    ],
)  # fmt: skip
def test_drivers(invoke: Invoke, tmp_path: Path, name: str, words: str) -> None:
    code, line = invoke("reenact", "portrait.jpg", name, "-o", str(tmp_path / "out.mp4"))
    assert code == INPUT, line
    assert words in line
    assert name in line


def test_a_damaged_motion_file_is_refused_before_any_work(bad: Path, tmp_path: Path) -> None:
    class Told(NullProgress):
        heard: ClassVar[list[str]] = []

        def stage(self, name: str, total: int | None, unit: str = "frames") -> None:
            self.heard.append(name)

        def notice(self, text: str) -> None:
            self.heard.append(text)

    with pytest.raises(InputError, match="cut off"):
        reenact(ReenactConfig(bad / "portrait.jpg", bad / "cut.motion", tmp_path / "out.mp4"), Told())
    assert Told.heard == []


def test_photo_without_a_face_as_driver(invoke: Invoke, tmp_path: Path) -> None:
    code, line = invoke("reenact", "portrait.jpg", "coffee.png", "-o", str(tmp_path / "out.png"))
    assert code == INPUT
    assert "coffee.png" in line


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ("out.xyz", ".mp4"), ("out.txt", ".mp4"),
        ("text.png/out.mp4", "text.png"),
        ("folder", "folder"), ("portrait.jpg", "portrait.jpg"), ("driver.mp4", "input"),
        ("grey.mp4", "--overwrite"),
    ],
)  # fmt: skip
def test_outputs(invoke: Invoke, output: str, words: str) -> None:
    options = ["--codec", "png"] if output == "folder" else []
    code, line = invoke("reenact", "portrait.jpg", "driver.mp4", "-o", output, *options)
    assert code == OUTPUT, line
    assert words in line


def test_inputs_are_never_overwritten(invoke: Invoke) -> None:
    code, _ = invoke("reenact", "portrait.jpg", "driver.mp4", "-o", "driver.mp4", "--overwrite")
    assert code == OUTPUT
    code, line = invoke(
        "reenact", "portrait.jpg", "driver.mp4", "-o", "new.mp4", "--report", "portrait.jpg", "--overwrite"
    )
    assert code == OUTPUT
    assert "portrait.jpg" in line


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder in which nobody may write")
def test_unwritable_folder(invoke: Invoke) -> None:
    code, line = invoke("reenact", "portrait.jpg", "driver.mp4", "-o", "/proc/out.mp4")
    assert code == OUTPUT
    assert "/proc" in line


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--size", "63"], "--size"), (["--size", "255"], "255"), (["--size", "big"], "size"),
        (["--strength", "3"], "--strength"),
        (["--yaw-deg", "100"], "--yaw-deg"), (["--roll-deg", "-75"], "--roll-deg"),
        (["--region", "nose"], "nose"),
        (["--background", "#12345"], "#12345"), (["--background", "missing.png"], "missing.png"),
        (["--background", "transparent"], ".mov"), (["--codec", "vp9"], "vp9"), (["--crf", "99"], "--crf"),
        (["--reference-frame", "999"], "999"), (["--reference-frame", "soon"], "soon"),
        (["--face", "1", "--face-at", "3,4"], "--face"), (["--face-at", "here"], "here"),
        (["--wrong"], "--wrong"),
        (["--start", "99"], "--start"), (["--start", "0.5", "--end", "0.2"], "--end"),
        (["--crop-scale", "0.5"], "--crop-scale"), (["--crop-offset", "left"], "--crop-offset"),
        (["--head-room", "0.5"], "--head-room"), (["--head-room", "0.1", "--paste-back"], "--head-room"),
        (["--crop-offset", "0.7,0"], "--crop-offset"), (["--audio", "portrait.jpg"], "no sound"),
        (["--preview"], "picture name"),
        (["--on-missing", "panic"], "panic"),
    ],
)  # fmt: skip
def test_options(invoke: Invoke, tmp_path: Path, options: list[str], words: str) -> None:
    code, line = invoke("reenact", "portrait.jpg", "driver.motion", "-o", str(tmp_path / "out.mp4"), *options)
    assert code == USAGE, line
    assert words in line


@pytest.mark.parametrize(
    ("name", "output", "options"),
    [
        ("photo.png", "out.mp4", []),
        ("driver.mp4", "out.png", []),
        ("driver.motion", "out.png", []),
        ("driver.mp4", "out", []),
        ("driver.motion", "out.mp4", ["--side-by-side"]),
        ("driver.mp4", "out.mov", ["--side-by-side", "--background", "transparent"]),
        ("driver.mp4", "out", ["--codec", "h264", "--background", "transparent"]),
    ],
)
def test_combinations(invoke: Invoke, tmp_path: Path, name: str, output: str, options: list[str]) -> None:
    code, line = invoke("reenact", "portrait.jpg", name, "-o", str(tmp_path / output), *options)
    assert code == USAGE, line


def test_swapped_arguments(invoke: Invoke, tmp_path: Path) -> None:
    for source, driver in (("driver.mp4", "portrait.jpg"), ("driver.motion", "portrait.jpg")):
        code, line = invoke("reenact", source, driver, "-o", str(tmp_path / "out.mp4"))
        assert code == INPUT, line
        assert "swapped" in line
        assert source in line
        assert driver in line


def test_a_face_that_is_not_there(invoke: Invoke, tmp_path: Path) -> None:
    for option, name in (("--face", "portrait.jpg"), ("--driver-face", "driver.mp4")):
        code, line = invoke(
            "reenact", "portrait.jpg", "driver.mp4", "-o", str(tmp_path / "out.mp4"), option, "3"
        )
        assert code == INPUT, line
        assert f"{name}: there is no face 3" in line


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["motion", "extract", "driver.mp4", "-o", "out.json"], OUTPUT),
        (["motion", "extract", "driver.mp4", "-o", "driver.motion"], OUTPUT),
        (["motion", "extract", "grey.mp4", "-o", "out.motion"], INPUT),
        (["motion", "extract", "driver.motion", "-o", "out.motion"], INPUT),
        (["motion", "extract", "folder", "-o", "out.motion"], INPUT),
        (["motion", "show", "later.motion"], INPUT),
        (["motion", "show", "cut.motion"], INPUT),
        (["motion", "show", "driver.mp4"], INPUT),
        (["motion", "show", "driver.motion", "--plot", "photo.png"], OUTPUT),
        (["motion", "show", "driver.motion", "--plot", "out.doc"], OUTPUT),
    ],
)
def test_motion_commands(invoke: Invoke, words: list[str], code: int) -> None:
    found, line = invoke(*words)
    assert found == code, line


# Ends in the middle of the work.


def fails_at(call: int, function: Callable[..., Any], error: BaseException) -> Callable[..., Any]:
    """The function, but its n-th call raises."""
    calls = []

    def failing(*arguments: Any, **options: Any) -> Any:
        calls.append(1)
        if len(calls) == call:
            raise error
        return function(*arguments, **options)

    return failing


@pytest.mark.parametrize("output", ["out.mp4", "out"])
@pytest.mark.parametrize("call", [1, 12])
def test_interrupted_while_drawing(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, output: str, call: int
) -> None:
    monkeypatch.setattr(WarpEngine, "drive", fails_at(call, WarpEngine.drive, KeyboardInterrupt()))
    options = [
        "--size",
        "96",
        "--report",
        str(tmp_path / "r.json"),
        *(["--codec", "png"] if output == "out" else []),
    ]
    code, line = invoke("reenact", "portrait.jpg", "driver.mp4", "-o", str(tmp_path / output), *options)
    assert (code, line) == (INTERRUPTED, "interrupted: nothing was written")


def test_interrupted_keeps_what_was_there(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "out.mp4").write_bytes(b"precious")
    monkeypatch.setattr(WarpEngine, "drive", fails_at(3, WarpEngine.drive, KeyboardInterrupt()))
    words = [
        "reenact",
        "portrait.jpg",
        "driver.motion",
        "-o",
        str(tmp_path / "out.mp4"),
        "--overwrite",
        "--size",
        "96",
    ]
    assert invoke(*words)[0] == INTERRUPTED


def test_full_disk(invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    monkeypatch.setattr(FrameWriter, "_put", fails_at(5, FrameWriter._put, full))
    code, line = invoke(
        "reenact", "portrait.jpg", "driver.motion", "-o", str(tmp_path / "out.mp4"), "--size", "96"
    )
    assert code == OUTPUT
    assert "space" in line


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["portrait.jpg", "driver.mp4"], USAGE),
        (["coffee.png", "driver.mp4", "-o", "out.mp4"], INPUT),
        (["portrait.jpg", "driver.mp4", "-o", "out.xyz"], OUTPUT),
    ],
)
def test_exit_codes_of_the_process(bad: Path, words: list[str], code: int) -> None:
    before = listing(bad)
    done = subprocess.run(
        [sys.executable, "-m", "avatarkit", "reenact", *words], cwd=bad, capture_output=True, text=True,
        timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert listing(bad) == before
