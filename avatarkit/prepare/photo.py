"""A photo becomes one aligned portrait, as FFHQ's are, or the reason why not."""

from __future__ import annotations

import json
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from avatarkit.data.clip import ClipData, ClipInfo, Rejected, Stage
from avatarkit.data.columns import columns_of
from avatarkit.data.pictures import encode_image, encode_matte, levels
from avatarkit.errors import InputError
from avatarkit.face.types import Face, face_from_landmarks
from avatarkit.geometry.crop import Crop
from avatarkit.head.annotate import Row, annotation, yaw_deg
from avatarkit.head.coordinates import head_frame
from avatarkit.media.image import read_image
from avatarkit.prepare.config import PrepareConfig
from avatarkit.prepare.ffhq import Quad, align, quad_of
from avatarkit.prepare.follow import share_inside
from avatarkit.prepare.job import PhotoJob
from avatarkit.prepare.tools import Tools
from avatarkit.quality.effective_resolution import effective_share

__all__ = ["process_photo"]

Picture = NDArray[np.uint8]

# Faces are looked for in a copy of at most this size, and in the photo itself where that shows none.
_SEARCH_PX = 1600
# Someone else counts if this large beside the portrait's face, and with this share of the face in the portrait.
_OTHER_SIZE, _OTHER_INSIDE = 0.35, 0.25
_REGION = 1.1
# Less of the face inside the photo than this, and mirroring would have to make it up.
_LEAST_INSIDE = 0.9


class _Refused(Exception):
    """Why a photo is not taken: stage, reason, detail."""

    def __init__(self, stage: Stage, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.stage, self.reason, self.detail = stage, reason, detail


def process_photo(job: PhotoJob, config: PrepareConfig, tools: Tools) -> ClipData | Rejected:
    """Read, align, annotate, matte and score one photo; the same photo always gives the same bytes.

    Faces that reach into the portrait are counted unless the job says how many people there are. `age_checked` says
    whether somebody gave an age.
    """
    try:
        return _portrait(job, config, tools)
    except _Refused as refused:
        return Rejected(
            clip_id=job.photo, video=job.photo, identity=job.identity, split=job.split,
            stage=refused.stage, reason=refused.reason, detail=refused.detail,
        )  # fmt: skip


def _portrait(job: PhotoJob, config: PrepareConfig, tools: Tools) -> ClipData:
    if job.face_count is not None and job.face_count > config.max_faces:
        raise _Refused("plan", "several-people", f"{job.face_count} people by the features given")
    if job.age is not None and job.age < config.min_age:
        raise _Refused("plan", "child", f"age {job.age:g} by the features given, and {config.min_age:g} is the least")
    try:
        photo = read_image(job.path)
    except InputError as error:
        raise _Refused("track", "not-a-photo", str(error)) from error
    result = _faces(photo, tools) if job.landmarks68 is None or job.face_count is None else ()
    quad = _quad(job, photo, result)
    if quad.side < config.least_head_px:
        detail = f"head of {quad.side:.0f} px, and {config.least_head_px:.0f} are needed"
        raise _Refused("crop", "too-small", detail)
    people = _people(result, quad)
    if job.face_count is None and people > config.max_faces:
        raise _Refused("track", "several-people", f"{people} faces in the portrait")
    picture = align(photo, quad, config.size)
    face = _middle_face(picture, tools)
    effective = min(quad.side, config.size * effective_share(_around(picture, face)))
    if effective < config.least_effective_px:
        detail = f"{effective:.0f} px of detail, and {config.least_effective_px:.0f} are needed: blurred or enlarged"
        raise _Refused("score", "low-effective-resolution", detail)
    return _clip(job, config, tools, picture, face, quad, effective)


def _faces(photo: Picture, tools: Tools) -> tuple[Face, ...]:
    """The largest face of the photo and all that count beside it, in its pixels."""
    scale = min(1.0, _SEARCH_PX / max(photo.shape[:2]))
    small = _faces_in_copy(photo, scale, tools) if scale < 1.0 else ()
    return small or tools.tracker.detect(photo, beside=_OTHER_SIZE)


def _faces_in_copy(photo: Picture, scale: float, tools: Tools) -> tuple[Face, ...]:
    shown = round(photo.shape[1] * scale), round(photo.shape[0] * scale)
    small = np.asarray(cv2.resize(photo, shown, interpolation=cv2.INTER_AREA), np.uint8)
    ratio = photo.shape[1] / shown[0], photo.shape[0] / shown[1], photo.shape[1] / shown[0]
    half = np.array([0.5, 0.5, 0.0])
    return tuple(
        face_from_landmarks((face.landmarks + half) * ratio - half, face.score)
        for face in tools.tracker.detect(small, beside=_OTHER_SIZE)
    )


def _quad(job: PhotoJob, photo: Picture, found: tuple[Face, ...]) -> Quad:
    """The portrait's square from the landmarks given, or from the largest face found."""
    landmarks: NDArray[np.floating[Any]] | None = job.landmarks68
    if landmarks is None:
        if not found:
            raise _Refused("track", "no-face", "no face found")
        landmarks = max(found, key=lambda face: face.extent_px).landmarks
    height, width = photo.shape[:2]
    low, high = landmarks[:, :2].min(0), landmarks[:, :2].max(0)
    box = float(low[0]), float(low[1]), float(high[0]), float(high[1])
    if share_inside(box, width, height) < _LEAST_INSIDE:
        raise _Refused("crop", "outside-frame", "the photo's edge cuts the face, or the landmarks are another photo's")
    return quad_of(landmarks)


def _people(found: tuple[Face, ...], quad: Quad) -> int:
    """Faces of some size that lie in the square, or reach into it."""
    low, high = quad.corners.min(0), quad.corners.max(0)
    middle = quad.corners.mean(0)
    inside = [face for face in found if _share_between(face, low, high) >= _OTHER_INSIDE]
    if not inside:
        return 0
    own = min(inside, key=lambda face: float(np.linalg.norm(np.array(face.centre) - middle)))
    return sum(face.extent_px >= _OTHER_SIZE * own.extent_px for face in inside)


def _share_between(face: Face, low: NDArray[np.float64], high: NDArray[np.float64]) -> float:
    left, top, right, bottom = face.box
    moved = left - low[0], top - low[1], right - low[0], bottom - low[1]
    return share_inside(moved, round(high[0] - low[0]), round(high[1] - low[1]))


def _middle_face(picture: Picture, tools: Tools) -> Face:
    """The aligned portrait's face: the one nearest to its middle."""
    result = tools.tracker.detect(picture, beside=1.0)
    if not result:
        raise _Refused("track", "no-face", "no face found in the aligned portrait")
    middle = np.array(picture.shape[1::-1]) / 2.0
    return min(result, key=lambda face: float(np.linalg.norm(np.array(face.centre) - middle)))


def _around(picture: Picture, face: Face) -> Picture:
    half = _REGION * face.extent_px / 2.0
    x, y = face.centre
    return picture[max(0, int(y - half)) : int(y + half) + 1, max(0, int(x - half)) : int(x + half) + 1]


def _clip(
    job: PhotoJob, config: PrepareConfig, tools: Tools, picture: Picture, face: Face, quad: Quad, effective: float
) -> ClipData:
    row = _row(config, face, quad)
    sharpness, row["score"] = tools.rate(picture)
    matte = tools.photo_matting.matte(picture, face.landmarks)
    corners = json.dumps([[round(float(value), 3) for value in corner] for corner in quad.corners])
    info = ClipInfo(
        clip_id=job.photo,
        identity=job.identity,
        video=job.photo,
        utterance="",
        split=job.split,
        source=job.source,
        licence=job.licence,
        author=job.author,
        native_rate="0",
        start_s=0.0,
        frames=1,
        head_px=quad.side,
        bitrate_kbps=float("nan"),
        effective_px=effective,
        sharpness=sharpness,
        score=row["score"],
        yaw_deg=yaw_deg([row]),
        age_checked=job.age is not None,
        extra={**job.extra, "quad": corners},
    )
    image = encode_image(picture, config.image_format, config.image_quality)
    return ClipData(info, [image], [encode_matte(levels(matte))], columns_of([row]))


def _row(config: PrepareConfig, face: Face, quad: Quad) -> Row:
    """The annotation of the aligned picture; its square is the upright one about the quad's middle."""
    whole = Crop.square(0.0, 0.0, float(config.size), config.size)
    row = annotation(0.0, face.landmarks, head_frame(face.landmarks), whole, quad.side)
    left, top = quad.corners.mean(0) - quad.side / 2.0 + 0.5
    row["crop_px"] = np.array([left, top, quad.side])
    return row
