"""MediaPipe's legacy FaceMesh (Apache-2.0) as a `FaceTracker`; its models are inside the wheel.

Works with mediapipe 0.10.14 to 0.10.21: from 0.10.30 on the wheel has neither `solutions` nor the models.
"""

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avatarkit.errors import DependencyError
from avatarkit.face.types import Face, face_from_landmarks

Box = tuple[float, float, float, float]

# The mesh network sees a square of this many face sizes; it wants a margin to find the face's frame in.
WINDOW = 2.2
# Smaller detections are noise: no landmark network can do anything with them.
SMALLEST_BOX_PX = 20
# Shares of the boxes' union above which two detections are one face.
SAME_FACE_IOU = 0.35


class MediaPipeTracker:
    """Face detection by BlazeFace (short and full range), then 478 landmarks by the attention mesh."""

    def __init__(self, *, min_score: float = 0.5) -> None:
        os.environ.setdefault("GLOG_minloglevel", "2")
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        try:
            import mediapipe
            from mediapipe import solutions
        except (ImportError, AttributeError) as error:
            raise DependencyError(
                f"mediapipe's face mesh is not usable ({error}): install 'mediapipe>=0.10.14,<0.10.30'"
            ) from error
        self._version = str(mediapipe.__version__)
        self._min_score = min_score
        self._detectors = [
            solutions.face_detection.FaceDetection(model_selection=kind, min_detection_confidence=min_score)
            for kind in (0, 1)
        ]
        self._mesh: Any = solutions.face_mesh.FaceMesh(
            static_image_mode=True, refine_landmarks=True, max_num_faces=1, min_detection_confidence=0.3
        )

    @property
    def name(self) -> str:
        """Name and version for reports."""
        return f"mediapipe-facemesh {self._version}"

    def detect(self, picture: NDArray[np.uint8]) -> tuple[Face, ...]:
        """All faces of a picture, from left to right; empty when there is none."""
        found: list[Face] = []
        for box, score in self._boxes(picture):
            window = _window(box, WINDOW * 0.8)
            landmarks = self._landmarks(picture, window)
            if landmarks is None:
                continue
            face = face_from_landmarks(landmarks, score)
            known = any(_iou(face.box, other.box) >= SAME_FACE_IOU for other in found)
            if _iou(face.box, box) > 0.1 and not known:
                found.append(face)
        return tuple(sorted(found, key=lambda face: face.centre[0]))

    def follow(self, frame: NDArray[np.uint8], last: Face) -> Face | None:
        """The same face in the next frame, searched around its last place.

        Every frame is looked at as a still. MediaPipe's own video mode is 2 ms faster, but damps small motions of
        eyes and lips, and goes on reporting a face that has left.
        """
        landmarks = self._landmarks(frame, _window(last.box, WINDOW))
        if landmarks is None:
            return None
        face = face_from_landmarks(landmarks, last.score)
        ratio = face.extent_px / max(last.extent_px, 1e-6)
        return face if _iou(face.box, last.box) >= 0.1 and 0.5 < ratio < 2.0 else None

    def close(self) -> None:
        """Release the native graphs."""
        for graph in (*self._detectors, self._mesh):
            graph.close()

    def _boxes(self, picture: NDArray[np.uint8]) -> list[tuple[Box, float]]:
        """Detections of both ranges, best first, each face once."""
        height, width = picture.shape[:2]
        found: list[tuple[Box, float]] = []
        for detector in self._detectors:
            for detection in detector.process(picture).detections or []:
                part = detection.location_data.relative_bounding_box
                left, top = part.xmin * width, part.ymin * height
                box = (left, top, left + part.width * width, top + part.height * height)
                if min(part.width * width, part.height * height) >= SMALLEST_BOX_PX:
                    found.append((box, float(detection.score[0])))
        found.sort(key=lambda item: -item[1])
        kept: list[tuple[Box, float]] = []
        for box, score in found:
            if score >= self._min_score and all(_iou(box, other) < SAME_FACE_IOU for other, _ in kept):
                kept.append((box, score))
        return kept

    def _landmarks(self, picture: NDArray[np.uint8], window: Box) -> NDArray[np.float32] | None:
        """Landmarks (478, 3) in pixels of the picture, looked for inside the window; None without a face."""
        height, width = picture.shape[:2]
        left, top = max(0, int(window[0])), max(0, int(window[1]))
        right, bottom = min(width, int(np.ceil(window[2]))), min(height, int(np.ceil(window[3])))
        if right - left < 16 or bottom - top < 16:
            return None
        part = np.ascontiguousarray(picture[top:bottom, left:right])
        faces = self._mesh.process(part).multi_face_landmarks
        if not faces:
            return None
        points = np.array([(p.x, p.y, p.z) for p in faces[0].landmark], np.float32)
        points *= (right - left, bottom - top, right - left)
        # Relative coordinates count from the outer edge of the first pixel; ours count pixel centres.
        points += (left - 0.5, top - 0.5, 0.0)
        return points


def _window(box: Box, factor: float) -> Box:
    """A square of `factor` times the box's longer side around its centre."""
    half = max(box[2] - box[0], box[3] - box[1]) * factor / 2.0
    x, y = (box[0] + box[2]) / 2.0, (box[1] + box[3]) / 2.0
    return x - half, y - half, x + half, y + half


def _iou(a: Box, b: Box) -> float:
    """Intersection over union of two boxes."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)
