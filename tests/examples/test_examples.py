"""Every example runs from another folder and writes what its README says."""

from __future__ import annotations

import json
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from avatarkit.media.decode import FrameReader
from avatarkit.media.image import read_image_rgba
from avatarkit.media.probe import MediaInfo, probe

HALVES = slice(0, 128), slice(128, 256)
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
NAMES = sorted(path.name for path in EXAMPLES.iterdir() if path.is_dir())


def run(name: str, folder: Path) -> str:
    """Run an example from the folder above `folder` and return what it prints."""
    command = [sys.executable, str(EXAMPLES / name / "run.py"), folder.name]
    done = subprocess.run(
        command, cwd=folder.parent, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stderr == ""
    return done.stdout


def check_video(path: Path, frames: int) -> MediaInfo:
    info = probe(path)
    assert info.video is not None
    assert (info.video.width, info.video.height, info.video.rate) == (256, 256, Fraction(25))
    assert info.video.frames == frames
    return info


def test_each_example_has_a_script_and_a_short_readme() -> None:
    assert NAMES == ["frames-in-python", "motion-file", "single-pair", "transparent-layer"]
    for name in NAMES:
        assert (EXAMPLES / name / "run.py").is_file()
        assert len((EXAMPLES / name / "README.md").read_text(encoding="utf-8").splitlines()) <= 14


@pytest.mark.parametrize("name", NAMES)
def test_help_shows_help(name: str, tmp_path: Path) -> None:
    command = [sys.executable, str(EXAMPLES / name / "run.py"), "--help"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=True)
    assert done.stdout.startswith("usage: run.py")
    assert list(tmp_path.iterdir()) == []


def test_single_pair(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    assert "sound copied" in run("single-pair", folder)
    info = check_video(folder / "result.mp4", 40)
    assert info.audio is not None
    assert abs(float(info.audio.duration) - 1.6) < 0.02
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert report["output"]["frames"] == 40


def test_frames_in_python(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    assert "25 frames; prepared {'portrait': 1, 'driver': 1}" in run("frames-in-python", folder)
    frames = list(FrameReader(folder / "both.mp4"))
    assert len(frames) == 25
    assert frames[0].shape == (128, 256, 3)
    left, right = (np.abs(frames[0][:, half].astype(int) - frames[12][:, half]).mean() for half in HALVES)
    assert left > right > 0


def test_motion_file(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    assert "frames: 40 at 25 fps" in run("motion-file", folder)
    assert (folder / "driver.motion").stat().st_size < 500_000
    for name in ("all.mp4", "pose.mp4"):
        assert check_video(folder / name, 40).audio is None


def test_transparent_layer(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    run("transparent-layer", folder)
    info = check_video(folder / "layer.mov", 25)
    assert info.video is not None
    assert info.video.codec == "prores"
    assert "a" in info.video.pix_fmt
    assert len(list((folder / "layer").iterdir())) == 25
    color, alpha = read_image_rgba(folder / "layer" / "000012.png")
    assert alpha is not None
    assert alpha[4, 4] < 0.05
    assert alpha[128, 128] > 0.95
    over, _ = read_image_rgba(folder / "over-blue.png")
    np.testing.assert_allclose(over[4, 4], (30, 60, 120), atol=8)
    np.testing.assert_allclose(over[128, 128].astype(int), color[128, 128].astype(int), atol=8)
