"""Options that need reading."""

from __future__ import annotations

import pytest

from avatarkit.cli import parsing
from avatarkit.errors import UsageError
from avatarkit.face.types import FaceChoice


@pytest.mark.parametrize(("text", "point"), [("640,360", (640, 360)), (" 1.5 , -2 ", (1.5, -2))])
def test_point(text: str, point: tuple[float, float]) -> None:
    assert parsing.point(text, "--face-at") == point


@pytest.mark.parametrize("text", ["", "1", "1,2,3", "a,b", "nan,1", "1;2", "inf,0"])
def test_bad_point(text: str) -> None:
    with pytest.raises(UsageError, match=r"^--face-at .*: expected two numbers in pixels, such as 640,360$"):
        parsing.point(text, "--face-at")


def test_face_choice() -> None:
    assert parsing.face_choice(None, None) == FaceChoice()
    assert parsing.face_choice(0, None) == FaceChoice(index=0)
    assert parsing.face_choice(None, "3,4") == FaceChoice(at=(3.0, 4.0))


def test_two_face_choices() -> None:
    with pytest.raises(UsageError, match="--driver-face and --driver-face-at both choose"):
        parsing.face_choice(0, "3,4", "--driver-")


@pytest.mark.parametrize("text", ["auto", "first", "0", "120"])
def test_reference_frame(text: str) -> None:
    assert parsing.reference_frame(text) == text


@pytest.mark.parametrize("text", ["", "last", "-1", "1.5", "²"])
def test_bad_reference_frame(text: str) -> None:
    with pytest.raises(UsageError, match="expected auto, first or a frame number from 0"):
        parsing.reference_frame(text)
