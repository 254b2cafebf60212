"""What an avatar keeps: head and shoulders of its source, nobody else's face, and how it was made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import avatarkit
from avatarkit.face.types import Face
from avatarkit.geometry.crop import head_crop
from avatarkit.pipelines.layer_tools import LayerTools
from avatarkit.pipelines.personalize.footage import Footage

HIDDEN = 0.3
"""Other people's faces are blurred with so much around them, in shares of their sides."""
KEPT_MARGIN = 3.2
"""Side of the picture that an avatar keeps of its source, in heights of the face."""


@dataclass(frozen=True)
class PersonalizeReport:
    """A finished avatar. about: what its file says of itself. errors: of the held-out part, in words."""

    output: Path
    about: Mapping[str, Any]
    errors: str

    def summary_lines(self) -> list[str]:
        """What a person wants to know, a line each."""
        learned = self.about["learned"]
        return [
            f"{self.output}: {self.output.stat().st_size / 1e6:.1f} MB, learned from {learned['frames']} frames in"
            f" {learned['seconds'] / 60:.1f} minutes",
            f"held-out error {self.errors}",
            f"avatarkit reenact {self.output} DRIVER -o out.mp4",
        ]


def kept_source(footage: Footage, tools: LayerTools) -> dict[str, NDArray[Any]]:
    """The part of the source that is kept: "picture", "alpha" and "landmarks" as `avatar_file.Avatar` has them."""
    portrait = footage.portrait
    width, height = portrait.size
    crop = head_crop(portrait.face.landmarks, width, height, 64, margin=KEPT_MARGIN)
    window = crop.window
    picture = without_faces(portrait.picture, footage.others)[window].copy()
    landmarks = portrait.face.landmarks.copy()
    landmarks[:, :2] -= (window[1].start, window[0].start)
    alpha, _ = tools.matte(picture, landmarks.astype(np.float64))
    return {"picture": picture, "alpha": alpha, "landmarks": landmarks}


def making(footage: Footage, hashes: Mapping[str, str], start: str) -> dict[str, Any]:
    """How an avatar is made. hashes: of the footage, by name. start: what learning starts from."""
    return {
        "consent": "confirmed with --consent that the person shown agreed",
        "made": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "program": f"avatarkit {avatarkit.__version__}",
        "start": start,
        "footage": [{"name": path, "sha256": digest} for path, digest in hashes.items()],
        "source": {"video": footage.takes[footage.number].driver.path.name, "frame": footage.frame},
        "tracker": footage.portrait.tracker,
    }


def without_faces(picture: NDArray[np.uint8], faces: Sequence[Face]) -> NDArray[np.uint8]:
    """The picture (H, W, 3) with faces blurred until nobody can be told."""
    import cv2

    result = picture.copy()
    for face in faces:
        left, top, right, bottom = face.box
        x, y = HIDDEN * (right - left), HIDDEN * (bottom - top)
        rows = slice(max(0, int(top - y)), max(0, int(bottom + y)))
        columns = slice(max(0, int(left - x)), max(0, int(right + x)))
        if result[rows, columns].size:
            result[rows, columns] = cv2.GaussianBlur(result[rows, columns], (0, 0), 0.25 * face.extent_px)
    return result
