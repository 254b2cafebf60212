"""MediaPipe's legacy FaceMesh (Apache-2.0) as a `FaceTracker`; its models are inside the wheel.

Works with mediapipe 0.10.14 to 0.10.21: from 0.10.30 on the wheel has neither `solutions` nor the models, and
`mediapipe_tasks` takes this one's place.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avatarkit.errors import DependencyError
from avatarkit.face.boxes import Scored
from avatarkit.face.mediapipe_imports import imported
from avatarkit.face.mediapipe_windows import MESH_SCORE, WindowTracker, quiet_native_log

__all__ = ["MediaPipeTracker"]

# A landmark on protobuf's wire: its tag and length, then three floats with a tag each.
_POINT = np.dtype([("head", "V3"), ("x", "<f4"), ("y_tag", "V1"), ("y", "<f4"), ("z_tag", "V1"), ("z", "<f4")])


class MediaPipeTracker(WindowTracker):
    """Face detection by BlazeFace (short and full range), then 478 landmarks by the attention mesh."""

    def __init__(self, *, min_score: float = 0.5) -> None:
        """Build the graphs.

        Args:
            min_score: least confidence of a detection, 0 to 1.

        Raises:
            DependencyError: mediapipe is not installed, or is one without the face mesh.
        """
        super().__init__(min_score)
        quiet_native_log()
        self._solutions, self._version = _import_solutions()
        self._graph: Any = self._solutions.face_mesh.FaceMesh(
            static_image_mode=True, refine_landmarks=True, max_num_faces=1, min_detection_confidence=MESH_SCORE
        )

    @property
    def name(self) -> str:
        """Name and version for reports."""
        return f"mediapipe-facemesh {self._version}"

    def another(self) -> MediaPipeTracker:
        """See `WindowTracker.another`."""
        return MediaPipeTracker(min_score=self._min_score)

    def close(self) -> None:
        """Release the native graphs."""
        for graph in (*self.__dict__.get("_detectors", ()), self._graph):
            graph.close()

    @cached_property
    def _detectors(self) -> list[Any]:
        """Short and full range; a tracker that follows alone never needs them."""
        return [
            self._solutions.face_detection.FaceDetection(
                model_selection=kind, min_detection_confidence=self._min_score
            )
            for kind in (0, 1)
        ]

    @property
    def _reach(self) -> float:
        # Of the full-range detector: in a thousand trials it found 92 % of faces of a tenth, 98 % of an eighth.
        return 0.115

    def _boxes(self, part: NDArray[np.uint8], *, whole: bool) -> list[Scored]:
        # The short-range detector is for faces larger than those that squares are searched for.
        near = self._near(part) if whole else []
        return near + _detections(self._detectors[1], part)

    def _near(self, part: NDArray[np.uint8]) -> list[Scored]:
        return _detections(self._detectors[0], part)

    def _mesh(self, part: NDArray[np.uint8]) -> NDArray[np.float32] | None:
        faces = self._graph.process(part).multi_face_landmarks
        return _points(faces[0]) if faces else None


def _points(landmarks: Any) -> NDArray[np.float32]:
    """Coordinates (478, 3) of a message of landmarks: read off its bytes, 0.2 ms faster than point by point."""
    wire = landmarks.SerializeToString()
    if len(wire) != len(landmarks.landmark) * _POINT.itemsize:
        return np.array([(p.x, p.y, p.z) for p in landmarks.landmark], np.float32)
    points = np.frombuffer(wire, _POINT)
    return np.asarray(np.stack([points["x"], points["y"], points["z"]], axis=1), np.float32)


def _detections(detector: Any, part: NDArray[np.uint8]) -> list[Scored]:
    height, width = part.shape[:2]
    result: list[Scored] = []
    for detection in detector.process(part).detections or []:
        place = detection.location_data.relative_bounding_box
        left, top = place.xmin * width, place.ymin * height
        box = (left, top, left + place.width * width, top + place.height * height)
        result.append((box, float(detection.score[0])))
    return result


def _import_solutions() -> tuple[Any, str]:
    """MediaPipe's module of ready-made graphs, and its version."""
    try:
        mediapipe = imported("mediapipe")
    except ImportError as error:
        raise DependencyError(f"mediapipe cannot be imported ({error}): install mediapipe") from error
    version = str(mediapipe.__version__)
    try:
        from mediapipe import solutions
    except ImportError as error:
        raise DependencyError(
            f"mediapipe {version} has no face mesh of its own: get one by avatarkit weights fetch face-landmarker,"
            " or install 'mediapipe>=0.10.14,<0.10.30'"
        ) from error
    return solutions, version
