"""What the mouth net may do: light between the lips, colours beside them, and lips that move with both."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from avatarkit.systems.landmark_warp.engine import WarpEngine
from avatarkit.systems.refined_warp.batch import jitter, refine
from avatarkit.systems.refined_warp.correct import Corrector
from avatarkit.systems.refined_warp.maps import CLOSER, WIDER, extents
from avatarkit.systems.refined_warp.network import Refinement, changed
from avatarkit.systems.refined_warp.patches import NAMES, patches
from avatarkit.systems.refined_warp.samples import Sample, warped

from ..conftest import Move
from .conftest import SMALL, batch_of, random_net


def test_extents_of_openings() -> None:
    masks = torch.zeros(2, 1, 20, 10)
    masks[0, 0, 4:9, 3:5] = 1.0
    masks[1, 0, 0, :] = 1.0
    torch.testing.assert_close(extents(masks), torch.tensor([[0.2, 0.25], [1.0, 0.05]]))


def test_every_answer_is_learned_from_the_first_step_on(samples: list[Sample]) -> None:
    net = Refinement(SMALL)
    batch = batch_of(samples)
    refined = refine(net, batch, jitter(4, torch.Generator().manual_seed(0)))
    torch.stack([(refined.result[name] - refined.truth[name]).abs().mean() for name in NAMES]).sum().backward()
    for layer in (net.face.shift, net.face.gain, net.mouth.tone, net.mouth.lips, net.eye.colours):
        assert layer.weight.grad is not None
        assert (layer.weight.grad.abs().amax(dim=(1, 2, 3)) > 0.0).all()


def test_mouths_like_none_learned_stay_as_drawn() -> None:
    net = Refinement(SMALL).mouth
    for layer in (net.tone, net.lips):
        layer.bias.data.fill_(0.5)
    side = SMALL.mouth
    x = torch.zeros(4, 6, side, side)
    for row, height in enumerate((0.25, 0.375, 0.40625, 0.5)):  # all as wide as one that was learned, and higher
        x[row, 3:5, side // 2 : side // 2 + round(height * side), : side // 2] = 1.0
    openings = torch.tensor([[0.5, 0.25], [0.25, 0.125]]).repeat(16, 1)
    with torch.no_grad():
        usual = net(x, torch.zeros(4, 3))
        net.openings.copy_(openings)
        torch.testing.assert_close(net(x, torch.zeros(4, 3)), usual)  # nothing was learned of one person: all counts
        net.familiar.fill_(1.0)
        answer = net(x, torch.zeros(4, 3))
    for channels in (slice(0, 3), slice(4, 5)):
        shares = answer[:, channels].abs().mean(dim=(1, 2, 3)) / usual[:, channels].abs().mean(dim=(1, 2, 3))
        torch.testing.assert_close(shares, torch.tensor([1.0, 0.75, 0.4375, 0.0]), atol=1e-3, rtol=0)


def closed(upper: float, lower: float, opening: slice, lips: slice) -> Tensor:
    """Ways up and down (64, 64) of a mouth net that answers so much of both lips, between columns 12 and 52."""
    net = Refinement(SMALL).mouth
    net.lips.bias.data.copy_(torch.atanh(torch.tensor([upper, lower])))
    x = torch.zeros(1, 6, 64, 64)
    x[:, 3, opening, 16:48] = x[:, 4, lips, 12:52] = 1.0
    with torch.no_grad():
        answer = net(x, torch.zeros(1, 3))[0]
    assert not answer[3].any()
    return answer[4]


@pytest.mark.parametrize(("upper", "lower"), [(0.5, 0.0), (0.0, 0.5), (0.5, 0.25), (-0.5, -0.5)])
def test_lips_close_in_the_middle_and_nothing_moves_beyond(upper: float, lower: float) -> None:
    ways = closed(upper, lower, slice(34, 44), slice(30, 50))
    # Towards the other lip means: taken from above, of the upper one; and from below.
    moves = [-(CLOSER if upper > 0 else WIDER) * upper, (CLOSER if lower > 0 else WIDER) * lower]
    torch.testing.assert_close(ways[[30, 48], 32], torch.tensor(moves), rtol=0.02, atol=1e-6)
    assert not ways[:, [5, 11, 52, 60]].any()
    torch.testing.assert_close(ways, ways.flip(1))
    assert float(ways[48, 20].abs()) <= float(ways[48, 32].abs())
    # Rows at -0.6 and -0.3 of half a patch are 13 and 22; the last are the patch's edge.
    assert not ways[:12].any()
    assert float(ways[-1].abs().max()) < 0.05 * CLOSER


def test_closed_lips_part_where_they_meet() -> None:
    ways = closed(0.5, 0.5, slice(0, 0), slice(30, 40))
    assert float(ways[31, 32]) == pytest.approx(-0.5 * CLOSER, rel=0.02)
    assert float(ways[38, 32]) == pytest.approx(0.5 * CLOSER, rel=0.02)
    torch.testing.assert_close(ways[30:40], -ways[30:40].flip(0), atol=1e-5, rtol=0)


def lit(colours: Tensor, tone: list[float]) -> Tensor:
    """Colours with an opening in their middle after a mouth net that answers one tone everywhere: light, and hues."""
    net = Refinement(SMALL).mouth
    net.tone.bias.data.copy_(torch.tensor(tone))
    opening = torch.zeros(1, 1, 64, 64)
    opening[..., 24:40, 16:48] = 1.0
    with torch.no_grad():
        return changed(colours, net(torch.cat([colours, opening, torch.zeros(1, 2, 64, 64)], dim=1), torch.zeros(1, 3)))


def test_a_mouth_keeps_its_structure_and_takes_the_light() -> None:
    stripes = torch.where(torch.arange(64) % 4 < 2, 0.8, 0.4) * torch.tensor([1.0, 0.8, 0.6])[:, None, None]
    stripes = stripes.expand(1, 3, 64, 64)
    result = lit(stripes, [-0.5, 0.4, 0.0, -0.4])
    # Black counts as 8 levels.
    dark, hue = 8.0 / 255.0, torch.tanh(torch.tensor([0.4, 0.0, -0.4]))[:, None, None]
    factors = torch.exp(0.45 * math.tanh(-0.5) + 0.05 * hue)
    inside = (..., slice(24, 40), slice(18, 46))
    torch.testing.assert_close(result[inside], (stripes[inside] + dark) * factors - dark, atol=1e-5, rtol=0)
    torch.testing.assert_close(result[..., :8, :], stripes[..., :8, :])


@pytest.mark.parametrize(("light", "brightest"), [(99.0, math.exp(0.65)), (-99.0, math.exp(-0.5))])
def test_no_light_changes_by_more(light: float, brightest: float) -> None:
    result = lit(torch.full((1, 3, 64, 64), 0.3), [light] * 4)
    dark = 8.0 / 255.0
    assert float(result[0, 0, 32, 32]) == pytest.approx((0.3 + dark) * brightest - dark, abs=1e-5)


def test_light_of_mouths_is_smooth() -> None:
    net = Refinement(SMALL).mouth
    coarse, x = torch.zeros(1, SMALL.widths[1], 16, 16), torch.zeros(1, 6, 64, 64)
    coarse[..., 8, 8] = 1.0
    x[:, 3] = 1.0
    net.trunk.forward = lambda seen, pose: (coarse, coarse)  # type: ignore[method-assign]
    torch.nn.init.constant_(net.tone.weight, 0.1)
    with torch.no_grad():
        answer = net(x, torch.zeros(1, 3))[0]
    for found in answer[:3]:
        peak = float(found.max())
        assert peak > 0.005
        assert float((found[:, 1:] - found[:, :-1]).abs().max()) < 0.2 * peak


@pytest.mark.parametrize("light", [0.0, -2.0])
def test_lips_move_over_teeth_that_stay(light: float, warp: WarpEngine, move: Move, samples: list[Sample]) -> None:
    shown = warp.eased(move(mouth=0.1))
    place = patches(shown.landmarks, shown.pose)[NAMES.index("mouth")]
    net = random_net()
    for part in ("face", "eye", "mouth"):
        net.silence(part)
    net.mouth.tone.bias.data[0] = light

    def views(rows: int) -> list[NDArray[np.float64]]:
        net.mouth.lips.bias.data[1] = math.atanh(rows / 32.0 / CLOSER)
        frame, alpha = warped(warp, shown, shown)
        Corrector(net).correct(frame, alpha, shown)
        refined = refine(net, batch_of(samples[:1]), jitter(1, None))
        found = refined.result["mouth"][0].permute(1, 2, 0).numpy().astype(np.float64) * 255.0
        return [place.cut(frame, (64, 64)).astype(np.float64), found]

    opening = refine(net, batch_of(samples[:1]), jitter(1, None)).guides["mouth"][0, 0].numpy()
    within = cv2.erode(opening, np.ones((3, 3), np.uint8))  # its edges are soft
    middle, below = (slice(20, 48), slice(29, 35)), (slice(22, 50), slice(29, 35))
    teeth = np.minimum(within[middle], within[below]) == 1.0
    lips = np.arange(20, 48)[:, None] > np.flatnonzero(opening.any(axis=1)).max() + np.zeros(6)
    assert teeth.sum() > 5
    for still, moved in zip(views(0), views(2), strict=True):
        # In the middle each row of lip and chin is the one two farther down; teeth are where they were.
        ways = np.abs(moved[middle] - still[below]).mean(axis=2), np.abs(moved[middle] - still[middle]).mean(axis=2)
        assert ways[0][lips].mean() < 0.4 * ways[1][lips].mean()
        assert ways[1][teeth].mean() < 0.1 * ways[0][teeth].mean()


def test_light_of_lips_moves_with_them(samples: list[Sample]) -> None:
    net = random_net()
    for part in ("face", "eye", "mouth"):
        net.silence(part)

    def lighter(rows: int) -> list[Tensor]:
        net.mouth.lips.bias.data[0] = math.atanh(rows / 32.0 / CLOSER)
        pictures = []
        for light in (0.0, 2.0):
            net.mouth.tone.bias.data[0] = light
            refined = refine(net, batch_of(samples[:1]), jitter(1, None))
            pictures.append((refined.result["mouth"][0, 0, :, 29:35], refined.result["face"][0, 0, :, 61:67]))
        return [other - one for one, other in zip(*pictures, strict=True)]

    # Two rows of the mouth's patch are 0.06 of half of it, 1.76 rows of the face.
    for still, moved, rows in zip(lighter(0), lighter(2), (2.0, 1.76), strict=True):
        # Where the light's upper edge lies in each column.
        edges = [(one > 0.1).float().argmax(dim=0)[(one > 0.1).any(dim=0)].float().mean() for one in (still, moved)]
        assert float(edges[1] - edges[0]) == pytest.approx(rows, abs=0.4)


def test_a_moved_mouth_moves_in_the_face_too(samples: list[Sample]) -> None:
    net = random_net()
    for part in ("face", "eye", "mouth"):
        net.silence(part)
    net.mouth.lips.bias.data[1] = math.atanh(0.06 / CLOSER)
    refined = refine(net, batch_of(samples[:1]), jitter(1, None))
    still, moved = refined.warp["face"][0], refined.result["face"][0]
    # 0.06 of half a mouth's 1.1 head units, where a pixel of the face is 2.5 / 128.
    rows = round(0.06 * 0.55 * 128 / 2.5)
    assert rows == 2

    def apart(top: int, step: int) -> float:
        there = slice(top + step, top + step + 12)
        return float((moved[:, top : top + 12, 61:67] - still[:, there, 61:67]).abs().mean())

    forehead, chin = 20, 92
    assert not refined.guides["face"][0, 0, chin : chin + 14, 61:67].any()
    assert apart(forehead, 0) < 0.3 * apart(forehead, rows)
    assert apart(chin, rows) < 0.5 * apart(chin, 0)
