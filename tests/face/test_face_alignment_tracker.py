"""face-alignment's coordinates: from boxes to crops, from heat maps back to the picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from avatarkit.face.face_alignment_tracker import FaceAlignmentTracker, landmark_crop  # noqa: E402
from avatarkit.face.fan import FAN  # noqa: E402
from avatarkit.face.s3fd import S3FD  # noqa: E402
from avatarkit.weights import cache, load, lock  # noqa: E402

from .knowing_nets import empty_levels, heat_of, plant_box  # noqa: E402

Box = tuple[float, float, float, float]


class Boxes(torch.nn.Module):
    """Says boxes given in shares of the picture."""

    def __init__(self, *shares: Box) -> None:
        super().__init__()
        self.shares, self.seen = shares, []

    def forward(self, image: torch.Tensor) -> list[tuple[torch.Tensor, torch.Tensor]]:
        self.seen.append(tuple(image.shape[2:]))
        height, width = image.shape[2:]
        levels = empty_levels(height, width)
        for number, (left, top, right, bottom) in enumerate(self.shares):
            box = (left * width - 0.5, top * height - 0.5, right * width - 0.5, bottom * height - 0.5)
            plant_box(levels, box, 0.9 - 0.05 * number)
        return levels


class Places(torch.nn.Module):
    """Says the same places of the heat maps for every crop; keeps the crop."""

    def __init__(self, places: np.ndarray) -> None:
        super().__init__()
        self.places, self.seen = places, []

    def forward(self, crop: torch.Tensor) -> torch.Tensor:
        self.seen.append(crop)
        return heat_of(self.places)


MIDDLE = np.full((68, 2), 31.5)


def test_crop_by_the_published_numbers() -> None:
    crop = landmark_crop((99.5, 199.5, 294.5, 394.5), 256)  # 195 x 195 pixels
    assert crop.width == crop.height == 400
    middle = crop.to_picture(np.array([127.5, 127.5]))
    np.testing.assert_allclose(middle, (197, 297 - 0.12 * 195), atol=0.51)
    assert crop.shown == (256, 256)


def test_planted_heat_gives_back_its_place() -> None:
    truth = np.random.default_rng(0).uniform((150, 60), (250, 180), (68, 2))
    shares = (0.4, 0.2, 0.66, 0.62)
    box = (0.4 * 400 - 0.5, 0.2 * 300 - 0.5, 0.66 * 400 - 0.5, 0.62 * 300 - 0.5)
    places = (landmark_crop(box, 256).to_crop(truth) + 0.5) / 4 - 0.5
    tracker = FaceAlignmentTracker(Boxes(shares), Places(places))
    (face,) = tracker.detect(np.zeros((300, 400, 3), np.uint8))
    assert not face.dense
    assert face.score == pytest.approx(0.9)
    np.testing.assert_allclose(face.box, box, atol=0.01)
    np.testing.assert_allclose(face.landmarks[:, :2], truth, atol=0.01)
    assert (face.landmarks[:, 2] == 0).all()


def test_crop_shows_what_lies_there() -> None:
    """A white square on black, seen at the crop's scale; black beyond the picture."""
    picture = np.zeros((200, 200, 3), np.uint8)
    picture[20:40, 100:120] = (255, 128, 0)
    aligner = Places(MIDDLE)
    (face,) = FaceAlignmentTracker(Boxes((0.5, 0.0, 1.0, 0.5)), aligner).detect(picture)
    seen = aligner.seen[0][0].numpy()
    crop = landmark_crop(face.box, 256)
    rows, columns = np.nonzero(seen[0] > 0.5)
    edges = crop.to_crop(np.array([[99.5, 19.5], [119.5, 39.5]]))
    np.testing.assert_allclose((columns.min() - 0.5, rows.min() - 0.5), edges[0], atol=1.0)
    np.testing.assert_allclose((columns.max() + 0.5, rows.max() + 0.5), edges[1], atol=1.0)
    np.testing.assert_allclose(seen[:, rows[len(rows) // 2], columns[len(columns) // 2]], (1, 0.5, 0), atol=0.01)
    assert crop.top < 0
    assert crop.left + crop.width > 200


def test_overlapping_boxes_are_one_face_and_order_is_by_place() -> None:
    boxes = Boxes((0.6, 0.3, 0.8, 0.6), (0.1, 0.3, 0.3, 0.6), (0.62, 0.31, 0.82, 0.61))
    faces = FaceAlignmentTracker(boxes, Places(MIDDLE)).detect(np.zeros((300, 400, 3), np.uint8))
    assert [round(face.score, 2) for face in faces] == [0.85, 0.9]
    assert faces[0].centre[0] < faces[1].centre[0]


@pytest.mark.parametrize(
    ("shape", "seen"),
    [
        ((300, 400), [(300, 400)]),
        ((1080, 1920), [(540, 960)]),
        ((20, 30), [(64, 64)]),
        ((8, 3000), [(64, 960), (64, 1200)]),  # where nobody was seen, again for faces of 60 px
    ],
)
def test_size_that_the_detector_sees(shape: tuple[int, int], seen: list[tuple[int, int]]) -> None:
    detector = Boxes()
    assert FaceAlignmentTracker(detector, Places(MIDDLE)).detect(np.zeros((*shape, 3), np.uint8)) == ()
    assert detector.seen == seen


def test_following_looks_around_the_last_place_only() -> None:
    detector = Boxes((0.3, 0.3, 0.7, 0.7))
    tracker = FaceAlignmentTracker(detector, Places(MIDDLE))
    picture = np.zeros((1000, 1000, 3), np.uint8)
    (face,) = tracker.detect(picture)
    followed = tracker.follow(picture, face)
    assert followed is not None
    assert detector.seen[-1] == (256, 256)
    # The window is 2.2 boxes wide, and the planted box 0.4 of it.
    assert followed.extent_px == pytest.approx(0.4 * 2.2 * face.extent_px, rel=0.01)
    np.testing.assert_allclose(followed.centre, face.centre, atol=1.5)
    detector.shares = ((0.0, 0.0, 0.1, 0.1),)
    assert tracker.follow(picture, face) is None


def test_random_weights_give_shapes_and_the_same_answer() -> None:
    """Both networks as they are, on noise: what comes is nonsense, but well formed."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        detector, aligner = S3FD(), FAN()
    tracker = FaceAlignmentTracker(detector, aligner, min_score=0.5)
    picture = np.random.default_rng(0).integers(0, 256, (70, 90, 3), dtype=np.uint8)
    boxes = tracker._boxes(picture, 960, 0.4, enlarge=False)
    assert boxes
    assert boxes == tracker._boxes(picture, 960, 0.4, enlarge=False)
    face, again = (tracker._face(picture, (20.0, 20.0, 60.0, 60.0), 0.7) for _ in range(2))
    assert face.landmarks.shape == (68, 3)
    assert np.isfinite(face.landmarks).all()
    np.testing.assert_array_equal(face.landmarks, again.landmarks)


def test_loads_from_the_registry(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With files in place of the published ones; the check of hashes is the registry's own and left out."""
    monkeypatch.setenv("AVATARKIT_WEIGHTS", str(tmp_path))
    for name, net in (("s3fd", S3FD()), ("2dfan4", FAN())):
        torch.save(net.state_dict(), cache.path_of(lock.get(name)))
    monkeypatch.setattr(load, "present", lambda name: True)
    monkeypatch.setattr(load, "require", lambda name: cache.path_of(lock.get(name)))
    monkeypatch.setattr(load, "load_state_dict", lambda name: torch.load(cache.path_of(lock.get(name))))
    assert "face-alignment" in FaceAlignmentTracker.from_registry().name
