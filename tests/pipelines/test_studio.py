"""Work that is done once: a studio and its cache change no byte of the output, and make nothing twice."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from avatarkit.face.types import FaceChoice
from avatarkit.media.borders import NONE
from avatarkit.media.image import write_image
from avatarkit.pipelines.program import open_cache
from avatarkit.pipelines.reenact import reenact
from avatarkit.pipelines.reenact_config import ReenactConfig
from avatarkit.pipelines.studio import Studio
from avatarkit.runtime import NullProgress

from .conftest import Notices, Run


@pytest.fixture(scope="module")
def plain(run: Run, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("plain") / "out.mp4"
    run(path, size=128)
    return path.read_bytes()


@pytest.fixture
def config(grace_hopper_path: Path, driver: Path, tmp_path: Path) -> Any:
    def make(output: str, **values: Any) -> ReenactConfig:
        usual = {"source": grace_hopper_path, "driver": driver, "size": 128}
        return ReenactConfig(**{**usual, **values}, output=tmp_path / output)

    return make


def test_second_run_takes_all_from_the_cache(config: Any, plain: bytes, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    for name, made in (("a.mp4", {"portrait": 1, "driver": 1}), ("b.mp4", {})):
        with Studio(open_cache(cache)) as studio:
            progress = Notices()
            report = reenact(config(name), progress, studio)
            assert studio.made == made
        assert (tmp_path / name).read_bytes() == plain
        assert report.content["source"]["matting"] != "none"
        assert report.content["source"]["better"]
    assert "track" not in dict(progress.stages)
    kinds = {one.kind: one.entries for one in open_cache(cache).usage()}
    assert kinds == {"drivers": 1, "foregrounds": 1, "mattes": 1, "plates": 1, "portraits": 1}


def test_copies_under_other_names_are_the_same_and_other_options_are_not(config: Any, tmp_path: Path) -> None:
    with Studio(open_cache(tmp_path / "cache"), keep=4) as studio:
        reenact(config("a.mp4"), NullProgress(), studio)
        source = tmp_path / "copy.jpg"
        shutil.copy(config("x").source, source)
        reenact(config("b.mp4", source=source), NullProgress(), studio)
        assert studio.made == {"portrait": 1, "driver": 1}
        assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()
        reenact(config("c.mp4", on_missing="hold"), NullProgress(), studio)
        assert studio.made == {"portrait": 1, "driver": 2}
        reenact(config("d.mp4", face=FaceChoice(at=(250.0, 150.0))), NullProgress(), studio)
        assert studio.made == {"portrait": 2, "driver": 2}


def test_a_studio_that_keeps_in_memory_changes_no_byte(config: Any, plain: bytes, photo: Path, tmp_path: Path) -> None:
    with Studio(keep=1) as studio:
        for name, values in (("a.mp4", {}), ("b.png", {"driver": photo}), ("c.mp4", {}), ("d.mp4", {})):
            reenact(config(name, **values), NullProgress(), studio)
        assert studio.made == {"portrait": 1, "driver": 3}  # one driver is kept at a time
    assert {(tmp_path / name).read_bytes() for name in ("a.mp4", "c.mp4", "d.mp4")} == {plain}


def test_changed_file_is_seen(config: Any, framed: Path, tmp_path: Path) -> None:
    source = tmp_path / "source.png"
    shutil.copy(framed, source)
    with Studio(keep=2) as studio:
        before = studio.digest(source)
        source.write_bytes(framed.read_bytes() + b"\0")
        assert studio.digest(source) != before


def test_a_plain_border_is_left_out_and_told(config: Any, own_picture: np.ndarray, tmp_path: Path) -> None:
    """Except with paste-back, which keeps the picture whole."""
    wide = np.pad(own_picture, ((20, 30), (40, 0), (0, 0)), constant_values=255)
    write_image(tmp_path / "print.png", wide)
    with Studio() as studio:
        asked = config("a.mp4", source=tmp_path / "print.png")
        portrait, whole = studio.portrait(asked), studio.portrait(replace(asked, paste_back=True))
        assert whole.border == NONE
        assert whole.picture.shape == wide.shape
        assert (portrait.border.top, portrait.border.left, portrait.border.right) == (21, 41, 0)
        inside = portrait.border.within(*wide.shape[:2])
        np.testing.assert_array_equal(portrait.picture, wide[inside])
        np.testing.assert_allclose(portrait.face.landmarks[:, :2] + [41, 21], whole.face.landmarks[:, :2])
        progress = Notices()
        reenact(asked, progress, studio)
    assert any("print.png: has a plain border, which is left out" in line for line in progress.notices)
