"""Whole jobs on real drivers and portraits, where they are at hand."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest

from avatarkit.errors import InputError
from avatarkit.media.probe import probe
from avatarkit.pipelines.faces import list_faces
from avatarkit.pipelines.reenact import reenact
from avatarkit.pipelines.reenact_config import ReenactConfig
from avatarkit.pipelines.report import ReenactReport
from avatarkit.runtime import NullProgress

pytestmark = pytest.mark.media
Run = Callable[[str, str], ReenactReport]


@pytest.fixture
def real(media_dir: Path, tmp_path: Path) -> Run:
    """Reenact a portrait by the beginning of its name, with a driver by the beginning of its."""

    def run(portrait: str, driver: str) -> ReenactReport:
        source = next((media_dir / "portraits").glob(portrait + "*"))
        video = next((media_dir / "drivers").glob(driver + "*"))
        return reenact(ReenactConfig(source, video, tmp_path / "out.mp4", size=192), NullProgress())

    return run


def test_variable_rate_and_sound(real: Run, tmp_path: Path) -> None:
    content = real("p28", "d11").content
    info = probe(tmp_path / "out.mp4")
    assert info.video is not None
    assert info.audio is not None
    assert (info.video.rate, info.video.frames) == (Fraction(30), 183)
    assert content["motion"]["missing_frames"] == 0
    assert abs(info.audio.duration - info.video.duration) < Fraction(1, 50)


def test_cuts_are_found_and_survived(real: Run) -> None:
    content = real("p24", "d10").content
    assert content["motion"]["cuts"] == [22, 93]
    assert len(content["motion"]["reference_frames"]) == 3
    assert content["output"]["frames"] == 289


def test_several_faces_are_numbered_from_left_to_right(media_dir: Path) -> None:
    faces = list_faces(media_dir / "odd" / "several-faces-1.jpg")
    assert [face.index for face in faces] == [0, 1, 2]
    assert faces[0].box[0] < faces[1].box[0] < faces[2].box[0]


@pytest.mark.parametrize("name", ["no-face-1.jpg", "no-face-2.jpg"])
def test_no_face_is_refused(media_dir: Path, tmp_path: Path, name: str) -> None:
    driver = next((media_dir / "drivers").glob("d01*"))
    config = ReenactConfig(media_dir / "odd" / name, driver, tmp_path / "out.mp4", size=192)
    with pytest.raises(InputError, match=f"{name}: no face found"):
        reenact(config, NullProgress())
    assert not list(tmp_path.iterdir())
