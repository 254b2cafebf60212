"""What the halves of a face lend each other: twins of what a photo does not show, in the light beside them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from avatarkit.face import landmarks as lm
from avatarkit.geometry.rotation import from_euler_deg
from avatarkit.head.coordinates import head_frame
from avatarkit.systems.landmark_warp.engine import WarpEngine
from avatarkit.systems.landmark_warp.hidden import HiddenSide
from avatarkit.systems.landmark_warp.lending import Lending
from avatarkit.systems.landmark_warp.limits import reposed
from avatarkit.systems.landmark_warp.mesh import FaceMesh
from avatarkit.systems.protocol import SourceLayers

from ..conftest import SIZE, without_motion

SKIN, INK = (200, 150, 120), (20, 40, 220)
RIGHT_CORNER, LEFT_CORNER = lm.RIGHT_UPPER_LID[-1], lm.LEFT_UPPER_LID[-1]
"""Inner corners of the eyes."""
RIGHT_FLANK, LEFT_FLANK = (122, 196, 236), (351, 419, 456)
"""Landmarks down the sides of the bridge of a nose."""
RIGHT_CHEEK = (118, 101, 100)
MIDLINE = np.array([6, 197, 195])


def turned(landmarks: np.ndarray, yaw_deg: float) -> np.ndarray:
    """The face seen from the side; positive yaw turns the nose towards smaller x, and hides the right half."""
    pose = head_frame(landmarks)
    return replace(pose, rotation=from_euler_deg(yaw_deg, 0.0, 0.0)).apply(pose.apply_inverse(landmarks))


def lending(landmarks: np.ndarray) -> Lending | None:
    return Lending.of(np.ones((SIZE, SIZE), np.float32), landmarks[: lm.MESH], head_frame(landmarks))


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_an_eyes_corner_behind_the_nose_is_the_others(source: SourceLayers, sign: float) -> None:
    far, near = (RIGHT_CORNER, LEFT_CORNER)[:: int(sign)]
    found = lending(turned(source.landmarks, sign * 38.0))
    assert found is not None
    assert found.lent[far] > 0.7
    assert found.lent[near] < 0.05
    assert found.twins[far] == near
    assert found.twins[near] == near


def test_a_frontal_face_lends_nothing(source: SourceLayers) -> None:
    assert lending(turned(source.landmarks, 0.0)) is None


def test_the_bridge_is_lent_up_to_its_middle(source: SourceLayers) -> None:
    """Else what the photo shows of the eye's corner, which landmarks miss by some pixels, stays beside its middle."""
    found = lending(turned(source.landmarks, 38.0))
    assert found is not None
    assert found.lent[MIDLINE].max() > 0.5
    assert found.lent[list(LEFT_FLANK)].max() == 0.0


def test_the_forehead_ends_in_hair_not_in_an_edge(source: SourceLayers) -> None:
    found = lending(turned(source.landmarks, 38.0))
    assert found is not None
    assert found.lent[[10, 151, 9]].max() < 0.05


@pytest.fixture(scope="module")
def layers(source: SourceLayers) -> SourceLayers:
    """A face of one colour, turned by 38 degrees, before skin of the same colour."""
    picture = np.full((SIZE, SIZE, 3), SKIN, np.uint8)
    return SourceLayers(picture, picture, np.ones((SIZE, SIZE), np.float32), turned(source.landmarks, 38.0))


def test_ink_at_the_edge_of_the_nose_is_not_drawn_out(layers: SourceLayers) -> None:
    """What lies behind the nose in the photo, and what the landmarks miss it by, goes as the head turns back."""
    picture = layers.picture.copy()
    for point in (RIGHT_CORNER, *RIGHT_FLANK):
        x, y = layers.landmarks[point, :2].round().astype(int)
        picture[y - 1 : y + 2, x - 1 : x + 2] = INK
    engine = WarpEngine(features=[])
    engine.prepare(replace(layers, picture=picture, foreground=picture))
    still = without_motion(layers.landmarks)
    motion = reposed(still, replace(still.pose, rotation=from_euler_deg(14.0, 0.0, 0.0)))
    frames = [engine.draw(one)[0].astype(int) for one in (still, motion)]
    before, after = (int(np.count_nonzero(frame[..., 2] > frame[..., 0])) for frame in frames)
    assert before > 20
    # Some of it is left between the lids, which the eyes' own layer paints.
    assert after < 0.3 * before


def test_the_lent_flank_meets_the_cheek_without_a_step(layers: SourceLayers) -> None:
    """Half as much light on the near half: what it lends is as bright as the far cheek where it meets that."""
    middle = layers.landmarks[6, 0]
    picture = layers.picture.copy()
    picture[:, round(middle) :] //= 2
    side = HiddenSide.of(replace(layers, picture=picture, foreground=picture), FaceMesh(layers.landmarks))
    assert side is not None
    flank, cheek = (
        side.texture[y, x, 0].mean()
        for x, y in (side.places[list(points)].round().astype(int).T for points in (RIGHT_FLANK, RIGHT_CHEEK))
    )
    assert flank > 0.75 * cheek
