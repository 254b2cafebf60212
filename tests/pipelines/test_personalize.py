"""An avatar from generated footage, end to end: made, resumed, driven, and refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
import pytest
import torch

from avatarkit.checkpoint import open_checkpoint
from avatarkit.errors import InputError, OutputError, UsageError
from avatarkit.face.types import Face
from avatarkit.motion.file import read_motion
from avatarkit.pipelines.driver import DriverPart
from avatarkit.pipelines.personalize import footage, learn, run
from avatarkit.pipelines.personalize.config import PersonalizeConfig
from avatarkit.pipelines.personalize.keep import without_faces
from avatarkit.pipelines.personalize.learn import best_parts, described, far_apart
from avatarkit.pipelines.personalize.pairs import read_pairs
from avatarkit.pipelines.personalize.run import personalize
from avatarkit.pipelines.reenact import reenact
from avatarkit.pipelines.reenact_config import ReenactConfig
from avatarkit.runtime import NullProgress
from avatarkit.systems.avatar_file import read_avatar, write_avatar
from avatarkit.systems.refined_warp.losses import pyramid_loss
from avatarkit.systems.refined_warp.network import Refinement, RefinementConfig

from ..motion.small_motion import small_motion
from .conftest import FRAMES, Notices, frames_of

SMALL = RefinementConfig(face=64, mouth=64, eye=(48, 32), widths=(8, 8, 8))


@pytest.fixture(scope="module")
def small() -> pytest.MonkeyPatch:
    """A second of footage is enough, and small nets learn from it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(footage, "LEAST_SECONDS", 0.5)
        patch.setattr(run, "RefinementConfig", lambda: SMALL)
        patch.setattr(footage, "USUAL_SIZE", 256)
        before = torch.get_num_threads()
        torch.set_num_threads(1)
        yield patch
        torch.set_num_threads(before)


@pytest.fixture(scope="module")
def made(driver: Path, workshop: Path, small: pytest.MonkeyPatch) -> tuple[Path, Notices]:
    """An avatar, made after an interruption, by a clock that a step takes a tenth of a second of."""
    path, progress, ticks = workshop / "me.avatar", Notices(), count()
    config = PersonalizeConfig((driver,), path, True, minutes=0.02)
    with small.context() as broken:

        def stop(learning: learn._Run) -> str:
            look(learning)
            raise KeyboardInterrupt

        look = learn._Run.look
        broken.setattr(learn._Run, "look", stop)
        with pytest.raises(KeyboardInterrupt):
            personalize(config, NullProgress(), clock=lambda: 0.1 * next(ticks))
    assert not path.exists()
    shutil.copytree(config.work, workshop / "kept")
    personalize(config, progress, clock=lambda: 0.1 * next(ticks))
    assert read_avatar(path).about["learned"]["steps"] > open_checkpoint(workshop / "kept").meta.step > 0
    return path, progress


def test_openings_are_those_of_the_footage(made: tuple[Path, Notices]) -> None:
    pairs, _ = read_pairs(made[0].parent / "kept", SMALL) or pytest.fail("nothing was kept")
    weights = read_avatar(made[0]).net.weights
    eyes = [pairs.parts[name][~pairs.held_out] for name in ("right_eye", "left_eye")]
    # The middle of what is stored, without the margin of three and two pixels.
    seen = [float(eye[row, 2:-2, 3:-3, 6].mean()) / 255.0 for eye in eyes for row in range(len(eye))]
    least = float(weights["eye.least_open"])
    assert 0.0 < least == pytest.approx(np.quantile(seen, 0.01), abs=1e-4)
    assert least < np.median(seen)
    edge = (pairs.parts["mouth"].shape[1] - SMALL.mouth) // 2
    masks = pairs.parts["mouth"][~pairs.held_out, edge:-edge, edge:-edge, 6] / 255.0
    lips = np.stack([masks.mean(axis=2).max(axis=1), masks.mean(axis=1).max(axis=1)], axis=1)
    openings = np.asarray(weights["mouth.openings"])
    away = np.linalg.norm(openings[:, None] - lips[None], axis=2)
    assert away.min(axis=1).max() < 1e-4
    assert (openings.max(axis=0) <= np.quantile(lips, 0.99, axis=0) + 1e-4).all()
    assert len(np.unique(openings.round(5), axis=0)) > 8
    assert float(weights["mouth.familiar"]) == 1.0


def test_moments_are_learned_with_those_that_follow_them(made: tuple[Path, Notices], tmp_path: Path) -> None:
    pairs, _ = read_pairs(made[0].parent / "kept", SMALL) or pytest.fail("nothing was kept")
    last = int(np.flatnonzero(~pairs.held_out)[-1])
    assert not pairs.followed[last]  # the next one is held out
    assert pairs.followed[:last].mean() > 0.9
    some = np.where(np.arange(len(pairs.followed)) == 3, False, pairs.followed)
    seen: list[np.ndarray] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(learn.Pairs, "batch", lambda self, rows: seen.append(rows))
        patch.setattr(learn.Learner, "step", lambda self, batch, share: {})
        learning = learn._Run(replace(pairs, followed=some), SMALL, tmp_path, pyramid_loss, 0, lambda: 0.0)
        for _ in range(200):
            learning.step(0.0)
    twos = {tuple(two) for rows in seen for two in rows.reshape(-1, 2).tolist()}
    assert {(3, 3), (last, last), (2, 3), (4, 5)} <= twos
    assert all(second - first == some[first] and not pairs.held_out[second] for first, second in twos)


def test_seldom_openings_are_drawn_more_often() -> None:
    lids = torch.tensor([1.0] * 16 + [0.96] * 9 + [0.5] * 4 + [0.0])
    # 25 within a tenth of one another, four, and a single one.
    torch.testing.assert_close(learn.how_often(lids), torch.tensor([0.2] * 25 + [0.5] * 4 + [1.0]))
    # What is seldom in one way counts; and equal ones count alike.
    mouths = torch.tensor([0.0] + [1.0] * 29)
    torch.testing.assert_close(learn.how_often(lids, mouths)[[0, 1, 25, 29]], torch.tensor([1.0, 0.2, 0.5, 1.0]))
    torch.testing.assert_close(learn.how_often(torch.full((4,), 0.3)), torch.full((4,), 0.5))


def test_a_grimace_does_not_fill_the_batches() -> None:
    usual = torch.full((400,), 0.5)
    usual[7] = 9.0
    weights = learn.how_often(usual, usual)
    assert float(weights[7] / weights[0]) == pytest.approx(5.0)


def test_moments_are_drawn_by_lids_and_mouths(made: tuple[Path, Notices], tmp_path: Path) -> None:
    pairs, _ = read_pairs(made[0].parent / "kept", SMALL) or pytest.fail("nothing was kept")
    rows, edge = np.flatnonzero(~pairs.held_out), (pairs.parts["mouth"].shape[1] - SMALL.mouth) // 2
    eyes = np.mean([pairs.parts[name][rows, 2:-2, 3:-3, 6].mean((1, 2)) for name in ("right_eye", "left_eye")], axis=0)
    mouths = pairs.parts["mouth"][rows, edge:-edge, edge:-edge, 6].mean(1).max(1)
    weights = learn.how_often(torch.tensor(eyes / 255.0), torch.tensor(mouths / 255.0)).numpy()
    drawn: list[np.ndarray] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(learn.Pairs, "batch", lambda self, some: drawn.append(some[::2]))
        patch.setattr(learn.Learner, "step", lambda self, batch, share: {})
        learning = learn._Run(pairs, SMALL, tmp_path, pyramid_loss, 0, lambda: 0.0)
        for _ in range(4000):
            learning.step(0.0)
    counts = np.bincount(np.concatenate(drawn), minlength=len(pairs.held_out))[rows]
    order, fifth = np.argsort(weights), len(weights) // 5
    seldom, usual = order[-fifth:], order[:fifth]
    expected = weights[seldom].sum() / weights[usual].sum()
    assert expected > 1.5
    assert counts[seldom].sum() / counts[usual].sum() == pytest.approx(expected, rel=0.15)


def test_each_part_keeps_its_own_best_net(made: tuple[Path, Notices], tmp_path: Path) -> None:
    pairs, _ = read_pairs(made[0].parent / "kept", SMALL) or pytest.fail("nothing was kept")
    learning = learn._Run(pairs, SMALL, tmp_path, pyramid_loss, 0, lambda: 0.0)
    # Face, mouth and eye at four looks: all get better, then one, then another, then none.
    looks = iter([(0.9, 0.9, 0.9), (0.95, 0.8, 0.95), (0.7, 0.85, 0.95), (0.8, 0.8, 0.9)])

    def errors_of(net: Refinement, *_: object) -> tuple[dict[str, float], None]:
        values = dict(zip(("face", "mouth", "right_eye"), next(looks), strict=True))
        values["left_eye"] = values["right_eye"]
        errors = {f"{name}/{kind}": value for name, value in values.items() for kind in ("l1", "perceptual")}
        errors |= {f"warp/{name}/{kind}": 1.0 for name in values for kind in ("l1", "perceptual")}
        return errors | {f"{name}/detail": 1.0 for name in values}, None

    worse = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(learn, "held_out_errors", errors_of)
        patch.setattr(learn, "_sheet", lambda refined: b"")
        for number in range(4):
            with torch.no_grad():
                for tensor in learning._learner.averaged.parameters():
                    tensor.fill_(float(number))
            learning.look()
            worse.append(learning.worse)
    assert worse == [0, 0, 0, 1]
    learning.keep()
    again = learn._Run(pairs, SMALL, tmp_path, pyramid_loss, 0, lambda: 0.0)
    for best in (learning._best, again._best):
        kept = {part: float(best[f"{part}.trunk.first.bias"].mean()) for part in ("face", "mouth", "eye")}
        assert kept == {"face": 2.0, "mouth": 1.0, "eye": 0.0}
    assert again._scores == pytest.approx({"face": 0.7, "mouth": 0.8, "eye": 0.9})


def test_long_footage_is_taken_in_twos() -> None:
    rows = np.arange(100, 1100)
    some = footage.evenly(rows, 100, run=2)
    assert (some.reshape(-1, 2)[:, 1] - some.reshape(-1, 2)[:, 0] == 1).all()
    assert (len(some), some[0], some[-1]) == (100, 100, 1099)
    assert footage.evenly(rows, 10).tolist() == [100, 211, 322, 433, 544, 655, 766, 877, 988, 1099]
    np.testing.assert_array_equal(footage.evenly(rows[:50], 100, run=2), rows[:50])


def test_frames_are_followed_within_their_shot_alone(tmp_path: Path) -> None:
    motion = read_motion(small_motion(tmp_path / "m", 8))
    shots = np.array([0, 0, 0, 0, 1, 1, 1, 1], np.int32)
    motion = replace(motion, shot=shots, identity=np.repeat(motion.identity, 2, axis=0))
    rows = np.array([0, 1, 3, 4, 5, 7])
    assert footage.followed_by_next(rows, motion).tolist() == [True, False, False, True, False, False]
    assert footage.followed_by_next(rows[:0], motion).tolist() == []


def test_points_far_apart() -> None:
    points = torch.tensor([[0.0], [1.0], [10.0], [9.0], [5.0]])
    assert far_apart(points, 3).flatten().tolist() == [0.0, 10.0, 5.0]
    assert sorted(far_apart(points, 7).flatten().tolist()[:5]) == [0.0, 1.0, 5.0, 9.0, 10.0]


def test_it_goes_on_after_an_interruption(made: tuple[Path, Notices]) -> None:
    path, progress = made
    assert any("goes on" in line for line in progress.notices)
    assert "track" not in dict(progress.stages)
    assert [item for item in path.parent.iterdir() if item.name.endswith(".work")] == []


@pytest.mark.parametrize("name", ["pairs.json", "rows.safetensors", "face.npy", "source.safetensors"])
def test_damaged_work_is_made_again(made: tuple[Path, Notices], driver: Path, name: str, tmp_path: Path) -> None:
    config = PersonalizeConfig((driver,), tmp_path / "me.avatar", True, minutes=0.02)
    shutil.copytree(made[0].parent / "kept", config.work)
    (config.work / name).write_bytes(b"PK\3\4")

    def again(*about: object) -> None:
        raise InputError("made again")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "_prepare", again)
        with pytest.raises(InputError, match="made again"):
            personalize(config, NullProgress())


def test_work_of_somebody_else_is_kept(driver: Path, tmp_path: Path, small: pytest.MonkeyPatch) -> None:
    config = PersonalizeConfig((driver,), tmp_path / "me.avatar", True, minutes=0.02)
    config.work.mkdir()
    (config.work / "thesis.txt").write_text("mine")
    with pytest.raises(OutputError, match=r"holds thesis\.txt"):
        personalize(config, NullProgress())
    other = config.work.rename(tmp_path / "other")
    config.work.symlink_to(other)
    with pytest.raises(OutputError, match="is a link"):
        personalize(config, NullProgress())
    assert (other / "thesis.txt").read_text() == "mine"


def test_damaged_learning_is_refused_in_a_line(made: tuple[Path, Notices], driver: Path, tmp_path: Path) -> None:
    config = PersonalizeConfig((driver,), tmp_path / "me.avatar", True, minutes=0.02)
    shutil.copytree(made[0].parent / "kept", config.work)
    (state,) = (config.work / "checkpoints").glob("*/averaged.safetensors")
    state.write_bytes(state.read_bytes()[:-4])
    with pytest.raises(InputError, match="delete this folder"):
        personalize(config, NullProgress())


def test_the_file_says_how_it_was_made(made: tuple[Path, Notices], driver: Path) -> None:
    about = read_avatar(made[0]).about
    assert "agreed" in about["consent"]
    assert [item["name"] for item in about["footage"]] == [driver.name]
    assert about["learned"]["frames"] + about["learned"]["held_out_frames"] == FRAMES
    assert about["learned"]["steps"] > 0


def test_it_is_driven(made: tuple[Path, Notices], driver: Path, tmp_path: Path) -> None:
    outputs, shifted = [], tmp_path / "me.avatar"
    # In so few steps nothing need have been learned.
    avatar = read_avatar(made[0])
    avatar.net.weights["face.shift.bias"] += 0.5
    write_avatar(shifted, avatar)
    for engine in ("auto", "warp"):
        output, report = tmp_path / f"{engine}.mp4", tmp_path / f"{engine}.json"
        options = {"size": 256, "engine": engine, "report": report, "part": DriverPart(0.0, 0.3)}
        reenact(ReenactConfig(shifted, driver, output, **options), NullProgress())
        outputs.append((json.loads(report.read_text())["engine"], frames_of(output), output))
    assert outputs[0][0].startswith("avatar me.avatar")
    assert outputs[1][0].startswith("warp")
    difference = np.stack(outputs[0][1]).astype(int) - np.stack(outputs[1][1])
    assert 0.5 < np.abs(difference).mean() < 12.0
    assert b"agreed" in outputs[0][2].read_bytes()
    assert b"agreed" not in outputs[1][2].read_bytes()


def test_an_avatar_that_exists_is_kept(made: tuple[Path, Notices], driver: Path) -> None:
    with pytest.raises(OutputError, match="exists"):
        personalize(PersonalizeConfig((driver,), made[0], True), NullProgress())


def test_refusals(driver: Path, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(footage, "LEAST_SECONDS", 10.0)
    me = tmp_path / "me.avatar"
    with pytest.raises(UsageError, match="--consent"):
        personalize(PersonalizeConfig((driver,), me, False), NullProgress())
    with pytest.raises(UsageError, match=r"\.avatar"):
        personalize(PersonalizeConfig((driver,), tmp_path / "me.mp4", True), NullProgress())
    with pytest.raises(InputError, match="one picture"):
        personalize(PersonalizeConfig((photo,), me, True), NullProgress())
    with pytest.raises(InputError, match="at least 10 s"):
        personalize(PersonalizeConfig((driver,), me, True), NullProgress())
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_avatar_is_refused(driver: Path, tmp_path: Path) -> None:
    path = tmp_path / "me.avatar"
    path.write_bytes(b"no avatar")
    with pytest.raises(InputError, match="damaged"):
        reenact(ReenactConfig(path, driver, tmp_path / "out.mp4"), NullProgress())


def test_nobody_else_is_kept(astronaut: np.ndarray) -> None:
    face = Face(np.zeros((478, 3), np.float32), (60.0, 40.0, 120.0, 110.0), 1.0)
    hidden = without_faces(astronaut, [face])
    inside = np.s_[50:100, 70:110]
    assert np.abs(np.diff(hidden[inside].astype(int), axis=0)).mean() < 2.5
    assert hidden[200:].tobytes() == astronaut[200:].tobytes()


def _judged(spoils: bool, eye: float) -> Callable[[Refinement], dict[str, float]]:
    """Errors of a net whose face net mends the face and spoils the mouth, which the mouth net mends if it may."""

    def errors_of(net: Refinement) -> dict[str, float]:
        face, mouth = (bool(layer.weight.any()) for layer in (net.face.shift, net.mouth.tone))
        values = {"face": 0.7 if face else 1.0, "mouth": 1.0 + 0.2 * face - (-0.1 if spoils else 0.4) * mouth}
        values |= {"right_eye": eye if net.eye.colours.weight.any() else 1.0, "left_eye": 1.0}
        errors = {f"warp/{name}/{kind}": 1.0 for name in values for kind in ("l1", "perceptual")}
        errors |= {f"{name}/{kind}": value for name, value in values.items() for kind in ("l1", "perceptual")}
        return errors | {f"{name}/detail": 1.0 for name in values}

    return errors_of


@pytest.mark.parametrize(
    ("spoils", "eye", "expected"),
    [(False, 0.9, [True, True, True]), (True, 0.9, [False, False, True]), (True, 0.96, [False, False, False])],
)
def test_nothing_is_worse_than_the_warp_and_nets_of_little_use_are_left_out(
    spoils: bool, eye: float, expected: list[bool]
) -> None:
    net = Refinement(SMALL)
    for layer in (net.face.shift, net.mouth.tone, net.eye.colours):
        layer.weight.data.fill_(0.1)
    best, errors = best_parts(net, _judged(spoils, eye))
    last = (best.face.shift, best.mouth.tone, best.eye.colours)
    assert [bool(layer.weight.any()) for layer in last] == expected
    assert max(errors.values()) <= 1.0
    rounded = {name: value * (1.0 + 1e-4 * name.startswith("warp")) for name, value in errors.items()}
    assert ("as it is" in described(rounded)) == (not any(expected))
