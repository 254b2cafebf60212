"""A picture and the face that is meant in it: found, read again, or kept by an avatar."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avatarkit.errors import InputError
from avatarkit.face.select import choose
from avatarkit.face.tracker import FaceTracker
from avatarkit.face.types import Face, FaceChoice, check_landmarks, face_from_landmarks
from avatarkit.face.visibility import Covered, covered
from avatarkit.head.unfolded import unfolded
from avatarkit.media.borders import NONE, Borders, plain_borders
from avatarkit.media.image import over_white, read_image_rgba
from avatarkit.systems.protocol import SeenTeeth

Picture = NDArray[np.uint8]

SMALLEST_FACE_PX = 40
SOFT_FACE_PX = 200
"""Below this face height in the source the result looks soft at 1024 px; the summary says so."""


@dataclass(frozen=True)
class Portrait:
    """A source picture and the face that is meant.

    picture: RGB uint8 (H, W, 3). alpha: the picture's own transparency, float32 (H, W), None without one.
    face: in pixels of the picture. faces: how many were seen. tracker: what found them. teeth: of a person of whom
    footage was seen, what it showed of them. border: what was cut off from the file's picture.
    """

    picture: Picture
    alpha: NDArray[np.float32] | None
    face: Face
    faces: int
    tracker: str
    teeth: SeenTeeth | None = None
    border: Borders = NONE

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.picture.shape[1], self.picture.shape[0]

    @cached_property
    def covered(self) -> Covered:
        """What of the face is covered."""
        return covered(self.picture, self.landmarks)

    @cached_property
    def borderless(self) -> "Portrait":
        """The same without a plain border: what the border cuts off would else be moved with a straight edge."""
        border = plain_borders(self.picture)
        if not any(border.sides):
            return self
        inside = border.within(*self.picture.shape[:2])
        landmarks = self.face.landmarks - np.array([border.left, border.top, 0.0], np.float32)
        return replace(
            self,
            picture=np.ascontiguousarray(self.picture[inside]),
            alpha=None if self.alpha is None else np.ascontiguousarray(self.alpha[inside]),
            face=face_from_landmarks(landmarks, self.face.score),
            border=border,
        )

    @cached_property
    def landmarks(self) -> NDArray[np.float64]:
        """The face's landmarks (478, 3) in pixels, without folds of the tracker's."""
        return unfolded(self.face.landmarks)


def open_portrait(path: Path, choice: FaceChoice, tracker: FaceTracker) -> Portrait:
    """Read a source and find its face.

    Raises:
        InputError: no picture, no face, or one too small to work with.
    """
    picture, alpha = _read(path)
    result = tracker.detect(picture)
    face = choose(result, choice, str(path))
    if face.extent_px < SMALLEST_FACE_PX:
        raise InputError(
            f"{path}: the face is only {face.extent_px:.0f} px high; use a picture with at least"
            f" {SMALLEST_FACE_PX} px, better {SOFT_FACE_PX}"
        )
    return Portrait(picture, alpha, face, len(result), tracker.name)


def read_portrait(path: Path, landmarks: NDArray[Any], score: float, faces: int, tracker: str) -> Portrait:
    """Read a source whose face is known already.

    Raises:
        InputError: there is no picture. ValueError: the landmarks cannot be a face's in it.
    """
    picture, alpha = _read(path)
    face = face_from_landmarks(check_landmarks(landmarks, picture.shape[1], picture.shape[0]), score)
    return Portrait(picture, alpha, face, faces, tracker)


def avatar_portrait(path: Path) -> Portrait:
    """The source that an avatar's file holds. Raises InputError where it is none."""
    from avatarkit.systems.avatar_file import read_avatar

    avatar = read_avatar(path)
    tracker = str(avatar.about.get("tracker", "unknown"))
    face = face_from_landmarks(avatar.landmarks, 1.0)
    return Portrait(avatar.picture, avatar.alpha, face, 1, tracker, avatar.teeth)


def _read(path: Path) -> tuple[Picture, NDArray[np.float32] | None]:
    straight, alpha = read_image_rgba(path)
    return straight if alpha is None else over_white(straight, alpha), alpha
