"""Which face is meant."""

from __future__ import annotations

import numpy as np
import pytest

from avatarkit.errors import InputError
from avatarkit.face.select import choose
from avatarkit.face.types import Face, FaceChoice


def face(x: float, y: float, size: float) -> Face:
    box = (x - size / 2, y - size / 2, x + size / 2, y + size / 2)
    return Face(np.zeros((478, 3), np.float32), box, 0.9)


FACES = (face(100, 100, 50), face(300, 120, 80), face(500, 400, 60))


@pytest.mark.parametrize(
    ("choice", "number"),
    [
        (FaceChoice(), 1),
        (FaceChoice(index=0), 0),
        (FaceChoice(index=2), 2),
        (FaceChoice(at=(110.0, 90.0)), 0),
        (FaceChoice(at=(480.0, 300.0)), 2),
        (FaceChoice(at=(9999.0, -50.0)), 2),
    ],
)
def test_choice(choice: FaceChoice, number: int) -> None:
    assert choose(FACES, choice, "group.png") is FACES[number]


@pytest.mark.parametrize("index", [3, -1, 99])
def test_no_face_of_that_number(index: int) -> None:
    with pytest.raises(InputError, match=rf"group\.png: there is no face {index}; 3 found"):
        choose(FACES, FaceChoice(index=index), "group.png")


@pytest.mark.parametrize("choice", [FaceChoice(), FaceChoice(index=0), FaceChoice(at=(1.0, 1.0))])
def test_no_face_at_all(choice: FaceChoice) -> None:
    with pytest.raises(InputError, match=r"group\.png: no face found") as error:
        choose((), choice, "group.png")
    assert "\n" not in str(error.value)
