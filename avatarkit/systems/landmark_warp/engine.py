"""The engine itself: field, mesh, eyes and mouth put together."""

import numpy as np
from numpy.typing import NDArray

import avatarkit
from avatarkit.errors import AvatarkitError
from avatarkit.geometry.sampling import sample
from avatarkit.motion.transfer import DriveFrame
from avatarkit.systems.landmark_warp.eyes import EyeLayer
from avatarkit.systems.landmark_warp.field import HeadField
from avatarkit.systems.landmark_warp.lids import LidLayer
from avatarkit.systems.landmark_warp.mesh import FaceMesh
from avatarkit.systems.landmark_warp.mouth import MouthLayer
from avatarkit.systems.protocol import SourceLayers

MAP_SIDE = 640
"""Sampling maps are made at no more than this many pixels a side and enlarged: they are piecewise linear."""


class WarpEngine:
    """Moves the source's own pixels after the driver's landmarks."""

    def __init__(self) -> None:
        self._layers: NDArray[np.uint8] | None = None

    @property
    def name(self) -> str:
        """Name and version for reports."""
        return f"warp {avatarkit.__version__}"

    def prepare(self, source: SourceLayers) -> None:
        """Lay out the field and cut eyes and mouth out of one source."""
        alpha = np.round(source.alpha * 255.0).astype(np.uint8)
        self._layers = np.dstack([source.foreground, alpha])
        self._field = HeadField(source)
        self._mesh = FaceMesh(source.landmarks)
        self._eyes = EyeLayer(source.picture, source.landmarks)
        self._lids = LidLayer(source.picture, source.landmarks)
        self._mouth = MouthLayer(source.picture, source.landmarks)

    def sampling_map(self, motion: DriveFrame) -> NDArray[np.float32]:
        """For each pixel of a reduced frame the source pixel that it shows, (h, w, 2)."""
        if self._layers is None:
            raise AvatarkitError("WarpEngine.prepare must be called before frames are drawn")
        height, width = self._layers.shape[:2]
        reduction = min(0.5 if max(width, height) > MAP_SIDE // 2 else 1.0, MAP_SIDE / max(width, height))
        columns, rows = round(width * reduction), round(height * reduction)
        scale = (columns / width, rows / height)
        x = (np.arange(columns, dtype=np.float32) + 0.5) / np.float32(scale[0]) - 0.5
        y = (np.arange(rows, dtype=np.float32) + 0.5) / np.float32(scale[1]) - 0.5
        pixels = np.stack(np.meshgrid(x, y), axis=2)
        result = self._field.lattice.sample(self._field.inverse(motion), pixels)
        self._mesh.draw(motion, result, scale)
        return result

    def drive(self, motion: DriveFrame) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """One frame (H, W, 3) and its alpha (H, W), both uint8."""
        import cv2

        small = self.sampling_map(motion)
        assert self._layers is not None
        height, width = self._layers.shape[:2]
        full = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
        # Mirrored edges: shoulders that slide into the view continue with cloth instead of streaks.
        drawn = sample(self._layers, np.asarray(full, np.float32), mirrored=True)
        frame = np.asarray(cv2.cvtColor(drawn, cv2.COLOR_RGBA2RGB), np.uint8)
        self._mouth.draw(frame, motion)
        self._lids.draw(frame, motion)
        self._eyes.draw(frame, motion)
        return frame, np.asarray(cv2.extractChannel(drawn, 3), np.uint8)
