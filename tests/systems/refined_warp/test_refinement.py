"""The nets on stored parts and on frames: neutral at first, the same at both, and able to learn."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from avatarkit.errors import UsageError
from avatarkit.geometry.rotation import from_euler_deg
from avatarkit.motion.transfer import Posture
from avatarkit.systems.landmark_warp.engine import WarpEngine
from avatarkit.systems.protocol import Drawn, SourceLayers
from avatarkit.systems.refined_warp.batch import jitter, refine
from avatarkit.systems.refined_warp.correct import Corrector
from avatarkit.systems.refined_warp.engine import RefinedEngine
from avatarkit.systems.refined_warp.maps import grid, spots, whole_within
from avatarkit.systems.refined_warp.network import (
    MOST_SHIFT,
    START_GAIN,
    Refinement,
    RefinementConfig,
    detail,
)  # fmt: skip
from avatarkit.systems.refined_warp.patches import NAMES, Patch, patches
from avatarkit.systems.refined_warp.samples import Sample, part_sizes, sample, warped

from ..conftest import Move
from .conftest import SMALL, batch_of, random_net


def test_untrained_it_only_gives_back_some_detail(samples: list[Sample]) -> None:
    net = Refinement(SMALL)
    refined = refine(net, batch_of(samples), jitter(4, None))
    warp, middle = refined.warp["face"], (slice(None), slice(None), slice(48, 80), slice(48, 80))
    expected = warp + START_GAIN * detail(warp)
    torch.testing.assert_close(refined.result["face"][middle], expected[middle], atol=2e-3, rtol=0)


@pytest.mark.parametrize(("part", "least"), [("face", 0.01), ("mouth", 0.004)])
def test_frames_are_corrected_as_parts_are(
    part: str, least: float, warp: WarpEngine, move: Move, samples: list[Sample]
) -> None:
    net = random_net(strength=0.1)
    net.mouth.tone.bias.data.copy_(torch.tensor([-0.9, 0.9, 0.0, -0.9]))
    for other in {"face", "mouth", "eye"} - {part}:
        net.silence(other)
    shown = warp.eased(move(mouth=0.1))
    frame, alpha = warped(warp, shown, shown)
    before = frame.copy()
    Corrector(net).correct(frame, alpha, shown)
    refined = refine(net, batch_of(samples[:1]), jitter(1, None))
    place = patches(shown.landmarks, shown.pose)[NAMES.index("mouth")]
    changes = []
    for picture in (frame, before):
        view = torch.from_numpy(place.cut(picture, (64, 64))).permute(2, 0, 1) / 255.0
        changes.append(view)
    change, expected = changes[0] - changes[1], refined.result["mouth"][0] - refined.warp["mouth"][0]
    assert expected.abs().mean() > least
    # Two ways of resampling differ by less than a fifth of what is changed.
    assert (change - expected).abs().mean() < 0.2 * expected.abs().mean()


@pytest.mark.parametrize("pitch_deg", [0.0, -20.0])
def test_frames_are_corrected_as_what_was_learned(pitch_deg: float, warp: WarpEngine, move: Move) -> None:
    shown = warp.eased(move(mouth=0.15, pitch_deg=pitch_deg, yaw_deg=6.0))
    frame, alpha = warped(warp, shown, shown)
    before, own = frame.copy(), dict(zip(NAMES, patches(shown.landmarks, shown.pose), strict=True))
    moment = sample(SMALL, Drawn(before, alpha), shown, before, tuple(own.values()))
    net = random_net(strength=0.1)
    net.mouth.tone.bias.data.copy_(torch.tensor([-0.9, 0.9, 0.0, -0.9]))
    net.mouth.lips.bias.data.copy_(torch.atanh(torch.tensor([0.3, 0.8])))
    refined = refine(net, batch_of([moment]), jitter(1, None))
    Corrector(net).correct(frame, alpha, shown)
    for name, size in part_sizes(SMALL).items():
        drawn, warped_part = (
            torch.from_numpy(own[name].cut(picture, size)).permute(2, 0, 1) / 255.0 for picture in (frame, before)
        )
        change, learned = drawn - warped_part, refined.result[name][0] - refined.warp[name][0]
        places = [slice(None)]
        if name == "face":
            # What mouth and eyes do in it, on their own: it is a small part of a face.
            columns, rows = np.meshgrid(*((np.arange(side) + 0.5) * 2.0 / side - 1.0 for side in size))
            pixels = np.stack([columns.ravel(), rows.ravel(), np.ones(columns.size)], axis=1) @ own["face"].matrix.T
            near = [np.abs(own[part].local(pixels)).max(axis=1) < 0.6 for part in NAMES[1:]]
            places = [torch.from_numpy(one.reshape(size)) for one in near]
        for place in places:
            one, other = (picture[:, place] if name == "face" else picture for picture in (change, learned))
            assert other.abs().mean() > 0.008, name
            assert (one - other).abs().mean() < 0.25 * other.abs().mean(), name


def test_a_shifted_face_keeps_its_detail(warp: WarpEngine, move: Move) -> None:
    shown = warp.eased(move())
    frame, alpha = warped(warp, shown, shown)
    noise_of = np.random.default_rng(0).normal(0.0, 60.0, frame.shape[:2])[..., None]
    frame[:] = np.clip(128.0 + cv2.GaussianBlur(noise_of, (0, 0), 1.0)[..., None], 0, 255)
    net, before = random_net(), frame.copy()
    for part in ("face", "mouth", "eye"):
        net.silence(part)
    net.face.shift.bias.data[:] = torch.tensor([0.3, -0.2])
    Corrector(net).correct(frame, alpha, shown)
    rows, columns = (slice(*(int(v) for v in side)) for side in _middle(patches(shown.landmarks, shown.pose)[0]))
    assert np.abs(frame[rows, columns].astype(int) - before[rows, columns]).mean() > 8.0  # it was shifted
    energies = [float(cv2.Laplacian(one[rows, columns, 0].astype(float), -1).var()) for one in (frame, before)]
    assert 0.75 < energies[0] / energies[1] < 1.25


@pytest.mark.parametrize("fraction", [0.0, 0.5])
def test_detail_is_given_back_where_a_shift_falls_between_pixels(
    fraction: float, warp: WarpEngine, move: Move
) -> None:
    shown = warp.eased(move())
    frame, alpha = warped(warp, shown, shown)
    chess = 96.0 + 64.0 * (np.indices(frame.shape[:2]).sum(0) // 3 % 2)[..., None]
    frame[:] = chess
    net = random_net()
    for part in ("face", "mouth", "eye"):
        net.silence(part)
    place = patches(shown.landmarks, shown.pose)[0]
    wanted = np.linalg.inv(place.matrix[:, :2]) @ [2.0 + fraction, 0.0]
    net.face.shift.bias.data[:] = torch.from_numpy(np.arctanh(wanted / MOST_SHIFT))
    before = frame.copy()
    Corrector(net).correct(frame, alpha, shown)
    rows, columns = (slice(*(int(v) for v in side)) for side in _middle(place))
    ahead = slice(columns.start + 2, columns.stop + 2)
    if fraction == 0.0:
        # The very pixels of two columns away.
        assert np.abs(frame[rows, columns].astype(int) - before[rows, ahead]).max() <= 2
    else:
        between = np.mean([before[rows, ahead], before[rows, columns.start + 3 : columns.stop + 3]], axis=0)
        contrasts = [float(one[..., 0].std()) for one in (frame[rows, columns].astype(float), between)]
        assert contrasts[0] > 1.1 * contrasts[1]


def test_eyes_are_moved_as_a_whole_and_alike() -> None:
    net = random_net(strength=0.5).face
    with torch.no_grad():
        shift, _ = net(torch.rand(2, 6, 64, 64), torch.zeros(2, 3))
    for columns in (slice(5, 7), slice(9, 11)):  # the middle of the right eye, of the left one
        middle = shift[..., 5:7, columns]
        assert float((middle - middle[..., :1, :1]).abs().max()) < 1e-6
    assert float((shift[..., 5:7, 5:7] - shift[..., 5:7, 9:11]).abs().min()) > 1e-5  # each by its own mean
    assert float(shift[..., 11:13, 6:10].std(dim=(2, 3)).min()) > 1e-4  # a mouth moves in every place


def test_ways_within_parts_are_their_means() -> None:
    parts = spots(torch.zeros(1, 1, 64, 64), ((-0.5, 0.0), (0.5, 0.0)))
    assert parts.shape == (2, 64, 64)
    torch.testing.assert_close(parts[0], parts[1].flip(1))
    across = grid((64, 64), torch.zeros(1)).permute(0, 3, 1, 2)
    ways = whole_within(across, parts)
    # Each part's mean is its centre; beyond the parts nothing changes.
    torch.testing.assert_close(ways[0, 0, 30:34, 47:49], torch.full((4, 2), 0.5), atol=1e-3, rtol=0)
    torch.testing.assert_close(ways[0, 0, 30:34, 15:17], torch.full((4, 2), -0.5), atol=1e-3, rtol=0)
    torch.testing.assert_close(ways[..., :16, :], across[..., :16, :])
    # Where a part ends, a way is partly its own.
    share = float(parts[1, 32, 38])
    assert 0.2 < share < 0.8
    expected = (1.0 - share) * float(across[0, 0, 32, 38]) + 0.5 * share
    assert float(ways[0, 0, 32, 38]) == pytest.approx(expected, abs=1e-3)


def test_faces_follow_the_calm_posture_and_eyes_the_shown_one(warp: WarpEngine, move: Move) -> None:
    shown, other = warp.eased(move()), warp.eased(move(yaw_deg=9.0, lids=0.2))
    calm = Posture(other.pose.rotation, other.pose.apply_inverse(other.landmarks))
    own = Posture(shown.pose.rotation, shown.pose.apply_inverse(shown.landmarks))
    drawn: dict[str, list[NDArray[np.uint8]]] = {"face": [], "eye": []}
    for part, pictures in drawn.items():
        net = random_net(strength=0.1)
        for silent in {"face", "mouth", "eye"} - {part}:
            net.silence(silent)
        net.pose_spread.fill_(1e6)  # so that guides alone tell postures apart
        for posture in (None, own, calm):
            frame, alpha = warped(warp, shown, shown)
            Corrector(net).correct(frame, alpha, shown, posture)
            pictures.append(frame)
        assert np.array_equal(pictures[0], pictures[1])
    assert not np.array_equal(drawn["face"][0], drawn["face"][2])
    assert np.array_equal(drawn["eye"][0], drawn["eye"][2])


def test_an_engine_asks_for_the_calm_posture(source: SourceLayers, move: Move) -> None:
    net = random_net(strength=0.1)
    net.silence("mouth")
    engine = RefinedEngine(net, "test")
    engine.prepare(source)
    motion = move(yaw_deg=60.0)  # eased: shown turned less than was asked
    own = Posture(motion.pose.rotation, motion.pose.apply_inverse(motion.landmarks))
    calmer = Posture(own.rotation @ from_euler_deg(-8.0, 0.0, 0.0), own.shape)
    plain, same, other = (
        engine.drive([replace(motion, calm=calm)])[0].frame for calm in (None, lambda: own, lambda: calmer)
    )
    assert np.abs(plain.astype(int) - same).max() <= 1
    assert np.abs(plain.astype(int) - other).max() > 5


def test_no_light_is_laid_over_a_face(warp: WarpEngine, move: Move) -> None:
    shown = warp.eased(move(yaw_deg=8.0))
    frame, alpha = warped(warp, shown, shown)
    frame[:] = 120
    net = random_net(strength=0.5)
    net.silence("mouth")
    net.silence("eye")
    Corrector(net).correct(frame, alpha, shown)
    assert np.all(frame == 120)


@pytest.mark.parametrize(("part", "reach"), [("mouth", 0.033 / 1.1), ("eye", 0.012 / 0.72)])
def test_colours_change_near_openings_alone(part: str, reach: float) -> None:
    """By half so far from them, in widths of the patch."""
    net = getattr(random_net(strength=0.5), part).eval()
    width, height = SMALL.eye if part == "eye" else (SMALL.mouth,) * 2
    x = torch.full((1, 6, height, width), 0.5)
    x[:, 3] = 0.0
    x[:, 3, height // 2, width // 2] = 1.0
    with torch.no_grad():
        answer = net(x, torch.zeros(1, 3))[0, :3].abs().amax(dim=0)
        rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        away = torch.maximum((rows - height // 2).abs(), (columns - width // 2).abs())
        assert float(answer[away <= 1].max()) > 0.01
        assert not answer[away > 2.0 * reach * width + 1.0].any()
        x[:, 3] = 0.0
        assert not net(x, torch.zeros(1, 3))[:, :3].any()


def _middle(patch: Patch) -> tuple[tuple[float, float], tuple[float, float]]:
    """Rows and columns of a patch's middle fifth."""
    x, y, reach = *patch.matrix[:, 2], 0.1 * patch.width_px
    return (y - reach, y + reach), (x - reach, x + reach)


def test_moved_patches_show_the_same_place(samples: list[Sample]) -> None:
    net = random_net()
    moves = jitter(4, torch.Generator().manual_seed(3))
    still, moved = (refine(net, batch_of(samples), item) for item in (jitter(4, None), moves))
    assert moved.truth["mouth"].shape == still.truth["mouth"].shape
    assert (moved.truth["mouth"] - still.truth["mouth"]).abs().mean() > 0.002
    # The same move of warp and truth: what lies between them stays what it was.
    gaps = [(one.truth["mouth"] - one.warp["mouth"]).abs().mean() for one in (still, moved)]
    torch.testing.assert_close(gaps[0], gaps[1], rtol=0.1, atol=0.01)


def test_a_shift_is_smooth() -> None:
    net = Refinement(SMALL).face
    nodes = torch.zeros(1, SMALL.widths[1], 16, 16)
    nodes[..., 8, 8] = 1.0
    net.trunk.forward = lambda x, pose: (nodes, nodes)  # type: ignore[method-assign]
    torch.nn.init.constant_(net.shift.weight, 0.1)
    with torch.no_grad():
        shift, _ = net(torch.zeros(1, 6, 64, 64), torch.zeros(1, 3))
    # Nine nodes around one answer alike; blurred thrice they are a hill 2 nodes wide.
    middle = shift[0, 0, 8]
    assert float(middle[8]) == float(shift.max()) > 0.0
    assert float(middle[10] / middle[8]) == pytest.approx(0.52, abs=0.1)
    assert float((middle[1:] - middle[:-1]).abs().max()) < 0.3 * float(middle[8])


def test_silent_it_is_the_warp(samples: list[Sample]) -> None:
    net = random_net()
    for part in ("face", "mouth", "eye"):
        net.silence(part)
    refined = refine(net, batch_of(samples), jitter(4, None))
    for name in ("mouth", "right_eye"):
        torch.testing.assert_close(refined.result[name], refined.warp[name], atol=1e-4, rtol=0)


def test_lids_closer_than_any_learned_stay_as_drawn() -> None:
    net = Refinement(SMALL).eye
    net.colours.bias.data.fill_(0.5)
    height, width = SMALL.eye[1], SMALL.eye[0]
    x = torch.zeros(4, 6, height, width)
    for row, rows in enumerate((1, 6, 8, 16)):
        x[row, 3, :rows] = 1.0
    with torch.no_grad():
        usual, _ = net(x, torch.zeros(4, 3)), net.least_open.fill_(10.0 / height)
        shares = net(x, torch.zeros(4, 3)).abs().mean(dim=(1, 2, 3)) / usual.abs().mean(dim=(1, 2, 3))
    torch.testing.assert_close(shares, torch.tensor([0.0, 0.0, 0.5, 1.0]), atol=1e-3, rtol=0)


def test_poses_count_within_what_was_learned() -> None:
    net = Refinement(SMALL)
    net.pose_mean.fill_(1.0)
    net.pose_spread.fill_(0.5)
    result = net.pose(torch.tensor([[1.0, 1.5, 99.0]]))
    torch.testing.assert_close(result, torch.tensor([[0.0, 1.0, 2.0]]))


@pytest.mark.parametrize("options", [{"face": 100}, {"eye": (96, 60)}, {"widths": (8, 8, 9)}, {"extra": 1}])
def test_sizes_that_cannot_be_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        RefinementConfig(**options)  # type: ignore[arg-type]
