"""Whether the main job can run here, and what the face tracker sees in a picture."""

import shutil
import sys
import tempfile
from contextlib import closing
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from avatarkit.errors import AvatarkitError
from avatarkit.face.mediapipe_tracker import MediaPipeTracker
from avatarkit.geometry.rotation import to_euler_deg
from avatarkit.media.ffmpeg import encoders, ffmpeg_binary
from avatarkit.media.image import read_image
from avatarkit.motion.head import head_frame
from avatarkit.runtime import cpu_threads

Row = tuple[str, str, str]
OK, MISSING, NOTE = "ok", "missing", "note"

_NEEDED = ("numpy", "scipy", "opencv-contrib-python", "ffmpeg-python", "pillow", "platformdirs", "filelock")
_OPTIONAL = (("torch", "trained engines"), ("torchvision", "trained engines"), ("decord", "random access to video"))


@dataclass(frozen=True)
class DoctorReport:
    """One row for each thing looked at: name, "ok", "missing" or "note", and what was found or what to do."""

    items: tuple[Row, ...]

    @property
    def ok(self) -> bool:
        """Whether everything that the main job needs is here."""
        return all(state != MISSING for _, state, _ in self.items)

    def rows(self) -> list[Row]:
        """The rows, in order."""
        return list(self.items)

    def to_json(self) -> dict[str, Any]:
        """The report as plain values."""
        names = ("item", "state", "detail")
        return {"ok": self.ok, "items": [dict(zip(names, row, strict=True)) for row in self.items]}


@dataclass(frozen=True)
class FaceRow:
    """One face of a picture: number from left to right, box and eye distance in pixels, yaw in degrees."""

    index: int
    box: tuple[float, float, float, float]
    score: float
    inter_ocular_px: float
    yaw_deg: float


def diagnose() -> DoctorReport:
    """Look at programs, packages, models, disk and threads; loads the tracker once."""
    python = ".".join(map(str, sys.version_info[:3]))
    rows: list[Row] = [("python", OK if (3, 10) <= sys.version_info < (3, 13) else NOTE, python)]
    rows += [_package(name, None) for name in _NEEDED]
    rows += [_package(name, use) for name, use in _OPTIONAL]
    rows += [*_ffmpeg(), _tracker()]
    free = shutil.disk_usage(tempfile.gettempdir()).free
    rows.append(("temporary folder", OK if free > 1 << 30 else NOTE, f"{free / 1e9:.1f} GB free"))
    rows.append(("threads", OK, str(cpu_threads())))
    return DoctorReport(tuple(rows))


def list_faces(image: Path) -> list[FaceRow]:
    """The faces of a picture from left to right, numbered as `--face` counts them."""
    picture = read_image(image)
    with closing(MediaPipeTracker()) as tracker:
        faces = tracker.detect(picture)
    rows = []
    for index, face in enumerate(faces):
        frame = head_frame(face.landmarks)
        yaw_deg, _, _ = to_euler_deg(frame.rotation)
        rows.append(FaceRow(index, face.box, face.score, frame.scale, yaw_deg))
    return rows


def _package(name: str, optional_for: str | None) -> Row:
    try:
        return name, OK, version(name)
    except PackageNotFoundError:
        if name == "opencv-contrib-python" and find_spec("cv2") is not None:
            return name, OK, "another build of OpenCV"
        if optional_for is not None:
            return name, NOTE, f"not installed; only needed for {optional_for}"
        return name, MISSING, f"pip install {name}"


def _ffmpeg() -> list[Row]:
    try:
        binary = ffmpeg_binary()
        known = encoders()
    except AvatarkitError as error:
        return [("ffmpeg", MISSING, str(error))]
    rows = [("ffmpeg", OK, binary)]
    uses = (("libx264", "H.264 output"), ("prores_ks", "transparent .mov"), ("libvpx-vp9", "transparent .webm"))
    for name, use in uses:
        needed = MISSING if name == "libx264" else NOTE
        rows.append((f"encoder {name}", OK if name in known else needed, use))
    return rows


def _tracker() -> Row:
    try:
        with closing(MediaPipeTracker()) as tracker:
            return "face tracker", OK, tracker.name
    except AvatarkitError as error:
        return "face tracker", MISSING, str(error)
