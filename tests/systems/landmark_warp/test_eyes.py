"""Eyes that the frame cuts, and eyes of heads that lie on their side."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from avatarkit.face import landmarks as lm
from avatarkit.head.coordinates import head_frame
from avatarkit.systems.landmark_warp.eye_frame import turned_away
from avatarkit.systems.landmark_warp.eyes import EyeLayer
from avatarkit.systems.landmark_warp.lids import LidLayer

from ..conftest import Move, moves_of
from .conftest import SIZE, SKIN


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("edge", [0, SIZE - 1])
def test_an_eye_of_which_only_the_corner_is_left_is_no_hole(
    picture: np.ndarray, landmarks: np.ndarray, act: Move, edge: int
) -> None:
    layer, ends = EyeLayer(picture, landmarks), landmarks[[i for lids in lm.UPPER_LIDS for i in lids], 0]
    # Of the face only the corner that is outermost on the other side is in the frame.
    corner = ends.max() if edge == 0 else ends.min()
    for beyond in np.arange(-1.0, 3.5, 0.5):
        frame = np.full_like(picture, SKIN)
        dx = edge - corner + (beyond if edge else -beyond)
        layer.draw(frame, act(dx=dx))
        assert frame.min() > 20


@pytest.mark.parametrize("lids", [0.3, 0.5])
@pytest.mark.parametrize("share", [0.2, 0.5])
def test_the_part_of_a_narrow_eye_that_the_frame_holds_is_that_of_the_whole_eye(
    picture: np.ndarray, landmarks: np.ndarray, lids: float, share: float
) -> None:
    layer, motion, skin = EyeLayer(picture, landmarks), moves_of(landmarks)(lids=lids), np.full_like(picture, SKIN)
    outer, inner = landmarks[[lm.RIGHT_UPPER_LID[0], lm.RIGHT_UPPER_LID[-1]], 0]
    cut = round(outer + share * (inner - outer))
    whole, part = skin.copy(), skin[:, :cut].copy()
    layer.draw(whole, motion)
    layer.draw(part, motion)
    assert np.count_nonzero((part != SKIN).any(2)) > 20
    assert np.abs(part[:, : cut - 3].astype(int) - whole[:, : cut - 3]).max() < 4


@pytest.mark.parametrize("lids", [1.0, 0.6, 0.3, 0.0])
@pytest.mark.parametrize("roll_deg", [-60.0, 30.0, 75.0, 90.0, 180.0])
def test_eyes_and_lids_of_a_source_that_lies_on_its_side_are_as_those_of_an_upright_one(
    picture: np.ndarray, landmarks: np.ndarray, roll_deg: float, lids: float
) -> None:
    turn = cv2.getRotationMatrix2D((SIZE / 2, SIZE / 2), -roll_deg, 1.0)

    def rolled(frame: np.ndarray) -> np.ndarray:
        return cv2.warpAffine(frame, turn, (SIZE, SIZE), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)

    points = landmarks.copy()
    points[:, :2] = landmarks[:, :2] @ turn[:, :2].T + turn[:, 2]
    upright, lying = np.full_like(picture, SKIN), np.full_like(picture, SKIN)
    for layer in (LidLayer, EyeLayer):
        layer(picture, landmarks).draw(upright, moves_of(landmarks)(lids=lids))
        layer(rolled(picture), points).draw(lying, moves_of(points)(lids=lids))
    eyes = np.abs(rolled(upright).astype(int) - SKIN).max(2) > 30
    assert np.count_nonzero(eyes) > 150
    assert np.abs(rolled(upright).astype(int) - lying)[eyes].mean() < 8.0


@pytest.mark.parametrize("roll_deg", [0.0, 60.0, 180.0, -100.0])
@pytest.mark.parametrize(("yaw_deg", "away"), [(0.0, [False, False]), (75.0, [True, False]), (-75.0, [False, True])])
def test_eyes_turn_away_however_the_head_lies(
    landmarks: np.ndarray, act: Move, yaw_deg: float, away: list[bool], roll_deg: float
) -> None:
    turned = act(yaw_deg=yaw_deg).landmarks
    roll = cv2.getRotationMatrix2D((0.0, 0.0), -roll_deg, 1.0)[:, :2]
    turned[:, :2] = turned[:, :2] @ roll.T
    assert [turned_away(turned, eye, head_frame(turned).rotation) for eye in range(2)] == away
