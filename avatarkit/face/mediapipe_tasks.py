"""MediaPipe Tasks' FaceLandmarker (Apache-2.0) as a `FaceTracker`: 478 landmarks, 52 blendshapes, the head's matrix.

Works with mediapipe 0.10.14 up to 1.x. The wheels hold no models: they are in one bundle, "face-landmarker" of the
registry (`avatarkit weights fetch face-landmarker`).
Reference: C. Lugaresi et al., "MediaPipe: A Framework for Building Perception Pipelines", arXiv:1906.08172; detector:
V. Bazarevsky et al., "BlazeFace", arXiv:1907.05047.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avatarkit.errors import InputError
from avatarkit.face.boxes import Box, Scored, cut_out, square
from avatarkit.face.mediapipe_imports import import_tasks
from avatarkit.face.mediapipe_windows import MESH_SCORE, WINDOW, WindowTracker, quiet_native_log
from avatarkit.face.types import Face

__all__ = ["FaceDetail", "MediaPipeTasksTracker"]

_WEIGHTS = "face-landmarker"
_DETECTOR = "face_detector.tflite"


@dataclass(frozen=True)
class FaceDetail:
    """What MediaPipe Tasks tells about a face beside its landmarks.

    blendshapes: 52 activations by name, 0 to 1, such as "jawOpen"; "left" is the person's. The first, "_neutral", is
        hardly ever active.
    head_matrix: float32 (4, 4), from MediaPipe's canonical face (centimetres, y up, z to the viewer) to the camera
        of `window`: at the origin, looking along -z, with a vertical field of view of 63 degrees.
    window: the part of the picture that was looked at, in whole pixels.
    """

    blendshapes: dict[str, float]
    head_matrix: NDArray[np.float32]
    window: Box


class MediaPipeTasksTracker(WindowTracker):
    """Face detection by BlazeFace (short range, also on parts of the picture), then 478 landmarks."""

    def __init__(self, bundle: Path, *, min_score: float = 0.5) -> None:
        """Build the graphs.

        Args:
            bundle: MediaPipe's face_landmarker.task.
            min_score: least confidence of a detection, 0 to 1.

        Raises:
            InputError: the bundle cannot be read, or is something else.
            DependencyError: mediapipe is not installed, or is one without Tasks.
        """
        super().__init__(min_score)
        quiet_native_log()
        self._mediapipe, self._vision, self._options = import_tasks()
        self._path = bundle
        self._bundle, detector = _read_bundle(bundle)
        try:
            self._detector: Any = self._vision.FaceDetector.create_from_options(
                self._vision.FaceDetectorOptions(
                    base_options=self._base(detector), min_detection_confidence=min_score
                )
            )
            self._landmarker = self._open_landmarker(details=False)
        except (RuntimeError, ValueError) as error:
            raise InputError(f"{bundle}: mediapipe cannot use it: {str(error).splitlines()[0]}") from error
        self._detailed: Any = None

    @classmethod
    def from_registry(cls, *, min_score: float = 0.5) -> MediaPipeTasksTracker:
        """Take the bundle from the cache; nothing is downloaded.

        Raises:
            DependencyError: it is missing or damaged; the message says how to get it.
        """
        from avatarkit.weights.load import require

        return cls(require(_WEIGHTS), min_score=min_score)

    @property
    def name(self) -> str:
        """Name and version for reports."""
        return f"mediapipe-tasks {self._mediapipe.__version__}"

    def another(self) -> MediaPipeTasksTracker:
        """See `WindowTracker.another`."""
        return MediaPipeTasksTracker(self._path, min_score=self._min_score)

    def close(self) -> None:
        """Release the native graphs."""
        for graph in (self._detector, self._landmarker, self._detailed):
            if graph is not None:
                graph.close()

    def detail(self, picture: NDArray[np.uint8], face: Face) -> FaceDetail | None:
        """Blendshapes and the head's matrix of a face found in this picture; None where it is not seen again.

        Runs the landmark network once more, hence apart from `detect` and `follow`.
        """
        result = cut_out(picture, square(face.box, WINDOW))
        if result is None:
            return None
        if self._detailed is None:
            self._detailed = self._open_landmarker(details=True)
        part, left, top = result
        seen = self._detailed.detect(self._image(part))
        if not seen.face_blendshapes or not len(seen.facial_transformation_matrixes):
            return None
        shapes = {shape.category_name: float(shape.score) for shape in seen.face_blendshapes[0]}
        matrix = np.asarray(seen.facial_transformation_matrixes[0], np.float32)
        height, width = part.shape[:2]
        return FaceDetail(shapes, matrix, (float(left), float(top), float(left + width), float(top + height)))

    @property
    def _reach(self) -> float:
        # Of the short-range detector, the bundle's: in a thousand trials it found 93 % of faces of 0.15, all of 0.2.
        return 0.17

    def _boxes(self, part: NDArray[np.uint8], *, whole: bool) -> list[Scored]:
        result: list[Scored] = []
        for detection in self._detector.detect(self._image(part)).detections:
            box = detection.bounding_box
            x, y = float(box.origin_x), float(box.origin_y)
            result.append(((x, y, x + box.width, y + box.height), float(detection.categories[0].score)))
        return result

    def _near(self, part: NDArray[np.uint8]) -> list[Scored]:
        return self._boxes(part, whole=True)

    def _mesh(self, part: NDArray[np.uint8]) -> NDArray[np.float32] | None:
        faces = self._landmarker.detect(self._image(part)).face_landmarks
        return np.array([(p.x, p.y, p.z) for p in faces[0]], np.float32) if faces else None

    def _image(self, part: NDArray[np.uint8]) -> Any:
        return self._mediapipe.Image(image_format=self._mediapipe.ImageFormat.SRGB, data=part)

    def _base(self, model: bytes) -> Any:
        return self._options(model_asset_buffer=model, delegate=self._options.Delegate.CPU)

    def _open_landmarker(self, *, details: bool) -> Any:
        options = self._vision.FaceLandmarkerOptions(
            base_options=self._base(self._bundle),
            num_faces=1,
            min_face_detection_confidence=MESH_SCORE,
            output_face_blendshapes=details,
            output_facial_transformation_matrixes=details,
        )
        return self._vision.FaceLandmarker.create_from_options(options)


def _read_bundle(path: Path) -> tuple[bytes, bytes]:
    """The bundle's bytes, and those of the face detector inside it."""
    try:
        whole = path.read_bytes()
        with zipfile.ZipFile(path) as bundle:
            return whole, bundle.read(_DETECTOR)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    except (zipfile.BadZipFile, KeyError) as error:
        raise InputError(f"{path}: is not MediaPipe's face landmarker bundle: {error}") from error
