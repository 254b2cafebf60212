"""MediaPipe Tasks: details, bundles, and likeness to the older face mesh."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
import pytest

from avatarkit.errors import DependencyError, InputError
from avatarkit.face.mediapipe_tasks import MediaPipeTasksTracker
from avatarkit.face.mediapipe_tracker import MediaPipeTracker
from avatarkit.face.types import Face
from avatarkit.media.image import read_image

from .conftest import landmarker_bundle, needs_bundle

OUTER_CORNERS = (33, 263)


@pytest.fixture(scope="module")
def tasks() -> Iterator[MediaPipeTasksTracker]:
    with closing(MediaPipeTasksTracker(landmarker_bundle())) as tracker:
        yield tracker


def marked(test):
    for mark in needs_bundle:
        test = mark(test)
    return test


@marked
def test_part_of_a_face_is_no_face(tasks: MediaPipeTasksTracker) -> None:
    """An eye that a small tile takes for a face lies within a much larger face."""

    class Twice(MediaPipeTasksTracker):
        def __init__(self) -> None:
            super().__init__(landmarker_bundle())

        def _boxes(self, part, *, whole):
            return [((100.0, 100.0, 300.0, 300.0), 0.9), ((130.0, 150.0, 180.0, 200.0), 0.8)]

        def _landmarks(self, picture, window):
            low = np.array([window[0], window[1], 0.0]) + 0.2 * (window[2] - window[0])
            steps = np.linspace(0.0, 0.6 * (window[2] - window[0]), 478)[:, None]
            return (low + steps * (1.0, 1.0, 0.0)).astype(np.float32)

    with closing(Twice()) as tracker:
        (face,) = tracker.detect(np.zeros((400, 400, 3), np.uint8))
    assert face.score == 0.9


# Blendshapes and the head's matrix.


@marked
def test_details_of_a_face(tasks: MediaPipeTasksTracker, astronaut: np.ndarray, grace_hopper: np.ndarray) -> None:
    smiling, serious = (tasks.detail(photo, tasks.detect(photo)[0]) for photo in (astronaut, grace_hopper))
    assert smiling is not None
    assert serious is not None
    for detail in (smiling, serious):
        assert len(detail.blendshapes) == 52
        assert all(0.0 <= value <= 1.0 for value in detail.blendshapes.values())
    assert {"jawOpen", "mouthSmileLeft", "eyeBlinkRight", "browInnerUp"} <= set(smiling.blendshapes)
    smiles = [
        detail.blendshapes["mouthSmileLeft"] + detail.blendshapes["mouthSmileRight"] for detail in (smiling, serious)
    ]
    assert smiles[0] > 1.0 > smiles[1]


@marked
def test_head_matrix_turns_with_the_picture(tasks: MediaPipeTasksTracker, grace_hopper: np.ndarray) -> None:
    (face,) = tasks.detect(grace_hopper)
    turn = cv2.getRotationMatrix2D(face.centre, 15, 1.0)  # counter-clockwise as seen
    turned = cv2.warpAffine(grace_hopper, turn, grace_hopper.shape[1::-1], borderMode=cv2.BORDER_REPLICATE)
    angles = []
    for photo in (grace_hopper, turned):
        detail = tasks.detail(photo, tasks.detect(photo)[0])
        assert detail is not None
        matrix = detail.head_matrix
        assert matrix.shape == (4, 4)
        assert matrix.dtype == np.float32
        np.testing.assert_allclose(matrix[:3, :3] @ matrix[:3, :3].T, np.eye(3), atol=1e-3)
        assert matrix[2, 3] < -10  # centimetres before the camera
        angles.append(np.degrees(np.arctan2(matrix[1, 0], matrix[0, 0])))
    assert angles[1] - angles[0] == pytest.approx(15, abs=3)


@marked
def test_no_details_without_a_face(tasks: MediaPipeTasksTracker, astronaut: np.ndarray) -> None:
    (face,) = tasks.detect(astronaut)
    assert tasks.detail(np.full_like(astronaut, 100), face) is None
    outside = Face(face.landmarks, (-300.0, -300.0, -200.0, -200.0), 0.9)
    assert tasks.detail(astronaut, outside) is None


# Bundles.


@pytest.mark.parametrize("kind", ["missing", "text", "other zip", "broken model"])
def test_other_files_are_refused(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "face_landmarker.task"
    if kind == "text":
        path.write_text("no bundle")
    elif kind != "missing":
        with zipfile.ZipFile(path, "w") as bundle:
            bundle.writestr("face_detector.tflite" if kind == "broken model" else "x", b"no model" * 100)
    with pytest.raises(InputError, match=r"face_landmarker\.task: ") as caught:
        MediaPipeTasksTracker(path)
    assert "\n" not in str(caught.value)


def test_missing_bundle_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AVATARKIT_WEIGHTS", str(tmp_path))
    with pytest.raises(DependencyError, match="avatarkit weights fetch face-landmarker"):
        MediaPipeTasksTracker.from_registry()


# Against the older face mesh.


@pytest.mark.media
def test_close_to_the_older_face_mesh_on_portraits(tasks: MediaPipeTasksTracker, media_dir: Path) -> None:
    """Mean distance of the landmarks below 2 % of the distance between the outer eye corners."""
    try:
        older = MediaPipeTracker()
    except DependencyError as error:
        pytest.skip(str(error))
    distances = []
    with closing(older):
        for path in sorted((media_dir / "portraits").iterdir())[::3]:
            photo = read_image(path)
            (theirs,), (ours,) = older.detect(photo), tasks.detect(photo)
            apart = np.hypot(*(ours.landmarks[:, :2] - theirs.landmarks[:, :2]).T).mean()
            right, left = theirs.landmarks[list(OUTER_CORNERS), :2]
            distances.append(apart / np.hypot(*(right - left)))
    assert np.mean(distances) < 0.02
    assert max(distances) < 0.04


@pytest.mark.media
def test_no_fewer_faces_than_the_older_one(tasks: MediaPipeTasksTracker, media_dir: Path) -> None:
    expected = {"no-face-1": 0, "no-face-2": 0, "several-faces-1": 3, "several-faces-2": 2}
    for name, least in expected.items():
        found = len(tasks.detect(read_image(media_dir / "odd" / f"{name}.jpg")))
        assert found == 0 if least == 0 else found >= least, name
