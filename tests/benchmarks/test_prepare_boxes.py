"""The truth that boxes are compared with: marks in the pixels, places, metadata."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import prepare_boxes
import pytest
from boxes_tree import Embedded, Truth, _composed, write_metadata

from avatarkit.data.voxceleb import walk
from avatarkit.face.types import face_from_landmarks
from avatarkit.head.crops import cut_window
from avatarkit.head.framing import Window

PLACE = Embedded("d", "d__________", Path("d.mkv"), "25", Fraction(25), (480, 400), (100, 60), (320, 256), (640, 512))


@pytest.fixture
def truth() -> Truth:
    """Forty frames of a face that moves by a pixel a frame, with another shot from frame 35 on."""
    found = Truth(PLACE)
    for number in range(40):
        points = np.zeros((478, 3))
        points[:, :2] = [[200 + number, 150]] + np.array([[0, 0], [100, 120]])[np.arange(478) % 2]
        found.numbers.append(number)
        found.starts_s.append(number / 25)
        found.shots[number] = int(number >= 35)
        found.faces[number] = PLACE.placed(face_from_landmarks(points, 1.0))
    return found


def test_a_frames_number_and_place_are_read_from_a_cut_picture(truth: Truth, astronaut: np.ndarray) -> None:
    driver = cv2.resize(cv2.GaussianBlur(astronaut, (0, 0), 20), PLACE.native)
    crop = cut_window(_composed(driver, PLACE, 7), Window(240.0, 200.0, 256.0), 128)
    said = np.array([112.0, 72.0, 256.0])
    for time_s in (7 / 25, 10 / 25):
        read = prepare_boxes.read_frame(crop, said, truth, time_s)
        assert read is not None
        assert read[0] == 7
        assert np.hypot(*read[1]) < 2.0
    read = prepare_boxes.read_frame(crop, said + np.array([4.0, 0.0, 0.0]), truth, 7 / 25)
    assert read is not None
    assert np.abs(read[1]) == pytest.approx([4.0, 0.0], abs=2.0)
    plain = cut_window(np.full((400, 480, 3), 90, np.uint8), Window(240.0, 200.0, 256.0), 128)
    noise = np.random.default_rng(0).normal(0, 5, plain.shape)
    assert prepare_boxes.read_frame((plain + noise).astype(np.uint8), said, truth, 7 / 25) is None


def test_faces_are_placed_by_pixel_centres(truth: Truth) -> None:
    # Half the size: the centre of the driver's pixel (200, 150) is at 200.5 / 2 - 0.5 from the place's left edge.
    assert truth.faces[0].box[:2] == pytest.approx((100 + 99.75, 60 + 74.75))


def test_metadata_hold_one_file_per_shot_that_is_long_enough(truth: Truth, tmp_path: Path) -> None:
    assert write_metadata(truth, "id00000", tmp_path) == 0
    for number in range(35, 40):
        truth.shots[number] = 0
    assert write_metadata(truth, "id00000", tmp_path) == 1
    [file] = walk(tmp_path, [])
    assert (file.identity, file.video, file.utterance) == ("id00000", "d__________", "00001")
    rows = (tmp_path / file.path).read_text().splitlines()[7:]
    assert len(rows) == 40 - 8
    first = [float(value) for value in rows[0].split()]
    left, top, right, bottom = truth.faces[4].box
    assert first == pytest.approx([4, left / 480, top / 400, (right - left) / 480, (bottom - top) / 400], abs=1e-4)
