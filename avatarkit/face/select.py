"""Choosing one face out of several."""

import numpy as np

from avatarkit.errors import InputError
from avatarkit.face.types import Face, FaceChoice


def choose(faces: tuple[Face, ...], choice: FaceChoice, where: str) -> Face:
    """The chosen face: by number (left to right, from 0), by the point nearest to it, or the largest.

    Args:
        faces: from left to right.
        choice: what the user asked for.
        where: the picture's name, for the message.

    Raises:
        InputError: there is no face, or none with that number.
    """
    if not faces:
        raise InputError(
            f"{where}: no face found; use a picture that shows a face clearly, at least 60 px high"
        )
    if choice.index is not None:
        if not 0 <= choice.index < len(faces):
            raise InputError(
                f"{where}: there is no face {choice.index};"
                f" {len(faces)} found, numbered from 0, left to right"
            )
        return faces[choice.index]
    if choice.at is not None:
        point = np.array(choice.at)
        return min(faces, key=lambda face: float(np.hypot(*(np.array(face.centre) - point))))
    return max(faces, key=lambda face: face.extent_px)
