"""A portrait's checkpoint adapted to generated footage, end to end: made, driven, and refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from avatarkit.checkpoint import Checkpoint, Meta, write_checkpoint
from avatarkit.cli.app import app
from avatarkit.errors import InputError, UsageError
from avatarkit.head.landmark_picture import draw_landmarks, landmark_lines
from avatarkit.head.square import portrait_square
from avatarkit.media.image import write_image
from avatarkit.nets.plain import to_plain
from avatarkit.pipelines.driver import DriverPart
from avatarkit.pipelines.personalize import adapted, footage
from avatarkit.pipelines.personalize.config import PersonalizeConfig
from avatarkit.pipelines.personalize.run import personalize
from avatarkit.pipelines.portrait import avatar_portrait
from avatarkit.pipelines.reenact import reenact
from avatarkit.pipelines.reenact_config import ReenactConfig
from avatarkit.runtime import NullProgress
from avatarkit.systems.avatar_file import read_about, read_avatar
from avatarkit.systems.metaportrait.build import build_portrait
from avatarkit.systems.metaportrait.config import PRESETS, LinesConfig
from avatarkit.systems.metaportrait.portrait import Portrait
from avatarkit.systems.metaportrait.stages import adapt as module
from avatarkit.systems.metaportrait.stages.config import META, PAPER, TINY, EnhancerTrain, MetaTrain

from .conftest import FRAMES, Notices, frames_of

PRESET = PRESETS[TINY]
CONFIG = replace(PRESET.portrait, identity=PRESET.own_identity)


def written(folder: Path, stage: str, portrait: Portrait, config: object) -> Checkpoint:
    nets = {"portrait": {"config": to_plain(portrait.config), "parameters": 1}}
    meta = Meta(stage, TINY, 3, 1, asdict(config), nets, {}, {}, {})  # type: ignore[call-overload]
    return write_checkpoint(folder, meta, {"portrait": dict(portrait.state_dict())}, ({}, {}))


@pytest.fixture(scope="module")
def start(workshop: Path) -> Checkpoint:
    """An untrained tiny portrait, whose inner steps go far, yet no first one gets worse by chance."""
    far = replace(META[TINY], inner_lr=3e-4)
    return written(workshop / "meta", "metaportrait/meta", build_portrait(CONFIG, 0), far)


@pytest.fixture(scope="module", autouse=True)
def small() -> Iterator[None]:
    """A second of footage is enough."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(footage, "LEAST_SECONDS", 0.5)
        before = torch.get_num_threads()
        torch.set_num_threads(1)
        yield
        torch.set_num_threads(before)


@pytest.fixture(scope="module")
def made(start: Checkpoint, driver: Path, workshop: Path) -> tuple[Path, Notices, list[dict[str, torch.Tensor]]]:
    """The avatar after a few steps, what was said, and the frames: source, learned from, held out."""
    path, progress = workshop / "adapted" / "me.avatar", Notices()
    path.parent.mkdir()
    ticks = iter(range(1000))
    seen: list[dict[str, torch.Tensor]] = []

    def watched(portrait: Portrait, *given: object, **more: object) -> module.Adapted:
        seen.extend(given[:3])  # type: ignore[arg-type]
        return module.adapt(portrait, *given, **more)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(adapted, "adapt", watched)
        config = PersonalizeConfig((driver,), path, True, minutes=30 / 60, checkpoint=start.folder.parent.parent)
        report = personalize(config, progress, clock=lambda: float(next(ticks)))
    assert report.summary_lines()[1].startswith("held-out error in the face: 0.")
    return path, progress, seen


def test_held_out_frames_gain(made: tuple[Path, Notices, list[dict[str, torch.Tensor]]], start: Checkpoint) -> None:
    path, progress, (source, learned, held_out) = made
    about = read_about(path)
    assert "agreed" in about["consent"]
    assert about["start"] == f"from metaportrait/meta {start.sha256[:12]}"
    figures = about["learned"]
    assert figures["frames"] + figures["held_out_frames"] == FRAMES
    assert figures["held_out_frames"] == len(held_out["image"]) == 3
    assert figures["steps"] == progress.done - 1 > 8
    assert figures["errors"]["after"] < 0.98 * figures["errors"]["before"]
    assert [item.name for item in path.parent.iterdir()] == ["me.avatar"]
    assert len(source["image"]) == 1
    assert len(learned["image"]) == FRAMES - 3
    lines = landmark_lines(CONFIG.flow.lines.name)
    for frames in made[2]:
        for points, drawn in zip(frames["landmarks"], frames["lines"], strict=True):
            np.testing.assert_array_equal(drawn[0].permute(1, 2, 0), draw_landmarks(points.numpy(), 64, lines))
        assert frames["image"].dtype == frames["matte"].dtype == torch.uint8
        assert frames["image"].shape[1:] == (3, 64, 64)
        assert frames["matte"].shape[1:] == (1, 64, 64)
        assert frames["matte"][:, 0, 34:40, 30:34].min() > 250  # the face is the person's
    assert not torch.equal(learned["landmarks"][-1], held_out["landmarks"][0])
    # The source is what engines cut from the file.
    kept = avatar_portrait(path)
    square = portrait_square(kept.picture, kept.face.landmarks, 64)
    np.testing.assert_array_equal(source["image"][0].permute(1, 2, 0), square.picture)
    np.testing.assert_array_equal(source["landmarks"][0], square.landmarks)


def test_it_is_driven_and_differs_from_what_it_was_before(
    made: tuple[Path, Notices, list[dict[str, torch.Tensor]]], start: Checkpoint, driver: Path, tmp_path: Path
) -> None:
    portrait = avatar_portrait(made[0])
    write_image(tmp_path / "source.png", portrait.picture)
    common = {"size": 64, "part": DriverPart(0.0, 0.2), "device": "cpu", "background": "keep"}
    frames = {}
    for name, source, checkpoint in (("own", made[0], ()), ("any", tmp_path / "source.png", (start.folder,))):
        output = tmp_path / f"{name}.mp4"
        reenact(ReenactConfig(source, driver, output, checkpoint=checkpoint, **common), NullProgress())  # type: ignore[arg-type]
        frames[name] = np.stack(frames_of(output)).astype(float)
        assert (b"agreed" in output.read_bytes()) == (name == "own")
    assert np.abs(frames["own"] - frames["any"]).mean() > 3
    assert read_avatar(made[0]).net.system == "metaportrait"


def test_what_cannot_be_is_refused_before_anything_is_tracked(
    start: Checkpoint, driver: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def tracked(*given: object) -> None:
        raise AssertionError("it was tracked")

    monkeypatch.setattr(adapted, "followed", tracked)
    other = replace(CONFIG, flow=replace(CONFIG.flow, lines=LinesConfig("mediapipe-478", "contours", "0" * 64)))
    net, foreign, meta = build_portrait(CONFIG, 0), build_portrait(other, 0), META[TINY]
    refused = (
        (written(tmp_path / "a", "refined-warp/refine", net, meta), "is a checkpoint of train refined-warp/refine"),
        (written(tmp_path / "b", "metaportrait/enhancer", net, EnhancerTrain()), "starts from one of metaportrait/"),
        (written(tmp_path / "c", "metaportrait/meta", foreign, meta), "other edges or colours"),
    )
    me = tmp_path / "out" / "me.avatar"
    me.parent.mkdir()
    for checkpoint, said in refused:
        with pytest.raises(InputError, match=said) as caught:
            personalize(PersonalizeConfig((driver,), me, True, checkpoint=checkpoint.folder), NullProgress())
        assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="does not exist"):
        personalize(PersonalizeConfig((driver,), me, True, checkpoint=tmp_path / "none"), NullProgress())
    with pytest.raises(UsageError, match="--consent"):
        personalize(PersonalizeConfig((driver,), me, False, checkpoint=start.folder), NullProgress())
    with pytest.raises(AssertionError, match="tracked"):
        personalize(PersonalizeConfig((driver,), me, True, checkpoint=start.folder), NullProgress())
    assert list(me.parent.iterdir()) == []
    refusal = CliRunner().invoke(
        app, ["personalize", str(driver), "-o", str(me), "--consent", "--checkpoint", str(tmp_path / "none")]
    )
    assert refusal.exit_code != 0


def test_without_perceptual_weights_pixels_judge_and_an_end_in_the_middle_leaves_nothing(
    driver: Path, tmp_path: Path, workshop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner: list[MetaTrain] = []

    def stop(*given: object, **more: object) -> None:
        assert isinstance(given[4], MetaTrain)
        inner.append(given[4])
        assert given[5] is None
        raise KeyboardInterrupt

    monkeypatch.setattr(adapted, "adapt", stop)
    monkeypatch.setattr(adapted, "present", lambda name: False)
    net, progress = build_portrait(CONFIG, 0), Notices()
    start = written(workshop / "perceptual", "metaportrait/meta", net, replace(META[PAPER], inner_lr=0.5)).folder
    with pytest.raises(KeyboardInterrupt):
        personalize(PersonalizeConfig((driver,), tmp_path / "me.avatar", True, checkpoint=start), progress)
    assert any("weights fetch vgg19" in line for line in progress.notices)
    assert (inner[0].loss.vgg19, inner[0].loss.warp_vgg19, inner[0].inner_lr) == (0, 0, 0.5)
    assert inner[0].loss.pixel > 0
    assert list(tmp_path.iterdir()) == []
