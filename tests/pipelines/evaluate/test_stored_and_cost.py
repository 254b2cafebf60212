"""Clips of a dataset as videos, and what the networks of a method do for a frame."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from avatarkit.checkpoint import Meta, write_checkpoint
from avatarkit.errors import InputError, UsageError
from avatarkit.media.decode import FrameReader
from avatarkit.media.image import write_image
from avatarkit.nets.count import parameters_of
from avatarkit.nets.plain import to_plain
from avatarkit.pipelines.evaluate import cost
from avatarkit.pipelines.evaluate.cost import cost_of
from avatarkit.pipelines.evaluate.run import EvaluateConfig, Method, evaluate
from avatarkit.pipelines.evaluate.stored import is_dataset, stored_clips
from avatarkit.pipelines.reenact_config import ReenactConfig
from avatarkit.runtime import NullProgress
from avatarkit.systems.megaportraits import build
from avatarkit.systems.megaportraits.config import PRESETS

sys.path.insert(0, str(Path(__file__).parents[2] / "data"))
from drawn_clips import SIZE, drawn_clip, drawn_frame, write_dataset


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    val = [drawn_clip("d/1", "d", 12, split="val", seed=5), drawn_clip("e-1", "e", 4, split="val", seed=6)]
    write_dataset(tmp_path / "data", {"train": [[drawn_clip("a-1", "a", 11, seed=1)]], "val": [val]})
    return tmp_path / "data"


def clips(folder: Path, to: Path, split: str | None = None, limit: int | None = None) -> list[Path]:
    return stored_clips(folder, split, to, NullProgress(), limit=limit, seed=0)  # type: ignore[arg-type]


def test_stored_frames_become_videos_of_unseen_people(dataset: Path, tmp_path: Path) -> None:
    assert is_dataset(dataset)
    assert not is_dataset(tmp_path)
    (path,) = clips(dataset, tmp_path / "clips")  # the other one of val has too few frames
    assert path.stem == "d+1"
    with FrameReader(path) as reader:
        assert reader.rate == 25
        frames = list(reader)
    assert len(frames) == 12
    for number, frame in enumerate(frames):
        assert frame.shape == (SIZE, SIZE, 3)
        assert np.abs(frame.astype(int) - drawn_frame(50 + number)).mean() < 4
    before = path.stat().st_mtime_ns
    assert clips(dataset, tmp_path / "clips") == [path]
    assert path.stat().st_mtime_ns == before
    assert [item.stem for item in clips(dataset, tmp_path / "clips", "train")] == ["a-1"]


def test_splits_without_clips_and_videos_without_splits(dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no clip of test has 10 frames; choose another --split"):
        clips(dataset, tmp_path / "clips", "test")
    (tmp_path / "a.mp4").write_bytes(b"")
    with pytest.raises(UsageError, match=r"--split: .* is no dataset"):
        evaluate(EvaluateConfig("self", tmp_path / "out", clips=str(tmp_path), split="val"))


def test_networks_of_a_frame_are_counted_once_and_by_the_frame(
    tmp_path: Path, grace_hopper_path: Path, astronaut: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    preset = PRESETS["tiny-64"]
    net = build.build_base(preset.base, 0)
    nets = {"base": {"config": to_plain(net.config), "parameters": 1}}
    meta = Meta("base", "tiny-64", 1, 1, {}, nets, {}, {}, {})
    checkpoint = write_checkpoint(tmp_path / "base", meta, {"base": dict(net.state_dict())}, ({}, {}))
    write_image(tmp_path / "driver.png", astronaut)
    config = ReenactConfig(
        grace_hopper_path, tmp_path / "driver.png", tmp_path / "out.png", engine="megaportraits",
        checkpoint=(checkpoint.folder,), device="cpu", background="keep",
    )  # fmt: skip
    (tmp_path / "marks").mkdir()
    seen = cost_of(config, tmp_path / "cache", tmp_path / "marks")
    # What is done once for a source takes no part, and nothing counts twice.
    parts = (net.expression_encoder, net.warp_driver, net.projection, net.g2d)
    assert seen.parameters == sum(map(parameters_of, parts))
    assert seen.flops > 1e6
    monkeypatch.setattr(cost, "make_ready", None)  # whoever counted again would fail
    assert cost_of(config, tmp_path / "cache", tmp_path / "marks") == seen
    # All engines of an evaluation show what each of them can.
    warp, base = Method("warp", "warp"), Method("base", "auto", (checkpoint.folder,))
    shown = [EvaluateConfig("cross", tmp_path, given).shown for given in ((warp,), (warp, base), (base,))]
    assert shown == ["auto", "head", "head"]
    assert EvaluateConfig("cross", tmp_path, (warp,), framing="portrait").shown == "portrait"
