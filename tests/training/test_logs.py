"""JSON lines of steps that are done again are dropped."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from avatarkit.media.image import read_image
from avatarkit.training.logs import RunLog, read_log


def test_lines_after_the_resumed_step_go(tmp_path: Path) -> None:
    log = RunLog(tmp_path, 0)
    for step in range(4):
        log.figures("train", step, 4 * step, {"loss": step / 2, "odd": math.nan})
    log.close()
    with (tmp_path / "log.jsonl").open("a") as handle:
        handle.write('{"kind": "train", "st')
    log = RunLog(tmp_path, 2)
    log.figures("train", 2, 8, {"loss": 9.0})
    log.close()
    assert [(line["step"], line["loss"]) for line in read_log(tmp_path)] == [(0, 0.0), (1, 0.5), (2, 9.0)]
    assert read_log(tmp_path)[0]["odd"] is None
    assert list((tmp_path / "tensorboard").iterdir())


def test_pictures_are_named_after_images(tmp_path: Path) -> None:
    log = RunLog(tmp_path, 0)
    path = log.picture(3, 123, np.full((4, 6, 3), 7, np.uint8))
    log.close()
    assert path.name == "images-000000123.png"
    assert read_image(path).shape == (4, 6, 3)


def test_no_log_is_an_empty_one(tmp_path: Path) -> None:
    assert read_log(tmp_path) == []
