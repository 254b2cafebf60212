"""What the face tracker sees in a picture."""

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from avatarkit.face.open import open_tracker
from avatarkit.geometry.rotation import to_euler_deg
from avatarkit.head.coordinates import head_frame
from avatarkit.media.image import read_image


@dataclass(frozen=True)
class FaceRow:
    """One face of a picture: number from left to right, box and eye distance in pixels, yaw in degrees."""

    index: int
    box: tuple[float, float, float, float]
    score: float
    inter_ocular_px: float
    yaw_deg: float


def list_faces(image: Path) -> list[FaceRow]:
    """The faces of a picture from left to right, numbered as `--face` counts them."""
    picture = read_image(image)
    with closing(open_tracker()) as tracker:
        faces = tracker.detect(picture)
    rows = []
    for index, face in enumerate(faces):
        frame = head_frame(face.landmarks)
        yaw_deg, _, _ = to_euler_deg(frame.rotation)
        rows.append(FaceRow(index, face.box, face.score, frame.scale, yaw_deg))
    return rows
